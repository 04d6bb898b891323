// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam adapt`: fits a model to new parts. From good welds it makes the anomaly memory and its thresholds; with --steps and labelled defects it also
// trains the heads. With --evaluate it writes nothing and tells how well that works: every group is judged with what the other groups taught.
#include <gst/gst.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/bundle.h"
#include "core/error.h"
#include "core/train/adapt.h"
#include "core/train/finish.h"
#include "core/train/split.h"
#include "tools/commands.h"
#include "tools/data_options.h"

typedef struct {
    char *model, *data, *out, *adapter, *leave_out, *group_column, *only, *score, *device;
    gint64 steps, seed;
    double video_rate;
    int frames;
    gboolean evaluate, json;
} Options;

typedef struct {
    const Options *o;
    SeamModel *model;
    SeamCalibration *calibration;
    const SeamKernels *kernels;
    SeamDataset *data;
    SeamAdapt *adapt;
    SeamProgressBar bar;
    uint32_t subset[SEAM_MAX_MODALITIES + 1]; // all, then each alone
    int32_t subsets;
} Run;

typedef struct {
    int32_t n, good, defect;
    double auroc, low, high;
} Measure;

// ---- reading and encoding ------------------------------------------------------------------------------------------------------

static void show_welds(void *user, int32_t done, int32_t all) {
    g_autofree char *detail = g_strdup_printf("%d of %d", done, all);
    seam_progress_show(&((Run *)user)->bar, done, all, detail);
}

static void show_steps(void *user, const SeamTrainProgress *p) {
    char left[24];
    g_autofree char *detail = g_strdup_printf("step %" G_GINT64_FORMAT "  loss %.3f  right %.0f %%  %s left", p->step, p->loss, 100 * p->accuracy,
                                              seam_progress_time(p->seconds_left, left));
    seam_progress_show(&((Run *)user)->bar, p->step, p->steps, detail);
}

// What --only names (or all that any weld has), and each of these alone.
static bool list_subsets(Run *r, GError **error) {
    uint32_t only, any = 0;
    if (!seam_tool_modalities(&r->model->config, r->o->only, &only, error))
        return false;
    for (int32_t i = 0; i < r->data->n; i++)
        any |= seam_record_present(&r->data->record[i], &r->model->config);
    r->subset[r->subsets++] = only;
    for (int32_t m = 0; m < r->model->config.n_modalities; m++)
        if (any & only & 1u << m)
            r->subset[r->subsets++] = 1u << m;
    return true;
}

static bool encode(Run *r, GError **error) {
    SeamAdaptOptions options = {.model = r->model,
                                .kernels = r->kernels,
                                .data = r->data,
                                .subset = r->subset,
                                .subsets = r->subsets,
                                .frames = r->o->frames,
                                .progress = show_welds,
                                .user = r};
    seam_progress_begin(&r->bar, "encoding", false);
    r->adapt = seam_adapt_new(&options, error);
    seam_progress_end(&r->bar);
    return r->adapt != NULL;
}

static bool open_run(Run *r, GError **error) {
    const Options *o = r->o;
    r->kernels = seam_device_kernels(o->device ? o->device : "auto", error);
    if (!r->kernels || !seam_tool_open_model(o->model, &r->model, &r->calibration, error) || !seam_model_pack(r->model, r->kernels, error))
        return false;
    r->data = seam_tool_read_data(&r->model->config, o->data, o->video_rate, NULL, &(SeamGrouping){.column = o->group_column}, o->leave_out, true, error);
    return r->data && list_subsets(r, error);
}

static void close_run(Run *r) {
    seam_adapt_free(r->adapt);
    seam_dataset_free(r->data);
    seam_calibration_free(r->calibration);
    seam_model_free(r->model);
}

// ---- measuring -----------------------------------------------------------------------------------------------------------------

static Measure measure_subset(const Run *r, int32_t i, bool anomaly) {
    Measure m = {0};
    g_autofree float *score = g_new(float, r->data->n + 1);
    g_autofree bool *defect = g_new(bool, r->data->n + 1);
    seam_adapt_scores(r->adapt, r->subset[i], anomaly, score);
    for (int32_t k = 0; k < r->data->n; k++) {
        defect[k] = r->data->record[k].defect;
        m.good += !isnan(score[k]) && !defect[k];
        m.defect += !isnan(score[k]) && defect[k];
    }
    m.n = m.good + m.defect;
    m.auroc = seam_metric_auroc(r->data->n, score, defect);
    seam_metric_auroc_interval(r->data->n, score, defect, 1, &m.low, &m.high);
    return m;
}

