// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reading recipes. Fields are tables of name, limits and place, so that reading, checking and defaults stay in one line a field; a field
// that no table names is an error, because a misspelt one would be silently ignored.
#include "core/train/recipe.h"

#include <stddef.h>
#include <string.h>

#include "core/card.h"
#include "core/error.h"
#include "core/files.h"

static const size_t size_limit = (size_t)1 << 20;

typedef enum { NUMBER, WHOLE, WHOLE64, FLAG, OTHER } Kind;

typedef struct {
    const char *name;
    Kind kind;
    size_t offset;
    double min, max, initial;
} Field;

#define AUGMENT(field) offsetof(SeamAugment, field)
#define TRAIN(field) offsetof(SeamTrainOptions, field)
#define PRETRAIN(field) offsetof(SeamPretrainOptions, field)

static const Field augment_fields[] = {
    {"brightness", NUMBER, AUGMENT(brightness), 0, 1, 0.1},
    {"contrast", NUMBER, AUGMENT(contrast), 0, 1, 0.15},
    {"gamma", NUMBER, AUGMENT(gamma), 0, 1, 0.15},
    {"noise", NUMBER, AUGMENT(noise), 0, 100, 4},
    {"shift", NUMBER, AUGMENT(shift), 0, 0.5, 0.06},
    {"scale", NUMBER, AUGMENT(scale), 0, 0.5, 0.1},
    {"colour", NUMBER, AUGMENT(colour), 0, 1, 0},
    {"flip", FLAG, AUGMENT(flip), 0, 1, 0},
    {"flip_vertical", FLAG, AUGMENT(flip_vertical), 0, 1, 0},
    {"rotate", FLAG, AUGMENT(rotate), 0, 1, 0},
    {"erase", NUMBER, AUGMENT(erase), 0, 1, 0},
    {"gain", NUMBER, AUGMENT(gain), 0, 3, 0.1},
    {"sensor_noise", NUMBER, AUGMENT(sensor_noise), 0, 1, 0.02},
    {"equaliser", NUMBER, AUGMENT(equaliser), 0, 24, 0},
    {"speed", NUMBER, AUGMENT(speed), 0, 0.2, 0},
    {"time_shift", NUMBER, AUGMENT(time_shift), 0, 0.5, 0.05},
    {"channel_dropout", NUMBER, AUGMENT(channel_dropout), 0, 0.9, 0.05},
    {"modality_dropout", NUMBER, AUGMENT(modality_dropout), 0, 0.9, 0.25},
    {"alone", NUMBER, AUGMENT(alone), 0, 1, 0.25},
    {"offset", OTHER, 0, 0, 0, 0},
    {NULL, OTHER, 0, 0, 0, 0},
};

