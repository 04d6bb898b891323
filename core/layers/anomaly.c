// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Anomaly as distance to a memory of good windows (Roth 2022, "Towards total recall in industrial
// anomaly detection", sec. 3; here a whole window and modality, not a patch).
//
//   phi(w, m) = [mean of x ; standard deviation of x]     [2 dim], over tokens of m in window w,
//                                                         each as often as it stands for one
//   s         = (phi - mean_m) / std_m                    per dimension, over the good windows
//   d         = mean of the k smallest |s - row| over the rows of memory m
//   distance  = (d - d_mean_m) / d_std_m, the latter from good windows that are not in the memory
//
// The last step makes modalities comparable: 0 is an average good window, 3 is three standard
// deviations of good ones away.
#include "core/layers/anomaly.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/layers/classify.h"
#include "core/layers/nearest.h"

static const char *const suffix[SEAM_ANOMALY_TENSORS] = {"rows", "mean", "std", "calibration"};

void seam_anomaly_declare(SeamAnomaly *a, const SeamConfig *config, int32_t task) {
    *a =
        (SeamAnomaly){.dim = config->dim,
                      .width = 2 * config->dim,
                      .most = config->task[task].memory,
                      .neighbours = MIN(config->task[task].neighbours, SEAM_MAX_NEIGHBOURS),
                      .modalities = config->n_modalities};
    for (int32_t m = 0; m < a->modalities; m++)
        for (int32_t i = 0; i < SEAM_ANOMALY_TENSORS; i++)
            snprintf(a->memory[m].name[i], sizeof a->memory[m].name[i], "memory.%s.%s",
                     config->modality[m].name, suffix[i]);
    seam_patches_declare(&a->patches, config, task);
}

static void clear_memory(SeamAnomalyMemory *memory) {
    g_free(memory->rows);
    g_free(memory->mean);
    g_free(memory->std);
    memory->rows = memory->mean = memory->std = NULL;
    memory->n = 0;
}

void seam_anomaly_clear(SeamAnomaly *a) {
    for (int32_t m = 0; m < a->modalities; m++)
        clear_memory(&a->memory[m]);
    seam_patches_clear(&a->patches);
}

bool seam_anomaly_ready(const SeamAnomaly *a) {
    for (int32_t m = 0; m < a->modalities; m++)
        if (a->memory[m].n > 0)
            return true;
    return false;
}

static void window_feature(int32_t n, int32_t dim, const float *x, const float *size, float *feature) {
    double all = 0;
    for (int32_t i = 0; i < n; i++)
        all += size ? size[i] : 1;
    for (int32_t d = 0; d < dim; d++) {
        double sum = 0, squares = 0;
        for (int32_t i = 0; i < n; i++)
            sum += (size ? size[i] : 1) * x[(size_t)i * dim + d];
        double mean = sum / all;
        for (int32_t i = 0; i < n; i++)
            squares += (size ? size[i] : 1) * (x[(size_t)i * dim + d] - mean) * (x[(size_t)i * dim + d] - mean);
        feature[d] = (float)mean;
        feature[dim + d] = (float)sqrt(squares / all);
    }
}

