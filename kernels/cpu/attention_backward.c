// SPDX-License-Identifier: LGPL-2.1-or-later
//
// With p_ij = exp(scale q_i . k_j + bias_j - lse_i) made again, and for one head:
//
//   dp_ij = dout_i . v_j,   D_i = sum_j p_ij dp_ij = dgate_i,   ds_ij = gate_i p_ij (dp_ij - D_i)
//   dq_i = scale sum_j ds_ij k_j,   dk_j = sum_i ds_ij scale q_i,   dv_j = sum_i gate_i p_ij dout_i
//
// (Dao 2022, algorithm 4; D is summed here rather than divided out of `out`, so that a gate of 0 has a gradient too.) Shapes and closed
// heads: kernels.h; all four outputs are "=". One task owns a (sequence, head), walks its queries in order and is the only one to write
// its columns of dq, dk, dv: deterministic, without atomics. f32, NaN passes through. Five products where forward has two: 10 keys head_dim
// operations a query and head, bound by multiplication; key lists by the rows of k, v, dk, dv.
#include <math.h>
#include <string.h>

#include "kernels/cpu/attention.h"

typedef struct {
    const SeamAttention *a;
    const float *lse, *dout;
    float *dq, *dk, *dv, *dgate;
    atomic_bool failed;
} Backward;

static void keep_dgate(const Backward *w, int32_t i, int32_t head, float value) {
    if (w->a->gate)
        w->dgate[(size_t)i * w->a->heads + head] = value;
}

static const float *dout_row(const Backward *w, int32_t i, int32_t head) {
    return w->dout + ((size_t)i * w->a->heads + head) * w->a->head_dim;
}

static void clear_rows(const Backward *w, int32_t first, int32_t end, int32_t head, float *x) {
    for (int32_t i = first; i < end; i++)
        memset(x + seam_attention_at(w->a, i, head), 0, (size_t)w->a->head_dim * sizeof *x);
}

// score [keys] becomes p, with the highest score already in lse; returns D.
static float probabilities(int32_t keys, float lse, float *score, const float *dp) {
    Vec sum = vec_set(0);
    for (int32_t t = 0; t < keys; t += LANES) {
        int lanes = seam_min(LANES, keys - t);
        Vec p = vec_exp(vec_load_part(score + t, lanes) - vec_set(lse));
        vec_store_part(score + t, lanes, p);
        sum += vec_keep(p * vec_load_part(dp + t, lanes), lanes, 0);
    }
    return vec_sum(sum);
}

// dp [keys] becomes ds = gate p (dp - D).
static void score_gradients(int32_t keys, float gate, float d, const float *p, float *dp) {
    for (int32_t t = 0; t < keys; t += LANES) {
        int lanes = seam_min(LANES, keys - t);
        vec_store_part(dp + t, lanes, vec_set(gate) * vec_load_part(p + t, lanes) * (vec_load_part(dp + t, lanes) - vec_set(d)));
    }
}

// ---- dense ------------------------------------------------------------------------------------

typedef struct {
    float *p, *dp;        // [count, keys]
    float *q, *dout, *dq; // [count, head_dim]; q scaled
} Block;

static bool dense_block(const Backward *w, int32_t first, int32_t end, int32_t head, int32_t count, const int32_t *open, const Block *b,
                        bool add) {
    const SeamAttention *a = w->a;
    int32_t d = a->head_dim, keys = end - first;
    size_t at = seam_attention_at(a, first, head);
    SeamMatrix by_key = {b->p, 1, keys}, ds_by_query = {b->dp, keys, 1}, ds_by_key = {b->dp, 1, keys};
    for (int32_t i = 0; i < count; i++) {
        row_scale(d, a->scale, a->q + seam_attention_at(a, open[i], head), b->q + (ptrdiff_t)i * d);
        row_scale(d, 1, dout_row(w, open[i], head), b->dout + (ptrdiff_t)i * d);
    }
    bool biased = seam_attention_biases(a, first, keys, count, b->p);
    if (!seam_tile_product(count, keys, d, (SeamMatrix){b->q, d, 1}, (SeamMatrix){a->k + at, 1, a->ld}, biased, b->p, keys) ||
        !seam_tile_product(count, keys, d, (SeamMatrix){b->dout, d, 1}, (SeamMatrix){a->v + at, 1, a->ld}, false, b->dp, keys))
        return false;
    for (int32_t i = 0; i < count; i++) {
        float gate = seam_attention_gate(a, open[i], head), *p = b->p + (ptrdiff_t)i * keys, *dp = b->dp + (ptrdiff_t)i * keys;
        float big_d = probabilities(keys, w->lse[(size_t)open[i] * a->heads + head], p, dp);
        score_gradients(keys, gate, big_d, p, dp);
        row_scale(d, gate, dout_row(w, open[i], head), b->dout + (ptrdiff_t)i * d);
        keep_dgate(w, open[i], head, big_d);
    }
    if (!seam_tile_product(keys, d, count, by_key, (SeamMatrix){b->dout, d, 1}, add, w->dv + at, a->ld) ||
        !seam_tile_product(keys, d, count, ds_by_key, (SeamMatrix){b->q, d, 1}, add, w->dk + at, a->ld) ||
        !seam_tile_product(count, d, keys, ds_by_query, (SeamMatrix){a->k + at, a->ld, 1}, false, b->dq, d))
        return false;
    for (int32_t i = 0; i < count; i++)
        row_scale(d, a->scale, b->dq + (ptrdiff_t)i * d, w->dq + seam_attention_at(a, open[i], head));
    return true;
}

