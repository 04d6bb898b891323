// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Equaliser: X_k -> 10^(g(k) / 20) X_k, g a line through 8 points, evenly spaced from 0 to half of the rate, each normal with a standard
// deviation of `strength` dB; a curve a channel. A channel with holes has no spectrum and is left as it is.
// Speed: x(i) -> x(r i), r within 1 +- most, the same for all channels (one shaft), on the line between two samples. What is read after
// the end comes back from it.
#include "core/train/augment_signal.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/fft.h"

enum { NODES = 8 };

static bool whole(int32_t channels, int32_t samples, const float *x) {
    for (int32_t i = 0; i < samples; i++)
        if (!isfinite(x[(size_t)i * channels]))
            return false;
    return true;
}

static double gain_at(const double *node, double share) {
    double at = share * (NODES - 1);
    int32_t left = MIN((int32_t)at, NODES - 2);
    return pow(10, (node[left] + (at - left) * (node[left + 1] - node[left])) / 20);
}

// spectrum [n, 2] of a real signal: what is done to bin k is done to bin n - k.
static void shape(const double *node, int32_t n, float *spectrum) {
    for (int32_t k = 0; k <= n / 2; k++) {
        float gain = (float)gain_at(node, 2.0 * k / n);
        for (int32_t j = k, turn = 0; turn < (k == 0 || k == n - k ? 1 : 2); turn++, j = n - k) {
            spectrum[2 * (size_t)j] *= gain;
            spectrum[2 * (size_t)j + 1] *= gain;
        }
    }
}

void seam_augment_equaliser(double strength, SeamRandom *random, int32_t channels, int32_t samples, float *x) {
    SeamFft fft = {0};
    int32_t n = seam_fft_length(samples);
    float *z = g_try_new(float, 2 * (gsize)n);
    bool ready = z && seam_fft_init(&fft, n);
    for (int32_t c = 0; c < channels; c++) {
        double node[NODES];
        for (int32_t i = 0; i < NODES; i++)
            node[i] = strength * seam_random_normal(random);
        if (!ready || !whole(channels, samples, x + c))
            continue;
        memset(z, 0, 2 * (size_t)n * sizeof *z);
        for (int32_t i = 0; i < samples; i++)
            z[2 * (size_t)i] = x[(size_t)i * channels + c];
        seam_fft_forward(&fft, n, z);
        shape(node, n, z);
        seam_fft_inverse(&fft, n, z);
        for (int32_t i = 0; i < samples; i++)
            x[(size_t)i * channels + c] = z[2 * (size_t)i];
    }
    seam_fft_clear(&fft);
    g_free(z);
}

void seam_augment_speed(double most, SeamRandom *random, int32_t channels, int32_t samples, float *x) {
    double factor = 1 + seam_random_range(random, -most, most), last = samples - 1;
    float *from = g_try_new(float, (gsize)samples * channels);
    if (from)
        memcpy(from, x, (size_t)samples * channels * sizeof *x);
    for (int32_t i = 0; from && i < samples; i++) {
        double at = i * factor;
        at = CLAMP(at <= last ? at : 2 * last - at, 0, last);
        int32_t left = MIN((int32_t)at, MAX(samples - 2, 0)), right = MIN(left + 1, samples - 1);
        float share = (float)(at - left);
        for (int32_t c = 0; c < channels; c++) {
            float a = from[(size_t)left * channels + c], b = from[(size_t)right * channels + c];
            x[(size_t)i * channels + c] = share > 0 ? a + share * (b - a) : a;
        }
    }
    g_free(from);
}
