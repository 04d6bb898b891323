// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Probes: logistic regression with a ridge, one class against the rest, by Newton's steps (iteratively reweighted least squares; Hastie 2009, sec. 4.4.1).
// Classes count equally, inputs are standardised by the fold's training part, and a missing value is the mean.
#include "core/train/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/train/split.h"

enum { FOLDS = 5, NEWTON_STEPS = 12 };
static const uint64_t fold_seed = 1;
static const double ridge = 1, furthest = 4; // in standard deviations
static const double of_gain = 0.9;           // of what the model has over chance

// ---- one logistic regression -----------------------------------------------------------------------------------------------------

// Solves a x = b for a symmetric positive definite a [d, d] in place (Cholesky); false when it is not.
static bool solve(int32_t d, double *a, double *b) {
    for (int32_t j = 0; j < d; j++)
        for (int32_t i = j; i < d; i++) {
            double sum = a[i * d + j];
            for (int32_t k = 0; k < j; k++)
                sum -= a[i * d + k] * a[j * d + k];
            if (i == j && !(sum > 0))
                return false;
            a[i * d + j] = i == j ? sqrt(sum) : sum / a[j * d + j];
        }
    for (int32_t i = 0; i < d; i++) {
        for (int32_t k = 0; k < i; k++)
            b[i] -= a[i * d + k] * b[k];
        b[i] /= a[i * d + i];
    }
    for (int32_t i = d; i-- > 0;) {
        for (int32_t k = i + 1; k < d; k++)
            b[i] -= a[k * d + i] * b[k];
        b[i] /= a[i * d + i];
    }
    return true;
}

typedef struct {
    int32_t n, d;
    const double *x;   // [n, d]; the last column is 1
    const bool *of;    // [n] used in this fit
    double *hessian, *gradient;
} Fit;

static double dot(int32_t d, const double *a, const double *b) {
    double sum = 0;
    for (int32_t i = 0; i < d; i++)
        sum += a[i] * b[i];
    return sum;
}

// One Newton step: adds the cost's gradient and curvature, and the ridge on all but the constant.
static bool newton_step(const Fit *f, const bool *yes, const double weight[2], double *w) {
    int32_t d = f->d;
    memset(f->hessian, 0, sizeof *f->hessian * (size_t)(d * d));
    for (int32_t j = 0; j < d; j++) {
        double r = j + 1 < d ? ridge : 1e-6;
        f->gradient[j] = -r * w[j];
        f->hessian[j * d + j] = r;
    }
    for (int32_t i = 0; i < f->n; i++) {
        if (!f->of[i])
            continue;
        const double *x = f->x + (size_t)i * d;
        double p = 1 / (1 + exp(-dot(d, w, x))), scale = weight[yes[i]], curve = scale * fmax(p * (1 - p), 1e-6);
        for (int32_t j = 0; j < d; j++) {
            f->gradient[j] += scale * (yes[i] - p) * x[j];
            for (int32_t k = 0; k <= j; k++)
                f->hessian[j * d + k] += curve * x[j] * x[k];
        }
    }
    double largest = 0;
    if (!solve(d, f->hessian, f->gradient))
        return false;
    for (int32_t j = 0; j < d; j++)
        largest = fmax(largest, fabs(f->gradient[j]));
    for (int32_t j = 0; j < d; j++)
        w[j] += f->gradient[j] * (largest > 5 ? 5 / largest : 1);
    return largest > 1e-6;
}

static void fit_logistic(const Fit *f, const bool *yes, double *w) {
    double count[2] = {0}, weight[2];
    for (int32_t i = 0; i < f->n; i++)
        if (f->of[i])
            count[yes[i]]++;
    memset(w, 0, (size_t)f->d * sizeof *w);
    for (int32_t k = 0; k < 2; k++)
        weight[k] = count[k] > 0 ? (count[0] + count[1]) / (2 * count[k]) : 0;
    for (int32_t step = 0; step < NEWTON_STEPS && newton_step(f, yes, weight, w); step++)
        ;
}

// ---- one probe -----------------------------------------------------------------------------------------------------------------

