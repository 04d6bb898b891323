// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Convolutions and long products by oneDNN, on the threads of our pool. It owns no memory, and never lets oneDNN start a thread: libgomp's
// number of threads, which belongs to the calling thread, is 1 around every call and then what it was. Its threads would spin beside the
// pool's.
//
// Work is cut by pictures, or by bands of output rows where pictures are fewer than lanes; a primitive is made for one such part, so the
// batch is no part of the key. Pictures and gradients stay NHWC; weights are put into oneDNN's order once a call (1 to 31 us).
// Cuts depend on shapes and lanes alone, slices of the weight gradient are added in order: deterministic. Own memory is scratch; oneDNN
// itself takes and gives back 4 to 7 small blocks (its table of arguments) each time a primitive runs, and dnnl_sgemm one.
//
// us a call without and with oneDNN on one thread (Zen 4, AVX-512, oneDNN 2.6), best of repeated runs on a busy machine:
//   kernel 3, stride 2                   forward, one picture     forward, 16         data gradient, 16   weight gradient, 16
//   160 x 160 x  1 -> 24                    144 ->  43            2480 ->  690                            2020 ->  970
//   192 x 192 x  3 -> 24                    302 -> 150            5530 -> 2920                            5150 -> 3000
//    80 x  80 x 24 -> 48                    330 -> 287            6100 -> 5840        7940 -> 7260        7080 -> 7170 (ours stays)
//    40 x  40 x 48 -> 96                    310 -> 285            5350 -> 5220        5340 -> 4950        5750 -> 5580 (ours stays)
//    20 x  20 x 96 -> 192                   317 -> 300            5010 -> 4760        4630 -> 4420 (ours) 5490 -> 5420 (ours stays)
// Weight gradients of 4640 rows: 192 x 192 3300 -> 3010, 576 x 192 11070 -> 9260, 192 x 768 14170 -> 12480; of 101 rows, and products without
// a transposed a: within 5 % (gemm.c keeps them). On two lanes: the first row's picture 22, 16 pictures of the third 3020, of the fourth 2770.
// With AVX2 the first layers gain 2 to 6 times, data and weight gradients of 24 channels 1.23 and 1.10, forward of 48 1.07; above that, none.
#include "kernels/cpu/onednn.h"

#include <omp.h>

#include "kernels/cpu/onednn_cache.h"

enum {
    LEAST_WORK = 1 << 18,    // products a picture, about 5 us: below that the library's own cost of a call shows
    LEAST_ROWS = 4,          // output rows of a band
    SLICES_A_LANE = 2,       // of the weight gradient
    LEAST_DEPTH = 2048,      // rows summed by a product: from here on the strides of a transposed a cost our own code a tenth (1600: 5 %)
    LEAST_PRODUCT_ROWS = 48, // of its result, and of a part of it
    LEAST_PRODUCT = 96 * 64, // elements of its result
    ROW_PARTS_A_LANE = 2,
};

// The most input channels up to which oneDNN is faster, by the figures above.
static struct {
    int32_t forward, data, weights;
} limits;
static bool works;

static int one_thread(void) {
    int before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
}

// oneDNN chooses its instructions for the whole process; where something else has used it already, it stays at its choice.
bool seam_onednn_init(bool avx512) {
    limits.forward = avx512 ? 96 : 48;
    limits.data = avx512 ? 48 : 24;
    limits.weights = avx512 ? 8 : 24;
    if (!avx512)
        dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
    return works = seam_onednn_start();
}

static dnnl_status_t bind(dnnl_memory_t memory, const float *data) {
    return dnnl_memory_set_data_handle(memory, (void *)data);
}

// ---- parts ------------------------------------------------------------------------------------

typedef struct {
    SeamConv c;
    SeamOnednnKind kind;
    int32_t out_h, out_w, bands, slices;
    const float *x, *w, *bias, *dy;
    float *y, *dx;
    float *sums;           // [slices, stride] weight gradients in oneDNN's order
    size_t stride;         // elements
    dnnl_memory_t weights; // the caller's, in oneDNN's order
    atomic_int status;
} Job;

static int32_t out_size(const SeamConv *c, int32_t size) {
    int32_t room = size + 2 * c->pad - c->kernel;
    return room < 0 ? 0 : room / c->stride + 1;
}

