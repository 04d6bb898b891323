// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The boxes of cells against their twin in PyTorch (tests/reference/boxes.py): owners, targets, loss, gradient, and which boxes stay.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/boxes.h"
#include "core/train/losses_boxes.h"
#include "tests/core/golden.h"

enum { SIDE = 8, CELLS = SIDE * SIDE, CLASSES = 3, SIZE = (CLASSES + SEAM_BOX_SIDES) * CELLS, TRUE_BOXES = 4, MOST = CLASSES * CELLS, ROW = 6 };

typedef struct {
    SeamSafetensors *file;
    float maps[SIZE];
    SeamBox truth[TRUE_BOXES];
} Fixture;

static float *values(const Fixture *f, const char *name, size_t *size) {
    const SeamArray *array = seam_safetensors_find(f->file, name);
    g_assert_nonnull(array);
    float *x = g_new(float, array->size);
    g_assert_true(seam_array_to_f32(f->file, array, x, NULL));
    *size = array->size;
    return x;
}

static void setup(Fixture *f, gconstpointer data) {
    size_t size;
    f->file = golden_open("boxes.safetensors");
    g_autofree float *maps = values(f, "maps", &size);
    g_assert_cmpuint(size, ==, SIZE);
    memcpy(f->maps, maps, sizeof f->maps);
    g_autofree float *truth = values(f, "truth", &size), *kind = values(f, "kind", &size);
    for (int32_t i = 0; i < TRUE_BOXES; i++) {
        const float *t = truth + 4 * i;
        f->truth[i] = (SeamBox){(t[0] + t[2]) / 2, (t[1] + t[3]) / 2, t[2] - t[0], t[3] - t[1], 1, (int32_t)kind[i]};
    }
}

static void teardown(Fixture *f, gconstpointer data) { seam_safetensors_free(f->file); }

static void compare(const char *what, size_t n, const float *got, const float *want) {
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-5f * (1 + fabsf(want[i]))))
            g_error("%s[%zu]: %g, the twin says %g", what, i, (double)got[i], (double)want[i]);
}

static void test_loss(Fixture *f, gconstpointer data) {
    int32_t owner[CELLS];
    float target[CELLS], dmaps[SIZE];
    size_t size;
    g_autofree float *owners = values(f, "owner", &size), *targets = values(f, "target", &size), *loss = values(f, "loss", &size),
                     *grad = values(f, "grad", &size);
    seam_boxes_assign(SIDE, CLASSES, f->maps, TRUE_BOXES, f->truth, owner, target);
    for (int32_t i = 0; i < CELLS; i++)
        g_assert_cmpint(owner[i], ==, (int32_t)owners[i]);
    compare("target", CELLS, target, targets);
    double got = seam_boxes_loss(SIDE, CLASSES, f->maps, f->truth, owner, target, 0.25, 0.5, dmaps);
    compare("loss", 1, &(float){(float)got}, loss);
    compare("grad", SIZE, dmaps, grad);
}

static void test_find(Fixture *f, gconstpointer data) {
    SeamBox found[MOST];
    size_t size;
    g_autofree float *rows = values(f, "found", &size);
    int32_t n = seam_boxes_find(SIDE, CLASSES, f->maps, NULL, found, MOST);
    g_assert_cmpint(n, ==, (int32_t)(size / ROW));
    for (int32_t i = 0; i < n; i++) {
        const SeamBox *b = &found[i];
        const float row[ROW] = {(float)b->class_index, b->x - b->w / 2, b->y - b->h / 2, b->x + b->w / 2, b->y + b->h / 2, b->score};
        compare("found", ROW, row, rows + ROW * i);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/golden-boxes/loss", Fixture, NULL, setup, test_loss, teardown);
    g_test_add("/golden-boxes/find", Fixture, NULL, setup, test_find, teardown);
    return g_test_run();
}
