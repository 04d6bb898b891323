// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamoverlay: that it draws what the meta says where it says, leaves all else as it was, and keeps the metas on the frame.
#include <string.h>

#include "tests/plugins/helpers.h"

enum { WIDTH = 200, HEIGHT = 120 };

static const char *const formats[] = {"RGB", "BGR", "RGBx", "BGRx", "I420", "NV12"};

typedef struct {
    char *bundle;
    SeamModel *model;
    GstHarness *h;
    GstCaps *caps;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->bundle = test_bundle_new(1, TEST_BUNDLE_PLAIN);
    f->model = test_model(f->bundle);
}

static void end(Fixture *f)
{
    if (f->h)
        test_harness_end(f->h);
    f->h = NULL;
    gst_clear_caps(&f->caps);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    end(f);
    seam_model_free(f->model);
    test_bundle_free(f->bundle);
}

static void begin(Fixture *f, const char *format, guint panel)
{
    GstElement *element = test_element("seamoverlay", NULL);
    g_object_set(element, "panel", panel, NULL);
    f->h = test_harness_of(element, "sink", "src");
    f->caps = test_video_caps(format, WIDTH, HEIGHT);
    gst_harness_set_src_caps(f->h, gst_caps_ref(f->caps));
}

static GstBuffer *plain(Fixture *f, double time) { return test_frame_new(f->caps, time, 0.04, 5); }

// With an empty meta.
static GstBuffer *frame(Fixture *f, double time, GstSeamResultsMeta **meta)
{
    GstBuffer *buffer = plain(f, time);
    *meta = gst_buffer_add_seam_results_meta(buffer, f->model, &f->model->config);
    return buffer;
}

// Bytes of plane 0 that differ between two frames in the given rows and columns (shares of the width and height of the picture).
static guint changed(Fixture *f, GstBuffer *in, GstBuffer *out, double left, double right, double top, double bottom)
{
    GstVideoInfo in_info, out_info;
    GstVideoFrame a, b;
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
    g_assert_true(gst_video_info_from_caps(&in_info, f->caps) && gst_video_info_from_caps(&out_info, caps));
    gst_caps_unref(caps);
    g_assert_true(gst_video_frame_map(&a, &in_info, in, GST_MAP_READ) && gst_video_frame_map(&b, &out_info, out, GST_MAP_READ));
    guint n = 0;
    int bytes = GST_VIDEO_FRAME_COMP_PSTRIDE(&a, 0);
    for (int y = (int)(top * HEIGHT); y < (int)(bottom * HEIGHT); y++)
        for (int x = (int)(left * WIDTH) * bytes; x < (int)(right * WIDTH) * bytes; x++)
            n += ((guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&a, 0))[y * GST_VIDEO_FRAME_PLANE_STRIDE(&a, 0) + x] !=
                 ((guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&b, 0))[y * GST_VIDEO_FRAME_PLANE_STRIDE(&b, 0) + x];
    gst_video_frame_unmap(&a);
    gst_video_frame_unmap(&b);
    return n;
}

static GstBuffer *draw(Fixture *f, GstBuffer *in)
{
    GstBuffer *out = gst_harness_push_and_pull(f->h, gst_buffer_ref(in));
    g_assert_nonnull(out);
    return out;
}

// ---- what is left alone -----------------------------------------------------------------------------------------------------------------

static void test_no_meta(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        begin(f, formats[i], 0);
        GstBuffer *in = plain(f, 0), *out = draw(f, in);
        GstMapInfo a, b;
        g_assert_true(gst_buffer_map(in, &a, GST_MAP_READ) && gst_buffer_map(out, &b, GST_MAP_READ));
        g_assert_cmpmem(a.data, a.size, b.data, b.size);
        gst_buffer_unmap(in, &a);
        gst_buffer_unmap(out, &b);
        g_assert_null(gst_buffer_get_seam_results_meta(out));
        gst_buffer_unref(in);
        gst_buffer_unref(out);
        end(f);
    }
}

