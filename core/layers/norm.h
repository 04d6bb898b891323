// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Layer norm over the features of a token (Ba 2016). It owns two parameters, PREFIX.weight [dim]
// (ones) and PREFIX.bias [dim] (zeros).
#pragma once

#include "core/params.h"
#include "core/run.h"

typedef struct {
    int32_t dim;
    SeamTensor *weight, *bias; // [dim]
} SeamNorm;

void seam_norm_declare(SeamNorm *norm, SeamParams *params, const char *prefix, int32_t dim);

// x [n, dim] -> y [n, dim] (=). mean, rstd [n]: for the backward pass, or both NULL. No scratch.
SeamStatus seam_norm_forward(const SeamNorm *norm, const SeamRun *run, int32_t n, const float *x,
                             float *y, float *mean, float *rstd);

// dy [n, dim] -> dx [n, dim] (+=: the residual path has the same gradient). x is the input of the
// forward pass.
SeamStatus seam_norm_backward(const SeamNorm *norm, const SeamRun *run, int32_t n, const float *x,
                              const float *mean, const float *rstd, const float *dy, float *dx);

// A residual branch opens with a norm of the stream x, which then changes in place; so its backward
// pass needs a copy.
typedef struct {
    float *h;           // LN(x) [n, dim]
    float *x;           // the stream as it was [n, dim]
    float *mean, *rstd; // [n]
} SeamNormSaved;

// h is new memory in the arena; the rest too when `keep`, else NULL.
SeamStatus seam_norm_open(const SeamNorm *norm, SeamRun *run, int32_t n, const float *x, bool keep,
                          SeamNormSaved *saved);
// dh [n, dim] -> dx [n, dim] (+=).
SeamStatus seam_norm_open_backward(const SeamNorm *norm, const SeamRun *run, int32_t n,
                                   const SeamNormSaved *saved, const float *dh, float *dx);
// Bytes of arena that seam_norm_open takes.
size_t seam_norm_open_bytes(const SeamNorm *norm, int32_t n, bool keep);
