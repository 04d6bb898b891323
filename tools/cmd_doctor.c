// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `seam doctor`: what is missing on this machine, what is wrong with a model, what is wrong with a pipeline, each with its remedy. tools/doctor/
// looks; this file asks and prints. It exits 1 when there is a problem.
#include <gst/gst.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "kernels/pool.h"
#include "tools/commands.h"
#include "tools/data_options.h"
#include "tools/doctor/doctor.h"

// ---- findings ------------------------------------------------------------------------------------------------------------------

static void clear_finding(gpointer data) {
    DoctorFinding *f = data;
    g_free(f->text);
    g_free(f->remedy);
}

Doctor *doctor_new(void) {
    Doctor *d = g_new0(Doctor, 1);
    d->finding = g_array_new(FALSE, FALSE, sizeof(DoctorFinding));
    g_array_set_clear_func(d->finding, clear_finding);
    return d;
}

void doctor_free(Doctor *d) {
    g_array_unref(d->finding);
    g_free(d);
}

void doctor_add(Doctor *d, DoctorLevel level, const char *area, char *text, char *remedy) {
    DoctorFinding f = {level, area, g_strdelimit(text, "\n", ' '), remedy ? remedy : g_strdup("")};
    g_array_append_val(d->finding, f);
}

int32_t doctor_problems(const Doctor *d) {
    int32_t n = 0;
    for (guint i = 0; i < d->finding->len; i++)
        n += g_array_index(d->finding, DoctorFinding, i).level == DOCTOR_PROBLEM;
    return n;
}

// ---- printing ------------------------------------------------------------------------------------------------------------------

static const char *const level_name[] = {"good", "note", "problem"};

static void print_findings(const Doctor *d) {
    static const char *const mark[] = {"ok  ", "note", "FAIL"};
    static const char *const colour[] = {"\033[32m", "\033[33m", "\033[31m"};
    bool terminal = isatty(STDOUT_FILENO);
    for (guint i = 0; i < d->finding->len; i++) {
        const DoctorFinding *f = &g_array_index(d->finding, DoctorFinding, i);
        printf("%s%s%s  %-9s %s\n", terminal ? colour[f->level] : "", mark[f->level], terminal ? "\033[0m" : "", f->area, f->text);
        if (*f->remedy)
            printf("%16s-> %s\n", "", f->remedy);
    }
}

// Operations of the same implementation share a line.
static void print_kernels(void) {
    size_t n;
    const SeamKernelChoice *choice = seam_kernels_cpu_choices(&n);
    for (size_t first = 0; first < n; first++) {
        bool printed = false;
        for (size_t i = 0; i < first; i++)
            printed = printed || g_str_equal(choice[i].implementation, choice[first].implementation);
        if (printed)
            continue;
        printf("ok    kernels   %s:", choice[first].implementation);
        for (size_t i = first; i < n; i++)
            if (g_str_equal(choice[i].implementation, choice[first].implementation))
                printf(" %s", choice[i].operation);
        putchar('\n');
    }
}

static JsonObject *findings_json(const Doctor *d) {
    JsonObject *o = json_object_new(), *kernels = json_object_new();
    JsonArray *array = json_array_new();
    size_t n;
    const SeamKernelChoice *choice = seam_kernels_cpu_choices(&n);
    for (guint i = 0; i < d->finding->len; i++) {
        const DoctorFinding *f = &g_array_index(d->finding, DoctorFinding, i);
        JsonObject *one = json_object_new();
        json_object_set_string_member(one, "level", level_name[f->level]);
        json_object_set_string_member(one, "area", f->area);
        json_object_set_string_member(one, "text", f->text);
        if (*f->remedy)
            json_object_set_string_member(one, "remedy", f->remedy);
        json_array_add_object_element(array, one);
    }
    for (size_t i = 0; i < n; i++)
        json_object_set_string_member(kernels, choice[i].operation, choice[i].implementation);
    json_object_set_boolean_member(o, "ok", doctor_problems(d) == 0);
    json_object_set_int_member(o, "problems", doctor_problems(d));
    json_object_set_string_member(o, "version", SEAM_VERSION);
    json_object_set_int_member(o, "threads", seam_pool_lanes());
    json_object_set_object_member(o, "kernels", kernels);
    json_object_set_array_member(o, "findings", array);
    return o;
}

static void print_end(const Doctor *d) {
    int32_t problems = doctor_problems(d);
    if (problems > 0)
        printf("\n%d problem%s.\n", problems, problems == 1 ? "" : "s");
    else
        printf("\nNothing is wrong.\n");
}

int seam_cmd_doctor(int argc, char **argv) {
    g_autofree char *pipeline = NULL;
    gboolean json = FALSE;
    const GOptionEntry entries[] = {{"pipeline", 'p', 0, G_OPTION_ARG_STRING, &pipeline,
                                     "A pipeline as for gst-launch-1.0: which two pads disagree, and what to add. Its sinks get nothing", "TEXT"},
                                    {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print one JSON object", NULL},
                                    {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("[MODEL.seam] - find what is missing on this machine, or wrong in a model or pipeline");
    g_option_context_add_main_entries(context, entries, NULL);
    GError *error = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 2)
        return seam_tool_usage("doctor", error, "give one model at most");
    gst_init(NULL, NULL);
    Doctor *d = doctor_new();
    doctor_check_plugin(d);
    if (!pipeline) {
        doctor_check_elements(d);
        doctor_check_machine(d);
    }
    if (argc == 2)
        doctor_check_model(d, argv[1]);
    if (pipeline)
        doctor_check_pipeline(d, pipeline);
    if (json) {
        seam_tool_print_json(findings_json(d));
    } else {
        print_findings(d);
        if (!pipeline)
            print_kernels();
        print_end(d);
    }
    int status = doctor_problems(d) > 0 ? 1 : 0;
    doctor_free(d);
    return status;
}