// A panel under the picture: the picture stays, the frame grows, the panel is dark.
static void test_panel_without_meta(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        begin(f, formats[i], 41);
        GstBuffer *in = plain(f, 0), *out = draw(f, in);
        g_assert_cmpuint(changed(f, in, out, 0, 1, 0, 1), ==, 0);
        GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
        GstVideoInfo info;
        GstVideoFrame mapped;
        g_assert_true(gst_video_info_from_caps(&info, caps));
        g_assert_cmpint(GST_VIDEO_INFO_HEIGHT(&info), ==, HEIGHT + 40); // even
        g_assert_true(gst_video_frame_map(&mapped, &info, out, GST_MAP_READ));
        const guint8 *last = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&mapped, 0) + (HEIGHT + 39) * GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, 0);
        for (int x = 0; x < 3; x++)
            g_assert_cmpuint(last[x], <, 48);
        gst_video_frame_unmap(&mapped);
        gst_caps_unref(caps);
        gst_buffer_unref(in);
        gst_buffer_unref(out);
        end(f);
    }
}

// ---- what is drawn ----------------------------------------------------------------------------------------------------------------------

static void test_box(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        GstSeamResultsMeta *meta;
        begin(f, formats[i], 0);
        GstBuffer *in = frame(f, 0, &meta);
        meta->has_window = TRUE;
        meta->window.n_boxes = meta->window.n_shown = 1;
        meta->window.box[0] = (SeamBox){.x = 0.7f, .y = 0.7f, .w = 0.4f, .h = 0.4f, .score = 0.9f, .class_index = 1};
        GstBuffer *out = draw(f, in);
        g_assert_cmpuint(changed(f, in, out, 0.48, 0.92, 0.48, 0.92), >, 100); // the frame of the box
        g_assert_cmpuint(changed(f, in, out, 0.55, 0.85, 0.58, 0.85), ==, 0);  // its inside
        g_assert_cmpuint(changed(f, in, out, 0, 0.45, 0, 1), ==, 0);           // elsewhere
        gst_buffer_unref(in);
        gst_buffer_unref(out);
        end(f);
    }
}

static void test_heat(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 2 * G_N_ELEMENTS(formats); i++) {
        gboolean hot = i % 2 == 0;
        GstSeamResultsMeta *meta;
        begin(f, formats[i / 2], 0);
        g_object_set(f->h->element, "heat", hot ? 0.8 : 0.0, NULL);
        GstBuffer *in = frame(f, 0, &meta);
        meta->has_window = TRUE;
        meta->window.heat_w = meta->window.heat_h = 4;
        for (int y = 2; y < 4; y++)
            meta->window.heat[4 * y + 2] = meta->window.heat[4 * y + 3] = 1;
        GstBuffer *out = draw(f, in);
        g_assert_cmpuint(changed(f, in, out, 0.7, 0.95, 0.7, 0.95) > 200, ==, hot);
        g_assert_cmpuint(changed(f, in, out, 0, 0.25, 0, 0.25), ==, 0);
        gst_buffer_unref(in);
        gst_buffer_unref(out);
        end(f);
    }
}

// What the window looks like is said while the arc burns, as far as anybody can tell.
static void test_words(Fixture *f, gconstpointer data)
{
    begin(f, "RGB", 0);
    for (int arc = 0; arc < 2; arc++) {
        GstSeamResultsMeta *meta;
        GstBuffer *in = frame(f, 0, &meta);
        meta->has_window = meta->window.has_classify = TRUE;
        meta->window.present = 1 << TEST_SENSORS; // which has arc_on
        meta->window.arc_on = arc;
        meta->window.probability[1] = 1;
        GstBuffer *out = draw(f, in);
        g_assert_cmpuint(changed(f, in, out, 0, 1, 0, 0.25) > 50, ==, arc);
        gst_buffer_unref(in);
        gst_buffer_unref(out);
    }
}

