// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamvideoembed: that a frame in any format gives what core gives for the same scaled picture, which frames are taken, and what is refused.
#include <math.h>
#include <string.h>

#include "core/vision.h"
#include "tests/plugins/helpers.h"

enum { WIDTH = 46, HEIGHT = 34 };
#define FRAME 0.04 // seconds

typedef struct {
    char *bundle;
    SeamModel *model;
    GstHarness *h;
} Fixture;

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

static void begin(Fixture *f, const char *format, const char *modality)
{
    GstElement *element = test_element("seamvideoembed", f->bundle);
    g_object_set(element, "modality", modality, NULL);
    f->h = test_harness_of(element, "sink", "src");
    gst_harness_set_src_caps(f->h, test_video_caps(format, WIDTH, HEIGHT));
}

static GstBuffer *frame(const char *format, int width, int height, double time, uint64_t seed)
{
    GstCaps *caps = test_video_caps(format, width, height);
    GstBuffer *buffer = test_frame_new(caps, time, FRAME, seed);
    gst_caps_unref(caps);
    return buffer;
}

static const struct {
    const char *name;
    SeamPixels pixels;
} formats[] = {
    {"GRAY8", SEAM_PIXELS_GRAY8}, {"RGB", SEAM_PIXELS_RGB},   {"BGR", SEAM_PIXELS_BGR},    {"RGBx", SEAM_PIXELS_RGBX}, {"BGRx", SEAM_PIXELS_BGRX},
    {"RGBA", SEAM_PIXELS_RGBX},   {"BGRA", SEAM_PIXELS_BGRX}, {"I420", SEAM_PIXELS_I420}, {"NV12", SEAM_PIXELS_NV12}, {"YUY2", SEAM_PIXELS_YUY2},
};

// What core makes of the frame.
typedef struct {
    float *x;
    gsize bytes;
    float brightness;
} Expected;

static Expected expect(Fixture *f, int32_t modality, guint format, GstBuffer *buffer, int width, int height)
{
    const SeamModality *m = &f->model->config.modality[modality];
    GstCaps *caps = test_video_caps(formats[format].name, width, height);
    GstVideoInfo info;
    GstVideoFrame mapped;
    g_assert_true(gst_video_info_from_caps(&info, caps) && gst_video_frame_map(&mapped, &info, buffer, GST_MAP_READ));
    SeamPicture picture = {formats[format].pixels, width, height, {0}, {0}};
    for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES(&mapped); p++) {
        picture.plane[p] = GST_VIDEO_FRAME_PLANE_DATA(&mapped, p);
        picture.stride[p] = GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, p);
    }
    g_autofree uint8_t *pixels = g_malloc((gsize)m->image.size * (gsize)m->image.size * (gsize)m->channels);
    SeamVisionScratch *scratch = seam_vision_scratch_new();
    g_assert_true(seam_vision_to_input(scratch, &picture, m->image.size, m->channels, pixels, NULL));
    seam_vision_scratch_free(scratch);
    Expected e = {.brightness = seam_vision_brightness(&picture)};
    gst_video_frame_unmap(&mapped);
    gst_caps_unref(caps);
    TestRun run;
    SeamTokens tokens;
    double time = 0;
    test_run_init(&run);
    g_assert_cmpint(seam_model_embed_images(f->model, &run.run, modality, 1, pixels, &time, &tokens, NULL), ==, SEAM_OK);
    e.bytes = (gsize)tokens.n * (gsize)tokens.dim * sizeof(float);
    e.x = g_memdup2(tokens.x, e.bytes);
    test_run_clear(&run);
    return e;
}

static void assert_tokens(GstBuffer *out, const Expected *e, int32_t modality, double time)
{
    SeamTokens tokens;
    GstMapInfo map;
    g_assert_true(gst_seam_tokens_map(out, GST_MAP_READ, &tokens, &map, NULL));
    g_assert_cmpmem(map.data, map.size, e->x, e->bytes);
    gst_buffer_unmap(out, &map);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(out);
    g_assert_cmpint(meta->stage, ==, SEAM_STAGE_EMBEDDED);
    g_assert_cmpint(tokens.n, ==, 17);
    g_assert_cmpint(tokens.seqs, ==, 1);
    g_assert_cmpfloat_with_epsilon(tokens.seq_time[0], time, 1e-9);
    for (int32_t i = 0; i < tokens.n; i++)
        g_assert_cmpint(tokens.place[i].modality, ==, modality);
    g_assert_cmpint(meta->n_levels, ==, 1);
    g_assert_cmpint(meta->level_modality[0], ==, modality);
    g_assert_cmpfloat(meta->levels[0].value, ==, e->brightness);
    g_assert_cmpfloat_with_epsilon(meta->levels[0].time, time, 1e-9);
}

