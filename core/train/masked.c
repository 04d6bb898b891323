// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Masked reconstruction (He 2022, "Masked autoencoders"; Xie 2022, "SimMIM", sec. 3, whose form this is: the encoder sees the hidden tokens'
// places, and a linear head tells their content):
//
//   f_i <- m_modality                 features of the hidden tokens, before the projection, which adds their places
//   p_i  = W LN(encode(project(f)))_i + b
//   L    = sum over modalities of the mean over hidden tokens i and values v of huber(p_iv - t_iv)
//   huber(e) = e^2 / 2 for |e| < 1, else |e| - 1/2          (Girshick 2015, eq. 3)
//
// Targets t: of a picture's cell its pixels, averaged to at most 8 x 8 a plane, less their mean and over their deviation (He 2022, sec. 4,
// "norm_pix"; kept from blowing up the noise of flat cells); of a stretch of a sensor's channel what its front end says of it. A picture's hidden
// cells are painted over before the stem, whose convolutions reach over their cells; time and frequency tokens of a stretch are hidden together.
// Modalities are encoded one by one: the encoder sees a sequence alone anyway.
//
// Backward: dp = huber'(e) / count; the head's and the norm's own; dx of the encoder is 0 but at hidden tokens; dm = sum of df_i over the hidden,
// whose df is then 0.
#include "core/train/masked.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"

static const double flat_variance = 4; // grey levels squared: a cell that varies less is flat

// ---- parameters ----------------------------------------------------------------------------------------------------------------

static int32_t side_of_cell(int32_t cell) {
    return cell < SEAM_MASKED_SIDE ? cell : SEAM_MASKED_SIDE;
}

// Values that the heads of a modality tell; returns the number of heads.
static int32_t head_widths(const SeamModel *model, int32_t modality, int32_t width[SEAM_MASKED_HEADS]) {
    const SeamModality *m = &model->config.modality[modality];
    int32_t side;
    switch (m->front) {
    case SEAM_FRONT_IMAGE:
        side = side_of_cell(1 << m->image.stem_layers);
        width[0] = side * side * m->channels;
        return seam_modality_grid(m) > 1 ? 1 : 0;
    case SEAM_FRONT_SENSOR:
        seam_sensor_embed_widths(&model->embed[modality].sensor, width);
        return width[1] > 0 ? 2 : 1;
    default:
        return 0;
    }
}

static void declare_part(SeamMasked *t, int32_t modality) {
    const SeamModality *m = &t->model->config.modality[modality];
    SeamMaskedPart *p = &t->part[modality];
    SeamParams *params = t->params;
    int32_t dim = t->model->config.dim, width[SEAM_MASKED_HEADS] = {0};
    char name[SEAM_NAME_LENGTH + 32];
    p->heads = head_widths(t->model, modality, width);
    if (p->heads == 0)
        return;
    snprintf(name, sizeof name, "%s.mask", m->name);
    p->mask = seam_params_declare(params, name, SEAM_INIT_SMALL, false, dim, 0, 0, 0);
    snprintf(name, sizeof name, "%s.norm", m->name);
    seam_norm_declare(&p->norm, params, name, dim);
    for (int32_t h = 0; h < p->heads; h++) {
        snprintf(name, sizeof name, "%s.head.%d", m->name, h);
        seam_linear_declare(&p->head[h], params, name, dim, width[h], true);
    }
}

SeamMasked *seam_masked_new(SeamModel *model, double share, uint64_t seed, GError **error) {
    SeamMasked *t = g_new0(SeamMasked, 1);
    const SeamConfig *config = &model->config;
    t->model = model;
    t->share = share;
    t->params = seam_params_new();
    for (int32_t m = 0; m < config->n_modalities; m++)
        declare_part(t, m);
    if (t->params->tensors->len == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED,
                    "\"pretrain\": the model has neither pictures nor sensors to hide parts of; leave it out");
    else if (seam_params_allocate(t->params, true, error)) {
        seam_params_init(t->params, seed);
        return t;
    }
    seam_masked_free(t);
    return NULL;
}

void seam_masked_free(SeamMasked *masked) {
    if (!masked)
        return;
    seam_params_free(masked->params);
    g_free(masked);
}

// ---- what is hidden ------------------------------------------------------------------------------------------------------------

