// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamfusion: which data falls into which window, what is done about a stream that is late, silent, empty, ended or flushed, clock offsets,
// and what is refused. Waits are bounded by properties; no test measures time.
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"

enum { INPUTS = 3, FRAME_TOKENS = 17, SENSOR_TOKENS = 6, SOUND_TOKENS = 4, LAYERS = 4 };
enum { ALL = 1 << TEST_VIDEO | 1 << TEST_SENSORS | 1 << TEST_SOUND };
enum { NEVER_MS = 3600000, SOON_MS = 20 };
#define FRAME 0.1 // seconds: five frames a window

typedef struct {
    char *bundle;
    SeamModel *model;
    GstElement *element;
    GstHarness *out, *in[INPUTS]; // in[m] brings modality m
    SeamBank bank; // beside the element's
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->bundle = test_bundle_new(1, TEST_BUNDLE_PLAIN);
    f->model = test_model(f->bundle);
}

static void end(Fixture *f)
{
    for (int i = 0; i < INPUTS; i++)
        g_clear_pointer(&f->in[i], gst_harness_teardown);
    g_clear_pointer(&f->out, test_harness_end);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    end(f);
    seam_model_free(f->model);
    test_bundle_free(f->bundle);
}

// A source without latency that is not live; a harness by itself says that it is.
static gboolean not_live(GstPad *pad, GstObject *parent, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY)
        return gst_pad_query_default(pad, parent, query);
    gst_query_set_latency(query, FALSE, 0, GST_CLOCK_TIME_NONE);
    return TRUE;
}

// Streams that are there may take as long as they want, unless the test says otherwise.
static void begin(Fixture *f, gboolean live)
{
    f->element = test_element("seamfusion", f->bundle);
    g_object_set(f->element, "max-wait", NEVER_MS, "max-start", NEVER_MS, NULL);
    f->out = gst_harness_new_with_element(f->element, NULL, "src");
    for (int i = 0; i < INPUTS; i++) {
        g_autofree char *name = g_strdup_printf("sink_%d", i);
        f->in[i] = gst_harness_new_with_element(f->element, name, NULL);
        if (!live)
            gst_pad_set_query_function(f->in[i]->srcpad, not_live);
    }
    gst_object_unref(f->element);
    gst_harness_play(f->out);
}

static void set_caps(Fixture *f, int32_t m)
{
    gst_harness_set_src_caps(f->in[m], test_tokens_caps(f->model, SEAM_STAGE_ENCODED, m, LAYERS));
}

static void begin_with_caps(Fixture *f, gboolean live)
{
    begin(f, live);
    for (int32_t m = 0; m < INPUTS; m++)
        set_caps(f, m);
}

static GstFlowReturn push(Fixture *f, int32_t m, double time, double step, float level)
{
    static const int32_t n[] = {FRAME_TOKENS, SENSOR_TOKENS, SOUND_TOKENS};
    uint64_t seed = (uint64_t)llround(time * 1000) * 8 + (uint64_t)m;
    return gst_harness_push(f->in[m], test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, m, 1, n[m], time, step, level, seed));
}

// One window of a modality.
static void push_window(Fixture *f, int32_t m, int window)
{
    double start = window * TEST_WINDOW;
    if (m != TEST_VIDEO)
        g_assert_cmpint(push(f, m, start, TEST_WINDOW, 1), ==, GST_FLOW_OK);
    for (int i = 0; m == TEST_VIDEO && i < 5; i++)
        g_assert_cmpint(push(f, m, start + i * FRAME, FRAME, 1), ==, GST_FLOW_OK);
}

static void push_all(Fixture *f, int first, int last, uint32_t modalities)
{
    for (int w = first; w <= last; w++)
        for (int32_t m = 0; m < INPUTS; m++)
            if (modalities >> m & 1)
                push_window(f, m, w);
}

static void push_eos(Fixture *f, uint32_t modalities)
{
    for (int32_t m = 0; m < INPUTS; m++)
        if (modalities >> m & 1)
            gst_harness_push_event(f->in[m], gst_event_new_eos());
}

static void push_gap(Fixture *f, int32_t m, double start, double duration)
{
    GstClockTime time = (GstClockTime)llround(start * GST_SECOND);
    g_assert_true(gst_harness_push_event(f->in[m], gst_event_new_gap(time, (GstClockTime)llround(duration * GST_SECOND))));
}

// The next window's buffer; what is in it and what is missing.
static GstBuffer *pull(Fixture *f, int window, uint32_t present, uint32_t missing)
{
    GstBuffer *buffer = gst_harness_pull(f->out);
    g_assert_nonnull(buffer);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    g_assert_cmpint(meta->stage, ==, SEAM_STAGE_FUSED);
    g_assert_cmpfloat_with_epsilon(meta->window_time, window * TEST_WINDOW, 1e-9);
    g_assert_cmpfloat(meta->window_duration, ==, TEST_WINDOW);
    g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, (guint64)window * GST_SECOND / 2);
    g_assert_cmpuint(meta->present, ==, present);
    g_assert_cmpuint(meta->missing, ==, missing);
    return buffer;
}

static void expect(Fixture *f, int window, uint32_t present, uint32_t missing) { gst_buffer_unref(pull(f, window, present, missing)); }

static GstEvent *wait_event(Fixture *f, GstEventType type)
{
    for (GstEvent *event; (event = gst_harness_pull_event(f->out));) {
        if (GST_EVENT_TYPE(event) == type)
            return event;
        gst_event_unref(event);
    }
    return NULL;
}

