// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A ring of context vectors beside a stream. For one window, with x its tokens and m the vectors in the slots:
//
//   u     = LN(x)                                                   [n, dim]
//   p_ji  = softmax_i(Q_j . u_i / sqrt(dim) + log s_i)              [write, n], Q learnt, s_i: how many token i stands for
//   new_j = W_keep sum_i p_ji u_i + b                               what the window leaves (pooling by learnt queries: Lee 2019, "Set
//                                                                   transformer", sec. 3.2)
//   w_is  = exp(z_is) / (1 + sum_s exp(z_is))                       z_is = q_i . k_s / sqrt(dim / heads), q = W_ask u, [k v] = W_slot m
//   x_i  += W_out (g_i sum_s w_is v_s)                              g = sigmoid(W_g u + b_g), one a head and token
//
// Cross-attention to a fixed number of memories: Rae 2020, "Compressive transformers", sec. 3; the gate lets a model begin as if there were no bank, as
// in Alayrac 2022, "Flamingo", eq. 1 (there tanh of one number a layer). The 1 in w is a slot that holds nothing: a token that finds nothing to
// its question reads nothing, however many slots there are, and spreads no attention that would keep the unwanted alive.
//
// A slot's mass runs: mass = decay mass + (1 - decay) mean over tokens and heads of g w. A new vector takes the slot with the least mass, the
// oldest of equals (heavy hitters stay: Zhang 2023, "H2O", sec. 4.2), and begins with the average of what is there. Choosing a slot has no gradient.
//
// Backward: the gradients of slots come from all later windows that read them, so windows are taken last first:
//   dv_s = sum_i w_is g_i do_i, dw_is = g_i do_i . v_s, dz_is = w_is (dw_is - sum_s w_is dw_is), dm = [dk dv] W_slot;
//   dpicked = dnew W_keep, dp_ji = dpicked_j . u_i, da_ji = p_ji (dp_ji - sum_i p_ji dp_ji), dQ = da u / sqrt(dim), du = ...; dx += LN'(du).
#include "core/layers/bank.h"

#include <math.h>
#include <string.h>

static const float decay = 0.95f; // a window

// ---- the state ----------------------------------------------------------------------------------

bool seam_bank_init(SeamBank *bank, const SeamConfig *config) {
    size_t slots = (size_t)config->bank_slots;
    *bank = (SeamBank){.dim = config->dim, .slots = config->bank_slots};
    bank->x = g_try_new(float, slots * (size_t)config->dim);
    bank->mass = g_try_new(float, slots);
    bank->number = g_try_new(int64_t, slots);
    bool done = slots == 0 || (bank->x && bank->mass && bank->number);
    if (!done)
        seam_bank_clear(bank);
    return done;
}

SeamStatus seam_bank_init_in(SeamBank *bank, const SeamConfig *config, SeamArena *arena) {
    *bank = (SeamBank){.dim = config->dim,
                       .slots = config->bank_slots,
                       .x = SEAM_NEW(arena, float, (size_t)config->bank_slots * config->dim),
                       .mass = SEAM_NEW(arena, float, config->bank_slots),
                       .number = SEAM_NEW(arena, int64_t, config->bank_slots)};
    return bank->x && bank->mass && bank->number ? SEAM_OK : SEAM_NO_MEMORY;
}

void seam_bank_copy(const SeamBank *from, SeamBank *to) {
    size_t filled = (size_t)from->filled;
    memcpy(to->x, from->x, filled * (size_t)from->dim * sizeof *to->x);
    memcpy(to->mass, from->mass, filled * sizeof *to->mass);
    memcpy(to->number, from->number, filled * sizeof *to->number);
    to->filled = from->filled;
    to->written = from->written;
}

void seam_bank_reset(SeamBank *bank) {
    bank->filled = 0;
    bank->written = 0;
}

void seam_bank_clear(SeamBank *bank) {
    g_free(bank->x);
    g_free(bank->mass);
    g_free(bank->number);
    *bank = (SeamBank){0};
}

