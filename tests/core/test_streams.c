// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Windows that follow each other ("chunks"): what is drawn, gradients through scan and memory bank from window to window, what training learns by them
// that one window cannot tell, and that files are judged with all that a pipeline would carry.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/train/draw.h"
#include "core/train/evaluate.h"
#include "core/train/pass.h"
#include "core/train/past.h"
#include "core/train/split.h"
#include "core/train/trainer.h"
#include "tests/core/differences.h"
#include "tests/made_up.h"

enum { RECORDS = 48, SECONDS = 4, RATE = 8, CHUNKS = 4, MOST_TOKENS = 64, WIDTH = 8 };

static const char recipe_text[] =
    "{\"name\":\"tiny\",\"config\":{\"dim\":%d,\"layers\":1,\"heads\":2,\"experts\":%d,\"groups\":1,\"groups_kept\":1,\"top_k\":1,\"expert_width\":16,"
    "\"router_rank\":4,\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":16,\"window\":1,%s\"modalities\":["
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":1,\"rate\":8,\"patch\":4,\"time_bins\":2,\"fft\":0,\"bands\":0,\"arc_channel\":0,"
    "\"mean\":[0],\"std\":[1]}%s],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":0}]},"
    "\"augment\":{\"gain\":0,\"sensor_noise\":0,\"time_shift\":0,\"channel_dropout\":0,\"modality_dropout\":0,\"alone\":0},"
    "\"train\":{\"steps\":%d,\"batch\":8,\"chunks\":%d,\"lr\":0.01,\"warmup\":5,\"ema\":0.9,\"seed\":3}}";
static const char bank[] = "\"mixer\":\"global\",\"bank_slots\":8,\"bank_write\":1,", scan[] = "\"mixer\":\"scan\",\"scan_state\":8,",
                  both[] = "\"mixer\":\"scan\",\"scan_state\":3,\"bank_slots\":2,\"bank_write\":2,", neither[] = "\"mixer\":\"global\",";
static const char log_text[] = ",{\"name\":\"log\",\"front\":\"text\",\"buckets\":8,\"ngram_min\":3,\"ngram_max\":3,\"max_tokens\":2}";

static SeamRecipe *parse(const char *options, const char *modality, int32_t dim, int32_t experts, int32_t steps, int32_t chunks, GError **error) {
    g_autofree char *text = g_strdup_printf(recipe_text, dim, experts, options, modality, steps, chunks);
    return seam_recipe_parse(text, "tiny", error);
}

// The first window tells the class, by its sign; the others are noise.
static SeamDataset *make_data(const SeamConfig *config) {
    SeamDataset *d = made_up_data(RECORDS);
    for (int32_t i = 0; i < RECORDS; i++) {
        SeamRandom random = seam_random(5, (uint64_t)i);
        SeamRecord *r = made_up_record(d, i, 1, SECONDS, config, i % 2);
        float *x = made_up_samples(&r->stream[0], SECONDS * RATE, 1);
        for (int32_t k = 0; k < SECONDS * RATE; k++)
            x[k] = (float)(0.3 * seam_random_normal(&random) + (k < RATE ? (i % 2 ? -3 : 3) : 0));
    }
    return d;
}

typedef struct {
    SeamRecipe *recipe;
    SeamDataset *data;
    SeamPart part[RECORDS];
    SeamModel *model;
    SeamCalibration *calibration;
    int32_t windows, right;           // after the first one of a recording
    const SeamRecord *record;
    SeamTokens seen[SECONDS];         // copies, by window
    int32_t n_seen;
    SeamEffort effort;
} Fixture;

static void setup(Fixture *f, const char *options, int32_t steps, int32_t chunks) {
    GError *error = NULL;
    memset(f, 0, sizeof *f);
    f->recipe = parse(options, "", 16, 2, steps, chunks, &error);
    g_assert_no_error(error);
    f->data = make_data(&f->recipe->config);
    f->calibration = seam_calibration_new();
    seam_dataset_split(f->data, 0.25, 0.25, 1, f->part);
    f->model = seam_train(f->recipe, &f->recipe->config, f->data, f->part, seam_kernels_cpu(), &(SeamTrainRun){0}, &error);
    g_assert_no_error(error);
}

