// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a NumPy file. What is accepted has as many values as its shape says, none of them infinite.
#include <math.h>

#include "core/train/numpy.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    SeamMatrix m;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = fuzz_file("a.npy", data, size);
    if (seam_numpy_read(path, &m, &error)) {
        g_assert_true(m.rows >= 0 && m.columns >= 0 && (size_t)m.rows * (size_t)m.columns * sizeof(float) <= size);
        for (size_t i = 0; i < (size_t)m.rows * (size_t)m.columns; i++)
            g_assert_true(!isinf(m.x[i]));
    } else {
        g_assert_nonnull(error);
    }
    seam_matrix_clear(&m);
    return 0;
}

static const char first[] = "\x93NUMPY\1\0\x3c\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n0123\x00\x00\x80\x7f";
static const char second[] = "\x93NUMPY\2\0\x3b\0\0\0{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1) }\n01234567";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{first, sizeof first - 1}, {second, sizeof second - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