SeamStatus seam_anomaly_features(const SeamAnomaly *a, SeamRun *run, const SeamTokens *tokens,
                                 float *features, uint32_t *present) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t *segment = SEAM_NEW(run->arena, int32_t, (size_t)tokens->seqs * a->modalities + 1);
    if (!segment)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_classify_segments(tokens, a->modalities, segment));
    memset(features, 0, (size_t)tokens->seqs * a->modalities * a->width * sizeof *features);
    for (int32_t w = 0; w < tokens->seqs; w++) {
        present[w] = 0;
        for (int32_t m = 0; m < a->modalities; m++) {
            int32_t s = w * a->modalities + m, n = segment[s + 1] - segment[s];
            if (n == 0)
                continue;
            present[w] |= 1u << m;
            window_feature(n, a->dim, tokens->x + (size_t)segment[s] * a->dim,
                           tokens->size ? tokens->size + segment[s] : NULL,
                           features + (size_t)s * a->width);
        }
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static void standardise(const SeamAnomalyMemory *memory, int32_t width, const float *feature,
                        float *out) {
    for (int32_t d = 0; d < width; d++)
        out[d] = (feature[d] - memory->mean[d]) / memory->std[d];
}

SeamStatus seam_anomaly_score(const SeamAnomaly *a, SeamRun *run, int32_t windows,
                              const float *features, float *distance, uint32_t *scored) {
    size_t mark = seam_arena_mark(run->arena), pairs = (size_t)windows * a->modalities;
    float *row = SEAM_NEW(run->arena, float, a->width);
    float *squared = SEAM_NEW(run->arena, float, a->most);
    if (!row || !squared)
        return SEAM_NO_MEMORY;
    for (size_t i = 0; i < pairs; i++) {
        int32_t w = (int32_t)(i / a->modalities), m = (int32_t)(i % a->modalities);
        const SeamAnomalyMemory *memory = &a->memory[m];
        distance[i] = 0;
        if (memory->n == 0)
            scored[w] &= ~(1u << m);
        if (!(scored[w] & 1u << m))
            continue;
        standardise(memory, a->width, features + i * a->width, row);
        SEAM_TRY(run->kernels->distances(1, memory->n, a->width, row, memory->rows, squared));
        distance[i] = (seam_nearest_mean(memory->n, a->neighbours, squared) - memory->calibration[0]) /
                      memory->calibration[1];
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_anomaly_forward(const SeamAnomaly *a, SeamRun *run, const SeamTokens *tokens,
                                float *distance, uint32_t *scored) {
    size_t mark = seam_arena_mark(run->arena);
    float *features = SEAM_NEW(run->arena, float, (size_t)tokens->seqs * a->modalities * a->width);
    if (!features)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_anomaly_features(a, run, tokens, features, scored));
    SEAM_TRY(seam_anomaly_score(a, run, tokens->seqs, features, distance, scored));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_anomaly_bytes(const SeamAnomaly *a, int32_t windows) {
    size_t pairs = (size_t)windows * a->modalities;
    return seam_arena_bytes(pairs * a->width, sizeof(float)) +
           seam_arena_bytes(a->width, sizeof(float)) + seam_arena_bytes(a->most, sizeof(float)) +
           seam_arena_bytes(pairs + 1, sizeof(int32_t));
}

// ---- fitting ------------------------------------------------------------------------------------

// A dimension that does not vary over the good windows keeps its own unit: dividing by next to
// nothing would let it drown the others.
static void fit_scale(SeamAnomalyMemory *memory, int32_t width, const float *features, int32_t n) {
    for (int32_t d = 0; d < width; d++) {
        double sum = 0, squares = 0;
        for (int32_t i = 0; i < n; i++)
            sum += features[(size_t)i * width + d];
        double mean = sum / n;
        for (int32_t i = 0; i < n; i++)
            squares +=
                (features[(size_t)i * width + d] - mean) * (features[(size_t)i * width + d] - mean);
        double std = sqrt(squares / n);
        memory->mean[d] = (float)mean;
        memory->std[d] = std > 1e-6 ? (float)std : 1.0f;
    }
}

// Mean and deviation of the held-back windows' distances. The deviation is at least a hundredth of
// the mean: a handful of windows that happen to be alike must not make everything else look a
// thousand deviations away.
static SeamStatus fit_calibration(const SeamAnomaly *a, SeamAnomalyMemory *memory,
                                  const SeamKernels *kernels, const float *held, int32_t n,
                                  float *row, float *squared) {
    double sum = 0, squares = 0;
    for (int32_t i = 0; i < n; i++) {
        standardise(memory, a->width, held + (size_t)i * a->width, row);
        SEAM_TRY(kernels->distances(1, memory->n, a->width, row, memory->rows, squared));
        double d = seam_nearest_mean(memory->n, a->neighbours, squared);
        sum += d;
        squares += d * d;
    }
    double mean = sum / n, std = sqrt(fmax(squares / n - mean * mean, 0) * n / (n - 1));
    memory->calibration[0] = (float)mean;
    memory->calibration[1] = (float)fmax(std, fmax(0.01 * mean, 1e-6));
    return SEAM_OK;
}

static bool all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static bool check_fit(const SeamAnomaly *a, int32_t modality, const float *features, int32_t n,
                      const float *held, int32_t n_held, GError **error) {
    const char *name = a->memory[modality].name[0];
    if (n < 1 || n_held < 2) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "%s: %d good windows and %d held back; at least 1 and 2 are needed: give more "
                    "good welds",
                    name, n, n_held);
        return false;
    }
    if (!all_finite(features, (size_t)n * a->width) ||
        !all_finite(held, (size_t)n_held * a->width)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "%s: a feature of a good window is not a finite number", name);
        return false;
    }
    return true;
}

static SeamStatus fit_memory(const SeamAnomaly *a, SeamAnomalyMemory *memory, const float *features,
                             int32_t n, const float *held, int32_t n_held,
                             const SeamKernels *kernels, uint64_t seed, float *scratch) {
    fit_scale(memory, a->width, features, n);
    for (int32_t i = 0; i < n; i++)
        standardise(memory, a->width, features + (size_t)i * a->width,
                    memory->rows + (size_t)i * a->width);
    memory->n = MIN(n, a->most);
    if (n > a->most)
        SEAM_TRY(seam_nearest_coreset(kernels, memory->rows, n, a->width, a->most, seed, scratch));
    return fit_calibration(a, memory, kernels, held, n_held, scratch, scratch + a->width);
}

