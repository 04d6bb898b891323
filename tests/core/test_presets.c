// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Each preset builds and learns: a training step lowers the loss of what it was taught. base, and two layers of full at their width, take gigabytes and
// run with SEAM_LONG alone.
#include "core/footprint.h"
#include "tests/preset_model.h"

// The loss of the same window after a few steps of the optimiser.
static void test_step(const void *name) {
    SeamConfig *config = g_new0(SeamConfig, 1);
    SeamOptimiser optimiser = {0};
    double norm;
    preset_config(config, name, 0, 64);
    PresetModel *p = preset_model(config, seam_kernels_cpu());
    g_assert_true(seam_optimiser_init(&optimiser, p->model->params, NULL));
    optimiser.clip = 1;
    PresetStep first = preset_forward_backward(p);
    g_assert_cmpint(seam_optimiser_step(&optimiser, p->run.kernels, 1e-3, &norm), ==, SEAM_OK);
    g_assert_cmpfloat_with_epsilon(norm, first.norm, 1e-3 * first.norm);
    PresetStep second = preset_forward_backward(p);
    g_assert_cmpfloat(second.loss, <, first.loss);
    seam_optimiser_clear(&optimiser);
    preset_free(p);
    g_free(config);
}

static void test_long_step(const void *name) {
    if (g_getenv("SEAM_LONG"))
        test_step(name);
    else
        g_test_skip("takes gigabytes: with SEAM_LONG");
}

static void test_full(void) {
    if (!g_getenv("SEAM_LONG")) {
        g_test_skip("takes gigabytes: with SEAM_LONG");
        return;
    }
    SeamConfig *config = g_new0(SeamConfig, 1);
    preset_config(config, "full", 2, 64);
    PresetModel *p = preset_model(config, seam_kernels_cpu());
    preset_forward_backward(p);
    preset_free(p);
    g_free(config);
}

// What is counted beforehand is what is taken; and the design's sizes.
static void test_footprint(void) {
    static const struct {
        const char *name;
        double low, high; // million parameters
    } sizes[] = {{"nano", 0.8, 1.5}, {"small", 7, 9.5}, {"base", 200, 230}, {"full", 5000, 5400}};
    SeamConfig *config = g_new0(SeamConfig, 1);
    SeamFootprint f;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        preset_config(config, sizes[i].name, 0, 64);
        SeamModel *outline = seam_model_outline(config, NULL);
        g_assert_nonnull(outline);
        g_assert_null(outline->params->data);
        seam_footprint(outline, &f);
        g_test_message("%s: %.1f M parameters, %.1f M meet a token, %.2f GB to train", sizes[i].name, (double)f.parameters / 1e6, (double)f.active / 1e6,
                       (f.weights + f.gradients + f.optimiser + f.training) / 1e9);
        g_assert_cmpfloat((double)f.parameters / 1e6, >=, sizes[i].low);
        g_assert_cmpfloat((double)f.parameters / 1e6, <=, sizes[i].high);
        g_assert_cmpint(f.experts, <, f.parameters);
        g_assert_cmpint(f.active, <, f.parameters);
        seam_model_free(outline);
    }
    preset_config(config, "nano", 0, 64);
    PresetModel *p = preset_model(config, seam_kernels_cpu());
    PresetStep step = preset_forward_backward(p);
    seam_footprint(p->model, &f);
    g_assert_cmpint(f.parameters, <=, (int64_t)p->model->params->size);
    g_assert_cmpint(f.parameters, >, (int64_t)p->model->params->size * 95 / 100); // the rest is alignment
    g_assert_cmpfloat((double)step.arena, <, 1.5 * f.training);
    g_assert_cmpfloat((double)step.arena, >, 0.3 * f.training);
    preset_free(p);
    g_free(config);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/presets/nano", "nano", test_step);
    g_test_add_data_func("/presets/small", "small", test_step);
    g_test_add_data_func("/presets/base", "base", test_long_step);
    g_test_add_func("/presets/full-two-layers", test_full);
    g_test_add_func("/presets/footprint", test_footprint);
    return g_test_run();
}
