// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The selective scan, step by step in double, one channel at a time:
//
//   S_i = a_i S_(i-1) + d_i x_i b_i,   y_i = S_i . c_i + skip x_i,   d = step, a_i = exp(-d_i rate)
//
// Backward by the sum that the recurrence stands for (Dao and Gu 2024, eq. 10), so that no state has to be kept: with w_ij = a_i a_(i-1) .. a_(j+1)
// and g_ij the sum over a head's channels of dy_i x_j,
//
//   y_i = sum_(j <= i) w_ij (c_i . b_j) d_j x_j + skip x_i
//   dc_i = sum_j w_ij d_j g_ij b_j,   db_j = sum_i w_ij d_j g_ij c_i,   dx_j = d_j sum_i w_ij (c_i . b_j) dy_i + skip dy_j
//   P_ij = w_ij (c_i . b_j) d_j g_ij;   dd_j = sum_i P_ij / d_j - rate sum_(k < j <= i) P_ik,   drate = -sum_ij P_ij (d_i + .. + d_(j+1))
//
// n^2 for a sequence of n tokens. NaN spreads to all that depends on it.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

enum { most_state = 128 };

static size_t token_at(const SeamScan *s, int32_t i, int32_t head) {
    return (size_t)i * s->ld + (size_t)head * s->head_dim;
}

static void scan_channel(const SeamScan *s, int32_t sequence, int32_t head, int32_t channel, float *y, float *final) {
    double state[most_state] = {0};
    size_t states = (((size_t)sequence * s->heads + head) * s->head_dim + channel) * s->state;
    for (int32_t k = 0; s->initial && k < s->state; k++)
        state[k] = s->initial[states + k];
    for (int32_t i = s->seq_start[sequence]; i < s->seq_start[sequence + 1]; i++) {
        const float *b = s->b + (size_t)i * s->ld, *c = s->c + (size_t)i * s->ld;
        double step = s->step[(size_t)i * s->heads + head], x = s->x[token_at(s, i, head) + channel];
        double decay = exp(-step * s->rate[head]), sum = s->skip[head] * x;
        for (int32_t k = 0; k < s->state; k++) {
            state[k] = decay * state[k] + step * x * b[k];
            sum += state[k] * c[k];
        }
        y[((size_t)i * s->heads + head) * s->head_dim + channel] = (float)sum;
    }
    for (int32_t k = 0; final && k < s->state; k++)
        final[states + k] = (float)state[k];
}

SeamStatus seam_ref_scan(const SeamScan *s, float *y, float *final) {
    assert(s->state >= 0 && s->state <= most_state);
    for (int32_t q = 0; q < s->seqs; q++)
        for (int32_t h = 0; h < s->heads; h++)
            for (int32_t p = 0; p < s->head_dim; p++)
                scan_channel(s, q, h, p, y, final);
    return SEAM_OK;
}

typedef struct {
    const SeamScan *s;
    const float *dy;
    float *dx, *db, *dc, *dstep;
} Backward;

// What token j does to token i >= j of one head. decay: w_ij. Returns P_ij.
static double pair(const Backward *w, int32_t head, int32_t i, int32_t j, double decay) {
    const SeamScan *s = w->s;
    size_t at = (size_t)j * s->ld, x = token_at(s, j, head), y = ((size_t)i * s->heads + head) * s->head_dim;
    double step = s->step[(size_t)j * s->heads + head];
    double like = seam_ref_dot(s->state, s->c + (size_t)i * s->ld, s->b + at), g = seam_ref_dot(s->head_dim, w->dy + y, s->x + x);
    for (int32_t k = 0; k < s->state; k++) {
        w->dc[(size_t)i * s->ld + k] += (float)(decay * step * g * s->b[at + k]);
        w->db[at + k] += (float)(decay * step * g * s->c[(size_t)i * s->ld + k]);
    }
    for (int32_t p = 0; p < s->head_dim; p++)
        w->dx[x + p] += (float)(step * decay * like * w->dy[y + p]);
    w->dstep[(size_t)j * s->heads + head] += (float)(decay * like * g);
    return decay * like * step * g;
}

// Token i of a head against all before it in its sequence. Returns its part of drate.
static double query(const Backward *w, int32_t head, int32_t first, int32_t i) {
    const SeamScan *s = w->s;
    double since = 0, sum = 0, drate = 0;
    for (int32_t j = first + 1; j <= i; j++)
        since += s->step[(size_t)j * s->heads + head];
    for (int32_t j = first; j <= i; j++) {
        double p = pair(w, head, i, j, exp(-since * s->rate[head]));
        drate -= p * since;
        sum += p;
        if (j == i)
            break;
        since = j + 1 == i ? 0 : since - s->step[(size_t)(j + 1) * s->heads + head];
        w->dstep[(size_t)(j + 1) * s->heads + head] -= (float)(s->rate[head] * sum);
    }
    return drate;
}

SeamStatus seam_ref_scan_backward(const SeamScan *s, const float *dy, float *dx, float *db, float *dc, float *dstep, float *drate,
                                  float *dskip) {
    assert(s->state >= 0 && s->state <= most_state && !s->initial);
    Backward w = {s, dy, dx, db, dc, dstep};
    for (int32_t i = 0; i < s->n; i++) {
        memset(dx + (size_t)i * s->ld, 0, (size_t)s->heads * s->head_dim * sizeof *dx);
        memset(db + (size_t)i * s->ld, 0, (size_t)s->state * sizeof *db);
        memset(dc + (size_t)i * s->ld, 0, (size_t)s->state * sizeof *dc);
        memset(dstep + (size_t)i * s->heads, 0, (size_t)s->heads * sizeof *dstep);
    }
    for (int32_t h = 0; h < s->heads; h++) {
        double rate = 0, skip = 0;
        for (int32_t q = 0; q < s->seqs; q++)
            for (int32_t i = s->seq_start[q]; i < s->seq_start[q + 1]; i++) {
                const float *dyi = dy + ((size_t)i * s->heads + h) * s->head_dim;
                rate += query(&w, h, s->seq_start[q], i);
                skip += seam_ref_dot(s->head_dim, s->x + token_at(s, i, h), dyi);
                for (int32_t p = 0; p < s->head_dim; p++)
                    dx[token_at(s, i, h) + p] += s->skip[h] * dyi[p];
            }
        drate[h] += (float)rate;
        dskip[h] += (float)skip;
    }
    return SEAM_OK;
}
