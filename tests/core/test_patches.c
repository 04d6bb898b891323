// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The map of a picture's patches: against its definition, what it is fitted on, its files, and what a decision makes of it.
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>

#include "core/decide.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { GRID = 2, CELLS = GRID * GRID, PICTURE = 1 + CELLS, TOKENS = 2 * PICTURE + 1, MOST = 3 };

typedef struct {
    SeamConfig config;
    SeamPatches patches;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    SeamTokens tokens; // a picture, a picture, a stretch of a sensor
    float x[TOKENS * DIM];
    SeamPlace place[TOKENS];
    int32_t seq_start[2];
    double seq_time[1];
} Fixture;

static void setup(Fixture *f, gconstpointer reach) {
    f->config = small_config();
    f->config.n_tasks = 1;
    f->config.task[0] = (SeamTask){.name = "anomaly", .kind = SEAM_TASK_ANOMALY, .memory = MOST, .neighbours = 2, .patches = GPOINTER_TO_INT(reach)};
    seam_patches_declare(&f->patches, &f->config, 0);
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    f->random = seam_random(4, 4);
    fill(&f->random, f->x, TOKENS * DIM, 1);
    for (int32_t i = 0; i < TOKENS; i++)
        f->place[i] = (SeamPlace){.t = i < PICTURE ? 0.5f : 1, .modality = i < TOKENS - 1 ? VIDEO : SENSORS,
                                  .domain = i % PICTURE == 0 ? SEAM_DOMAIN_SUMMARY : SEAM_DOMAIN_PATCH};
    f->place[TOKENS - 1].domain = SEAM_DOMAIN_TIME;
    f->seq_start[1] = TOKENS;
    f->seq_time[0] = 7;
    f->tokens = (SeamTokens){.n = TOKENS, .dim = DIM, .seqs = 1, .x = f->x, .seq_start = f->seq_start, .seq_time = f->seq_time, .place = f->place};
}

static void teardown(Fixture *f, gconstpointer reach) {
    seam_patches_clear(&f->patches);
    seam_arena_clear(&f->arena);
}

// A memory of `n` random patches.
static void fit(Fixture *f, SeamPatches *p, int32_t n) {
    g_autofree float *rows = g_new(float, (gsize)n *p->width), *held = g_new(float, CELLS *p->width);
    GError *error = NULL;
    fill(&f->random, rows, (size_t)n * p->width, 1);
    fill(&f->random, held, (size_t)CELLS * p->width, 1);
    g_assert_true(seam_patches_fit(p, VIDEO, rows, n, held, 1, f->run.kernels, 3, &error));
    g_assert_no_error(error);
}

static void test_pictures(Fixture *f, gconstpointer reach) {
    g_assert_cmpint(seam_patches_next(&f->patches, &f->tokens, 0), ==, 1);
    g_assert_cmpint(seam_patches_next(&f->patches, &f->tokens, 2), ==, PICTURE + 1);
    g_assert_cmpint(seam_patches_next(&f->patches, &f->tokens, PICTURE + 2), ==, -1);
    f->place[3].domain = SEAM_DOMAIN_SUMMARY; // the first picture is cut short
    g_assert_cmpint(seam_patches_next(&f->patches, &f->tokens, 0), ==, PICTURE + 1);
    f->place[3].modality = 200; // from a broken stream
    g_assert_cmpint(seam_patches_next(&f->patches, &f->tokens, 0), ==, PICTURE + 1);
    f->tokens.n = PICTURE + 3; // the end is missing
    g_assert_cmpint(seam_patches_next(&f->patches, &f->tokens, 0), ==, -1);
}

// |phi(cell) - row|, spelled out.
static double distance_to(const Fixture *f, int32_t first, int32_t cell, const float *row) {
    int32_t half = f->patches.reach / 2;
    double sum = 0;
    for (int32_t dy = -half; dy <= half; dy++)
        for (int32_t dx = -half; dx <= half; dx++) {
            int32_t y = MIN(MAX(cell / GRID + dy, 0), GRID - 1), x = MIN(MAX(cell % GRID + dx, 0), GRID - 1);
            for (int32_t d = 0; d < DIM; d++)
                sum += pow(f->x[(first + y * GRID + x) * DIM + d] - *row++, 2);
        }
    return sqrt(sum);
}

