// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pretraining: its objective against values worked out by hand and finite differences; that nothing of what is hidden leaks; and what the stage
// promises (it learns; broken and resumed it gives the same bits; it sees all of the training part and nothing else; what it cannot reach keeps its
// bits).
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/train/checkpoint.h"
#include "core/train/masked.h"
#include "core/train/pretrain.h"
#include "tests/core/differences.h"
#include "tests/made_up.h"

enum { RECORDS = 12, SECONDS = 4, RATE = 8, SIZE = 8, VIDEO = 0, SENSORS = 1, TEXT = 2 };

static const char recipe_text[] =
    "{\"name\":\"tiny\",\"config\":{\"dim\":8,\"layers\":2,\"heads\":2,\"experts\":4,\"groups\":2,\"groups_kept\":1,\"top_k\":1,\"expert_width\":8,"
    "\"router_rank\":4,\"mixer\":\"global\",\"local_radius\":1,\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":8,\"modalities\":["
    "{\"name\":\"video\",\"front\":\"image\",\"channels\":1,\"size\":8,\"stem\":[8],\"mean\":[120],\"std\":[60]},"
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"rate\":8,\"patch\":4,\"time_bins\":2,\"fft\":4,\"bands\":2,\"arc_channel\":0,"
    "\"mean\":[0,0],\"std\":[1,1]},"
    "{\"name\":\"text\",\"front\":\"text\",\"buckets\":16,\"ngram_min\":3,\"ngram_max\":4,\"max_tokens\":4,\"delta_rank\":2}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":2}]},"
    "\"pretrain\":{\"steps\":80,\"batch\":4,\"mask\":0.5,\"lr\":0.01,\"warmup\":5},"
    "\"train\":{\"steps\":5,\"batch\":4,\"lr\":0.01,\"warmup\":2,\"ema\":0.9,\"seed\":3}}";

// ---- data: stripes whose phase is the picture's, waves whose phase is the record's: what is hidden can be told from the rest --------------------

static void fill_record(SeamRecord *r, uint64_t seed) {
    SeamRandom random = seam_random(seed, 1);
    SeamStream *video = &r->stream[VIDEO], *sensors = &r->stream[SENSORS];
    double phase = 6.28 * seam_random_uniform(&random);
    for (int32_t i = 0; i < video->pictures; i++) {
        int32_t from = seam_random_below(&random, 4);
        for (int32_t p = 0; p < SIZE * SIZE; p++)
            video->pixels[i * SIZE * SIZE + p] = (uint8_t)(60 + 120 * ((p % SIZE + from) / 2 % 2) + seam_random_below(&random, 8));
    }
    for (int32_t i = 0; i < sensors->samples; i++) {
        sensors->x[2 * i] = (float)sin(0.4 * i + phase);
        sensors->x[2 * i + 1] = (float)(cos(0.4 * i + phase) + 0.05 * seam_random_normal(&random));
    }
}

static SeamDataset *make_data(const SeamConfig *config) {
    SeamDataset *d = made_up_data(RECORDS);
    for (int32_t i = 0; i < RECORDS; i++) {
        SeamRecord *r = made_up_record(d, i, 1, SECONDS, config, i % 2);
        r->stream[VIDEO] = (SeamStream){.pictures = 2 * SECONDS,
                                              .picture_time = g_new(double, 2 * SECONDS),
                                              .pixels = g_malloc(2 * SECONDS * SIZE * SIZE)};
        for (int32_t k = 0; k < 2 * SECONDS; k++)
            r->stream[VIDEO].picture_time[k] = k * 0.5;
        made_up_samples(&r->stream[SENSORS], SECONDS * RATE, 2);
        fill_record(r, (uint64_t)i);
    }
    return d;
}

typedef struct {
    SeamRecipe *recipe;
    SeamDataset *data;
    SeamPart part[RECORDS];
    char *folder; // of checkpoints
} Fixture;

static void setup(Fixture *f) {
    GError *error = NULL;
    f->recipe = seam_recipe_parse(recipe_text, "tiny", &error);
    g_assert_no_error(error);
    f->data = make_data(&f->recipe->config);
    for (int32_t i = 0; i < RECORDS; i++)
        f->part[i] = i < 8 ? SEAM_PART_TRAIN : i < 10 ? SEAM_PART_VALIDATION : SEAM_PART_CALIBRATION;
    f->folder = g_dir_make_tmp("seam-pretrain-XXXXXX", &error);
    g_assert_no_error(error);
}

