// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamencoder on the chunks of long texts: those that go on in the next buffer end where the last layer is run, and act on what comes after them;
// what their meta said is not lost; a stream that begins anew begins without them.
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"

enum { LAYERS = 4, PARTS = 3, CHUNKS = 5 };

// Tokens of each chunk: one text of four, of which the first is short, and one of one.
static const int32_t length[CHUNKS] = {2, 8, 8, 8, 5};
static const gboolean more[CHUNKS] = {TRUE, TRUE, TRUE, FALSE, FALSE};

typedef struct {
    char *bundle;
    SeamModel *model;
    GstHarness *part[PARTS]; // elements that share the layers
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->bundle = test_bundle_new(1, TEST_BUNDLE_SCAN);
    f->model = test_model(f->bundle);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    seam_model_free(f->model);
    test_bundle_free(f->bundle);
}

static void push_segment(GstHarness *h)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(h, gst_event_new_segment(&segment));
}

static void open_parts(Fixture *f, const char *const layers[PARTS])
{
    int done = 0;
    for (guint i = 0; i < PARTS && layers[i]; i++) {
        GstElement *element = test_element("seamencoder", f->bundle);
        g_object_set(element, "layers", layers[i], NULL);
        f->part[i] = test_harness_of(element, "sink", "src");
        GstCaps *caps = test_tokens_caps(f->model, done ? SEAM_STAGE_ENCODED : SEAM_STAGE_EMBEDDED, TEST_TEXT, done);
        gst_harness_push_event(f->part[i], gst_event_new_stream_start("test"));
        gst_harness_push_event(f->part[i], gst_event_new_caps(caps));
        push_segment(f->part[i]);
        gst_caps_unref(caps);
        done = g_str_equal(layers[i], "all") ? LAYERS : (int)g_ascii_digit_value(layers[i][strlen(layers[i]) - 1]) + 1;
    }
}

static void close_parts(Fixture *f)
{
    for (guint i = 0; i < PARTS; i++)
        g_clear_pointer(&f->part[i], test_harness_end);
}

static GstBuffer *chunk(Fixture *f, int32_t i)
{
    GstBuffer *buffer = test_tokens_new(&f->model->config, SEAM_STAGE_EMBEDDED, TEST_TEXT, 1, length[i], 0.5, 0.1, NAN, 10 + (uint64_t)i);
    gst_buffer_get_seam_tokens_meta(buffer)->more = more[i];
    return buffer;
}

// Through all parts; NULL when it ended in one of them, which only the last one may do.
static GstBuffer *run_parts(Fixture *f, GstBuffer *buffer)
{
    gboolean goes_on = gst_buffer_get_seam_tokens_meta(buffer)->more;
    for (guint i = 0; i < PARTS && f->part[i]; i++) {
        g_assert_cmpint(gst_harness_push(f->part[i], buffer), ==, GST_FLOW_OK);
        buffer = gst_harness_try_pull(f->part[i]);
        gboolean last = i + 1 == PARTS || !f->part[i + 1];
        g_assert_true((buffer == NULL) == (last && goes_on));
        g_assert_true(!buffer || gst_buffer_get_seam_tokens_meta(buffer)->more == goes_on);
    }
    return buffer;
}

// The chunks first .. last as a stream that begins with `first`, by core: the last one's values, and in use [experts] what fell on the experts in
// the chunks from `counted` on. g_free it.
static float *by_core(Fixture *f, int32_t first, int32_t counted, int32_t last, float *use)
{
    TestRun run;
    SeamCarry carry;
    float *x = NULL;
    test_run_init(&run);
    g_assert_true(seam_carry_init(&carry, &f->model->config, NULL));
    for (int32_t i = first; i <= last; i++) {
        GstBuffer *buffer = chunk(f, i);
        SeamTokens t;
        GstMapInfo map;
        g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READWRITE, &t, &map, NULL));
        g_assert_cmpint(seam_model_encode_stream(f->model, &run.run, 0, LAYERS - 1, &t, i < counted ? NULL : use, &carry), ==, SEAM_OK);
        x = i == last ? g_memdup2(t.x, map.size) : NULL;
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
    seam_carry_clear(&carry);
    test_run_clear(&run);
    return x;
}

