// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures against values worked out by hand; ties, empty lists and NaN included.
#include <glib.h>
#include <math.h>

#include "core/random.h"
#include "core/train/metrics.h"

// ---- good against defective -------------------------------------------------------------------------------------------------

static void test_auroc(void) {
    const float score[] = {0.1f, 0.4f, 0.35f, 0.8f};
    const bool defect[] = {false, false, true, true};
    g_assert_cmpfloat_with_epsilon(seam_metric_auroc(4, score, defect), 0.75, 1e-12); // 3 of 4 pairs are in order
    const float tied[] = {0.5f, 0.5f, 0.5f, 0.9f, 0.1f};
    const bool of_tied[] = {true, false, false, true, false};
    g_assert_cmpfloat_with_epsilon(seam_metric_auroc(5, tied, of_tied), (0.5 + 0.5 + 1 + 3) / 6, 1e-12);
    const bool all[] = {true, true, true, true}, none[4] = {false};
    g_assert_true(isnan(seam_metric_auroc(4, score, all)));
    g_assert_true(isnan(seam_metric_auroc(4, score, none)));
    g_assert_true(isnan(seam_metric_auroc(0, NULL, NULL)));
}

// A recording without a score is left out and not counted as the best or the worst.
static void test_auroc_nan(void) {
    const float score[] = {NAN, 0.1f, 0.4f, 0.35f, 0.8f, NAN};
    const bool defect[] = {true, false, false, true, true, false};
    g_assert_cmpfloat_with_epsilon(seam_metric_auroc(6, score, defect), 0.75, 1e-12);
    g_assert_cmpfloat_with_epsilon(seam_metric_false_reject(6, score, defect, 1), 0.5, 1e-12);
}

// Around the figure itself, repeatable, narrower with more welds, and a point where nothing overlaps.
static void test_auroc_interval(void) {
    enum { FEW = 20, MANY = 2000 };
    float score[MANY];
    bool defect[MANY];
    double low, high, again_low, again_high, narrow_low, narrow_high;
    SeamRandom random = seam_random(3, 3);
    for (int32_t i = 0; i < MANY; i++) {
        defect[i] = i % 2;
        score[i] = (float)(seam_random_normal(&random) + (defect[i] ? 1 : 0)); // AUROC is 0.76: Phi(1 / sqrt 2)
    }
    seam_metric_auroc_interval(FEW, score, defect, 1, &low, &high);
    seam_metric_auroc_interval(FEW, score, defect, 1, &again_low, &again_high);
    seam_metric_auroc_interval(MANY, score, defect, 1, &narrow_low, &narrow_high);
    double figure = seam_metric_auroc(FEW, score, defect);
    g_assert_true(low < figure && figure < high);
    g_assert_true(low == again_low && high == again_high);
    g_assert_true(narrow_high - narrow_low < (high - low) / 3);
    g_assert_true(narrow_low < 0.76 && 0.76 < narrow_high);
    const float apart[] = {1, 2, 3, 4};
    const bool of_apart[] = {false, false, true, true}, none[4] = {false};
    seam_metric_auroc_interval(4, apart, of_apart, 1, &low, &high);
    g_assert_true(low == 1 && high == 1);
    seam_metric_auroc_interval(4, apart, none, 1, &low, &high);
    g_assert_true(isnan(low) && isnan(high));
}

static void test_false_reject(void) {
    const float score[] = {0.1f, 0.2f, 0.3f, 0.4f, 0.25f, 0.9f, 0.8f, 0.35f};
    const bool defect[] = {false, false, false, false, true, true, true, true};
    g_assert_cmpfloat(seam_metric_false_reject(8, score, defect, 1), ==, 0.5);     // threshold 0.25
    g_assert_cmpfloat(seam_metric_false_reject(8, score, defect, 0.75), ==, 0.25); // 0.35
    g_assert_cmpfloat(seam_metric_false_reject(8, score, defect, 0.7), ==, 0.25);  // no fewer than asked for: still three
    g_assert_cmpfloat(seam_metric_false_reject(8, score, defect, 0.5), ==, 0);     // 0.8
    g_assert_cmpfloat(seam_metric_false_reject(8, score, defect, 0), ==, 0);
    const float tied[] = {0.5f, 0.5f};
    const bool of_tied[] = {false, true};
    g_assert_cmpfloat(seam_metric_false_reject(2, tied, of_tied, 1), ==, 1); // a score at the threshold is rejected
    g_assert_true(isnan(seam_metric_false_reject(4, score, defect, 1)));     // no defect among them
    g_assert_true(isnan(seam_metric_false_reject(4, score + 4, defect + 4, 1)));
}

