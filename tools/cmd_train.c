// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam train`: a recipe and a data folder in, a model out. It makes the data with `seam synth` when the folder is not there and the recipe says how.
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/train/checkpoint.h"
#include "core/train/finish.h"
#include "core/train/trainer.h"
#include "tools/cmd_eval.h"
#include "tools/commands.h"
#include "tools/data_options.h"
#include "tools/parts.h"

typedef struct {
    char *recipe, *data, *out, *start, *device, *class_names, *fold, *results;
    char **hold; // "COLUMN=VALUE"
    gint64 steps, stop_after, seed;
    gboolean fresh, json;
} Options;

static void show_training(void *user, const SeamTrainProgress *p) {
    SeamProgressBar *bar = user;
    const char *stage = p->pretraining ? "pretraining" : "training";
    char left[24];
    g_autofree char *detail = g_strdup_printf("step %" G_GINT64_FORMAT "  loss %.3f (class %.3f, place %.3f, life %.3f, told %.3f, balance %.2f)  right %.0f %%  %.1f windows/s  %s left",
                                              p->step, p->loss, p->classify, p->localise, p->rul, p->generate, p->balance, 100 * p->accuracy, p->windows_per_second,
                                              seam_progress_time(p->seconds_left, left));
    g_autofree char *brief = g_strdup_printf("step %" G_GINT64_FORMAT "  loss %.3f (balance %.2f)  %.1f windows/s  %s left", p->step, p->loss, p->balance,
                                             p->windows_per_second, seam_progress_time(p->seconds_left, left));
    if (strcmp(bar->what, stage) != 0) {
        seam_progress_end(bar);
        seam_progress_begin(bar, stage, false);
    }
    if (p->resumed && p->step > 0 && bar->last_time == 0 && bar->last_percent < 0)
        seam_progress_note(bar, "going on from a checkpoint");
    seam_progress_show(bar, p->step, p->steps, p->pretraining ? brief : detail);
}

static void add_synth_option(JsonObject *synth, const char *name, JsonNode *node, gpointer user) {
    g_autofree char *value = json_node_get_value_type(node) == G_TYPE_STRING ? g_strdup(json_node_get_string(node)) : json_to_string(node, FALSE);
    g_autofree char *option = g_strdelimit(g_strdup(name), "_", '-');
    if (name[0] != '_') {
        g_ptr_array_add(user, g_strconcat("--", option, NULL));
        g_ptr_array_add(user, g_strdup(value));
    }
}

// {"count": 400, "seed": 1} becomes `synth --out DATA --count 400 --seed 1`.
static int make_data(const SeamRecipe *recipe, const char *path) {
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, g_strdup("synth"));
    g_ptr_array_add(argv, g_strdup("--out"));
    g_ptr_array_add(argv, g_strdup(path));
    json_object_foreach_member(recipe->synth, add_synth_option, argv);
    g_ptr_array_add(argv, NULL);
    return seam_cmd_synth((int)argv->len - 1, (char **)argv->pdata);
}

static char *command_text(const Options *o, const SeamRecipe *recipe) {
    GString *text = g_string_new(NULL);
    g_string_printf(text, "seam train --recipe %s --data %s --out %s --steps %" G_GINT64_FORMAT "%s%s", o->recipe, o->data, o->out, recipe->train.steps,
                    o->start ? " --start " : "", o->start ? o->start : "");
    if (o->fold)
        g_string_append_printf(text, " --fold %s", o->fold);
    for (char **hold = o->hold; hold && *hold; hold++)
        g_string_append_printf(text, " --hold %s", *hold);
    return g_string_free(text, FALSE);
}

// What the recipe says by the names of classes and channels must hold for the model to go on from.
static bool same_names(const SeamConfig *a, const SeamConfig *b) {
    bool same = a->n_classes == b->n_classes && a->n_modalities == b->n_modalities;
    for (int32_t c = 0; same && c < a->n_classes; c++)
        same = strcmp(a->class_name[c], b->class_name[c]) == 0;
    for (int32_t m = 0; same && m < a->n_modalities; m++)
        same = strcmp(a->modality[m].name, b->modality[m].name) == 0 && a->modality[m].front == b->modality[m].front &&
               a->modality[m].channels == b->modality[m].channels;
    return same;
}

