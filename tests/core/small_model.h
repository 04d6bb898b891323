// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A model with every kind of front end and layer, as small as it can be, and what tests need to run it.
#pragma once

#include <glib.h>
#include <string.h>

#include "core/model.h"

enum { DIM = 8, HEADS = 2, VIDEO = 0, SENSORS = 1, TEXT = 2, MODALITIES = 3, MOST_SEQS = 16 };

static inline SeamConfig small_config(void) {
    SeamConfig c = {.dim = DIM,
                    .layers = 2,
                    .heads = HEADS,
                    .experts = 6,
                    .groups = 3,
                    .groups_kept = 2,
                    .top_k = 2,
                    .expert_width = 5,
                    .router_rank = 3,
                    .router_shared_a = true,
                    .mixer = {SEAM_MIXER_LOCAL, SEAM_MIXER_GLOBAL},
                    .local_radius = 1,
                    .gate_threshold = 0.02f,
                    .fusion_layers = 2,
                    .fusion_neighbours = 2,
                    .fusion_width = 6,
                    .window = 2,
                    .n_modalities = MODALITIES};
    c.modality[VIDEO] = (SeamModality){.name = "video",
                                       .front = SEAM_FRONT_IMAGE,
                                       .channels = 1,
                                       .delta_rank = 2,
                                       .mean = {120},
                                       .std = {60},
                                       .image = {.size = 8, .stem_layers = 2, .stem_width = {3, DIM}}};
    c.modality[SENSORS] = (SeamModality){.name = "sensors",
                                         .front = SEAM_FRONT_SENSOR,
                                         .channels = 2,
                                         .delta_rank = 1,
                                         .mean = {1, -1},
                                         .std = {2, 0.5f},
                                         .sensor = {.rate = 8, .patch = 8, .time_bins = 2, .fft = 4, .bands = 2}};
    c.modality[TEXT] = (SeamModality){.name = "text",
                                      .front = SEAM_FRONT_TEXT,
                                      .text = {.buckets = 17, .ngram_min = 3, .ngram_max = 4, .max_tokens = 3}};
    return c;
}

// Several streams one after the other, as fusion takes them, in new memory of the arena. window_of [MOST_SEQS]: by their time.
static inline SeamTokens lay_together(SeamArena *arena, const SeamConfig *config, int32_t streams, const SeamTokens *stream, int32_t *window_of) {
    SeamTokens all = {.dim = config->dim};
    int32_t n = 0;
    for (int32_t k = 0; k < streams; k++)
        n += stream[k].n;
    all.x = SEAM_NEW(arena, float, (size_t)n *all.dim);
    all.place = SEAM_NEW(arena, SeamPlace, n);
    all.seq_start = SEAM_NEW0(arena, int32_t, MOST_SEQS + 1);
    all.seq_time = SEAM_NEW(arena, double, MOST_SEQS);
    g_assert_true(all.x && all.place && all.seq_start && all.seq_time);
    for (int32_t k = 0; k < streams; k++) {
        const SeamTokens *t = &stream[k];
        memcpy(all.x + (size_t)all.n * all.dim, t->x, (size_t)t->n * t->dim * sizeof *t->x);
        memcpy(all.place + all.n, t->place, (size_t)t->n * sizeof *t->place);
        for (int32_t s = 0; s < t->seqs; s++, all.seqs++) {
            g_assert_cmpint(all.seqs, <, MOST_SEQS);
            window_of[all.seqs] = (int32_t)(t->seq_time[s] / config->window);
            all.seq_time[all.seqs] = t->seq_time[s];
            all.seq_start[all.seqs + 1] = all.n + t->seq_start[s + 1];
        }
        all.n += t->n;
    }
    return all;
}
