// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packed weights in int8 (kernels.h: SEAM_PACK_I8). With AVX512-VNNI a step is four neighbours of k: vpdpbusd multiplies bytes without a sign by bytes with
// one, so x is kept as q + 128 and a sum begins with -128 times the sum of its column's weights, found when they are packed. Else a step is two neighbours: x
// is kept in 16 bits, weights are widened in registers, and pmaddwd adds two products exactly (pmaddubsw, which takes bytes, saturates at 16 bits). All sums
// are whole and fit 32 bits: 2^16 * 255 * 127 < 2^31. Rows that are not finite have the scale NaN, which is what makes their outputs NaN. It owns nothing; see
// linear_tile.h.
#include <math.h>

#include "kernels/cpu/vec.h"

#ifdef __AVX512F__
enum { ROWS = 14 };
#define ALL_ROWS ROWS_1_14
#else
enum { ROWS = 6 };
#define ALL_ROWS ROWS_1_6
#endif

typedef VecInt Sum, Left, Right;

#ifdef __AVX512VNNI__
enum { UNIT = 4, STEP_X = 4, STEP_W = 4, OFFSET = 128, SPEED = 4 };
#define right_load(p) _mm512_loadu_si512(p)
#define product(sum, left, right) _mm512_dpbusd_epi32(sum, left, right)
#else
enum { UNIT = 2, STEP_X = 4, STEP_W = 2, OFFSET = 0, SPEED = 1 };
#ifdef __AVX512F__
#define right_load(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define product(sum, left, right) _mm512_add_epi32(sum, _mm512_madd_epi16(left, right))
#else
#define right_load(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define product(sum, left, right) _mm256_add_epi32(sum, _mm256_madd_epi16(left, right))
#endif
#endif

#ifdef __AVX512F__
#define sum_zero(first) ((first) ? _mm512_loadu_si512(first) : _mm512_setzero_si512())
#define sum_add(a, b) _mm512_add_epi32(a, b)
#define sum_floats(sum) _mm512_cvtepi32_ps(sum)
#define left_load(p) _mm512_set1_epi32(word_at(p))
#else
static inline VecInt sum_zero(const int32_t *first) {
    return first ? _mm256_loadu_si256((const __m256i *)(const void *)first) : _mm256_setzero_si256();
}
#define sum_add(a, b) _mm256_add_epi32(a, b)
#define sum_floats(sum) _mm256_cvtepi32_ps(sum)
#define left_load(p) _mm256_set1_epi32(word_at(p))
#endif
#define sum_value(sum, x_scale, w_scale, bias) vec_fma(sum_floats(sum), vec_set(*(x_scale)) * (w_scale), bias)

#include "kernels/cpu/linear_tile.h"

// ---- rounding ---------------------------------------------------------------------------------

#ifdef __AVX512F__
#define int_max(a, b) _mm512_max_epi32(a, b)
#define int_zero() _mm512_setzero_si512()
#define size_bits(v) _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(INT32_MAX))
#else
#define int_max(a, b) _mm256_max_epi32(a, b)
#define int_zero() _mm256_setzero_si256()
#define size_bits(v) _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(INT32_MAX))
#endif

static inline int32_t top_of(VecInt v) {
    __m128i four[sizeof v / sizeof(__m128i)], x;
    memcpy(four, &v, sizeof v);
    x = _mm_max_epi32(four[0], four[1]);
    for (size_t i = 2; i < sizeof v / sizeof x; i++)
        x = _mm_max_epi32(x, four[i]);
    x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
}

