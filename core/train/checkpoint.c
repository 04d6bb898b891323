// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Checkpoints as a safetensors file: parameters, both moments and the mean as they lie in memory, the step and the key as metadata. Random numbers are
// counter-based, so the step is the sampler's whole state.
#include "core/train/checkpoint.h"

#include <glib/gstdio.h>
#include <string.h>

#include "core/error.h"
#include "core/safetensors.h"

static const char *const names[] = {"data", "m", "v", "mean"};

static char *state_path(const char *folder) {
    return g_build_filename(folder, "state.safetensors", NULL);
}

bool seam_checkpoint_save(const char *folder, const char *key, const SeamOptimiser *o, GError **error) {
    g_autofree char *path = state_path(folder), *step = g_strdup_printf("%" G_GINT64_FORMAT, o->step);
    const float *values[] = {o->params->data, o->m, o->v, o->mean};
    const char *const metadata[] = {"key", key, "step", step, NULL};
    SeamNamedArray arrays[4];
    if (g_mkdir_with_parents(folder, 0777) != 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: cannot make the folder for checkpoints: %s", folder, g_strerror(errno));
        return false;
    }
    for (int32_t i = 0; i < 4; i++)
        arrays[i] = (SeamNamedArray){names[i], SEAM_F32, 1, {(int32_t)o->params->size}, values[i]};
    return seam_safetensors_write(path, arrays, 4, metadata, error);
}

static bool read_state(const SeamSafetensors *file, SeamOptimiser *o, GError **error) {
    float *values[] = {o->params->data, o->m, o->v, o->mean};
    const char *step = seam_safetensors_metadata(file, "step");
    gint64 value;
    if (!step || !g_ascii_string_to_signed(step, 10, 0, G_MAXINT64, &value, error))
        return false;
    for (int32_t i = 0; i < 4; i++) {
        const SeamArray *a = seam_safetensors_find(file, names[i]);
        if (!a || a->size != o->params->size) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: tensor %s is not [%zu]; remove the file to begin anew", seam_safetensors_path(file), names[i],
                        o->params->size);
            return false;
        }
        if (!seam_array_to_f32(file, a, values[i], error))
            return false;
    }
    o->step = value;
    return true;
}

bool seam_checkpoint_load(const char *folder, const char *key, SeamOptimiser *o, GError **error) {
    g_autofree char *path = state_path(folder);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return false;
    SeamSafetensors *file = seam_safetensors_read(path, error);
    if (!file)
        return false;
    const char *found = seam_safetensors_metadata(file, "key");
    bool ok = found && strcmp(found, key) == 0 && read_state(file, o, error);
    seam_safetensors_free(file);
    return ok;
}

void seam_checkpoint_remove(const char *folder) {
    g_autofree char *path = state_path(folder);
    g_unlink(path);
    g_rmdir(folder);
}
