// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The token mixer `scan`: a selective state space, whose cost grows with the length of a sequence alone and whose state may go on from one
// buffer to the next. It owns the parameters PREFIX.in.weight, PREFIX.gate.*, PREFIX.out.*, PREFIX.step.bias, PREFIX.rate, PREFIX.skip. Norm
// and residual are the caller's.
#pragma once

#include "core/layers/linear.h"
#include "core/layers/pattern.h"

typedef struct {
    int32_t dim, heads, state;
    SeamLinear in;         // [dim + 2 * state + heads, dim]: u, B, C and the steps before softplus, in this order; no bias
    SeamLinear gate;       // [dim, dim]; its bias starts at 2, so that the gates start open (0.88)
    SeamLinear out;        // [dim, dim]
    SeamTensor *step_bias; // [heads]; at first steps from 0.1 down to 0.001
    SeamTensor *rate;      // [heads]: the logarithm of the decay rate, 0 at first
    SeamTensor *skip;      // [heads], 1 at first
} SeamScanLayer;

// What the backward pass reads; all in the arena of the forward pass.
typedef struct {
    int32_t n, seqs;
    const int32_t *seq_start;
    const float *x; // the caller's [n, dim]
    float *in;      // [n, dim + 2 * state + heads]
    float *step;    // [n, heads] after softplus
    float *rate;    // [heads]
    float *gate;    // [n, dim]
    float *mixed;   // [n, dim] before the gate
} SeamScanSaved;

void seam_scan_declare(SeamScanLayer *l, SeamParams *params, const char *prefix, const SeamConfig *config);

// y [n, dim] += the mixed tokens of x [n, dim]; pattern: its sequences. state: NULL, then each sequence starts at 0; or the state [dim, state]
// of a stream (core/carry.h), whose next tokens all sequences are, one after another; it then holds that after the last one. Not with saved.
SeamStatus seam_scan_forward(const SeamScanLayer *l, SeamRun *run, const SeamPattern *pattern, const float *x, float *state, float *y,
                             SeamScanSaved *saved);
// dy [n, dim] -> dx [n, dim] (=).
SeamStatus seam_scan_backward(const SeamScanLayer *l, SeamRun *run, const SeamScanSaved *saved, const float *dy, float *dx);
// Bytes of arena at most: of scratch, and in *kept what stays after a forward pass with `train`.
size_t seam_scan_bytes(const SeamScanLayer *l, int32_t n, bool train, size_t *kept);
