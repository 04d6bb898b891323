// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The clock offset between two streams, measured from their levels (brightness against current): the lag that maximises the correlation of
// the two on-off curves on a 50 Hz grid, refined by a parabola. Owns two ring buffers of fixed length (30 s).
#pragma once

#include "core/tokens.h"

#include <stdbool.h>

typedef struct SeamOffset SeamOffset;

SeamOffset *seam_offset_new(double most); // largest offset looked for, seconds (default use 2)
void seam_offset_free(SeamOffset *o);
void seam_offset_reset(SeamOffset *o);
void seam_offset_push(SeamOffset *o, bool reference, const SeamLevel *levels, int32_t n);
// offset = time of an event on the other stream minus its time on the reference, in seconds (positive: the other stream is late); false
// until both have shown an arc edge and the correlation is at least 0.5. *certainty: the correlation, 0 to 1. Only levels before `until` (seconds)
// count, so that the result does not depend on how far ahead of it the streams are; INFINITY: all.
bool seam_offset_estimate(const SeamOffset *o, double until, double *offset, double *certainty);
