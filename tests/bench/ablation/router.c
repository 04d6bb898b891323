// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The hierarchical low-rank router: what it saves in parameters, counted from the tensors that layers declare, and how evenly each way of balancing loads
// the experts while one layer learns. The task is uneven by nature: tokens come from twelve clusters, the first of which is by far the largest, and each
// cluster wants a map of its own.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/layers/moe.h"
#include "core/random.h"
#include "core/train/optimiser.h"
#include "kernels/kernels.h"
#include "tests/bench/ablation/ablation.h"

enum { DIM = 32, CLUSTERS = 12, TOKENS = 256, STEPS = 1500, EVERY = 50, POINTS = STEPS / EVERY };

typedef struct {
    const char *name;
    float loss, bias, z;
} Method;

// The architecture's source adds the number of gates over 0 after the softmax: a constant, whose gradient is 0. So its layer learns as one without balance.
static const Method methods[] = {
    {"none", 0, 0, 0}, {"the source's count of gates", 0, 0, 0}, {"loss", 0.01f, 0, 0}, {"bias", 0, 0.003f, 0}, {"loss and bias", 0.01f, 0.003f, 0},
    {"loss, bias and z-loss", 0.01f, 0.003f, 1e-3f},
};
enum { METHODS = G_N_ELEMENTS(methods), DEFAULT = 4 };

static void fail(const char *what) {
    fprintf(stderr, "router: %s\n", what);
    exit(1);
}

static void ok(SeamStatus status) {
    if (status != SEAM_OK)
        fail(seam_status_text(status));
}

// ---- parameters ---------------------------------------------------------------------------------

// Of all routers of a model, against one dense matrix a layer.
static double saved(const SeamConfig *sizes, bool shared) {
    SeamConfig config = *sizes;
    SeamParams *params = seam_params_new();
    SeamMoe moe[SEAM_MAX_LAYERS];
    double ours = 0, dense = (double)config.dim * config.experts * config.layers;
    config.router_shared_a = shared;
    for (int32_t l = 0; l < config.layers; l++)
        seam_moe_declare(&moe[l], params, &config, l, l > 0 && shared ? moe[0].a : NULL);
    for (guint i = 0; i < params->tensors->len; i++) {
        const SeamTensor *t = params->tensors->pdata[i];
        ours += strstr(t->name, "router.a") || strstr(t->name, "router.b") ? (strstr(t->name, "router.bias") ? 0 : (double)t->size) : 0;
    }
    seam_params_free(params);
    return 1 - ours / dense;
}

static void count_parameters(Ablation *a) {
    ablation_table(a, "Share of a dense router's parameters that is saved, rank 8", "preset", "dim", "experts", "layers", "own A a layer", "shared A", NULL);
    for (const char *const *name = (const char *const[]){"nano", "small", "base", "full", NULL}; *name; name++) {
        SeamConfig config;
        if (!seam_config_preset(&config, *name, NULL))
            fail("no preset");
        double own = saved(&config, false), shared = saved(&config, true);
        ablation_row(a, "sddddd", *name, (double)config.dim, (double)config.experts, (double)config.layers, own, shared);
        if (strcmp(*name, "full") != 0)
            continue;
        ablation_key(a, "router.saved_own_a", own);
        ablation_key(a, "router.saved_shared_a", shared);
        ablation_finding(a, "At %d x %d, rank 8 and %d layers a low-rank router with an A of its own a layer saves %.0f %% of the parameters, with a shared A %.0f %%.",
                         config.dim, config.experts, config.layers, 100 * own, 100 * shared);
    }
}

// ---- balance ------------------------------------------------------------------------------------

typedef struct {
    double cv, most, error; // coefficient of variation; largest load over the mean; of the last steps
    int32_t dead;           // experts with under a hundredth of the mean load
    double curve[POINTS];   // cv
} Load;

// x [TOKENS, DIM], wanted likewise.
static void draw_tokens(int step, const float *centre, const float *map, float *x, float *wanted) {
    SeamRandom random = seam_random(3, (uint64_t)step);
    for (int32_t i = 0; i < TOKENS; i++) {
        int32_t c = seam_random_uniform(&random) < 0.5 ? 0 : seam_random_below(&random, CLUSTERS);
        for (int32_t d = 0; d < DIM; d++)
            x[i * DIM + d] = centre[c * DIM + d] + 0.3f * (float)seam_random_normal(&random);
        for (int32_t d = 0; d < DIM; d++) {
            const float *row = map + ((size_t)c * DIM + (size_t)d) * DIM;
            wanted[i * DIM + d] = 0;
            for (int32_t k = 0; k < DIM; k++)
                wanted[i * DIM + d] += row[k] * x[i * DIM + k];
        }
    }
}

