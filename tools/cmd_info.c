// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam info`: what a model is, in a table or as JSON. With --verify every value of every file is read and checked. It changes nothing.
#include <math.h>
#include <stdio.h>

#include "core/bundle.h"
#include "core/card.h"
#include "core/footprint.h"
#include "core/pack.h"
#include "core/weld.h"
#include "tools/commands.h"
#include "tools/data_options.h"

typedef struct {
    SeamBundle *bundle;
    SeamModel *model;
    SeamCalibration *calibration;
    bool verified;
} Info;

static const char *const fronts[] = {"image", "sensor", "text", "features"};
static const char *const kinds[] = {"classify", "localise", "anomaly", "rul", "generate"};
static const char *const makes[] = {[SEAM_GENERATE_FORECAST] = "forecast", [SEAM_GENERATE_TEXT] = "text", [SEAM_GENERATE_SIGNAL] = "signal"};

static bool open_info(Info *info, const char *path, bool verify, GError **error) {
    g_autofree char *where = g_build_filename(path, "model.json", NULL);
    info->bundle = seam_bundle_open(path, verify, error);
    if (!info->bundle)
        return false;
    info->calibration = seam_calibration_read(&info->bundle->config, info->bundle->meta, where, error);
    info->model = info->calibration ? seam_model_load(path, error) : NULL;
    info->verified = verify;
    return info->model != NULL;
}

static void close_info(Info *info) {
    seam_model_free(info->model);
    seam_calibration_free(info->calibration);
    seam_bundle_free(info->bundle);
}

static gint64 bundle_bytes(const SeamBundle *b) {
    size_t size, all = 0;
    if (seam_safetensors_bytes(b->weights, &size))
        all += size;
    for (int32_t t = 0; t < b->config.n_tasks; t++)
        if (b->adapter[t] && seam_safetensors_bytes(b->adapter[t], &size))
            all += size;
    return (gint64)all;
}

static int32_t memory_rows(const SeamModel *model, int32_t task) {
    int32_t rows = 0;
    for (int32_t m = 0; model->config.task[task].kind == SEAM_TASK_ANOMALY && m < model->config.n_modalities; m++)
        rows += model->task[task].anomaly.memory[m].n;
    return rows;
}

// "sensors + sound"; the caller frees it.
static char *set_name(const SeamConfig *config, uint32_t bits) {
    GString *text = g_string_new(NULL);
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (bits >> m & 1)
            g_string_append_printf(text, "%s%s", text->len ? " + " : "", config->modality[m].name);
    return g_string_free(text->len ? text : g_string_append(text, "(those that come now and then)"), FALSE);
}

// What is promised when the model does not say otherwise.
static void set_thresholds(const SeamCalibrationSet *set, float *pass_below, float *reject_above) {
    SeamWeldOptions weld = SEAM_WELD_OPTIONS_DEFAULT;
    seam_conformal_thresholds(set, weld.false_reject, weld.miss, pass_below, reject_above);
}

// ---- JSON ----------------------------------------------------------------------------------------------------------------------

static JsonArray *modalities_json(const SeamConfig *config) {
    JsonArray *array = json_array_new();
    for (int32_t m = 0; m < config->n_modalities; m++) {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", config->modality[m].name);
        json_object_set_string_member(o, "front", fronts[config->modality[m].front]);
        json_object_set_int_member(o, "channels", config->modality[m].channels);
        json_object_set_boolean_member(o, "sparse", config->modality[m].sparse);
        json_object_set_int_member(o, "tokens", seam_modality_tokens(config, m));
        json_array_add_object_element(array, o);
    }
    return array;
}

static JsonArray *tasks_json(const SeamModel *model) {
    JsonArray *array = json_array_new();
    for (int32_t t = 0; t < model->config.n_tasks; t++) {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", model->config.task[t].name);
        json_object_set_string_member(o, "kind", kinds[model->config.task[t].kind]);
        if (model->config.task[t].kind == SEAM_TASK_GENERATE)
            json_object_set_string_member(o, "what", makes[model->config.task[t].what]);
        if (*model->config.task[t].of)
            json_object_set_string_member(o, "modality", model->config.task[t].of);
        json_object_set_boolean_member(o, "ready", seam_model_task_ready(model, t));
        if (model->config.task[t].kind == SEAM_TASK_ANOMALY)
            json_object_set_int_member(o, "memory_rows", memory_rows(model, t));
        json_array_add_object_element(array, o);
    }
    return array;
}