// ---- what comes out ---------------------------------------------------------------------------------------------------------------------

static void check_format(Fixture *f, guint format, const char *name, int32_t modality)
{
    begin(f, formats[format].name, name);
    GstBuffer *in = frame(formats[format].name, WIDTH, HEIGHT, 1.2, format);
    Expected e = expect(f, modality, format, in, WIDTH, HEIGHT);
    GstBuffer *out = gst_harness_push_and_pull(f->h, in);
    g_assert_nonnull(out);
    assert_tokens(out, &e, modality, 1.2);
    g_assert_cmpuint(GST_BUFFER_PTS(out), ==, 1200 * GST_MSECOND);
    g_assert_cmpuint(GST_BUFFER_DURATION(out), ==, 40 * GST_MSECOND);
    GstCaps *caps = gst_pad_get_current_caps(f->h->sinkpad), *expected = test_tokens_caps(f->model, SEAM_STAGE_EMBEDDED, modality, 0);
    g_assert_true(gst_caps_is_equal(caps, expected));
    gst_caps_unref(caps);
    gst_caps_unref(expected);
    gst_buffer_unref(out);
    g_free(e.x);
    g_clear_pointer(&f->h, test_harness_end);
}

static void test_formats(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        check_format(f, i, "video", TEST_VIDEO);
        check_format(f, i, "photo", TEST_PHOTO);
        check_format(f, i, NULL, TEST_VIDEO); // the first one
    }
}

// The stem in whole numbers, as core computes it.
static void test_quantised(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(f->model->embed[TEST_VIDEO].image.stem[1].weight->packed.type, ==, SEAM_PACK_I8);
    test_formats(f, data);
}

// Rows further apart than caps alone would say, as cameras deliver them.
static void test_strides(Fixture *f, gconstpointer data)
{
    gsize offset[GST_VIDEO_MAX_PLANES] = {64};
    gint stride[GST_VIDEO_MAX_PLANES] = {64};
    begin(f, "GRAY8", "video");
    GstBuffer *tight = frame("GRAY8", WIDTH, HEIGHT, 0, 3), *loose = gst_buffer_new_allocate(NULL, 64 + 64 * HEIGHT, NULL);
    GstVideoInfo info;
    GstCaps *caps = test_video_caps("GRAY8", WIDTH, HEIGHT);
    g_assert_true(gst_video_info_from_caps(&info, caps));
    gst_caps_unref(caps);
    gst_buffer_memset(loose, 0, 0xff, 64 + 64 * HEIGHT);
    for (gsize y = 0; y < HEIGHT; y++) {
        guint8 row[WIDTH];
        gst_buffer_extract(tight, y * (gsize)GST_VIDEO_INFO_PLANE_STRIDE(&info, 0), row, WIDTH);
        gst_buffer_fill(loose, 64 + y * 64, row, WIDTH);
    }
    gst_buffer_add_video_meta_full(loose, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT, 1, offset, stride);
    GST_BUFFER_PTS(loose) = 0;
    Expected e = expect(f, TEST_VIDEO, 0, tight, WIDTH, HEIGHT);
    GstBuffer *out = gst_harness_push_and_pull(f->h, loose);
    assert_tokens(out, &e, TEST_VIDEO, 0);
    gst_buffer_unref(out);
    gst_buffer_unref(tight);
    g_free(e.x);
}

// Upstream learns that it need not copy, and the tokens' memory goes round.
static void test_memory(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    GstCaps *caps = test_video_caps("GRAY8", WIDTH, HEIGHT);
    GstQuery *query = gst_query_new_allocation(caps, TRUE);
    g_assert_true(gst_pad_peer_query(f->h->srcpad, query));
    g_assert_true(gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL));
    gst_query_unref(query);
    gst_caps_unref(caps);
    GstMemory *memory = NULL;
    for (int i = 0; i < 4; i++) {
        GstBuffer *out = gst_harness_push_and_pull(f->h, frame("GRAY8", WIDTH, HEIGHT, i * FRAME, 1));
        g_assert_true(i == 0 || gst_buffer_peek_memory(out, 0) == memory);
        memory = gst_buffer_peek_memory(out, 0);
        gst_buffer_unref(out);
    }
}

static void test_caps_change(Fixture *f, gconstpointer data)
{
    static const struct {
        guint format;
        int width, height;
    } turns[] = {{0, 64, 48}, {7, 31, 17}, {1, 200, 120}, {0, 4, 2}};
    begin(f, "GRAY8", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(turns); i++) {
        const char *format = formats[turns[i].format].name;
        gst_harness_set_src_caps(f->h, test_video_caps(format, turns[i].width, turns[i].height));
        GstBuffer *in = frame(format, turns[i].width, turns[i].height, i * FRAME, i);
        Expected e = expect(f, TEST_VIDEO, turns[i].format, in, turns[i].width, turns[i].height);
        GstBuffer *out = gst_harness_push_and_pull(f->h, in);
        assert_tokens(out, &e, TEST_VIDEO, i * FRAME);
        gst_buffer_unref(out);
        g_free(e.x);
    }
}

