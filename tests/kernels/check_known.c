// SPDX-License-Identifier: LGPL-2.1-or-later
//
// ref against values worked out by hand: what the other tests compare with is itself right.
#include "tests/kernels/check.h"

static const SeamKernels *ref;

static void expect(const float *got, size_t n, const float *want) {
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-6f * (1 + fabsf(want[i]))))
            g_error("element %zu is %.9g, must be %.9g", i, got[i], want[i]);
}
#define EXPECT(got, ...) expect(got, sizeof((float[]){__VA_ARGS__}) / sizeof(float), (float[]){__VA_ARGS__})

static void expect_ints(const int32_t *got, size_t n, const int32_t *want) {
    for (size_t i = 0; i < n; i++)
        g_assert_cmpint(got[i], ==, want[i]);
}
#define EXPECT_INTS(got, ...) expect_ints(got, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t), (int32_t[]){__VA_ARGS__})

static void test_gemm(void) {
    float a[] = {1, 2, 3, 4, 5, 6}, at[] = {1, 4, 2, 5, 3, 6}, b[] = {1, 0, 2, 1, 0, 3}, bt[] = {1, 2, 0, 0, 1, 3}, c[] = {9, 9, 9, 9};
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            CHECK_OK(ref->gemm(ta, tb, 2, 2, 3, ta ? at : a, ta ? 2 : 3, tb ? bt : b, tb ? 3 : 2, 0, c, 2));
            EXPECT(c, 5, 11, 14, 23);
        }
    CHECK_OK(ref->gemm(false, false, 2, 2, 3, a, 3, b, 2, 1, c, 2));
    EXPECT(c, 10, 22, 28, 46);
    CHECK_OK(ref->gemm(false, false, 2, 2, 0, NULL, 0, NULL, 2, 0, c, 2));
    EXPECT(c, 0, 0, 0, 0);

    int32_t start[] = {0, 1, 1, 3};
    float w[] = {1, 1, 9, 9, 2, -1}, y[3], dw[6] = {1, 0, 0, 1, 0, 0}, rows[] = {1, 2, 3, 4, 5, 6};
    CHECK_OK(ref->grouped_gemm(true, 3, start, 1, 2, rows, w, y));
    EXPECT(y, 3, 2, 4);
    CHECK_OK(ref->grouped_gemm_dw(3, start, 1, 2, (float[]){10, 1, 2}, rows, dw));
    EXPECT(dw, 11, 20, 0, 1, 13, 16);
    CHECK_OK(ref->grouped_add_bias(3, start, 2, w, rows));
    EXPECT(rows, 2, 3, 5, 3, 7, 5);
    CHECK_OK(ref->grouped_bias_grad(3, start, 2, rows, dw));
    EXPECT(dw, 13, 23, 0, 1, 25, 24);
}

static void test_conv(void) {
    SeamConv c = {.batch = 1, .h = 3, .w = 3, .in = 1, .out = 2, .kernel = 2, .stride = 2, .pad = 1};
    float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 10, 100, 1000, 0, 0, 0, 1}, bias[] = {0.5f, 0}, y[8], dx[9];
    CHECK_OK(ref->conv(&c, x, w, bias, y));
    EXPECT(y, 1000.5f, 1, 3200.5f, 3, 7040.5f, 7, 9865.5f, 9);
    CHECK_OK(ref->conv_backward_data(&c, w, (float[]){1, 0, 1, 0, 1, 0, 1, 0}, dx));
    EXPECT(dx, 1000, 100, 1000, 10, 1, 10, 1000, 100, 1000);
}

