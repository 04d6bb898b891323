// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The training loop. What a step draws depends on the seed and the step's number alone, so that a run which was broken and resumed gives the bits of one
// that was not.
#include "core/train/trainer.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/train/checkpoint.h"
#include "core/train/draw.h"
#include "core/train/exits.h"
#include "core/train/feature_table.h"
#include "core/train/generate.h"
#include "core/train/losses.h"
#include "core/train/losses_boxes.h"
#include "core/train/narrow.h"
#include "core/train/pass.h"
#include "core/train/pretrain.h"
#include "core/train/schedule.h"

static const double smooth = 0.95;  // of the running means that are shown
static const float first_heat = -4; // logit of an untrained heat map: nearly all cells show nothing
static const size_t first_arena = (size_t)64 << 20, largest_arena = (size_t)16 << 30;

typedef struct {
    const SeamRecipe *recipe;
    const SeamDataset *data;
    SeamModel *model;
    SeamRun run;
    SeamArena arena;
    SeamBatch *batch;
    SeamOptimiser optimiser;
    uint64_t lot; // names the stream of what is drawn
    int64_t pretrained; // steps of the stage before, in this run
    SeamDraw draw;
    SeamTrainProgress shown;
    double loss, classify, localise, rul, generate, balance, accuracy; // of the last step
    SeamExitLesson exit;
    SeamNarrowing narrowing; // where the recipe quantises
} Trainer;

// ---- normalisation -------------------------------------------------------------------------------------------------------------

typedef struct {
    double sum[SEAM_MAX_FEATURES], squares[SEAM_MAX_FEATURES], n[SEAM_MAX_FEATURES];
} Moments;

static void add_moment(Moments *s, int32_t c, double x) {
    s->sum[c] += x;
    s->squares[c] += x * x;
    s->n[c]++;
}

static void measure_samples(const SeamModality *m, double rate, const SeamRecord *record, const SeamStream *stream, Moments *s) {
    for (int64_t i = 0; i < stream->samples; i++) {
        double time = stream->start + (double)i / rate;
        for (int32_t c = 0; c < m->channels && time >= record->arc_start && time <= record->arc_end; c++)
            if (!isnan(stream->x[i * m->channels + c]))
                add_moment(s, c, stream->x[i * m->channels + c]);
    }
}

static void measure_pictures(const SeamModality *m, const SeamRecord *record, const SeamStream *stream, Moments *s) {
    const int32_t stride = 7, pixels = m->image.size * m->image.size; // every seventh pixel is enough, and walks over all columns
    for (int32_t i = 0; i < stream->pictures; i++)
        for (int32_t p = i % stride; p < pixels && stream->picture_time[i] >= record->arc_start && stream->picture_time[i] <= record->arc_end; p += stride)
            for (int32_t c = 0; c < m->channels; c++)
                add_moment(s, c, stream->pixels[((size_t)i * pixels + p) * m->channels + c]);
}

void seam_train_measure(SeamConfig *config, uint32_t given, const SeamDataset *data, const SeamPart *part) {
    for (int32_t k = 0; k < config->n_modalities; k++) {
        SeamModality *m = &config->modality[k];
        Moments s = {0};
        if (given >> k & 1 || m->front == SEAM_FRONT_TEXT)
            continue;
        for (int32_t r = 0; r < data->n; r++)
            if (part[r] == SEAM_PART_TRAIN && data->record[r].use != SEAM_USE_MEASURING) {
                if (m->front == SEAM_FRONT_IMAGE)
                    measure_pictures(m, &data->record[r], &data->record[r].stream[k], &s);
                else
                    measure_samples(m, seam_modality_rate(config, k), &data->record[r], &data->record[r].stream[k], &s);
            }
        for (int32_t c = 0; c < m->channels; c++) {
            double mean = s.n[c] > 0 ? s.sum[c] / s.n[c] : 0, variance = s.n[c] > 0 ? s.squares[c] / s.n[c] - mean * mean : 0;
            if (s.n[c] < 2)
                continue; // no such data: what the configuration says stays
            m->mean[c] = (float)mean;
            m->std[c] = (float)fmax(sqrt(fmax(variance, 0)), 1e-6 * fmax(fabs(mean), 1));
        }
    }
}

