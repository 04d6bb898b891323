// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Envelope analysis: the transform against the sum that defines it, the features against a plain calculation by those sums, and what they
// are for: a line appears where strikes repeat, whatever resonance rings and however loud.
#include "core/layers/envelope.h"

#include <math.h>
#include <string.h>

#include "core/random.h"
#include "core/select.h"
#include "core/train/augment_signal.h"

enum { RATE = 1000, PATCH = 1000, SIZE = 1024 };

static const SeamEnvelopeConfig config = {.low = 50, .high = 450, .bands = 4, .shape = 8, .shaft = 10, .tolerance = 0.02f, .background = 15,
                                          .n_orders = 3, .order = {1, 3.6f, 5.4f}};

static void noise(SeamRandom *random, int32_t n, float *z) {
    for (int32_t i = 0; i < n; i++)
        z[i] = (float)seam_random_normal(random);
}

// ---- the transform -------------------------------------------------------------------------------------------------------------

static void test_transform(void) {
    SeamRandom random = seam_random(1, 1);
    SeamFft fft;
    g_assert_true(seam_fft_init(&fft, 64));
    for (int32_t n = 1; n <= 64; n *= 2) {
        float x[128], back[128];
        noise(&random, 2 * n, x);
        memcpy(back, x, sizeof x);
        seam_fft_forward(&fft, n, back);
        for (int32_t k = 0; k < n; k++) {
            double re = 0, im = 0;
            for (int32_t i = 0; i < n; i++) {
                double angle = -2 * G_PI * i * k / n;
                re += x[2 * i] * cos(angle) - x[2 * i + 1] * sin(angle);
                im += x[2 * i] * sin(angle) + x[2 * i + 1] * cos(angle);
            }
            g_assert_cmpfloat_with_epsilon(back[2 * k], re, 1e-4);
            g_assert_cmpfloat_with_epsilon(back[2 * k + 1], im, 1e-4);
        }
        seam_fft_inverse(&fft, n, back);
        for (int32_t i = 0; i < 2 * n; i++)
            g_assert_cmpfloat_with_epsilon(back[i], x[i], 1e-5);
    }
    seam_fft_clear(&fft);
    g_assert_cmpint(seam_fft_length(1), ==, 1);
    g_assert_cmpint(seam_fft_length(1000), ==, 1024);
    g_assert_cmpint(seam_fft_length(1024), ==, 1024);
}

static void test_select(void) {
    SeamRandom random = seam_random(2, 1);
    for (int32_t n = 1; n < 40; n++)
        for (int32_t k = 0; k < n; k++) {
            float value[40];
            int32_t below = 0, equal = 0;
            for (int32_t i = 0; i < n; i++)
                value[i] = (float)seam_random_below(&random, 20);
            float found = seam_nth_smallest(value, n, k);
            for (int32_t i = 0; i < n; i++) {
                below += value[i] < found;
                equal += value[i] == found;
            }
            g_assert_true(below <= k && k < below + equal);
        }
}

// ---- the features against plain sums -------------------------------------------------------------------------------------------

