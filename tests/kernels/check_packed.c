// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Linear maps and convolutions with packed weights in f32, bf16 and int8. Weights and rows lie in [-1, 1]: a product is at most 1, so check_sum_tolerance
// counts terms; gelu's slope is at most 1.13. A whole number that a backend rounds otherwise than ref would show as 1/127, far above that.
#include "tests/kernels/check.h"

enum { TYPES = SEAM_PACK_I8 + 1 };

typedef enum { PLAIN, ZEROS, TINY, POISON } Special; // what some of the rows hold

typedef struct {
    SeamPackType type;
    int32_t groups, most, n, k, slack; // up to `most` rows a group
    bool start, source, bias, gelu, add;
    Special special;
} Case;

static void *packed_block(SeamPackType type, const Case *c, int run, const float *w) {
    const SeamKernels *k = check_table(run);
    void *data = check_aligned(k->pack_bytes(type, c->groups, c->n, c->k));
    k->pack(type, c->groups, c->n, c->k, w, data);
    return data;
}

static void make_special(const Case *c, int32_t rows, int32_t ld, float *x) {
    for (int32_t r = 0; r < rows && c->k > 0 && c->special != PLAIN; r += check_int(1, 3)) {
        float *row = x + (size_t)r * ld;
        for (int32_t p = 0; p < c->k && c->special != POISON; p++)
            row[p] = c->special == ZEROS ? 0 : row[p] * 0x1p-121f;
        if (c->special == POISON)
            row[check_int(0, c->k - 1)] = check_int(0, 1) ? NAN : check_int(0, 1) ? INFINITY : -INFINITY;
    }
}

// Rows `ld` apart, the space between them NaN.
static float *rows_of(int32_t rows, int32_t cols, int32_t ld) {
    float *x = check_block(rows > 0 ? ((size_t)(rows - 1) * ld + cols) * sizeof *x : 0);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t p = 0; p < cols; p++)
            x[(size_t)r * ld + p] = check_float(-1, 1);
    return x;
}

static const int32_t *sources(int32_t rows, int32_t x_rows) {
    int32_t *source = check_zeros((size_t)rows);
    for (int32_t r = 0; r < rows; r++)
        source[r] = check_int(0, x_rows - 1);
    return source;
}

static void packed_case(Case c) {
    int32_t *start = check_starts(c.groups, c.most);
    if (!c.start)
        c.groups = 1, start[0] = 0, start[1] = check_int(0, c.most);
    int32_t rows = start[c.groups], x_rows = c.source ? check_int(1, rows + 2) : rows, ldx = c.k + c.slack, ldy = c.n + c.slack;
    float *w = rows_of(c.groups * c.n, c.k, c.k), *x = rows_of(x_rows, c.k, ldx), *bias = check_floats((size_t)c.groups * c.n, -1, 1);
    make_special(&c, c.groups * c.n, c.k, w);
    make_special(&c, x_rows, ldx, x);
    const int32_t *source = c.source ? sources(rows, x_rows) : NULL;
    CheckOut y = (c.add ? check_add : check_set)((size_t)rows, (size_t)c.n, (size_t)ldy);
    for (int run = 0; run < CHECK_RUNS; run++) {
        SeamPacked packed = {.type = c.type, .groups = c.groups, .n = c.n, .k = c.k, .data = packed_block(c.type, &c, run, w)};
        SeamLinearCall call = {.w = &packed, .rows = rows, .x_rows = x_rows, .start = c.start ? start : NULL, .source = source, .x = x,
                               .bias = c.bias ? bias : NULL, .y = y.at[run], .ldx = ldx, .ldy = ldy,
                               .act = c.gelu ? SEAM_ACT_GELU : SEAM_ACT_NONE, .add = c.add};
        CHECK_OK(check_table(run)->linear(&call));
    }
    check_compare(c.type == SEAM_PACK_F32 ? "linear f32" : c.type == SEAM_PACK_BF16 ? "linear bf16" : "linear i8", &y,
                  1.13 * check_sum_tolerance(c.k + 2, 1), 0);
    check_done();
}