// ---- one step ------------------------------------------------------------------------------------------------------------------

static SeamStatus classify_step(Trainer *t, const SeamClassify *task, const SeamPass *pass, float *dx) {
    const SeamTrainOptions *o = &t->recipe->train;
    SeamClassifyOut out;
    SeamClassifySaved saved;
    int32_t correct, counted;
    SEAM_TRY(seam_classify_forward(task, &t->run, &pass->fused, &out, &saved));
    float *dlogits = SEAM_NEW(t->run.arena, float, (size_t)pass->fused.seqs * task->classes);
    if (!dlogits)
        return SEAM_NO_MEMORY;
    t->classify += seam_loss_classify(pass->fused.seqs, task->classes, out.logits, t->batch->label, o->class_weight, o->label_smoothing, o->classify,
                                      dlogits, &correct, &counted);
    t->accuracy = counted > 0 ? (double)correct / counted : 0;
    return seam_classify_backward(task, &t->run, &saved, dlogits, dx);
}

static SeamStatus localise_step(Trainer *t, const SeamLocalise *task, const SeamPass *pass, float *dx) {
    const SeamTrainOptions *o = &t->recipe->train;
    SeamLocaliseOut out;
    SeamLocaliseSaved saved;
    SEAM_TRY(seam_localise_forward(task, &t->run, &pass->fused, &out, &saved));
    float *dlogits = SEAM_NEW(t->run.arena, float, out.size);
    if (!dlogits)
        return SEAM_NO_MEMORY;
    if (task->channels > task->classes)
        t->localise += seam_loss_boxes(&out, task, t->batch, o->box, o->localise, dlogits);
    else
        t->localise += seam_loss_localise(&out, task->classes, t->batch, o->positive, o->localise, dlogits);
    return seam_localise_backward(task, &t->run, &saved, dlogits, dx);
}

static SeamStatus rul_step(Trainer *t, const SeamSurvival *task, const SeamPass *pass, float *dx) {
    SeamClassifyOut out;
    SeamClassifySaved saved;
    SEAM_TRY(seam_classify_forward(&task->evidence, &t->run, &pass->fused, &out, &saved));
    float *dlogits = SEAM_NEW(t->run.arena, float, (size_t)pass->fused.seqs * task->bins);
    if (!dlogits)
        return SEAM_NO_MEMORY;
    t->rul += seam_survival_loss(task, pass->fused.seqs, out.logits, t->batch->remaining, t->recipe->train.rul, dlogits);
    return seam_classify_backward(&task->evidence, &t->run, &saved, dlogits, dx);
}

// dfused [n, dim] = the sum of the tasks' gradients.
static SeamStatus task_steps(Trainer *t, const SeamPass *pass, float *dfused) {
    const SeamConfig *config = &t->model->config;
    size_t size = (size_t)pass->fused.n * config->dim;
    float *dx = SEAM_NEW(t->run.arena, float, size);
    if (!dx)
        return SEAM_NO_MEMORY;
    memset(dfused, 0, size * sizeof *dfused);
    for (int32_t k = 0; k < config->n_tasks; k++) {
        if (config->task[k].kind == SEAM_TASK_ANOMALY)
            continue;
        size_t mark = seam_arena_mark(t->run.arena);
        if (config->task[k].kind == SEAM_TASK_CLASSIFY)
            SEAM_TRY(classify_step(t, &t->model->task[k].classify, pass, dx));
        else if (config->task[k].kind == SEAM_TASK_RUL)
            SEAM_TRY(rul_step(t, &t->model->task[k].survival, pass, dx));
        else if (config->task[k].kind == SEAM_TASK_GENERATE)
            SEAM_TRY(seam_generate_step(&t->model->task[k].generate, &t->run, t->batch, pass,
                                        seam_random(t->recipe->train.seed, t->lot + (uint64_t)t->optimiser.step * 65536 + 65535 - (uint64_t)k),
                                        t->recipe->train.generate, &t->generate, dx));
        else
            SEAM_TRY(localise_step(t, &t->model->task[k].localise, pass, dx));
        seam_arena_release(t->run.arena, mark);
        SEAM_TRY(t->run.kernels->add(size, dx, dfused));
    }
    return SEAM_OK;
}

