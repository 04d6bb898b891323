// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamcsvsrc: clocks of all kinds, gaps, seeking, and files with mistakes in them.
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"
#include "tests/remove.h"

static char *folder, *bundle;

// What came out of the source until EOS.
typedef struct {
    int rate, channels;
    GArray *x;        // of float
    GArray *pts;      // of GstClockTime, a buffer each
    GstClockTime end; // of the last buffer
    guint gaps, discont, flagged;
    GstClockTime gap_start, gap_duration; // of the last gap
} Stream;

static char *write_file(const char *text)
{
    static int number;
    char *path = g_strdup_printf("%s/%d.csv", folder, number++);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static GstHarness *source(const char *path, const char *channels, guint rate)
{
    GstHarness *h = test_harness("seamcsvsrc", NULL, "src", NULL);
    g_object_set(h->element, "location", path, "channels", channels, "rate", rate, NULL);
    return h;
}

static void take_buffer(Stream *s, GstBuffer *buffer)
{
    GstMapInfo map;
    GstClockTime pts = GST_BUFFER_PTS(buffer);
    g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
    g_assert_cmpuint(map.size % (sizeof(float) * (gsize)s->channels), ==, 0);
    g_array_append_vals(s->x, map.data, (guint)(map.size / sizeof(float)));
    g_array_append_val(s->pts, pts);
    s->end = pts + GST_BUFFER_DURATION(buffer);
    s->discont += GST_BUFFER_IS_DISCONT(buffer);
    s->flagged += GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_GAP);
    gst_buffer_unmap(buffer, &map);
    gst_buffer_unref(buffer);
}

// Waits for EOS.
static void drain(GstHarness *h, Stream *s)
{
    *s = (Stream){.x = g_array_new(FALSE, FALSE, sizeof(float)), .pts = g_array_new(FALSE, FALSE, sizeof(GstClockTime))};
    gboolean eos = FALSE;
    for (GstEvent *event; !eos && (event = gst_harness_pull_event(h)); gst_event_unref(event)) {
        eos = GST_EVENT_TYPE(event) == GST_EVENT_EOS;
        if (GST_EVENT_TYPE(event) == GST_EVENT_GAP) {
            GstGapFlags flags;
            s->gaps++;
            gst_event_parse_gap(event, &s->gap_start, &s->gap_duration);
            gst_event_parse_gap_flags(event, &flags);
            g_assert_cmpint(flags, ==, GST_GAP_FLAG_MISSING_DATA);
        }
    }
    g_assert_true(eos);
    GstCaps *caps = gst_pad_get_current_caps(h->sinkpad);
    gst_structure_get(gst_caps_get_structure(caps, 0), "rate", G_TYPE_INT, &s->rate, "channels", G_TYPE_INT, &s->channels, NULL);
    gst_caps_unref(caps);
    for (GstBuffer *buffer; (buffer = gst_harness_try_pull(h));)
        take_buffer(s, buffer);
}

// gst_harness_play() wants a start that succeeds.
static void start_wrong(GstHarness *h)
{
    gst_element_set_state(h->element, GST_STATE_PLAYING);
    g_assert_cmpint(gst_element_get_state(h->element, NULL, NULL, GST_SECOND), ==, GST_STATE_CHANGE_FAILURE);
}

static void clear_stream(Stream *s)
{
    g_array_unref(s->x);
    g_array_unref(s->pts);
}

static float at(const Stream *s, guint i) { return g_array_index(s->x, float, i); }

static void read_all(const char *text, const char *channels, guint rate, Stream *s)
{
    g_autofree char *path = write_file(text);
    GstHarness *h = source(path, channels, rate);
    gst_harness_play(h);
    drain(h, s);
    gst_harness_teardown(h);
}

// ---- clocks -----------------------------------------------------------------------------------------------------------------------------

// "time_s,a,b" with `n` rows `step` seconds apart from `start` on: a rises by one a second, b is 7.
static GString *rows(GString *text, double start, double step, int n)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    for (int i = 0; i < n; i++) {
        g_ascii_formatd(number, sizeof number, "%.6f", start + i * step);
        g_string_append_printf(text, "%s,%s,7\n", number, number);
    }
    return text;
}

static void test_even(void)
{
    g_autoptr(GString) text = rows(g_string_new("time_s,a,b\n"), 0, 0.01, 101);
    Stream s;
    read_all(text->str, "a, b", 100, &s);
    g_assert_cmpint(s.rate, ==, 100);
    g_assert_cmpint(s.channels, ==, 2);
    g_assert_cmpuint(s.x->len, ==, 202);
    g_assert_cmpuint(s.gaps, ==, 0);
    g_assert_cmpuint(s.discont, ==, 1);
    g_assert_cmpuint(g_array_index(s.pts, GstClockTime, 0), ==, 0);
    g_assert_cmpuint(g_array_index(s.pts, GstClockTime, 1), ==, 100 * GST_MSECOND);
    g_assert_cmpuint(s.end, ==, 1010 * GST_MSECOND);
    for (guint i = 0; i < 101; i++) {
        g_assert_cmpfloat_with_epsilon(at(&s, 2 * i), 0.01f * (float)i, 1e-5);
        g_assert_cmpfloat(at(&s, 2 * i + 1), ==, 7);
    }
    clear_stream(&s);
}

