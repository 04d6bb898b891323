// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamtextembed: the same tokens as core makes, texts of any length and bytes of any kind, silence, and input that is wrong. Long texts go on through
// encoders that remember, to a verdict.
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"

enum { MOST_WORDS = 8, LONG = 50000 };

static char *bundle, *scanning; // of models without and with layers that scan

typedef struct {
    GstHarness *h;
} Fixture;

// data: of a model that scans.
static void set_up(Fixture *f, gconstpointer data)
{
    f->h = test_harness("seamtextembed", "sink", "src", data ? scanning : bundle);
    gst_harness_set_src_caps_str(f->h, "text/x-raw, format=utf8");
}

static void tear_down(Fixture *f, gconstpointer data) { gst_harness_teardown(f->h); }

static GstFlowReturn push(Fixture *f, const char *text, gsize size, double time)
{
    GstBuffer *buffer = size ? gst_buffer_new_memdup(text, size) : gst_buffer_new();
    GST_BUFFER_PTS(buffer) = isnan(time) ? GST_CLOCK_TIME_NONE : (GstClockTime)llround(time * GST_SECOND);
    return gst_harness_push(f->h, buffer);
}

// The next buffer's tokens, a copy; *n: how many. g_free it.
static float *pull(Fixture *f, double time, gint *n)
{
    GstBuffer *buffer = gst_harness_try_pull(f->h);
    SeamTokens tokens;
    GstMapInfo map;
    char *message = NULL;
    g_assert_nonnull(buffer);
    g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READ, &tokens, &map, &message));
    g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, (GstClockTime)llround(time * GST_SECOND));
    g_assert_cmpfloat_with_epsilon(tokens.seq_time[0], time, 1e-9);
    float *x = g_memdup2(tokens.x, sizeof(float) * (gsize)(tokens.n * tokens.dim));
    *n = tokens.n;
    gst_buffer_unmap(buffer, &map);
    gst_buffer_unref(buffer);
    return x;
}

static void expect_words(Fixture *f, double time, gint words)
{
    gint n;
    g_free(pull(f, time, &n));
    g_assert_cmpint(n, ==, words);
}

static void test_like_core(Fixture *f, gconstpointer data)
{
    const char *text = "Gasfluss zu niedrig — purge the line";
    double time = 1.25;
    TestRun run;
    SeamTokens expected;
    gint n;
    SeamModel *model = test_model(bundle);
    test_run_init(&run);
    g_assert_cmpint(seam_model_embed_texts(model, &run.run, TEST_TEXT, 1, &text, &time, &expected, NULL), ==, SEAM_OK);
    g_assert_cmpint(push(f, text, strlen(text), time), ==, GST_FLOW_OK);
    g_autofree float *x = pull(f, time, &n);
    g_assert_cmpint(n, ==, 7);
    g_assert_cmpmem(x, sizeof(float) * (gsize)(n * model->config.dim), expected.x, sizeof(float) * (gsize)(expected.n * expected.dim));
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
    GstSeamTokensInfo info;
    char *message = NULL;
    g_assert_true(gst_seam_tokens_info_from_caps(&info, caps, &model->config, model->fingerprint, &message));
    g_assert_cmpint(info.modality, ==, TEST_TEXT);
    gst_caps_unref(caps);
    test_run_clear(&run);
    seam_model_free(model);
}

static void test_times(Fixture *f, gconstpointer data)
{
    push(f, "one", 3, 2);
    push(f, "two", 3, NAN); // where the stream is
    expect_words(f, 2, 1);
    expect_words(f, 2, 1);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = segment.time = 10 * GST_SECOND;
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
    push(f, "early", 5, 9);
    g_assert_null(gst_harness_try_pull(f->h));
    push(f, "three", 5, 12);
    expect_words(f, 2, 1);
}

// A log of so many bytes.
static GString *make_log(gsize bytes)
{
    GString *text = g_string_new("first");
    for (int i = 0; text->len < bytes; i++)
        g_string_append_printf(text, " word%d", i);
    return text;
}

static void add_line(GstDebugCategory *category, GstDebugLevel level, const gchar *file, const gchar *function, gint line, GObject *object,
                     GstDebugMessage *message, gpointer lines)
{
    if (level == GST_LEVEL_WARNING && g_str_equal(gst_debug_category_get_name(category), "seamtextembed"))
        g_ptr_array_add(lines, g_strdup(gst_debug_message_get(message)));
}

// Without a scan the newest words count, and the log says so once.
static void test_long(Fixture *f, gconstpointer data)
{
    const char *end = "word10 word11 word12 word13 word14 word15 word16 word17";
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    GString *text = make_log(120);
    gint n, m;
    gst_debug_set_threshold_for_name("seamtextembed", GST_LEVEL_WARNING);
    gst_debug_add_log_function(add_line, lines, NULL);
    push(f, text->str, text->len, 0);
    push(f, text->str, text->len, 0);
    push(f, end, strlen(end), 0);
    gst_debug_remove_log_function(add_line);
    gst_debug_unset_threshold_for_name("seamtextembed");
    g_assert_cmpint(lines->len, ==, 1);
    g_assert_nonnull(strstr(g_ptr_array_index(lines, 0), "the newest 8 are read"));
    expect_words(f, 0, MOST_WORDS);
    g_autofree float *x = pull(f, 0, &n), *y = pull(f, 0, &m);
    g_assert_cmpint(n, ==, MOST_WORDS);
    g_assert_cmpint(m, ==, MOST_WORDS);
    g_assert_cmpmem(x, sizeof(float) * 24 * MOST_WORDS, y, sizeof(float) * 24 * MOST_WORDS);
    g_assert_null(gst_harness_try_pull(f->h));
    g_string_free(text, TRUE);
}

