// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Results as JSON. The schema is docs/results-format.md; change both together and count `version`
// up when a key changes its meaning. Written by hand into one GString, so that the order of the
// keys is ours and a number that is not finite becomes null.
#include "core/result.h"

#include <math.h>
#include <string.h>

enum { FORMAT_VERSION = 1, TOP_EXPERTS = 4 };

const char *seam_decision_name(SeamDecision decision) {
    switch (decision) {
    case SEAM_PASS: return "pass";
    case SEAM_REJECT: return "reject";
    case SEAM_REFER: return "refer";
    }
    return "refer";
}

const char *seam_effort_name(SeamEffortKind effort) {
    return effort == SEAM_EFFORT_FULL ? "full" : effort == SEAM_EFFORT_CALIBRATED ? "calibrated" : "other";
}

// ---- the few things that JSON is made of --------------------------------------------------------

static void put_text(GString *out, const char *text) {
    char *valid = g_utf8_make_valid(text, -1);
    g_string_append_c(out, '"');
    for (const char *p = valid; *p; p++) {
        if (*p == '"' || *p == '\\')
            g_string_append_printf(out, "\\%c", *p);
        else if ((unsigned char)*p < 32 || *p == 127)
            g_string_append_printf(out, "\\u%04x", (unsigned char)*p);
        else
            g_string_append_c(out, *p);
    }
    g_string_append_c(out, '"');
    g_free(valid);
}

// At most `digits` significant digits, with a decimal point whatever the locale says.
static void put_number(GString *out, double value, int digits) {
    char text[G_ASCII_DTOSTR_BUF_SIZE], format[8];
    g_snprintf(format, sizeof format, "%%.%dg", digits);
    g_string_append(out,
                    isfinite(value) ? g_ascii_formatd(text, sizeof text, format, value) : "null");
}

// Every key but an object's first follows a comma.
static void put_key(GString *out, const char *key) {
    char last = out->len ? out->str[out->len - 1] : '{';
    if (last != '{' && last != '[')
        g_string_append_c(out, ',');
    put_text(out, key);
    g_string_append_c(out, ':');
}

static void put_member(GString *out, const char *key, double value) {
    put_key(out, key);
    put_number(out, value, 7);
}

// Running time in seconds, to the microsecond and better within a day.
static void put_time(GString *out, const char *key, double value) {
    put_key(out, key);
    put_number(out, value, 12);
}

static void put_string(GString *out, const char *key, const char *value) {
    put_key(out, key);
    put_text(out, value);
}

static void put_flag(GString *out, const char *key, bool value) {
    put_key(out, key);
    g_string_append(out, value ? "true" : "false");
}

// ---- pieces that both objects share -------------------------------------------------------------

static void put_head(GString *out, const char *type) {
    g_string_append_c(out, '{');
    put_string(out, "type", type);
    put_key(out, "version");
    g_string_append_printf(out, "%d", FORMAT_VERSION);
}

static void put_modalities(GString *out, const char *key, const SeamConfig *config, uint32_t bits) {
    bool first = true;
    put_key(out, key);
    g_string_append_c(out, '[');
    for (int32_t m = 0; m < config->n_modalities; m++) {
        if (!(bits & 1u << m))
            continue;
        if (!first)
            g_string_append_c(out, ',');
        put_text(out, config->modality[m].name);
        first = false;
    }
    g_string_append_c(out, ']');
}

static void put_by_modality(GString *out, const char *key, const SeamConfig *config, uint32_t bits,
                            const float *value) {
    put_key(out, key);
    g_string_append_c(out, '{');
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (bits & 1u << m)
            put_member(out, config->modality[m].name, value[m]);
    g_string_append_c(out, '}');
}

static void put_classes(GString *out, const SeamConfig *config, const float *probability) {
    put_key(out, "probabilities");
    g_string_append_c(out, '{');
    for (int32_t c = 0; c < config->n_classes; c++)
        put_member(out, config->class_name[c], probability[c]);
    g_string_append_c(out, '}');
}

static const char *class_name(const SeamConfig *config, int32_t index) {
    return index >= 0 && index < config->n_classes ? config->class_name[index] : "";
}

// The experts with the largest shares, largest first; ties to the lower index. Empty when the
// shares are not known.
static void put_experts(GString *out, const SeamConfig *config, const float *use) {
    bool used[SEAM_MAX_EXPERTS] = {false};
    put_key(out, "experts");
    g_string_append_c(out, '[');
    for (int32_t i = 0; i < TOP_EXPERTS; i++) {
        int32_t best = -1;
        for (int32_t e = 0; e < config->experts; e++)
            if (!used[e] && use[e] > 0 && (best < 0 || use[e] > use[best]))
                best = e;
        if (best < 0)
            break;
        used[best] = true;
        g_string_append(out, i ? ",{" : "{");
        put_key(out, "expert");
        g_string_append_printf(out, "%d", best);
        put_member(out, "share", use[best]);
        g_string_append_c(out, '}');
    }
    g_string_append_c(out, ']');
}

