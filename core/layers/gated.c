// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Attention with chosen global tokens.
//
//   s_i = x_i . w + b;   chosen: of a sequence of n tokens the ceil(budget n) with the highest s, of equal ones the first
//   c_i = sigmoid(s_i) where chosen, else 1;   keys of i: all of the sequence where chosen, else its local ones and the chosen
//   m[i, h] = c_i g[i, h] sum_j softmax_j(q[i, h] . k[j, h] / sqrt(d_h)) c_j v[j, h]
//
// Global tokens beside local windows: Beltagy 2020, "Longformer", sec. 3.1, where positions fix them. That a router's top k choose them and are weighed
// by its output, so that it learns: Raposo 2024, "Mixture-of-depths", eq. 1. The choice itself has no gradient; s learns through c: a token
// whose global part helps gets a higher score, and so is chosen before others.
//
// Backward, with the weighed gate g' = c g and value v' = c v of a chosen token: dc = sum_h dg' g + dv' . v, ds = dc c (1 - c), dg = c dg', dv = c dv'.
#include "core/layers/gated.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/select.h"

void seam_gated_declare(SeamGatedLayer *l, SeamParams *params, const char *prefix, const SeamConfig *config) {
    g_autofree char *score = g_strconcat(prefix, ".score", NULL);
    seam_attention_declare(&l->attention, params, prefix, config->dim, config->heads);
    seam_linear_declare(&l->score, params, score, config->dim, 1, true);
    l->score.bias->init = SEAM_INIT_TWO;
    l->budget = config->gated_budget;
    l->local_keys = seam_pattern_local_keys(config);
}

// ---- the choice ---------------------------------------------------------------------------------

// A millionth less, so that a tenth of 50 in single precision is 5.
static int32_t chosen_of(const SeamGatedLayer *l, int32_t n) {
    return (int32_t)MIN((double)n, ceil((1 - 1e-6) * (double)l->budget * n));
}

static bool is_chosen(float weight) {
    return weight != 0; // NaN is
}

// Of a chosen token: never 0.
static float weight_of(float score) {
    float weight = 1 / (1 + expf(-score));
    return weight == 0 ? FLT_MIN : weight;
}

// Keeps the k > 0 highest of n scores and makes the others 0, what is kept its sigmoid. list: their numbers from `first` on, rising. NaN counts as
// the lowest. tmp [n].
static void choose(int32_t first, int32_t n, int32_t k, float *score, int32_t *list, float *tmp) {
    int32_t above = 0, count = 0;
    for (int32_t i = 0; i < n; i++)
        tmp[i] = isnan(score[i]) ? -INFINITY : score[i];
    float least = seam_nth_smallest(tmp, n, n - k);
    for (int32_t i = 0; i < n; i++)
        above += score[i] > least;
    for (int32_t i = 0; i < n; i++) {
        bool equal = !(score[i] > least) && !(score[i] < least);
        bool kept = score[i] > least || (equal && above < k);
        if (kept)
            list[count++] = first + i;
        above += equal;
        score[i] = kept ? weight_of(score[i]) : 0;
    }
}

// The keys of token i: out may hold all of its local ones and k more, or the whole sequence.
static int32_t list_keys(const SeamPattern *local, const float *weight, int32_t first, int32_t end, const int32_t *list, int32_t k, int32_t i,
                         int32_t *out) {
    int32_t n = 0;
    if (is_chosen(weight[i])) {
        for (int32_t j = first; j < end; j++)
            out[n++] = j;
        return n;
    }
    memcpy(out, list, (size_t)k * sizeof *out);
    n = k;
    for (int32_t j = local->key_start[i]; j < local->key_start[i + 1]; j++)
        if (!is_chosen(weight[local->key_index[j]]))
            out[n++] = local->key_index[j];
    return n;
}

static SeamStatus alloc_pattern(const SeamGatedLayer *l, SeamArena *arena, const SeamPattern *local, SeamPattern *out) {
    int64_t most = local->key_start[local->n];
    for (int32_t s = 0; s < local->seqs; s++) {
        int32_t n = local->seq_start[s + 1] - local->seq_start[s];
        most += 2 * (int64_t)n * chosen_of(l, n);
    }
    if (most > INT32_MAX)
        return SEAM_BAD_SHAPE;
    *out = (SeamPattern){.n = local->n, .seqs = local->seqs, .seq_start = local->seq_start, .size = local->size};
    out->key_start = SEAM_NEW0(arena, int32_t, (size_t)local->n + 1);
    out->key_index = SEAM_NEW(arena, int32_t, most);
    return out->key_start && out->key_index ? SEAM_OK : SEAM_NO_MEMORY;
}

