// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamdecoder: what a result and a verdict say, where a weld begins and ends, thresholds for what is there, adapters that are swapped while
// the stream flows, and tokens that are wrong.
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "core/conformal.h"
#include "tests/plugins/helpers.h"

enum { VIDEO = 1 << TEST_VIDEO, SENSORS = 1 << TEST_SENSORS, SOUND = 1 << TEST_SOUND, PHOTO = 1 << TEST_PHOTO, DENSE = VIDEO | SENSORS | SOUND };
enum { ON = 100, OFF = 0 }; // ampere

static char *bundle; // calibrated, with a memory of good windows

typedef struct {
    GstHarness *h;
    SeamConfig *config;
    SeamModel *model;
} Fixture;

static GstHarness *new_decoder(const SeamModel *model, const char *path)
{
    GstHarness *h = test_harness("seamdecoder", "sink", "src", path);
    gst_harness_set_src_caps(h, test_tokens_caps(model, SEAM_STAGE_FUSED, -1, model->config.layers));
    return h;
}

static void set_up(Fixture *f, gconstpointer data)
{
    f->model = test_model(bundle);
    f->config = &f->model->config;
    f->h = new_decoder(f->model, bundle);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    gst_harness_teardown(f->h);
    seam_model_free(f->model);
}

// A fused window: 4 tokens of each modality that is present, in order, and one reading of the current.
static GstBuffer *fused(const SeamConfig *config, int window, guint32 present, guint32 missing, float level)
{
    static const gint each = 4;
    gint n = 0;
    GstBuffer *buffer = test_tokens_new(config, SEAM_STAGE_FUSED, TEST_SENSORS, 1, each * __builtin_popcount(present), window * TEST_WINDOW,
                                        TEST_WINDOW, level, (uint64_t)window);
    GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    for (gint m = 0; m < config->n_modalities; m++)
        for (gint i = 0; i < each && (present >> m & 1); i++)
            meta->tokens.place[n++].modality = (uint8_t)m;
    meta->present = present;
    meta->missing = missing;
    meta->window_time = window * TEST_WINDOW;
    meta->window_duration = TEST_WINDOW;
    meta->expert_use[1] = 30;
    meta->expert_use[2] = 10;
    return buffer;
}

static void push(Fixture *f, int window, float level)
{
    g_assert_cmpint(gst_harness_push(f->h, fused(f->config, window, DENSE, 0, level)), ==, GST_FLOW_OK);
}

// Windows first .. last - 1, with the arc on or off.
static void push_many(Fixture *f, int first, int last, float level)
{
    for (int w = first; w < last; w++)
        push(f, w, level);
}

static JsonObject *parse(GstBuffer *buffer)
{
    GstMapInfo map;
    g_autoptr(GError) error = NULL;
    JsonParser *parser = json_parser_new();
    g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
    g_assert_cmpint(map.data[map.size - 1], ==, '\n');
    g_assert_null(memchr(map.data, '\n', map.size - 1)); // one object a line
    g_assert_true(json_parser_load_from_data(parser, (const char *)map.data, (gssize)map.size, &error));
    JsonObject *object = json_object_ref(json_node_get_object(json_parser_get_root(parser)));
    gst_buffer_unmap(buffer, &map);
    g_object_unref(parser);
    return object;
}

// The next buffer of the type "window" or "weld"; others are dropped. NULL: none.
static GstBuffer *pull(Fixture *f, const char *type)
{
    for (GstBuffer *buffer; (buffer = gst_harness_try_pull(f->h)); gst_buffer_unref(buffer)) {
        JsonObject *object = parse(buffer);
        gboolean found = g_str_equal(json_object_get_string_member(object, "type"), type);
        json_object_unref(object);
        if (found)
            return buffer;
    }
    return NULL;
}

static JsonObject *pull_json(Fixture *f, const char *type)
{
    GstBuffer *buffer = pull(f, type);
    g_assert_nonnull(buffer);
    JsonObject *object = parse(buffer);
    gst_buffer_unref(buffer);
    return object;
}

static void expect_no_verdict(Fixture *f) { g_assert_null(pull(f, "weld")); }

static void expect_keys(JsonObject *object, const char *const *keys)
{
    guint n = 0;
    for (; keys[n]; n++)
        if (!json_object_has_member(object, keys[n]))
            g_error("the object has no \"%s\"", keys[n]);
    g_assert_cmpuint(json_object_get_size(object), ==, n);
}

