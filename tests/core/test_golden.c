// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The C model against its twin in PyTorch (tests/reference): every stage's output and every parameter's gradient, with the ref kernels and
// with those of this machine. The vectors lie in tests/golden; `./run test --long` makes them anew and compares.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/model.h"
#include "tests/core/differences.h"
#include "tests/core/golden.h"
#include "tests/core/small_model.h"

enum { WINDOWS = 3, STREAMS = 4, LAYERS = 2, EXPERTS_A_TOKEN = 2, MOST_INPUTS = 3 };
enum { CLASSIFY = 0, LOCALISE = 1, ANOMALY = 2 };

// When the inputs come: as in golden.py.
static const double times[STREAMS][MOST_INPUTS] = {{0.25, 1.5, 2.5}, {0.25, 4.75}, {0, 2}, {0.5, 2.75}};
static const int32_t inputs[STREAMS] = {3, 2, 2, 2};

typedef struct {
    SeamSafetensors *file;
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    float balance;
} Golden;

typedef struct {
    union {
        SeamImageEmbedSaved image;
        SeamSensorEmbedSaved sensor;
        SeamTextEmbedSaved text;
    } embed[STREAMS];
    SeamEncoderSaved encoder[STREAMS][LAYERS];
    SeamTokens stream[STREAMS]; // encoded
    int32_t window_of[MOST_SEQS];
    SeamFusionSaved fusion;
    SeamTokens fused;
    SeamClassifySaved classify;
    SeamLocaliseSaved localise;
    size_t heat; // cells of all heat maps
} Pass;

// ---- the file ---------------------------------------------------------------------------------------------------------------

static void load_params(Golden *g) {
    GPtrArray *tensors = g->model->params->tensors;
    int32_t stored = 0;
    for (int32_t i = 0; i < seam_safetensors_count(g->file); i++)
        stored += g_str_has_prefix(seam_safetensors_array(g->file, i)->name, "param.");
    g_assert_cmpint(stored, ==, tensors->len);
    for (guint i = 0; i < tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(tensors, i);
        g_autofree char *name = g_strconcat("param.", t->name, NULL);
        g_autofree float *x = golden_values(g->file, "", name, t->size);
        const SeamArray *array = seam_safetensors_find(g->file, name);
        g_assert_cmpmem(array->shape, t->rank * sizeof(int32_t), t->shape, t->rank * sizeof(int32_t));
        memcpy(t->data, x, t->size * sizeof *x);
    }
}

static void setup(Golden *g, const SeamKernels *kernels) {
    SeamConfig config;
    GError *error = NULL;
    g->file = golden_open("golden.safetensors");
    g_assert_true(seam_config_parse(&config, seam_safetensors_metadata(g->file, "config"), "golden", &error));
    g_assert_no_error(error);
    g->balance = (float)g_ascii_strtod(seam_safetensors_metadata(g->file, "balance"), NULL);
    g->model = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    g_assert_true(seam_anomaly_load(&g->model->task[ANOMALY].anomaly, g->file, &error));
    g_assert_no_error(error);
    load_params(g);
    g_assert_true(seam_arena_init(&g->arena, 8 << 20));
    g->run = (SeamRun){kernels, &g->arena};
}

static void teardown(Golden *g) {
    seam_model_free(g->model);
    seam_safetensors_free(g->file);
    seam_arena_clear(&g->arena);
}

// ---- forward ----------------------------------------------------------------------------------------------------------------

static void embed_images(Golden *g, int32_t m, SeamTokens *out, SeamImageEmbedSaved *saved) {
    const SeamModality *modality = &g->model->config.modality[m];
    size_t bytes = (size_t)inputs[m] * modality->image.size * modality->image.size * modality->channels;
    g_autofree char *name = g_strconcat("input.", modality->name, NULL);
    g_autofree float *x = golden_values(g->file, "", name, bytes);
    g_autofree uint8_t *pixels = g_malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)x[i];
    assert_ok(seam_model_embed_images(g->model, &g->run, m, inputs[m], pixels, times[m], out, saved));
}

