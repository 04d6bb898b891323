// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam eval`: a model and a data folder in, measures out, as a table or as one JSON object. Whole welds are judged as the pipeline judges them
// (core/train/evaluate.h). It finds out by itself what kind of folder it is, and writes nothing but --results.
#include <errno.h>
#include <gst/gst.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/card.h"
#include "core/error.h"
#include "core/files.h"
#include "core/heads.h"
#include "core/train/evaluate.h"
#include "tools/cmd_eval.h"
#include "tools/commands.h"
#include "tools/data_options.h"
#include "tools/eval_trust.h"

typedef struct {
    char *model, *data, *adapter, *only, *results, *classes, *device, *records, *card, *effort;
    double recall, video_rate, demand_miss, demand_reject;
    int frames, bootstrap;
    gboolean json, deletion, probe;
} Options;

typedef struct {
    const SeamModel *model;
    FILE *results; // or NULL
    SeamProgressBar bar;
} Watch;

// ---- while it runs -------------------------------------------------------------------------------------------------------------

static void show_welds(void *user, int32_t done, int32_t all) {
    g_autofree char *detail = g_strdup_printf("%d of %d", done, all);
    seam_progress_show(&((Watch *)user)->bar, done, all, detail);
}

// Whether --effort asks for all of the work; the words are those of the elements' property.
static bool wants_full(const Options *o) {
    return g_strcmp0(o->effort, seam_effort_name(SEAM_EFFORT_FULL)) == 0;
}

static void write_window(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *result) {
    Watch *w = user;
    g_autofree char *text = w->results ? seam_window_result_print(result, &w->model->config, w->model->fingerprint) : NULL;
    if (text)
        fprintf(w->results, "%s\n", text);
}

// The verdict's line, and what a reader of it wants to compare: the record's label and group.
static void write_verdict(void *user, const SeamRecord *record, const SeamVerdict *verdict) {
    Watch *w = user;
    g_autofree char *text = w->results ? seam_verdict_print(verdict, &w->model->config, w->model->fingerprint) : NULL;
    if (!text)
        return;
    g_autoptr(JsonNode) node = json_from_string(text, NULL);
    JsonObject *o = json_node_get_object(node);
    if (record->label)
        json_object_set_string_member(o, "label", record->class_index >= 0 ? w->model->config.class_name[record->class_index] : record->label);
    json_object_set_string_member(o, "group", record->group);
    g_autofree char *line = json_to_string(node, FALSE);
    fprintf(w->results, "%s\n", line);
}

// ---- the table -----------------------------------------------------------------------------------------------------------------

// interval may be NULL.
static void print_measure(const char *name, double value, const SeamInterval *interval, const char *what) {
    char range[32] = "";
    if (interval && isfinite(interval->low))
        g_snprintf(range, sizeof range, "[%.3f, %.3f]", interval->low, interval->high);
    if (isfinite(value))
        printf("%-20s %6.3f  %-16s %s\n", name, value, range, what);
}

static const char *class_name(const SeamEvaluation *e, const SeamConfig *config, int32_t c) {
    return e->binary ? (c ? "defect" : "good") : config->class_name[c];
}

static void print_share(double value) {
    if (isfinite(value))
        printf("  %9.3f", value);
    else
        printf("  %9s", "-");
}

static void print_classes(const SeamEvaluation *e, const SeamConfig *config) {
    printf("\n%-20s  precision     recall         F1\n", "class");
    for (int32_t c = 0; c < e->classes; c++) {
        printf("%-20s", class_name(e, config, c));
        print_share(e->by_class.precision[c]);
        print_share(e->by_class.recall[c]);
        print_share(e->by_class.f1[c]);
        putchar('\n');
    }
}

static void print_confusion(const SeamEvaluation *e, const SeamConfig *config) {
    printf("\nconfusion: a line is what the weld is, a column what the model says\n%-20s", "");
    for (int32_t c = 0; c < e->classes; c++)
        printf(" %5.5s", class_name(e, config, c));
    putchar('\n');
    for (int32_t t = 0; t < e->classes; t++) {
        printf("%-20s", class_name(e, config, t));
        for (int32_t c = 0; c < e->classes; c++)
            printf(" %5d", e->confusion[t * e->classes + c]);
        putchar('\n');
    }
}

