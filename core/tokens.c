// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The names of the stages, as they stand in the caps of token streams, and where pictures lie among tokens.
#include "core/tokens.h"

const char *seam_stage_name(SeamStage stage) {
    static const char *const names[] = {
        [SEAM_STAGE_EMBEDDED] = "embedded",
        [SEAM_STAGE_ENCODED] = "encoded",
        [SEAM_STAGE_FUSED] = "fused",
    };
    return names[stage];
}

int32_t seam_tokens_patches(const SeamTokens *tokens, int32_t first, int32_t end) {
    int32_t n = 0;
    while (first + n < end && tokens->place[first + n].domain == SEAM_DOMAIN_PATCH &&
           tokens->place[first + n].modality == tokens->place[first].modality)
        n++;
    return n;
}