// Exit heads belong to the encoder: what trains heads of tasks alone leaves them.
static void give_exit_lesson(Trainer *t, bool heads_only) {
    const SeamTrainOptions *o = &t->recipe->train;
    t->exit = (SeamExitLesson){.weight = o->exit, .smoothing = o->label_smoothing, .class_weight = o->class_weight, .leave = o->exit_leave,
                               .random = seam_random(o->seed, seam_random_hash("train.exit") + (uint64_t)t->optimiser.step)};
    t->batch->exit = seam_exit_count(&t->model->config) > 0 && !heads_only ? &t->exit : NULL;
}

static SeamStatus forward_backward(Trainer *t, bool heads_only, SeamPass *pass) {
    t->classify = t->localise = t->rul = t->generate = t->balance = t->accuracy = 0;
    seam_params_zero_grad(t->model->params);
    give_exit_lesson(t, heads_only);
    t->run.penalty = (SeamPenalty){.gate_weight = (float)t->recipe->train.gate_weight, .gate_target = (float)t->recipe->train.gate_target,
                                   .router_z = (float)t->recipe->train.router_z};
    SEAM_TRY(seam_pass_encode(t->model, &t->run, t->batch, true, NULL, pass));
    SEAM_TRY(seam_pass_fuse(t->model, &t->run, t->batch, true, pass));
    float *dfused = SEAM_NEW(t->run.arena, float, (size_t)pass->fused.n * t->model->config.dim);
    if (!dfused)
        return SEAM_NO_MEMORY;
    SEAM_TRY(task_steps(t, pass, dfused));
    if (heads_only)
        return SEAM_OK;
    return seam_pass_backward(t->model, &t->run, t->batch, pass, dfused, (float)t->recipe->train.balance, &t->balance);
}

static SeamStatus quantised_pass(Trainer *t, bool heads_only, SeamPass *pass) {
    if (!t->recipe->train.quantise)
        return forward_backward(t, heads_only, pass);
    bool packed = seam_narrowing_begin(&t->narrowing, t->model, t->run.kernels, NULL);
    SeamStatus status = packed ? forward_backward(t, heads_only, pass) : SEAM_NO_MEMORY;
    seam_narrowing_end(&t->narrowing, t->model);
    return status;
}

static void update_balance(Trainer *t, const SeamPass *pass) {
    for (int32_t l = 0; l < t->model->config.layers; l++) {
        float load[SEAM_MAX_EXPERTS] = {0};
        seam_moe_add_load(&t->model->encoder[l].moe, &pass->encoder[l].moe, load);
        seam_moe_update_bias(&t->model->encoder[l].moe, load, (float)t->recipe->train.balance_rate);
    }
}

// The arena is as large as the largest batch so far; a batch that does not fit is done again in a larger one.
static SeamStatus step(Trainer *t, const SeamTrainRun *how) {
    const SeamTrainOptions *o = &t->recipe->train;
    SeamPass pass;
    SeamStatus status;
    double norm;
    seam_draw_fill(&t->draw, t->lot + (uint64_t)t->optimiser.step * 65536, t->batch);
    for (;;) {
        seam_arena_release(&t->arena, 0);
        status = quantised_pass(t, how->only != NULL, &pass);
        if (status != SEAM_NO_MEMORY || !seam_arena_grow(&t->arena, largest_arena))
            break;
    }
    if (status == SEAM_OK)
        status = seam_optimiser_step(&t->optimiser, t->run.kernels, seam_schedule_lr(o->lr, o->warmup, t->optimiser.step, o->steps), &norm);
    if (status == SEAM_OK && !how->only)
        update_balance(t, &pass);
    return status;
}

// ---- the loop ------------------------------------------------------------------------------------------------------------------

