// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Augmentation. Pictures: out(u) = light(in(1/2 + shift + (u - 1/2) * scale)), u in 0..1 each way, bilinear, edges repeated; light(v) = contrast *
// (v^gamma - 1/2) + 1/2 + brightness, as a table of 256 bytes; then mirrored or turned by quarters. A rectangle may be erased to the picture's mean
// (Zhong 2020, "Random erasing"). Colours: out_c = gain_c * (grey + saturation * (in_c - grey)), grey the pixel's mean. What older recipes do not ask for draws no lot, so that they keep their bits. Samples: speed and equaliser
// (augment_signal.c), then x -> gain * x + offset + noise, a gain and an offset a channel.
#include "core/train/augment.h"

#include <math.h>
#include <string.h>

#include "core/train/augment_signal.h"

typedef struct {
    float dx, dy, scale;
    bool flip, flip_vertical; // of the source's axes
    bool transpose;           // then rows become columns
} Frame;

typedef struct {
    float x0, y0, x1, y1; // shares of the side
} Rectangle;

static double both_ways(SeamRandom *random, double most) {
    return most > 0 ? seam_random_range(random, -most, most) : 0;
}

// A quarter turn is a transposition and a mirror.
static Frame draw_frame(const SeamAugment *a, SeamRandom *random) {
    Frame f = {.dx = (float)both_ways(random, a->shift), .dy = (float)both_ways(random, a->shift), .scale = (float)exp(both_ways(random, a->scale)),
               .flip = seam_random_uniform(random) < 0.5 && a->flip};
    f.flip_vertical = a->flip_vertical && seam_random_uniform(random) < 0.5;
    int32_t turns = a->rotate ? seam_random_below(random, 4) : 0;
    f.transpose = turns & 1;
    f.flip ^= turns == 1 || turns == 2;
    f.flip_vertical ^= turns == 2 || turns == 3;
    return f;
}

static void make_light(const SeamAugment *a, SeamRandom *random, uint8_t table[256]) {
    double gamma = exp(both_ways(random, a->gamma)), contrast = exp(both_ways(random, a->contrast)), brightness = both_ways(random, a->brightness);
    for (int32_t i = 0; i < 256; i++) {
        double v = contrast * (pow(i / 255.0, gamma) - 0.5) + 0.5 + brightness;
        table[i] = (uint8_t)lrint(255 * fmin(fmax(v, 0), 1));
    }
}

// Source position of each output column (or row): the left neighbour and the share of the right one, in 1/256.
static void make_axis(int32_t size, float shift, float scale, bool flip, int32_t *left, int32_t *share) {
    for (int32_t i = 0; i < size; i++) {
        float u = (i + 0.5f) / size;
        u = flip ? 1 - u : u;
        float at = (0.5f + shift + (u - 0.5f) * scale) * size - 0.5f;
        at = fminf(fmaxf(at, 0), (float)size - 1.001f);
        left[i] = (int32_t)at;
        share[i] = (int32_t)((at - left[i]) * 256);
    }
}

static void warp(const Frame *f, int32_t size, int32_t channels, const uint8_t *light, const uint8_t *in, uint8_t *out) {
    int32_t x[2048], xs[2048], y[2048], ys[2048];
    make_axis(size, f->dx, f->scale, f->flip, x, xs);
    make_axis(size, f->dy, f->scale, f->flip_vertical, y, ys);
    for (int32_t r = 0; r < size; r++)
        for (int32_t i = 0; i < size; i++) {
            int32_t column = f->transpose ? r : i, row = f->transpose ? i : r, share = xs[column], share_y = ys[row];
            const uint8_t *top = in + ((size_t)y[row] * size + x[column]) * channels, *low = top + (size_t)size * channels;
            for (int32_t c = 0; c < channels; c++, top++, low++) {
                int32_t a = top[0] * (256 - share) + top[channels] * share, b = low[0] * (256 - share) + low[channels] * share;
                *out++ = light[(a * (256 - share_y) + b * share_y + 32768) >> 16];
            }
        }
}

