// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A tile of y = act(x w^T + bias) in registers, ROWS x 2 vectors of it, from which linear_f32.c, linear_bf16.c and linear_i8.c are made. The including file
// says before:
//
//   ROWS, ALL_ROWS                       rows of a tile, and the list of their numbers
//   Sum, sum_zero, sum_add, sum_value    a vector of sums, and as floats
//   Left, left_load                      `unit` numbers of a row of x, in all lanes
//   Right, right_load                    `unit` numbers of LANES columns of the weights
//   product                              sum + left right
//   STEP_X, STEP_W                       bytes of a step in x and in a column
//
// As in tile.c a vector of weights serves all rows of a tile and an element of x two vectors, x being read where it lies. All of k runs through one tile, so
// that sums stay in registers, and the rest of the operation follows while they are in the L1 cache. One and two rows would leave the multipliers waiting for
// their own results: their tiles take 4 and 2 steps at a time, in sums of their own that are added in the end. Each byte of the weights comes from memory
// once: strips are the outer loop, and a strip (k 32 columns) stays in a cache while the tiles of the other rows pass. There is no prefetch: by software it
// cost a fifth to a half of the bandwidth of few rows, where the processor's own reaches 20 GB/s of the 21 that one thread reads in one stream (25 in eight).
//
// GFLOP/s or GOP/s of one thread (Zen 4; issue 6 puts its limit from registers at 117 in f32, 232 in bf16, 467 in int8), processor time, `check_kernels
// --bench-packed` on a machine that other programs use too:
//   rows x groups    k -> n         gemm, grouped_gemm    f32    bf16    int8    | AVX2: f32    bf16    int8
//    101 x  1      192 ->  576             107            115     224     421    |       112     110     159
//    101 x  1      192 ->  192             107            114     214     365    |       112     105     166
//      1 x 16      192 ->  192              26             42      78     143    |        39      49      78
//      4 x 16      192 ->  192              71            112     205     335    |        97      91     131
//     16 x 16      192 ->  192              78            118     227     368    |       107      97     147
//     25 x 16      192 ->  192, gelu        81            104     179     283    |        88      87     113
//      1 x  4     1280 -> 5120             7.5             10      21      70    | weights from memory,
//      4 x  4     1280 -> 5120              22             44      98     204    | but of int8 (26 MB)
//     16 x  4     1280 -> 5120              46             98     186     310    | from the L3 cache
//     64 x  4     1280 -> 5120              79            108     210     383    |
#pragma once

#include <string.h>

#include "kernels/cpu/linear.h"
#include "kernels/cpu/vec.h"

enum { STRIP = 2 * LANES };

// Ends the life of a loop's sums, so that what the compiler needs registers for after the loop does not push the sums out of them within.
#define IN_REGISTER(sum) __asm__("" : "+" VEC_IN_REGISTER(sum))

#define ROWS_1_5(X) X(1) X(2) X(3) X(4) X(5)
#define ROWS_1_6(X) ROWS_1_5(X) X(6)
#define ROWS_1_12(X) ROWS_1_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
#define ROWS_1_14(X) ROWS_1_12(X) X(13) X(14)

typedef struct {
    Vec w_scale[2], bias[2];
    int lanes[2];  // columns that there are
    int stored[2]; // columns that a tile stores: all of a vector where they go aside
} Columns;

// Four bytes at p, which need not be aligned.
static inline int32_t word_at(const char *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

// ---- one tile ---------------------------------------------------------------------------------

// `deep` steps, each into sums of its own. base: rows 0, 5 and 10 at this step.
static inline __attribute__((always_inline)) void steps(const int rows, const int vectors, const int deep, const char *const base[3], ptrdiff_t row,
                                                        const char *w, Sum sum[][ROWS][2]) {
#pragma GCC unroll 4
    for (int s = 0; s < deep; s++) {
        Right right[2];
        for (int v = 0; v < vectors; v++)
            right[v] = right_load(w + (s * STRIP + v * LANES) * STEP_W);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const ptrdiff_t step[5] = {0, row, 2 * row, 3 * row, 4 * row};
            Left left = left_load(base[i / 5] + step[i % 5] + s * STEP_X);
            for (int v = 0; v < vectors; v++)
                sum[s][i][v] = product(sum[s][i][v], left, right[v]);
        }
    }
}