static void show(Trainer *t, const SeamTrainRun *how, int64_t begun_step, gint64 begun) {
    SeamTrainProgress *p = &t->shown;
    const SeamTrainOptions *o = &t->recipe->train;
    double keep = t->optimiser.step - begun_step <= 1 ? 0 : smooth, seconds = (double)(g_get_monotonic_time() - begun) / 1e6;
    double loss = o->classify * t->classify + o->localise * t->localise + o->rul * t->rul + o->generate * t->generate + o->balance * t->balance +
                  o->exit * t->exit.loss + o->gate_weight * t->run.penalty.gate_loss + o->router_z * t->run.penalty.router_z_loss;
    p->step = t->optimiser.step;
    p->steps = o->steps;
    p->loss = keep * p->loss + (1 - keep) * loss;
    p->classify = keep * p->classify + (1 - keep) * t->classify;
    p->localise = keep * p->localise + (1 - keep) * t->localise;
    p->rul = keep * p->rul + (1 - keep) * t->rul;
    p->generate = keep * p->generate + (1 - keep) * t->generate;
    p->balance = keep * p->balance + (1 - keep) * t->balance;
    p->exit = keep * p->exit + (1 - keep) * t->exit.loss;
    p->accuracy = keep * p->accuracy + (1 - keep) * t->accuracy;
    double steps_per_second = (double)(t->optimiser.step - begun_step) / fmax(seconds, 1e-3);
    p->windows_per_second = steps_per_second * o->batch * o->chunks;
    p->seconds_left = (double)(o->steps - t->optimiser.step) / fmax(steps_per_second, 1e-6);
    if (how->progress)
        how->progress(how->user, p);
}

static bool keep_checkpoint(Trainer *t, const SeamTrainRun *how, const char *key, gint64 *last, bool now, GError **error) {
    gint64 time = g_get_monotonic_time();
    if (!how->checkpoint || (!now && (double)(time - *last) / 1e6 < t->recipe->train.checkpoint_seconds))
        return true;
    *last = time;
    return seam_checkpoint_save(how->checkpoint, key, &t->optimiser, error);
}

static bool loop(Trainer *t, const SeamTrainRun *how, const char *key, GError **error) {
    gint64 begun = g_get_monotonic_time(), last = begun;
    int64_t begun_step = t->optimiser.step;
    while (t->optimiser.step < t->recipe->train.steps) {
        g_autofree char *what = g_strdup_printf("step %" G_GINT64_FORMAT " of the training", t->optimiser.step + 1);
        if (!seam_status_check(step(t, how), what, error))
            return false;
        show(t, how, begun_step, begun);
        bool stop = how->stop_after > 0 && t->optimiser.step - begun_step + t->pretrained >= how->stop_after;
        if (!keep_checkpoint(t, how, key, &last, stop, error) || stop)
            return false;
    }
    return true;
}

static void init_heat(SeamModel *model) {
    for (int32_t k = 0; k < model->config.n_tasks; k++) {
        g_autofree char *name = g_strdup_printf("tasks.%s.head.bias", model->config.task[k].name);
        SeamTensor *bias = model->config.task[k].kind == SEAM_TASK_LOCALISE ? seam_params_find(model->params, name) : NULL;
        const SeamLocalise *task = &model->task[k].localise;
        for (size_t i = 0; bias && i < bias->size; i++) // a channel's upscale^2 values stand together; a box's sides begin at 0
            bias->data[i] = (int32_t)(i / (size_t)(task->upscale * task->upscale)) < task->classes ? first_heat : 0;
    }
}

static bool round_to_half(SeamModel *model, const float *mean, const SeamKernels *kernels, GError **error) {
    uint16_t *half = g_try_new(uint16_t, model->params->size);
    SeamStatus status = half ? kernels->f32_to_f16(model->params->size, mean, half) : SEAM_NO_MEMORY;
    if (status == SEAM_OK)
        status = kernels->f16_to_f32(model->params->size, half, model->params->data);
    g_free(half);
    return seam_status_check(status, "rounding the parameters to half precision", error);
}

// Steps without a task that learns by them would only let the parameters decay.
static bool check_tasks(const Trainer *t, const SeamConfig *config, GError **error) {
    for (int32_t k = 0; k < config->n_tasks; k++)
        if (config->task[k].kind != SEAM_TASK_ANOMALY)
            return true;
    if (t->recipe->train.steps > 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "\"steps\" is %" G_GINT64_FORMAT ", but no task learns by steps: a memory of good ones takes "
                    "\"steps\": 0", t->recipe->train.steps);
    return t->recipe->train.steps == 0;
}

