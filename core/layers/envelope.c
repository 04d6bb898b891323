// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Envelope analysis (McFadden and Smith 1984; Randall and Antoni 2011). A fault that a rolling element passes strikes the structure
// at a rate that the bearing's geometry gives; every strike rings at the structure's resonances, so that the rate is found in the
// envelope of a band that holds one. Which band that is changes with the fault's size and the sensor's place, hence all bands are
// demodulated and what they say is averaged: a feature never names a band.
//
//   X_k    = DFT of z, filled with zeros to N, a power of two; df = rate / N
//   P_k    = |X_k|^2 / patch                                                 white noise of variance 1 gives 1
//   shape  = (l_s - mean of l) / 2,  l_s = log(1e-9 + mean of P in the s-th of `shape` bands, evenly spaced in Hz, low .. high)
//   level  = log2(mean square of z in low .. high), within -1 .. 1: 3 dB either way of the std of the configuration
//   for each of `bands` bands, evenly spaced in Hz from low to high, that hold the bins k0 .. k0 + m:
//     a    = DFT of M points of the conjugate of X_k0 .. X_k0+m, M a power of two, at least 2 m: the band's analytic signal
//            conjugated, at a rate of M df; its first patch M / N points are the stretch
//     e    = Hann . (|a| / mean |a| - 1), sum of Hann^2 = 1                  no level is left
//     S    = |DFT_M e|^2, again with bins of df
//     g_o  = (1e-9 + max of S within tolerance of order o) / (1e-9 + median of S within `background` Hz of it)
//   line_o = (log(mean of g_o over the bands) - 2) / 2
//
// The median is the upper one of an even number. Tolerance is a share of the line's frequency (slip, load, an unknown speed), one
// bin at least. The lowest two bins (a mean that drifts) are never looked at.
#include "core/layers/envelope.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/select.h"

static const double tiny = 1e-9;

int32_t seam_envelope_width(const SeamEnvelopeConfig *config) {
    return config->shape + config->n_orders + 1;
}

static int32_t bin_at(const SeamEnvelope *e, double frequency) {
    return (int32_t)ceil(frequency / e->bin - 1e-6);
}

// First bin of the i-th of n bands; i == n: the one after the last.
static int32_t edge(const SeamEnvelope *e, int32_t i, int32_t n) {
    return bin_at(e, e->config.low + ((double)e->config.high - e->config.low) * i / n);
}

bool seam_envelope_init(SeamEnvelope *e, const SeamEnvelopeConfig *config, double rate, int32_t patch) {
    *e = (SeamEnvelope){.config = *config, .patch = patch, .size = seam_fft_length(patch)};
    e->bin = rate / e->size;
    double width = ((double)config->high - config->low) / config->bands;
    e->small = MIN(seam_fft_length(2 * (bin_at(e, width) + 1)), e->size);
    e->valid = (int32_t)((int64_t)patch * e->small / e->size);
    e->hann = g_try_new(float, (gsize)e->valid);
    double energy = 3.0 / 8 * e->valid;
    for (int32_t i = 0; e->hann && i < e->valid; i++)
        e->hann[i] = (float)((0.5 - 0.5 * cos(2 * G_PI * (i + 0.5) / e->valid)) / sqrt(energy));
    return seam_fft_init(&e->fft, e->size) && e->hann;
}

void seam_envelope_clear(SeamEnvelope *e) {
    g_clear_pointer(&e->hann, g_free);
    seam_fft_clear(&e->fft);
}

static double power(const float *x, int32_t k) {
    double re = x[2 * (size_t)k], im = x[2 * (size_t)k + 1];
    return re * re + im * im;
}

static void shape_features(const SeamEnvelope *e, const float *x, float *out) {
    int32_t n = e->config.shape;
    double mean = 0;
    for (int32_t s = 0; s < n; s++) {
        int32_t first = edge(e, s, n), end = edge(e, s + 1, n);
        double sum = 0;
        for (int32_t k = first; k < end; k++)
            sum += power(x, k);
        out[s] = (float)log(tiny + sum / e->patch / (end - first));
        mean += out[s] / n;
    }
    for (int32_t s = 0; s < n; s++)
        out[s] = (float)((out[s] - mean) / 2);
}

