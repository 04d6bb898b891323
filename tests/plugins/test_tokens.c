// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Token buffers: caps and what they refuse, the meta's way through copies and pools, and buffers that are not what they claim to be.
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"

static const char mine[] = "0123456789abcdef", other[] = "fedcba9876543210";

typedef struct {
    SeamConfig *config;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->config = g_new0(SeamConfig, 1);
    test_config(f->config);
}

static void tear_down(Fixture *f, gconstpointer data) { g_free(f->config); }

// ---- caps -------------------------------------------------------------------------------------------------------------------------------

static void test_caps_round_trip(Fixture *f, gconstpointer data)
{
    static const SeamStage stages[] = {SEAM_STAGE_EMBEDDED, SEAM_STAGE_ENCODED, SEAM_STAGE_FUSED};
    for (guint i = 0; i < G_N_ELEMENTS(stages); i++) {
        gboolean fused = stages[i] == SEAM_STAGE_FUSED;
        GstCaps *caps = gst_seam_tokens_caps_new(f->config, mine, stages[i], fused ? -1 : TEST_SOUND, 3);
        GstSeamTokensInfo info;
        char *message = NULL;
        g_assert_true(gst_caps_is_fixed(caps));
        g_assert_true(gst_seam_tokens_info_from_caps(&info, caps, f->config, mine, &message));
        g_assert_null(message);
        g_assert_cmpint(info.stage, ==, stages[i]);
        g_assert_cmpint(info.modality, ==, fused ? -1 : TEST_SOUND);
        g_assert_cmpint(info.dim, ==, f->config->dim);
        g_assert_cmpint(info.layers, ==, stages[i] == SEAM_STAGE_ENCODED ? 3 : 0);
        g_assert_cmpstr(info.fingerprint, ==, mine);
        gst_caps_unref(caps);
    }
}

// Each: one field changed (value NULL: removed), and words that the message must have.
static void test_caps_refused(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *field, *value, *words[3];
    } bad[] = {
        {"model", other, {"sound branch", "fedcba9876543210", "0123456789abcdef"}},
        {"model", NULL, {"model (none)", "give all elements the same model="}},
        {"type", "f16", {"\"type\"", "f16", "f32"}},
        {"stage", "cooked", {"\"stage\"", "cooked", "embedded, encoded or fused"}},
        {"stage", NULL, {"\"stage\"", "(none)"}},
        {"modality", "smell", {"\"modality\"", "smell"}},
        {"modality", NULL, {"\"modality\"", "(none)"}},
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstCaps *caps = gst_seam_tokens_caps_new(f->config, mine, SEAM_STAGE_ENCODED, TEST_SOUND, 4);
        GstSeamTokensInfo info;
        g_autofree char *message = NULL;
        if (bad[i].value)
            gst_caps_set_simple(caps, bad[i].field, G_TYPE_STRING, bad[i].value, NULL);
        else
            gst_structure_remove_field(gst_caps_get_structure(caps, 0), bad[i].field);
        g_assert_false(gst_seam_tokens_info_from_caps(&info, caps, f->config, mine, &message));
        for (guint w = 0; w < 3 && bad[i].words[w]; w++)
            g_assert_nonnull(strstr(message, bad[i].words[w]));
        gst_caps_unref(caps);
    }
}

static void test_caps_numbers_refused(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *field;
        int value;
    } bad[] = {{"dim", 25}, {"dim", -1}, {"layers", 0}, {"layers", 5}};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstCaps *caps = gst_seam_tokens_caps_new(f->config, mine, SEAM_STAGE_ENCODED, TEST_SOUND, 4);
        GstSeamTokensInfo info;
        g_autofree char *message = NULL;
        gst_caps_set_simple(caps, bad[i].field, G_TYPE_INT, bad[i].value, NULL);
        g_assert_false(gst_seam_tokens_info_from_caps(&info, caps, f->config, mine, &message));
        g_assert_nonnull(strstr(message, bad[i].field));
        gst_caps_unref(caps);
    }
    GstCaps *video = test_video_caps("GRAY8", 16, 16);
    GstSeamTokensInfo info;
    g_autofree char *message = NULL;
    g_assert_false(gst_seam_tokens_info_from_caps(&info, video, f->config, mine, &message));
    g_assert_nonnull(strstr(message, "video/x-raw"));
    gst_caps_unref(video);
}

