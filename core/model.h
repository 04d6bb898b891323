// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The model: its layers, in the order in which data meets them, and one function a stage. The elements call the stages one by one on
// what flows past; training calls them in turn and then their backward twins. A SeamModel is immutable while it runs inference,
// so that any number of threads may share one; each brings its own SeamRun.
//
//   pictures, windows, texts -> embed -> encode (layers a..b) -> fuse (a window's sequences become one) -> remember -> tasks
#pragma once

#include "core/bundle.h"
#include "core/carry.h"
#include "core/layers/anomaly.h"
#include "core/layers/bank.h"
#include "core/layers/classify.h"
#include "core/layers/encoder.h"
#include "core/layers/exit.h"
#include "core/layers/feature_embed.h"
#include "core/layers/fusion.h"
#include "core/layers/generate.h"
#include "core/layers/image_embed.h"
#include "core/layers/localise.h"
#include "core/layers/merge.h"
#include "core/layers/project.h"
#include "core/layers/sensor_embed.h"
#include "core/layers/survival.h"
#include "core/layers/text_embed.h"
#include "core/run.h"
#include "core/sensor_window.h"

typedef struct SeamModel {
    SeamConfig config;
    char fingerprint[SEAM_FINGERPRINT_LENGTH]; // "" for a model that was never written
    SeamParams *params;
    SeamProject project; // the projection that all modalities share, their deltas, and the place encoding
    union {
        SeamImageEmbed image;
        SeamSensorEmbed sensor;
        SeamTextEmbed text;
        SeamFeatureEmbed features;
    } embed[SEAM_MAX_MODALITIES];
    SeamEncoderLayer encoder[SEAM_MAX_LAYERS];
    SeamExit exit[SEAM_MAX_LAYERS]; // behind the layer of that number, where seam_exit_at says so
    SeamFusion fusion;
    SeamBankLayer bank; // where the configuration has bank_slots
    union {
        SeamClassify classify;
        SeamLocalise localise;
        SeamAnomaly anomaly;
        SeamSurvival survival;
        SeamGenerator generate;
    } task[SEAM_MAX_TASKS];
} SeamModel;

// A new model with drawn parameters, for training.
SeamModel *seam_model_new(const SeamConfig *config, bool with_grad, uint64_t seed, GError **error);
// All layers without memory for their values, to count them (core/footprint.h); nothing else may be done with it.
SeamModel *seam_model_outline(const SeamConfig *config, GError **error);
// A model to go on training: with gradients, the configuration and parameters of `model`, and no anomaly memory.
SeamModel *seam_model_copy_for_training(const SeamModel *model, GError **error);
// The model of a bundle; a task without an adapter file has task_ready(...) false.
SeamModel *seam_model_load(const char *path, GError **error);
void seam_model_free(SeamModel *model);

// Packs the weights for the products of `kernels` (core/pack.h), with which alone the model then runs inference; the values stay. Of a model that nobody
// else holds.
bool seam_model_pack(SeamModel *model, const SeamKernels *kernels, GError **error);

// For inference, shared by all elements of the process: the same path with the same fingerprint and modification time is loaded and packed for `kernels` once.
// Of packed weights the values do not stay: such a model is not for training nor for writing.
SeamModel *seam_model_acquire(const char *path, const SeamKernels *kernels, GError **error);
SeamModel *seam_model_ref(SeamModel *model); // one more holder of an acquired model
void seam_model_release(SeamModel *model);

// A task (head + adapter) that can be used; false until loaded or trained. Loading a task's file into a model that others use is
// not allowed: seam_task_load makes a model of its own for the new adapter (hot swap: publish it, release the old one).
bool seam_model_task_ready(const SeamModel *model, int32_t task);
SeamModel *seam_model_with_adapter(SeamModel *base, int32_t task, const char *adapter_path, GError **error);

// Bytes of arena that one call of a stage needs at most, for planning: `inputs` pictures, windows or texts; `tokens` in all.
size_t seam_model_embed_bytes(const SeamModel *model, int32_t modality, int32_t inputs, bool train);
size_t seam_model_encode_bytes(const SeamModel *model, int32_t tokens, bool train);
size_t seam_model_fuse_bytes(const SeamModel *model, int32_t tokens, bool train);
size_t seam_model_remember_bytes(const SeamModel *model, int32_t windows, int32_t tokens, bool train); // tokens: of one window
// What encoding needs besides when run->effort.merge is over 0.
size_t seam_model_merge_bytes(const SeamModel *model, int32_t tokens);

// ---- embed: all outputs (x, place, seq_*) are in the run's arena -------------------------------------------------------------

// pixels [images, size, size, channels]; time [images] running time in seconds.
SeamStatus seam_model_embed_images(const SeamModel *model, SeamRun *run, int32_t modality, int32_t images, const uint8_t *pixels,
                                   const double *time, SeamTokens *out, SeamImageEmbedSaved *saved);
// One sequence a window; a window without valid stretches gives an empty sequence.
SeamStatus seam_model_embed_windows(const SeamModel *model, SeamRun *run, int32_t modality, int32_t windows,
                                    const SeamSensorWindow *window, SeamTokens *out, SeamSensorEmbedSaved *saved);
