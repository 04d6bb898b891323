// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whole welds through the model, as the pipeline does it: windows of the fixed grid, decide, weld tracker, verdict. And the measures over many welds.
// An evaluator owns its scratch memory and may be used for one record after another.
#pragma once

#include "core/conformal.h"
#include "core/decide.h"
#include "core/train/batch.h"
#include "core/train/dataset.h"
#include "core/train/metrics.h"
#include "core/train/metrics_forecast.h"
#include "core/train/metrics_rul.h"
#include "core/train/metrics_interval.h"
#include "core/train/metrics_pixels.h"
#include "core/train/metrics_signal.h"
#include "core/weld.h"

enum { SEAM_MAX_SUBSETS = 64 };

// One window of one subset of modalities; tokens are valid during the call.
typedef void (*SeamWindowFunc)(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *result);

typedef struct {
    const SeamModel *model;
    const SeamKernels *kernels;
    const SeamCalibration *calibration; // its thresholds, its kind of score
    SeamWeldOptions weld;
    int32_t frames;         // at most so many pictures of a stream a window, evenly chosen (0: all, as the pipeline)
    SeamEffort effort;      // what the encoder may leave out
    uint32_t tasks;         // bits by config.task; UINT32_MAX: all that are ready
    SeamWindowFunc window;  // may be NULL
    void (*change)(void *user, SeamBatch *batch); // changes a window's inputs before they are judged; may be NULL
    void *user;
} SeamEvaluateOptions;

// The windows of a record that are judged: those of the fixed grid from number `first` on, before number `end`.
void seam_evaluate_span(const SeamConfig *config, const SeamRecord *record, int64_t *first, int64_t *end);

typedef struct SeamEvaluator SeamEvaluator;
SeamEvaluator *seam_evaluator_new(const SeamEvaluateOptions *options, GError **error);
void seam_evaluator_free(SeamEvaluator *e);

// One window, as if a stream began with it: the results of those subsets of modalities of which it has anything go to options.window.
bool seam_evaluate_window(SeamEvaluator *e, const SeamRecord *record, double start, const uint32_t *subset, int32_t n, GError **error);

// The weld tracker that judges one record: its levels are given already; without an arc the file bounds the weld.
SeamWeldTracker *seam_evaluate_tracker(const SeamEvaluateOptions *options, const SeamRecord *record);
// The verdict after the last window, of the arc with the highest score; frees the tracker. verdict->windows == 0: nothing was judged.
void seam_evaluate_close(SeamWeldTracker *t, double now, SeamVerdict *verdict);

// One verdict for each subset of modalities (bits; sequences are encoded once and fused a subset). Of several arcs in a recording the one with the
// highest score counts. A scan or a memory bank goes on from window to window, from the recording's beginning, for each subset by itself. verdict[i].windows == 0: nothing of that subset was in the recording.
bool seam_evaluate_record(SeamEvaluator *e, const SeamRecord *record, const uint32_t *subset, int32_t n, SeamVerdict *verdict, GError **error);

// Puts a verdict in words, where the model has a task for that.
bool seam_evaluate_finding(SeamEvaluator *e, SeamVerdict *verdict, GError **error);

// What a verdict says of the record's remaining life, and the truth, both cut at the task's limit; false when either is not known.
bool seam_evaluate_life(const SeamConfig *config, const SeamRecord *record, const SeamVerdict *verdict, SeamLife *life);

typedef struct {
    int32_t n, good, defect, without_verdict; // recordings with a label (or a known life) and a verdict; without: labelled but nothing to judge by
    int32_t decisions[3];                     // by SeamDecision, of all n
    int32_t decisions_good[3];
    bool binary;                              // labels are not the model's classes: accuracy and confusion are good against defect
    int32_t classes;
    int32_t confusion[SEAM_MAX_CLASSES * SEAM_MAX_CLASSES];
    SeamClassMetrics by_class;
    double auroc, ece, map50, false_reject_rate;
    SeamLifeMetrics lives;
    int32_t findings, findings_plain;         // verdicts in words; of them those where the plain sentence stands
    SeamForecastSums forecast;                // of all channels of all windows that were followed by one
    SeamSignalSums signal;                    // of stretches that were hidden (evaluate_signal.h)
    double average_precision;
    int32_t windows, windows_right;           // with a class that is known and one that was said
    SeamInterval interval[SEAM_FIGURES];      // by groups; NaN when no draws were asked for
    int32_t good_with_threshold, defect_with_threshold; // good ones that could have been rejected, defective ones that could have been passed
    SeamPromise false_reject, miss;           // what calibration promised and what came
    SeamEffortKind effort;                    // at which the windows were judged
    SeamPixelFigures pixels;                  // of maps against masks; masked == 0: there were none
} SeamEvaluation;

typedef struct {
    const SeamPart *part;  // NULL: all records, else those of `which`
    SeamPart which;
    uint32_t only;         // modality bits
    double recall;         // demanded, for the false-reject rate
    int32_t draws;         // of the bootstrap that gives the intervals; 0: none
    void (*verdict)(void *user, const SeamRecord *record, const SeamVerdict *verdict); // may be NULL
    void (*progress)(void *user, int32_t done, int32_t all);                           // may be NULL
    void *user;
} SeamEvaluateWhat;

// Whether record number i is one of them.
bool seam_evaluate_wants(const SeamEvaluateWhat *what, const SeamDataset *data, int32_t i);
bool seam_evaluate(const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, SeamEvaluation *out, GError **error);
// With the keys accuracy, macro_f1, auroc, average_precision, map50, ece, false_reject_rate, interval, promise, n and more, pixel_auroc and aupro
// where there are masks; what is NaN is left out.
JsonObject *seam_evaluation_print(const SeamEvaluation *e, const SeamConfig *config);
