// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The parts of `seam eval` that doubt the figures: explanations tested by deletion, shortcuts hunted by probes. Runs them and prints them; the tests themselves
// are core/train/deletion.h and core/train/probe.h.
#pragma once

#include "core/train/deletion.h"
#include "core/train/probe.h"

typedef struct {
    bool deletion, probe; // asked for
    SeamDeletion found;
    GPtrArray *probes; // of SeamProbe
} SeamTrust;

// options.user must be what->user.
bool seam_trust_run(SeamTrust *t, const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, const SeamEvaluation *e,
                    GError **error);
void seam_trust_clear(SeamTrust *t);
void seam_trust_table(const SeamTrust *t);
void seam_trust_json(const SeamTrust *t, JsonObject *o); // adds its keys