// With --start the configuration is that of the model to go on from, normalisation included.
static bool take_start(const Options *o, SeamRecipe *recipe, SeamModel **start, GError **error) {
    *start = NULL;
    if (!o->start)
        return true;
    SeamModel *model = seam_model_load(o->start, error);
    if (model && !same_names(&model->config, &recipe->config))
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: its classes or modalities are not those of %s; go on with the recipe that made it", o->start,
                    o->recipe);
    else if (model)
        *start = seam_model_copy_for_training(model, error);
    seam_model_free(model);
    if (*start) {
        recipe->config = (*start)->config;
        recipe->given_mean = UINT32_MAX;
    }
    return *start != NULL;
}

static void print_result(const Options *o, const SeamEvaluation *e) {
    FILE *to = o->json ? stderr : stdout;
    if (e->n == 0)
        fprintf(to, "%s: written; the recipe leaves nothing to validate on\n", o->out);
    if (e->good + e->defect > 0)
        fprintf(to, "%s: validated on %d recordings: accuracy %.3f, macro-F1 %.3f, AUROC %.3f, boxes mAP50 %.3f, calibration error %.3f\n", o->out,
                e->n, e->by_class.accuracy, e->by_class.macro_f1, e->auroc, e->map50, e->ece);
    if (e->lives.n > 0)
        fprintf(to, "%s: remaining lives of %d: RMSE %.2f, PHM 2008 score %.1f, coverage %.3f, interval width %.1f\n", o->out, e->lives.n,
                e->lives.rmse, e->lives.score, e->lives.coverage, e->lives.interval_width);
}

// With held records they are what is told of; without, `--json` tells of the validation part.
static bool judge(const Options *o, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part, GError **error) {
    bool held = o->fold || o->hold;
    return (!held && !o->json) || seam_eval_part(o->out, recipe, o->device, data, part, held ? SEAM_PART_HELD : SEAM_PART_VALIDATION, o->results, o->json, error);
}

static bool train_on(const Options *o, SeamRecipe *recipe, const SeamDataset *data, SeamModel *start, const SeamKernels *kernels, GError **error) {
    SeamProgressBar bar;
    SeamEvaluation *validation = g_new0(SeamEvaluation, 1);
    SeamPart *part = g_new0(SeamPart, data->n + 1);
    g_autofree char *checkpoint = g_strconcat(o->out, ".checkpoint", NULL), *command = command_text(o, recipe);
    SeamTrainRun how = {.checkpoint = checkpoint, .start = start, .progress = show_training, .user = &bar, .stop_after = o->stop_after};
    if (!seam_tool_deal_parts(o->fold, o->hold, recipe, data, part, error)) {
        g_free(validation);
        g_free(part);
        return false;
    }
    if (recipe->train.good_only)
        seam_dataset_good_only(data, part);
    seam_train_measure(&recipe->config, recipe->given_mean, data, part);
    if (o->fresh)
        seam_checkpoint_remove(checkpoint);
    seam_progress_begin(&bar, "training", false);
    SeamModel *model = seam_train(recipe, &recipe->config, data, part, kernels, &how, error);
    seam_progress_end(&bar);
    bool ok = model != NULL;
    if (ok) {
        fprintf(stderr, "calibrating and measuring\n");
        ok = seam_train_finish(model, recipe, data, part, kernels, command, o->out, validation, error);
    }
    if (ok) {
        seam_checkpoint_remove(checkpoint);
        print_result(o, validation);
        ok = judge(o, recipe, data, part, error);
    }
    if (!start)
        seam_model_free(model);
    g_free(validation);
    g_free(part);
    return ok;
}

