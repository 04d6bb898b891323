// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The report of an ablation program (ablation.h).
#include "tests/bench/ablation/ablation.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct Ablation {
    JsonObject *report, *keys;
    JsonArray *tables, *plots;
    JsonArray *rows, *series; // of the newest table and plot
    GString *finding;
};

Ablation *ablation_new(const char *claim) {
    Ablation *a = g_new0(Ablation, 1);
    a->report = json_object_new();
    a->keys = json_object_new();
    a->tables = json_array_new();
    a->plots = json_array_new();
    a->finding = g_string_new(NULL);
    json_object_set_string_member(a->report, "claim", claim);
    return a;
}

static JsonNode *number(double value) {
    JsonNode *node = json_node_new(isfinite(value) ? JSON_NODE_VALUE : JSON_NODE_NULL);
    if (isfinite(value))
        json_node_set_double(node, value);
    return node;
}

void ablation_key(Ablation *a, const char *name, double value) {
    json_object_set_member(a->keys, name, number(value));
}

void ablation_table(Ablation *a, const char *title, ...) {
    JsonObject *table = json_object_new();
    JsonArray *columns = json_array_new();
    va_list names;
    va_start(names, title);
    for (const char *name; (name = va_arg(names, const char *));)
        json_array_add_string_element(columns, name);
    va_end(names);
    a->rows = json_array_new();
    json_object_set_string_member(table, "title", title);
    json_object_set_array_member(table, "columns", columns);
    json_object_set_array_member(table, "rows", a->rows);
    json_array_add_object_element(a->tables, table);
}

void ablation_row(Ablation *a, const char *kinds, ...) {
    JsonArray *row = json_array_new();
    va_list cells;
    va_start(cells, kinds);
    for (const char *kind = kinds; *kind; kind++) {
        if (*kind == 's')
            json_array_add_string_element(row, va_arg(cells, const char *));
        else
            json_array_add_element(row, number(va_arg(cells, double)));
    }
    va_end(cells);
    json_array_add_array_element(a->rows, row);
}

void ablation_plot(Ablation *a, const char *title, const char *x, const char *y, bool log) {
    JsonObject *plot = json_object_new();
    a->series = json_array_new();
    json_object_set_string_member(plot, "title", title);
    json_object_set_string_member(plot, "x", x);
    json_object_set_string_member(plot, "y", y);
    json_object_set_boolean_member(plot, "log", log);
    json_object_set_array_member(plot, "series", a->series);
    json_array_add_object_element(a->plots, plot);
}

static JsonArray *numbers(int n, const double *value) {
    JsonArray *array = json_array_new();
    for (int i = 0; i < n; i++)
        json_array_add_element(array, number(value[i]));
    return array;
}

void ablation_series(Ablation *a, const char *name, int n, const double *x, const double *y) {
    JsonObject *series = json_object_new();
    json_object_set_string_member(series, "name", name);
    json_object_set_array_member(series, "x", numbers(n, x));
    json_object_set_array_member(series, "y", numbers(n, y));
    json_array_add_object_element(a->series, series);
}

void ablation_finding(Ablation *a, const char *format, ...) {
    va_list values;
    va_start(values, format);
    if (a->finding->len > 0)
        g_string_append_c(a->finding, ' ');
    g_string_append_vprintf(a->finding, format, values);
    va_end(values);
}

int ablation_print(Ablation *a) {
    json_object_set_string_member(a->report, "finding", a->finding->str);
    json_object_set_object_member(a->report, "keys", a->keys);
    json_object_set_array_member(a->report, "tables", a->tables);
    json_object_set_array_member(a->report, "plots", a->plots);
    JsonNode *root = json_node_init_object(json_node_alloc(), a->report);
    g_autofree char *text = json_to_string(root, FALSE);
    bool written = puts(text) >= 0 && fflush(stdout) == 0;
    json_node_unref(root);
    json_object_unref(a->report);
    g_string_free(a->finding, TRUE);
    g_free(a);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

double ablation_resident_mb(void) {
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        exit(1);
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1024 * 1024);
}

double ablation_seconds(void) {
    return (double)g_get_monotonic_time() * 1e-6;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ablation_median(int n, double *value) {
    qsort(value, (size_t)n, sizeof *value, compare);
    return value[(n - 1) / 2];
}

double ablation_time(int runs, void (*call)(void *data), void *data) {
    g_autofree double *taken = g_new(double, runs);
    call(data);
    for (int i = 0; i < runs; i++) {
        double start = ablation_seconds();
        call(data);
        taken[i] = ablation_seconds() - start;
    }
    return ablation_median(runs, taken);
}

double ablation_exponent(int n, const double *x, const double *y) {
    double mx = 0, my = 0, xx = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        mx += log(x[i]) / n;
        my += log(y[i]) / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (log(x[i]) - mx) * (log(x[i]) - mx);
        xy += (log(x[i]) - mx) * (log(y[i]) - my);
    }
    return xy / xx;
}