static void assert_like_core(Fixture *f, GstBuffer *out, int32_t first, int32_t counted, int32_t last)
{
    float use[SEAM_MAX_EXPERTS] = {0};
    GstMapInfo map;
    g_assert_nonnull(out);
    g_autofree float *x = by_core(f, first, counted, last, use);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(out);
    g_assert_true(gst_buffer_map(out, &map, GST_MAP_READ));
    g_assert_cmpmem(map.data, map.size, x, (gsize)(length[last] * f->model->config.dim) * sizeof(float));
    gst_buffer_unmap(out, &map);
    for (gint32 e = 0; e < SEAM_MAX_EXPERTS; e++)
        g_assert_cmpfloat_with_epsilon(meta->expert_use[e], use[e], 1e-3);
}

// However the layers are shared.
static void test_end(Fixture *f, gconstpointer data)
{
    static const char *const splits[][PARTS] = {{"all"}, {"0-1", "2-3"}, {"0", "1-2", "3"}};
    for (guint s = 0; s < G_N_ELEMENTS(splits); s++) {
        open_parts(f, splits[s]);
        for (int32_t i = 0; i < CHUNKS; i++) {
            GstBuffer *in = chunk(f, i);
            gst_buffer_get_seam_tokens_meta(in)->level = i == 1 ? 2 : 0;
            GstBuffer *out = run_parts(f, in);
            if (!out)
                continue;
            assert_like_core(f, out, 0, i == 3 ? 0 : 4, i);
            g_assert_cmpint(gst_buffer_get_seam_tokens_meta(out)->level, ==, i == 3 ? 2 : 0);
            g_assert_false(GST_BUFFER_IS_DISCONT(out)); // nothing is missing between them
            gst_buffer_unref(out);
        }
        close_parts(f);
    }
}

// That something was missing before a text is said by its last chunk.
static void test_discont(Fixture *f, gconstpointer data)
{
    open_parts(f, (const char *const[PARTS]){"0-1", "2-3"});
    for (int32_t i = 0; i < CHUNKS; i++) {
        GstBuffer *in = chunk(f, i);
        if (i == 0)
            GST_BUFFER_FLAG_SET(in, GST_BUFFER_FLAG_DISCONT);
        GstBuffer *out = run_parts(f, in);
        g_assert_true((out && GST_BUFFER_IS_DISCONT(out)) == (i == 3));
        gst_clear_buffer(&out);
    }
    close_parts(f);
}

// After a flush in the middle of a text nothing of it is left.
static void test_flush(Fixture *f, gconstpointer data)
{
    open_parts(f, (const char *const[PARTS]){"0-1", "2-3"});
    for (int32_t i = 0; i < 2; i++) {
        GstBuffer *in = chunk(f, i);
        gst_buffer_get_seam_tokens_meta(in)->level = 1;
        g_assert_null(run_parts(f, in));
    }
    for (guint i = 0; i < 2; i++) {
        gst_harness_push_event(f->part[i], gst_event_new_flush_start());
        gst_harness_push_event(f->part[i], gst_event_new_flush_stop(TRUE));
        push_segment(f->part[i]);
    }
    GstBuffer *out = run_parts(f, chunk(f, 4));
    assert_like_core(f, out, 4, 4, 4);
    g_assert_cmpint(gst_buffer_get_seam_tokens_meta(out)->level, ==, 0);
    gst_buffer_unref(out);
    close_parts(f);
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
    g_test_add("/text-chunks/end", Fixture, NULL, set_up, test_end, tear_down);
    g_test_add("/text-chunks/discont", Fixture, NULL, set_up, test_discont, tear_down);
    g_test_add("/text-chunks/flush", Fixture, NULL, set_up, test_flush, tear_down);
    return g_test_run();
}
