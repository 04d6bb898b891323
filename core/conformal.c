// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Split conformal thresholds and their JSON. With n held-back scores and a new exchangeable one, all n + 1 ranks are equally likely, so
// the new score exceeds the k-th smallest of the n with probability at most (n + 1 - k) / (n + 1). Hence
//
//   reject_above = good[k],   k = ceil((n_good + 1) (1 - false_reject));  +infinity when k > n_good
//   pass_below   = defect[k], k = floor((n_defect + 1) miss);             -infinity when k < 1
//
// (Vovk 2005, sec. 4.5: conditional on the class; Angelopoulos and Bates 2023, sec. 4.1). Ties only make the promise safer, since both
// comparisons keep the class plausible at equality. This file owns no state and never invents a threshold.
#include "core/conformal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"

static const float default_top_fraction = 0.25f;
// (n + 1) * alpha is meant to be whole when it is whole up to rounding.
static const double rounding = 1e-9;
static const double most_score = 1e30;
static const double most_margin = 1e9; // seconds

SeamCalibration *seam_calibration_new(void) {
    SeamCalibration *c = g_new0(SeamCalibration, 1);
    c->top_fraction = default_top_fraction;
    c->rul_margin = c->effort_rul_margin = NAN;
    return c;
}

void seam_calibration_free(SeamCalibration *c) {
    g_free(c);
}

static uint32_t dense_bits(const SeamConfig *config, uint32_t present) {
    uint32_t dense = 0;
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (!config->modality[m].sparse)
            dense |= present & 1u << m;
    return dense;
}

static bool leaves_out(SeamEffort effort) {
    return !seam_effort_same(effort, (SeamEffort){0});
}

SeamEffortKind seam_calibration_effort(const SeamCalibration *c, SeamEffort ran) {
    if (!leaves_out(ran))
        return SEAM_EFFORT_FULL;
    return c && seam_effort_same(c->effort, ran) ? SEAM_EFFORT_CALIBRATED : SEAM_EFFORT_OTHER;
}

static int32_t find_set(const SeamCalibration *c, uint32_t dense, bool at_effort) {
    for (int32_t i = 0; i < c->n_sets; i++)
        if (c->set[i].present == dense && c->set[i].at_effort == at_effort)
            return i;
    return -1;
}

const SeamCalibrationSet *seam_calibration_find(const SeamCalibration *c, const SeamConfig *config, uint32_t present, SeamEffortKind effort) {
    uint32_t dense = dense_bits(config, present);
    int32_t i = find_set(c, dense, effort != SEAM_EFFORT_FULL);
    if (i < 0 && effort == SEAM_EFFORT_OTHER)
        i = find_set(c, dense, false);
    return i < 0 ? NULL : &c->set[i];
}

// The set of `dense`, made when there is none; NULL when there is no room for another.
static SeamCalibrationSet *take_set(SeamCalibration *c, uint32_t dense, bool at_effort, GError **error) {
    int32_t i = find_set(c, dense, at_effort);
    if (i >= 0)
        return &c->set[i];
    if (c->n_sets == SEAM_MAX_CALIBRATIONS) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED,
                    "calibration: more than %d combinations of modalities; calibrate fewer", SEAM_MAX_CALIBRATIONS);
        return NULL;
    }
    SeamCalibrationSet *set = &c->set[c->n_sets++];
    memset(set, 0, sizeof *set);
    set->present = dense;
    set->at_effort = at_effort;
    return set;
}

bool seam_calibration_add(SeamCalibration *c, const SeamConfig *config, uint32_t present, bool at_effort, bool defect, float score,
                          GError **error) {
    if (!(fabsf(score) <= most_score)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "calibration: a weld's score is %g, must be a finite number", score);
        return false;
    }
    SeamCalibrationSet *set = take_set(c, dense_bits(config, present), at_effort, error);
    if (!set)
        return false;
    float *scores = defect ? set->defect : set->good;
    int32_t *n = defect ? &set->n_defect : &set->n_good;
    if (*n == SEAM_MAX_CALIBRATION_SCORES) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "calibration: more than %d %s welds; use fewer of them",
                    SEAM_MAX_CALIBRATION_SCORES, defect ? "defective" : "good");
        return false;
    }
    int32_t at = (*n)++;
    for (; at > 0 && scores[at - 1] > score; at--)
        scores[at] = scores[at - 1];
    scores[at] = score;
    return true;
}

// ---- thresholds and decision -------------------------------------------------------------------------------------------------------

