// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/picture_level.h"

#include <math.h>

// Weld seams lie under the plate that fills most of the picture: three quarters of the range are for what is below the level. The mean
// distance, not its median: where more than half of the pixels are one value, as where a map is cut off at its highest one, the latter is 0.
static const double level = 192, step = 32, least_spread = 4;

void seam_picture_level(const uint32_t count[256], uint8_t table[256]) {
    uint64_t all = 0, below = 0;
    double distance = 0;
    int middle = 1;
    for (int v = 1; v < 256; v++)
        all += count[v];
    while (middle < 255 && 2 * (below + count[middle]) < all)
        below += count[middle++];
    for (int v = 1; v < 256; v++)
        distance += (double)count[v] * fabs((double)v - middle);
    double spread = all > 0 ? fmax(distance / (double)all, least_spread) : least_spread;
    table[0] = (uint8_t)level;
    for (int v = 1; v < 256; v++)
        table[v] = (uint8_t)lround(fmin(fmax(level + step * (v - middle) / spread, 1), 255));
}
