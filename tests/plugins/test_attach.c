// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamattach: each frame gets the result of its own window and the last verdict, in time order; results that are late, early, or never come.
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"

static char *bundle;
static SeamModel *model;

// The video goes through one harness, the results through another on the same element.
typedef struct {
    GstHarness *video, *results;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->video = test_harness("seamattach", "video", "src", NULL);
    g_object_set(f->video->element, "max-wait", 100, NULL);
    f->results = gst_harness_new_with_element(f->video->element, "results", NULL);
    gst_harness_set_src_caps(f->video, test_video_caps("GRAY8", 64, 48));
    gst_harness_set_src_caps_str(f->results, "application/json");
}

static void tear_down(Fixture *f, gconstpointer data)
{
    gst_harness_teardown(f->results);
    gst_harness_teardown(f->video);
}

static void give_window(Fixture *f, int window)
{
    GstBuffer *buffer = gst_buffer_new();
    GstSeamResultsMeta *meta = gst_buffer_add_seam_results_meta(buffer, model, &model->config);
    meta->has_window = TRUE;
    meta->window.time = window * TEST_WINDOW;
    meta->window.duration = TEST_WINDOW;
    meta->window.n_boxes = meta->window.n_shown = 1;
    meta->window.box[0] = (SeamBox){.class_index = 1, .score = 0.75f, .x = 0.5f, .y = 0.5f, .w = 0.5f, .h = 0.25f};
    meta->n_levels = 1;
    meta->level[0] = (SeamLevel){window * TEST_WINDOW, (float)window};
    meta->level_modality[0] = TEST_SENSORS;
    g_assert_cmpint(gst_harness_push(f->results, buffer), ==, GST_FLOW_OK);
}

static void give_verdict(Fixture *f, int number, double end)
{
    GstBuffer *buffer = gst_buffer_new();
    GstSeamResultsMeta *meta = gst_buffer_add_seam_results_meta(buffer, model, &model->config);
    meta->has_verdict = TRUE;
    meta->verdict.number = number;
    meta->verdict.end = end;
    g_assert_cmpint(gst_harness_push(f->results, buffer), ==, GST_FLOW_OK);
}

static GstBuffer *pass(Fixture *f, double time)
{
    GstCaps *caps = gst_pad_get_current_caps(f->video->srcpad);
    g_assert_cmpint(gst_harness_push(f->video, test_frame_new(caps, time, 0.04, 1)), ==, GST_FLOW_OK);
    gst_caps_unref(caps);
    GstBuffer *buffer = gst_harness_try_pull(f->video);
    g_assert_nonnull(buffer);
    g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, (GstClockTime)llround(time * GST_SECOND));
    return buffer;
}

// The window that a frame at `time` gets, -1: none. *verdict: its number, 0: none.
static int window_at(Fixture *f, double time, int *verdict)
{
    GstBuffer *buffer = pass(f, time);
    const GstSeamResultsMeta *meta = gst_buffer_get_seam_results_meta(buffer);
    int window = meta && meta->has_window ? (int)lround(meta->window.time / TEST_WINDOW) : -1;
    if (verdict)
        *verdict = meta && meta->has_verdict ? (int)meta->verdict.number : 0;
    gst_buffer_unref(buffer);
    return window;
}

// ---- results in time ------------------------------------------------------------------------------------------------------------------------

static void test_own_window(Fixture *f, gconstpointer data)
{
    for (int w = 0; w < 4; w++)
        give_window(f, w);
    g_assert_cmpint(window_at(f, 0, NULL), ==, 0);
    g_assert_cmpint(window_at(f, 0.49, NULL), ==, 0);
    g_assert_cmpint(window_at(f, 0.5, NULL), ==, 1);
    g_assert_cmpint(window_at(f, 1.75, NULL), ==, 3);
}

