// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Training on a data set made in memory: what it promises (the loss falls; the same seed gives the same bits, broken and resumed or not; a task
// alone leaves the rest as it is; groups are never torn) and its parts against values worked out by hand.
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/pack.h"
#include "core/random.h"
#include "core/train/checkpoint.h"
#include "core/train/finish.h"
#include "core/train/losses.h"
#include "core/train/lot.h"
#include "core/train/quantize.h"
#include "core/train/schedule.h"
#include "core/train/split.h"
#include "core/train/trainer.h"
#include "tests/made_up.h"

enum { RECORDS = 24, SECONDS = 3, RATE = 8, SIZE = 8, VIDEO = 0, SENSORS = 1 };

static const char recipe_text[] =
    "{\"name\":\"tiny\",\"config\":{\"dim\":8,\"layers\":2,\"heads\":2,\"experts\":4,\"groups\":2,\"groups_kept\":1,\"top_k\":1,\"expert_width\":8,"
    "\"router_rank\":4,\"mixer\":[\"local\",\"global\"],\"local_radius\":1,\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":8,"
    "\"modalities\":["
    "{\"name\":\"video\",\"front\":\"image\",\"channels\":1,\"size\":8,\"stem\":[4,8]},"
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"rate\":8,\"patch\":4,\"time_bins\":2,\"fft\":4,\"bands\":2,\"arc_channel\":0}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":2},"
    "{\"name\":\"localise\",\"kind\":\"localise\",\"rank\":2,\"upscale\":2},"
    "{\"name\":\"anomaly\",\"kind\":\"anomaly\",\"rank\":0,\"memory\":16,\"neighbours\":2}]},"
    "\"train\":{\"steps\":60,\"batch\":8,\"lr\":0.01,\"warmup\":5,\"ema\":0.9,\"seed\":3}}";

// ---- data --------------------------------------------------------------------------------------------------------------------

static SeamStream make_video(SeamRandom *random, bool defect) {
    int32_t n = 2 * SECONDS, pixels = SIZE * SIZE;
    SeamStream s = {.pictures = n, .picture_time = g_new(double, n), .pixels = g_malloc((gsize)n * pixels)};
    for (int32_t i = 0; i < n; i++) {
        s.picture_time[i] = i * 0.5;
        for (int32_t p = 0; p < pixels; p++) {
            bool bright = defect && p % SIZE < SIZE / 2 && p / SIZE < SIZE / 2;
            s.pixels[i * pixels + p] = (uint8_t)(60 + 120 * bright + seam_random_below(random, 40));
        }
    }
    return s;
}

static SeamStream make_sensors(SeamRandom *random, bool defect) {
    SeamStream s = {.samples = SECONDS * RATE, .x = g_new(float, SECONDS *RATE * 2)};
    for (int32_t i = 0; i < SECONDS * RATE; i++) {
        s.x[2 * i] = (float)(100 + (defect ? 20 : 5) * seam_random_normal(random));
        s.x[2 * i + 1] = (float)(defect ? -3 : 3) + (float)seam_random_normal(random);
    }
    return s;
}

// Half of the records are defective, over their whole length and in the upper left quarter of each picture; three records a group.
static SeamDataset *make_data(const SeamConfig *config) {
    SeamDataset *d = made_up_data(RECORDS);
    for (int32_t i = 0; i < RECORDS; i++) {
        SeamRandom random = seam_random(5, (uint64_t)i);
        bool defect = i / 3 % 2;
        SeamRecord *r = made_up_record(d, i, 3, SECONDS, config, defect);
        r->stream[VIDEO] = make_video(&random, defect);
        r->stream[SENSORS] = make_sensors(&random, defect);
        r->has_truth = r->has_boxes = true;
        if (defect) {
            r->n_truth = 1;
            r->truth = g_new0(SeamTruth, 1);
            r->truth[0] = (SeamTruth){.duration = SECONDS, .class_index = 1, .has_box = true};
            r->truth[0].box = (SeamBox){.x = 0.25f, .y = 0.25f, .w = 0.5f, .h = 0.5f, .class_index = 1};
        }
    }
    return d;
}

typedef struct {
    SeamRecipe *recipe;
    SeamDataset *data;
    SeamPart part[RECORDS];
    char *folder; // of checkpoints
    const SeamKernels *kernels;
} Fixture;

