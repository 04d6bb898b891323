// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A picture by its own level and spread: the formula, that another scale of the same heights gives the same input, and what holes become.
#include "core/picture_level.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "core/vision.h"

enum { SIDE = 8 };

static void test_formula(void) {
    uint32_t count[256] = {[0] = 1000, [90] = 1, [100] = 3, [110] = 1, [120] = 1}; // median 100, mean distance (10 + 10 + 20) / 6
    uint8_t table[256];
    double spread = 40.0 / 6;
    seam_picture_level(count, table);
    g_assert_cmpint(table[0], ==, 192);
    g_assert_cmpint(table[100], ==, 192);
    g_assert_cmpint(table[90], ==, (int)(192 - 320 / spread + 0.5));
    g_assert_cmpint(table[110], ==, (int)(192 + 320 / spread + 0.5));
    g_assert_cmpint(table[1], ==, 1); // 0 stays for nothing
    g_assert_cmpint(table[255], ==, 255);
    for (int v = 2; v < 256; v++)
        g_assert_cmpint(table[v], >=, table[v - 1]);
}

// No pixel at all, and one value only: the least spread keeps noise of a grey level or two small.
static void test_flat(void) {
    uint32_t none[256] = {0}, one[256] = {[255] = 100};
    uint8_t table[256];
    seam_picture_level(none, table);
    g_assert_cmpint(table[0], ==, 192);
    seam_picture_level(one, table);
    g_assert_cmpint(table[255], ==, 192);
    g_assert_cmpint(table[251], ==, 160);
}

static void input(const uint8_t *pixels, int32_t channels, SeamPixels format, uint8_t *out) {
    SeamVisionScratch *scratch = seam_vision_scratch_new();
    SeamPicture picture = {.format = format, .width = SIDE, .height = SIDE, .plane = {(uint8_t *)pixels}, .stride = {SIDE * channels}};
    g_assert_true(seam_vision_to_level_input(scratch, &picture, SIDE, out, NULL));
    seam_vision_scratch_free(scratch);
}

// The same heights at half the gain and another offset; holes in both.
static void test_scale_does_not_show(void) {
    uint8_t a[SIDE * SIDE], b[SIDE * SIDE], in_a[SIDE * SIDE], in_b[SIDE * SIDE], rgb[3 * SIDE * SIDE], in_rgb[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) {
        int height = i % 7 == 0 ? -1 : 2 * (i * 37 % 50);
        a[i] = (uint8_t)(height < 0 ? 0 : 20 + 2 * height);
        b[i] = (uint8_t)(height < 0 ? 0 : 80 + height / 2 * 2);
        memset(rgb + 3 * i, a[i], 3);
    }
    input(a, 1, SEAM_PIXELS_GRAY8, in_a);
    input(b, 1, SEAM_PIXELS_GRAY8, in_b);
    input(rgb, 3, SEAM_PIXELS_RGB, in_rgb);
    for (int i = 0; i < SIDE * SIDE; i++)
        g_assert_cmpint(abs(in_a[i] - in_b[i]), <=, 1);
    g_assert_cmpint(in_a[0], ==, 192); // a hole
    g_assert_cmpmem(in_a, sizeof in_a, in_rgb, sizeof in_rgb);
}

static void test_refused(void) {
    uint8_t pixels[SIDE * SIDE] = {0}, out[SIDE * SIDE];
    SeamVisionScratch *scratch = seam_vision_scratch_new();
    SeamPicture picture = {.format = SEAM_PIXELS_GRAY8, .width = SIDE, .height = SIDE, .plane = {pixels}, .stride = {SIDE - 1}};
    GError *error = NULL;
    g_assert_false(seam_vision_to_level_input(scratch, &picture, SIDE, out, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    seam_vision_scratch_free(scratch);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/picture-level/formula", test_formula);
    g_test_add_func("/picture-level/flat", test_flat);
    g_test_add_func("/picture-level/scale", test_scale_does_not_show);
    g_test_add_func("/picture-level/refused", test_refused);
    return g_test_run();
}
