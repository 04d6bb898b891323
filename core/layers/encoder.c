// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One encoder layer, pre-norm (Xiong 2020, "On layer normalization in the transformer
// architecture", fig. 1b).
//
//   x += Attention(LN1(x))       over the tokens of a sequence, by the layer's mixer
//   x += MoE(LN2(x))             token by token                                            x [n,
//   dim]
//
// Backward: the stream's gradient dx passes both sums unchanged, and each branch adds its own: dx
// += LN'(Branch'(dx)).
#include "core/layers/encoder.h"

void seam_encoder_declare(SeamEncoderLayer *layer, SeamParams *params, const SeamConfig *config,
                          int32_t index, SeamTensor *shared_a) {
    g_autofree char *norm1 = g_strdup_printf("encoder.%d.norm1", index);
    g_autofree char *norm2 = g_strdup_printf("encoder.%d.norm2", index);
    g_autofree char *attention = g_strdup_printf("encoder.%d.attention", index);
    layer->mixer = config->mixer[index];
    layer->gate_threshold = config->gate_threshold;
    seam_norm_declare(&layer->norm1, params, norm1, config->dim);
    seam_attention_declare(&layer->attention, params, attention, config->dim, config->heads);
    seam_norm_declare(&layer->norm2, params, norm2, config->dim);
    seam_moe_declare(&layer->moe, params, config, index, shared_a);
}

SeamStatus seam_encoder_forward(const SeamEncoderLayer *layer, SeamRun *run,
                                const SeamPattern *pattern, float *x, float *use,
                                SeamEncoderSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t n = pattern->n;
    bool train = saved != NULL;
    SeamEncoderSaved scratch, *s = saved ? saved : &scratch;
    s->n = n;
    SEAM_TRY(seam_norm_open(&layer->norm1, run, n, x, train, &s->norm1));
    SEAM_TRY(seam_attention_forward(&layer->attention, run, pattern,
                                    train ? 0 : layer->gate_threshold, s->norm1.h, x,
                                    train ? &s->attention : NULL));
    if (!train)
        seam_arena_release(run->arena, mark);
    SEAM_TRY(seam_norm_open(&layer->norm2, run, n, x, train, &s->norm2));
    SEAM_TRY(seam_moe_forward(&layer->moe, run, n, s->norm2.h, x, use, train ? &s->moe : NULL));
    if (!train)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_encoder_backward(const SeamEncoderLayer *layer, SeamRun *run,
                                 const SeamEncoderSaved *s, float balance, double *balance_loss,
                                 float *dx) {
    size_t mark = seam_arena_mark(run->arena);
    float *dh = SEAM_NEW(run->arena, float, (size_t)s->n * layer->norm1.dim);
    if (!dh)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_moe_backward(&layer->moe, run, &s->moe, balance, balance_loss, dx, dh));
    SEAM_TRY(seam_norm_open_backward(&layer->norm2, run, s->n, &s->norm2, dh, dx));
    SEAM_TRY(seam_attention_backward(&layer->attention, run, &s->attention, dx, dh));
    SEAM_TRY(seam_norm_open_backward(&layer->norm1, run, s->n, &s->norm1, dh, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_encoder_bytes(const SeamEncoderLayer *layer, int32_t n, bool train, size_t *kept) {
    size_t attention_kept, moe_kept;
    size_t attention = seam_attention_bytes(&layer->attention, n, train, &attention_kept);
    size_t moe = seam_moe_bytes(&layer->moe, n, train, &moe_kept);
    *kept =
        train ? 2 * seam_norm_open_bytes(&layer->norm1, n, true) + attention_kept + moe_kept : 0;
    return seam_norm_open_bytes(&layer->norm1, n, false) + MAX(attention, moe);
}
