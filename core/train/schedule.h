// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The learning rate over time: linear warm-up, then half a cosine down to a hundredth (Loshchilov 2017, SGDR, eq. 5 without restarts).
#pragma once

#include <stdint.h>

// step counts from 0 to steps - 1.
double seam_schedule_lr(double lr, double warmup, int64_t step, int64_t steps);
