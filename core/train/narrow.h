// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Quantisation-aware training (Jacob 2018, "Quantization and training of neural networks", sec. 3): the forward pass computes with rounded weights and
// activations as inference will, the backward pass takes the rounding for the identity (straight through), and what the optimiser moves are the values in full.
// It owns the copy of these while a step runs.
//
//   forward   y = (s q_x) (scale q_w)^T + b         the packed products of inference (core/pack.h)
//   backward  dx = dy w', dW += dy^T x              w' = scale q_w; x as it was before rounding; dW moves w
#pragma once

#include "core/model.h"

typedef struct {
    float *master; // [params->size] the values in full, while a step runs
} SeamNarrowing;

// Before a step: rounds and packs the weights that may be I8. After it, whatever came of it, seam_narrowing_end: the values are back.
bool seam_narrowing_begin(SeamNarrowing *n, SeamModel *model, const SeamKernels *kernels, GError **error);
void seam_narrowing_end(SeamNarrowing *n, SeamModel *model);
void seam_narrowing_clear(SeamNarrowing *n);

// After training: the values become what they are rounded to, and the model is packed as it will run.
bool seam_narrow(SeamModel *model, const SeamKernels *kernels, GError **error);
