// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Dynamic paths: exit heads (gradients, what leaves, what the others then are, layers in two parts) and experts left out by mass.
#include <glib.h>
#include <string.h>

#include "core/model.h"
#include "core/train/exits.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { N = 11, SEQS = 4, LAYERS = 4, CLASSES = 3 };

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
    SeamPlace place[N];
    int32_t seq_start[SEQS + 1];
    double seq_time[SEQS];
    uint8_t left[SEQS];
    float x[N * DIM], dx[N * DIM], weight[N * DIM];
    SeamTokens tokens; // three texts and an empty one
} Fixture;

static SeamConfig exit_config(void) {
    SeamConfig c = small_config();
    c.layers = LAYERS;
    c.exit_every = 1;
    c.mixer[2] = SEAM_MIXER_LOCAL;
    c.mixer[3] = SEAM_MIXER_GLOBAL;
    c.n_classes = CLASSES;
    c.n_tasks = 1;
    c.task[0] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY};
    for (int32_t k = 0; k < CLASSES; k++)
        g_snprintf(c.class_name[k], SEAM_NAME_LENGTH, "class %d", k);
    return c;
}

static void setup(Fixture *f, const SeamConfig *config, uint64_t seed) {
    static const int32_t starts[] = {0, 4, 4, 7, N};
    GError *error = NULL;
    memset(f, 0, sizeof *f);
    f->model = seam_model_new(config, true, seed, &error);
    g_assert_no_error(error);
    g_assert_true(seam_arena_init(&f->arena, 4 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    f->random = seam_random(seed, 1);
    draw(f->model->params, &f->random);
    memcpy(f->seq_start, starts, sizeof starts);
    for (int32_t i = 0; i < N; i++)
        f->place[i] = (SeamPlace){.t = (float)i, .modality = TEXT, .domain = SEAM_DOMAIN_WORD};
    fill(&f->random, f->x, N * DIM, 1);
    fill(&f->random, f->weight, N * DIM, 1);
    f->tokens = (SeamTokens){.n = N, .dim = DIM, .seqs = SEQS, .x = f->x, .seq_start = f->seq_start, .seq_time = f->seq_time, .place = f->place,
                             .seq_left = f->left};
}

static void teardown(Fixture *f) {
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
}

// ---- the head ---------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamExitLesson lesson;
    SeamBatch batch;
    int32_t label[SEQS], window_of[SEQS];
    float start[N * DIM];
} Case;

static double head_loss(void *data, bool backward) {
    Case *c = data;
    Fixture *f = &c->f;
    SeamExitSaved saved;
    float logits[SEQS * CLASSES];
    size_t mark = seam_arena_mark(&f->arena);
    assert_ok(seam_exit_forward(&f->model->exit[0], &f->run, SEQS, f->seq_start, f->x, logits, &saved));
    if (backward) {
        memset(f->dx, 0, sizeof f->dx);
        assert_ok(seam_exit_backward(&f->model->exit[0], &f->run, &saved, f->x, f->weight, f->dx));
    }
    seam_arena_release(&f->arena, mark);
    return weighted(logits, f->weight, SEQS * CLASSES);
}

static void test_head(void) {
    Case *c = g_new0(Case, 1);
    SeamConfig config = exit_config();
    setup(&c->f, &config, 5);
    check_params(c->f.model->params, 6, head_loss, c);
    check_values("x", c->f.x, c->f.dx, N * DIM, SIZE_MAX, head_loss, c);
    teardown(&c->f);
    g_free(c);
}

static void test_margin(void) {
    g_assert_cmpfloat_with_epsilon(seam_exit_margin(3, (float[]){0, logf(6), logf(3)}), 0.3, 1e-6);
    g_assert_cmpfloat_with_epsilon(seam_exit_margin(2, (float[]){1000, -1000}), 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(seam_exit_margin(2, (float[]){5, 5}), 0, 1e-6);
    g_assert_false(seam_exit_margin(2, (float[]){NAN, 5}) > 0);
}

// ---- training ---------------------------------------------------------------------------------

// Loss of the heads and of the encoder's outputs together; the same sequences leave each time.
static double lesson_loss(void *data, bool backward) {
    Case *c = data;
    Fixture *f = &c->f;
    double balance = 0;
    SeamPass pass = {.encoded = f->tokens, .window_of = c->window_of};
    size_t mark = seam_arena_mark(&f->arena);
    pass.encoded.x = SEAM_NEW(&f->arena, float, N *DIM);
    pass.encoder = SEAM_NEW0(&f->arena, SeamEncoderSaved, LAYERS);
    memcpy(pass.encoded.x, f->x, sizeof f->x);
    c->lesson.random = seam_random(3, 3);
    assert_ok(seam_exits_encode(f->model, &f->run, &c->batch, &pass));
    double loss = weighted(pass.encoded.x, f->weight, N * DIM);
    if (!backward) { // the loss of the heads is known to the backward pass alone; what it adds to the gradients is not wanted now
        float *grad = g_memdup2(f->model->params->grad, f->model->params->size * sizeof *grad), dx[N * DIM];
        memcpy(dx, f->weight, sizeof dx);
        assert_ok(seam_exits_backward(f->model, &f->run, &c->batch, &pass, 0, &balance, dx));
        memcpy(f->model->params->grad, grad, f->model->params->size * sizeof *grad);
        g_free(grad);
    } else {
        memcpy(f->dx, f->weight, sizeof f->dx);
        assert_ok(seam_exits_backward(f->model, &f->run, &c->batch, &pass, 0, &balance, f->dx));
    }
    seam_arena_release(&f->arena, mark);
    return loss + c->lesson.weight * c->lesson.loss;
}

static void test_lesson(void) {
    for (int leave = 0; leave < 2; leave++) {
        Case *c = g_new0(Case, 1);
        SeamConfig config = exit_config();
        const double class_weight[CLASSES] = {1, 2, 0.5};
        config.experts = config.top_k = 2; // no choice, so that no step of the differences changes one
        config.groups = config.groups_kept = 1;
        setup(&c->f, &config, 6);
        for (size_t i = 0; i < c->f.model->params->size; i++) // four layers deep: small steps must stay small
            c->f.model->params->data[i] *= 0.7f;
        c->lesson = (SeamExitLesson){.weight = 2, .smoothing = 0.1, .class_weight = class_weight, .leave = leave ? 0.7 : 0};
        c->batch = (SeamBatch){.config = &c->f.model->config, .windows = SEQS, .label = c->label, .exit = &c->lesson};
        for (int32_t s = 0; s < SEQS; s++) {
            c->window_of[s] = s;
            c->label[s] = s == 3 ? -1 : s % CLASSES;
        }
        check_params(c->f.model->params, 4, lesson_loss, c);
        check_values("x", c->f.x, c->f.dx, N * DIM, 30, lesson_loss, c);
        g_assert_cmpfloat(c->lesson.loss, >, 0.1);
        teardown(&c->f);
        g_free(c);
    }
}

// ---- leaving ----------------------------------------------------------------------------------

static void encode(Fixture *f, int32_t first, int32_t last, float margin) {
    f->run.effort.exit_margin = margin;
    assert_ok(seam_model_encode(f->model, &f->run, first, last, &f->tokens, NULL, NULL));
    g_assert_cmpint(f->tokens.n, ==, N);
    g_assert_cmpint(f->seq_start[SEQS], ==, N);
}

static void assert_rows(const char *what, const Fixture *f, int32_t s, const float *want) {
    for (size_t i = (size_t)f->seq_start[s] * DIM; i < (size_t)f->seq_start[s + 1] * DIM; i++)
        if (f->x[i] != want[i])
            g_error("%s: sequence %d: %g, must be %g", what, s, f->x[i], want[i]);
}

// The margins of each sequence behind each layer, and what the tokens are there when nobody leaves.
static void whole(const SeamConfig *config, uint64_t seed, float after[LAYERS + 1][N * DIM], float margin[LAYERS][SEQS]) {
    Fixture *f = g_new(Fixture, 1);
    setup(f, config, seed);
    memcpy(after[0], f->x, sizeof f->x);
    for (int32_t l = 0; l < LAYERS; l++) {
        float logits[SEQS * CLASSES];
        encode(f, l, l, 0);
        memcpy(after[l + 1], f->x, sizeof f->x);
        if (!seam_exit_at(config, l))
            continue;
        assert_ok(seam_exit_forward(&f->model->exit[l], &f->run, SEQS, f->seq_start, f->x, logits, NULL));
        for (int32_t s = 0; s < SEQS; s++)
            margin[l][s] = seam_exit_margin(CLASSES, logits + s * CLASSES);
    }
    teardown(f);
    g_free(f);
}

static void test_leave(void) {
    static float after[LAYERS + 1][N * DIM], margin[LAYERS][SEQS];
    SeamConfig config = exit_config();
    int32_t depths = 0; // bits of the depths that were seen
    for (uint64_t seed = 1; seed < 9; seed++) {
        whole(&config, seed, after, margin);
        for (float at = 0.1f; at < 0.95f; at += 0.1f)
            for (int32_t split = 0; split < LAYERS; split++) { // 0: all at once; else a second element begins there
                Fixture *f = g_new(Fixture, 1);
                setup(f, &config, seed);
                if (split > 0)
                    encode(f, 0, split - 1, at);
                encode(f, split, LAYERS - 1, at);
                for (int32_t s = 0; s < SEQS; s++) {
                    int32_t depth = LAYERS;
                    for (int32_t l = LAYERS - 2; l >= 0; l--)
                        depth = margin[l][s] > at ? l + 1 : depth;
                    assert_rows("left", f, s, after[depth]);
                    g_assert_cmpint(f->left[s], ==, depth < LAYERS);
                    depths |= s == 1 ? 0 : 1 << depth;
                }
                teardown(f);
                g_free(f);
            }
    }
    g_assert_cmpint(depths, ==, 30); // layers 1, 2, 3 and all 4
}

// What left stays, whatever the element that runs the later layers was told.
static void test_left_stays(void) {
    static float after[LAYERS + 1][N * DIM], margin[LAYERS][SEQS];
    SeamConfig config = exit_config();
    whole(&config, 2, after, margin);
    Fixture *f = g_new(Fixture, 1);
    setup(f, &config, 2);
    f->left[2] = 1;
    encode(f, 0, LAYERS - 1, 0);
    assert_rows("left before", f, 2, after[0]);
    assert_rows("not left", f, 0, after[LAYERS]);
    assert_rows("not left", f, 3, after[LAYERS]);
    teardown(f);
    g_free(f);
}

static void test_memory(void) { // what is planned is enough
    SeamConfig config = exit_config();
    for (uint64_t seed = 1; seed < 5; seed++) {
        Fixture *f = g_new(Fixture, 1);
        setup(f, &config, seed);
        size_t planned = seam_model_encode_bytes(f->model, N, false);
        seam_arena_clear(&f->arena);
        g_assert_true(seam_arena_init(&f->arena, planned));
        encode(f, 0, LAYERS - 1, 0.3f);
        teardown(f);
        g_free(f);
    }
}

// ---- experts ----------------------------------------------------------------------------------

// A mass of almost nothing is one expert a token; the rows that are really run are counted by `use`.
static void test_mass(void) {
    SeamConfig config = exit_config();
    float most[N * DIM], rows[3] = {0};
    const float mass[] = {0, 1e-6f, 0.6f};
    config.top_k = 3;
    for (int32_t i = 0; i < 3; i++) {
        Fixture *f = g_new(Fixture, 1);
        float use[SEAM_MAX_EXPERTS] = {0};
        setup(f, &config, 7);
        f->run.effort.expert_mass = mass[i];
        assert_ok(seam_model_encode(f->model, &f->run, 0, 0, &f->tokens, use, NULL));
        for (int32_t e = 0; e < config.experts; e++)
            rows[i] += use[e] * (float)config.top_k;
        if (i == 0)
            memcpy(most, f->x, sizeof most);
        else
            g_assert_cmpfloat(fabsf(most[3] - f->x[3]), >, 0);
        teardown(f);
        g_free(f);
    }
    g_assert_cmpfloat_with_epsilon(rows[0], 3 * N, 1e-3);
    g_assert_cmpfloat_with_epsilon(rows[1], N, 1e-3);
    g_assert_true(rows[2] > N && rows[2] < 3 * N);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/exit/head", test_head);
    g_test_add_func("/core/exit/margin", test_margin);
    g_test_add_func("/core/exit/lesson", test_lesson);
    g_test_add_func("/core/exit/leave", test_leave);
    g_test_add_func("/core/exit/left-stays", test_left_stays);
    g_test_add_func("/core/exit/memory", test_memory);
    g_test_add_func("/core/exit/mass", test_mass);
    return g_test_run();
}
