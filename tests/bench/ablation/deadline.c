// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A deadline under load: `seaminspect deadline=...` at camera rate in a process that gets only a part of the processor for a while. A child runs the
// pipeline and writes down what the encoder passes on; the parent stops and continues it (SIGSTOP, SIGCONT) for a share of each turn, as a scheduler with a
// quota does, which takes the same share on any machine. The deadline is a multiple of what a buffer takes at first. The model's weights are drawn, and its
// exit heads are made sure, so that all levels leave out something: what it finds means nothing, what it costs does.
#include <errno.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/deadline.h"
#include "plugins/gstseamtokens.h"
#include "tests/bench/ablation/ablation.h"
#include "tests/preset_model.h"
#include "tests/remove.h"

enum { FPS = 25, SIZE = 160, MOST_EVENTS = 8192, SETTLING = 75 };
static const double turn = 0.008, slack = 2; // seconds; the deadline over what nine of ten of the first buffers take
static const double step = 0.2;                // seconds that a point of a plot stands for

static const struct {
    double until, share; // seconds from the first buffer after the deadline was set; share of the processor that the process gets
} phase[] = {{6, 1}, {14, 0.4}, {22, 0.2}, {30, 0.08}, {55, 1}};
enum { PHASES = G_N_ELEMENTS(phase) };

typedef enum { ENCODED, DROPPED, WINDOW, VERDICT, DEADLINE } Kind;
typedef struct {
    double time, ms, work; // monotonic seconds; of ENCODED; choices of experts. DEADLINE: ms is the deadline
    int32_t level;
    Kind kind;
} Event;

static double now(void) {
    return (double)g_get_monotonic_time() / G_USEC_PER_SEC;
}

// ---- the child: the pipeline ---------------------------------------------------------------------------------------------------

typedef struct {
    int out;
    GstElement *inspect;
    double came, first[SETTLING];
    int n;
} Child;

static void tell(Child *c, Event e) {
    if (write(c->out, &e, sizeof e) != sizeof e) // less than PIPE_BUF: all or nothing
        _exit(1);
}

static GstPadProbeReturn comes(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
    ((Child *)data)->came = now();
    return GST_PAD_PROBE_OK;
}

// After the first buffers the deadline is set, as a user would write it.
static void settle(Child *c, double ms) {
    char text[32], number[G_ASCII_DTOSTR_BUF_SIZE];
    if (c->n >= SETTLING)
        return;
    c->first[c->n++] = ms;
    if (c->n < SETTLING)
        return;
    ablation_median(SETTLING, c->first); // sorts
    double deadline = slack * c->first[SETTLING * 9 / 10];
    g_snprintf(text, sizeof text, "%sms", g_ascii_formatd(number, sizeof number, "%.2f", deadline));
    g_object_set(c->inspect, "deadline", text, NULL);
    tell(c, (Event){.time = now(), .ms = deadline, .kind = DEADLINE});
}

static GstPadProbeReturn goes(GstPad *pad, GstPadProbeInfo *info, gpointer data) {
    Child *c = data;
    if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
        if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_GAP)
            tell(c, (Event){.time = now(), .kind = DROPPED});
        return GST_PAD_PROBE_OK;
    }
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(GST_PAD_PROBE_INFO_BUFFER(info));
    Event e = {.time = now(), .ms = 1000 * (now() - c->came), .level = meta->level, .kind = ENCODED};
    for (int i = 0; i < SEAM_MAX_EXPERTS; i++)
        e.work += meta->expert_use[i];
    tell(c, e);
    settle(c, e.ms);
    return GST_PAD_PROBE_OK;
}

// A result's level, or 0 where it says none.
static int32_t level_of(const GstStructure *message) {
    const char *json = gst_structure_get_string(message, "json"), *at = json ? strstr(json, "\"level\":") : NULL;
    return at ? atoi(at + strlen("\"level\":")) : 0;
}

