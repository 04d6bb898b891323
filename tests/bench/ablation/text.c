// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A machine's log in which one early line decides the class: an alarm code, then up to half a million bytes of what machines write. A small model whose
// layers scan is trained on logs of 50,000 bytes at most, as training does it (core/train/pass.h), and judged as a stream does it: chunk by chunk in
// the memory of one chunk, the last chunk alone to the verdict. Beside it the same where every chunk starts at zero, so that the newest chunk is all.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/random.h"
#include "core/train/pass.h"
#include "kernels/pool.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/bench/ablation/toy.h"

enum { DIM = 32, LAYERS = 2, WORDS = 64, SHORTEST = 200, LONGEST = 50000, TEXTS = 4, STEPS = 1000, CASES = 60, SIZES = 4, ASKED = 2, RUNS = 5 };
static const double sizes[SIZES] = {1000, 10000, LONGEST, 500000}; // bytes; the claim is about sizes[ASKED], the last is longer than any of training

static SeamConfig make_config(void) {
    SeamConfig c = toy_config(DIM, LAYERS, 2);
    c.heads = 4;
    c.scan_state = 16;
    for (int32_t l = 0; l < LAYERS; l++)
        c.mixer[l] = SEAM_MIXER_SCAN;
    c.modality[0] = (SeamModality){.name = "log", .front = SEAM_FRONT_TEXT, .delta_rank = 2,
                                   .text = {.buckets = 1024, .ngram_min = 3, .ngram_max = 5, .max_tokens = WORDS}};
    return c;
}

// ---- logs -----------------------------------------------------------------------------------------------------------------------------------------

static void add_line(GString *s, SeamRandom *random, int32_t second) {
    static const char *const what[] = {"wire feed", "gas flow", "arc voltage", "arc current", "torch at"};
    g_string_append_printf(s, "%02d:%02d:%02d ", second / 3600 % 24, second / 60 % 60, second % 60);
    if (seam_random_below(random, 12) == 0) // an alarm that does not matter
        g_string_append_printf(s, "alarm E%d cleared\n", 401 + seam_random_below(random, 99));
    else
        g_string_append_printf(s, "%s %.1f unit %d ok\n", what[seam_random_below(random, G_N_ELEMENTS(what))], 200 * seam_random_uniform(random),
                               1 + seam_random_below(random, 8));
}

// So many bytes, in which the first line that begins at byte `at` or later tells `kind`. g_free it.
static char *make_log(uint64_t seed, int32_t bytes, int32_t at, int32_t kind) {
    SeamRandom random = seam_random(seed, 3);
    GString *s = g_string_new(NULL);
    bool told = false;
    for (int32_t second = 25200; s->len < (gsize)bytes || !told; second += 1 + seam_random_below(&random, 5)) {
        bool now = !told && s->len >= (gsize)at;
        if (now)
            g_string_append_printf(s, "%02d:%02d:%02d alarm %s raised\n", second / 3600 % 24, second / 60 % 60, second % 60, kind ? "E217" : "E304");
        else
            add_line(s, &random, second);
        told = told || now;
    }
    return g_string_free(s, FALSE);
}

// ---- training -------------------------------------------------------------------------------------------------------------------------------------

static void add_text(SeamBatch *b, const char *text, int32_t label) {
    SeamBatchPart *p = &b->part[0];
    double time = b->time[b->windows] = b->windows;
    g_ptr_array_add(p->text, (char *)text);
    g_array_append_val(p->window, b->windows);
    g_array_append_val(p->time, time);
    b->label[b->windows++] = label;
    p->n++;
}

// Loss of a batch; gradients are added.
static double train_batch(Toy *t, const SeamBatch *batch) {
    const SeamClassify *head = &t->model->task[0].classify;
    SeamPass pass;
    SeamClassifyOut out;
    SeamClassifySaved saved;
    double loss = 0, balance = 0;
    float dlogits[2 * TEXTS];
    t->arena.used = 0;
    toy_ok(seam_pass_encode(t->model, &t->run, batch, true, NULL, &pass));
    toy_ok(seam_pass_fuse(t->model, &t->run, batch, true, &pass));
    toy_ok(seam_classify_forward(head, &t->run, &pass.fused, &out, &saved));
    for (int32_t w = 0; w < batch->windows; w++)
        loss += toy_loss(t, out.logits + 2 * w, batch->label[w], 1.0 / batch->windows, dlogits + 2 * w) / batch->windows;
    float *dfused = SEAM_NEW(&t->arena, float, (size_t)pass.fused.n * DIM);
    toy_ok(dfused ? SEAM_OK : SEAM_NO_MEMORY);
    toy_ok(seam_classify_backward(head, &t->run, &saved, dlogits, dfused));
    toy_ok(seam_pass_backward(t->model, &t->run, batch, &pass, dfused, 0.01f, &balance));
    return loss;
}

