// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The arithmetic of Seam: one table of operations, filled by each backend.
//
// This header owns the contract of every operation: shapes, layouts, accumulation, NaN rule. It knows
// nothing of models. kernels/ref defines each operation in plain C; kernels/cpu must agree with it
// within the tolerance that tests/kernels/check_kernels states.
//
// Conventions for all operations:
//   - Matrices are row-major and dense unless an `ld` (elements from row to row) is given.
//   - Dimensions are int32_t >= 0. A dimension of 0 means nothing to do (outputs of size > 0 that are a sum
//     over nothing are set to 0). Callers validate sizes; kernels assert them.
//   - "=" outputs are overwritten, "+=" outputs are added to. Input gradients (dx) are "=" unless said
//     otherwise, parameter gradients (dw, db) are always "+=", because a step may have several parts.
//   - NaN and infinity in give NaN or infinity out in every element that depends on them; selection (routes)
//     treats NaN as -infinity, so that an index is always valid.
//   - Inputs and outputs do not overlap unless said otherwise. Pointers need 4-byte alignment only.
//   - Operations are deterministic for a fixed number of pool threads, and return a SeamStatus: SEAM_OK,
//     or SEAM_NO_MEMORY where a library below fails to allocate. They do not allocate after the first
//     call with the same shapes, but for the few blocks that oneDNN takes and gives back within a call.
//   - They may be called from several threads at once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    SEAM_OK = 0,
    SEAM_NO_MEMORY,    // a host or device allocation failed
    SEAM_BAD_SHAPE,    // the shape is outside what the operation supports
    SEAM_DEVICE_ERROR, // the device or the library below reported a failure
} SeamStatus;

const char *seam_status_text(SeamStatus status);

// Attention over a ragged batch. Token i of sequence s (seq_start[s] <= i < seq_start[s+1]) is query i.
//
//   out[i, h] = gate[i, h] * sum_j softmax_j(scale * q[i, h] . k[j, h] + key_bias[j]) v[j, h]
//
// j runs over the keys of i: all tokens of its sequence (key_start == NULL), or key_index[key_start[i]
// .. key_start[i+1]), indices into the batch, within the same sequence, no duplicates. A query without keys gives 0.
// A gate below gate_threshold counts as 0 and its work is skipped (out and all its gradients are 0, lse is 0).
// gate == NULL means 1, key_bias == NULL means 0. With key_bias[j] = log of how many tokens j stands for, j weighs as
// much as they would (Bolya 2023, eq. 1); it is given, so that it has no gradient. Source: Vaswani 2017 eq. 1 (scale = 1/sqrt(head_dim), not of the model's width); the
// gate: Qiu 2025, "Gated attention for large language models", G1 applied per head.
typedef struct {
    const float *q, *k, *v; // [n, heads, head_dim], rows ld apart: qkv may be slices of one [n, 3*dim] buffer
    int32_t ld;             // elements from token to token in q, k, v (and dq, dk, dv)
    const float *gate;      // [n, heads] in [0, 1], or NULL
    float gate_threshold;   // closed below this
    float scale;
    int32_t n, heads, head_dim; // head_dim <= 128
    const int32_t *seq_start;   // [seqs + 1], seq_start[0] = 0, seq_start[seqs] = n
    int32_t seqs;
    const int32_t *key_start; // [n + 1] or NULL (dense)
    const int32_t *key_index; // [key_start[n]]
    const float *key_bias;    // [n] added to the scaled scores of each key, or NULL
} SeamAttention;