// One word that never ends is one word.
static void test_endless(Fixture *f, gconstpointer data)
{
    g_autofree char *text = g_strnfill(2 * LONG, 'x');
    push(f, text, 2 * LONG, 1);
    expect_words(f, 1, 1);
}

// With a scan all words come, chunk after chunk; the first is the short one, and all but the last are marked.
static void test_chunks(Fixture *f, gconstpointer data)
{
    GString *text = make_log(LONG);
    const char *all = text->str;
    double time = 3;
    TestRun run;
    SeamTokens expected;
    gint n = 0, at = 0;
    SeamModel *model = test_model(scanning);
    test_run_init(&run);
    g_assert_cmpint(seam_model_embed_texts(model, &run.run, TEST_TEXT, 1, &all, &time, &expected, NULL), ==, SEAM_OK);
    g_assert_cmpint(push(f, text->str, text->len, time), ==, GST_FLOW_OK);
    gint chunks = (gint)gst_harness_buffers_in_queue(f->h);
    g_assert_cmpint(chunks, ==, expected.seqs);
    g_assert_cmpint(chunks, ==, (expected.n + MOST_WORDS - 1) / MOST_WORDS);
    for (gint i = 0; i < chunks; i++, at += n) {
        GstBuffer *buffer = gst_harness_pull(f->h);
        GstMapInfo map;
        const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
        n = meta->tokens.n;
        g_assert_cmpint(meta->more, ==, i + 1 < chunks);
        g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, 3 * GST_SECOND);
        g_assert_cmpint(n, ==, i == 0 ? (expected.n - 1) % MOST_WORDS + 1 : MOST_WORDS);
        g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
        for (gint k = 0; k < n * expected.dim; k++)
            g_assert_cmpfloat_with_epsilon(((float *)(void *)map.data)[k], expected.x[at * expected.dim + k], 1e-5);
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
    g_assert_cmpint(at, ==, expected.n);
    push(f, "a short one", 11, 4);
    GstBuffer *buffer = gst_harness_pull(f->h);
    g_assert_false(gst_buffer_get_seam_tokens_meta(buffer)->more);
    gst_buffer_unref(buffer);
    g_string_free(text, TRUE);
    test_run_clear(&run);
    seam_model_free(model);
}

static void test_any_bytes(Fixture *f, gconstpointer data)
{
    push(f, "a\0b \xff\xfe\xc3", 7, 0);
    expect_words(f, 0, 3);
    push(f, "", 0, 1);
    push(f, " \n\t ", 4, 2);
    g_assert_null(gst_harness_try_pull(f->h));
    push(f, "on", 2, 3);
    expect_words(f, 3, 1);
}

static void test_silence(Fixture *f, gconstpointer data)
{
    GstClockTime time, duration;
    gst_harness_push_event(f->h, gst_event_new_gap(2 * GST_SECOND, 3 * GST_SECOND));
    GstEvent *event = test_pull_event(f->h, GST_EVENT_GAP);
    g_assert_nonnull(event);
    gst_event_parse_gap(event, &time, &duration);
    g_assert_cmpuint(time, ==, 2 * GST_SECOND);
    g_assert_cmpuint(duration, ==, 3 * GST_SECOND);
    gst_event_unref(event);
    gst_harness_push_event(f->h, gst_event_new_eos());
    g_assert_nonnull(test_pull_event(f->h, GST_EVENT_EOS));
}

static void test_flush(Fixture *f, gconstpointer data)
{
    GstSegment segment;
    push(f, "one", 3, 5);
    expect_words(f, 5, 1);
    gst_harness_push_event(f->h, gst_event_new_flush_start());
    gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
    g_assert_cmpint(push(f, "two", 3, NAN), ==, GST_FLOW_OK);
    expect_words(f, 0, 1);
}

static GstPadProbeReturn flush_at_third(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
    Fixture *f = data;
    if (gst_harness_buffers_in_queue(f->h) == 2)
        gst_harness_push_event(f->h, gst_event_new_flush_start());
    return GST_PAD_PROBE_OK;
}

// A flush in the middle of a long text ends it there; the next one is as if there had been none.
static void test_flush_within(Fixture *f, gconstpointer data)
{
    GString *text = make_log(LONG);
    GstSegment segment;
    GstPad *pad = gst_element_get_static_pad(f->h->element, "src");
    gulong probe = gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, flush_at_third, f, NULL);
    g_assert_cmpint(push(f, text->str, text->len, 5), ==, GST_FLOW_FLUSHING);
    gst_pad_remove_probe(pad, probe);
    gst_object_unref(pad);
    g_assert_cmpint(gst_harness_buffers_in_queue(f->h), ==, 2);
    gst_buffer_unref(gst_harness_pull(f->h));
    gst_buffer_unref(gst_harness_pull(f->h));
    gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
    g_assert_cmpint(push(f, "two words", 9, NAN), ==, GST_FLOW_OK);
    expect_words(f, 0, 2);
    g_string_free(text, TRUE);
}

