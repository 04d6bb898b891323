// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Probes: the regression against scikit-learn's, dates in names, and data sets in memory into which a shortcut was planted, or none.
#include <glib.h>
#include <math.h>

#include "core/random.h"
#include "core/train/probe.h"
#include "tests/core/small_model.h"
#include "tests/made_up.h"

// sklearn.linear_model.LogisticRegression(C=1, class_weight="balanced"), inputs standardised by the other fold.
static void test_fit(void) {
    enum { N = 12 };
    static const float want[N] = {-1.222109f, -0.627321f, 1.010040f, 0.021091f, -0.678474f, -2.891696f,
                                  -0.078648f, 1.395213f, -1.513729f, -2.587483f, 0.661313f, -0.567133f};
    double x[N * 2];
    int32_t class_index[N], fold[N], said[N];
    float score[N];
    for (int32_t i = 0; i < N; i++) {
        x[2 * i] = sin(1.7 * i) * 3 + 5;
        x[2 * i + 1] = i * i % 7;
        class_index[i] = i % 3 == 0;
        fold[i] = i % 2;
    }
    seam_probe_fit(N, 2, x, 2, class_index, fold, 2, said, score);
    for (int32_t i = 0; i < N; i++) {
        g_assert_cmpfloat_with_epsilon(score[i], want[i], 1e-4);
        g_assert_cmpint(said[i], ==, want[i] > 0);
    }
}

// What lies in the middle is told from what lies around it; a missing value is no crash and no clue.
static void test_square(void) {
    enum { N = 60 };
    double x[N];
    int32_t class_index[N], fold[N], said[N], right = 0;
    float score[N];
    for (int32_t i = 0; i < N; i++) {
        class_index[i] = i % 3;
        x[i] = i == 30 ? NAN : (double[]){0, 10, 20}[i % 3] + 0.01 * i;
        fold[i] = i / 3 % 5;
    }
    seam_probe_fit(N, 1, x, 3, class_index, fold, 5, said, score);
    for (int32_t i = 0; i < N; i++)
        right += said[i] == class_index[i];
    g_assert_cmpint(right, >=, N - 1);
}

static void test_dates(void) {
    double day, clock, next;
    seam_probe_date("2011-03-30_220457.txt", &day, &clock);
    g_assert_cmpfloat(clock, ==, 22 * 3600 + 4 * 60 + 57);
    seam_probe_date("2011-03-31", &next, &clock);
    g_assert_cmpfloat(next - day, ==, 1);
    g_assert_true(isnan(clock));
    seam_probe_date("run 20110331T0905 b", &day, &clock);
    g_assert_cmpfloat(day, ==, next);
    g_assert_cmpfloat(clock, ==, 9 * 3600 + 5 * 60);
    static const char *const none[] = {"", "weld-17", "20111331.png", "99991231", "120110331", "20110331999", "\xff 2011-03-30"};
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
        seam_probe_date(none[i], &day, &clock);
        g_assert_true(isnan(day) && isnan(clock));
    }
}

// ---- whole data sets -------------------------------------------------------------------------------------------------------------

enum { RECORDS = 80, SIDE = 8 };

typedef enum { NOTHING, LENGTH, BORDER, DAY } Shortcut;

static void make_record(SeamRecord *r, const SeamConfig *config, int32_t i, Shortcut shortcut) {
    SeamRandom random = seam_random(7, (uint64_t)i);
    bool defect = seam_random_uniform(&random) < 0.5;
    SeamStream *video = &r->stream[VIDEO];
    int32_t day = 1 + i % 9 + (shortcut == DAY && defect ? 15 : 0);
    r->name = g_strdup_printf("2024-05-%02d_%02d.csv", day, i);
    r->group = g_strdup_printf("group-%d", i / 2);
    seam_record_set_label(r, config, defect ? "bad" : "good");
    r->bytes = 1000 + seam_random_below(&random, 500);
    r->duration = 8 + seam_random_uniform(&random) + (shortcut == LENGTH && defect ? 1 : 0);
    *video = (SeamStream){.pictures = 1, .picture_time = g_new0(double, 1), .pixels = g_malloc(SIDE * SIDE)};
    for (int32_t p = 0; p < SIDE * SIDE; p++) {
        bool border = p % SIDE == 0 || p % SIDE == SIDE - 1 || p / SIDE == 0 || p / SIDE == SIDE - 1;
        video->pixels[p] = (uint8_t)(100 + seam_random_below(&random, 30) + (shortcut == BORDER && defect && border ? 20 : 0));
    }
}

