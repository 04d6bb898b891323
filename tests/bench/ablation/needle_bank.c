// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The needle task (needle.h) by the memory bank: an event 50,000 sensor tokens ago decides the verdict now. A small model is trained on streams of a
// few chunks, with gradients through what earlier chunks wrote, and judged on long ones that are fed chunk by chunk. Beside it: the same model
// without a bank, and with a bank whose oldest slot goes instead of the least attended one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/bench/ablation/needle.h"
#include "tests/bench/ablation/toy.h"

enum { DIM = 32, CHUNK = 64, SLOTS = 32, MOST_CHUNKS = 12, STREAMS = 4, STEPS = 900, CASES = 100, DISTANCES = 4 };
static const double distances[DISTANCES] = {500, 2000, 10000, 50000};

static SeamConfig make_config(bool bank) {
    SeamConfig c = toy_config(DIM, 2, 2);
    c.bank_slots = bank ? SLOTS : 0;
    c.bank_write = bank ? 1 : 0;
    return c;
}

// Chunks first .. first + count - 1 of a stream whose last chunk ends with the query: sequences of CHUNK tokens (the first one may be shorter).
static SeamTokens make_chunks(Toy *t, const NeedleCase *c, int64_t first, int32_t count) {
    int64_t all = c->query + 1, chunks = (all + CHUNK - 1) / CHUNK, short_by = chunks * CHUNK - all;
    SeamTokens s = {.dim = DIM, .seqs = count, .x = SEAM_NEW(&t->arena, float, (size_t)count * CHUNK *DIM),
                    .place = SEAM_NEW(&t->arena, SeamPlace, count * CHUNK), .seq_start = SEAM_NEW(&t->arena, int32_t, count + 1),
                    .seq_time = SEAM_NEW(&t->arena, double, count)};
    toy_ok(s.x && s.place && s.seq_start && s.seq_time ? SEAM_OK : SEAM_NO_MEMORY);
    s.seq_start[0] = 0;
    for (int32_t k = 0; k < count; k++) {
        int64_t begin = MAX((first + k) * CHUNK - short_by, 0), end = (first + k + 1) * CHUNK - short_by;
        int32_t n = (int32_t)(end - begin);
        needle_values(c, DIM, begin, n, s.x + (size_t)s.n * DIM);
        needle_places(n, 0, 1.0 / CHUNK, s.place + s.n);
        s.seq_time[k] = (double)k;
        s.seq_start[k + 1] = s.n += n;
    }
    return s;
}

// ---- training -----------------------------------------------------------------------------------

typedef struct {
    SeamTokens tokens, fused;
    SeamEncoderSaved encoder[SEAM_MAX_LAYERS];
    SeamFusionSaved fusion;
    SeamBankSaved bank[MOST_CHUNKS];
    SeamClassifyOut out;
    SeamClassifySaved classified;
} Pass;

static void chunk_numbers(int32_t *window_of, double *time) {
    for (int32_t k = 0; k < MOST_CHUNKS; k++) {
        window_of[k] = k;
        time[k] = k;
    }
}

// Loss at the last chunk of one short stream; gradients are added.
static double train_stream(Toy *t, SeamBank *bank, const NeedleCase *c) {
    Pass *p = g_new0(Pass, 1);
    int32_t chunks = (int32_t)((c->query + CHUNK) / CHUNK), window_of[MOST_CHUNKS], layers = t->model->config.layers;
    double time[MOST_CHUNKS], balance = 0;
    chunk_numbers(window_of, time);
    t->arena.used = 0;
    seam_bank_reset(bank);
    p->tokens = make_chunks(t, c, 0, chunks);
    toy_ok(seam_model_encode(t->model, &t->run, 0, layers - 1, &p->tokens, NULL, p->encoder));
    toy_ok(seam_model_fuse(t->model, &t->run, &p->tokens, chunks, window_of, time, &p->fused, &p->fusion));
    toy_ok(seam_model_remember(t->model, &t->run, bank, &p->fused, p->bank));
    toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &p->fused, &p->out, &p->classified));
    size_t size = (size_t)p->tokens.n * DIM;
    float *dx = SEAM_NEW(&t->arena, float, size), *din = SEAM_NEW(&t->arena, float, size), *dlogits = SEAM_NEW0(&t->arena, float, 2 * chunks);
    toy_ok(dx && din && dlogits ? SEAM_OK : SEAM_NO_MEMORY);
    double loss = toy_loss(t, p->out.logits + 2 * (chunks - 1), c->kind, 1.0 / STREAMS, dlogits + 2 * (chunks - 1));
    toy_ok(seam_classify_backward(&t->model->task[0].classify, &t->run, &p->classified, dlogits, dx));
    toy_ok(seam_model_remember_backward(t->model, &t->run, chunks, p->bank, dx));
    toy_ok(seam_model_fuse_backward(t->model, &t->run, &p->fusion, dx, din));
    toy_ok(seam_model_encode_backward(t->model, &t->run, 0, layers - 1, p->encoder, 0.01f, &balance, din));
    g_free(p);
    return loss;
}

