// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The token mixers beside plain attention against their twins in PyTorch (tests/reference/mixers.py): what they give and all gradients.
#include <glib.h>
#include <string.h>

#include "core/layers/gated.h"
#include "core/layers/pattern_hash.h"
#include "core/layers/scan.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { DIM = 16, N = 57, SIZE = N * DIM };
static const int32_t seq_start[] = {0, 37, 37, N};

typedef struct {
    const SeamKernels *kernels;
    SeamSafetensors *file;
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamPattern pattern;
    float y[SIZE], dx[SIZE];
} Fixture;

static void setup(Fixture *f, gconstpointer kernels) {
    f->file = golden_open("mixers.safetensors");
    f->params = seam_params_new();
    f->config = (SeamConfig){.dim = DIM, .heads = 2, .scan_state = 6, .gated_budget = 0.15f, .local_radius = 2, .n_modalities = 1};
    f->config.modality[0] = (SeamModality){.front = SEAM_FRONT_TEXT, .text = {.max_tokens = N}};
    f->pattern = (SeamPattern){.n = N, .seqs = 3, .seq_start = seq_start};
    g_assert_true(seam_arena_init(&f->arena, 1 << 22));
    f->run = (SeamRun){kernels, &f->arena};
}

static void teardown(Fixture *f, gconstpointer data) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
    seam_safetensors_free(f->file);
}

// The parameters "MIXER.NAME" of the C layer are MIXER.param.NAME of the file.
static void load(Fixture *f, const char *mixer) {
    g_autofree char *prefix = g_strconcat(mixer, ".param", NULL);
    g_assert_true(seam_params_allocate(f->params, true, NULL));
    for (guint i = 0; i < f->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(f->params->tensors, i);
        g_autofree float *values = golden_values(f->file, prefix, t->name + strlen(mixer), t->size);
        memcpy(t->data, values, t->size * sizeof *values);
    }
}

static void compare(Fixture *f, const char *mixer) {
    g_autofree char *prefix = g_strconcat(mixer, ".grad", NULL);
    golden_compare(f->file, mixer, ".y", SIZE, f->y);
    golden_compare(f->file, mixer, ".dx", SIZE, f->dx);
    for (guint i = 0; i < f->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(f->params->tensors, i);
        golden_compare(f->file, prefix, t->name + strlen(mixer), t->size, t->grad);
    }
}

static void test_scan(Fixture *f, gconstpointer data) {
    SeamScanLayer layer;
    SeamScanSaved saved;
    g_autofree float *x = golden_values(f->file, "scan", ".x", SIZE), *weight = golden_values(f->file, "scan", ".weight", SIZE);
    seam_scan_declare(&layer, f->params, "scan", &f->config);
    load(f, "scan");
    assert_ok(seam_scan_forward(&layer, &f->run, &f->pattern, x, NULL, f->y, &saved));
    assert_ok(seam_scan_backward(&layer, &f->run, &saved, weight, f->dx));
    compare(f, "scan");
}

static void check_hash(Fixture *f, const char *name, bool causal) {
    SeamAttentionLayer layer;
    SeamAttentionSaved saved;
    SeamPattern pattern;
    SeamHash hash = {.dim = DIM, .bucket = 4, .rounds = 2, .causal = causal, .stream = 5};
    g_autofree float *x = golden_values(f->file, name, ".x", SIZE), *weight = golden_values(f->file, name, ".weight", SIZE);
    seam_attention_declare(&layer, f->params, name, DIM, 2);
    load(f, name);
    assert_ok(seam_pattern_hash(&hash, &f->run, &f->pattern, x, &pattern));
    assert_ok(seam_attention_forward(&layer, &f->run, &pattern, 0, x, f->y, &saved));
    assert_ok(seam_attention_backward(&layer, &f->run, &saved, weight, f->dx));
    compare(f, name);
}

static void test_hash(Fixture *f, gconstpointer data) { check_hash(f, "hash", false); }
static void test_causal(Fixture *f, gconstpointer data) { check_hash(f, "causal", true); }

static void test_gated(Fixture *f, gconstpointer data) {
    SeamGatedLayer layer;
    SeamGatedSaved saved;
    SeamPattern local;
    SeamPlace place[N];
    SeamTokens tokens = {.n = N, .dim = DIM, .seqs = 3, .seq_start = (int32_t *)seq_start, .place = place};
    g_autofree float *x = golden_values(f->file, "gated", ".x", SIZE), *weight = golden_values(f->file, "gated", ".weight", SIZE);
    for (int32_t i = 0; i < N; i++)
        place[i] = (SeamPlace){.domain = SEAM_DOMAIN_WORD};
    seam_gated_declare(&layer, f->params, "gated", &f->config);
    load(f, "gated");
    assert_ok(seam_pattern_local(&f->config, &f->arena, &tokens, &local));
    assert_ok(seam_gated_forward(&layer, &f->run, &local, 0, x, f->y, &saved));
    assert_ok(seam_gated_backward(&layer, &f->run, &saved, weight, f->dx));
    compare(f, "gated");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                                   \
    g_test_add("/golden-mixers/" name "/ref", Fixture, seam_kernels_ref(), setup, function, teardown);        \
    g_test_add("/golden-mixers/" name "/cpu", Fixture, seam_kernels_cpu(), setup, function, teardown)
    ADD("scan", test_scan);
    ADD("hash", test_hash);
    ADD("causal", test_causal);
    ADD("gated", test_gated);
    return g_test_run();
}