static void setup(Fixture *f) {
    GError *error = NULL;
    f->kernels = seam_kernels_ref();
    f->recipe = seam_recipe_parse(recipe_text, "tiny", &error);
    g_assert_no_error(error);
    f->data = make_data(&f->recipe->config);
    seam_dataset_split(f->data, 0.25, 0.25, 1, f->part);
    f->folder = g_dir_make_tmp("seam-trainer-XXXXXX", &error);
    g_assert_no_error(error);
    seam_train_measure(&f->recipe->config, f->recipe->given_mean, f->data, f->part);
}

static void teardown(Fixture *f) {
    seam_checkpoint_remove(f->folder);
    seam_dataset_free(f->data);
    seam_recipe_free(f->recipe);
    g_free(f->folder);
}

static SeamModel *train(Fixture *f, const SeamTrainRun *how) {
    GError *error = NULL;
    SeamModel *model = seam_train(f->recipe, &f->recipe->config, f->data, f->part, f->kernels, how, &error);
    g_assert_no_error(error);
    return model;
}

static void assert_same(const SeamModel *a, const SeamModel *b) {
    g_assert_cmpmem(a->params->data, a->params->size * sizeof(float), b->params->data, b->params->size * sizeof(float));
}

// ---- the loop ----------------------------------------------------------------------------------------------------------------

typedef struct {
    double first, last, last_classify, last_localise, accuracy;
    int64_t calls, first_step;
    bool resumed;
} Seen;

static void watch(void *user, const SeamTrainProgress *p) {
    Seen *seen = user;
    if (seen->calls++ == 0) {
        seen->first = p->loss;
        seen->first_step = p->step;
        seen->resumed = p->resumed;
    }
    seen->last = p->loss;
    seen->last_classify = p->classify;
    seen->last_localise = p->localise;
    seen->accuracy = p->accuracy;
}

static void test_learns(void) {
    Fixture f;
    Seen seen = {0};
    setup(&f);
    SeamModel *model = train(&f, &(SeamTrainRun){.progress = watch, .user = &seen});
    g_assert_nonnull(model);
    g_assert_cmpint(seen.calls, ==, f.recipe->train.steps);
    g_assert_cmpfloat(seen.last, <, 0.5 * seen.first);
    g_assert_cmpfloat(seen.accuracy, >, 0.9);
    seam_model_free(model);
    teardown(&f);
}

// What is on disk in half precision is what was measured: rounding again changes nothing, and zeros stay zeros.
static void test_rounded(void) {
    Fixture f;
    setup(&f);
    f.recipe->train.steps = 0;
    SeamModel *fresh = train(&f, &(SeamTrainRun){0});
    for (size_t i = 0; i < fresh->encoder[0].attention.out.bias->size; i++)
        g_assert_cmpfloat(fresh->encoder[0].attention.out.bias->data[i], ==, 0);
    seam_model_free(fresh);
    f.recipe->train.steps = 2;
    SeamModel *model = train(&f, &(SeamTrainRun){0});
    size_t n = model->params->size;
    g_autofree uint16_t *half = g_new(uint16_t, n);
    g_autofree float *back = g_new(float, n);
    seam_kernels_ref()->f32_to_f16(n, model->params->data, half);
    seam_kernels_ref()->f16_to_f32(n, half, back);
    g_assert_cmpmem(back, n * sizeof(float), model->params->data, n * sizeof(float));
    seam_model_free(model);
    teardown(&f);
}

static void test_same_bits(const void *data) {
    Fixture f;
    setup(&f);
    f.kernels = data ? seam_kernels_cpu() : seam_kernels_ref();
    f.recipe->train.steps = 8;
    SeamModel *a = train(&f, &(SeamTrainRun){0}), *b = train(&f, &(SeamTrainRun){0});
    assert_same(a, b);
    f.recipe->train.seed++;
    SeamModel *c = train(&f, &(SeamTrainRun){0});
    g_assert_true(memcmp(a->params->data, c->params->data, a->params->size * sizeof(float)) != 0);
    seam_model_free(a);
    seam_model_free(b);
    seam_model_free(c);
    teardown(&f);
}

