// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The sizes in picture files' headers. It reads inside the given bytes only and decodes nothing.
#include "core/picture_header.h"

#include <string.h>

typedef struct {
    const uint8_t *bytes;
    size_t size;
    bool big_endian;
} Bytes;

// 2 or 4 bytes at an offset; 0 beyond the end, which no valid size is.
static uint32_t number(const Bytes *b, uint64_t offset, int length) {
    uint32_t value = 0;
    if (offset + (uint64_t)length > b->size)
        return 0;
    for (int i = 0; i < length; i++)
        value |= (uint32_t)b->bytes[offset + (uint64_t)i]
                 << 8 * (b->big_endian ? length - 1 - i : i);
    return value;
}

// IHDR is the first chunk (PNG specification, 11.2.2).
static bool png(const Bytes *b, uint32_t *width, uint32_t *height) {
    *width = number(b, 16, 4);
    *height = number(b, 20, 4);
    return true;
}

// BITMAPINFOHEADER; a negative height means top-down. The older BITMAPCOREHEADER (12 bytes) has
// 16-bit sizes.
static bool bmp(const Bytes *b, uint32_t *width, uint32_t *height) {
    bool core = number(b, 14, 4) == 12;
    *width = number(b, 18, core ? 2 : 4);
    *height = number(b, core ? 20 : 22, core ? 2 : 4);
    if (!core && *height > INT32_MAX)
        *height = 0u - *height;
    return true;
}

// Segments up to the frame header, SOF0 .. SOF15 without DHT, JPG and DAC (ITU-T T.81, table B.1).
static bool jpeg(const Bytes *b, uint32_t *width, uint32_t *height) {
    uint64_t at = 2;
    while (at + 4 <= b->size) {
        uint8_t marker = b->bytes[at + 1];
        if (b->bytes[at] != 0xFF)
            return false;
        if (marker == 0xFF) { // a fill byte
            at++;
            continue;
        }
        if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 &&
            marker != 0xCC) {
            *height = number(b, at + 5, 2);
            *width = number(b, at + 7, 2);
            return true;
        }
        uint32_t length = number(b, at + 2, 2);
        if (length < 2)
            return false;
        at += 2 + (uint64_t)length;
    }
    return false;
}

// The first directory's ImageWidth (256) and ImageLength (257), type SHORT (3) or LONG (TIFF 6.0,
// section 2).
static bool tiff(const Bytes *b, uint32_t *width, uint32_t *height) {
    uint64_t directory = number(b, 4, 4);
    uint32_t entries = number(b, directory, 2);
    *width = *height = 0;
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t entry = directory + 2 + 12 * (uint64_t)i;
        uint32_t tag = number(b, entry, 2);
        uint32_t value = number(b, entry + 8, number(b, entry + 2, 2) == 3 ? 2 : 4);
        if (tag == 256)
            *width = value;
        if (tag == 257)
            *height = value;
    }
    return true;
}

// The next decimal number of a PNM header, where # begins a comment to the end of its line.
static uint32_t pnm_number(const Bytes *b, size_t *at) {
    uint32_t value = 0;
    bool comment = false;
    for (; *at < b->size; ++*at) {
        uint8_t c = b->bytes[*at];
        comment = (comment || c == '#') && c != '\n';
        if (!comment && c >= '0' && c <= '9')
            break;
    }
    for (; *at < b->size && b->bytes[*at] >= '0' && b->bytes[*at] <= '9'; ++*at) {
        value = value * 10 + (uint32_t)(b->bytes[*at] - '0');
        if (value > INT32_MAX / 16)
            return INT32_MAX;
    }
    return value;
}

static bool pnm(const Bytes *b, uint32_t *width, uint32_t *height) {
    size_t at = 2;
    *width = pnm_number(b, &at);
    *height = pnm_number(b, &at);
    return true;
}

bool seam_picture_header(const uint8_t *bytes, size_t size, uint32_t *width, uint32_t *height) {
    static const struct {
        const char *magic;
        size_t length;
        bool big_endian;
        bool (*read)(const Bytes *, uint32_t *, uint32_t *);
    } kinds[] = {
        {"\xFF\xD8\xFF", 3, true, jpeg},
        {"\x89PNG\r\n\x1A\n", 8, true, png},
        {"BM", 2, false, bmp},
        {"II*\0", 4, false, tiff},
        {"MM\0*", 4, true, tiff},
        {"P2", 2, true, pnm},
        {"P3", 2, true, pnm},
        {"P5", 2, true, pnm},
        {"P6", 2, true, pnm},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        Bytes b = {bytes, size, kinds[i].big_endian};
        if (size >= kinds[i].length && memcmp(bytes, kinds[i].magic, kinds[i].length) == 0)
            return kinds[i].read(&b, width, height) && *width > 0 && *height > 0;
    }
    return false;
}
