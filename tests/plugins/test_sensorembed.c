// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamsensorembed: the same tokens as core makes, however the samples are cut into buffers; what is missing; and input that is wrong.
#include <math.h>
#include <string.h>

#include "core/sensor_window.h"
#include "tests/plugins/helpers.h"
#include "tests/remove.h"

enum { RATE = 100, CHANNELS = 2, WINDOW = 50 }; // samples of TEST_SENSORS

static char *bundle;

typedef struct {
    GstHarness *h;
} Fixture;

static void set_caps(GstHarness *h, int rate, int channels)
{
    GstCaps *caps = gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "F32LE", "layout", G_TYPE_STRING, "interleaved", "rate",
                                        G_TYPE_INT, rate, "channels", G_TYPE_INT, channels, "channel-mask", GST_TYPE_BITMASK, (guint64)0, NULL);
    gst_harness_set_src_caps(h, caps);
}

static void set_up(Fixture *f, gconstpointer data)
{
    f->h = test_harness("seamsensorembed", "sink", "src", bundle);
    set_caps(f->h, RATE, CHANNELS);
}

static void tear_down(Fixture *f, gconstpointer data) { gst_harness_teardown(f->h); }

static float value_at(gint64 sample, int channel) { return channel == 0 ? 100 + (float)(sample % 17) : 20 - (float)(sample % 5); }

// Samples first .. first + n of the wave.
static GstBuffer *samples(gint64 first, gint n, int channels)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, (gsize)n * channels * sizeof(float), NULL);
    GstMapInfo map;
    g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_WRITE));
    for (int i = 0; i < n * channels; i++)
        ((float *)(void *)map.data)[i] = value_at(first + i / channels, i % channels);
    gst_buffer_unmap(buffer, &map);
    GST_BUFFER_PTS(buffer) = (GstClockTime)first * GST_SECOND / RATE;
    GST_BUFFER_DURATION(buffer) = (GstClockTime)n * GST_SECOND / RATE;
    return buffer;
}

static GstFlowReturn push(Fixture *f, gint64 first, gint n) { return gst_harness_push(f->h, samples(first, n, CHANNELS)); }

static void set_sample(GstBuffer *buffer, guint index, float value)
{
    gst_buffer_fill(buffer, index * sizeof(float), &value, sizeof value);
}

static GstEvent *gap(gint64 first, gint64 n)
{
    return gst_event_new_gap((GstClockTime)first * GST_SECOND / RATE, (GstClockTime)n * GST_SECOND / RATE);
}

// The next buffer, which must be the window that begins at `time` with so many tokens.
static void expect_window(Fixture *f, double time, gint tokens)
{
    GstBuffer *buffer = gst_harness_try_pull(f->h);
    g_assert_nonnull(buffer);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, (GstClockTime)llround(time * GST_SECOND));
    g_assert_cmpuint(GST_BUFFER_DURATION(buffer), ==, GST_SECOND / 2);
    g_assert_cmpint(meta->tokens.seqs, ==, 1);
    g_assert_cmpfloat_with_epsilon(meta->tokens.seq_time[0], time, 1e-9);
    g_assert_cmpint(meta->tokens.n, ==, tokens);
    gst_buffer_unref(buffer);
}

static void expect_gap(Fixture *f, double start, double end)
{
    GstEvent *event = test_pull_event(f->h, GST_EVENT_GAP);
    GstClockTime time, duration;
    GstGapFlags flags;
    g_assert_nonnull(event);
    gst_event_parse_gap(event, &time, &duration);
    gst_event_parse_gap_flags(event, &flags);
    g_assert_cmpint(flags, ==, GST_GAP_FLAG_MISSING_DATA);
    g_assert_cmpuint(time, ==, (GstClockTime)llround(start * GST_SECOND));
    g_assert_cmpuint(time + duration, ==, (GstClockTime)llround(end * GST_SECOND));
    gst_event_unref(event);
}

static void expect_nothing(Fixture *f) { g_assert_null(gst_harness_try_pull(f->h)); }

enum { ALL = 20 }; // tokens of a whole window: 5 stretches, 2 channels, course and spectrum

// ---- tokens -----------------------------------------------------------------------------------------------------------------------------