// ---- buffers ----------------------------------------------------------------------------------------------------------------------------

static void assert_same(GstBuffer *a, GstBuffer *b)
{
    SeamTokens x, y;
    GstMapInfo map_a, map_b;
    g_assert_true(gst_seam_tokens_map(a, GST_MAP_READ, &x, &map_a, NULL));
    g_assert_true(gst_seam_tokens_map(b, GST_MAP_READ, &y, &map_b, NULL));
    g_assert_cmpmem(x.x, map_a.size, y.x, map_b.size);
    g_assert_cmpmem(x.seq_start, sizeof(int32_t) * ((gsize)x.seqs + 1), y.seq_start, sizeof(int32_t) * ((gsize)y.seqs + 1));
    g_assert_cmpmem(x.seq_time, sizeof(double) * (gsize)x.seqs, y.seq_time, sizeof(double) * (gsize)y.seqs);
    g_assert_cmpmem(x.place, sizeof(SeamPlace) * (gsize)x.n, y.place, sizeof(SeamPlace) * (gsize)y.n);
    gst_buffer_unmap(a, &map_a);
    gst_buffer_unmap(b, &map_b);
}

static void test_buffer(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = test_tokens_new(f->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 3, 5, 1.5, 0.1, 7, 1);
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    SeamTokens tokens;
    GstMapInfo map;
    g_assert_true(gst_seam_tokens_map(buffer, GST_MAP_READ, &tokens, &map, NULL));
    g_assert_cmpint(tokens.n, ==, 15);
    g_assert_cmpint(tokens.seqs, ==, 3);
    g_assert_cmpint(tokens.dim, ==, f->config->dim);
    g_assert_cmpint(tokens.seq_start[2], ==, 10);
    g_assert_cmpfloat_with_epsilon(tokens.seq_time[2], 1.7, 1e-12);
    g_assert_cmpint(tokens.place[14].modality, ==, TEST_SENSORS);
    g_assert_cmpuint(map.size, ==, 15 * (gsize)f->config->dim * sizeof(float));
    gst_buffer_unmap(buffer, &map);
    g_assert_cmpint(meta->stage, ==, SEAM_STAGE_EMBEDDED);
    g_assert_cmpint(meta->n_levels, ==, 3);
    g_assert_cmpfloat(meta->levels[1].value, ==, 7);
    g_assert_cmpint(meta->level_modality[1], ==, TEST_SENSORS);
    g_assert_cmpuint(meta->present, ==, 1 << TEST_SENSORS);
    g_assert_true(isnan(meta->clock_offset[0]));
    g_assert_cmpint(meta->clock_reference, ==, -1);
    gst_buffer_unref(buffer);
}

// A copy has arrays of its own: it outlives the original, and shows nothing of what happens to it.
static void test_copy(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = test_tokens_new(f->config, SEAM_STAGE_ENCODED, TEST_SOUND, 2, 4, 0, 0.1, 3, 2);
    GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    meta->expert_use[2] = 5;
    meta->window_time = 8;
    meta->missing = 6;
    meta->clock_offset[1] = 0.25;
    meta->degraded = 2;
    meta->level = 4;
    meta->more = TRUE;
    meta->tokens.seq_left[1] = 1;
    GstBuffer *shallow = gst_buffer_copy(buffer), *deep = gst_buffer_copy_deep(buffer);
    assert_same(buffer, shallow);
    assert_same(buffer, deep);
    GstSeamTokensMeta *copy = gst_buffer_get_seam_tokens_meta(deep);
    g_assert_true(copy->tokens.place != meta->tokens.place);
    gst_buffer_unref(buffer);
    gst_buffer_unref(shallow);
    g_assert_cmpint(copy->stage, ==, SEAM_STAGE_ENCODED);
    g_assert_cmpfloat(copy->expert_use[2], ==, 5);
    g_assert_cmpfloat(copy->window_time, ==, 8);
    g_assert_cmpuint(copy->missing, ==, 6);
    g_assert_cmpfloat(copy->clock_offset[1], ==, 0.25);
    g_assert_cmpint(copy->degraded, ==, 2);
    g_assert_cmpint(copy->level, ==, 4);
    g_assert_true(copy->more);
    g_assert_cmpfloat(copy->levels[1].value, ==, 3);
    g_assert_cmpint(copy->tokens.seq_start[1], ==, 4);
    g_assert_true(copy->tokens.seq_left[1] && !copy->tokens.seq_left[0]);
    gst_buffer_unref(deep);
}

