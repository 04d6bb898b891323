// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One encoder layer, pre-norm (Xiong 2020, "On layer normalization in the transformer
// architecture", fig. 1b).
//
//   x += Mixer(LN1(x))           attention or scan over the tokens of a sequence
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
    bool scan = config->mixer[index] == SEAM_MIXER_SCAN;
    g_autofree char *mixer = g_strdup_printf("encoder.%d.%s", index, scan ? "scan" : "attention");
    layer->mixer = config->mixer[index];
    layer->hash = seam_hash_of(config, index);
    layer->gate_threshold = config->gate_threshold;
    seam_norm_declare(&layer->norm1, params, norm1, config->dim);
    if (layer->mixer == SEAM_MIXER_GATED)
        seam_gated_declare(&layer->gated, params, mixer, config);
    else if (scan)
        seam_scan_declare(&layer->scan, params, mixer, config);
    else
        seam_attention_declare(&layer->attention, params, mixer, config->dim, config->heads);
    seam_norm_declare(&layer->norm2, params, norm2, config->dim);
    seam_moe_declare(&layer->moe, params, config, index, shared_a);
}

// x += the mixed tokens of h.
static SeamStatus mix(const SeamEncoderLayer *layer, SeamRun *run, const SeamPattern *pattern,
                      const float *h, float *state, float *x, SeamEncoderSaved *saved) {
    float threshold = saved ? 0 : layer->gate_threshold;
    SeamPattern own;
    if (layer->mixer == SEAM_MIXER_SCAN)
        return seam_scan_forward(&layer->scan, run, pattern, h, state, x,
                                 saved ? &saved->scan : NULL);
    if (layer->mixer == SEAM_MIXER_GATED)
        return seam_gated_forward(&layer->gated, run, pattern, threshold, h, x,
                                  saved ? &saved->gated : NULL);
    if (layer->mixer == SEAM_MIXER_HASH) // by what the tokens are, so no two layers share one
        SEAM_TRY(seam_pattern_hash(&layer->hash, run, pattern, h, &own));
    return seam_attention_forward(&layer->attention, run,
                                  layer->mixer == SEAM_MIXER_HASH ? &own : pattern, threshold, h, x,
                                  saved ? &saved->attention : NULL);
}

static SeamStatus mix_backward(const SeamEncoderLayer *layer, SeamRun *run,
                               const SeamEncoderSaved *s, const float *dx, float *dh) {
    if (layer->mixer == SEAM_MIXER_SCAN)
        return seam_scan_backward(&layer->scan, run, &s->scan, dx, dh);
    if (layer->mixer == SEAM_MIXER_GATED)
        return seam_gated_backward(&layer->gated, run, &s->gated, dx, dh);
    return seam_attention_backward(&layer->attention, run, &s->attention, dx, dh);
}

SeamStatus seam_encoder_forward(const SeamEncoderLayer *layer, SeamRun *run,
                                const SeamPattern *pattern, float *state, float *x, float *use,
                                SeamEncoderSaved *saved) {
    size_t mark = seam_arena_mark(run->arena);
    int32_t n = pattern->n;
    bool train = saved != NULL;
    SeamEncoderSaved scratch, *s = saved ? saved : &scratch;
    s->n = n;
    SEAM_TRY(seam_norm_open(&layer->norm1, run, n, x, train, &s->norm1));
    SEAM_TRY(mix(layer, run, pattern, s->norm1.h, state, x, saved));
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
    SEAM_TRY(mix_backward(layer, run, s, dx, dh));
    SEAM_TRY(seam_norm_open_backward(&layer->norm1, run, s->n, &s->norm1, dh, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// Of the mixer alone; its own pattern is among it.
static size_t mixer_bytes(const SeamEncoderLayer *layer, int32_t n, bool train, size_t *kept) {
    if (layer->mixer == SEAM_MIXER_SCAN)
        return seam_scan_bytes(&layer->scan, n, train, kept);
    if (layer->mixer == SEAM_MIXER_GATED)
        return seam_gated_bytes(&layer->gated, n, train, kept);
    size_t scratch = seam_attention_bytes(&layer->attention, n, train, kept), pattern = 0;
    if (layer->mixer == SEAM_MIXER_HASH)
        scratch = MAX(scratch, seam_pattern_hash_bytes(&layer->hash, n, &pattern));
    *kept += train ? pattern : 0;
    return scratch + (train ? 0 : pattern);
}

size_t seam_encoder_bytes(const SeamEncoderLayer *layer, int32_t n, bool train, size_t *kept) {
    size_t mixer_kept, moe_kept;
    size_t mixer = mixer_bytes(layer, n, train, &mixer_kept);
    size_t moe = seam_moe_bytes(&layer->moe, n, train, &moe_kept);
    *kept = train ? 2 * seam_norm_open_bytes(&layer->norm1, n, true) + mixer_kept + moe_kept : 0;
    return seam_norm_open_bytes(&layer->norm1, n, false) + MAX(mixer, moe);
}