static void expect_names(JsonObject *object, const char *key, const char *names)
{
    GString *text = g_string_new(NULL);
    JsonArray *array = json_object_get_array_member(object, key);
    for (guint i = 0; i < json_array_get_length(array); i++)
        g_string_append_printf(text, "%s%s", i ? "," : "", json_array_get_string_element(array, i));
    g_assert_cmpstr(text->str, ==, names);
    g_string_free(text, TRUE);
}

static GstStructure *next_message(Fixture *f, const char *name)
{
    GstBus *bus = gst_element_get_bus(f->h->element);
    GstStructure *found = NULL;
    for (GstMessage *message; !found && (message = gst_bus_pop_filtered(bus, GST_MESSAGE_ELEMENT)); gst_message_unref(message))
        if (gst_message_has_name(message, name))
            found = gst_structure_copy(gst_message_get_structure(message));
    gst_object_unref(bus);
    return found;
}

static void expect_warning(Fixture *f, const char *words)
{
    g_autofree char *text = test_warning(f->h->element);
    if (!text || !strstr(text, words))
        g_error("the warning is %s, must say \"%s\"", text ? text : "none", words);
}

// ---- windows ----------------------------------------------------------------------------------------------------------------------------

static void test_window(Fixture *f, gconstpointer data)
{
    static const char *const keys[] = {"type", "version", "time", "duration", "arc_on", "class", "confidence", "score", "probabilities",
                                       "contributions", "anomaly", "boxes", "experts", "present", "missing", "model", NULL};
    gst_harness_push(f->h, fused(f->config, 3, SENSORS | SOUND, VIDEO, ON));
    GstBuffer *buffer = gst_harness_try_pull(f->h);
    g_assert_nonnull(buffer);
    g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, 1500 * GST_MSECOND);
    g_assert_cmpuint(GST_BUFFER_DURATION(buffer), ==, 500 * GST_MSECOND);
    JsonObject *o = parse(buffer);
    expect_keys(o, keys);
    g_assert_true(json_object_get_boolean_member(o, "arc_on"));
    expect_names(o, "present", "sensors,sound");
    expect_names(o, "missing", "video");
    g_assert_cmpstr(json_object_get_string_member(o, "model"), ==, f->model->fingerprint);
    JsonObject *expert = json_array_get_object_element(json_object_get_array_member(o, "experts"), 0);
    g_assert_cmpint(json_object_get_int_member(expert, "expert"), ==, 1);
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(expert, "share"), 0.75, 1e-6);

    const GstSeamResultsMeta *meta = gst_buffer_get_seam_results_meta(buffer);
    g_assert_nonnull(meta);
    g_assert_true(meta->has_window && !meta->has_verdict);
    g_assert_cmpfloat_with_epsilon(meta->window.score, json_object_get_double_member(o, "score"), 1e-4);
    g_assert_cmpint(meta->n_levels, ==, 1);
    g_assert_cmpfloat(meta->level[0].value, ==, ON);
    g_assert_cmpint(meta->level_modality[0], ==, TEST_SENSORS);

    GstStructure *message = next_message(f, "seam-window");
    g_assert_nonnull(message);
    g_assert_cmpstr(gst_structure_get_string(message, "json"), !=, NULL);
    gst_structure_free(message);
    json_object_unref(o);
    gst_buffer_unref(buffer);
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
    g_assert_true(gst_structure_has_name(gst_caps_get_structure(caps, 0), "application/json"));
    gst_caps_unref(caps);
}

// Without windows, gaps say how far the decisions are.
static void test_without_windows(Fixture *f, gconstpointer data)
{
    GstClockTime time, duration;
    g_object_set(f->h->element, "windows", FALSE, NULL);
    push_many(f, 0, 4, ON);
    g_assert_null(gst_harness_try_pull(f->h));
    g_assert_null(next_message(f, "seam-window"));
    GstEvent *event = test_pull_event(f->h, GST_EVENT_GAP);
    g_assert_nonnull(event);
    gst_event_parse_gap(event, &time, &duration);
    g_assert_cmpuint(time, ==, 0);
    g_assert_cmpuint(duration, ==, GST_SECOND / 2);
    gst_event_unref(event);
    gst_harness_push_event(f->h, gst_event_new_eos());
    GstBuffer *buffer = gst_harness_try_pull(f->h);
    g_assert_true(gst_buffer_get_seam_results_meta(buffer)->has_verdict);
    gst_buffer_unref(buffer);
}

