// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Quantile k of n of a column is the value at place k (count - 1) / (n - 1) of its sorted values, straight between two.
#include "core/train/feature_table.h"

#include <math.h>
#include <stdlib.h>

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// The values of one column, sorted.
static GArray *column_values(const SeamModality *m, int32_t modality, int32_t column, const SeamDataset *data, const SeamPart *part) {
    GArray *values = g_array_new(FALSE, FALSE, sizeof(float));
    for (int32_t r = 0; r < data->n; r++) {
        const SeamStream *stream = &data->record[r].stream[modality];
        for (int64_t i = 0; part[r] == SEAM_PART_TRAIN && i < stream->samples; i++) {
            float z = (stream->x[i * m->channels + column] - m->mean[column]) * (1.0f / m->std[column]);
            if (isfinite(z))
                g_array_append_val(values, z);
        }
    }
    g_array_sort(values, compare_floats);
    return values;
}

static void write_quantiles(const GArray *values, int32_t n, float *out) {
    for (int32_t k = 0; k < n && values->len > 0; k++) {
        double place = (double)k * (values->len - 1) / (n - 1);
        guint at = (guint)place, next = MIN(at + 1, values->len - 1);
        double low = g_array_index(values, float, at), high = g_array_index(values, float, next);
        out[k] = (float)(low + (place - at) * (high - low));
    }
}

static SeamStatus round_to_half(const SeamKernels *kernels, SeamTensor *table) {
    g_autofree uint16_t *half = g_try_new(uint16_t, table->size);
    if (!half)
        return SEAM_NO_MEMORY;
    SEAM_TRY(kernels->f32_to_f16(table->size, table->data, half));
    return kernels->f16_to_f32(table->size, half, table->data);
}

SeamStatus seam_train_measure_quantiles(SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const SeamPart *part) {
    for (int32_t m = 0; m < model->config.n_modalities; m++) {
        const SeamModality *modality = &model->config.modality[m];
        SeamTensor *table = modality->front == SEAM_FRONT_FEATURES ? model->embed[m].features.table : NULL;
        for (int32_t c = 0; table && c < modality->channels; c++) {
            GArray *values = column_values(modality, m, c, data, part);
            write_quantiles(values, modality->features.quantiles, table->data + (size_t)c * modality->features.quantiles);
            g_array_unref(values);
        }
        if (table)
            SEAM_TRY(round_to_half(kernels, table));
    }
    return SEAM_OK;
}
