// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Order statistics of a few numbers. Owns nothing and allocates nothing.
#pragma once

#include <stdint.h>

// The value that would be at k, 0 to n - 1, if all were sorted; reorders them. NaN among them: some value of them.
float seam_nth_smallest(float *value, int32_t n, int32_t k);
