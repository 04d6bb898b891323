// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The level of the next window: means over its first `horizon` stretches, in the channels' units.
#include "core/train/ahead.h"

#include <math.h>

int32_t seam_ahead_samples(const SeamConfig *config, int32_t modality) {
    for (int32_t t = 0; t < config->n_tasks; t++) {
        const SeamTask *task = &config->task[t];
        if (task->kind == SEAM_TASK_GENERATE && task->what == SEAM_GENERATE_FORECAST && seam_config_modality(config, task->of) == modality)
            return task->horizon * config->modality[modality].sensor.patch;
    }
    return 0;
}

bool seam_ahead_exists(const SeamConfig *config, int32_t modality, const SeamRecord *record, double start) {
    const SeamStream *stream = &record->stream[modality];
    double rate = seam_modality_rate(config, modality), end = start + config->window + seam_ahead_samples(config, modality) / rate;
    return end <= record->arc_end + 0.5 / rate && llrint((end - stream->start) * rate) <= stream->samples;
}

void seam_ahead_level(int32_t channels, int32_t n, const float *x, float *level) {
    for (int32_t c = 0; c < channels; c++) {
        double sum = 0;
        int32_t there = 0;
        for (int32_t i = 0; i < n; i++) {
            float value = x[(size_t)i * channels + c];
            there += !isnan(value);
            sum += isnan(value) ? 0 : value;
        }
        level[c] = there > 0 && 2 * there >= n ? (float)(sum / there) : NAN;
    }
}

void seam_ahead_truth(const SeamConfig *config, int32_t modality, const SeamRecord *record, double start, float *level) {
    const SeamStream *stream = &record->stream[modality];
    int32_t n = seam_ahead_samples(config, modality), channels = config->modality[modality].channels;
    int64_t from = llrint((start + config->window - stream->start) * seam_modality_rate(config, modality));
    bool there = n > 0 && from >= 0 && seam_ahead_exists(config, modality, record, start);
    seam_ahead_level(channels, there ? n : 0, there ? stream->x + from * channels : NULL, level);
}
