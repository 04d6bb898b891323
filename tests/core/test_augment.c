// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Augmentation of pictures: boxes stay on what they mark however the picture is moved, turned and erased; all turns come up; what is off leaves
// the lots alone.
#include "core/train/augment.h"

#include <glib.h>
#include <math.h>
#include <string.h>

enum { SIZE = 48, DRAWS = 300, DARK = 20, BRIGHT = 220 };

// A bright rectangle, columns x0 to x1 and rows y0 to y1, on a dark picture, and its box.
static SeamBox paint(uint8_t *picture, int32_t x0, int32_t y0, int32_t x1, int32_t y1) {
    memset(picture, DARK, SIZE * SIZE);
    for (int32_t y = y0; y < y1; y++)
        memset(picture + y * SIZE + x0, BRIGHT, (size_t)(x1 - x0));
    return (SeamBox){.x = (x0 + x1) / 2.0f / SIZE, .y = (y0 + y1) / 2.0f / SIZE, .w = (float)(x1 - x0) / SIZE, .h = (float)(y1 - y0) / SIZE};
}

// The columns and rows of what is bright.
static bool find_bright(const uint8_t *picture, int32_t *x0, int32_t *y0, int32_t *x1, int32_t *y1) {
    *x0 = *y0 = SIZE;
    *x1 = *y1 = 0;
    for (int32_t i = 0; i < SIZE * SIZE; i++)
        if (picture[i] > (DARK + BRIGHT) / 2) {
            *x0 = MIN(*x0, i % SIZE), *x1 = MAX(*x1, i % SIZE + 1);
            *y0 = MIN(*y0, i / SIZE), *y1 = MAX(*y1, i / SIZE + 1);
        }
    return *x1 > *x0;
}

static void test_boxes(void) {
    const SeamAugment a = {.flip = true, .flip_vertical = true, .rotate = true, .shift = 0.15, .scale = 0.3};
    uint8_t in[SIZE * SIZE], out[SIZE * SIZE];
    int32_t kept = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        SeamRandom random = seam_random(3, i);
        SeamBox box = paint(in, 6, 20, 16, 44);
        int32_t n = 1, x0, y0, x1, y1;
        seam_augment_picture(&a, &random, SIZE, 1, in, out, &box, &n);
        if (n == 0)
            continue;
        g_assert_true(find_bright(out, &x0, &y0, &x1, &y1));
        const float got[4] = {box.x - box.w / 2, box.y - box.h / 2, box.x + box.w / 2, box.y + box.h / 2};
        const int32_t want[4] = {x0, y0, x1, y1};
        for (int32_t k = 0; k < 4; k++)
            g_assert_cmpfloat_with_epsilon(got[k] * SIZE, want[k], 1.2);
        kept++;
    }
    g_assert_cmpint(kept, >, DRAWS / 2);
}

// A corner and a half side are marked, so that each of the eight pictures is another.
static void test_turns(void) {
    const struct {
        SeamAugment augment;
        int32_t pictures;
    } cases[] = {{{.flip = true}, 2}, {{.flip_vertical = true}, 2}, {{.rotate = true}, 4}, {{.flip = true, .flip_vertical = true}, 4},
                 {{.flip = true, .rotate = true}, 8}, {{0}, 1}};
    uint8_t in[SIZE * SIZE], out[SIZE * SIZE];
    paint(in, 0, 0, SIZE / 2, 10);
    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        uint32_t seen = 0;
        for (uint64_t i = 0; i < 100; i++) {
            SeamRandom random = seam_random(4, i);
            int32_t n = 0;
            seam_augment_picture(&cases[c].augment, &random, SIZE, 1, in, out, NULL, &n);
            // Eight places, of which the marked half side covers one.
            const int32_t low = 5, high = SIZE - 6, near = SIZE / 4, far = 3 * SIZE / 4;
            const int32_t place[8][2] = {{low, near}, {low, far}, {high, near}, {high, far}, {near, low}, {far, low}, {near, high}, {far, high}};
            int32_t bright = 0;
            uint32_t which = 0;
            for (uint32_t k = 0; k < 8; k++)
                if (out[place[k][0] * SIZE + place[k][1]] == BRIGHT)
                    bright++, which = k;
            g_assert_cmpint(bright, ==, 1);
            seen |= 1u << which;
        }
        g_assert_cmpint(__builtin_popcount(seen), ==, cases[c].pictures);
    }
}

