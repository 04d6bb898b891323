// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Chunks: the sequences of one long text in a batch (core/layers/text_embed.h), which follow each other (SEAM_FOLLOWS_CHUNK). To layers that scan they
// are one sequence, to all others each is one; the last chunk alone goes on to the fusion, what was read before it acts through the state of the scan. So a
// text that is trained or judged from a file meets what it meets in a stream, where chunks are buffers and core/carry.h joins them. Nothing is owned.
#pragma once

#include "core/layers/pattern.h"

// Leaves of each text the last chunk, in place but for seq_start, which becomes a new one: the sequences of the others become empty, and seq_follows
// NULL. *row: [tokens->n, as it is then] in the arena, the row in which each token was. Where no text has several nothing is touched, and *row is NULL.
SeamStatus seam_text_chunks_keep_last(SeamArena *arena, SeamTokens *tokens, int32_t **row);
// The gradient of what was there before, din [before, dim]: din[row[i]] = dx[i], 0 elsewhere.
void seam_text_chunks_keep_last_backward(int32_t n, int32_t before, int32_t dim, const int32_t *row, const float *dx, float *din);
