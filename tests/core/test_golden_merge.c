// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The compression of tokens against its twin in PyTorch (tests/reference/merge.py): which tokens become one, their values, places and sizes, and what is
// given back to pictures; with the ref kernels and with those of this machine.
#include <glib.h>
#include <string.h>

#include "core/layers/merge.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { DIM = 6, SEQS = 6, PLACE = 5 };
static const int32_t seq_start[SEQS + 1] = {0, 26, 62, 662, 667, 668, 670};

typedef struct {
    SeamSafetensors *file;
    SeamArena arena;
    SeamRun run;
    SeamTokens tokens;
} Fixture;

static void load(Fixture *f) {
    SeamTokens *t = &f->tokens;
    int32_t n = seq_start[SEQS];
    g_autofree float *places = golden_values(f->file, "", "places", (size_t)n * PLACE);
    *t = (SeamTokens){.n = n, .dim = DIM, .seqs = SEQS, .x = golden_values(f->file, "", "input", (size_t)n * DIM), .place = g_new0(SeamPlace, n),
                      .size = g_new(float, n), .seq_start = g_memdup2(seq_start, sizeof seq_start)};
    for (int32_t i = 0; i < n; i++) {
        const float *p = places + (size_t)i * PLACE;
        t->place[i] = (SeamPlace){.domain = (uint8_t)p[0], .channel = (uint16_t)p[1], .t = p[2], .x = p[3], .y = p[4]};
        t->size[i] = 1;
    }
}

static void unload(Fixture *f, float *size) {
    g_free(f->tokens.x);
    g_free(f->tokens.place);
    g_free(f->tokens.seq_start);
    g_free(size);
}

static void compare_whole(const Fixture *f, const char *prefix, const char *name, size_t n, const int32_t *got) {
    g_autofree float *want = golden_values(f->file, prefix, name, n);
    for (size_t i = 0; i < n; i++)
        if (got[i] != (int32_t)want[i])
            g_error("%s%s[%zu]: %d, the twin says %d", prefix, name, i, got[i], (int32_t)want[i]);
}

static void compare_places(const Fixture *f, const char *prefix) {
    const SeamTokens *t = &f->tokens;
    g_autofree float *place = g_new(float, 3 * (size_t)t->n);
    for (int32_t i = 0; i < t->n; i++)
        memcpy(place + 3 * (size_t)i, (float[]){t->place[i].t, t->place[i].x, t->place[i].y}, 3 * sizeof *place);
    golden_compare(f->file, prefix, "place", 3 * (size_t)t->n, place);
}

static void check_share(Fixture *f, float share) {
    g_autofree char *prefix = g_strdup_printf("%g.", (double)share);
    SeamTokens *t = &f->tokens;
    SeamMerge merge;
    size_t mark = seam_arena_mark(&f->arena);
    load(f);
    float *size = t->size;
    assert_ok(seam_merge_forward(&f->run, share, t, &merge));
    compare_whole(f, prefix, "start", SEQS + 1, t->seq_start);
    compare_whole(f, prefix, "to", (size_t)seq_start[SEQS], merge.to);
    golden_compare(f->file, prefix, "x", (size_t)t->n * DIM, t->x);
    golden_compare(f->file, prefix, "size", (size_t)t->n, t->size);
    compare_places(f, prefix);
    for (int32_t i = 0; i < t->n * DIM; i++)
        t->x[i] = 1.5f * t->x[i] + 0.25f; // as the twin does in place of layers
    assert_ok(seam_merge_undo(&f->run, &merge, t));
    golden_compare(f->file, prefix, "undone", (size_t)t->n * DIM, t->x);
    seam_arena_release(&f->arena, mark);
    unload(f, size);
}

static void test_twin(const void *data) {
    Fixture f = {.file = golden_open("merge.safetensors")};
    g_assert_true(seam_arena_init(&f.arena, 16 << 20));
    f.run = (SeamRun){.kernels = data ? seam_kernels_cpu() : seam_kernels_ref(), .arena = &f.arena};
    check_share(&f, 0.25f);
    check_share(&f, 0.5f);
    check_share(&f, 0.875f);
    seam_safetensors_free(f.file);
    seam_arena_clear(&f.arena);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden/merge/ref", NULL, test_twin);
    g_test_add_data_func("/golden/merge/cpu", "cpu", test_twin);
    return g_test_run();
}
