// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures. Sorting is by value and then by index, so that equal scores give the same result everywhere.
#include "core/train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/boxes.h"
#include "core/random.h"

typedef struct {
    float score;
    bool defect;
} Scored;

static int by_score(const void *a, const void *b) {
    float x = ((const Scored *)a)->score, y = ((const Scored *)b)->score;
    return (x > y) - (x < y);
}

// Those with a score, rising; NaN scores are left out.
static Scored *sort_scores(int32_t n, const float *score, const bool *defect, int32_t *kept, int32_t *defects) {
    Scored *s = g_new(Scored, n + 1);
    *kept = *defects = 0;
    for (int32_t i = 0; i < n; i++)
        if (!isnan(score[i])) {
            s[(*kept)++] = (Scored){score[i], defect[i]};
            *defects += defect[i];
        }
    qsort(s, (size_t)*kept, sizeof *s, by_score);
    return s;
}

double seam_metric_auroc(int32_t n, const float *score, const bool *defect) {
    int32_t kept, defects;
    g_autofree Scored *s = sort_scores(n, score, defect, &kept, &defects);
    double rank_sum = 0, good = kept - defects;
    for (int32_t i = 0, end; i < kept; i = end) {
        for (end = i; end < kept && s[end].score == s[i].score; end++)
            ;
        for (int32_t j = i; j < end; j++)
            rank_sum += s[j].defect ? (i + end + 1) / 2.0 : 0; // mean rank of those that tie, from 1
    }
    return defects > 0 && good > 0 ? (rank_sum - defects * (defects + 1.0) / 2) / (defects * good) : NAN;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void seam_metric_auroc_interval(int32_t n, const float *score, const bool *defect, uint64_t seed, double *low, double *high) {
    enum { DRAWS = 2000 };
    int32_t kept, defects;
    g_autofree Scored *s = sort_scores(n, score, defect, &kept, &defects);
    g_autofree float *by_kind = g_new(float, kept + 1), *drawn = g_new(float, kept + 1); // defective ones first
    g_autofree bool *is_defect = g_new(bool, kept + 1);
    double value[DRAWS];
    SeamRandom random = seam_random(seed, seam_random_hash("metrics.bootstrap"));
    *low = *high = NAN;
    if (defects == 0 || defects == kept)
        return;
    for (int32_t i = 0, first[2] = {defects, 0}; i < kept; i++)
        by_kind[first[s[i].defect]++] = s[i].score;
    for (int32_t k = 0; k < DRAWS; k++) {
        for (int32_t i = 0; i < kept; i++) {
            is_defect[i] = i < defects;
            drawn[i] = by_kind[is_defect[i] ? seam_random_below(&random, defects) : defects + seam_random_below(&random, kept - defects)];
        }
        value[k] = seam_metric_auroc(kept, drawn, is_defect);
    }
    qsort(value, DRAWS, sizeof *value, compare_doubles);
    *low = value[DRAWS / 40];
    *high = value[DRAWS - 1 - DRAWS / 40];
}

double seam_metric_false_reject(int32_t n, const float *score, const bool *defect, double recall) {
    int32_t kept, defects, left = 0, rejected = 0;
    g_autofree Scored *s = sort_scores(n, score, defect, &kept, &defects);
    int32_t needed = (int32_t)ceil(recall * defects - 1e-9);
    float threshold = INFINITY;
    for (int32_t i = kept - 1; i >= 0 && left < needed; i--)
        if (s[i].defect) {
            left++;
            threshold = s[i].score;
        }
    for (int32_t i = 0; i < kept; i++)
        rejected += !s[i].defect && s[i].score >= threshold;
    return defects > 0 && kept > defects ? (double)rejected / (kept - defects) : NAN;
}

double seam_metric_ece(int32_t n, const float *confidence, const bool *correct) {
    enum { BINS = 10 };
    double sum[BINS] = {0}, right[BINS] = {0}, error = 0;
    int32_t counted = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!(confidence[i] >= 0 && confidence[i] <= 1))
            continue;
        int32_t bin = MIN((int32_t)(confidence[i] * BINS), BINS - 1);
        sum[bin] += confidence[i];
        right[bin] += correct[i];
        counted++;
    }
    for (int32_t b = 0; b < BINS; b++)
        error += fabs(sum[b] - right[b]);
    return counted > 0 ? error / counted : NAN;
}

// ---- boxes ---------------------------------------------------------------------------------------------------------------------

