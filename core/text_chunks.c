// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The chunks of long texts (text_chunks.h).
#include "core/text_chunks.h"

#include <string.h>

static void move_row(SeamTokens *t, int32_t to, int32_t from) {
    memmove(t->x + (size_t)to * t->dim, t->x + (size_t)from * t->dim, (size_t)t->dim * sizeof *t->x);
    t->place[to] = t->place[from];
    if (t->size)
        t->size[to] = t->size[from];
}

static bool has_chunks(const SeamTokens *t) {
    return t->seq_follows && memchr(t->seq_follows, SEAM_FOLLOWS_CHUNK, (size_t)t->seqs);
}

SeamStatus seam_text_chunks_keep_last(SeamArena *arena, SeamTokens *tokens, int32_t **row) {
    int32_t n = 0, first = 0;
    *row = NULL;
    if (!has_chunks(tokens))
        return SEAM_OK;
    int32_t *start = SEAM_NEW0(arena, int32_t, tokens->seqs + 1); // the old ones are what the encoder's backward pass goes by
    if (!start || !(*row = SEAM_NEW(arena, int32_t, tokens->n)))
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < tokens->seqs; s++) {
        int32_t end = tokens->seq_start[s + 1];
        bool last = s + 1 == tokens->seqs || tokens->seq_follows[s + 1] != SEAM_FOLLOWS_CHUNK;
        for (int32_t i = first; i < end && last; i++) {
            move_row(tokens, n, i);
            (*row)[n++] = i;
        }
        first = end;
        start[s + 1] = n;
    }
    tokens->n = n;
    tokens->seq_start = start;
    tokens->seq_follows = NULL;
    return SEAM_OK;
}

void seam_text_chunks_keep_last_backward(int32_t n, int32_t before, int32_t dim, const int32_t *row, const float *dx, float *din) {
    memset(din, 0, (size_t)before * (size_t)dim * sizeof *din);
    for (int32_t i = 0; i < n; i++)
        memcpy(din + (size_t)row[i] * dim, dx + (size_t)i * dim, (size_t)dim * sizeof *din);
}
