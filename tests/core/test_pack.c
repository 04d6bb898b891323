// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Narrow weights: rounded, written, read, packed; and a model that runs on them beside the same model in single precision.
#include "core/pack.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/train/narrow.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"
#include "tests/remove.h"

enum { WIDE = 32, PIXELS = 64, PICTURES = 3 };

typedef struct {
    char *path; // of a bundle
    SeamConfig config;
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    uint8_t pixels[PICTURES * PIXELS];
} Fixture;

// The small model, wide enough that its weights are worth narrowing. All experts answer, so that no choice flips by a rounding.
static void set_up(Fixture *f, gconstpointer data) {
    GError *error = NULL;
    SeamRandom random = seam_random(4, 2);
    f->config = small_config();
    f->config.dim = WIDE;
    f->config.groups_kept = f->config.groups;
    f->config.top_k = f->config.experts;
    f->config.expert_width = f->config.fusion_width = 24;
    f->config.modality[VIDEO].image.stem_width[0] = 16;
    f->config.modality[VIDEO].image.stem_width[1] = WIDE;
    f->config.modality[VIDEO].image.blocks[0] = f->config.modality[VIDEO].image.blocks[1] = 1;
    g_strlcpy(f->config.class_name[0], "good", SEAM_NAME_LENGTH);
    g_strlcpy(f->config.class_name[1], "bad", SEAM_NAME_LENGTH);
    f->config.n_classes = 2;
    f->config.task[0] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 16};
    f->config.n_tasks = 1;
    f->path = g_dir_make_tmp("seam-pack-XXXXXX", NULL);
    f->model = seam_model_new(&f->config, false, 5, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < f->model->params->tensors->len; i++) { // biases are zero in a new model
        SeamTensor *t = g_ptr_array_index(f->model->params->tensors, i);
        for (size_t k = 0; k < t->size && t->init == SEAM_INIT_ZERO; k++)
            t->data[k] = 0.1f * (float)seam_random_normal(&random);
    }
    g_assert_true(seam_arena_init(&f->arena, 4 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    for (size_t i = 0; i < sizeof f->pixels; i++)
        f->pixels[i] = (uint8_t)seam_random_below(&random, 256);
}

static void tear_down(Fixture *f, gconstpointer data) {
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
    remove_tree(f->path);
    g_free(f->path);
}

static int32_t narrow(SeamParams *params, SeamPackType type) {
    int32_t n = 0;
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        if (!seam_tensor_may_narrow(t))
            continue;
        t->type = type;
        n++;
    }
    return n;
}

// Pictures to the fused tokens of one window; out [PICTURES * tokens of a picture, WIDE] in the arena.
static SeamTokens run_model(const Fixture *f, const SeamModel *model, SeamRun *run) {
    static const double time[PICTURES] = {0.25, 0.5, 1.5}, window_time[1] = {0};
    const int32_t window_of[PICTURES] = {0};
    SeamTokens in, out;
    assert_ok(seam_model_embed_images(model, run, VIDEO, PICTURES, f->pixels, time, &in, NULL));
    assert_ok(seam_model_encode(model, run, 0, 1, &in, NULL, NULL));
    assert_ok(seam_model_fuse(model, run, &in, 1, window_of, window_time, &out, NULL));
    return out;
}

// |a - b| / |a|
static double distance(const SeamTokens *a, const SeamTokens *b) {
    double moved = 0, whole = 0;
    g_assert_cmpint(a->n, ==, b->n);
    for (int32_t i = 0; i < a->n * a->dim; i++) {
        moved += pow((double)a->x[i] - (double)b->x[i], 2);
        whole += pow((double)a->x[i], 2);
    }
    g_assert_true(whole > 0);
    return sqrt(moved / whole);
}

static void test_rounding(Fixture *f, gconstpointer data) {
    SeamParams *params = f->model->params;
    g_autofree float *before = g_memdup2(params->data, params->size * sizeof(float));
    g_assert_cmpint(narrow(params, SEAM_PACK_I8), >, 10);
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        const float *was = before + (t->data - params->data);
        if (t->type != SEAM_PACK_I8)
            continue;
        g_assert_null(strstr(t->name, "router"));
        seam_tensor_round(t);
        size_t row = t->size / (size_t)seam_tensor_rows(t);
        for (size_t k = 0; k < t->size; k++)
            g_assert_cmpfloat(fabsf(t->data[k] - was[k]), <=, 0.5001f * t->scale[k / row]);
        g_autofree float *once = g_memdup2(t->data, t->size * sizeof(float));
        seam_tensor_round(t);
        g_assert_cmpmem(once, t->size * sizeof(float), t->data, t->size * sizeof(float));
        t->type = SEAM_PACK_BF16;
        memcpy(t->data, was, t->size * sizeof(float));
        seam_tensor_round(t);
        for (size_t k = 0; k < t->size; k++)
            g_assert_cmpfloat(fabsf(t->data[k] - was[k]), <=, fabsf(was[k]) / 256);
    }
}

