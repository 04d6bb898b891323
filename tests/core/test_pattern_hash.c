// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Buckets of like tokens and the patterns made of them, against what the definition says of each token.
#include <glib.h>
#include <string.h>

#include "core/layers/pattern_hash.h"
#include "tests/core/differences.h"

enum { MOST = 700, DIM = 12 };

typedef struct {
    SeamArena arena;
    SeamRun run;
    int32_t start[4];
    SeamPattern dense; // of sequences of n, 0 and `second` tokens
    float x[MOST * DIM];
} Fixture;

static void setup(Fixture *f, int32_t first, int32_t second, uint64_t seed) {
    SeamRandom random = seam_random(seed, 5);
    g_assert_true(seam_arena_init(&f->arena, 1 << 22));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    memcpy(f->start, (int32_t[]){0, first, first, first + second}, sizeof f->start);
    f->dense = (SeamPattern){.n = first + second, .seqs = 3, .seq_start = f->start};
    fill(&random, f->x, G_N_ELEMENTS(f->x), 1);
}

static void teardown(Fixture *f) { seam_arena_clear(&f->arena); }

static SeamHash hash_of(int32_t bucket, int32_t rounds, bool causal) {
    return (SeamHash){.dim = DIM, .bucket = bucket, .rounds = rounds, .causal = causal, .stream = 77};
}

// Whether token j is in the run of token i or the one before it, in one round.
static bool meets(const Fixture *f, const SeamBuckets *b, int32_t bucket, int32_t i, int32_t j) {
    int32_t s = i >= f->start[1] ? 2 : 0, rank_i = -1, rank_j = -1;
    for (int32_t k = f->start[s]; k < f->start[s + 1]; k++) {
        rank_i = b->order[k] == i ? k - f->start[s] : rank_i;
        rank_j = b->order[k] == j ? k - f->start[s] : rank_j;
    }
    return rank_i >= 0 && rank_j >= 0 && (rank_j / bucket == rank_i / bucket || rank_j / bucket == rank_i / bucket - 1);
}

static void check_pattern(Fixture *f, int32_t bucket, int32_t rounds, bool causal) {
    SeamHash hash = hash_of(bucket, rounds, causal);
    SeamBuckets round[3];
    SeamPattern p;
    for (int32_t r = 0; r < rounds; r++)
        assert_ok(seam_buckets_sort(&f->run, &f->dense, DIM, f->x, bucket, hash.stream + (uint64_t)r, &round[r]));
    assert_ok(seam_pattern_hash(&hash, &f->run, &f->dense, f->x, &p));
    g_assert_true(p.n == f->dense.n && p.seqs == f->dense.seqs && p.seq_start == f->dense.seq_start && p.key_start[0] == 0);
    for (int32_t i = 0; i < p.n; i++) {
        const int32_t *key = p.key_index + p.key_start[i], *end = p.key_index + p.key_start[i + 1];
        for (int32_t j = 0; j < p.n; j++) {
            bool wanted = false;
            for (int32_t r = 0; r < rounds && !(causal && j > i); r++)
                wanted = wanted || meets(f, &round[r], bucket, i, j);
            g_assert_true(wanted == (key < end && *key == j)); // rising, each once
            key += wanted;
        }
        g_assert_true(key == end);
    }
    seam_arena_release(&f->arena, 0);
}

