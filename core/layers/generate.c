// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One place that knows which head belongs to which "what".
#include "core/layers/generate.h"

void seam_generator_declare(SeamGenerator *g, SeamParams *params, const SeamConfig *config, int32_t task) {
    g->what = config->task[task].what;
    switch (g->what) {
    case SEAM_GENERATE_FORECAST: seam_forecast_declare(&g->forecast, params, config, task); break;
    case SEAM_GENERATE_TEXT: seam_text_declare(&g->text, params, config, task); break;
    case SEAM_GENERATE_SIGNAL: seam_signal_declare(&g->signal, params, config, task); break;
    }
}

size_t seam_generator_bytes(const SeamGenerator *g, int32_t n) {
    switch (g->what) {
    case SEAM_GENERATE_FORECAST: return seam_forecast_bytes(&g->forecast, n, 1, false);
    case SEAM_GENERATE_TEXT: return seam_text_listen_bytes(&g->text, n);
    case SEAM_GENERATE_SIGNAL: return seam_signal_bytes(&g->signal, n);
    }
    return 0;
}