// Selective scan over a ragged batch: a state of head_dim x state numbers a head runs along each sequence.
//
//   S_i = exp(-step[i, h] rate[h]) S_(i-1) + step[i, h] x[i, h] b[i]^T,   y[i, h] = S_i c[i] + skip[h] x[i, h]
//
// S before the first token of a sequence is its `initial`, or 0. b and c are shared by the heads. Source: Dao and Gu 2024, "Transformers are SSMs"
// (Mamba-2), eq. 3 and 5 with a scalar decay a head; step and rate are what they call Delta and -A.
typedef struct {
    const float *x, *b, *c; // [n, heads, head_dim], [n, state], [n, state], rows ld apart: slices of one buffer
    int32_t ld;             // elements from token to token in x, b, c (and dx, db, dc)
    const float *step;      // [n, heads] >= 0
    const float *rate;      // [heads] >= 0
    const float *skip;      // [heads]
    const float *initial;   // [seqs, heads, head_dim, state], or NULL: 0
    int32_t n, heads, head_dim, state;
    const int32_t *seq_start; // [seqs + 1], seq_start[0] = 0, seq_start[seqs] = n
    int32_t seqs;
} SeamScan;

// Convolution, NHWC, no groups: y[b, oy, ox, o] = bias[o] + sum x[b, oy*stride-pad+ky, ox*stride-pad+kx, c] w[o, ky, kx, c].
// Outside the picture x is 0. out_h = (h + 2*pad - kernel) / stride + 1, out_w alike.
typedef struct {
    int32_t batch, h, w, in, out, kernel, stride, pad;
} SeamConv;

// Expert selection. probs = softmax over experts of logits; the selection score is probs + balance_bias (the bias
// steers the choice, never the gate: Wang 2024, "Auxiliary-loss-free load balancing"). Experts lie in `groups`
// consecutive groups of experts/groups. A group's score is the sum of its two highest selection scores (its one, if
// it has one); the `groups_kept` best groups stay (DeepSeek-V3, sec. 2.1.2); of their experts the top_k best are chosen,
// in falling order; ties go to the lower index. gate = probs of the chosen, renormalised to sum 1.
// With `mass` above 0 a token keeps, in falling order of gate (ties: in the order chosen), the fewest whose gates sum to mass, at least one, and these gates
// are renormalised; they come first, and the rest of the token's places has index -1 (no choice) and gate 0. A token with a NaN gate keeps all.
typedef struct {
    int32_t n, experts, groups, groups_kept, top_k; // top_k <= groups_kept * experts / groups; experts <= 256
    float mass; // 0 to 1; 0 (as the gradient needs it): every token has top_k
} SeamRoute;

// Weights in the order in which a backend's products read them: made once, when a model is loaded, immutable from then on, read by any thread. `groups`
// matrices w[g] [n, k] lie in one block that the caller owns. The number types, all with sums over k:
//   F32   as given; sums in f32 (ref: double)
//   BF16  weights and rows of x rounded to bfloat16 (nearest even; below 2^-126 they may count as 0); sums in f32 (ref: double of the rounded)
//   I8    weights are whole numbers q of -127 .. 127 with a scale an output row, w = scale[g, n] q. A row of x is rounded to whole numbers by its own scale
//         ("per token": Yao 2022, ZeroQuant, sec. 4.1). Sums of q_x q are whole and exact (k <= 2^16), so that backends differ by the roundings of
//         s scale sum + bias alone. A row with a NaN or an infinity gives NaN in all of its outputs.
// Rounding of a row v to whole numbers, the same bits in every backend: with m = max |v|, s = m / 127 and q = nearest even of v (127 / m), each operation in
// f32; where m < 2^-120 (127 / m would be infinite) s = 0 and q = 0; where v is not finite throughout s = NaN and q = 0.
typedef enum { SEAM_PACK_F32, SEAM_PACK_BF16, SEAM_PACK_I8 } SeamPackType;

typedef struct {
    SeamPackType type;
    int32_t groups, n, k;
    const void *data; // pack_bytes() of the backend that packed it, and for its own products only; 64-byte aligned
} SeamPacked;

typedef enum { SEAM_ACT_NONE, SEAM_ACT_GELU } SeamActivation; // gelu as the operation below

