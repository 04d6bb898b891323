// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The map of PatchCore (Roth 2022, "Towards total recall in industrial anomaly detection", sec. 3), on the model's own tokens:
//
//   phi(c) = the tokens of the reach x reach cells around c, side by side; beyond the edge the nearest cell   [reach^2 dim]
//   d(c)   = mean of the k smallest |phi(c) - row| over the memory's rows
//   e(c)   = d, smoothed by (1 2 1) / 4 each way, since neighbours see much of the same; edges repeat
//   map(c) = e / (e + scale)          rises with e, never full: 0.5 is as far as the farthest patch of an average good picture
//
// Features are not standardised by dimension: most dimensions of a good patch hardly vary, and would drown the others.
#include "core/layers/patches.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/layers/nearest.h"

static const float least_scale = 1e-6f; // good pictures that are all alike must not make a distance of 0 / 0

void seam_patches_declare(SeamPatches *p, const SeamConfig *config, int32_t task) {
    const SeamTask *t = &config->task[task];
    *p = (SeamPatches){.dim = config->dim, .reach = t->patches, .width = t->patches * t->patches * config->dim, .most = t->memory,
                       .neighbours = MIN(t->neighbours, SEAM_MAX_NEIGHBOURS), .modalities = config->n_modalities};
    for (int32_t m = 0; m < p->modalities; m++) {
        const SeamModality *modality = &config->modality[m];
        p->grid[m] = t->patches > 0 && modality->front == SEAM_FRONT_IMAGE ? seam_modality_grid(modality) : 0;
        snprintf(p->memory[m].name[0], sizeof p->memory[m].name[0], "memory.%s.patches", modality->name);
        snprintf(p->memory[m].name[1], sizeof p->memory[m].name[1], "memory.%s.patch_scale", modality->name);
    }
}

static void clear_memory(SeamPatchMemory *memory) {
    g_clear_pointer(&memory->rows, g_free);
    memory->n = 0;
}

void seam_patches_clear(SeamPatches *p) {
    for (int32_t m = 0; m < p->modalities; m++)
        clear_memory(&p->memory[m]);
}

// ---- features -------------------------------------------------------------------------------------------------------------------

int32_t seam_patches_next(const SeamPatches *p, const SeamTokens *tokens, int32_t from) {
    for (int32_t i = from; i < tokens->n; i++) {
        int32_t m = tokens->place[i].modality, cells = m < p->modalities ? p->grid[m] * p->grid[m] : 0;
        int32_t n = seam_tokens_patches(tokens, i, MIN(tokens->n, i + cells));
        if (n > 0 && n == cells)
            return i;
        i += MAX(n, 1) - 1; // a picture that was cut short
    }
    return -1;
}

void seam_patches_features(const SeamPatches *p, const SeamTokens *tokens, int32_t first, float *rows) {
    int32_t grid = p->grid[tokens->place[first].modality], half = p->reach / 2;
    const float *x = tokens->x + (size_t)first * p->dim;
    for (int32_t cell = 0; cell < grid * grid; cell++)
        for (int32_t dy = -half; dy <= half; dy++)
            for (int32_t dx = -half; dx <= half; dx++, rows += p->dim) {
                int32_t row = CLAMP(cell / grid + dy, 0, grid - 1), column = CLAMP(cell % grid + dx, 0, grid - 1);
                memcpy(rows, x + (size_t)(row * grid + column) * p->dim, (size_t)p->dim * sizeof *rows);
            }
}

// ---- the map --------------------------------------------------------------------------------------------------------------------

// In place; line [grid].
static void smooth(int32_t grid, int32_t step, int32_t next, float *map, float *line) {
    for (int32_t j = 0; j < grid; j++) {
        float *at = map + (size_t)j * next;
        for (int32_t i = 0; i < grid; i++)
            line[i] = (at[(size_t)MAX(i - 1, 0) * step] + 2 * at[(size_t)i * step] + at[(size_t)MIN(i + 1, grid - 1) * step]) / 4;
        for (int32_t i = 0; i < grid; i++)
            at[(size_t)i * step] = line[i];
    }
}

// map [grid, grid] = e of features rows [grid^2, width]. squared [grid, n], line [grid].
static SeamStatus distances(const SeamPatches *p, const SeamPatchMemory *memory, const SeamKernels *kernels, int32_t grid, const float *rows,
                            float *squared, float *line, float *map) {
    for (int32_t y = 0; y < grid; y++) {
        SEAM_TRY(kernels->distances(grid, memory->n, p->width, rows + (size_t)y * grid * p->width, memory->rows, squared));
        for (int32_t x = 0; x < grid; x++)
            map[y * grid + x] = seam_nearest_mean(memory->n, p->neighbours, squared + (size_t)x * memory->n);
    }
    smooth(grid, 1, grid, map, line);
    smooth(grid, grid, 1, map, line);
    for (int32_t i = 0; i < grid * grid; i++)
        if (!isfinite(map[i]))
            return SEAM_DEVICE_ERROR;
    return SEAM_OK;
}