static void train(Toy *t, SeamBank *bank, const char *name) {
    double mean = 0, begun = ablation_seconds();
    for (int step = 0; step < STEPS; step++) {
        for (int s = 0; s < STREAMS; s++) {
            SeamRandom random = seam_random((uint64_t)(step * STREAMS + s), 9);
            int32_t lead = seam_random_below(&random, 3 * CHUNK), most = MOST_CHUNKS * CHUNK - 1 - lead;
            int32_t distance = CHUNK + seam_random_below(&random, most - CHUNK); // never in the same chunk for sure, always in the stream
            NeedleCase c = needle_case((uint64_t)(step * STREAMS + s), lead, distance);
            mean += train_stream(t, bank, &c) / (100 * STREAMS);
        }
        toy_step(t, step, STEPS, 3e-3);
        if (step % 100 == 99) {
            fprintf(stderr, "%s: step %d: loss %.4f, %.1f s\n", name, step + 1, mean, ablation_seconds() - begun);
            mean = 0;
        }
    }
}

// ---- judging ------------------------------------------------------------------------------------

// One long stream, chunk by chunk, from chunk `from` on: whether the verdict at its end is right.
static bool judge(Toy *t, SeamBank *bank, const NeedleCase *c, int64_t from, bool oldest_goes) {
    int64_t chunks = (c->query + CHUNK) / CHUNK;
    const int32_t window_of = 0;
    const double time = 0;
    SeamClassifyOut out = {0};
    seam_bank_reset(bank);
    for (int64_t k = from; k < chunks; k++) {
        SeamTokens fused;
        t->arena.used = 0;
        SeamTokens tokens = make_chunks(t, c, k, 1);
        toy_ok(seam_model_encode(t->model, &t->run, 0, t->model->config.layers - 1, &tokens, NULL, NULL));
        toy_ok(seam_model_fuse(t->model, &t->run, &tokens, 1, &window_of, &time, &fused, NULL));
        for (int32_t s = 0; oldest_goes && s < bank->filled; s++)
            bank->mass[s] = 0;
        toy_ok(seam_model_remember(t->model, &t->run, bank, &fused, NULL));
        if (k == chunks - 1)
            toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &fused, &out, NULL));
    }
    return (out.logits[1] > out.logits[0]) == (c->kind == 1);
}

typedef enum { WITH_BANK, OLDEST_GOES, WITHOUT, KINDS } Kind;

static double accuracy(Toy *t, SeamBank *bank, int64_t distance, Kind kind) {
    int32_t right = 0;
    for (int32_t i = 0; i < CASES; i++) {
        NeedleCase c = needle_case(1u << 24 | (uint64_t)i, 100 + i, distance);
        int64_t chunks = (c.query + CHUNK) / CHUNK;
        int64_t seen = kind == WITH_BANK ? chunks : kind == OLDEST_GOES ? 2 * SLOTS : 1; // what is older can no longer be in the ring
        right += judge(t, bank, &c, MAX(chunks - seen, 0), kind == OLDEST_GOES);
    }
    return (double)right / CASES;
}

static void report(Ablation *a, double right[KINDS][DISTANCES]) {
    ablation_key(a, "needle.with_bank", right[WITH_BANK][DISTANCES - 1]);
    ablation_key(a, "needle.without", right[WITHOUT][DISTANCES - 1]);
    ablation_table(a, "Right verdicts of 100 streams (chance 0.5)", "tokens since the event", "with bank", "bank, oldest goes", "without", NULL);
    for (int d = 0; d < DISTANCES; d++)
        ablation_row(a, "dddd", distances[d], right[WITH_BANK][d], right[OLDEST_GOES][d], right[WITHOUT][d]);
    ablation_plot(a, "Right verdicts against the distance of the event", "tokens", "share right", false);
    ablation_series(a, "with bank", DISTANCES, distances, right[WITH_BANK]);
    ablation_series(a, "bank, oldest goes", DISTANCES, distances, right[OLDEST_GOES]);
    ablation_series(a, "without", DISTANCES, distances, right[WITHOUT]);
    ablation_finding(a, "Trained on streams of at most %d tokens, the bank of %d vectors gives %.0f %% right verdicts %.0f tokens after the event; the "
                     "same model without a bank gives %.0f %%, with one whose oldest vector goes %.0f %%.", MOST_CHUNKS * CHUNK, SLOTS,
                     100 * right[WITH_BANK][DISTANCES - 1], distances[DISTANCES - 1], 100 * right[WITHOUT][DISTANCES - 1],
                     100 * right[OLDEST_GOES][DISTANCES - 1]);
}

int main(void) {
    static double right[KINDS][DISTANCES];
    Ablation *a = ablation_new("A memory bank of fixed size keeps what long streams need, at O(1) work a chunk.");
    for (int bank_used = 1; bank_used >= 0; bank_used--) {
        Toy toy;
        SeamBank bank;
        SeamConfig config = make_config(bank_used);
        toy_open(&toy, &config, 1, (size_t)256 << 20);
        toy_ok(seam_bank_init(&bank, &config) ? SEAM_OK : SEAM_NO_MEMORY);
        train(&toy, &bank, bank_used ? "with bank" : "without");
        for (int d = 0; d < DISTANCES; d++)
            for (Kind kind = bank_used ? WITH_BANK : WITHOUT; kind < (bank_used ? WITHOUT : KINDS); kind++) {
                right[kind][d] = accuracy(&toy, &bank, (int64_t)distances[d], kind);
                fprintf(stderr, "distance %.0f, kind %d: %.2f\n", distances[d], kind, right[kind][d]);
            }
        seam_bank_clear(&bank);
        toy_close(&toy);
    }
    report(a, right);
    return ablation_print(a);
}
