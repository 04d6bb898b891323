// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gradients of the layers between the front ends and the heads, and of the whole chain, against finite differences through the ref
// kernels. Routes are choices, not functions: every case watches them, because a step of the differences that changes one says nothing.
#include <glib.h>
#include <string.h>

#include "core/model.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { N = 7 };

// ---- fixture ------------------------------------------------------------------------------------

typedef struct {
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    SeamPlace place[N];
    int32_t seq_start[4];
    double seq_time[3];
    SeamTokens tokens; // N of three sequences: a picture, nothing, a text of two words
    float x[N * 3 * DIM], weight[N * 3 * DIM], dx[N * 3 * DIM];
} Fixture;

static void setup(Fixture *f, uint64_t seed) {
    memset(f, 0, sizeof *f);
    f->config = small_config();
    f->params = seam_params_new();
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    f->random = seam_random(seed, 1);
    f->tokens = (SeamTokens){
        .n = N, .dim = DIM, .seqs = 3, .seq_start = f->seq_start, .seq_time = f->seq_time, .place = f->place};
    f->seq_start[1] = f->seq_start[2] = 5;
    f->seq_start[3] = N;
    for (int32_t i = 0; i < N; i++)
        f->place[i] = i < 5 ? (SeamPlace){.x = 0.25f + 0.5f * ((i + 1) & 1),
                                          .y = 0.25f + 0.5f * (i > 2),
                                          .domain = i ? SEAM_DOMAIN_PATCH : SEAM_DOMAIN_SUMMARY}
                            : (SeamPlace){.modality = TEXT, .domain = SEAM_DOMAIN_WORD};
    fill(&f->random, f->x, G_N_ELEMENTS(f->x), 1);
    fill(&f->random, f->weight, G_N_ELEMENTS(f->weight), 1);
}

static void teardown(Fixture *f) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
}

// ---- linear and norm ----------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamLinear linear;
    SeamNorm norm;
    bool accumulate;
} PlainCase;

static double linear_loss(void *data, bool backward) {
    PlainCase *c = data;
    float y[N * 3];
    assert_ok(seam_linear_forward(&c->linear, &c->f.run, N, c->f.x, y));
    if (backward)
        assert_ok(seam_linear_backward(&c->linear, &c->f.run, N, c->f.x, c->f.weight, c->f.dx, c->accumulate));
    return weighted(y, c->f.weight, N * 3);
}

static void test_linear(void) {
    for (int bias = 0; bias < 2; bias++) {
        PlainCase c = {0};
        setup(&c.f, 3);
        seam_linear_declare(&c.linear, c.f.params, "linear", DIM, 3, bias);
        draw(c.f.params, &c.f.random);
        check_params(c.f.params, SIZE_MAX, linear_loss, &c);
        check_values("x", c.f.x, c.f.dx, N * DIM, SIZE_MAX, linear_loss, &c);
        float once[N * DIM];
        memcpy(once, c.f.dx, sizeof once);
        c.accumulate = true;
        linear_loss(&c, true);
        for (int i = 0; i < N * DIM; i++)
            g_assert_cmpfloat_with_epsilon(c.f.dx[i], 2 * once[i], 1e-4);
        teardown(&c.f);
    }
}

static double norm_loss(void *data, bool backward) {
    PlainCase *c = data;
    float y[N * DIM], mean[N], rstd[N];
    assert_ok(seam_norm_forward(&c->norm, &c->f.run, N, c->f.x, y, mean, rstd));
    if (backward) {
        memset(c->f.dx, 0, sizeof c->f.dx); // the layer adds to it
        assert_ok(seam_norm_backward(&c->norm, &c->f.run, N, c->f.x, mean, rstd, c->f.weight, c->f.dx));
    }
    return weighted(y, c->f.weight, N * DIM);
}

static void test_norm(void) {
    PlainCase c = {0};
    setup(&c.f, 4);
    seam_norm_declare(&c.norm, c.f.params, "norm", DIM);
    draw(c.f.params, &c.f.random);
    check_params(c.f.params, SIZE_MAX, norm_loss, &c);
    check_values("x", c.f.x, c.f.dx, N * DIM, SIZE_MAX, norm_loss, &c);
    teardown(&c.f);
}

// ---- attention ----------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamAttentionLayer layer;
    SeamPattern pattern;
    float threshold;
    int32_t closed; // gates below the threshold
} AttentionCase;