static const Field train_fields[] = {
    {"steps", WHOLE64, TRAIN(steps), 0, 1e9, 2000},
    {"batch", WHOLE, TRAIN(batch), 1, 4096, 16},
    {"chunks", WHOLE, TRAIN(chunks), 1, 256, 1},
    {"frames_per_window", WHOLE, TRAIN(frames), 1, 64, 2},
    {"eval_frames", WHOLE, TRAIN(eval_frames), 0, 1024, 4},
    {"lr", NUMBER, TRAIN(lr), 1e-8, 1, 1e-3},
    {"warmup", NUMBER, TRAIN(warmup), 0, 1e6, 100},
    {"weight_decay", NUMBER, TRAIN(weight_decay), 0, 1, 0.05},
    {"clip", NUMBER, TRAIN(clip), 1e-3, 1e6, 1},
    {"label_smoothing", NUMBER, TRAIN(label_smoothing), 0, 0.5, 0.05},
    {"ema", NUMBER, TRAIN(ema), 0, 0.99999, 0.995},
    {"balance", NUMBER, TRAIN(balance), 0, 10, 0.01},
    {"balance_rate", NUMBER, TRAIN(balance_rate), 0, 1, 0.001},
    {"classify", NUMBER, TRAIN(classify), 0, 100, 1},
    {"localise", NUMBER, TRAIN(localise), 0, 100, 1},
    {"box", NUMBER, TRAIN(box), 0, 100, 2},
    {"rul", NUMBER, TRAIN(rul), 0, 100, 1},
    {"generate", NUMBER, TRAIN(generate), 0, 100, 1},
    {"gate_weight", NUMBER, TRAIN(gate_weight), 0, 100, 0},
    {"gate_target", NUMBER, TRAIN(gate_target), 0, 1, 0.5},
    {"router_z", NUMBER, TRAIN(router_z), 0, 1, 0},
    {"exit", NUMBER, TRAIN(exit), 0, 100, 0.3},
    {"exit_leave", NUMBER, TRAIN(exit_leave), 0, 1, 0.5},
    {"positive", NUMBER, TRAIN(positive), 1, 1000, 4},
    {"good_only", FLAG, TRAIN(good_only), 0, 1, 0},
    {"quantise", FLAG, TRAIN(quantise), 0, 1, 0},
    {"good_share", NUMBER, TRAIN(good_share), 0, 1, 0.35},
    {"group_power", NUMBER, TRAIN(group_power), 0, 1, 1},
    {"video_rate", NUMBER, TRAIN(video_rate), 0, 1000, 8},
    {"checkpoint_seconds", NUMBER, TRAIN(checkpoint_seconds), 0, 1e6, 60},
    {"seed", OTHER, 0, 0, 0, 0},
    {"class_weights", OTHER, 0, 0, 0, 0},
    {NULL, OTHER, 0, 0, 0, 0},
};

static const Field pretrain_fields[] = {
    {"steps", WHOLE64, PRETRAIN(steps), 0, 1e9, 1000},
    {"batch", WHOLE, PRETRAIN(batch), 1, 4096, 16},
    {"mask", NUMBER, PRETRAIN(mask), 0.05, 0.95, 0.6},
    {"lr", NUMBER, PRETRAIN(lr), 1e-8, 1, 1e-3},
    {"warmup", NUMBER, PRETRAIN(warmup), 0, 1e6, 100},
    {NULL, OTHER, 0, 0, 0, 0},
};

static bool known_fields(JsonObject *o, const Field *fields, const char *const *more, const char *where, GError **error) {
    g_autoptr(GList) members = json_object_get_members(o);
    for (GList *l = members; l; l = l->next) {
        const char *name = l->data;
        bool known = name[0] == '_'; // "_note": a remark
        for (const Field *f = fields; !known && f && f->name; f++)
            known = strcmp(f->name, name) == 0;
        for (const char *const *m = more; !known && m && *m; m++)
            known = strcmp(*m, name) == 0;
        if (!known) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"%s\" is not a field of a recipe; see docs/training.md", where, name);
            return false;
        }
    }
    return true;
}

static void put(const Field *f, char *base, double value) {
    switch (f->kind) {
    case NUMBER: memcpy(base + f->offset, &value, sizeof value); break;
    case WHOLE: memcpy(base + f->offset, &(int32_t){(int32_t)value}, sizeof(int32_t)); break;
    case WHOLE64: memcpy(base + f->offset, &(int64_t){(int64_t)value}, sizeof(int64_t)); break;
    case FLAG: memcpy(base + f->offset, &(bool){value > 0}, sizeof(bool)); break;
    case OTHER: break;
    }
}

static bool read_field(JsonObject *o, const Field *f, char *base, const char *where, GError **error) {
    double value = f->initial;
    int64_t whole = (int64_t)f->initial;
    bool flag = f->initial > 0, ok = true;
    if (o && f->kind == NUMBER)
        ok = seam_json_double(o, where, f->name, false, f->min, f->max, &value, error);
    else if (o && (f->kind == WHOLE || f->kind == WHOLE64))
        ok = seam_json_int(o, where, f->name, false, (int64_t)f->min, (int64_t)f->max, &whole, error);
    else if (o && f->kind == FLAG)
        ok = seam_json_bool(o, where, f->name, false, &flag, error);
    put(f, base, f->kind == NUMBER ? value : f->kind == FLAG ? flag : (double)whole);
    return ok;
}