// ---- welds ------------------------------------------------------------------------------------------------------------------------------

static void test_verdict(Fixture *f, gconstpointer data)
{
    static const char *const keys[] = {"type", "version", "number", "source", "time", "duration", "bounds", "decision", "reason", "class",
                                       "confidence", "score", "score_of", "thresholds", "anomaly", "probabilities", "place", "contributions",
                                       "experts", "present", "missing", "windows", "clock", "model", NULL};
    g_object_set(f->h->element, "source", "part 7", NULL);
    push_many(f, 0, 2, OFF);
    push_many(f, 2, 8, ON);
    expect_no_verdict(f);
    push_many(f, 8, 12, OFF);
    GstBuffer *buffer = pull(f, "weld");
    g_assert_nonnull(buffer);
    JsonObject *o = parse(buffer);
    expect_keys(o, keys);
    g_assert_cmpint(json_object_get_int_member(o, "number"), ==, 1);
    g_assert_cmpstr(json_object_get_string_member(o, "source"), ==, "part 7");
    g_assert_cmpstr(json_object_get_string_member(o, "bounds"), ==, "arc");
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(o, "time"), 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(o, "duration"), 3, 1e-6);
    g_assert_cmpint(json_object_get_int_member(o, "windows"), ==, 6);
    g_assert_cmpfloat(json_object_get_double_member(json_object_get_object_member(o, "thresholds"), "reject_above"), <, 0);
    const SeamVerdict *v = &gst_buffer_get_seam_results_meta(buffer)->verdict;
    g_assert_cmpint(v->windows, ==, 6);
    GstStructure *message = next_message(f, "seam-verdict");
    g_assert_nonnull(message);
    g_assert_cmpstr(gst_structure_get_string(message, "decision"), ==, seam_decision_name(v->decision));
    g_assert_cmpstr(gst_structure_get_string(message, "source"), ==, "part 7");
    gst_structure_free(message);
    expect_no_verdict(f); // one a weld
    json_object_unref(o);
    gst_buffer_unref(buffer);
}

static void test_end_by_gap(Fixture *f, gconstpointer data)
{
    push_many(f, 0, 4, ON);
    gst_harness_push_event(f->h, gst_event_new_gap(2 * GST_SECOND, GST_SECOND));
    JsonObject *o = pull_json(f, "weld");
    g_assert_cmpint(json_object_get_int_member(o, "windows"), ==, 3); // the last reading was at 1.5 s
    json_object_unref(o);
    g_assert_nonnull(test_pull_event(f->h, GST_EVENT_GAP));
}

static void test_end_by_eos(Fixture *f, gconstpointer data)
{
    push_many(f, 0, 4, ON);
    expect_no_verdict(f);
    gst_harness_push_event(f->h, gst_event_new_eos());
    json_object_unref(pull_json(f, "weld"));
    g_assert_nonnull(test_pull_event(f->h, GST_EVENT_EOS));
}

static void test_file(Fixture *f, gconstpointer data)
{
    gst_util_set_object_arg(G_OBJECT(f->h->element), "weld", "file");
    push_many(f, 2, 6, OFF);
    expect_no_verdict(f);
    gst_harness_push_event(f->h, gst_event_new_eos());
    JsonObject *o = pull_json(f, "weld");
    g_assert_cmpstr(json_object_get_string_member(o, "bounds"), ==, "file");
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(o, "time"), 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(o, "duration"), 2, 1e-6);
    json_object_unref(o);
}

static GstEvent *weld_event(const char *state, double time, const char *source)
{
    GstStructure *s = gst_structure_new("seam-weld", "state", G_TYPE_STRING, state, NULL);
    if (!isnan(time))
        gst_structure_set(s, "time", G_TYPE_DOUBLE, time, NULL);
    if (source)
        gst_structure_set(s, "source", G_TYPE_STRING, source, NULL);
    return gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, s);
}