// UTF-8 texts (invalid bytes are hashed as they are); one sequence a text, of a long one a sequence a chunk (text_embed.h), which out->seq_follows tells.
SeamStatus seam_model_embed_texts(const SeamModel *model, SeamRun *run, int32_t modality, int32_t texts, const char *const *text,
                                  const double *time, SeamTokens *out, SeamTextEmbedSaved *saved);
// The next chunk of a text that was opened by seam_text_open with the modality's embed, as one sequence, for a stream that is encoded by
// seam_model_encode_stream. While cursor->words is over 0 the text goes on.
SeamStatus seam_model_embed_chunk(const SeamModel *model, SeamRun *run, int32_t modality, SeamTextCursor *cursor, double time, SeamTokens *out);
// Readings of a table of features: windows of one sample; one sequence a window, empty where every column is missing.
SeamStatus seam_model_embed_features(const SeamModel *model, SeamRun *run, int32_t modality, int32_t windows,
                                     const SeamSensorWindow *window, SeamTokens *out, SeamFeatureEmbedSaved *saved);

// ---- encode: layers first..last in place on tokens->x -----------------------------------------------------------------------

// use [experts], or NULL: the share of choices that fell on each expert is added up here (sums to tokens * layers).
// saved [last - first + 1], or NULL in inference. With run->effort.merge that share of the tokens of each sequence is taken away after layer 0
// (core/layers/merge.h), or before the first layer of a later call, unless that was done already: then tokens->size is there. n, seq_start, place and size become those of what is
// left; size is in the run's arena. Pictures get their tokens back after the last layer of the call, so that a cell has a token.
// With exit heads and effort.exit_margin a sequence may leave at one: layers after it pass it by, and tokens->seq_left (where there is one) is set, for the
// layers that others run. A sequence whose seq_left is set is left as it is.
// Sequences that follow each other (tokens->seq_follows) are one to layers that scan, and several to all others.
SeamStatus seam_model_encode(const SeamModel *model, SeamRun *run, int32_t first, int32_t last, SeamTokens *tokens, float *use,
                             SeamEncoderSaved *saved);
// The same in inference for the next tokens of a stream: all sequences follow one another, and what the scan layers know of it is in carry.
SeamStatus seam_model_encode_stream(const SeamModel *model, SeamRun *run, int32_t first, int32_t last, SeamTokens *tokens, float *use,
                                    SeamCarry *carry);

// ---- fuse ------------------------------------------------------------------------------------------------------------------------

// Joins the sequences of each window into one: window_of[s] in 0..windows-1 for each sequence of `in`, window_time [windows] the windows'
// starts. Out: one sequence a window, its tokens ordered by modality, then time, then their order in `in`; place.t is now relative to the
// window's start. row [in->n] of the saved struct: where each input token went.
SeamStatus seam_model_fuse(const SeamModel *model, SeamRun *run, const SeamTokens *in, int32_t windows, const int32_t *window_of,
                           const double *window_time, SeamTokens *out, SeamFusionSaved *saved);

// ---- remember: the memory of a stream, where the configuration has bank_slots; else these change nothing ---------------------------------

// Fused windows that follow each other in one stream, in place on fused->x: each reads what those before it left in the bank, and leaves something
// (core/layers/bank.h). The bank is the stream's. saved [fused->seqs], or NULL in inference.
SeamStatus seam_model_remember(const SeamModel *model, SeamRun *run, SeamBank *bank, const SeamTokens *fused, SeamBankSaved *saved);

// ---- backward: dx of each stage's output in, dx of its input out; parameter gradients are added ---------------------------------------

SeamStatus seam_model_embed_images_backward(const SeamModel *model, SeamRun *run, int32_t modality, SeamImageEmbedSaved *saved, const float *dx);
SeamStatus seam_model_embed_windows_backward(const SeamModel *model, SeamRun *run, int32_t modality, SeamSensorEmbedSaved *saved, const float *dx);
SeamStatus seam_model_embed_texts_backward(const SeamModel *model, SeamRun *run, int32_t modality, SeamTextEmbedSaved *saved, const float *dx);
SeamStatus seam_model_embed_features_backward(const SeamModel *model, SeamRun *run, int32_t modality, SeamFeatureEmbedSaved *saved, const float *dx);
// dx [n, dim] in place. balance: weight of the load-balance loss, whose value over these layers is added to *balance_loss.
SeamStatus seam_model_encode_backward(const SeamModel *model, SeamRun *run, int32_t first, int32_t last, SeamEncoderSaved *saved,
                                      float balance, double *balance_loss, float *dx);
// Of `windows` windows that followed each other; dx [n, dim] of all of them. What the bank held before the first one gets no gradient.
SeamStatus seam_model_remember_backward(const SeamModel *model, SeamRun *run, int32_t windows, const SeamBankSaved *saved, float *dx);
SeamStatus seam_model_fuse_backward(const SeamModel *model, SeamRun *run, SeamFusionSaved *saved, const float *dout, float *din);
