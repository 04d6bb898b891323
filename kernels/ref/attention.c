// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gated attention over a ragged batch, one query and head at a time, the scores never stored. With s_j = scale q . k_j + bias_j over the keys of
// query i, p_j = exp(s_j - lse) and o = sum_j p_j v_j:
//
//   out = gate o,   dgate = dout . o = D,   dv_j += gate p_j dout,   ds_j = gate p_j (dout . v_j - D),
//   dq = scale sum_j ds_j k_j,   dk_j += scale ds_j q
//
// D is summed as sum_j p_j (dout . v_j), which is dout . out / gate without the division: a gate of exactly 0 has a gradient too.
// A closed gate (gate < threshold) leaves 0 everywhere; a NaN gate is open and gives NaN. dk and dv are added up in f32, query by query.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

enum { most_head_dim = 128 };

typedef struct {
    int32_t count, first;
    const int32_t *list; // NULL: first, first + 1, ..
} Keys;

static Keys keys_of(const SeamAttention *a, int32_t sequence, int32_t i) {
    if (a->key_start)
        return (Keys){a->key_start[i + 1] - a->key_start[i], 0, a->key_index + a->key_start[i]};
    return (Keys){a->seq_start[sequence + 1] - a->seq_start[sequence], a->seq_start[sequence], NULL};
}

static int32_t key(const Keys *keys, int32_t t) {
    return keys->list ? keys->list[t] : keys->first + t;
}

static size_t at(const SeamAttention *a, int32_t token, int32_t head) {
    return (size_t)token * a->ld + (size_t)head * a->head_dim;
}

static double gate_of(const SeamAttention *a, int32_t i, int32_t head) {
    return a->gate ? a->gate[(size_t)i * a->heads + head] : 1;
}

static bool closed(const SeamAttention *a, int32_t i, int32_t head) {
    return a->gate && a->gate[(size_t)i * a->heads + head] < a->gate_threshold;
}

static double score(const SeamAttention *a, int32_t i, int32_t j, int32_t head) {
    double bias = a->key_bias ? a->key_bias[j] : 0;
    return a->scale * seam_ref_dot(a->head_dim, a->q + at(a, i, head), a->k + at(a, j, head)) + bias;
}

// out [head_dim]; returns lse, 0 where there is no key.
static double attend(const SeamAttention *a, const Keys *keys, int32_t i, int32_t head, float *out) {
    double most = -INFINITY, sum = 0, acc[most_head_dim] = {0};
    for (int32_t t = 0; t < keys->count; t++)
        most = fmax(most, score(a, i, key(keys, t), head));
    for (int32_t t = 0; t < keys->count; t++) {
        int32_t j = key(keys, t);
        const float *v = a->v + at(a, j, head);
        double p = exp(score(a, i, j, head) - most);
        sum += p;
        for (int32_t c = 0; c < a->head_dim; c++)
            acc[c] += p * v[c];
    }
    double factor = keys->count > 0 ? gate_of(a, i, head) / sum : 0;
    for (int32_t c = 0; c < a->head_dim; c++)
        out[c] = (float)(factor * acc[c]);
    return keys->count > 0 ? most + log(sum) : 0;
}

SeamStatus seam_ref_attention(const SeamAttention *a, float *out, float *lse) {
    assert(a->head_dim >= 0 && a->head_dim <= most_head_dim);
    for (int32_t s = 0; s < a->seqs; s++)
        for (int32_t i = a->seq_start[s]; i < a->seq_start[s + 1]; i++) {
            Keys keys = keys_of(a, s, i), none = {0};
            for (int32_t h = 0; h < a->heads; h++) {
                size_t row = (size_t)i * a->heads + h;
                double l = attend(a, closed(a, i, h) ? &none : &keys, i, h, out + row * a->head_dim);
                if (lse)
                    lse[row] = (float)l;
            }
        }
    return SEAM_OK;
}

// dq [head_dim] =, rows of dk and dv +=; returns D.
static double attend_backward(const SeamAttention *a, const Keys *keys, int32_t i, int32_t head, double lse, const float *dout,
                              float *dq, float *dk, float *dv) {
    double big_d = 0, gate = gate_of(a, i, head), acc[most_head_dim] = {0};
    const float *q = a->q + at(a, i, head);
    for (int32_t t = 0; t < keys->count; t++) {
        int32_t j = key(keys, t);
        big_d += exp(score(a, i, j, head) - lse) * seam_ref_dot(a->head_dim, dout, a->v + at(a, j, head));
    }
    for (int32_t t = 0; t < keys->count; t++) {
        int32_t j = key(keys, t);
        size_t row = at(a, j, head);
        double p = exp(score(a, i, j, head) - lse);
        double ds = a->scale * gate * p * (seam_ref_dot(a->head_dim, dout, a->v + row) - big_d);
        for (int32_t c = 0; c < a->head_dim; c++) {
            acc[c] += ds * a->k[row + c];
            dk[row + c] += (float)(ds * q[c]);
            dv[row + c] += (float)(gate * p * dout[c]);
        }
    }
    for (int32_t c = 0; c < a->head_dim; c++)
        dq[c] = (float)acc[c];
    return big_d;
}

SeamStatus seam_ref_attention_backward(const SeamAttention *a, const float *out, const float *lse, const float *dout,
                                       float *dq, float *dk, float *dv, float *dgate) {
    assert(a->head_dim >= 0 && a->head_dim <= most_head_dim);
    size_t width = (size_t)a->heads * a->head_dim;
    for (int32_t i = 0; i < a->n; i++) {
        memset(dk + (size_t)i * a->ld, 0, width * sizeof *dk);
        memset(dv + (size_t)i * a->ld, 0, width * sizeof *dv);
    }
    for (int32_t s = 0; s < a->seqs; s++)
        for (int32_t i = a->seq_start[s]; i < a->seq_start[s + 1]; i++) {
            Keys keys = keys_of(a, s, i), none = {0};
            for (int32_t h = 0; h < a->heads; h++) {
                size_t row = (size_t)i * a->heads + h;
                double d = attend_backward(a, closed(a, i, h) ? &none : &keys, i, h, lse[row], dout + row * a->head_dim,
                                           dq + at(a, i, h), dk, dv);
                if (a->gate)
                    dgate[row] = (float)d;
            }
        }
    return SEAM_OK;
}
