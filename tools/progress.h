// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Progress on standard error: a bar that is drawn again in place on a terminal, a line every few percent elsewhere. Owns what was last shown.
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    const char *what;  // "reading", "training"
    bool terminal, quiet;
    int last_percent;
    gint64 last_time;
} SeamProgressBar;

void seam_progress_begin(SeamProgressBar *bar, const char *what, bool quiet);
// done of all; detail: what else to say, or "".
void seam_progress_show(SeamProgressBar *bar, gint64 done, gint64 all, const char *detail);
void seam_progress_end(SeamProgressBar *bar);
// A line that does not run into the bar.
void seam_progress_note(SeamProgressBar *bar, const char *text);
// "1:02:03" or "4:05"; the caller's buffer of at least 24 bytes.
const char *seam_progress_time(double seconds, char buffer[24]);
