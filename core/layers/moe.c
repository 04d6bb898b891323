// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The mixture of experts with a low-rank router.
//
//   logits = (x A^T) B^T                                    x [n, dim], A [rank, dim], B [experts,
//   rank] probs = softmax(logits); (index, gate) [n, top_k] = the kernel's route: groups first,
//   then experts (DeepSeek-V3, sec. 2.1.2) e_j(x) = gelu(x U_j^T + u_j) D_j^T + d_j U [experts,
//   width, dim], D [experts, dim, width] y += sum over the chosen j of gate_j e_j(x)
//
// The loop over experts is one grouped product over rows sorted by expert. A and B start small and
// random: with zeros all experts tie. Balance: L = experts * sum_e f_e P_e, f_e the share of all
// choices that fell on e, P_e the mean of probs[:, e] (Fedus 2021, "Switch transformers", eq. 4 to
// 6, with top_k choices for one); f is a count, so its gradient goes through P only: dL/dprobs[i,
// e] = experts f_e / n. Beside it a bias on the choice alone, moved outside the gradient (Wang
// 2024, "Auxiliary-loss-free load balancing", algorithm 1).
//
// Router z-loss: Lz = 1/n sum_i (log sum_e exp logit_ie)^2 keeps logits small, where rounding of the exponential is fine (Zoph 2022, "ST-MoE", eq. 5);
// dLz/dlogit_ie = 2/n lse_i p_ie.
//
// Backward: what is cheap to make again (the gathered rows, gelu, the logits) is not kept.
#include "core/layers/moe.h"

#include <math.h>

static SeamTensor *declare(SeamParams *params, int32_t layer, const char *what, SeamInit init,
                           bool decay, int32_t d0, int32_t d1, int32_t d2) {
    g_autofree char *name = g_strdup_printf("encoder.%d.%s", layer, what);
    return seam_params_declare(params, name, init, decay, d0, d1, d2, 0);
}

static SeamTensor *declare_a(SeamParams *params, const SeamConfig *c, int32_t layer) {
    if (c->router_shared_a)
        return seam_params_declare(params, "encoder.router.a", SEAM_INIT_LINEAR, true,
                                   c->router_rank, c->dim, 0, 0);
    return declare(params, layer, "router.a", SEAM_INIT_LINEAR, true, c->router_rank, c->dim, 0);
}

void seam_moe_declare(SeamMoe *moe, SeamParams *params, const SeamConfig *c, int32_t layer,
                      SeamTensor *shared_a) {
    *moe = (SeamMoe){.dim = c->dim,
                     .experts = c->experts,
                     .groups = c->groups,
                     .groups_kept = c->groups_kept,
                     .top_k = c->top_k,
                     .width = c->expert_width,
                     .rank = c->router_rank};
    moe->a = shared_a ? shared_a : declare_a(params, c, layer);
    moe->b =
        declare(params, layer, "router.b", SEAM_INIT_SMALL, true, c->experts, c->router_rank, 0);
    moe->balance = declare(params, layer, "router.bias", SEAM_INIT_ZERO, false, c->experts, 0, 0);
    moe->up = declare(params, layer, "experts.up.weight", SEAM_INIT_LINEAR, true, c->experts,
                      c->expert_width, c->dim);
    moe->up_bias = declare(params, layer, "experts.up.bias", SEAM_INIT_ZERO, false, c->experts,
                           c->expert_width, 0);
    moe->down = declare(params, layer, "experts.down.weight", SEAM_INIT_LINEAR, true, c->experts,
                        c->dim, c->expert_width);
    moe->down_bias =
        declare(params, layer, "experts.down.bias", SEAM_INIT_ZERO, false, c->experts, c->dim, 0);
    moe->up->groups = moe->down->groups = c->experts;
    moe->up->fan_in = c->dim;
    moe->down->fan_in = c->expert_width;
}

// mass: SeamEffort.expert_mass.
static SeamRoute route_of(const SeamMoe *moe, int32_t n, float mass) {
    return (SeamRoute){.n = n,
                       .experts = moe->experts,
                       .groups = moe->groups,
                       .groups_kept = moe->groups_kept,
                       .top_k = moe->top_k,
                       .mass = mass};
}

