// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Matrix products, one or one a group, biases, distances. Inputs in [-1, 1]: a product is at most 1, so check_sum_tolerance counts terms.
#include "tests/kernels/check.h"

// [rows, cols], the space between rows NaN.
static float *matrix(int32_t rows, int32_t cols, int32_t ld) {
    float *x = check_block(rows > 0 ? ((size_t)(rows - 1) * ld + cols) * sizeof *x : 0);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < cols; c++)
            x[(size_t)r * ld + c] = check_float(-1, 1);
    return x;
}

typedef struct {
    bool ta, tb, add;
    int32_t m, n, k, slack;
    float poison; // unless 0, into the first element of a and of b
} Gemm;

static void gemm_case(Gemm g) {
    int32_t a_rows = g.ta ? g.k : g.m, a_cols = g.ta ? g.m : g.k, b_rows = g.tb ? g.n : g.k, b_cols = g.tb ? g.k : g.n;
    int32_t lda = a_cols + g.slack, ldb = b_cols + g.slack, ldc = g.n + g.slack;
    float *a = matrix(a_rows, a_cols, lda), *b = matrix(b_rows, b_cols, ldb);
    if (g.poison != 0)
        a[0] = b[0] = g.poison;
    CheckOut c = (g.add ? check_add : check_set)((size_t)g.m, (size_t)g.n, (size_t)ldc);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->gemm(g.ta, g.tb, g.m, g.n, g.k, a, lda, b, ldb, g.add, c.at[run], ldc));
    check_compare("gemm", &c, check_sum_tolerance(g.k, 1), 0);
    check_done();
}

static Gemm gemm_kind(int32_t i) {
    return (Gemm){.ta = i & 1, .tb = i >> 1 & 1, .add = i >> 2 & 1};
}

static void test_gemm(void) {
    for (int32_t i = 0; i < 320; i++) {
        Gemm g = gemm_kind(i);
        g.m = check_size(129);
        g.n = check_size(129);
        g.k = check_size(129);
        g.slack = check_int(0, 1) * check_int(1, 5);
        gemm_case(g);
    }
}

// One dimension at a time far larger than any block, so that every loop over blocks turns more than once and ends in a part.
static void test_gemm_large(void) {
    for (int32_t i = 0; i < 8; i++)
        for (int32_t large = 0; large < 3; large++) {
            Gemm g = gemm_kind(i);
            g.m = large == 0 ? 1031 : 37;
            g.n = large == 1 ? 1543 : 41;
            g.k = large == 2 ? 2311 : 29;
            gemm_case(g);
        }
    for (int32_t i = 0; i < 8; i++) {
        Gemm g = gemm_kind(i);
        g.m = 197;
        g.n = 283;
        g.k = 391;
        gemm_case(g);
    }
}

// Weight gradients of many rows, which oneDNN may do.
static void test_gemm_deep(void) {
    static const float poisons[] = {0, NAN, INFINITY};
    for (int32_t i = 0; i < 12; i++)
        gemm_case((Gemm){.ta = true, .add = i & 1, .m = 101 + 99 * (i & 1), .n = 77, .k = 2049 + i, .slack = i >> 1 & 1, .poison = poisons[i / 4]});
}

static void test_gemm_not_finite(void) {
    static const float poisons[] = {NAN, INFINITY, -INFINITY};
    for (int32_t i = 0; i < 96; i++) {
        Gemm g = gemm_kind(i);
        g.m = check_int(1, 40);
        g.n = check_int(1, 40);
        g.k = check_int(1, 40);
        g.poison = poisons[i % 3];
        gemm_case(g);
    }
}

