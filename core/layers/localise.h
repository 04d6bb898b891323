// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "localise": where in each picture which defect shows, as a heat map of logits a class,
// and with "boxes": "regress" the sides of a box a cell. It owns the parameters "tasks.NAME.*" of a
// localise task. Sigmoid, losses and boxes are elsewhere.
#pragma once

#include "core/config.h"
#include "core/layers/adapter.h"
#include "core/tokens.h"

typedef struct {
    int32_t dim, upscale, modalities;
    int32_t classes;     // that have a map: the defects, and the good one with "good_boxes"
    int32_t first_class; // of the configuration, that the first map is of: 1, or 0 with "good_boxes"
    int32_t channels;    // classes, and SEAM_BOX_SIDES more when a cell gives a box
    bool by_class;       // scores of boxes are multiplied by their class's probability
    int32_t grid[SEAM_MAX_MODALITIES];         // 0 for what is not a picture
    SeamAdapter adapter;
    SeamNorm norm;   // "tasks.NAME.norm.*"
    SeamLinear head; // "tasks.NAME.head.*" [channels * upscale^2, dim]
} SeamLocalise;

enum { SEAM_BOX_SIDES = 4 };

// One picture among the fused tokens. Its maps are logits[offset ..], [channels, side, side]: the
// classes, then left, top, right, bottom as core/boxes.h reads them.
typedef struct {
    int32_t window, modality;
    int32_t first; // its first patch token; grid^2 follow each other, row by row
    int32_t side;  // grid * upscale
    size_t offset;
    float t; // seconds after the window's start
} SeamLocalisePicture;

// In the arena.
typedef struct {
    int32_t pictures;
    SeamLocalisePicture *picture; // [pictures], in the order of the tokens
    size_t size;                  // of logits
    float *logits;
} SeamLocaliseOut;

typedef struct {
    int32_t n, rows; // all tokens; patch tokens
    int32_t pictures;
    SeamLocalisePicture *picture;
    int32_t *source; // [rows] token of each patch
    float *x;        // [rows, dim]
    SeamAdapterSaved adapter;
    float *z, *u;       // adapter's output, normed [rows, dim]
    float *mean, *rstd; // [rows]
} SeamLocaliseSaved;

void seam_localise_declare(SeamLocalise *l, SeamParams *params, const SeamConfig *config,
                           int32_t task);
// tokens: one fused sequence a window. SEAM_BAD_SHAPE when a picture is not whole.
SeamStatus seam_localise_forward(const SeamLocalise *l, SeamRun *run, const SeamTokens *tokens,
                                 SeamLocaliseOut *out, SeamLocaliseSaved *saved);
// dlogits as out->logits -> dx [n, dim] (=; 0 for tokens that are not patches).
SeamStatus seam_localise_backward(const SeamLocalise *l, SeamRun *run,
                                  const SeamLocaliseSaved *saved, const float *dlogits, float *dx);
size_t seam_localise_bytes(const SeamLocalise *l, int32_t n, bool train);
