// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A model of a preset's size with a camera and a sensor, and one training step of it on drawn inputs: for the test of the presets and for their ablation.
#pragma once

#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/model.h"
#include "core/random.h"
#include "core/train/losses.h"
#include "core/train/optimiser.h"
#include "core/train/pass.h"

enum { PRESET_CHANNELS = 4, PRESET_CLASSES = 3, PRESET_STRETCHES = 4 };

// layers: in place of the preset's, 0: as they are. size: of the pictures, pixels.
static inline void preset_config(SeamConfig *c, const char *preset, int32_t layers, int32_t size) {
    static const char *const classes[PRESET_CLASSES] = {"good", "porosity", "overlap"};
    memset(c, 0, sizeof *c);
    g_assert_true(seam_config_preset(c, preset, NULL));
    c->layers = layers > 0 ? layers : c->layers;
    c->n_modalities = 2;
    c->modality[0] = (SeamModality){.name = "video", .front = SEAM_FRONT_IMAGE, .channels = 1, .delta_rank = 4, .mean = {127.5f}, .std = {64},
                                    .image = {.size = size, .stem_layers = 4, .stem_width = {c->dim / 8, c->dim / 4, c->dim / 2, c->dim}}};
    c->modality[1] = (SeamModality){.name = "sensors", .front = SEAM_FRONT_SENSOR, .channels = PRESET_CHANNELS, .std = {1, 1, 1, 1},
                                    .sensor = {.rate = 64, .patch = 64 / PRESET_STRETCHES, .time_bins = 4, .fft = 16, .bands = 4, .arc_channel = 0}};
    c->n_classes = PRESET_CLASSES;
    for (int32_t k = 0; k < PRESET_CLASSES; k++)
        g_strlcpy(c->class_name[k], classes[k], SEAM_NAME_LENGTH);
    c->n_tasks = 1;
    c->task[0] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 8};
}

// What a step came to.
typedef struct {
    double loss, balance, norm; // norm: of the gradient
    double seconds[2];          // forward, backward
    size_t arena;               // bytes at most
} PresetStep;

typedef struct {
    SeamModel *model;
    SeamBatch *batch;
    SeamArena arena;
    SeamRun run;
} PresetModel;

// With gradients; one window with one picture and one stretch of the sensor, labelled as the last class.
static inline PresetModel *preset_model(const SeamConfig *config, const SeamKernels *kernels) {
    PresetModel *p = g_new0(PresetModel, 1);
    SeamRecord record = {.class_index = PRESET_CLASSES - 1, .defect = true, .duration = 1, .arc_end = 1};
    SeamRandom random = seam_random(3, 1);
    int32_t bytes = config->modality[0].image.size * config->modality[0].image.size;
    g_autofree uint8_t *pixels = g_malloc((gsize)bytes);
    float x[64 * PRESET_CHANNELS];
    double time = 0.5;
    p->model = seam_model_new(config, true, 5, NULL);
    p->batch = seam_batch_new(config, 1, NULL);
    g_assert_true(p->model && p->batch && seam_arena_init(&p->arena, (size_t)1 << 20));
    p->run = (SeamRun){.kernels = kernels, .arena = &p->arena};
    for (int32_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)seam_random_below(&random, 256);
    for (size_t i = 0; i < G_N_ELEMENTS(x); i++)
        x[i] = (float)seam_random_normal(&random);
    record.stream[0] = (SeamStream){.pictures = 1, .picture_time = &time, .pixels = pixels};
    record.stream[1] = (SeamStream){.samples = 64, .x = x};
    seam_batch_add(p->batch, &record, 0, UINT32_MAX, 0, NULL, NULL);
    return p;
}

static inline void preset_free(PresetModel *p) {
    seam_batch_free(p->batch);
    seam_model_free(p->model);
    seam_arena_clear(&p->arena);
    g_free(p);
}

static inline SeamStatus preset_pass(PresetModel *p, PresetStep *step) {
    static const double weight[SEAM_MAX_CLASSES] = {1, 1, 1};
    const SeamClassify *task = &p->model->task[0].classify;
    SeamPass pass;
    SeamClassifyOut out;
    SeamClassifySaved saved;
    gint64 begun = g_get_monotonic_time();
    SEAM_TRY(seam_pass_encode(p->model, &p->run, p->batch, true, NULL, &pass));
    SEAM_TRY(seam_pass_fuse(p->model, &p->run, p->batch, true, &pass));
    SEAM_TRY(seam_classify_forward(task, &p->run, &pass.fused, &out, &saved));
    float *dlogits = SEAM_NEW(&p->arena, float, task->classes), *dx = SEAM_NEW(&p->arena, float, (size_t)pass.fused.n * task->dim);
    if (!dlogits || !dx)
        return SEAM_NO_MEMORY;
    step->loss = seam_loss_classify(1, task->classes, out.logits, p->batch->label, weight, 0, 1, dlogits, NULL, NULL);
    gint64 turned = g_get_monotonic_time();
    SEAM_TRY(seam_classify_backward(task, &p->run, &saved, dlogits, dx));
    SEAM_TRY(seam_pass_backward(p->model, &p->run, p->batch, &pass, dx, 0.01f, &step->balance));
    step->seconds[0] = (double)(turned - begun) / 1e6;
    step->seconds[1] = (double)(g_get_monotonic_time() - turned) / 1e6;
    return SEAM_OK;
}

// Forward and backward, gradients set anew. Loss and gradient are numbers.
static inline PresetStep preset_forward_backward(PresetModel *p) {
    PresetStep step = {0};
    SeamStatus status;
    do {
        seam_arena_release(&p->arena, 0);
        step.balance = 0;
        seam_params_zero_grad(p->model->params);
        status = preset_pass(p, &step);
    } while (status == SEAM_NO_MEMORY && seam_arena_grow(&p->arena, (size_t)8 << 30));
    g_assert_cmpstr(seam_status_text(status), ==, seam_status_text(SEAM_OK));
    for (size_t i = 0; i < p->model->params->size; i++)
        step.norm += (double)p->model->params->grad[i] * p->model->params->grad[i];
    step.norm = sqrt(step.norm);
    step.arena = p->arena.peak;
    g_assert_true(isfinite(step.loss) && isfinite(step.balance) && isfinite(step.norm) && step.norm > 0);
    return step;
}
