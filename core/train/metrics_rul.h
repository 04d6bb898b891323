// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of remaining lives. Pure functions of lists; what cannot be computed is NaN.
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

// One life: how long it truly lasts and what was said, seconds, both cut at the task's limit. low, high: NaN where no interval was promised.
typedef struct {
    double truth, said, low, high;
} SeamLife;

typedef struct {
    int32_t n;
    double rmse;           // root of the mean squared error, seconds
    double score;          // PHM 2008: sum of exp(-d / 13) - 1 where d = said - truth < 0, exp(d / 10) - 1 else; late costs more than early
    double coverage;       // share of truths within their intervals
    double interval_width; // mean, seconds
} SeamLifeMetrics;

// times [n]: how often each life counts; NULL: once.
void seam_metric_lives(int32_t n, const SeamLife *life, const int32_t *times, SeamLifeMetrics *out);
