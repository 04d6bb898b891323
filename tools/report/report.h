// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pieces of `seam report`: results as they were read, and what draws them. All text and numbers come from files that anybody may have written: html.c
// escapes the one, and the readers below give a fallback for the other.
#pragma once

#include <json-glib/json-glib.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum { REPORT_TRACES = 10, REPORT_POINTS = 320 };

// One weld's verdict and the windows that lie in it.
typedef struct {
    JsonObject *verdict;
    GPtrArray *window; // of JsonObject *, in time order
    double start, end; // seconds
    int32_t id;        // its place in the file, from 0: names the anchor
} ReportWeld;

typedef struct {
    GPtrArray *weld; // of ReportWeld *, in the file's order
    int32_t windows; // read
    int32_t skipped; // lines that are neither a window nor a weld
} Results;

typedef struct {
    const char *data, *videos, *out, *title; // data and videos may be NULL
    int32_t most;
} ReportOptions;

// ---- read.c: appends the windows and welds of one file -----------------------------------------------------------------------

Results *report_results_new(void);
bool report_results_read(Results *r, const char *path, GError **error);
void report_results_free(Results *r);

// Members of any type and depth: "place.time". NAN, "" and NULL where there is none of the kind.
double report_number(JsonObject *o, const char *path);
const char *report_text(JsonObject *o, const char *path);
JsonObject *report_object(JsonObject *o, const char *path);
JsonArray *report_array(JsonObject *o, const char *path);
// What the weld was judged by, of one of its windows.
double report_window_score(const ReportWeld *weld, JsonObject *window);

// ---- traces.c: levels over time out of a run's folder ------------------------------------------------------------------------

typedef struct {
    char name[64];
    float low[REPORT_POINTS], high[REPORT_POINTS]; // of each bin; NaN: nothing there
    float least, most;
} ReportTrace;

// Traces over [start, end) of the sensor rows and of the sound's level; returns how many.
int32_t report_traces_read(const char *folder, const char *name, double start, double end, ReportTrace *trace);

// ---- picture.c: pictures as data URIs; g_free them --------------------------------------------------------------------------

// The frame of a video at `time`, or NULL.
char *report_frame_uri(const char *path, double time);
// A picture file, at most so wide, or NULL.
char *report_picture_uri(const char *path, int32_t width);

// ---- plots.c: SVG --------------------------------------------------------------------------------------------------------------

void report_plot_traces(GString *out, const ReportWeld *weld, const ReportTrace *trace, int32_t n);
void report_plot_threshold(GString *out, const ReportWeld *weld);
// Bars of the members of an object that are numbers: from 0 to 1, or to both sides of 0.
void report_plot_bars(GString *out, JsonObject *values, bool signed_values);
void report_plot_experts(GString *out, JsonArray *experts);

// ---- weld.c, page.c ------------------------------------------------------------------------------------------------------------

void report_put_weld(GString *out, const ReportOptions *o, const ReportWeld *weld);
// progress may be NULL.
char *report_page(const Results *results, const ReportOptions *o, void (*progress)(void *user, int32_t done, int32_t all), void *user);

// html.c: text with what HTML gives a meaning to escaped; numbers with a point.
void report_put_text(GString *out, const char *text);
void report_put_number(GString *out, double value, int32_t digits);
// "pass", "reject", "refer"; anything else is "refer".
const char *report_decision(const ReportWeld *weld);
