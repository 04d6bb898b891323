// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a step of the training draws: windows by class and by lot, each alone or the last of a stretch of its recording. It owns the list of the places
// where windows may begin. What is drawn depends on the seed and the step's number alone.
#pragma once

#include "core/train/batch.h"
#include "core/train/dataset.h"

typedef struct {
    const SeamRecipe *recipe;
    const SeamConfig *config;
    const SeamDataset *data;
    GArray *candidate[SEAM_MAX_CLASSES]; // of places where windows of that class may begin
    double *reach[SEAM_MAX_CLASSES];     // of the candidates (core/train/lot.h); NULL: all weigh the same
} SeamDraw;

// Of the records of SEAM_PART_TRAIN; config: of the model that is trained. False when there is nothing to learn from, or the recipe's "chunks" make no
// sense with these data.
bool seam_draw_init(SeamDraw *draw, const SeamRecipe *recipe, const SeamConfig *config, const SeamDataset *data, const SeamPart *part, GError **error);
void seam_draw_clear(SeamDraw *draw);
// Fills the batch, which has room for batch * chunks windows, with the draws number `lot` .. lot + batch - 1.
void seam_draw_fill(const SeamDraw *draw, uint64_t lot, SeamBatch *batch);
