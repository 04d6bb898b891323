// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Folders of features that others computed: features.npy [rows, columns], columns.csv (column, modality, name), index.csv (row, label, group, ...). It owns the
// matrix and which of its columns each modality of a model reads. Of index.csv it knows the row alone: what a weld was set to is never an input.
#pragma once

#include "core/train/numpy.h"
#include "core/train/runs.h"

typedef struct {
    SeamMatrix matrix;
    int32_t *column[SEAM_MAX_MODALITIES]; // [channels] of each feature modality, rising; NULL: the folder has none of it
} SeamFeatureFolder;

bool seam_feature_folder_found(const char *path);
// NULL with an error when no modality of the model is in the folder, or one has another number of columns there.
SeamFeatureFolder *seam_feature_folder_open(const SeamConfig *config, const char *path, GError **error);
void seam_feature_folder_free(SeamFeatureFolder *folder);
// One reading of each modality, over one window. row: below matrix.rows.
void seam_feature_folder_take(const SeamFeatureFolder *folder, const SeamConfig *config, int32_t row, SeamRecord *record);
