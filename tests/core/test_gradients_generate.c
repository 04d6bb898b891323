// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The generative heads against finite differences, and what they promise besides.
#include <math.h>
#include <string.h>

#include "core/layers/generate_signal.h"
#include "core/layers/generate_text.h"
#include "tests/core/differences.h"

enum { DIM = 8, SENSORS = 1, CHANNELS = 3, WINDOWS = 3, TOKENS = 7, QUANTILES = SEAM_FORECAST_QUANTILES };

typedef struct {
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    float x[TOKENS * DIM], dx[TOKENS * DIM];
    int32_t start[WINDOWS + 1];
    SeamPlace place[TOKENS];
    SeamTokens tokens;
} Fixture;

// The second window is empty.
static void setup(Fixture *f) {
    memset(f, 0, sizeof *f);
    SeamConfig *c = &f->config;
    c->dim = DIM;
    c->window = 2;
    c->n_modalities = 2;
    g_strlcpy(c->modality[0].name, "text", SEAM_NAME_LENGTH);
    c->modality[SENSORS] = (SeamModality){.name = "sensors", .front = SEAM_FRONT_SENSOR, .channels = CHANNELS, .mean = {1, 0, -1}, .std = {2, 1, 0.5f}};
    f->params = seam_params_new();
    g_assert_true(seam_arena_init(&f->arena, 1 << 22));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    f->random = seam_random(7, 1);
    fill(&f->random, f->x, G_N_ELEMENTS(f->x), 1);
    memcpy(f->start, (const int32_t[]){0, 4, 4, TOKENS}, sizeof f->start);
    for (int32_t i = 0; i < TOKENS; i++)
        f->place[i].modality = SENSORS;
    f->tokens = (SeamTokens){.n = TOKENS, .dim = DIM, .seqs = WINDOWS, .x = f->x, .seq_start = f->start, .place = f->place};
}

static void teardown(Fixture *f) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
}

// ---- forecast --------------------------------------------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamForecast layer;
    float truth[WINDOWS * CHANNELS];
} ForecastCase;

static double forecast_loss(void *data, bool backward) {
    ForecastCase *c = data;
    SeamForecastSaved saved;
    float *logits, dlogits[WINDOWS * CHANNELS * QUANTILES];
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_forecast_forward(&c->layer, &c->f.run, &c->f.tokens, &logits, backward ? &saved : NULL));
    double loss = seam_forecast_loss(&c->layer, WINDOWS, logits, c->truth, 1, dlogits);
    if (backward)
        assert_ok(seam_forecast_backward(&c->layer, &c->f.run, &saved, dlogits, c->f.dx));
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void setup_forecast(ForecastCase *c, int32_t rank) {
    setup(&c->f);
    c->f.config.task[0] = (SeamTask){.name = "next", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_FORECAST, .of = "sensors", .horizon = 1, .rank = rank};
    seam_forecast_declare(&c->layer, c->f.params, &c->f.config, 0);
    draw(c->f.params, &c->f.random);
    for (int32_t i = 0; i < WINDOWS * CHANNELS; i++) // far from the kinks
        c->truth[i] = c->layer.mean[i % CHANNELS] + c->layer.std[i % CHANNELS] * (i % 2 ? 6 : -6);
    c->truth[2] = NAN;
}

static void test_forecast(const void *data) {
    ForecastCase c;
    setup_forecast(&c, GPOINTER_TO_INT(data));
    check_params(c.f.params, 60, forecast_loss, &c);
    check_values("x", c.f.x, c.f.dx, TOKENS * DIM, TOKENS * DIM, forecast_loss, &c);
    g_assert_cmpuint(c.f.arena.peak, <=, seam_forecast_bytes(&c.layer, TOKENS, WINDOWS, true));
    c.f.arena.peak = 0;
    forecast_loss(&c, false);
    g_assert_cmpuint(c.f.arena.peak, <=, seam_forecast_bytes(&c.layer, TOKENS, WINDOWS, false));
    teardown(&c.f);
}

