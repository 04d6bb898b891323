// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a task of kind "generate" adds to a window's result. Part of decide.c, which calls it.
#pragma once

#include "core/layers/generate.h"
#include "core/result.h"

// Puts the verdict in words: what the decoder writes when that is true, else the plain sentence.
SeamStatus seam_decide_finding_of(const SeamText *task, SeamRun *run, const SeamConfig *config, SeamVerdict *verdict);

// tokens: one window. r: what other tasks have said of it so far.
SeamStatus seam_decide_generate(const SeamGenerator *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r);
