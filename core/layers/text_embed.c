// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Text front end (Bojanowski 2017, "Enriching word vectors with subword information", sec. 3.2).
//
//   G(w)  = the n-grams of "<w>" (lower-cased ASCII) of ngram_min .. ngram_max bytes, and it whole
//   f[i]  = mean over g in G(w_i) of table[FNV1a(g) mod buckets]   f [n, dim], table [buckets, dim]
//
// Backward: dtable[row of g] += df[i] / |G(w_i)|. Rows that collide share their gradient.
#include "core/layers/text_embed.h"

#include <stdio.h>
#include <string.h>

void seam_text_embed_declare(SeamTextEmbed *e, SeamParams *params, const SeamConfig *config,
                             int32_t modality) {
    const SeamModality *m = &config->modality[modality];
    char name[SEAM_NAME_LENGTH + 16];
    *e = (SeamTextEmbed){.modality = modality,
                         .dim = config->dim,
                         .buckets = m->text.buckets,
                         .ngram_min = m->text.ngram_min,
                         .ngram_max = m->text.ngram_max,
                         .max_tokens = m->text.max_tokens};
    snprintf(name, sizeof name, "embed.%s.table", m->name);
    e->table = seam_params_declare(params, name, SEAM_INIT_SMALL, false, e->buckets, e->dim, 0, 0);
}

static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

// Bytes over 127 are parts of UTF-8 letters; a point or comma belongs to the number around it
// ("12.5").
static bool in_word(const unsigned char *text, const unsigned char *p) {
    unsigned char c = *p;
    if (c >= 128 || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return (c == '.' || c == ',') && p > text && is_digit(p[-1]) && is_digit(p[1]);
}

// Moves *cursor past the next word and writes it with its marks; 0 at the end of the text.
static int32_t next_word(const unsigned char *text, const unsigned char **cursor,
                         unsigned char word[SEAM_MAX_WORD + 2]) {
    const unsigned char *p = *cursor;
    while (*p && !in_word(text, p))
        p++;
    int32_t n = 0;
    for (; *p && in_word(text, p); p++) {
        if (n == 0)
            word[n++] = '<';
        if (n <= SEAM_MAX_WORD)
            word[n++] = *p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p;
    }
    *cursor = p;
    if (n > 0)
        word[n++] = '>';
    return n;
}

static int32_t ngrams_of(const SeamTextEmbed *e, int32_t length) {
    int32_t count = 1;
    for (int32_t g = e->ngram_min; g <= e->ngram_max && g < length; g++)
        count += length - g + 1;
    return count;
}

// FNV-1a, 32 bits, as in fastText.
static int32_t bucket_of(const SeamTextEmbed *e, const unsigned char *bytes, int32_t n) {
    uint32_t hash = 2166136261u;
    for (int32_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return (int32_t)(hash % (uint32_t)e->buckets);
}

static int32_t write_ids(const SeamTextEmbed *e, const unsigned char *word, int32_t length,
                         int32_t *ids) {
    int32_t count = 0;
    ids[count++] = bucket_of(e, word, length);
    for (int32_t g = e->ngram_min; g <= e->ngram_max && g < length; g++)
        for (int32_t i = 0; i + g <= length; i++)
            ids[count++] = bucket_of(e, word + i, g);
    return count;
}

static int32_t count_words(const char *text) {
    unsigned char word[SEAM_MAX_WORD + 2];
    const unsigned char *start = (const unsigned char *)text, *cursor = start;
    int32_t words = 0;
    while (words < INT32_MAX && next_word(start, &cursor, word) > 0)
        words++;
    return words;
}

// The ids of the text's last words, after *n words that are there already; without ids and start,
// only counts into *total.
static void read_text(const SeamTextEmbed *e, const char *text, int32_t *start, int32_t *ids,
                      int32_t *n, int32_t *total) {
    unsigned char word[SEAM_MAX_WORD + 2];
    const unsigned char *first = (const unsigned char *)text, *cursor = first;
    int32_t skip = count_words(text) - e->max_tokens, length;
    while ((length = next_word(first, &cursor, word)) > 0) {
        if (skip-- > 0)
            continue;
        *total += ids ? write_ids(e, word, length, ids + *total) : ngrams_of(e, length);
        *n += 1;
        if (start)
            start[*n] = *total;
    }
}

SeamStatus seam_text_embed_forward(const SeamTextEmbed *e, SeamRun *run, int32_t texts,
                                   const char *const *text, const double *time,
                                   SeamTokens *features, SeamTextEmbedSaved *saved) {
    int32_t n = 0, total = 0;
    for (int32_t s = 0; s < texts; s++)
        read_text(e, text[s], NULL, NULL, &n, &total);

    *features = (SeamTokens){.n = n,
                             .dim = e->dim,
                             .seqs = texts,
                             .x = SEAM_NEW(run->arena, float, (size_t)n * e->dim),
                             .seq_start = SEAM_NEW(run->arena, int32_t, texts + 1),
                             .seq_time = SEAM_NEW(run->arena, double, texts),
                             .place = SEAM_NEW(run->arena, SeamPlace, n)};
    size_t mark = seam_arena_mark(run->arena);
    int32_t *start = SEAM_NEW(run->arena, int32_t, n + 1);
    int32_t *ids = SEAM_NEW(run->arena, int32_t, total);
    if (!features->x || !features->seq_start || !features->seq_time || !features->place || !start ||
        !ids)
        return SEAM_NO_MEMORY;

    n = total = 0;
    start[0] = features->seq_start[0] = 0;
    for (int32_t s = 0; s < texts; s++) {
        read_text(e, text[s], start, ids, &n, &total);
        features->seq_start[s + 1] = n;
        features->seq_time[s] = time[s];
    }
    for (int32_t i = 0; i < n; i++)
        features->place[i] =
            (SeamPlace){.modality = (uint8_t)e->modality, .domain = SEAM_DOMAIN_WORD};
    SEAM_TRY(run->kernels->embed_bag(n, start, ids, e->dim, e->table->data, features->x));
    if (saved)
        saved->n = n, saved->start = start, saved->ids = ids;
    else
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_text_embed_backward(const SeamTextEmbed *e, SeamRun *run,
                                    const SeamTextEmbedSaved *saved, const float *dfeatures) {
    return run->kernels->embed_bag_backward(saved->n, saved->start, saved->ids, e->dim, dfeatures,
                                            e->table->grad);
}

size_t seam_text_embed_bytes(const SeamTextEmbed *e, int32_t texts, bool train) {
    size_t n = (size_t)texts * e->max_tokens;
    return seam_arena_bytes(n * e->dim, sizeof(float)) +
           seam_arena_bytes(texts + 1, sizeof(int32_t)) + seam_arena_bytes(texts, sizeof(double)) +
           seam_arena_bytes(n, sizeof(SeamPlace)) + seam_arena_bytes(n + 1, sizeof(int32_t)) +
           seam_arena_bytes(n * ngrams_of(e, SEAM_MAX_WORD + 2), sizeof(int32_t));
}
