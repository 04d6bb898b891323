// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How far a figure can be trusted: bootstrap intervals over groups of records, exact intervals of rates, and whether a promised rate was kept. Pure
// functions of lists; it does not judge anything and knows no model.
#pragma once

#include <json-glib/json-glib.h>

#include "core/result.h"
#include "core/train/metrics.h"
#include "core/train/metrics_rul.h"

enum { SEAM_BOOTSTRAP_DRAWS = 1000 };

typedef struct {
    double low, high; // 95 %; NaN: not known
} SeamInterval;

// ---- any figure ----------------------------------------------------------------------------------------------------------------

// times [n]: how often the draw has each record. Fills value; NaN where this draw has none.
typedef void (*SeamFigureFunc)(const void *user, const int32_t *times, double *value);
// Percentile bootstrap (Efron 1979) that draws whole groups with replacement, because records of one specimen are no independent evidence. group [n]: NULL
// leaves a record out. With fewer than two groups, or where under half of the draws have a value, the interval is not known. draws = 0: none is computed.
void seam_bootstrap(int32_t n, const char *const *group, int32_t draws, uint64_t seed, int32_t figures, SeamFigureFunc measure, const void *user,
                    SeamInterval *interval);
// P(X <= hits) of n independent ones with probability p each; 0 at p = 1, where hits < n.
double seam_binomial_below(int32_t hits, int32_t n, double p);
// The p at which that is `chance`, hits < n; it falls with p.
double seam_binomial_share(int32_t hits, int32_t n, double chance);
// Of a rate, hits of n, independent ones (Clopper and Pearson 1934): never narrower than 95 %.
SeamInterval seam_exact_interval(int32_t hits, int32_t n);
// Sum over falling scores of (recall - recall before) * precision, equal scores at once. NaN without a defective one or without a good one.
double seam_metric_average_precision(int32_t n, const float *score, const bool *defect);

// ---- the figures of an evaluation ------------------------------------------------------------------------------------------------

typedef enum {
    SEAM_FIGURE_ACCURACY,
    SEAM_FIGURE_MACRO_F1,
    SEAM_FIGURE_AUROC,
    SEAM_FIGURE_AVERAGE_PRECISION,
    SEAM_FIGURE_MAP50,
    SEAM_FIGURE_RMSE, // of lives, as the next ones
    SEAM_FIGURE_SCORE,
    SEAM_FIGURE_COVERAGE,
    SEAM_FIGURE_INTERVAL_WIDTH,
    SEAM_FIGURES
} SeamFigure;
const char *seam_figure_name(SeamFigure figure); // as a key of JSON: "macro_f1"

typedef struct {
    const char *group; // NULL: the record does not belong to this evaluation
    bool counted;      // it has a label and a verdict: the fields below count
    bool defect;
    float score;
    int32_t truth, said; // classes
} SeamJudged;

typedef struct {
    int32_t n;
    const SeamJudged *judged; // [n]
    int32_t classes;
    int32_t n_found, n_true;     // boxes
    SeamMetricBox *found;        // is reordered
    const SeamMetricBox *true_box;
    int32_t box_classes;
    const int32_t *record_of_picture; // index into judged of each SeamMetricBox.picture
    int32_t n_lives;
    const SeamLife *life;          // [n_lives]
    const int32_t *record_of_life; // index into judged of each
} SeamJudgedSet;

void seam_judged_intervals(const SeamJudgedSet *set, int32_t draws, uint64_t seed, SeamInterval interval[SEAM_FIGURES]);

// ---- promises ------------------------------------------------------------------------------------------------------------------

// A conformal promise against what came: held unless the exact interval of the observed rate lies above what was promised.
typedef struct {
    double promised, observed;
    int32_t hits, n, with_threshold; // with_threshold: of n, those for which calibration gave a threshold at all
    SeamInterval interval;
    bool held;
} SeamPromise;

SeamPromise seam_promise(double promised, int32_t hits, int32_t n, int32_t with_threshold);
JsonObject *seam_promise_print(const SeamPromise *promise);
JsonArray *seam_interval_print(SeamInterval interval); // [low, high]
// {"NAME": [low, high]} of the figures that have one; NULL when none has.
JsonObject *seam_intervals_print(const SeamInterval interval[SEAM_FIGURES]);
