// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Early exits (Schuster 2022, "Confident adaptive language modeling", with a sequence in place of a token). After each group of exit_every layers the exit
// head looks at the sequences that are still on their way. One of which it is surer than the margin leaves: its tokens stay as they are and go on to
// fusion. The others are laid close together, so that the layers that follow really have less to do.
//
// Layers may be split over elements. Which sequences have left travels with the tokens (SeamTokens.seq_left): deciding again would take heads that the
// tokens have passed before, and a boundary between elements need not lie at a head.
#include "core/model_exit.h"

#include <string.h>

typedef struct {
    SeamTokens *all;        // the caller's
    int32_t *begin, *count; // [all->seqs] where each sequence lies in them, and its tokens
    SeamTokens on;          // what is still on its way: all of it, in the caller's memory, or a copy of some
    int32_t *of;            // [on.seqs] which of all's sequences each is
} Travel;

static bool has_left(const SeamTokens *tokens, int32_t s) {
    return tokens->seq_left && tokens->seq_left[s];
}

bool seam_model_leaves(const SeamModel *model, const SeamRun *run, const SeamTokens *tokens) {
    bool any = run->effort.exit_margin > 0 && seam_exit_count(&model->config) > 0;
    for (int32_t s = 0; s < tokens->seqs && !any; s++)
        any = has_left(tokens, s);
    return any;
}

static void move_tokens(SeamTokens *to, int32_t at, const SeamTokens *from, int32_t first, int32_t n) {
    size_t dim = (size_t)to->dim;
    if (to->x == from->x && at == first)
        return;
    memmove(to->x + (size_t)at * dim, from->x + (size_t)first * dim, (size_t)n * dim * sizeof *to->x);
    memmove(to->place + at, from->place + first, (size_t)n * sizeof *to->place);
    if (to->size)
        memmove(to->size + at, from->size + first, (size_t)n * sizeof *to->size);
}

// Sequence i of those on their way has got as far as it goes.
static void put_back(Travel *t, int32_t i) {
    int32_t s = t->of[i], first = t->on.seq_start[i];
    t->count[s] = t->on.seq_start[i + 1] - first;
    if (t->on.x == t->all->x)
        t->begin[s] = first;
    else
        move_tokens(t->all, t->begin[s], &t->on, first, t->count[s]);
}

static SeamStatus set_out(Travel *t, SeamRun *run, SeamTokens *all) {
    *t = (Travel){.all = all, .on = *all, .begin = SEAM_NEW(run->arena, int32_t, all->seqs), .count = SEAM_NEW(run->arena, int32_t, all->seqs),
                  .of = SEAM_NEW(run->arena, int32_t, all->seqs)};
    if (!t->begin || !t->count || !t->of)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < all->seqs; s++)
        t->of[s] = s;
    return SEAM_OK;
}

// Room for a copy of what is on its way.
static SeamStatus new_copy(const SeamTokens *on, SeamRun *run, SeamTokens *copy) {
    *copy = (SeamTokens){.dim = on->dim, .x = SEAM_NEW(run->arena, float, (size_t)on->n * on->dim), .place = SEAM_NEW(run->arena, SeamPlace, on->n),
                         .seq_start = SEAM_NEW(run->arena, int32_t, on->seqs + 1), .seq_time = SEAM_NEW(run->arena, double, on->seqs),
                         .size = on->size ? SEAM_NEW(run->arena, float, on->n) : NULL};
    return copy->x && copy->place && copy->seq_start && copy->seq_time && (copy->size || !on->size) ? SEAM_OK : SEAM_NO_MEMORY;
}

// leaves [on.seqs]: those go, the others move together.
static SeamStatus part(Travel *t, SeamRun *run, const bool *leaves) {
    SeamTokens on = t->on, stay = on;
    if (on.x == t->all->x)
        SEAM_TRY(new_copy(&on, run, &stay));
    stay.n = stay.seqs = stay.seq_start[0] = 0;
    for (int32_t i = 0; i < on.seqs; i++) {
        int32_t first = on.seq_start[i], n = on.seq_start[i + 1] - first;
        if (leaves[i]) {
            put_back(t, i);
            continue;
        }
        if (on.x == t->all->x)
            t->begin[t->of[i]] = first;
        move_tokens(&stay, stay.n, &on, first, n);
        stay.seq_time[stay.seqs] = on.seq_time[i];
        t->of[stay.seqs++] = t->of[i];
        stay.seq_start[stay.seqs] = stay.n += n;
    }
    t->on = stay;
    return SEAM_OK;
}

