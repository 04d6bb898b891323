// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One weld in detail: its pictures, traces, and what the verdict was made of. It finds the run's files by the verdict's source.
#include <string.h>

#include "tools/report/report.h"

enum { PHOTOS = 6 };

// ---- files of the run ----------------------------------------------------------------------------------------------------------

// A source is a file name and nothing that leads elsewhere.
static bool is_plain(const char *source) {
    return *source && !strchr(source, '/') && !strchr(source, '\\') && strcmp(source, ".") != 0 && strcmp(source, "..") != 0;
}

// The folder of the run, or NULL: DATA/SOURCE, or DATA itself when it is called so.
static char *run_folder(const ReportOptions *o, const char *source) {
    if (!o->data || !is_plain(source))
        return NULL;
    char *folder = g_build_filename(o->data, source, NULL);
    g_autofree char *whole = g_canonicalize_filename(o->data, NULL), *base = g_path_get_basename(whole);
    if (g_file_test(folder, G_FILE_TEST_IS_DIR))
        return folder;
    g_free(folder);
    return strcmp(base, source) == 0 ? g_strdup(o->data) : NULL;
}

static char *first_file(const char *folder, const char *name, const char *const *endings) {
    for (; folder && *endings; endings++) {
        g_autofree char *file = g_strconcat(name, *endings, NULL);
        g_autofree char *path = g_build_filename(folder, file, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
            return g_steal_pointer(&path);
    }
    return NULL;
}

static char *annotated_video(const ReportOptions *o, const char *source) {
    static const char *const endings[] = {".webm", ".mkv", ".mp4", ".avi", NULL};
    return is_plain(source) ? first_file(o->videos, source, endings) : NULL;
}

static int compare_names(gconstpointer a, gconstpointer b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *list_photos(const char *folder) {
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *images = folder ? g_build_filename(folder, "images", NULL) : NULL;
    GDir *dir = images ? g_dir_open(images, 0, NULL) : NULL;
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *low = g_ascii_strdown(name, -1);
        if (g_str_has_suffix(low, ".jpg") || g_str_has_suffix(low, ".jpeg") || g_str_has_suffix(low, ".png"))
            g_ptr_array_add(paths, g_build_filename(images, name, NULL));
    }
    g_clear_pointer(&dir, g_dir_close);
    g_ptr_array_sort(paths, compare_names);
    return paths;
}

// ---- pictures ------------------------------------------------------------------------------------------------------------------

// The window whose picture is shown: the one that holds the worst place.
static JsonObject *worst_window(const ReportWeld *weld) {
    double place = report_number(weld->verdict, "place.time");
    for (guint i = 0; i < weld->window->len; i++) {
        double time = report_number(weld->window->pdata[i], "time");
        if (place >= time && place <= time + report_number(weld->window->pdata[i], "duration"))
            return weld->window->pdata[i];
    }
    return NULL;
}

static void put_box(GString *out, JsonObject *box) {
    double x = report_number(box, "x"), y = report_number(box, "y"), w = report_number(box, "w"), h = report_number(box, "h");
    const double side[] = {100 * (x - w / 2), 100 * (y - h / 2), 100 * w, 100 * h};
    static const char *const name[] = {"left", "top", "width", "height"};
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1 && w > 0 && w <= 1 && h > 0 && h <= 1))
        return;
    g_string_append(out, "<span class=\"box\" style=\"");
    for (size_t i = 0; i < G_N_ELEMENTS(side); i++) {
        g_string_append_printf(out, "%s:", name[i]);
        report_put_number(out, side[i], 2);
        g_string_append(out, "%;");
    }
    g_string_append(out, "\"><b>");
    report_put_text(out, report_text(box, "class"));
    g_string_append(out, "</b></span>");
}

static void put_boxes(GString *out, JsonObject *window) {
    JsonArray *boxes = report_array(window, "boxes");
    for (guint i = 0; boxes && i < json_array_get_length(boxes) && i < 16; i++) {
        JsonNode *node = json_array_get_element(boxes, i);
        if (JSON_NODE_HOLDS_OBJECT(node))
            put_box(out, json_node_get_object(node));
    }
}

