// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The mixture of experts: a low-rank router picks top_k of `experts` small networks for each token.
// It owns the parameters "encoder.L.router.*", "encoder.L.experts.*", and the layers share
// "encoder.router.a" where the configuration says so.
#pragma once

#include "core/config.h"
#include "core/params.h"
#include "core/run.h"

typedef struct {
    int32_t dim, experts, groups, groups_kept, top_k, width, rank;
    SeamTensor *a;         // "encoder.router.a", or "encoder.L.router.a" [rank, dim]
    SeamTensor *b;         // "encoder.L.router.b" [experts, rank]
    SeamTensor *balance;   // "encoder.L.router.bias" [experts]: steers the choice, has no gradient
    SeamTensor *up;        // "encoder.L.experts.up.weight" [experts, width, dim]
    SeamTensor *up_bias;   // "encoder.L.experts.up.bias" [experts, width]
    SeamTensor *down;      // "encoder.L.experts.down.weight" [experts, dim, width]
    SeamTensor *down_bias; // "encoder.L.experts.down.bias" [experts, dim]
} SeamMoe;

// rows = n * top_k choices at most, sorted by expert. All in the arena of the forward pass but x.
typedef struct {
    int32_t n;
    const float *x;    // the caller's [n, dim]
    float *low;        // x A^T [n, rank]
    float *probs;      // [n, experts]
    int32_t *index;    // [n, top_k] the chosen experts
    float *gate;       // [n, top_k]
    int32_t *start;    // [experts + 1] rows of each expert
    int32_t *position; // [n, top_k] row of each choice
    int32_t *source;   // [rows] token of each row
    float *hidden;     // [rows, width] before gelu
    float *y;          // [rows, dim] what the experts gave
} SeamMoeSaved;

// shared_a: the A of an earlier layer, or NULL to declare one of this layer's own (or the shared
// one, when the configuration shares).
void seam_moe_declare(SeamMoe *moe, SeamParams *params, const SeamConfig *config, int32_t layer,
                      SeamTensor *shared_a);

// y [n, dim] += what the experts of each token give for x [n, dim]. use [experts] or NULL: += the
// share of each token's choices (of top_k: where effort.expert_mass leaves some out, less).
SeamStatus seam_moe_forward(const SeamMoe *moe, SeamRun *run, int32_t n, const float *x, float *y,
                            float *use, SeamMoeSaved *saved);
// dy [n, dim] -> dx [n, dim] (=). balance: weight of the load-balance loss; its value before
// weighting is added to *balance_loss (1 for an even load, `experts` for a collapsed one).
SeamStatus seam_moe_backward(const SeamMoe *moe, SeamRun *run, const SeamMoeSaved *saved,
                             float balance, double *balance_loss, const float *dy, float *dx);
// Bytes of arena at most: of scratch, and in *kept what stays after a forward pass with `train`.
size_t seam_moe_bytes(const SeamMoe *moe, int32_t n, bool train, size_t *kept);

// load [experts] += the choices that fell on each expert.
void seam_moe_add_load(const SeamMoe *moe, const SeamMoeSaved *saved, float *load);
// Moves the balance bias a step of `rate` towards the experts with less than the mean load.
void seam_moe_update_bias(const SeamMoe *moe, const float *load, float rate);
