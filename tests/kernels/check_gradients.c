// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The backward operations of ref against differences of its forward ones. The loss is a random weighting of the outputs; its slope along each
// input, by the five-point rule with step h, has an error of h^4 f^(5) / 30 and of the outputs' rounding, 6e-8 / h: both below 1e-5 for h = 1/16
// and inputs of about 1.
#include "tests/kernels/check.h"

static const float h = 0.0625f;
static const double tolerance = 2e-4; // the above, summed over some dozens of outputs; a wrong term is off by 1e-2 and more

static const SeamKernels *ref;

// Runs the forward operation into `out` [size]; the inputs are in `data`.
typedef void (*Forward)(void *data, float *out);

typedef struct {
    Forward forward;
    void *data;
    size_t size;
    float *out, *weight; // weight: the loss's gradient of out, what the backward operation is given
} Loss;

static Loss loss_of(Forward forward, void *data, size_t size) {
    return (Loss){forward, data, size, check_floats(size, 0, 0), check_floats(size, -1, 1)};
}

static double loss_at(const Loss *l, float *x, float value) {
    double sum = 0;
    float before = *x;
    *x = value;
    l->forward(l->data, l->out);
    *x = before;
    for (size_t i = 0; i < l->size; i++)
        sum += (double)l->weight[i] * l->out[i];
    return sum;
}

static void expect_gradient(const char *what, const Loss *l, float *x, size_t n, const float *gradient) {
    for (size_t i = 0; i < n; i++) {
        double near = loss_at(l, x + i, x[i] + h) - loss_at(l, x + i, x[i] - h);
        double far = loss_at(l, x + i, x[i] + 2 * h) - loss_at(l, x + i, x[i] - 2 * h);
        double slope = (8 * near - far) / (12 * h);
        if (!(fabs(slope - gradient[i]) <= tolerance * (1 + fabs(slope))))
            g_error("%s: the gradient of element %zu is %.7g, differences say %.7g", what, i, gradient[i], slope);
    }
}

static float *zeros(size_t n) {
    return check_floats(n, 0, 0);
}

typedef struct {
    int32_t n, d, out;
    int32_t *start, *position, *index;
    float *x, *w, *bias;
    SeamConv conv;
    SeamAttention attention;
    SeamRoute route;
    SeamScan scan;
} Inputs;

static void gelu(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->gelu((size_t)in->n, in->x, out));
}

static void test_gelu(void) {
    Inputs in = {.n = 50, .x = check_floats(50, -5, 5)};
    Loss l = loss_of(gelu, &in, 50);
    float *dx = zeros(50);
    CHECK_OK(ref->gelu_backward(50, in.x, l.weight, dx));
    expect_gradient("gelu_backward", &l, in.x, 50, dx);
}

static void layer_norm(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->layer_norm(in->n, in->d, in->x, in->w, in->bias, out, NULL, NULL));
}

static void test_layer_norm(void) {
    enum { n = 4, d = 9 };
    Inputs in = {.n = n, .d = d, .x = check_floats(n * d, -3, 3), .w = check_floats(d, -2, 2), .bias = check_floats(d, -1, 1)};
    Loss l = loss_of(layer_norm, &in, n * d);
    float *dx = zeros(n * d), *dw = zeros(d), *db = zeros(d), mean[n], rstd[n];
    CHECK_OK(ref->layer_norm(n, d, in.x, in.w, in.bias, l.out, mean, rstd));
    CHECK_OK(ref->layer_norm_backward(n, d, in.x, in.w, mean, rstd, l.weight, dx, dw, db));
    expect_gradient("layer_norm_backward", &l, in.x, n * d, dx);
    expect_gradient("layer_norm_backward: weight", &l, in.w, d, dw);
    expect_gradient("layer_norm_backward: bias", &l, in.bias, d, db);
}

static void linear(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->grouped_gemm(true, 3, in->start, in->out, in->d, in->x, in->w, out));
    CHECK_OK(ref->grouped_add_bias(3, in->start, in->out, in->bias, out));
}

static void test_linear(void) {
    enum { groups = 3, n = 7, d = 5, out = 4 };
    int32_t start[] = {0, 3, 3, n};
    Inputs in = {.d = d, .out = out, .start = start, .x = check_floats(n * d, -1, 1), .w = check_floats(groups * out * d, -1, 1),
                 .bias = check_floats(groups * out, -1, 1)};
    Loss l = loss_of(linear, &in, n * out);
    float *dx = zeros(n * d), *dw = zeros(groups * out * d), *db = zeros(groups * out);
    CHECK_OK(ref->grouped_gemm(false, groups, start, d, out, l.weight, in.w, dx));
    CHECK_OK(ref->grouped_gemm_dw(groups, start, out, d, l.weight, in.x, dw));
    CHECK_OK(ref->grouped_bias_grad(groups, start, out, l.weight, db));
    expect_gradient("grouped_gemm", &l, in.x, n * d, dx);
    expect_gradient("grouped_gemm_dw", &l, in.w, groups * out * d, dw);
    expect_gradient("grouped_bias_grad", &l, in.bias, groups * out, db);
}

