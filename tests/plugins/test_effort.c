// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Less work, from the properties to the results: the effort that was calibrated with a model, deadlines as they are written, and what a pipeline under load
// says. Nothing here depends on how fast the machine is: under a deadline of a microsecond every buffer is late, under one of minutes none is.
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "core/deadline.h"
#include "tests/plugins/helpers.h"

enum { SEQS = 2, LENGTH = 9, DENSE = 1 << TEST_VIDEO | 1 << TEST_SENSORS | 1 << TEST_SOUND };

typedef struct {
    char *bundle; // TEST_BUNDLE_EFFORT
    SeamModel *model;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->bundle = test_bundle_new(1, TEST_BUNDLE_EFFORT);
    f->model = test_model(f->bundle);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    seam_model_free(f->model);
    test_bundle_free(f->bundle);
}

// ---- the encoder ------------------------------------------------------------------------------------------------------------------------

// done: layers that were run before.
static GstHarness *encoder(Fixture *f, const char *layers, gboolean full, int32_t done)
{
    GstElement *element = test_element("seamencoder", f->bundle);
    g_object_set(element, "layers", layers, NULL);
    if (full)
        gst_util_set_object_arg(G_OBJECT(element), "effort", "full");
    GstHarness *h = test_harness_of(element, "sink", "src");
    gst_harness_set_src_caps(h, test_tokens_caps(f->model, done ? SEAM_STAGE_ENCODED : SEAM_STAGE_EMBEDDED, TEST_SENSORS, done));
    return h;
}

static GstBuffer *tokens(Fixture *f)
{
    return test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, SEQS, LENGTH, 0.5, 0.1, 30, 4);
}

static GstBuffer *encoded_by_core(Fixture *f, SeamEffort effort)
{
    GstBuffer *buffer = tokens(f);
    SeamTokens view;
    GstMapInfo map;
    TestRun run;
    test_run_init(&run);
    run.run.effort = effort;
    g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READWRITE, &view, &map, NULL));
    g_assert_cmpint(seam_model_encode(f->model, &run.run, 0, f->model->config.layers - 1, &view, NULL, NULL), ==, SEAM_OK);
    gst_buffer_unmap(buffer, &map);
    test_run_clear(&run);
    return buffer;
}

static gboolean same_values(GstBuffer *a, GstBuffer *b)
{
    GstMapInfo map_a, map_b;
    g_assert_true(gst_buffer_map(a, &map_a, GST_MAP_READ) && gst_buffer_map(b, &map_b, GST_MAP_READ));
    gboolean same = map_a.size == map_b.size && memcmp(map_a.data, map_b.data, map_a.size) == 0;
    gst_buffer_unmap(a, &map_a);
    gst_buffer_unmap(b, &map_b);
    return same;
}

// What comes out is what core makes at that effort, and the buffer says which that was. Takes the harness.
static void expect_encoded(Fixture *f, GstHarness *h, SeamEffort effort)
{
    GstBuffer *out = gst_harness_push_and_pull(h, tokens(f)), *expected = encoded_by_core(f, effort);
    g_assert_true(same_values(out, expected));
    g_assert_true(seam_effort_same(gst_buffer_get_seam_tokens_meta(out)->effort, effort));
    GstBuffer *copy = gst_buffer_copy_deep(out);
    g_assert_true(seam_effort_same(gst_buffer_get_seam_tokens_meta(copy)->effort, effort));
    gst_buffer_unref(copy);
    gst_buffer_unref(expected);
    gst_buffer_unref(out);
    test_harness_end(h);
}

static void test_encoder(Fixture *f, gconstpointer data)
{
    GstBuffer *full = encoded_by_core(f, (SeamEffort){0}), *less = encoded_by_core(f, TEST_EFFORT);
    g_assert_false(same_values(full, less));
    gst_buffer_unref(full);
    gst_buffer_unref(less);
    expect_encoded(f, encoder(f, "all", FALSE, 0), TEST_EFFORT);
    expect_encoded(f, encoder(f, "all", TRUE, 0), (SeamEffort){0});
}

