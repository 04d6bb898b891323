// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Runs a pipeline on streams that lie in memory and prints one JSON object of what it measured between two decisions. It owns the
// feeders, one thread a stream; what runs is said by the command line (tests/bench/ours.py).
//
//   bench_elements --pipeline "appsrc name=video ... i.results ! fakesink name=results" --window 1 --fps 25 --windows 12
//       --feed video=FILE,BYTES,NANOSECONDS    the appsrc of that name gets FILE over and over, in buffers of so many bytes
//       --pace                                 at the speed of the streams' own time, as a camera would; measures delays
//       --from N                               the decision that begins the measurement (1)
//       --elements                             processor time an element (see element_times.h)
//
// With libseamprobe.so preloaded it also counts allocations and copies (see probe.h). The measured stretch begins with the decision of
// window `from` and ends with that of window `windows`; both ends are alike, so neither filling nor
// draining of queues counts. The streams are SPARE_WINDOWS longer, so that those which run ahead still do at the end.
#include <dlfcn.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/bench/element_times.h"
#include "tests/bench/probe.h"

enum { MOST_FEEDS = 8, MOST_WINDOWS = 4096, MOST_SITES = 1024, SPARE_WINDOWS = 8 };

typedef struct {
    char *name, *path;
    GstAppSrc *src;
    GThread *thread;
    GMappedFile *file;
    char *data; // of it
    gsize size, chunk;
    guint64 duration; // of a chunk, ns
} Feed;

static struct {
    char *pipeline, **feeds;
    double window, fps;
    int from, windows;
    gboolean pace, elements;
} option = {.window = 1, .fps = 25, .from = 1, .windows = 12};

static Feed feed[MOST_FEEDS];
static int feeds;
static SeamProbe probe;
static gboolean measuring;
static gint stopping;
static struct {
    gint64 playing, first, begin, end; // monotonic, us
    double cpu_begin, cpu_end;                  // processor time of the process, seconds
    int decided;                                // windows decided so far
    double delay[MOST_WINDOWS];                 // ms from the window's end to its decision, when paced
    int delays;
    double resident_mb;
} measured;

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

// Of the process, without the mapped streams.
static double resident_mb(void) {
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    double kib = 0;
    gboolean skip = FALSE;
    while (file && fgets(line, sizeof line, file)) {
        if (g_ascii_isxdigit(line[0]) && !g_ascii_isupper(line[0])) { // a mapping: addresses in small letters, and its file
            skip = FALSE;
            for (int i = 0; i < feeds; i++)
                skip |= strstr(line, feed[i].path) != NULL;
        } else if (!skip && g_str_has_prefix(line, "Rss:")) {
            kib += g_ascii_strtod(line + 4, NULL);
        }
    }
    if (file)
        fclose(file);
    return kib / 1024;
}

// ---- streams ----------------------------------------------------------------------------------------------------------------------

static double stream_seconds(void) { return (option.windows + SPARE_WINDOWS) * option.window; }

static gpointer run_feed(gpointer data) {
    Feed *f = data;
    gsize at = 0;
    for (guint64 time = 0; time < stream_seconds() * GST_SECOND && !g_atomic_int_get(&stopping); time += f->duration) {
        GstBuffer *buffer = gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, f->data + at, f->chunk, 0, f->chunk, NULL, NULL);
        GST_BUFFER_PTS(buffer) = time;
        GST_BUFFER_DURATION(buffer) = f->duration;
        at = at + 2 * f->chunk <= f->size ? at + f->chunk : 0;
        gint64 due = measured.playing + (gint64)((time + f->duration) / 1000), now = g_get_monotonic_time();
        if (option.pace && due > now)
            g_usleep((gulong)(due - now));
        if (gst_app_src_push_buffer(f->src, buffer) != GST_FLOW_OK)
            return NULL;
    }
    gst_app_src_end_of_stream(f->src);
    return NULL;
}

