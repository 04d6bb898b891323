// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The discrete Fourier transform of complex numbers, for lengths that are powers of two (Cooley and Tukey 1965). It is here and not
// among the kernels because only front ends and augmentation use it, a few times a second. Owns its table; no memory beside it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int32_t n;      // the longest transform
    float *twiddle; // exp(-2 pi i k / n) [n / 2, 2]
} SeamFft;

// The smallest power of two that is at least n; n from 1 to 2^30.
int32_t seam_fft_length(int32_t n);
// n: a power of two. False when memory is short.
bool seam_fft_init(SeamFft *fft, int32_t n);
void seam_fft_clear(SeamFft *fft);
// x [n, 2] (real, imaginary) in place: X_k = sum x_i exp(-2 pi i k / n). n: a power of two, at most fft->n.
void seam_fft_forward(const SeamFft *fft, int32_t n, float *x);
// x_i = 1/n sum X_k exp(+2 pi i k / n).
void seam_fft_inverse(const SeamFft *fft, int32_t n, float *x);
