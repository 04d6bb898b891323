// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Scratch memory: one block, handed out in order, taken back by mark and release. It owns the block. An arena belongs to
// one thread at a time. It never grows while in use: the owner resizes between runs, so that a stream in its
// steady state allocates nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    unsigned char *base;
    size_t capacity, used;
    size_t peak;   // the most ever used or asked for: what to grow to after a SEAM_NO_MEMORY
} SeamArena;

// All memory is aligned to 64 bytes. capacity may be 0. False when the system has no memory.
bool seam_arena_init(SeamArena *arena, size_t capacity);
void seam_arena_clear(SeamArena *arena);

// Makes the capacity at least `capacity` bytes; contents are lost, so nothing may be in use.
bool seam_arena_reserve(SeamArena *arena, size_t capacity);

// After a SEAM_NO_MEMORY: makes room for the peak, and for half as much again at least, so that what failed can be done once more. False when that
// is more than `largest` bytes, or the system has no memory. Contents are lost.
bool seam_arena_grow(SeamArena *arena, size_t largest);

// count * size bytes, not cleared; NULL when the arena is full (peak then says how much was wanted in all) or on overflow.
void *seam_arena_alloc(SeamArena *arena, size_t count, size_t size);
void *seam_arena_alloc0(SeamArena *arena, size_t count, size_t size);

static inline size_t seam_arena_mark(const SeamArena *arena) { return arena->used; }
static inline void seam_arena_release(SeamArena *arena, size_t mark) { arena->used = mark; }

// Bytes that one allocation of count * size takes, at most; for planning.
static inline size_t seam_arena_bytes(size_t count, size_t size) { return count * size + 64; }

#define SEAM_NEW(arena, type, count) ((type *)seam_arena_alloc((arena), (size_t)(count), sizeof(type)))
#define SEAM_NEW0(arena, type, count) ((type *)seam_arena_alloc0((arena), (size_t)(count), sizeof(type)))
