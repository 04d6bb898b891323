// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Intervals. Every figure is computed from weights (how often a record is drawn), so that what is costly, sorting scores and matching boxes, is done once
// and not a thousand times.
#include "core/train/metrics_interval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

static const double tail = 0.025; // on each side

// ---- bootstrap -----------------------------------------------------------------------------------------------------------------

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// index [n]: each record's group from 0, -1 for those left out; returns how many groups.
static int32_t number_groups(int32_t n, const char *const *group, int32_t *index) {
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    for (int32_t i = 0; i < n; i++) {
        index[i] = -1;
        if (!group[i])
            continue;
        gpointer at;
        if (!g_hash_table_lookup_extended(known, group[i], NULL, &at)) {
            at = GINT_TO_POINTER((int)g_hash_table_size(known));
            g_hash_table_insert(known, (gpointer)group[i], at);
        }
        index[i] = GPOINTER_TO_INT(at);
    }
    return (int32_t)g_hash_table_size(known);
}

// The percentiles of those draws that are numbers; sorts them.
static SeamInterval percentiles(double *value, int32_t draws) {
    int32_t kept = 0;
    for (int32_t k = 0; k < draws; k++)
        if (isfinite(value[k]))
            value[kept++] = value[k];
    if (kept == 0 || 2 * kept < draws)
        return (SeamInterval){NAN, NAN};
    qsort(value, (size_t)kept, sizeof *value, compare_doubles);
    int32_t cut = (int32_t)(kept * tail);
    return (SeamInterval){value[cut], value[kept - 1 - cut]};
}

void seam_bootstrap(int32_t n, const char *const *group, int32_t draws, uint64_t seed, int32_t figures, SeamFigureFunc measure, const void *user,
                    SeamInterval *interval) {
    g_autofree int32_t *index = g_new(int32_t, n + 1), *times = g_new(int32_t, n + 1);
    int32_t groups = number_groups(n, group, index);
    g_autofree int32_t *drawn = g_new(int32_t, groups + 1);
    g_autofree double *value = g_new(double, (gsize)draws * figures + 1), *one = g_new(double, figures);
    SeamRandom random = seam_random(seed, seam_random_hash("metrics.groups"));
    for (int32_t f = 0; f < figures; f++)
        interval[f] = (SeamInterval){NAN, NAN};
    for (int32_t k = 0; k < draws && groups > 1; k++) {
        memset(drawn, 0, (size_t)groups * sizeof *drawn);
        for (int32_t g = 0; g < groups; g++)
            drawn[seam_random_below(&random, groups)]++;
        for (int32_t i = 0; i < n; i++)
            times[i] = index[i] >= 0 ? drawn[index[i]] : 0;
        measure(user, times, one);
        for (int32_t f = 0; f < figures; f++)
            value[(size_t)f * draws + k] = one[f];
    }
    for (int32_t f = 0; f < figures && groups > 1; f++)
        interval[f] = percentiles(value + (size_t)f * draws, draws);
}

// ---- rates ---------------------------------------------------------------------------------------------------------------------

double seam_binomial_below(int32_t hits, int32_t n, double p) {
    double sum = 0;
    if (p <= 0 || hits >= n)
        return 1;
    for (int32_t k = 0; k <= hits && p < 1; k++)
        sum += exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) + k * log(p) + (n - k) * log1p(-p));
    return fmin(sum, 1);
}

double seam_binomial_share(int32_t hits, int32_t n, double chance) {
    double low = 0, high = 1;
    for (int32_t step = 0; step < 60; step++) {
        double p = (low + high) / 2;
        if (seam_binomial_below(hits, n, p) > chance)
            low = p;
        else
            high = p;
    }
    return (low + high) / 2;
}

SeamInterval seam_exact_interval(int32_t hits, int32_t n) {
    if (n <= 0)
        return (SeamInterval){NAN, NAN};
    return (SeamInterval){hits > 0 ? seam_binomial_share(hits - 1, n, 1 - tail) : 0, hits < n ? seam_binomial_share(hits, n, tail) : 1};
}

