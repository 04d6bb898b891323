// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The generative heads against the twin in PyTorch (tests/reference/generate.py): outputs, losses, and the gradients of tokens and parameters.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/layers/generate_forecast.h"
#include "core/layers/generate_text.h"
#include "tests/core/golden.h"

enum { DIM = 16, TOKENS = 11, WINDOWS = 3, CHANNELS = 3, RANK = 3, Q = SEAM_FORECAST_QUANTILES };

typedef struct {
    SeamSafetensors *file;
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    float *x, dx[TOKENS * DIM];
    int32_t start[WINDOWS + 1];
    SeamTokens tokens;
} Fixture;

static void setup(Fixture *f, const SeamKernels *kernels) {
    memset(f, 0, sizeof *f);
    f->file = golden_open("generate.safetensors");
    f->config.dim = DIM;
    f->config.n_modalities = 1;
    f->config.modality[0] = (SeamModality){.name = "sensors", .front = SEAM_FRONT_SENSOR, .channels = CHANNELS, .mean = {1, 0, -1}, .std = {2, 1, 0.5f}};
    f->params = seam_params_new();
    g_assert_true(seam_arena_init(&f->arena, 1 << 22));
    f->run = (SeamRun){kernels, &f->arena};
    f->x = golden_values(f->file, "", "x", TOKENS * DIM);
    memcpy(f->start, (const int32_t[]){0, 6, 6, TOKENS}, sizeof f->start);
    f->tokens = (SeamTokens){.n = TOKENS, .dim = DIM, .seqs = WINDOWS, .x = f->x, .seq_start = f->start};
}

static void load(Fixture *f) {
    g_assert_true(seam_params_allocate(f->params, true, NULL));
    for (guint i = 0; i < f->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(f->params->tensors, i);
        g_autofree float *values = golden_values(f->file, "", t->name, t->size);
        memcpy(t->data, values, t->size * sizeof *values);
    }
}

static void compare_gradients(Fixture *f) {
    for (guint i = 0; i < f->params->tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(f->params->tensors, i);
        golden_compare(f->file, "grad.", t->name, t->size, t->grad);
    }
}

static void teardown(Fixture *f) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
    seam_safetensors_free(f->file);
    g_free(f->x);
}

static void test_forecast(const void *data) {
    Fixture f;
    SeamForecast layer;
    SeamForecastSaved saved;
    float *logits, dlogits[WINDOWS * CHANNELS * Q], quantile[WINDOWS * CHANNELS * Q];
    setup(&f, data ? seam_kernels_cpu() : seam_kernels_ref());
    f.config.task[0] = (SeamTask){.name = "next", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_FORECAST, .of = "sensors", .rank = RANK, .horizon = 1};
    seam_forecast_declare(&layer, f.params, &f.config, 0);
    load(&f);
    g_autofree float *truth = golden_values(f.file, "", "forecast.truth", WINDOWS * CHANNELS);
    for (int32_t i = 0; i < WINDOWS * CHANNELS; i++)
        truth[i] = truth[i] > 1e29f ? NAN : truth[i]; // the file holds no NaN
    g_assert_cmpint(seam_forecast_forward(&layer, &f.run, &f.tokens, &logits, &saved), ==, SEAM_OK);
    golden_compare(f.file, "forecast.", "logits", WINDOWS * CHANNELS * Q, logits);
    for (int32_t i = 0; i < WINDOWS * CHANNELS; i++) {
        double q[Q];
        seam_forecast_quantiles(logits + i * Q, q);
        for (int32_t k = 0; k < Q; k++)
            quantile[i * Q + k] = (float)q[k];
    }
    golden_compare(f.file, "forecast.", "quantile", WINDOWS * CHANNELS * Q, quantile);
    golden_compare(f.file, "forecast.", "loss", 1, &(float){(float)seam_forecast_loss(&layer, WINDOWS, logits, truth, 1, dlogits)});
    g_assert_cmpint(seam_forecast_backward(&layer, &f.run, &saved, dlogits, f.dx), ==, SEAM_OK);
    golden_compare(f.file, "forecast.", "dx", TOKENS * DIM, f.dx);
    compare_gradients(&f);
    teardown(&f);
}

static void test_text(const void *data) {
    Fixture f;
    SeamText layer;
    SeamPlace place[TOKENS] = {0};
    double loss;
    const SeamFacts facts[WINDOWS] = {{SEAM_REJECT, 1, 83, 40, 0}, {0}, {SEAM_PASS, 0, 99, -1, -1}};
    const char sentence[WINDOWS][SEAM_MAX_FINDING] = {"bad 83", "", "good"};
    setup(&f, data ? seam_kernels_cpu() : seam_kernels_ref());
    f.tokens.place = place;
    f.config.n_classes = 2;
    f.config.task[0] = (SeamTask){.name = "say", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_TEXT, .rank = RANK, .depth = 2, .width = 16, .length = 64};
    seam_text_declare(&layer, f.params, &f.config, 0);
    load(&f);
    g_assert_cmpint(seam_text_loss(&layer, &f.run, &f.tokens, facts, sentence, 1, &loss, f.dx), ==, SEAM_OK);
    golden_compare(f.file, "text.", "loss", 1, &(float){(float)loss});
    golden_compare(f.file, "text.", "dx", TOKENS * DIM, f.dx);
    compare_gradients(&f);
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden-generate/forecast/ref", NULL, test_forecast);
    g_test_add_data_func("/golden-generate/forecast/cpu", "cpu", test_forecast);
    g_test_add_data_func("/golden-generate/text/ref", NULL, test_text);
    g_test_add_data_func("/golden-generate/text/cpu", "cpu", test_text);
    return g_test_run();
}
