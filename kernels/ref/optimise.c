// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One AdamW step and the sum of squares for clipping. m and v are kept in f32; the step itself is taken in double.
#include <assert.h>
#include <math.h>

#include "kernels/ref/ref.h"

SeamStatus seam_ref_adamw(size_t n, float *w, const float *grad, float *m, float *v, float lr, float beta1, float beta2,
                          float eps, float decay, int64_t step) {
    assert(step >= 1);
    double b1 = beta1, b2 = beta2, whole1 = 1 - pow(b1, (double)step), whole2 = 1 - pow(b2, (double)step);
    for (size_t i = 0; i < n; i++) {
        double g = grad[i];
        m[i] = (float)(b1 * m[i] + (1 - b1) * g);
        v[i] = (float)(b2 * v[i] + (1 - b2) * g * g);
        double step_size = m[i] / whole1 / (sqrt(v[i] / whole2) + eps);
        w[i] = (float)(w[i] - lr * (step_size + (double)decay * w[i]));
    }
    return SEAM_OK;
}

SeamStatus seam_ref_sum_squares(size_t n, const float *x, double *out) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    *out = sum;
    return SEAM_OK;
}
