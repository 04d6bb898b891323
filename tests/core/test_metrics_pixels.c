// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pixel AUROC and AUPRO against values worked out by hand and against their definitions, threshold by threshold, on random pictures with ties.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/random.h"
#include "core/train/metrics_pixels.h"

enum { W = 12, H = 9, PIXELS = W * H, PICTURES = 5 };

// Maps of the pictures' own size, so that nothing is interpolated.
typedef struct {
    float map[PICTURES][PIXELS];
    uint8_t mask[PICTURES][PIXELS];
    int32_t pictures; // with a mask; the others are good
} Case;

static SeamPixelFigures measure(const Case *c) {
    SeamPixelFigures f;
    SeamPixelMetrics *p = seam_pixels_new();
    for (int32_t i = 0; i < PICTURES; i++)
        g_assert_true(seam_pixels_add(p, c->map[i], W, H, i < c->pictures ? c->mask[i] : NULL, W, H));
    seam_pixels_figures(p, 1, &f);
    seam_pixels_free(p);
    return f;
}

// ---- by the definition ----------------------------------------------------------------------------------------------------------

// Pixels of the region of `at`, found by growing until nothing grows: slow, and unlike what is tested.
static int32_t region_of(const uint8_t *mask, int32_t at, bool *in) {
    bool grew = true;
    int32_t n = 0;
    memset(in, 0, PIXELS * sizeof *in);
    in[at] = true;
    while (grew) {
        grew = false;
        for (int32_t i = 0; i < PIXELS; i++)
            for (int32_t j = 0; j < PIXELS && mask[i] && !in[i]; j++)
                if (in[j] && abs(i % W - j % W) <= 1 && abs(i / W - j / W) <= 1)
                    grew = in[i] = true;
    }
    for (int32_t i = 0; i < PIXELS; i++)
        n += in[i];
    return n;
}

// FPR, recall and PRO of one threshold.
static void rates(const Case *c, int32_t pictures, float threshold, double *fpr, double *recall, double *pro) {
    double good = 0, false_found = 0, defect = 0, found = 0, share = 0, regions = 0;
    for (int32_t p = 0; p < pictures; p++) {
        uint8_t mask[PIXELS] = {0};
        bool in[PIXELS];
        if (p < c->pictures)
            memcpy(mask, c->mask[p], sizeof mask);
        for (int32_t i = 0; i < PIXELS; i++) {
            bool over = c->map[p][i] >= threshold;
            good += !mask[i];
            false_found += !mask[i] && over;
            defect += mask[i] != 0;
            found += mask[i] && over;
        }
        for (int32_t i = 0; i < PIXELS; i++) {
            if (!mask[i])
                continue;
            int32_t size = region_of(mask, i, in), hit = 0;
            for (int32_t j = 0; j < PIXELS; j++)
                if (in[j]) {
                    hit += c->map[p][j] >= threshold;
                    mask[j] = 0;
                }
            share += (double)hit / size;
            regions++;
        }
    }
    *fpr = false_found / good;
    *recall = found / defect;
    *pro = share / regions;
}

// Scores are multiples of 1/16: all thresholds that there are.
static void reference(const Case *c, int32_t pictures, double *auroc, double *aupro) {
    double fpr0 = 0, recall0 = 0, pro0 = 0;
    *auroc = *aupro = 0;
    for (int32_t t = 16; t >= 0; t--) {
        double fpr, recall, pro;
        rates(c, pictures, t / 16.0f, &fpr, &recall, &pro);
        *auroc += (fpr - fpr0) * (recall + recall0) / 2;
        if (fpr <= 0.3)
            *aupro += (fpr - fpr0) * (pro + pro0) / 2;
        else if (fpr0 < 0.3)
            *aupro += (0.3 - fpr0) * (pro0 + pro0 + (pro - pro0) * (0.3 - fpr0) / (fpr - fpr0)) / 2;
        fpr0 = fpr, recall0 = recall, pro0 = pro;
    }
    *aupro /= 0.3;
}

