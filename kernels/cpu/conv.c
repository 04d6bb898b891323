// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   y[p, o]    = bias[o] + sum_t X[p, t] w[o, t]        X[p, t]: the patch under output pixel p, t = (ky, kx, c)
//   dx[i, c]   = sum over taps (ky, kx) and o of dy[p, o] w[o, ky, kx, c], p the output pixel that reads i by that tap
//   dw[o, t]  += sum_p dy[p, o] X[p, t],   db[o] += sum_p dy[p, o]
//
// Shapes: SeamConv in kernels.h; batch, in, out may be 0. Products by tile.c in f32; X exists for a few pixels at a time in
// scratch. The weight gradient is summed in a fixed number of slices of the pixels, and the slices in order, so that it depends on the number
// of lanes but not on timing. Padding is read as 0, so NaN weights give NaN at the border too, which ref agrees with only inside.
//
// Bound by multiplication, 2 batch out_h out_w out kernel^2 in operations, but for the first layer: with 3 channels the copies into X
// are a third of the time. onednn.c is asked first and does the shapes that it is faster at; what follows does the others.
#include <string.h>

#include "kernels/cpu/onednn.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/vec.h"

enum {
    PATCH_FLOATS = 48 * 1024, // of X a task: 192 KiB, in an L2 cache while the strips of w pass
    MOST_PIXELS = 252,
    SLICES_A_LANE = 2,
};

typedef struct {
    SeamConv c;
    int32_t out_h, out_w, patch; // patch = kernel^2 in, the length of a row of X
    int32_t pixels, parts;       // output pixels of the batch; tasks they are cut into
    int32_t padded;              // columns of a packed matrix: whole strips
    const float *x, *w, *bias, *dy;
    float *y, *dx, *packed;
    float *slices; // [parts, out, patch]
    float *dw;
    atomic_bool failed;
} Conv;

static int32_t out_size(const SeamConv *c, int32_t size) {
    int32_t room = size + 2 * c->pad - c->kernel;
    return room < 0 ? 0 : room / c->stride + 1;
}

static Conv describe(const SeamConv *c) {
    assert(c->batch >= 0 && c->h >= 0 && c->w >= 0 && c->in >= 0 && c->out >= 0 && c->kernel > 0 && c->stride > 0 && c->pad >= 0);
    Conv d = {.c = *c, .out_h = out_size(c, c->h), .out_w = out_size(c, c->w), .patch = c->kernel * c->kernel * c->in};
    d.pixels = c->batch * d.out_h * d.out_w;
    return d;
}

// Whole rounds of the lanes, so that none waits for the last part.
static int32_t rounds(int32_t pixels, int32_t most) {
    int64_t parts = seam_ceil_div(pixels, most), lanes = seam_pool_lanes();
    return (int32_t)(seam_ceil_div(parts, lanes) * lanes);
}

static int32_t block_pixels(const Conv *d) {
    int32_t fit = d->patch > 0 ? PATCH_FLOATS / d->patch : MOST_PIXELS;
    return fit < 14 ? 14 : seam_min(fit, MOST_PIXELS);
}

// ---- patches ----------------------------------------------------------------------------------

static inline float *copy_floats(float *to, const float *from, int32_t n) {
    for (; n >= LANES; n -= LANES, from += LANES, to += LANES)
        vec_store(to, vec_load(from));
    vec_store_part(to, n, vec_load_part(from, n));
    return to + n;
}

static inline float *zero_floats(float *to, int32_t n) {
    for (; n >= LANES; n -= LANES, to += LANES)
        vec_store(to, vec_set(0));
    vec_store_part(to, n, vec_set(0));
    return to + n;
}

// One row of X, of which part lies outside the picture: the patch that starts at (iy, ix).
static void copy_border_patch(const SeamConv *c, const float *picture, int32_t iy, int32_t ix, float *row) {
    int32_t left = ix < 0 ? seam_min(-ix, c->kernel) : 0, right = seam_min(c->kernel, c->w - ix);
    right = right < left ? left : right;
    for (int32_t y = iy; y < iy + c->kernel; y++) {
        if (y < 0 || y >= c->h) {
            row = zero_floats(row, c->kernel * c->in);
            continue;
        }
        row = zero_floats(row, left * c->in);
        if (right > left)
            row = copy_floats(row, picture + ((ptrdiff_t)y * c->w + ix + left) * c->in, (right - left) * c->in);
        row = zero_floats(row, (c->kernel - right) * c->in);
    }
}