static void test_ece(void) {
    const float confidence[] = {0.95f, 0.97f, 0.55f, 0.51f, 1};
    const bool correct[] = {true, false, true, true, true};
    // Bin 0.9 .. 1 holds 0.95, 0.97 and 1: right 2 of 3; bin 0.5 .. 0.6 holds 0.55 and 0.51: both right.
    double want = (fabs(0.95 + 0.97 + 1 - 2) + fabs(0.55 + 0.51 - 2)) / 5;
    g_assert_cmpfloat_with_epsilon(seam_metric_ece(5, confidence, correct), want, 1e-6);
    const float odd[] = {NAN, -1, 2, 0.75f};
    const bool of_odd[] = {true, true, true, true};
    g_assert_cmpfloat_with_epsilon(seam_metric_ece(4, odd, of_odd), 0.25, 1e-6); // what is no confidence does not count
    g_assert_true(isnan(seam_metric_ece(3, odd, of_odd)));
}

// ---- boxes ------------------------------------------------------------------------------------------------------------------

static SeamMetricBox box(int32_t picture, int32_t class_index, float x, float score) {
    return (SeamMetricBox){.picture = picture, .box = {.x = x, .y = 0.5f, .w = 0.2f, .h = 0.2f, .class_index = class_index, .score = score}};
}

// Two true boxes. Best first: right, wrong, right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1; area 1/2 * 1 + 1/2 * 2/3.
static void test_map_one_class(void) {
    const SeamMetricBox truth[] = {box(0, 1, 0.3f, 0), box(1, 1, 0.7f, 0)};
    SeamMetricBox found[] = {box(1, 1, 0.72f, 0.3f), box(0, 1, 0.3f, 0.9f), box(0, 1, 0.8f, 0.5f)};
    g_assert_cmpfloat_with_epsilon(seam_metric_map50(3, found, 2, truth, 2), 0.5 + 0.5 * 2 / 3, 1e-9);
    g_assert_cmpfloat(found[0].box.score, ==, 0.9f);
    // Wrong, right, right: precision 0, 1/2, 2/3. At recall 1/2 the 2/3 that is still to come counts.
    SeamMetricBox falling[] = {box(0, 1, 0.8f, 0.9f), box(0, 1, 0.3f, 0.8f), box(1, 1, 0.7f, 0.7f)};
    g_assert_cmpfloat_with_epsilon(seam_metric_map50(3, falling, 2, truth, 2), 2.0 / 3, 1e-9);
}

// A second box on the same weld is wrong; so is the right place in another picture or of another class.
static void test_map_matches(void) {
    const SeamMetricBox truth[] = {box(0, 1, 0.3f, 0)};
    SeamMetricBox twice[] = {box(0, 1, 0.3f, 0.9f), box(0, 1, 0.31f, 0.95f)};
    g_assert_cmpfloat(seam_metric_map50(2, twice, 1, truth, 2), ==, 1); // the second comes after full recall
    SeamMetricBox late[] = {box(1, 1, 0.3f, 0.9f), box(0, 1, 0.3f, 0.5f)};
    g_assert_cmpfloat(seam_metric_map50(2, late, 1, truth, 2), ==, 0.5);
    SeamMetricBox other[] = {box(0, 2, 0.3f, 0.9f)};
    g_assert_cmpfloat(seam_metric_map50(1, other, 1, truth, 3), ==, 0);
    g_assert_cmpfloat(seam_metric_map50(0, NULL, 1, truth, 2), ==, 0);
}

