// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Degrading under load: from how long buffers took against a deadline, how much work the next one may leave out. A pure controller: it owns no
// clock, no memory and no thread, and the same durations give the same levels.
//
// A level leaves out what the levels below it do, and more: 1, 2 fewer tokens (merge); 3, 4 fewer experts (expert_mass); 5, 6 earlier exits
// (exit_margin); 7, 8 whole buffers: of 2, of 4 one is encoded, so that there is always something to measure.
#pragma once

#include "core/run.h"

enum { SEAM_DEADLINE_LEVELS = 9, SEAM_DEADLINE_FIRST_DROP = 7 };

typedef struct {
    double deadline;  // seconds a buffer of the stream; 0: none, the level stays 0
    int32_t level;    // 0 .. SEAM_DEADLINE_LEVELS - 1
    int32_t late, early; // buffers in a row, at this level
    double ease;      // of the early ones, each counted by how early it was
    int32_t patience; // ease that it takes to recover by a level
    double since;     // the same of all buffers since the last recovery, less than patience; from there on: it has held
    int32_t turn;     // buffers since the one that was encoded, where some are dropped
} SeamDeadline;

#define SEAM_DEADLINE_MOST 600.0 // seconds

// A deadline as people write it: a number with s, ms or us behind it, or without, which is milliseconds; 0: none. False with a message for what is none.
bool seam_deadline_parse(const char *text, double *seconds, GError **error);

// At level 0. deadline: seconds, 0 or more.
void seam_deadline_init(SeamDeadline *d, double deadline);
// Another deadline from now on: the level stays and is measured against it. None, or one where there was none: level 0.
void seam_deadline_change(SeamDeadline *d, double deadline);
// Asked once a buffer, before it: whether to drop it.
bool seam_deadline_drops(SeamDeadline *d);
// Told once a buffer that was not dropped: how long it took, seconds.
void seam_deadline_took(SeamDeadline *d, double seconds);
// Of what the user allows to leave out and what the level does, more in each field.
SeamEffort seam_deadline_effort(const SeamDeadline *d, SeamEffort asked);
