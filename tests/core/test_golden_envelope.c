// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The envelope front end against its twin in NumPy (tests/reference/envelope.py).
#include <glib.h>
#include <math.h>

#include "core/layers/envelope.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"

enum { SETTINGS = 9, ORDERS = 4, STRETCHES = 4 }; // rate, patch, low, high, bands, shape, shaft, tolerance, background; then the orders

static void test_twin(void) {
    SeamSafetensors *file = golden_open("envelope.safetensors");
    SeamEnvelope e;
    SeamArena arena;
    g_autofree float *c = golden_values(file, "", "config", SETTINGS + ORDERS);
    SeamEnvelopeConfig config = {.low = c[2], .high = c[3], .bands = (int32_t)c[4], .shape = (int32_t)c[5], .shaft = c[6], .tolerance = c[7], .background = c[8],
                                 .n_orders = ORDERS};
    for (int32_t o = 0; o < ORDERS; o++)
        config.order[o] = c[SETTINGS + o];
    int32_t patch = (int32_t)c[1], width = seam_envelope_width(&config);
    g_assert_true(seam_envelope_init(&e, &config, c[0], patch));
    g_assert_true(seam_arena_init(&arena, seam_envelope_bytes(&e)));
    g_autofree float *z = golden_values(file, "", "stretches", (size_t)STRETCHES * (size_t)patch), *out = g_new(float, STRETCHES * width);
    g_autofree float *want = golden_values(file, "", "features", (size_t)STRETCHES * (size_t)width);
    for (int32_t s = 0; s < STRETCHES; s++)
        assert_ok(seam_envelope_features(&e, &arena, z + (size_t)s * (size_t)patch, out + s * width));
    for (int32_t i = 0; i < STRETCHES * width; i++) // one by one: a line of a weak order would not show in a norm
        if (!(fabsf(out[i] - want[i]) <= 1e-3f))
            g_error("stretch %d, feature %d: %g, the twin says %g", i / width, i % width, (double)out[i], (double)want[i]);
    seam_envelope_clear(&e);
    seam_arena_clear(&arena);
    seam_safetensors_free(file);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/golden/envelope", test_twin);
    return g_test_run();
}
