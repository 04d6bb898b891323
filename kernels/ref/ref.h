// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The operations of the reference table, each in plain C, and what they share. kernels.h says what each one does; this
// header belongs to kernels/ref alone. No operation here allocates, and none uses the pool.
#pragma once

#include "kernels/kernels.h"

// Columns that a double accumulator on the stack holds at a time.
enum { seam_ref_tile = 256 };

// Four sums, so that the compiler may keep them in one register; still the same bits on every call.
static inline double seam_ref_dot(int32_t n, const float *a, const float *b) {
    double sum[4] = {0};
    int32_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int32_t j = 0; j < 4; j++)
            sum[j] += (double)a[i + j] * b[i + j];
    for (; i < n; i++)
        sum[0] += (double)a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static inline int32_t seam_ref_min(int32_t a, int32_t b) {
    return a < b ? a : b;
}

SeamStatus seam_ref_gemm(bool ta, bool tb, int32_t m, int32_t n, int32_t k, const float *a, int32_t lda, const float *b,
                         int32_t ldb, float beta, float *c, int32_t ldc);
SeamStatus seam_ref_grouped_gemm(bool tb, int32_t groups, const int32_t *start, int32_t n, int32_t k, const float *a,
                                 const float *b, float *c);
SeamStatus seam_ref_grouped_gemm_dw(int32_t groups, const int32_t *start, int32_t m, int32_t n, const float *y,
                                    const float *x, float *dw);
SeamStatus seam_ref_add_bias(int32_t n, int32_t d, const float *bias, float *x);
SeamStatus seam_ref_bias_grad(int32_t n, int32_t d, const float *dy, float *db);
SeamStatus seam_ref_grouped_add_bias(int32_t groups, const int32_t *start, int32_t d, const float *bias, float *x);
SeamStatus seam_ref_grouped_bias_grad(int32_t groups, const int32_t *start, int32_t d, const float *dy, float *db);
SeamStatus seam_ref_add(size_t n, const float *x, float *y);

size_t seam_ref_pack_bytes(SeamPackType type, int32_t groups, int32_t n, int32_t k);
void seam_ref_pack(SeamPackType type, int32_t groups, int32_t n, int32_t k, const float *w, void *data);
void seam_ref_pack_i8(int32_t groups, int32_t n, int32_t k, const int8_t *q, const float *scale, void *data);
SeamStatus seam_ref_linear(const SeamLinearCall *call);
SeamStatus seam_ref_conv_packed(const SeamConvCall *call);

double seam_ref_gelu_of(double x);
SeamStatus seam_ref_gelu(size_t n, const float *x, float *y);
SeamStatus seam_ref_gelu_backward(size_t n, const float *x, const float *dy, float *dx);
SeamStatus seam_ref_sigmoid(size_t n, const float *x, float *y);

SeamStatus seam_ref_layer_norm(int32_t n, int32_t d, const float *x, const float *weight, const float *bias, float *y,
                               float *mean, float *rstd);
SeamStatus seam_ref_layer_norm_backward(int32_t n, int32_t d, const float *x, const float *weight, const float *mean,
                                        const float *rstd, const float *dy, float *dx, float *dweight, float *dbias);

SeamStatus seam_ref_attention(const SeamAttention *a, float *out, float *lse);
SeamStatus seam_ref_attention_backward(const SeamAttention *a, const float *out, const float *lse, const float *dout,
                                       float *dq, float *dk, float *dv, float *dgate);

SeamStatus seam_ref_scan(const SeamScan *s, float *y, float *final);
SeamStatus seam_ref_scan_backward(const SeamScan *s, const float *dy, float *dx, float *db, float *dc, float *dstep,
                                  float *drate, float *dskip);

SeamStatus seam_ref_route(const SeamRoute *r, const float *logits, const float *balance_bias, float *probs,
                          int32_t *index, float *gate);
SeamStatus seam_ref_route_backward(const SeamRoute *r, const float *probs, const int32_t *index, const float *gate,
                                   const float *dgate, const float *dprobs, float *dlogits);
SeamStatus seam_ref_route_sort(const SeamRoute *r, const int32_t *index, int32_t *start, int32_t *position,
                               int32_t *source);

SeamStatus seam_ref_gather(int32_t rows, int32_t d, const int32_t *source, const float *x, float *y);
SeamStatus seam_ref_gather_backward(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *dy,
                                    float *dx);
SeamStatus seam_ref_combine(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate,
                            const float *y, float *out);
SeamStatus seam_ref_combine_backward(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate,
                                     const float *y, const float *dout, float *dy, float *dgate);

SeamStatus seam_ref_pool(int32_t segments, const int32_t *start, int32_t d, const float *x, const float *score,
                         float *weight, float *out);
SeamStatus seam_ref_pool_backward(int32_t segments, const int32_t *start, int32_t d, const float *x,
                                  const float *weight, const float *out, const float *dout, float *dx, float *dscore);
SeamStatus seam_ref_distances(int32_t n, int32_t m, int32_t d, const float *a, const float *b, float *dist);

SeamStatus seam_ref_embed_bag(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d, const float *table,
                              float *out);
SeamStatus seam_ref_embed_bag_backward(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d,
                                       const float *dout, float *dtable);

SeamStatus seam_ref_conv(const SeamConv *c, const float *x, const float *w, const float *bias, float *y);
SeamStatus seam_ref_conv_backward_data(const SeamConv *c, const float *w, const float *dy, float *dx);
SeamStatus seam_ref_conv_backward_weights(const SeamConv *c, const float *x, const float *dy, float *dw, float *db);

SeamStatus seam_ref_normalise_u8(size_t pixels, int32_t channels, const uint8_t *x, const float *mean,
                                 const float *inverse_std, float *y);
SeamStatus seam_ref_f16_to_f32(size_t n, const uint16_t *x, float *y);
SeamStatus seam_ref_f32_to_f16(size_t n, const float *x, uint16_t *y);

SeamStatus seam_ref_adamw(size_t n, float *w, const float *grad, float *m, float *v, float lr, float beta1, float beta2,
                          float eps, float decay, int64_t step);
SeamStatus seam_ref_sum_squares(size_t n, const float *x, double *out);
