// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What oneDNN does faster than our own code: convolutions of some size, and products with a long transposed a. conv.c and gemm.c ask here
// first. Each function is true when it has answered, with the result in *status; false: the caller's own code is to do it.
#pragma once

#include "kernels/kernels.h"

// Once, before all else: which of the two instruction sets the table is built for. False: oneDNN does not work here, and answers nothing.
bool seam_onednn_init(bool avx512);

bool seam_onednn_conv(const SeamConv *c, const float *x, const float *w, const float *bias, float *y, SeamStatus *status);
bool seam_onednn_conv_backward_data(const SeamConv *c, const float *w, const float *dy, float *dx, SeamStatus *status);
bool seam_onednn_conv_backward_weights(const SeamConv *c, const float *x, const float *dy, float *dw, SeamStatus *status);

// c[m, n] = a^T b + beta c with a [k, m], b [k, n].
bool seam_onednn_gemm_ta(int32_t m, int32_t n, int32_t k, const float *a, int32_t lda, const float *b, int32_t ldb, float beta, float *c,
                         int32_t ldc, SeamStatus *status);
