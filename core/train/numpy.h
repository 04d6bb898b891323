// SPDX-License-Identifier: LGPL-2.1-or-later
//
// NumPy files of one matrix: format 1.0 to 3.0, float32 or float64, little endian, C order, two dimensions. Anything else is refused with a message that
// says what it is. It gives no meaning to rows or columns.
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int32_t rows, columns;
    float *x; // [rows, columns]; what single precision does not hold is NaN
} SeamMatrix;

bool seam_numpy_read(const char *path, SeamMatrix *matrix, GError **error);
void seam_matrix_clear(SeamMatrix *matrix);
