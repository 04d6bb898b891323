// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a file of rows of numbers. What is accepted holds at least one number, and no infinite one.
#include <math.h>

#include "core/train/signals.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int32_t column[] = {1, 0, 4};
    SeamRecord record = {0};
    float *x;
    int64_t n, numbers = 0;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = fuzz_file("a.txt", data, size);
    if (seam_signal_rows(path, G_N_ELEMENTS(column), column, &record, &x, &n, &error)) {
        for (int64_t i = 0; i < n * (int64_t)G_N_ELEMENTS(column); i++) {
            g_assert_true(!isinf(x[i]));
            numbers += !isnan(x[i]);
        }
        g_assert_true(numbers > 0);
    } else {
        g_assert_true(error && !x && n == 0);
    }
    g_free(x);
    seam_record_clear(&record);
    return 0;
}

static const char bars[] = "0|96.08|915|462|3.9|1\n0.1|96.1|1193||3.9\n";
static const char blanks[] = "  1 2   3 4 5 6\n7 -8 9e3\n\n";
static const char heading[] = "time;a;b\r\n1;2;x\r\n2;;4\r\n";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{bars, sizeof bars - 1}, {blanks, sizeof blanks - 1}, {heading, sizeof heading - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
