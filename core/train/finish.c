// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Finishing a model. What calibrates it was never trained on by what judges it, and the validation part is only measured; the memory comes from good welds of the training part, its
// scale from good ones of the validation part.
#include "core/train/finish.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/card.h"
#include "core/error.h"
#include "core/train/split.h"
#include "core/train/thrift.h"
#include "core/train/trainer.h"

// ---- calibration ---------------------------------------------------------------------------------------------------------------

// All sets of modalities that do not come now and then, the empty one last (for the sparse ones alone). With more than four only the whole, the whole less one,
// and each alone: a calibration holds a few sets.
static int32_t list_sets(const SeamConfig *config, uint32_t *set) {
    uint32_t steady = 0;
    int32_t n = 0;
    for (int32_t m = 0; m < config->n_modalities; m++)
        steady |= config->modality[m].sparse ? 0 : 1u << m;
    int32_t all = __builtin_popcount(steady);
    for (uint32_t s = steady; s > 0; s = (s - 1) & steady) {
        int32_t count = __builtin_popcount(s);
        if (all <= 4 || count == 1 || count >= all - 1)
            set[n++] = s;
    }
    set[n++] = 0;
    return n;
}

int32_t seam_calibrated_subsets(const SeamConfig *config, uint32_t present, uint32_t *subset) {
    uint32_t set[1 << SEAM_MAX_MODALITIES], sparse = 0;
    int32_t all = list_sets(config, set), n = 0;
    for (int32_t m = 0; m < config->n_modalities; m++)
        sparse |= config->modality[m].sparse ? 1u << m : 0;
    for (int32_t i = 0; i < all && n < SEAM_CALIBRATED_SUBSETS; i++)
        if ((set[i] & present) == set[i] && ((set[i] | sparse) & present) != 0)
            subset[n++] = (set[i] | sparse) & present;
    return n;
}

// What scores are measured with before there are thresholds: the calibration's kind of score, its share of windows and its effort count.
static SeamCalibration *new_plain(const SeamCalibration *c) {
    SeamCalibration *plain = seam_calibration_new();
    plain->score_is_anomaly = c->score_is_anomaly;
    plain->top_fraction = c->top_fraction;
    plain->effort = c->effort;
    return plain;
}

static bool has_effort(const SeamCalibration *c) {
    return seam_calibration_effort(c, c->effort) == SEAM_EFFORT_CALIBRATED;
}

static bool calibrate_record(SeamCalibration *c, SeamEvaluator *e, const SeamConfig *config, const SeamRecord *record, bool at_effort, SeamVerdict *verdict,
                             GError **error) {
    uint32_t subset[SEAM_CALIBRATED_SUBSETS];
    int32_t n = seam_calibrated_subsets(config, seam_record_present(record, config), subset);
    if (!seam_evaluate_record(e, record, subset, n, verdict, error))
        return false;
    for (int32_t i = 0; i < n; i++)
        if (verdict[i].windows > 0 && isfinite(verdict[i].score) &&
            !seam_calibration_add(c, config, verdict[i].present, at_effort, record->defect, verdict[i].score, error))
            return false;
    return true;
}

static bool calibrate_at(SeamCalibration *c, const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const bool *use, int32_t frames,
                         bool at_effort, GError **error) {
    SeamCalibration *plain = new_plain(c);
    SeamVerdict *verdict = g_new0(SeamVerdict, SEAM_CALIBRATED_SUBSETS);
    SeamEvaluateOptions options = {.model = model, .kernels = kernels, .calibration = plain, .weld = SEAM_WELD_OPTIONS_DEFAULT, .frames = frames,
                                   .tasks = UINT32_MAX};
    if (at_effort)
        options.effort = c->effort;
    SeamEvaluator *e = seam_evaluator_new(&options, error);
    bool ok = e != NULL;
    for (int32_t i = 0; ok && i < data->n; i++)
        if (use[i] && data->record[i].label)
            ok = calibrate_record(c, e, &model->config, &data->record[i], at_effort, verdict, error);
    seam_evaluator_free(e);
    seam_calibration_free(plain);
    g_free(verdict);
    return ok;
}

