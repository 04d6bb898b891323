// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of remaining lives (score: Saxena 2008, "Damage propagation modeling for aircraft engine run-to-failure simulation", eq. 11).
#include "core/train/metrics_rul.h"

#include <math.h>

static const double early = 13, late = 10; // seconds (cycles) of error that cost e - 1

void seam_metric_lives(int32_t n, const SeamLife *life, const int32_t *times, SeamLifeMetrics *out) {
    double squares = 0, score = 0, width = 0;
    int32_t count = 0, promised = 0, held = 0;
    for (int32_t i = 0; i < n; i++) {
        const SeamLife *l = &life[i];
        int32_t w = times ? times[i] : 1;
        double d = l->said - l->truth;
        if (w == 0)
            continue;
        count += w;
        squares += w * d * d;
        score += w * (d < 0 ? expm1(-d / early) : expm1(d / late));
        if (isnan(l->low) || isnan(l->high))
            continue;
        promised += w;
        held += l->truth >= l->low && l->truth <= l->high ? w : 0;
        width += w * (l->high - l->low);
    }
    *out = (SeamLifeMetrics){.n = count,
                             .rmse = count > 0 ? sqrt(squares / count) : NAN,
                             .score = count > 0 ? score : NAN,
                             .coverage = promised > 0 ? (double)held / promised : NAN,
                             .interval_width = promised > 0 ? width / promised : NAN};
}