// Rows at uneven times that lie on a line stay on it.
static void test_uneven(void)
{
    Stream s;
    read_all("time_s,a\n5,0\n5.1,1\n5.13,1.3\n5.3,3\n5.35,3.5\n5.5,5\n", "a", 20, &s);
    g_assert_cmpuint(s.x->len, ==, 11);
    for (guint i = 0; i < 11; i++)
        g_assert_cmpfloat_with_epsilon(at(&s, i), 0.5f * (float)i, 1e-4);
    clear_stream(&s);
}

static void test_date_and_time(void)
{
    Stream s;
    read_all("Date,Time,a\n2/9/2023,23:59:59.500,1\n2/9/2023,23:59:59.750,2\n3/9/2023,00:00:00.000,3\n", "A", 4, &s);
    g_assert_cmpuint(s.x->len, ==, 3);
    g_assert_cmpfloat(at(&s, 2), ==, 3);
    clear_stream(&s);
}

static void test_no_clock(void)
{
    g_autofree char *path = write_file("a\n1\n2\n3\n");
    GstHarness *h = source(path, "a", 91);
    Stream s;
    gst_harness_play(h);
    drain(h, &s);
    g_assert_cmpuint(s.x->len, ==, 21); // two steps at 9.1 a second
    g_autofree char *warning = test_warning(h->element);
    g_assert_nonnull(strstr(warning, "no clock column"));
    clear_stream(&s);
    gst_harness_teardown(h);
}

// Asked for less than the rows have: each sample is a mean, so that fast changes do not fold down.
static void test_slower(void)
{
    GString *text = g_string_new("time_s,a\n");
    for (int i = 0; i < 100; i++)
        g_string_append_printf(text, "%d.%02d,%d\n", i / 100, i % 100, i % 2 ? 10 : 0);
    Stream s;
    read_all(text->str, "a", 10, &s);
    g_assert_cmpint(s.rate, ==, 10);
    g_assert_cmpuint(s.x->len, ==, 10);
    for (guint i = 0; i < 10; i++)
        g_assert_cmpfloat_with_epsilon(at(&s, i), 5, 0.01);
    clear_stream(&s);
    g_string_free(text, TRUE);
}

// Rows that come at a broken rate, faster than the default: the next whole rate.
static void test_broken_rate(void)
{
    g_autoptr(GString) text = rows(g_string_new("time_s,a,b\n"), 0, 0.0110, 100);
    Stream s;
    read_all(text->str, "a", 0, &s);
    g_assert_cmpint(s.rate, ==, 91);
    g_assert_cmpfloat_with_epsilon(at(&s, 91), 1, 1e-4);
    clear_stream(&s);
}

// ---- gaps -------------------------------------------------------------------------------------------------------------------------------

static void test_gap(void)
{
    GString *text = rows(g_string_new("time_s,a,b\n"), 0, 0.1, 11);
    rows(text, 4, 0.1, 11);
    Stream s;
    read_all(text->str, "a,b", 10, &s);
    g_assert_cmpuint(s.gaps, ==, 1);
    g_assert_cmpuint(s.gap_start, ==, 1100 * GST_MSECOND);
    g_assert_cmpuint(s.gap_start + s.gap_duration, ==, 4 * GST_SECOND);
    g_assert_cmpuint(s.x->len, ==, 44);
    g_assert_cmpuint(s.discont, ==, 2);
    g_assert_cmpuint(s.end, ==, 5100 * GST_MSECOND);
    for (guint i = 0; i < s.x->len; i++)
        g_assert_false(isnan(at(&s, i)));
    clear_stream(&s);
    g_string_free(text, TRUE);
}

// One channel without a number is NaN; only a moment without any is a gap. A gap at the very start begins with a flagged buffer.
static void test_holes(void)
{
    Stream s;
    read_all("time_s,a,b\n0,,\n1,,\n2,,\n3,1,\n4,2,5\n", "a,b", 1, &s);
    g_assert_cmpuint(s.flagged, ==, 1);
    g_assert_cmpuint(s.gaps, ==, 1);
    g_assert_cmpuint(s.gap_start, ==, GST_SECOND);
    g_assert_cmpuint(s.gap_duration, ==, 2 * GST_SECOND);
    guint n = s.x->len;
    g_assert_cmpuint(n, ==, 6);
    g_assert_cmpfloat(at(&s, n - 4), ==, 1);
    g_assert_true(isnan(at(&s, n - 3)));
    g_assert_cmpfloat(at(&s, n - 1), ==, 5);
    clear_stream(&s);
}

