// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Features to tokens: columns of a table that others have computed, cut into runs, a token a run.
// It owns the parameters "embed.MODALITY.*" of a feature modality. It knows nothing of what a column
// means; a reading is a window with one sample.
#pragma once

#include "core/layers/project.h"
#include "core/sensor_window.h"

typedef struct {
    int32_t modality, channels, dim, tokens, quantiles;
    float mean[SEAM_MAX_FEATURES], inverse_std[SEAM_MAX_FEATURES];
    SeamTensor *table;  // "embed.NAME.quantiles" [channels, quantiles], of (x - mean) / std; not trained but measured; or NULL
    SeamTensor *weight; // "embed.NAME.weight" [channels, dim]
    SeamTensor *bias;   // "embed.NAME.bias" [tokens, dim]
} SeamFeatureEmbed;

typedef struct {
    int32_t rows;             // readings that hold anything
    float *z;                 // [rows, channels]
    SeamProjectSaved project; // of the stage that follows (model.h)
} SeamFeatureEmbedSaved;

void seam_feature_embed_declare(SeamFeatureEmbed *e, SeamParams *params, const SeamConfig *config,
                                int32_t modality);
// One sequence a window; a reading of which every column is missing gives an empty one.
SeamStatus seam_feature_embed_forward(const SeamFeatureEmbed *e, SeamRun *run, int32_t windows,
                                      const SeamSensorWindow *window, SeamTokens *features,
                                      SeamFeatureEmbedSaved *saved);
SeamStatus seam_feature_embed_backward(const SeamFeatureEmbed *e, SeamRun *run,
                                       const SeamFeatureEmbedSaved *saved, const float *dfeatures);
size_t seam_feature_embed_bytes(const SeamFeatureEmbed *e, int32_t windows);
