// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The choice of implementations on this machine: ref first, then all that the best instruction set of the processor offers (AVX-512 F, BW, DQ, VL; else AVX2,
// FMA, F16C), which hands to oneDNN what that does faster; products with packed weights use VNNI and BF16 beside AVX-512 where the processor has them, each by
// itself (the level avx512dot). SEAM_CPU=ref|avx2|avx512|avx512dot lowers the choice, never raises it. It owns the table and the list of what was chosen; both
// are built once.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/onednn.h"

typedef enum { ISA_REF, ISA_AVX2, ISA_AVX512, ISA_AVX512_DOT } Isa;

static const char *const isa_name[] = {"ref", "avx2", "avx512", "avx512dot"};

typedef void (*SlotFunction)(void);
static const struct {
    const char *name;
    size_t offset;
} slots[] = {
#define SLOT(field) {#field, offsetof(SeamKernels, field)}
    SLOT(gemm), SLOT(pack_bytes), SLOT(pack), SLOT(pack_i8), SLOT(linear), SLOT(conv_packed), SLOT(grouped_gemm),
    SLOT(grouped_gemm_dw), SLOT(add_bias), SLOT(bias_grad), SLOT(grouped_add_bias), SLOT(grouped_bias_grad), SLOT(add),
    SLOT(gelu), SLOT(gelu_backward), SLOT(sigmoid), SLOT(layer_norm), SLOT(layer_norm_backward), SLOT(attention),
    SLOT(attention_backward), SLOT(scan), SLOT(scan_backward), SLOT(route), SLOT(route_backward), SLOT(route_sort), SLOT(gather),
    SLOT(gather_backward), SLOT(combine),
    SLOT(combine_backward), SLOT(pool), SLOT(pool_backward), SLOT(embed_bag), SLOT(embed_bag_backward), SLOT(conv), SLOT(conv_backward_data),
    SLOT(conv_backward_weights), SLOT(normalise_u8), SLOT(distances), SLOT(adamw), SLOT(sum_squares), SLOT(f16_to_f32), SLOT(f32_to_f16),
#undef SLOT
};
enum { N_SLOTS = sizeof slots / sizeof slots[0] };
_Static_assert(sizeof(SeamKernels) == offsetof(SeamKernels, gemm) + N_SLOTS * sizeof(SlotFunction), "an operation is missing in slots");

static SeamKernels table;
enum { N_TYPES = SEAM_PACK_I8 + 1 };
static SeamKernelChoice choices[N_SLOTS + N_TYPES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *type_name[N_TYPES];

#ifdef __x86_64__
// Not every compiler's __builtin_cpu_supports knows the name.
static bool has_f16c(void) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

static Isa machine_isa(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c())
        return ISA_REF;
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl");
    bool dot = __builtin_cpu_supports("avx512vnni") || __builtin_cpu_supports("avx512bf16");
    return wide && dot ? ISA_AVX512_DOT : wide ? ISA_AVX512 : ISA_AVX2;
}

typedef void (*Fill)(SeamKernels *k);
#define FILLS(isa)                                                                                                                          \
    {                                                                                                                                       \
        seam_fill_gemm_##isa, seam_fill_conv_##isa, seam_fill_attention_##isa, seam_fill_attention_backward_##isa, seam_fill_scan_##isa,    \
            seam_fill_scan_backward_##isa, seam_fill_norm_##isa,                                                                            \
            seam_fill_activation_##isa, seam_fill_route_##isa, seam_fill_gather_##isa, seam_fill_segment_##isa, seam_fill_embed_##isa,      \
            seam_fill_optimise_##isa, seam_fill_convert_##isa                                                                               \
    }

static void choose_types(Isa isa, const SeamLinearKind *chosen[N_TYPES]) {
    bool wide = isa >= ISA_AVX512, dot = isa >= ISA_AVX512_DOT;
    chosen[SEAM_PACK_F32] = wide ? &seam_linear_f32_avx512 : &seam_linear_f32_avx2;
    chosen[SEAM_PACK_BF16] = wide ? &seam_linear_bf16_avx512 : &seam_linear_bf16_avx2;
    chosen[SEAM_PACK_I8] = wide ? &seam_linear_i8_avx512 : &seam_linear_i8_avx2;
    if (dot && __builtin_cpu_supports("avx512bf16"))
        chosen[SEAM_PACK_BF16] = &seam_linear_bf16_avx512bf16;
    if (dot && __builtin_cpu_supports("avx512vnni"))
        chosen[SEAM_PACK_I8] = &seam_linear_i8_avx512vnni;
}

// Returns whether oneDNN is asked first.
static bool fill(Isa isa) {
    static const Fill avx2[] = FILLS(avx2), avx512[] = FILLS(avx512);
    const SeamLinearKind *types[N_TYPES];
    if (isa == ISA_REF)
        return false;
    for (size_t i = 0; i < sizeof avx2 / sizeof avx2[0]; i++)
        (isa >= ISA_AVX512 ? avx512 : avx2)[i](&table);
    choose_types(isa, types);
    seam_fill_linear(&table, types);
    seam_fill_conv_packed(&table);
    for (int i = 0; i < N_TYPES; i++)
        type_name[i] = types[i]->name;
    return seam_onednn_init(isa >= ISA_AVX512);
}
#else
static Isa machine_isa(void) {
    return ISA_REF;
}

static bool fill(Isa isa) {
    return false;
}
#endif

static Isa chosen_isa(void) {
    Isa best = machine_isa();
    const char *wish = getenv("SEAM_CPU");
    for (Isa isa = ISA_REF; wish && isa < best; isa++)
        if (strcmp(wish, isa_name[isa]) == 0)
            return isa;
    return best;
}

static void build(void) {
    static const char *const types[N_TYPES] = {"linear.f32", "linear.bf16", "linear.i8"};
    const SeamKernels *ref = seam_kernels_ref();
    Isa isa = chosen_isa();
    table = *ref;
    table.backend = "cpu";
    bool onednn = fill(isa);
    for (int i = 0; i < N_SLOTS; i++) {
        const char *mine = (const char *)&table + slots[i].offset, *plain = (const char *)ref + slots[i].offset;
        bool same = memcmp(mine, plain, sizeof(SlotFunction)) == 0;
        bool conv = slots[i].offset >= offsetof(SeamKernels, conv) && slots[i].offset <= offsetof(SeamKernels, conv_backward_weights);
        choices[i] = (SeamKernelChoice){slots[i].name, same ? isa_name[ISA_REF] : onednn && conv ? "onednn" : isa_name[seam_min(isa, ISA_AVX512)]};
    }
    for (int i = 0; i < N_TYPES; i++)
        choices[N_SLOTS + i] = (SeamKernelChoice){types[i], type_name[i] ? type_name[i] : isa_name[ISA_REF]};
}

const SeamKernels *seam_kernels_cpu(void) {
    pthread_once(&once, build);
    return &table;
}

const SeamKernelChoice *seam_kernels_cpu_choices(size_t *count) {
    pthread_once(&once, build);
    *count = N_SLOTS + N_TYPES;
    return choices;
}