// Lengths are drawn evenly by their logarithm, up to a most that grows.
static void train(Toy *t) {
    double mean = 0, begun = ablation_seconds();
    SeamBatch *batch = seam_batch_new(&t->model->config, TEXTS, NULL);
    for (int step = 0; step < STEPS; step++) {
        char *text[TEXTS];
        double most = 2 * SHORTEST * pow(LONGEST / (2.0 * SHORTEST), MIN(1.25 * step / STEPS, 1));
        seam_batch_reset(batch);
        for (int i = 0; i < TEXTS; i++) {
            uint64_t seed = (uint64_t)(step * TEXTS + i);
            SeamRandom random = seam_random(seed, 9);
            int32_t bytes = (int32_t)(SHORTEST * pow(most / SHORTEST, seam_random_uniform(&random))), kind = seam_random_below(&random, 2);
            text[i] = make_log(seed, bytes, seam_random_below(&random, bytes), kind);
            add_text(batch, text[i], kind);
        }
        mean += train_batch(t, batch) / 100;
        toy_step(t, step, STEPS, 4e-3);
        for (int i = 0; i < TEXTS; i++)
            g_free(text[i]);
        if (step % 100 == 99) {
            fprintf(stderr, "step %d: loss %.4f, %.1f s\n", step + 1, mean, ablation_seconds() - begun);
            mean = 0;
        }
    }
    seam_batch_free(batch);
}

// ---- judging --------------------------------------------------------------------------------------------------------------------------------------

typedef struct {
    const SeamModel *model;
    SeamArena arena; // as large as a chunk needs
    SeamRun run;
    SeamCarry carry;
    const char *text;
    bool carried;
    int32_t verdict;
} Stream;

static void stream_open(Stream *s, const Toy *t) {
    size_t bytes = seam_model_embed_bytes(t->model, 0, 1, false) + seam_model_encode_bytes(t->model, WORDS, false) +
                   seam_model_fuse_bytes(t->model, WORDS, false) + seam_classify_bytes(&t->model->task[0].classify, WORDS, 1, false);
    *s = (Stream){.model = t->model, .carried = true};
    toy_ok(seam_arena_init(&s->arena, bytes) && seam_carry_init(&s->carry, &t->model->config, NULL) ? SEAM_OK : SEAM_NO_MEMORY);
    s->run = (SeamRun){t->run.kernels, &s->arena, {0}};
}

static void judge(void *data) {
    Stream *s = data;
    SeamTextCursor cursor = seam_text_open(&s->model->embed[0].text, s->text, strlen(s->text));
    const int32_t window_of = 0;
    const double time = 0;
    SeamTokens tokens, fused;
    SeamClassifyOut out;
    seam_carry_reset(&s->carry);
    do {
        s->arena.used = 0;
        toy_ok(seam_model_embed_chunk(s->model, &s->run, 0, &cursor, time, &tokens));
        toy_ok(seam_model_encode_stream(s->model, &s->run, 0, LAYERS - 1, &tokens, NULL, &s->carry));
        if (!s->carried)
            seam_carry_reset(&s->carry);
    } while (cursor.words > 0);
    toy_ok(seam_model_fuse(s->model, &s->run, &tokens, 1, &window_of, &time, &fused, NULL));
    toy_ok(seam_classify_forward(&s->model->task[0].classify, &s->run, &fused, &out, NULL));
    s->verdict = out.logits[1] > out.logits[0];
}

// The line stands in the first fifth of a log, which is never in its last chunk.
static double accuracy(Stream *s, int32_t bytes, bool carried) {
    int32_t right = 0;
    s->carried = carried;
    for (int32_t i = 0; i < CASES; i++) {
        SeamRandom random = seam_random(1u << 24 | (uint64_t)i, 9);
        g_autofree char *text = make_log(1u << 24 | (uint64_t)i, bytes, seam_random_below(&random, bytes / 5), i % 2);
        s->text = text;
        judge(s);
        right += s->verdict == i % 2;
    }
    s->carried = true;
    return (double)right / CASES;
}

// Arena that the text takes as one batch, MiB.
static double whole_mb(const Toy *t, const char *text) {
    const double time = 0;
    SeamTokens tokens;
    SeamArena arena;
    toy_ok(seam_arena_init(&arena, (size_t)2 << 30) ? SEAM_OK : SEAM_NO_MEMORY); // what is not touched costs nothing
    SeamRun run = {t->run.kernels, &arena, {0}};
    toy_ok(seam_model_embed_texts(t->model, &run, 0, 1, &text, &time, &tokens, NULL));
    toy_ok(seam_model_encode(t->model, &run, 0, LAYERS - 1, &tokens, NULL, NULL));
    double peak = (double)arena.peak / (1024 * 1024);
    seam_arena_clear(&arena);
    return peak;
}

