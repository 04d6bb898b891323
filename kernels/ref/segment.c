// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Softmax pooling of ragged segments with its gradient, and squared distances.
#include <math.h>

#include "kernels/ref/ref.h"

static void softmax(int32_t n, const float *score, float *weight) {
    double most = -INFINITY, sum = 0;
    for (int32_t i = 0; i < n; i++)
        most = fmax(most, score[i]);
    for (int32_t i = 0; i < n; i++)
        sum += exp(score[i] - most);
    for (int32_t i = 0; i < n; i++)
        weight[i] = (float)(exp(score[i] - most) / sum);
}

SeamStatus seam_ref_pool(int32_t segments, const int32_t *start, int32_t d, const float *x, const float *score,
                         float *weight, float *out) {
    for (int32_t s = 0; s < segments; s++) {
        softmax(start[s + 1] - start[s], score + start[s], weight + start[s]);
        for (int32_t c = 0; c < d; c++) {
            double sum = 0;
            for (int32_t i = start[s]; i < start[s + 1]; i++)
                sum += (double)weight[i] * x[(size_t)i * d + c];
            out[(size_t)s * d + c] = (float)sum;
        }
    }
    return SEAM_OK;
}

SeamStatus seam_ref_pool_backward(int32_t segments, const int32_t *start, int32_t d, const float *x,
                                  const float *weight, const float *out, const float *dout, float *dx, float *dscore) {
    for (int32_t s = 0; s < segments; s++)
        for (int32_t i = start[s]; i < start[s + 1]; i++) {
            const float *o = out + (size_t)s * d, *g = dout + (size_t)s * d, *row = x + (size_t)i * d;
            double dot = 0;
            for (int32_t c = 0; c < d; c++) {
                dot += ((double)row[c] - o[c]) * g[c];
                dx[(size_t)i * d + c] += weight[i] * g[c];
            }
            dscore[i] = (float)(weight[i] * dot);
        }
    return SEAM_OK;
}

SeamStatus seam_ref_distances(int32_t n, int32_t m, int32_t d, const float *a, const float *b, float *dist) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < m; j++) {
            double sum = 0;
            for (int32_t c = 0; c < d; c++) {
                double delta = (double)a[(size_t)i * d + c] - b[(size_t)j * d + c];
                sum += delta * delta;
            }
            dist[(size_t)i * m + j] = (float)sum;
        }
    return SEAM_OK;
}
