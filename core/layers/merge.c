// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Content-aware compression of a sequence (Bolya 2023, "Token merging: your ViT but faster", sec. 3). Tokens are compared within a kind, that is
// a domain and a channel, so that a merged token still has both.
//
//   1. Pruning. The information of a token is its surprise under an isotropic normal distribution around its kind's mean, which but for constants is
//        info_i = |x_i - mean|^2.
//      Those under a tenth of the kind's average, but at most half of what is to go, become one with the most ordinary of them (as Liang 2022,
//      "EViT", sec. 3.2, gathers inattentive tokens into one).
//   2. Merging, in rounds: every other token of a kind is in A, the rest in B; each a in A finds the b of its block with the highest cosine x_a . x_b;
//      the most similar pairs of the sequence become one.
//
//   Joining a and b, which stand for s_a and s_b tokens: x = (s_a x_a + s_b x_b) / (s_a + s_b), t, x and y of the place alike, s = s_a + s_b.
//
// A block is 256 tokens in the order of the sequence, so that the work grows with n and partners are near. Attention then counts a token s times
// (kernels.h, key_bias = log s; Bolya 2023, eq. 1).
//
// Undoing keeps what a token had of its own: x_i = x_i before + (x_to(i) after the layers - x_to(i) before them), as the layers add to a residual
// stream (Bolya and Hoffman 2023, "Token merging for fast stable diffusion", sec. 4).
#include "core/layers/merge.h"

#include <math.h>
#include <string.h>

#include "core/select.h"

enum { HALF = 128, CHANNELS = 512, KINDS = SEAM_DOMAINS * CHANNELS };
static const float little = 0.1f; // of the average information

typedef struct {
    const SeamKernels *kernels;
    SeamTokens *tokens;
    int32_t *to;           // [n] -1: there yet; else the token (counted before) that it became part of
    int32_t first, count;  // of the sequence
    int32_t *start;        // [KINDS + 1] into member
    int32_t *member;       // [count] tokens by kind, in the order of the sequence
    int32_t *from, *into;  // [count] pairs
    float *score, *sorted; // [count] of the pairs; information
    int32_t pairs;
    float *a, *b, *cosine; // [HALF, dim] twice, [HALF, HALF]
    float *mean;           // [dim]
} Work;

static int32_t kind_of(const SeamPlace *place) {
    bool merges = place->domain != SEAM_DOMAIN_SUMMARY && place->domain < SEAM_DOMAINS && place->channel < CHANNELS;
    return merges ? place->domain * CHANNELS + place->channel : -1;
}

// ---- joining ----------------------------------------------------------------------------------

static void join(Work *w, int32_t from, int32_t into) {
    SeamTokens *t = w->tokens;
    float *x = t->x + (size_t)into * t->dim, all = t->size[from] + t->size[into], share = t->size[from] / all;
    const float *other = t->x + (size_t)from * t->dim;
    SeamPlace *p = &t->place[into];
    const SeamPlace *q = &t->place[from];
    for (int32_t d = 0; d < t->dim; d++)
        x[d] += share * (other[d] - x[d]);
    p->t += share * (q->t - p->t);
    p->x += share * (q->x - p->x);
    p->y += share * (q->y - p->y);
    t->size[into] = all;
    w->to[from] = into;
}

// ---- kinds --------------------------------------------------------------------------------------

// Sorts the sequence's tokens by kind; returns how many may be merged.
static int32_t sort_kinds(Work *w) {
    const SeamPlace *place = w->tokens->place + w->first;
    memset(w->start, 0, (KINDS + 1) * sizeof *w->start);
    for (int32_t i = 0; i < w->count; i++)
        if (kind_of(&place[i]) >= 0)
            w->start[kind_of(&place[i]) + 1]++;
    for (int32_t k = 0; k < KINDS; k++)
        w->start[k + 1] += w->start[k];
    int32_t movable = w->start[KINDS];
    for (int32_t i = w->count - 1; i >= 0; i--) // backwards: start[k + 1] counts down to the start of k
        if (kind_of(&place[i]) >= 0)
            w->member[--w->start[kind_of(&place[i]) + 1]] = w->first + i;
    memmove(w->start, w->start + 1, KINDS * sizeof *w->start);
    w->start[KINDS] = movable;
    return movable;
}

