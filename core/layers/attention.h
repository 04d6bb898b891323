// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The token mixer of encoder and fusion: multi-head attention over a pattern with one sigmoid gate
// a head and token. It owns the parameters PREFIX.qkv.*, PREFIX.gate.*, PREFIX.out.*. Norm and
// residual are the caller's.
#pragma once

#include "core/layers/linear.h"
#include "core/layers/pattern.h"

typedef struct {
    int32_t dim, heads;
    SeamLinear qkv;  // [3 * dim, dim]: q, k and v of all heads, in this order
    SeamLinear gate; // [heads, dim]; its bias starts at 2, so that the gates start open (0.88)
    SeamLinear out;  // [dim, dim]
} SeamAttentionLayer;

// What the backward pass reads; all in the arena of the forward pass.
typedef struct {
    SeamPattern pattern;
    float gate_threshold;
    const float *x; // the caller's [n, dim]
    float *qkv;     // [n, 3 * dim]
    float *gate;    // [n, heads]
    float *mixed;   // heads side by side [n, dim]
    float *lse;     // [n, heads]
    float *bias;    // [n] log of the tokens' sizes, or NULL
} SeamAttentionSaved;

void seam_attention_declare(SeamAttentionLayer *a, SeamParams *params, const char *prefix,
                            int32_t dim, int32_t heads);

// y [n, dim] += the mixed tokens of x [n, dim]. Gates below gate_threshold close their head: the
// configured threshold in inference; 0 in training, where a closed head would never get a gradient
// by which to open again.
SeamStatus seam_attention_forward(const SeamAttentionLayer *a, SeamRun *run,
                                  const SeamPattern *pattern, float gate_threshold, const float *x,
                                  float *y, SeamAttentionSaved *saved);
// Its two halves, for a mixer that has something to do between them: projects x to s->qkv and s->gate (new memory, s->lse with `train`);
// then attends, y [n, dim] += the result.
SeamStatus seam_attention_project(const SeamAttentionLayer *a, SeamRun *run, const SeamPattern *pattern, float gate_threshold, const float *x, bool train,
                                  SeamAttentionSaved *s);
SeamStatus seam_attention_attend(const SeamAttentionLayer *a, SeamRun *run, const SeamAttentionSaved *s, float *y);
// dy [n, dim] -> dqkv [n, 3 dim], dgate [n, heads] (=).
SeamStatus seam_attention_attend_backward(const SeamAttentionLayer *a, SeamRun *run, const SeamAttentionSaved *s, const float *dy, float *dqkv,
                                          float *dgate);
// dqkv, dgate -> dx [n, dim] (=). gate [n, heads]: as it was projected; dgate is used up.
SeamStatus seam_attention_project_backward(const SeamAttentionLayer *a, SeamRun *run, const SeamAttentionSaved *s, const float *gate, const float *dqkv,
                                           float *dgate, float *dx);
// dy [n, dim] -> dx [n, dim] (=).
SeamStatus seam_attention_backward(const SeamAttentionLayer *a, SeamRun *run,
                                   const SeamAttentionSaved *saved, const float *dy, float *dx);
// Bytes of arena at most, without the pattern's: of scratch, and in *kept what stays after a
// forward pass with `train`.
size_t seam_attention_bytes(const SeamAttentionLayer *a, int32_t n, bool train, size_t *kept);