static void test_erase(void) {
    const SeamAugment a = {.erase = 0.5};
    uint8_t in[SIZE * SIZE], out[SIZE * SIZE];
    int32_t erased = 0, dropped = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        SeamRandom random = seam_random(5, i);
        SeamBox box = paint(in, 20, 20, 29, 32), whole = box;
        int32_t n = 1, mean = DARK, changed = 0, hidden = 0;
        mean = (int32_t)lrint((DARK * (SIZE * SIZE - 9 * 12) + BRIGHT * 9 * 12) / (double)(SIZE * SIZE));
        seam_augment_picture(&a, &random, SIZE, 1, in, out, &box, &n);
        for (int32_t p = 0; p < SIZE * SIZE; p++)
            if (out[p] == mean) {
                changed++;
                hidden += in[p] == BRIGHT;
            }
        erased += changed > 0;
        dropped += n == 0;
        g_assert_cmpint(changed, <, SIZE * SIZE / 4);
        if (hidden < 9 * 12 / 2)
            g_assert_cmpint(n, ==, 1);
        if (hidden > 9 * 12 * 5 / 6)
            g_assert_cmpint(n, ==, 0);
        if (n == 1)
            g_assert_cmpmem(&box, sizeof box, &whole, sizeof whole);
    }
    g_assert_cmpint(erased, >, DRAWS / 3);
    g_assert_cmpint(erased, <, 2 * DRAWS / 3);
    g_assert_cmpint(dropped, >, 0);
}

// Colours move, each another way; a picture of one channel is left alone.
static void test_colours(void) {
    const SeamAugment a = {.colour = 0.4};
    uint8_t in[SIZE * SIZE * 3], out[SIZE * SIZE * 3];
    bool redder = false, bluer = false;
    for (int32_t i = 0; i < SIZE * SIZE; i++)
        in[3 * i] = 140, in[3 * i + 1] = 100, in[3 * i + 2] = 120;
    for (uint64_t i = 0; i < DRAWS; i++) {
        SeamRandom random = seam_random(7, i);
        int32_t n = 0;
        seam_augment_picture(&a, &random, SIZE, 3, in, out, NULL, &n);
        for (int32_t c = 0; c < 3; c++) { // gains within e^+-0.2, colours within 0.6 to 1.4 of their distance from grey
            double low = fmin(0.6 * (in[c] - 120), 1.4 * (in[c] - 120)), high = fmax(0.6 * (in[c] - 120), 1.4 * (in[c] - 120));
            g_assert_cmpfloat(out[c], >=, (120 + low) * exp(-0.2) - 1);
            g_assert_cmpfloat(out[c], <=, (120 + high) * exp(0.2) + 1);
        }
        g_assert_cmpmem(out, 3, out + 3 * (SIZE * SIZE - 1), 3); // one light for the whole picture
        redder |= out[0] - out[2] > 30;
        bluer |= out[2] > out[0];
    }
    g_assert_true(redder && bluer);
    SeamRandom random = seam_random(7, 1);
    int32_t n = 0;
    seam_augment_picture(&a, &random, SIZE, 1, in, out, NULL, &n);
    g_assert_cmpmem(out, SIZE * SIZE, in, SIZE * SIZE);
}

// A recipe that does not ask for what came later draws the lots that it drew before.
static void test_lots(void) {
    const SeamAugment before = {.flip = true, .shift = 0.1};
    uint8_t in[SIZE * SIZE], out[SIZE * SIZE];
    SeamRandom random = seam_random(6, 1);
    int32_t n = 0;
    paint(in, 3, 3, 9, 9);
    seam_augment_picture(&before, &random, SIZE, 1, in, out, NULL, &n);
    g_assert_cmpuint(random.counter, ==, 4); // shift each way, mirror, strength of the noise
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/augment/boxes", test_boxes);
    g_test_add_func("/augment/turns", test_turns);
    g_test_add_func("/augment/erase", test_erase);
    g_test_add_func("/augment/colours", test_colours);
    g_test_add_func("/augment/lots", test_lots);
    return g_test_run();
}
