// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Cross-modal sparse fusion.
//
//   x += phi T^T + M_modality                  phi = (sin, cos)(pi 2^j t / window), j = 0 .. 7 [n,
//   16]; T [dim, 16], M [modalities, dim] each layer:
//     x += SparseAttention(LN1(x))             over the keys of seam_pattern_fusion
//     x += gelu(LN2(x) U^T + u) D^T + d        U [width, dim], D [dim, width]                    x
//     [n, dim]
//
// The time that the embedding gave a token counts from its own sequence; here it counts from the
// window, which all modalities share. Fourier features: Tancik 2020, eq. 1, frequencies of
// Mildenhall 2020, eq. 4; the fastest turns once in a 64th of the window.
//
// Backward: dT = dx^T phi, dM = sums of dx; the branches as in encoder.c.
#include "core/layers/fusion.h"

#include <math.h>
#include <string.h>

void seam_fusion_layer_declare(SeamFusionLayer *layer, SeamParams *params, const char *prefix,
                               int32_t dim, int32_t heads, int32_t width) {
    g_autofree char *norm1 = g_strconcat(prefix, ".norm1", NULL);
    g_autofree char *norm2 = g_strconcat(prefix, ".norm2", NULL);
    g_autofree char *attention = g_strconcat(prefix, ".attention", NULL);
    g_autofree char *up = g_strconcat(prefix, ".up", NULL);
    g_autofree char *down = g_strconcat(prefix, ".down", NULL);
    seam_norm_declare(&layer->norm1, params, norm1, dim);
    seam_attention_declare(&layer->attention, params, attention, dim, heads);
    seam_norm_declare(&layer->norm2, params, norm2, dim);
    seam_linear_declare(&layer->up, params, up, dim, width, true);
    seam_linear_declare(&layer->down, params, down, width, dim, true);
}

void seam_fusion_declare(SeamFusion *f, SeamParams *params, const SeamConfig *config) {
    *f = (SeamFusion){.dim = config->dim,
                      .layers = config->fusion_layers,
                      .width = config->fusion_width,
                      .modalities = config->n_modalities,
                      .inverse_window = (float)(1 / config->window),
                      .gate_threshold = config->gate_threshold};
    f->time = seam_params_declare(params, "fusion.time.weight", SEAM_INIT_SMALL, true, config->dim,
                                  SEAM_FUSION_FEATURES, 0, 0);
    f->modality = seam_params_declare(params, "fusion.modality", SEAM_INIT_SMALL, false,
                                      config->n_modalities, config->dim, 0, 0);
    for (int32_t l = 0; l < f->layers; l++) {
        g_autofree char *prefix = g_strdup_printf("fusion.%d", l);
        seam_fusion_layer_declare(&f->layer[l], params, prefix, config->dim, config->heads,
                                  config->fusion_width);
    }
}

// ---- joining ----------------------------------------------------------------------------------

// Stable merge sort of token numbers by their time; tmp [n].
static void sort_by_time(int32_t *token, int32_t n, const float *t, int32_t *tmp) {
    for (int64_t width = 1; width < n; width *= 2)
        for (int64_t from = 0; from + width < n; from += 2 * width) {
            int64_t middle = from + width, to = MIN(middle + width, n), a = from, b = middle;
            if (!(t[token[middle]] < t[token[middle - 1]])) // already in order, as it mostly is
                continue;
            for (int64_t i = from; i < to; i++)
                tmp[i] = b >= to || (a < middle && !(t[token[b]] < t[token[a]])) ? token[a++]
                                                                                 : token[b++];
            memcpy(token + from, tmp + from, (size_t)(to - from) * sizeof *token);
        }
}

// order [n]: token numbers of `in` by window, modality, time; start [windows * modalities + 1] of
// each (window, modality).
static SeamStatus order_tokens(const SeamFusion *f, SeamRun *run, const SeamTokens *in,
                               int32_t bins, const int32_t *window_of, const float *t,
                               int32_t *start, int32_t *order) {
    int32_t *bin = SEAM_NEW(run->arena, int32_t, in->n),
            *tmp = SEAM_NEW(run->arena, int32_t, in->n);
    if (!bin || !tmp)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < in->seqs; s++)
        for (int32_t i = in->seq_start[s]; i < in->seq_start[s + 1]; i++) {
            if (in->place[i].modality >= f->modalities)
                return SEAM_BAD_SHAPE;
            bin[i] = window_of[s] * f->modalities + in->place[i].modality;
            start[bin[i] + 1]++;
        }
    for (int32_t b = 0; b < bins; b++)
        start[b + 1] += start[b];
    for (int32_t i = in->n - 1; i >= 0;
         i--) // backwards: start[b + 1] counts down to the start of b
        order[--start[bin[i] + 1]] = i;
    memmove(start, start + 1, (size_t)bins * sizeof *start);
    start[bins] = in->n;
    for (int32_t b = 0; b < bins; b++)
        sort_by_time(order + start[b], start[b + 1] - start[b], t, tmp);
    return SEAM_OK;
}

