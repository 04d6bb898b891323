// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A small model that an ablation program trains itself: its parameters, its memory and its optimiser, and the steps that every training has. What a
// sample is and how it goes through the model is the program's business. A failure ends the program with a message.
#pragma once

#include "core/model.h"
#include "core/train/optimiser.h"

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamOptimiser optimiser;
} Toy;

// What all of these models have alike: one sensor modality, `classes` classes, one task "verdict". The caller changes what it likes.
SeamConfig toy_config(int32_t dim, int32_t layers, int32_t classes);
void toy_open(Toy *t, const SeamConfig *config, uint64_t seed, size_t arena_bytes);
void toy_close(Toy *t);
// `seqs` sequences of n tokens each, values unset, evenly spread over the window; in the arena.
SeamTokens toy_tokens(Toy *t, int32_t seqs, int32_t n);
// Loss of one window's logits against its label, and its gradient times `scale`.
double toy_loss(const Toy *t, const float *logits, int32_t label, double scale, float *dlogits);
// Takes a step with the gradients gathered, of `steps` in all (cosine schedule from `rate`, a tenth of them warm-up), and clears them.
void toy_step(Toy *t, int step, int steps, double rate);
// Ends the program unless the status is SEAM_OK.
void toy_ok(SeamStatus status);
