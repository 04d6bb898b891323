// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The token mixers side by side: time of a layer against the length of the sequence, and what two layers of each learn of a task that needs links over
// distance: four of 95 tokens hold a value each, a key beside it, the last part of the sequence names a key, and the verdict is its value. Without a link
// the best guess is the commoner value, right in 69 %.
#include <stdio.h>
#include <string.h>

#include "core/random.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/bench/ablation/toy.h"

enum { DIM = 32, LENGTH = 95, KEYS = 4, BATCH = 16, STEPS = 1500, CASES = 1000, SIZES = 7, FIRST = 128 };
static const double most_seconds = 1; // longer layers are not timed
static const struct {
    const char *name;
    SeamMixer mixer;
} mixers[] = {{"global", SEAM_MIXER_GLOBAL}, {"local", SEAM_MIXER_LOCAL}, {"hash", SEAM_MIXER_HASH}, {"gated", SEAM_MIXER_GATED}, {"scan", SEAM_MIXER_SCAN}};
enum { MIXERS = G_N_ELEMENTS(mixers) };

static SeamConfig make_config(SeamMixer mixer, int32_t layers, double window) {
    SeamConfig c = toy_config(DIM, layers, 2);
    for (int32_t l = 0; l < layers; l++)
        c.mixer[l] = mixer;
    c.fusion_layers = 0;
    c.window = window;
    c.hash_bucket = mixer == SEAM_MIXER_HASH ? 16 : 0;
    c.hash_rounds = mixer == SEAM_MIXER_HASH ? 2 : 0;
    c.gated_budget = mixer == SEAM_MIXER_GATED ? 0.1f : 0;
    c.scan_state = mixer == SEAM_MIXER_SCAN ? 16 : 0;
    return c;
}

static void fill(SeamRandom *random, const SeamTokens *s, float loud) {
    for (size_t i = 0; i < (size_t)s->n * DIM; i++)
        s->x[i] = loud * (float)seam_random_normal(random);
}

// ---- time ---------------------------------------------------------------------------------------

typedef struct {
    Toy *toy;
    int32_t n;
} Timing;

static void encode_once(void *data) {
    Timing *g = data;
    SeamRandom random = seam_random(1, 1);
    g->toy->arena.used = 0;
    SeamTokens s = toy_tokens(g->toy, 1, g->n);
    fill(&random, &s, 1);
    toy_ok(seam_model_encode(g->toy->model, &g->toy->run, 0, 0, &s, NULL, NULL));
}

static void time_mixers(Ablation *a) {
    double x[SIZES], ms[MIXERS][SIZES], exponent[MIXERS];
    int sizes[MIXERS];
    for (int i = 0; i < SIZES; i++)
        x[i] = FIRST << i;
    ablation_plot(a, "Time of a layer, its experts included", "tokens", "ms", true);
    for (size_t m = 0; m < MIXERS; m++) {
        for (sizes[m] = 0; sizes[m] < SIZES && (sizes[m] == 0 || ms[m][sizes[m] - 1] < 250 * most_seconds); sizes[m]++) {
            Toy toy;
            SeamConfig config = make_config(mixers[m].mixer, 1, x[sizes[m]] / 64);
            toy_open(&toy, &config, 1, (size_t)1 << 30);
            Timing g = {&toy, FIRST << sizes[m]};
            ms[m][sizes[m]] = 1000 * ablation_time(5, encode_once, &g);
            toy_close(&toy);
        }
        exponent[m] = ablation_exponent(sizes[m], x, ms[m]);
        ablation_series(a, mixers[m].name, sizes[m], x, ms[m]);
    }
    ablation_table(a, "Time of a layer, its experts included", "mixer", "longest timed, tokens", "ms", "grows as N to the", NULL);
    for (size_t m = 0; m < MIXERS; m++)
        ablation_row(a, "sddd", mixers[m].name, x[sizes[m] - 1], ms[m][sizes[m] - 1], exponent[m]);
    ablation_finding(a, "A layer's time grows as N^%.2f with global attention, N^%.2f local, N^%.2f hash, N^%.2f gated (a tenth of the tokens global) and N^%.2f scan.",
                     exponent[0], exponent[1], exponent[2], exponent[3], exponent[4]);
}

// ---- quality ------------------------------------------------------------------------------------

