// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The memory of a long stream: what windows before this one left, in a fixed number of slots. The layer owns the parameters "bank.*"; a SeamBank is the
// state of one stream and its holder's: set up before the first window, forgotten when the stream begins anew. Work and memory of a window depend
// on its own tokens and on the slots, never on how long the stream has run.
#pragma once

#include "core/config.h"
#include "core/layers/linear.h"
#include "core/layers/norm.h"
#include "core/run.h"

typedef struct {
    int32_t dim, heads, slots, write;
    SeamNorm norm;     // "bank.norm.*"
    SeamTensor *query; // "bank.query" [write, dim]
    SeamLinear keep;   // "bank.keep.*" [dim, dim]: from what a query gathered to what is kept
    SeamLinear ask;    // "bank.ask.*" [dim, dim]: the queries of tokens
    SeamLinear slot;   // "bank.slot.*" [2 dim, dim]: keys and values of slots
    SeamLinear gate;   // "bank.gate.*" [heads, dim]
    SeamLinear out;    // "bank.out.weight" [dim, dim], zero at first: a new bank changes nothing
} SeamBankLayer;

typedef struct {
    int32_t dim, slots, filled;
    float *x;        // [slots, dim]
    float *mass;     // [slots] how much it was attended to lately
    int64_t *number; // [slots] the how-manieth vector since the last reset
    int64_t written; // vectors since then
} SeamBank;

// Of one window; all in the arena of the forward pass.
typedef struct {
    int32_t n, filled;   // tokens; slots that were read
    int64_t first;       // number of the first vector that was written
    SeamNormSaved norm;
    float *pick, *picked; // [n, write] weights, [write, dim] what they gather
    float *slots;         // [filled, dim] as they were
    int64_t *number;      // [filled]
    float *q, *kv;        // [n, dim], [filled, 2 dim]
    float *weight;        // [heads, n, filled]
    float *gate;          // [n, heads]
    float *mixed, *gated; // [n, dim] before and after the gate
} SeamBankSaved;

bool seam_bank_init(SeamBank *bank, const SeamConfig *config); // false: no memory
// The same in memory of the arena, which must not be cleared.
SeamStatus seam_bank_init_in(SeamBank *bank, const SeamConfig *config, SeamArena *arena);
void seam_bank_copy(const SeamBank *from, SeamBank *to);       // of two for the same configuration
void seam_bank_reset(SeamBank *bank);                          // forgets everything
void seam_bank_clear(SeamBank *bank);                          // gives the memory back

void seam_bank_declare(SeamBankLayer *layer, SeamParams *params, const SeamConfig *config);
// One window's tokens x [n, dim], in place: they read the bank, and then what they were before that is written into it. size [n] or NULL: see
// SeamTokens. A window without tokens leaves the bank as it is. saved: NULL in inference.
SeamStatus seam_bank_forward(const SeamBankLayer *layer, SeamRun *run, SeamBank *bank, int32_t n, const float *size, float *x,
                             SeamBankSaved *saved);
// dx [n, dim] in place: of the output in, of the input out. Windows are taken last first. dwritten [.., dim]: gradients of the vectors from number
// `base` on: those of this window are read, those of the slots that it read are added to; vectors before `base` get none.
SeamStatus seam_bank_backward(const SeamBankLayer *layer, SeamRun *run, const SeamBankSaved *saved, int64_t base, float *dwritten, float *dx);
// Bytes of arena at most for a window of n tokens: of scratch, and in *kept what stays after a forward pass with `train`.
size_t seam_bank_bytes(const SeamBankLayer *layer, int32_t n, bool train, size_t *kept);
