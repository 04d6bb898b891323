// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The mean of a bag of table rows, and its gradient: every row of the bag receives dout / count, as often as it occurs.
#include "kernels/ref/ref.h"

SeamStatus seam_ref_embed_bag(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d, const float *table,
                              float *out) {
    for (int32_t b = 0; b < bags; b++) {
        int32_t count = start[b + 1] - start[b];
        for (int32_t c = 0; c < d; c++) {
            double sum = 0;
            for (int32_t i = start[b]; i < start[b + 1]; i++)
                sum += table[(size_t)ids[i] * d + c];
            out[(size_t)b * d + c] = count > 0 ? (float)(sum / count) : 0;
        }
    }
    return SEAM_OK;
}

SeamStatus seam_ref_embed_bag_backward(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d,
                                       const float *dout, float *dtable) {
    for (int32_t b = 0; b < bags; b++) {
        double share = 1.0 / (start[b + 1] - start[b]);
        for (int32_t i = start[b]; i < start[b + 1]; i++)
            for (int32_t c = 0; c < d; c++)
                dtable[(size_t)ids[i] * d + c] += (float)(share * dout[(size_t)b * d + c]);
    }
    return SEAM_OK;
}
