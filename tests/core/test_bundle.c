// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Bundles on disk: written, read, loaded; and what happens when the parts do not belong together.
#include "core/bundle.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"

typedef struct {
    char *path;
    SeamConfig config;
    SeamParams *params;
} Fixture;

static SeamParams *make_params(int32_t width, uint64_t seed) {
    SeamParams *params = seam_params_new();
    seam_params_declare(params, "project.weight", SEAM_INIT_LINEAR, true, width, 4, 0, 0);
    seam_params_declare(params, "place.bias", SEAM_INIT_ONE, false, 3, 0, 0, 0);
    seam_params_declare(params, "tasks.classify.weight", SEAM_INIT_SMALL, true, 2, 2, 0, 0);
    g_assert_true(seam_params_allocate(params, false, NULL));
    seam_params_init(params, seed);
    return params;
}

static void set_up(Fixture *f, gconstpointer data) {
    static const SeamModality text = {
        .name = "text",
        .front = SEAM_FRONT_TEXT,
        .sparse = true,
        .text = {.buckets = 64, .ngram_min = 3, .ngram_max = 5, .max_tokens = 8}};
    f->path = g_dir_make_tmp("seam-bundle-XXXXXX", NULL);
    g_assert_true(seam_config_preset(&f->config, "nano", NULL));
    f->config.modality[f->config.n_modalities++] = text;
    g_strlcpy(f->config.class_name[0], "good", SEAM_NAME_LENGTH);
    g_strlcpy(f->config.class_name[1], "bad", SEAM_NAME_LENGTH);
    f->config.n_classes = 2;
    f->config.task[0] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 2};
    f->config.task[1] =
        (SeamTask){.name = "anomaly", .kind = SEAM_TASK_ANOMALY, .memory = 4, .neighbours = 1};
    f->config.n_tasks = 2;
    f->params = make_params(5, 1);
    JsonObject *meta =
        seam_json_parse("{\"name\":\"test\",\"metrics\":{\"auc\":0.5}}", "meta", NULL);
    g_assert_true(seam_bundle_write(f->path, &f->config, f->params, false, meta, NULL));
    json_object_unref(meta);
}

static void tear_down(Fixture *f, gconstpointer data) {
    const char *const names[] = {"adapters/classify.safetensors", "adapters/anomaly.safetensors",
                                 "adapters", "model.json", "weights.safetensors"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(f->path, names[i], NULL);
        g_remove(path);
    }
    // Fails when a temporary file was left behind.
    g_assert_cmpint(g_rmdir(f->path), ==, 0);
    g_free(f->path);
    seam_params_free(f->params);
}

static void test_round_trip(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;
    SeamBundle *bundle = seam_bundle_open(f->path, true, &error);
    g_assert_no_error(error);
    g_autofree char *before = seam_config_print(&f->config),
                    *after = seam_config_print(&bundle->config);
    g_assert_cmpstr(before, ==, after);
    g_assert_cmpuint(strlen(bundle->fingerprint), ==, 16);
    g_assert_cmpstr(json_object_get_string_member(bundle->meta, "name"), ==, "test");
    g_assert_nonnull(bundle->adapter[0]);
    g_assert_null(bundle->adapter[1]);
    SeamParams *loaded = make_params(5, 2);
    g_assert_true(seam_bundle_load_params(bundle->weights, loaded, NULL, &error));
    g_assert_true(seam_bundle_load_params(bundle->adapter[0], loaded, "tasks.classify.", &error));
    g_assert_cmpmem(loaded->data, loaded->size * 4, f->params->data, f->params->size * 4);
    seam_params_free(loaded);
    seam_bundle_free(bundle);
}

static void test_half_precision(Fixture *f, gconstpointer data) {
    g_assert_true(seam_bundle_write(f->path, &f->config, f->params, true, NULL, NULL));
    SeamBundle *bundle = seam_bundle_open(f->path, true, NULL);
    SeamParams *loaded = make_params(5, 2);
    g_assert_true(seam_bundle_load_params(bundle->weights, loaded, NULL, NULL));
    for (int i = 0; i < 20; i++)
        g_assert_cmpfloat_with_epsilon(loaded->data[i], f->params->data[i], 1e-3);
    seam_params_free(loaded);
    seam_bundle_free(bundle);
}

