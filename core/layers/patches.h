// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where a picture is unlike good ones: the distance of each of its patches to a memory of good patches. It belongs to the task "anomaly", needs no
// defects, and is not trained by gradient. It owns its memory. It says where, not whether: that is the whole window's distance (anomaly.h).
#pragma once

#include "core/config.h"
#include "core/run.h"
#include "core/safetensors.h"
#include "core/tokens.h"

enum { SEAM_PATCH_TENSORS = 2 }; // rows, scale

// The good patches of one modality.
typedef struct {
    int32_t n;     // rows; 0: there is no map of this modality
    float *rows;   // features [n, width]
    float scale;   // the largest distance in a good picture that is not in the memory, on average; over 0
    char name[SEAM_PATCH_TENSORS][SEAM_NAME_LENGTH + 24]; // "memory.MODALITY.patches" and "memory.MODALITY.patch_scale"
} SeamPatchMemory;

typedef struct {
    int32_t dim, reach, width; // width of a feature: reach^2 * dim; reach 0: the task has no patches
    int32_t most, neighbours, modalities;
    int32_t grid[SEAM_MAX_MODALITIES]; // of a picture; 0: not pictures
    SeamPatchMemory memory[SEAM_MAX_MODALITIES];
} SeamPatches;

void seam_patches_declare(SeamPatches *p, const SeamConfig *config, int32_t task);
void seam_patches_clear(SeamPatches *p);

// The first token of the next whole picture at or after token `from`, or -1.
int32_t seam_patches_next(const SeamPatches *p, const SeamTokens *tokens, int32_t from);
// The features of the picture that begins at token `first`: rows [grid^2, width], the caller's.
void seam_patches_features(const SeamPatches *p, const SeamTokens *tokens, int32_t first, float *rows);
// map [grid, grid] of that picture, 0 to 1 (below): the modality has a memory. SEAM_DEVICE_ERROR when a distance is not a number.
SeamStatus seam_patches_map(const SeamPatches *p, SeamRun *run, const SeamTokens *tokens, int32_t first, float *map);
size_t seam_patches_bytes(const SeamPatches *p);

// Learns one modality: rows [n, width] go into the memory (a coreset of them when there are more than `most`; reorders them); held [pictures, grid^2,
// width] set the scale. n >= 1, pictures >= 1. Replaces what was there.
bool seam_patches_fit(SeamPatches *p, int32_t modality, float *rows, int32_t n, const float *held, int32_t pictures, const SeamKernels *kernels,
                      uint64_t seed, GError **error);
// Reads the tensors that the file has; all checked. On failure the memory stays empty.
bool seam_patches_load(SeamPatches *p, const SeamSafetensors *file, GError **error);
// Fills out[0 .. 2] for a modality that has a memory; returns how many. They point into `p`.
int32_t seam_patches_export(const SeamPatches *p, int32_t modality, SeamNamedArray *out);
