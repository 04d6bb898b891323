// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Rounding and packing of weights. It owns the packed blocks of the tensors; what is in them is the backend's.
#include "core/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/bfloat.h"
#include "core/error.h"

enum { LEAST = 16 }; // rows and columns below which a matrix is no weight worth narrowing: gates, scores, deltas of low rank

int32_t seam_tensor_rows(const SeamTensor *t) {
    bool matrices = t->groups > 0 && t->rank < SEAM_MAX_RANK; // four dimensions has a convolution alone
    return matrices ? (int32_t)(t->size / (size_t)t->shape[t->rank - 1]) : t->shape[0];
}

bool seam_tensor_may_narrow(const SeamTensor *t) {
    size_t rows = (size_t)seam_tensor_rows(t);
    bool weight = t->decay || g_str_has_suffix(t->name, ".table"); // of words, whose rows do not decay
    return weight && rows >= LEAST && t->size / rows >= LEAST && !strstr(t->name, ".router.") && !g_str_has_prefix(t->name, "tasks.") &&
           !g_str_has_prefix(t->name, "exits.");
}

static float scale_of(const float *row, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(row[i]));
    return most / 127;
}

void seam_tensor_quantise(const SeamTensor *t, int8_t *q, float *scale) {
    size_t rows = (size_t)seam_tensor_rows(t), n = t->size / rows;
    for (size_t r = 0; r < rows; r++) {
        const float *row = t->data + r * n;
        scale[r] = t->scale ? t->scale[r] : scale_of(row, n);
        for (size_t i = 0; i < n; i++)
            q[r * n + i] = scale[r] > 0 ? (int8_t)fmaxf(-127, fminf(127, rintf(row[i] / scale[r]))) : 0;
    }
}

static void round_i8(SeamTensor *t) {
    size_t rows = (size_t)seam_tensor_rows(t), n = t->size / rows;
    g_autofree int8_t *q = g_new(int8_t, t->size);
    float *scale = g_new(float, rows);
    seam_tensor_quantise(t, q, scale);
    for (size_t i = 0; i < t->size; i++)
        t->data[i] = scale[i / n] * (float)q[i];
    g_free(t->scale);
    t->scale = scale; // so that rounding again changes nothing, to the last bit
}

void seam_tensor_round(SeamTensor *t) {
    if (t->type == SEAM_PACK_I8)
        round_i8(t);
    for (size_t i = 0; i < t->size && t->type == SEAM_PACK_BF16; i++)
        t->data[i] = seam_bf16_to_f32(seam_bf16_from_f32(t->data[i]));
}

void seam_params_copy_types(SeamParams *to, const SeamParams *from) {
    for (guint i = 0; i < to->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(to->tensors, i);
        const SeamTensor *other = g_ptr_array_index(from->tensors, i);
        t->type = other->type;
        g_free(t->scale);
        t->scale = g_memdup2(other->scale, other->scale ? sizeof(float) * (size_t)seam_tensor_rows(t) : 0);
    }
}

static void fill(const SeamTensor *t, const SeamKernels *kernels, const SeamPacked *p, void *block) {
    if (t->type != SEAM_PACK_I8) {
        kernels->pack(p->type, p->groups, p->n, p->k, t->data, block);
        return;
    }
    g_autofree int8_t *q = g_new(int8_t, t->size);
    g_autofree float *scale = g_new(float, seam_tensor_rows(t));
    seam_tensor_quantise(t, q, scale);
    kernels->pack_i8(p->groups, p->n, p->k, q, scale, block);
}

static bool pack(SeamTensor *t, const SeamKernels *kernels, GError **error) {
    int32_t rows = seam_tensor_rows(t);
    SeamPacked p = {.type = t->type, .groups = t->groups, .n = rows / t->groups, .k = (int32_t)(t->size / (size_t)rows)};
    size_t bytes = kernels->pack_bytes(p.type, p.groups, p.n, p.k);
    void *block = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!block) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for %zu bytes of packed weights: choose a smaller preset", bytes);
        return false;
    }
    fill(t, kernels, &p, block);
    p.data = block;
    free((void *)t->packed.data);
    t->packed = p;
    return true;
}

bool seam_params_pack(SeamParams *params, const SeamKernels *kernels, GError **error) {
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        if (t->groups > 0 && !pack(t, kernels, error))
            return false;
    }
    return true;
}

void seam_params_unpack(SeamParams *params) {
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        free((void *)t->packed.data);
        t->packed = (SeamPacked){0};
    }
}
