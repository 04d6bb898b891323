// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the files of kernels/cpu share: the fill functions, scratch memory and the splitting of work. The files listed under
// "instruction set" are compiled once for AVX-512 and once for AVX2, or for NEON, from the same source; SEAM_ISA, set by the build, keeps
// their names apart. isa_*.c alone know them, table.c decides which set is called.
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "kernels/pool.h"

// Instruction set: each file of kernels writes its operations over those of *k.
typedef void (*SeamFill)(SeamKernels *k);
#define SEAM_FILES(X, isa)                                                                                                                 \
    X(gemm, isa) X(conv, isa) X(attention, isa) X(attention_backward, isa) X(scan, isa) X(scan_backward, isa) X(norm, isa)                 \
    X(activation, isa) X(route, isa) X(gather, isa) X(segment, isa) X(embed, isa) X(optimise, isa) X(convert, isa)
#define SEAM_DECLARE_FILL(file, isa) void seam_fill_##file##_##isa(SeamKernels *k);
#define SEAM_NAME_FILL(file, isa) seam_fill_##file##_##isa,
#define SEAM_FILLS_OF(isa) {SEAM_FILES(SEAM_NAME_FILL, isa)}
SEAM_FILES(SEAM_DECLARE_FILL, avx512)
SEAM_FILES(SEAM_DECLARE_FILL, avx2)
SEAM_FILES(SEAM_DECLARE_FILL, neon)

static inline void seam_fill_all(const SeamFill *fills, size_t n, SeamKernels *k) {
    for (size_t i = 0; i < n; i++)
        fills[i](k);
}

#define SEAM_JOIN_(name, isa) name##_##isa
#define SEAM_JOIN(name, isa) SEAM_JOIN_(name, isa)
#define SEAM_OF_ISA(name) SEAM_JOIN(name, SEAM_ISA)
#define SEAM_NAME_(isa) #isa
#define SEAM_NAME(isa) SEAM_NAME_(isa)
#define SEAM_ISA_NAME SEAM_NAME(SEAM_ISA)

// Scratch memory of the calling thread: at least `bytes`, aligned to 64, content undefined, valid until the next call with the
// same slot on this thread. It grows and stays, and goes with the thread. NULL when memory is short.
enum {
    SEAM_SCRATCH_CALL, // of an operation, filled by its caller, read by its tasks
    SEAM_SCRATCH_TASK, // of one task
    SEAM_SCRATCH_PACK, // of the tile driver within a task
    SEAM_SCRATCH_SLOTS
};
void *seam_scratch(int slot, size_t bytes);

// Elements that are worth a task of an element-wise operation: about 10 us of work, several times the cost of a wake-up. A multiple
// of every vector's lanes.
enum { SEAM_GRAIN = 16384 };

// Runs [0, n) in pieces of `grain` on the pool; the pieces write disjoint outputs. Pieces depend on n and grain only.
typedef void (*SeamRange)(const void *job, int64_t from, int64_t to);
void seam_run_ranges(int64_t n, int64_t grain, SeamRange run, const void *job);

static inline int32_t seam_min(int32_t a, int32_t b) {
    return a < b ? a : b;
}
static inline int64_t seam_ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// Rows of d elements that are worth a task.
static inline int64_t seam_row_grain(int32_t d) {
    return seam_ceil_div(SEAM_GRAIN, d < 1 ? 1 : d);
}

// Parts of about equal size: the start of part i of `parts` of n, whole multiples of `unit` but for the end.
static inline int64_t seam_part(int64_t n, int64_t unit, int64_t parts, int64_t i) {
    int64_t at = seam_ceil_div(n, unit) * i / parts * unit;
    return at < n ? at : n;
}
