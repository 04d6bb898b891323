// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Conformal thresholds: known answers, the promise by simulation, the three decisions, and the JSON there and back.
#include <math.h>
#include <string.h>

#include "core/conformal.h"
#include "core/error.h"
#include "core/files.h"
#include "core/random.h"

static SeamConfig *test_config(void) {
    SeamConfig *config = g_new0(SeamConfig, 1);
    const char *names[] = {"video", "sensors", "photo"};
    config->n_modalities = 3;
    for (int i = 0; i < 3; i++)
        g_strlcpy(config->modality[i].name, names[i], SEAM_NAME_LENGTH);
    config->modality[2].sparse = true;
    return config;
}

static void fill(SeamCalibrationSet *set, int32_t n_good, int32_t n_defect) {
    memset(set, 0, sizeof *set);
    set->n_good = n_good;
    set->n_defect = n_defect;
    for (int32_t i = 0; i < n_good; i++)
        set->good[i] = (float)(i + 1);
    for (int32_t i = 0; i < n_defect; i++)
        set->defect[i] = (float)(i + 1);
}

static void known_answers(void) {
    SeamCalibrationSet *set = g_new0(SeamCalibrationSet, 1);
    float below, above;
    fill(set, 199, 99); // 200 * 0.995 = 199: the largest; 100 * 0.01 = 1: the smallest
    seam_conformal_thresholds(set, 0.005, 0.01, &below, &above);
    g_assert_cmpfloat(above, ==, 199);
    g_assert_cmpfloat(below, ==, 1);
    fill(set, 198, 98); // one too few for either promise
    seam_conformal_thresholds(set, 0.005, 0.01, &below, &above);
    g_assert_true(above == INFINITY && below == -INFINITY);
    fill(set, 9, 9);
    seam_conformal_thresholds(set, 0.2, 0.35, &below, &above);
    g_assert_cmpfloat(above, ==, 8);
    g_assert_cmpfloat(below, ==, 3);
    seam_conformal_thresholds(set, 0, 0, &below, &above);
    g_assert_true(above == INFINITY && below == -INFINITY);
    seam_conformal_thresholds(set, 1, 1, &below, &above);
    g_assert_true(above == -INFINITY && below == INFINITY);
    fill(set, 0, 0);
    seam_conformal_thresholds(set, 0.5, 0.4, &below, &above);
    g_assert_true(above == INFINITY && below == -INFINITY);
    g_free(set);
}

// 4000 calibrations of 39 good and 39 defective scores, one new one each. The promised rates are 0.1 and 0.05; the exact ones are
// (n + 1 - k) / (n + 1) = 4/40 and k / (n + 1) = 2/40. The standard error of a rate p over 4000 trials is sqrt(p (1 - p) / 4000) = 0.0047
// and 0.0034; four of them are allowed.
static void promise_is_kept(void) {
    enum { TRIALS = 4000, N = 39 };
    SeamConfig *config = test_config();
    SeamRandom random = seam_random(7, 1);
    int32_t rejected = 0, missed = 0;
    SeamCalibration *c = seam_calibration_new();
    for (int32_t trial = 0; trial < TRIALS; trial++) {
        c->n_sets = 0;
        for (int32_t i = 0; i < N; i++) {
            g_assert_true(seam_calibration_add(c, config, 1, false, false, (float)seam_random_normal(&random), NULL));
            g_assert_true(seam_calibration_add(c, config, 1, false, true, (float)seam_random_normal(&random) + 2, NULL));
        }
        float below, above;
        seam_conformal_thresholds(seam_calibration_find(c, config, 1, SEAM_EFFORT_FULL), 0.1, 0.05, &below, &above);
        rejected += (float)seam_random_normal(&random) > above;
        missed += (float)seam_random_normal(&random) + 2 < below;
    }
    g_test_message("rejected %.4f, missed %.4f", rejected / (double)TRIALS, missed / (double)TRIALS);
    g_assert_cmpfloat(fabs(rejected / (double)TRIALS - 0.1), <=, 4 * 0.0047);
    g_assert_cmpfloat(fabs(missed / (double)TRIALS - 0.05), <=, 4 * 0.0034);
    seam_calibration_free(c);
    g_free(config);
}

