// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The generative heads on made-up welds: a forecast against saying that things stay as they are, gaps filled against a line over them, and findings in
// words: how many are true at once, and how many are written a second. It trains two small models (about two minutes); what it measures is of welds that
// they have not seen.
#include <math.h>
#include <string.h>

#include "core/random.h"
#include "core/train/ahead.h"
#include "core/train/evaluate.h"
#include "core/train/split.h"
#include "core/train/trainer.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/bench/ablation/generate_signal.h"

enum { RECORDS = 120, SECONDS = 6, RATE = 8, STRETCH = 4, CHANNELS = 2, Q = SEAM_FORECAST_QUANTILES, MOST = RECORDS * SECONDS * CHANNELS };

static const char recipe_text[] =
    "{\"name\":\"generate\",\"config\":{\"dim\":32,\"layers\":1,\"heads\":2,\"experts\":4,\"groups\":2,\"groups_kept\":1,\"top_k\":1,\"expert_width\":32,"
    "\"router_rank\":4,\"mixer\":\"global\",\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":32,\"modalities\":["
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"rate\":8,\"patch\":4,\"time_bins\":2,\"fft\":0,\"bands\":0,\"arc_channel\":0}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":2},"
    "{\"name\":\"next\",\"kind\":\"generate\",\"rank\":2,\"what\":\"forecast\",\"modality\":\"sensors\",\"horizon\":1},"
    "{\"name\":\"say\",\"kind\":\"generate\",\"rank\":2,\"what\":\"text\",\"depth\":2,\"width\":48,\"length\":160}]},"
    "\"augment\":{\"gain\":0,\"sensor_noise\":0,\"time_shift\":0,\"channel_dropout\":0,\"modality_dropout\":0,\"alone\":0},"
    "\"train\":{\"steps\":3000,\"batch\":16,\"lr\":0.003,\"warmup\":100,\"ema\":0.98,\"seed\":3}}";

// Slow sines of drawn phase; those of a defective weld are larger.
static SeamDataset *make_data(void) {
    SeamDataset *d = g_new0(SeamDataset, 1);
    d->path = g_strdup("memory");
    d->n = RECORDS;
    d->record = g_new0(SeamRecord, RECORDS);
    for (int32_t i = 0; i < RECORDS; i++) {
        SeamRandom random = seam_random(5, (uint64_t)i);
        SeamRecord *r = &d->record[i];
        SeamStream s = {.samples = SECONDS * RATE, .x = g_new(float, SECONDS * RATE * CHANNELS)};
        double phase[CHANNELS] = {seam_random_uniform(&random), seam_random_uniform(&random)};
        r->name = g_strdup_printf("run-%d", i);
        r->group = g_strdup_printf("group-%d", i);
        r->class_index = i % 2;
        r->duration = r->arc_end = SECONDS;
        for (int32_t j = 0; j < SECONDS * RATE; j++)
            for (int32_t c = 0; c < CHANNELS; c++)
                s.x[j * CHANNELS + c] = (float)(100 * c + (2 + r->class_index) * sin(2 * G_PI * (phase[c] + (double)j / RATE / 4)) + 0.3 * seam_random_normal(&random));
        r->stream[0] = s;
    }
    return d;
}

typedef struct {
    double ours, staying; // sums of pinball losses
    int32_t n, within, staying_within, findings, plain;
    double seconds;
} Totals;

static void remember(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    *(SeamWindowResult *)user = *r;
}

// What the channel does from the window's last stretch to the next window's first, in units of its spread; false: not known.
static bool change(const SeamConfig *config, const SeamRecord *r, int32_t second, int32_t c, double *now, double *next) {
    float level[CHANNELS], truth[CHANNELS];
    seam_ahead_level(CHANNELS, STRETCH, r->stream[0].x + ((second + 1) * RATE - STRETCH) * CHANNELS, level);
    seam_ahead_truth(config, 0, r, second, truth);
    *now = level[c] / config->modality[0].std[c];
    *next = truth[c] / config->modality[0].std[c];
    return isfinite(*now) && isfinite(*next);
}

// Staying, with the quantiles of what changed in the training part.
static void spread(const SeamConfig *config, const SeamDataset *data, const SeamPart *part, double quantile[Q]) {
    static double changed[MOST];
    double now, next;
    int32_t n = 0;
    for (int32_t i = 0; i < RECORDS; i++)
        for (int32_t s = 0; s < SECONDS && part[i] == SEAM_PART_TRAIN; s++)
            for (int32_t c = 0; c < CHANNELS; c++)
                if (change(config, &data->record[i], s, c, &now, &next))
                    changed[n++] = next - now;
    ablation_median(n, changed); // sorts
    quantile[0] = changed[n / 20];
    quantile[1] = changed[n / 2];
    quantile[2] = changed[n - 1 - n / 20];
}

