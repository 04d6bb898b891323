// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamencoder: that the layers run are those of core, split or whole; what the parts say when they do not follow on each other; bad buffers.
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"

enum { SEQS = 2, LENGTH = 9, LAYERS = 4 };

typedef struct {
    char *bundle;
    SeamModel *model;
    GstHarness *h;
} Fixture;

// data: TestBundleFlags.
static void set_up(Fixture *f, gconstpointer data)
{
    f->bundle = test_bundle_new(1, (TestBundleFlags)GPOINTER_TO_INT(data));
    f->model = test_model(f->bundle);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    if (f->h)
        test_harness_end(f->h);
    seam_model_free(f->model);
    test_bundle_free(f->bundle);
}

static GstHarness *harness(Fixture *f, const char *layers)
{
    GstElement *element = test_element("seamencoder", f->bundle);
    if (layers)
        g_object_set(element, "layers", layers, NULL);
    return test_harness_of(element, "sink", "src");
}

static void push_segment(GstHarness *h)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(h, gst_event_new_segment(&segment));
}

// done: layers that were run before. Caps that are refused show when a buffer follows.
static void set_caps(Fixture *f, GstHarness *h, int32_t done)
{
    GstCaps *caps = test_tokens_caps(f->model, done ? SEAM_STAGE_ENCODED : SEAM_STAGE_EMBEDDED, TEST_SENSORS, done);
    gst_harness_push_event(h, gst_event_new_stream_start("test"));
    gst_harness_push_event(h, gst_event_new_caps(caps));
    push_segment(h);
    gst_caps_unref(caps);
}

static GstBuffer *tokens(Fixture *f, uint64_t seed)
{
    return test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, SEQS, LENGTH, 0.5, 0.1, 30, seed);
}

// The same by core. use: NULL or [experts].
static GstBuffer *encoded_by_core(Fixture *f, int32_t first, int32_t last, uint64_t seed, float *use)
{
    GstBuffer *buffer = tokens(f, seed);
    SeamTokens view;
    GstMapInfo map;
    TestRun run;
    test_run_init(&run);
    g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READWRITE, &view, &map, NULL));
    g_assert_cmpint(seam_model_encode(f->model, &run.run, first, last, &view, use, NULL), ==, SEAM_OK);
    gst_buffer_unmap(buffer, &map);
    test_run_clear(&run);
    return buffer;
}

static void assert_same_values(GstBuffer *a, GstBuffer *b)
{
    GstMapInfo map_a, map_b;
    g_assert_true(gst_buffer_map(a, &map_a, GST_MAP_READ) && gst_buffer_map(b, &map_b, GST_MAP_READ));
    g_assert_cmpmem(map_a.data, map_a.size, map_b.data, map_b.size);
    gst_buffer_unmap(a, &map_a);
    gst_buffer_unmap(b, &map_b);
}

// ---- what comes out ---------------------------------------------------------------------------------------------------------------------

static void test_all(Fixture *f, gconstpointer data)
{
    float use[SEAM_MAX_EXPERTS] = {0}, sum = 0;
    f->h = harness(f, NULL);
    set_caps(f, f->h, 0);
    GstBuffer *in = tokens(f, 1), *out = gst_harness_push_and_pull(f->h, in), *expected = encoded_by_core(f, 0, LAYERS - 1, 1, use);
    g_assert_true(out == in); // in place
    assert_same_values(out, expected);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(out);
    g_assert_cmpint(meta->stage, ==, SEAM_STAGE_ENCODED);
    g_assert_cmpint(meta->n_levels, ==, SEQS);
    for (int32_t e = 0; e < f->model->config.experts; e++) {
        g_assert_cmpfloat(meta->expert_use[e], ==, use[e]);
        sum += use[e];
    }
    g_assert_cmpfloat_with_epsilon(sum, SEQS * LENGTH * LAYERS, 1e-2);
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad), *wanted = test_tokens_caps(f->model, SEAM_STAGE_ENCODED, TEST_SENSORS, LAYERS);
    g_assert_true(gst_caps_is_equal(caps, wanted));
    gst_caps_unref(caps);
    gst_caps_unref(wanted);
    gst_buffer_unref(out);
    gst_buffer_unref(expected);
}

