// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What each operation costs, ref and cpu side by side, at the shapes of the small preset (a frame of 197 tokens, training steps of several).
// The best of some runs, in microseconds: the machine's noise only adds.
#include <stdio.h>

#include "tests/kernels/check.h"

enum { n = 197, dim = 192, heads = 6, experts = 16, top_k = 4, rows = n * top_k, size = 1 << 20, pixels = 224 * 224 };

static float *a, *b, *c, *d, *e, *f, *g; // [size] each, the last four written
static int32_t seq_start[2] = {0, n}, group_start[experts + 1], index_[rows], position[rows], source[rows];
static uint16_t *half;
static float half_steps[n * heads];
static const SeamRoute route = {.n = n, .experts = experts, .groups = 4, .groups_kept = 2, .top_k = top_k};
static const SeamConv conv = {.batch = 1, .h = 56, .w = 56, .in = 48, .out = 96, .kernel = 3, .stride = 2, .pad = 1};
static SeamAttention attention = {.ld = 3 * dim, .gate_threshold = 0.05f, .scale = 0.1768f, .n = n, .heads = heads, .head_dim = dim / heads,
                                  .seq_start = seq_start, .seqs = 1};

static SeamScan scan = {.ld = dim + 32, .n = n, .heads = heads, .head_dim = dim / heads, .state = 16, .seq_start = seq_start, .seqs = 1};

static double seconds_of(const SeamKernels *k, void (*run)(const SeamKernels *k)) {
    double best = INFINITY, total = 0;
    run(k);
    for (int32_t i = 0; i < 3 || (total < 0.05 && i < 1000); i++) {
        gint64 from = g_get_monotonic_time();
        int32_t repeats = 0;
        do {
            run(k);
            repeats++;
        } while (g_get_monotonic_time() - from < 500);
        double seconds = (double)(g_get_monotonic_time() - from) * 1e-6;
        best = fmin(best, seconds / repeats);
        total += seconds;
    }
    return best;
}

#define BENCH(name, call)                                                                                                                  \
    static void bench_##name(const SeamKernels *k) {                                                                                       \
        CHECK_OK(k->call);                                                                                                                 \
    }
BENCH(gemm, gemm(false, true, n, 3 * dim, dim, a, dim, b, dim, 0, d, 3 * dim))
BENCH(grouped_gemm, grouped_gemm(true, experts, group_start, dim, dim, a, b, d))
BENCH(grouped_gemm_dw, grouped_gemm_dw(experts, group_start, dim, dim, a, b, d))
BENCH(add_bias, add_bias(n, 3 * dim, a, d))
BENCH(bias_grad, bias_grad(n, 3 * dim, a, d))
BENCH(grouped_add_bias, grouped_add_bias(experts, group_start, dim, a, d))
BENCH(grouped_bias_grad, grouped_bias_grad(experts, group_start, dim, a, d))
BENCH(add, add(n * dim, a, d))
BENCH(gelu, gelu(rows * dim, a, d))
BENCH(gelu_backward, gelu_backward(rows * dim, a, b, d))
BENCH(sigmoid, sigmoid(n * heads, a, d))
BENCH(layer_norm, layer_norm(n, dim, a, b, c, d, e, f))
BENCH(layer_norm_backward, layer_norm_backward(n, dim, a, b, c, c, b, d, e, f))
BENCH(attention, attention(&attention, d, e))
BENCH(attention_backward, attention_backward(&attention, c, c, b, d, e, f, g))
BENCH(scan, scan(&scan, d, NULL))
BENCH(scan_backward, scan_backward(&scan, c, d, e, f, g, g + size / 2, g + size / 2 + heads))
BENCH(route, route(&route, a, b, d, index_, e))
BENCH(route_backward, route_backward(&route, a, index_, b, c, b, d))
BENCH(route_sort, route_sort(&route, index_, group_start, position, source))
BENCH(gather, gather(rows, dim, source, a, d))
BENCH(gather_backward, gather_backward(n, top_k, dim, position, a, d))
BENCH(combine, combine(n, top_k, dim, position, b, a, d))
BENCH(combine_backward, combine_backward(n, top_k, dim, position, b, a, c, d, e))
BENCH(pool, pool(1, seq_start, dim, a, b, d, e))
BENCH(pool_backward, pool_backward(1, seq_start, dim, a, b, c, a, d, e))
BENCH(embed_bag, embed_bag(experts, group_start, source, dim, a, d))
BENCH(embed_bag_backward, embed_bag_backward(experts, group_start, source, dim, a, d))
BENCH(conv, conv(&conv, a, b, c, d))
BENCH(conv_backward_data, conv_backward_data(&conv, b, a, d))
BENCH(conv_backward_weights, conv_backward_weights(&conv, a, b, d, e))
BENCH(normalise_u8, normalise_u8(pixels, 3, (const uint8_t *)half, a, b, d))
BENCH(distances, distances(n, 1000, dim, a, b, d))
BENCH(adamw, adamw(size, d, a, e, f, 1e-9f, 0.9f, 0.999f, 1e-8f, 0, 1000))
BENCH(f16_to_f32, f16_to_f32(size, half, d))
BENCH(f32_to_f16, f32_to_f16(size, a, half))
#undef BENCH

