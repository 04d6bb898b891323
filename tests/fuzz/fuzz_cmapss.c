// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a C-MAPSS file. What is accepted as engines has whole rows, units that begin where the one before ends, and cycles that rise
// by one; what is accepted as lives is not negative.
#include <math.h>

#include "core/train/cmapss.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

static void check_engines(const SeamCmapss *c) {
    g_assert_true(c->units > 0 && c->columns >= 3 && c->unit_start[0] == 0 && c->unit_start[c->units] == c->rows);
    for (int32_t u = 0; u < c->units; u++) {
        g_assert_cmpint(c->unit_start[u], <, c->unit_start[u + 1]);
        for (int32_t r = c->unit_start[u]; r < c->unit_start[u + 1]; r++) {
            const float *row = c->x + (size_t)r * c->columns;
            g_assert_cmpint((int32_t)row[0], ==, c->unit[u]);
            g_assert_true(r == c->unit_start[u] || row[1] == row[1 - c->columns] + 1);
            for (int32_t k = 0; k < c->columns; k++)
                g_assert_false(isinf(row[k]));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    g_autoptr(GError) error = NULL, rul_error = NULL;
    g_autofree char *path = fuzz_file("test_FD001.txt", data, size);
    int32_t n = 0;
    SeamCmapss *engines = seam_cmapss_read(path, &error);
    g_autofree double *lives = seam_cmapss_read_rul(path, &n, &rul_error);
    g_assert_true((engines != NULL) == (error == NULL) && (lives != NULL) == (rul_error == NULL));
    if (engines)
        check_engines(engines);
    for (int32_t i = 0; i < n && lives; i++)
        g_assert_true(lives[i] >= 0 && lives[i] <= 1e9);
    seam_cmapss_free(engines);
    return 0;
}

static const char engines[] = "1 1 -0.0007 642.1 nan\n1 2 0.0019 641.8 1e3\n2 1 0 643 5\t \r\n\n2 2 0 1e300 6\n";
static const char lives[] = "112\n98 \n 0\n";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{engines, sizeof engines - 1}, {lives, sizeof lives - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
