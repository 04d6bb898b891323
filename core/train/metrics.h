// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures of how good decisions are. Pure functions of lists; what cannot be computed (no defect, no good one) is NaN.
#pragma once

#include "core/config.h"
#include "core/vision.h"

enum { SEAM_METRIC_CLASSES = SEAM_MAX_CLASSES };

// Area under the ROC curve: the probability that a defective one scores higher than a good one, ties counted half (Mann-Whitney).
double seam_metric_auroc(int32_t n, const float *score, const bool *defect);
// 95 % bootstrap interval of it (Efron 1979, percentiles), good and defective ones drawn apart, so that both always occur.
void seam_metric_auroc_interval(int32_t n, const float *score, const bool *defect, uint64_t seed, double *low, double *high);
// Share of good ones that score at or above the highest threshold at which at least `recall` of the defective ones do.
double seam_metric_false_reject(int32_t n, const float *score, const bool *defect, double recall);
// Expected calibration error (Guo 2017, eq. 3) with 10 bins of equal width.
double seam_metric_ece(int32_t n, const float *confidence, const bool *correct);

// One detection or one true box of a picture.
typedef struct {
    int32_t picture;
    SeamBox box; // score counts for detections
} SeamMetricBox;
// Mean over classes with true boxes of the area under precision over recall, every point (VOC 2010), matches from IoU 0.5 on. Reorders `found`.
double seam_metric_map50(int32_t n_found, SeamMetricBox *found, int32_t n_true, const SeamMetricBox *true_box, int32_t classes);
// The two steps of it. right [n_found]: whether a detection found a true box that no better one has; reorders `found`, best first.
void seam_metric_match(int32_t n_found, SeamMetricBox *found, int32_t n_true, const SeamMetricBox *true_box, bool *right);
// times [pictures]: how often each picture counts (a bootstrap's draw); NULL: once.
double seam_metric_map50_drawn(int32_t n_found, const SeamMetricBox *found, const bool *right, int32_t n_true, const SeamMetricBox *true_box,
                               int32_t classes, const int32_t *times);

typedef struct {
    double accuracy, macro_f1;
    double precision[SEAM_METRIC_CLASSES], recall[SEAM_METRIC_CLASSES], f1[SEAM_METRIC_CLASSES]; // NaN for classes without a case
} SeamClassMetrics;
// confusion [classes, classes]: rows are true classes. Macro-F1 is the mean over classes that occur as truth.
void seam_metric_classes(int32_t classes, const int32_t *confusion, SeamClassMetrics *out);