// A row of zeros has scale 0, and stays zeros.
static void test_zero_row(Fixture *f, gconstpointer data) {
    SeamTensor *t = f->model->encoder[0].attention.qkv.weight;
    memset(t->data, 0, WIDE * sizeof(float));
    t->type = SEAM_PACK_I8;
    seam_tensor_round(t);
    g_assert_cmpfloat(t->scale[0], ==, 0);
    for (int32_t i = 0; i < WIDE; i++)
        g_assert_cmpfloat(t->data[i], ==, 0);
}

// Each of the two backends.
static void test_packed_f32(Fixture *f, gconstpointer data) {
    const SeamKernels *const kernels[] = {seam_kernels_ref(), seam_kernels_cpu()};
    SeamTokens plain = run_model(f, f->model, &f->run);
    for (size_t i = 0; i < G_N_ELEMENTS(kernels); i++) {
        SeamRun run = {kernels[i], &f->arena};
        g_assert_true(seam_model_pack(f->model, kernels[i], NULL));
        SeamTokens packed = run_model(f, f->model, &run);
        g_assert_cmpfloat(distance(&plain, &packed), <, 1e-5);
    }
}

static void test_narrow(Fixture *f, gconstpointer data) {
    const SeamPackType type[] = {SEAM_PACK_BF16, SEAM_PACK_I8};
    SeamTokens plain = run_model(f, f->model, &f->run);
    for (size_t i = 0; i < G_N_ELEMENTS(type); i++) {
        narrow(f->model->params, type[i]);
        g_assert_true(seam_model_pack(f->model, f->run.kernels, NULL));
        SeamTokens packed = run_model(f, f->model, &f->run);
        double moved = distance(&plain, &packed);
        g_assert_cmpfloat(moved, <, 0.03);
        g_assert_cmpfloat(moved, >, 1e-5); // it was truly narrower
    }
}

static SeamTokens run_stem(const Fixture *f, SeamRun *run, SeamImageEmbedSaved *saved) {
    static const double time[PICTURES] = {0.25, 0.5, 1.5};
    SeamTokens out;
    assert_ok(seam_model_embed_images(f->model, run, VIDEO, PICTURES, f->pixels, time, &out, saved));
    return out;
}

// Without packed weights the pass of training is that of inference to the last bit; packed in single precision they differ by rounding.
static void test_stem_f32(Fixture *f, gconstpointer data) {
    const SeamKernels *const kernels[] = {seam_kernels_ref(), seam_kernels_cpu()};
    const SeamImageEmbed *embed = &f->model->embed[VIDEO].image;
    for (size_t i = 0; i < G_N_ELEMENTS(kernels); i++) {
        SeamRun run = {kernels[i], &f->arena};
        SeamImageEmbedSaved saved;
        seam_params_unpack(f->model->params);
        SeamTokens plain = run_stem(f, &run, NULL), train = run_stem(f, &run, &saved);
        g_assert_cmpmem(plain.x, (size_t)plain.n * WIDE * sizeof(float), train.x, (size_t)train.n * WIDE * sizeof(float));
        g_assert_true(seam_model_pack(f->model, kernels[i], NULL));
        g_assert_nonnull(embed->stem[0].weight->packed.data);
        g_assert_nonnull(embed->block[1][0].conv.weight->packed.data);
        SeamTokens packed = run_stem(f, &run, NULL), forward = run_stem(f, &run, &saved);
        g_assert_cmpfloat(distance(&plain, &packed), <, 1e-5);
        g_assert_cmpfloat(distance(&packed, &forward), <, 1e-5); // gelu apart from the product
    }
}

// Whole numbers against the same weights computed in single precision: the rounding of what goes through the stem alone. The backends agree.
static void test_stem_i8(Fixture *f, gconstpointer data) {
    const SeamKernels *const kernels[] = {seam_kernels_ref(), seam_kernels_cpu()};
    const SeamImageEmbed *embed = &f->model->embed[VIDEO].image;
    SeamTensor *const weight[] = {embed->stem[1].weight, embed->block[0][0].conv.weight, embed->block[1][0].conv.weight};
    SeamTokens packed[G_N_ELEMENTS(kernels)];
    for (size_t i = 0; i < G_N_ELEMENTS(weight); i++) {
        g_assert_true(seam_tensor_may_narrow(weight[i]));
        weight[i]->type = SEAM_PACK_I8;
        seam_tensor_round(weight[i]);
    }
    SeamTokens whole = run_stem(f, &f->run, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(kernels); i++) {
        SeamRun run = {kernels[i], &f->arena};
        g_assert_true(seam_model_pack(f->model, kernels[i], NULL));
        packed[i] = run_stem(f, &run, NULL);
        g_assert_cmpfloat(distance(&whole, &packed[i]), <, 0.02);
        g_assert_cmpfloat(distance(&whole, &packed[i]), >, 1e-5); // truly in whole numbers
    }
    g_assert_cmpfloat(distance(&packed[0], &packed[1]), <, 0.01); // a number at the middle between two may fall either way
}

