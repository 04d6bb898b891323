// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The table of parameters. It owns the names and the two long vectors; it knows nothing of layers.
#include "core/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/random.h"

enum { TENSOR_STEP = 16 }; // elements: 64 bytes, so that every tensor begins a cache line

static void tensor_free(void *pointer) {
    SeamTensor *tensor = pointer;
    free((void *)tensor->packed.data);
    g_free(tensor->scale);
    g_free(tensor->name);
    g_free(tensor);
}

SeamParams *seam_params_new(void) {
    SeamParams *params = g_new0(SeamParams, 1);
    params->tensors = g_ptr_array_new_with_free_func(tensor_free);
    return params;
}

void seam_params_free(SeamParams *params) {
    if (!params)
        return;
    g_ptr_array_unref(params->tensors);
    free(params->data);
    free(params->grad);
    g_free(params);
}

// The elements that a tensor takes with its padding are added to *total; SIZE_MAX once that
// overflows, which no allocation survives.
static void add_extent(size_t *total, size_t size) {
    size_t padded;
    if (__builtin_add_overflow(size, (size_t)TENSOR_STEP - 1, &padded) ||
        __builtin_add_overflow(*total, padded & ~((size_t)TENSOR_STEP - 1), total))
        *total = SIZE_MAX;
}

SeamTensor *seam_params_declare(SeamParams *params, const char *name, SeamInit init, bool decay,
                                int32_t d0, int32_t d1, int32_t d2, int32_t d3) {
    g_assert(d0 > 0 && !params->data && !seam_params_find(params, name));
    SeamTensor *tensor = g_new0(SeamTensor, 1);
    tensor->name = g_strdup(name);
    tensor->init = init;
    tensor->decay = decay;
    tensor->size = 1;
    const int32_t shape[SEAM_MAX_RANK] = {d0, d1, d2, d3};
    for (int32_t i = 0; i < SEAM_MAX_RANK && shape[i] > 0; i++) {
        tensor->shape[tensor->rank++] = shape[i];
        if (__builtin_mul_overflow(tensor->size, (size_t)shape[i], &tensor->size))
            tensor->size = SIZE_MAX;
    }
    add_extent(&params->size, tensor->size);
    g_ptr_array_add(params->tensors, tensor);
    return tensor;
}

static float *zeros(size_t count) {
    size_t bytes;
    if (__builtin_mul_overflow(count, sizeof(float), &bytes))
        return NULL;
    float *block = aligned_alloc(64, bytes ? bytes : 64);
    return block ? memset(block, 0, bytes) : NULL;
}

bool seam_params_allocate(SeamParams *params, bool with_grad, GError **error) {
    g_assert(!params->data);
    params->data = zeros(params->size);
    params->grad = params->data && with_grad ? zeros(params->size) : NULL;
    if (!params->data || (with_grad && !params->grad)) {
        free(params->data);
        params->data = NULL;
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY,
                    "no memory for %zu parameters%s: choose a smaller preset", params->size,
                    with_grad ? " and their gradients" : "");
        return false;
    }
    size_t offset = 0;
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *tensor = g_ptr_array_index(params->tensors, i);
        tensor->data = params->data + offset;
        tensor->grad = params->grad ? params->grad + offset : NULL;
        add_extent(&offset, tensor->size);
    }
    return true;
}

bool seam_params_shed(SeamParams *params, GError **error) {
    size_t size = 0, offset = 0;
    for (guint i = 0; i < params->tensors->len; i++) {
        const SeamTensor *tensor = g_ptr_array_index(params->tensors, i);
        if (!tensor->packed.data)
            add_extent(&size, tensor->size);
    }
    float *block = zeros(size);
    if (!block) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for %zu parameters: choose a smaller preset", size);
        return false;
    }
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *tensor = g_ptr_array_index(params->tensors, i);
        if (!tensor->packed.data)
            tensor->data = memcpy(block + offset, tensor->data, tensor->size * sizeof *block);
        else
            tensor->data = NULL;
        if (tensor->data)
            add_extent(&offset, tensor->size);
    }
    free(params->data);
    params->data = block;
    params->size = size;
    return true;
}

// N(0, sigma^2) given |x| <= 2 sigma, by redrawing (4.6 % of the draws).
static float truncated_normal(SeamRandom *random, double sigma) {
    double value;
    do
        value = seam_random_normal(random);
    while (!(fabs(value) <= 2.0));
    return (float)(sigma * value);
}

static double sigma_of(const SeamTensor *tensor) {
    if (tensor->init == SEAM_INIT_SMALL)
        return 0.02;
    double fan_in = tensor->fan_in;
    if (tensor->fan_in == 0)
        fan_in = (double)(tensor->size / (size_t)tensor->shape[0]);
    return 1.0 / sqrt(fan_in);
}

// softplus(b) = step: b = log(exp(step) - 1). Of one value, the first.
static void draw_steps(SeamTensor *tensor) {
    for (size_t i = 0; i < tensor->size; i++) {
        double share = tensor->size > 1 ? (double)i / (double)(tensor->size - 1) : 0;
        tensor->data[i] = (float)log(expm1(pow(10, -1 - 2 * share)));
    }
}

static void tensor_draw(SeamTensor *tensor, uint64_t seed) {
    static const float constant[] = {
        [SEAM_INIT_ZERO] = 0.0f, [SEAM_INIT_ONE] = 1.0f, [SEAM_INIT_TWO] = 2.0f};
    if (tensor->init <= SEAM_INIT_TWO) {
        for (size_t i = 0; i < tensor->size; i++)
            tensor->data[i] = constant[tensor->init];
        return;
    }
    if (tensor->init == SEAM_INIT_STEPS) {
        draw_steps(tensor);
        return;
    }
    SeamRandom random = seam_random(seed, seam_random_hash(tensor->name));
    double sigma = sigma_of(tensor);
    for (size_t i = 0; i < tensor->size; i++)
        tensor->data[i] = truncated_normal(&random, sigma);
}

void seam_params_init(SeamParams *params, uint64_t seed) {
    for (guint i = 0; i < params->tensors->len; i++)
        tensor_draw(g_ptr_array_index(params->tensors, i), seed);
}

SeamTensor *seam_params_find(const SeamParams *params, const char *name) {
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *tensor = g_ptr_array_index(params->tensors, i);
        if (strcmp(tensor->name, name) == 0)
            return tensor;
    }
    return NULL;
}

void seam_params_zero_grad(SeamParams *params) {
    if (params->grad)
        memset(params->grad, 0, params->size * sizeof(float));
}
