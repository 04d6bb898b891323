// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Checkpoints: all that a training needs to go on as if it had not been broken. One file, written atomically, in a folder beside the model to be. Data, recipe
// and seed are not in it; their hash is.
#pragma once

#include "core/train/optimiser.h"

// `key`: names the recipe and the data; a checkpoint of another key is not loaded.
bool seam_checkpoint_save(const char *folder, const char *key, const SeamOptimiser *o, GError **error);
// False without error when there is none, or one of another key; false with an error when there is one that is broken.
bool seam_checkpoint_load(const char *folder, const char *key, SeamOptimiser *o, GError **error);
void seam_checkpoint_remove(const char *folder);
