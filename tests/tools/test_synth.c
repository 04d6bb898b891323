// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The synthetic weld generator: the same seed gives the same weld whatever the number of runs and
// jobs, the truth names the defects, the defects show where they should, and wrong options are
// refused by name. Writes only under a folder of its own in the temporary folder.

#include "core/error.h"
#include "tools/commands.h"
#include "tools/synth/weld.h"
#include "tests/remove.h"

#include <glib/gstdio.h>
#include <gst/gst.h>
#include <stdlib.h>
#include <string.h>

static char *scratch;

static SeamSynthOptions small_options(const char *out)
{
    SeamSynthOptions o;
    seam_synth_options_init(&o);
    o.out = out;
    o.count = 3;
    o.width = 96;
    o.height = 64;
    o.fps = 10;
    o.duration_min = o.duration_max = 3;
    o.jobs = 1;
    return o;
}

static SeamWeld make_weld(uint64_t seed, unsigned index)
{
    SeamSynthOptions o = small_options("unused");
    SeamWeld w;
    o.seed = seed;
    seam_weld_plan(&o, index, &w);
    g_assert_true(seam_weld_simulate(&w));
    return w;
}

// The first weld of the seed whose only defect is of this kind, plain, and shows in the stream.
static SeamWeld find_weld(SeamSynthClass kind, unsigned stream)
{
    SeamSynthOptions o = small_options("unused");
    for (unsigned index = 0; index < 2000; index++) {
        SeamWeld w;
        seam_weld_plan(&o, index, &w);
        bool good = kind == SEAM_SYNTH_GOOD && w.label == kind;
        if (good || (w.n_defects == 1 && w.label == kind && (w.defects[0].shows & stream) &&
                     w.defects[0].strength > 0.6f && w.defects[0].length > 0.6)) {
            g_assert_true(seam_weld_simulate(&w));
            return w;
        }
    }
    g_error("no such weld");
}

static void assert_same_sound(const SeamWeld *a, const SeamWeld *b)
{
    size_t n, m;
    g_autofree int16_t *x = seam_weld_sound(a, 16000, &n), *y = seam_weld_sound(b, 16000, &m);
    g_assert_cmpmem(x, n * sizeof *x, y, m * sizeof *y);
}

static void assert_same_frames(const SeamWeld *a, const SeamWeld *b)
{
    uint8_t p[96 * 64], q[96 * 64];
    SeamScene *s = seam_scene_new(a, 96, 64, 10), *t = seam_scene_new(b, 96, 64, 10);
    for (unsigned i = 0; i < seam_scene_frames(s); i++) {
        seam_scene_next(s, p);
        seam_scene_next(t, q);
        g_assert_cmpmem(p, sizeof p, q, sizeof q);
    }
    seam_scene_free(s);
    seam_scene_free(t);
}

static void test_repeats(void)
{
    SeamWeld a = make_weld(7, 2), b = make_weld(7, 2), other = make_weld(8, 2);
    GString *x = seam_weld_sensors(&a), *y = seam_weld_sensors(&b), *z = seam_weld_sensors(&other);
    g_assert_cmpstr(x->str, ==, y->str);
    g_assert_cmpstr(x->str, !=, z->str);
    assert_same_sound(&a, &b);
    assert_same_frames(&a, &b);
    g_string_free(x, TRUE);
    g_string_free(y, TRUE);
    g_string_free(z, TRUE);
    seam_weld_clear(&a);
    seam_weld_clear(&b);
    seam_weld_clear(&other);
}

// Every file below `a` is in `b` with the same bytes; returns how many.
static unsigned compare_trees(const char *a, const char *b)
{
    unsigned n = 0;
    GDir *dir = g_dir_open(a, 0, NULL);
    const char *name;
    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *x = g_build_filename(a, name, NULL), *y = g_build_filename(b, name, NULL);
        if (g_file_test(x, G_FILE_TEST_IS_DIR)) {
            n += compare_trees(x, y);
            continue;
        }
        g_autofree char *p = NULL, *q = NULL;
        gsize np, nq;
        g_assert_true(g_file_get_contents(x, &p, &np, NULL));
        g_assert_true(g_file_get_contents(y, &q, &nq, NULL));
        g_assert_cmpmem(p, np, q, nq);
        n++;
    }
    g_dir_close(dir);
    return n;
}

