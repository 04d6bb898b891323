// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packed weights in bfloat16 (kernels.h: SEAM_PACK_BF16): a step is two neighbours of k. With AVX512-BF16 they are multiplied and added by one instruction,
// which counts numbers below 2^-126 as 0; else weights are widened in registers, a bfloat16 being the upper half of a float, and rows of x are kept as rounded
// floats: no faster than f32, but half of its weights' memory. Sums in f32. NaN passes through. It owns nothing; see linear_tile.h.
#include "kernels/cpu/vec.h"

#if defined(__AVX512BF16__)
enum { ROWS = 14, STEP_X = 4 };
#define ALL_ROWS ROWS_1_14
#elif defined(__AVX512F__)
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
#ifdef __AVX512F__
    VecInt both = _mm512_loadu_si512(p);
    return (Right){_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(-65536)))};
#else
    VecInt both = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return (Right){_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)), _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(-65536)))};
#endif
}

static inline Vec product(Vec sum, Left left, Right right) {
    return vec_fma(left.odd, right.odd, vec_fma(left.even, right.even, sum));
}
#endif

#include "kernels/cpu/linear_tile.h"

// ---- rounding ---------------------------------------------------------------------------------

#ifndef __AVX512BF16__
// To the nearest bfloat16, even ones first, still as floats; a NaN keeps its upper half and becomes a quiet one.
static inline VecInt rounded(Vec x) {
#ifdef __AVX512F__
    VecInt bits = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    VecInt near = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    near = _mm512_mask_or_epi32(near, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
    return _mm512_and_si512(near, _mm512_set1_epi32(-65536));
#else
    VecInt bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    VecInt near = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    VecInt nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    near = _mm256_blendv_epi8(near, _mm256_or_si256(bits, _mm256_set1_epi32(0x400000)), nan);
    return _mm256_and_si256(near, _mm256_set1_epi32(-65536));
#endif
}
#endif

static inline void store_halves(uint16_t *to, Vec x) {
#if defined(__AVX512BF16__)
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(x));
#elif defined(__AVX512F__)
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded(x), 16)));
#else
    VecInt upper = _mm256_srli_epi32(rounded(x), 16);
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1)));
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
        VecInt x = rounded(vec_load_part(from + i, seam_min(LANES, k - i)));
        memcpy((float *)to + i, &x, sizeof x);
    }
}
#endif

#define seam_linear_bf16 SEAM_OF_ISA(seam_linear_bf16)
const SeamLinearKind seam_linear_bf16 = {
    .name = SEAM_ISA_NAME, .strip = STRIP, .unit = 2, .x_bytes = X_BYTES, .w_bytes = sizeof(uint16_t), .speed = SPEED,
    .round = round_numbers, .prepare = PREPARE, .run = run,
};
