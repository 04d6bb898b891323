// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of remaining lives (score: Saxena 2008, "Damage propagation modeling for aircraft engine run-to-failure simulation", eq. 11).
#include "core/train/metrics_rul.h"

#include <math.h>

static const double early = 13, late = 10; // seconds (cycles) of error that cost e - 1

void seam_metric_lives(int32_t n, const SeamLife *life, SeamLifeMetrics *out) {
    double squares = 0, score = 0, width = 0;
    int32_t promised = 0, held = 0;
    for (int32_t i = 0; i < n; i++) {
        const SeamLife *l = &life[i];
        double d = l->said - l->truth;
        squares += d * d;
        score += d < 0 ? expm1(-d / early) : expm1(d / late);
        if (isnan(l->low) || isnan(l->high))
            continue;
        promised++;
        held += l->truth >= l->low && l->truth <= l->high;
        width += l->high - l->low;
    }
    *out = (SeamLifeMetrics){.n = n,
                             .rmse = n > 0 ? sqrt(squares / n) : NAN,
                             .score = n > 0 ? score : NAN,
                             .coverage = promised > 0 ? (double)held / promised : NAN,
                             .interval_width = promised > 0 ? width / promised : NAN};
}
