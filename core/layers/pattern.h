// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which tokens each token attends to. Two patterns: `local`, for the encoder, and `fusion`, for a
// joined window. A pattern is a view into the arena that it was built in; it depends on the places
// of tokens, and on their values only where buckets are asked for.
#pragma once

#include "core/config.h"
#include "core/run.h"
#include "core/tokens.h"

typedef struct {
    int32_t n, seqs;
    const int32_t *seq_start; // [seqs + 1]
    int32_t *key_start;       // [n + 1], or NULL: every token of the sequence
    int32_t *key_index;       // [key_start[n]], each once within a token
    const float *size;        // [n] as of the tokens, or NULL
} SeamPattern;

SeamPattern seam_pattern_dense(const SeamTokens *tokens);
// The same, but sequences that follow each other (tokens->seq_follows) are one: what a layer that scans sees.
SeamStatus seam_pattern_streams(SeamArena *arena, const SeamTokens *tokens, SeamPattern *out);
size_t seam_pattern_streams_bytes(int32_t n); // of arena

// Tokens at most config->local_radius apart: cells each way in a picture (Chebyshev distance),
// stretches in a sensor stream over all its channels and domains, words in a text. Summary tokens
// see all of their sequence and are seen by all of it. SEAM_BAD_SHAPE when a place names an unknown
// modality or there would be more than INT32_MAX keys.
SeamStatus seam_pattern_local(const SeamConfig *config, SeamArena *arena, const SeamTokens *tokens,
                              SeamPattern *out);

// Keys of token i of a joined window: itself; of each other modality present the
// config->fusion_neighbours nearest in time; in the window's order, the tokens at distances 1,
// 2, 4, ... each way; and the config->fusion_bucket nearest in its hash bucket (pattern_hash.h, by
// the tokens' values; with 0 they are not looked at). tokens: as seam_fusion_join orders them.
SeamStatus seam_pattern_fusion(const SeamConfig *config, SeamRun *run, const SeamTokens *tokens,
                               SeamPattern *out);

// Bytes of arena at most for n tokens as the embed stages make them: the pattern and the scratch of
// building it.
size_t seam_pattern_local_bytes(const SeamConfig *config, int32_t n);
// Keys of a local pattern at most, a token.
size_t seam_pattern_local_keys(const SeamConfig *config);
size_t seam_pattern_fusion_bytes(const SeamConfig *config, int32_t n);
