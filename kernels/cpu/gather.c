// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Rows to the experts and back (kernels.h):
//
//   gather      y[r] = x[source[r]],                   gradient  dx[i] = sum_j dy[position[i, j]]
//   combine     out[i] += sum_j gate[i, j] y[p_ij],    gradient  dy[p_ij] = gate[i, j] dout[i],  dgate[i, j] = y[p_ij] . dout[i]
//
// Rows of d; n, rows, d may be 0. Sums over j in order, in f32: deterministic. NaN passes through. Against ref: top_k (a dot: sqrt(d))
// roundings. Bound by memory.
#include <string.h>

#include "kernels/cpu/rows.h"

typedef struct {
    int32_t d, top_k;
    const int32_t *row; // source or position
    const float *gate, *x, *y;
    float *to, *dgate;
} Job;

static void gather_rows(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t r = from; r < to; r++)
        memcpy(j->to + r * j->d, j->x + (ptrdiff_t)j->row[r] * j->d, (size_t)j->d * sizeof(float));
}

static SeamStatus gather(int32_t rows, int32_t d, const int32_t *source, const float *x, float *y) {
    if (d > 0)
        seam_run_ranges(rows, seam_row_grain(d), gather_rows, &(Job){.d = d, .row = source, .x = x, .to = y});
    return SEAM_OK;
}

// to[i] (= or +=) sum_j gate[i, j] x[row[i, j]]; gate NULL means 1, and then "=".
static void combine_rows(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t i = from; i < to; i++) {
        const int32_t *row = j->row + i * j->top_k;
        for (int32_t c = 0; c < j->d; c += LANES) {
            int lanes = seam_min(LANES, j->d - c);
            float *at = j->to + i * j->d + c;
            Vec sum = j->gate ? vec_load_part(at, lanes) : vec_set(0);
            for (int32_t t = 0; t < j->top_k && row[t] >= 0; t++) {
                Vec gate = vec_set(j->gate ? j->gate[i * j->top_k + t] : 1);
                sum = vec_fma(gate, vec_load_part(j->x + (ptrdiff_t)row[t] * j->d + c, lanes), sum);
            }
            vec_store_part(at, lanes, sum);
        }
    }
}

static SeamStatus gather_backward(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *dy, float *dx) {
    seam_run_ranges(n, seam_row_grain(d * top_k), combine_rows, &(Job){.d = d, .top_k = top_k, .row = position, .x = dy, .to = dx});
    return SEAM_OK;
}

static SeamStatus combine(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate, const float *y, float *out) {
    Job j = {.d = d, .top_k = top_k, .row = position, .gate = gate, .x = y, .to = out};
    seam_run_ranges(n, seam_row_grain(d * top_k), combine_rows, &j);
    return SEAM_OK;
}

static void combine_backward_rows(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t choice = from * j->top_k; choice < to * j->top_k; choice++) {
        const float *dout = j->x + choice / j->top_k * j->d;
        ptrdiff_t row = (ptrdiff_t)j->row[choice] * j->d;
        row_scale(j->d, j->gate[choice], dout, j->to + row);
        j->dgate[choice] = row_dot(j->d, j->y + row, dout);
    }
}

static SeamStatus combine_backward(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate, const float *y,
                                   const float *dout, float *dy, float *dgate) {
    Job j = {.d = d, .top_k = top_k, .row = position, .gate = gate, .x = dout, .y = y, .to = dy, .dgate = dgate};
    seam_run_ranges(n, seam_row_grain(d * top_k), combine_backward_rows, &j);
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_gather)(SeamKernels *k) {
    k->gather = gather;
    k->gather_backward = gather_backward;
    k->combine = combine;
    k->combine_backward = combine_backward;
}
