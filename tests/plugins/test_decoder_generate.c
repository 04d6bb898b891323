// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamdecoder with generative tasks: what windows say of the next window and of gaps, and the finding of a weld.
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "core/decide.h"
#include "core/finding.h"
#include "tests/plugins/helpers.h"

enum { CHANNELS = 2, STRETCHES = 5, ON = 100, OFF = 0 };
enum { WHOLE = 0, VOLTAGE = 2, ALL = 3 }; // channels that a gap takes

static char *bundle; // taught all tasks, as drawn

typedef struct {
    GstHarness *h;
    SeamModel *model;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->model = test_model(bundle);
    f->h = test_harness("seamdecoder", "sink", "src", bundle);
    gst_harness_set_src_caps(f->h, test_tokens_caps(f->model, SEAM_STAGE_FUSED, -1, f->model->config.layers));
}

static void tear_down(Fixture *f, gconstpointer data)
{
    gst_harness_teardown(f->h);
    seam_model_free(f->model);
}

static bool lies_in(int gap, int stretch, int channel)
{
    return (stretch == 1 || stretch == 2) && gap >> channel & 1;
}

// A window with a time token for each stretch and channel of the sensors, but those in the gap, and four tokens of the sound.
static GstBuffer *fused(const SeamModel *model, int window, int gap, float level)
{
    int missing = 2 * __builtin_popcount((unsigned)gap), n = 0;
    GstBuffer *buffer = test_tokens_new(&model->config, SEAM_STAGE_FUSED, TEST_SENSORS, 1, STRETCHES * CHANNELS - missing + 4, window * TEST_WINDOW,
                                        TEST_WINDOW, level, (uint64_t)window);
    GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    for (int s = 0; s < STRETCHES; s++)
        for (int c = 0; c < CHANNELS; c++)
            if (!lies_in(gap, s, c))
                meta->tokens.place[n++] = (SeamPlace){.t = (float)(0.1 * (s + 0.5)), .channel = (uint16_t)c, .modality = TEST_SENSORS,
                                                      .domain = SEAM_DOMAIN_TIME};
    for (; n < meta->tokens.n; n++)
        meta->tokens.place[n].modality = TEST_SOUND;
    meta->present = 1 << TEST_SENSORS | 1 << TEST_SOUND;
    meta->window_time = window * TEST_WINDOW;
    meta->window_duration = TEST_WINDOW;
    return buffer;
}

static JsonObject *parse(GstBuffer *buffer)
{
    GstMapInfo map;
    g_assert_nonnull(buffer);
    g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
    g_autofree char *text = g_strndup((const char *)map.data, map.size);
    gst_buffer_unmap(buffer, &map);
    JsonNode *node = json_from_string(text, NULL);
    JsonObject *object = json_object_ref(json_node_get_object(node));
    json_node_unref(node);
    return object;
}

// What the decoder says of a window, and what the heads say without it.
static JsonObject *decide(Fixture *f, GstBuffer *window, SeamWindowResult *want)
{
    TestRun run;
    SeamTokens tokens;
    GstMapInfo map;
    char *message = NULL;
    test_run_init(&run);
    g_assert_true(gst_seam_tokens_map(window, GST_MAP_READ, &tokens, &map, &message));
    g_assert_cmpint(seam_decide(f->model, &run.run, &tokens, 0, UINT32_MAX, 0, NULL, want), ==, SEAM_OK);
    gst_buffer_unmap(window, &map);
    test_run_clear(&run);
    g_assert_cmpint(gst_harness_push(f->h, window), ==, GST_FLOW_OK);
    GstBuffer *buffer = gst_harness_try_pull(f->h);
    JsonObject *o = parse(buffer);
    gst_buffer_unref(buffer);
    return o;
}

static JsonArray *channel_of(JsonObject *o, const char *what, const char *channel)
{
    JsonObject *sensors = json_object_get_object_member(json_object_get_object_member(o, what), "sensors");
    return json_object_has_member(sensors, channel) ? json_object_get_array_member(sensors, channel) : NULL;
}

