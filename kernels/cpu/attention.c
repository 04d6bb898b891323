// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   out[i, h] = gate[i, h] * sum_j p_ij v[j, h],   p_ij = exp(s_ij) / sum_j exp(s_ij),   s_ij = scale q[i, h] . k[j, h] + bias[j]
//
// Shapes, closed heads, key lists: SeamAttention in kernels.h. Any number of keys, 0 included. f32 throughout; the highest score is
// subtracted first, so exp cannot overflow. Each task writes its own rows: deterministic for a number of lanes.
// NaN in a query or one of its keys gives a NaN row. Against ref: a few ulp of the largest |v| times sqrt(keys).
//
// Dense: 4 keys head_dim operations a query and head by tile.c, and an exponential a score (a tenth of the time at 145 keys of 32). Open
// queries of a block are copied together, so that closed ones cost nothing. Key lists: one query at a time, bound by the loads
// of k and v rows.
#include "kernels/cpu/attention.h"

#include <math.h>
#include <string.h>

typedef struct {
    const SeamAttention *a;
    float *out, *lse;
    int32_t query_parts; // tasks a (sequence, head)
    atomic_bool failed;
} Forward;

static void keep_lse(const Forward *f, int32_t i, int32_t head, float value) {
    if (f->lse)
        f->lse[(size_t)i * f->a->heads + head] = value;
}

static float *out_row(const Forward *f, int32_t i, int32_t head) {
    return f->out + ((size_t)i * f->a->heads + head) * f->a->head_dim;
}

static void leave_empty(const Forward *f, int32_t i, int32_t head) {
    memset(out_row(f, i, head), 0, (size_t)f->a->head_dim * sizeof(float));
    keep_lse(f, i, head, 0);
}

// ---- dense ------------------------------------------------------------------------------------

// Open queries of one block against all tokens [first, end) of their sequence. q, mixed [count, head_dim], score [count, keys].
static bool dense_block(const Forward *f, int32_t first, int32_t end, int32_t head, int32_t count, const int32_t *open, float *q,
                        float *mixed, float *score) {
    const SeamAttention *a = f->a;
    int32_t d = a->head_dim, keys = end - first;
    size_t at = seam_attention_at(a, first, head);
    float highest[SEAM_QUERIES], sum[SEAM_QUERIES];
    for (int32_t i = 0; i < count; i++)
        row_scale(d, a->scale, a->q + seam_attention_at(a, open[i], head), q + (ptrdiff_t)i * d);
    bool add = seam_attention_biases(a, first, keys, count, score);
    if (!seam_tile_product(count, keys, d, (SeamMatrix){q, d, 1}, (SeamMatrix){a->k + at, 1, a->ld}, add, score, keys))
        return false;
    for (int32_t i = 0; i < count; i++)
        sum[i] = row_exponentials(keys, score + (ptrdiff_t)i * keys, score + (ptrdiff_t)i * keys, &highest[i]);
    if (!seam_tile_product(count, d, keys, (SeamMatrix){score, keys, 1}, (SeamMatrix){a->v + at, a->ld, 1}, false, mixed, d))
        return false;
    for (int32_t i = 0; i < count; i++) {
        row_scale(d, seam_attention_gate(a, open[i], head) / sum[i], mixed + (ptrdiff_t)i * d, out_row(f, open[i], head));
        keep_lse(f, open[i], head, highest[i] + logf(sum[i]));
    }
    return true;
}

static void dense_task(Forward *f, int32_t sequence, int32_t head, int32_t part) {
    const SeamAttention *a = f->a;
    int32_t first = a->seq_start[sequence], end = a->seq_start[sequence + 1], keys = end - first, d = a->head_dim;
    int32_t most = seam_attention_block(keys), blocks = (keys + most - 1) / most, open[SEAM_QUERIES];
    blocks = blocks < f->query_parts ? seam_min(f->query_parts, keys) : blocks; // about equal, and a block of work for every part
    float *score = seam_scratch(SEAM_SCRATCH_TASK, (size_t)most * (size_t)(keys + 2 * d) * sizeof *score);
    float *q = score + (size_t)most * keys, *mixed = q + (size_t)most * d;
    bool ok = score != NULL;
    for (int32_t b = part; ok && b < blocks; b += f->query_parts) {
        int32_t from = first + (int32_t)seam_part(keys, 1, blocks, b), to = first + (int32_t)seam_part(keys, 1, blocks, b + 1);
        int32_t count = seam_attention_open(a, from, to, head, open);
        for (int32_t i = from; count < to - from && i < to; i++)
            if (seam_attention_closed(a, i, head))
                leave_empty(f, i, head);
        ok = count == 0 || dense_block(f, first, end, head, count, open, q, mixed, score);
    }
    if (!ok)
        atomic_store(&f->failed, true);
}

