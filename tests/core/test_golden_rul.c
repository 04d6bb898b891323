// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A model of remaining lives against its twin in PyTorch (tests/reference/rul.py): tokens of all channels together, the survival head's loss, mean and
// quantiles, and every parameter's gradient, with the ref kernels and with those of this machine.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/model.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { WINDOWS = 3, SAMPLES = 32, CHANNELS = 3, LEVELS = 3 };

static const double lives[WINDOWS] = {12.5, 37, 90}, times[WINDOWS] = {0, 2, 4}, levels[LEVELS] = {0.05, 0.5, 0.95};

static SeamModel *load(const SeamSafetensors *file) {
    SeamConfig config;
    GError *error = NULL;
    g_assert_true(seam_config_parse(&config, seam_safetensors_metadata(file, "config"), "golden", &error));
    g_assert_no_error(error);
    SeamModel *model = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < model->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(model->params->tensors, i);
        g_autofree char *name = g_strconcat("param.", t->name, NULL);
        g_autofree float *x = golden_values(file, "", name, t->size);
        memcpy(t->data, x, t->size * sizeof *x);
    }
    return model;
}

// One pass, forward and backward; what it says is compared on the way.
static void run_model(const SeamSafetensors *file, const SeamModel *m, SeamRun *run, const float *x) {
    const SeamSurvival *task = &m->task[0].survival;
    SeamSensorWindow window[WINDOWS];
    SeamSensorEmbedSaved embed;
    SeamEncoderSaved encoder;
    SeamFusionSaved fusion;
    SeamClassifySaved classify;
    SeamClassifyOut out;
    SeamTokens tokens, fused;
    const int32_t window_of[WINDOWS] = {0, 1, 2};
    for (int32_t w = 0; w < WINDOWS; w++)
        window[w] = (SeamSensorWindow){.time = times[w], .samples = SAMPLES, .x = x + w * SAMPLES * CHANNELS, .valid = SAMPLES};
    assert_ok(seam_model_embed_windows(m, run, 0, WINDOWS, window, &tokens, &embed));
    golden_compare(file, "", "embedded", (size_t)tokens.n * tokens.dim, tokens.x);
    assert_ok(seam_model_encode(m, run, 0, 0, &tokens, NULL, &encoder));
    assert_ok(seam_model_fuse(m, run, &tokens, WINDOWS, window_of, times, &fused, &fusion));
    assert_ok(seam_classify_forward(&task->evidence, run, &fused, &out, &classify));
    golden_compare(file, "", "logits", (size_t)WINDOWS * task->bins, out.logits);
    float mean[WINDOWS], quantile[WINDOWS * LEVELS], *dx = SEAM_NEW(run->arena, float, (size_t)fused.n * fused.dim), *din = SEAM_NEW(run->arena, float, (size_t)fused.n * fused.dim);
    g_autofree float *dlogits = g_new(float, WINDOWS * task->bins);
    for (int32_t w = 0; w < WINDOWS; w++) {
        mean[w] = (float)seam_survival_mean(task, out.logits + w * task->bins);
        for (int32_t l = 0; l < LEVELS; l++)
            quantile[w * LEVELS + l] = (float)seam_survival_quantile(task, out.logits + w * task->bins, levels[l]);
    }
    golden_compare(file, "", "mean", WINDOWS, mean);
    golden_compare(file, "", "quantile", WINDOWS * LEVELS, quantile);
    golden_compare(file, "", "loss", 1, &(float){(float)seam_survival_loss(task, WINDOWS, out.logits, lives, 1, dlogits)});
    double balance = 0;
    assert_ok(seam_classify_backward(&task->evidence, run, &classify, dlogits, dx));
    assert_ok(seam_model_fuse_backward(m, run, &fusion, dx, din));
    assert_ok(seam_model_encode_backward(m, run, 0, 0, &encoder, 0, &balance, din));
    assert_ok(seam_model_embed_windows_backward(m, run, 0, &embed, din));
}

static void test_twin(const void *data) {
    SeamSafetensors *file = golden_open("rul.safetensors");
    SeamModel *model = load(file);
    SeamArena arena;
    g_assert_true(seam_arena_init(&arena, 4 << 20));
    SeamRun run = {data ? seam_kernels_cpu() : seam_kernels_ref(), &arena};
    g_autofree float *x = golden_values(file, "", "input", WINDOWS * SAMPLES * CHANNELS);
    for (int32_t i = 0; i < WINDOWS * SAMPLES * CHANNELS; i++)
        x[i] = x[i] > 1e29f ? NAN : x[i]; // the file holds no NaN
    seam_params_zero_grad(model->params);
    run_model(file, model, &run, x);
    for (guint i = 0; i < model->params->tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(model->params->tensors, i);
        golden_compare(file, "grad.", t->name, t->size, t->grad);
    }
    seam_model_free(model);
    seam_safetensors_free(file);
    seam_arena_clear(&arena);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden-rul/ref", NULL, test_twin);
    g_test_add_data_func("/golden-rul/cpu", "cpu", test_twin);
    return g_test_run();
}