static void test_boxes(Fixture *f, gconstpointer data)
{
    give_window(f, 0);
    GstBuffer *frame = pass(f, 0.1);
    GstVideoRegionOfInterestMeta *region = gst_buffer_get_video_region_of_interest_meta(frame);
    g_assert_nonnull(region);
    g_assert_cmpuint(region->x, ==, 16);
    g_assert_cmpuint(region->y, ==, 18);
    g_assert_cmpuint(region->w, ==, 32);
    g_assert_cmpuint(region->h, ==, 12);
    g_assert_cmpstr(g_quark_to_string(region->roi_type), ==, "porosity");
    GstStructure *detection = gst_video_region_of_interest_meta_get_param(region, "detection");
    double confidence = 0;
    g_assert_true(gst_structure_get_double(detection, "confidence", &confidence));
    g_assert_cmpfloat_with_epsilon(confidence, 0.75, 1e-6);
    const GstSeamResultsMeta *meta = gst_buffer_get_seam_results_meta(frame);
    g_assert_cmpint(meta->n_levels, ==, 1);
    g_assert_cmpint(meta->level_modality[0], ==, TEST_SENSORS);
    gst_buffer_unref(frame);
}

// A verdict holds from its weld's end on until the next weld's end, even when the next one is known already.
static void test_verdicts(Fixture *f, gconstpointer data)
{
    int verdict;
    for (int w = 0; w < 8; w++)
        give_window(f, w);
    give_verdict(f, 1, 1.0);
    give_verdict(f, 2, 2.0);
    window_at(f, 0.5, &verdict);
    g_assert_cmpint(verdict, ==, 0);
    window_at(f, 1.0, &verdict);
    g_assert_cmpint(verdict, ==, 1);
    window_at(f, 1.9, &verdict);
    g_assert_cmpint(verdict, ==, 1);
    window_at(f, 2.1, &verdict);
    g_assert_cmpint(verdict, ==, 2);
}

// Sensors that are read from a file much faster than the video.
static void test_far_ahead(Fixture *f, gconstpointer data)
{
    for (int w = 0; w < 200; w++)
        give_window(f, w);
    for (int w = 0; w < 200; w += 10)
        g_assert_cmpint(window_at(f, w * TEST_WINDOW + 0.1, NULL), ==, w);
}

// ---- results that are not there -----------------------------------------------------------------------------------------------------------

typedef struct {
    Fixture *f;
    int window;
} Later;

static gpointer give_later(gpointer data)
{
    const Later *later = data;
    g_usleep(20000);
    give_window(later->f, later->window);
    return NULL;
}

static void test_waits(Fixture *f, gconstpointer data)
{
    Later later = {f, 0};
    g_object_set(f->video->element, "max-wait", 10000, NULL);
    GThread *thread = g_thread_new("later", give_later, &later);
    g_assert_cmpint(window_at(f, 0.1, NULL), ==, 0);
    g_thread_join(thread);
}

// A branch that is dead costs one wait, not one a frame (this would last for ten minutes); with news it is waited for again.
static void test_late(Fixture *f, gconstpointer data)
{
    g_object_set(f->video->element, "max-wait", 1500, NULL);
    for (int i = 0; i < 400; i++)
        g_assert_cmpint(window_at(f, 0.001 * i, NULL), ==, -1);
    give_window(f, 0); // too late for all of them
    give_window(f, 1);
    g_assert_cmpint(window_at(f, 0.6, NULL), ==, 1);
}

static void test_gap_goes_on(Fixture *f, gconstpointer data)
{
    g_object_set(f->video->element, "max-wait", 60000, NULL);
    gst_harness_push_event(f->results, gst_event_new_gap(0, GST_SECOND));
    g_assert_cmpint(window_at(f, 0.9, NULL), ==, -1);
    give_window(f, 2);
    g_assert_cmpint(window_at(f, 1.2, NULL), ==, 2);
}

static void test_end_of_results(Fixture *f, gconstpointer data)
{
    g_object_set(f->video->element, "max-wait", 60000, NULL);
    give_window(f, 0);
    gst_harness_push_event(f->results, gst_event_new_eos());
    g_assert_cmpint(window_at(f, 0.2, NULL), ==, 0);
    g_assert_cmpint(window_at(f, 5, NULL), ==, -1);
    gst_harness_push_event(f->video, gst_event_new_eos());
    g_assert_nonnull(test_pull_event(f->video, GST_EVENT_EOS));
}

static gpointer end_later(gpointer data)
{
    Fixture *f = data;
    g_usleep(20000);
    give_verdict(f, 1, 0.5);
    gst_harness_push_event(f->results, gst_event_new_eos());
    return NULL;
}

