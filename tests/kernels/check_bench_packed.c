// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What linear maps and convolutions with packed weights give, in GFLOP/s or GOP/s (2 rows n k a call), beside the f32 products of every call's own packing
// (gemm, grouped_gemm), at the shapes of the small preset (dim 192) and of the architecture's own size (1280 -> 5120), whose weights come from memory in f32
// and bf16 (in int8 four experts are 26 MB, which a large L3 cache holds). One thread, and its processor time, not the clock on the wall: the best of many
// runs, since other programs only add.
#include <stdio.h>
#include <time.h>

#include "tests/kernels/check.h"

enum { TYPES = SEAM_PACK_I8 + 1, most_groups = 16 };

typedef struct {
    int32_t rows, groups, n, k; // rows a group; groups == 1: one matrix
    SeamActivation act;
} Shape;

static const Shape shapes[] = {
    {101, 1, 576, 192, SEAM_ACT_NONE}, {202, 1, 576, 192, SEAM_ACT_NONE},  {101, 1, 192, 192, SEAM_ACT_NONE},  {202, 1, 192, 192, SEAM_ACT_NONE},
    {1600, 1, 768, 768, SEAM_ACT_NONE}, {1, 16, 192, 192, SEAM_ACT_NONE},  {4, 16, 192, 192, SEAM_ACT_NONE},   {16, 16, 192, 192, SEAM_ACT_NONE},
    {25, 16, 192, 192, SEAM_ACT_NONE}, {25, 16, 192, 192, SEAM_ACT_GELU},  {64, 16, 192, 192, SEAM_ACT_NONE},  {1, 4, 5120, 1280, SEAM_ACT_NONE},
    {2, 4, 5120, 1280, SEAM_ACT_NONE}, {4, 4, 5120, 1280, SEAM_ACT_NONE},  {8, 4, 5120, 1280, SEAM_ACT_NONE},  {16, 4, 5120, 1280, SEAM_ACT_NONE},
    {32, 4, 5120, 1280, SEAM_ACT_NONE}, {64, 4, 5120, 1280, SEAM_ACT_NONE},
};

static const SeamConv convs[] = { // the levels of the image embedding at 160 x 160, a first one of colours, and blocks
    {.batch = 1, .h = 160, .w = 160, .in = 1, .out = 24, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 1, .h = 192, .w = 192, .in = 3, .out = 24, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 1, .h = 80, .w = 80, .in = 24, .out = 48, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 1, .h = 40, .w = 40, .in = 48, .out = 96, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 1, .h = 20, .w = 20, .in = 96, .out = 192, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 1, .h = 80, .w = 80, .in = 24, .out = 24, .kernel = 3, .stride = 1, .pad = 1},
    {.batch = 1, .h = 40, .w = 40, .in = 48, .out = 48, .kernel = 3, .stride = 1, .pad = 1},
    {.batch = 1, .h = 20, .w = 20, .in = 96, .out = 96, .kernel = 3, .stride = 1, .pad = 1},
};

typedef struct {
    const Shape *shape;
    const SeamConv *conv; // instead of shape
    const SeamKernels *k;
    float *x, *w, *bias, *y;
    size_t outputs;
    int32_t start[most_groups + 1];
    int type; // SeamPackType, or TYPES: gemm of today
    void *data;
} Bench;

static void run_conv(const Bench *b) {
    const SeamConv *c = b->conv;
    SeamPacked packed = {.type = (SeamPackType)b->type, .groups = 1, .n = c->out, .k = c->kernel * c->kernel * c->in, .data = b->data};
    SeamConvCall call = {.c = *c, .w = &packed, .x = b->x, .bias = b->bias, .y = b->y, .act = SEAM_ACT_GELU};
    if (b->type < TYPES) {
        CHECK_OK(b->k->conv_packed(&call));
        return;
    }
    CHECK_OK(b->k->conv(c, b->x, b->w, b->bias, b->y));
    CHECK_OK(b->k->gelu(b->outputs, b->y, b->y));
}

static void run_once(const Bench *b) {
    const Shape *s = b->shape;
    if (b->conv) {
        run_conv(b);
        return;
    }
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

static float *numbers(size_t n, size_t step) {
    float *x = g_new(float, n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i * step % 2003) / 1001.5f - 1;
    return x;
}

// One row of the table: today's way, then the three types. rows * n * k products, groups matrices [n, k], x_size numbers of x.
static void bench_types(Bench b, size_t rows, int32_t groups, int32_t n, int32_t k, size_t x_size) {
    b.k = seam_kernels_cpu();
    b.x = numbers(x_size, 7919);
    b.w = numbers((size_t)groups * n * k, 6007);
    b.outputs = rows * (size_t)n;
    b.y = g_new0(float, b.outputs);
    b.bias = numbers((size_t)n, 6007);
    for (int i = 0; i <= TYPES; i++) {
        b.type = (i + TYPES) % (TYPES + 1);
        b.data = b.type < TYPES ? g_aligned_alloc0(1, b.k->pack_bytes((SeamPackType)b.type, groups, n, k), 64) : NULL;
        if (b.data)
            b.k->pack((SeamPackType)b.type, groups, n, k, b.w, b.data);
        double best = best_of(&b);
        printf(" %7.1f (%7.1f us)", 2e-9 * (double)rows * n * k / best, 1e6 * best);
        g_aligned_free(b.data);
    }
    putchar('\n');
    g_free(b.x);
    g_free(b.y);
    g_free(b.bias);
    g_free(b.w);
}

static void bench_linear(const Shape *s) {
    Bench b = {.shape = s};
    size_t rows = (size_t)s->rows * s->groups;
    for (int32_t g = 0; g <= s->groups; g++)
        b.start[g] = g * s->rows;
    printf("%5d x %2d %5d -> %4d%s", s->rows, s->groups, s->k, s->n, s->act == SEAM_ACT_GELU ? " gelu" : "     ");
    bench_types(b, rows, s->groups, s->n, s->k, rows * s->k);
}

static void bench_conv(const SeamConv *c) {
    int32_t out_h = (c->h + 2 * c->pad - c->kernel) / c->stride + 1, out_w = (c->w + 2 * c->pad - c->kernel) / c->stride + 1;
    printf("%3d x%3d x%3d -> %3d, stride %d", c->h, c->w, c->in, c->out, c->stride);
    bench_types((Bench){.conv = c}, (size_t)c->batch * out_h * out_w, 1, c->out, c->kernel * c->kernel * c->in, (size_t)c->batch * c->h * c->w * c->in);
}

int check_bench_packed(void) {
    printf("GFLOP/s or GOP/s (and a call)  %-20s %-20s %-20s %-20s\nrows x groups, k -> n\n", "f32 of today", "packed f32", "packed bf16", "packed i8");
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++)
        bench_linear(&shapes[i]);
    printf("convolution, kernel 3, with a bias and a gelu, as stems have them\n");
    for (size_t i = 0; i < G_N_ELEMENTS(convs); i++)
        bench_conv(&convs[i]);
    return 0;
}