// Rows first .. first + count of X.
static void copy_patches(const Conv *d, int32_t first, int32_t count, float *rows) {
    const SeamConv *c = &d->c;
    int32_t ox = first % d->out_w, oy = first / d->out_w % d->out_h, b = first / d->out_w / d->out_h;
    for (float *end = rows + (ptrdiff_t)count * d->patch; rows < end; rows += d->patch) {
        const float *picture = d->x + (size_t)b * c->h * c->w * c->in;
        int32_t iy = oy * c->stride - c->pad, ix = ox * c->stride - c->pad;
        if (iy < 0 || ix < 0 || iy + c->kernel > c->h || ix + c->kernel > c->w) {
            copy_border_patch(c, picture, iy, ix, rows);
        } else {
            const float *from = picture + ((ptrdiff_t)iy * c->w + ix) * c->in;
            float *row = rows;
            for (int32_t ky = 0; ky < c->kernel; ky++, from += (ptrdiff_t)c->w * c->in)
                row = copy_floats(row, from, c->kernel * c->in);
        }
        if (++ox < d->out_w)
            continue;
        ox = 0;
        if (++oy == d->out_h) {
            oy = 0;
            b++;
        }
    }
}

// ---- forward ----------------------------------------------------------------------------------

static void pack_task(void *data, int32_t task, int32_t lane) {
    Conv *d = data;
    int32_t from = task * SEAM_DEPTH, depth = seam_min(SEAM_DEPTH, d->patch - from);
    seam_tile_pack(depth, d->c.out, (SeamMatrix){d->w + from, 1, d->patch}, d->packed + (size_t)from * d->padded);
}

static void forward_block(const Conv *d, int32_t first, int32_t count, float *rows) {
    int32_t out = d->c.out;
    float *y = d->y + (size_t)first * out;
    copy_patches(d, first, count, rows);
    if (!d->bias)
        memset(y, 0, (size_t)count * out * sizeof *y);
    for (int32_t i = 0; d->bias && i < count; i++)
        copy_floats(y + (size_t)i * out, d->bias, out);
    for (int32_t from = 0; from < d->patch; from += SEAM_DEPTH)
        seam_tile_packed(count, out, seam_min(SEAM_DEPTH, d->patch - from), (SeamMatrix){rows + from, d->patch, 1},
                         d->packed + (size_t)from * d->padded, true, y, out);
}

static void forward_task(void *data, int32_t task, int32_t lane) {
    Conv *d = data;
    int32_t first = (int32_t)seam_part(d->pixels, 1, d->parts, task), end = (int32_t)seam_part(d->pixels, 1, d->parts, task + 1);
    float *rows = seam_scratch(SEAM_SCRATCH_TASK, (size_t)(end - first) * d->patch * sizeof *rows);
    if (rows)
        forward_block(d, first, end - first, rows);
    else
        atomic_store(&d->failed, true);
}

