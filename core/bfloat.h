// SPDX-License-Identifier: LGPL-2.1-or-later
//
// bfloat16: the upper half of a float. Rounded to nearest, of two equally near ones the even one; NaN stays NaN. A finite value of the largest can become an
// infinity, as in half precision.
#pragma once

#include <stdint.h>
#include <string.h>

static inline float seam_bf16_to_f32(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t seam_bf16_from_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
