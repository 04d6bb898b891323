// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gated multi-head attention over a pattern of keys.
//
//   q, k, v = x Wqkv^T + bqkv                      x [n, dim], each [n, heads, dim / heads]
//   g = sigmoid(x Wg^T + bg)                       [n, heads]
//   m[i, h] = g[i, h] * sum_j softmax_j(q[i, h] . k[j, h] / sqrt(dim / heads) + log s_j) v[j, h]
//   y += m Wo^T + bo
//
// s_j: how many tokens j stands for, 1 but for merged ones (Bolya 2023, "Token merging", eq. 1).
// Source: Vaswani 2017, sec. 3.2 (the scale is that of a head's width, not of the model's); the
// gate: Qiu 2025, "Gated attention for large language models", position G1, one number a head. In
// inference g below the threshold is a closed head, whose work the kernel skips.
//
// Backward, with the gradient of sigmoid dg * g * (1 - g): dm = dy Wo, then the kernel gives dq,
// dk, dv, dg; dx = [dq dk dv] Wqkv + (dg g (1 - g)) Wg.
//
// In training a penalty may close gates that do little, so that the threshold finds something to skip: weight * max(0, avg(g) - target), avg over all tokens
// and heads of the layer; dg += weight / (n heads) while it is above. Linear, so that it does not fade before the target; of the gates' mean, so that
// the layer chooses which ones (Louizos 2018, "Learning sparse neural networks through L0 regularization", with the sigmoid itself in place of a noisy one).
#include "core/layers/attention.h"

#include <math.h>

void seam_attention_declare(SeamAttentionLayer *a, SeamParams *params, const char *prefix,
                            int32_t dim, int32_t heads) {
    g_autofree char *qkv = g_strconcat(prefix, ".qkv", NULL);
    g_autofree char *gate = g_strconcat(prefix, ".gate", NULL);
    g_autofree char *out = g_strconcat(prefix, ".out", NULL);
    *a = (SeamAttentionLayer){.dim = dim, .heads = heads};
    seam_linear_declare(&a->qkv, params, qkv, dim, 3 * dim, true);
    seam_linear_declare(&a->gate, params, gate, dim, heads, true);
    seam_linear_declare(&a->out, params, out, dim, dim, true);
    a->gate.bias->init = SEAM_INIT_TWO;
}

static SeamAttention describe(const SeamAttentionLayer *a, const SeamAttentionSaved *s) {
    const SeamPattern *p = &s->pattern;
    return (SeamAttention){
        .q = s->qkv,
        .k = s->qkv + a->dim,
        .v = s->qkv + 2 * a->dim,
        .ld = 3 * a->dim,
        .gate = s->gate,
        .gate_threshold = s->gate_threshold,
        .scale = 1.0f / sqrtf((float)(a->dim / a->heads)),
        .n = p->n,
        .heads = a->heads,
        .head_dim = a->dim / a->heads,
        .seq_start = p->seq_start,
        .seqs = p->seqs,
        .key_start = p->key_start,
        .key_index = p->key_index,
        .key_bias = s->bias,
    };
}

// Only merged tokens need it, which training never sees.
static SeamStatus fill_bias(SeamRun *run, SeamAttentionSaved *s) {
    if (!s->pattern.size)
        return SEAM_OK;
    s->bias = SEAM_NEW(run->arena, float, s->pattern.n);
    for (int32_t i = 0; s->bias && i < s->pattern.n; i++)
        s->bias[i] = logf(s->pattern.size[i]);
    return s->bias ? SEAM_OK : SEAM_NO_MEMORY;
}

static SeamStatus alloc_saved(const SeamAttentionLayer *a, SeamRun *run, bool train,
                              SeamAttentionSaved *s) {
    size_t tokens = (size_t)s->pattern.n * a->dim, heads = (size_t)s->pattern.n * a->heads;
    s->qkv = SEAM_NEW(run->arena, float, 3 * tokens);
    s->gate = SEAM_NEW(run->arena, float, heads);
    s->mixed = SEAM_NEW(run->arena, float, tokens);
    s->lse = train ? SEAM_NEW(run->arena, float, heads) : NULL;
    return s->qkv && s->gate && s->mixed && (s->lse || !train) ? SEAM_OK : SEAM_NO_MEMORY;
}

