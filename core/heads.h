// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What decisions are made with: a model with the adapters of one's choice, the tasks that run, and the thresholds that belong to them. A
// SeamHeads does not change once it is used: for other adapters a new one is made, and put in the place of the old one between two windows.
#pragma once

#include "core/conformal.h"
#include "core/model.h"

typedef struct {
    SeamModel *model;             // one reference
    SeamCalibration *calibration; // of model.json, or of the last adapter that brought its own
    uint32_t tasks;               // bits by config.task
    bool thresholds_void;         // an adapter changed the score and brought no calibration: every weld is referred
} SeamHeads;

// `path`: the folder of the bundle that `model` was loaded from. files: adapters, NULL-terminated, or NULL; each says for which task it is.
// tasks: names with commas between, or NULL for all that are ready. An error names what is wrong in which file; `model` is not consumed.
SeamHeads *seam_heads_new(SeamModel *model, const char *path, const char *const *files, const char *tasks, GError **error);
void seam_heads_free(SeamHeads *heads);