static void test_activations(void) {
    float x[] = {0, 1, -1, 3, 1e30f, -1e30f}, y[6];
    CHECK_OK(ref->gelu(6, x, y));
    EXPECT(y, 0, 0.841191991f, -0.158808009f, 2.99636261f, 1e30f, 0);
    CHECK_OK(ref->gelu_backward(6, x, (float[]){1, 1, 1, 1, 2, 2}, y));
    EXPECT(y, 0.5f, 1.0829641f, -0.0829640f, 1.0115842f, 2, 0);
    CHECK_OK(ref->sigmoid(6, x, y));
    EXPECT(y, 0.5f, 0.731058579f, 0.268941421f, 0.952574127f, 1, 0);
}

static void test_layer_norm(void) {
    float x[] = {1, 2, 3, 5, 5, 5}, y[6], mean[2], rstd[2];
    CHECK_OK(ref->layer_norm(2, 3, x, (float[]){1, 1, 2}, (float[]){0, 1, 0}, y, mean, rstd));
    EXPECT(mean, 2, 5);
    EXPECT(rstd, 1.22473569f, 316.227766f); // 1 / sqrt(2/3 + 1e-5), 1 / sqrt(1e-5)
    EXPECT(y, -1.22473569f, 1, 2.44947138f, 0, 1, 0);
}

// Two keys with scores 0 and log 3: weights 1/4 and 3/4.
static void test_attention(void) {
    float q[] = {1, 1, 1}, k[] = {0, logf(3), 7}, v[] = {4, 8, 1}, gate[] = {1, 0.5f, 0.1f}, out[3], lse[3], dq[3], dk[3], dv[3], dgate[3];
    int32_t seq_start[] = {0, 2, 2, 3}, key_start[] = {0, 0, 1, 1}, key_index[] = {0};
    SeamAttention a = {.q = q, .k = k, .v = v, .ld = 1, .gate = gate, .gate_threshold = 0.2f, .scale = 1, .n = 3, .heads = 1, .head_dim = 1,
                       .seq_start = seq_start, .seqs = 3};
    CHECK_OK(ref->attention(&a, out, lse));
    EXPECT(out, 7, 3.5f, 0);
    EXPECT(lse, logf(4), logf(4), 0);
    CHECK_OK(ref->attention_backward(&a, out, lse, (float[]){1, 0, 5}, dq, dk, dv, dgate));
    EXPECT(dgate, 7, 0, 0);
    EXPECT(dv, 0.25f, 0.75f, 0);
    EXPECT(dk, -0.75f, 0.75f, 0); // p (v - 7)
    EXPECT(dq, 0.75f * logf(3), 0, 0);
    a.key_bias = (float[]){logf(3), 0, 0}; // three of the first key: as likely as the second
    CHECK_OK(ref->attention(&a, out, lse));
    EXPECT(out, 6, 3, 0);
    EXPECT(lse, logf(6), logf(6), 0);
    CHECK_OK(ref->attention_backward(&a, out, lse, (float[]){1, 0, 5}, dq, dk, dv, dgate));
    EXPECT(dgate, 6, 0, 0);
    EXPECT(dk, -1, 1, 0);
    a.key_bias = NULL;
    a.gate_threshold = 0.1f; // on the threshold is open
    CHECK_OK(ref->attention(&a, out, lse));
    EXPECT(out, 7, 3.5f, 0.1f);
    a.key_start = key_start;
    a.key_index = key_index;
    CHECK_OK(ref->attention(&a, out, NULL));
    EXPECT(out, 0, 2, 0);
}