// Linear maps of rows, packed: with group g of row r (start[g] <= r < start[g + 1]) and its row of x, source[r],
//   y[r] = act(w[g] x[source[r]] + bias[g]),  or y[r] += that, with `add`.
typedef struct {
    const SeamPacked *w;
    int32_t rows, x_rows;
    const int32_t *start;  // [groups + 1], start[0] = 0, start[groups] = rows; NULL where there is one group: all rows
    const int32_t *source; // [rows], each in 0 .. x_rows - 1, a row may come several times; NULL: r itself (x_rows = rows)
    const float *x;        // [x_rows, k], rows ldx apart
    const float *bias;     // [groups, n], or NULL
    float *y;              // [rows, n], rows ldy apart
    int32_t ldx, ldy;
    SeamActivation act;
    bool add;
} SeamLinearCall;

// Convolution with packed weights, SeamConv's shapes: y (+)= act(conv(x, w) + bias). w has one group, n = out and k = kernel * kernel * in in the order
// (ky, kx, channel). I8: x is rounded to whole numbers by one scale a picture, found from its numbers (m above is of the whole picture); one that is not finite
// gives NaN in all of its outputs. Outside the picture x is 0; whether 0 from outside times a weight that is not finite counts is left open.
typedef struct {
    SeamConv c;
    const SeamPacked *w;
    const float *x;    // [batch, h, w, in]
    const float *bias; // [out], or NULL
    float *y;          // [batch, out_h, out_w, out]
    SeamActivation act;
    bool add;
} SeamConvCall;

