// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Cuts a sensor stream into the windows that the model sees. It owns the samples that wait for their window to fill, the change of
// rate, and the grid: windows start at whole multiples of the model's window on the running time. It knows the
// stream only as (time, samples); what is missing stays missing (NaN), nothing is invented over a gap longer than half a stretch.
#pragma once

#include "core/config.h"
#include "core/tokens.h"

// One window of one sensor modality, in physical units, NaN where there is nothing.
typedef struct {
    double time;      // running time of its first sample, seconds
    int32_t samples;  // window * rate
    const float *x;   // [samples, channels]; owned by the windower until the next pop
    int32_t valid;    // samples with at least one channel present
    const SeamLevel *levels; // arc level over time, at most 50 a second
    int32_t n_levels;
} SeamSensorWindow;

typedef struct SeamWindower SeamWindower;

// `rate`: samples a second of the input (any, > 0). channels must be the modality's. NULL with an error when memory is short.
SeamWindower *seam_windower_new(const SeamConfig *config, int32_t modality, double rate, GError **error);
void seam_windower_free(SeamWindower *w);
// Samples that follow `time`; a jump forward against the expected time leaves NaN, a jump back by more than one sample is an error
// (SEAM_ERROR_VALUE). x is [n, channels] interleaved.
bool seam_windower_push(SeamWindower *w, double time, const float *x, int32_t n, GError **error);
// The stretch from the end of what came to `time` is known to be missing (a GAP event).
bool seam_windower_gap(SeamWindower *w, double time, GError **error);
// Gives the oldest complete window; false when there is none. With `drain`, an incomplete last one too, its rest NaN.
// Windows without any valid sample are given as well (valid == 0), so that time goes on.
bool seam_windower_pop(SeamWindower *w, bool drain, SeamSensorWindow *window);
// Forgets everything (flush); the next push may start anywhere.
void seam_windower_reset(SeamWindower *w);