static void listen_to(Child *c, GstElement *pipeline) {
    GstBus *bus = gst_element_get_bus(pipeline);
    for (bool going = true; going;) {
        GstMessage *m = gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
        g_autoptr(GError) error = NULL;
        going = GST_MESSAGE_TYPE(m) == GST_MESSAGE_ELEMENT;
        if (GST_MESSAGE_TYPE(m) == GST_MESSAGE_ERROR) {
            gst_message_parse_error(m, &error, NULL);
            g_printerr("deadline: %s\n", error->message);
            _exit(1);
        }
        if (gst_message_has_name(m, "seam-window") || gst_message_has_name(m, "seam-verdict"))
            tell(c, (Event){.time = now(), .level = level_of(gst_message_get_structure(m)), .kind = gst_message_has_name(m, "seam-window") ? WINDOW : VERDICT});
        gst_message_unref(m);
    }
    gst_object_unref(bus);
}

static void probe(GstElement *encoder, const char *name, GstPadProbeType type, GstPadProbeCallback callback, Child *c) {
    GstPad *pad = gst_element_get_static_pad(encoder, name);
    gst_pad_add_probe(pad, type, callback, c, NULL);
    gst_object_unref(pad);
}

static void run_child(const char *bundle, int out) {
    Child c = {.out = out};
    g_autoptr(GError) error = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    gst_init(NULL, NULL);
    int frames = SETTLING + (int)(phase[PHASES - 1].until * FPS);
    g_autofree char *line = g_strdup_printf("videotestsrc is-live=true pattern=ball num-buffers=%d ! video/x-raw,format=GRAY8,width=320,height=240,"
                                            "framerate=%d/1 ! seaminspect name=i model=%s weld=file ! fakesink sync=false", frames, FPS, bundle);
    GstElement *pipeline = gst_parse_launch(line, &error);
    if (error) {
        g_printerr("deadline: %s; run this by ./run bench ablation, which says where the plugin is\n", error->message);
        _exit(1);
    }
    c.inspect = gst_bin_get_by_name(GST_BIN(pipeline), "i");
    GstElement *encoder = gst_bin_get_by_name(GST_BIN(pipeline), "encoder");
    probe(encoder, "sink", GST_PAD_PROBE_TYPE_BUFFER, comes, &c);
    probe(encoder, "src", GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, goes, &c);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    listen_to(&c, pipeline);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    _exit(0);
}

// ---- the parent: the processor's share -------------------------------------------------------------------------------------------

typedef struct {
    int n;
    Event event[MOST_EVENTS];
    double begin; // when the deadline was set; NAN before
} Log;

static double share_at(double seconds) {
    for (int p = 0; p < PHASES; p++)
        if (seconds < phase[p].until)
            return phase[p].share;
    return 1;
}

// Takes in what the child tells for so long; false when it has ended.
static bool take(Log *log, int in, double seconds) {
    double end = now() + seconds;
    for (double left = seconds; left > 0; left = end - now()) {
        struct pollfd p = {in, POLLIN, 0};
        struct timespec t = {(time_t)left, (long)((left - floor(left)) * 1e9)};
        if (ppoll(&p, 1, &t, NULL) <= 0)
            continue;
        if (log->n == MOST_EVENTS || read(in, &log->event[log->n], sizeof(Event)) != sizeof(Event))
            return false;
        if (log->event[log->n].kind == DEADLINE)
            log->begin = log->event[log->n].time;
        log->n++;
    }
    return true;
}