typedef struct {
    int32_t n;                        // hidden units: cells of pictures, stretches of channels
    int32_t each;                     // tokens of a unit, one a head
    int32_t *token;                   // [n] the first of each
    float *target[SEAM_MASKED_HEADS]; // [n, width of the head]
} Hidden;

int32_t seam_masked_choose(SeamRandom *random, int32_t units, double share, int32_t *order) {
    int32_t count = units < 2 ? 0 : (int32_t)CLAMP(lrint(share * units), 1, units - 1);
    for (int32_t i = 0; i < units; i++)
        order[i] = i;
    for (int32_t i = 0; i < count; i++) { // Fisher-Yates, as far as it is needed
        int32_t j = i + seam_random_below(random, units - i), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return count;
}

static SeamStatus new_hidden(const SeamMaskedPart *p, SeamRun *run, int32_t most, Hidden *h) {
    *h = (Hidden){.each = p->heads, .token = SEAM_NEW(run->arena, int32_t, most)};
    bool ok = h->token != NULL;
    for (int32_t d = 0; d < p->heads && ok; d++)
        ok = (h->target[d] = SEAM_NEW(run->arena, float, (size_t)most * p->head[d].out)) != NULL;
    return ok ? SEAM_OK : SEAM_NO_MEMORY;
}

int32_t seam_masked_cell(const uint8_t *pixels, int32_t size, int32_t channels, int32_t grid, int32_t x, int32_t y, float *values) {
    int32_t cell = size / grid, side = side_of_cell(cell), step = cell / side, n = side * side * channels;
    double sum = 0, squares = 0;
    for (int32_t v = 0; v < n; v++) { // by plane, row, column
        int32_t c = v / (side * side), row = y * cell + v / side % side * step, column = x * cell + v % side * step, total = 0;
        for (int32_t i = 0; i < step * step; i++)
            total += pixels[((size_t)(row + i / step) * size + column + i % step) * channels + c];
        values[v] = (float)total / (float)(step * step);
        sum += values[v];
    }
    for (int32_t v = 0; v < n; v++)
        squares += (values[v] - sum / n) * (values[v] - sum / n);
    for (int32_t v = 0; v < n; v++)
        values[v] = (float)((values[v] - sum / n) / sqrt(squares / n + flat_variance));
    return side;
}

static void paint_over(const SeamModality *m, int32_t cell, int32_t x, int32_t y, uint8_t *picture) {
    for (int32_t row = y * cell; row < (y + 1) * cell; row++)
        for (int32_t i = x * cell * m->channels; i < (x + 1) * cell * m->channels; i++)
            picture[(size_t)row * m->image.size * m->channels + i] = (uint8_t)CLAMP(lrintf(m->mean[i % m->channels]), 0, 255);
}

// Copies the pictures into the arena, with the hidden cells painted over by the mean that normalisation takes to 0.
static SeamStatus hide_cells(const SeamMasked *t, SeamRun *run, int32_t m, int32_t pictures, const uint8_t *pixels, SeamRandom *random, uint8_t **out,
                             Hidden *h) {
    const SeamModality *modality = &t->model->config.modality[m];
    int32_t size = modality->image.size, grid = seam_modality_grid(modality), cells = grid * grid, width = t->part[m].head[0].out;
    size_t bytes = (size_t)size * size * modality->channels;
    int32_t *order = SEAM_NEW(run->arena, int32_t, cells);
    *out = SEAM_NEW(run->arena, uint8_t, pictures * bytes);
    if (!order || !*out)
        return SEAM_NO_MEMORY;
    SEAM_TRY(new_hidden(&t->part[m], run, pictures * cells, h));
    memcpy(*out, pixels, pictures * bytes);
    for (int32_t p = 0; p < pictures; p++) {
        int32_t count = seam_masked_choose(random, cells, t->share, order);
        for (int32_t i = 0; i < count; i++, h->n++) {
            int32_t x = order[i] % grid, y = order[i] / grid;
            h->token[h->n] = p * (1 + cells) + 1 + order[i];
            seam_masked_cell(pixels + p * bytes, size, modality->channels, grid, x, y, h->target[0] + (size_t)h->n * width);
            paint_over(modality, size / grid, x, y, *out + p * bytes);
        }
    }
    return SEAM_OK;
}

static SeamStatus hide_stretches(const SeamMasked *t, SeamRun *run, int32_t m, const SeamTokens *tokens, const SeamSensorEmbedSaved *saved,
                                 SeamRandom *random, Hidden *h) {
    const SeamMaskedPart *p = &t->part[m];
    const float *features[SEAM_MASKED_HEADS] = {saved->time_features, saved->frequency_features};
    int32_t *order = SEAM_NEW(run->arena, int32_t, saved->valid);
    if (!order)
        return SEAM_NO_MEMORY;
    SEAM_TRY(new_hidden(p, run, saved->valid, h));
    for (int32_t s = 0; s < tokens->seqs; s++) {
        int32_t first = tokens->seq_start[s] / p->heads, units = tokens->seq_start[s + 1] / p->heads - first;
        int32_t count = seam_masked_choose(random, units, t->share, order);
        for (int32_t i = 0; i < count; i++, h->n++) {
            int32_t unit = first + order[i];
            h->token[h->n] = unit * p->heads;
            for (int32_t d = 0; d < p->heads; d++) {
                int32_t width = p->head[d].out;
                memcpy(h->target[d] + (size_t)h->n * width, features[d] + (size_t)unit * width, (size_t)width * sizeof(float));
            }
        }
    }
    return SEAM_OK;
}

// ---- heads ---------------------------------------------------------------------------------------------------------------------

// out: what was told, and afterwards its gradient times `scale`. Returns the sum of the losses.
static double huber(size_t n, const float *target, double scale, float *out) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)out[i] - target[i], size = fabs(e);
        sum += size < 1 ? e * e / 2 : size - 0.5;
        out[i] = (float)(scale * (size < 1 ? e : copysign(1, e)));
    }
    return sum;
}