// The bits of floats without their signs are in the order of their sizes, NaN above infinity above all others.
static SeamRounding measure(int32_t k, const float *row) {
    VecInt top[4] = {int_zero(), int_zero(), int_zero(), int_zero()};
    int32_t i = 0;
    for (; i + 4 * LANES <= k; i += 4 * LANES)
        for (int v = 0; v < 4; v++)
            top[v] = int_max(top[v], size_bits(vec_load(row + i + v * LANES)));
    for (; i < k; i += LANES)
        top[0] = int_max(top[0], size_bits(vec_load_part(row + i, seam_min(LANES, k - i))));
    int32_t bits = top_of(int_max(int_max(top[0], top[1]), int_max(top[2], top[3])));
    float most;
    memcpy(&most, &bits, sizeof most);
    if (!isfinite(most))
        return (SeamRounding){NAN, 0};
    return most < 0x1p-120f ? (SeamRounding){0, 0} : (SeamRounding){most / 127, 127 / most};
}

// LANES whole numbers of 32 bits.
static inline VecInt whole(const float *from, int lanes, Vec inverse) {
#ifdef __AVX512F__
    return _mm512_cvtps_epi32(vec_load_part(from, lanes) * inverse);
#else
    return _mm256_cvtps_epi32(vec_load_part(from, lanes) * inverse);
#endif
}

// With `sign` 0x80 in each byte q becomes q + 128.
static inline void store_bytes(char *to, VecInt q, __m128i sign) {
#ifdef __AVX512F__
    _mm_storeu_si128((__m128i *)(void *)to, _mm_xor_si128(sign, _mm512_cvtepi32_epi8(q)));
#else
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm_xor_si128(sign, _mm_packs_epi16(words, words)));
#endif
}

// A row without numbers (scale 0 or NaN) may hold what would not become 0 by its product.
static void bytes_of(int32_t n, SeamRounding r, const float *from, char *to, int offset) {
    __m128i sign = _mm_set1_epi8((char)offset);
    if (r.inverse == 0) {
        memset(to, offset, (size_t)(n + 15) / 16 * 16);
        return;
    }
    int32_t i = 0;
#ifdef __AVX512F__
    // The packs work within quarters of a register: quarter q of the four vectors lies in dwords 4 q .. 4 q + 3.
    const VecInt order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), signs = _mm512_set1_epi8((char)offset);
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        VecInt q[4];
        for (int v = 0; v < 4; v++)
            q[v] = whole(from + i + v * LANES, LANES, vec_set(r.inverse));
        VecInt bytes = _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
        _mm512_storeu_si512(to + i, _mm512_xor_si512(signs, _mm512_permutexvar_epi32(order, bytes)));
    }
#endif
    for (; i < n; i += LANES)
        store_bytes(to + i, whole(from + i, seam_min(LANES, n - i), vec_set(r.inverse)), sign);
}

static void round_numbers(int32_t n, SeamRounding r, const float *from, void *to) {
    bytes_of(n, r, from, to, 0);
}

static void prepare(int32_t k, SeamRounding r, const float *from, void *to) {
#ifdef __AVX512VNNI__
    bytes_of(k, r, from, to, OFFSET);
#else
    if (r.inverse == 0)
        memset(to, 0, (size_t)(k + 15) / 16 * 16 * sizeof(int16_t));
    for (int32_t i = 0; r.inverse != 0 && i < k; i += LANES) {
        VecInt q = whole(from + i, seam_min(LANES, k - i), vec_set(r.inverse));
#ifdef __AVX512F__
        _mm256_storeu_si256((__m256i *)(void *)((int16_t *)to + i), _mm512_cvtepi32_epi16(q));
#else
        _mm_storeu_si128((__m128i *)(void *)((int16_t *)to + i), _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)));
#endif
    }
#endif
}

#define seam_linear_i8 SEAM_OF_ISA(seam_linear_i8)
const SeamLinearKind seam_linear_i8 = {
    .name = SEAM_ISA_NAME, .strip = STRIP, .unit = UNIT, .x_bytes = STEP_X / UNIT, .w_bytes = 1, .offset = OFFSET, .speed = SPEED,
    .measure = measure, .round = round_numbers, .prepare = prepare, .run = run,
};