static void expect_rising(JsonArray *a, guint first, const float *want)
{
    g_assert_cmpuint(json_array_get_length(a), ==, first + 3);
    for (guint q = 0; q < 3; q++) {
        g_assert_cmpfloat_with_epsilon(json_array_get_double_element(a, first + q), want[q], 1e-4);
        g_assert_true(q == 0 || want[q] > want[q - 1]);
    }
}

// ---- windows ----------------------------------------------------------------------------------------------------------------------------

static void test_forecast(Fixture *f, gconstpointer data)
{
    g_autofree SeamWindowResult *want = g_new0(SeamWindowResult, 1);
    JsonObject *o = decide(f, fused(f->model, 3, WHOLE, ON), want);
    g_assert_cmpuint(want->forecast_of, ==, 1 << TEST_SENSORS);
    expect_rising(channel_of(o, "forecast", "current"), 0, want->forecast[TEST_SENSORS][0]);
    expect_rising(channel_of(o, "forecast", "voltage"), 0, want->forecast[TEST_SENSORS][1]);
    g_assert_false(json_object_has_member(o, "signal")); // nothing is missing
    json_object_unref(o);
}

static void test_signal(Fixture *f, gconstpointer data)
{
    g_autofree SeamWindowResult *want = g_new0(SeamWindowResult, 1);
    JsonObject *o = decide(f, fused(f->model, 3, VOLTAGE, ON), want);
    JsonArray *voltage = channel_of(o, "signal", "voltage");
    g_assert_null(channel_of(o, "signal", "current"));
    g_assert_cmpuint(json_array_get_length(voltage), ==, 2);
    g_assert_cmpint(want->n_filled, ==, 2);
    for (guint i = 0; i < 2; i++) {
        JsonArray *stretch = json_array_get_array_element(voltage, i);
        g_assert_cmpfloat_with_epsilon(json_array_get_double_element(stretch, 0), 1.5 + 0.15 + 0.1 * i, 1e-6);
        expect_rising(stretch, 1, want->filled[i].level);
    }
    json_object_unref(o);
    o = decide(f, fused(f->model, 4, ALL, ON), want);
    g_assert_cmpuint(json_array_get_length(channel_of(o, "signal", "current")), ==, 2);
    g_assert_cmpuint(json_array_get_length(channel_of(o, "signal", "voltage")), ==, 2);
    json_object_unref(o);
}

// Of a sensor that is not there at all nothing is guessed.
static void test_missing(Fixture *f, gconstpointer data)
{
    g_autofree SeamWindowResult *want = g_new0(SeamWindowResult, 1);
    GstBuffer *window = fused(f->model, 3, ALL, ON);
    GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(window);
    for (gint i = 0; i < meta->tokens.n; i++)
        meta->tokens.place[i].modality = TEST_SOUND;
    JsonObject *o = decide(f, window, want);
    g_assert_false(json_object_has_member(o, "signal") || json_object_has_member(o, "forecast"));
    json_object_unref(o);
}

// Tasks by name: only what is asked for.
static void test_tasks(Fixture *f, gconstpointer data)
{
    g_autofree SeamWindowResult *want = g_new0(SeamWindowResult, 1);
    g_object_set(f->h->element, "tasks", "fill", NULL);
    JsonObject *o = decide(f, fused(f->model, 3, ALL, ON), want);
    g_assert_true(json_object_has_member(o, "signal"));
    g_assert_false(json_object_has_member(o, "forecast") || json_object_has_member(o, "class"));
    json_object_unref(o);
}

// ---- welds ------------------------------------------------------------------------------------------------------------------------------