static void test_caps_out(Fixture *f, gconstpointer data)
{
    push(f, 0, WINDOW);
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
    SeamModel *model = test_model(bundle);
    GstSeamTokensInfo info;
    char *message = NULL;
    g_assert_true(gst_seam_tokens_info_from_caps(&info, caps, &model->config, model->fingerprint, &message));
    g_assert_cmpint(info.stage, ==, SEAM_STAGE_EMBEDDED);
    g_assert_cmpint(info.modality, ==, TEST_SENSORS);
    gst_caps_unref(caps);
    seam_model_free(model);
}

// What core makes of the same samples, to the bit; levels too.
static void test_like_core(Fixture *f, gconstpointer data)
{
    TestRun run;
    SeamTokens expected, got;
    SeamSensorWindow window;
    GstMapInfo map;
    char *message = NULL;
    SeamModel *model = test_model(bundle);
    SeamWindower *windower = seam_windower_new(&model->config, TEST_SENSORS, RATE, NULL);
    float x[WINDOW * CHANNELS];
    for (int i = 0; i < WINDOW * CHANNELS; i++)
        x[i] = value_at(i / CHANNELS, i % CHANNELS);
    test_run_init(&run);
    g_assert_true(seam_windower_push(windower, 0, x, WINDOW, NULL));
    g_assert_true(seam_windower_pop(windower, false, &window));
    g_assert_cmpint(seam_model_embed_windows(model, &run.run, TEST_SENSORS, 1, &window, &expected, NULL), ==, SEAM_OK);
    for (int i = 0; i < WINDOW; i += 7) // in pieces
        push(f, i, MIN(7, WINDOW - i));
    GstBuffer *buffer = gst_harness_try_pull(f->h);
    g_assert_nonnull(buffer);
    g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READ, &got, &map, &message));
    g_assert_cmpmem(got.x, sizeof(float) * (gsize)(got.n * got.dim), expected.x, sizeof(float) * (gsize)(expected.n * expected.dim));
    g_assert_cmpmem(got.place, sizeof(SeamPlace) * (gsize)got.n, expected.place, sizeof(SeamPlace) * (gsize)expected.n);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    g_assert_cmpint(meta->n_levels, ==, window.n_levels);
    g_assert_cmpmem(meta->levels, sizeof(SeamLevel) * (gsize)meta->n_levels, window.levels, sizeof(SeamLevel) * (gsize)window.n_levels);
    g_assert_cmpint(meta->level_modality[0], ==, TEST_SENSORS);
    gst_buffer_unmap(buffer, &map);
    gst_buffer_unref(buffer);
    seam_windower_free(windower);
    test_run_clear(&run);
    seam_model_free(model);
}

static void test_windows_and_eos(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(push(f, 0, 2 * WINDOW + 20), ==, GST_FLOW_OK);
    expect_window(f, 0, ALL);
    expect_window(f, 0.5, ALL);
    expect_nothing(f);
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_eos()));
    expect_window(f, 1, 8); // two of five stretches
    expect_nothing(f);
    g_assert_nonnull(test_pull_event(f->h, GST_EVENT_EOS));
}

// The grid is that of the running time, not of the first sample.
static void test_grid(Fixture *f, gconstpointer data)
{
    push(f, 130, 70);
    expect_window(f, 1, 8);
    expect_window(f, 1.5, ALL);
}

// A segment that begins later in the stream: its start is running time 0.
static void test_segment(Fixture *f, gconstpointer data)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = segment.time = segment.position = 10 * GST_SECOND;
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_segment(&segment)));
    push(f, 10 * RATE - 30, 30 + WINDOW); // what lies before the segment is cut off
    expect_window(f, 0, ALL);
    expect_nothing(f);
}

static void test_other_rate(Fixture *f, gconstpointer data)
{
    set_caps(f->h, 2 * RATE, CHANNELS);
    g_assert_cmpint(gst_harness_push(f->h, samples(0, 4 * WINDOW, CHANNELS)), ==, GST_FLOW_OK);
    expect_window(f, 0, ALL);
    expect_window(f, 0.5, ALL);
}

// ---- what is missing --------------------------------------------------------------------------------------------------------------------