static void expect_gap(Fixture *f, double start, double end)
{
    GstEvent *event = wait_event(f, GST_EVENT_GAP);
    GstClockTime time, duration;
    GstGapFlags flags;
    g_assert_nonnull(event);
    gst_event_parse_gap(event, &time, &duration);
    gst_event_parse_gap_flags(event, &flags);
    g_assert_cmpuint(time, ==, (GstClockTime)llround(start * GST_SECOND));
    g_assert_cmpuint(time + duration, ==, (GstClockTime)llround(end * GST_SECOND));
    g_assert_true(flags & GST_GAP_FLAG_MISSING_DATA);
    gst_event_unref(event);
}

static void expect_eos(Fixture *f)
{
    GstEvent *event = wait_event(f, GST_EVENT_EOS);
    g_assert_nonnull(event);
    gst_event_unref(event);
}

static GstStructure *statistics(Fixture *f)
{
    GstBus *bus = gst_element_get_bus(f->element);
    GstMessage *message;
    while ((message = gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_ELEMENT))) {
        if (gst_message_has_name(message, "seam-fusion-stats"))
            break;
        gst_message_unref(message);
    }
    g_assert_nonnull(message);
    GstStructure *structure = gst_structure_copy(gst_message_get_structure(message));
    gst_message_unref(message);
    gst_object_unref(bus);
    return structure;
}

// ---- alignment --------------------------------------------------------------------------------------------------------------------------

static int32_t copy_item(Fixture *f, SeamTokens *in, int32_t m, double time, double step)
{
    static const int32_t n[] = {FRAME_TOKENS, SENSOR_TOKENS, SOUND_TOKENS};
    uint64_t seed = (uint64_t)llround(time * 1000) * 8 + (uint64_t)m;
    GstBuffer *buffer = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, m, 1, n[m], time, step, NAN, seed);
    SeamTokens view;
    GstMapInfo map;
    g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READ, &view, &map, NULL));
    memcpy(in->x + in->n * in->dim, view.x, map.size);
    memcpy(in->place + in->n, view.place, (gsize)view.n * sizeof(SeamPlace));
    in->seq_time[in->seqs++] = time;
    in->seq_start[in->seqs] = in->n += view.n;
    gst_buffer_unmap(buffer, &map);
    gst_buffer_unref(buffer);
    return view.n;
}

// A window by core alone.
static void assert_fused_as_core(Fixture *f, GstBuffer *buffer, int window)
{
    enum { MOST = 128 };
    g_autofree float *x = g_new(float, MOST * f->model->config.dim);
    SeamPlace place[MOST];
    int32_t seq_start[8] = {0}, window_of[8] = {0};
    double seq_time[8], start = window * TEST_WINDOW;
    SeamTokens in = {.dim = f->model->config.dim, .x = x, .seq_start = seq_start, .seq_time = seq_time, .place = place}, out, got;
    for (int i = 0; i < 5; i++)
        copy_item(f, &in, TEST_VIDEO, start + i * FRAME, FRAME);
    copy_item(f, &in, TEST_SENSORS, start, TEST_WINDOW);
    copy_item(f, &in, TEST_SOUND, start, TEST_WINDOW);
    TestRun run;
    GstMapInfo map;
    test_run_init(&run);
    g_assert_cmpint(seam_model_fuse(f->model, &run.run, &in, 1, window_of, &start, &out, NULL), ==, SEAM_OK);
    g_assert_cmpint(seam_model_remember(f->model, &run.run, &f->bank, &out, NULL), ==, SEAM_OK);
    g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READ, &got, &map, NULL));
    g_assert_cmpmem(got.x, map.size, out.x, (gsize)out.n * (gsize)out.dim * sizeof(float));
    g_assert_cmpmem(got.place, (gsize)got.n * sizeof(SeamPlace), out.place, (gsize)out.n * sizeof(SeamPlace));
    gst_buffer_unmap(buffer, &map);
    test_run_clear(&run);
}

static void test_alignment(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 3, ALL);
    push_eos(f, ALL);
    for (int w = 0; w < 4; w++) {
        GstBuffer *buffer = pull(f, w, ALL, 0);
        const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
        assert_fused_as_core(f, buffer, w);
        g_assert_cmpint(meta->n_levels, ==, 7);
        for (int32_t i = 0; i < 7; i++) {
            g_assert_cmpint(meta->level_modality[i], ==, i < 5 ? TEST_VIDEO : i < 6 ? TEST_SENSORS : TEST_SOUND);
            g_assert_true(meta->levels[i].time >= w * TEST_WINDOW - 1e-6 && meta->levels[i].time < (w + 1) * TEST_WINDOW - 1e-6);
        }
        g_assert_cmpint(meta->degraded, ==, 0);
        g_assert_cmpint(meta->clock_reference, ==, TEST_SENSORS);
        gst_buffer_unref(buffer);
    }
    expect_eos(f);
    GstCaps *caps = gst_pad_get_current_caps(f->out->sinkpad), *expected = test_tokens_caps(f->model, SEAM_STAGE_FUSED, -1, 0);
    g_assert_true(gst_caps_is_equal(caps, expected));
    gst_caps_unref(caps);
    gst_caps_unref(expected);
    GstStructure *stats = statistics(f);
    guint64 windows;
    g_assert_true(gst_structure_get_uint64(stats, "windows", &windows));
    g_assert_cmpuint(windows, ==, 4);
    gst_structure_free(stats);
}

