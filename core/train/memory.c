// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Features of good windows. The features are those of core/layers/anomaly.c on the fused tokens; here they are gathered by modality and dealt out by record.
#include "core/train/memory.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/random.h"

static const size_t most_patch_floats = (size_t)64 << 20; // that are kept of a modality

typedef struct {
    SeamFeatures *features;
    const SeamModel *model;
    const SeamKernels *kernels;
    SeamArena arena;
    float *row; // [modalities, width]
    int32_t record;
    SeamStatus status;
} Gathering;

static void take_window(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *result) {
    Gathering *g = user;
    SeamRun run = {g->kernels, &g->arena};
    SeamFeatures *f = g->features;
    uint32_t present = 0;
    seam_arena_release(&g->arena, 0);
    SeamStatus status = seam_anomaly_features(&g->model->task[f->task].anomaly, &run, fused, g->row, &present);
    if (status != SEAM_OK) {
        g->status = status;
        return;
    }
    seam_features_add(f, g->record, present, g->row);
    seam_features_add_patches(f, g->record, fused);
}

static int32_t anomaly_task(const SeamConfig *config) {
    for (int32_t t = 0; t < config->n_tasks; t++)
        if (config->task[t].kind == SEAM_TASK_ANOMALY)
            return t;
    return -1;
}

void seam_features_open(SeamFeatures *f, const SeamModel *model) {
    *f = (SeamFeatures){.task = anomaly_task(&model->config)};
    if (f->task < 0)
        return;
    f->width = model->task[f->task].anomaly.width;
    f->patches = model->config.task[f->task].patches > 0 ? &model->task[f->task].anomaly.patches : NULL;
    for (int32_t m = 0; m < model->config.n_modalities; m++) {
        f->picture[m] = g_ptr_array_new_with_free_func(g_free);
        f->picture_record[m] = g_array_new(FALSE, FALSE, sizeof(int32_t));
        f->row[m] = g_array_new(FALSE, FALSE, sizeof(float));
        f->record[m] = g_array_new(FALSE, FALSE, sizeof(int32_t));
    }
}

void seam_features_add(SeamFeatures *f, int32_t record, uint32_t present, const float *row) {
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        if (present >> m & 1) {
            g_array_append_vals(f->row[m], row + (size_t)m * f->width, (guint)f->width);
            g_array_append_val(f->record[m], record);
        }
}

// Where a picture of a modality goes: behind the others, or, when there are enough, in the place of one by lot, so that each that came by is
// kept with the same chance (Vitter 1985, algorithm R); -1: it is not kept.
static int32_t place_picture(SeamFeatures *f, int32_t m, size_t floats) {
    int64_t most = (int64_t)MAX(most_patch_floats / floats, 1), seen = f->seen[m]++;
    if (seen < most)
        return (int32_t)seen;
    SeamRandom random = seam_random((uint64_t)seen, seam_random_hash("features.patches"));
    int32_t at = seam_random_below(&random, (int32_t)MIN(seen + 1, G_MAXINT32));
    return at < most ? at : -1;
}

void seam_features_add_patches(SeamFeatures *f, int32_t record, const SeamTokens *fused) {
    const SeamPatches *p = f->patches;
    for (int32_t i = p ? seam_patches_next(p, fused, 0) : -1; i >= 0; i = seam_patches_next(p, fused, i + 1)) {
        int32_t m = fused->place[i].modality;
        size_t floats = (size_t)p->grid[m] * p->grid[m] * p->width;
        int32_t at = place_picture(f, m, floats);
        if (at < 0)
            continue;
        if (at == (int32_t)f->picture[m]->len) {
            g_ptr_array_add(f->picture[m], g_new(float, floats));
            g_array_append_val(f->picture_record[m], record);
        }
        g_array_index(f->picture_record[m], int32_t, at) = record;
        seam_patches_features(p, fused, i, f->picture[m]->pdata[at]);
    }
}

static bool gather(Gathering *g, SeamEvaluator *e, const SeamDataset *data, const bool *use, GError **error) {
    const SeamConfig *config = &g->model->config;
    SeamVerdict *verdict = g_new0(SeamVerdict, SEAM_MAX_MODALITIES + 1);
    bool ok = true;
    for (g->record = 0; ok && g->record < data->n; g->record++) {
        uint32_t subset[SEAM_MAX_MODALITIES + 1], present = seam_record_present(&data->record[g->record], config);
        int32_t n = 0;
        if (!use[g->record])
            continue;
        subset[n++] = present;
        for (int32_t m = 0; m < config->n_modalities && (present & (present - 1)) != 0; m++)
            if (present >> m & 1)
                subset[n++] = 1u << m;
        ok = seam_evaluate_record(e, &data->record[g->record], subset, n, verdict, error) && seam_status_check(g->status, "features of good windows", error);
    }
    g_free(verdict);
    return ok;
}

