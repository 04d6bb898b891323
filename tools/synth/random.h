// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Counter-based random numbers and tileable noise for the synthetic weld generator. A stream is
// named by (seed, index, purpose), so that adding a draw to one purpose moves no other. Never
// reads the clock.

#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t key;
    uint64_t counter;
} SeamSynthRng;

// splitmix64's finaliser (Steele, Lea, Flood 2014).
static inline uint64_t seam_synth_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline SeamSynthRng seam_synth_rng(uint64_t seed, uint64_t index, uint64_t purpose)
{
    uint64_t key = seam_synth_mix(seed + 0x9e3779b97f4a7c15u);
    key = seam_synth_mix(key ^ (index + 0x632be59bd9b4e019u));
    return (SeamSynthRng){seam_synth_mix(key ^ (purpose * 0x9e3779b97f4a7c15u)), 0};
}

static inline uint64_t seam_synth_bits(SeamSynthRng *rng)
{
    return seam_synth_mix(rng->key + ++rng->counter * 0x9e3779b97f4a7c15u);
}

static inline float seam_synth_uniform(SeamSynthRng *rng, float low, float high)
{
    return low + (high - low) * (float)(seam_synth_bits(rng) >> 40) * 0x1p-24f;
}

static inline bool seam_synth_chance(SeamSynthRng *rng, float probability)
{
    return seam_synth_uniform(rng, 0, 1) < probability;
}

static inline unsigned seam_synth_below(SeamSynthRng *rng, unsigned n)
{
    return (unsigned)((seam_synth_bits(rng) >> 32) * n >> 32);
}

static inline float seam_synth_exponential(SeamSynthRng *rng, float mean)
{
    return -mean * logf(1.0f - seam_synth_uniform(rng, 0, 1));
}

// Sum of four 16-bit uniforms, scaled to variance 1: near enough to a normal, no transcendentals.
static inline float seam_synth_gauss(SeamSynthRng *rng)
{
    uint64_t b = seam_synth_bits(rng);
    float sum = (float)(b & 0xffff) + (float)(b >> 16 & 0xffff) + (float)(b >> 32 & 0xffff) +
                (float)(b >> 48);
    return (sum * 0x1p-16f - 2.0f) * 1.7320508f;
}

enum { SEAM_SYNTH_TILE = 256 };

// [256, 256] fractal noise, mean 0, standard deviation 1, the same for every caller.
const float *seam_synth_tile(void);

// The tile at any place, wrapped, bilinear.
static inline float seam_synth_tile_at(const float *tile, float x, float y)
{
    float fx = floorf(x), fy = floorf(y);
    unsigned x0 = (unsigned)(int)fx & 255, y0 = (unsigned)(int)fy & 255;
    unsigned x1 = (x0 + 1) & 255, y1 = (y0 + 1) & 255;
    fx = x - fx;
    fy = y - fy;
    float top = tile[y0 * 256 + x0] + fx * (tile[y0 * 256 + x1] - tile[y0 * 256 + x0]);
    float low = tile[y1 * 256 + x0] + fx * (tile[y1 * 256 + x1] - tile[y1 * 256 + x0]);
    return top + fy * (low - top);
}

static inline float seam_synth_clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

// 3x^2 - 2x^3 between 0 and 1.
static inline float seam_synth_smooth(float x)
{
    x = seam_synth_clamp(x, 0, 1);
    return x * x * (3.0f - 2.0f * x);
}