// Sequences belong where they begin: exactly at a border to the later window, up to the rounding of nanoseconds. Order of arrival is nothing.
static void test_borders(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push(f, TEST_VIDEO, 0.1, FRAME, NAN);
    push(f, TEST_VIDEO, 0.499, FRAME, NAN);
    push(f, TEST_VIDEO, 0.5, FRAME, NAN);
    push(f, TEST_VIDEO, 0.9999999999, FRAME, NAN);
    push_window(f, TEST_SOUND, 0);
    push_window(f, TEST_SOUND, 1);
    push_window(f, TEST_SENSORS, 0);
    push_window(f, TEST_SENSORS, 1);
    push_eos(f, ALL);
    static const int32_t frames[] = {2, 1, 1};
    for (int w = 0; w < 3; w++) {
        GstBuffer *buffer = pull(f, w, w < 2 ? ALL : 1 << TEST_VIDEO, w < 2 ? 0 : ALL & ~1);
        g_assert_cmpint(gst_buffer_get_seam_tokens_meta(buffer)->tokens.n, ==,
                        frames[w] * FRAME_TOKENS + (w < 2 ? SENSOR_TOKENS + SOUND_TOKENS : 0));
        gst_buffer_unref(buffer);
    }
    expect_eos(f);
}

// The segments' running time counts, not the timestamps.
static void test_segments(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = segment.time = 100 * GST_SECOND;
    segment.base = 500 * GST_MSECOND;
    gst_harness_push_event(f->in[TEST_SOUND], gst_event_new_segment(&segment));
    push_all(f, 1, 2, 1 << TEST_VIDEO | 1 << TEST_SENSORS);
    push(f, TEST_SOUND, 100, TEST_WINDOW, NAN);
    push(f, TEST_SOUND, 100.5, TEST_WINDOW, NAN);
    expect(f, 1, ALL, 0);
    expect(f, 2, ALL, 0);
}

// Several windows of a sensor in one buffer.
static void test_many_sequences(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    const SeamConfig *c = &f->model->config;
    gst_harness_push(f->in[TEST_SENSORS], test_tokens_new(c, SEAM_STAGE_ENCODED, TEST_SENSORS, 3, SENSOR_TOKENS, 0, TEST_WINDOW, 1, 1));
    gst_harness_push(f->in[TEST_SOUND], test_tokens_new(c, SEAM_STAGE_ENCODED, TEST_SOUND, 3, SOUND_TOKENS, 0, TEST_WINDOW, 1, 1));
    for (int w = 0; w < 3; w++) {
        push_window(f, TEST_VIDEO, w);
        expect(f, w, ALL, 0);
    }
}

// What the encoders counted is added up, once a buffer; the highest level of theirs is the window's, their effort where it is the same.
static void test_expert_use(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, 1 << TEST_VIDEO | 1 << TEST_SOUND);
    GstBuffer *buffer = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_SENSORS, 2, SENSOR_TOKENS, 0, 0.25, 1, 1);
    gst_buffer_get_seam_tokens_meta(buffer)->expert_use[3] = 12;
    gst_buffer_get_seam_tokens_meta(buffer)->level = 2;
    gst_buffer_get_seam_tokens_meta(buffer)->effort.merge = 0.5f;
    gst_harness_push(f->in[TEST_SENSORS], buffer);
    buffer = pull(f, 0, ALL, 0);
    g_assert_cmpfloat(gst_buffer_get_seam_tokens_meta(buffer)->expert_use[3], ==, 12);
    g_assert_cmpint(gst_buffer_get_seam_tokens_meta(buffer)->level, ==, 2);
    g_assert_true(isnan(gst_buffer_get_seam_tokens_meta(buffer)->effort.merge));
    gst_buffer_unref(buffer);
    push_all(f, 1, 1, 1 << TEST_VIDEO | 1 << TEST_SENSORS | 1 << TEST_SOUND);
    buffer = pull(f, 1, ALL, 0);
    g_assert_true(seam_effort_same(gst_buffer_get_seam_tokens_meta(buffer)->effort, (SeamEffort){0}));
    gst_buffer_unref(buffer);
}

// Merged tokens of one stream beside whole ones of the others: the window says how many each stands for.
static void test_merged(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, 1 << TEST_VIDEO | 1 << TEST_SOUND);
    GstBuffer *buffer = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_SENSORS, 1, SENSOR_TOKENS, 0, TEST_WINDOW, 1, 1);
    float size[SENSOR_TOKENS];
    for (int32_t i = 0; i < SENSOR_TOKENS; i++)
        size[i] = (float)(1 + i);
    SeamTokens tokens = gst_buffer_get_seam_tokens_meta(buffer)->tokens;
    tokens.size = size;
    gst_seam_tokens_shorten(buffer, &tokens);
    gst_harness_push(f->in[TEST_SENSORS], buffer);
    buffer = pull(f, 0, ALL, 0);
    const SeamTokens *fused = &gst_buffer_get_seam_tokens_meta(buffer)->tokens;
    g_assert_nonnull(fused->size);
    for (int32_t i = 0, sensor = 0; i < fused->n; i++)
        g_assert_true(fused->size[i] == (fused->place[i].modality == TEST_SENSORS ? size[sensor++] : 1));
    gst_buffer_unref(buffer);
}

// ---- missing, late, silent --------------------------------------------------------------------------------------------------------------