static void test_resume(const void *data) {
    Fixture f;
    Seen seen = {0};
    setup(&f);
    f.kernels = data ? seam_kernels_cpu() : seam_kernels_ref();
    f.recipe->train.steps = 9;
    SeamModel *unbroken = train(&f, &(SeamTrainRun){0});
    SeamTrainRun how = {.checkpoint = f.folder, .stop_after = 4, .progress = watch, .user = &seen};
    g_assert_null(train(&f, &how));
    g_assert_false(seen.resumed);
    seen = (Seen){0};
    how.stop_after = 0;
    SeamModel *resumed = train(&f, &how);
    g_assert_true(seen.resumed);
    g_assert_cmpint(seen.first_step, ==, 5);
    assert_same(unbroken, resumed);
    seam_model_free(unbroken);
    seam_model_free(resumed);
    teardown(&f);
}

// A task that is trained alone: everything else keeps its bits.
static void test_only_tasks(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    f.recipe->train.steps = 3;
    SeamModel *base = train(&f, &(SeamTrainRun){0}), *start = seam_model_new(&f.recipe->config, true, 9, &error);
    g_assert_no_error(error);
    memcpy(start->params->data, base->params->data, base->params->size * sizeof(float));
    f.recipe->train.steps = 6;
    g_assert_true(train(&f, &(SeamTrainRun){.only = "tasks.", .start = start}) == start);
    for (guint i = 0; i < base->params->tensors->len; i++) {
        const SeamTensor *a = base->params->tensors->pdata[i], *b = start->params->tensors->pdata[i];
        bool same = memcmp(a->data, b->data, a->size * sizeof(float)) == 0;
        if (same == g_str_has_prefix(a->name, "tasks."))
            g_error("%s: %s", a->name, same ? "was not trained" : "was trained too");
    }
    seam_model_free(base);
    seam_model_free(start);
    teardown(&f);
}

