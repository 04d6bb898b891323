// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The first stage of training: the model learns to tell what was hidden from it (masked.h), on all records of the training part, labelled or not.
// It owns heads and optimisers of its own, which end with it.
#pragma once

#include "core/train/trainer.h"

// recipe->pretrain.steps steps on the model's embeddings and encoder; fusion and tasks keep their bits. Goes on from a checkpoint of its own in
// how->checkpoint. *done: steps of this run. False with an error, or without one when how->stop_after ended it.
bool seam_pretrain(SeamModel *model, const SeamRecipe *recipe, const SeamDataset *data, const SeamPart *part, SeamRun *run, const char *key,
                   const SeamTrainRun *how, int64_t *done, GError **error);