// ---- which frames -----------------------------------------------------------------------------------------------------------------------

static double out_time(GstBuffer *buffer)
{
    const SeamTokens *tokens = &gst_buffer_get_seam_tokens_meta(buffer)->tokens;
    g_assert_cmpint(tokens->seqs, ==, 1);
    double time = tokens->seq_time[0];
    gst_buffer_unref(buffer);
    return time;
}

static void push_segment(GstHarness *h, GstClockTime start, GstClockTime stop, GstClockTime base)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = segment.time = start;
    segment.stop = stop;
    segment.base = base;
    g_assert_true(gst_harness_push_event(h, gst_event_new_segment(&segment)));
}

// Times are running times; what the segment cuts off is dropped.
static void test_segment(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    push_segment(f->h, 10 * GST_SECOND, 11 * GST_SECOND, 2 * GST_SECOND);
    g_assert_cmpint(gst_harness_push(f->h, frame("GRAY8", WIDTH, HEIGHT, 9.5, 1)), ==, GST_FLOW_OK);
    g_assert_cmpuint(gst_harness_buffers_received(f->h), ==, 0);
    g_assert_cmpfloat_with_epsilon(out_time(gst_harness_push_and_pull(f->h, frame("GRAY8", WIDTH, HEIGHT, 10.5, 1))), 2.5, 1e-9);
}

static void test_no_timestamps(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    for (int i = 0; i < 3; i++) {
        GstBuffer *in = frame("GRAY8", WIDTH, HEIGHT, 0, 1);
        GST_BUFFER_PTS(in) = GST_BUFFER_DURATION(in) = GST_CLOCK_TIME_NONE;
        g_assert_cmpfloat_with_epsilon(out_time(gst_harness_push_and_pull(f->h, in)), i * FRAME, 1e-9);
    }
}

// 25 frames a second, at most 5: every fifth, and gaps that say that time goes on.
static void test_max_rate(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    g_object_set(f->h->element, "max-rate", 5.0, NULL);
    for (int i = 0; i < 25; i++)
        g_assert_cmpint(gst_harness_push(f->h, frame("GRAY8", WIDTH, HEIGHT, i * FRAME, 1)), ==, GST_FLOW_OK);
    g_assert_cmpuint(gst_harness_buffers_received(f->h), ==, 25);
    for (int i = 0; i < 25; i++) {
        GstBuffer *out = gst_harness_pull(f->h);
        const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(out);
        g_assert_cmpint(meta->tokens.seqs, ==, i % 5 == 0 ? 1 : 0); // the others only tell their brightness
        g_assert_cmpuint(gst_buffer_get_size(out), ==, (gsize)meta->tokens.n * (gsize)meta->tokens.dim * sizeof(float));
        g_assert_cmpint(meta->n_levels, ==, 1);
        g_assert_cmpfloat_with_epsilon(meta->levels[0].time, i * FRAME, 1e-9);
        g_assert_cmpuint(GST_BUFFER_PTS(out), ==, i * 40 * GST_MSECOND);
        gst_buffer_unref(out);
    }
}

static void test_qos(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    g_assert_cmpint(gst_harness_push(f->h, frame("GRAY8", WIDTH, HEIGHT, 0, 1)), ==, GST_FLOW_OK);
    gst_harness_push_upstream_event(f->h, gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 2, 200 * GST_MSECOND, 0));
    g_assert_cmpint(gst_harness_push(f->h, frame("GRAY8", WIDTH, HEIGHT, FRAME, 1)), ==, GST_FLOW_OK);
    g_assert_cmpuint(gst_harness_buffers_received(f->h), ==, 1);
    g_assert_cmpint(gst_harness_push(f->h, frame("GRAY8", WIDTH, HEIGHT, 1, 1)), ==, GST_FLOW_OK);
    g_assert_cmpuint(gst_harness_buffers_received(f->h), ==, 2);
}

static void test_flush_and_eos(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    g_object_set(f->h->element, "max-rate", 1.0, NULL);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpfloat(out_time(gst_harness_push_and_pull(f->h, frame("GRAY8", WIDTH, HEIGHT, 0, 1))), ==, 0);
        g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_start()));
        g_assert_true(gst_harness_push_event(f->h, gst_event_new_flush_stop(TRUE)));
        push_segment(f->h, 0, GST_CLOCK_TIME_NONE, 0);
    }
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_gap(0, GST_SECOND)));
    g_assert_true(gst_harness_push_event(f->h, gst_event_new_eos()));
    static const GstEventType in_order[] = {GST_EVENT_FLUSH_START, GST_EVENT_FLUSH_STOP, GST_EVENT_GAP, GST_EVENT_EOS};
    for (guint i = 0; i < G_N_ELEMENTS(in_order); i++) {
        GstEvent *event = test_pull_event(f->h, in_order[i]);
        g_assert_nonnull(event);
        gst_event_unref(event);
    }
}

