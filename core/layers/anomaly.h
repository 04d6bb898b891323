// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "anomaly": how far a window is from a memory of good ones, a modality apart. It needs no
// defects to be set up. It owns the memory, which is data and not parameters; nothing here is
// trained by gradient.
#pragma once

#include "core/config.h"
#include "core/layers/patches.h"
#include "core/run.h"
#include "core/safetensors.h"
#include "core/tokens.h"

enum {
    SEAM_ANOMALY_TENSORS = 4, // rows, mean, std, calibration
    SEAM_ANOMALY_EXPORTS = SEAM_ANOMALY_TENSORS + SEAM_PATCH_TENSORS, // of one modality, at most
};

// The good windows of one modality.
typedef struct {
    int32_t n;            // rows; 0: this modality is not scored
    float *rows;          // standardised features [n, width]
    float *mean, *std;    // of the features before standardising [width]
    float calibration[2]; // mean and standard deviation of the distances of held-back good windows
    char name[SEAM_ANOMALY_TENSORS][SEAM_NAME_LENGTH + 24]; // "memory.MODALITY.rows" and so on
} SeamAnomalyMemory;

typedef struct {
    int32_t dim, width; // width of a feature: 2 * dim
    int32_t most, neighbours, modalities;
    SeamAnomalyMemory memory[SEAM_MAX_MODALITIES];
    SeamPatches patches; // where in a picture; apart from the windows' distances
} SeamAnomaly;

void seam_anomaly_declare(SeamAnomaly *a, const SeamConfig *config, int32_t task);
void seam_anomaly_clear(SeamAnomaly *a);       // frees the memory; the shape stays
bool seam_anomaly_ready(const SeamAnomaly *a); // at least one modality has a memory

// features [windows, modalities, width] (0 where absent), present [windows] modality bits; both the
// caller's.
SeamStatus seam_anomaly_features(const SeamAnomaly *a, SeamRun *run, const SeamTokens *tokens,
                                 float *features, uint32_t *present);
// Features of `windows` windows to distance [windows, modalities], in standard deviations of good
// ones (0 where there is none). scored [windows]: in, bits of what is present; out, of what could be
// scored.
SeamStatus seam_anomaly_score(const SeamAnomaly *a, SeamRun *run, int32_t windows,
                              const float *features, float *distance, uint32_t *scored);
// Both in one: of fused tokens.
SeamStatus seam_anomaly_forward(const SeamAnomaly *a, SeamRun *run, const SeamTokens *tokens,
                                float *distance, uint32_t *scored);
size_t seam_anomaly_bytes(const SeamAnomaly *a, int32_t windows);

// Learns one modality: features [n, width] go into the memory (a coreset of them when there are
// more than `most`), held [n_held, width] set the scale of distances. n >= 1, n_held >= 2. Replaces
// what was there.
bool seam_anomaly_fit(SeamAnomaly *a, int32_t modality, const float *features, int32_t n,
                      const float *held, int32_t n_held, const SeamKernels *kernels, uint64_t seed,
                      GError **error);
// Reads the tensors memory.MODALITY.*, those of patches included, that the file has; all checked. On failure the memory stays
// empty.
bool seam_anomaly_load(SeamAnomaly *a, const SeamSafetensors *file, GError **error);
// Fills out[0 .. SEAM_ANOMALY_EXPORTS * modalities); returns how many. They point into `a`.
int32_t seam_anomaly_export(const SeamAnomaly *a, SeamNamedArray *out);