// Another light and another camera: a gain a channel, colours nearer to grey or farther from it.
static void shift_colours(double colour, SeamRandom *random, size_t pixels, uint8_t *x) {
    float saturation = 1 + (float)both_ways(random, colour), gain[3];
    for (int32_t c = 0; c < 3; c++)
        gain[c] = (float)exp(both_ways(random, colour / 2));
    for (size_t i = 0; i < pixels; i++, x += 3) {
        float grey = (float)(x[0] + x[1] + x[2]) / 3;
        for (int32_t c = 0; c < 3; c++) {
            float v = gain[c] * (grey + saturation * (x[c] - grey));
            x[c] = v < 0 ? 0 : v > 255 ? 255 : (uint8_t)(v + 0.5f);
        }
    }
}

// Sum of four uniform bytes, less its mean: near enough to a normal, variance 4 (256^2 - 1) / 12.
static float cheap_normal(uint32_t bits) {
    int32_t sum = (int32_t)(bits & 255) + (int32_t)(bits >> 8 & 255) + (int32_t)(bits >> 16 & 255) + (int32_t)(bits >> 24);
    return (float)(sum - 510) * (1 / 147.8f);
}

static void add_noise(SeamRandom *random, float sigma, size_t n, uint8_t *x) {
    for (size_t i = 0; i < n; i += 2) {
        uint64_t bits = seam_random_bits(random);
        for (size_t j = i; j < n && j < i + 2; j++, bits >>= 32) {
            float v = x[j] + sigma * cheap_normal((uint32_t)bits);
            x[j] = v < 0 ? 0 : v > 255 ? 255 : (uint8_t)(v + 0.5f);
        }
    }
}

// An area of a 50th to a fifth of the picture, at most three times as long as wide; nothing where it is not drawn.
static Rectangle draw_erased(const SeamAugment *a, SeamRandom *random) {
    if (!(a->erase > 0) || !(seam_random_uniform(random) < a->erase))
        return (Rectangle){0};
    double area = seam_random_range(random, 0.02, 0.2), aspect = exp(both_ways(random, log(3)));
    float w = (float)sqrt(area * aspect), h = (float)sqrt(area / aspect);
    float x = (float)seam_random_range(random, 0, 1 - w), y = (float)seam_random_range(random, 0, 1 - h);
    return (Rectangle){x, y, x + w, y + h};
}

static void erase(const Rectangle *r, int32_t size, int32_t channels, uint8_t *x) {
    int32_t left = (int32_t)(r->x0 * size), right = (int32_t)(r->x1 * size), top = (int32_t)(r->y0 * size), bottom = (int32_t)(r->y1 * size);
    for (int32_t c = 0; c < channels && right > left && bottom > top; c++) {
        int64_t sum = 0, pixels = (int64_t)size * size;
        for (int64_t i = 0; i < pixels; i++)
            sum += x[i * channels + c];
        for (int32_t i = top; i < bottom; i++)
            for (int32_t j = left; j < right; j++)
                x[((size_t)i * size + j) * channels + c] = (uint8_t)((sum + pixels / 2) / pixels);
    }
}

static void mirror(float *low, float *high) {
    float swap = *low;
    *low = 1 - *high;
    *high = 1 - swap;
}

static float overlap(float a0, float a1, float b0, float b1) {
    return fmaxf(fminf(a1, b1) - fmaxf(a0, b0), 0);
}

// What is left of a box in the new frame; false when less than a third of it can be seen.
static bool move_box(const Frame *f, const Rectangle *erased, SeamBox *b) {
    float area = b->w * b->h / (f->scale * f->scale);
    float x0 = 0.5f + (b->x - b->w / 2 - 0.5f - f->dx) / f->scale, x1 = x0 + b->w / f->scale;
    float y0 = 0.5f + (b->y - b->h / 2 - 0.5f - f->dy) / f->scale, y1 = y0 + b->h / f->scale;
    if (f->flip)
        mirror(&x0, &x1);
    if (f->flip_vertical)
        mirror(&y0, &y1);
    Rectangle r = f->transpose ? (Rectangle){y0, x0, y1, x1} : (Rectangle){x0, y0, x1, y1};
    r = (Rectangle){fmaxf(r.x0, 0), fmaxf(r.y0, 0), fminf(r.x1, 1), fminf(r.y1, 1)};
    float w = r.x1 - r.x0, h = r.y1 - r.y0;
    float hidden = overlap(r.x0, r.x1, erased->x0, erased->x1) * overlap(r.y0, r.y1, erased->y0, erased->y1);
    if (!(w > 0 && h > 0 && w * h - hidden > area / 3))
        return false;
    b->x = (r.x0 + r.x1) / 2, b->y = (r.y0 + r.y1) / 2, b->w = w, b->h = h;
    return true;
}

