// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Long texts in chunks: where they are cut, that a batch of them meets what a stream of them meets, that a scan reads them as one text, what memory
// that takes, and the gradient through all chunks.
#include <glib.h>
#include <string.h>

#include "core/text_chunks.h"
#include "core/train/pass.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { A, B, WORDS = 3, LONG = 50000 }; // modalities, both of text; words of a chunk

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
} Fixture;

static void setup(Fixture *f, SeamMixer first, SeamMixer second) {
    SeamConfig c = small_config();
    GError *error = NULL;
    SeamRandom random = seam_random(5, 5);
    c.mixer[0] = first;
    c.mixer[1] = second;
    c.scan_state = first == SEAM_MIXER_SCAN || second == SEAM_MIXER_SCAN ? 4 : 0;
    c.groups = c.groups_kept = 1;
    c.experts = c.top_k; // no choice, so that differences mean something
    c.n_modalities = 2;
    c.modality[A] = c.modality[B] = c.modality[TEXT];
    strcpy(c.modality[B].name, "notes");
    f->model = seam_model_new(&c, true, 3, &error);
    g_assert_no_error(error);
    draw(f->model->params, &random);
    g_assert_true(seam_arena_init(&f->arena, (size_t)64 << 20));
    f->run = (SeamRun){seam_kernels_cpu(), &f->arena};
}

static void teardown(Fixture *f) {
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
}

static SeamTokens embed(Fixture *f, const char *text) {
    const double time = 1.5;
    SeamTokens t;
    assert_ok(seam_model_embed_texts(f->model, &f->run, A, 1, &text, &time, &t, NULL));
    return t;
}

static char *numbered(size_t bytes) {
    GString *s = g_string_new("line");
    for (int32_t i = 0; s->len < bytes; i++)
        g_string_append_printf(s, " w%d,", i * 7 % 1000);
    return g_string_free(s, FALSE);
}

static void assert_near_all(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-5f * (1 + fabsf(b[i]))))
            g_error("value %zu: %g and %g", i, (double)a[i], (double)b[i]);
}

// ---- the cut ------------------------------------------------------------------------------------

// Each chunk is what its own words alone would be, and the first one is the short one.
static void test_cut(void) {
    static const struct {
        const char *text;
        const char *chunk[4];
    } cases[] = {{"", {""}},
                 {"a", {"a"}},
                 {"a b 1.5", {"a b 1.5"}},
                 {"a b c d", {"a", "b c d"}},
                 {"a b. c,d e  f g h\n", {"a b", "c d e", "f g h"}},
                 {"a b c d e f g h i", {"a b c", "d e f", "g h i"}}};
    Fixture f;
    setup(&f, SEAM_MIXER_GLOBAL, SEAM_MIXER_SCAN);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        SeamTokens t = embed(&f, cases[i].text);
        for (int32_t s = 0; s < t.seqs; s++) {
            g_assert_nonnull(cases[i].chunk[s]);
            SeamTokens alone = embed(&f, cases[i].chunk[s]);
            int32_t n = t.seq_start[s + 1] - t.seq_start[s];
            g_assert_cmpint(alone.n, ==, n);
            g_assert_cmpint(alone.seqs, ==, 1);
            g_assert_null(alone.seq_follows);
            assert_near_all(t.x + t.seq_start[s] * DIM, alone.x, (size_t)n * DIM);
            g_assert_cmpfloat(t.seq_time[s], ==, 1.5);
            g_assert_true(t.seqs == 1 ? t.seq_follows == NULL : t.seq_follows[s] == (s > 0 ? SEAM_FOLLOWS_CHUNK : SEAM_FOLLOWS_NONE));
        }
        g_assert_null(cases[i].chunk[t.seqs]);
        f.arena.used = 0;
    }
    teardown(&f);
}

// Without a scan nothing would remember older words, so that they are passed over.
static void test_no_scan(void) {
    Fixture f;
    setup(&f, SEAM_MIXER_GLOBAL, SEAM_MIXER_LOCAL);
    SeamTokens t = embed(&f, "a b c d e f g"), newest = embed(&f, "e f g");
    g_assert_cmpint(t.n, ==, WORDS);
    g_assert_cmpint(t.seqs, ==, 1);
    g_assert_null(t.seq_follows);
    g_assert_cmpmem(t.x, WORDS * DIM * sizeof(float), newest.x, WORDS * DIM * sizeof(float));
    SeamTextCursor c = seam_text_open(&f.model->embed[A].text, "a b c d e", 9);
    g_assert_cmpint(c.words, ==, WORDS);
    g_assert_cmpint(c.passed, ==, 2);
    teardown(&f);
}

