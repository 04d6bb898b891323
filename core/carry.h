// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a stream carries from one buffer to the next: the state of each scan layer. Whoever holds the stream (an element) owns one, takes it
// once, hands it to seam_model_encode_stream with every buffer, and resets it where the stream starts anew. It belongs to one thread at a time.
#pragma once

#include "core/config.h"

typedef struct {
    float *state[SEAM_MAX_LAYERS]; // [dim, scan_state] of each scan layer, NULL of the others
    float *memory;                 // all of it; NULL when the model has no such layer
    size_t size;
} SeamCarry;

// A stream that starts; for a model without scan layers there is nothing to carry. False with an error when memory is short.
bool seam_carry_init(SeamCarry *carry, const SeamConfig *config, GError **error);
void seam_carry_clear(SeamCarry *carry);
// Of two for the same configuration.
void seam_carry_copy(const SeamCarry *from, SeamCarry *to);
// The stream starts anew.
void seam_carry_reset(SeamCarry *carry);
