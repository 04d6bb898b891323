// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Tables of features in training: how columns are measured, what augmentation does to a reading, and that a model learns from them, to the same
// bits with the same seed.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/train/augment.h"
#include "core/train/batch.h"
#include "core/train/feature_table.h"
#include "core/train/trainer.h"
#include "tests/made_up.h"

enum { RECORDS = 40, COLUMNS = 6, QUANTILES = 5 };

static const char recipe_text[] =
    "{\"name\":\"table\",\"config\":{\"dim\":8,\"layers\":1,\"heads\":2,\"experts\":2,\"groups\":1,\"groups_kept\":1,\"top_k\":1,\"expert_width\":8,"
    "\"router_rank\":2,\"mixer\":\"global\",\"fusion_layers\":0,\"fusion_width\":8,\"window\":2,"
    "\"modalities\":["
    "{\"name\":\"a\",\"front\":\"features\",\"channels\":6,\"tokens\":2,\"quantiles\":5},"
    "{\"name\":\"b\",\"front\":\"features\",\"channels\":6,\"tokens\":1}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":0}]},"
    "\"augment\":{\"channel_dropout\":0.05,\"sensor_noise\":0.1,\"time_shift\":0.5},"
    "\"train\":{\"steps\":80,\"batch\":16,\"lr\":0.01,\"warmup\":5,\"ema\":0.9,\"seed\":3}}";

static SeamRecipe *recipe(void) {
    GError *error = NULL;
    SeamRecipe *r = seam_recipe_parse(recipe_text, "recipe", &error);
    g_assert_no_error(error);
    return r;
}

// Half of the records are defective, which moves two columns of each modality; column 0 of "a" counts the records, its last one is missing in some.
static SeamDataset *make_data(const SeamConfig *config) {
    SeamDataset *d = made_up_data(RECORDS);
    SeamRandom random = seam_random(5, 1);
    for (int32_t r = 0; r < RECORDS; r++) {
        SeamRecord *record = made_up_record(d, r, 1, config->window, config, r % 2);
        for (int32_t m = 0; m < 2; m++) {
            float *x = made_up_samples(&record->stream[m], 1, COLUMNS);
            for (int32_t c = 0; c < COLUMNS; c++)
                x[c] = (float)(100 * m + seam_random_normal(&random) + (c == 2 || c == 3 ? 2 * (r % 2) : 0));
            x[0] = m == 0 ? (float)r : x[0];
            x[COLUMNS - 1] = r % 5 == 4 ? NAN : x[COLUMNS - 1];
        }
    }
    return d;
}

static void test_measure(void) {
    SeamRecipe *r = recipe();
    SeamDataset *data = make_data(&r->config);
    g_autofree SeamPart *part = g_new0(SeamPart, RECORDS);
    for (int32_t i = RECORDS / 2; i < RECORDS; i++)
        part[i] = SEAM_PART_VALIDATION; // its values must not be looked at
    seam_train_measure(&r->config, 0, data, part);
    g_assert_cmpfloat_with_epsilon(r->config.modality[0].mean[0], 9.5, 1e-5); // 0 .. 19
    g_assert_cmpfloat_with_epsilon(r->config.modality[0].std[0], sqrt(33.25), 1e-4);
    g_assert_false(isnan(r->config.modality[0].mean[COLUMNS - 1]));
    SeamModel *model = seam_model_new(&r->config, false, 1, NULL);
    g_assert_cmpint(seam_train_measure_quantiles(model, seam_kernels_ref(), data, part), ==, SEAM_OK);
    const float *table = model->embed[0].features.table->data;
    for (int32_t k = 0; k < QUANTILES; k++) // every fourth part of 0 .. 19, less the mean, by the deviation; half precision
        g_assert_cmpfloat_with_epsilon(table[k], (19 * k / 4.0 - 9.5) / sqrt(33.25), 1e-3);
    g_assert_null(model->embed[1].features.table);
    seam_model_free(model);
    seam_dataset_free(data);
    seam_recipe_free(r);
}

