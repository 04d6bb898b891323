// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a configuration. What is accepted must print and read back as the same
// struct.
#include <glib.h>
#include <string.h>

#include "core/config.h"
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

static const char whole[] =
    "{\"dim\":96,\"layers\":4,\"heads\":3,\"experts\":8,\"groups\":4,\"groups_kept\":2,\"top_k\":2,"
    "\"expert_width\":96,"
    "\"router_rank\":8,\"router_shared_a\":true,\"mixer\":[\"local\",\"global\"],\"local_radius\":"
    "3,\"gate_threshold\":0.02,"
    "\"fusion_layers\":1,\"fusion_neighbours\":8,\"fusion_width\":96,\"window\":1.0,\"modalities\":"
    "["
    "{\"name\":\"video\",\"front\":\"image\",\"channels\":1,\"size\":192,\"stem\":[12,24,48,96],"
    "\"delta_rank\":4,\"arc_on\":0.02},"
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"channel_names\":[\"current\","
    "\"flow\"],\"rate\":10,\"patch\":10,"
    "\"time_bins\":10,\"fft\":8,\"bands\":4,\"arc_channel\":0,\"arc_on\":50,\"mean\":[120.5,3],"
    "\"std\":[30.1,1]},"
    "{\"name\":\"text\",\"front\":\"text\",\"buckets\":2048,\"ngram_min\":3,\"ngram_max\":5,\"max_"
    "tokens\":32,\"sparse\":true}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\","
    "\"rank\":8},"
    "{\"name\":\"localise\",\"kind\":\"localise\",\"rank\":8,\"upscale\":2},"
    "{\"name\":\"anomaly\",\"kind\":\"anomaly\",\"rank\":0,\"memory\":512,\"neighbours\":3}]}";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{whole, sizeof whole - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