static void standardise(int32_t n, int32_t columns, double *x, int32_t column, const bool *of) {
    double sum = 0, square = 0, count = 0;
    for (int32_t i = 0; i < n; i++) {
        double v = x[(size_t)i * columns + column];
        if (of[i] && isfinite(v)) {
            sum += v;
            square += v * v;
            count++;
        }
    }
    double mean = count > 0 ? sum / count : 0, std = count > 0 ? sqrt(fmax(square / count - mean * mean, 0)) : 0;
    for (int32_t i = 0; i < n; i++) {
        double *v = &x[(size_t)i * columns + column];
        *v = isfinite(*v) && std > 0 ? fmax(fmin((*v - mean) / std, furthest), -furthest) : 0;
    }
}

// Columns: the features; with one feature its square, too, so that an odd middle is seen; and 1.
static void fill_inputs(int32_t n, int32_t d, const double *x, const bool *of, int32_t columns, double *out) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < d; j++)
            out[(size_t)i * columns + j] = x[(size_t)i * d + j];
    for (int32_t j = 0; j < d; j++)
        standardise(n, columns, out, j, of);
    for (int32_t i = 0; i < n && d == 1; i++)
        out[(size_t)i * columns + 1] = out[(size_t)i * columns] * out[(size_t)i * columns];
    if (d == 1)
        standardise(n, columns, out, 1, of);
    for (int32_t i = 0; i < n; i++)
        out[(size_t)i * columns + columns - 1] = 1;
}

void seam_probe_fit(int32_t n, int32_t d, const double *x, int32_t classes, const int32_t *class_index, const int32_t *fold, int32_t folds, int32_t *said,
                    float *score) {
    int32_t columns = d + (d == 1) + 1;
    g_autofree double *input = g_new(double, (gsize)n * columns + 1), *hessian = g_new(double, (gsize)columns * columns),
                      *gradient = g_new(double, columns), *w = g_new(double, columns), *best = g_new(double, n + 1);
    g_autofree bool *of = g_new(bool, n + 1), *yes = g_new(bool, n + 1);
    Fit fit = {n, columns, input, of, hessian, gradient};
    for (int32_t k = 0; k < folds; k++) {
        for (int32_t i = 0; i < n; i++)
            of[i] = class_index[i] >= 0 && fold[i] != k;
        fill_inputs(n, d, x, of, columns, input);
        for (int32_t c = 0; c < classes; c++) {
            bool any = false;
            for (int32_t i = 0; i < n; i++) {
                yes[i] = class_index[i] == c;
                any = any || (of[i] && yes[i]);
            }
            if (any)
                fit_logistic(&fit, yes, w);
            for (int32_t i = 0; i < n; i++) {
                if (fold[i] != k)
                    continue;
                double z = any ? dot(columns, w, input + (size_t)i * columns) : -INFINITY;
                if (c == 0)
                    score[i] = any ? (float)-z : 0;
                if (c == 0 || z > best[i]) {
                    best[i] = z;
                    said[i] = c;
                }
            }
        }
    }
}

// ---- all probes ----------------------------------------------------------------------------------------------------------------

typedef struct {
    const SeamDataset *data;
    const SeamEvaluation *e;
    int32_t classes, folds;
    int32_t *class_index, *fold, *said;
    float *score;
    double *x;
} Probing;

static void measure(const Probing *p, SeamProbe *probe) {
    int32_t n = p->data->n, kept = 0;
    g_autofree int32_t *confusion = g_new0(int32_t, p->classes * p->classes);
    g_autofree float *score = g_new(float, n + 1);
    g_autofree bool *defect = g_new(bool, n + 1);
    SeamClassMetrics metrics;
    for (int32_t i = 0; i < n; i++) {
        if (p->class_index[i] < 0)
            continue;
        confusion[p->class_index[i] * p->classes + p->said[i]]++;
        score[kept] = p->score[i];
        defect[kept++] = p->class_index[i] > 0;
    }
    seam_metric_classes(p->classes, confusion, &metrics);
    probe->auroc = seam_metric_auroc(kept, score, defect);
    probe->macro_f1 = metrics.macro_f1;
}

static bool reaches(double probe, double model, SeamInterval interval, double chance) {
    double low = isfinite(interval.low) ? interval.low : model;
    if (!isfinite(probe) || !isfinite(model) || !(probe > chance + 0.05))
        return false;
    return probe >= low || probe - chance >= of_gain * (model - chance);
}

