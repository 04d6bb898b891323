// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The tracker: where welds begin and end by arc, event and file; which windows count; what the verdict says. Known answers throughout.
#include <math.h>
#include <string.h>

#include "core/weld.h"

enum { VIDEO, SENSORS, TEXT };
#define WINDOW 0.5

typedef struct {
    SeamConfig config;
    SeamCalibration *calibration;
    SeamWeldOptions options;
    SeamWeldTracker *tracker;
    SeamWindowResult result;
    SeamVerdict verdict;
    int32_t level[2]; // of even windows, of odd ones
    SeamEffortKind effort[2];
} Fixture;

static void set_up(Fixture *f, gconstpointer bounds) {
    static const char *const modalities[] = {"video", "sensors", "text"}, *const classes[] = {"good", "porosity", "spatter"};
    memset(f, 0, sizeof *f);
    f->config.window = WINDOW;
    f->config.experts = 4;
    f->config.n_modalities = f->config.n_classes = 3;
    for (int i = 0; i < 3; i++) {
        g_strlcpy(f->config.modality[i].name, modalities[i], SEAM_NAME_LENGTH);
        g_strlcpy(f->config.class_name[i], classes[i], SEAM_NAME_LENGTH);
    }
    f->config.modality[VIDEO].arc_on = 0.1f;
    f->config.modality[SENSORS].arc_on = 20;
    f->config.modality[TEXT].sparse = true;
    f->calibration = seam_calibration_new();
    for (int32_t i = 0; i < 99; i++) { // good: -10 .. -0.2, defective: 0.1 .. 9.9
        g_assert_true(seam_calibration_add(f->calibration, &f->config, 3, false, false, -10 + i * 0.1f, NULL));
        g_assert_true(seam_calibration_add(f->calibration, &f->config, 3, false, true, 0.1f + i * 0.1f, NULL));
    }
    f->options = SEAM_WELD_OPTIONS_DEFAULT;
    f->options.false_reject = f->options.miss = 0.01;
    f->options.bounds = (SeamBounds)GPOINTER_TO_INT(bounds);
    f->tracker = seam_weld_tracker_new(&f->config, f->calibration, &f->options);
}

static void tear_down(Fixture *f, gconstpointer bounds) {
    seam_weld_tracker_free(f->tracker);
    seam_calibration_free(f->calibration);
}

// Current readings at 50 Hz during window k: on inside [on, off).
static void current(Fixture *f, int32_t k, double on, double off) {
    SeamLevel level[25];
    for (int32_t i = 0; i < 25; i++) {
        double time = k * WINDOW + i * 0.02;
        level[i] = (SeamLevel){time, time >= on - 1e-9 && time < off - 1e-9 ? 150.0f : 0.0f};
    }
    seam_weld_tracker_levels(f->tracker, SENSORS, level, 25);
}

static void window(Fixture *f, int32_t k, float score) {
    SeamWindowResult *r = &f->result;
    memset(r, 0, sizeof *r);
    r->level = f->level[k % 2];
    r->effort = f->effort[k % 2];
    r->time = k * WINDOW;
    r->duration = WINDOW;
    r->present = 3;
    r->score = score;
    r->has_classify = true;
    r->probability[0] = score > 0 ? 0.1f : 0.9f;
    r->probability[1] = score > 0 ? 0.7f : 0.06f;
    r->probability[2] = 1 - r->probability[0] - r->probability[1];
    r->contribution[VIDEO] = score;
    r->expert_use[k % 2] = 1;
    seam_weld_tracker_window(f->tracker, r);
}

static bool poll_at(Fixture *f, int32_t windows, bool finish) {
    return seam_weld_tracker_poll(f->tracker, windows * WINDOW, finish, &f->verdict);
}