static void test_pattern(void) {
    static const int32_t sizes[][2] = {{1, 0}, {0, 3}, {5, 9}, {60, 30}, {90, 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
        for (int32_t bucket = 2; bucket <= 16; bucket *= 2)
            for (int32_t rounds = 1; rounds <= 3; rounds++) {
                Fixture f;
                setup(&f, sizes[i][0], sizes[i][1], i);
                check_pattern(&f, bucket, rounds, false);
                check_pattern(&f, bucket, rounds, true);
                teardown(&f);
            }
}

// By code, then by place; a sequence's order is made of its own tokens, and is that of the sequence alone.
static void test_order(void) {
    Fixture f;
    SeamBuckets both, alone;
    setup(&f, 500, 200, 3);
    assert_ok(seam_buckets_sort(&f.run, &f.dense, DIM, f.x, 4, 1, &both));
    int32_t start[] = {0, 200}, codes = 0;
    SeamPattern second = {.n = 200, .seqs = 1, .seq_start = start};
    assert_ok(seam_buckets_sort(&f.run, &second, DIM, f.x + 500 * DIM, 4, 1, &alone));
    for (int32_t k = 0; k < 200; k++)
        g_assert_cmpint(both.order[500 + k], ==, 500 + alone.order[k]);
    for (int32_t k = 1; k < 500; k++) {
        uint32_t a = both.code[both.order[k - 1]], b = both.code[both.order[k]];
        g_assert_true(a < b || (a == b && both.order[k - 1] < both.order[k]));
        codes += a != b;
    }
    g_assert_cmpint(codes, >, 60); // 256 buckets are there to be used
    teardown(&f);
}

// Tokens of 20 kinds, a little apart each, on top of a large part that all share: most see others of their kind, though they are few of all.
static void test_like_meets_like(void) {
    Fixture f;
    SeamHash hash = hash_of(8, 2, false);
    SeamPattern p;
    setup(&f, 640, 0, 9);
    float kinds[20 * DIM];
    memcpy(kinds, f.x, sizeof kinds);
    for (int32_t i = 0; i < 640; i++)
        for (int32_t d = 0; d < DIM; d++)
            f.x[i * DIM + d] = 5 + kinds[i % 20 * DIM + d] + 0.05f * f.x[i * DIM + d];
    assert_ok(seam_pattern_hash(&hash, &f.run, &f.dense, f.x, &p));
    int32_t like = 0;
    for (int32_t i = 0; i < 640; i++)
        for (int32_t k = p.key_start[i]; k < p.key_start[i + 1]; k++)
            like += p.key_index[k] % 20 == i % 20;
    double share = (double)like / p.key_start[640];
    g_test_message("%.2f of the keys are of the token's kind", share);
    g_assert_cmpfloat(share, >, 0.5); // by chance 0.05
    teardown(&f);
}

// The same again; another stream or layer deals otherwise; values that are not finite are dealt somewhere.
static void test_streams(void) {
    Fixture f;
    SeamBuckets a, b, c;
    SeamConfig config = {.dim = DIM, .hash_bucket = 4, .hash_rounds = 2};
    setup(&f, 400, 0, 2);
    assert_ok(seam_buckets_sort(&f.run, &f.dense, DIM, f.x, 4, 1, &a));
    assert_ok(seam_buckets_sort(&f.run, &f.dense, DIM, f.x, 4, 1, &b));
    assert_ok(seam_buckets_sort(&f.run, &f.dense, DIM, f.x, 4, 2, &c));
    g_assert_cmpmem(a.order, 400 * sizeof(int32_t), b.order, 400 * sizeof(int32_t));
    g_assert_true(memcmp(a.order, c.order, 400 * sizeof(int32_t)) != 0);
    g_assert_true(seam_hash_of(&config, 0).stream != seam_hash_of(&config, 1).stream);
    f.x[7] = NAN;
    f.x[30 * DIM] = INFINITY;
    check_pattern(&f, 4, 2, false);
    teardown(&f);
}

static void test_planned(void) {
    for (int32_t n = 1; n <= MOST; n = 2 * n + 3)
        for (int32_t bucket = 2; bucket <= 64; bucket *= 4) {
            Fixture f;
            SeamHash hash = hash_of(bucket, 2, false);
            SeamPattern p;
            size_t kept;
            setup(&f, n, 0, 2);
            assert_ok(seam_pattern_hash(&hash, &f.run, &f.dense, f.x, &p));
            size_t scratch = seam_pattern_hash_bytes(&hash, n, &kept);
            g_assert_cmpuint(f.arena.peak, <=, scratch + kept);
            g_assert_cmpuint(f.arena.used, <=, kept);
            teardown(&f);
        }
}

// ---- fusion -------------------------------------------------------------------------------------

static SeamConfig fusion_config(int32_t bucket) {
    SeamConfig c = {.dim = DIM, .fusion_layers = 1, .fusion_neighbours = 2, .fusion_bucket = bucket, .n_modalities = 2};
    for (int32_t m = 0; m < 2; m++)
        c.modality[m] = (SeamModality){.front = SEAM_FRONT_TEXT, .text = {.max_tokens = MOST}};
    return c;
}

// Whether j is among the `most` of the bucket of i that are nearest to it in bucket order, the one before i first of two that are equally near.
static bool bucket_mate(const Fixture *f, const SeamBuckets *b, int32_t most, int32_t i, int32_t j) {
    int32_t s = i >= f->start[1] ? 2 : 0, first = f->start[s], end = f->start[s + 1], rank = first, found = 0;
    while (b->order[rank] != i)
        rank++;
    for (int32_t step = 1; step < end - first; step++)
        for (int32_t side = -1; side <= 1; side += 2) {
            int32_t at = rank + side * step;
            if (at < first || at >= end || b->code[b->order[at]] != b->code[i])
                continue;
            if (found++ < most && b->order[at] == j)
                return true;
        }
    return false;
}

static bool has_key(const SeamPattern *p, int32_t i, int32_t j) {
    int32_t times = 0;
    for (int32_t k = p->key_start[i]; k < p->key_start[i + 1]; k++)
        times += p->key_index[k] == j;
    g_assert_cmpint(times, <=, 1);
    return times == 1;
}

// The pattern with buckets is the one without and, of each token's bucket, the nearest; in an arena of the planned size.
static void check_fusion(Fixture *f, const SeamTokens *tokens, int32_t bucket) {
    SeamConfig with = fusion_config(bucket), without = fusion_config(0);
    SeamBuckets buckets;
    SeamPattern p, plain;
    SeamArena arena;
    int32_t more = 0;
    g_assert_true(seam_arena_init(&arena, seam_pattern_fusion_bytes(&with, tokens->n)));
    SeamRun run = {seam_kernels_ref(), &arena};
    assert_ok(seam_pattern_fusion(&with, &run, tokens, &p));
    assert_ok(seam_pattern_fusion(&without, &f->run, tokens, &plain));
    assert_ok(seam_buckets_sort(&f->run, &f->dense, DIM, f->x, bucket, seam_random_hash("fusion.hash"), &buckets));
    for (int32_t i = 0; i < tokens->n; i++)
        for (int32_t j = 0; j < tokens->n; j++) {
            bool before = has_key(&plain, i, j), mate = bucket_mate(f, &buckets, bucket, i, j);
            g_assert_true(has_key(&p, i, j) == (before || mate));
            more += mate && !before;
        }
    g_assert_cmpint(more, >, tokens->n / 4); // buckets tell something
    seam_arena_clear(&arena);
    seam_arena_release(&f->arena, 0);
}

static void test_fusion(void) {
    for (int32_t bucket = 1; bucket <= 8; bucket += 7) {
        Fixture f;
        setup(&f, 120, 45, 6);
        SeamPlace place[165];
        SeamTokens tokens = {.n = 165, .dim = DIM, .seqs = 3, .x = f.x, .seq_start = f.start, .place = place};
        for (int32_t i = 0; i < 165; i++) { // by modality, then time
            int32_t k = i < 120 ? i : i - 120, half = i < 120 ? 60 : 23;
            place[i] = (SeamPlace){.t = (float)(k % half) / (float)half, .modality = k >= half, .domain = SEAM_DOMAIN_WORD};
        }
        check_fusion(&f, &tokens, bucket);
        teardown(&f);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pattern-hash/pattern", test_pattern);
    g_test_add_func("/pattern-hash/order", test_order);
    g_test_add_func("/pattern-hash/like-meets-like", test_like_meets_like);
    g_test_add_func("/pattern-hash/streams", test_streams);
    g_test_add_func("/pattern-hash/planned", test_planned);
    g_test_add_func("/pattern-hash/fusion", test_fusion);
    return g_test_run();
}
