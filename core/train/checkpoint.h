// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Checkpoints: all that a training needs to go on as if it had not been broken. One file a stage, written atomically, in a folder beside the model
// to be. Data, recipe and seed are not in it; their hash is.
#pragma once

#include "core/train/optimiser.h"

// `key`: names the recipe and the data; a checkpoint of another key is not loaded.
bool seam_checkpoint_save(const char *folder, const char *key, const SeamOptimiser *o, GError **error);
// False without error when there is none, or one of another key; false with an error when there is one that is broken.
bool seam_checkpoint_load(const char *folder, const char *key, SeamOptimiser *o, GError **error);
// The same for a stage before the training (core/train/pretrain.c), whose n <= 2 optimisers are at the same step.
bool seam_checkpoint_save_stage(const char *folder, const char *stage, const char *key, const SeamOptimiser *const *o, int32_t n, GError **error);
bool seam_checkpoint_load_stage(const char *folder, const char *stage, const char *key, SeamOptimiser *const *o, int32_t n, GError **error);
// Of all stages.
void seam_checkpoint_remove(const char *folder);
