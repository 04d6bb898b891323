// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Filling gaps on made-up welds: current and voltage drift slowly and jump from stretch to stretch, the voltage against the current; the loudness of the
// sound follows the jumps. A gap of one channel can be read from the other one, a gap of both from the sound alone; a line over the gap knows the drift.
// The plain ways get quantiles, too: those of their errors in the training part.
#include "tests/bench/ablation/generate_signal.h"

#include <math.h>
#include <string.h>

#include "core/random.h"
#include "core/train/evaluate_signal.h"
#include "core/train/split.h"
#include "core/train/trainer.h"
#include "tests/bench/ablation/ablation.h"

enum { RECORDS = 120, SECONDS = 6, RATE = 32, PATCH = 4, CHANNELS = 2, SOUND_RATE = 256, SOUND_PATCH = 32, Q = SEAM_FORECAST_QUANTILES };

static const char recipe_text[] =
    "{\"name\":\"signal\",\"config\":{\"dim\":32,\"layers\":1,\"heads\":2,\"experts\":4,\"groups\":2,\"groups_kept\":1,\"top_k\":1,\"expert_width\":32,"
    "\"router_rank\":4,\"mixer\":\"global\",\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":32,\"modalities\":["
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"rate\":32,\"patch\":4,\"time_bins\":2,\"fft\":0,\"bands\":0,\"arc_channel\":0},"
    "{\"name\":\"sound\",\"front\":\"sensor\",\"channels\":1,\"rate\":256,\"patch\":32,\"time_bins\":2,\"fft\":0,\"bands\":0,\"arc_channel\":-1}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"fill\",\"kind\":\"generate\",\"rank\":4,\"what\":"
    "\"signal\",\"modality\":\"sensors\",\"mask\":0.3}]},"
    "\"augment\":{\"gain\":0,\"sensor_noise\":0,\"time_shift\":0,\"channel_dropout\":0,\"modality_dropout\":0.2,\"alone\":0},"
    "\"train\":{\"steps\":6000,\"batch\":16,\"lr\":0.003,\"warmup\":100,\"ema\":0.98,\"seed\":3}}";

static void make_record(SeamRecord *r, int32_t i) {
    SeamRandom random = seam_random(6, (uint64_t)i);
    int32_t samples = SECONDS * RATE, heard = SECONDS * SOUND_RATE;
    SeamStream sensors = {.samples = samples, .x = g_new(float, samples * CHANNELS)}, sound = {.samples = heard, .x = g_new(float, heard)};
    double phase = seam_random_uniform(&random), jump[SECONDS * RATE / PATCH];
    for (int32_t s = 0; s < SECONDS * RATE / PATCH; s++)
        jump[s] = seam_random_normal(&random);
    for (int32_t j = 0; j < samples; j++) {
        double drift = sin(2 * G_PI * (phase + (double)j / RATE / 3));
        sensors.x[j * CHANNELS] = (float)(150 + 10 * drift + 10 * jump[j / PATCH] + 2 * seam_random_normal(&random));
        sensors.x[j * CHANNELS + 1] = (float)(20 + drift - 1.5 * jump[j / PATCH] + 0.3 * seam_random_normal(&random));
    }
    for (int32_t j = 0; j < heard; j++)
        sound.x[j] = (float)(0.1 * exp(0.5 * jump[j / SOUND_PATCH]) * seam_random_normal(&random));
    r->name = g_strdup_printf("run-%d", i);
    r->group = g_strdup_printf("group-%d", i);
    r->class_index = -1;
    r->duration = r->arc_end = SECONDS;
    r->stream[0] = sensors;
    r->stream[1] = sound;
}

// ---- figures ---------------------------------------------------------------------------------------------------------------------

static void gather(void *user, const SeamSignalTold *told) {
    g_array_append_vals(user, told, 1);
}

