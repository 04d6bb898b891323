// SPDX-License-Identifier: LGPL-2.1-or-later
//
// AdamW over all parameters, with the gradient's norm cut and a running mean of the parameters beside them. Owns both moments and the mean.
#pragma once

#include "core/params.h"
#include "kernels/kernels.h"

typedef struct {
    SeamParams *params;
    float *m, *v, *mean; // [params->size]
    double weight_decay, clip, ema;
    const char *only;    // NULL, or: only tensors whose name begins like this move
    const char *const *still; // NULL, or: tensors whose name begins like one of these do not; NULL-terminated
    int64_t step;        // steps done
} SeamOptimiser;

bool seam_optimiser_init(SeamOptimiser *o, SeamParams *params, GError **error);
void seam_optimiser_clear(SeamOptimiser *o);
// One step with the gradients in params; they are left as they are. *norm: of the gradient before cutting. SEAM_DEVICE_ERROR when it is not finite.
SeamStatus seam_optimiser_step(SeamOptimiser *o, const SeamKernels *kernels, double lr, double *norm);
