// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the kernel tests share: random inputs, guarded memory and the comparison of cpu against ref. All memory of a test lies between guards
// of 0xFF bytes, which are NaN to a float: a write outside is found by check_done, and a read outside makes the result NaN. Blocks are 4-byte
// aligned and no more, but for check_aligned.
#pragma once

#include <glib.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"

typedef struct {
    const char *path;
    void (*run)(void);
} CheckTest;

// Adds the tests; each starts with the same random numbers in every run, and ends with check_done and a report of its worst error.
void check_register(const CheckTest *tests, size_t n);
// At the end of each case: verifies all guards and frees.
void check_done(void);

int32_t check_int(int32_t low, int32_t high); // low <= x <= high
float check_float(float low, float high);
int32_t check_size(int32_t most); // 0, 1, vector widths and their neighbours, odd ones

void *check_block(size_t bytes);
void *check_aligned(size_t bytes); // to 64
float *check_floats(size_t n, float low, float high);
int32_t *check_zeros(size_t n);
// start [groups + 1] of random group sizes 0 .. most, some of them empty.
int32_t *check_starts(int32_t groups, int32_t most);

// Three copies of one output: from ref, from cpu, and from cpu again. Rows of `cols` elements, `ld` apart.
enum { CHECK_REF, CHECK_CPU, CHECK_AGAIN, CHECK_RUNS };
typedef struct {
    float *at[CHECK_RUNS];
    size_t rows, cols, ld;
} CheckOut;

const SeamKernels *check_table(int run);
CheckOut check_set(size_t rows, size_t cols, size_t ld); // an "=" output: 0xFF before, to be overwritten entirely
CheckOut check_add(size_t rows, size_t cols, size_t ld); // a "+=" output: the same random numbers in all three
CheckOut check_ints(size_t n);
int32_t *check_as_ints(const CheckOut *out, int run);

// Fails unless cpu is within absolute + relative |ref| of ref, finite where ref is finite and nowhere else, the same bits both times, and
// the space between rows untouched.
void check_compare(const char *what, const CheckOut *out, double absolute, double relative);
void check_compare_ints(const char *what, const CheckOut *out);
// Both runs of cpu gave the same bits and wrote everything.
void check_repeats(const char *what, const CheckOut *out);

// Rounding of a sum of n products of at most `most` in f32: n + 4 roundings of partial sums. Partial sums of random signs stay far below
// n, so that the expected error is about sqrt(n) times less; a lower precision or a lost term is far above it.
double check_sum_tolerance(int64_t n, double most);

#define CHECK_OK(call) g_assert_cmpint(call, ==, SEAM_OK)

// One file each.
void check_linear_register(void);
void check_packed_register(void);
void check_conv_register(void);
void check_element_register(void);
void check_attention_register(void);
void check_route_register(void);
void check_scan_register(void);
void check_segment_register(void);
void check_known_register(void);
void check_gradients_register(void);
void check_threads_register(void);
int check_bench(void);
int check_bench_packed(void);