static void test_gap_event(Fixture *f, gconstpointer data)
{
    push(f, 0, WINDOW);
    g_assert_true(gst_harness_push_event(f->h, gap(WINDOW, 3 * WINDOW + 20)));
    push(f, 4 * WINDOW + 20, 30);
    expect_window(f, 0, ALL);
    expect_gap(f, 0.5, 2); // one event for three windows
    expect_window(f, 2, 12);
}

static void test_gap_flag(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = samples(0, WINDOW, CHANNELS);
    GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_GAP);
    gst_harness_push(f->h, buffer);
    expect_gap(f, 0, 0.5);
    push(f, WINDOW, WINDOW);
    expect_window(f, 0.5, ALL);
}

static void test_nan(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = samples(0, WINDOW, CHANNELS);
    for (guint i = 0; i < 20; i++)
        set_sample(buffer, i * CHANNELS, i % 2 ? NAN : INFINITY); // the current's first two stretches
    gst_harness_push(f->h, buffer);
    expect_window(f, 0, ALL - 4);
    buffer = samples(WINDOW, WINDOW, CHANNELS);
    for (guint i = 0; i < WINDOW * CHANNELS; i++)
        set_sample(buffer, i, NAN);
    gst_harness_push(f->h, buffer);
    expect_gap(f, 0.5, 1);
}

static void test_jump(Fixture *f, gconstpointer data)
{
    push(f, 0, 20);
    push(f, 33, 17);
    expect_window(f, 0, 16); // a stretch is missing
    push(f, WINDOW, 20);
    GstBuffer *buffer = samples(WINDOW + 20, 30, CHANNELS);
    GST_BUFFER_PTS(buffer) += 15 * GST_MSECOND; // jitter is none
    gst_harness_push(f->h, buffer);
    expect_window(f, 0.5, ALL);
}

static void test_overlap(Fixture *f, gconstpointer data)
{
    push(f, 0, 40);
    push(f, 20, 30);
    expect_window(f, 0, ALL);
    g_autofree char *warning = test_warning(f->h->element);
    g_assert_nonnull(strstr(warning, "came twice"));
    push(f, 10, 5); // all of it was there already
    push(f, WINDOW, WINDOW);
    expect_window(f, 0.5, ALL);
}

static void test_backwards(Fixture *f, gconstpointer data)
{
    push(f, 10 * RATE, WINDOW);
    g_assert_cmpint(push(f, 0, WINDOW), ==, GST_FLOW_ERROR);
    test_assert_error(f->h->element, "sensors", "jump back", "flush", NULL);
}

static void test_no_timestamps(Fixture *f, gconstpointer data)
{
    for (int i = 0; i < 2; i++) {
        GstBuffer *buffer = samples(0, WINDOW, CHANNELS);
        GST_BUFFER_PTS(buffer) = GST_CLOCK_TIME_NONE;
        gst_harness_push(f->h, buffer);
    }
    expect_window(f, 0, ALL);
    expect_window(f, 0.5, ALL);
}

// ---- stream -----------------------------------------------------------------------------------------------------------------------------

static void test_flush(Fixture *f, gconstpointer data)
{
    GstSegment segment;
    push(f, 10 * RATE, WINDOW + 10);
    expect_window(f, 10, ALL);
    gst_segment_init(&segment, GST_FORMAT_TIME);
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_start()));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE)));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_segment(&segment)));
    g_assert_cmpint(push(f, 0, WINDOW), ==, GST_FLOW_OK);
    expect_window(f, 0, ALL);
    GstEvent *event = gst_pad_get_sticky_event(f->h->sinkpad, GST_EVENT_SEGMENT, 0);
    g_assert_nonnull(event);
    gst_event_unref(event);
}

static void test_nothing(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = gst_buffer_new();
    GST_BUFFER_PTS(buffer) = 0;
    g_assert_cmpint(gst_harness_push(f->h, buffer), ==, GST_FLOW_OK);
    expect_nothing(f);
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_eos()));
    expect_nothing(f);
    g_assert_nonnull(test_pull_event(f->h, GST_EVENT_EOS));
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
    g_assert_nonnull(caps); // who listens knows which modality has ended
    gst_caps_unref(caps);
}