// A stream that stops sending costs a wait, then is named and no longer waited for; when it comes back it counts again.
static void check_mask(Fixture *f, gboolean live)
{
    begin_with_caps(f, live);
    push_all(f, 0, 0, ALL);
    expect(f, 0, ALL, 0);
    push_all(f, 1, 2, ALL & ~(1 << TEST_SOUND)); // while patience is endless: pushing may take longer than SOON_MS
    g_object_set(f->element, "max-wait", SOON_MS, "max-start", SOON_MS, NULL);
    expect(f, 1, ALL & ~(1 << TEST_SOUND), 1 << TEST_SOUND);
    expect(f, 2, ALL & ~(1 << TEST_SOUND), 1 << TEST_SOUND);
    g_object_set(f->element, "max-wait", NEVER_MS, "max-start", NEVER_MS, NULL);
    push_window(f, TEST_SOUND, 3);
    push_all(f, 3, 3, ALL & ~(1 << TEST_SOUND));
    expect(f, 3, ALL, 0);
}

static void test_mask_live(Fixture *f, gconstpointer data) { check_mask(f, TRUE); }

static void test_mask_not_live(Fixture *f, gconstpointer data) { check_mask(f, FALSE); }

static void test_skip(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    gst_util_set_object_arg(G_OBJECT(f->element), "missing", "skip");
    push_all(f, 0, 0, ALL);
    expect(f, 0, ALL, 0);
    push_all(f, 1, 1, ALL & ~(1 << TEST_SENSORS));
    g_object_set(f->element, "max-wait", SOON_MS, NULL);
    expect_gap(f, 0.5, 1.0);
    g_object_set(f->element, "max-wait", NEVER_MS, NULL);
    push_all(f, 2, 2, ALL);
    expect(f, 2, ALL, 0);
    push_eos(f, ALL);
    expect_eos(f);
    guint64 skipped;
    GstStructure *stats = statistics(f);
    g_assert_true(gst_structure_get_uint64(stats, "skipped", &skipped));
    g_assert_cmpuint(skipped, ==, 1);
    gst_structure_free(stats);
}

// Nothing leaves while a stream is waited for; a change of mind lets it go.
static void test_wait(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    gst_util_set_object_arg(G_OBJECT(f->element), "missing", "wait");
    g_object_set(f->element, "max-wait", 0, "max-start", 0, NULL);
    push_all(f, 0, 1, ALL & ~(1 << TEST_SENSORS));
    g_usleep(100000);
    g_assert_cmpuint(gst_harness_buffers_received(f->out), ==, 0);
    push_window(f, TEST_SENSORS, 0);
    expect(f, 0, ALL, 0);
    g_assert_cmpuint(gst_harness_buffers_received(f->out), ==, 1);
    gst_util_set_object_arg(G_OBJECT(f->element), "missing", "mask");
    expect(f, 1, ALL & ~(1 << TEST_SENSORS), 1 << TEST_SENSORS);
}

// A pad that is linked and never gets as much as caps: known to be the one stream that nobody else brings.
static void test_never_started(Fixture *f, gconstpointer data)
{
    begin(f, TRUE);
    set_caps(f, TEST_VIDEO);
    set_caps(f, TEST_SENSORS);
    push_all(f, 0, 2, ALL & ~(1 << TEST_SOUND));
    g_object_set(f->element, "max-wait", SOON_MS, "max-start", SOON_MS, NULL);
    for (int w = 0; w < 3; w++)
        expect(f, w, ALL & ~(1 << TEST_SOUND), 1 << TEST_SOUND);
    push_eos(f, ALL & ~(1 << TEST_SOUND));
    expect_eos(f); // not even the end waits for it
}

// A gap event says at once what waiting would only find out: with endless patience the window is decided.
static void test_gap_event(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, ALL);
    expect(f, 0, ALL, 0);
    push_gap(f, TEST_SOUND, 0.5, 0.5);
    push_all(f, 1, 1, ALL & ~(1 << TEST_SOUND));
    expect(f, 1, ALL & ~(1 << TEST_SOUND), 1 << TEST_SOUND);
    push_all(f, 2, 2, ALL);
    expect(f, 2, ALL, 0);
}

// Nothing at all for a while is one gap, of whole windows.
static void test_gap_everywhere(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, ALL);
    expect(f, 0, ALL, 0);
    for (int32_t m = 0; m < INPUTS; m++)
        push_gap(f, m, 0.5, 4.5);
    push_all(f, 10, 10, ALL);
    expect(f, 10, ALL, 0);
    expect_gap(f, 0.5, 5.0);
}

// A window of a sensor in which nothing was valid comes as an empty sequence: not present.
static void test_empty_sequences(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, ALL & ~(1 << TEST_SENSORS));
    gst_harness_push(f->in[TEST_SENSORS], test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_SENSORS, 1, 0, 0, TEST_WINDOW, NAN, 1));
    expect(f, 0, ALL & ~(1 << TEST_SENSORS), 1 << TEST_SENSORS);
}

// One stream ends: nobody waits for it.
static void test_eos_of_one(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, ALL);
    push_eos(f, 1 << TEST_VIDEO);
    push_all(f, 1, 2, ALL & ~(1 << TEST_VIDEO));
    expect(f, 0, ALL, 0);
    expect(f, 1, ALL & ~(1 << TEST_VIDEO), 1 << TEST_VIDEO);
    expect(f, 2, ALL & ~(1 << TEST_VIDEO), 1 << TEST_VIDEO);
    push_eos(f, ALL & ~(1 << TEST_VIDEO));
    expect_eos(f);
}

// All end in the middle of a window: what there is is decided. And streams without any data end, too.
static void test_eos(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push(f, TEST_VIDEO, 0.1, FRAME, NAN);
    push_eos(f, ALL);
    expect(f, 0, 1 << TEST_VIDEO, ALL & ~(1 << TEST_VIDEO));
    expect_eos(f);
}

