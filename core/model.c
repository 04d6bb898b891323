// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The model: which layers it has, where their parameters come from, who holds them, and the forward
// stages. It owns the process-wide cache of loaded models. The backward stages are in
// model_train.c; the arithmetic is in the layers.
#include "core/model.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/model_exit.h"
#include "core/pack.h"

// A task that was swapped in: its parameters (or memory), shared by all models that have it.
typedef struct {
    int refs;
    SeamParams *params;
    SeamAnomaly *memory; // of an anomaly task, else NULL
} Adapter;

// What stands behind every SeamModel. All counts are changed under the lock.
typedef struct Holder {
    SeamModel model; // first: a SeamModel * is a Holder *
    int refs;
    uint32_t ready;                   // bits of the tasks with parameters of their own
    struct Holder *base;              // whose parameters these are; NULL: its own
    Adapter *adapter[SEAM_MAX_TASKS]; // in place of the base's
    const SeamKernels *kernels;       // whose products the weights are packed for; NULL: they are not
    bool shed;                        // the packed form alone is kept
    char *key;                        // in the cache, or NULL
} Holder;

static GMutex lock;
static GHashTable *cache; // key -> Holder, not counted; made at the first use

// ---- holders ----------------------------------------------------------------------------------

static void adapter_unref(Adapter *adapter) {
    if (!adapter || --adapter->refs > 0)
        return;
    if (adapter->memory)
        seam_anomaly_clear(adapter->memory);
    g_free(adapter->memory);
    seam_params_free(adapter->params);
    g_free(adapter);
}

// What a model that is its own base has allocated.
static void clear_own(SeamModel *model) {
    const SeamConfig *config = &model->config;
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_SENSOR)
            seam_sensor_embed_clear(&model->embed[m].sensor);
    for (int32_t t = 0; t < config->n_tasks; t++)
        if (config->task[t].kind == SEAM_TASK_ANOMALY)
            seam_anomaly_clear(&model->task[t].anomaly);
    seam_params_free(model->params);
}

// A holder that nobody holds any more; under the lock, unless it was never handed out.
static void holder_free(Holder *holder) {
    if (holder->key)
        g_hash_table_remove(cache, holder->key);
    for (int32_t t = 0; t < SEAM_MAX_TASKS; t++)
        adapter_unref(holder->adapter[t]);
    if (!holder->base)
        clear_own(&holder->model);
    else if (--holder->base->refs == 0)
        holder_free(holder->base);
    g_free(holder->key);
    g_free(holder);
}

SeamModel *seam_model_ref(SeamModel *model) {
    g_mutex_lock(&lock);
    ((Holder *)model)->refs++;
    g_mutex_unlock(&lock);
    return model;
}

void seam_model_release(SeamModel *model) {
    if (!model)
        return;
    g_mutex_lock(&lock);
    if (--((Holder *)model)->refs == 0)
        holder_free((Holder *)model);
    g_mutex_unlock(&lock);
}

void seam_model_free(SeamModel *model) {
    seam_model_release(model);
}

// ---- layers -----------------------------------------------------------------------------------

static void declare_task(const SeamConfig *config, int32_t task, SeamParams *params,
                         SeamModel *model) {
    switch (config->task[task].kind) {
    case SEAM_TASK_CLASSIFY:
        seam_classify_declare(&model->task[task].classify, params, config, task);
        break;
    case SEAM_TASK_LOCALISE:
        seam_localise_declare(&model->task[task].localise, params, config, task);
        break;
    case SEAM_TASK_ANOMALY:
        seam_anomaly_declare(&model->task[task].anomaly, config, task);
        break;
    case SEAM_TASK_RUL:
        seam_survival_declare(&model->task[task].survival, params, config, task);
        break;
    case SEAM_TASK_GENERATE:
        seam_generator_declare(&model->task[task].generate, params, config, task);
        break;
    }
}

static bool declare_embed(SeamModel *model, int32_t modality, GError **error) {
    const SeamConfig *config = &model->config;
    switch (config->modality[modality].front) {
    case SEAM_FRONT_IMAGE:
        seam_image_embed_declare(&model->embed[modality].image, model->params, config, modality);
        return true;
    case SEAM_FRONT_TEXT:
        seam_text_embed_declare(&model->embed[modality].text, model->params, config, modality);
        return true;
    case SEAM_FRONT_FEATURES:
        seam_feature_embed_declare(&model->embed[modality].features, model->params, config,
                                   modality);
        return true;
    case SEAM_FRONT_SENSOR:
        break;
    }
    if (seam_sensor_embed_declare(&model->embed[modality].sensor, model->params, config, modality))
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY,
                "no memory for the tables of \"%s\": choose a smaller \"fft\" or \"patch\"",
                config->modality[modality].name);
    return false;
}

