// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gradients against finite differences, for the tests of layers. The loss is a fixed random weighting of the outputs. Its derivative
// by central differences of fourth order,
//   f' = (8 (f(+h) - f(-h)) - (f(+2h) - f(-2h))) / 12 h,
// has an error of about h^4 and rounding / h; h = 0.02 balances both in single precision.
#pragma once

#include <glib.h>
#include <math.h>

#include "core/params.h"
#include "core/random.h"
#include "kernels/kernels.h"

static inline void fill(SeamRandom *random, float *x, size_t n, double scale) {
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * seam_random_normal(random));
}

// Takes memory for what is declared and gives every parameter a value that matters, the zeros of the start included.
static inline void draw(SeamParams *params, SeamRandom *random) {
    if (!params->data)
        g_assert_true(seam_params_allocate(params, true, NULL));
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        fill(random, t->data, t->size, 0.4);
        for (size_t j = 0; j < t->size && t->init == SEAM_INIT_ONE; j++)
            t->data[j] += 1;
    }
}

static inline double weighted(const float *x, const float *weight, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * weight[i];
    return sum;
}

static inline void assert_ok(SeamStatus status) {
    g_assert_cmpstr(seam_status_text(status), ==, seam_status_text(SEAM_OK));
}

static double small = 0.1; // gradients below it may be off by as much as this one; deep chains in single precision need more

static inline void assert_near(const char *what, size_t i, double got, double want) {
    if (!(fabs(got - want) <= 2e-3 * (fabs(want) + small)))
        g_error("%s[%zu]: %.6g by hand, %.6g by differences", what, i, got, want);
}

// Runs forward; with `backward`, also backward from the weights, into the parameters' gradients. Returns the loss.
typedef double (*Loss)(void *data, bool backward);

static inline double difference(Loss loss, void *data, float *x) {
    const double h = 0.02;
    float at = *x;
    double f[4];
    const double step[4] = {1, -1, 2, -2};
    for (int i = 0; i < 4; i++) {
        *x = (float)(at + step[i] * h);
        f[i] = loss(data, false);
    }
    *x = at;
    return (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h);
}

// At most `most` of the n values, evenly chosen.
static inline void check_values(const char *name, float *x, const float *grad, size_t n, size_t most, Loss loss, void *data) {
    size_t count = MIN(n, most);
    for (size_t j = 0; j < count; j++) {
        size_t i = j * n / count;
        assert_near(name, i, grad[i], difference(loss, data, x + i));
    }
}

// All parameters, at most `most` values of each; those that the loss does not touch must have a gradient of 0, which differences confirm.
static inline void check_params(SeamParams *params, size_t most, Loss loss, void *data) {
    seam_params_zero_grad(params);
    loss(data, true);
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        check_values(t->name, t->data, t->grad, t->size, most, loss, data);
    }
}
