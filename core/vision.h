// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pictures: the one door to OpenCV. It owns no state. Everything here is plain C to callers; the C++ file behind it catches every exception.
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    SEAM_PIXELS_GRAY8, SEAM_PIXELS_RGB, SEAM_PIXELS_BGR, SEAM_PIXELS_RGBX, SEAM_PIXELS_BGRX, SEAM_PIXELS_I420, SEAM_PIXELS_NV12, SEAM_PIXELS_YUY2,
} SeamPixels;

// A picture in somebody's memory; the caller owns it. Planes that the format lacks are NULL. Chroma planes of I420/NV12: half size, rounded up.
typedef struct {
    SeamPixels format;
    int32_t width, height;
    uint8_t *plane[3];
    int32_t stride[3]; // bytes
} SeamPicture;

// The model's input: scaled to size x size (area averaging when smaller, bilinear when larger; the aspect ratio is not kept: place is relative),
// channels 1 (luma) or 3 (RGB). out [size, size, channels]. `scratch` is reused between calls (make with seam_vision_scratch_new).
typedef struct SeamVisionScratch SeamVisionScratch;
SeamVisionScratch *seam_vision_scratch_new(void);
void seam_vision_scratch_free(SeamVisionScratch *scratch);
bool seam_vision_to_input(SeamVisionScratch *scratch, const SeamPicture *picture, int32_t size, int32_t channels, uint8_t *out, GError **error);
// The same of one channel, by the picture's own level and spread (core/picture_level.h) before it is scaled.
bool seam_vision_to_level_input(SeamVisionScratch *scratch, const SeamPicture *picture, int32_t size, uint8_t *out, GError **error);
// Mean luma, 0 to 1, on a coarse grid of at most 64x64 samples.
float seam_vision_brightness(const SeamPicture *picture);

// Reads a picture file (JPEG, PNG, BMP, TIFF, PGM) to channels 1 or 3 (RGB), at most 64 megapixels. *pixels is malloc'ed: free() it.
bool seam_vision_read(const char *path, int32_t channels, uint8_t **pixels, int32_t *width, int32_t *height, GError **error);
// PNG or JPEG by the file's ending; channels 1, 3 (RGB). Or into memory (g_free *bytes), for reports.
bool seam_vision_write(const char *path, const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, GError **error);
bool seam_vision_encode(const char *ending, const uint8_t *pixels, int32_t width, int32_t height, int32_t channels,
                        uint8_t **bytes, size_t *size, GError **error);

// Boxes around what is over `threshold` in a heat map [h, w]: connected components (8 neighbours), largest score first. Score: the highest value inside.
typedef struct {
    float x, y, w, h; // centre and size, relative to the map
    float score;
    int32_t class_index; // filled by the caller
} SeamBox;
int32_t seam_vision_boxes(const float *map, int32_t w, int32_t h, float threshold, SeamBox *boxes, int32_t most);

// Drawing, for seamoverlay, on GRAY8, RGB(X), BGR(X) and the planes of I420/NV12. Colours are 0xRRGGBB. Coordinates in pixels; everything is clipped.
void seam_vision_draw_heat(SeamPicture *picture, const float *map, int32_t w, int32_t h, float strength); // map 0..1, blended by value
void seam_vision_draw_box(SeamPicture *picture, int32_t x, int32_t y, int32_t w, int32_t h, uint32_t colour, int32_t thickness);
void seam_vision_draw_text(SeamPicture *picture, int32_t x, int32_t y, const char *text, uint32_t colour, double height); // x, y: left, baseline
void seam_vision_fill(SeamPicture *picture, int32_t x, int32_t y, int32_t w, int32_t h, uint32_t colour, float alpha);
void seam_vision_draw_line(SeamPicture *picture, const float *xy, int32_t points, uint32_t colour, int32_t thickness);