// The slot that a new vector takes; `mass`: what it begins with.
static int32_t choose_slot(SeamBank *bank, float mass) {
    int32_t slot = bank->filled;
    if (bank->filled < bank->slots) {
        bank->filled++;
    } else {
        slot = 0;
        for (int32_t s = 1; s < bank->slots; s++)
            if (bank->mass[s] < bank->mass[slot] || (bank->mass[s] == bank->mass[slot] && bank->number[s] < bank->number[slot]))
                slot = s;
    }
    bank->mass[slot] = mass;
    bank->number[slot] = bank->written++;
    return slot;
}

static bool is_finite(int32_t n, const float *x) {
    float poison = 0; // becomes NaN when a value is not finite
    for (int32_t i = 0; i < n; i++)
        poison += x[i] * 0;
    return poison == 0;
}

// What is not finite is not kept: it would spoil every window to come.
static void put(SeamBank *bank, int32_t n, const float *vector) {
    float mass = 0;
    for (int32_t s = 0; s < bank->filled; s++)
        mass += bank->mass[s] / (float)bank->filled;
    for (int32_t j = 0; j < n; j++, vector += bank->dim)
        if (is_finite(bank->dim, vector))
            memcpy(bank->x + (size_t)choose_slot(bank, mass) * bank->dim, vector, (size_t)bank->dim * sizeof *vector);
        else
            bank->written++;
}

// ---- the layer ----------------------------------------------------------------------------------

void seam_bank_declare(SeamBankLayer *l, SeamParams *params, const SeamConfig *config) {
    int32_t dim = config->dim;
    *l = (SeamBankLayer){.dim = dim, .heads = config->heads, .slots = config->bank_slots, .write = config->bank_write};
    seam_norm_declare(&l->norm, params, "bank.norm", dim);
    l->query = seam_params_declare(params, "bank.query", SEAM_INIT_LINEAR, true, l->write, dim, 0, 0);
    seam_linear_declare(&l->keep, params, "bank.keep", dim, dim, true);
    seam_linear_declare(&l->ask, params, "bank.ask", dim, dim, true);
    seam_linear_declare(&l->slot, params, "bank.slot", dim, 2 * dim, true);
    seam_linear_declare(&l->gate, params, "bank.gate", dim, config->heads, true);
    seam_linear_declare(&l->out, params, "bank.out", dim, dim, false);
    l->out.weight->init = SEAM_INIT_ZERO;
}

// The softmax of n numbers `step` apart, in place, with `rest` more in the sum: exp(x) / (rest + sum exp(x)), rest 0 or 1.
static void soften(int32_t n, int32_t step, float rest, float *x) {
    float most = rest > 0 ? 0 : -INFINITY, sum = 0;
    for (int32_t i = 0; i < n; i++)
        most = fmaxf(most, x[(size_t)i * step]);
    for (int32_t i = 0; i < n; i++)
        sum += x[(size_t)i * step] = expf(x[(size_t)i * step] - most);
    sum += rest > 0 ? rest * expf(-most) : 0;
    for (int32_t i = 0; i < n; i++)
        x[(size_t)i * step] /= sum;
}

// d becomes the gradient before soften() of n weights p, both `step` apart.
static void soften_backward(int32_t n, int32_t step, const float *p, float *d) {
    float sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += p[(size_t)i * step] * d[(size_t)i * step];
    for (int32_t i = 0; i < n; i++)
        d[(size_t)i * step] = p[(size_t)i * step] * (d[(size_t)i * step] - sum);
}

// ---- writing --------------------------------------------------------------------------------------

static SeamStatus write_forward(const SeamBankLayer *l, SeamRun *run, int32_t n, const float *size, const float *u, SeamBankSaved *s,
                                float *vector) {
    const SeamKernels *k = run->kernels;
    s->pick = SEAM_NEW(run->arena, float, (size_t)n * l->write);
    s->picked = SEAM_NEW(run->arena, float, (size_t)l->write * l->dim);
    if (!s->pick || !s->picked)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->gemm(false, true, n, l->write, l->dim, u, l->dim, l->query->data, l->dim, 0, s->pick, l->write));
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < l->write; j++) {
            float *a = &s->pick[(size_t)i * l->write + j];
            *a = *a / sqrtf((float)l->dim) + (size ? logf(size[i]) : 0);
        }
    for (int32_t j = 0; j < l->write; j++)
        soften(n, l->write, 0, s->pick + j);
    SEAM_TRY(k->gemm(true, false, l->write, l->dim, n, s->pick, l->write, u, l->dim, 0, s->picked, l->dim));
    return seam_linear_forward(&l->keep, run, l->write, s->picked, vector);
}