static void test_jobs_and_count_change_nothing(void)
{
    g_autofree char *one = g_build_filename(scratch, "one", NULL);
    g_autofree char *two = g_build_filename(scratch, "two", NULL);
    SeamSynthOptions o = small_options(one);
    GError *error = NULL;
    g_assert_true(seam_synth_write(&o, NULL, NULL, &error));
    g_assert_no_error(error);
    o.out = two;
    o.count = 5;
    o.jobs = 2;
    g_assert_true(seam_synth_write(&o, NULL, NULL, &error));
    g_assert_no_error(error);
    for (unsigned i = 1; i <= 3; i++) {
        g_autofree char *a = g_strdup_printf("%s/synth-%04u", one, i);
        g_autofree char *b = g_strdup_printf("%s/synth-%04u", two, i);
        // csv, truth, flac, avi and five photographs; the subtitles only now and then.
        g_assert_cmpuint(compare_trees(a, b), >=, 9);
    }
}

static void test_keeps_a_finished_folder(void)
{
    g_autofree char *out = g_build_filename(scratch, "kept", NULL);
    SeamSynthOptions o = small_options(out);
    GError *error = NULL;
    o.streams = SEAM_SYNTH_SENSORS;
    g_assert_true(seam_synth_write(&o, NULL, NULL, &error));
    g_assert_false(seam_synth_write(&o, NULL, NULL, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_assert_nonnull(strstr(error->message, "manifest.csv"));
    g_error_free(error);
}

static void check_box(char **fields)
{
    double box[4];
    for (int k = 0; k < 4; k++)
        box[k] = g_ascii_strtod(fields[3 + k], NULL);
    for (int k = 0; k < 2; k++) {
        g_assert_cmpfloat(box[k + 2], >, 0);
        g_assert_cmpfloat(box[k] - 0.5 * box[k + 2], >=, -0.001);
        g_assert_cmpfloat(box[k] + 0.5 * box[k + 2], <=, 1.001);
    }
}

// Sums the durations of the first defect's class and checks every row.
static double read_truth(const SeamWeld *w, const char *path, unsigned *boxes)
{
    g_autofree char *text = NULL;
    double seconds = 0;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpstr(lines[0], ==, "time_s,duration_s,class,x,y,w,h");
    for (unsigned i = 1; lines[i] != NULL && *lines[i] != '\0'; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], ",", -1);
        g_assert_cmpuint(g_strv_length(fields), ==, 7);
        double time = g_ascii_strtod(fields[0], NULL);
        g_assert_cmpfloat(time, >=, w->on);
        g_assert_cmpfloat(time, <=, w->end);
        if (strcmp(fields[2], seam_synth_class_name(w->label)) == 0)
            seconds += g_ascii_strtod(fields[1], NULL);
        if (*fields[3] != '\0') {
            check_box(fields);
            ++*boxes;
        }
    }
    return seconds;
}

static void test_truth(void)
{
    g_autofree char *out = g_build_filename(scratch, "truth", NULL);
    SeamSynthOptions o = small_options(out);
    o.count = 24;
    o.width = o.height = 64;
    o.fps = 1;
    o.streams = SEAM_SYNTH_VIDEO;
    unsigned boxes = 0;
    g_assert_true(seam_synth_write(&o, NULL, NULL, NULL));
    for (unsigned i = 0; i < o.count; i++) {
        SeamWeld w;
        seam_weld_plan(&o, i, &w);
        g_autofree char *path = g_strdup_printf("%s/%s/%s.truth.csv", out, w.name, w.name);
        double seconds = read_truth(&w, path, &boxes);
        if (w.label == SEAM_SYNTH_GOOD)
            g_assert_cmpfloat(seconds, ==, 0);
        else
            g_assert_cmpfloat(seconds, >, 0.99 * w.defects[0].length);
    }
    g_assert_cmpuint(boxes, >, 20);
}

// The mean of a CSV column over the record's rows in an interval; rows are read with their clock.
static double column_mean(const SeamWeld *w, unsigned column, double from, double to)
{
    GString *csv = seam_weld_sensors(w);
    g_auto(GStrv) lines = g_strsplit(csv->str, "\n", -1);
    double sum = 0, zero = -1;
    unsigned n = 0;
    for (unsigned i = 1; lines[i] != NULL && *lines[i] != '\0'; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], ",", -1);
        unsigned hours, minutes;
        double seconds;
        g_assert_cmpint(sscanf(fields[1], "%u:%u:%lf", &hours, &minutes, &seconds), ==, 3);
        double time = hours * 3600.0 + minutes * 60.0 + seconds;
        zero = zero < 0 ? time : zero;
        if (time - zero >= from && time - zero < to) {
            sum += g_ascii_strtod(fields[column], NULL);
            n++;
        }
    }
    g_string_free(csv, TRUE);
    g_assert_cmpuint(n, >, 1);
    return sum / n;
}

