// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Localise: a linear map from each patch token to the cells under it, one logit a class and cell,
// and with "boxes": "regress" four more for the sides of a box (Tian 2019, FCOS, sec. 3.1).
//
//   x = patch tokens of the image modalities       [rows, dim]
//   u = LN(adapter(x))                             [rows, dim]
//   y = u W^T + b                                  [rows, channels * up^2]
//   map[channel, gy * up + dy, gx * up + dx] = y[(gy, gx), (channel * up + dy) * up + dx]
//                                                  (pixel shuffle: Shi 2016, sec. 3.2)
//
// Backward turns the shuffle around (it only moves numbers), then head, norm and adapter; dx is put
// back at the patches' tokens. Every patch belongs to one picture, so nothing is added twice.
#include "core/layers/localise.h"

#include <stdio.h>
#include <string.h>

void seam_localise_declare(SeamLocalise *l, SeamParams *params, const SeamConfig *config,
                           int32_t task) {
    char prefix[SEAM_NAME_LENGTH + 8], name[SEAM_NAME_LENGTH + 32];
    snprintf(prefix, sizeof prefix, "tasks.%s", config->task[task].name);
    const SeamTask *t = &config->task[task];
    int32_t first_class = t->good_boxes ? 0 : 1, classes = config->n_classes - first_class;
    *l = (SeamLocalise){.dim = config->dim,
                        .classes = classes,
                        .first_class = first_class,
                        .channels = classes + (t->boxes == SEAM_BOXES_REGRESS ? SEAM_BOX_SIDES : 0),
                        .by_class = t->by_class,
                        .upscale = t->upscale,
                        .modalities = config->n_modalities};
    for (int32_t m = 0; m < l->modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_IMAGE)
            l->grid[m] = seam_modality_grid(&config->modality[m]);
    seam_adapter_declare(&l->adapter, params, prefix, l->dim, config->task[task].rank);
    snprintf(name, sizeof name, "%s.norm", prefix);
    seam_norm_declare(&l->norm, params, name, l->dim);
    snprintf(name, sizeof name, "%s.head", prefix);
    seam_linear_declare(&l->head, params, name, l->dim, l->channels * l->upscale * l->upscale, true);
}

// ---- which tokens -------------------------------------------------------------------------------

static int32_t patches_in(const SeamLocalise *l, const SeamLocalisePicture *p) {
    return l->grid[p->modality] * l->grid[p->modality];
}

// Whether grid^2 patches of one modality start at `first` and end before `end`.
static bool whole_picture(const SeamLocalise *l, const SeamTokens *tokens, int32_t first,
                          int32_t end) {
    int32_t modality = tokens->place[first].modality;
    if (modality >= l->modalities || l->grid[modality] == 0)
        return false;
    int32_t cells = l->grid[modality] * l->grid[modality];
    return end - first >= cells && seam_tokens_patches(tokens, first, first + cells) == cells;
}

// Fills the pictures in the order of the tokens, or only counts them (picture == NULL).
static SeamStatus find_pictures(const SeamLocalise *l, const SeamTokens *tokens,
                                SeamLocalisePicture *picture, int32_t *pictures, int32_t *rows,
                                size_t *size) {
    *pictures = *rows = 0;
    *size = 0;
    for (int32_t w = 0; w < tokens->seqs; w++)
        for (int32_t i = tokens->seq_start[w]; i < tokens->seq_start[w + 1]; i++) {
            if (tokens->place[i].domain != SEAM_DOMAIN_PATCH)
                continue;
            if (!whole_picture(l, tokens, i, tokens->seq_start[w + 1]))
                return SEAM_BAD_SHAPE;
            int32_t modality = tokens->place[i].modality;
            SeamLocalisePicture p = {.window = w,
                                     .modality = modality,
                                     .first = i,
                                     .side = l->grid[modality] * l->upscale,
                                     .offset = *size,
                                     .t = tokens->place[i].t};
            if (picture)
                picture[*pictures] = p;
            *pictures += 1;
            *rows += patches_in(l, &p);
            *size += (size_t)l->channels * p.side * p.side;
            i += patches_in(l, &p) - 1;
        }
    return SEAM_OK;
}

static void fill_source(const SeamLocalise *l, int32_t pictures, const SeamLocalisePicture *picture,
                        int32_t *source) {
    int32_t row = 0;
    for (int32_t p = 0; p < pictures; p++)
        for (int32_t i = 0; i < patches_in(l, &picture[p]); i++)
            source[row++] = picture[p].first + i;
}

// Between the head's rows y [rows, channels * up^2] and the maps; to_map or back.
static void shuffle(const SeamLocalise *l, int32_t pictures, const SeamLocalisePicture *picture,
                    bool to_map, float *y, float *maps) {
    int32_t up = l->upscale;
    size_t at = 0;
    for (int32_t p = 0; p < pictures; p++) {
        int32_t side = picture[p].side, grid = side / up;
        for (int32_t cell = 0; cell < grid * grid; cell++)
            for (int32_t c = 0; c < l->channels; c++)
                for (int32_t d = 0; d < up * up; d++, at++) {
                    int32_t row = cell / grid * up + d / up, column = cell % grid * up + d % up;
                    float *value =
                        maps + picture[p].offset + ((size_t)c * side + row) * side + column;
                    if (to_map)
                        *value = y[at];
                    else
                        y[at] = *value;
                }
    }
}

