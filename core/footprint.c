// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Parameters are counted by their declarations, activations by what the layers plan for (the arenas' bounds, a little more than is used).
//
//   active = parameters - experts * (1 - top_k / number of experts)
#include "core/footprint.h"

#include <string.h>

#include "core/pack.h"

static double arena(const SeamModel *model, bool train) {
    const SeamConfig *c = &model->config;
    double bytes = 0;
    int32_t tokens = 0;
    for (int32_t m = 0; m < c->n_modalities; m++) {
        bytes += (double)seam_model_embed_bytes(model, m, 1, train);
        tokens += seam_modality_tokens(c, m);
    }
    return bytes + (double)seam_model_encode_bytes(model, tokens, train) + (double)seam_model_fuse_bytes(model, tokens, train);
}

// What is not packed is in single precision, whatever its type in the file.
static double kept_bytes(const SeamTensor *t) {
    if (t->groups == 0 || t->type == SEAM_PACK_F32)
        return (double)t->size * sizeof(float);
    return t->type == SEAM_PACK_BF16 ? (double)t->size * 2 : (double)t->size + (double)seam_tensor_rows(t) * sizeof(float);
}

void seam_footprint(const SeamModel *model, SeamFootprint *out) {
    const SeamConfig *c = &model->config;
    memset(out, 0, sizeof *out);
    for (guint i = 0; i < model->params->tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(model->params->tensors, i);
        out->parameters += (int64_t)t->size;
        out->kept += kept_bytes(t);
        out->experts += strstr(t->name, ".experts.") ? (int64_t)t->size : 0;
    }
    out->active = out->parameters - out->experts + out->experts / c->experts * c->top_k;
    out->weights = out->gradients = (double)out->parameters * sizeof(float);
    out->optimiser = 3 * out->weights;
    out->running = arena(model, false);
    out->training = arena(model, true);
}
