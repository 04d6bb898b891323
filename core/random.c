// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Counter-based random numbers: the k-th value of a stream is mix(key + k * golden), SplitMix64's
// k-th output from the state `key`.
#include "core/random.h"

#include <math.h>

// The odd number next to 2^64 / phi (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
// generators", fig. 17).
static const uint64_t GOLDEN = 0x9E3779B97F4A7C15u;

// The finaliser of the same figure (Stafford's variant 13): a bijection on 64 bits.
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

SeamRandom seam_random(uint64_t seed, uint64_t stream) {
    // Mixed twice, so that neighbouring seeds and streams do not give shifted copies of one
    // sequence.
    return (SeamRandom){.key = mix(mix(seed + GOLDEN) + stream)};
}

uint64_t seam_random_hash(const char *text) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return hash;
}

uint64_t seam_random_bits(SeamRandom *random) {
    return mix(random->key + ++random->counter * GOLDEN);
}

double seam_random_uniform(SeamRandom *random) {
    return (double)(seam_random_bits(random) >> 11) * 0x1p-53;
}

double seam_random_range(SeamRandom *random, double low, double high) {
    double value = low + (high - low) * seam_random_uniform(random);
    // The product may round up to `high`.
    return value < high ? value : low;
}

int32_t seam_random_below(SeamRandom *random, int32_t n) {
    if (n <= 1)
        return 0;
    // 32 bits times n, the high half (Lemire 2019): the bias is below n / 2^32.
    return (int32_t)(((seam_random_bits(random) >> 32) * (uint64_t)n) >> 32);
}

double seam_random_normal(SeamRandom *random) {
    // Box-Muller; only the cosine is used, so that each value takes exactly two counts.
    double radius = sqrt(-2.0 * log(1.0 - seam_random_uniform(random)));
    return radius * cos(2.0 * 3.14159265358979323846 * seam_random_uniform(random));
}
