// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Compression of token sequences by their content, in inference: tokens that say little are gathered, tokens that say the same become one. It
// owns no parameters and sees each sequence alone. Summary tokens stay. Tokens of different domains or channels never become one.
#pragma once

#include "core/run.h"
#include "core/tokens.h"

// In the arena.
typedef struct {
    int32_t n;        // tokens before
    int32_t *to;      // [n] the token that each became part of, counted after
    float *x;         // [n, dim] values before
    float *joined;    // [after, dim] values right after
    SeamPlace *place; // [n] before
} SeamMerge;

// Takes `share` of the tokens of each sequence away, in place: n, seq_start, x, place and size of `tokens` become those of what is left. tokens->size
// [n] must be there: 1 for a token that stands for itself.
SeamStatus seam_merge_forward(SeamRun *run, float share, SeamTokens *tokens, SeamMerge *merge);
// Pictures get their tokens back, in place, each with what was added to the token that it became part of; all other sequences stay short.
// tokens->x and tokens->place have room for merge->n tokens. size becomes NULL when no token stands for more than itself.
SeamStatus seam_merge_undo(SeamRun *run, const SeamMerge *merge, SeamTokens *tokens);
// Bytes of arena at most for n tokens: of what stays and of scratch.
size_t seam_merge_bytes(int32_t n, int32_t dim);
