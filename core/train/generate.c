// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What each generative head learns from: of a forecast, what came next; of a signal, what was hidden of it; of a text, sentences that the grammar makes of
// drawn facts.
#include "core/train/generate.h"

#include <string.h>

static SeamStatus forecast_step(const SeamForecast *task, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, double weight, double *loss, float *dx) {
    float *logits;
    SeamForecastSaved saved;
    SEAM_TRY(seam_forecast_forward(task, run, &pass->fused, &logits, &saved));
    float *dlogits = SEAM_NEW(run->arena, float, (size_t)pass->fused.seqs * task->channels * SEAM_FORECAST_QUANTILES);
    if (!dlogits)
        return SEAM_NO_MEMORY;
    *loss += seam_forecast_loss(task, pass->fused.seqs, logits, batch->part[task->modality].next, weight, dlogits);
    return seam_forecast_backward(task, run, &saved, dlogits, dx);
}

static SeamStatus signal_step(const SeamSignal *task, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, double weight, double *loss, float *dx) {
    const SeamBatchPart *part = &batch->part[task->modality];
    const SeamSignalQuery *query = (const SeamSignalQuery *)(const void *)part->hidden->data;
    int32_t n = (int32_t)part->hidden->len;
    float *logits;
    SeamSignalSaved saved;
    if (n == 0) {
        memset(dx, 0, (size_t)pass->fused.n * task->dim * sizeof *dx);
        return SEAM_OK;
    }
    SEAM_TRY(seam_signal_forward(task, run, &pass->fused, n, query, &logits, &saved));
    float *dlogits = SEAM_NEW(run->arena, float, (size_t)n * SEAM_SIGNAL_QUANTILES);
    if (!dlogits)
        return SEAM_NO_MEMORY;
    *loss += seam_signal_loss(task, n, query, logits, (const float *)(const void *)part->hidden_level->data, weight, dlogits);
    return seam_signal_backward(task, run, &saved, dlogits, dx);
}

// Facts by lot, so that every verdict is learnt with every class: the words must follow the facts, whatever the tokens say. Half of the time the class is
// the window's own, as it mostly will be.
static SeamFacts draw_facts(const SeamConfig *config, int32_t label, uint32_t present, SeamRandom *random) {
    bool own = seam_random_uniform(random) < 0.5;
    int32_t drawn = seam_random_below(random, config->n_classes), modality = seam_random_below(random, config->n_modalities);
    int32_t sure = seam_random_below(random, 100), place = seam_random_below(random, 101);
    bool placed = seam_random_uniform(random) < 0.8, shown = seam_random_uniform(random) < 0.8, refer = seam_random_uniform(random) < 0.3;
    int32_t class_index = own && label >= 0 ? label : drawn;
    SeamDecision decision = refer ? SEAM_REFER : class_index > 0 ? SEAM_REJECT : SEAM_PASS;
    bool rejected = decision == SEAM_REJECT;
    return (SeamFacts){.decision = decision, .class_index = class_index, .sure = sure, .place = placed && decision != SEAM_PASS ? place : -1,
                       .modality = rejected && shown && present >> modality & 1 ? modality : -1};
}

static SeamStatus text_step(const SeamText *task, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, SeamRandom random, double weight, double *loss,
                            float *dx) {
    int32_t windows = pass->fused.seqs;
    SeamFacts *facts = SEAM_NEW(run->arena, SeamFacts, windows);
    char(*sentence)[SEAM_MAX_FINDING] = seam_arena_alloc(run->arena, (size_t)windows, sizeof *sentence);
    double one;
    if (!facts || !sentence)
        return SEAM_NO_MEMORY;
    for (int32_t w = 0; w < windows; w++) {
        uint32_t present = 0;
        for (int32_t i = pass->fused.seq_start[w]; i < pass->fused.seq_start[w + 1]; i++)
            present |= 1u << pass->fused.place[i].modality;
        facts[w] = draw_facts(batch->config, batch->label[w], present, &random);
        seam_finding_draw(&facts[w], batch->config, &random, sentence[w]);
    }
    SEAM_TRY(seam_text_loss(task, run, &pass->fused, facts, (const char(*)[SEAM_MAX_FINDING])sentence, weight, &one, dx));
    *loss += one;
    return SEAM_OK;
}

SeamStatus seam_generate_step(const SeamGenerator *task, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, SeamRandom random, double weight,
                              double *loss, float *dx) {
    switch (task->what) {
    case SEAM_GENERATE_FORECAST: return forecast_step(&task->forecast, run, batch, pass, weight, loss, dx);
    case SEAM_GENERATE_SIGNAL: return signal_step(&task->signal, run, batch, pass, weight, loss, dx);
    case SEAM_GENERATE_TEXT: return text_step(&task->text, run, batch, pass, random, weight, loss, dx);
    }
    return SEAM_BAD_SHAPE;
}
