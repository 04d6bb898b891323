// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as the head of a picture file. Its sizes are read, nothing is decoded.
#include <glib.h>

#include "core/picture_header.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t width = 0, height = 0;
    if (seam_picture_header(data, size, &width, &height))
        g_assert_true(size > 4);
    return 0;
}

static const uint8_t png[] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 1, 0, 0, 0, 0, 200, 8, 2, 0, 0, 0};
static const uint8_t jpeg[] = {0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0xFF, 0xC0, 0, 17, 8, 0, 200, 1, 0, 3, 1, 0x22, 0};
static const uint8_t bmp[] = {'B', 'M', 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 64, 0, 0, 0, 0xC0, 0xFF, 0xFF, 0xFF, 1, 0, 24, 0};
static const uint8_t tiff[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 2, 0, 0, 1, 3, 0, 1, 0, 0, 0, 64, 0, 0, 0, 1, 1, 4, 0, 1, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0};
static const char pnm[] = "P5\n# a remark\n64 32\n255\n";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{png, sizeof png}, {jpeg, sizeof jpeg}, {bmp, sizeof bmp}, {tiff, sizeof tiff}, {pnm, sizeof pnm - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