SeamStatus seam_attention_project(const SeamAttentionLayer *a, SeamRun *run,
                                  const SeamPattern *pattern, float gate_threshold, const float *x,
                                  bool train, SeamAttentionSaved *s) {
    *s = (SeamAttentionSaved){.pattern = *pattern, .gate_threshold = gate_threshold, .x = x};
    SEAM_TRY(alloc_saved(a, run, train, s));
    SEAM_TRY(fill_bias(run, s));
    SEAM_TRY(seam_linear_forward(&a->qkv, run, pattern->n, x, s->qkv));
    SEAM_TRY(seam_linear_forward(&a->gate, run, pattern->n, x, s->gate));
    return run->kernels->sigmoid((size_t)pattern->n * a->heads, s->gate, s->gate);
}

SeamStatus seam_attention_attend(const SeamAttentionLayer *a, SeamRun *run,
                                 const SeamAttentionSaved *s, float *y) {
    SeamAttention attention = describe(a, s);
    SEAM_TRY(run->kernels->attention(&attention, s->mixed, s->lse));
    return seam_linear_forward_add(&a->out, run, s->pattern.n, s->mixed, y);
}

SeamStatus seam_attention_forward(const SeamAttentionLayer *a, SeamRun *run,
                                  const SeamPattern *pattern, float gate_threshold, const float *x,
                                  float *y, SeamAttentionSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    SeamAttentionSaved scratch, *s = saved ? saved : &scratch;
    SEAM_TRY(seam_attention_project(a, run, pattern, gate_threshold, x, saved != NULL, s));
    SEAM_TRY(seam_attention_attend(a, run, s, y));
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// dgate += the gradient of the penalty.
static void penalise(SeamPenalty *penalty, size_t n, const float *gate, float *dgate) {
    double mean = 0;
    for (size_t i = 0; i < n; i++)
        mean += gate[i];
    mean = n > 0 ? mean / (double)n : 0;
    if (!(mean > penalty->gate_target))
        return;
    penalty->gate_loss += mean - penalty->gate_target;
    for (size_t i = 0; i < n; i++)
        dgate[i] += penalty->gate_weight / (float)n;
}

SeamStatus seam_attention_attend_backward(const SeamAttentionLayer *a, SeamRun *run,
                                          const SeamAttentionSaved *s, const float *dy, float *dqkv,
                                          float *dgate) {
    size_t mark = seam_arena_mark(run->arena);
    float *dmixed = SEAM_NEW(run->arena, float, (size_t)s->pattern.n * a->dim);
    if (!dmixed)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_backward(&a->out, run, s->pattern.n, s->mixed, dy, dmixed, false));
    SeamAttention attention = describe(a, s);
    SEAM_TRY(run->kernels->attention_backward(&attention, s->mixed, s->lse, dmixed, dqkv,
                                              dqkv + a->dim, dqkv + 2 * a->dim, dgate));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_attention_project_backward(const SeamAttentionLayer *a, SeamRun *run,
                                           const SeamAttentionSaved *s, const float *gate,
                                           const float *dqkv, float *dgate, float *dx) {
    size_t heads = (size_t)s->pattern.n * a->heads;
    if (run->penalty.gate_weight > 0)
        penalise(&run->penalty, heads, gate, dgate);
    for (size_t i = 0; i < heads; i++)
        dgate[i] *= gate[i] * (1 - gate[i]);
    SEAM_TRY(seam_linear_backward(&a->qkv, run, s->pattern.n, s->x, dqkv, dx, false));
    return seam_linear_backward(&a->gate, run, s->pattern.n, s->x, dgate, dx, true);
}

SeamStatus seam_attention_backward(const SeamAttentionLayer *a, SeamRun *run,
                                   const SeamAttentionSaved *s, const float *dy, float *dx) {
    size_t mark = seam_arena_mark(run->arena);
    float *dqkv = SEAM_NEW(run->arena, float, 3 * (size_t)s->pattern.n * a->dim);
    float *dgate = SEAM_NEW(run->arena, float, (size_t)s->pattern.n * a->heads);
    if (!dqkv || !dgate)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_attention_attend_backward(a, run, s, dy, dqkv, dgate));
    SEAM_TRY(seam_attention_project_backward(a, run, s, s->gate, dqkv, dgate, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_attention_bytes(const SeamAttentionLayer *a, int32_t n, bool train, size_t *kept) {
    size_t tokens = seam_arena_bytes((size_t)n * a->dim, sizeof(float));
    size_t heads = seam_arena_bytes((size_t)n * a->heads, sizeof(float));
    *kept = train ? 4 * tokens + 2 * heads : 0;
    return 4 * tokens + heads + seam_arena_bytes((size_t)n, sizeof(float));
}
