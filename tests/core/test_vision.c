// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pictures: every format gives the same input, files come back, broken files are refused, drawing
// stays inside.
#include "core/vision.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/picture_header.h"

enum { GUARD = 64, MOST = 1 << 20 };

// A picture whose planes lie in one block, each row padded by some bytes, with guard bytes around.
typedef struct {
    SeamPicture picture;
    uint8_t *block;
    size_t size;
} Canvas;

static Canvas canvas_new(SeamPixels format, int32_t width, int32_t height) {
    static const int bytes[] = {1, 3, 3, 4, 4, 1, 1, 2};
    Canvas c = {.picture = {.format = format, .width = width, .height = height},
                .block = g_malloc(MOST),
                .size = GUARD};
    int planes = format == SEAM_PIXELS_I420 ? 3 : format == SEAM_PIXELS_NV12 ? 2 : 1;
    memset(c.block, 0xA5, MOST);
    for (int i = 0; i < planes; i++) {
        int chroma = format == SEAM_PIXELS_NV12 ? 2 : 1;
        int rows = i == 0 ? height : (height + 1) / 2;
        c.picture.stride[i] =
            (i == 0 ? (format == SEAM_PIXELS_YUY2 ? width + 1 : width) * bytes[format]
                    : (width + 1) / 2 * chroma) +
            5;
        c.picture.plane[i] = c.block + c.size;
        c.size += (size_t)(c.picture.stride[i] * rows) + GUARD;
        memset(c.picture.plane[i], i == 0 ? 16 : 128, (size_t)(c.picture.stride[i] * rows));
    }
    g_assert_cmpuint(c.size, <=, MOST);
    return c;
}

static void canvas_free(Canvas *c) {
    for (int i = 0; i < GUARD; i++)
        g_assert_cmpuint(c->block[i], ==, 0xA5);
    for (int i = 0; i < GUARD; i++)
        g_assert_cmpuint(c->block[c->size - GUARD + (size_t)i], ==, 0xA5);
    g_free(c->block);
}

// The same colour in every format: RGB (200, 100, 50) is YUV (123, 91, 176) in BT.601's limited
// range.
static void fill_orange(Canvas *c) {
    seam_vision_fill(&c->picture, 0, 0, c->picture.width, c->picture.height, 0xC86432, 1.0f);
}

static void test_formats_agree(void) {
    SeamVisionScratch *scratch = seam_vision_scratch_new();
    for (int format = SEAM_PIXELS_RGB; format <= SEAM_PIXELS_NV12; format++) {
        Canvas c = canvas_new((SeamPixels)format, 31, 17);
        uint8_t out[8 * 8 * 3], grey[8 * 8];
        fill_orange(&c);
        g_assert_true(seam_vision_to_input(scratch, &c.picture, 8, 3, out, NULL));
        g_assert_true(seam_vision_to_input(scratch, &c.picture, 8, 1, grey, NULL));
        for (int i = 0; i < 64; i++) {
            g_assert_cmpint(abs(out[3 * i] - 200), <=, 2);
            g_assert_cmpint(abs(out[3 * i + 1] - 100), <=, 2);
            g_assert_cmpint(abs(out[3 * i + 2] - 50), <=, 2);
            g_assert_cmpint(abs(grey[i] - 122), <=, 3);
        }
        g_assert_cmpfloat_with_epsilon(seam_vision_brightness(&c.picture), 122.0 / 255.0, 0.02);
        seam_vision_fill(&c.picture, 0, 0, 31, 17, 0x000000, 1.0f); // black is 16 in Y U V, and still black
        g_assert_true(seam_vision_to_input(scratch, &c.picture, 8, 1, grey, NULL));
        for (int i = 0; i < 64; i++)
            g_assert_cmpint(grey[i], ==, 0);
        g_assert_cmpfloat(seam_vision_brightness(&c.picture), <, 0.001);
        canvas_free(&c);
    }
    seam_vision_scratch_free(scratch);
}

static void test_yuy2(void) {
    SeamVisionScratch *scratch = seam_vision_scratch_new();
    Canvas c = canvas_new(SEAM_PIXELS_YUY2, 9, 4);
    uint8_t out[4 * 4 * 3], grey[16];
    const uint8_t pair[4] = {123, 91, 123, 176};
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 5; x++)
            memcpy(c.picture.plane[0] + y * c.picture.stride[0] + 4 * x, pair, 4);
    g_assert_true(seam_vision_to_input(scratch, &c.picture, 4, 3, out, NULL));
    g_assert_true(seam_vision_to_input(scratch, &c.picture, 4, 1, grey, NULL));
    g_assert_cmpint(abs(out[0] - 200), <=, 3);
    g_assert_cmpint(abs(out[2] - 50), <=, 3);
    g_assert_cmpint(grey[15], ==, 125); // (123 - 16) 255 / 219
    canvas_free(&c);
    seam_vision_scratch_free(scratch);
}