static bool declare_layers(SeamModel *model, GError **error) {
    const SeamConfig *config = &model->config;
    model->params = seam_params_new();
    seam_project_declare(&model->project, model->params, config);
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (!declare_embed(model, m, error))
            return false;
    for (int32_t l = 0; l < config->layers; l++)
        seam_encoder_declare(&model->encoder[l], model->params, config, l,
                             l > 0 && config->router_shared_a ? model->encoder[0].moe.a : NULL);
    for (int32_t l = 0; l < config->layers; l++)
        if (seam_exit_at(config, l))
            seam_exit_declare(&model->exit[l], model->params, config, l);
    seam_fusion_declare(&model->fusion, model->params, config);
    if (config->bank_slots > 0)
        seam_bank_declare(&model->bank, model->params, config);
    for (int32_t t = 0; t < config->n_tasks; t++)
        declare_task(config, t, model->params, model);
    return true;
}

// A model with all its layers, without memory for their values.
static Holder *holder_new(const SeamConfig *config, GError **error) {
    Holder *holder = g_new0(Holder, 1);
    holder->refs = 1;
    holder->model.config = *config;
    if (!declare_layers(&holder->model, error))
        g_clear_pointer(&holder, holder_free);
    return holder;
}

// ---- making and loading -----------------------------------------------------------------------

SeamModel *seam_model_outline(const SeamConfig *config, GError **error) {
    Holder *holder =
        seam_config_validate(config, "model", error) ? holder_new(config, error) : NULL;
    return holder ? &holder->model : NULL;
}

SeamModel *seam_model_new(const SeamConfig *config, bool with_grad, uint64_t seed, GError **error) {
    Holder *holder = (Holder *)seam_model_outline(config, error);
    if (!holder)
        return NULL;
    if (!seam_params_allocate(holder->model.params, with_grad, error)) {
        holder_free(holder);
        return NULL;
    }
    seam_params_init(holder->model.params, seed);
    holder->ready = (1u << config->n_tasks) - 1;
    return &holder->model;
}

SeamModel *seam_model_copy_for_training(const SeamModel *model, GError **error) {
    g_assert(!((const Holder *)model)->shed);
    SeamModel *copy = seam_model_new(&model->config, true, 0, error);
    if (copy) {
        memcpy(copy->params->data, model->params->data, copy->params->size * sizeof(float));
        memcpy(copy->fingerprint, model->fingerprint, sizeof copy->fingerprint);
    }
    return copy;
}

// Loads the values of one task from its file, or with `check` only looks whether they would fit.
static bool load_task(const SeamConfig *config, int32_t task, const SeamSafetensors *file,
                      bool check, SeamParams *params, SeamModel *model, GError **error) {
    g_autofree char *prefix = g_strconcat("tasks.", config->task[task].name, ".", NULL);
    if (check)
        return seam_bundle_check_params(file, params, prefix, error);
    if (!seam_bundle_load_params(file, params, prefix, error))
        return false;
    return config->task[task].kind != SEAM_TASK_ANOMALY ||
           seam_anomaly_load(&model->task[task].anomaly, file, error);
}

// All checks of names and shapes come before the memory: a small file cannot make us allocate much.
static bool load_values(Holder *holder, const SeamBundle *bundle, GError **error) {
    SeamModel *model = &holder->model;
    if (!seam_bundle_check_params(bundle->weights, model->params, NULL, error))
        return false;
    for (int32_t t = 0; t < model->config.n_tasks; t++)
        if (bundle->adapter[t] &&
            !load_task(&model->config, t, bundle->adapter[t], true, model->params, model, error))
            return false;
    if (!seam_params_allocate(model->params, false, error) ||
        !seam_bundle_load_params(bundle->weights, model->params, NULL, error))
        return false;
    for (int32_t t = 0; t < model->config.n_tasks; t++) {
        if (!bundle->adapter[t])
            continue;
        if (!load_task(&model->config, t, bundle->adapter[t], false, model->params, model, error))
            return false;
        holder->ready |= 1u << t;
    }
    return true;
}