// dvector [write, dim] -> du [n, dim] +=.
static SeamStatus write_backward(const SeamBankLayer *l, SeamRun *run, const SeamBankSaved *s, const float *dvector, float *du) {
    const SeamKernels *k = run->kernels;
    int32_t n = s->n, dim = l->dim, write = l->write;
    const float *u = s->norm.h;
    float *dpicked = SEAM_NEW(run->arena, float, (size_t)write * dim), *da = SEAM_NEW(run->arena, float, (size_t)n * write);
    if (!dpicked || !da)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_backward(&l->keep, run, write, s->picked, dvector, dpicked, false));
    SEAM_TRY(k->gemm(false, true, n, write, dim, u, dim, dpicked, dim, 0, da, write));
    SEAM_TRY(k->gemm(false, false, n, dim, write, s->pick, write, dpicked, dim, 1, du, dim));
    for (int32_t j = 0; j < write; j++)
        soften_backward(n, write, s->pick + j, da + j);
    for (int32_t i = 0; i < n * write; i++)
        da[i] /= sqrtf((float)dim);
    SEAM_TRY(k->gemm(true, false, write, dim, n, da, write, u, dim, 1, l->query->grad, dim));
    return k->gemm(false, false, n, dim, write, da, write, l->query->data, dim, 1, du, dim);
}

// ---- reading --------------------------------------------------------------------------------------

static SeamStatus alloc_read(const SeamBankLayer *l, SeamArena *arena, SeamBankSaved *s) {
    size_t tokens = (size_t)s->n * l->dim, filled = (size_t)s->filled;
    s->slots = SEAM_NEW(arena, float, filled * l->dim);
    s->number = SEAM_NEW(arena, int64_t, filled);
    s->q = SEAM_NEW(arena, float, tokens);
    s->kv = SEAM_NEW(arena, float, 2 * filled * l->dim);
    s->weight = SEAM_NEW(arena, float, (size_t)l->heads * s->n * filled);
    s->gate = SEAM_NEW(arena, float, (size_t)s->n * l->heads);
    s->mixed = SEAM_NEW(arena, float, tokens);
    s->gated = SEAM_NEW(arena, float, tokens);
    return s->slots && s->number && s->q && s->kv && s->weight && s->gate && s->mixed && s->gated ? SEAM_OK : SEAM_NO_MEMORY;
}

// to = from, each head's part times the token's gate for it.
static void apply_gate(const SeamBankLayer *l, int32_t n, const float *gate, const float *from, float *to) {
    int32_t width = l->dim / l->heads;
    for (int32_t i = 0; i < n; i++)
        for (int32_t d = 0; d < l->dim; d++)
            to[(size_t)i * l->dim + d] = gate[(size_t)i * l->heads + d / width] * from[(size_t)i * l->dim + d];
}

static SeamStatus attend(const SeamBankLayer *l, const SeamKernels *k, const SeamBankSaved *s, int32_t head) {
    int32_t width = l->dim / l->heads, dim = l->dim, n = s->n, filled = s->filled;
    float *weight = s->weight + (size_t)head * n * filled, scale = 1 / sqrtf((float)width);
    const float *key = s->kv + (size_t)head * width, *value = key + dim;
    SEAM_TRY(k->gemm(false, true, n, filled, width, s->q + (size_t)head * width, dim, key, 2 * dim, 0, weight, filled));
    for (int32_t i = 0; i < n * filled; i++)
        weight[i] *= scale;
    for (int32_t i = 0; i < n; i++)
        soften(filled, 1, 1, weight + (size_t)i * filled);
    return k->gemm(false, false, n, width, filled, weight, filled, value, 2 * dim, 0, s->mixed + (size_t)head * width, dim);
}