// Windows first .. last - 1 with arc inside [on, off); counts the verdicts, of which the last stays in f->verdict.
static int32_t play(Fixture *f, int32_t first, int32_t last, double on, double off, float score) {
    int32_t told = 0;
    for (int32_t k = first; k < last; k++) {
        current(f, k, on, off);
        window(f, k, score);
        while (poll_at(f, k + 1, false))
            told++;
    }
    return told;
}

// Of a weld of nine windows the first three count, though a later one is the worst.
static void first_windows(Fixture *f, gconstpointer bounds) {
    seam_weld_tracker_free(f->tracker);
    f->config.windows = 3;
    f->tracker = seam_weld_tracker_new(&f->config, f->calibration, &f->options);
    g_assert_cmpint(play(f, 0, 6, 1.1, 5.3, -11), ==, 0);
    g_assert_cmpint(play(f, 6, 20, 1.1, 5.3, 8), ==, 1);
    g_assert_cmpint(f->verdict.windows, ==, 3);
    g_assert_cmpfloat(f->verdict.score, ==, -11);
    g_assert_cmpfloat(fabs(f->verdict.end - 5.3), <, 0.021);
}

static void good_weld(Fixture *f, gconstpointer bounds) {
    seam_weld_tracker_set_source(f->tracker, "robot 7");
    seam_weld_tracker_offset(f->tracker, VIDEO, SENSORS, 0.25);
    g_assert_cmpint(play(f, 0, 20, 1.1, 5.3, -11), ==, 1);
    const SeamVerdict *v = &f->verdict;
    g_assert_cmpint(v->number, ==, 1);
    g_assert_cmpstr(v->source, ==, "robot 7");
    g_assert_cmpstr(v->bounds, ==, "arc");
    g_assert_cmpfloat(fabs(v->start - 1.1), <, 0.021);
    g_assert_cmpfloat(fabs(v->end - 5.3), <, 0.021);
    g_assert_cmpint(v->windows, ==, 9); // [1, 1.5) and [5, 5.5) are more than half inside
    g_assert_cmpint(v->decision, ==, SEAM_PASS);
    g_assert_cmpint(v->class_index, ==, 0);
    g_assert_cmpfloat(fabsf(v->confidence - 0.9f), <, 1e-5f);
    g_assert_cmpfloat(v->score, ==, -11);
    g_assert_cmpfloat(v->contribution[VIDEO], ==, -11);
    g_assert_cmpfloat(fabsf(v->expert_use[0] + v->expert_use[1] - 1), <, 1e-5f);
    g_assert_cmpfloat(v->clock_offset[VIDEO], ==, 0.25);
    g_assert_cmpint(v->clock_reference, ==, SENSORS);
    g_assert_cmpuint(v->present, ==, 3);
    g_assert_cmpuint(v->missing, ==, 0);
    g_assert_false(poll_at(f, 20, true));
}

static void use_efforts(Fixture *f, SeamEffortKind even, SeamEffortKind odd) {
    f->effort[0] = even;
    f->effort[1] = odd;
}

