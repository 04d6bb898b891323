// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Nearest neighbours, for the memories of good windows and good patches: which rows to keep, and how far a row is from what was kept. Owns nothing.
#pragma once

#include "core/run.h"

enum { SEAM_MAX_NEIGHBOURS = 64 };

// Mean of the k smallest distances, from their squares [n]. A feature that is NaN makes all squares NaN, and so the mean. k <= SEAM_MAX_NEIGHBOURS.
float seam_nearest_mean(int32_t n, int32_t k, const float *squared);

// Greedy k-centre (Sener 2018, algorithm 1): the first row by lot, then always the row that is farthest from those chosen. rows [n, width]: the
// `most` chosen ones are swapped to the front. scratch [2 * n].
SeamStatus seam_nearest_coreset(const SeamKernels *kernels, float *rows, int32_t n, int32_t width, int32_t most, uint64_t seed, float *scratch);
