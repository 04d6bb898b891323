// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Feature front end. A reading x [channels] is cut into runs of neighbouring columns; run t holds the
// columns s_t .. s_{t+1} - 1, s_t = floor(t channels / tokens).
//
//   z_c = (x_c - mean_c) / std_c                                            [channels]
//   z_c <- sqrt(12) (rank of z_c among the quantiles q_c0 .. q_cn - 1/2), if there are quantiles
//   z_c <- 0 where x_c is missing
//   f_t = sum over the run's columns of z_c W_c + b_t                       W [channels, dim], b [tokens, dim]
//
// The rank runs from 0 to 1, straight between two quantiles, to the middle of those that are equal:
// even over the training data, with the variance that sqrt(12) makes 1. It takes away what columns of unknown making bring along,
// long tails and clusters (Gorishniy 2021, "Revisiting deep learning models for tabular data", sec. 4.2). 0 is the mean: a
// missing column says nothing. W is kept with columns as rows, so that each run
// is a block of neighbouring rows and a product of its own. Backward, g = df: dW_c = sum over the
// readings of z_c g_t, db_t = sum of g_t.
#include "core/layers/feature_embed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const float spread = 3.4641016f; // sqrt(12)

void seam_feature_embed_declare(SeamFeatureEmbed *e, SeamParams *params, const SeamConfig *config,
                                int32_t modality) {
    const SeamModality *m = &config->modality[modality];
    char name[SEAM_NAME_LENGTH + 16];
    *e = (SeamFeatureEmbed){.modality = modality,
                            .channels = m->channels,
                            .dim = config->dim,
                            .tokens = m->features.tokens,
                            .quantiles = m->features.quantiles};
    for (int32_t c = 0; c < m->channels; c++) {
        e->mean[c] = m->mean[c];
        e->inverse_std[c] = 1.0f / m->std[c];
    }
    if (e->quantiles > 0) {
        snprintf(name, sizeof name, "embed.%s.quantiles", m->name);
        e->table = seam_params_declare(params, name, SEAM_INIT_ZERO, false, e->channels,
                                       e->quantiles, 0, 0);
    }
    snprintf(name, sizeof name, "embed.%s.weight", m->name);
    e->weight =
        seam_params_declare(params, name, SEAM_INIT_LINEAR, true, e->channels, e->dim, 0, 0);
    e->weight->fan_in = (e->channels + e->tokens - 1) / e->tokens;
    snprintf(name, sizeof name, "embed.%s.bias", m->name);
    e->bias = seam_params_declare(params, name, SEAM_INIT_SMALL, false, e->tokens, e->dim, 0, 0);
}

static int32_t run_start(const SeamFeatureEmbed *e, int32_t token) {
    return token * e->channels / e->tokens;
}

