// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The part of the ablation of generative heads that fills gaps (generate.c has the others, and the report).
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

// Means over the hidden stretches of unseen made-up welds, in units of the channels' spread.
typedef struct {
    double pinball, coverage, rmse;
} SignalFigures;

typedef struct {
    int64_t n; // hidden stretches of channels
    SignalFigures decoder, without_sound, line, mean;
} SignalTotals;

bool signal_measure(SignalTotals *totals, GError **error);