static JsonArray *calibration_json(const SeamCalibration *c, const SeamConfig *config) {
    JsonArray *array = json_array_new();
    for (int32_t i = 0; i < c->n_sets; i++) {
        float pass_below, reject_above;
        JsonObject *o = json_object_new();
        JsonArray *names = json_array_new();
        for (int32_t m = 0; m < config->n_modalities; m++)
            if (c->set[i].present >> m & 1)
                json_array_add_string_element(names, config->modality[m].name);
        set_thresholds(&c->set[i], &pass_below, &reject_above);
        json_object_set_array_member(o, "modalities", names);
        json_object_set_string_member(o, "effort", seam_effort_name(c->set[i].at_effort ? SEAM_EFFORT_CALIBRATED : SEAM_EFFORT_FULL));
        json_object_set_int_member(o, "good", c->set[i].n_good);
        json_object_set_int_member(o, "defect", c->set[i].n_defect);
        if (isfinite(pass_below))
            json_object_set_double_member(o, "pass_below", pass_below);
        if (isfinite(reject_above))
            json_object_set_double_member(o, "reject_above", reject_above);
        json_array_add_object_element(array, o);
    }
    return array;
}

static JsonObject *effort_json(const SeamCalibration *c) {
    JsonObject *o = json_object_new();
    json_object_set_double_member(o, "expert_mass", c->effort.expert_mass);
    json_object_set_double_member(o, "exit_margin", c->effort.exit_margin);
    json_object_set_double_member(o, "loss", c->effort_loss);
    return o;
}

static JsonObject *memory_json(const SeamModel *model) {
    JsonObject *o = json_object_new();
    SeamFootprint f;
    seam_footprint(model, &f);
    json_object_set_int_member(o, "active_parameters", f.active);
    json_object_set_int_member(o, "weights", (gint64)f.kept);
    json_object_set_int_member(o, "running", (gint64)f.running);
    json_object_set_int_member(o, "training", (gint64)(f.weights + f.gradients + f.optimiser + f.training));
    return o;
}

static JsonObject *info_json(const Info *info) {
    const SeamBundle *b = info->bundle;
    JsonObject *o = json_object_new();
    JsonArray *classes = json_array_new();
    const char *const sections[] = {"name", "provenance", "metrics", "card", "quantised"};
    json_object_set_string_member(o, "path", b->path);
    json_object_set_string_member(o, "fingerprint", b->fingerprint);
    json_object_set_boolean_member(o, "verified", info->verified);
    json_object_set_int_member(o, "parameters", (gint64)info->model->params->size);
    json_object_set_int_member(o, "bytes", bundle_bytes(b));
    json_object_set_int_member(o, "dim", b->config.dim);
    json_object_set_int_member(o, "layers", b->config.layers);
    json_object_set_int_member(o, "experts", b->config.experts);
    json_object_set_int_member(o, "top_k", b->config.top_k);
    json_object_set_double_member(o, "window", b->config.window);
    json_object_set_object_member(o, "memory", memory_json(info->model));
    json_object_set_array_member(o, "modalities", modalities_json(&b->config));
    for (int32_t c = 0; c < b->config.n_classes; c++)
        json_array_add_string_element(classes, b->config.class_name[c]);
    json_object_set_array_member(o, "classes", classes);
    json_object_set_array_member(o, "tasks", tasks_json(info->model));
    json_object_set_string_member(o, "score", info->calibration->score_is_anomaly ? "anomaly" : "classify");
    json_object_set_array_member(o, "calibration", calibration_json(info->calibration, &b->config));
    if (seam_calibration_effort(info->calibration, info->calibration->effort) == SEAM_EFFORT_CALIBRATED)
        json_object_set_object_member(o, "effort", effort_json(info->calibration));
    if (isfinite(info->calibration->rul_margin))
        json_object_set_double_member(o, "rul_margin", info->calibration->rul_margin);
    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
        if (json_object_has_member(b->meta, sections[i]))
            json_object_set_member(o, sections[i], json_node_copy(json_object_get_member(b->meta, sections[i])));
    return o;
}