static bool dense_pair(const Backward *w, int32_t first, int32_t end, int32_t head) {
    const SeamAttention *a = w->a;
    int32_t keys = end - first, d = a->head_dim, most = seam_attention_block(keys), blocks = (keys + most - 1) / most;
    int32_t open[SEAM_QUERIES];
    float *memory = seam_scratch(SEAM_SCRATCH_TASK, (size_t)most * (2 * (size_t)keys + 3 * (size_t)d) * sizeof *memory);
    if (!memory)
        return false;
    Block block = {.p = memory, .dp = memory + (size_t)most * keys, .q = memory + 2 * (size_t)most * keys};
    block.dout = block.q + (size_t)most * d;
    block.dq = block.dout + (size_t)most * d;
    bool add = false;
    for (int32_t b = 0; b < blocks; b++) {
        int32_t from = first + (int32_t)seam_part(keys, 1, blocks, b), to = first + (int32_t)seam_part(keys, 1, blocks, b + 1);
        int32_t count = seam_attention_open(a, from, to, head, open);
        for (int32_t i = from; count < to - from && i < to; i++)
            if (seam_attention_closed(a, i, head)) {
                clear_rows(w, i, i + 1, head, w->dq);
                keep_dgate(w, i, head, 0);
            }
        if (count == 0)
            continue;
        if (!dense_block(w, first, end, head, count, open, &block, add))
            return false;
        add = true;
    }
    if (!add) {
        clear_rows(w, first, end, head, w->dk);
        clear_rows(w, first, end, head, w->dv);
    }
    return true;
}

// ---- key lists --------------------------------------------------------------------------------

// Rows key[t] of dk += ds[t] q, of dv += p[t] dout.
static inline __attribute__((always_inline)) void scatter(const int vectors, int32_t d, ptrdiff_t ld, int32_t keys, const int32_t *key,
                                                          const float *weight, const float *row, float *to) {
    for (int v = 0; v < vectors; v++) {
        int lanes = seam_min(LANES, d - v * LANES);
        Vec x = vec_load_part(row + v * LANES, lanes);
        for (int32_t t = 0; t < keys; t++) {
            float *at = to + key[t] * ld + v * LANES;
            vec_store_part(at, lanes, vec_fma(vec_set(weight[t]), x, vec_load_part(at, lanes)));
        }
    }
}

static inline __attribute__((always_inline)) void listed_query(const Backward *w, const int vectors, int32_t i, int32_t head, float *p,
                                                               float *dp) {
    const SeamAttention *a = w->a;
    int32_t keys = a->key_start[i + 1] - a->key_start[i], d = a->head_dim;
    const int32_t *key = a->key_index + a->key_start[i];
    const size_t part = (size_t)head * d;
    float q[128], dout[128], gate = seam_attention_gate(a, i, head);
    row_scale(d, a->scale, a->q + seam_attention_at(a, i, head), q);
    seam_listed_scores(vectors, d, a->ld, keys, key, q, a->k + part, p);
    seam_listed_biases(a, keys, key, p);
    seam_listed_scores(vectors, d, a->ld, keys, key, dout_row(w, i, head), a->v + part, dp);
    float big_d = probabilities(keys, w->lse[(size_t)i * a->heads + head], p, dp);
    score_gradients(keys, gate, big_d, p, dp);
    keep_dgate(w, i, head, big_d);
    row_scale(d, gate, dout_row(w, i, head), dout);
    scatter(vectors, d, a->ld, keys, key, p, dout, w->dv + part);
    scatter(vectors, d, a->ld, keys, key, dp, q, w->dk + part);
    seam_listed_sum(vectors, d, a->ld, keys, key, dp, a->k + part, a->scale, w->dq + seam_attention_at(a, i, head));
}

static bool listed_pair(const Backward *w, int32_t first, int32_t end, int32_t head) {
    const SeamAttention *a = w->a;
    int32_t most = 0, vectors = (a->head_dim + LANES - 1) / LANES;
    for (int32_t i = first; i < end; i++)
        most = a->key_start[i + 1] - a->key_start[i] > most ? a->key_start[i + 1] - a->key_start[i] : most;
    float *p = seam_scratch(SEAM_SCRATCH_TASK, 2 * ((size_t)most + 4) * sizeof *p), *dp = p + most + 4;
    if (!p)
        return false;
    clear_rows(w, first, end, head, w->dk);
    clear_rows(w, first, end, head, w->dv);
    for (int32_t i = first; i < end; i++) {
        if (seam_attention_closed(a, i, head) || a->key_start[i + 1] == a->key_start[i]) {
            clear_rows(w, i, i + 1, head, w->dq);
            keep_dgate(w, i, head, 0);
        } else if (a->head_dim == 32) { // the width of a head in most models: the loops unroll
            listed_query(w, 32 / LANES, i, head, p, dp);
        } else {
            listed_query(w, vectors, i, head, p, dp);
        }
    }
    return true;
}

static void run_pair(void *data, int32_t task, int32_t lane) {
    Backward *w = data;
    int32_t sequence = task / w->a->heads, head = task % w->a->heads;
    int32_t first = w->a->seq_start[sequence], end = w->a->seq_start[sequence + 1];
    bool ok = first == end || (w->a->key_start ? listed_pair(w, first, end, head) : dense_pair(w, first, end, head));
    if (!ok)
        atomic_store(&w->failed, true);
}

static SeamStatus attention_backward(const SeamAttention *a, const float *out, const float *lse, const float *dout, float *dq, float *dk,
                                     float *dv, float *dgate) {
    assert(a->head_dim >= 0 && a->head_dim <= 128 && a->heads >= 0 && a->n >= 0);
    Backward w = {.a = a, .lse = lse, .dout = dout, .dq = dq, .dk = dk, .dv = dv, .dgate = dgate};
    seam_pool_run(a->seqs * a->heads, run_pair, &w);
    return w.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_attention_backward)(SeamKernels *k) {
    k->attention_backward = attention_backward;
}
