// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What works element by element or row by row: activations, layer norm, the optimiser, conversions.
#include <float.h>

#include "tests/kernels/check.h"

static const double ulp = 0x1p-23;

// Values where an exponential overflows, underflows or loses its digits, and those that no arithmetic likes.
static const float special[] = {0,    -0.0f, 1e-45f, -1e-45f, 1e-39f, FLT_MIN, -FLT_MIN, 1e-10f, 0.5f,    1,        -1,       3,    -3,
                                5,    -5,    8,      -8,      9.5f,   -9.5f,   12,       -12,    20,      -20,      40,       -40,  87,
                                -87,  88.7f, -88.7f, 89,      -89,    103,     -103,     120,    -120,    1e3f,     -1e3f,    1e6f, -1e6f,
                                1e13f, -1e13f, 1e19f, -1e19f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN};

static float *activation_input(size_t n) {
    float *x = check_floats(n, -12, 12);
    for (size_t i = 0; i < n && check_int(0, 1); i++)
        x[i] = special[check_int(0, G_N_ELEMENTS(special) - 1)];
    return x;
}

static void activation_case(size_t n, const float *x) {
    float *dy = check_floats(n, -1, 1);
    CheckOut gelu = check_set(1, n, n), sigmoid = check_set(1, n, n), dx = check_set(1, n, n);
    for (int run = 0; run < CHECK_RUNS; run++) {
        const SeamKernels *k = check_table(run);
        if (run == CHECK_AGAIN) { // in place gives the same bits
            memcpy(gelu.at[run], x, n * sizeof *x);
            memcpy(sigmoid.at[run], x, n * sizeof *x);
            memcpy(dx.at[run], dy, n * sizeof *x);
        }
        CHECK_OK(k->gelu(n, run == CHECK_AGAIN ? gelu.at[run] : x, gelu.at[run]));
        CHECK_OK(k->sigmoid(n, run == CHECK_AGAIN ? sigmoid.at[run] : x, sigmoid.at[run]));
        CHECK_OK(k->gelu_backward(n, x, run == CHECK_AGAIN ? dx.at[run] : dy, dx.at[run]));
    }
    // A few roundings of the exponential's argument, which is at most about 16 where the result is not yet 0 or 1 to f32.
    check_compare("sigmoid", &sigmoid, 8 * ulp, 8 * ulp);
    check_compare("gelu", &gelu, 16 * ulp, 8 * ulp);
    check_compare("gelu_backward", &dx, 32 * ulp, 8 * ulp); // the term with x^3 is a few times 1 where it counts
    check_done();
}

static void test_activations(void) {
    for (int32_t i = 0; i < 200; i++) {
        size_t n = (size_t)check_size(257);
        activation_case(n, activation_input(n));
    }
    activation_case(100003, activation_input(100003));
    float *all = check_block(sizeof special);
    memcpy(all, special, sizeof special);
    activation_case(G_N_ELEMENTS(special), all);
}

// Rows far from 0 lose digits of x - mean: `spread` is |x| rstd at most.
static void norm_case(int32_t n, int32_t d, float offset, float scale) {
    float *x = check_floats((size_t)n * d, offset - scale, offset + scale), *dy = check_floats((size_t)n * d, -1, 1);
    float *weight = check_floats((size_t)d, -2, 2), *bias = check_floats((size_t)d, -1, 1);
    size_t rows = (size_t)n, cols = (size_t)d;
    CheckOut y = check_set(rows, cols, cols), silent = check_set(rows, cols, cols), mean = check_set(1, rows, rows), rstd = check_set(1, rows, rows);
    CheckOut dx = check_add(rows, cols, cols), dweight = check_add(1, cols, cols), dbias = check_add(1, cols, cols);
    for (int run = 0; run < CHECK_RUNS; run++) {
        const SeamKernels *k = check_table(run);
        CHECK_OK(k->layer_norm(n, d, x, weight, bias, y.at[run], mean.at[run], rstd.at[run]));
        CHECK_OK(k->layer_norm(n, d, x, weight, bias, silent.at[run], NULL, NULL));
        CHECK_OK(k->layer_norm_backward(n, d, x, weight, mean.at[CHECK_REF], rstd.at[CHECK_REF], dy, dx.at[run], dweight.at[run],
                                        dbias.at[run]));
    }
    double most = fabs(offset) + scale, largest = 0;
    for (int32_t i = 0; i < n; i++)
        largest = fmax(largest, rstd.at[CHECK_REF][i]);
    double spread = most * largest, hat = fmin(2 * scale * largest, sqrt(d));
    check_compare("layer_norm: mean", &mean, 4 * ulp * most, 0);
    check_compare("layer_norm: rstd", &rstd, 0, 8 * ulp * (1 + d * 0.01) + 1e-12 * spread * spread);
    check_compare("layer_norm", &y, 8 * ulp * (spread + hat + 1), 8 * ulp);
    check_compare("layer_norm, nothing kept", &silent, 8 * ulp * (spread + hat + 1), 8 * ulp);
    check_compare("layer_norm_backward", &dx, 16 * ulp * (1 + largest) * (1 + hat) * (1 + spread), 0);
    check_compare("layer_norm_backward: weight", &dweight, check_sum_tolerance(n, hat + 4 * spread), 0);
    check_compare("layer_norm_backward: bias", &dbias, check_sum_tolerance(n, 1), 0);
    check_done();
}

