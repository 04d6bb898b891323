// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "rul": how long a thing will last, as a distribution over time. It owns the parameters "tasks.NAME.*" of a rul task, which are
// those of classify.h with a logit a bin in place of a class, and it owns the distribution: likelihood, mean, quantiles. What a promised
// interval is made of those is conformal.h's business.
#pragma once

#include "core/layers/classify.h"

typedef struct {
    SeamClassify evidence; // its logits are those of the hazards; its classes are the bins
    int32_t bins;
    double limit;          // seconds; a life that lasts longer counts as so long
} SeamSurvival;

void seam_survival_declare(SeamSurvival *s, SeamParams *params, const SeamConfig *config, int32_t task);

// The negative log likelihood, mean over the windows whose `remaining` [windows] (seconds; NaN: not known) is known. logits, dlogits
// [windows, bins]; dlogits = scale * gradient. 0 when none is known.
double seam_survival_loss(const SeamSurvival *s, int32_t windows, const float *logits, const double *remaining, double scale, float *dlogits);

// Of one window, logits [bins]; NaN when a logit is not a number. All are within 0 .. limit.
double seam_survival_mean(const SeamSurvival *s, const float *logits);
// The time before which the life ends with probability p, 0 < p < 1.
double seam_survival_quantile(const SeamSurvival *s, const float *logits, double p);
