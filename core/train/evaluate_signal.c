// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A second pass over the windows, with holes in them: nothing else is measured on these.
#include "core/train/evaluate_signal.h"

#include <math.h>

#include "core/train/ahead.h"
#include "core/train/hide.h"

static const uint64_t hiding_seed = 1;

typedef struct {
    const SeamConfig *config;
    const SeamRecord *record;
    uint32_t tasks;
    SeamBatch *batch; // the evaluator's, of one window
    SeamSignalFunc func;
    void *user;
} Judge;

static uint32_t signal_tasks(const SeamModel *model, uint32_t tasks) {
    uint32_t found = 0;
    for (int32_t t = 0; t < model->config.n_tasks; t++)
        if (tasks >> t & 1 && model->config.task[t].kind == SEAM_TASK_GENERATE && model->config.task[t].what == SEAM_GENERATE_SIGNAL &&
            seam_model_task_ready(model, t))
            found |= 1u << t;
    return found;
}

static void hide(void *user, SeamBatch *batch) {
    Judge *j = user;
    SeamRandom random = seam_random(hiding_seed, seam_random_hash(j->record->name) + (uint64_t)llrint(batch->time[0] / j->config->window));
    j->batch = batch;
    for (int32_t t = 0; t < j->config->n_tasks; t++)
        if (j->tasks >> t & 1)
            seam_hide_stretches(batch, seam_config_modality(j->config, j->config->task[t].of), j->config->task[t].mask, &random);
}

// What is left of the sensor, in units of the spread.
static void left_levels(const SeamConfig *config, int32_t m, const SeamBatchPart *p, float *level) {
    const SeamModality *modality = &config->modality[m];
    int32_t stretches = seam_modality_stretches(config, m), channels = modality->channels, patch = modality->sensor.patch;
    for (int32_t s = 0; s < stretches; s++)
        seam_ahead_level(channels, patch, p->x + (size_t)s * patch * channels, level + s * channels);
    for (int32_t i = 0; i < stretches * channels; i++)
        level[i] = (level[i] - modality->mean[i % channels]) / modality->std[i % channels];
}

static const SeamFilled *find(const SeamWindowResult *r, int32_t m, double seconds, const SeamSignalQuery *q) {
    for (int32_t i = 0; i < r->n_filled; i++)
        if (r->filled[i].modality == m && r->filled[i].channel == q->channel && (int32_t)(r->filled[i].t / seconds) == q->stretch)
            return &r->filled[i];
    return NULL;
}

static void compare(Judge *j, int32_t m, const SeamWindowResult *r) {
    const SeamModality *modality = &j->config->modality[m];
    const SeamBatchPart *p = &j->batch->part[m];
    int32_t stretches = seam_modality_stretches(j->config, m), channels = modality->channels;
    float level[SEAM_MAX_FILLED];
    left_levels(j->config, m, p, level);
    for (guint i = 0; i < p->hidden->len; i++) {
        const SeamSignalQuery *q = &g_array_index(p->hidden, SeamSignalQuery, i);
        const SeamFilled *told = find(r, m, modality->sensor.patch / modality->sensor.rate, q);
        double mean = modality->mean[q->channel], std = modality->std[q->channel];
        if (!told)
            continue;
        SeamSignalTold one = {.line = seam_signal_line(level + q->channel, stretches, channels, q->stretch),
                              .mean = seam_signal_mean(level + q->channel, stretches, channels),
                              .truth = (g_array_index(p->hidden_level, float, i) - mean) / std};
        for (int32_t k = 0; k < SEAM_FORECAST_QUANTILES; k++)
            one.quantile[k] = (told->level[k] - mean) / std;
        j->func(j->user, &one);
    }
}

static void take_window(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    Judge *j = user;
    for (int32_t t = 0; t < j->config->n_tasks; t++)
        if (j->tasks >> t & 1)
            compare(j, seam_config_modality(j->config, j->config->task[t].of), r);
}

bool seam_evaluate_signals(const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, SeamSignalFunc func, void *user,
                           GError **error) {
    Judge judge = {.config = &options->model->config, .tasks = signal_tasks(options->model, options->tasks), .func = func, .user = user};
    SeamEvaluateOptions hidden = *options;
    if (judge.tasks == 0)
        return true;
    hidden.tasks = judge.tasks;
    hidden.window = take_window;
    hidden.change = hide;
    hidden.user = &judge;
    SeamEvaluator *e = seam_evaluator_new(&hidden, error);
    bool ok = e != NULL;
    for (int32_t i = 0; ok && i < data->n; i++) {
        int64_t first, end;
        judge.record = &data->record[i];
        seam_evaluate_span(judge.config, judge.record, &first, &end);
        for (int64_t k = first; ok && k < end && seam_evaluate_wants(what, data, i); k++)
            ok = seam_evaluate_window(e, judge.record, (double)k * judge.config->window, &what->only, 1, error);
    }
    seam_evaluator_free(e);
    return ok;
}

void seam_evaluate_signals_print(const SeamSignalSums *sums, JsonObject *o) {
    if (sums->told.n == 0)
        return;
    json_object_set_double_member(o, "signal_pinball", seam_forecast_mean_pinball(&sums->told));
    json_object_set_double_member(o, "signal_coverage", seam_forecast_coverage(&sums->told));
    json_object_set_double_member(o, "signal_rmse", seam_signal_rmse(sums, sums->squares));
    json_object_set_double_member(o, "signal_rmse_line", seam_signal_rmse(sums, sums->squares_line));
    json_object_set_double_member(o, "signal_rmse_mean", seam_signal_rmse(sums, sums->squares_mean));
}
