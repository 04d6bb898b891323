// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   gelu       y = x s,  s = 1 / (1 + exp(-u)),  u = 2 sqrt(2/pi) (x + 0.044715 x^3)
//   backward   dx = dy (s + x s (1 - s) u')
//   sigmoid    y = 1 / (1 + exp(-x))
//
// n elements, 0 included; y may be x, dx may be dy. f32. NaN and infinity in give NaN or infinity out, or the limit where there is one.
// Far out exp saturates and the limits 0 and x come by themselves. Against ref: some 4 ulp of the result, from exp (2 ulp) and the
// cancellation of s(1 - s). Some 25 instructions a vector against 8 or 12 bytes an element: in cache bound by the former.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"

typedef struct {
    const float *x, *dy;
    float *y;
} Job;

// Beyond 15 the slope is 0 or 1 to the last bit, and x^2 (1 - s) must not become infinity times 0; x - x keeps NaN and infinity.
static inline Vec slope_of(Vec x) {
    Vec z = vec_min(vec_set(15), vec_max(vec_set(-15), x));
    Vec square = z * z, s = vec_sigmoid(vec_set(vec_twice_root) * z * vec_fma(vec_set(vec_cubic), square, vec_set(1)));
    Vec du = vec_set(vec_twice_root) * vec_fma(vec_set(3 * vec_cubic), square, vec_set(1));
    return vec_fma(z * du * s, vec_set(1) - s, s) + (x - x);
}

static void gelu_range(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t i = from; i < to; i += LANES) {
        int lanes = (int)(to - i < LANES ? to - i : LANES);
        vec_store_part(j->y + i, lanes, vec_gelu(vec_load_part(j->x + i, lanes)));
    }
}

static void slope_range(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t i = from; i < to; i += LANES) {
        int lanes = (int)(to - i < LANES ? to - i : LANES);
        vec_store_part(j->y + i, lanes, vec_load_part(j->dy + i, lanes) * slope_of(vec_load_part(j->x + i, lanes)));
    }
}

static void sigmoid_range(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t i = from; i < to; i += LANES) {
        int lanes = (int)(to - i < LANES ? to - i : LANES);
        vec_store_part(j->y + i, lanes, vec_sigmoid(vec_load_part(j->x + i, lanes)));
    }
}

static SeamStatus gelu(size_t n, const float *x, float *y) {
    seam_run_ranges((int64_t)n, SEAM_GRAIN, gelu_range, &(Job){.x = x, .y = y});
    return SEAM_OK;
}

static SeamStatus gelu_backward(size_t n, const float *x, const float *dy, float *dx) {
    seam_run_ranges((int64_t)n, SEAM_GRAIN, slope_range, &(Job){.x = x, .dy = dy, .y = dx});
    return SEAM_OK;
}

static SeamStatus sigmoid(size_t n, const float *x, float *y) {
    seam_run_ranges((int64_t)n, SEAM_GRAIN, sigmoid_range, &(Job){.x = x, .y = y});
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_activation)(SeamKernels *k) {
    k->gelu = gelu;
    k->gelu_backward = gelu_backward;
    k->sigmoid = sigmoid;
}
