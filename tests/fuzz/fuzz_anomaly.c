// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as the file of an anomaly task, with patches. What is accepted fits the configuration and is of use.
#include <glib.h>
#include <math.h>

#include "core/layers/anomaly.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    SeamConfig config = {.dim = 1, .n_modalities = 1, .n_tasks = 1};
    SeamAnomaly a;
    config.modality[0] = (SeamModality){.name = "p", .front = SEAM_FRONT_IMAGE, .channels = 1, .image = {.size = 4, .stem_layers = 1}};
    config.task[0] = (SeamTask){.name = "a", .kind = SEAM_TASK_ANOMALY, .memory = 2, .neighbours = 1, .patches = 1};
    seam_anomaly_declare(&a, &config, 0);
    SeamSafetensors *file = seam_safetensors_parse(data, size, "fuzz", NULL);
    if (file) {
        g_autoptr(GError) error = NULL;
        bool loaded = seam_anomaly_load(&a, file, &error);
        g_assert_true(loaded == (error == NULL));
        g_assert_true(loaded || (a.patches.memory[0].n == 0 && a.memory[0].n == 0));
        g_assert_true(a.patches.memory[0].n <= 2 && a.memory[0].n <= 2);
        g_assert_true(a.patches.memory[0].n == 0 || (a.patches.memory[0].scale > 0 && isfinite(a.patches.memory[0].scale)));
    }
    seam_safetensors_free(file);
    seam_anomaly_clear(&a);
    return 0;
}

// 144 bytes of header; rows [2, 1], scale [1].
static const char both[] = "\x90\0\0\0\0\0\0\0"
                           "{\"memory.p.patches\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
                           "\"memory.p.patch_scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}"
                           "\0\0\x80\x3F\0\0\0\x40\0\0\x80\x3F";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{both, sizeof both - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
