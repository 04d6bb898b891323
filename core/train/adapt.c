// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Adaptation. A window's features depend on the modalities that were fused with it, so that they are kept for each subset; a weld's score then comes
// from the weld tracker, as everywhere else.
#include "core/train/adapt.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"
#include "core/pack.h"
#include "core/train/finish.h"

enum { MOST_FOLDS = 16 };

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
    SeamFeatures features; // of windows with everything, and with one modality alone: what memories are made of
    GArray *window;        // of Window; those of a record lie together
    GArray *feature;       // of float [windows, modalities, width]
    int32_t *first;        // [records + 1] windows
    int32_t groups, folds;
    int32_t *fold; // [records] which fold a record's group is in; -1: not labelled
    SeamArena arena;
    // of the record that is being encoded
    uint32_t now[SEAM_MAX_SUBSETS];
    int32_t record, n_now;
    float *row; // [modalities, width]
    SeamStatus status;
};

static const SeamConfig *config_of(const SeamAdapt *a) {
    return &a->options.model->config;
}

static int32_t windows_of(const SeamAdapt *a) {
    return (int32_t)a->window->len;
}

static const float *features_of(const SeamAdapt *a, int32_t window) {
    return &g_array_index(a->feature, float, (size_t)window *config_of(a)->n_modalities * a->features.width);
}

// ---- encoding ------------------------------------------------------------------------------------------------------------------

static bool is_good(const SeamRecord *record) {
    return record->label && !record->defect;
}