void seam_augment_picture(const SeamAugment *a, SeamRandom *random, int32_t size, int32_t channels, const uint8_t *in, uint8_t *out, SeamBox *box,
                          int32_t *n_boxes) {
    uint8_t light[256];
    Frame f = draw_frame(a, random);
    make_light(a, random, light);
    if (size > 1 && size <= 2048)
        warp(&f, size, channels, light, in, out);
    else
        memcpy(out, in, (size_t)size * size * channels);
    if (a->colour > 0 && channels == 3)
        shift_colours(a->colour, random, (size_t)size * size, out);
    float sigma = (float)(a->noise * seam_random_uniform(random));
    if (sigma > 0.5f)
        add_noise(random, sigma, (size_t)size * size * channels, out);
    Rectangle erased = draw_erased(a, random);
    erase(&erased, size, channels, out);
    int32_t kept = 0;
    for (int32_t i = 0; i < *n_boxes; i++) {
        SeamBox b = box[i];
        if (move_box(&f, &erased, &b))
            box[kept++] = b;
    }
    *n_boxes = kept;
}

void seam_augment_samples(const SeamAugment *a, SeamRandom *random, const SeamConfig *config, int32_t modality, int32_t samples, float *x) {
    const SeamModality *m = &config->modality[modality];
    float gain[SEAM_MAX_CHANNELS], offset[SEAM_MAX_CHANNELS], noise[SEAM_MAX_CHANNELS];
    if (a->speed > 0)
        seam_augment_speed(a->speed, random, m->channels, samples, x);
    if (a->equaliser > 0)
        seam_augment_equaliser(a->equaliser, random, m->channels, samples, x);
    for (int32_t c = 0; c < m->channels; c++) {
        gain[c] = (float)exp(a->gain * seam_random_normal(random));
        offset[c] = (float)(a->offset[modality][c] * seam_random_normal(random));
        noise[c] = (float)(a->sensor_noise * m->std[c] * seam_random_uniform(random));
        if (m->channels > 1 && seam_random_uniform(random) < a->channel_dropout)
            offset[c] = NAN;
    }
    for (int32_t i = 0; i < samples; i++)
        for (int32_t c = 0; c < m->channels; c += 2) {
            uint64_t bits = seam_random_bits(random);
            for (int32_t k = c; k < m->channels && k < c + 2; k++, bits >>= 32) {
                float *v = &x[(size_t)i * m->channels + k];
                *v = gain[k] * *v + offset[k] + noise[k] * cheap_normal((uint32_t)bits);
            }
        }
}

void seam_augment_features(const SeamAugment *a, SeamRandom *random, const SeamModality *m, float *x) {
    double noise = a->sensor_noise * seam_random_uniform(random);
    for (int32_t c = 0; c < m->channels; c++) {
        x[c] += (float)(noise * m->std[c] * seam_random_normal(random));
        if (seam_random_uniform(random) < a->channel_dropout)
            x[c] = NAN;
    }
}

uint32_t seam_augment_modalities(const SeamAugment *a, SeamRandom *random, uint32_t present) {
    int32_t n = __builtin_popcount(present), chosen = seam_random_below(random, n > 0 ? n : 1);
    bool alone = seam_random_uniform(random) < a->alone;
    uint32_t kept = 0, one = 0;
    for (uint32_t m = 0; m < SEAM_MAX_MODALITIES; m++) {
        bool stays = seam_random_uniform(random) >= a->modality_dropout;
        if (!(present >> m & 1))
            continue;
        if (chosen-- == 0)
            one = 1u << m;
        kept |= stays ? 1u << m : 0;
    }
    return alone || kept == 0 ? one : kept;
}
