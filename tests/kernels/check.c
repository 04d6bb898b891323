// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Guarded memory, random numbers and the comparison; see check.h. Owns the blocks of the running test.
#include "tests/kernels/check.h"

enum { guard = 64, unwritten = 0xFF };

typedef struct {
    uint8_t *base, *data;
    size_t bytes;
} Block;

static GArray *blocks;
static uint64_t seed;
static double worst;

static bool all_unwritten(const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != unwritten)
            return false;
    return true;
}

void check_done(void) {
    for (guint i = 0; i < blocks->len; i++) {
        Block *b = &g_array_index(blocks, Block, i);
        g_assert_true(all_unwritten(b->data - guard, guard));
        g_assert_true(all_unwritten(b->data + b->bytes, guard));
        g_free(b->base);
    }
    g_array_set_size(blocks, 0);
}

static void run_test(gconstpointer data) {
    const CheckTest *test = data;
    blocks = g_array_new(FALSE, FALSE, sizeof(Block));
    seed = 20240607;
    worst = 0;
    test->run();
    check_done();
    g_array_free(blocks, TRUE);
    if (worst > 0)
        g_test_message("worst error: %.2f of the tolerance", worst);
}

void check_register(const CheckTest *tests, size_t n) {
    for (size_t i = 0; i < n; i++)
        g_test_add_data_func(tests[i].path, &tests[i], run_test);
}

// splitmix64
static uint64_t next(void) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

int32_t check_int(int32_t low, int32_t high) {
    return low + (int32_t)(next() % (uint64_t)(high - low + 1));
}

float check_float(float low, float high) {
    return low + (high - low) * (float)(next() >> 40) / (float)(1 << 24);
}

int32_t check_size(int32_t most) {
    static const int32_t sizes[] = {0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 47, 48, 63, 64, 65, 96, 100, 129, 192, 257};
    int32_t size;
    do
        size = sizes[check_int(0, (int32_t)G_N_ELEMENTS(sizes) - 1)];
    while (size > most);
    return size;
}

static void *block_at(size_t bytes, uintptr_t shift) {
    Block b = {.base = g_malloc(bytes + 4 * guard), .bytes = bytes};
    uintptr_t aligned = ((uintptr_t)b.base + 2 * guard - 1) / guard * guard;
    b.data = (uint8_t *)aligned + shift;
    memset(b.data - guard, unwritten, bytes + 2 * guard);
    g_array_append_val(blocks, b);
    return b.data;
}

void *check_block(size_t bytes) {
    return block_at(bytes, 4 * (uintptr_t)check_int(0, 7) + 4);
}

void *check_aligned(size_t bytes) {
    return block_at(bytes, 0);
}

float *check_floats(size_t n, float low, float high) {
    float *x = check_block(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = check_float(low, high);
    return x;
}

int32_t *check_zeros(size_t n) {
    int32_t *x = check_block(n * sizeof *x);
    memset(x, 0, n * sizeof *x);
    return x;
}

int32_t *check_starts(int32_t groups, int32_t most) {
    int32_t *start = check_zeros((size_t)groups + 1);
    for (int32_t g = 0; g < groups; g++)
        start[g + 1] = start[g] + (check_int(0, 3) == 0 ? 0 : check_int(0, most));
    return start;
}

const SeamKernels *check_table(int run) {
    return run == CHECK_REF ? seam_kernels_ref() : seam_kernels_cpu();
}

static size_t extent(const CheckOut *out) {
    return out->rows > 0 ? (out->rows - 1) * out->ld + out->cols : 0;
}

CheckOut check_set(size_t rows, size_t cols, size_t ld) {
    CheckOut out = {.rows = rows, .cols = cols, .ld = ld};
    for (int run = 0; run < CHECK_RUNS; run++)
        out.at[run] = check_block(extent(&out) * sizeof(float));
    return out;
}

CheckOut check_add(size_t rows, size_t cols, size_t ld) {
    CheckOut out = check_set(rows, cols, ld);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            out.at[0][r * ld + c] = out.at[1][r * ld + c] = out.at[2][r * ld + c] = check_float(-1, 1);
    return out;
}

CheckOut check_ints(size_t n) {
    return check_set(1, n, n);
}

int32_t *check_as_ints(const CheckOut *out, int run) {
    return (int32_t *)(void *)out->at[run];
}

static uint32_t bits(const float *x) {
    uint32_t u;
    memcpy(&u, x, sizeof u);
    return u;
}

void check_repeats(const char *what, const CheckOut *out) {
    for (size_t i = 0; i < extent(out); i++) {
        bool between = i % out->ld >= out->cols;
        for (int run = 0; run < CHECK_RUNS; run++)
            if ((bits(out->at[run] + i) == UINT32_MAX) != between)
                g_error("%s: %s %s element %zu of row %zu", what, run == CHECK_REF ? "ref" : "cpu",
                        between ? "wrote between the rows:" : "left out", i % out->ld, i / out->ld);
        if (bits(out->at[CHECK_CPU] + i) != bits(out->at[CHECK_AGAIN] + i))
            g_error("%s: element %zu of row %zu is %.9g, then %.9g", what, i % out->ld, i / out->ld, out->at[CHECK_CPU][i],
                    out->at[CHECK_AGAIN][i]);
    }
}

void check_compare(const char *what, const CheckOut *out, double absolute, double relative) {
    check_repeats(what, out);
    for (size_t r = 0; r < out->rows; r++)
        for (size_t c = 0; c < out->cols; c++) {
            double ref = out->at[CHECK_REF][r * out->ld + c], cpu = out->at[CHECK_CPU][r * out->ld + c];
            double d = fabs(cpu - ref), tolerance = absolute + relative * fabs(ref);
            bool agree = isfinite(ref) ? d <= tolerance : !isfinite(cpu);
            if (!agree)
                g_error("%s [%zu, %zu]: element %zu of row %zu is %.9g, ref says %.9g: off by %.3g, allowed %.3g", what, out->rows, out->cols,
                        c, r, cpu, ref, d, tolerance);
            if (isfinite(ref) && tolerance > 0)
                worst = fmax(worst, d / tolerance);
        }
}

void check_compare_ints(const char *what, const CheckOut *out) {
    check_repeats(what, out);
    for (size_t i = 0; i < out->cols; i++)
        if (check_as_ints(out, CHECK_CPU)[i] != check_as_ints(out, CHECK_REF)[i])
            g_error("%s: element %zu is %d, ref says %d", what, i, check_as_ints(out, CHECK_CPU)[i], check_as_ints(out, CHECK_REF)[i]);
}

double check_sum_tolerance(int64_t n, double most) {
    return ldexp((double)n + 4, -23) * most;
}