static Case random_case(int32_t i) {
    return (Case){.type = (SeamPackType)(i % TYPES), .groups = check_int(1, 6), .most = check_int(1, 5) == 1 ? 70 : check_int(1, 20),
                  .n = check_size(100), .k = check_size(129), .slack = check_int(0, 1) * check_int(1, 5), .start = check_int(0, 2) > 0,
                  .source = check_int(0, 1), .bias = check_int(0, 1), .gelu = check_int(0, 1), .add = check_int(0, 1)};
}

static void test_shapes(void) {
    for (int32_t i = 0; i < 600; i++)
        packed_case(random_case(i));
    for (int32_t i = 0; i < TYPES; i++)
        packed_case((Case){.type = (SeamPackType)i, .n = 5, .k = 7, .start = true}); // no group at all
}

// Every number of rows that a kernel may treat in its own way, and every rest of k and of n.
static void test_rows(void) {
    for (int32_t rows = 1; rows <= 66; rows++)
        for (int32_t i = 0; i < TYPES; i++) {
            Case c = random_case(i);
            c.start = false;
            c.most = rows;
            c.n = rows + 7 * i;
            c.k = 1 + (rows * 37 + i) % 70;
            packed_case(c);
        }
}

// Larger than any block of rows, columns or depth; many small groups.
static void test_large(void) {
    for (int32_t i = 0; i < 2 * TYPES; i++) {
        Case c = random_case(i);
        c.n = i < TYPES ? 283 : 1029;
        c.k = i < TYPES ? 1283 : 391;
        packed_case(c);
        c.n = 192;
        c.k = 192;
        c.groups = 40;
        c.start = true;
        packed_case(c);
        c.start = false;
        c.most = 800;
        packed_case(c);
    }
}

static void test_special(void) {
    for (int32_t i = 0; i < 240; i++) {
        Case c = random_case(i);
        c.special = (Special)(ZEROS + i / TYPES % 3);
        packed_case(c);
    }
}

// The deepest sum of whole numbers: 2^16 times 127 * 127, which is all of 31 bits but a few.
static void test_deepest(void) {
    enum { k = 1 << 16, n = 3 };
    float *x = check_floats(k, 1, 1), *w = check_floats((size_t)n * k, 1, 1);
    for (int32_t p = 0; p < k; p++)
        w[k + p] = -1, w[2 * k + p] = p % 2 ? -1 : 1;
    CheckOut y = check_set(1, n, n);
    for (int run = 0; run < CHECK_RUNS; run++) {
        Case c = {.groups = 1, .n = n, .k = k};
        SeamPacked packed = {.type = SEAM_PACK_I8, .groups = 1, .n = n, .k = k, .data = packed_block(SEAM_PACK_I8, &c, run, w)};
        SeamLinearCall call = {.w = &packed, .rows = 1, .x_rows = 1, .x = x, .y = y.at[run], .ldx = k, .ldy = n};
        CHECK_OK(check_table(run)->linear(&call));
    }
    check_compare("linear i8, deepest", &y, 0, 0x1p-21);
    check_done();
}

// Whole numbers that are there already give the bits that the same numbers give when pack rounds to them.
static void whole_case(const SeamKernels *table, int32_t groups, int32_t n, int32_t k, int32_t rows) {
    size_t size = (size_t)groups * n * k;
    int8_t *q = check_block(size);
    float *w = check_floats(size, 0, 0), *scale = check_floats((size_t)groups * n, 1, 1), *x = rows_of(rows, k, k), *y[2];
    void *data[2];
    int32_t *start = check_starts(groups, rows / (groups > 0 ? groups : 1));
    for (size_t i = 0; i < size; i++) {
        q[i] = (int8_t)(i % (size_t)k == 0 ? 127 : check_int(-127, 127));
        w[i] = 0.25f * q[i]; // exact, and so is the quarter that pack finds as its scale
    }
    for (int32_t r = 0; r < groups * n; r++)
        scale[r] = 0.25f;
    for (int i = 0; i < 2; i++) {
        data[i] = check_aligned(table->pack_bytes(SEAM_PACK_I8, groups, n, k));
        y[i] = check_floats((size_t)start[groups] * n, 0, 0);
    }
    table->pack(SEAM_PACK_I8, groups, n, k, w, data[0]);
    table->pack_i8(groups, n, k, q, scale, data[1]);
    for (int i = 0; i < 2; i++) {
        SeamPacked packed = {.type = SEAM_PACK_I8, .groups = groups, .n = n, .k = k, .data = data[i]};
        SeamLinearCall call = {.w = &packed, .rows = start[groups], .x_rows = start[groups], .start = start, .x = x, .y = y[i], .ldx = k, .ldy = n};
        CHECK_OK(table->linear(&call));
    }
    g_assert_cmpmem(y[0], (size_t)start[groups] * n * sizeof(float), y[1], (size_t)start[groups] * n * sizeof(float));
    check_done();
}

