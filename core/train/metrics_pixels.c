// SPDX-License-Identifier: LGPL-2.1-or-later
//
// AUPRO (Bergmann 2021, "The MVTec anomaly detection dataset", sec. 5.2): for a threshold, PRO is the mean over the masks' connected regions
// (8 neighbours) of the share of each that is at or over it, and FPR the share of good pixels that are; PRO is integrated over FPR from 0 to 0.3
// by trapezoids, the last one cut by interpolation, and divided by 0.3. A pixel therefore weighs 1 / (pixels of its region) / regions in PRO, and
// one pass over the pixels from the highest score down gives both curves; equal scores move together. AUROC is the whole area under recall over
// FPR by the same pass.
//
// The intervals draw pictures anew (Efron 1979), 1000 times, on scores cut into 4096 bins of equal counts, which moves the figures by less than their
// fourth digit.
#include "core/train/metrics_pixels.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

enum { MOST_PIXELS = 1 << 20, BINS = 4096, DRAWS = 1000 };
static const double limit = 0.3; // of the false-positive rate

// A pixel of a region has that region's weight: 1 / its pixels. A good one has 0.
typedef struct {
    float score, weight;
    int32_t picture; // -1: of a good picture
} Pixel;

struct SeamPixels_ {
    GArray *pixel;   // of Pixel
    GArray *regions; // of int32_t, of each picture with a mask
    int32_t good;
};

SeamPixelMetrics *seam_pixels_new(void) {
    SeamPixelMetrics *p = g_new0(SeamPixelMetrics, 1);
    p->pixel = g_array_new(FALSE, FALSE, sizeof(Pixel));
    p->regions = g_array_new(FALSE, FALSE, sizeof(int32_t));
    return p;
}

void seam_pixels_free(SeamPixelMetrics *p) {
    if (!p)
        return;
    g_array_unref(p->pixel);
    g_array_unref(p->regions);
    g_free(p);
}

// ---- regions --------------------------------------------------------------------------------------------------------------------

// Fills label [h, w] with 1 .. n where the mask is not 0, by a flood from each pixel that has none; size [n] (an array that grows). queue [h, w].
static int32_t label_regions(const uint8_t *mask, int32_t w, int32_t h, int32_t *label, int32_t *queue, GArray *size) {
    int32_t n = 0;
    memset(label, 0, (size_t)w * h * sizeof *label);
    for (int32_t start = 0; start < w * h; start++) {
        int32_t first = 0, last = 0;
        if (!mask[start] || label[start])
            continue;
        label[start] = ++n;
        queue[last++] = start;
        while (first < last) {
            int32_t at = queue[first++], x = at % w, y = at / w;
            for (int32_t ny = MAX(y - 1, 0); ny <= MIN(y + 1, h - 1); ny++)
                for (int32_t nx = MAX(x - 1, 0); nx <= MIN(x + 1, w - 1); nx++) {
                    int32_t to = ny * w + nx;
                    if (mask[to] && !label[to]) {
                        label[to] = n;
                        queue[last++] = to;
                    }
                }
        }
        g_array_append_val(size, last);
    }
    return n;
}

// ---- adding ---------------------------------------------------------------------------------------------------------------------

// Where the middle of pixel i of n lies among `cells` cells: the cell before it, and how far to the next.
static int32_t place(int32_t i, int32_t n, int32_t cells, float *part) {
    double at = fmin(fmax((i + 0.5) / n * cells - 0.5, 0), cells - 1);
    int32_t cell = MIN((int32_t)at, MAX(cells - 2, 0));
    *part = cells > 1 ? (float)(at - cell) : 0;
    return cell;
}

static float sample(const float *map, int32_t map_w, int32_t map_h, int32_t x, float fx, int32_t y, float fy) {
    int32_t right = MIN(x + 1, map_w - 1), below = MIN(y + 1, map_h - 1);
    float top = map[y * map_w + x] * (1 - fx) + map[y * map_w + right] * fx;
    float bottom = map[below * map_w + x] * (1 - fx) + map[below * map_w + right] * fx;
    return top * (1 - fy) + bottom * fy;
}

