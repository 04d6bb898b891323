// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The backward stages of the model, the twins of the forward stages in model.c. Each leaves the
// arena as it found it, so that the caller may release what the forward passes kept, last stage
// first.
#include "core/model.h"

#include <string.h>

// The first step of every embedding's backward pass: from the projected tokens to the features [n,
// dim], new memory.
static SeamStatus project_backward(const SeamModel *model, SeamRun *run,
                                   const SeamProjectSaved *saved, const float *dx,
                                   float **dfeatures) {
    *dfeatures = SEAM_NEW(run->arena, float, (size_t)saved->n * model->config.dim);
    return *dfeatures ? seam_project_backward(&model->project, run, saved, dx, *dfeatures)
                      : SEAM_NO_MEMORY;
}

SeamStatus seam_model_embed_images_backward(const SeamModel *model, SeamRun *run, int32_t modality,
                                            SeamImageEmbedSaved *saved, const float *dx) {
    size_t mark = seam_arena_mark(run->arena);
    float *dfeatures;
    SEAM_TRY(project_backward(model, run, &saved->project, dx, &dfeatures));
    SEAM_TRY(seam_image_embed_backward(&model->embed[modality].image, run, saved, dfeatures));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_model_embed_windows_backward(const SeamModel *model, SeamRun *run, int32_t modality,
                                             SeamSensorEmbedSaved *saved, const float *dx) {
    size_t mark = seam_arena_mark(run->arena);
    float *dfeatures;
    SEAM_TRY(project_backward(model, run, &saved->project, dx, &dfeatures));
    SEAM_TRY(seam_sensor_embed_backward(&model->embed[modality].sensor, run, saved, dfeatures));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_model_embed_texts_backward(const SeamModel *model, SeamRun *run, int32_t modality,
                                           SeamTextEmbedSaved *saved, const float *dx) {
    size_t mark = seam_arena_mark(run->arena);
    float *dfeatures;
    SEAM_TRY(project_backward(model, run, &saved->project, dx, &dfeatures));
    SEAM_TRY(seam_text_embed_backward(&model->embed[modality].text, run, saved, dfeatures));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_model_embed_features_backward(const SeamModel *model, SeamRun *run,
                                              int32_t modality, SeamFeatureEmbedSaved *saved,
                                              const float *dx) {
    size_t mark = seam_arena_mark(run->arena);
    float *dfeatures;
    SEAM_TRY(project_backward(model, run, &saved->project, dx, &dfeatures));
    SEAM_TRY(
        seam_feature_embed_backward(&model->embed[modality].features, run, saved, dfeatures));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_model_encode_backward(const SeamModel *model, SeamRun *run, int32_t first,
                                      int32_t last, SeamEncoderSaved *saved, float balance,
                                      double *balance_loss, float *dx) {
    for (int32_t l = last; l >= first; l--)
        SEAM_TRY(seam_encoder_backward(&model->encoder[l], run, &saved[l - first], balance,
                                       balance_loss, dx));
    return SEAM_OK;
}

// The join moved rows, so its gradient moves them back: din[i] = dx[row[i]].
SeamStatus seam_model_fuse_backward(const SeamModel *model, SeamRun *run, SeamFusionSaved *saved,
                                    const float *dout, float *din) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)saved->n * model->config.dim;
    float *dx = SEAM_NEW(run->arena, float, size);
    if (!dx)
        return SEAM_NO_MEMORY;
    memcpy(dx, dout, size * sizeof *dx);
    SEAM_TRY(seam_fusion_backward(&model->fusion, run, saved, dx));
    SEAM_TRY(run->kernels->gather(saved->n, model->config.dim, saved->row, dx, din));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_model_remember_backward(const SeamModel *model, SeamRun *run, int32_t windows, const SeamBankSaved *saved, float *dx) {
    size_t mark = seam_arena_mark(run->arena), row = (size_t)model->config.dim;
    if (model->config.bank_slots == 0 || windows == 0)
        return SEAM_OK;
    int64_t base = saved[0].first, end = saved[windows - 1].first + model->bank.write;
    float *dwritten = SEAM_NEW0(run->arena, float, (size_t)(end - base) * row);
    for (int32_t w = 0; w < windows; w++) // to the end of the last window's tokens
        dx += (size_t)saved[w].n * row;
    for (int32_t w = windows - 1; w >= 0 && dwritten; w--) {
        dx -= (size_t)saved[w].n * row;
        SEAM_TRY(seam_bank_backward(&model->bank, run, &saved[w], base, dwritten, dx));
    }
    seam_arena_release(run->arena, mark);
    return dwritten ? SEAM_OK : SEAM_NO_MEMORY;
}
