// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of forecasts (Gneiting and Raftery 2007, "Strictly proper scoring rules", sec. 6.1: the pinball loss is proper for quantiles).
#include "core/train/metrics_forecast.h"

#include <math.h>

void seam_forecast_sums_add(SeamForecastSums *sums, const double quantile[SEAM_FORECAST_QUANTILES], double truth) {
    if (isnan(truth))
        return;
    sums->n++;
    sums->inside += truth >= quantile[0] && truth <= quantile[SEAM_FORECAST_QUANTILES - 1];
    sums->pinball += seam_forecast_pinball(quantile, truth);
}

double seam_forecast_mean_pinball(const SeamForecastSums *sums) {
    return sums->n > 0 ? sums->pinball / (double)sums->n : NAN;
}

double seam_forecast_coverage(const SeamForecastSums *sums) {
    return sums->n > 0 ? (double)sums->inside / (double)sums->n : NAN;
}
