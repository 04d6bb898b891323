// SPDX-License-Identifier: LGPL-2.1-or-later
//
// From windows to welds. A tracker watches levels (arc on and off), gathers the windows of the current weld, and closes it with one verdict.
// It owns the gathered windows' summaries (fixed size: it keeps the worst ones and sums) and no clock: time comes with the data.
#pragma once

#include "core/conformal.h"
#include "core/result.h"
#include "core/tokens.h"

typedef enum { SEAM_BOUNDS_ARC, SEAM_BOUNDS_EVENT, SEAM_BOUNDS_FILE } SeamBounds;

typedef struct {
    SeamBounds bounds;
    double arc_hold;     // the arc may go out for this long inside one weld, seconds (default 0.5)
    double shortest;     // shorter arcs are strikes, not welds, seconds (default 0.5)
    double false_reject; // promised share of good welds rejected at most (default 0.005)
    double miss;         // promised share of defective welds passed at most (default 0.01)
} SeamWeldOptions;
#define SEAM_WELD_OPTIONS_DEFAULT ((SeamWeldOptions){SEAM_BOUNDS_ARC, 0.5, 0.5, 0.005, 0.01})

typedef struct SeamWeldTracker SeamWeldTracker;

SeamWeldTracker *seam_weld_tracker_new(const SeamConfig *config, const SeamCalibration *calibration, const SeamWeldOptions *options);
void seam_weld_tracker_free(SeamWeldTracker *t);
// Levels of a modality, in time order; modality.arc_on decides whether each is arc. Where several modalities say, the arc is on when any says so.
void seam_weld_tracker_levels(SeamWeldTracker *t, int32_t modality, const SeamLevel *levels, int32_t n);
// With config.windows, only so many first windows of a weld count.
// A window's result (sets result->arc_on). Windows that overlap the weld by less than half of themselves do not count, unless no other does.
void seam_weld_tracker_window(SeamWeldTracker *t, SeamWindowResult *result);
// bounds = event: the user or PLC says so.
void seam_weld_tracker_begin(SeamWeldTracker *t, double time, const char *source);
void seam_weld_tracker_end(SeamWeldTracker *t, double time);
// A measured clock offset to be named in the verdict.
void seam_weld_tracker_offset(SeamWeldTracker *t, int32_t modality, int32_t reference, double offset);
// True and a verdict when a weld has ended by `now` (all data up to now has been given); call until false. `finish`: the stream ends, so does the weld.
bool seam_weld_tracker_poll(SeamWeldTracker *t, double now, bool finish, SeamVerdict *verdict);
void seam_weld_tracker_set_source(SeamWeldTracker *t, const char *source);
// New thresholds (an adapter was swapped in): used from the next verdict on. Both are copied.
void seam_weld_tracker_calibrate(SeamWeldTracker *t, const SeamCalibration *calibration, const SeamWeldOptions *options);
// Flush: forgets the open weld, not its number.
void seam_weld_tracker_reset(SeamWeldTracker *t);
