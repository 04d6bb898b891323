// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam synth`: reads the command line, calls the synthetic weld generator, shows its progress on
// standard error. Draws and writes nothing itself.

#include "tools/commands.h"
#include "tools/synth/synth.h"

#include <gst/gst.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *out, *classes, *size, *duration, *only;
    int count, fps, rate, jobs;
    gint64 seed;
    double good_share;
} Arguments;

static bool parse_error(const char *field, const char *text, const char *form)
{
    fprintf(stderr, "seam synth: --%s is \"%s\", must be %s\n", field, text, form);
    return false;
}

typedef const char *(*NameOf)(unsigned bit);

static const char *class_of_bit(unsigned bit)
{
    return bit < 1u << SEAM_SYNTH_N_CLASSES
               ? seam_synth_class_name((SeamSynthClass)g_bit_nth_lsf(bit, -1))
               : NULL;
}

// A comma-separated list of names to their bits.
static bool parse_names(const char *field, const char *text, NameOf name_of, unsigned *bits)
{
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    *bits = 0;
    for (unsigned i = 0; names[i] != NULL; i++) {
        unsigned bit = 1;
        while (name_of(bit) != NULL && strcmp(name_of(bit), names[i]) != 0)
            bit <<= 1;
        if (name_of(bit) == NULL)
            return parse_error(field, names[i], "one of the names that --help lists");
        *bits |= bit;
    }
    return true;
}

static bool parse_size(const char *text, SeamSynthOptions *o)
{
    char rest;
    if (sscanf(text, "%dx%d%c", &o->width, &o->height, &rest) == 2)
        return true;
    return parse_error("size", text, "WIDTHxHEIGHT, as 640x480");
}

// "6..10", or one number for both.
static bool parse_duration(const char *text, SeamSynthOptions *o)
{
    g_auto(GStrv) parts = g_strsplit(text, "..", 2);
    double *ends[2] = {&o->duration_min, &o->duration_max};
    bool valid = parts[0] != NULL;
    for (unsigned i = 0; valid && i < 2; i++) {
        const char *part = parts[MIN(i, g_strv_length(parts) - 1)];
        char *end;
        *ends[i] = g_ascii_strtod(part, &end);
        valid = end != part && *end == '\0';
    }
    return valid || parse_error("duration", text, "LEAST..MOST in seconds, as 6..10");
}

static bool to_options(const Arguments *a, SeamSynthOptions *o)
{
    o->out = a->out;
    o->count = (unsigned)MAX(a->count, 0);
    o->seed = (uint64_t)a->seed;
    o->good_share = a->good_share;
    o->fps = a->fps;
    o->rate = a->rate;
    o->jobs = (unsigned)MAX(a->jobs, 0);
    return (a->size == NULL || parse_size(a->size, o)) &&
           (a->duration == NULL || parse_duration(a->duration, o)) &&
           (a->classes == NULL || parse_names("classes", a->classes, class_of_bit, &o->classes)) &&
           (a->only == NULL || parse_names("only", a->only, seam_synth_stream_name, &o->streams));
}

// A bar on a terminal, else a line every tenth.
static void show_progress(unsigned done, unsigned total, void *data)
{
    unsigned *tenths = data, now = (unsigned)(10ull * done / total);
    if (isatty(STDERR_FILENO)) {
        char bar[31];
        unsigned filled = (unsigned)(30ull * done / total);
        for (unsigned i = 0; i < 30; i++)
            bar[i] = i < filled ? '#' : '.';
        bar[30] = '\0';
        fprintf(stderr, "\r[%s] %u of %u%s", bar, done, total, done == total ? "\n" : "");
    } else if (now > *tenths) {
        fprintf(stderr, "%u of %u runs\n", done, total);
    }
    *tenths = now;
}

static bool parse(int *argc, char ***argv, Arguments *a, GError **error)
{
    const GOptionEntry entries[] = {
        {"out", 'o', 0, G_OPTION_ARG_FILENAME, &a->out, "Folder to make", "DIR"},
        {"count", 'n', 0, G_OPTION_ARG_INT, &a->count, "Number of runs (20)", "N"},
        {"seed", 's', 0, G_OPTION_ARG_INT64, &a->seed, "Seed (1)", "S"},
        {"classes", 0, 0, G_OPTION_ARG_STRING, &a->classes, "Classes (all)", "LIST"},
        {"good-share", 0, 0, G_OPTION_ARG_DOUBLE, &a->good_share, "Share of good runs (0.4)", "X"},
        {"size", 0, 0, G_OPTION_ARG_STRING, &a->size, "Video frame (640x480)", "WxH"},
        {"fps", 0, 0, G_OPTION_ARG_INT, &a->fps, "Video frames a second (25)", "N"},
        {"duration", 0, 0, G_OPTION_ARG_STRING, &a->duration, "Seconds of weld (6..10)", "A..B"},
        {"rate", 0, 0, G_OPTION_ARG_INT, &a->rate, "Sound samples a second (16000)", "HZ"},
        {"only", 0, 0, G_OPTION_ARG_STRING, &a->only, "Streams (all)", "LIST"},
        {"jobs", 'j', 0, G_OPTION_ARG_INT, &a->jobs, "Runs made at a time (2)", "N"},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new("- make synthetic welds");
    g_option_context_set_description(
        context, "Classes: good, porosity, burn_through, lack_of_fusion, excessive_convexity, overlap,\n"
                 "crater_cracks, gas_loss, spatter. Streams: sensors, sound, video, photo, text.\n"
                 "The same options and seed make the same welds.\n");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return false;
    if (*argc == 1)
        return true;
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "unexpected argument \"%s\"", (*argv)[1]);
    return false;
}

static void clear(Arguments *a)
{
    g_free(a->out);
    g_free(a->classes);
    g_free(a->size);
    g_free(a->duration);
    g_free(a->only);
}

static int fail(int status, GError *error)
{
    fprintf(stderr, "seam synth: %s\n", error->message);
    g_error_free(error);
    return status;
}

int seam_cmd_synth(int argc, char **argv)
{
    SeamSynthOptions o;
    seam_synth_options_init(&o);
    Arguments a = {.count = (int)o.count, .fps = o.fps, .rate = o.rate, .jobs = (int)o.jobs,
                   .seed = (gint64)o.seed, .good_share = o.good_share};
    GError *error = NULL;
    unsigned tenths = 0;
    int status = 0;
    if (!parse(&argc, &argv, &a, &error)) {
        status = fail(2, error);
    } else if (!to_options(&a, &o)) {
        status = 2;
    } else if (!seam_synth_options_check(&o, &error)) {
        status = fail(2, error);
    } else {
        gst_init(NULL, NULL);
        if (!seam_synth_write(&o, show_progress, &tenths, &error))
            status = fail(1, error);
    }
    clear(&a);
    return status;
}
