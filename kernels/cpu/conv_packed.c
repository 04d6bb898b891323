// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   y[b, oy, ox, o] (+)= act(bias[o] + sum_(ky, kx, c) x[b, oy stride - pad + ky, ox stride - pad + kx, c] w[o, ky, kx, c])
//
// with packed weights (kernels.h: SeamConvCall), by the tiles of linear_tile.h. A task is a band of output rows of one picture. The input rows under it are
// brought into the type's numbers once, with their margins of 0, so that the patch under an output pixel lies in `kernel` runs of kernel * in numbers, one
// input row apart, and the patch of its neighbour stride * in numbers further: a tile walks the runs as they lie, and no matrix of patches is made. Only where
// a run does not end with a step (one or three channels) the patches of one output row are copied together. Strips of weights are the outer loop, so that one
// serves the whole band from the L1 cache. Cuts depend on shapes and lanes alone: deterministic. It owns nothing but scratch.
//
// us a picture on one thread, kernel 3, with a bias and a gelu as stems have them (Zen 4, processor time, `check_kernels --bench-packed`); conv is oneDNN's in
// f32, its weights put in order in each call and the gelu by itself:
//   160 x 160 x  1 ->  24, stride 2    conv 117    f32 105    bf16 109    int8 109    one column strip, filled up from 24 to 32; gelu is half of it
//   192 x 192 x  3 ->  24, stride 2         257        255         225         185
//    80 x  80 x 24 ->  48, stride 2         332        354         199         132
//    40 x  40 x 48 ->  96, stride 2         313        325         173         100
//    20 x  20 x 96 -> 192, stride 2         321        311         164          90
//    80 x  80 x 24 ->  24, stride 1         829        875         470         283
//    40 x  40 x 48 ->  48, stride 1         589        609         327         189
//    20 x  20 x 96 ->  96, stride 1         572        593         306         166
// In f32 both ways are a tenth apart at most and a whole stem is as fast, so that there is no choice between them by shape.
#include <string.h>

#include "kernels/cpu/linear.h"

enum {
    SMALL = 1 << 20, // products in f32 below which a wake-up costs more than a second thread saves
    TASKS_A_LANE = 4,
    BAND_BYTES = 128 * 1024, // of prepared rows: they stay in an L2 cache while the strips pass
    COPY = 16,               // bytes by which patches are copied
};

typedef struct {
    const SeamConvCall *call;
    SeamLinearLayout layout;
    int32_t out_h, out_w, bands, run; // bands of a picture; run: numbers of a run of a patch
    bool copied;                      // patches are copied together
    ptrdiff_t pitch, patch;           // bytes of a prepared row and of a copied patch
    const SeamRounding *rounding;     // [batch]
    atomic_bool failed;
} Conv;

static int32_t out_size(const SeamConv *c, int32_t size) {
    int32_t room = size + 2 * c->pad - c->kernel;
    return room < 0 ? 0 : room / c->stride + 1;
}

// ---- input rows -------------------------------------------------------------------------------

static void zeros(const SeamLinearKind *kind, size_t numbers, char *to) {
    memset(to, kind->x_bytes == 1 ? kind->offset : 0, numbers * kind->x_bytes); // an offset goes with bytes only
}

// Row iy of picture b with its margins.
static void prepare_row(const Conv *v, int32_t b, int32_t iy, char *to) {
    const SeamConv *c = &v->call->c;
    const SeamLinearKind *kind = v->layout.kind;
    size_t margin = (size_t)c->pad * c->in, wide = (size_t)c->w * c->in;
    if (iy < 0 || iy >= c->h) {
        zeros(kind, wide + 2 * margin, to);
        return;
    }
    const float *from = v->call->x + ((size_t)b * c->h + iy) * wide;
    zeros(kind, margin, to);
    if (kind->direct)
        memcpy(to + margin * kind->x_bytes, from, wide * sizeof *from);
    else
        kind->prepare((int32_t)wide, v->rounding[b], from, to + margin * kind->x_bytes);
    zeros(kind, margin, to + (margin + wide) * kind->x_bytes);
}

// The patches of one output row, `patch` bytes apart; rows: the first of its input rows. Both have COPY bytes to spare.
static void copy_patches(const Conv *v, const char *rows, char *to) {
    const SeamConv *c = &v->call->c;
    int32_t number = v->layout.kind->x_bytes, bytes = v->run * number;
    for (int32_t ox = 0; ox < v->out_w; ox++, rows += c->stride * c->in * number, to += v->patch) {
        char *at = to;
        for (int32_t ky = 0; ky < c->kernel; ky++, at += bytes)
            for (int32_t i = 0; i < bytes; i += COPY)
                memcpy(at + i, rows + ky * v->pitch + i, COPY);
        memset(at, 0, COPY); // the rest of the last step: of weights it holds 0, but a NaN here would count
    }
}

// ---- bands ------------------------------------------------------------------------------------

// Output row oy by the strips from `column`; x: its patches.
static void row_part(const Conv *v, int32_t b, int32_t oy, int32_t column, int32_t columns, SeamLinearPart *p) {
    const SeamConvCall *call = v->call;
    seam_linear_columns(&v->layout, call->w, call->bias, 0, column, columns, p);
    p->y = call->y + (((size_t)b * v->out_h + oy) * v->out_w) * call->c.out + column;
    v->layout.kind->run(p);
}