static SeamTokens draw(Toy *t, uint64_t seed, int32_t windows, int32_t *label) {
    SeamTokens s = toy_tokens(t, windows, LENGTH);
    SeamRandom random = seam_random(seed, 7);
    fill(&random, &s, 0.3f);
    for (int32_t w = 0; w < windows; w++) {
        float *x = s.x + (size_t)w * LENGTH * DIM;
        label[w] = 0;
        int32_t asked = seam_random_below(&random, KEYS), part = LENGTH / (KEYS + 1);
        for (int32_t k = 0; k <= KEYS; k++) { // values first, the question last, so that a causal mixer can tell as well
            float *token = x + (size_t)(k * part + seam_random_below(&random, part)) * DIM;
            int32_t value = seam_random_below(&random, 2);
            token[k < KEYS ? 2 + k : 2 + asked] = 3;
            token[k < KEYS ? 1 : 0] = k < KEYS && !value ? -3 : 3;
            label[w] = k == asked ? value : label[w];
        }
    }
    return s;
}

static void fuse(Toy *t, const SeamTokens *s, int32_t windows, SeamTokens *fused, SeamFusionSaved *saved) {
    int32_t window_of[BATCH];
    const double time[BATCH] = {0};
    for (int32_t w = 0; w < windows; w++)
        window_of[w] = w;
    toy_ok(seam_model_fuse(t->model, &t->run, s, windows, window_of, time, fused, saved));
}

static double right(Toy *t) {
    int32_t good = 0;
    for (int32_t i = 0; i < CASES; i++) {
        int32_t label;
        SeamTokens fused;
        SeamClassifyOut out;
        t->arena.used = 0;
        SeamTokens s = draw(t, 1u << 30 | (uint64_t)i, 1, &label);
        toy_ok(seam_model_encode(t->model, &t->run, 0, t->model->config.layers - 1, &s, NULL, NULL));
        fuse(t, &s, 1, &fused, NULL);
        toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &fused, &out, NULL));
        good += (out.logits[1] > out.logits[0]) == label;
    }
    return (double)good / CASES;
}

static double train_batch(Toy *t, int step) {
    int32_t label[BATCH], layers = t->model->config.layers;
    float dlogits[BATCH * 2];
    double loss = 0, balance = 0;
    SeamTokens fused;
    SeamEncoderSaved encoder[SEAM_MAX_LAYERS];
    SeamFusionSaved fusion;
    SeamClassifyOut out;
    SeamClassifySaved saved;
    t->arena.used = 0;
    SeamTokens s = draw(t, (uint64_t)step, BATCH, label);
    toy_ok(seam_model_encode(t->model, &t->run, 0, layers - 1, &s, NULL, encoder));
    fuse(t, &s, BATCH, &fused, &fusion);
    toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &fused, &out, &saved));
    for (int32_t w = 0; w < BATCH; w++)
        loss += toy_loss(t, out.logits + 2 * w, label[w], 1.0 / BATCH, dlogits + 2 * w) / BATCH;
    float *dx = SEAM_NEW(&t->arena, float, (size_t)fused.n * DIM), *din = SEAM_NEW(&t->arena, float, (size_t)fused.n * DIM);
    toy_ok(dx && din ? seam_classify_backward(&t->model->task[0].classify, &t->run, &saved, dlogits, dx) : SEAM_NO_MEMORY);
    toy_ok(seam_model_fuse_backward(t->model, &t->run, &fusion, dx, din));
    toy_ok(seam_model_encode_backward(t->model, &t->run, 0, layers - 1, encoder, 0.01f, &balance, din));
    return loss;
}

static double learn(size_t m) {
    Toy t;
    SeamConfig config = make_config(mixers[m].mixer, 2, LENGTH / 64.0); // stretches of 16 samples of 1024 a second
    double loss = 0;
    toy_open(&t, &config, 2, (size_t)256 << 20);
    for (int step = 0; step < STEPS; step++) {
        loss += train_batch(&t, step) / 250;
        toy_step(&t, step, STEPS, 3e-3);
        if (step % 250 == 249) {
            fprintf(stderr, "%s: step %d: loss %.4f\n", mixers[m].name, step + 1, loss);
            loss = 0;
        }
    }
    double share = right(&t);
    toy_close(&t);
    return share;
}

int main(void) {
    double share[MIXERS];
    Ablation *a = ablation_new("Local, hashed, gated attention and scan in the place of global attention, at less than its quadratic cost.");
    time_mixers(a);
    ablation_table(a, "Right verdicts where a value must be found by its key (0.69 without a link), two layers, trained alike", "mixer", "right", NULL);
    for (size_t m = 0; m < MIXERS; m++) {
        share[m] = learn(m);
        ablation_row(a, "sd", mixers[m].name, share[m]);
    }
    ablation_finding(a, "Two layers of each, trained alike for %d steps, give %.0f %% right verdicts with global attention, %.0f %% local, %.0f %% hash, %.0f %% gated and %.0f %% scan.", STEPS,
                     100 * share[0], 100 * share[1], 100 * share[2], 100 * share[3], 100 * share[4]);
    return ablation_print(a);
}
