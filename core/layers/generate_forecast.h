// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "generate" of a "forecast": the level of each channel of a sensor in the next window, as three quantiles. It owns the parameters
// "tasks.NAME.*" of such a task. What truly came is training's business (core/train/ahead.h).
#pragma once

#include "core/config.h"
#include "core/layers/adapter.h"
#include "core/tokens.h"

enum { SEAM_FORECAST_QUANTILES = 3 };
extern const double seam_forecast_share[SEAM_FORECAST_QUANTILES]; // 0.05, 0.5, 0.95

typedef struct {
    int32_t dim, modality, channels;
    float mean[SEAM_MAX_CHANNELS], std[SEAM_MAX_CHANNELS]; // of the channels, in their units
    SeamAdapter adapter;
    SeamNorm norm;      // "tasks.NAME.norm.*"
    SeamTensor *query;  // "tasks.NAME.query" [channels, dim]
    SeamTensor *weight; // "tasks.NAME.weight" [channels * 3, dim]
    SeamTensor *bias;   // "tasks.NAME.bias" [channels * 3]
} SeamForecast;

typedef struct {
    int32_t n, windows;
    const int32_t *start; // [windows + 1] of the tokens
    SeamAdapterSaved adapter;
    float *z, *u;         // adapter's output, normed [n, dim]
    float *mean, *rstd;   // [n]
    float *weight;        // of pooling [channels, n]
    float *pooled;        // [channels, windows, dim]
} SeamForecastSaved;

void seam_forecast_declare(SeamForecast *f, SeamParams *params, const SeamConfig *config, int32_t task);
// tokens: one fused sequence a window. *logits [windows, channels, 3] in the arena; an empty window gives the bias.
SeamStatus seam_forecast_forward(const SeamForecast *f, SeamRun *run, const SeamTokens *tokens, float **logits, SeamForecastSaved *saved);
// dlogits [windows, channels, 3] -> dx [n, dim] (=).
SeamStatus seam_forecast_backward(const SeamForecast *f, SeamRun *run, const SeamForecastSaved *saved, const float *dlogits, float *dx);
size_t seam_forecast_bytes(const SeamForecast *f, int32_t n, int32_t windows, bool train);

// Three logits of one channel to its quantiles, rising, in units of the channel's spread around its mean.
void seam_forecast_quantiles(const float logits[SEAM_FORECAST_QUANTILES], double quantile[SEAM_FORECAST_QUANTILES]);
// The pinball loss of one truth: mean over the three shares.
double seam_forecast_pinball(const double quantile[SEAM_FORECAST_QUANTILES], double truth);
// The same of three logits, its gradient times scale / count in dlogits: a part of a mean over `count` truths.
double seam_forecast_step(const float logits[SEAM_FORECAST_QUANTILES], double truth, double scale, size_t count, float dlogits[SEAM_FORECAST_QUANTILES]);
// Mean pinball loss over the channels of the windows whose truth [windows, channels] is known (not NaN), in units of the spread. dlogits = scale *
// gradient. 0 when none is known.
double seam_forecast_loss(const SeamForecast *f, int32_t windows, const float *logits, const float *truth, double scale, float *dlogits);
