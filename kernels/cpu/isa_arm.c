// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The levels of 64 bit ARM: NEON, which all of these processors have; dotprod (sdot) beside it for products with packed weights in int8. The system says what
// there is. oneDNN is not asked: what we know of its speed is of x86.
#include <sys/auxv.h>

#include "kernels/cpu/isa.h"

enum { REF, NEON, DOTPROD };
enum { HAS_DOTPROD = 1 << 20 }; // of AT_HWCAP: HWCAP_ASIMDDP of Linux, asm/hwcap.h

int seam_isa_best(void) {
    return getauxval(AT_HWCAP) & HAS_DOTPROD ? DOTPROD : NEON;
}

const char *seam_isa_level(int level) {
    static const char *const name[] = {"ref", "neon", "dotprod"};
    return name[level];
}

SeamIsa seam_isa_fill(int level, SeamKernels *k) {
    static const SeamFill neon[] = SEAM_FILLS_OF(neon);
    seam_fill_all(neon, sizeof neon / sizeof neon[0], k);
    return (SeamIsa){.name = seam_isa_level(NEON),
                     .types = {[SEAM_PACK_F32] = &seam_linear_f32_neon, [SEAM_PACK_BF16] = &seam_linear_bf16_neon,
                               [SEAM_PACK_I8] = level >= DOTPROD ? &seam_linear_i8_dotprod : &seam_linear_i8_neon}};
}
