// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A weld's verdict in words: a small grammar of English sentences over a few facts. It makes the sentences that the text decoder learns from, the plain
// one that stands where that fails, and it judges what the decoder wrote: a sentence that the grammar does not make of just these facts is not said.
#pragma once

#include "core/random.h"
#include "core/result.h"

// What may be said. -1: not known.
typedef struct {
    SeamDecision decision;
    int32_t class_index;
    int32_t sure;     // per cent of confidence, rounded down, 0 to 99: "at least"
    int32_t place;    // per cent along the weld, 0 to 100
    int32_t modality; // that spoke most for it
} SeamFacts;

SeamFacts seam_facts_of(const SeamVerdict *verdict, const SeamConfig *config);

// Each writes a sentence with its terminating 0. The plain one is always the same; the other ones are drawn.
void seam_finding_plain(const SeamFacts *facts, const SeamConfig *config, char text[SEAM_MAX_FINDING]);
void seam_finding_draw(const SeamFacts *facts, const SeamConfig *config, SeamRandom *random, char text[SEAM_MAX_FINDING]);
// How many different ways the grammar knows to put these facts.
int32_t seam_finding_ways(const SeamFacts *facts, const SeamConfig *config);
// Whether `text` is one of them: the right verdict, class, numbers and modality, and not a word besides.
bool seam_finding_true(const char *text, const SeamFacts *facts, const SeamConfig *config);
