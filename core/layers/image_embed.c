// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Image front end: a convolutional stem in place of one large patch projection (Xiao 2021, "Early
// convolutions help transformers see better", sec. 3), because it trains more steadily and costs
// less.
//
//   a_0 = (pixels - mean) / std                            [images, size, size, channels]
//   h_l = conv3x3, stride 2, pad 1 (a_l; w_l, b_l)         [images, size / 2^(l+1), ., width_l]
//   a_{l+1} = gelu(h_l), but not after the last; then blocks_l residual blocks (conv_block.c)
//   f = for each picture: the learnt summary [dim], then a_layers as grid^2 rows of dim (row by
//   row)
//
// Backward walks the same chain: the blocks', then dw_l, db_l from (a_l, dh_l) and dh_{l-1} =
// conv^T(dh_l; w_l) * gelu'(h_{l-1}); the summary collects the gradient of the first row of every
// picture.
#include "core/layers/image_embed.h"

#include <stdio.h>
#include <string.h>

void seam_image_embed_declare(SeamImageEmbed *e, SeamParams *params, const SeamConfig *config,
                              int32_t modality) {
    const SeamModality *m = &config->modality[modality];
    char name[SEAM_NAME_LENGTH + 32];
    *e = (SeamImageEmbed){.modality = modality,
                          .channels = m->channels,
                          .size = m->image.size,
                          .layers = m->image.stem_layers,
                          .grid = m->image.size >> m->image.stem_layers,
                          .dim = config->dim};
    for (int32_t c = 0; c < m->channels && c < 4; c++) {
        e->mean[c] = m->mean[c];
        e->inverse_std[c] = 1.0f / m->std[c];
    }
    for (int32_t l = 0; l < e->layers; l++) {
        int32_t in = l ? e->width[l - 1] : e->channels;
        e->width[l] = m->image.stem_width[l];
        snprintf(name, sizeof name, "embed.%s.stem.%d", m->name, l);
        seam_conv_declare(&e->stem[l], params, name, 3, in, e->width[l]);
        e->blocks[l] = m->image.blocks[l];
        for (int32_t i = 0; i < e->blocks[l]; i++) {
            snprintf(name, sizeof name, "embed.%s.stem.%d.block.%d", m->name, l, i);
            seam_conv_block_declare(&e->block[l][i], params, name, e->width[l]);
        }
    }
    snprintf(name, sizeof name, "embed.%s.summary", m->name);
    e->summary = seam_params_declare(params, name, SEAM_INIT_SMALL, false, e->dim, 0, 0, 0);
}

static SeamConv stem_conv(const SeamImageEmbed *e, int32_t images, int32_t l) {
    int32_t side = e->size >> l;
    return (SeamConv){.batch = images,
                      .h = side,
                      .w = side,
                      .in = l ? e->width[l - 1] : e->channels,
                      .out = e->width[l],
                      .kernel = 3,
                      .stride = 2,
                      .pad = 1};
}

// Elements of a_l; l == layers: of the output.
static size_t level_size(const SeamImageEmbed *e, int32_t images, int32_t l) {
    size_t side = (size_t)(e->size >> l);
    return (size_t)images * side * side * (l ? e->width[l - 1] : e->channels);
}

// The largest of the levels l, l + 2, ...: what takes turns in one scratch buffer.
static size_t largest_level(const SeamImageEmbed *e, int32_t images, int32_t l) {
    size_t most = 0;
    for (; l <= e->layers; l += 2)
        most = level_size(e, images, l) > most ? level_size(e, images, l) : most;
    return most;
}

// The blocks after layer l, on its output x in place.
static SeamStatus blocks_forward(const SeamImageEmbed *e, SeamRun *run, int32_t images, int32_t l,
                                 float *x, SeamImageEmbedSaved *saved) {
    for (int32_t i = 0; i < e->blocks[l]; i++)
        SEAM_TRY(seam_conv_block_forward(&e->block[l][i], run, images, e->size >> (l + 1), x,
                                         saved ? &saved->block[l][i] : NULL));
    return SEAM_OK;
}

static SeamStatus blocks_backward(const SeamImageEmbed *e, SeamRun *run, int32_t l,
                                  const SeamImageEmbedSaved *saved, float *dx) {
    for (int32_t i = e->blocks[l] - 1; i >= 0; i--)
        SEAM_TRY(seam_conv_block_backward(&e->block[l][i], run, saved->images, e->size >> (l + 1),
                                          &saved->block[l][i], dx));
    return SEAM_OK;
}

