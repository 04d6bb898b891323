// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The part of vec.h that depends on the instruction set, for NEON of 64 bit ARM: 4 lanes. vec.h alone includes it; what the functions do stands there.
#pragma once

#include <arm_neon.h>

enum { LANES = 4 };
#define VEC_REGISTERS 32
#define VEC_IN_REGISTER "w"
typedef float32x4_t Vec;
typedef int32x4_t VecInt;
typedef float32x4_t VecFour;
typedef float64x2_t VecDouble;

static inline Vec vec_load(const float *p) {
    return vld1q_f32(p);
}
static inline void vec_store(float *p, Vec v) {
    vst1q_f32(p, v);
}
static inline Vec vec_set(float x) {
    return vdupq_n_f32(x);
}
// There is no load with a mask: a pair and a single number.
static inline Vec vec_load_part(const float *p, int n) {
    float32x2_t none = vdup_n_f32(0);
    switch (n) {
    case 4: return vec_load(p);
    case 3: return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, none, 0));
    case 2: return vcombine_f32(vld1_f32(p), none);
    case 1: return vcombine_f32(vld1_lane_f32(p, none, 0), none);
    default: return vec_set(0);
    }
}
static inline void vec_store_part(float *p, int n, Vec v) {
    if (n == LANES) {
        vec_store(p, v);
        return;
    }
    if (n & 2)
        vst1_f32(p, vget_low_f32(v));
    if (n == 3)
        vst1q_lane_f32(p + 2, v, 2);
    if (n == 1)
        vst1q_lane_f32(p, v, 0);
}
static inline Vec vec_keep(Vec v, int n, float fill) {
    const int32x4_t lane = {0, 1, 2, 3};
    return vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n)), v, vec_set(fill));
}
static inline Vec vec_fma(Vec a, Vec b, Vec c) {
    return vfmaq_f32(c, a, b);
}
// Not fmax, which is NaN when either is.
static inline Vec vec_max(Vec a, Vec b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline Vec vec_min(Vec a, Vec b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline Vec vec_sqrt(Vec a) {
    return vsqrtq_f32(a);
}
static inline Vec vec_round(Vec a) {
    return vrndnq_f32(a);
}
// a * 2^n, n whole in -252 .. 254; in two steps, so that both factors are normal numbers.
static inline Vec vec_scale(Vec a, Vec n) {
    VecInt whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
    Vec first = vreinterpretq_f32_s32(vshlq_n_s32(half + bias, 23));
    Vec second = vreinterpretq_f32_s32(vshlq_n_s32(whole - half + bias, 23));
    return a * first * second;
}
static inline Vec vec_from_u8(const uint8_t *p) {
    uint32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    uint16x8_t words = vmovl_u8(vcreate_u8(four));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(words)));
}
static inline Vec vec_from_half(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline void vec_to_half(uint16_t *p, Vec v) {
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
static inline VecInt vec_int_load(const void *p) {
    return vld1q_s32(p);
}
static inline void vec_int_store(void *p, VecInt v) {
    vst1q_s32(p, v);
}
static inline VecInt vec_int_set(int32_t x) {
    return vdupq_n_s32(x);
}
static inline VecInt vec_int_max(VecInt a, VecInt b) {
    return vmaxq_s32(a, b);
}
static inline int32_t vec_int_top(VecInt v) {
    return vmaxvq_s32(v);
}
static inline Vec vec_from_int(VecInt a) {
    return vcvtq_f32_s32(a);
}
static inline VecInt vec_to_int(Vec a) {
    return vcvtnq_s32_f32(a);
}
static inline void vec_store_words(void *p, VecInt v) {
    vst1_s16(p, vmovn_s32(v));
}
static inline void vec_store_bytes(void *p, VecInt v) {
    int16x4_t words = vmovn_s32(v);
    uint32_t four = vget_lane_u32(vreinterpret_u32_s8(vmovn_s16(vcombine_s16(words, words))), 0);
    __builtin_memcpy(p, &four, sizeof four);
}
static inline VecInt vec_bytes4(const VecInt v[4]) {
    int16x8_t low = vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1])), high = vcombine_s16(vmovn_s32(v[2]), vmovn_s32(v[3]));
    return vreinterpretq_s32_s8(vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}
static inline void vec_add_squares(Vec v, VecDouble sum[2]) {
    VecDouble low = vcvt_f64_f32(vget_low_f32(v)), high = vcvt_high_f64_f32(v);
    sum[0] = vfmaq_f64(sum[0], low, low);
    sum[1] = vfmaq_f64(sum[1], high, high);
}
static inline Vec vec_interleave_low(Vec a, Vec b) {
    return vzip1q_f32(a, b);
}
static inline Vec vec_interleave_high(Vec a, Vec b) {
    return vzip2q_f32(a, b);
}
static inline float vec_sum(Vec v) {
    return vaddvq_f32(v);
}
static inline VecFour vec_sum4(const Vec v[4]) {
    return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
}
static inline void vec_store4(float *p, int n, VecFour v) {
    vec_store_part(p, n, v);
}
static inline float vec_top(Vec v) {
    return vmaxvq_f32(v);
}
