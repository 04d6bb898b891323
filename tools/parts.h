// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which records of a data folder are held, train, validate and calibrate, as --fold, --hold and the recipe say: the same for all commands that are given the same.
#pragma once

#include "core/train/recipe.h"
#include "core/train/split.h"

// What is wrong with --fold K/N or --hold COLUMN=VALUE (both may be NULL); NULL: nothing.
const char *seam_tool_parts_wrong(const char *fold, char *const *hold);
// Who is held, then how the rest is dealt out. part [n], zero.
bool seam_tool_deal_parts(const char *fold, char *const *hold, const SeamRecipe *recipe, const SeamDataset *data, SeamPart *part, GError **error);