bool seam_pixels_add(SeamPixelMetrics *p, const float *map, int32_t map_w, int32_t map_h, const uint8_t *mask, int32_t w, int32_t h) {
    int32_t step = 1, sw, sh, picture = mask ? (int32_t)p->regions->len : -1;
    while ((int64_t)(w / step) * (h / step) > MOST_PIXELS)
        step++;
    sw = MAX(w / step, 1);
    sh = MAX(h / step, 1);
    if ((uint64_t)p->pixel->len + (uint64_t)sw * sh > G_MAXUINT / sizeof(Pixel) / 2)
        return false;
    g_autofree uint8_t *small = g_new0(uint8_t, (size_t)sw * sh);
    g_autofree int32_t *label = g_new(int32_t, 2 * (size_t)sw * sh);
    g_autoptr(GArray) size = g_array_new(FALSE, FALSE, sizeof(int32_t));
    for (int32_t i = 0; mask && i < sw * sh; i++)
        small[i] = mask[(size_t)(i / sw) * step * w + (size_t)(i % sw) * step];
    int32_t regions = label_regions(small, sw, sh, label, label + (size_t)sw * sh, size);
    for (int32_t y = 0; y < sh; y++)
        for (int32_t x = 0; x < sw; x++) {
            float fx, fy;
            int32_t cx = place(x, sw, map_w, &fx), cy = place(y, sh, map_h, &fy), in = label[y * sw + x];
            Pixel one = {sample(map, map_w, map_h, cx, fx, cy, fy), in ? 1 / (float)g_array_index(size, int32_t, in - 1) : 0, picture};
            if (isnan(one.score))
                return false;
            g_array_append_val(p->pixel, one);
        }
    if (mask)
        g_array_append_val(p->regions, regions);
    else
        p->good++;
    return true;
}

// ---- the curves -----------------------------------------------------------------------------------------------------------------

// Sums over the pixels with a score at or over a threshold.
typedef struct {
    double defect, overlap, good; // pixels of regions; their weights; good pixels
} Sums;

// The areas under two curves over FPR, one step (all pixels of equal score) at a time.
typedef struct {
    Sums all, now;
    double auroc, aupro;
} Curves;

static void curves_step(Curves *c, const Sums *step) {
    Sums last = c->now;
    c->now.defect += step->defect;
    c->now.overlap += step->overlap;
    c->now.good += step->good;
    double from = last.good / c->all.good, to = c->now.good / c->all.good, width = to - from;
    c->auroc += width * (last.defect + c->now.defect) / 2 / c->all.defect;
    if (from >= limit || !(width > 0))
        return;
    double share = fmin((limit - from) / width, 1), begin = last.overlap / c->all.overlap, end = c->now.overlap / c->all.overlap;
    end = begin + (end - begin) * share;
    c->aupro += width * share * (begin + end) / 2;
}

static void sums_add(Sums *sums, const Pixel *p) {
    sums->defect += p->weight > 0;
    sums->overlap += p->weight;
    sums->good += !(p->weight > 0);
}

static int by_score_falling(const void *a, const void *b) {
    float x = ((const Pixel *)a)->score, y = ((const Pixel *)b)->score;
    return x > y ? -1 : x < y;
}

// pixel [n], sorted. NaN where there are no pixels of a kind.
static void measure(const Pixel *pixel, size_t n, bool with_good, double *auroc, double *aupro) {
    Curves c = {0};
    *auroc = *aupro = NAN;
    for (size_t i = 0; i < n; i++)
        if (with_good || pixel[i].picture >= 0)
            sums_add(&c.all, &pixel[i]);
    if (!(c.all.defect > 0) || !(c.all.good > 0))
        return;
    for (size_t i = 0; i < n;) {
        Sums step = {0};
        float score = pixel[i].score;
        for (; i < n && pixel[i].score == score; i++)
            if (with_good || pixel[i].picture >= 0)
                sums_add(&step, &pixel[i]);
        curves_step(&c, &step);
    }
    *auroc = c.auroc;
    *aupro = c.aupro / limit;
}