static void test_gas_loss_lowers_the_gas(void)
{
    enum { GAS = 4 };
    SeamWeld lost = find_weld(SEAM_SYNTH_GAS_LOSS, SEAM_SYNTH_SENSORS), kept = lost;
    const SeamWeldDefect *d = &lost.defects[0];
    kept.n_defects = 0;
    g_assert_true(seam_weld_simulate(&kept));
    double from = d->start + 0.3, to = d->start + d->length;
    g_assert_cmpfloat(column_mean(&lost, GAS, from, to), <, 0.75 * column_mean(&kept, GAS, from, to));
    g_assert_cmpfloat(column_mean(&lost, GAS, 0, lost.on), <, 1);
    seam_weld_clear(&lost);
    seam_weld_clear(&kept);
}

static void test_current_marks_the_arc(void)
{
    enum { CURRENT = 6 };
    SeamWeld w = find_weld(SEAM_SYNTH_GOOD, 0);
    g_assert_cmpfloat(column_mean(&w, CURRENT, w.on + 0.2, w.off - 0.2), >, 50);
    g_assert_cmpfloat(column_mean(&w, CURRENT, 0, w.on - 0.1), <, 50);
    g_assert_cmpfloat(column_mean(&w, CURRENT, w.off + 0.2, w.end), <, 50);
    seam_weld_clear(&w);
}

static void test_arc_is_bright_and_loud(void)
{
    enum { WIDTH = 96, HEIGHT = 64, FPS = 10, RATE = 16000 };
    SeamWeld w = find_weld(SEAM_SYNTH_GOOD, 0);
    uint8_t pixels[WIDTH * HEIGHT];
    double light[2] = {0, 0}, energy[2] = {0, 0}, frames[2] = {0, 0}, samples[2] = {0, 0};
    SeamScene *s = seam_scene_new(&w, WIDTH, HEIGHT, FPS);
    for (unsigned i = 0; i < seam_scene_frames(s); i++) {
        double time = (double)i / FPS - w.video_offset;
        bool arc = time > w.on && time < w.off;
        seam_scene_next(s, pixels);
        for (unsigned k = 0; k < WIDTH * HEIGHT; k++)
            light[arc] += pixels[k];
        frames[arc]++;
    }
    seam_scene_free(s);
    size_t n;
    g_autofree int16_t *sound = seam_weld_sound(&w, RATE, &n);
    for (size_t i = 0; i < n; i++) {
        double time = (double)i / RATE - w.sound_offset;
        bool arc = time > w.on && time < w.off;
        energy[arc] += (double)sound[i] * sound[i];
        samples[arc]++;
    }
    g_assert_cmpfloat(light[1] / frames[1], >, 1.3 * light[0] / frames[0]);
    g_assert_cmpfloat(energy[1] / samples[1], >, 3 * energy[0] / samples[0]);
    seam_weld_clear(&w);
}

// The photograph of the same weld without its defect differs, and only because of the defect.
static void test_photo_shows_the_defect(void)
{
    enum { WIDTH = 160, HEIGHT = 90 };
    g_autofree uint8_t *with = g_malloc(3 * WIDTH * HEIGHT), *without = g_malloc(3 * WIDTH * HEIGHT);
    for (int kind = 1; kind < SEAM_SYNTH_N_CLASSES; kind++) {
        SeamWeld w = find_weld((SeamSynthClass)kind, SEAM_SYNTH_PHOTO);
        SeamBead *bead = seam_bead_new(&w);
        seam_bead_photograph(bead, 0, WIDTH, HEIGHT, with);
        seam_bead_free(bead);
        w.n_defects = 0;
        bead = seam_bead_new(&w);
        seam_bead_photograph(bead, 0, WIDTH, HEIGHT, without);
        seam_bead_free(bead);
        unsigned changed = 0;
        for (unsigned i = 0; i < 3 * WIDTH * HEIGHT; i++)
            changed += abs(with[i] - without[i]) > 8;
        g_assert_cmpuint(changed, >, 0);
        g_assert_cmpuint(changed, <, WIDTH * HEIGHT / 4);
        seam_weld_clear(&w);
    }
}