typedef struct SeamKernels {
    const char *backend; // "ref", "cpu"

    // c[m, n] = op(a) op(b) + beta * c; op(a) is [m, k], transposed storage when ta (a is [k, m]); b alike [k, n] / [n, k].
    // beta is 0 or 1; with 0, c is never read. Sums in f32 (ref: double).
    SeamStatus (*gemm)(bool ta, bool tb, int32_t m, int32_t n, int32_t k, const float *a, int32_t lda,
                       const float *b, int32_t ldb, float beta, float *c, int32_t ldc);

    // Inference with packed weights. Every type works on every machine; where it has no instructions of its own for a type, that is no faster than f32.
    size_t (*pack_bytes)(SeamPackType type, int32_t groups, int32_t n, int32_t k);
    // data = w [groups, n, k] packed; I8: the rows of w rounded to whole numbers as above, s their scale.
    void (*pack)(SeamPackType type, int32_t groups, int32_t n, int32_t k, const float *w, void *data);
    // The same of whole numbers q [groups, n, k], none -128, and scale [groups, n] that are there already (type I8).
    void (*pack_i8)(int32_t groups, int32_t n, int32_t k, const int8_t *q, const float *scale, void *data);
    SeamStatus (*linear)(const SeamLinearCall *call);
    SeamStatus (*conv_packed)(const SeamConvCall *call);

    // Ragged groups of rows with one matrix a group: for each g, rows r in [start[g], start[g+1]):
    //   c[r, n] = a[r, k] op(b[g]) ; b[g] is [k, n], or [n, k] when tb. start[0] = 0. (MoE forward and input gradient.)
    SeamStatus (*grouped_gemm)(bool tb, int32_t groups, const int32_t *start, int32_t n, int32_t k,
                               const float *a, const float *b, float *c);
    // dw[g] [m, n] += sum over rows r of group g of y[r, m]^T x[r, n]. (MoE weight gradient.)
    SeamStatus (*grouped_gemm_dw)(int32_t groups, const int32_t *start, int32_t m, int32_t n,
                                  const float *y, const float *x, float *dw);

    // x[n, d] += bias[d].
    SeamStatus (*add_bias)(int32_t n, int32_t d, const float *bias, float *x);
    // db[d] += sum of the rows of dy[n, d].
    SeamStatus (*bias_grad)(int32_t n, int32_t d, const float *dy, float *db);
    // The same for ragged groups with one bias a group, bias[groups, d].
    SeamStatus (*grouped_add_bias)(int32_t groups, const int32_t *start, int32_t d, const float *bias, float *x);
    SeamStatus (*grouped_bias_grad)(int32_t groups, const int32_t *start, int32_t d, const float *dy, float *db);

    // y[n] += x[n].
    SeamStatus (*add)(size_t n, const float *x, float *y);

    // y = gelu(x), the tanh form: x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)) (Hendrycks 2016, sec. 2). y may be x.
    SeamStatus (*gelu)(size_t n, const float *x, float *y);
    // dx = dy * gelu'(x). dx may be dy.
    SeamStatus (*gelu_backward)(size_t n, const float *x, const float *dy, float *dx);
    // y = 1 / (1 + exp(-x)). y may be x.
    SeamStatus (*sigmoid)(size_t n, const float *x, float *y);

    // Layer norm over d (Ba 2016): y = (x - mean) * rstd * weight + bias, rstd = 1/sqrt(var + 1e-5), biased variance.
    // mean[n], rstd[n] are kept for the backward pass (both may be NULL in inference).
    SeamStatus (*layer_norm)(int32_t n, int32_t d, const float *x, const float *weight, const float *bias,
                             float *y, float *mean, float *rstd);
    // dx += (the residual path adds to the same gradient), dweight +=, dbias +=.
    SeamStatus (*layer_norm_backward)(int32_t n, int32_t d, const float *x, const float *weight,
                                      const float *mean, const float *rstd, const float *dy,
                                      float *dx, float *dweight, float *dbias);

    // out [n, heads*head_dim] dense; lse [n, heads] = log sum exp of the scaled scores (may be NULL in inference).
    SeamStatus (*attention)(const SeamAttention *a, float *out, float *lse);
    // dq, dk, dv (rows a->ld apart, =), dgate [n, heads] (=, 0 where closed; ignored without a gate). out and lse from the
    // forward pass. Source of the recomputation: Dao 2022, FlashAttention, algorithm 4 (D = dout . out / gate).
    SeamStatus (*attention_backward)(const SeamAttention *a, const float *out, const float *lse,
                                     const float *dout, float *dq, float *dk, float *dv, float *dgate);

    // y [n, heads*head_dim] dense; final [seqs, heads, head_dim, state] = S after the last token of each sequence (its initial, if it has none),
    // or NULL; it may be initial. cpu works in chunks of tokens: a NaN may also reach the few tokens before it that share its chunk.
    SeamStatus (*scan)(const SeamScan *s, float *y, float *final);
    // dx, db, dc (rows s->ld apart, =), dstep [n, heads] (=), drate [heads] and dskip [heads] (+=). Every sequence starts at 0: s->initial is NULL.
    SeamStatus (*scan_backward)(const SeamScan *s, const float *dy, float *dx, float *db, float *dc, float *dstep, float *drate, float *dskip);

    // logits [n, experts] -> probs [n, experts], index [n, top_k] (expert), gate [n, top_k].
    SeamStatus (*route)(const SeamRoute *r, const float *logits, const float *balance_bias,
                        float *probs, int32_t *index, float *gate);
    // dlogits [n, experts] = from dgate [n, top_k] and dprobs [n, experts] (the balance loss; NULL for none).
    SeamStatus (*route_backward)(const SeamRoute *r, const float *probs, const int32_t *index,
                                 const float *gate, const float *dgate, const float *dprobs, float *dlogits);
    // Stable counting sort of the n*top_k choices by expert: start [experts + 1] row ranges; position [n, top_k]: the row of
    // choice (i, j), -1 where the index is; source [n*top_k]: the token of a row, of which there are start[experts].
    SeamStatus (*route_sort)(const SeamRoute *r, const int32_t *index, int32_t *start, int32_t *position,
                             int32_t *source);

    // y[r] = x[source[r]], rows of d.
    SeamStatus (*gather)(int32_t rows, int32_t d, const int32_t *source, const float *x, float *y);
    // dx[i] = sum_j dy[position[i, j]] over top_k rows: the gradient of gather after route_sort.
    SeamStatus (*gather_backward)(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *dy, float *dx);
    // out[i] += sum_j gate[i, j] * y[position[i, j]] over the positions that are not -1; they come first.
    SeamStatus (*combine)(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate,
                          const float *y, float *out);
    // dy[position[i, j]] = gate[i, j] * dout[i]; dgate[i, j] = y[position[i, j]] . dout[i].
    SeamStatus (*combine_backward)(int32_t n, int32_t top_k, int32_t d, const int32_t *position, const float *gate,
                                   const float *y, const float *dout, float *dy, float *dgate);

    // Softmax pooling of ragged segments: weight[i] = softmax of score over the segment's tokens, out[s] = sum_i weight[i] x[i].
    // An empty segment gives 0. start [segments + 1], start[0] = 0. Rows of d.
    SeamStatus (*pool)(int32_t segments, const int32_t *start, int32_t d, const float *x, const float *score,
                       float *weight, float *out);
    // dx += weight[i] dout[s]; dscore = weight[i] (x[i] - out[s]) . dout[s].
    SeamStatus (*pool_backward)(int32_t segments, const int32_t *start, int32_t d, const float *x, const float *weight,
                                const float *out, const float *dout, float *dx, float *dscore);

    // Mean of table rows: out[b] = mean over id in ids[start[b] .. start[b+1]) of table[id]; an empty bag gives 0. Ids are valid rows.
    SeamStatus (*embed_bag)(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d, const float *table, float *out);
    SeamStatus (*embed_bag_backward)(int32_t bags, const int32_t *start, const int32_t *ids, int32_t d,
                                     const float *dout, float *dtable); // +=

    // w [out, kernel, kernel, in]; bias [out] or NULL.
    SeamStatus (*conv)(const SeamConv *c, const float *x, const float *w, const float *bias, float *y);
    SeamStatus (*conv_backward_data)(const SeamConv *c, const float *w, const float *dy, float *dx);              // =
    SeamStatus (*conv_backward_weights)(const SeamConv *c, const float *x, const float *dy, float *dw, float *db); // +=

    // y[p, c] = (x[p, c] - mean[c]) * inverse_std[c] for p pixels of `channels` interleaved bytes.
    SeamStatus (*normalise_u8)(size_t pixels, int32_t channels, const uint8_t *x, const float *mean,
                               const float *inverse_std, float *y);

    // dist[n, m] = squared Euclidean distance of a[n, d] and b[m, d], never below 0.
    SeamStatus (*distances)(int32_t n, int32_t m, int32_t d, const float *a, const float *b, float *dist);

    // AdamW (Loshchilov 2019, algorithm 2): decoupled weight decay; step counts from 1.
    //   m = b1 m + (1-b1) g ; v = b2 v + (1-b2) g^2 ; w -= lr (m^ / (sqrt(v^) + eps) + decay w)
    SeamStatus (*adamw)(size_t n, float *w, const float *grad, float *m, float *v, float lr, float beta1,
                        float beta2, float eps, float decay, int64_t step);
    // *out = sum of squares in double.
    SeamStatus (*sum_squares)(size_t n, const float *x, double *out);

    // IEEE half precision, round to nearest even; NaN stays NaN, overflow becomes infinity.
    SeamStatus (*f16_to_f32)(size_t n, const uint16_t *x, float *y);
    SeamStatus (*f32_to_f16)(size_t n, const float *x, uint16_t *y);
} SeamKernels;

// One row of what was chosen, for `seam doctor`: the operation's name and its implementation: "ref", "avx2", "avx512", "neon", or "onednn", which is asked
// first, our own code doing the shapes that oneDNN does not do faster. Number types of packed weights have rows of their own: there "avx512bf16", "avx512vnni"
// and "dotprod" too.
typedef struct {
    const char *operation, *implementation;
} SeamKernelChoice;

// The tables. Both are immutable after the first call (thread-safe). seam_kernels_cpu() starts as a copy of ref and overrides what
// this machine has; every slot is non-NULL. SEAM_CPU=ref|avx2|avx512|avx512dot (ARM: ref|neon|dotprod) in the environment lowers the choice, for tests.
const SeamKernels *seam_kernels_ref(void);
const SeamKernels *seam_kernels_cpu(void);

// The choices behind seam_kernels_cpu(), in the table's order, then "linear.f32", "linear.bf16", "linear.i8"; *count is set.
const SeamKernelChoice *seam_kernels_cpu_choices(size_t *count);
