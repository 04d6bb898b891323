// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   normalise_u8          y[p, c] = (x[p, c] - mean[c]) inverse_std[c]
//   f16_to_f32, f32_to_f16  IEEE half precision, to nearest even
//
// Any sizes, 0 included. Halves are the processor's own conversion: the bits of ref (but for the payload of a NaN). normalise_u8 in f32:
// one rounding of the difference and one of the product. Bound by memory.
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"

enum { MOST_CHANNELS = 4 };

typedef struct {
    int32_t channels;
    const uint8_t *bytes;
    const uint16_t *halves;
    const float *x;
    float *y;
    uint16_t *to;
    float mean[MOST_CHANNELS * LANES], scale[MOST_CHANNELS * LANES]; // of the elements of LANES pixels
} Job;

static void normalise_pixels(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    int32_t channels = j->channels;
    int64_t p = from;
    for (; p + LANES <= to; p += LANES)
        for (int32_t v = 0; v < channels; v++) {
            Vec x = vec_from_u8(j->bytes + p * channels + v * LANES);
            vec_store(j->y + p * channels + v * LANES, (x - vec_load(j->mean + v * LANES)) * vec_load(j->scale + v * LANES));
        }
    for (int64_t i = p * channels; i < to * channels; i++)
        j->y[i] = (j->bytes[i] - j->mean[i % channels]) * j->scale[i % channels];
}

static SeamStatus normalise_u8(size_t pixels, int32_t channels, const uint8_t *x, const float *mean, const float *inverse_std, float *y) {
    if (channels > MOST_CHANNELS)
        return seam_kernels_ref()->normalise_u8(pixels, channels, x, mean, inverse_std, y);
    Job j = {.channels = channels, .bytes = x, .y = y};
    for (int32_t i = 0; i < channels * LANES; i++) {
        j.mean[i] = mean[i % channels];
        j.scale[i] = inverse_std[i % channels];
    }
    seam_run_ranges((int64_t)pixels, SEAM_GRAIN, normalise_pixels, &j);
    return SEAM_OK;
}

static void widen(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t i = from; i < to; i += LANES) {
        uint16_t last[LANES] = {0};
        bool whole = i + LANES <= to;
        if (!whole)
            memcpy(last, j->halves + i, (size_t)(to - i) * sizeof *last);
        vec_store_part(j->y + i, whole ? LANES : (int)(to - i), vec_from_half(whole ? j->halves + i : last));
    }
}

static SeamStatus f16_to_f32(size_t n, const uint16_t *x, float *y) {
    seam_run_ranges((int64_t)n, SEAM_GRAIN, widen, &(Job){.halves = x, .y = y});
    return SEAM_OK;
}

static void narrow(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    for (int64_t i = from; i < to; i += LANES) {
        uint16_t last[LANES];
        bool whole = i + LANES <= to;
        vec_to_half(whole ? j->to + i : last, vec_load_part(j->x + i, whole ? LANES : (int)(to - i)));
        if (!whole)
            memcpy(j->to + i, last, (size_t)(to - i) * sizeof *last);
    }
}

static SeamStatus f32_to_f16(size_t n, const float *x, uint16_t *y) {
    seam_run_ranges((int64_t)n, SEAM_GRAIN, narrow, &(Job){.x = x, .to = y});
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_convert)(SeamKernels *k) {
    k->normalise_u8 = normalise_u8;
    k->f16_to_f32 = f16_to_f32;
    k->f32_to_f16 = f32_to_f16;
}