// keep comes on top of it.
static void test_keep(Fixture *f, gconstpointer data)
{
    GstHarness *h = encoder(f, "all", FALSE, 0);
    g_object_set(h->element, "keep", 0.5, NULL);
    GstBuffer *out = gst_harness_push_and_pull(h, tokens(f));
    SeamEffort ran = gst_buffer_get_seam_tokens_meta(out)->effort;
    g_assert_true(ran.merge == 0.5f && ran.expert_mass == 0.5f && ran.exit_margin == 0.75f);
    gst_buffer_unref(out);
    test_harness_end(h);
}

// Layers in two elements: the same effort is that of both, different ones are the same as none.
static void test_split(Fixture *f, gconstpointer data)
{
    for (int both = 0; both < 2; both++) {
        GstHarness *first = encoder(f, "0-1", FALSE, 0), *second = encoder(f, "2-3", !both, 2);
        GstBuffer *out = gst_harness_push_and_pull(second, gst_harness_push_and_pull(first, tokens(f)));
        SeamEffort ran = gst_buffer_get_seam_tokens_meta(out)->effort;
        g_assert_cmpint(seam_effort_same(ran, TEST_EFFORT), ==, both);
        g_assert_cmpint(seam_effort_same(ran, ran), ==, both);
        gst_buffer_unref(out);
        test_harness_end(first);
        test_harness_end(second);
    }
}

// A model without a calibrated effort does all of its work.
static void test_none(void)
{
    Fixture f = {.bundle = test_bundle_new(1, TEST_BUNDLE_EXITS | TEST_BUNDLE_CALIBRATED)};
    f.model = test_model(f.bundle);
    expect_encoded(&f, encoder(&f, "all", FALSE, 0), (SeamEffort){0});
    tear_down(&f, NULL);
}

// ---- the decoder ------------------------------------------------------------------------------------------------------------------------

static JsonObject *parse(const char *text, gsize size)
{
    JsonParser *parser = json_parser_new();
    g_assert_true(json_parser_load_from_data(parser, text, (gssize)size, NULL));
    JsonObject *object = json_object_ref(json_node_get_object(json_parser_get_root(parser)));
    g_object_unref(parser);
    return object;
}

