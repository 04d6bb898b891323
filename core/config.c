// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The configuration as JSON: reading and printing. What makes sense is decided in config_check.c;
// here only types are checked.
#include "core/config.h"

#include <string.h>

#include "core/config_check.h"
#include "core/config_envelope.h"
#include "core/config_generate.h"
#include "core/config_options.h"
#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"

// ---- reading
// -------------------------------------------------------------------------------------

bool seam_config_read_fields(JsonObject *o, const SeamConfigField *fields, void *object,
                        const char *where, GError **error) {
    for (; fields->name; fields++) {
        int64_t value = 0;
        if (!seam_json_int(o, where, fields->name, fields->presence == SEAM_FIELD_NEEDED, fields->min, fields->max,
                           &value, error))
            return false;
        memcpy((char *)object + fields->offset, &(int32_t){(int32_t)value}, sizeof(int32_t));
    }
    return true;
}

static bool read_float(JsonObject *o, const char *where, const char *field, bool required,
                       double max, float *value, GError **error) {
    double number = *value;
    if (!seam_json_double(o, where, field, required, 0.0, max, &number, error))
        return false;
    *value = (float)number;
    return true;
}

// A text that fits `name`, into the zeroed struct.
static bool copy_name(char name[SEAM_NAME_LENGTH], const char *text, const char *field,
                      const char *where, GError **error) {
    if (strlen(text) < SEAM_NAME_LENGTH) {
        strcpy(name, text);
        return true;
    }
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                "%s: \"%s\" holds a name of %zu bytes, must be at most %d", where, field,
                strlen(text), SEAM_NAME_LENGTH - 1);
    return false;
}

static bool read_name(JsonObject *o, const char *where, const char *field,
                      char name[SEAM_NAME_LENGTH], GError **error) {
    const char *text = NULL;
    return seam_json_string(o, where, field, true, &text, error) &&
           copy_name(name, text, field, where, error);
}

static bool one_of(const char *text, const char *const *names, const char *field, const char *where,
                   unsigned *index, GError **error) {
    for (*index = 0; names[*index]; ++*index)
        if (strcmp(names[*index], text) == 0)
            return true;
    g_autofree char *shown = seam_json_excerpt(text);
    g_autofree char *known = g_strjoinv("\", \"", (char **)names);
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                "%s: \"%s\" is \"%s\", must be one of \"%s\"", where, field, shown, known);
    return false;
}

static bool read_one_of(JsonObject *o, const char *where, const char *field,
                        const char *const *names, unsigned *index, GError **error) {
    const char *text = NULL;
    return seam_json_string(o, where, field, true, &text, error) &&
           one_of(text, names, field, where, index, error);
}

static bool wrong_item(const char *where, const char *field, const char *wanted, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: \"%s\" must hold %s only", where, field,
                wanted);
    return false;
}

static bool holds(JsonNode *node, GType type) {
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

// An array of at most `most` items, or of exactly that many.
static bool read_array(JsonObject *o, const char *where, const char *field, bool required,
                       guint most, bool exact, JsonArray **array, GError **error) {
    *array = NULL;
    if (!seam_json_array(o, where, field, required, array, error))
        return false;
    guint n = *array ? json_array_get_length(*array) : most;
    if (n <= most && (!exact || n == most))
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"%s\" has %u items, must have %s%u",
                where, field, n, exact ? "" : "at most ", most);
    return false;
}

// names [n][SEAM_NAME_LENGTH]
static bool read_names(JsonArray *array, char (*names)[SEAM_NAME_LENGTH], const char *field,
                       const char *where, GError **error) {
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        if (!holds(node, G_TYPE_STRING))
            return wrong_item(where, field, "strings", error);
        if (!copy_name(names[i], json_node_get_string(node), field, where, error))
            return false;
    }
    return true;
}

// "mean" or "std": a number for each channel, or absent.
static bool read_floats(JsonObject *o, const char *where, const char *field, int32_t n,
                        float absent, float *values, GError **error) {
    JsonArray *array;
    if (!read_array(o, where, field, false, (guint)n, true, &array, error))
        return false;
    for (int32_t i = 0; i < n; i++) {
        JsonNode *node = array ? json_array_get_element(array, (guint)i) : NULL;
        if (node && !holds(node, G_TYPE_DOUBLE) && !holds(node, G_TYPE_INT64))
            return wrong_item(where, field, "numbers", error);
        values[i] = node ? (float)json_node_get_double(node) : absent;
    }
    return true;
}