bool seam_anomaly_fit(SeamAnomaly *a, int32_t modality, const float *features, int32_t n,
                      const float *held, int32_t n_held, const SeamKernels *kernels, uint64_t seed,
                      GError **error) {
    SeamAnomalyMemory *memory = &a->memory[modality];
    if (!check_fit(a, modality, features, n, held, n_held, error))
        return false;
    clear_memory(memory);
    memory->rows = g_try_new(float, (size_t)n * a->width);
    memory->mean = g_try_new(float, a->width);
    memory->std = g_try_new(float, a->width);
    float *scratch = g_try_new(float, 2 * (size_t)n + a->width);
    SeamStatus status = SEAM_NO_MEMORY;
    if (memory->rows && memory->mean && memory->std && scratch)
        status = fit_memory(a, memory, features, n, held, n_held, kernels, seed, scratch);
    g_free(scratch);
    if (status != SEAM_OK)
        clear_memory(memory);
    return seam_status_check(status, memory->name[0], error);
}

// ---- files --------------------------------------------------------------------------------------

static bool check_shape(const SeamSafetensors *file, const SeamArray *array, const char *name,
                        int32_t rank, int32_t d0, int32_t d1, GError **error) {
    if (array && array->rank == rank && array->shape[0] == d0 &&
        (rank < 2 || array->shape[1] == d1))
        return true;
    g_set_error(error, SEAM_ERROR, array ? SEAM_ERROR_SHAPE : SEAM_ERROR_MISSING,
                "%s: tensor %s %s; make the adapter anew with `seam adapt`",
                seam_safetensors_path(file), name,
                array ? "has another shape than model.json says" : "is missing");
    return false;
}

static float *read_tensor(const SeamSafetensors *file, const char *name, int32_t rank, int32_t d0,
                          int32_t d1, GError **error) {
    const SeamArray *array = seam_safetensors_find(file, name);
    if (!check_shape(file, array, name, rank, d0, d1, error))
        return NULL;
    float *out = g_try_new(float, array->size);
    if (!out)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: no memory for %s",
                    seam_safetensors_path(file), name);
    else if (!seam_array_to_f32(file, array, out, error))
        g_clear_pointer(&out, g_free);
    return out;
}

static bool check_positive(const SeamSafetensors *file, const char *name, const float *x, int32_t n,
                           GError **error) {
    for (int32_t i = 0; i < n; i++)
        if (!(x[i] > 0)) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                        "%s: tensor %s holds a deviation that is not over 0",
                        seam_safetensors_path(file), name);
            return false;
        }
    return true;
}

static bool load_memory(const SeamAnomaly *a, SeamAnomalyMemory *memory,
                        const SeamSafetensors *file, GError **error) {
    const SeamArray *rows = seam_safetensors_find(file, memory->name[0]);
    if (rows->rank != 2 || rows->shape[0] > a->most) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: tensor %s must be [at most %d, %d]",
                    seam_safetensors_path(file), memory->name[0], a->most, a->width);
        return false;
    }
    int32_t n = rows->shape[0];
    if (!(memory->rows = read_tensor(file, memory->name[0], 2, n, a->width, error)) ||
        !(memory->mean = read_tensor(file, memory->name[1], 1, a->width, 0, error)) ||
        !(memory->std = read_tensor(file, memory->name[2], 1, a->width, 0, error)) ||
        !check_positive(file, memory->name[2], memory->std, a->width, error))
        return false;
    float *calibration = read_tensor(file, memory->name[3], 1, 2, 0, error);
    if (!calibration)
        return false;
    memcpy(memory->calibration, calibration, sizeof memory->calibration);
    g_free(calibration);
    if (!check_positive(file, memory->name[3], memory->calibration + 1, 1, error))
        return false;
    memory->n = n;
    return true;
}

bool seam_anomaly_load(SeamAnomaly *a, const SeamSafetensors *file, GError **error) {
    seam_anomaly_clear(a);
    for (int32_t m = 0; m < a->modalities; m++) {
        if (!seam_safetensors_find(file, a->memory[m].name[0]))
            continue;
        if (!load_memory(a, &a->memory[m], file, error)) {
            seam_anomaly_clear(a);
            return false;
        }
    }
    return seam_patches_load(&a->patches, file, error);
}

int32_t seam_anomaly_export(const SeamAnomaly *a, SeamNamedArray *out) {
    int32_t count = 0;
    for (int32_t m = 0; m < a->modalities; m++) {
        const SeamAnomalyMemory *k = &a->memory[m];
        count += seam_patches_export(&a->patches, m, out + count);
        if (k->n == 0)
            continue;
        out[count++] = (SeamNamedArray){k->name[0], SEAM_F32, 2, {k->n, a->width}, k->rows};
        out[count++] = (SeamNamedArray){k->name[1], SEAM_F32, 1, {a->width}, k->mean};
        out[count++] = (SeamNamedArray){k->name[2], SEAM_F32, 1, {a->width}, k->std};
        out[count++] = (SeamNamedArray){k->name[3], SEAM_F32, 1, {2}, k->calibration};
    }
    return count;
}
