// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The convolution layer (its sums are in kernels.h: SeamConv).
//
//   forward    y = conv(x; w) + b
//   inference  the same and the gelu that follows it in one operation on packed weights
//   backward   dw, db += from (x, dy),   dx = conv^T(dy; w)
#include "core/layers/conv.h"

void seam_conv_declare(SeamConvLayer *l, SeamParams *params, const char *prefix, int32_t kernel, int32_t in, int32_t out) {
    g_autofree char *weight = g_strconcat(prefix, ".weight", NULL), *bias = g_strconcat(prefix, ".bias", NULL);
    l->weight = seam_params_declare(params, weight, SEAM_INIT_LINEAR, true, out, kernel, kernel, in);
    l->weight->groups = 1;
    l->bias = seam_params_declare(params, bias, SEAM_INIT_ZERO, false, out, 0, 0, 0);
}

static SeamStatus forward(const SeamConvLayer *l, const SeamRun *run, const SeamConv *conv, const float *x, SeamActivation act, float *y) {
    const SeamKernels *k = run->kernels;
    const SeamConvCall call = {.c = *conv, .w = &l->weight->packed, .x = x, .bias = l->bias->data, .y = y, .act = act};
    return call.w->data ? k->conv_packed(&call) : k->conv(conv, x, l->weight->data, l->bias->data, y);
}

SeamStatus seam_conv_forward(const SeamConvLayer *l, const SeamRun *run, const SeamConv *conv, const float *x, float *y) {
    return forward(l, run, conv, x, SEAM_ACT_NONE, y);
}

SeamStatus seam_conv_forward_gelu(const SeamConvLayer *l, const SeamRun *run, const SeamConv *conv, const float *x, float *before, float *y) {
    if (l->weight->packed.data && before == y)
        return forward(l, run, conv, x, SEAM_ACT_GELU, y);
    size_t out_h = (size_t)((conv->h + 2 * conv->pad - conv->kernel) / conv->stride + 1);
    size_t out_w = (size_t)((conv->w + 2 * conv->pad - conv->kernel) / conv->stride + 1);
    SEAM_TRY(forward(l, run, conv, x, SEAM_ACT_NONE, before));
    return run->kernels->gelu((size_t)conv->batch * out_h * out_w * (size_t)conv->out, before, y);
}

SeamStatus seam_conv_backward(const SeamConvLayer *l, const SeamRun *run, const SeamConv *conv, const float *x, const float *dy, float *dx) {
    const SeamKernels *k = run->kernels;
    SEAM_TRY(k->conv_backward_weights(conv, x, dy, l->weight->grad, l->bias->grad));
    return dx ? k->conv_backward_data(conv, l->weight->data, dy, dx) : SEAM_OK;
}
