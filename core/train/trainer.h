// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Training: draws windows, runs the model forward and backward, and steps the optimiser. It owns the model until it hands it over. It decides nothing
// about files but its checkpoints.
#pragma once

#include "core/model.h"
#include "core/train/dataset.h"
#include "core/train/recipe.h"

typedef struct {
    int64_t step, steps;
    double loss, classify, localise, rul, generate, balance, exit; // running means
    double accuracy;                          // of windows drawn, running mean
    double windows_per_second, seconds_left;
    bool pretraining;                         // the stage before the training (pretrain.h): its steps and loss
    bool resumed;                             // this run went on from a checkpoint
} SeamTrainProgress;

typedef struct {
    const char *checkpoint;  // folder, or NULL for none
    const char *only;        // NULL, or: train only the parameters whose name begins like this ("tasks.")
    SeamModel *start;        // NULL, or a model (with gradients) to go on from; it is the result then
    void (*progress)(void *user, const SeamTrainProgress *progress); // may be NULL
    void *user;
    int64_t stop_after;      // of both stages: leave after so many steps of this run, checkpoint written (0: never); for tests
} SeamTrainRun;

// Measures mean and std of every modality that the recipe does not give them for, on the training records, into config.
void seam_train_measure(SeamConfig *config, uint32_t given, const SeamDataset *data, const SeamPart *part);
// Trains on the records of SEAM_PART_TRAIN, after the recipe's pretraining unless it goes on from a model. The model's parameters are the running means, rounded to half precision, as they will be on disk.
// NULL with an error, or without one when stop_after ended it.
SeamModel *seam_train(const SeamRecipe *recipe, const SeamConfig *config, const SeamDataset *data, const SeamPart *part, const SeamKernels *kernels,
                      const SeamTrainRun *how, GError **error);