static SeamStatus alloc_saved(const SeamMoe *moe, SeamRun *run, SeamMoeSaved *s) {
    size_t n = (size_t)s->n, rows = n * (size_t)moe->top_k;
    s->low = SEAM_NEW(run->arena, float, n * moe->rank);
    s->probs = SEAM_NEW(run->arena, float, n * moe->experts);
    s->index = SEAM_NEW(run->arena, int32_t, rows);
    s->gate = SEAM_NEW(run->arena, float, rows);
    s->start = SEAM_NEW(run->arena, int32_t, moe->experts + 1);
    s->position = SEAM_NEW(run->arena, int32_t, rows);
    s->source = SEAM_NEW(run->arena, int32_t, rows);
    s->hidden = SEAM_NEW(run->arena, float, rows * moe->width);
    s->y = SEAM_NEW(run->arena, float, rows * moe->dim);
    bool all = s->low && s->probs && s->index && s->gate && s->start && s->position && s->source &&
               s->hidden && s->y;
    return all ? SEAM_OK : SEAM_NO_MEMORY;
}

static SeamStatus route(const SeamMoe *moe, SeamRun *run, float mass, SeamMoeSaved *s) {
    const SeamKernels *k = run->kernels;
    size_t mark = seam_arena_mark(run->arena);
    int32_t n = s->n, dim = moe->dim, rank = moe->rank, experts = moe->experts;
    SeamRoute r = route_of(moe, n, mass);
    float *logits = SEAM_NEW(run->arena, float, (size_t)n * experts);
    if (!logits)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->gemm(false, true, n, rank, dim, s->x, dim, moe->a->data, dim, 0, s->low, rank));
    SEAM_TRY(k->gemm(false, true, n, experts, rank, s->low, rank, moe->b->data, rank, 0, logits,
                     experts));
    SEAM_TRY(k->route(&r, logits, moe->balance->data, s->probs, s->index, s->gate));
    seam_arena_release(run->arena, mark);
    return k->route_sort(&r, s->index, s->start, s->position, s->source);
}

// s->hidden and s->y from s->x with packed weights: rows are gathered and bias and gelu applied by the products themselves.
static SeamStatus run_packed(const SeamMoe *moe, SeamRun *run, const SeamMoeSaved *s, float *act) {
    SeamLinearCall call = {.w = &moe->up->packed, .rows = s->start[moe->experts], .x_rows = s->n, .start = s->start, .source = s->source, .x = s->x,
                           .bias = moe->up_bias->data, .y = s->hidden, .ldx = moe->dim, .ldy = moe->width,
                           .act = act == s->hidden ? SEAM_ACT_GELU : SEAM_ACT_NONE};
    SEAM_TRY(run->kernels->linear(&call));
    if (act != s->hidden)
        SEAM_TRY(run->kernels->gelu((size_t)call.rows * moe->width, s->hidden, act));
    call = (SeamLinearCall){.w = &moe->down->packed, .rows = call.rows, .x_rows = call.rows, .start = s->start, .x = act,
                            .bias = moe->down_bias->data, .y = s->y, .ldx = moe->width, .ldy = moe->dim};
    return run->kernels->linear(&call);
}

// s->hidden and s->y from s->x. `act` [rows, width] is hidden itself where nobody needs it later.
static SeamStatus run_experts(const SeamMoe *moe, SeamRun *run, const SeamMoeSaved *s, float *act) {
    const SeamKernels *k = run->kernels;
    int32_t dim = moe->dim, width = moe->width, experts = moe->experts, rows = s->start[experts];
    if (moe->up->packed.data)
        return run_packed(moe, run, s, act);
    float *gathered = s->y; // its memory is free until the experts have read their rows
    SEAM_TRY(k->gather(rows, dim, s->source, s->x, gathered));
    SEAM_TRY(
        k->grouped_gemm(true, experts, s->start, width, dim, gathered, moe->up->data, s->hidden));
    SEAM_TRY(k->grouped_add_bias(experts, s->start, width, moe->up_bias->data, s->hidden));
    SEAM_TRY(k->gelu((size_t)rows * width, s->hidden, act));
    SEAM_TRY(k->grouped_gemm(true, experts, s->start, dim, width, act, moe->down->data, s->y));
    return k->grouped_add_bias(experts, s->start, dim, moe->down_bias->data, s->y);
}