static void test_states(Fixture *f, gconstpointer data)
{
    push(f, 10 * RATE, WINDOW);
    expect_window(f, 10, ALL);
    gst_element_set_state(f->h->element, GST_STATE_READY);
    gst_element_set_state(f->h->element, GST_STATE_NULL);
    gst_element_set_state(f->h->element, GST_STATE_PLAYING);
    gst_harness_push_event(f->h, gst_event_new_stream_start("again"));
    set_caps(f->h, RATE, CHANNELS);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
    push(f, 0, WINDOW);
    expect_window(f, 0, ALL);
}

static void test_latency(Fixture *f, gconstpointer data)
{
    gst_harness_set_upstream_latency(f->h, 30 * GST_MSECOND);
    g_assert_cmpuint(gst_harness_query_latency(f->h), ==, 530 * GST_MSECOND);
}

static gboolean accepts(GstCaps *caps, int channels)
{
    GstCaps *one = gst_caps_new_simple("audio/x-raw", "channels", G_TYPE_INT, channels, NULL);
    gboolean result = gst_caps_can_intersect(caps, one);
    gst_caps_unref(one);
    return result;
}

// A converter before the element is told the numbers of channels that the model knows.
static void test_caps_query(Fixture *f, gconstpointer data)
{
    GstPad *pad = gst_element_get_static_pad(f->h->element, "sink");
    GstCaps *caps = gst_pad_query_caps(pad, NULL);
    g_assert_true(accepts(caps, 1) && accepts(caps, 2));
    g_assert_false(accepts(caps, 3));
    gst_caps_unref(caps);
    g_object_set(f->h->element, "modality", "sound", NULL);
    caps = gst_pad_query_caps(pad, NULL);
    g_assert_true(accepts(caps, 1));
    g_assert_false(accepts(caps, 2));
    gst_caps_unref(caps);
    gst_object_unref(pad);
}

// ---- what is wrong ----------------------------------------------------------------------------------------------------------------------

static void test_channels(void)
{
    GstHarness *h = test_harness("seamsensorembed", "sink", "src", bundle);
    set_caps(h, RATE, 3);
    test_assert_error(h->element, "3 channels", "sensors (2 channels)", "sound (1 channel)", NULL);
    gst_harness_teardown(h);
    h = test_harness("seamsensorembed", "sink", "src", bundle);
    g_object_set(h->element, "modality", "sensors", NULL);
    set_caps(h, RATE, 1);
    test_assert_error(h->element, "input has 1 channels", "\"sensors\" has 2", NULL);
    gst_harness_teardown(h);
    h = test_harness("seamsensorembed", "sink", "src", bundle);
    g_object_set(h->element, "modality", "video", NULL);
    set_caps(h, RATE, 2);
    test_assert_error(h->element, "modality=video is no sensor modality", "sound", NULL);
    gst_harness_teardown(h);
}

static void test_caps_change(Fixture *f, gconstpointer data)
{
    push(f, 0, 30);
    set_caps(f->h, 2 * RATE, CHANNELS); // another rate: what was there is told, and the stream goes on
    expect_window(f, 0, 12);
    GstBuffer *buffer = samples(0, 40, CHANNELS);
    GST_BUFFER_PTS(buffer) = 300 * GST_MSECOND;
    g_assert_cmpint(gst_harness_push(f->h, buffer), ==, GST_FLOW_OK);
    expect_window(f, 0, 8);
    set_caps(f->h, RATE, 1); // another sensor: no
    test_assert_error(f->h->element, "had 2 channels and now has 1", "sensors", NULL);
}

static void test_half_sample(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, 7, NULL);
    g_assert_cmpint(gst_harness_push(f->h, buffer), ==, GST_FLOW_ERROR);
    test_assert_error(f->h->element, "7 bytes", "2 channels", NULL);
}

static void test_no_model(void)
{
    GstElement *element = gst_element_factory_make("seamsensorembed", NULL);
    GstBus *bus = gst_bus_new();
    gst_element_set_bus(element, bus);
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_READY), ==, GST_STATE_CHANGE_FAILURE);
    test_assert_error(element, "model is not set", NULL);
    g_object_set(element, "model", "/nowhere.seam", NULL);
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_READY), ==, GST_STATE_CHANGE_FAILURE);
    test_assert_error(element, "/nowhere.seam", NULL);
    gst_element_set_state(element, GST_STATE_NULL);
    gst_element_set_bus(element, NULL);
    gst_object_unref(bus);
    gst_object_unref(element);
}

