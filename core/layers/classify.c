// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Classify by additive evidence.
//
//   z = adapter(x)                                 [n, dim]
//   u = LN(z)                                      [n, dim]
//   e = u s                                        [n]   (no bias: a softmax would not see it)
//   p_wm = sum over tokens i of (w, m) of softmax_i(e_i + log s_i) u_i, s_i: how many it stands for
//                                                  [dim] attention pooling (Ilse 2018, sec. 2.4)
//   C_wm = W p_wm                                  [classes]
//   logits_w = b + sum over the present m of C_wm  [classes]
//
// The logits are a sum with one term a modality, so C_wm is exactly what modality m added to each
// class: taking the modality away takes exactly C_wm away, whatever the order (the Shapley value of
// an additive game is its term). An absent modality adds nothing. This is exact for the head; what
// the encoder and the fusion moved between the modalities' tokens before counts for the modality
// whose token carries it.
//
// Backward, g = dlogits: db = sum_w g_w;  dW = sum g_w p_wm^T;  dp_wm = W^T g_w; then pool, the two
// uses of u (pooled value and score: ds = sum_i de_i u_i, du_i += de_i s), the norm and the
// adapter.
#include "core/layers/classify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void seam_classify_declare(SeamClassify *c, SeamParams *params, const SeamConfig *config,
                           int32_t task) {
    char prefix[SEAM_NAME_LENGTH + 8], name[SEAM_NAME_LENGTH + 32];
    snprintf(prefix, sizeof prefix, "tasks.%s", config->task[task].name);
    *c = (SeamClassify){
        .dim = config->dim, .classes = config->n_classes, .modalities = config->n_modalities};
    if (config->task[task].kind == SEAM_TASK_RUL) // survival.c: a logit a bin
        c->classes = config->task[task].bins;
    if (config->task[task].kind == SEAM_TASK_GENERATE) // generate_text.c: vectors
        c->classes = config->task[task].width;
    seam_adapter_declare(&c->adapter, params, prefix, c->dim, config->task[task].rank);
    snprintf(name, sizeof name, "%s.norm", prefix);
    seam_norm_declare(&c->norm, params, name, c->dim);
    snprintf(name, sizeof name, "%s.score.weight", prefix);
    c->score = seam_params_declare(params, name, SEAM_INIT_LINEAR, true, 1, c->dim, 0, 0);
    snprintf(name, sizeof name, "%s.weight", prefix);
    c->weight = seam_params_declare(params, name, SEAM_INIT_LINEAR, true, c->classes, c->dim, 0, 0);
    snprintf(name, sizeof name, "%s.bias", prefix);
    c->bias = seam_params_declare(params, name, SEAM_INIT_ZERO, false, c->classes, 0, 0, 0);
}

SeamStatus seam_classify_segments(const SeamTokens *tokens, int32_t modalities, int32_t *segment) {
    segment[0] = 0;
    for (int32_t w = 0; w < tokens->seqs; w++) {
        int32_t i = tokens->seq_start[w], end = tokens->seq_start[w + 1];
        for (int32_t m = 0; m < modalities; m++) {
            while (i < end && tokens->place[i].modality == m)
                i++;
            segment[w * modalities + m + 1] = i;
        }
        if (i != end)
            return SEAM_BAD_SHAPE;
    }
    return SEAM_OK;
}

static SeamStatus alloc_out(const SeamClassify *c, SeamRun *run, int32_t windows,
                            SeamClassifyOut *out) {
    *out = (SeamClassifyOut){
        .windows = windows,
        .logits = SEAM_NEW(run->arena, float, (size_t)windows * c->classes),
        .contributions = SEAM_NEW(run->arena, float, (size_t)windows * c->modalities * c->classes),
        .present = SEAM_NEW(run->arena, uint32_t, windows)};
    return out->logits && out->contributions && out->present ? SEAM_OK : SEAM_NO_MEMORY;
}