static void forget_seen(Fixture *f) {
    for (int32_t i = 0; i < f->n_seen; i++)
        g_free(f->seen[i].x);
    f->n_seen = 0;
}

static void teardown(Fixture *f) {
    forget_seen(f);
    seam_calibration_free(f->calibration);
    seam_model_free(f->model);
    seam_dataset_free(f->data);
    seam_recipe_free(f->recipe);
}

static void see(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    Fixture *f = user;
    bool defect = r->probability[1] > r->probability[0];
    if (r->time >= 1) {
        f->windows++;
        f->right += defect == f->record->defect;
    }
    g_assert_cmpint(f->n_seen, <, SECONDS);
    f->seen[f->n_seen] = *fused;
    f->seen[f->n_seen++].x = g_memdup2(fused->x, (gsize)fused->n * (gsize)fused->dim * sizeof(float));
}

static SeamEvaluator *open_evaluator(Fixture *f) {
    GError *error = NULL;
    SeamEvaluateOptions options = {.model = f->model, .kernels = seam_kernels_cpu(), .calibration = f->calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .effort = f->effort, .tasks = UINT32_MAX, .window = see, .user = f};
    SeamEvaluator *e = seam_evaluator_new(&options, &error);
    g_assert_no_error(error);
    return e;
}

// Share of the validation part's windows, but each recording's first, that are named rightly; alone: each as if a stream began with it.
static double judge(Fixture *f, bool alone) {
    SeamEvaluator *e = open_evaluator(f);
    g_autofree SeamVerdict *verdict = g_new0(SeamVerdict, 1);
    GError *error = NULL;
    f->windows = f->right = 0;
    for (int32_t i = 0; i < RECORDS; i++) {
        f->record = &f->data->record[i];
        forget_seen(f);
        if (f->part[i] == SEAM_PART_TRAIN)
            continue;
        if (!alone)
            seam_evaluate_record(e, f->record, &(uint32_t){1}, 1, verdict, &error);
        for (int32_t k = 1; alone && k < SECONDS; k++)
            seam_evaluate_window(e, f->record, k, &(uint32_t){1}, 1, &error);
        g_assert_no_error(error);
    }
    seam_evaluator_free(e);
    return (double)f->right / f->windows;
}

// ---- learning ----------------------------------------------------------------------------------------------------------------------

static void test_learns(const void *options) {
    Fixture f;
    setup(&f, options, 300, CHUNKS);
    double carried = judge(&f, false), alone = judge(&f, true);
    g_test_message("%.2f of the windows right, %.2f each alone", carried, alone);
    g_assert_cmpfloat(carried, >, 0.95);
    g_assert_cmpfloat(alone, <, 0.75);
    teardown(&f);
}

// The same without anything to carry: half of the windows are right.
static void test_needs_the_past(void) {
    Fixture f;
    setup(&f, neither, 300, 1);
    g_assert_cmpfloat(judge(&f, false), <, 0.75);
    teardown(&f);
}

// ---- judging files -----------------------------------------------------------------------------------------------------------------

// The elements' way: each window by itself through the stages, with the state of the stream.
static void run_as_elements(const Fixture *f, const SeamRecord *record, SeamTokens *out, SeamArena *arena) {
    SeamRun run = {.kernels = seam_kernels_cpu(), .arena = arena, .effort = f->effort};
    SeamCarry carry;
    SeamBank memory;
    g_assert_true(seam_carry_init(&carry, &f->model->config, NULL));
    g_assert_true(seam_bank_init(&memory, &f->model->config));
    for (int32_t k = 0; k < SECONDS; k++) {
        SeamSensorWindow w = {.time = k, .samples = RATE, .valid = RATE, .x = record->stream[0].x + k * RATE};
        SeamTokens tokens;
        double time = k;
        assert_ok(seam_model_embed_windows(f->model, &run, 0, 1, &w, &tokens, NULL));
        assert_ok(seam_model_encode_stream(f->model, &run, 0, f->model->config.layers - 1, &tokens, NULL, &carry));
        assert_ok(seam_model_fuse(f->model, &run, &tokens, 1, &(int32_t){0}, &time, &out[k], NULL));
        assert_ok(seam_model_remember(f->model, &run, &memory, &out[k], NULL));
    }
    seam_bank_clear(&memory);
    seam_carry_clear(&carry);
}