static void test_definition(void) {
    SeamRandom random = seam_random(5, 1);
    for (int32_t round = 0; round < 20; round++) {
        Case c = {.pictures = 3};
        double auroc, aupro;
        for (int32_t p = 0; p < PICTURES; p++)
            for (int32_t i = 0; i < PIXELS; i++) {
                c.mask[p][i] = seam_random_uniform(&random) < 0.05 * (1 + round % 5) ? 255 : 0;
                double level = 0.4 + 0.15 * seam_random_normal(&random) + (p < 3 && c.mask[p][i] ? 0.02 * round : 0);
                c.map[p][i] = (float)(rint(16 * fmin(fmax(level, 0), 1)) / 16);
            }
        SeamPixelFigures f = measure(&c);
        reference(&c, 3, &auroc, &aupro);
        g_assert_cmpfloat_with_epsilon(f.auroc, auroc, 1e-9);
        g_assert_cmpfloat_with_epsilon(f.aupro, aupro, 1e-6);
        reference(&c, PICTURES, &auroc, &aupro);
        g_assert_cmpfloat_with_epsilon(f.auroc_all, auroc, 1e-9);
        g_assert_cmpfloat_with_epsilon(f.aupro_all, aupro, 1e-6);
        g_assert_cmpint(f.masked, ==, 3);
        g_assert_cmpint(f.good, ==, 2);
    }
}

// ---- by hand --------------------------------------------------------------------------------------------------------------------

// A small region counts as much as a large one: found whole before any good pixel, and found after all of them.
static void test_regions(void) {
    const uint8_t mask[10] = {1, 0, 1, 1, 1, 1, 0, 0, 0, 0};
    const float small_first[10] = {0.9f, 0.5f, 0.1f, 0.1f, 0.1f, 0.1f, 0.5f, 0.5f, 0.5f, 0.5f};
    SeamPixelFigures f;
    SeamPixelMetrics *p = seam_pixels_new();
    g_assert_true(seam_pixels_add(p, small_first, 10, 1, mask, 10, 1));
    seam_pixels_figures(p, 1, &f);
    g_assert_cmpint(f.regions, ==, 2);
    g_assert_cmpfloat_with_epsilon(f.aupro, 0.5, 1e-9);  // one of two regions
    g_assert_cmpfloat_with_epsilon(f.auroc, 0.2, 1e-9);  // one of five pixels
    g_assert_true(isnan(f.auroc_all));                    // no good picture
    g_assert_true(isnan(f.auroc_interval[0]));            // a single picture cannot be drawn anew
    seam_pixels_free(p);
}

static void test_perfect_and_corners(void) {
    const uint8_t diagonal[4] = {1, 0, 0, 1};
    const float map[4] = {0.9f, 0.1f, 0.2f, 0.8f};
    SeamPixelFigures f;
    SeamPixelMetrics *p = seam_pixels_new();
    g_assert_true(seam_pixels_add(p, map, 2, 2, diagonal, 2, 2));
    seam_pixels_figures(p, 1, &f);
    g_assert_cmpint(f.regions, ==, 1); // corners touch
    g_assert_cmpfloat(f.auroc, ==, 1);
    g_assert_cmpfloat_with_epsilon(f.aupro, 1, 1e-9);
    seam_pixels_free(p);
}