// act is left to finish: to [rows, vectors * LANES], rows ld apart, = x w^T + bias of the rows at x, their scales at x_scale, and the strip at w. `first` is
// what the sums begin with, or NULL.
static inline __attribute__((always_inline)) void tile(const int rows, const int vectors, const SeamLinearPart *p, const char *x,
                                                       const float *x_scale, const char *w, const int32_t *first, const Columns *c, float *to,
                                                       ptrdiff_t ld) {
    enum { MOST_DEEP = 4 };
    const int deep = rows == 1 ? MOST_DEEP : rows == 2 ? 2 : 1;
    const ptrdiff_t row = p->x_row;
    Sum sum[MOST_DEEP][ROWS][2];
#pragma GCC unroll 4
    for (int s = 0; s < deep; s++)
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vectors; v++)
                sum[s][i][v] = s > 0 ? sum_zero(NULL) : sum_zero(first ? first + v * LANES : NULL);
    for (int32_t segment = 0; segment < p->segments; segment++, x += p->segment) {
        const char *base[3] = {x, x + 5 * row, x + 10 * row};
        int32_t left = p->steps;
        for (; left >= deep; left -= deep) {
            steps(rows, vectors, deep, base, row, w, sum);
            w += deep * STRIP * STEP_W;
            for (int j = 0; j < 3; j++)
                base[j] += deep * STEP_X;
        }
        for (; deep > 1 && left > 0; left--) {
            steps(rows, vectors, 1, base, row, w, sum);
            w += STRIP * STEP_W;
            base[0] += STEP_X;
        }
    }
#pragma GCC unroll 4
    for (int s = 0; s < deep; s++)
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vectors; v++)
                IN_REGISTER(sum[s][i][v]);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++, to += ld, x_scale += p->scale_row)
        for (int v = 0; v < vectors; v++) {
            Sum all = sum[0][i][v];
#pragma GCC unroll 4
            for (int s = 1; s < deep; s++)
                all = sum_add(all, sum[s][i][v]);
            Vec value = sum_value(all, x_scale, c->w_scale[v], c->bias[v]);
            if (v + 1 < vectors)
                vec_store(to + v * LANES, value);
            else
                vec_store_part(to + v * LANES, c->stored[v], value);
        }
}

typedef void (*Tile)(const SeamLinearPart *p, const char *x, const float *x_scale, const char *w, const int32_t *first, const Columns *c, float *to,
                     ptrdiff_t ld);

#define DEFINE_TILE_OF(rows, vectors)                                                                                                         \
    static void tile_##rows##_##vectors(const SeamLinearPart *p, const char *x, const float *x_scale, const char *w, const int32_t *first,    \
                                        const Columns *c, float *to, ptrdiff_t ld) {                                                          \
        tile(rows, vectors, p, x, x_scale, w, first, c, to, ld);                                                                              \
    }
#define DEFINE_TILE(rows) DEFINE_TILE_OF(rows, 1) DEFINE_TILE_OF(rows, 2)
ALL_ROWS(DEFINE_TILE)

#define TILE_ROW(rows) {tile_##rows##_1, tile_##rows##_2},
static const Tile tiles[ROWS][2] = {ALL_ROWS(TILE_ROW)};

// ---- the rest of the operation ----------------------------------------------------------------

// y (+)= act(from), rows ld and ldy apart; from may be y.
static inline __attribute__((always_inline)) void finish_as(SeamActivation act, bool add, int rows, int vectors, const Columns *c, const float *from,
                                                            ptrdiff_t ld, float *y, ptrdiff_t ldy) {
    for (int i = 0; i < rows; i++, from += ld, y += ldy)
        for (int v = 0; v < vectors; v++) {
            Vec value = vec_load_part(from + v * LANES, c->stored[v]);
            if (act == SEAM_ACT_GELU)
                value = vec_gelu(value);
            if (add)
                value += vec_load_part(y + v * LANES, c->lanes[v]);
            vec_store_part(y + v * LANES, c->lanes[v], value);
        }
}