static double attention_loss(void *data, bool backward) {
    AttentionCase *c = data;
    SeamAttentionSaved saved;
    float y[N * DIM] = {0};
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_attention_forward(&c->layer, &c->f.run, &c->pattern, c->threshold, c->f.x, y, &saved));
    int32_t closed = 0;
    for (int32_t i = 0; i < N * HEADS; i++)
        closed += saved.gate[i] < c->threshold;
    if (backward) {
        c->closed = closed;
        assert_ok(seam_attention_backward(&c->layer, &c->f.run, &saved, c->f.weight, c->f.dx));
    }
    g_assert_cmpint(closed, ==, c->closed);
    seam_arena_release(&c->f.arena, mark);
    return weighted(y, c->f.weight, N * DIM);
}

static void check_attention(AttentionCase *c) {
    draw(c->f.params, &c->f.random);
    check_params(c->f.params, SIZE_MAX, attention_loss, c);
    check_values("x", c->f.x, c->f.dx, N * DIM, SIZE_MAX, attention_loss, c);
}

static void setup_attention(AttentionCase *c, uint64_t seed) {
    memset(c, 0, sizeof *c);
    setup(&c->f, seed);
    seam_attention_declare(&c->layer, c->f.params, "attention", DIM, HEADS);
    c->pattern = seam_pattern_dense(&c->f.tokens);
}

static void test_attention_dense(void) {
    AttentionCase c;
    size_t kept;
    setup_attention(&c, 5);
    check_attention(&c);
    size_t scratch = seam_attention_bytes(&c.layer, N, true, &kept);
    g_assert_cmpuint(c.f.arena.peak, <=, scratch + kept);
    teardown(&c.f);
}

static void test_attention_local(void) {
    AttentionCase c;
    setup_attention(&c, 6);
    assert_ok(seam_pattern_local(&c.f.config, &c.f.arena, &c.f.tokens, &c.pattern));
    check_attention(&c);
    teardown(&c.f);
}

// Token 3 sees nobody: it gives the bias of the output alone.
static void test_attention_no_keys(void) {
    AttentionCase c;
    const int32_t start[N + 1] = {0, 1, 2, 4, 4, 5, 6, 7}, index[] = {0, 4, 0, 1, 2, 5, 5};
    setup_attention(&c, 7);
    c.pattern.key_start = (int32_t *)start;
    c.pattern.key_index = (int32_t *)index;
    check_attention(&c);
    teardown(&c.f);
}

// Half of the heads are closed: neither they nor what leads to them has a gradient, and none of it reaches the output.
static void test_attention_gates(void) {
    AttentionCase c;
    setup_attention(&c, 33);
    c.threshold = 0.5f;
    check_attention(&c);
    g_assert_cmpint(c.closed, >, 4);
    g_assert_cmpint(c.closed, <, N * HEADS - 4);
    teardown(&c.f);
}

// ---- mixture of experts -------------------------------------------------------------------------

// A fingerprint of the choices, to see that a step did not change one.
static uint64_t hash_choices(uint64_t hash, const SeamMoeSaved *saved, int32_t top_k) {
    for (int32_t i = 0; i < saved->n * top_k; i++)
        hash = (hash ^ (uint64_t)saved->index[i]) * 1099511628211u;
    return hash;
}

static double balance_value(const SeamMoe *moe, const SeamMoeSaved *s) {
    double loss = 0;
    for (int32_t e = 0; e < moe->experts; e++) {
        double sum = 0;
        for (int32_t i = 0; i < s->n; i++)
            sum += (double)s->probs[i * moe->experts + e] / s->n;
        loss += moe->experts * sum * (s->start[e + 1] - s->start[e]) / ((double)s->n * moe->top_k);
    }
    return loss;
}

typedef struct {
    Fixture f;
    SeamMoe moe;
    float balance;
    uint64_t choices;
    bool changed; // a step of the differences changed a route
} MoeCase;