static void test_augment(void) {
    SeamModality m = {.front = SEAM_FRONT_FEATURES, .channels = 4, .std = {1, 1, 1, 1}};
    SeamAugment a = {.sensor_noise = 0.5};
    SeamRandom random = seam_random(1, 1);
    double squares = 0;
    for (int32_t i = 0; i < 500; i++) {
        float x[4] = {0, 10, NAN, 7};
        seam_augment_features(&a, &random, &m, x);
        squares += x[0] * x[0];
        g_assert_true(isnan(x[2])); // what is missing stays missing
        g_assert_cmpfloat(x[3], !=, 7);
    }
    g_assert_cmpfloat_with_epsilon(squares / 500, 0.25 / 3, 0.02); // the strength is even from 0 to half of the deviation
    a = (SeamAugment){.channel_dropout = 0.5};
    int32_t missing = 0;
    for (int32_t i = 0; i < 200; i++) {
        float x[4] = {0, 10, 2, 7};
        seam_augment_features(&a, &random, &m, x);
        for (int32_t c = 0; c < 4; c++)
            missing += isnan(x[c]);
        g_assert_true(isnan(x[1]) || x[1] == 10);
    }
    g_assert_cmpint(missing, >, 300);
    g_assert_cmpint(missing, <, 500);
}

// Training draws the window up to an eighth beside its place and shifts clocks; the reading is the window's all the same.
static void test_batch(void) {
    SeamRecipe *r = recipe();
    SeamDataset *data = make_data(&r->config);
    SeamBatch *batch = seam_batch_new(&r->config, 2, NULL);
    SeamAugment still = {.time_shift = 0.5};
    SeamRandom random = seam_random(9, 9);
    for (int32_t i = 0; i < 20; i++) {
        seam_batch_reset(batch);
        g_assert_cmpuint(seam_batch_add(batch, &data->record[3], 0.25 * r->config.window * (i % 2 ? 0.5 : -0.5), 3, 1, &still, &random), ==, 3);
        g_assert_cmpint(batch->part[0].n, ==, 1);
        g_assert_cmpmem(batch->part[0].x, COLUMNS * sizeof(float), data->record[3].stream[0].x, COLUMNS * sizeof(float));
        g_assert_cmpint(batch->label[0], ==, 1);
    }
    seam_batch_free(batch);
    seam_dataset_free(data);
    seam_recipe_free(r);
}

static void keep_progress(void *user, const SeamTrainProgress *progress) {
    *(SeamTrainProgress *)user = *progress;
}

static void test_train(void) {
    SeamRecipe *r = recipe();
    SeamDataset *data = make_data(&r->config);
    g_autofree SeamPart *part = g_new0(SeamPart, RECORDS);
    SeamTrainProgress shown = {0};
    SeamTrainRun how = {.progress = keep_progress, .user = &shown};
    GError *error = NULL;
    seam_train_measure(&r->config, 0, data, part);
    SeamModel *model = seam_train(r, &r->config, data, part, seam_kernels_ref(), &how, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(shown.accuracy, >, 0.8);
    SeamModel *again = seam_train(r, &r->config, data, part, seam_kernels_ref(), &how, &error);
    g_assert_cmpmem(model->params->data, model->params->size * sizeof(float), again->params->data, again->params->size * sizeof(float));
    const SeamTensor *table = model->embed[0].features.table;
    g_assert_cmpfloat_with_epsilon(table->data[QUANTILES - 1], (39 - r->config.modality[0].mean[0]) / r->config.modality[0].std[0], 1e-3);
    seam_model_free(model);
    seam_model_free(again);
    seam_dataset_free(data);
    seam_recipe_free(r);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/feature-training/measure", test_measure);
    g_test_add_func("/feature-training/augment", test_augment);
    g_test_add_func("/feature-training/batch", test_batch);
    g_test_add_func("/feature-training/train", test_train);
    return g_test_run();
}