void seam_conformal_thresholds(const SeamCalibrationSet *set, double false_reject, double miss, float *pass_below,
                               float *reject_above) {
    double k_good = ceil((set->n_good + 1) * (1 - false_reject) - rounding);
    double k_defect = floor((set->n_defect + 1) * miss + rounding);
    *reject_above = INFINITY;
    *pass_below = -INFINITY;
    if (k_good < 1)
        *reject_above = -INFINITY;
    else if (k_good <= set->n_good)
        *reject_above = set->good[(int32_t)k_good - 1];
    if (k_defect > set->n_defect)
        *pass_below = INFINITY;
    else if (k_defect >= 1)
        *pass_below = set->defect[(int32_t)k_defect - 1];
}

static const char *refer_reason(bool good, float pass_below, float reject_above) {
    if (!good)
        return "unlike any good weld and unlike any defective weld seen";
    if (pass_below == -INFINITY && reject_above == INFINITY)
        return "too few welds were calibrated to promise any error rate";
    if (pass_below == -INFINITY)
        return "looks like good welds, but too few defective ones were calibrated to promise that none is missed";
    if (reject_above == INFINITY)
        return "looks like defective welds, but too few good ones were calibrated to promise that none is rejected";
    return "both good and defective are plausible";
}

SeamDecision seam_conformal_decide(float score, float pass_below, float reject_above, const char **reason) {
    if (isnan(score)) {
        *reason = "nothing in this weld could be scored";
        return SEAM_REFER;
    }
    if (isnan(pass_below) || isnan(reject_above)) {
        *reason = "no threshold was calibrated for what was present";
        return SEAM_REFER;
    }
    bool good = score <= reject_above, defective = score >= pass_below;
    if (good && !defective) {
        *reason = "looks like good welds";
        return SEAM_PASS;
    }
    if (defective && !good) {
        *reason = pass_below == -INFINITY ? "unlike any good weld seen" : "looks like defective welds";
        return SEAM_REJECT;
    }
    *reason = refer_reason(good, pass_below, reject_above);
    return SEAM_REFER;
}

const char *seam_conformal_reason(SeamDecision decision, SeamEffortKind effort, const char *reason) {
    if (effort != SEAM_EFFORT_OTHER || decision == SEAM_REFER)
        return reason;
    return decision == SEAM_PASS ? "looks like good welds, by thresholds that were made at another effort"
                                 : "looks like defective welds, by thresholds that were made at another effort";
}

// ---- remaining life ----------------------------------------------------------------------------------------------------------------

typedef struct {
    double score, weight;
} Weighted;

static int by_score(const void *a, const void *b) {
    double x = ((const Weighted *)a)->score, y = ((const Weighted *)b)->score;
    return (x > y) - (x < y);
}

float seam_conformal_margin(int32_t n, const double *score, const int32_t *group, int32_t groups, double level) {
    g_autofree int32_t *size = g_new0(int32_t, groups + 1);
    g_autofree Weighted *sorted = g_new(Weighted, n + 1);
    double below = 0;
    int32_t i = 0;
    for (i = 0; i < n; i++)
        size[group[i]]++;
    for (i = 0; i < n; i++)
        sorted[i] = (Weighted){score[i], 1.0 / ((groups + 1.0) * size[group[i]])};
    qsort(sorted, (size_t)n, sizeof *sorted, by_score);
    for (i = 0; i < n; i++) {
        below += sorted[i].weight;
        if (below >= level - rounding)
            return (float)sorted[i].score;
    }
    return NAN;
}

void seam_conformal_interval(const SeamCalibration *c, const SeamConfig *config, SeamWindowResult *r) {
    float limit = INFINITY;
    for (int32_t t = 0; t < config->n_tasks; t++)
        limit = config->task[t].kind == SEAM_TASK_RUL ? (float)config->task[t].limit : limit;
    const float margins[] = {[SEAM_EFFORT_FULL] = c ? c->rul_margin : NAN, [SEAM_EFFORT_CALIBRATED] = c ? c->effort_rul_margin : NAN,
                             [SEAM_EFFORT_OTHER] = NAN};
    bool promised = r->has_rul && !r->missing && isfinite(margins[r->effort]);
    float margin = promised ? margins[r->effort] : 0;
    // Margins below 0 may bring the ends past each other: then they meet.
    float low = r->rul_quantile[0] - margin, high = r->rul_quantile[1] + margin, middle = (low + high) / 2;
    r->rul_low = promised ? CLAMP(fminf(low, middle), 0, limit) : NAN;
    r->rul_high = promised ? CLAMP(fmaxf(high, middle), 0, limit) : NAN;
}

// ---- JSON: {"score": "classify"|"anomaly", "top_fraction": f, "sets": [{"modalities": [..], "effort": "full"|"calibrated", "good": [..], "defect": [..]}],
// "rul_margin": s, "effort": {"expert_mass": m, "exit_margin": p, "loss": l, "rul_margin": s}} ------------------------------------------------