// No byte behind the text is looked at, and a byte 0 is a byte.
static void test_bytes(void) {
    Fixture f;
    setup(&f, SEAM_MIXER_SCAN, SEAM_MIXER_SCAN);
    const SeamTextEmbed *e = &f.model->embed[A].text;
    static const struct {
        const char *text;
        size_t size;
        int32_t words;
    } cases[] = {{"12.5 x", 3, 1}, {"12.5x", 4, 1}, {"a\0b", 3, 2}, {"\0\0", 2, 0}, {NULL, 0, 0}, {"\xff\xfe \xc3", 4, 2}, {"1.2.3,4", 7, 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *exact = g_memdup2(cases[i].text, cases[i].size); // so that a sanitiser sees what is read behind it
        SeamTokens t;
        SeamTextCursor c = seam_text_open(e, exact, cases[i].size);
        g_assert_cmpint(c.words, ==, cases[i].words);
        assert_ok(seam_model_embed_chunk(f.model, &f.run, A, &c, 0, &t));
        g_assert_cmpint(t.n, ==, cases[i].words);
        g_assert_cmpint(c.words, ==, 0);
    }
    SeamTokens cut, whole = embed(&f, "12");
    SeamTextCursor c = seam_text_open(e, "12.5", 3);
    assert_ok(seam_model_embed_chunk(f.model, &f.run, A, &c, 0, &cut));
    g_assert_cmpmem(cut.x, DIM * sizeof(float), whole.x, DIM * sizeof(float));
    teardown(&f);
}

// ---- a text and its stream ----------------------------------------------------------------------

// The last chunk after all layers, from a stream of chunks.
static SeamTokens stream(Fixture *f, const char *text, SeamCarry *carry) {
    SeamTextCursor c = seam_text_open(&f->model->embed[A].text, text, strlen(text));
    SeamTokens t;
    seam_carry_reset(carry);
    do {
        f->arena.used = 0;
        assert_ok(seam_model_embed_chunk(f->model, &f->run, A, &c, 0, &t));
        assert_ok(seam_model_encode_stream(f->model, &f->run, 0, 1, &t, NULL, carry));
    } while (c.words > 0);
    return t;
}

static void add_text(SeamBatch *b, int32_t modality, int32_t window, const char *text) {
    SeamBatchPart *p = &b->part[modality];
    double time = b->time[window] + 0.5;
    g_ptr_array_add(p->text, (char *)text);
    g_array_append_val(p->window, window);
    g_array_append_val(p->time, time);
    p->n++;
}

// Two windows: long texts of two modalities, short ones between them, and one without words.
static SeamBatch *make_batch(const SeamConfig *config, const char *text) {
    SeamBatch *b = seam_batch_new(config, 2, NULL);
    b->windows = 2;
    b->time[1] = 2;
    add_text(b, A, 0, "gas low");
    add_text(b, A, 0, text);
    add_text(b, A, 1, "one two three four");
    add_text(b, B, 0, "...");
    add_text(b, B, 1, text);
    add_text(b, B, 1, "ok");
    return b;
}

static const SeamMixer pairs[][2] = {{SEAM_MIXER_SCAN, SEAM_MIXER_SCAN}, {SEAM_MIXER_SCAN, SEAM_MIXER_GLOBAL}, {SEAM_MIXER_LOCAL, SEAM_MIXER_SCAN}};

// What training and judging from files make of a text is what a stream makes of it, whatever the layers.
static void test_batch_is_stream(void) {
    g_autofree char *text = numbered(600);
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
        for (int32_t train = 0; train < 2; train++) {
            Fixture f;
            SeamCarry carry;
            SeamPass pass;
            float last[WORDS * DIM];
            setup(&f, pairs[i][0], pairs[i][1]);
            g_assert_true(seam_carry_init(&carry, &f.model->config, NULL));
            memcpy(last, stream(&f, text, &carry).x, sizeof last);
            f.arena.used = 0;
            SeamBatch *batch = make_batch(&f.model->config, text);
            assert_ok(seam_pass_encode(f.model, &f.run, batch, train, NULL, &pass));
            g_assert_cmpint(pass.encoded.n, ==, 2 + 3 + 3 + 0 + 3 + 1);
            g_assert_cmpint(pass.first[1], ==, 8);
            g_assert_cmpint(pass.first[2], ==, 12);
            assert_near_all(pass.encoded.x + 2 * DIM, last, WORDS * DIM);
            for (int32_t s = 0; s < pass.encoded.seqs; s++)
                g_assert_cmpint(pass.window_of[s], ==, pass.encoded.seq_time[s] > 2);
            assert_ok(seam_pass_fuse(f.model, &f.run, batch, train, &pass));
            g_assert_cmpint(pass.fused.seq_start[1], ==, 2 + 3);
            seam_batch_free(batch);
            seam_carry_clear(&carry);
            teardown(&f);
        }
}

// Where all layers scan, chunks are one text.
static void test_one_text(void) {
    g_autofree char *text = numbered(3000);
    Fixture f;
    SeamCarry carry;
    float last[WORDS * DIM];
    setup(&f, SEAM_MIXER_SCAN, SEAM_MIXER_SCAN);
    g_assert_true(seam_carry_init(&carry, &f.model->config, NULL));
    memcpy(last, stream(&f, text, &carry).x, sizeof last);
    f.model->embed[A].text.max_tokens = 100000;
    SeamTokens whole = embed(&f, text);
    g_assert_cmpint(whole.seqs, ==, 1);
    assert_ok(seam_model_encode(f.model, &f.run, 0, 1, &whole, NULL, NULL));
    assert_near_all(last, whole.x + (whole.n - WORDS) * DIM, WORDS * DIM);
    SeamTokens forgetful = embed(&f, strrchr(text, ' ')); // and what came before was not for nothing
    assert_ok(seam_model_encode(f.model, &f.run, 0, 1, &forgetful, NULL, NULL));
    g_assert_cmpfloat(fabsf(forgetful.x[0] - whole.x[(whole.n - 1) * DIM]), >, 1e-3f);
    seam_carry_clear(&carry);
    teardown(&f);
}

// The memory of a chunk is enough for a text of any length.
static void test_memory(void) {
    Fixture f;
    SeamCarry carry;
    size_t peak = 0;
    setup(&f, SEAM_MIXER_SCAN, SEAM_MIXER_GLOBAL);
    size_t planned = seam_model_embed_bytes(f.model, A, 1, false) + seam_model_encode_bytes(f.model, WORDS, false);
    seam_arena_clear(&f.arena);
    g_assert_true(seam_arena_init(&f.arena, planned));
    g_assert_true(seam_carry_init(&carry, &f.model->config, NULL));
    for (size_t bytes = 500; bytes <= LONG; bytes *= 10) {
        g_autofree char *text = numbered(bytes);
        stream(&f, text, &carry);
        g_assert_cmpuint(f.arena.peak, <=, planned);
        g_assert_true(peak == 0 || f.arena.peak == peak);
        peak = f.arena.peak;
    }
    seam_carry_clear(&carry);
    teardown(&f);
}

// ---- the gradient -------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamBatch *batch;
    float weight[12 * DIM];
} Case;

