// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Bottleneck adapter (Houlsby 2019, "Parameter-efficient transfer learning", sec. 2.1), with the
// norm inside.
//
//   y = x + U gelu(D LN(x) + d) + u               x, y [n, dim]; D [rank, dim], U [dim, rank]
//
// U and u start at zero, so that a new adapter is the identity. rank 0: y = x.
// Backward: dx = dy + LN'(D^T (gelu'(.) * U^T dy)).
#include "core/layers/adapter.h"

#include <stdio.h>
#include <string.h>

void seam_adapter_declare(SeamAdapter *a, SeamParams *params, const char *prefix, int32_t dim,
                          int32_t rank) {
    char name[SEAM_NAME_LENGTH + 32];
    *a = (SeamAdapter){.dim = dim, .rank = rank};
    if (rank == 0)
        return;
    snprintf(name, sizeof name, "%s.adapter.norm", prefix);
    seam_norm_declare(&a->norm, params, name, dim);
    snprintf(name, sizeof name, "%s.adapter.down", prefix);
    seam_linear_declare(&a->down, params, name, dim, rank, true);
    snprintf(name, sizeof name, "%s.adapter.up", prefix);
    seam_linear_declare(&a->up, params, name, rank, dim, true);
    a->up.weight->init = SEAM_INIT_ZERO;
}

static SeamStatus alloc_saved(const SeamAdapter *a, SeamRun *run, int32_t n, SeamAdapterSaved *s) {
    s->mean = SEAM_NEW(run->arena, float, n);
    s->rstd = SEAM_NEW(run->arena, float, n);
    s->normed = SEAM_NEW(run->arena, float, (size_t)n * a->dim);
    s->low = SEAM_NEW(run->arena, float, (size_t)n * a->rank);
    s->act = SEAM_NEW(run->arena, float, (size_t)n * a->rank);
    return s->mean && s->rstd && s->normed && s->low && s->act ? SEAM_OK : SEAM_NO_MEMORY;
}

SeamStatus seam_adapter_forward(const SeamAdapter *a, SeamRun *run, int32_t n, const float *x,
                                float *y, SeamAdapterSaved *saved) {
    SeamAdapterSaved scratch, *s = saved ? saved : &scratch;
    size_t mark = seam_arena_mark(run->arena), size = (size_t)n * a->dim;
    if (a->rank == 0) {
        memcpy(y, x, size * sizeof *y);
        return SEAM_OK;
    }
    s->x = x;
    SEAM_TRY(alloc_saved(a, run, n, s));
    SEAM_TRY(seam_norm_forward(&a->norm, run, n, x, s->normed, s->mean, s->rstd));
    SEAM_TRY(seam_linear_forward_gelu(&a->down, run, n, s->normed, saved ? s->low : s->act, s->act));
    SEAM_TRY(seam_linear_forward(&a->up, run, n, s->act, y));
    SEAM_TRY(run->kernels->add(size, x, y));
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_adapter_backward(const SeamAdapter *a, SeamRun *run, int32_t n,
                                 const SeamAdapterSaved *saved, const float *dy, float *dx) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)n * a->dim;
    memcpy(dx, dy, size * sizeof *dx);
    if (a->rank == 0)
        return SEAM_OK;
    float *dlow = SEAM_NEW(run->arena, float, (size_t)n * a->rank),
          *dnormed = SEAM_NEW(run->arena, float, size);
    if (!dlow || !dnormed)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_backward(&a->up, run, n, saved->act, dy, dlow, false));
    SEAM_TRY(run->kernels->gelu_backward((size_t)n * a->rank, saved->low, dlow, dlow));
    SEAM_TRY(seam_linear_backward(&a->down, run, n, saved->normed, dlow, dnormed, false));
    SEAM_TRY(seam_norm_backward(&a->norm, run, n, saved->x, saved->mean, saved->rstd, dnormed, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_adapter_bytes(const SeamAdapter *a, int32_t n, bool train) {
    size_t rows = (size_t)n, f = sizeof(float);
    return a->rank == 0 ? 0
                        : 2 * seam_arena_bytes(rows, f) +
                              (train ? 2 : 1) * seam_arena_bytes(rows * a->dim, f) +
                              (train ? 3 : 2) * seam_arena_bytes(rows * a->rank, f);
}