// ---- the layer ----------------------------------------------------------------------------------

static SeamStatus alloc_saved(const SeamLocalise *l, SeamRun *run, int32_t rows,
                              SeamLocaliseSaved *s) {
    size_t size = (size_t)rows * l->dim;
    s->rows = rows;
    s->source = SEAM_NEW(run->arena, int32_t, rows);
    s->x = SEAM_NEW(run->arena, float, size);
    s->z = SEAM_NEW(run->arena, float, size);
    s->u = SEAM_NEW(run->arena, float, size);
    s->mean = SEAM_NEW(run->arena, float, rows);
    s->rstd = SEAM_NEW(run->arena, float, rows);
    return s->source && s->x && s->z && s->u && s->mean && s->rstd ? SEAM_OK : SEAM_NO_MEMORY;
}

static SeamStatus head_forward(const SeamLocalise *l, SeamRun *run, const SeamLocaliseOut *out,
                               const SeamLocaliseSaved *s) {
    size_t mark = seam_arena_mark(run->arena);
    float *y = SEAM_NEW(run->arena, float, out->size);
    if (!y)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_forward(&l->head, run, s->rows, s->u, y));
    shuffle(l, out->pictures, out->picture, true, y, out->logits);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_localise_forward(const SeamLocalise *l, SeamRun *run, const SeamTokens *tokens,
                                 SeamLocaliseOut *out, SeamLocaliseSaved *saved) {
    SeamLocaliseSaved scratch, *s = saved ? saved : &scratch;
    int32_t rows;
    SEAM_TRY(find_pictures(l, tokens, NULL, &out->pictures, &rows, &out->size));
    out->picture = SEAM_NEW(run->arena, SeamLocalisePicture, out->pictures);
    out->logits = SEAM_NEW(run->arena, float, out->size);
    if (!out->picture || !out->logits)
        return SEAM_NO_MEMORY;
    SEAM_TRY(find_pictures(l, tokens, out->picture, &out->pictures, &rows, &out->size));

    size_t mark = seam_arena_mark(run->arena);
    SEAM_TRY(alloc_saved(l, run, rows, s));
    s->n = tokens->n;
    s->pictures = out->pictures;
    s->picture = out->picture;
    fill_source(l, out->pictures, out->picture, s->source);
    SEAM_TRY(run->kernels->gather(rows, l->dim, s->source, tokens->x, s->x));
    SEAM_TRY(seam_adapter_forward(&l->adapter, run, rows, s->x, s->z, saved ? &s->adapter : NULL));
    SEAM_TRY(seam_norm_forward(&l->norm, run, rows, s->z, s->u, s->mean, s->rstd));
    SEAM_TRY(head_forward(l, run, out, s));
    if (!saved)
        seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_localise_backward(const SeamLocalise *l, SeamRun *run,
                                  const SeamLocaliseSaved *saved, const float *dlogits, float *dx) {
    int32_t rows = saved->rows;
    size_t mark = seam_arena_mark(run->arena), size = (size_t)rows * l->dim,
           width = (size_t)l->channels * l->upscale * l->upscale;
    float *dy = SEAM_NEW(run->arena, float, rows *width), *du = SEAM_NEW(run->arena, float, size);
    float *dz = SEAM_NEW0(run->arena, float, size), *drows = SEAM_NEW(run->arena, float, size);
    if (!dy || !du || !dz || !drows)
        return SEAM_NO_MEMORY;
    shuffle(l, saved->pictures, saved->picture, false, dy, (float *)dlogits);
    SEAM_TRY(seam_linear_backward(&l->head, run, rows, saved->u, dy, du, false));
    SEAM_TRY(seam_norm_backward(&l->norm, run, rows, saved->z, saved->mean, saved->rstd, du, dz));
    SEAM_TRY(seam_adapter_backward(&l->adapter, run, rows, &saved->adapter, dz, drows));
    memset(dx, 0, (size_t)saved->n * l->dim * sizeof *dx);
    for (int32_t r = 0; r < rows; r++)
        memcpy(dx + (size_t)saved->source[r] * l->dim, drows + (size_t)r * l->dim,
               l->dim * sizeof *dx);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_localise_bytes(const SeamLocalise *l, int32_t n, bool train) {
    size_t size = (size_t)n * l->dim, maps = (size_t)n * l->channels * l->upscale * l->upscale,
           f = sizeof(float);
    return seam_arena_bytes(n, sizeof(SeamLocalisePicture)) + seam_arena_bytes(n, sizeof(int32_t)) +
           2 * seam_arena_bytes(n, f) + (train ? 6 : 3) * seam_arena_bytes(size, f) +
           (train ? 3 : 2) * seam_arena_bytes(maps, f) + seam_adapter_bytes(&l->adapter, n, train);
}
