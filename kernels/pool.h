// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One thread pool a process for all kernels. It owns the worker threads and nothing else. An operation splits its work
// into tasks; the caller works too. If the pool is busy with another caller's job, the caller runs its tasks
// alone: elements on several streaming threads never oversubscribe the cores.
#pragma once

#include <stdint.h>

// Task numbers run over [0, tasks). `lane` is 0 .. seam_pool_lanes()-1 and unique among tasks that run at the same time.
typedef void (*SeamPoolTask)(void *data, int32_t task, int32_t lane);

// Runs all tasks and returns when they are done. Which lane runs a task is not fixed: tasks write disjoint outputs.
void seam_pool_run(int32_t tasks, SeamPoolTask run, void *data);

// Threads that a job may use, the caller included; fixed at first use: SEAM_THREADS, or the cores that this process may
// use. seam_pool_set_threads() before the first use overrides both (1 .. 64).
int32_t seam_pool_lanes(void);
void seam_pool_set_threads(int32_t threads);
