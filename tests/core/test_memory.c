// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The memory of the model: what is planned is enough and not much more, too little of it is an answer and not a crash, and a stream in its
// steady state takes nothing from the system.
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "core/pack.h"
#include "kernels/pool.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

// ---- counting allocations ---------------------------------------------------------------------------------------------------

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
static gint allocations;

// Exported, so that the libraries below call them too.
#define COUNTED __attribute__((visibility("default")))

COUNTED void *malloc(size_t size) {
    g_atomic_int_inc(&allocations);
    return __libc_malloc(size);
}
COUNTED void *calloc(size_t n, size_t size) {
    g_atomic_int_inc(&allocations);
    return __libc_calloc(n, size);
}
COUNTED void *realloc(void *block, size_t size) {
    g_atomic_int_inc(&allocations);
    return __libc_realloc(block, size);
}
COUNTED void *aligned_alloc(size_t alignment, size_t size) {
    g_atomic_int_inc(&allocations);
    return __libc_memalign(alignment, size);
}
COUNTED int posix_memalign(void **block, size_t alignment, size_t size) {
    g_atomic_int_inc(&allocations);
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}
#endif

// ---- fixture ----------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
} Fixture;

static void setup(Fixture *f) {
    GError *error = NULL;
    SeamConfig config = small_config();
    config.modality[VIDEO].image.blocks[0] = 1;
    g_strlcpy(config.class_name[0], "good", SEAM_NAME_LENGTH);
    g_strlcpy(config.class_name[1], "porosity", SEAM_NAME_LENGTH);
    config.n_classes = 2;
    config.n_tasks = 1;
    config.task[0] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 2};
    f->model = seam_model_new(&config, true, 3, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
}

static void teardown(Fixture *f) {
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
}

// ---- planning ---------------------------------------------------------------------------------------------------------------

enum { MANY = 24, PIXELS = 64, SAMPLES = 16 }; // inputs: enough that what each allocation may waste at its end does not hide what was forgotten