static void test_nothing_to_train_on(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    for (int32_t i = 0; i < RECORDS; i++) {
        f.data->record[i].class_index = -1;
        f.data->record[i].has_truth = false;
    }
    g_assert_null(seam_train(f.recipe, &f.recipe->config, f.data, f.part, seam_kernels_ref(), &(SeamTrainRun){0}, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_MISSING);
    g_clear_error(&error);
    teardown(&f);
}

// Mean and deviation of the training part alone, of samples while the arc burns.
static void test_measure(void) {
    Fixture f;
    double sum = 0, squares = 0;
    int32_t n = 0;
    setup(&f);
    for (int32_t i = 0; i < RECORDS; i++)
        for (int32_t k = 0; f.part[i] == SEAM_PART_TRAIN && k < SECONDS * RATE; k++, n++) {
            double x = f.data->record[i].stream[SENSORS].x[2 * k];
            sum += x;
            squares += x * x;
        }
    const SeamModality *m = &f.recipe->config.modality[SENSORS];
    g_assert_cmpfloat_with_epsilon(m->mean[0], sum / n, 1e-3);
    g_assert_cmpfloat_with_epsilon(m->std[0], sqrt(squares / n - sum / n * sum / n), 1e-2);
    SeamConfig given = f.recipe->config;
    given.modality[SENSORS].mean[0] = 7;
    seam_train_measure(&given, 1u << SENSORS, f.data, f.part);
    g_assert_cmpfloat(given.modality[SENSORS].mean[0], ==, 7);
    teardown(&f);
}

// ---- finishing ---------------------------------------------------------------------------------------------------------------

static void remove_bundle(const char *path) {
    const char *const names[] = {"adapters/classify.safetensors", "adapters/localise.safetensors", "adapters/anomaly.safetensors", "adapters",
                                 "model.json", "weights.safetensors", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *file = g_build_filename(path, names[i], NULL);
        g_assert_cmpint(g_remove(file), ==, 0);
    }
}

// From records to a model on disk: what is loaded is what was measured, with all of its tasks and with thresholds.
static void test_finish(void) {
    Fixture f;
    GError *error = NULL;
    g_autofree SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    setup(&f);
    g_autofree char *path = g_build_filename(f.folder, "tiny.seam", NULL);
    SeamModel *model = train(&f, &(SeamTrainRun){0});
    g_assert_true(seam_train_finish(model, f.recipe, f.data, f.part, f.kernels, "test", path, e, &error));
    g_assert_no_error(error);
    g_assert_cmpint(e->n, ==, 6);
    g_assert_cmpint(e->good + e->defect, ==, 6);
    g_assert_cmpfloat(e->auroc, ==, 1);
    g_assert_cmpfloat(e->by_class.accuracy, >, 0.8);
    g_assert_cmpfloat(e->map50, >, 0.5);
    SeamModel *loaded = seam_model_load(path, &error);
    g_assert_no_error(error);
    assert_same(model, loaded);
    for (int32_t t = 0; t < loaded->config.n_tasks; t++)
        g_assert_true(seam_model_task_ready(loaded, t));
    SeamBundle *bundle = seam_bundle_open(path, true, &error);
    g_assert_no_error(error);
    for (const char *const *name = (const char *const[]){"calibration", "metrics", "provenance", "card", NULL}; *name; name++)
        g_assert_true(json_object_has_member(bundle->meta, *name));
    seam_bundle_free(bundle);
    seam_model_free(loaded);
    seam_model_free(model);
    remove_bundle(path);
    teardown(&f);
}

// Wide enough that its weights are worth quantising.
static void widen(Fixture *f) {
    SeamConfig *c = &f->recipe->config;
    c->dim = c->expert_width = c->fusion_width = c->modality[VIDEO].image.stem_width[1] = 16;
    f->recipe->train.quantise = true;
}

// Quantisation-aware: it learns, broken and resumed to the same bits; and what is written are the whole numbers that it learnt with.
static void test_quantised(void) {
    Fixture f;
    GError *error = NULL;
    Seen seen = {0};
    g_autofree SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    int32_t narrow = 0;
    setup(&f);
    widen(&f);
    g_autofree char *path = g_build_filename(f.folder, "tiny.seam", NULL);
    SeamModel *model = train(&f, &(SeamTrainRun){.progress = watch, .user = &seen});
    g_assert_cmpfloat(seen.last, <, 0.5 * seen.first);
    g_assert_cmpfloat(seen.accuracy, >, 0.9);
    for (guint i = 0; i < model->params->tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(model->params->tensors, i);
        g_assert_cmpint(t->type, ==, seam_tensor_may_narrow(t) ? SEAM_PACK_I8 : SEAM_PACK_F32);
        narrow += t->type == SEAM_PACK_I8;
    }
    g_assert_cmpint(narrow, >, 5);
    g_assert_cmpint(model->encoder[0].moe.up->packed.type, ==, SEAM_PACK_I8); // so it is calibrated as it will run
    g_assert_null(seam_train(f.recipe, &f.recipe->config, f.data, f.part, f.kernels, &(SeamTrainRun){.checkpoint = f.folder, .stop_after = 7}, &error));
    g_assert_no_error(error);
    SeamModel *resumed = train(&f, &(SeamTrainRun){.checkpoint = f.folder});
    assert_same(model, resumed);
    g_assert_true(seam_train_finish(model, f.recipe, f.data, f.part, f.kernels, "test", path, e, &error));
    g_assert_no_error(error);
    g_assert_cmpfloat(e->auroc, ==, 1);
    SeamModel *loaded = seam_model_load(path, &error);
    g_assert_no_error(error);
    assert_same(model, loaded);
    g_assert_cmpint(loaded->encoder[0].moe.up->type, ==, SEAM_PACK_I8);
    seam_model_free(loaded);
    seam_model_free(resumed);
    seam_model_free(model);
    remove_bundle(path);
    teardown(&f);
}

static int32_t kept_groups(const SeamQuantized *q) {
    int32_t kept = 0;
    for (int32_t g = 0; g < q->n; g++)
        kept += q->group[g].kept;
    return kept;
}

// Where any loss is allowed, all is in 8 bits; where none is small enough, all is taken back and the values are what they were, to the last bit.
static void test_quantize(void) {
    Fixture f;
    GError *error = NULL;
    SeamQuantized q;
    setup(&f);
    widen(&f);
    f.recipe->train.quantise = false;
    SeamModel *model = train(&f, &(SeamTrainRun){0});
    SeamCalibration *plain = seam_calibration_new();
    SeamPart all[RECORDS];
    for (int32_t i = 0; i < RECORDS; i++)
        all[i] = SEAM_PART_HELD;
    SeamQuantizeOptions o = {.model = model, .kernels = f.kernels, .calibration = plain, .data = f.data, .part = all, .frames = 2, .loss = -1e9};
    g_autofree float *before = g_memdup2(model->params->data, model->params->size * sizeof(float));
    g_assert_true(seam_quantize(&o, &q, &error));
    g_assert_no_error(error);
    g_assert_cmpint(q.records, ==, RECORDS);
    g_assert_cmpint(kept_groups(&q), ==, q.n);
    g_assert_cmpfloat(q.difference, ==, 0);
    g_assert_cmpmem(before, model->params->size * sizeof(float), model->params->data, model->params->size * sizeof(float));
    seam_quantized_clear(&q);
    o.loss = 100;
    g_assert_true(seam_quantize(&o, &q, &error));
    g_assert_no_error(error);
    g_assert_cmpint(q.n, >, 5);
    g_assert_cmpint(kept_groups(&q), ==, 0);
    g_assert_true(q.difference > 0 && q.difference < 0.1);
    g_assert_cmpfloat(q.before.accuracy, >, 80);
    g_assert_cmpfloat(fabs(q.after.accuracy - q.before.accuracy), <, 10);
    g_assert_cmpfloat(q.group[0].difference, >, 0);
    g_assert_cmpint(model->encoder[0].moe.up->packed.type, ==, SEAM_PACK_I8);
    seam_quantized_clear(&q);
    g_assert_false(seam_quantize(&o, &q, &error));
    g_assert_nonnull(strstr(error->message, "quantised already"));
    g_clear_error(&error);
    seam_calibration_free(plain);
    seam_model_free(model);
    teardown(&f);
}

// With folds every record of the training part calibrates once, by a model that has not seen it: its score is not the one that the model itself would give.
static void test_calibration_folds(void) {
    Fixture f;
    GError *error = NULL;
    g_autofree SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    setup(&f);
    g_autofree char *path = g_build_filename(f.folder, "tiny.seam", NULL);
    seam_dataset_split(f.data, 0.25, 0, 1, f.part);
    f.recipe->train.steps = 6;
    f.recipe->calibration_folds = 3;
    SeamModel *model = train(&f, &(SeamTrainRun){0});
    g_assert_true(seam_train_finish(model, f.recipe, f.data, f.part, f.kernels, "test", path, e, &error));
    g_assert_no_error(error);
    SeamBundle *bundle = seam_bundle_open(path, true, &error);
    g_assert_no_error(error);
    SeamCalibration *folds = seam_calibration_read(&model->config, bundle->meta, "test", &error), *own = seam_calibration_new();
    bool use[RECORDS];
    int32_t good = 0, defect = 0;
    for (int32_t i = 0; i < RECORDS; i++) {
        use[i] = f.part[i] == SEAM_PART_TRAIN;
        good += use[i] && !f.data->record[i].defect;
        defect += use[i] && f.data->record[i].defect;
    }
    own->top_fraction = folds->top_fraction;
    g_assert_true(seam_calibrate(own, model, f.kernels, f.data, use, f.recipe->train.eval_frames, &error));
    const SeamCalibrationSet *a = seam_calibration_find(folds, &model->config, UINT32_MAX, SEAM_EFFORT_FULL);
    const SeamCalibrationSet *b = seam_calibration_find(own, &model->config, UINT32_MAX, SEAM_EFFORT_FULL);
    g_assert_cmpint(a->n_good, ==, good);
    g_assert_cmpint(a->n_defect, ==, defect);
    g_assert_cmpint(b->n_good, ==, good);
    for (int32_t i = 0; i < good; i++)
        g_assert_cmpfloat(a->good[i], !=, b->good[i]);
    seam_calibration_free(folds);
    seam_calibration_free(own);
    seam_bundle_free(bundle);
    seam_model_free(model);
    remove_bundle(path);
    teardown(&f);
}

// ---- split -------------------------------------------------------------------------------------------------------------------

static void test_split(void) {
    Fixture f;
    SeamPart again[RECORDS] = {0};
    setup(&f);
    for (uint64_t seed = 0; seed < 20; seed++) {
        int32_t count[3] = {0}, defects[3] = {0};
        seam_dataset_split(f.data, 0.25, 0.25, seed, f.part);
        for (int32_t i = 0; i < RECORDS; i++) {
            count[f.part[i]]++;
            defects[f.part[i]] += f.data->record[i].defect;
            g_assert_cmpint(f.part[i], ==, f.part[i / 3 * 3]); // a group is never torn
        }
        g_assert_cmpint(count[SEAM_PART_TRAIN], ==, 12);
        g_assert_cmpint(count[SEAM_PART_VALIDATION], ==, 6);
        for (int32_t p = 0; p < 3; p++)
            g_assert_cmpint(2 * defects[p], ==, count[p]); // and the classes are spread evenly
        seam_dataset_split(f.data, 0.25, 0.25, seed, again);
        g_assert_cmpmem(f.part, sizeof f.part, again, sizeof again);
    }
    seam_dataset_split(f.data, 0, 0, 1, f.part);
    for (int32_t i = 0; i < RECORDS; i++)
        g_assert_cmpint(f.part[i], ==, SEAM_PART_TRAIN);
    teardown(&f);
}

// ---- optimiser, schedule -----------------------------------------------------------------------------------------------------

// AdamW of Loshchilov 2019, algorithm 2, in double.
static double adamw(double *w, double g, double *m, double *v, double lr, double decay, int step) {
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.95 * *v + 0.05 * g * g;
    double mean = *m / (1 - pow(0.9, step)), square = *v / (1 - pow(0.95, step));
    return *w -= lr * (mean / (sqrt(square) + 1e-8) + decay * *w);
}

static void test_optimiser(void) {
    SeamOptimiser o;
    GError *error = NULL;
    double norm, w[2] = {0.5, -2}, m[2] = {0}, v[2] = {0}, mean = 0.5;
    const double gradient[3][2] = {{0.3, 0.4}, {-0.1, 0.2}, {3, 4}}; // the last one is longer than the clip
    SeamParams *params = seam_params_new();
    SeamTensor *a = seam_params_declare(params, "a", SEAM_INIT_ZERO, true, 1, 0, 0, 0);
    SeamTensor *b = seam_params_declare(params, "b", SEAM_INIT_ZERO, false, 1, 0, 0, 0);
    g_assert_true(seam_params_allocate(params, true, &error));
    a->data[0] = 0.5f;
    b->data[0] = -2;
    g_assert_true(seam_optimiser_init(&o, params, &error));
    o.weight_decay = 0.1;
    o.clip = 1;
    o.ema = 0.5;
    for (int step = 1; step <= 3; step++) {
        const double *g = gradient[step - 1], cut = step == 3 ? 0.2 : 1, keep = fmin(0.5, (1.0 + step) / (10.0 + step));
        a->grad[0] = (float)g[0];
        b->grad[0] = (float)g[1];
        g_assert_cmpint(seam_optimiser_step(&o, seam_kernels_ref(), 0.1, &norm), ==, SEAM_OK);
        g_assert_cmpfloat_with_epsilon(norm, hypot(g[0], g[1]), 1e-6);
        g_assert_cmpfloat_with_epsilon(a->data[0], adamw(&w[0], cut * g[0], &m[0], &v[0], 0.1, 0.1, step), 1e-5);
        g_assert_cmpfloat_with_epsilon(b->data[0], adamw(&w[1], cut * g[1], &m[1], &v[1], 0.1, 0, step), 1e-5);
        mean = keep * mean + (1 - keep) * w[0];
        g_assert_cmpfloat_with_epsilon(o.mean[a->data - params->data], mean, 1e-5);
    }
    a->grad[0] = NAN;
    float before = b->data[0];
    g_assert_cmpint(seam_optimiser_step(&o, seam_kernels_ref(), 0.1, &norm), ==, SEAM_DEVICE_ERROR);
    g_assert_cmpfloat(b->data[0], ==, before);
    seam_optimiser_clear(&o);
    seam_params_free(params);
}

static void test_schedule(void) {
    g_assert_cmpfloat_with_epsilon(seam_schedule_lr(2, 4, 0, 104), 0.4, 1e-12);
    g_assert_cmpfloat_with_epsilon(seam_schedule_lr(2, 4, 3, 104), 1.6, 1e-12);
    g_assert_cmpfloat_with_epsilon(seam_schedule_lr(2, 4, 4, 104), 2, 1e-12);
    g_assert_cmpfloat_with_epsilon(seam_schedule_lr(2, 4, 54, 104), 1.01, 1e-12); // half way: (1 + 1/100) / 2
    for (int64_t s = 5; s < 104; s++)
        g_assert_cmpfloat(seam_schedule_lr(2, 4, s, 104), <, seam_schedule_lr(2, 4, s - 1, 104));
    g_assert_cmpfloat_with_epsilon(seam_schedule_lr(2, 4, 104, 104), 0.02, 1e-12);
    g_assert_true(isfinite(seam_schedule_lr(1, 10, 3, 3)));
}

// ---- losses ------------------------------------------------------------------------------------------------------------------

static void test_loss_classify(void) {
    const float logits[6] = {1, 2, 0, 0, 5, -5};
    const int32_t label[3] = {1, 0, -1};
    const double weight[2] = {1, 3};
    float d[6];
    int32_t correct, counted;
    double p = 1 / (1 + exp(-1.0)); // of class 1 in the first window
    double loss = seam_loss_classify(3, 2, logits, label, weight, 0.2, 0.5, d, &correct, &counted);
    double want = (3 * (-0.9 * log(p) - 0.1 * log(1 - p)) + log(2)) / 2;
    g_assert_cmpfloat_with_epsilon(loss, want, 1e-6);
    g_assert_cmpint(correct, ==, 2); // ties go to the lower class
    g_assert_cmpint(counted, ==, 2);
    g_assert_cmpfloat_with_epsilon(d[1], 0.5 * 3 * (p - 0.9) / 2, 1e-6);
    g_assert_cmpfloat_with_epsilon(d[0], -0.5 * 3 * (p - 0.9) / 2, 1e-6);
    g_assert_cmpfloat_with_epsilon(d[2], 0.5 * (0.5 - 0.9) / 2, 1e-6);
    g_assert_cmpfloat(d[4], ==, 0); // not labelled
    g_assert_cmpfloat(d[5], ==, 0);
}

// One picture of 2 x 2 cells whose box covers the upper left one; one picture that nobody has looked at.
static void test_loss_localise(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    SeamBatch *batch = seam_batch_new(&f.recipe->config, 2, &error);
    const int32_t window[2] = {0, 1};
    const SeamBox box = {.x = 0.2f, .y = 0.25f, .w = 0.3f, .h = 0.4f, .class_index = 1};
    const SeamPictureTruth truth[2] = {{.known = true, .n = 1, .box = {box}}, {.known = false}};
    SeamLocalisePicture picture[2] = {{.window = 0, .side = 2}, {.window = 1, .side = 2, .offset = 4}};
    float logits[8] = {0.5f, -1, 0, 2, 9, 9, 9, 9}, d[8];
    SeamLocaliseOut out = {.pictures = 2, .picture = picture, .size = 8, .logits = logits};
    g_array_append_vals(batch->part[VIDEO].window, window, 2);
    g_array_append_vals(batch->part[VIDEO].truth, truth, 2);
    batch->part[VIDEO].n = 2;
    double loss = seam_loss_localise(&out, 1, batch, 4, 1, d);
    double want = log1p(exp(-0.5)) + (log1p(exp(-1)) + log(2) + log1p(exp(2))) / 4;
    g_assert_cmpfloat_with_epsilon(loss, want, 1e-6);
    g_assert_cmpfloat_with_epsilon(d[0], 1 / (1 + exp(-0.5)) - 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(d[3], 1 / (1 + exp(-2)) / 4, 1e-6);
    for (int i = 4; i < 8; i++)
        g_assert_cmpfloat(d[i], ==, 0);
    seam_batch_free(batch);
    teardown(&f);
}

// ---- checkpoints -------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamParams *params;
    SeamOptimiser o;
} State;

static void make_state(State *s, float first) {
    GError *error = NULL;
    s->params = seam_params_new();
    seam_params_declare(s->params, "a", SEAM_INIT_ZERO, true, 5, 3, 0, 0);
    g_assert_true(seam_params_allocate(s->params, true, &error));
    for (size_t i = 0; i < s->params->size; i++)
        s->params->data[i] = first + (float)i;
    g_assert_true(seam_optimiser_init(&s->o, s->params, &error));
    for (size_t i = 0; i < s->params->size; i++) {
        s->o.m[i] = first - (float)i;
        s->o.v[i] = 2 * first;
    }
}

static void clear_state(State *s) {
    seam_optimiser_clear(&s->o);
    seam_params_free(s->params);
}

static void test_checkpoint(void) {
    State a, b;
    GError *error = NULL;
    g_autofree char *folder = g_dir_make_tmp("seam-checkpoint-XXXXXX", &error), *path = g_build_filename(folder, "state.safetensors", NULL);
    make_state(&a, 3);
    make_state(&b, 40);
    a.o.step = 17;
    size_t bytes = a.params->size * sizeof(float);
    g_assert_false(seam_checkpoint_load(folder, "key", &b.o, &error)); // there is none
    g_assert_no_error(error);
    g_assert_true(seam_checkpoint_save(folder, "key", &a.o, &error));
    g_assert_false(seam_checkpoint_load(folder, "other", &b.o, &error));
    g_assert_no_error(error);
    g_assert_cmpfloat(b.params->data[0], ==, 40);
    g_assert_true(seam_checkpoint_load(folder, "key", &b.o, &error));
    g_assert_no_error(error);
    g_assert_cmpint(b.o.step, ==, 17);
    g_assert_cmpmem(a.params->data, bytes, b.params->data, bytes);
    g_assert_cmpmem(a.o.m, bytes, b.o.m, bytes);
    g_assert_cmpmem(a.o.v, bytes, b.o.v, bytes);
    g_assert_cmpmem(a.o.mean, bytes, b.o.mean, bytes);

    g_autofree char *text = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &text, &size, &error));
    g_assert_true(g_file_set_contents(path, text, (gssize)size - 4, &error)); // cut off, as by a full disk
    g_assert_false(seam_checkpoint_load(folder, "key", &b.o, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);
    seam_checkpoint_remove(folder);
    g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    clear_state(&a);
    clear_state(&b);
}

