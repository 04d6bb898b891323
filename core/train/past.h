// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a recording that is judged window by window carries from one to the next, as the elements of a pipeline do: the scans' state of each modality
// (a seamencoder's) and the memory bank (seamfusion's), one for each set of modalities that is judged. It owns that memory. A model that
// carries nothing (seam_config_carries) has none.
#pragma once

#include "core/carry.h"
#include "core/layers/bank.h"

typedef struct {
    const SeamConfig *config; // the caller's
    SeamCarry carry[SEAM_MAX_MODALITIES];
    int32_t banks;
    SeamBank *bank; // [banks]
} SeamPast;

// False with an error when memory is short.
bool seam_past_init(SeamPast *past, const SeamConfig *config, GError **error);
void seam_past_clear(SeamPast *past);
// Room for so many sets of modalities, empty banks where there were none.
bool seam_past_need(SeamPast *past, int32_t banks, GError **error);
// A recording begins.
void seam_past_reset(SeamPast *past);
// Of two for the same configuration and as many banks.
void seam_past_copy(const SeamPast *from, SeamPast *to);
