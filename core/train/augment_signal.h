// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Augmentation of vibration and sound as signals: another transfer path, another speed. What must be learnt from them is when things
// happen, not which resonance rings. All of it is drawn from the SeamRandom that the caller gives; it owns no state.
#pragma once

#include "core/random.h"

// x [samples, channels] in place; the strengths are those of SeamAugment, above 0. Where memory is short the samples stay as they are.
void seam_augment_equaliser(double strength, SeamRandom *random, int32_t channels, int32_t samples, float *x);
void seam_augment_speed(double most, SeamRandom *random, int32_t channels, int32_t samples, float *x);