static bool measure_record(SeamEvaluator *e, const SeamConfig *config, const SeamRecord *r, const double *spread_of, const SeamWindowResult *last, Totals *t, GError **error) {
    g_autofree SeamVerdict *v = g_new0(SeamVerdict, 1);
    double now, next;
    for (int32_t s = 0; s < SECONDS; s++) {
        if (!seam_evaluate_window(e, r, s, &(uint32_t){1}, 1, error))
            return false;
        for (int32_t c = 0; c < CHANNELS; c++) {
            if (!change(config, r, s, c, &now, &next))
                continue;
            double q[Q], stay[Q];
            for (int32_t k = 0; k < Q; k++) {
                q[k] = last->forecast[0][c][k] / config->modality[0].std[c];
                stay[k] = now + spread_of[k];
            }
            t->n++;
            t->ours += seam_forecast_pinball(q, next);
            t->staying += seam_forecast_pinball(stay, next);
            t->within += q[0] <= next && next <= q[Q - 1];
            t->staying_within += stay[0] <= next && next <= stay[Q - 1];
        }
    }
    if (!seam_evaluate_record(e, r, &(uint32_t){1}, 1, v, error))
        return false;
    double start = ablation_seconds();
    bool ok = seam_evaluate_finding(e, v, error);
    t->seconds += ablation_seconds() - start;
    t->findings++;
    t->plain += v->finding_plain;
    return ok;
}

static void report_signal(Ablation *a, const SignalTotals *s) {
    ablation_key(a, "signal.pinball", s->decoder.pinball);
    ablation_key(a, "signal.interpolation", s->line.pinball);
    ablation_key(a, "signal.pinball_without_sound", s->without_sound.pinball);
    ablation_key(a, "signal.coverage", s->decoder.coverage);
    ablation_finding(a, "Of %d stretches that gaps hide in sensors, the decoder's pinball loss is %.3f (%.3f where it does not hear the sound that tells "
                     "what both channels hide), that of a line over the gap %.3f; %.0f %% lie within its outer quantiles.",
                     (int)s->n, s->decoder.pinball, s->without_sound.pinball, s->line.pinball, 100 * s->decoder.coverage);
    ablation_table(a, "Gaps", "filled by", "pinball loss", "coverage", "RMSE", NULL);
    ablation_row(a, "sddd", "the decoder", s->decoder.pinball, s->decoder.coverage, s->decoder.rmse);
    ablation_row(a, "sddd", "the decoder, without the sound", s->without_sound.pinball, s->without_sound.coverage, s->without_sound.rmse);
    ablation_row(a, "sddd", "a line over the gap", s->line.pinball, s->line.coverage, s->line.rmse);
    ablation_row(a, "sddd", "the window's mean", s->mean.pinball, s->mean.coverage, s->mean.rmse);
}

static int report(const Totals *t, const SignalTotals *signal) {
    Ablation *a = ablation_new("One generative decoder gives reconstructed signals, forecasts and findings in words.");
    double ours = t->ours / t->n, staying = t->staying / t->n, fluent = 1 - (double)t->plain / t->findings, rate = t->findings / t->seconds;
    ablation_key(a, "generate.pinball", ours);
    ablation_key(a, "generate.pinball_staying", staying);
    ablation_key(a, "generate.coverage", (double)t->within / t->n);
    ablation_key(a, "generate.finding_fluent", fluent);
    ablation_key(a, "generate.findings_a_second", rate);
    ablation_finding(a, "On %d values of unseen made-up welds the forecast's pinball loss is %.3f, that of staying as it is %.3f; %.0f %% lie within its outer quantiles (90 %% is right).",
                     t->n, ours, staying, 100.0 * t->within / t->n);
    ablation_finding(a, "Of %d findings %.0f %% are true as the decoder wrote them, the plain sentence stands for the others; %.0f are written a second.", t->findings, 100 * fluent, rate);
    ablation_table(a, "Forecasts", "by", "pinball loss", "coverage", NULL);
    ablation_row(a, "sdd", "the decoder", ours, (double)t->within / t->n);
    ablation_row(a, "sdd", "staying as it is", staying, (double)t->staying_within / t->n);
    report_signal(a, signal);
    return ablation_print(a);
}

static bool measure(SeamRecipe *recipe, SeamDataset *data, Totals *t, GError **error) {
    SeamPart part[RECORDS];
    double quantile[Q];
    seam_dataset_split(data, 0.2, 0.25, 1, part);
    seam_train_measure(&recipe->config, recipe->given_mean, data, part);
    SeamModel *model = seam_train(recipe, &recipe->config, data, part, seam_kernels_cpu(), &(SeamTrainRun){0}, error);
    if (!model)
        return false;
    g_autofree SeamWindowResult *last = g_new0(SeamWindowResult, 1);
    SeamCalibration *calibration = seam_calibration_new();
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_cpu(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = UINT32_MAX, .window = remember, .user = last};
    SeamEvaluator *e = seam_evaluator_new(&options, error);
    bool ok = e != NULL;
    spread(&model->config, data, part, quantile);
    for (int32_t i = 0; ok && i < RECORDS; i++)
        if (part[i] != SEAM_PART_TRAIN)
            ok = measure_record(e, &model->config, &data->record[i], quantile, last, t, error);
    if (e)
        seam_evaluator_free(e);
    seam_calibration_free(calibration);
    seam_model_free(model);
    return ok;
}

int main(void) {
    GError *error = NULL;
    Totals t = {0};
    SignalTotals signal = {0};
    SeamRecipe *recipe = seam_recipe_parse(recipe_text, "generate", &error);
    SeamDataset *data = make_data();
    bool ok = recipe && measure(recipe, data, &t, &error) && signal_measure(&signal, &error);
    seam_dataset_free(data);
    if (recipe)
        seam_recipe_free(recipe);
    if (ok)
        return report(&t, &signal);
    g_printerr("generate: %s\n", error ? error->message : "no memory");
    return 1;
}