bool seam_calibrate(SeamCalibration *c, const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const bool *use, int32_t frames,
                    GError **error) {
    return calibrate_at(c, model, kernels, data, use, frames, false, error) &&
           (!has_effort(c) || calibrate_at(c, model, kernels, data, use, frames, true, error));
}

static const double effort_risk = 0.1; // that more windows are lost than was promised

// What may be left out, on the windows of validation: those of calibration hold the thresholds, which are made at this effort, too.
static bool calibrate_effort(SeamCalibration *c, const SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part,
                             const SeamKernels *kernels, GError **error) {
    g_autofree bool *use = g_new0(bool, data->n + 1);
    SeamThrift thrift;
    if (recipe->effort_loss == 0)
        return true;
    for (int32_t i = 0; i < data->n; i++)
        use[i] = part[i] == SEAM_PART_VALIDATION;
    if (!seam_thrift_calibrate(model, kernels, data, use, recipe->train.eval_frames, recipe->effort_loss, effort_risk, &thrift, error))
        return false;
    c->effort = thrift.effort;
    c->effort_loss = (float)recipe->effort_loss;
    return true;
}

// Held-back lives, each thing's cuts a group, judged with all there is: how far outside the model's own quantiles the truth lies.
static bool calibrate_lives_at(const SeamCalibration *c, const SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part,
                               const SeamKernels *kernels, SeamEffort effort, float *margin, GError **error) {
    g_autofree double *score = g_new(double, data->n + 1);
    g_autofree int32_t *group = g_new(int32_t, data->n + 1);
    g_autofree SeamVerdict *verdict = g_new0(SeamVerdict, 1);
    g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);
    SeamCalibration *plain = new_plain(c);
    plain->rul_margin = plain->effort_rul_margin = 0; // the quantiles as they are
    SeamEvaluateOptions options = {.model = model, .kernels = kernels, .calibration = plain, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .frames = recipe->train.eval_frames, .effort = effort, .tasks = UINT32_MAX};
    SeamEvaluator *e = seam_evaluator_new(&options, error);
    int32_t n = 0;
    bool ok = e != NULL;
    for (int32_t i = 0; ok && i < data->n; i++) {
        const SeamRecord *r = &data->record[i];
        SeamLife life;
        if (part[i] != SEAM_PART_CALIBRATION || !r->has_remaining || r->use == SEAM_USE_TRAINING)
            continue;
        ok = seam_evaluate_record(e, r, &(uint32_t){UINT32_MAX}, 1, verdict, error);
        if (!ok || verdict->windows == 0 || !seam_evaluate_life(&model->config, r, verdict, &life) || isnan(life.low))
            continue;
        if (!g_hash_table_contains(groups, r->group))
            g_hash_table_insert(groups, r->group, GUINT_TO_POINTER(g_hash_table_size(groups)));
        group[n] = (int32_t)GPOINTER_TO_UINT(g_hash_table_lookup(groups, r->group));
        score[n++] = fmax(life.low - life.truth, life.truth - life.high);
    }
    if (ok)
        *margin = seam_conformal_margin(n, score, group, (int32_t)g_hash_table_size(groups), SEAM_RUL_LEVEL);
    seam_evaluator_free(e);
    seam_calibration_free(plain);
    return ok;
}

static bool calibrate_lives(SeamCalibration *c, const SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part,
                            const SeamKernels *kernels, GError **error) {
    return calibrate_lives_at(c, model, recipe, data, part, kernels, (SeamEffort){0}, &c->rul_margin, error) &&
           (!has_effort(c) || calibrate_lives_at(c, model, recipe, data, part, kernels, c->effort, &c->effort_rul_margin, error));
}

// ---- writing -------------------------------------------------------------------------------------------------------------------

