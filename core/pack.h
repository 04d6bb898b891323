// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Number types of weights: how a tensor is rounded to the type that it is kept in, and how the matrices of linear maps and convolutions are packed for a
// backend, once. What training reads is always the f32 values; the packed form is inference's alone.
//
//   I8    w = scale[row] q, q whole in -127 .. 127; scale = max |row| / 127, a row an output channel     ("per channel": Krishnamoorthi 2018, sec. 3.1)
//   BF16  w rounded to bfloat16
#pragma once

#include "core/params.h"

// Output channels, which have a scale each: the rows of all matrices, or the first dimension.
int32_t seam_tensor_rows(const SeamTensor *t);
// Whether it may become I8 or BF16: a weight of some size that is neither a router's, which choose, nor a head's, which answer.
bool seam_tensor_may_narrow(const SeamTensor *t);

// q [size] and scale [rows] of an I8 tensor's values.
void seam_tensor_quantise(const SeamTensor *t, int8_t *q, float *scale);
// The values as the type has them, in place. Nothing for F32.
void seam_tensor_round(SeamTensor *t);

// Takes over the types (and scales) of the same tensors of another model; the values are the caller's.
void seam_params_copy_types(SeamParams *to, const SeamParams *from);

// Packs the matrices of all linear maps and convolutions, each in its type, for the products of `kernels`; what was packed before is replaced.
bool seam_params_pack(SeamParams *params, const SeamKernels *kernels, GError **error);
// Back to the values alone, which must be there.
void seam_params_unpack(SeamParams *params);
