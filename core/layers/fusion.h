// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The fusion of modalities: the sequences of a window become one, whose tokens attend sparsely
// across modalities and time. It owns the parameters "fusion.*".
#pragma once

#include "core/layers/attention.h"
#include "core/layers/norm.h"

enum {
    SEAM_MAX_FUSION_LAYERS = 16,
    SEAM_FUSION_FREQUENCIES = 8,
    SEAM_FUSION_FEATURES = 2 * SEAM_FUSION_FREQUENCIES, // a sine and a cosine each
};

typedef struct {
    SeamNorm norm1, norm2; // "fusion.L.norm1.*", "fusion.L.norm2.*"
    SeamAttentionLayer attention;
    SeamLinear up, down; // "fusion.L.up.*" [width, dim], "fusion.L.down.*" [dim, width]
} SeamFusionLayer;

typedef struct {
    int32_t dim, layers, width, modalities;
    float inverse_window; // 1 / seconds
    float gate_threshold; // in inference
    SeamTensor *time;     // "fusion.time.weight" [dim, SEAM_FUSION_FEATURES]
    SeamTensor *modality; // "fusion.modality" [modalities, dim]
    SeamFusionLayer layer[SEAM_MAX_FUSION_LAYERS];
} SeamFusion;

typedef struct {
    SeamNormSaved norm1, norm2;
    float *hidden; // [n, width] before gelu
    SeamAttentionSaved attention;
} SeamFusionLayerSaved;

// All in the arena of the forward pass.
typedef struct {
    int32_t n;
    int32_t *row;           // [n] where each input token went
    const SeamPlace *place; // [n] of the joined tokens
    float *fourier;         // [n, SEAM_FUSION_FEATURES]
    SeamFusionLayerSaved layer[SEAM_MAX_FUSION_LAYERS];
} SeamFusionSaved;

// One layer, alone: also a block of the text decoder. `train`: s is filled.
void seam_fusion_layer_declare(SeamFusionLayer *layer, SeamParams *params, const char *prefix, int32_t dim, int32_t heads, int32_t width);
SeamStatus seam_fusion_layer_forward(const SeamFusionLayer *layer, SeamRun *run, const SeamPattern *pattern, float gate_threshold, float *x,
                                     SeamFusionLayerSaved *saved);
SeamStatus seam_fusion_layer_backward(const SeamFusionLayer *layer, SeamRun *run, const SeamFusionLayerSaved *s, float *dx);

void seam_fusion_declare(SeamFusion *f, SeamParams *params, const SeamConfig *config);

// Joins the sequences of each window (see seam_model_fuse). out: new memory in the arena; row
// [in->n], the caller's. SEAM_BAD_SHAPE when a window or modality is out of range.
SeamStatus seam_fusion_join(const SeamFusion *f, SeamRun *run, const SeamTokens *in,
                            int32_t windows, const int32_t *window_of, const double *window_time,
                            SeamTokens *out, int32_t *row);
// tokens: joined, their x in place. pattern: seam_pattern_fusion of them. saved: NULL in inference,
// else with row set.
SeamStatus seam_fusion_forward(const SeamFusion *f, SeamRun *run, const SeamPattern *pattern,
                               const SeamTokens *tokens, SeamFusionSaved *saved);
// dx [n, dim] of the joined tokens in place: of the output in, of the input out.
SeamStatus seam_fusion_backward(const SeamFusion *f, SeamRun *run, const SeamFusionSaved *saved,
                                float *dx);
// Bytes of arena at most of joining and of all layers, with row but without the pattern.
size_t seam_fusion_bytes(const SeamFusion *f, int32_t n, int32_t windows, bool train);
