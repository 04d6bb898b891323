// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Golden vectors (tests/golden, made by tests/reference): how a test opens them, takes values, and compares what it got with what the twin in PyTorch says.
#pragma once

#include <glib.h>
#include <math.h>

#include "core/safetensors.h"

static const double golden_tolerance = 1e-4; // of the norm of a difference against the norm of what the twin says

static inline SeamSafetensors *golden_open(const char *name) {
    GError *error = NULL;
    const char *root = g_getenv("SEAM_SOURCE_ROOT");
    g_autofree char *path = g_build_filename(root ? root : ".", "tests", "golden", name, NULL);
    SeamSafetensors *file = seam_safetensors_read(path, &error);
    g_assert_no_error(error);
    return file;
}

// [size] of the tensor PREFIX NAME; g_free it.
static inline float *golden_values(const SeamSafetensors *file, const char *prefix, const char *name, size_t size) {
    g_autofree char *full = g_strconcat(prefix, name, NULL);
    const SeamArray *array = seam_safetensors_find(file, full);
    if (!array || array->size != size)
        g_error("%s: %zu values in the file, %zu here", full, array ? array->size : 0, size);
    float *x = g_new(float, size);
    g_assert_true(seam_array_to_f32(file, array, x, NULL));
    return x;
}

static inline void golden_compare(const SeamSafetensors *file, const char *prefix, const char *name, size_t size, const float *got) {
    g_autofree float *want = golden_values(file, prefix, name, size);
    double error = 0, norm = 0;
    for (size_t i = 0; i < size; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    if (!(sqrt(error) <= golden_tolerance * fmax(sqrt(norm), 1e-2)))
        g_error("%s%s: the difference has norm %g, the twin's values %g", prefix, name, sqrt(error), sqrt(norm));
}
