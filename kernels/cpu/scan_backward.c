// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The gradient of the scan, chunk by chunk from the last one back. With S the state before a chunk, dS the gradient of the one after it, and lower(.)
// for what lies on and under the diagonal (scan.h for the rest):
//
//   dU = mix^T dY + (to_end_j b_j) dS^T,   dX = step dU + skip dY,   W = dY U^T
//   E = (since_i dY_i) S,   dC = E + lower(decay o W) B,   F = (to_end_j U_j) dS,   dB = F + lower(decay o W)^T C
//   dS <- since_last dS + (since_i dY_i)^T C
//
// Every decay is the exponential of a sum of -step rate over the tokens that it spans. With P = W o mix, the gradient of the sum up to token i is
//   l_i = sum_j P_ij - sum_j P_ji + c_i . E_i - b_i . F_i, and for the last one also since_last <dS, S> + sum_j b_j . F_j;
//   r_j = l_j + l_(j+1) + ..,   dstep_j = x_j . dU_j - rate r_j,   drate -= sum_j step_j r_j,   dskip += sum X o dY.
//
// A task owns a (sequence, head); heads share b and c, so each writes its part of their gradients beside, and a second pass adds them up.
#include "kernels/cpu/scan.h"

typedef struct {
    const SeamScan *s;
    const float *dy;
    float *dx, *db, *dc, *dstep;
    float *part;        // [heads, n, 2 state]: of db and dc
    double *rate_part;  // [seqs, heads, 2]: of drate and dskip
    atomic_bool failed;
} Backward;

typedef struct {
    SeamScanChunk chunk;
    float *w;       // [chunk, chunk] W, then lower(decay o W)
    float *dy, *u;  // [chunk, head_dim] since dY, to_end U
    float *du;      // [chunk, head_dim]
    float *b;       // [chunk, state] to_end b
    float *dstate;  // [head_dim, state] dS
    float *before;  // [chunks, head_dim, state] S of every chunk
} Work;

static int32_t chunks_of(int32_t tokens) {
    return (tokens + SEAM_CHUNK - 1) / SEAM_CHUNK;
}

static bool work_over(const SeamScan *s, int32_t tokens, Work *w) {
    size_t square = SEAM_CHUNK * SEAM_CHUNK, wide = (size_t)SEAM_CHUNK * s->head_dim, deep = (size_t)SEAM_CHUNK * s->state;
    size_t size = (size_t)s->head_dim * s->state, chunk = seam_chunk_floats(s);
    size_t floats = chunk + square + 3 * wide + deep + size + ((size_t)chunks_of(tokens) + 1) * size;
    float *at = seam_scratch(SEAM_SCRATCH_TASK, floats * sizeof *at);
    if (!at)
        return false;
    w->chunk = seam_chunk_over(s, at);
    w->w = at + chunk;
    w->dy = w->w + square;
    w->u = w->dy + wide;
    w->du = w->u + wide;
    w->b = w->du + wide;
    w->dstate = w->b + deep;
    w->before = w->dstate + size;
    memset(w->dstate, 0, 2 * size * sizeof *w->dstate); // and the state before the first chunk
    return true;
}

// The state before each chunk, as forward had it.
static bool keep_states(const SeamScan *s, int32_t sequence, int32_t head, Work *w) {
    size_t size = (size_t)s->head_dim * s->state;
    int32_t end = s->seq_start[sequence + 1];
    float *state = w->before;
    for (int32_t i = s->seq_start[sequence]; i < end; i += SEAM_CHUNK, state += size) {
        memcpy(state + size, state, size * sizeof *state);
        if (!seam_chunk_open(s, head, i, seam_min(SEAM_CHUNK, end - i), &w->chunk) || !seam_chunk_pass(s, &w->chunk, state + size, w->b))
            return false;
    }
    return true;
}

// W and its row and column sums of P into sum [count]; w->w becomes lower(decay o W).
static void spans(const SeamScanChunk *c, float *w, double *sum) {
    int32_t n = c->count;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) {
            ptrdiff_t at = (ptrdiff_t)i * n + j;
            double p = j <= i ? (double)w[at] * c->mix[at] : 0;
            sum[i] += p;
            sum[j] -= p;
            w[at] = j <= i ? w[at] * c->decay[at] : 0;
        }
}

