// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "generate" of a "signal" from records to results: what is hidden in training, what a decision says of gaps, and how that is measured.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/decide.h"
#include "core/random.h"
#include "core/train/evaluate_signal.h"
#include "core/train/hide.h"
#include "core/train/split.h"
#include "core/train/trainer.h"

enum { RECORDS = 40, SECONDS = 4, RATE = 16, PATCH = 2, STRETCHES = RATE / PATCH, CHANNELS = 2, SENSORS = 0, PROBE = 1 };

static const char recipe_text[] =
    "{\"name\":\"tiny\",\"config\":{\"dim\":24,\"layers\":1,\"heads\":2,\"experts\":4,\"groups\":2,\"groups_kept\":1,\"top_k\":1,\"expert_width\":24,"
    "\"router_rank\":4,\"mixer\":\"global\",\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":24,\"modalities\":["
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"channel_names\":[\"current\",\"flow\"],\"rate\":16,\"patch\":2,\"time_bins\":1,\"fft\":0,"
    "\"bands\":0,\"arc_channel\":0},"
    "{\"name\":\"probe\",\"front\":\"sensor\",\"channels\":1,\"rate\":16,\"patch\":2,\"time_bins\":1,\"fft\":0,\"bands\":0,\"arc_channel\":-1}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"fill\",\"kind\":\"generate\",\"rank\":2,\"what\":\"signal\",\"modality\":\"sensors\","
    "\"mask\":0.25}]},"
    "\"augment\":{\"gain\":0,\"sensor_noise\":0,\"time_shift\":0,\"channel_dropout\":0,\"modality_dropout\":0,\"alone\":0},"
    "\"train\":{\"steps\":800,\"batch\":16,\"lr\":0.006,\"warmup\":20,\"ema\":0.97,\"seed\":3}}";

// Levels that jump from stretch to stretch, so that no line fills a gap; the probe jumps with them.
static void make_record(SeamRecord *r, int32_t i) {
    SeamRandom random = seam_random(5, (uint64_t)i);
    int32_t samples = SECONDS * RATE;
    float *x = g_new(float, samples * CHANNELS), *probe = g_new(float, samples), level = 0;
    for (int32_t j = 0; j < samples; j++) {
        level = j % PATCH == 0 ? (float)seam_random_normal(&random) : level;
        x[j * CHANNELS] = 100 + 5 * level + 0.2f * (float)seam_random_normal(&random);
        x[j * CHANNELS + 1] = -2 * level + 0.1f * (float)seam_random_normal(&random);
        probe[j] = level + 0.05f * (float)seam_random_normal(&random);
    }
    r->name = g_strdup_printf("run-%d", i);
    r->group = g_strdup_printf("group-%d", i);
    r->class_index = -1;
    r->duration = r->arc_end = SECONDS;
    r->stream[SENSORS] = (SeamStream){.samples = samples, .x = x};
    r->stream[PROBE] = (SeamStream){.samples = samples, .x = probe};
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
    f->data = g_new0(SeamDataset, 1);
    f->data->path = g_strdup("memory");
    f->data->n = RECORDS;
    f->data->record = g_new0(SeamRecord, RECORDS);
    for (int32_t i = 0; i < RECORDS; i++)
        make_record(&f->data->record[i], i);
    seam_dataset_split(f->data, 0.25, 0.25, 1, f->part);
    seam_train_measure(&f->recipe->config, f->recipe->given_mean, f->data, f->part);
}

static void teardown(Fixture *f) {
    seam_dataset_free(f->data);
    seam_recipe_free(f->recipe);
}

// ---- what is hidden ------------------------------------------------------------------------------------------------------------------

// One window of the first record, with a share of it hidden.
static SeamBatch *hide(const Fixture *f, double share, uint64_t seed) {
    GError *error = NULL;
    SeamRandom random = seam_random(7, seed);
    SeamBatch *batch = seam_batch_new(&f->recipe->config, 1, &error);
    g_assert_no_error(error);
    seam_batch_add(batch, &f->data->record[0], 1, UINT32_MAX, 0, NULL, NULL);
    seam_hide_stretches(batch, SENSORS, share, &random);
    return batch;
}

