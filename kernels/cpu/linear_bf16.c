// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packed weights in bfloat16 (kernels.h: SEAM_PACK_BF16): a step is two neighbours of k. With AVX512-BF16 they are multiplied and added by one instruction,
// which counts numbers below 2^-126 as 0; else weights are widened in registers, a bfloat16 being the upper half of a float, and rows of x are kept as rounded
// floats: no faster than f32, but half of its weights' memory. Sums in f32. NaN passes through. It owns nothing; see linear_tile.h.
#include "kernels/cpu/vec.h"

#if defined(__AVX512BF16__)
enum { ROWS = 14, STEP_X = 4 };
#define ALL_ROWS ROWS_1_14
#elif VEC_REGISTERS == 32
enum { ROWS = 12, STEP_X = 8 };
#define ALL_ROWS ROWS_1_12
#else
enum { ROWS = 5, STEP_X = 8 };
#define ALL_ROWS ROWS_1_5
#endif
enum { STEP_W = 4 };

typedef Vec Sum;
#define sum_zero(first) vec_set(0)
#define sum_add(a, b) ((a) + (b))
#define sum_value(sum, x_scale, w_scale, bias) ((sum) + (bias))

#ifdef __AVX512BF16__
typedef __m512bh Left, Right;
#define left_load(p) ((__m512bh)_mm512_set1_epi32(word_at(p)))
#define right_load(p) ((__m512bh)_mm512_loadu_si512(p))
#define product(sum, left, right) _mm512_dpbf16_ps(sum, left, right)
#else
typedef struct {
    Vec even, odd;
} Left, Right;

static inline Left left_load(const char *p) {
    const float *x = (const float *)(const void *)p;
    return (Left){vec_set(x[0]), vec_set(x[1])};
}

static inline Right right_load(const char *p) {
    VecInt both = vec_int_load(p);
    return (Right){(Vec)(both << 16), (Vec)(both & -65536)};
}

static inline Vec product(Vec sum, Left left, Right right) {
    return vec_fma(left.odd, right.odd, vec_fma(left.even, right.even, sum));
}
#endif

#include "kernels/cpu/linear_tile.h"

// ---- rounding ---------------------------------------------------------------------------------

#ifndef __AVX512BF16__
typedef uint32_t Bits __attribute__((vector_size(sizeof(Vec))));

// To the nearest bfloat16, even ones first, still as floats; a NaN keeps its upper half and becomes a quiet one.
static inline VecInt rounded(Vec x) {
    Bits bits = (Bits)x, near = bits + ((bits >> 16 & 1) + 0x7fff), nan = (Bits)(x != x);
    return (VecInt)(((nan & (bits | 0x400000)) | (~nan & near)) & 0xffff0000);
}
#endif

static inline void store_halves(uint16_t *to, Vec x) {
#ifdef __AVX512BF16__
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(x));
#else
    vec_store_words(to, rounded(x) >> 16);
#endif
}

static void round_numbers(int32_t n, SeamRounding r, const float *from, void *to) {
    for (int32_t i = 0; i < n; i += LANES)
        store_halves((uint16_t *)to + i, vec_load_part(from + i, seam_min(LANES, n - i)));
}

#ifdef __AVX512BF16__
enum { X_BYTES = sizeof(uint16_t), SPEED = 2 };
#define PREPARE round_numbers
#else
#define PREPARE prepare
enum { X_BYTES = sizeof(float), SPEED = 1 };
static void prepare(int32_t k, SeamRounding r, const float *from, void *to) {
    for (int32_t i = 0; i < k; i += LANES) {
        vec_int_store((float *)to + i, rounded(vec_load_part(from + i, seam_min(LANES, k - i))));
    }
}
#endif

#define seam_linear_bf16 SEAM_OF_ISA(seam_linear_bf16)
const SeamLinearKind seam_linear_bf16 = {
    .name = SEAM_ISA_NAME, .strip = STRIP, .unit = 2, .x_bytes = X_BYTES, .w_bytes = sizeof(uint16_t), .speed = SPEED,
    .round = round_numbers, .prepare = PREPARE, .run = run,
};