// A token that stands for two tells what the two would have told.
static void test_forecast_merged(void) {
    ForecastCase c;
    float *apart, *merged, size[TOKENS];
    setup_forecast(&c, 2);
    memcpy(c.f.x + DIM, c.f.x, DIM * sizeof *c.f.x); // the first two tokens are alike
    assert_ok(seam_forecast_forward(&c.layer, &c.f.run, &c.f.tokens, &apart, NULL));
    for (int32_t i = 0; i < TOKENS; i++)
        size[i] = i == 1 ? 2 : 1;
    const int32_t start[WINDOWS + 1] = {0, 3, 3, TOKENS - 1};
    SeamTokens one = c.f.tokens;
    one.n = TOKENS - 1;
    one.x = c.f.x + DIM;
    one.size = size + 1;
    memcpy(c.f.start, start, sizeof start);
    assert_ok(seam_forecast_forward(&c.layer, &c.f.run, &one, &merged, NULL));
    for (int32_t i = 0; i < WINDOWS * CHANNELS * QUANTILES; i++)
        g_assert_cmpfloat_with_epsilon(merged[i], apart[i], 1e-4);
    teardown(&c.f);
}

// By hand: 0.05, 0.5 and 0.95 of the distance above a quantile, the rest of it below; what is not known does not count.
static void test_pinball(void) {
    ForecastCase c;
    float dlogits[WINDOWS * CHANNELS * QUANTILES], logits[WINDOWS * CHANNELS * QUANTILES] = {0}, truth[WINDOWS * CHANNELS];
    const double quantile[QUANTILES] = {-1, 0, 2};
    double out[QUANTILES];
    g_assert_cmpfloat_with_epsilon(seam_forecast_pinball(quantile, 1), (0.05 * 2 + 0.5 * 1 + 0.05 * 1) / 3, 1e-12);
    g_assert_cmpfloat_with_epsilon(seam_forecast_pinball(quantile, -3), (0.95 * 2 + 0.5 * 3 + 0.05 * 5) / 3, 1e-12);
    setup_forecast(&c, 0);
    for (int32_t i = 0; i < WINDOWS * CHANNELS; i++)
        truth[i] = NAN;
    g_assert_cmpfloat(seam_forecast_loss(&c.layer, WINDOWS, logits, truth, 1, dlogits), ==, 0);
    truth[3] = 3; // of the first channel, whose mean is 1 and spread 2: 1
    double loss = seam_forecast_loss(&c.layer, WINDOWS, logits, truth, 1, dlogits), half = log(2);
    g_assert_cmpfloat_with_epsilon(loss, (0.05 * (1 + half) + 0.5 + 0.95 * (1 - half)) / 3, 1e-6);
    for (int32_t i = 0; i < WINDOWS * CHANNELS * QUANTILES; i++)
        g_assert_true((dlogits[i] != 0) == (i / QUANTILES == 3));
    for (int32_t i = 0; i < 100; i++) {
        float z[QUANTILES] = {(float)seam_random_normal(&c.f.random), (float)(40 * seam_random_normal(&c.f.random)), (float)(40 * seam_random_normal(&c.f.random))};
        seam_forecast_quantiles(z, out);
        g_assert_true(out[0] <= out[1] && out[1] <= out[2]);
    }
    teardown(&c.f);
}

// ---- signal ----------------------------------------------------------------------------------------------------------------------

enum { QUERIES = 6 };

typedef struct {
    Fixture f;
    SeamSignal layer;
    SeamSignalQuery query[QUERIES];
    float truth[QUERIES], size[TOKENS];
} SignalCase;

static double signal_loss(void *data, bool backward) {
    SignalCase *c = data;
    SeamSignalSaved saved;
    float *logits, dlogits[QUERIES * QUANTILES];
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_signal_forward(&c->layer, &c->f.run, &c->f.tokens, QUERIES, c->query, &logits, backward ? &saved : NULL));
    double loss = seam_signal_loss(&c->layer, QUERIES, c->query, logits, c->truth, 1, dlogits);
    if (backward)
        assert_ok(seam_signal_backward(&c->layer, &c->f.run, &saved, dlogits, c->f.dx));
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