static void three_decisions(void) {
    const char *reason;
    g_assert_cmpint(seam_conformal_decide(0, 1, 2, &reason), ==, SEAM_PASS);
    g_assert_cmpstr(reason, ==, "looks like good welds");
    g_assert_cmpint(seam_conformal_decide(3, 1, 2, &reason), ==, SEAM_REJECT);
    g_assert_cmpint(seam_conformal_decide(1.5f, 1, 2, &reason), ==, SEAM_REFER);
    g_assert_cmpstr(reason, ==, "both good and defective are plausible");
    g_assert_cmpint(seam_conformal_decide(2, 1, 2, &reason), ==, SEAM_REFER); // equality keeps a class plausible
    g_assert_cmpint(seam_conformal_decide(1.5f, 2, 1, &reason), ==, SEAM_REFER); // neither
    g_assert_cmpint(seam_conformal_decide(NAN, 1, 2, &reason), ==, SEAM_REFER);
    g_assert_cmpint(seam_conformal_decide(0, NAN, 2, &reason), ==, SEAM_REFER);
    g_assert_cmpstr(reason, ==, "no threshold was calibrated for what was present");
    g_assert_cmpint(seam_conformal_decide(0, 1, NAN, &reason), ==, SEAM_REFER);
    // Without enough defective welds nothing passes, without enough good ones nothing is rejected.
    g_assert_cmpint(seam_conformal_decide(-10, -INFINITY, 2, &reason), ==, SEAM_REFER);
    g_assert_cmpint(seam_conformal_decide(10, -INFINITY, 2, &reason), ==, SEAM_REJECT);
    g_assert_cmpint(seam_conformal_decide(10, 1, INFINITY, &reason), ==, SEAM_REFER);
    g_assert_cmpint(seam_conformal_decide(-10, 1, INFINITY, &reason), ==, SEAM_PASS);
}

