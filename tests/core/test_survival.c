// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Remaining life: likelihood, mean and quantiles against values worked out by hand and against the twin in PyTorch (tests/reference/survival.py),
// gradients against finite differences; the margin's promise by simulation; and the life's way into a result, a verdict and a measure.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/conformal.h"
#include "core/decide.h"
#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "core/train/metrics_rul.h"
#include "core/weld.h"
#include "tests/core/differences.h"

enum { DIM = 8, BINS = 4, LIMIT = 40, TOKENS = 7, WINDOWS = 3 };

static const char config_text[] =
    "{\"dim\":8,\"layers\":1,\"heads\":2,\"experts\":2,\"groups\":1,\"groups_kept\":1,\"top_k\":1,\"expert_width\":8,\"router_rank\":2,"
    "\"router_shared_a\":true,\"mixer\":\"global\",\"local_radius\":1,\"gate_threshold\":0.02,\"fusion_layers\":0,\"fusion_neighbours\":0,\"fusion_width\":8,"
    "\"window\":20,\"modalities\":[{\"name\":\"engine\",\"front\":\"sensor\",\"channels\":2,\"columns\":[7,3],\"rate\":1,\"patch\":5,\"time_bins\":1,"
    "\"fft\":4,\"bands\":2,\"arc_channel\":-1,\"together\":true}],\"classes\":[],"
    "\"tasks\":[{\"name\":\"rul\",\"kind\":\"rul\",\"rank\":2,\"limit\":40,\"bins\":4}]}";

static SeamConfig *new_config(void) {
    SeamConfig *config = g_new0(SeamConfig, 1);
    GError *error = NULL;
    g_assert_true(seam_config_parse(config, config_text, "test", &error));
    g_assert_no_error(error);
    return config;
}

// ---- configuration -------------------------------------------------------------------------------------------------------------

static void test_config(void) {
    static const char *const refused[][3] = {
        {"\"bins\":4", "\"bins\":1", "\"bins\" is 1, must be 2 to 1024"},      {"\"limit\":40,", "", "\"limit\" is missing"},
        {"\"limit\":40", "\"limit\":0", "\"limit\" is 0, must be 1 to"},
        {"[7,3]", "[7]", "\"columns\" has 1 items, must have 2"},                {"[7,3]", "[7,0]", "\"columns\" must hold whole numbers"},
        {"\"together\":true", "\"together\":1", "\"together\""},                 {"\"limit\":40", "\"limit\":40,\"memory\":3", "\"memory\" is not a field"},
    };
    SeamConfig *config = new_config(), *again = g_new0(SeamConfig, 1);
    g_autofree char *text = seam_config_print(config);
    g_assert_true(seam_config_parse(again, text, "printed", NULL));
    g_assert_cmpmem(config, sizeof *config, again, sizeof *again);
    g_assert_cmpint(config->modality[0].sensor.column[1], ==, 3);
    g_assert_cmpint(seam_modality_tokens(config, 0), ==, 8);
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        const char *at = strstr(config_text, refused[i][0]);
        g_autofree char *wrong = g_strdup_printf("%.*s%s%s", (int)(at - config_text), config_text, refused[i][1], at + strlen(refused[i][0]));
        g_assert_false(seam_config_parse(again, wrong, "test", &error));
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, refused[i][2]));
    }
    g_free(config);
    g_free(again);
}

// ---- the distribution ----------------------------------------------------------------------------------------------------------

static const SeamSurvival plain = {.bins = BINS, .limit = LIMIT};

static float logit(double h) {
    return (float)log(h / (1 - h));
}