// Pads that are asked for and not linked yet, as from a decodebin, are no end.
static void test_not_linked_yet(Fixture *f, gconstpointer data)
{
    f->element = test_element("seamfusion", f->bundle);
    f->out = gst_harness_new_with_element(f->element, NULL, "src");
    gst_object_unref(f->element);
    gst_harness_play(f->out);
    GstPad *early = gst_element_request_pad_simple(f->element, "sink_7");
    for (int linked = 0; linked < 2; linked++) {
        if (linked)
            f->in[TEST_SOUND] = gst_harness_new_with_element(f->element, "sink_2", NULL);
        g_object_set(f->element, "max-wait", 0, "max-start", 0, NULL); // wakes the task
        g_usleep(linked ? 1200000 : 50000); // two windows are the least patience with a stream that has shown itself
        g_assert_null(test_pull_event(f->out, GST_EVENT_EOS));
    }
    g_object_set(f->element, "max-wait", NEVER_MS, "max-start", NEVER_MS, NULL);
    set_caps(f, TEST_SOUND);
    push_window(f, TEST_SOUND, 0);
    expect(f, 0, 1 << TEST_SOUND, 0);
    gst_element_release_request_pad(f->element, early);
    gst_object_unref(early);
}

static void test_eos_without_data(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_eos(f, ALL);
    expect_eos(f);
    g_assert_cmpuint(gst_harness_buffers_received(f->out), ==, 0);
}

// Data after its window was decided is dropped; the first time it is said aloud.
static void test_late(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, ALL);
    push_all(f, 1, 1, ALL & ~(1 << TEST_SOUND));
    g_object_set(f->element, "max-wait", 0, NULL);
    expect(f, 0, ALL, 0);
    expect(f, 1, ALL & ~(1 << TEST_SOUND), 1 << TEST_SOUND);
    push_window(f, TEST_SOUND, 1);
    g_autofree char *warning = test_warning(f->element);
    g_assert_nonnull(warning);
    g_assert_nonnull(strstr(warning, "sound"));
    g_assert_nonnull(strstr(warning, "raise max-wait"));
    g_object_set(f->element, "max-wait", NEVER_MS, NULL);
    push_all(f, 2, 2, ALL);
    GstBuffer *buffer = pull(f, 2, ALL, 0);
    g_assert_cmpint(gst_buffer_get_seam_tokens_meta(buffer)->tokens.n, ==, 5 * FRAME_TOKENS + SENSOR_TOKENS + SOUND_TOKENS);
    gst_buffer_unref(buffer);
}

// A photograph that does not come is no fault.
static void test_sparse(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    GstHarness *photo = gst_harness_new_with_element(f->element, "sink_3", NULL);
    gst_harness_set_src_caps(photo, test_tokens_caps(f->model, SEAM_STAGE_ENCODED, TEST_PHOTO, LAYERS));
    push_all(f, 0, 0, ALL);
    expect(f, 0, ALL, 0);
    gst_harness_push(photo, test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_PHOTO, 1, 17, 0.7, 0.1, NAN, 1));
    push_all(f, 1, 1, ALL);
    expect(f, 1, ALL | 1 << TEST_PHOTO, 0);
    gst_harness_teardown(photo);
}

// More tokens than allowed: every other sequence goes, and the meta says so.
static void test_max_tokens(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    g_object_set(f->element, "max-tokens", 70, NULL);
    push_all(f, 0, 0, ALL);
    GstBuffer *buffer = gst_harness_pull(f->out);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    g_assert_cmpint(meta->tokens.n, <=, 70);
    g_assert_cmpint(meta->tokens.n, >, 0);
    g_assert_cmpint(meta->degraded, ==, 1);
    gst_buffer_unref(buffer);
}

// ---- flush, seek, events, queries -------------------------------------------------------------------------------------------------------

static void flush(GstHarness *h)
{
    gst_harness_push_event(h, gst_event_new_flush_start());
    gst_harness_push_event(h, gst_event_new_flush_stop(TRUE));
}

static void push_new_segment(GstHarness *h)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(h, gst_event_new_segment(&segment));
}

// All inputs at once, as after a seek of one demuxer: a new stream begins, and nothing of the old is left in it.
static void test_flush_all(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 6, 6, ALL);
    expect(f, 6, ALL, 0);
    push(f, TEST_VIDEO, 3.5, FRAME, 1);
    for (int32_t m = 0; m < INPUTS; m++)
        gst_harness_push_event(f->in[m], gst_event_new_flush_start());
    for (int32_t m = 0; m < INPUTS; m++) {
        gst_harness_push_event(f->in[m], gst_event_new_flush_stop(TRUE));
        push_new_segment(f->in[m]);
    }
    push_all(f, 0, 1, ALL);
    expect(f, 0, ALL, 0);
    expect(f, 1, ALL, 0);
    GstEvent *stop = wait_event(f, GST_EVENT_FLUSH_STOP);
    g_assert_nonnull(stop);
    gst_event_unref(stop);
}

// Windows read what the ones before them left, until the stream begins anew.
static void test_bank(Fixture *f, gconstpointer data)
{
    seam_model_free(f->model);
    test_bundle_free(f->bundle);
    f->bundle = test_bundle_new(1, TEST_BUNDLE_BANK);
    f->model = test_model(f->bundle);
    g_assert_true(seam_bank_init(&f->bank, &f->model->config));
    begin_with_caps(f, TRUE);
    for (int round = 0; round < 2; round++) {
        push_all(f, 0, 2, ALL);
        for (int w = 0; w < 3; w++) {
            GstBuffer *buffer = pull(f, w, ALL, 0);
            assert_fused_as_core(f, buffer, w);
            gst_buffer_unref(buffer);
        }
        for (int32_t m = 0; m < INPUTS; m++)
            gst_harness_push_event(f->in[m], gst_event_new_flush_start());
        for (int32_t m = 0; m < INPUTS; m++) {
            gst_harness_push_event(f->in[m], gst_event_new_flush_stop(TRUE));
            push_new_segment(f->in[m]);
        }
        seam_bank_reset(&f->bank);
    }
    seam_bank_clear(&f->bank);
}

