// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The front end of feature tables: its gradients against finite differences, by itself and through the model's stages; how columns are
// cut into tokens; what a missing column does.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/model.h"
#include "tests/core/differences.h"

enum { DIM = 8, COLUMNS = 7, TOKENS = 3, READINGS = 3, QUANTILES = 5 };

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    float x[READINGS][COLUMNS];
    SeamSensorWindow window[READINGS];
    float weight[READINGS * TOKENS * DIM];
    bool projected;
} Case;

static void setup(Case *c, int32_t quantiles) {
    GError *error = NULL;
    SeamConfig config = {0};
    memset(c, 0, sizeof *c);
    config = (SeamConfig){.dim = DIM, .layers = 1, .heads = 2, .experts = 2, .groups = 1, .groups_kept = 1, .top_k = 1, .expert_width = 4,
                          .router_rank = 2, .fusion_width = 4, .window = 2, .n_modalities = 1};
    config.modality[0] = (SeamModality){.name = "table", .front = SEAM_FRONT_FEATURES, .channels = COLUMNS, .delta_rank = 2,
                                        .mean = {1, 0, -1, 0, 5, 0, 0}, .std = {2, 1, 0.5f, 1, 1, 3, 1}, .features = {.tokens = TOKENS, .quantiles = quantiles}};
    c->model = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&c->arena, 1 << 20));
    c->run = (SeamRun){seam_kernels_ref(), &c->arena};
    c->random = seam_random(11, 1);
    draw(c->model->params, &c->random);
    fill(&c->random, c->weight, G_N_ELEMENTS(c->weight), 1);
    for (int32_t r = 0; r < READINGS; r++) {
        fill(&c->random, c->x[r], COLUMNS, 1);
        c->window[r] = (SeamSensorWindow){.time = 2 * r, .samples = 1, .x = c->x[r], .valid = 1};
    }
}

static void teardown(Case *c) {
    seam_model_free(c->model);
    seam_arena_clear(&c->arena);
}

static double loss(void *data, bool backward) {
    Case *c = data;
    SeamFeatureEmbed *layer = &c->model->embed[0].features;
    SeamFeatureEmbedSaved saved, *keep = backward ? &saved : NULL;
    SeamTokens out;
    size_t mark = seam_arena_mark(&c->arena);
    if (c->projected)
        assert_ok(seam_model_embed_features(c->model, &c->run, 0, READINGS, c->window, &out, keep));
    else
        assert_ok(seam_feature_embed_forward(layer, &c->run, READINGS, c->window, &out, keep));
    if (backward && c->projected)
        assert_ok(seam_model_embed_features_backward(c->model, &c->run, 0, &saved, c->weight));
    else if (backward)
        assert_ok(seam_feature_embed_backward(layer, &c->run, &saved, c->weight));
    double sum = weighted(out.x, c->weight, (size_t)out.n * DIM);
    seam_arena_release(&c->arena, mark);
    return sum;
}

// One column is missing in the first reading, all in the second, which then gives no token.
static void test_gradient(void) {
    for (int projected = 0; projected < 2; projected++) {
        Case c;
        setup(&c, 0);
        c.projected = projected;
        c.x[0][4] = NAN;
        for (int32_t i = 0; i < COLUMNS; i++)
            c.x[1][i] = NAN;
        check_params(c.model->params, SIZE_MAX, loss, &c);
        g_assert_cmpuint(c.arena.peak, <=,
                         projected ? seam_model_embed_bytes(c.model, 0, READINGS, true) : seam_feature_embed_bytes(&c.model->embed[0].features, READINGS));
        teardown(&c);
    }
}

// Seven columns in three tokens: 0 1, 2 3, 4 5 6. A column moves its own token and no other.
static void test_runs(void) {
    const int32_t token_of[COLUMNS] = {0, 0, 1, 1, 2, 2, 2};
    Case c;
    SeamTokens before, after;
    setup(&c, 0);
    assert_ok(seam_model_embed_features(c.model, &c.run, 0, 1, c.window, &before, NULL));
    g_assert_cmpint(before.n, ==, TOKENS);
    g_assert_cmpint(seam_modality_tokens(&c.model->config, 0), ==, TOKENS);
    for (int32_t i = 0; i < COLUMNS; i++) {
        c.x[0][i] += 1;
        assert_ok(seam_model_embed_features(c.model, &c.run, 0, 1, c.window, &after, NULL));
        for (int32_t t = 0; t < TOKENS; t++)
            g_assert_cmpint(memcmp(before.x + t * DIM, after.x + t * DIM, DIM * sizeof(float)) != 0, ==, t == token_of[i]);
        c.x[0][i] -= 1;
    }
    for (int32_t t = 0; t < TOKENS; t++) {
        g_assert_cmpint(after.place[t].channel, ==, t);
        g_assert_cmpint(after.place[t].modality, ==, 0);
    }
    teardown(&c);
}

