// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The stages of model.h in turn on a whole batch. Modalities are embedded apart, laid side by side, and encoded together: the encoder sees each sequence
// alone, so this is the same as encoding them one by one, with larger products. Where a scan goes on from window to window, the sequences of one modality of a stream,
// which stand side by side, are one to it, and so gradients reach back through its state; a bank is passed through window by window.
#include "core/train/pass.h"

#include <string.h>

#include "core/text_chunks.h"
#include "core/train/exits.h"

static SeamStatus embed_part(const SeamModel *model, SeamRun *run, int32_t m, const SeamBatchPart *p, bool train, SeamPass *pass, SeamTokens *out) {
    const double *time = (const double *)(const void *)p->time->data;
    switch (model->config.modality[m].front) {
    case SEAM_FRONT_IMAGE:
        return seam_model_embed_images(model, run, m, p->n, p->pixels->data, time, out, train ? &pass->embed[m].image : NULL);
    case SEAM_FRONT_SENSOR:
        return seam_model_embed_windows(model, run, m, p->n, (const SeamSensorWindow *)(const void *)p->sensor->data, out,
                                        train ? &pass->embed[m].sensor : NULL);
    case SEAM_FRONT_FEATURES:
        return seam_model_embed_features(model, run, m, p->n, (const SeamSensorWindow *)(const void *)p->sensor->data, out,
                                         train ? &pass->embed[m].features : NULL);
    case SEAM_FRONT_TEXT:
        return seam_model_embed_texts(model, run, m, p->n, (const char *const *)p->text->pdata, time, out, train ? &pass->embed[m].text : NULL);
    }
    return SEAM_BAD_SHAPE;
}

static SeamStatus take_tokens(SeamRun *run, int32_t n, int32_t dim, int32_t seqs, SeamTokens *t) {
    *t = (SeamTokens){.n = n, .dim = dim, .seqs = seqs, .x = SEAM_NEW(run->arena, float, (size_t)n * dim), .seq_start = SEAM_NEW(run->arena, int32_t, seqs + 1),
                      .seq_time = SEAM_NEW(run->arena, double, seqs), .place = SEAM_NEW(run->arena, SeamPlace, n)};
    if (!t->x || !t->seq_start || !t->seq_time || !t->place)
        return SEAM_NO_MEMORY;
    t->seq_start[0] = 0;
    return SEAM_OK;
}

// Copies `part` behind the first `n` tokens and `seqs` sequences of `to`.
static void append_tokens(SeamTokens *to, int32_t n, int32_t seqs, const SeamTokens *part, int32_t first_seq, int32_t part_seqs) {
    int32_t first = part->seq_start[first_seq], tokens = part->seq_start[first_seq + part_seqs] - first;
    memcpy(to->x + (size_t)n * to->dim, part->x + (size_t)first * to->dim, (size_t)tokens * to->dim * sizeof(float));
    memcpy(to->place + n, part->place + first, (size_t)tokens * sizeof *to->place);
    for (int32_t i = 0; to->size && i < tokens; i++)
        to->size[n + i] = part->size ? part->size[first + i] : 1;
    if (to->seq_follows && part->seq_follows)
        memcpy(to->seq_follows + seqs, part->seq_follows + first_seq, (size_t)part_seqs);
    memcpy(to->seq_time + seqs, part->seq_time + first_seq, (size_t)part_seqs * sizeof *to->seq_time);
    for (int32_t s = 1; s <= part_seqs; s++)
        to->seq_start[seqs + s] = n + part->seq_start[first_seq + s] - first;
}

// The window of each sequence of a modality: chunks of one text have that of the text.
static void fill_windows(const SeamTokens *part, const int32_t *window, int32_t *window_of) {
    for (int32_t s = 0; s < part->seqs; s++) {
        window += s > 0 && !(part->seq_follows && part->seq_follows[s] == SEAM_FOLLOWS_CHUNK);
        window_of[s] = *window;
    }
}