// Where all of the work was done there is nothing to say.
static void put_effort(GString *out, int32_t level, SeamEffortKind effort) {
    if (level > 0)
        put_member(out, "level", level);
    if (effort != SEAM_EFFORT_FULL)
        put_string(out, "effort", seam_effort_name(effort));
}

// ---- one window ---------------------------------------------------------------------------------

static int32_t most_probable(const SeamConfig *config, const float *probability) {
    int32_t best = 0;
    for (int32_t c = 1; c < config->n_classes; c++)
        if (probability[c] > probability[best])
            best = c;
    return best;
}

static void put_window_classes(GString *out, const SeamWindowResult *r, const SeamConfig *config) {
    if (!r->has_classify)
        return;
    int32_t best = most_probable(config, r->probability);
    put_string(out, "class", class_name(config, best));
    put_member(out, "confidence", r->probability[best]);
    put_member(out, "score", r->score);
    put_classes(out, config, r->probability);
    put_by_modality(out, "contributions", config, r->present, r->contribution);
}

// Only the modalities that have a memory of good welds; the others are NaN.
static void put_window_anomaly(GString *out, const SeamWindowResult *r, const SeamConfig *config) {
    uint32_t scored = 0;
    for (int32_t m = 0; m < config->n_modalities; m++)
        scored |= isfinite(r->anomaly_of[m]) ? 1u << m : 0;
    put_key(out, "anomaly");
    g_string_append_c(out, '{');
    put_member(out, "score", r->anomaly);
    put_by_modality(out, "modalities", config, r->present & scored, r->anomaly_of);
    g_string_append_c(out, '}');
}

static void put_rul(GString *out, float value, float low, float high) {
    put_key(out, "rul");
    g_string_append_c(out, '{');
    put_member(out, "value", value);
    put_member(out, "low", low);
    put_member(out, "high", high);
    put_member(out, "level", SEAM_RUL_LEVEL);
    g_string_append_c(out, '}');
}

// A channel's name, or its number from 1.
static void put_channel(GString *out, const SeamModality *modality, int32_t channel) {
    char number[8];
    const char *name = modality->sensor.channel_name[channel];
    g_snprintf(number, sizeof number, "%d", channel + 1);
    put_key(out, *name ? name : number);
}

static void put_forecast(GString *out, const SeamWindowResult *r, const SeamConfig *config) {
    put_key(out, "forecast");
    g_string_append_c(out, '{');
    for (int32_t m = 0; m < config->n_modalities; m++) {
        if (!(r->forecast_of >> m & 1))
            continue;
        put_key(out, config->modality[m].name);
        g_string_append_c(out, '{');
        for (int32_t c = 0; c < config->modality[m].channels; c++) {
            put_channel(out, &config->modality[m], c);
            for (int32_t q = 0; q < 3; q++) {
                g_string_append_c(out, q ? ',' : '[');
                put_number(out, r->forecast[m][c][q], 7);
            }
            g_string_append_c(out, ']');
        }
        g_string_append_c(out, '}');
    }
    g_string_append_c(out, '}');
}

// The missing stretches of a channel, each [time of its middle, low, median, high].
static void put_filled_channel(GString *out, const SeamWindowResult *r, const SeamConfig *config, int32_t m, int32_t c) {
    bool first = true;
    for (int32_t i = 0; i < r->n_filled; i++) {
        const SeamFilled *f = &r->filled[i];
        if (f->modality != m || f->channel != c)
            continue;
        if (first) {
            put_channel(out, &config->modality[m], c);
            g_string_append_c(out, '[');
        }
        g_string_append(out, first ? "[" : ",[");
        put_number(out, r->time + f->t, 12);
        for (int32_t q = 0; q < 3; q++) {
            g_string_append_c(out, ',');
            put_number(out, f->level[q], 7);
        }
        g_string_append_c(out, ']');
        first = false;
    }
    if (!first)
        g_string_append_c(out, ']');
}

static void put_signal(GString *out, const SeamWindowResult *r, const SeamConfig *config) {
    uint32_t of = 0;
    for (int32_t i = 0; i < r->n_filled; i++)
        of |= 1u << r->filled[i].modality;
    put_key(out, "signal");
    g_string_append_c(out, '{');
    for (int32_t m = 0; m < config->n_modalities; m++) {
        if (!(of >> m & 1))
            continue;
        put_key(out, config->modality[m].name);
        g_string_append_c(out, '{');
        for (int32_t c = 0; c < config->modality[m].channels; c++)
            put_filled_channel(out, r, config, m, c);
        g_string_append_c(out, '}');
    }
    g_string_append_c(out, '}');
}

static void put_boxes(GString *out, const SeamWindowResult *r, const SeamConfig *config) {
    put_key(out, "boxes");
    g_string_append_c(out, '[');
    for (int32_t i = 0; i < r->n_shown; i++) {
        const SeamBox *b = &r->box[i];
        g_string_append(out, i ? ",{" : "{");
        put_string(out, "class", class_name(config, b->class_index));
        put_member(out, "score", b->score);
        put_member(out, "x", b->x);
        put_member(out, "y", b->y);
        put_member(out, "w", b->w);
        put_member(out, "h", b->h);
        g_string_append_c(out, '}');
    }
    g_string_append_c(out, ']');
}