static bool read_fields(JsonObject *o, const Field *fields, char *base, const char *where, GError **error) {
    if (o && !known_fields(o, fields, NULL, where, error))
        return false;
    for (const Field *f = fields; f->name; f++)
        if (!read_field(o, f, base, where, error))
            return false;
    return true;
}

// ---- the model -----------------------------------------------------------------------------------------------------------------

static uint32_t modalities_with_mean(JsonArray *modalities) {
    uint32_t given = 0;
    for (guint i = 0; i < json_array_get_length(modalities) && i < SEAM_MAX_MODALITIES; i++) {
        JsonNode *node = json_array_get_element(modalities, i);
        if (JSON_NODE_HOLDS_OBJECT(node) && json_object_has_member(json_node_get_object(node), "mean"))
            given |= 1u << i;
    }
    return given;
}

// The preset's sizes, with the recipe's members over them.
static bool read_config(SeamRecipe *r, JsonObject *root, const char *where, GError **error) {
    const char *preset = "nano";
    JsonObject *own = NULL;
    JsonArray *modalities = NULL;
    SeamConfig sizes;
    memset(&sizes, 0, sizeof sizes);
    g_autofree char *place = g_strdup_printf("%s: config", where);
    if (!seam_json_string(root, where, "preset", false, &preset, error) || !seam_json_object(root, where, "config", true, &own, error) ||
        !seam_json_array(own, place, "modalities", true, &modalities, error))
        return false;
    if (!seam_config_preset(&sizes, preset, error)) {
        g_prefix_error(error, "%s: ", where);
        return false;
    }
    g_autofree char *printed = seam_config_print(&sizes);
    JsonObject *whole = seam_json_parse(printed, preset, error);
    if (!whole)
        return false;
    g_autoptr(GList) members = json_object_get_members(own);
    for (GList *l = members; l; l = l->next)
        json_object_set_member(whole, l->data, json_node_copy(json_object_get_member(own, l->data)));
    g_autofree char *text = seam_json_print(whole);
    json_object_unref(whole);
    r->given_mean = modalities_with_mean(modalities);
    return seam_config_parse(&r->config, text, place, error);
}

// "offset": {"Wire Consumed": 100}: by the names of sensor channels.
static bool read_offsets(SeamRecipe *r, JsonObject *augment, const char *where, GError **error) {
    JsonObject *offset = NULL;
    if (!seam_json_object(augment, where, "offset", false, &offset, error))
        return false;
    g_autoptr(GList) members = offset ? json_object_get_members(offset) : NULL;
    for (GList *l = members; l; l = l->next) {
        double value = 0;
        bool found = false;
        if (!seam_json_double(offset, where, l->data, true, 0, 1e9, &value, error))
            return false;
        for (int32_t m = 0; m < r->config.n_modalities; m++)
            for (int32_t c = 0; r->config.modality[m].front == SEAM_FRONT_SENSOR && c < r->config.modality[m].channels; c++)
                if (strcmp(r->config.modality[m].sensor.channel_name[c], l->data) == 0) {
                    r->augment.offset[m][c] = value;
                    found = true;
                }
        if (!found) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"offset\": no sensor channel is called \"%s\"", where, (char *)l->data);
            return false;
        }
    }
    return true;
}

// ---- training ------------------------------------------------------------------------------------------------------------------

static bool read_class_weights(SeamRecipe *r, JsonObject *train, const char *where, GError **error) {
    JsonObject *weights = NULL;
    for (int32_t c = 0; c < r->config.n_classes; c++)
        r->train.class_weight[c] = 1;
    if (!seam_json_object(train, where, "class_weights", false, &weights, error))
        return false;
    g_autoptr(GList) members = weights ? json_object_get_members(weights) : NULL;
    for (GList *l = members; l; l = l->next) {
        int32_t c = seam_config_class(&r->config, l->data);
        if (c < 0) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"class_weights\": there is no class \"%s\"", where, (char *)l->data);
            return false;
        }
        if (!seam_json_double(weights, where, l->data, true, 0, 1000, &r->train.class_weight[c], error))
            return false;
    }
    return true;
}