static void look(const float *load, int32_t experts, Load *out) {
    double mean = 0, squares = 0;
    out->most = out->dead = 0;
    for (int32_t e = 0; e < experts; e++)
        mean += (double)load[e] / experts;
    for (int32_t e = 0; e < experts; e++) {
        squares += (load[e] - mean) * (load[e] - mean) / experts;
        out->most = fmax(out->most, load[e] / mean);
        out->dead += load[e] < 0.01 * mean;
    }
    out->cv = sqrt(squares) / mean;
}

static void train(const Method *m, Load *out) {
    SeamConfig config = {.dim = DIM, .layers = 1, .heads = 1, .experts = 16, .groups = 4, .groups_kept = 2, .top_k = 4, .expert_width = 32, .router_rank = 8};
    SeamParams *params = seam_params_new();
    SeamMoe moe;
    SeamOptimiser optimiser;
    SeamArena arena;
    static float centre[CLUSTERS * DIM], map[CLUSTERS * DIM * DIM], x[TOKENS * DIM], wanted[TOKENS * DIM], y[TOKENS * DIM], dx[TOKENS * DIM];
    float load[16] = {0};
    SeamRandom random = seam_random(1, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(centre); i++)
        centre[i] = (float)seam_random_normal(&random);
    for (size_t i = 0; i < G_N_ELEMENTS(map); i++)
        map[i] = (float)seam_random_normal(&random) / sqrtf(DIM);
    seam_moe_declare(&moe, params, &config, 0, NULL);
    if (!seam_params_allocate(params, true, NULL) || !seam_optimiser_init(&optimiser, params, NULL) || !seam_arena_init(&arena, 64 << 20))
        fail("no memory");
    seam_params_init(params, 1);
    optimiser.clip = 1;
    SeamRun run = {.kernels = seam_kernels_cpu(), .arena = &arena, .penalty = {.router_z = m->z}};
    for (int step = 0; step < STEPS; step++) {
        SeamMoeSaved kept;
        double balance = 0, norm, error = 0;
        arena.used = 0;
        draw_tokens(step, centre, map, x, wanted);
        memset(y, 0, sizeof y);
        ok(seam_moe_forward(&moe, &run, TOKENS, x, y, NULL, &kept));
        for (int32_t i = 0; i < TOKENS * DIM; i++) {
            y[i] -= wanted[i];
            error += (double)y[i] * y[i] / (TOKENS * DIM);
            y[i] *= 2.0f / TOKENS;
        }
        ok(seam_moe_backward(&moe, &run, &kept, m->loss, &balance, y, dx));
        ok(seam_optimiser_step(&optimiser, run.kernels, 3e-3, &norm));
        seam_params_zero_grad(params);
        float now[16] = {0};
        seam_moe_add_load(&moe, &kept, now);
        seam_moe_update_bias(&moe, now, m->bias);
        for (int32_t e = 0; e < 16; e++)
            load[e] += now[e];
        if (step % EVERY == EVERY - 1) {
            look(load, 16, out);
            out->curve[step / EVERY] = out->cv;
            memset(load, 0, sizeof load);
        }
        out->error = error;
    }
    seam_optimiser_clear(&optimiser);
    seam_arena_clear(&arena);
    seam_params_free(params);
}

int main(void) {
    static Load load[METHODS];
    double step[POINTS];
    Ablation *a = ablation_new("A router of rank 8 saves 90 % of its parameters, and a balance loss that counts gates over 0 keeps experts evenly loaded.");
    count_parameters(a);
    ablation_table(a, "Load of 16 experts over the last 50 of 1500 steps; no token is ever dropped", "balance by", "coefficient of variation", "largest / mean", "dead experts",
                   "squared error", NULL);
    ablation_plot(a, "Uneven load through training", "step", "coefficient of variation", false);
    for (int i = 0; i < POINTS; i++)
        step[i] = (i + 1) * EVERY;
    for (size_t m = 0; m < METHODS; m++) {
        train(&methods[m], &load[m]);
        ablation_row(a, "sdddd", methods[m].name, load[m].cv, load[m].most, (double)load[m].dead, load[m].error);
        ablation_series(a, methods[m].name, POINTS, step, load[m].curve);
        fprintf(stderr, "%s: cv %.3f\n", methods[m].name, load[m].cv);
    }
    ablation_key(a, "balance.load_cv", load[DEFAULT].cv);
    ablation_finding(a, "Without balance the load varies by %.2f of its mean (%d experts dead), and by exactly as much with the source's count, which has no gradient; with the loss "
                     "by %.2f, with the bias by %.2f, with both %.2f.", load[0].cv, load[0].dead, load[2].cv, load[3].cv, load[DEFAULT].cv);
    return ablation_print(a);
}
