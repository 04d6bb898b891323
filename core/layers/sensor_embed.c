// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sensor front end. A window x [samples, channels] is cut into stretches of `patch` samples. A
// stretch of a channel is valid when at most half of it is missing; its holes take the last valid
// value before them (the first ones the first valid value).
//
//   z      = (x - mean_c) / std_c                                                    [patch]
//   time   = for each of `bins` bins: the mean of z, and
//            (log(1e-3 + RMS of z around that mean) + 3.5) / 3.5                     [2 bins]
//   X      = F (Hann . z[frame]), frames of fft samples, fft/2 apart            [frames, fft + 2]
//   P_k    = mean over frames of (Re X_k^2 + Im X_k^2) / sum Hann^2                  [fft/2 + 1]
//   freq   = for each band: (log(1e-6 + mean of P_k over its bins) + 5) / 5          [bands]
//   f_time = W_t time + b_t + channel_c,   f_freq = W_f freq + b_f + channel_c       [dim]
//
// With an envelope in the configuration, `time` is what core/layers/envelope.c makes of z instead.
// P is Welch's estimate (Welch 1967): white noise of variance 1 gives 1 in every bin.
// Together, a token holds the features of all channels of a stretch side by side, 0 for those that are
// not valid, and the sum of the valid ones' vectors: what lies in several channels at once is then one
// product away, and the tokens are fewer.
//
// The spectrum is a linear map, so F (with the window folded in) is a fixed matrix and X one matrix
// product. Bands are evenly spaced in log frequency from rate/fft to rate/2, at least one bin each.
// The constants bring both logarithms to about -1 .. 1. Tokens of a valid stretch stand together
// (time, then frequency), so that token rows are [valid, tokens of each, dim] and both products
// write straight into them. Backward: dW += df^T features; db, dchannel += rows of df.
#include "core/layers/sensor_embed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int32_t bins_of(const SeamSensorEmbed *e) {
    return e->fft / 2 + 1;
}
static int32_t frames_of(const SeamSensorEmbed *e) {
    return e->bands ? 1 + (e->patch - e->fft) / (e->fft / 2) : 0;
}
static int32_t time_width(const SeamSensorEmbed *e) {
    return e->wide * e->width;
}
static int32_t tokens_of_each(const SeamSensorEmbed *e) {
    return e->bands ? 2 : 1;
}

// Rows k: Hann . cos(2 pi k i / fft), then the sines, scaled so that the squares are P_k.
static void fill_fourier(SeamSensorEmbed *e) {
    double energy = 0;
    for (int32_t i = 0; i < e->fft; i++) {
        double hann = 0.5 - 0.5 * cos(2 * G_PI * i / e->fft);
        energy += hann * hann;
    }
    for (int32_t k = 0; k < bins_of(e); k++)
        for (int32_t i = 0; i < e->fft; i++) {
            double hann = (0.5 - 0.5 * cos(2 * G_PI * i / e->fft)) / sqrt(energy);
            double angle = 2 * G_PI * ((int64_t)k * i % e->fft) / e->fft;
            e->fourier[(size_t)k * e->fft + i] = (float)(hann * cos(angle));
            e->fourier[((size_t)bins_of(e) + k) * e->fft + i] = (float)(hann * sin(angle));
        }
}

static void fill_bands(SeamSensorEmbed *e) {
    int32_t last = e->fft / 2;
    for (int32_t b = 0; b < e->bands; b++) {
        int32_t first = (int32_t)pow(last, (double)b / e->bands);
        int32_t end = (int32_t)pow(last, (b + 1.0) / e->bands);
        e->band[2 * b] = CLAMP(first, 1, last);
        e->band[2 * b + 1] = b == e->bands - 1 ? last + 1 : MAX(e->band[2 * b] + 1, end);
    }
}

static SeamTensor *declare(SeamParams *params, const char *modality, const char *what,
                           SeamInit init, bool decay, int32_t d0, int32_t d1) {
    char name[SEAM_NAME_LENGTH + 32];
    snprintf(name, sizeof name, "embed.%s.%s", modality, what);
    return seam_params_declare(params, name, init, decay, d0, d1, 0, 0);
}

