// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Tokens: what flows between the stages of the model. A ragged batch of sequences, each token with its place.
// The struct is a view: whoever made it says who owns the memory (an arena, or a GstBuffer and its meta).
#pragma once

#include <stdint.h>

typedef enum {
    SEAM_DOMAIN_SUMMARY,   // one learnt token that sums its sequence up
    SEAM_DOMAIN_PATCH,     // a patch of a picture
    SEAM_DOMAIN_TIME,      // a stretch of one channel, as values over time; a run of feature columns
    SEAM_DOMAIN_FREQUENCY, // the same stretch as a spectrum
    SEAM_DOMAIN_WORD,      // a word of a text
    SEAM_DOMAINS
} SeamDomain;

typedef enum { SEAM_STAGE_EMBEDDED, SEAM_STAGE_ENCODED, SEAM_STAGE_FUSED } SeamStage;
const char *seam_stage_name(SeamStage stage); // "embedded", "encoded", "fused"

// Where a token is. It travels with the token, so that merging or reordering loses nothing.
typedef struct {
    float t;          // seconds after its sequence's time
    float x, y;       // centre in the picture, 0 to 1; 0 where it has none
    uint16_t channel; // of the modality, from 0
    uint8_t modality; // index into SeamConfig.modality
    uint8_t domain;   // SeamDomain
} SeamPlace;

// Whether a sequence goes on where the one before it ended: to layers that scan they are one (core/layers/pattern.h), to all others each is by itself.
typedef enum {
    SEAM_FOLLOWS_NONE,   // it begins anew
    SEAM_FOLLOWS_STREAM, // as the next input of its stream
    SEAM_FOLLOWS_CHUNK,  // as the next chunk of its text, of which the last one alone goes on to the fusion (core/text_chunks.h)
} SeamFollows;

typedef struct {
    int32_t n, dim, seqs;
    float *x;           // [n, dim]
    int32_t *seq_start; // [seqs + 1]
    double *seq_time;   // [seqs] running time of each sequence's start, seconds
    SeamPlace *place;   // [n]
    float *size;        // [n] how many tokens each stands for, or NULL: one each (core/layers/merge.h)
    uint8_t *seq_left;  // [seqs] 1: left the encoder at an exit head, no later layer touches it; NULL: none has
    uint8_t *seq_follows; // [seqs] SeamFollows; NULL: each begins anew
} SeamTokens;

// How many patches of one picture modality stand one after another from `first` on, before `end`; 0 when the first is none.
int32_t seam_tokens_patches(const SeamTokens *tokens, int32_t first, int32_t end);

// How bright or how loud: one reading of a stream's level, by which arc-on is seen and clocks are compared.
// video, photo: mean brightness, 0 to 1. sensors: the arc channel in its own unit. sound: RMS of full scale.
typedef struct {
    double time; // running time, seconds
    float value;
} SeamLevel;
