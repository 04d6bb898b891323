// SPDX-License-Identifier: LGPL-2.1-or-later
//
// From a bundle and adapter files to something that can decide. All of it is read before anything is changed.
#include "core/heads.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"

// ---- thresholds ----------------------------------------------------------------------------------------------------------------

// Thresholds are a promise about the scores of one head: when that head changes, they hold no longer.
static bool take_calibration(SeamHeads *heads, const SeamSafetensors *file, int32_t task, GError **error) {
    const char *text = seam_safetensors_metadata(file, "seam.meta"), *where = seam_safetensors_path(file);
    const SeamConfig *config = &heads->model->config;
    JsonObject *meta = text ? seam_json_parse(text, where, error) : NULL;
    SeamCalibration *own = meta ? seam_calibration_read(config, meta, where, error) : NULL;
    g_clear_pointer(&meta, json_object_unref);
    if (text && !own)
        return false;
    SeamTaskKind scored = heads->calibration->score_is_anomaly ? SEAM_TASK_ANOMALY : SEAM_TASK_CLASSIFY;
    if (own && (own->n_sets > 0 || isfinite(own->rul_margin))) {
        seam_calibration_free(heads->calibration);
        heads->calibration = own;
        heads->thresholds_void = false;
        return true;
    }
    if (config->task[task].kind == scored && heads->calibration->n_sets > 0) {
        heads->calibration->n_sets = 0;
        heads->thresholds_void = true;
    }
    if (config->task[task].kind == SEAM_TASK_RUL)
        heads->calibration->rul_margin = heads->calibration->effort_rul_margin = NAN;
    seam_calibration_free(own);
    return true;
}

// ---- adapters and tasks ----------------------------------------------------------------------------------------------------------

static int32_t task_of(const SeamConfig *config, const SeamSafetensors *file, GError **error) {
    const char *name = seam_safetensors_metadata(file, "seam.task"), *path = seam_safetensors_path(file);
    int32_t task = name ? seam_config_task(config, name) : -1;
    if (!name)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: has no \"seam.task\" in its metadata: it is not an adapter that Seam wrote", path);
    else if (task < 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: is for the task \"%s\", which the model does not have", path, name);
    return task;
}

static bool take_adapter(SeamHeads *heads, const char *path, GError **error) {
    SeamSafetensors *file = seam_safetensors_read(path, error);
    int32_t task = file ? task_of(&heads->model->config, file, error) : -1;
    SeamModel *adapted = task >= 0 ? seam_model_with_adapter(heads->model, task, path, error) : NULL;
    if (adapted) {
        seam_model_release(heads->model);
        heads->model = adapted;
    }
    bool done = adapted && take_calibration(heads, file, task, error);
    seam_safetensors_free(file);
    return done;
}

static bool take_task(SeamHeads *heads, const char *name, GError **error) {
    int32_t task = seam_config_task(&heads->model->config, name);
    if (task >= 0 && seam_model_task_ready(heads->model, task)) {
        heads->tasks |= 1u << task;
        return true;
    }
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, task < 0 ? "tasks: the model has no task \"%s\"" :
                "tasks: the model was not taught the task \"%s\": give an adapter for it, or leave it out", name);
    return false;
}

static bool choose_tasks(SeamHeads *heads, const char *names, GError **error) {
    if (!names || !*names) {
        for (int32_t t = 0; t < heads->model->config.n_tasks; t++)
            heads->tasks |= seam_model_task_ready(heads->model, t) ? 1u << t : 0;
        if (heads->tasks == 0)
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "the model was not taught any task: train it, or give an adapter");
        return heads->tasks != 0;
    }
    char **name = g_strsplit(names, ",", -1);
    bool ok = true;
    for (int32_t i = 0; ok && name[i]; i++)
        ok = take_task(heads, g_strstrip(name[i]), error);
    g_strfreev(name);
    return ok;
}

// ---- life ----------------------------------------------------------------------------------------------------------------------------

SeamHeads *seam_heads_new(SeamModel *model, const char *path, const char *const *files, const char *tasks, GError **error) {
    SeamHeads *heads = g_new0(SeamHeads, 1);
    heads->model = seam_model_ref(model);
    heads->calibration = seam_calibration_load(&model->config, path, error);
    bool ok = heads->calibration != NULL;
    for (int32_t i = 0; ok && files && files[i]; i++)
        ok = take_adapter(heads, files[i], error);
    if (!ok || !choose_tasks(heads, tasks, error))
        g_clear_pointer(&heads, seam_heads_free);
    return heads;
}

void seam_heads_free(SeamHeads *heads) {
    if (!heads)
        return;
    seam_calibration_free(heads->calibration);
    seam_model_release(heads->model);
    g_free(heads);
}
