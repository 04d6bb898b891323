// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   c[m, n] (+)= a[m, k] b[k, n]
//
// Any strides of a, one stride of b 1, c with rows ldc apart. m, n, k may be 0 (k = 0: c = 0). It owns no memory but the thread's pack
// scratch. f32 accumulators, one fused product after the other along k in blocks of SEAM_DEPTH, so the sum of an element does
// not depend on where the tiles lie; only few rows times a transposed b are summed by lanes (`dots`). NaN passes through.
// Against ref: about sqrt(k) roundings of 2^-24 of sum |a b|.
//
// Bound by multiplication: 2 m n k operations against 4 (m k + k n + 2 m n) bytes. A tile keeps ROWS x 2 vectors of c in registers:
// 28 of 32 with AVX-512 and NEON, 12 of 16 with AVX2; an element of a is used twice, a vector of b ROWS times. On Zen 4 (one 512-bit product a
// clock) that leaves the load ports half free, so a is read where it lies and only b is packed.
#include "kernels/cpu/tile.h"

#include <string.h>

#include "kernels/cpu/vec.h"

#if VEC_REGISTERS == 32
enum { ROWS = 14 };
#define ALL_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
enum { ROWS = 6 };
#define ALL_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

enum {
    BLOCK_COLUMNS = 6 * 32, // of b a block: SEAM_DEPTH x 192 x 4 bytes = 144 KiB, well inside an L2 cache
    DOT_ROWS = 4,           // rows of a with a transposed b up to which packing costs more than it saves
    DOT_COLUMNS = 2,        // the same for columns of the transposed b
    DIRECT_ROWS = 2 * ROWS, // rows of a up to which a plain b is read where it lies
};

// ---- one tile ---------------------------------------------------------------------------------

// `rows` x `vectors` of c, both known to the compiler; `last` lanes of the last vector are stored.
static inline __attribute__((always_inline)) void tile(const int rows, const int vectors, int32_t k, SeamMatrix a, const float *b,
                                                       ptrdiff_t b_row, bool add, float *c, ptrdiff_t ldc, int last) {
    Vec sum[ROWS][2];
    const float *base[3] = {a.data, a.data + 5 * a.row, a.data + 10 * a.row};
    const ptrdiff_t row = a.row, row3 = 3 * a.row;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = vec_set(0);
            __builtin_prefetch(c + i * ldc + v * LANES, 1); // c arrives from memory while k runs
        }
    for (int32_t p = 0; p < k; p++) {
        Vec right[2];
        for (int v = 0; v < vectors; v++)
            right[v] = vec_load(b + v * LANES);
        b += b_row;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const ptrdiff_t step[5] = {0, row, 2 * row, row3, 4 * row};
            Vec left = vec_set(base[i / 5][step[i % 5]]);
            for (int v = 0; v < vectors; v++)
                sum[i][v] = vec_fma(left, right[v], sum[i][v]);
        }
        for (int j = 0; j < 3; j++)
            base[j] += a.col;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++, c += ldc)
        for (int v = 0; v < vectors; v++) {
            int lanes = v + 1 < vectors ? LANES : last;
            float *to = c + v * LANES;
            if (add)
                sum[i][v] += vec_load_part(to, lanes);
            vec_store_part(to, lanes, sum[i][v]);
        }
}

typedef void (*Tile)(int32_t k, SeamMatrix a, const float *b, ptrdiff_t b_row, bool add, float *c, ptrdiff_t ldc, int last);

#define DEFINE_TILE(rows)                                                                                                                  \
    static void tile_##rows##_1(int32_t k, SeamMatrix a, const float *b, ptrdiff_t b_row, bool add, float *c, ptrdiff_t ldc, int last) {   \
        tile(rows, 1, k, a, b, b_row, add, c, ldc, last);                                                                                  \
    }                                                                                                                                      \
    static void tile_##rows##_2(int32_t k, SeamMatrix a, const float *b, ptrdiff_t b_row, bool add, float *c, ptrdiff_t ldc, int last) {   \
        tile(rows, 2, k, a, b, b_row, add, c, ldc, last);                                                                                  \
    }
