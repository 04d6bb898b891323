// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Adaptation. A window's features depend on the modalities that were fused with it, so that they are kept for each subset; a weld's score then comes from the
// weld tracker, as everywhere else.
#include "core/train/adapt.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"
#include "core/train/finish.h"

// One window of one subset of one record.
typedef struct {
    int32_t record;
    uint32_t subset, present; // what was asked for of this record; what the window had
    double time;
    float classify, anomaly; // NaN: not known
} Window;

struct SeamAdapt {
    SeamAdaptOptions options;
    uint32_t subset[SEAM_MAX_SUBSETS];
    SeamFeatures features;  // of windows with everything, and with one modality alone: what memories are made of
    GArray *window;         // of Window; those of a record lie together
    GArray *feature;        // of float [windows, modalities, width]
    int32_t *first;         // [records + 1] windows
    GPtrArray *group;       // of char *, the records'
    SeamArena arena;
    // of the record that is being encoded
    uint32_t now[SEAM_MAX_SUBSETS];
    int32_t record, n_now;
    float *row;             // [modalities, width]
    SeamStatus status;
};

static const SeamConfig *config_of(const SeamAdapt *a) {
    return &a->options.model->config;
}

static int32_t windows_of(const SeamAdapt *a) {
    return (int32_t)a->window->len;
}

// ---- encoding ------------------------------------------------------------------------------------------------------------------

// What memories are fitted on: a window with all that its record has, or with one modality.
static bool for_memory(const SeamAdapt *a, uint32_t subset) {
    return subset == seam_record_present(&a->options.data->record[a->record], config_of(a)) || (subset & (subset - 1)) == 0;
}

static void take_window(void *user, int32_t i, const SeamTokens *fused, const SeamWindowResult *r) {
    SeamAdapt *a = user;
    SeamRun run = {a->options.kernels, &a->arena};
    Window w = {.record = a->record, .subset = a->now[i], .time = r->time, .anomaly = NAN, .classify = r->has_classify ? r->score : NAN};
    SeamStatus status = seam_anomaly_features(&a->options.model->task[a->features.task].anomaly, &run, fused, a->row, &w.present);
    if (status != SEAM_OK) {
        a->status = status;
        return;
    }
    g_array_append_val(a->window, w);
    g_array_append_vals(a->feature, a->row, (guint)(config_of(a)->n_modalities * a->features.width));
    if (for_memory(a, w.subset))
        seam_features_add(&a->features, a->record, w.present, a->row);
}

static void add_subset(SeamAdapt *a, uint32_t subset) {
    for (int32_t i = 0; i < a->n_now; i++)
        if (a->now[i] == subset)
            return;
    if (subset != 0 && a->n_now < SEAM_MAX_SUBSETS)
        a->now[a->n_now++] = subset;
}

// What is wanted, everything, each alone, and what a calibration needs; each once.
static void list_subsets(SeamAdapt *a, uint32_t present) {
    uint32_t calibrated[SEAM_CALIBRATED_SUBSETS];
    int32_t n = seam_calibrated_subsets(config_of(a), present, calibrated);
    a->n_now = 0;
    add_subset(a, present);
    for (int32_t m = 0; m < config_of(a)->n_modalities; m++)
        add_subset(a, present & 1u << m);
    for (int32_t i = 0; i < a->options.subsets; i++)
        add_subset(a, present & a->subset[i]);
    for (int32_t i = 0; i < n; i++)
        add_subset(a, calibrated[i]);
}

static bool encode_record(SeamAdapt *a, SeamEvaluator *e, SeamVerdict *verdict, GError **error) {
    const SeamRecord *record = &a->options.data->record[a->record];
    list_subsets(a, seam_record_present(record, config_of(a)));
    return seam_evaluate_record(e, record, a->now, a->n_now, verdict, error) && seam_status_check(a->status, record->name, error);
}

static SeamEvaluateOptions evaluate_options(const SeamAdapt *a, const SeamCalibration *calibration) {
    return (SeamEvaluateOptions){.model = a->options.model, .kernels = a->options.kernels, .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                 .frames = a->options.frames};
}

