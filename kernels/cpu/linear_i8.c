// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packed weights in int8 (kernels.h: SEAM_PACK_I8). With AVX512-VNNI a step is four neighbours of k: vpdpbusd multiplies bytes without a sign by bytes with
// one, so x is kept as q + 128 and a sum begins with -128 times the sum of its column's weights, found when they are packed. With AVX-512 or AVX2 alone a step
// is two neighbours: x is kept in 16 bits, weights are widened in registers, and pmaddwd adds two products exactly (pmaddubsw, which takes bytes, saturates at
// 16 bits). ARM's sdot takes four bytes with signs; plain NEON does with the same bytes what it does, in four instructions: the sum of two products of bytes
// fits 16 bits, 2 * 127 * 127 < 2^15. All sums are whole and fit 32 bits: 2^16 * 255 * 127 < 2^31. Rows that are not finite have the scale NaN, which is what
// makes their outputs NaN. It owns nothing; see linear_tile.h.
#include <math.h>

#include "kernels/cpu/vec.h"

#if VEC_REGISTERS == 16
enum { ROWS = 6 };
#define ALL_ROWS ROWS_1_6
#elif defined(__ARM_NEON) && !defined(__ARM_FEATURE_DOTPROD)
enum { ROWS = 12 }; // a product needs two registers more
#define ALL_ROWS ROWS_1_12
#else
enum { ROWS = 14 };
#define ALL_ROWS ROWS_1_14
#endif

#if defined(__AVX512VNNI__)
enum { UNIT = 4, STEP_X = 4, STEP_W = 4, OFFSET = 128, SPEED = 4 };
#define right_load(p) vec_int_load(p)
#define product(sum, left, right) (VecInt)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(left), (__m512i)(right))
#elif defined(__AVX512F__)
enum { UNIT = 2, STEP_X = 4, STEP_W = 2, OFFSET = 0, SPEED = 1 };
#define right_load(p) (VecInt)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define product(sum, left, right) ((sum) + (VecInt)_mm512_madd_epi16((__m512i)(left), (__m512i)(right)))
#elif defined(__AVX2__)
enum { UNIT = 2, STEP_X = 4, STEP_W = 2, OFFSET = 0, SPEED = 1 };
#define right_load(p) (VecInt)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define product(sum, left, right) ((sum) + (VecInt)_mm256_madd_epi16((__m256i)(left), (__m256i)(right)))
#elif defined(__ARM_FEATURE_DOTPROD)
enum { UNIT = 4, STEP_X = 4, STEP_W = 4, OFFSET = 0, SPEED = 4 };
#define right_load(p) vec_int_load(p)
#define product(sum, left, right) vdotq_s32(sum, vreinterpretq_s8_s32(left), vreinterpretq_s8_s32(right))
#else
enum { UNIT = 4, STEP_X = 4, STEP_W = 4, OFFSET = 0, SPEED = 1 };
#define right_load(p) vec_int_load(p)
static inline VecInt product(VecInt sum, VecInt left, VecInt right) {
    int8x16_t x = vreinterpretq_s8_s32(left), w = vreinterpretq_s8_s32(right);
    int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(w)), high = vmull_high_s8(x, w);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}
#endif

typedef VecInt Sum, Left, Right;

static inline VecInt sum_zero(const int32_t *first) {
    return first ? vec_int_load(first) : vec_int_set(0);
}
#define sum_add(a, b) ((a) + (b))
#define left_load(p) vec_int_set(word_at(p))
#define sum_value(sum, x_scale, w_scale, bias) vec_fma(vec_from_int(sum), vec_set(*(x_scale)) * (w_scale), bias)

#include "kernels/cpu/linear_tile.h"

// ---- rounding ---------------------------------------------------------------------------------

static inline VecInt size_bits(Vec v) {
    return (VecInt)v & INT32_MAX;
}

// The bits of floats without their signs are in the order of their sizes, NaN above infinity above all others.
static SeamRounding measure(int32_t k, const float *row) {
    VecInt top[4] = {vec_int_set(0), vec_int_set(0), vec_int_set(0), vec_int_set(0)};
    int32_t i = 0;
    for (; i + 4 * LANES <= k; i += 4 * LANES)
        for (int v = 0; v < 4; v++)
            top[v] = vec_int_max(top[v], size_bits(vec_load(row + i + v * LANES)));
    for (; i < k; i += LANES)
        top[0] = vec_int_max(top[0], size_bits(vec_load_part(row + i, seam_min(LANES, k - i))));
    int32_t bits = vec_int_top(vec_int_max(vec_int_max(top[0], top[1]), vec_int_max(top[2], top[3])));
    float most;
    memcpy(&most, &bits, sizeof most);
    if (!isfinite(most))
        return (SeamRounding){NAN, 0};
    return most < 0x1p-120f ? (SeamRounding){0, 0} : (SeamRounding){most / 127, 127 / most};
}

static inline VecInt whole(const float *from, int lanes, Vec inverse) {
    return vec_to_int(vec_load_part(from, lanes) * inverse);
}

// A row without numbers (scale 0 or NaN) may hold what would not become 0 by its product. With an offset of 128 the sign bit turns: q becomes q + 128.
static void bytes_of(int32_t n, SeamRounding r, const float *from, char *to, int offset) {
    const VecInt signs = vec_int_set(offset ? (int32_t)0x80808080 : 0), sign = vec_int_set(offset ? -128 : 0);
    if (r.inverse == 0) {
        memset(to, offset, (size_t)(n + 15) / 16 * 16);
        return;
    }
    int32_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        VecInt q[4];
        for (int v = 0; v < 4; v++)
            q[v] = whole(from + i + v * LANES, LANES, vec_set(r.inverse));
        vec_int_store(to + i, vec_bytes4(q) ^ signs);
    }
    for (; i < n; i += LANES)
        vec_store_bytes(to + i, whole(from + i, seam_min(LANES, n - i), vec_set(r.inverse)) ^ sign);
}

static void round_numbers(int32_t n, SeamRounding r, const float *from, void *to) {
    bytes_of(n, r, from, to, 0);
}

static void prepare(int32_t k, SeamRounding r, const float *from, void *to) {
    if (UNIT == 4) {
        bytes_of(k, r, from, to, OFFSET);
        return;
    }
    if (r.inverse == 0)
        memset(to, 0, (size_t)(k + 15) / 16 * 16 * sizeof(int16_t));
    for (int32_t i = 0; r.inverse != 0 && i < k; i += LANES)
        vec_store_words((int16_t *)to + i, whole(from + i, seam_min(LANES, k - i), vec_set(r.inverse)));
}

#define seam_linear_i8 SEAM_OF_ISA(seam_linear_i8)
const SeamLinearKind seam_linear_i8 = {
    .name = SEAM_ISA_NAME, .strip = STRIP, .unit = UNIT, .x_bytes = STEP_X / UNIT, .w_bytes = 1, .offset = OFFSET, .speed = SPEED,
    .measure = measure, .round = round_numbers, .prepare = prepare, .run = run,
};