// A verdict says the worst level of its windows, and at which effort they were made; its thresholds are those of the effort.
static void effort_and_level(Fixture *f, gconstpointer bounds) {
    const SeamVerdict *v = &f->verdict;
    g_assert_cmpint(play(f, 0, 20, 1.1, 5.3, -11), ==, 1);
    g_assert_true(v->level == 0 && v->effort == SEAM_EFFORT_FULL && v->decision == SEAM_PASS);
    use_efforts(f, SEAM_EFFORT_CALIBRATED, SEAM_EFFORT_CALIBRATED); // no threshold was made so
    g_assert_cmpint(play(f, 20, 40, 11.1, 15.3, -11), ==, 1);
    g_assert_true(v->effort == SEAM_EFFORT_CALIBRATED && v->decision == SEAM_REFER && isnan(v->reject_above));
    g_assert_nonnull(strstr(v->reason, "effort"));
    for (int32_t i = 0; i < 99; i++) { // now they were: all of them eight lower
        g_assert_true(seam_calibration_add(f->calibration, &f->config, 3, true, false, -18 + i * 0.1f, NULL));
        g_assert_true(seam_calibration_add(f->calibration, &f->config, 3, true, true, -7.9f + i * 0.1f, NULL));
    }
    seam_weld_tracker_calibrate(f->tracker, f->calibration, &f->options);
    g_assert_cmpint(play(f, 40, 60, 21.1, 25.3, -5), ==, 1);
    g_assert_true(v->effort == SEAM_EFFORT_CALIBRATED && v->decision == SEAM_REJECT && v->level == 0);
    g_assert_null(strstr(v->reason, "effort"));
    use_efforts(f, SEAM_EFFORT_FULL, SEAM_EFFORT_FULL);
    g_assert_cmpint(play(f, 60, 80, 31.1, 35.3, -5), ==, 1);
    g_assert_true(v->effort == SEAM_EFFORT_FULL && v->decision == SEAM_PASS);
    use_efforts(f, SEAM_EFFORT_CALIBRATED, SEAM_EFFORT_OTHER); // some windows under load: decided, and said
    f->level[1] = 3;
    g_assert_cmpint(play(f, 80, 100, 41.1, 45.3, -5), ==, 1);
    g_assert_true(v->effort == SEAM_EFFORT_OTHER && v->decision == SEAM_REJECT && v->level == 3);
    g_assert_nonnull(strstr(v->reason, "made at another effort"));
    use_efforts(f, SEAM_EFFORT_FULL, SEAM_EFFORT_CALIBRATED); // neither the one nor the other
    f->level[1] = 0;
    g_assert_cmpint(play(f, 100, 120, 51.1, 55.3, -19), ==, 1);
    g_assert_true(v->effort == SEAM_EFFORT_OTHER && v->decision == SEAM_PASS && v->level == 0);
    g_assert_nonnull(strstr(v->reason, "made at another effort"));
}

// Eight windows, of which the k = 2 worst count: 12 and 4.
static void worst_windows_decide(Fixture *f, gconstpointer bounds) {
    static const float score[] = {-9, -9, 4, -9, -9, 12, -9, -9};
    for (int32_t k = 0; k < 8; k++) {
        current(f, k, 0, 4);
        window(f, k, score[k]);
        g_assert_false(poll_at(f, k + 1, false));
    }
    g_assert_true(poll_at(f, 8, true));
    g_assert_cmpfloat(f->verdict.score, ==, 8);
    g_assert_cmpint(f->verdict.decision, ==, SEAM_REJECT);
    g_assert_cmpint(f->verdict.class_index, ==, 1);
    g_assert_cmpfloat(f->verdict.confidence, ==, 0.7f);
    g_assert_cmpfloat(f->verdict.place_time, ==, 2.75);
    g_assert_cmpfloat(fabsf(f->verdict.place - 2.75f / 3.98f), <, 1e-3f);
}

static void arc_hold_and_strikes(Fixture *f, gconstpointer bounds) {
    // Off for 0.3 s: one weld. A strike of 0.2 s: none.
    int32_t told = play(f, 0, 4, 0, 2, -9);
    told += play(f, 4, 10, 2.3, 4, -9);
    g_assert_cmpint(told, ==, 1);
    g_assert_cmpfloat(f->verdict.start, ==, 0);
    g_assert_cmpfloat(fabs(f->verdict.end - 4), <, 0.021);
    g_assert_cmpint(f->verdict.windows, ==, 8);
    g_assert_cmpint(play(f, 10, 14, 5.5, 5.7, -9), ==, 0);
    g_assert_cmpint(play(f, 14, 20, 7.2, 8.4, -9), ==, 1); // numbers have no holes
    g_assert_cmpint(f->verdict.number, ==, 2);
    g_assert_false(poll_at(f, 20, true));
}