// A checkpoint that is broken ends the training with an error instead of silently beginning anew.
static void test_checkpoint_broken(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    g_autofree char *path = g_build_filename(f.folder, "state.safetensors", NULL);
    g_assert_true(g_file_set_contents(path, "nonsense", 8, &error));
    g_assert_null(seam_train(f.recipe, &f.recipe->config, f.data, f.part, seam_kernels_ref(), &(SeamTrainRun){.checkpoint = f.folder}, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    teardown(&f);
}

// Four of one group and one of another: by power 1 each weighs the same, by 0 each group does, by 1/2 the larger one twice as much.
static void test_lot(void) {
    const char *const group[] = {"a", "a", "b", "a", "a"};
    const double chance[][2] = {{1, 0.2}, {0, 0.5}, {0.5, 1.0 / 3}}; // power; of "b"
    for (size_t k = 0; k < G_N_ELEMENTS(chance); k++) {
        g_autofree double *reach = seam_lot_reach(5, group, chance[k][0]);
        g_assert_cmpfloat_with_epsilon((reach[2] - reach[1]) / reach[4], chance[k][1], 1e-9);
        g_assert_cmpfloat_with_epsilon(reach[0] / reach[4], (1 - chance[k][1]) / 4, 1e-9);
        double begin = reach[1] / reach[4], end = reach[2] / reach[4];
        g_assert_cmpint(seam_lot_find(5, reach, 0), ==, 0);
        g_assert_cmpint(seam_lot_find(5, reach, begin - 1e-6), ==, 1);
        g_assert_cmpint(seam_lot_find(5, reach, begin + 1e-6), ==, 2);
        g_assert_cmpint(seam_lot_find(5, reach, end + 1e-6), ==, 3);
        g_assert_cmpint(seam_lot_find(5, reach, 1 - 1e-9), ==, 4);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trainer/learns", test_learns);
    g_test_add_func("/trainer/rounded", test_rounded);
    g_test_add_data_func("/trainer/ref/same-bits", NULL, test_same_bits);
    g_test_add_data_func("/trainer/ref/resume", NULL, test_resume);
    g_test_add_data_func("/trainer/cpu/same-bits", "cpu", test_same_bits);
    g_test_add_data_func("/trainer/cpu/resume", "cpu", test_resume);
    g_test_add_func("/trainer/only-tasks", test_only_tasks);
    g_test_add_func("/trainer/nothing", test_nothing_to_train_on);
    g_test_add_func("/trainer/measure", test_measure);
    g_test_add_func("/trainer/finish", test_finish);
    g_test_add_func("/trainer/quantised", test_quantised);
    g_test_add_func("/trainer/quantize", test_quantize);
    g_test_add_func("/trainer/calibration-folds", test_calibration_folds);
    g_test_add_func("/trainer/split", test_split);
    g_test_add_func("/trainer/optimiser", test_optimiser);
    g_test_add_func("/trainer/schedule", test_schedule);
    g_test_add_func("/trainer/loss/classify", test_loss_classify);
    g_test_add_func("/trainer/loss/localise", test_loss_localise);
    g_test_add_func("/trainer/checkpoint", test_checkpoint);
    g_test_add_func("/trainer/checkpoint/broken", test_checkpoint_broken);
    g_test_add_func("/trainer/lot", test_lot);
    return g_test_run();
}