static void run_probe(const Probing *p, int32_t d, const char *name, bool hidden, GPtrArray *out) {
    SeamProbe *probe = g_new0(SeamProbe, 1);
    const SeamEvaluation *e = p->e;
    *probe = (SeamProbe){.feature = g_strdup(name), .hidden = hidden};
    seam_probe_fit(p->data->n, d, p->x, p->classes, p->class_index, p->fold, p->folds, p->said, p->score);
    measure(p, probe);
    probe->warns = reaches(probe->auroc, e->auroc, e->interval[SEAM_FIGURE_AUROC], 0.5) ||
                   (p->classes > 2 && reaches(probe->macro_f1, e->by_class.macro_f1, e->interval[SEAM_FIGURE_MACRO_F1], 1.0 / p->classes));
    g_ptr_array_add(out, probe);
}

static void free_probe(gpointer data) {
    g_free(((SeamProbe *)data)->feature);
    g_free(data);
}

// Whether there is more than one class among them. part [n]: held are those that are not probed.
static bool choose_records(const SeamDataset *data, const SeamEvaluateWhat *what, bool binary, int32_t *class_index, SeamPart *part) {
    int32_t first = -1;
    bool several = false;
    for (int32_t i = 0; i < data->n; i++) {
        const SeamRecord *r = &data->record[i];
        bool in = r->label && seam_evaluate_wants(what, data, i);
        class_index[i] = in ? (binary ? r->defect : r->class_index) : -1;
        part[i] = class_index[i] >= 0 ? SEAM_PART_TRAIN : SEAM_PART_HELD;
        first = first < 0 ? class_index[i] : first;
        several = several || (class_index[i] >= 0 && class_index[i] != first);
    }
    return several;
}

// x [n, those that the model may see]; returns how many.
static int32_t fill_seen(const GPtrArray *features, int32_t n, double *x) {
    int32_t seen = 0, column = 0;
    for (guint f = 0; f < features->len; f++)
        seen += !((const SeamProbeFeature *)features->pdata[f])->hidden;
    for (guint f = 0; f < features->len; f++) {
        const SeamProbeFeature *feature = features->pdata[f];
        for (int32_t i = 0; i < n && !feature->hidden; i++)
            x[(size_t)i * seen + column] = feature->value[i];
        column += !feature->hidden;
    }
    return seen;
}

GPtrArray *seam_probe(const SeamConfig *config, const SeamDataset *data, const SeamEvaluateWhat *what, const SeamEvaluation *e) {
    GPtrArray *out = g_ptr_array_new_with_free_func(free_probe);
    g_autoptr(GPtrArray) features = seam_probe_features(config, data);
    int32_t n = data->n, all = (int32_t)features->len;
    Probing p = {.data = data, .e = e, .classes = e->classes, .class_index = g_new(int32_t, n + 1), .fold = g_new(int32_t, n + 1),
                 .said = g_new0(int32_t, n + 1), .score = g_new0(float, n + 1), .x = g_new(double, (gsize)n * MAX(all, 1) + 1)};
    g_autofree SeamPart *part = g_new(SeamPart, n + 1);
    bool several = choose_records(data, what, e->binary, p.class_index, part);
    p.folds = several ? seam_split_folds(data, FOLDS, fold_seed, part, p.fold) : 0;
    for (int32_t f = 0; f < all && p.folds > 1; f++) {
        const SeamProbeFeature *feature = features->pdata[f];
        memcpy(p.x, feature->value, (size_t)n * sizeof *p.x);
        run_probe(&p, 1, feature->name, feature->hidden, out);
    }
    int32_t seen = fill_seen(features, n, p.x);
    if (seen > 1 && p.folds > 1)
        run_probe(&p, seen, "all together", false, out);
    g_free(p.class_index);
    g_free(p.fold);
    g_free(p.said);
    g_free(p.score);
    g_free(p.x);
    return out;
}

JsonArray *seam_probe_print(const GPtrArray *probes) {
    JsonArray *array = json_array_new();
    for (guint i = 0; i < probes->len; i++) {
        const SeamProbe *p = probes->pdata[i];
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "feature", p->feature);
        if (isfinite(p->auroc))
            json_object_set_double_member(o, "auroc", p->auroc);
        if (isfinite(p->macro_f1))
            json_object_set_double_member(o, "macro_f1", p->macro_f1);
        json_object_set_boolean_member(o, "warns", p->warns);
        if (p->hidden)
            json_object_set_boolean_member(o, "hidden", TRUE);
        json_array_add_object_element(array, o);
    }
    return array;
}