static void make_many(uint8_t *pixels, float *samples, SeamSensorWindow *window, double *time, const char **text) {
    static const char endless[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx "
                                  "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy zzzz "
                                  "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    SeamRandom random = seam_random(1, 2);
    for (int32_t i = 0; i < MANY * PIXELS; i++)
        pixels[i] = (uint8_t)seam_random_below(&random, 256);
    fill(&random, samples, 2 * SAMPLES, 1);
    for (int32_t i = 0; i < MANY; i++) {
        time[i] = 0.125 * i;
        window[i] = (SeamSensorWindow){.time = time[i], .samples = SAMPLES, .x = samples, .valid = SAMPLES};
        text[i] = endless;
    }
}

// Forward, and with `train` backward, of one modality's embedding.
static SeamStatus embed_many(const Fixture *f, SeamRun *run, int32_t m, bool train, SeamTokens *t) {
    SeamImageEmbedSaved image;
    SeamSensorEmbedSaved sensor;
    SeamTextEmbedSaved words;
    uint8_t pixels[MANY * PIXELS];
    float samples[2 * SAMPLES];
    SeamSensorWindow window[MANY];
    double time[MANY];
    const char *text[MANY];
    make_many(pixels, samples, window, time, text);
    if (m == VIDEO) {
        SEAM_TRY(seam_model_embed_images(f->model, run, m, MANY, pixels, time, t, train ? &image : NULL));
        return train ? seam_model_embed_images_backward(f->model, run, m, &image, t->x) : SEAM_OK;
    }
    if (m == SENSORS) {
        SEAM_TRY(seam_model_embed_windows(f->model, run, m, MANY, window, t, train ? &sensor : NULL));
        return train ? seam_model_embed_windows_backward(f->model, run, m, &sensor, t->x) : SEAM_OK;
    }
    SEAM_TRY(seam_model_embed_texts(f->model, run, m, MANY, text, time, t, train ? &words : NULL));
    return train ? seam_model_embed_texts_backward(f->model, run, m, &words, t->x) : SEAM_OK;
}

// An arena of just the planned size is enough for everything, and not much more than what is used.
static void assert_planned(SeamArena *arena, size_t planned, double most) {
    g_assert_cmpuint(arena->peak, <=, planned);
    if (g_test_verbose())
        g_test_message("%zu of %zu bytes used", arena->peak, planned);
    g_assert_cmpfloat((double)planned, <=, most * (double)arena->peak);
    seam_arena_clear(arena);
}

static void test_planned_embed(void) {
    Fixture f;
    SeamTokens t;
    setup(&f);
    for (int32_t train = 0; train < 2; train++)
        for (int32_t m = 0; m < MODALITIES; m++) {
            SeamArena arena;
            size_t planned = seam_model_embed_bytes(f.model, m, MANY, train);
            g_assert_true(seam_arena_init(&arena, planned));
            assert_ok(embed_many(&f, &(SeamRun){seam_kernels_ref(), &arena}, m, train, &t));
            assert_planned(&arena, planned, 2);
        }
    teardown(&f);
}

static void test_planned_encode(void) {
    Fixture f;
    SeamTokens t;
    SeamEncoderSaved saved[2];
    double balance = 0;
    setup(&f);
    for (int32_t train = 0; train < 2; train++)
        for (int32_t m = 0; m < MODALITIES; m++) {
            SeamArena arena;
            assert_ok(embed_many(&f, &f.run, m, false, &t));
            size_t planned = seam_model_encode_bytes(f.model, t.n, train);
            g_assert_true(seam_arena_init(&arena, planned));
            SeamRun run = {seam_kernels_ref(), &arena};
            assert_ok(seam_model_encode(f.model, &run, 0, 1, &t, NULL, train ? saved : NULL));
            if (train)
                assert_ok(seam_model_encode_backward(f.model, &run, 0, 1, saved, 0.1f, &balance, t.x));
            assert_planned(&arena, planned, 2);
            seam_arena_release(&f.arena, 0);
        }
    teardown(&f);
}

static void test_planned_fuse(void) {
    Fixture f;
    SeamTokens t, fused;
    SeamFusionSaved saved;
    int32_t window_of[MANY];
    double window_time[MANY];
    setup(&f);
    assert_ok(embed_many(&f, &f.run, VIDEO, false, &t));
    for (int32_t i = 0; i < MANY; i++) {
        window_of[i] = i / 8;
        window_time[i] = i;
    }
    for (int32_t train = 0; train < 2; train++) {
        SeamArena arena;
        size_t planned = seam_model_fuse_bytes(f.model, t.n, train);
        g_assert_true(seam_arena_init(&arena, planned));
        SeamRun run = {seam_kernels_ref(), &arena};
        assert_ok(seam_model_fuse(f.model, &run, &t, 3, window_of, window_time, &fused, train ? &saved : NULL));
        if (train)
            assert_ok(seam_model_fuse_backward(f.model, &run, &saved, fused.x, t.x));
        assert_planned(&arena, planned, 2);
    }
    teardown(&f);
}

// Every stage in an arena that is too small: an honest answer, never a crash, at every size.
static void test_too_little_memory(void) {
    Fixture f;
    SeamTokens t;
    setup(&f);
    for (size_t size = 0; size < 200000; size += size / 16 + 64) {
        SeamArena arena;
        g_assert_true(seam_arena_init(&arena, size));
        SeamRun run = {seam_kernels_ref(), &arena};
        for (int32_t m = 0; m < MODALITIES; m++) {
            SeamStatus status = embed_many(&f, &run, m, true, &t);
            g_assert_true(status == SEAM_OK || status == SEAM_NO_MEMORY);
            g_assert_true(status == SEAM_OK || arena.peak > arena.capacity);
            seam_arena_release(&arena, 0);
        }
        seam_arena_clear(&arena);
    }
    teardown(&f);
}

#ifdef COUNTS_ALLOCATIONS
// Every stage once, on many inputs.
static void run_stages(Fixture *f) {
    SeamTokens t, fused;
    SeamClassifyOut out;
    int32_t window_of[MANY] = {0};
    for (int32_t m = 0; m < MODALITIES; m++) {
        assert_ok(embed_many(f, &f->run, m, false, &t));
        assert_ok(seam_model_encode(f->model, &f->run, 0, 1, &t, NULL, NULL));
        assert_ok(seam_model_fuse(f->model, &f->run, &t, 1, window_of, (const double[]){0}, &fused, NULL));
        assert_ok(seam_classify_forward(&f->model->task[0].classify, &f->run, &fused, &out, NULL));
        seam_arena_release(&f->arena, 0);
    }
}

// After the first pass nothing is taken from the system any more. With one thread: of several, a worker takes its scratch memory when it first
// gets a task of the kind, which may be in any pass.
static void check_no_allocation(Fixture *f) {
    run_stages(f);
    run_stages(f);
    gint before = g_atomic_int_get(&allocations);
    for (int32_t i = 0; i < 5; i++)
        run_stages(f);
    gint taken = g_atomic_int_get(&allocations) - before;
    g_assert_cmpint(taken, ==, 0);
}

// Unpacked, and packed in all types.
static void test_no_allocation(void) {
    Fixture f;
    setup(&f);
    const SeamKernels *kernels[] = {seam_kernels_ref(), seam_kernels_cpu()};
    for (size_t k = 0; k < G_N_ELEMENTS(kernels); k++) {
        f.run.kernels = kernels[k];
        seam_params_unpack(f.model->params);
        check_no_allocation(&f);
        for (int type = SEAM_PACK_F32; type <= SEAM_PACK_I8; type++) {
            for (guint i = 0; i < f.model->params->tensors->len; i++)
                ((SeamTensor *)g_ptr_array_index(f.model->params->tensors, i))->type = (SeamPackType)type;
            g_assert_true(seam_model_pack(f.model, kernels[k], NULL));
            check_no_allocation(&f);
        }
    }
    gint before = g_atomic_int_get(&allocations);
    g_free(g_malloc(1));
    g_assert_cmpint(g_atomic_int_get(&allocations), ==, before + 1); // they are counted
    teardown(&f);
}
#endif

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    seam_pool_set_threads(1);
    g_test_add_func("/memory/planned/embed", test_planned_embed);
    g_test_add_func("/memory/planned/encode", test_planned_encode);
    g_test_add_func("/memory/planned/fuse", test_planned_fuse);
    g_test_add_func("/memory/too-little", test_too_little_memory);
#ifdef COUNTS_ALLOCATIONS
    g_test_add_func("/memory/no-allocation", test_no_allocation);
#endif
    return g_test_run();
}