// What core computes with packed whole numbers, bit for bit.
static void test_quantised(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(f->model->encoder[0].moe.up->packed.type, ==, SEAM_PACK_I8);
    test_all(f, data);
}

static void test_split(Fixture *f, gconstpointer data)
{
    static const char *const splits[][LAYERS] = {{"0-1", "2-3"}, {"0", "1-2", "3"}, {"0-0", "1-1", "2-2", "3-3"}};
    f->h = harness(f, "all");
    set_caps(f, f->h, 0);
    GstBuffer *whole = gst_harness_push_and_pull(f->h, tokens(f, 2));
    for (guint s = 0; s < G_N_ELEMENTS(splits); s++) {
        GstBuffer *buffer = tokens(f, 2);
        int done = 0;
        for (guint i = 0; i < LAYERS && splits[s][i]; i++) {
            GstHarness *part = harness(f, splits[s][i]);
            set_caps(f, part, done);
            buffer = gst_harness_push_and_pull(part, buffer);
            g_assert_nonnull(buffer);
            GstCaps *caps = gst_pad_get_current_caps(part->sinkpad);
            g_assert_true(gst_structure_get_int(gst_caps_get_structure(caps, 0), "layers", &done));
            gst_caps_unref(caps);
            test_harness_end(part);
        }
        assert_same_values(buffer, whole);
        g_assert_cmpmem(gst_buffer_get_seam_tokens_meta(buffer)->expert_use, sizeof(float) * SEAM_MAX_EXPERTS,
                        gst_buffer_get_seam_tokens_meta(whole)->expert_use, sizeof(float) * SEAM_MAX_EXPERTS);
        gst_buffer_unref(buffer);
    }
    gst_buffer_unref(whole);
}

// A buffer that somebody else holds stays as it is.
static void test_not_writable(Fixture *f, gconstpointer data)
{
    f->h = harness(f, NULL);
    set_caps(f, f->h, 0);
    GstBuffer *in = tokens(f, 3), *untouched = tokens(f, 3), *expected = encoded_by_core(f, 0, LAYERS - 1, 3, NULL);
    GstBuffer *out = gst_harness_push_and_pull(f->h, gst_buffer_ref(in));
    g_assert_true(out != in);
    assert_same_values(in, untouched);
    assert_same_values(out, expected);
    g_assert_cmpint(gst_buffer_get_seam_tokens_meta(in)->stage, ==, SEAM_STAGE_EMBEDDED);
    gst_buffer_unref(in);
    gst_buffer_unref(out);
    gst_buffer_unref(untouched);
    gst_buffer_unref(expected);
}

// More tokens than one input of the modality has (several windows in one buffer), and none at all.
static void test_sizes(Fixture *f, gconstpointer data)
{
    f->h = harness(f, NULL);
    set_caps(f, f->h, 0);
    GstBuffer *large = test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 16, 20, 0, 0.5, NAN, 4);
    GstBuffer *out = gst_harness_push_and_pull(f->h, large);
    g_assert_nonnull(out);
    gst_buffer_unref(out);
    GstBuffer *empty = test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 1, 0, 8, 0.5, NAN, 4);
    out = gst_harness_push_and_pull(f->h, empty);
    g_assert_cmpint(gst_buffer_get_seam_tokens_meta(out)->stage, ==, SEAM_STAGE_ENCODED);
    gst_buffer_unref(out);
}

