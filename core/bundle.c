// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The model's folder: which files it has, how they vouch for each other by fingerprint, and the
// order in which they are written.
#include "core/bundle.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/array_i8.h"
#include "core/card.h"
#include "core/error.h"
#include "core/files.h"
#include "core/pack.h"

static char *adapter_path(const char *path, const char *task) {
    g_autofree char *file = g_strconcat(task, ".safetensors", NULL);
    return g_build_filename(path, "adapters", file, NULL);
}

// ---- reading
// -------------------------------------------------------------------------------------

static void fingerprint(const SeamConfig *config, const SeamSafetensors *weights,
                        char out[SEAM_FINGERPRINT_LENGTH]) {
    g_autofree char *text = seam_config_print(config);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    size_t size;
    const unsigned char *bytes = seam_safetensors_bytes(weights, &size);
    g_checksum_update(sum, (const guchar *)text, -1);
    g_checksum_update(sum, bytes, (gssize)size);
    g_strlcpy(out, g_checksum_get_string(sum), SEAM_FINGERPRINT_LENGTH);
}

static bool read_config(SeamBundle *bundle, GError **error) {
    g_autofree char *path = g_build_filename(bundle->path, "model.json", NULL);
    JsonObject *object = NULL;
    bundle->meta = seam_json_read(path, error);
    if (!bundle->meta || !seam_json_object(bundle->meta, path, "config", true, &object, error))
        return false;
    g_autofree char *text = seam_json_print(object);
    JsonObject *card = NULL;
    return seam_config_parse(&bundle->config, text, path, error) &&
           seam_json_object(bundle->meta, path, "card", false, &card, error) &&
           (!card || seam_card_check(card, path, false, error));
}

static bool check_values(const SeamSafetensors *file, GError **error) {
    for (int32_t i = 0; i < seam_safetensors_count(file); i++) {
        const SeamArray *array = seam_safetensors_array(file, i);
        if (array->dtype == SEAM_I8 ? !seam_array_dequantise(file, array, 0, NULL, NULL, error) : !seam_array_check(file, array, error))
            return false;
    }
    return true;
}

static bool check_adapter(const SeamSafetensors *file, const char *task, const char *base,
                          GError **error) {
    const char *path = seam_safetensors_path(file);
    const char *found = seam_safetensors_metadata(file, "seam.base");
    const char *name = seam_safetensors_metadata(file, "seam.task");
    if (!found || !name) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING,
                    "%s: has no \"%s\" in its metadata: it is not an adapter that Seam wrote", path,
                    found ? "seam.task" : "seam.base");
        return false;
    }
    if (strcmp(name, task) != 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: is for the task \"%s\", not \"%s\"",
                    path, name, task);
        return false;
    }
    if (strcmp(found, base) != 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "%s: was made for the model %s, but the model is %s: use the model that it was "
                    "made for, or make it "
                    "anew with `seam adapt`",
                    path, found, base);
        return false;
    }
    return true;
}

SeamSafetensors *seam_bundle_read_adapter(const char *path, const char *task, const char *base,
                                          GError **error) {
    SeamSafetensors *file = seam_safetensors_read(path, error);
    if (file && !check_adapter(file, task, base, error))
        g_clear_pointer(&file, seam_safetensors_free);
    return file;
}

// A task without a file is not an error: the model was not taught it yet.
static bool read_adapters(SeamBundle *bundle, bool verify, GError **error) {
    for (int32_t i = 0; i < bundle->config.n_tasks; i++) {
        const char *task = bundle->config.task[i].name;
        g_autofree char *path = adapter_path(bundle->path, task);
        if (g_access(path, F_OK) != 0 && errno == ENOENT)
            continue;
        bundle->adapter[i] = seam_bundle_read_adapter(path, task, bundle->fingerprint, error);
        if (!bundle->adapter[i] || (verify && !check_values(bundle->adapter[i], error)))
            return false;
    }
    return true;
}