// How many of q [n], rising, are below z (or, with `equal`, not above it).
static int32_t count_below(const float *q, int32_t n, float z, bool equal) {
    int32_t first = 0, last = n;
    while (first < last) {
        int32_t middle = (first + last) / 2;
        if (q[middle] < z || (equal && q[middle] == z))
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

// A table that does not rise (files are not trusted) gives a wrong rank, but one from 0 to 1.
static float rank_of(const float *q, int32_t n, float z) {
    int32_t below = count_below(q, n, z, false), to = count_below(q, n, z, true);
    if (to > below)
        return 0.5f * (float)(below + to - 1) / (float)(n - 1);
    if (below == 0 || below == n)
        return below == 0 ? 0 : 1;
    float share = (z - q[below - 1]) / (q[below] - q[below - 1]);
    return ((float)(below - 1) + fminf(fmaxf(share, 0), 1)) / (float)(n - 1);
}

// Whether there is anything; z [channels] may be NULL.
static bool normalise(const SeamFeatureEmbed *e, const float *x, float *z) {
    bool any = false;
    for (int32_t c = 0; c < e->channels; c++) {
        bool there = isfinite(x[c]);
        any = any || there;
        if (!z)
            continue;
        z[c] = there ? (x[c] - e->mean[c]) * e->inverse_std[c] : 0;
        if (there && e->table) {
            const float *q = e->table->data + (size_t)c * e->quantiles;
            z[c] = spread * (rank_of(q, e->quantiles, z[c]) - 0.5f);
        }
    }
    return any;
}

static SeamStatus new_tokens(const SeamFeatureEmbed *e, SeamRun *run, int32_t windows,
                             const SeamSensorWindow *window, SeamTokens *out) {
    *out = (SeamTokens){.dim = e->dim,
                        .seqs = windows,
                        .seq_start = SEAM_NEW(run->arena, int32_t, windows + 1),
                        .seq_time = SEAM_NEW(run->arena, double, windows)};
    if (!out->seq_start || !out->seq_time)
        return SEAM_NO_MEMORY;
    out->seq_start[0] = 0;
    for (int32_t w = 0; w < windows; w++) {
        if (window[w].samples != 1)
            return SEAM_BAD_SHAPE;
        out->n += normalise(e, window[w].x, NULL) ? e->tokens : 0;
        out->seq_start[w + 1] = out->n;
        out->seq_time[w] = window[w].time;
    }
    out->x = SEAM_NEW(run->arena, float, (size_t)out->n * e->dim);
    out->place = SEAM_NEW(run->arena, SeamPlace, out->n);
    if (!out->x || !out->place)
        return SEAM_NO_MEMORY;
    for (int32_t i = 0; i < out->n; i++)
        out->place[i] = (SeamPlace){.channel = (uint16_t)(i % e->tokens),
                                    .modality = (uint8_t)e->modality,
                                    .domain = SEAM_DOMAIN_TIME};
    return SEAM_OK;
}

SeamStatus seam_feature_embed_forward(const SeamFeatureEmbed *e, SeamRun *run, int32_t windows,
                                      const SeamSensorWindow *window, SeamTokens *features,
                                      SeamFeatureEmbedSaved *saved) {
    SEAM_TRY(new_tokens(e, run, windows, window, features));
    int32_t rows = features->n / e->tokens, row = 0;
    size_t mark = seam_arena_mark(run->arena);
    float *z = SEAM_NEW(run->arena, float, (size_t)rows * e->channels);
    if (!z)
        return SEAM_NO_MEMORY;
    for (int32_t w = 0; w < windows; w++)
        if (features->seq_start[w + 1] > features->seq_start[w])
            normalise(e, window[w].x, z + (size_t)row++ * e->channels);
    for (int32_t r = 0; r < rows; r++)
        memcpy(features->x + (size_t)r * e->tokens * e->dim, e->bias->data,
               (size_t)e->tokens * e->dim * sizeof(float));
    for (int32_t t = 0; t < e->tokens && rows > 0; t++) {
        int32_t first = run_start(e, t), width = run_start(e, t + 1) - first;
        SEAM_TRY(run->kernels->gemm(false, false, rows, e->dim, width, z + first, e->channels,
                                    e->weight->data + (size_t)first * e->dim, e->dim, 1,
                                    features->x + (size_t)t * e->dim, e->tokens * e->dim));
    }
    if (saved)
        saved->rows = rows, saved->z = z;
    else
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_feature_embed_backward(const SeamFeatureEmbed *e, SeamRun *run,
                                       const SeamFeatureEmbedSaved *saved, const float *dfeatures) {
    int32_t ld = e->tokens * e->dim;
    for (int32_t r = 0; r < saved->rows; r++)
        SEAM_TRY(run->kernels->add((size_t)ld, dfeatures + (size_t)r * ld, e->bias->grad));
    for (int32_t t = 0; t < e->tokens && saved->rows > 0; t++) {
        int32_t first = run_start(e, t), width = run_start(e, t + 1) - first;
        SEAM_TRY(run->kernels->gemm(true, false, width, e->dim, saved->rows, saved->z + first,
                                    e->channels, dfeatures + (size_t)t * e->dim, ld, 1,
                                    e->weight->grad + (size_t)first * e->dim, e->dim));
    }
    return SEAM_OK;
}

size_t seam_feature_embed_bytes(const SeamFeatureEmbed *e, int32_t windows) {
    size_t n = (size_t)windows * e->tokens;
    return seam_arena_bytes(windows + 1, sizeof(int32_t)) +
           seam_arena_bytes(windows, sizeof(double)) + seam_arena_bytes(n * e->dim, sizeof(float)) +
           seam_arena_bytes(n, sizeof(SeamPlace)) +
           seam_arena_bytes((size_t)windows * e->channels, sizeof(float));
}