// ---- key lists --------------------------------------------------------------------------------

static inline __attribute__((always_inline)) void listed_query(const Forward *f, const int vectors, int32_t i, int32_t head, float *score) {
    const SeamAttention *a = f->a;
    int32_t keys = a->key_start[i + 1] - a->key_start[i], d = a->head_dim;
    const int32_t *key = a->key_index + a->key_start[i];
    const size_t part = (size_t)head * d;
    float highest, q[128];
    row_scale(d, a->scale, a->q + seam_attention_at(a, i, head), q);
    seam_listed_scores(vectors, d, a->ld, keys, key, q, a->k + part, score);
    seam_listed_biases(a, keys, key, score);
    float sum = row_exponentials(keys, score, score, &highest);
    seam_listed_sum(vectors, d, a->ld, keys, key, score, a->v + part, seam_attention_gate(a, i, head) / sum, out_row(f, i, head));
    keep_lse(f, i, head, highest + logf(sum));
}

static void listed_task(Forward *f, int32_t from, int32_t to) {
    const SeamAttention *a = f->a;
    int32_t most = 0, vectors = (a->head_dim + LANES - 1) / LANES;
    for (int32_t i = from; i < to; i++)
        most = a->key_start[i + 1] - a->key_start[i] > most ? a->key_start[i + 1] - a->key_start[i] : most;
    float *score = seam_scratch(SEAM_SCRATCH_TASK, ((size_t)most + 4) * sizeof *score);
    if (!score) {
        atomic_store(&f->failed, true);
        return;
    }
    for (int32_t i = from; i < to; i++)
        for (int32_t h = 0; h < a->heads; h++) {
            if (seam_attention_closed(a, i, h) || a->key_start[i + 1] == a->key_start[i])
                leave_empty(f, i, h);
            else if (a->head_dim == 32) // the width of a head in most models: the loops unroll
                listed_query(f, 32 / LANES, i, h, score);
            else
                listed_query(f, vectors, i, h, score);
        }
}

// ---- tasks ------------------------------------------------------------------------------------

enum { LISTED_QUERIES = 16 }; // a task: 16 queries x 6 heads x 50 keys are about 50 us

static void run_dense(void *data, int32_t task, int32_t lane) {
    Forward *f = data;
    int32_t pair = task / f->query_parts;
    dense_task(f, pair / f->a->heads, pair % f->a->heads, task % f->query_parts);
}

static void run_listed(void *data, int32_t task, int32_t lane) {
    Forward *f = data;
    listed_task(f, task * LISTED_QUERIES, seam_min(f->a->n, (task + 1) * LISTED_QUERIES));
}

static SeamStatus attention(const SeamAttention *a, float *out, float *lse) {
    assert(a->head_dim >= 0 && a->head_dim <= 128 && a->heads >= 0 && a->n >= 0);
    Forward f = {.a = a, .out = out, .lse = lse, .query_parts = 1};
    int32_t pairs = a->seqs * a->heads, wanted = 4 * seam_pool_lanes();
    if (pairs == 0 || a->n == 0)
        return SEAM_OK;
    if (pairs < wanted)
        f.query_parts = (wanted + pairs - 1) / pairs;
    if (a->key_start)
        seam_pool_run((a->n + LISTED_QUERIES - 1) / LISTED_QUERIES, run_listed, &f);
    else
        seam_pool_run(pairs * f.query_parts, run_dense, &f);
    return f.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_attention)(SeamKernels *k) {
    k->attention = attention;
}
