// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What `seam train` takes from `seam eval`: judging one part of data that are read already.
#pragma once

#include "core/train/recipe.h"
#include "core/train/split.h"

// Judges the records of the part `which` with the model at `path` as `seam eval` does, with the recipe's promises, writes windows and verdicts to
// `results` (or NULL), and prints the table, or one JSON object.
bool seam_eval_part(const char *path, const SeamRecipe *recipe, const char *device, const SeamDataset *data, const SeamPart *part, SeamPart which,
                    const char *results, bool json, GError **error);
