// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What scan forward and backward share: a chunk of tokens of one head as small dense matrices, so that the recurrence within it becomes
// products (Dao and Gu 2024, sec. 6, algorithm "SSD"). Between chunks the state is passed on.
#pragma once

#include <string.h>

#include "kernels/cpu/rows.h"
#include "kernels/cpu/tile.h"

enum { SEAM_CHUNK = 32 }; // tokens: at a state of 16 numbers 16 is as fast and 64 takes a quarter longer

// With w_ij = a_i a_(i-1) .. a_(j+1), a_i = exp(-step_i rate), all by multiplication: no exponent is ever above 0, nothing overflows.
typedef struct {
    int32_t first, count;      // tokens of the batch
    float *u;                  // [count, head_dim] step x
    float *decay;              // [count, count] w_ij, 0 above the diagonal
    float *mix;                // [count, count] w_ij c_i . b_j, 0 above the diagonal
    float *to_end;             // in decay, its last row: w from each token to the chunk's last
    float since[SEAM_CHUNK];   // from the state before the chunk to each token, that token's own decay included
} SeamScanChunk;

static inline size_t seam_chunk_floats(const SeamScan *s) {
    return (size_t)SEAM_CHUNK * (size_t)(s->head_dim + 2 * SEAM_CHUNK);
}

static inline SeamScanChunk seam_chunk_over(const SeamScan *s, float *memory) {
    SeamScanChunk c = {.u = memory};
    c.decay = c.u + (size_t)SEAM_CHUNK * s->head_dim;
    c.mix = c.decay + SEAM_CHUNK * SEAM_CHUNK;
    return c;
}

static inline SeamMatrix seam_rows_of(const float *x, int32_t ld) {
    return (SeamMatrix){x, ld, 1};
}
static inline SeamMatrix seam_columns_of(const float *x, int32_t ld) {
    return (SeamMatrix){x, 1, ld};
}

// Fills all of the chunk of `count` tokens from `first` on. False when there is no memory.
static inline bool seam_chunk_open(const SeamScan *s, int32_t head, int32_t first, int32_t count, SeamScanChunk *c) {
    float a[SEAM_CHUNK];
    c->first = first;
    c->count = count;
    c->to_end = c->decay + (ptrdiff_t)(count - 1) * count;
    for (int32_t i = 0; i < count; i++) {
        float step = s->step[(size_t)(first + i) * s->heads + head], *row = c->decay + (ptrdiff_t)i * count;
        a[i] = expf(-step * s->rate[head]);
        c->since[i] = i ? c->since[i - 1] * a[i] : a[i];
        row_scale(s->head_dim, step, s->x + (size_t)(first + i) * s->ld + (size_t)head * s->head_dim, c->u + (ptrdiff_t)i * s->head_dim);
        row_scale(i, a[i], row - count, row);
        row[i] = 1;
        memset(row + i + 1, 0, (size_t)(count - 1 - i) * sizeof *row);
    }
    const float *b = s->b + (size_t)first * s->ld, *q = s->c + (size_t)first * s->ld;
    if (!seam_tile_product(count, count, s->state, seam_rows_of(q, s->ld), seam_columns_of(b, s->ld), false, c->mix, count))
        return false;
    for (int32_t i = 0; i < count; i++) {
        float *row = c->mix + (ptrdiff_t)i * count;
        for (int32_t j = 0; j < count; j++)
            row[j] = j <= i ? row[j] * c->decay[(ptrdiff_t)i * count + j] : 0;
    }
    return true;
}

// to [count, d] = factor_i from_i, rows `ld` apart in `from`.
static inline void seam_scale_rows(int32_t count, int32_t d, const float *factor, const float *from, ptrdiff_t ld, float *to) {
    for (int32_t i = 0; i < count; i++)
        row_scale(d, factor[i], from + i * ld, to + (ptrdiff_t)i * d);
}

// The state [head_dim, state] at the chunk's end, from the one before it, in place. scratch [SEAM_CHUNK, state].
static inline bool seam_chunk_pass(const SeamScan *s, const SeamScanChunk *c, float *state, float *scratch) {
    int32_t size = s->head_dim * s->state;
    row_scale(size, c->since[c->count - 1], state, state);
    seam_scale_rows(c->count, s->state, c->to_end, s->b + (size_t)c->first * s->ld, s->ld, scratch);
    return seam_tile_product(s->head_dim, s->state, c->count, seam_columns_of(c->u, s->head_dim), seam_rows_of(scratch, s->state), true, state,
                             s->state);
}