bool seam_features_gather(SeamFeatures *f, const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const bool *use, int32_t frames,
                          GError **error) {
    seam_features_open(f, model);
    if (f->task < 0)
        return true;
    SeamCalibration *none = seam_calibration_new();
    Gathering g = {.features = f, .model = model, .kernels = kernels, .row = g_new(float, (gsize)model->config.n_modalities * f->width)};
    SeamEvaluateOptions options = {.model = model, .kernels = kernels, .calibration = none, .weld = SEAM_WELD_OPTIONS_DEFAULT, .frames = frames, .tasks = 0,
                                   .window = take_window, .user = &g};
    SeamEvaluator *e = seam_arena_init(&g.arena, seam_anomaly_bytes(&model->task[f->task].anomaly, 1)) ? seam_evaluator_new(&options, error) : NULL;
    bool ok = e && gather(&g, e, data, use, error);
    if (!e && error && !*error)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the features of good windows");
    seam_evaluator_free(e);
    seam_calibration_free(none);
    seam_arena_clear(&g.arena);
    g_free(g.row);
    return ok;
}

void seam_features_clear(SeamFeatures *f) {
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++) {
        if (f->row[m])
            g_array_unref(f->row[m]);
        if (f->record[m])
            g_array_unref(f->record[m]);
        if (f->picture[m])
            g_ptr_array_unref(f->picture[m]);
        if (f->picture_record[m])
            g_array_unref(f->picture_record[m]);
    }
    *f = (SeamFeatures){.task = -1};
}

// The rows of one modality whose record is wanted, side by side.
static GArray *select_rows(const SeamFeatures *f, int32_t m, const bool *wanted, int32_t *n) {
    GArray *out = g_array_new(FALSE, FALSE, sizeof(float));
    *n = 0;
    for (guint i = 0; i < f->record[m]->len; i++)
        if (wanted[g_array_index(f->record[m], int32_t, i)]) {
            g_array_append_vals(out, &g_array_index(f->row[m], float, (gsize)i * f->width), (guint)f->width);
            ++*n;
        }
    return out;
}

bool seam_memory_fit(SeamModel *model, const SeamFeatures *f, const bool *in, const bool *held, const SeamKernels *kernels, uint64_t seed,
                     GError **error) {
    bool ok = true;
    if (f->task < 0)
        return true;
    SeamAnomaly *a = &model->task[f->task].anomaly;
    seam_anomaly_clear(a);
    for (int32_t m = 0; ok && m < model->config.n_modalities; m++) {
        int32_t n, n_held;
        g_autoptr(GArray) rows = select_rows(f, m, in, &n), held_rows = select_rows(f, m, held, &n_held);
        if (n >= 1 && n_held >= 2)
            ok = seam_anomaly_fit(a, m, (const float *)(const void *)rows->data, n, (const float *)(const void *)held_rows->data, n_held, kernels, seed, error);
    }
    return ok;
}

// The features of the pictures of one modality whose record is wanted, side by side; NULL without memory.
static float *select_pictures(const SeamFeatures *f, int32_t m, const bool *wanted, int32_t *n) {
    size_t floats = (size_t)f->patches->grid[m] * f->patches->grid[m] * f->patches->width;
    *n = 0;
    for (guint i = 0; i < f->picture[m]->len; i++)
        *n += wanted[g_array_index(f->picture_record[m], int32_t, i)];
    float *out = g_try_new(float, *n * floats + 1), *to = out;
    for (guint i = 0; out && i < f->picture[m]->len; i++)
        if (wanted[g_array_index(f->picture_record[m], int32_t, i)]) {
            memcpy(to, f->picture[m]->pdata[i], floats * sizeof *to);
            to += floats;
        }
    return out;
}

bool seam_memory_fit_patches(SeamModel *model, const SeamFeatures *f, const bool *in, const bool *held, const SeamKernels *kernels, uint64_t seed,
                             GError **error) {
    bool ok = true;
    for (int32_t m = 0; ok && f->patches && m < model->config.n_modalities; m++) {
        SeamPatches *p = &model->task[f->task].anomaly.patches;
        int32_t n, n_held, cells = p->grid[m] * p->grid[m];
        g_autofree float *rows = select_pictures(f, m, in, &n), *held_rows = select_pictures(f, m, held, &n_held);
        if (!rows || !held_rows)
            ok = seam_status_check(SEAM_NO_MEMORY, "features of good patches", error);
        else if (n >= 1 && n_held >= 1)
            ok = seam_patches_fit(p, m, rows, n * cells, held_rows, n_held, kernels, seed, error);
    }
    return ok;
}

void seam_memory_halves(const SeamDataset *data, const bool *use, bool *in, bool *held) {
    int32_t k = 0;
    for (int32_t i = 0; i < data->n; i++) {
        held[i] = use[i] && k % 4 == 3;
        in[i] = use[i] && !held[i];
        k += use[i];
    }
    for (int32_t i = data->n - 1; i >= 0 && k > 0 && k < 4; i--) // too few to leave any out but one
        if (use[i]) {
            held[i] = true;
            in[i] = k == 1;
            break;
        }
}
