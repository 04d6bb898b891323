// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The front end for tables of features against its twin in PyTorch (tests/reference/features.py): tokens and gradients, with the ref
// kernels and with those of this machine.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/model.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { READINGS = 3 };

// What the front end and the projection have; the rest of the model takes no part.
static bool takes_part(const SeamTensor *t) {
    return g_str_has_prefix(t->name, "embed.") || g_str_has_prefix(t->name, "project.") || g_str_has_prefix(t->name, "place.");
}

static void run_modality(const SeamSafetensors *file, SeamModel *model, SeamRun *run, int32_t m) {
    const SeamModality *modality = &model->config.modality[m];
    g_autofree float *x = golden_values(file, "input.", modality->name, (size_t)READINGS * modality->channels);
    SeamSensorWindow window[READINGS];
    SeamFeatureEmbedSaved saved;
    SeamTokens out;
    for (int32_t i = 0; i < READINGS * modality->channels; i++)
        x[i] = x[i] > 1e29f ? NAN : x[i]; // the file holds no NaN
    for (int32_t r = 0; r < READINGS; r++)
        window[r] = (SeamSensorWindow){.time = 2 * r, .samples = 1, .x = x + (size_t)r * modality->channels, .valid = 1};
    assert_ok(seam_model_embed_features(model, run, m, READINGS, window, &out, &saved));
    g_assert_cmpint(out.n, ==, 2 * modality->features.tokens);
    golden_compare(file, "embedded.", modality->name, (size_t)out.n * out.dim, out.x);
    g_autofree float *weight = golden_values(file, "weight.", modality->name, (size_t)out.n * out.dim);
    assert_ok(seam_model_embed_features_backward(model, run, m, &saved, weight));
}

static void test_twin(const void *data) {
    SeamConfig config;
    SeamArena arena;
    GError *error = NULL;
    SeamSafetensors *file = golden_open("features.safetensors");
    g_assert_true(seam_config_parse(&config, seam_safetensors_metadata(file, "config"), "golden", &error));
    SeamModel *model = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&arena, 1 << 20));
    SeamRun run = {data ? seam_kernels_cpu() : seam_kernels_ref(), &arena};
    GPtrArray *tensors = model->params->tensors;
    for (guint i = 0; i < tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(tensors, i);
        g_autofree float *x = takes_part(t) ? golden_values(file, "param.", t->name, t->size) : NULL;
        if (x)
            memcpy(t->data, x, t->size * sizeof *x);
    }
    seam_params_zero_grad(model->params);
    for (int32_t m = 0; m < config.n_modalities; m++)
        run_modality(file, model, &run, m);
    for (guint i = 0; i < tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(tensors, i);
        if (takes_part(t))
            golden_compare(file, "grad.", t->name, t->size, t->grad);
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
