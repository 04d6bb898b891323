// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Long texts in chunks against their twin in PyTorch (tests/reference/text_chunks.py), which goes chunk after chunk: features, scan, attention, and all
// gradients from the last chunk of each text.
#include <glib.h>
#include <string.h>

#include "core/text_chunks.h"
#include "core/layers/attention.h"
#include "core/layers/scan.h"
#include "core/layers/text_embed.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { DIM = 16, TEXTS = 3, WORDS = 4, LAST = 4 + 1 + 4 };
static const char *const text[TEXTS] = {"14:03 alarm E217 gas flow 12.5 l/min; purge the line \xe2\x80\x94 then weld on", "ok", "five words, one too many"};

typedef struct {
    SeamSafetensors *file;
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamTextEmbed embed;
    SeamScanLayer scan;
    SeamAttentionLayer attention;
} Fixture;

static void setup(Fixture *f, gconstpointer kernels) {
    f->file = golden_open("text_chunks.safetensors");
    f->params = seam_params_new();
    f->config = (SeamConfig){.dim = DIM, .layers = 2, .heads = 2, .scan_state = 6, .mixer = {SEAM_MIXER_SCAN, SEAM_MIXER_GLOBAL}, .n_modalities = 1};
    f->config.modality[0] = (SeamModality){.name = "log", .front = SEAM_FRONT_TEXT,
                                           .text = {.buckets = 61, .ngram_min = 3, .ngram_max = 5, .max_tokens = WORDS}};
    seam_text_embed_declare(&f->embed, f->params, &f->config, 0);
    seam_scan_declare(&f->scan, f->params, "scan", &f->config);
    seam_attention_declare(&f->attention, f->params, "attention", DIM, 2);
    g_assert_true(seam_params_allocate(f->params, true, NULL));
    g_assert_true(seam_arena_init(&f->arena, 1 << 22));
    f->run = (SeamRun){kernels, &f->arena};
}

static void teardown(Fixture *f, gconstpointer data) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
    seam_safetensors_free(f->file);
}

// The name of a parameter in the file.
static const char *name_of(const SeamTensor *t) { return g_str_equal(t->name, "embed.log.table") ? "table" : t->name; }

static void load(Fixture *f) {
    for (guint i = 0; i < f->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(f->params->tensors, i);
        g_autofree float *values = golden_values(f->file, "param.", name_of(t), t->size);
        memcpy(t->data, values, t->size * sizeof *values);
    }
}

static float *copy(Fixture *f, const float *x, int32_t n) { return memcpy(SEAM_NEW(&f->arena, float, n * DIM), x, (size_t)n * DIM * sizeof *x); }

static void add(float *to, const float *x, int32_t n) {
    for (int32_t i = 0; i < n * DIM; i++)
        to[i] += x[i];
}

static void test_chain(Fixture *f, gconstpointer data) {
    SeamTextCursor cursor[TEXTS];
    SeamTokens t;
    SeamTextEmbedSaved words;
    SeamScanSaved scan;
    SeamAttentionSaved attention;
    int32_t *row;
    const double time[TEXTS] = {0};
    load(f);
    for (int32_t i = 0; i < TEXTS; i++)
        cursor[i] = seam_text_open(&f->embed, text[i], strlen(text[i]));
    assert_ok(seam_text_embed_forward(&f->embed, &f->run, TEXTS, cursor, time, true, &t, &words));
    SeamPattern apart = seam_pattern_dense(&t), joined;
    assert_ok(seam_pattern_streams(&f->arena, &t, &joined));
    g_assert_cmpint(joined.seqs, ==, TEXTS);
    int32_t n = t.n;
    float *first = copy(f, t.x, n), *last, *d, *dx = copy(f, t.x, n);
    assert_ok(seam_scan_forward(&f->scan, &f->run, &joined, t.x, NULL, first, &scan));
    last = copy(f, first, n);
    assert_ok(seam_attention_forward(&f->attention, &f->run, &apart, 0, first, last, &attention));
    t.x = last;
    d = copy(f, last, n);
    assert_ok(seam_text_chunks_keep_last(&f->arena, &t, &row));
    g_assert_cmpint(t.n, ==, LAST);
    golden_compare(f->file, "", "y", LAST * DIM, t.x);

    g_autofree float *weight = golden_values(f->file, "", "weight", LAST * DIM);
    seam_text_chunks_keep_last_backward(LAST, n, DIM, row, weight, d);
    assert_ok(seam_attention_backward(&f->attention, &f->run, &attention, d, dx));
    add(d, dx, n);
    assert_ok(seam_scan_backward(&f->scan, &f->run, &scan, d, dx));
    add(d, dx, n);
    assert_ok(seam_text_embed_backward(&f->embed, &f->run, &words, d));
    for (guint i = 0; i < f->params->tensors->len; i++) {
        SeamTensor *p = g_ptr_array_index(f->params->tensors, i);
        golden_compare(f->file, "grad.", name_of(p), p->size, p->grad);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/golden-text-chunks/ref", Fixture, seam_kernels_ref(), setup, test_chain, teardown);
    g_test_add("/golden-text-chunks/cpu", Fixture, seam_kernels_cpu(), setup, test_chain, teardown);
    return g_test_run();
}
