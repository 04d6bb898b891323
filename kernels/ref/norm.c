// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Layer norm: y = x^ weight + bias with x^ = (x - mean) rstd over the d values of a row. With g = dy weight,
//
//   dx += rstd (g - mean(g) - x^ mean(g x^)),   dweight += sum over rows of dy x^,   dbias += sum over rows of dy
//
// The two means are what the row's own mean and variance take away. d = 0 has nothing to normalise.
#include <math.h>

#include "kernels/ref/ref.h"

static const double epsilon = 1e-5;

SeamStatus seam_ref_layer_norm(int32_t n, int32_t d, const float *x, const float *weight, const float *bias, float *y,
                               float *mean, float *rstd) {
    for (int32_t i = 0; i < n; i++) {
        const float *row = x + (size_t)i * d;
        double sum = 0, squares = 0;
        for (int32_t c = 0; c < d; c++)
            sum += row[c];
        double m = d > 0 ? sum / d : 0;
        for (int32_t c = 0; c < d; c++)
            squares += (row[c] - m) * (row[c] - m);
        double r = 1 / sqrt((d > 0 ? squares / d : 0) + epsilon);
        for (int32_t c = 0; c < d; c++)
            y[(size_t)i * d + c] = (float)((row[c] - m) * r * weight[c] + bias[c]);
        if (mean)
            mean[i] = (float)m;
        if (rstd)
            rstd[i] = (float)r;
    }
    return SEAM_OK;
}

static void row_backward(int32_t d, const float *x, const float *weight, double mean, double rstd, const float *dy, float *dx) {
    double sum = 0, sum_hat = 0;
    for (int32_t c = 0; c < d; c++) {
        double g = (double)dy[c] * weight[c];
        sum += g;
        sum_hat += g * (x[c] - mean) * rstd;
    }
    for (int32_t c = 0; c < d; c++) {
        double g = (double)dy[c] * weight[c], hat = (x[c] - mean) * rstd;
        dx[c] = (float)(dx[c] + rstd * (g - sum / d - hat * sum_hat / d));
    }
}

SeamStatus seam_ref_layer_norm_backward(int32_t n, int32_t d, const float *x, const float *weight, const float *mean,
                                        const float *rstd, const float *dy, float *dx, float *dweight, float *dbias) {
    for (int32_t i = 0; i < n; i++)
        row_backward(d, x + (size_t)i * d, weight, mean[i], rstd[i], dy + (size_t)i * d, dx + (size_t)i * d);
    for (int32_t c0 = 0; c0 < d; c0 += seam_ref_tile) {
        int32_t columns = seam_ref_min(d - c0, seam_ref_tile);
        double sum[seam_ref_tile] = {0};
        for (int32_t i = 0; i < n; i++)
            for (int32_t c = 0; c < columns; c++) {
                size_t at = (size_t)i * d + c0 + c;
                sum[c] += ((double)x[at] - mean[i]) * rstd[i] * dy[at];
            }
        for (int32_t c = 0; c < columns; c++)
            dweight[c0 + c] = (float)(dweight[c0 + c] + sum[c]);
    }
    return seam_ref_bias_grad(n, d, dy, dbias);
}