static int train(const Options *o) {
    GError *error = NULL;
    const SeamKernels *kernels = seam_device_kernels(o->device ? o->device : "auto", &error);
    SeamRecipe *recipe = kernels ? seam_recipe_read(o->recipe, &error) : NULL;
    if (!recipe)
        return seam_tool_fail("train", error, 1);
    if (o->steps > 0)
        recipe->train.steps = o->steps;
    if (o->seed >= 0)
        recipe->train.seed = (uint64_t)o->seed;
    SeamModel *start = NULL;
    int status = take_start(o, recipe, &start, &error) ? 0 : seam_tool_fail("train", error, 1);
    if (status == 0 && !g_file_test(o->data, G_FILE_TEST_EXISTS) && recipe->synth)
        status = make_data(recipe, o->data);
    SeamGrouping grouping = {.column = recipe->group, .pattern = recipe->group_pattern, .near_duplicates = recipe->near_duplicates};
    SeamDataset *data = status == 0 ? seam_tool_read_data(&recipe->config, o->data, recipe->train.video_rate, o->class_names, &grouping, NULL, true, &error) : NULL;
    if (status == 0 && (!data || !train_on(o, recipe, data, start, kernels, &error)))
        status = error ? seam_tool_fail("train", error, 1) : o->stop_after > 0 ? 0 : 1;
    seam_dataset_free(data);
    seam_model_free(start);
    seam_recipe_free(recipe);
    return status;
}

static bool check_held(const Options *o) {
    const char *wrong = seam_tool_parts_wrong(o->fold, o->hold);
    if (o->results && !o->fold && !o->hold && !o->json)
        wrong = "--results is of what --fold or --hold hold back";
    if (wrong)
        seam_tool_usage("train", NULL, wrong);
    return !wrong;
}

int seam_cmd_train(int argc, char **argv) {
    Options o = {.seed = -1};
    const GOptionEntry entries[] = {
        {"recipe", 'r', 0, G_OPTION_ARG_FILENAME, &o.recipe, "How the model is made (JSON; docs/training.md)", "FILE"},
        {"data", 'd', 0, G_OPTION_ARG_FILENAME, &o.data, "Data folder (docs/data.md); made by the recipe's \"synth\" if it is not there", "DIR"},
        {"out", 'o', 0, G_OPTION_ARG_FILENAME, &o.out, "Where the model goes; OUT.checkpoint keeps the state while it trains", "DIR.seam"},
        {"start", 0, 0, G_OPTION_ARG_FILENAME, &o.start, "Go on from this model: its configuration and parameters instead of the recipe's and drawn ones", "M.seam"},
        {"steps", 0, 0, G_OPTION_ARG_INT64, &o.steps, "Steps, instead of the recipe's", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &o.seed, "Seed, instead of the recipe's", "N"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &o.device, "auto, cpu or ref", "NAME"},
        {"class-names", 0, 0, G_OPTION_ARG_STRING, &o.class_names, "Names of the class numbers of YOLO labels", "A,B,C"},
        {"fold", 0, 0, G_OPTION_ARG_STRING, &o.fold, "Hold the K-th of N parts of the groups back, and judge it afterwards", "K/N"},
        {"hold", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o.hold, "Hold the records with that value in a column of the manifest; may be given again", "COLUMN=VALUE"},
        {"results", 0, 0, G_OPTION_ARG_FILENAME, &o.results, "Write windows and verdicts of what is held there (docs/results-format.md)", "FILE.jsonl"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &o.json, "Print one JSON object: what seam eval --json says of what is held, or of the validation part", NULL},
        {"fresh", 0, 0, G_OPTION_ARG_NONE, &o.fresh, "Begin anew although there is a checkpoint", NULL},
        {"stop-after", 0, 0, G_OPTION_ARG_INT64, &o.stop_after, "Leave after so many steps of this run, with a checkpoint", "N"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- train a model from a recipe and a data folder");
    g_option_context_add_main_entries(context, entries, NULL);
    GError *error = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error) || !o.recipe || !o.data || !o.out || argc > 1) {
        fprintf(stderr, "seam train: %s\n", error ? error->message : "--recipe, --data and --out are needed; see seam train --help");
        return 2;
    }
    if (!check_held(&o))
        return 2;
    gst_init(NULL, NULL);
    int status = train(&o);
    g_free(o.recipe), g_free(o.data), g_free(o.out), g_free(o.start), g_free(o.device), g_free(o.class_names), g_free(o.fold), g_free(o.results);
    g_strfreev(o.hold);
    return status;
}