static void test_events(Fixture *f, gconstpointer data)
{
    f->h = harness(f, NULL);
    set_caps(f, f->h, 0);
    gst_buffer_unref(gst_harness_push_and_pull(f->h, tokens(f, 5)));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_gap(GST_SECOND, GST_SECOND)));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_start()));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE)));
    push_segment(f->h);
    gst_buffer_unref(gst_harness_push_and_pull(f->h, tokens(f, 5)));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_eos()));
    static const GstEventType in_order[] = {GST_EVENT_GAP, GST_EVENT_FLUSH_START, GST_EVENT_FLUSH_STOP, GST_EVENT_SEGMENT, GST_EVENT_EOS};
    for (guint i = 0; i < G_N_ELEMENTS(in_order); i++) {
        GstEvent *event = test_pull_event(f->h, in_order[i]);
        g_assert_nonnull(event);
        gst_event_unref(event);
    }
}

// Another modality in mid-stream.
static void test_caps_change(Fixture *f, gconstpointer data)
{
    f->h = harness(f, NULL);
    set_caps(f, f->h, 0);
    gst_buffer_unref(gst_harness_push_and_pull(f->h, tokens(f, 6)));
    GstCaps *caps = test_tokens_caps(f->model, SEAM_STAGE_EMBEDDED, TEST_VIDEO, 0);
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_caps(caps)));
    gst_caps_unref(caps);
    GstBuffer *out = gst_harness_push_and_pull(f->h, test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_VIDEO, 1, 17, 0, 0.1, 1, 6));
    g_assert_nonnull(out);
    gst_buffer_unref(out);
    caps = gst_pad_get_current_caps(f->h->sinkpad);
    g_assert_cmpstr(gst_structure_get_string(gst_caps_get_structure(caps, 0), "modality"), ==, "video");
    gst_caps_unref(caps);
}

// ---- a stream ---------------------------------------------------------------------------------------------------------------------------

// `count` of the tokens of tokens(f, seed), from `first` on, as one sequence in a buffer of its own.
static GstBuffer *piece(Fixture *f, uint64_t seed, int32_t first, int32_t count)
{
    const gsize row = (gsize)f->model->config.dim * sizeof(float);
    GstBuffer *all = tokens(f, seed), *part = test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 1, count, 0.5, 0.1, 30, seed);
    GstMapInfo map;
    g_assert_true(gst_buffer_map(all, &map, GST_MAP_READ));
    g_assert_cmpuint(gst_buffer_fill(part, 0, map.data + (gsize)first * row, (gsize)count * row), ==, (gsize)count * row);
    gst_buffer_unmap(all, &map);
    gst_buffer_unref(all);
    return part;
}

// The largest difference, relative to 1 and the value, between what came out for the tokens of `part` and, from token `first` on, in `whole`.
static double difference_from(GstBuffer *whole, GstBuffer *part, int32_t first, int32_t dim)
{
    GstMapInfo a, b;
    double most = 0;
    g_assert_true(gst_buffer_map(whole, &a, GST_MAP_READ) && gst_buffer_map(part, &b, GST_MAP_READ));
    const float *x = (const float *)(const void *)a.data + (gsize)first * (gsize)dim, *y = (const float *)(const void *)b.data;
    for (gsize i = 0; i < b.size / sizeof(float); i++)
        most = MAX(most, fabs((double)x[i] - (double)y[i]) / (1 + fabs((double)x[i])));
    gst_buffer_unmap(whole, &a);
    gst_buffer_unmap(part, &b);
    return most;
}

// One sequence of all tokens, by a model whose layers scan.
static GstBuffer *whole_stream(Fixture *f)
{
    set_caps(f, f->h, 0);
    GstBuffer *whole = gst_harness_push_and_pull(f->h, piece(f, 1, 0, SEQS * LENGTH));
    set_caps(f, f->h, 0); // a new segment: the stream starts anew
    return whole;
}