// As many channels as there may be.
static void test_64_channels(void)
{
    SeamConfig *config = g_new0(SeamConfig, 1);
    g_autofree char *folder = g_dir_make_tmp("seam-wide-XXXXXX", NULL), *path = g_build_filename(folder, "wide.seam", NULL);
    test_config(config);
    config->modality[TEST_SENSORS].channels = SEAM_MAX_CHANNELS;
    for (int c = 0; c < SEAM_MAX_CHANNELS; c++) {
        config->modality[TEST_SENSORS].std[c] = 1;
        g_snprintf(config->modality[TEST_SENSORS].sensor.channel_name[c], SEAM_NAME_LENGTH, "c%d", c);
    }
    SeamModel *model = seam_model_new(config, false, 1, NULL);
    g_assert_nonnull(model);
    g_assert_true(seam_bundle_write(path, config, model->params, false, NULL, NULL));
    Fixture f = {test_harness("seamsensorembed", "sink", "src", path)};
    set_caps(f.h, RATE, SEAM_MAX_CHANNELS);
    g_assert_cmpint(gst_harness_push(f.h, samples(0, WINDOW, SEAM_MAX_CHANNELS)), ==, GST_FLOW_OK);
    expect_window(&f, 0, 5 * SEAM_MAX_CHANNELS * 2);
    gst_harness_teardown(f.h);
    seam_model_free(model);
    g_free(config);
    remove_tree(folder);
}

// A table of features is no stream: said so, whether it is asked for by name or all that the model has.
static void test_features(void)
{
    SeamConfig *config = g_new0(SeamConfig, 1);
    g_autofree char *folder = g_dir_make_tmp("seam-table-XXXXXX", NULL), *path = g_build_filename(folder, "table.seam", NULL);
    test_config(config);
    config->modality[0] = (SeamModality){.name = "table", .front = SEAM_FRONT_FEATURES, .channels = 2, .std = {1, 1}, .features = {.tokens = 1}};
    config->n_modalities = config->n_tasks = 1;
    SeamModel *model = seam_model_new(config, false, 1, NULL);
    g_assert_nonnull(model);
    g_assert_true(seam_bundle_write(path, config, model->params, false, NULL, NULL));
    for (int named = 0; named < 2; named++) {
        GstHarness *h = test_harness("seamsensorembed", "sink", "src", path);
        if (named)
            g_object_set(h->element, "modality", "table", NULL);
        set_caps(h, RATE, 2);
        test_assert_error(h->element, "\"table\" reads tables of features", "seam eval", NULL);
        gst_harness_teardown(h);
    }
    seam_model_free(model);
    g_free(config);
    remove_tree(folder);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*function)(Fixture *, gconstpointer);
    } tests[] = {
        {"caps-out", test_caps_out}, {"like-core", test_like_core}, {"windows-and-eos", test_windows_and_eos}, {"grid", test_grid},
        {"segment", test_segment}, {"other-rate", test_other_rate}, {"gap-event", test_gap_event}, {"gap-flag", test_gap_flag},
        {"nan", test_nan}, {"jump", test_jump}, {"overlap", test_overlap}, {"backwards", test_backwards},
        {"no-timestamps", test_no_timestamps}, {"flush", test_flush}, {"nothing", test_nothing}, {"states", test_states},
        {"latency", test_latency}, {"caps-query", test_caps_query}, {"caps-change", test_caps_change}, {"half-sample", test_half_sample},
    };
    test_init(&argc, &argv);
    bundle = test_bundle_new(1, TEST_BUNDLE_PLAIN);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/sensorembed/", tests[i].name, NULL);
        g_test_add(path, Fixture, NULL, set_up, tests[i].function, tear_down);
    }
    g_test_add_func("/sensorembed/channels", test_channels);
    g_test_add_func("/sensorembed/no-model", test_no_model);
    g_test_add_func("/sensorembed/64-channels", test_64_channels);
    g_test_add_func("/sensorembed/features", test_features);
    int result = g_test_run();
    test_bundle_free(bundle);
    return result;
}
