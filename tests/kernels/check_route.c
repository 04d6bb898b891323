// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Expert selection, its gradient and the sort. Where two candidates lie within `band`, the backends may choose differently and the token's
// choice is not compared; random logits rarely come so near. Exact ties are tested by themselves: they go to the lower index everywhere.
#include "tests/kernels/check.h"

enum { most_experts = 256 };
static const double band = 1e-5;
// Softmax in f32: the rounding of the exponential's argument, at most 20 here, and of the sum.
static const double tolerance = 1e-6;

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// The least distance between the first `count` of n values in falling order and the next one.
static double margin(int32_t n, const double *value, int32_t count) {
    double sorted[most_experts], least = INFINITY;
    memcpy(sorted, value, (size_t)n * sizeof *value);
    qsort(sorted, (size_t)n, sizeof *sorted, falling);
    for (int32_t i = 0; i < count && i + 1 < n; i++)
        least = fmin(least, sorted[i] - sorted[i + 1]);
    return least;
}

// Whether a token's choice is clear: groups by more than the band at the border between kept and dropped, experts by more in every place.
static bool clear(const SeamRoute *r, const float *probs, const float *bias) {
    if (r->top_k == 0)
        return true;
    int32_t size = r->experts / r->groups, kept = 0;
    double group[most_experts], sorted[most_experts], score[most_experts], in_kept[most_experts];
    for (int32_t e = 0; e < r->experts; e++)
        score[e] = (double)probs[e] + bias[e];
    for (int32_t g = 0; g < r->groups; g++) {
        memcpy(sorted, score + g * size, (size_t)size * sizeof *sorted);
        qsort(sorted, (size_t)size, sizeof *sorted, falling);
        group[g] = sorted[0] + (size > 1 ? sorted[1] : 0);
    }
    memcpy(sorted, group, (size_t)r->groups * sizeof *sorted);
    qsort(sorted, (size_t)r->groups, sizeof *sorted, falling);
    double last = sorted[r->groups_kept - 1];
    if (r->groups_kept < r->groups && last - sorted[r->groups_kept] < band)
        return false;
    for (int32_t e = 0; e < r->experts; e++)
        if (group[e / size] >= last)
            in_kept[kept++] = score[e];
    return margin(kept, in_kept, r->top_k) >= band;
}

static SeamRoute random_route(int32_t n) {
    static const int32_t shape[][2] = {{1, 1}, {4, 1},  {4, 4},  {6, 2},  {6, 3},    {8, 4},  {12, 2},
                                       {16, 4}, {16, 1}, {48, 3}, {64, 8}, {256, 16}, {250, 5}};
    int32_t i = check_int(0, G_N_ELEMENTS(shape) - 1), experts = shape[i][0], groups = shape[i][1];
    SeamRoute r = {.n = n, .experts = experts, .groups = groups, .groups_kept = check_int(1, groups)};
    r.top_k = check_int(0, MIN(8, r.groups_kept * experts / groups));
    return r;
}

static void check_valid(const SeamRoute *r, const int32_t *index) {
    for (int32_t i = 0; i < r->n; i++)
        for (int32_t j = 0; j < r->top_k; j++) {
            g_assert_cmpint(index[i * r->top_k + j], >=, 0);
            g_assert_cmpint(index[i * r->top_k + j], <, r->experts);
            for (int32_t other = 0; other < j; other++)
                g_assert_cmpint(index[i * r->top_k + j], !=, index[i * r->top_k + other]);
        }
}

// The bytes of -1 are also those of memory that nobody wrote: where -1 is right, -2 stands for it in the comparison.
static void mark_none(CheckOut *out, const int32_t *index, size_t n) {
    for (int run = 0; run < CHECK_RUNS; run++)
        for (size_t i = 0; i < n; i++)
            if (index[i] == -1 && check_as_ints(out, run)[i] == -1)
                check_as_ints(out, run)[i] = -2;
}

static void sort_case(const SeamRoute *r, const int32_t *index) {
    size_t rows = (size_t)r->n * r->top_k;
    CheckOut start = check_ints((size_t)r->experts + 1), position = check_ints(rows), source = check_ints(rows);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->route_sort(r, index, check_as_ints(&start, run), check_as_ints(&position, run), check_as_ints(&source, run)));
    check_compare_ints("route_sort: start", &start);
    mark_none(&position, index, rows);
    for (int run = 0; run < CHECK_RUNS; run++)
        for (size_t i = (size_t)check_as_ints(&start, CHECK_REF)[r->experts]; i < rows; i++)
            check_as_ints(&source, run)[i] = -2; // rows of nobody
    check_compare_ints("route_sort: position", &position);
    check_compare_ints("route_sort: source", &source);
}