// A missing column counts as the mean; a reading without any is an empty sequence; a window of two samples is no reading.
static void test_missing(void) {
    Case c;
    SeamTokens hole, mean;
    setup(&c, 0);
    for (int32_t i = 0; i < COLUMNS; i++)
        c.x[1][i] = NAN;
    memcpy(c.x[2], c.x[0], sizeof c.x[2]);
    c.x[0][2] = NAN;
    c.x[2][2] = -1;
    assert_ok(seam_model_embed_features(c.model, &c.run, 0, 2, c.window, &hole, NULL));
    assert_ok(seam_model_embed_features(c.model, &c.run, 0, 1, c.window + 2, &mean, NULL));
    g_assert_cmpint(hole.n, ==, TOKENS);
    g_assert_cmpint(hole.seq_start[1], ==, TOKENS);
    g_assert_cmpint(hole.seq_start[2], ==, TOKENS);
    g_assert_cmpfloat(hole.seq_time[1], ==, 2);
    g_assert_cmpmem(hole.x, TOKENS * DIM * sizeof(float), mean.x, TOKENS * DIM * sizeof(float));
    c.window[0].samples = 2;
    g_assert_cmpint(seam_model_embed_features(c.model, &c.run, 0, 1, c.window, &hole, NULL), ==, SEAM_BAD_SHAPE);
    g_assert_cmpint(seam_model_embed_windows(c.model, &c.run, 0, 1, c.window + 1, &hole, NULL), ==, SEAM_BAD_SHAPE);
    teardown(&c);
}

// Ranks between the quantiles -1 0 0 1 3 of a column with mean 0 and standard deviation 1: even between two, the middle of equal ones, flat
// outside; the gradient goes past the table, which is measured and not trained.
static void test_quantiles(void) {
    static const struct {
        float x, rank;
    } known[] = {{-2, 0}, {-1, 0}, {-0.5f, 0.125f}, {0, 0.375f}, {0.5f, 0.625f}, {1, 0.75f}, {2, 0.875f}, {3, 1}, {9, 1}};
    const float quantiles[QUANTILES] = {-1, 0, 0, 1, 3};
    Case c;
    setup(&c, QUANTILES);
    SeamFeatureEmbed *layer = &c.model->embed[0].features;
    for (int32_t i = 0; i < COLUMNS; i++)
        memcpy(layer->table->data + i * QUANTILES, quantiles, sizeof quantiles);
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        SeamFeatureEmbedSaved saved;
        SeamTokens out;
        size_t mark = seam_arena_mark(&c.arena);
        c.x[0][1] = known[i].x;
        assert_ok(seam_feature_embed_forward(layer, &c.run, 1, c.window, &out, &saved));
        g_assert_cmpfloat_with_epsilon(saved.z[1], sqrt(12) * (known[i].rank - 0.5), 1e-6);
        seam_arena_release(&c.arena, mark);
    }
    loss(&c, true);
    for (size_t i = 0; i < layer->table->size; i++)
        g_assert_cmpfloat(layer->table->grad[i], ==, 0);
    seam_params_zero_grad(c.model->params);
    loss(&c, true);
    for (size_t i = 0; i < layer->weight->size; i++)
        assert_near("weight", i, layer->weight->grad[i], difference(loss, &c, &layer->weight->data[i]));
    teardown(&c);
}

// What a broken file may hold: a rank all the same.
static void test_broken_quantiles(void) {
    const float quantiles[QUANTILES] = {3, NAN, INFINITY, -5, 0};
    Case c;
    setup(&c, QUANTILES);
    SeamFeatureEmbed *layer = &c.model->embed[0].features;
    for (int32_t i = 0; i < COLUMNS; i++)
        memcpy(layer->table->data + i * QUANTILES, quantiles, sizeof quantiles);
    for (float x = -6; x < 6; x += 0.25f) {
        SeamFeatureEmbedSaved saved;
        SeamTokens out;
        size_t mark = seam_arena_mark(&c.arena);
        c.x[0][1] = x;
        assert_ok(seam_feature_embed_forward(layer, &c.run, 1, c.window, &out, &saved));
        g_assert_cmpfloat(fabsf(saved.z[1]), <=, 1.7321f);
        seam_arena_release(&c.arena, mark);
    }
    teardown(&c);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/features/gradient", test_gradient);
    g_test_add_func("/features/runs", test_runs);
    g_test_add_func("/features/missing", test_missing);
    g_test_add_func("/features/quantiles", test_quantiles);
    g_test_add_func("/features/quantiles/broken", test_broken_quantiles);
    return g_test_run();
}
