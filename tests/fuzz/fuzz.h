// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a fuzz target gives: libFuzzer's function, and seeds for the driver that stands in for
// libFuzzer in the tests.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const void *bytes;
    size_t size;
} FuzzSeed;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The index-th seed; bytes NULL after the last. A target may leave it out: the driver then takes a
// small JSON object.
FuzzSeed fuzz_seed(size_t index);
