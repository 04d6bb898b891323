// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Intervals and promises against other computations: scipy's beta quantiles, scikit-learn's average precision, the normal approximation of a mean, and the
// plain measures on records that are really repeated.
#include <glib.h>
#include <math.h>

#include "core/random.h"
#include "core/train/metrics_interval.h"

// scipy.stats.beta.ppf(.025, k, n - k + 1) and (.975, k + 1, n - k)
static void test_exact(void) {
    static const struct {
        int32_t hits, n;
        double low, high;
    } known[] = {{0, 16, 0, 0.2059072142078227},
                 {1, 24, 0.0010543524454697472, 0.2112016834569731},
                 {5, 50, 0.03327509358902247, 0.21813536643420225},
                 {50, 50, 0.9288782635358024, 1},
                 {137, 1000, 0.11628168943368121, 0.15988096510541736},
                 {3000, 9000, 0.3235938723608831, 0.34318078265484875}};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        SeamInterval in = seam_exact_interval(known[i].hits, known[i].n);
        g_assert_cmpfloat_with_epsilon(in.low, known[i].low, 1e-9);
        g_assert_cmpfloat_with_epsilon(in.high, known[i].high, 1e-9);
    }
    g_assert_true(isnan(seam_exact_interval(0, 0).low));
}

// sklearn.metrics.average_precision_score
static void test_average_precision(void) {
    const float score[] = {0.1f, 0.4f, 0.35f, 0.8f}, tied[] = {0.5f, 0.5f, 0.5f, 0.9f, 0.1f, 0.05f, NAN};
    const bool defect[] = {false, false, true, true}, of_tied[] = {true, false, false, true, false, true, true}, none[4] = {false}, all[4] = {true, true, true, true};
    g_assert_cmpfloat_with_epsilon(seam_metric_average_precision(4, score, defect), 0.8333333333333333, 1e-12);
    g_assert_cmpfloat_with_epsilon(seam_metric_average_precision(7, tied, of_tied), 0.6666666666666667, 1e-12);
    g_assert_true(isnan(seam_metric_average_precision(4, score, none)));
    g_assert_true(isnan(seam_metric_average_precision(4, score, all)));
}

// ---- bootstrap ---------------------------------------------------------------------------------------------------------------

enum { RECORDS = 400 };

typedef struct {
    double value[RECORDS];
    bool never;
} Mean;

static void mean_of_draw(const void *user, const int32_t *times, double *value) {
    const Mean *m = user;
    double sum = 0, n = 0;
    for (int32_t i = 0; i < RECORDS; i++) {
        sum += times[i] * m->value[i];
        n += times[i];
    }
    value[0] = sum / n;
    value[1] = m->never ? NAN : 1;
}

static double width(const Mean *m, int32_t size) {
    static char name[RECORDS][8];
    const char *group[RECORDS];
    SeamInterval in[2];
    for (int32_t i = 0; i < RECORDS; i++) {
        g_snprintf(name[i], sizeof name[i], "%d", i / size);
        group[i] = name[i];
    }
    seam_bootstrap(RECORDS, group, SEAM_BOOTSTRAP_DRAWS, 1, 2, mean_of_draw, m, in);
    g_assert_true(isnan(in[1].low) == (m->never || size == RECORDS));
    return in[0].high - in[0].low;
}

// The interval of a mean of n independent normal values is 2 * 1.96 / sqrt(n) wide; where four at a time are copies, n is a quarter.
static void test_bootstrap(void) {
    Mean alone = {.never = false}, copies = {.never = true};
    SeamRandom random = seam_random(4, 4);
    for (int32_t i = 0; i < RECORDS; i++)
        alone.value[i] = seam_random_normal(&random);
    for (int32_t i = 0; i < RECORDS; i++)
        copies.value[i] = alone.value[i / 4];
    double want = 2 * 1.96 / sqrt(RECORDS);
    g_assert_cmpfloat_with_epsilon(width(&alone, 1), want, 0.15 * want);
    g_assert_cmpfloat_with_epsilon(width(&copies, 4), 2 * want, 0.35 * want);
    g_assert_true(isnan(width(&alone, RECORDS))); // one group says nothing of others
}