bool seam_sensor_embed_declare(SeamSensorEmbed *e, SeamParams *params, const SeamConfig *config,
                               int32_t modality) {
    const SeamModality *m = &config->modality[modality];
    const SeamSensorConfig *s = &m->sensor;
    *e = (SeamSensorEmbed){.modality = modality,
                           .channels = m->channels,
                           .dim = config->dim,
                           .patch = s->patch,
                           .samples = (int32_t)lround(config->window * s->rate),
                           .bins = s->time_bins,
                           .width = s->envelope.bands ? seam_envelope_width(&s->envelope) : 2 * s->time_bins,
                           .fft = s->fft,
                           .bands = s->bands,
                           .wide = s->together ? m->channels : 1,
                           .rate = s->rate};
    for (int32_t c = 0; c < m->channels; c++) {
        e->mean[c] = m->mean[c];
        e->inverse_std[c] = 1.0f / m->std[c];
    }
    e->time_weight =
        declare(params, m->name, "time.weight", SEAM_INIT_LINEAR, true, e->dim, time_width(e));
    e->time_bias = declare(params, m->name, "time.bias", SEAM_INIT_ZERO, false, e->dim, 0);
    e->channel = declare(params, m->name, "channel", SEAM_INIT_SMALL, false, e->channels, e->dim);
    if (s->envelope.bands && !seam_envelope_init(&e->envelope, &s->envelope, s->rate, s->patch))
        return false;
    if (e->bands == 0)
        return true;
    e->frequency_weight =
        declare(params, m->name, "frequency.weight", SEAM_INIT_LINEAR, true, e->dim, e->wide * e->bands);
    e->frequency_bias =
        declare(params, m->name, "frequency.bias", SEAM_INIT_ZERO, false, e->dim, 0);
    e->fourier = g_try_new(float, 2 * (size_t)bins_of(e) * e->fft);
    e->band = g_try_new(int32_t, 2 * (size_t)e->bands);
    if (!e->fourier || !e->band) {
        seam_sensor_embed_clear(e);
        return false;
    }
    fill_fourier(e);
    fill_bands(e);
    return true;
}

void seam_sensor_embed_widths(const SeamSensorEmbed *e, int32_t width[2]) {
    width[0] = time_width(e);
    width[1] = e->wide * e->bands;
}

void seam_sensor_embed_clear(SeamSensorEmbed *e) {
    seam_envelope_clear(&e->envelope);
    g_clear_pointer(&e->fourier, g_free);
    g_clear_pointer(&e->band, g_free);
}

// ---- features -----------------------------------------------------------------------------------

// x: the stretch's first sample of the channel; samples are `channels` apart.
static bool stretch_valid(const SeamSensorEmbed *e, const float *x) {
    int32_t missing = 0;
    for (int32_t i = 0; i < e->patch; i++)
        missing += !isfinite(x[(size_t)i * e->channels]);
    return 2 * missing <= e->patch;
}

static void normalise_stretch(const SeamSensorEmbed *e, int32_t channel, const float *x, float *z) {
    int32_t first = 0;
    while (!isfinite(x[(size_t)first * e->channels]))
        first++;
    float last = x[(size_t)first * e->channels];
    for (int32_t i = 0; i < e->patch; i++) {
        if (isfinite(x[(size_t)i * e->channels]))
            last = x[(size_t)i * e->channels];
        z[i] = (last - e->mean[channel]) * e->inverse_std[channel];
    }
}

static void course_features(const SeamSensorEmbed *e, const float *z, float *out) {
    int32_t n = e->patch / e->bins;
    for (int32_t b = 0; b < e->bins; b++) {
        double sum = 0, squares = 0;
        for (int32_t i = 0; i < n; i++)
            sum += z[b * n + i];
        for (int32_t i = 0; i < n; i++)
            squares += (z[b * n + i] - sum / n) * (z[b * n + i] - sum / n);
        out[b] = (float)(sum / n);
        out[e->bins + b] = (float)((log(1e-3 + sqrt(squares / n)) + 3.5) / 3.5);
    }
}

