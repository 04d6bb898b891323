// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Exit heads in training: their loss, and sequences that leave early by lot, so that fusion and tasks learn from tokens of every depth. It goes through the
// encoder in groups of layers, forward and backward; pass.c calls it where a model has exit heads and a lesson is given.
#pragma once

#include "core/train/pass.h"

typedef struct SeamExitLesson {
    double weight, smoothing;   // of the heads' mean loss
    const double *class_weight;
    double leave;               // probability that a sequence leaves at a head, any with the same probability
    SeamRandom random;          // draws which
    double loss;                // out: the mean over the heads, set by the backward pass
} SeamExitLesson;

// Forward through all layers of a model with exit heads, for training. pass->encoded is changed in place; pass->depth is set.
SeamStatus seam_exits_encode(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamPass *pass);
// dx [pass->encoded.n, dim] in place, as seam_model_encode_backward, and the heads' gradients.
SeamStatus seam_exits_backward(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamPass *pass, float balance, double *balance_loss, float *dx);
