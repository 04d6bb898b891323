// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How well maps find the pixels of defects: pixel AUROC and AUPRO, over pictures that are added one after another. It owns copies of what it
// was given and knows nothing of models.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct SeamPixels_ SeamPixelMetrics;

typedef struct {
    double auroc;  // over all pixels of the pictures with a mask; NaN: no pixel of a kind
    double aupro;  // the same pictures: per-region overlap up to a false-positive rate of 0.3, over 0.3; NaN: no region, or nothing good
    double auroc_all, aupro_all;           // with the good pictures' pixels too; NaN: no good picture was added
    double auroc_interval[2], aupro_interval[2]; // 95 %, bootstrap over the pictures with a mask; NaN: fewer than two
    int32_t masked, good, regions;         // pictures with a mask, without; connected regions in the masks
} SeamPixelFigures;

SeamPixelMetrics *seam_pixels_new(void);
void seam_pixels_free(SeamPixelMetrics *p);
// map [map_h, map_w] is spread over the picture [h, w] by bilinear interpolation between the middles of its cells. mask [h, w]: not 0 is defect; NULL:
// the whole picture is good. A mask without a defect is taken for what it says. Larger pictures are measured at every 2nd, 3rd ... pixel, so that
// none has more than 2^20. False: too many pixels for the memory, or a value that is not a number.
bool seam_pixels_add(SeamPixelMetrics *p, const float *map, int32_t map_w, int32_t map_h, const uint8_t *mask, int32_t w, int32_t h);
void seam_pixels_figures(const SeamPixelMetrics *p, uint64_t seed, SeamPixelFigures *out);
