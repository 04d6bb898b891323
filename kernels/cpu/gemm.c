// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   gemm               c = op(a) op(b) + beta c
//   grouped_gemm       c[r] = a[r] op(b[g])             rows r of group g
//   grouped_gemm_dw    dw[g] += sum over rows r of group g of y[r]^T x[r]
//   add_bias           x[i] += bias                      bias_grad  db += sum of rows of dy, each also by groups of rows
//   add                y += x
//
// Shapes, zeros, NaN: kernels.h. Products: this file only cuts them into tasks of the pool; the arithmetic is tile.c's. Cuts depend on
// the shape and the number of lanes alone, and no task adds to another's part; sums of rows run in slices whose number depends on n alone,
// added in order: deterministic. It owns no memory. Against ref: sqrt(k) roundings of sum |a b|. Biases are bound by memory.
//
// oneDNN does the weight gradients of many rows (onednn.c), 1.1 to 1.2 times as fast. All else is ours: with one thread its f32 products are
// as fast at the model's sizes (Zen 4, 105 to 112 GFLOP/s a core, both), and it allocates for each. Its own OpenMP threads, which spin beside
// the pool's, are never let loose: a product of 145 x 192 x 192 and a gelu by turns on two cores that other programs use too takes
// 160 us of processor time a pair here, and took 1200 to 2500 us with them.
#include <string.h>

#include "kernels/cpu/onednn.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/tile.h"

enum {
    SMALL = 1 << 20,     // products below which a wake-up costs more than a second thread saves (about 20 us)
    TASK_ROWS = 18 * 14, // rows of a task: with SEAM_DEPTH columns of a 190 KiB, in an L2 cache while the strips of b pass
    LEAST_ROWS = 28,     // of a task: two panels, a packed strip must pay
    MOST_SLICES = 16,    // of a sum of rows
    TASKS_A_LANE = 4,    // so that lanes which other programs slow down do not hold up the rest
};

// ---- gemm -------------------------------------------------------------------------------------

typedef struct {
    int32_t m, n, k, row_parts, column_parts;
    SeamMatrix a, b;
    float *c;
    int32_t ldc;
    bool add;
    atomic_bool failed;
} Gemm;

static void gemm_task(void *data, int32_t task, int32_t lane) {
    Gemm *g = data;
    int32_t i = task / g->column_parts, j = task % g->column_parts;
    int32_t top = (int32_t)seam_part(g->m, 1, g->row_parts, i), bottom = (int32_t)seam_part(g->m, 1, g->row_parts, i + 1);
    int32_t left = (int32_t)seam_part(g->n, SEAM_STRIP, g->column_parts, j);
    int32_t right = (int32_t)seam_part(g->n, SEAM_STRIP, g->column_parts, j + 1);
    SeamMatrix a = {g->a.data + top * g->a.row, g->a.row, g->a.col}, b = {g->b.data + left * g->b.col, g->b.row, g->b.col};
    if (!seam_tile_product(bottom - top, right - left, g->k, a, b, g->add, g->c + (ptrdiff_t)top * g->ldc + left, g->ldc))
        atomic_store(&g->failed, true);
}

// Rows are cut first, so that a part of a stays in a cache; where they do not fill the lanes, columns too, since each row part packs b
// again. A single strip has only rows to cut.
static void cut(Gemm *g) {
    int64_t work = (int64_t)g->m * g->n * g->k, most = work / (SMALL / 4);
    int32_t lanes = TASKS_A_LANE * seam_pool_lanes(), wanted = most < lanes ? (int32_t)most : lanes;
    int32_t strips = (g->n + SEAM_STRIP - 1) / SEAM_STRIP;
    g->row_parts = g->column_parts = 1;
    if (work < SMALL)
        return;
    g->row_parts = (g->m + TASK_ROWS - 1) / TASK_ROWS;
    if (strips > 1 && g->row_parts < wanted)
        g->column_parts = seam_min(strips, (wanted + g->row_parts - 1) / g->row_parts);
    if (strips == 1 && g->row_parts < wanted)
        g->row_parts = seam_min(wanted, (g->m + LEAST_ROWS - 1) / LEAST_ROWS);
}