static bool read_bundle(SeamBundle *bundle, bool verify, GError **error) {
    g_autofree char *path = g_build_filename(bundle->path, "weights.safetensors", NULL);
    if (!read_config(bundle, error))
        return false;
    bundle->weights = seam_safetensors_read(path, error);
    if (!bundle->weights || (verify && !check_values(bundle->weights, error)))
        return false;
    fingerprint(&bundle->config, bundle->weights, bundle->fingerprint);
    return read_adapters(bundle, verify, error);
}

SeamBundle *seam_bundle_open(const char *path, bool verify, GError **error) {
    SeamBundle *bundle = g_new0(SeamBundle, 1);
    bundle->path = g_strdup(path);
    if (read_bundle(bundle, verify, error))
        return bundle;
    seam_bundle_free(bundle);
    return NULL;
}

void seam_bundle_free(SeamBundle *bundle) {
    if (!bundle)
        return;
    for (int32_t i = 0; i < SEAM_MAX_TASKS; i++)
        seam_safetensors_free(bundle->adapter[i]);
    seam_safetensors_free(bundle->weights);
    g_clear_pointer(&bundle->meta, json_object_unref);
    g_free(bundle->path);
    g_free(bundle);
}

// ---- parameters
// ----------------------------------------------------------------------------------

static bool selected(const char *name, const char *prefix) {
    return prefix ? g_str_has_prefix(name, prefix) : !g_str_has_prefix(name, "tasks.");
}

static char *shape_text(int32_t rank, const int32_t *shape) {
    GString *text = g_string_new("[");
    for (int32_t i = 0; i < rank; i++)
        g_string_append_printf(text, i > 0 ? ", %d" : "%d", shape[i]);
    return g_string_free(g_string_append_c(text, ']'), FALSE);
}

static bool check_tensor(const SeamSafetensors *file, const SeamTensor *tensor, GError **error) {
    const SeamArray *array = seam_safetensors_find(file, tensor->name);
    g_autofree char *wanted = shape_text(tensor->rank, tensor->shape);
    if (!array) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING,
                    "%s: tensor \"%s\" %s is missing: the file belongs to another configuration",
                    seam_safetensors_path(file), tensor->name, wanted);
        return false;
    }
    if (array->rank == tensor->rank &&
        memcmp(array->shape, tensor->shape, sizeof *array->shape * (size_t)array->rank) == 0)
        return array->dtype != SEAM_I8 || seam_array_scale(file, array, seam_tensor_rows(tensor), error);
    g_autofree char *found = shape_text(array->rank, array->shape);
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE,
                "%s: tensor \"%s\" is %s, must be %s by the configuration",
                seam_safetensors_path(file), tensor->name, found, wanted);
    return false;
}

// With a prefix, tensors outside it are the task's own data (the memory of "anomaly"); its layer
// checks them.
static bool check_unknown(const SeamSafetensors *file, const SeamParams *params, const char *prefix,
                          GError **error) {
    for (int32_t i = 0; i < seam_safetensors_count(file); i++) {
        const SeamArray *array = seam_safetensors_array(file, i);
        const char *name = array->name;
        bool ours = selected(name, prefix);
        if (ours ? seam_params_find(params, name) || seam_array_is_scale(file, array) : prefix != NULL)
            continue;
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT,
                    "%s: tensor \"%s\" is not part of the configured model",
                    seam_safetensors_path(file), name);
        return false;
    }
    return true;
}

bool seam_bundle_check_params(const SeamSafetensors *file, const SeamParams *params,
                              const char *prefix, GError **error) {
    for (guint i = 0; i < params->tensors->len; i++) {
        const SeamTensor *tensor = g_ptr_array_index(params->tensors, i);
        if (selected(tensor->name, prefix) && !check_tensor(file, tensor, error))
            return false;
    }
    return check_unknown(file, params, prefix, error);
}

