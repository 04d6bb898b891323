// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Radix 2, decimation in time: the order of bits is reversed, then pairs, fours, eights are joined:
//   X_k = E_k + w^k O_k,  X_(k + m/2) = E_k - w^k O_k,  w = exp(-2 pi i / m)
#include "core/fft.h"

#include <glib.h>
#include <math.h>

int32_t seam_fft_length(int32_t n) {
    int32_t length = 1;
    while (length < n)
        length *= 2;
    return length;
}

bool seam_fft_init(SeamFft *fft, int32_t n) {
    *fft = (SeamFft){.n = n, .twiddle = g_try_new(float, (gsize)MAX(n, 2))};
    for (int32_t k = 0; fft->twiddle && k < n / 2; k++) {
        fft->twiddle[2 * k] = (float)cos(2 * G_PI * k / n);
        fft->twiddle[2 * k + 1] = (float)-sin(2 * G_PI * k / n);
    }
    return fft->twiddle != NULL;
}

void seam_fft_clear(SeamFft *fft) {
    g_clear_pointer(&fft->twiddle, g_free);
}

static void swap(float *x, int32_t i, int32_t j) {
    for (int32_t c = 0; c < 2; c++) {
        float keep = x[2 * (size_t)i + c];
        x[2 * (size_t)i + c] = x[2 * (size_t)j + c];
        x[2 * (size_t)j + c] = keep;
    }
}

static void reverse_bits(int32_t n, float *x) {
    for (int32_t i = 0, j = 0; i < n; i++) {
        if (i < j)
            swap(x, i, j);
        int32_t bit = n / 2;
        for (; bit > 0 && (j & bit); bit /= 2)
            j ^= bit;
        j |= bit;
    }
}

void seam_fft_forward(const SeamFft *fft, int32_t n, float *x) {
    reverse_bits(n, x);
    for (int32_t m = 2; m <= n; m *= 2) {
        size_t stride = 2 * (size_t)(fft->n / m);
        for (int32_t first = 0; first < n; first += m) {
            float *even = x + 2 * (size_t)first, *odd = even + m;
            for (int32_t k = 0; k < m / 2; k++) {
                const float *w = fft->twiddle + stride * (size_t)k;
                float re = w[0] * odd[2 * k] - w[1] * odd[2 * k + 1], im = w[0] * odd[2 * k + 1] + w[1] * odd[2 * k];
                odd[2 * k] = even[2 * k] - re;
                odd[2 * k + 1] = even[2 * k + 1] - im;
                even[2 * k] += re;
                even[2 * k + 1] += im;
            }
        }
    }
}

void seam_fft_inverse(const SeamFft *fft, int32_t n, float *x) {
    for (int32_t i = 0; i < n; i++)
        x[2 * (size_t)i + 1] = -x[2 * (size_t)i + 1];
    seam_fft_forward(fft, n, x);
    for (int32_t i = 0; i < n; i++) {
        x[2 * (size_t)i] /= (float)n;
        x[2 * (size_t)i + 1] /= -(float)n;
    }
}
