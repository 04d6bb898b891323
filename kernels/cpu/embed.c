// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   embed_bag   out[b] = mean of table[id] over the ids of bag b;  gradient  dtable[id] += dout[b] / count, as often as id occurs
//
// Rows of d; bags and d may be 0, a bag may be empty. Sums in the order of the ids, in f32: deterministic (the gradient is cut by
// columns, so that no two tasks share an element). NaN passes through. Against ref: one rounding an id. Bound by memory.
#include <string.h>

#include "kernels/cpu/rows.h"

typedef struct {
    int32_t bags, d;
    const int32_t *start, *ids;
    const float *from;
    float *to;
} Job;

static void bag_means(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t b = from; b < to; b++) {
        float *out = j->to + b * j->d;
        int32_t count = j->start[b + 1] - j->start[b];
        memset(out, 0, (size_t)j->d * sizeof *out);
        for (int32_t i = j->start[b]; i < j->start[b + 1]; i++)
            row_add(j->d, 1, j->from + (ptrdiff_t)j->ids[i] * j->d, out);
        if (count > 1)
            row_scale(j->d, 1.0f / (float)count, out, out);
    }
}

static SeamStatus embed_bag(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d, const float *table, float *out) {
    seam_run_ranges(bags, seam_row_grain(d), bag_means, &(Job){.bags = bags, .d = d, .start = start, .ids = ids, .from = table, .to = out});
    return SEAM_OK;
}

static void bag_columns(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int32_t b = 0; b < j->bags; b++) {
        float share = 1.0f / (float)(j->start[b + 1] - j->start[b]);
        for (int32_t i = j->start[b]; i < j->start[b + 1]; i++)
            row_add((int32_t)(to - from), share, j->from + (ptrdiff_t)b * j->d + from, j->to + (ptrdiff_t)j->ids[i] * j->d + from);
    }
}

static SeamStatus embed_bag_backward(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d, const float *dout, float *dtable) {
    int64_t work = bags > 0 ? (int64_t)start[bags] * d : 0, grain = work < 2 * SEAM_GRAIN ? d : 4 * LANES;
    seam_run_ranges(d, grain, bag_columns, &(Job){.bags = bags, .d = d, .start = start, .ids = ids, .from = dout, .to = dtable});
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_embed)(SeamKernels *k) {
    k->embed_bag = embed_bag;
    k->embed_bag_backward = embed_bag_backward;
}
