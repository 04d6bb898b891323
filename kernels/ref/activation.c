// SPDX-License-Identifier: LGPL-2.1-or-later
//
// gelu(x) = x s, s = sigmoid(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3), and its derivative; sigmoid. Element by element, in double, where
// exp never overflows to anything but the right limit: the sigmoid of a large negative number is 1 / (1 + inf) = 0.
#include <math.h>

#include "kernels/ref/ref.h"

static const double two_sqrt_2_over_pi = 1.5957691216057308, cubic = 0.044715;

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static double gelu_sigmoid(double x) {
    return sigmoid(two_sqrt_2_over_pi * (x + cubic * x * x * x));
}

double seam_ref_gelu_of(double x) {
    return x * gelu_sigmoid(x);
}

SeamStatus seam_ref_gelu(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)seam_ref_gelu_of(x[i]);
    return SEAM_OK;
}

// d(x s)/dx = s + x s (1 - s) du/dx
SeamStatus seam_ref_gelu_backward(size_t n, const float *x, const float *dy, float *dx) {
    for (size_t i = 0; i < n; i++) {
        double v = x[i], s = gelu_sigmoid(v), du = two_sqrt_2_over_pi * (1 + 3 * cubic * v * v);
        dx[i] = (float)(dy[i] * (s + v * s * (1 - s) * du));
    }
    return SEAM_OK;
}

SeamStatus seam_ref_sigmoid(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)sigmoid(x[i]);
    return SEAM_OK;
}