static void test_map(Fixture *f, gconstpointer reach) {
    float map[CELLS];
    double d[CELLS], scale;
    int32_t first = PICTURE + 1;
    fit(f, &f->patches, MOST);
    scale = f->patches.memory[VIDEO].scale;
    assert_ok(seam_patches_map(&f->patches, &f->run, &f->tokens, first, map));
    g_assert_cmpuint(f->arena.used, ==, 0);
    g_assert_cmpuint(f->arena.peak, <=, seam_patches_bytes(&f->patches));
    for (int32_t c = 0; c < CELLS; c++) { // the two nearest of three rows: all but the farthest
        double sum = 0, most = 0;
        for (int32_t r = 0; r < MOST; r++) {
            double one = distance_to(f, first, c, f->patches.memory[VIDEO].rows + r * f->patches.width);
            sum += one;
            most = fmax(most, one);
        }
        d[c] = (sum - most) / 2;
    }
    for (int32_t c = 0; c < CELLS; c++) { // on a grid of two, (1 2 1) / 4 with repeated edges is 3/4 of the cell and 1/4 of the other
        double e = (9 * d[c] + 3 * d[c ^ 1] + 3 * d[c ^ 2] + d[c ^ 3]) / 16;
        g_assert_cmpfloat_with_epsilon(map[c], e / (e + scale), 1e-5);
    }
    f->x[(first + 1) * DIM] = NAN;
    g_assert_cmpint(seam_patches_map(&f->patches, &f->run, &f->tokens, first, map), ==, SEAM_DEVICE_ERROR);
}

static void test_too_little_memory(Fixture *f, gconstpointer reach) {
    float map[CELLS];
    fit(f, &f->patches, MOST);
    for (size_t size = 0; size < seam_patches_bytes(&f->patches) / 2; size += 64) {
        SeamArena arena;
        g_assert_true(seam_arena_init(&arena, size));
        SeamRun run = {f->run.kernels, &arena};
        g_assert_cmpint(seam_patches_map(&f->patches, &run, &f->tokens, 1, map), ==, SEAM_NO_MEMORY);
        seam_arena_clear(&arena);
    }
}

