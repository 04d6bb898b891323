// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The deletion test on a model that is known to look at the right place, and on the same one with its heat map turned around: the first must pass, the second
// must not.
#include <glib.h>
#include <math.h>

#include "core/random.h"
#include "core/train/deletion.h"
#include "core/train/memory.h"
#include "core/train/trainer.h"
#include "tests/made_up.h"

enum { RECORDS = 24, SIZE = 32, RATE = 8, VIDEO = 0, SENSORS = 1 };

static const char recipe_text[] =
    "{\"name\":\"tiny\",\"config\":{\"dim\":8,\"layers\":1,\"heads\":2,\"experts\":2,\"groups\":2,\"groups_kept\":1,\"top_k\":1,\"expert_width\":8,"
    "\"router_rank\":4,\"mixer\":[\"local\"],\"local_radius\":1,\"fusion_layers\":1,\"fusion_neighbours\":2,\"fusion_width\":8,"
    "\"modalities\":["
    "{\"name\":\"video\",\"front\":\"image\",\"channels\":1,\"size\":32,\"stem\":[4,8,8]},"
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":1,\"rate\":8,\"patch\":4,\"time_bins\":2,\"fft\":4,\"bands\":2,\"arc_channel\":0}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":2},"
    "{\"name\":\"localise\",\"kind\":\"localise\",\"rank\":2,\"upscale\":2},"
    "{\"name\":\"anomaly\",\"kind\":\"anomaly\",\"rank\":0,\"memory\":200,\"neighbours\":1,\"patches\":1}]},"
    "\"train\":{\"steps\":150,\"batch\":8,\"lr\":0.01,\"warmup\":5,\"ema\":0.9,\"seed\":3}}";

// Stripes of one pixel in a small square, as large as what is removed: blurring them takes them away. Both kinds are equally bright.
static void make_record(SeamRecord *r, const SeamConfig *config, int32_t i) {
    SeamRandom random = seam_random(5, (uint64_t)i);
    bool defect = i % 2;
    SeamStream *video = &r->stream[VIDEO], *sensors = &r->stream[SENSORS];
    r->name = g_strdup_printf("run-%d", i);
    r->group = g_strdup(r->name);
    seam_record_set_label(r, config, defect ? "porosity" : "good");
    r->duration = r->arc_end = 1;
    *video = (SeamStream){.pictures = 1, .picture_time = g_new(double, 1), .pixels = g_malloc(SIZE * SIZE)};
    video->picture_time[0] = 0.5;
    for (int32_t p = 0; p < SIZE * SIZE; p++) {
        int32_t x = p % SIZE, y = p / SIZE;
        bool striped = defect && x >= 8 && x < 16 && y >= 8 && y < 16;
        video->pixels[p] = (uint8_t)(110 + (striped ? (p % 2 ? 90 : -90) : 0) + seam_random_below(&random, 20));
    }
    *sensors = (SeamStream){.samples = RATE, .x = g_new(float, RATE)};
    for (int32_t k = 0; k < RATE; k++)
        sensors->x[k] = (float)seam_random_normal(&random);
    r->has_truth = r->has_boxes = true;
    r->truth = g_new0(SeamTruth, 1);
    r->n_truth = defect;
    r->truth[0] = (SeamTruth){.duration = 1, .class_index = 1, .has_box = true, .box = {0.375f, 0.375f, 0.25f, 0.25f, 1, 1}};
}

typedef struct {
    SeamRecipe *recipe;
    SeamDataset *data;
    SeamModel *model;
} Fixture;

static void setup(Fixture *f, gconstpointer user) {
    SeamPart part[RECORDS] = {0};
    GError *error = NULL;
    f->recipe = seam_recipe_parse(recipe_text, "tiny", &error);
    g_assert_no_error(error);
    f->data = made_up_data(RECORDS);
    f->data->own_classes = true;
    for (int32_t i = 0; i < RECORDS; i++)
        make_record(&f->data->record[i], &f->recipe->config, i);
    seam_train_measure(&f->recipe->config, f->recipe->given_mean, f->data, part);
    f->model = seam_train(f->recipe, &f->recipe->config, f->data, part, seam_kernels_ref(), &(SeamTrainRun){0}, &error);
    g_assert_no_error(error);
}

static void teardown(Fixture *f, gconstpointer user) {
    seam_model_free(f->model);
    seam_dataset_free(f->data);
    seam_recipe_free(f->recipe);
}

