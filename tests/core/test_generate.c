// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "generate" from records to results: what is learnt of what came next, what a decision says of it, and how that is measured.
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/finding.h"
#include "core/random.h"
#include "core/train/ahead.h"
#include "core/train/finish.h"
#include "core/train/split.h"
#include "core/train/trainer.h"
#include "tests/made_up.h"

enum { RECORDS = 30, SECONDS = 6, RATE = 8, CHANNELS = 2, SENSORS = 0 };

static const char recipe_text[] =
    "{\"name\":\"tiny\",\"config\":{\"dim\":16,\"layers\":1,\"heads\":2,\"experts\":4,\"groups\":2,\"groups_kept\":1,\"top_k\":1,\"expert_width\":16,"
    "\"router_rank\":4,\"mixer\":\"global\",\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":16,\"modalities\":["
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"channel_names\":[\"current\",\"flow\"],\"rate\":8,\"patch\":4,\"time_bins\":2,\"fft\":0,"
    "\"bands\":0,\"arc_channel\":0}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"next\",\"kind\":\"generate\",\"rank\":2,\"what\":\"forecast\",\"modality\":\"sensors\","
    "\"horizon\":1}]},"
    "\"augment\":{\"gain\":0,\"sensor_noise\":0,\"time_shift\":0,\"channel_dropout\":0,\"modality_dropout\":0,\"alone\":0},"
    "\"train\":{\"steps\":250,\"batch\":16,\"lr\":0.01,\"warmup\":5,\"ema\":0.9,\"seed\":3}}";

// Slow sines, each of its own phase: what comes next is not what is there now.
static SeamStream make_sensors(SeamRandom *random) {
    SeamStream s = {.samples = SECONDS * RATE, .x = g_new(float, SECONDS * RATE * CHANNELS)};
    double phase[CHANNELS] = {seam_random_uniform(random), seam_random_uniform(random)};
    for (int32_t i = 0; i < SECONDS * RATE; i++)
        for (int32_t c = 0; c < CHANNELS; c++)
            s.x[i * CHANNELS + c] = (float)(100 * c + (c + 1) * 3 * sin(2 * G_PI * (phase[c] + (double)i / RATE / 4)) + 0.1 * seam_random_normal(random));
    return s;
}

// No record has a label: the signal tells.
static SeamDataset *make_data(void) {
    SeamDataset *d = made_up_data(RECORDS);
    for (int32_t i = 0; i < RECORDS; i++) {
        SeamRandom random = seam_random(5, (uint64_t)i);
        SeamRecord *r = made_up_record(d, i, 1, SECONDS, NULL, -1);
        r->stream[SENSORS] = make_sensors(&random);
    }
    return d;
}

typedef struct {
    SeamRecipe *recipe;
    SeamDataset *data;
    SeamPart part[RECORDS];
} Fixture;

static void setup(Fixture *f) {
    GError *error = NULL;
    f->recipe = seam_recipe_parse(recipe_text, "tiny", &error);
    g_assert_no_error(error);
    f->data = make_data();
    seam_dataset_split(f->data, 0.25, 0.25, 1, f->part);
    seam_train_measure(&f->recipe->config, f->recipe->given_mean, f->data, f->part);
}

static void teardown(Fixture *f) {
    seam_dataset_free(f->data);
    seam_recipe_free(f->recipe);
}

// ---- what came next ----------------------------------------------------------------------------------------------------------------

