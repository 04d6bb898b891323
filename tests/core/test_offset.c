// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The measured clock offset: pulses with noise, shifted by known times and read at other rates, must give the shift back; and where
// nothing can be known nothing is said.
#include <math.h>

#include "core/offset.h"
#include "core/random.h"

#include <glib.h>

// Arc on during [2, 6), [8, 9.5) and [11, 17).
static double arc(double time) {
    return (time >= 2 && time < 6) || (time >= 8 && time < 9.5) || (time >= 11 && time < 17);
}

// Readings at `rate` up to `seconds`, of an arc that is seen `late` seconds late.
static void push(SeamOffset *o, bool reference, double seconds, double rate, double late, double low, double high, double noise, uint64_t seed) {
    SeamRandom random = seam_random(seed, 0);
    for (int32_t i = 0; i < seconds * rate; i++) {
        double time = i / rate;
        SeamLevel level = {time, (float)(low + (high - low) * (arc(time - late) + noise * seam_random_normal(&random)))};
        seam_offset_push(o, reference, &level, 1);
    }
}

// Tolerance: the camera reads every 1/30 s, so an edge is known to half of that, and three pulses have six of them.
static void shifts_are_found(void) {
    static const double shifts[] = {-1, -0.5, -0.013, 0, 0.2, 1};
    for (guint i = 0; i < G_N_ELEMENTS(shifts); i++) {
        SeamOffset *o = seam_offset_new(2);
        push(o, true, 20, 50, 0, 0, 180, 0.08, i);
        push(o, false, 20, 30, shifts[i], 0.02, 0.6, 0.08, 100 + i);
        double offset = NAN, certainty = NAN;
        g_assert_true(seam_offset_estimate(o, INFINITY, &offset, &certainty));
        g_test_message("shift %g: offset %g, certainty %g", shifts[i], offset, certainty);
        g_assert_cmpfloat(fabs(offset - shifts[i]), <=, 0.02);
        g_assert_cmpfloat(certainty, >, 0.9);
        seam_offset_free(o);
    }
}

static void nothing_known(void) {
    double offset, certainty;
    SeamOffset *o = seam_offset_new(2);
    g_assert_false(seam_offset_estimate(o, INFINITY, &offset, &certainty));
    push(o, true, 20, 50, 0, 0, 180, 0, 1);
    g_assert_false(seam_offset_estimate(o, INFINITY, &offset, &certainty)); // the other is silent
    push(o, false, 20, 30, 0, 0.5, 0.5, 0, 2);
    g_assert_false(seam_offset_estimate(o, INFINITY, &offset, &certainty)); // and now without an edge
    seam_offset_free(o);

    o = seam_offset_new(2);
    push(o, true, 20, 50, 0, 0, 180, 0, 1);
    push(o, false, 20, 30, 4, 0, 1, 0, 2); // beyond the search
    g_assert_false(seam_offset_estimate(o, INFINITY, &offset, &certainty) && certainty > 0.9);
    seam_offset_reset(o);
    g_assert_false(seam_offset_estimate(o, INFINITY, &offset, &certainty));
    seam_offset_free(o);
}

static void bad_readings_are_ignored(void) {
    SeamOffset *o = seam_offset_new(2);
    push(o, true, 20, 50, 0, 0, 180, 0, 1);
    push(o, false, 20, 30, 0.3, 0, 1, 0, 2);
    SeamLevel bad[] = {{NAN, 1}, {21, NAN}, {1e300, 1}, {-5, 1}, {3, 7}, {INFINITY, 1}};
    seam_offset_push(o, false, bad, G_N_ELEMENTS(bad));
    double offset, certainty;
    g_assert_true(seam_offset_estimate(o, INFINITY, &offset, &certainty));
    g_assert_cmpfloat(fabs(offset - 0.3), <=, 0.02);
    SeamLevel far = {100000, 1}; // a jump empties the ring
    seam_offset_push(o, false, &far, 1);
    g_assert_false(seam_offset_estimate(o, INFINITY, &offset, &certainty));
    seam_offset_free(o);
}

// A few flashes, twenty times as bright as the arc.
static void flashes_move_nothing(void) {
    SeamOffset *o = seam_offset_new(2);
    push(o, true, 20, 50, 0, 0, 180, 0, 1);
    for (int32_t i = 0; i < 20 * 30; i++) {
        double time = i / 30.0;
        SeamLevel level = {time, i % 97 == 70 ? 20 : (float)arc(time - 0.3)};
        seam_offset_push(o, false, &level, 1);
    }
    double offset, certainty;
    g_assert_true(seam_offset_estimate(o, INFINITY, &offset, &certainty));
    g_assert_cmpfloat(fabs(offset - 0.3), <=, 0.03);
    seam_offset_free(o);
}

// The same moment gives the same offset, whether the streams have run ahead of it or not.
static void running_ahead_changes_nothing(void) {
    double offset[2], certainty;
    for (int32_t ahead = 0; ahead < 2; ahead++) {
        SeamOffset *o = seam_offset_new(2);
        push(o, true, 9 + 4 * ahead, 50, 0, 0, 180, 0, 1);
        push(o, false, 9 + 4 * ahead, 30, 0.3, 0, 1, 0, 2);
        g_assert_true(seam_offset_estimate(o, 9, &offset[ahead], &certainty));
        seam_offset_free(o);
    }
    g_assert_cmpfloat(offset[0], ==, offset[1]);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/offset/shifts-are-found", shifts_are_found);
    g_test_add_func("/offset/nothing-known", nothing_known);
    g_test_add_func("/offset/bad-readings", bad_readings_are_ignored);
    g_test_add_func("/offset/flashes", flashes_move_nothing);
    g_test_add_func("/offset/running-ahead", running_ahead_changes_nothing);
    return g_test_run();
}