static Holder *load_holder(const char *path, GError **error) {
    SeamBundle *bundle = seam_bundle_open(path, false, error);
    Holder *holder = bundle ? holder_new(&bundle->config, error) : NULL;
    if (holder)
        memcpy(holder->model.fingerprint, bundle->fingerprint, sizeof holder->model.fingerprint);
    if (holder && !load_values(holder, bundle, error))
        g_clear_pointer(&holder, holder_free);
    seam_bundle_free(bundle);
    return holder;
}

SeamModel *seam_model_load(const char *path, GError **error) {
    Holder *holder = load_holder(path, error);
    return holder ? &holder->model : NULL;
}

bool seam_model_pack(SeamModel *model, const SeamKernels *kernels, GError **error) {
    Holder *holder = (Holder *)model;
    holder->kernels = kernels;
    return seam_params_pack(model->params, kernels, error);
}

// For inference alone.
static Holder *load_packed(const char *path, const SeamKernels *kernels, GError **error) {
    Holder *holder = load_holder(path, error);
    if (!holder)
        return NULL;
    holder->shed = true;
    if (!seam_model_pack(&holder->model, kernels, error) || !seam_params_shed(holder->model.params, error))
        g_clear_pointer(&holder, holder_free);
    return holder;
}

// ---- the cache --------------------------------------------------------------------------------

// Appends which file this is and when it last changed.
static void append_stamp(GString *key, const char *folder, const char *name) {
    g_autofree char *path = g_build_filename(folder, name, NULL);
    GStatBuf s;
    if (g_stat(path, &s) == 0)
        g_string_append_printf(
            key, "\n%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld", name,
            (guint64)s.st_ino, (gint64)s.st_size, (gint64)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// The backend, the real path and the stamps of all files of a bundle: while they stay, so does its fingerprint,
// which would take reading all weights to compute. g_free it; NULL when there is no such folder.
static char *cache_key(const char *path, const SeamKernels *kernels) {
    char *real = realpath(path, NULL);
    if (!real)
        return NULL;
    GString *key = g_string_new(kernels->backend);
    g_string_append_printf(key, "\n%s", real);
    g_autofree char *folder = g_build_filename(real, "adapters", NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));)
        g_ptr_array_add(names, g_strdup(name));
    g_clear_pointer(&dir, g_dir_close);
    g_ptr_array_sort(names, compare_names);
    append_stamp(key, real, "model.json");
    append_stamp(key, real, "weights.safetensors");
    for (guint i = 0; i < names->len; i++)
        append_stamp(key, folder, g_ptr_array_index(names, i));
    free(real);
    return g_string_free(key, FALSE);
}

// The lock is held while loading, so that two elements that start together load once.
SeamModel *seam_model_acquire(const char *path, const SeamKernels *kernels, GError **error) {
    g_autofree char *key = cache_key(path, kernels);
    g_mutex_lock(&lock);
    if (!cache)
        cache = g_hash_table_new(g_str_hash, g_str_equal);
    Holder *holder = key ? g_hash_table_lookup(cache, key) : NULL;
    if (holder) {
        holder->refs++;
    } else {
        holder = load_packed(path, kernels, error);
        if (holder && key) {
            holder->key = g_steal_pointer(&key);
            g_hash_table_insert(cache, holder->key, holder);
        }
    }
    g_mutex_unlock(&lock);
    return holder ? &holder->model : NULL;
}

// ---- tasks ------------------------------------------------------------------------------------

bool seam_model_task_ready(const SeamModel *model, int32_t task) {
    if (model->config.task[task].kind == SEAM_TASK_ANOMALY)
        return seam_anomaly_ready(&model->task[task].anomaly);
    return ((const Holder *)model)->ready >> task & 1;
}

// Fills the task of `model` from the file; the adapter then owns what that took.
static Adapter *adapter_load(SeamModel *model, int32_t task, const SeamSafetensors *file,
                             GError **error) {
    const SeamKernels *kernels = ((Holder *)model)->kernels;
    Adapter *adapter = g_new0(Adapter, 1);
    adapter->refs = 1;
    adapter->params = seam_params_new();
    declare_task(&model->config, task, adapter->params, model);
    bool loaded = load_task(&model->config, task, file, true, adapter->params, model, error) &&
                  seam_params_allocate(adapter->params, false, error) &&
                  load_task(&model->config, task, file, false, adapter->params, model, error) &&
                  (!kernels || (seam_params_pack(adapter->params, kernels, error) && seam_params_shed(adapter->params, error)));
    if (loaded && model->config.task[task].kind == SEAM_TASK_ANOMALY)
        adapter->memory = g_memdup2(&model->task[task].anomaly, sizeof model->task[task].anomaly);
    if (!loaded)
        g_clear_pointer(&adapter, adapter_unref);
    return adapter;
}