static void bench_sum_squares(const SeamKernels *k) {
    double sum;
    CHECK_OK(k->sum_squares(size, a, &sum));
}

static const struct {
    const char *name;
    void (*run)(const SeamKernels *k);
} benches[] = {
#define ROW(name) {#name, bench_##name}
    ROW(route), ROW(route_sort), ROW(route_backward), // first: they fill the choices that others read
    ROW(gemm), ROW(grouped_gemm), ROW(grouped_gemm_dw), ROW(add_bias), ROW(bias_grad), ROW(grouped_add_bias), ROW(grouped_bias_grad), ROW(add),
    ROW(gelu), ROW(gelu_backward), ROW(sigmoid), ROW(layer_norm), ROW(layer_norm_backward), ROW(attention), ROW(attention_backward),
    ROW(scan), ROW(scan_backward), ROW(gather), ROW(gather_backward), ROW(combine), ROW(combine_backward), ROW(pool), ROW(pool_backward), ROW(embed_bag), ROW(embed_bag_backward),
    ROW(conv), ROW(conv_backward_data), ROW(conv_backward_weights), ROW(normalise_u8), ROW(distances), ROW(adamw), ROW(sum_squares),
    ROW(f32_to_f16), ROW(f16_to_f32),
#undef ROW
};

static const char *implementation(const char *name) {
    size_t count;
    const SeamKernelChoice *choice = seam_kernels_cpu_choices(&count);
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(choice[i].operation, name))
            return choice[i].implementation;
    return "?";
}

int check_bench(void) {
    float **all[] = {&a, &b, &c, &d, &e, &f, &g};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        *all[i] = g_new(float, size);
        for (int32_t j = 0; j < size; j++)
            (*all[i])[j] = (float)(j % 2003 * 7919 % 2003) / 1001.5f - 1;
    }
    half = g_new0(uint16_t, size);
    for (int32_t i = 0; i < n * heads; i++)
        half_steps[i] = 0.5f;
    attention.q = a;
    attention.k = a + dim;
    attention.v = a + 2 * dim;
    scan.x = a;
    scan.b = a + dim;
    scan.c = a + dim + 16;
    scan.step = scan.rate = scan.skip = half_steps;
    printf("%-22s %12s %12s %8s  %s\n", "operation", "ref us", "cpu us", "ratio", "implementation");
    for (size_t i = 0; i < G_N_ELEMENTS(benches); i++) {
        double ref = seconds_of(seam_kernels_ref(), benches[i].run), cpu = seconds_of(seam_kernels_cpu(), benches[i].run);
        printf("%-22s %12.2f %12.2f %8.1f  %s\n", benches[i].name, ref * 1e6, cpu * 1e6, ref / cpu, implementation(benches[i].name));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(*all[i]);
    g_free(half);
    return 0;
}
