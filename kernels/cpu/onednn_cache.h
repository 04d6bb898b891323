// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The primitives of oneDNN that convolutions run, kept for each thread. It knows nothing of the pool, nor of when oneDNN is worth it.
#pragma once

#include <dnnl.h>

#include "kernels/cpu/cpu.h"

// Primitives a thread: two front ends of four levels, forward and backward, and bands of pictures, make about 50.
enum { SEAM_ONEDNN_CACHE = 64 };

typedef enum { SEAM_ONEDNN_FORWARD, SEAM_ONEDNN_DATA, SEAM_ONEDNN_WEIGHTS } SeamOnednnKind;

// One part of a convolution: all integers, compared as bytes.
typedef struct {
    int32_t kind, h, w, in, out, out_h, out_w, kernel, stride, top, left, bottom, right, bias;
} SeamOnednnPart;

typedef struct {
    SeamOnednnPart key;
    uint64_t used; // 0: empty
    bool fit;      // oneDNN has a fast implementation; without it the rest is empty
    dnnl_primitive_t run, reorder;   // reorder: weights from our order (of their gradient: to it)
    dnnl_memory_desc_t weights_desc; // oneDNN's order
    dnnl_memory_t x, y, weights, plain, bias, scratch, reorder_scratch; // plain: weights in our order
    size_t scratch_bytes, weights_bytes;
} SeamOnednn;

// Once. False: oneDNN does not work here.
bool seam_onednn_start(void);

// The calling thread's primitive for a part, valid until SEAM_ONEDNN_CACHE others were asked for. NULL with an error in *status. To be
// called, like all of oneDNN, with one OpenMP thread: primitives are planned for as many threads as there are when they are made.
SeamOnednn *seam_onednn_find(const SeamOnednnPart *part, SeamStatus *status);

// Runs e's `run` or `reorder`, whose scratch memory is given too; `args` has room for one more than n.
dnnl_status_t seam_onednn_run(const SeamOnednn *e, dnnl_primitive_t primitive, dnnl_memory_t scratch, int n, dnnl_exec_arg_t *args);

SeamStatus seam_onednn_status(dnnl_status_t status);