static void test_carry(Fixture *f, gconstpointer data)
{
    static const int32_t cut[] = {0, 1, 6, 7, SEQS * LENGTH};
    f->h = harness(f, NULL);
    GstBuffer *whole = whole_stream(f);
    for (guint i = 0; i + 1 < G_N_ELEMENTS(cut); i++) {
        GstBuffer *part = gst_harness_push_and_pull(f->h, piece(f, 1, cut[i], cut[i + 1] - cut[i]));
        g_assert_cmpfloat(difference_from(whole, part, cut[i], f->model->config.dim), <=, 1e-5);
        gst_buffer_unref(part);
    }
    set_caps(f, f->h, 0);
    GstBuffer *sequences = gst_harness_push_and_pull(f->h, tokens(f, 1)); // two in one buffer: one after the other
    g_assert_cmpfloat(difference_from(whole, sequences, 0, f->model->config.dim), <=, 1e-5);
    gst_buffer_unref(sequences);
    gst_buffer_unref(whole);
}

typedef enum { NOTHING, FLUSH, SEGMENT, DISCONT, CAPS } Start;

static void start_anew(Fixture *f, Start start, GstBuffer *next)
{
    GstCaps *other = test_tokens_caps(f->model, SEAM_STAGE_EMBEDDED, TEST_SOUND, 0);
    GstCaps *same = test_tokens_caps(f->model, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 0);
    if (start == FLUSH) {
        gst_harness_push_event(f->h, gst_event_new_flush_start());
        gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE));
    }
    if (start == FLUSH || start == SEGMENT)
        push_segment(f->h);
    if (start == DISCONT)
        GST_BUFFER_FLAG_SET(next, GST_BUFFER_FLAG_DISCONT);
    if (start == CAPS) {
        gst_harness_push_event(f->h, gst_event_new_caps(other));
        gst_harness_push_event(f->h, gst_event_new_caps(same));
    }
    gst_caps_unref(other);
    gst_caps_unref(same);
}

static void test_carry_ends(Fixture *f, gconstpointer data)
{
    f->h = harness(f, NULL);
    GstBuffer *whole = whole_stream(f);
    for (Start start = NOTHING; start <= CAPS; start++) {
        gst_buffer_unref(gst_harness_push_and_pull(f->h, piece(f, 2, 0, 9)));
        GstBuffer *next = piece(f, 1, 0, 5);
        start_anew(f, start, next);
        next = gst_harness_push_and_pull(f->h, next);
        double most = difference_from(whole, next, 0, f->model->config.dim);
        g_assert_true(start == NOTHING ? most > 1e-3 : most <= 1e-5);
        gst_buffer_unref(next);
    }
    gst_buffer_unref(whole);
}

// ---- mixers -----------------------------------------------------------------------------------------------------------------------------

// A sequence gives what it gives in core, whatever its layers mix by.
static void test_mixers(Fixture *f, gconstpointer data)
{
    f->h = harness(f, NULL);
    for (int32_t count = 1; count <= 11; count += 5) {
        set_caps(f, f->h, 0);
        GstBuffer *out = gst_harness_push_and_pull(f->h, piece(f, 1, 0, count)), *expected = piece(f, 1, 0, count);
        SeamTokens view;
        GstMapInfo map;
        TestRun run;
        test_run_init(&run);
        g_assert_true(gst_seam_tokens_map(expected, GST_MAP_READWRITE, &view, &map, NULL));
        g_assert_cmpint(seam_model_encode(f->model, &run.run, 0, LAYERS - 1, &view, NULL, NULL), ==, SEAM_OK);
        gst_buffer_unmap(expected, &map);
        test_run_clear(&run);
        g_assert_cmpfloat(difference_from(expected, out, 0, f->model->config.dim), <=, 1e-6);
        gst_buffer_unref(out);
        gst_buffer_unref(expected);
    }
}

static void count_buffer(GstElement *sink, GstBuffer *buffer, GstPad *pad, guint *count) { ++*count; }