static void test_events(Fixture *f, gconstpointer data)
{
    gst_util_set_object_arg(G_OBJECT(f->h->element), "weld", "event");
    push_many(f, 0, 2, ON);
    GstEvent *begin = weld_event("begin", 1.0, "seam A");
    gst_harness_push_event(f->h, gst_event_ref(begin));
    push_many(f, 2, 4, OFF);
    gst_harness_push_event(f->h, begin); // the same one, by another branch of the graph
    push_many(f, 4, 6, ON);
    gst_harness_push_event(f->h, weld_event("end", NAN, NULL)); // now
    push_many(f, 6, 8, ON);
    JsonObject *o = pull_json(f, "weld");
    g_assert_cmpstr(json_object_get_string_member(o, "bounds"), ==, "event");
    g_assert_cmpstr(json_object_get_string_member(o, "source"), ==, "seam A");
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(o, "time"), 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(o, "duration"), 2, 1e-6);
    g_assert_cmpint(json_object_get_int_member(o, "windows"), ==, 4);
    json_object_unref(o);
    gst_harness_push_event(f->h, weld_event("pause", 9, NULL));
    expect_warning(f, "state=pause");
    gst_harness_push_event(f->h, gst_event_new_eos());
    expect_no_verdict(f);
    g_assert_nonnull(test_pull_event(f->h, GST_EVENT_CUSTOM_DOWNSTREAM)); // goes on
}

static void test_events_not_wanted(Fixture *f, gconstpointer data)
{
    gst_harness_push_event(f->h, weld_event("begin", 0.0, NULL));
    push_many(f, 0, 4, OFF);
    gst_harness_push_event(f->h, weld_event("end", 2.0, NULL));
    gst_harness_push_event(f->h, gst_event_new_eos());
    expect_no_verdict(f);
}

static void test_flush(Fixture *f, gconstpointer data)
{
    GstSegment segment;
    push_many(f, 0, 4, ON);
    gst_harness_push_event(f->h, gst_event_new_flush_start());
    gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
    push_many(f, 0, 4, OFF);
    gst_harness_push_event(f->h, gst_event_new_eos());
    expect_no_verdict(f); // what was open is forgotten
}

static void test_states(Fixture *f, gconstpointer data)
{
    GstSegment segment;
    push_many(f, 0, 4, ON);
    gst_element_set_state(f->h->element, GST_STATE_NULL);
    gst_element_set_state(f->h->element, GST_STATE_PLAYING);
    while (pull(f, "window"))
        ;
    gst_harness_push_event(f->h, gst_event_new_stream_start("again"));
    gst_harness_set_src_caps(f->h, test_tokens_caps(f->model, SEAM_STAGE_FUSED, -1, 4));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
    push_many(f, 0, 4, ON);
    gst_harness_push_event(f->h, gst_event_new_eos());
    JsonObject *o = pull_json(f, "weld");
    g_assert_cmpint(json_object_get_int_member(o, "number"), ==, 1);
    json_object_unref(o);
}

// ---- thresholds -------------------------------------------------------------------------------------------------------------------------

// The verdict on a weld of six windows with these modalities.
static JsonObject *judge(Fixture *f, guint32 present, guint32 missing)
{
    for (int w = 0; w < 6; w++)
        gst_harness_push(f->h, fused(f->config, w, present, missing, ON));
    gst_harness_push_event(f->h, gst_event_new_eos());
    return pull_json(f, "weld");
}

static void expect_thresholds(JsonObject *o, gboolean known)
{
    JsonObject *thresholds = json_object_get_object_member(o, "thresholds");
    g_assert_cmpint(json_object_get_null_member(thresholds, "reject_above"), ==, !known);
    g_assert_cmpint(json_object_get_null_member(thresholds, "pass_below"), ==, !known);
    if (!known)
        g_assert_cmpstr(json_object_get_string_member(o, "decision"), ==, "refer");
}

static void test_calibrated_missing(Fixture *f, gconstpointer data)
{
    JsonObject *o = judge(f, SENSORS | SOUND | PHOTO, VIDEO); // there are thresholds for that, and photographs do not count
    expect_thresholds(o, TRUE);
    expect_names(o, "present", "sensors,sound,photo");
    expect_names(o, "missing", "video");
    json_object_unref(o);
}

static void test_uncalibrated(Fixture *f, gconstpointer data)
{
    JsonObject *o = judge(f, SENSORS, VIDEO | SOUND);
    expect_thresholds(o, FALSE);
    expect_names(o, "missing", "video,sound");
    json_object_unref(o);
}

static double reject_above(JsonObject *o)
{
    JsonObject *thresholds = json_object_get_object_member(o, "thresholds");
    return json_object_get_null_member(thresholds, "reject_above") ? NAN : json_object_get_double_member(thresholds, "reject_above");
}