static void finish(SeamActivation act, bool add, int rows, int vectors, const Columns *c, const float *from, ptrdiff_t ld, float *y, ptrdiff_t ldy) {
    if (act == SEAM_ACT_GELU && add)
        finish_as(SEAM_ACT_GELU, true, rows, vectors, c, from, ld, y, ldy);
    else if (act == SEAM_ACT_GELU)
        finish_as(SEAM_ACT_GELU, false, rows, vectors, c, from, ld, y, ldy);
    else if (add)
        finish_as(SEAM_ACT_NONE, true, rows, vectors, c, from, ld, y, ldy);
    else
        finish_as(SEAM_ACT_NONE, false, rows, vectors, c, from, ld, y, ldy);
}

// y = act(y) of rows without gaps, as one row: a strip that is not full leaves no lanes idle.
static void finish_whole(const SeamLinearPart *p) {
    int64_t n = (int64_t)p->rows * p->columns, i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_store(p->y + i, vec_gelu(vec_load(p->y + i)));
    if (i < n)
        vec_store_part(p->y + i, (int)(n - i), vec_gelu(vec_load_part(p->y + i, (int)(n - i))));
}

// ---- the rectangle ----------------------------------------------------------------------------

static Columns columns_at(const SeamLinearPart *p, int32_t column, int vectors) {
    Columns c = {.lanes = {LANES, LANES}};
    c.lanes[vectors - 1] = seam_min(STRIP, p->columns - column) - (vectors - 1) * LANES;
    for (int v = 0; v < vectors; v++) {
        c.w_scale[v] = p->w_scale ? vec_load(p->w_scale + column + v * LANES) : vec_set(1);
        c.bias[v] = p->bias ? vec_load_part(p->bias + column + v * LANES, c.lanes[v]) : vec_set(0);
    }
    return c;
}

// Strip by strip, in panels of about equal height. What is not added to y goes there at once, but where an activation follows on a strip that is not full:
// reading back what a masked store has just written costs more than the activation does.
static void run(const SeamLinearPart *p) {
    _Alignas(64) float aside[ROWS * STRIP];
    ptrdiff_t strip_bytes = (ptrdiff_t)p->segments * p->steps * STRIP * STEP_W;
    bool is_whole = p->act == SEAM_ACT_GELU && !p->add && p->columns < STRIP && p->ldy == p->columns;
    const char *w = p->w;
    for (int32_t column = 0; column < p->columns; column += STRIP, w += strip_bytes) {
        int vectors = p->columns - column > LANES ? 2 : 1;
        Columns c = columns_at(p, column, vectors);
        bool is_aside = p->add || (p->act != SEAM_ACT_NONE && !is_whole && c.lanes[vectors - 1] < LANES);
        for (int v = 0; v < 2; v++)
            c.stored[v] = is_aside ? LANES : c.lanes[v];
        for (int32_t i = 0, rows; i < p->rows; i += rows) {
            int32_t panels = (p->rows - i + ROWS - 1) / ROWS;
            rows = (p->rows - i + panels - 1) / panels;
            float *y = p->y + i * p->ldy + column, *to = is_aside ? aside : y;
            ptrdiff_t ld = is_aside ? STRIP : p->ldy;
            tiles[rows - 1][vectors - 1](p, p->x + i * p->x_row, p->x_scale + i * p->scale_row, w, p->first ? p->first + column : NULL, &c, to, ld);
            if (p->add || (p->act != SEAM_ACT_NONE && !is_whole))
                finish(p->act, p->add, rows, vectors, &c, to, ld, y, p->ldy);
        }
    }
    if (is_whole)
        finish_whole(p);
}
