// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Texts to features: one token a word, the mean of the table rows of its hashed byte n-grams
// (fastText). It owns the parameter "embed.MODALITY.table" of a text modality. It knows no language
// and keeps no dictionary.
#pragma once

#include "core/layers/project.h"

enum { SEAM_MAX_WORD = 64 }; // bytes of a word that are read

typedef struct {
    int32_t modality, dim, buckets, ngram_min, ngram_max, max_tokens;
    SeamTensor *table; // "embed.NAME.table" [buckets, dim]
} SeamTextEmbed;

typedef struct {
    int32_t n;
    int32_t *start, *ids;     // [n + 1], [start[n]]: the rows of each word
    SeamProjectSaved project; // of the stage that follows (model.h)
} SeamTextEmbedSaved;

void seam_text_embed_declare(SeamTextEmbed *e, SeamParams *params, const SeamConfig *config,
                             int32_t modality);
// One sequence a text (empty when it has no word); of more than max_tokens words the last ones are
// kept.
SeamStatus seam_text_embed_forward(const SeamTextEmbed *e, SeamRun *run, int32_t texts,
                                   const char *const *text, const double *time,
                                   SeamTokens *features, SeamTextEmbedSaved *saved);
SeamStatus seam_text_embed_backward(const SeamTextEmbed *e, SeamRun *run,
                                    const SeamTextEmbedSaved *saved, const float *dfeatures);
size_t seam_text_embed_bytes(const SeamTextEmbed *e, int32_t texts, bool train);
