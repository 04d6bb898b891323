// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What each generative head learns from: of a forecast, what came next.
#include "core/train/generate.h"

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

SeamStatus seam_generate_step(const SeamGenerator *task, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, double weight, double *loss, float *dx) {
    switch (task->what) {
    case SEAM_GENERATE_FORECAST: return forecast_step(&task->forecast, run, batch, pass, weight, loss, dx);
    }
    return SEAM_BAD_SHAPE;
}