// An array of whole numbers of at least `min`, at most as `most` and `exact` say; what is absent stays as it is. Returns how many in *n.
static bool read_wholes(JsonObject *o, const char *where, const char *field, bool required, int32_t most, bool exact, int32_t min, int32_t max,
                        int32_t *values, int32_t *n, GError **error) {
    JsonArray *array;
    if (!read_array(o, where, field, required, (guint)most, exact, &array, error))
        return false;
    *n = array ? (int32_t)json_array_get_length(array) : 0;
    for (int32_t i = 0; i < *n; i++) {
        JsonNode *node = json_array_get_element(array, (guint)i);
        int64_t value = holds(node, G_TYPE_INT64) ? json_node_get_int(node) : (int64_t)min - 1;
        if (value < min || value > max) {
            g_autofree char *wanted = g_strdup_printf("whole numbers from %d to %d", min, max);
            return wrong_item(where, field, wanted, error);
        }
        values[i] = (int32_t)value;
    }
    return true;
}

// "blocks": a number for each width of "stem", or absent.
static bool read_stem(JsonObject *o, const char *where, SeamImageConfig *image, GError **error) {
    int32_t n;
    return read_wholes(o, where, "stem", true, SEAM_MAX_STEM, false, 1, 8192, image->stem_width, &image->stem_layers, error) &&
           read_wholes(o, where, "blocks", false, image->stem_layers, true, 0, SEAM_MAX_BLOCKS, image->blocks, &n, error);
}

static bool read_normalise(JsonObject *o, const char *where, SeamImageConfig *image, GError **error) {
    unsigned how = 0;
    if (json_object_has_member(o, "normalise") && !read_one_of(o, where, "normalise", seam_config_normalise_names, &how, error))
        return false;
    image->normalise_picture = how == 1;
    return true;
}

// "columns" of recordings that name none: a number for each channel, or absent.
static bool read_sensor(JsonObject *o, const char *where, SeamModality *m, GError **error) {
    JsonArray *names;
    int32_t columns;
    return seam_json_double(o, where, "rate", true, 1e-3, 1e6, &m->sensor.rate, error) &&
           read_array(o, where, "channel_names", false, (guint)m->channels, true, &names, error) &&
           (!names || read_names(names, m->sensor.channel_name, "channel_names", where, error)) &&
           read_wholes(o, where, "columns", false, m->channels, true, 1, SEAM_MAX_COLUMN, m->sensor.column, &columns, error) &&
           seam_json_bool(o, where, "together", false, &m->sensor.together, error) &&
           seam_config_envelope_read(o, where, &m->sensor.envelope, error);
}

// The fields that every modality may have, and those of its front end.
static bool check_modality_fields(JsonObject *o, const char *where, SeamFront front,
                                  GError **error) {
    static const char *const fields[][20] = {
        [SEAM_FRONT_IMAGE] = {"name", "front", "channels", "delta_rank", "sparse", "arc_on", "mean",
                              "std", "size", "stem", "blocks", "normalise", NULL},
        [SEAM_FRONT_SENSOR] = {"name", "front", "channels", "delta_rank", "sparse", "arc_on",
                               "mean", "std", "rate", "patch", "time_bins", "fft", "bands",
                               "arc_channel", "channel_names", "columns", "together", "envelope", NULL},
        [SEAM_FRONT_TEXT] = {"name", "front", "channels", "delta_rank", "sparse", "arc_on", "mean",
                             "std", "buckets", "ngram_min", "ngram_max", "max_tokens", NULL},
        [SEAM_FRONT_FEATURES] = {"name", "front", "channels", "delta_rank", "sparse", "arc_on",
                                 "mean", "std", "tokens", "quantiles", NULL},
    };
    return seam_json_known(o, where, fields[front], error);
}

static bool read_modality(JsonObject *o, const char *where, void *object, GError **error) {
    SeamModality *m = object;
    unsigned front = 0;
    int64_t channels = 0, rank = 0;
    if (!read_one_of(o, where, "front", seam_config_front_names, &front, error) ||
        !check_modality_fields(o, where, (SeamFront)front, error) ||
        !read_name(o, where, "name", m->name, error) ||
        !seam_json_int(o, where, "channels", front != SEAM_FRONT_TEXT, 0,
                       seam_config_most_channels((SeamFront)front), &channels, error) ||
        !seam_json_int(o, where, "delta_rank", false, 0, 8192, &rank, error))
        return false;
    m->front = (SeamFront)front;
    m->channels = (int32_t)channels;
    m->delta_rank = (int32_t)rank;
    return seam_json_bool(o, where, "sparse", false, &m->sparse, error) &&
           read_float(o, where, "arc_on", false, 1e30, &m->arc_on, error) &&
           read_floats(o, where, "mean", m->channels, seam_config_default_mean(m->front), m->mean,
                       error) &&
           read_floats(o, where, "std", m->channels, seam_config_default_std(m->front), m->std,
                       error) &&
           seam_config_read_fields(o, seam_config_front_fields(m->front), m, where, error) &&
           (front != SEAM_FRONT_IMAGE || (read_stem(o, where, &m->image, error) &&
                                          read_normalise(o, where, &m->image, error))) &&
           (front != SEAM_FRONT_SENSOR || read_sensor(o, where, m, error));
}