static bool encode_all(SeamAdapt *a, GError **error) {
    const SeamDataset *data = a->options.data;
    SeamCalibration *none = seam_calibration_new();
    SeamVerdict *verdict = g_new0(SeamVerdict, SEAM_MAX_SUBSETS);
    SeamEvaluateOptions options = evaluate_options(a, none);
    for (int32_t t = 0; t < config_of(a)->n_tasks; t++)
        options.tasks |= config_of(a)->task[t].kind == SEAM_TASK_CLASSIFY ? 1u << t : 0;
    options.window = take_window;
    options.user = a;
    SeamEvaluator *e = seam_evaluator_new(&options, error);
    bool ok = e != NULL;
    for (a->record = 0; ok && a->record < data->n; a->record++) {
        a->first[a->record] = windows_of(a);
        ok = !data->record[a->record].label || encode_record(a, e, verdict, error);
        if (a->options.progress)
            a->options.progress(a->options.user, a->record + 1, data->n);
    }
    a->first[data->n] = windows_of(a);
    seam_evaluator_free(e);
    seam_calibration_free(none);
    g_free(verdict);
    return ok;
}

static bool is_good(const SeamRecord *record) {
    return record->label && !record->defect;
}

static bool check_data(const SeamAdapt *a, GError **error) {
    const SeamDataset *data = a->options.data;
    int32_t good = 0;
    for (int32_t i = 0; i < data->n; i++)
        good += is_good(&data->record[i]);
    if (a->features.task < 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "the model has no task of kind \"anomaly\": only such a task can be fitted to good welds");
    else if (good == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no weld in it is labelled good; label some in manifest.csv", data->path);
    return a->features.task >= 0 && good > 0;
}

static void list_groups(SeamAdapt *a) {
    for (int32_t i = 0; i < a->options.data->n; i++)
        if (a->options.data->record[i].label && !g_ptr_array_find_with_equal_func(a->group, a->options.data->record[i].group, g_str_equal, NULL))
            g_ptr_array_add(a->group, a->options.data->record[i].group);
}

SeamAdapt *seam_adapt_new(const SeamAdaptOptions *options, GError **error) {
    SeamAdapt *a = g_new0(SeamAdapt, 1);
    a->options = *options;
    a->options.subsets = MIN(options->subsets, SEAM_MAX_SUBSETS / 4);
    memcpy(a->subset, options->subset, sizeof *a->subset * (size_t)a->options.subsets);
    a->options.subset = a->subset;
    a->window = g_array_new(FALSE, FALSE, sizeof(Window));
    a->feature = g_array_new(FALSE, FALSE, sizeof(float));
    a->first = g_new0(int32_t, options->data->n + 1);
    a->group = g_ptr_array_new();
    seam_features_open(&a->features, options->model);
    a->row = g_new0(float, (gsize)SEAM_MAX_MODALITIES * MAX(a->features.width, 1));
    bool ok = check_data(a, error);
    if (ok && !seam_arena_init(&a->arena, seam_anomaly_bytes(&options->model->task[a->features.task].anomaly, 1))) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the features of the welds");
        ok = false;
    }
    if (!ok || !encode_all(a, error)) {
        seam_adapt_free(a);
        return NULL;
    }
    list_groups(a);
    return a;
}

void seam_adapt_free(SeamAdapt *a) {
    if (!a)
        return;
    seam_features_clear(&a->features);
    seam_arena_clear(&a->arena);
    g_array_unref(a->window);
    g_array_unref(a->feature);
    g_ptr_array_unref(a->group);
    g_free(a->first);
    g_free(a->row);
    g_free(a);
}

int32_t seam_adapt_groups(const SeamAdapt *a) {
    return (int32_t)a->group->len;
}

// ---- memories and scores -------------------------------------------------------------------------------------------------------

