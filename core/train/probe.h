// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Shortcuts hunted: how well trivial features alone tell the labels of a folder (its records' length, size, brightness, date), by small probes that are
// trained on the folder itself. A model that is no better than such a probe may have learnt no more than that. It reads records and never the model.
#pragma once

#include "core/train/evaluate.h"

// One trivial feature of all records. Those that a folder lacks, or that are the same for all, are left out.
typedef struct {
    char *name;
    bool hidden;   // the model is not shown it: recordings are cut to their first windows
    double *value; // [n]; NaN: this record has none
} SeamProbeFeature;

// of the records of a data set, as SeamProbeFeature; g_ptr_array_unref it.
GPtrArray *seam_probe_features(const SeamConfig *config, const SeamDataset *data);
// Date in days and clock in seconds of the first text that looks like a date (2011-03-30, 20110330, 2011-03-30_220457, 2011-03-30T22:04:57); NaN for what is
// not there.
void seam_probe_date(const char *text, double *day, double *clock);

typedef struct {
    char *feature;  // the last is "all together", of those that are not hidden
    bool hidden;
    double auroc, macro_f1;
    bool warns;     // it comes within the model's interval, or to nine tenths of what the model has over chance
} SeamProbe;

// Probes for the records that `what` names, cross-validated over groups, against the figures of `e` on the same records: of SeamProbe; g_ptr_array_unref it.
GPtrArray *seam_probe(const SeamConfig *config, const SeamDataset *data, const SeamEvaluateWhat *what, const SeamEvaluation *e);
JsonArray *seam_probe_print(const GPtrArray *probes);

// One probe: x [n, d] by feature values, class_index [n] (-1: not used), fold [n]. Fills said [n] and score [n] (log odds of any class but 0), each by a fit on
// the other folds. d = 1 also looks at the square.
void seam_probe_fit(int32_t n, int32_t d, const double *x, int32_t classes, const int32_t *class_index, const int32_t *fold, int32_t folds, int32_t *said,
                    float *score);