static SeamStatus time_features(const SeamSensorEmbed *e, SeamRun *run, const float *z, float *out) {
    if (e->envelope.patch)
        return seam_envelope_features(&e->envelope, run->arena, z, out);
    course_features(e, z, out);
    return SEAM_OK;
}

// spectrum [frames, 2 * bins of the transform] of one stretch.
static void pool_bands(const SeamSensorEmbed *e, const float *spectrum, float *out) {
    int32_t bins = bins_of(e), frames = frames_of(e);
    for (int32_t b = 0; b < e->bands; b++) {
        double power = 0;
        for (int32_t f = 0; f < frames; f++)
            for (int32_t k = e->band[2 * b]; k < e->band[2 * b + 1]; k++) {
                double re = spectrum[(size_t)f * 2 * bins + k],
                       im = spectrum[(size_t)f * 2 * bins + bins + k];
                power += re * re + im * im;
            }
        power /= (double)frames * (e->band[2 * b + 1] - e->band[2 * b]);
        out[b] = (float)((log(1e-6 + power) + 5) / 5);
    }
}

// z [rows, patch] -> out [rows, bands].
static SeamStatus frequency_features(const SeamSensorEmbed *e, SeamRun *run, int32_t rows,
                                     const float *z, float *out) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t frames = frames_of(e), width = 2 * bins_of(e);
    float *frame = SEAM_NEW(run->arena, float, (size_t)rows *frames * e->fft);
    float *spectrum = SEAM_NEW(run->arena, float, (size_t)rows *frames *width);
    if (!frame || !spectrum)
        return SEAM_NO_MEMORY;
    for (int32_t r = 0; r < rows; r++)
        for (int32_t f = 0; f < frames; f++)
            memcpy(frame + ((size_t)r * frames + f) * e->fft,
                   z + (size_t)r * e->patch + (size_t)f * (e->fft / 2), e->fft * sizeof *frame);
    SEAM_TRY(run->kernels->gemm(false, true, rows * frames, width, e->fft, frame, e->fft,
                                e->fourier, e->fft, 0, spectrum, width));
    for (int32_t r = 0; r < rows; r++)
        pool_bands(e, spectrum + (size_t)r * frames * width, out + (size_t)r * e->bands);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static SeamPlace place_of(const SeamSensorEmbed *e, int32_t stretch, int32_t channel,
                          SeamDomain domain) {
    return (SeamPlace){.t = (float)((stretch + 0.5) * e->patch / e->rate),
                       .channel = (uint16_t)channel,
                       .modality = (uint8_t)e->modality,
                       .domain = (uint8_t)domain};
}

// The channels from `first` on that are valid in the stretch, `wide` of them.
static uint64_t valid_channels(const SeamSensorEmbed *e, const SeamSensorWindow *window,
                               int32_t stretch, int32_t first) {
    uint64_t channels = 0;
    const float *x = window->x + (size_t)stretch * e->patch * e->channels;
    for (int32_t c = first; c < first + e->wide; c++)
        channels |= stretch_valid(e, x + c) ? UINT64_C(1) << c : 0;
    return channels;
}

// What is not valid has features of 0, of every kind. width: of one channel's features.
static void clear_missing(const SeamSensorEmbed *e, int32_t rows, const uint64_t *channels,
                          int32_t width, float *features) {
    for (int32_t i = 0; i < rows * e->wide && e->wide > 1; i++)
        if (!(channels[i / e->wide] >> i % e->wide & 1))
            memset(features + (size_t)i * width, 0, (size_t)width * sizeof *features);
}

