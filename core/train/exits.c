// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   L = L_tasks + weight / heads * sum_h CE(head_h of each sequence, the label of its window)      (deep supervision: Lee 2015, eq. 3; Teerapittayanon 2016)
//
// A sequence that left by lot passes the later layers by: x_out = x_in for it, so its gradient passes them by too (stochastic depth for whole groups of
// layers, Huang 2016; Elhoushi 2024, "LayerSkip", sec. 4.1). The layers are run for its tokens all the same and the result thrown away: training saves no time.
// Heads behind the place where it left do not learn from it: in inference they never see such a sequence.
#include "core/train/exits.h"

#include <string.h>

#include "core/train/losses.h"

static int32_t group_end(const SeamConfig *config, int32_t layer) {
    while (layer + 1 < config->layers && !seam_exit_at(config, layer))
        layer++;
    return layer;
}

static SeamStatus draw_depths(const SeamConfig *config, SeamRun *run, SeamExitLesson *lesson, SeamPass *pass) {
    pass->depth = SEAM_NEW(run->arena, int32_t, pass->encoded.seqs);
    if (!pass->depth)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < pass->encoded.seqs; s++) {
        bool leaves = seam_random_uniform(&lesson->random) < lesson->leave;
        int32_t head = seam_random_below(&lesson->random, seam_exit_count(config));
        pass->depth[s] = leaves ? (head + 1) * config->exit_every : config->layers;
    }
    return SEAM_OK;
}

// The tokens of all sequences that left before layer `layer`: to[i] = from[i], or 0 where from is NULL.
static void set_left(const SeamPass *pass, int32_t layer, const float *from, float *to) {
    const SeamTokens *t = &pass->encoded;
    for (int32_t s = 0; s < t->seqs; s++) {
        size_t at = (size_t)t->seq_start[s] * t->dim, size = (size_t)(t->seq_start[s + 1] - t->seq_start[s]) * t->dim;
        if (pass->depth[s] <= layer && from)
            memcpy(to + at, from + at, size * sizeof *to);
        else if (pass->depth[s] <= layer)
            memset(to + at, 0, size * sizeof *to);
    }
}

SeamStatus seam_exits_encode(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamPass *pass) {
    const SeamConfig *config = &model->config;
    SEAM_TRY(draw_depths(config, run, batch->exit, pass));
    for (int32_t from = 0, to; from < config->layers; from = to + 1) {
        to = group_end(config, from);
        SEAM_TRY(seam_model_encode(model, run, from, to, &pass->encoded, NULL, pass->encoder + from));
        set_left(pass, from, pass->encoder[from].norm1.x, pass->encoded.x);
    }
    return SEAM_OK;
}

// Of the head behind layer `layer`; x: the stream there. dx +=.
static SeamStatus teach(const SeamModel *model, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, int32_t layer, const float *x, float *dx) {
    const SeamExit *exit = &model->exit[layer];
    const SeamTokens *t = &pass->encoded;
    SeamExitLesson *lesson = batch->exit;
    size_t mark = seam_arena_mark(run->arena), size = (size_t)t->seqs * exit->classes;
    float *logits = SEAM_NEW(run->arena, float, size), *dlogits = SEAM_NEW(run->arena, float, size);
    int32_t *label = SEAM_NEW(run->arena, int32_t, t->seqs), heads = seam_exit_count(&model->config);
    SeamExitSaved saved;
    if (!logits || !dlogits || !label)
        return SEAM_NO_MEMORY;
    for (int32_t s = 0; s < t->seqs; s++) {
        bool sees = t->seq_start[s + 1] > t->seq_start[s] && pass->depth[s] > layer;
        label[s] = sees ? batch->label[pass->window_of[s]] : -1;
    }
    SEAM_TRY(seam_exit_forward(exit, run, t->seqs, t->seq_start, x, logits, &saved));
    lesson->loss += seam_loss_classify(t->seqs, exit->classes, logits, label, lesson->class_weight, lesson->smoothing, lesson->weight / heads, dlogits, NULL,
                                       NULL) / heads;
    SEAM_TRY(seam_exit_backward(exit, run, &saved, x, dlogits, dx));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

SeamStatus seam_exits_backward(const SeamModel *model, SeamRun *run, const SeamBatch *batch, SeamPass *pass, float balance, double *balance_loss, float *dx) {
    size_t mark = seam_arena_mark(run->arena), size = (size_t)pass->encoded.n * model->config.dim;
    float *passing = SEAM_NEW(run->arena, float, size); // the gradient of those that the layers do not touch
    if (!passing)
        return SEAM_NO_MEMORY;
    batch->exit->loss = 0;
    for (int32_t to = model->config.layers - 1, from; to >= 0; to = from - 1) {
        for (from = to; from > 0 && !seam_exit_at(&model->config, from - 1);)
            from--;
        memcpy(passing, dx, size * sizeof *dx);
        set_left(pass, from, NULL, dx);
        SEAM_TRY(seam_model_encode_backward(model, run, from, to, pass->encoder + from, balance, balance_loss, dx));
        set_left(pass, from, passing, dx);
        if (from > 0)
            SEAM_TRY(teach(model, run, batch, pass, from - 1, pass->encoder[from].norm1.x, dx));
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}
