// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What is done to a training sample so that the model does not learn what it shall not: light, camera, noise, gains, clocks, missing channels.
// All of it is drawn from the SeamRandom that the caller gives; it owns no state.
#pragma once

#include "core/random.h"
#include "core/train/recipe.h"
#include "core/vision.h"

// in, out [size, size, channels], not overlapping. Boxes follow the picture; those that leave it are dropped.
void seam_augment_picture(const SeamAugment *a, SeamRandom *random, int32_t size, int32_t channels, const uint8_t *in, uint8_t *out, SeamBox *box,
                          int32_t *n_boxes);
// x [samples, channels] in place; NaN stays NaN.
void seam_augment_samples(const SeamAugment *a, SeamRandom *random, const SeamConfig *config, int32_t modality, int32_t samples, float *x);
// A reading of features: x [channels] in place. Noise of one strength for the whole reading; each column is missing with its chance.
void seam_augment_features(const SeamAugment *a, SeamRandom *random, const SeamModality *m, float *x);
// Which of the modalities that are present stay: sometimes one alone, else each with its chance; never none.
uint32_t seam_augment_modalities(const SeamAugment *a, SeamRandom *random, uint32_t present);