static void assert_same_tokens(const SeamTokens *a, const SeamTokens *b) {
    g_assert_cmpint(a->n, ==, b->n);
    g_assert_cmpmem(a->x, (size_t)a->n * a->dim * sizeof(float), b->x, (size_t)b->n * b->dim * sizeof(float));
}

// A recording is judged as a pipeline would, with tokens merged (data: the share) or not; where its arc begins later, the windows before it are heard all the same.
static void test_as_the_pipeline(const void *data) {
    Fixture f;
    SeamArena arena;
    SeamTokens want[SECONDS];
    g_autofree SeamVerdict *verdict = g_new0(SeamVerdict, 2);
    GError *error = NULL;
    setup(&f, both, 0, CHUNKS);
    f.effort.merge = (float)GPOINTER_TO_INT(data) / 100;
    SeamRandom random = seam_random(1, 1);
    draw(f.model->params, &random);
    SeamRecord *r = &f.data->record[0];
    f.record = r;
    g_assert_true(seam_arena_init(&arena, 1 << 20));
    run_as_elements(&f, r, want, &arena);
    SeamEvaluator *e = open_evaluator(&f);
    for (int32_t first = 0; first < 3; first += 2) {
        r->arc_start = first;
        g_assert_true(seam_evaluate_record(e, r, &(uint32_t){1}, 1, verdict, &error));
        g_assert_cmpint(f.n_seen, ==, SECONDS - first);
        for (int32_t k = first; k < SECONDS; k++)
            assert_same_tokens(&f.seen[k - first], &want[k]);
        forget_seen(&f);
    }
    g_assert_true(seam_evaluate_window(e, r, 2, &(uint32_t){1}, 1, &error)); // by itself it is another
    g_assert_true(memcmp(f.seen[0].x, want[2].x, (size_t)want[2].n * 16 * sizeof(float)) != 0);
    forget_seen(&f);
    g_assert_true(seam_evaluate_record(e, r, (uint32_t[]){0, 1}, 2, verdict, &error)); // another number of sets; nothing is left of what was before
    assert_same_tokens(&f.seen[0], &want[2]);
    seam_evaluator_free(e);
    seam_arena_clear(&arena);
    teardown(&f);
}

// ---- drawing -----------------------------------------------------------------------------------------------------------------------