// Another promise while playing: from the next verdict on.
static void test_promise(Fixture *f, gconstpointer data)
{
    push_many(f, 0, 4, ON);
    push_many(f, 4, 8, OFF);
    JsonObject *first = pull_json(f, "weld");
    g_object_set(f->h->element, "false-reject", 0.5, NULL);
    push_many(f, 8, 12, ON);
    push_many(f, 12, 16, OFF);
    JsonObject *second = pull_json(f, "weld");
    g_assert_cmpint(json_object_get_int_member(second, "number"), ==, 2);
    g_assert_cmpfloat(reject_above(second), <, reject_above(first));
    json_object_unref(first);
    json_object_unref(second);
}

// ---- adapters ---------------------------------------------------------------------------------------------------------------------------

static double score_of(Fixture *f)
{
    JsonObject *o = pull_json(f, "window");
    double score = json_object_get_double_member(o, "score");
    json_object_unref(o);
    return score;
}

static double push_score(Fixture *f)
{
    gst_harness_push(f->h, fused(f->config, 1, DENSE, 0, ON));
    return score_of(f);
}

static void test_swap(Fixture *f, gconstpointer data)
{
    g_autofree char *adapter = test_adapter_new(bundle, TEST_CLASSIFY, 77), *other = test_adapter_new(bundle, TEST_LOCALISE, 78);
    g_autofree char *both = g_strdup_printf("%s, %s", other, adapter), *now = NULL;
    double before = push_score(f);
    g_object_set(f->h->element, "adapter", adapter, NULL);
    double after = push_score(f);
    g_assert_cmpfloat(fabs(after - before), >, 1e-3);
    expect_warning(f, "every weld is referred"); // it brings no thresholds
    g_object_set(f->h->element, "adapter", both, NULL);
    g_assert_cmpfloat(push_score(f), ==, after);
    g_object_get(f->h->element, "adapter", &now, NULL);
    g_assert_cmpstr(now, ==, both);
    g_object_set(f->h->element, "adapter", NULL, NULL);
    g_assert_cmpfloat(push_score(f), ==, before);
    JsonObject *o = judge(f, DENSE, 0);
    expect_thresholds(o, TRUE); // the model's own again
    json_object_unref(o);
}

static void test_void_thresholds(Fixture *f, gconstpointer data)
{
    g_autofree char *adapter = test_adapter_new(bundle, TEST_CLASSIFY, 77);
    g_object_set(f->h->element, "adapter", adapter, NULL);
    JsonObject *o = judge(f, DENSE, 0);
    expect_thresholds(o, FALSE);
    json_object_unref(o);
}

// An adapter with thresholds of its own, by the anomaly score.
static void test_own_thresholds(Fixture *f, gconstpointer data)
{
    g_autofree char *file = g_strdup_printf("%s/../own.safetensors", bundle);
    SeamCalibration *calibration = seam_calibration_new();
    JsonObject *meta = json_object_new();
    SeamNamedArray extra[SEAM_ANOMALY_EXPORTS * SEAM_MAX_MODALITIES];
    calibration->score_is_anomaly = true;
    for (int i = 0; i < 300; i++)
        g_assert_true(seam_calibration_add(calibration, f->config, DENSE, false, false, (float)i, NULL));
    json_object_set_object_member(meta, "calibration", seam_calibration_print(calibration, f->config));
    int32_t n = seam_anomaly_export(&f->model->task[TEST_ANOMALY].anomaly, extra);
    g_assert_true(seam_bundle_write_adapter(file, "anomaly", f->model->fingerprint, f->model->params, false, extra, n, meta, NULL));
    g_object_set(f->h->element, "adapter", file, NULL);
    JsonObject *o = judge(f, DENSE, 0);
    g_assert_cmpstr(json_object_get_string_member(o, "score_of"), ==, "anomaly");
    g_assert_cmpfloat(reject_above(o), >, 290);
    json_object_unref(o);
    json_object_unref(meta);
    seam_calibration_free(calibration);
}

static void expect_kept(Fixture *f, const char *adapter, const char *words)
{
    g_autofree char *now = NULL;
    double before = push_score(f);
    g_object_set(f->h->element, "adapter", adapter, NULL);
    expect_warning(f, words);
    g_assert_cmpfloat(push_score(f), ==, before);
    g_object_get(f->h->element, "adapter", &now, NULL);
    g_assert_null(now);
}