static void test_scaling(void) {
    SeamVisionScratch *scratch = seam_vision_scratch_new();
    Canvas c = canvas_new(SEAM_PIXELS_GRAY8, 8, 2);
    uint8_t out[16];
    for (int i = 0; i < 16; i++)
        c.picture.plane[0][i / 8 * c.picture.stride[0] + i % 8] = i % 2 ? 100 : 0;
    // 8 wide to 4: the mean of two columns each; 2 high to 4: bilinear between equal rows.
    g_assert_true(seam_vision_to_input(scratch, &c.picture, 4, 1, out, NULL));
    for (int i = 0; i < 16; i++)
        g_assert_cmpuint(out[i], ==, 50);
    canvas_free(&c);
    seam_vision_scratch_free(scratch);
}

static void test_nonsense_is_refused(void) {
    SeamVisionScratch *scratch = seam_vision_scratch_new();
    uint8_t pixels[64] = {0}, out[64 * 3];
    const SeamPicture bad[] = {
        {SEAM_PIXELS_GRAY8, 0, 8, {pixels}, {8}},
        {SEAM_PIXELS_GRAY8, 8, -1, {pixels}, {8}},
        {SEAM_PIXELS_GRAY8, 8, 8, {NULL}, {8}},
        {SEAM_PIXELS_RGB, 8, 2, {pixels}, {23}},
        {SEAM_PIXELS_I420, 4, 4, {pixels, pixels}, {4, 2, 2}},
        {SEAM_PIXELS_NV12, 3, 3, {pixels, pixels}, {3, 3}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        SeamPicture picture = bad[i];
        g_assert_false(seam_vision_to_input(scratch, &picture, 8, 3, out, &error));
        g_assert_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE);
        seam_vision_draw_box(&picture, 0, 0, 4, 4, 0xFFFFFF, 1);
    }
    seam_vision_scratch_free(scratch);
}

