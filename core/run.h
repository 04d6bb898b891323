// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What every layer needs besides its parameters and inputs: the kernels of the chosen device and an arena for outputs, activations and
// scratch. One SeamRun belongs to one thread. A layer's forward pass leaves in the arena exactly its outputs and, when training, what its
// backward pass reads (a ...Saved struct); it releases its scratch.
#pragma once

#include <glib.h>

#include "core/arena.h"
#include "kernels/kernels.h"

// What of its work a run may leave out, for time's sake; all 0: nothing.
typedef struct {
    float merge;       // share of the tokens of each sequence that compression takes away, 0 to 0.9
    float expert_mass; // of a token's experts the fewest whose gates sum to this, 0 to 1; 0: all top_k
    float exit_margin; // a sequence leaves at the first exit head that is surer than this, 0 to 1; 0: none leaves early
} SeamEffort;

// Whether two efforts are the same.
bool seam_effort_same(SeamEffort a, SeamEffort b);
// That of something of which one part was made at a, another at b: where they differ, one that is the same as none (all NAN).
SeamEffort seam_effort_join(SeamEffort a, SeamEffort b);

// What training adds to the loss inside of layers, and what came of it; weights of 0: nothing.
typedef struct {
    float gate_weight, gate_target; // of attention: how far the mean gate of a layer lies above the target
    float router_z;                 // of routers: weight of the mean squared log-sum-exp of a token's logits
    double gate_loss, router_z_loss; // out, added up over the layers by the backward pass, before weighting
} SeamPenalty;

typedef struct {
    const SeamKernels *kernels;
    SeamArena *arena;
    SeamEffort effort; // inference only: training does all of its work
    SeamPenalty penalty; // training only
} SeamRun;

// Leave the function with the status when it is not SEAM_OK.
#define SEAM_TRY(expression)                                                                                  \
    do {                                                                                                      \
        SeamStatus seam_try_status_ = (expression);                                                           \
        if (seam_try_status_ != SEAM_OK)                                                                      \
            return seam_try_status_;                                                                          \
    } while (0)

// The kernels of a device: "auto", "cpu", "ref". The one place where a backend is chosen. NULL with an error for others.
const SeamKernels *seam_device_kernels(const char *device, GError **error);
