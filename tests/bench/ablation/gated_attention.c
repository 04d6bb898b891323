// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sparse gated attention: the same model trained with and without the penalty on its gates (about two minutes), on streams whose class is whether two marked
// stretches, anywhere among 64, have the same sign: no stretch alone tells, so attention must carry it. Then gates under a threshold are closed, and the
// attention kernel's own time is taken inside of the model.
#include <math.h>
#include <string.h>

#include "core/random.h"
#include "core/train/dataset.h"
#include "core/train/evaluate.h"
#include "core/train/trainer.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/made_up.h"

enum { TRAIN = 4000, VALIDATION = 500, HELD = 1000, RECORDS = TRAIN + VALIDATION + HELD, SAMPLES = 128, PATCH = 2, TIMED = 200 };
static const float thresholds[] = {0, 0.02f, 0.05f, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
static const double kept_on_validation = 0.995;

static const char recipe_text[] =
    "{\"name\":\"gated\",\"config\":{\"dim\":64,\"layers\":2,\"heads\":4,\"experts\":4,\"groups\":1,\"groups_kept\":1,\"top_k\":2,\"expert_width\":64,"
    "\"router_rank\":8,\"mixer\":\"global\",\"fusion_layers\":0,\"fusion_width\":64,\"window\":1,"
    "\"modalities\":[{\"name\":\"stream\",\"front\":\"sensor\",\"channels\":2,\"rate\":128,\"patch\":2,\"time_bins\":1,\"fft\":0,\"bands\":0,\"together\":true,"
    "\"arc_channel\":0,\"mean\":[0,0],\"std\":[1,1]}],"
    "\"classes\":[\"good\",\"defect\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":0}]},"
    "\"augment\":{\"gain\":0,\"sensor_noise\":0,\"channel_dropout\":0,\"modality_dropout\":0,\"alone\":0,\"time_shift\":0},"
    "\"train\":{\"steps\":%d,\"batch\":24,\"lr\":0.003,\"warmup\":50,\"weight_decay\":0.02,\"ema\":0.98,\"good_share\":0.5,\"label_smoothing\":0.02,"
    "\"gate_weight\":%g,\"gate_target\":0.3,\"seed\":1}}";

// Channel 0 marks, channel 1 is the value: noise but at two stretches.
static SeamDataset *make_data(const SeamConfig *config) {
    SeamDataset *d = made_up_data(RECORDS);
    for (int32_t r = 0; r < RECORDS; r++) {
        SeamRandom random = seam_random(11, (uint64_t)r);
        int32_t patches = SAMPLES / PATCH, a = seam_random_below(&random, patches), b = (a + 1 + seam_random_below(&random, patches - 1)) % patches;
        bool first = seam_random_below(&random, 2), second = seam_random_below(&random, 2);
        SeamRecord *record = made_up_record(d, r, 1, config->window, config, first != second);
        float *x = made_up_samples(&record->stream[0], SAMPLES, 2);
        for (int32_t i = 0; i < SAMPLES; i++) {
            bool marked = i / PATCH == a || i / PATCH == b, up = i / PATCH == a ? first : second;
            x[2 * i] = (float)(0.2 * seam_random_normal(&random) + (marked ? 2 : 0));
            x[2 * i + 1] = (float)(0.2 * seam_random_normal(&random) + (marked ? (up ? 2 : -2) : 0));
        }
    }
    return d;
}

// ---- the kernel's time and what it found closed --------------------------------------------------

static struct {
    double seconds;
    int64_t gates, closed;
} spent;

static SeamStatus timed_attention(const SeamAttention *a, float *out, float *lse) {
    double begin = ablation_seconds();
    SeamStatus status = seam_kernels_cpu()->attention(a, out, lse);
    spent.seconds += ablation_seconds() - begin;
    for (int64_t i = 0; a->gate && i < (int64_t)a->n * a->heads; i++) {
        spent.gates++;
        spent.closed += a->gate[i] < a->gate_threshold;
    }
    return status;
}

// ---- training and judging --------------------------------------------------------------------------

static void show(void *user, const SeamTrainProgress *p) {
    if (p->step % 200 == 0)
        g_printerr("%s: step %d of %d, loss %.3f, right %.3f\n", (const char *)user, (int)p->step, (int)p->steps, p->loss, p->accuracy);
}

static SeamPart part[RECORDS];