static void put_heat(GString *out, const SeamWindowResult *r, const SeamConfig *config) {
    static const char *const of[] = {"classify", "localise", "anomaly", "rul", "generate"};
    float top = 0;
    for (int32_t i = 0; i < r->heat_w * r->heat_h; i++)
        top = r->heat[i] > top ? r->heat[i] : top;
    put_key(out, "heat");
    g_string_append_c(out, '{');
    put_string(out, "modality", config->modality[r->heat_modality].name);
    put_time(out, "time", r->heat_time);
    put_member(out, "w", r->heat_w);
    put_member(out, "h", r->heat_h);
    put_member(out, "max", top);
    put_string(out, "of", of[r->heat_of]);
    g_string_append_c(out, '}');
}

char *seam_window_result_print(const SeamWindowResult *r, const SeamConfig *config,
                               const char *fingerprint) {
    GString *out = g_string_sized_new(1024);
    put_head(out, "window");
    put_time(out, "time", r->time);
    put_time(out, "duration", r->duration);
    put_flag(out, "arc_on", r->arc_on);
    put_window_classes(out, r, config);
    if (r->has_anomaly)
        put_window_anomaly(out, r, config);
    if (r->has_rul)
        put_rul(out, r->rul, r->rul_low, r->rul_high);
    if (r->forecast_of)
        put_forecast(out, r, config);
    if (r->n_filled > 0)
        put_signal(out, r, config);
    put_boxes(out, r, config);
    if (r->heat_w > 0 && r->heat_h > 0)
        put_heat(out, r, config);
    put_experts(out, config, r->expert_use);
    put_modalities(out, "present", config, r->present);
    put_modalities(out, "missing", config, r->missing);
    put_effort(out, r->level, r->effort);
    put_string(out, "model", fingerprint);
    g_string_append_c(out, '}');
    return g_string_free(out, FALSE);
}

// ---- one weld -----------------------------------------------------------------------------------

static void put_thresholds(GString *out, const SeamVerdict *v) {
    put_key(out, "thresholds");
    g_string_append_c(out, '{');
    put_member(out, "pass_below", v->pass_below);
    put_member(out, "reject_above", v->reject_above);
    g_string_append_c(out, '}');
}

static void put_place(GString *out, const SeamVerdict *v) {
    put_key(out, "place");
    g_string_append_c(out, '{');
    put_time(out, "time", v->place_time);
    put_member(out, "along", v->place);
    g_string_append_c(out, '}');
}

static void put_clock(GString *out, const SeamVerdict *v, const SeamConfig *config) {
    bool known = v->clock_reference >= 0 && v->clock_reference < config->n_modalities;
    put_key(out, "clock");
    g_string_append_c(out, '{');
    put_key(out, "reference");
    if (known)
        put_text(out, config->modality[v->clock_reference].name);
    else
        g_string_append(out, "null");
    put_key(out, "offsets");
    g_string_append_c(out, '{');
    for (int32_t m = 0; known && m < config->n_modalities; m++)
        if (m != v->clock_reference && isfinite(v->clock_offset[m]))
            put_member(out, config->modality[m].name, v->clock_offset[m]);
    g_string_append(out, "}}");
}

char *seam_verdict_print(const SeamVerdict *v, const SeamConfig *config, const char *fingerprint) {
    GString *out = g_string_sized_new(1024);
    put_head(out, "weld");
    put_key(out, "number");
    g_string_append_printf(out, "%" G_GINT64_FORMAT, v->number);
    put_string(out, "source", v->source);
    put_time(out, "time", v->start);
    put_time(out, "duration", v->end - v->start);
    put_string(out, "bounds", v->bounds ? v->bounds : "");
    put_string(out, "decision", seam_decision_name(v->decision));
    put_string(out, "reason", v->reason ? v->reason : "");
    put_string(out, "class", class_name(config, v->class_index));
    put_member(out, "confidence", v->confidence);
    put_member(out, "score", v->score);
    put_string(out, "score_of", v->score_is_anomaly ? "anomaly" : "classify");
    put_thresholds(out, v);
    put_key(out, "anomaly");
    g_string_append_c(out, '{');
    put_member(out, "score", v->anomaly);
    g_string_append_c(out, '}');
    if (v->has_rul)
        put_rul(out, v->rul, v->rul_low, v->rul_high);
    if (*v->finding) {
        put_string(out, "finding", v->finding);
        put_flag(out, "finding_plain", v->finding_plain);
    }
    put_classes(out, config, v->probability);
    put_place(out, v);
    put_by_modality(out, "contributions", config, v->present, v->contribution);
    put_experts(out, config, v->expert_use);
    put_modalities(out, "present", config, v->present);
    put_modalities(out, "missing", config, v->missing);
    put_member(out, "windows", v->windows);
    put_effort(out, v->level, v->effort);
    put_clock(out, v, config);
    put_string(out, "model", fingerprint);
    g_string_append_c(out, '}');
    return g_string_free(out, FALSE);
}
