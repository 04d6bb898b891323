// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How well tasks of signals tell what gaps hide: stretches are hidden in the windows of recordings, and what is told of them is compared with what was
// there. What is hidden depends on the recording's name and the window alone. Part of evaluate.h, which asks for it.
#pragma once

#include "core/train/evaluate.h"

typedef void (*SeamSignalFunc)(void *user, const SeamSignalTold *told);

// All windows of the wanted records that hold such a sensor; `func` gets each hidden stretch of a channel. Nothing is done where none of options->tasks
// tells signals.
bool seam_evaluate_signals(const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, SeamSignalFunc func, void *user,
                           GError **error);
// The keys signal_*; what is NaN is left out.
void seam_evaluate_signals_print(const SeamSignalSums *sums, JsonObject *o);