// The verdict's band has its decision's colour; a verdict without a class is drawn, too.
static void test_verdict(Fixture *f, gconstpointer data)
{
    static const guint8 strongest[] = {[SEAM_PASS] = 1, [SEAM_REJECT] = 0}, class_index[] = {0, 1};
    begin(f, "RGB", 0);
    for (SeamDecision d = SEAM_PASS; d <= SEAM_REFER; d++) {
        GstSeamResultsMeta *meta;
        GstBuffer *in = frame(f, 0, &meta);
        meta->has_verdict = TRUE;
        meta->verdict = (SeamVerdict){.number = 3, .decision = d, .reason = "", .class_index = d == SEAM_REFER ? -1 : class_index[d]};
        GstBuffer *out = draw(f, in);
        GstMapInfo map;
        g_assert_true(gst_buffer_map(out, &map, GST_MAP_READ));
        const guint8 *rgb = map.data + 1 * (3 * WIDTH) + 3 * (WIDTH - 2); // above the words, at the right
        if (d != SEAM_REFER)
            g_assert_cmpuint(rgb[strongest[d]], >, rgb[1 - strongest[d]] + 40u);
        gst_buffer_unmap(out, &map);
        g_assert_cmpuint(changed(f, in, out, 0, 1, 0.5, 1), ==, 0);
        gst_buffer_unref(in);
        gst_buffer_unref(out);
    }
}

// The sum of the panel's bytes tells whether more than the ground is drawn.
static guint panel_sum(Fixture *f, GstBuffer *out)
{
    GstMapInfo map;
    guint sum = 0;
    g_assert_true(gst_buffer_map(out, &map, GST_MAP_READ));
    for (gsize i = 3 * HEIGHT * WIDTH; i < map.size; i++)
        sum += map.data[i];
    gst_buffer_unmap(out, &map);
    gst_buffer_unref(out);
    return sum;
}

static guint draw_levels(Fixture *f, double time, int32_t n)
{
    GstSeamResultsMeta *meta;
    GstBuffer *in = frame(f, time, &meta);
    meta->n_levels = n;
    for (int32_t i = 0; i < n; i++) {
        meta->level[i] = (SeamLevel){time - 0.5 + 0.5 * i / n, (float)(i % 7)};
        meta->level_modality[i] = TEST_SENSORS;
    }
    guint sum = panel_sum(f, draw(f, in));
    gst_buffer_unref(in);
    return sum;
}

static void test_traces(Fixture *f, gconstpointer data)
{
    begin(f, "RGB", 60);
    guint empty = panel_sum(f, gst_harness_push_and_pull(f->h, plain(f, 1.6))); // the grid depends on the time
    guint drawn = draw_levels(f, 1, 50);
    g_assert_cmpuint(drawn, >, empty + 1000);
    g_assert_cmpuint(draw_levels(f, 1.2, 0), >, empty + 1000); // the trace stays
    g_assert_cmpuint(draw_levels(f, 1.5, 50), >, drawn);       // and grows
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_start()));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE)));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_segment(&segment)));
    g_assert_cmpuint(draw_levels(f, 1.6, 0), ==, empty);
}

// Anything a meta can hold: nothing of it may lead outside the frame.
static void test_extremes(Fixture *f, gconstpointer data)
{
    begin(f, "I420", 20);
    GstSeamResultsMeta *meta;
    GstBuffer *in = frame(f, 0, &meta);
    meta->has_window = meta->has_verdict = TRUE;
    meta->window.n_boxes = meta->window.n_shown = SEAM_MAX_BOXES;
    for (int32_t i = 0; i < SEAM_MAX_BOXES; i++)
        meta->window.box[i] = (SeamBox){.x = (float)i - 10, .y = 3 - (float)i, .w = 1e6f, .h = 1e-6f, .class_index = 1};
    meta->window.heat_w = meta->window.heat_h = 64;
    memset(meta->window.heat, 0x7f, sizeof meta->window.heat); // huge
    meta->verdict.reason = "";
    meta->n_levels = GST_SEAM_RESULTS_MAX_LEVELS;
    for (int32_t i = 0; i < meta->n_levels; i++) {
        meta->level[i] = (SeamLevel){i * 0.01, i % 2 ? 1e38f : -1e38f};
        meta->level_modality[i] = (uint8_t)i;
    }
    GstBuffer *out = draw(f, in);
    gst_buffer_unref(in);
    gst_buffer_unref(out);
}