static bool read_boxes(JsonObject *o, const char *where, SeamTask *task, GError **error) {
    unsigned boxes = SEAM_BOXES_COMPONENTS;
    if (json_object_has_member(o, "boxes") &&
        !read_one_of(o, where, "boxes", seam_config_box_names, &boxes, error))
        return false;
    task->boxes = (SeamBoxKind)boxes;
    return seam_json_bool(o, where, "by_class", false, &task->by_class, error) &&
           seam_json_bool(o, where, "good_boxes", false, &task->good_boxes, error);
}

static bool read_task(JsonObject *o, const char *where, void *object, GError **error) {
    static const char *const fields[][8] = {
        [SEAM_TASK_CLASSIFY] = {"name", "kind", "rank", NULL},
        [SEAM_TASK_LOCALISE] = {"name", "kind", "rank", "upscale", "boxes", "by_class",
                                "good_boxes", NULL},
        [SEAM_TASK_ANOMALY] = {"name", "kind", "rank", "memory", "neighbours", "patches", NULL},
        [SEAM_TASK_RUL] = {"name", "kind", "rank", "limit", "bins", NULL},
        [SEAM_TASK_GENERATE] = {NULL}, // config_generate.c
    };
    SeamTask *task = object;
    unsigned kind = 0;
    if (!read_one_of(o, where, "kind", seam_config_kind_names, &kind, error))
        return false;
    task->kind = (SeamTaskKind)kind;
    if (kind != SEAM_TASK_GENERATE && !seam_json_known(o, where, fields[kind], error))
        return false;
    return read_name(o, where, "name", task->name, error) &&
           seam_config_read_fields(o, seam_config_task_fields[kind], task, where, error) &&
           (kind != SEAM_TASK_LOCALISE || read_boxes(o, where, task, error)) &&
           (kind != SEAM_TASK_GENERATE || seam_config_generate_read(o, where, task, error));
}

// An array of objects, each into its struct, `step` bytes apart.
static bool read_objects(JsonObject *o, const char *where, const char *field, guint most,
                         void *objects, size_t step,
                         bool (*read)(JsonObject *, const char *, void *, GError **),
                         int32_t *count, GError **error) {
    JsonArray *array;
    if (!read_array(o, where, field, true, most, false, &array, error))
        return false;
    *count = (int32_t)json_array_get_length(array);
    for (int32_t i = 0; i < *count; i++) {
        g_autofree char *place = g_strdup_printf("%s: %s[%d]", where, field, i);
        JsonNode *node = json_array_get_element(array, (guint)i);
        if (!JSON_NODE_HOLDS_OBJECT(node))
            return wrong_item(where, field, "objects", error);
        if (!read(json_node_get_object(node), place, (char *)objects + (size_t)i * step, error))
            return false;
    }
    return true;
}

// "mixer": a name for all layers, or an array whose last one also holds for the layers after it.
static bool read_mixer(JsonObject *o, const char *where, SeamConfig *config, GError **error) {
    JsonNode *node = json_object_get_member(o, "mixer");
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    unsigned mixer = 0;
    if (!array && !read_one_of(o, where, "mixer", seam_config_mixer_names, &mixer, error))
        return false;
    guint n = array ? json_array_get_length(array) : 0;
    if (array && (n < 1 || n > (guint)config->layers)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "%s: \"mixer\" has %u items, must have 1 to \"layers\" (%d)", where, n,
                    config->layers);
        return false;
    }
    for (int32_t i = 0; i < config->layers; i++) {
        JsonNode *item = (guint)i < n ? json_array_get_element(array, (guint)i) : NULL;
        if (item && !holds(item, G_TYPE_STRING))
            return wrong_item(where, "mixer", "strings", error);
        if (item && !one_of(json_node_get_string(item), seam_config_mixer_names, "mixer", where,
                            &mixer, error))
            return false;
        config->mixer[i] = (SeamMixer)mixer;
    }
    return true;
}