static void count_mass(const SeamBankLayer *l, const SeamBankSaved *s, SeamBank *bank) {
    for (int32_t slot = 0; slot < s->filled; slot++) {
        double sum = 0;
        for (int32_t h = 0; h < l->heads; h++)
            for (int32_t i = 0; i < s->n; i++)
                sum += (double)s->gate[(size_t)i * l->heads + h] * s->weight[((size_t)h * s->n + i) * s->filled + slot];
        bank->mass[slot] = decay * bank->mass[slot] + (1 - decay) * (float)(sum / ((double)s->n * l->heads));
    }
}

static SeamStatus read_forward(const SeamBankLayer *l, SeamRun *run, SeamBank *bank, const float *u, float *x, SeamBankSaved *s) {
    const SeamKernels *k = run->kernels;
    SEAM_TRY(alloc_read(l, run->arena, s));
    memcpy(s->slots, bank->x, (size_t)s->filled * l->dim * sizeof *s->slots);
    memcpy(s->number, bank->number, (size_t)s->filled * sizeof *s->number);
    SEAM_TRY(seam_linear_forward(&l->ask, run, s->n, u, s->q));
    SEAM_TRY(seam_linear_forward(&l->gate, run, s->n, u, s->gate));
    SEAM_TRY(k->sigmoid((size_t)s->n * l->heads, s->gate, s->gate));
    SEAM_TRY(seam_linear_forward(&l->slot, run, s->filled, s->slots, s->kv));
    for (int32_t h = 0; h < l->heads; h++)
        SEAM_TRY(attend(l, k, s, h));
    apply_gate(l, s->n, s->gate, s->mixed, s->gated);
    SEAM_TRY(seam_linear_forward_add(&l->out, run, s->n, s->gated, x));
    count_mass(l, s, bank);
    return SEAM_OK;
}

// From the gradient of the gated mixture [n, dim], which is overwritten, to those of q, [k v] and the gates before their sigmoid.
static SeamStatus attend_backward(const SeamBankLayer *l, SeamRun *run, const SeamBankSaved *s, float *dgated, float *dq, float *dkv,
                                  float *dgate) {
    const SeamKernels *k = run->kernels;
    int32_t width = l->dim / l->heads, dim = l->dim, n = s->n, filled = s->filled;
    float *dweight = SEAM_NEW(run->arena, float, (size_t)n * filled), scale = 1 / sqrtf((float)width);
    if (!dweight)
        return SEAM_NO_MEMORY;
    for (int32_t i = 0; i < n * l->heads; i++) {
        const float *dg = dgated + (size_t)i * width, *mixed = s->mixed + (size_t)i * width; // heads lie side by side
        float sum = 0, g = s->gate[i];
        for (int32_t d = 0; d < width; d++)
            sum += dg[d] * mixed[d];
        dgate[i] = sum * g * (1 - g);
    }
    apply_gate(l, n, s->gate, dgated, dgated);
    for (int32_t h = 0; h < l->heads; h++) {
        const float *weight = s->weight + (size_t)h * n * filled, *dmixed = dgated + (size_t)h * width;
        size_t at = (size_t)h * width;
        SEAM_TRY(k->gemm(true, false, filled, width, n, weight, filled, dmixed, dim, 0, dkv + dim + at, 2 * dim));
        SEAM_TRY(k->gemm(false, true, n, filled, width, dmixed, dim, s->kv + dim + at, 2 * dim, 0, dweight, filled));
        for (int32_t i = 0; i < n; i++)
            soften_backward(filled, 1, weight + (size_t)i * filled, dweight + (size_t)i * filled);
        for (int32_t i = 0; i < n * filled; i++)
            dweight[i] *= scale;
        SEAM_TRY(k->gemm(false, false, n, width, filled, dweight, filled, s->kv + at, 2 * dim, 0, dq + at, dim));
        SEAM_TRY(k->gemm(true, false, filled, width, n, dweight, filled, s->q + at, dim, 0, dkv + at, 2 * dim));
    }
    return SEAM_OK;
}