static void print_decisions(const SeamEvaluation *e) {
    printf("\n%-20s  pass  reject   refer\n", "decision");
    printf("%-20s %5d   %5d   %5d\n", "good", e->decisions_good[SEAM_PASS], e->decisions_good[SEAM_REJECT], e->decisions_good[SEAM_REFER]);
    printf("%-20s %5d   %5d   %5d\n", "defective", e->decisions[SEAM_PASS] - e->decisions_good[SEAM_PASS],
           e->decisions[SEAM_REJECT] - e->decisions_good[SEAM_REJECT], e->decisions[SEAM_REFER] - e->decisions_good[SEAM_REFER]);
}

static void print_lives(const SeamLifeMetrics *lives) {
    if (lives->n == 0)
        return;
    printf("%-20s %6.2f  s, of remaining lives: root of the mean squared error\n", "RMSE", lives->rmse);
    printf("%-20s %6.1f  PHM 2008, the sum over %d lives\n", "score", lives->score, lives->n);
    print_measure("coverage", lives->coverage, NULL, "share of lives within their intervals of 90 %");
    if (isfinite(lives->interval_width))
        printf("%-20s %6.1f  s, mean width of an interval\n", "interval width", lives->interval_width);
}

static void print_signals(const SeamSignalSums *s) {
    if (s->told.n == 0)
        return;
    print_measure("signal pinball", seam_forecast_mean_pinball(&s->told), NULL, "of three quantiles of stretches that were hidden, in the channels' spread");
    print_measure("signal coverage", seam_forecast_coverage(&s->told), NULL, "share of them between the outer quantiles (0.9 is right)");
    print_measure("signal RMSE", seam_signal_rmse(s, s->squares), NULL, "of the median");
    print_measure("  of a line", seam_signal_rmse(s, s->squares_line), NULL, "over the gap");
    print_measure("  of the mean", seam_signal_rmse(s, s->squares_mean), NULL, "of the channel in the window");
}

static void print_promise(const char *name, const SeamPromise *p) {
    if (p->n == 0)
        return;
    printf("%-20s promised at most %.3g %%, came %.3g %% (%d of %d; 95 %%: %.3g to %.3g %%): %s\n", name, 100 * p->promised, 100 * p->observed, p->hits,
           p->n, 100 * p->interval.low, 100 * p->interval.high,
           p->with_threshold == 0 ? "too few were calibrated to decide so" : p->held ? "held" : "NOT held");
}

static void print_table(const Options *o, const SeamDataset *data, const SeamEvaluation *e, const SeamConfig *config) {
    g_autofree char *recall = g_strdup_printf("of good welds, where %.4g of the defective ones are found", o->recall);
    printf("%s: %s, %d recordings judged", o->data, seam_data_kind_name(data->kind), e->n);
    if (e->good + e->defect > 0)
        printf(": %d good, %d defective", e->good, e->defect);
    printf(e->without_verdict ? "; %d hold nothing to judge by\n\n" : "\n\n", e->without_verdict);
    if (e->effort == SEAM_EFFORT_CALIBRATED)
        printf("At the effort that was calibrated with the model; --effort full computes everything.\n\n");
    if (e->binary)
        printf("Some labels are no classes of the model: good against defect is measured.\n\n");
    const SeamInterval *in = e->interval;
    print_measure("accuracy", e->by_class.accuracy, &in[SEAM_FIGURE_ACCURACY], "");
    print_measure("macro-F1", e->by_class.macro_f1, &in[SEAM_FIGURE_MACRO_F1], "mean over classes that occur");
    print_measure("AUROC", e->auroc, &in[SEAM_FIGURE_AUROC], "defective against good, by score");
    print_measure("average precision", e->average_precision, &in[SEAM_FIGURE_AVERAGE_PRECISION], "of defective ones, by score");
    print_measure("mAP50", e->map50, &in[SEAM_FIGURE_MAP50], "of boxes");
    print_measure("pixel AUROC", e->pixels.auroc, NULL, "of maps against masks, over the pixels of pictures with a mask");
    print_measure("AUPRO", e->pixels.aupro, NULL, "the same, share of each marked region found, to 30 % false positives");
    print_measure("window accuracy", e->windows > 0 ? (double)e->windows_right / e->windows : NAN, NULL, "of the decision windows");
    print_measure("calibration error", e->ece, NULL, "expected, 10 bins");
    print_measure("false rejects", e->false_reject_rate, NULL, recall);
    print_lives(&e->lives);
    print_signals(&e->signal);
    if (e->good + e->defect == 0)
        return;
    print_classes(e, config);
    print_confusion(e, config);
    print_decisions(e);
    print_promise("good rejected", &e->false_reject);
    print_promise("defective passed", &e->miss);
}

