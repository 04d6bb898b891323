// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A grey picture by its own level and spread ("normalise": "picture"), for height maps and other pictures whose scale differs from one to the next
// and says nothing about the part. A pixel of 0 holds nothing (a laser line that did not come back); it takes the level.
#pragma once

#include <stdint.h>

// table [256]: what each grey value becomes, from how often each occurs. With m the median and s the mean distance from it of all pixels over 0, s at
// least 4:  table[v] = 192 + 32 (v - m) / s, within 1..255;  table[0] = 192.
void seam_picture_level(const uint32_t count[256], uint8_t table[256]);
