// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The model as a whole: on disk and back, shared and swapped, in stages and in batches, by several threads, and with next to nothing to look
// at. Whether it computes the right thing: test_golden.c; in how much memory: test_memory.c.
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { CLASSIFY = 0, LOCALISE = 1, ANOMALY = 2, PIXELS = 64, SAMPLES = 16, WINDOWS = 2 };

// ---- fixture ----------------------------------------------------------------------------------------------------------------

typedef struct {
    char *path; // of the bundle
    SeamConfig config;
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    uint8_t pixels[3 * PIXELS];
    float samples[2][2 * SAMPLES];
    SeamSensorWindow window[2];
} Fixture;

static void setup(Fixture *f) {
    GError *error = NULL;
    SeamRandom random = seam_random(1, 2);
    memset(f, 0, sizeof *f);
    f->config = small_config();
    g_strlcpy(f->config.class_name[0], "good", SEAM_NAME_LENGTH);
    g_strlcpy(f->config.class_name[1], "porosity", SEAM_NAME_LENGTH);
    f->config.n_classes = 2;
    f->config.n_tasks = 3;
    f->config.task[CLASSIFY] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 2};
    f->config.task[LOCALISE] = (SeamTask){.name = "localise", .kind = SEAM_TASK_LOCALISE, .rank = 2, .upscale = 2};
    f->config.task[ANOMALY] = (SeamTask){.name = "anomaly", .kind = SEAM_TASK_ANOMALY, .memory = 4, .neighbours = 1};
    f->path = g_dir_make_tmp("seam-model-XXXXXX", &error);
    f->model = seam_model_new(&f->config, true, 3, &error);
    g_assert_no_error(error);
    g_assert_true(seam_bundle_write(f->path, &f->config, f->model->params, false, NULL, &error));
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    for (size_t i = 0; i < sizeof f->pixels; i++)
        f->pixels[i] = (uint8_t)seam_random_below(&random, 256);
    for (int32_t w = 0; w < 2; w++) {
        fill(&random, f->samples[w], 2 * SAMPLES, 1);
        f->window[w] = (SeamSensorWindow){.time = 2 * w, .samples = SAMPLES, .x = f->samples[w], .valid = SAMPLES};
    }
}

static char *file_of(const Fixture *f, const char *name) {
    return g_build_filename(f->path, name, NULL);
}

static void teardown(Fixture *f) {
    const char *const names[] = {"adapters/classify.safetensors", "adapters/localise.safetensors", "adapters/other.safetensors", "adapters",
                                 "model.json", "weights.safetensors", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = file_of(f, names[i]);
        g_remove(path);
    }
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
    g_free(f->path);
}

// Every stream of two windows: three pictures, two sensor windows, two texts.
static void embed_all(const Fixture *f, const SeamModel *model, SeamRun *run, SeamTokens *stream) {
    const double picture_time[3] = {0.25, 1.5, 2.5}, text_time[2] = {0.5, 3};
    const char *const text[2] = {"Gas low", "ok"};
    assert_ok(seam_model_embed_images(model, run, VIDEO, 3, f->pixels, picture_time, &stream[VIDEO], NULL));
    assert_ok(seam_model_embed_windows(model, run, SENSORS, 2, f->window, &stream[SENSORS], NULL));
    assert_ok(seam_model_embed_texts(model, run, TEXT, 2, text, text_time, &stream[TEXT], NULL));
}

static void fuse_all(const SeamModel *model, SeamRun *run, const SeamTokens *stream, int32_t windows, SeamTokens *fused) {
    const double window_time[WINDOWS] = {0, 2};
    int32_t window_of[MOST_SEQS];
    SeamTokens all = lay_together(run->arena, &model->config, MODALITIES, stream, window_of);
    assert_ok(seam_model_fuse(model, run, &all, windows, window_of, window_time, fused, NULL));
}