static void put_caption(GString *out, const char *what, double time) {
    g_string_append(out, "<figcaption>");
    report_put_text(out, what);
    if (isfinite(time)) {
        g_string_append(out, " at ");
        report_put_number(out, time, 2);
        g_string_append(out, " s");
    }
    g_string_append(out, "</figcaption></figure>");
}

// From the annotated video, with heat map and boxes already drawn; else from the run's own, with the boxes drawn here.
static bool put_worst_picture(GString *out, const ReportWeld *weld, const char *annotated, const char *video) {
    JsonObject *window = worst_window(weld);
    double time = report_number(window, "heat.time");
    time = isfinite(time) ? time : report_number(weld->verdict, "place.time");
    g_autofree char *uri = annotated ? report_frame_uri(annotated, fmax(time, 0)) : NULL;
    bool drawn = uri != NULL;
    if (!uri && video)
        uri = report_frame_uri(video, fmax(time, 0));
    if (!uri)
        return false;
    g_string_append_printf(out, "<figure class=\"worst\"><div class=\"picture\"><img alt=\"the worst place\" src=\"%s\">", uri);
    if (!drawn && strcmp(report_text(window, "heat.modality"), "video") == 0)
        put_boxes(out, window);
    g_string_append(out, "</div>");
    put_caption(out, drawn ? "Worst place, as the overlay drew it," : "Worst place,", time);
    return true;
}

static void put_photos(GString *out, const char *folder) {
    g_autoptr(GPtrArray) paths = list_photos(folder);
    g_string_append(out, "<div class=\"photos\">");
    for (guint i = 0; i < paths->len && i < PHOTOS; i++) {
        g_autofree char *uri = report_picture_uri(paths->pdata[i], 220);
        if (uri)
            g_string_append_printf(out, "<img alt=\"photograph %u\" src=\"%s\">", i + 1, uri);
    }
    g_string_append(out, "</div>");
}

static void put_video_link(GString *out, const ReportOptions *o, const char *path) {
    g_autofree char *whole = g_canonicalize_filename(path, NULL), *page = g_canonicalize_filename(o->out, NULL), *folder = g_path_get_dirname(page);
    g_autofree char *prefix = g_strconcat(folder, "/", NULL), *escaped = NULL;
    if (g_str_has_prefix(whole, prefix))
        escaped = g_uri_escape_string(whole + strlen(prefix), "/", FALSE);
    else
        escaped = g_filename_to_uri(whole, NULL, NULL);
    if (escaped)
        g_string_append_printf(out, "<p class=\"video\"><a href=\"%s\">Annotated video</a></p>", escaped);
}

// ---- the verdict's parts -------------------------------------------------------------------------------------------------------

static void put_fact(GString *out, const char *name, const char *value) {
    g_string_append_printf(out, "<dt>%s</dt><dd>", name);
    report_put_text(out, *value ? value : "–");
    g_string_append(out, "</dd>");
}

static char *joined(JsonArray *names) {
    GString *text = g_string_new(NULL);
    for (guint i = 0; names && i < json_array_get_length(names); i++) {
        JsonNode *node = json_array_get_element(names, i);
        if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", json_node_get_string(node));
    }
    return g_string_free(text, FALSE);
}

static char *clock_text(JsonObject *verdict) {
    JsonObject *offsets = report_object(verdict, "clock.offsets");
    g_autoptr(GList) names = offsets ? json_object_get_members(offsets) : NULL;
    GString *text = g_string_new(NULL);
    for (GList *l = names; l; l = l->next)
        if (isfinite(report_number(offsets, l->data))) {
            g_string_append_printf(text, "%s%s ", text->len ? ", " : "", (char *)l->data);
            report_put_number(text, report_number(offsets, l->data), 2);
            g_string_append(text, " s");
        }
    if (text->len)
        g_string_append_printf(text, " against %s", report_text(verdict, "clock.reference"));
    return g_string_free(text, FALSE);
}

