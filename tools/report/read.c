// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Results, line by line. Windows come before the verdict of the weld that they lie in; time that jumps back means that the next run begins.
#include "tools/report/report.h"

#include <string.h>

#include "core/error.h"
#include "core/files.h"

static const size_t size_limit = (size_t)1 << 30;

// ---- members -------------------------------------------------------------------------------------------------------------------

static JsonNode *find_node(JsonObject *o, const char *path) {
    g_auto(GStrv) part = g_strsplit(path, ".", -1);
    JsonNode *node = NULL;
    for (guint i = 0; part[i]; i++) {
        node = o ? json_object_get_member(o, part[i]) : NULL;
        o = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    }
    return node;
}

double report_number(JsonObject *o, const char *path) {
    JsonNode *node = find_node(o, path);
    GType type = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
    return type == G_TYPE_DOUBLE || type == G_TYPE_INT64 ? json_node_get_double(node) : NAN;
}

const char *report_text(JsonObject *o, const char *path) {
    JsonNode *node = find_node(o, path);
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : "";
}

JsonObject *report_object(JsonObject *o, const char *path) {
    JsonNode *node = find_node(o, path);
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *report_array(JsonObject *o, const char *path) {
    JsonNode *node = find_node(o, path);
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

double report_window_score(const ReportWeld *weld, JsonObject *window) {
    return report_number(window, strcmp(report_text(weld->verdict, "score_of"), "anomaly") == 0 ? "anomaly.score" : "score");
}

// ---- lines ---------------------------------------------------------------------------------------------------------------------

static void free_weld(gpointer data) {
    ReportWeld *weld = data;
    json_object_unref(weld->verdict);
    g_ptr_array_unref(weld->window);
    g_free(weld);
}

static void free_object(gpointer data) {
    json_object_unref(data);
}

Results *report_results_new(void) {
    Results *r = g_new0(Results, 1);
    r->weld = g_ptr_array_new_with_free_func(free_weld);
    return r;
}

void report_results_free(Results *r) {
    if (!r)
        return;
    g_ptr_array_unref(r->weld);
    g_free(r);
}

static double end_of(JsonObject *o) {
    return report_number(o, "time") + report_number(o, "duration");
}

// A window belongs to the weld that holds its middle.
static void add_weld(Results *r, JsonObject *verdict, const GPtrArray *pending) {
    ReportWeld *weld = g_new0(ReportWeld, 1);
    weld->verdict = verdict;
    weld->start = report_number(verdict, "time");
    weld->end = end_of(verdict);
    weld->id = (int32_t)r->weld->len;
    weld->window = g_ptr_array_new_with_free_func(free_object);
    for (guint i = 0; i < pending->len; i++) {
        double middle = (report_number(pending->pdata[i], "time") + end_of(pending->pdata[i])) / 2;
        if (middle >= weld->start && middle <= weld->end)
            g_ptr_array_add(weld->window, json_object_ref(pending->pdata[i]));
    }
    g_ptr_array_add(r->weld, weld);
}

static bool add_line(Results *r, JsonObject *o, GPtrArray *pending, const char *where, GError **error) {
    const char *type = report_text(o, "type");
    bool window = strcmp(type, "window") == 0, weld = strcmp(type, "weld") == 0;
    if ((window || weld) && !isfinite(end_of(o))) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: a %s without numbers in \"time\" and \"duration\"; give what Seam wrote", where, type);
        return false;
    }
    if (window) {
        if (pending->len > 0 && report_number(o, "time") < report_number(pending->pdata[pending->len - 1], "time"))
            g_ptr_array_set_size(pending, 0);
        g_ptr_array_add(pending, json_object_ref(o));
    } else if (weld) {
        add_weld(r, json_object_ref(o), pending);
    }
    r->windows += window;
    r->skipped += !window && !weld;
    return true;
}

bool report_results_read(Results *r, const char *path, GError **error) {
    size_t size;
    char *text = seam_file_read(path, size_limit, &size, error);
    g_autoptr(GPtrArray) pending = g_ptr_array_new_with_free_func(free_object);
    bool ok = text != NULL;
    int32_t number = 0;
    for (char *line = text, *next; ok && line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        number++;
        g_autofree char *where = g_strdup_printf("%s: line %d", path, number);
        if (*g_strstrip(line) == 0)
            continue;
        JsonObject *o = seam_json_parse(line, where, error);
        ok = o && add_line(r, o, pending, where, error);
        g_clear_pointer(&o, json_object_unref);
    }
    g_free(text);
    return ok;
}