// A whole graph, from samples to decisions.
static void test_mixers_pipeline(Fixture *f, gconstpointer data)
{
    g_autofree char *text = g_strdup_printf(
        "audiotestsrc num-buffers=40 samplesperbuffer=25 ! audio/x-raw,format=F32LE,rate=100,channels=2 ! seamsensorembed model=%s modality=sensors"
        " ! seamencoder model=%s ! seamfusion model=%s ! seamdecoder model=%s ! fakesink name=out signal-handoffs=true", f->bundle, f->bundle, f->bundle,
        f->bundle);
    g_autoptr(GError) error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    guint count = 0;
    g_assert_no_error(error);
    GstElement *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
    g_signal_connect(out, "handoff", G_CALLBACK(count_buffer), &count);
    gst_object_unref(out);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_nonnull(message);
    g_assert_cmpint(GST_MESSAGE_TYPE(message), ==, GST_MESSAGE_EOS);
    gst_message_unref(message);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    g_assert_cmpuint(count, >=, 20); // 10 s in windows of half a second
}

// ---- merging ----------------------------------------------------------------------------------------------------------------------------

static double sum_of_sizes(GstBuffer *buffer)
{
    const SeamTokens *t = &gst_buffer_get_seam_tokens_meta(buffer)->tokens;
    double sum = 0;
    for (int32_t i = 0; i < t->n; i++)
        sum += t->size ? t->size[i] : 1;
    return sum;
}

// keep=0.5 halves what is not a summary, split or whole; it may change while it plays; a copy of the buffer has the sizes, too.
static void test_keep(Fixture *f, gconstpointer data)
{
    GstHarness *first = harness(f, "0-1");
    g_object_set(first->element, "keep", 0.5, NULL);
    f->h = harness(f, "2-3");
    g_object_set(f->h->element, "keep", 0.2, NULL);
    set_caps(f, first, 0);
    set_caps(f, f->h, 2);
    GstBuffer *out = gst_harness_push_and_pull(f->h, gst_harness_push_and_pull(first, tokens(f, 3)));
    const SeamTokens *t = &gst_buffer_get_seam_tokens_meta(out)->tokens;
    g_assert_cmpint(t->n, ==, SEQS * (LENGTH - (LENGTH - 1) / 2));
    g_assert_cmpint(t->seq_start[SEQS], ==, t->n);
    g_assert_cmpuint(gst_buffer_get_size(out), ==, (gsize)t->n * (gsize)t->dim * sizeof(float));
    g_assert_cmpfloat_with_epsilon(sum_of_sizes(out), SEQS * LENGTH, 1e-4);
    GstBuffer *copy = gst_buffer_copy_deep(out);
    g_assert_cmpfloat_with_epsilon(sum_of_sizes(copy), SEQS * LENGTH, 1e-4);
    gst_buffer_unref(copy);
    gst_buffer_unref(out);
    g_object_set(first->element, "keep", 1.0, NULL);
    out = gst_harness_push_and_pull(first, tokens(f, 3));
    GstBuffer *expected = encoded_by_core(f, 0, 1, 3, NULL);
    assert_same_values(out, expected);
    gst_buffer_unref(out);
    gst_buffer_unref(expected);
    test_harness_end(first);
}

