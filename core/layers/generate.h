// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "generate": which of its heads a task has. It owns nothing but that choice.
#pragma once

#include "core/layers/generate_forecast.h"
#include "core/layers/generate_signal.h"
#include "core/layers/generate_text.h"

typedef struct {
    SeamGenerate what;
    union {
        SeamForecast forecast;
        SeamText text;
        SeamSignal signal;
    };
} SeamGenerator;

void seam_generator_declare(SeamGenerator *g, SeamParams *params, const SeamConfig *config, int32_t task);
// Bytes of arena that a decision of one window of n tokens needs.
size_t seam_generator_bytes(const SeamGenerator *g, int32_t n);