SeamStatus seam_patches_map(const SeamPatches *p, SeamRun *run, const SeamTokens *tokens, int32_t first, float *map) {
    int32_t m = tokens->place[first].modality, grid = p->grid[m];
    const SeamPatchMemory *memory = &p->memory[m];
    size_t mark = seam_arena_mark(run->arena);
    float *rows = SEAM_NEW(run->arena, float, (size_t)grid * grid * p->width);
    float *squared = SEAM_NEW(run->arena, float, (size_t)grid * memory->n), *line = SEAM_NEW(run->arena, float, grid);
    if (!rows || !squared || !line)
        return SEAM_NO_MEMORY;
    seam_patches_features(p, tokens, first, rows);
    SEAM_TRY(distances(p, memory, run->kernels, grid, rows, squared, line, map));
    for (int32_t i = 0; i < grid * grid; i++)
        map[i] = map[i] / (map[i] + memory->scale);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_patches_bytes(const SeamPatches *p) {
    size_t most = 0;
    for (int32_t m = 0; m < p->modalities; m++) {
        size_t grid = (size_t)p->grid[m], cells = grid * grid;
        most = MAX(most, seam_arena_bytes(cells * p->width, sizeof(float)) + seam_arena_bytes(grid * p->most, sizeof(float)) +
                             seam_arena_bytes(grid, sizeof(float)) + seam_arena_bytes(cells, sizeof(float)));
    }
    return most;
}

// ---- fitting --------------------------------------------------------------------------------------------------------------------

static bool all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static SeamStatus fit_scale(const SeamPatches *p, SeamPatchMemory *memory, int32_t grid, const float *held, int32_t pictures,
                            const SeamKernels *kernels, float *scratch) {
    float *map = scratch, *line = map + grid * grid, *squared = line + grid;
    double sum = 0;
    for (int32_t i = 0; i < pictures; i++) {
        float farthest = 0;
        SEAM_TRY(distances(p, memory, kernels, grid, held + (size_t)i * grid * grid * p->width, squared, line, map));
        for (int32_t c = 0; c < grid * grid; c++)
            farthest = fmaxf(farthest, map[c]);
        sum += farthest;
    }
    memory->scale = fmaxf((float)(sum / pictures), least_scale);
    return SEAM_OK;
}

static SeamStatus fit_memory(const SeamPatches *p, SeamPatchMemory *memory, int32_t grid, float *rows, int32_t n, const float *held,
                             int32_t pictures, const SeamKernels *kernels, uint64_t seed, float *scratch) {
    if (n > p->most)
        SEAM_TRY(seam_nearest_coreset(kernels, rows, n, p->width, p->most, seed, scratch));
    memcpy(memory->rows, rows, (size_t)memory->n * p->width * sizeof *rows);
    return fit_scale(p, memory, grid, held, pictures, kernels, scratch);
}

bool seam_patches_fit(SeamPatches *p, int32_t modality, float *rows, int32_t n, const float *held, int32_t pictures, const SeamKernels *kernels,
                      uint64_t seed, GError **error) {
    SeamPatchMemory *memory = &p->memory[modality];
    int32_t grid = p->grid[modality];
    size_t cells = (size_t)grid * grid;
    if (n < 1 || pictures < 1 || !all_finite(rows, (size_t)n * p->width) || !all_finite(held, pictures * cells * p->width)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: %d good patches and %d pictures held back, of finite numbers; 1 and 1 are needed",
                    memory->name[0], n, pictures);
        return false;
    }
    clear_memory(memory);
    memory->n = MIN(n, p->most);
    memory->rows = g_try_new(float, (size_t)memory->n * p->width);
    float *scratch = g_try_new(float, MAX(2 * (size_t)n, cells + grid + (size_t)grid * memory->n));
    SeamStatus status = SEAM_NO_MEMORY;
    if (memory->rows && scratch)
        status = fit_memory(p, memory, grid, rows, n, held, pictures, kernels, seed, scratch);
    g_free(scratch);
    if (status != SEAM_OK)
        clear_memory(memory);
    return seam_status_check(status, memory->name[0], error);
}

// ---- files ----------------------------------------------------------------------------------------------------------------------

static bool refuse(const SeamSafetensors *file, const char *name, const char *what, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: tensor %s %s; make the adapter anew with `seam adapt`", seam_safetensors_path(file), name, what);
    return false;
}

static bool load_memory(const SeamPatches *p, SeamPatchMemory *memory, const SeamSafetensors *file, GError **error) {
    const SeamArray *rows = seam_safetensors_find(file, memory->name[0]), *scale = seam_safetensors_find(file, memory->name[1]);
    if (rows->rank != 2 || rows->shape[0] < 1 || rows->shape[0] > p->most || rows->shape[1] != p->width)
        return refuse(file, memory->name[0], "has another shape than model.json says", error);
    if (!scale || scale->rank != 1 || scale->shape[0] != 1)
        return refuse(file, memory->name[1], "is missing, or is not one number", error);
    if (!(memory->rows = g_try_new(float, rows->size))) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: no memory for %s", seam_safetensors_path(file), memory->name[0]);
        return false;
    }
    if (!seam_array_to_f32(file, rows, memory->rows, error) || !seam_array_to_f32(file, scale, &memory->scale, error))
        return false;
    if (!(memory->scale > 0) || !isfinite(memory->scale))
        return refuse(file, memory->name[1], "is not over 0", error);
    memory->n = rows->shape[0];
    return true;
}

bool seam_patches_load(SeamPatches *p, const SeamSafetensors *file, GError **error) {
    seam_patches_clear(p);
    for (int32_t m = 0; m < p->modalities; m++) {
        if (p->grid[m] == 0 || !seam_safetensors_find(file, p->memory[m].name[0]))
            continue;
        if (!load_memory(p, &p->memory[m], file, error)) {
            seam_patches_clear(p);
            return false;
        }
    }
    return true;
}

int32_t seam_patches_export(const SeamPatches *p, int32_t modality, SeamNamedArray *out) {
    const SeamPatchMemory *k = &p->memory[modality];
    if (k->n == 0)
        return 0;
    out[0] = (SeamNamedArray){k->name[0], SEAM_F32, 2, {k->n, p->width}, k->rows};
    out[1] = (SeamNamedArray){k->name[1], SEAM_F32, 1, {1}, &k->scale};
    return SEAM_PATCH_TENSORS;
}
