// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Conversions: bytes to normalised f32, and IEEE half precision. A half is 1 sign, 5 exponent (bias 15) and 10 fraction bits; below 2^-14
// it counts in steps of 2^-24.
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

SeamStatus seam_ref_normalise_u8(size_t pixels, int32_t channels, const uint8_t *x, const float *mean,
                                 const float *inverse_std, float *y) {
    for (size_t p = 0; p < pixels; p++)
        for (int32_t c = 0; c < channels; c++)
            y[p * channels + c] = (float)(((double)x[p * channels + c] - mean[c]) * inverse_std[c]);
    return SEAM_OK;
}

static float half_to_float(uint16_t half) {
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double size = exponent == 31  ? (fraction ? NAN : INFINITY)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return (float)(half & 0x8000 ? -size : size);
}

// Rounds to even by the default rounding of nearbyint: the step between halves is a power of 2, so the division by it is exact.
static uint16_t float_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = bits >> 16 & 0x8000;
    if (isnan(value))
        return sign | 0x7e00;
    if (isinf(value))
        return sign | 0x7c00;
    double size = fabs((double)value);
    int exponent = 0;
    frexp(size, &exponent); // size < 2^exponent; 0 for a size of 0
    exponent = size == 0 || exponent < -13 ? -13 : exponent;
    if (exponent > 16)
        return sign | 0x7c00;
    int steps = (int)nearbyint(ldexp(size, 11 - exponent)); // 1024 .. 2048, fewer below 2^-14; 2048 carries into the exponent
    return (uint16_t)(sign | ((exponent + 13) * 1024 + steps));
}

SeamStatus seam_ref_f16_to_f32(size_t n, const uint16_t *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = half_to_float(x[i]);
    return SEAM_OK;
}

SeamStatus seam_ref_f32_to_f16(size_t n, const float *x, uint16_t *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = float_to_half(x[i]);
    return SEAM_OK;
}