static void attention(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->attention(&in->attention, out, NULL));
}

// gates: none, around 1, or 0 (open, for the threshold lies below what the differences reach).
static void attention_case(bool lists, bool gated, float gate) {
    enum { n = 9, heads = 2, head_dim = 3, dim = heads * head_dim, ld = 3 * dim };
    int32_t seq_start[] = {0, 4, 4, n}, key_start[] = {0, 2, 2, 3, 6, 8, 10, 11, 13, 14};
    int32_t key_index[] = {0, 1, 3, 2, 0, 1, 8, 4, 5, 6, 7, 4, 8, 8};
    float *qkv = check_floats(n * ld, -1, 1), *dqkv = zeros(n * ld), *dgate = zeros(n * heads), *gates = check_floats(n * heads, gate, gate);
    Inputs in = {.attention = {.q = qkv, .k = qkv + dim, .v = qkv + 2 * dim, .ld = ld, .gate = gated ? gates : NULL, .gate_threshold = -1,
                               .scale = 0.8f, .n = n, .heads = heads, .head_dim = head_dim, .seq_start = seq_start, .seqs = 3,
                               .key_start = lists ? key_start : NULL, .key_index = lists ? key_index : NULL}};
    if (gated)
        gates[3] = -5; // closed
    Loss l = loss_of(attention, &in, n * dim);
    float *out = zeros(n * dim), *lse = zeros(n * heads);
    CHECK_OK(ref->attention(&in.attention, out, lse));
    CHECK_OK(ref->attention_backward(&in.attention, out, lse, l.weight, dqkv, dqkv + dim, dqkv + 2 * dim, dgate));
    expect_gradient("attention_backward: q, k, v", &l, qkv, n * ld, dqkv);
    if (gated)
        expect_gradient("attention_backward: gate", &l, gates, n * heads, dgate);
}

static void test_attention(void) {
    for (int lists = 0; lists < 2; lists++) {
        attention_case(lists, false, 0);
        attention_case(lists, true, 0.7f);
        attention_case(lists, true, 0);
    }
}

static void scan(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->scan(&in->scan, out, NULL));
}

static void test_scan(void) {
    enum { n = 9, heads = 2, head_dim = 3, dim = heads * head_dim, state = 4, ld = dim + 2 * state };
    int32_t seq_start[] = {0, 6, 6, n};
    float *x = check_floats(n * ld, -1, 1), *dx = zeros(n * ld), *step = check_floats(n * heads, 0.3f, 1), *rate = check_floats(heads, 0.3f, 1);
    float *skip = check_floats(heads, -1, 1), *dstep = zeros(n * heads), *drate = zeros(heads), *dskip = zeros(heads);
    Inputs in = {.scan = {.x = x, .b = x + dim, .c = x + dim + state, .ld = ld, .step = step, .rate = rate, .skip = skip, .n = n, .heads = heads,
                          .head_dim = head_dim, .state = state, .seq_start = seq_start, .seqs = 3}};
    Loss l = loss_of(scan, &in, n * dim);
    CHECK_OK(ref->scan_backward(&in.scan, l.weight, dx, dx + dim, dx + dim + state, dstep, drate, dskip));
    expect_gradient("scan_backward: x, b, c", &l, x, n * ld, dx);
    expect_gradient("scan_backward: step", &l, step, n * heads, dstep);
    expect_gradient("scan_backward: rate", &l, rate, heads, drate);
    expect_gradient("scan_backward: skip", &l, skip, heads, dskip);
}

// The gates of fixed choices and the probs, [n, top_k] and [n, experts].
static void route(void *data, float *out) {
    const Inputs *in = data;
    int32_t index[64];
    CHECK_OK(ref->route(&in->route, in->x, in->bias, out + in->n * in->route.top_k, index, out));
    g_assert_cmpmem(index, (size_t)in->n * in->route.top_k * sizeof *index, in->index, (size_t)in->n * in->route.top_k * sizeof *index);
}

static void test_route(void) {
    enum { n = 5, experts = 8, top_k = 3 };
    float bias[] = {0, 9, 0, 8, 0, 0, 7, 0}, *dlogits = zeros(n * experts), *probs = zeros(n * experts), *gate = zeros(n * top_k);
    int32_t index[n * top_k];
    Inputs in = {.n = n, .route = {.n = n, .experts = experts, .groups = 4, .groups_kept = 3, .top_k = top_k}, .index = index, .bias = bias,
                 .x = check_floats(n * experts, -1, 1)};
    Loss l = loss_of(route, &in, n * (top_k + experts));
    CHECK_OK(ref->route(&in.route, in.x, bias, probs, index, gate));
    CHECK_OK(ref->route_backward(&in.route, probs, index, gate, l.weight, l.weight + n * top_k, dlogits));
    expect_gradient("route_backward", &l, in.x, n * experts, dlogits);
}

static void combine(void *data, float *out) {
    const Inputs *in = data;
    memset(out, 0, (size_t)in->n * in->d * sizeof *out);
    CHECK_OK(ref->combine(in->n, 2, in->d, in->position, in->w, in->x, out));
}

static void gather(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->gather(in->n, in->d, in->start, in->x, out));
}

