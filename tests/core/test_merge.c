// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Compression of tokens: nothing is lost by count, sum or place; tokens that are the same give what they gave apart; pictures come back whole.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/layers/merge.h"
#include "core/model.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { MOST = 1200 };

typedef struct {
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    SeamTokens tokens;
    float x[MOST * DIM], size[MOST];
    SeamPlace place[MOST];
    int32_t seq_start[8];
    double seq_time[8];
} Fixture;

static void setup(Fixture *f, gconstpointer data) {
    g_assert_true(seam_arena_init(&f->arena, 16 << 20));
    f->run = (SeamRun){seam_kernels_cpu(), &f->arena, {0}};
    f->random = seam_random(7, 1);
    f->tokens = (SeamTokens){.dim = DIM, .x = f->x, .size = f->size, .place = f->place, .seq_start = f->seq_start, .seq_time = f->seq_time};
    fill(&f->random, f->x, G_N_ELEMENTS(f->x), 1);
    for (int32_t i = 0; i < MOST; i++)
        f->size[i] = 1;
}

static void teardown(Fixture *f, gconstpointer data) { seam_arena_clear(&f->arena); }

// One more sequence of n sensor tokens: a summary when asked for, then stretches of two channels in two domains.
static void add_sensors(Fixture *f, int32_t n, bool summary) {
    SeamTokens *t = &f->tokens;
    for (int32_t i = 0; i < n; i++)
        t->place[t->n + i] = summary && i == 0 ? (SeamPlace){.modality = SENSORS}
                                               : (SeamPlace){.t = (float)i, .channel = i / 2 & 1, .modality = SENSORS,
                                                             .domain = i & 1 ? SEAM_DOMAIN_FREQUENCY : SEAM_DOMAIN_TIME};
    t->n += n;
    t->seq_start[++t->seqs] = t->n;
}

static void add_picture(Fixture *f, int32_t side) {
    SeamTokens *t = &f->tokens;
    t->place[t->n++] = (SeamPlace){.modality = VIDEO};
    for (int32_t i = 0; i < side * side; i++)
        t->place[t->n++] = (SeamPlace){.x = (0.5f + (float)(i % side)) / (float)side, .y = (0.5f + (float)(i / side)) / (float)side,
                                       .domain = SEAM_DOMAIN_PATCH};
    t->seq_start[++t->seqs] = t->n;
}

// Sums over a sequence's tokens of one kind, each as often as it counts: of 1, of t, of the first value.
static void sums(const SeamTokens *t, int32_t s, SeamDomain domain, int32_t channel, double sum[3]) {
    memset(sum, 0, 3 * sizeof *sum);
    for (int32_t i = t->seq_start[s]; i < t->seq_start[s + 1]; i++)
        if (t->place[i].domain == domain && t->place[i].channel == channel) {
            sum[0] += t->size[i];
            sum[1] += t->size[i] * t->place[i].t;
            sum[2] += t->size[i] * t->x[(size_t)i * t->dim];
        }
}

static void test_sums(Fixture *f, gconstpointer data) {
    const float shares[] = {0.1f, 0.5f, 0.9f};
    double before[2][3][2][3], after[3];
    SeamMerge merge;
    add_sensors(f, 81, true);
    add_sensors(f, 0, false);
    add_sensors(f, 1000, false);
    for (int32_t k = 0; k < 3; k++) {
        Fixture *g = g_memdup2(f, sizeof *f);
        g->tokens.x = g->x, g->tokens.size = g->size, g->tokens.place = g->place, g->tokens.seq_start = g->seq_start;
        for (int32_t c = 0; c < 2; c++)
            for (int32_t s = 0; s < 3; s++)
                for (int32_t d = 0; d < 2; d++)
                    sums(&g->tokens, s, SEAM_DOMAIN_TIME + d, c, before[c][s][d]);
        assert_ok(seam_merge_forward(&f->run, shares[k], &g->tokens, &merge));
        g_assert_cmpint(g->seq_start[1], ==, 81 - (int32_t)(shares[k] * 80));
        g_assert_cmpint(g->seq_start[2], ==, g->seq_start[1]);
        g_assert_cmpint(g->tokens.n - g->seq_start[2], ==, 1000 - (int32_t)(shares[k] * 1000));
        g_assert_cmpint(g->place[0].domain, ==, SEAM_DOMAIN_SUMMARY);
        g_assert_true(g->size[0] == 1);
        for (int32_t c = 0; c < 2; c++)
            for (int32_t s = 0; s < 3; s++)
                for (int32_t d = 0; d < 2; d++) {
                    sums(&g->tokens, s, SEAM_DOMAIN_TIME + d, c, after);
                    for (int32_t i = 0; i < 3; i++)
                        g_assert_cmpfloat_with_epsilon(after[i], before[c][s][d][i], 1e-4 * (1 + fabs(before[c][s][d][i])));
                }
        g_free(g);
    }
}