static SeamModel *train(const char *name, double gate_weight, int steps, SeamDataset **data, GError **error) {
    g_autofree char *text = g_strdup_printf(recipe_text, steps, gate_weight);
    SeamRecipe *recipe = seam_recipe_parse(text, "the recipe", error);
    SeamTrainRun how = {.progress = show, .user = (void *)name};
    if (!recipe)
        return NULL;
    if (!*data)
        *data = make_data(&recipe->config);
    SeamModel *model = seam_train(recipe, &recipe->config, *data, part, seam_kernels_cpu(), &how, error);
    seam_recipe_free(recipe);
    return model;
}

static void set_threshold(SeamModel *model, float threshold) {
    for (int32_t l = 0; l < model->config.layers; l++)
        model->encoder[l].gate_threshold = threshold;
}

// Share of right windows of a part.
static double accuracy(SeamModel *model, float threshold, const SeamDataset *data, SeamPart which, GError **error) {
    SeamCalibration *plain = seam_calibration_new();
    SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_cpu(), .calibration = plain, .weld = SEAM_WELD_OPTIONS_DEFAULT, .tasks = UINT32_MAX};
    SeamEvaluateWhat what = {.part = part, .which = which, .only = UINT32_MAX, .recall = 0.99};
    set_threshold(model, threshold);
    bool ok = seam_evaluate(&options, data, &what, e, error);
    double right = ok ? (double)e->windows_right / e->windows : NAN;
    g_free(e);
    seam_calibration_free(plain);
    return right;
}

typedef struct {
    double attention, encoder, closed; // seconds a window; share of the gates
} Cost;

// The streams one after another, repeated; the least time of three rounds.
static Cost cost_of(SeamModel *model, float threshold, const SeamDataset *data) {
    SeamKernels kernels = *seam_kernels_cpu();
    SeamArena arena;
    Cost best = {INFINITY, INFINITY, 0};
    SeamBatch *batch = seam_batch_new(&model->config, 1, NULL);
    g_assert_true(batch && seam_arena_init(&arena, (size_t)32 << 20));
    SeamRun run = {.kernels = &kernels, .arena = &arena};
    kernels.attention = timed_attention;
    set_threshold(model, threshold);
    for (int round = 0; round < 3; round++) {
        double encoder = 0;
        memset(&spent, 0, sizeof spent);
        for (int32_t i = 0; i < TIMED; i++) {
            SeamTokens tokens;
            seam_arena_release(&arena, 0);
            seam_batch_reset(batch);
            seam_batch_add(batch, &data->record[RECORDS - 1 - i], 0, UINT32_MAX, 0, NULL, NULL);
            g_assert_cmpint(seam_model_embed_windows(model, &run, 0, 1, (const SeamSensorWindow *)(const void *)batch->part[0].sensor->data, &tokens, NULL), ==,
                            SEAM_OK);
            double begin = ablation_seconds();
            g_assert_cmpint(seam_model_encode(model, &run, 0, model->config.layers - 1, &tokens, NULL, NULL), ==, SEAM_OK);
            encoder += ablation_seconds() - begin;
        }
        best.attention = fmin(best.attention, spent.seconds / TIMED);
        best.encoder = fmin(best.encoder, encoder / TIMED);
        best.closed = (double)spent.closed / (double)spent.gates;
    }
    seam_batch_free(batch);
    seam_arena_clear(&arena);
    return best;
}

// ---- the kernel alone, at other lengths ---------------------------------------------------------------

// Seconds of the kernel for one sequence of n tokens, 6 heads of 32, with a share of the gates closed at random.
static double kernel_seconds(int32_t n, double closed) {
    enum { HEADS = 6, WIDTH = 32 };
    size_t size = (size_t)n * HEADS * WIDTH;
    SeamRandom random = seam_random(3, 3);
    g_autofree float *qkv = g_new(float, 3 * size), *gate = g_new(float, (size_t)n * HEADS), *out = g_new(float, size);
    int32_t start[] = {0, n};
    for (size_t i = 0; i < 3 * size; i++)
        qkv[i] = (float)seam_random_normal(&random);
    for (size_t i = 0; i < (size_t)n * HEADS; i++)
        gate[i] = seam_random_uniform(&random) < closed ? 0 : 1;
    SeamAttention a = {.q = qkv, .k = qkv + HEADS * WIDTH, .v = qkv + 2 * HEADS * WIDTH, .ld = 3 * HEADS * WIDTH, .gate = gate, .gate_threshold = 0.5f,
                       .scale = 0.18f, .n = n, .heads = HEADS, .head_dim = WIDTH, .seq_start = start, .seqs = 1};
    double least = INFINITY;
    for (int r = 0; r < 12; r++) {
        double begin = ablation_seconds();
        g_assert_cmpint(seam_kernels_cpu()->attention(&a, out, NULL), ==, SEAM_OK);
        least = fmin(least, ablation_seconds() - begin);
    }
    return least;
}

