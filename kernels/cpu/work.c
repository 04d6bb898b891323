// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Scratch memory a thread, so that no operation allocates after its first call with a shape, and the cutting of simple loops into
// tasks. It owns the blocks; a thread's blocks are freed when the thread ends.
#include <pthread.h>
#include <stdlib.h>

#include "kernels/cpu/cpu.h"

typedef struct {
    void *block[SEAM_SCRATCH_SLOTS];
    size_t size[SEAM_SCRATCH_SLOTS];
} Scratch;

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool have_key;
static _Thread_local Scratch *own;

static void free_scratch(void *data) {
    Scratch *s = data;
    own = NULL;
    for (int i = 0; i < SEAM_SCRATCH_SLOTS; i++)
        free(s->block[i]);
    free(s);
}

static void make_key(void) {
    have_key = pthread_key_create(&key, free_scratch) == 0;
}

static Scratch *own_scratch(void) {
    pthread_once(&key_once, make_key);
    Scratch *s = have_key ? calloc(1, sizeof *s) : NULL;
    if (s && pthread_setspecific(key, s) != 0) {
        free(s);
        return NULL;
    }
    return own = s;
}

void *seam_scratch(int slot, size_t bytes) {
    Scratch *s = own ? own : own_scratch();
    if (!s)
        return NULL;
    if (s->block[slot] && bytes <= s->size[slot])
        return s->block[slot];
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t size = (bytes + bytes / 4 + 4096) / 4096 * 4096; // some room, so that sizes that creep up settle soon
    free(s->block[slot]);
    s->size[slot] = 0;
    s->block[slot] = aligned_alloc(64, size);
    if (!s->block[slot])
        return NULL;
    s->size[slot] = size;
    return s->block[slot];
}

typedef struct {
    int64_t n, grain;
    SeamRange run;
    const void *job;
} Ranges;

static void run_range(void *data, int32_t task, int32_t lane) {
    const Ranges *r = data;
    int64_t from = task * r->grain, to = from + r->grain;
    r->run(r->job, from, to < r->n ? to : r->n);
}

void seam_run_ranges(int64_t n, int64_t grain, SeamRange run, const void *job) {
    Ranges r = {.n = n, .grain = grain < 1 ? 1 : grain, .run = run, .job = job};
    while (seam_ceil_div(n, r.grain) > INT32_MAX)
        r.grain *= 2;
    seam_pool_run((int32_t)seam_ceil_div(n, r.grain), run_range, &r);
}
