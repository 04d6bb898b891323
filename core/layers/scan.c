// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The selective state space layer.
//
//   u, B, C, r = x Win^T                          x [n, dim]; u [n, heads, dim / heads], B and C [n, state], r [n, heads]
//   step = softplus(r + step_bias),   a = exp(-step exp(rate))
//   S_i = a_i S_(i-1) + step_i u_i B_i^T,   m_i = S_i C_i + skip u_i     S [heads, dim / heads, state]; B and C are shared by the heads
//   y += (sigmoid(x Wg^T + bg) o m) Wo^T + bo
//
// Source: Dao and Gu 2024, "Transformers are SSMs" (Mamba-2), sec. 7.1; the steps of the start: Gu and Dao 2023 ("Mamba"), sec. 3.6. Other than
// there: no short convolution before it (a token of a sensor is a stretch already), a sigmoid gate as attention's instead of silu, and no
// norm behind it, for the stream is normed before every branch.
//
// Backward, with g the gate and v = g o m: dv = dy Wo, dm = dv o g, dg before the sigmoid = dv o m o g (1 - g); the kernel gives du, dB, dC, dstep;
// dr = dstep (1 - exp(-step)), the slope of softplus; drate = rate's own gradient times exp(rate).
#include "core/layers/scan.h"

#include <math.h>

void seam_scan_declare(SeamScanLayer *l, SeamParams *params, const char *prefix, const SeamConfig *config) {
    g_autofree char *in = g_strconcat(prefix, ".in", NULL), *gate = g_strconcat(prefix, ".gate", NULL), *out = g_strconcat(prefix, ".out", NULL);
    g_autofree char *step = g_strconcat(prefix, ".step.bias", NULL), *rate = g_strconcat(prefix, ".rate", NULL);
    g_autofree char *skip = g_strconcat(prefix, ".skip", NULL);
    *l = (SeamScanLayer){.dim = config->dim, .heads = config->heads, .state = config->scan_state};
    seam_linear_declare(&l->in, params, in, l->dim, l->dim + 2 * l->state + l->heads, false);
    seam_linear_declare(&l->gate, params, gate, l->dim, l->dim, true);
    seam_linear_declare(&l->out, params, out, l->dim, l->dim, true);
    l->gate.bias->init = SEAM_INIT_TWO;
    l->step_bias = seam_params_declare(params, step, SEAM_INIT_STEPS, false, l->heads, 0, 0, 0);
    l->rate = seam_params_declare(params, rate, SEAM_INIT_ZERO, false, l->heads, 0, 0, 0);
    l->skip = seam_params_declare(params, skip, SEAM_INIT_ONE, false, l->heads, 0, 0, 0);
}

static SeamScan describe(const SeamScanLayer *l, const SeamScanSaved *s) {
    return (SeamScan){
        .x = s->in,
        .b = s->in + l->dim,
        .c = s->in + l->dim + l->state,
        .ld = l->in.out,
        .step = s->step,
        .rate = s->rate,
        .skip = l->skip->data,
        .n = s->n,
        .heads = l->heads,
        .head_dim = l->dim / l->heads,
        .state = l->state,
        .seq_start = s->seq_start,
        .seqs = s->seqs,
    };
}

static SeamStatus alloc_saved(const SeamScanLayer *l, SeamRun *run, SeamScanSaved *s) {
    size_t tokens = (size_t)s->n * l->dim;
    s->in = SEAM_NEW(run->arena, float, (size_t)s->n * l->in.out);
    s->step = SEAM_NEW(run->arena, float, (size_t)s->n * l->heads);
    s->rate = SEAM_NEW(run->arena, float, l->heads);
    s->gate = SEAM_NEW(run->arena, float, tokens);
    s->mixed = SEAM_NEW(run->arena, float, tokens);
    return s->in && s->step && s->rate && s->gate && s->mixed ? SEAM_OK : SEAM_NO_MEMORY;
}

static float softplus(float x) {
    return x > 20 ? x : log1pf(expf(x));
}

static void fill_steps(const SeamScanLayer *l, const SeamScanSaved *s) {
    for (int32_t h = 0; h < l->heads; h++)
        s->rate[h] = expf(l->rate->data[h]);
    for (int32_t i = 0; i < s->n; i++)
        for (int32_t h = 0; h < l->heads; h++)
            s->step[(size_t)i * l->heads + h] =
                softplus(s->in[(size_t)i * l->in.out + (size_t)(l->in.out - l->heads + h)] + l->step_bias->data[h]);
}