// One input: what it had waiting is gone, the others go on.
static void test_flush_one(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, ALL);
    expect(f, 0, ALL, 0);
    push(f, TEST_SOUND, 0.5, 0.25, 1);
    flush(f->in[TEST_SOUND]);
    push_new_segment(f->in[TEST_SOUND]);
    push(f, TEST_SOUND, 0.75, 0.25, 1);
    push_all(f, 1, 1, ALL & ~(1 << TEST_SOUND));
    GstBuffer *buffer = pull(f, 1, ALL, 0);
    g_assert_cmpint(gst_buffer_get_seam_tokens_meta(buffer)->tokens.n, ==, 5 * FRAME_TOKENS + SENSOR_TOKENS + SOUND_TOKENS);
    gst_buffer_unref(buffer);
}

// A seek from downstream reaches sources of their own, each of which flushes by itself.
static gboolean seek_of_source(GstPad *pad, GstObject *parent, GstEvent *event)
{
    gboolean seek = GST_EVENT_TYPE(event) == GST_EVENT_SEEK;
    gst_event_unref(event);
    if (!seek)
        return TRUE;
    gst_pad_push_event(pad, gst_event_new_flush_start());
    gst_pad_push_event(pad, gst_event_new_flush_stop(TRUE));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    return gst_pad_push_event(pad, gst_event_new_segment(&segment));
}

static void test_seek(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    for (int32_t m = 0; m < INPUTS; m++)
        gst_pad_set_event_function(f->in[m]->srcpad, seek_of_source);
    push_all(f, 6, 6, ALL);
    expect(f, 6, ALL, 0);
    push(f, TEST_VIDEO, 3.5, FRAME, 1);
    g_assert_true(gst_harness_push_upstream_event(f->out, gst_event_new_seek(1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0,
                                                                            GST_SEEK_TYPE_NONE, 0)));
    push_all(f, 0, 1, ALL);
    expect(f, 0, ALL, 0);
    expect(f, 1, ALL, 0);
    int stops = 0;
    for (GstEvent *stop; (stop = test_pull_event(f->out, GST_EVENT_FLUSH_STOP)); stops++)
        gst_event_unref(stop);
    g_assert_cmpint(stops, ==, 1);
}

// A weld's begin and end travel between windows, with the time at which they came.
static void test_custom_event(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 0, ALL);
    expect(f, 0, ALL, 0);
    gst_harness_push_event(f->in[TEST_VIDEO],
                           gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_new("seam-weld", "begin", G_TYPE_BOOLEAN, TRUE, NULL)));
    GstEvent *event = wait_event(f, GST_EVENT_CUSTOM_DOWNSTREAM);
    double time;
    g_assert_true(gst_event_has_name(event, "seam-weld"));
    g_assert_true(gst_structure_get_double(gst_event_get_structure(event), "time", &time));
    g_assert_cmpfloat_with_epsilon(time, 0.5, 1e-6);
    gst_event_unref(event);
}

static GstClockTime latency(Fixture *f, gboolean *live)
{
    GstClockTime least, most;
    GstQuery *query = gst_query_new_latency();
    g_assert_true(gst_pad_peer_query(f->out->sinkpad, query));
    gst_query_parse_latency(query, live, &least, &most);
    gst_query_unref(query);
    return least;
}

// The slowest input, a window, and, live, the wait.
static void test_latency_live(Fixture *f, gconstpointer data)
{
    gboolean live;
    begin_with_caps(f, TRUE);
    g_object_set(f->element, "max-wait", 150, NULL);
    gst_harness_set_upstream_latency(f->in[TEST_SOUND], 30 * GST_MSECOND);
    gst_harness_set_upstream_latency(f->in[TEST_VIDEO], 10 * GST_MSECOND);
    g_assert_cmpuint(latency(f, &live), ==, (30 + 500 + 150) * GST_MSECOND);
    g_assert_true(live);
    gst_util_set_object_arg(G_OBJECT(f->element), "missing", "wait");
    g_assert_cmpuint(latency(f, &live), ==, (30 + 500) * GST_MSECOND);
}

static void test_latency_not_live(Fixture *f, gconstpointer data)
{
    gboolean live;
    begin_with_caps(f, FALSE);
    g_assert_cmpuint(latency(f, &live), ==, 500 * GST_MSECOND);
    g_assert_false(live);
}

// ---- clock offsets ----------------------------------------------------------------------------------------------------------------------

// Arcs of uneven lengths, so that no other lag fits as well.
static float arc(double time)
{
    static const double edges[] = {1.0, 2.3, 3.1, 5.2, 6.0, 6.9, 8.5, 9.1, 1e9};
    int edge = 0;
    while (time >= edges[edge])
        edge++;
    return edge % 2 ? 100 : 0;
}

