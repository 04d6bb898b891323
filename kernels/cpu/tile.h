// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The product of two matrices on one thread, from which gemm.c and conv.c are made. It knows nothing of the pool.
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"

#define seam_tile_product SEAM_OF_ISA(seam_tile_product)
#define seam_tile_pack SEAM_OF_ISA(seam_tile_pack)
#define seam_tile_packed SEAM_OF_ISA(seam_tile_packed)

// The columns of a strip of B in tile order, and the depth of a block: a strip of a block (24 KiB) stays in the L1 cache, and 192 is
// the usual width of the model, which then needs no second pass over C.
enum { SEAM_STRIP = 2 * LANES, SEAM_DEPTH = 192 };

// A matrix by its strides: element (i, j) is data[i * row + j * col].
typedef struct {
    const float *data;
    ptrdiff_t row, col;
} SeamMatrix;

static inline SeamMatrix seam_matrix(bool transposed, const float *data, ptrdiff_t ld) {
    return transposed ? (SeamMatrix){data, 1, ld} : (SeamMatrix){data, ld, 1};
}

// c[m, n] = a[m, k] b[k, n], or += when add. One stride of b is 1. False when there is no memory for the packed block.
bool seam_tile_product(int32_t m, int32_t n, int32_t k, SeamMatrix a, SeamMatrix b, bool add, float *c, ptrdiff_t ldc);

// Strips of b[k, n] (k <= SEAM_DEPTH), each [k, SEAM_STRIP], filled up with 0, one after another.
void seam_tile_pack(int32_t k, int32_t n, SeamMatrix b, float *packed);
// The same product with a packed b, k <= SEAM_DEPTH.
void seam_tile_packed(int32_t m, int32_t n, int32_t k, SeamMatrix a, const float *packed, bool add, float *c, ptrdiff_t ldc);