static SeamStatus gemm(bool ta, bool tb, int32_t m, int32_t n, int32_t k, const float *a, int32_t lda, const float *b, int32_t ldb,
                       float beta, float *c, int32_t ldc) {
    assert(m >= 0 && n >= 0 && k >= 0 && (beta == 0 || beta == 1));
    SeamStatus status;
    if (ta && !tb && seam_onednn_gemm_ta(m, n, k, a, lda, b, ldb, beta, c, ldc, &status))
        return status;
    Gemm g = {.m = m, .n = n, .k = k, .a = seam_matrix(ta, a, lda), .b = seam_matrix(tb, b, ldb), .c = c, .ldc = ldc, .add = beta != 0};
    cut(&g);
    seam_pool_run(g.row_parts * g.column_parts, gemm_task, &g);
    return g.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

// ---- grouped ----------------------------------------------------------------------------------

typedef struct {
    int32_t groups, n, k, chunk, column_parts;
    const int32_t *start;
    const float *a, *b;
    float *c;
    bool tb;
    atomic_bool failed;
} Grouped;

// The group and the first row of chunk number `task` (groups are cut into chunks of up to g->chunk rows).
static int32_t find_chunk(const Grouped *g, int32_t task, int32_t *first) {
    for (int32_t i = 0;; i++) {
        int32_t chunks = (g->start[i + 1] - g->start[i] + g->chunk - 1) / g->chunk;
        if (task < chunks) {
            *first = g->start[i] + task * g->chunk;
            return i;
        }
        task -= chunks;
    }
}

static int32_t count_chunks(const Grouped *g) {
    int32_t chunks = 0;
    for (int32_t i = 0; i < g->groups; i++)
        chunks += (g->start[i + 1] - g->start[i] + g->chunk - 1) / g->chunk;
    return chunks;
}

static void grouped_task(void *data, int32_t task, int32_t lane) {
    Grouped *g = data;
    int32_t first, group = find_chunk(g, task / g->column_parts, &first), j = task % g->column_parts;
    int32_t rows = seam_min(g->chunk, g->start[group + 1] - first);
    int32_t left = (int32_t)seam_part(g->n, SEAM_STRIP, g->column_parts, j);
    int32_t right = (int32_t)seam_part(g->n, SEAM_STRIP, g->column_parts, j + 1);
    SeamMatrix b = seam_matrix(g->tb, g->b + (size_t)group * g->n * g->k, g->tb ? g->k : g->n);
    b.data += left * b.col;
    if (!seam_tile_product(rows, right - left, g->k, seam_matrix(false, g->a + (size_t)first * g->k, g->k), b, false,
                           g->c + (size_t)first * g->n + left, g->n))
        atomic_store(&g->failed, true);
}

static SeamStatus grouped_gemm(bool tb, int32_t groups, const int32_t *start, int32_t n, int32_t k, const float *a, const float *b, float *c) {
    assert(groups >= 0 && n >= 0 && k >= 0 && (groups == 0 || start[0] == 0));
    Grouped g = {.groups = groups, .n = n, .k = k, .chunk = TASK_ROWS, .column_parts = 1, .start = start, .a = a, .b = b, .c = c, .tb = tb};
    int32_t chunks = count_chunks(&g), wanted = TASKS_A_LANE * seam_pool_lanes();
    bool small = chunks > 0 && (int64_t)start[groups] * n * k < SMALL;
    if (chunks > 0 && chunks < wanted && !small)
        g.column_parts = seam_min((n + SEAM_STRIP - 1) / SEAM_STRIP, (wanted + chunks - 1) / chunks);
    g.column_parts = g.column_parts < 1 ? 1 : g.column_parts;
    if (small)
        for (int32_t i = 0; i < chunks; i++)
            grouped_task(&g, i, 0);
    else
        seam_pool_run(chunks * g.column_parts, grouped_task, &g);
    return g.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

typedef struct {
    int32_t m, n, column_parts;
    const int32_t *start;
    const float *y, *x;
    float *dw;
    atomic_bool failed;
} GroupedWeights;

static void weights_task(void *data, int32_t task, int32_t lane) {
    GroupedWeights *g = data;
    int32_t group = task / g->column_parts, j = task % g->column_parts;
    int32_t first = g->start[group], rows = g->start[group + 1] - first;
    int32_t left = (int32_t)seam_part(g->n, SEAM_STRIP, g->column_parts, j);
    int32_t right = (int32_t)seam_part(g->n, SEAM_STRIP, g->column_parts, j + 1);
    SeamMatrix y = seam_matrix(true, g->y + (size_t)first * g->m, g->m), x = seam_matrix(false, g->x + (size_t)first * g->n + left, g->n);
    if (!seam_tile_product(g->m, right - left, rows, y, x, true, g->dw + (size_t)group * g->m * g->n + left, g->n))
        atomic_store(&g->failed, true);
}

static SeamStatus grouped_gemm_dw(int32_t groups, const int32_t *start, int32_t m, int32_t n, const float *y, const float *x, float *dw) {
    assert(groups >= 0 && m >= 0 && n >= 0 && (groups == 0 || start[0] == 0));
    GroupedWeights g = {.m = m, .n = n, .column_parts = 1, .start = start, .y = y, .x = x, .dw = dw};
    int32_t strips = (n + SEAM_STRIP - 1) / SEAM_STRIP, wanted = TASKS_A_LANE * seam_pool_lanes();
    if (groups > 0 && groups < wanted && strips > 1)
        g.column_parts = seam_min(strips, (wanted + groups - 1) / groups);
    seam_pool_run(groups * g.column_parts, weights_task, &g);
    return g.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

// ---- biases -----------------------------------------------------------------------------------

typedef struct {
    int32_t n, d, slices;
    const int32_t *start;
    const float *x;
    float *y;
} Rows;

static void bias_rows(const void *job, int64_t from, int64_t to) {
    const Rows *j = job;
    for (int64_t i = from; i < to; i++)
        row_add(j->d, 1, j->x, j->y + i * j->d);
}

static SeamStatus add_bias(int32_t n, int32_t d, const float *bias, float *x) {
    seam_run_ranges(n, seam_row_grain(d), bias_rows, &(Rows){.d = d, .x = bias, .y = x});
    return SEAM_OK;
}

static void bias_groups(const void *job, int64_t from, int64_t to) {
    const Rows *j = job;
    for (int64_t g = from; g < to; g++)
        bias_rows(&(Rows){.d = j->d, .x = j->x + g * j->d, .y = j->y}, j->start[g], j->start[g + 1]);
}

static SeamStatus grouped_add_bias(int32_t groups, const int32_t *start, int32_t d, const float *bias, float *x) {
    seam_run_ranges(groups, 1, bias_groups, &(Rows){.d = d, .start = start, .x = bias, .y = x});
    return SEAM_OK;
}

// sum [d] (+)= the rows of dy [n, d], a few columns at a time in registers.
static void sum_rows(int64_t n, int32_t d, const float *dy, bool add, float *sum) {
    enum { WIDE = 4 };
    for (int32_t c = 0; c < d; c += WIDE * LANES) {
        Vec part[WIDE];
        int lanes[WIDE];
        for (int v = 0; v < WIDE; v++) {
            lanes[v] = d - c - v * LANES < 0 ? 0 : seam_min(LANES, d - c - v * LANES);
            part[v] = vec_set(0);
        }
        for (int64_t i = 0; i < n; i++)
            for (int v = 0; v < WIDE; v++)
                part[v] += vec_load_part(dy + i * d + c + v * LANES, lanes[v]);
        for (int v = 0; v < WIDE; v++) {
            float *to = sum + c + v * LANES;
            if (add)
                part[v] += vec_load_part(to, lanes[v]);
            vec_store_part(to, lanes[v], part[v]);
        }
    }
}

static void sum_slices(const void *job, int64_t from, int64_t to) {
    const Rows *j = job;
    for (int64_t s = from; s < to; s++) {
        int64_t first = seam_part(j->n, 1, j->slices, s);
        sum_rows(seam_part(j->n, 1, j->slices, s + 1) - first, j->d, j->x + first * j->d, false, j->y + s * j->d);
    }
}

// In slices whose number depends on n alone, added in order.
static SeamStatus bias_grad(int32_t n, int32_t d, const float *dy, float *db) {
    Rows j = {.n = n, .d = d, .slices = (int32_t)seam_ceil_div(n, seam_row_grain(d)), .x = dy};
    j.slices = seam_min(j.slices, MOST_SLICES);
    if (j.slices <= 1) {
        sum_rows(n, d, dy, true, db);
        return SEAM_OK;
    }
    j.y = seam_scratch(SEAM_SCRATCH_CALL, (size_t)j.slices * (size_t)d * sizeof *j.y);
    if (!j.y)
        return SEAM_NO_MEMORY;
    seam_run_ranges(j.slices, 1, sum_slices, &j);
    sum_rows(j.slices, d, j.y, true, db);
    return SEAM_OK;
}

static void sum_groups(const void *job, int64_t from, int64_t to) {
    const Rows *j = job;
    for (int64_t g = from; g < to; g++)
        sum_rows(j->start[g + 1] - j->start[g], j->d, j->x + (ptrdiff_t)j->start[g] * j->d, true, j->y + g * j->d);
}

static SeamStatus grouped_bias_grad(int32_t groups, const int32_t *start, int32_t d, const float *dy, float *db) {
    seam_run_ranges(groups, 1, sum_groups, &(Rows){.d = d, .start = start, .x = dy, .y = db});
    return SEAM_OK;
}

static void add_range(const void *job, int64_t from, int64_t to) {
    const Rows *j = job;
    row_add((int32_t)(to - from), 1, j->x + from, j->y + from);
}

static SeamStatus add(size_t n, const float *x, float *y) {
    seam_run_ranges((int64_t)n, SEAM_GRAIN, add_range, &(Rows){.x = x, .y = y});
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_gemm)(SeamKernels *k) {
    k->gemm = gemm;
    k->grouped_gemm = grouped_gemm;
    k->grouped_gemm_dw = grouped_gemm_dw;
    k->add_bias = add_bias;
    k->bias_grad = bias_grad;
    k->grouped_add_bias = grouped_add_bias;
    k->grouped_bias_grad = grouped_bias_grad;
    k->add = add;
}