static float level_feature(const SeamEnvelope *e, const float *x) {
    double sum = 0;
    for (int32_t k = edge(e, 0, 1); k < edge(e, 1, 1); k++)
        sum += power(x, k);
    double square = 2 * sum / e->patch / e->size; // of both signs of frequency, by Parseval
    return (float)CLAMP(log2(tiny + square), -1, 1);
}

// The spectrum of the envelope of band b -> spectrum [small / 2]. a [small, 2] is scratch.
static void envelope_spectrum(const SeamEnvelope *e, int32_t b, const float *x, float *a, float *spectrum) {
    int32_t first = edge(e, b, e->config.bands), m = edge(e, b + 1, e->config.bands) - first;
    double mean = 0;
    memset(a, 0, 2 * (size_t)e->small * sizeof *a);
    for (int32_t k = 0; k < m; k++) {
        a[2 * k] = x[2 * (size_t)(first + k)];
        a[2 * k + 1] = -x[2 * (size_t)(first + k) + 1];
    }
    seam_fft_forward(&e->fft, e->small, a);
    for (int32_t i = 0; i < e->valid; i++) {
        a[2 * i] = hypotf(a[2 * i], a[2 * i + 1]);
        mean += a[2 * i];
    }
    double scale = mean > 0 ? e->valid / mean : 0;
    for (int32_t i = 0; i < e->small; i++) {
        a[2 * i] = i < e->valid && mean > 0 ? (float)(e->hann[i] * (a[2 * i] * scale - 1)) : 0;
        a[2 * i + 1] = 0;
    }
    seam_fft_forward(&e->fft, e->small, a);
    for (int32_t k = 0; k < e->small / 2; k++)
        spectrum[k] = (float)power(a, k);
}

// How far the line of an order stands out of what is around it.
static double prominence(const SeamEnvelope *e, double order, const float *spectrum, float *around) {
    double f = order * e->config.shaft, reach = fmax(e->config.tolerance * f, e->bin);
    int32_t last = e->small / 2 - 1;
    int32_t from = CLAMP((int32_t)floor((f - reach) / e->bin), 2, last), to = CLAMP((int32_t)ceil((f + reach) / e->bin), from, last);
    int32_t low = CLAMP((int32_t)((f - e->config.background) / e->bin), 2, from);
    int32_t high = CLAMP((int32_t)((f + e->config.background) / e->bin), to, last), n = high - low + 1;
    float peak = 0;
    for (int32_t k = from; k <= to; k++)
        peak = fmaxf(peak, spectrum[k]);
    memcpy(around, spectrum + low, (size_t)n * sizeof *around);
    return (tiny + peak) / (tiny + seam_nth_smallest(around, n, n / 2));
}

SeamStatus seam_envelope_features(const SeamEnvelope *e, SeamArena *arena, const float *z, float *out) {
    const SeamEnvelopeConfig *c = &e->config;
    size_t mark = seam_arena_mark(arena);
    float *x = SEAM_NEW(arena, float, 2 * (size_t)e->size), *a = SEAM_NEW(arena, float, 2 * (size_t)e->small);
    float *spectrum = SEAM_NEW(arena, float, e->small / 2), *around = SEAM_NEW(arena, float, e->small / 2);
    if (!x || !a || !spectrum || !around)
        return SEAM_NO_MEMORY;
    double line[SEAM_MAX_ORDERS] = {0};
    memset(x, 0, 2 * (size_t)e->size * sizeof *x);
    for (int32_t i = 0; i < e->patch; i++)
        x[2 * (size_t)i] = z[i];
    seam_fft_forward(&e->fft, e->size, x);
    shape_features(e, x, out);
    for (int32_t b = 0; b < c->bands; b++) {
        envelope_spectrum(e, b, x, a, spectrum);
        for (int32_t o = 0; o < c->n_orders; o++)
            line[o] += prominence(e, c->order[o], spectrum, around) / c->bands;
    }
    for (int32_t o = 0; o < c->n_orders; o++)
        out[c->shape + o] = (float)((log(line[o]) - 2) / 2);
    out[c->shape + c->n_orders] = level_feature(e, x);
    seam_arena_release(arena, mark);
    return SEAM_OK;
}

size_t seam_envelope_bytes(const SeamEnvelope *e) {
    return seam_arena_bytes(2 * (size_t)e->size, sizeof(float)) + seam_arena_bytes(2 * (size_t)e->small, sizeof(float)) +
           2 * seam_arena_bytes((size_t)e->small / 2, sizeof(float));
}