static void test_broken_adapter(Fixture *f, gconstpointer data)
{
    g_autofree char *broken = g_strdup_printf("%s/../broken.safetensors", bundle);
    g_assert_true(g_file_set_contents(broken, "rubbish", -1, NULL));
    expect_kept(f, broken, "broken.safetensors");
    expect_kept(f, "/nowhere/a.safetensors", "/nowhere/a.safetensors");
    char *foreign = test_bundle_new(2, TEST_BUNDLE_PLAIN);
    g_autofree char *adapter = test_adapter_new(foreign, TEST_CLASSIFY, 1);
    expect_kept(f, adapter, "was made for the model");
    g_autofree char *mixed = g_strdup_printf("%s,%s", adapter, broken);
    expect_kept(f, mixed, "was made for the model");
    test_bundle_free(foreign);
}

static void test_tasks(Fixture *f, gconstpointer data)
{
    g_object_set(f->h->element, "tasks", "anomaly", NULL);
    push(f, 0, ON);
    JsonObject *o = pull_json(f, "window");
    g_assert_true(json_object_has_member(o, "anomaly"));
    g_assert_false(json_object_has_member(o, "class"));
    json_object_unref(o);
    g_object_set(f->h->element, "tasks", "classify, rul", NULL);
    expect_warning(f, "no task \"rul\"");
    push(f, 1, ON);
    o = pull_json(f, "window");
    g_assert_false(json_object_has_member(o, "class"));
    json_object_unref(o);
}

// ---- what is wrong ----------------------------------------------------------------------------------------------------------------------

static void expect_start_error(const char *model, const char *property, const char *value, const char *words)
{
    GstElement *element = gst_element_factory_make("seamdecoder", NULL);
    GstBus *bus = gst_bus_new();
    gst_element_set_bus(element, bus);
    g_object_set(element, "model", model, property, value, NULL);
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_READY), ==, GST_STATE_CHANGE_FAILURE);
    test_assert_error(element, words, NULL);
    gst_element_set_state(element, GST_STATE_NULL);
    gst_element_set_bus(element, NULL);
    gst_object_unref(bus);
    gst_object_unref(element);
}

static void test_wrong_start(void)
{
    char *untaught = test_bundle_new(3, TEST_BUNDLE_PLAIN), *broken = test_bundle_new(3, TEST_BUNDLE_PLAIN);
    g_autofree char *json = g_build_filename(broken, "model.json", NULL), *text = NULL;
    expect_start_error(untaught, "tasks", "anomaly", "was not taught the task \"anomaly\"");
    expect_start_error(untaught, "tasks", "taste", "no task \"taste\"");
    expect_start_error(untaught, "adapter", "/nowhere.safetensors", "/nowhere.safetensors");
    expect_start_error("/nowhere.seam", "source", "x", "/nowhere.seam");
    g_assert_true(g_file_get_contents(json, &text, NULL, NULL));
    GString *changed = g_string_new(text);
    g_string_replace(changed, "{", "{\"calibration\": {\"sets\": 7},", 1);
    g_assert_true(g_file_set_contents(json, changed->str, -1, NULL));
    expect_start_error(broken, "source", "x", "calibration");
    g_string_free(changed, TRUE);
    test_bundle_free(untaught);
    test_bundle_free(broken);
}

static void test_wrong_caps(void)
{
    char *foreign = test_bundle_new(2, TEST_BUNDLE_PLAIN);
    SeamModel *model = test_model(foreign);
    GstHarness *h = test_harness("seamdecoder", "sink", "src", bundle);
    gst_harness_set_src_caps(h, test_tokens_caps(model, SEAM_STAGE_FUSED, -1, 4));
    test_assert_error(h->element, "model", model->fingerprint, "give all elements the same model=", NULL);
    gst_harness_teardown(h);
    seam_model_free(model);
    test_bundle_free(foreign);
}