// Those that left in layers before these.
static SeamStatus drop_left(Travel *t, SeamRun *run) {
    bool *left = SEAM_NEW(run->arena, bool, t->on.seqs), any = false;
    if (!left)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < t->on.seqs; s++)
        any |= left[s] = has_left(t->all, s);
    return any ? part(t, run, left) : SEAM_OK;
}

static SeamStatus look(Travel *t, const SeamExit *exit, SeamRun *run) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t seqs = t->on.seqs, leaving = 0;
    bool *leaves = SEAM_NEW(run->arena, bool, seqs), *kept = leaves;
    float *logits = SEAM_NEW(run->arena, float, (size_t)seqs * exit->classes);
    if (!kept || !logits)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_exit_forward(exit, run, seqs, t->on.seq_start, t->on.x, logits, NULL));
    for (int32_t i = 0; i < seqs; i++) {
        leaves[i] = seam_exit_margin(exit->classes, logits + (size_t)i * exit->classes) > run->effort.exit_margin;
        leaving += leaves[i];
        if (leaves[i] && t->all->seq_left)
            t->all->seq_left[t->of[i]] = 1;
    }
    if (leaving == 0)
        seam_arena_release(run->arena, mark);
    return leaving > 0 ? part(t, run, leaves) : SEAM_OK;
}

// Every sequence where it came from; where layers merged tokens, those after it move up.
static void arrive(Travel *t) {
    SeamTokens *all = t->all;
    int32_t at = 0;
    for (int32_t i = 0; i < t->on.seqs; i++)
        put_back(t, i);
    for (int32_t s = 0; s < all->seqs; s++) {
        move_tokens(all, at, all, t->begin[s], t->count[s]);
        all->seq_start[s] = at;
        at += t->count[s];
    }
    all->n = all->seq_start[all->seqs] = at;
}

SeamStatus seam_model_encode_leaving(const SeamModel *model, SeamRun *run, int32_t first, int32_t last, SeamTokens *tokens, float *use) {
    size_t mark = seam_arena_mark(run->arena);
    Travel t;
    SEAM_TRY(set_out(&t, run, tokens));
    SEAM_TRY(drop_left(&t, run));
    for (int32_t from = first, to; from <= last && t.on.seqs > 0; from = to + 1) {
        for (to = from; to < last && !seam_exit_at(&model->config, to);)
            to++;
        SEAM_TRY(seam_model_encode_layers(model, run, from, to, &t.on, use, NULL, NULL));
        if (run->effort.exit_margin > 0 && seam_exit_at(&model->config, to))
            SEAM_TRY(look(&t, &model->exit[to], run));
    }
    arrive(&t);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_model_leaving_bytes(const SeamModel *model, int32_t tokens) {
    int32_t heads = seam_exit_count(&model->config);
    size_t seqs = (size_t)tokens + 1, copy = seam_arena_bytes((size_t)tokens * model->config.dim, sizeof(float)) +
           seam_arena_bytes((size_t)tokens, sizeof(SeamPlace)) + seam_arena_bytes((size_t)tokens, sizeof(float)) + seam_arena_bytes(seqs + 1, sizeof(int32_t)) +
           seam_arena_bytes(seqs, sizeof(double));
    size_t look = seam_arena_bytes(seqs, 1) + seam_arena_bytes(seqs * (size_t)model->config.n_classes, sizeof(float));
    if (heads == 0)
        return 0;
    return 3 * seam_arena_bytes(seqs, sizeof(int32_t)) + seam_arena_bytes(seqs, 1) + copy + (size_t)heads * look +
           seam_exit_bytes(&model->exit[model->config.exit_every - 1], tokens, tokens + 1);
}