static void sets_by_modalities(void) {
    SeamConfig *config = test_config();
    SeamCalibration *c = seam_calibration_new();
    GError *error = NULL;
    g_assert_true(seam_calibration_add(c, config, 1 | 2 | 4, false, false, 3, &error)); // with a photograph: the same set
    g_assert_true(seam_calibration_add(c, config, 1 | 2, false, false, 1, &error));
    g_assert_true(seam_calibration_add(c, config, 2, false, true, 2, &error));
    g_assert_cmpint(c->n_sets, ==, 2);
    const SeamCalibrationSet *both = seam_calibration_find(c, config, 3, SEAM_EFFORT_FULL);
    g_assert_cmpint(both->n_good, ==, 2);
    g_assert_cmpfloat(both->good[0], ==, 1);
    g_assert_null(seam_calibration_find(c, config, 1, SEAM_EFFORT_FULL));
    g_assert_false(seam_calibration_add(c, config, 1, false, false, NAN, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_clear_error(&error);
    for (int32_t i = 2; i < SEAM_MAX_CALIBRATION_SCORES; i++)
        g_assert_true(seam_calibration_add(c, config, 3, false, false, (float)i, NULL));
    g_assert_false(seam_calibration_add(c, config, 3, false, false, 1, &error));
    g_clear_error(&error);
    seam_calibration_free(c);
    g_free(config);
}

// Scores with all of the work and at the calibrated effort are kept apart.
static void sets_by_effort(void) {
    SeamConfig *config = test_config();
    SeamCalibration *c = seam_calibration_new();
    const SeamEffort other = {.merge = 0.5f, .expert_mass = 0.5f, .exit_margin = 0.75f};
    g_assert_cmpint(seam_calibration_effort(NULL, (SeamEffort){0}), ==, SEAM_EFFORT_FULL);
    g_assert_cmpint(seam_calibration_effort(c, (SeamEffort){0}), ==, SEAM_EFFORT_FULL);
    g_assert_cmpint(seam_calibration_effort(c, other), ==, SEAM_EFFORT_OTHER);
    c->effort = (SeamEffort){.expert_mass = 0.5f, .exit_margin = 0.75f};
    g_assert_cmpint(seam_calibration_effort(c, c->effort), ==, SEAM_EFFORT_CALIBRATED);
    g_assert_cmpint(seam_calibration_effort(c, (SeamEffort){0}), ==, SEAM_EFFORT_FULL);
    g_assert_cmpint(seam_calibration_effort(c, other), ==, SEAM_EFFORT_OTHER);
    g_assert_cmpint(seam_calibration_effort(c, seam_effort_join(c->effort, c->effort)), ==, SEAM_EFFORT_CALIBRATED);
    SeamEffort mixed = seam_effort_join(c->effort, (SeamEffort){0});
    g_assert_cmpint(seam_calibration_effort(c, mixed), ==, SEAM_EFFORT_OTHER);
    c->effort = mixed; // never the same as anything
    g_assert_cmpint(seam_calibration_effort(c, seam_effort_join(mixed, mixed)), ==, SEAM_EFFORT_OTHER);
    g_assert_true(seam_calibration_add(c, config, 3, false, false, 1, NULL));
    g_assert_true(seam_calibration_add(c, config, 3, true, false, 2, NULL));
    g_assert_true(seam_calibration_add(c, config, 1, false, false, 3, NULL));
    g_assert_cmpint(c->n_sets, ==, 3);
    g_assert_cmpfloat(seam_calibration_find(c, config, 3, SEAM_EFFORT_FULL)->good[0], ==, 1);
    g_assert_cmpfloat(seam_calibration_find(c, config, 3, SEAM_EFFORT_CALIBRATED)->good[0], ==, 2);
    g_assert_cmpfloat(seam_calibration_find(c, config, 3, SEAM_EFFORT_OTHER)->good[0], ==, 2);
    g_assert_null(seam_calibration_find(c, config, 1, SEAM_EFFORT_CALIBRATED)); // those of all of the work promise nothing of it
    g_assert_cmpfloat(seam_calibration_find(c, config, 1, SEAM_EFFORT_OTHER)->good[0], ==, 3);
    seam_calibration_free(c);
    g_free(config);
}

static void there_and_back(void) {
    SeamConfig *config = test_config();
    SeamCalibration *c = seam_calibration_new(), *again = seam_calibration_new();
    SeamRandom random = seam_random(3, 0);
    c->score_is_anomaly = true;
    c->top_fraction = 0.1f;
    c->effort = (SeamEffort){.expert_mass = 0.5f, .exit_margin = 0.75f};
    c->effort_loss = 0.25f;
    c->rul_margin = 3;
    c->effort_rul_margin = 4;
    for (int32_t i = 0; i < 50; i++)
        g_assert_true(seam_calibration_add(c, config, 1 + (uint32_t)i % 3, i > 24, i % 2, (float)seam_random_normal(&random), NULL));
    JsonObject *object = seam_calibration_print(c, config);
    char *text = seam_json_print(object);
    JsonObject *read = seam_json_parse(text, "test", NULL);
    GError *error = NULL;
    g_assert_true(seam_calibration_parse(again, config, read, "test", &error));
    g_assert_no_error(error);
    g_assert_cmpmem(c, sizeof *c, again, sizeof *again);
    json_object_unref(object);
    json_object_unref(read);
    g_free(text);
    seam_calibration_free(c);
    seam_calibration_free(again);
    g_free(config);
}

static void bad_json(void) {
    static const char *const bad[] = {
        "{}",
        "{\"sets\": 3}",
        "{\"sets\": [3]}",
        "{\"sets\": [], \"score\": \"speed\"}",
        "{\"sets\": [], \"top_fraction\": 0}",
        "{\"sets\": [], \"other\": 1}",
        "{\"sets\": [{\"modalities\": [\"smell\"], \"good\": [], \"defect\": []}]}",
        "{\"sets\": [{\"modalities\": [1], \"good\": [], \"defect\": []}]}",
        "{\"sets\": [{\"modalities\": [\"video\"], \"effort\": \"calibrated\", \"good\": [], \"defect\": []}]}",
        "{\"sets\": [{\"modalities\": [\"video\"], \"effort\": \"other\", \"good\": [], \"defect\": []}]}",
        "{\"sets\": [{\"modalities\": [\"video\"], \"effort\": 1, \"good\": [], \"defect\": []}]}",
        "{\"sets\": [], \"effort\": {\"expert_mass\": 0.5, \"exit_margin\": 0.5, \"loss\": 0.1, \"rul_margin\": \"1\"}}",
        "{\"sets\": [{\"modalities\": [\"video\"], \"good\": [2, 1], \"defect\": []}]}",
        "{\"sets\": [{\"modalities\": [\"video\"], \"good\": [\"1\"], \"defect\": []}]}",
        "{\"sets\": [{\"modalities\": [\"video\"], \"good\": [1e300], \"defect\": []}]}",
        "{\"sets\": [{\"modalities\": [\"video\"], \"good\": []}]}",
        "{\"sets\": [{\"modalities\": [], \"good\": [], \"defect\": []}, {\"modalities\": [\"photo\"], \"good\": [], \"defect\": []}]}",
    };
    SeamConfig *config = test_config();
    SeamCalibration *c = seam_calibration_new();
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        JsonObject *object = seam_json_parse(bad[i], "test", NULL);
        g_assert_nonnull(object);
        if (seam_calibration_parse(c, config, object, "test", &error))
            g_error("accepted: %s", bad[i]);
        g_assert_cmpint(c->n_sets, ==, 0);
        g_assert_true(strstr(error->message, "test: calibration") == error->message);
        g_clear_error(&error);
        json_object_unref(object);
    }
    seam_calibration_free(c);
    g_free(config);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/conformal/known-answers", known_answers);
    g_test_add_func("/conformal/promise-is-kept", promise_is_kept);
    g_test_add_func("/conformal/three-decisions", three_decisions);
    g_test_add_func("/conformal/sets-by-modalities", sets_by_modalities);
    g_test_add_func("/conformal/sets-by-effort", sets_by_effort);
    g_test_add_func("/conformal/there-and-back", there_and_back);
    g_test_add_func("/conformal/bad-json", bad_json);
    return g_test_run();
}