static void test_files(void) {
    g_autofree char *folder = g_dir_make_tmp("seam-vision-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "a.png", NULL),
                    *text = g_build_filename(folder, "b.jpg", NULL);
    g_autoptr(GError) error = NULL;
    uint8_t pixels[5 * 3 * 3], *back = NULL;
    int32_t width, height;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 5);
    g_assert_true(seam_vision_write(path, pixels, 5, 3, 3, &error));
    g_assert_true(seam_vision_read(path, 3, &back, &width, &height, &error));
    g_assert_cmpint(width * 10 + height, ==, 53);
    g_assert_cmpmem(pixels, sizeof pixels, back, (size_t)(width * height * 3));
    free(back);
    g_assert_false(seam_vision_write("a.gif", pixels, 5, 3, 3, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(text, "no picture", -1, NULL));
    g_assert_false(seam_vision_read(text, 3, &back, &width, &height, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT);
    g_clear_error(&error);
    // A PNG that claims 20000 x 20000, and one that ends early.
    g_autofree char *bytes = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_true(g_file_set_contents(text, bytes, 40, NULL));
    g_assert_false(seam_vision_read(text, 1, &back, &width, &height, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT);
    g_clear_error(&error);
    memcpy(bytes + 16, "\0\0\x4E\x20\0\0\x4E\x20", 8);
    g_assert_true(g_file_set_contents(text, bytes, (gssize)size, NULL));
    g_assert_false(seam_vision_read(text, 1, &back, &width, &height, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_unlink(path);
    g_unlink(text);
    g_rmdir(folder);
}

static void test_headers(void) {
    const uint8_t pixels[6] = {0};
    uint32_t width, height;
    uint8_t *bytes;
    size_t size;
    const char *const endings[] = {".jpg", ".png"};
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        g_assert_true(seam_vision_encode(endings[i], pixels, 3, 2, 1, &bytes, &size, NULL));
        g_assert_true(seam_picture_header(bytes, size, &width, &height));
        g_assert_cmpint(width * 10 + height, ==, 32);
        for (size_t cut = 0; cut < size; cut++)
            seam_picture_header(bytes, cut, &width, &height);
        g_free(bytes);
    }
    const char bmp[] = "BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0\x03\0\0\0\xFE\xFF\xFF\xFF";
    const char tiff[] =
        "MM\0*\0\0\0\x08\0\x02\x01\0\0\x03\0\0\0\x01\0\x03\0\0\x01\x01\0\x04\0\0\0\x01\0\0\0\x02";
    const char pgm[] = "P5 # comment 9\n3 2\n255\n";
    const struct {
        const char *bytes;
        size_t size;
    } made[] = {{bmp, sizeof bmp - 1}, {tiff, sizeof tiff - 1}, {pgm, sizeof pgm - 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(made); i++) {
        g_assert_true(
            seam_picture_header((const uint8_t *)made[i].bytes, made[i].size, &width, &height));
        g_assert_cmpint(width * 10 + height, ==, 32);
    }
}

static void test_boxes(void) {
    float map[8 * 10] = {0};
    SeamBox boxes[2];
    map[1 * 10 + 1] = 0.6f;
    map[2 * 10 + 2] = 0.7f; // touches by its corner
    map[5 * 10 + 7] = 0.9f;
    map[7 * 10 + 0] = 0.55f;
    map[0 * 10 + 9] = NAN;
    g_assert_cmpint(seam_vision_boxes(map, 10, 8, 0.5f, boxes, 2), ==, 2);
    g_assert_cmpfloat(boxes[0].score, ==, 0.9f);
    g_assert_cmpfloat_with_epsilon(boxes[0].x, 0.75, 1e-6);
    g_assert_cmpfloat_with_epsilon(boxes[0].h, 0.125, 1e-6);
    g_assert_cmpfloat(boxes[1].score, ==, 0.7f);
    g_assert_cmpfloat_with_epsilon(boxes[1].x, 0.2, 1e-6);
    g_assert_cmpfloat_with_epsilon(boxes[1].w, 0.2, 1e-6);
    g_assert_cmpint(seam_vision_boxes(map, 10, 8, 0.95f, boxes, 2), ==, 0);
}

// Everything drawn far over the edges: the guard bytes must survive, and something must show
// inside.
static void test_drawing_stays_inside(void) {
    const float map[4] = {0.0f, 1.0f, NAN, 0.5f},
                line[] = {-1e9f, 5, 8, 8, NAN, 3, 4, 4, 1e9f, 1e9f};
    for (int format = SEAM_PIXELS_GRAY8; format <= SEAM_PIXELS_YUY2; format++) {
        Canvas c = canvas_new((SeamPixels)format, 33, 21);
        seam_vision_draw_heat(&c.picture, map, 2, 2, 0.7f);
        seam_vision_draw_box(&c.picture, -5, -5, 1000, 20, 0xFF0000, 3);
        seam_vision_draw_box(&c.picture, INT32_MAX - 1, INT32_MIN, INT32_MAX, INT32_MAX, 0xFF0000,
                             INT32_MAX);
        seam_vision_draw_text(&c.picture, -3, 12, "weld é \xFF", 0x00FF00, 12.0);
        seam_vision_draw_text(&c.picture, 0, 0, "x", 0x00FF00, NAN);
        seam_vision_fill(&c.picture, 20, 10, INT32_MAX, INT32_MAX, 0x0000FF, 0.5f);
        seam_vision_draw_line(&c.picture, line, 5, 0xFFFFFF, 2);
        bool changed = false;
        for (int i = 0; i < 21; i++)
            changed = changed || c.picture.plane[0][i * c.picture.stride[0] + 1] != 16;
        g_assert_true(changed == (format != SEAM_PIXELS_YUY2));
        canvas_free(&c);
    }
}

static void test_drawing_colours(void) {
    Canvas c = canvas_new(SEAM_PIXELS_I420, 16, 16);
    seam_vision_fill(&c.picture, 4, 4, 8, 8, 0xFF0000, 1.0f);
    g_assert_cmpint(abs(c.picture.plane[0][5 * c.picture.stride[0] + 5] - 81), <=, 1);
    g_assert_cmpint(abs(c.picture.plane[1][3 * c.picture.stride[1] + 3] - 90), <=, 1);
    g_assert_cmpint(abs(c.picture.plane[2][3 * c.picture.stride[2] + 3] - 240), <=, 1);
    g_assert_cmpint(c.picture.plane[2][1 * c.picture.stride[2] + 1], ==, 128);
    g_assert_cmpint(c.picture.plane[0][3 * c.picture.stride[0] + 5], ==, 16);
    canvas_free(&c);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vision/formats-agree", test_formats_agree);
    g_test_add_func("/vision/yuy2", test_yuy2);
    g_test_add_func("/vision/scaling", test_scaling);
    g_test_add_func("/vision/nonsense-is-refused", test_nonsense_is_refused);
    g_test_add_func("/vision/files", test_files);
    g_test_add_func("/vision/headers", test_headers);
    g_test_add_func("/vision/boxes", test_boxes);
    g_test_add_func("/vision/drawing-stays-inside", test_drawing_stays_inside);
    g_test_add_func("/vision/drawing-colours", test_drawing_colours);
    return g_test_run();
}
