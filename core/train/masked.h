// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The objective of pretraining: some tokens of a batch are hidden, and what they held is told from the others. It owns the mask vectors and the
// heads, which no bundle keeps; the model's gradients are added where they belong. Which windows are shown is not its business (pretrain.c).
#pragma once

#include "core/model.h"
#include "core/random.h"
#include "core/train/batch.h"

enum {
    SEAM_MASKED_SIDE = 8, // values each way that are told of a picture's cell, at most
    SEAM_MASKED_HEADS = 2 // kinds of tokens of one modality
};

typedef struct {
    SeamTensor *mask; // "MODALITY.mask" [dim]: stands for the features of a hidden token
    SeamNorm norm;    // "MODALITY.norm.*"
    int32_t heads;    // 0: this modality is not pretrained
    SeamLinear head[SEAM_MASKED_HEADS]; // "MODALITY.head.I.*": pictures: a cell's pixels; sensors: time features, frequency features
} SeamMaskedPart;

typedef struct {
    SeamModel *model; // borrowed
    SeamParams *params;
    double share;     // of the tokens that are hidden
    SeamMaskedPart part[SEAM_MAX_MODALITIES];
    float load[SEAM_MAX_LAYERS][SEAM_MAX_EXPERTS]; // of the last pass: choices that fell on each expert
} SeamMasked;

// NULL with an error when no modality of the model can be pretrained, or memory is short.
SeamMasked *seam_masked_new(SeamModel *model, double share, uint64_t seed, GError **error);
void seam_masked_free(SeamMasked *masked);

// order [units]: a permutation by lot, of which the first are hidden; returns how many: share of the units, but one at least on either side.
int32_t seam_masked_choose(SeamRandom *random, int32_t units, double share, int32_t *order);
// What the head shall tell of cell (x, y) of a picture [size, size, channels] of grid^2 cells: channels x side^2 values, mean 0 and variance 1 or
// less. Returns side.
int32_t seam_masked_cell(const uint8_t *pixels, int32_t size, int32_t channels, int32_t grid, int32_t x, int32_t y, float *values);

// Forward and backward. The gradients of both sets of parameters are added; those of the experts' balance with the weight `balance`. The lots come
// from `random`. *loss: the sum over the modalities of their mean loss a value; *balance_loss is added to.
SeamStatus seam_masked_pass(SeamMasked *masked, SeamRun *run, const SeamBatch *batch, SeamRandom *random, float balance, double *loss,
                            double *balance_loss);