ALL_ROWS(DEFINE_TILE)

#define TILE_ROW(rows) {tile_##rows##_1, tile_##rows##_2},
static const Tile tiles[ROWS][2] = {ALL_ROWS(TILE_ROW)};

// One strip of c, in panels of about equal height.
static void strip(int32_t m, int32_t columns, int32_t k, SeamMatrix a, const float *b, ptrdiff_t b_row, bool add, float *c, ptrdiff_t ldc) {
    int vectors = columns > LANES ? 2 : 1, last = columns - (vectors - 1) * LANES;
    for (int32_t i = 0, rows; i < m; i += rows) {
        int32_t panels = (m - i + ROWS - 1) / ROWS;
        rows = (m - i + panels - 1) / panels;
        SeamMatrix part = {a.data + i * a.row, a.row, a.col};
        tiles[rows - 1][vectors - 1](k, part, b, b_row, add, c + i * ldc, ldc, last);
    }
}

// ---- packing ----------------------------------------------------------------------------------

// Columns of b [columns, k] (rows ld apart) as rows: LANES x LANES at a time through registers.
static void pack_transposed(int32_t k, int32_t columns, const float *b, ptrdiff_t ld, float *packed) {
    Vec block[LANES];
    for (int32_t j = 0; j < SEAM_STRIP; j += LANES)
        for (int32_t p = 0; p < k; p += LANES) {
            int deep = seam_min(LANES, k - p);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                block[i] = j + i < columns ? vec_load_part(b + (j + i) * ld + p, deep) : vec_set(0);
            vec_transpose(block);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                if (i < deep)
                    vec_store(packed + (p + i) * SEAM_STRIP + j, block[i]);
        }
}

static void pack_plain(int32_t k, int32_t columns, const float *b, ptrdiff_t ld, float *packed) {
    int first = seam_min(columns, LANES), second = columns - first;
    for (int32_t p = 0; p < k; p++, b += ld, packed += SEAM_STRIP) {
        vec_store(packed, vec_load_part(b, first));
        vec_store(packed + LANES, vec_load_part(b + first, second));
    }
}

void seam_tile_pack(int32_t k, int32_t n, SeamMatrix b, float *packed) {
    for (int32_t j = 0; j < n; j += SEAM_STRIP, packed += (ptrdiff_t)k * SEAM_STRIP) {
        int32_t columns = seam_min(SEAM_STRIP, n - j);
        if (b.col == 1)
            pack_plain(k, columns, b.data + j, b.row, packed);
        else
            pack_transposed(k, columns, b.data + j * b.col, b.col, packed);
    }
}

void seam_tile_packed(int32_t m, int32_t n, int32_t k, SeamMatrix a, const float *packed, bool add, float *c, ptrdiff_t ldc) {
    for (int32_t j = 0; j < n; j += SEAM_STRIP, packed += (ptrdiff_t)k * SEAM_STRIP)
        strip(m, seam_min(SEAM_STRIP, n - j), k, a, packed, SEAM_STRIP, add, c + j, ldc);
}

// ---- few rows, transposed b -------------------------------------------------------------------

