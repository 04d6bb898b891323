// SPDX-License-Identifier: LGPL-2.1-or-later
//
// From the generative heads to the fields of a result. A value that is not a number is refused (SEAM_DEVICE_ERROR).
#include "core/decide_generate.h"

#include <math.h>

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

SeamStatus seam_decide_generate(const SeamGenerator *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    switch (task->what) {
    case SEAM_GENERATE_FORECAST: return decide_forecast(&task->forecast, run, tokens, r);
    }
    return SEAM_BAD_SHAPE;
}
