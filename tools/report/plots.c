// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Plots as inline SVG. Colours are classes of the page's style sheet, so that they follow light and dark.
#include <string.h>

#include "tools/report/report.h"

enum { WIDTH = 760, LEFT = 150, RIGHT = 70, ROW = 46, STRIP = 30, BAR_WIDTH = 320, BAR_ROW = 20, BAR_LEFT = 130 };

static void put_svg(GString *out, int32_t width, int32_t height, const char *label) {
    g_string_append_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", width, height, label);
}

static void put_label(GString *out, const char *class_name, double x, double y, const char *anchor, const char *text) {
    g_string_append_printf(out, "<text class=\"%s\" x=\"", class_name);
    report_put_number(out, x, 1);
    g_string_append(out, "\" y=\"");
    report_put_number(out, y, 1);
    g_string_append_printf(out, "\" text-anchor=\"%s\">", anchor);
    report_put_text(out, text);
    g_string_append(out, "</text>");
}

static void put_value(GString *out, const char *class_name, double x, double y, const char *anchor, double value, int32_t digits) {
    g_autoptr(GString) text = g_string_new(NULL);
    report_put_number(text, value, digits);
    put_label(out, class_name, x, y, anchor, text->str);
}

static void put_rect(GString *out, const char *class_name, double x, double y, double w, double h) {
    const struct {
        const char *name;
        double value;
    } part[] = {{"x", x}, {"y", y}, {"width", fmax(w, 0)}, {"height", fmax(h, 0)}};
    g_string_append_printf(out, "<rect class=\"%s\"", class_name);
    for (size_t i = 0; i < G_N_ELEMENTS(part); i++) {
        g_string_append_printf(out, " %s=\"", part[i].name);
        report_put_number(out, part[i].value, 1);
        g_string_append_c(out, '"');
    }
    g_string_append(out, "/>");
}

static void put_point(GString *out, char command, double x, double y) {
    g_string_append_c(out, command);
    report_put_number(out, x, 1);
    g_string_append_c(out, ' ');
    report_put_number(out, y, 1);
}

// ---- traces over time ----------------------------------------------------------------------------------------------------------

static double x_of(const ReportWeld *weld, double time) {
    double span = fmax(weld->end - weld->start, 1e-6);
    return LEFT + (WIDTH - LEFT - RIGHT) * fmin(fmax((time - weld->start) / span, 0), 1);
}

static int32_t digits_for(double span) {
    return span >= 50 ? 0 : span >= 5 ? 1 : span >= 0.5 ? 2 : 3;
}

static void put_trace(GString *out, const ReportTrace *t, int32_t top) {
    double span = t->most > t->least ? t->most - t->least : 1, height = ROW - 14;
    int32_t digits = digits_for(span);
    bool pen_down = false;
    put_label(out, "name", LEFT - 10, top + ROW / 2 + 4, "end", t->name);
    if (!(t->most >= t->least))
        return;
    put_value(out, "axis", WIDTH - RIGHT + 6, top + 12, "start", t->most, digits);
    put_value(out, "axis", WIDTH - RIGHT + 6, top + ROW - 4, "start", t->least, digits);
    g_string_append(out, "<path class=\"trace\" d=\"");
    for (int32_t i = 0; i < REPORT_POINTS; i++) {
        double x = LEFT + (WIDTH - LEFT - RIGHT) * (i + 0.5) / REPORT_POINTS;
        if (isnan(t->low[i])) { // a gap stays a gap
            pen_down = false;
            continue;
        }
        put_point(out, pen_down ? 'L' : 'M', x, top + 7 + height * (1 - (t->low[i] - t->least) / span));
        put_point(out, 'L', x, top + 7 + height * (1 - (t->high[i] - t->least) / span));
        pen_down = true;
    }
    g_string_append(out, "\"/>");
}

// Green under the lower threshold, red over the upper one, amber between.
static const char *score_class(const ReportWeld *weld, double score) {
    double below = report_number(weld->verdict, "thresholds.pass_below"), above = report_number(weld->verdict, "thresholds.reject_above");
    if (!isfinite(score))
        return "bar-none";
    if (isfinite(above) && score > above)
        return "bar-reject";
    if (isfinite(below))
        return score < below ? "bar-pass" : "bar-refer";
    return isfinite(above) ? "bar-refer" : "bar-plain";
}

