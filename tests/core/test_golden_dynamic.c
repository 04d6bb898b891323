// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Dynamic paths against their twin in PyTorch (tests/reference/dynamic.py), with the ref kernels and with those of this machine: what exit heads and the
// penalties inside of layers add to the loss and to every gradient, and what the tokens are when sequences leave and experts are left out.
#include <glib.h>
#include <string.h>

#include "core/model.h"
#include "core/train/exits.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { SEQS = 4, N = 26, DIM = 16, LAYERS = 4 };

static const double class_weight[] = {1, 2, 0.5};
static const float mass = 0.7f, margin = 0.25f;

typedef struct {
    SeamSafetensors *file;
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    float *start; // [N, DIM] what the encoder gets
    SeamTokens tokens;
    int32_t seq_start[SEQS + 1];
    double seq_time[SEQS];
    SeamPlace place[N];
    uint8_t left[SEQS];
} Fixture;

static void setup(Fixture *f, const SeamKernels *kernels) {
    SeamConfig config;
    GError *error = NULL;
    memset(f, 0, sizeof *f);
    f->file = golden_open("dynamic.safetensors");
    g_assert_true(seam_config_parse(&config, seam_safetensors_metadata(f->file, "config"), "golden", &error));
    g_assert_no_error(error);
    f->model = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < f->model->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(f->model->params->tensors, i);
        g_autofree char *name = g_strconcat("param.", t->name, NULL);
        g_autofree float *x = golden_values(f->file, "", name, t->size);
        memcpy(t->data, x, t->size * sizeof *x);
    }
    g_assert_true(seam_arena_init(&f->arena, 4 << 20));
    f->run = (SeamRun){.kernels = kernels, .arena = &f->arena};
    f->start = golden_values(f->file, "", "start", N * DIM);
    g_autofree float *sequence = golden_values(f->file, "", "sequence", N);
    for (int32_t i = 0; i < N; i++)
        f->seq_start[(int32_t)sequence[i] + 1] = i + 1;
    f->tokens = (SeamTokens){.n = N, .dim = DIM, .seqs = SEQS, .x = g_memdup2(f->start, N * DIM * sizeof(float)), .seq_start = f->seq_start,
                             .seq_time = f->seq_time, .place = f->place, .seq_left = f->left};
}

static void teardown(Fixture *f) {
    g_free(f->tokens.x);
    g_free(f->start);
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
    seam_safetensors_free(f->file);
}

static const SeamKernels *kernels_of(const void *data) {
    return data ? seam_kernels_cpu() : seam_kernels_ref();
}

static void test_training(const void *data) {
    Fixture f;
    setup(&f, kernels_of(data));
    int32_t label[SEQS] = {2, 0, -1, 1}, window_of[SEQS] = {0, 1, 2, 3};
    SeamExitLesson lesson = {.weight = 0.6, .smoothing = 0.1, .class_weight = class_weight};
    SeamBatch batch = {.config = &f.model->config, .windows = SEQS, .label = label, .exit = &lesson};
    SeamPass pass = {.encoded = f.tokens, .window_of = window_of, .encoder = SEAM_NEW0(&f.arena, SeamEncoderSaved, LAYERS)};
    double balance = 0;
    f.run.penalty = (SeamPenalty){.gate_weight = 0.8f, .gate_target = 0.3f, .router_z = 0.05f};
    g_autofree float *weight = golden_values(f.file, "", "weight", N * DIM), *dx = g_memdup2(weight, N * DIM * sizeof *weight);
    assert_ok(seam_exits_encode(f.model, &f.run, &batch, &pass));
    golden_compare(f.file, "", "encoded", N * DIM, pass.encoded.x);
    seam_params_zero_grad(f.model->params);
    assert_ok(seam_exits_backward(f.model, &f.run, &batch, &pass, 0, &balance, dx));
    const float losses[] = {(float)lesson.loss, (float)f.run.penalty.gate_loss, (float)f.run.penalty.router_z_loss};
    golden_compare(f.file, "", "losses", 3, losses);
    golden_compare(f.file, "", "dstart", N * DIM, dx);
    for (guint i = 0; i < f.model->params->tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(f.model->params->tensors, i);
        golden_compare(f.file, "grad.", t->name, t->size, t->grad);
    }
    teardown(&f);
}

static void test_leaving(const void *data) {
    Fixture f;
    setup(&f, kernels_of(data));
    g_autofree float *depth = golden_values(f.file, "left.", "depth", SEQS);
    f.run.effort = (SeamEffort){.expert_mass = mass, .exit_margin = margin};
    assert_ok(seam_model_encode(f.model, &f.run, 0, LAYERS - 1, &f.tokens, NULL, NULL));
    golden_compare(f.file, "left.", "encoded", N * DIM, f.tokens.x);
    for (int32_t s = 0; s < SEQS; s++)
        g_assert_cmpint(f.left[s], ==, depth[s] < LAYERS);
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden-dynamic/training/ref", NULL, test_training);
    g_test_add_data_func("/golden-dynamic/training/cpu", "cpu", test_training);
    g_test_add_data_func("/golden-dynamic/leaving/ref", NULL, test_leaving);
    g_test_add_data_func("/golden-dynamic/leaving/cpu", "cpu", test_leaving);
    return g_test_run();
}