// The anomaly of the windows of the records with use[i]: as seam_decide() has it, the mean over the modalities that could be scored.
static bool measure(SeamAdapt *a, const SeamModel *model, const bool *use, GError **error) {
    const SeamAnomaly *memory = &model->task[a->features.task].anomaly;
    size_t stride = (size_t)config_of(a)->n_modalities * a->features.width;
    SeamRun run = {a->options.kernels, &a->arena};
    SeamStatus status = SEAM_OK;
    for (int32_t i = 0; i < windows_of(a) && status == SEAM_OK; i++) {
        Window *w = &g_array_index(a->window, Window, i);
        uint32_t scored = w->present;
        float distance[SEAM_MAX_MODALITIES];
        double sum = 0;
        if (!use[w->record])
            continue;
        seam_arena_release(&a->arena, 0);
        status = seam_anomaly_score(memory, &run, 1, &g_array_index(a->feature, float, (size_t)i * stride), distance, &scored);
        for (int32_t m = 0; m < config_of(a)->n_modalities; m++)
            sum += scored >> m & 1 ? distance[m] : 0;
        w->anomaly = scored && status == SEAM_OK ? (float)(sum / __builtin_popcount(scored)) : NAN;
    }
    return seam_status_check(status, "distances to good windows", error);
}

bool seam_adapt_measure(SeamAdapt *a, const SeamModel *model, GError **error) {
    g_autofree bool *use = g_new(bool, a->options.data->n + 1);
    memset(use, true, (size_t)a->options.data->n);
    return measure(a, model, use, error);
}

// Fits the memory on the good welds of all groups but one (NULL: of all).
static bool fit_without(SeamAdapt *a, SeamModel *model, const char *group, uint64_t seed, GError **error) {
    const SeamDataset *data = a->options.data;
    g_autofree bool *good = g_new0(bool, data->n + 1), *in = g_new0(bool, data->n + 1), *held = g_new0(bool, data->n + 1);
    for (int32_t i = 0; i < data->n; i++)
        good[i] = is_good(&data->record[i]) && (!group || strcmp(data->record[i].group, group) != 0);
    seam_memory_halves(data, good, in, held);
    return seam_memory_fit(model, &a->features, in, held, a->options.kernels, seed, error);
}

bool seam_adapt_fit(SeamAdapt *a, SeamModel *model, uint64_t seed, GError **error) {
    if (!fit_without(a, model, NULL, seed, error))
        return false;
    if (seam_anomaly_ready(&model->task[a->features.task].anomaly))
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: too few good windows to fit a memory; give more good welds, or longer ones", a->options.data->path);
    return false;
}

bool seam_adapt_leave_out(SeamAdapt *a, SeamModel *model, uint64_t seed, GError **error) {
    const SeamDataset *data = a->options.data;
    g_autofree bool *of_group = g_new0(bool, data->n + 1);
    bool ok = true;
    for (guint g = 0; ok && g < a->group->len; g++) {
        const char *group = a->group->pdata[g];
        for (int32_t i = 0; i < data->n; i++)
            of_group[i] = strcmp(data->record[i].group, group) == 0;
        ok = fit_without(a, model, group, seed, error) && measure(a, model, of_group, error);
    }
    return ok;
}

// One weld's score; calibration says by what.
static float weld_score(const SeamAdapt *a, int32_t record, uint32_t subset, const SeamCalibration *calibration, SeamVerdict *verdict) {
    const SeamRecord *r = &a->options.data->record[record];
    SeamEvaluateOptions options = evaluate_options(a, calibration);
    g_autofree SeamWindowResult *result = g_new0(SeamWindowResult, 1);
    SeamWeldTracker *t = seam_evaluate_tracker(&options, r);
    double end = r->arc_end;
    result->duration = config_of(a)->window;
    for (int32_t i = a->first[record]; i < a->first[record + 1]; i++) {
        const Window *w = &g_array_index(a->window, Window, i);
        if (w->subset != subset)
            continue;
        result->time = w->time;
        result->present = w->present;
        result->score = w->classify;
        result->anomaly = w->anomaly;
        result->has_classify = !isnan(w->classify);
        result->has_anomaly = !isnan(w->anomaly);
        seam_weld_tracker_window(t, result);
        end = fmax(end, w->time + result->duration);
    }
    seam_evaluate_close(t, end, verdict);
    return verdict->windows > 0 ? verdict->score : NAN;
}