// Adds to *loss, and writes the rows of the hidden tokens of head d into dx [n, dim].
static SeamStatus head_pass(const SeamMaskedPart *p, int32_t d, SeamRun *run, const Hidden *h, const SeamTokens *tokens, double *loss, float *dx) {
    const SeamLinear *head = &p->head[d];
    size_t mark = seam_arena_mark(run->arena), size = (size_t)h->n * tokens->dim, values = (size_t)h->n * head->out;
    int32_t dim = tokens->dim, *row = SEAM_NEW(run->arena, int32_t, h->n);
    float *x = SEAM_NEW(run->arena, float, size), *y = SEAM_NEW(run->arena, float, size), *out = SEAM_NEW(run->arena, float, values);
    float *mean = SEAM_NEW(run->arena, float, h->n), *rstd = SEAM_NEW(run->arena, float, h->n), *drow = SEAM_NEW0(run->arena, float, size);
    if (!row || !x || !y || !out || !mean || !rstd || !drow)
        return SEAM_NO_MEMORY;
    for (int32_t i = 0; i < h->n; i++)
        row[i] = h->token[i] + d;
    SEAM_TRY(run->kernels->gather(h->n, dim, row, tokens->x, x));
    SEAM_TRY(seam_norm_forward(&p->norm, run, h->n, x, y, mean, rstd));
    SEAM_TRY(seam_linear_forward(head, run, h->n, y, out));
    double share = 1.0 / ((double)values * p->heads);
    *loss += share * huber(values, h->target[d], share, out);
    float *dy = SEAM_NEW(run->arena, float, size);
    if (!dy)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_linear_backward(head, run, h->n, y, out, dy, false));
    SEAM_TRY(seam_norm_backward(&p->norm, run, h->n, x, mean, rstd, dy, drow));
    for (int32_t i = 0; i < h->n; i++)
        memcpy(dx + (size_t)row[i] * dim, drow + (size_t)i * dim, (size_t)dim * sizeof *dx);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// ---- a modality ----------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamTokens tokens;
    Hidden hidden;
    SeamProjectSaved project;
    SeamEncoderSaved *encoder; // [layers]
    union {
        SeamImageEmbedSaved image;
        SeamSensorEmbedSaved sensor;
    } embed;
} Pass;

static SeamStatus embed_and_hide(const SeamMasked *t, SeamRun *run, int32_t m, const SeamBatchPart *in, SeamRandom *random, Pass *pass) {
    uint8_t *pixels;
    if (t->model->config.modality[m].front == SEAM_FRONT_IMAGE) {
        SEAM_TRY(hide_cells(t, run, m, in->n, in->pixels->data, random, &pixels, &pass->hidden));
        return seam_image_embed_forward(&t->model->embed[m].image, run, in->n, pixels, (const double *)(const void *)in->time->data, &pass->tokens,
                                        &pass->embed.image);
    }
    const SeamSensorWindow *window = (const SeamSensorWindow *)(const void *)in->sensor->data;
    SEAM_TRY(seam_sensor_embed_forward(&t->model->embed[m].sensor, run, in->n, window, &pass->tokens,
                                       &pass->embed.sensor));
    return hide_stretches(t, run, m, &pass->tokens, &pass->embed.sensor, random, &pass->hidden);
}

