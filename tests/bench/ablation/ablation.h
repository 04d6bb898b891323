// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the ablation programs share: the report that each prints as one JSON object on standard output, a clock and a few figures of
// statistics. It owns the report's memory; progress belongs on standard error.
//
//   Ablation *a = ablation_new("what the architecture's source claims");
//   ablation_key(a, "fusion.exponent", 1.07);
//   ablation_table(a, "Time of a layer", "mixer", "tokens", "ms", NULL);
//   ablation_row(a, "sdd", "local", 4096.0, 3.25);           s: text, d: number
//   ablation_plot(a, "Time against tokens", "tokens", "ms", true);
//   ablation_series(a, "local", n, tokens, ms);
//   ablation_finding(a, "%s is %.1f times as fast.", "local", 12.3);
//   return ablation_print(a);
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Ablation Ablation;

Ablation *ablation_new(const char *claim);
// A figure of build/ablation.json. A value that is not finite is printed as null.
void ablation_key(Ablation *a, const char *name, double value);
// A new table; the names of its columns end with NULL. Rows go to the newest table.
void ablation_table(Ablation *a, const char *title, ...) G_GNUC_NULL_TERMINATED;
// `kinds`: one letter a column, s for a const char *, d for a double.
void ablation_row(Ablation *a, const char *kinds, ...);
// A new plot; both axes are logarithmic with `log`. Series go to the newest plot.
void ablation_plot(Ablation *a, const char *title, const char *x, const char *y, bool log);
void ablation_series(Ablation *a, const char *name, int n, const double *x, const double *y);
// One more sentence of the finding, made from what was measured.
void ablation_finding(Ablation *a, const char *format, ...) G_GNUC_PRINTF(2, 3);
// Prints the report and frees it; the exit status of main.
int ablation_print(Ablation *a);

// What the process holds in memory, MiB.
double ablation_resident_mb(void);
// Seconds of a monotonic clock.
double ablation_seconds(void);
// The middle of n > 0 values, which are sorted; of an even number the lower one of the two.
double ablation_median(int n, double *value);
// Median seconds of `runs` calls after one that is not counted.
double ablation_time(int runs, void (*call)(void *data), void *data);
// The slope of the least squares line through (log x, log y): the exponent of y ~ x^slope.
double ablation_exponent(int n, const double *x, const double *y);
