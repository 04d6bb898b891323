// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   probs = softmax(logits);  index: the best groups, then their best experts, by probs + bias;  gate: probs of the chosen, sum 1
//   dlogit_e = [e chosen] gate_e (dgate_e - sum gate dgate) + probs_e (dprobs_e - sum probs dprobs)
//
// Shapes, group scores, ties: SeamRoute in kernels.h. n may be 0. f32; selection scores in double, so that equal probs tie as in ref. NaN
// in a logit makes the token's probs and gates NaN, its indices stay valid. The gate is taken from the logits: it sums to 1 even
// where all chosen probs round to 0. Against ref: some ulp; near a tie the choice may differ. Some 100 ns a token of 16 experts,
// bound by the selection. route_sort stays ref's: one pass in order.
#include <math.h>
#include <string.h>

#include "kernels/cpu/rows.h"

enum { MOST_EXPERTS = 256, TOKENS = 64 }; // tokens of a task

typedef struct {
    const SeamRoute *r;
    const float *logits, *bias, *dgate, *dprobs;
    float *probs, *gate, *dlogits;
    int32_t *index;
} Job;

// The highest score that is not taken, the first among equals.
static int32_t highest(int32_t count, const double *score, const bool *taken) {
    int32_t at = 0;
    while (taken[at])
        at++;
    for (int32_t i = at + 1; i < count; i++)
        if (!taken[i] && score[i] > score[at])
            at = i;
    return at;
}

static double group_score(int32_t size, const double *score) {
    double best = -INFINITY, next = -INFINITY;
    for (int32_t i = 0; i < size; i++)
        if (score[i] > best) {
            next = best;
            best = score[i];
        } else if (score[i] > next) {
            next = score[i];
        }
    double sum = size > 1 ? best + next : best;
    return isnan(sum) ? -INFINITY : sum;
}

static void choose(const SeamRoute *r, const double *score, int32_t *index) {
    int32_t size = r->experts / r->groups;
    double group[MOST_EXPERTS];
    bool kept[MOST_EXPERTS], taken[MOST_EXPERTS];
    for (int32_t g = 0; g < r->groups; g++) {
        group[g] = group_score(size, score + g * size);
        kept[g] = false;
    }
    for (int32_t j = 0; j < r->groups_kept; j++)
        kept[highest(r->groups, group, kept)] = true;
    for (int32_t g = 0; g < r->groups; g++)
        memset(taken + g * size, !kept[g], (size_t)size * sizeof *taken);
    for (int32_t j = 0; j < r->top_k; j++) {
        index[j] = highest(r->experts, score, taken);
        taken[index[j]] = true;
    }
}

// The fewest choices whose gates sum to mass, the largest first; all of them where a gate is NaN (SeamRoute).
static void keep_mass(const SeamRoute *r, int32_t *index, float *gate) {
    float sum = 0;
    int32_t kept = 0;
    for (int32_t j = 0; j < r->top_k; j++) { // by falling gate; stable
        float g = gate[j];
        int32_t e = index[j], at = j;
        if (isnan(g))
            return;
        for (; at > 0 && g > gate[at - 1]; at--)
            gate[at] = gate[at - 1], index[at] = index[at - 1];
        gate[at] = g, index[at] = e;
    }
    while (kept < r->top_k && (kept == 0 || sum < r->mass))
        sum += gate[kept++];
    for (int32_t j = 0; j < r->top_k; j++) {
        gate[j] = j < kept ? gate[j] / sum : 0;
        index[j] = j < kept ? index[j] : -1;
    }
}

static void route_tokens(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    const SeamRoute *r = j->r;
    double score[MOST_EXPERTS];
    float chosen[MOST_EXPERTS];
    for (int64_t i = from; i < to; i++) {
        const float *logits = j->logits + i * r->experts;
        float *probs = j->probs + i * r->experts, *gate = j->gate + i * r->top_k;
        int32_t *index = j->index + i * r->top_k;
        row_softmax(r->experts, logits, probs);
        for (int32_t e = 0; e < r->experts; e++) {
            double s = (double)probs[e] + j->bias[e];
            score[e] = isnan(s) ? -INFINITY : s;
        }
        if (r->top_k > 0)
            choose(r, score, index);
        for (int32_t t = 0; t < r->top_k; t++)
            chosen[t] = isnan(probs[index[t]]) ? NAN : logits[index[t]];
        row_softmax(r->top_k, chosen, gate);
        if (r->mass > 0)
            keep_mass(r, index, gate);
    }
}

static SeamStatus route(const SeamRoute *r, const float *logits, const float *balance_bias, float *probs, int32_t *index, float *gate) {
    assert(r->experts >= 0 && r->experts <= MOST_EXPERTS && r->groups_kept <= r->groups);
    assert(r->groups == 0 ? r->top_k == 0 : r->experts % r->groups == 0 && r->top_k <= r->groups_kept * (r->experts / r->groups));
    Job j = {.r = r, .logits = logits, .bias = balance_bias, .probs = probs, .index = index, .gate = gate};
    seam_run_ranges(r->n, TOKENS, route_tokens, &j);
    return SEAM_OK;
}

static void route_backward_tokens(const void *job, int64_t from, int64_t to) {
    const Job *j = job;
    const SeamRoute *r = j->r;
    for (int64_t i = from; i < to; i++) {
        const float *probs = j->probs + i * r->experts, *gate = j->gate + i * r->top_k, *dgate = j->dgate + i * r->top_k;
        const float *dprobs = j->dprobs ? j->dprobs + i * r->experts : NULL;
        float *dlogits = j->dlogits + i * r->experts;
        float through_gate = row_dot(r->top_k, gate, dgate), through_probs = dprobs ? row_dot(r->experts, probs, dprobs) : 0;
        for (int32_t e = 0; e < r->experts; e++)
            dlogits[e] = dprobs ? probs[e] * (dprobs[e] - through_probs) : 0;
        for (int32_t t = 0; t < r->top_k; t++)
            dlogits[j->index[i * r->top_k + t]] += gate[t] * (dgate[t] - through_gate);
    }
}

static SeamStatus route_backward(const SeamRoute *r, const float *probs, const int32_t *index, const float *gate, const float *dgate,
                                 const float *dprobs, float *dlogits) {
    Job j = {.r = r, .probs = (float *)probs, .index = (int32_t *)index, .gate = (float *)gate, .dgate = dgate, .dprobs = dprobs,
             .dlogits = dlogits};
    seam_run_ranges(r->n, TOKENS, route_backward_tokens, &j);
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_route)(SeamKernels *k) {
    k->route = route;
    k->route_backward = route_backward;
}