static SeamStatus alloc_joined(const SeamTokens *in, SeamArena *arena, int32_t windows,
                               SeamTokens *out) {
    *out = (SeamTokens){.n = in->n, .dim = in->dim, .seqs = windows};
    out->x = SEAM_NEW(arena, float, (size_t)in->n * in->dim);
    out->place = SEAM_NEW(arena, SeamPlace, in->n);
    out->seq_start = SEAM_NEW(arena, int32_t, (size_t)windows + 1);
    out->seq_time = SEAM_NEW(arena, double, windows);
    out->size = in->size ? SEAM_NEW(arena, float, in->n) : NULL;
    return (out->size || !in->size) && out->x && out->place && out->seq_start && out->seq_time ? SEAM_OK : SEAM_NO_MEMORY;
}

// t [n]: the tokens' times after their window's start.
static SeamStatus window_times(const SeamTokens *in, int32_t windows, const int32_t *window_of,
                               const double *window_time, float *t) {
    for (int32_t s = 0; s < in->seqs; s++) {
        if (window_of[s] < 0 || window_of[s] >= windows)
            return SEAM_BAD_SHAPE;
        double shift = in->seq_time[s] - window_time[window_of[s]];
        for (int32_t i = in->seq_start[s]; i < in->seq_start[s + 1]; i++)
            t[i] = (float)(shift + (double)in->place[i].t);
    }
    return SEAM_OK;
}

SeamStatus seam_fusion_join(const SeamFusion *f, SeamRun *run, const SeamTokens *in,
                            int32_t windows, const int32_t *window_of, const double *window_time,
                            SeamTokens *out, int32_t *row) {
    int32_t bins;
    if (__builtin_mul_overflow(windows, f->modalities, &bins))
        return SEAM_BAD_SHAPE;
    SEAM_TRY(alloc_joined(in, run->arena, windows, out));
    size_t mark = seam_arena_mark(run->arena);
    float *t = SEAM_NEW(run->arena, float, in->n);
    int32_t *order = SEAM_NEW(run->arena, int32_t, in->n),
            *start = SEAM_NEW0(run->arena, int32_t, (size_t)bins + 1);
    if (!t || !order || !start)
        return SEAM_NO_MEMORY;
    SEAM_TRY(window_times(in, windows, window_of, window_time, t));
    SEAM_TRY(order_tokens(f, run, in, bins, window_of, t, start, order));
    for (int32_t j = 0; j < in->n; j++) {
        out->place[j] = in->place[order[j]];
        out->place[j].t = t[order[j]];
        if (in->size)
            out->size[j] = in->size[order[j]];
        if (row)
            row[order[j]] = j;
    }
    for (int32_t w = 0; w <= windows; w++)
        out->seq_start[w] = start[w * f->modalities];
    memcpy(out->seq_time, window_time, (size_t)windows * sizeof *window_time);
    SEAM_TRY(run->kernels->gather(in->n, in->dim, order, in->x, out->x));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// ---- the time encoding ------------------------------------------------------------------------

static void fill_fourier(const SeamFusion *f, int32_t n, const SeamPlace *place, float *phi) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < SEAM_FUSION_FREQUENCIES; j++) {
            double angle = G_PI * (1 << j) * (double)(place[i].t * f->inverse_window);
            *phi++ = (float)sin(angle);
            *phi++ = (float)cos(angle);
        }
}

static SeamStatus encode_time(const SeamFusion *f, SeamRun *run, const SeamTokens *tokens,
                              float *phi) {
    const SeamKernels *k = run->kernels;
    fill_fourier(f, tokens->n, tokens->place, phi);
    SEAM_TRY(k->gemm(false, true, tokens->n, f->dim, SEAM_FUSION_FEATURES, phi,
                     SEAM_FUSION_FEATURES, f->time->data, SEAM_FUSION_FEATURES, 1, tokens->x,
                     f->dim));
    for (int32_t i = 0; i < tokens->n; i++)
        SEAM_TRY(k->add((size_t)f->dim,
                        f->modality->data + (size_t)tokens->place[i].modality * f->dim,
                        tokens->x + (size_t)i * f->dim));
    return SEAM_OK;
}

static SeamStatus encode_time_backward(const SeamFusion *f, SeamRun *run, const SeamFusionSaved *s,
                                       const float *dx) {
    const SeamKernels *k = run->kernels;
    for (int32_t i = 0; i < s->n; i++)
        SEAM_TRY(k->add((size_t)f->dim, dx + (size_t)i * f->dim,
                        f->modality->grad + (size_t)s->place[i].modality * f->dim));
    return k->gemm(true, false, f->dim, SEAM_FUSION_FEATURES, s->n, dx, f->dim, s->fourier,
                   SEAM_FUSION_FEATURES, 1, f->time->grad, SEAM_FUSION_FEATURES);
}

// ---- the layers -------------------------------------------------------------------------------

