// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How much memory a configuration takes, before any of it is taken. Counts alone: it reads no values.
#pragma once

#include "core/model.h"

typedef struct {
    int64_t parameters, experts; // in all; of them in the experts
    int64_t active;              // that a token meets: of its experts top_k
    double weights, gradients, optimiser; // bytes in single precision; the optimiser's: two moments and a running mean
    double kept;                 // bytes of the weights in the types that inference keeps them in
    double running, training;    // bytes of arena for one window that has one input of every modality
} SeamFootprint;

void seam_footprint(const SeamModel *model, SeamFootprint *out);
