// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The windower: the grid, the three ways of changing the rate, gaps, jitter and jumps.
#include "core/sensor_window.h"

#include <math.h>

#include "core/error.h"

// 10 samples a second and window, stretches of 4 samples: half a stretch is 0.2 s.
static SeamConfig make_config(int32_t channels, double rate, int32_t arc_channel) {
    SeamConfig config = {.window = 1.0, .n_modalities = 1};
    config.modality[0].channels = channels;
    config.modality[0].sensor =
        (SeamSensorConfig){.rate = rate, .patch = 4, .time_bins = 1, .arc_channel = arc_channel};
    return config;
}

static SeamWindower *make(double input_rate) {
    SeamConfig config = make_config(1, 10.0, 0);
    return seam_windower_new(&config, 0, input_rate, NULL);
}

static void push_ramp(SeamWindower *w, double time, double rate, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        float x = (float)(time + i / rate);
        g_assert_true(seam_windower_push(w, time + i / rate, &x, 1, NULL));
    }
}

static void test_copy(void) {
    SeamWindower *w = make(10.0);
    SeamSensorWindow window;
    push_ramp(w, 2.3, 10.0, 7);
    g_assert_true(seam_windower_pop(w, false, &window));
    g_assert_cmpfloat(window.time, ==, 2.0);
    g_assert_cmpint(window.samples, ==, 10);
    g_assert_cmpint(window.valid, ==, 7);
    g_assert_true(isnan(window.x[2]));
    g_assert_cmpfloat_with_epsilon(window.x[3], 2.3, 1e-6);
    g_assert_cmpint(window.n_levels, ==, 7);
    g_assert_cmpfloat_with_epsilon(window.levels[0].time, 2.3, 1e-9);
    g_assert_cmpfloat_with_epsilon(window.levels[0].value, 2.3, 1e-6);
    g_assert_false(seam_windower_pop(w, true, &window));
    push_ramp(w, 3.0, 10.0, 3);
    g_assert_false(seam_windower_pop(w, false, &window));
    g_assert_true(seam_windower_pop(w, true, &window));
    g_assert_cmpint(window.valid, ==, 3);
    g_assert_true(isnan(window.x[3]));
    seam_windower_free(w);
}

static void test_average(void) {
    SeamConfig config = make_config(1, 10.0, 0);
    SeamWindower *w = seam_windower_new(&config, 0, 40.0, NULL);
    SeamSensorWindow window;
    float x[40];
    for (int i = 0; i < 40; i++)
        x[i] = i % 4 == 3 ? NAN : (float)(i / 4 + i % 4);
    for (int i = 4; i < 8; i++)
        x[i] = NAN;
    g_assert_true(seam_windower_push(w, 0.0, x, 40, NULL));
    g_assert_true(seam_windower_pop(w, false, &window));
    g_assert_cmpint(window.valid, ==, 9);
    g_assert_true(isnan(window.x[1]));
    for (int i = 2; i < 10; i++)
        g_assert_cmpfloat(window.x[i], ==, (float)i + 1.0f);
    seam_windower_free(w);
}

static void test_average_of_uneven_ratio(void) {
    SeamWindower *w = make(33.0);
    SeamSensorWindow window;
    push_ramp(w, 0.0, 33.0, 66);
    for (int k = 0; k < 2; k++) {
        g_assert_true(seam_windower_pop(w, false, &window));
        g_assert_cmpint(window.valid, ==, 10);
        for (int i = 0; i < 10; i++)
            g_assert_cmpfloat_with_epsilon(window.x[i], k + 0.1 * i + 0.05, 0.03);
    }
    seam_windower_free(w);
}

static void test_interpolate(void) {
    SeamWindower *w = make(8.0);
    SeamSensorWindow window;
    push_ramp(w, 0.0, 8.0, 9);
    g_assert_true(seam_windower_pop(w, false, &window));
    g_assert_cmpint(window.valid, ==, 10);
    for (int i = 0; i < 10; i++)
        g_assert_cmpfloat_with_epsilon(window.x[i], 0.1 * i, 1e-6);
    seam_windower_free(w);
}

