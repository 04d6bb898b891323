// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   p_s = 1/n_s sum_{i in s} x_i,   z_s = LN(p_s) W^T + b           x [n, dim], z [seqs, classes]
//   margin_s = softmax(z_s)_(1) - softmax(z_s)_(2)                   the two highest
//
// Source: a classifier behind some of the layers, trained with the last one (Teerapittayanon 2016, "BranchyNet", sec. III); the margin of the two most
// probable classes as the measure of sureness: Schuster 2022, "Confident adaptive language modeling", sec. 3.3, softmax response.
//
// Backward: dp = LN'(dz W), dx_i += dp_s / n_s. The mean is the kernel's softmax pooling with equal scores.
#include "core/layers/exit.h"

#include <math.h>
#include <string.h>

bool seam_exit_at(const SeamConfig *config, int32_t layer) {
    return config->exit_every > 0 && layer + 1 < config->layers && (layer + 1) % config->exit_every == 0;
}

int32_t seam_exit_count(const SeamConfig *config) {
    return config->exit_every > 0 ? (config->layers - 1) / config->exit_every : 0;
}

void seam_exit_declare(SeamExit *e, SeamParams *params, const SeamConfig *config, int32_t layer) {
    g_autofree char *norm = g_strdup_printf("exits.%d.norm", layer), *head = g_strdup_printf("exits.%d.head", layer);
    *e = (SeamExit){.dim = config->dim, .classes = config->n_classes};
    seam_norm_declare(&e->norm, params, norm, e->dim);
    seam_linear_declare(&e->head, params, head, e->dim, e->classes, true);
}

SeamStatus seam_exit_forward(const SeamExit *e, SeamRun *run, int32_t seqs, const int32_t *start, const float *x, float *logits, SeamExitSaved *saved) {
    size_t mark = seam_arena_mark(run->arena), n = (size_t)start[seqs], size = (size_t)seqs * e->dim;
    SeamExitSaved scratch, *s = saved ? saved : &scratch;
    *s = (SeamExitSaved){.seqs = seqs, .start = start, .weight = SEAM_NEW(run->arena, float, n), .pooled = SEAM_NEW(run->arena, float, size),
                         .h = SEAM_NEW(run->arena, float, size), .mean = SEAM_NEW(run->arena, float, seqs), .rstd = SEAM_NEW(run->arena, float, seqs)};
    size_t kept = seam_arena_mark(run->arena);
    float *equal = SEAM_NEW0(run->arena, float, n);
    if (!s->weight || !s->pooled || !s->h || !s->mean || !s->rstd || !equal)
        return SEAM_NO_MEMORY;
    SEAM_TRY(run->kernels->pool(seqs, start, e->dim, x, equal, s->weight, s->pooled));
    SEAM_TRY(seam_norm_forward(&e->norm, run, seqs, s->pooled, s->h, s->mean, s->rstd));
    SEAM_TRY(seam_linear_forward(&e->head, run, seqs, s->h, logits));
    seam_arena_release(run->arena, saved ? kept : mark);
    return SEAM_OK;
}

SeamStatus seam_exit_backward(const SeamExit *e, SeamRun *run, const SeamExitSaved *s, const float *x, const float *dlogits, float *dx) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)s->seqs * e->dim;
    float *dh = SEAM_NEW(run->arena, float, size), *dpooled = SEAM_NEW0(run->arena, float, size);
    float *dscore = SEAM_NEW(run->arena, float, s->start[s->seqs]); // of the equal scores: nobody needs it
    if (!dh || !dpooled || !dscore)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_backward(&e->head, run, s->seqs, s->h, dlogits, dh, false));
    SEAM_TRY(seam_norm_backward(&e->norm, run, s->seqs, s->pooled, s->mean, s->rstd, dh, dpooled));
    SEAM_TRY(run->kernels->pool_backward(s->seqs, s->start, e->dim, x, s->weight, s->pooled, dpooled, dx, dscore));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

float seam_exit_margin(int32_t classes, const float *logits) {
    float first = -INFINITY, second = -INFINITY;
    double sum = 0;
    for (int32_t c = 0; c < classes; c++) {
        second = fmaxf(second, fminf(first, logits[c]));
        first = fmaxf(first, logits[c]);
    }
    for (int32_t c = 0; c < classes; c++)
        sum += exp((double)logits[c] - first);
    return (float)((1 - exp((double)second - first)) / sum);
}

size_t seam_exit_bytes(const SeamExit *e, int32_t n, int32_t seqs) {
    size_t by_dim = seam_arena_bytes((size_t)seqs * e->dim, sizeof(float)), by_token = seam_arena_bytes((size_t)n, sizeof(float));
    return 2 * by_dim + 2 * seam_arena_bytes((size_t)seqs, sizeof(float)) + 2 * by_token;
}
