// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Convolution NHWC with weights [out, kernel, kernel, in], and its gradients. Output pixel o reads input pixel i = o stride - pad + k for
// each tap k; taps outside the picture are left out. For the data gradient the same relation is read backwards: o = (i + pad - k) / stride
// where that divides.
#include <assert.h>
#include <string.h>

#include "kernels/ref/ref.h"

static int32_t out_size(const SeamConv *c, int32_t size) {
    int32_t room = size + 2 * c->pad - c->kernel;
    return room < 0 ? 0 : room / c->stride + 1;
}

static bool inside(int32_t i, int32_t size) {
    return i >= 0 && i < size;
}

static size_t pixel(int32_t b, int32_t y, int32_t x, int32_t h, int32_t w, int32_t channels) {
    return (((size_t)b * h + y) * w + x) * channels;
}

static void check(const SeamConv *c) {
    assert(c->batch >= 0 && c->h >= 0 && c->w >= 0 && c->in >= 0 && c->out >= 0);
    assert(c->kernel > 0 && c->stride > 0 && c->pad >= 0);
}

// One output value: the sum over the taps inside the picture. w [kernel, kernel, in] of that output channel.
static double taps(const SeamConv *c, int32_t b, int32_t oy, int32_t ox, const float *x, const float *w) {
    double sum = 0;
    for (int32_t ky = 0; ky < c->kernel; ky++)
        for (int32_t kx = 0; kx < c->kernel; kx++) {
            int32_t iy = oy * c->stride - c->pad + ky, ix = ox * c->stride - c->pad + kx;
            if (inside(iy, c->h) && inside(ix, c->w))
                sum += seam_ref_dot(c->in, x + pixel(b, iy, ix, c->h, c->w, c->in),
                                    w + ((size_t)ky * c->kernel + kx) * c->in);
        }
    return sum;
}

SeamStatus seam_ref_conv(const SeamConv *c, const float *x, const float *w, const float *bias, float *y) {
    check(c);
    int32_t out_h = out_size(c, c->h), out_w = out_size(c, c->w);
    size_t filter = (size_t)c->kernel * c->kernel * c->in;
    for (int32_t b = 0; b < c->batch; b++)
        for (int32_t oy = 0; oy < out_h; oy++)
            for (int32_t ox = 0; ox < out_w; ox++)
                for (int32_t o = 0; o < c->out; o++)
                    y[pixel(b, oy, ox, out_h, out_w, c->out) + o] =
                        (float)(taps(c, b, oy, ox, x, w + o * filter) + (bias ? bias[o] : 0));
    return SEAM_OK;
}

// The output position that reads input position i by tap k, or -1.
static int32_t reader(const SeamConv *c, int32_t i, int32_t k, int32_t outs) {
    int32_t o = i + c->pad - k;
    return o >= 0 && o % c->stride == 0 && o / c->stride < outs ? o / c->stride : -1;
}

// acc [columns]: the gradient of one input pixel's channels c0 .. c0 + columns.
static void pixel_backward(const SeamConv *c, int32_t b, int32_t iy, int32_t ix, int32_t c0, int32_t columns, const float *w,
                           const float *dy, double *acc) {
    int32_t out_h = out_size(c, c->h), out_w = out_size(c, c->w);
    for (int32_t ky = 0; ky < c->kernel; ky++)
        for (int32_t kx = 0; kx < c->kernel; kx++) {
            int32_t oy = reader(c, iy, ky, out_h), ox = reader(c, ix, kx, out_w);
            if (oy < 0 || ox < 0)
                continue;
            const float *d = dy + pixel(b, oy, ox, out_h, out_w, c->out);
            for (int32_t o = 0; o < c->out; o++) {
                const float *row = w + (((size_t)o * c->kernel + ky) * c->kernel + kx) * c->in + c0;
                for (int32_t i = 0; i < columns; i++)
                    acc[i] += (double)d[o] * row[i];
            }
        }
}

SeamStatus seam_ref_conv_backward_data(const SeamConv *c, const float *w, const float *dy, float *dx) {
    check(c);
    for (int32_t b = 0; b < c->batch; b++)
        for (int32_t iy = 0; iy < c->h; iy++)
            for (int32_t ix = 0; ix < c->w; ix++)
                for (int32_t c0 = 0; c0 < c->in; c0 += seam_ref_tile) {
                    int32_t columns = seam_ref_min(c->in - c0, seam_ref_tile);
                    double acc[seam_ref_tile];
                    memset(acc, 0, (size_t)columns * sizeof *acc);
                    pixel_backward(c, b, iy, ix, c0, columns, w, dy, acc);
                    for (int32_t i = 0; i < columns; i++)
                        dx[pixel(b, iy, ix, c->h, c->w, c->in) + c0 + i] = (float)acc[i];
                }
    return SEAM_OK;
}

// acc [columns]: the gradient of one tap of output channel o, input channels c0 .. c0 + columns.
static void tap_backward(const SeamConv *c, int32_t o, int32_t ky, int32_t kx, int32_t c0, int32_t columns, const float *x,
                         const float *dy, double *acc) {
    int32_t out_h = out_size(c, c->h), out_w = out_size(c, c->w);
    for (int32_t b = 0; b < c->batch; b++)
        for (int32_t oy = 0; oy < out_h; oy++)
            for (int32_t ox = 0; ox < out_w; ox++) {
                int32_t iy = oy * c->stride - c->pad + ky, ix = ox * c->stride - c->pad + kx;
                if (!inside(iy, c->h) || !inside(ix, c->w))
                    continue;
                double d = dy[pixel(b, oy, ox, out_h, out_w, c->out) + o];
                const float *row = x + pixel(b, iy, ix, c->h, c->w, c->in) + c0;
                for (int32_t i = 0; i < columns; i++)
                    acc[i] += d * row[i];
            }
}

SeamStatus seam_ref_conv_backward_weights(const SeamConv *c, const float *x, const float *dy, float *dw, float *db) {
    check(c);
    for (int32_t o = 0; o < c->out; o++)
        for (int32_t ky = 0; ky < c->kernel; ky++)
            for (int32_t kx = 0; kx < c->kernel; kx++)
                for (int32_t c0 = 0; c0 < c->in; c0 += seam_ref_tile) {
                    int32_t columns = seam_ref_min(c->in - c0, seam_ref_tile);
                    float *to = dw + (((size_t)o * c->kernel + ky) * c->kernel + kx) * c->in + c0;
                    double acc[seam_ref_tile] = {0};
                    tap_backward(c, o, ky, kx, c0, columns, x, dy, acc);
                    for (int32_t i = 0; i < columns; i++)
                        to[i] = (float)(to[i] + acc[i]);
                }
    int32_t pixels = c->batch * out_size(c, c->h) * out_size(c, c->w);
    return db ? seam_ref_bias_grad(pixels, c->out, dy, db) : SEAM_OK;
}
