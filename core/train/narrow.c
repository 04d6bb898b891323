// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A step's detour over rounded weights, and back.
#include "core/train/narrow.h"

#include <string.h>

#include "core/pack.h"

bool seam_narrow(SeamModel *model, const SeamKernels *kernels, GError **error) {
    for (guint i = 0; i < model->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(model->params->tensors, i);
        g_clear_pointer(&t->scale, g_free); // of the values before
        t->type = seam_tensor_may_narrow(t) ? SEAM_PACK_I8 : SEAM_PACK_F32;
        seam_tensor_round(t);
    }
    return seam_model_pack(model, kernels, error);
}

bool seam_narrowing_begin(SeamNarrowing *n, SeamModel *model, const SeamKernels *kernels, GError **error) {
    size_t bytes = model->params->size * sizeof *n->master;
    if (!n->master)
        n->master = g_malloc(bytes);
    memcpy(n->master, model->params->data, bytes);
    return seam_narrow(model, kernels, error);
}

// In training nothing but the weights that are narrow moves while a step runs: gradients are beside them.
void seam_narrowing_end(SeamNarrowing *n, SeamModel *model) {
    memcpy(model->params->data, n->master, model->params->size * sizeof *n->master);
    seam_params_unpack(model->params);
}

void seam_narrowing_clear(SeamNarrowing *n) {
    g_clear_pointer(&n->master, g_free);
}