// ---- table ---------------------------------------------------------------------------------------------------------------------

static void print_modalities(const SeamConfig *config) {
    printf("\nmodalities\n");
    for (int32_t m = 0; m < config->n_modalities; m++) {
        const SeamModality *y = &config->modality[m];
        printf("  %-10s %-7s", y->name, fronts[y->front]);
        if (y->front == SEAM_FRONT_IMAGE)
            printf("%d x %d, %d plane%s", y->image.size, y->image.size, y->channels, y->channels > 1 ? "s" : "");
        else if (y->front == SEAM_FRONT_SENSOR)
            printf("%d channel%s at %g Hz", y->channels, y->channels > 1 ? "s" : "", y->sensor.rate);
        else if (y->front == SEAM_FRONT_FEATURES)
            printf("%d columns", y->channels);
        else
            printf("%d words", y->text.max_tokens);
        printf(", %d tokens%s\n", seam_modality_tokens(config, m), y->sparse ? ", comes now and then" : "");
    }
}

static void print_tasks(const SeamModel *model) {
    const SeamConfig *config = &model->config;
    printf(config->n_classes ? "\nclasses    " : "");
    for (int32_t c = 0; c < config->n_classes; c++)
        printf(" %s%s", config->class_name[c], c + 1 < config->n_classes ? "," : "\n");
    printf("\ntasks\n");
    for (int32_t t = 0; t < config->n_tasks; t++) {
        printf("  %-10s %-9s", config->task[t].name, kinds[config->task[t].kind]);
        if (config->task[t].kind == SEAM_TASK_GENERATE)
            printf("%s%s%s, ", makes[config->task[t].what], *config->task[t].of ? " of " : "", config->task[t].of);
        if (config->task[t].kind == SEAM_TASK_ANOMALY)
            printf("%d rows of good windows%s\n", memory_rows(model, t), seam_model_task_ready(model, t) ? "" : ": fit it with `seam adapt`");
        else
            printf("%s\n", seam_model_task_ready(model, t) ? "ready" : "not trained");
    }
}

static void print_calibration(const SeamCalibration *c, const SeamConfig *config) {
    if (isfinite(c->rul_margin))
        printf("\ncalibration of remaining lives: intervals of %g %%, %.3g s wider each way than the model's own quantiles\n", 100 * SEAM_RUL_LEVEL, c->rul_margin);
    if (c->n_sets == 0 && config->n_classes == 0)
        return;
    printf("\ncalibration of the %s score%s\n", c->score_is_anomaly ? "anomaly" : "classifier's", c->n_sets ? "" : ": none, every weld is referred");
    for (int32_t i = 0; i < c->n_sets; i++) {
        float pass_below, reject_above;
        g_autofree char *name = set_name(config, c->set[i].present);
        set_thresholds(&c->set[i], &pass_below, &reject_above);
        printf("  %-32s %4d good, %4d defective: pass below %.3g, reject above %.3g%s\n", name, c->set[i].n_good, c->set[i].n_defect, pass_below,
               reject_above, c->set[i].at_effort ? " (at the calibrated effort)" : "");
    }
    if (seam_calibration_effort(c, c->effort) == SEAM_EFFORT_CALIBRATED)
        printf("\ncalibrated effort: of a token's experts those that hold %g of their weight; a picture or window leaves at the first exit that is surer than "
               "%g; at most %g %% of the windows are lost by it\n", c->effort.expert_mass, c->effort.exit_margin, 100 * c->effort_loss);
}