static bool prepare(Trainer *t, const SeamConfig *config, const SeamPart *part, const SeamTrainRun *how, GError **error) {
    const SeamTrainOptions *o = &t->recipe->train;
    if (!check_tasks(t, config, error) || !seam_recipe_check_chunks(t->recipe, how->start ? &how->start->config : config, error))
        return false;
    if (!how->start) {
        t->model = seam_model_new(config, true, o->seed, error);
        if (!t->model)
            return false;
        init_heat(t->model);
        if (!seam_status_check(seam_train_measure_quantiles(t->model, t->run.kernels, t->data, part), "measuring the quantiles of features", error))
            return false;
    }
    if (!seam_arena_init(&t->arena, first_arena)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the training's arena");
        return false;
    }
    if (!(t->batch = seam_batch_new(&t->model->config, o->batch * o->chunks, error)) ||
        !seam_draw_init(&t->draw, t->recipe, &t->model->config, t->data, part, error) || !seam_optimiser_init(&t->optimiser, t->model->params, error))
        return false;
    // A model to go on from has seen what its own steps drew.
    g_autofree char *stream = g_strconcat("train.sample", how->start ? how->start->fingerprint : "", NULL);
    t->lot = seam_random_hash(stream);
    t->optimiser.weight_decay = o->weight_decay;
    t->optimiser.clip = o->clip;
    t->optimiser.ema = o->ema;
    t->optimiser.only = how->only;
    return true;
}

// A checkpoint fits the same recipe, the same data (by count), the same parts and the same step count.
static char *checkpoint_key(const Trainer *t, const SeamPart *part, const SeamTrainRun *how) {
    g_autofree char *parts = g_malloc0((gsize)t->data->n + 1);
    for (int32_t i = 0; i < t->data->n; i++)
        parts[i] = (char)('0' + part[i]);
    return g_strdup_printf("%s-%d-%016" G_GINT64_MODIFIER "x-%" G_GINT64_FORMAT "-%" G_GUINT64_FORMAT "-%s", t->recipe->hash, t->data->n,
                           seam_random_hash(parts), t->recipe->train.steps, t->recipe->train.seed, how->start ? how->start->fingerprint : "new");
}

static bool resume(Trainer *t, const SeamTrainRun *how, const char *key, GError **error) {
    GError *broken = NULL;
    t->shown.resumed = how->checkpoint && seam_checkpoint_load(how->checkpoint, key, &t->optimiser, &broken);
    if (broken)
        g_propagate_error(error, broken);
    return !broken;
}

// A training that is on its way has its pretraining behind it, and so has a model to go on from.
static bool pretrain(Trainer *t, const SeamPart *part, const SeamTrainRun *how, const char *key, GError **error) {
    if (t->recipe->pretrain.steps == 0 || t->shown.resumed || how->start)
        return true;
    if (!seam_pretrain(t->model, t->recipe, t->data, part, &t->run, key, how, &t->pretrained, error))
        return false;
    memcpy(t->optimiser.mean, t->model->params->data, t->model->params->size * sizeof *t->optimiser.mean);
    return true;
}

static void clear_trainer(Trainer *t) {
    seam_draw_clear(&t->draw);
    seam_narrowing_clear(&t->narrowing);
    seam_optimiser_clear(&t->optimiser);
    seam_batch_free(t->batch);
    seam_arena_clear(&t->arena);
}

SeamModel *seam_train(const SeamRecipe *recipe, const SeamConfig *config, const SeamDataset *data, const SeamPart *part, const SeamKernels *kernels,
                      const SeamTrainRun *how, GError **error) {
    Trainer t = {.recipe = recipe, .data = data, .model = how->start, .run = {.kernels = kernels}};
    g_autofree char *key = checkpoint_key(&t, part, how);
    t.run.arena = &t.arena;
    bool ok = prepare(&t, config, part, how, error) && resume(&t, how, key, error) && pretrain(&t, part, how, key, error) &&
              loop(&t, how, key, error) && round_to_half(t.model, t.optimiser.mean, kernels, error) &&
              (!recipe->train.quantise || seam_narrow(t.model, kernels, error));
    clear_trainer(&t);
    if (!ok && !how->start)
        seam_model_free(t.model);
    return ok ? t.model : NULL;
}