// A regular expression whose first parenthesis names the group.
static bool check_pattern(const char *pattern, const char *where, GError **error) {
    g_autoptr(GError) wrong = NULL;
    g_autoptr(GRegex) regex = pattern ? g_regex_new(pattern, 0, 0, &wrong) : NULL;
    if (!pattern || (regex && g_regex_get_capture_count(regex) > 0))
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"group_pattern\": %s", where,
                wrong ? wrong->message : "no parenthesis in it: what the first one matches names the group");
    return false;
}

bool seam_recipe_check_chunks(const SeamRecipe *r, const SeamConfig *config, GError **error) {
    int32_t chunks = r->train.chunks;
    if (chunks == 1 && config->bank_slots > 0 && r->train.steps > 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"bank_slots\" is %d, but \"chunks\" is 1: windows that are drawn one by one teach a memory bank nothing; set "
                    "\"chunks\" of \"train\" to 2 or more, or leave \"bank_slots\" and \"bank_write\" out", r->path, config->bank_slots);
    else if (chunks > 1 && !seam_config_carries(config))
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"chunks\" is %d, but the model carries nothing from one window to the next: give it \"bank_slots\" or a layer "
                    "with \"mixer\" \"scan\", or leave \"chunks\" out", r->path, chunks);
    else if (chunks > 1 && config->windows > 0 && chunks > config->windows)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"chunks\" is %d, must be at most \"windows\" (%d): more of a recording is never read", r->path, chunks,
                    config->windows);
    else
        return true;
    return false;
}

// Scores are calibrated in folds, lives are not.
static bool check_folds(const SeamRecipe *r, const char *where, GError **error) {
    bool lives = false;
    for (int32_t t = 0; t < r->config.n_tasks; t++)
        lives |= r->config.task[t].kind == SEAM_TASK_RUL;
    if (!lives && r->calibration == 0 && r->calibration_folds > 1)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"calibration_folds\" is %d, %s", where, r->calibration_folds,
                lives                  ? "but a task of kind \"rul\" needs a \"calibration\" part in its place"
                : r->calibration > 0   ? "and \"calibration\" must be 0 beside it"
                                       : "must be at least 2, or 0 for none");
    return false;
}

static bool read_split(SeamRecipe *r, JsonObject *root, const char *where, GError **error) {
    static const char *const names[] = {"by", "validation", "calibration", "calibration_folds", "group", "group_pattern", "near_duplicates", NULL};
    const char *by = "group", *group = NULL, *pattern = NULL;
    JsonObject *split = NULL;
    int64_t folds = 0;
    r->validation = r->calibration = 0.15;
    if (!seam_json_object(root, where, "split", false, &split, error))
        return false;
    if (!split)
        return true;
    if (!known_fields(split, NULL, names, where, error) || !seam_json_string(split, where, "by", false, &by, error) ||
        !seam_json_double(split, where, "validation", false, 0, 0.45, &r->validation, error) ||
        !seam_json_double(split, where, "calibration", false, 0, 0.45, &r->calibration, error) ||
        !seam_json_int(split, where, "calibration_folds", false, 0, 100, &folds, error) ||
        !seam_json_string(split, where, "group", false, &group, error) || !seam_json_string(split, where, "group_pattern", false, &pattern, error) ||
        !seam_json_bool(split, where, "near_duplicates", false, &r->near_duplicates, error) || !check_pattern(pattern, where, error))
        return false;
    r->group = g_strdup(group);
    r->group_pattern = g_strdup(pattern);
    r->calibration_folds = (int32_t)folds;
    if (folds > 0 && !check_folds(r, where, error))
        return false;
    if (strcmp(by, "group") != 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "%s: split \"by\" is \"%s\", must be \"group\"", where, by);
        return false;
    }
    return true;
}