static bool read_scores(JsonObject *object, const char *where, const char *field, float *scores, int32_t *n, GError **error) {
    JsonArray *array = NULL;
    if (!seam_json_array(object, where, field, true, &array, error))
        return false;
    guint length = json_array_get_length(array);
    if (length > SEAM_MAX_CALIBRATION_SCORES) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"%s\" has %u scores, must be at most %d", where, field, length,
                    SEAM_MAX_CALIBRATION_SCORES);
        return false;
    }
    for (guint i = 0; i < length; i++) {
        JsonNode *node = json_array_get_element(array, i);
        GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
        double value = type == G_TYPE_DOUBLE || type == G_TYPE_INT64 ? json_node_get_double(node) : NAN;
        if (!(fabs(value) <= most_score) || (i > 0 && !((float)value >= scores[i - 1]))) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                        "%s: \"%s\"[%u] must be a finite number and not less than the one before it", where, field, i);
            return false;
        }
        scores[i] = (float)value;
    }
    *n = (int32_t)length;
    return true;
}

static bool read_modalities(JsonObject *object, const SeamConfig *config, const char *where, uint32_t *present, GError **error) {
    JsonArray *array = NULL;
    if (!seam_json_array(object, where, "modalities", true, &array, error))
        return false;
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        bool text = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
        int32_t m = text ? seam_config_modality(config, json_node_get_string(node)) : -1;
        if (m < 0) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"modalities\"[%u] must name a modality of the configuration",
                        where, i);
            return false;
        }
        *present |= 1u << m;
    }
    return true;
}

static bool read_at_effort(const SeamCalibration *c, JsonObject *object, const char *where, bool *at_effort, GError **error) {
    const char *name = seam_effort_name(SEAM_EFFORT_FULL);
    if (!seam_json_string(object, where, "effort", false, &name, error))
        return false;
    *at_effort = g_str_equal(name, seam_effort_name(SEAM_EFFORT_CALIBRATED));
    if (*at_effort ? leaves_out(c->effort) : g_str_equal(name, seam_effort_name(SEAM_EFFORT_FULL)))
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"effort\" must be \"full\", or \"calibrated\" where the calibration has an \"effort\"", where);
    return false;
}

static bool read_set(SeamCalibration *c, const SeamConfig *config, JsonNode *node, const char *where, GError **error) {
    static const char *const fields[] = {"modalities", "effort", "good", "defect", NULL};
    bool at_effort = false;
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: must be an object", where);
        return false;
    }
    JsonObject *object = json_node_get_object(node);
    uint32_t present = 0;
    if (!seam_json_known(object, where, fields, error) || !read_modalities(object, config, where, &present, error) ||
        !read_at_effort(c, object, where, &at_effort, error))
        return false;
    if (find_set(c, dense_bits(config, present), at_effort) >= 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: these modalities have a set already; sparse ones do not count", where);
        return false;
    }
    SeamCalibrationSet *set = take_set(c, dense_bits(config, present), at_effort, error);
    return set && read_scores(object, where, "good", set->good, &set->n_good, error) &&
           read_scores(object, where, "defect", set->defect, &set->n_defect, error);
}

static bool read_head(SeamCalibration *c, JsonObject *object, const char *where, GError **error) {
    static const char *const fields[] = {"score", "top_fraction", "sets", "effort", "rul_margin", NULL};
    const char *score = "classify";
    double top = default_top_fraction, margin = 0;
    if (!seam_json_known(object, where, fields, error) || !seam_json_string(object, where, "score", false, &score, error) ||
        !seam_json_double(object, where, "top_fraction", false, 1e-6, 1, &top, error) ||
        !seam_json_double(object, where, "rul_margin", false, -most_margin, most_margin, &margin, error))
        return false;
    if (!g_str_equal(score, "classify") && !g_str_equal(score, "anomaly")) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"score\" must be \"classify\" or \"anomaly\"", where);
        return false;
    }
    c->score_is_anomaly = g_str_equal(score, "anomaly");
    c->top_fraction = (float)top;
    c->rul_margin = json_object_has_member(object, "rul_margin") ? (float)margin : NAN;
    return true;
}