// The alike become one: of pairs of equal tokens among different ones, half of all, each pair.
static void test_alike(Fixture *f, gconstpointer data) {
    SeamMerge merge;
    add_sensors(f, 80, false);
    for (int32_t i = 0; i < 80; i += 8)
        for (int32_t j = 0; j < 4; j++)
            memcpy(f->x + (i + j + 4) * DIM, f->x + (i + j) * DIM, DIM * sizeof(float));
    assert_ok(seam_merge_forward(&f->run, 0.5f, &f->tokens, &merge));
    g_assert_cmpint(f->tokens.n, ==, 40);
    for (int32_t i = 0; i < 80; i += 8)
        for (int32_t j = 0; j < 4; j++)
            g_assert_cmpint(merge.to[i + j], ==, merge.to[i + j + 4]);
    for (int32_t i = 0; i < 40; i++)
        g_assert_true(f->size[i] == 2);
}

// What says nothing goes into one; what stands out stays as it is.
static void test_little(Fixture *f, gconstpointer data) {
    SeamMerge merge;
    add_sensors(f, 240, false);
    for (int32_t i = 0; i < 240; i++)
        for (int32_t d = 0; d < DIM; d++)
            f->x[i * DIM + d] = i / 4 % 8 == 0 ? (d == i / 32 ? 20 : -20) : 1 + 0.1f * f->x[i * DIM + d];
    assert_ok(seam_merge_forward(&f->run, 0.5f, &f->tokens, &merge));
    g_assert_cmpint(f->tokens.n, ==, 120);
    int32_t largest[4] = {0};
    for (int32_t i = 0; i < 120; i++) {
        int32_t kind = f->place[i].channel + 2 * (f->place[i].domain == SEAM_DOMAIN_TIME);
        largest[kind] = MAX(largest[kind], (int32_t)f->size[i]);
    }
    for (int32_t i = 0; i < 240; i += 32) // eight of a kind
        for (int32_t j = 0; j < 4; j++)
            g_assert_true(f->size[merge.to[i + j]] == 1);
    g_assert_cmpint(MAX(MAX(largest[0], largest[1]), MAX(largest[2], largest[3])), >=, 30);
}

static void test_not_finite(Fixture *f, gconstpointer data) {
    SeamMerge merge;
    add_sensors(f, 60, false);
    for (int32_t i = 0; i < 60; i += 3)
        f->x[i * DIM] = i & 1 ? NAN : INFINITY;
    assert_ok(seam_merge_forward(&f->run, 0.9f, &f->tokens, &merge));
    g_assert_cmpint(f->tokens.n, <=, 60);
    assert_ok(seam_merge_undo(&f->run, &merge, &f->tokens));
}

static SeamModel *model_of(SeamMixer mixer, uint64_t seed) {
    SeamConfig config = small_config();
    config.mixer[0] = config.mixer[1] = mixer;
    config.n_classes = 3;
    strcpy(config.class_name[0], "good"), strcpy(config.class_name[1], "crack"), strcpy(config.class_name[2], "pore");
    config.n_tasks = 1;
    config.task[0] = (SeamTask){.name = "quality", .kind = SEAM_TASK_CLASSIFY};
    GError *error = NULL;
    SeamModel *model = seam_model_new(&config, true, seed, &error);
    g_assert_no_error(error);
    SeamRandom random = seam_random(seed, 2);
    draw(model->params, &random);
    return model;
}

// Two of each token: merged, they give what they give apart, in the encoder, to the evidence and to the statistics of anomaly.
static void test_twins(Fixture *f, gconstpointer data) {
    SeamModel *model = model_of(SEAM_MIXER_GLOBAL, 5);
    SeamClassifyOut whole, merged;
    float x[64 * DIM], logits[3], features[2][MODALITIES * 2 * DIM];
    uint32_t present;
    SeamAnomaly anomaly = {.dim = DIM, .width = 2 * DIM, .modalities = MODALITIES};
    add_sensors(f, 64, false);
    for (int32_t i = 0; i < 64; i += 8)
        memcpy(f->x + (i + 4) * DIM, f->x + i * DIM, 4 * DIM * sizeof(float));
    memcpy(x, f->x, sizeof x);
    f->tokens.size = NULL;
    assert_ok(seam_model_encode(model, &f->run, 0, 1, &f->tokens, NULL, NULL));
    assert_ok(seam_classify_forward(&model->task[0].classify, &f->run, &f->tokens, &whole, NULL));
    assert_ok(seam_anomaly_features(&anomaly, &f->run, &f->tokens, features[0], &present));
    memcpy(logits, whole.logits, sizeof logits);
    memcpy(f->x, x, sizeof x);
    f->run.effort.merge = 0.5f;
    assert_ok(seam_model_encode(model, &f->run, 0, 1, &f->tokens, NULL, NULL));
    g_assert_cmpint(f->tokens.n, ==, 32);
    g_assert_nonnull(f->tokens.size);
    assert_ok(seam_classify_forward(&model->task[0].classify, &f->run, &f->tokens, &merged, NULL));
    assert_ok(seam_anomaly_features(&anomaly, &f->run, &f->tokens, features[1], &present));
    for (int32_t c = 0; c < 3; c++)
        g_assert_cmpfloat_with_epsilon(merged.logits[c], logits[c], 1e-4);
    for (int32_t i = 0; i < MODALITIES * 2 * DIM; i++)
        g_assert_cmpfloat_with_epsilon(features[1][i], features[0][i], 1e-4);
    seam_model_free(model);
}

