// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What training adds to the loss inside of a layer: the gates' sparsity and the routers' z-loss, against finite differences of values worked out here.
#include <glib.h>
#include <string.h>

#include "core/layers/encoder.h"
#include "tests/core/differences.h"
#include "tests/core/small_model.h"

enum { N = 7 };

typedef struct {
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamEncoderLayer layer;
    SeamPattern pattern;
    int32_t seq_start[3];
    float x[N * DIM], dx[N * DIM], weight[N * DIM];
    double gate_loss, z_loss; // of the last pass
} Case;

static double gate_value(const Case *c, const SeamEncoderSaved *s) {
    double mean = 0;
    for (int32_t i = 0; i < N * HEADS; i++)
        mean += (double)s->attention.gate[i] / (N * HEADS);
    return fmax(0, mean - c->run.penalty.gate_target);
}

static double z_value(const Case *c, const SeamEncoderSaved *s) {
    const SeamMoe *moe = &c->layer.moe;
    double loss = 0;
    for (int32_t i = 0; i < N; i++) {
        double sum = 0;
        for (int32_t e = 0; e < moe->experts; e++) {
            double z = 0;
            for (int32_t r = 0; r < moe->rank; r++)
                z += (double)s->moe.low[i * moe->rank + r] * moe->b->data[e * moe->rank + r];
            sum += exp(z);
        }
        loss += log(sum) * log(sum) / N;
    }
    return loss;
}

static double loss_of(void *data, bool backward) {
    Case *c = data;
    SeamEncoderSaved saved;
    float x[N * DIM];
    double balance = 0;
    size_t mark = seam_arena_mark(&c->arena);
    memcpy(x, c->x, sizeof x);
    assert_ok(seam_encoder_forward(&c->layer, &c->run, &c->pattern, NULL, x, NULL, &saved));
    c->gate_loss = gate_value(c, &saved);
    c->z_loss = z_value(c, &saved);
    if (backward) {
        c->run.penalty.gate_loss = c->run.penalty.router_z_loss = 0;
        memcpy(c->dx, c->weight, sizeof c->dx);
        assert_ok(seam_encoder_backward(&c->layer, &c->run, &saved, 0, &balance, c->dx));
    }
    seam_arena_release(&c->arena, mark);
    return weighted(x, c->weight, N * DIM) + (double)c->run.penalty.gate_weight * c->gate_loss + (double)c->run.penalty.router_z * c->z_loss;
}

static Case *setup(SeamPenalty penalty, bool learnt) {
    Case *c = g_new0(Case, 1);
    SeamRandom random = seam_random(13, 1);
    c->config = small_config();
    c->params = seam_params_new();
    g_assert_true(seam_arena_init(&c->arena, 1 << 20));
    c->run = (SeamRun){.kernels = seam_kernels_ref(), .arena = &c->arena, .penalty = penalty};
    c->seq_start[1] = 4;
    c->seq_start[2] = N;
    c->pattern = (SeamPattern){.n = N, .seqs = 2, .seq_start = c->seq_start};
    seam_encoder_declare(&c->layer, c->params, &c->config, 0, NULL);
    draw(c->params, &random);
    for (size_t e = 0; e < c->layer.moe.balance->size; e++) // decides which experts are chosen, so that no step changes it
        c->layer.moe.balance->data[e] = 2 * (float)(e * 5 % 6);
    fill(&random, c->x, N * DIM, 1);
    fill(&random, c->weight, N * DIM, learnt ? 1 : 0); // 0: the penalty is all of the loss
    return c;
}

static void teardown(Case *c) {
    seam_params_free(c->params);
    seam_arena_clear(&c->arena);
    g_free(c);
}

static void check(SeamPenalty penalty, bool learnt) {
    Case *c = setup(penalty, learnt);
    seam_params_zero_grad(c->params);
    loss_of(c, true);
    g_assert_cmpfloat_with_epsilon(c->run.penalty.gate_loss, penalty.gate_weight > 0 ? c->gate_loss : 0, 1e-6);
    g_assert_cmpfloat_with_epsilon(c->run.penalty.router_z_loss, penalty.router_z > 0 ? c->z_loss : 0, 1e-5);
    for (guint i = 0; i < c->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(c->params->tensors, i);
        if (!g_str_has_suffix(t->name, "router.bias"))
            check_values(t->name, t->data, t->grad, t->size, 40, loss_of, c);
    }
    check_values("x", c->x, c->dx, N * DIM, SIZE_MAX, loss_of, c);
    size_t kept, scratch = seam_encoder_bytes(&c->layer, N, true, &kept);
    g_assert_cmpuint(c->arena.peak, <=, scratch + kept);
    teardown(c);
}

static void test_gates(void) {
    check((SeamPenalty){.gate_weight = 3, .gate_target = 0.1f}, false);
    check((SeamPenalty){.gate_weight = 3, .gate_target = 0.1f}, true);
}

static void test_target_reached(void) { // nothing is pulled below the target
    Case *c = setup((SeamPenalty){.gate_weight = 3, .gate_target = 0.999f}, false);
    seam_params_zero_grad(c->params);
    loss_of(c, true);
    g_assert_cmpfloat(c->run.penalty.gate_loss, ==, 0);
    for (size_t i = 0; i < c->params->size; i++)
        g_assert_cmpfloat(c->params->grad[i], ==, 0);
    teardown(c);
}

static void test_z(void) {
    check((SeamPenalty){.router_z = 0.7f}, false);
    check((SeamPenalty){.router_z = 0.7f, .gate_weight = 2, .gate_target = 0.1f}, true);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/penalties/gates", test_gates);
    g_test_add_func("/core/penalties/target-reached", test_target_reached);
    g_test_add_func("/core/penalties/z-loss", test_z);
    return g_test_run();
}
