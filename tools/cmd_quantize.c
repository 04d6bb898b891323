// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam quantize`: a model and a data folder in, a model with weights of 8 bits out. The data say which parts bear it (core/train/quantize.h), and, with the
// recipe that made the model, its thresholds are made anew from the records that trained nothing: scores move a little, and what was promised must hold for
// what runs.
#include <gst/gst.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/bundle.h"
#include "core/error.h"
#include "core/files.h"
#include "core/train/finish.h"
#include "core/train/quantize.h"
#include "tools/commands.h"
#include "tools/data_options.h"
#include "tools/parts.h"

typedef struct {
    char *model, *data, *out, *records, *recipe, *fold, *device, *class_names;
    char **hold;
    double loss, video_rate;
    int frames;
    gboolean bf16, json;
} Options;

typedef struct {
    const Options *o;
    SeamBundle *base;
    SeamModel *model;
    SeamCalibration *calibration;
    SeamRecipe *recipe; // or NULL
    const SeamKernels *kernels;
    SeamDataset *data;
    SeamPart *part;  // as the recipe deals it; all training without one
    SeamPart *chosen; // SEAM_PART_HELD: measured on
    SeamQuantized found;
    bool recalibrated;
    SeamProgressBar bar;
} Run;

// ---- reading ---------------------------------------------------------------------------------------------------------------------

// The seed that dealt the parts is the training's, which a command may have set.
static bool read_recipe(Run *r, GError **error) {
    JsonObject *provenance = NULL;
    int64_t seed;
    g_autofree char *where = g_build_filename(r->o->model, "model.json", NULL);
    if (!r->o->recipe)
        return true;
    r->recipe = seam_recipe_read(r->o->recipe, error);
    if (!r->recipe || !seam_json_object(r->base->meta, where, "provenance", false, &provenance, error))
        return false;
    seed = provenance ? json_object_get_int_member_with_default(provenance, "seed", (gint64)r->recipe->train.seed) : (int64_t)r->recipe->train.seed;
    r->recipe->train.seed = (uint64_t)seed;
    const char *hash = provenance ? json_object_get_string_member_with_default(provenance, "recipe_hash", NULL) : NULL;
    if (g_strcmp0(hash, r->recipe->hash) != 0)
        fprintf(stderr, "%s: has changed since it made the model; if it deals the records out otherwise now, thresholds come from records of the training\n",
                r->o->recipe);
    return true;
}

static bool read_data(Run *r, GError **error) {
    const SeamRecipe *recipe = r->recipe;
    SeamGrouping grouping = {0};
    if (recipe)
        grouping = (SeamGrouping){.column = recipe->group, .pattern = recipe->group_pattern, .near_duplicates = recipe->near_duplicates};
    r->data = seam_tool_read_data(&r->model->config, r->o->data, recipe ? recipe->train.video_rate : r->o->video_rate, r->o->class_names, &grouping, NULL,
                                  recipe != NULL, error);
    return r->data != NULL;
}

// Measured on what trained nothing; and on what did, too, where the former are so few that one recording more or less is a larger loss than is allowed.
static bool deal(Run *r, GError **error) {
    int32_t n = r->data->n, apart = 0;
    r->part = g_new0(SeamPart, n + 1);
    r->chosen = g_new0(SeamPart, n + 1);
    if (r->recipe && !seam_tool_deal_parts(r->o->fold, r->o->hold, r->recipe, r->data, r->part, error))
        return false;
    if (r->o->records)
        return seam_split_records(r->data, r->o->records, r->chosen, error);
    for (int32_t i = 0; i < n; i++)
        apart += r->part[i] == SEAM_PART_VALIDATION || r->part[i] == SEAM_PART_CALIBRATION;
    for (int32_t i = 0; i < n; i++) {
        bool wanted = r->part[i] == SEAM_PART_VALIDATION || r->part[i] == SEAM_PART_CALIBRATION || (r->part[i] == SEAM_PART_TRAIN && apart * r->o->loss < 100);
        r->chosen[i] = wanted ? SEAM_PART_HELD : SEAM_PART_UNUSED;
    }
    return true;
}

static bool open_run(Run *r, GError **error) {
    r->kernels = seam_device_kernels(r->o->device ? r->o->device : "auto", error);
    r->base = r->kernels ? seam_bundle_open(r->o->model, false, error) : NULL;
    return r->base && seam_tool_open_model(r->o->model, &r->model, &r->calibration, error) && read_recipe(r, error) && read_data(r, error) && deal(r, error);
}

static void close_run(Run *r) {
    seam_quantized_clear(&r->found);
    g_free(r->chosen);
    g_free(r->part);
    seam_dataset_free(r->data);
    seam_recipe_free(r->recipe);
    seam_calibration_free(r->calibration);
    seam_model_free(r->model);
    seam_bundle_free(r->base);
}

// ---- the work --------------------------------------------------------------------------------------------------------------------

