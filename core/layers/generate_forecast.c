// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Forecast by quantile regression (Koenker and Bassett 1978, "Regression quantiles", eq. 2.4).
//
//   u = LN(adapter(x))                                        [n, dim]
//   e_c = u s_c                                               [n] for each channel c
//   p_wc = sum over all tokens i of window w of softmax_i(e_ic + log n_i) u_i   [dim], n_i: how many tokens i stands for (attention
//                                                           pooling as in classify.c, a query a channel)
//   (m, a, b)_wc = W_c p_wc + b_c                             [3]
//   q50 = m,  q05 = m - softplus(a),  q95 = m + softplus(b)   in units of the channel's spread: they cannot cross
//
//   L = mean over known (w, c) and shares t of rho_t(y - q_t),   rho_t(d) = max(t d, (t - 1) d)
//   dL/dq_t = ([y < q_t] - t) / count;   dm = the sum of the three, da = -dq05 sigmoid(a), db = dq95 sigmoid(b)
//
// The other modalities' tokens are pooled too: what they show now may come to the sensor next.
//
// Backward, g = dlogits: dW_c = sum_w g_wc p_wc^T, dp_wc = W_c^T g_wc; then pool; ds_c = sum_i de_ic u_i, du_i += de_ic s_c; the norm, the adapter.
#include "core/layers/generate_forecast.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { Q = SEAM_FORECAST_QUANTILES };

const double seam_forecast_share[SEAM_FORECAST_QUANTILES] = {0.05, 0.5, 0.95};

void seam_forecast_declare(SeamForecast *f, SeamParams *params, const SeamConfig *config, int32_t task) {
    char prefix[SEAM_NAME_LENGTH + 8], name[SEAM_NAME_LENGTH + 32];
    int32_t m = seam_config_modality(config, config->task[task].of);
    *f = (SeamForecast){.dim = config->dim, .modality = m, .channels = config->modality[m].channels};
    memcpy(f->mean, config->modality[m].mean, sizeof f->mean);
    memcpy(f->std, config->modality[m].std, sizeof f->std);
    snprintf(prefix, sizeof prefix, "tasks.%s", config->task[task].name);
    seam_adapter_declare(&f->adapter, params, prefix, f->dim, config->task[task].rank);
    snprintf(name, sizeof name, "%s.norm", prefix);
    seam_norm_declare(&f->norm, params, name, f->dim);
    snprintf(name, sizeof name, "%s.query", prefix);
    f->query = seam_params_declare(params, name, SEAM_INIT_LINEAR, true, f->channels, f->dim, 0, 0);
    snprintf(name, sizeof name, "%s.weight", prefix);
    f->weight = seam_params_declare(params, name, SEAM_INIT_LINEAR, true, f->channels * Q, f->dim, 0, 0);
    snprintf(name, sizeof name, "%s.bias", prefix);
    f->bias = seam_params_declare(params, name, SEAM_INIT_ZERO, false, f->channels * Q, 0, 0, 0);
}

static SeamStatus alloc_saved(const SeamForecast *f, SeamRun *run, const SeamTokens *tokens, SeamForecastSaved *s) {
    size_t n = (size_t)tokens->n, size = n * f->dim;
    *s = (SeamForecastSaved){.n = tokens->n,
                             .windows = tokens->seqs,
                             .start = tokens->seq_start,
                             .z = SEAM_NEW(run->arena, float, size),
                             .u = SEAM_NEW(run->arena, float, size),
                             .mean = SEAM_NEW(run->arena, float, n),
                             .rstd = SEAM_NEW(run->arena, float, n),
                             .weight = SEAM_NEW(run->arena, float, n * f->channels),
                             .pooled = SEAM_NEW(run->arena, float, (size_t)f->channels * tokens->seqs * f->dim)};
    return s->z && s->u && s->mean && s->rstd && s->weight && s->pooled ? SEAM_OK : SEAM_NO_MEMORY;
}