static void test_combine(void) {
    enum { n = 3, d = 4, rows = 2 * n };
    int32_t position[] = {4, 0, 2, 5, 1, 3}, source[] = {0, 2, 1, 2, 0, 1};
    Inputs in = {.n = n, .d = d, .position = position, .x = check_floats(rows * d, -1, 1), .w = check_floats(rows, -1, 1)};
    Loss l = loss_of(combine, &in, n * d);
    float *dy = zeros(rows * d), *dgate = zeros(rows), *dx = zeros(n * d);
    CHECK_OK(ref->combine_backward(n, 2, d, position, in.w, in.x, l.weight, dy, dgate));
    expect_gradient("combine_backward", &l, in.x, rows * d, dy);
    expect_gradient("combine_backward: gate", &l, in.w, rows, dgate);

    in = (Inputs){.n = rows, .d = d, .start = source, .x = check_floats(n * d, -1, 1)};
    l = loss_of(gather, &in, rows * d);
    CHECK_OK(ref->gather_backward(n, 2, d, position, l.weight, dx));
    expect_gradient("gather_backward", &l, in.x, n * d, dx);
}

static void pool(void *data, float *out) {
    const Inputs *in = data;
    float weight[16];
    CHECK_OK(ref->pool(3, in->start, in->d, in->x, in->w, weight, out));
}

static void bag(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->embed_bag(3, in->start, in->index, in->d, in->x, out));
}

static void test_segments(void) {
    enum { n = 7, d = 4 };
    int32_t start[] = {0, 3, 3, n}, ids[] = {2, 0, 2, 5, 1, 5, 6};
    Inputs in = {.d = d, .start = start, .index = ids, .x = check_floats(n * d, -1, 1), .w = check_floats(n, -2, 2)};
    Loss l = loss_of(pool, &in, 3 * d);
    float *dx = zeros(n * d), *dscore = zeros(n), *dtable = zeros(n * d), *pooled = zeros(3 * d), weight[n];
    CHECK_OK(ref->pool(3, start, d, in.x, in.w, weight, pooled));
    CHECK_OK(ref->pool_backward(3, start, d, in.x, weight, pooled, l.weight, dx, dscore));
    expect_gradient("pool_backward", &l, in.x, n * d, dx);
    expect_gradient("pool_backward: score", &l, in.w, n, dscore);
    l = loss_of(bag, &in, 3 * d);
    CHECK_OK(ref->embed_bag_backward(3, start, ids, d, l.weight, dtable));
    expect_gradient("embed_bag_backward", &l, in.x, n * d, dtable);
}

static void conv(void *data, float *out) {
    const Inputs *in = data;
    CHECK_OK(ref->conv(&in->conv, in->x, in->w, in->bias, out));
}

static void conv_case(SeamConv c) {
    int32_t out_h = (c.h + 2 * c.pad - c.kernel) / c.stride + 1, out_w = (c.w + 2 * c.pad - c.kernel) / c.stride + 1;
    size_t x_size = (size_t)c.batch * c.h * c.w * c.in, w_size = (size_t)c.out * c.kernel * c.kernel * c.in, out = (size_t)c.out;
    Inputs in = {.conv = c, .x = check_floats(x_size, -1, 1), .w = check_floats(w_size, -1, 1), .bias = check_floats(out, -1, 1)};
    Loss l = loss_of(conv, &in, (size_t)c.batch * out_h * out_w * out);
    float *dx = zeros(x_size), *dw = zeros(w_size), *db = zeros(out);
    CHECK_OK(ref->conv_backward_data(&c, in.w, l.weight, dx));
    CHECK_OK(ref->conv_backward_weights(&c, in.x, l.weight, dw, db));
    expect_gradient("conv_backward_data", &l, in.x, x_size, dx);
    expect_gradient("conv_backward_weights", &l, in.w, w_size, dw);
    expect_gradient("conv_backward_weights: bias", &l, in.bias, out, db);
}

static void test_conv(void) {
    conv_case((SeamConv){.batch = 2, .h = 5, .w = 4, .in = 2, .out = 3, .kernel = 3, .stride = 2, .pad = 1});
    conv_case((SeamConv){.batch = 1, .h = 4, .w = 6, .in = 3, .out = 2, .kernel = 2, .stride = 1, .pad = 0});
    conv_case((SeamConv){.batch = 1, .h = 6, .w = 7, .in = 1, .out = 2, .kernel = 2, .stride = 3, .pad = 1}); // some pixels are never read
}

static const CheckTest tests[] = {
    {"/kernels/gradients/gelu", test_gelu}, {"/kernels/gradients/layer-norm", test_layer_norm}, {"/kernels/gradients/linear", test_linear},
    {"/kernels/gradients/attention", test_attention}, {"/kernels/gradients/scan", test_scan}, {"/kernels/gradients/route", test_route}, {"/kernels/gradients/combine", test_combine},
    {"/kernels/gradients/segments", test_segments}, {"/kernels/gradients/conv", test_conv},
};

void check_gradients_register(void) {
    ref = seam_kernels_ref();
    check_register(tests, G_N_ELEMENTS(tests));
}
