// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Linear maps and convolutions with packed weights: the definition of the three number types (kernels.h: SeamPackType), of SeamLinearCall and SeamConvCall.
// Packed here means: as given, [groups, n, k] of float, bfloat16 or int8; with int8 the scales [groups, n] of float come first. Sums in double of the rounded
// numbers, which for whole numbers is exact; bias and activation in double, rounded once at the end. It owns nothing.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

enum { most_whole = 127, most_depth = 1 << 16 };

// ---- rounding ---------------------------------------------------------------------------------

// The upper half of a float, nearest even; a NaN stays one.
static uint16_t to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float from_bf16(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

typedef struct {
    float scale, inverse;
} Rounding;

// Of a row to whole numbers: its scale, and what its elements are multiplied by.
static Rounding rounding_of(int32_t k, const float *row) {
    float most = 0;
    bool finite = true;
    for (int32_t p = 0; p < k; p++) {
        finite = finite && isfinite(row[p]);
        most = fabsf(row[p]) > most ? fabsf(row[p]) : most;
    }
    if (!finite)
        return (Rounding){NAN, 0};
    return most < 0x1p-120f ? (Rounding){0, 0} : (Rounding){most / most_whole, most_whole / most};
}

static float whole(Rounding r, float x) {
    return r.inverse == 0 ? 0 : nearbyintf(x * r.inverse);
}

// ---- packing ----------------------------------------------------------------------------------

static size_t element_bytes(SeamPackType type) {
    return type == SEAM_PACK_F32 ? sizeof(float) : type == SEAM_PACK_BF16 ? sizeof(uint16_t) : sizeof(int8_t);
}

static size_t scale_bytes(SeamPackType type, int32_t groups, int32_t n) {
    return type == SEAM_PACK_I8 ? (size_t)groups * n * sizeof(float) : 0;
}

size_t seam_ref_pack_bytes(SeamPackType type, int32_t groups, int32_t n, int32_t k) {
    assert(groups >= 0 && n >= 0 && k >= 0 && k <= most_depth);
    return scale_bytes(type, groups, n) + (size_t)groups * n * k * element_bytes(type);
}

void seam_ref_pack(SeamPackType type, int32_t groups, int32_t n, int32_t k, const float *w, void *data) {
    size_t rows = (size_t)groups * n, size = rows * k;
    if (type == SEAM_PACK_F32 && size > 0)
        memcpy(data, w, size * sizeof *w);
    for (size_t i = 0; type == SEAM_PACK_BF16 && i < size; i++)
        ((uint16_t *)data)[i] = to_bf16(w[i]);
    for (size_t r = 0; type == SEAM_PACK_I8 && r < rows; r++) {
        int8_t *q = (int8_t *)data + scale_bytes(type, groups, n) + r * k;
        Rounding rounding = rounding_of(k, w + r * k);
        ((float *)data)[r] = rounding.scale;
        for (int32_t p = 0; p < k; p++)
            q[p] = (int8_t)whole(rounding, w[r * k + p]);
    }
}

void seam_ref_pack_i8(int32_t groups, int32_t n, int32_t k, const int8_t *q, const float *scale, void *data) {
    size_t first = scale_bytes(SEAM_PACK_I8, groups, n), size = (size_t)groups * n * k;
    if (first > 0)
        memcpy(data, scale, first);
    if (size > 0)
        memcpy((int8_t *)data + first, q, size);
}

static float weight(const SeamPacked *w, size_t i) {
    switch (w->type) {
    case SEAM_PACK_F32: return ((const float *)w->data)[i];
    case SEAM_PACK_BF16: return from_bf16(((const uint16_t *)w->data)[i]);
    default: return ((const int8_t *)w->data)[scale_bytes(w->type, w->groups, w->n) + i];
    }
}

static double weight_scale(const SeamPacked *w, size_t row) {
    return w->type == SEAM_PACK_I8 ? ((const float *)w->data)[row] : 1;
}

// ---- the product ------------------------------------------------------------------------------

static double activate(SeamActivation act, double x) {
    return act == SEAM_ACT_GELU ? seam_ref_gelu_of(x) : x;
}

// x as the type sees it.
static float rounded(SeamPackType type, Rounding r, float x) {
    return type == SEAM_PACK_F32 ? x : type == SEAM_PACK_BF16 ? from_bf16(to_bf16(x)) : whole(r, x);
}

// acc[j] += sum_p x[p] w[first + j][from + p], for output rows first .. first + columns of all groups.
static void add_products(const SeamPacked *w, size_t first, int32_t columns, int32_t from, int32_t depth, const float *x, double *acc) {
    for (int32_t j = 0; j < columns; j++)
        for (int32_t p = 0; p < depth; p++)
            acc[j] += (double)x[p] * weight(w, (first + j) * w->k + from + p);
}

// y [n] of one row x [k] by the matrix of `group`.
static void map_row(const SeamLinearCall *c, int32_t group, const float *x, float *y) {
    const SeamPacked *w = c->w;
    Rounding r = w->type == SEAM_PACK_I8 ? rounding_of(w->k, x) : (Rounding){1, 1};
    for (int32_t j0 = 0; j0 < w->n; j0 += seam_ref_tile) {
        int32_t columns = seam_ref_min(w->n - j0, seam_ref_tile);
        size_t first = (size_t)group * w->n + j0;
        double acc[seam_ref_tile] = {0};
        for (int32_t p0 = 0; p0 < w->k; p0 += seam_ref_tile) {
            int32_t depth = seam_ref_min(w->k - p0, seam_ref_tile);
            float part[seam_ref_tile];
            for (int32_t p = 0; p < depth; p++)
                part[p] = rounded(w->type, r, x[p0 + p]);
            add_products(w, first, columns, p0, depth, part, acc);
        }
        for (int32_t j = 0; j < columns; j++) {
            double value = activate(c->act, acc[j] * r.scale * weight_scale(w, first + j) + (c->bias ? c->bias[first + j] : 0));
            y[j0 + j] = (float)(c->add ? y[j0 + j] + value : value);
        }
    }
}

SeamStatus seam_ref_linear(const SeamLinearCall *c) {
    assert(c->rows >= 0 && (c->start || c->w->groups == 1) && (c->source || c->x_rows == c->rows));
    int32_t all[2] = {0, c->rows};
    const int32_t *start = c->start ? c->start : all;
    for (int32_t g = 0; g < c->w->groups; g++)
        for (int32_t r = start[g]; r < start[g + 1]; r++)
            map_row(c, g, c->x + (size_t)(c->source ? c->source[r] : r) * c->ldx, c->y + (size_t)r * c->ldy);
    return SEAM_OK;
}

// ---- convolution ------------------------------------------------------------------------------

// The sum over the taps of output pixel (oy, ox) that lie in the picture, for output channel o.
static double taps(const SeamConvCall *call, Rounding r, const float *picture, int32_t oy, int32_t ox, int32_t o) {
    const SeamConv *c = &call->c;
    double sum = 0;
    for (int32_t ky = 0; ky < c->kernel; ky++)
        for (int32_t kx = 0; kx < c->kernel; kx++) {
            int32_t iy = oy * c->stride - c->pad + ky, ix = ox * c->stride - c->pad + kx;
            if (iy < 0 || iy >= c->h || ix < 0 || ix >= c->w)
                continue;
            const float *x = picture + ((size_t)iy * c->w + ix) * c->in;
            size_t at = (size_t)o * call->w->k + ((size_t)ky * c->kernel + kx) * c->in;
            for (int32_t i = 0; i < c->in; i++)
                sum += (double)rounded(call->w->type, r, x[i]) * weight(call->w, at + i);
        }
    return sum;
}

static int32_t out_size(const SeamConv *c, int32_t size) {
    int32_t room = size + 2 * c->pad - c->kernel;
    return room < 0 ? 0 : room / c->stride + 1;
}

SeamStatus seam_ref_conv_packed(const SeamConvCall *call) {
    const SeamConv *c = &call->c;
    assert(call->w->groups == 1 && call->w->n == c->out && call->w->k == c->kernel * c->kernel * c->in);
    int32_t out_h = out_size(c, c->h), out_w = out_size(c, c->w), size = c->h * c->w * c->in;
    float *y = call->y;
    for (int32_t b = 0; b < c->batch; b++) {
        const float *picture = call->x + (size_t)b * size;
        Rounding r = call->w->type == SEAM_PACK_I8 ? rounding_of(size, picture) : (Rounding){1, 1};
        for (int32_t p = 0; p < out_h * out_w; p++)
            for (int32_t o = 0; o < c->out; o++, y++) {
                double sum = taps(call, r, picture, p / out_w, p % out_w, o) * r.scale * weight_scale(call->w, o);
                double value = activate(call->act, sum + (call->bias ? call->bias[o] : 0));
                *y = (float)(call->add ? *y + value : value);
            }
    }
    return SEAM_OK;
}
