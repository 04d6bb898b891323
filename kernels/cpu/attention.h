// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What attention forward and backward share: how work is cut, rows of one head copied together, and products with listed keys.
#pragma once

#include "kernels/cpu/rows.h"
#include "kernels/cpu/tile.h"

// Scores of a task: queries x keys floats, 256 KiB, with the copies beside them within an L2 cache.
enum { SEAM_SCORES = 64 * 1024, SEAM_QUERIES = 84, SEAM_QUERIES_LEAST = 14 };

// Queries of a block against `keys` keys.
static inline int32_t seam_attention_block(int32_t keys) {
    int32_t fit = keys > 0 ? SEAM_SCORES / keys : SEAM_QUERIES;
    return fit < SEAM_QUERIES_LEAST ? SEAM_QUERIES_LEAST : seam_min(fit, SEAM_QUERIES);
}

static inline size_t seam_attention_at(const SeamAttention *a, int32_t token, int32_t head) {
    return (size_t)token * (size_t)a->ld + (size_t)head * (size_t)a->head_dim;
}

static inline float seam_attention_gate(const SeamAttention *a, int32_t token, int32_t head) {
    return a->gate ? a->gate[(size_t)token * a->heads + head] : 1;
}

// NaN is open.
static inline bool seam_attention_closed(const SeamAttention *a, int32_t token, int32_t head) {
    return a->gate && a->gate[(size_t)token * a->heads + head] < a->gate_threshold;
}

// Open queries of [first, end) into open[]; their number.
static inline int32_t seam_attention_open(const SeamAttention *a, int32_t first, int32_t end, int32_t head, int32_t *open) {
    int32_t count = 0;
    for (int32_t i = first; i < end; i++)
        if (!seam_attention_closed(a, i, head))
            open[count++] = i;
    return count;
}

// Rows of score [count, keys] begin with the keys' biases, to which the products are added; false: there are none.
static inline bool seam_attention_biases(const SeamAttention *a, int32_t first, int32_t keys, int32_t count, float *score) {
    for (int32_t i = 0; a->key_bias && i < count; i++)
        row_scale(keys, 1, a->key_bias + first, score + (ptrdiff_t)i * keys);
    return a->key_bias != NULL;
}

// score[t] += bias of key[t].
static inline void seam_listed_biases(const SeamAttention *a, int32_t keys, const int32_t *key, float *score) {
    for (int32_t t = 0; a->key_bias && t < keys; t++)
        score[t] += a->key_bias[key[t]];
}

// score[t] = q . k[key[t]] for one head: k points at the head's part of token 0.
static inline __attribute__((always_inline)) void seam_listed_scores(const int vectors, int32_t d, ptrdiff_t ld, int32_t keys, const int32_t *key,
                                                                     const float *q, const float *k, float *score) {
    for (int32_t t = 0; t < keys; t += 4) {
        Vec sum[4];
        for (int j = 0; j < 4; j++) {
            const float *row = k + key[seam_min(t + j, keys - 1)] * ld;
            sum[j] = vec_set(0);
            for (int v = 0; v < vectors; v++) {
                int lanes = seam_min(LANES, d - v * LANES);
                sum[j] = vec_fma(vec_load_part(q + v * LANES, lanes), vec_load_part(row + v * LANES, lanes), sum[j]);
            }
        }
        vec_store4(score + t, seam_min(4, keys - t), vec_sum4(sum));
    }
}

// to [d] = sum_t weight[t] v[key[t]].
static inline __attribute__((always_inline)) void seam_listed_sum(const int vectors, int32_t d, ptrdiff_t ld, int32_t keys, const int32_t *key,
                                                                  const float *weight, const float *v, float factor, float *to) {
    for (int c = 0; c < vectors; c++) {
        int lanes = seam_min(LANES, d - c * LANES);
        const float *column = v + c * LANES;
        Vec even = vec_set(0), odd = vec_set(0);
        int32_t t = 0;
        for (; t + 2 <= keys; t += 2) {
            even = vec_fma(vec_set(weight[t]), vec_load_part(column + key[t] * ld, lanes), even);
            odd = vec_fma(vec_set(weight[t + 1]), vec_load_part(column + key[t + 1] * ld, lanes), odd);
        }
        if (t < keys)
            even = vec_fma(vec_set(weight[t]), vec_load_part(column + key[t] * ld, lanes), even);
        vec_store_part(to + c * LANES, lanes, vec_set(factor) * (even + odd));
    }
}
