// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The safetensors format: 8 bytes little-endian header length, a JSON header, tensors. The reader owns a private copy of the file
// in memory (a mapped file that somebody shortens is a SIGBUS) and trusts nothing: header length, JSON types, dtype, shape products,
// offsets in order without overlap or hole, and the file covered exactly.
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum { SEAM_F32, SEAM_F16, SEAM_BF16, SEAM_I8, SEAM_I32 } SeamDtype;
size_t seam_dtype_size(SeamDtype dtype);

typedef struct {
    const char *name;
    SeamDtype dtype;
    int32_t rank, shape[4]; // rank 0 .. 4, every dimension >= 1
    size_t size;            // elements
    const void *data;       // 8-byte aligned is not guaranteed: read with memcpy or unaligned loads
} SeamArray;

typedef struct SeamSafetensors SeamSafetensors;

SeamSafetensors *seam_safetensors_read(const char *path, GError **error);
// The same from bytes (for tests and fuzzing); `name` begins error messages. The bytes are copied.
SeamSafetensors *seam_safetensors_parse(const void *bytes, size_t size, const char *name, GError **error);
void seam_safetensors_free(SeamSafetensors *file);
const char *seam_safetensors_path(const SeamSafetensors *file);
int32_t seam_safetensors_count(const SeamSafetensors *file);
const SeamArray *seam_safetensors_array(const SeamSafetensors *file, int32_t index);
const SeamArray *seam_safetensors_find(const SeamSafetensors *file, const char *name); // NULL when absent
const char *seam_safetensors_metadata(const SeamSafetensors *file, const char *key);   // NULL when absent
// The whole file as it was read.
const void *seam_safetensors_bytes(const SeamSafetensors *file, size_t *size);
// True when every value is finite; whole numbers always are.
bool seam_array_check(const SeamSafetensors *file, const SeamArray *array, GError **error);
// All values as f32 (F32, F16, BF16); an error names the file and tensor when the type is another or a value is not finite.
bool seam_array_to_f32(const SeamSafetensors *file, const SeamArray *array, float *out, GError **error);

typedef struct {
    const char *name;
    SeamDtype dtype;        // what is written: SEAM_F32, or SEAM_F16 or SEAM_BF16 converted from f32, or SEAM_I8
    int32_t rank, shape[4];
    const void *data;       // float, or int8_t for SEAM_I8
} SeamNamedArray;

// Writes atomically. metadata: pairs of key and value, NULL-terminated, or NULL.
bool seam_safetensors_write(const char *path, const SeamNamedArray *arrays, int32_t n, const char *const *metadata, GError **error);