// What memories are fitted on: a window with all that its record has, or with one modality.
static bool for_memory(const SeamAdapt *a, int32_t record, uint32_t subset) {
    return subset == seam_record_present(&a->options.data->record[record], config_of(a)) || (subset & (subset - 1)) == 0;
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
    if (!for_memory(a, a->record, w.subset))
        return;
    seam_features_add(&a->features, a->record, w.present, a->row);
    if (is_good(&a->options.data->record[a->record]))
        seam_features_add_patches(&a->features, a->record, fused);
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
    return (SeamEvaluateOptions){.model = a->options.model,
                                 .kernels = a->options.kernels,
                                 .calibration = calibration,
                                 .weld = SEAM_WELD_OPTIONS_DEFAULT,
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

// A fold is a group, or several when there are many: the time to leave each out in turn, and each out of these, is bounded.
static void deal_folds(SeamAdapt *a) {
    const SeamDataset *data = a->options.data;
    g_autoptr(GHashTable) number = g_hash_table_new(g_str_hash, g_str_equal);
    for (int32_t i = 0; i < data->n; i++)
        if (data->record[i].label && !g_hash_table_contains(number, data->record[i].group))
            g_hash_table_insert(number, data->record[i].group, GINT_TO_POINTER(a->groups++));
    a->folds = MIN(a->groups, MOST_FOLDS);
    for (int32_t i = 0; i < data->n; i++)
        a->fold[i] = data->record[i].label ? GPOINTER_TO_INT(g_hash_table_lookup(number, data->record[i].group)) % a->folds : -1;
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
    a->fold = g_new0(int32_t, options->data->n + 1);
    seam_features_open(&a->features, options->model);
    a->row = g_new0(float, (gsize)SEAM_MAX_MODALITIES *MAX(a->features.width, 1));
    bool ok = check_data(a, error);
    if (ok && !seam_arena_init(&a->arena, seam_anomaly_bytes(&options->model->task[a->features.task].anomaly, 1))) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the features of the welds");
        ok = false;
    }
    if (!ok || !encode_all(a, error)) {
        seam_adapt_free(a);
        return NULL;
    }
    deal_folds(a);
    return a;
}

void seam_adapt_free(SeamAdapt *a) {
    if (!a)
        return;
    seam_features_clear(&a->features);
    seam_arena_clear(&a->arena);
    g_array_unref(a->window);
    g_array_unref(a->feature);
    g_free(a->fold);
    g_free(a->first);
    g_free(a->row);
    g_free(a);
}

int32_t seam_adapt_groups(const SeamAdapt *a) {
    return a->groups;
}

// ---- memories and scores -------------------------------------------------------------------------------------------------------

// The anomaly of the windows of the records with use[i]: as seam_decide() has it, the mean over the modalities that could be scored.
static bool measure(SeamAdapt *a, const SeamModel *model, const bool *use, GError **error) {
    const SeamAnomaly *memory = &model->task[a->features.task].anomaly;
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
        status = seam_anomaly_score(memory, &run, 1, features_of(a, i), distance, &scored);
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

// good [records]: the good ones of all folds but these two (-1: none).
static int32_t good_without(const SeamAdapt *a, int32_t fold, int32_t other, bool *good) {
    int32_t n = 0;
    for (int32_t i = 0; i < a->options.data->n; i++) {
        good[i] = is_good(&a->options.data->record[i]) && a->fold[i] != fold && a->fold[i] != other;
        n += good[i];
    }
    return n;
}

// Of the distances of one modality, before they are scaled.
typedef struct {
    double n, sum, squares;
} Moments;

static void add_moments(const SeamAnomaly *memory, uint32_t scored, const float *distance, Moments *moments) {
    for (int32_t m = 0; m < memory->modalities; m++)
        if (scored >> m & 1) {
            double d = (double)distance[m] * memory->memory[m].calibration[1] + memory->memory[m].calibration[0];
            moments[m].n++;
            moments[m].sum += d;
            moments[m].squares += d * d;
        }
}

// Adds the distances of the good windows of a fold.
static bool add_fold(SeamAdapt *a, const SeamAnomaly *memory, int32_t fold, Moments *moments, GError **error) {
    SeamRun run = {a->options.kernels, &a->arena};
    SeamStatus status = SEAM_OK;
    for (int32_t i = 0; i < windows_of(a) && status == SEAM_OK; i++) {
        const Window *w = &g_array_index(a->window, Window, i);
        uint32_t scored = w->present;
        float distance[SEAM_MAX_MODALITIES];
        if (a->fold[w->record] != fold || !is_good(&a->options.data->record[w->record]) || !for_memory(a, w->record, w->subset))
            continue;
        seam_arena_release(&a->arena, 0);
        status = seam_anomaly_score(memory, &run, 1, features_of(a, i), distance, &scored);
        if (status == SEAM_OK)
            add_moments(memory, scored, distance, moments);
    }
    return seam_status_check(status, "distances to good windows", error);
}

// The scale of distances: from the good windows of each fold to a memory of the others, since a memory will judge welds of groups that it does not
// hold.
static bool measure_scale(SeamAdapt *a, SeamModel *model, int32_t fold, uint64_t seed, Moments *moments, GError **error) {
    g_autofree bool *rest = g_new(bool, a->options.data->n + 1);
    bool ok = true;
    for (int32_t other = 0; ok && other < a->folds; other++)
        if (other != fold && good_without(a, fold, other, rest) > 0)
            ok = seam_memory_fit(model, &a->features, rest, rest, a->options.kernels, seed, error) &&
                 add_fold(a, &model->task[a->features.task].anomaly, other, moments, error);
    return ok;
}

// A modality that only one fold has cannot be scaled beside the others and is not scored.
static void set_scale(SeamAnomaly *a, const Moments *moments) {
    for (int32_t m = 0; m < a->modalities; m++) {
        double mean = moments[m].n > 0 ? moments[m].sum / moments[m].n : 0,
               variance = moments[m].n > 0 ? moments[m].squares / moments[m].n - mean * mean : 0;
        if (moments[m].n < 2)
            a->memory[m].n = 0;
        if (a->memory[m].n == 0)
            continue;
        a->memory[m].calibration[0] = (float)mean;
        a->memory[m].calibration[1] = (float)fmax(sqrt(fmax(variance, 0)), fmax(0.01 * mean, 1e-6)); // as in core/layers/anomaly.c
    }
}

// Fits the memory on the good welds of all folds but one (-1: of all). With good welds in a single fold, a part of them sets the scale.
static bool fit_without(SeamAdapt *a, SeamModel *model, int32_t fold, uint64_t seed, GError **error) {
    const SeamDataset *data = a->options.data;
    Moments moments[SEAM_MAX_MODALITIES] = {0};
    double measured = 0;
    g_autofree bool *good = g_new(bool, data->n + 1), *in = g_new0(bool, data->n + 1), *held = g_new0(bool, data->n + 1);
    good_without(a, fold, -1, good);
    seam_memory_halves(data, good, in, held);
    if (!measure_scale(a, model, fold, seed, moments, error))
        return false;
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        measured += moments[m].n;
    bool own = measured == 0;
    if (!seam_memory_fit(model, &a->features, own ? in : good, own ? held : good, a->options.kernels, seed, error))
        return false;
    if (!own)
        set_scale(&model->task[a->features.task].anomaly, moments);
    return true;
}

// The patches say where and not whether: no fold is left out for them, a part of the good welds sets their scale.
static bool fit_patches(SeamAdapt *a, SeamModel *model, uint64_t seed, GError **error) {
    const SeamDataset *data = a->options.data;
    g_autofree bool *good = g_new(bool, data->n + 1), *in = g_new0(bool, data->n + 1), *held = g_new0(bool, data->n + 1);
    good_without(a, -1, -1, good);
    seam_memory_halves(data, good, in, held);
    return seam_memory_fit_patches(model, &a->features, in, held, a->options.kernels, seed, error);
}

bool seam_adapt_fit(SeamAdapt *a, SeamModel *model, uint64_t seed, GError **error) {
    if (!fit_without(a, model, -1, seed, error) || !fit_patches(a, model, seed, error))
        return false;
    if (seam_anomaly_ready(&model->task[a->features.task].anomaly))
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: too few good windows to fit a memory; give more good welds, or longer ones",
                a->options.data->path);
    return false;
}

bool seam_adapt_leave_out(SeamAdapt *a, SeamModel *model, uint64_t seed, GError **error) {
    const SeamDataset *data = a->options.data;
    g_autofree bool *inside = g_new(bool, data->n + 1);
    bool ok = true;
    for (int32_t fold = 0; ok && fold < a->folds; fold++) {
        for (int32_t i = 0; i < data->n; i++)
            inside[i] = a->fold[i] == fold;
        ok = fit_without(a, model, fold, seed, error) && measure(a, model, inside, error);
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
            ok = isnan(score) || seam_calibration_add(c, config_of(a), verdict->present, false, data->record[i].defect, score, error);
        }
    }
    seam_calibration_free(plain);
    g_free(verdict);
    return ok;
}