// ---- model, channels --------------------------------------------------------------------------------------------------------------------

static void test_of_model(void)
{
    g_autofree char *path = write_file("time_s,voltage,other,current\n0,20,x,100\n0.1,21,x,110\n");
    GstHarness *h = source(path, NULL, 0);
    Stream s;
    g_object_set(h->element, "model", bundle, NULL);
    gst_harness_play(h);
    drain(h, &s);
    g_assert_cmpint(s.rate, ==, 100);
    g_assert_cmpint(s.channels, ==, 2);
    g_assert_cmpuint(s.x->len, ==, 22);
    g_assert_cmpfloat(at(&s, 0), ==, 100); // in the model's order
    g_assert_cmpfloat(at(&s, 1), ==, 20);
    clear_stream(&s);
    gst_harness_teardown(h);
}

static void test_many_channels(void)
{
    GString *text = g_string_new("time_s"), *names = g_string_new(NULL), *cells = g_string_new("0");
    for (int c = 0; c < 65; c++) {
        g_string_append_printf(text, ",c%d", c);
        g_string_append_printf(cells, ",%d", c);
        if (c < 64)
            g_string_append_printf(names, "%sc%d", c ? "," : "", c);
    }
    g_string_append_printf(text, "\n%s\n", cells->str);
    Stream s;
    read_all(text->str, names->str, 10, &s);
    g_assert_cmpint(s.channels, ==, 64);
    g_assert_cmpfloat(at(&s, 63), ==, 63);
    clear_stream(&s);

    g_autofree char *path = write_file(text->str);
    g_string_append(names, ",c64");
    GstHarness *h = source(path, names->str, 10);
    start_wrong(h);
    test_assert_error(h->element, "more than 64", NULL);
    gst_harness_teardown(h);
    g_string_free(text, TRUE);
    g_string_free(names, TRUE);
    g_string_free(cells, TRUE);
}

// ---- seeking, states, live --------------------------------------------------------------------------------------------------------------

static void test_seek(void)
{
    g_autoptr(GString) text = rows(g_string_new("time_s,a,b\n"), 0, 0.1, 101);
    g_autofree char *path = write_file(text->str);
    GstHarness *h = source(path, "a", 10);
    Stream s;
    gint64 duration = 0;
    gst_harness_play(h);
    drain(h, &s);
    clear_stream(&s);
    g_assert_true(gst_element_query_duration(h->element, GST_FORMAT_TIME, &duration));
    g_assert_cmpint(duration, ==, 10100 * GST_MSECOND);
    g_assert_true(gst_harness_push_upstream_event(
        h, gst_event_new_seek(1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 5 * GST_SECOND, GST_SEEK_TYPE_SET, 7 * GST_SECOND)));
    drain(h, &s);
    g_assert_cmpuint(g_array_index(s.pts, GstClockTime, 0), ==, 5 * GST_SECOND);
    g_assert_cmpuint(s.end, >=, 7 * GST_SECOND);
    g_assert_cmpuint(s.end, <, 7500 * GST_MSECOND);
    g_assert_cmpfloat_with_epsilon(at(&s, 0), 5, 1e-5);
    clear_stream(&s);
    GstEvent *back = gst_event_new_seek(-1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, GST_SECOND);
    g_assert_false(gst_harness_push_upstream_event(h, gst_event_ref(back)));
    g_assert_false(gst_element_send_event(h->element, back));
    gst_harness_teardown(h);
}