static SeamStatus conv(const SeamConv *c, const float *x, const float *w, const float *bias, float *y) {
    Conv d = describe(c);
    SeamStatus status;
    if (d.pixels == 0 || c->out == 0)
        return SEAM_OK;
    if (seam_onednn_conv(c, x, w, bias, y, &status))
        return status;
    d.x = x, d.w = w, d.bias = bias, d.y = y;
    d.padded = (c->out + SEAM_STRIP - 1) / SEAM_STRIP * SEAM_STRIP;
    d.packed = seam_scratch(SEAM_SCRATCH_CALL, (size_t)d.padded * d.patch * sizeof(float));
    if (!d.packed)
        return SEAM_NO_MEMORY;
    d.parts = rounds(d.pixels, block_pixels(&d));
    seam_pool_run((d.patch + SEAM_DEPTH - 1) / SEAM_DEPTH, pack_task, &d);
    seam_pool_run(d.parts, forward_task, &d);
    return d.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

// ---- data gradient ----------------------------------------------------------------------------

// Tap t = (ky, kx) as a matrix [out, in], packed in blocks of SEAM_DEPTH.
static void pack_tap_task(void *data, int32_t task, int32_t lane) {
    Conv *d = data;
    int32_t out = d->c.out, in = d->c.in;
    float *packed = d->packed + (size_t)task * out * d->padded;
    for (int32_t from = 0; from < out; from += SEAM_DEPTH)
        seam_tile_pack(seam_min(SEAM_DEPTH, out - from), in, (SeamMatrix){d->w + (size_t)from * d->patch + (size_t)task * in, d->patch, 1},
                       packed + (size_t)from * d->padded);
}

// What tap kx of output row `dy` [out_w, out] adds to input row `dx` [w, in]: output pixels ox in a run read input pixels
// ox stride - pad + kx, so both sides are matrices as they lie.
static void tap_row(const Conv *d, int32_t kx, const float *dy, const float *packed, float *dx) {
    const SeamConv *c = &d->c;
    int32_t shift = kx - c->pad, first = shift < 0 ? (-shift + c->stride - 1) / c->stride : 0;
    int32_t end = c->w - shift <= 0 ? 0 : seam_min(d->out_w, (c->w - shift - 1) / c->stride + 1);
    if (first >= end)
        return;
    float *to = dx + (ptrdiff_t)(first * c->stride + shift) * c->in;
    for (int32_t from = 0; from < c->out; from += SEAM_DEPTH)
        seam_tile_packed(end - first, c->in, seam_min(SEAM_DEPTH, c->out - from),
                         (SeamMatrix){dy + (ptrdiff_t)first * c->out + from, c->out, 1}, packed + (size_t)from * d->padded, true, to,
                         (ptrdiff_t)c->stride * c->in);
}

static void data_row_task(void *data, int32_t task, int32_t lane) {
    const Conv *d = data;
    const SeamConv *c = &d->c;
    int32_t b = task / c->h, iy = task % c->h;
    float *dx = d->dx + (size_t)task * c->w * c->in;
    memset(dx, 0, (size_t)c->w * c->in * sizeof *dx);
    for (int32_t ky = (iy + c->pad) % c->stride; ky < c->kernel && ky <= iy + c->pad; ky += c->stride) {
        int32_t oy = (iy + c->pad - ky) / c->stride;
        for (int32_t kx = 0; kx < c->kernel && oy < d->out_h; kx++)
            tap_row(d, kx, d->dy + ((size_t)b * d->out_h + oy) * d->out_w * c->out,
                    d->packed + (size_t)(ky * c->kernel + kx) * c->out * d->padded, dx);
    }
}

static SeamStatus conv_backward_data(const SeamConv *c, const float *w, const float *dy, float *dx) {
    Conv d = describe(c);
    SeamStatus status;
    if (seam_onednn_conv_backward_data(c, w, dy, dx, &status))
        return status;
    d.w = w, d.dy = dy, d.dx = dx;
    d.padded = (c->in + SEAM_STRIP - 1) / SEAM_STRIP * SEAM_STRIP;
    d.packed = seam_scratch(SEAM_SCRATCH_CALL, (size_t)c->kernel * c->kernel * c->out * d.padded * sizeof(float));
    if (!d.packed)
        return SEAM_NO_MEMORY;
    seam_pool_run(c->kernel * c->kernel, pack_tap_task, &d);
    seam_pool_run(c->batch * c->h, data_row_task, &d);
    return SEAM_OK;
}

// ---- weight gradient --------------------------------------------------------------------------

static void slice_task(void *data, int32_t task, int32_t lane) {
    Conv *d = data;
    int32_t out = d->c.out, patch = d->patch, block = block_pixels(d);
    int32_t first = (int32_t)seam_part(d->pixels, 1, d->parts, task), end = (int32_t)seam_part(d->pixels, 1, d->parts, task + 1);
    float *slice = d->slices + (size_t)task * out * patch;
    float *rows = seam_scratch(SEAM_SCRATCH_TASK, (size_t)block * patch * sizeof *rows);
    bool ok = rows != NULL;
    for (int32_t p = first; ok && p < end; p += block) {
        int32_t count = seam_min(block, end - p);
        copy_patches(d, p, count, rows);
        ok = seam_tile_product(out, patch, count, (SeamMatrix){d->dy + (size_t)p * out, 1, out}, (SeamMatrix){rows, patch, 1}, p > first,
                               slice, patch);
    }
    if (!ok)
        atomic_store(&d->failed, true);
}

// Adds the slices to rows of dw.
static void add_slices_task(void *data, int32_t task, int32_t lane) {
    const Conv *d = data;
    int32_t patch = d->patch;
    float *dw = d->dw + (size_t)task * patch;
    for (int32_t s = 0; s < d->parts; s++) {
        const float *slice = d->slices + ((size_t)s * d->c.out + task) * patch;
        for (int32_t i = 0; i < patch; i += LANES) {
            int lanes = seam_min(LANES, patch - i);
            vec_store_part(dw + i, lanes, vec_load_part(dw + i, lanes) + vec_load_part(slice + i, lanes));
        }
    }
}

static SeamStatus sum_patches(Conv d) {
    const SeamConv *c = &d.c;
    d.parts = seam_min((d.pixels + 63) / 64, SLICES_A_LANE * seam_pool_lanes());
    d.slices = seam_scratch(SEAM_SCRATCH_CALL, (size_t)d.parts * c->out * d.patch * sizeof(float));
    if (!d.slices)
        return SEAM_NO_MEMORY;
    seam_pool_run(d.parts, slice_task, &d);
    if (d.failed)
        return SEAM_NO_MEMORY;
    seam_pool_run(c->out, add_slices_task, &d);
    return SEAM_OK;
}

static SeamStatus conv_backward_weights(const SeamConv *c, const float *x, const float *dy, float *dw, float *db) {
    Conv d = describe(c);
    SeamStatus status;
    if (d.pixels == 0 || c->out == 0)
        return SEAM_OK;
    d.x = x, d.dy = dy, d.dw = dw;
    if (!seam_onednn_conv_backward_weights(c, x, dy, dw, &status))
        status = sum_patches(d);
    return db && status == SEAM_OK ? seam_kernels_cpu()->bias_grad(d.pixels, c->out, dy, db) : status;
}

void SEAM_OF_ISA(seam_fill_conv)(SeamKernels *k) {
    k->conv = conv;
    k->conv_backward_data = conv_backward_data;
    k->conv_backward_weights = conv_backward_weights;
}
