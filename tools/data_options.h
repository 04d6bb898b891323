// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What train, eval and adapt have in common on the command line: opening models and data folders with progress, lists of modalities, errors.
#pragma once

#include "core/conformal.h"
#include "core/model.h"
#include "core/train/dataset.h"
#include "tools/progress.h"

// Prints "seam COMMAND: message" and returns `status`.
int seam_tool_fail(const char *command, GError *error, int status);
// Prints "seam COMMAND: message", or `otherwise` when there is no error, and returns 2: wrong usage.
int seam_tool_usage(const char *command, GError *error, const char *otherwise);
// Reads a data folder through GStreamer with a progress bar on standard error. class_names: "a,b,c" or NULL. grouping: NULL, as the folder says.
// learn: to train on.
SeamDataset *seam_tool_read_data(const SeamConfig *config, const char *path, double video_rate, const char *class_names, const SeamGrouping *grouping,
                                 const char *exclude_group, bool learn, GError **error);
// "sound,sensors" to bits; an unknown name is an error that lists the known ones. NULL: all.
bool seam_tool_modalities(const SeamConfig *config, const char *names, uint32_t *bits, GError **error);
// A loaded model and its calibration; false, with both NULL, with an error.
bool seam_tool_open_model(const char *path, SeamModel **model, SeamCalibration **calibration, GError **error);
// Prints the object on standard output, with a newline, and lets go of it.
void seam_tool_print_json(JsonObject *object);
