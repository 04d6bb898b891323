// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The choice of implementations on this machine: ref first, then all that the best level of the processor offers (isa.h), which hands to oneDNN what that does
// faster. SEAM_CPU in the environment, one of the levels' names, lowers the choice, never raises it. It owns the table and the list of what was chosen; both
// are built once.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/isa.h"

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
static SeamKernelChoice choices[N_SLOTS + SEAM_ISA_TYPES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int chosen_level(void) {
    int best = seam_isa_best();
    const char *wish = getenv("SEAM_CPU");
    for (int level = 0; wish && level < best; level++)
        if (strcmp(wish, seam_isa_level(level)) == 0)
            return level;
    return best;
}

static void build(void) {
    static const char *const types[SEAM_ISA_TYPES] = {"linear.f32", "linear.bf16", "linear.i8"};
    const SeamKernels *ref = seam_kernels_ref();
    const char *none = seam_isa_level(0);
    int level = chosen_level();
    SeamIsa isa = {.name = none};
    table = *ref;
    table.backend = "cpu";
    if (level > 0) {
        isa = seam_isa_fill(level, &table);
        seam_fill_linear(&table, isa.types);
        seam_fill_conv_packed(&table);
    }
    for (int i = 0; i < N_SLOTS; i++) {
        const char *mine = (const char *)&table + slots[i].offset, *plain = (const char *)ref + slots[i].offset;
        bool same = memcmp(mine, plain, sizeof(SlotFunction)) == 0;
        bool conv = slots[i].offset >= offsetof(SeamKernels, conv) && slots[i].offset <= offsetof(SeamKernels, conv_backward_weights);
        choices[i] = (SeamKernelChoice){slots[i].name, same ? none : isa.onednn && conv ? "onednn" : isa.name};
    }
    for (int i = 0; i < SEAM_ISA_TYPES; i++)
        choices[N_SLOTS + i] = (SeamKernelChoice){types[i], isa.types[i] ? isa.types[i]->name : none};
}

const SeamKernels *seam_kernels_cpu(void) {
    pthread_once(&once, build);
    return &table;
}

const SeamKernelChoice *seam_kernels_cpu_choices(size_t *count) {
    pthread_once(&once, build);
    *count = N_SLOTS + SEAM_ISA_TYPES;
    return choices;
}
