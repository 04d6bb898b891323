// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   y = z weight + bias,  z = (x - mean) rstd,  mean = avg(x),  rstd = 1 / sqrt(avg((x - mean)^2) + 1e-5)
//   backward, g = dy weight:  dx += rstd (g - avg(g) - z avg(g z)),  dweight += sum over rows of dy z,  dbias += sum over rows of dy
//
// x, y [n, d]; n and d may be 0. f32, the variance in a second pass around the mean; sums of a row by lanes in one fixed order. dweight and
// dbias are summed in slices of the rows whose number depends on n alone, and the slices in order: deterministic. NaN passes through.
// Against ref: about 2^-24 sqrt(d) of the largest |z|. Bound by memory: 8 bytes an element forward, 16 backward.
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"

enum { MOST_SLICES = 16, SLICE_ROWS = 64 };

typedef struct {
    int32_t n, d, slices;
    const float *x, *weight, *bias, *dy, *mean, *rstd;
    float *y, *keep_mean, *keep_rstd, *dx;
    float *sums; // [slices, 2, d]: of dy z, of dy
} Norm;

static float row_mean(int32_t d, const float *x) {
    Vec sum = vec_set(0);
    for (int32_t c = 0; c < d; c += LANES)
        sum += vec_load_part(x + c, seam_min(LANES, d - c));
    return d > 0 ? vec_sum(sum) / (float)d : 0;
}

static float row_variance(int32_t d, const float *x, float mean) {
    Vec sum = vec_set(0);
    for (int32_t c = 0; c < d; c += LANES) {
        int lanes = seam_min(LANES, d - c);
        Vec off = vec_keep(vec_load_part(x + c, lanes) - vec_set(mean), lanes, 0);
        sum = vec_fma(off, off, sum);
    }
    return d > 0 ? vec_sum(sum) / (float)d : 0;
}

static void forward_rows(const void *job, int64_t from, int64_t to) {
    const Norm *j = job;
    for (int64_t i = from; i < to; i++) {
        const float *x = j->x + i * j->d;
        float *y = j->y + i * j->d, mean = row_mean(j->d, x), rstd = 1 / sqrtf(row_variance(j->d, x, mean) + 1e-5f);
        for (int32_t c = 0; c < j->d; c += LANES) {
            int lanes = seam_min(LANES, j->d - c);
            Vec z = (vec_load_part(x + c, lanes) - vec_set(mean)) * vec_set(rstd);
            vec_store_part(y + c, lanes, vec_fma(z, vec_load_part(j->weight + c, lanes), vec_load_part(j->bias + c, lanes)));
        }
        if (j->keep_mean)
            j->keep_mean[i] = mean;
        if (j->keep_rstd)
            j->keep_rstd[i] = rstd;
    }
}

static SeamStatus layer_norm(int32_t n, int32_t d, const float *x, const float *weight, const float *bias, float *y, float *mean,
                             float *rstd) {
    Norm j = {.n = n, .d = d, .x = x, .weight = weight, .bias = bias, .y = y, .keep_mean = mean, .keep_rstd = rstd};
    seam_run_ranges(n, seam_row_grain(d), forward_rows, &j);
    return SEAM_OK;
}

// avg(g) and avg(g z) of a row.
static void row_averages(const Norm *j, const float *x, const float *dy, float mean, float rstd, float *g, float *gz) {
    Vec sum = vec_set(0), product = vec_set(0);
    for (int32_t c = 0; c < j->d; c += LANES) {
        int lanes = seam_min(LANES, j->d - c);
        Vec grad = vec_load_part(dy + c, lanes) * vec_load_part(j->weight + c, lanes);
        sum += grad;
        product = vec_fma(grad, vec_keep(vec_load_part(x + c, lanes) - vec_set(mean), lanes, 0), product);
    }
    *g = vec_sum(sum) / (float)j->d;
    *gz = rstd * vec_sum(product) / (float)j->d;
}

static void backward_row(const Norm *j, int64_t i, float *dweight, float *dbias) {
    const float *x = j->x + i * j->d, *dy = j->dy + i * j->d;
    float *dx = j->dx + i * j->d, g, gz;
    Vec mean = vec_set(j->mean[i]), rstd = vec_set(j->rstd[i]);
    row_averages(j, x, dy, j->mean[i], j->rstd[i], &g, &gz);
    for (int32_t c = 0; c < j->d; c += LANES) {
        int lanes = seam_min(LANES, j->d - c);
        Vec z = (vec_load_part(x + c, lanes) - mean) * rstd, grad = vec_load_part(dy + c, lanes);
        Vec part = vec_fma(grad, vec_load_part(j->weight + c, lanes), -vec_set(g)) - z * vec_set(gz);
        vec_store_part(dx + c, lanes, vec_fma(rstd, part, vec_load_part(dx + c, lanes)));
        vec_store_part(dweight + c, lanes, vec_fma(grad, z, vec_load_part(dweight + c, lanes)));
        vec_store_part(dbias + c, lanes, vec_load_part(dbias + c, lanes) + grad);
    }
}

static void backward_slices(const void *job, int64_t from, int64_t to) {
    const Norm *j = job;
    for (int64_t s = from; s < to; s++) {
        float *dweight = j->sums + s * 2 * j->d, *dbias = dweight + j->d;
        memset(dweight, 0, 2 * (size_t)j->d * sizeof *dweight);
        for (int64_t i = seam_part(j->n, 1, j->slices, s); i < seam_part(j->n, 1, j->slices, s + 1); i++)
            backward_row(j, i, dweight, dbias);
    }
}

static SeamStatus layer_norm_backward(int32_t n, int32_t d, const float *x, const float *weight, const float *mean, const float *rstd,
                                      const float *dy, float *dx, float *dweight, float *dbias) {
    Norm j = {.n = n, .d = d, .x = x, .weight = weight, .dy = dy, .mean = mean, .rstd = rstd, .dx = dx};
    j.slices = seam_min((n + SLICE_ROWS - 1) / SLICE_ROWS, MOST_SLICES);
    j.sums = seam_scratch(SEAM_SCRATCH_CALL, (size_t)j.slices * 2 * (size_t)d * sizeof *j.sums);
    if (!j.sums)
        return SEAM_NO_MEMORY;
    seam_run_ranges(j.slices, 1, backward_slices, &j);
    for (int32_t s = 0; s < j.slices; s++)
        for (int32_t c = 0; c < d; c++) {
            dweight[c] += j.sums[(size_t)s * 2 * d + c];
            dbias[c] += j.sums[((size_t)s * 2 + 1) * d + c];
        }
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_norm)(SeamKernels *k) {
    k->layer_norm = layer_norm;
    k->layer_norm_backward = layer_norm_backward;
}