// What output rows first .. end read: rows *from and on of the picture. All of it, unless it is cut into bands.
static SeamOnednnPart part(const Job *j, int32_t first, int32_t end, int32_t *from) {
    const SeamConv *c = &j->c;
    int32_t top = first * c->stride - c->pad, bottom = (end - 1) * c->stride - c->pad + c->kernel, last = seam_min(bottom, c->h);
    SeamOnednnPart k = {.kind = j->kind, .h = c->h, .w = c->w, .in = c->in, .out = c->out, .out_h = end - first, .out_w = j->out_w,
                        .kernel = c->kernel, .stride = c->stride, .top = c->pad, .left = c->pad, .bottom = c->pad, .right = c->pad,
                        .bias = j->bias != NULL};
    *from = 0;
    if (j->bands > 1) {
        *from = top < 0 ? 0 : top;
        k.h = last - *from;
        k.top = *from - top;
        k.bottom = bottom - last;
    }
    return k;
}

static bool is_worth(const SeamConv *c, SeamOnednnKind kind, Job *j) {
    const int32_t most[] = {limits.forward, limits.data, limits.weights};
    *j = (Job){.c = *c, .kind = kind, .out_h = out_size(c, c->h), .out_w = out_size(c, c->w), .bands = 1};
    return works && c->batch > 0 && c->in <= most[kind] &&
           (int64_t)j->out_h * j->out_w * c->out * c->kernel * c->kernel * c->in >= LEAST_WORK;
}

static void fail(Job *j, SeamStatus status) {
    if (status != SEAM_OK)
        atomic_store(&j->status, status);
}

// ---- forward ----------------------------------------------------------------------------------

static int32_t band_start(const Job *j, int32_t band) {
    return (int32_t)seam_part(j->out_h, 1, j->bands, band);
}

static SeamStatus forward_part(Job *j, int32_t picture, int32_t band) {
    const SeamConv *c = &j->c;
    int32_t from, first = band_start(j, band);
    SeamOnednnPart key = part(j, first, band_start(j, band + 1), &from);
    SeamStatus status;
    SeamOnednn *e = seam_onednn_find(&key, &status);
    if (!e)
        return status;
    dnnl_exec_arg_t args[6] = {{DNNL_ARG_SRC, e->x}, {DNNL_ARG_DST, e->y}, {DNNL_ARG_WEIGHTS, j->weights}, {DNNL_ARG_BIAS, e->bias}};
    if (bind(e->x, j->x + ((size_t)picture * c->h + from) * c->w * c->in) != dnnl_success ||
        bind(e->y, j->y + ((size_t)picture * j->out_h + first) * j->out_w * c->out) != dnnl_success || bind(e->bias, j->bias) != dnnl_success)
        return SEAM_DEVICE_ERROR;
    return seam_onednn_status(seam_onednn_run(e, e->run, e->scratch, j->bias ? 4 : 3, args));
}

static void forward_task(void *data, int32_t task, int32_t lane) {
    Job *j = data;
    int before = one_thread();
    fail(j, forward_part(j, task / j->bands, task % j->bands));
    omp_set_num_threads(before);
}

// The weights into oneDNN's order, in the caller's scratch, for all lanes to read. False in *fit: nothing was done.
static SeamStatus order_weights(Job *j, const SeamOnednnPart *key, bool *fit) {
    SeamStatus status;
    SeamOnednn *e = seam_onednn_find(key, &status);
    *fit = !e || e->fit;
    if (!e || !e->fit)
        return e ? SEAM_OK : status;
    float *ordered = seam_scratch(SEAM_SCRATCH_CALL, e->weights_bytes);
    if (!ordered)
        return SEAM_NO_MEMORY;
    dnnl_exec_arg_t args[3] = {{DNNL_ARG_FROM, e->plain}, {DNNL_ARG_TO, e->weights}};
    if (bind(e->plain, j->w) != dnnl_success || bind(e->weights, ordered) != dnnl_success)
        return SEAM_DEVICE_ERROR;
    j->weights = e->weights;
    return seam_onednn_status(seam_onednn_run(e, e->reorder, e->reorder_scratch, 2, args));
}

// Whether all bands are fit and take the weights in the same order.
static bool bands_agree(const Job *j) {
    SeamOnednn *first = NULL;
    for (int32_t band = 0; band < j->bands; band++) {
        int32_t from;
        SeamOnednnPart key = part(j, band_start(j, band), band_start(j, band + 1), &from);
        SeamStatus status;
        SeamOnednn *e = key.h > 0 ? seam_onednn_find(&key, &status) : NULL;
        if (!e || !e->fit || (first && !dnnl_memory_desc_equal(&first->weights_desc, &e->weights_desc)))
            return false;
        first = first ? first : e;
    }
    return true;
}