static void show_runs(void *user, int32_t done, int32_t all) {
    g_autofree char *detail = g_strdup_printf("run %d of %d", done, all);
    seam_progress_show(&((Run *)user)->bar, done, all, detail);
}

static int32_t frames_of(const Run *r) {
    return r->recipe ? r->recipe->train.eval_frames : r->o->frames;
}

static bool choose(Run *r, GError **error) {
    SeamQuantizeOptions options = {.model = r->model, .kernels = r->kernels, .calibration = r->calibration, .data = r->data, .part = r->chosen,
                                   .frames = frames_of(r), .loss = r->o->loss, .bf16 = r->o->bf16, .progress = show_runs, .user = r};
    seam_progress_begin(&r->bar, "quantising", false);
    bool ok = seam_quantize(&options, &r->found, error);
    seam_progress_end(&r->bar);
    return ok;
}

// A calibration that other models of the training's folds had a part in cannot be made anew without them.
static bool calibrates_itself(const Run *r) {
    int32_t n = 0;
    for (int32_t i = 0; r->recipe && i < r->data->n; i++)
        n += r->part[i] == SEAM_PART_CALIBRATION;
    return n > 0 && r->recipe->calibration_folds == 0;
}

static bool recalibrate(Run *r, GError **error) {
    if (!calibrates_itself(r))
        return true;
    SeamCalibration *fresh = seam_calibration_new();
    fresh->score_is_anomaly = r->calibration->score_is_anomaly;
    fresh->top_fraction = r->calibration->top_fraction;
    fprintf(stderr, "calibrating\n");
    r->recalibrated = seam_recalibrate(fresh, r->model, r->recipe, r->data, r->part, r->kernels, error);
    if (r->recalibrated) {
        seam_calibration_free(r->calibration);
        r->calibration = fresh;
    } else {
        seam_calibration_free(fresh);
    }
    return r->recalibrated;
}

// ---- what came of it -------------------------------------------------------------------------------------------------------------

static JsonObject *quantised_json(const Run *r) {
    JsonObject *o = seam_quantized_print(&r->found);
    json_object_set_string_member(o, "data", r->data->path);
    json_object_set_string_member(o, "from", r->model->fingerprint);
    json_object_set_double_member(o, "loss_allowed", r->o->loss);
    json_object_set_string_member(o, "thresholds", r->recalibrated ? "calibrated anew" : r->calibration->n_sets > 0 ? "kept" : "none");
    json_object_set_string_member(o, "version", SEAM_VERSION);
    return o;
}

// The model's own name, provenance and card, and what was done to it.
static bool write_model(const Run *r, GError **error) {
    static const char *const kept[] = {"name", "provenance", "metrics", "card", "adapted"};
    JsonObject *meta = json_object_new();
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        if (json_object_has_member(r->base->meta, kept[i]))
            json_object_set_member(meta, kept[i], json_node_copy(json_object_get_member(r->base->meta, kept[i])));
    json_object_set_object_member(meta, "quantised", quantised_json(r));
    json_object_set_object_member(meta, "calibration", seam_calibration_print(r->calibration, &r->model->config));
    bool ok = seam_bundle_write_model(r->o->out, r->model, meta, error);
    json_object_unref(meta);
    return ok;
}

static double weights_share(const Run *r) {
    size_t bytes = 0, values = 0;
    SeamBundle *written = seam_bundle_open(r->o->out, false, NULL);
    if (written)
        seam_safetensors_bytes(written->weights, &bytes);
    for (int32_t i = 0; written && i < seam_safetensors_count(r->base->weights); i++)
        values += seam_safetensors_array(r->base->weights, i)->size;
    seam_bundle_free(written);
    return values ? (double)bytes / (double)(values * sizeof(float)) : NAN;
}

static void print_figure(const char *name, double before, double after) {
    if (isfinite(before))
        printf("%-14s %8.2f  %8.2f\n", name, before, after);
}

static void print_table(const Run *r, double share) {
    const SeamQuantized *q = &r->found;
    printf("%s: weights of %.1f %% of their size in single precision; measured on %d recordings\n\n", r->o->out, 100 * share, q->records);
    printf("%-14s %8s  %8s\n", "", "before", "after");
    print_figure("accuracy", q->before.accuracy, q->after.accuracy);
    print_figure("AUROC", q->before.auroc, q->after.auroc);
    print_figure("mAP50", q->before.map50, q->after.map50);
    print_figure("pixel AUROC", q->before.pixel_auroc, q->after.pixel_auroc);
    print_figure("RMSE", q->before.rmse, q->after.rmse);
    printf("\nlargest loss %.2f points (%.2f allowed); outputs move by %.2f %%; a recording's score by %.3f, at most %.3f\n", q->loss, r->o->loss,
           100 * q->difference, q->score_mean, q->score_most);
    printf("thresholds: %s\n", r->recalibrated               ? "calibrated anew"
                               : r->calibration->n_sets == 0 ? "none"
                                                             : "kept from the model; give --recipe to make them anew where it has a part for that");
    printf("\n%-32s %10s  %10s  %9s\n", "alone quantised", "weights", "difference", "loss");
    for (int32_t g = 0; g < q->n; g++)
        printf("%-32s %10" G_GINT64_FORMAT "  %8.2f %%  %9.2f%s\n", q->group[g].name, q->group[g].weights, 100 * q->group[g].difference, q->group[g].loss,
               q->group[g].kept ? "  kept" : "");
}