// p = 0.2, 0.16, 0.32, 0.16 at 0, 10, 20, 30, and 0.16 at 40 or later.
static void test_distribution(void) {
    const float z[BINS] = {logit(0.2), logit(0.2), logit(0.5), logit(0.5)};
    g_assert_cmpfloat_with_epsilon(seam_survival_mean(&plain, z), 1.6 + 6.4 + 4.8 + 6.4, 1e-5);
    // P(T <= t) at the points: 0.1, 0.28, 0.52, 0.76, 0.92.
    g_assert_cmpfloat_with_epsilon(seam_survival_quantile(&plain, z, 0.4), 15, 1e-5);
    g_assert_cmpfloat_with_epsilon(seam_survival_quantile(&plain, z, 0.19), 5, 1e-5);
    g_assert_cmpfloat(seam_survival_quantile(&plain, z, 0.05), ==, 0);
    g_assert_cmpfloat(seam_survival_quantile(&plain, z, 0.95), ==, LIMIT);
    const float never[BINS] = {-60, -60, -60, -60}, at_once[BINS] = {60, 0, 0, 0};
    g_assert_cmpfloat_with_epsilon(seam_survival_mean(&plain, never), LIMIT, 1e-6);
    g_assert_cmpfloat_with_epsilon(seam_survival_mean(&plain, at_once), 0, 1e-6);
    g_assert_cmpfloat_with_epsilon(seam_survival_quantile(&plain, never, 0.3), LIMIT, 10);
    const float broken[BINS] = {0, NAN, 0, 0};
    g_assert_true(isnan(seam_survival_mean(&plain, broken)));
    g_assert_true(isnan(seam_survival_quantile(&plain, broken, 0.9)));
}

// On a grid point the loss is -log p; between two it is their weighted mean; past the limit it is that of outlasting all; unknown lives do not count.
static void test_loss(void) {
    const float z[4 * BINS] = {logit(0.2), logit(0.2), logit(0.5), logit(0.5), logit(0.2), logit(0.2), logit(0.5), logit(0.5),
                               logit(0.2), logit(0.2), logit(0.5), logit(0.5), NAN, NAN, NAN, NAN};
    const double life[][4] = {{20, NAN, NAN, NAN}, {25, NAN, NAN, NAN}, {90, NAN, NAN, NAN}, {0, 35, 40, NAN}, {-3, NAN, NAN, NAN}};
    const double want[] = {-log(0.32), -0.5 * log(0.32) - 0.5 * log(0.16), -log(0.16), (-log(0.2) - 2 * log(0.16)) / 3, -log(0.2)};
    float dz[4 * BINS];
    for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
        g_assert_cmpfloat_with_epsilon(seam_survival_loss(&plain, 4, z, life[i], 1, dz), want[i], 1e-5);
        for (int32_t j = 3 * BINS; j < 4 * BINS; j++)
            g_assert_cmpfloat(dz[j], ==, 0);
    }
    const double unknown[4] = {NAN, NAN, NAN, NAN};
    g_assert_cmpfloat(seam_survival_loss(&plain, 4, z, unknown, 1, dz), ==, 0);
}

// The likeliest distribution of lives between two points has their mean: nothing is rounded to the grid.
static void test_unbiased(void) {
    float z[BINS] = {0}, dz[BINS];
    for (int32_t step = 0; step < 4000; step++) {
        seam_survival_loss(&plain, 1, z, &(double){23}, 1, dz);
        for (int32_t j = 0; j < BINS; j++)
            z[j] -= dz[j];
    }
    g_assert_cmpfloat_with_epsilon(seam_survival_mean(&plain, z), 23, 0.05);
}

// ---- the layer -----------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamConfig *config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    SeamSurvival layer;
    SeamTokens tokens;
    SeamPlace place[TOKENS];
    int32_t start[WINDOWS + 1];
    double time[WINDOWS];
    float x[TOKENS * DIM], dx[TOKENS * DIM];
} Fixture;

static const double lives[WINDOWS] = {12.5, NAN, 70};

