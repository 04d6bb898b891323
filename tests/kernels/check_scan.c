// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The selective scan and its gradient: ragged batches shorter and longer than a chunk, with and without a state to begin with, fast and slow
// decay; a stream in pieces against the same in one; a case worked by hand.
#include "tests/kernels/check.h"

typedef struct {
    int32_t seqs, most, heads, head_dim, state, slack;
    float step;  // the largest
    float rate;  // the largest
    bool initial;
    float poison; // unless 0, into one x
} Case;

static SeamScan make_batch(const Case *c) {
    int32_t *start = check_starts(c->seqs, c->most), dim = c->heads * c->head_dim, ld = dim + 2 * c->state + c->slack, n = start[c->seqs];
    float *x = check_floats((size_t)n * ld, -1, 1);
    if (c->poison != 0 && n > 0 && dim > 0)
        x[(size_t)(n / 2) * ld + dim / 2] = c->poison;
    return (SeamScan){.x = x, .b = x + dim, .c = x + dim + c->state, .ld = ld, .n = n, .heads = c->heads, .head_dim = c->head_dim, .state = c->state,
                      .step = check_floats((size_t)n * c->heads, 0, c->step), .rate = check_floats((size_t)c->heads, 0, c->rate),
                      .skip = check_floats((size_t)c->heads, -1, 1), .seq_start = start, .seqs = c->seqs,
                      .initial = c->initial ? check_floats((size_t)c->seqs * dim * c->state, -1, 1) : NULL};
}

// How large y can be: the sum of step |x| |b . c| over as many tokens as a state remembers.
static double largest(const Case *c) {
    double reach = MIN(c->most, 1 + 4 / MAX((double)c->step * c->rate, 1e-3));
    return c->state * (reach * c->step + (c->initial ? 1 : 0)) + 1;
}

static void backward(const Case *c, SeamScan *s) {
    size_t n = (size_t)s->n, dim = (size_t)s->heads * s->head_dim, ld = (size_t)s->ld, heads = (size_t)s->heads, state = (size_t)s->state;
    float *dy = check_floats(n * dim, -1, 1);
    CheckOut dx = check_set(n, dim, ld), db = check_set(n, state, ld), dc = check_set(n, state, ld), dstep = check_set(n, heads, heads);
    CheckOut drate = check_add(1, heads, heads), dskip = check_add(1, heads, heads);
    s->initial = NULL;
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->scan_backward(s, dy, dx.at[run], db.at[run], dc.at[run], dstep.at[run], drate.at[run], dskip.at[run]));
    double most = largest(c) * (c->head_dim + 1), tolerance = 2e-7 * most;
    check_compare("scan_backward: x", &dx, tolerance, 1e-6);
    check_compare("scan_backward: b", &db, tolerance * sqrt(c->heads), 1e-6);
    check_compare("scan_backward: c", &dc, tolerance * sqrt(c->heads), 1e-6);
    check_compare("scan_backward: step", &dstep, tolerance * (1 + c->rate * sqrt(c->most)), 1e-6);
    check_compare("scan_backward: rate", &drate, tolerance * (1 + c->step * (double)s->n), 1e-6);
    check_compare("scan_backward: skip", &dskip, 1e-6 * (1 + sqrt((double)(n * dim))), 1e-6);
}

static void scan_case(Case c) {
    SeamScan s = make_batch(&c);
    size_t n = (size_t)s.n, dim = (size_t)s.heads * s.head_dim, states = (size_t)s.seqs * dim;
    CheckOut y = check_set(n, dim, dim), final = check_set(states, (size_t)s.state, (size_t)s.state), silent = check_set(n, dim, dim);
    for (int run = 0; run < CHECK_RUNS; run++) {
        CHECK_OK(check_table(run)->scan(&s, y.at[run], final.at[run]));
        CHECK_OK(check_table(run)->scan(&s, silent.at[run], NULL));
    }
    check_compare("scan", &y, 2e-7 * largest(&c), 1e-6);
    check_compare("scan, no final state", &silent, 2e-7 * largest(&c), 1e-6);
    check_compare("scan: final state", &final, 2e-7 * (largest(&c) / MAX(c.state, 1) + 1), 1e-6);
    backward(&c, &s);
    check_done();
}

static Case random_case(int32_t i) {
    static const int32_t head_dims[] = {1, 2, 5, 8, 15, 16, 17, 32, 33, 64, 128}, states[] = {1, 2, 3, 8, 15, 16, 17, 32, 64, 100, 128};
    return (Case){.seqs = check_int(0, 4), .most = i % 3 ? 40 : 120, .heads = check_int(1, 4), .slack = check_int(0, 3), .initial = i & 1,
                  .head_dim = head_dims[check_int(0, G_N_ELEMENTS(head_dims) - 1)], .state = states[check_int(0, G_N_ELEMENTS(states) - 1)],
                  .step = i & 2 ? 1 : 0.1f, .rate = i & 4 ? 2 : 0.5f};
}

static void test_shapes(void) {
    for (int32_t i = 0; i < 60; i++)
        scan_case(random_case(i));
}

