// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Buckets of like tokens, by hashes of their values: the pattern of the mixer `hash`, and the order that fusion takes its bucket from. It owns no
// parameters: its random directions are a function of a stream's number. A pattern and an order are views into the arena that they were built in.
#pragma once

#include "core/layers/pattern.h"

// Which bucket each token fell into, and the tokens of each sequence by bucket, those of one bucket by their place in the sequence.
typedef struct {
    uint32_t *code; // [n]
    int32_t *order; // [n] token numbers; sequence s has the rows of its tokens
} SeamBuckets;

// x [n, dim]: buckets of about `size` tokens in the longest sequence, fewer in others. stream: of the directions. New memory in the arena.
SeamStatus seam_buckets_sort(SeamRun *run, const SeamPattern *sequences, int32_t dim, const float *x, int32_t size, uint64_t stream, SeamBuckets *out);

typedef struct {
    int32_t dim, bucket, rounds;
    bool causal;
    uint64_t stream; // of the first round's directions
} SeamHash;

// Of a layer with the mixer `hash`.
SeamHash seam_hash_of(const SeamConfig *config, int32_t layer);
// The keys of each token of x [n, dim]: in each round those of its run of `bucket` tokens in bucket order and of the run before it; with `causal`
// none that stands after it. A choice, without a gradient. dense: the sequences.
SeamStatus seam_pattern_hash(const SeamHash *hash, SeamRun *run, const SeamPattern *dense, const float *x, SeamPattern *out);

// Bytes of arena at most for n tokens: of scratch, and in *pattern what stays; of a sort into buckets, all of it.
size_t seam_pattern_hash_bytes(const SeamHash *hash, int32_t n, size_t *pattern);
size_t seam_buckets_bytes(int32_t n, int32_t dim, int32_t size);