// Not to be mistaken: a picture whose grid was merged has it back when it leaves.
static void test_keep_pictures(Fixture *f, gconstpointer data)
{
    f->h = harness(f, NULL);
    g_object_set(f->h->element, "keep", 0.5, NULL);
    GstCaps *caps = test_tokens_caps(f->model, SEAM_STAGE_EMBEDDED, TEST_VIDEO, 0);
    gst_harness_push_event(f->h, gst_event_new_stream_start("test"));
    gst_harness_push_event(f->h, gst_event_new_caps(caps));
    push_segment(f->h);
    gst_caps_unref(caps);
    GstBuffer *in = test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_VIDEO, 1, 17, 0, 0.1, 1, 6);
    SeamPlace *place = gst_buffer_get_seam_tokens_meta(in)->tokens.place, before[17];
    for (int32_t i = 1; i < 17; i++)
        place[i] = (SeamPlace){.x = (float)((i - 1) % 4) / 4, .y = (float)((i - 1) / 4) / 4, .domain = SEAM_DOMAIN_PATCH};
    memcpy(before, place, sizeof before);
    GstBuffer *out = gst_harness_push_and_pull(f->h, in);
    const SeamTokens *t = &gst_buffer_get_seam_tokens_meta(out)->tokens;
    g_assert_cmpint(t->n, ==, 17);
    g_assert_null(t->size);
    g_assert_cmpmem(t->place, sizeof before, before, sizeof before);
    gst_buffer_unref(out);
}

// ---- a deadline -------------------------------------------------------------------------------------------------------------------------

static GstBuffer *many_tokens(Fixture *f, int32_t seqs)
{
    return test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, seqs, LENGTH, 0.5, 0.1, 30, 4);
}

// Buffers of many milliseconds' work against one: it leaves out more and more, at last whole buffers, of which a gap tells; short buffers bring it
// back to all of the work, bit for bit.
static void test_deadline(Fixture *f, gconstpointer data)
{
    enum { MANY = 400, ALL = MANY * LENGTH, MOST = 20000 };
    int32_t level = 0, dropped = 0, gaps = 0, n = ALL;
    f->h = harness(f, NULL);
    g_object_set(f->h->element, "deadline", "1ms", NULL);
    set_caps(f, f->h, 0);
    for (int32_t i = 0; i < 40; i++) {
        g_assert_cmpint(gst_harness_push(f->h, many_tokens(f, MANY)), ==, GST_FLOW_OK);
        GstBuffer *out = gst_harness_try_pull(f->h);
        dropped += !out;
        if (!out)
            continue;
        const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(out);
        g_assert_cmpint(meta->level, >=, level); // it only gets worse
        g_assert_cmpint(meta->level, <=, level + 1);
        g_assert_true(meta->tokens.n == n || meta->level <= 2);
        g_assert_true(meta->tokens.n == ALL || meta->level > 0);
        level = meta->level;
        n = meta->tokens.n;
        gst_buffer_unref(out);
    }
    for (GstEvent *gap; (gap = test_pull_event(f->h, GST_EVENT_GAP)); gaps++)
        gst_event_unref(gap);
    g_assert_cmpint(level, ==, 8);
    g_assert_cmpint(n, ==, MANY * (LENGTH - (LENGTH - 1) / 2));
    g_assert_cmpint(dropped, >, 5);
    g_assert_cmpint(gaps, ==, dropped);
    for (int32_t i = 0; i < MOST && level > 0; i++) {
        g_assert_cmpint(gst_harness_push(f->h, tokens(f, 3)), ==, GST_FLOW_OK);
        GstBuffer *out = gst_harness_try_pull(f->h);
        level = out ? gst_buffer_get_seam_tokens_meta(out)->level : level;
        gst_clear_buffer(&out);
    }
    g_assert_cmpint(level, ==, 0);
    g_object_set(f->h->element, "deadline", "0", NULL);
    GstBuffer *out = gst_harness_push_and_pull(f->h, tokens(f, 3)), *expected = encoded_by_core(f, 0, LAYERS - 1, 3, NULL);
    assert_same_values(out, expected);
    g_assert_cmpint(gst_buffer_get_seam_tokens_meta(out)->level, ==, 0);
    gst_buffer_unref(out);
    gst_buffer_unref(expected);
}

// ---- what is refused --------------------------------------------------------------------------------------------------------------------