static void test_ahead(void) {
    Fixture f;
    float level[CHANNELS];
    GError *error = NULL;
    setup(&f);
    const SeamConfig *config = &f.recipe->config;
    SeamRecord *r = &f.data->record[0];
    float *x = r->stream[SENSORS].x;
    g_assert_cmpint(seam_ahead_samples(config, SENSORS), ==, 4);
    for (int32_t i = 0; i < 4; i++) // what follows the window from 1 to 2
        x[(2 * RATE + i) * CHANNELS] = (float)i, x[(2 * RATE + i) * CHANNELS + 1] = i < 3 ? NAN : 5;
    seam_ahead_truth(config, SENSORS, r, 1, level);
    g_assert_cmpfloat(level[0], ==, 1.5f);
    g_assert_true(isnan(level[1])); // three of four are missing
    seam_ahead_truth(config, SENSORS, r, SECONDS - 1.5, level);
    g_assert_false(isnan(level[0]));
    seam_ahead_truth(config, SENSORS, r, SECONDS - 1, level);
    g_assert_true(isnan(level[0]) && isnan(level[1]));
    r->arc_end = 2.25; // the weld ends before
    seam_ahead_truth(config, SENSORS, r, 1, level);
    g_assert_true(isnan(level[0]));

    SeamBatch *batch = seam_batch_new(config, 2, &error);
    g_assert_no_error(error);
    r->arc_end = SECONDS;
    seam_batch_add(batch, r, 1, UINT32_MAX, 0, NULL, NULL);
    seam_batch_add(batch, r, SECONDS - 1, UINT32_MAX, 0, NULL, NULL);
    g_assert_cmpfloat(batch->part[SENSORS].next[0], ==, 1.5f);
    g_assert_true(isnan(batch->part[SENSORS].next[CHANNELS]));
    g_assert_cmpmem(batch->part[SENSORS].x, RATE * CHANNELS * sizeof(float), x + RATE * CHANNELS, RATE * CHANNELS * sizeof(float));
    g_assert_cmpint(g_array_index(batch->part[SENSORS].sensor, SeamSensorWindow, 0).valid, ==, RATE);

    // What is done to a window is done to what follows it.
    SeamAugment augment = {.offset = {{50, 0}}};
    SeamRandom random = seam_random(1, 1);
    seam_batch_reset(batch);
    seam_batch_add(batch, r, 1, UINT32_MAX, 0, &augment, &random);
    float moved = batch->part[SENSORS].x[0] - x[RATE * CHANNELS];
    g_assert_cmpfloat(fabsf(moved), >, 1);
    g_assert_cmpfloat_with_epsilon(batch->part[SENSORS].next[0], 1.5f + moved, 1e-3);
    seam_batch_free(batch);
    teardown(&f);
}

// ---- learning ------------------------------------------------------------------------------------------------------------------------

static void remember(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    *(SeamWindowResult *)user = *r;
}

// The pinball loss of saying that things stay as they were in the window's last stretch, with the spread of that in the training part.
static double persistence(const Fixture *f) {
    const SeamConfig *config = &f->recipe->config;
    double sum = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < RECORDS; i++)
        for (int32_t s = 0; s < SECONDS - 1; s++)
            for (int32_t c = 0; c < CHANNELS; c++, n++) {
                const float *x = f->data->record[i].stream[SENSORS].x;
                float now[CHANNELS], next[CHANNELS];
                seam_ahead_level(CHANNELS, 4, x + ((s + 1) * RATE - 4) * CHANNELS, now);
                seam_ahead_level(CHANNELS, 4, x + (s + 1) * RATE * CHANNELS, next);
                sum += fabs(now[c] - next[c]) / config->modality[SENSORS].std[c] / 2; // of the median alone
            }
    return sum / n;
}

