// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Recordings made in memory, for tests and benchmarks that need no files: names, groups, length and label; what the streams hold is the caller's.
#pragma once

#include "core/train/dataset.h"

static inline SeamDataset *made_up_data(int32_t n) {
    SeamDataset *d = g_new0(SeamDataset, 1);
    d->path = g_strdup("memory");
    d->n = n;
    d->record = g_new0(SeamRecord, n);
    return d;
}

// Record number i, so many of which in a row are a group. label: of the class index, or -1: none.
static inline SeamRecord *made_up_record(SeamDataset *d, int32_t i, int32_t of_a_group, double seconds, const SeamConfig *config, int32_t label) {
    SeamRecord *r = &d->record[i];
    r->name = g_strdup_printf("run-%d", i);
    r->group = g_strdup_printf("group-%d", i / of_a_group);
    r->class_index = -1;
    if (label >= 0)
        seam_record_set_label(r, config, config->class_name[label]);
    r->duration = r->arc_end = seconds;
    return r;
}

// Room for `samples` samples of a sensor of so many channels, from time 0 on.
static inline float *made_up_samples(SeamStream *stream, int32_t samples, int32_t channels) {
    stream->samples = samples;
    stream->x = g_new0(float, (gsize)samples * channels);
    return stream->x;
}