// ---- the run -------------------------------------------------------------------------------------------------------------------

static bool open_results(const char *path, FILE **file, GError **error) {
    *file = path ? fopen(path, "w") : NULL;
    if (path && !*file)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: cannot be written: %s", path, g_strerror(errno));
    return !path || *file;
}

static bool close_results(const char *path, FILE *file, GError **error) {
    bool ok = !file || !ferror(file);
    ok = (!file || fclose(file) == 0) && ok;
    if (!ok)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: could not be written whole; is the disk full?", path);
    return ok;
}

// part: NULL, or the records of `which` alone.
static bool measure(const Options *o, const SeamHeads *heads, const SeamKernels *kernels, const SeamDataset *data, const SeamPart *part, SeamPart which,
                    SeamEvaluation *e, SeamTrust *trust, GError **error) {
    Watch watch = {.model = heads->model};
    SeamEvaluateOptions options = {.model = heads->model,
                                   .kernels = kernels,
                                   .calibration = heads->calibration,
                                   .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .frames = o->frames,
                                   .effort = wants_full(o) ? (SeamEffort){0} : heads->calibration->effort,
                                   .tasks = heads->tasks,
                                   .window = write_window,
                                   .user = &watch};
    options.weld.miss = o->demand_miss;
    options.weld.false_reject = o->demand_reject;
    SeamEvaluateWhat what = {.part = part, .which = which, .recall = o->recall, .draws = o->bootstrap, .verdict = write_verdict, .progress = show_welds,
                             .user = &watch};
    if (!seam_tool_modalities(&heads->model->config, o->only, &what.only, error) || !open_results(o->results, &watch.results, error))
        return false;
    seam_progress_begin(&watch.bar, "judging", false);
    bool ok = seam_evaluate(&options, data, &what, e, error);
    seam_progress_end(&watch.bar);
    ok = ok && seam_trust_run(trust, &options, data, &what, e, error);
    return close_results(o->results, watch.results, ok ? error : NULL) && ok;
}

static bool check_judged(const Options *o, const SeamEvaluation *e, GError **error) {
    if (e->n > 0 || e->without_verdict == 0)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: none of its %d labelled recordings holds %s", o->data, e->without_verdict,
                o->only ? "what --only names; name others" : "a modality of the model");
    return false;
}

static void print(const Options *o, const SeamDataset *data, const SeamEvaluation *e, const SeamTrust *trust, const SeamConfig *config) {
    if (o->json) {
        JsonObject *object = seam_evaluation_print(e, config);
        seam_trust_json(trust, object);
        seam_tool_print_json(object);
        return;
    }
    print_table(o, data, e, config);
    seam_trust_table(trust);
}