static void put_facts(GString *out, const ReportWeld *weld) {
    JsonObject *v = weld->verdict;
    g_autofree char *present = joined(report_array(v, "present")), *missing = joined(report_array(v, "missing")), *clock = clock_text(v);
    g_autoptr(GString) place = g_string_new(NULL), time = g_string_new(NULL);
    report_put_number(place, report_number(v, "place.time"), 2);
    g_string_append(place, " s, ");
    report_put_number(place, 100 * report_number(v, "place.along"), 0);
    g_string_append(place, " % along the seam");
    report_put_number(time, weld->start, 2);
    g_string_append(time, " s to ");
    report_put_number(time, weld->end, 2);
    g_string_append_printf(time, " s, bounded by %s, %.0f windows", report_text(v, "bounds"), fmax(report_number(v, "windows"), 0));
    g_string_append(out, "<dl>");
    put_fact(out, "Weld", time->str);
    put_fact(out, "Worst place", place->str);
    put_fact(out, "Seen by", present);
    put_fact(out, "Missing", *missing ? missing : "nothing");
    put_fact(out, "Clock offset", *clock ? clock : "not measured");
    put_fact(out, "Model", report_text(v, "model"));
    g_string_append(out, "</dl>");
}

static void put_panel(GString *out, const char *title, const char *note, GString *plot) {
    if (plot->len == 0)
        return;
    g_string_append_printf(out, "<div class=\"panel\"><h4>%s</h4>%s<p class=\"note\">%s</p></div>", title, plot->str, note);
    g_string_truncate(plot, 0);
}

static void put_panels(GString *out, const ReportWeld *weld) {
    JsonObject *v = weld->verdict;
    g_autoptr(GString) plot = g_string_new(NULL);
    bool anomaly = strcmp(report_text(v, "score_of"), "anomaly") == 0;
    g_string_append(out, "<div class=\"panels\">");
    report_plot_threshold(plot, weld);
    put_panel(out, "Score",
              anomaly ? "distance to good welds; thresholds from held-back welds" : "log odds of a defect; thresholds from held-back welds", plot);
    report_plot_bars(plot, report_object(v, "probabilities"), false);
    put_panel(out, "Classes", "mean probability of the worst windows", plot);
    report_plot_bars(plot, report_object(v, "contributions"), true);
    put_panel(out, "Modalities", "what each added to the score, logit units; right speaks for a defect", plot);
    report_plot_experts(plot, report_array(v, "experts"));
    put_panel(out, "Experts", "shares of the choices, the most used by number", plot);
    g_string_append(out, "</div>");
}

static void put_head(GString *out, const ReportWeld *weld) {
    JsonObject *v = weld->verdict;
    g_string_append_printf(out, "<h3><span class=\"badge %s\">%s</span> ", report_decision(weld), report_decision(weld));
    report_put_text(out, *report_text(v, "source") ? report_text(v, "source") : "weld");
    g_string_append_printf(out, " <small>no. %.0f</small></h3><p class=\"reason\"><b>", fmax(report_number(v, "number"), 0));
    report_put_text(out, *report_text(v, "class") ? report_text(v, "class") : "no class");
    g_string_append(out, "</b>");
    if (report_number(v, "confidence") > 0) {
        g_string_append(out, " with confidence ");
        report_put_number(out, report_number(v, "confidence"), 2);
    }
    g_string_append(out, ": ");
    report_put_text(out, report_text(v, "reason"));
    g_string_append(out, ".</p>");
}

void report_put_weld(GString *out, const ReportOptions *o, const ReportWeld *weld) {
    static const char *const videos[] = {".avi", ".mp4", ".mkv", ".mov", ".webm", ".ts", NULL};
    const char *source = report_text(weld->verdict, "source");
    g_autofree char *folder = run_folder(o, source), *annotated = annotated_video(o, source), *video = first_file(folder, source, videos);
    g_autofree ReportTrace *trace = g_new0(ReportTrace, REPORT_TRACES);
    int32_t traces = folder && weld->end - weld->start > 0.01 ? report_traces_read(folder, source, weld->start, weld->end, trace) : 0;
    g_string_append_printf(out, "<section class=\"weld\" id=\"weld-%d\">", weld->id);
    put_head(out, weld);
    g_string_append(out, "<div class=\"columns\"><div>");
    put_worst_picture(out, weld, annotated, video);
    put_photos(out, folder);
    if (annotated)
        put_video_link(out, o, annotated);
    g_string_append(out, "</div><div>");
    put_facts(out, weld);
    g_string_append(out, "</div></div><div class=\"traces\">");
    report_plot_traces(out, weld, trace, traces);
    g_string_append(out, "</div>");
    put_panels(out, weld);
    g_string_append(out, "</section>\n");
}
