// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Masked reconstruction of a sensor's stretches, as quantiles (core/layers/generate_forecast.c has the quantiles and their loss).
//
//   u    = LN(adapter(x))                                     [n, dim]
//   q_k  = s_c + T phi(t_k)                                   [dim] for query k: stretch at t_k (its middle, after the window's start) of channel c;
//                                                             phi = (sin, cos)(pi 2^j t / window), j = 0 .. 7, as in fusion.c   [16]
//   e_i  = u_i + T phi(t_i)                                   [dim] the key of token i
//   p_k  = sum over the tokens i of k's window of softmax_i(e_i . q_k + log n_i) u_i    [dim], n_i: how many tokens i stands for
//   (m, a, b)_k = W_c p_k + b_c                               [3], quantiles as of a forecast
//   L    = mean over queries of the mean pinball loss
//
// Hidden stretches have no token: the decoder, not the encoder, holds their places, as in He 2022 ("Masked autoencoders", sec. 3); a query that attends to
// what is there is Jaegle 2022, Perceiver IO, sec. 3.1 (queries made of a place and a learnt vector of the modality). Tokens of all modalities are attended
// to: what another sensor or a picture showed at that moment may tell what the gap hides. Keys and queries share T, which is drawn so that T^T T is near 1:
// then phi(t_i) . phi(t_k) = sum_j cos(pi 2^j (t_i - t_k) / window) makes a query begin with what was near in time (Rahimi 2007, sec. 3). With u_i alone as
// the key, 3000 steps on the signals of tests/bench/ablation/generate_signal.c came to a pinball loss of 0.18 (the window's mean: 0.20), with this one to 0.07.
//
// Backward, g = dlogits: dW_c += g_k p_k^T, dp_k = W_c^T g_k; then pool: dw_ik (of scores), du_i; dq_k = sum_i dw_ik e_i, de_i = sum_k dw_ik q_k; du_i +=
// de_i, ds_c += dq_k, dT += dq_k phi_k^T + de_i phi_i^T; the norm, the adapter.
#include "core/layers/generate_signal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { Q = SEAM_SIGNAL_QUANTILES, PHI = SEAM_FUSION_FEATURES };

void seam_signal_declare(SeamSignal *s, SeamParams *params, const SeamConfig *config, int32_t task) {
    char prefix[SEAM_NAME_LENGTH + 8], name[SEAM_NAME_LENGTH + 32];
    int32_t m = seam_config_modality(config, config->task[task].of);
    const SeamModality *modality = &config->modality[m];
    *s = (SeamSignal){.dim = config->dim, .modality = m, .channels = modality->channels, .stretches = seam_modality_stretches(config, m),
                      .together = modality->sensor.together, .seconds = modality->sensor.patch / modality->sensor.rate,
                      .inverse_window = (float)(1 / config->window)};
    memcpy(s->mean, modality->mean, sizeof s->mean);
    memcpy(s->std, modality->std, sizeof s->std);
    snprintf(prefix, sizeof prefix, "tasks.%s", config->task[task].name);
    seam_adapter_declare(&s->adapter, params, prefix, s->dim, config->task[task].rank);
    snprintf(name, sizeof name, "%s.norm", prefix);
    seam_norm_declare(&s->norm, params, name, s->dim);
    snprintf(name, sizeof name, "%s.query", prefix);
    s->query = seam_params_declare(params, name, SEAM_INIT_LINEAR, true, s->channels, s->dim, 0, 0);
    snprintf(name, sizeof name, "%s.time", prefix);
    s->time = seam_params_declare(params, name, SEAM_INIT_LINEAR, true, s->dim, PHI, 0, 0);
    s->time->fan_in = s->dim;
    snprintf(name, sizeof name, "%s.weight", prefix);
    s->weight = seam_params_declare(params, name, SEAM_INIT_LINEAR, true, s->channels * Q, s->dim, 0, 0);
    snprintf(name, sizeof name, "%s.bias", prefix);
    s->bias = seam_params_declare(params, name, SEAM_INIT_ZERO, false, s->channels * Q, 0, 0, 0);
}

// ---- what is missing -------------------------------------------------------------------------------------------------------------

