// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The names of the stages, as they stand in the caps of token streams.
#include "core/tokens.h"

const char *seam_stage_name(SeamStage stage) {
    static const char *const names[] = {
        [SEAM_STAGE_EMBEDDED] = "embedded",
        [SEAM_STAGE_ENCODED] = "encoded",
        [SEAM_STAGE_FUSED] = "fused",
    };
    return names[stage];
}
