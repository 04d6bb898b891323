// SPDX-License-Identifier: LGPL-2.1-or-later
//
// From the generative heads to the fields of a result. A value that is not a number is refused (SEAM_DEVICE_ERROR).
#include "core/decide_generate.h"

#include <math.h>
#include <string.h>

// A forecast of what is not there would be a guess.
static SeamStatus decide_forecast(const SeamForecast *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    float *logits;
    if (!(r->present >> task->modality & 1))
        return SEAM_OK;
    SEAM_TRY(seam_forecast_forward(task, run, tokens, &logits, NULL));
    for (int32_t c = 0; c < task->channels; c++) {
        double quantile[SEAM_FORECAST_QUANTILES];
        seam_forecast_quantiles(logits + c * SEAM_FORECAST_QUANTILES, quantile);
        for (int32_t q = 0; q < SEAM_FORECAST_QUANTILES; q++) {
            float value = r->forecast[task->modality][c][q] = (float)(task->mean[c] + task->std[c] * quantile[q]);
            if (!isfinite(value))
                return SEAM_DEVICE_ERROR;
        }
    }
    r->forecast_of |= 1u << task->modality;
    return SEAM_OK;
}

static SeamStatus fill(const SeamSignal *task, const SeamSignalQuery *query, const float *logits, SeamFilled *filled) {
    double quantile[SEAM_SIGNAL_QUANTILES];
    *filled = (SeamFilled){.t = (float)((query->stretch + 0.5) * task->seconds), .channel = (uint16_t)query->channel, .modality = (uint8_t)task->modality};
    seam_forecast_quantiles(logits, quantile);
    for (int32_t q = 0; q < SEAM_SIGNAL_QUANTILES; q++) {
        filled->level[q] = (float)(task->mean[query->channel] + task->std[query->channel] * quantile[q]);
        if (!isfinite(filled->level[q]))
            return SEAM_DEVICE_ERROR;
    }
    return SEAM_OK;
}

static SeamStatus decide_signal(const SeamSignal *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    SeamSignalQuery *query = SEAM_NEW(run->arena, SeamSignalQuery, (size_t)task->stretches * task->channels);
    float *logits;
    int32_t n = 0;
    if (!query)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_signal_missing(task, run, tokens, 0, query, &n));
    if (n == 0)
        return SEAM_OK;
    SEAM_TRY(seam_signal_forward(task, run, tokens, n, query, &logits, NULL));
    for (int32_t k = 0; k < n; k++, r->n_filled++)
        SEAM_TRY(r->n_filled < SEAM_MAX_FILLED ? fill(task, &query[k], logits + k * SEAM_SIGNAL_QUANTILES, &r->filled[r->n_filled]) : SEAM_BAD_SHAPE);
    return SEAM_OK;
}

static SeamStatus listen(const SeamText *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    float *said;
    const uint32_t *present;
    SEAM_TRY(seam_text_listen(task, run, tokens, &said, &present));
    for (int32_t m = 0; m <= task->modalities; m++)
        for (int32_t i = 0; i < task->width; i++) {
            float value = r->said[m][i] = said[m * task->width + i];
            if (!isfinite(value))
                return SEAM_DEVICE_ERROR;
        }
    r->has_said = true;
    return SEAM_OK;
}

SeamStatus seam_decide_finding_of(const SeamText *task, SeamRun *run, const SeamConfig *config, SeamVerdict *verdict) {
    SeamFacts facts = seam_facts_of(verdict, config);
    size_t mark = seam_arena_mark(run->arena), w = (size_t)task->width;
    float *said = SEAM_NEW(run->arena, float, (size_t)(1 + task->modalities) * w);
    if (!said)
        return SEAM_NO_MEMORY;
    for (int32_t m = 0; m <= task->modalities; m++)
        memcpy(said + m * w, verdict->said[m], w * sizeof *said);
    SEAM_TRY(seam_text_write(task, run, said, verdict->present, &facts, verdict->finding));
    seam_arena_release(run->arena, mark);
    verdict->finding_plain = !seam_finding_true(verdict->finding, &facts, config);
    if (verdict->finding_plain)
        seam_finding_plain(&facts, config, verdict->finding);
    return SEAM_OK;
}

SeamStatus seam_decide_generate(const SeamGenerator *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    switch (task->what) {
    case SEAM_GENERATE_FORECAST: return decide_forecast(&task->forecast, run, tokens, r);
    case SEAM_GENERATE_SIGNAL: return decide_signal(&task->signal, run, tokens, r);
    case SEAM_GENERATE_TEXT: return listen(&task->text, run, tokens, r);
    }
    return SEAM_BAD_SHAPE;
}
