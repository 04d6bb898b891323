// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/bench/ablation/toy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool done, const char *what) {
    if (done)
        return;
    fprintf(stderr, "ablation: %s\n", what);
    exit(1);
}

void toy_ok(SeamStatus status) { check(status == SEAM_OK, seam_status_text(status)); }

SeamConfig toy_config(int32_t dim, int32_t layers, int32_t classes) {
    SeamConfig c = {.dim = dim, .layers = layers, .heads = dim / 16, .experts = 4, .groups = 2, .groups_kept = 2, .top_k = 2, .expert_width = dim,
                    .router_rank = 4, .router_shared_a = true, .local_radius = 8, .gate_threshold = 0.02f, .fusion_layers = 1,
                    .fusion_neighbours = 4, .fusion_width = 2 * dim, .window = 1, .n_modalities = 1, .n_classes = classes, .n_tasks = 1};
    for (int32_t l = 0; l < layers; l++)
        c.mixer[l] = SEAM_MIXER_GLOBAL;
    c.modality[0] = (SeamModality){.name = "sensors", .front = SEAM_FRONT_SENSOR, .channels = 1, .delta_rank = 2,
                                   .sensor = {.rate = 1024, .patch = 16, .time_bins = 4, .fft = 16, .bands = 4, .arc_channel = -1}};
    c.modality[0].std[0] = 1;
    strcpy(c.modality[0].sensor.channel_name[0], "signal");
    for (int32_t k = 0; k < classes; k++)
        snprintf(c.class_name[k], sizeof c.class_name[k], "class%d", k);
    c.task[0] = (SeamTask){.name = "verdict", .kind = SEAM_TASK_CLASSIFY};
    return c;
}

void toy_open(Toy *t, const SeamConfig *config, uint64_t seed, size_t arena_bytes) {
    GError *error = NULL;
    t->model = seam_model_new(config, true, seed, &error);
    check(t->model != NULL, error ? error->message : "");
    check(seam_arena_init(&t->arena, arena_bytes), "no memory");
    check(seam_optimiser_init(&t->optimiser, t->model->params, &error), error ? error->message : "");
    t->optimiser.weight_decay = 0.01;
    t->optimiser.clip = 1;
    t->run = (SeamRun){seam_kernels_cpu(), &t->arena, {0}};
}

void toy_close(Toy *t) {
    seam_optimiser_clear(&t->optimiser);
    seam_arena_clear(&t->arena);
    seam_model_free(t->model);
}

SeamTokens toy_tokens(Toy *t, int32_t seqs, int32_t n) {
    SeamTokens s = {.n = seqs * n, .dim = t->model->config.dim, .seqs = seqs, .x = SEAM_NEW(&t->arena, float, (size_t)seqs * n * t->model->config.dim),
                    .place = SEAM_NEW0(&t->arena, SeamPlace, seqs * n), .seq_start = SEAM_NEW(&t->arena, int32_t, seqs + 1),
                    .seq_time = SEAM_NEW0(&t->arena, double, seqs)};
    toy_ok(s.x && s.place && s.seq_start && s.seq_time ? SEAM_OK : SEAM_NO_MEMORY);
    for (int32_t q = 0; q <= seqs; q++)
        s.seq_start[q] = q * n;
    for (int32_t i = 0; i < s.n; i++)
        s.place[i] = (SeamPlace){.t = (float)((i % n + 0.5) * t->model->config.window / n), .domain = SEAM_DOMAIN_TIME};
    return s;
}

double toy_loss(const Toy *t, const float *logits, int32_t label, double scale, float *dlogits) {
    int32_t classes = t->model->config.n_classes;
    double most = -INFINITY, sum = 0;
    for (int32_t c = 0; c < classes; c++)
        most = fmax(most, logits[c]);
    for (int32_t c = 0; c < classes; c++)
        sum += exp(logits[c] - most);
    for (int32_t c = 0; c < classes && dlogits; c++)
        dlogits[c] = (float)(scale * (exp(logits[c] - most) / sum - (c == label)));
    return most + log(sum) - logits[label];
}

void toy_step(Toy *t, int step, int steps, double rate) {
    double warm = steps / 10.0, at = step < warm ? (step + 1) / warm : 0.5 * (1 + cos(G_PI * (step - warm) / (steps - warm))), norm;
    toy_ok(seam_optimiser_step(&t->optimiser, t->run.kernels, rate * at, &norm));
    seam_params_zero_grad(t->model->params);
}