// Another view of the same parameters.
static Holder *holder_share(Holder *from) {
    Holder *holder = g_memdup2(from, sizeof *from);
    g_mutex_lock(&lock);
    holder->refs = 1;
    holder->key = NULL;
    holder->base = from->base ? from->base : from;
    holder->base->refs++;
    for (int32_t t = 0; t < SEAM_MAX_TASKS; t++)
        if (holder->adapter[t])
            holder->adapter[t]->refs++;
    g_mutex_unlock(&lock);
    return holder;
}

SeamModel *seam_model_with_adapter(SeamModel *base, int32_t task, const char *adapter_path,
                                   GError **error) {
    SeamSafetensors *file = seam_bundle_read_adapter(adapter_path, base->config.task[task].name,
                                                     base->fingerprint, error);
    if (!file)
        return NULL;
    Holder *holder = holder_share((Holder *)base);
    Adapter *adapter = adapter_load(&holder->model, task, file, error);
    seam_safetensors_free(file);
    if (!adapter) {
        seam_model_release(&holder->model);
        return NULL;
    }
    g_mutex_lock(&lock);
    adapter_unref(holder->adapter[task]);
    g_mutex_unlock(&lock);
    holder->adapter[task] = adapter;
    holder->ready |= 1u << task;
    return &holder->model;
}

// ---- planning ---------------------------------------------------------------------------------

size_t seam_model_embed_bytes(const SeamModel *model, int32_t modality, int32_t inputs,
                              bool train) {
    int32_t n = inputs * seam_modality_tokens(&model->config, modality);
    size_t project = seam_project_bytes(&model->project, n, train);
    size_t dfeatures = train ? seam_arena_bytes((size_t)n * model->config.dim, sizeof(float)) : 0;
    switch (model->config.modality[modality].front) {
    case SEAM_FRONT_IMAGE:
        return project + dfeatures +
               seam_image_embed_bytes(&model->embed[modality].image, inputs, train);
    case SEAM_FRONT_SENSOR:
        return project + dfeatures +
               seam_sensor_embed_bytes(&model->embed[modality].sensor, inputs, train);
    case SEAM_FRONT_FEATURES:
        return project + dfeatures +
               seam_feature_embed_bytes(&model->embed[modality].features, inputs);
    case SEAM_FRONT_TEXT:
        break;
    }
    return project + dfeatures + seam_text_embed_bytes(&model->embed[modality].text, inputs, train);
}

size_t seam_model_encode_bytes(const SeamModel *model, int32_t tokens, bool train) {
    size_t kept = 0, scratch = 0, pattern = 0;
    for (int32_t l = 0; l < model->config.layers; l++) {
        size_t layer_kept,
            layer_scratch = seam_encoder_bytes(&model->encoder[l], tokens, train, &layer_kept);
        kept += layer_kept;
        scratch = MAX(scratch, layer_scratch);
        if (seam_encoder_sees_locally(&model->encoder[l]))
            pattern = seam_pattern_local_bytes(&model->config, tokens);
    }
    size_t joined = seam_config_has_mixer(&model->config, SEAM_MIXER_SCAN) ? seam_pattern_streams_bytes(tokens) : 0;
    return kept + scratch + pattern + joined + (train ? 0 : seam_model_leaving_bytes(model, tokens));
}

size_t seam_model_merge_bytes(const SeamModel *model, int32_t tokens) {
    return seam_merge_bytes(tokens, model->config.dim) + seam_arena_bytes((size_t)tokens, sizeof(float));
}

size_t seam_model_fuse_bytes(const SeamModel *model, int32_t tokens, bool train) {
    size_t dx = train ? seam_arena_bytes((size_t)tokens * model->config.dim, sizeof(float)) : 0;
    return seam_pattern_fusion_bytes(&model->config, tokens) +
           seam_fusion_bytes(&model->fusion, tokens, tokens + 1, train) + dx;
}

size_t seam_model_remember_bytes(const SeamModel *model, int32_t windows, int32_t tokens, bool train) {
    size_t kept, scratch = model->config.bank_slots ? seam_bank_bytes(&model->bank, tokens, train, &kept) : 0;
    if (model->config.bank_slots == 0 || !train)
        return scratch;
    return scratch + (size_t)windows * kept + seam_arena_bytes((size_t)windows * model->bank.write * model->bank.dim, sizeof(float));
}

