// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The levels of x86-64: AVX2 with FMA and F16C; AVX-512 F, BW, DQ, VL; the same with VNNI or BF16 for products with packed weights, each where the processor
// has it. oneDNN is asked first at all of them.
#include <cpuid.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/onednn.h"

enum { REF, AVX2, AVX512, AVX512_DOT };

// Not every compiler's __builtin_cpu_supports knows the name.
static bool has_f16c(void) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

int seam_isa_best(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c())
        return REF;
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl");
    bool dot = __builtin_cpu_supports("avx512vnni") || __builtin_cpu_supports("avx512bf16");
    return wide && dot ? AVX512_DOT : wide ? AVX512 : AVX2;
}

const char *seam_isa_level(int level) {
    static const char *const name[] = {"ref", "avx2", "avx512", "avx512dot"};
    return name[level];
}

SeamIsa seam_isa_fill(int level, SeamKernels *k) {
    static const SeamFill avx2[] = SEAM_FILLS_OF(avx2), avx512[] = SEAM_FILLS_OF(avx512);
    bool wide = level >= AVX512, dot = level >= AVX512_DOT;
    SeamIsa isa = {.name = seam_isa_level(wide ? AVX512 : AVX2)};
    seam_fill_all(wide ? avx512 : avx2, sizeof avx2 / sizeof avx2[0], k);
    isa.types[SEAM_PACK_F32] = wide ? &seam_linear_f32_avx512 : &seam_linear_f32_avx2;
    isa.types[SEAM_PACK_BF16] = wide ? &seam_linear_bf16_avx512 : &seam_linear_bf16_avx2;
    isa.types[SEAM_PACK_I8] = wide ? &seam_linear_i8_avx512 : &seam_linear_i8_avx2;
    if (dot && __builtin_cpu_supports("avx512bf16"))
        isa.types[SEAM_PACK_BF16] = &seam_linear_bf16_avx512bf16;
    if (dot && __builtin_cpu_supports("avx512vnni"))
        isa.types[SEAM_PACK_I8] = &seam_linear_i8_avx512vnni;
    isa.onednn = seam_onednn_init(wide);
    return isa;
}