static SeamStatus join_parts(SeamRun *run, const SeamBatch *batch, const SeamTokens *part, SeamPass *pass) {
    int32_t modalities = batch->config->n_modalities;
    bool sizes = false, follows = false;
    for (int32_t w = 0; w < batch->windows; w++)
        follows |= batch->stream[w] >= 0;
    for (int32_t m = 0; m < modalities; m++) {
        pass->first[m + 1] = pass->first[m] + part[m].n;
        pass->first_seq[m + 1] = pass->first_seq[m] + part[m].seqs;
        sizes |= part[m].size != NULL;
        follows |= part[m].seq_follows != NULL;
    }
    memcpy(pass->embedded, pass->first, sizeof pass->first);
    SEAM_TRY(take_tokens(run, pass->first[modalities], batch->config->dim, pass->first_seq[modalities], &pass->encoded));
    pass->window_of = SEAM_NEW(run->arena, int32_t, pass->encoded.seqs);
    pass->encoded.size = sizes ? SEAM_NEW(run->arena, float, pass->encoded.n) : NULL;
    pass->encoded.seq_follows = follows ? SEAM_NEW0(run->arena, uint8_t, pass->encoded.seqs) : NULL;
    if (!pass->window_of || (sizes && !pass->encoded.size) || (follows && !pass->encoded.seq_follows))
        return SEAM_NO_MEMORY;
    for (int32_t m = 0; m < modalities; m++) {
        if (part[m].seqs == 0)
            continue;
        append_tokens(&pass->encoded, pass->first[m], pass->first_seq[m], &part[m], 0, part[m].seqs);
        fill_windows(&part[m], (const int32_t *)(const void *)batch->part[m].window->data, pass->window_of + pass->first_seq[m]);
    }
    return SEAM_OK;
}

// Inputs of one modality that are part of one stream follow each other; beside that chunks of a text do. Of a window that is alone no inputs do, such as
// its pictures.
static void find_followers(const SeamBatch *batch, SeamPass *pass) {
    uint8_t *follows = pass->encoded.seq_follows;
    for (int32_t m = 0; follows && m < batch->config->n_modalities; m++)
        for (int32_t s = pass->first_seq[m] + 1; s < pass->first_seq[m + 1]; s++) {
            int32_t stream = batch->stream[pass->window_of[s]];
            if (follows[s] == SEAM_FOLLOWS_NONE && stream >= 0 && stream == batch->stream[pass->window_of[s - 1]])
                follows[s] = SEAM_FOLLOWS_STREAM;
        }
}

// Of long texts the last chunk alone goes on.
static SeamStatus keep_last_chunks(SeamRun *run, int32_t modalities, SeamPass *pass) {
    SEAM_TRY(seam_text_chunks_keep_last(run->arena, &pass->encoded, &pass->row));
    for (int32_t m = 0; m < modalities; m++) // where merging or chunks have left some away
        pass->first[m + 1] = pass->encoded.seq_start[pass->first_seq[m + 1]];
    return SEAM_OK;
}

SeamStatus seam_pass_encode(const SeamModel *model, SeamRun *run, const SeamBatch *batch, bool train, float *use, SeamPass *pass) {
    const SeamConfig *config = &model->config;
    SeamTokens part[SEAM_MAX_MODALITIES] = {0};
    memset(pass, 0, sizeof *pass);
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (batch->part[m].n > 0)
            SEAM_TRY(embed_part(model, run, m, &batch->part[m], train, pass, &part[m]));
    SEAM_TRY(join_parts(run, batch, part, pass));
    find_followers(batch, pass);
    pass->encoder = train ? SEAM_NEW0(run->arena, SeamEncoderSaved, config->layers) : NULL;
    if (train && !pass->encoder)
        return SEAM_NO_MEMORY;
    if (train && batch->exit)
        return seam_exits_encode(model, run, batch, pass);
    SEAM_TRY(seam_model_encode(model, run, 0, config->layers - 1, &pass->encoded, use, pass->encoder));
    return keep_last_chunks(run, config->n_modalities, pass);
}

SeamStatus seam_pass_encode_stream(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamCarry *carry, float *use, SeamPass *pass) {
    SeamTokens part[SEAM_MAX_MODALITIES] = {0};
    memset(pass, 0, sizeof *pass);
    for (int32_t m = 0; m < model->config.n_modalities; m++) {
        if (batch->part[m].n == 0)
            continue;
        SEAM_TRY(embed_part(model, run, m, &batch->part[m], false, pass, &part[m]));
        SEAM_TRY(seam_model_encode_stream(model, run, 0, model->config.layers - 1, &part[m], use, &carry[m]));
    }
    SEAM_TRY(join_parts(run, batch, part, pass));
    return keep_last_chunks(run, model->config.n_modalities, pass);
}

// ---- the bank ------------------------------------------------------------------------------------------------------------------

// The windows from `first` on that are of one stream.
static int32_t stream_length(const SeamBatch *batch, int32_t first) {
    int32_t n = 1;
    while (batch->stream[first] >= 0 && first + n < batch->windows && batch->stream[first + n] == batch->stream[first])
        n++;
    return n;
}

static SeamStatus remember(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamPass *pass, bool train) {
    SeamBank bank;
    pass->bank = train ? SEAM_NEW0(run->arena, SeamBankSaved, batch->windows) : NULL;
    if (train && !pass->bank)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_bank_init_in(&bank, &model->config, run->arena));
    for (int32_t first = 0, n; first < batch->windows; first += n) {
        n = stream_length(batch, first);
        SeamTokens stream = pass->fused;
        stream.seq_start += first;
        stream.seqs = n;
        seam_bank_reset(&bank);
        SEAM_TRY(seam_model_remember(model, run, &bank, &stream, train ? pass->bank + first : NULL));
    }
    return SEAM_OK;
}