static JsonArray *names_json(const Run *r, uint32_t subset) {
    const SeamConfig *config = &r->model->config;
    JsonArray *names = json_array_new();
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (subset >> m & 1)
            json_array_add_string_element(names, config->modality[m].name);
    return names;
}

static JsonObject *measure_json(const Measure *m) {
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "n", m->n);
    json_object_set_int_member(o, "good", m->good);
    json_object_set_int_member(o, "defect", m->defect);
    if (isfinite(m->auroc)) {
        json_object_set_double_member(o, "auroc", m->auroc);
        json_object_set_double_member(o, "low", m->low);
        json_object_set_double_member(o, "high", m->high);
    }
    return o;
}

typedef struct {
    Measure classify, anomaly, adapted; // as it is by the classifier and by the memory that it has; adapted, each group left out
} Row;

static JsonObject *evaluation_json(const Run *r, const Row *row) {
    JsonObject *o = json_object_new();
    JsonArray *subsets = json_array_new();
    for (int32_t i = 0; i < r->subsets; i++) {
        JsonObject *s = json_object_new();
        json_object_set_array_member(s, "modalities", names_json(r, r->subset[i]));
        json_object_set_object_member(s, "as_is_classify", measure_json(&row[i].classify));
        json_object_set_object_member(s, "as_is_anomaly", measure_json(&row[i].anomaly));
        json_object_set_object_member(s, "adapted", measure_json(&row[i].adapted));
        json_array_add_object_element(subsets, s);
    }
    if (isfinite(row[0].adapted.auroc))
        json_object_set_double_member(o, "auroc", row[0].adapted.auroc);
    json_object_set_int_member(o, "n", row[0].adapted.n);
    json_object_set_int_member(o, "groups", seam_adapt_groups(r->adapt));
    json_object_set_string_member(o, "model", r->model->fingerprint);
    json_object_set_array_member(o, "subsets", subsets);
    return o;
}

static void print_auroc(const Measure *m) {
    if (isfinite(m->auroc))
        printf("   %.3f [%.2f, %.2f]", m->auroc, m->low, m->high);
    else
        printf("   %-18s", "-");
}

static void print_evaluation(const Run *r, const Row *row) {
    printf("AUROC of defective against good welds, with the 95 %% bootstrap interval over welds. Adapted: the memory is of the good welds of the\n"
           "other groups (%d groups).\n\n%-12s good defective   %-18s   %-18s   %-18s\n",
           seam_adapt_groups(r->adapt), "modalities", "as it is, classes", "as it is, anomaly", "adapted, anomaly");
    for (int32_t i = 0; i < r->subsets; i++) {
        int32_t m = __builtin_ctz(r->subset[i]);
        printf("%-12s %4d %9d", i ? r->model->config.modality[m].name : r->o->only ? r->o->only : "all", row[i].adapted.good, row[i].adapted.defect);
        print_auroc(&row[i].classify);
        print_auroc(&row[i].anomaly);
        print_auroc(&row[i].adapted);
        putchar('\n');
    }
}

static bool evaluate(Run *r, GError **error) {
    Row row[SEAM_MAX_MODALITIES + 1];
    if (!encode(r, error) || !seam_adapt_measure(r->adapt, r->model, error))
        return false;
    for (int32_t i = 0; i < r->subsets; i++) {
        row[i].classify = measure_subset(r, i, false);
        row[i].anomaly = measure_subset(r, i, true);
    }
    if (!seam_adapt_leave_out(r->adapt, r->model, (uint64_t)r->o->seed, error))
        return false;
    for (int32_t i = 0; i < r->subsets; i++)
        row[i].adapted = measure_subset(r, i, true);
    if (r->o->json)
        seam_tool_print_json(evaluation_json(r, row));
    else
        print_evaluation(r, row);
    return true;
}

// ---- adapting ------------------------------------------------------------------------------------------------------------------

// Trains the heads on all but a quarter of the groups, which is kept for the calibration.
static bool train_heads(Run *r, SeamPart *part, GError **error) {
    int32_t known = 0;
    for (int32_t i = 0; i < r->data->n; i++)
        known += r->data->record[i].class_index > 0;
    if (known == 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING,
                    "%s: --steps needs defective welds whose labels are classes of the model; without them leave it out", r->data->path);
        return false;
    }
    seam_dataset_split(r->data, 0, 0.25, (uint64_t)r->o->seed, part);
    seam_progress_begin(&r->bar, "training", false);
    SeamModel *trained = seam_adapt_heads(r->model, r->kernels, r->data, part, r->o->steps, (uint64_t)r->o->seed, show_steps, r, error);
    seam_progress_end(&r->bar);
    if (!trained)
        return false;
    seam_model_free(r->model);
    r->model = trained;
    return seam_model_pack(trained, r->kernels, error);
}