static void test_other_shape(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;
    SeamBundle *bundle = seam_bundle_open(f->path, false, NULL);
    SeamParams *other = make_params(6, 2);
    g_assert_false(seam_bundle_load_params(bundle->weights, other, NULL, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE);
    g_assert_nonnull(strstr(error->message, "\"project.weight\" is [5, 4], must be [6, 4]"));
    seam_params_free(other);
    seam_bundle_free(bundle);
}

static void test_unknown_and_missing_tensor(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;
    SeamBundle *bundle = seam_bundle_open(f->path, false, NULL);
    SeamParams *fewer = seam_params_new(), *more = seam_params_new();
    seam_params_declare(fewer, "project.weight", SEAM_INIT_ZERO, true, 5, 4, 0, 0);
    seam_params_declare(more, "project.other", SEAM_INIT_ZERO, true, 1, 0, 0, 0);
    g_assert_false(seam_bundle_check_params(bundle->weights, fewer, NULL, &error));
    g_assert_nonnull(strstr(error->message, "\"place.bias\" is not part"));
    g_clear_error(&error);
    g_assert_false(seam_bundle_check_params(bundle->weights, more, NULL, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_MISSING);
    seam_params_free(fewer);
    seam_params_free(more);
    seam_bundle_free(bundle);
}

// Other weights under an adapter that was made for the first ones.
static void test_adapter_of_another_model(Fixture *f, gconstpointer data) {
    g_autoptr(GError) error = NULL;
    g_autofree char *adapter = g_build_filename(f->path, "adapters", "classify.safetensors", NULL);
    SeamBundle *first = seam_bundle_open(f->path, false, NULL);
    g_autofree char *base = g_strdup(first->fingerprint);
    seam_bundle_free(first);
    seam_params_init(f->params, 3);
    g_assert_true(seam_bundle_write(f->path, &f->config, f->params, false, NULL, NULL));
    g_assert_true(seam_bundle_write_adapter(adapter, "classify", base, f->params, false, NULL, 0,
                                            NULL, NULL));
    g_assert_null(seam_bundle_open(f->path, false, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_assert_nonnull(strstr(error->message, base));
    g_assert_nonnull(strstr(error->message, "seam adapt"));
    g_clear_error(&error);
    g_assert_null(seam_bundle_read_adapter(adapter, "anomaly", base, &error));
    g_assert_nonnull(strstr(error->message, "is for the task \"classify\""));
}

static void test_adapter_with_extra(Fixture *f, gconstpointer data) {
    const float rows[4] = {1, 2, 3, 4};
    const SeamNamedArray extra = {
        .name = "memory.text.rows", .dtype = SEAM_F32, .rank = 2, .shape = {2, 2}, .data = rows};
    g_autofree char *path = g_build_filename(f->path, "adapters", "anomaly.safetensors", NULL);
    SeamBundle *bundle = seam_bundle_open(f->path, false, NULL);
    JsonObject *meta = seam_json_parse("{\"k\":1}", "meta", NULL);
    g_assert_true(seam_bundle_write_adapter(path, "anomaly", bundle->fingerprint, f->params, true,
                                            &extra, 1, meta, NULL));
    seam_bundle_free(bundle);
    bundle = seam_bundle_open(f->path, true, NULL);
    g_assert_nonnull(seam_safetensors_find(bundle->adapter[1], "memory.text.rows"));
    g_assert_nonnull(
        strstr(seam_safetensors_metadata(bundle->adapter[1], "seam.meta"), "\"k\": 1"));
    g_assert_true(seam_bundle_load_params(bundle->adapter[1], f->params, "tasks.anomaly.", NULL));
    json_object_unref(meta);
    seam_bundle_free(bundle);
}

static void test_write_meta(Fixture *f, gconstpointer data) {
    JsonObject *meta =
        seam_json_parse("{\"calibration\":{\"a\":1},\"config\":{\"dim\":1}}", "meta", NULL);
    g_assert_true(seam_bundle_write_meta(f->path, meta, NULL));
    SeamBundle *bundle = seam_bundle_open(f->path, false, NULL);
    g_assert_cmpint(bundle->config.dim, ==, 96);
    g_assert_true(json_object_has_member(bundle->meta, "calibration"));
    g_assert_true(json_object_has_member(bundle->meta, "metrics"));
    json_object_unref(meta);
    seam_bundle_free(bundle);
}

static void test_damaged(Fixture *f, gconstpointer data) {
    g_autofree char *weights = g_build_filename(f->path, "weights.safetensors", NULL);
    g_autofree char *model = g_build_filename(f->path, "model.json", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(weights, &bytes, &size, NULL));
    g_assert_true(g_file_set_contents(weights, bytes, (gssize)size - 1, NULL));
    g_assert_null(seam_bundle_open(f->path, false, &error));
    g_assert_nonnull(strstr(error->message, weights));
    g_clear_error(&error);
    // A NaN in the last value is seen only when values are verified.
    const float nan = NAN;
    memcpy(bytes + size - 4, &nan, 4);
    g_assert_true(g_file_set_contents(weights, bytes, (gssize)size, NULL));
    g_autofree char *adapter = g_build_filename(f->path, "adapters", "classify.safetensors", NULL);
    g_remove(adapter);
    SeamBundle *bundle = seam_bundle_open(f->path, false, &error);
    g_assert_no_error(error);
    seam_bundle_free(bundle);
    g_assert_null(seam_bundle_open(f->path, true, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(model, "{\"name\":1}", -1, NULL));
    g_assert_null(seam_bundle_open(f->path, false, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_MISSING);
    g_clear_error(&error);
    g_assert_null(seam_bundle_open("/nowhere.seam", false, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_MISSING);
}

// A quantised tensor and its scale, each a little wrong in turn; the last is right.
static void test_hostile_scale(Fixture *f, gconstpointer data) {
    const float good[5] = {0.5f, 0, 0.25f, 1, 2}, negative[5] = {0.5f, -1, 1, 1, 1}, huge[5] = {1, 1, 3e38f, 1, 1}, bias[3] = {1, 2, 3};
    const int8_t q[20] = {1, -127, 127, 3, 0, 9}, beyond[20] = {1, -128};
    const struct {
        const int8_t *q;
        const float *scale; // NULL: none
        int32_t rows;
        const char *names, *message;
    } cases[] = {
        {q, NULL, 5, "project.weight.scale", "has no \"project.weight.scale\""},
        {q, good, 4, "project.weight.scale", "a number for each row"},
        {q, good, 5, "project.weigh.scale", "has no \"project.weight.scale\""},
        {q, negative, 5, "project.weight.scale", "below 0"},
        {q, huge, 5, "project.weight.scale", "too large"},
        {beyond, good, 5, "project.weight.scale", "-128"},
        {q, good, 5, "project.weight.scale", NULL},
    };
    g_autofree char *path = g_build_filename(f->path, "weights.safetensors", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        SeamParams *params = make_params(5, 2);
        const SeamNamedArray arrays[] = {
            {.name = "project.weight", .dtype = SEAM_I8, .rank = 2, .shape = {5, 4}, .data = cases[i].q},
            {.name = "place.bias", .dtype = SEAM_BF16, .rank = 1, .shape = {3}, .data = bias},
            {.name = cases[i].names, .dtype = SEAM_F32, .rank = 1, .shape = {cases[i].rows}, .data = cases[i].scale},
        };
        g_assert_true(seam_safetensors_write(path, arrays, cases[i].scale ? 3 : 2, NULL, NULL));
        SeamSafetensors *file = seam_safetensors_read(path, NULL);
        g_assert_cmpint(seam_bundle_load_params(file, params, NULL, &error), ==, cases[i].message == NULL);
        if (cases[i].message) {
            g_assert_nonnull(error);
            g_assert_nonnull(strstr(error->message, cases[i].message));
        } else {
            const SeamTensor *weight = g_ptr_array_index(params->tensors, 0), *narrow = g_ptr_array_index(params->tensors, 1);
            g_assert_cmpfloat(weight->data[1], ==, -63.5);
            g_assert_cmpfloat(weight->data[5], ==, 0);
            g_assert_cmpfloat(weight->scale[4], ==, 2);
            g_assert_cmpint(weight->type, ==, SEAM_PACK_I8);
            g_assert_cmpint(narrow->type, ==, SEAM_PACK_BF16);
            g_assert_cmpfloat(narrow->data[2], ==, 3);
        }
        seam_safetensors_free(file);
        seam_params_free(params);
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/bundle/round-trip", test_round_trip},
        {"/bundle/half-precision", test_half_precision},
        {"/bundle/other-shape", test_other_shape},
        {"/bundle/unknown-and-missing-tensor", test_unknown_and_missing_tensor},
        {"/bundle/adapter-of-another-model", test_adapter_of_another_model},
        {"/bundle/adapter-with-extra", test_adapter_with_extra},
        {"/bundle/write-meta", test_write_meta},
        {"/bundle/damaged", test_damaged},
        {"/bundle/hostile-scale", test_hostile_scale},
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