// The video's end waits for the last verdict, but not for ever.
static void test_ends_last(Fixture *f, gconstpointer data)
{
    give_window(f, 0);
    g_assert_cmpint(window_at(f, 0.2, NULL), ==, 0);
    g_object_set(f->video->element, "max-wait", 10000, NULL);
    GThread *thread = g_thread_new("end", end_later, f);
    gst_harness_push_event(f->video, gst_event_new_eos());
    GstPad *pad = gst_element_get_static_pad(f->video->element, "results");
    g_assert_true(GST_PAD_IS_EOS(pad));
    gst_object_unref(pad);
    g_thread_join(thread);
    g_assert_nonnull(test_pull_event(f->video, GST_EVENT_EOS));
}

static void test_dead_end(Fixture *f, gconstpointer data)
{
    give_window(f, 0);
    gst_harness_push_event(f->video, gst_event_new_eos());
    g_assert_nonnull(test_pull_event(f->video, GST_EVENT_EOS));
}

static gpointer flush_later(gpointer data)
{
    Fixture *f = data;
    g_usleep(20000);
    gst_harness_push_event(f->video, gst_event_new_flush_start());
    return NULL;
}

static void test_flush(Fixture *f, gconstpointer data)
{
    GstSegment segment;
    GstCaps *caps = gst_pad_get_current_caps(f->video->srcpad);
    g_object_set(f->video->element, "max-wait", 60000, NULL);
    GThread *thread = g_thread_new("flush", flush_later, f);
    g_assert_cmpint(gst_harness_push(f->video, test_frame_new(caps, 0, 0.04, 1)), ==, GST_FLOW_FLUSHING); // lets go of the frame that waits
    g_thread_join(thread);
    gst_harness_push_event(f->video, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(f->results, gst_event_new_flush_start());
    gst_harness_push_event(f->results, gst_event_new_flush_stop(TRUE));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f->video, gst_event_new_segment(&segment));
    gst_harness_push_event(f->results, gst_event_new_segment(&segment));
    give_window(f, 0);
    g_assert_cmpint(window_at(f, 0.3, NULL), ==, 0);
    gst_caps_unref(caps);
}

static void test_states(Fixture *f, gconstpointer data)
{
    give_window(f, 0);
    g_assert_cmpint(window_at(f, 0.3, NULL), ==, 0);
    gst_element_set_state(f->video->element, GST_STATE_READY);
    gst_element_set_state(f->video->element, GST_STATE_PLAYING);
    gst_harness_push_event(f->video, gst_event_new_stream_start("again"));
    gst_harness_set_src_caps(f->video, test_video_caps("GRAY8", 64, 48));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f->video, gst_event_new_segment(&segment));
    g_assert_cmpint(window_at(f, 0.3, NULL), ==, -1); // forgotten
}

static void test_wrong_results(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(gst_harness_push(f->results, gst_buffer_new()), ==, GST_FLOW_ERROR);
    test_assert_error(f->video->element, "no SeamResultsMeta", NULL);
}

static void test_latency(Fixture *f, gconstpointer data)
{
    gst_harness_set_upstream_latency(f->video, 20 * GST_MSECOND);
    gst_harness_set_upstream_latency(f->results, 700 * GST_MSECOND);
    g_assert_cmpuint(gst_harness_query_latency(f->video), ==, 700 * GST_MSECOND);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*function)(Fixture *, gconstpointer);
    } tests[] = {
        {"own-window", test_own_window}, {"boxes", test_boxes}, {"verdicts", test_verdicts}, {"far-ahead", test_far_ahead},
        {"waits", test_waits}, {"late", test_late}, {"gap-goes-on", test_gap_goes_on}, {"end-of-results", test_end_of_results},
        {"ends-last", test_ends_last}, {"dead-end", test_dead_end},
        {"flush", test_flush}, {"states", test_states}, {"wrong-results", test_wrong_results}, {"latency", test_latency},
    };
    test_init(&argc, &argv);
    bundle = test_bundle_new(1, TEST_BUNDLE_PLAIN);
    model = test_model(bundle);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/attach/", tests[i].name, NULL);
        g_test_add(path, Fixture, NULL, set_up, tests[i].function, tear_down);
    }
    int result = g_test_run();
    seam_model_free(model);
    test_bundle_free(bundle);
    return result;
}
