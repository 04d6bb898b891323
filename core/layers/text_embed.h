// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Texts to features: one token a word, the mean of the table rows of its hashed byte n-grams
// (fastText). It owns the parameter "embed.MODALITY.table" of a text modality. It knows no language
// and keeps no dictionary.
//
// Chunks. max_tokens words are read at once. Where a layer of the encoder scans, a text of more
// words is read in chunks, each a sequence of its own, from its beginning on: what was read before
// acts through the state of the scan. The first chunk is the short one, so that the newest words
// always stand in a full last chunk. Without a scan nothing would remember, and the newest
// max_tokens words are read.
#pragma once

#include "core/layers/project.h"

enum { SEAM_MAX_WORD = 64 }; // bytes of a word that are read

typedef struct {
    int32_t modality, dim, buckets, ngram_min, ngram_max, max_tokens;
    bool remembers;     // a layer scans: long texts are read in chunks
    SeamTensor *table;  // "embed.NAME.table" [buckets, dim]
} SeamTextEmbed;

typedef struct {
    int32_t n;
    int32_t *start, *ids;     // [n + 1], [start[n]]: the rows of each word
    SeamProjectSaved project; // of the stage that follows (model.h)
} SeamTextEmbedSaved;

// A text that is being read: any bytes, borrowed; a byte 0 parts words as a blank does.
typedef struct {
    const unsigned char *first, *at, *end;
    int64_t words;  // from `at` on, that are still to be read
    int64_t passed; // older ones that nobody reads
} SeamTextCursor;

void seam_text_embed_declare(SeamTextEmbed *e, SeamParams *params, const SeamConfig *config,
                             int32_t modality);
// A text's beginning. The time that this and reading take grows with `size` alone.
SeamTextCursor seam_text_open(const SeamTextEmbed *e, const char *text, size_t size);
// Words of the next chunk; 0 at the end.
int32_t seam_text_chunk(const SeamTextEmbed *e, const SeamTextCursor *cursor);

// Moves each text's cursor [texts] over its next chunk, or with `whole` over all of them. One
// sequence a chunk (one without tokens of a text without words); with `whole`,
// features->seq_follows says which go on, where any does.
SeamStatus seam_text_embed_forward(const SeamTextEmbed *e, SeamRun *run, int32_t texts,
                                   SeamTextCursor *cursor, const double *time, bool whole,
                                   SeamTokens *features, SeamTextEmbedSaved *saved);
SeamStatus seam_text_embed_backward(const SeamTextEmbed *e, SeamRun *run,
                                    const SeamTextEmbedSaved *saved, const float *dfeatures);
// Bytes of arena at most for so many chunks, of texts that are no longer together.
size_t seam_text_embed_bytes(const SeamTextEmbed *e, int32_t texts, bool train);