static void grouped_case(int32_t groups, int32_t most, int32_t n, int32_t k) {
    int32_t *start = check_starts(groups, most);
    size_t rows = (size_t)start[groups];
    float *a = check_floats(rows * k, -1, 1), *b = check_floats((size_t)groups * n * k, -1, 1), *y = check_floats(rows * n, -1, 1);
    for (int tb = 0; tb < 2; tb++) {
        CheckOut c = check_set(rows, (size_t)n, (size_t)n);
        for (int run = 0; run < CHECK_RUNS; run++)
            CHECK_OK(check_table(run)->grouped_gemm(tb, groups, start, n, k, a, b, c.at[run]));
        check_compare("grouped_gemm", &c, check_sum_tolerance(k, 1), 0);
    }
    CheckOut dw = check_add((size_t)groups * n, (size_t)k, (size_t)k);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->grouped_gemm_dw(groups, start, n, k, y, a, dw.at[run]));
    check_compare("grouped_gemm_dw", &dw, check_sum_tolerance(most, 1), 0);
    check_done();
}

static void test_grouped(void) {
    for (int32_t i = 0; i < 100; i++)
        grouped_case(check_int(0, 9), check_int(1, 70), check_size(100), check_size(100));
    grouped_case(16, 300, 192, 192);
    grouped_case(3, 5, 1040, 700);
}

static void bias_case(int32_t groups, int32_t most, int32_t d) {
    int32_t *start = check_starts(groups, most), n = start[groups];
    float *bias = check_floats((size_t)groups * d, -1, 1), *dy = check_floats((size_t)n * d, -1, 1);
    CheckOut x = check_add((size_t)n, (size_t)d, (size_t)d), db = check_add((size_t)groups, (size_t)d, (size_t)d);
    for (int run = 0; run < CHECK_RUNS; run++) {
        CHECK_OK(check_table(run)->grouped_add_bias(groups, start, d, bias, x.at[run]));
        CHECK_OK(check_table(run)->grouped_bias_grad(groups, start, d, dy, db.at[run]));
        if (groups == 0)
            continue;
        CHECK_OK(check_table(run)->add_bias(n, d, bias, x.at[run]));
        CHECK_OK(check_table(run)->bias_grad(n, d, dy, db.at[run]));
        CHECK_OK(check_table(run)->add((size_t)n * d, dy, x.at[run]));
    }
    check_compare("add_bias, grouped_add_bias, add", &x, 0, 0); // three additions in the same order: the same bits
    check_compare("bias_grad, grouped_bias_grad", &db, check_sum_tolerance(2 * n, 1), 0);
    check_done();
}

static void test_biases(void) {
    for (int32_t i = 0; i < 100; i++)
        bias_case(check_int(0, 9), check_int(1, 40), check_size(257));
    bias_case(16, 600, 100);
}

// cpu may take |a|^2 + |b|^2 - 2 a.b, whose error counts the largest of its terms.
static void distances_case(int32_t n, int32_t m, int32_t d) {
    float *a = check_floats((size_t)n * d, -1, 1), *b = check_floats((size_t)m * d, -1, 1);
    if (n > 0 && m > 0)
        memcpy(b, a, (size_t)d * sizeof *a);
    if (n > 2 && m > 2 && d > 0)
        a[d] = b[2 * d] = NAN;
    CheckOut dist = check_set((size_t)n, (size_t)m, (size_t)m);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->distances(n, m, d, a, b, dist.at[run]));
    check_compare("distances", &dist, check_sum_tolerance(4 * d, 1), 0);
    for (size_t i = 0; i < (size_t)n * m; i++)
        g_assert_false(dist.at[CHECK_CPU][i] < 0);
    check_done();
}

static void test_distances(void) {
    for (int32_t i = 0; i < 120; i++)
        distances_case(check_size(65), check_size(129), check_size(200));
    distances_case(7, 1500, 192);
}

static const CheckTest tests[] = {
    {"/kernels/gemm/shapes", test_gemm},
    {"/kernels/gemm/large", test_gemm_large},
    {"/kernels/gemm/deep", test_gemm_deep},
    {"/kernels/gemm/not-finite", test_gemm_not_finite},
    {"/kernels/gemm/grouped", test_grouped},
    {"/kernels/gemm/biases", test_biases},
    {"/kernels/gemm/distances", test_distances},
};

void check_linear_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
