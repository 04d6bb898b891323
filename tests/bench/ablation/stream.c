// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An hour of a sensor stream through all stages, as fast as they go: embedding, layers that scan and attend, fusion, memory bank, verdict. What the
// process holds in memory, and how long a window takes, must not depend on how long the stream has run.
#include "core/random.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/bench/ablation/toy.h"

enum { SECONDS = 3600, SAMPLES = 1024, MINUTES = SECONDS / 60, SETTLED = 2 }; // a window a second

static void run_window(Toy *t, SeamCarry *carry, SeamBank *bank, int32_t second) {
    static float x[SAMPLES];
    const int32_t window_of = 0;
    const double time = second;
    SeamRandom random = seam_random(1, (uint64_t)second);
    SeamTokens tokens, fused;
    SeamClassifyOut out;
    for (int32_t i = 0; i < SAMPLES; i++)
        x[i] = (float)seam_random_normal(&random);
    SeamSensorWindow window = {.samples = SAMPLES, .x = x, .valid = SAMPLES, .time = time};
    t->arena.used = 0;
    toy_ok(seam_model_embed_windows(t->model, &t->run, 0, 1, &window, &tokens, NULL));
    toy_ok(seam_model_encode_stream(t->model, &t->run, 0, t->model->config.layers - 1, &tokens, NULL, carry));
    toy_ok(seam_model_fuse(t->model, &t->run, &tokens, 1, &window_of, &time, &fused, NULL));
    toy_ok(seam_model_remember(t->model, &t->run, bank, &fused, NULL));
    toy_ok(seam_classify_forward(&t->model->task[0].classify, &t->run, &fused, &out, NULL));
}

int main(void) {
    Toy toy;
    SeamCarry carry;
    SeamBank bank;
    double minute[MINUTES], held[MINUTES], ms[MINUTES];
    SeamConfig config = toy_config(64, 4, 2);
    Ablation *a = ablation_new("Memory stays flat and a chunk costs the same however long the stream runs.");
    config.mixer[0] = config.mixer[2] = SEAM_MIXER_SCAN;
    config.scan_state = 16;
    config.bank_slots = 64;
    config.bank_write = 2;
    toy_open(&toy, &config, 1, (size_t)32 << 20);
    if (!seam_carry_init(&carry, &config, NULL) || !seam_bank_init(&bank, &config))
        toy_ok(SEAM_NO_MEMORY);
    for (int m = 0; m < MINUTES; m++) {
        double took[60];
        for (int s = 0; s < 60; s++) {
            double begin = ablation_seconds();
            run_window(&toy, &carry, &bank, 60 * m + s);
            took[s] = 1000 * (ablation_seconds() - begin);
        }
        minute[m] = m + 1;
        ms[m] = ablation_median(60, took);
        held[m] = ablation_resident_mb();
    }
    double growth = held[MINUTES - 1] - held[SETTLED - 1];
    ablation_key(a, "stream.memory_growth_mb", growth);
    ablation_plot(a, "Resident memory", "minutes of stream", "MiB", false);
    ablation_series(a, "resident", MINUTES, minute, held);
    ablation_plot(a, "Time of a window", "minutes of stream", "ms, median", false);
    ablation_series(a, "window", MINUTES, minute, ms);
    ablation_table(a, "First and last minutes", "minute", "ms a window", "MiB", NULL);
    for (int m = 0; m < MINUTES; m += m < SETTLED ? 1 : MINUTES - 1 - SETTLED)
        ablation_row(a, "ddd", minute[m], ms[m], held[m]);
    ablation_finding(a, "From minute %d to minute %d of the stream the process grows by %.2f MiB; a window takes %.2f ms at first and %.2f ms at the end.", SETTLED, MINUTES,
                     growth, ms[0], ms[MINUTES - 1]);
    seam_bank_clear(&bank);
    seam_carry_clear(&carry);
    toy_close(&toy);
    return ablation_print(a);
}