// db and dc of the chunk into this head's part, whose rows are b's, then c's.
static bool shared_gradients(const Backward *g, const Work *w, const float *before, int32_t head, double *sum) {
    const SeamScan *s = g->s;
    const SeamScanChunk *c = &w->chunk;
    int32_t n = c->count, d = s->head_dim, k = s->state, row = 2 * k;
    const float *b = s->b + (size_t)c->first * s->ld, *q = s->c + (size_t)c->first * s->ld;
    float *db = g->part + ((size_t)head * s->n + c->first) * row, *dc = db + k;
    if (!seam_tile_product(n, k, d, seam_rows_of(w->dy, d), seam_rows_of(before, k), false, dc, row) ||
        !seam_tile_product(n, k, d, seam_rows_of(w->u, d), seam_rows_of(w->dstate, k), false, db, row))
        return false;
    sum[n - 1] += (double)c->since[n - 1] * row_dot(d * k, w->dstate, before);
    for (int32_t i = 0; i < n; i++) {
        double end = row_dot(k, b + (ptrdiff_t)i * s->ld, db + (ptrdiff_t)i * row);
        sum[i] += row_dot(k, q + (ptrdiff_t)i * s->ld, dc + (ptrdiff_t)i * row) - end;
        sum[n - 1] += end;
    }
    spans(c, w->w, sum);
    return seam_tile_product(n, k, n, seam_rows_of(w->w, n), seam_rows_of(b, s->ld), true, dc, row) &&
           seam_tile_product(n, k, n, seam_columns_of(w->w, n), seam_rows_of(q, s->ld), true, db, row);
}

// dx and dstep of the chunk, and what it adds to drate and dskip.
static void own_gradients(const Backward *g, const Work *w, int32_t head, const double *sum, double *rate_part) {
    const SeamScan *s = g->s;
    int32_t d = s->head_dim, dim = s->heads * d;
    double later = 0;
    for (int32_t i = w->chunk.count - 1; i >= 0; i--) {
        size_t token = (size_t)(w->chunk.first + i), at = token * (size_t)s->ld + (size_t)head * d;
        const float *dy = g->dy + token * (size_t)dim + (size_t)head * d, *du = w->du + (ptrdiff_t)i * d;
        float step = s->step[token * (size_t)s->heads + head];
        later += sum[i];
        g->dstep[token * (size_t)s->heads + head] = (float)(row_dot(d, s->x + at, du) - s->rate[head] * later);
        row_scale(d, step, du, g->dx + at);
        row_add(d, s->skip[head], dy, g->dx + at);
        rate_part[0] -= step * later;
        rate_part[1] += row_dot(d, s->x + at, dy);
    }
}

static bool chunk_backward(const Backward *g, Work *w, const float *before, int32_t head, double *rate_part) {
    const SeamScan *s = g->s;
    const SeamScanChunk *c = &w->chunk;
    int32_t n = c->count, d = s->head_dim, k = s->state, dim = s->heads * d;
    const float *dy = g->dy + (size_t)c->first * dim + (size_t)head * d;
    double sum[SEAM_CHUNK] = {0};
    seam_scale_rows(n, d, c->since, dy, dim, w->dy);
    seam_scale_rows(n, d, c->to_end, c->u, d, w->u);
    seam_scale_rows(n, k, c->to_end, s->b + (size_t)c->first * s->ld, s->ld, w->b);
    bool done = seam_tile_product(n, d, n, seam_columns_of(c->mix, n), seam_rows_of(dy, dim), false, w->du, d) &&
                seam_tile_product(n, d, k, seam_rows_of(w->b, k), seam_columns_of(w->dstate, k), true, w->du, d) &&
                seam_tile_product(n, n, d, seam_rows_of(dy, dim), seam_columns_of(c->u, d), false, w->w, n) &&
                shared_gradients(g, w, before, head, sum);
    if (!done)
        return false;
    own_gradients(g, w, head, sum, rate_part);
    row_scale(d * k, c->since[n - 1], w->dstate, w->dstate);
    return seam_tile_product(d, k, n, seam_columns_of(w->dy, d), seam_rows_of(s->c + (size_t)c->first * s->ld, s->ld), true, w->dstate, k);
}