// Values and type.
static bool load_tensor(const SeamSafetensors *file, SeamTensor *tensor, GError **error) {
    const SeamArray *array = seam_safetensors_find(file, tensor->name);
    tensor->type = array->dtype == SEAM_I8 ? SEAM_PACK_I8 : array->dtype == SEAM_BF16 ? SEAM_PACK_BF16 : SEAM_PACK_F32;
    g_clear_pointer(&tensor->scale, g_free);
    if (tensor->type != SEAM_PACK_I8)
        return seam_array_to_f32(file, array, tensor->data, error);
    tensor->scale = g_new(float, seam_tensor_rows(tensor));
    return seam_array_dequantise(file, array, seam_tensor_rows(tensor), tensor->data, tensor->scale, error);
}

bool seam_bundle_load_params(const SeamSafetensors *file, SeamParams *params, const char *prefix,
                             GError **error) {
    if (!seam_bundle_check_params(file, params, prefix, error))
        return false;
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *tensor = g_ptr_array_index(params->tensors, i);
        if (selected(tensor->name, prefix) && !load_tensor(file, tensor, error))
            return false;
    }
    return true;
}

// ---- writing
// -------------------------------------------------------------------------------------

static bool make_folder(const char *path, GError **error) {
    if (g_mkdir_with_parents(path, 0755) == 0)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: cannot make the folder: %s", path,
                g_strerror(errno));
    return false;
}

// What is written of one file: names of scales and quantised values are made for it, and owned.
typedef struct {
    GArray *arrays;   // of SeamNamedArray
    GPtrArray *owned;
} Written;

static void *own(Written *w, void *block) {
    g_ptr_array_add(w->owned, block);
    return block;
}

static void add_quantised(Written *w, const SeamTensor *tensor, SeamNamedArray array) {
    int32_t rows = seam_tensor_rows(tensor);
    int8_t *q = own(w, g_new(int8_t, tensor->size));
    float *scale = own(w, g_new(float, rows));
    seam_tensor_quantise(tensor, q, scale);
    array.dtype = SEAM_I8;
    array.data = q;
    g_array_append_val(w->arrays, array);
    array = (SeamNamedArray){.name = own(w, g_strconcat(tensor->name, ".scale", NULL)), .dtype = SEAM_F32, .rank = 1, .shape = {rows}, .data = scale};
    g_array_append_val(w->arrays, array);
}

// The chosen tensors of params, each in its type, and the extra ones.
static void begin_written(Written *w, const SeamParams *params, const char *prefix, bool f16, const SeamNamedArray *extra, int32_t n_extra) {
    w->arrays = g_array_new(FALSE, TRUE, sizeof(SeamNamedArray));
    w->owned = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < params->tensors->len; i++) {
        const SeamTensor *tensor = g_ptr_array_index(params->tensors, i);
        if (!selected(tensor->name, prefix))
            continue;
        SeamNamedArray array = {.name = tensor->name, .rank = tensor->rank, .data = tensor->data};
        array.dtype = tensor->type == SEAM_PACK_BF16 ? SEAM_BF16 : f16 ? SEAM_F16 : SEAM_F32;
        memcpy(array.shape, tensor->shape, sizeof array.shape);
        if (tensor->type == SEAM_PACK_I8)
            add_quantised(w, tensor, array);
        else
            g_array_append_val(w->arrays, array);
    }
    if (n_extra > 0)
        g_array_append_vals(w->arrays, extra, (guint)n_extra);
}

static bool write_file(Written *w, const char *path, const char *const *metadata, GError **error) {
    bool written = seam_safetensors_write(path, (const SeamNamedArray *)(void *)w->arrays->data, (int32_t)w->arrays->len, metadata, error);
    g_array_unref(w->arrays);
    g_ptr_array_unref(w->owned);
    return written;
}

bool seam_bundle_write_adapter(const char *path, const char *task, const char *base,
                               const SeamParams *params, bool f16, const SeamNamedArray *extra,
                               int32_t n_extra, JsonObject *meta, GError **error) {
    g_autofree char *prefix = g_strconcat("tasks.", task, ".", NULL);
    g_autofree char *text = meta ? seam_json_print(meta) : NULL;
    const char *metadata[] = {"seam.base", base, "seam.task", task, text ? "seam.meta" : NULL,
                              text,        NULL};
    Written w;
    begin_written(&w, params, prefix, f16, extra, n_extra);
    return write_file(&w, path, metadata, error);
}

