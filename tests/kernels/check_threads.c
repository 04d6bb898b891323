// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The pool runs every task once, on a lane of its own, also when callers meet or nest; operations called by several threads at once give
// the bits that they give alone.
#include <stdatomic.h>

#include "kernels/pool.h"
#include "tests/kernels/check.h"

enum { callers = 4, most_lanes = 64 };

typedef struct {
    atomic_int done[2000];
    atomic_bool in_lane[most_lanes];
    atomic_int clashes;
    bool nest;
} Job;

static void count(void *data, int32_t task, int32_t lane) {
    Job *job = data;
    g_assert_cmpint(lane, >=, 0);
    g_assert_cmpint(lane, <, seam_pool_lanes());
    if (atomic_exchange(&job->in_lane[lane], true))
        atomic_fetch_add(&job->clashes, 1);
    atomic_fetch_add(&job->done[task], 1);
    if (job->nest && task % 50 == 0) {
        Job *inner = g_new0(Job, 1);
        seam_pool_run(20, count, inner);
        for (int32_t i = 0; i < 20; i++)
            g_assert_cmpint(inner->done[i], ==, 1);
        g_free(inner);
    }
    atomic_store(&job->in_lane[lane], false);
}

static void run_job(int32_t tasks, bool nest) {
    Job *job = g_new0(Job, 1);
    job->nest = nest;
    seam_pool_run(tasks, count, job);
    for (int32_t i = 0; i < (int32_t)G_N_ELEMENTS(job->done); i++)
        g_assert_cmpint(job->done[i], ==, i < tasks ? 1 : 0);
    g_assert_cmpint(job->clashes, ==, 0);
    g_free(job);
}

static gpointer run_jobs(gpointer nest) {
    for (int32_t i = 0; i < 200; i++)
        run_job(i % 20 == 0 ? 2000 : i % 7, nest != NULL);
    return NULL;
}

static void at_once(GThreadFunc run, gpointer data) {
    GThread *thread[callers];
    for (int32_t i = 0; i < callers; i++)
        thread[i] = g_thread_new("caller", run, data);
    for (int32_t i = 0; i < callers; i++)
        g_thread_join(thread[i]);
}

static void test_pool(void) {
    g_assert_cmpint(seam_pool_lanes(), >=, 1);
    g_assert_cmpint(seam_pool_lanes(), <=, most_lanes);
    run_jobs(NULL);
    run_jobs(GINT_TO_POINTER(1));
}

static void test_pool_callers(void) {
    at_once(run_jobs, NULL);
    at_once(run_jobs, GINT_TO_POINTER(1));
}

typedef struct {
    atomic_int started, on_lane[most_lanes];
} Meeting;

// Stays until every lane has come. Ten seconds are for a machine that is busy with other things.
static void meet(void *data, int32_t task, int32_t lane) {
    Meeting *m = data;
    gint64 deadline = g_get_monotonic_time() + 10 * G_TIME_SPAN_SECOND;
    atomic_fetch_add(&m->on_lane[lane], 1);
    atomic_fetch_add(&m->started, 1);
    while (atomic_load(&m->started) < seam_pool_lanes() && g_get_monotonic_time() < deadline)
        g_thread_yield();
}

static void test_pool_lanes(void) { // as many tasks as lanes, none of which ends before all have begun: each must have its own
    for (int32_t i = 0; i < 50; i++) {
        Meeting m = {0};
        seam_pool_run(seam_pool_lanes(), meet, &m);
        for (int32_t lane = 0; lane < seam_pool_lanes(); lane++)
            g_assert_cmpint(m.on_lane[lane], ==, 1);
    }
}

enum { tokens = 150, heads = 3, head_dim = 32, dim = heads * head_dim, wide = 300 };

typedef struct {
    float *qkv, *gate, *w, *out, *c;
} Work;

