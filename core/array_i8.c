// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reading of quantised tensors. It owns no memory but a copy of the scale while it reads.
#include "core/array_i8.h"

#include <float.h>
#include <string.h>

#include "core/error.h"

static const char suffix[] = ".scale";

bool seam_array_is_scale(const SeamSafetensors *file, const SeamArray *array) {
    if (!g_str_has_suffix(array->name, suffix))
        return false;
    g_autofree char *name = g_strndup(array->name, strlen(array->name) - strlen(suffix));
    const SeamArray *of = seam_safetensors_find(file, name);
    return of && of->dtype == SEAM_I8;
}

// Whether so many rows are what the first dimensions, multiplied, give.
static bool divides(const SeamArray *array, int32_t rows) {
    int64_t product = 1;
    for (int32_t i = 0; i < array->rank && product < rows; i++)
        product *= array->shape[i];
    return product == rows;
}

const SeamArray *seam_array_scale(const SeamSafetensors *file, const SeamArray *array, int32_t rows, GError **error) {
    const char *path = seam_safetensors_path(file);
    g_autofree char *name = g_strconcat(array->name, suffix, NULL);
    const SeamArray *scale = seam_safetensors_find(file, name);
    if (!scale) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: tensor \"%s\" is I8 and has no \"%s\": quantise the model again", path, array->name, name);
        return NULL;
    }
    if (scale->dtype != SEAM_F32 || scale->rank != 1 || (rows ? scale->shape[0] != rows : !divides(array, scale->shape[0]))) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: tensor \"%s\" must be F32 with a number for each row of \"%s\": quantise the model again", path,
                    name, array->name);
        return NULL;
    }
    return scale;
}

static bool refuse(const SeamSafetensors *file, const char *name, const char *what, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: tensor \"%s\" has %s: quantise the model again", seam_safetensors_path(file), name, what);
    return false;
}

bool seam_array_dequantise(const SeamSafetensors *file, const SeamArray *array, int32_t rows, float *out, float *scale_out, GError **error) {
    const SeamArray *scale = seam_array_scale(file, array, rows, error);
    if (!scale)
        return false;
    g_autofree float *by = g_new(float, scale->size);
    const int8_t *q = array->data;
    size_t row = array->size / scale->size;
    if (!seam_array_to_f32(file, scale, by, error))
        return false;
    for (size_t r = 0; r < scale->size; r++)
        if (!(by[r] >= 0 && by[r] <= FLT_MAX / 127))
            return refuse(file, scale->name, "a number that is below 0 or too large", error);
    for (size_t i = 0; i < array->size; i++) {
        if (q[i] == INT8_MIN)
            return refuse(file, array->name, "a value of -128, which must be -127 to 127", error);
        if (out)
            out[i] = by[i / row] * (float)q[i];
    }
    if (scale_out)
        memcpy(scale_out, by, scale->size * sizeof *by);
    return true;
}