// What is hidden is gone from the samples, and nothing else; the truth is what was there.
static int32_t check_hidden(const Fixture *f, const SeamBatch *batch, int32_t *whole) {
    const SeamBatchPart *p = &batch->part[SENSORS];
    const float *was = f->data->record[0].stream[SENSORS].x + RATE * CHANNELS;
    int32_t missing = 0, of[STRETCHES] = {0};
    for (int32_t i = 0; i < RATE * CHANNELS; i++) {
        missing += isnan(p->x[i]);
        g_assert_true(isnan(p->x[i]) || p->x[i] == was[i]);
    }
    g_assert_cmpint(missing, ==, (int32_t)p->hidden->len * PATCH);
    for (guint i = 0; i < p->hidden->len; i++) {
        const SeamSignalQuery *q = &g_array_index(p->hidden, SeamSignalQuery, i);
        int32_t at = q->stretch * PATCH * CHANNELS + q->channel;
        g_assert_cmpint(q->window, ==, 0);
        g_assert_cmpfloat_with_epsilon(g_array_index(p->hidden_level, float, i), (was[at] + was[at + CHANNELS]) / 2, 1e-5);
        g_assert_true(isnan(p->x[at]) && isnan(p->x[at + CHANNELS]));
        *whole += ++of[q->stretch] == CHANNELS;
    }
    return (int32_t)p->hidden->len;
}

static void test_hide(void) {
    Fixture f;
    int32_t whole = 0, sum = 0;
    setup(&f);
    for (uint64_t seed = 0; seed < 20; seed++) {
        SeamBatch *batch = hide(&f, 0.5, seed), *again = hide(&f, 0.5, seed), *all = hide(&f, 1, seed), *none = hide(&f, 0, seed);
        g_assert_cmpint(check_hidden(&f, batch, &whole), ==, STRETCHES * CHANNELS / 2);
        g_assert_cmpmem(batch->part[SENSORS].x, RATE * CHANNELS * sizeof(float), again->part[SENSORS].x, RATE * CHANNELS * sizeof(float));
        g_assert_cmpint(check_hidden(&f, all, &(int32_t){0}), ==, STRETCHES * CHANNELS - 1); // one stays
        g_assert_cmpint(check_hidden(&f, none, &(int32_t){0}), ==, 0);
        seam_batch_free(batch), seam_batch_free(again), seam_batch_free(all), seam_batch_free(none);
    }
    g_assert_cmpint(whole, >, 10);                     // some gaps are of all channels,
    g_assert_cmpint(whole, <, 20 * STRETCHES / 2 - 10); // some of one

    // In training the share is drawn, "mask" on the mean; the next batch begins anew. Without such a task nothing is drawn.
    SeamBatch *batch = seam_batch_new(&f.recipe->config, 200, NULL);
    SeamRandom random = seam_random(1, 1);
    for (int32_t w = 0; w < 200; w++) {
        seam_batch_add(batch, &f.data->record[0], 1, w % 2 ? 1u << PROBE : UINT32_MAX, 0, NULL, NULL);
        seam_hide_by_lot(batch, &random);
    }
    for (guint i = 0; i < batch->part[SENSORS].hidden->len; i++)
        sum += g_array_index(batch->part[SENSORS].hidden, SeamSignalQuery, i).window % 2;
    g_assert_cmpint(sum, ==, 0);
    g_assert_cmpfloat_with_epsilon((double)batch->part[SENSORS].hidden->len / (100 * STRETCHES * CHANNELS), 0.25, 0.04);
    seam_batch_reset(batch);
    g_assert_cmpint(batch->part[SENSORS].hidden->len, ==, 0);
    SeamRandom before = random;
    f.recipe->config.n_tasks = 0;
    seam_batch_add(batch, &f.data->record[0], 1, UINT32_MAX, 0, NULL, NULL);
    seam_hide_by_lot(batch, &random);
    g_assert_true(random.counter == before.counter && batch->part[SENSORS].hidden->len == 0);
    seam_batch_free(batch);
    teardown(&f);
}

// Where a token holds all channels they are hidden together; and where there is a hole already, nothing is known.
static void test_hide_together(void) {
    Fixture f;
    setup(&f);
    f.recipe->config.modality[SENSORS].sensor.together = true;
    float *x = f.data->record[0].stream[SENSORS].x + RATE * CHANNELS;
    x[0] = x[CHANNELS] = NAN; // the first stretch of the first channel
    SeamBatch *batch = hide(&f, 1, 3);
    int32_t known = 0, missing = 0;
    for (int32_t s = 0; s < STRETCHES; s++) {
        bool gone[CHANNELS] = {isnan(batch->part[SENSORS].x[s * PATCH * CHANNELS]), isnan(batch->part[SENSORS].x[s * PATCH * CHANNELS + 1])};
        g_assert_true(gone[0] == gone[1] || s == 0);
        missing += gone[0] && gone[1];
    }
    for (guint i = 0; i < batch->part[SENSORS].hidden->len; i++) {
        const SeamSignalQuery *q = &g_array_index(batch->part[SENSORS].hidden, SeamSignalQuery, i);
        g_assert_false(q->stretch == 0 && q->channel == 0);
        known += isfinite(g_array_index(batch->part[SENSORS].hidden_level, float, i));
    }
    g_assert_cmpint(missing, ==, STRETCHES - 1);
    g_assert_true(known == (STRETCHES - 1) * CHANNELS || known == (STRETCHES - 1) * CHANNELS - 1);
    seam_batch_free(batch);
    teardown(&f);
}

