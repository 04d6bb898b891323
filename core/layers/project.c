// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The shared projection with a low-rank delta a modality (Hu 2021, "LoRA", sec. 4.1) and the place
// encoding.
//
//   h   = LN(f)                                               f [n, dim]
//   x   = h W^T + b + (h A_m^T) B_m^T + phi P^T + M_m + D_domain
//                                                         W [dim, dim], A [rank, dim], B [dim, rank]
//   phi = (sin, cos)(pi 2^j s), j = 0 .. 3, s = x, y, t / window  [n, 24]
//
// Fourier features: Tancik 2020, eq. 1, with the frequencies of Mildenhall 2020, eq. 4.
// phi is ordered by s, then j, then sine and cosine. B starts at zero: a new modality begins with
// what the others share. The place is added at the token and not looked up by its number, so that
// merged and reordered tokens keep theirs.
//
// Backward, g = dx: dW = g^T h, db = sum g, dB = g^T (h A^T), dA = (g B)^T h, dP = g^T phi, dM, dD
// = sums of g; dh = g W + (g B) A; df = LN'(dh).
#include "core/layers/project.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void seam_project_declare(SeamProject *p, SeamParams *params, const SeamConfig *config) {
    char name[SEAM_NAME_LENGTH + 32];
    *p = (SeamProject){.dim = config->dim,
                       .n_modalities = config->n_modalities,
                       .inverse_window = (float)(1 / config->window)};
    seam_norm_declare(&p->norm, params, "project.norm", p->dim);
    seam_linear_declare(&p->shared, params, "project", p->dim, p->dim, true);
    for (int32_t m = 0; m < p->n_modalities; m++) {
        p->rank[m] = config->modality[m].delta_rank;
        if (p->rank[m] == 0)
            continue;
        snprintf(name, sizeof name, "project.delta.%s.a", config->modality[m].name);
        p->a[m] =
            seam_params_declare(params, name, SEAM_INIT_SMALL, true, p->rank[m], p->dim, 0, 0);
        snprintf(name, sizeof name, "project.delta.%s.b", config->modality[m].name);
        p->b[m] = seam_params_declare(params, name, SEAM_INIT_ZERO, true, p->dim, p->rank[m], 0, 0);
    }
    p->place = seam_params_declare(params, "place.weight", SEAM_INIT_SMALL, true, p->dim,
                                   SEAM_PLACE_FEATURES, 0, 0);
    p->modality = seam_params_declare(params, "place.modality", SEAM_INIT_SMALL, false,
                                      p->n_modalities, p->dim, 0, 0);
    p->domain = seam_params_declare(params, "place.domain", SEAM_INIT_SMALL, false, SEAM_DOMAINS,
                                    p->dim, 0, 0);
}

static void fill_fourier(const SeamProject *p, int32_t n, const SeamPlace *place, float *phi) {
    for (int32_t i = 0; i < n; i++) {
        const float s[3] = {place[i].x, place[i].y, place[i].t * p->inverse_window};
        for (int32_t c = 0; c < 3; c++)
            for (int32_t j = 0; j < SEAM_PLACE_FREQUENCIES; j++) {
                double angle = G_PI * (1 << j) * (double)s[c];
                *phi++ = (float)sin(angle);
                *phi++ = (float)cos(angle);
            }
    }
}

static SeamStatus alloc_saved(const SeamProject *p, SeamRun *run, int32_t modality, int32_t n,
                              SeamProjectSaved *s) {
    int32_t rank = p->rank[modality];
    s->mean = SEAM_NEW(run->arena, float, n);
    s->rstd = SEAM_NEW(run->arena, float, n);
    s->normed = SEAM_NEW(run->arena, float, (size_t)n * p->dim);
    s->low = rank ? SEAM_NEW(run->arena, float, (size_t)n *rank) : NULL;
    s->fourier = SEAM_NEW(run->arena, float, (size_t)n *SEAM_PLACE_FEATURES);
    return s->mean && s->rstd && s->normed && (s->low || !rank) && s->fourier ? SEAM_OK
                                                                              : SEAM_NO_MEMORY;
}

// x += phi P^T + M + D, the part that does not see the features.
static SeamStatus add_place(const SeamProject *p, const SeamKernels *k, int32_t n,
                            const SeamPlace *place, float *phi, float *x) {
    fill_fourier(p, n, place, phi);
    SEAM_TRY(k->gemm(false, true, n, p->dim, SEAM_PLACE_FEATURES, phi, SEAM_PLACE_FEATURES,
                     p->place->data, SEAM_PLACE_FEATURES, 1, x, p->dim));
    for (int32_t i = 0; i < n; i++) {
        SEAM_TRY(k->add((size_t)p->dim, p->modality->data + (size_t)place[i].modality * p->dim,
                        x + (size_t)i * p->dim));
        SEAM_TRY(k->add((size_t)p->dim, p->domain->data + (size_t)place[i].domain * p->dim,
                        x + (size_t)i * p->dim));
    }
    return SEAM_OK;
}