// Features and places of one window's valid stretches; their number was counted before.
static SeamStatus window_features(const SeamSensorEmbed *e, SeamRun *run,
                                  const SeamSensorWindow *window, int32_t rows, float *time,
                                  float *frequency, uint64_t *channels, SeamPlace *place) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t row = 0, each = tokens_of_each(e);
    float *z = SEAM_NEW0(run->arena, float, (size_t)rows * e->wide * e->patch);
    if (!z)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < e->samples / e->patch; s++)
        for (int32_t c = 0; c < e->channels; c += e->wide) {
            const float *x = window->x + (size_t)s * e->patch * e->channels + c;
            channels[row] = valid_channels(e, window, s, c);
            if (!channels[row])
                continue;
            for (int32_t k = 0; k < e->wide; k++) {
                size_t at = (size_t)row * e->wide + k;
                if (channels[row] >> (c + k) & 1) {
                    normalise_stretch(e, c + k, x + k, z + at * e->patch);
                    SEAM_TRY(time_features(e, run, z + at * e->patch, time + at * e->width));
                }
            }
            for (int32_t d = 0; d < each; d++)
                place[row * each + d] =
                    place_of(e, s, c, d ? SEAM_DOMAIN_FREQUENCY : SEAM_DOMAIN_TIME);
            row++;
        }
    clear_missing(e, rows, channels, e->width, time);
    if (e->bands && rows > 0) {
        SEAM_TRY(frequency_features(e, run, rows * e->wide, z, frequency));
        clear_missing(e, rows, channels, e->bands, frequency);
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static int32_t count_valid(const SeamSensorEmbed *e, const SeamSensorWindow *window) {
    int32_t count = 0;
    for (int32_t s = 0; s < e->samples / e->patch; s++)
        for (int32_t c = 0; c < e->channels; c += e->wide)
            count += valid_channels(e, window, s, c) != 0;
    return count;
}

// ---- the layer ----------------------------------------------------------------------------------

// x += features W^T, in rows `each` tokens apart that hold bias and channel vectors already.
static SeamStatus add_products(const SeamSensorEmbed *e, const SeamKernels *k, int32_t valid,
                               const float *time, const float *frequency, const uint64_t *channels,
                               const SeamPlace *place, float *x) {
    int32_t each = tokens_of_each(e), ld = each * e->dim;
    for (int32_t i = 0; i < valid * each; i++) {
        const float *bias =
            place[i].domain == SEAM_DOMAIN_TIME ? e->time_bias->data : e->frequency_bias->data;
        memcpy(x + (size_t)i * e->dim, bias, e->dim * sizeof *x);
        for (int32_t c = 0; c < e->channels; c++)
            if (channels[i / each] >> c & 1)
                SEAM_TRY(k->add((size_t)e->dim, e->channel->data + (size_t)c * e->dim,
                                x + (size_t)i * e->dim));
    }
    if (valid == 0)
        return SEAM_OK;
    int32_t times = time_width(e), bands = e->wide * e->bands;
    SEAM_TRY(k->gemm(false, true, valid, e->dim, times, time, times, e->time_weight->data, times, 1, x, ld));
    if (e->bands)
        SEAM_TRY(k->gemm(false, true, valid, e->dim, bands, frequency, bands,
                         e->frequency_weight->data, bands, 1, x + e->dim, ld));
    return SEAM_OK;
}

static SeamStatus new_tokens(const SeamSensorEmbed *e, SeamRun *run, int32_t windows,
                             const SeamSensorWindow *window, SeamTokens *out) {
    int32_t n = 0;
    *out = (SeamTokens){.dim = e->dim,
                        .seqs = windows,
                        .seq_start = SEAM_NEW(run->arena, int32_t, windows + 1),
                        .seq_time = SEAM_NEW(run->arena, double, windows)};
    if (!out->seq_start || !out->seq_time)
        return SEAM_NO_MEMORY;
    out->seq_start[0] = 0;
    for (int32_t w = 0; w < windows; w++) {
        if (window[w].samples != e->samples)
            return SEAM_BAD_SHAPE;
        n += tokens_of_each(e) * count_valid(e, &window[w]);
        out->seq_start[w + 1] = n;
        out->seq_time[w] = window[w].time;
    }
    out->n = n;
    out->x = SEAM_NEW(run->arena, float, (size_t)n * e->dim);
    out->place = SEAM_NEW(run->arena, SeamPlace, n);
    return out->x && out->place ? SEAM_OK : SEAM_NO_MEMORY;
}

SeamStatus seam_sensor_embed_forward(const SeamSensorEmbed *e, SeamRun *run, int32_t windows,
                                     const SeamSensorWindow *window, SeamTokens *features,
                                     SeamSensorEmbedSaved *saved) {
    SEAM_TRY(new_tokens(e, run, windows, window, features));
    int32_t each = tokens_of_each(e), valid = features->n / each;
    size_t mark = seam_arena_mark(run->arena);
    float *time = SEAM_NEW(run->arena, float, (size_t)valid * time_width(e));
    float *frequency = SEAM_NEW(run->arena, float, (size_t)valid * e->wide * e->bands);
    uint64_t *channels = SEAM_NEW(run->arena, uint64_t, valid + 1); // one more is looked at
    if (!time || !frequency || !channels)
        return SEAM_NO_MEMORY;
    for (int32_t w = 0; w < windows; w++) {
        int32_t first = features->seq_start[w] / each,
                rows = features->seq_start[w + 1] / each - first;
        SEAM_TRY(window_features(e, run, &window[w], rows, time + (size_t)first * time_width(e),
                                 frequency + (size_t)first * e->wide * e->bands, channels + first,
                                 features->place + (size_t)first * each));
    }
    SEAM_TRY(add_products(e, run->kernels, valid, time, frequency, channels, features->place, features->x));
    if (saved) {
        saved->valid = valid;
        saved->time_features = time;
        saved->frequency_features = frequency;
        saved->channels = channels;
        saved->place = features->place;
    } else {
        seam_arena_release(run->arena, mark);
    }
    return SEAM_OK;
}

SeamStatus seam_sensor_embed_backward(const SeamSensorEmbed *e, SeamRun *run,
                                      const SeamSensorEmbedSaved *saved, const float *dfeatures) {
    const SeamKernels *k = run->kernels;
    int32_t each = tokens_of_each(e), ld = each * e->dim, valid = saved->valid;
    for (int32_t i = 0; i < valid * each; i++) {
        const SeamPlace *place = &saved->place[i];
        const float *df = dfeatures + (size_t)i * e->dim;
        SEAM_TRY(k->add((size_t)e->dim, df,
                        place->domain == SEAM_DOMAIN_TIME ? e->time_bias->grad
                                                          : e->frequency_bias->grad));
        for (int32_t c = 0; c < e->channels; c++)
            if (saved->channels[i / each] >> c & 1)
                SEAM_TRY(k->add((size_t)e->dim, df, e->channel->grad + (size_t)c * e->dim));
    }
    if (valid == 0)
        return SEAM_OK;
    int32_t times = time_width(e), bands = e->wide * e->bands;
    SEAM_TRY(k->gemm(true, false, e->dim, times, valid, dfeatures, ld, saved->time_features, times, 1,
                     e->time_weight->grad, times));
    if (e->bands)
        SEAM_TRY(k->gemm(true, false, e->dim, bands, valid, dfeatures + e->dim, ld,
                         saved->frequency_features, bands, 1, e->frequency_weight->grad, bands));
    return SEAM_OK;
}

size_t seam_sensor_embed_bytes(const SeamSensorEmbed *e, int32_t windows, bool train) {
    size_t rows = (size_t)(e->samples / e->patch) * e->channels, valid = rows * windows,
           n = valid / e->wide * tokens_of_each(e);
    return seam_arena_bytes(windows + 1, sizeof(int32_t)) +
           seam_arena_bytes(windows, sizeof(double)) + seam_arena_bytes(n * e->dim, sizeof(float)) +
           seam_arena_bytes(n, sizeof(SeamPlace)) +
           seam_arena_bytes(valid * e->width, sizeof(float)) +
           seam_arena_bytes(valid * e->bands, sizeof(float)) +
           seam_arena_bytes(valid / e->wide + 1, sizeof(uint64_t)) +
           seam_arena_bytes(rows * e->patch, sizeof(float)) +
           seam_arena_bytes(rows * frames_of(e) * e->fft, sizeof(float)) +
           seam_arena_bytes(rows * frames_of(e) * 2 * bins_of(e), sizeof(float)) +
           (e->envelope.patch ? seam_envelope_bytes(&e->envelope) : 0);
}