// Pictures are cut where they alone would leave lanes idle.
static void cut(Job *j) {
    int32_t lanes = seam_pool_lanes();
    if (j->c.batch % lanes != 0 && j->c.batch < 4 * lanes)
        j->bands = seam_min(lanes, j->out_h / LEAST_ROWS);
    if (j->bands < 2 || j->bands > SEAM_ONEDNN_CACHE / 8 || !bands_agree(j))
        j->bands = 1;
}

bool seam_onednn_conv(const SeamConv *c, const float *x, const float *w, const float *bias, float *y, SeamStatus *status) {
    Job j;
    bool fit = true;
    if (!is_worth(c, SEAM_ONEDNN_FORWARD, &j))
        return false;
    j.x = x, j.w = w, j.bias = bias, j.y = y;
    int before = one_thread();
    cut(&j);
    int32_t from;
    SeamOnednnPart key = part(&j, 0, band_start(&j, 1), &from);
    *status = order_weights(&j, &key, &fit);
    omp_set_num_threads(before);
    if (!fit || *status != SEAM_OK)
        return fit;
    seam_pool_run(c->batch * j.bands, forward_task, &j);
    *status = (SeamStatus)j.status;
    return true;
}

// ---- data gradient ----------------------------------------------------------------------------

static SeamStatus data_part(Job *j, int32_t picture) {
    int32_t from;
    SeamOnednnPart key = part(j, 0, j->out_h, &from);
    SeamStatus status;
    SeamOnednn *e = seam_onednn_find(&key, &status);
    if (!e)
        return status;
    dnnl_exec_arg_t args[4] = {{DNNL_ARG_DIFF_DST, e->y}, {DNNL_ARG_WEIGHTS, j->weights}, {DNNL_ARG_DIFF_SRC, e->x}};
    if (bind(e->y, j->dy + (size_t)picture * j->out_h * j->out_w * j->c.out) != dnnl_success ||
        bind(e->x, j->dx + (size_t)picture * j->c.h * j->c.w * j->c.in) != dnnl_success)
        return SEAM_DEVICE_ERROR;
    return seam_onednn_status(seam_onednn_run(e, e->run, e->scratch, 3, args));
}

static void data_task(void *data, int32_t task, int32_t lane) {
    Job *j = data;
    int before = one_thread();
    fail(j, data_part(j, task));
    omp_set_num_threads(before);
}

bool seam_onednn_conv_backward_data(const SeamConv *c, const float *w, const float *dy, float *dx, SeamStatus *status) {
    Job j;
    bool fit = true;
    if (c->batch < seam_pool_lanes() || !is_worth(c, SEAM_ONEDNN_DATA, &j))
        return false;
    j.w = w, j.dy = dy, j.dx = dx;
    int before = one_thread();
    int32_t from;
    SeamOnednnPart key = part(&j, 0, j.out_h, &from);
    *status = order_weights(&j, &key, &fit);
    omp_set_num_threads(before);
    if (!fit || *status != SEAM_OK)
        return fit;
    seam_pool_run(c->batch, data_task, &j);
    *status = (SeamStatus)j.status;
    return true;
}

// ---- weight gradient --------------------------------------------------------------------------

