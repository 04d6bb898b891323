// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Quantised tensors of a file: "NAME" I8 [..], whole numbers of -127 .. 127, and beside it "NAME.scale" F32 [rows], finite and not negative, a number for each
// run of as many values as go into its size by rows: value = scale q. Files are untrusted: each of this is checked.
#pragma once

#include "core/safetensors.h"

// True when the array is the scale of an I8 one in the same file.
bool seam_array_is_scale(const SeamSafetensors *file, const SeamArray *array);
// The scale of an I8 array, its name, type and shape checked; NULL with an error. rows: how many there must be; 0: as many as the first dimensions give.
const SeamArray *seam_array_scale(const SeamSafetensors *file, const SeamArray *array, int32_t rows, GError **error);
// Every value is checked; they go to out [size] and scale_out [rows] where these are not NULL.
bool seam_array_dequantise(const SeamSafetensors *file, const SeamArray *array, int32_t rows, float *out, float *scale_out, GError **error);
