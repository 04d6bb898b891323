// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   AdamW (kernels.h)     m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  w -= lr (m^ / (sqrt(v^) + eps) + decay w)
//   sum_squares           sum of x^2
//
// n elements, 0 included. AdamW in f32, its two corrections 1 / (1 - b^step) in double; sum_squares in double, in pieces whose
// number depends on n alone, added in order: deterministic. NaN passes through. Against ref: 4 ulp of each of m, v and the step; the sum
// within 1e-15 n. Bound by memory: 28 bytes an element for AdamW, 4 for the sum.
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"

typedef struct {
    const float *grad;
    float *w, *m, *v;
    float beta1, beta2, eps, fade, rate, correct2; // fade = lr decay; rate = lr / (1 - b1^step); correct2 = 1 / (1 - b2^step)
} Adam;

static void adam_range(const void *job, int64_t from, int64_t to) {
    const Adam *j = job;
    for (int64_t i = from; i < to; i += LANES) {
        int lanes = (int)(to - i < LANES ? to - i : LANES);
        Vec g = vec_load_part(j->grad + i, lanes);
        Vec m = vec_fma(vec_set(j->beta1), vec_load_part(j->m + i, lanes), vec_set(1 - j->beta1) * g);
        Vec v = vec_fma(vec_set(j->beta2), vec_load_part(j->v + i, lanes), vec_set(1 - j->beta2) * g * g);
        Vec w = vec_load_part(j->w + i, lanes);
        Vec step = vec_set(j->rate) * m / (vec_sqrt(v * vec_set(j->correct2)) + vec_set(j->eps));
        vec_store_part(j->m + i, lanes, m);
        vec_store_part(j->v + i, lanes, v);
        vec_store_part(j->w + i, lanes, w - vec_fma(vec_set(j->fade), w, step));
    }
}

static SeamStatus adamw(size_t n, float *w, const float *grad, float *m, float *v, float lr, float beta1, float beta2, float eps,
                        float decay, int64_t step) {
    assert(step >= 1);
    Adam j = {.grad = grad, .w = w, .m = m, .v = v, .beta1 = beta1, .beta2 = beta2, .eps = eps, .fade = lr * decay,
              .rate = (float)(lr / (1 - pow(beta1, (double)step))), .correct2 = (float)(1 / (1 - pow(beta2, (double)step)))};
    seam_run_ranges((int64_t)n, SEAM_GRAIN, adam_range, &j);
    return SEAM_OK;
}

enum { MOST_PIECES = 64 };

typedef struct {
    int64_t n, pieces;
    const float *x;
    double *sum; // [pieces]
} Squares;

static void square_pieces(const void *job, int64_t from, int64_t to) {
    const Squares *j = job;
    for (int64_t p = from; p < to; p++) {
        VecDouble sum[2] = {0};
        double lane[LANES], total = 0;
        int64_t end = seam_part(j->n, LANES, j->pieces, p + 1);
        for (int64_t i = seam_part(j->n, LANES, j->pieces, p); i < end; i += LANES)
            vec_add_squares(vec_load_part(j->x + i, (int)(end - i < LANES ? end - i : LANES)), sum);
        memcpy(lane, sum, sizeof sum);
        for (int i = 0; i < LANES; i++)
            total += lane[i];
        j->sum[p] = total;
    }
}

static SeamStatus sum_squares(size_t n, const float *x, double *out) {
    double sum[MOST_PIECES];
    Squares j = {.n = (int64_t)n, .pieces = seam_ceil_div((int64_t)n, 2 * SEAM_GRAIN), .x = x, .sum = sum};
    if (j.pieces > MOST_PIECES)
        j.pieces = MOST_PIECES;
    seam_run_ranges(j.pieces, 1, square_pieces, &j);
    *out = 0;
    for (int64_t p = 0; p < j.pieces; p++)
        *out += sum[p];
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_optimise)(SeamKernels *k) {
    k->adamw = adamw;
    k->sum_squares = sum_squares;
}