// By the anomaly: with every group left out in turn. By the classes: with the welds that were not trained on.
static bool calibrate(Run *r, const SeamPart *part, Measure *measured, GError **error) {
    bool by_class = g_strcmp0(r->o->score, "classify") == 0;
    g_autofree bool *use = g_new(bool, r->data->n + 1);
    if (!seam_adapt_leave_out(r->adapt, r->model, (uint64_t)r->o->seed, error))
        return false;
    *measured = measure_subset(r, 0, true);
    seam_calibration_free(r->calibration);
    r->calibration = seam_calibration_new();
    for (int32_t i = 0; i < r->data->n; i++)
        use[i] = r->o->steps == 0 || part[i] == SEAM_PART_CALIBRATION;
    bool ok = by_class ? seam_calibrate(r->calibration, r->model, r->kernels, r->data, use, r->o->frames, error)
                       : seam_adapt_calibrate(r->adapt, r->calibration, error);
    return ok && seam_adapt_fit(r->adapt, r->model, (uint64_t)r->o->seed, error);
}

static JsonObject *adapted_json(const Run *r, const Measure *measured) {
    JsonObject *o = measure_json(measured);
    json_object_set_string_member(o, "data", r->data->path);
    json_object_set_int_member(o, "groups", seam_adapt_groups(r->adapt));
    json_object_set_int_member(o, "steps", r->o->steps);
    json_object_set_int_member(o, "seed", r->o->seed);
    json_object_set_string_member(o, "score", r->calibration->score_is_anomaly ? "anomaly" : "classify");
    json_object_set_string_member(o, "version", SEAM_VERSION);
    return o;
}

// The model's own name and provenance, and what was added.
static bool write_model(const Run *r, const Measure *measured, GError **error) {
    SeamBundle *base = seam_bundle_open(r->o->model, false, error);
    if (!base)
        return false;
    JsonObject *meta = json_object_new();
    static const char *const kept[] = {"name", "provenance", "metrics", "card", "quantised"};
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        if (json_object_has_member(base->meta, kept[i]))
            json_object_set_member(meta, kept[i], json_node_copy(json_object_get_member(base->meta, kept[i])));
    json_object_set_object_member(meta, "adapted", adapted_json(r, measured));
    json_object_set_object_member(meta, "calibration", seam_calibration_print(r->calibration, &r->model->config));
    bool ok = seam_bundle_write_model(r->o->out, r->model, meta, error);
    json_object_unref(meta);
    seam_bundle_free(base);
    return ok;
}

static bool write_adapter(const Run *r, const Measure *measured, GError **error) {
    SeamNamedArray extra[SEAM_ANOMALY_EXPORTS * SEAM_MAX_MODALITIES];
    int32_t t = 0;
    while (r->model->config.task[t].kind != SEAM_TASK_ANOMALY)
        t++;
    JsonObject *meta = json_object_new();
    json_object_set_object_member(meta, "adapted", adapted_json(r, measured));
    json_object_set_object_member(meta, "calibration", seam_calibration_print(r->calibration, &r->model->config));
    int32_t n = seam_anomaly_export(&r->model->task[t].anomaly, extra);
    bool ok =
        seam_bundle_write_adapter(r->o->adapter, r->model->config.task[t].name, r->model->fingerprint, r->model->params, true, extra, n, meta, error);
    json_object_unref(meta);
    return ok;
}

static void print_adapted(const Run *r, const Measure *m) {
    const char *to = r->o->out ? r->o->out : r->o->adapter;
    if (r->o->json) {
        JsonObject *o = adapted_json(r, m);
        json_object_set_string_member(o, "out", to);
        seam_tool_print_json(o);
        return;
    }
    printf("%s: adapted to %d good and %d defective welds of %d groups\n", to, m->good, m->defect, seam_adapt_groups(r->adapt));
    if (isfinite(m->auroc))
        printf("anomaly AUROC with each group left out: %.3f [%.2f, %.2f]\n", m->auroc, m->low, m->high);
    SeamWeldOptions weld = SEAM_WELD_OPTIONS_DEFAULT;
    int32_t needed = (int32_t)ceil(1 / weld.false_reject) - 1;
    if (m->good < needed)
        printf("%d good welds promise a false-reject rate of %.2g at best; %d are needed for %.2g, until then doubtful welds are referred\n", m->good,
               1.0 / (m->good + 1), needed, weld.false_reject);
}

