// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of filled gaps.
#include "core/train/metrics_signal.h"

#include <math.h>

// The nearest stretch that is there from `at` on, in steps of `way`; -1: none.
static int32_t nearest(const float *level, int32_t stretches, int32_t step, int32_t at, int32_t way) {
    for (; at >= 0 && at < stretches; at += way)
        if (!isnan(level[at * step]))
            return at;
    return -1;
}

double seam_signal_line(const float *level, int32_t stretches, int32_t step, int32_t at) {
    int32_t before = nearest(level, stretches, step, at, -1), after = nearest(level, stretches, step, at, 1);
    if (before < 0 && after < 0)
        return NAN;
    if (before < 0 || after < 0 || before == after)
        return level[(before < 0 ? after : before) * step];
    double share = (double)(at - before) / (after - before);
    return level[before * step] + share * (level[after * step] - level[before * step]);
}

double seam_signal_mean(const float *level, int32_t stretches, int32_t step) {
    double sum = 0;
    int32_t n = 0;
    for (int32_t s = 0; s < stretches; s++)
        if (!isnan(level[s * step])) {
            sum += level[s * step];
            n++;
        }
    return n > 0 ? sum / n : NAN;
}

static double squared(double value, double truth) {
    double error = (isnan(value) ? 0 : value) - truth;
    return error * error;
}

void seam_signal_sums_add(void *sums, const SeamSignalTold *told) {
    SeamSignalSums *s = sums;
    seam_forecast_sums_add(&s->told, told->quantile, told->truth);
    s->squares += squared(told->quantile[SEAM_FORECAST_QUANTILES / 2], told->truth);
    s->squares_line += squared(told->line, told->truth);
    s->squares_mean += squared(told->mean, told->truth);
}

double seam_signal_rmse(const SeamSignalSums *sums, double squares) {
    return sums->told.n > 0 ? sqrt(squares / (double)sums->told.n) : NAN;
}
