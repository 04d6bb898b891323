// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The page: style, summary, table of all welds, details of the worst. Nothing in it is loaded from elsewhere.
#include <stdlib.h>
#include <string.h>

#include "tools/report/report.h"

static const char style[] =
    ":root{--ink:#1b2430;--soft:#5b6878;--line:#dde3ea;--page:#f4f6f9;--card:#fff;--pass:#2e9e5b;--reject:#d3413b;--refer:#d99a17;--accent:#2f6fd0;--"
    "band:#f1f4f8}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--soft:#97a4b5;--line:#2c3644;--page:#11161d;--card:#1a212b;--accent:#6aa5ff;--band:#"
    "212a36}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}"
    "main{max-width:1080px;margin:0 auto;padding:32px 20px}h1{font-size:28px;margin:0}h2{font-size:19px;margin:36px 0 "
    "12px}h3{font-size:18px;margin:0}"
    "h4{font-size:13px;margin:0 0 6px}small,.note,.sub{color:var(--soft);font-weight:400}.note{font-size:12px;margin:4px 0 0}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;margin:22px 0}"
    ".card,.weld,.table{background:var(--card);border:1px solid var(--line);border-radius:12px}.card{padding:14px 18px}.card "
    "b{display:block;font-size:30px;line-height:1.2}"
    ".card.pass b{color:var(--pass)}.card.reject b{color:var(--reject)}.card.refer b{color:var(--refer)}"
    ".share{display:flex;height:10px;border-radius:5px;overflow:hidden;background:var(--line)}.share span{display:block}"
    ".share .pass,.badge.pass{background:var(--pass)}.share .reject,.badge.reject{background:var(--reject)}.share "
    ".refer,.badge.refer{background:var(--refer)}"
    ".badge{display:inline-block;color:#fff;border-radius:6px;padding:1px 9px;font-size:13px;font-weight:600}"
    ".table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}th,td{text-align:left;padding:8px 12px;border-bottom:1px solid "
    "var(--line);white-space:nowrap}"
    "td.reason{white-space:normal;min-width:220px;color:var(--soft)}tr:last-child "
    "td{border:0}th{color:var(--soft);font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}.weld{padding:22px;margin:0 0 22px}.reason{margin:6px 0 14px}"
    ".columns{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:22px}@media(max-width:800px){.columns{grid-template-columns:1fr}}"
    "figure{margin:0}.picture{position:relative;line-height:0}.picture "
    "img{width:100%;border-radius:8px}figcaption{color:var(--soft);font-size:13px;margin-top:6px}"
    ".box{position:absolute;border:2px solid var(--reject);line-height:1}.box "
    "b{position:absolute;left:-2px;top:-17px;background:var(--reject);color:#fff;font-size:11px;padding:2px 5px}"
    ".photos{display:flex;gap:8px;flex-wrap:wrap;margin-top:10px}.photos img{height:84px;border-radius:6px}.video{margin:8px 0 0;font-size:14px}"
    "dl{display:grid;grid-template-columns:auto 1fr;gap:5px 14px;margin:0;font-size:14px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}"
    ".traces{margin:18px 0 6px}.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(270px,1fr));gap:18px 26px;margin-top:14px}"
    "svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .axis{fill:var(--soft);font-size:10px}svg "
    ".strong{fill:var(--ink);font-weight:700}"
    ".trace{fill:none;stroke:var(--accent);stroke-width:1.2;stroke-linejoin:round}.band{fill:var(--band)}.band-odd{fill:var(--band);opacity:.55}."
    "place{fill:var(--reject);opacity:.75}"
    ".bar-pass{fill:var(--pass)}.bar-reject{fill:var(--reject)}.bar-refer{fill:var(--refer)}.bar-plain{fill:var(--accent)}.bar-none{fill:var(--line)}"
    ".soft{opacity:.35}.mark{fill:var(--ink)}"
    ".rule{fill:var(--soft)}.expert{fill:var(--accent)}.expert-1{opacity:.8}.expert-2{opacity:.65}.expert-3{opacity:.5}.expert-rest{opacity:.18}"
    "footer{color:var(--soft);font-size:13px;margin-top:28px}"
    "@media print{body{background:#fff}.weld{break-inside:avoid}}";

// ---- summary -------------------------------------------------------------------------------------------------------------------

static int32_t count(const Results *r, const char *decision) {
    int32_t n = 0;
    for (guint i = 0; i < r->weld->len; i++)
        n += strcmp(report_decision(r->weld->pdata[i]), decision) == 0;
    return n;
}

static void put_card(GString *out, const char *class_name, int32_t n, const char *text) {
    g_string_append_printf(out, "<div class=\"card %s\"><b>%d</b>%s</div>", class_name, n, text);
}

static void put_summary(GString *out, const Results *r) {
    static const char *const decision[] = {"pass", "refer", "reject"};
    g_string_append(out, "<div class=\"cards\">");
    put_card(out, "", (int32_t)r->weld->len, r->weld->len == 1 ? "weld inspected" : "welds inspected");
    put_card(out, "pass", count(r, "pass"), "passed");
    put_card(out, "reject", count(r, "reject"), "rejected");
    put_card(out, "refer", count(r, "refer"), "referred to a person");
    g_string_append(out, "</div><div class=\"share\">");
    for (size_t i = 0; i < G_N_ELEMENTS(decision); i++)
        if (count(r, decision[i]) > 0)
            g_string_append_printf(out, "<span class=\"%s\" style=\"flex:%d\"></span>", decision[i], count(r, decision[i]));
    g_string_append(out, "</div>");
}

