// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What came after a window: the truth that a forecast learns from and is measured by. Stateless.
#pragma once

#include "core/train/runs.h"

// Samples after a window of a sensor modality that a task of the model forecasts; 0: none does.
int32_t seam_ahead_samples(const SeamConfig *config, int32_t modality);
// Whether the record goes on for so long after a window that begins at `start`.
bool seam_ahead_exists(const SeamConfig *config, int32_t modality, const SeamRecord *record, double start);
// level [channels]: the mean of n samples x [n, channels] of each channel; NaN where fewer than half are there.
void seam_ahead_level(int32_t channels, int32_t n, const float *x, float *level);
// The same of what follows the window of a record that begins at `start`; all NaN when the record ends before.
void seam_ahead_truth(const SeamConfig *config, int32_t modality, const SeamRecord *record, double start, float *level);