// Drops members that are there no longer, which keeps the order; start becomes what is left.
static void close_ranks(Work *w) {
    int32_t kept = 0, from = 0;
    for (int32_t k = 0; k < KINDS; k++) {
        int32_t end = w->start[k + 1];
        for (; from < end; from++)
            if (w->to[w->member[from]] < 0)
                w->member[kept++] = w->member[from];
        w->start[k + 1] = kept;
    }
}

// ---- pruning --------------------------------------------------------------------------------------

// score [members of the kind] = information; returns its average.
static float informations(Work *w, int32_t begin, int32_t end) {
    int32_t dim = w->tokens->dim;
    double sum = 0;
    memset(w->mean, 0, (size_t)dim * sizeof *w->mean);
    for (int32_t i = begin; i < end; i++)
        for (int32_t d = 0; d < dim; d++)
            w->mean[d] += w->tokens->x[(size_t)w->member[i] * dim + d] / (float)(end - begin);
    for (int32_t i = begin; i < end; i++) {
        const float *x = w->tokens->x + (size_t)w->member[i] * dim;
        float info = 0;
        for (int32_t d = 0; d < dim; d++)
            info += (x[d] - w->mean[d]) * (x[d] - w->mean[d]);
        w->score[i] = info;
        sum += info;
    }
    return (float)(sum / (end - begin));
}

// Returns how many went, at most `most`, the least informative of each kind first.
static int32_t prune(Work *w, int32_t most) {
    int32_t gone = 0;
    for (int32_t k = 0; k < KINDS && gone < most; k++) {
        int32_t begin = w->start[k], n = w->start[k + 1] - begin, room = MIN(most - gone, n - 1), least = begin;
        if (n < 2)
            continue;
        float limit = little * informations(w, begin, begin + n);
        memcpy(w->sorted, w->score + begin, (size_t)n * sizeof *w->sorted);
        limit = fminf(limit, seam_nth_smallest(w->sorted, n, room));
        for (int32_t i = begin; i < begin + n; i++)
            least = w->score[i] < w->score[least] ? i : least;
        for (int32_t i = begin; i < begin + n; i++)
            if (i != least && w->score[i] < limit) {
                join(w, w->member[i], w->member[least]);
                gone++;
            }
    }
    close_ranks(w);
    return gone;
}

// ---- merging --------------------------------------------------------------------------------------

// to [dim] = x / |x|.
static void copy_unit(int32_t dim, const float *x, float *to) {
    float squares = 0;
    for (int32_t d = 0; d < dim; d++)
        squares += x[d] * x[d];
    float factor = squares > 0 ? 1 / sqrtf(squares) : 0;
    for (int32_t d = 0; d < dim; d++)
        to[d] = factor * x[d];
}

// The pairs of one block: members begin, begin + 2, .. each with the most similar of begin + 1, begin + 3, ..
static SeamStatus pair_block(Work *w, int32_t begin, int32_t n) {
    int32_t dim = w->tokens->dim, a = (n + 1) / 2, b = n / 2;
    for (int32_t i = 0; i < n; i++)
        copy_unit(dim, w->tokens->x + (size_t)w->member[begin + i] * dim, (i & 1 ? w->b : w->a) + (size_t)(i / 2) * dim);
    SEAM_TRY(w->kernels->gemm(false, true, a, b, dim, w->a, dim, w->b, dim, 0, w->cosine, b));
    for (int32_t i = 0; i < a && b > 0; i++) {
        const float *row = w->cosine + (size_t)i * b;
        int32_t best = 0;
        for (int32_t j = 1; j < b; j++)
            best = row[j] > row[best] ? j : best;
        w->from[w->pairs] = w->member[begin + 2 * i];
        w->into[w->pairs] = w->member[begin + 2 * best + 1];
        w->score[w->pairs++] = row[best];
    }
    return SEAM_OK;
}

