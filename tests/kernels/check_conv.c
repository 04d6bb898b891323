// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Convolution and its gradients over odd pictures, kernels, strides and margins. Inputs in [-1, 1].
#include "tests/kernels/check.h"

static int32_t out_size(const SeamConv *c, int32_t size) {
    return (size + 2 * c->pad - c->kernel) / c->stride + 1;
}

// A gradient that is not finite goes into pictures without a margin only: whether 0 from outside times it counts is left open.
static void conv_case(const SeamConv *c, float poison) {
    size_t x_size = (size_t)c->batch * c->h * c->w * c->in, taps = (size_t)c->kernel * c->kernel * c->in;
    size_t pixels = (size_t)c->batch * out_size(c, c->h) * out_size(c, c->w), out = (size_t)c->out;
    float *x = check_floats(x_size, -1, 1), *w = check_floats(out * taps, -1, 1), *bias = check_floats(out, -1, 1);
    float *dy = check_floats(pixels * out, -1, 1);
    if (poison != 0 && x_size > 0)
        x[x_size / 2] = poison;
    if (poison != 0 && c->pad == 0 && pixels * out > 0)
        dy[pixels * out / 2] = poison;
    CheckOut y = check_set(pixels, out, out), plain = check_set(pixels, out, out), dw = check_add(out, taps, taps);
    CheckOut dx = check_set(1, x_size, x_size), db = check_add(1, out, out);
    for (int run = 0; run < CHECK_RUNS; run++) {
        const SeamKernels *k = check_table(run);
        CHECK_OK(k->conv(c, x, w, bias, y.at[run]));
        CHECK_OK(k->conv(c, x, w, NULL, plain.at[run]));
        CHECK_OK(k->conv_backward_data(c, w, dy, dx.at[run]));
        CHECK_OK(k->conv_backward_weights(c, x, dy, dw.at[run], db.at[run]));
    }
    double tolerance = check_sum_tolerance((int64_t)taps, 1);
    check_compare("conv", &y, tolerance, 0);
    check_compare("conv without bias", &plain, tolerance, 0);
    check_compare("conv_backward_data", &dx, check_sum_tolerance((int64_t)c->kernel * c->kernel * c->out, 1), 0);
    check_compare("conv_backward_weights", &dw, check_sum_tolerance((int64_t)pixels, 1), 0);
    check_compare("conv_backward_weights: bias", &db, check_sum_tolerance((int64_t)pixels, 1), 0);
    check_done();
}

static SeamConv random_conv(void) {
    static const int32_t channels[] = {1, 2, 3, 4, 7, 8, 13, 16, 17, 24, 32, 40};
    SeamConv c = {.batch = check_int(1, 3), .kernel = check_int(1, 5), .stride = check_int(1, 4), .pad = check_int(0, 2)};
    do {
        c.h = check_int(1, 20);
        c.w = check_int(1, 20);
    } while (c.h + 2 * c.pad < c.kernel || c.w + 2 * c.pad < c.kernel);
    c.in = channels[check_int(0, G_N_ELEMENTS(channels) - 1)];
    c.out = channels[check_int(0, G_N_ELEMENTS(channels) - 1)];
    return c;
}

static void test_shapes(void) {
    for (int32_t i = 0; i < 150; i++) {
        SeamConv c = random_conv();
        conv_case(&c, 0);
    }
}

static void test_model(void) { // the levels of the image embedding, a smaller picture
    conv_case(&(SeamConv){.batch = 2, .h = 56, .w = 56, .in = 3, .out = 24, .kernel = 3, .stride = 2, .pad = 1}, 0);
    conv_case(&(SeamConv){.batch = 1, .h = 28, .w = 28, .in = 48, .out = 96, .kernel = 3, .stride = 2, .pad = 1}, 0);
    conv_case(&(SeamConv){.batch = 1, .h = 14, .w = 14, .in = 96, .out = 192, .kernel = 3, .stride = 2, .pad = 1}, 0);
    conv_case(&(SeamConv){.batch = 1, .h = 9, .w = 9, .in = 300, .out = 270, .kernel = 2, .stride = 1, .pad = 1}, 0);
}

// Large enough for oneDNN: batches that fill the lanes, leave some idle (cut into bands of rows) and do not divide by them; sizes that the
// stride does not divide; margins wider than needed and none.
static const SeamConv large[] = {
    {.batch = 1, .h = 64, .w = 48, .in = 1, .out = 24, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 5, .h = 51, .w = 64, .in = 3, .out = 24, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 18, .h = 40, .w = 40, .in = 3, .out = 20, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 4, .h = 30, .w = 31, .in = 24, .out = 48, .kernel = 3, .stride = 2, .pad = 1},
    {.batch = 3, .h = 25, .w = 20, .in = 17, .out = 21, .kernel = 3, .stride = 3, .pad = 0},
    {.batch = 4, .h = 22, .w = 27, .in = 13, .out = 31, .kernel = 5, .stride = 2, .pad = 2},
    {.batch = 9, .h = 23, .w = 21, .in = 8, .out = 31, .kernel = 5, .stride = 2, .pad = 2},
    {.batch = 7, .h = 26, .w = 20, .in = 16, .out = 30, .kernel = 2, .stride = 1, .pad = 1},
    {.batch = 2, .h = 27, .w = 22, .in = 32, .out = 40, .kernel = 1, .stride = 1, .pad = 0},
    {.batch = 1, .h = 17, .w = 19, .in = 40, .out = 37, .kernel = 3, .stride = 1, .pad = 4},
    {.batch = 1, .h = 34, .w = 34, .in = 7, .out = 9, .kernel = 4, .stride = 1, .pad = 0},
};

static void test_large(void) {
    for (size_t i = 0; i < G_N_ELEMENTS(large); i++)
        conv_case(&large[i], 0);
}

static void test_many_shapes(void) { // more than a thread keeps primitives of
    for (int32_t h = 30; h < 100; h++)
        conv_case(&(SeamConv){.batch = 1, .h = h, .w = 30, .in = 3, .out = 11, .kernel = 3, .stride = 1, .pad = 1}, 0);
}

static void test_large_not_finite(void) {
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(large); i++)
        conv_case(&large[i / 2], i & 1 ? NAN : INFINITY);
}

static void test_nothing(void) {
    SeamConv full = {.batch = 2, .h = 6, .w = 5, .in = 3, .out = 4, .kernel = 3, .stride = 1, .pad = 1};
    SeamConv no_batch = full, no_in = full, no_out = full;
    no_batch.batch = no_in.in = no_out.out = 0;
    conv_case(&no_batch, 0);
    conv_case(&no_in, 0);
    conv_case(&no_out, 0);
}

static void test_not_finite(void) {
    for (int32_t i = 0; i < 60; i++) {
        SeamConv c = random_conv();
        conv_case(&c, i & 1 ? NAN : INFINITY);
    }
}

static const CheckTest tests[] = {
    {"/kernels/conv/shapes", test_shapes},
    {"/kernels/conv/model", test_model},
    {"/kernels/conv/large", test_large},
    {"/kernels/conv/many-shapes", test_many_shapes},
    {"/kernels/conv/large-not-finite", test_large_not_finite},
    {"/kernels/conv/nothing", test_nothing},
    {"/kernels/conv/not-finite", test_not_finite},
};

void check_conv_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