// Layer l, gelu and all; before: its output before gelu, y where nobody reads it.
static SeamStatus layer_forward(const SeamImageEmbed *e, const SeamRun *run, int32_t l, const SeamConv *conv, const float *x, float *before, float *y) {
    if (l + 1 == e->layers)
        return seam_conv_forward(&e->stem[l], run, conv, x, y);
    return seam_conv_forward_gelu(&e->stem[l], run, conv, x, before, y);
}

// The stem in two buffers by turns.
static SeamStatus stem_forward(const SeamImageEmbed *e, SeamRun *run, int32_t images,
                               const uint8_t *pixels, const float **out) {
    const SeamKernels *k = run->kernels;
    float *buffer[2];
    for (int32_t i = 0; i < 2; i++)
        if (!(buffer[i] = SEAM_NEW(run->arena, float, largest_level(e, images, i))))
            return SEAM_NO_MEMORY;
    SEAM_TRY(k->normalise_u8((size_t)images * e->size * e->size, e->channels, pixels, e->mean,
                             e->inverse_std, buffer[0]));
    for (int32_t l = 0; l < e->layers; l++) {
        SeamConv conv = stem_conv(e, images, l);
        float *y = buffer[(l + 1) & 1];
        SEAM_TRY(layer_forward(e, run, l, &conv, buffer[l & 1], y, y));
        SEAM_TRY(blocks_forward(e, run, images, l, y, NULL));
    }
    *out = buffer[e->layers & 1];
    return SEAM_OK;
}

// The same, keeping what the backward pass reads. Without blocks after the last layer the output
// comes last in the arena and may be released, down to *kept.
static SeamStatus stem_forward_train(const SeamImageEmbed *e, SeamRun *run, int32_t images,
                                     const uint8_t *pixels, SeamImageEmbedSaved *saved,
                                     size_t *kept, const float **out) {
    const SeamKernels *k = run->kernels;
    saved->images = images;
    float *x = SEAM_NEW(run->arena, float, level_size(e, images, 0));
    if (!x)
        return SEAM_NO_MEMORY;
    SEAM_TRY(k->normalise_u8((size_t)images * e->size * e->size, e->channels, pixels, e->mean,
                             e->inverse_std, x));
    for (int32_t l = 0; l < e->layers; l++) {
        SeamConv conv = stem_conv(e, images, l);
        size_t size = level_size(e, images, l + 1);
        *kept = seam_arena_mark(run->arena);
        saved->input[l] = x;
        saved->pre[l] = NULL;
        float *h = SEAM_NEW(run->arena, float, size);
        if (!h)
            return SEAM_NO_MEMORY;
        if (l + 1 < e->layers) {
            saved->pre[l] = h;
            if (!(h = SEAM_NEW(run->arena, float, size)))
                return SEAM_NO_MEMORY;
        }
        SEAM_TRY(layer_forward(e, run, l, &conv, x, saved->pre[l], h));
        x = h;
        SEAM_TRY(blocks_forward(e, run, images, l, x, saved));
        if (e->blocks[l] > 0)
            *kept = seam_arena_mark(run->arena);
    }
    *out = x;
    return SEAM_OK;
}

static void fill_places(const SeamImageEmbed *e, int32_t images, const double *time,
                        SeamTokens *t) {
    int32_t cells = e->grid * e->grid;
    for (int32_t s = 0; s <= images; s++)
        t->seq_start[s] = s * (1 + cells);
    for (int32_t s = 0; s < images; s++) {
        SeamPlace *place = t->place + t->seq_start[s];
        t->seq_time[s] = time[s];
        place[0] = (SeamPlace){.modality = (uint8_t)e->modality, .domain = SEAM_DOMAIN_SUMMARY};
        for (int32_t i = 0; i < cells; i++)
            place[1 + i] = (SeamPlace){.x = (i % e->grid + 0.5f) / e->grid,
                                       .y = (i / e->grid + 0.5f) / e->grid,
                                       .modality = (uint8_t)e->modality,
                                       .domain = SEAM_DOMAIN_PATCH};
    }
}