SeamStatus seam_signal_missing(const SeamSignal *s, SeamRun *run, const SeamTokens *tokens, int32_t window, SeamSignalQuery *query, int32_t *n) {
    size_t mark = seam_arena_mark(run->arena);
    uint8_t *there = SEAM_NEW0(run->arena, uint8_t, (size_t)s->stretches * s->channels);
    bool any = false, merged = false;
    *n = 0;
    if (!there)
        return SEAM_NO_MEMORY;
    for (int32_t i = 0; i < tokens->n; i++) {
        const SeamPlace *p = &tokens->place[i];
        double at = p->t / s->seconds;
        if (p->modality != s->modality || p->domain != SEAM_DOMAIN_TIME || p->channel >= s->channels || !(at >= 0 && at < s->stretches))
            continue;
        any = true;
        merged = merged || (tokens->size && tokens->size[i] > 1);
        memset(there + (int32_t)at * s->channels + p->channel, 1, s->together ? (size_t)s->channels : 1); // together: channel is 0
    }
    for (int32_t i = 0; any && !merged && i < s->stretches * s->channels; i++)
        if (!there[i])
            query[(*n)++] = (SeamSignalQuery){window, i / s->channels, i % s->channels};
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// ---- forward ---------------------------------------------------------------------------------------------------------------------

// How many weights all queries have.
static size_t count_weights(const int32_t *start, int32_t n, const SeamSignalQuery *query) {
    size_t sum = 0;
    for (int32_t k = 0; k < n; k++)
        sum += (size_t)(start[query[k].window + 1] - start[query[k].window]);
    return sum;
}

// The query after the last one of k's window.
static int32_t window_end(int32_t n, const SeamSignalQuery *query, int32_t k) {
    int32_t end = k;
    while (end < n && query[end].window == query[k].window)
        end++;
    return end;
}

static SeamStatus alloc_saved(const SeamSignal *s, SeamRun *run, const SeamTokens *tokens, int32_t queries, const SeamSignalQuery *query, SeamSignalSaved *v) {
    size_t n = (size_t)tokens->n, size = n * s->dim, k = (size_t)queries;
    *v = (SeamSignalSaved){.n = tokens->n,
                           .queries = queries,
                           .start = tokens->seq_start,
                           .query = query,
                           .z = SEAM_NEW(run->arena, float, size),
                           .u = SEAM_NEW(run->arena, float, size),
                           .mean = SEAM_NEW(run->arena, float, n),
                           .rstd = SEAM_NEW(run->arena, float, n),
                           .fourier = SEAM_NEW(run->arena, float, (n + k) * PHI),
                           .key = SEAM_NEW(run->arena, float, size),
                           .q = SEAM_NEW(run->arena, float, k * s->dim),
                           .weight = SEAM_NEW(run->arena, float, count_weights(tokens->seq_start, queries, query)),
                           .pooled = SEAM_NEW(run->arena, float, k * s->dim)};
    return v->z && v->u && v->mean && v->rstd && v->fourier && v->key && v->q && v->weight && v->pooled ? SEAM_OK : SEAM_NO_MEMORY;
}

// t: in windows.
static float *fill_fourier(double t, float *phi) {
    for (int32_t j = 0; j < SEAM_FUSION_FREQUENCIES; j++) {
        *phi++ = (float)sin(G_PI * (1 << j) * t);
        *phi++ = (float)cos(G_PI * (1 << j) * t);
    }
    return phi;
}

static SeamStatus make_keys_and_queries(const SeamSignal *s, SeamRun *run, const SeamPlace *place, SeamSignalSaved *v) {
    const SeamKernels *kernels = run->kernels;
    size_t d = (size_t)s->dim;
    float *phi = v->fourier, *of_queries = v->fourier + (size_t)v->n * PHI;
    for (int32_t i = 0; i < v->n; i++)
        phi = fill_fourier(place[i].t * s->inverse_window, phi);
    for (int32_t k = 0; k < v->queries; k++) {
        phi = fill_fourier((v->query[k].stretch + 0.5) * s->seconds * s->inverse_window, phi);
        memcpy(v->q + k * d, s->query->data + v->query[k].channel * d, d * sizeof *v->q);
    }
    memcpy(v->key, v->u, v->n * d * sizeof *v->key);
    SEAM_TRY(kernels->gemm(false, true, v->n, s->dim, PHI, v->fourier, PHI, s->time->data, PHI, 1, v->key, s->dim));
    return kernels->gemm(false, true, v->queries, s->dim, PHI, of_queries, PHI, s->time->data, PHI, 1, v->q, s->dim);
}

// Queries k .. end - 1, all of one window: scores, pooling.
static SeamStatus attend(const SeamSignal *s, SeamRun *run, const SeamTokens *tokens, SeamSignalSaved *v, int32_t k, int32_t end, float *weight) {
    const SeamKernels *kernels = run->kernels;
    int32_t w = v->query[k].window, first = v->start[w], n = v->start[w + 1] - first, d = s->dim, count = end - k;
    const float *u = v->u + (size_t)first * d;
    size_t mark = seam_arena_mark(run->arena);
    float *score = SEAM_NEW(run->arena, float, (size_t)count * n);
    if (!score)
        return SEAM_NO_MEMORY;
    SEAM_TRY(kernels->gemm(false, true, count, n, d, v->q + (size_t)k * d, d, v->key + (size_t)first * d, d, 0, score, n));
    for (int32_t i = 0; tokens->size && i < count * n; i++)
        score[i] += logf(tokens->size[first + i % n]);
    for (int32_t i = 0; i < count; i++)
        SEAM_TRY(kernels->pool(1, (const int32_t[]){0, n}, d, u, score + (size_t)i * n, weight + (size_t)i * n, v->pooled + (size_t)(k + i) * d));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static SeamStatus read_out(const SeamSignal *s, SeamRun *run, const SeamSignalSaved *v, float *logits) {
    int32_t d = s->dim;
    for (int32_t k = 0; k < v->queries; k++) {
        size_t row = (size_t)v->query[k].channel * Q;
        memcpy(logits + k * Q, s->bias->data + row, Q * sizeof *logits);
        SEAM_TRY(run->kernels->gemm(false, true, 1, Q, d, v->pooled + (size_t)k * d, d, s->weight->data + row * d, d, 1, logits + k * Q, Q));
    }
    return SEAM_OK;
}

SeamStatus seam_signal_forward(const SeamSignal *s, SeamRun *run, const SeamTokens *tokens, int32_t n, const SeamSignalQuery *query, float **logits,
                               SeamSignalSaved *saved) {
    SeamSignalSaved scratch, *v = saved ? saved : &scratch;
    *logits = SEAM_NEW(run->arena, float, (size_t)n * Q);
    size_t mark = seam_arena_mark(run->arena);
    if (!*logits)
        return SEAM_NO_MEMORY;
    SEAM_TRY(alloc_saved(s, run, tokens, n, query, v));
    SEAM_TRY(seam_adapter_forward(&s->adapter, run, tokens->n, tokens->x, v->z, saved ? &v->adapter : NULL));
    SEAM_TRY(seam_norm_forward(&s->norm, run, tokens->n, v->z, v->u, v->mean, v->rstd));
    SEAM_TRY(make_keys_and_queries(s, run, tokens->place, v));
    float *weight = v->weight;
    for (int32_t k = 0, end; k < n; k = end) {
        end = window_end(n, query, k);
        SEAM_TRY(attend(s, run, tokens, v, k, end, weight));
        weight += (size_t)(end - k) * (v->start[query[k].window + 1] - v->start[query[k].window]);
    }
    SEAM_TRY(read_out(s, run, v, *logits));
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// ---- backward --------------------------------------------------------------------------------------------------------------------

// From dlogits to dpooled [queries, dim].
static SeamStatus read_out_backward(const SeamSignal *s, SeamRun *run, const SeamSignalSaved *v, const float *dlogits, float *dpooled) {
    const SeamKernels *kernels = run->kernels;
    int32_t d = s->dim;
    for (int32_t k = 0; k < v->queries; k++) {
        size_t row = (size_t)v->query[k].channel * Q, at = (size_t)k * d;
        const float *g = dlogits + k * Q;
        SEAM_TRY(kernels->add(Q, g, s->bias->grad + row));
        SEAM_TRY(kernels->gemm(true, false, Q, d, 1, g, Q, v->pooled + at, d, 1, s->weight->grad + row * d, d));
        SEAM_TRY(kernels->gemm(false, false, 1, d, Q, g, Q, s->weight->data + row * d, d, 0, dpooled + at, d));
    }
    return SEAM_OK;
}

// Queries k .. end - 1, all of one window: du +=, dkey = and dq =.
static SeamStatus attend_backward(const SeamSignal *s, SeamRun *run, const SeamSignalSaved *v, int32_t k, int32_t end, const float *weight,
                                  const float *dpooled, float *du, float *dkey, float *dq) {
    const SeamKernels *kernels = run->kernels;
    int32_t w = v->query[k].window, first = v->start[w], n = v->start[w + 1] - first, d = s->dim, count = end - k;
    size_t mark = seam_arena_mark(run->arena), row = (size_t)d;
    const float *u = v->u + first * row;
    float *dscore = SEAM_NEW(run->arena, float, (size_t)count * n);
    if (!dscore)
        return SEAM_NO_MEMORY;
    for (int32_t i = 0; i < count; i++)
        SEAM_TRY(kernels->pool_backward(1, (const int32_t[]){0, n}, d, u, weight + (size_t)i * n, v->pooled + (k + i) * row, dpooled + (k + i) * row,
                                        du + first * row, dscore + (size_t)i * n));
    SEAM_TRY(kernels->gemm(false, false, count, d, n, dscore, n, v->key + first * row, d, 0, dq + k * row, d));
    SEAM_TRY(kernels->gemm(true, false, n, d, count, dscore, n, v->q + k * row, d, 0, dkey + first * row, d));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// From dlogits to du [n, dim].
static SeamStatus backward_queries(const SeamSignal *s, SeamRun *run, const SeamSignalSaved *v, const float *dlogits, float *du) {
    size_t mark = seam_arena_mark(run->arena), d = (size_t)s->dim;
    float *dpooled = SEAM_NEW(run->arena, float, v->queries * d), *dq = SEAM_NEW0(run->arena, float, v->queries * d);
    float *dkey = SEAM_NEW0(run->arena, float, v->n * d); // 0 in windows without a query
    const SeamKernels *kernels = run->kernels;
    const float *weight = v->weight;
    if (!dpooled || !dq || !dkey)
        return SEAM_NO_MEMORY;
    memset(du, 0, (size_t)v->n * d * sizeof *du);
    SEAM_TRY(read_out_backward(s, run, v, dlogits, dpooled));
    for (int32_t k = 0, end; k < v->queries; k = end) {
        end = window_end(v->queries, v->query, k);
        SEAM_TRY(attend_backward(s, run, v, k, end, weight, dpooled, du, dkey, dq));
        weight += (size_t)(end - k) * (v->start[v->query[k].window + 1] - v->start[v->query[k].window]);
    }
    for (int32_t k = 0; k < v->queries; k++)
        SEAM_TRY(kernels->add(d, dq + k * d, s->query->grad + v->query[k].channel * d));
    SEAM_TRY(kernels->add(v->n * d, dkey, du));
    SEAM_TRY(kernels->gemm(true, false, s->dim, PHI, v->n, dkey, s->dim, v->fourier, PHI, 1, s->time->grad, PHI));
    SEAM_TRY(kernels->gemm(true, false, s->dim, PHI, v->queries, dq, s->dim, v->fourier + (size_t)v->n * PHI, PHI, 1, s->time->grad, PHI));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_signal_backward(const SeamSignal *s, SeamRun *run, const SeamSignalSaved *saved, const float *dlogits, float *dx) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)saved->n * s->dim;
    float *du = SEAM_NEW(run->arena, float, size), *dz = SEAM_NEW0(run->arena, float, size);
    if (!du || !dz)
        return SEAM_NO_MEMORY;
    SEAM_TRY(backward_queries(s, run, saved, dlogits, du));
    SEAM_TRY(seam_norm_backward(&s->norm, run, saved->n, saved->z, saved->mean, saved->rstd, du, dz));
    SEAM_TRY(seam_adapter_backward(&s->adapter, run, saved->n, &saved->adapter, dz, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// ---- planning, loss --------------------------------------------------------------------------------------------------------------

size_t seam_signal_bytes(const SeamSignal *s, int32_t n) {
    size_t rows = (size_t)n, most = (size_t)s->stretches * s->channels, f = sizeof(float);
    return seam_arena_bytes(most, sizeof(SeamSignalQuery)) + seam_arena_bytes(most, 1) + seam_arena_bytes(most * Q, f) +
           3 * seam_arena_bytes(rows * s->dim, f) + 2 * seam_arena_bytes(rows, f) + seam_arena_bytes((rows + most) * PHI, f) +
           2 * seam_arena_bytes(most * s->dim, f) + 2 * seam_arena_bytes(most * rows, f) + seam_adapter_bytes(&s->adapter, n, false);
}

double seam_signal_loss(const SeamSignal *s, int32_t n, const SeamSignalQuery *query, const float *logits, const float *truth, double scale, float *dlogits) {
    double loss = 0;
    for (int32_t k = 0; k < n; k++) {
        int32_t c = query[k].channel;
        double y = (truth[k] - s->mean[c]) / s->std[c];
        loss += seam_forecast_step(logits + k * Q, y, scale, (size_t)n, dlogits + k * Q) / n;
    }
    return loss;
}
