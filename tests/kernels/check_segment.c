// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What moves and mixes rows: gather and combine after a sort, softmax pooling of segments, bags of table rows. Inputs in [-1, 1].
#include "tests/kernels/check.h"

// A random permutation of 0 .. n - 1.
static int32_t *permutation(int32_t n) {
    int32_t *p = check_zeros((size_t)n);
    for (int32_t i = 0; i < n; i++) {
        int32_t j = check_int(0, i);
        p[i] = p[j];
        p[j] = i;
    }
    return p;
}

static void combine_case(int32_t n, int32_t top_k, int32_t d, float poison) {
    size_t rows = (size_t)n * top_k, width = (size_t)d;
    int32_t *position = permutation(n * top_k), *source = check_zeros(rows);
    for (size_t c = 0; c < rows; c++)
        source[position[c]] = (int32_t)(c / (size_t)top_k);
    float *x = check_floats((size_t)n * d, -1, 1), *y = check_floats(rows * d, -1, 1), *gate = check_floats(rows, 0, 1);
    if (poison != 0 && rows * d > 0)
        x[0] = y[rows * d / 2] = poison;
    CheckOut gathered = check_set(rows, width, width), dx = check_set((size_t)n, width, width), out = check_add((size_t)n, width, width);
    CheckOut dy = check_set(rows, width, width), dgate = check_set(1, rows, rows);
    for (int run = 0; run < CHECK_RUNS; run++) {
        const SeamKernels *k = check_table(run);
        CHECK_OK(k->gather((int32_t)rows, d, source, x, gathered.at[run]));
        CHECK_OK(k->gather_backward(n, top_k, d, position, y, dx.at[run]));
        CHECK_OK(k->combine(n, top_k, d, position, gate, y, out.at[run]));
        CHECK_OK(k->combine_backward(n, top_k, d, position, gate, y, x, dy.at[run], dgate.at[run]));
    }
    check_compare("gather", &gathered, 0, 0);
    check_compare("gather_backward", &dx, check_sum_tolerance(top_k, 1), 0);
    check_compare("combine", &out, check_sum_tolerance(top_k, 1), 0);
    check_compare("combine_backward", &dy, 0, 0); // one product
    check_compare("combine_backward: gate", &dgate, check_sum_tolerance(d, 1), 0);
    check_done();
}

// Tokens with fewer rows than top_k: the rest of their positions is -1, and what stands in their gates is not read.
static void fewer_case(int32_t n, int32_t top_k, int32_t d) {
    size_t places = (size_t)n * top_k, width = (size_t)d;
    int32_t *position = check_zeros(places), rows = 0;
    float *gate = check_floats(places, 0, 1);
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0, kept = check_int(1, top_k); j < top_k; j++) {
            position[(size_t)i * top_k + j] = j < kept ? rows++ : -1;
            if (j >= kept)
                gate[(size_t)i * top_k + j] = NAN;
        }
    float *y = check_floats((size_t)rows * d, -1, 1);
    CheckOut out = check_add((size_t)n, width, width);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->combine(n, top_k, d, position, gate, y, out.at[run]));
    check_compare("combine of fewer", &out, check_sum_tolerance(top_k, 1), 0);
    check_done();
}

static void test_fewer(void) {
    for (int32_t i = 0; i < 60; i++)
        fewer_case(check_size(64), check_int(1, 5), check_size(257));
}

static void test_combine(void) {
    for (int32_t i = 0; i < 120; i++)
        combine_case(check_size(64), check_int(0, 5), check_size(257), i % 6 ? 0 : NAN);
    combine_case(900, 4, 192, 0);
}

// Scores up to `steep`: their rounding is the relative error of the weights.
static void pool_case(int32_t segments, int32_t most, int32_t d, float steep, float poison) {
    int32_t *start = check_starts(segments, most);
    size_t n = (size_t)start[segments], width = (size_t)d;
    float *x = check_floats(n * d, -1, 1), *score = check_floats(n, -steep, steep), *dout = check_floats((size_t)segments * d, -1, 1);
    if (poison != 0 && n > 0)
        score[n / 2] = poison;
    CheckOut weight = check_set(1, n, n), out = check_set((size_t)segments, width, width);
    CheckOut dx = check_add(n, width, width), dscore = check_set(1, n, n);
    for (int run = 0; run < CHECK_RUNS; run++) {
        const SeamKernels *k = check_table(run);
        CHECK_OK(k->pool(segments, start, d, x, score, weight.at[run], out.at[run]));
        CHECK_OK(k->pool_backward(segments, start, d, x, weight.at[CHECK_REF], out.at[CHECK_REF], dout, dx.at[run], dscore.at[run]));
    }
    double rounding = check_sum_tolerance(8 + 2 * (int64_t)steep, 1);
    check_compare("pool: weight", &weight, rounding, 0);
    check_compare("pool", &out, 2 * rounding, 0);
    check_compare("pool_backward", &dx, check_sum_tolerance(2, 1), 0);
    check_compare("pool_backward: score", &dscore, check_sum_tolerance(d, 2), 0);
    check_done();
}

static void test_pool(void) {
    for (int32_t i = 0; i < 120; i++)
        pool_case(check_int(0, 8), check_int(1, 60), check_size(257), i % 4 ? 3 : 1000, i % 5 ? 0 : NAN);
    pool_case(2, 3000, 192, 5, 0);
    pool_case(4, 5, 8, 5, INFINITY);
}

static void bag_case(int32_t bags, int32_t most, int32_t rows, int32_t d, float poison) {
    int32_t *start = check_starts(bags, most), *ids = check_zeros((size_t)start[bags]);
    for (int32_t i = 0; i < start[bags]; i++)
        ids[i] = check_int(0, rows - 1);
    float *table = check_floats((size_t)rows * d, -1, 1), *dout = check_floats((size_t)bags * d, -1, 1);
    if (poison != 0 && d > 0)
        table[0] = poison;
    CheckOut out = check_set((size_t)bags, (size_t)d, (size_t)d), dtable = check_add((size_t)rows, (size_t)d, (size_t)d);
    for (int run = 0; run < CHECK_RUNS; run++) {
        CHECK_OK(check_table(run)->embed_bag(bags, start, ids, d, table, out.at[run]));
        CHECK_OK(check_table(run)->embed_bag_backward(bags, start, ids, d, dout, dtable.at[run]));
    }
    check_compare("embed_bag", &out, check_sum_tolerance(most, 1), 0);
    check_compare("embed_bag_backward", &dtable, check_sum_tolerance(start[bags], 1), 1e-6);
    check_done();
}

static void test_bags(void) {
    for (int32_t i = 0; i < 120; i++)
        bag_case(check_int(0, 12), check_int(1, 20), check_int(1, 40), check_size(257), i % 5 ? 0 : NAN);
    bag_case(40, 300, 4096, 96, 0);
}

static const CheckTest tests[] = {
    {"/kernels/rows/combine", test_combine},
    {"/kernels/rows/fewer", test_fewer},
    {"/kernels/rows/pool", test_pool},
    {"/kernels/rows/bags", test_bags},
};

void check_segment_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
