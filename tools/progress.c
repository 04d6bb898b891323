// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Progress on standard error. On a terminal a bar, at most ten times a second; elsewhere a line every five percent.
#include "tools/progress.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 28, LINE_STEP = 5 };
static const gint64 redraw = 100000; // microseconds

void seam_progress_begin(SeamProgressBar *bar, const char *what, bool quiet) {
    *bar = (SeamProgressBar){.what = what, .terminal = isatty(STDERR_FILENO), .quiet = quiet, .last_percent = -LINE_STEP};
}

void seam_progress_show(SeamProgressBar *bar, gint64 done, gint64 all, const char *detail) {
    int percent = all > 0 ? (int)(100 * done / all) : 100;
    gint64 now = g_get_monotonic_time();
    if (bar->quiet)
        return;
    if (bar->terminal && (now - bar->last_time >= redraw || done >= all)) {
        char line[WIDTH + 1];
        for (int i = 0; i < WIDTH; i++)
            line[i] = i * 100 < percent * WIDTH ? '#' : '.';
        line[WIDTH] = 0;
        fprintf(stderr, "\r%-12s [%s] %3d %%  %s\033[K", bar->what, line, percent, detail);
        bar->last_time = now;
    } else if (!bar->terminal && percent >= bar->last_percent + LINE_STEP) {
        fprintf(stderr, "%s %d %% %s\n", bar->what, percent, detail);
        bar->last_percent = percent - percent % LINE_STEP;
    }
    fflush(stderr);
}

void seam_progress_end(SeamProgressBar *bar) {
    if (bar->terminal && !bar->quiet && bar->last_time > 0)
        fputc('\n', stderr);
}

void seam_progress_note(SeamProgressBar *bar, const char *text) {
    fprintf(stderr, "%s%s\n", bar->terminal && bar->last_time > 0 ? "\r\033[K" : "", text);
}

const char *seam_progress_time(double seconds, char buffer[24]) {
    long s = isfinite(seconds) && seconds > 0 && seconds < 1e8 ? (long)seconds : 0;
    if (s >= 3600)
        g_snprintf(buffer, 24, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        g_snprintf(buffer, 24, "%ld:%02ld", s / 60, s % 60);
    return buffer;
}