// What the rejected and the referred ones look like.
static void put_found(GString *out, const Results *r) {
    g_autoptr(GHashTable) n = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < r->weld->len; i++) {
        const ReportWeld *weld = r->weld->pdata[i];
        const char *class_name = report_text(weld->verdict, "class");
        if (strcmp(report_decision(weld), "pass") != 0 && *class_name)
            g_hash_table_insert(n, (gpointer)class_name, GINT_TO_POINTER(GPOINTER_TO_INT(g_hash_table_lookup(n, class_name)) + 1));
    }
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(n), (GCompareFunc)strcmp);
    if (!names)
        return;
    g_string_append(out, "<p class=\"sub\">Most likely classes of those that did not pass: ");
    for (GList *l = names; l; l = l->next) {
        report_put_text(out, l->data);
        g_string_append_printf(out, " %d%s", GPOINTER_TO_INT(g_hash_table_lookup(n, l->data)), l->next ? ", " : ".</p>");
    }
}

// ---- table ---------------------------------------------------------------------------------------------------------------------

static void put_cell(GString *out, double value, int32_t digits, const char *unit) {
    g_string_append(out, "<td class=\"n\">");
    report_put_number(out, value, digits);
    if (isfinite(value))
        g_string_append(out, unit);
    g_string_append(out, "</td>");
}

static void put_names(GString *out, JsonArray *names) {
    guint n = names ? json_array_get_length(names) : 0;
    g_string_append(out, n ? "<td>" : "<td>–");
    for (guint i = 0; i < n; i++) {
        JsonNode *node = json_array_get_element(names, i);
        g_string_append(out, i ? ", " : "");
        if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
            report_put_text(out, json_node_get_string(node));
    }
    g_string_append(out, "</td>");
}

static void put_row(GString *out, const ReportWeld *weld, bool link) {
    JsonObject *v = weld->verdict;
    const char *source = report_text(v, "source");
    g_string_append_printf(out, link ? "<tr><td><a href=\"#weld-%d\">" : "<tr><td><span data-weld=\"%d\">", weld->id);
    report_put_text(out, *source ? source : "weld");
    g_string_append_printf(out, "%s</td><td><span class=\"badge %s\">%s</span></td><td>", link ? "</a>" : "</span>", report_decision(weld),
                           report_decision(weld));
    report_put_text(out, report_text(v, "class"));
    g_string_append(out, "</td>");
    put_cell(out, report_number(v, "confidence"), 2, "");
    put_cell(out, report_number(v, "score"), 2, "");
    put_cell(out, report_number(v, "place.time"), 2, " s");
    put_cell(out, 100 * report_number(v, "place.along"), 0, " %");
    put_names(out, report_array(v, "missing"));
    g_string_append(out, "<td class=\"reason\">");
    report_put_text(out, report_text(v, "reason"));
    g_string_append(out, "</td></tr>\n");
}

// ---- details, worst first ------------------------------------------------------------------------------------------------------

static int rank(const ReportWeld *weld) {
    const char *decision = report_decision(weld);
    return strcmp(decision, "reject") == 0 ? 0 : strcmp(decision, "refer") == 0 ? 1 : 2;
}

static int worst_first(gconstpointer a, gconstpointer b) {
    const ReportWeld *x = *(ReportWeld *const *)a, *y = *(ReportWeld *const *)b;
    double sx = report_number(x->verdict, "score"), sy = report_number(y->verdict, "score");
    if (rank(x) != rank(y))
        return rank(x) - rank(y);
    if (sx > sy || sx < sy)
        return sx > sy ? -1 : 1;
    return x->id - y->id;
}

static void put_table(GString *out, const Results *r, GHashTable *detailed) {
    g_string_append(out,
                    "<h2>All welds</h2><div class=\"table\"><table><tr><th>Weld</th><th>Verdict</th><th>Class</th><th>Confidence</th><th>Score</th>"
                    "<th>Worst at</th><th>Along</th><th>Missing</th><th>Reason</th></tr>\n");
    for (guint i = 0; i < r->weld->len; i++)
        put_row(out, r->weld->pdata[i], g_hash_table_contains(detailed, r->weld->pdata[i]));
    g_string_append(out, "</table></div>");
}

char *report_page(const Results *r, const ReportOptions *o, void (*progress)(void *user, int32_t done, int32_t all), void *user) {
    g_autoptr(GPtrArray) order = g_ptr_array_copy(r->weld, NULL, NULL);
    g_autoptr(GHashTable) detailed = g_hash_table_new(NULL, NULL);
    GString *out = g_string_new(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>");
    g_ptr_array_set_free_func(order, NULL);
    g_ptr_array_sort(order, worst_first);
    g_ptr_array_set_size(order, MIN((gint)order->len, o->most));
    for (guint i = 0; i < order->len; i++)
        g_hash_table_add(detailed, order->pdata[i]);
    report_put_text(out, o->title);
    g_string_append_printf(out, "</title><style>%s</style></head><body><main><h1>", style);
    report_put_text(out, o->title);
    g_string_append_printf(out, "</h1><p class=\"sub\">Weld inspection by Seam %s: %d welds, %d windows</p>", SEAM_VERSION, (int)r->weld->len,
                           r->windows);
    put_summary(out, r);
    put_found(out, r);
    put_table(out, r, detailed);
    g_string_append(out, order->len < r->weld->len ? "<h2>The worst in detail</h2>" : "<h2>In detail, worst first</h2>");
    for (guint i = 0; i < order->len; i++) {
        report_put_weld(out, o, order->pdata[i]);
        if (progress)
            progress(user, (int32_t)i + 1, (int32_t)order->len);
    }
    g_string_append(
        out,
        "<footer>pass: only good is plausible; reject: only defective is; refer: both or neither, so a person looks. The thresholds are conformal: "
        "they come from welds that were held back (docs/results-format.md).</footer></main></body></html>\n");
    return g_string_free(out, FALSE);
}
