// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Feeds a target its seeds, every prefix of them, and seeded mutations of them: the same inputs on
// every machine, a few seconds long, so that it runs with the other tests. Passing means that
// nothing crashed; sanitizers make it sharper. libFuzzer links in its place.
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "tests/fuzz/fuzz.h"

enum { ROUNDS = 20000, LONG_ROUNDS = 10 * ROUNDS, MAX_SIZE = 1 << 16, MAX_EDITS = 6 };

// Bytes and numbers on which parsers stumble.
static const char *const pieces[] = {"{",          "}",    "[",     "]",
                                     "\"",         "\\u",  ",",     ":",
                                     "-1",         "0",    "1e999", "9223372036854775807",
                                     "4294967296", "null", "true",  "\xFF\xFF\xFF\xFF",
                                     "..",         "/",    "\xC3",  "NaN"};

// For targets that bring no seeds of their own.
__attribute__((weak)) FuzzSeed fuzz_seed(size_t index) {
    static const char object[] =
        "{\"a\": 1, \"b\": [0.5, -2e3], \"c\": {\"d\": \"text\", \"e\": true}}";
    const FuzzSeed seeds[] = {{object, sizeof object - 1}, {"{}", 2}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}

typedef struct {
    uint8_t bytes[MAX_SIZE];
    size_t size;
} Input;

// Replaces `cut` bytes at `at` by others, as far as they fit.
static void splice(Input *input, size_t at, size_t cut, const void *bytes, size_t size) {
    if (input->size - cut + size > MAX_SIZE)
        return;
    uint8_t *target = input->bytes + at;
    g_autofree uint8_t *copy = g_memdup2(bytes, size);
    memmove(target + size, target + cut, input->size - at - cut);
    if (size > 0)
        memcpy(target, copy, size);
    input->size += size - cut;
}

static void mutate(Input *input, SeamRandom *random) {
    size_t at = (size_t)seam_random_below(random, (int32_t)input->size + 1),
           left = input->size - at;
    size_t length = (size_t)seam_random_below(random, (int32_t)MIN(left, 32) + 1);
    const char *piece = pieces[seam_random_below(random, G_N_ELEMENTS(pieces))];
    switch (seam_random_below(random, 6)) {
    case 0: // one bit
        if (left > 0)
            input->bytes[at] ^= (uint8_t)(1 << seam_random_below(random, 8));
        break;
    case 1: // another byte
        if (left > 0)
            input->bytes[at] = (uint8_t)seam_random_below(random, 256);
        break;
    case 2: // something missing
        splice(input, at, length, NULL, 0);
        break;
    case 3: // something twice
        splice(input, at, 0, input->bytes + at, length);
        break;
    case 4: // something inserted
        splice(input, at, 0, piece, strlen(piece));
        break;
    default: // something else in its place
        splice(input, at, MIN(length, strlen(piece)), piece, strlen(piece));
    }
}

static void load(Input *input, FuzzSeed seed) {
    g_assert_cmpuint(seed.size, <=, MAX_SIZE);
    memcpy(input->bytes, seed.bytes, seed.size);
    input->size = seed.size;
}

// The target sees a block of exactly this size, so that reading past it is a sanitizer's finding.
static void run(const Input *input) {
    uint8_t *copy = malloc(MAX(input->size, 1));
    memcpy(copy, input->bytes, input->size);
    LLVMFuzzerTestOneInput(copy, input->size);
    free(copy);
}

static void test_seeds_and_prefixes(void) {
    Input *input = g_new(Input, 1);
    for (size_t i = 0; fuzz_seed(i).bytes; i++) {
        load(input, fuzz_seed(i));
        size_t whole = input->size, step = 1 + whole / 2000;
        run(input);
        for (size_t size = 0; size < whole; size += step) {
            input->size = size;
            run(input);
        }
    }
    g_free(input);
}

static void test_mutations(void) {
    Input *input = g_new(Input, 1);
    size_t seeds = 0;
    while (fuzz_seed(seeds).bytes)
        seeds++;
    uint64_t rounds = g_getenv("SEAM_LONG") ? LONG_ROUNDS : ROUNDS;
    for (uint64_t round = 0; round < rounds; round++) {
        SeamRandom random = seam_random(1, round);
        load(input, fuzz_seed(round % seeds));
        for (int32_t edits = 1 + seam_random_below(&random, MAX_EDITS); edits > 0; edits--)
            mutate(input, &random);
        run(input);
    }
    g_free(input);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuzz/seeds-and-prefixes", test_seeds_and_prefixes);
    g_test_add_func("/fuzz/mutations", test_mutations);
    return g_test_run();
}
