// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sequences that leave the encoder early. Only model.c and training need this header; all others call seam_model_encode.
#pragma once

#include "core/model.h"

// The layers themselves, all of them for all sequences: what seam_model_encode does where nobody leaves.
SeamStatus seam_model_encode_layers(const SeamModel *model, SeamRun *run, int32_t first, int32_t last, SeamTokens *tokens, float *use,
                                    SeamCarry *carry, SeamEncoderSaved *saved);

// Whether sequences may leave, or have left in layers that were run before.
bool seam_model_leaves(const SeamModel *model, const SeamRun *run, const SeamTokens *tokens);
// Inference with exits: layers first..last, of which a sequence leaves at the first exit head that is surer than effort.exit_margin.
SeamStatus seam_model_encode_leaving(const SeamModel *model, SeamRun *run, int32_t first, int32_t last, SeamTokens *tokens, float *use);
// Bytes of arena at most, besides those of the layers.
size_t seam_model_leaving_bytes(const SeamModel *model, int32_t tokens);