static void test_route(void) {
    SeamRoute r = {.n = 2, .experts = 6, .groups = 3, .groups_kept = 2, .top_k = 3};
    // Token 0: group scores 0.4, 0.25, 0.35; the bias lifts expert 3 by 0.3, so that group 1 beats group 2.
    float p0[] = {0.2f, 0.2f, 0.05f, 0.2f, 0.25f, 0.1f}, logits[12], bias[] = {0, 0, 0, 0.3f, 0, 0}, probs[12], gate[6], dlogits[12];
    int32_t index[6], start[7], position[6], source[6];
    for (int32_t e = 0; e < 6; e++) {
        logits[e] = logf(p0[e]) + 3;
        logits[6 + e] = e == 5 ? NAN : 0;
    }
    CHECK_OK(ref->route(&r, logits, bias, probs, index, gate));
    expect(probs, 6, p0);
    EXPECT_INTS(index, 3, 0, 1, 0, 1, 2);
    EXPECT(gate, 1 / 3.0f, 1 / 3.0f, 1 / 3.0f);
    g_assert_true(isnan(gate[3]) && isnan(probs[6]));
    CHECK_OK(ref->route_sort(&r, index, start, position, source));
    EXPECT_INTS(start, 0, 2, 4, 5, 6, 6, 6);
    EXPECT_INTS(position, 5, 0, 2, 1, 3, 4);
    EXPECT_INTS(source, 0, 1, 0, 1, 1, 0);
    r.mass = 0.6f; // two of token 0's equal gates; token 1's are NaN
    CHECK_OK(ref->route(&r, logits, bias, probs, index, gate));
    EXPECT_INTS(index, 3, 0, -1, 0, 1, 2);
    expect(gate, 3, (float[]){0.5f, 0.5f, 0});
    CHECK_OK(ref->route_sort(&r, index, start, position, source));
    EXPECT_INTS(start, 0, 2, 3, 4, 5, 5, 5);
    EXPECT_INTS(position, 4, 0, -1, 1, 2, 3);
    r.mass = 0;
    CHECK_OK(ref->route(&r, logits, bias, probs, index, gate));
    r.n = 1;
    CHECK_OK(ref->route_backward(&r, probs, index, gate, (float[]){3, 0, 0}, (float[]){1, 0, 0, 0, 0, 0}, dlogits));
    EXPECT(dlogits, 0.16f - 1 / 3.0f, -0.04f - 1 / 3.0f, -0.01f, 2 / 3.0f - 0.04f, -0.05f, -0.02f);
}

static void test_rows(void) {
    int32_t position[] = {2, 0, 1, 3}, start[] = {0, 2, 2, 3}, ids[] = {1, 1, 0};
    float y[] = {1, 2, 3, 4}, out[] = {10, 20}, dy[4], dgate[4], dx[2], weight[3], pooled[3], table[] = {5, 7}, gate[] = {0.5f, 1, 2, 0};
    CHECK_OK(ref->combine(2, 2, 1, position, gate, y, out));
    EXPECT(out, 12.5f, 24);
    CHECK_OK(ref->combine_backward(2, 2, 1, position, gate, y, (float[]){1, 3}, dy, dgate));
    EXPECT(dy, 1, 6, 0.5f, 0);
    EXPECT(dgate, 3, 1, 6, 12);
    CHECK_OK(ref->gather_backward(2, 2, 1, position, y, dx));
    EXPECT(dx, 4, 6);
    CHECK_OK(ref->pool(3, start, 1, (float[]){4, 8, 3}, (float[]){0, logf(3), 5000}, weight, pooled));
    EXPECT(weight, 0.25f, 0.75f, 1);
    EXPECT(pooled, 7, 0, 3);
    CHECK_OK(ref->embed_bag(3, start, ids, 1, table, pooled));
    EXPECT(pooled, 7, 0, 5);
    CHECK_OK(ref->embed_bag_backward(3, start, ids, 1, (float[]){2, 9, 1}, table));
    EXPECT(table, 6, 9);
    CHECK_OK(ref->distances(1, 3, 2, (float[]){1, 1}, (float[]){1, 1, 4, 5, 0, 1}, weight));
    EXPECT(weight, 0, 25, 1);
}