static void test_layer_norm(void) {
    for (int32_t i = 0; i < 150; i++)
        norm_case(check_size(33), check_size(257), i % 3 == 0 ? 100.0f : 0, i % 4 == 0 ? 1e-4f : 1);
    norm_case(700, 192, 0.5f, 3);
    norm_case(3, 1280, 0, 1);
}

static void test_layer_norm_rows(void) { // a constant row gives the bias, a NaN spoils its own row only
    enum { n = 3, d = 37 };
    float *x = check_floats(n * d, -1, 1), *weight = check_floats(d, -2, 2), *bias = check_floats(d, -1, 1);
    for (int32_t c = 0; c < d; c++)
        x[c] = 4;
    x[d + 20] = NAN;
    CheckOut y = check_set(n, d, d);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->layer_norm(n, d, x, weight, bias, y.at[run], NULL, NULL));
    check_compare("layer_norm", &y, 32 * ulp, 0);
    for (int32_t c = 0; c < d; c++) {
        g_assert_cmpfloat_with_epsilon(y.at[CHECK_REF][c], bias[c], 1e-6);
        g_assert_true(isnan(y.at[CHECK_REF][d + c]) && isfinite(y.at[CHECK_REF][2 * d + c]));
    }
}

static void optimiser_case(size_t n, bool poison) {
    CheckOut w = check_add(1, n, n), m = check_add(1, n, n), v = check_set(1, n, n);
    for (int run = 0; run < CHECK_RUNS; run++)
        memset(v.at[run], 0, n * sizeof(float));
    for (int64_t step = 1; step <= 1000; step *= 10) {
        float *grad = check_floats(n, -1, 1);
        if (poison && n > 0)
            grad[n / 2] = NAN;
        for (int run = 0; run < CHECK_RUNS; run++)
            CHECK_OK(check_table(run)->adamw(n, w.at[run], grad, m.at[run], v.at[run], 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, step));
    }
    check_compare("adamw: m", &m, 8 * ulp, 8 * ulp);
    check_compare("adamw: v", &v, 4 * ulp, 8 * ulp);
    check_compare("adamw: w", &w, 8 * ulp, 8 * ulp); // four steps of about 1e-2 each, their last digits far below those of w
    check_done();
}

static void test_optimiser(void) {
    for (int32_t i = 0; i < 60; i++)
        optimiser_case((size_t)check_size(257), i % 5 == 0);
    optimiser_case(100003, false);
    for (int32_t i = 0; i < 61; i++) {
        size_t n = i == 60 ? 300007 : (size_t)check_size(257);
        float *x = check_floats(n, -1, 1);
        double sum[CHECK_RUNS];
        for (int run = 0; run < CHECK_RUNS; run++)
            CHECK_OK(check_table(run)->sum_squares(n, x, &sum[run]));
        g_assert_true(fabs(sum[CHECK_CPU] - sum[CHECK_REF]) <= (double)n * 0x1p-53 * sum[CHECK_REF]); // in double, in any order
        g_assert_true(sum[CHECK_CPU] == sum[CHECK_AGAIN]);
        check_done();
    }
    float bad[3] = {1, NAN, 1};
    double sum;
    CHECK_OK(seam_kernels_cpu()->sum_squares(3, bad, &sum));
    g_assert_true(isnan(sum));
}