static SeamStatus compute(const Work *work, float *out, float *c) {
    static const int32_t seq_start[] = {0, 61, 61, tokens};
    SeamAttention a = {.q = work->qkv, .k = work->qkv + dim, .v = work->qkv + 2 * dim, .ld = 3 * dim, .gate = work->gate, .gate_threshold = 0.2f,
                       .scale = 0.2f, .n = tokens, .heads = heads, .head_dim = head_dim, .seq_start = seq_start, .seqs = 3};
    const SeamKernels *k = seam_kernels_cpu();
    SeamStatus status = k->attention(&a, out, NULL);
    return status != SEAM_OK ? status : k->gemm(false, true, tokens, wide, 3 * dim, work->qkv, 3 * dim, work->w, 3 * dim, 0, c, wide);
}

static gpointer compute_and_compare(gpointer data) {
    const Work *work = data;
    float *out = g_new(float, tokens * dim), *c = g_new(float, tokens * wide);
    for (int32_t i = 0; i < 40; i++) {
        CHECK_OK(compute(work, out, c));
        g_assert_cmpmem(out, tokens * dim * sizeof *out, work->out, tokens * dim * sizeof *out);
        g_assert_cmpmem(c, tokens * wide * sizeof *c, work->c, tokens * wide * sizeof *c);
    }
    g_free(out);
    g_free(c);
    return NULL;
}

static void test_operations(void) {
    Work work = {.qkv = check_floats(tokens * 3 * dim, -1, 1), .gate = check_floats(tokens * heads, 0, 1), .w = check_floats(wide * 3 * dim, -1, 1),
                 .out = check_floats(tokens * dim, 0, 0), .c = check_floats(tokens * wide, 0, 0)};
    CHECK_OK(compute(&work, work.out, work.c));
    compute_and_compare(&work);
    at_once(compute_and_compare, &work);
}

static int32_t threads_of_process(void) {
    int32_t threads = 0;
    GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
    while (dir && g_dir_read_name(dir))
        threads++;
    if (dir)
        g_dir_close(dir);
    return threads;
}

// A library below may bring threads of its own, which would spin beside the pool's: none of the callers and none of the lanes lets it.
static gpointer convolve(gpointer threads) {
    enum { side = 48, out_side = 24, batch = 5, in = 8, out = 32, deep = 2500, square = 96 };
    const SeamConv c = {.batch = batch, .h = side, .w = side, .in = in, .out = out, .kernel = 3, .stride = 2, .pad = 1};
    size_t x_size = batch * side * side * in, y_size = batch * out_side * out_side * out, w_size = out * 9 * in;
    float *x = g_new0(float, x_size), *y = g_new0(float, y_size), *w = g_new0(float, w_size), *a = g_new0(float, deep * square);
    const SeamKernels *k = seam_kernels_cpu();
    for (int32_t i = 0; i < 3; i++) {
        CHECK_OK(k->conv(&c, x, w, NULL, y));
        CHECK_OK(k->conv_backward_data(&c, w, y, x));
        CHECK_OK(k->conv_backward_weights(&c, x, y, w, NULL));
        CHECK_OK(k->gemm(true, false, square, square, deep, a, square, a, square, 0, y, square));
        if (threads)
            g_assert_cmpint(threads_of_process(), ==, GPOINTER_TO_INT(threads));
    }
    g_free(x);
    g_free(y);
    g_free(w);
    g_free(a);
    return NULL;
}

static void test_no_other_threads(void) {
    run_job(2, false); // starts the pool
    int32_t threads = threads_of_process();
    if (threads == 0) {
        g_test_skip("no /proc here");
        return;
    }
    convolve(GINT_TO_POINTER(threads));
    at_once(convolve, NULL);
    convolve(GINT_TO_POINTER(threads)); // what the callers of before had went with them
}

static const CheckTest tests[] = {
    {"/kernels/threads/pool", test_pool},
    {"/kernels/threads/pool-lanes", test_pool_lanes},
    {"/kernels/threads/pool-callers", test_pool_callers},
    {"/kernels/threads/operations", test_operations},
    {"/kernels/threads/no-others", test_no_other_threads},
};

void check_threads_register(void) {
    check_register(tests, G_N_ELEMENTS(tests));
}
