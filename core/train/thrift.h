// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How much of its work a model may leave out: the least effort at which held-back windows that it judges rightly with all of its work are still judged
// rightly. It owns the ladder of efforts that is tried. It writes nothing.
#pragma once

#include "core/train/evaluate.h"

enum { SEAM_THRIFT_RUNGS = 10 };

typedef struct {
    SeamEffort effort; // all 0: nothing may be left out
    int32_t windows;   // judged, with a class that is known
    int32_t lost;      // right with all of the work, wrong with this effort
    double bound;      // upper confidence bound of the share lost; 1 without windows
} SeamThrift;

// The rung's effort: 0 is all of the work, higher ones do less.
SeamEffort seam_thrift_rung(int32_t rung);

// The highest share that cannot be ruled out: the p at which so few losses have the chance `risk` (Clopper and Pearson 1934, one-sided).
double seam_thrift_bound(int32_t n, int32_t lost, double risk);

// Climbs the ladder while, with probability 1 - risk, no more than `loss` of all windows are lost. use [data->n]: records that the model has not
// learnt from.
bool seam_thrift_calibrate(const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const bool *use, int32_t frames, double loss,
                           double risk, SeamThrift *out, GError **error);
