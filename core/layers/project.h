// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The projection that all modalities share, with a low-rank delta for each, and the place encoding.
// It owns the parameters "project.*" and "place.*". It never looks at how a front end made its
// features.
#pragma once

#include "core/config.h"
#include "core/layers/linear.h"
#include "core/layers/norm.h"
#include "core/params.h"
#include "core/run.h"
#include "core/tokens.h"

enum {
    SEAM_PLACE_FREQUENCIES = 4,                          // of each of x, y, t
    SEAM_PLACE_FEATURES = 3 * 2 * SEAM_PLACE_FREQUENCIES // a sine and a cosine each
};

typedef struct {
    int32_t dim, n_modalities;
    float inverse_window;               // 1 / seconds
    int32_t rank[SEAM_MAX_MODALITIES];  // of each delta; 0: none
    SeamNorm norm;                      // "project.norm.*"
    SeamLinear shared;                  // "project.weight" [dim, dim], "project.bias" [dim]
    SeamTensor *a[SEAM_MAX_MODALITIES]; // "project.delta.MODALITY.a" [rank, dim]
    SeamTensor *b[SEAM_MAX_MODALITIES]; // "project.delta.MODALITY.b" [dim, rank], zero at first
    SeamTensor *place;                  // "place.weight" [dim, SEAM_PLACE_FEATURES]
    SeamTensor *modality;               // "place.modality" [n_modalities, dim]
    SeamTensor *domain;                 // "place.domain" [SEAM_DOMAINS, dim]
} SeamProject;

// What the backward pass reads; all in the arena of the forward pass.
typedef struct {
    int32_t modality, n;
    const SeamPlace *place; // [n]
    const float *features;  // f [n, dim]
    float *mean, *rstd;     // [n]
    float *normed;          // LN(f) [n, dim]
    float *low;             // LN(f) A^T [n, rank], NULL without a delta
    float *fourier;         // [n, SEAM_PLACE_FEATURES]
} SeamProjectSaved;

void seam_project_declare(SeamProject *p, SeamParams *params, const SeamConfig *config);

// tokens, all of one modality: x holds the features and afterwards the projected tokens. With
// `saved`, x then points to new memory and the features stay where they were; without, the work is
// done in place.
SeamStatus seam_project_forward(const SeamProject *p, SeamRun *run, int32_t modality,
                                SeamTokens *tokens, SeamProjectSaved *saved);
// dx [n, dim] in, dfeatures [n, dim] out (=).
SeamStatus seam_project_backward(const SeamProject *p, SeamRun *run, const SeamProjectSaved *saved,
                                 const float *dx, float *dfeatures);
// Bytes of arena for n tokens, at most: outputs, saved and scratch of forward and, with `train`,
// backward.
size_t seam_project_bytes(const SeamProject *p, int32_t n, bool train);
