// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gaps by lot: stretches of a sensor are taken out of a window of a batch before the encoder sees it, as a real gap would, and what was there is kept: the
// truth of tasks "generate" of a "signal". Stateless.
#pragma once

#include "core/layers/generate_signal.h"
#include "core/train/batch.h"

// Hides `share` of the stretches of a sensor's channels in the window that was added last; one stays at least. Gaps are runs, of one channel or of all.
void seam_hide_stretches(SeamBatch *batch, int32_t modality, double share, SeamRandom *random);
// For training: for each task of a signal a share between 0 and twice its "mask", so that whole windows are learnt too. Draws nothing where there is no
// such task.
void seam_hide_by_lot(SeamBatch *batch, SeamRandom *random);
