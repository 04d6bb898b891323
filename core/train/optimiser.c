// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The optimiser's step:
//   g <- g * min(1, clip / |g|)                 (Pascanu 2013, algorithm 1, over all tensors together)
//   AdamW a tensor (kernels.h), beta = 0.9, 0.95; tensors with SeamTensor.decay false have no decay
//   mean <- d mean + (1 - d) w,  d = min(ema, (1 + step) / (10 + step))
#include "core/train/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

static const float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;

bool seam_optimiser_init(SeamOptimiser *o, SeamParams *params, GError **error) {
    *o = (SeamOptimiser){.params = params, .clip = 1, .m = g_try_new0(float, params->size), .v = g_try_new0(float, params->size),
                         .mean = g_try_new(float, params->size)};
    if (o->m && o->v && o->mean) {
        memcpy(o->mean, params->data, params->size * sizeof *o->mean);
        return true;
    }
    seam_optimiser_clear(o);
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the optimiser's state of %zu parameters; choose a smaller preset", params->size);
    return false;
}

void seam_optimiser_clear(SeamOptimiser *o) {
    g_clear_pointer(&o->m, g_free);
    g_clear_pointer(&o->v, g_free);
    g_clear_pointer(&o->mean, g_free);
}

static bool moves(const SeamOptimiser *o, const SeamTensor *t) {
    for (const char *const *prefix = o->still; prefix && *prefix; prefix++)
        if (g_str_has_prefix(t->name, *prefix))
            return false;
    return !o->only || g_str_has_prefix(t->name, o->only);
}

static SeamStatus gradient_norm(const SeamOptimiser *o, const SeamKernels *kernels, double *norm) {
    double sum = 0;
    for (guint i = 0; i < o->params->tensors->len; i++) {
        const SeamTensor *t = o->params->tensors->pdata[i];
        double part = 0;
        SeamStatus status = moves(o, t) ? kernels->sum_squares(t->size, t->grad, &part) : SEAM_OK;
        if (status != SEAM_OK)
            return status;
        sum += part;
    }
    *norm = sqrt(sum);
    return isfinite(*norm) ? SEAM_OK : SEAM_DEVICE_ERROR;
}

SeamStatus seam_optimiser_step(SeamOptimiser *o, const SeamKernels *kernels, double lr, double *norm) {
    SeamStatus status = gradient_norm(o, kernels, norm);
    if (status != SEAM_OK)
        return status;
    float cut = *norm > o->clip ? (float)(o->clip / *norm) : 1;
    o->step++;
    float keep = (float)fmin(o->ema, (1.0 + (double)o->step) / (10.0 + (double)o->step));
    for (guint i = 0; i < o->params->tensors->len; i++) {
        SeamTensor *t = o->params->tensors->pdata[i];
        size_t at = (size_t)(t->data - o->params->data);
        if (!moves(o, t))
            continue; // its mean is what it is
        for (size_t j = 0; cut < 1 && j < t->size; j++)
            t->grad[j] *= cut;
        status = kernels->adamw(t->size, t->data, t->grad, o->m + at, o->v + at, (float)lr, beta1, beta2, epsilon,
                                t->decay ? (float)o->weight_decay : 0, o->step);
        if (status != SEAM_OK)
            return status;
        for (size_t j = 0; j < t->size; j++)
            o->mean[at + j] = keep * o->mean[at + j] + (1 - keep) * t->data[j];
    }
    return SEAM_OK;
}
