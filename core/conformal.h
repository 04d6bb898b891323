// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Thresholds with a promise. Split conformal prediction, a class apart (Vovk 2005; Angelopoulos 2023, sec. 4.1): from the scores of n
// held-back good welds, the ceil((n+1)(1-alpha))-th smallest is exceeded by a new good one with probability <= alpha; likewise from below for
// defective ones. pass: only "good" is plausible; reject: only "defective" is; refer: both or neither. Owns the sorted scores a set of modalities.
#pragma once

#include <json-glib/json-glib.h>

#include "core/config.h"
#include "core/result.h"
#include "core/run.h"

enum { SEAM_MAX_CALIBRATIONS = 64, SEAM_MAX_CALIBRATION_SCORES = 1024 };

typedef struct {
    uint32_t present; // modality bits (sparse modalities are left out)
    bool at_effort;   // the scores were made at the calibration's effort; else with all of the work
    int32_t n_good, n_defect;
    float good[SEAM_MAX_CALIBRATION_SCORES], defect[SEAM_MAX_CALIBRATION_SCORES]; // rising
} SeamCalibrationSet;

typedef struct {
    bool score_is_anomaly; // the verdict's score is the anomaly distance, not the classifier's log odds
    float top_fraction;    // a weld's score is the mean of this share of its worst windows (at least one); (0, 1], default 0.25
    int32_t n_sets;
    SeamCalibrationSet set[SEAM_MAX_CALIBRATIONS];
    float rul_margin;      // seconds by which the quantiles of a remaining life are moved apart (below 0: together); NAN: not calibrated
    SeamEffort effort;     // what may be left out at a loss of effort_loss at most (core/train/thrift.h); all 0: nothing. Elements run so.
    float effort_loss;     // share of the windows that are judged wrongly for it at most
    float effort_rul_margin; // the margin at that effort
} SeamCalibration;

// Half a megabyte: allocate, do not put on the stack.
SeamCalibration *seam_calibration_new(void);
void seam_calibration_free(SeamCalibration *c);
// What the effort that a run had is to the calibration (NULL: none).
SeamEffortKind seam_calibration_effort(const SeamCalibration *c, SeamEffort ran);
// The set made for exactly these modalities (sparse ones ignored) at this effort, or NULL. For another effort there is none: then that of the calibrated one
// serves, which does less work, too, or else that of all of the work.
const SeamCalibrationSet *seam_calibration_find(const SeamCalibration *c, const SeamConfig *config, uint32_t present, SeamEffortKind effort);
// Adds one weld's score to the set of `present`; at_effort: it was made at the calibration's effort.
bool seam_calibration_add(SeamCalibration *c, const SeamConfig *config, uint32_t present, bool at_effort, bool defect, float score, GError **error);

// reject_above = +infinity when there are too few good ones for the promise (1/(n+1) > false_reject); pass_below = -infinity alike.
void seam_conformal_thresholds(const SeamCalibrationSet *set, double false_reject, double miss, float *pass_below, float *reject_above);
// good is plausible: score <= reject_above; defective is plausible: score >= pass_below. NaN refers. `reason` is set to a constant sentence.
SeamDecision seam_conformal_decide(float score, float pass_below, float reject_above, const char **reason);
// The reason for a decision, which says so where thresholds were made at another effort than the weld's: then the rates are not promised. It is decided
// nevertheless, since whoever sets a deadline or leaves out tokens wants results at that price.
const char *seam_conformal_reason(SeamDecision decision, SeamEffortKind effort, const char *reason);

// The margin that makes an interval hold a new group's life with probability `level`: score[i] = max(low - life, life - high) of held-back lives
// (conformalised quantile regression, Romano 2019, eq. 6), group [n] (0 .. groups - 1): which of them come from one thing and are alike. Every
// group weighs the same, 1 / (groups + 1), and so does the new one, whose score may be anything (Lee, Barber and Willett 2023, "HCP"). NAN when there
// are too few groups for the level.
float seam_conformal_margin(int32_t n, const double *score, const int32_t *group, int32_t groups, double level);
// Fills rul_low and rul_high from the quantiles: NAN where no margin is calibrated (c may be NULL) for the result's effort, or something is missing that was
// there in calibration.
void seam_conformal_interval(const SeamCalibration *c, const SeamConfig *config, SeamWindowResult *result);

// model.json's (or an adapter's metadata's) `calibration` object.
bool seam_calibration_parse(SeamCalibration *c, const SeamConfig *config, JsonObject *object, const char *where, GError **error);
// The same from the object that holds it (model.json whole, or an adapter's metadata; NULL: none): an empty calibration when it has none, NULL with an error.
SeamCalibration *seam_calibration_read(const SeamConfig *config, JsonObject *meta, const char *where, GError **error);
// That of a bundle's folder.
SeamCalibration *seam_calibration_load(const SeamConfig *config, const char *path, GError **error);
JsonObject *seam_calibration_print(const SeamCalibration *c, const SeamConfig *config);
