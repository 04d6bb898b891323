// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/layers/nearest.h"

#include <math.h>

#include "core/random.h"

// The first k are taken as they come, so that NaN among them stays.
float seam_nearest_mean(int32_t n, int32_t k, const float *squared) {
    float best[SEAM_MAX_NEIGHBOURS];
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++) {
        if (kept == k && !(squared[i] < best[k - 1]))
            continue;
        int32_t at = kept < k ? kept++ : k - 1;
        for (; at > 0 && best[at - 1] > squared[i]; at--)
            best[at] = best[at - 1];
        best[at] = squared[i];
    }
    double sum = 0;
    for (int32_t i = 0; i < kept; i++)
        sum += sqrt(best[i]);
    return (float)(sum / kept);
}

SeamStatus seam_nearest_coreset(const SeamKernels *kernels, float *rows, int32_t n, int32_t width, int32_t most, uint64_t seed, float *scratch) {
    SeamRandom random = seam_random(seed, seam_random_hash("anomaly.coreset"));
    float *squared = scratch, *nearest = scratch + n;
    int32_t farthest = seam_random_below(&random, n);
    for (int32_t i = 0; i < n; i++)
        nearest[i] = INFINITY;
    for (int32_t chosen = 0; chosen < most; chosen++) {
        float *a = rows + (size_t)chosen * width, *b = rows + (size_t)farthest * width;
        for (int32_t d = 0; d < width; d++) {
            float swap = a[d];
            a[d] = b[d];
            b[d] = swap;
        }
        nearest[farthest] = nearest[chosen];
        SEAM_TRY(kernels->distances(1, n, width, a, rows, squared));
        farthest = chosen + 1;
        for (int32_t i = chosen + 1; i < n; i++) {
            nearest[i] = fminf(nearest[i], squared[i]);
            if (nearest[i] > nearest[farthest])
                farthest = i;
        }
    }
    return SEAM_OK;
}
