// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Counter-based random numbers: a value depends on (seed, stream, counter) alone, so that results do not depend on the order or the
// number of threads. Mixer: SplitMix64 (Steele 2014). Not for secrets.
#pragma once

#include <stdint.h>

typedef struct {
    uint64_t key, counter;
} SeamRandom;

SeamRandom seam_random(uint64_t seed, uint64_t stream);
uint64_t seam_random_hash(const char *text); // FNV-1a, to name streams
uint64_t seam_random_bits(SeamRandom *random);
double seam_random_uniform(SeamRandom *random);                     // [0, 1)
double seam_random_range(SeamRandom *random, double low, double high); // [low, high)
int32_t seam_random_below(SeamRandom *random, int32_t n);           // 0 .. n-1
double seam_random_normal(SeamRandom *random);                      // mean 0, variance 1
