// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "classify": which defect, and what each modality added to that. It owns the parameters
// "tasks.NAME.*" of a classify task. Softmax and losses are elsewhere: this ends at the logits.
#pragma once

#include "core/config.h"
#include "core/layers/adapter.h"
#include "core/tokens.h"

typedef struct {
    int32_t dim, classes, modalities;
    SeamAdapter adapter;
    SeamNorm norm;      // "tasks.NAME.norm.*"
    SeamTensor *score;  // "tasks.NAME.score.weight" [1, dim]
    SeamTensor *weight; // "tasks.NAME.weight" [classes, dim]
    SeamTensor *bias;   // "tasks.NAME.bias" [classes]
} SeamClassify;

// In the arena.
typedef struct {
    int32_t windows;
    float *logits;        // [windows, classes]
    float *contributions; // [windows, modalities, classes]; 0 for what is absent
    uint32_t *present;    // [windows] modality bits
} SeamClassifyOut;

typedef struct {
    int32_t n, windows;
    int32_t *segment; // [windows * modalities + 1] first token of each (window, modality)
    SeamAdapterSaved adapter;
    float *z, *u;       // adapter's output, normed [n, dim]
    float *mean, *rstd; // [n]
    float *weight;      // [n] of pooling
    float *pooled;      // [windows * modalities, dim]
} SeamClassifySaved;

void seam_classify_declare(SeamClassify *c, SeamParams *params, const SeamConfig *config,
                           int32_t task);
// tokens: one fused sequence a window, ordered by modality (SEAM_BAD_SHAPE otherwise).
SeamStatus seam_classify_forward(const SeamClassify *c, SeamRun *run, const SeamTokens *tokens,
                                 SeamClassifyOut *out, SeamClassifySaved *saved);
// What each token added to the margin of class c over class 0: share[i] = w_i (W_c - W_0) u_i, [saved->n]. A modality's shares sum to its contribution.
void seam_classify_shares(const SeamClassify *c, const SeamClassifySaved *saved, int32_t class_index, float *share);
// dlogits [windows, classes] -> dx [n, dim] (=).
SeamStatus seam_classify_backward(const SeamClassify *c, SeamRun *run,
                                  const SeamClassifySaved *saved, const float *dlogits, float *dx);
// The same where contributions are outputs too: dcontributions [windows, modalities, classes], or NULL.
SeamStatus seam_classify_backward_all(const SeamClassify *c, SeamRun *run,
                                      const SeamClassifySaved *saved, const float *dlogits,
                                      const float *dcontributions, float *dx);
size_t seam_classify_bytes(const SeamClassify *c, int32_t n, int32_t windows, bool train);

// segment [windows * modalities + 1]: the tokens of modality m in window w start at segment[i],
// i = w * modalities + m, and end at segment[i + 1]. SEAM_BAD_SHAPE when they are not ordered by
// modality inside a window. Shared with anomaly.
SeamStatus seam_classify_segments(const SeamTokens *tokens, int32_t modalities, int32_t *segment);