bool seam_bundle_write_model(const char *path, const SeamModel *model, JsonObject *meta, GError **error) {
    SeamNamedArray extra[SEAM_ANOMALY_EXPORTS * SEAM_MAX_MODALITIES];
    if (!seam_bundle_write(path, &model->config, model->params, true, meta, error))
        return false;
    SeamBundle *bundle = seam_bundle_open(path, false, error);
    bool ok = bundle != NULL;
    for (int32_t t = 0; ok && t < model->config.n_tasks; t++) {
        const SeamTask *task = &model->config.task[t];
        g_autofree char *name = g_strconcat(task->name, ".safetensors", NULL);
        g_autofree char *file = g_build_filename(path, "adapters", name, NULL);
        if (!seam_model_task_ready(model, t))
            g_unlink(file); // its parameters were never loaded nor trained
        if (task->kind != SEAM_TASK_ANOMALY || !seam_model_task_ready(model, t))
            continue;
        int32_t n = seam_anomaly_export(&model->task[t].anomaly, extra);
        ok = seam_bundle_write_adapter(file, task->name, bundle->fingerprint, model->params, true, extra, n, NULL, error);
    }
    seam_bundle_free(bundle);
    return ok;
}

static JsonObject *provenance(const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part, const char *command) {
    int32_t count[SEAM_PARTS] = {0};
    JsonObject *o = json_object_new();
    for (int32_t i = 0; i < data->n; i++)
        count[part[i]] += data->record[i].use == SEAM_USE_ALL || (data->record[i].use == SEAM_USE_TRAINING) == (part[i] == SEAM_PART_TRAIN);
    json_object_set_string_member(o, "recipe", recipe->name);
    json_object_set_string_member(o, "recipe_hash", recipe->hash);
    json_object_set_int_member(o, "seed", (gint64)recipe->train.seed);
    json_object_set_int_member(o, "steps", recipe->train.steps);
    json_object_set_string_member(o, "data", data->path);
    json_object_set_string_member(o, "data_kind", seam_data_kind_name(data->kind));
    json_object_set_int_member(o, "trained_on", count[SEAM_PART_TRAIN]);
    json_object_set_int_member(o, "validated_on", count[SEAM_PART_VALIDATION]);
    json_object_set_int_member(o, "calibrated_on", count[SEAM_PART_CALIBRATION]);
    if (count[SEAM_PART_HELD] > 0)
        json_object_set_int_member(o, "held", count[SEAM_PART_HELD]);
    json_object_set_string_member(o, "command", command ? command : "");
    json_object_set_string_member(o, "version", SEAM_VERSION);
    return o;
}

// ---- all of it -----------------------------------------------------------------------------------------------------------------

static bool fit_memory(SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part, const SeamKernels *kernels,
                       GError **error) {
    SeamFeatures features;
    bool *good = g_new0(bool, data->n + 1), *in = g_new0(bool, data->n + 1), *held = g_new0(bool, data->n + 1);
    int32_t n_held = 0;
    for (int32_t i = 0; i < data->n; i++) {
        const SeamRecord *r = &data->record[i];
        good[i] = r->label && !r->defect && (part[i] == SEAM_PART_TRAIN || part[i] == SEAM_PART_VALIDATION);
        in[i] = good[i] && part[i] == SEAM_PART_TRAIN;
        held[i] = good[i] && part[i] == SEAM_PART_VALIDATION;
        n_held += held[i];
    }
    if (n_held == 0)
        seam_memory_halves(data, good, in, held);
    bool ok = seam_features_gather(&features, model, kernels, data, good, recipe->train.eval_frames, error) &&
              seam_memory_fit(model, &features, in, held, kernels, recipe->train.seed, error) &&
              seam_memory_fit_patches(model, &features, in, held, kernels, recipe->train.seed, error);
    seam_features_clear(&features);
    g_free(good);
    g_free(in);
    g_free(held);
    return ok;
}

static bool calibrate_part(SeamCalibration *c, const SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part,
                           const SeamKernels *kernels, GError **error) {
    bool *use = g_new0(bool, data->n + 1);
    for (int32_t i = 0; i < data->n; i++)
        use[i] = part[i] == SEAM_PART_CALIBRATION;
    bool ok = seam_calibrate(c, model, kernels, data, use, recipe->train.eval_frames, error);
    g_free(use);
    return ok;
}

