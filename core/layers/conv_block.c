// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A pre-activation residual block (He 2016, "Identity mappings", fig. 4e) with the layer norm, the
// gelu and the linear map at its end of Liu 2022, "A ConvNet for the 2020s", sec. 2.5 and 2.6:
//
//   h = LN(x)                                over the width of each pixel
//   p = conv3x3, pad 1 (h; W1, b1),   g = gelu(p)
//   x <- x + g W2^T + b2                     W2 = 0 at first: the block is the identity
//
// The convolution is a whole one and not a depthwise one: at widths of 24 to 128 it runs as one
// dense product, where a depthwise one is bound by memory.
//
// Backward, d = dx: db2, dW2 from (g, d); dp = (d W2) * gelu'(p); dW1, db1 from (h, dp);
// dx <- d + LN'(conv^T(dp; W1)).
#include "core/layers/conv_block.h"

void seam_conv_block_declare(SeamConvBlock *b, SeamParams *params, const char *prefix,
                             int32_t width) {
    g_autofree char *norm = g_strconcat(prefix, ".norm", NULL),
                    *conv = g_strconcat(prefix, ".conv", NULL),
                    *out = g_strconcat(prefix, ".out", NULL);
    *b = (SeamConvBlock){.width = width};
    seam_norm_declare(&b->norm, params, norm, width);
    seam_conv_declare(&b->conv, params, conv, 3, width, width);
    seam_linear_declare(&b->out, params, out, width, width, true);
    b->out.weight->init = SEAM_INIT_ZERO;
}

static SeamConv block_conv(const SeamConvBlock *b, int32_t images, int32_t side) {
    return (SeamConv){.batch = images,
                      .h = side,
                      .w = side,
                      .in = b->width,
                      .out = b->width,
                      .kernel = 3,
                      .stride = 1,
                      .pad = 1};
}

static size_t block_rows(int32_t images, int32_t side) {
    return (size_t)images * side * side;
}

SeamStatus seam_conv_block_forward(const SeamConvBlock *b, SeamRun *run, int32_t images,
                                   int32_t side, float *x, SeamConvBlockSaved *saved) {
    SeamConvBlockSaved scratch, *s = saved ? saved : &scratch;
    SeamConv conv = block_conv(b, images, side);
    size_t rows = block_rows(images, side), size = rows * b->width,
           mark = seam_arena_mark(run->arena);
    if (rows > INT32_MAX)
        return SEAM_BAD_SHAPE;
    SEAM_TRY(seam_norm_open(&b->norm, run, (int32_t)rows, x, saved != NULL, &s->norm));
    s->pre = SEAM_NEW(run->arena, float, size);
    s->hidden = saved ? SEAM_NEW(run->arena, float, size) : s->pre;
    if (!s->pre || !s->hidden)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_conv_forward_gelu(&b->conv, run, &conv, s->norm.h, s->pre, s->hidden));
    SEAM_TRY(seam_linear_forward_add(&b->out, run, (int32_t)rows, s->hidden, x));
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_conv_block_backward(const SeamConvBlock *b, SeamRun *run, int32_t images,
                                    int32_t side, const SeamConvBlockSaved *saved, float *dx) {
    const SeamKernels *k = run->kernels;
    SeamConv conv = block_conv(b, images, side);
    size_t rows = block_rows(images, side), size = rows * b->width,
           mark = seam_arena_mark(run->arena);
    float *dp = SEAM_NEW(run->arena, float, size), *dh = SEAM_NEW(run->arena, float, size);
    if (!dp || !dh)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_backward(&b->out, run, (int32_t)rows, saved->hidden, dx, dp, false));
    SEAM_TRY(k->gelu_backward(size, saved->pre, dp, dp));
    SEAM_TRY(seam_conv_backward(&b->conv, run, &conv, saved->norm.h, dp, dh));
    SEAM_TRY(seam_norm_open_backward(&b->norm, run, (int32_t)rows, &saved->norm, dh, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_conv_block_bytes(const SeamConvBlock *b, int32_t images, int32_t side, bool train,
                             size_t *kept) {
    size_t rows = block_rows(images, side),
           plane = seam_arena_bytes(rows * b->width, sizeof(float));
    *kept = train ? seam_norm_open_bytes(&b->norm, (int32_t)rows, true) + 2 * plane : 0;
    return 2 * plane; // forward: the norm's output and the convolution's; backward: dp and dh
}
