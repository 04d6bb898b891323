// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The arena, the random numbers and the table of parameters: what everything else in core stands
// on.
#include "core/arena.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/params.h"
#include "core/random.h"

static void test_alignment_and_release(void) {
    SeamArena arena;
    g_assert_true(seam_arena_init(&arena, 1000));
    char *first = seam_arena_alloc(&arena, 3, 1);
    size_t mark = seam_arena_mark(&arena);
    char *second = seam_arena_alloc(&arena, 10, 8);
    g_assert_cmpuint((uintptr_t)first % 64, ==, 0);
    g_assert_cmpuint((uintptr_t)second % 64, ==, 0);
    g_assert_true(second >= first + 3);
    seam_arena_release(&arena, mark);
    g_assert_true(seam_arena_alloc(&arena, 1, 1) == second);
    seam_arena_clear(&arena);
}

static void test_full_says_how_much(void) {
    SeamArena arena;
    g_assert_true(seam_arena_init(&arena, 128));
    g_assert_nonnull(seam_arena_alloc(&arena, 100, 1));
    g_assert_null(seam_arena_alloc(&arena, 1000, 1));
    g_assert_cmpuint(arena.peak, ==, 128 + 1024);
    g_assert_cmpuint(arena.used, ==, 128);
    g_assert_true(seam_arena_reserve(&arena, arena.peak));
    g_assert_nonnull(seam_arena_alloc(&arena, 100, 1));
    g_assert_nonnull(seam_arena_alloc(&arena, 1000, 1));
    seam_arena_clear(&arena);
}

static void test_overflow_is_refused(void) {
    SeamArena arena;
    g_assert_true(seam_arena_init(&arena, 0));
    g_assert_null(seam_arena_alloc(&arena, SIZE_MAX / 4, 8));
    g_assert_null(seam_arena_alloc(&arena, SIZE_MAX, 1));
    g_assert_nonnull(seam_arena_alloc(&arena, 0, 8));
    g_assert_false(seam_arena_reserve(&arena, SIZE_MAX));
    seam_arena_clear(&arena);
}

static void test_cleared(void) {
    SeamArena arena;
    g_assert_true(seam_arena_init(&arena, 256));
    memset(arena.base, 0xAA, 256);
    const unsigned char *bytes = seam_arena_alloc0(&arena, 200, 1);
    for (int i = 0; i < 200; i++)
        g_assert_cmpuint(bytes[i], ==, 0);
    seam_arena_clear(&arena);
}

static void test_random(void) {
    SeamRandom a = seam_random(1, 2), b = seam_random(1, 2), c = seam_random(1, 3),
               d = seam_random(2, 2);
    uint64_t first = seam_random_bits(&a);
    g_assert_cmpuint(first, ==, seam_random_bits(&b));
    g_assert_cmpuint(first, !=, seam_random_bits(&c));
    g_assert_cmpuint(first, !=, seam_random_bits(&d));
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < 100000; i++) {
        double uniform = seam_random_uniform(&a), normal = seam_random_normal(&a);
        int32_t below = seam_random_below(&a, 7);
        g_assert_true(uniform >= 0.0 && uniform < 1.0 && below >= 0 && below < 7);
        sum += normal;
        squares += normal * normal;
    }
    g_assert_cmpfloat(fabs(sum / 1e5), <, 0.02);
    g_assert_cmpfloat(fabs(squares / 1e5 - 1.0), <, 0.02);
    g_assert_cmpint(seam_random_below(&a, 0), ==, 0);
}

static SeamParams *two_tensors(bool swapped) {
    SeamParams *params = seam_params_new();
    for (int i = 0; i < 2; i++)
        if ((i == 0) != swapped)
            seam_params_declare(params, "a", SEAM_INIT_LINEAR, true, 5, 100, 0, 0);
        else
            seam_params_declare(params, "b", SEAM_INIT_ONE, false, 3, 0, 0, 0);
    g_assert_true(seam_params_allocate(params, true, NULL));
    seam_params_init(params, 7);
    return params;
}

static void test_params(void) {
    SeamParams *params = two_tensors(false), *swapped = two_tensors(true);
    SeamTensor *a = seam_params_find(params, "a"), *b = seam_params_find(params, "b");
    g_assert_cmpint(a->rank, ==, 2);
    g_assert_cmpuint(a->size, ==, 500);
    g_assert_cmpuint(params->size, ==, 512 + 16);
    g_assert_true(b->data == params->data + 512 && b->grad == params->grad + 512);
    g_assert_cmpmem(a->data, 2000, seam_params_find(swapped, "a")->data, 2000);
    float largest = 0.0f;
    for (size_t i = 0; i < a->size; i++)
        largest = fmaxf(largest, fabsf(a->data[i]));
    // Cut at two sigma, sigma = 1/sqrt(100).
    g_assert_true(largest > 0.1f && largest <= 0.2f);
    g_assert_cmpfloat(b->data[2], ==, 1.0f);
    g_assert_null(seam_params_find(params, "c"));
    seam_params_free(params);
    seam_params_free(swapped);
}

static void test_params_too_large(void) {
    g_autoptr(GError) error = NULL;
    SeamParams *params = seam_params_new();
    seam_params_declare(params, "huge", SEAM_INIT_ZERO, false, INT32_MAX, INT32_MAX, INT32_MAX,
                        INT32_MAX);
    g_assert_false(seam_params_allocate(params, false, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY);
    seam_params_free(params);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/arena/alignment-and-release", test_alignment_and_release);
    g_test_add_func("/arena/full-says-how-much", test_full_says_how_much);
    g_test_add_func("/arena/overflow-is-refused", test_overflow_is_refused);
    g_test_add_func("/arena/cleared", test_cleared);
    g_test_add_func("/arena/random", test_random);
    g_test_add_func("/arena/params", test_params);
    g_test_add_func("/arena/params-too-large", test_params_too_large);
    return g_test_run();
}