// ---- heads ---------------------------------------------------------------------------------------------------------------------

// Windows of a draw: with a memory bank tokens are what the bank makes of them, so it must have something to remember; no more than are judged.
static int32_t heads_chunks(const SeamConfig *config) {
    const int32_t most = config->windows > 0 ? config->windows : 4;
    return config->bank_slots > 0 ? MIN(most, 4) : 1;
}

// Heads have few parameters and see few welds: short, with the rates that suit an adapter.
static SeamRecipe *heads_recipe(const SeamConfig *config, int64_t steps, uint64_t seed, GError **error) {
    g_autofree char *printed = seam_config_print(config);
    g_autofree char *text = g_strdup_printf("{\"name\": \"adapt\", \"config\": %s, \"train\": {\"steps\": %" G_GINT64_FORMAT
                                            ", \"batch\": 8, \"chunks\": %d, \"lr\": 0.0005, \"warmup\": %" G_GINT64_FORMAT ", \"weight_decay\": 0.01}}",
                                            printed, steps, heads_chunks(config), steps / 10);
    SeamRecipe *recipe = seam_recipe_parse(text, "adapt", error);
    if (recipe)
        recipe->train.seed = seed;
    return recipe;
}

SeamModel *seam_adapt_heads(const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const SeamPart *part, int64_t steps,
                            uint64_t seed, void (*progress)(void *user, const SeamTrainProgress *progress), void *user, GError **error) {
    SeamRecipe *recipe = heads_recipe(&model->config, steps, seed, error);
    SeamModel *copy = recipe ? seam_model_copy_for_training(model, error) : NULL;
    if (copy)
        seam_params_copy_types(copy->params, model->params); // what is quantised stays, since the heads alone change
    SeamTrainRun how = {.only = "tasks.", .start = copy, .progress = progress, .user = user};
    SeamModel *trained = copy ? seam_train(recipe, &model->config, data, part, kernels, &how, error) : NULL;
    if (!trained)
        seam_model_free(copy);
    seam_recipe_free(recipe);
    return trained;
}