// Pools for each channel and reads its three numbers out.
static SeamStatus read_channels(const SeamForecast *f, SeamRun *run, const SeamForecastSaved *s, const float *score, float *logits) {
    const SeamKernels *k = run->kernels;
    int32_t d = f->dim, wide = f->channels * Q;
    for (int32_t c = 0; c < f->channels; c++) {
        float *pooled = s->pooled + (size_t)c * s->windows * d;
        SEAM_TRY(k->pool(s->windows, s->start, d, s->u, score + (size_t)c * s->n, s->weight + (size_t)c * s->n, pooled));
        SEAM_TRY(k->gemm(false, true, s->windows, Q, d, pooled, d, f->weight->data + (size_t)c * Q * d, d, 0, logits + c * Q, wide));
    }
    return k->add_bias(s->windows, wide, f->bias->data, logits);
}

SeamStatus seam_forecast_forward(const SeamForecast *f, SeamRun *run, const SeamTokens *tokens, float **logits, SeamForecastSaved *saved) {
    const SeamKernels *k = run->kernels;
    int32_t n = tokens->n, d = f->dim;
    SeamForecastSaved scratch, *s = saved ? saved : &scratch;
    *logits = SEAM_NEW(run->arena, float, (size_t)tokens->seqs * f->channels * Q);
    size_t mark = seam_arena_mark(run->arena);
    if (!*logits)
        return SEAM_NO_MEMORY;
    SEAM_TRY(alloc_saved(f, run, tokens, s));
    SEAM_TRY(seam_adapter_forward(&f->adapter, run, n, tokens->x, s->z, saved ? &s->adapter : NULL));
    SEAM_TRY(seam_norm_forward(&f->norm, run, n, s->z, s->u, s->mean, s->rstd));
    size_t kept = seam_arena_mark(run->arena);
    float *score = SEAM_NEW(run->arena, float, (size_t)f->channels * n);
    if (!score)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->gemm(false, true, f->channels, n, d, f->query->data, d, s->u, d, 0, score, n));
    for (int32_t i = 0; tokens->size && i < f->channels * n; i++)
        score[i] += logf(tokens->size[i % n]);
    SEAM_TRY(read_channels(f, run, s, score, *logits));
    seam_arena_release(run->arena, saved ? kept : mark);
    return SEAM_OK;
}

