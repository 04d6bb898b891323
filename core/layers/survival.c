// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Remaining life in discrete time (Gensheimer and Narasimhan 2019; Kvamme and Borgan 2019, sec. 3.1). The life T lies on the grid
// t_k = k limit / bins, k = 0 .. bins; the last point stands for all lives that reach the limit. Logits z_k (additive evidence, classify.c):
//
//   h_k = sigmoid(z_k) = P(T = t_k | T >= t_k),  k < bins
//   S_k = P(T >= t_k) = prod_{j<k} (1 - h_j),    p_k = S_k h_k,  p_bins = S_bins
//
// A life between t_k and t_{k+1} counts as t_k with weight 1 - a and as t_{k+1} with weight a, so that the mean of the grid is the life itself:
//
//   L_i = sum_j s_j softplus(z_j) + e_j softplus(-z_j)
//         s_j: weight with which the life outlasts t_j,  e_j: weight with which it ends there
//   dL_i/dz_j = s_j h_j - e_j (1 - h_j)
//
// A life of the limit or more outlasts every t_j and ends at none: it is censored there. L = mean of L_i.
//
//   mean     = sum_k p_k t_k = limit / bins * sum_{k>0} S_k       (of the life, cut at the limit: restricted mean)
//   quantile : P(T <= t) runs straight between 1 - S_k + p_k / 2 at the points t_k
#include "core/layers/survival.h"

#include <math.h>
#include <string.h>

void seam_survival_declare(SeamSurvival *s, SeamParams *params, const SeamConfig *config, int32_t task) {
    *s = (SeamSurvival){.bins = config->task[task].bins, .limit = config->task[task].limit};
    seam_classify_declare(&s->evidence, params, config, task);
}

static double softplus(double z) {
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

static double sigmoid(double z) {
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

// One window: its likelihood; dlogits [bins] = scale * gradient.
static double life_loss(const SeamSurvival *s, const float *logits, double remaining, double scale, float *dlogits) {
    double at = fmin(fmax(remaining, 0), s->limit) / s->limit * s->bins, loss = 0;
    int32_t k = MIN((int32_t)at, s->bins);
    double a = at - k; // 0 at the limit
    for (int32_t j = 0; j < s->bins; j++) {
        double outlasts = j < k ? 1 : j == k ? a : 0, ends = j == k ? 1 - a : j == k + 1 ? a : 0, z = logits[j], h = sigmoid(z);
        loss += outlasts * softplus(z) + ends * softplus(-z);
        dlogits[j] = (float)(scale * (outlasts * h - ends * (1 - h)));
    }
    return loss;
}

double seam_survival_loss(const SeamSurvival *s, int32_t windows, const float *logits, const double *remaining, double scale, float *dlogits) {
    double loss = 0;
    int32_t known = 0;
    memset(dlogits, 0, (size_t)windows * s->bins * sizeof *dlogits);
    for (int32_t w = 0; w < windows; w++)
        known += !isnan(remaining[w]);
    for (int32_t w = 0; w < windows; w++)
        if (!isnan(remaining[w]))
            loss += life_loss(s, logits + (size_t)w * s->bins, remaining[w], scale / known, dlogits + (size_t)w * s->bins) / known;
    return loss;
}

double seam_survival_mean(const SeamSurvival *s, const float *logits) {
    double survival = 1, sum = 0;
    for (int32_t k = 0; k < s->bins; k++) {
        survival *= 1 - sigmoid(logits[k]);
        sum += survival;
    }
    return sum * s->limit / s->bins;
}

double seam_survival_quantile(const SeamSurvival *s, const float *logits, double p) {
    double survival = 1, before = 0, step = s->limit / s->bins;
    for (int32_t k = 0; k <= s->bins; k++) {
        double ends = k < s->bins ? survival * sigmoid(logits[k]) : survival;
        double ended = 1 - survival + ends / 2; // P(T <= t_k)
        if (isnan(ended))
            return NAN;
        if (ended >= p)
            return k == 0 ? 0 : step * (k - (ended - p) / (ended - before));
        before = ended;
        survival -= ends;
    }
    return s->limit;
}