SeamStatus seam_scan_forward(const SeamScanLayer *l, SeamRun *run, const SeamPattern *pattern, const float *x, float *state, float *y,
                             SeamScanSaved *saved) {
    size_t mark = seam_arena_mark(run->arena), tokens = (size_t)pattern->n * l->dim;
    const int32_t stream[2] = {0, pattern->n}; // all sequences as one
    SeamScanSaved scratch, *s = saved ? saved : &scratch;
    *s = (SeamScanSaved){.n = pattern->n, .seqs = pattern->seqs, .seq_start = pattern->seq_start, .x = x};
    SEAM_TRY(alloc_saved(l, run, s));
    size_t kept = seam_arena_mark(run->arena);
    float *gated = saved ? SEAM_NEW(run->arena, float, tokens) : s->mixed;
    if (!gated)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_forward(&l->in, run, s->n, x, s->in));
    fill_steps(l, s);
    SeamScan scan = describe(l, s);
    if (state) {
        scan.initial = state;
        scan.seq_start = stream;
        scan.seqs = 1;
    }
    SEAM_TRY(run->kernels->scan(&scan, s->mixed, state));
    SEAM_TRY(seam_linear_forward(&l->gate, run, s->n, x, s->gate));
    SEAM_TRY(run->kernels->sigmoid(tokens, s->gate, s->gate));
    for (size_t i = 0; i < tokens; i++)
        gated[i] = s->mixed[i] * s->gate[i];
    SEAM_TRY(seam_linear_forward_add(&l->out, run, s->n, gated, y));
    seam_arena_release(run->arena, saved ? kept : mark);
    return SEAM_OK;
}

// dv in, dm out, in place; dgate [n, dim].
static void gate_backward(size_t n, const SeamScanSaved *s, float *dv, float *dgate) {
    for (size_t i = 0; i < n; i++) {
        dgate[i] = dv[i] * s->mixed[i] * s->gate[i] * (1 - s->gate[i]);
        dv[i] *= s->gate[i];
    }
}

// dstep [n, heads] into its columns of din, and the gradient of its bias.
static void steps_backward(const SeamScanLayer *l, const SeamScanSaved *s, const float *dstep, float *din) {
    for (int32_t i = 0; i < s->n; i++)
        for (int32_t h = 0; h < l->heads; h++) {
            float d = dstep[(size_t)i * l->heads + h] * -expm1f(-s->step[(size_t)i * l->heads + h]);
            din[(size_t)i * l->in.out + (size_t)(l->in.out - l->heads + h)] = d;
            l->step_bias->grad[h] += d;
        }
}

SeamStatus seam_scan_backward(const SeamScanLayer *l, SeamRun *run, const SeamScanSaved *s, const float *dy, float *dx) {
    size_t mark = seam_arena_mark(run->arena), tokens = (size_t)s->n * l->dim;
    float *gated = SEAM_NEW(run->arena, float, tokens), *dmixed = SEAM_NEW(run->arena, float, tokens);
    float *din = SEAM_NEW(run->arena, float, (size_t)s->n * l->in.out), *dstep = SEAM_NEW(run->arena, float, (size_t)s->n * l->heads);
    float *drate = SEAM_NEW0(run->arena, float, l->heads);
    if (!gated || !dmixed || !din || !dstep || !drate)
        return SEAM_NO_MEMORY;
    for (size_t i = 0; i < tokens; i++)
        gated[i] = s->mixed[i] * s->gate[i];
    SEAM_TRY(seam_linear_backward(&l->out, run, s->n, gated, dy, dmixed, false));
    float *dgate = gated;
    gate_backward(tokens, s, dmixed, dgate);
    SeamScan scan = describe(l, s);
    SEAM_TRY(run->kernels->scan_backward(&scan, dmixed, din, din + l->dim, din + l->dim + l->state, dstep, drate, l->skip->grad));
    steps_backward(l, s, dstep, din);
    for (int32_t h = 0; h < l->heads; h++)
        l->rate->grad[h] += drate[h] * s->rate[h];
    SEAM_TRY(seam_linear_backward(&l->in, run, s->n, s->x, din, dx, false));
    SEAM_TRY(seam_linear_backward(&l->gate, run, s->n, s->x, dgate, dx, true));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_scan_bytes(const SeamScanLayer *l, int32_t n, bool train, size_t *kept) {
    size_t tokens = seam_arena_bytes((size_t)n * l->dim, sizeof(float)), in = seam_arena_bytes((size_t)n * l->in.out, sizeof(float));
    size_t heads = seam_arena_bytes((size_t)n * l->heads, sizeof(float)) + seam_arena_bytes((size_t)l->heads, sizeof(float));
    *kept = train ? in + heads + 2 * tokens : 0;
    return in + heads + 2 * tokens;
}