static double moe_loss(void *data, bool backward) {
    MoeCase *c = data;
    SeamMoeSaved saved;
    float y[N * DIM] = {0};
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_moe_forward(&c->moe, &c->f.run, N, c->f.x, y, NULL, &saved));
    uint64_t choices = hash_choices(1, &saved, c->moe.top_k);
    double balance = balance_value(&c->moe, &saved), loss = 0;
    if (backward) {
        c->choices = choices;
        c->changed = false;
        assert_ok(seam_moe_backward(&c->moe, &c->f.run, &saved, c->balance, &loss, c->f.weight, c->f.dx));
        g_assert_cmpfloat_with_epsilon(loss, balance, 1e-6);
    }
    c->changed = c->changed || choices != c->choices;
    seam_arena_release(&c->f.arena, mark);
    return weighted(y, c->f.weight, N * DIM) + (double)c->balance * balance;
}

static void check_moe(float balance, int32_t groups, int32_t kept, int32_t top_k, uint64_t seed) {
    MoeCase c = {.balance = balance};
    size_t stays;
    setup(&c.f, seed);
    c.f.config.groups = groups;
    c.f.config.groups_kept = kept;
    c.f.config.top_k = top_k;
    seam_moe_declare(&c.moe, c.f.params, &c.f.config, 0, NULL);
    draw(c.f.params, &c.f.random);
    for (int32_t e = 0; e < c.moe.experts; e++) // apart from the probabilities, which differ by less
        c.moe.balance->data[e] = 0.5f * (float)(e * 5 % 6);
    seam_params_zero_grad(c.f.params);
    moe_loss(&c, true);
    for (guint i = 0; i < c.f.params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(c.f.params->tensors, i);
        if (t == c.moe.balance) // outside the gradient by design
            for (size_t j = 0; j < t->size; j++)
                g_assert_cmpfloat(t->grad[j], ==, 0);
        else
            check_values(t->name, t->data, t->grad, t->size, SIZE_MAX, moe_loss, &c);
    }
    check_values("x", c.f.x, c.f.dx, N * DIM, SIZE_MAX, moe_loss, &c);
    g_assert_false(c.changed);
    size_t scratch = seam_moe_bytes(&c.moe, N, true, &stays);
    g_assert_cmpuint(c.f.arena.peak, <=, scratch + stays);
    teardown(&c.f);
}

static void test_moe(void) {
    check_moe(0, 3, 2, 2, 9);
    check_moe(0, 1, 1, 6, 9);
    check_moe(0, 6, 1, 1, 9);
}

static void test_moe_balance(void) {
    check_moe(0.7f, 3, 2, 2, 10);
}

// Only where a route stays is there a derivative; that must be most places.
static void check_where_routes_stay(const char *name, float *x, const float *grad, size_t n, MoeCase *c) {
    size_t checked = 0;
    for (size_t i = 0; i < n; i++) {
        c->changed = false;
        double want = difference(moe_loss, c, x + i);
        if (!c->changed)
            assert_near(name, i, grad[i], want);
        checked += !c->changed;
    }
    g_assert_cmpuint(2 * checked, >, n);
}

// Without the balance bias the probabilities choose: every token its own experts.
static void test_moe_free(void) {
    for (int32_t groups = 1; groups <= 3; groups += 2) {
        MoeCase c = {.balance = 0.3f};
        setup(&c.f, 11);
        c.f.config.groups = groups;
        c.f.config.groups_kept = groups == 1 ? 1 : 2;
        seam_moe_declare(&c.moe, c.f.params, &c.f.config, 0, NULL);
        draw(c.f.params, &c.f.random);
        memset(c.moe.balance->data, 0, (size_t)c.moe.experts * sizeof(float));
        moe_loss(&c, true);
        check_where_routes_stay("x", c.f.x, c.f.dx, N * DIM, &c);
        check_where_routes_stay("a", c.moe.a->data, c.moe.a->grad, c.moe.a->size, &c);
        check_where_routes_stay("b", c.moe.b->data, c.moe.b->grad, c.moe.b->size, &c);
        teardown(&c.f);
    }
}

// Experts with less than their share rise, the others fall; the share itself is 1 for an even load.
static void test_moe_bias(void) {
    MoeCase c = {0};
    const float load[6] = {4, 0, 2, 2, 1, 3};
    const float want[6] = {-0.1f, 0.1f, 0, 0, 0.1f, -0.1f};
    setup(&c.f, 12);
    seam_moe_declare(&c.moe, c.f.params, &c.f.config, 0, NULL);
    g_assert_true(seam_params_allocate(c.f.params, true, NULL));
    seam_moe_update_bias(&c.moe, load, 0.1f);
    g_assert_cmpmem(c.moe.balance->data, sizeof want, want, sizeof want);
    teardown(&c.f);
}