// Both lists in one, whose strings stay theirs. g_free it.
static const char **join_names(const char *const *a, const char *const *b) {
    guint n = g_strv_length((char **)a), m = g_strv_length((char **)b);
    const char **all = g_new0(const char *, n + m + 1);
    memcpy(all, a, n * sizeof *a);
    memcpy(all + n, b, m * sizeof *b);
    return all;
}

static bool read_config(JsonObject *o, const char *where, SeamConfig *c, GError **error) {
    static const char *const fields[] = {"dim",
                                         "layers",
                                         "heads",
                                         "experts",
                                         "groups",
                                         "groups_kept",
                                         "top_k",
                                         "expert_width",
                                         "router_rank",
                                         "router_shared_a",
                                         "mixer",
                                         "local_radius",
                                         "gate_threshold",
                                         "fusion_layers",
                                         "fusion_neighbours",
                                         "fusion_width",
                                         "window",
                                         "modalities",
                                         "classes",
                                         "label_names",
                                         "tasks",
                                         NULL};
    JsonArray *classes, *labels;
    g_autofree const char **known = join_names(fields, seam_config_option_names);
    if (!seam_json_known(o, where, known, error) ||
        !seam_config_read_fields(o, seam_config_size_fields, c, where, error) ||
        !seam_json_bool(o, where, "router_shared_a", true, &c->router_shared_a, error) ||
        !read_mixer(o, where, c, error) ||
        !read_float(o, where, "gate_threshold", true, 1.0, &c->gate_threshold, error) ||
        !seam_json_double(o, where, "window", true, 0.001, 3600.0, &c->window, error) ||
        !seam_config_options_read(o, where, c, error) ||
        !read_array(o, where, "classes", true, SEAM_MAX_CLASSES, false, &classes, error) ||
        !read_names(classes, c->class_name, "classes", where, error) ||
        !read_array(o, where, "label_names", false, SEAM_MAX_CLASSES, false, &labels, error) ||
        (labels && !read_names(labels, c->label_name, "label_names", where, error)))
        return false;
    c->n_classes = (int32_t)json_array_get_length(classes);
    c->n_label_names = labels ? (int32_t)json_array_get_length(labels) : 0;
    return read_objects(o, where, "modalities", SEAM_MAX_MODALITIES, c->modality,
                        sizeof *c->modality, read_modality, &c->n_modalities, error) &&
           read_objects(o, where, "tasks", SEAM_MAX_TASKS, c->task, sizeof *c->task, read_task,
                        &c->n_tasks, error);
}

bool seam_config_parse(SeamConfig *config, const char *json, const char *where, GError **error) {
    // Every byte, padding and unused union members included, so that equal configurations are equal
    // memory.
    memset(config, 0, sizeof *config);
    JsonObject *object = seam_json_parse(json, where, error);
    if (!object)
        return false;
    bool good =
        read_config(object, where, config, error) && seam_config_validate(config, where, error);
    json_object_unref(object);
    return good;
}

// ---- printing
// ------------------------------------------------------------------------------------

double seam_config_widen(float value) {
    char buffer[G_ASCII_DTOSTR_BUF_SIZE], format[8];
    for (int precision = 6; precision <= 9; precision++) {
        g_snprintf(format, sizeof format, "%%.%dg", precision);
        g_ascii_formatd(buffer, sizeof buffer, format, (double)value);
        if ((float)g_ascii_strtod(buffer, NULL) == value)
            break;
    }
    return g_ascii_strtod(buffer, NULL);
}

static void print_fields(JsonObject *o, const SeamConfigField *fields, const void *object) {
    for (; fields->name; fields++) {
        int32_t value;
        memcpy(&value, (const char *)object + fields->offset, sizeof value);
        if (value != 0 || fields->presence != SEAM_FIELD_HIDDEN)
            json_object_set_int_member(o, fields->name, value);
    }
}

static JsonArray *names_array(const char (*names)[SEAM_NAME_LENGTH], int32_t n) {
    JsonArray *array = json_array_new();
    for (int32_t i = 0; i < n; i++)
        json_array_add_string_element(array, names[i]);
    return array;
}

static void print_floats(JsonObject *o, const char *field, const float *values, int32_t n) {
    JsonArray *array = json_array_new();
    for (int32_t i = 0; i < n; i++)
        json_array_add_double_element(array, seam_config_widen(values[i]));
    json_object_set_array_member(o, field, array);
}

static void print_columns(JsonObject *o, const SeamModality *m) {
    JsonArray *columns = json_array_new();
    for (int32_t i = 0; i < m->channels; i++)
        json_array_add_int_element(columns, m->sensor.column[i]);
    json_object_set_array_member(o, "columns", columns);
}

