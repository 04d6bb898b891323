// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Layer norm (Ba 2016, eq. 3 and 4, over the features of each token).
//
//   forward    z = (x - mean) * rstd,   y = z * weight + bias,   rstd = 1 / sqrt(var + 1e-5)
//   backward   g = dy * weight,   dx += rstd * (g - avg(g) - z * avg(g z)),   dweight += sum dy z,
//   dbias += sum dy
#include "core/layers/norm.h"

#include <string.h>

void seam_norm_declare(SeamNorm *norm, SeamParams *params, const char *prefix, int32_t dim) {
    g_autofree char *weight_name = g_strconcat(prefix, ".weight", NULL),
                    *bias_name = g_strconcat(prefix, ".bias", NULL);
    norm->dim = dim;
    norm->weight = seam_params_declare(params, weight_name, SEAM_INIT_ONE, false, dim, 0, 0, 0);
    norm->bias = seam_params_declare(params, bias_name, SEAM_INIT_ZERO, false, dim, 0, 0, 0);
}

SeamStatus seam_norm_forward(const SeamNorm *norm, const SeamRun *run, int32_t n, const float *x,
                             float *y, float *mean, float *rstd) {
    return run->kernels->layer_norm(n, norm->dim, x, norm->weight->data, norm->bias->data, y, mean,
                                    rstd);
}

SeamStatus seam_norm_backward(const SeamNorm *norm, const SeamRun *run, int32_t n, const float *x,
                              const float *mean, const float *rstd, const float *dy, float *dx) {
    return run->kernels->layer_norm_backward(n, norm->dim, x, norm->weight->data, mean, rstd, dy,
                                             dx, norm->weight->grad, norm->bias->grad);
}

SeamStatus seam_norm_open(const SeamNorm *norm, SeamRun *run, int32_t n, const float *x, bool keep,
                          SeamNormSaved *saved) {
    size_t size = (size_t)n * norm->dim;
    *saved = (SeamNormSaved){.h = SEAM_NEW(run->arena, float, size)};
    if (!saved->h)
        return SEAM_NO_MEMORY;
    if (keep) {
        saved->x = SEAM_NEW(run->arena, float, size);
        saved->mean = SEAM_NEW(run->arena, float, n);
        saved->rstd = SEAM_NEW(run->arena, float, n);
        if (!saved->x || !saved->mean || !saved->rstd)
            return SEAM_NO_MEMORY;
        memcpy(saved->x, x, size * sizeof *x);
    }
    return seam_norm_forward(norm, run, n, x, saved->h, saved->mean, saved->rstd);
}

SeamStatus seam_norm_open_backward(const SeamNorm *norm, const SeamRun *run, int32_t n,
                                   const SeamNormSaved *saved, const float *dh, float *dx) {
    return seam_norm_backward(norm, run, n, saved->x, saved->mean, saved->rstd, dh, dx);
}

size_t seam_norm_open_bytes(const SeamNorm *norm, int32_t n, bool keep) {
    size_t tokens = seam_arena_bytes((size_t)n * norm->dim, sizeof(float));
    return keep ? 2 * tokens + 2 * seam_arena_bytes((size_t)n, sizeof(float)) : tokens;
}