SeamStatus seam_image_embed_forward(const SeamImageEmbed *e, SeamRun *run, int32_t images,
                                    const uint8_t *pixels, const double *time, SeamTokens *features,
                                    SeamImageEmbedSaved *saved) {
    size_t cells = (size_t)e->grid * e->grid, n = (size_t)images * (1 + cells);
    const float *patches = NULL;
    if (n > INT32_MAX)
        return SEAM_BAD_SHAPE;
    *features = (SeamTokens){.n = (int32_t)n,
                             .dim = e->dim,
                             .seqs = images,
                             .x = SEAM_NEW(run->arena, float, n * e->dim),
                             .seq_start = SEAM_NEW(run->arena, int32_t, images + 1),
                             .seq_time = SEAM_NEW(run->arena, double, images),
                             .place = SEAM_NEW(run->arena, SeamPlace, n)};
    if (!features->x || !features->seq_start || !features->seq_time || !features->place)
        return SEAM_NO_MEMORY;
    fill_places(e, images, time, features);

    size_t mark = seam_arena_mark(run->arena);
    if (saved)
        SEAM_TRY(stem_forward_train(e, run, images, pixels, saved, &mark, &patches));
    else
        SEAM_TRY(stem_forward(e, run, images, pixels, &patches));
    for (int32_t s = 0; s < images; s++) {
        float *x = features->x + (size_t)features->seq_start[s] * e->dim;
        memcpy(x, e->summary->data, e->dim * sizeof *x);
        memcpy(x + e->dim, patches + s * cells * e->dim, cells * e->dim * sizeof *x);
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_image_embed_backward(const SeamImageEmbed *e, SeamRun *run,
                                     const SeamImageEmbedSaved *saved, const float *dfeatures) {
    const SeamKernels *k = run->kernels;
    int32_t images = saved->images;
    size_t cells = (size_t)e->grid * e->grid, mark = seam_arena_mark(run->arena);
    float *buffer[2];
    for (int32_t i = 0; i < 2; i++)
        if (!(buffer[i] = SEAM_NEW(run->arena, float, largest_level(e, images, 1 + i))))
            return SEAM_NO_MEMORY;

    float *dh = buffer[(e->layers - 1) & 1];
    for (int32_t s = 0; s < images; s++) {
        const float *df = dfeatures + s * (1 + cells) * e->dim;
        SEAM_TRY(k->add((size_t)e->dim, df, e->summary->grad));
        memcpy(dh + s * cells * e->dim, df + e->dim, cells * e->dim * sizeof *dh);
    }
    for (int32_t l = e->layers - 1; l >= 0; l--) {
        if (l + 1 == e->layers) // elsewhere before gelu's
            SEAM_TRY(blocks_backward(e, run, l, saved, dh));
        SeamConv conv = stem_conv(e, images, l);
        float *da = l > 0 ? buffer[(l - 1) & 1] : NULL;
        SEAM_TRY(seam_conv_backward(&e->stem[l], run, &conv, saved->input[l], dh, da));
        if (l == 0)
            break;
        SEAM_TRY(blocks_backward(e, run, l - 1, saved, da));
        SEAM_TRY(k->gelu_backward(level_size(e, images, l), saved->pre[l - 1], da, da));
        dh = da;
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static size_t blocks_bytes(const SeamImageEmbed *e, int32_t images, bool train) {
    size_t bytes = 0, scratch = 0;
    for (int32_t l = 0; l < e->layers; l++)
        for (int32_t i = 0; i < e->blocks[l]; i++) {
            size_t kept, one = seam_conv_block_bytes(&e->block[l][i], images, e->size >> (l + 1),
                                                     train, &kept);
            bytes += kept;
            scratch = one > scratch ? one : scratch;
        }
    return bytes + scratch;
}

size_t seam_image_embed_bytes(const SeamImageEmbed *e, int32_t images, bool train) {
    size_t n = (size_t)images * (1 + (size_t)e->grid * e->grid);
    size_t bytes = seam_arena_bytes(n * e->dim, sizeof(float)) +
                   seam_arena_bytes(images + 1, sizeof(int32_t)) +
                   seam_arena_bytes(images, sizeof(double)) +
                   seam_arena_bytes(n, sizeof(SeamPlace));
    for (int32_t i = 0; i < 2; i++)
        bytes += seam_arena_bytes(largest_level(e, images, i), sizeof(float)) +
                 (train ? seam_arena_bytes(largest_level(e, images, 1 + i), sizeof(float)) : 0);
    for (int32_t l = 0; train && l <= e->layers; l++)
        bytes += 2 * seam_arena_bytes(level_size(e, images, l), sizeof(float));
    return bytes + blocks_bytes(e, images, train);
}