// A model without blocks has no "blocks", so that its configuration is that of the versions before them.
static void print_stem(JsonObject *o, const SeamImageConfig *image) {
    JsonArray *stem = json_array_new(), *blocks = json_array_new();
    int32_t all = 0;
    for (int32_t i = 0; i < image->stem_layers; i++) {
        json_array_add_int_element(stem, image->stem_width[i]);
        json_array_add_int_element(blocks, image->blocks[i]);
        all += image->blocks[i];
    }
    json_object_set_array_member(o, "stem", stem);
    if (all > 0)
        json_object_set_array_member(o, "blocks", blocks);
    else
        json_array_unref(blocks);
    if (image->normalise_picture)
        json_object_set_string_member(o, "normalise", seam_config_normalise_names[1]);
}

static void print_front(JsonObject *o, const SeamModality *m) {
    if (m->front == SEAM_FRONT_IMAGE)
        print_stem(o, &m->image);
    if (m->front == SEAM_FRONT_SENSOR) {
        json_object_set_double_member(o, "rate", m->sensor.rate);
        if (m->sensor.channel_name[0][0])
            json_object_set_array_member(o, "channel_names",
                                         names_array(m->sensor.channel_name, m->channels));
        if (m->sensor.column[0] > 0)
            print_columns(o, m);
        if (m->sensor.together)
            json_object_set_boolean_member(o, "together", true);
        if (m->sensor.envelope.bands)
            json_object_set_object_member(o, "envelope", seam_config_envelope_print(&m->sensor.envelope));
    }
}

static JsonObject *modality_object(const SeamModality *m) {
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "name", m->name);
    json_object_set_string_member(o, "front", seam_config_front_names[m->front]);
    json_object_set_int_member(o, "channels", m->channels);
    print_fields(o, seam_config_front_fields(m->front), m);
    print_front(o, m);
    json_object_set_int_member(o, "delta_rank", m->delta_rank);
    json_object_set_boolean_member(o, "sparse", m->sparse);
    json_object_set_double_member(o, "arc_on", seam_config_widen(m->arc_on));
    print_floats(o, "mean", m->mean, m->channels);
    print_floats(o, "std", m->std, m->channels);
    return o;
}

static JsonObject *task_object(const SeamTask *task) {
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "name", task->name);
    json_object_set_string_member(o, "kind", seam_config_kind_names[task->kind]);
    print_fields(o, seam_config_task_fields[task->kind], task);
    if (task->boxes != SEAM_BOXES_COMPONENTS) {
        json_object_set_string_member(o, "boxes", seam_config_box_names[task->boxes]);
        json_object_set_boolean_member(o, "by_class", task->by_class);
        json_object_set_boolean_member(o, "good_boxes", task->good_boxes);
    }
    if (task->kind == SEAM_TASK_GENERATE)
        seam_config_generate_print(task, o);
    return o;
}

// Without the repeats at the end: what a reader needs, and what stays right when "layers" is
// changed.
static JsonArray *mixer_array(const SeamConfig *config) {
    int32_t n = config->layers;
    while (n > 1 && config->mixer[n - 1] == config->mixer[n - 2])
        n--;
    JsonArray *array = json_array_new();
    for (int32_t i = 0; i < n; i++)
        json_array_add_string_element(array, seam_config_mixer_names[config->mixer[i]]);
    return array;
}

char *seam_config_print(const SeamConfig *config) {
    JsonObject *o = json_object_new();
    JsonArray *modalities = json_array_new(), *tasks = json_array_new();
    for (int32_t i = 0; i < config->n_modalities; i++)
        json_array_add_object_element(modalities, modality_object(&config->modality[i]));
    for (int32_t i = 0; i < config->n_tasks; i++)
        json_array_add_object_element(tasks, task_object(&config->task[i]));
    print_fields(o, seam_config_size_fields, config);
    json_object_set_boolean_member(o, "router_shared_a", config->router_shared_a);
    json_object_set_array_member(o, "mixer", mixer_array(config));
    json_object_set_double_member(o, "gate_threshold", seam_config_widen(config->gate_threshold));
    json_object_set_double_member(o, "window", config->window);
    seam_config_options_print(config, o);
    json_object_set_array_member(o, "modalities", modalities);
    json_object_set_array_member(o, "classes", names_array(config->class_name, config->n_classes));
    if (config->n_label_names > 0)
        json_object_set_array_member(o, "label_names",
                                     names_array(config->label_name, config->n_label_names));
    json_object_set_array_member(o, "tasks", tasks);
    char *text = seam_json_print(o);
    json_object_unref(o);
    return text;
}
