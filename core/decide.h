// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The decoder without GStreamer: fused tokens of one window in, a SeamWindowResult out. It runs the tasks that are ready, in the order of the
// configuration. seamdecoder and `seam eval` both call this, so that what is evaluated is what runs.
#pragma once

#include "core/model.h"
#include "core/result.h"

// tokens: one fused sequence per window (seqs >= 1); `window`: which one. `tasks`: bits by config.task index. `expected`: modalities that ought to be there.
// expert_use may be NULL. The arena needs seam_decide_bytes().
SeamStatus seam_decide(const SeamModel *model, SeamRun *run, const SeamTokens *tokens, int32_t window, uint32_t tasks, uint32_t expected,
                       const float *expert_use, SeamWindowResult *result);
// Puts a weld's verdict in words where one of `tasks` does that and any window of the weld was heard; once a weld. The arena needs
// seam_decide_finding_bytes(), which is 0 where no task writes.
SeamStatus seam_decide_finding(const SeamModel *model, SeamRun *run, uint32_t tasks, SeamVerdict *verdict);
size_t seam_decide_finding_bytes(const SeamModel *model);
size_t seam_decide_bytes(const SeamModel *model, int32_t tokens);
