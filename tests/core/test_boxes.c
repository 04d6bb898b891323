// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Boxes that cells give: their geometry, which of many stay, which cells shall give which true box, and the loss against finite differences.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/boxes.h"
#include "core/train/losses_boxes.h"
#include "tests/core/differences.h"

enum { SIDE = 4, CELLS = SIDE * SIDE, CLASSES = 2, SIZE = (CLASSES + SEAM_BOX_SIDES) * CELLS };

static const float far_away = -20; // a logit of nothing

static SeamBox box(float x, float y, float w, float h, int32_t class_index) {
    return (SeamBox){.x = x, .y = y, .w = w, .h = h, .class_index = class_index};
}

static void nothing(float maps[SIZE]) {
    for (int32_t i = 0; i < SIZE; i++)
        maps[i] = i < CLASSES * CELLS ? far_away : 0;
}

// ---- geometry ------------------------------------------------------------------------------------------------------------------

static void test_overlap(void) {
    SeamBox a = box(0.5f, 0.5f, 0.4f, 0.2f, 0), b = box(0.7f, 0.5f, 0.4f, 0.2f, 0), empty = box(0.5f, 0.5f, 0, 0, 0), nan = a;
    nan.w = NAN;
    g_assert_cmpfloat_with_epsilon(seam_boxes_overlap(&a, &a), 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(seam_boxes_overlap(&a, &b), 1.0 / 3, 1e-6);
    b.y = 0.8f;
    g_assert_cmpfloat(seam_boxes_overlap(&a, &b), ==, 0);
    g_assert_cmpfloat(seam_boxes_overlap(&empty, &empty), ==, 0);
    g_assert_cmpfloat(seam_boxes_overlap(&a, &nan), ==, 0);
}

static void test_of_cell(void) {
    float maps[SIZE];
    nothing(maps);
    float *sides = maps + CLASSES * CELLS;
    const int32_t cell = 1 * SIDE + 2; // row 1, column 2: centre (0.625, 0.375)
    sides[0 * CELLS + cell] = logf(2); // left: 1/4
    sides[3 * CELLS + cell] = 99;      // bottom: cut to e^3 / 8
    SeamBox b = seam_boxes_of_cell(SIDE, sides, cell);
    g_assert_cmpfloat_with_epsilon(b.x - b.w / 2, 0.625 - 0.25, 1e-6);
    g_assert_cmpfloat_with_epsilon(b.x + b.w / 2, 0.625 + 0.125, 1e-6);
    g_assert_cmpfloat_with_epsilon(b.y - b.h / 2, 0.375 - 0.125, 1e-5);
    g_assert_cmpfloat_with_epsilon(b.y + b.h / 2, 0.375 + exp(3) / 8, 1e-5);
}

// ---- which stay ----------------------------------------------------------------------------------------------------------------

// Two cells side by side give nearly the same box: the better one stays; of the other class both stay; a far one stays.
static void test_find(void) {
    float maps[SIZE];
    SeamBox found[8];
    nothing(maps);
    float *sides = maps + CLASSES * CELLS;
    maps[5] = 1, maps[6] = 2;
    sides[0 * CELLS + 6] = logf(3), sides[2 * CELLS + 5] = logf(3); // 5: 0.25 .. 0.75, 6: 0.25 .. 0.75
    maps[CELLS + 5] = 0;
    maps[15] = -1;
    int32_t n = seam_boxes_find(SIDE, CLASSES, maps, NULL, found, 8);
    g_assert_cmpint(n, ==, 3);
    g_assert_cmpfloat_with_epsilon(found[0].score, 1 / (1 + exp(-2)), 1e-6);
    g_assert_cmpfloat_with_epsilon(found[0].x, 0.5, 1e-6);
    g_assert_cmpint(found[0].class_index, ==, 0);
    g_assert_cmpfloat_with_epsilon(found[1].score, 0.5, 1e-6);
    g_assert_cmpint(found[1].class_index, ==, 1);
    g_assert_cmpfloat_with_epsilon(found[2].x + found[2].w / 2, 1, 1e-6); // cell 15 at 0.875 ends at 1 exactly
    nothing(maps);
    maps[15] = 3;
    sides[2 * CELLS + 15] = 2;
    g_assert_cmpint(seam_boxes_find(SIDE, CLASSES, maps, NULL, found, 8), ==, 1);
    g_assert_cmpfloat_with_epsilon(found[0].x + found[0].w / 2, 1, 1e-6); // cut at the edge
}

static void test_find_factor(void) {
    const float factor[CLASSES] = {0.5f, 0};
    float maps[SIZE];
    SeamBox found[2];
    nothing(maps);
    maps[0] = 0, maps[CELLS + 3] = 9;
    g_assert_cmpint(seam_boxes_find(SIDE, CLASSES, maps, factor, found, 2), ==, 1);
    g_assert_cmpfloat_with_epsilon(found[0].score, 0.25, 1e-6);
}

static void test_find_limits(void) {
    float maps[SIZE];
    SeamBox found[3];
    nothing(maps);
    for (int32_t i = 0; i < CELLS; i++)
        maps[i] = (float)i / CELLS; // neighbours overlap by a third
    g_assert_cmpint(seam_boxes_find(SIDE, CLASSES, maps, NULL, found, 3), ==, 3);
    g_assert_cmpfloat(found[0].score, >, found[1].score);
    g_assert_cmpfloat(found[1].score, >, found[2].score);
    nothing(maps);
    maps[3] = 5, maps[4] = NAN, maps[7] = 4;
    maps[CLASSES * CELLS + 3] = NAN;
    g_assert_cmpint(seam_boxes_find(SIDE, CLASSES, maps, NULL, found, 3), ==, 1);
    g_assert_cmpfloat_with_epsilon(found[0].y, 0.375, 1e-6);
    g_assert_cmpint(seam_boxes_find(SIDE, 0, maps, NULL, found, 3), ==, 0);
}

// ---- assignment ----------------------------------------------------------------------------------------------------------------

static void test_assign(void) {
    float maps[SIZE], target[CELLS];
    int32_t owner[CELLS];
    const SeamBox truth[] = {box(0.375f, 0.375f, 0.25f, 0.25f, 1), box(0.26f, 0.9f, 0.01f, 0.01f, 0)};
    nothing(maps);
    seam_boxes_assign(SIDE, CLASSES, maps, 2, truth, owner, target);
    for (int32_t i = 0; i < CELLS; i++)
        g_assert_cmpint(owner[i], ==, i == 5 ? 0 : i == 13 ? 1 : -1); // the small one holds no centre: the nearest cell
    g_assert_cmpfloat_with_epsilon(target[5], 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(target[13], 1e-4 * 16, 1e-6); // the overlap of a box that is far too large
    g_assert_cmpfloat(target[0], ==, 0);
}

// Of many cells in a box the likely ones own it; a cell in two boxes goes to the one that it overlaps most.
static void test_assign_best(void) {
    float maps[SIZE], target[CELLS];
    int32_t owner[CELLS], owned[2] = {0};
    const SeamBox truth[] = {box(0.5f, 0.5f, 1, 1, 0), box(0.375f, 0.375f, 0.25f, 0.25f, 1)};
    nothing(maps);
    maps[15] = 5; // a corner that is certain of the first class; all cells' boxes overlap the whole picture alike
    seam_boxes_assign(SIDE, CLASSES, maps, 2, truth, owner, target);
    g_assert_cmpint(owner[15], ==, 0);
    g_assert_cmpint(owner[5], ==, 1);
    for (int32_t i = 0; i < CELLS; i++)
        if (owner[i] >= 0)
            owned[owner[i]]++;
    g_assert_cmpint(owned[1], ==, 1);
    g_assert_cmpint(owned[0], >=, 9);
    g_assert_cmpint(owned[0], <=, 10);
    g_assert_cmpfloat_with_epsilon(target[15], 1.0 / 16, 1e-6);
    g_assert_cmpfloat(target[0], <, 1e-3);
}

// ---- loss ----------------------------------------------------------------------------------------------------------------------

typedef struct {
    float maps[SIZE], dmaps[SIZE], target[CELLS];
    int32_t owner[CELLS];
    SeamBox truth[2];
} LossCase;

static double loss_of(void *data, bool backward) {
    LossCase *c = data;
    float scratch[SIZE];
    return seam_boxes_loss(SIDE, CLASSES, c->maps, c->truth, c->owner, c->target, 0.5, 1.5, backward ? c->dmaps : scratch);
}

// Boxes that lie inside, outside, across and apart from the true ones.
static void test_loss_gradient(void) {
    LossCase c = {.truth = {box(0.4f, 0.45f, 0.5f, 0.3f, 0), box(0.8f, 0.2f, 0.2f, 0.31f, 1)}};
    SeamRandom random = seam_random(3, 1);
    fill(&random, c.maps, SIZE, 1);
    for (int32_t i = 0; i < CELLS; i++) {
        c.owner[i] = i % 3 - 1;
        c.target[i] = c.owner[i] >= 0 ? (float)seam_random_range(&random, 0.1, 1) : 0;
    }
    c.maps[CLASSES * CELLS + 1] = -7; // beyond the cut: no gradient
    loss_of(&c, true);
    g_assert_cmpfloat(c.dmaps[CLASSES * CELLS + 1], ==, 0);
    check_values("maps", c.maps, c.dmaps, SIZE, SIZE, loss_of, &c);
}

// A picture where all is right costs nothing; where nothing is marked, only what is said too loud.
static void test_loss_right(void) {
    LossCase c = {.truth = {box(0.375f, 0.375f, 0.25f, 0.25f, 1)}};
    nothing(c.maps);
    c.maps[CELLS + 5] = 20;
    seam_boxes_assign(SIDE, CLASSES, c.maps, 1, c.truth, c.owner, c.target);
    g_assert_cmpfloat_with_epsilon(loss_of(&c, true), 0, 1e-6);
    seam_boxes_assign(SIDE, CLASSES, c.maps, 0, NULL, c.owner, c.target);
    g_assert_cmpfloat_with_epsilon(loss_of(&c, true), 0.5 * 20, 1e-3);
    for (int32_t i = 0; i < SIZE; i++)
        g_assert_true((c.dmaps[i] != 0) == (i == CELLS + 5) || fabsf(c.dmaps[i]) < 1e-8f);
}

// The batch: a box of the good class counts only for a task that boxes it; a picture that nobody marked does not count at all.
static void test_loss_batch(void) {
    SeamConfig config = {.n_modalities = 1, .modality = {{.front = SEAM_FRONT_IMAGE, .channels = 1}}};
    SeamBatch *batch = seam_batch_new(&config, 2, NULL);
    const int32_t window[2] = {0, 1};
    const SeamPictureTruth truth[2] = {{.known = true, .n = 1, .box = {box(0.375f, 0.375f, 0.25f, 0.25f, 0)}}, {.known = false}};
    SeamLocalisePicture picture[2] = {{.window = 0, .side = SIDE}, {.window = 1, .side = SIDE, .offset = SIZE}};
    float maps[2 * SIZE], d[2 * SIZE];
    nothing(maps);
    nothing(maps + SIZE);
    maps[5] = maps[SIZE + 5] = 20;
    SeamLocaliseOut out = {.pictures = 2, .picture = picture, .size = 2 * SIZE, .logits = maps};
    SeamLocalise task = {.classes = CLASSES, .first_class = 0, .channels = CLASSES + SEAM_BOX_SIDES};
    g_array_append_vals(batch->part[0].window, window, 2);
    g_array_append_vals(batch->part[0].truth, truth, 2);
    batch->part[0].n = 2;
    g_assert_cmpfloat_with_epsilon(seam_loss_boxes(&out, &task, batch, 2, 1, d), 0, 1e-6);
    task.first_class = 1; // the first map is of a defect now, and nothing is marked
    g_assert_cmpfloat_with_epsilon(seam_loss_boxes(&out, &task, batch, 2, 3, d), 20, 1e-3);
    g_assert_cmpfloat(d[5], >, 2.9f);
    for (int32_t i = SIZE; i < 2 * SIZE; i++)
        g_assert_cmpfloat(d[i], ==, 0);
    seam_batch_free(batch);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/boxes/overlap", test_overlap);
    g_test_add_func("/boxes/of-cell", test_of_cell);
    g_test_add_func("/boxes/find", test_find);
    g_test_add_func("/boxes/find/factor", test_find_factor);
    g_test_add_func("/boxes/find/limits", test_find_limits);
    g_test_add_func("/boxes/assign", test_assign);
    g_test_add_func("/boxes/assign/best", test_assign_best);
    g_test_add_func("/boxes/loss/gradient", test_loss_gradient);
    g_test_add_func("/boxes/loss/right", test_loss_right);
    g_test_add_func("/boxes/loss/batch", test_loss_batch);
    return g_test_run();
}