// ---- scores --------------------------------------------------------------------------------------------------------------------

typedef struct {
    float score;
    bool defect;
    int32_t record;
} Ranked;

static int by_score(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->record > y->record) - (x->record < y->record);
}

static int32_t weight(const Ranked *r, const int32_t *times) { return times ? times[r->record] : 1; }

// Both walk falling scores, those that are equal at once: d defective and g good ones.
static void rank_figures(int32_t n, const Ranked *ranked, const int32_t *times, double *auroc, double *precision) {
    double defects = 0, good = 0, pairs = 0, area = 0;
    for (int32_t i = 0, end; i < n; i = end) {
        double d = 0, g = 0;
        for (end = i; end < n && ranked[end].score == ranked[i].score; end++)
            *(ranked[end].defect ? &d : &g) += weight(&ranked[end], times);
        pairs += g * (defects + d / 2); // defective ones that score higher than these good ones
        defects += d;
        good += g;
        area += d > 0 ? d * defects / (defects + good) : 0;
    }
    *auroc = defects > 0 && good > 0 ? pairs / (defects * good) : NAN;
    *precision = defects > 0 && good > 0 ? area / defects : NAN;
}

double seam_metric_average_precision(int32_t n, const float *score, const bool *defect) {
    g_autofree Ranked *ranked = g_new(Ranked, n + 1);
    double auroc, precision;
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (!isnan(score[i]))
            ranked[kept++] = (Ranked){score[i], defect[i], i};
    qsort(ranked, (size_t)kept, sizeof *ranked, by_score);
    rank_figures(kept, ranked, NULL, &auroc, &precision);
    return precision;
}

// ---- an evaluation -------------------------------------------------------------------------------------------------------------

const char *seam_figure_name(SeamFigure figure) {
    static const char *const names[] = {"accuracy", "macro_f1", "auroc", "average_precision", "map50", "rmse", "score", "coverage", "interval_width"};
    return names[figure];
}

typedef struct {
    const SeamJudgedSet *set;
    int32_t n_ranked;
    Ranked *ranked;
    bool *right;       // [n_found] whether the box was found, by the order of set->found
    int32_t *confusion, *picture_times, *life_times;
    int32_t pictures;
} Draws;

static void class_figures(const Draws *d, const int32_t *times, double *value) {
    int32_t classes = d->set->classes;
    SeamClassMetrics metrics;
    memset(d->confusion, 0, sizeof *d->confusion * (size_t)(classes * classes));
    for (int32_t i = 0; i < d->set->n; i++) {
        const SeamJudged *j = &d->set->judged[i];
        if (j->counted && j->truth >= 0 && j->said >= 0 && j->truth < classes && j->said < classes)
            d->confusion[j->truth * classes + j->said] += times[i];
    }
    seam_metric_classes(classes, d->confusion, &metrics);
    value[SEAM_FIGURE_ACCURACY] = metrics.accuracy;
    value[SEAM_FIGURE_MACRO_F1] = metrics.macro_f1;
}

static void life_figures(const Draws *d, const int32_t *times, double *value) {
    SeamLifeMetrics lives;
    for (int32_t i = 0; i < d->set->n_lives; i++)
        d->life_times[i] = times[d->set->record_of_life[i]];
    seam_metric_lives(d->set->n_lives, d->set->life, d->life_times, &lives);
    value[SEAM_FIGURE_RMSE] = lives.rmse;
    value[SEAM_FIGURE_SCORE] = lives.score;
    value[SEAM_FIGURE_COVERAGE] = lives.coverage;
    value[SEAM_FIGURE_INTERVAL_WIDTH] = lives.interval_width;
}