// A new model.json: the members of `meta` but "config", over those of `old` (may be NULL), and then
// the config.
static bool write_json(const char *path, JsonObject *old, JsonObject *meta, JsonObject *config,
                       GError **error) {
    JsonObject *sources[] = {old, meta};
    JsonObject *whole = json_object_new();
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *node;
        if (!sources[i])
            continue;
        json_object_iter_init_ordered(&iter, sources[i]);
        while (json_object_iter_next_ordered(&iter, &name, &node))
            if (strcmp(name, "config") != 0)
                json_object_set_member(whole, name, json_node_copy(node));
    }
    json_object_set_object_member(whole, "config", json_object_ref(config));
    g_autofree char *file = g_build_filename(path, "model.json", NULL);
    g_autofree char *text = seam_json_print(whole);
    json_object_unref(whole);
    return seam_file_write_atomic(file, text, strlen(text), error);
}

// The bundle's weights, and the fingerprint that they have as they lie on disk.
static bool write_weights(const char *path, const SeamConfig *config, const SeamParams *params,
                          bool f16, char base[SEAM_FINGERPRINT_LENGTH], GError **error) {
    g_autofree char *file = g_build_filename(path, "weights.safetensors", NULL);
    Written w;
    begin_written(&w, params, NULL, f16, NULL, 0);
    SeamSafetensors *weights = write_file(&w, file, NULL, error) ? seam_safetensors_read(file, error) : NULL;
    if (weights)
        fingerprint(config, weights, base);
    seam_safetensors_free(weights);
    return weights != NULL;
}

static bool has_tensors(const SeamParams *params, const char *task) {
    g_autofree char *prefix = g_strconcat("tasks.", task, ".", NULL);
    for (guint i = 0; i < params->tensors->len; i++)
        if (g_str_has_prefix(((const SeamTensor *)g_ptr_array_index(params->tensors, i))->name,
                             prefix))
            return true;
    return false;
}

// A task without tensors has no file; one that an earlier model left behind would not fit the new
// weights.
static bool write_adapters(const char *path, const SeamConfig *config, const SeamParams *params,
                           bool f16, const char *base, GError **error) {
    for (int32_t i = 0; i < config->n_tasks; i++) {
        const char *task = config->task[i].name;
        g_autofree char *file = adapter_path(path, task);
        if (!has_tensors(params, task))
            g_unlink(file);
        else if (!seam_bundle_write_adapter(file, task, base, params, f16, NULL, 0, NULL, error))
            return false;
    }
    return true;
}

static JsonObject *config_object(const SeamConfig *config, const char *where, GError **error) {
    g_autofree char *text = seam_config_print(config);
    return seam_json_parse(text, where, error);
}

bool seam_bundle_write(const char *path, const SeamConfig *config, const SeamParams *params,
                       bool f16, JsonObject *meta, GError **error) {
    char base[SEAM_FINGERPRINT_LENGTH];
    g_autofree char *adapters = g_build_filename(path, "adapters", NULL);
    if (!seam_config_validate(config, path, error) || !make_folder(adapters, error) ||
        !write_weights(path, config, params, f16, base, error) ||
        !write_adapters(path, config, params, f16, base, error))
        return false;
    JsonObject *object = config_object(config, path, error);
    bool written = object && write_json(path, NULL, meta, object, error);
    g_clear_pointer(&object, json_object_unref);
    return written;
}

bool seam_bundle_write_meta(const char *path, JsonObject *meta, GError **error) {
    g_autofree char *file = g_build_filename(path, "model.json", NULL);
    JsonObject *config = NULL, *old = seam_json_read(file, error);
    bool written = old && seam_json_object(old, file, "config", true, &config, error) &&
                   write_json(path, old, meta, config, error);
    g_clear_pointer(&old, json_object_unref);
    return written;
}