static SeamStatus alloc_saved(const SeamClassify *c, SeamRun *run, int32_t n, int32_t windows,
                              SeamClassifySaved *s) {
    size_t size = (size_t)n * c->dim, segments = (size_t)windows * c->modalities;
    *s = (SeamClassifySaved){.n = n,
                             .windows = windows,
                             .segment = SEAM_NEW(run->arena, int32_t, segments + 1),
                             .z = SEAM_NEW(run->arena, float, size),
                             .u = SEAM_NEW(run->arena, float, size),
                             .mean = SEAM_NEW(run->arena, float, n),
                             .rstd = SEAM_NEW(run->arena, float, n),
                             .weight = SEAM_NEW(run->arena, float, n),
                             .pooled = SEAM_NEW(run->arena, float, segments * c->dim)};
    return s->segment && s->z && s->u && s->mean && s->rstd && s->weight && s->pooled
               ? SEAM_OK
               : SEAM_NO_MEMORY;
}

// logits = b + the contributions, in the order of the modalities.
static void add_evidence(const SeamClassify *c, const int32_t *segment, SeamClassifyOut *out) {
    for (int32_t w = 0; w < out->windows; w++) {
        float *logits = out->logits + (size_t)w * c->classes;
        out->present[w] = 0;
        memcpy(logits, c->bias->data, c->classes * sizeof *logits);
        for (int32_t m = 0; m < c->modalities; m++) {
            int32_t s = w * c->modalities + m;
            const float *share = out->contributions + (size_t)s * c->classes;
            if (segment[s + 1] > segment[s])
                out->present[w] |= 1u << m;
            for (int32_t k = 0; k < c->classes; k++)
                logits[k] += share[k];
        }
    }
}

SeamStatus seam_classify_forward(const SeamClassify *c, SeamRun *run, const SeamTokens *tokens,
                                 SeamClassifyOut *out, SeamClassifySaved *saved) {
    const SeamKernels *k = run->kernels;
    int32_t n = tokens->n, segments = tokens->seqs * c->modalities;
    SeamClassifySaved scratch, *s = saved ? saved : &scratch;
    SEAM_TRY(alloc_out(c, run, tokens->seqs, out));
    size_t mark = seam_arena_mark(run->arena);
    SEAM_TRY(alloc_saved(c, run, n, tokens->seqs, s));
    SEAM_TRY(seam_classify_segments(tokens, c->modalities, s->segment));
    SEAM_TRY(
        seam_adapter_forward(&c->adapter, run, n, tokens->x, s->z, saved ? &s->adapter : NULL));
    SEAM_TRY(seam_norm_forward(&c->norm, run, n, s->z, s->u, s->mean, s->rstd));

    size_t kept = seam_arena_mark(run->arena);
    float *score = SEAM_NEW(run->arena, float, n);
    if (!score)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->gemm(false, true, n, 1, c->dim, s->u, c->dim, c->score->data, c->dim, 0, score, 1));
    for (int32_t i = 0; tokens->size && i < n; i++)
        score[i] += logf(tokens->size[i]);
    SEAM_TRY(k->pool(segments, s->segment, c->dim, s->u, score, s->weight, s->pooled));
    SEAM_TRY(k->gemm(false, true, segments, c->classes, c->dim, s->pooled, c->dim, c->weight->data,
                     c->dim, 0, out->contributions, c->classes));
    add_evidence(c, s->segment, out);
    seam_arena_release(run->arena, saved ? kept : mark);
    return SEAM_OK;
}

void seam_classify_shares(const SeamClassify *c, const SeamClassifySaved *saved, int32_t class_index, float *share) {
    const float *of = c->weight->data + (size_t)class_index * c->dim, *good = c->weight->data;
    for (int32_t i = 0; i < saved->n; i++) {
        const float *u = saved->u + (size_t)i * c->dim;
        double sum = 0;
        for (int32_t d = 0; d < c->dim; d++)
            sum += (double)(of[d] - good[d]) * u[d];
        share[i] = (float)(saved->weight[i] * sum);
    }
}

// g_w for each (w, m). An absent one needs no exception: its p is 0 and it has no tokens to pass a
// gradient to.
static void spread(const SeamClassify *c, const SeamClassifySaved *saved, const float *dlogits,
                   float *dshare) {
    for (int32_t s = 0; s < saved->windows * c->modalities; s++)
        memcpy(dshare + (size_t)s * c->classes, dlogits + (size_t)(s / c->modalities) * c->classes,
               c->classes * sizeof *dshare);
}

