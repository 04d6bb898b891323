// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One encoder layer: token mixer and mixture of experts, pre-norm, each added to the residual
// stream. It owns the parameters "encoder.L.*". It sees each sequence alone.
#pragma once

#include "core/layers/gated.h"
#include "core/layers/moe.h"
#include "core/layers/norm.h"
#include "core/layers/pattern_hash.h"
#include "core/layers/scan.h"

typedef struct {
    SeamMixer mixer;
    float gate_threshold; // in inference
    SeamNorm norm1, norm2;
    union {
        SeamAttentionLayer attention;
        SeamGatedLayer gated; // of SEAM_MIXER_GATED
        SeamScanLayer scan;   // of SEAM_MIXER_SCAN
    };
    SeamHash hash; // of SEAM_MIXER_HASH
    SeamMoe moe;
} SeamEncoderLayer;

// Of one layer; all in the arena of the forward pass.
typedef struct {
    int32_t n;
    SeamNormSaved norm1, norm2; // before the mixer, before the experts
    union {
        SeamAttentionSaved attention;
        SeamGatedSaved gated;
        SeamScanSaved scan;
    };
    SeamMoeSaved moe;
} SeamEncoderSaved;

// shared_a: the router matrix of layer 0 where layers share it, else NULL.
void seam_encoder_declare(SeamEncoderLayer *layer, SeamParams *params, const SeamConfig *config,
                          int32_t index, SeamTensor *shared_a);

// Whether the pattern that the layer is given is the local one; else it is the dense one.
static inline bool seam_encoder_sees_locally(const SeamEncoderLayer *layer) {
    return layer->mixer == SEAM_MIXER_LOCAL || layer->mixer == SEAM_MIXER_GATED;
}

// x [n, dim] in place; pattern: of the layer's mixer. state: of a scan that goes on, or NULL (see
// seam_scan_forward). saved: NULL in inference. use: see seam_moe_forward.
SeamStatus seam_encoder_forward(const SeamEncoderLayer *layer, SeamRun *run,
                                const SeamPattern *pattern, float *state, float *x, float *use,
                                SeamEncoderSaved *saved);
// dx [n, dim] in place: of the output in, of the input out.
SeamStatus seam_encoder_backward(const SeamEncoderLayer *layer, SeamRun *run,
                                 const SeamEncoderSaved *saved, float balance, double *balance_loss,
                                 float *dx);
// Bytes of arena at most, without those of a pattern that the caller builds: of scratch, and in *kept what stays after a
// forward pass with `train`.
size_t seam_encoder_bytes(const SeamEncoderLayer *layer, int32_t n, bool train, size_t *kept);
