// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "generate" of a "signal": the level of each stretch and channel of a sensor that is missing in a window, as three quantiles. It owns the
// parameters "tasks.NAME.*" of such a task. What training hides, and what truly was there, is training's business (core/train/hide.h).
#pragma once

#include "core/layers/fusion.h"
#include "core/layers/generate_forecast.h"

enum { SEAM_SIGNAL_QUANTILES = SEAM_FORECAST_QUANTILES };

// A stretch of a channel in one of the windows.
typedef struct {
    int32_t window, stretch, channel;
} SeamSignalQuery;

typedef struct {
    int32_t dim, modality, channels, stretches;
    bool together;      // a token holds all channels of a stretch: they are missing together
    double seconds;     // of a stretch
    float inverse_window; // 1 / seconds
    float mean[SEAM_MAX_CHANNELS], std[SEAM_MAX_CHANNELS]; // of the channels, in their units
    SeamAdapter adapter;
    SeamNorm norm;      // "tasks.NAME.norm.*"
    SeamTensor *query;  // "tasks.NAME.query" [channels, dim]
    SeamTensor *time;   // "tasks.NAME.time" [dim, SEAM_FUSION_FEATURES]
    SeamTensor *weight; // "tasks.NAME.weight" [channels * 3, dim]
    SeamTensor *bias;   // "tasks.NAME.bias" [channels * 3]
} SeamSignal;

typedef struct {
    int32_t n, queries;
    const int32_t *start; // [windows + 1] of the tokens
    const SeamSignalQuery *query;
    SeamAdapterSaved adapter;
    float *z, *u;         // adapter's output, normed [n, dim]
    float *mean, *rstd;   // [n]
    float *fourier;       // of the tokens' times, then of the queries' [n + queries, SEAM_FUSION_FEATURES]
    float *key;           // [n, dim]
    float *q;             // the queries [queries, dim]
    float *weight;        // of pooling, a row a query as long as its window has tokens
    float *pooled;        // [queries, dim]
} SeamSignalSaved;

void seam_signal_declare(SeamSignal *s, SeamParams *params, const SeamConfig *config, int32_t task);

// What is missing in a window, by stretch, then channel: what of the sensor's grid has no token among `tokens`, the n of window number `window`. query
// [stretches * channels]. None where the sensor has no token at all, and where compression has merged some of it: then a token's time no longer says which
// stretches there were.
SeamStatus seam_signal_missing(const SeamSignal *s, SeamRun *run, const SeamTokens *tokens, int32_t window, SeamSignalQuery *query, int32_t *n);

// tokens: one fused sequence a window. query [n], by rising window. *logits [n, 3] in the arena; an empty window gives the bias.
SeamStatus seam_signal_forward(const SeamSignal *s, SeamRun *run, const SeamTokens *tokens, int32_t n, const SeamSignalQuery *query, float **logits,
                               SeamSignalSaved *saved);
// dlogits [queries, 3] -> dx [n, dim] (=).
SeamStatus seam_signal_backward(const SeamSignal *s, SeamRun *run, const SeamSignalSaved *saved, const float *dlogits, float *dx);
// Of one window of n tokens in inference with all that may be missing, and the list of that.
size_t seam_signal_bytes(const SeamSignal *s, int32_t n);

// Mean pinball loss of the queries' truths [n] (in the channels' units), in units of the spread. dlogits = scale * gradient. 0 when there is none.
double seam_signal_loss(const SeamSignal *s, int32_t n, const SeamSignalQuery *query, const float *logits, const float *truth, double scale, float *dlogits);
