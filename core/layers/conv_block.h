// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A residual block of a picture's stem: norm, 3x3 convolution, gelu, linear map, added to what came
// in. It owns the parameters PREFIX.norm.*, PREFIX.conv.* and PREFIX.out.*. It changes neither size
// nor width, and starts as the identity.
#pragma once

#include "core/layers/conv.h"
#include "core/layers/linear.h"
#include "core/layers/norm.h"

typedef struct {
    int32_t width;
    SeamNorm norm;                   // over the channels of each pixel
    SeamConvLayer conv;              // PREFIX.conv [width, 3, 3, width]
    SeamLinear out;                  // [width, width], zero at first
} SeamConvBlock;

typedef struct {
    SeamNormSaved norm; // of [images, side, side, width]
    float *pre, *hidden; // the convolution's output before and after gelu
} SeamConvBlockSaved;

void seam_conv_block_declare(SeamConvBlock *b, SeamParams *params, const char *prefix,
                             int32_t width);

// x [images, side, side, width] in place.
SeamStatus seam_conv_block_forward(const SeamConvBlock *b, SeamRun *run, int32_t images,
                                   int32_t side, float *x, SeamConvBlockSaved *saved);
// dx [images, side, side, width] in place.
SeamStatus seam_conv_block_backward(const SeamConvBlock *b, SeamRun *run, int32_t images,
                                    int32_t side, const SeamConvBlockSaved *saved, float *dx);
// Bytes of arena at most: what stays until the backward pass into *kept (0 without `train`), and
// the scratch of one call as the result.
size_t seam_conv_block_bytes(const SeamConvBlock *b, int32_t images, int32_t side, bool train,
                             size_t *kept);
