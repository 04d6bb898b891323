// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An evaluation as JSON (evaluate.h, docs/results-format.md). It measures nothing.
#include <math.h>

#include "core/train/evaluate.h"
#include "core/train/evaluate_signal.h"

static void put(JsonObject *o, const char *name, double value) {
    if (isfinite(value))
        json_object_set_double_member(o, name, value);
}

static void put_pixels(JsonObject *o, const SeamPixelFigures *p) {
    if (p->masked == 0)
        return;
    put(o, "pixel_auroc", p->auroc);
    put(o, "aupro", p->aupro);
    put(o, "pixel_auroc_all", p->auroc_all);
    put(o, "aupro_all", p->aupro_all);
    json_object_set_int_member(o, "masked", p->masked);
    json_object_set_int_member(o, "regions", p->regions);
    if (!isfinite(p->auroc_interval[0]) || !isfinite(p->aupro_interval[0]))
        return;
    if (!json_object_has_member(o, "interval"))
        json_object_set_object_member(o, "interval", json_object_new());
    JsonObject *interval = json_object_get_object_member(o, "interval");
    json_object_set_array_member(interval, "pixel_auroc", seam_interval_print((SeamInterval){p->auroc_interval[0], p->auroc_interval[1]}));
    json_object_set_array_member(interval, "aupro", seam_interval_print((SeamInterval){p->aupro_interval[0], p->aupro_interval[1]}));
}

static JsonObject *decisions_object(const int32_t count[3]) {
    JsonObject *o = json_object_new();
    for (int32_t d = 0; d < 3; d++)
        json_object_set_int_member(o, seam_decision_name((SeamDecision)d), count[d]);
    return o;
}

static JsonObject *shares_object(const int32_t count[3], int32_t n) {
    JsonObject *o = json_object_new();
    for (int32_t d = 0; d < 3; d++)
        put(o, seam_decision_name((SeamDecision)d), n > 0 ? (double)count[d] / n : NAN);
    return o;
}

static JsonObject *promise_object(const SeamEvaluation *e) {
    JsonObject *o = json_object_new(), *shares = json_object_new();
    int32_t defective[3];
    for (int32_t d = 0; d < 3; d++)
        defective[d] = e->decisions[d] - e->decisions_good[d];
    json_object_set_object_member(shares, "good", shares_object(e->decisions_good, e->good));
    json_object_set_object_member(shares, "defect", shares_object(defective, e->defect));
    json_object_set_object_member(o, "false_reject", seam_promise_print(&e->false_reject));
    json_object_set_object_member(o, "miss", seam_promise_print(&e->miss));
    json_object_set_object_member(o, "shares", shares);
    return o;
}

static void put_classes(JsonObject *o, const SeamEvaluation *e, const SeamConfig *config) {
    static const char *const binary[] = {"good", "defect"};
    JsonObject *by_class = json_object_new();
    JsonArray *confusion = json_array_new();
    for (int32_t c = 0; c < e->classes; c++) {
        JsonObject *one = json_object_new();
        JsonArray *row = json_array_new();
        put(one, "precision", e->by_class.precision[c]);
        put(one, "recall", e->by_class.recall[c]);
        put(one, "f1", e->by_class.f1[c]);
        json_object_set_object_member(by_class, e->binary ? binary[c] : config->class_name[c], one);
        for (int32_t k = 0; k < e->classes; k++)
            json_array_add_int_element(row, e->confusion[c * e->classes + k]);
        json_array_add_array_element(confusion, row);
    }
    json_object_set_object_member(o, "classes", by_class);
    json_object_set_array_member(o, "confusion", confusion);
}

JsonObject *seam_evaluation_print(const SeamEvaluation *e, const SeamConfig *config) {
    JsonObject *o = json_object_new();
    put(o, "accuracy", e->by_class.accuracy);
    put(o, "macro_f1", e->by_class.macro_f1);
    put(o, "auroc", e->auroc);
    put(o, "average_precision", e->average_precision);
    put(o, "map50", e->map50);
    put(o, "ece", e->ece);
    put(o, "false_reject_rate", e->false_reject_rate);
    put(o, "rmse", e->lives.rmse);
    put(o, "score", e->lives.score);
    put(o, "coverage", e->lives.coverage);
    put(o, "interval_width", e->lives.interval_width);
    put(o, "forecast_pinball", seam_forecast_mean_pinball(&e->forecast));
    put(o, "forecast_coverage", seam_forecast_coverage(&e->forecast));
    seam_evaluate_signals_print(&e->signal, o);
    put(o, "finding_fluent", e->findings > 0 ? 1 - (double)e->findings_plain / e->findings : NAN);
    put(o, "window_accuracy", e->windows > 0 ? (double)e->windows_right / e->windows : NAN);
    JsonObject *interval = seam_intervals_print(e->interval);
    if (interval)
        json_object_set_object_member(o, "interval", interval);
    json_object_set_object_member(o, "promise", promise_object(e));
    put_pixels(o, &e->pixels);
    json_object_set_int_member(o, "n", e->n);
    json_object_set_int_member(o, "good", e->good);
    json_object_set_int_member(o, "defect", e->defect);
    json_object_set_int_member(o, "without_verdict", e->without_verdict);
    json_object_set_boolean_member(o, "good_against_defect", e->binary);
    if (e->effort != SEAM_EFFORT_FULL)
        json_object_set_string_member(o, "effort", seam_effort_name(e->effort));
    json_object_set_object_member(o, "decisions", decisions_object(e->decisions));
    json_object_set_object_member(o, "decisions_good", decisions_object(e->decisions_good));
    put_classes(o, e, config);
    return o;
}
