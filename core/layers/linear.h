// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A linear map of tokens: y = x W^T + b. It owns two parameters, PREFIX.weight [out, in] and, when
// asked, PREFIX.bias [out].
#pragma once

#include "core/params.h"
#include "core/run.h"

typedef struct {
    int32_t in, out;
    SeamTensor *weight; // [out, in]
    SeamTensor *bias;   // [out], or NULL; zero at first
} SeamLinear;

// The initial values may be changed by the caller until the parameters are drawn (weight->init,
// bias->init).
void seam_linear_declare(SeamLinear *l, SeamParams *params, const char *prefix, int32_t in,
                         int32_t out, bool bias);

// x [n, in] -> y [n, out] (=). No scratch.
SeamStatus seam_linear_forward(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x,
                               float *y);

// y [n, out] += what the forward pass gives: for residual streams.
SeamStatus seam_linear_forward_add(const SeamLinear *l, const SeamRun *run, int32_t n,
                                   const float *x, float *y);

// y [n, out] = gelu of what the forward pass gives. before [n, out]: that without gelu, which the backward pass reads; y itself where
// there is none.
SeamStatus seam_linear_forward_gelu(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x, float *before, float *y);

// dy [n, out] -> dx [n, in], added to what is there when `accumulate`, else overwritten; NULL when
// nobody needs it. The gradients of weight and bias are added to. No scratch.
SeamStatus seam_linear_backward(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x,
                                const float *dy, float *dx, bool accumulate);
