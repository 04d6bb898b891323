// SPDX-License-Identifier: LGPL-2.1-or-later
//
// From trained parameters to a model on disk: anomaly memory, calibration, measures, bundle. Stateless.
#pragma once

#include "core/train/memory.h"
#include "core/train/recipe.h"

enum { SEAM_CALIBRATED_SUBSETS = SEAM_MAX_CALIBRATIONS / 2 }; // with all of the work, and at the calibrated effort
// The subsets of a record's modalities that are calibrated: every set of those that do not come now and then, each with the sparse ones that the
// record has, and the sparse ones alone. Fills subset [SEAM_CALIBRATED_SUBSETS]; returns how many.
int32_t seam_calibrated_subsets(const SeamConfig *config, uint32_t present, uint32_t *subset);

// Adds the scores of the records with use[i] to the calibration, for every set of modalities that does not come now and then (sparse ones are added where
// the record has them), and for the sparse ones alone: with all of the work, and where the calibration has an effort, at that as well. Labelled records only.
bool seam_calibrate(SeamCalibration *c, const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const bool *use, int32_t frames,
                    GError **error);

// What training calibrates with the calibration and validation parts, anew for a model that has changed since: thresholds, the margin of remaining lives, what
// may be left out. c: empty but for its kind of score and share of windows.
bool seam_recalibrate(SeamCalibration *c, const SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part,
                      const SeamKernels *kernels, GError **error);

// Writes the bundle: parameters in half precision unless they are narrower, the anomaly memory if there is one, meta (not consumed).
bool seam_bundle_write_model(const char *path, const SeamModel *model, JsonObject *meta, GError **error);

// All that follows a training: fits, calibrates, measures on the validation part, writes to `path`. command: for the provenance.
bool seam_train_finish(SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part, const SeamKernels *kernels,
                       const char *command, const char *path, SeamEvaluation *validation, GError **error);
