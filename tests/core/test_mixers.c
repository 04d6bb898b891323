// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Models whose layers mix tokens otherwise than by plain attention: what a stream carries from buffer to buffer, which parameters a layer has, that
// planned memory is enough, and that a bundle holds such a model.
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/train/pass.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { TOKENS = 150 };

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamPlace place[TOKENS];
    float x[TOKENS * DIM];
} Fixture;

static SeamConfig config_of(SeamMixer first, SeamMixer second) {
    SeamConfig c = small_config();
    c.mixer[0] = first;
    c.mixer[1] = second;
    if (first == SEAM_MIXER_SCAN || second == SEAM_MIXER_SCAN)
        c.scan_state = 5;
    if (first == SEAM_MIXER_HASH || second == SEAM_MIXER_HASH) {
        c.hash_bucket = 4;
        c.hash_rounds = 2;
    }
    if (first == SEAM_MIXER_GATED || second == SEAM_MIXER_GATED)
        c.gated_budget = 0.1f;
    return c;
}

static void setup(Fixture *f, SeamConfig config) {
    GError *error = NULL;
    SeamRandom random = seam_random(3, 3);
    f->model = seam_model_new(&config, true, 11, &error);
    g_assert_no_error(error);
    draw(f->model->params, &random);
    g_assert_true(seam_arena_init(&f->arena, 1 << 24));
    f->run = (SeamRun){seam_kernels_cpu(), &f->arena};
    fill(&random, f->x, G_N_ELEMENTS(f->x), 1);
    for (int32_t i = 0; i < TOKENS; i++)
        f->place[i] = (SeamPlace){.modality = TEXT, .domain = SEAM_DOMAIN_WORD};
}

static void teardown(Fixture *f) {
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
}

// The tokens first .. end - 1 in sequences of at most `length`, encoded in place. carry may be NULL.
static void encode(Fixture *f, int32_t first, int32_t end, int32_t length, float *x, SeamCarry *carry) {
    int32_t start[TOKENS + 1] = {0};
    double time[TOKENS] = {0};
    SeamTokens t = {.n = end - first, .dim = DIM, .x = x + first * DIM, .seq_start = start, .seq_time = time, .place = f->place + first};
    while (start[t.seqs] < t.n) {
        start[t.seqs + 1] = MIN(start[t.seqs] + length, t.n);
        t.seqs++;
    }
    if (carry)
        assert_ok(seam_model_encode_stream(f->model, &f->run, 0, 1, &t, NULL, carry));
    else
        assert_ok(seam_model_encode(f->model, &f->run, 0, 1, &t, NULL, NULL));
    g_assert_cmpuint(f->arena.used, ==, 0);
}

static void assert_near_all(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-5f * (1 + fabsf(b[i]))))
            g_error("value %zu: %g in pieces, %g at once", i, (double)a[i], (double)b[i]);
}

// ---- a stream -----------------------------------------------------------------------------------

// Buffers of any size, each of one or several sequences, give what the whole stream gives as one sequence.
static void test_carry(void) {
    Fixture f;
    SeamCarry carry;
    static const int32_t buffers[][2] = {{1, 1}, {7, 7}, {40, 40}, {50, 9}, {150, 150}, {149, 20}};
    setup(&f, config_of(SEAM_MIXER_SCAN, SEAM_MIXER_SCAN));
    float whole[TOKENS * DIM], parts[TOKENS * DIM];
    memcpy(whole, f.x, sizeof whole);
    encode(&f, 0, TOKENS, TOKENS, whole, NULL);
    g_assert_true(seam_carry_init(&carry, &f.model->config, NULL));
    for (size_t b = 0; b < G_N_ELEMENTS(buffers); b++) {
        memcpy(parts, f.x, sizeof parts);
        for (int32_t i = 0; i < TOKENS; i += buffers[b][0])
            encode(&f, i, MIN(i + buffers[b][0], TOKENS), buffers[b][1], parts, &carry);
        assert_near_all(parts, whole, TOKENS * DIM);
        seam_carry_reset(&carry);
    }
    seam_carry_clear(&carry);
    teardown(&f);
}