// IoU of two equal boxes of width 0.2 that are d apart: (0.2 - d) / (0.2 + d); 0.5 at d = 1/15.
static void test_map_overlap(void) {
    const SeamMetricBox truth[] = {box(0, 1, 0.3f, 0)};
    SeamMetricBox near[] = {box(0, 1, 0.3f + 0.066f, 0.9f)}, far[] = {box(0, 1, 0.3f + 0.067f, 0.9f)};
    g_assert_cmpfloat(seam_metric_map50(1, near, 1, truth, 2), ==, 1);
    g_assert_cmpfloat(seam_metric_map50(1, far, 1, truth, 2), ==, 0);
}

// The mean over the classes that have a true box; without any there is nothing to measure.
static void test_map_classes(void) {
    const SeamMetricBox truth[] = {box(0, 1, 0.3f, 0), box(0, 3, 0.7f, 0)};
    SeamMetricBox found[] = {box(0, 1, 0.3f, 0.9f), box(0, 2, 0.5f, 0.8f)};
    g_assert_cmpfloat(seam_metric_map50(2, found, 2, truth, 4), ==, 0.5);
    g_assert_true(isnan(seam_metric_map50(2, found, 0, truth, 4)));
}

// ---- classes ----------------------------------------------------------------------------------------------------------------

static void test_classes(void) {
    const int32_t confusion[] = {8, 2, 0,  //
                                 1, 3, 0,  //
                                 0, 0, 0}; // the third class never occurs
    SeamClassMetrics m;
    seam_metric_classes(3, confusion, &m);
    g_assert_cmpfloat_with_epsilon(m.accuracy, 11.0 / 14, 1e-12);
    g_assert_cmpfloat_with_epsilon(m.recall[0], 0.8, 1e-12);
    g_assert_cmpfloat_with_epsilon(m.precision[0], 8.0 / 9, 1e-12);
    g_assert_cmpfloat_with_epsilon(m.precision[1], 0.6, 1e-12);
    g_assert_cmpfloat_with_epsilon(m.f1[0], 16.0 / 19, 1e-12);
    g_assert_cmpfloat_with_epsilon(m.f1[1], 6.0 / 9, 1e-12);
    g_assert_cmpfloat_with_epsilon(m.macro_f1, (16.0 / 19 + 6.0 / 9) / 2, 1e-12);
    g_assert_true(isnan(m.recall[2]) && isnan(m.precision[2]) && isnan(m.f1[2]));
}

// A class that is said but never true lowers the others' recall and has no place in the mean.
static void test_classes_never_true(void) {
    const int32_t confusion[] = {3, 1, 0, 0}, empty[4] = {0};
    SeamClassMetrics m;
    seam_metric_classes(2, confusion, &m);
    g_assert_cmpfloat_with_epsilon(m.macro_f1, 6.0 / 7, 1e-12);
    g_assert_cmpfloat(m.precision[1], ==, 0);
    g_assert_true(isnan(m.recall[1]));
    seam_metric_classes(2, empty, &m);
    g_assert_true(isnan(m.accuracy) && isnan(m.macro_f1));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metrics/auroc", test_auroc);
    g_test_add_func("/metrics/auroc/nan", test_auroc_nan);
    g_test_add_func("/metrics/auroc/interval", test_auroc_interval);
    g_test_add_func("/metrics/false-reject", test_false_reject);
    g_test_add_func("/metrics/ece", test_ece);
    g_test_add_func("/metrics/map/one-class", test_map_one_class);
    g_test_add_func("/metrics/map/matches", test_map_matches);
    g_test_add_func("/metrics/map/overlap", test_map_overlap);
    g_test_add_func("/metrics/map/classes", test_map_classes);
    g_test_add_func("/metrics/classes", test_classes);
    g_test_add_func("/metrics/classes/never-true", test_classes_never_true);
    return g_test_run();
}