bool seam_eval_part(const char *path, const SeamRecipe *recipe, const char *device, const SeamDataset *data, const SeamPart *part, SeamPart which,
                    const char *results, bool json, GError **error) {
    Options o = {.model = (char *)path, .data = data->path, .results = (char *)results, .recall = 1 - recipe->miss, .frames = recipe->train.eval_frames, .json = json,
                 .bootstrap = SEAM_BOOTSTRAP_DRAWS, .demand_miss = recipe->miss, .demand_reject = recipe->false_reject};
    SeamTrust trust = {0};
    SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    const SeamKernels *kernels = seam_device_kernels(device ? device : "auto", error);
    SeamModel *model = kernels ? seam_model_acquire(path, kernels, error) : NULL;
    SeamHeads *heads = model ? seam_heads_new(model, path, NULL, NULL, error) : NULL;
    bool ok = heads && measure(&o, heads, kernels, data, part, which, e, &trust, error) && check_judged(&o, e, error);
    if (ok)
        print(&o, data, e, &trust, &model->config);
    seam_heads_free(heads);
    seam_model_release(model);
    g_free(e);
    return ok;
}

// The model's card anew: texts of a recipe, figures of this evaluation.
static bool write_card(const Options *o, const SeamDataset *data, const SeamEvaluation *e, const SeamConfig *config, GError **error) {
    SeamRecipe *recipe = seam_recipe_read(o->card, error);
    SeamBundle *bundle = recipe ? seam_bundle_open(o->model, false, error) : NULL;
    g_autofree char *where = g_build_filename(o->model, "model.json", NULL), *folder = g_path_get_basename(o->data);
    g_autofree char *of = g_strdup_printf("the folder %s (%s)", folder, seam_data_kind_name(data->kind));
    JsonObject *provenance = NULL, *meta = json_object_new(), *measured = seam_evaluation_print(e, config);
    bool ok = bundle && seam_json_object(bundle->meta, where, "provenance", false, &provenance, error);
    if (ok) {
        json_object_set_object_member(meta, "card", seam_card_new(recipe->card, provenance, measured, of));
        ok = seam_bundle_write_meta(o->model, meta, error);
    }
    json_object_unref(meta);
    json_object_unref(measured);
    seam_bundle_free(bundle);
    seam_recipe_free(recipe);
    return ok;
}

static int evaluate(const Options *o) {
    GError *error = NULL;
    SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    SeamTrust trust = {.deletion = o->deletion, .probe = o->probe};
    const SeamKernels *kernels = seam_device_kernels(o->device ? o->device : "auto", &error);
    SeamModel *model = kernels ? seam_model_acquire(o->model, kernels, &error) : NULL;
    SeamHeads *heads = model ? seam_heads_new(model, o->model, (const char *const[]){o->adapter, NULL}, NULL, &error) : NULL;
    SeamDataset *data = heads ? seam_tool_read_data(&model->config, o->data, o->video_rate, o->classes, NULL, NULL, false, &error) : NULL;
    SeamPart *part = data && o->records ? g_new0(SeamPart, data->n + 1) : NULL;
    bool ok = data && (!part || seam_split_records(data, o->records, part, &error)) && measure(o, heads, kernels, data, part, SEAM_PART_HELD, e, &trust, &error) &&
              check_judged(o, e, &error) && (!o->card || write_card(o, data, e, &model->config, &error));
    if (ok)
        print(o, data, e, &trust, &model->config);
    g_free(part);
    seam_dataset_free(data);
    seam_heads_free(heads);
    seam_model_release(model);
    seam_trust_clear(&trust);
    g_free(e);
    return ok ? 0 : seam_tool_fail("eval", error, 1);
}