static SeamStatus add_delta(const SeamProject *p, const SeamKernels *k, int32_t modality, int32_t n,
                            const float *h, float *low, float *x) {
    int32_t rank = p->rank[modality], dim = p->dim;
    if (rank == 0)
        return SEAM_OK;
    SEAM_TRY(k->gemm(false, true, n, rank, dim, h, dim, p->a[modality]->data, dim, 0, low, rank));
    return k->gemm(false, true, n, dim, rank, low, rank, p->b[modality]->data, rank, 1, x, dim);
}

SeamStatus seam_project_forward(const SeamProject *p, SeamRun *run, int32_t modality,
                                SeamTokens *tokens, SeamProjectSaved *saved) {
    SeamProjectSaved scratch, *s = saved ? saved : &scratch;
    int32_t n = tokens->n;
    size_t mark = seam_arena_mark(run->arena);
    float *x = saved ? SEAM_NEW(run->arena, float, (size_t)n * p->dim) : tokens->x;
    if (!x)
        return SEAM_NO_MEMORY;
    *s = (SeamProjectSaved){
        .modality = modality, .n = n, .place = tokens->place, .features = tokens->x};
    SEAM_TRY(alloc_saved(p, run, modality, n, s));
    SEAM_TRY(seam_norm_forward(&p->norm, run, n, tokens->x, s->normed, s->mean, s->rstd));
    SEAM_TRY(seam_linear_forward(&p->shared, run, n, s->normed, x));
    SEAM_TRY(add_delta(p, run->kernels, modality, n, s->normed, s->low, x));
    SEAM_TRY(add_place(p, run->kernels, n, tokens->place, s->fourier, x));
    tokens->x = x;
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static SeamStatus backward_place(const SeamProject *p, const SeamKernels *k,
                                 const SeamProjectSaved *saved, const float *dx) {
    SEAM_TRY(k->gemm(true, false, p->dim, SEAM_PLACE_FEATURES, saved->n, dx, p->dim, saved->fourier,
                     SEAM_PLACE_FEATURES, 1, p->place->grad, SEAM_PLACE_FEATURES));
    for (int32_t i = 0; i < saved->n; i++) {
        const SeamPlace *place = &saved->place[i];
        SEAM_TRY(k->add((size_t)p->dim, dx + (size_t)i * p->dim,
                        p->modality->grad + (size_t)place->modality * p->dim));
        SEAM_TRY(k->add((size_t)p->dim, dx + (size_t)i * p->dim,
                        p->domain->grad + (size_t)place->domain * p->dim));
    }
    return SEAM_OK;
}

// dh += (g B) A, and the gradients of A and B.
static SeamStatus backward_delta(const SeamProject *p, SeamRun *run, const SeamProjectSaved *saved,
                                 const float *dx, float *dh) {
    const SeamKernels *k = run->kernels;
    int32_t m = saved->modality, n = saved->n, rank = p->rank[m], dim = p->dim;
    size_t mark = seam_arena_mark(run->arena);
    float *dlow = SEAM_NEW(run->arena, float, (size_t)n *rank);
    if (!dlow)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->gemm(true, false, dim, rank, n, dx, dim, saved->low, rank, 1, p->b[m]->grad, rank));
    SEAM_TRY(k->gemm(false, false, n, rank, dim, dx, dim, p->b[m]->data, rank, 0, dlow, rank));
    SEAM_TRY(
        k->gemm(true, false, rank, dim, n, dlow, rank, saved->normed, dim, 1, p->a[m]->grad, dim));
    SEAM_TRY(k->gemm(false, false, n, dim, rank, dlow, rank, p->a[m]->data, dim, 1, dh, dim));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_project_backward(const SeamProject *p, SeamRun *run, const SeamProjectSaved *saved,
                                 const float *dx, float *dfeatures) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)saved->n * p->dim;
    float *dh = SEAM_NEW(run->arena, float, size);
    if (!dh)
        return SEAM_NO_MEMORY;
    SEAM_TRY(backward_place(p, run->kernels, saved, dx));
    SEAM_TRY(seam_linear_backward(&p->shared, run, saved->n, saved->normed, dx, dh, false));
    if (p->rank[saved->modality] > 0)
        SEAM_TRY(backward_delta(p, run, saved, dx, dh));
    memset(dfeatures, 0, size * sizeof *dfeatures);
    SEAM_TRY(seam_norm_backward(&p->norm, run, saved->n, saved->features, saved->mean, saved->rstd,
                                dh, dfeatures));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_project_bytes(const SeamProject *p, int32_t n, bool train) {
    size_t rows = (size_t)n, most = 0, f = sizeof(float);
    for (int32_t m = 0; m < p->n_modalities; m++)
        most = MAX(most, (size_t)p->rank[m]);
    return 2 * seam_arena_bytes(rows, f) + (train ? 3 : 1) * seam_arena_bytes(rows * p->dim, f) +
           (train ? 2 : 1) * seam_arena_bytes(rows * most, f) +
           seam_arena_bytes(rows * SEAM_PLACE_FEATURES, f);
}