SeamStatus seam_moe_forward(const SeamMoe *moe, SeamRun *run, int32_t n, const float *x, float *y,
                            float *use, SeamMoeSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t rows;
    if (__builtin_mul_overflow(n, moe->top_k, &rows))
        return SEAM_BAD_SHAPE;
    SeamMoeSaved scratch, *s = saved ? saved : &scratch;
    *s = (SeamMoeSaved){.n = n, .x = x};
    SEAM_TRY(alloc_saved(moe, run, s));
    SEAM_TRY(route(moe, run, saved ? 0 : run->effort.expert_mass, s));
    size_t kept = seam_arena_mark(run->arena);
    float *act = saved ? SEAM_NEW(run->arena, float, (size_t)rows * moe->width) : s->hidden;
    if (!act)
        return SEAM_NO_MEMORY;
    SEAM_TRY(run_experts(moe, run, s, act));
    SEAM_TRY(run->kernels->combine(n, moe->top_k, moe->dim, s->position, s->gate, s->y, y));
    for (int32_t e = 0; use && e < moe->experts; e++)
        use[e] += (float)(s->start[e + 1] - s->start[e]) / (float)moe->top_k;
    seam_arena_release(run->arena, saved ? kept : mark);
    return SEAM_OK;
}

// dx [n, dim] = the part through the experts, and their gradients; dgate [n, top_k].
static SeamStatus experts_backward(const SeamMoe *moe, SeamRun *run, const SeamMoeSaved *s,
                                   const float *dy, float *dgate, float *dx) {
    const SeamKernels *k = run->kernels;
    size_t mark = seam_arena_mark(run->arena);
    int32_t dim = moe->dim, width = moe->width, experts = moe->experts, rows = s->n * moe->top_k;
    float *by_dim = SEAM_NEW(run->arena, float, (size_t)rows * dim);
    float *by_width = SEAM_NEW(run->arena, float, (size_t)rows * width);
    if (!by_dim || !by_width)
        return SEAM_NO_MEMORY;

    // e = gelu(hidden) D^T + d
    float *de = by_dim, *act = by_width;
    SEAM_TRY(k->combine_backward(s->n, moe->top_k, dim, s->position, s->gate, s->y, dy, de, dgate));
    SEAM_TRY(k->gelu((size_t)rows * width, s->hidden, act));
    SEAM_TRY(k->grouped_gemm_dw(experts, s->start, dim, width, de, act, moe->down->grad));
    SEAM_TRY(k->grouped_bias_grad(experts, s->start, dim, de, moe->down_bias->grad));
    float *dhidden = by_width;
    SEAM_TRY(k->grouped_gemm(false, experts, s->start, width, dim, de, moe->down->data, dhidden));
    SEAM_TRY(k->gelu_backward((size_t)rows * width, s->hidden, dhidden, dhidden));

    // hidden = gathered U^T + u
    float *gathered = by_dim;
    SEAM_TRY(k->gather(rows, dim, s->source, s->x, gathered));
    SEAM_TRY(k->grouped_gemm_dw(experts, s->start, width, dim, dhidden, gathered, moe->up->grad));
    SEAM_TRY(k->grouped_bias_grad(experts, s->start, width, dhidden, moe->up_bias->grad));
    float *dgathered = by_dim;
    SEAM_TRY(
        k->grouped_gemm(false, experts, s->start, dim, width, dhidden, moe->up->data, dgathered));
    SEAM_TRY(k->gather_backward(s->n, moe->top_k, dim, s->position, dgathered, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// Fills dprobs [n, experts] with the weighted gradient of the balance loss and returns the loss.
static double balance_gradient(const SeamMoe *moe, const SeamMoeSaved *s, float balance,
                               float *dprobs) {
    int32_t n = s->n, experts = moe->experts;
    double loss = 0;
    for (int32_t e = 0; e < experts; e++) {
        double share = (double)(s->start[e + 1] - s->start[e]) / ((double)n * moe->top_k), sum = 0;
        float d = (float)(balance * experts * share / n);
        for (int32_t i = 0; i < n; i++) {
            sum += s->probs[(size_t)i * experts + e];
            dprobs[(size_t)i * experts + e] = d;
        }
        loss += experts * share * sum / n;
    }
    return loss;
}

// dlogits [n, experts] += the gradient of the z-loss.
static SeamStatus z_gradient(const SeamMoe *moe, SeamRun *run, const SeamMoeSaved *s, float *dlogits) {
    size_t mark = seam_arena_mark(run->arena), experts = (size_t)moe->experts;
    float *logits = SEAM_NEW(run->arena, float, (size_t)s->n * experts);
    double loss = 0;
    if (!logits)
        return SEAM_NO_MEMORY;
    SEAM_TRY(run->kernels->gemm(false, true, s->n, moe->experts, moe->rank, s->low, moe->rank, moe->b->data, moe->rank, 0, logits, moe->experts));
    for (size_t i = 0; i < (size_t)s->n; i++) {
        const float *z = logits + i * experts, *p = s->probs + i * experts;
        size_t top = 0;
        for (size_t e = 1; e < experts; e++)
            top = z[e] > z[top] ? e : top;
        double lse = z[top] - log(p[top]); // the most probable one's: p = exp(z - lse), far from 0
        for (size_t e = 0; e < experts; e++)
            dlogits[i * experts + e] += (float)(2 * run->penalty.router_z * lse / s->n * p[e]);
        loss += lse * lse / s->n;
    }
    run->penalty.router_z_loss += loss;
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// dx [n, dim] += the part through the router, and the gradients of A and B.
static SeamStatus router_backward(const SeamMoe *moe, SeamRun *run, const SeamMoeSaved *s,
                                  const float *dgate, const float *dprobs, float *dx) {
    const SeamKernels *k = run->kernels;
    int32_t n = s->n, dim = moe->dim, rank = moe->rank, experts = moe->experts;
    SeamRoute r = route_of(moe, n, 0);
    float *dlogits = SEAM_NEW(run->arena, float, (size_t)n * experts);
    float *dlow = SEAM_NEW(run->arena, float, (size_t)n * rank);
    if (!dlogits || !dlow)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->route_backward(&r, s->probs, s->index, s->gate, dgate, dprobs, dlogits));
    if (run->penalty.router_z > 0)
        SEAM_TRY(z_gradient(moe, run, s, dlogits));
    SEAM_TRY(k->gemm(true, false, experts, rank, n, dlogits, experts, s->low, rank, 1, moe->b->grad,
                     rank));
    SEAM_TRY(k->gemm(false, false, n, rank, experts, dlogits, experts, moe->b->data, rank, 0, dlow,
                     rank));
    SEAM_TRY(k->gemm(true, false, rank, dim, n, dlow, rank, s->x, dim, 1, moe->a->grad, dim));
    return k->gemm(false, false, n, dim, rank, dlow, rank, moe->a->data, dim, 1, dx, dim);
}

SeamStatus seam_moe_backward(const SeamMoe *moe, SeamRun *run, const SeamMoeSaved *s, float balance,
                             double *balance_loss, const float *dy, float *dx) {
    if (s->n == 0)
        return SEAM_OK;
    size_t mark = seam_arena_mark(run->arena);
    float *dgate = SEAM_NEW(run->arena, float, (size_t)s->n * moe->top_k);
    float *dprobs = SEAM_NEW(run->arena, float, (size_t)s->n * moe->experts);
    if (!dgate || !dprobs)
        return SEAM_NO_MEMORY;
    SEAM_TRY(experts_backward(moe, run, s, dy, dgate, dx));
    *balance_loss += balance_gradient(moe, s, balance, dprobs);
    SEAM_TRY(router_backward(moe, run, s, dgate, dprobs, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_moe_bytes(const SeamMoe *moe, int32_t n, bool train, size_t *kept) {
    size_t rows = (size_t)n * (size_t)moe->top_k, word = sizeof(float);
    size_t by_expert = seam_arena_bytes((size_t)n * moe->experts, word);
    size_t by_rank = seam_arena_bytes((size_t)n * moe->rank, word);
    size_t by_width = seam_arena_bytes(rows * moe->width, word),
           by_dim = seam_arena_bytes(rows * moe->dim, word);
    size_t saved = by_rank + by_expert + 4 * seam_arena_bytes(rows, word) +
                   seam_arena_bytes((size_t)moe->experts + 1, word) + by_width + by_dim;
    *kept = train ? saved : 0;
    size_t backward =
        seam_arena_bytes(rows, word) + by_expert + MAX(by_dim + by_width, 2 * by_expert + by_rank);
    return train ? backward + by_expert + by_width : saved + by_expert;
}

void seam_moe_add_load(const SeamMoe *moe, const SeamMoeSaved *saved, float *load) {
    for (int32_t e = 0; e < moe->experts; e++)
        load[e] += (float)(saved->start[e + 1] - saved->start[e]);
}

void seam_moe_update_bias(const SeamMoe *moe, const float *load, float rate) {
    double mean = 0;
    for (int32_t e = 0; e < moe->experts; e++)
        mean += (double)load[e] / moe->experts;
    for (int32_t e = 0; e < moe->experts; e++)
        moe->balance->data[e] += rate * (float)((load[e] < mean) - (load[e] > mean));
}
