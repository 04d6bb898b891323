// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A tile of y = act(x w^T + bias) in registers, ROWS x 2 vectors of it, from which linear_f32.c, linear_bf16.c and linear_i8.c are made. The including file says before:
//
//   ROWS, ALL_ROWS                       rows of a tile, and the list of their numbers
//   Sum, sum_zero, sum_add, sum_value    a vector of sums, and as floats
//   Left, left_load                      `unit` numbers of a row of x, in all lanes
//   Right, right_load                    `unit` numbers of LANES columns of the weights
//   product                              sum + left right
//   STEP_X, STEP_W                       bytes of a step in x and in a column
//
// As in tile.c a vector of weights serves all rows of a tile and an element of x two vectors, x being read where it lies. All of k runs through one tile, so that
// sums stay in registers, and the rest of the operation follows while they are in the L1 cache. One and two rows would leave the multipliers waiting for their
// own results: their tiles take 4 and 2 steps at a time, in sums of their own that are added in the end. Each byte of the weights comes from memory once:
// strips are the outer loop, and a strip (k 32 columns) stays in a cache while the tiles of the other rows pass.
#pragma once

#include <string.h>

#include "kernels/cpu/linear.h"
#include "kernels/cpu/vec.h"

enum { STRIP = 2 * LANES, LINES_AHEAD = 16 };

#define ROWS_1_5(X) X(1) X(2) X(3) X(4) X(5)
#define ROWS_1_6(X) ROWS_1_5(X) X(6)
#define ROWS_1_12(X) ROWS_1_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
#define ROWS_1_14(X) ROWS_1_12(X) X(13) X(14)

typedef struct {
    Vec w_scale[2], bias[2];
    int lanes[2]; // columns that there are
} Columns;

// The number at p, in all bytes of which nothing is known but that they can be read.
static inline int32_t word_at(const char *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

// ---- the rest of the operation ----------------------------------------------------------------

// sums [rows][vectors]
static inline __attribute__((always_inline)) void finish_as(SeamActivation act, bool add, const SeamLinearPart *p, int rows, int vectors, const Sum *sums,
                                                            int32_t row, int32_t column, const Columns *c) {
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            float *to = p->y + (ptrdiff_t)(row + i) * p->ldy + column + v * LANES;
            Vec value = sum_value(sums[i * vectors + v], p, row + i, c->w_scale[v], c->bias[v]);
            if (act == SEAM_ACT_GELU)
                value = vec_gelu(value);
            if (add)
                value += vec_load_part(to, c->lanes[v]);
            vec_store_part(to, c->lanes[v], value);
        }
}

static void finish(const SeamLinearPart *p, int rows, int vectors, const Sum *sums, int32_t row, int32_t column, const Columns *c) {
    if (p->act == SEAM_ACT_GELU && p->add)
        finish_as(SEAM_ACT_GELU, true, p, rows, vectors, sums, row, column, c);
    else if (p->act == SEAM_ACT_GELU)
        finish_as(SEAM_ACT_GELU, false, p, rows, vectors, sums, row, column, c);
    else if (p->add)
        finish_as(SEAM_ACT_NONE, true, p, rows, vectors, sums, row, column, c);
    else
        finish_as(SEAM_ACT_NONE, false, p, rows, vectors, sums, row, column, c);
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

// sums [rows][vectors] of the rows at x and the strip at w; `first` is what they begin with, or NULL.
static inline __attribute__((always_inline)) void tile(const int rows, const int vectors, const SeamLinearPart *p, const char *x, const char *w,
                                                       const int32_t *first, Sum *sums) {
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
            __builtin_prefetch(w + LINES_AHEAD * 64);
            if (deep * STRIP * STEP_W > 64)
                __builtin_prefetch(w + LINES_AHEAD * 64 + 64);
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
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            Sum all = sum[0][i][v];
#pragma GCC unroll 4
            for (int s = 1; s < deep; s++)
                all = sum_add(all, sum[s][i][v]);
            sums[i * vectors + v] = all;
        }
}

typedef void (*Tile)(const SeamLinearPart *p, const char *x, const char *w, const int32_t *first, Sum *sums);

#define DEFINE_TILE(rows)                                                                                                                   \
    static void tile_##rows##_1(const SeamLinearPart *p, const char *x, const char *w, const int32_t *first, Sum *sums) {                   \
        tile(rows, 1, p, x, w, first, sums);                                                                                                \
    }                                                                                                                                       \
    static void tile_##rows##_2(const SeamLinearPart *p, const char *x, const char *w, const int32_t *first, Sum *sums) {                   \
        tile(rows, 2, p, x, w, first, sums);                                                                                                \
    }
ALL_ROWS(DEFINE_TILE)

#define TILE_ROW(rows) {tile_##rows##_1, tile_##rows##_2},
static const Tile tiles[ROWS][2] = {ALL_ROWS(TILE_ROW)};

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

// Strip by strip, in panels of about equal height.
static void run(const SeamLinearPart *p) {
    Sum sums[ROWS * 2];
    ptrdiff_t strip_bytes = (ptrdiff_t)p->segments * p->steps * STRIP * STEP_W;
    const char *w = p->w;
    for (int32_t column = 0; column < p->columns; column += STRIP, w += strip_bytes) {
        int vectors = p->columns - column > LANES ? 2 : 1;
        Columns c = columns_at(p, column, vectors);
        for (int32_t i = 0, rows; i < p->rows; i += rows) {
            int32_t panels = (p->rows - i + ROWS - 1) / ROWS;
            rows = (p->rows - i + panels - 1) / panels;
            tiles[rows - 1][vectors - 1](p, p->x + i * p->x_row, w, p->first ? p->first + column : NULL, sums);
            finish(p, rows, vectors, sums, i, column, &c);
        }
    }
}