static void embed_windows(Golden *g, int32_t m, SeamTokens *out, SeamSensorEmbedSaved *saved) {
    const SeamModality *modality = &g->model->config.modality[m];
    int32_t samples = g->model->embed[m].sensor.samples;
    size_t each = (size_t)samples * modality->channels;
    g_autofree char *name = g_strconcat("input.", modality->name, NULL);
    g_autofree float *x = golden_values(g->file, "", name, (size_t)inputs[m] * each);
    SeamSensorWindow window[MOST_INPUTS];
    for (size_t i = 0; i < (size_t)inputs[m] * each; i++)
        x[i] = x[i] > 1e29f ? NAN : x[i]; // the file holds no NaN
    for (int32_t w = 0; w < inputs[m]; w++)
        window[w] = (SeamSensorWindow){.time = times[m][w], .samples = samples, .x = x + w * each, .valid = samples};
    assert_ok(seam_model_embed_windows(g->model, &g->run, m, inputs[m], window, out, saved));
}

static void embed(Golden *g, int32_t m, SeamTokens *out, Pass *pass, bool train) {
    const char *const text[] = {seam_safetensors_metadata(g->file, "text.0"), seam_safetensors_metadata(g->file, "text.1")};
    switch (g->model->config.modality[m].front) {
    case SEAM_FRONT_IMAGE:
        embed_images(g, m, out, train ? &pass->embed[m].image : NULL);
        break;
    case SEAM_FRONT_FEATURES: // has vectors of its own, see test_features
        g_assert_not_reached();
    case SEAM_FRONT_SENSOR:
        embed_windows(g, m, out, train ? &pass->embed[m].sensor : NULL);
        break;
    case SEAM_FRONT_TEXT:
        assert_ok(seam_model_embed_texts(g->model, &g->run, m, inputs[m], text, times[m], out, train ? &pass->embed[m].text : NULL));
        break;
    }
}

static void compare_routes(const Golden *g, const char *prefix, const char *name, const SeamEncoderSaved *saved) {
    size_t each = (size_t)saved->n * EXPERTS_A_TOKEN;
    g_autofree char *full = g_strconcat(prefix, name, NULL);
    g_autofree float *want = golden_values(g->file, "", full, LAYERS * each);
    for (int32_t l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < each; i++)
            g_assert_cmpint(saved[l].moe.index[i], ==, (int32_t)want[l * each + i]);
}

static void embed_and_encode(Golden *g, const char *prefix, bool train, Pass *pass) {
    g_autofree char *embedded = g_strconcat(prefix, "embedded.", NULL), *encoded = g_strconcat(prefix, "encoded.", NULL);
    g_autofree char *routes = g_strconcat(prefix, "routes.", NULL);
    for (int32_t m = 0; m < STREAMS; m++) {
        const char *name = g->model->config.modality[m].name;
        SeamTokens *t = &pass->stream[m];
        embed(g, m, t, pass, train);
        size_t size = (size_t)t->n * t->dim;
        golden_compare(g->file, embedded, name, size, t->x);
        assert_ok(seam_model_encode(g->model, &g->run, 0, LAYERS - 1, t, NULL, train ? pass->encoder[m] : NULL));
        golden_compare(g->file, encoded, name, size, t->x);
        if (train)
            compare_routes(g, routes, name, pass->encoder[m]);
    }
}

static void run_tasks(Golden *g, const char *prefix, bool train, Pass *pass) {
    SeamClassifyOut evidence;
    SeamLocaliseOut map;
    float distance[WINDOWS * STREAMS];
    uint32_t scored[WINDOWS];
    SeamModel *m = g->model;
    assert_ok(seam_classify_forward(&m->task[CLASSIFY].classify, &g->run, &pass->fused, &evidence, train ? &pass->classify : NULL));
    golden_compare(g->file, prefix, "logits", (size_t)WINDOWS * m->config.n_classes, evidence.logits);
    golden_compare(g->file, prefix, "contributions", (size_t)WINDOWS * STREAMS * m->config.n_classes, evidence.contributions);
    assert_ok(seam_localise_forward(&m->task[LOCALISE].localise, &g->run, &pass->fused, &map, train ? &pass->localise : NULL));
    golden_compare(g->file, prefix, "heat", map.size, map.logits);
    pass->heat = map.size;
    assert_ok(seam_anomaly_forward(&m->task[ANOMALY].anomaly, &g->run, &pass->fused, distance, scored));
    golden_compare(g->file, prefix, "distance", WINDOWS * STREAMS, distance);
}

