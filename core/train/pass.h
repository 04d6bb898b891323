// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A batch through the model: embedding, encoder, fusion and memory bank, forward and backward. Everything lives in the run's arena; the caller marks and releases.
// Tasks are not its business.
#pragma once

#include "core/model.h"
#include "core/train/batch.h"

typedef struct {
    SeamTokens encoded;      // all sequences of the batch, ordered by modality; of long texts only the last chunk has tokens
    int32_t *window_of;      // [encoded.seqs]
    int32_t first[SEAM_MAX_MODALITIES + 1];     // first token of each modality
    int32_t embedded[SEAM_MAX_MODALITIES + 1];  // the same as embedded, before the encoder
    int32_t *row;            // [encoded.n] of the tokens as embedded, or NULL: the same ones (core/text_chunks.h)
    int32_t first_seq[SEAM_MAX_MODALITIES + 1];
    SeamTokens fused;        // one sequence a window, after the memory bank where there is one
    union {
        SeamImageEmbedSaved image;
        SeamSensorEmbedSaved sensor;
        SeamTextEmbedSaved text;
        SeamFeatureEmbedSaved features;
    } embed[SEAM_MAX_MODALITIES];
    SeamEncoderSaved *encoder; // [layers]
    SeamFusionSaved fusion;
    SeamBankSaved *bank;     // [windows]; NULL where there is no bank
    int32_t *depth;          // [encoded.seqs] layers that each sequence goes through; set where exit heads are taught
} SeamPass;

// train: keeps what the backward pass reads. use [experts] or NULL as in seam_model_encode. A scan goes on from window to window of a stream
// (batch->stream), in which the inputs of a window follow each other too.
SeamStatus seam_pass_encode(const SeamModel *model, SeamRun *run, const SeamBatch *batch, bool train, float *use, SeamPass *pass);
// The same in inference for the next window of a recording: carry [modalities] is what each modality's stream carries, as its seamencoder does.
SeamStatus seam_pass_encode_stream(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamCarry *carry, float *use, SeamPass *pass);
// Fuses all of pass->encoded; then each window reads what those before it in its stream left in the bank. A stream begins with an empty one.
SeamStatus seam_pass_fuse(const SeamModel *model, SeamRun *run, const SeamBatch *batch, bool train, SeamPass *pass);
// Fuses the sequences of the modalities `use` alone into `fused`. A bank is the caller's business.
SeamStatus seam_pass_fuse_some(const SeamModel *model, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, uint32_t use, SeamTokens *fused);
// dfused [fused.n, dim] is overwritten where there is a bank. Parameter gradients are added.
SeamStatus seam_pass_backward(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamPass *pass, float *dfused, float balance,
                              double *balance_loss);
