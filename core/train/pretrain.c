// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The loop of pretraining. As in trainer.c, what a step draws depends on the seed and the step's number alone. Two optimisers step together, the
// model's and that of the heads; each cuts its own gradient.
#include "core/train/pretrain.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/train/checkpoint.h"
#include "core/train/masked.h"
#include "core/train/schedule.h"

static const char stage[] = "pretrain";
static const double smooth = 0.95; // of the running means that are shown
static const size_t largest_arena = (size_t)16 << 30;

typedef struct {
    const SeamRecipe *recipe;
    const SeamDataset *data;
    SeamModel *model;
    SeamRun *run;
    SeamMasked *masked;
    SeamBatch *batch;
    SeamAugment augment;
    SeamOptimiser optimiser[2]; // of the model, of the heads
    GPtrArray *still;           // prefixes of parameters that this stage does not reach
    GArray *record;             // of int32_t: each of the training part, as often as it has windows
    uint64_t lot;               // names the stream of what is drawn
    double loss, balance;       // of the last step
    SeamTrainProgress shown;
} Pretrain;

// ---- windows -------------------------------------------------------------------------------------------------------------------

static bool gather_records(Pretrain *t, const SeamPart *part, GError **error) {
    double window = t->model->config.window;
    t->record = g_array_new(FALSE, FALSE, sizeof(int32_t));
    for (int32_t r = 0; r < t->data->n; r++) {
        double length = t->data->record[r].arc_end - t->data->record[r].arc_start;
        for (int32_t i = 0; part[r] == SEAM_PART_TRAIN && i < (int32_t)fmin(fmax(length / window, 1), 1e6); i++)
            g_array_append_val(t->record, r);
    }
    if (t->record->len == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: nothing to pretrain on: the training part is empty", t->data->path);
    return t->record->len > 0;
}

static void fill_batch(Pretrain *t) {
    const SeamTrainOptions *o = &t->recipe->train;
    seam_batch_reset(t->batch);
    for (int32_t i = 0; i < t->recipe->pretrain.batch; i++) {
        SeamRandom random = seam_random(o->seed, t->lot + (uint64_t)t->optimiser[0].step * 65536 + (uint64_t)i);
        int32_t r = g_array_index(t->record, int32_t, seam_random_below(&random, (int32_t)t->record->len));
        const SeamRecord *record = &t->data->record[r];
        double room = fmax(record->arc_end - record->arc_start - t->model->config.window, 0);
        seam_batch_add(t->batch, record, record->arc_start + room * seam_random_uniform(&random), UINT32_MAX, o->frames, &t->augment, &random);
    }
}

// ---- one step ------------------------------------------------------------------------------------------------------------------

static SeamStatus forward_backward(Pretrain *t) {
    SeamRandom random = seam_random(t->recipe->train.seed, t->lot + (uint64_t)t->optimiser[0].step * 65536 + 65535);
    t->balance = 0;
    seam_params_zero_grad(t->model->params);
    seam_params_zero_grad(t->masked->params);
    return seam_masked_pass(t->masked, t->run, t->batch, &random, (float)t->recipe->train.balance, &t->loss, &t->balance);
}

static SeamStatus step(Pretrain *t) {
    const SeamPretrainOptions *o = &t->recipe->pretrain;
    SeamArena *arena = t->run->arena;
    SeamStatus status;
    double norm, lr = seam_schedule_lr(o->lr, o->warmup, t->optimiser[0].step, o->steps);
    fill_batch(t);
    for (;;) { // a batch that does not fit is done again in a larger arena
        seam_arena_release(arena, 0);
        status = forward_backward(t);
        if (status != SEAM_NO_MEMORY || !seam_arena_grow(arena, largest_arena))
            break;
    }
    for (int32_t i = 0; i < 2 && status == SEAM_OK; i++)
        status = seam_optimiser_step(&t->optimiser[i], t->run->kernels, lr, &norm);
    for (int32_t l = 0; l < t->model->config.layers && status == SEAM_OK; l++)
        seam_moe_update_bias(&t->model->encoder[l].moe, t->masked->load[l], (float)t->recipe->train.balance_rate);
    return status;
}

// ---- the loop ------------------------------------------------------------------------------------------------------------------

static void show(Pretrain *t, const SeamTrainRun *how, int64_t done, gint64 begun) {
    SeamTrainProgress *p = &t->shown;
    const SeamPretrainOptions *o = &t->recipe->pretrain;
    double keep = done <= 1 ? 0 : smooth, seconds = (double)(g_get_monotonic_time() - begun) / 1e6;
    p->pretraining = true;
    p->step = t->optimiser[0].step;
    p->steps = o->steps;
    p->loss = keep * p->loss + (1 - keep) * t->loss;
    p->balance = keep * p->balance + (1 - keep) * t->balance;
    p->windows_per_second = (double)done * o->batch / fmax(seconds, 1e-3);
    p->seconds_left = (double)(o->steps - p->step) * o->batch / fmax(p->windows_per_second, 1e-6);
    if (how->progress)
        how->progress(how->user, p);
}

static bool loop(Pretrain *t, const SeamTrainRun *how, const char *key, int64_t *done, GError **error) {
    const SeamOptimiser *const all[] = {&t->optimiser[0], &t->optimiser[1]};
    gint64 begun = g_get_monotonic_time(), last = begun;
    while (t->optimiser[0].step < t->recipe->pretrain.steps) {
        g_autofree char *what = g_strdup_printf("step %" G_GINT64_FORMAT " of the pretraining", t->optimiser[0].step + 1);
        if (!seam_status_check(step(t), what, error))
            return false;
        show(t, how, ++*done, begun);
        gint64 now = g_get_monotonic_time();
        bool stop = how->stop_after > 0 && *done >= how->stop_after, end = t->optimiser[0].step == t->recipe->pretrain.steps;
        if (how->checkpoint && (stop || end || (double)(now - last) / 1e6 >= t->recipe->train.checkpoint_seconds)) {
            last = now;
            if (!seam_checkpoint_save_stage(how->checkpoint, stage, key, all, 2, error))
                return false;
        }
        if (stop)
            return false;
    }
    return true;
}

// Decay alone shall not shrink what no gradient reaches.
static void find_still(Pretrain *t) {
    t->still = g_ptr_array_new_with_free_func(g_free);
    static const char *const behind[] = {"exits.", "fusion.", "bank.", "tasks."}; // the encoder
    for (size_t i = 0; i < G_N_ELEMENTS(behind); i++)
        g_ptr_array_add(t->still, g_strdup(behind[i]));
    for (int32_t m = 0; m < t->model->config.n_modalities; m++)
        if (t->masked->part[m].heads == 0) {
            g_ptr_array_add(t->still, g_strdup_printf("embed.%s.", t->model->config.modality[m].name));
            g_ptr_array_add(t->still, g_strdup_printf("project.delta.%s.", t->model->config.modality[m].name));
        }
    g_ptr_array_add(t->still, NULL);
}

static bool prepare(Pretrain *t, const SeamPart *part, GError **error) {
    const SeamTrainOptions *o = &t->recipe->train;
    if (!(t->masked = seam_masked_new(t->model, t->recipe->pretrain.mask, o->seed, error)) ||
        !(t->batch = seam_batch_new(&t->model->config, t->recipe->pretrain.batch, error)) || !gather_records(t, part, error))
        return false;
    t->augment.modality_dropout = t->augment.alone = 0; // modalities learn apart here
    t->lot = seam_random_hash("pretrain.sample");
    find_still(t);
    for (int32_t i = 0; i < 2; i++) {
        if (!seam_optimiser_init(&t->optimiser[i], i ? t->masked->params : t->model->params, error))
            return false;
        t->optimiser[i].weight_decay = o->weight_decay;
        t->optimiser[i].clip = o->clip;
    }
    t->optimiser[0].still = (const char *const *)t->still->pdata;
    return true;
}

static bool resume(Pretrain *t, const SeamTrainRun *how, const char *key, GError **error) {
    SeamOptimiser *const all[] = {&t->optimiser[0], &t->optimiser[1]};
    GError *broken = NULL;
    t->shown.resumed = how->checkpoint && seam_checkpoint_load_stage(how->checkpoint, stage, key, all, 2, &broken);
    if (broken)
        g_propagate_error(error, broken);
    return !broken;
}

bool seam_pretrain(SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part, SeamRun *run, const char *key,
                   const SeamTrainRun *how, int64_t *done, GError **error) {
    Pretrain t = {.recipe = recipe, .data = data, .model = model, .run = run, .augment = recipe->augment};
    *done = 0;
    bool ok = prepare(&t, part, error) && resume(&t, how, key, error) && loop(&t, how, key, done, error);
    for (int32_t i = 0; i < 2; i++)
        seam_optimiser_clear(&t.optimiser[i]);
    g_clear_pointer(&t.still, g_ptr_array_unref);
    g_clear_pointer(&t.record, g_array_unref);
    seam_batch_free(t.batch);
    seam_masked_free(t.masked);
    return ok;
}
