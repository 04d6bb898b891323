// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The few names of GLib that tests/kernels use, for builds of the kernels alone for a machine whose GLib is not at hand (tests/cross). The kernels use none of
// it. A failed check ends the program.
#pragma once

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void *gpointer;
typedef const void *gconstpointer;
typedef unsigned guint;
typedef int64_t gint64;

#define TRUE 1
#define FALSE 0
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define G_N_ELEMENTS(array) (sizeof(array) / sizeof(array)[0])
#define GINT_TO_POINTER(i) ((void *)(intptr_t)(i))
#define GPOINTER_TO_INT(p) ((int)(intptr_t)(p))

// ---- checks -----------------------------------------------------------------------------------

#define g_error(...) (printf("Bail out! "), printf(__VA_ARGS__), printf("\n"), fflush(stdout), abort())
#define g_assert_true(x) ((x) ? (void)0 : g_error("%s:%d: %s", __FILE__, __LINE__, #x))
#define g_assert_false(x) g_assert_true(!(x))
#define g_assert_cmpint(a, op, b) \
    ((a)op(b) ? (void)0 : g_error("%s:%d: %s %s %s: %lld, %lld", __FILE__, __LINE__, #a, #op, #b, (long long)(a), (long long)(b)))
#define g_assert_cmpuint g_assert_cmpint
#define g_assert_cmphex g_assert_cmpint
#define g_assert_cmpstr(a, op, b) g_assert_true(strcmp(a, b) op 0)
#define g_assert_cmpmem(a, m, b, n) g_assert_true((size_t)(m) == (size_t)(n) && ((size_t)(m) == 0 || memcmp(a, b, m) == 0))
#define g_assert_cmpfloat_with_epsilon(a, b, epsilon) g_assert_true(fabs((double)(a) - (double)(b)) < (epsilon))
#define g_str_equal(a, b) (strcmp(a, b) == 0)
#define g_strcmp0 strcmp
#define g_getenv getenv

// ---- memory -----------------------------------------------------------------------------------

static inline void *glib_memory(void *p) {
    if (!p)
        g_error("memory is short");
    return p;
}
#define g_malloc(bytes) glib_memory(malloc((size_t)(bytes) + 1)) // 0 bytes are a block too
#define g_new(type, n) ((type *)g_malloc((size_t)(n) * sizeof(type)))
#define g_new0(type, n) ((type *)glib_memory(calloc((size_t)(n) + 1, sizeof(type))))
#define g_memdup2(from, bytes) memcpy(g_malloc(bytes), from, bytes)
#define g_free free

static inline void *g_aligned_alloc0(size_t n, size_t bytes, size_t alignment) {
    size_t size = (n * bytes + alignment - 1) / alignment * alignment;
    return memset(glib_memory(aligned_alloc(alignment, size + alignment)), 0, size);
}
#define g_aligned_free free

typedef struct {
    char *data;
    guint len;
    size_t size;
} GArray;

static inline GArray *g_array_new(int terminated, int clear, size_t size) {
    GArray *array = g_new0(GArray, 1);
    array->size = size;
    return array;
}
static inline void g_array_append(GArray *array, const void *element) {
    array->data = glib_memory(realloc(array->data, (array->len + 1) * array->size));
    memcpy(array->data + array->len++ * array->size, element, array->size);
}
static inline void g_array_free(GArray *array, int all) {
    free(array->data);
    free(array);
}
#define g_array_append_val(array, element) g_array_append(array, &(element))
#define g_array_index(array, type, i) (((type *)(void *)(array)->data)[i])
#define g_array_set_size(array, n) ((array)->len = (n))

// ---- time and threads -------------------------------------------------------------------------

#define G_TIME_SPAN_SECOND ((gint64)1000000)

static inline gint64 g_get_monotonic_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * G_TIME_SPAN_SECOND + now.tv_nsec / 1000;
}

typedef pthread_t GThread;
typedef gpointer (*GThreadFunc)(gpointer data);

static inline GThread *g_thread_new(const char *name, GThreadFunc run, gpointer data) {
    GThread *thread = g_new0(GThread, 1);
    if (pthread_create(thread, NULL, run, data) != 0)
        g_error("no thread");
    return thread;
}
static inline void g_thread_join(GThread *thread) {
    pthread_join(*thread, NULL);
    free(thread);
}
#define g_thread_yield sched_yield

// An emulator's own threads would be counted in /proc/self/task, so there is no such folder.
typedef void GDir;
#define g_dir_open(path, flags, error) NULL
#define g_dir_read_name(dir) NULL
#define g_dir_close(dir) (void)(dir)

// ---- tests in TAP -----------------------------------------------------------------------------

void g_test_add_data_func(const char *path, gconstpointer data, void (*run)(gconstpointer data));
void g_test_init(int *argc, char ***argv, void *end);
int g_test_run(void);
#define g_test_message(...) (printf("# "), printf(__VA_ARGS__), printf("\n"))
#define g_test_skip(why) printf("# skipped: %s\n", why)
