// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The token mixer `gated`: attention in which a learnt score picks the tokens of a sequence that attend to all of it and are seen by all, while the
// others stay local. It owns the parameters PREFIX.score.* and those of its attention. Norm and residual are the caller's.
#pragma once

#include "core/layers/attention.h"

typedef struct {
    SeamAttentionLayer attention;
    SeamLinear score;  // [1, dim]; its bias starts at 2, so that a chosen token weighs 0.88
    float budget;      // share of a sequence's tokens that are chosen
    size_t local_keys; // of a token in the local pattern at most
} SeamGatedLayer;

// What the backward pass reads; all in the arena of the forward pass.
typedef struct {
    SeamAttentionSaved attention; // over the pattern of the choice; values and gates of chosen tokens weighed
    float *gate;                  // [n, heads] before they were weighed
    float *weight;                // [n] sigmoid of the score of a chosen token; 0: not chosen
} SeamGatedSaved;

void seam_gated_declare(SeamGatedLayer *l, SeamParams *params, const char *prefix, const SeamConfig *config);

// As seam_attention_forward. local: whom each token sees when it is not chosen.
SeamStatus seam_gated_forward(const SeamGatedLayer *l, SeamRun *run, const SeamPattern *local, float gate_threshold, const float *x, float *y,
                              SeamGatedSaved *saved);
// dy [n, dim] -> dx [n, dim] (=).
SeamStatus seam_gated_backward(const SeamGatedLayer *l, SeamRun *run, const SeamGatedSaved *saved, const float *dy, float *dx);
// Bytes of arena at most, without the local pattern's: of scratch, and in *kept what stays after a forward pass with `train`.
size_t seam_gated_bytes(const SeamGatedLayer *l, int32_t n, bool train, size_t *kept);