// rows: the input rows under output rows first .. end of picture b; patches: room for those of one output row.
static void band(const Conv *v, int32_t b, int32_t first, int32_t end, const char *rows, char *patches) {
    const SeamConv *c = &v->call->c;
    const SeamLinearKind *kind = v->layout.kind;
    SeamLinearPart p = {.rows = v->out_w, .segments = 1, .steps = v->layout.steps, .x_scale = &v->rounding[b].scale, .scale_row = 0,
                        .ldy = c->out, .act = v->call->act, .add = v->call->add};
    if (v->copied) {
        p.x = patches;
        p.x_row = v->patch;
        for (int32_t oy = first; oy < end; oy++, rows += c->stride * v->pitch) {
            copy_patches(v, rows, patches);
            row_part(v, b, oy, 0, c->out, &p);
        }
        return;
    }
    p.x_row = (ptrdiff_t)c->stride * c->in * kind->x_bytes;
    p.segments = c->kernel;
    p.segment = v->pitch;
    p.steps = v->run / kind->unit;
    for (int32_t column = 0; column < c->out; column += kind->strip)
        for (int32_t oy = first; oy < end; oy++) {
            p.x = rows + (oy - first) * c->stride * v->pitch;
            row_part(v, b, oy, column, seam_min(kind->strip, c->out - column), &p);
        }
}

static void band_task(void *data, int32_t task, int32_t lane) {
    Conv *v = data;
    const SeamConv *c = &v->call->c;
    int32_t b = task / v->bands, part = task % v->bands;
    int32_t first = (int32_t)seam_part(v->out_h, 1, v->bands, part), end = (int32_t)seam_part(v->out_h, 1, v->bands, part + 1);
    int32_t rows = (end - first - 1) * c->stride + c->kernel;
    size_t patches = v->copied ? (size_t)v->out_w * v->patch + COPY : 0;
    char *block = seam_scratch(SEAM_SCRATCH_TASK, (size_t)rows * v->pitch + patches);
    if (!block) {
        atomic_store(&v->failed, true);
        return;
    }
    for (int32_t i = 0; i < rows; i++)
        prepare_row(v, b, first * c->stride - c->pad + i, block + i * v->pitch);
    band(v, b, first, end, block, block + rows * v->pitch);
}

// ---- the whole --------------------------------------------------------------------------------

typedef struct {
    const SeamLinearKind *kind;
    const float *x;
    int32_t size;
    SeamRounding *rounding;
} Pictures;

static void measure_pictures(const void *job, int64_t from, int64_t to) {
    const Pictures *p = job;
    for (int64_t b = from; b < to; b++)
        p->rounding[b] = p->kind->measure ? p->kind->measure(p->size, p->x + b * p->size) : (SeamRounding){1, 1};
}

// As many bands as give every lane some, as few as fit their cache.
static int32_t count_bands(const Conv *v) {
    const SeamConv *c = &v->call->c;
    int64_t fit = BAND_BYTES / (v->pitch * c->stride), least = seam_ceil_div(v->out_h, fit < 1 ? 1 : fit);
    int64_t wanted = seam_ceil_div((int64_t)TASKS_A_LANE * seam_pool_lanes(), c->batch);
    return seam_min(v->out_h, (int32_t)(wanted > least ? wanted : least));
}

static SeamStatus conv_packed(const SeamConvCall *call) {
    const SeamConv *c = &call->c;
    assert(call->w->groups == 1 && call->w->n == c->out && call->w->k == c->kernel * c->kernel * c->in && c->stride > 0);
    Conv v = {.call = call, .layout = seam_linear_layout(call->w->type, 1, call->w->n, call->w->k), .out_h = out_size(c, c->h), .out_w = out_size(c, c->w)};
    int64_t pixels = (int64_t)c->batch * v.out_h * v.out_w;
    if (pixels == 0 || c->out == 0)
        return SEAM_OK;
    const SeamLinearKind *kind = v.layout.kind;
    v.run = c->kernel * c->in;
    v.copied = v.run % kind->unit != 0;
    v.pitch = seam_linear_row(kind, (c->w + 2 * c->pad) * c->in, 4 * COPY); // prepare writes up to 15 numbers more, of 4 bytes at most
    v.patch = seam_linear_row(kind, v.layout.k, COPY);
    v.bands = count_bands(&v);
    SeamRounding *rounding = seam_scratch(SEAM_SCRATCH_CALL, (size_t)c->batch * sizeof *rounding);
    if (!rounding)
        return SEAM_NO_MEMORY;
    v.rounding = rounding;
    bool small = pixels * c->out * v.layout.k / kind->speed < SMALL;
    Pictures pictures = {kind, call->x, c->h * c->w * c->in, rounding};
    if (small || !kind->measure || c->batch == 1)
        measure_pictures(&pictures, 0, c->batch);
    else
        seam_run_ranges(c->batch, 1, measure_pictures, &pictures);
    for (int32_t i = 0; small && i < c->batch * v.bands; i++)
        band_task(&v, i, 0);
    if (!small)
        seam_pool_run(c->batch * v.bands, band_task, &v);
    return v.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

void seam_fill_conv_packed(SeamKernels *k) {
    k->conv_packed = conv_packed;
}
