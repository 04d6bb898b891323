// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How much work may be left out: the bound against values of tables, the climb of the ladder, and how model.json keeps it.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"
#include "core/train/finish.h"
#include "core/train/recipe.h"
#include "core/train/thrift.h"
#include "tests/made_up.h"
#include "tests/remove.h"

enum { RECORDS = 60, COLUMNS = 6 };

static const char recipe_text[] =
    "{\"name\":\"table\",\"config\":{\"dim\":8,\"layers\":3,\"heads\":2,\"experts\":4,\"groups\":1,\"groups_kept\":1,\"top_k\":2,\"expert_width\":8,"
    "\"router_rank\":2,\"mixer\":\"global\",\"exit_every\":1,\"fusion_layers\":0,\"fusion_width\":8,\"window\":2,"
    "\"modalities\":[{\"name\":\"a\",\"front\":\"features\",\"channels\":6,\"tokens\":2}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":0}]},"
    "\"calibrate\":{\"effort_loss\":0.01},\"train\":{\"steps\":1}}";

static SeamRecipe *recipe(void) {
    GError *error = NULL;
    SeamRecipe *r = seam_recipe_parse(recipe_text, "recipe", &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(r->effort_loss, ==, 0.01);
    return r;
}

static SeamDataset *make_data(const SeamConfig *config) {
    SeamDataset *d = made_up_data(RECORDS);
    SeamRandom random = seam_random(5, 1);
    for (int32_t r = 0; r < RECORDS; r++) {
        SeamRecord *record = made_up_record(d, r, 1, config->window, config, r % 2);
        float *x = made_up_samples(&record->stream[0], 1, COLUMNS);
        for (int32_t c = 0; c < COLUMNS; c++)
            x[c] = (float)seam_random_normal(&random);
    }
    return d;
}

static void set(const SeamModel *model, const char *name, float value) {
    SeamTensor *t = seam_params_find(model->params, name);
    g_assert_nonnull(t);
    for (size_t i = 0; i < t->size; i++)
        t->data[i] = value;
}

// The first exit head is sure of everything. `harmless`: the layers after it add nothing, so nobody is lost.
static SeamModel *make_model(const SeamConfig *config, bool harmless) {
    SeamModel *model = seam_model_new(config, false, 4, NULL);
    set(model, "exits.0.head.weight", 0);
    seam_params_find(model->params, "exits.0.head.bias")->data[0] = 30;
    for (int32_t l = 0; harmless && l < 3; l++)
        for (int32_t i = 0; i < 3; i++) {
            static const char *const what[] = {"attention.out.weight", "experts.down.weight", "experts.down.bias"};
            g_autofree char *name = g_strdup_printf("encoder.%d.%s", l, what[i]);
            set(model, name, 0);
        }
    return model;
}

static void climb(bool harmless, double loss, SeamThrift *out) {
    SeamRecipe *r = recipe();
    SeamModel *model = make_model(&r->config, harmless);
    SeamDataset *data = make_data(&r->config);
    bool use[RECORDS];
    GError *error = NULL;
    memset(use, true, sizeof use);
    seam_thrift_calibrate(model, seam_kernels_ref(), data, use, 0, loss, 0.1, out, &error);
    g_assert_no_error(error);
    seam_dataset_free(data);
    seam_model_free(model);
    seam_recipe_free(r);
}

static void test_climb(void) {
    SeamThrift t;
    climb(true, 0.05, &t); // nobody is lost: to the top
    g_assert_cmpint(t.windows, ==, RECORDS);
    g_assert_cmpint(t.lost, ==, 0);
    g_assert_cmpfloat(t.effort.exit_margin, ==, seam_thrift_rung(SEAM_THRIFT_RUNGS - 1).exit_margin);
    g_assert_cmpfloat_with_epsilon(t.bound, 1 - pow(0.1, 1.0 / RECORDS), 1e-9);
    climb(true, 0.01, &t); // sixty windows cannot show as little
    g_assert_cmpfloat(t.effort.exit_margin, ==, 0);
    climb(false, 0.05, &t); // many are lost at the first rung
    g_assert_cmpfloat(t.effort.exit_margin, ==, 0);
    climb(false, 0.9, &t);
    g_assert_cmpint(t.lost, >, 0);
    g_assert_cmpfloat(t.bound, >, (double)t.lost / t.windows);
}

static void test_bound(void) {
    g_assert_cmpfloat_with_epsilon(seam_binomial_below(1, 10, 0.2), pow(0.8, 10) + 10 * 0.2 * pow(0.8, 9), 1e-12);
    g_assert_cmpfloat(seam_binomial_below(3, 10, 0), ==, 1);
    g_assert_cmpfloat(seam_binomial_below(3, 10, 1), ==, 0);
    g_assert_cmpfloat_with_epsilon(seam_thrift_bound(10, 1, 0.05), 0.3942, 1e-4); // Clopper and Pearson's table
    g_assert_cmpfloat(seam_thrift_bound(10, 10, 0.05), ==, 1);
    g_assert_cmpfloat(seam_thrift_bound(0, 0, 0.05), ==, 1);
    for (int32_t r = 1; r < SEAM_THRIFT_RUNGS; r++) { // never more work than the rung before
        SeamEffort e = seam_thrift_rung(r), before = seam_thrift_rung(r - 1);
        g_assert_true(r == 1 || (e.exit_margin < before.exit_margin && e.expert_mass < before.expert_mass));
        g_assert_true(e.exit_margin > 0 && e.expert_mass > 0);
    }
}

static SeamCalibration *parse(const SeamConfig *config, const char *text, GError **error) {
    SeamCalibration *c = seam_calibration_new();
    JsonObject *o = seam_json_parse(text, "test", NULL);
    if (!seam_calibration_parse(c, config, o, "test", error))
        g_clear_pointer(&c, seam_calibration_free);
    json_object_unref(o);
    return c;
}

static void test_file(void) {
    SeamRecipe *r = recipe();
    GError *error = NULL;
    SeamCalibration *c = parse(&r->config, "{\"sets\":[],\"effort\":{\"expert_mass\":0.5,\"exit_margin\":0.75,\"loss\":0.01}}", &error);
    g_assert_no_error(error);
    g_assert_true(c->effort.expert_mass == 0.5f && c->effort.exit_margin == 0.75f && c->effort_loss == 0.01f);
    JsonObject *printed = seam_calibration_print(c, &r->config);
    g_assert_cmpfloat(json_object_get_double_member(json_object_get_object_member(printed, "effort"), "exit_margin"), ==, 0.75);
    json_object_unref(printed);
    c->effort = (SeamEffort){0};
    printed = seam_calibration_print(c, &r->config);
    g_assert_false(json_object_has_member(printed, "effort"));
    json_object_unref(printed);
    seam_calibration_free(c);
    static const char *const wrong[] = {"{\"sets\":[],\"effort\":{\"expert_mass\":1.5,\"exit_margin\":0.75,\"loss\":0.01}}",
                                        "{\"sets\":[],\"effort\":{\"expert_mass\":0.5,\"loss\":0.01}}", "{\"sets\":[],\"effort\":3}",
                                        "{\"sets\":[],\"effort\":{\"expert_mass\":0.5,\"exit_margin\":0.75,\"loss\":0.01,\"merge\":1}}"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_null(parse(&r->config, wrong[i], &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
    }
    seam_recipe_free(r);
}

static bool among(float score, const SeamCalibrationSet *set) {
    bool found = false;
    for (int32_t i = 0; i < set->n_good + set->n_defect; i++)
        found |= score == (i < set->n_good ? set->good[i] : set->defect[i - set->n_good]);
    return found;
}

// Each record of the calibration part, judged at an effort, has given its score to the thresholds of that effort.
static void expect_scores(const SeamModel *model, const SeamCalibration *c, const SeamDataset *data, SeamEffort effort, SeamEffortKind kind) {
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_ref(), .calibration = c, .weld = SEAM_WELD_OPTIONS_DEFAULT, .tasks = UINT32_MAX,
                                   .effort = effort};
    options.weld.false_reject = options.weld.miss = 0.2;
    const SeamCalibrationSet *set = seam_calibration_find(c, &model->config, 1, kind);
    const SeamCalibrationSet *other = seam_calibration_find(c, &model->config, 1, kind == SEAM_EFFORT_FULL ? SEAM_EFFORT_CALIBRATED : SEAM_EFFORT_FULL);
    g_autofree SeamVerdict *verdict = g_new0(SeamVerdict, 1);
    SeamEvaluator *e = seam_evaluator_new(&options, NULL);
    int32_t in_other = 0;
    g_assert_true(set->n_good == 10 && set->n_defect == 10);
    for (int32_t i = 40; i < RECORDS; i++) {
        g_assert_true(seam_evaluate_record(e, &data->record[i], &(uint32_t){UINT32_MAX}, 1, verdict, NULL));
        g_assert_cmpint(verdict->effort, ==, kind);
        g_assert_true(isfinite(verdict->reject_above) && isfinite(verdict->pass_below));
        g_assert_true(among(verdict->score, set));
        in_other += among(verdict->score, other);
    }
    g_assert_cmpint(in_other, <, 20);
    seam_evaluator_free(e);
}

// A finished model has thresholds for all of its work and for the effort that was calibrated with it, and its figures are those of that effort.
static void test_finish(void) {
    SeamRecipe *r = recipe();
    SeamModel *model = make_model(&r->config, false);
    SeamDataset *data = make_data(&r->config);
    SeamPart part[RECORDS];
    SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    GError *error = NULL;
    g_autofree char *folder = g_dir_make_tmp("seam-thrift-XXXXXX", NULL), *path = g_build_filename(folder, "m.seam", NULL);
    for (int32_t i = 0; i < RECORDS; i++)
        part[i] = i < 20 ? SEAM_PART_TRAIN : i < 40 ? SEAM_PART_VALIDATION : SEAM_PART_CALIBRATION;
    r->effort_loss = 0.95; // whatever it costs
    g_assert_true(seam_train_finish(model, r, data, part, seam_kernels_ref(), "test", path, e, &error));
    g_assert_no_error(error);
    SeamCalibration *c = seam_calibration_load(&r->config, path, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(c->effort.exit_margin, ==, seam_thrift_rung(SEAM_THRIFT_RUNGS - 1).exit_margin);
    g_assert_cmpint(e->effort, ==, SEAM_EFFORT_CALIBRATED);
    expect_scores(model, c, data, (SeamEffort){0}, SEAM_EFFORT_FULL);
    expect_scores(model, c, data, c->effort, SEAM_EFFORT_CALIBRATED);
    seam_calibration_free(c);
    seam_dataset_free(data);
    seam_model_free(model);
    seam_recipe_free(r);
    g_free(e);
    remove_tree(folder);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/thrift/bound", test_bound);
    g_test_add_func("/core/thrift/climb", test_climb);
    g_test_add_func("/core/thrift/file", test_file);
    g_test_add_func("/core/thrift/finish", test_finish);
    return g_test_run();
}