static GPtrArray *probe(Shortcut shortcut, bool cut, double model) {
    SeamConfig config = small_config();
    config.windows = cut;
    config.n_classes = 2;
    g_strlcpy(config.class_name[0], "good", SEAM_NAME_LENGTH);
    g_strlcpy(config.class_name[1], "bad", SEAM_NAME_LENGTH);
    SeamDataset *data = made_up_data(RECORDS);
    SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    for (int32_t i = 0; i < RECORDS; i++)
        make_record(&data->record[i], &config, i, shortcut);
    e->classes = 2;
    e->auroc = model;
    for (int32_t f = 0; f < SEAM_FIGURES; f++)
        e->interval[f] = (SeamInterval){NAN, NAN};
    GPtrArray *probes = seam_probe(&config, data, &(SeamEvaluateWhat){.only = UINT32_MAX}, e);
    seam_dataset_free(data);
    g_free(e);
    return probes;
}

static const SeamProbe *find(const GPtrArray *probes, const char *feature) {
    for (guint i = 0; i < probes->len; i++)
        if (strcmp(((SeamProbe *)probes->pdata[i])->feature, feature) == 0)
            return probes->pdata[i];
    return NULL;
}

static int32_t warnings(const GPtrArray *probes) {
    int32_t n = 0;
    for (guint i = 0; i < probes->len; i++)
        n += ((SeamProbe *)probes->pdata[i])->warns;
    return n;
}

static void test_planted(void) {
    static const struct {
        Shortcut shortcut;
        const char *feature;
    } planted[] = {{LENGTH, "duration"}, {BORDER, "video border brightness"}, {DAY, "date"}};
    for (size_t i = 0; i < G_N_ELEMENTS(planted); i++) {
        g_autoptr(GPtrArray) probes = probe(planted[i].shortcut, false, 0.98);
        const SeamProbe *found = find(probes, planted[i].feature), *other = find(probes, "file size"), *all = find(probes, "all together");
        g_assert_true(found && found->warns && found->auroc > 0.95);
        g_assert_true(other && !other->warns);
        g_assert_true(all && all->warns);
        g_assert_null(find(probes, "rows")); // none has any
    }
}

static void test_nothing(void) {
    g_autoptr(GPtrArray) probes = probe(NOTHING, false, 0.98);
    g_assert_cmpint(probes->len, >=, 5);
    g_assert_cmpint(warnings(probes), ==, 0);
}

// A length that the model is not shown is told, and does not count among all.
static void test_hidden(void) {
    g_autoptr(GPtrArray) probes = probe(LENGTH, true, 0.98);
    g_assert_true(find(probes, "duration")->hidden);
    g_assert_false(find(probes, "all together")->warns);
    JsonArray *printed = seam_probe_print(probes);
    g_assert_cmpuint(json_array_get_length(printed), ==, probes->len);
    g_assert_true(json_object_has_member(json_array_get_object_element(printed, 0), "warns"));
    json_array_unref(printed);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/probe/fit", test_fit);
    g_test_add_func("/probe/square", test_square);
    g_test_add_func("/probe/dates", test_dates);
    g_test_add_func("/probe/planted", test_planted);
    g_test_add_func("/probe/nothing", test_nothing);
    g_test_add_func("/probe/hidden", test_hidden);
    return g_test_run();
}