static void test_nothing_to_measure(void) {
    const uint8_t none[4] = {0}, all[4] = {1, 1, 1, 1};
    const float map[4] = {0.9f, 0.1f, 0.2f, 0.8f}, broken[4] = {0.1f, NAN, 0, 0};
    SeamPixelFigures f;
    SeamPixelMetrics *p = seam_pixels_new();
    seam_pixels_figures(p, 1, &f);
    g_assert_cmpint(f.masked, ==, 0);
    g_assert_true(isnan(f.auroc) && isnan(f.aupro));
    g_assert_true(seam_pixels_add(p, map, 2, 2, none, 2, 2));
    seam_pixels_figures(p, 1, &f);
    g_assert_true(isnan(f.auroc) && isnan(f.aupro));
    seam_pixels_free(p);
    p = seam_pixels_new();
    g_assert_true(seam_pixels_add(p, map, 2, 2, all, 2, 2));
    seam_pixels_figures(p, 1, &f);
    g_assert_true(isnan(f.auroc) && isnan(f.aupro));
    g_assert_false(seam_pixels_add(p, broken, 2, 2, all, 2, 2));
    seam_pixels_free(p);
}

// A coarse map is spread between the middles of its cells; a large picture is thinned out.
static void test_spread(void) {
    const float ramp[2] = {0, 1};
    const uint8_t right[8] = {0, 0, 0, 0, 1, 1, 1, 1};
    SeamPixelFigures f;
    SeamPixelMetrics *p = seam_pixels_new();
    g_assert_true(seam_pixels_add(p, ramp, 2, 1, right, 8, 1));
    seam_pixels_figures(p, 1, &f);
    g_assert_cmpfloat(f.auroc, ==, 1); // a map of constant cells would tie within halves and still be 1: the order inside is seen below
    seam_pixels_free(p);
    p = seam_pixels_new();
    const uint8_t last[8] = {0, 0, 0, 0, 0, 1, 0, 0}; // 0 .. 0 .125 .375 .625 .875 1 1: two of seven are over it
    g_assert_true(seam_pixels_add(p, ramp, 2, 1, last, 8, 1));
    seam_pixels_figures(p, 1, &f);
    g_assert_cmpfloat_with_epsilon(f.auroc, 5.0 / 7, 1e-9);
    seam_pixels_free(p);
    p = seam_pixels_new();
    g_autofree uint8_t *large = g_new0(uint8_t, 2048 * 1500);
    for (int32_t i = 0; i < 2048 * 1500; i++)
        large[i] = i % 2048 >= 1024;
    g_assert_true(seam_pixels_add(p, ramp, 2, 1, large, 2048, 1500));
    seam_pixels_figures(p, 1, &f);
    g_assert_cmpfloat(f.auroc, ==, 1);
    seam_pixels_free(p);
}

// Around the figures, the same each time, and narrow where the pictures are alike.
static void test_interval(void) {
    SeamRandom random = seam_random(7, 7);
    Case c = {.pictures = PICTURES};
    for (int32_t p = 0; p < PICTURES; p++)
        for (int32_t i = 0; i < PIXELS; i++) {
            c.mask[p][i] = i % W > 8;
            c.map[p][i] = (float)(0.5 + 0.1 * seam_random_normal(&random) + (c.mask[p][i] ? 0.05 * p : 0));
        }
    SeamPixelFigures f = measure(&c), again = measure(&c);
    g_assert_true(f.auroc_interval[0] < f.auroc && f.auroc < f.auroc_interval[1]);
    g_assert_true(f.aupro_interval[0] < f.aupro && f.aupro < f.aupro_interval[1]);
    g_assert_cmpmem(f.auroc_interval, sizeof f.auroc_interval, again.auroc_interval, sizeof again.auroc_interval);
    for (int32_t p = 1; p < PICTURES; p++)
        memcpy(c.map[p], c.map[0], sizeof c.map[0]);
    f = measure(&c);
    g_assert_cmpfloat(f.auroc_interval[1] - f.auroc_interval[0], <, 1e-9);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metrics-pixels/definition", test_definition);
    g_test_add_func("/metrics-pixels/regions", test_regions);
    g_test_add_func("/metrics-pixels/corners", test_perfect_and_corners);
    g_test_add_func("/metrics-pixels/nothing", test_nothing_to_measure);
    g_test_add_func("/metrics-pixels/spread", test_spread);
    g_test_add_func("/metrics-pixels/interval", test_interval);
    return g_test_run();
}
