// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What good welds look like to the model: features of their windows, gathered once, and the anomaly memory fitted on some of them. Owns the features.
#pragma once

#include "core/train/evaluate.h"

// Rows of each modality, and the record that each row is of.
typedef struct {
    int32_t task, width;              // the anomaly task and the length of a row; task -1: the model has none
    GArray *row[SEAM_MAX_MODALITIES]; // of float [rows, width]
    GArray *record[SEAM_MAX_MODALITIES]; // of int32_t [rows]
    const SeamPatches *patches;       // the task's; NULL: none
    GPtrArray *picture[SEAM_MAX_MODALITIES]; // of float *, features [grid^2, patches->width] of a picture; by lot when 256 MiB are full
    GArray *picture_record[SEAM_MAX_MODALITIES]; // of int32_t [pictures]
    int64_t seen[SEAM_MAX_MODALITIES]; // pictures that came by
} SeamFeatures;

// Empty, for a model; and the features of one window added, row [modalities, width]; and those of the patches of its pictures.
void seam_features_open(SeamFeatures *f, const SeamModel *model);
void seam_features_add(SeamFeatures *f, int32_t record, uint32_t present, const float *row);
void seam_features_add_patches(SeamFeatures *f, int32_t record, const SeamTokens *fused);
// Of the records with use[i]: every window with everything it has, and with each modality alone, because fusion mixes what is there.
bool seam_features_gather(SeamFeatures *f, const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const bool *use, int32_t frames,
                          GError **error);
void seam_features_clear(SeamFeatures *f);

// Fits the memory of each modality that has enough rows: those of records with in[i] are kept, those with held[i] set the scale. The model must not
// be in use. A modality with too few good windows is left without memory.
bool seam_memory_fit(SeamModel *model, const SeamFeatures *f, const bool *in, const bool *held, const SeamKernels *kernels, uint64_t seed,
                     GError **error);
// The same for the patches of pictures, where the task has them.
bool seam_memory_fit_patches(SeamModel *model, const SeamFeatures *f, const bool *in, const bool *held, const SeamKernels *kernels, uint64_t seed,
                             GError **error);
// Where `held` is everything that is in: every fourth record in turn is held back for the scale (the memory is then fitted on all).
void seam_memory_halves(const SeamDataset *data, const bool *use, bool *in, bool *held);