// ---- encoder layer ------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamEncoderLayer layer;
    SeamPattern pattern;
    uint64_t choices;
} EncoderCase;

static double encoder_loss(void *data, bool backward) {
    EncoderCase *c = data;
    SeamEncoderSaved saved;
    float x[N * DIM];
    double balance = 0;
    size_t mark = seam_arena_mark(&c->f.arena);
    memcpy(x, c->f.x, sizeof x);
    assert_ok(seam_encoder_forward(&c->layer, &c->f.run, &c->pattern, NULL, x, NULL, &saved));
    uint64_t choices = hash_choices(1, &saved.moe, c->layer.moe.top_k);
    if (backward) {
        c->choices = choices;
        memcpy(c->f.dx, c->f.weight, N * DIM * sizeof(float));
        assert_ok(seam_encoder_backward(&c->layer, &c->f.run, &saved, 0.2f, &balance, c->f.dx));
    }
    g_assert_cmpuint(choices, ==, c->choices); // else choose another seed
    double loss = weighted(x, c->f.weight, N * DIM) + (double)0.2f * balance_value(&c->layer.moe, &saved.moe);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

// The balance bias decides which experts are chosen, so that no step changes it.
static void fix_routes(SeamTensor *balance) {
    for (size_t e = 0; e < balance->size; e++)
        balance->data[e] = 2 * (float)(e * 5 % 6);
}

static void check_but_balance(SeamParams *params, size_t most, Loss loss, void *data) {
    seam_params_zero_grad(params);
    loss(data, true);
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        if (!g_str_has_suffix(t->name, "router.bias"))
            check_values(t->name, t->data, t->grad, t->size, most, loss, data);
    }
}

static void test_encoder(void) {
    for (int32_t local = 0; local < 2; local++) {
        EncoderCase c = {0};
        size_t kept;
        setup(&c.f, 13);
        c.pattern = seam_pattern_dense(&c.f.tokens);
        if (local)
            assert_ok(seam_pattern_local(&c.f.config, &c.f.arena, &c.f.tokens, &c.pattern));
        size_t before = c.f.arena.used;
        seam_encoder_declare(&c.layer, c.f.params, &c.f.config, 0, NULL);
        draw(c.f.params, &c.f.random);
        fix_routes(c.layer.moe.balance);
        check_but_balance(c.f.params, SIZE_MAX, encoder_loss, &c);
        check_values("x", c.f.x, c.f.dx, N * DIM, SIZE_MAX, encoder_loss, &c);
        size_t scratch = seam_encoder_bytes(&c.layer, N, true, &kept);
        if (!local)
            g_assert_cmpuint(c.f.arena.peak - before, <=, scratch + kept);
        teardown(&c.f);
    }
}

// ---- the whole chain ----------------------------------------------------------------------------

enum { MOST = 64, WINDOWS = 2 };

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    uint8_t pixels[2 * 64];
    float samples[2][32];
    SeamSensorWindow window[2];
    float weight[MOST * DIM];
    uint64_t choices;
    int32_t n;
} ChainCase;

typedef struct {
    SeamImageEmbedSaved image;
    SeamSensorEmbedSaved sensor;
    SeamTextEmbedSaved text;
    SeamEncoderSaved encoder[MODALITIES][2];
    SeamFusionSaved fusion;
    SeamTokens stream[MODALITIES]; // encoded
} ChainSaved;

static void chain_embed(ChainCase *c, ChainSaved *s) {
    const double time[2] = {0.5, 2.25};
    const char *const text[2] = {"Gas low", "ok"};
    SeamTokens *t = s->stream;
    assert_ok(seam_model_embed_images(c->model, &c->run, VIDEO, 2, c->pixels, time, &t[VIDEO], &s->image));
    assert_ok(seam_model_embed_windows(c->model, &c->run, SENSORS, 2, c->window, &t[SENSORS], &s->sensor));
    assert_ok(seam_model_embed_texts(c->model, &c->run, TEXT, 2, text, time, &t[TEXT], &s->text));
}

