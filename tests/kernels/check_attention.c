// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Attention and its gradient over ragged batches: dense and with key lists, gates open, closed and on the threshold, flat and steep softmax, keys that
// stand for more than one token.
#include "tests/kernels/check.h"

typedef enum { GATE_NONE, GATE_SOME, GATE_ALL_CLOSED, GATE_ZERO } Gate; // GATE_ZERO: gates of 0 that are open, for the threshold is 0

typedef struct {
    int32_t seqs, most, heads, head_dim, slack;
    bool lists;
    Gate gate;
    float scale;  // times 1 / sqrt(head_dim)
    float poison; // unless 0, into one key
    bool biased;
} Case;

static int32_t *starts(const Case *c) {
    int32_t *start = check_zeros((size_t)c->seqs + 1);
    for (int32_t s = 0; s < c->seqs; s++)
        start[s + 1] = start[s] + (check_int(0, 4) == 0 ? 0 : check_int(1, c->most));
    return start;
}

// Some keys of each query's sequence, in falling order for odd queries; a fifth of the queries have none.
static void make_lists(SeamAttention *a, const int32_t *start) {
    int32_t pairs = 0, *key_start = check_zeros((size_t)a->n + 1), *key_index;
    for (int32_t s = 0; s < a->seqs; s++)
        pairs += (start[s + 1] - start[s]) * (start[s + 1] - start[s]);
    key_index = check_zeros((size_t)pairs);
    for (int32_t s = 0; s < a->seqs; s++)
        for (int32_t i = start[s]; i < start[s + 1]; i++) {
            int32_t count = key_start[i], share = check_int(0, 4);
            for (int32_t t = start[s]; t < start[s + 1]; t++)
                if (check_int(1, 4) <= share)
                    key_index[count++] = i & 1 ? start[s] + start[s + 1] - 1 - t : t;
            key_start[i + 1] = count;
        }
    a->key_start = key_start;
    a->key_index = key_index;
}

static float *make_gates(const Case *c, size_t n, float threshold) {
    float *gate = check_floats(n, 0, 1);
    for (size_t i = 0; i < n; i++) {
        if (c->gate == GATE_ALL_CLOSED)
            gate[i] = 0.1f * gate[i];
        else if (c->gate == GATE_ZERO && check_int(0, 2) == 0)
            gate[i] = 0;
        else if (check_int(0, 9) == 0)
            gate[i] = threshold;
    }
    return gate;
}

static SeamAttention make_batch(const Case *c) {
    int32_t *start = starts(c), dim = c->heads * c->head_dim, ld = 3 * dim + c->slack, n = start[c->seqs];
    float *qkv = check_floats((size_t)n * ld, -1, 1);
    SeamAttention a = {.q = qkv, .k = qkv + dim, .v = qkv + 2 * dim, .ld = ld, .n = n, .heads = c->heads, .head_dim = c->head_dim,
                       .scale = c->scale / sqrtf((float)MAX(c->head_dim, 1)), .seq_start = start, .seqs = c->seqs};
    a.gate_threshold = c->gate == GATE_ZERO ? 0 : 0.3f;
    a.key_bias = c->biased ? check_floats((size_t)n, 0, 3) : NULL;
    if (c->gate != GATE_NONE)
        a.gate = make_gates(c, (size_t)n * c->heads, a.gate_threshold);
    if (c->lists)
        make_lists(&a, start);
    if (c->poison != 0 && n > 0 && dim > 0)
        qkv[(size_t)(n / 2) * ld + dim + dim / 2] = c->poison;
    return a;
}

static void check_closed(const SeamAttention *a, const CheckOut *out, const CheckOut *dq, const CheckOut *dgate) {
    for (size_t i = 0; a->gate && i < (size_t)a->n * a->heads; i++)
        for (int32_t c = 0; a->gate[i] < a->gate_threshold && c < a->head_dim; c++) {
            size_t token = i / (size_t)a->heads, head = i % (size_t)a->heads;
            g_assert_true(out->at[CHECK_CPU][i * a->head_dim + c] == 0);
            g_assert_true(dq->at[CHECK_CPU][token * a->ld + head * a->head_dim + c] == 0);
            g_assert_true(dgate->at[CHECK_CPU][i] == 0);
        }
}