// 10 s in which the camera's clock is `offset` late; windows are pulled as they come. The last window's buffer.
static GstBuffer *run_arcs(Fixture *f, double offset, int windows)
{
    enum { FRAMES = 25 }; // a window, at 50 Hz
    GstBuffer *last = NULL;
    for (int w = 0; w < windows; w++) {
        push_window(f, TEST_SOUND, w);
        for (int i = 0; i < FRAMES; i++) {
            double time = w * TEST_WINDOW + i * 0.02;
            GstBuffer *sensors = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_SENSORS, 1, 1, time, 0.02, arc(time), 1);
            GstBuffer *video = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_VIDEO, 1, 1, time, 0.02, arc(time - offset) / 255, 1);
            g_assert_cmpint(gst_harness_push(f->in[TEST_SENSORS], sensors), ==, GST_FLOW_OK);
            g_assert_cmpint(gst_harness_push(f->in[TEST_VIDEO], video), ==, GST_FLOW_OK);
        }
        while (gst_harness_buffers_in_queue(f->out) > 0) {
            gst_clear_buffer(&last);
            last = gst_harness_pull(f->out);
        }
    }
    push_eos(f, ALL);
    expect_eos(f);
    while (gst_harness_buffers_in_queue(f->out) > 0) {
        gst_clear_buffer(&last);
        last = gst_harness_pull(f->out);
    }
    return last;
}

static void test_offset_measured(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    GstBuffer *last = run_arcs(f, 0.3, 20);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(last);
    g_assert_cmpint(meta->clock_reference, ==, TEST_SENSORS);
    g_assert_cmpfloat_with_epsilon(meta->clock_offset[TEST_VIDEO], 0.3, 0.03);
    g_assert_true(isnan(meta->clock_offset[TEST_SENSORS]));
    g_assert_true(isnan(meta->clock_offset[TEST_SOUND])); // its level never changes
    for (int32_t i = 0; i < meta->n_levels; i++)          // nothing is moved unasked
        g_assert_cmpfloat(meta->levels[i].time, >=, meta->window_time - 1e-6);
    gst_buffer_unref(last);
}

// Asked to, it moves the camera's tokens and levels onto the reference's clock.
static void test_offset_corrected(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    g_object_set(f->element, "correct-offset", TRUE, NULL);
    GstBuffer *last = run_arcs(f, 0.3, 20);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(last);
    g_assert_cmpfloat_with_epsilon(meta->clock_offset[TEST_VIDEO], 0.3, 0.03);
    int32_t frames = 0;
    for (int32_t i = 0; i < meta->n_levels; i++)
        frames += meta->level_modality[i] == TEST_VIDEO;
    g_assert_cmpint(frames, >=, 8); // the camera's last 0.3 s belong to the time before; 25 frames otherwise
    g_assert_cmpint(frames, <=, 12);
    gst_buffer_unref(last);
}

// ---- what is refused --------------------------------------------------------------------------------------------------------------------

static void test_other_model(Fixture *f, gconstpointer data)
{
    char *bundle = test_bundle_new(2, TEST_BUNDLE_PLAIN);
    SeamModel *other = test_model(bundle);
    begin(f, TRUE);
    set_caps(f, TEST_VIDEO);
    gst_harness_set_src_caps(f->in[TEST_SOUND], test_tokens_caps(other, SEAM_STAGE_ENCODED, TEST_SOUND, LAYERS));
    g_assert_cmpint(push(f, TEST_SOUND, 0, TEST_WINDOW, 1), ==, GST_FLOW_NOT_NEGOTIATED);
    test_assert_error(f->element, "gst-core-error-quark 7", "sink_2", "sound branch", other->fingerprint, f->model->fingerprint,
                      "the same model=", NULL);
    seam_model_free(other);
    test_bundle_free(bundle);
}

static void test_bad_caps(Fixture *f, gconstpointer data)
{
    static const struct {
        SeamStage stage;
        int32_t layers;
        const char *words[2];
    } bad[] = {
        {SEAM_STAGE_EMBEDDED, 0, {"stage \"embedded\"", "put a seamencoder before"}},
        {SEAM_STAGE_ENCODED, 2, {"2 of 4 encoder layers", "add seamencoder layers=2-3"}},
        {SEAM_STAGE_FUSED, 0, {"stage \"fused\"", "must be \"encoded\""}},
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        Fixture one = *f;
        begin(&one, TRUE);
        gst_harness_set_src_caps(one.in[0], test_tokens_caps(f->model, bad[i].stage, TEST_VIDEO, bad[i].layers));
        g_assert_cmpint(push(&one, TEST_VIDEO, 0, FRAME, 1), ==, GST_FLOW_NOT_NEGOTIATED);
        test_assert_error(one.element, "gst-core-error-quark 7", "sink_0", bad[i].words[0], bad[i].words[1], NULL);
        end(&one);
    }
}

static void test_twins(Fixture *f, gconstpointer data)
{
    begin(f, TRUE);
    set_caps(f, TEST_VIDEO);
    gst_harness_set_src_caps(f->in[TEST_SOUND], test_tokens_caps(f->model, SEAM_STAGE_ENCODED, TEST_VIDEO, LAYERS));
    gst_harness_push(f->in[TEST_SOUND], test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_VIDEO, 1, 17, 0, FRAME, 1, 1));
    test_assert_error(f->element, "gst-core-error-quark 7", "sink_2: sink_0 brings the modality \"video\" already", NULL);
}