// Within a group the settings are one, the labels are not: the settings cannot tell the label.
static void test_groups_mix_labels(void)
{
    SeamSynthOptions o = small_options("unused");
    unsigned good = 0, bad = 0, group = 0, groups = 0;
    float current = 0;
    for (unsigned i = 0; i < 200; i++) {
        SeamWeld w;
        seam_weld_plan(&o, i, &w);
        if (i > 0 && w.group_index != group) {
            g_assert_cmpuint(good, >, 0);
            g_assert_cmpuint(bad, >, 0);
            g_assert_cmpuint(good + bad, >=, 4);
            g_assert_cmpuint(good + bad, <=, 8);
            good = bad = 0;
            groups++;
        } else if (i > 0) {
            g_assert_cmpfloat(w.group.current, ==, current);
        }
        group = w.group_index;
        current = w.group.current;
        *(w.label == SEAM_SYNTH_GOOD ? &good : &bad) += 1;
    }
    g_assert_cmpuint(groups, >, 20);
}

static void assert_refused(const SeamSynthOptions *o, const char *field)
{
    GError *error = NULL;
    g_assert_false(seam_synth_write(o, NULL, NULL, &error));
    g_assert_nonnull(error);
    g_assert_true(g_str_has_prefix(error->message, field));
    g_error_free(error);
}

static void test_wrong_options_are_named(void)
{
    g_autofree char *out = g_build_filename(scratch, "never", NULL);
    SeamSynthOptions o = small_options(NULL);
    assert_refused(&o, "out");
#define REFUSED(name, member, value) \
    o = small_options(out);          \
    o.member = value;                \
    assert_refused(&o, name)
    REFUSED("count", count, 0);
    REFUSED("classes", classes, 0);
    REFUSED("good-share", good_share, NAN);
    REFUSED("size: width", width, 63);
    REFUSED("size: height", height, 65);
    REFUSED("fps", fps, 0);
    REFUSED("duration: least", duration_min, NAN);
    REFUSED("duration: most", duration_max, 2);
    REFUSED("rate", rate, 100);
    REFUSED("only", streams, 64);
    REFUSED("jobs", jobs, 0);
#undef REFUSED
    g_assert_false(g_file_test(out, G_FILE_TEST_EXISTS));
}

static int run_command(const char *line)
{
    int argc;
    g_auto(GStrv) argv = NULL;
    g_assert_true(g_shell_parse_argv(line, &argc, &argv, NULL));
    // GOption drops arguments from the array, so the strings are kept by a second one.
    g_autofree char **moved = g_memdup2(argv, sizeof *argv * ((gsize)argc + 1));
    return seam_cmd_synth(argc, moved);
}

static void test_command(void)
{
    g_autofree char *good = g_strdup_printf(
        "synth --out %s/cmd --count 1 --only sensors,text --classes good,spatter --duration 3..4",
        scratch);
    g_assert_cmpint(run_command(good), ==, 0);
    g_assert_cmpint(run_command(good), ==, 1);
    g_assert_cmpint(run_command("synth"), ==, 2);
    g_assert_cmpint(run_command("synth --out x --size 640"), ==, 2);
    g_assert_cmpint(run_command("synth --out x --classes godo"), ==, 2);
    g_assert_cmpint(run_command("synth --out x --duration 6..a"), ==, 2);
    g_assert_cmpint(run_command("synth --out x --sie 1"), ==, 2);
    g_assert_cmpint(run_command("synth --out x stray"), ==, 2);
}

int main(int argc, char **argv)
{
    gst_init(NULL, NULL);
    g_test_init(&argc, &argv, NULL);
    scratch = g_dir_make_tmp("seam-synth-XXXXXX", NULL);
    g_assert_nonnull(scratch);
    g_test_add_func("/synth/repeats", test_repeats);
    g_test_add_func("/synth/jobs-and-count-change-nothing", test_jobs_and_count_change_nothing);
    g_test_add_func("/synth/keeps-a-finished-folder", test_keeps_a_finished_folder);
    g_test_add_func("/synth/truth", test_truth);
    g_test_add_func("/synth/gas-loss-lowers-the-gas", test_gas_loss_lowers_the_gas);
    g_test_add_func("/synth/current-marks-the-arc", test_current_marks_the_arc);
    g_test_add_func("/synth/arc-is-bright-and-loud", test_arc_is_bright_and_loud);
    g_test_add_func("/synth/photo-shows-the-defect", test_photo_shows_the_defect);
    g_test_add_func("/synth/groups-mix-labels", test_groups_mix_labels);
    g_test_add_func("/synth/wrong-options-are-named", test_wrong_options_are_named);
    g_test_add_func("/synth/command", test_command);
    int status = g_test_run();
    remove_tree(scratch);
    g_free(scratch);
    return status;
}