static void test_interpolate_not_over_nan_or_pauses(void) {
    SeamWindower *w = make(8.0);
    SeamSensorWindow window;
    const float first[4] = {0.0f, 1.0f, NAN, 3.0f}, later = 9.0f;
    g_assert_true(seam_windower_push(w, 0.0, first, 4, NULL));
    g_assert_true(seam_windower_push(w, 0.95, &later, 1, NULL));
    g_assert_true(seam_windower_pop(w, true, &window));
    // 0.1 is on the line of the first two; 0.2 and 0.3 touch the NaN at 0.25; 0.4 is nearest to
    // 0.375; then nothing until 0.95.
    g_assert_cmpfloat_with_epsilon(window.x[1], 0.8, 1e-6);
    g_assert_true(isnan(window.x[2]) && isnan(window.x[3]));
    g_assert_cmpfloat(window.x[4], ==, 3.0f);
    for (int i = 5; i < 9; i++)
        g_assert_true(isnan(window.x[i]));
    seam_windower_free(w);
}

static void test_jitter_and_jumps(void) {
    SeamWindower *w = make(10.0);
    SeamSensorWindow window;
    g_autoptr(GError) error = NULL;
    const float x[3] = {1.0f, 2.0f, 3.0f};
    g_assert_true(seam_windower_push(w, 0.0, x, 2, NULL));
    // Expected 0.2: both stray by less than a sample and are counted on.
    g_assert_true(seam_windower_push(w, 0.29, x, 1, NULL));
    g_assert_true(seam_windower_push(w, 0.21, x + 1, 1, NULL));
    // Expected 0.4: a jump to 0.6 leaves two samples out.
    g_assert_true(seam_windower_push(w, 0.6, x + 2, 1, NULL));
    g_assert_false(seam_windower_push(w, 0.55, x, 1, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_assert_true(seam_windower_pop(w, true, &window));
    const float expected[] = {1.0f, 2.0f, 1.0f, 2.0f, NAN, NAN, 3.0f};
    for (int i = 0; i < 7; i++)
        g_assert_true(isnan(expected[i]) ? isnan(window.x[i]) : window.x[i] == expected[i]);
    g_assert_cmpint(window.valid, ==, 5);
    seam_windower_free(w);
}

static void test_gap(void) {
    SeamWindower *w = make(10.0);
    SeamSensorWindow window;
    push_ramp(w, 0.0, 10.0, 5);
    g_assert_true(seam_windower_gap(w, 3.2, NULL));
    const int valid[] = {5, 0, 0};
    for (int k = 0; k < 3; k++) {
        g_assert_true(seam_windower_pop(w, false, &window));
        g_assert_cmpfloat(window.time, ==, k);
        g_assert_cmpint(window.valid, ==, valid[k]);
        g_assert_true(isnan(window.x[9]));
    }
    g_assert_false(seam_windower_pop(w, false, &window));
    push_ramp(w, 3.2, 10.0, 8);
    g_assert_true(seam_windower_pop(w, false, &window));
    g_assert_cmpint(window.valid, ==, 8);
    g_assert_cmpfloat_with_epsilon(window.x[2], 3.2, 1e-6);
    seam_windower_free(w);
}

static void test_gap_first_and_reset(void) {
    SeamWindower *w = make(10.0);
    SeamSensorWindow window;
    g_assert_false(seam_windower_pop(w, true, &window));
    g_assert_true(seam_windower_gap(w, 7.0, NULL));
    g_assert_true(seam_windower_pop(w, false, &window));
    g_assert_cmpfloat(window.time, ==, 6.0);
    g_assert_cmpint(window.valid, ==, 0);
    seam_windower_reset(w);
    push_ramp(w, 1.0, 10.0, 10);
    g_assert_true(seam_windower_pop(w, false, &window));
    g_assert_cmpfloat(window.time, ==, 1.0);
    g_assert_cmpint(window.valid, ==, 10);
    seam_windower_free(w);
}

static void test_bad_times(void) {
    SeamWindower *w = make(10.0);
    const double bad[] = {NAN, INFINITY, -1.0, 1e18};
    const float x = 1.0f;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(seam_windower_push(w, bad[i], &x, 1, &error));
        g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
        g_assert_false(seam_windower_gap(w, bad[i], NULL));
    }
    seam_windower_free(w);
}

static void test_levels_of_sound(void) {
    SeamConfig config = make_config(2, 16000.0, -1);
    SeamWindower *w = seam_windower_new(&config, 0, 16000.0, NULL);
    SeamSensorWindow window;
    static float x[32000];
    for (int i = 0; i < 16000; i++) {
        x[2 * i] = i < 8000 ? 0.5f : 0.0f;
        x[2 * i + 1] = i < 8000 ? -0.5f : NAN;
    }
    g_assert_true(seam_windower_push(w, 0.0, x, 16000, NULL));
    g_assert_true(seam_windower_pop(w, false, &window));
    g_assert_cmpint(window.n_levels, ==, 50);
    g_assert_cmpfloat_with_epsilon(window.levels[0].value, 0.5, 1e-6);
    g_assert_cmpfloat_with_epsilon(window.levels[49].value, 0.0, 1e-6);
    g_assert_cmpfloat_with_epsilon(window.levels[25].time, 0.51, 1e-3);
    g_assert_cmpint(window.valid, ==, 16000);
    seam_windower_free(w);
}

// Cut at any places, the same stream gives the same windows.
static void test_cuts_do_not_matter(void) {
    const double rates[] = {10.0, 33.0, 7.0};
    for (size_t r = 0; r < G_N_ELEMENTS(rates); r++) {
        SeamWindower *whole = make(rates[r]), *cut = make(rates[r]);
        float x[300];
        for (int i = 0; i < 300; i++)
            x[i] = sinf((float)i);
        g_assert_true(seam_windower_push(whole, 0.25, x, 300, NULL));
        for (int i = 0, n = 1; i < 300; i += n, n = MIN(1 + (n * 5) % 13, 300 - i))
            g_assert_true(seam_windower_push(cut, 0.25 + i / rates[r], x + i, n, NULL));
        SeamSensorWindow a, b;
        while (seam_windower_pop(whole, true, &a)) {
            g_assert_true(seam_windower_pop(cut, true, &b));
            g_assert_cmpmem(a.x, 10 * sizeof(float), b.x, 10 * sizeof(float));
        }
        g_assert_false(seam_windower_pop(cut, true, &b));
        seam_windower_free(whole);
        seam_windower_free(cut);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sensor-window/copy", test_copy);
    g_test_add_func("/sensor-window/average", test_average);
    g_test_add_func("/sensor-window/average-of-uneven-ratio", test_average_of_uneven_ratio);
    g_test_add_func("/sensor-window/interpolate", test_interpolate);
    g_test_add_func("/sensor-window/interpolate-not-over-nan-or-pauses",
                    test_interpolate_not_over_nan_or_pauses);
    g_test_add_func("/sensor-window/jitter-and-jumps", test_jitter_and_jumps);
    g_test_add_func("/sensor-window/gap", test_gap);
    g_test_add_func("/sensor-window/gap-first-and-reset", test_gap_first_and_reset);
    g_test_add_func("/sensor-window/bad-times", test_bad_times);
    g_test_add_func("/sensor-window/levels-of-sound", test_levels_of_sound);
    g_test_add_func("/sensor-window/cuts-do-not-matter", test_cuts_do_not_matter);
    return g_test_run();
}