static void test_order_refused(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *layers;
        int32_t done;
        const char *words[2];
    } bad[] = {
        {"2-3", 1, {"layers 1-1 are missing", "begin with layers=1-3"}}, {"2-3", 0, {"layers 0-1 are missing", "begin with layers=0-3"}},
        {"1-3", 2, {"overlap", "begin with layers=2-3"}},                {"0-1", 2, {"overlap", "begin with layers=2-2"}},
        {"0-3", 4, {"all 4 layers", "leave this seamencoder out"}},      {NULL, 4, {"all 4 layers", "leave this seamencoder out"}},
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstHarness *h = harness(f, bad[i].layers);
        set_caps(f, h, bad[i].done);
        g_assert_cmpint(gst_harness_push(h, tokens(f, 1)), ==, GST_FLOW_NOT_NEGOTIATED);
        test_assert_error(h->element, "gst-core-error-quark 7", bad[i].words[0], bad[i].words[1], NULL);
        test_harness_end(h);
    }
}

static void test_other_model(Fixture *f, gconstpointer data)
{
    char *bundle = test_bundle_new(2, TEST_BUNDLE_PLAIN);
    SeamModel *other = test_model(bundle);
    GstCaps *caps = test_tokens_caps(other, SEAM_STAGE_EMBEDDED, TEST_SOUND, 0);
    f->h = harness(f, NULL);
    gst_harness_push_event(f->h, gst_event_new_stream_start("test"));
    gst_harness_push_event(f->h, gst_event_new_caps(caps));
    push_segment(f->h);
    g_assert_cmpint(gst_harness_push(f->h, tokens(f, 1)), ==, GST_FLOW_NOT_NEGOTIATED);
    test_assert_error(f->h->element, "gst-core-error-quark 7", "sound branch", other->fingerprint, f->model->fingerprint, "the same model=",
                      NULL);
    gst_caps_unref(caps);
    seam_model_free(other);
    test_bundle_free(bundle);
}

static void test_bad_buffers(Fixture *f, gconstpointer data)
{
    GstBuffer *bad[5];
    static const char *const words[] = {"no SeamTokensMeta", "bytes", "not finite", "wide", "token 0"};
    bad[0] = gst_buffer_new_allocate(NULL, 96, NULL);
    bad[1] = tokens(f, 7);
    gst_buffer_set_size(bad[1], (gssize)gst_buffer_get_size(bad[1]) - 4);
    bad[2] = tokens(f, 7);
    float nan = NAN;
    gst_buffer_fill(bad[2], 40, &nan, sizeof nan);
    SeamConfig *wide = g_new(SeamConfig, 1);
    *wide = f->model->config;
    wide->dim = 32;
    bad[3] = test_tokens_new(wide, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 1, 4, 0, 0.1, NAN, 7);
    g_free(wide);
    bad[4] = test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SOUND, 1, 4, 0, 0.1, NAN, 7);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstHarness *h = harness(f, NULL);
        set_caps(f, h, 0);
        g_assert_cmpint(gst_harness_push(h, bad[i]), ==, GST_FLOW_ERROR);
        test_assert_error(h->element, "gst-stream-error-quark", words[i], NULL);
        test_harness_end(h);
    }
}

// Far more tokens than a window has are neighbours of each other: the message says which sequence it is, and what there is room for.
static void test_too_long(Fixture *f, gconstpointer data)
{
    enum { TOO_MANY = 2000 };
    g_autofree char *plan = g_strdup_printf("has %d at most", seam_modality_tokens(&f->model->config, TEST_SENSORS));
    f->h = harness(f, NULL);
    set_caps(f, f->h, 0);
    GstBuffer *long_one = test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 1, TOO_MANY, 0.5, 0.1, NAN, 9);
    g_assert_cmpint(gst_harness_push(f->h, long_one), ==, GST_FLOW_ERROR);
    test_assert_error(f->h->element, "gst-resource-error-quark 14", "sequence 0 of the buffer has 2000 tokens", "\"sensors\"", plan, "send a sequence for each window",
                      NULL);
}