static void teardown(Fixture *f) {
    seam_checkpoint_remove(f->folder);
    g_assert_false(g_file_test(f->folder, G_FILE_TEST_EXISTS));
    seam_dataset_free(f->data);
    seam_recipe_free(f->recipe);
    g_free(f->folder);
}

static SeamModel *train(Fixture *f, const SeamTrainRun *how) {
    GError *error = NULL;
    SeamModel *model = seam_train(f->recipe, &f->recipe->config, f->data, f->part, seam_kernels_ref(), how, &error);
    g_assert_no_error(error);
    return model;
}

static bool same(const SeamModel *a, const SeamModel *b) {
    return memcmp(a->params->data, b->params->data, a->params->size * sizeof(float)) == 0;
}

// ---- the objective -------------------------------------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamModel *model;
    SeamMasked *masked;
    SeamBatch *batch;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    uint32_t use; // modalities of the batch
} Case;

static void fill_batch(Case *c) {
    seam_batch_reset(c->batch);
    for (int32_t i = 0; i < 2; i++)
        seam_batch_add(c->batch, &c->f.data->record[i], 1, c->use, 1, NULL, NULL);
}

static void setup_case(Case *c, uint32_t use) {
    GError *error = NULL;
    memset(c, 0, sizeof *c);
    setup(&c->f);
    c->use = use;
    c->model = seam_model_new(&c->f.recipe->config, true, 1, &error);
    g_assert_no_error(error);
    c->masked = seam_masked_new(c->model, 0.5, 2, &error);
    g_assert_no_error(error);
    c->batch = seam_batch_new(&c->model->config, 2, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&c->arena, 1 << 22));
    c->run = (SeamRun){seam_kernels_ref(), &c->arena};
    c->random = seam_random(8, 1);
    fill_batch(c);
}

static void teardown_case(Case *c) {
    seam_masked_free(c->masked);
    seam_batch_free(c->batch); // reads the model's configuration
    seam_model_free(c->model);
    seam_arena_clear(&c->arena);
    teardown(&c->f);
}

static double masked_loss(void *data, bool backward) {
    Case *c = data;
    SeamRandom random = seam_random(9, 1);
    double loss, balance = 0;
    (void)backward; // gradients that nobody asked for are zeroed before they are looked at
    assert_ok(seam_masked_pass(c->masked, &c->run, c->batch, &random, 0, &loss, &balance));
    g_assert_cmpuint(c->arena.used, ==, 0);
    return loss;
}

// Gradients by hand of heads, mask vectors and of all the model. The routes are fixed by the balance bias.
static void test_gradients(void) {
    for (uint32_t use = 1u << VIDEO; use <= 1u << SENSORS; use <<= 1) {
        Case c;
        setup_case(&c, use);
        draw(c.model->params, &c.random);
        draw(c.masked->params, &c.random);
        for (int32_t l = 0; l < 2; l++)
            for (int32_t e = 0; e < 4; e++)
                c.model->encoder[l].moe.balance->data[e] = 2 * (float)e;
        SeamParams *all[2] = {c.masked->params, c.model->params};
        for (int32_t k = 0; k < 2; k++)
            for (guint i = 0; i < all[k]->tensors->len; i++) {
                SeamTensor *t = g_ptr_array_index(all[k]->tensors, i);
                if (g_str_has_suffix(t->name, "router.bias"))
                    continue;
                seam_params_zero_grad(c.masked->params);
                seam_params_zero_grad(c.model->params);
                masked_loss(&c, true);
                g_autofree float *grad = g_memdup2(t->grad, t->size * sizeof(float));
                check_values(t->name, t->data, grad, t->size, 6, masked_loss, &c);
            }
        teardown_case(&c);
    }
}

