// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The front end for tables of features against its twin in PyTorch (tests/reference/features.py): tokens and gradients, with the ref
// kernels and with those of this machine.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/model.h"
#include "tests/core/differences.h"

enum { READINGS = 3 };

static const double tolerance = 1e-4; // of the norm of a difference against the norm of what the twin says

static float *values(const SeamSafetensors *file, const char *prefix, const char *name, size_t size) {
    g_autofree char *full = g_strconcat(prefix, name, NULL);
    const SeamArray *array = seam_safetensors_find(file, full);
    if (!array || array->size != size)
        g_error("%s: %zu values in the file, %zu here", full, array ? array->size : 0, size);
    float *x = g_new(float, size);
    g_assert_true(seam_array_to_f32(file, array, x, NULL));
    return x;
}

static void compare(const SeamSafetensors *file, const char *prefix, const char *name, size_t size, const float *got) {
    g_autofree float *want = values(file, prefix, name, size);
    double error = 0, norm = 0;
    for (size_t i = 0; i < size; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    if (!(sqrt(error) <= tolerance * fmax(sqrt(norm), 1e-2)))
        g_error("%s%s: the difference has norm %g, the twin's values %g", prefix, name, sqrt(error), sqrt(norm));
}

// What the front end and the projection have; the rest of the model takes no part.
static bool takes_part(const SeamTensor *t) {
    return g_str_has_prefix(t->name, "embed.") || g_str_has_prefix(t->name, "project.") || g_str_has_prefix(t->name, "place.");
}

static void run_modality(const SeamSafetensors *file, SeamModel *model, SeamRun *run, int32_t m) {
    const SeamModality *modality = &model->config.modality[m];
    g_autofree float *x = values(file, "input.", modality->name, (size_t)READINGS * modality->channels);
    SeamSensorWindow window[READINGS];
    SeamFeatureEmbedSaved saved;
    SeamTokens out;
    for (int32_t i = 0; i < READINGS * modality->channels; i++)
        x[i] = x[i] > 1e29f ? NAN : x[i]; // the file holds no NaN
    for (int32_t r = 0; r < READINGS; r++)
        window[r] = (SeamSensorWindow){.time = 2 * r, .samples = 1, .x = x + (size_t)r * modality->channels, .valid = 1};
    assert_ok(seam_model_embed_features(model, run, m, READINGS, window, &out, &saved));
    g_assert_cmpint(out.n, ==, 2 * modality->features.tokens);
    compare(file, "embedded.", modality->name, (size_t)out.n * out.dim, out.x);
    g_autofree float *weight = values(file, "weight.", modality->name, (size_t)out.n * out.dim);
    assert_ok(seam_model_embed_features_backward(model, run, m, &saved, weight));
}

static void test_twin(const void *data) {
    SeamConfig config;
    SeamArena arena;
    GError *error = NULL;
    const char *root = g_getenv("SEAM_SOURCE_ROOT");
    g_autofree char *path = g_build_filename(root ? root : ".", "tests", "golden", "features.safetensors", NULL);
    SeamSafetensors *file = seam_safetensors_read(path, &error);
    g_assert_no_error(error);
    g_assert_true(seam_config_parse(&config, seam_safetensors_metadata(file, "config"), path, &error));
    SeamModel *model = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&arena, 1 << 20));
    SeamRun run = {data ? seam_kernels_cpu() : seam_kernels_ref(), &arena};
    GPtrArray *tensors = model->params->tensors;
    for (guint i = 0; i < tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(tensors, i);
        g_autofree float *x = takes_part(t) ? values(file, "param.", t->name, t->size) : NULL;
        if (x)
            memcpy(t->data, x, t->size * sizeof *x);
    }
    seam_params_zero_grad(model->params);
    for (int32_t m = 0; m < config.n_modalities; m++)
        run_modality(file, model, &run, m);
    for (guint i = 0; i < tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(tensors, i);
        if (takes_part(t))
            compare(file, "grad.", t->name, t->size, t->grad);
    }
    seam_model_free(model);
    seam_safetensors_free(file);
    seam_arena_clear(&arena);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden/features/ref", NULL, test_twin);
    g_test_add_data_func("/golden/features/cpu", "cpu", test_twin);
    return g_test_run();
}
