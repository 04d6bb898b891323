// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What table.c asks about the processor. A family of processors has a file of its own, isa_x86.c, isa_arm.c or isa_none.c, of which the build takes one.
// Levels are sets of instructions, from the plainest on, each with all of the one before; level 0 is ref, and needs none.
#pragma once

#include "kernels/cpu/linear.h"

enum { SEAM_ISA_TYPES = SEAM_PACK_I8 + 1 };

// What a level brings.
typedef struct {
    const char *name;                            // of its operations; types have their own
    const SeamLinearKind *types[SEAM_ISA_TYPES]; // by SeamPackType
    bool onednn;                                 // is asked first
} SeamIsa;

// The best level of this processor.
int seam_isa_best(void);
// As SEAM_CPU says it.
const char *seam_isa_level(int level);
// Writes the operations of `level`, 1 or more, over those of *k; those of packed weights are linear.c's.
SeamIsa seam_isa_fill(int level, SeamKernels *k);