// Four stretches a window of 2 s; queries in all windows, the empty one too.
static void setup_signal(SignalCase *c, int32_t rank) {
    static const SeamSignalQuery query[QUERIES] = {{0, 0, 0}, {0, 0, 2}, {0, 3, 0}, {1, 1, 1}, {2, 2, 2}, {2, 3, 1}};
    setup(&c->f);
    c->f.config.modality[SENSORS].sensor = (SeamSensorConfig){.rate = 8, .patch = 4};
    c->f.config.task[0] = (SeamTask){.name = "fill", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_SIGNAL, .of = "sensors", .mask = 0.25f, .rank = rank};
    seam_signal_declare(&c->layer, c->f.params, &c->f.config, 0);
    draw(c->f.params, &c->f.random);
    memcpy(c->query, query, sizeof query);
    for (int32_t i = 0; i < TOKENS; i++)
        c->f.place[i].t = 0.27f * (float)i;
    for (int32_t k = 0; k < QUERIES; k++) { // far from the kinks
        int32_t channel = query[k].channel;
        c->truth[k] = c->layer.mean[channel] + c->layer.std[channel] * (k % 2 ? 9 : -9);
    }
}

static void test_signal(const void *data) {
    SignalCase c;
    setup_signal(&c, GPOINTER_TO_INT(data));
    g_assert_cmpint(c.layer.stretches, ==, 4);
    check_params(c.f.params, 60, signal_loss, &c);
    check_values("x", c.f.x, c.f.dx, TOKENS * DIM, TOKENS * DIM, signal_loss, &c);
    for (int32_t i = 0; i < TOKENS; i++)
        c.size[i] = 1 + (float)(i % 3);
    c.f.tokens.size = c.size;
    check_params(c.f.params, 60, signal_loss, &c);
    teardown(&c.f);
}

// What a decision of one window needs was planned for, and leaves nothing behind.
static void test_signal_bytes(void) {
    SignalCase c;
    SeamSignalQuery *query;
    float *logits;
    int32_t n;
    setup_signal(&c, 2);
    c.f.place[0] = (SeamPlace){.modality = SENSORS, .domain = SEAM_DOMAIN_TIME, .t = 0.75f, .channel = 1}; // one stretch of one channel is there
    for (int32_t i = 1; i < TOKENS; i++)
        c.f.place[i].modality = 0;
    SeamTokens one = {.n = TOKENS, .dim = DIM, .seqs = 1, .x = c.f.x, .seq_start = (int32_t[]){0, TOKENS}, .place = c.f.place};
    query = SEAM_NEW(&c.f.arena, SeamSignalQuery, 4 * CHANNELS);
    assert_ok(seam_signal_missing(&c.layer, &c.f.run, &one, 0, query, &n));
    g_assert_cmpint(n, ==, 4 * CHANNELS - 1);
    assert_ok(seam_signal_forward(&c.layer, &c.f.run, &one, n, query, &logits, NULL));
    g_assert_cmpuint(c.f.arena.peak, <=, seam_signal_bytes(&c.layer, TOKENS));
    teardown(&c.f);
}

// A token that stands for two tells what the two would have told.
static void test_signal_merged(void) {
    SignalCase c;
    float *apart, *merged;
    setup_signal(&c, 2);
    memcpy(c.f.x + DIM, c.f.x, DIM * sizeof *c.f.x); // the first two tokens are alike
    c.f.place[1].t = c.f.place[0].t;
    assert_ok(seam_signal_forward(&c.layer, &c.f.run, &c.f.tokens, QUERIES, c.query, &apart, NULL));
    for (int32_t i = 0; i < TOKENS; i++)
        c.size[i] = i == 1 ? 2 : 1;
    SeamTokens one = c.f.tokens;
    one.n = TOKENS - 1;
    one.x = c.f.x + DIM;
    one.size = c.size + 1;
    one.place = c.f.place + 1;
    memcpy(c.f.start, (const int32_t[]){0, 3, 3, TOKENS - 1}, sizeof c.f.start);
    assert_ok(seam_signal_forward(&c.layer, &c.f.run, &one, QUERIES, c.query, &merged, NULL));
    for (int32_t i = 0; i < QUERIES * QUANTILES; i++)
        g_assert_cmpfloat_with_epsilon(merged[i], apart[i], 1e-4);
    teardown(&c.f);
}

// ---- text ------------------------------------------------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamText layer;
    SeamFacts facts[WINDOWS];
    char sentence[WINDOWS][SEAM_MAX_FINDING];
} TextCase;