// ---- the frame's company, caps, life ----------------------------------------------------------------------------------------------------

static void test_metas_stay(Fixture *f, gconstpointer data)
{
    begin(f, "I420", 20);
    GstSeamResultsMeta *meta;
    GstBuffer *in = frame(f, 1, &meta);
    meta->has_window = TRUE;
    meta->window.time = 1;
    gst_buffer_add_video_region_of_interest_meta(in, "porosity", 1, 2, 3, 4);
    GstBuffer *out = draw(f, in);
    gst_buffer_unref(in);
    const GstSeamResultsMeta *kept = gst_buffer_get_seam_results_meta(out);
    g_assert_nonnull(kept);
    g_assert_cmpfloat(kept->window.time, ==, 1);
    GstVideoRegionOfInterestMeta *region = gst_buffer_get_video_region_of_interest_meta_id(out, 0);
    if (!region)
        region = (GstVideoRegionOfInterestMeta *)gst_buffer_get_meta(out, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE);
    g_assert_nonnull(region);
    g_assert_cmpuint(region->y, ==, 2);
    g_assert_cmpuint(GST_BUFFER_PTS(out), ==, GST_SECOND);
    gst_buffer_unref(out);
}

static void test_caps_change(Fixture *f, gconstpointer data)
{
    begin(f, "RGB", 20);
    gst_buffer_unref(gst_harness_push_and_pull(f->h, plain(f, 0)));
    gst_caps_unref(f->caps);
    f->caps = test_video_caps("NV12", 33, 21);
    gst_harness_set_src_caps(f->h, gst_caps_ref(f->caps));
    gst_buffer_unref(gst_harness_push_and_pull(f->h, plain(f, 0.04)));
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad);
    int height;
    g_assert_true(gst_structure_get_int(gst_caps_get_structure(caps, 0), "height", &height));
    g_assert_cmpint(height, ==, 41);
    gst_caps_unref(caps);
}

static void test_format_refused(Fixture *f, gconstpointer data)
{
    GstElement *element = test_element("seamoverlay", NULL);
    f->h = test_harness_of(element, "sink", "src");
    GstCaps *caps = test_video_caps("GRAY16_LE", WIDTH, HEIGHT);
    g_assert_false(gst_pad_query_accept_caps(GST_PAD_PEER(f->h->srcpad), caps));
    gst_caps_unref(caps);
}

static void test_states_and_properties(Fixture *f, gconstpointer data)
{
    begin(f, "RGB", 21);
    guint panel;
    double heat, seconds;
    g_object_set(f->h->element, "heat", 0.25, "seconds", 3.0, NULL);
    g_object_get(f->h->element, "panel", &panel, "heat", &heat, "seconds", &seconds, NULL);
    g_assert_cmpuint(panel, ==, 20);
    g_assert_cmpfloat(heat, ==, 0.25);
    g_assert_cmpfloat(seconds, ==, 3);
    for (int i = 0; i < 4; i++) {
        draw_levels(f, 1, 20);
        g_assert_cmpint(gst_element_set_state(f->h->element, i % 2 ? GST_STATE_NULL : GST_STATE_READY), ==, GST_STATE_CHANGE_SUCCESS);
        gst_harness_play(f->h);
        gst_harness_set_src_caps(f->h, gst_caps_ref(f->caps));
    }
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_eos()));
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
#define ADD(name, function) g_test_add("/overlay/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("no-meta", test_no_meta);
    ADD("panel-without-meta", test_panel_without_meta);
    ADD("box", test_box);
    ADD("heat", test_heat);
    ADD("words", test_words);
    ADD("verdict", test_verdict);
    ADD("traces", test_traces);
    ADD("extremes", test_extremes);
    ADD("metas-stay", test_metas_stay);
    ADD("caps-change", test_caps_change);
    ADD("format-refused", test_format_refused);
    ADD("states-and-properties", test_states_and_properties);
    return g_test_run();
}