// Half of the values would not fit the places.
static void test_region_copy(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = test_tokens_new(f->config, SEAM_STAGE_ENCODED, TEST_SOUND, 1, 4, 0, 0.1, NAN, 3);
    GstBuffer *part = gst_buffer_copy_region(buffer, GST_BUFFER_COPY_ALL, 0, gst_buffer_get_size(buffer) / 2);
    g_assert_null(gst_buffer_get_seam_tokens_meta(part));
    gst_buffer_unref(part);
    gst_buffer_unref(buffer);
}

static void assert_map_fails(GstBuffer *buffer, const char *word)
{
    SeamTokens tokens;
    GstMapInfo map;
    g_autofree char *message = NULL;
    g_assert_false(gst_seam_tokens_map(buffer, GST_MAP_READ, &tokens, &map, &message));
    if (!strstr(message, word))
        g_error("the message \"%s\" does not say \"%s\"", message, word);
}

static void test_broken_buffers(Fixture *f, gconstpointer data)
{
    GstBuffer *plain = gst_buffer_new_allocate(NULL, 96, NULL);
    assert_map_fails(plain, "no SeamTokensMeta");
    gst_buffer_unref(plain);
    GstBuffer *buffer = test_tokens_new(f->config, SEAM_STAGE_ENCODED, TEST_SOUND, 2, 4, 0, 0.1, NAN, 4);
    GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    gsize size = gst_buffer_get_size(buffer);
    gst_buffer_set_size(buffer, (gssize)size - 4);
    assert_map_fails(buffer, "bytes");
    gst_buffer_set_size(buffer, (gssize)size);
    meta->tokens.seq_start[1] = 9;
    assert_map_fails(buffer, "sequence 1");
    meta->tokens.seq_start[1] = 4;
    meta->tokens.seq_start[2] = 7;
    assert_map_fails(buffer, "do not cover");
    meta->tokens.seq_start[2] = 8;
    meta->tokens.dim = 0;
    assert_map_fails(buffer, "broken");
    gst_buffer_unref(buffer);
}

// ---- pool -------------------------------------------------------------------------------------------------------------------------------

static SeamTokens some_tokens(float *x, int32_t *start, double *time, SeamPlace *place, int32_t n)
{
    start[1] = n;
    return (SeamTokens){.n = n, .dim = 8, .seqs = 1, .x = x, .seq_start = start, .seq_time = time, .place = place};
}

// A buffer that comes back keeps memory and block, and nothing else of its last use.
static void test_pool_reuse(Fixture *f, gconstpointer data)
{
    float x[64] = {1};
    int32_t start[2] = {0};
    double time[1] = {2};
    SeamPlace place[8] = {{0}};
    SeamLevel level = {2, 1};
    GstSeamTokensPool *pool = gst_seam_tokens_pool_new(8, 8, 1, 1);
    SeamTokens tokens = some_tokens(x, start, time, place, 8);
    GstBuffer *first = gst_seam_tokens_pool_acquire(pool, SEAM_STAGE_ENCODED, &tokens, &level, 1, 1);
    GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(first);
    gpointer block = meta->block;
    GstMemory *memory = gst_buffer_peek_memory(first, 0);
    meta->expert_use[0] = 1;
    meta->clock_offset[0] = 1;
    meta->degraded = meta->level = meta->missing = 1;
    gst_buffer_unref(first);
    tokens.n = start[1] = 3;
    GstBuffer *second = gst_seam_tokens_pool_acquire(pool, SEAM_STAGE_EMBEDDED, &tokens, NULL, 0, 1);
    meta = gst_buffer_get_seam_tokens_meta(second);
    g_assert_true(gst_buffer_peek_memory(second, 0) == memory);
    g_assert_true(meta->block == block);
    g_assert_cmpuint(gst_buffer_get_size(second), ==, 3 * 8 * sizeof(float));
    g_assert_cmpint(meta->stage, ==, SEAM_STAGE_EMBEDDED);
    g_assert_cmpint(meta->n_levels, ==, 0);
    g_assert_cmpfloat(meta->expert_use[0], ==, 0);
    g_assert_true(isnan(meta->clock_offset[0]));
    g_assert_cmpint(meta->degraded, ==, 0);
    g_assert_cmpint(meta->level, ==, 0);
    g_assert_cmpuint(meta->missing, ==, 0);
    gst_buffer_unref(second);
    gst_seam_tokens_pool_free(pool);
}

