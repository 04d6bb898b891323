// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task "generate" of a "text": a small causal decoder over bytes that writes a weld's finding. It owns the parameters "tasks.NAME.*" of such a task.
// Whether what it wrote is true is core/finding.h's business.
#pragma once

#include "core/finding.h"
#include "core/layers/classify.h"
#include "core/layers/fusion.h"

enum { SEAM_TEXT_DEPTH = 4, SEAM_TEXT_FACTS = 7, SEAM_TEXT_BYTES = 256 };

typedef struct {
    int32_t width, depth, length, modalities;
    int32_t first[SEAM_TEXT_FACTS + 1]; // row of each fact's values in `fact`
    SeamClassify evidence; // its contributions are what the fused tokens of each modality say, its logits their sum
    SeamTensor *fact;      // "tasks.NAME.fact" [rows, width]
    SeamTensor *slot;      // "tasks.NAME.slot" [1 + modalities, width]
    SeamTensor *byte;      // "tasks.NAME.byte" [256, width]
    SeamTensor *position;  // "tasks.NAME.position" [length + 1, width]
    SeamFusionLayer layer[SEAM_TEXT_DEPTH]; // "tasks.NAME.block.L.*"
    SeamNorm norm;         // "tasks.NAME.last.*"
    SeamLinear head;       // "tasks.NAME.head.*" [256, width]
} SeamText;

void seam_text_declare(SeamText *t, SeamParams *params, const SeamConfig *config, int32_t task);

// What the tokens of one window (or several) say: said [1 + modalities, width] a window, the sum first; *present its modalities. In the arena.
SeamStatus seam_text_listen(const SeamText *t, SeamRun *run, const SeamTokens *tokens, float **said, const uint32_t **present);
// The mean cross-entropy of the bytes of one sentence a window (with its end; "": none), given facts and tokens. dx [tokens->n, dim] = scale * gradient
// when it is not NULL, and the parameters' gradients are added to. *loss =.
SeamStatus seam_text_loss(const SeamText *t, SeamRun *run, const SeamTokens *tokens, const SeamFacts *facts, const char (*sentence)[SEAM_MAX_FINDING],
                          double scale, double *loss, float *dx);
// Writes the likeliest byte after byte, to the end of the sentence or to `length`. said [1 + modalities, width] as above, or means of it.
SeamStatus seam_text_write(const SeamText *t, SeamRun *run, const float *said, uint32_t present, const SeamFacts *facts, char text[SEAM_MAX_FINDING]);
size_t seam_text_listen_bytes(const SeamText *t, int32_t n);
size_t seam_text_write_bytes(const SeamText *t);