static void backward_case(const SeamRoute *r, const float *probs, const int32_t *index, const float *gate) {
    size_t n = (size_t)r->n, experts = (size_t)r->experts;
    float *dgate = check_floats(n * r->top_k, -1, 1), *dprobs = check_floats(n * experts, -1, 1);
    CheckOut with = check_set(n, experts, experts), without = check_set(n, experts, experts);
    for (int run = 0; run < CHECK_RUNS; run++) {
        CHECK_OK(check_table(run)->route_backward(r, probs, index, gate, dgate, dprobs, with.at[run]));
        CHECK_OK(check_table(run)->route_backward(r, probs, index, gate, dgate, NULL, without.at[run]));
    }
    check_compare("route_backward", &with, tolerance, 0);
    check_compare("route_backward without dprobs", &without, tolerance, 0);
}

static void route_case(const SeamRoute *r) {
    size_t n = (size_t)r->n, experts = (size_t)r->experts, top_k = (size_t)r->top_k;
    float *logits = check_floats(n * experts, -5, 5), *bias = check_floats(experts, -0.1f, 0.1f);
    CheckOut probs = check_set(n, experts, experts), gate = check_set(n, top_k, top_k), index = check_ints(n * top_k);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->route(r, logits, bias, probs.at[run], check_as_ints(&index, run), gate.at[run]));
    check_compare("route: probs", &probs, tolerance, 0);
    check_valid(r, check_as_ints(&index, CHECK_CPU));
    for (size_t i = 0; i < n; i++)
        if (!clear(r, probs.at[CHECK_REF] + i * experts, bias))
            for (size_t j = i * top_k; j < (i + 1) * top_k; j++)
                for (int run = CHECK_CPU; run < CHECK_RUNS; run++) {
                    check_as_ints(&index, run)[j] = check_as_ints(&index, CHECK_REF)[j];
                    gate.at[run][j] = gate.at[CHECK_REF][j];
                }
    check_compare_ints("route: index", &index);
    check_compare("route: gate", &gate, tolerance, 0);
    sort_case(r, check_as_ints(&index, CHECK_REF));
    backward_case(r, probs.at[CHECK_REF], check_as_ints(&index, CHECK_REF), gate.at[CHECK_REF]);
    check_done();
}

static void test_shapes(void) {
    for (int32_t i = 0; i < 200; i++) {
        SeamRoute r = random_route(check_size(100));
        route_case(&r);
    }
    route_case(&(SeamRoute){.n = 3000, .experts = 16, .groups = 4, .groups_kept = 2, .top_k = 4});
    route_case(&(SeamRoute){.n = 5});
}

// One token through all three runs, which must agree exactly; returns cpu's choice.
static const int32_t *exact_choice(const SeamRoute *r, const float *logits, const float *bias, const char *what, float *gate) {
    size_t n = (size_t)r->n, experts = (size_t)r->experts, top_k = (size_t)r->top_k;
    CheckOut probs = check_set(n, experts, experts), gates = check_set(n, top_k, top_k), index = check_ints(n * top_k);
    for (int run = 0; run < CHECK_RUNS; run++)
        CHECK_OK(check_table(run)->route(r, logits, bias, probs.at[run], check_as_ints(&index, run), gates.at[run]));
    check_valid(r, check_as_ints(&index, CHECK_CPU));
    check_compare_ints(what, &index);
    check_compare(what, &probs, tolerance, 0);
    check_compare(what, &gates, tolerance, 0);
    memcpy(gate, gates.at[CHECK_CPU], n * top_k * sizeof *gate);
    return check_as_ints(&index, CHECK_CPU);
}

static void test_ties(void) {
    for (int32_t i = 0; i < 100; i++) {
        SeamRoute r = random_route(1);
        float logits[most_experts], gate[most_experts], bias[most_experts] = {0};
        for (int32_t e = 0; e < r.experts; e++)
            logits[e] = i % 2 ? 1.5f : (float)check_int(0, 1);
        const int32_t *index = exact_choice(&r, logits, bias, "route: ties", gate);
        for (int32_t j = 0; i % 2 && j < r.top_k; j++)
            g_assert_cmpint(index[j], ==, j);
        check_done();
    }
}

static void test_not_finite(void) {
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int32_t i = 0; i < 120; i++) {
        SeamRoute r = random_route(1);
        float logits[most_experts], gate[most_experts], bias[most_experts];
        int32_t bad = check_int(0, r.experts - 1);
        for (int32_t e = 0; e < r.experts; e++) {
            logits[e] = 0.01f * (float)((e * 89) % r.experts); // distinct, in no order
            bias[e] = 0;
        }
        if (i % 2)
            logits[bad] = values[i / 2 % 3];
        else
            bias[bad] = i % 4 ? NAN : -INFINITY;
        const int32_t *index = exact_choice(&r, logits, bias, "route: not finite", gate);
        bool room = r.top_k < r.groups_kept * (r.experts / r.groups) && r.experts / r.groups > 2;
        for (int32_t j = 0; !(i % 2) && room && j < r.top_k; j++)
            g_assert_cmpint(index[j], !=, bad);
        check_done();
    }
}