static void test_finding(Fixture *f, gconstpointer data)
{
    JsonObject *o = NULL;
    for (int w = 0; w < 10; w++)
        g_assert_cmpint(gst_harness_push(f->h, fused(f->model, w, WHOLE, w < 6 ? ON : OFF)), ==, GST_FLOW_OK);
    for (GstBuffer *buffer; !o && (buffer = gst_harness_try_pull(f->h)); gst_buffer_unref(buffer)) {
        const GstSeamResultsMeta *meta = gst_buffer_get_seam_results_meta(buffer);
        if (!meta->has_verdict)
            continue;
        SeamFacts facts = seam_facts_of(&meta->verdict, &f->model->config);
        g_assert_true(seam_finding_true(meta->verdict.finding, &facts, &f->model->config));
        o = parse(buffer);
        g_assert_cmpstr(json_object_get_string_member(o, "finding"), ==, meta->verdict.finding);
    }
    g_assert_nonnull(o);
    g_assert_true(json_object_get_boolean_member(o, "finding_plain")); // a decoder that was never taught writes nothing true
    json_object_unref(o);
}

// ---- a whole graph ------------------------------------------------------------------------------------------------------------------------

// Samples without a voltage from 0.2 s to 0.3 s: the window tells that stretch, and the next one none.
static void test_stream(void)
{
    g_autofree char *line = g_strdup_printf("appsrc name=a format=time "
                                            "caps=audio/x-raw,format=F32LE,layout=interleaved,rate=100,channels=2,channel-mask=(bitmask)0 "
                                            "! seamsensorembed model=%s ! seamencoder model=%s ! seamfusion model=%s ! seamdecoder model=%s ! fakesink",
                                            bundle, bundle, bundle, bundle);
    g_autoptr(GError) error = NULL;
    GstElement *pipeline = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    GstElement *appsrc = gst_bin_get_by_name(GST_BIN(pipeline), "a");
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, 100 * CHANNELS * sizeof(float), NULL);
    GstFlowReturn flow;
    for (guint i = 0; i < 100 * CHANNELS; i++)
        gst_buffer_fill(buffer, i * sizeof(float), &(float){i % 2 == 1 && i >= 40 && i < 60 ? NAN : 5}, sizeof(float));
    GST_BUFFER_PTS(buffer) = 0;
    g_signal_emit_by_name(appsrc, "push-buffer", buffer, &flow);
    gst_buffer_unref(buffer);
    g_signal_emit_by_name(appsrc, "end-of-stream", &flow);
    int windows = 0;
    for (gboolean eos = FALSE; !eos;) {
        GstMessage *message = gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
        g_assert_nonnull(message);
        g_assert_cmpint(GST_MESSAGE_TYPE(message), !=, GST_MESSAGE_ERROR);
        eos = GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
        if (!eos && gst_message_has_name(message, "seam-window")) {
            const char *json = gst_structure_get_string(gst_message_get_structure(message), "json");
            const char *signal = strstr(json, "\"signal\":{\"sensors\":{\"voltage\":[[0.25");
            g_assert_true((signal != NULL) == (windows == 0));
            g_assert_true(windows > 0 || strchr(signal, ']')[1] == ']'); // one stretch
            windows++;
        }
        gst_message_unref(message);
    }
    g_assert_cmpint(windows, ==, 2);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(appsrc);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*function)(Fixture *, gconstpointer);
    } tests[] = {{"forecast", test_forecast}, {"signal", test_signal}, {"missing", test_missing}, {"tasks", test_tasks}, {"finding", test_finding}};
    test_init(&argc, &argv);
    bundle = test_bundle_new(1, TEST_BUNDLE_CALIBRATED | TEST_BUNDLE_ANOMALY | TEST_BUNDLE_GENERATE);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/decoder-generate/", tests[i].name, NULL);
        g_test_add(path, Fixture, NULL, set_up, tests[i].function, tear_down);
    }
    g_test_add_func("/decoder-generate/stream", test_stream);
    int result = g_test_run();
    test_bundle_free(bundle);
    return result;
}
