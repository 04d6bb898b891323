// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Operations on one row of floats, from which the row-wise kernels are made. Any length, 0 included; sums by lanes in one fixed order.
#pragma once

#include <math.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"

// to = factor * from.
static inline void row_scale(int32_t d, float factor, const float *from, float *to) {
    for (int32_t c = 0; c < d; c += LANES) {
        int lanes = seam_min(LANES, d - c);
        vec_store_part(to + c, lanes, vec_set(factor) * vec_load_part(from + c, lanes));
    }
}

// to += factor * from.
static inline void row_add(int32_t d, float factor, const float *from, float *to) {
    for (int32_t c = 0; c < d; c += LANES) {
        int lanes = seam_min(LANES, d - c);
        vec_store_part(to + c, lanes, vec_fma(vec_set(factor), vec_load_part(from + c, lanes), vec_load_part(to + c, lanes)));
    }
}

static inline float row_dot(int32_t d, const float *a, const float *b) {
    Vec sum = vec_set(0);
    for (int32_t c = 0; c < d; c += LANES) {
        int lanes = seam_min(LANES, d - c);
        sum = vec_fma(vec_load_part(a + c, lanes), vec_load_part(b + c, lanes), sum);
    }
    return vec_sum(sum);
}

// to = exp(x - highest), to may be x; returns the sum and sets *highest. NaN in x makes the sum NaN.
static inline float row_exponentials(int32_t n, const float *x, float *to, float *highest) {
    Vec top = vec_set(-INFINITY), sum = vec_set(0);
    for (int32_t i = 0; i < n; i += LANES) {
        int lanes = seam_min(LANES, n - i);
        top = vec_max(top, vec_keep(vec_load_part(x + i, lanes), lanes, -INFINITY));
    }
    *highest = vec_top(top);
    for (int32_t i = 0; i < n; i += LANES) {
        int lanes = seam_min(LANES, n - i);
        Vec e = vec_exp(vec_load_part(x + i, lanes) - vec_set(*highest));
        vec_store_part(to + i, lanes, e);
        sum += vec_keep(e, lanes, 0);
    }
    return vec_sum(sum);
}

// The same, divided by its sum.
static inline void row_softmax(int32_t n, const float *x, float *to) {
    float highest, sum = row_exponentials(n, x, to, &highest);
    for (int32_t i = 0; i < n; i += LANES) {
        int lanes = seam_min(LANES, n - i);
        vec_store_part(to + i, lanes, vec_load_part(to + i, lanes) / vec_set(sum));
    }
}