// More than planned grows the pool once, buffers from before stay good, and the pool may go before its buffers.
static void test_pool_grows(Fixture *f, gconstpointer data)
{
    float x[64] = {0};
    int32_t start[2] = {0};
    double time[1] = {0};
    SeamPlace place[8] = {{0}};
    GstSeamTokensPool *pool = gst_seam_tokens_pool_new(2, 8, 1, 0);
    SeamTokens tokens = some_tokens(x, start, time, place, 2);
    x[0] = 1;
    GstBuffer *small = gst_seam_tokens_pool_acquire(pool, SEAM_STAGE_ENCODED, &tokens, NULL, 0, 0);
    tokens.n = start[1] = 8;
    x[0] = 2;
    GstBuffer *large = gst_seam_tokens_pool_acquire(pool, SEAM_STAGE_ENCODED, &tokens, NULL, 0, 0);
    GstMemory *memory = gst_buffer_peek_memory(large, 0);
    g_assert_cmpuint(gst_buffer_get_size(large), ==, 8 * 8 * sizeof(float));
    float value = 0;
    gst_buffer_extract(small, 0, &value, sizeof value);
    g_assert_cmpfloat(value, ==, 1);
    gst_buffer_unref(large);
    large = gst_seam_tokens_pool_acquire(pool, SEAM_STAGE_ENCODED, &tokens, NULL, 0, 0);
    g_assert_true(gst_buffer_peek_memory(large, 0) == memory);
    gst_seam_tokens_pool_free(pool);
    gst_buffer_extract(large, 0, &value, sizeof value);
    g_assert_cmpfloat(value, ==, 2);
    gst_buffer_unref(small);
    gst_buffer_unref(large);
}

static void test_pool_empty(Fixture *f, gconstpointer data)
{
    GstBuffer *buffer = test_tokens_new(f->config, SEAM_STAGE_EMBEDDED, TEST_SENSORS, 1, 0, 0.5, 0.5, NAN, 5);
    SeamTokens tokens;
    GstMapInfo map;
    g_autofree char *message = NULL;
    gst_seam_tokens_map(buffer, GST_MAP_READ, &tokens, &map, &message);
    g_assert_null(message);
    g_assert_cmpint(tokens.n, ==, 0);
    g_assert_cmpint(tokens.seqs, ==, 1);
    g_assert_cmpuint(gst_buffer_get_seam_tokens_meta(buffer)->present, ==, 0);
    gst_buffer_unmap(buffer, &map);
    gst_buffer_unref(buffer);
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
#define ADD(name, function) g_test_add("/tokens/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("caps/round-trip", test_caps_round_trip);
    ADD("caps/refused", test_caps_refused);
    ADD("caps/numbers-refused", test_caps_numbers_refused);
    ADD("buffer", test_buffer);
    ADD("copy", test_copy);
    ADD("region-copy", test_region_copy);
    ADD("broken-buffers", test_broken_buffers);
    ADD("pool/reuse", test_pool_reuse);
    ADD("pool/grows", test_pool_grows);
    ADD("pool/empty", test_pool_empty);
    return g_test_run();
}