static void score_range(const ReportWeld *weld, double *least, double *most) {
    *least = 0;
    *most = 1;
    for (guint i = 0; i < weld->window->len; i++) {
        double score = report_window_score(weld, weld->window->pdata[i]);
        *least = isfinite(score) ? fmin(*least, score) : *least;
        *most = isfinite(score) ? fmax(*most, score) : *most;
    }
}

static void put_scores(GString *out, const ReportWeld *weld, int32_t top) {
    double least, most;
    score_range(weld, &least, &most);
    put_label(out, "name", LEFT - 10, top + STRIP / 2 + 4, "end", "score of each window");
    put_value(out, "axis", WIDTH - RIGHT + 6, top + 10, "start", most, 1);
    put_value(out, "axis", WIDTH - RIGHT + 6, top + STRIP, "start", least, 1);
    for (guint i = 0; i < weld->window->len; i++) {
        JsonObject *w = weld->window->pdata[i];
        double time = report_number(w, "time"), score = report_window_score(weld, w);
        double x0 = x_of(weld, time), x1 = x_of(weld, time + report_number(w, "duration"));
        double height = isfinite(score) ? 2 + (STRIP - 2) * (score - least) / (most - least) : 2;
        put_rect(out, score_class(weld, score), x0 + 0.5, top + STRIP - height, x1 - x0 - 1, height);
    }
}

static void put_time_axis(GString *out, const ReportWeld *weld, int32_t y) {
    double span = weld->end - weld->start, step = pow(10, floor(log10(fmax(span, 1e-3) / 4)));
    step *= span / step > 20 ? 5 : span / step > 8 ? 2 : 1;
    for (double t = ceil(weld->start / step) * step; t <= weld->end + 1e-9; t += step)
        put_value(out, "axis", x_of(weld, t), y, "middle", t, step < 1 ? 1 : 0);
    put_label(out, "axis", WIDTH - RIGHT + 24, y, "start", "s");
}

void report_plot_traces(GString *out, const ReportWeld *weld, const ReportTrace *trace, int32_t n) {
    bool scores = weld->window->len > 0;
    int32_t bottom = n * ROW + (scores ? STRIP + 8 : 0), height = bottom + 20;
    double place = report_number(weld->verdict, "place.time");
    if (n == 0 && !scores)
        return;
    put_svg(out, WIDTH, height, "levels and scores over time");
    for (int32_t i = 0; i < n; i++) {
        put_rect(out, i % 2 ? "band" : "band-odd", LEFT, i * ROW + 2, WIDTH - LEFT - RIGHT, ROW - 4);
        put_trace(out, &trace[i], i * ROW);
    }
    if (scores)
        put_scores(out, weld, n * ROW + 4);
    if (isfinite(place))
        put_rect(out, "place", x_of(weld, place) - 0.75, 0, 1.5, bottom);
    put_time_axis(out, weld, height - 5);
    g_string_append(out, "</svg>");
}

// ---- bars ----------------------------------------------------------------------------------------------------------------------

typedef struct {
    const char *name;
    double value;
} Bar;

static GArray *list_bars(JsonObject *values) {
    GArray *bars = g_array_new(FALSE, FALSE, sizeof(Bar));
    g_autoptr(GList) names = values ? json_object_get_members(values) : NULL;
    for (GList *l = names; l && bars->len < 64; l = l->next) {
        Bar bar = {l->data, NAN};
        JsonNode *node = json_object_get_member(values, l->data);
        GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
        if (type == G_TYPE_DOUBLE || type == G_TYPE_INT64)
            bar.value = json_node_get_double(node);
        if (isfinite(bar.value))
            g_array_append_val(bars, bar);
    }
    return bars;
}