static bool adapt(Run *r, GError **error) {
    Measure measured;
    g_autofree SeamPart *part = g_new0(SeamPart, r->data->n + 1);
    if (r->o->steps > 0 && !train_heads(r, part, error))
        return false;
    if (!encode(r, error) || !calibrate(r, part, &measured, error))
        return false;
    if ((r->o->out && !write_model(r, &measured, error)) || (r->o->adapter && !write_adapter(r, &measured, error)))
        return false;
    print_adapted(r, &measured);
    return true;
}

static const char *wrong_usage(const Options *o) {
    if (!o->model || !o->data || !!o->out + !!o->adapter + !!o->evaluate != 1)
        return "--model, --data and one of --out, --adapter and --evaluate are needed";
    if (o->steps < 0 || o->seed < 0 || o->frames < 0 || !(o->video_rate >= 0))
        return "--steps, --seed, --frames and --video-rate must not be negative";
    if (o->steps > 0 && !o->out)
        return "--steps trains the heads, which only --out can hold";
    if (o->score && strcmp(o->score, "anomaly") != 0 && strcmp(o->score, "classify") != 0)
        return "--score must be anomaly or classify";
    return NULL;
}

static int run(const Options *o) {
    GError *error = NULL;
    Run r = {.o = o};
    gst_init(NULL, NULL);
    bool ok = open_run(&r, &error) && (o->evaluate ? evaluate(&r, &error) : adapt(&r, &error));
    close_run(&r);
    return ok ? 0 : seam_tool_fail("adapt", error, 1);
}

int seam_cmd_adapt(int argc, char **argv) {
    Options o = {.seed = 1, .video_rate = 8, .frames = 4};
    const GOptionEntry entries[] = {
        {"model", 'm', 0, G_OPTION_ARG_FILENAME, &o.model, "The model to adapt", "M.seam"},
        {"data", 'd', 0, G_OPTION_ARG_FILENAME, &o.data, "Welds of the new part (docs/data.md); good ones are enough", "DIR"},
        {"out", 'o', 0, G_OPTION_ARG_FILENAME, &o.out, "Write the adapted model there", "NEW.seam"},
        {"adapter", 0, 0, G_OPTION_ARG_FILENAME, &o.adapter, "Write only the anomaly task's adapter with its thresholds there", "FILE"},
        {"evaluate", 0, 0, G_OPTION_ARG_NONE, &o.evaluate, "Write nothing: leave out each group in turn and measure, each modality alone and all",
         NULL},
        {"leave-out-group", 0, 0, G_OPTION_ARG_STRING, &o.leave_out, "Do not use the welds of this group", "G"},
        {"group-column", 0, 0, G_OPTION_ARG_STRING, &o.group_column, "Column of the manifest that names groups (group)", "NAME"},
        {"only", 0, 0, G_OPTION_ARG_STRING, &o.only, "With --evaluate: these modalities together, and each of them alone", "A,B"},
        {"steps", 0, 0, G_OPTION_ARG_INT64, &o.steps, "Also train the tasks' heads for so many steps; needs labelled defects (0)", "N"},
        {"score", 0, 0, G_OPTION_ARG_STRING, &o.score, "What decides: anomaly or classify (anomaly)", "NAME"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &o.seed, "Seed (1)", "N"},
        {"frames", 0, 0, G_OPTION_ARG_INT, &o.frames, "Pictures of a stream a window, at most; 0: all, as the pipeline (4)", "N"},
        {"video-rate", 0, 0, G_OPTION_ARG_DOUBLE, &o.video_rate, "Pictures of a video a second that are read; 0: all (8)", "HZ"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &o.device, "auto, cpu or ref", "NAME"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &o.json, "Print one JSON object", NULL},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- fit a model to new parts from few welds, or from good ones only");
    g_option_context_add_main_entries(context, entries, NULL);
    GError *error = NULL;
    const char *wrong = NULL;
    int status;
    if (!g_option_context_parse(context, &argc, &argv, &error) || (wrong = argc > 1 ? "there is an argument too many" : wrong_usage(&o)))
        status = seam_tool_usage("adapt", error, wrong);
    else
        status = run(&o);
    g_free(o.model), g_free(o.data), g_free(o.out), g_free(o.adapter), g_free(o.leave_out), g_free(o.group_column), g_free(o.only), g_free(o.score);
    g_free(o.device);
    return status;
}