static void test_states(void)
{
    g_autofree char *path = write_file("time_s,a\n0,1\n1,2\n");
    GstElement *pipeline = gst_pipeline_new(NULL), *src = gst_element_factory_make("seamcsvsrc", NULL);
    GstElement *sink = gst_element_factory_make("fakesink", NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    g_object_set(src, "location", path, "channels", "a", NULL);
    gst_bin_add_many(GST_BIN(pipeline), src, sink, NULL);
    g_assert_true(gst_element_link(src, sink));
    for (int i = 0; i < 3; i++) {
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        GstMessage *message = gst_bus_timed_pop_filtered(bus, 5 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
        g_assert_nonnull(message);
        g_assert_cmpint(GST_MESSAGE_TYPE(message), ==, GST_MESSAGE_EOS);
        gst_message_unref(message);
        gst_element_set_state(pipeline, i % 2 ? GST_STATE_READY : GST_STATE_NULL);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
}

static void test_live(void)
{
    g_autoptr(GString) text = rows(g_string_new("time_s,a,b\n"), 0, 0.1, 11);
    g_autofree char *path = write_file(text->str);
    GstHarness *h = source(path, "a", 10);
    g_object_set(h->element, "is-live", TRUE, NULL);
    gst_harness_use_testclock(h);
    gst_harness_play(h);
    GstTestClock *clock = gst_harness_get_testclock(h);
    for (GstClockTime due = 0; due <= 300 * GST_MSECOND; due += 100 * GST_MSECOND) {
        g_assert_null(gst_harness_try_pull(h)); // each waits for its time
        g_assert_true(gst_harness_crank_single_clock_wait(h));
        g_assert_cmpuint(gst_clock_get_time(GST_CLOCK(clock)), ==, due);
        GstBuffer *buffer = gst_harness_pull(h);
        g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, due);
        gst_buffer_unref(buffer);
    }
    gst_object_unref(clock);
    gst_harness_teardown(h);
}

// ---- mistakes ---------------------------------------------------------------------------------------------------------------------------

static void expect_error(const char *text, const char *channels, const char *first, const char *second, const char *third)
{
    g_autofree char *path = text ? write_file(text) : g_build_filename(folder, "absent.csv", NULL);
    GstHarness *h = source(path, channels, 0);
    start_wrong(h);
    test_assert_error(h->element, path, first, second, third, NULL);
    gst_harness_teardown(h);
}

static void test_mistakes(void)
{
    expect_error(NULL, "a", "absent.csv", NULL, NULL);
    expect_error("", "a", "the first line must name", NULL, NULL);
    expect_error("time_s,a\n", "a", "no rows", NULL, NULL);
    expect_error("time_s,a\n0,1\n", "a,b", "no column \"b\"", "time_s, a", NULL);
    expect_error("time_s,a\n0,1\n2,1\n1,1\n", "a", "line 4", "time_s", "backwards");
    expect_error("time_s,a\n0,1\nnoon,1\n", "a", "line 3", "\"noon\"", "not a time");
    expect_error("time_s,a\n0,1,2\n", "a", "line 2", "3 fields", NULL);
}

static void test_text_in_numbers(void)
{
    g_autofree char *path = write_file("time_s,a\n0,1\n1,high\n2,3\n3,low\n4,1\n");
    GstHarness *h = source(path, "a", 1);
    Stream s;
    gst_harness_play(h);
    drain(h, &s);
    g_autofree char *warning = test_warning(h->element);
    g_assert_nonnull(strstr(warning, "line 3, column \"a\": \"high\" is not a number"));
    g_assert_nonnull(strstr(warning, "2 such cells"));
    clear_stream(&s);
    gst_harness_teardown(h);
}

static void test_not_set(void)
{
    GstHarness *h = source(NULL, "a", 1);
    start_wrong(h);
    test_assert_error(h->element, "location", "FILE.csv", NULL);
    gst_harness_teardown(h);
    h = source("x.csv", NULL, 1);
    start_wrong(h);
    test_assert_error(h->element, "property model is not set", "channels=", NULL);
    gst_harness_teardown(h);
    h = source("x.csv", NULL, 1);
    g_object_set(h->element, "model", bundle, "modality", "text", NULL);
    start_wrong(h);
    test_assert_error(h->element, "no sensor modality text", "modality", NULL);
    gst_harness_teardown(h);
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
    folder = g_dir_make_tmp("seam-csv-XXXXXX", NULL);
    bundle = test_bundle_new(1, TEST_BUNDLE_PLAIN);
    g_test_add_func("/csvsrc/even", test_even);
    g_test_add_func("/csvsrc/uneven", test_uneven);
    g_test_add_func("/csvsrc/date-and-time", test_date_and_time);
    g_test_add_func("/csvsrc/no-clock", test_no_clock);
    g_test_add_func("/csvsrc/slower", test_slower);
    g_test_add_func("/csvsrc/broken-rate", test_broken_rate);
    g_test_add_func("/csvsrc/gap", test_gap);
    g_test_add_func("/csvsrc/holes", test_holes);
    g_test_add_func("/csvsrc/model", test_of_model);
    g_test_add_func("/csvsrc/many-channels", test_many_channels);
    g_test_add_func("/csvsrc/seek", test_seek);
    g_test_add_func("/csvsrc/states", test_states);
    g_test_add_func("/csvsrc/live", test_live);
    g_test_add_func("/csvsrc/mistakes", test_mistakes);
    g_test_add_func("/csvsrc/text-in-numbers", test_text_in_numbers);
    g_test_add_func("/csvsrc/not-set", test_not_set);
    int result = g_test_run();
    remove_tree(folder);
    test_bundle_free(bundle);
    g_free(folder);
    return result;
}