static SeamJudged judged(const char *group, float score, int32_t truth, int32_t said) {
    return (SeamJudged){group, true, truth > 0, score, truth, said};
}

// With two groups there are three different draws: a a, a b, b b. So the outermost ones are the figures of a twice and of b twice.
static void test_judged(void) {
    const SeamJudged list[] = {judged("a", 0.9f, 1, 1), judged("a", 0.2f, 0, 0), judged("b", 0.3f, 1, 0), judged("b", 0.4f, 0, 0),
                               judged("b", 0.1f, 0, 0), {.group = NULL, .counted = false}};
    const SeamMetricBox truth[] = {{0, {0.5f, 0.5f, 0.2f, 0.2f, 1, 1}}, {1, {0.5f, 0.5f, 0.2f, 0.2f, 1, 1}}};
    SeamMetricBox found[] = {{1, {0.1f, 0.1f, 0.2f, 0.2f, 0.7f, 1}}, {0, {0.5f, 0.5f, 0.2f, 0.2f, 0.9f, 1}}};
    const int32_t record[] = {0, 2};
    const SeamLife life[] = {{10, 12, 8, 11}, {20, 26, 22, 30}};
    const SeamJudgedSet set = {.n = 6, .judged = list, .classes = 2, .n_found = 2, .n_true = 2, .found = found, .true_box = truth, .box_classes = 2,
                               .record_of_picture = record, .n_lives = 2, .life = life, .record_of_life = record};
    SeamInterval in[SEAM_FIGURES], none[SEAM_FIGURES];
    seam_judged_intervals(&set, SEAM_BOOTSTRAP_DRAWS, 1, in);
    const double low[SEAM_FIGURES] = {2.0 / 3, 0.4, 0.5, 0.5, 0, 2, 2 * expm1(0.2), 0, 3},
                        high[SEAM_FIGURES] = {1, 1, 1, 1, 1, 6, 2 * expm1(0.6), 1, 8};
    for (int32_t f = 0; f < SEAM_FIGURES; f++) {
        g_assert_cmpfloat_with_epsilon(in[f].low, low[f], 1e-9);
        g_assert_cmpfloat_with_epsilon(in[f].high, high[f], 1e-9);
    }
    seam_judged_intervals(&set, 0, 1, none);
    g_assert_true(isnan(none[SEAM_FIGURE_AUROC].low));
    g_assert_null(seam_intervals_print(none));
}

// ---- promises ----------------------------------------------------------------------------------------------------------------

static void test_promise(void) {
    SeamPromise chance = seam_promise(0.005, 1, 122, 122), broken = seam_promise(0.005, 7, 122, 122), empty = seam_promise(0.005, 0, 0, 0);
    g_assert_true(chance.held && chance.observed > chance.promised); // one of 122 is no evidence against 0.5 %
    g_assert_false(broken.held);
    g_assert_true(empty.held && isnan(empty.observed));
    JsonObject *o = seam_promise_print(&broken), *bare = seam_promise_print(&empty);
    g_assert_false(json_object_get_boolean_member(o, "held"));
    g_assert_cmpfloat(json_object_get_double_member(o, "low"), >, 0.005);
    g_assert_false(json_object_has_member(bare, "observed"));
    json_object_unref(o);
    json_object_unref(bare);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interval/exact", test_exact);
    g_test_add_func("/interval/average-precision", test_average_precision);
    g_test_add_func("/interval/bootstrap", test_bootstrap);
    g_test_add_func("/interval/judged", test_judged);
    g_test_add_func("/interval/promise", test_promise);
    return g_test_run();
}