static void add_floats(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

// The sum over the pictures of a slice, in order; of one after the first by way of the task's scratch.
static SeamStatus weights_slice(Job *j, int32_t slice) {
    const SeamConv *c = &j->c;
    int32_t from;
    SeamOnednnPart key = part(j, 0, j->out_h, &from);
    SeamStatus status;
    SeamOnednn *e = seam_onednn_find(&key, &status);
    if (!e)
        return status;
    float *sum = j->sums + (size_t)slice * j->stride, *next = seam_scratch(SEAM_SCRATCH_TASK, e->weights_bytes);
    if (!next)
        return SEAM_NO_MEMORY;
    int32_t first = (int32_t)seam_part(c->batch, 1, j->slices, slice), end = (int32_t)seam_part(c->batch, 1, j->slices, slice + 1);
    for (int32_t b = first; b < end && status == SEAM_OK; b++) {
        dnnl_exec_arg_t args[4] = {{DNNL_ARG_DIFF_DST, e->y}, {DNNL_ARG_SRC, e->x}, {DNNL_ARG_DIFF_WEIGHTS, e->weights}};
        if (bind(e->y, j->dy + (size_t)b * j->out_h * j->out_w * c->out) != dnnl_success ||
            bind(e->x, j->x + (size_t)b * c->h * c->w * c->in) != dnnl_success || bind(e->weights, b > first ? next : sum) != dnnl_success)
            return SEAM_DEVICE_ERROR;
        status = seam_onednn_status(seam_onednn_run(e, e->run, e->scratch, 3, args));
        if (status == SEAM_OK && b > first)
            add_floats(e->weights_bytes / sizeof *sum, next, sum);
    }
    return status;
}

static void weights_task(void *data, int32_t task, int32_t lane) {
    Job *j = data;
    int before = one_thread();
    fail(j, weights_slice(j, task));
    omp_set_num_threads(before);
}

// The slices, added in order, into our order, and to dw.
static SeamStatus add_slices(Job *j, SeamOnednn *e, float *dw) {
    size_t n = (size_t)j->c.out * j->c.kernel * j->c.kernel * j->c.in;
    for (int32_t s = 1; s < j->slices; s++)
        add_floats(e->weights_bytes / sizeof *j->sums, j->sums + (size_t)s * j->stride, j->sums);
    float *plain = seam_scratch(SEAM_SCRATCH_TASK, n * sizeof *plain);
    if (!plain)
        return SEAM_NO_MEMORY;
    dnnl_exec_arg_t args[3] = {{DNNL_ARG_FROM, e->weights}, {DNNL_ARG_TO, e->plain}};
    if (bind(e->weights, j->sums) != dnnl_success || bind(e->plain, plain) != dnnl_success)
        return SEAM_DEVICE_ERROR;
    SeamStatus status = seam_onednn_status(seam_onednn_run(e, e->reorder, e->reorder_scratch, 2, args));
    if (status == SEAM_OK)
        add_floats(n, plain, dw);
    return status;
}

bool seam_onednn_conv_backward_weights(const SeamConv *c, const float *x, const float *dy, float *dw, SeamStatus *status) {
    Job j;
    if (c->batch < seam_pool_lanes() || !is_worth(c, SEAM_ONEDNN_WEIGHTS, &j))
        return false;
    j.x = x, j.dy = dy;
    j.slices = seam_min(c->batch, SLICES_A_LANE * seam_pool_lanes());
    int before = one_thread();
    int32_t from;
    SeamOnednnPart key = part(&j, 0, j.out_h, &from);
    SeamOnednn *e = seam_onednn_find(&key, status);
    bool fit = !e || e->fit;
    if (e && fit) {
        j.stride = (e->weights_bytes + 63) / 64 * 16;
        j.sums = seam_scratch(SEAM_SCRATCH_CALL, (size_t)j.slices * j.stride * sizeof *j.sums);
        if (j.sums)
            seam_pool_run(j.slices, weights_task, &j);
        *status = j.sums ? (SeamStatus)j.status : SEAM_NO_MEMORY;
        if (*status == SEAM_OK)
            *status = add_slices(&j, e, dw);
    }
    omp_set_num_threads(before);
    return fit;
}

// ---- product ----------------------------------------------------------------------------------

typedef struct {
    int32_t m, n, k, parts, lda, ldb, ldc;
    const float *a, *b;
    float beta, *c;
    atomic_int status;
} Product;

static void product_task(void *data, int32_t task, int32_t lane) {
    Product *p = data;
    int64_t top = seam_part(p->m, 1, p->parts, task), bottom = seam_part(p->m, 1, p->parts, task + 1);
    int before = one_thread();
    dnnl_status_t status = dnnl_sgemm('T', 'N', bottom - top, p->n, p->k, 1, p->a + top, p->lda, p->b, p->ldb, p->beta, p->c + top * p->ldc, p->ldc);
    omp_set_num_threads(before);
    if (status != dnnl_success)
        atomic_store(&p->status, seam_onednn_status(status));
}

bool seam_onednn_gemm_ta(int32_t m, int32_t n, int32_t k, const float *a, int32_t lda, const float *b, int32_t ldb, float beta, float *c,
                         int32_t ldc, SeamStatus *status) {
    if (!works || k < LEAST_DEPTH || (int64_t)m * n < LEAST_PRODUCT || m < LEAST_PRODUCT_ROWS || n < LEAST_PRODUCT_ROWS)
        return false;
    Product p = {.m = m, .n = n, .k = k, .a = a, .lda = lda, .b = b, .ldb = ldb, .beta = beta, .c = c, .ldc = ldc};
    int32_t parts = ROW_PARTS_A_LANE * seam_pool_lanes();
    p.parts = seam_pool_lanes() == 1 ? 1 : seam_min(parts, m / LEAST_PRODUCT_ROWS);
    seam_pool_run(p.parts, product_task, &p);
    *status = (SeamStatus)p.status;
    return true;
}
