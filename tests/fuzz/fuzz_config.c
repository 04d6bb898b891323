// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a configuration. What is accepted must print and read back as the same
// struct.
#include <glib.h>
#include <string.h>

#include "core/config.h"
#include "tests/core/config_text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static SeamConfig config, again;
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    if (!seam_config_parse(&config, text, "fuzz", &error)) {
        g_assert_nonnull(error);
        return 0;
    }
    g_autofree char *printed = seam_config_print(&config);
    g_assert_true(seam_config_parse(&again, printed, "printed", &error));
    g_assert_cmpmem(&config, sizeof config, &again, sizeof again);
    for (int32_t i = 0; i < config.n_modalities; i++)
        g_assert_cmpint(seam_modality_tokens(&config, i), >, 0);
    return 0;
}

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{config_text, sizeof config_text - 1}, {config_vibration_text, sizeof config_vibration_text - 1},
                              {config_options_text, sizeof config_options_text - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
