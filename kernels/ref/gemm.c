// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Matrix products and what goes with them: c = op(a) op(b) + beta c, one matrix or one a ragged group of rows; biases and their gradients.
// Sums in double, rounded once at the end. Nothing is skipped for being 0, so NaN and infinity always arrive.
#include <assert.h>

#include "kernels/ref/ref.h"

// acc[j] += sum_p row[p] op(b)[p, j]; b begins at the first p and j.
static void add_products(bool tb, int32_t columns, int32_t depth, const float *row, const float *b, int32_t ldb, double *acc) {
    if (tb) {
        for (int32_t j = 0; j < columns; j++)
            acc[j] += seam_ref_dot(depth, row, b + (size_t)j * ldb);
        return;
    }
    for (int32_t p = 0; p < depth; p++)
        for (int32_t j = 0; j < columns; j++)
            acc[j] += (double)row[p] * b[(size_t)p * ldb + j];
}

SeamStatus seam_ref_gemm(bool ta, bool tb, int32_t m, int32_t n, int32_t k, const float *a, int32_t lda, const float *b,
                         int32_t ldb, float beta, float *c, int32_t ldc) {
    assert(m >= 0 && n >= 0 && k >= 0 && (beta == 0 || beta == 1));
    for (int32_t i = 0; i < m; i++)
        for (int32_t j0 = 0; j0 < n; j0 += seam_ref_tile) {
            int32_t columns = seam_ref_min(n - j0, seam_ref_tile);
            float *to = c + (size_t)i * ldc + j0, row[seam_ref_tile];
            double acc[seam_ref_tile] = {0};
            for (int32_t p0 = 0; p0 < k; p0 += seam_ref_tile) {
                int32_t depth = seam_ref_min(k - p0, seam_ref_tile);
                for (int32_t p = 0; p < depth; p++)
                    row[p] = ta ? a[(size_t)(p0 + p) * lda + i] : a[(size_t)i * lda + p0 + p];
                add_products(tb, columns, depth, row, tb ? b + (size_t)j0 * ldb + p0 : b + (size_t)p0 * ldb + j0, ldb, acc);
            }
            for (int32_t j = 0; j < columns; j++)
                to[j] = (float)(beta == 0 ? acc[j] : acc[j] + to[j]);
        }
    return SEAM_OK;
}

SeamStatus seam_ref_grouped_gemm(bool tb, int32_t groups, const int32_t *start, int32_t n, int32_t k, const float *a,
                                 const float *b, float *c) {
    for (int32_t g = 0; g < groups; g++) {
        size_t first = (size_t)start[g];
        seam_ref_gemm(false, tb, start[g + 1] - start[g], n, k, a + first * k, k, b + (size_t)g * n * k, tb ? k : n, 0,
                      c + first * n, n);
    }
    return SEAM_OK;
}

SeamStatus seam_ref_grouped_gemm_dw(int32_t groups, const int32_t *start, int32_t m, int32_t n, const float *y,
                                    const float *x, float *dw) {
    for (int32_t g = 0; g < groups; g++) {
        size_t first = (size_t)start[g];
        seam_ref_gemm(true, false, m, n, start[g + 1] - start[g], y + first * m, m, x + first * n, n, 1,
                      dw + (size_t)g * m * n, n);
    }
    return SEAM_OK;
}

SeamStatus seam_ref_add_bias(int32_t n, int32_t d, const float *bias, float *x) {
    for (int32_t i = 0; i < n; i++)
        seam_ref_add((size_t)d, bias, x + (size_t)i * d);
    return SEAM_OK;
}

SeamStatus seam_ref_bias_grad(int32_t n, int32_t d, const float *dy, float *db) {
    for (int32_t c0 = 0; c0 < d; c0 += seam_ref_tile) {
        int32_t columns = seam_ref_min(d - c0, seam_ref_tile);
        double sum[seam_ref_tile] = {0};
        for (int32_t i = 0; i < n; i++)
            for (int32_t c = 0; c < columns; c++)
                sum[c] += dy[(size_t)i * d + c0 + c];
        for (int32_t c = 0; c < columns; c++)
            db[c0 + c] = (float)(db[c0 + c] + sum[c]);
    }
    return SEAM_OK;
}

SeamStatus seam_ref_grouped_add_bias(int32_t groups, const int32_t *start, int32_t d, const float *bias, float *x) {
    for (int32_t g = 0; g < groups; g++)
        seam_ref_add_bias(start[g + 1] - start[g], d, bias + (size_t)g * d, x + (size_t)start[g] * d);
    return SEAM_OK;
}

SeamStatus seam_ref_grouped_bias_grad(int32_t groups, const int32_t *start, int32_t d, const float *dy, float *db) {
    for (int32_t g = 0; g < groups; g++)
        seam_ref_bias_grad(start[g + 1] - start[g], d, dy + (size_t)start[g] * d, db + (size_t)g * d);
    return SEAM_OK;
}

SeamStatus seam_ref_add(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
    return SEAM_OK;
}