// With heads that tell nothing but a constant the loss is that of the hidden cells' own content, and of no other.
static void test_hidden_only(void) {
    Case c;
    setup_case(&c, 1u << VIDEO);
    SeamLinear *head = &c.masked->part[VIDEO].head[0];
    g_assert_cmpint(head->out, ==, 4); // 2 x 2 pixels
    memset(head->weight->data, 0, head->weight->size * sizeof(float));
    for (int32_t i = 0; i < 4; i++)
        head->bias->data[i] = 0.25f * (float)i;
    SeamRandom random = seam_random(9, 1);
    double want = 0;
    int32_t order[16], n = 0;
    for (int32_t p = 0; p < c.batch->part[VIDEO].n; p++) {
        int32_t count = seam_masked_choose(&random, 16, 0.5, order);
        g_assert_cmpint(count, ==, 8);
        for (int32_t i = 0; i < count; i++, n += 4) {
            float values[4];
            const uint8_t *picture = c.batch->part[VIDEO].pixels->data + p * SIZE * SIZE;
            g_assert_cmpint(seam_masked_cell(picture, SIZE, 1, 4, order[i] % 4, order[i] / 4, values), ==, 2);
            for (int32_t v = 0; v < 4; v++) {
                double e = fabs(head->bias->data[v] - (double)values[v]);
                want += e < 1 ? e * e / 2 : e - 0.5;
            }
        }
    }
    g_assert_cmpint(n, ==, 2 * 8 * 4);
    g_assert_cmpfloat_with_epsilon(masked_loss(&c, false), want / n, 1e-6);
    teardown_case(&c);
}

// Brightness of a hidden cell is no part of what is to be told, so it changes the loss only if it leaks; that of one that is seen changes it.
static void test_no_leak(void) {
    Case c;
    int32_t order[16];
    setup_case(&c, 1u << VIDEO);
    draw(c.model->params, &c.random);
    draw(c.masked->params, &c.random);
    double before = masked_loss(&c, false);
    SeamRandom random = seam_random(9, 1);
    int32_t count = seam_masked_choose(&random, 16, 0.5, order);
    for (int32_t i = 0; i < 16; i++) {
        fill_batch(&c);
        for (int32_t k = 0; k < 4; k++)
            c.batch->part[VIDEO].pixels->data[(order[i] / 4 * 2 + k / 2) * SIZE + order[i] % 4 * 2 + k % 2] += 50;
        double now = masked_loss(&c, false);
        if (i < count)
            g_assert_cmpfloat_with_epsilon(now, before, 1e-6);
        else
            g_assert_cmpfloat(fabs(now - before), >, 1e-6);
    }
    teardown_case(&c);
}

static void test_choose(void) {
    int32_t order[10], often[10] = {0};
    SeamRandom random = seam_random(4, 1);
    for (int32_t i = 0; i < 2000; i++) {
        uint32_t seen = 0;
        g_assert_cmpint(seam_masked_choose(&random, 10, 0.3, order), ==, 3);
        for (int32_t k = 0; k < 10; k++) {
            seen |= 1u << order[k];
            often[order[k]] += k < 3;
        }
        g_assert_cmpuint(seen, ==, 1023);
    }
    for (int32_t k = 0; k < 10; k++)
        g_assert_cmpint(ABS(often[k] - 600), <, 100);
    g_assert_cmpint(seam_masked_choose(&random, 10, 0.01, order), ==, 1);
    g_assert_cmpint(seam_masked_choose(&random, 10, 0.99, order), ==, 9);
    g_assert_cmpint(seam_masked_choose(&random, 1, 0.5, order), ==, 0);
    g_assert_cmpint(seam_masked_choose(&random, 0, 0.5, order), ==, 0);
}

