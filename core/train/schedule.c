// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Learning-rate schedule. Pure arithmetic.
#include "core/train/schedule.h"

#include <math.h>

double seam_schedule_lr(double lr, double warmup, int64_t step, int64_t steps) {
    const double pi = 3.14159265358979323846, lowest = 0.01;
    if ((double)step < warmup)
        return lr * (double)(step + 1) / (warmup + 1);
    double left = (double)steps - warmup, done = left > 0 ? fmin(((double)step - warmup) / left, 1) : 1;
    return lr * (lowest + (1 - lowest) * 0.5 * (1 + cos(pi * done)));
}