SeamStatus seam_fusion_layer_forward(const SeamFusionLayer *layer, SeamRun *run,
                                     const SeamPattern *pattern, float gate_threshold, float *x,
                                     SeamFusionLayerSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t n = pattern->n;
    bool train = saved != NULL;
    SeamFusionLayerSaved scratch, *s = saved ? saved : &scratch;
    SEAM_TRY(seam_norm_open(&layer->norm1, run, n, x, train, &s->norm1));
    SEAM_TRY(seam_attention_forward(&layer->attention, run, pattern, train ? 0 : gate_threshold,
                                    s->norm1.h, x, train ? &s->attention : NULL));
    if (!train)
        seam_arena_release(run->arena, mark);
    SEAM_TRY(seam_norm_open(&layer->norm2, run, n, x, train, &s->norm2));
    size_t width = (size_t)n * layer->up.out;
    s->hidden = SEAM_NEW(run->arena, float, width);
    size_t kept = seam_arena_mark(run->arena);
    float *act = train ? SEAM_NEW(run->arena, float, width) : s->hidden;
    if (!s->hidden || !act)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_forward_gelu(&layer->up, run, n, s->norm2.h, s->hidden, act));
    SEAM_TRY(seam_linear_forward_add(&layer->down, run, n, act, x));
    seam_arena_release(run->arena, train ? kept : mark);
    return SEAM_OK;
}

SeamStatus seam_fusion_layer_backward(const SeamFusionLayer *layer, SeamRun *run,
                                      const SeamFusionLayerSaved *s, float *dx) {
    const SeamKernels *k = run->kernels;
    size_t mark = seam_arena_mark(run->arena);
    int32_t n = s->attention.pattern.n;
    size_t width = (size_t)n * layer->up.out;
    float *dh = SEAM_NEW(run->arena, float, (size_t)n * layer->up.in);
    float *act = SEAM_NEW(run->arena, float, width), *dhidden = SEAM_NEW(run->arena, float, width);
    if (!dh || !act || !dhidden)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->gelu(width, s->hidden, act));
    SEAM_TRY(seam_linear_backward(&layer->down, run, n, act, dx, dhidden, false));
    SEAM_TRY(k->gelu_backward(width, s->hidden, dhidden, dhidden));
    SEAM_TRY(seam_linear_backward(&layer->up, run, n, s->norm2.h, dhidden, dh, false));
    SEAM_TRY(seam_norm_open_backward(&layer->norm2, run, n, &s->norm2, dh, dx));
    SEAM_TRY(seam_attention_backward(&layer->attention, run, &s->attention, dx, dh));
    SEAM_TRY(seam_norm_open_backward(&layer->norm1, run, n, &s->norm1, dh, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_fusion_forward(const SeamFusion *f, SeamRun *run, const SeamPattern *pattern,
                               const SeamTokens *tokens, SeamFusionSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    float *fourier = SEAM_NEW(run->arena, float, (size_t)tokens->n * SEAM_FUSION_FEATURES);
    if (!fourier)
        return SEAM_NO_MEMORY;
    SEAM_TRY(encode_time(f, run, tokens, fourier));
    if (saved) {
        saved->n = tokens->n;
        saved->place = tokens->place;
        saved->fourier = fourier;
    } else {
        seam_arena_release(run->arena, mark);
    }
    for (int32_t l = 0; l < f->layers; l++)
        SEAM_TRY(seam_fusion_layer_forward(&f->layer[l], run, pattern, f->gate_threshold, tokens->x,
                                           saved ? &saved->layer[l] : NULL));
    return SEAM_OK;
}

SeamStatus seam_fusion_backward(const SeamFusion *f, SeamRun *run, const SeamFusionSaved *s,
                                float *dx) {
    for (int32_t l = f->layers - 1; l >= 0; l--)
        SEAM_TRY(seam_fusion_layer_backward(&f->layer[l], run, &s->layer[l], dx));
    return encode_time_backward(f, run, s, dx);
}

size_t seam_fusion_bytes(const SeamFusion *f, int32_t n, int32_t windows, bool train) {
    size_t word = sizeof(float), tokens = seam_arena_bytes((size_t)n * f->dim, word),
           width = seam_arena_bytes((size_t)n * f->width, word);
    size_t joined = tokens + seam_arena_bytes((size_t)n, sizeof(SeamPlace)) +
                    seam_arena_bytes((size_t)windows + 1, word) +
                    seam_arena_bytes((size_t)windows, sizeof(double)) +
                    2 * seam_arena_bytes((size_t)n, word);
    size_t joining = 4 * seam_arena_bytes((size_t)n, word) +
                     seam_arena_bytes((size_t)windows * f->modalities + 1, word);
    size_t fourier = seam_arena_bytes((size_t)n * SEAM_FUSION_FEATURES, word), kept = 0,
           scratch = 0;
    if (f->layers > 0) {
        scratch =
            seam_attention_bytes(&f->layer[0].attention, n, train, &kept) + tokens + 2 * width;
        kept = train ? kept + 2 * seam_norm_open_bytes(&f->layer[0].norm1, n, true) + width : 0;
    }
    return joined + MAX(joining, fourier + (size_t)f->layers * kept + scratch);
}
