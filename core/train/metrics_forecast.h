// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of forecasts: added up value by value, asked once.
#pragma once

#include <stdint.h>

#include "core/layers/generate_forecast.h"

typedef struct {
    int64_t n, inside;
    double pinball; // sum
} SeamForecastSums;

// One channel of one window, in units of its spread.
void seam_forecast_sums_add(SeamForecastSums *sums, const double quantile[SEAM_FORECAST_QUANTILES], double truth);
// Mean pinball loss, and the share of truths between the outer quantiles (0.9 is right); NaN when there were none.
double seam_forecast_mean_pinball(const SeamForecastSums *sums);
double seam_forecast_coverage(const SeamForecastSums *sums);