// From dlogits, and what else is asked of the contributions, to du [n, dim].
static SeamStatus backward_evidence(const SeamClassify *c, SeamRun *run,
                                    const SeamClassifySaved *saved, const float *dlogits,
                                    const float *dcontributions, float *du) {
    const SeamKernels *k = run->kernels;
    size_t mark = seam_arena_mark(run->arena);
    int32_t n = saved->n, segments = saved->windows * c->modalities;
    float *dshare = SEAM_NEW(run->arena, float, (size_t)segments * c->classes);
    float *dpooled = SEAM_NEW(run->arena, float, (size_t)segments * c->dim);
    float *dscore = SEAM_NEW(run->arena, float, n);
    if (!dshare || !dpooled || !dscore)
        return SEAM_NO_MEMORY;
    spread(c, saved, dlogits, dshare);
    if (dcontributions)
        SEAM_TRY(k->add((size_t)segments * c->classes, dcontributions, dshare));
    SEAM_TRY(k->bias_grad(saved->windows, c->classes, dlogits, c->bias->grad));
    SEAM_TRY(k->gemm(true, false, c->classes, c->dim, segments, dshare, c->classes, saved->pooled,
                     c->dim, 1, c->weight->grad, c->dim));
    SEAM_TRY(k->gemm(false, false, segments, c->dim, c->classes, dshare, c->classes,
                     c->weight->data, c->dim, 0, dpooled, c->dim));
    memset(du, 0, (size_t)n * c->dim * sizeof *du);
    SEAM_TRY(k->pool_backward(segments, saved->segment, c->dim, saved->u, saved->weight,
                              saved->pooled, dpooled, du, dscore));
    SEAM_TRY(
        k->gemm(true, false, 1, c->dim, n, dscore, 1, saved->u, c->dim, 1, c->score->grad, c->dim));
    SEAM_TRY(k->gemm(false, false, n, c->dim, 1, dscore, 1, c->score->data, c->dim, 1, du, c->dim));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_classify_backward(const SeamClassify *c, SeamRun *run,
                                  const SeamClassifySaved *saved, const float *dlogits, float *dx) {
    return seam_classify_backward_all(c, run, saved, dlogits, NULL, dx);
}

SeamStatus seam_classify_backward_all(const SeamClassify *c, SeamRun *run,
                                      const SeamClassifySaved *saved, const float *dlogits,
                                      const float *dcontributions, float *dx) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)saved->n * c->dim;
    float *du = SEAM_NEW(run->arena, float, size), *dz = SEAM_NEW0(run->arena, float, size);
    if (!du || !dz)
        return SEAM_NO_MEMORY;
    SEAM_TRY(backward_evidence(c, run, saved, dlogits, dcontributions, du));
    SEAM_TRY(
        seam_norm_backward(&c->norm, run, saved->n, saved->z, saved->mean, saved->rstd, du, dz));
    SEAM_TRY(seam_adapter_backward(&c->adapter, run, saved->n, &saved->adapter, dz, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_classify_bytes(const SeamClassify *c, int32_t n, int32_t windows, bool train) {
    size_t segments = (size_t)windows * c->modalities, size = (size_t)n * c->dim, f = sizeof(float);
    size_t bytes = seam_arena_bytes((size_t)windows * c->classes, f) +
                   seam_arena_bytes(segments * c->classes, f) +
                   seam_arena_bytes(windows, sizeof(uint32_t)) +
                   seam_arena_bytes(segments + 1, sizeof(int32_t)) + 2 * seam_arena_bytes(size, f) +
                   4 * seam_arena_bytes(n, f) + seam_arena_bytes(segments * c->dim, f) +
                   seam_adapter_bytes(&c->adapter, n, train);
    if (train)
        bytes += seam_arena_bytes(segments * c->classes, f) +
                 seam_arena_bytes(segments * c->dim, f) + seam_arena_bytes(n, f) +
                 2 * seam_arena_bytes(size, f);
    return bytes;
}
