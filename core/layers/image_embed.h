// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pictures to features: a small convolutional stem, with residual blocks where the configuration
// asks for them, one token a cell, a learnt summary token in front. It owns the parameters "embed.MODALITY.*" of an image modality. It does not scale or crop
// pictures (core/vision.h) and does not project (project.h).
#pragma once

#include "core/layers/conv_block.h"
#include "core/layers/project.h"

typedef struct {
    int32_t modality, channels, size, layers, grid, dim;
    int32_t width[SEAM_MAX_STEM];
    float mean[4], inverse_std[4];     // of bytes, 0 .. 255
    SeamConvLayer stem[SEAM_MAX_STEM]; // "embed.NAME.stem.L" [out, 3, 3, in]
    int32_t blocks[SEAM_MAX_STEM];     // after each layer
    SeamConvBlock block[SEAM_MAX_STEM][SEAM_MAX_BLOCKS]; // "embed.NAME.stem.L.block.I.*"
    SeamTensor *summary;               // "embed.NAME.summary" [dim]
} SeamImageEmbed;

typedef struct {
    int32_t images;
    float *input[SEAM_MAX_STEM]; // what each convolution read [images, h, h, in]
    float *pre[SEAM_MAX_STEM];   // what it gave before gelu; NULL for the last
    SeamConvBlockSaved block[SEAM_MAX_STEM][SEAM_MAX_BLOCKS];
    SeamProjectSaved project;    // of the stage that follows (model.h)
} SeamImageEmbedSaved;

void seam_image_embed_declare(SeamImageEmbed *e, SeamParams *params, const SeamConfig *config,
                              int32_t modality);
// pixels [images, size, size, channels]; time [images] seconds. features: one sequence a picture, 1
// + grid^2 tokens each, all in the arena.
SeamStatus seam_image_embed_forward(const SeamImageEmbed *e, SeamRun *run, int32_t images,
                                    const uint8_t *pixels, const double *time, SeamTokens *features,
                                    SeamImageEmbedSaved *saved);
// dfeatures [images * (1 + grid^2), dim]. Pictures have no gradient.
SeamStatus seam_image_embed_backward(const SeamImageEmbed *e, SeamRun *run,
                                     const SeamImageEmbedSaved *saved, const float *dfeatures);
size_t seam_image_embed_bytes(const SeamImageEmbed *e, int32_t images, bool train);