// Any modality that sees the arc holds the weld open; the one that died does not hold it for ever.
static void any_modality_says(Fixture *f, gconstpointer bounds) {
    for (int32_t k = 0; k < 12; k++) {
        if (k < 3)
            current(f, k, 0.5, 100); // then the sensor dies with its last reading "on"
        SeamLevel bright = {k * WINDOW + 0.1, k < 6 ? 0.5f : 0.01f};
        seam_weld_tracker_levels(f->tracker, VIDEO, &bright, 1);
        window(f, k, -9);
        g_assert_cmpint(f->result.arc_on, ==, k <= 6);
        if (poll_at(f, k + 1, false))
            break;
    }
    g_assert_cmpint(f->verdict.number, ==, 1);
    g_assert_cmpfloat(fabs(f->verdict.start - 0.1), <, 1e-9);
    g_assert_cmpfloat(fabs(f->verdict.end - 3.1), <, 1e-9);
}

// 0.6 s over the border of two windows that are both less than half inside... counted, since no other is.
static void short_weld(Fixture *f, gconstpointer bounds) {
    f->options.shortest = 0.1;
    seam_weld_tracker_calibrate(f->tracker, NULL, &f->options);
    g_assert_cmpint(play(f, 0, 8, 1.3, 1.7, -9), ==, 1);
    g_assert_cmpint(f->verdict.windows, ==, 2);
    g_assert_cmpint(play(f, 8, 16, 5.3, 6.2, -9), ==, 1); // [5.5, 6) is whole inside: it alone
    g_assert_cmpint(f->verdict.windows, ==, 1);
}

static void missing_modality(Fixture *f, gconstpointer bounds) {
    for (int32_t k = 0; k < 8; k++) {
        current(f, k, 0, 4);
        window(f, k, -11);
        g_assert_false(poll_at(f, k + 1, false));
    }
    // Same again, with video away from half of the windows.
    seam_weld_tracker_reset(f->tracker);
    for (int32_t k = 0; k < 8; k++) {
        current(f, k, 0, 4);
        SeamWindowResult r = f->result;
        r.time = k * WINDOW;
        r.present = k < 4 ? 3 : 2;
        r.missing = k < 4 ? 0 : 1;
        seam_weld_tracker_window(f->tracker, &r);
    }
    g_assert_true(poll_at(f, 8, true));
    g_assert_cmpuint(f->verdict.present, ==, 3);
    g_assert_cmpuint(f->verdict.missing, ==, 1);
    g_assert_cmpint(f->verdict.decision, ==, SEAM_REFER); // nothing was calibrated for sensors alone
    g_assert_true(isnan(f->verdict.reject_above));
    g_assert_cmpstr(f->verdict.reason, ==, "no threshold was calibrated for what was present");
}

static void unscored_weld(Fixture *f, gconstpointer bounds) {
    for (int32_t k = 0; k < 4; k++) {
        current(f, k, 0, 2);
        memset(&f->result, 0, sizeof f->result);
        f->result.time = k * WINDOW;
        f->result.duration = WINDOW;
        f->result.missing = 3;
        seam_weld_tracker_window(f->tracker, &f->result);
    }
    g_assert_true(poll_at(f, 4, true));
    g_assert_cmpint(f->verdict.decision, ==, SEAM_REFER);
    g_assert_true(isnan(f->verdict.score) && isnan(f->verdict.anomaly));
    g_assert_cmpint(f->verdict.class_index, ==, -1);
    g_assert_cmpuint(f->verdict.missing, ==, 3);
}