// Three windows; the second has no tokens, and nobody knows its life.
static void setup(Fixture *f, gconstpointer data) {
    f->config = new_config();
    f->params = seam_params_new();
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    f->random = seam_random(3, 4);
    seam_survival_declare(&f->layer, f->params, f->config, 0);
    draw(f->params, &f->random);
    fill(&f->random, f->x, TOKENS * DIM, 1);
    const int32_t start[WINDOWS + 1] = {0, 4, 4, TOKENS};
    memcpy(f->start, start, sizeof start);
    f->tokens = (SeamTokens){.n = TOKENS, .dim = DIM, .seqs = WINDOWS, .x = f->x, .seq_start = f->start, .seq_time = f->time, .place = f->place};
}

static void teardown(Fixture *f, gconstpointer data) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
    g_free(f->config);
}

static double life_loss(void *data, bool backward) {
    Fixture *f = data;
    SeamClassifyOut out;
    SeamClassifySaved saved;
    float dlogits[WINDOWS * BINS];
    size_t mark = seam_arena_mark(&f->arena);
    assert_ok(seam_classify_forward(&f->layer.evidence, &f->run, &f->tokens, &out, backward ? &saved : NULL));
    double loss = seam_survival_loss(&f->layer, WINDOWS, out.logits, lives, 1, dlogits);
    if (backward)
        assert_ok(seam_classify_backward(&f->layer.evidence, &f->run, &saved, dlogits, f->dx));
    seam_arena_release(&f->arena, mark);
    return loss;
}

static void test_gradients(Fixture *f, gconstpointer data) {
    check_params(f->params, SIZE_MAX, life_loss, f);
    check_values("x", f->x, f->dx, TOKENS * DIM, SIZE_MAX, life_loss, f);
}

// ---- the promise ---------------------------------------------------------------------------------------------------------------

static void test_margin(void) {
    const double score[] = {5, 1, 2, 3, 4, 9};
    const int32_t alone[] = {0, 1, 2, 3, 4, 5}, pairs[] = {0, 0, 1, 1, 2, 2};
    g_assert_cmpfloat(seam_conformal_margin(6, score, alone, 6, 5.0 / 7), ==, 5); // the 5th of 6 + 1
    g_assert_cmpfloat(seam_conformal_margin(6, score, alone, 6, 6.0 / 7), ==, 9);
    g_assert_true(isnan(seam_conformal_margin(6, score, alone, 6, 0.9)));
    g_assert_cmpfloat(seam_conformal_margin(6, score, pairs, 3, 0.5), ==, 4); // each weighs 1/8
    g_assert_true(isnan(seam_conformal_margin(6, score, pairs, 3, 0.8)));
    g_assert_true(isnan(seam_conformal_margin(0, score, pairs, 0, 0.9)));
}

// 2000 calibrations with 15 things of 5 lives each, whose scores share most of their spread; a new thing's life is held with at least 0.9. As if all 75 were
// apart, it would not be. Standard error sqrt(0.09 / 2000) = 0.0067.
static void test_margin_promise(void) {
    enum { TRIALS = 2000, THINGS = 15, EACH = 5 };
    SeamRandom random = seam_random(1, 9);
    double score[THINGS * EACH];
    int32_t group[THINGS * EACH], held = 0;
    for (int32_t trial = 0; trial < TRIALS; trial++) {
        for (int32_t g = 0; g < THINGS; g++) {
            double own = 3 * seam_random_normal(&random);
            for (int32_t k = 0; k < EACH; k++) {
                score[g * EACH + k] = own + seam_random_normal(&random);
                group[g * EACH + k] = g;
            }
        }
        double new_score = 3 * seam_random_normal(&random) + seam_random_normal(&random);
        held += new_score <= seam_conformal_margin(THINGS * EACH, score, group, THINGS, 0.9);
    }
    g_test_message("held %.4f", held / (double)TRIALS);
    g_assert_cmpfloat(held / (double)TRIALS, >=, 0.9 - 3 * 0.0067);
}

