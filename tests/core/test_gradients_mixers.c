// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gradients of the token mixers beside plain attention against finite differences, through the ref kernels, and that their planned memory is enough.
#include <glib.h>
#include <string.h>

#include "core/layers/gated.h"
#include "core/layers/pattern_hash.h"
#include "core/layers/scan.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { N = 11, SEQS = 3 };

typedef struct {
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    SeamPattern pattern; // of sequences of 7, 0 and 4 tokens
    int32_t seq_start[SEQS + 1];
    float x[N * DIM], weight[N * DIM], dx[N * DIM];
    SeamScanLayer scan;
    SeamAttentionLayer attention;
    SeamHash hash;
    SeamGatedLayer gated;
    SeamPattern local;
    SeamPlace place[N];
    uint64_t choices;
    bool changed; // a step of the differences changed a choice
} Fixture;

static void setup(Fixture *f, uint64_t seed) {
    memset(f, 0, sizeof *f);
    f->config = small_config();
    f->params = seam_params_new();
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    f->random = seam_random(seed, 1);
    f->seq_start[1] = f->seq_start[2] = 7;
    f->seq_start[3] = N;
    f->pattern = (SeamPattern){.n = N, .seqs = SEQS, .seq_start = f->seq_start};
    fill(&f->random, f->x, G_N_ELEMENTS(f->x), 1);
    fill(&f->random, f->weight, G_N_ELEMENTS(f->weight), 1);
}

static void teardown(Fixture *f) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
}

// ---- scan ---------------------------------------------------------------------------------------

static double scan_loss(void *data, bool backward) {
    Fixture *f = data;
    SeamScanSaved saved;
    float y[N * DIM] = {0};
    size_t mark = seam_arena_mark(&f->arena);
    assert_ok(seam_scan_forward(&f->scan, &f->run, &f->pattern, f->x, NULL, y, &saved));
    if (backward)
        assert_ok(seam_scan_backward(&f->scan, &f->run, &saved, f->weight, f->dx));
    seam_arena_release(&f->arena, mark);
    return weighted(y, f->weight, N * DIM);
}

static void test_scan(void) {
    Fixture f;
    size_t kept;
    setup(&f, 41);
    f.config.scan_state = 3;
    seam_scan_declare(&f.scan, f.params, "scan", &f.config);
    draw(f.params, &f.random);
    check_params(f.params, SIZE_MAX, scan_loss, &f);
    check_values("x", f.x, f.dx, N * DIM, SIZE_MAX, scan_loss, &f);
    size_t scratch = seam_scan_bytes(&f.scan, N, true, &kept);
    g_assert_cmpuint(f.arena.peak, <=, scratch + kept);
    teardown(&f);
}

// ---- hash ---------------------------------------------------------------------------------------

// Attention over the buckets of its own input: choices, which have no gradient and must stay for a difference to mean something.
static double hash_loss(void *data, bool backward) {
    Fixture *f = data;
    SeamAttentionSaved saved;
    SeamPattern pattern;
    float y[N * DIM] = {0};
    size_t mark = seam_arena_mark(&f->arena);
    assert_ok(seam_pattern_hash(&f->hash, &f->run, &f->pattern, f->x, &pattern));
    uint64_t choices = 1;
    for (int32_t k = 0; k < pattern.key_start[N]; k++)
        choices = (choices ^ (uint64_t)pattern.key_index[k]) * 1099511628211u;
    assert_ok(seam_attention_forward(&f->attention, &f->run, &pattern, 0, f->x, y, &saved));
    if (backward) {
        f->choices = choices;
        assert_ok(seam_attention_backward(&f->attention, &f->run, &saved, f->weight, f->dx));
    }
    f->changed = f->changed || choices != f->choices;
    seam_arena_release(&f->arena, mark);
    return weighted(y, f->weight, N * DIM);
}

// Where the choices stay, which must be most places.
static void check_where_choices_stay(Fixture *f, Loss loss) {
    int32_t checked = 0;
    for (size_t i = 0; i < N * DIM; i++) {
        f->changed = false;
        double want = difference(loss, f, f->x + i);
        if (!f->changed)
            assert_near("x", i, f->dx[i], want);
        checked += !f->changed;
    }
    g_assert_cmpint(2 * checked, >, N * DIM);
}

static void test_hash(void) {
    for (int32_t causal = 0; causal < 2; causal++) {
        Fixture f;
        setup(&f, 43);
        f.hash = (SeamHash){.dim = DIM, .bucket = 2, .rounds = 1, .causal = causal, .stream = 5};
        seam_attention_declare(&f.attention, f.params, "attention", DIM, HEADS);
        draw(f.params, &f.random);
        check_params(f.params, SIZE_MAX, hash_loss, &f);
        g_assert_false(f.changed);
        check_where_choices_stay(&f, hash_loss);
        teardown(&f);
    }
}

// ---- gated --------------------------------------------------------------------------------------

static double gated_loss(void *data, bool backward) {
    Fixture *f = data;
    SeamGatedSaved saved;
    float y[N * DIM] = {0};
    size_t mark = seam_arena_mark(&f->arena);
    assert_ok(seam_gated_forward(&f->gated, &f->run, &f->local, 0, f->x, y, &saved));
    uint64_t choices = 0;
    for (int32_t i = 0; i < N; i++)
        choices |= (uint64_t)(saved.weight[i] > 0) << i;
    if (backward) {
        f->choices = choices;
        assert_ok(seam_gated_backward(&f->gated, &f->run, &saved, f->weight, f->dx));
    }
    f->changed = f->changed || choices != f->choices;
    seam_arena_release(&f->arena, mark);
    return weighted(y, f->weight, N * DIM);
}

static void test_gated(void) {
    for (int32_t i = 0; i < 3; i++) {
        static const float budget[] = {0.01f, 0.3f, 1};
        static const int32_t chosen[] = {2, 5, N}; // of sequences of 7 and 4
        Fixture f;
        size_t kept;
        setup(&f, 44);
        f.config.gated_budget = budget[i];
        for (int32_t t = 0; t < N; t++)
            f.place[t] = (SeamPlace){.modality = TEXT, .domain = SEAM_DOMAIN_WORD};
        SeamTokens tokens = {.n = N, .dim = DIM, .seqs = SEQS, .seq_start = f.seq_start, .place = f.place};
        assert_ok(seam_pattern_local(&f.config, &f.arena, &tokens, &f.local));
        size_t before = f.arena.used;
        f.arena.peak = before;
        seam_gated_declare(&f.gated, f.params, "gated", &f.config);
        draw(f.params, &f.random);
        check_params(f.params, SIZE_MAX, gated_loss, &f);
        g_assert_false(f.changed);
        g_assert_cmpint(__builtin_popcountll(f.choices), ==, chosen[i]);
        check_where_choices_stay(&f, gated_loss);
        size_t scratch = seam_gated_bytes(&f.gated, N, true, &kept);
        g_assert_cmpuint(f.arena.peak - before, <=, scratch + kept);
        teardown(&f);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gradients-mixers/scan", test_scan);
    g_test_add_func("/gradients-mixers/hash", test_hash);
    g_test_add_func("/gradients-mixers/gated", test_gated);
    return g_test_run();
}
