// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How large a picture file claims to be, before anything decodes it: a file of a few bytes must not make a decoder take gigabytes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads width and height out of the header of a JPEG, PNG, BMP, TIFF or PNM file. False when it is none of these, or has no such header.
bool seam_picture_header(const uint8_t *bytes, size_t size, uint32_t *width, uint32_t *height);
