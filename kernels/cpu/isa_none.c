// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The level of processors for which nothing is written: ref.
#include "kernels/cpu/isa.h"

int seam_isa_best(void) {
    return 0;
}

const char *seam_isa_level(int level) {
    return "ref";
}

SeamIsa seam_isa_fill(int level, SeamKernels *k) {
    return (SeamIsa){.name = seam_isa_level(level)};
}