// ---- what is missing -----------------------------------------------------------------------------------------------------------------

// The tokens that a batch gives tell just what was hidden in it.
static void test_missing(const void *data) {
    Fixture f;
    GError *error = NULL;
    SeamArena arena;
    SeamTokens tokens;
    SeamSignalQuery query[STRETCHES * CHANNELS];
    int32_t n;
    setup(&f);
    f.recipe->config.modality[SENSORS].sensor.together = data != NULL;
    SeamModel *model = seam_model_new(&f.recipe->config, false, 1, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&arena, 1 << 22));
    SeamRun run = {.kernels = seam_kernels_ref(), .arena = &arena};
    const SeamSignal *task = &model->task[0].generate.signal;
    SeamBatch *batch = hide(&f, 0.4, 2);
    GArray *hidden = batch->part[SENSORS].hidden;
    const SeamSensorWindow *window = &g_array_index(batch->part[SENSORS].sensor, SeamSensorWindow, 0);
    g_assert_cmpint(seam_model_embed_windows(model, &run, SENSORS, 1, window, &tokens, NULL), ==, SEAM_OK);
    g_assert_cmpint(seam_signal_missing(task, &run, &tokens, 0, query, &n), ==, SEAM_OK);
    g_assert_cmpint(n, >, 0);
    g_assert_cmpmem(query, n * sizeof *query, hidden->data, hidden->len * sizeof *query);
    // Tokens that compression has merged no longer say when they were; and a sensor that is not there has no gaps.
    g_autofree float *size = g_new(float, tokens.n);
    for (int32_t i = 0; i < tokens.n; i++)
        size[i] = 1;
    tokens.size = size;
    g_assert_cmpint(seam_signal_missing(task, &run, &tokens, 0, query, &n), ==, SEAM_OK);
    g_assert_cmpint(n, ==, (int32_t)hidden->len);
    size[tokens.n - 1] = 2;
    g_assert_cmpint(seam_signal_missing(task, &run, &tokens, 0, query, &n), ==, SEAM_OK);
    g_assert_cmpint(n, ==, 0);
    size[tokens.n - 1] = 1;
    for (int32_t i = 0; i < tokens.n; i++)
        tokens.place[i].modality = PROBE;
    g_assert_cmpint(seam_signal_missing(task, &run, &tokens, 0, query, &n), ==, SEAM_OK);
    g_assert_cmpint(n, ==, 0);
    seam_batch_free(batch);
    seam_arena_clear(&arena);
    seam_model_free(model);
    teardown(&f);
}

// ---- the plain ways --------------------------------------------------------------------------------------------------------------------

static void test_plain(void) {
    const float level[] = {NAN, 9, 2, 9, NAN, 9, NAN, 9, 8, 9, NAN, 9}; // of the first of two channels: - 2 - - 8 -
    const double line[] = {2, 2, 4, 6, 8, 8};
    for (int32_t s = 0; s < 6; s++)
        g_assert_cmpfloat_with_epsilon(seam_signal_line(level, 6, 2, s), line[s], 1e-9);
    g_assert_cmpfloat(seam_signal_mean(level, 6, 2), ==, 5);
    g_assert_true(isnan(seam_signal_line((const float[]){NAN, NAN}, 2, 1, 0)) && isnan(seam_signal_mean((const float[]){NAN, NAN}, 2, 1)));
    SeamSignalSums sums = {0};
    g_assert_true(isnan(seam_signal_rmse(&sums, sums.squares)));
    seam_signal_sums_add(&sums, &(SeamSignalTold){{-1, 1, 2}, 3, NAN, 0});
    seam_signal_sums_add(&sums, &(SeamSignalTold){{-1, 2, 3}, 4, 1, 5});
    g_assert_cmpfloat_with_epsilon(seam_signal_rmse(&sums, sums.squares), sqrt((1 + 9) / 2.0), 1e-9);
    g_assert_cmpfloat_with_epsilon(seam_signal_rmse(&sums, sums.squares_line), sqrt((9 + 1) / 2.0), 1e-9);
    g_assert_cmpfloat_with_epsilon(seam_signal_rmse(&sums, sums.squares_mean), sqrt((0 + 16) / 2.0), 1e-9);
    g_assert_cmpfloat(seam_forecast_coverage(&sums.told), ==, 0.5);
}