// Without a carry each sequence starts at zero; with one that was not reset the past shows.
static void test_start(void) {
    Fixture f;
    SeamCarry carry;
    setup(&f, config_of(SEAM_MIXER_SCAN, SEAM_MIXER_SCAN));
    float a[TOKENS * DIM], b[TOKENS * DIM];
    memcpy(a, f.x, sizeof a);
    memcpy(b, f.x, sizeof b);
    encode(&f, 0, TOKENS, 30, a, NULL);
    for (int32_t i = 0; i < TOKENS; i += 30)
        encode(&f, i, i + 30, 30, b, NULL);
    assert_near_all(a, b, TOKENS * DIM);
    g_assert_true(seam_carry_init(&carry, &f.model->config, NULL));
    memcpy(b, f.x, sizeof b);
    encode(&f, 0, TOKENS, TOKENS, b, &carry);
    memcpy(b, f.x, sizeof b);
    encode(&f, 0, 30, 30, b, &carry);
    g_assert_cmpfloat(fabsf(b[0] - a[0]) + fabsf(b[1] - a[1]), >, 1e-3f);
    seam_carry_clear(&carry);
    teardown(&f);
}

// A model without scan layers has nothing to carry, and says so by doing what it does anyway.
static void test_no_scan(void) {
    Fixture f;
    SeamCarry carry;
    setup(&f, config_of(SEAM_MIXER_LOCAL, SEAM_MIXER_GLOBAL));
    float a[TOKENS * DIM], b[TOKENS * DIM];
    g_assert_true(seam_carry_init(&carry, &f.model->config, NULL));
    g_assert_null(carry.memory);
    memcpy(a, f.x, sizeof a);
    memcpy(b, f.x, sizeof b);
    encode(&f, 0, TOKENS, 30, a, NULL);
    encode(&f, 0, TOKENS, 30, b, &carry);
    seam_carry_reset(&carry);
    g_assert_cmpmem(a, sizeof a, b, sizeof b);
    seam_carry_clear(&carry);
    teardown(&f);
}

// ---- every mixer --------------------------------------------------------------------------------

static const SeamMixer mixers[] = {SEAM_MIXER_SCAN, SEAM_MIXER_HASH, SEAM_MIXER_GATED};

// A layer has the parameters of its own mixer and no others.
static void test_parameters(void) {
    Fixture f;
    setup(&f, config_of(SEAM_MIXER_SCAN, SEAM_MIXER_GLOBAL));
    g_assert_nonnull(seam_params_find(f.model->params, "encoder.0.scan.in.weight"));
    g_assert_null(seam_params_find(f.model->params, "encoder.0.attention.qkv.weight"));
    g_assert_nonnull(seam_params_find(f.model->params, "encoder.1.attention.qkv.weight"));
    g_assert_null(seam_params_find(f.model->params, "encoder.1.scan.in.weight"));
    teardown(&f);
}

static void check_planned(Fixture *f, bool train) {
    SeamEncoderSaved saved[2];
    SeamArena arena;
    double balance = 0;
    int32_t start[] = {0, 60, 60, TOKENS};
    double time[3] = {0};
    SeamTokens t = {.n = TOKENS, .dim = DIM, .seqs = 3, .x = f->x, .seq_start = start, .seq_time = time, .place = f->place};
    size_t planned = seam_model_encode_bytes(f->model, TOKENS, train);
    g_assert_true(seam_arena_init(&arena, planned));
    SeamRun run = {seam_kernels_ref(), &arena};
    assert_ok(seam_model_encode(f->model, &run, 0, 1, &t, NULL, train ? saved : NULL));
    if (train)
        assert_ok(seam_model_encode_backward(f->model, &run, 0, 1, saved, 0.1f, &balance, t.x));
    g_assert_cmpuint(arena.peak, <=, planned);
    g_assert_cmpuint(planned, <=, 2 * arena.peak);
    seam_arena_clear(&arena);
}

static void test_planned(void) {
    for (size_t m = 0; m < G_N_ELEMENTS(mixers); m++)
        for (int32_t train = 0; train < 2; train++) {
            Fixture f;
            setup(&f, config_of(mixers[m], SEAM_MIXER_GLOBAL));
            check_planned(&f, train);
            teardown(&f);
        }
}