void seam_adapt_scores(const SeamAdapt *a, uint32_t subset, bool anomaly, float *score) {
    const SeamDataset *data = a->options.data;
    SeamCalibration *calibration = seam_calibration_new();
    SeamVerdict *verdict = g_new0(SeamVerdict, 1);
    calibration->score_is_anomaly = anomaly;
    for (int32_t i = 0; i < data->n; i++) {
        uint32_t use = seam_record_present(&data->record[i], config_of(a)) & subset;
        score[i] = data->record[i].label && use ? weld_score(a, i, use, calibration, verdict) : NAN;
    }
    seam_calibration_free(calibration);
    g_free(verdict);
}

bool seam_adapt_calibrate(const SeamAdapt *a, SeamCalibration *c, GError **error) {
    const SeamDataset *data = a->options.data;
    SeamCalibration *plain = seam_calibration_new();
    SeamVerdict *verdict = g_new0(SeamVerdict, 1);
    bool ok = true;
    c->score_is_anomaly = plain->score_is_anomaly = true;
    plain->top_fraction = c->top_fraction;
    for (int32_t i = 0; ok && i < data->n; i++) {
        uint32_t subset[SEAM_CALIBRATED_SUBSETS];
        int32_t n = data->record[i].label ? seam_calibrated_subsets(config_of(a), seam_record_present(&data->record[i], config_of(a)), subset) : 0;
        for (int32_t k = 0; ok && k < n; k++) {
            float score = weld_score(a, i, subset[k], plain, verdict);
            ok = isnan(score) || seam_calibration_add(c, config_of(a), verdict->present, data->record[i].defect, score, error);
        }
    }
    seam_calibration_free(plain);
    g_free(verdict);
    return ok;
}

// ---- heads ---------------------------------------------------------------------------------------------------------------------

// A model with gradients and the same parameters; its anomaly memory is empty.
static SeamModel *copy_for_training(const SeamModel *model, GError **error) {
    SeamModel *copy = seam_model_new(&model->config, true, 1, error);
    if (copy)
        memcpy(copy->params->data, model->params->data, copy->params->size * sizeof *copy->params->data);
    return copy;
}

// Heads have few parameters and see few welds: short, with the rates that suit an adapter.
static SeamRecipe *heads_recipe(const SeamConfig *config, int64_t steps, uint64_t seed, GError **error) {
    g_autofree char *printed = seam_config_print(config);
    g_autofree char *text = g_strdup_printf("{\"name\": \"adapt\", \"config\": %s, \"train\": {\"steps\": %" G_GINT64_FORMAT
                                            ", \"batch\": 8, \"lr\": 0.0005, \"warmup\": %" G_GINT64_FORMAT ", \"weight_decay\": 0.01}}",
                                            printed, steps, steps / 10);
    SeamRecipe *recipe = seam_recipe_parse(text, "adapt", error);
    if (recipe)
        recipe->train.seed = seed;
    return recipe;
}

SeamModel *seam_adapt_heads(const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const SeamPart *part, int64_t steps, uint64_t seed,
                            void (*progress)(void *user, const SeamTrainProgress *progress), void *user, GError **error) {
    SeamRecipe *recipe = heads_recipe(&model->config, steps, seed, error);
    SeamModel *copy = recipe ? copy_for_training(model, error) : NULL;
    SeamTrainRun how = {.only = "tasks.", .start = copy, .progress = progress, .user = user};
    SeamModel *trained = copy ? seam_train(recipe, &model->config, data, part, kernels, &how, error) : NULL;
    if (!trained)
        seam_model_free(copy);
    seam_recipe_free(recipe);
    return trained;
}
