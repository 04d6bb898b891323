// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a stretch of vibration says of a rolling bearing: which fault frequencies its envelopes carry, the shape of its spectrum
// without its level, and, of the level, only whether it is that of a good machine. Features only: no parameters. It owns constant
// tables (free them with clear) and knows nothing of tokens.
#pragma once

#include "core/config.h"
#include "core/fft.h"
#include "core/run.h"

typedef struct {
    SeamEnvelopeConfig config;
    int32_t patch;   // samples of a stretch
    int32_t size;    // of its transform: a power of two
    int32_t small;   // of an envelope's transform: a power of two
    int32_t valid;   // points of an envelope that are the stretch's
    double bin;      // Hz between bins, of both transforms
    float *hann;     // [valid], scaled to a sum of squares of 1
    SeamFft fft;
} SeamEnvelope;

// Features of one channel of a stretch: shape, orders, level.
int32_t seam_envelope_width(const SeamEnvelopeConfig *config);

// False when memory for the tables is short.
bool seam_envelope_init(SeamEnvelope *e, const SeamEnvelopeConfig *config, double rate, int32_t patch);
void seam_envelope_clear(SeamEnvelope *e);

// z [patch], finite -> out [width].
SeamStatus seam_envelope_features(const SeamEnvelope *e, SeamArena *arena, const float *z, float *out);
size_t seam_envelope_bytes(const SeamEnvelope *e);
