// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the presets take: parameters, memory by what it holds, and the time of one training step of one window on this machine. Of full, two layers at
// full width run forward and backward; all 24 are counted. It takes about 5 GB at most, and needs about two minutes. Trains nothing.
#include "core/footprint.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/preset_model.h"

enum { PICTURE = 224, FULL_LAYERS = 2 };
static const char *const names[] = {"nano", "small", "base", "full"};

static SeamFootprint count(SeamConfig *config, const char *name, int32_t layers) {
    SeamFootprint f;
    preset_config(config, name, layers, PICTURE);
    SeamModel *outline = seam_model_outline(config, NULL);
    g_assert_nonnull(outline);
    seam_footprint(outline, &f);
    seam_model_free(outline);
    return f;
}

static void count_row(Ablation *a, const char *name, const SeamConfig *c, const SeamFootprint *f) {
    double all = f->weights + f->gradients + f->optimiser + f->training;
    ablation_row(a, "sddddddddd", name, (double)f->parameters / 1e6, (double)f->active / 1e6, 100.0 * (double)f->experts / (double)f->parameters,
                 f->weights / 1e9, f->gradients / 1e9, f->optimiser / 1e9, f->training / 1e9, all / 1e9,
                 (double)f->experts / c->groups * sizeof(float) / 1e9);
    g_autofree char *parameters = g_strdup_printf("presets.%s.parameters_millions", name), *total = g_strdup_printf("presets.%s.training_gb", name);
    ablation_key(a, parameters, (double)f->parameters / 1e6);
    ablation_key(a, total, all / 1e9);
}

// One pass warms up, the second is timed; its memory goes before the next preset's is taken. The optimiser's step comes with whole presets alone.
static void time_step(Ablation *a, SeamConfig *config, const char *name, int32_t layers) {
    SeamOptimiser optimiser = {0};
    double norm, seconds = 0;
    preset_config(config, name, layers, PICTURE);
    g_printerr("%s, %d layers\n", name, config->layers);
    PresetModel *p = preset_model(config, seam_kernels_cpu());
    preset_forward_backward(p);
    PresetStep step = preset_forward_backward(p);
    if (layers == 0 && seam_optimiser_init(&optimiser, p->model->params, NULL)) {
        optimiser.clip = 1;
        seconds = ablation_seconds();
        g_assert_cmpint(seam_optimiser_step(&optimiser, p->run.kernels, 1e-3, &norm), ==, SEAM_OK);
        seconds = ablation_seconds() - seconds;
        seam_optimiser_clear(&optimiser);
    }
    ablation_row(a, "sddddd", name, (double)config->layers, step.seconds[0], step.seconds[1], layers ? NAN : seconds, (double)step.arena / 1e9);
    g_autofree char *key = g_strdup_printf("presets.%s.step_seconds", name);
    ablation_key(a, key, step.seconds[0] + step.seconds[1] + seconds);
    preset_free(p);
}

int main(void) {
    SeamConfig *config = g_new0(SeamConfig, 1);
    Ablation *a = ablation_new("One architecture, from a small edge device to a data centre: presets of 1 million to 5.2 billion parameters, of which a token meets the "
                               "top_k experts alone.");
    SeamFootprint f = {0};
    ablation_table(a, "Memory by count, one window of a 224 x 224 picture and a sensor, GB", "preset", "M parameters", "M that a token meets", "% in experts", "weights",
                   "gradients", "optimiser", "activations", "all, to train", "experts of a group", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        f = count(config, names[i], 0);
        count_row(a, names[i], config, &f);
    }
    ablation_finding(a, "full takes %.0f GB to train one window in single precision (%.1f GB of weights, as much of gradients, %.0f GB of the optimiser, %.2f GB of "
                        "activations); %.1f %% of its %.2f billion parameters lie in the experts, %.1f GB a group, and a token meets %.2f billion.",
                     (f.weights + f.gradients + f.optimiser + f.training) / 1e9, f.weights / 1e9, f.optimiser / 1e9, f.training / 1e9,
                     100.0 * (double)f.experts / (double)f.parameters, (double)f.parameters / 1e9, (double)f.experts / config->groups * sizeof(float) / 1e9,
                     (double)f.active / 1e9);
    ablation_table(a, "One training step of one window on this machine, seconds", "preset", "layers", "forward", "backward", "optimiser", "arena, GB", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        time_step(a, config, names[i], i == G_N_ELEMENTS(names) - 1 ? FULL_LAYERS : 0);
    ablation_finding(a, "nano, small and base made a whole step; of full, %d of 24 layers ran forward and backward at full width.", FULL_LAYERS);
    g_free(config);
    return ablation_print(a);
}
