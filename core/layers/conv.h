// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A convolution of a picture's stem: y = conv(x; w) + b. It owns two parameters, PREFIX.weight [out, kernel, kernel, in] and PREFIX.bias [out]. The shape of a
// call is the caller's, and so is what follows it but for a gelu.
#pragma once

#include "core/params.h"
#include "core/run.h"

typedef struct {
    SeamTensor *weight, *bias; // the bias is zero at first
} SeamConvLayer;

void seam_conv_declare(SeamConvLayer *l, SeamParams *params, const char *prefix, int32_t kernel, int32_t in, int32_t out);

// x [batch, h, w, in] -> y [batch, out_h, out_w, out] (=). No scratch.
SeamStatus seam_conv_forward(const SeamConvLayer *l, const SeamRun *run, const SeamConv *conv, const float *x, float *y);

// y = gelu of what the forward pass gives. before: that without gelu, which the backward pass reads; y itself where there is none.
SeamStatus seam_conv_forward_gelu(const SeamConvLayer *l, const SeamRun *run, const SeamConv *conv, const float *x, float *before, float *y);

// dy -> dx (=), NULL when nobody needs it. The gradients of weight and bias are added to. No scratch.
SeamStatus seam_conv_backward(const SeamConvLayer *l, const SeamRun *run, const SeamConv *conv, const float *x, const float *dy, float *dx);