// ---- forward ----------------------------------------------------------------------------------

static bool is_front(const SeamModel *model, int32_t modality, SeamFront front) {
    return modality >= 0 && modality < model->config.n_modalities &&
           model->config.modality[modality].front == front;
}

SeamStatus seam_model_embed_images(const SeamModel *model, SeamRun *run, int32_t modality,
                                   int32_t images, const uint8_t *pixels, const double *time,
                                   SeamTokens *out, SeamImageEmbedSaved *saved) {
    if (!is_front(model, modality, SEAM_FRONT_IMAGE))
        return SEAM_BAD_SHAPE;
    SEAM_TRY(seam_image_embed_forward(&model->embed[modality].image, run, images, pixels, time, out,
                                      saved));
    return seam_project_forward(&model->project, run, modality, out,
                                saved ? &saved->project : NULL);
}

SeamStatus seam_model_embed_windows(const SeamModel *model, SeamRun *run, int32_t modality,
                                    int32_t windows, const SeamSensorWindow *window,
                                    SeamTokens *out, SeamSensorEmbedSaved *saved) {
    if (!is_front(model, modality, SEAM_FRONT_SENSOR))
        return SEAM_BAD_SHAPE;
    SEAM_TRY(seam_sensor_embed_forward(&model->embed[modality].sensor, run, windows, window, out,
                                       saved));
    return seam_project_forward(&model->project, run, modality, out,
                                saved ? &saved->project : NULL);
}

SeamStatus seam_model_embed_texts(const SeamModel *model, SeamRun *run, int32_t modality,
                                  int32_t texts, const char *const *text, const double *time,
                                  SeamTokens *out, SeamTextEmbedSaved *saved) {
    if (!is_front(model, modality, SEAM_FRONT_TEXT))
        return SEAM_BAD_SHAPE;
    const SeamTextEmbed *embed = &model->embed[modality].text;
    SeamTextCursor *cursor = SEAM_NEW(run->arena, SeamTextCursor, texts);
    if (!cursor)
        return SEAM_NO_MEMORY;
    for (int32_t t = 0; t < texts; t++)
        cursor[t] = seam_text_open(embed, text[t], strlen(text[t]));
    SEAM_TRY(seam_text_embed_forward(embed, run, texts, cursor, time, true, out, saved));
    return seam_project_forward(&model->project, run, modality, out,
                                saved ? &saved->project : NULL);
}

SeamStatus seam_model_embed_chunk(const SeamModel *model, SeamRun *run, int32_t modality,
                                  SeamTextCursor *cursor, double time, SeamTokens *out) {
    if (!is_front(model, modality, SEAM_FRONT_TEXT))
        return SEAM_BAD_SHAPE;
    SEAM_TRY(seam_text_embed_forward(&model->embed[modality].text, run, 1, cursor, &time, false,
                                     out, NULL));
    return seam_project_forward(&model->project, run, modality, out, NULL);
}

SeamStatus seam_model_embed_features(const SeamModel *model, SeamRun *run, int32_t modality,
                                     int32_t windows, const SeamSensorWindow *window,
                                     SeamTokens *out, SeamFeatureEmbedSaved *saved) {
    if (!is_front(model, modality, SEAM_FRONT_FEATURES))
        return SEAM_BAD_SHAPE;
    SEAM_TRY(seam_feature_embed_forward(&model->embed[modality].features, run, windows, window, out,
                                        saved));
    return seam_project_forward(&model->project, run, modality, out,
                                saved ? &saved->project : NULL);
}