// dx [fused.n, dim] in place.
static SeamStatus remember_backward(const SeamModel *model, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, float *dx) {
    for (int32_t first = 0, n; first < batch->windows; first += n) {
        n = stream_length(batch, first);
        float *at = dx + (size_t)pass->fused.seq_start[first] * pass->fused.dim;
        SEAM_TRY(seam_model_remember_backward(model, run, n, pass->bank + first, at));
    }
    return SEAM_OK;
}

// ---- fusion --------------------------------------------------------------------------------------------------------------------

SeamStatus seam_pass_fuse(const SeamModel *model, SeamRun *run, const SeamBatch *batch, bool train, SeamPass *pass) {
    SEAM_TRY(seam_model_fuse(model, run, &pass->encoded, batch->windows, pass->window_of, batch->time, &pass->fused, train ? &pass->fusion : NULL));
    return model->config.bank_slots > 0 ? remember(model, run, batch, pass, train) : SEAM_OK;
}

SeamStatus seam_pass_fuse_some(const SeamModel *model, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, uint32_t use, SeamTokens *fused) {
    SeamTokens some;
    int32_t modalities = model->config.n_modalities, n = 0, seqs = 0;
    for (int32_t m = 0; m < modalities; m++)
        if (use >> m & 1) {
            n += pass->first[m + 1] - pass->first[m];
            seqs += pass->first_seq[m + 1] - pass->first_seq[m];
        }
    SEAM_TRY(take_tokens(run, n, model->config.dim, seqs, &some));
    int32_t *window_of = SEAM_NEW(run->arena, int32_t, seqs);
    some.size = pass->encoded.size ? SEAM_NEW(run->arena, float, n) : NULL;
    if (!window_of || (!some.size && pass->encoded.size))
        return SEAM_NO_MEMORY;
    n = seqs = 0;
    for (int32_t m = 0; m < modalities; m++) {
        int32_t part_seqs = pass->first_seq[m + 1] - pass->first_seq[m];
        if (!(use >> m & 1) || part_seqs == 0)
            continue;
        append_tokens(&some, n, seqs, &pass->encoded, pass->first_seq[m], part_seqs);
        memcpy(window_of + seqs, pass->window_of + pass->first_seq[m], (size_t)part_seqs * sizeof *window_of);
        n += pass->first[m + 1] - pass->first[m];
        seqs += part_seqs;
    }
    return seam_model_fuse(model, run, &some, batch->windows, window_of, batch->time, fused, NULL);
}

static SeamStatus embed_backward(const SeamModel *model, SeamRun *run, int32_t m, SeamPass *pass, const float *dx) {
    switch (model->config.modality[m].front) {
    case SEAM_FRONT_IMAGE: return seam_model_embed_images_backward(model, run, m, &pass->embed[m].image, dx);
    case SEAM_FRONT_SENSOR: return seam_model_embed_windows_backward(model, run, m, &pass->embed[m].sensor, dx);
    case SEAM_FRONT_FEATURES: return seam_model_embed_features_backward(model, run, m, &pass->embed[m].features, dx);
    case SEAM_FRONT_TEXT: return seam_model_embed_texts_backward(model, run, m, &pass->embed[m].text, dx);
    }
    return SEAM_BAD_SHAPE;
}

SeamStatus seam_pass_backward(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamPass *pass, float *dfused, float balance,
                              double *balance_loss) {
    const SeamConfig *config = &model->config;
    int32_t n = pass->embedded[config->n_modalities];
    float *dlast = SEAM_NEW(run->arena, float, (size_t)pass->encoded.n * config->dim);
    float *dx = pass->row ? SEAM_NEW(run->arena, float, (size_t)n * config->dim) : dlast;
    if (!dlast || !dx)
        return SEAM_NO_MEMORY;
    if (pass->bank)
        SEAM_TRY(remember_backward(model, run, batch, pass, dfused));
    SEAM_TRY(seam_model_fuse_backward(model, run, &pass->fusion, dfused, dlast));
    if (pass->row)
        seam_text_chunks_keep_last_backward(pass->encoded.n, n, config->dim, pass->row, dlast, dx);
    if (batch->exit)
        SEAM_TRY(seam_exits_backward(model, run, batch, pass, balance, balance_loss, dx));
    else
        SEAM_TRY(seam_model_encode_backward(model, run, 0, config->layers - 1, pass->encoder, balance, balance_loss, dx));
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (pass->embedded[m + 1] > pass->embedded[m])
            SEAM_TRY(embed_backward(model, run, m, pass, dx + (size_t)pass->embedded[m] * config->dim));
    return SEAM_OK;
}