static int by_detection(const void *a, const void *b) {
    const SeamMetricBox *x = a, *y = b;
    if (x->box.score != y->box.score)
        return x->box.score < y->box.score ? 1 : -1;
    if (x->picture != y->picture)
        return x->picture < y->picture ? -1 : 1;
    return memcmp(&x->box, &y->box, sizeof x->box);
}

// Takes the best true box that no better detection has; -1 when none overlaps by half.
static int32_t match(const SeamMetricBox *found, int32_t n, const SeamMetricBox *true_box, bool *taken) {
    int32_t best = -1;
    double top = 0.5;
    for (int32_t i = 0; i < n; i++) {
        if (taken[i] || true_box[i].picture != found->picture || true_box[i].box.class_index != found->box.class_index)
            continue;
        double o = seam_boxes_overlap(&found->box, &true_box[i].box);
        if (o >= top) {
            top = o;
            best = i;
        }
    }
    if (best >= 0)
        taken[best] = true;
    return best;
}

void seam_metric_match(int32_t n_found, SeamMetricBox *found, int32_t n_true, const SeamMetricBox *true_box, bool *right) {
    g_autofree bool *taken = g_new0(bool, n_true + 1);
    if (n_found > 0)
        qsort(found, (size_t)n_found, sizeof *found, by_detection);
    for (int32_t i = 0; i < n_found; i++)
        right[i] = match(&found[i], n_true, true_box, taken) >= 0;
}

static int32_t times_of(const int32_t *times, int32_t picture) { return times ? times[picture] : 1; }

static double average_precision(int32_t class_index, int32_t n_found, const SeamMetricBox *found, const bool *right, int64_t wanted, const int32_t *times) {
    g_autofree double *precision = g_new0(double, n_found + 1);
    g_autofree double *recall = g_new0(double, n_found + 1);
    int32_t steps = 0;
    int64_t seen = 0, matched = 0;
    double area = 0, best = 0;
    for (int32_t i = 0; i < n_found; i++) {
        int32_t n = times_of(times, found[i].picture);
        if (found[i].box.class_index != class_index || n == 0)
            continue;
        seen += n;
        matched += right[i] ? n : 0;
        precision[steps] = (double)matched / (double)seen;
        recall[steps++] = (double)matched / (double)wanted;
    }
    for (int32_t i = steps - 1; i >= 0; i--) { // precision is made to fall with recall, as VOC does
        best = fmax(best, precision[i]);
        area += best * (recall[i] - (i > 0 ? recall[i - 1] : 0));
    }
    return area;
}

double seam_metric_map50_drawn(int32_t n_found, const SeamMetricBox *found, const bool *right, int32_t n_true, const SeamMetricBox *true_box,
                               int32_t classes, const int32_t *times) {
    double sum = 0;
    int32_t counted = 0;
    for (int32_t c = 0; c < classes; c++) {
        int64_t wanted = 0;
        for (int32_t i = 0; i < n_true; i++)
            wanted += true_box[i].box.class_index == c ? times_of(times, true_box[i].picture) : 0;
        if (wanted == 0)
            continue;
        sum += average_precision(c, n_found, found, right, wanted, times);
        counted++;
    }
    return counted > 0 ? sum / counted : NAN;
}

double seam_metric_map50(int32_t n_found, SeamMetricBox *found, int32_t n_true, const SeamMetricBox *true_box, int32_t classes) {
    g_autofree bool *right = g_new0(bool, n_found + 1);
    seam_metric_match(n_found, found, n_true, true_box, right);
    return seam_metric_map50_drawn(n_found, found, right, n_true, true_box, classes, NULL);
}

// ---- classes -------------------------------------------------------------------------------------------------------------------

void seam_metric_classes(int32_t classes, const int32_t *confusion, SeamClassMetrics *out) {
    int64_t all = 0, right = 0;
    double sum = 0;
    int32_t counted = 0;
    for (int32_t c = 0; c < classes; c++) {
        int64_t truth = 0, said = 0, both = confusion[c * classes + c];
        for (int32_t k = 0; k < classes; k++) {
            truth += confusion[c * classes + k];
            said += confusion[k * classes + c];
        }
        out->recall[c] = truth > 0 ? (double)both / (double)truth : NAN;
        out->precision[c] = said > 0 ? (double)both / (double)said : NAN;
        out->f1[c] = truth + said > 0 ? 2.0 * (double)both / (double)(truth + said) : NAN;
        all += truth;
        right += both;
        if (truth > 0) {
            sum += out->f1[c];
            counted++;
        }
    }
    out->accuracy = all > 0 ? (double)right / (double)all : NAN;
    out->macro_f1 = counted > 0 ? sum / counted : NAN;
}