// Cross-conformal (Vovk 2015, "Cross-conformal predictors", sec. 2): the training part is dealt into folds by group, and each fold is scored by a model that was trained
// without it, as the model itself was trained. So every record calibrates and every record teaches; the price is a training a fold.
static bool cross_calibrate(SeamCalibration *c, const SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part,
                            const SeamKernels *kernels, GError **error) {
    const SeamTrainRun plain = {0};
    g_autofree SeamPart *own = g_new(SeamPart, data->n + 1);
    g_autofree int32_t *fold = g_new(int32_t, data->n + 1);
    for (int32_t i = 0; i < data->n; i++)
        own[i] = part[i] == SEAM_PART_TRAIN ? SEAM_PART_TRAIN : SEAM_PART_HELD;
    int32_t folds = seam_split_folds(data, recipe->calibration_folds, recipe->train.seed, own, fold);
    bool ok = true;
    for (int32_t k = 0; ok && folds > 1 && k < folds; k++) {
        SeamConfig config = model->config;
        for (int32_t i = 0; i < data->n; i++)
            own[i] = part[i] == SEAM_PART_TRAIN && fold[i] == k ? SEAM_PART_CALIBRATION : part[i];
        seam_train_measure(&config, recipe->given_mean, data, own);
        SeamModel *without = seam_train(recipe, &config, data, own, kernels, &plain, error);
        ok = without && fit_memory(without, recipe, data, own, kernels, error) && calibrate_part(c, without, recipe, data, own, kernels, error);
        seam_model_free(without);
    }
    return ok;
}

// The effort first: what is calibrated then is calibrated for it as well.
bool seam_recalibrate(SeamCalibration *c, const SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part,
                      const SeamKernels *kernels, GError **error) {
    return calibrate_effort(c, model, recipe, data, part, kernels, error) && calibrate_part(c, model, recipe, data, part, kernels, error) &&
           calibrate_lives(c, model, recipe, data, part, kernels, error);
}

// Welds are judged by the classes where there are some, else by how far they are from good ones.
static bool judges_by_anomaly(const SeamConfig *config) {
    bool anomaly = false;
    for (int32_t t = 0; t < config->n_tasks; t++) {
        if (config->task[t].kind == SEAM_TASK_CLASSIFY)
            return false;
        anomaly |= config->task[t].kind == SEAM_TASK_ANOMALY;
    }
    return anomaly;
}

bool seam_train_finish(SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part, const SeamKernels *kernels,
                       const char *command, const char *path, SeamEvaluation *validation, GError **error) {
    SeamCalibration *calibration = seam_calibration_new();
    SeamWeldOptions weld = SEAM_WELD_OPTIONS_DEFAULT;
    calibration->top_fraction = (float)recipe->top_fraction;
    weld.false_reject = recipe->false_reject;
    weld.miss = recipe->miss;
    SeamEvaluateOptions options = {.model = model, .kernels = kernels, .calibration = calibration, .weld = weld, .frames = recipe->train.eval_frames,
                                   .tasks = UINT32_MAX};
    SeamEvaluateWhat what = {.part = part, .which = SEAM_PART_VALIDATION, .only = UINT32_MAX, .recall = 0.99, .draws = SEAM_BOOTSTRAP_DRAWS};
    JsonObject *meta = json_object_new();
    calibration->score_is_anomaly = judges_by_anomaly(&model->config);
    bool ok = fit_memory(model, recipe, data, part, kernels, error) && seam_recalibrate(calibration, model, recipe, data, part, kernels, error) &&
              (recipe->calibration_folds == 0 || cross_calibrate(calibration, model, recipe, data, part, kernels, error));
    options.effort = calibration->effort; // as the elements will run
    ok = ok && seam_evaluate(&options, data, &what, validation, error);
    if (ok) {
        json_object_set_string_member(meta, "name", recipe->name);
        json_object_set_object_member(meta, "calibration", seam_calibration_print(calibration, &model->config));
        json_object_set_object_member(meta, "provenance", provenance(recipe, data, part, command));
        json_object_set_object_member(meta, "metrics", seam_evaluation_print(validation, &model->config));
        json_object_set_object_member(meta, "card", seam_card_new(recipe->card, json_object_get_object_member(meta, "provenance"),
                                                                  json_object_get_object_member(meta, "metrics"), "the validation part"));
        ok = seam_bundle_write_model(path, model, meta, error);
    }
    json_object_unref(meta);
    seam_calibration_free(calibration);
    return ok;
}
