// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Text front end (Bojanowski 2017, "Enriching word vectors with subword information", sec. 3.2).
//
//   G(w)  = the n-grams of "<w>" (lower-cased ASCII) of ngram_min .. ngram_max bytes, and it whole
//   f[i]  = mean over g in G(w_i) of table[FNV1a(g) mod buckets]   f [n, dim], table [buckets, dim]
//
// Backward: dtable[row of g] += df[i] / |G(w_i)|. Rows that collide share their gradient.
//
// A text is walked twice, whatever its length: to count its words, without which nobody knows where
// a chunk ends, and to read them.
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
                         .max_tokens = m->text.max_tokens,
                         .remembers = seam_config_has_mixer(config, SEAM_MIXER_SCAN)};
    snprintf(name, sizeof name, "embed.%s.table", m->name);
    e->table = seam_params_declare(params, name, SEAM_INIT_SMALL, false, e->buckets, e->dim, 0, 0);
}

static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

// Bytes over 127 are parts of UTF-8 letters; a point or comma belongs to the number around it
// ("12.5").
static bool in_word(const SeamTextCursor *c, const unsigned char *p) {
    if (*p >= 128 || is_digit(*p) || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
        return true;
    return (*p == '.' || *p == ',') && p > c->first && is_digit(p[-1]) && p + 1 < c->end &&
           is_digit(p[1]);
}

// Moves the cursor past the next word and writes it with its marks; 0 at the end of the text.
static int32_t next_word(SeamTextCursor *c, unsigned char word[SEAM_MAX_WORD + 2]) {
    const unsigned char *p = c->at;
    while (p < c->end && !in_word(c, p))
        p++;
    int32_t n = 0;
    for (; p < c->end && in_word(c, p); p++) {
        if (n == 0)
            word[n++] = '<';
        if (n <= SEAM_MAX_WORD)
            word[n++] = *p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p;
    }
    c->at = p;
    if (n > 0)
        word[n++] = '>';
    return n;
}

SeamTextCursor seam_text_open(const SeamTextEmbed *e, const char *text, size_t size) {
    unsigned char word[SEAM_MAX_WORD + 2];
    const unsigned char *first = (const unsigned char *)text;
    SeamTextCursor c = {.first = first, .at = first, .end = size > 0 ? first + size : first};
    for (SeamTextCursor ahead = c; next_word(&ahead, word) > 0;)
        c.words++;
    for (; !e->remembers && c.words > e->max_tokens; c.words--, c.passed++)
        next_word(&c, word);
    return c;
}

int32_t seam_text_chunk(const SeamTextEmbed *e, const SeamTextCursor *c) {
    return c->words > 0 ? (int32_t)((c->words - 1) % e->max_tokens) + 1 : 0;
}

// ---- features ---------------------------------------------------------------------------------

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

// The cursor's next chunk, behind the n words that were read before. Its length is what was counted,
// so that memory that somebody changes meanwhile can spoil words and nothing else.
static int32_t read_chunk(const SeamTextEmbed *e, SeamTextCursor *c, int32_t n, int32_t *start,
                          int32_t *ids) {
    unsigned char word[SEAM_MAX_WORD + 2];
    for (int32_t left = seam_text_chunk(e, c); left > 0; left--, c->words--, n++) {
        int32_t length = next_word(c, word);
        start[n + 1] = start[n] + write_ids(e, word, length, ids + start[n]);
    }
    return n;
}

// Memory for what is to be read: of each text all chunks, or the next.
static SeamStatus new_features(const SeamTextEmbed *e, SeamRun *run, int32_t texts,
                               const SeamTextCursor *cursor, bool whole, SeamTokens *f) {
    int64_t n = 0, seqs = 0;
    for (int32_t t = 0; t < texts; t++) {
        n += whole ? cursor[t].words : seam_text_chunk(e, &cursor[t]);
        seqs += whole && cursor[t].words > 0 ? (cursor[t].words - 1) / e->max_tokens + 1 : 1;
    }
    if (n > INT32_MAX / ngrams_of(e, SEAM_MAX_WORD + 2) || seqs >= INT32_MAX)
        return SEAM_NO_MEMORY;
    *f = (SeamTokens){.n = (int32_t)n,
                      .dim = e->dim,
                      .seqs = (int32_t)seqs,
                      .x = SEAM_NEW(run->arena, float, (size_t)n * e->dim),
                      .seq_start = SEAM_NEW0(run->arena, int32_t, seqs + 1),
                      .seq_time = SEAM_NEW(run->arena, double, seqs),
                      .place = SEAM_NEW(run->arena, SeamPlace, n)};
    f->seq_follows = seqs > texts ? SEAM_NEW(run->arena, uint8_t, seqs) : NULL;
    bool ok = f->x && f->seq_start && f->seq_time && f->place && (f->seq_follows || seqs == texts);
    for (int32_t i = 0; ok && i < n; i++)
        f->place[i] =
            (SeamPlace){.modality = (uint8_t)e->modality, .domain = SEAM_DOMAIN_WORD};
    return ok ? SEAM_OK : SEAM_NO_MEMORY;
}

SeamStatus seam_text_embed_forward(const SeamTextEmbed *e, SeamRun *run, int32_t texts,
                                   SeamTextCursor *cursor, const double *time, bool whole,
                                   SeamTokens *features, SeamTextEmbedSaved *saved) {
    SEAM_TRY(new_features(e, run, texts, cursor, whole, features));
    size_t mark = seam_arena_mark(run->arena), most = (size_t)ngrams_of(e, SEAM_MAX_WORD + 2);
    int32_t n = 0, s = 0, *start = SEAM_NEW0(run->arena, int32_t, features->n + 1);
    size_t ids_mark = seam_arena_mark(run->arena);
    int32_t *ids = SEAM_NEW(run->arena, int32_t, (size_t)features->n * most);
    if (!start || !ids)
        return SEAM_NO_MEMORY;
    for (int32_t t = 0; t < texts; t++) {
        SeamFollows follows = SEAM_FOLLOWS_NONE;
        do {
            n = read_chunk(e, &cursor[t], n, start, ids);
            features->seq_time[s] = time[t];
            if (features->seq_follows)
                features->seq_follows[s] = (uint8_t)follows;
            features->seq_start[++s] = n;
            follows = SEAM_FOLLOWS_CHUNK;
        } while (whole && cursor[t].words > 0);
    }
    SEAM_TRY(run->kernels->embed_bag(n, start, ids, e->dim, e->table->data, features->x));
    seam_arena_release(run->arena, saved ? ids_mark : mark);
    if (saved) // most words are short: what they did not need goes back
        *saved = (SeamTextEmbedSaved){.n = n, .start = start, .ids = SEAM_NEW(run->arena, int32_t, start[n])};
    return SEAM_OK;
}

SeamStatus seam_text_embed_backward(const SeamTextEmbed *e, SeamRun *run,
                                    const SeamTextEmbedSaved *saved, const float *dfeatures) {
    return run->kernels->embed_bag_backward(saved->n, saved->start, saved->ids, e->dim, dfeatures,
                                            e->table->grad);
}

size_t seam_text_embed_bytes(const SeamTextEmbed *e, int32_t texts, bool train) {
    size_t n = (size_t)texts * e->max_tokens;
    return seam_arena_bytes(n * e->dim, sizeof(float)) + seam_arena_bytes(texts, sizeof(SeamTextCursor)) +
           seam_arena_bytes(texts + 1, sizeof(int32_t)) + seam_arena_bytes(texts, sizeof(double)) +
           seam_arena_bytes(n, sizeof(SeamPlace)) + seam_arena_bytes(n + 1, sizeof(int32_t)) +
           seam_arena_bytes(texts, sizeof(uint8_t)) +
           seam_arena_bytes(n * ngrams_of(e, SEAM_MAX_WORD + 2), sizeof(int32_t));
}