static gboolean open_feed(Feed *f, const char *text, GstElement *pipeline) {
    GError *error = NULL;
    g_auto(GStrv) sides = g_strsplit(text, "=", 2);
    g_auto(GStrv) parts = g_strsplit(sides[0] && sides[1] ? sides[1] : "", ",", -1);
    if (g_strv_length(parts) != 3 || !(f->file = g_mapped_file_new(parts[0], FALSE, &error))) {
        fprintf(stderr, "bench_elements: --feed %s: %s\n", text, error ? error->message : "must be NAME=FILE,BYTES,NANOSECONDS");
        return FALSE;
    }
    f->name = g_strdup(sides[0]);
    f->path = g_strdup(parts[0]);
    f->data = g_mapped_file_get_contents(f->file);
    f->size = g_mapped_file_get_length(f->file);
    f->chunk = g_ascii_strtoull(parts[1], NULL, 10);
    f->duration = g_ascii_strtoull(parts[2], NULL, 10);
    GstElement *src = gst_bin_get_by_name(GST_BIN(pipeline), f->name);
    if (!src || !GST_IS_APP_SRC(src) || !f->chunk || !f->duration || f->size < f->chunk) {
        fprintf(stderr, "bench_elements: --feed %s: no appsrc of that name, or the file is shorter than a buffer\n", text);
        return FALSE;
    }
    f->src = GST_APP_SRC(src);
    g_object_set(f->src, "format", GST_FORMAT_TIME, "block", TRUE, "max-buffers", (guint64)4, "max-bytes", (guint64)0, "is-live",
                 option.pace, NULL);
    return TRUE;
}

// ---- decisions --------------------------------------------------------------------------------------------------------------------

static void begin(void) {
    measured.cpu_begin = cpu_seconds();
    measured.begin = g_get_monotonic_time();
    if (option.elements)
        seam_element_times_record(TRUE);
    if (probe.start)
        probe.start("libgstseam", feeds ? feed[0].data : NULL, feeds ? feed[0].size : 0);
    measuring = TRUE;
}

static void end(GstElement *sink) {
    if (probe.stop)
        probe.stop();
    if (option.elements)
        seam_element_times_record(FALSE);
    measured.end = g_get_monotonic_time();
    measured.cpu_end = cpu_seconds();
    measured.resident_mb = resident_mb();
    measuring = FALSE;
    gst_element_post_message(sink, gst_message_new_application(GST_OBJECT(sink), gst_structure_new_empty("measured")));
}

static void on_decision(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer user) {
    GstMapInfo map;
    gint64 now = g_get_monotonic_time();
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ))
        return;
    gboolean is_window = g_strstr_len((char *)map.data, (gssize)map.size, "\"type\":\"window\"") != NULL;
    const char *time = g_strstr_len((char *)map.data, (gssize)map.size, "\"time\":");
    double window_time = time ? g_ascii_strtod(time + 7, NULL) : 0;
    gst_buffer_unmap(buffer, &map);
    if (!is_window)
        return;
    int k = measured.decided++;
    if (k == 0)
        measured.first = now;
    if (k == option.from)
        begin();
    if (measuring && option.pace && k > option.from && measured.delays < MOST_WINDOWS)
        measured.delay[measured.delays++] = (double)(now - measured.playing) / 1e3 - (window_time + option.window) * 1e3;
    if (k == option.windows)
        end(sink);
}

// ---- what was measured ------------------------------------------------------------------------------------------------------------

static void print_probe(GString *json, double frames) {
    static SeamProbeSite site[MOST_SITES];
    SeamProbeTotals totals;
    probe.totals(&totals);
    size_t n = probe.sites(site, MOST_SITES);
    g_string_append_printf(json, ", \"probe\": {\"allocations\": %" G_GUINT64_FORMAT ", \"frees\": %" G_GUINT64_FORMAT ", \"copies\": %"
                           G_GUINT64_FORMAT ", \"copied_bytes\": %" G_GUINT64_FORMAT ", \"our_copied_bytes\": %"
                           G_GUINT64_FORMAT ", \"lost\": %" G_GUINT64_FORMAT ", \"video_copies_per_frame\": %.4f, \"sites\": [",
                           totals.allocations, totals.frees, totals.copies, totals.copied_bytes, totals.our_copied_bytes, totals.lost,
                           feeds ? (double)totals.watched_bytes / ((double)feed[0].chunk * frames) : 0);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(json, "%s{\"via\": \"%s\", \"offset\": %" G_GUINT64_FORMAT ", \"calls\": %" G_GUINT64_FORMAT
                               ", \"bytes\": %" G_GUINT64_FORMAT "}",
                               i ? ", " : "", site[i].via, (guint64)site[i].offset, site[i].calls, site[i].bytes);
    g_string_append(json, "]}");
}