static void test_steep(void) { // decays that underflow, and states that never fade
    for (int32_t i = 0; i < 20; i++) {
        Case c = random_case(i);
        c.step = i % 2 ? 20 : 0.05f;
        c.rate = i % 2 ? 50 : 0;
        scan_case(c);
    }
}

static void test_nothing(void) {
    scan_case((Case){.seqs = 0, .most = 4, .heads = 2, .head_dim = 8, .state = 4, .step = 1, .rate = 1, .initial = true});
    scan_case((Case){.seqs = 3, .most = 4, .heads = 0, .head_dim = 8, .state = 4, .step = 1, .rate = 1});
    scan_case((Case){.seqs = 3, .most = 4, .heads = 2, .head_dim = 0, .state = 4, .step = 1, .rate = 1, .initial = true});
    scan_case((Case){.seqs = 3, .most = 4, .heads = 2, .head_dim = 8, .state = 0, .step = 1, .rate = 1, .initial = true});
}

// What comes after a NaN is NaN as in ref; what comes before its chunk is not touched.
static void test_not_finite(void) {
    Case c = {.seqs = 1, .most = 200, .heads = 2, .head_dim = 8, .state = 4, .step = 0.5f, .rate = 0.5f, .poison = NAN};
    for (int32_t i = 0; i < 10; i++) {
        SeamScan s = make_batch(&c);
        size_t size = (size_t)s.n * 16;
        float *y = check_floats(size, 0, 0), *wanted = check_floats(size, 0, 0);
        CHECK_OK(seam_kernels_ref()->scan(&s, wanted, NULL));
        CHECK_OK(seam_kernels_cpu()->scan(&s, y, NULL));
        for (size_t j = 0; j < size; j++) {
            g_assert_true(isfinite(y[j]) || !isfinite(wanted[j]) || (int32_t)(j / 16) + 64 > s.n / 2);
            g_assert_true(isfinite(wanted[j]) || !isfinite(y[j]));
        }
        check_done();
    }
}

// A stream in two pieces, the state handed on in place, gives what it gives in one.
static void test_pieces(void) {
    for (int32_t cut = 1; cut < 100; cut += 13) {
        Case c = {.seqs = 1, .most = 100, .heads = 2, .head_dim = 16, .state = 8, .step = 0.3f, .rate = 0.4f};
        SeamScan s = make_batch(&c), first = s, second = s;
        if (s.n <= cut)
            continue;
        int32_t *ends = check_zeros(4);
        ends[1] = cut;
        ends[3] = s.n - cut;
        float *y = check_floats((size_t)s.n * 32, 0, 0), *parts = check_floats((size_t)s.n * 32, 0, 0), *state = check_floats(32 * 8, 0, 0);
        first.n = cut;
        first.seq_start = ends;
        second.n = s.n - cut;
        second.seq_start = ends + 2;
        second.x += (size_t)cut * s.ld;
        second.b += (size_t)cut * s.ld;
        second.c += (size_t)cut * s.ld;
        second.step += (size_t)cut * 2;
        second.initial = state;
        for (int run = 0; run < 2; run++) {
            const SeamKernels *k = check_table(run);
            CHECK_OK(k->scan(&s, y, NULL));
            CHECK_OK(k->scan(&first, parts, state));
            CHECK_OK(k->scan(&second, parts + (size_t)cut * 32, state));
            for (size_t i = 0; i < (size_t)s.n * 32; i++)
                g_assert_true(fabsf(parts[i] - y[i]) <= 1e-5f * (1 + fabsf(y[i])));
        }
        check_done();
    }
}

// Two tokens, one channel, one number of state, rate ln 2 and steps 1: S1 = 3 * 1, y1 = 3 * 2 + 0.5 * 3; S2 = (S0 + 3) / 2 ..
static void test_known(void) {
    float x[] = {3, 1, 2, 4, 5, 1}; // x, b, c of each token
    float step[] = {1, 1}, rate = logf(2), skip = 0.5f, initial = 8, y[2], final;
    SeamScan s = {.x = x, .b = x + 1, .c = x + 2, .ld = 3, .step = step, .rate = &rate, .skip = &skip, .initial = &initial, .n = 2, .heads = 1,
                  .head_dim = 1, .state = 1, .seq_start = (const int32_t[]){0, 2}, .seqs = 1};
    for (int run = 0; run < 2; run++) {
        CHECK_OK(check_table(run)->scan(&s, y, &final)); // S: 8 -> 4 + 3 = 7 -> 3.5 + 20 = 23.5
        g_assert_cmpfloat_with_epsilon(y[0], 7 * 2 + 1.5f, 1e-5);
        g_assert_cmpfloat_with_epsilon(y[1], 23.5f + 2, 1e-6);
        g_assert_cmpfloat_with_epsilon(final, 23.5f, 1e-6);
    }
}

static const CheckTest tests[] = {
    {"/kernels/scan/shapes", test_shapes}, {"/kernels/scan/steep", test_steep}, {"/kernels/scan/nothing", test_nothing},
    {"/kernels/scan/not-finite", test_not_finite}, {"/kernels/scan/pieces", test_pieces}, {"/kernels/scan/known", test_known},
};

void check_scan_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