static void chain_backward(ChainCase *c, ChainSaved *s, const SeamTokens *all) {
    float dx[MOST * DIM], *at = dx;
    double balance = 0;
    assert_ok(seam_model_fuse_backward(c->model, &c->run, &s->fusion, c->weight, dx));
    for (int32_t m = 0; m < MODALITIES; at += s->stream[m++].n * DIM) {
        assert_ok(seam_model_encode_backward(c->model, &c->run, 0, 1, s->encoder[m], 0.1f, &balance, at));
        if (m == VIDEO)
            assert_ok(seam_model_embed_images_backward(c->model, &c->run, m, &s->image, at));
        else if (m == SENSORS)
            assert_ok(seam_model_embed_windows_backward(c->model, &c->run, m, &s->sensor, at));
        else
            assert_ok(seam_model_embed_texts_backward(c->model, &c->run, m, &s->text, at));
    }
    g_assert_cmpint(at - dx, ==, all->n * DIM);
}

static double chain_loss(void *data, bool backward) {
    ChainCase *c = data;
    ChainSaved s;
    SeamTokens fused;
    const double window_time[WINDOWS] = {0, 2};
    int32_t window_of[MOST_SEQS];
    double balance = 0;
    uint64_t choices = 1;
    size_t mark = seam_arena_mark(&c->arena);
    chain_embed(c, &s);
    for (int32_t m = 0; m < MODALITIES; m++) {
        assert_ok(seam_model_encode(c->model, &c->run, 0, 1, &s.stream[m], NULL, s.encoder[m]));
        for (int32_t l = 0; l < 2; l++) {
            choices = hash_choices(choices, &s.encoder[m][l].moe, 2);
            balance += balance_value(&c->model->encoder[l].moe, &s.encoder[m][l].moe);
        }
    }
    SeamTokens all = lay_together(&c->arena, &c->model->config, MODALITIES, s.stream, window_of);
    assert_ok(seam_model_fuse(c->model, &c->run, &all, WINDOWS, window_of, window_time, &fused, &s.fusion));
    if (backward) {
        c->choices = choices;
        chain_backward(c, &s, &all);
    }
    g_assert_cmpuint(choices, ==, c->choices);
    c->n = fused.n;
    double loss = weighted(fused.x, c->weight, (size_t)fused.n * DIM) + (double)0.1f * balance;
    seam_arena_release(&c->arena, mark);
    return loss;
}

static void test_chain(void) {
    SeamConfig config = small_config();
    GError *error = NULL;
    ChainCase c = {.random = seam_random(21, 1)};
    c.model = seam_model_new(&config, true, 1, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&c.arena, 1 << 20));
    c.run = (SeamRun){seam_kernels_ref(), &c.arena};
    draw(c.model->params, &c.random);
    fix_routes(c.model->encoder[0].moe.balance);
    fix_routes(c.model->encoder[1].moe.balance);
    for (size_t i = 0; i < sizeof c.pixels; i++)
        c.pixels[i] = (uint8_t)seam_random_below(&c.random, 256);
    for (int32_t w = 0; w < 2; w++) {
        fill(&c.random, c.samples[w], 32, 1);
        c.window[w] = (SeamSensorWindow){.time = 2 * w, .samples = 16, .x = c.samples[w], .valid = 16};
    }
    fill(&c.random, c.weight, G_N_ELEMENTS(c.weight), 1);
    small = 0.5;
    check_but_balance(c.model->params, 12, chain_loss, &c);
    small = 0.1;
    g_assert_cmpint(c.n, ==, 2 * 5 + 2 * 8 + 3);
    seam_model_free(c.model);
    seam_arena_clear(&c.arena);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gradients/linear", test_linear);
    g_test_add_func("/gradients/norm", test_norm);
    g_test_add_func("/gradients/attention/dense", test_attention_dense);
    g_test_add_func("/gradients/attention/local", test_attention_local);
    g_test_add_func("/gradients/attention/no-keys", test_attention_no_keys);
    g_test_add_func("/gradients/attention/gates", test_attention_gates);
    g_test_add_func("/gradients/moe", test_moe);
    g_test_add_func("/gradients/moe/balance", test_moe_balance);
    g_test_add_func("/gradients/moe/free", test_moe_free);
    g_test_add_func("/gradients/moe/bias", test_moe_bias);
    g_test_add_func("/gradients/encoder", test_encoder);
    g_test_add_func("/gradients/chain", test_chain);
    return g_test_run();
}