// Joins the `most` most similar pairs; returns how many. Of equally similar ones the first go.
static int32_t join_pairs(Work *w, int32_t most) {
    int32_t joined = 0, above = 0;
    float limit = -INFINITY;
    if (most < w->pairs) {
        memcpy(w->sorted, w->score, (size_t)w->pairs * sizeof *w->sorted);
        limit = seam_nth_smallest(w->sorted, w->pairs, w->pairs - most);
    }
    for (int32_t i = 0; i < w->pairs; i++)
        above += w->score[i] > limit;
    int32_t ties = most - MIN(above, most);
    for (int32_t i = 0; i < w->pairs && joined < most; i++) {
        bool tie = w->score[i] == limit && ties > 0;
        if (w->score[i] > limit || tie) {
            join(w, w->from[i], w->into[i]);
            joined++;
            ties -= tie;
        }
    }
    return joined;
}

static SeamStatus merge_rounds(Work *w, int32_t most) {
    for (int32_t joined = 1; most > 0 && joined > 0; most -= joined) {
        w->pairs = 0;
        for (int32_t k = 0; k < KINDS; k++)
            for (int32_t i = w->start[k]; i < w->start[k + 1]; i += 2 * HALF)
                SEAM_TRY(pair_block(w, i, MIN(2 * HALF, w->start[k + 1] - i)));
        joined = join_pairs(w, most);
        close_ranks(w);
    }
    return SEAM_OK;
}

// ---- the layer ------------------------------------------------------------------------------------

static SeamStatus alloc_work(SeamArena *arena, int32_t n, int32_t dim, Work *w) {
    w->start = SEAM_NEW(arena, int32_t, KINDS + 1);
    w->member = SEAM_NEW(arena, int32_t, n);
    w->from = SEAM_NEW(arena, int32_t, n);
    w->into = SEAM_NEW(arena, int32_t, n);
    w->score = SEAM_NEW(arena, float, n);
    w->sorted = SEAM_NEW(arena, float, n);
    w->a = SEAM_NEW(arena, float, (size_t)HALF * dim);
    w->b = SEAM_NEW(arena, float, (size_t)HALF * dim);
    w->cosine = SEAM_NEW(arena, float, HALF * HALF);
    w->mean = SEAM_NEW(arena, float, dim);
    bool ok = w->start && w->member && w->from && w->into && w->score && w->sorted && w->a && w->b && w->cosine && w->mean;
    return ok ? SEAM_OK : SEAM_NO_MEMORY;
}

// Moves what is left together; merge->to becomes the tokens' new numbers.
static void compact(SeamTokens *t, SeamMerge *merge, int32_t *number) {
    int32_t kept = 0, from = 0;
    for (int32_t s = 0; s < t->seqs; s++) {
        for (int32_t end = t->seq_start[s + 1]; from < end; from++) {
            if (merge->to[from] >= 0)
                continue;
            memmove(t->x + (size_t)kept * t->dim, t->x + (size_t)from * t->dim, (size_t)t->dim * sizeof *t->x);
            t->place[kept] = t->place[from];
            t->size[kept] = t->size[from];
            number[from] = kept++;
        }
        t->seq_start[s + 1] = kept;
    }
    for (int32_t i = 0; i < t->n; i++) { // a chain of tokens that became part of each other ends in one that is there
        int32_t root = i;
        while (merge->to[root] >= 0)
            root = merge->to[root];
        number[i] = number[root];
    }
    memcpy(merge->to, number, (size_t)t->n * sizeof *number);
    t->n = kept;
}

