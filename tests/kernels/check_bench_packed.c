// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What linear maps with packed weights give, in GFLOP/s or GOP/s (2 rows n k a call), beside the f32 products of every call's own packing (gemm, grouped_gemm), at the shapes
// of the small preset (dim 192) and of the architecture's own size (1280 -> 5120), whose weights are more than any cache holds. One thread, and its processor time, not the
// clock on the wall: the best of many runs, since other programs only add.
#include <stdio.h>
#include <time.h>

#include "tests/kernels/check.h"

enum { TYPES = SEAM_PACK_I8 + 1, most_groups = 16 };

typedef struct {
    int32_t rows, groups, n, k; // rows a group; groups == 1: one matrix
    SeamActivation act;
} Shape;

static const Shape shapes[] = {
    {101, 1, 576, 192, SEAM_ACT_NONE}, {202, 1, 576, 192, SEAM_ACT_NONE}, {101, 1, 192, 192, SEAM_ACT_NONE}, {202, 1, 192, 192, SEAM_ACT_NONE},
    {1600, 1, 768, 768, SEAM_ACT_NONE}, {1, 16, 192, 192, SEAM_ACT_NONE}, {4, 16, 192, 192, SEAM_ACT_NONE}, {16, 16, 192, 192, SEAM_ACT_NONE},
    {25, 16, 192, 192, SEAM_ACT_NONE}, {25, 16, 192, 192, SEAM_ACT_GELU}, {64, 16, 192, 192, SEAM_ACT_NONE}, {1, 4, 5120, 1280, SEAM_ACT_NONE}, {2, 4, 5120, 1280, SEAM_ACT_NONE},
    {4, 4, 5120, 1280, SEAM_ACT_NONE}, {8, 4, 5120, 1280, SEAM_ACT_NONE}, {16, 4, 5120, 1280, SEAM_ACT_NONE}, {32, 4, 5120, 1280, SEAM_ACT_NONE}, {64, 4, 5120, 1280, SEAM_ACT_NONE},
};

typedef struct {
    const Shape *shape;
    const SeamKernels *k;
    float *x, *w, *y;
    int32_t start[most_groups + 1];
    int type; // SeamPackType, or TYPES: gemm of today
    void *data;
} Bench;

static void run_once(const Bench *b) {
    const Shape *s = b->shape;
    int32_t rows = s->rows * s->groups;
    SeamPacked packed = {.type = (SeamPackType)b->type, .groups = s->groups, .n = s->n, .k = s->k, .data = b->data};
    SeamLinearCall call = {.w = &packed, .rows = rows, .x_rows = rows, .start = b->start, .x = b->x, .y = b->y, .ldx = s->k, .ldy = s->n, .act = s->act};
    if (b->type < TYPES)
        CHECK_OK(b->k->linear(&call));
    else if (s->groups == 1)
        CHECK_OK(b->k->gemm(false, true, rows, s->n, s->k, b->x, s->k, b->w, s->k, 0, b->y, s->n));
    else
        CHECK_OK(b->k->grouped_gemm(true, s->groups, b->start, s->n, s->k, b->x, b->w, b->y));
    if (b->type == TYPES && s->act == SEAM_ACT_GELU)
        CHECK_OK(b->k->gelu((size_t)rows * s->n, b->y, b->y));
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Seconds a call: the best of samples of about 200 us.
static double best_of(const Bench *b) {
    double best = INFINITY, begin = seconds();
    run_once(b);
    for (int32_t i = 0; i < 5 || seconds() - begin < 0.15; i++) {
        double from = seconds();
        int32_t repeats = 0;
        do {
            run_once(b);
            repeats++;
        } while (seconds() - from < 200e-6);
        best = fmin(best, (seconds() - from) / repeats);
    }
    return best;
}

static void bench_shape(const SeamKernels *k, const Shape *s) {
    Bench b = {.shape = s, .k = k};
    size_t rows = (size_t)s->rows * s->groups, weights = (size_t)s->groups * s->n * s->k;
    b.x = g_new(float, rows * s->k);
    b.y = g_new0(float, rows * s->n);
    b.w = g_new(float, weights);
    for (size_t i = 0; i < rows * s->k; i++)
        b.x[i] = (float)(i * 7919 % 2003) / 1001.5f - 1;
    for (size_t i = 0; i < weights; i++)
        b.w[i] = (float)(i * 6007 % 2003) / 1001.5f - 1;
    for (int32_t g = 0; g <= s->groups; g++)
        b.start[g] = g * s->rows;
    printf("%5d x %2d %5d -> %4d%s", s->rows, s->groups, s->k, s->n, s->act == SEAM_ACT_GELU ? " gelu" : "     ");
    for (b.type = 0; b.type <= TYPES; b.type++) {
        int type = (b.type + TYPES) % (TYPES + 1); // today's first
        Bench one = b;
        one.type = type;
        if (type < TYPES) {
            one.data = g_aligned_alloc0(1, k->pack_bytes((SeamPackType)type, s->groups, s->n, s->k), 64);
            k->pack((SeamPackType)type, s->groups, s->n, s->k, b.w, one.data);
        }
        printf(" %9.1f", 2e-9 * (double)rows * s->n * s->k / best_of(&one));
        if (type < TYPES)
            g_aligned_free(one.data);
    }
    putchar('\n');
    g_free(b.x);
    g_free(b.y);
    g_free(b.w);
}

int check_bench_packed(void) {
    printf("%-28s %9s %9s %9s %9s   GFLOP/s or GOP/s\n", "rows x groups, k -> n", "gemm f32", "f32", "bf16", "i8");
    for (size_t i = g_getenv("FROM") ? atoi(g_getenv("FROM")) : 0; i < G_N_ELEMENTS(shapes); i++)
        bench_shape(seam_kernels_cpu(), &shapes[i]);
    return 0;
}
