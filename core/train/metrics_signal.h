// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of filled gaps, beside two plain ways to fill them. In units of the channels' spread.
#pragma once

#include "core/train/metrics_forecast.h"

// One hidden stretch of a channel. line, mean: seam_signal_line and seam_signal_mean; NaN counts as 0, the channel's mean in training.
typedef struct {
    double quantile[SEAM_FORECAST_QUANTILES], line, mean, truth;
} SeamSignalTold;

// Sums over hidden stretches of channels.
typedef struct {
    SeamForecastSums told;
    double squares, squares_line, squares_mean; // of the errors of the median, of the line, of the mean
} SeamSignalSums;

// level: of a channel's stretches in a window, `step` values apart, NaN where there is none. The line between the nearest ones before and after `at`
// (beyond the first and the last one that one's level), and the mean of all. NaN where there is no stretch at all.
double seam_signal_line(const float *level, int32_t stretches, int32_t step, int32_t at);
double seam_signal_mean(const float *level, int32_t stretches, int32_t step);

void seam_signal_sums_add(void *sums, const SeamSignalTold *told); // SeamSignalSums; a SeamSignalFunc (evaluate_signal.h)
// The root of the mean of one of the sums of squares; NaN when there were none.
double seam_signal_rmse(const SeamSignalSums *sums, double squares);
