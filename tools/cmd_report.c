// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam report`: results of an inspection in, one self-contained HTML page out. It reads the command line; tools/report/ reads and draws.
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"
#include "tools/commands.h"
#include "tools/data_options.h"
#include "tools/report/report.h"

static void show_welds(void *user, int32_t done, int32_t all) {
    g_autofree char *detail = g_strdup_printf("%d of %d welds", done, all);
    seam_progress_show(user, done, all, detail);
}

static bool read_results(Results *r, char **paths, GError **error) {
    for (; *paths; paths++)
        if (!report_results_read(r, *paths, error))
            return false;
    if (r->weld->len > 0)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING,
                "%s: no verdict of a weld in it (%d windows, %d other lines); give what seamdecoder or seaminspect wrote", paths[-1], r->windows,
                r->skipped);
    return false;
}

static bool check_folder(const char *path, const char *option, GError **error) {
    if (!path || g_file_test(path, G_FILE_TEST_IS_DIR))
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: there is no such folder; --%s names one, or is left out", path, option);
    return false;
}

static int report(const ReportOptions *o, char **paths) {
    GError *error = NULL;
    SeamProgressBar bar;
    Results *r = report_results_new();
    bool ok = check_folder(o->data, "data", &error) && check_folder(o->videos, "videos", &error) && read_results(r, paths, &error);
    if (ok) {
        seam_progress_begin(&bar, "drawing", false);
        g_autofree char *page = report_page(r, o, show_welds, &bar);
        seam_progress_end(&bar);
        ok = seam_file_write_atomic(o->out, page, strlen(page), &error);
    }
    if (ok)
        printf("%s: %u welds\n", o->out, r->weld->len);
    report_results_free(r);
    return ok ? 0 : seam_tool_fail("report", error, 1);
}

int seam_cmd_report(int argc, char **argv) {
    g_auto(GStrv) results = NULL;
    g_autofree char *data = NULL, *videos = NULL, *out = NULL, *title = NULL;
    int most = 60;
    const GOptionEntry entries[] = {
        {"results", 'r', 0, G_OPTION_ARG_FILENAME_ARRAY, &results,
         "Windows and welds, one JSON object a line (docs/results-format.md); may be given several times", "FILE.jsonl"},
        {"out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "The page to write", "FILE.html"},
        {"data", 'd', 0, G_OPTION_ARG_FILENAME, &data,
         "The folder of the runs, or one run's: SOURCE/SOURCE.csv, .flac, .avi, images/ give traces and pictures", "DIR"},
        {"videos", 0, 0, G_OPTION_ARG_FILENAME, &videos, "Annotated videos SOURCE.webm: linked, and shown at the worst place", "DIR"},
        {"title", 0, 0, G_OPTION_ARG_STRING, &title, "Title (Weld inspection)", "TEXT"},
        {"most", 0, 0, G_OPTION_ARG_INT, &most, "So many welds in detail, worst first (60)", "N"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- make an HTML page from results");
    g_option_context_set_description(context,
                                     "SOURCE is the verdict's \"source\": the run's name, as source= of seaminspect or seamdecoder gave it.\n");
    g_option_context_add_main_entries(context, entries, NULL);
    GError *error = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error) || !results || !out || argc > 1 || most < 0)
        return seam_tool_usage("report", error, "--results and --out are needed, and --most must not be negative");
    gst_init(NULL, NULL);
    ReportOptions options = {.data = data, .videos = videos, .out = out, .title = title ? title : "Weld inspection", .most = most};
    return report(&options, results);
}