static void print_member(JsonObject *object, const char *name, JsonNode *node, gpointer user) {
    if (!JSON_NODE_HOLDS_VALUE(node))
        return;
    GType type = json_node_get_value_type(node);
    if (type == G_TYPE_STRING)
        printf("  %-20s %s\n", name, json_node_get_string(node));
    else if (type == G_TYPE_DOUBLE)
        printf("  %-20s %.4g\n", name, json_node_get_double(node));
    else if (type == G_TYPE_INT64)
        printf("  %-20s %" G_GINT64_FORMAT "\n", name, json_node_get_int(node));
}

static void print_section(JsonObject *meta, const char *name) {
    JsonNode *node = json_object_get_member(meta, name);
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return;
    printf("\n%s\n", name);
    json_object_foreach_member(json_node_get_object(node), print_member, NULL);
}

// What the weights' file says, not what was written about it.
static void print_types(const Info *info) {
    const GPtrArray *tensors = info->model->params->tensors;
    g_autoptr(GString) kept = g_string_new(NULL);
    size_t all = 0, narrow = 0;
    for (guint i = 0; i < tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(tensors, i);
        all += t->size;
        narrow += t->type == SEAM_PACK_I8 ? t->size : 0;
        if (t->type != SEAM_PACK_I8 && seam_tensor_may_narrow(t))
            g_string_append_printf(kept, "%s%s%s", kept->len ? ", " : "", t->name, t->type == SEAM_PACK_BF16 ? " (bfloat16)" : "");
    }
    if (narrow == 0)
        return;
    print_section(info->bundle->meta, "quantised");
    printf("  %-20s %.2f of %.2f million weights\n  %-20s %s\n", "in 8 bits", (double)narrow / 1e6, (double)all / 1e6, "kept",
           kept->len ? kept->str : "nothing but what is never quantised: routers, norms, biases, heads");
}

// Wrapped at 110 columns.
static void print_wrapped(const char *text) {
    enum { COLUMNS = 110 };
    g_auto(GStrv) words = g_strsplit_set(text, " \t\n", -1);
    int column = 0;
    for (char **word = words; *word; word++) {
        int length = (int)g_utf8_strlen(*word, -1);
        if (length == 0)
            continue;
        if (column > 0 && column + 1 + length > COLUMNS) {
            printf("\n");
            column = 0;
        }
        printf("%s%s", column > 0 ? " " : "    ", *word);
        column += length + (column > 0);
    }
    printf("\n");
}

// The card is somebody else's text: what a terminal would obey becomes a space.
static void print_text(const char *name, const char *text) {
    GString *plain = g_string_new(NULL);
    for (const char *at = text; *at; at = g_utf8_next_char(at))
        g_string_append_unichar(plain, g_unichar_isprint(g_utf8_get_char(at)) ? g_utf8_get_char(at) : ' ');
    printf("  %s\n", name);
    print_wrapped(plain->str);
    g_string_free(plain, TRUE);
}

// "accuracy 0.73 [0.68, 0.79], ..."
static char *figures_text(JsonObject *figures) {
    JsonNode *node = json_object_get_member(figures, "interval");
    JsonObject *intervals = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    GString *text = g_string_new(NULL);
    JsonObjectIter iter;
    const char *name;
    json_object_iter_init_ordered(&iter, figures);
    while (json_object_iter_next_ordered(&iter, &name, &node)) {
        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) == G_TYPE_STRING || json_node_get_value_type(node) == G_TYPE_BOOLEAN)
            continue;
        g_string_append_printf(text, "%s%s %.4g", text->len ? ", " : "", name, json_node_get_double(node));
        JsonNode *pair = intervals ? json_object_get_member(intervals, name) : NULL;
        if (pair && JSON_NODE_HOLDS_ARRAY(pair))
            g_string_append_printf(text, " [%.3g, %.3g]", json_array_get_double_element(json_node_get_array(pair), 0),
                                   json_array_get_double_element(json_node_get_array(pair), 1));
    }
    return g_string_free(text, FALSE);
}

static JsonObject *object_of(JsonObject *o, const char *name) {
    return json_object_has_member(o, name) ? json_object_get_object_member(o, name) : NULL;
}