// What is written is what ran, to the last bit; and small.
static void test_bundle(Fixture *f, gconstpointer data) {
    GError *error = NULL;
    GStatBuf whole, less;
    g_autofree char *weights = g_build_filename(f->path, "weights.safetensors", NULL);
    g_assert_true(seam_bundle_write(f->path, &f->config, f->model->params, false, NULL, &error));
    g_assert_cmpint(g_stat(weights, &whole), ==, 0);
    narrow(f->model->params, SEAM_PACK_I8);
    for (guint i = 0; i < f->model->params->tensors->len; i++)
        seam_tensor_round(g_ptr_array_index(f->model->params->tensors, i));
    f->model->encoder[1].moe.down->type = SEAM_PACK_BF16;
    seam_tensor_round(f->model->encoder[1].moe.down);
    g_assert_true(seam_bundle_write(f->path, &f->config, f->model->params, false, NULL, &error));
    g_assert_cmpint(g_stat(weights, &less), ==, 0);
    g_assert_cmpint(less.st_size, <, whole.st_size * 6 / 10); // headers and scales of so small a model weigh much
    SeamBundle *bundle = seam_bundle_open(f->path, true, &error);
    g_assert_no_error(error);
    seam_bundle_free(bundle);
    SeamModel *loaded = seam_model_load(f->path, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(loaded->params->data, loaded->params->size * sizeof(float), f->model->params->data, f->model->params->size * sizeof(float));
    g_assert_cmpint(loaded->encoder[1].moe.down->type, ==, SEAM_PACK_BF16);
    g_assert_cmpint(loaded->encoder[0].moe.down->type, ==, SEAM_PACK_I8);
    g_assert_true(seam_model_pack(f->model, f->run.kernels, NULL));
    SeamModel *shared = seam_model_acquire(f->path, f->run.kernels, &error);
    g_assert_no_error(error);
    SeamTokens ran = run_model(f, f->model, &f->run), again = run_model(f, shared, &f->run);
    g_assert_cmpmem(ran.x, (size_t)ran.n * WIDE * sizeof(float), again.x, (size_t)again.n * WIDE * sizeof(float));
    seam_model_release(shared);
    seam_model_free(loaded);
}

// Packed once for a backend, however many take it; of what is packed nothing else stays in memory.
static void test_shared(Fixture *f, gconstpointer data) {
    GError *error = NULL;
    g_assert_true(seam_bundle_write(f->path, &f->config, f->model->params, false, NULL, &error));
    SeamModel *a = seam_model_acquire(f->path, seam_kernels_ref(), &error), *b = seam_model_acquire(f->path, seam_kernels_ref(), &error);
    SeamModel *other = seam_model_acquire(f->path, seam_kernels_cpu(), &error);
    g_assert_no_error(error);
    g_assert_true(a == b);
    g_assert_true(other != a);
    const SeamTensor *up = a->encoder[0].moe.up;
    g_assert_nonnull(up->packed.data);
    g_assert_null(up->data);
    g_assert_cmpint(up->packed.groups, ==, f->config.experts);
    g_assert_cmpint(up->packed.n, ==, f->config.expert_width);
    g_assert_cmpint(up->packed.k, ==, WIDE);
    const SeamTensor *conv = a->embed[VIDEO].image.stem[1].weight;
    g_assert_null(conv->data);
    g_assert_cmpint(conv->packed.groups, ==, 1);
    g_assert_cmpint(conv->packed.n, ==, WIDE);
    g_assert_cmpint(conv->packed.k, ==, 9 * 16);
    g_assert_cmpuint(a->params->size, <, f->model->params->size / 2);
    g_assert_cmpfloat(a->encoder[1].moe.up_bias->data[1], ==, f->model->encoder[1].moe.up_bias->data[1]);
    seam_model_release(other);
    seam_model_release(b);
    seam_model_release(a);
}

// Training goes on from the values, and what it makes is whole again.
static void test_training(Fixture *f, gconstpointer data) {
    narrow(f->model->params, SEAM_PACK_I8);
    for (guint i = 0; i < f->model->params->tensors->len; i++)
        seam_tensor_round(g_ptr_array_index(f->model->params->tensors, i));
    SeamModel *copy = seam_model_copy_for_training(f->model, NULL);
    g_assert_cmpmem(copy->params->data, copy->params->size * sizeof(float), f->model->params->data, f->model->params->size * sizeof(float));
    g_assert_cmpint(copy->encoder[0].moe.up->type, ==, SEAM_PACK_F32);
    g_assert_null(copy->encoder[0].moe.up->packed.data);
    seam_params_copy_types(copy->params, f->model->params);
    g_assert_cmpint(copy->encoder[0].moe.up->type, ==, SEAM_PACK_I8);
    g_assert_cmpfloat(copy->encoder[0].moe.up->scale[3], ==, f->model->encoder[0].moe.up->scale[3]);
    seam_model_free(copy);
}

// What training sees going forward is what runs, but for the rounding of gelu apart from the product; and it may go backward from there.
static void test_forward_of_training(Fixture *f, gconstpointer data) {
    SeamTokens run, train;
    SeamEncoderSaved saved[2];
    const double time[PICTURES] = {0.25, 0.5, 1.5};
    SeamModel *model = seam_model_copy_for_training(f->model, NULL);
    narrow(model->params, SEAM_PACK_I8);
    g_assert_true(seam_model_pack(model, f->run.kernels, NULL));
    assert_ok(seam_model_embed_images(model, &f->run, VIDEO, PICTURES, f->pixels, time, &run, NULL));
    assert_ok(seam_model_embed_images(model, &f->run, VIDEO, PICTURES, f->pixels, time, &train, NULL));
    assert_ok(seam_model_encode(model, &f->run, 0, 1, &run, NULL, NULL));
    assert_ok(seam_model_encode(model, &f->run, 0, 1, &train, NULL, saved));
    g_assert_cmpfloat(distance(&run, &train), <, 1e-5);
    float *dx = SEAM_NEW0(&f->arena, float, (size_t)train.n * WIDE);
    double balance = 0, sum = 0;
    dx[3] = 1;
    assert_ok(seam_model_encode_backward(model, &f->run, 0, 1, saved, 0, &balance, dx));
    const SeamTensor *up = model->encoder[0].moe.up;
    for (size_t i = 0; i < up->size; i++)
        sum += fabsf(up->grad[i]);
    g_assert_true(sum > 0 && isfinite(sum));
    seam_model_free(model);
}

// A step of training takes the values away and gives them back.
static void test_step(Fixture *f, gconstpointer data) {
    size_t bytes = f->model->params->size * sizeof(float);
    SeamNarrowing n = {0};
    float scale[2];
    g_autofree float *before = g_memdup2(f->model->params->data, bytes);
    for (int32_t i = 0; i < 2; i++) {
        g_assert_true(seam_narrowing_begin(&n, f->model, f->run.kernels, NULL));
        g_assert_true(memcmp(before, f->model->params->data, bytes) != 0);
        g_assert_nonnull(f->model->fusion.layer[0].up.weight->packed.data);
        seam_narrowing_end(&n, f->model);
        g_assert_cmpmem(before, bytes, f->model->params->data, bytes);
        g_assert_null(f->model->fusion.layer[0].up.weight->packed.data);
        scale[i] = f->model->fusion.layer[0].up.weight->scale[0];
        for (size_t k = 0; k < f->model->params->size; k++)
            before[k] = f->model->params->data[k] *= 2; // what the optimiser did
    }
    g_assert_cmpfloat(scale[1], ==, 2 * scale[0]);
    seam_narrowing_clear(&n);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/pack/rounding", Fixture, NULL, set_up, test_rounding, tear_down);
    g_test_add("/pack/zero-row", Fixture, NULL, set_up, test_zero_row, tear_down);
    g_test_add("/pack/f32", Fixture, NULL, set_up, test_packed_f32, tear_down);
    g_test_add("/pack/narrow", Fixture, NULL, set_up, test_narrow, tear_down);
    g_test_add("/pack/stem-f32", Fixture, NULL, set_up, test_stem_f32, tear_down);
    g_test_add("/pack/stem-i8", Fixture, NULL, set_up, test_stem_i8, tear_down);
    g_test_add("/pack/bundle", Fixture, NULL, set_up, test_bundle, tear_down);
    g_test_add("/pack/shared", Fixture, NULL, set_up, test_shared, tear_down);
    g_test_add("/pack/training", Fixture, NULL, set_up, test_training, tear_down);
    g_test_add("/pack/forward-of-training", Fixture, NULL, set_up, test_forward_of_training, tear_down);
    g_test_add("/pack/step", Fixture, NULL, set_up, test_step, tear_down);
    return g_test_run();
}