static double text_loss(void *data, bool backward) {
    TextCase *c = data;
    double loss;
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_text_loss(&c->layer, &c->f.run, &c->f.tokens, c->facts, (const char(*)[SEAM_MAX_FINDING])c->sentence, 1, &loss, backward ? c->f.dx : NULL));
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void setup_text(TextCase *c, int32_t depth) {
    memset(c, 0, sizeof *c);
    setup(&c->f);
    c->f.config.n_classes = 2;
    c->f.config.task[0] = (SeamTask){.name = "say", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_TEXT, .depth = depth, .width = 16, .length = 64, .rank = 2};
    seam_text_declare(&c->layer, c->f.params, &c->f.config, 0);
    c->facts[0] = (SeamFacts){.decision = SEAM_REJECT, .class_index = 1, .sure = 83, .place = 40, .modality = SENSORS};
    c->facts[1] = (SeamFacts){.decision = SEAM_REFER, .class_index = 0, .sure = -1, .place = -1, .modality = -1};
    c->facts[2] = (SeamFacts){.decision = SEAM_PASS, .class_index = 0, .sure = 99, .place = -1, .modality = -1};
    g_strlcpy(c->sentence[0], "bad 83", SEAM_MAX_FINDING); // the empty window teaches nothing
    g_strlcpy(c->sentence[2], "good", SEAM_MAX_FINDING);
}

static void test_text(const void *data) {
    TextCase c;
    setup_text(&c, GPOINTER_TO_INT(data));
    draw(c.f.params, &c.f.random);
    check_params(c.f.params, 40, text_loss, &c);
    check_values("x", c.f.x, c.f.dx, TOKENS * DIM, TOKENS * DIM, text_loss, &c);
    g_strlcpy(c.sentence[1], "who knows", SEAM_MAX_FINDING);
    check_params(c.f.params, 40, text_loss, &c);
    memset(c.sentence, 0, sizeof c.sentence);
    g_assert_cmpfloat(text_loss(&c, true), ==, 0);
    teardown(&c.f);
}

// Steps until both sentences are known by heart; then what is written one row at a time is what was learnt all at once.
static void test_writes(void) {
    TextCase c;
    float *said;
    const uint32_t *present;
    char text[SEAM_MAX_FINDING];
    double loss = INFINITY;
    setup_text(&c, 2);
    draw(c.f.params, &c.f.random);
    for (int32_t step = 0; step < 600 && loss > 0.02; step++) {
        seam_params_zero_grad(c.f.params);
        loss = text_loss(&c, true);
        for (guint i = 0; i < c.f.params->tensors->len; i++) {
            SeamTensor *t = g_ptr_array_index(c.f.params->tensors, i);
            for (size_t j = 0; j < t->size; j++)
                t->data[j] -= 0.1f * t->grad[j];
        }
    }
    g_assert_cmpfloat(loss, <, 0.1);
    assert_ok(seam_text_listen(&c.layer, &c.f.run, &c.f.tokens, &said, &present));
    for (int32_t w = 0; w < WINDOWS; w += 2) {
        size_t before = seam_arena_mark(&c.f.arena);
        assert_ok(seam_text_write(&c.layer, &c.f.run, said + w * 3 * 16, present[w], &c.facts[w], text));
        g_assert_cmpstr(text, ==, c.sentence[w]);
        g_assert_cmpuint(seam_arena_mark(&c.f.arena), ==, before);
    }
    teardown(&c.f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/gradients-generate/forecast", GINT_TO_POINTER(2), test_forecast);
    g_test_add_data_func("/gradients-generate/forecast-without-adapter", NULL, test_forecast);
    g_test_add_func("/gradients-generate/forecast-merged", test_forecast_merged);
    g_test_add_func("/gradients-generate/pinball", test_pinball);
    g_test_add_data_func("/gradients-generate/signal", GINT_TO_POINTER(2), test_signal);
    g_test_add_data_func("/gradients-generate/signal-without-adapter", NULL, test_signal);
    g_test_add_func("/gradients-generate/signal-bytes", test_signal_bytes);
    g_test_add_func("/gradients-generate/signal-merged", test_signal_merged);
    g_test_add_data_func("/gradients-generate/text", GINT_TO_POINTER(1), test_text);
    g_test_add_data_func("/gradients-generate/text-deep", GINT_TO_POINTER(2), test_text);
    g_test_add_func("/gradients-generate/text-writes", test_writes);
    return g_test_run();
}