static bool check_any(const Run *r, GError **error) {
    bool any = false;
    for (int32_t g = 0; g < r->found.n; g++)
        any |= !r->found.group[g].kept;
    if (!any)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: nothing of it can be quantised at a loss of %.3g points: allow more with --loss", r->o->model,
                    r->o->loss);
    return any;
}

static int quantize(const Options *o) {
    GError *error = NULL;
    Run r = {.o = o};
    bool ok = open_run(&r, &error) && choose(&r, &error) && check_any(&r, &error) && recalibrate(&r, &error) && write_model(&r, &error);
    if (ok && o->json) {
        JsonObject *object = quantised_json(&r);
        json_object_set_string_member(object, "out", o->out);
        json_object_set_double_member(object, "weights_share", weights_share(&r));
        seam_tool_print_json(object);
    } else if (ok) {
        print_table(&r, weights_share(&r));
    }
    close_run(&r);
    return ok ? 0 : seam_tool_fail("quantize", error, 1);
}

static const char *wrong_usage(const Options *o) {
    if (!o->model || !o->data || !o->out)
        return "--model, --data and --out are needed";
    if (!(o->loss >= 0 && o->loss <= 100) || o->frames < 0 || !(o->video_rate >= 0))
        return "--loss must be 0 to 100, --frames and --video-rate not negative";
    if ((o->fold || o->hold) && !o->recipe)
        return "--fold and --hold need the --recipe that dealt the records out";
    return seam_tool_parts_wrong(o->fold, o->hold);
}

int seam_cmd_quantize(int argc, char **argv) {
    Options o = {.loss = 0.2, .video_rate = 8, .frames = 4};
    const GOptionEntry entries[] = {
        {"model", 'm', 0, G_OPTION_ARG_FILENAME, &o.model, "The model", "M.seam"},
        {"data", 'd', 0, G_OPTION_ARG_FILENAME, &o.data, "Data folder (docs/data.md) that the choice is made on", "DIR"},
        {"out", 'o', 0, G_OPTION_ARG_FILENAME, &o.out, "Where the quantised model goes", "Q.seam"},
        {"loss", 0, 0, G_OPTION_ARG_DOUBLE, &o.loss, "Points by which no figure may fall (0.2)", "P"},
        {"bf16", 0, 0, G_OPTION_ARG_NONE, &o.bf16, "Weights that are not quantised run in bfloat16, not in single precision", NULL},
        {"recipe", 'r', 0, G_OPTION_ARG_FILENAME, &o.recipe, "The recipe that made the model, to measure on its parts and make thresholds anew", "R.json"},
        {"fold", 0, 0, G_OPTION_ARG_STRING, &o.fold, "As in training: this part was held back", "K/N"},
        {"hold", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o.hold, "As in training: these records were held back", "COLUMN=VALUE"},
        {"records", 0, 0, G_OPTION_ARG_FILENAME, &o.records, "Measure only on the recordings named in this file, a line each", "FILE"},
        {"class-names", 0, 0, G_OPTION_ARG_STRING, &o.class_names, "Names of the class numbers of YOLO labels", "A,B,C"},
        {"frames", 0, 0, G_OPTION_ARG_INT, &o.frames, "Pictures of a stream a window, at most, without a recipe; 0: all (4)", "N"},
        {"video-rate", 0, 0, G_OPTION_ARG_DOUBLE, &o.video_rate, "Pictures of a video a second that are read, without a recipe; 0: all (8)", "HZ"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &o.device, "auto, cpu or ref", "NAME"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &o.json, "Print one JSON object", NULL},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- make a model of 8-bit weights");
    g_option_context_add_main_entries(context, entries, NULL);
    GError *error = NULL;
    bool parsed = g_option_context_parse(context, &argc, &argv, &error);
    const char *wrong = !parsed || argc > 1 ? "takes options only" : wrong_usage(&o);
    int status = 2;
    if (wrong) {
        seam_tool_usage("quantize", error, wrong);
    } else {
        gst_init(NULL, NULL);
        status = quantize(&o);
    }
    g_free(o.model), g_free(o.data), g_free(o.out), g_free(o.records), g_free(o.recipe), g_free(o.fold), g_free(o.device), g_free(o.class_names);
    g_strfreev(o.hold);
    return status;
}