// Four rows of b at most against `rows` of a, along k: sum4[i] holds the products of row i. Each row of b is read once, none packed.
static inline __attribute__((always_inline)) void dot_tile(const int rows, int32_t k, const float *a, ptrdiff_t a_row,
                                                           const float *const right[4], VecFour sum4[DOT_ROWS]) {
    Vec sum[DOT_ROWS][4];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 4; j++)
            sum[i][j] = vec_set(0);
    for (int32_t p = 0; p < k; p += LANES) {
        int lanes = seam_min(LANES, k - p);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            Vec left = vec_load_part(a + i * a_row + p, lanes);
            for (int j = 0; j < 4; j++)
                sum[i][j] = vec_fma(left, vec_load_part(right[j] + p, lanes), sum[i][j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
        sum4[i] = vec_sum4(sum[i]);
}

// c(i, j) (+)= a_i . b_j for m <= DOT_ROWS rows a_i and n rows b_j of length k; c is stored with any strides.
static void dots(int32_t m, int32_t n, int32_t k, const float *a, ptrdiff_t a_row, const float *b, ptrdiff_t b_row, bool add, float *c,
                 ptrdiff_t c_row, ptrdiff_t c_col) {
    for (int32_t j = 0; j < n; j += 4) {
        const float *right[4];
        VecFour sum4[DOT_ROWS];
        float four[4];
        int columns = seam_min(4, n - j);
        for (int i = 0; i < 4; i++)
            right[i] = b + (j + seam_min(i, columns - 1)) * b_row;
        switch (m) {
        case 1: dot_tile(1, k, a, a_row, right, sum4); break;
        case 2: dot_tile(2, k, a, a_row, right, sum4); break;
        case 3: dot_tile(3, k, a, a_row, right, sum4); break;
        default: dot_tile(4, k, a, a_row, right, sum4); break;
        }
        for (int32_t i = 0; i < m; i++) {
            vec_store4(four, 4, sum4[i]);
            for (int t = 0; t < columns; t++) {
                float *to = c + i * c_row + (j + t) * c_col;
                *to = add ? *to + four[t] : four[t];
            }
        }
    }
}

// ---- the product ------------------------------------------------------------------------------

static void clear(int32_t m, int32_t n, float *c, ptrdiff_t ldc) {
    for (int32_t i = 0; i < m; i++)
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
}

// Whole strips of a plain b without packing.
static void direct(int32_t m, int32_t n, int32_t k, SeamMatrix a, SeamMatrix b, bool add, float *c, ptrdiff_t ldc) {
    for (int32_t j = 0; j < n; j += SEAM_STRIP)
        for (int32_t p = 0; p < k; p += SEAM_DEPTH) {
            SeamMatrix left = {a.data + p * a.col, a.row, a.col};
            strip(m, SEAM_STRIP, seam_min(SEAM_DEPTH, k - p), left, b.data + p * b.row + j, b.row, add || p > 0, c + j, ldc);
        }
}

bool seam_tile_product(int32_t m, int32_t n, int32_t k, SeamMatrix a, SeamMatrix b, bool add, float *c, ptrdiff_t ldc) {
    if (m == 0 || n == 0)
        return true;
    if (k == 0) {
        if (!add)
            clear(m, n, c, ldc);
        return true;
    }
    if (b.row == 1 && a.col == 1 && (m <= DOT_ROWS || n <= DOT_COLUMNS)) {
        if (n <= DOT_COLUMNS)
            dots(n, m, k, b.data, b.col, a.data, a.row, add, c, 1, ldc);
        else
            dots(m, n, k, a.data, a.row, b.data, b.col, add, c, ldc, 1);
        return true;
    }
    int32_t plain = b.col == 1 && m <= DIRECT_ROWS ? n / SEAM_STRIP * SEAM_STRIP : 0;
    direct(m, plain, k, a, b, add, c, ldc);
    if (plain == n)
        return true;
    int32_t wide = seam_min(BLOCK_COLUMNS, (n - plain + SEAM_STRIP - 1) / SEAM_STRIP * SEAM_STRIP), deep = seam_min(SEAM_DEPTH, k);
    float *packed = seam_scratch(SEAM_SCRATCH_PACK, (size_t)wide * (size_t)deep * sizeof *packed);
    if (!packed)
        return false;
    for (int32_t j = plain; j < n; j += BLOCK_COLUMNS)
        for (int32_t p = 0; p < k; p += SEAM_DEPTH) {
            int32_t columns = seam_min(BLOCK_COLUMNS, n - j), depth = seam_min(SEAM_DEPTH, k - p);
            SeamMatrix left = {a.data + p * a.col, a.row, a.col}, right = {b.data + p * b.row + j * b.col, b.row, b.col};
            seam_tile_pack(depth, columns, right, packed);
            seam_tile_packed(m, columns, depth, left, packed, add || p > 0, c + j, ldc);
        }
    return true;
}