// Pictures come back whole, in place and order, and where patches are the same in pairs nothing changes at all; sensors beside them stay short.
static void test_pictures(Fixture *f, gconstpointer data) {
    SeamModel *model = model_of(SEAM_MIXER_GLOBAL, 6);
    static float x[MOST * DIM], whole[MOST * DIM];
    SeamPlace place[MOST];
    add_sensors(f, 20, false);
    add_picture(f, 6);
    add_sensors(f, 12, false);
    for (int32_t i = 21; i < 57; i += 2)
        memcpy(f->x + (i + 1) * DIM, f->x + i * DIM, DIM * sizeof(float));
    memcpy(x, f->x, sizeof x);
    memcpy(place, f->place, sizeof place);
    f->tokens.size = NULL;
    assert_ok(seam_model_encode(model, &f->run, 0, 1, &f->tokens, NULL, NULL));
    memcpy(whole, f->x, sizeof whole);
    memcpy(f->x, x, sizeof x);
    f->run.effort.merge = 0.5f;
    assert_ok(seam_model_encode(model, &f->run, 0, 1, &f->tokens, NULL, NULL));
    const int32_t start[] = {0, 10, 47, 53};
    for (int32_t s = 0; s <= 3; s++)
        g_assert_cmpint(f->seq_start[s], ==, start[s]);
    g_assert_cmpmem(f->place + 10, 37 * sizeof *place, place + 20, 37 * sizeof *place);
    for (int32_t i = 0; i < 37 * DIM; i++)
        g_assert_cmpfloat_with_epsilon(f->x[10 * DIM + i], whole[20 * DIM + i], 1e-4);
    for (int32_t i = 10; i < 47; i++)
        g_assert_true(f->tokens.size[i] == 1);
    seam_model_free(model);
}

// Layers in two calls: what has been merged is not merged again.
static void test_calls(Fixture *f, gconstpointer data) {
    SeamModel *model = model_of(SEAM_MIXER_LOCAL, 8);
    static float x[MOST * DIM];
    add_sensors(f, 16, false);
    for (int32_t i = 0; i < 16; i++)
        f->place[i].t = (float)(i / 8);
    memcpy(x, f->x, sizeof x);
    f->tokens.size = NULL;
    f->run.effort.merge = 0.5f;
    assert_ok(seam_model_encode(model, &f->run, 0, 0, &f->tokens, NULL, NULL));
    assert_ok(seam_model_encode(model, &f->run, 1, 1, &f->tokens, NULL, NULL));
    g_assert_cmpint(f->tokens.n, ==, 8);
    g_autofree float *parts = g_memdup2(f->x, 8 * DIM * sizeof(float));
    memcpy(f->x, x, sizeof x);
    f->tokens = (SeamTokens){.dim = DIM, .x = f->x, .place = f->place, .seq_start = f->seq_start, .seq_time = f->seq_time};
    add_sensors(f, 16, false);
    for (int32_t i = 0; i < 16; i++)
        f->place[i].t = (float)(i / 8);
    assert_ok(seam_model_encode(model, &f->run, 0, 1, &f->tokens, NULL, NULL));
    g_assert_cmpmem(parts, 8 * DIM * sizeof(float), f->x, 8 * DIM * sizeof(float));
    seam_model_free(model);
}

static void test_memory(Fixture *f, gconstpointer data) {
    SeamModel *model = model_of(SEAM_MIXER_GLOBAL, 9);
    add_sensors(f, 600, true);
    add_picture(f, 20);
    SeamArena arena;
    f->tokens.size = NULL;
    g_assert_true(seam_arena_init(&arena, seam_model_encode_bytes(model, f->tokens.n, false) + seam_model_merge_bytes(model, f->tokens.n)));
    SeamRun run = {seam_kernels_ref(), &arena, {.merge = 0.1f}};
    assert_ok(seam_model_encode(model, &run, 0, 1, &f->tokens, NULL, NULL));
    seam_arena_clear(&arena);
    seam_model_free(model);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/merge/sums", Fixture, NULL, setup, test_sums, teardown);
    g_test_add("/merge/alike", Fixture, NULL, setup, test_alike, teardown);
    g_test_add("/merge/little", Fixture, NULL, setup, test_little, teardown);
    g_test_add("/merge/not-finite", Fixture, NULL, setup, test_not_finite, teardown);
    g_test_add("/merge/twins", Fixture, NULL, setup, test_twins, teardown);
    g_test_add("/merge/pictures", Fixture, NULL, setup, test_pictures, teardown);
    g_test_add("/merge/calls", Fixture, NULL, setup, test_calls, teardown);
    g_test_add("/merge/memory", Fixture, NULL, setup, test_memory, teardown);
    return g_test_run();
}