// Scores are sums of head_dim products, scaled: at most `steep`. Their rounding is the relative error of the weights, and with values and
// gradients in [-1, 1] that of all results; dk and dv are sums over up to c->most queries, each with weights that sum to 1.
static void attention_case(Case c) {
    SeamAttention a = make_batch(&c);
    size_t n = (size_t)a.n, heads = (size_t)a.heads, dim = heads * a.head_dim, ld = (size_t)a.ld;
    float *dout = check_floats(n * dim, -1, 1);
    CheckOut out = check_set(n, dim, dim), lse = check_set(n, heads, heads), silent = check_set(n, dim, dim);
    CheckOut dq = check_set(n, dim, ld), dk = check_set(n, dim, ld), dv = check_set(n, dim, ld), dgate = check_set(n, heads, heads);
    for (int run = 0; run < CHECK_RUNS; run++) {
        const SeamKernels *k = check_table(run);
        CHECK_OK(k->attention(&a, out.at[run], lse.at[run]));
        CHECK_OK(k->attention(&a, silent.at[run], NULL));
        CHECK_OK(k->attention_backward(&a, out.at[CHECK_REF], lse.at[CHECK_REF], dout, dq.at[run], dk.at[run], dv.at[run],
                                       a.gate ? dgate.at[run] : NULL));
        if (!a.gate)
            memset(dgate.at[run], 0, n * heads * sizeof(float));
    }
    double steep = fabs(a.scale) * c.head_dim, weight = check_sum_tolerance(4 + 2 * (int64_t)steep, 1);
    double gradient = weight * (c.head_dim + 1) * (1 + fabs(a.scale));
    check_compare("attention", &out, weight, 0);
    check_compare("attention, no lse", &silent, weight, 0);
    check_compare("attention: lse", &lse, check_sum_tolerance(8 + 2 * (int64_t)steep, 1), 1e-6);
    check_compare("attention_backward: q", &dq, gradient, 0);
    check_compare("attention_backward: k", &dk, gradient * (1 + sqrt(c.most)), 0);
    check_compare("attention_backward: v", &dv, weight * (1 + sqrt(c.most)), 1e-6);
    check_compare("attention_backward: gate", &dgate, weight * (c.head_dim + 1), 0);
    check_closed(&a, &out, &dq, &dgate);
    check_done();
}

static Case random_case(int32_t i) {
    static const int32_t head_dims[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 48, 64, 80, 100, 127, 128};
    return (Case){.seqs = check_int(0, 6), .most = check_int(1, 40), .heads = check_int(1, 4), .slack = check_int(0, 3), .lists = i & 1,
                  .head_dim = head_dims[check_int(0, G_N_ELEMENTS(head_dims) - 1)], .gate = i >> 1 & 1 ? GATE_SOME : GATE_NONE, .scale = 1,
                  .biased = i % 3 == 0};
}

static void test_shapes(void) {
    for (int32_t i = 0; i < 160; i++)
        attention_case(random_case(i));
}

static void test_gates(void) {
    for (int32_t i = 0; i < 40; i++) {
        Case c = random_case(i);
        c.gate = i & 2 ? GATE_ALL_CLOSED : GATE_ZERO;
        attention_case(c);
    }
}

static void test_steep(void) { // scores of some hundreds: one key takes all, and exp of the others underflows
    for (int32_t i = 0; i < 60; i++) {
        Case c = random_case(i);
        c.scale = i % 3 ? 30 : 600;
        attention_case(c);
    }
}

static void test_long(void) {
    for (int32_t i = 0; i < 4; i++)
        attention_case((Case){.seqs = 2, .most = 500, .heads = 2, .head_dim = 32, .lists = i & 1, .gate = i & 2 ? GATE_SOME : GATE_NONE, .scale = 1});
    attention_case((Case){.seqs = 150, .most = 3, .heads = 3, .head_dim = 32, .gate = GATE_SOME, .scale = 1});
}

static void test_nothing(void) {
    attention_case((Case){.seqs = 3, .most = 4, .heads = 0, .head_dim = 8, .scale = 1});
    attention_case((Case){.seqs = 3, .most = 4, .heads = 2, .head_dim = 0, .scale = 1, .gate = GATE_SOME});
    attention_case((Case){.seqs = 0, .most = 4, .heads = 2, .head_dim = 8, .scale = 1, .lists = true});
}

static void test_not_finite(void) { // closed heads stay 0 whatever the keys hold
    for (int32_t i = 0; i < 40; i++) {
        Case c = random_case(i);
        c.poison = NAN;
        attention_case(c);
    }
}

static const CheckTest tests[] = {
    {"/kernels/attention/shapes", test_shapes}, {"/kernels/attention/gates", test_gates}, {"/kernels/attention/steep", test_steep},
    {"/kernels/attention/long", test_long}, {"/kernels/attention/nothing", test_nothing}, {"/kernels/attention/not-finite", test_not_finite},
};

void check_attention_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
