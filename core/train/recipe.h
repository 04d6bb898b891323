// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Recipes: how a model is made, in one JSON file (docs/training.md). A recipe owns its values; every one is checked when it is
// read, so that training may trust them. It does not know where the data are.
#pragma once

#include <json-glib/json-glib.h>

#include "core/config.h"

// Strengths of what is done to a training sample; 0 leaves it as it is.
typedef struct {
    double brightness, contrast, gamma; // pictures: shares of the range, each way
    double noise;                       // pictures: standard deviation of grey levels
    double shift, scale;                // pictures: share of the side; share of the size
    double colour;                      // coloured pictures: share by which colours move from grey, each way; half of it a channel's gain
    bool flip;                          // pictures: mirrored left to right half of the time
    bool flip_vertical;                 // pictures: mirrored top to bottom half of the time
    bool rotate;                        // pictures: turned by 0 to 3 quarters
    double erase;                       // pictures: probability that a rectangle is set to the picture's mean
    double gain;                        // sensors and sound: log of the factor, standard deviation
    double sensor_noise;                // sensors and sound: share of the channel's std
    double equaliser;                   // sensors and sound: dB, standard deviation of a smooth random gain over frequency
    double speed;                       // sensors and sound: share by which time runs faster or slower, each way
    double time_shift;                  // share of the window by which a modality's clock may be off, each way
    double channel_dropout;             // probability that a sensor channel is missing
    double modality_dropout;            // probability that a modality is missing from a window
    double alone;                       // probability that one modality alone is left
    double offset[SEAM_MAX_MODALITIES][SEAM_MAX_CHANNELS]; // sensors: a constant drawn anew a window, in the channel's unit
} SeamAugment;

typedef struct {
    int64_t steps;
    int32_t batch, frames, eval_frames; // draws a step; pictures of a stream a window, in training and in evaluation
    int32_t chunks;                     // windows of a draw, which follow each other in a recording; 1: each is alone
    double lr, warmup, weight_decay, clip, label_smoothing, ema;
    double gate_weight, gate_target;    // weight of how far a layer's mean attention gate lies above the target
    double router_z;                    // weight of the routers' z-loss
    double balance, balance_rate;       // weight of the load-balance loss; step of the routers' bias
    double classify, localise, rul, generate; // weights of the losses
    double box;                         // weight of the boxes' place against their score, where cells give boxes
    double exit, exit_leave;            // weight of the exit heads' loss; probability that a sequence leaves at one, by lot
    double positive;                    // weight of a cell that shows a defect against one that does not
    bool good_only;                     // only records labelled good are trained on
    bool quantise;                      // weights and activations are rounded to 8 bits as it trains, and written so
    double good_share;                  // of the windows drawn; the rest is shared evenly by the classes
    double group_power;                 // within a class a group is drawn in proportion to size^this: 1: every window alike; 0: every group alike
    double video_rate;                  // pictures of a video a second that are kept in memory; 0: all
    double class_weight[SEAM_MAX_CLASSES];
    double checkpoint_seconds;
    uint64_t seed;
} SeamTrainOptions;

// The stage before the training, in which the model tells what is hidden from it; no steps: there is none.
typedef struct {
    int64_t steps;
    int32_t batch;
    double mask;       // share of the tokens that are hidden
    double lr, warmup;
} SeamPretrainOptions;

typedef struct {
    char *path, *name;
    char *hash;              // of the file's text, 16 hex digits: a checkpoint fits one recipe only
    SeamConfig config;
    uint32_t given_mean;     // modalities whose mean and std the recipe gives; the others' are measured on the training data
    JsonObject *synth;       // options of `seam synth`, or NULL
    JsonObject *card;        // texts of the model's card (core/card.h), or NULL
    double validation, calibration; // shares of the groups
    int32_t calibration_folds;      // the training part calibrates itself in so many folds (core/train/finish.c); 0: it does not
    char *group, *group_pattern;    // what names groups (core/train/dataset.h: SeamGrouping), or NULL
    bool near_duplicates;
    SeamAugment augment;
    SeamPretrainOptions pretrain;
    SeamTrainOptions train;
    double effort_loss; // share of the windows that leaving out work may lose; 0: it is not measured what may be left out
    double false_reject, miss;
    double top_fraction;            // of a weld's windows, the worst, that its verdict is made of
} SeamRecipe;

SeamRecipe *seam_recipe_read(const char *path, GError **error);
// The same from text; `where` begins error messages.
SeamRecipe *seam_recipe_parse(const char *text, const char *where, GError **error);
// Whether "chunks" makes sense for a model: what is carried from window to window is learnt from windows that follow each other, and by nothing else.
bool seam_recipe_check_chunks(const SeamRecipe *recipe, const SeamConfig *config, GError **error);
void seam_recipe_free(SeamRecipe *recipe);