static void measure_draw(const void *user, const int32_t *times, double *value) {
    const Draws *d = user;
    class_figures(d, times, value);
    life_figures(d, times, value);
    rank_figures(d->n_ranked, d->ranked, times, &value[SEAM_FIGURE_AUROC], &value[SEAM_FIGURE_AVERAGE_PRECISION]);
    for (int32_t p = 0; p < d->pictures; p++)
        d->picture_times[p] = times[d->set->record_of_picture[p]];
    value[SEAM_FIGURE_MAP50] = seam_metric_map50_drawn(d->set->n_found, d->set->found, d->right, d->set->n_true, d->set->true_box,
                                                       d->set->box_classes, d->picture_times);
}

static void count_pictures(Draws *d) {
    for (int32_t i = 0; i < d->set->n_found; i++)
        d->pictures = MAX(d->pictures, d->set->found[i].picture + 1);
    for (int32_t i = 0; i < d->set->n_true; i++)
        d->pictures = MAX(d->pictures, d->set->true_box[i].picture + 1);
}

void seam_judged_intervals(const SeamJudgedSet *set, int32_t draws, uint64_t seed, SeamInterval interval[SEAM_FIGURES]) {
    Draws d = {.set = set, .ranked = g_new(Ranked, set->n + 1), .right = g_new0(bool, set->n_found + 1),
               .confusion = g_new(int32_t, set->classes * set->classes + 1)};
    g_autofree const char **group = g_new0(const char *, set->n + 1);
    for (int32_t i = 0; i < set->n; i++) {
        const SeamJudged *j = &set->judged[i];
        group[i] = j->group;
        if (j->counted && !isnan(j->score))
            d.ranked[d.n_ranked++] = (Ranked){j->score, j->defect, i};
    }
    qsort(d.ranked, (size_t)d.n_ranked, sizeof *d.ranked, by_score);
    count_pictures(&d);
    d.picture_times = g_new0(int32_t, d.pictures + 1);
    d.life_times = g_new0(int32_t, set->n_lives + 1);
    seam_metric_match(set->n_found, set->found, set->n_true, set->true_box, d.right);
    seam_bootstrap(set->n, group, draws, seed, SEAM_FIGURES, measure_draw, &d, interval);
    g_free(d.ranked);
    g_free(d.right);
    g_free(d.confusion);
    g_free(d.picture_times);
    g_free(d.life_times);
}

// ---- promises and printing -----------------------------------------------------------------------------------------------------

SeamPromise seam_promise(double promised, int32_t hits, int32_t n, int32_t with_threshold) {
    SeamPromise p = {.promised = promised, .observed = n > 0 ? (double)hits / n : NAN, .hits = hits, .n = n, .with_threshold = with_threshold,
                     .interval = seam_exact_interval(hits, n)};
    p.held = !(p.interval.low > promised);
    return p;
}

JsonArray *seam_interval_print(SeamInterval interval) {
    JsonArray *array = json_array_sized_new(2);
    json_array_add_double_element(array, interval.low);
    json_array_add_double_element(array, interval.high);
    return array;
}

JsonObject *seam_promise_print(const SeamPromise *p) {
    JsonObject *o = json_object_new();
    json_object_set_double_member(o, "promised", p->promised);
    json_object_set_int_member(o, "n", p->n);
    json_object_set_int_member(o, "with_threshold", p->with_threshold);
    if (p->n == 0)
        return o;
    json_object_set_double_member(o, "observed", p->observed);
    json_object_set_double_member(o, "low", p->interval.low);
    json_object_set_double_member(o, "high", p->interval.high);
    json_object_set_boolean_member(o, "held", p->held);
    return o;
}

JsonObject *seam_intervals_print(const SeamInterval interval[SEAM_FIGURES]) {
    JsonObject *o = json_object_new();
    for (int32_t f = 0; f < SEAM_FIGURES; f++)
        if (isfinite(interval[f].low) && isfinite(interval[f].high))
            json_object_set_array_member(o, seam_figure_name((SeamFigure)f), seam_interval_print(interval[f]));
    if (json_object_get_size(o) == 0)
        g_clear_pointer(&o, json_object_unref);
    return o;
}