static void test_draws(void) {
    Fixture f;
    GError *error = NULL;
    SeamDraw d;
    bool from_start = false, later = false;
    setup(&f, bank, 0, 3);
    SeamBatch *batch = seam_batch_new(&f.recipe->config, 8 * 3, &error);
    g_assert_no_error(error);
    f.data->record[1].arc_end = 1.75; // one window and no second
    g_assert_true(seam_draw_init(&d, f.recipe, &f.recipe->config, f.data, f.part, &error));
    for (uint64_t lot = 0; lot < 40; lot++) {
        seam_draw_fill(&d, 8 * lot, batch);
        for (int32_t w = 0; w < batch->windows; w++) {
            bool follows = w > 0 && batch->stream[w] == batch->stream[w - 1];
            if (follows)
                g_assert_cmpfloat_with_epsilon(batch->time[w], batch->time[w - 1] + 1, 1e-9);
            else
                g_assert_cmpint(batch->stream[w], ==, w > 0 ? batch->stream[w - 1] + 1 : 0);
            from_start |= !follows && batch->time[w] < 0.5;
            later |= !follows && batch->time[w] > 0.7;
            g_assert_cmpfloat(batch->time[w], <=, SECONDS - 1 + 0.125);
        }
        g_assert_cmpint(batch->stream[batch->windows - 1], ==, 7);
    }
    g_assert_true(from_start && later);
    seam_draw_clear(&d);
    for (int32_t i = 0; i < RECORDS; i++)
        f.data->record[i].arc_end = 1;
    g_assert_false(seam_draw_init(&d, f.recipe, &f.recipe->config, f.data, f.part, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_assert_nonnull(strstr(error->message, "memory: \"chunks\" is 3, but no recording of the training part is longer than 1 s"));
    g_clear_error(&error);
    seam_draw_clear(&d);
    seam_batch_free(batch);
    teardown(&f);
}

static void refuses(const char *options, int32_t chunks, const char *message) {
    GError *error = NULL;
    g_assert_null(parse(options, "", 16, 2, 10, chunks, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    if (!strstr(error->message, message))
        g_error("%s: it does not say %s", error->message, message);
    g_clear_error(&error);
}

static void test_refused(void) {
    refuses(bank, 1, "tiny: \"bank_slots\" is 8, but \"chunks\" is 1");
    refuses(neither, 4, "tiny: \"chunks\" is 4, but the model carries nothing");
    refuses("\"windows\":3,\"mixer\":\"scan\",\"scan_state\":8,", 4, "tiny: \"chunks\" is 4, must be at most \"windows\" (3)");
}

// ---- gradients ---------------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamBatch *batch;
    float weight[MOST_TOKENS * WIDTH];
} Chain;

// Texts of one chunk and of several, two of them in one window; one window has none.
static void add_log(SeamRecord *r) {
    static const SeamTimedText lines[] = {{0.25, (char *)"arc on now wire slips"}, {0.5, (char *)"wire"}, {1.5, (char *)"gas low at the nozzle"},
                                          {3.25, (char *)"purge on and off"}};
    r->stream[1].texts = G_N_ELEMENTS(lines);
    r->stream[1].text = g_memdup2(lines, sizeof lines);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        r->stream[1].text[i].text = g_strdup(lines[i].text);
}

// Two streams, of three windows and of two, and a window that is alone.
static double loss_of(void *data, bool backward) {
    Chain *c = data;
    SeamPass pass;
    double balance = 0;
    size_t mark = seam_arena_mark(&c->arena);
    assert_ok(seam_pass_encode(c->model, &c->run, c->batch, true, NULL, &pass));
    assert_ok(seam_pass_fuse(c->model, &c->run, c->batch, true, &pass));
    size_t size = (size_t)pass.fused.n * WIDTH;
    g_assert_cmpuint(size, <=, G_N_ELEMENTS(c->weight));
    double loss = weighted(pass.fused.x, c->weight, size);
    if (backward) {
        float *dx = SEAM_NEW(&c->arena, float, size);
        memcpy(dx, c->weight, size * sizeof *dx);
        assert_ok(seam_pass_backward(c->model, &c->run, c->batch, &pass, dx, 0, &balance));
    }
    seam_arena_release(&c->arena, mark);
    return loss;
}

static void test_gradients(void) {
    static const int32_t streams[] = {0, 0, 0, 1, 1, -1};
    Chain c = {0};
    GError *error = NULL;
    SeamRecipe *recipe = parse(both, log_text, WIDTH, 1, 10, CHUNKS, &error);
    g_assert_no_error(error);
    SeamDataset *data = make_data(&recipe->config);
    c.model = seam_model_new(&recipe->config, true, 7, &error);
    c.batch = seam_batch_new(&recipe->config, G_N_ELEMENTS(streams), &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&c.arena, 16 << 20));
    c.run = (SeamRun){.kernels = seam_kernels_ref(), .arena = &c.arena};
    SeamRandom random = seam_random(3, 1);
    draw(c.model->params, &random);
    fill(&random, c.weight, G_N_ELEMENTS(c.weight), 1);
    for (int32_t i = 0; i < 3; i++)
        add_log(&data->record[i]);
    for (int32_t w = 0; w < (int32_t)G_N_ELEMENTS(streams); w++) {
        seam_batch_add(c.batch, &data->record[w < 3 ? 0 : w < 5 ? 1 : 2], w < 3 ? w : w < 5 ? w - 3 : 0, UINT32_MAX, 0, NULL, NULL);
        c.batch->stream[w] = streams[w];
    }
    check_params(c.model->params, 12, loss_of, &c);
    seam_batch_free(c.batch);
    seam_model_free(c.model);
    seam_dataset_free(data);
    seam_recipe_free(recipe);
    seam_arena_clear(&c.arena);
}

// ---- texts of several chunks in a stream ----------------------------------------------------------------------------------------------

typedef struct {
    SeamRecipe *recipe;
    SeamDataset *data;
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamPast past;
    SeamBatch *batch;
} Texts;

static void setup_texts(Texts *f, SeamMixer first, SeamMixer second) {
    GError *error = NULL;
    *f = (Texts){.recipe = parse(both, log_text, WIDTH, 1, 10, CHUNKS, &error)};
    g_assert_no_error(error);
    SeamConfig *config = &f->recipe->config;
    config->layers = 2;
    config->mixer[0] = first;
    config->mixer[1] = second;
    f->data = make_data(config);
    f->model = seam_model_new(config, true, 7, &error);
    f->batch = seam_batch_new(config, 2 * SECONDS, &error);
    g_assert_true(seam_past_init(&f->past, config, &error) && seam_past_need(&f->past, 1, &error));
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&f->arena, 16 << 20));
    f->run = (SeamRun){.kernels = seam_kernels_cpu(), .arena = &f->arena};
    SeamRandom random = seam_random(3, 1);
    draw(f->model->params, &random);
    for (int32_t i = 0; i < 2; i++)
        add_log(&f->data->record[i]);
}