// The whole way to the logits of both windows.
static void run_model(const Fixture *f, const SeamModel *model, SeamRun *run, float logits[WINDOWS * 2]) {
    SeamTokens stream[MODALITIES], fused;
    SeamClassifyOut out;
    size_t mark = seam_arena_mark(run->arena);
    embed_all(f, model, run, stream);
    for (int32_t m = 0; m < MODALITIES; m++)
        assert_ok(seam_model_encode(model, run, 0, 1, &stream[m], NULL, NULL));
    fuse_all(model, run, stream, WINDOWS, &fused);
    assert_ok(seam_classify_forward(&model->task[CLASSIFY].classify, run, &fused, &out, NULL));
    memcpy(logits, out.logits, WINDOWS * 2 * sizeof *logits);
    seam_arena_release(run->arena, mark);
}

// ---- on disk ----------------------------------------------------------------------------------------------------------------

static void test_round_trip(void) {
    Fixture f;
    GError *error = NULL;
    float before[4], after[4];
    setup(&f);
    SeamModel *loaded = seam_model_load(f.path, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(loaded->params->data, loaded->params->size * sizeof(float), f.model->params->data, f.model->params->size * sizeof(float));
    g_assert_null(loaded->params->grad);
    g_assert_cmpuint(strlen(loaded->fingerprint), ==, SEAM_FINGERPRINT_LENGTH - 1);
    g_assert_cmpstr(f.model->fingerprint, ==, "");
    run_model(&f, f.model, &f.run, before);
    run_model(&f, loaded, &f.run, after);
    g_assert_cmpmem(before, sizeof before, after, sizeof after);
    g_assert_true(seam_model_task_ready(loaded, CLASSIFY));
    g_assert_true(seam_model_task_ready(loaded, LOCALISE));
    g_assert_false(seam_model_task_ready(loaded, ANOMALY)); // it has no memory
    seam_model_free(loaded);
    teardown(&f);
}

// The name of a model is what it computes: the same weights the same name, one other weight another.
static void test_fingerprint(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    SeamModel *a = seam_model_load(f.path, &error), *b = seam_model_load(f.path, &error);
    f.model->encoder[1].moe.up->data[3] += 1;
    g_assert_true(seam_bundle_write(f.path, &f.config, f.model->params, false, NULL, &error));
    SeamModel *c = seam_model_load(f.path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(a->fingerprint, ==, b->fingerprint);
    g_assert_cmpstr(a->fingerprint, !=, c->fingerprint);
    seam_model_free(a);
    seam_model_free(b);
    seam_model_free(c);
    teardown(&f);
}

static void test_task_not_there(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    g_autofree char *path = file_of(&f, "adapters/localise.safetensors");
    g_assert_cmpint(g_remove(path), ==, 0);
    SeamModel *model = seam_model_load(f.path, &error);
    g_assert_no_error(error);
    g_assert_true(seam_model_task_ready(model, CLASSIFY));
    g_assert_false(seam_model_task_ready(model, LOCALISE));
    seam_model_free(model);
    g_assert_null(seam_model_load("/nonexistent/model.seam", &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent/model.seam"));
    g_clear_error(&error);
    teardown(&f);
}

static void test_weights_of_another_model(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    SeamConfig wider = f.config;
    wider.expert_width++;
    SeamModel *other = seam_model_new(&wider, false, 1, &error);
    g_autofree char *folder = g_dir_make_tmp("seam-model-XXXXXX", &error), *from = g_build_filename(folder, "weights.safetensors", NULL);
    g_autofree char *to = file_of(&f, "weights.safetensors"), *json = g_build_filename(folder, "model.json", NULL);
    g_assert_true(seam_bundle_write(folder, &wider, other->params, false, NULL, &error));
    g_assert_cmpint(g_rename(from, to), ==, 0);
    g_assert_null(seam_model_load(f.path, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    const char *const left[] = {"adapters/classify.safetensors", "adapters/localise.safetensors", "adapters", "model.json", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
        g_autofree char *path = g_build_filename(folder, left[i], NULL);
        g_assert_cmpint(g_remove(path), ==, 0);
    }
    seam_model_free(other);
    teardown(&f);
}

// ---- shared and swapped -----------------------------------------------------------------------------------------------------

static void test_sharing(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    SeamModel *a = seam_model_acquire(f.path, f.run.kernels, &error), *b = seam_model_acquire(f.path, f.run.kernels, &error);
    g_assert_no_error(error);
    g_assert_true(a == b);
    g_assert_true(seam_model_ref(a) == a);
    seam_model_release(b);
    seam_model_release(a);
    g_assert_cmpfloat(a->params->data[0], ==, f.model->params->data[0]); // the third holder still has it
    f.model->params->data[0] += 1;
    g_assert_true(seam_bundle_write(f.path, &f.config, f.model->params, false, NULL, &error));
    SeamModel *c = seam_model_acquire(f.path, f.run.kernels, &error);
    g_assert_true(c != a); // the files are others now
    g_assert_cmpfloat(c->params->data[0], ==, f.model->params->data[0]);
    seam_model_release(c);
    seam_model_release(a);
    g_assert_null(seam_model_acquire("/nonexistent/model.seam", f.run.kernels, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    teardown(&f);
}

// Writes the model's classify task with its bias moved by `shift` to adapters/other.safetensors; returns that path.
static char *write_other(const Fixture *f, const char *fingerprint, float shift) {
    GError *error = NULL;
    char *path = file_of(f, "adapters/other.safetensors");
    f->model->task[CLASSIFY].classify.bias->data[1] += shift;
    g_assert_true(seam_bundle_write_adapter(path, "classify", fingerprint, f->model->params, false, NULL, 0, NULL, &error));
    g_assert_no_error(error);
    f->model->task[CLASSIFY].classify.bias->data[1] -= shift;
    return path;
}

// The new model shares everything but the task; the old one goes on unchanged, and may be released first.
static void test_adapter(void) {
    Fixture f;
    GError *error = NULL;
    float before[4], swapped[4], after[4];
    setup(&f);
    SeamModel *base = seam_model_acquire(f.path, f.run.kernels, &error);
    g_autofree char *path = write_other(&f, base->fingerprint, 5);
    run_model(&f, base, &f.run, before);
    SeamModel *model = seam_model_with_adapter(base, CLASSIFY, path, &error);
    g_assert_no_error(error);
    g_assert_true(model->params == base->params);
    g_assert_true(model->task[LOCALISE].localise.head.weight == base->task[LOCALISE].localise.head.weight);
    run_model(&f, base, &f.run, after);
    g_assert_cmpmem(before, sizeof before, after, sizeof after);
    SeamModel *again = seam_model_with_adapter(model, CLASSIFY, path, &error);
    g_assert_no_error(error);
    seam_model_release(base);
    seam_model_release(model);
    run_model(&f, again, &f.run, swapped);
    for (int32_t i = 0; i < 4; i++)
        g_assert_cmpfloat_with_epsilon(swapped[i], before[i] + (i % 2 ? 5 : 0), 1e-5);
    seam_model_release(again);
    teardown(&f);
}

static void test_adapter_of_another_model(void) {
    Fixture f;
    GError *error = NULL;
    setup(&f);
    SeamModel *base = seam_model_acquire(f.path, f.run.kernels, &error);
    g_autofree char *path = write_other(&f, "0123456789abcdef", 0);
    g_assert_null(seam_model_with_adapter(base, CLASSIFY, path, &error));
    g_assert_nonnull(strstr(error->message, "0123456789abcdef"));
    g_clear_error(&error);
    g_autofree char *localise = file_of(&f, "adapters/localise.safetensors");
    g_assert_null(seam_model_with_adapter(base, CLASSIFY, localise, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    seam_model_release(base);
    teardown(&f);
}

// ---- stages and batches -----------------------------------------------------------------------------------------------------

// What one element encodes to layer 0 and another from layer 1 on is what one element does alone.
static void test_split_encoder(void) {
    Fixture f;
    float use_whole[6] = {0}, use_parts[6] = {0};
    setup(&f);
    SeamTokens whole[MODALITIES], parts[MODALITIES];
    embed_all(&f, f.model, &f.run, whole);
    embed_all(&f, f.model, &f.run, parts);
    for (int32_t m = 0; m < MODALITIES; m++) {
        size_t used = f.arena.used;
        assert_ok(seam_model_encode(f.model, &f.run, 0, 1, &whole[m], use_whole, NULL));
        assert_ok(seam_model_encode(f.model, &f.run, 0, 0, &parts[m], use_parts, NULL));
        assert_ok(seam_model_encode(f.model, &f.run, 1, 1, &parts[m], use_parts, NULL));
        g_assert_cmpmem(whole[m].x, (size_t)whole[m].n * DIM * sizeof(float), parts[m].x, (size_t)parts[m].n * DIM * sizeof(float));
        g_assert_cmpuint(f.arena.used, ==, used);
    }
    float sum = 0;
    for (int32_t e = 0; e < 6; e++)
        sum += use_whole[e];
    g_assert_cmpfloat_with_epsilon(sum, 2 * (whole[VIDEO].n + whole[SENSORS].n + whole[TEXT].n), 1e-3);
    g_assert_cmpmem(use_whole, sizeof use_whole, use_parts, sizeof use_parts);
    teardown(&f);
}

// A window's result does not depend on what else is in the batch, nor on the order in which streams arrive.
static void test_batch_and_order(void) {
    Fixture f;
    SeamTokens stream[MODALITIES], both, first, other;
    const double window_time[WINDOWS] = {0, 2};
    int32_t window_of[MOST_SEQS];
    setup(&f);
    embed_all(&f, f.model, &f.run, stream);
    fuse_all(f.model, &f.run, stream, WINDOWS, &both);
    SeamTokens turned[MODALITIES] = {stream[TEXT], stream[VIDEO], stream[SENSORS]};
    SeamTokens all = lay_together(&f.arena, &f.config, MODALITIES, turned, window_of);
    assert_ok(seam_model_fuse(f.model, &f.run, &all, WINDOWS, window_of, window_time, &other, NULL));
    g_assert_cmpmem(both.x, (size_t)both.n * DIM * sizeof(float), other.x, (size_t)other.n * DIM * sizeof(float));
    stream[VIDEO].seqs = 2; // the first window alone
    stream[SENSORS].seqs = stream[TEXT].seqs = 1;
    for (int32_t m = 0; m < MODALITIES; m++)
        stream[m].n = stream[m].seq_start[stream[m].seqs];
    fuse_all(f.model, &f.run, stream, 1, &first);
    g_assert_cmpint(first.n, ==, both.seq_start[1]);
    g_assert_cmpmem(first.x, (size_t)first.n * DIM * sizeof(float), both.x, (size_t)first.n * DIM * sizeof(float));
    teardown(&f);
}

// By modality, then time; times count from the window's start.
static void test_fused_order(void) {
    Fixture f;
    SeamTokens stream[MODALITIES], fused;
    setup(&f);
    embed_all(&f, f.model, &f.run, stream);
    fuse_all(f.model, &f.run, stream, WINDOWS, &fused);
    g_assert_cmpint(fused.seqs, ==, WINDOWS);
    g_assert_cmpint(fused.n, ==, stream[VIDEO].n + stream[SENSORS].n + stream[TEXT].n);
    g_assert_cmpint(fused.seq_start[1], ==, 2 * 5 + 8 + 2);
    for (int32_t w = 0; w < WINDOWS; w++)
        for (int32_t i = fused.seq_start[w] + 1; i < fused.seq_start[w + 1]; i++) {
            const SeamPlace *a = &fused.place[i - 1], *b = &fused.place[i];
            g_assert_true(a->modality < b->modality || (a->modality == b->modality && a->t <= b->t));
            g_assert_true(b->t >= 0 && b->t < 2);
        }
    g_assert_cmpfloat(fused.place[fused.seq_start[1]].t, ==, 0.5); // the picture at 2.5
    g_assert_cmpfloat(fused.seq_time[1], ==, 2);
    teardown(&f);
}

static void test_refuses(void) {
    Fixture f;
    SeamTokens stream[MODALITIES], fused;
    const double time[1] = {0}, window_time[1] = {0};
    setup(&f);
    embed_all(&f, f.model, &f.run, stream);
    g_assert_cmpint(seam_model_embed_images(f.model, &f.run, SENSORS, 1, f.pixels, time, &fused, NULL), ==, SEAM_BAD_SHAPE);
    g_assert_cmpint(seam_model_embed_windows(f.model, &f.run, MODALITIES, 1, f.window, &fused, NULL), ==, SEAM_BAD_SHAPE);
    g_assert_cmpint(seam_model_embed_texts(f.model, &f.run, -1, 0, NULL, time, &fused, NULL), ==, SEAM_BAD_SHAPE);
    g_assert_cmpint(seam_model_encode(f.model, &f.run, 0, 2, &stream[VIDEO], NULL, NULL), ==, SEAM_BAD_SHAPE);
    g_assert_cmpint(seam_model_encode(f.model, &f.run, -1, 1, &stream[VIDEO], NULL, NULL), ==, SEAM_BAD_SHAPE);
    const int32_t outside[3] = {0, 1, 0};
    g_assert_cmpint(seam_model_fuse(f.model, &f.run, &stream[VIDEO], 1, outside, window_time, &fused, NULL), ==, SEAM_BAD_SHAPE);
    const int32_t inside[3] = {0};
    stream[VIDEO].place[3].modality = MODALITIES;
    g_assert_cmpint(seam_model_fuse(f.model, &f.run, &stream[VIDEO], 1, inside, window_time, &fused, NULL), ==, SEAM_BAD_SHAPE);
    teardown(&f);
}

// ---- next to nothing --------------------------------------------------------------------------------------------------------

static void test_nothing(void) {
    Fixture f;
    SeamTokens t, fused;
    SeamClassifyOut out;
    SeamEncoderSaved saved[2];
    SeamFusionSaved fusion;
    const double time[2] = {0, 2};
    const char *const text[2] = {"", " ... "};
    const int32_t window_of[2] = {0, 1};
    double balance = 0;
    setup(&f);
    for (int32_t i = 0; i < 2 * SAMPLES; i++)
        f.samples[0][i] = f.samples[1][i] = NAN;
    assert_ok(seam_model_embed_images(f.model, &f.run, VIDEO, 0, f.pixels, time, &t, NULL));
    g_assert_cmpint(t.n + t.seqs, ==, 0);
    assert_ok(seam_model_embed_windows(f.model, &f.run, SENSORS, 2, f.window, &t, NULL));
    g_assert_cmpint(t.n, ==, 0);
    assert_ok(seam_model_embed_texts(f.model, &f.run, TEXT, 2, text, time, &t, NULL));
    g_assert_cmpint(t.n, ==, 0);
    g_assert_cmpint(t.seqs, ==, 2);
    assert_ok(seam_model_encode(f.model, &f.run, 0, 1, &t, NULL, saved));
    assert_ok(seam_model_fuse(f.model, &f.run, &t, 2, window_of, time, &fused, &fusion));
    g_assert_cmpint(fused.n, ==, 0);
    g_assert_cmpint(fused.seqs, ==, 2);
    assert_ok(seam_classify_forward(&f.model->task[CLASSIFY].classify, &f.run, &fused, &out, NULL));
    g_assert_cmpint(out.present[0] | out.present[1], ==, 0);
    g_assert_cmpmem(out.logits, 2 * sizeof(float), f.model->task[CLASSIFY].classify.bias->data, 2 * sizeof(float));
    assert_ok(seam_model_fuse_backward(f.model, &f.run, &fusion, fused.x, t.x));
    assert_ok(seam_model_encode_backward(f.model, &f.run, 0, 1, saved, 0.1f, &balance, t.x));
    g_assert_cmpfloat(balance, ==, 0);
    teardown(&f);
}

static void test_one_token(void) {
    Fixture f;
    SeamTokens t, fused;
    const double time[1] = {1};
    const char *const text[1] = {"x"};
    const int32_t window_of[1] = {0};
    setup(&f);
    assert_ok(seam_model_embed_texts(f.model, &f.run, TEXT, 1, text, time, &t, NULL));
    g_assert_cmpint(t.n, ==, 1);
    assert_ok(seam_model_encode(f.model, &f.run, 0, 1, &t, NULL, NULL));
    assert_ok(seam_model_fuse(f.model, &f.run, &t, 1, window_of, (const double[]){0}, &fused, NULL));
    g_assert_cmpint(fused.n, ==, 1);
    g_assert_cmpfloat(fused.place[0].t, ==, 1);
    for (int32_t d = 0; d < DIM; d++)
        g_assert_true(isfinite(fused.x[d]));
    teardown(&f);
}

// ---- threads ----------------------------------------------------------------------------------------------------------------

enum { THREADS = 4, ROUNDS = 20 };

typedef struct {
    const Fixture *f;
    SeamModel *model;
    const float *want;
} Work;

static gpointer run_thread(gpointer data) {
    const Work *work = data;
    SeamArena arena;
    float logits[4];
    bool same = seam_arena_init(&arena, 1 << 20);
    for (int32_t i = 0; i < ROUNDS && same; i++) {
        run_model(work->f, work->model, &(SeamRun){seam_kernels_ref(), &arena}, logits);
        same = memcmp(logits, work->want, sizeof logits) == 0;
        SeamModel *again = seam_model_acquire(work->f->path, work->f->run.kernels, NULL);
        same = same && again == work->model;
        seam_model_release(again);
    }
    seam_arena_clear(&arena);
    return GINT_TO_POINTER(same);
}

static void test_threads(void) {
    Fixture f;
    GError *error = NULL;
    float want[4];
    GThread *thread[THREADS];
    setup(&f);
    SeamModel *model = seam_model_acquire(f.path, f.run.kernels, &error);
    g_assert_no_error(error);
    run_model(&f, model, &f.run, want);
    Work work = {&f, model, want};
    for (int32_t i = 0; i < THREADS; i++)
        thread[i] = g_thread_new("model", run_thread, &work);
    for (int32_t i = 0; i < THREADS; i++)
        g_assert_true(GPOINTER_TO_INT(g_thread_join(thread[i])));
    seam_model_release(model);
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/round-trip", test_round_trip);
    g_test_add_func("/model/fingerprint", test_fingerprint);
    g_test_add_func("/model/task-not-there", test_task_not_there);
    g_test_add_func("/model/other-weights", test_weights_of_another_model);
    g_test_add_func("/model/sharing", test_sharing);
    g_test_add_func("/model/adapter", test_adapter);
    g_test_add_func("/model/adapter-of-another", test_adapter_of_another_model);
    g_test_add_func("/model/split-encoder", test_split_encoder);
    g_test_add_func("/model/batch-and-order", test_batch_and_order);
    g_test_add_func("/model/fused-order", test_fused_order);
    g_test_add_func("/model/refuses", test_refuses);
    g_test_add_func("/model/nothing", test_nothing);
    g_test_add_func("/model/one-token", test_one_token);
    g_test_add_func("/model/threads", test_threads);
    return g_test_run();
}