// What a bundle gives back encodes alike, bit for bit.
static void test_bundle(void) {
    for (size_t m = 0; m < G_N_ELEMENTS(mixers); m++) {
        Fixture f;
        g_autoptr(GError) error = NULL;
        g_autofree char *folder = g_dir_make_tmp("seam-mixers-XXXXXX", &error), *path = g_build_filename(folder, "m.seam", NULL);
        g_autofree char *json = g_build_filename(path, "model.json", NULL), *weights = g_build_filename(path, "weights.safetensors", NULL);
        g_autofree char *adapters = g_build_filename(path, "adapters", NULL);
        setup(&f, config_of(mixers[m], SEAM_MIXER_LOCAL));
        g_assert_true(seam_bundle_write(path, &f.model->config, f.model->params, false, NULL, &error));
        float a[TOKENS * DIM], b[TOKENS * DIM];
        memcpy(a, f.x, sizeof a);
        memcpy(b, f.x, sizeof b);
        encode(&f, 0, TOKENS, 30, a, NULL);
        seam_model_free(f.model);
        f.model = seam_model_load(path, &error);
        g_assert_no_error(error);
        encode(&f, 0, TOKENS, 30, b, NULL);
        g_assert_cmpmem(a, sizeof a, b, sizeof b);
        g_remove(json);
        g_remove(weights);
        g_remove(adapters);
        g_remove(path);
        g_assert_cmpint(g_remove(folder), ==, 0);
        teardown(&f);
    }
}

// ---- gated --------------------------------------------------------------------------------------

// Whom each token sees, from the definition: scores that are equal, below all exponentials, or not a number change who is chosen and no more.
static void check_gated(Fixture *f, int32_t n, int32_t wanted) {
    SeamGatedSaved saved;
    SeamPattern local;
    const SeamGatedLayer *layer = &f->model->encoder[0].gated;
    int32_t start[] = {0, n}, chosen = 0;
    float y[TOKENS * DIM] = {0};
    SeamTokens t = {.n = n, .dim = DIM, .seqs = 1, .seq_start = start, .place = f->place};
    assert_ok(seam_pattern_local(&f->model->config, &f->arena, &t, &local));
    assert_ok(seam_gated_forward(layer, &f->run, &local, 0, f->x, y, &saved));
    const SeamPattern *p = &saved.attention.pattern;
    for (int32_t i = 0; i < n; i++)
        chosen += saved.weight[i] != 0;
    g_assert_cmpint(chosen, ==, wanted);
    for (int32_t i = 0; i < n; i++) {
        int32_t seen[TOKENS] = {0};
        for (int32_t k = p->key_start[i]; k < p->key_start[i + 1]; k++)
            seen[p->key_index[k]]++;
        for (int32_t j = 0; j < n; j++)
            g_assert_cmpint(seen[j], ==, saved.weight[i] != 0 || saved.weight[j] != 0 || ABS(i - j) <= f->model->config.local_radius);
    }
    seam_arena_release(&f->arena, 0);
}

static void test_gated_keys(void) {
    Fixture f;
    setup(&f, config_of(SEAM_MIXER_GATED, SEAM_MIXER_LOCAL));
    check_gated(&f, 97, 10);
    check_gated(&f, 1, 1);
    const SeamLinear *score = &f.model->encoder[0].gated.score;
    memset(score->weight->data, 0, DIM * sizeof(float)); // all equal
    check_gated(&f, 97, 10);
    score->bias->data[0] = -1000;
    check_gated(&f, 97, 10);
    f.x[5] = NAN;
    check_gated(&f, 97, 10);
    score->bias->data[0] = NAN;
    check_gated(&f, 97, 10);
    teardown(&f);
}

// The first of equal scores are chosen.
static void test_gated_ties(void) {
    Fixture f;
    SeamGatedSaved saved;
    float y[TOKENS * DIM] = {0};
    int32_t start[] = {0, 50};
    setup(&f, config_of(SEAM_MIXER_GATED, SEAM_MIXER_LOCAL));
    SeamTokens t = {.n = 50, .dim = DIM, .seqs = 1, .seq_start = start, .place = f.place};
    SeamPattern local;
    memset(f.model->encoder[0].gated.score.weight->data, 0, DIM * sizeof(float));
    assert_ok(seam_pattern_local(&f.model->config, &f.arena, &t, &local));
    assert_ok(seam_gated_forward(&f.model->encoder[0].gated, &f.run, &local, 0, f.x, y, &saved));
    for (int32_t i = 0; i < 50; i++)
        g_assert_true((saved.weight[i] != 0) == (i < 5));
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mixers/carry", test_carry);
    g_test_add_func("/mixers/start", test_start);
    g_test_add_func("/mixers/no-scan", test_no_scan);
    g_test_add_func("/mixers/parameters", test_parameters);
    g_test_add_func("/mixers/planned", test_planned);
    g_test_add_func("/mixers/bundle", test_bundle);
    g_test_add_func("/mixers/gated-keys", test_gated_keys);
    g_test_add_func("/mixers/gated-ties", test_gated_ties);
    return g_test_run();
}