static SeamDeletion run(Fixture *f, uint32_t tasks) {
    SeamCalibration *calibration = seam_calibration_new();
    SeamEvaluateOptions options = {.model = f->model, .kernels = seam_kernels_ref(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = tasks};
    SeamEvaluateWhat what = {.only = UINT32_MAX, .draws = 200};
    SeamDeletion d;
    GError *error = NULL;
    g_assert_true(seam_deletion(&options, f->data, &what, &d, &error));
    g_assert_no_error(error);
    seam_calibration_free(calibration);
    return d;
}

static void assert_faithful(const SeamDeletion *d) {
    g_assert_cmpint(d->pictures.n, >=, RECORDS / 2 - 2);
    g_assert_cmpfloat(d->pictures.share, >, 0.8);
    g_assert_cmpfloat(d->pictures.difference.low, >, 0);
    g_assert_cmpint(d->with_boxes, ==, RECORDS / 2);
    g_assert_cmpfloat_with_epsilon(d->area_of_boxes, 0.0625, 1e-9);
    g_assert_cmpfloat(d->heat_in_boxes, >, 0.4);
    g_assert_cmpfloat(d->pointing, >, 0.9);
}

static void test_faithful(Fixture *f, gconstpointer user) {
    SeamDeletion d = run(f, UINT32_MAX);
    assert_faithful(&d);
    g_assert_cmpint(d.modalities.n, ==, RECORDS);
    g_assert_cmpfloat(d.agreement, >, 0.8);
    JsonObject *o = seam_deletion_print(&d), *pictures = json_object_get_object_member(o, "pictures");
    g_assert_cmpfloat(json_object_get_double_member(pictures, "pointed"), >, json_object_get_double_member(pictures, "elsewhere"));
    json_object_unref(o);
}

// The heat of the classifier's own shares, where nothing localises.
static void test_shares(Fixture *f, gconstpointer user) {
    SeamDeletion d = run(f, 1);
    assert_faithful(&d);
}

static void test_turned_around(Fixture *f, gconstpointer user) {
    SeamLinear *head = &f->model->task[1].localise.head;
    for (size_t i = 0; i < head->weight->size; i++)
        head->weight->data[i] *= -1;
    for (size_t i = 0; i < head->bias->size; i++)
        head->bias->data[i] *= -1;
    SeamDeletion d = run(f, UINT32_MAX);
    g_assert_cmpfloat(d.pictures.share, <, 0.5);
    g_assert_cmpfloat(d.pictures.pointed, <, d.pictures.elsewhere);
    g_assert_cmpfloat(d.heat_in_boxes, <, 0.0625);
    g_assert_cmpfloat(d.pointing, ==, 0);
}

// Without a classifier the distance from good ones falls when a good picture's cells stand in the hottest cells' place, and hardly changes elsewhere: they are at the picture's level.
static void test_anomaly(Fixture *f, gconstpointer user) {
    SeamFeatures features;
    bool good[RECORDS], in[RECORDS], held[RECORDS];
    GError *error = NULL;
    for (int32_t i = 0; i < RECORDS; i++) {
        good[i] = !f->data->record[i].defect;
        in[i] = good[i] && i < RECORDS / 2;
        held[i] = good[i] && !in[i];
    }
    g_assert_true(seam_features_gather(&features, f->model, seam_kernels_ref(), f->data, good, 0, &error));
    g_assert_true(seam_memory_fit(f->model, &features, in, held, seam_kernels_ref(), 1, &error));
    g_assert_true(seam_memory_fit_patches(f->model, &features, in, held, seam_kernels_ref(), 1, &error));
    seam_features_clear(&features);
    SeamDeletion d = run(f, 1u << 2);
    g_assert_cmpint(d.pictures.n, ==, RECORDS / 2);
    g_assert_cmpfloat(d.pictures.pointed, >, 1);
    g_assert_cmpfloat(fabs(d.pictures.elsewhere), <, 0.3);
    g_assert_cmpint(d.modalities.n, ==, 0);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/deletion/faithful", Fixture, NULL, setup, test_faithful, teardown);
    g_test_add("/deletion/shares", Fixture, NULL, setup, test_shares, teardown);
    g_test_add("/deletion/turned-around", Fixture, NULL, setup, test_turned_around, teardown);
    g_test_add("/deletion/anomaly", Fixture, NULL, setup, test_anomaly, teardown);
    return g_test_run();
}
