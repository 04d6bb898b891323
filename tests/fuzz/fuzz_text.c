// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: any bytes as a text, read whole and in chunks, by a front end that remembers and one that does not. Every word that was counted is
// read, the chunks tile the text, and features are finite.
#include <glib.h>
#include <math.h>

#include "core/layers/text_embed.h"
#include "tests/fuzz/fuzz.h"

enum { DIM = 2, WORDS = 3 };

static void read_text(const SeamTextEmbed *e, SeamRun *run, const char *text, size_t size, bool whole) {
    SeamTextCursor c = seam_text_open(e, text, size);
    const double time = 0;
    int64_t words = c.words, read = 0;
    g_assert_true(words >= 0 && words + c.passed <= (int64_t)size);
    g_assert_true(e->remembers ? c.passed == 0 : words <= WORDS);
    do {
        SeamTokens t;
        int32_t next = seam_text_chunk(e, &c);
        run->arena->used = 0;
        g_assert_cmpint(seam_text_embed_forward(e, run, 1, &c, &time, whole, &t, NULL), ==, SEAM_OK);
        g_assert_true(whole ? t.n == words : t.n == next && t.seqs == 1 && (read == 0 || t.n == WORDS));
        g_assert_cmpint(t.seqs, ==, whole && words > 0 ? (words - 1) / WORDS + 1 : 1);
        for (int32_t i = 0; i < t.n * DIM; i++)
            g_assert_true(isfinite(t.x[i]));
        read += t.n;
    } while (c.words > 0);
    g_assert_cmpint(read, ==, words);
    g_assert_true(c.at <= c.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float table[16 * DIM];
    SeamTensor tensor = {.data = table};
    SeamArena arena;
    g_assert_true(seam_arena_init(&arena, 4096 + size * 1500)); // a word takes two bytes and makes 128 rows and a token at most
    SeamRun run = {.kernels = seam_kernels_ref(), .arena = &arena};
    for (int32_t k = 0; k < 4; k++) {
        SeamTextEmbed e = {.dim = DIM, .buckets = 16, .ngram_min = 3, .ngram_max = 4, .max_tokens = WORDS, .remembers = k % 2, .table = &tensor};
        read_text(&e, &run, (const char *)data, size, k / 2);
    }
    seam_arena_clear(&arena);
    return 0;
}

static const char log_lines[] = "2026-11-25 14:03:11.250 ALARM E217: gas flow 12.5 l/min, was 3,1.\n2026-11-25 14:03:12 operator: purge the line\r\n";
static const char odd[] = "a\0b \xff\xfe\xc3 ...1.2.,3. \xe2\x80\x94 one two three four";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{log_lines, sizeof log_lines - 1}, {odd, sizeof odd - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