// dx [n, dim] of the output -> du [n, dim] =; adds to dwritten.
static SeamStatus read_backward(const SeamBankLayer *l, SeamRun *run, const SeamBankSaved *s, int64_t base, const float *dx, float *dwritten,
                                float *du) {
    size_t tokens = (size_t)s->n * l->dim, filled = (size_t)s->filled;
    float *dgated = SEAM_NEW(run->arena, float, tokens), *dq = SEAM_NEW(run->arena, float, tokens);
    float *dkv = SEAM_NEW(run->arena, float, 2 * filled * l->dim), *dslots = SEAM_NEW(run->arena, float, filled * l->dim);
    float *dgate = SEAM_NEW(run->arena, float, (size_t)s->n * l->heads);
    if (!dgated || !dq || !dkv || !dslots || !dgate)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_backward(&l->out, run, s->n, s->gated, dx, dgated, false));
    SEAM_TRY(attend_backward(l, run, s, dgated, dq, dkv, dgate));
    SEAM_TRY(seam_linear_backward(&l->ask, run, s->n, s->norm.h, dq, du, false));
    SEAM_TRY(seam_linear_backward(&l->gate, run, s->n, s->norm.h, dgate, du, true));
    SEAM_TRY(seam_linear_backward(&l->slot, run, s->filled, s->slots, dkv, dslots, false));
    for (int32_t slot = 0; slot < s->filled; slot++)
        if (s->number[slot] >= base)
            SEAM_TRY(run->kernels->add((size_t)l->dim, dslots + (size_t)slot * l->dim, dwritten + (size_t)(s->number[slot] - base) * l->dim));
    return SEAM_OK;
}

// ---- both -----------------------------------------------------------------------------------------

SeamStatus seam_bank_forward(const SeamBankLayer *l, SeamRun *run, SeamBank *bank, int32_t n, const float *size, float *x,
                             SeamBankSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    SeamBankSaved scratch, *s = saved ? saved : &scratch;
    *s = (SeamBankSaved){.n = n, .filled = bank->filled, .first = bank->written};
    if (n == 0)
        return SEAM_OK;
    SEAM_TRY(seam_norm_open(&l->norm, run, n, x, saved != NULL, &s->norm));
    float *vector = SEAM_NEW(run->arena, float, (size_t)l->write * l->dim);
    if (!vector)
        return SEAM_NO_MEMORY;
    SEAM_TRY(write_forward(l, run, n, size, s->norm.h, s, vector));
    if (s->filled > 0)
        SEAM_TRY(read_forward(l, run, bank, s->norm.h, x, s));
    put(bank, l->write, vector);
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_bank_backward(const SeamBankLayer *l, SeamRun *run, const SeamBankSaved *s, int64_t base, float *dwritten, float *dx) {
    if (s->n == 0)
        return SEAM_OK;
    size_t mark = seam_arena_mark(run->arena);
    float *du = SEAM_NEW0(run->arena, float, (size_t)s->n * l->dim);
    if (!du)
        return SEAM_NO_MEMORY;
    if (s->filled > 0)
        SEAM_TRY(read_backward(l, run, s, base, dx, dwritten, du));
    SEAM_TRY(write_backward(l, run, s, dwritten + (size_t)(s->first - base) * l->dim, du));
    SEAM_TRY(seam_norm_open_backward(&l->norm, run, s->n, &s->norm, du, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_bank_bytes(const SeamBankLayer *l, int32_t n, bool train, size_t *kept) {
    size_t word = sizeof(float), tokens = seam_arena_bytes((size_t)n * l->dim, word), slots = seam_arena_bytes((size_t)l->slots * l->dim, word);
    size_t write = seam_arena_bytes((size_t)l->write * l->dim, word), pick = seam_arena_bytes((size_t)n * l->write, word);
    size_t gates = seam_arena_bytes((size_t)n * l->heads, word), pairs = seam_arena_bytes((size_t)n * l->slots, word);
    size_t forward = seam_norm_open_bytes(&l->norm, n, train) + 2 * write + pick + 3 * slots + seam_arena_bytes((size_t)l->slots, sizeof(int64_t)) +
                     3 * tokens + (size_t)l->heads * pairs + gates;
    size_t backward = 3 * tokens + 3 * slots + gates + pairs + write + pick;
    *kept = train ? forward : 0;
    return train ? backward : forward;
}
