// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the driver of products with packed weights (linear.c) and the number types (linear_f32.c, linear_bf16.c, linear_i8.c) say to each other. A type is made
// once for each instruction set that changes it; isa_*.c choose one a type. The driver knows layouts, tasks and memory, a type knows the arithmetic.
//
// Weights lie in strips of `strip` columns, one after another; in a strip the steps along k, in a step its columns, of a column `unit` neighbours along k:
// [strips][steps][strip][unit], filled up with 0. Rows of x are brought into the type's numbers first, `unit` of them being one broadcast of a step.
#pragma once

#include "kernels/cpu/cpu.h"

// A rectangle of y: rows of x against strips of one matrix.
typedef struct {
    int32_t rows, columns;
    const char *x; // prepared rows, x_row bytes apart
    ptrdiff_t x_row;
    int32_t segments, steps; // the sum over k runs through `segments` runs of `steps` steps, which lie `segment` bytes apart in x (linear: one)
    ptrdiff_t segment;
    const char *w;        // the first strip
    const float *x_scale; // of the rows, scale_row apart; int8 alone
    ptrdiff_t scale_row;
    const float *w_scale; // [columns, filled up to strips], int8 alone
    const int32_t *first; // alike: what a sum begins with
    const float *bias;    // [columns] or NULL
    float *y;             // rows ldy elements apart
    ptrdiff_t ldy;
    SeamActivation act;
    bool add;
} SeamLinearPart;

// How a row becomes whole numbers (kernels.h).
typedef struct {
    float scale, inverse;
} SeamRounding;

typedef struct {
    const char *name;         // as `seam doctor` prints it
    int32_t strip, unit;      // columns of a strip, numbers of a step
    int32_t x_bytes, w_bytes; // of a number of x, of the weights
    int32_t offset;           // by which the numbers of x are too large: sums begin with -offset times the weights' sum
    int32_t speed;            // products a clock against those in f32, about: cuts tasks
    bool direct;              // x is read where it lies: there is no prepare
    SeamRounding (*measure)(int32_t k, const float *row); // int8 alone
    // n numbers of the weights' type; writes up to the next multiple of 16.
    void (*round)(int32_t n, SeamRounding r, const float *from, void *to);
    // A row of x; writes up to the next multiple of 16 numbers, those after k as 0 is.
    void (*prepare)(int32_t k, SeamRounding r, const float *from, void *to);
    void (*run)(const SeamLinearPart *part);
} SeamLinearKind;

extern const SeamLinearKind seam_linear_f32_avx2, seam_linear_f32_avx512, seam_linear_f32_neon;
extern const SeamLinearKind seam_linear_bf16_avx2, seam_linear_bf16_avx512, seam_linear_bf16_avx512bf16, seam_linear_bf16_neon;
extern const SeamLinearKind seam_linear_i8_avx2, seam_linear_i8_avx512, seam_linear_i8_avx512vnni, seam_linear_i8_neon, seam_linear_i8_dotprod;

// A block of packed weights: [groups] matrices of group_bytes each; then, of int8, their scales and what sums begin with, [groups, padded] each.
typedef struct {
    const SeamLinearKind *kind;
    int32_t groups, n, k, strips, steps, padded; // padded: columns of all strips
    size_t strip_bytes, group_bytes, scale_at, first_at, bytes;
} SeamLinearLayout;

SeamLinearLayout seam_linear_layout(SeamPackType type, int32_t groups, int32_t n, int32_t k);
// Bytes from row to row of k prepared numbers: room for `more` bytes behind them, and no multiple of 1 KiB, at which rows would share few sets of the L1 cache.
ptrdiff_t seam_linear_row(const SeamLinearKind *kind, int32_t k, size_t more);
// The columns from `column`, the first of a strip, as far as the weights go.
void seam_linear_columns(const SeamLinearLayout *l, const SeamPacked *w, const float *bias, int32_t group, int32_t column, int32_t columns,
                         SeamLinearPart *part);

// Fill the operations in; kinds by SeamPackType, for the whole process.
void seam_fill_linear(SeamKernels *k, const SeamLinearKind *const kinds[3]);
void seam_fill_conv_packed(SeamKernels *k);