static void by_event(Fixture *f, gconstpointer bounds) {
    g_assert_cmpint(play(f, 0, 2, 0, 100, -9), ==, 0);
    seam_weld_tracker_begin(f->tracker, 1, "seam A");
    g_assert_cmpint(play(f, 2, 6, 0, 100, -9), ==, 0);
    seam_weld_tracker_end(f->tracker, 3);
    g_assert_true(poll_at(f, 6, false));
    g_assert_cmpstr(f->verdict.bounds, ==, "event");
    g_assert_cmpstr(f->verdict.source, ==, "seam A");
    g_assert_cmpint(f->verdict.windows, ==, 4);
    g_assert_cmpfloat(f->verdict.end, ==, 3);
    seam_weld_tracker_end(f->tracker, 4); // nothing is open
    seam_weld_tracker_begin(f->tracker, 3, "seam B");
    g_assert_cmpint(play(f, 6, 8, 0, 100, -9), ==, 0);
    seam_weld_tracker_begin(f->tracker, 4, NULL); // closes B
    g_assert_true(poll_at(f, 8, false));
    g_assert_cmpstr(f->verdict.source, ==, "seam B");
    g_assert_cmpint(play(f, 8, 10, 0, 0, -9), ==, 0);
    g_assert_true(poll_at(f, 10, true));
    g_assert_cmpfloat(f->verdict.end, ==, 5);
    g_assert_cmpint(f->verdict.number, ==, 3);
}

static void by_file(Fixture *f, gconstpointer bounds) {
    g_assert_false(poll_at(f, 0, true)); // an empty file has no weld
    g_assert_cmpint(play(f, 2, 10, 2, 3, -9), ==, 0);
    g_assert_true(poll_at(f, 10, true));
    g_assert_cmpstr(f->verdict.bounds, ==, "file");
    g_assert_cmpfloat(f->verdict.start, ==, 1);
    g_assert_cmpfloat(f->verdict.end, ==, 5);
    g_assert_cmpint(f->verdict.windows, ==, 8);
}

// More windows than are kept: 20000 at -9 and 3000 at +5 among them; the worst 4096 are the 3000 and 1096 others.
static void long_weld(Fixture *f, gconstpointer bounds) {
    enum { WINDOWS = 20000, BAD = 3000 };
    for (int32_t k = 0; k < WINDOWS; k++) {
        window(f, k, k >= 5000 && k < 5000 + BAD ? 5 : -9);
        g_assert_false(poll_at(f, k + 1, false));
    }
    g_assert_true(poll_at(f, WINDOWS, true));
    g_assert_cmpint(f->verdict.windows, ==, WINDOWS);
    g_assert_cmpfloat(fabsf(f->verdict.score - (BAD * 5.0f - 1096 * 9.0f) / 4096), <, 1e-4f);
    g_assert_cmpfloat(f->verdict.place_time, ==, 5000 * WINDOW + WINDOW / 2);
}

int main(int argc, char **argv) {
    static const struct {
        const char *path;
        SeamBounds bounds;
        void (*test)(Fixture *f, gconstpointer bounds);
    } tests[] = {
        {"/weld/good", SEAM_BOUNDS_ARC, good_weld},
        {"/weld/effort-and-level", SEAM_BOUNDS_ARC, effort_and_level},
        {"/weld/first-windows", SEAM_BOUNDS_ARC, first_windows},
        {"/weld/worst-windows-decide", SEAM_BOUNDS_ARC, worst_windows_decide},
        {"/weld/arc-hold-and-strikes", SEAM_BOUNDS_ARC, arc_hold_and_strikes},
        {"/weld/any-modality-says", SEAM_BOUNDS_ARC, any_modality_says},
        {"/weld/short", SEAM_BOUNDS_ARC, short_weld},
        {"/weld/missing-modality", SEAM_BOUNDS_ARC, missing_modality},
        {"/weld/unscored", SEAM_BOUNDS_ARC, unscored_weld},
        {"/weld/by-event", SEAM_BOUNDS_EVENT, by_event},
        {"/weld/by-file", SEAM_BOUNDS_FILE, by_file},
        {"/weld/long", SEAM_BOUNDS_FILE, long_weld},
    };
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, GINT_TO_POINTER(tests[i].bounds), set_up, tests[i].test, tear_down);
    return g_test_run();
}