// The verdict on a weld of six windows, the last of which was made at another effort; every window says its own.
static JsonObject *judge(Fixture *f, SeamEffort effort, SeamEffort last, gint32 level, const char *said)
{
    GstHarness *h = test_harness("seamdecoder", "sink", "src", f->bundle);
    JsonObject *verdict = NULL;
    gst_util_set_object_arg(G_OBJECT(h->element), "weld", "file");
    gst_harness_set_src_caps(h, test_tokens_caps(f->model, SEAM_STAGE_FUSED, -1, f->model->config.layers));
    for (int w = 0; w < 6; w++) {
        GstBuffer *buffer = test_tokens_new(&f->model->config, SEAM_STAGE_FUSED, TEST_SENSORS, 1, 12, w * TEST_WINDOW, TEST_WINDOW, 30, (uint64_t)w);
        GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
        for (gint i = 0; i < 12; i++)
            meta->tokens.place[i].modality = (uint8_t)(TEST_VIDEO + i / 4);
        meta->present = DENSE;
        meta->window_time = w * TEST_WINDOW;
        meta->window_duration = TEST_WINDOW;
        meta->effort = w == 5 ? last : effort;
        meta->level = w == 5 ? level : 0;
        g_assert_cmpint(gst_harness_push(h, buffer), ==, GST_FLOW_OK);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    for (GstBuffer *buffer; (buffer = gst_harness_try_pull(h)); gst_buffer_unref(buffer)) {
        GstMapInfo map;
        g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
        JsonObject *o = parse((const char *)map.data, map.size);
        gst_buffer_unmap(buffer, &map);
        if (g_str_equal(json_object_get_string_member(o, "type"), "weld"))
            verdict = json_object_ref(o);
        else if (json_object_get_double_member(o, "time") < 2.25)
            g_assert_cmpstr(json_object_get_string_member_with_default(o, "effort", "full"), ==, said);
        json_object_unref(o);
    }
    test_harness_end(h);
    g_assert_nonnull(verdict);
    return verdict;
}

static void expect_verdict(Fixture *f, SeamEffort effort, SeamEffort last, gint32 level, const char *windows, const char *said, double above)
{
    JsonObject *o = judge(f, effort, last, level, windows);
    g_assert_cmpstr(json_object_get_string_member_with_default(o, "effort", "full"), ==, said);
    g_assert_cmpint(json_object_get_int_member_with_default(o, "level", 0), ==, level);
    double threshold = json_object_get_double_member(json_object_get_object_member(o, "thresholds"), "reject_above");
    g_assert_cmpfloat_with_epsilon(threshold, above, 0.1);
    json_object_unref(o);
}

// Thresholds are those of the effort at which the windows were made; a mixture is decided by those of the calibrated one, and said.
static void test_verdict(Fixture *f, gconstpointer data)
{
    const SeamEffort none = {0}, merged = {.merge = 0.25f, .expert_mass = 0.5f, .exit_margin = 0.75f};
    expect_verdict(f, none, none, 0, "full", "full", -4);
    expect_verdict(f, TEST_EFFORT, TEST_EFFORT, 0, "calibrated", "calibrated", -4 - TEST_EFFORT_SHIFT);
    expect_verdict(f, TEST_EFFORT, merged, 1, "calibrated", "other", -4 - TEST_EFFORT_SHIFT);
    expect_verdict(f, none, TEST_EFFORT, 0, "full", "other", -4 - TEST_EFFORT_SHIFT);
    expect_verdict(f, merged, merged, 8, "other", "other", -4 - TEST_EFFORT_SHIFT);
}

// ---- deadlines --------------------------------------------------------------------------------------------------------------------------

// What is no deadline is refused by the start, and changes nothing while it plays.
static void test_text(Fixture *f, gconstpointer data)
{
    static const char *const bad[] = {"soon", "20 ms", "-5ms", "20min", "601s"};
    g_autofree char *now = NULL;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstElement *element = test_element("seamencoder", f->bundle);
        g_object_set(element, "deadline", bad[i], NULL);
        g_assert_cmpint(gst_element_set_state(element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
        test_assert_error(element, "gst-resource-error-quark 13", "property deadline", bad[i], "20ms", NULL);
        test_element_free(element);
    }
    GstHarness *h = encoder(f, "all", FALSE, 0);
    g_object_set(h->element, "deadline", "0.02s", NULL);
    g_object_set(h->element, "deadline", "soon", NULL);
    g_autofree char *warning = test_warning(h->element);
    g_assert_true(warning && strstr(warning, "soon") && strstr(warning, "stays"));
    g_object_get(h->element, "deadline", &now, NULL);
    g_assert_cmpstr(now, ==, "0.02s");
    test_harness_end(h);
}

enum { RISE = 40, FRAMES = 320 };

// Of a pipeline under a deadline: the levels of what the encoder passed on, how many choices of experts were made for it, what it left out, what was told.
typedef struct {
    GstElement *encoder;
    gint32 level[FRAMES];
    double work[FRAMES];
    gint encoded, dropped;
    gint32 worst_window, last_window; // levels
    JsonObject *verdict;
} Watch;

static GstPadProbeReturn watch_encoder(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
    Watch *w = data;
    if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM)
        w->dropped += GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_GAP;
    else {
        const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(GST_PAD_PROBE_INFO_BUFFER(info));
        g_assert_cmpint(w->encoded, <, FRAMES);
        for (gint e = 0; e < SEAM_MAX_EXPERTS; e++)
            w->work[w->encoded] += meta->expert_use[e];
        w->level[w->encoded++] = meta->level;
    }
    if (w->encoded + w->dropped == RISE)
        g_object_set(w->encoder, "deadline", "600s", NULL); // the load is gone
    return GST_PAD_PROBE_OK;
}

static void watch_line(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
    Watch *w = data;
    GstMapInfo map;
    g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
    JsonObject *o = parse((const char *)map.data, map.size);
    gst_buffer_unmap(buffer, &map);
    if (g_str_equal(json_object_get_string_member(o, "type"), "weld"))
        w->verdict = json_object_ref(o);
    else
        w->last_window = (gint32)json_object_get_int_member_with_default(o, "level", 0);
    w->worst_window = MAX(w->worst_window, w->last_window);
    json_object_unref(o);
}

static void play(Fixture *f, Watch *w)
{
    g_autofree char *line = g_strdup_printf("videotestsrc num-buffers=%d ! video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 ! seaminspect name=i "
                                            "model=%s effort=full weld=file deadline=1us ! fakesink sync=false  i.results ! fakesink name=lines "
                                            "signal-handoffs=true sync=false", FRAMES, f->bundle);
    GstElement *pipeline = gst_parse_launch(line, NULL), *lines = gst_bin_get_by_name(GST_BIN(pipeline), "lines");
    w->encoder = gst_bin_get_by_name(GST_BIN(pipeline), "encoder");
    GstPad *pad = gst_element_get_static_pad(w->encoder, "src");
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, watch_encoder, w, NULL);
    g_signal_connect(lines, "handoff", G_CALLBACK(watch_line), w);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage *end = gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_true(end && GST_MESSAGE_TYPE(end) == GST_MESSAGE_EOS);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_message_unref(end);
    gst_object_unref(bus);
    gst_object_unref(pad);
    gst_object_unref(lines);
    gst_object_unref(w->encoder);
    gst_object_unref(pipeline);
}

