// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One layer of experts alone, router included, as the encoder runs it: so many random tokens, again and again. Parameters are drawn: speed does not know.
// Prints a call's microseconds, the median over the stretch.
//
//   bench_experts --dim 1280 --width 1280 --experts 16 --top-k 4 --tokens 64 --type i8 --seconds 0.5
#include <stdio.h>
#include <stdlib.h>

#include "core/layers/moe.h"
#include "core/pack.h"
#include "core/random.h"

enum { MOST_CALLS = 1 << 20 };

static struct {
    int dim, width, experts, top_k, tokens;
    char *type;
    double seconds;
} option = {.dim = 192, .width = 192, .experts = 16, .top_k = 4, .tokens = 64, .seconds = 0.5};

typedef struct {
    SeamParams *params;
    SeamMoe moe;
    SeamArena arena;
    SeamRun run;
    float *x, *y;
} Layer;

static bool fail(const char *what) {
    fprintf(stderr, "bench_experts: %s\n", what);
    return false;
}

// The weights as `seam quantize` would leave them, packed.
static bool pack_layer(Layer *l, GError **error) {
    static const char *const names[] = {[SEAM_PACK_F32] = "f32", [SEAM_PACK_BF16] = "bf16", [SEAM_PACK_I8] = "i8"};
    size_t type = 0;
    while (type < G_N_ELEMENTS(names) && g_strcmp0(names[type], option.type ? option.type : "f32") != 0)
        type++;
    if (type == G_N_ELEMENTS(names))
        return fail("--type must be f32, bf16 or i8");
    for (guint i = 0; i < l->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(l->params->tensors, i);
        t->type = seam_tensor_may_narrow(t) ? (SeamPackType)type : SEAM_PACK_F32;
    }
    return seam_params_pack(l->params, l->run.kernels, error);
}

static bool open_layer(Layer *l) {
    g_autoptr(GError) error = NULL;
    SeamConfig config = {.dim = option.dim, .layers = 1, .heads = 1, .experts = option.experts, .groups = 1, .groups_kept = 1, .top_k = option.top_k,
                         .expert_width = option.width, .router_rank = 8};
    size_t size = (size_t)option.tokens * (size_t)option.dim, kept;
    l->params = seam_params_new();
    seam_moe_declare(&l->moe, l->params, &config, 0, NULL);
    if (!seam_params_allocate(l->params, false, &error))
        return fail(error->message);
    seam_params_init(l->params, 1);
    l->run = (SeamRun){.kernels = seam_kernels_cpu(), .arena = &l->arena};
    if (!pack_layer(l, &error))
        return error ? fail(error->message) : false;
    l->x = g_new(float, size);
    l->y = g_new0(float, size);
    SeamRandom random = seam_random(2, 1);
    for (size_t i = 0; i < size; i++)
        l->x[i] = (float)seam_random_normal(&random);
    return seam_arena_init(&l->arena, seam_moe_bytes(&l->moe, option.tokens, false, &kept)) || fail("no memory");
}

static void close_layer(Layer *l) {
    seam_arena_clear(&l->arena);
    seam_params_free(l->params);
    g_free(l->x);
    g_free(l->y);
}

static int compare(const void *a, const void *b) {
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
    return (x > y) - (x < y);
}

// *us: the median call of a stretch of so many seconds.
static bool time_calls(Layer *l, double seconds, double *us) {
    g_autofree gint64 *took = g_new(gint64, MOST_CALLS);
    gint64 start = g_get_monotonic_time(), now = start, before;
    int n = 0;
    do {
        l->arena.used = 0;
        before = now;
        SeamStatus status = SEAM_OK;
        for (int i = 0; i < 10 && status == SEAM_OK; i++) // the clock counts microseconds
            status = seam_moe_forward(&l->moe, &l->run, option.tokens, l->x, l->y, NULL, NULL);
        if (status != SEAM_OK)
            return fail(seam_status_text(status));
        now = g_get_monotonic_time();
        took[n++] = now - before;
    } while (n < MOST_CALLS && (double)(now - start) < seconds * 1e6);
    qsort(took, (size_t)n, sizeof *took, compare);
    *us = (double)took[n / 2] / 10;
    return true;
}

int main(int argc, char **argv) {
    const GOptionEntry entries[] = {
        {"dim", 0, 0, G_OPTION_ARG_INT, &option.dim, "Width of a token", "N"},
        {"width", 0, 0, G_OPTION_ARG_INT, &option.width, "Hidden width of an expert", "N"},
        {"experts", 0, 0, G_OPTION_ARG_INT, &option.experts, "How many there are", "N"},
        {"top-k", 0, 0, G_OPTION_ARG_INT, &option.top_k, "How many a token uses", "N"},
        {"tokens", 0, 0, G_OPTION_ARG_INT, &option.tokens, "Tokens a call", "N"},
        {"type", 0, 0, G_OPTION_ARG_STRING, &option.type, "Number type of the weights: f32 (default), bf16 or i8", "T"},
        {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &option.seconds, "How long", "S"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- measure a layer of experts");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || option.dim < 1 || option.width < 1 || option.experts < 1 || option.experts > SEAM_MAX_EXPERTS ||
        option.top_k < 1 || option.top_k > option.experts || option.tokens < 1) {
        fprintf(stderr, "bench_experts: %s\n", error ? error->message : "sizes must be at least 1, --top-k at most --experts, and these at most 256");
        return 2;
    }
    Layer layer = {0};
    double us = 0;
    bool good = open_layer(&layer) && time_calls(&layer, option.seconds / 10, &us) && time_calls(&layer, option.seconds, &us);
    if (good)
        printf("{\"us\": %.3f}\n", us);
    close_layer(&layer);
    return good ? 0 : 1;
}