static void test_steered(void) { // the bias chooses experts whose probs round to 0: gates are still finite and sum to 1
    SeamRoute r = {.n = 1, .experts = 8, .groups = 2, .groups_kept = 1, .top_k = 3};
    float logits[8] = {150, 149, 0, 0, -1, -2, -3, -4}, bias[8] = {0, 0, 0, 0, 4, 3, 2, 1}, gate[3];
    const int32_t *index = exact_choice(&r, logits, bias, "route: steered", gate);
    for (int32_t j = 0; j < 3; j++)
        g_assert_cmpint(index[j], ==, 4 + j);
    g_assert_cmpfloat_with_epsilon(gate[0] + gate[1] + gate[2], 1, 1e-5);
}

// Of the gates without a mass, as ref's rule says: whether order and border are clear, and how many stay.
static bool clear_mass(const SeamRoute *r, const float *gate, int32_t *kept) {
    double sorted[most_experts], sum = 0;
    for (int32_t j = 0; j < r->top_k; j++)
        sorted[j] = gate[j];
    bool apart = margin(r->top_k, sorted, r->top_k) >= band;
    qsort(sorted, (size_t)r->top_k, sizeof *sorted, falling);
    for (*kept = 0; *kept < r->top_k && (*kept == 0 || sum < r->mass); (*kept)++) {
        sum += sorted[*kept];
        apart &= fabs(sum - r->mass) >= band;
    }
    return apart;
}

// With a mass, both backends keep the same choices, as many as the gates without it say, and rows of nobody are left out of sort and combine.
static void mass_case(SeamRoute r) {
    size_t n = (size_t)r.n, experts = (size_t)r.experts, top_k = (size_t)r.top_k;
    float *logits = check_floats(n * experts, -5, 5), *bias = check_floats(experts, -0.1f, 0.1f);
    CheckOut probs = check_set(n, experts, experts), whole = check_set(n, top_k, top_k), gate = check_set(n, top_k, top_k), index = check_ints(n * top_k);
    for (int run = 0; run < CHECK_RUNS; run++) {
        SeamRoute all = r;
        all.mass = 0;
        CHECK_OK(check_table(run)->route(&all, logits, bias, probs.at[run], check_as_ints(&index, run), whole.at[run]));
        CHECK_OK(check_table(run)->route(&r, logits, bias, probs.at[run], check_as_ints(&index, run), gate.at[run]));
    }
    for (size_t i = 0; i < n; i++) {
        int32_t kept, *at = check_as_ints(&index, CHECK_CPU) + i * top_k;
        bool sure = clear(&r, probs.at[CHECK_REF] + i * experts, bias) & clear_mass(&r, whole.at[CHECK_REF] + i * top_k, &kept);
        for (int32_t j = 0; sure && j < r.top_k; j++)
            g_assert_cmpint(at[j] >= 0, ==, j < kept);
        for (size_t j = i * top_k; !sure && j < (i + 1) * top_k; j++)
            for (int run = CHECK_CPU; run < CHECK_RUNS; run++) {
                check_as_ints(&index, run)[j] = check_as_ints(&index, CHECK_REF)[j];
                gate.at[run][j] = gate.at[CHECK_REF][j];
            }
    }
    int32_t *chosen = g_memdup2(check_as_ints(&index, CHECK_REF), n * top_k * sizeof(int32_t));
    mark_none(&index, chosen, n * top_k);
    check_compare_ints("route: index with a mass", &index);
    check_compare("route: gate with a mass", &gate, 4 * tolerance, 0);
    sort_case(&r, chosen);
    g_free(chosen);
    check_done();
}

static void test_mass(void) {
    for (int32_t i = 0; i < 200; i++) {
        SeamRoute r = random_route(check_size(100));
        r.mass = check_float(0.01f, 1);
        mass_case(r);
    }
    for (int32_t i = 0; i < 20; i++) { // NaN keeps all
        SeamRoute r = {.n = 1, .experts = 8, .groups = 2, .groups_kept = 2, .top_k = 3, .mass = 0.1f};
        float logits[8] = {0, 1, 2, 3, 4, 5, 6, 7}, bias[8] = {0}, gate[3];
        logits[i % 8] = NAN;
        const int32_t *index = exact_choice(&r, logits, bias, "route: NaN with a mass", gate);
        g_assert_true(index[2] >= 0 && isnan(gate[2]));
        check_done();
    }
}

static void test_sort(void) { // all to one expert, and experts without a token
    for (int32_t i = 0; i < 60; i++) {
        SeamRoute r = random_route(check_size(200));
        r.top_k = 1;
        int32_t *index = check_zeros((size_t)r.n), favourite = check_int(0, r.experts - 1);
        for (int32_t t = 0; t < r.n; t++)
            index[t] = i % 2 || check_int(0, 5) ? favourite : check_int(0, r.experts - 1);
        sort_case(&r, index);
        check_done();
    }
}

static const CheckTest tests[] = {
    {"/kernels/route/shapes", test_shapes}, {"/kernels/route/ties", test_ties}, {"/kernels/route/not-finite", test_not_finite},
    {"/kernels/route/steered", test_steered}, {"/kernels/route/sort", test_sort}, {"/kernels/route/mass", test_mass},
};

void check_route_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