// seaminspect late with every buffer: level by level it leaves out tokens, experts, layers, at last buffers; with time again it goes back
// level by level to all of the work. Windows say their level, the verdict the worst one.
static void test_pipeline(Fixture *f, gconstpointer data)
{
    Watch *w = g_new0(Watch, 1);
    double work[SEAM_DEADLINE_LEVELS] = {0};
    gint top = 0;
    play(f, w);
    g_assert_cmpint(w->encoded + w->dropped, ==, FRAMES);
    for (gint i = 0; i < w->encoded; i++) {
        gint32 level = w->level[i], before = i ? w->level[i - 1] : 0;
        g_assert_cmpint(ABS(level - before), <=, 1);
        g_assert_true(level >= before || i > RISE / 2); // up, and then down
        g_assert_true(level <= before || top < SEAM_DEADLINE_LEVELS - 1);
        top = MAX(top, level);
        g_assert_true(work[level] == 0 || work[level] == w->work[i]); // all frames are alike
        work[level] = w->work[i];
    }
    g_assert_cmpint(top, ==, SEAM_DEADLINE_LEVELS - 1);
    g_assert_cmpint(w->level[0], ==, 0);
    g_assert_cmpint(w->level[w->encoded - 1], ==, 0);
    g_assert_true(work[1] < work[0] && work[2] < work[1]); // tokens
    g_assert_true(work[3] <= work[2] && work[4] < work[3]); // experts
    g_assert_true(work[5] < work[4] && work[6] <= work[5]); // layers
    g_assert_cmpint(w->dropped, >, 16 * 4); // at levels 7 and 8
    g_assert_cmpint(w->worst_window, ==, top);
    g_assert_cmpint(w->last_window, ==, 0);
    g_assert_cmpint(json_object_get_int_member(w->verdict, "level"), ==, top);
    g_assert_cmpstr(json_object_get_string_member(w->verdict, "effort"), ==, "other");
    json_object_unref(w->verdict);
    g_free(w);
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
#define ADD(name, function) g_test_add("/effort/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("encoder", test_encoder);
    ADD("keep", test_keep);
    ADD("split", test_split);
    g_test_add_func("/effort/none", test_none);
    ADD("verdict", test_verdict);
    ADD("deadline-text", test_text);
    ADD("deadline-pipeline", test_pipeline);
    return g_test_run();
}
