// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The needle task (needle.h) by the state of a scan: an event 50,000 sensor tokens ago decides the verdict now. A small model whose layers scan is trained
// on short streams, with gradients through all of their tokens, and judged on long ones that are fed in pieces, the state carried from one to the next
// (core/carry.h). Only the last tokens reach fusion and head, so that nothing but the state can tell.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/bench/ablation/needle.h"
#include "tests/bench/ablation/toy.h"

enum { DIM = 32, LAST = 8, PIECE = 1024, SHORTEST = 16, LONGEST = 50000, STREAMS = 2, STEPS = 2500, CASES = 60, DISTANCES = 4 };
static const double distances[DISTANCES] = {500, 2000, 10000, 50000};

static SeamConfig make_config(void) {
    SeamConfig c = toy_config(DIM, 2, 2);
    c.heads = 4;
    c.scan_state = 16;
    for (int32_t l = 0; l < c.layers; l++)
        c.mixer[l] = SEAM_MIXER_SCAN;
    return c;
}

// Tokens first .. first + count - 1 as one sequence.
static SeamTokens make_piece(Toy *t, const NeedleCase *c, int64_t first, int32_t count) {
    SeamTokens s = {.n = count, .dim = DIM, .seqs = 1, .x = SEAM_NEW(&t->arena, float, (size_t)count * DIM), .place = SEAM_NEW(&t->arena, SeamPlace, count),
                    .seq_start = SEAM_NEW(&t->arena, int32_t, 2), .seq_time = SEAM_NEW0(&t->arena, double, 1)};
    toy_ok(s.x && s.place && s.seq_start && s.seq_time ? SEAM_OK : SEAM_NO_MEMORY);
    s.seq_start[0] = 0;
    s.seq_start[1] = count;
    needle_values(c, DIM, first, count, s.x);
    needle_places(count, 0, 1.0 / count, s.place);
    return s;
}

// The last tokens of a sequence as a window of their own; start [2].
static SeamTokens last_tokens(const SeamTokens *s, int32_t *start) {
    SeamTokens last = *s;
    last.n = start[1] = MIN(s->n, LAST);
    start[0] = 0;
    last.seq_start = start;
    last.x += (size_t)(s->n - last.n) * DIM;
    last.place += s->n - last.n;
    return last;
}

typedef struct {
    SeamTokens tokens, last, fused;
    SeamEncoderSaved encoder[SEAM_MAX_LAYERS];
    SeamFusionSaved fusion;
    SeamClassifyOut out;
    SeamClassifySaved classified;
} Pass;

// Loss of one short stream; gradients are added.
static double train_stream(Toy *t, const NeedleCase *c) {
    g_autofree Pass *p = g_new0(Pass, 1);
    int32_t layers = t->model->config.layers, start[2];
    const int32_t window_of = 0;
    const double time = 0;
    double balance = 0;
    float dlogits[2];
    t->arena.used = 0;
    p->tokens = make_piece(t, c, 0, (int32_t)c->query + 1);
    toy_ok(seam_model_encode(t->model, &t->run, 0, layers - 1, &p->tokens, NULL, p->encoder));
    p->last = last_tokens(&p->tokens, start);
    toy_ok(seam_model_fuse(t->model, &t->run, &p->last, 1, &window_of, &time, &p->fused, &p->fusion));
    toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &p->fused, &p->out, &p->classified));
    double loss = toy_loss(t, p->out.logits, c->kind, 1.0 / STREAMS, dlogits);
    float *dx = SEAM_NEW(&t->arena, float, (size_t)p->last.n * DIM), *din = SEAM_NEW0(&t->arena, float, (size_t)p->tokens.n * DIM);
    toy_ok(dx && din ? SEAM_OK : SEAM_NO_MEMORY);
    toy_ok(seam_classify_backward(&t->model->task[0].classify, &t->run, &p->classified, dlogits, dx));
    toy_ok(seam_model_fuse_backward(t->model, &t->run, &p->fusion, dx, din + (size_t)(p->tokens.n - p->last.n) * DIM));
    toy_ok(seam_model_encode_backward(t->model, &t->run, 0, layers - 1, p->encoder, 0.01f, &balance, din));
    return loss;
}

