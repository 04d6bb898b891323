// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packed weights in f32 (kernels.h: SEAM_PACK_F32): x is read where it lies, a step is one element of k. Sums in f32, along k one fused product after the
// other, or in 2 or 4 interleaved sums with 2 rows or 1. NaN passes through. It owns nothing; see linear_tile.h.
#include "kernels/cpu/vec.h"

#if VEC_REGISTERS == 32
enum { ROWS = 14 };
#define ALL_ROWS ROWS_1_14
#else
enum { ROWS = 6 };
#define ALL_ROWS ROWS_1_6
#endif
enum { STEP_X = sizeof(float), STEP_W = sizeof(float) };

typedef Vec Sum, Left, Right;

#define sum_zero(first) vec_set(0)
#define sum_add(a, b) ((a) + (b))
#define sum_value(sum, x_scale, w_scale, bias) ((sum) + (bias))
#define left_load(p) vec_set(*(const float *)(const void *)(p))
#define right_load(p) vec_load((const float *)(const void *)(p))
#define product(sum, left, right) vec_fma(left, right, sum)

#include "kernels/cpu/linear_tile.h"

static void round_numbers(int32_t n, SeamRounding r, const float *from, void *to) {
    memcpy(to, from, (size_t)n * sizeof *from);
}

#define seam_linear_f32 SEAM_OF_ISA(seam_linear_f32)
const SeamLinearKind seam_linear_f32 = {
    .name = SEAM_ISA_NAME, .strip = STRIP, .unit = 1, .x_bytes = sizeof(float), .w_bytes = sizeof(float), .speed = 1, .direct = true,
    .round = round_numbers, .run = run,
};
