// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The needle task (needle.h). Noise is normal with variance 1; a pattern has values of 1 and -1, so noise is not told apart by its length, and
// is like a pattern by chance alone: at a width of 32 the likeness of an event is 5.7 spreads of that of noise.
#include "tests/bench/ablation/needle.h"

#include "core/random.h"

enum { QUERY = 2, NOISE_STREAMS = 16 }; // patterns 0 and 1 are the events

NeedleCase needle_case(uint64_t seed, int64_t lead, int64_t distance) {
    SeamRandom random = seam_random(seed, 1);
    return (NeedleCase){.seed = seed, .event = lead, .query = lead + distance, .kind = seam_random_below(&random, 2)};
}

static void pattern_values(int32_t pattern, int32_t dim, float *x) {
    SeamRandom random = seam_random(0x6e6565646c65, (uint64_t)pattern);
    for (int32_t d = 0; d < dim; d++)
        x[d] = seam_random_below(&random, 2) ? 1.0f : -1.0f;
}

void needle_values(const NeedleCase *c, int32_t dim, int64_t first, int32_t count, float *x) {
    for (int32_t i = 0; i < count; i++, x += dim) {
        if (first + i == c->event)
            pattern_values(c->kind, dim, x);
        else if (first + i == c->query)
            pattern_values(QUERY, dim, x);
        else {
            SeamRandom random = seam_random(c->seed, NOISE_STREAMS + (uint64_t)(first + i));
            for (int32_t d = 0; d < dim; d++)
                x[d] = (float)seam_random_normal(&random);
        }
    }
}

void needle_places(int32_t count, int32_t modality, double seconds, SeamPlace *place) {
    for (int32_t i = 0; i < count; i++)
        place[i] = (SeamPlace){.t = (float)(i * seconds), .modality = (uint8_t)modality, .domain = SEAM_DOMAIN_TIME};
}
