// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Parameters: a table of named tensors in one allocation, and their gradients in another, so that the optimiser sees one long vector
// and a file sees names. Layers declare their tensors first; then memory is taken once and the pointers become valid.
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernels.h"

enum { SEAM_MAX_RANK = 4 };

typedef enum {
    SEAM_INIT_ZERO,
    SEAM_INIT_ONE,
    SEAM_INIT_TWO,    // for the bias of a sigmoid gate: it starts open, at 0.88
    SEAM_INIT_STEPS,  // for the bias of a scan's steps: softplus gives 0.1 for the first down to 0.001 for the last, evenly in their logarithm
    SEAM_INIT_LINEAR, // normal, std = 1/sqrt(fan in), cut at two sigma; fan in = product of all dimensions but the first (or `fan_in`)
    SEAM_INIT_SMALL,  // normal, std 0.02
} SeamInit;

typedef struct {
    char *name; // "encoder.3.experts.up.weight"
    int32_t rank, shape[SEAM_MAX_RANK];
    size_t size;      // elements
    SeamInit init;
    int32_t fan_in;   // for SEAM_INIT_LINEAR; 0: from the shape
    bool decay;       // weight decay applies (matrices yes; norms, biases, gates' biases no)
    float *data;      // into SeamParams.data; NULL where the packed form alone is kept
    float *grad;      // into SeamParams.grad, or NULL in inference
    // How it is kept in a file and multiplied in inference (core/pack.h).
    SeamPackType type; // F32 (a file: F32 or F16) until it is quantised
    int32_t groups;    // matrices [n, k] of linear maps: 1, or the first of three dimensions; 1 of a convolution [n, kernel, kernel, in], k = kernel^2 in;
                       // 0: it is used otherwise, and not packed
    float *scale;      // type I8: [seam_tensor_rows] owned, what `data` are whole multiples of; NULL: taken from the largest of each row
    SeamPacked packed; // for kernels->linear or conv_packed; without data until packed
} SeamTensor;

typedef struct {
    GPtrArray *tensors; // of SeamTensor *, in the order of declaration; pointers stay valid
    float *data, *grad; // [size], 64-byte aligned; each tensor starts at a multiple of 16 elements
    size_t size;
} SeamParams;

SeamParams *seam_params_new(void);
void seam_params_free(SeamParams *params);

// Adds a tensor; unused dimensions are 0. The name must be new (asserted: names come from our code). Shape[0] > 0.
SeamTensor *seam_params_declare(SeamParams *params, const char *name, SeamInit init, bool decay,
                                int32_t d0, int32_t d1, int32_t d2, int32_t d3);
// Takes memory for data, and gradients when asked; all zero.
bool seam_params_allocate(SeamParams *params, bool with_grad, GError **error);
// Of inference: gives back the values of the tensors that are packed.
bool seam_params_shed(SeamParams *params, GError **error);
// Draws all values; a tensor's values depend on the seed and its name alone.
void seam_params_init(SeamParams *params, uint64_t seed);
SeamTensor *seam_params_find(const SeamParams *params, const char *name); // NULL when there is none
void seam_params_zero_grad(SeamParams *params);
