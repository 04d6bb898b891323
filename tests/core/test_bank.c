// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The memory bank: gradients across chunks against finite differences, which slot goes, what a reset and an empty bank mean, planned memory.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/model.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { CHUNKS = 4, MOST_TOKENS = 16 };
static const int32_t lengths[CHUNKS] = {5, 3, 0, 4}, total = 12;

typedef struct {
    SeamConfig config;
    SeamModel *model;
    SeamBank bank;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    SeamTokens tokens;
    int32_t seq_start[CHUNKS + 1];
    float x[MOST_TOKENS * DIM], y[MOST_TOKENS * DIM], weight[MOST_TOKENS * DIM], dx[MOST_TOKENS * DIM], size[MOST_TOKENS];
    uint64_t choices; // which vectors were read, to see that a step of the differences changed none
} Fixture;

static void setup(Fixture *f, int32_t slots, int32_t write, uint64_t seed) {
    memset(f, 0, sizeof *f);
    f->config = small_config();
    f->config.bank_slots = slots;
    f->config.bank_write = write;
    f->config.n_classes = 2;
    strcpy(f->config.class_name[0], "good"), strcpy(f->config.class_name[1], "bad");
    f->config.n_tasks = 1;
    f->config.task[0] = (SeamTask){.name = "quality", .kind = SEAM_TASK_CLASSIFY};
    g_autoptr(GError) error = NULL;
    f->model = seam_model_new(&f->config, true, seed, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    g_assert_true(seam_bank_init(&f->bank, &f->config));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena, {0}};
    f->random = seam_random(seed, 1);
    draw(f->model->params, &f->random);
    fill(&f->random, f->x, G_N_ELEMENTS(f->x), 1);
    fill(&f->random, f->weight, G_N_ELEMENTS(f->weight), 1);
    for (int32_t i = 0; i < MOST_TOKENS; i++)
        f->size[i] = (float)(1 + i % 3);
    f->tokens = (SeamTokens){.dim = DIM, .seqs = CHUNKS, .n = total, .x = f->y, .seq_start = f->seq_start};
    for (int32_t c = 0; c < CHUNKS; c++)
        f->seq_start[c + 1] = f->seq_start[c] + lengths[c];
}

static void teardown(Fixture *f) {
    seam_bank_clear(&f->bank);
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
}

static double loss_of(void *data, bool backward) {
    Fixture *f = data;
    SeamBankSaved saved[CHUNKS];
    uint64_t choices = 1;
    size_t mark = seam_arena_mark(&f->arena);
    seam_bank_reset(&f->bank);
    memcpy(f->y, f->x, sizeof f->y);
    assert_ok(seam_model_remember(f->model, &f->run, &f->bank, &f->tokens, saved));
    for (int32_t c = 0; c < CHUNKS; c++)
        for (int32_t s = 0; s < saved[c].filled && saved[c].n > 0; s++)
            choices = choices * 31 + (uint64_t)saved[c].number[s];
    if (backward) {
        f->choices = choices;
        memcpy(f->dx, f->weight, sizeof f->dx);
        assert_ok(seam_model_remember_backward(f->model, &f->run, CHUNKS, saved, f->dx));
    }
    g_assert_cmpuint(choices, ==, f->choices);
    seam_arena_release(&f->arena, mark);
    return weighted(f->y, f->weight, (size_t)total * DIM);
}

static void check_gradients(int32_t slots, int32_t write, bool sizes, uint64_t seed) {
    Fixture f;
    setup(&f, slots, write, seed);
    f.tokens.size = sizes ? f.size : NULL;
    check_params(f.model->params, 40, loss_of, &f);
    check_values("x", f.x, f.dx, (size_t)total * DIM, SIZE_MAX, loss_of, &f);
    teardown(&f);
}

static void test_gradients(void) {
    check_gradients(8, 2, false, 11);
    check_gradients(8, 1, true, 12);
}

// Two slots for the six vectors of three windows: what went out has no more gradient.
static void test_gradients_full(void) { check_gradients(2, 2, false, 13); }

// The first window of a stream reads nothing; a model without a bank is not touched at all.
static void test_first(void) {
    Fixture f;
    setup(&f, 4, 1, 14);
    memcpy(f.y, f.x, sizeof f.y);
    f.tokens.seqs = 1;
    assert_ok(seam_model_remember(f.model, &f.run, &f.bank, &f.tokens, NULL));
    g_assert_cmpmem(f.y, sizeof f.y, f.x, sizeof f.x);
    g_assert_cmpint(f.bank.filled, ==, 1);
    assert_ok(seam_model_remember(f.model, &f.run, &f.bank, &f.tokens, NULL));
    g_assert_true(memcmp(f.y, f.x, 5 * DIM * sizeof(float)) != 0);
    seam_bank_reset(&f.bank);
    memcpy(f.y, f.x, sizeof f.y);
    assert_ok(seam_model_remember(f.model, &f.run, &f.bank, &f.tokens, NULL));
    g_assert_cmpmem(f.y, sizeof f.y, f.x, sizeof f.x);
    teardown(&f);
}

// A vector that is asked for every time outlives a ring that was written over many times; the rest is the newest.
static void test_least_attended(void) {
    Fixture f;
    setup(&f, 6, 1, 15);
    f.tokens.seqs = 1;
    for (int32_t i = 0; i < 200; i++) {
        memcpy(f.y, f.x, sizeof f.y);
        if (i > 3)
            for (int32_t s = 0; s < f.bank.filled; s++)
                if (f.bank.number[s] == 3)
                    f.bank.mass[s] += 1;
        assert_ok(seam_model_remember(f.model, &f.run, &f.bank, &f.tokens, NULL));
    }
    bool third = false;
    for (int32_t s = 0; s < 6; s++)
        third |= f.bank.number[s] == 3;
    g_assert_true(third);
    g_assert_cmpint(f.bank.written, ==, 200);
    teardown(&f);
}

static void test_not_finite(void) {
    Fixture f;
    setup(&f, 4, 1, 16);
    memcpy(f.y, f.x, sizeof f.y);
    f.y[3] = NAN;
    f.tokens.seqs = 1;
    assert_ok(seam_model_remember(f.model, &f.run, &f.bank, &f.tokens, NULL));
    g_assert_cmpint(f.bank.filled, ==, 0);
    g_assert_cmpint(f.bank.written, ==, 1);
    teardown(&f);
}

static void test_memory(void) {
    Fixture f;
    SeamBankSaved saved[CHUNKS];
    setup(&f, 8, 2, 17);
    for (int32_t train = 0; train < 2; train++) {
        SeamArena arena;
        size_t planned = seam_model_remember_bytes(f.model, CHUNKS, 5, train);
        g_assert_true(seam_arena_init(&arena, planned));
        SeamRun run = {seam_kernels_ref(), &arena, {0}};
        assert_ok(seam_model_remember(f.model, &run, &f.bank, &f.tokens, train ? saved : NULL));
        if (train)
            assert_ok(seam_model_remember_backward(f.model, &run, CHUNKS, saved, f.dx));
        g_assert_cmpuint(arena.peak, <=, planned);
        seam_bank_reset(&f.bank);
        seam_arena_clear(&arena);
    }
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bank/gradients", test_gradients);
    g_test_add_func("/bank/gradients-full", test_gradients_full);
    g_test_add_func("/bank/first", test_first);
    g_test_add_func("/bank/least-attended", test_least_attended);
    g_test_add_func("/bank/not-finite", test_not_finite);
    g_test_add_func("/bank/memory", test_memory);
    return g_test_run();
}