SeamStatus seam_merge_forward(SeamRun *run, float share, SeamTokens *tokens, SeamMerge *merge) {
    size_t size = (size_t)tokens->n * tokens->dim;
    *merge = (SeamMerge){.n = tokens->n,
                         .to = SEAM_NEW(run->arena, int32_t, tokens->n),
                         .x = SEAM_NEW(run->arena, float, size),
                         .joined = SEAM_NEW(run->arena, float, size),
                         .place = SEAM_NEW(run->arena, SeamPlace, tokens->n)};
    size_t mark = seam_arena_mark(run->arena);
    int32_t *number = SEAM_NEW(run->arena, int32_t, tokens->n);
    Work w = {.kernels = run->kernels, .tokens = tokens, .to = merge->to};
    if (!merge->to || !merge->x || !merge->joined || !merge->place || !number)
        return SEAM_NO_MEMORY;
    SEAM_TRY(alloc_work(run->arena, tokens->n, tokens->dim, &w));
    memcpy(merge->x, tokens->x, size * sizeof *tokens->x);
    memcpy(merge->place, tokens->place, (size_t)tokens->n * sizeof *tokens->place);
    memset(merge->to, -1, (size_t)tokens->n * sizeof *merge->to);
    for (int32_t s = 0; s < tokens->seqs; s++) {
        w.first = tokens->seq_start[s];
        w.count = tokens->seq_start[s + 1] - w.first;
        int32_t take = (int32_t)(share * (float)sort_kinds(&w));
        SEAM_TRY(merge_rounds(&w, take - prune(&w, take / 2)));
    }
    compact(tokens, merge, number);
    memcpy(merge->joined, tokens->x, (size_t)tokens->n * tokens->dim * sizeof *tokens->x);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static bool is_picture(const SeamMerge *merge, int32_t first, int32_t end) {
    bool patches = false;
    for (int32_t i = first; i < end; i++)
        patches |= merge->place[i].domain == SEAM_DOMAIN_PATCH;
    return patches;
}

static void give_back(const SeamMerge *merge, const SeamTokens *t, int32_t i, float *x) {
    const float *after = t->x + (size_t)merge->to[i] * t->dim, *before = merge->joined + (size_t)merge->to[i] * t->dim;
    for (int32_t d = 0; d < t->dim; d++)
        x[d] = merge->x[(size_t)i * t->dim + d] + (after[d] - before[d]);
}

// Tokens first .. end - 1 (counted before) of a sequence whose tokens now are begin .. stop - 1; returns how many it has.
static int32_t undo_sequence(const SeamMerge *merge, const SeamTokens *t, int32_t first, int32_t end, int32_t begin, int32_t stop, float *x,
                             SeamPlace *place, float *size) {
    if (!is_picture(merge, first, end)) {
        memcpy(x, t->x + (size_t)begin * t->dim, (size_t)(stop - begin) * t->dim * sizeof *x);
        memcpy(place, t->place + begin, (size_t)(stop - begin) * sizeof *place);
        memcpy(size, t->size + begin, (size_t)(stop - begin) * sizeof *size);
        return stop - begin;
    }
    for (int32_t i = first; i < end; i++) {
        give_back(merge, t, i, x + (size_t)(i - first) * t->dim);
        place[i - first] = merge->place[i];
        size[i - first] = 1;
    }
    return end - first;
}

SeamStatus seam_merge_undo(SeamRun *run, const SeamMerge *merge, SeamTokens *t) {
    size_t mark = seam_arena_mark(run->arena);
    float *x = SEAM_NEW(run->arena, float, (size_t)merge->n * t->dim), *size = SEAM_NEW(run->arena, float, merge->n);
    SeamPlace *place = SEAM_NEW(run->arena, SeamPlace, merge->n);
    int32_t n = 0, first = 0;
    if (!x || !size || !place)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0, begin = 0; s < t->seqs; s++) {
        int32_t stop = t->seq_start[s + 1], end = first;
        while (end < merge->n && merge->to[end] < stop)
            end++;
        n += undo_sequence(merge, t, first, end, begin, stop, x + (size_t)n * t->dim, place + n, size + n);
        t->seq_start[s + 1] = n;
        begin = stop;
        first = end;
    }
    bool alone = true;
    for (int32_t i = 0; i < n; i++)
        alone &= size[i] == 1;
    memcpy(t->x, x, (size_t)n * t->dim * sizeof *x);
    memcpy(t->place, place, (size_t)n * sizeof *place);
    memcpy(t->size, size, (size_t)n * sizeof *size);
    t->size = alone ? NULL : t->size;
    t->n = n;
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_merge_bytes(int32_t n, int32_t dim) {
    size_t word = sizeof(float), all = seam_arena_bytes((size_t)n * dim, word);
    size_t work = 6 * seam_arena_bytes(n, word) + seam_arena_bytes(KINDS + 1, word) + 2 * seam_arena_bytes((size_t)HALF * dim, word) +
                  seam_arena_bytes(HALF * HALF, word) + seam_arena_bytes(dim, word);
    size_t undo = all + seam_arena_bytes(n, word) + seam_arena_bytes(n, sizeof(SeamPlace));
    return 2 * all + seam_arena_bytes(n, word) + seam_arena_bytes(n, sizeof(SeamPlace)) + MAX(work, undo);
}
