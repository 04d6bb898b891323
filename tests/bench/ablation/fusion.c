// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fusion over a sparse pattern against the same layer over all pairs: time against the number of tokens, and quality on a task that needs a link between two
// modalities at any distance. A token somewhere in one stream names one of four keys; tokens anywhere in the other stream hold a value each, a key beside it; the
// verdict is the value of the key that was named. Without a link the best guess is the commoner value, right in 69 %.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/random.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/bench/ablation/toy.h"

enum { DIM = 32, LENGTH = 48, BATCH = 16, KEYS = 4, STEPS = 5000, LOOKS = 5, CASES = 1000, SIZES = 9, FIRST = 256 };
static const double dense_seconds = 2; // longer ones are not timed

static SeamConfig make_config(int32_t layers) {
    SeamConfig c = toy_config(DIM, 1, 2);
    c.fusion_layers = layers;
    c.fusion_neighbours = 8;
    c.fusion_bucket = 8;
    c.n_modalities = 2;
    c.modality[1] = c.modality[0];
    strcpy(c.modality[1].name, "sound");
    return c;
}

// Two sequences a window, one a modality, of n tokens each, evenly in time.
static SeamTokens make_tokens(Toy *t, int32_t windows, int32_t n) {
    SeamTokens s = toy_tokens(t, 2 * windows, n);
    for (int32_t i = 0; i < s.n; i++)
        s.place[i] = (SeamPlace){.t = (float)(i % n) / (float)n, .modality = (uint8_t)(i / n % 2), .domain = SEAM_DOMAIN_TIME};
    return s;
}

// What seam_model_fuse does, with all pairs where `dense`.
static void fuse(Toy *t, const SeamTokens *in, int32_t windows, bool dense, SeamTokens *out, SeamFusionSaved *saved) {
    int32_t window_of[2 * BATCH], *row = SEAM_NEW(&t->arena, int32_t, in->n);
    const double time[BATCH] = {0};
    SeamPattern pattern;
    for (int32_t q = 0; q < 2 * windows; q++)
        window_of[q] = q / 2;
    toy_ok(row ? seam_fusion_join(&t->model->fusion, &t->run, in, windows, window_of, time, out, row) : SEAM_NO_MEMORY);
    if (dense)
        pattern = seam_pattern_dense(out);
    else
        toy_ok(seam_pattern_fusion(&t->model->config, &t->run, out, &pattern));
    toy_ok(seam_fusion_forward(&t->model->fusion, &t->run, &pattern, out, saved));
    if (saved)
        saved->row = row;
}

// ---- time ---------------------------------------------------------------------------------------

typedef struct {
    Toy *toy;
    int32_t n;
    bool dense;
} Timing;

static void fuse_once(void *data) {
    Timing *g = data;
    SeamTokens out;
    g->toy->arena.used = 0;
    SeamTokens in = make_tokens(g->toy, 1, g->n / 2);
    SeamRandom random = seam_random(1, 1);
    for (size_t i = 0; i < (size_t)in.n * DIM; i++)
        in.x[i] = (float)seam_random_uniform(&random) - 0.5f;
    fuse(g->toy, &in, 1, g->dense, &out, NULL);
}

static void time_lengths(Ablation *a) {
    Toy toy;
    SeamConfig config = make_config(1);
    double x[SIZES], ms[2][SIZES];
    int sizes[2] = {0, 0};
    toy_open(&toy, &config, 1, (size_t)1 << 30);
    ablation_table(a, "Time of one fusion layer, pattern included", "tokens", "sparse, ms", "all pairs, ms", NULL);
    for (int i = 0; i < SIZES; i++) {
        x[i] = FIRST << i;
        for (int dense = 0; dense < 2; dense++) {
            if (dense && i > 0 && (sizes[1] < i || ms[1][i - 1] * 4 > 1000 * dense_seconds))
                continue;
            Timing g = {&toy, FIRST << i, dense};
            ms[dense][i] = INFINITY; // the least of some medians: others that use the machine only ever add
            for (int round = 0; round < (dense ? 1 : 4); round++)
                ms[dense][i] = fmin(ms[dense][i], 1000 * ablation_time(x[i] > 8192 ? 3 : 7, fuse_once, &g));
            sizes[dense] = i + 1;
        }
        if (sizes[1] == i + 1)
            ablation_row(a, "ddd", x[i], ms[0][i], ms[1][i]);
        else
            ablation_row(a, "dds", x[i], ms[0][i], "not timed");
        fprintf(stderr, "%.0f tokens: %.2f ms\n", x[i], ms[0][i]);
    }
    double exponent = ablation_exponent(SIZES, x, ms[0]), dense = ablation_exponent(sizes[1], x, ms[1]);
    ablation_key(a, "fusion.exponent", exponent);
    ablation_plot(a, "Time of one fusion layer", "tokens", "ms", true);
    ablation_series(a, "sparse", SIZES, x, ms[0]);
    ablation_series(a, "all pairs", sizes[1], x, ms[1]);
    ablation_finding(a, "From %.0f to %.0f tokens the time grows as N^%.2f, over all pairs as N^%.2f (to %.0f).", x[0], x[SIZES - 1], exponent, dense, x[sizes[1] - 1]);
    toy_close(&toy);
}

// ---- quality ------------------------------------------------------------------------------------

