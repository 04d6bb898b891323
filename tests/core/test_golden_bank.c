// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The memory bank against its twin in PyTorch (tests/reference/bank.py): what a stream's windows become, which vectors stay in the slots and how much they were
// attended to, and gradients through what earlier windows wrote; with the ref kernels and with those of this machine.
#include <glib.h>
#include <string.h>

#include "core/layers/bank.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { DIM = 12, HEADS = 3, SLOTS = 5, WRITE = 2, WINDOWS = 6, TOKENS = 25 };
static const int32_t lengths[WINDOWS] = {6, 4, 0, 7, 3, 5};

static void load(const SeamSafetensors *file, SeamParams *params) {
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        g_autofree float *x = golden_values(file, "param.", t->name, t->size);
        memcpy(t->data, x, t->size * sizeof *x);
    }
}

static void compare_state(const SeamSafetensors *file, const SeamBank *bank) {
    float number[SLOTS];
    g_assert_cmpint(bank->filled, ==, SLOTS);
    for (int32_t s = 0; s < SLOTS; s++)
        number[s] = (float)bank->number[s];
    golden_compare(file, "", "number", SLOTS, number);
    golden_compare(file, "", "mass", SLOTS, bank->mass);
    golden_compare(file, "", "slots", SLOTS * DIM, bank->x);
}

// Forward over all windows, backward last first.
static void run_stream(const SeamSafetensors *file, const SeamBankLayer *layer, SeamRun *run, SeamBank *bank) {
    SeamBankSaved saved[WINDOWS];
    float written[2 * WINDOWS * WRITE * DIM] = {0};
    g_autofree float *x = golden_values(file, "", "x", TOKENS * DIM), *size = golden_values(file, "", "size", TOKENS);
    g_autofree float *dx = golden_values(file, "", "weight", TOKENS * DIM);
    int32_t first = 0;
    for (int32_t w = 0; w < WINDOWS; first += lengths[w++])
        assert_ok(seam_bank_forward(layer, run, bank, lengths[w], size + first, x + first * DIM, &saved[w]));
    golden_compare(file, "", "y", TOKENS * DIM, x);
    for (int32_t w = WINDOWS - 1; w >= 0; w--) {
        first -= lengths[w];
        assert_ok(seam_bank_backward(layer, run, &saved[w], 0, written, dx + first * DIM));
    }
    golden_compare(file, "", "dx", TOKENS * DIM, dx);
}

static void test_twin(const void *data) {
    const SeamConfig config = {.dim = DIM, .heads = HEADS, .bank_slots = SLOTS, .bank_write = WRITE};
    SeamSafetensors *file = golden_open("bank.safetensors");
    SeamParams *params = seam_params_new();
    SeamBankLayer layer;
    SeamBank bank;
    SeamArena arena;
    seam_bank_declare(&layer, params, &config);
    g_assert_true(seam_params_allocate(params, true, NULL));
    g_assert_true(seam_bank_init(&bank, &config));
    g_assert_true(seam_arena_init(&arena, 1 << 20));
    SeamRun run = {.kernels = data ? seam_kernels_cpu() : seam_kernels_ref(), .arena = &arena};
    load(file, params);
    run_stream(file, &layer, &run, &bank);
    compare_state(file, &bank);
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        golden_compare(file, "grad.", t->name, t->size, t->grad);
    }
    seam_bank_clear(&bank);
    seam_params_free(params);
    seam_safetensors_free(file);
    seam_arena_clear(&arena);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden/bank/ref", NULL, test_twin);
    g_test_add_data_func("/golden/bank/cpu", "cpu", test_twin);
    return g_test_run();
}