static void train(Toy *t) {
    double mean = 0, begun = ablation_seconds();
    for (int step = 0; step < STEPS; step++) {
        for (int s = 0; s < STREAMS; s++) {
            SeamRandom random = seam_random((uint64_t)(step * STREAMS + s), 9);
            double most = 2 * SHORTEST * pow(LONGEST / (2.0 * SHORTEST), MIN(1.25 * step / STEPS, 1)); // lengths are drawn evenly by their logarithm
            int32_t length = (int32_t)(SHORTEST * pow(most / SHORTEST, seam_random_uniform(&random)));
            int32_t distance = LAST + seam_random_below(&random, length - LAST);
            NeedleCase c = needle_case((uint64_t)(step * STREAMS + s), length - distance, distance);
            mean += train_stream(t, &c) / (200 * STREAMS);
        }
        toy_step(t, step, STEPS, 4e-3);
        if (step % 200 == 199) {
            fprintf(stderr, "step %d: loss %.4f, %.1f s\n", step + 1, mean, ablation_seconds() - begun);
            mean = 0;
        }
    }
}

// One long stream; without a carry every piece starts at zero, and so nothing is known of the event.
static bool judge(Toy *t, SeamCarry *carry, const NeedleCase *c, bool carried) {
    int64_t at = 0, before = c->query + 1 - LAST;
    const int32_t window_of = 0;
    const double time = 0;
    SeamTokens fused;
    SeamClassifyOut out;
    seam_carry_reset(carry);
    while (at <= c->query) {
        int32_t count = (int32_t)MIN(at < before ? before - at : LAST, PIECE);
        t->arena.used = 0;
        SeamTokens piece = make_piece(t, c, at, count);
        toy_ok(seam_model_encode_stream(t->model, &t->run, 0, t->model->config.layers - 1, &piece, NULL, carry));
        if (!carried)
            seam_carry_reset(carry);
        at += count;
        if (at <= c->query)
            continue;
        toy_ok(seam_model_fuse(t->model, &t->run, &piece, 1, &window_of, &time, &fused, NULL));
        toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &fused, &out, NULL));
    }
    return (out.logits[1] > out.logits[0]) == (c->kind == 1);
}

static double accuracy(Toy *t, SeamCarry *carry, int64_t distance, bool carried) {
    int32_t right = 0;
    for (int32_t i = 0; i < CASES; i++) {
        NeedleCase c = needle_case(1u << 24 | (uint64_t)i, 100 + i, distance);
        right += judge(t, carry, &c, carried);
    }
    return (double)right / CASES;
}

int main(void) {
    double right[DISTANCES], forgetful[DISTANCES];
    Toy toy;
    SeamCarry carry;
    SeamConfig config = make_config();
    Ablation *a = ablation_new("A state-space scan carries what matters over streams of any length, at a cost that grows with the length alone.");
    toy_open(&toy, &config, 1, (size_t)512 << 20);
    train(&toy);
    if (!seam_carry_init(&carry, &config, NULL))
        toy_ok(SEAM_NO_MEMORY);
    ablation_table(a, "Right verdicts of 60 streams (chance 0.5)", "tokens since the event", "state carried", "every piece from zero", NULL);
    for (int d = 0; d < DISTANCES; d++) {
        right[d] = accuracy(&toy, &carry, (int64_t)distances[d], true);
        forgetful[d] = distances[d] <= 10000 ? accuracy(&toy, &carry, (int64_t)distances[d], false) : forgetful[d - 1];
        fprintf(stderr, "distance %.0f: %.2f, without %.2f\n", distances[d], right[d], forgetful[d]);
        ablation_row(a, "ddd", distances[d], right[d], forgetful[d]);
    }
    ablation_key(a, "needle.with_scan", right[DISTANCES - 1]);
    ablation_plot(a, "Right verdicts against the distance of the event", "tokens", "share right", false);
    ablation_series(a, "state carried", DISTANCES, distances, right);
    ablation_series(a, "every piece from zero", DISTANCES, distances, forgetful);
    ablation_finding(a, "Trained on streams of %d tokens at most (lengths evenly by their logarithm), the scan gives %.0f %% right verdicts %.0f tokens after the event with its state carried, "
                     "and %.0f %% where every piece starts at zero.", LONGEST, 100 * right[DISTANCES - 1], distances[DISTANCES - 1], 100 * forgetful[2]);
    seam_carry_clear(&carry);
    toy_close(&toy);
    return ablation_print(a);
}
