// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Vectors of floats, as wide as the instruction set that the including file is compiled for: 16 lanes with AVX-512, 8 with AVX2 + FMA + F16C, 4 with NEON. + -
// * / on Vec are the compiler's own, and so are those, & ^ and << on VecInt, whole numbers of 32 bits; a cast from one to the other keeps the bits. Every
// function here keeps NaN unless it says otherwise. Only files of the instruction-set libraries may include this header.
#pragma once

#include <stdint.h>

#if defined(__ARM_NEON)
#include "kernels/cpu/vec_neon.h"
#else
#include <immintrin.h>

#ifdef __AVX512F__
enum { LANES = 16 };
#define VEC_REGISTERS 32
#define VEC_IN_REGISTER "v" // to inline assembly
typedef __m512 Vec;
typedef int32_t VecInt __attribute__((vector_size(sizeof(Vec))));

static inline Vec vec_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void vec_store(float *p, Vec v) {
    _mm512_storeu_ps(p, v);
}
static inline Vec vec_set(float x) {
    return _mm512_set1_ps(x);
}
// The first n lanes (0 .. LANES); the others read as 0 and are not written.
static inline Vec vec_load_part(const float *p, int n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void vec_store_part(float *p, int n, Vec v) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}
// Lanes from n on become `fill`.
static inline Vec vec_keep(Vec v, int n, float fill) {
    return _mm512_mask_mov_ps(vec_set(fill), (__mmask16)((1u << n) - 1), v);
}
static inline Vec vec_fma(Vec a, Vec b, Vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
// When one is NaN, b.
static inline Vec vec_max(Vec a, Vec b) {
    return _mm512_max_ps(a, b);
}
static inline Vec vec_min(Vec a, Vec b) {
    return _mm512_min_ps(a, b);
}
static inline Vec vec_sqrt(Vec a) {
    return _mm512_sqrt_ps(a);
}
static inline Vec vec_round(Vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a * 2^n, n whole; gradual below, infinite above.
static inline Vec vec_scale(Vec a, Vec n) {
    return _mm512_scalef_ps(a, n);
}
static inline __m256 vec_fold(Vec v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
static inline __m256 vec_fold_max(Vec v) {
    return _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
static inline Vec vec_from_u8(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
static inline Vec vec_from_half(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline void vec_to_half(uint16_t *p, Vec v) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline VecInt vec_int_load(const void *p) {
    return (VecInt)_mm512_loadu_si512(p);
}
static inline VecInt vec_int_set(int32_t x) {
    return (VecInt)_mm512_set1_epi32(x);
}
static inline VecInt vec_int_max(VecInt a, VecInt b) {
    return (VecInt)_mm512_max_epi32((__m512i)a, (__m512i)b);
}
static inline Vec vec_from_int(VecInt a) {
    return _mm512_cvtepi32_ps((__m512i)a);
}
// To the nearest, even ones first.
static inline VecInt vec_to_int(Vec a) {
    return (VecInt)_mm512_cvtps_epi32(a);
}
// LANES numbers that fit 16 bits, or 8.
static inline void vec_store_words(void *p, VecInt v) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16((__m512i)v));
}
static inline void vec_store_bytes(void *p, VecInt v) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)v));
}
// The same of four vectors, one after the other. The packs work within quarters of a register: quarter q of the four lies in dwords 4 q .. 4 q + 3.
static inline VecInt vec_bytes4(const VecInt v[4]) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i low = _mm512_packs_epi32((__m512i)v[0], (__m512i)v[1]), high = _mm512_packs_epi32((__m512i)v[2], (__m512i)v[3]);
    return (VecInt)_mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
}
static inline void vec_int_store(void *p, VecInt v) {
    _mm512_storeu_si512(p, (__m512i)v);
}
// The sum of squares in double: both halves of v.
static inline void vec_add_squares(Vec v, __m512d sum[2]) {
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v)), high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    sum[0] = _mm512_fmadd_pd(low, low, sum[0]);
    sum[1] = _mm512_fmadd_pd(high, high, sum[1]);
}
typedef __m512d VecDouble;
// a0 b0 a1 b1 ..: of the lower halves, of the upper halves.
static inline Vec vec_interleave_low(Vec a, Vec b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
static inline Vec vec_interleave_high(Vec a, Vec b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
}
#else
enum { LANES = 8 };
#define VEC_REGISTERS 16
#define VEC_IN_REGISTER "x"
typedef __m256 Vec;
typedef int32_t VecInt __attribute__((vector_size(sizeof(Vec))));

static inline Vec vec_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void vec_store(float *p, Vec v) {
    _mm256_storeu_ps(p, v);
}
static inline Vec vec_set(float x) {
    return _mm256_set1_ps(x);
}
static inline __m256i vec_first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// The first n lanes (0 .. LANES); the others read as 0 and are not written.
static inline Vec vec_load_part(const float *p, int n) {
    return _mm256_maskload_ps(p, vec_first(n));
}
// A masked store takes 12 clocks on Zen, a plain one half a clock.
static inline void vec_store_part(float *p, int n, Vec v) {
    if (n == LANES)
        vec_store(p, v);
    else
        _mm256_maskstore_ps(p, vec_first(n), v);
}
// Lanes from n on become `fill`.
static inline Vec vec_keep(Vec v, int n, float fill) {
    return _mm256_blendv_ps(vec_set(fill), v, _mm256_castsi256_ps(vec_first(n)));
}
static inline Vec vec_fma(Vec a, Vec b, Vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
// When one is NaN, b.
static inline Vec vec_max(Vec a, Vec b) {
    return _mm256_max_ps(a, b);
}
static inline Vec vec_min(Vec a, Vec b) {
    return _mm256_min_ps(a, b);
}
static inline Vec vec_sqrt(Vec a) {
    return _mm256_sqrt_ps(a);
}
static inline Vec vec_round(Vec a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a * 2^n, n whole in -252 .. 254; in two steps, so that both factors are normal numbers.
static inline Vec vec_scale(Vec a, Vec n) {
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    __m256i rest = _mm256_sub_epi32(whole, half);
    Vec first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    Vec second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return a * first * second;
}
static inline __m256 vec_fold(Vec v) {
    return v;
}
static inline __m256 vec_fold_max(Vec v) {
    return v;
}
static inline Vec vec_from_u8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
static inline Vec vec_from_half(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline void vec_to_half(uint16_t *p, Vec v) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline VecInt vec_int_load(const void *p) {
    return (VecInt)_mm256_loadu_si256((const __m256i *)p);
}
static inline VecInt vec_int_set(int32_t x) {
    return (VecInt)_mm256_set1_epi32(x);
}
static inline VecInt vec_int_max(VecInt a, VecInt b) {
    return (VecInt)_mm256_max_epi32((__m256i)a, (__m256i)b);
}
static inline Vec vec_from_int(VecInt a) {
    return _mm256_cvtepi32_ps((__m256i)a);
}
// To the nearest, even ones first.
static inline VecInt vec_to_int(Vec a) {
    return (VecInt)_mm256_cvtps_epi32(a);
}
// LANES numbers that fit 16 bits, or 8.
static inline void vec_store_words(void *p, VecInt v) {
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1)));
}
static inline void vec_store_bytes(void *p, VecInt v) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(words, words));
}
// The same of four vectors, one after the other. The packs work within halves of a register: half h of the four lies in dwords 4 h .. 4 h + 3.
static inline VecInt vec_bytes4(const VecInt v[4]) {
    __m256i low = _mm256_packs_epi32((__m256i)v[0], (__m256i)v[1]), high = _mm256_packs_epi32((__m256i)v[2], (__m256i)v[3]);
    return (VecInt)_mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
static inline void vec_int_store(void *p, VecInt v) {
    _mm256_storeu_si256((__m256i *)p, (__m256i)v);
}
typedef __m256d VecDouble;
// The sum of squares in double: both halves of v.
static inline void vec_add_squares(Vec v, __m256d sum[2]) {
    __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    sum[0] = _mm256_fmadd_pd(low, low, sum[0]);
    sum[1] = _mm256_fmadd_pd(high, high, sum[1]);
}
// a0 b0 a1 b1 ..: of the lower halves, of the upper halves.
static inline Vec vec_interleave_low(Vec a, Vec b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
}
static inline Vec vec_interleave_high(Vec a, Vec b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
}
#endif

// The sum of all lanes, in one fixed order.
static inline float vec_sum(Vec v) {
    __m256 half = vec_fold(v);
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}

// The sums of the lanes of four vectors, each in the same fixed order.
typedef __m128 VecFour;
static inline VecFour vec_sum4(const Vec v[4]) {
    __m256 ab = _mm256_hadd_ps(vec_fold(v[0]), vec_fold(v[1])), cd = _mm256_hadd_ps(vec_fold(v[2]), vec_fold(v[3]));
    __m256 all = _mm256_hadd_ps(ab, cd);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

// The first n of four.
static inline void vec_store4(float *p, int n, VecFour v) {
    float four[4];
    _mm_storeu_ps(n < 4 ? four : p, v);
    for (int i = 0; n < 4 && i < n; i++)
        p[i] = four[i];
}

// The largest lane; NaN may be lost.
static inline float vec_top(Vec v) {
    __m256 half = vec_fold_max(v);
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}

// The largest whole number.
static inline int32_t vec_int_top(VecInt v) {
    __m128i four[sizeof v / sizeof(__m128i)], x;
    __builtin_memcpy(four, &v, sizeof v);
    x = _mm_max_epi32(four[0], four[1]);
    for (unsigned i = 2; i < sizeof v / sizeof x; i++)
        x = _mm_max_epi32(x, four[i]);
    x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
}
#endif

// Row i becomes column i. One round turns the bits of an element's place (row, lane) by one to the left; log2(LANES) rounds swap
// row and lane.
static inline void vec_transpose(Vec row[LANES]) {
    Vec next[LANES];
    for (int width = 1; width < LANES; width *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = vec_interleave_low(row[i], row[i + LANES / 2]);
            next[2 * i + 1] = vec_interleave_high(row[i], row[i + LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            row[i] = next[i];
    }
}

// e^x within 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, e^r by its Taylor sum of degree 7 (the rest is below 2^-27).
static inline Vec vec_exp(Vec x) {
    x = vec_min(vec_set(89.0f), vec_max(vec_set(-104.5f), x));
    Vec n = vec_round(x * vec_set(1.44269504f));
    Vec r = vec_fma(n, vec_set(-0.693145752f), x);
    r = vec_fma(n, vec_set(-1.42860677e-6f), r);
    Vec p = vec_set(1.0f / 5040);
    p = vec_fma(p, r, vec_set(1.0f / 720));
    p = vec_fma(p, r, vec_set(1.0f / 120));
    p = vec_fma(p, r, vec_set(1.0f / 24));
    p = vec_fma(p, r, vec_set(1.0f / 6));
    p = vec_fma(p, r, vec_set(0.5f));
    p = vec_fma(p, r, vec_set(1.0f));
    p = vec_fma(p, r, vec_set(1.0f));
    return vec_scale(p, n);
}

static inline Vec vec_sigmoid(Vec x) {
    return vec_set(1) / (vec_set(1) + vec_exp(-x));
}

// gelu(x) = x sigmoid(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3)
static const float vec_twice_root = 1.5957691216057308f, vec_cubic = 0.044715f;

static inline Vec vec_gelu(Vec x) {
    Vec u = vec_set(vec_twice_root) * x * vec_fma(vec_set(vec_cubic) * x, x, vec_set(1));
    return x * vec_sigmoid(u);
}