static void test_interval(Fixture *f, gconstpointer data) {
    SeamCalibration *c = seam_calibration_new();
    SeamWindowResult *r = g_new0(SeamWindowResult, 1);
    *r = (SeamWindowResult){.has_rul = true, .rul = 15, .rul_quantile = {5, 30}};
    seam_conformal_interval(c, f->config, r);
    g_assert_true(isnan(r->rul_low) && isnan(r->rul_high));
    c->rul_margin = 7;
    seam_conformal_interval(c, f->config, r);
    g_assert_cmpfloat(r->rul_low, ==, 0);
    g_assert_cmpfloat(r->rul_high, ==, 37);
    c->rul_margin = -20; // the ends meet
    seam_conformal_interval(c, f->config, r);
    g_assert_cmpfloat(r->rul_low, ==, 17.5f);
    g_assert_cmpfloat(r->rul_high, ==, 17.5f);
    c->rul_margin = 15;
    seam_conformal_interval(c, f->config, r);
    g_assert_cmpfloat(r->rul_high, ==, LIMIT);
    r->effort = SEAM_EFFORT_CALIBRATED; // has a margin of its own, or none
    seam_conformal_interval(c, f->config, r);
    g_assert_true(isnan(r->rul_low) && isnan(r->rul_high));
    c->effort_rul_margin = 1;
    seam_conformal_interval(c, f->config, r);
    g_assert_true(r->rul_low == 4 && r->rul_high == 31);
    r->effort = SEAM_EFFORT_OTHER;
    seam_conformal_interval(c, f->config, r);
    g_assert_true(isnan(r->rul_low) && isnan(r->rul_high));
    r->effort = SEAM_EFFORT_FULL;
    r->missing = 1;
    seam_conformal_interval(c, f->config, r);
    g_assert_true(isnan(r->rul_low));
    seam_calibration_free(c);
    g_free(r);
}

// model.json's margin, there and back; what is no number is refused.
static void test_calibration_file(Fixture *f, gconstpointer data) {
    static const char *const refused[] = {"\"wide\"", "1e30", "null"};
    SeamCalibration *c = seam_calibration_new(), *again = seam_calibration_new();
    c->rul_margin = -2.5f;
    JsonObject *object = seam_calibration_print(c, f->config);
    g_assert_true(seam_calibration_parse(again, f->config, object, "test", NULL));
    g_assert_cmpfloat(again->rul_margin, ==, -2.5f);
    json_object_remove_member(object, "rul_margin");
    g_assert_true(seam_calibration_parse(again, f->config, object, "test", NULL));
    g_assert_true(isnan(again->rul_margin));
    json_object_unref(object);
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        GError *error = NULL;
        g_autofree char *text = g_strdup_printf("{\"sets\":[],\"rul_margin\":%s}", refused[i]);
        object = seam_json_parse(text, "test", NULL);
        g_assert_nonnull(object);
        g_assert_false(seam_calibration_parse(again, f->config, object, "test", &error));
        g_assert_nonnull(strstr(error->message, "rul_margin"));
        g_clear_error(&error);
        json_object_unref(object);
    }
    seam_calibration_free(c);
    seam_calibration_free(again);
}

// ---- results -------------------------------------------------------------------------------------------------------------------

static void test_decide(Fixture *f, gconstpointer data) {
    SeamModel *model = seam_model_new(f->config, false, 5, NULL);
    SeamWindowResult *r = g_new0(SeamWindowResult, 1);
    assert_ok(seam_decide(model, &f->run, &f->tokens, 0, 1, 1, NULL, r));
    g_assert_cmpuint(f->arena.peak, <=, seam_decide_bytes(model, TOKENS) + seam_arena_bytes(1, 1));
    g_assert_true(r->has_rul && isnan(r->rul_low) && isnan(r->rul_high));
    g_assert_true(r->rul_quantile[0] < r->rul && r->rul < r->rul_quantile[1]);
    g_autofree char *text = seam_window_result_print(r, f->config, "");
    g_assert_nonnull(strstr(text, "\"low\":null,\"high\":null,\"level\":0.9}"));
    assert_ok(seam_decide(model, &f->run, &f->tokens, 1, 1, 1, NULL, r));
    g_assert_false(r->has_rul);
    f->x[3] = NAN;
    g_assert_cmpint(seam_decide(model, &f->run, &f->tokens, 0, 1, 1, NULL, r), ==, SEAM_DEVICE_ERROR);
    seam_model_free(model);
    g_free(r);
}