static void test_wrong_tokens(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, 96, NULL);
    g_assert_cmpint(gst_harness_push(f->h, buffer), ==, GST_FLOW_ERROR);
    test_assert_error(f->h->element, "no SeamTokensMeta", NULL);
    buffer = fused(f->config, 0, DENSE, 0, ON);
    gst_buffer_get_seam_tokens_meta(buffer)->tokens.place[3].modality = 200;
    g_assert_cmpint(gst_harness_push(f->h, buffer), ==, GST_FLOW_ERROR);
    test_assert_error(f->h->element, "token 3", "modality 200", NULL);
    buffer = fused(f->config, 0, DENSE, 0, ON);
    gst_buffer_get_seam_tokens_meta(buffer)->tokens.seq_time[0] = NAN;
    g_assert_cmpint(gst_harness_push(f->h, buffer), ==, GST_FLOW_ERROR);
    test_assert_error(f->h->element, "window 0 has time", NULL);
    buffer = fused(f->config, 0, DENSE, 0, ON);
    float nan = NAN;
    gst_buffer_fill(buffer, 0, &nan, sizeof nan);
    g_assert_cmpint(gst_harness_push(f->h, buffer), ==, GST_FLOW_ERROR); // no result is better than a wrong one
    test_assert_error(f->h->element, "deciding a window", NULL);
}

// ---- a whole graph ----------------------------------------------------------------------------------------------------------------------

// Two sensors; one dies in mid-stream without a word. The windows after that come, and name it.
static void test_dying_sensor(void)
{
    g_autofree char *line = g_strdup_printf(
        "seamfusion name=f model=%s max-wait=100 max-start=300 ! seamdecoder name=d model=%s ! fakesink "
        "appsrc name=a format=time caps=audio/x-raw,format=F32LE,layout=interleaved,rate=100,channels=2,channel-mask=(bitmask)0 "
        "! seamsensorembed model=%s ! seamencoder model=%s ! f. "
        "audiotestsrc num-buffers=40 samplesperbuffer=100 ! audio/x-raw,format=F32LE,rate=1000,channels=1 ! seamsensorembed model=%s "
        "! seamencoder model=%s ! f.", bundle, bundle, bundle, bundle, bundle, bundle);
    g_autoptr(GError) error = NULL;
    GstElement *pipeline = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    GstElement *appsrc = gst_bin_get_by_name(GST_BIN(pipeline), "a");
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, 100 * 2 * sizeof(float), NULL);
    GstFlowReturn flow;
    for (guint i = 0; i < 200; i++)
        gst_buffer_fill(buffer, i * sizeof(float), &(float){ON}, sizeof(float));
    GST_BUFFER_PTS(buffer) = 0;
    g_signal_emit_by_name(appsrc, "push-buffer", buffer, &flow); // 1 s, and no EOS
    gst_buffer_unref(buffer);
    int windows = 0, complete = 0, lacking = 0;
    gboolean eos = FALSE;
    while (!eos) {
        GstMessage *message = gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
        g_assert_nonnull(message);
        g_assert_cmpint(GST_MESSAGE_TYPE(message), !=, GST_MESSAGE_ERROR);
        eos = GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
        if (!eos && gst_message_has_name(message, "seam-window")) {
            const char *json = gst_structure_get_string(gst_message_get_structure(message), "json");
            windows++;
            complete += strstr(json, "\"missing\":[]") != NULL;
            lacking += strstr(json, "\"missing\":[\"sensors\"]") != NULL;
        }
        gst_message_unref(message);
    }
    g_assert_cmpint(windows, ==, 8);
    g_assert_cmpint(complete, ==, 2);
    g_assert_cmpint(lacking, ==, 6);
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
    } tests[] = {
        {"window", test_window}, {"without-windows", test_without_windows}, {"verdict", test_verdict}, {"end-by-gap", test_end_by_gap},
        {"end-by-eos", test_end_by_eos}, {"file", test_file}, {"events", test_events}, {"events-not-wanted", test_events_not_wanted},
        {"flush", test_flush}, {"states", test_states}, {"calibrated-missing", test_calibrated_missing}, {"uncalibrated", test_uncalibrated},
        {"promise", test_promise}, {"swap", test_swap}, {"void-thresholds", test_void_thresholds}, {"own-thresholds", test_own_thresholds},
        {"broken-adapter", test_broken_adapter}, {"tasks", test_tasks}, {"wrong-tokens", test_wrong_tokens},
    };
    test_init(&argc, &argv);
    bundle = test_bundle_new(1, TEST_BUNDLE_CALIBRATED | TEST_BUNDLE_ANOMALY);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/decoder/", tests[i].name, NULL);
        g_test_add(path, Fixture, NULL, set_up, tests[i].function, tear_down);
    }
    g_test_add_func("/decoder/wrong-start", test_wrong_start);
    g_test_add_func("/decoder/wrong-caps", test_wrong_caps);
    g_test_add_func("/decoder/dying-sensor", test_dying_sensor);
    int result = g_test_run();
    test_bundle_free(bundle);
    return result;
}
