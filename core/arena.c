// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The scratch arena. It owns one block and hands it out in order; it never grows by itself and
// never fails but by returning NULL.
#include "core/arena.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 }; // a cache line, and the width of an AVX-512 register

// An address for allocations of nothing, so that NULL always means failure.
static _Alignas(ALIGNMENT) unsigned char nothing[ALIGNMENT];

// `bytes` up to the next multiple of the alignment; false when that is more than a size_t holds.
static bool round_up(size_t bytes, size_t *rounded) {
    if (__builtin_add_overflow(bytes, (size_t)ALIGNMENT - 1, rounded))
        return false;
    *rounded &= ~((size_t)ALIGNMENT - 1);
    return true;
}

bool seam_arena_init(SeamArena *arena, size_t capacity) {
    *arena = (SeamArena){0};
    return seam_arena_reserve(arena, capacity);
}

void seam_arena_clear(SeamArena *arena) {
    free(arena->base);
    *arena = (SeamArena){0};
}

bool seam_arena_reserve(SeamArena *arena, size_t capacity) {
    arena->used = 0;
    if (capacity <= arena->capacity)
        return true;
    size_t bytes;
    if (!round_up(capacity, &bytes))
        return false;
    // The old block goes first: its contents are lost anyway, and both together may not fit.
    free(arena->base);
    arena->base = aligned_alloc(ALIGNMENT, bytes);
    arena->capacity = arena->base ? bytes : 0;
    return arena->base != NULL;
}

bool seam_arena_grow(SeamArena *arena, size_t largest) {
    size_t half_more = arena->capacity + arena->capacity / 2, larger = arena->peak > half_more ? arena->peak : half_more;
    return larger <= largest && seam_arena_reserve(arena, larger);
}

void *seam_arena_alloc(SeamArena *arena, size_t count, size_t size) {
    size_t bytes, end;
    if (__builtin_mul_overflow(count, size, &bytes) || !round_up(bytes, &bytes) ||
        __builtin_add_overflow(arena->used, bytes, &end))
        return NULL;
    if (end > arena->peak)
        arena->peak = end;
    if (bytes == 0)
        return nothing;
    if (end > arena->capacity)
        return NULL;
    void *block = arena->base + arena->used;
    arena->used = end;
    return block;
}

void *seam_arena_alloc0(SeamArena *arena, size_t count, size_t size) {
    void *block = seam_arena_alloc(arena, count, size);
    if (block)
        memset(block, 0, count * size);
    return block;
}
