// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A training step of a task of kind "generate": forward, loss, backward. Part of the training loop, which owns model, batch and optimiser.
#pragma once

#include "core/layers/generate.h"
#include "core/random.h"
#include "core/train/pass.h"

// *loss is added to; dx [pass->fused.n, dim] = weight * gradient; the parameters' gradients are added to.
// What is drawn comes from `random`.
SeamStatus seam_generate_step(const SeamGenerator *task, SeamRun *run, const SeamBatch *batch, const SeamPass *pass, SeamRandom random, double weight,
                              double *loss, float *dx);