// The other fields of SeamEffort are the element's own affair.
static bool read_effort(SeamCalibration *c, JsonObject *object, const char *where, GError **error) {
    static const char *const fields[] = {"expert_mass", "exit_margin", "loss", "rul_margin", NULL};
    JsonObject *effort = NULL;
    double mass = 0, margin = 0, loss = 0, rul = 0;
    if (!seam_json_object(object, where, "effort", false, &effort, error))
        return false;
    if (effort && (!seam_json_known(effort, where, fields, error) || !seam_json_double(effort, where, "expert_mass", true, 0, 1, &mass, error) ||
                   !seam_json_double(effort, where, "exit_margin", true, 0, 1, &margin, error) ||
                   !seam_json_double(effort, where, "loss", true, 0, 1, &loss, error) ||
                   !seam_json_double(effort, where, "rul_margin", false, -most_margin, most_margin, &rul, error)))
        return false;
    c->effort = (SeamEffort){.expert_mass = (float)mass, .exit_margin = (float)margin};
    c->effort_loss = (float)loss;
    c->effort_rul_margin = effort && json_object_has_member(effort, "rul_margin") ? (float)rul : NAN;
    return true;
}

bool seam_calibration_parse(SeamCalibration *c, const SeamConfig *config, JsonObject *object, const char *where, GError **error) {
    char *place = g_strdup_printf("%s: calibration", where);
    JsonArray *sets = NULL;
    c->n_sets = 0;
    c->rul_margin = c->effort_rul_margin = NAN;
    bool ok = read_head(c, object, place, error) && read_effort(c, object, place, error) && seam_json_array(object, place, "sets", true, &sets, error);
    for (guint i = 0; ok && i < json_array_get_length(sets); i++) {
        char *set_place = g_strdup_printf("%s.sets[%u]", place, i);
        ok = read_set(c, config, json_array_get_element(sets, i), set_place, error);
        g_free(set_place);
    }
    if (!ok) {
        c->n_sets = 0;
        c->rul_margin = c->effort_rul_margin = NAN;
        c->effort = (SeamEffort){0};
    }
    g_free(place);
    return ok;
}

SeamCalibration *seam_calibration_read(const SeamConfig *config, JsonObject *meta, const char *where, GError **error) {
    SeamCalibration *calibration = seam_calibration_new();
    JsonObject *object = NULL;
    if (meta && (!seam_json_object(meta, where, "calibration", false, &object, error) ||
                 (object && !seam_calibration_parse(calibration, config, object, where, error))))
        g_clear_pointer(&calibration, seam_calibration_free);
    return calibration;
}

SeamCalibration *seam_calibration_load(const SeamConfig *config, const char *path, GError **error) {
    g_autofree char *file = g_build_filename(path, "model.json", NULL);
    JsonObject *meta = seam_json_read(file, error);
    SeamCalibration *calibration = meta ? seam_calibration_read(config, meta, file, error) : NULL;
    g_clear_pointer(&meta, json_object_unref);
    return calibration;
}

static void print_scores(JsonObject *object, const char *field, const float *scores, int32_t n) {
    JsonArray *array = json_array_sized_new((guint)n);
    for (int32_t i = 0; i < n; i++)
        json_array_add_double_element(array, scores[i]);
    json_object_set_array_member(object, field, array);
}

static JsonObject *print_set(const SeamCalibrationSet *set, const SeamConfig *config) {
    JsonObject *object = json_object_new();
    JsonArray *names = json_array_new();
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (set->present & 1u << m)
            json_array_add_string_element(names, config->modality[m].name);
    json_object_set_array_member(object, "modalities", names);
    if (set->at_effort)
        json_object_set_string_member(object, "effort", seam_effort_name(SEAM_EFFORT_CALIBRATED));
    print_scores(object, "good", set->good, set->n_good);
    print_scores(object, "defect", set->defect, set->n_defect);
    return object;
}

JsonObject *seam_calibration_print(const SeamCalibration *c, const SeamConfig *config) {
    JsonObject *object = json_object_new();
    JsonArray *sets = json_array_new();
    json_object_set_string_member(object, "score", c->score_is_anomaly ? "anomaly" : "classify");
    json_object_set_double_member(object, "top_fraction", c->top_fraction);
    for (int32_t i = 0; i < c->n_sets; i++)
        json_array_add_object_element(sets, print_set(&c->set[i], config));
    json_object_set_array_member(object, "sets", sets);
    if (leaves_out(c->effort)) {
        JsonObject *effort = json_object_new();
        json_object_set_double_member(effort, "expert_mass", c->effort.expert_mass);
        json_object_set_double_member(effort, "exit_margin", c->effort.exit_margin);
        json_object_set_double_member(effort, "loss", c->effort_loss);
        if (isfinite(c->effort_rul_margin))
            json_object_set_double_member(effort, "rul_margin", c->effort_rul_margin);
        json_object_set_object_member(object, "effort", effort);
    }
    if (isfinite(c->rul_margin))
        json_object_set_double_member(object, "rul_margin", c->rul_margin);
    return object;
}