void report_plot_bars(GString *out, JsonObject *values, bool signed_values) {
    g_autoptr(GArray) bars = list_bars(values);
    double most = signed_values ? 1e-6 : 1, width = BAR_WIDTH - BAR_LEFT - 50, zero = BAR_LEFT + (signed_values ? width / 2 : 0);
    for (guint i = 0; i < bars->len && signed_values; i++)
        most = fmax(most, fabs(g_array_index(bars, Bar, i).value));
    if (bars->len == 0)
        return;
    put_svg(out, BAR_WIDTH, (int32_t)bars->len * BAR_ROW + 4, signed_values ? "contributions" : "probabilities");
    for (guint i = 0; i < bars->len; i++) {
        Bar bar = g_array_index(bars, Bar, i);
        double length = fmin(fabs(bar.value) / most, 1) * (signed_values ? width / 2 : width), y = i * BAR_ROW;
        put_label(out, "name", BAR_LEFT - 8, y + 14, "end", bar.name);
        put_rect(out, signed_values ? bar.value > 0 ? "bar-reject" : "bar-pass" : "bar-plain", bar.value < 0 ? zero - length : zero, y + 4, length,
                 BAR_ROW - 8);
        put_value(out, "axis", BAR_WIDTH - 4, y + 14, "end", bar.value, 2);
    }
    if (signed_values)
        put_rect(out, "rule", zero - 0.5, 0, 1, bars->len * BAR_ROW);
    g_string_append(out, "</svg>");
}

void report_plot_experts(GString *out, JsonArray *experts) {
    double x = 0, left = 1;
    if (!experts || json_array_get_length(experts) == 0)
        return;
    put_svg(out, BAR_WIDTH, 42, "experts");
    for (guint i = 0; i < json_array_get_length(experts) && i < 8; i++) {
        JsonNode *node = json_array_get_element(experts, i);
        JsonObject *o = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        double share = fmin(fmax(report_number(o, "share"), 0), left), width = share * BAR_WIDTH;
        g_autofree char *class_name = g_strdup_printf("expert expert-%u", i);
        if (!isfinite(report_number(o, "share")))
            continue;
        put_rect(out, class_name, x, 2, width - 1, 20);
        put_value(out, "axis", x + width / 2, 36, "middle", report_number(o, "expert"), 0);
        x += width;
        left -= share;
    }
    put_rect(out, "expert expert-rest", x, 2, left * BAR_WIDTH, 20);
    if (left > 0.1)
        put_label(out, "axis", x + left * BAR_WIDTH / 2, 36, "middle", "others");
    g_string_append(out, "</svg>");
}

// The score on a line with both thresholds.
void report_plot_threshold(GString *out, const ReportWeld *weld) {
    double score = report_number(weld->verdict, "score"), below = report_number(weld->verdict, "thresholds.pass_below");
    double above = report_number(weld->verdict, "thresholds.reject_above"), value[] = {score, below, above, 0}, least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < G_N_ELEMENTS(value); i++)
        if (isfinite(value[i])) {
            least = fmin(least, value[i]);
            most = fmax(most, value[i]);
        }
    if (!isfinite(score))
        return;
    double margin = fmax(0.15 * (most - least), 0.5), low = least - margin, scale = (BAR_WIDTH - 8) / (most + margin - low);
    double pass_end = isfinite(below) ? (below - low) * scale : 0, reject_start = isfinite(above) ? (above - low) * scale : BAR_WIDTH - 8;
    put_svg(out, BAR_WIDTH, 44, "score and thresholds");
    put_rect(out, "bar-refer soft", 4, 14, BAR_WIDTH - 8, 10);
    put_rect(out, "bar-pass soft", 4, 14, fmin(pass_end, reject_start), 10);
    put_rect(out, "bar-reject soft", 4 + fmax(reject_start, pass_end), 14, BAR_WIDTH - 8 - fmax(reject_start, pass_end), 10);
    put_rect(out, "mark", 4 + (score - low) * scale - 1.5, 8, 3, 22);
    put_value(out, "axis strong", fmin(fmax(4 + (score - low) * scale, 20), BAR_WIDTH - 20), 41, "middle", score, 2);
    if (isfinite(below))
        put_value(out, "axis", 4 + pass_end, 10, "middle", below, 2);
    if (isfinite(above) && !(fabs(reject_start - pass_end) < 30 && isfinite(below)))
        put_value(out, "axis", 4 + reject_start, 10, "middle", above, 2);
    g_string_append(out, "</svg>");
}