int seam_cmd_eval(int argc, char **argv) {
    const SeamWeldOptions weld = SEAM_WELD_OPTIONS_DEFAULT;
    Options o = {.recall = 0.99, .video_rate = 8, .frames = 4, .bootstrap = SEAM_BOOTSTRAP_DRAWS, .demand_miss = weld.miss, .demand_reject = weld.false_reject};
    const GOptionEntry entries[] = {
        {"model", 'm', 0, G_OPTION_ARG_FILENAME, &o.model, "The model", "M.seam"},
        {"data", 'd', 0, G_OPTION_ARG_FILENAME, &o.data, "Data folder (docs/data.md)", "DIR"},
        {"adapter", 0, 0, G_OPTION_ARG_FILENAME, &o.adapter, "Another adapter for the task that the file names", "FILE"},
        {"records", 0, 0, G_OPTION_ARG_FILENAME, &o.records, "Judge only the recordings named in this file, a line each", "FILE"},
        {"only", 0, 0, G_OPTION_ARG_STRING, &o.only, "Judge by these modalities alone", "A,B"},
        {"effort", 0, 0, G_OPTION_ARG_STRING, &o.effort, "calibrated, as the elements run, or full: all of the work (calibrated)", "NAME"},
        {"recall", 0, 0, G_OPTION_ARG_DOUBLE, &o.recall, "Share of defective welds to be found, for the false-reject rate (0.99)", "R"},
        {"demand-miss", 0, 0, G_OPTION_ARG_DOUBLE, &o.demand_miss, "Share of defective welds passed at most, to be promised (0.01)", "R"},
        {"demand-reject", 0, 0, G_OPTION_ARG_DOUBLE, &o.demand_reject, "Share of good welds rejected at most, to be promised (0.005)", "R"},
        {"bootstrap", 0, 0, G_OPTION_ARG_INT, &o.bootstrap, "Draws for the intervals; 0: no intervals (1000)", "N"},
        {"deletion", 0, 0, G_OPTION_ARG_NONE, &o.deletion, "Also test heat maps and contributions by removing what they point to", NULL},
        {"probe", 0, 0, G_OPTION_ARG_NONE, &o.probe, "Also hunt for shortcuts: what trivial features alone tell", NULL},
        {"write-card", 0, 0, G_OPTION_ARG_FILENAME, &o.card, "Write the model's card anew: this recipe's texts, these figures", "R.json"},
        {"results", 0, 0, G_OPTION_ARG_FILENAME, &o.results, "Also write every window and verdict there (docs/results-format.md)", "FILE.jsonl"},
        {"class-names", 0, 0, G_OPTION_ARG_STRING, &o.classes, "Names of the class numbers of YOLO labels", "A,B,C"},
        {"frames", 0, 0, G_OPTION_ARG_INT, &o.frames, "Pictures of a stream a window, at most; 0: all, as the pipeline (4)", "N"},
        {"video-rate", 0, 0, G_OPTION_ARG_DOUBLE, &o.video_rate, "Pictures of a video a second that are read; 0: all (8)", "HZ"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &o.device, "auto, cpu or ref", "NAME"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &o.json, "Print one JSON object", NULL},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- measure a model on a data folder");
    g_option_context_add_main_entries(context, entries, NULL);
    GError *error = NULL;
    int status = 2;
    if (!g_option_context_parse(context, &argc, &argv, &error) || !o.model || !o.data || argc > 1)
        seam_tool_usage("eval", error, "--model and --data are needed");
    else if (!(o.recall > 0 && o.recall <= 1) || o.frames < 0 || !(o.video_rate >= 0))
        seam_tool_usage("eval", NULL, "--recall must be over 0 and at most 1, --frames and --video-rate not negative");
    else if (o.effort && !wants_full(&o) && !g_str_equal(o.effort, seam_effort_name(SEAM_EFFORT_CALIBRATED)))
        seam_tool_usage("eval", NULL, "--effort must be calibrated or full");
    else if (!(o.demand_miss > 0 && o.demand_miss < 1) || !(o.demand_reject > 0 && o.demand_reject < 1) || o.bootstrap < 0 || o.bootstrap > 100000)
        seam_tool_usage("eval", NULL, "--demand-miss and --demand-reject must be over 0 and below 1, --bootstrap 0 to 100000");
    else {
        gst_init(NULL, NULL);
        status = evaluate(&o);
    }
    g_free(o.model), g_free(o.data), g_free(o.adapter), g_free(o.only), g_free(o.results), g_free(o.classes), g_free(o.device), g_free(o.card);
    g_free(o.effort);
    return status;
}
