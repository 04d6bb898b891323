// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   pool        weight = softmax of score over each segment,  out[s] = sum_i weight[i] x[i]
//   backward    dx[i] += weight[i] dout[s],  dscore[i] = weight[i] (x[i] - out[s]) . dout[s]
//   distances   dist[i, j] = sum_c (a[i, c] - b[j, c])^2
//
// Shapes: kernels.h; all sizes may be 0. f32; sums over rows in order, over columns by lanes. The distance is a sum of squares, not
// |a|^2 + |b|^2 - 2 a.b: never negative, and exact for equal rows. NaN passes through. Against ref: sqrt(rows) or sqrt(d) roundings.
// Bound by memory.
#include <string.h>

#include "kernels/cpu/rows.h"

typedef struct {
    const int32_t *start;
    int32_t d, m;
    const float *x, *score, *out, *dout, *a, *b;
    float *weight, *pooled, *dx, *dscore, *dist;
} Job;

static void pool_segments(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t s = from; s < to; s++) {
        int32_t first = j->start[s], count = j->start[s + 1] - first;
        float *out = j->pooled + s * j->d;
        memset(out, 0, (size_t)j->d * sizeof *out);
        row_softmax(count, j->score + first, j->weight + first);
        for (int32_t i = first; i < first + count; i++)
            row_add(j->d, j->weight[i], j->x + (ptrdiff_t)i * j->d, out);
    }
}

static SeamStatus pool(int32_t segments, const int32_t *start, int32_t d, const float *x, const float *score, float *weight, float *out) {
    Job j = {.start = start, .d = d, .x = x, .score = score, .weight = weight, .pooled = out};
    int32_t rows = segments > 0 ? start[segments] / segments + 1 : 1;
    seam_run_ranges(segments, seam_ceil_div(seam_row_grain(d), rows), pool_segments, &j);
    return SEAM_OK;
}

static void pool_backward_segments(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t s = from; s < to; s++) {
        const float *out = j->out + s * j->d, *dout = j->dout + s * j->d;
        for (int32_t i = j->start[s]; i < j->start[s + 1]; i++) {
            const float *x = j->x + (ptrdiff_t)i * j->d;
            Vec dot = vec_set(0);
            for (int32_t c = 0; c < j->d; c += LANES) {
                int lanes = seam_min(LANES, j->d - c);
                dot = vec_fma(vec_load_part(x + c, lanes) - vec_load_part(out + c, lanes), vec_load_part(dout + c, lanes), dot);
            }
            j->dscore[i] = j->weight[i] * vec_sum(dot);
            row_add(j->d, j->weight[i], dout, j->dx + (ptrdiff_t)i * j->d);
        }
    }
}

static SeamStatus pool_backward(int32_t segments, const int32_t *start, int32_t d, const float *x, const float *weight, const float *out,
                                const float *dout, float *dx, float *dscore) {
    Job j = {.start = start, .d = d, .x = x, .weight = (float *)weight, .out = out, .dout = dout, .dx = dx, .dscore = dscore};
    int32_t rows = segments > 0 ? start[segments] / segments + 1 : 1;
    seam_run_ranges(segments, seam_ceil_div(seam_row_grain(d), rows), pool_backward_segments, &j);
    return SEAM_OK;
}

static float distance(int32_t d, const float *a, const float *b) {
    Vec sum[2] = {vec_set(0), vec_set(0)};
    int32_t c = 0;
    for (; c + 2 * LANES <= d; c += 2 * LANES)
        for (int v = 0; v < 2; v++) {
            Vec off = vec_load(a + c + v * LANES) - vec_load(b + c + v * LANES);
            sum[v] = vec_fma(off, off, sum[v]);
        }
    for (; c < d; c += LANES) {
        int lanes = seam_min(LANES, d - c);
        Vec off = vec_load_part(a + c, lanes) - vec_load_part(b + c, lanes);
        sum[0] = vec_fma(off, off, sum[0]);
    }
    return vec_sum(sum[0] + sum[1]);
}

static void distance_pairs(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t pair = from; pair < to; pair++)
        j->dist[pair] = distance(j->d, j->a + pair / j->m * j->d, j->b + pair % j->m * j->d);
}

static SeamStatus distances(int32_t n, int32_t m, int32_t d, const float *a, const float *b, float *dist) {
    seam_run_ranges((int64_t)n * m, seam_row_grain(d), distance_pairs, &(Job){.d = d, .m = m, .a = a, .b = b, .dist = dist});
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_segment)(SeamKernels *k) {
    k->pool = pool;
    k->pool_backward = pool_backward;
    k->distances = distances;
}