static void normalise_case(size_t pixels, int32_t channels) {
    size_t n = pixels * channels;
    uint8_t *x = check_block(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (uint8_t)check_int(0, 255);
    float *mean = check_floats((size_t)channels, 0, 255), *inverse = check_floats((size_t)channels, 0.003f, 0.03f);
    CheckOut y = check_set(1, n, n);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->normalise_u8(pixels, channels, x, mean, inverse, y.at[run]));
    check_compare("normalise_u8", &y, 255 * 0.03 * ulp, ulp); // x * s - mean * s has the rounding of its terms
    check_done();
}

static void test_normalise(void) {
    for (int32_t i = 0; i < 80; i++)
        normalise_case((size_t)check_size(257), check_int(0, 5));
    normalise_case(70001, 3);
}

// From halves and to halves every result is defined to the bit, but for the payload of a NaN.
static void to_float_case(size_t n, const uint16_t *half) {
    CheckOut y = check_set(1, n, n);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->f16_to_f32(n, half, y.at[run]));
    for (size_t i = 0; i < n; i++) {
        float ref = y.at[CHECK_REF][i], cpu = y.at[CHECK_CPU][i];
        g_assert_true(isnan(ref) ? isnan(cpu) : memcmp(&ref, &cpu, sizeof ref) == 0);
    }
}

static bool half_is_nan(uint16_t half) {
    return (half & 0x7fff) > 0x7c00;
}

static void to_half_case(size_t n, const float *x) {
    uint16_t *y[CHECK_RUNS];
    for (int run = 0; run < CHECK_RUNS; run++) {
        y[run] = check_block(n * sizeof **y);
        CHECK_OK(check_table(run)->f32_to_f16(n, x, y[run]));
    }
    for (size_t i = 0; i < n; i++)
        if (half_is_nan(y[CHECK_REF][i]) ? !half_is_nan(y[CHECK_CPU][i]) : y[CHECK_CPU][i] != y[CHECK_REF][i])
            g_error("f32_to_f16: %.9g becomes %04x, ref says %04x", x[i], y[CHECK_CPU][i], y[CHECK_REF][i]);
}

static void test_half(void) {
    enum { halves = 65536 };
    uint16_t *half = check_block(halves * sizeof *half);
    for (int32_t i = 0; i < halves; i++)
        half[i] = (uint16_t)i;
    for (size_t n = 0; n < 40; n++)
        to_float_case(n, half + 2 * n);
    to_float_case(halves, half);

    float *exact = check_block(halves * sizeof *exact), *border = check_block(4 * (size_t)halves * sizeof *border);
    CHECK_OK(seam_kernels_ref()->f16_to_f32(halves, half, exact));
    for (int32_t i = 0; i < halves; i++) {
        float middle = (exact[i] + exact[(i + 1) % halves]) / 2;
        border[4 * i] = exact[i];
        border[4 * i + 1] = middle;
        border[4 * i + 2] = nextafterf(middle, INFINITY);
        border[4 * i + 3] = nextafterf(middle, -INFINITY);
    }
    to_half_case(4 * (size_t)halves, border);
    for (size_t n = 0; n < 40; n++)
        to_half_case(n, border + 5 * n);
    float *any = check_block(100003 * sizeof *any);
    for (int32_t i = 0; i < 100003; i++) {
        uint32_t bits = (uint32_t)check_int(0, 65535) << 16 | (uint32_t)check_int(0, 65535);
        memcpy(any + i, &bits, sizeof bits);
    }
    to_half_case(100003, any);
}

static const CheckTest tests[] = {
    {"/kernels/element/activations", test_activations}, {"/kernels/element/layer-norm", test_layer_norm},
    {"/kernels/element/layer-norm-rows", test_layer_norm_rows}, {"/kernels/element/optimiser", test_optimiser},
    {"/kernels/element/normalise", test_normalise}, {"/kernels/element/half", test_half},
};

void check_element_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