// The hidden tokens' features become the mask vector; backward, their gradients are gathered in its own and go no further.
static SeamStatus cover(const SeamMaskedPart *p, const SeamRun *run, const Hidden *h, int32_t dim, float *x, bool backward) {
    for (int32_t i = 0; i < h->n * h->each; i++) {
        float *row = x + (size_t)(h->token[i / h->each] + i % h->each) * dim;
        if (backward) {
            SEAM_TRY(run->kernels->add((size_t)dim, row, p->mask->grad));
            memset(row, 0, (size_t)dim * sizeof *row);
        } else {
            memcpy(row, p->mask->data, (size_t)dim * sizeof *row);
        }
    }
    return SEAM_OK;
}

static SeamStatus backward(SeamMasked *t, SeamRun *run, int32_t m, Pass *pass, float balance, double *balance_loss, float *dx) {
    SeamModel *model = t->model;
    int32_t layers = model->config.layers, dim = model->config.dim;
    float *df = SEAM_NEW(run->arena, float, (size_t)pass->tokens.n * dim);
    if (!df)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_model_encode_backward(model, run, 0, layers - 1, pass->encoder, balance, balance_loss, dx));
    SEAM_TRY(seam_project_backward(&model->project, run, &pass->project, dx, df));
    SEAM_TRY(cover(&t->part[m], run, &pass->hidden, dim, df, true));
    if (model->config.modality[m].front == SEAM_FRONT_IMAGE)
        return seam_image_embed_backward(&model->embed[m].image, run, &pass->embed.image, df);
    return seam_sensor_embed_backward(&model->embed[m].sensor, run, &pass->embed.sensor, df);
}

static SeamStatus modality_pass(SeamMasked *t, SeamRun *run, int32_t m, const SeamBatchPart *in, SeamRandom *random, float balance, double *loss,
                                double *balance_loss) {
    SeamModel *model = t->model;
    const SeamMaskedPart *p = &t->part[m];
    int32_t layers = model->config.layers;
    Pass pass = {0};
    SEAM_TRY(embed_and_hide(t, run, m, in, random, &pass));
    if (pass.hidden.n == 0)
        return SEAM_OK;
    float *dx = SEAM_NEW0(run->arena, float, (size_t)pass.tokens.n * model->config.dim);
    if (!dx || !(pass.encoder = SEAM_NEW0(run->arena, SeamEncoderSaved, layers)))
        return SEAM_NO_MEMORY;
    SEAM_TRY(cover(p, run, &pass.hidden, model->config.dim, pass.tokens.x, false));
    SEAM_TRY(seam_project_forward(&model->project, run, m, &pass.tokens, &pass.project));
    SEAM_TRY(seam_model_encode(model, run, 0, layers - 1, &pass.tokens, NULL, pass.encoder));
    for (int32_t l = 0; l < layers; l++)
        seam_moe_add_load(&model->encoder[l].moe, &pass.encoder[l].moe, t->load[l]);
    for (int32_t d = 0; d < p->heads; d++)
        SEAM_TRY(head_pass(p, d, run, &pass.hidden, &pass.tokens, loss, dx));
    return backward(t, run, m, &pass, balance, balance_loss, dx);
}

SeamStatus seam_masked_pass(SeamMasked *masked, SeamRun *run, const SeamBatch *batch, SeamRandom *random, float balance, double *loss,
                            double *balance_loss) {
    memset(masked->load, 0, sizeof masked->load);
    *loss = 0;
    for (int32_t m = 0; m < masked->model->config.n_modalities; m++) {
        size_t mark = seam_arena_mark(run->arena);
        if (masked->part[m].heads == 0 || batch->part[m].n == 0)
            continue;
        SEAM_TRY(modality_pass(masked, run, m, &batch->part[m], random, balance, loss, balance_loss));
        seam_arena_release(run->arena, mark);
    }
    return SEAM_OK;
}