static void test_whole(void) {
    for (int32_t i = 0; i < 40; i++) {
        int32_t n = check_size(65), k = 1 + check_size(129);
        whole_case(check_table(i & 1 ? CHECK_REF : CHECK_CPU), check_int(1, 4), n, k, check_int(1, 40));
    }
}

// ---- convolution ------------------------------------------------------------------------------

static int32_t out_size(const SeamConv *c, int32_t size) {
    return (size + 2 * c->pad - c->kernel) / c->stride + 1;
}

static void conv_case(SeamPackType type, const SeamConv *c, float poison) {
    Case shape = {.groups = 1, .n = c->out, .k = c->kernel * c->kernel * c->in};
    size_t x_size = (size_t)c->batch * c->h * c->w * c->in, pixels = (size_t)c->batch * out_size(c, c->h) * out_size(c, c->w), out = (size_t)c->out;
    float *x = check_floats(x_size, -1, 1), *w = check_floats(out * shape.k, -1, 1), *bias = check_floats(out, -1, 1);
    bool add = check_int(0, 1), gelu = check_int(0, 1), biased = check_int(0, 1);
    if (poison != 0 && x_size > 0)
        x[check_int(0, (int32_t)x_size - 1)] = poison;
    CheckOut y = (add ? check_add : check_set)(pixels, out, out);
    for (int run = 0; run < CHECK_RUNS; run++) {
        SeamPacked packed = {.type = type, .groups = 1, .n = shape.n, .k = shape.k, .data = packed_block(type, &shape, run, w)};
        SeamConvCall call = {.c = *c, .w = &packed, .x = x, .bias = biased ? bias : NULL, .y = y.at[run],
                             .act = gelu ? SEAM_ACT_GELU : SEAM_ACT_NONE, .add = add};
        CHECK_OK(check_table(run)->conv_packed(&call));
    }
    check_compare(type == SEAM_PACK_F32 ? "conv_packed f32" : type == SEAM_PACK_BF16 ? "conv_packed bf16" : "conv_packed i8", &y,
                  1.13 * check_sum_tolerance(shape.k + 2, 1), 0);
    check_done();
}

static SeamConv random_conv(void) {
    static const int32_t channels[] = {1, 2, 3, 4, 5, 8, 13, 16, 17, 24, 33, 40};
    SeamConv c = {.batch = check_int(1, 3), .kernel = check_int(1, 5), .stride = check_int(1, 4), .pad = check_int(0, 3)};
    do {
        c.h = check_int(1, 20);
        c.w = check_int(1, 20);
    } while (c.h + 2 * c.pad < c.kernel || c.w + 2 * c.pad < c.kernel);
    c.in = channels[check_int(0, G_N_ELEMENTS(channels) - 1)];
    c.out = channels[check_int(0, G_N_ELEMENTS(channels) - 1)];
    return c;
}

static void test_conv(void) {
    static const float poisons[] = {0, 0, NAN, INFINITY};
    for (int32_t i = 0; i < 240; i++) {
        SeamConv c = random_conv();
        conv_case((SeamPackType)(i % TYPES), &c, poisons[i / TYPES % 4]);
    }
}

