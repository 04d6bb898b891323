// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The selective scan in chunks. For a chunk with the state S before it (scan.h; shapes: SeamScan in kernels.h):
//
//   Y = mix U + (since_i c_i) S^T + skip X,   S' = since_last S + U^T (to_end_j b_j)
//
// A task owns a (sequence, head) and walks its chunks in order: deterministic. Per token and head 2 state (chunk + head_dim) + head_dim (chunk + 2 state)
// operations, bound by multiplication. f32; against the recurrence in double within 1e-6 of the sum of a row's absolute terms.
#include "kernels/cpu/scan.h"

typedef struct {
    const SeamScan *s;
    float *y, *final;
    atomic_bool failed;
} Forward;

static bool write_chunk(const Forward *f, const SeamScanChunk *c, int32_t head, const float *state, float *queries) {
    const SeamScan *s = f->s;
    int32_t d = s->head_dim, dim = s->heads * d;
    float *y = f->y + (size_t)c->first * dim + (size_t)head * d;
    seam_scale_rows(c->count, s->state, c->since, s->c + (size_t)c->first * s->ld, s->ld, queries);
    if (!seam_tile_product(c->count, d, c->count, seam_rows_of(c->mix, c->count), seam_rows_of(c->u, d), false, y, dim) ||
        !seam_tile_product(c->count, d, s->state, seam_rows_of(queries, s->state), seam_columns_of(state, s->state), true, y, dim))
        return false;
    for (int32_t i = 0; i < c->count; i++)
        row_add(d, s->skip[head], s->x + (size_t)(c->first + i) * s->ld + (size_t)head * d, y + (ptrdiff_t)i * dim);
    return true;
}

static bool scan_sequence(const Forward *f, int32_t sequence, int32_t head) {
    const SeamScan *s = f->s;
    size_t size = (size_t)s->head_dim * s->state, at = ((size_t)sequence * s->heads + head) * size;
    float *memory = seam_scratch(SEAM_SCRATCH_TASK, (seam_chunk_floats(s) + size + (size_t)SEAM_CHUNK * s->state) * sizeof(float));
    if (!memory)
        return false;
    SeamScanChunk chunk = seam_chunk_over(s, memory);
    float *state = memory + seam_chunk_floats(s), *scratch = state + size;
    if (s->initial)
        memcpy(state, s->initial + at, size * sizeof *state);
    else
        memset(state, 0, size * sizeof *state);
    for (int32_t i = s->seq_start[sequence], end = s->seq_start[sequence + 1]; i < end; i += SEAM_CHUNK)
        if (!seam_chunk_open(s, head, i, seam_min(SEAM_CHUNK, end - i), &chunk) || !write_chunk(f, &chunk, head, state, scratch) ||
            !seam_chunk_pass(s, &chunk, state, scratch))
            return false;
    if (f->final)
        memcpy(f->final + at, state, size * sizeof *state);
    return true;
}

static void run_scan(void *data, int32_t task, int32_t lane) {
    Forward *f = data;
    if (!scan_sequence(f, task / f->s->heads, task % f->s->heads))
        atomic_store(&f->failed, true);
}

static SeamStatus scan(const SeamScan *s, float *y, float *final) {
    Forward f = {.s = s, .y = y, .final = final};
    if (s->heads > 0)
        seam_pool_run(s->seqs * s->heads, run_scan, &f);
    return f.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_scan)(SeamKernels *k) {
    k->scan = scan;
}