static void teardown_texts(Texts *f) {
    seam_past_clear(&f->past);
    seam_batch_free(f->batch);
    seam_model_free(f->model);
    seam_dataset_free(f->data);
    seam_recipe_free(f->recipe);
    seam_arena_clear(&f->arena);
}

static void append(SeamTokens *to, const SeamTokens *from) {
    memcpy(to->x + to->n * WIDTH, from->x, (size_t)from->n * WIDTH * sizeof *to->x);
    memcpy(to->place + to->n, from->place, (size_t)from->n * sizeof *to->place);
    for (int32_t i = 0; to->size && i < from->n; i++)
        to->size[to->n + i] = from->size ? from->size[i] : 1;
    to->seq_time[to->seqs] = from->seq_time[0];
    to->n += from->n;
    to->seq_start[++to->seqs] = to->n;
}

// A window's tokens after the encoder, a buffer a chunk: of each text the last one goes on.
static void encode_buffers(Texts *f, const SeamRecord *r, int32_t k, SeamTokens *in) {
    SeamSensorWindow w = {.time = k, .samples = RATE, .valid = RATE, .x = r->stream[0].x + k * RATE};
    SeamTokens t;
    assert_ok(seam_model_embed_windows(f->model, &f->run, 0, 1, &w, &t, NULL));
    assert_ok(seam_model_encode_stream(f->model, &f->run, 0, 1, &t, NULL, &f->past.carry[0]));
    append(in, &t);
    for (int32_t i = 0; i < r->stream[1].texts; i++) {
        const SeamTimedText *text = &r->stream[1].text[i];
        if ((int32_t)text->time != k)
            continue;
        SeamTextCursor cursor = seam_text_open(&f->model->embed[1].text, text->text, strlen(text->text));
        do {
            assert_ok(seam_model_embed_chunk(f->model, &f->run, 1, &cursor, text->time, &t));
            assert_ok(seam_model_encode_stream(f->model, &f->run, 0, 1, &t, NULL, &f->past.carry[1]));
        } while (cursor.words > 0);
        append(in, &t);
    }
}

static SeamTokens by_buffers(Texts *f, const SeamRecord *r, int32_t k) {
    float x[MOST_TOKENS * WIDTH], size[MOST_TOKENS];
    SeamPlace place[MOST_TOKENS];
    int32_t start[MOST_TOKENS] = {0}, window_of[MOST_TOKENS] = {0};
    double seq_time[MOST_TOKENS], time = k;
    SeamTokens in = {.dim = WIDTH, .x = x, .place = place, .seq_start = start, .seq_time = seq_time, .size = f->run.effort.merge > 0 ? size : NULL}, out;
    encode_buffers(f, r, k, &in);
    assert_ok(seam_model_fuse(f->model, &f->run, &in, 1, window_of, &time, &out, NULL));
    assert_ok(seam_model_remember(f->model, &f->run, &f->past.bank[0], &out, NULL));
    return out;
}