// A cell of 16 x 16 pixels becomes 8 x 8 means; two planes apart.
static void test_cell(void) {
    enum { BIG = 32, CELL = 16 };
    g_autofree uint8_t *pixels = g_malloc0(BIG * BIG * 3);
    float values[3 * 64];
    for (int32_t y = 0; y < CELL; y++)
        for (int32_t x = 0; x < CELL; x++)
            for (int32_t c = 0; c < 3; c++)
                pixels[((y + CELL) * BIG + x + CELL) * 3 + c] = (uint8_t)(c == 2 ? 100 : 2 * x + y % 2);
    g_assert_cmpint(seam_masked_cell(pixels, BIG, 3, 2, 1, 1, values), ==, 8);
    double sum = 0, squares = 0;
    for (int32_t i = 0; i < 3 * 64; i++) {
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    g_assert_cmpfloat_with_epsilon(sum, 0, 1e-3);
    g_assert_cmpfloat_with_epsilon(squares / (3 * 64), 1, 0.01);
    for (int32_t i = 0; i < 64; i++) {
        g_assert_cmpfloat_with_epsilon(values[i], values[64 + i], 1e-6);
        g_assert_cmpfloat_with_epsilon(values[i] - values[0], (values[1] - values[0]) * (float)(i % 8), 1e-4);
        g_assert_cmpfloat_with_epsilon(values[128 + i], values[128], 1e-6);
    }
    seam_masked_cell(pixels, BIG, 3, 2, 0, 0, values); // flat
    for (int32_t i = 0; i < 3 * 64; i++)
        g_assert_cmpfloat(values[i], ==, 0);
}

static void test_nothing_to_hide(void) {
    Case c;
    GError *error = NULL;
    setup_case(&c, 1);
    SeamConfig config = c.model->config;
    config.modality[0] = config.modality[TEXT];
    config.n_modalities = 1;
    SeamModel *words = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    g_assert_null(seam_masked_new(words, 0.5, 1, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    seam_model_free(words);
    teardown_case(&c);
}

// What is told of a stretch is what its front end says, however that is made: of all channels together, or of an envelope.
static void test_sensor_widths(void) {
    Case c;
    GError *error = NULL;
    setup_case(&c, 1u << SENSORS);
    for (int32_t k = 0; k < 2; k++) {
        SeamConfig config = c.model->config;
        SeamSensorConfig *s = &config.modality[SENSORS].sensor;
        s->together = k == 0;
        s->time_bins = k == 0 ? s->time_bins : 0;
        if (k == 1)
            s->envelope = (SeamEnvelopeConfig){.high = 4, .bands = 1, .shape = 1, .shaft = 1, .n_orders = 1, .order = {1}};
        SeamModel *model = seam_model_new(&config, true, 1, &error);
        g_assert_no_error(error);
        SeamMasked *masked = seam_masked_new(model, 0.5, 1, &error);
        g_assert_no_error(error);
        g_assert_cmpint(masked->part[SENSORS].head[0].out, ==, model->embed[SENSORS].sensor.time_weight->shape[1]);
        g_assert_cmpint(masked->part[SENSORS].head[1].out, ==, model->embed[SENSORS].sensor.frequency_weight->shape[1]);
        seam_masked_free(masked);
        seam_model_free(model);
    }
    teardown_case(&c);
}

// ---- the stage -----------------------------------------------------------------------------------------------------------------

typedef struct {
    double first, last;
    int64_t pretraining, training, first_step;
    bool resumed;
} Seen;

static void watch(void *user, const SeamTrainProgress *p) {
    Seen *seen = user;
    if (seen->pretraining + seen->training == 0) {
        seen->first = p->loss;
        seen->first_step = p->step;
        seen->resumed = p->resumed;
    }
    if (p->pretraining)
        seen->last = p->loss;
    *(p->pretraining ? &seen->pretraining : &seen->training) += 1;
}

static void test_learns(void) {
    Fixture f;
    Seen seen = {0};
    setup(&f);
    f.recipe->pretrain.steps = 400;
    SeamModel *model = train(&f, &(SeamTrainRun){.progress = watch, .user = &seen});
    g_test_message("loss %.4f to %.4f", seen.first, seen.last);
    g_assert_cmpint(seen.pretraining, ==, 400);
    g_assert_cmpint(seen.training, ==, 5);
    g_assert_cmpfloat(seen.last, <, 0.6 * seen.first);
    seam_model_free(model);
    teardown(&f);
}

// Broken in either stage, or just between them, and resumed: the bits of a run that was not.
static void test_resume(void) {
    const int64_t at[] = {3, 8, 11};
    for (size_t i = 0; i < G_N_ELEMENTS(at); i++) {
        Fixture f;
        Seen seen = {0};
        setup(&f);
        f.recipe->pretrain.steps = 8;
        SeamModel *unbroken = train(&f, &(SeamTrainRun){0});
        SeamTrainRun how = {.checkpoint = f.folder, .stop_after = at[i], .progress = watch, .user = &seen};
        g_assert_null(train(&f, &how));
        g_assert_cmpint(seen.pretraining + seen.training, ==, at[i]);
        seen = (Seen){0};
        how.stop_after = 0;
        SeamModel *resumed = train(&f, &how);
        g_assert_cmpint(seen.first_step, ==, at[i] < 8 ? at[i] + 1 : at[i] - 7);
        g_assert_cmpint(seen.pretraining + seen.training, ==, 13 - at[i]);
        g_assert_true(seen.resumed == (at[i] != 8)); // between them there is no step to show it with
        g_assert_true(same(unbroken, resumed));
        seam_model_free(unbroken);
        seam_model_free(resumed);
        teardown(&f);
    }
}

// The model after the stage alone, the running mean left out of it.
static SeamModel *pretrained(Fixture *f) {
    GError *error = NULL;
    int64_t done;
    SeamModel *model = seam_model_new(&f->recipe->config, true, 1, &error);
    SeamArena arena;
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&arena, 1024)); // it grows
    SeamRun run = {seam_kernels_ref(), &arena};
    g_assert_true(seam_pretrain(model, f->recipe, f->data, f->part, &run, "key", &(SeamTrainRun){0}, &done, &error));
    g_assert_no_error(error);
    g_assert_cmpint(done, ==, f->recipe->pretrain.steps);
    seam_arena_clear(&arena);
    return model;
}

static void test_parts(void) {
    Fixture f;
    setup(&f);
    f.recipe->pretrain.steps = 12;
    SeamModel *a = pretrained(&f);
    for (int32_t i = 8; i < RECORDS; i++)
        fill_record(&f.data->record[i], 77);
    SeamModel *b = pretrained(&f);
    g_assert_true(same(a, b)); // validation and calibration are not looked at
    for (int32_t i = 0; i < 8; i++)
        f.data->record[i].class_index = -1;
    SeamModel *c = pretrained(&f);
    g_assert_true(same(a, c)); // labels neither
    for (int32_t i = 0; i < 8; i++)
        fill_record(&f.data->record[i], (uint64_t)(i + 77));
    SeamModel *d = pretrained(&f);
    g_assert_false(same(a, d));
    seam_model_free(a), seam_model_free(b), seam_model_free(c), seam_model_free(d);
    teardown(&f);
}

static void test_still(void) {
    static const char *const behind[] = {"tasks.", "fusion.", "bank.", "exits."};
    Fixture f;
    GError *error = NULL;
    setup(&f);
    f.recipe->config.bank_slots = 4;
    f.recipe->config.bank_write = f.recipe->config.exit_every = 1;
    f.recipe->pretrain.steps = 4;
    SeamModel *after = pretrained(&f), *before = seam_model_new(&f.recipe->config, true, 1, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < before->params->tensors->len; i++) {
        const SeamTensor *a = before->params->tensors->pdata[i], *b = after->params->tensors->pdata[i];
        bool kept = memcmp(a->data, b->data, a->size * sizeof(float)) == 0;
        bool still = strstr(a->name, ".text.") != NULL;
        for (size_t k = 0; k < G_N_ELEMENTS(behind); k++)
            still |= g_str_has_prefix(a->name, behind[k]);
        if (kept != still)
            g_error("%s: %s", a->name, kept ? "was not trained" : "was trained too");
    }
    seam_model_free(before);
    seam_model_free(after);
    teardown(&f);
}

// Without the stage a recipe gives what it gave before there was one; with a model to go on from it is left out.
static void test_left_out(void) {
    Fixture f;
    Seen seen = {0};
    setup(&f);
    SeamModel *with = train(&f, &(SeamTrainRun){.progress = watch, .user = &seen});
    g_assert_cmpint(seen.pretraining, ==, 80);
    seen = (Seen){0};
    g_assert_true(train(&f, &(SeamTrainRun){.start = with, .progress = watch, .user = &seen}) == with);
    g_assert_cmpint(seen.pretraining, ==, 0);
    f.recipe->pretrain.steps = 0;
    SeamModel *without = train(&f, &(SeamTrainRun){.progress = watch, .user = &seen});
    g_assert_cmpint(seen.pretraining, ==, 0);
    g_assert_false(same(with, without));
    seam_model_free(with);
    seam_model_free(without);
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pretrain/gradients", test_gradients);
    g_test_add_func("/pretrain/hidden-only", test_hidden_only);
    g_test_add_func("/pretrain/no-leak", test_no_leak);
    g_test_add_func("/pretrain/choose", test_choose);
    g_test_add_func("/pretrain/cell", test_cell);
    g_test_add_func("/pretrain/nothing", test_nothing_to_hide);
    g_test_add_func("/pretrain/sensor-widths", test_sensor_widths);
    g_test_add_func("/pretrain/learns", test_learns);
    g_test_add_func("/pretrain/resume", test_resume);
    g_test_add_func("/pretrain/parts", test_parts);
    g_test_add_func("/pretrain/still", test_still);
    g_test_add_func("/pretrain/left-out", test_left_out);
    return g_test_run();
}