static double pass_loss(void *data, bool backward) {
    Case *c = data;
    SeamPass pass;
    double balance = 0;
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_pass_encode(c->f.model, &c->f.run, c->batch, true, NULL, &pass));
    assert_ok(seam_pass_fuse(c->f.model, &c->f.run, c->batch, true, &pass));
    g_assert_cmpint(pass.fused.n, ==, 12);
    if (backward)
        assert_ok(seam_pass_backward(c->f.model, &c->f.run, c->batch, &pass, c->weight, 0, &balance));
    double loss = weighted(pass.fused.x, c->weight, 12 * DIM);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

// Through all chunks and both mixers, to the table of words that stand in the first chunk alone.
static void test_gradient(void) {
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        Case c;
        SeamRandom random = seam_random(8, i);
        setup(&c.f, pairs[i][0], pairs[i][1]);
        c.f.run.kernels = seam_kernels_ref();
        c.batch = make_batch(&c.f.model->config, "early, then five more words came");
        fill(&random, c.weight, G_N_ELEMENTS(c.weight), 1);
        small = 0.5;
        check_params(c.f.model->params, 12, pass_loss, &c);
        small = 0.1;
        seam_batch_free(c.batch);
        teardown(&c.f);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text-chunks/cut", test_cut);
    g_test_add_func("/text-chunks/no-scan", test_no_scan);
    g_test_add_func("/text-chunks/bytes", test_bytes);
    g_test_add_func("/text-chunks/batch-is-stream", test_batch_is_stream);
    g_test_add_func("/text-chunks/one-text", test_one_text);
    g_test_add_func("/text-chunks/memory", test_memory);
    g_test_add_func("/text-chunks/gradient", test_gradient);
    return g_test_run();
}