static void print_measured(void) {
    g_autoptr(GString) json = g_string_new(NULL);
    double seconds = (double)(measured.end - measured.begin) * 1e-6, frames = (option.windows - option.from) * option.window * option.fps;
    g_string_append_printf(json, "{\"frames\": %.0f, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"resident_mb\": %.2f, \"first_decision_us\": %"
                           G_GINT64_FORMAT ", \"delays_ms\": [", frames, seconds, measured.cpu_end - measured.cpu_begin, measured.resident_mb,
                           measured.first);
    for (int i = 0; i < measured.delays; i++)
        g_string_append_printf(json, "%s%.3f", i ? ", " : "", measured.delay[i]);
    g_string_append(json, "]");
    if (option.elements) {
        g_string_append(json, ", \"elements\": {");
        seam_element_times_print(json);
        g_string_append(json, "}");
    }
    if (probe.totals)
        print_probe(json, frames);
    printf("%s}\n", json->str);
}

// ---- the run ----------------------------------------------------------------------------------------------------------------------

static gboolean run_pipeline(GstElement *pipeline) {
    GstBus *bus = gst_element_get_bus(pipeline);
    measured.playing = g_get_monotonic_time();
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (int i = 0; i < feeds; i++)
        feed[i].thread = g_thread_new(feed[i].name, run_feed, &feed[i]);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, 300 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_APPLICATION);
    GError *error = NULL;
    if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        gst_message_parse_error(message, &error, NULL);
    gboolean done = measured.end != 0;
    if (error || !done)
        fprintf(stderr, "bench_elements: %s (%d of %d windows decided)\n",
                error ? error->message : message ? "the stream was too short" : "no end within 300 s", measured.decided, option.windows + 1);
    g_atomic_int_set(&stopping, 1);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    for (int i = 0; i < feeds; i++)
        g_thread_join(feed[i].thread);
    g_clear_error(&error);
    if (message)
        gst_message_unref(message);
    gst_object_unref(bus);
    return done;
}

static GstElement *make_pipeline(void) {
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(option.pipeline, &error);
    GstElement *results = pipeline && !error ? gst_bin_get_by_name(GST_BIN(pipeline), "results") : NULL;
    if (!results) {
        fprintf(stderr, "bench_elements: %s\n", error ? error->message : "the pipeline has no fakesink of the name results");
        return NULL;
    }
    g_object_set(results, "signal-handoffs", TRUE, NULL);
    g_signal_connect(results, "handoff", G_CALLBACK(on_decision), NULL);
    gst_object_unref(results);
    for (char **f = option.feeds; f && *f; f++)
        if (feeds == MOST_FEEDS || !open_feed(&feed[feeds++], *f, pipeline))
            return NULL;
    return pipeline;
}

int main(int argc, char **argv) {
    const GOptionEntry entries[] = {
        {"pipeline", 0, 0, G_OPTION_ARG_STRING, &option.pipeline, "What runs, as gst-launch-1.0 takes it", "TEXT"},
        {"feed", 0, 0, G_OPTION_ARG_STRING_ARRAY, &option.feeds, "A stream in memory", "NAME=FILE,BYTES,NANOSECONDS"},
        {"window", 0, 0, G_OPTION_ARG_DOUBLE, &option.window, "The model's window", "SECONDS"},
        {"fps", 0, 0, G_OPTION_ARG_DOUBLE, &option.fps, "Frames a second of stream time", "N"},
        {"windows", 0, 0, G_OPTION_ARG_INT, &option.windows, "The decision that ends the measurement", "N"},
        {"from", 0, 0, G_OPTION_ARG_INT, &option.from, "The decision that begins it", "N"},
        {"pace", 0, 0, G_OPTION_ARG_NONE, &option.pace, "Feed in the streams' own time", NULL},
        {"elements", 0, 0, G_OPTION_ARG_NONE, &option.elements, "Processor time an element", NULL},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- measure a pipeline");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !option.pipeline || option.from < 0 || option.windows <= option.from) {
        fprintf(stderr, "bench_elements: %s\n", error ? error->message : "--pipeline is needed, and --windows of more than --from");
        return 2;
    }
    gst_init(NULL, NULL);
    void (*get_probe)(SeamProbe *) = (void (*)(SeamProbe *))dlsym(RTLD_DEFAULT, "seam_probe_get");
    if (get_probe)
        get_probe(&probe);
    if (option.elements)
        seam_element_times_install();
    GstElement *pipeline = make_pipeline();
    if (!pipeline || !run_pipeline(pipeline))
        return 1;
    print_measured();
    return 0;
}
