// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The linear layer.
//
//   forward    y [n, out] = x [n, in] W^T + b,   W [out, in], b [out]
//   inference  the same and what follows it, gelu or the sum, in one operation on packed weights
//   backward   dx = dy W,   dW += dy^T x,   db += sum over rows of dy
#include "core/layers/linear.h"

void seam_linear_declare(SeamLinear *l, SeamParams *params, const char *prefix, int32_t in,
                         int32_t out, bool bias) {
    g_autofree char *weight_name = g_strconcat(prefix, ".weight", NULL);
    *l = (SeamLinear){.in = in, .out = out};
    l->weight = seam_params_declare(params, weight_name, SEAM_INIT_LINEAR, true, out, in, 0, 0);
    l->weight->groups = 1;
    if (bias) {
        g_autofree char *bias_name = g_strconcat(prefix, ".bias", NULL);
        l->bias = seam_params_declare(params, bias_name, SEAM_INIT_ZERO, false, out, 0, 0, 0);
    }
}

static SeamStatus forward_packed(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x, SeamActivation act, bool add, float *y) {
    const SeamLinearCall call = {.w = &l->weight->packed, .rows = n, .x_rows = n, .x = x, .bias = l->bias ? l->bias->data : NULL, .y = y, .ldx = l->in,
                                 .ldy = l->out, .act = act, .add = add};
    return run->kernels->linear(&call);
}

static SeamStatus forward(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x,
                          bool add, float *y) {
    const SeamKernels *k = run->kernels;
    if (l->weight->packed.data)
        return forward_packed(l, run, n, x, SEAM_ACT_NONE, add, y);
    SEAM_TRY(
        k->gemm(false, true, n, l->out, l->in, x, l->in, l->weight->data, l->in, add, y, l->out));
    return l->bias ? k->add_bias(n, l->out, l->bias->data, y) : SEAM_OK;
}

SeamStatus seam_linear_forward(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x,
                               float *y) {
    return forward(l, run, n, x, false, y);
}

SeamStatus seam_linear_forward_add(const SeamLinear *l, const SeamRun *run, int32_t n,
                                   const float *x, float *y) {
    return forward(l, run, n, x, true, y);
}

SeamStatus seam_linear_forward_gelu(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x, float *before, float *y) {
    if (l->weight->packed.data && before == y)
        return forward_packed(l, run, n, x, SEAM_ACT_GELU, false, y);
    SEAM_TRY(forward(l, run, n, x, false, before));
    return run->kernels->gelu((size_t)n * l->out, before, y);
}

SeamStatus seam_linear_backward(const SeamLinear *l, const SeamRun *run, int32_t n, const float *x,
                                const float *dy, float *dx, bool accumulate) {
    const SeamKernels *k = run->kernels;
    if (l->bias)
        SEAM_TRY(k->bias_grad(n, l->out, dy, l->bias->grad));
    SEAM_TRY(
        k->gemm(true, false, l->out, l->in, n, dy, l->out, x, l->in, 1, l->weight->grad, l->in));
    if (!dx)
        return SEAM_OK;
    return k->gemm(false, false, n, l->in, l->out, dy, l->out, l->weight->data, l->in, accumulate,
                   dx, l->in);
}
