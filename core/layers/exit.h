// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An exit head: what the classes of a sequence seem to be before all encoder layers have seen it. In training it is one more loss; in inference a sequence
// of which it is sure enough leaves the encoder there (core/model_exit.c). It owns the parameters "exits.L.*", L the layer that it stands behind.
#pragma once

#include "core/config.h"
#include "core/layers/linear.h"
#include "core/layers/norm.h"

typedef struct {
    int32_t dim, classes;
    SeamNorm norm;
    SeamLinear head; // [classes, dim]
} SeamExit;

// All in the arena of the forward pass but start.
typedef struct {
    int32_t seqs;
    const int32_t *start; // [seqs + 1] the caller's
    float *weight;        // [n] of each token in its sequence's mean
    float *pooled, *h;    // the means, and normed [seqs, dim]
    float *mean, *rstd;   // of the norm [seqs]
} SeamExitSaved;

// Whether an exit head stands behind layer `layer`.
bool seam_exit_at(const SeamConfig *config, int32_t layer);
// How many the model has.
int32_t seam_exit_count(const SeamConfig *config);

void seam_exit_declare(SeamExit *e, SeamParams *params, const SeamConfig *config, int32_t layer);
// x [n, dim] of `seqs` sequences, start [seqs + 1] -> logits [seqs, classes] (=), the caller's memory. saved: NULL in inference.
SeamStatus seam_exit_forward(const SeamExit *e, SeamRun *run, int32_t seqs, const int32_t *start, const float *x, float *logits, SeamExitSaved *saved);
// dlogits [seqs, classes] -> dx [n, dim] (+=: the stream goes on). x: as in the forward pass.
SeamStatus seam_exit_backward(const SeamExit *e, SeamRun *run, const SeamExitSaved *saved, const float *x, const float *dlogits, float *dx);
// How sure a head is: the highest probability minus the second highest.
float seam_exit_margin(int32_t classes, const float *logits);
// Bytes of arena at most, of scratch, or what stays for the backward pass.
size_t seam_exit_bytes(const SeamExit *e, int32_t n, int32_t seqs);
