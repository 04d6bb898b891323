// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Text and numbers in HTML and SVG.
#include "tools/report/report.h"

#include <string.h>

void report_put_text(GString *out, const char *text) {
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    for (const char *p = valid; *p; p++)
        switch (*p) {
        case '&':
            g_string_append(out, "&amp;");
            break;
        case '<':
            g_string_append(out, "&lt;");
            break;
        case '>':
            g_string_append(out, "&gt;");
            break;
        case '"':
            g_string_append(out, "&quot;");
            break;
        case '\'':
            g_string_append(out, "&#39;");
            break;
        default:
            g_string_append_c(out, (unsigned char)*p < 32 || *p == 127 ? ' ' : *p);
        }
}

void report_put_number(GString *out, double value, int32_t digits) {
    char text[G_ASCII_DTOSTR_BUF_SIZE], format[8];
    g_snprintf(format, sizeof format, "%%.%df", digits);
    if (fabs(value) < pow(10, -digits) / 2)
        value = 0; // not -0
    if (fabs(value) < 1e9)
        g_string_append(out, g_ascii_formatd(text, sizeof text, format, value));
    else
        g_string_append(out, "–");
}

const char *report_decision(const ReportWeld *weld) {
    static const char *const known[] = {"pass", "reject"};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (strcmp(report_text(weld->verdict, "decision"), known[i]) == 0)
            return known[i];
    return "refer";
}
