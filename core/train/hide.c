// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gaps are drawn run by run until enough is hidden: each begins anywhere, is 1 + r^2 S / 2 stretches long (S: of the window; r: even from 0 to 1, so that
// short ones are more) and takes half of the time one channel, else all of them.
#include "core/train/hide.h"

#include <math.h>
#include <string.h>

#include "core/train/ahead.h"

// What can be hidden together: a stretch of a channel, or of all channels where a token holds them all.
typedef struct {
    int32_t stretches, channels, patch, wide; // wide: channels of a unit
    float *x;                                 // of the window [samples, channels]
    float level[SEAM_MAX_FILLED];             // [stretches, channels], NaN: not there
    bool hidden[SEAM_MAX_FILLED];             // [stretches, channels / wide]
} Hiding;

static bool known(const Hiding *h, int32_t unit) {
    for (int32_t i = 0; i < h->wide; i++)
        if (isfinite(h->level[unit * h->wide + i]))
            return true;
    return false;
}

// Hides at most `room` units of a run; returns how many.
static int32_t hide_run(Hiding *h, int32_t room, SeamRandom *random) {
    int32_t across = h->channels / h->wide, start = seam_random_below(random, h->stretches), done = 0;
    double r = seam_random_uniform(random);
    int32_t end = MIN(start + 1 + (int32_t)(r * r * h->stretches / 2), h->stretches);
    bool all = seam_random_uniform(random) < 0.5;
    int32_t one = seam_random_below(random, across);
    for (int32_t s = start; s < end; s++)
        for (int32_t k = all ? 0 : one; k < (all ? across : one + 1) && done < room; k++) {
            int32_t unit = s * across + k;
            if (h->hidden[unit] || !known(h, unit))
                continue;
            h->hidden[unit] = true;
            done++;
        }
    return done;
}

// Takes away what is hidden, and keeps what it was.
static void take_away(const Hiding *h, SeamBatchPart *p, int32_t window) {
    for (int32_t i = 0; i < h->stretches * h->channels; i++) {
        SeamSignalQuery query = {window, i / h->channels, i % h->channels};
        if (!h->hidden[i / h->wide])
            continue;
        for (int32_t k = 0; k < h->patch; k++)
            h->x[(size_t)(query.stretch * h->patch + k) * h->channels + query.channel] = NAN;
        if (!isfinite(h->level[i]))
            continue;
        g_array_append_val(p->hidden, query);
        g_array_append_val(p->hidden_level, h->level[i]);
    }
}

void seam_hide_stretches(SeamBatch *batch, int32_t modality, double share, SeamRandom *random) {
    const SeamModality *m = &batch->config->modality[modality];
    SeamBatchPart *p = &batch->part[modality];
    int32_t window = batch->windows - 1, units = 0;
    if (p->n == 0 || g_array_index(p->window, int32_t, p->n - 1) != window)
        return; // the sensor is not in it
    Hiding h = {.stretches = seam_modality_stretches(batch->config, modality), .channels = m->channels, .patch = m->sensor.patch,
                .wide = m->sensor.together ? m->channels : 1};
    h.x = p->x + (size_t)(p->n - 1) * h.stretches * h.patch * h.channels;
    for (int32_t s = 0; s < h.stretches; s++)
        seam_ahead_level(h.channels, h.patch, h.x + (size_t)s * h.patch * h.channels, h.level + s * h.channels);
    for (int32_t i = 0; i < h.stretches * h.channels / h.wide; i++)
        units += known(&h, i);
    int32_t left = MIN((int32_t)lrint(share * units), units - 1);
    for (int32_t turn = 0; left > 0 && turn < 64 * h.stretches * h.channels; turn++) // nearly always far fewer
        left -= hide_run(&h, left, random);
    take_away(&h, p, window);
}

void seam_hide_by_lot(SeamBatch *batch, SeamRandom *random) {
    for (int32_t t = 0; t < batch->config->n_tasks; t++) {
        const SeamTask *task = &batch->config->task[t];
        if (task->kind == SEAM_TASK_GENERATE && task->what == SEAM_GENERATE_SIGNAL)
            seam_hide_stretches(batch, seam_config_modality(batch->config, task->of), 2 * task->mask * seam_random_uniform(random), random);
    }
}