// From dlogits to du [n, dim].
static SeamStatus backward_channels(const SeamForecast *f, SeamRun *run, const SeamForecastSaved *s, const float *dlogits, float *du) {
    const SeamKernels *k = run->kernels;
    size_t mark = seam_arena_mark(run->arena);
    int32_t d = f->dim, wide = f->channels * Q;
    float *dpooled = SEAM_NEW(run->arena, float, (size_t)s->windows * d), *dscore = SEAM_NEW(run->arena, float, (size_t)f->channels * s->n);
    if (!dpooled || !dscore)
        return SEAM_NO_MEMORY;
    memset(du, 0, (size_t)s->n * d * sizeof *du);
    SEAM_TRY(k->bias_grad(s->windows, wide, dlogits, f->bias->grad));
    for (int32_t c = 0; c < f->channels; c++) {
        const float *pooled = s->pooled + (size_t)c * s->windows * d, *g = dlogits + c * Q;
        SEAM_TRY(k->gemm(true, false, Q, d, s->windows, g, wide, pooled, d, 1, f->weight->grad + (size_t)c * Q * d, d));
        SEAM_TRY(k->gemm(false, false, s->windows, d, Q, g, wide, f->weight->data + (size_t)c * Q * d, d, 0, dpooled, d));
        SEAM_TRY(k->pool_backward(s->windows, s->start, d, s->u, s->weight + (size_t)c * s->n, pooled, dpooled, du, dscore + (size_t)c * s->n));
    }
    SEAM_TRY(k->gemm(false, false, f->channels, d, s->n, dscore, s->n, s->u, d, 1, f->query->grad, d));
    SEAM_TRY(k->gemm(true, false, s->n, d, f->channels, dscore, s->n, f->query->data, d, 1, du, d));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_forecast_backward(const SeamForecast *f, SeamRun *run, const SeamForecastSaved *saved, const float *dlogits, float *dx) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)saved->n * f->dim;
    float *du = SEAM_NEW(run->arena, float, size), *dz = SEAM_NEW0(run->arena, float, size);
    if (!du || !dz)
        return SEAM_NO_MEMORY;
    SEAM_TRY(backward_channels(f, run, saved, dlogits, du));
    SEAM_TRY(seam_norm_backward(&f->norm, run, saved->n, saved->z, saved->mean, saved->rstd, du, dz));
    SEAM_TRY(seam_adapter_backward(&f->adapter, run, saved->n, &saved->adapter, dz, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_forecast_bytes(const SeamForecast *f, int32_t n, int32_t windows, bool train) {
    size_t rows = (size_t)n, float_size = sizeof(float), tokens = seam_arena_bytes(rows * f->dim, float_size);
    size_t scores = seam_arena_bytes(rows * f->channels, float_size), logits = seam_arena_bytes((size_t)windows * f->channels * Q, float_size);
    size_t bytes = logits + 2 * tokens + 2 * seam_arena_bytes(rows, float_size) + 2 * scores +
                   seam_arena_bytes((size_t)f->channels * windows * f->dim, float_size) + seam_adapter_bytes(&f->adapter, n, train);
    return train ? bytes + logits + 2 * tokens + scores + seam_arena_bytes((size_t)windows * f->dim, float_size) : bytes;
}

// ---- quantiles -------------------------------------------------------------------------------------------------------------------

static double softplus(double z) {
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

static double sigmoid(double z) {
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

void seam_forecast_quantiles(const float logits[SEAM_FORECAST_QUANTILES], double quantile[SEAM_FORECAST_QUANTILES]) {
    quantile[0] = logits[0] - softplus(logits[1]);
    quantile[1] = logits[0];
    quantile[2] = logits[0] + softplus(logits[2]);
}

double seam_forecast_pinball(const double quantile[SEAM_FORECAST_QUANTILES], double truth) {
    double sum = 0;
    for (int32_t i = 0; i < Q; i++)
        sum += fmax(seam_forecast_share[i] * (truth - quantile[i]), (seam_forecast_share[i] - 1) * (truth - quantile[i]));
    return sum / Q;
}

double seam_forecast_step(const float logits[Q], double truth, double scale, size_t count, float dlogits[Q]) {
    double quantile[Q], dq[Q];
    seam_forecast_quantiles(logits, quantile);
    for (int32_t t = 0; t < Q; t++)
        dq[t] = scale * ((truth < quantile[t]) - seam_forecast_share[t]) / (double)(Q * count);
    dlogits[0] = (float)(dq[0] + dq[1] + dq[2]);
    dlogits[1] = (float)(-dq[0] * sigmoid(logits[1]));
    dlogits[2] = (float)(dq[2] * sigmoid(logits[2]));
    return seam_forecast_pinball(quantile, truth);
}

double seam_forecast_loss(const SeamForecast *f, int32_t windows, const float *logits, const float *truth, double scale, float *dlogits) {
    size_t n = (size_t)windows * f->channels, known = 0;
    double loss = 0;
    memset(dlogits, 0, n * Q * sizeof *dlogits);
    for (size_t i = 0; i < n; i++)
        known += !isnan(truth[i]);
    for (size_t i = 0; i < n; i++) {
        int32_t c = (int32_t)(i % (size_t)f->channels);
        double y = (truth[i] - f->mean[c]) / f->std[c];
        if (!isnan(y))
            loss += seam_forecast_step(logits + i * Q, y, scale, known, dlogits + i * Q) / (double)known;
    }
    return loss;
}