static void forward(Golden *g, const char *prefix, bool train, Pass *pass) {
    const double window_time[WINDOWS] = {0, 2, 4};
    embed_and_encode(g, prefix, train, pass);
    SeamTokens all = lay_together(&g->arena, &g->model->config, STREAMS, pass->stream, pass->window_of);
    assert_ok(seam_model_fuse(g->model, &g->run, &all, WINDOWS, pass->window_of, window_time, &pass->fused, train ? &pass->fusion : NULL));
    golden_compare(g->file, prefix, "fused", (size_t)pass->fused.n * pass->fused.dim, pass->fused.x);
    run_tasks(g, prefix, train, pass);
}

// ---- backward ---------------------------------------------------------------------------------------------------------------

// dfused [n, dim] = the gradients of both tasks.
static float *tasks_backward(Golden *g, Pass *pass) {
    size_t size = (size_t)pass->fused.n * pass->fused.dim;
    float *sum = SEAM_NEW(&g->arena, float, size), *dx = SEAM_NEW(&g->arena, float, size);
    g_autofree float *dlogits = golden_values(g->file, "", "weight.logits", (size_t)WINDOWS * g->model->config.n_classes);
    g_autofree float *dheat = golden_values(g->file, "", "weight.heat", pass->heat);
    assert_ok(seam_classify_backward(&g->model->task[CLASSIFY].classify, &g->run, &pass->classify, dlogits, sum));
    assert_ok(seam_localise_backward(&g->model->task[LOCALISE].localise, &g->run, &pass->localise, dheat, dx));
    assert_ok(g->run.kernels->add(size, dx, sum));
    return sum;
}

static void backward(Golden *g, Pass *pass) {
    double balance = 0;
    float *dfused = tasks_backward(g, pass), *at = SEAM_NEW(&g->arena, float, (size_t)pass->fused.n * pass->fused.dim);
    assert_ok(seam_model_fuse_backward(g->model, &g->run, &pass->fusion, dfused, at));
    for (int32_t m = 0; m < STREAMS; at += (size_t)pass->stream[m].n * pass->fused.dim, m++) {
        assert_ok(seam_model_encode_backward(g->model, &g->run, 0, LAYERS - 1, pass->encoder[m], g->balance, &balance, at));
        if (g->model->config.modality[m].front == SEAM_FRONT_IMAGE)
            assert_ok(seam_model_embed_images_backward(g->model, &g->run, m, &pass->embed[m].image, at));
        else if (g->model->config.modality[m].front == SEAM_FRONT_SENSOR)
            assert_ok(seam_model_embed_windows_backward(g->model, &g->run, m, &pass->embed[m].sensor, at));
        else
            assert_ok(seam_model_embed_texts_backward(g->model, &g->run, m, &pass->embed[m].text, at));
    }
    golden_compare(g->file, "", "balance", 1, &(float){(float)balance});
}

// ---- tests ------------------------------------------------------------------------------------------------------------------

static const SeamKernels *kernels_of(const void *data) {
    return data ? seam_kernels_cpu() : seam_kernels_ref();
}

// As in training: all gates count.
static void test_training(const void *data) {
    Golden g;
    Pass *pass = g_new0(Pass, 1);
    setup(&g, kernels_of(data));
    forward(&g, "", true, pass);
    seam_params_zero_grad(g.model->params);
    backward(&g, pass);
    for (guint i = 0; i < g.model->params->tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(g.model->params->tensors, i);
        golden_compare(g.file, "grad.", t->name, t->size, t->grad);
    }
    g_free(pass);
    teardown(&g);
}

// As in the pipeline: gates below the threshold, here nearly half of them, are closed.
static void test_inference(const void *data) {
    Golden g;
    Pass *pass = g_new0(Pass, 1);
    setup(&g, kernels_of(data));
    forward(&g, "closed.", false, pass);
    g_free(pass);
    teardown(&g);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/golden/ref/training", NULL, test_training);
    g_test_add_data_func("/golden/ref/inference", NULL, test_inference);
    g_test_add_data_func("/golden/cpu/training", "cpu", test_training);
    g_test_add_data_func("/golden/cpu/inference", "cpu", test_inference);
    return g_test_run();
}
