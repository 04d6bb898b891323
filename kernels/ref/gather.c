// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Rows to the experts and back: gather by source, combine by gate, and their gradients. Each token sums its top_k rows in order.
#include <string.h>

#include "kernels/ref/ref.h"

SeamStatus seam_ref_gather(int32_t rows, int32_t d, const int32_t *source, const float *x, float *y) {
    for (int32_t r = 0; d > 0 && r < rows; r++)
        memcpy(y + (size_t)r * d, x + (size_t)source[r] * d, (size_t)d * sizeof *y);
    return SEAM_OK;
}

SeamStatus seam_ref_gather_backward(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *dy,
                                    float *dx) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t c = 0; c < d; c++) {
            double sum = 0;
            for (int32_t j = 0; j < top_k; j++)
                sum += dy[(size_t)position[(size_t)i * top_k + j] * d + c];
            dx[(size_t)i * d + c] = (float)sum;
        }
    return SEAM_OK;
}

SeamStatus seam_ref_combine(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate,
                            const float *y, float *out) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t c = 0; c < d; c++) {
            double sum = 0;
            for (int32_t j = 0; j < top_k; j++) {
                size_t choice = (size_t)i * top_k + j;
                if (position[choice] < 0)
                    break;
                sum += (double)gate[choice] * y[(size_t)position[choice] * d + c];
            }
            out[(size_t)i * d + c] = (float)(out[(size_t)i * d + c] + sum);
        }
    return SEAM_OK;
}

SeamStatus seam_ref_combine_backward(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate,
                                     const float *y, const float *dout, float *dy, float *dgate) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < top_k; j++) {
            size_t choice = (size_t)i * top_k + j, row = (size_t)position[choice] * d;
            for (int32_t c = 0; c < d; c++)
                dy[row + c] = gate[choice] * dout[(size_t)i * d + c];
            dgate[choice] = (float)seam_ref_dot(d, y + row, dout + (size_t)i * d);
        }
    return SEAM_OK;
}
