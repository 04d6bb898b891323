// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A task's adapter on the fused tokens: a narrow bottleneck beside the identity. It owns the
// parameters "tasks.NAME.adapter.*". The model below it stays as it is, so that tasks can be added,
// trained and swapped one by one.
#pragma once

#include "core/config.h"
#include "core/layers/linear.h"
#include "core/layers/norm.h"
#include "core/run.h"

typedef struct {
    int32_t dim, rank; // rank 0: the identity, no parameters
    SeamNorm norm;     // "tasks.NAME.adapter.norm.*"
    SeamLinear down;   // "tasks.NAME.adapter.down.*" [rank, dim]
    SeamLinear up;     // "tasks.NAME.adapter.up.*" [dim, rank], zero at first
} SeamAdapter;

typedef struct {
    const float *x;     // [n, dim]
    float *mean, *rstd; // [n]
    float *normed;      // [n, dim]
    float *low, *act;   // before and after gelu [n, rank]
} SeamAdapterSaved;

// prefix: "tasks.NAME".
void seam_adapter_declare(SeamAdapter *a, SeamParams *params, const char *prefix, int32_t dim,
                          int32_t rank);
// y [n, dim] is the caller's and not x.
SeamStatus seam_adapter_forward(const SeamAdapter *a, SeamRun *run, int32_t n, const float *x,
                                float *y, SeamAdapterSaved *saved);
// dy [n, dim] -> dx [n, dim] (=); dx is not dy.
SeamStatus seam_adapter_backward(const SeamAdapter *a, SeamRun *run, int32_t n,
                                 const SeamAdapterSaved *saved, const float *dy, float *dx);
size_t seam_adapter_bytes(const SeamAdapter *a, int32_t n, bool train);
