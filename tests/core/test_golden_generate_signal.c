// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The head that tells what gaps hide against the twin in PyTorch (tests/reference/generate_signal.py): outputs, loss, and the gradients of tokens and
// parameters.
#include <glib.h>
#include <string.h>

#include "core/layers/generate_signal.h"
#include "tests/core/golden.h"

enum { DIM = 16, TOKENS = 11, WINDOWS = 3, CHANNELS = 3, RANK = 3, QUERIES = 7, Q = SEAM_SIGNAL_QUANTILES };

static const SeamSignalQuery query[QUERIES] = {{0, 1, 0}, {0, 4, 2}, {1, 0, 1}, {2, 0, 0}, {2, 2, 1}, {2, 2, 2}, {2, 3, 0}};

static void declare(SeamSignal *layer, SeamParams *params, const SeamSafetensors *file) {
    g_autofree SeamConfig *config = g_new0(SeamConfig, 1);
    config->dim = DIM;
    config->window = 2;
    config->n_modalities = 1;
    config->modality[0] = (SeamModality){.name = "sensors", .front = SEAM_FRONT_SENSOR, .channels = CHANNELS, .mean = {1, 0, -1}, .std = {2, 1, 0.5f},
                                         .sensor = {.rate = 5, .patch = 2}};
    config->task[0] = (SeamTask){.name = "fill", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_SIGNAL, .of = "sensors", .rank = RANK};
    seam_signal_declare(layer, params, config, 0);
    g_assert_true(seam_params_allocate(params, true, NULL));
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        g_autofree float *values = golden_values(file, "", t->name, t->size);
        memcpy(t->data, values, t->size * sizeof *values);
    }
}

static void test_signal(const void *data) {
    SeamSafetensors *file = golden_open("generate_signal.safetensors");
    SeamParams *params = seam_params_new();
    SeamArena arena;
    SeamSignal layer;
    SeamSignalSaved saved;
    float *logits, dlogits[QUERIES * Q], dx[TOKENS * DIM];
    SeamPlace place[TOKENS] = {0};
    g_assert_true(seam_arena_init(&arena, 1 << 22));
    SeamRun run = {.kernels = data ? seam_kernels_cpu() : seam_kernels_ref(), .arena = &arena};
    declare(&layer, params, file);
    g_autofree float *x = golden_values(file, "", "x", TOKENS * DIM), *size = golden_values(file, "", "size", TOKENS);
    g_autofree float *truth = golden_values(file, "", "truth", QUERIES), *time = golden_values(file, "", "time", TOKENS);
    for (int32_t i = 0; i < TOKENS; i++)
        place[i].t = time[i];
    SeamTokens tokens = {.n = TOKENS, .dim = DIM, .seqs = WINDOWS, .x = x, .size = size, .place = place, .seq_start = (int32_t[]){0, 6, 6, TOKENS}};
    g_assert_cmpint(seam_signal_forward(&layer, &run, &tokens, QUERIES, query, &logits, &saved), ==, SEAM_OK);
    golden_compare(file, "", "logits", QUERIES * Q, logits);
    golden_compare(file, "", "loss", 1, &(float){(float)seam_signal_loss(&layer, QUERIES, query, logits, truth, 1, dlogits)});
    g_assert_cmpint(seam_signal_backward(&layer, &run, &saved, dlogits, dx), ==, SEAM_OK);
    golden_compare(file, "", "dx", TOKENS * DIM, dx);
    for (guint i = 0; i < params->tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(params->tensors, i);
        golden_compare(file, "grad.", t->name, t->size, t->grad);
    }
    seam_params_free(params);
    seam_arena_clear(&arena);
    seam_safetensors_free(file);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden-generate-signal/ref", NULL, test_signal);
    g_test_add_data_func("/golden-generate-signal/cpu", "cpu", test_signal);
    return g_test_run();
}
