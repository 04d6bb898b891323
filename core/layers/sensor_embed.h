// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sensor windows to features: for each stretch and channel (or each stretch of all channels together) a token of its course in time and one of
// its spectrum. It owns the parameters "embed.MODALITY.*" of a sensor modality and constant tables
// (free them with clear). It never fills gaps longer than half a stretch.
#pragma once

#include "core/layers/envelope.h"
#include "core/layers/project.h"
#include "core/sensor_window.h"

typedef struct {
    int32_t modality, channels, dim;
    int32_t samples, patch, bins, fft, bands; // samples: of a full window
    int32_t wide;           // channels a token: 1, or all of them (together)
    int32_t width;          // time features of a channel: 2 * bins, or the envelope's
    SeamEnvelope envelope;  // patch 0: none
    double rate;
    float mean[SEAM_MAX_CHANNELS], inverse_std[SEAM_MAX_CHANNELS];
    SeamTensor *time_weight, *time_bias; // "embed.NAME.time.weight|bias" [dim, wide * width], [dim]
    SeamTensor *frequency_weight; // "embed.NAME.frequency.weight" [dim, wide * bands]; NULL: bands is 0
    SeamTensor *frequency_bias;   // "embed.NAME.frequency.bias" [dim]; NULL: bands is 0
    SeamTensor *channel; // "embed.NAME.channel" [channels, dim]
    float *fourier;      // Hann-windowed cosines, then sines [2 * (fft/2 + 1), fft]
    int32_t *band;       // [bands, 2]: first bin, and the one after the last
} SeamSensorEmbed;

typedef struct {
    int32_t valid;             // stretches (of one channel, or of all) that gave tokens
    float *time_features;      // [valid, wide * width]
    float *frequency_features; // [valid, wide * bands]
    uint64_t *channels;        // [valid] bits of the channels in it
    const SeamPlace *place;    // [valid * tokens of each]
    SeamProjectSaved project;  // of the stage that follows (model.h)
} SeamSensorEmbedSaved;

// False when memory for the tables is short.
bool seam_sensor_embed_declare(SeamSensorEmbed *e, SeamParams *params, const SeamConfig *config,
                               int32_t modality);
void seam_sensor_embed_clear(SeamSensorEmbed *e);

// Features of a stretch's time token and of its frequency token (0: there is none).
void seam_sensor_embed_widths(const SeamSensorEmbed *e, int32_t width[2]);

// One sequence a window (empty when nothing in it is valid), tokens by stretch, channel, domain.
// window[i].samples is the full window's.
SeamStatus seam_sensor_embed_forward(const SeamSensorEmbed *e, SeamRun *run, int32_t windows,
                                     const SeamSensorWindow *window, SeamTokens *features,
                                     SeamSensorEmbedSaved *saved);
// dfeatures [n, dim]. Samples have no gradient.
SeamStatus seam_sensor_embed_backward(const SeamSensorEmbed *e, SeamRun *run,
                                      const SeamSensorEmbedSaved *saved, const float *dfeatures);
size_t seam_sensor_embed_bytes(const SeamSensorEmbed *e, int32_t windows, bool train);