static SeamTokens draw(Toy *t, uint64_t seed, int32_t windows, int32_t *label) {
    SeamTokens s = make_tokens(t, windows, LENGTH);
    SeamRandom random = seam_random(seed, 7);
    for (size_t i = 0; i < (size_t)s.n * DIM; i++)
        s.x[i] = 0.3f * (float)seam_random_normal(&random);
    for (int32_t w = 0; w < windows; w++) {
        float *first = s.x + (size_t)(2 * w) * LENGTH * DIM, *second = first + (size_t)LENGTH * DIM;
        label[w] = 0;
        int32_t asked = seam_random_below(&random, KEYS);
        float *question = first + (size_t)seam_random_below(&random, LENGTH) * DIM;
        question[0] = question[2 + asked] = 3;
        for (int32_t k = 0; k < KEYS; k++) {
            float *answer = second + (size_t)(k * LENGTH / KEYS + seam_random_below(&random, LENGTH / KEYS)) * DIM;
            int32_t value = seam_random_below(&random, 2);
            answer[2 + k] = 3;
            answer[1] = value ? 3 : -3;
            label[w] = k == asked ? value : label[w];
        }
    }
    return s;
}

static double right(Toy *t, bool dense) {
    int32_t good = 0;
    for (int32_t i = 0; i < CASES; i++) {
        int32_t label;
        SeamTokens fused;
        SeamClassifyOut out;
        t->arena.used = 0;
        SeamTokens in = draw(t, 1u << 30 | (uint64_t)i, 1, &label);
        fuse(t, &in, 1, dense, &fused, NULL);
        toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &fused, &out, NULL));
        good += (out.logits[1] > out.logits[0]) == label;
    }
    return (double)good / CASES;
}

// right_at [LOOKS]: the share of right verdicts, looked at LOOKS times on the way.
static void learn(int32_t layers, bool dense, double *right_at) {
    Toy t;
    SeamConfig config = make_config(layers);
    double loss = 0;
    toy_open(&t, &config, 2, (size_t)256 << 20);
    for (int step = 0; step < STEPS; step++) {
        int32_t label[BATCH];
        float dlogits[BATCH * 2];
        SeamTokens fused;
        SeamFusionSaved fusion;
        SeamClassifyOut out;
        SeamClassifySaved saved;
        t.arena.used = 0;
        SeamTokens in = draw(&t, (uint64_t)step, BATCH, label);
        fuse(&t, &in, BATCH, dense, &fused, &fusion);
        toy_ok(seam_classify_forward(&t.model->task[0].classify, &t.run, &fused, &out, &saved));
        for (int32_t w = 0; w < BATCH; w++)
            loss += toy_loss(&t, out.logits + 2 * w, label[w], 1.0 / BATCH, dlogits + 2 * w) / (BATCH * (STEPS / LOOKS));
        float *dx = SEAM_NEW(&t.arena, float, (size_t)fused.n * DIM);
        toy_ok(dx ? seam_classify_backward(&t.model->task[0].classify, &t.run, &saved, dlogits, dx) : SEAM_NO_MEMORY);
        toy_ok(seam_fusion_backward(&t.model->fusion, &t.run, &fusion, dx));
        toy_step(&t, step, STEPS, 3e-3);
        if ((step + 1) % (STEPS / LOOKS) == 0) {
            double share = right_at[step / (STEPS / LOOKS)] = right(&t, dense);
            fprintf(stderr, "%s: step %d: loss %.4f, right %.3f\n", dense ? "all pairs" : layers == 2 ? "two sparse" : "three sparse", step + 1, loss, share);
            loss = 0;
        }
    }
    toy_close(&t);
}

int main(void) {
    Ablation *a = ablation_new("Cross-modal fusion in O(N log N) instead of O(N^2), without loss.");
    time_lengths(a);
    double steps[LOOKS], two[LOOKS], three[LOOKS], dense[LOOKS];
    learn(2, false, two);
    learn(3, false, three);
    learn(2, true, dense);
    ablation_table(a, "Right verdicts where a value must be found in the other modality at any distance (0.69 without a link)", "steps", "two sparse layers",
                   "three sparse layers", "two over all pairs", NULL);
    for (int i = 0; i < LOOKS; i++) {
        steps[i] = (i + 1) * (STEPS / LOOKS);
        ablation_row(a, "dddd", steps[i], two[i], three[i], dense[i]);
    }
    ablation_key(a, "fusion.quality_kept", three[LOOKS - 1] / dense[LOOKS - 1]);
    ablation_plot(a, "Right verdicts through training", "steps", "share", false);
    ablation_series(a, "two sparse layers", LOOKS, steps, two);
    ablation_series(a, "three sparse layers", LOOKS, steps, three);
    ablation_series(a, "two over all pairs", LOOKS, steps, dense);
    ablation_finding(a,
                     "Trained alike, two sparse layers end at %.1f %% right verdicts, three at %.1f %%, two over all pairs at %.1f %%; after a fifth of the "
                     "steps it was %.1f, %.1f and %.1f %%.",
                     100 * two[LOOKS - 1], 100 * three[LOOKS - 1], 100 * dense[LOOKS - 1], 100 * two[0], 100 * three[0], 100 * dense[0]);
    return ablation_print(a);
}