// ---- what is refused --------------------------------------------------------------------------------------------------------------------

static void assert_no_start(GstElement *element, const char *word, const char *word_2)
{
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    test_assert_error(element, word, word_2, NULL);
    test_element_free(element);
}

static void test_bad_settings(Fixture *f, gconstpointer data)
{
    assert_no_start(test_element("seamvideoembed", NULL), "gst-resource-error-quark 13", "give model=");
    assert_no_start(test_element("seamvideoembed", "/nowhere/none.seam"), "gst-resource-error-quark", "/nowhere/none.seam");
    GstElement *element = test_element("seamvideoembed", f->bundle);
    g_object_set(element, "device", "abacus", NULL);
    assert_no_start(element, "gst-resource-error-quark 13", "abacus");
    element = test_element("seamvideoembed", f->bundle);
    g_object_set(element, "modality", "sound", NULL);
    assert_no_start(element, "modality=\"sound\"", "video, photo");
}

static void test_truncated_model(Fixture *f, gconstpointer data)
{
    g_autofree char *file = g_build_filename(f->bundle, "weights.safetensors", NULL), *bytes = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(file, &bytes, &size, NULL));
    g_assert_true(g_file_set_contents(file, bytes, (gssize)size / 2, NULL));
    assert_no_start(test_element("seamvideoembed", f->bundle), "gst-resource-error-quark", "weights.safetensors");
}

static void test_truncated_frame(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    GstBuffer *in = frame("GRAY8", WIDTH, HEIGHT, 0, 1);
    gst_buffer_set_size(in, 100);
    g_assert_cmpint(gst_harness_push(f->h, in), ==, GST_FLOW_ERROR);
    test_assert_error(f->h->element, "gst-stream-error-quark", "100 bytes", "46x34 GRAY8", NULL);
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

static void test_states(Fixture *f, gconstpointer data)
{
    begin(f, "GRAY8", NULL);
    for (int i = 0; i < 5; i++) {
        gst_buffer_unref(gst_harness_push_and_pull(f->h, frame("GRAY8", WIDTH, HEIGHT, 0, 1)));
        g_assert_cmpint(gst_element_set_state(f->h->element, i % 2 ? GST_STATE_NULL : GST_STATE_READY), ==, GST_STATE_CHANGE_SUCCESS);
        gst_harness_play(f->h);
        gst_harness_set_src_caps(f->h, test_video_caps("GRAY8", WIDTH, HEIGHT));
    }
    gst_buffer_unref(gst_harness_push_and_pull(f->h, frame("GRAY8", WIDTH, HEIGHT, 0, 1)));
}

static void test_properties(Fixture *f, gconstpointer data)
{
    GstElement *element = test_element("seamvideoembed", f->bundle);
    g_autofree char *model = NULL, *device = NULL, *modality = NULL, *set = NULL;
    double rate;
    g_object_get(element, "model", &model, "device", &device, "modality", &modality, "max-rate", &rate, NULL);
    g_assert_cmpstr(model, ==, f->bundle);
    g_assert_cmpstr(device, ==, "auto");
    g_assert_null(modality);
    g_assert_cmpfloat(rate, ==, 0);
    g_object_set(element, "modality", "photo", "max-rate", 12.5, NULL);
    g_object_get(element, "modality", &set, "max-rate", &rate, NULL);
    g_assert_cmpstr(set, ==, "photo");
    g_assert_cmpfloat(rate, ==, 12.5);
    test_element_free(element);
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
#define ADD(name, function) g_test_add("/videoembed/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("formats", test_formats);
    g_test_add("/videoembed/quantised", Fixture, GINT_TO_POINTER(TEST_BUNDLE_I8), set_up, test_quantised, tear_down);
    ADD("strides", test_strides);
    ADD("memory", test_memory);
    ADD("caps-change", test_caps_change);
    ADD("segment", test_segment);
    ADD("no-timestamps", test_no_timestamps);
    ADD("max-rate", test_max_rate);
    ADD("qos", test_qos);
    ADD("flush-and-eos", test_flush_and_eos);
    ADD("bad-settings", test_bad_settings);
    ADD("truncated-model", test_truncated_model);
    ADD("truncated-frame", test_truncated_frame);
    ADD("states", test_states);
    ADD("properties", test_properties);
    return g_test_run();
}