static void kernel_table(Ablation *a) {
    static const int32_t lengths[] = {64, 128, 256, 512, 1024, 2048};
    double x[G_N_ELEMENTS(lengths)], y[2][G_N_ELEMENTS(lengths)];
    static const double closed[] = {0.5, 0.6};
    ablation_table(a, "Time of the attention kernel that closed gates save (one sequence, 6 heads of 32, gates closed at random)", "tokens", "all open, us",
                   "50 % closed, us", "60 % closed, us", "saved at 50 %", "saved at 60 %", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        double open = kernel_seconds(lengths[i], 0), half = kernel_seconds(lengths[i], closed[0]), most = kernel_seconds(lengths[i], closed[1]);
        x[i] = lengths[i];
        y[0][i] = 1 - half / open;
        y[1][i] = 1 - most / open;
        ablation_row(a, "dddddd", x[i], 1e6 * open, 1e6 * half, 1e6 * most, y[0][i], y[1][i]);
    }
    ablation_plot(a, "Share of the attention kernel's time saved", "tokens", "share", false);
    ablation_series(a, "50 % closed", G_N_ELEMENTS(lengths), x, y[0]);
    ablation_series(a, "60 % closed", G_N_ELEMENTS(lengths), x, y[1]);
}

// ---- all of it ---------------------------------------------------------------------------------------

static int report(SeamModel *plain, SeamModel *sparse, const SeamDataset *data, GError **error) {
    Ablation *a = ablation_new("Sparse gated attention: 40 % less compute at 95 % of the quality.");
    double twin = accuracy(plain, 0, data, SEAM_PART_HELD, error), soft = accuracy(sparse, 0, data, SEAM_PART_VALIDATION, error);
    Cost open = cost_of(plain, 0, data), chosen = {0};
    double quality = 0;
    float at = 0;
    ablation_table(a, "The model trained with the penalty, by threshold", "threshold", "gates closed", "attention, us a window", "encoder, us a window",
                   "right on validation, %", "right on test, %", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(thresholds); i++) {
        Cost cost = cost_of(sparse, thresholds[i], data);
        double validated = accuracy(sparse, thresholds[i], data, SEAM_PART_VALIDATION, error), held = accuracy(sparse, thresholds[i], data, SEAM_PART_HELD, error);
        ablation_row(a, "dddddd", (double)thresholds[i], cost.closed, 1e6 * cost.attention, 1e6 * cost.encoder, 100 * validated, 100 * held);
        if (validated >= kept_on_validation * soft) {
            chosen = cost;
            quality = held;
            at = thresholds[i];
        }
    }
    ablation_table(a, "The twin without the penalty", "attention, us a window", "encoder, us a window", "right on test, %", NULL);
    ablation_row(a, "ddd", 1e6 * open.attention, 1e6 * open.encoder, 100 * twin);
    ablation_key(a, "gated_attention.time_saved", 1 - chosen.attention / open.attention);
    ablation_key(a, "gated_attention.quality_kept", quality / twin);
    ablation_key(a, "gated_attention.gates_closed", chosen.closed);
    ablation_finding(a, "With the penalty and gates under %g closed (the highest threshold that keeps %.1f %% of validation), %.0f %% of the (head, token) gates are closed and the "
                     "attention kernel takes %.0f %% less time; %.1f %% of test windows are right against %.1f %% of the twin without the penalty, %.1f %% of its quality. "
                     "The projections around it stay: the whole encoder takes %.2f of its time.", (double)at, 100 * kept_on_validation, 100 * chosen.closed,
                     100 * (1 - chosen.attention / open.attention), 100 * quality, 100 * twin, 100 * quality / twin, chosen.encoder / open.encoder);
    kernel_table(a);
    return ablation_print(a);
}

int main(int argc, char **argv) {
    GError *error = NULL;
    SeamDataset *data = NULL;
    int steps = argc > 1 ? atoi(argv[1]) : 2000;
    for (int32_t i = 0; i < RECORDS; i++)
        part[i] = i < TRAIN ? SEAM_PART_TRAIN : i < TRAIN + VALIDATION ? SEAM_PART_VALIDATION : SEAM_PART_HELD;
    SeamModel *plain = train("without penalty", 0, steps, &data, &error), *sparse = plain ? train("with penalty", 1, steps, &data, &error) : NULL;
    int status = sparse ? report(plain, sparse, data, &error) : 1;
    if (error)
        g_printerr("gated_attention: %s\n", error->message);
    seam_model_free(plain);
    seam_model_free(sparse);
    seam_dataset_free(data);
    return status;
}
