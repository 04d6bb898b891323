// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Expert selection: softmax, the best groups, their best experts, and the stable sort of the choices by expert. Among the chosen set C
//
//   gate_c = probs_c / sum_C probs = exp(logit_c) / sum_C exp(logit),
//   dlogit_e = [e in C] gate_e (dgate_e - sum_C gate dgate) + probs_e (dprobs_e - sum probs dprobs)
//
// The gate is taken from the logits: where the bias steers to experts whose probs round to 0, it still sums to 1. The choice itself has no
// gradient. Groups and experts are chosen with NaN as -infinity and ties to the lower index.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

enum { most_experts = 256 };

static double selectable(double score) {
    return isnan(score) ? -INFINITY : score;
}

// The best of `count` scores that is not taken; the first one among equals. There must be one.
static int32_t best(int32_t count, const double *score, const bool *taken) {
    int32_t found = -1;
    for (int32_t i = 0; i < count; i++)
        if (!taken[i] && (found < 0 || score[i] > score[found]))
            found = i;
    return found;
}

// The sum of the two highest scores, or the one.
static double group_score(int32_t size, const double *score) {
    double first = -INFINITY, second = -INFINITY;
    for (int32_t i = 0; i < size; i++) {
        double low = fmin(first, score[i]);
        first = fmax(first, score[i]);
        second = fmax(second, low);
    }
    return selectable(size > 1 ? first + second : first);
}

static void softmax(int32_t n, const float *logits, float *probs) {
    double most = -INFINITY, sum = 0;
    for (int32_t e = 0; e < n; e++)
        most = fmax(most, logits[e]);
    for (int32_t e = 0; e < n; e++)
        sum += exp(logits[e] - most);
    for (int32_t e = 0; e < n; e++)
        probs[e] = (float)(exp(logits[e] - most) / sum);
}

// index [top_k] from the selection scores of one token.
static void choose(const SeamRoute *r, const double *score, int32_t *index) {
    int32_t size = r->groups > 0 ? r->experts / r->groups : 0;
    double group[most_experts];
    bool dropped[most_experts], kept[most_experts] = {false};
    for (int32_t g = 0; g < r->groups; g++)
        group[g] = group_score(size, score + g * size);
    for (int32_t j = 0; j < r->groups_kept; j++)
        kept[best(r->groups, group, kept)] = true;
    for (int32_t e = 0; e < r->experts; e++)
        dropped[e] = !kept[e / size];
    for (int32_t j = 0; j < r->top_k; j++) {
        index[j] = best(r->experts, score, dropped);
        dropped[index[j]] = true;
    }
}

// A NaN logit anywhere makes every prob NaN, and so the gate.
static void renormalise(int32_t top_k, const float *logits, const float *probs, const int32_t *index, float *gate) {
    double most = -INFINITY, sum = 0;
    for (int32_t j = 0; j < top_k; j++)
        most = fmax(most, logits[index[j]]);
    for (int32_t j = 0; j < top_k; j++)
        sum += exp(logits[index[j]] - most);
    for (int32_t j = 0; j < top_k; j++)
        gate[j] = isnan(probs[index[j]]) ? NAN : (float)(exp(logits[index[j]] - most) / sum);
}

// The fewest choices whose gates sum to mass, the largest first; all of them where a gate is NaN.
static void keep_mass(const SeamRoute *r, int32_t *index, float *gate) {
    double sum = 0;
    int32_t kept = 0;
    for (int32_t j = 0; j < r->top_k; j++)
        if (isnan(gate[j]))
            return;
    for (int32_t j = 1; j < r->top_k; j++) // by falling gate; stable
        for (int32_t t = j; t > 0 && gate[t] > gate[t - 1]; t--) {
            float g = gate[t];
            int32_t e = index[t];
            gate[t] = gate[t - 1], index[t] = index[t - 1];
            gate[t - 1] = g, index[t - 1] = e;
        }
    while (kept < r->top_k && (kept == 0 || sum < r->mass))
        sum += gate[kept++];
    for (int32_t j = 0; j < r->top_k; j++) {
        gate[j] = j < kept ? (float)(gate[j] / sum) : 0;
        index[j] = j < kept ? index[j] : -1;
    }
}

SeamStatus seam_ref_route(const SeamRoute *r, const float *logits, const float *balance_bias, float *probs,
                          int32_t *index, float *gate) {
    assert(r->experts >= 0 && r->experts <= most_experts);
    assert(r->groups_kept <= r->groups && (r->groups == 0 || r->experts % r->groups == 0));
    assert(r->top_k <= (r->groups > 0 ? r->groups_kept * (r->experts / r->groups) : 0));
    for (int32_t i = 0; i < r->n; i++) {
        const float *l = logits + (size_t)i * r->experts;
        float *p = probs + (size_t)i * r->experts;
        size_t choice = (size_t)i * r->top_k;
        double score[most_experts];
        softmax(r->experts, l, p);
        for (int32_t e = 0; e < r->experts; e++)
            score[e] = selectable((double)p[e] + balance_bias[e]);
        choose(r, score, index + choice);
        renormalise(r->top_k, l, p, index + choice, gate + choice);
        if (r->mass > 0)
            keep_mass(r, index + choice, gate + choice);
    }
    return SEAM_OK;
}

SeamStatus seam_ref_route_backward(const SeamRoute *r, const float *probs, const int32_t *index, const float *gate,
                                   const float *dgate, const float *dprobs, float *dlogits) {
    for (int32_t i = 0; i < r->n; i++) {
        size_t row = (size_t)i * r->experts, choice = (size_t)i * r->top_k;
        double through_gate = seam_ref_dot(r->top_k, gate + choice, dgate + choice);
        double through_probs = dprobs ? seam_ref_dot(r->experts, probs + row, dprobs + row) : 0;
        for (int32_t e = 0; e < r->experts; e++)
            dlogits[row + e] = dprobs ? (float)(probs[row + e] * (dprobs[row + e] - through_probs)) : 0;
        for (int32_t j = 0; j < r->top_k; j++)
            dlogits[row + index[choice + j]] += (float)(gate[choice + j] * (dgate[choice + j] - through_gate));
    }
    return SEAM_OK;
}

SeamStatus seam_ref_route_sort(const SeamRoute *r, const int32_t *index, int32_t *start, int32_t *position,
                               int32_t *source) {
    size_t choices = (size_t)r->n * r->top_k;
    int32_t next[most_experts];
    memset(start, 0, ((size_t)r->experts + 1) * sizeof *start);
    for (size_t c = 0; c < choices; c++)
        if (index[c] >= 0)
            start[index[c] + 1]++;
    for (int32_t e = 0; e < r->experts; e++) {
        next[e] = start[e];
        start[e + 1] += start[e];
    }
    for (size_t c = 0; c < choices; c++) {
        position[c] = index[c] >= 0 ? next[index[c]]++ : -1;
        if (index[c] >= 0)
            source[position[c]] = (int32_t)(c / (size_t)r->top_k);
    }
    return SEAM_OK;
}