static void test_bad_buffers(Fixture *f, gconstpointer data)
{
    GstBuffer *bad[5];
    static const char *const words[] = {"no SeamTokensMeta", "bytes", "wide", "modality 0", "must be 0 or more"};
    SeamConfig *wide = g_new(SeamConfig, 1);
    *wide = f->model->config;
    wide->dim = 32;
    begin_with_caps(f, TRUE);
    bad[0] = gst_buffer_new_allocate(NULL, 96, NULL);
    bad[1] = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_SOUND, 1, 4, 0, FRAME, 1, 1);
    gst_buffer_set_size(bad[1], 100);
    bad[2] = test_tokens_new(wide, SEAM_STAGE_ENCODED, TEST_SOUND, 1, 4, 0, FRAME, 1, 1);
    bad[3] = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_VIDEO, 1, 4, 0, FRAME, 1, 1);
    bad[4] = test_tokens_new(&f->model->config, SEAM_STAGE_ENCODED, TEST_SOUND, 1, 4, 0, FRAME, 1, 1);
    gst_buffer_get_seam_tokens_meta(bad[4])->tokens.seq_time[0] = NAN;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(gst_harness_push(f->in[TEST_SOUND], bad[i]), ==, GST_FLOW_ERROR);
        test_assert_error(f->element, "gst-stream-error-quark", "sink_2 (sound)", words[i], NULL);
    }
    g_free(wide);
}

static void test_bad_model(Fixture *f, gconstpointer data)
{
    GstElement *element = test_element("seamfusion", "/nowhere/none.seam");
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    test_assert_error(element, "gst-resource-error-quark", "/nowhere/none.seam", NULL);
    test_element_free(element);
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

static void test_states(Fixture *f, gconstpointer data)
{
    begin(f, TRUE);
    for (int i = 0; i < 4; i++) {
        for (int32_t m = 0; m < INPUTS; m++)
            set_caps(f, m);
        push_all(f, 0, 0, ALL);
        expect(f, 0, ALL, 0);
        push(f, TEST_VIDEO, 0.5, FRAME, 1); // stays behind
        g_assert_cmpint(gst_element_set_state(f->element, i % 2 ? GST_STATE_NULL : GST_STATE_READY), ==, GST_STATE_CHANGE_SUCCESS);
        gst_harness_play(f->out);
    }
}

static gpointer push_far_ahead(gpointer data)
{
    Fixture *f = data;
    GstFlowReturn flow = GST_FLOW_OK;
    for (int w = 0; w < 100 && flow == GST_FLOW_OK; w++)
        flow = push(f, TEST_VIDEO, w * TEST_WINDOW, TEST_WINDOW, 1);
    return GINT_TO_POINTER(flow);
}

// A stream that is far ahead blocks, and is let go when the element stops.
static void test_stop_while_blocked(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    GThread *thread = g_thread_new("ahead", push_far_ahead, f);
    push_window(f, TEST_SOUND, 0);
    g_usleep(50000);
    gst_element_set_state(f->element, GST_STATE_NULL);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, GST_FLOW_FLUSHING);
}

// An input is taken away while the others wait for it.
static void test_release(Fixture *f, gconstpointer data)
{
    begin_with_caps(f, TRUE);
    push_all(f, 0, 1, ALL & ~(1 << TEST_SOUND));
    g_clear_pointer(&f->in[TEST_SOUND], gst_harness_teardown); // releases the pad
    expect(f, 0, ALL & ~(1 << TEST_SOUND), 0);
    expect(f, 1, ALL & ~(1 << TEST_SOUND), 0);
}

static void test_properties(Fixture *f, gconstpointer data)
{
    GstElement *element = test_element("seamfusion", f->bundle);
    guint max_wait, max_start, max_tokens;
    int missing;
    gboolean correct;
    g_object_get(element, "max-wait", &max_wait, "max-start", &max_start, "max-tokens", &max_tokens, "missing", &missing, "correct-offset",
                 &correct, NULL);
    g_assert_cmpuint(max_wait, ==, 200);
    g_assert_cmpuint(max_start, ==, 2000);
    g_assert_cmpuint(max_tokens, ==, 4096);
    g_assert_cmpint(missing, ==, 2); // mask
    g_assert_false(correct);
    test_element_free(element);
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
#define ADD(name, function) g_test_add("/fusion/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("alignment", test_alignment);
    ADD("borders", test_borders);
    ADD("segments", test_segments);
    ADD("many-sequences", test_many_sequences);
    ADD("expert-use", test_expert_use);
    ADD("merged", test_merged);
    ADD("mask-live", test_mask_live);
    ADD("mask-not-live", test_mask_not_live);
    ADD("skip", test_skip);
    ADD("wait", test_wait);
    ADD("never-started", test_never_started);
    ADD("gap-event", test_gap_event);
    ADD("gap-everywhere", test_gap_everywhere);
    ADD("empty-sequences", test_empty_sequences);
    ADD("eos-of-one", test_eos_of_one);
    ADD("eos", test_eos);
    ADD("not-linked-yet", test_not_linked_yet);
    ADD("eos-without-data", test_eos_without_data);
    ADD("late", test_late);
    ADD("sparse", test_sparse);
    ADD("max-tokens", test_max_tokens);
    ADD("flush-all", test_flush_all);
    ADD("bank", test_bank);
    ADD("flush-one", test_flush_one);
    ADD("seek", test_seek);
    ADD("custom-event", test_custom_event);
    ADD("latency-live", test_latency_live);
    ADD("latency-not-live", test_latency_not_live);
    ADD("offset-measured", test_offset_measured);
    ADD("offset-corrected", test_offset_corrected);
    ADD("other-model", test_other_model);
    ADD("bad-caps", test_bad_caps);
    ADD("twins", test_twins);
    ADD("bad-buffers", test_bad_buffers);
    ADD("bad-model", test_bad_model);
    ADD("states", test_states);
    ADD("stop-while-blocked", test_stop_while_blocked);
    ADD("release", test_release);
    ADD("properties", test_properties);
    return g_test_run();
}