static GArray *told_of(const SeamModel *model, const SeamDataset *data, const SeamPart *part, SeamPart which, uint32_t only, GError **error) {
    GArray *told = g_array_new(FALSE, FALSE, sizeof(SeamSignalTold));
    SeamCalibration *calibration = seam_calibration_new();
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_cpu(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = UINT32_MAX};
    bool ok = seam_evaluate_signals(&options, data, &(SeamEvaluateWhat){.part = part, .which = which, .only = only}, gather, told, error);
    seam_calibration_free(calibration);
    if (!ok)
        g_clear_pointer(&told, g_array_unref);
    return told;
}

static double plain_of(const SeamSignalTold *t, bool line) {
    double value = line ? t->line : t->mean;
    return isnan(value) ? 0 : value;
}

// The quantiles of what a plain way lacks in the training part.
static void spread(const GArray *train, bool line, double quantile[Q]) {
    int32_t n = (int32_t)train->len;
    g_autofree double *error = g_new(double, n);
    for (int32_t i = 0; i < n; i++)
        error[i] = g_array_index(train, SeamSignalTold, i).truth - plain_of(&g_array_index(train, SeamSignalTold, i), line);
    ablation_median(n, error); // sorts
    quantile[0] = error[n / 20];
    quantile[1] = error[n / 2];
    quantile[2] = error[n - 1 - n / 20];
}

static void add(SeamSignalSums *sums, const double quantile[Q], double truth) {
    SeamSignalTold one = {.truth = truth};
    memcpy(one.quantile, quantile, sizeof one.quantile);
    seam_signal_sums_add(sums, &one);
}

static SignalFigures figures(const SeamSignalSums *sums) {
    return (SignalFigures){seam_forecast_mean_pinball(&sums->told), seam_forecast_coverage(&sums->told), seam_signal_rmse(sums, sums->squares)};
}

static SignalFigures decoder(const GArray *told) {
    SeamSignalSums sums = {0};
    for (guint i = 0; i < told->len; i++)
        seam_signal_sums_add(&sums, &g_array_index(told, SeamSignalTold, i));
    return figures(&sums);
}

static SignalFigures plain(const GArray *train, const GArray *told, bool line) {
    SeamSignalSums sums = {0};
    double lacks[Q], quantile[Q];
    spread(train, line, lacks);
    for (guint i = 0; i < told->len; i++) {
        const SeamSignalTold *t = &g_array_index(told, SeamSignalTold, i);
        for (int32_t q = 0; q < Q; q++)
            quantile[q] = plain_of(t, line) + lacks[q];
        add(&sums, quantile, t->truth);
    }
    return figures(&sums);
}

static bool compare(const SeamModel *model, const SeamDataset *data, const SeamPart *part, SignalTotals *t, GError **error) {
    GArray *train = told_of(model, data, part, SEAM_PART_TRAIN, UINT32_MAX, error);
    GArray *told = train ? told_of(model, data, part, SEAM_PART_VALIDATION, UINT32_MAX, error) : NULL;
    GArray *deaf = told ? told_of(model, data, part, SEAM_PART_VALIDATION, 1, error) : NULL;
    if (deaf)
        *t = (SignalTotals){told->len, decoder(told), decoder(deaf), plain(train, told, true), plain(train, told, false)};
    GArray *all[] = {train, told, deaf};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        if (all[i])
            g_array_unref(all[i]);
    return deaf != NULL;
}

bool signal_measure(SignalTotals *totals, GError **error) {
    SeamPart part[RECORDS];
    SeamRecipe *recipe = seam_recipe_parse(recipe_text, "signal", error);
    if (!recipe)
        return false;
    SeamDataset *data = g_new0(SeamDataset, 1);
    data->path = g_strdup("memory");
    data->n = RECORDS;
    data->record = g_new0(SeamRecord, RECORDS);
    for (int32_t i = 0; i < RECORDS; i++)
        make_record(&data->record[i], i);
    seam_dataset_split(data, 0.25, 0, 1, part);
    seam_train_measure(&recipe->config, recipe->given_mean, data, part);
    SeamModel *model = seam_train(recipe, &recipe->config, data, part, seam_kernels_cpu(), &(SeamTrainRun){0}, error);
    bool ok = model && compare(model, data, part, totals, error);
    seam_model_free(model);
    seam_dataset_free(data);
    seam_recipe_free(recipe);
    return ok;
}