static void plain_bin(const double *z, int32_t n, int32_t k, int32_t size, double *re, double *im) {
    *re = *im = 0;
    for (int32_t i = 0; i < n; i++) {
        *re += z[i] * cos(2 * G_PI * i * (double)k / size);
        *im -= z[i] * sin(2 * G_PI * i * (double)k / size);
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The ratio of one line in the envelope's spectrum S [n].
static double plain_line(const double *s, int32_t n, double f) {
    double bin = (double)RATE / SIZE, reach = fmax(f * config.tolerance, bin), sorted[SIZE], peak = 0;
    int32_t count = 0;
    for (int32_t k = 2; k < n; k++) {
        if (k >= floor((f - reach) / bin) && k <= ceil((f + reach) / bin))
            peak = fmax(peak, s[k]);
        if (k >= floor((f - config.background) / bin) && k <= floor((f + config.background) / bin))
            sorted[count++] = s[k];
    }
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    return (1e-9 + peak) / (1e-9 + sorted[count / 2]);
}

static void plain_features(const double *z, double *out) {
    enum { SMALL = 256 }; // bands of 100 Hz hold 103 bins of 0.977 Hz
    double re[SIZE / 2], im[SIZE / 2], bin = (double)RATE / SIZE, mean = 0, square = 0, line[3] = {0};
    for (int32_t k = 0; k < SIZE / 2; k++)
        plain_bin(z, PATCH, k, SIZE, &re[k], &im[k]);
    for (int32_t s = 0; s < 8; s++) {
        double sum = 0;
        int32_t count = 0;
        for (int32_t k = 0; k < SIZE / 2; k++)
            if (k * bin >= 50 + 50 * s && k * bin < 100 + 50 * s) {
                sum += (re[k] * re[k] + im[k] * im[k]) / PATCH;
                count++;
            }
        square += 2 * sum / SIZE;
        out[s] = log(1e-9 + sum / count);
        mean += out[s] / 8;
    }
    for (int32_t s = 0; s < 8; s++)
        out[s] = (out[s] - mean) / 2;
    for (int32_t b = 0; b < 4; b++) {
        double e[SMALL] = {0}, s[SMALL / 2], level = 0, energy = 0;
        int32_t valid = PATCH * SMALL / SIZE, first = (int32_t)ceil((50 + 100 * b) / bin), end = (int32_t)ceil((150 + 100 * b) / bin);
        for (int32_t i = 0; i < valid; i++) { // the analytic signal at i / (SMALL bin) seconds, up to a turn that |.| forgets
            double a = 0, c = 0;
            for (int32_t k = first; k < end; k++) {
                double angle = 2 * G_PI * i * (double)k / SMALL;
                a += re[k] * cos(angle) - im[k] * sin(angle);
                c += re[k] * sin(angle) + im[k] * cos(angle);
            }
            e[i] = sqrt(a * a + c * c);
            level += e[i] / valid;
        }
        for (int32_t i = 0; i < valid; i++) {
            double h = 0.5 - 0.5 * cos(2 * G_PI * (i + 0.5) / valid);
            e[i] = h * (e[i] / level - 1);
            energy += h * h;
        }
        for (int32_t k = 0; k < SMALL / 2; k++) {
            double a, c;
            plain_bin(e, valid, k, SMALL, &a, &c);
            s[k] = (a * a + c * c) / energy;
        }
        for (int32_t o = 0; o < 3; o++)
            line[o] += plain_line(s, SMALL / 2, config.order[o] * 10.0) / 4;
    }
    for (int32_t o = 0; o < 3; o++)
        out[8 + o] = (log(line[o]) - 2) / 2;
    out[11] = fmin(fmax(log2(1e-9 + square), -1), 1);
}

typedef struct {
    SeamEnvelope layer;
    SeamArena arena;
    float z[PATCH], out[16];
} Case;

static void setup(Case *c) {
    memset(c, 0, sizeof *c);
    g_assert_true(seam_envelope_init(&c->layer, &config, RATE, PATCH));
    g_assert_true(seam_arena_init(&c->arena, seam_envelope_bytes(&c->layer)));
    g_assert_cmpint(seam_envelope_width(&config), ==, 12);
}

static void teardown(Case *c) {
    seam_envelope_clear(&c->layer);
    seam_arena_clear(&c->arena);
}

static void measure(Case *c) {
    g_assert_cmpint(seam_envelope_features(&c->layer, &c->arena, c->z, c->out), ==, SEAM_OK);
    g_assert_cmpuint(c->arena.used, ==, 0);
}

static void test_features(void) {
    Case c;
    SeamRandom random = seam_random(3, 1);
    setup(&c);
    for (int32_t turn = 0; turn < 3; turn++) {
        double z[PATCH], expected[12];
        noise(&random, PATCH, c.z);
        for (int32_t i = 0; i < PATCH; i++)
            z[i] = c.z[i] = (float)(c.z[i] * (0.7 + 0.2 * turn) * (1 + 0.5 * cos(2 * G_PI * 36 * i / RATE)));
        plain_features(z, expected);
        measure(&c);
        for (int32_t i = 0; i < 12; i++)
            g_assert_cmpfloat_with_epsilon(c.out[i], expected[i], 2e-3);
    }
    teardown(&c);
}

// ---- what they are for ---------------------------------------------------------------------------------------------------------

// Strikes `rate` times a second that ring at `resonance` Hz, in noise.
static void strikes(SeamRandom *random, double rate, double resonance, float *z) {
    noise(random, PATCH, z);
    for (double t = 0.005; t < 0.99; t += 1 / rate)
        for (int32_t i = (int32_t)(t * RATE); i < PATCH && i < (int32_t)(t * RATE) + 20; i++)
            z[i] += (float)(6 * exp(-(i - t * RATE) / 6) * sin(2 * G_PI * resonance * (i - t * RATE) / RATE));
}

static void test_lines(void) {
    Case c;
    SeamRandom random = seam_random(4, 1);
    setup(&c);
    noise(&random, PATCH, c.z);
    measure(&c);
    for (int32_t o = 0; o < 3; o++)
        g_assert_cmpfloat(c.out[8 + o], <, 0.6);
    static const double resonance[] = {120, 230, 400};
    for (size_t r = 0; r < G_N_ELEMENTS(resonance); r++)
        for (int32_t o = 1; o < 3; o++) {
            strikes(&random, config.order[o] * 10 * 1.01, resonance[r], c.z);
            measure(&c);
            g_assert_cmpfloat(c.out[8 + o], >, 0.7);
            g_assert_cmpfloat(c.out[8 + o], >, c.out[8 + 3 - o] + 0.4);
        }
    teardown(&c);
}

static void test_level(void) {
    Case c;
    float before[12];
    SeamRandom random = seam_random(5, 1);
    setup(&c);
    strikes(&random, 36, 200, c.z);
    measure(&c);
    memcpy(before, c.out, sizeof before);
    for (int32_t i = 0; i < PATCH; i++)
        c.z[i] *= 10;
    measure(&c);
    for (int32_t i = 0; i < 11; i++)
        g_assert_cmpfloat_with_epsilon(c.out[i], before[i], 1e-3);
    g_assert_cmpfloat(c.out[11], ==, 1);
    memset(c.z, 0, sizeof c.z);
    measure(&c);
    for (int32_t i = 0; i < 11; i++)
        g_assert_cmpfloat_with_epsilon(c.out[i], i < 8 ? 0 : -1, 1e-6);
    g_assert_cmpfloat(c.out[11], ==, -1);
    seam_arena_clear(&c.arena);
    g_assert_cmpint(seam_envelope_features(&c.layer, &c.arena, c.z, c.out), ==, SEAM_NO_MEMORY);
    teardown(&c);
}

// ---- augmentation --------------------------------------------------------------------------------------------------------------

// A sine stays a sine of its frequency, of another strength; a channel with a hole is left alone.
static void test_equaliser(void) {
    enum { N = 1024 };
    static float x[N * 2], kept[N * 2];
    double least = INFINITY, most = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        SeamRandom random = seam_random(6, seed);
        double re = 0, im = 0, rest = 0;
        for (int32_t i = 0; i < N; i++)
            x[2 * i] = x[2 * i + 1] = (float)sin(2 * G_PI * 100 * i / N);
        x[2 * 5 + 1] = NAN;
        memcpy(kept, x, sizeof x);
        seam_augment_equaliser(6, &random, 2, N, x);
        for (int32_t i = 0; i < N; i++) {
            re += x[2 * i] * sin(2 * G_PI * 100 * i / N) * 2 / N;
            im += x[2 * i] * cos(2 * G_PI * 100 * i / N) * 2 / N;
            g_assert_true(i == 5 ? isnan(x[2 * i + 1]) : x[2 * i + 1] == kept[2 * i + 1]);
        }
        for (int32_t i = 0; i < N; i++)
            rest = fmax(rest, fabs(x[2 * i] - re * sin(2 * G_PI * 100 * i / N)));
        g_assert_cmpfloat(fabs(im) + rest, <, 1e-3);
        least = fmin(least, re);
        most = fmax(most, re);
    }
    g_assert_cmpfloat(least, <, 0.75);
    g_assert_cmpfloat(most, >, 1.33);
}

static void test_speed(void) {
    enum { N = 1000 };
    static float x[N];
    for (uint64_t seed = 0; seed < 20; seed++) {
        SeamRandom random = seam_random(7, seed), same = random;
        double factor = 1 + seam_random_range(&same, -0.1, 0.1);
        for (int32_t i = 0; i < N; i++)
            x[i] = (float)i;
        seam_augment_speed(0.1, &random, 1, N, x);
        for (int32_t i = 0; i < N; i++)
            g_assert_cmpfloat_with_epsilon(x[i], i * factor <= N - 1 ? i * factor : 2 * (N - 1) - i * factor, 1e-3);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/envelope/transform", test_transform);
    g_test_add_func("/envelope/select", test_select);
    g_test_add_func("/envelope/features", test_features);
    g_test_add_func("/envelope/lines", test_lines);
    g_test_add_func("/envelope/level", test_level);
    g_test_add_func("/envelope/equaliser", test_equaliser);
    g_test_add_func("/envelope/speed", test_speed);
    return g_test_run();
}