// weight [n]: the scores in, SeamGatedSaved.weight out.
static SeamStatus make_pattern(const SeamGatedLayer *l, SeamArena *arena, const SeamPattern *local, float *weight, SeamPattern *out) {
    SEAM_TRY(alloc_pattern(l, arena, local, out));
    size_t mark = seam_arena_mark(arena);
    int32_t *list = SEAM_NEW(arena, int32_t, local->n);
    float *tmp = SEAM_NEW(arena, float, local->n);
    if (!list || !tmp)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < local->seqs; s++) {
        int32_t first = local->seq_start[s], end = local->seq_start[s + 1], k = chosen_of(l, end - first);
        if (end == first)
            continue;
        choose(first, end - first, k, weight + first, list, tmp);
        for (int32_t i = first; i < end; i++)
            out->key_start[i + 1] = out->key_start[i] + list_keys(local, weight, first, end, list, k, i, out->key_index + out->key_start[i]);
    }
    seam_arena_release(arena, mark);
    return SEAM_OK;
}

// ---- forward and backward -----------------------------------------------------------------------

// Rows of chosen tokens times their weight: values in qkv [n, 3 dim], gates [n, heads].
static void weigh(const SeamGatedLayer *l, int32_t n, const float *weight, float *qkv, float *gate) {
    int32_t dim = l->attention.dim, heads = l->attention.heads;
    for (int32_t i = 0; i < n; i++) {
        if (!is_chosen(weight[i]))
            continue;
        for (int32_t h = 0; h < heads; h++)
            gate[(size_t)i * heads + h] *= weight[i];
        for (int32_t c = 0; c < dim; c++)
            qkv[((size_t)i * 3 + 2) * dim + c] *= weight[i];
    }
}

SeamStatus seam_gated_forward(const SeamGatedLayer *l, SeamRun *run, const SeamPattern *local, float gate_threshold, const float *x, float *y,
                              SeamGatedSaved *saved) {
    size_t mark = seam_arena_mark(run->arena), gates = (size_t)local->n * l->attention.heads;
    SeamGatedSaved scratch, *s = saved ? saved : &scratch;
    SeamPattern pattern;
    s->weight = SEAM_NEW(run->arena, float, local->n);
    s->gate = saved ? SEAM_NEW(run->arena, float, gates) : NULL;
    if (!s->weight || (saved && !s->gate))
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_forward(&l->score, run, local->n, x, s->weight));
    SEAM_TRY(make_pattern(l, run->arena, local, s->weight, &pattern));
    SEAM_TRY(seam_attention_project(&l->attention, run, &pattern, gate_threshold, x, saved != NULL, &s->attention));
    if (saved)
        memcpy(s->gate, s->attention.gate, gates * sizeof *s->gate);
    weigh(l, local->n, s->weight, s->attention.qkv, s->attention.gate);
    SEAM_TRY(seam_attention_attend(&l->attention, run, &s->attention, y));
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// dscore [n] from the gradients of what was weighed. The weighed value is in the saved qkv: dv' . v = dv' . v' / c.
static void score_backward(const SeamGatedLayer *l, const SeamGatedSaved *s, const float *dqkv, const float *dgate, float *dscore) {
    int32_t dim = l->attention.dim, heads = l->attention.heads;
    for (int32_t i = 0; i < s->attention.pattern.n; i++) {
        double dc = 0, c = s->weight[i];
        dscore[i] = 0;
        if (!is_chosen(s->weight[i]))
            continue;
        for (int32_t h = 0; h < heads; h++)
            dc += (double)dgate[(size_t)i * heads + h] * s->gate[(size_t)i * heads + h];
        for (int32_t k = 0; k < dim; k++)
            dc += (double)dqkv[((size_t)i * 3 + 2) * dim + k] * s->attention.qkv[((size_t)i * 3 + 2) * dim + k] / c;
        dscore[i] = (float)(dc * c * (1 - c));
    }
}

SeamStatus seam_gated_backward(const SeamGatedLayer *l, SeamRun *run, const SeamGatedSaved *s, const float *dy, float *dx) {
    const SeamAttentionLayer *a = &l->attention;
    size_t mark = seam_arena_mark(run->arena);
    int32_t n = s->attention.pattern.n;
    float *dqkv = SEAM_NEW(run->arena, float, 3 * (size_t)n * a->dim), *dgate = SEAM_NEW(run->arena, float, (size_t)n * a->heads);
    float *dscore = SEAM_NEW(run->arena, float, n);
    if (!dqkv || !dgate || !dscore)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_attention_attend_backward(a, run, &s->attention, dy, dqkv, dgate));
    score_backward(l, s, dqkv, dgate, dscore);
    weigh(l, n, s->weight, dqkv, dgate);
    SEAM_TRY(seam_attention_project_backward(a, run, &s->attention, s->gate, dqkv, dgate, dx));
    SEAM_TRY(seam_linear_backward(&l->score, run, n, s->attention.x, dscore, dx, true));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_gated_bytes(const SeamGatedLayer *l, int32_t n, bool train, size_t *kept) {
    size_t word = sizeof(float), tokens = seam_arena_bytes((size_t)n, word), scratch = seam_attention_bytes(&l->attention, n, train, kept);
    size_t keys = (size_t)n * (l->local_keys + 2 * (size_t)chosen_of(l, n));
    size_t own = tokens + seam_arena_bytes((size_t)n * l->attention.heads, word) + seam_arena_bytes((size_t)n + 1, word) + seam_arena_bytes(keys, word);
    *kept = train ? *kept + own : 0;
    return MAX(scratch + tokens, 2 * tokens) + (train ? 0 : own);
}