// As files are judged.
static SeamTokens by_windows(Texts *f, const SeamRecord *r, int32_t k) {
    SeamPass pass;
    SeamTokens out;
    seam_batch_reset(f->batch);
    seam_batch_add(f->batch, r, k, UINT32_MAX, 0, NULL, NULL);
    assert_ok(seam_pass_encode_stream(f->model, &f->run, f->batch, f->past.carry, NULL, &pass));
    assert_ok(seam_pass_fuse_some(f->model, &f->run, f->batch, &pass, UINT32_MAX, &out));
    assert_ok(seam_model_remember(f->model, &f->run, &f->past.bank[0], &out, NULL));
    return out;
}

static void assert_near_tokens(const SeamTokens *a, int32_t window, const SeamTokens *b) {
    int32_t first = a->seq_start[window], n = a->seq_start[window + 1] - first;
    g_assert_cmpint(n, ==, b->n);
    for (int32_t i = 0; i < n * WIDTH; i++)
        if (!(fabsf(a->x[first * WIDTH + i] - b->x[i]) <= 1e-5f * (1 + fabsf(b->x[i]))))
            g_error("window %d, value %d: %g and %g", window, i, (double)a->x[first * WIDTH + i], (double)b->x[i]);
}

static const SeamMixer pairs[][2] = {{SEAM_MIXER_SCAN, SEAM_MIXER_SCAN}, {SEAM_MIXER_SCAN, SEAM_MIXER_GLOBAL}, {SEAM_MIXER_LOCAL, SEAM_MIXER_SCAN}};

// Two recordings, each a stream with texts: what training makes of them in one batch, what judging makes of them window by window, and what the elements make
// of them, buffer by buffer, is the same. data: the share of tokens that is merged, which training never does.
static void test_texts(const void *data) {
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        Texts f;
        SeamPass pass;
        SeamTokens want[2 * SECONDS];
        setup_texts(&f, pairs[i][0], pairs[i][1]);
        f.run.effort.merge = (float)GPOINTER_TO_INT(data) / 100;
        for (int32_t way = 0; way < 2; way++)
            for (int32_t w = 0; w < 2 * SECONDS; w++) {
                if (w % SECONDS == 0)
                    seam_past_reset(&f.past);
                SeamTokens t = (way == 0 ? by_buffers : by_windows)(&f, &f.data->record[w / SECONDS], w % SECONDS);
                if (way == 0)
                    want[w] = t;
                else
                    assert_near_tokens(&t, 0, &want[w]);
            }
        seam_batch_reset(f.batch);
        for (int32_t w = 0; w < 2 * SECONDS; w++) {
            seam_batch_add(f.batch, &f.data->record[w / SECONDS], w % SECONDS, UINT32_MAX, 0, NULL, NULL);
            f.batch->stream[w] = w / SECONDS;
        }
        for (int32_t train = 0; train < 2 && !data; train++) {
            assert_ok(seam_pass_encode(f.model, &f.run, f.batch, train, NULL, &pass));
            assert_ok(seam_pass_fuse(f.model, &f.run, f.batch, train, &pass));
            for (int32_t w = 0; w < 2 * SECONDS; w++)
                assert_near_tokens(&pass.fused, w, &want[w]);
        }
        teardown_texts(&f);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/streams/learns-bank", bank, test_learns);
    g_test_add_data_func("/streams/learns-scan", scan, test_learns);
    g_test_add_func("/streams/needs-the-past", test_needs_the_past);
    g_test_add_data_func("/streams/as-the-pipeline", NULL, test_as_the_pipeline);
    g_test_add_data_func("/streams/as-the-pipeline-merged", GINT_TO_POINTER(50), test_as_the_pipeline);
    g_test_add_func("/streams/draws", test_draws);
    g_test_add_func("/streams/refused", test_refused);
    g_test_add_func("/streams/gradients", test_gradients);
    g_test_add_data_func("/streams/texts", NULL, test_texts);
    g_test_add_data_func("/streams/texts-merged", GINT_TO_POINTER(50), test_texts);
    return g_test_run();
}