static void test_optimiser(void) {
    float w[] = {1, -2}, m[2] = {0}, v[2] = {0}, y[3];
    double sum;
    CHECK_OK(ref->adamw(2, w, (float[]){0.5f, -3}, m, v, 0.1f, 0.9f, 0.99f, 0, 0.01f, 1));
    EXPECT(w, 1 - 0.1f * (1 + 0.01f), -2 - 0.1f * (-1 - 0.02f));
    EXPECT(m, 0.05f, -0.3f);
    EXPECT(v, 0.0025f, 0.09f);
    CHECK_OK(ref->sum_squares(2, (float[]){3, 4}, &sum));
    g_assert_true(sum == 25);
    CHECK_OK(ref->normalise_u8(1, 3, (uint8_t[]){0, 128, 255}, (float[]){1, 28, 5}, (float[]){1, 0.5f, 0.1f}, y));
    EXPECT(y, -1, 50, 25);
}

static void test_half(void) {
    static const struct {
        float value;
        uint16_t half;
    } known[] = {{0, 0}, {-0.0f, 0x8000}, {1, 0x3c00}, {-2, 0xc000}, {65504, 0x7bff}, {65519.996f, 0x7bff}, {65520, 0x7c00}, {1e30f, 0x7c00},
                 {INFINITY, 0x7c00}, {-INFINITY, 0xfc00}, {0x1p-24f, 1}, {0x1p-25f, 0}, {0x1.002p-25f, 1}, {0x3p-25f, 2}, {0x1p-14f, 0x400},
                 {0x1.ff8p-15f, 0x3ff}, {0x1.ffcp-15f, 0x400}, {1 + 0x1p-11f, 0x3c00}, {1 + 0x3p-11f, 0x3c02}, {1e-45f, 0}};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        uint16_t half;
        CHECK_OK(ref->f32_to_f16(1, &known[i].value, &half));
        g_assert_cmphex(half, ==, known[i].half);
    }
    uint16_t halves[] = {0x3c00, 0xc000, 1, 0x400, 0x7bff, 0x7c00, 0x7e00}, half;
    float y[7], nan = NAN;
    CHECK_OK(ref->f16_to_f32(7, halves, y));
    EXPECT(y, 1, -2, 0x1p-24f, 0x1p-14f, 65504);
    g_assert_true(isinf(y[5]) && isnan(y[6]));
    CHECK_OK(ref->f32_to_f16(1, &nan, &half));
    g_assert_cmphex(half & 0x7e00, ==, 0x7e00);
}

static void test_table(void) { // no slot is empty, and each is in the list of choices
    size_t count, slots = (sizeof(SeamKernels) - offsetof(SeamKernels, gemm)) / sizeof(void (*)(void));
    const SeamKernelChoice *choice = seam_kernels_cpu_choices(&count);
    g_assert_cmpuint(count, ==, slots + SEAM_PACK_I8 + 1); // and the number types
    for (size_t i = 0; i < slots; i++) {
        void (*slot)(void);
        for (int run = CHECK_REF; run <= CHECK_CPU; run++) {
            memcpy(&slot, (const char *)check_table(run) + offsetof(SeamKernels, gemm) + i * sizeof slot, sizeof slot);
            g_assert_true(slot != NULL);
        }
        g_assert_true(choice[i].operation && choice[i].implementation);
    }
    for (SeamStatus s = SEAM_OK; s <= SEAM_DEVICE_ERROR; s++)
        g_assert_cmpstr(seam_status_text(s), !=, seam_status_text(s + 1));
}

static const CheckTest tests[] = {
    {"/kernels/known/gemm", test_gemm}, {"/kernels/known/conv", test_conv}, {"/kernels/known/activations", test_activations},
    {"/kernels/known/layer-norm", test_layer_norm}, {"/kernels/known/attention", test_attention}, {"/kernels/known/route", test_route},
    {"/kernels/known/rows", test_rows}, {"/kernels/known/optimiser", test_optimiser}, {"/kernels/known/half", test_half},
    {"/kernels/known/table", test_table},
};

void check_known_register(void) {
    ref = seam_kernels_ref();
    check_register(tests, G_N_ELEMENTS(tests));
}
