// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Checkpoints as safetensors files: parameters, both moments and the mean as they lie in memory, the step and the key as metadata. Random numbers are
// counter-based, so the step is the sampler's whole state.
#include "core/train/checkpoint.h"

#include <glib/gstdio.h>
#include <string.h>

#include "core/error.h"
#include "core/safetensors.h"

enum { ARRAYS = 4, MOST_OPTIMISERS = 2 };

static const char training[] = "state", *const stages[] = {training, "pretrain"};
// Of the first optimiser and of the second.
static const char *const names[MOST_OPTIMISERS][ARRAYS] = {{"data", "m", "v", "mean"}, {"heads.data", "heads.m", "heads.v", "heads.mean"}};

static char *stage_path(const char *folder, const char *stage) {
    g_autofree char *name = g_strconcat(stage, ".safetensors", NULL);
    return g_build_filename(folder, name, NULL);
}

bool seam_checkpoint_save_stage(const char *folder, const char *stage, const char *key, const SeamOptimiser *const *o, int32_t n, GError **error) {
    g_autofree char *path = stage_path(folder, stage), *step = g_strdup_printf("%" G_GINT64_FORMAT, o[0]->step);
    const char *const metadata[] = {"key", key, "step", step, NULL};
    SeamNamedArray arrays[MOST_OPTIMISERS * ARRAYS];
    if (g_mkdir_with_parents(folder, 0777) != 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: cannot make the folder for checkpoints: %s", folder, g_strerror(errno));
        return false;
    }
    for (int32_t k = 0; k < n; k++) {
        const float *values[ARRAYS] = {o[k]->params->data, o[k]->m, o[k]->v, o[k]->mean};
        for (int32_t i = 0; i < ARRAYS; i++)
            arrays[k * ARRAYS + i] = (SeamNamedArray){names[k][i], SEAM_F32, 1, {(int32_t)o[k]->params->size}, values[i]};
    }
    return seam_safetensors_write(path, arrays, n * ARRAYS, metadata, error);
}

static bool read_optimiser(const SeamSafetensors *file, const char *const *tensor, SeamOptimiser *o, GError **error) {
    float *values[ARRAYS] = {o->params->data, o->m, o->v, o->mean};
    for (int32_t i = 0; i < ARRAYS; i++) {
        const SeamArray *a = seam_safetensors_find(file, tensor[i]);
        if (!a || a->size != o->params->size) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: tensor %s is not [%zu]; remove the file to begin anew",
                        seam_safetensors_path(file), tensor[i], o->params->size);
            return false;
        }
        if (!seam_array_to_f32(file, a, values[i], error))
            return false;
    }
    return true;
}

static bool read_state(const SeamSafetensors *file, SeamOptimiser *const *o, int32_t n, GError **error) {
    const char *step = seam_safetensors_metadata(file, "step");
    gint64 value;
    if (!step || !g_ascii_string_to_signed(step, 10, 0, G_MAXINT64, &value, error))
        return false;
    for (int32_t k = 0; k < n; k++) {
        if (!read_optimiser(file, names[k], o[k], error))
            return false;
        o[k]->step = value;
    }
    return true;
}

bool seam_checkpoint_load_stage(const char *folder, const char *stage, const char *key, SeamOptimiser *const *o, int32_t n, GError **error) {
    g_autofree char *path = stage_path(folder, stage);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return false;
    SeamSafetensors *file = seam_safetensors_read(path, error);
    if (!file)
        return false;
    const char *found = seam_safetensors_metadata(file, "key");
    bool ok = found && strcmp(found, key) == 0 && read_state(file, o, n, error);
    seam_safetensors_free(file);
    return ok;
}

bool seam_checkpoint_save(const char *folder, const char *key, const SeamOptimiser *o, GError **error) {
    return seam_checkpoint_save_stage(folder, training, key, &o, 1, error);
}

bool seam_checkpoint_load(const char *folder, const char *key, SeamOptimiser *o, GError **error) {
    return seam_checkpoint_load_stage(folder, training, key, &o, 1, error);
}

void seam_checkpoint_remove(const char *folder) {
    for (size_t i = 0; i < G_N_ELEMENTS(stages); i++) {
        g_autofree char *path = stage_path(folder, stages[i]);
        g_unlink(path);
    }
    g_rmdir(folder);
}