// What a text of each size takes; returns by how much the process grew from the shortest to the longest.
static double measure(Ablation *a, const Toy *t, Stream *s, double per_kb[SIZES], double chunk[SIZES], double whole[SIZES]) {
    char *text[SIZES];
    double first = 0, grown = 0;
    for (int i = 0; i < SIZES; i++)
        text[i] = make_log(77, (int32_t)sizes[i], 0, 1);
    for (int i = 0; i < SIZES; i++) {
        s->text = text[i];
        per_kb[i] = 1000 * ablation_time(RUNS, judge, s) / (sizes[i] / 1000);
        chunk[i] = (double)s->arena.peak / (1024 * 1024);
        grown = ablation_resident_mb() - first;
        first = i == 0 ? grown : first;
    }
    ablation_table(a, "Time and memory of a log", "bytes", "words", "ms a kB", "working memory in chunks, MiB", "at once, MiB", NULL);
    for (int i = 0; i < SIZES; i++) {
        SeamTextCursor cursor = seam_text_open(&t->model->embed[0].text, text[i], strlen(text[i]));
        whole[i] = whole_mb(t, text[i]);
        fprintf(stderr, "%.0f bytes: %.3f ms a kB, %.2f MiB, at once %.1f MiB\n", sizes[i], per_kb[i], chunk[i], whole[i]);
        ablation_row(a, "ddddd", sizes[i], (double)cursor.words, per_kb[i], chunk[i], whole[i]);
        g_free(text[i]);
    }
    return grown;
}

int main(void) {
    double right[SIZES], newest[SIZES], per_kb[SIZES], ms[SIZES], chunk[SIZES], whole[SIZES];
    Toy toy;
    Stream stream;
    SeamConfig config = make_config();
    seam_pool_set_threads(1); // a chunk is too little for two
    Ablation *a = ablation_new("Documents and logs of 50,000 bytes are read through a scan and chunks at bounded memory.");
    toy_open(&toy, &config, 1, (size_t)1 << 30);
    stream_open(&stream, &toy);
    train(&toy);
    ablation_table(a, "Right verdicts of 60 logs (chance 0.5)", "bytes", "scan and chunks", "newest chunk alone", NULL);
    for (int i = 0; i < SIZES; i++) {
        right[i] = accuracy(&stream, (int32_t)sizes[i], true);
        newest[i] = accuracy(&stream, (int32_t)sizes[i], false);
        fprintf(stderr, "%.0f bytes: %.2f, newest chunk alone %.2f\n", sizes[i], right[i], newest[i]);
        ablation_row(a, "ddd", sizes[i], right[i], newest[i]);
    }
    double growth = measure(a, &toy, &stream, per_kb, chunk, whole);
    for (int i = 0; i < SIZES; i++)
        ms[i] = per_kb[i] * sizes[i] / 1000;
    ablation_key(a, "text.with_scan", right[ASKED]);
    ablation_key(a, "text.without", newest[ASKED]);
    ablation_key(a, "text.memory_growth_mb", growth);
    ablation_key(a, "text.exponent", ablation_exponent(SIZES, sizes, ms));
    ablation_plot(a, "Time of a log against its length", "bytes", "ms", true);
    ablation_series(a, "in chunks", SIZES, sizes, ms);
    ablation_plot(a, "Working memory against the length of a log", "bytes", "MiB", true);
    ablation_series(a, "in chunks", SIZES, sizes, chunk);
    ablation_series(a, "at once", SIZES, sizes, whole);
    ablation_finding(a, "In logs of %.0f bytes the verdict that one line of the first fifth decides is right in %.0f %% of the cases, and in %.0f %% "
                     "where the newest %d words are all that is known; in logs of %.0f bytes, longer than any of training, in %.0f %%.",
                     sizes[ASKED], 100 * right[ASKED], 100 * newest[ASKED], WORDS, sizes[SIZES - 1], 100 * right[SIZES - 1]);
    ablation_finding(a, "From a log of %.0f bytes to one of %.0f the process grows by %.2f MiB, working memory is %.2f and %.2f MiB, and time grows with "
                     "the length to the power of %.2f (%.2f ms a kB at last).", sizes[0], sizes[SIZES - 1], growth, chunk[0], chunk[SIZES - 1],
                     ablation_exponent(SIZES, sizes, ms), per_kb[SIZES - 1]);
    seam_carry_clear(&stream.carry);
    seam_arena_clear(&stream.arena);
    toy_close(&toy);
    return ablation_print(a);
}
