// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamtextembed: the same tokens as core makes, texts of any length and bytes of any kind, silence, and input that is wrong.
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"

enum { MOST_WORDS = 8, MOST_BYTES = 65536 };

static char *bundle;

typedef struct {
    GstHarness *h;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->h = test_harness("seamtextembed", "sink", "src", bundle);
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

// Of many words the last ones count; of very many bytes the last ones are looked at, from a word's beginning.
static void test_long(Fixture *f, gconstpointer data)
{
    GString *text = g_string_new("first");
    for (int i = 0; i < 20000; i++)
        g_string_append_printf(text, " word%d", i);
    g_assert_cmpuint(text->len, >, MOST_BYTES);
    gint n, m;
    push(f, text->str, text->len, 0);
    const char *end = "word19992 word19993 word19994 word19995 word19996 word19997 word19998 word19999";
    push(f, end, strlen(end), 0);
    g_autofree float *x = pull(f, 0, &n), *y = pull(f, 0, &m);
    g_assert_cmpint(n, ==, MOST_WORDS);
    g_assert_cmpint(m, ==, MOST_WORDS);
    g_assert_cmpmem(x, sizeof(float) * 24 * MOST_WORDS, y, sizeof(float) * 24 * MOST_WORDS);
    memset(text->str, 'x', text->len); // one word that never ends
    g_assert_cmpint(push(f, text->str, text->len, 1), ==, GST_FLOW_OK);
    g_assert_null(gst_harness_try_pull(f->h));
    g_string_free(text, TRUE);
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
    } tests[] = {
        {"like-core", test_like_core}, {"times", test_times}, {"long", test_long}, {"any-bytes", test_any_bytes},
        {"silence", test_silence}, {"flush", test_flush},
    };
    test_init(&argc, &argv);
    bundle = test_bundle_new(1, TEST_BUNDLE_PLAIN);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/textembed/", tests[i].name, NULL);
        g_test_add(path, Fixture, NULL, set_up, tests[i].function, tear_down);
    }
    g_test_add_func("/textembed/wrong-modality", test_wrong_modality);
    g_test_add_func("/textembed/markup", test_markup);
    int result = g_test_run();
    test_bundle_free(bundle);
    return result;
}