// The levels of the image embedding in smaller pictures, and their blocks; nothing to do, and sums over nothing.
static void test_conv_model(void) {
    static const SeamConv model[] = {
        {.batch = 1, .h = 64, .w = 60, .in = 1, .out = 24, .kernel = 3, .stride = 2, .pad = 1},
        {.batch = 2, .h = 48, .w = 48, .in = 3, .out = 24, .kernel = 3, .stride = 2, .pad = 1},
        {.batch = 1, .h = 28, .w = 28, .in = 24, .out = 48, .kernel = 3, .stride = 2, .pad = 1},
        {.batch = 2, .h = 14, .w = 14, .in = 96, .out = 192, .kernel = 3, .stride = 2, .pad = 1},
        {.batch = 1, .h = 20, .w = 20, .in = 48, .out = 48, .kernel = 3, .stride = 1, .pad = 1},
        {.batch = 1, .h = 9, .w = 9, .in = 300, .out = 270, .kernel = 2, .stride = 1, .pad = 1},
        {.batch = 0, .h = 9, .w = 9, .in = 4, .out = 4, .kernel = 3, .stride = 1, .pad = 1},
        {.batch = 2, .h = 9, .w = 9, .in = 0, .out = 4, .kernel = 3, .stride = 1, .pad = 1},
        {.batch = 2, .h = 9, .w = 9, .in = 4, .out = 0, .kernel = 3, .stride = 1, .pad = 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(model) * TYPES; i++)
        conv_case((SeamPackType)(i % TYPES), &model[i / TYPES], 0);
}

// By hand. int8: x has the scale 1 and the whole numbers 127, -64 (63.5 to even), 0; w the scale 1/127 and 127, 64 (63.5 to even), 32 (31.75).
// Sum: 127 * 127 - 64 * 64 = 12033. bf16: 1 + 2^-8 lies halfway and becomes 1, 1 + 3 2^-8 halfway and 1 + 2^-6.
static void test_known(void) {
    const SeamKernels *ref = seam_kernels_ref();
    const float x[][3] = {{127, -63.5f, 0.4f}, {1 + 0x1p-8f, 1 + 0x3p-8f, 0}}, w[][3] = {{1, 0.5f, 0.25f}, {1, 1, 1}}, bias = 2;
    const struct {
        SeamPackType type;
        int row;
        float expected;
    } known[] = {{SEAM_PACK_I8, 0, 12033 / 127.0f}, {SEAM_PACK_BF16, 1, 2 + 0x1p-6f}, {SEAM_PACK_F32, 1, 2 + 0x1p-6f}};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        float y = 10;
        void *data = check_aligned(ref->pack_bytes(known[i].type, 1, 1, 3));
        SeamPacked packed = {.type = known[i].type, .groups = 1, .n = 1, .k = 3, .data = data};
        SeamLinearCall call = {.w = &packed, .rows = 1, .x_rows = 1, .x = x[known[i].row], .y = &y, .ldx = 3, .ldy = 1};
        ref->pack(known[i].type, 1, 1, 3, w[known[i].row], data);
        CHECK_OK(ref->linear(&call));
        g_assert_cmpfloat_with_epsilon(y, known[i].expected, 1e-5);
        call.bias = &bias;
        call.add = true;
        CHECK_OK(ref->linear(&call));
        g_assert_cmpfloat_with_epsilon(y, 2 * known[i].expected + 2, 1e-4);
        call.act = SEAM_ACT_GELU;
        call.add = false;
        CHECK_OK(ref->linear(&call));
        float expected = known[i].expected + 2;
        CHECK_OK(ref->gelu(1, &expected, &expected));
        g_assert_cmpfloat_with_epsilon(y, expected, 1e-4);
    }
}

static const CheckTest tests[] = {
    {"/kernels/packed/known", test_known},     {"/kernels/packed/shapes", test_shapes},   {"/kernels/packed/rows", test_rows},
    {"/kernels/packed/large", test_large},     {"/kernels/packed/special", test_special}, {"/kernels/packed/deepest", test_deepest},
    {"/kernels/packed/whole-numbers", test_whole}, {"/kernels/packed/conv", test_conv}, {"/kernels/packed/conv-model", test_conv_model},
};

void check_packed_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