static bool sequence_backward(const Backward *g, int32_t sequence, int32_t head) {
    const SeamScan *s = g->s;
    int32_t first = s->seq_start[sequence], tokens = s->seq_start[sequence + 1] - first;
    double *rate_part = g->rate_part + 2 * ((size_t)sequence * s->heads + head);
    Work w;
    rate_part[0] = rate_part[1] = 0;
    if (tokens == 0)
        return true;
    if (!work_over(s, tokens, &w) || !keep_states(s, sequence, head, &w))
        return false;
    for (int32_t chunk = chunks_of(tokens) - 1; chunk >= 0; chunk--) {
        int32_t from = first + chunk * SEAM_CHUNK, count = seam_min(SEAM_CHUNK, first + tokens - from);
        if (!seam_chunk_open(s, head, from, count, &w.chunk) ||
            !chunk_backward(g, &w, w.before + (size_t)chunk * s->head_dim * s->state, head, rate_part))
            return false;
    }
    return true;
}

static void run_backward(void *data, int32_t task, int32_t lane) {
    Backward *g = data;
    if (!sequence_backward(g, task / g->s->heads, task % g->s->heads))
        atomic_store(&g->failed, true);
}

static void add_parts(const void *job, int64_t from, int64_t to) {
    const Backward *g = job;
    const SeamScan *s = g->s;
    for (int64_t i = from; i < to; i++)
        for (int32_t h = 0; h < s->heads; h++) {
            const float *part = g->part + ((size_t)h * s->n + (size_t)i) * 2 * s->state;
            float *db = g->db + i * s->ld, *dc = g->dc + i * s->ld;
            if (h == 0) {
                row_scale(s->state, 1, part, db);
                row_scale(s->state, 1, part + s->state, dc);
            } else {
                row_add(s->state, 1, part, db);
                row_add(s->state, 1, part + s->state, dc);
            }
        }
}

static SeamStatus scan_backward(const SeamScan *s, const float *dy, float *dx, float *db, float *dc, float *dstep, float *drate,
                                float *dskip) {
    assert(!s->initial);
    size_t parts = (size_t)s->heads * s->n * 2 * s->state, pairs = (size_t)s->seqs * s->heads;
    Backward g = {.s = s, .dy = dy, .dx = dx, .db = db, .dc = dc, .dstep = dstep};
    if (s->n == 0)
        return SEAM_OK;
    for (int32_t i = 0; s->heads == 0 && i < s->n; i++) {
        memset(db + (size_t)i * s->ld, 0, (size_t)s->state * sizeof *db);
        memset(dc + (size_t)i * s->ld, 0, (size_t)s->state * sizeof *dc);
    }
    if (s->heads == 0)
        return SEAM_OK;
    g.rate_part = seam_scratch(SEAM_SCRATCH_CALL, 2 * pairs * sizeof(double) + parts * sizeof(float));
    if (!g.rate_part)
        return SEAM_NO_MEMORY;
    g.part = (float *)(g.rate_part + 2 * pairs);
    seam_pool_run((int32_t)pairs, run_backward, &g);
    if (g.failed)
        return SEAM_NO_MEMORY;
    seam_run_ranges(s->n, seam_row_grain(2 * s->state * s->heads), add_parts, &g);
    for (int32_t h = 0; h < s->heads; h++) {
        double rate = 0, skip = 0;
        for (int32_t q = 0; q < s->seqs; q++) {
            rate += g.rate_part[2 * ((size_t)q * s->heads + h)];
            skip += g.rate_part[2 * ((size_t)q * s->heads + h) + 1];
        }
        drate[h] += (float)rate;
        dskip[h] += (float)skip;
    }
    return SEAM_OK;
}

void SEAM_OF_ISA(seam_fill_scan_backward)(SeamKernels *k) {
    k->scan_backward = scan_backward;
}