// A log, then an alarm, through encoders that share the layers, to fusion and verdict: the tokens are those of the newest words, and they know what
// stood in the log's first line.
static GstBuffer *run_log(const char *first)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = g_strdup_printf("appsrc name=in format=time caps=text/x-raw,format=utf8 ! seamtextembed model=%s ! seamencoder layers=0-1 model=%s "
                                            "! queue ! seamencoder layers=2-3 model=%s ! seamfusion model=%s ! tee name=t ! queue ! seamdecoder model=%s ! fakesink "
                                            "t. ! queue ! appsink name=out sync=false", scanning, scanning, scanning, scanning, scanning);
    GstElement *pipeline = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    GstElement *in = gst_bin_get_by_name(GST_BIN(pipeline), "in"), *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
    GString *text = make_log(LONG);
    g_string_prepend(text, first);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBuffer *buffer = gst_buffer_new_memdup(text->str, text->len), *fused = NULL;
    GST_BUFFER_PTS(buffer) = GST_SECOND / 10;
    g_assert_cmpint(gst_app_src_push_buffer(GST_APP_SRC(in), buffer), ==, GST_FLOW_OK);
    g_assert_cmpint(gst_app_src_end_of_stream(GST_APP_SRC(in)), ==, GST_FLOW_OK);
    for (GstSample *sample; (sample = gst_app_sink_pull_sample(GST_APP_SINK(out))); gst_sample_unref(sample)) {
        g_assert_null(fused);
        fused = gst_buffer_ref(gst_sample_get_buffer(sample));
    }
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_true(message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS);
    gst_message_unref(message);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(in);
    gst_object_unref(out);
    gst_object_unref(pipeline);
    g_string_free(text, TRUE);
    g_assert_nonnull(fused);
    return fused;
}

static void test_pipeline(void)
{
    SeamTokens a, b;
    GstMapInfo map_a, map_b;
    GstBuffer *one = run_log("alarm E217\n"), *other = run_log("all is well\n");
    g_assert_true(gst_seam_tokens_map(one, GST_MAP_READ, &a, &map_a, NULL) && gst_seam_tokens_map(other, GST_MAP_READ, &b, &map_b, NULL));
    g_assert_cmpint(a.n, ==, MOST_WORDS);
    g_assert_cmpint(b.n, ==, MOST_WORDS);
    g_assert_true(memcmp(a.x, b.x, sizeof(float) * (gsize)(a.n * a.dim)) != 0);
    gst_buffer_unmap(one, &map_a);
    gst_buffer_unmap(other, &map_b);
    gst_buffer_unref(one);
    gst_buffer_unref(other);
}

static void test_wrong_modality(void)
{
    GstHarness *h = test_harness("seamtextembed", "sink", "src", bundle);
    g_object_set(h->element, "modality", "sound", NULL);
    gst_harness_set_src_caps_str(h, "text/x-raw, format=utf8");
    test_assert_error(h->element, "modality=sound is no text modality", "it has: text", NULL);
    gst_harness_teardown(h);
}

// Marked-up text must be made plain first: no pad link.
static void test_markup(void)
{
    GstElement *element = gst_element_factory_make("seamtextembed", NULL);
    GstPad *pad = gst_element_get_static_pad(element, "sink");
    GstCaps *markup = gst_caps_from_string("text/x-raw, format=pango-markup");
    g_assert_false(gst_pad_query_accept_caps(pad, markup));
    gst_caps_unref(markup);
    gst_object_unref(pad);
    gst_object_unref(element);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*function)(Fixture *, gconstpointer);
        gboolean scans;
    } tests[] = {
        {"like-core", test_like_core, FALSE}, {"times", test_times, FALSE}, {"long", test_long, FALSE}, {"endless", test_endless, TRUE},
        {"chunks", test_chunks, TRUE}, {"any-bytes", test_any_bytes, FALSE}, {"silence", test_silence, FALSE}, {"flush", test_flush, FALSE},
        {"flush-within", test_flush_within, TRUE},
    };
    test_init(&argc, &argv);
    bundle = test_bundle_new(1, TEST_BUNDLE_PLAIN);
    scanning = test_bundle_new(1, TEST_BUNDLE_SCAN);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/textembed/", tests[i].name, NULL);
        g_test_add(path, Fixture, GINT_TO_POINTER(tests[i].scans), set_up, tests[i].function, tear_down);
    }
    g_test_add_func("/textembed/pipeline", test_pipeline);
    g_test_add_func("/textembed/wrong-modality", test_wrong_modality);
    g_test_add_func("/textembed/markup", test_markup);
    int result = g_test_run();
    test_bundle_free(bundle);
    test_bundle_free(scanning);
    return result;
}