// ---- learning ------------------------------------------------------------------------------------------------------------------------

static void remember(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    *(SeamWindowResult *)user = *r;
}

// A record with a gap: what was there is told, at its time; a record without has nothing to tell.
static void check_results(const Fixture *f, const SeamModel *model, const SeamCalibration *calibration) {
    GError *error = NULL;
    g_autofree SeamWindowResult *last = g_new0(SeamWindowResult, 1);
    SeamRecord *record = &f->data->record[1];
    float *x = record->stream[SENSORS].x + (RATE + 3 * PATCH) * CHANNELS, was[2] = {(x[0] + x[2]) / 2, (x[4] + x[6]) / 2};
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_cpu(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = UINT32_MAX, .window = remember, .user = last};
    SeamEvaluator *e = seam_evaluator_new(&options, &error);
    g_assert_no_error(error);
    g_assert_true(seam_evaluate_window(e, record, 1, &(uint32_t){3}, 1, &error));
    g_assert_cmpint(last->n_filled, ==, 0);
    g_autofree char *without = seam_window_result_print(last, &model->config, "f");
    g_assert_null(strstr(without, "signal"));
    for (int32_t i = 0; i < 2 * PATCH; i++) // stretches 3 and 4 of the current
        x[i * CHANNELS] = NAN;
    g_assert_true(seam_evaluate_window(e, record, 1, &(uint32_t){3}, 1, &error));
    g_assert_cmpint(last->n_filled, ==, 2);
    for (int32_t i = 0; i < 2; i++) {
        const SeamFilled *filled = &last->filled[i];
        g_assert_true(filled->modality == SENSORS && filled->channel == 0 && filled->level[0] < filled->level[1] && filled->level[1] < filled->level[2]);
        g_assert_cmpfloat_with_epsilon(filled->t, (3.5 + i) * PATCH / RATE, 1e-6);
        g_assert_cmpfloat_with_epsilon(filled->level[1], was[i], 1.5); // the spread is 5
    }
    g_autofree char *json = seam_window_result_print(last, &model->config, "f");
    g_assert_nonnull(strstr(json, "\"signal\":{\"sensors\":{\"current\":[[1.4375,"));
    g_assert_nonnull(strstr(json, "],[1.5625,"));
    g_assert_null(strstr(json, "\"flow\""));
    g_assert_true(seam_evaluate_window(e, record, 1, &(uint32_t){1u << PROBE}, 1, &error)); // the sensor is missing: so say "missing", and nothing is guessed
    g_assert_cmpint(last->n_filled, ==, 0);
    seam_evaluator_free(e);
}

static void test_learns(void) {
    Fixture f;
    GError *error = NULL;
    g_autofree SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    setup(&f);
    SeamModel *model = seam_train(f.recipe, &f.recipe->config, f.data, f.part, seam_kernels_cpu(), &(SeamTrainRun){0}, &error);
    g_assert_no_error(error);
    SeamCalibration *calibration = seam_calibration_new();
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_cpu(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = UINT32_MAX};
    SeamEvaluateWhat what = {.part = f.part, .which = SEAM_PART_VALIDATION, .only = UINT32_MAX, .recall = 1};
    g_assert_true(seam_evaluate(&options, f.data, &what, e, &error));
    g_assert_no_error(error);
    const SeamSignalSums *s = &e->signal;
    double ours = seam_signal_rmse(s, s->squares), line = seam_signal_rmse(s, s->squares_line), mean = seam_signal_rmse(s, s->squares_mean);
    g_test_message("%d: pinball %g, coverage %g, rmse %g, line %g, mean %g", (int)s->told.n, seam_forecast_mean_pinball(&s->told),
                   seam_forecast_coverage(&s->told), ours, line, mean);
    g_assert_cmpfloat(ours, <, 0.5 * fmin(line, mean));
    JsonObject *printed = seam_evaluation_print(e, &model->config);
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(printed, "signal_rmse_line"), line, 1e-9);
    g_assert_true(json_object_has_member(printed, "signal_pinball") && json_object_has_member(printed, "signal_coverage"));
    json_object_unref(printed);
    check_results(&f, model, calibration);
    seam_calibration_free(calibration);
    seam_model_free(model);
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/signal/hide", test_hide);
    g_test_add_func("/signal/hide-together", test_hide_together);
    g_test_add_data_func("/signal/missing", NULL, test_missing);
    g_test_add_data_func("/signal/missing-together", "together", test_missing);
    g_test_add_func("/signal/plain", test_plain);
    g_test_add_func("/signal/learns", test_learns);
    return g_test_run();
}