static void test_bad_layers(Fixture *f, gconstpointer data)
{
    static const char *const bad[] = {"", "4", "0-4", "3-2", "-1", "0-", "0-1x", "some", "0--1", "99999999999", " 1"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstElement *element = test_element("seamencoder", f->bundle);
        g_object_set(element, "layers", bad[i], NULL);
        g_assert_cmpint(gst_element_set_state(element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
        test_assert_error(element, "gst-resource-error-quark 13", "within 0-3", NULL);
        test_element_free(element);
    }
    GstElement *element = test_element("seamencoder", "/nowhere/none.seam");
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    test_assert_error(element, "/nowhere/none.seam", NULL);
    test_element_free(element);
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

static void test_states(Fixture *f, gconstpointer data)
{
    f->h = harness(f, "all");
    for (int i = 0; i < 5; i++) {
        set_caps(f, f->h, 0);
        gst_buffer_unref(gst_harness_push_and_pull(f->h, tokens(f, 8)));
        g_assert_cmpint(gst_element_set_state(f->h->element, i % 2 ? GST_STATE_NULL : GST_STATE_READY), ==, GST_STATE_CHANGE_SUCCESS);
        gst_harness_play(f->h);
    }
}

// A property that is set while the model runs holds from the next start on.
static void test_properties(Fixture *f, gconstpointer data)
{
    f->h = harness(f, "0-1");
    g_autofree char *layers = NULL;
    g_object_set(f->h->element, "layers", "0-2", NULL);
    g_object_get(f->h->element, "layers", &layers, NULL);
    g_assert_cmpstr(layers, ==, "0-2");
    for (int32_t last = 2; last <= 3; last++) {
        set_caps(f, f->h, 0);
        GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
        int done = 0;
        gst_structure_get_int(gst_caps_get_structure(caps, 0), "layers", &done);
        gst_caps_unref(caps);
        g_assert_cmpint(done, ==, last);
        gst_element_set_state(f->h->element, GST_STATE_READY);
        gst_harness_play(f->h);
    }
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
#define ADD(name, function) g_test_add("/encoder/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("all", test_all);
    ADD("split", test_split);
    g_test_add("/encoder/quantised", Fixture, GINT_TO_POINTER(TEST_BUNDLE_I8), set_up, test_quantised, tear_down);
    g_test_add("/encoder/quantised-pipeline", Fixture, GINT_TO_POINTER(TEST_BUNDLE_I8 | TEST_BUNDLE_MIXERS), set_up, test_mixers_pipeline, tear_down);
    ADD("not-writable", test_not_writable);
    ADD("sizes", test_sizes);
    ADD("keep", test_keep);
    ADD("keep-pictures", test_keep_pictures);
    ADD("deadline", test_deadline);
    ADD("events", test_events);
    ADD("caps-change", test_caps_change);
    g_test_add("/encoder/carry", Fixture, GINT_TO_POINTER(TEST_BUNDLE_SCAN), set_up, test_carry, tear_down);
    g_test_add("/encoder/carry-ends", Fixture, GINT_TO_POINTER(TEST_BUNDLE_SCAN), set_up, test_carry_ends, tear_down);
    g_test_add("/encoder/mixers", Fixture, GINT_TO_POINTER(TEST_BUNDLE_MIXERS), set_up, test_mixers, tear_down);
    g_test_add("/encoder/mixers-pipeline", Fixture, GINT_TO_POINTER(TEST_BUNDLE_MIXERS), set_up, test_mixers_pipeline, tear_down);
    ADD("order-refused", test_order_refused);
    ADD("other-model", test_other_model);
    ADD("bad-buffers", test_bad_buffers);
    ADD("too-long", test_too_long);
    ADD("bad-layers", test_bad_layers);
    ADD("states", test_states);
    ADD("properties", test_properties);
    return g_test_run();
}