// The coreset keeps one of each of three places far apart; the scale is the farthest of the held picture.
static void test_fit(Fixture *f, gconstpointer reach) {
    int32_t width = f->patches.width, seen[3] = {0};
    g_autofree float *rows = g_new0(float, 20 * width), *held = g_new0(float, CELLS * width);
    GError *error = NULL;
    for (int32_t i = 0; i < 20; i++)
        rows[i * width] = (float)(i < 18 ? 0 : 100 * (i - 17)) + (float)seam_random_uniform(&f->random);
    g_assert_true(seam_patches_fit(&f->patches, VIDEO, rows, 20, held, 1, f->run.kernels, 1, &error));
    g_assert_cmpint(f->patches.memory[VIDEO].n, ==, MOST);
    for (int32_t r = 0; r < MOST; r++)
        seen[(int32_t)(f->patches.memory[VIDEO].rows[r * width] / 100)]++;
    g_assert_true(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
    g_assert_cmpfloat_with_epsilon(f->patches.memory[VIDEO].scale, 50.5, 1); // two nearest: places 0 and 100
    rows[3] = INFINITY;
    g_assert_false(seam_patches_fit(&f->patches, VIDEO, rows, 20, held, 1, f->run.kernels, 1, &error));
    g_assert_nonnull(strstr(error->message, "memory.video.patches"));
    g_clear_error(&error);
    g_assert_false(seam_patches_fit(&f->patches, VIDEO, held, 1, held, 0, f->run.kernels, 1, NULL));
    g_assert_true(seam_patches_fit(&f->patches, VIDEO, held, 1, held, 1, f->run.kernels, 1, NULL)); // all alike
    g_assert_cmpfloat(f->patches.memory[VIDEO].scale, >, 0);
}

static void test_file(Fixture *f, gconstpointer reach) {
    SeamAnomaly a, b;
    SeamNamedArray arrays[SEAM_ANOMALY_EXPORTS * MODALITIES];
    GError *error = NULL;
    g_autofree char *path = g_strdup_printf("%s/seam-test-patches-%d.safetensors", g_get_tmp_dir(), GPOINTER_TO_INT(reach));
    seam_anomaly_declare(&a, &f->config, 0);
    seam_anomaly_declare(&b, &f->config, 0);
    fit(f, &a.patches, 2);
    int32_t n = seam_anomaly_export(&a, arrays);
    g_assert_cmpint(n, ==, SEAM_PATCH_TENSORS);
    g_assert_true(seam_safetensors_write(path, arrays, n, NULL, &error));
    SeamSafetensors *file = seam_safetensors_read(path, &error);
    g_assert_true(seam_anomaly_load(&b, file, &error));
    g_assert_no_error(error);
    const SeamPatchMemory *from = &a.patches.memory[VIDEO], *to = &b.patches.memory[VIDEO];
    g_assert_cmpmem(from->rows, (size_t)from->n * a.patches.width * sizeof(float), to->rows, (size_t)to->n * b.patches.width * sizeof(float));
    g_assert_cmpfloat(from->scale, ==, to->scale);
    b.patches.most = 1;
    g_assert_false(seam_anomaly_load(&b, file, &error));
    g_assert_nonnull(strstr(error->message, "memory.video.patches"));
    g_assert_cmpint(b.patches.memory[VIDEO].n, ==, 0);
    g_clear_error(&error);
    seam_safetensors_free(file);
    a.patches.memory[VIDEO].scale = 0;
    g_assert_true(seam_safetensors_write(path, arrays, n, NULL, NULL));
    file = seam_safetensors_read(path, NULL);
    b.patches.most = MOST;
    g_assert_false(seam_anomaly_load(&b, file, &error));
    g_assert_nonnull(strstr(error->message, "memory.video.patch_scale"));
    g_clear_error(&error);
    seam_safetensors_free(file);
    seam_anomaly_clear(&a);
    seam_anomaly_clear(&b);
    g_unlink(path);
}

// The heat map of a window without the task "localise" is of the picture that has the farthest patch.
static void test_decide(Fixture *f, gconstpointer reach) {
    GError *error = NULL;
    g_autofree SeamWindowResult *r = g_new0(SeamWindowResult, 1);
    SeamModel *model = seam_model_new(&f->config, false, 1, &error);
    g_assert_no_error(error);
    SeamAnomaly *a = &model->task[0].anomaly;
    float good[4 * 2 * DIM];
    fill(&f->random, good, G_N_ELEMENTS(good), 1);
    g_assert_true(seam_anomaly_fit(a, VIDEO, good, 2, good + 2 * 2 * DIM, 2, f->run.kernels, 0, NULL));
    assert_ok(seam_decide(model, &f->run, &f->tokens, 0, 1, 1 << VIDEO, NULL, r));
    g_assert_cmpint(r->heat_w, ==, 0); // no patches were learnt
    fit(f, &a->patches, MOST);
    f->arena.peak = 0;
    for (int32_t far = 0; far < 2; far++) {
        int32_t token = far * PICTURE + 1 + 2;
        f->x[token * DIM] += 50;
        assert_ok(seam_decide(model, &f->run, &f->tokens, 0, 1, 1 << VIDEO, NULL, r));
        g_assert_cmpuint(f->arena.peak, <=, seam_decide_bytes(model, TOKENS));
        g_assert_true(r->heat_w == GRID && r->heat_h == GRID && r->heat_modality == VIDEO && r->has_anomaly);
        g_assert_cmpfloat(r->heat_time, ==, 7 + (far ? 1.0 : 0.5));
        for (int32_t c = 0; c < CELLS; c++)
            g_assert_true(r->heat[c] >= 0 && r->heat[c] < 1 && r->heat[c] <= r->heat[2]);
        f->x[token * DIM] -= 50;
    }
    seam_model_free(model);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
#define ADD(name, reach, function) g_test_add("/patches/" name, Fixture, GINT_TO_POINTER(reach), setup, function, teardown)
    ADD("pictures", 1, test_pictures);
    ADD("map/1", 1, test_map);
    ADD("map/3", 3, test_map);
    ADD("too-little-memory", 3, test_too_little_memory);
    ADD("fit", 1, test_fit);
    ADD("file/1", 1, test_file);
    ADD("file/3", 3, test_file);
    ADD("decide", 1, test_decide);
    return g_test_run();
}
