// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Adapting a model to new parts from few welds. All labelled welds are encoded once, and the features of every window are kept for every subset of
// modalities that is asked for; after that a memory is fitted and all welds are scored in a moment, so that each group can be left out in turn.
// SeamAdapt owns the features. Of the model it changes the anomaly memory (fit, leave_out) or makes a trained copy (heads); it writes no file.
#pragma once

#include "core/train/memory.h"
#include "core/train/trainer.h"

typedef struct SeamAdapt SeamAdapt;

typedef struct {
    const SeamModel *model;
    const SeamKernels *kernels;
    const SeamDataset *data;
    const uint32_t *subset; // [subsets] modality bits that scores are wanted of, besides those that a calibration needs
    int32_t subsets;        // at most SEAM_MAX_SUBSETS / 4
    int32_t frames;         // as in SeamEvaluateOptions
    void (*progress)(void *user, int32_t done, int32_t all); // may be NULL
    void *user;
} SeamAdaptOptions;

// Encodes the labelled records. At least one must be good, and the model must have an anomaly task.
SeamAdapt *seam_adapt_new(const SeamAdaptOptions *options, GError **error);
void seam_adapt_free(SeamAdapt *a);
int32_t seam_adapt_groups(const SeamAdapt *a);

// Measures every window against the memory that the model has.
bool seam_adapt_measure(SeamAdapt *a, const SeamModel *model, GError **error);
// Measures every window against a memory of the good welds of all groups but its own (and, with more than 16 groups, a few more). What memory the
// model has afterwards is undefined.
bool seam_adapt_leave_out(SeamAdapt *a, SeamModel *model, uint64_t seed, GError **error);
// score [records]: of the welds by one of the wanted subsets; NaN where there is none. By the last measured anomaly, or by the classifier.
void seam_adapt_scores(const SeamAdapt *a, uint32_t subset, bool anomaly, float *score);
// Puts the scores by the last measured anomaly into a calibration of the anomaly score (cross-conformal after leave_out: Vovk 2015).
bool seam_adapt_calibrate(const SeamAdapt *a, SeamCalibration *c, GError **error);
// Fits the memory on all good welds.
bool seam_adapt_fit(SeamAdapt *a, SeamModel *model, uint64_t seed, GError **error);

// A copy of the model whose tasks' adapters and heads were trained for some steps on the records of SEAM_PART_TRAIN; all below them stays.
SeamModel *seam_adapt_heads(const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const SeamPart *part, int64_t steps,
                            uint64_t seed, void (*progress)(void *user, const SeamTrainProgress *progress), void *user, GError **error);