static void test_learns(void) {
    Fixture f;
    GError *error = NULL;
    g_autofree SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    g_autofree SeamWindowResult *last = g_new0(SeamWindowResult, 1);
    setup(&f);
    g_autofree char *folder = g_dir_make_tmp("seam-generate-XXXXXX", &error), *path = g_build_filename(folder, "tiny.seam", NULL);
    SeamModel *model = seam_train(f.recipe, &f.recipe->config, f.data, f.part, seam_kernels_cpu(), &(SeamTrainRun){0}, &error);
    g_assert_no_error(error);
    g_assert_true(seam_train_finish(model, f.recipe, f.data, f.part, seam_kernels_cpu(), "test", path, e, &error));
    g_assert_no_error(error);
    g_assert_cmpint(e->forecast.n, >=, 4 * (SECONDS - 1) * CHANNELS);
    g_test_message("pinball %g, coverage %g, staying %g", seam_forecast_mean_pinball(&e->forecast), seam_forecast_coverage(&e->forecast), persistence(&f));
    g_assert_cmpfloat(seam_forecast_mean_pinball(&e->forecast), <, 0.5 * persistence(&f));
    g_assert_cmpfloat(seam_forecast_coverage(&e->forecast), >, 0.6);
    JsonObject *printed = seam_evaluation_print(e, &model->config);
    g_assert_true(json_object_has_member(printed, "forecast_pinball") && json_object_has_member(printed, "forecast_coverage"));
    json_object_unref(printed);

    // What the file says is what was measured; and what a result says.
    SeamModel *loaded = seam_model_load(path, &error);
    g_assert_no_error(error);
    SeamCalibration *calibration = seam_calibration_new();
    SeamEvaluateOptions options = {.model = loaded, .kernels = seam_kernels_cpu(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = UINT32_MAX, .window = remember, .user = last};
    SeamEvaluator *evaluator = seam_evaluator_new(&options, &error);
    g_assert_no_error(error);
    g_assert_true(seam_evaluate_window(evaluator, &f.data->record[0], 2, &(uint32_t){1}, 1, &error));
    g_assert_cmpuint(last->forecast_of, ==, 1u << SENSORS);
    for (int32_t c = 0; c < CHANNELS; c++)
        g_assert_true(last->forecast[SENSORS][c][0] < last->forecast[SENSORS][c][1] && last->forecast[SENSORS][c][1] < last->forecast[SENSORS][c][2]);
    g_assert_cmpfloat_with_epsilon(last->forecast[SENSORS][1][1], 100, 7);
    g_autofree char *json = seam_window_result_print(last, &loaded->config, "f"), *want = g_strdup_printf("\"forecast\":{\"sensors\":{\"current\":[");
    g_assert_nonnull(strstr(json, want));
    last->forecast_of = 0;
    g_autofree char *without = seam_window_result_print(last, &loaded->config, "f");
    g_assert_null(strstr(without, "forecast"));
    seam_evaluator_free(evaluator);
    seam_calibration_free(calibration);
    seam_model_free(loaded);
    seam_model_free(model);
    const char *const names[] = {"tiny.seam/adapters/next.safetensors", "tiny.seam/adapters", "tiny.seam/model.json", "tiny.seam/weights.safetensors", "tiny.seam", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *file = g_build_filename(folder, names[i], NULL);
        g_assert_cmpint(g_remove(file), ==, 0);
    }
    teardown(&f);
}

// ---- in words --------------------------------------------------------------------------------------------------------------------------

typedef struct {
    const SeamConfig *config;
    int32_t n, plain;
} Heard;

static void hear(Heard *heard, const SeamVerdict *v) {
    SeamFacts facts = seam_facts_of(v, heard->config);
    g_assert_true(seam_finding_true(v->finding, &facts, heard->config)); // whatever the decoder has learnt
    g_autofree char *json = seam_verdict_print(v, heard->config, "f"), *want = g_strdup_printf("\"finding\":\"%s\"", v->finding);
    g_assert_nonnull(strstr(json, want));
    heard->n++;
    heard->plain += v->finding_plain;
}

static void test_text(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    SeamConfig *config = &f.recipe->config;
    config->n_tasks = 2;
    config->task[0] = (SeamTask){.name = "verdict", .kind = SEAM_TASK_CLASSIFY, .rank = 2};
    config->task[1] = (SeamTask){.name = "say", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_TEXT, .rank = 2, .depth = 1, .width = 16, .length = 200};
    f.recipe->train.steps = 20;
    for (int32_t i = 0; i < RECORDS; i++)
        f.data->record[i].class_index = i % 2;
    SeamModel *model = seam_train(f.recipe, config, f.data, f.part, seam_kernels_cpu(), &(SeamTrainRun){0}, &error);
    g_assert_no_error(error);
    SeamCalibration *calibration = seam_calibration_new();
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_cpu(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = UINT32_MAX};
    SeamEvaluator *evaluator = seam_evaluator_new(&options, &error);
    g_assert_no_error(error);
    Heard heard = {.config = &model->config};
    for (int32_t i = 0; i < 4; i++) {
        g_autofree SeamVerdict *v = g_new0(SeamVerdict, 1);
        g_assert_true(seam_evaluate_record(evaluator, &f.data->record[i], &(uint32_t){1}, 1, v, &error));
        g_assert_true(v->has_said && *v->finding == 0);
        g_assert_true(seam_evaluate_finding(evaluator, v, &error));
        hear(&heard, v);
    }
    g_assert_cmpint(heard.n, ==, 4);
    g_assert_cmpint(heard.plain, >, 0); // so little is learnt in so few steps
    seam_evaluator_free(evaluator);
    seam_calibration_free(calibration);
    seam_model_free(model);
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/generate/ahead", test_ahead);
    g_test_add_func("/generate/forecast", test_learns);
    g_test_add_func("/generate/text", test_text);
    return g_test_run();
}