// The last window's life is the verdict's, and a model that knows nothing else refers.
static void test_verdict(Fixture *f, gconstpointer data) {
    SeamWeldOptions options = SEAM_WELD_OPTIONS_DEFAULT;
    options.bounds = SEAM_BOUNDS_FILE;
    SeamWeldTracker *t = seam_weld_tracker_new(f->config, NULL, &options);
    SeamWindowResult *r = g_new0(SeamWindowResult, 1);
    SeamVerdict *v = g_new0(SeamVerdict, 1);
    for (int32_t k = 0; k < 3; k++) {
        *r = (SeamWindowResult){.time = 20 * k, .duration = 20, .present = 1, .has_rul = k < 2, .rul = 30 - k, .rul_low = 20 - k, .rul_high = 39};
        seam_weld_tracker_window(t, r);
    }
    g_assert_true(seam_weld_tracker_poll(t, 60, true, v));
    g_assert_true(v->has_rul);
    g_assert_cmpfloat(v->rul, ==, 29);
    g_assert_cmpfloat(v->rul_low, ==, 19);
    g_assert_cmpfloat(v->rul_high, ==, 39);
    g_assert_cmpint(v->decision, ==, SEAM_REFER);
    g_assert_nonnull(strstr(v->reason, "how long it will last"));
    g_autofree char *text = seam_verdict_print(v, f->config, "");
    g_assert_nonnull(strstr(text, "\"rul\":{\"value\":29,\"low\":19,\"high\":39,\"level\":0.9}"));
    seam_weld_tracker_free(t);
    g_free(r);
    g_free(v);
}

static void test_metrics(void) {
    const SeamLife life[] = {{50, 63, 45, 70}, {50, 40, 45, 60}, {20, 20, 25, 30}, {20, 20, NAN, NAN}};
    SeamLifeMetrics m;
    seam_metric_lives(4, life, NULL, &m);
    g_assert_cmpint(m.n, ==, 4);
    g_assert_cmpfloat_with_epsilon(m.rmse, sqrt((13 * 13 + 10 * 10) / 4.0), 1e-9);
    g_assert_cmpfloat_with_epsilon(m.score, exp(1.3) - 1 + exp(10.0 / 13) - 1, 1e-9);
    g_assert_cmpfloat_with_epsilon(m.coverage, 2.0 / 3, 1e-9);
    g_assert_cmpfloat_with_epsilon(m.interval_width, (25 + 15 + 5) / 3.0, 1e-9);
    seam_metric_lives(0, life, NULL, &m);
    g_assert_true(isnan(m.rmse) && isnan(m.score) && isnan(m.coverage) && isnan(m.interval_width));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/survival/config", test_config);
    g_test_add_func("/survival/distribution", test_distribution);
    g_test_add_func("/survival/loss", test_loss);
    g_test_add_func("/survival/unbiased", test_unbiased);
    g_test_add("/survival/gradients", Fixture, NULL, setup, test_gradients, teardown);
    g_test_add_func("/survival/margin", test_margin);
    g_test_add_func("/survival/margin/promise", test_margin_promise);
    g_test_add("/survival/interval", Fixture, NULL, setup, test_interval, teardown);
    g_test_add("/survival/calibration-file", Fixture, NULL, setup, test_calibration_file, teardown);
    g_test_add("/survival/decide", Fixture, NULL, setup, test_decide, teardown);
    g_test_add("/survival/verdict", Fixture, NULL, setup, test_verdict, teardown);
    g_test_add_func("/survival/metrics", test_metrics);
    return g_test_run();
}