// ---- intervals ------------------------------------------------------------------------------------------------------------------

// bin [pictures, BINS], the highest scores first.
static Sums *fill_bins(const Pixel *pixel, size_t n, int32_t pictures) {
    Sums *bin = g_new0(Sums, (size_t)pictures * BINS);
    size_t masked = 0, seen = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        masked += pixel[i].picture >= 0;
    for (size_t i = 0; i < n; i++) {
        if (pixel[i].picture < 0)
            continue;
        if (i == 0 || pixel[i].score != pixel[i - 1].score) // equal scores share a bin
            at = MIN(seen * BINS / masked, BINS - 1);
        sums_add(&bin[(size_t)pixel[i].picture * BINS + at], &pixel[i]);
        seen++;
    }
    return bin;
}

static void draw_once(const Sums *bin, int32_t pictures, SeamRandom *random, Sums *sum, double *auroc, double *aupro) {
    Curves c = {0};
    memset(sum, 0, BINS * sizeof *sum);
    for (int32_t k = 0; k < pictures; k++) {
        const Sums *from = bin + (size_t)seam_random_below(random, pictures) * BINS;
        for (int32_t b = 0; b < BINS; b++) {
            sum[b].defect += from[b].defect;
            sum[b].overlap += from[b].overlap;
            sum[b].good += from[b].good;
        }
    }
    for (int32_t b = 0; b < BINS; b++) {
        c.all.defect += sum[b].defect;
        c.all.overlap += sum[b].overlap;
        c.all.good += sum[b].good;
    }
    for (int32_t b = 0; b < BINS; b++)
        curves_step(&c, &sum[b]);
    *auroc = c.auroc; // NaN where a kind of pixel was not drawn
    *aupro = c.aupro / limit;
}

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void percentiles(double *x, int32_t n, double interval[2]) {
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            x[kept++] = x[i];
    if (kept == 0)
        return;
    qsort(x, (size_t)kept, sizeof *x, rising);
    interval[0] = x[(int32_t)(0.025 * (kept - 1))];
    interval[1] = x[(int32_t)ceil(0.975 * (kept - 1))];
}

static void bootstrap(const Pixel *pixel, size_t n, int32_t pictures, uint64_t seed, SeamPixelFigures *out) {
    g_autofree Sums *bin = fill_bins(pixel, n, pictures), *sum = g_new(Sums, BINS);
    g_autofree double *auroc = g_new(double, DRAWS), *aupro = g_new(double, DRAWS);
    SeamRandom random = seam_random(seed, seam_random_hash("pixels.bootstrap"));
    for (int32_t i = 0; i < DRAWS; i++)
        draw_once(bin, pictures, &random, sum, &auroc[i], &aupro[i]);
    percentiles(auroc, DRAWS, out->auroc_interval);
    percentiles(aupro, DRAWS, out->aupro_interval);
}

void seam_pixels_figures(const SeamPixelMetrics *p, uint64_t seed, SeamPixelFigures *out) {
    size_t n = p->pixel->len;
    *out = (SeamPixelFigures){.auroc = NAN, .aupro = NAN, .auroc_all = NAN, .aupro_all = NAN, .auroc_interval = {NAN, NAN},
                              .aupro_interval = {NAN, NAN}, .masked = (int32_t)p->regions->len, .good = p->good};
    for (guint i = 0; i < p->regions->len; i++)
        out->regions += g_array_index(p->regions, int32_t, i);
    if (out->masked == 0)
        return;
    Pixel *pixel = (Pixel *)(void *)p->pixel->data;
    qsort(pixel, n, sizeof *pixel, by_score_falling);
    measure(pixel, n, false, &out->auroc, &out->aupro);
    if (out->good > 0)
        measure(pixel, n, true, &out->auroc_all, &out->aupro_all);
    if (out->masked > 1 && isfinite(out->auroc))
        bootstrap(pixel, n, out->masked, seed, out);
}