static bool watch(Log *log, pid_t child, int in) {
    int status = 0;
    for (bool going = true; going;) {
        double share = isnan(log->begin) ? 1 : share_at(now() - log->begin);
        going = take(log, in, share * turn);
        if (share == 1 || !going)
            continue;
        kill(child, SIGSTOP);
        take(log, in, (1 - share) * turn);
        kill(child, SIGCONT);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0 && !isnan(log->begin);
}

// ---- the report --------------------------------------------------------------------------------------------------------------------

typedef struct {
    int buffers, dropped, late, top, end, window; // end: the last buffer's level; window: the highest that a window said
    double back; // seconds from its start to its first buffer with all of the work; 0: none
    double ms[MOST_EVENTS];
} Stage;

typedef struct {
    double time[MOST_EVENTS], value[MOST_EVENTS];
    int n;
} Points;

// The highest value of each step.
static void add_point(Points *p, double time, double value) {
    double at = step * floor(time / step);
    if (p->n > 0 && p->time[p->n - 1] == at)
        value = fmax(value, p->value[--p->n]);
    p->time[p->n] = at;
    p->value[p->n++] = value;
}

static double work_at[SEAM_DEADLINE_LEVELS][MOST_EVENTS], ms_at[SEAM_DEADLINE_LEVELS][MOST_EVENTS];
static int seen[SEAM_DEADLINE_LEVELS];

// Shares out the events to phases and levels, and to what is drawn.
static int gather(const Log *log, double deadline, Stage *stage, Points *level, Points *window, Points *ms, int *jumps) {
    int verdict = 0, before = 0;
    for (int i = 0, p = 0; i < log->n; i++) {
        const Event *e = &log->event[i];
        double t = e->time - log->begin;
        while (p < PHASES - 1 && t >= phase[p].until)
            p++;
        Stage *s = &stage[p];
        if (t < 0)
            continue;
        if (e->kind == VERDICT)
            verdict = e->level;
        s->dropped += e->kind == DROPPED;
        if (e->kind == WINDOW) {
            s->window = MAX(s->window, e->level);
            add_point(window, t, e->level);
        }
        if (e->kind != ENCODED)
            continue;
        s->late += e->ms > deadline;
        s->top = MAX(s->top, e->level);
        s->end = e->level;
        if (e->level == 0 && s->back == 0)
            s->back = t - (p > 0 ? phase[p - 1].until : 0);
        s->ms[s->buffers++] = e->ms;
        *jumps += ABS(e->level - before) > 1;
        before = e->level;
        work_at[e->level][seen[e->level]] = e->work;
        ms_at[e->level][seen[e->level]++] = e->ms;
        add_point(level, t, e->level);
        add_point(ms, t, e->ms);
    }
    return verdict;
}

static void put_levels(Ablation *a) {
    static const char *const what[SEAM_DEADLINE_LEVELS] = {"nothing", "a quarter of the tokens", "half of the tokens", "experts over 0.8 of a token's weight",
                                                           "experts over 0.5 of it", "layers behind an exit surer than 0.9", "behind one surer than 0.6",
                                                           "every second buffer", "three of four buffers"};
    double whole = 0;
    ablation_table(a, "What a level leaves out beside the levels before it, and what is left to do: choices of experts a buffer", "level", "leaves out",
                   "buffers encoded", "share of the work", NULL);
    for (int l = 0; l < SEAM_DEADLINE_LEVELS; l++)
        if (seen[l] > 0) {
            double work = ablation_median(seen[l], work_at[l]);
            whole = l == 0 ? work : whole;
            ablation_row(a, "dsdd", (double)l, what[l], (double)seen[l], whole > 0 ? work / whole : NAN);
        }
}

static int report(const Log *log) {
    static Stage stage[PHASES];
    static Points level, window, ms;
    int jumps = 0;
    double deadline = 0;
    Ablation *a = ablation_new("Late? Degrade in order: compress more tokens, exit earlier, then drop, and say so in the results.");
    for (int i = 0; i < log->n; i++)
        deadline = log->event[i].kind == DEADLINE ? log->event[i].ms : deadline;
    int verdict = gather(log, deadline, stage, &level, &window, &ms, &jumps), top = 0;
    double bound_x[] = {0, phase[PHASES - 1].until}, bound_y[] = {deadline, deadline};
    for (int p = 0; p < PHASES; p++)
        top = MAX(top, stage[p].top);
    bool recovered = stage[PHASES - 1].back > 0;
    ablation_key(a, "deadline.highest_level", top);
    ablation_key(a, "deadline.verdict_level", verdict);
    ablation_key(a, "deadline.recovered", recovered);
    ablation_key(a, "deadline.recovery_s", recovered ? stage[PHASES - 1].back : NAN);
    ablation_key(a, "deadline.jumps", jumps);
    ablation_table(a, "seaminspect at 25 frames a second, with a share of the processor", "share", "seconds", "buffers encoded", "dropped",
                   "ms a buffer, median", "share late", "highest level", "level at the end", "highest level of a window", NULL);
    for (int p = 0; p < PHASES; p++) {
        Stage *s = &stage[p];
        double median = s->buffers > 0 ? ablation_median(s->buffers, s->ms) : NAN;
        ablation_row(a, "ddddddddd", phase[p].share, phase[p].until - (p ? phase[p - 1].until : 0), (double)s->buffers, (double)s->dropped, median,
                     s->buffers > 0 ? (double)s->late / s->buffers : NAN, (double)s->top, (double)s->end, (double)s->window);
    }
    put_levels(a);
    ablation_plot(a, "Highest level of each fifth of a second", "seconds", "level", false);
    ablation_series(a, "encoder", level.n, level.time, level.value);
    ablation_series(a, "results' windows", window.n, window.time, window.value);
    ablation_plot(a, "The longest that a buffer takes in the encoder", "seconds", "ms", false);
    ablation_series(a, "a buffer", ms.n, ms.time, ms.value);
    ablation_series(a, "deadline", 2, bound_x, bound_y);
    ablation_finding(a, "A buffer may take %.1f ms, %g times what nine of ten take at first. Level at most %d before the load.", deadline, slack, stage[0].top);
    for (int p = 1; p < PHASES - 1; p++)
        ablation_finding(a, "With %g of the processor (second %g to %g): up to level %d, at the end %d.", phase[p].share, phase[p - 1].until, phase[p].until,
                         stage[p].top, stage[p].end);
    ablation_finding(a, "It %s by more than one level at a time.", jumps ? "also moves" : "never moves");
    if (recovered)
        ablation_finding(a, "With the whole processor again it is back at all of the work after %.1f s.", stage[PHASES - 1].back);
    else
        ablation_finding(a, "With the whole processor again it was at level %d after %g s, not yet at all of the work.", stage[PHASES - 1].end,
                         phase[PHASES - 1].until - phase[PHASES - 2].until);
    ablation_finding(a, "The windows' results say up to level %d, the weld's verdict %d.", MAX(stage[2].window, stage[3].window), verdict);
    return ablation_print(a);
}

// ---- the model ---------------------------------------------------------------------------------------------------------------------

// The preset small with a camera alone and exit heads that are sure.
static char *write_bundle(const char *folder) {
    g_autofree SeamConfig *config = g_new0(SeamConfig, 1);
    g_autoptr(GError) error = NULL;
    preset_config(config, "small", 0, SIZE);
    config->n_modalities = 1;
    config->exit_every = 2;
    SeamModel *model = seam_model_new(config, false, 1, &error);
    char *path = g_build_filename(folder, "deadline.seam", NULL);
    for (int32_t l = 0; model && l < config->layers; l++)
        if (seam_exit_at(config, l)) {
            memset(model->exit[l].head.weight->data, 0, sizeof(float) * model->exit[l].head.weight->size);
            model->exit[l].head.bias->data[0] = 30;
        }
    if (!model || !seam_bundle_write(path, config, model->params, false, NULL, &error)) {
        g_printerr("deadline: %s\n", error->message);
        exit(1);
    }
    seam_model_free(model);
    return path;
}

int main(void) {
    static Log log = {.begin = NAN};
    int ends[2];
    g_autofree char *folder = g_dir_make_tmp("seam-deadline-XXXXXX", NULL), *bundle = folder ? write_bundle(folder) : NULL;
    if (!folder || pipe(ends) != 0)
        return 1;
    g_printerr("deadline: %g s of video, for a while with a share of the processor\n", SETTLING / (double)FPS + phase[PHASES - 1].until);
    pid_t child = fork(); // before any thread is started
    if (child == 0) {
        close(ends[0]);
        run_child(bundle, ends[1]);
    }
    close(ends[1]);
    bool ok = child > 0 && watch(&log, child, ends[0]);
    remove_tree(folder);
    if (!ok)
        g_printerr("deadline: the pipeline did not run to its end\n");
    return ok ? report(&log) : 1;
}
