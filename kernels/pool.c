// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The thread pool of the kernels. It owns the worker threads, which live as long as the process and sleep between jobs. One job runs at a
// time; it lies in static memory, so nothing is allocated for it. A worker joins an open job under the mutex and leaves it under the mutex:
// the caller never waits for a worker that has not woken yet, only for those that hold a task.
#include "kernels/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    most_lanes = 64,
    // About 10 microseconds: the gap between two operations of a layer, not more: the core is wanted by other programs.
    spins = 200,
};

static struct {
    pthread_once_t once;
    atomic_bool busy; // a caller owns the job below
    int32_t wanted;   // seam_pool_set_threads; 0: none
    int32_t lanes;

    pthread_mutex_t mutex; // guards what follows; the atomics may be read without it
    pthread_cond_t wake, left;
    int32_t sleeping;
    bool open; // the job takes workers
    atomic_uint generation;
    atomic_int active; // workers inside the job
    SeamPoolTask run;
    void *data;
    int32_t tasks;
    atomic_llong next;
} pool = {.once = PTHREAD_ONCE_INIT,
          .mutex = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .left = PTHREAD_COND_INITIALIZER};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_tasks(SeamPoolTask run, void *data, int32_t tasks, int32_t lane) {
    for (long long task; (task = atomic_fetch_add(&pool.next, 1)) < tasks;)
        run(data, (int32_t)task, lane);
}

// Returns with the mutex held and a job newer than `seen` published.
static unsigned wait_for_job(unsigned seen) {
    for (int32_t i = 0; i < spins && atomic_load(&pool.generation) == seen; i++)
        relax();
    pthread_mutex_lock(&pool.mutex);
    pool.sleeping++;
    while (atomic_load(&pool.generation) == seen)
        pthread_cond_wait(&pool.wake, &pool.mutex);
    pool.sleeping--;
    return atomic_load(&pool.generation);
}

static void *work(void *argument) {
    int32_t lane = (int32_t)(intptr_t)argument;
    for (unsigned seen = 0;;) {
        seen = wait_for_job(seen);
        if (pool.open) {
            atomic_fetch_add(&pool.active, 1);
            SeamPoolTask run = pool.run;
            void *data = pool.data;
            int32_t tasks = pool.tasks;
            pthread_mutex_unlock(&pool.mutex);
            run_tasks(run, data, tasks, lane);
            pthread_mutex_lock(&pool.mutex);
            if (atomic_fetch_sub(&pool.active, 1) == 1)
                pthread_cond_signal(&pool.left);
        }
        pthread_mutex_unlock(&pool.mutex);
    }
    return NULL;
}

static int32_t clamp_lanes(long lanes) {
    return (int32_t)(lanes < 1 ? 1 : lanes > most_lanes ? most_lanes : lanes);
}

static int32_t wanted_lanes(void) {
    if (pool.wanted > 0)
        return clamp_lanes(pool.wanted);
    const char *text = getenv("SEAM_THREADS");
    char *end = NULL;
    long threads = text ? strtol(text, &end, 10) : 0;
    if (threads > 0 && *end == '\0')
        return clamp_lanes(threads);
    cpu_set_t cores;
    return clamp_lanes(sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1);
}

// Workers that the system refuses are done without.
static void start(void) {
    int32_t wanted = wanted_lanes();
    sigset_t all, before;
    sigfillset(&all); // signals belong to the program's own threads
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pool.lanes = 1; pool.lanes < wanted; pool.lanes++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)(intptr_t)pool.lanes) != 0)
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void publish(SeamPoolTask run, void *data, int32_t tasks) {
    pthread_mutex_lock(&pool.mutex);
    pool.run = run;
    pool.data = data;
    pool.tasks = tasks;
    atomic_store(&pool.next, 0);
    pool.open = true;
    atomic_fetch_add(&pool.generation, 1);
    if (pool.sleeping > 0)
        pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.mutex);
}

static void finish(void) {
    for (int32_t i = 0; i < spins && atomic_load(&pool.active) > 0; i++)
        relax();
    pthread_mutex_lock(&pool.mutex);
    pool.open = false;
    while (atomic_load(&pool.active) > 0)
        pthread_cond_wait(&pool.left, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
}

void seam_pool_run(int32_t tasks, SeamPoolTask run, void *data) {
    pthread_once(&pool.once, start);
    if (tasks > 1 && pool.lanes > 1 && !atomic_exchange(&pool.busy, true)) {
        publish(run, data, tasks);
        run_tasks(run, data, tasks, 0);
        finish();
        atomic_store(&pool.busy, false);
        return;
    }
    for (int32_t task = 0; task < tasks; task++)
        run(data, task, 0);
}

int32_t seam_pool_lanes(void) {
    pthread_once(&pool.once, start);
    return pool.lanes;
}

void seam_pool_set_threads(int32_t threads) {
    pool.wanted = threads;
}