SeamStatus seam_model_encode_layers(const SeamModel *model, SeamRun *run, int32_t first,
                                    int32_t last, SeamTokens *tokens, float *use, SeamCarry *carry,
                                    SeamEncoderSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    SeamPattern dense = seam_pattern_dense(tokens), local = {0}, stream = {0};
    for (int32_t l = first; l <= last; l++) {
        bool is_local = seam_encoder_sees_locally(&model->encoder[l]);
        bool is_scan = model->config.mixer[l] == SEAM_MIXER_SCAN;
        if (is_local && !local.key_start) // one pattern for all local layers
            SEAM_TRY(seam_pattern_local(&model->config, run->arena, tokens, &local));
        if (is_scan && !stream.seq_start)
            SEAM_TRY(seam_pattern_streams(run->arena, tokens, &stream));
        SEAM_TRY(seam_encoder_forward(&model->encoder[l], run,
                                      is_local ? &local : is_scan ? &stream : &dense,
                                      carry ? carry->state[l] : NULL, tokens->x, use,
                                      saved ? &saved[l - first] : NULL));
    }
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// In inference: with exits where there are some, which no model with a scan has (config_options.c).
static SeamStatus encode_stream(const SeamModel *model, SeamRun *run, int32_t first, int32_t last,
                                SeamTokens *tokens, float *use, SeamCarry *carry) {
    if (seam_model_leaves(model, run, tokens))
        return seam_model_encode_leaving(model, run, first, last, tokens, use);
    return seam_model_encode_layers(model, run, first, last, tokens, use, carry, NULL);
}

// Merging comes after the model's first layer: what a token says is plain only when it has seen its surroundings. On the task of tests/bench/ablation/compression.c
// half of the tokens merged before that layer cost 16 points of accuracy, after it none.
static SeamStatus encode_merged(const SeamModel *model, SeamRun *run, int32_t first, int32_t last,
                                SeamTokens *tokens, float *use, SeamCarry *carry) {
    SeamMerge merge;
    tokens->size = SEAM_NEW(run->arena, float, tokens->n);
    size_t mark = seam_arena_mark(run->arena);
    for (int32_t i = 0; tokens->size && i < tokens->n; i++)
        tokens->size[i] = 1;
    SEAM_TRY(tokens->size ? seam_merge_forward(run, run->effort.merge, tokens, &merge) : SEAM_NO_MEMORY);
    SEAM_TRY(encode_stream(model, run, first, last, tokens, use, carry));
    SEAM_TRY(seam_merge_undo(run, &merge, tokens));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static bool has_layers(const SeamModel *model, int32_t first, int32_t last,
                       const SeamTokens *tokens) {
    return first >= 0 && last < model->config.layers && tokens->dim == model->config.dim;
}

SeamStatus seam_model_encode_stream(const SeamModel *model, SeamRun *run, int32_t first,
                                    int32_t last, SeamTokens *tokens, float *use,
                                    SeamCarry *carry) {
    if (!has_layers(model, first, last, tokens))
        return SEAM_BAD_SHAPE;
    if (!(run->effort.merge > 0) || tokens->size)
        return encode_stream(model, run, first, last, tokens, use, carry);
    if (first == 0)
        SEAM_TRY(encode_stream(model, run, 0, 0, tokens, use, carry));
    first = MAX(first, 1);
    return first > last ? SEAM_OK : encode_merged(model, run, first, last, tokens, use, carry);
}

SeamStatus seam_model_encode(const SeamModel *model, SeamRun *run, int32_t first, int32_t last,
                             SeamTokens *tokens, float *use, SeamEncoderSaved *saved) {
    if (!saved)
        return seam_model_encode_stream(model, run, first, last, tokens, use, NULL);
    if (!has_layers(model, first, last, tokens))
        return SEAM_BAD_SHAPE;
    return seam_model_encode_layers(model, run, first, last, tokens, use, NULL, saved);
}

SeamStatus seam_model_fuse(const SeamModel *model, SeamRun *run, const SeamTokens *in,
                           int32_t windows, const int32_t *window_of, const double *window_time,
                           SeamTokens *out, SeamFusionSaved *saved) {
    SeamPattern pattern;
    if (in->dim != model->config.dim)
        return SEAM_BAD_SHAPE;
    int32_t *row = saved ? SEAM_NEW(run->arena, int32_t, in->n) : NULL;
    if (saved && !row)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_fusion_join(&model->fusion, run, in, windows, window_of, window_time, out, row));
    size_t mark = seam_arena_mark(run->arena);
    SEAM_TRY(seam_pattern_fusion(&model->config, run, out, &pattern));
    SEAM_TRY(seam_fusion_forward(&model->fusion, run, &pattern, out, saved));
    if (saved)
        saved->row = row;
    else
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_model_remember(const SeamModel *model, SeamRun *run, SeamBank *bank, const SeamTokens *fused, SeamBankSaved *saved) {
    for (int32_t w = 0; w < fused->seqs && model->config.bank_slots > 0; w++) {
        int32_t first = fused->seq_start[w], n = fused->seq_start[w + 1] - first;
        SEAM_TRY(seam_bank_forward(&model->bank, run, bank, n, fused->size ? fused->size + first : NULL,
                                   fused->x + (size_t)first * fused->dim, saved ? &saved[w] : NULL));
    }
    return SEAM_OK;
}