static double number_of(JsonObject *o, const char *name) {
    return json_object_get_double_member_with_default(o, name, NAN);
}

static void print_promises(JsonObject *promises) {
    static const char *const names[][2] = {{"false_reject", "good ones rejected"}, {"miss", "defective ones passed"}};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        JsonObject *p = object_of(promises, names[i][0]);
        if (!p || !json_object_has_member(p, "observed"))
            continue;
        g_autofree char *text = g_strdup_printf("%s: promised at most %.3g %%, came %.3g %% (95 %%: %.3g to %.3g %%): %s", names[i][1], 100 * number_of(p, "promised"),
                                                100 * number_of(p, "observed"), 100 * number_of(p, "low"), 100 * number_of(p, "high"),
                                                json_object_get_boolean_member_with_default(p, "held", FALSE) ? "held" : "not held");
        print_wrapped(text);
    }
}

static void print_card(JsonObject *meta) {
    JsonObject *card = object_of(meta, "card"), *split = card ? object_of(card, "split") : NULL, *figures = card ? object_of(card, "figures") : NULL;
    if (!card)
        return;
    static const char *const titles[] = {"data", "licence", "intended use", "limits", "traps"};
    printf("\nmodel card\n");
    for (size_t i = 0; seam_card_texts[i]; i++)
        if (json_object_has_member(card, seam_card_texts[i]))
            print_text(titles[i], json_object_get_string_member(card, seam_card_texts[i]));
    g_autofree char *parts = split ? figures_text(split) : NULL, *measured = figures ? figures_text(figures) : NULL;
    if (parts)
        print_text("split, in recordings", parts);
    if (figures)
        print_text("measured on", json_object_get_string_member_with_default(figures, "of", "?"));
    if (measured)
        print_text("figures, with 95 % intervals", measured);
    if (figures && object_of(figures, "promise"))
        print_promises(object_of(figures, "promise"));
}

static void print_info(const Info *info) {
    const SeamConfig *c = &info->bundle->config;
    printf("%s  %s\n\n", info->bundle->path, info->bundle->fingerprint);
    printf("%.2f million parameters, %.1f MB; dim %d, %d layers, %d heads\n", (double)info->model->params->size / 1e6,
           (double)bundle_bytes(info->bundle) / 1e6, c->dim, c->layers, c->heads);
    printf("%d experts in %d groups, %d a token; %d fusion layer%s; a decision every %g s\n", c->experts, c->groups, c->top_k, c->fusion_layers,
           c->fusion_layers == 1 ? "" : "s", c->window);
    SeamFootprint f;
    seam_footprint(info->model, &f);
    printf("memory: %.1f MB of weights and %.1f MB for one window; %.0f MB to train with one window a step\n", f.kept / 1e6, f.running / 1e6,
           (f.weights + f.gradients + f.optimiser + f.training) / 1e6);
    print_modalities(c);
    print_tasks(info->model);
    print_calibration(info->calibration, c);
    print_section(info->bundle->meta, "provenance");
    print_section(info->bundle->meta, "metrics");
    print_types(info);
    print_card(info->bundle->meta);
    if (info->verified)
        printf("\nverified: configuration, names, shapes, every value of weights, adapters and memories, calibration\n");
}

int seam_cmd_info(int argc, char **argv) {
    gboolean verify = FALSE, json = FALSE;
    const GOptionEntry entries[] = {{"verify", 0, 0, G_OPTION_ARG_NONE, &verify, "Read and check every value", NULL},
                                    {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print one JSON object", NULL},
                                    {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("MODEL.seam - show, and with --verify check, a model");
    g_option_context_add_main_entries(context, entries, NULL);
    GError *error = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2)
        return seam_tool_usage("info", error, "give one model: seam info MODEL.seam");
    Info info = {0};
    int status = 0;
    if (!open_info(&info, argv[1], verify, &error))
        status = seam_tool_fail("info", error, 1);
    else if (json)
        seam_tool_print_json(info_json(&info));
    else
        print_info(&info);
    close_info(&info);
    return status;
}