static bool read_train(SeamRecipe *r, JsonObject *root, const char *where, GError **error) {
    static const char *const calibrate_names[] = {"false_reject", "miss", "top_fraction", "effort_loss", NULL};
    JsonObject *train = NULL, *augment = NULL, *calibrate = NULL;
    int64_t seed = 1;
    r->false_reject = 0.005;
    r->miss = 0.01;
    r->top_fraction = 0.25;
    if (!seam_json_object(root, where, "train", true, &train, error) || !seam_json_object(root, where, "augment", false, &augment, error) ||
        !seam_json_object(root, where, "calibrate", false, &calibrate, error) ||
        !read_fields(train, train_fields, (char *)&r->train, where, error) ||
        !read_fields(augment, augment_fields, (char *)&r->augment, where, error) ||
        !seam_json_int(train, where, "seed", false, 0, G_MAXINT64, &seed, error) || !read_class_weights(r, train, where, error) ||
        (augment && !read_offsets(r, augment, where, error)))
        return false;
    r->train.seed = (uint64_t)seed;
    return !calibrate || (known_fields(calibrate, NULL, calibrate_names, where, error) &&
                          seam_json_double(calibrate, where, "effort_loss", false, 0, 0.5, &r->effort_loss, error) &&
                          seam_json_double(calibrate, where, "false_reject", false, 1e-6, 0.5, &r->false_reject, error) &&
                          seam_json_double(calibrate, where, "miss", false, 1e-6, 0.5, &r->miss, error) &&
                          seam_json_double(calibrate, where, "top_fraction", false, 1e-6, 1, &r->top_fraction, error));
}

static bool read_pretrain(SeamRecipe *r, JsonObject *root, const char *where, GError **error) {
    JsonObject *pretrain = NULL;
    if (!seam_json_object(root, where, "pretrain", false, &pretrain, error) ||
        !read_fields(pretrain, pretrain_fields, (char *)&r->pretrain, where, error))
        return false;
    if (!pretrain)
        r->pretrain.steps = 0;
    return true;
}

static bool read_root(SeamRecipe *r, JsonObject *root, const char *where, GError **error) {
    static const char *const names[] = {"name", "preset", "config", "synth", "split", "augment", "pretrain", "train", "calibrate", "card", NULL};
    const char *name = "model";
    JsonObject *synth = NULL, *card = NULL;
    if (!known_fields(root, NULL, names, where, error) || !seam_json_string(root, where, "name", true, &name, error) ||
        !seam_json_object(root, where, "synth", false, &synth, error) || !seam_json_object(root, where, "card", false, &card, error) ||
        (card && !seam_card_check(card, where, true, error)))
        return false;
    r->name = g_strdup(name);
    r->synth = synth ? json_object_ref(synth) : NULL;
    r->card = card ? json_object_ref(card) : NULL;
    return read_config(r, root, where, error) && read_split(r, root, where, error) && read_pretrain(r, root, where, error) &&
           read_train(r, root, where, error) && seam_recipe_check_chunks(r, &r->config, error);
}

SeamRecipe *seam_recipe_parse(const char *text, const char *where, GError **error) {
    JsonObject *root = seam_json_parse(text, where, error);
    if (!root)
        return NULL;
    SeamRecipe *r = g_new0(SeamRecipe, 1);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    r->path = g_strdup(where);
    r->hash = g_strndup(digest, 16);
    if (!read_root(r, root, where, error))
        g_clear_pointer(&r, seam_recipe_free);
    json_object_unref(root);
    return r;
}

SeamRecipe *seam_recipe_read(const char *path, GError **error) {
    size_t size;
    g_autofree char *text = seam_file_read(path, size_limit, &size, error);
    return text ? seam_recipe_parse(text, path, error) : NULL;
}

void seam_recipe_free(SeamRecipe *recipe) {
    if (!recipe)
        return;
    g_free(recipe->path);
    g_free(recipe->name);
    g_free(recipe->hash);
    g_free(recipe->group);
    g_free(recipe->group_pattern);
    g_clear_pointer(&recipe->synth, json_object_unref);
    g_clear_pointer(&recipe->card, json_object_unref);
    g_free(recipe);
}
