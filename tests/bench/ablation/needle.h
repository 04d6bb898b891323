// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The needle task: an event long ago decides the verdict now. A stream of sensor tokens is noise but for two: the event, which shows one of two
// patterns, and the query, the last token, at which the verdict (which pattern it was) is asked. Every value is a function of the case, the
// width and the token's number, so that a stream of any length is made piece by piece and never held as a whole.
#pragma once

#include <stdint.h>

#include "core/tokens.h"

typedef struct {
    uint64_t seed;
    int64_t event; // the event's token, from 0
    int64_t query; // the query's token, the last one
    int32_t kind;  // 0 or 1: the verdict
} NeedleCase;

// The event stands `distance` tokens before the query, after `lead` tokens of noise; its kind comes from the seed.
NeedleCase needle_case(uint64_t seed, int64_t lead, int64_t distance);
// Tokens first .. first + count - 1, all at most c->query: x [count, dim]. All tokens have the same expected length; patterns are
// the same in every case.
void needle_values(const NeedleCase *c, int32_t dim, int64_t first, int32_t count, float *x);
// Their places, as a sensor stream of one channel gives them: `seconds` a token, from the time of token `first` on.
void needle_places(int32_t count, int32_t modality, double seconds, SeamPlace *place);
