// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seaminspect: the whole graph in one element. Frames come out as they went in, with results; streams come and go by request pads; the
// properties reach the elements inside.
#include <math.h>
#include <string.h>

#include "tests/plugins/helpers.h"
#include "tests/remove.h"

static char *bundle, *folder, *csv;

#define VIDEO "videotestsrc num-buffers=50 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1"
#define SOUND "audiotestsrc num-buffers=20 samplesperbuffer=100 ! audio/x-raw,format=F32LE,rate=1000,channels=1"

// What a pipeline left behind until EOS or an error.
typedef struct {
    guint frames, with_window;    // out of the element named "out"
    guint windows, verdicts;      // lines out of "lines"
    guint window_messages, verdict_messages;
    GString *lines;
    char *error;
} Outcome;

static void take_frame(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
    Outcome *o = data;
    const GstSeamResultsMeta *meta = gst_buffer_get_seam_results_meta(buffer);
    g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, o->frames * 40 * GST_MSECOND);
    o->frames++;
    if (!meta || !meta->has_window)
        return;
    o->with_window++;
    double time = GST_BUFFER_PTS(buffer) / (double)GST_SECOND;
    g_assert_true(time >= meta->window.time && time < meta->window.time + meta->window.duration);
}

static void take_line(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
    Outcome *o = data;
    GstMapInfo map;
    g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
    g_string_append_len(o->lines, (const char *)map.data, (gssize)map.size);
    o->windows += g_str_has_prefix((const char *)map.data, "{\"type\":\"window\"");
    o->verdicts += g_str_has_prefix((const char *)map.data, "{\"type\":\"weld\"");
    gst_buffer_unmap(buffer, &map);
}

static void connect(GstElement *pipeline, const char *name, GCallback callback, Outcome *o)
{
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), name);
    if (!sink)
        return;
    g_signal_connect(sink, "handoff", callback, o);
    gst_object_unref(sink);
}

// Counts messages until one of the types comes; FALSE after an error, whose text is kept.
static gboolean follow(GstElement *pipeline, Outcome *o)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    gboolean done = FALSE;
    while (!done && !o->error) {
        GstMessage *message = gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
        g_autoptr(GError) error = NULL;
        g_assert_nonnull(message);
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
            gst_message_parse_error(message, &error, NULL);
            o->error = g_strdup(error->message);
        }
        done = GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
        o->window_messages += gst_message_has_name(message, "seam-window");
        o->verdict_messages += gst_message_has_name(message, "seam-verdict");
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    return done;
}

static GstElement *parse(const char *line, Outcome *o)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup_printf(line, bundle);
    GstElement *pipeline = gst_parse_launch(text, &error);
    g_assert_no_error(error);
    *o = (Outcome){.lines = g_string_new(NULL)};
    connect(pipeline, "out", G_CALLBACK(take_frame), o);
    connect(pipeline, "lines", G_CALLBACK(take_line), o);
    return pipeline;
}

static void run(const char *line, Outcome *o)
{
    GstElement *pipeline = parse(line, o);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    follow(pipeline, o);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
}

static void clear(Outcome *o)
{
    g_string_free(o->lines, TRUE);
    g_free(o->error);
}

#define OUT " i.src ! fakesink name=out signal-handoffs=true sync=false "
#define LINES " i.results ! fakesink name=lines signal-handoffs=true sync=false "

// ---- whole graphs -------------------------------------------------------------------------------------------------------------------------

static void test_video_alone(void)
{
    Outcome o;
    run(VIDEO " ! seaminspect name=i model=%s weld=file" OUT, &o);
    g_assert_cmpstr(o.error, ==, NULL);
    g_assert_cmpuint(o.frames, ==, 50);
    g_assert_cmpuint(o.with_window, ==, 50);
    g_assert_cmpuint(o.window_messages, ==, 4);
    g_assert_cmpuint(o.verdict_messages, ==, 1);
    clear(&o);
}

// All five kinds of stream at once.
static void test_everything(void)
{
    g_autofree char *line = g_strdup_printf(
        VIDEO " ! seaminspect name=i model=%%s weld=file source=w7 " OUT LINES
        "seamcsvsrc location=%s channels=current,voltage rate=100 ! i.sensor_sensors " SOUND " ! i.sensor_sound "
        "videotestsrc num-buffers=2 pattern=ball ! video/x-raw,format=RGB,width=32,height=32,framerate=1/1 ! i.image_photo "
        "filesrc location=%s/notes.srt ! subparse ! i.text_text", csv, folder);
    Outcome o;
    run(line, &o);
    g_assert_cmpstr(o.error, ==, NULL);
    g_assert_cmpuint(o.frames, ==, 50);
    g_assert_cmpuint(o.with_window, ==, 50);
    g_assert_cmpuint(o.windows, ==, 4);
    g_assert_cmpuint(o.verdicts, ==, 1);
    g_assert_cmpuint(o.window_messages, ==, 4);
    const char *verdict = strstr(o.lines->str, "{\"type\":\"weld\"");
    g_assert_nonnull(strstr(verdict, "\"present\":[\"video\",\"sensors\",\"sound\",\"photo\",\"text\"]"));
    g_assert_nonnull(strstr(verdict, "\"missing\":[]"));
    g_assert_nonnull(strstr(verdict, "\"source\":\"w7\""));
    clear(&o);
}

// The camera ends early: the sensors are judged to their end.
static void test_video_ends(void)
{
    Outcome o;
    run("videotestsrc num-buffers=25 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 ! seaminspect name=i model=%s weld=file "
        OUT LINES SOUND " ! i.sensor_sound", &o);
    g_assert_cmpstr(o.error, ==, NULL);
    g_assert_cmpuint(o.frames, ==, 25);
    g_assert_cmpuint(o.windows, ==, 4);
    g_assert_nonnull(strstr(o.lines->str, "\"missing\":[\"video\"]"));
    clear(&o);
}

static void test_one_frame(void)
{
    Outcome o;
    run("videotestsrc num-buffers=1 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 ! seaminspect name=i model=%s weld=file "
        OUT LINES, &o);
    g_assert_cmpstr(o.error, ==, NULL);
    g_assert_cmpuint(o.frames, ==, 1);
    g_assert_cmpuint(o.windows, ==, 1);
    g_assert_cmpuint(o.verdicts, ==, 1);
    clear(&o);
}

static void test_again(void)
{
    Outcome o;
    GstElement *pipeline = parse(VIDEO " ! seaminspect name=i model=%s weld=file " OUT LINES SOUND " ! i.sensor_sound", &o);
    for (guint i = 1; i <= 3; i++) {
        o.frames = 0;
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        g_assert_true(follow(pipeline, &o));
        g_assert_cmpuint(o.frames, ==, 50);
        g_assert_cmpuint(o.windows, ==, 4 * i);
        g_assert_cmpuint(o.verdicts, ==, i);
        gst_element_set_state(pipeline, i == 1 ? GST_STATE_READY : GST_STATE_NULL);
    }
    gst_object_unref(pipeline);
    clear(&o);
}

// ---- request pads -------------------------------------------------------------------------------------------------------------------------

static void test_pad_names(void)
{
    GstElement *element = gst_element_factory_make("seaminspect", NULL);
    GstPad *pad = gst_element_request_pad_simple(element, "sensor_sound"), *first = gst_element_request_pad_simple(element, "results");
    GstPadTemplate *results = gst_element_get_pad_template(element, "results");
    g_assert_nonnull(pad);
    g_assert_cmpstr(GST_PAD_NAME(pad), ==, "sensor_sound");
    g_assert_cmpstr(GST_PAD_NAME(first), ==, "results");
    g_assert_null(gst_element_request_pad(element, results, NULL, NULL)); // one is enough: put a tee behind it
    g_assert_null(gst_element_request_pad_simple(element, "sensor_"));
    int children = GST_BIN_NUMCHILDREN(element);
    gst_element_release_request_pad(element, pad);
    gst_element_release_request_pad(element, first);
    g_assert_cmpint(GST_BIN_NUMCHILDREN(element), ==, children - 4);
    g_assert_null(gst_element_get_static_pad(element, "sensor_sound"));
    gst_object_unref(pad);
    gst_object_unref(first);
    gst_object_unref(element);
}

static void push_frames(GstElement *appsrc, GstCaps *caps, int first, int n)
{
    for (int i = first; i < first + n; i++) {
        GstFlowReturn flow;
        GstBuffer *frame = test_frame_new(caps, i * 0.04, 0.04, 1);
        g_signal_emit_by_name(appsrc, "push-buffer", frame, &flow);
        g_assert_cmpint(flow, ==, GST_FLOW_OK);
        gst_buffer_unref(frame);
    }
}

static void wait_for_windows(GstElement *pipeline, Outcome *o, guint windows)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    while (o->window_messages < windows) {
        GstMessage *message = gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);
        g_assert_nonnull(message);
        g_assert_cmpint(GST_MESSAGE_TYPE(message), ==, GST_MESSAGE_ELEMENT);
        o->window_messages += gst_message_has_name(message, "seam-window");
        gst_message_unref(message);
    }
    gst_object_unref(bus);
}

// A sensor that is plugged in while the video plays, and pulled out again in mid-stream, full of data.
static void test_come_and_go(void)
{
    Outcome o;
    GstCaps *caps = test_video_caps("GRAY8", 64, 48);
    GstElement *pipeline = parse("appsrc name=a format=time ! seaminspect name=i model=%s max-wait=2000 max-start=10000 weld=file" OUT LINES, &o);
    GstElement *appsrc = gst_bin_get_by_name(GST_BIN(pipeline), "a"), *inspect = gst_bin_get_by_name(GST_BIN(pipeline), "i");
    g_object_set(appsrc, "caps", caps, NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    push_frames(appsrc, caps, 0, 26);
    wait_for_windows(pipeline, &o, 2);

    GstPad *pad = gst_element_request_pad_simple(inspect, "sensor_sound");
    GstElement *sound = gst_parse_bin_from_description(
        "audiotestsrc samplesperbuffer=100 timestamp-offset=1000000000 ! audio/x-raw,format=F32LE,rate=1000,channels=1", TRUE, NULL);
    GstPad *out = gst_element_get_static_pad(sound, "src");
    gst_bin_add(GST_BIN(pipeline), sound);
    g_assert_cmpint(gst_pad_link(out, pad), ==, GST_PAD_LINK_OK);
    g_assert_true(gst_element_sync_state_with_parent(sound));
    push_frames(appsrc, caps, 26, 25);
    wait_for_windows(pipeline, &o, 4);

    // Its thread waits in the fusion: it is far ahead of the video.
    gst_element_release_request_pad(inspect, pad);
    gst_object_unref(pad);
    gst_object_unref(out);
    gst_element_set_state(sound, GST_STATE_NULL);
    gst_bin_remove(GST_BIN(pipeline), sound);
    push_frames(appsrc, caps, 51, 24);
    GstFlowReturn flow;
    g_signal_emit_by_name(appsrc, "end-of-stream", &flow);
    g_assert_true(follow(pipeline, &o));
    g_assert_cmpuint(o.frames, ==, 75);
    g_assert_cmpuint(o.windows, ==, 6);
    g_assert_nonnull(strstr(o.lines->str, "\"present\":[\"video\",\"sound\"]"));
    g_assert_nonnull(g_strrstr(o.lines->str, "\"present\":[\"video\"]"));
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(appsrc);
    gst_object_unref(inspect);
    gst_object_unref(pipeline);
    gst_caps_unref(caps);
    clear(&o);
}

// ---- properties -----------------------------------------------------------------------------------------------------------------------------

static char *value_of(GstElement *element, const char *property)
{
    GValue value = G_VALUE_INIT;
    g_object_get_property(G_OBJECT(element), property, &value);
    char *text = gst_value_serialize(&value);
    g_value_unset(&value);
    return text;
}

static void test_properties(void)
{
    static const struct {
        const char *name, *value, *shown, *inner;
    } properties[] = {
        {"model", "x.seam", "x.seam", "embed encoder fusion decoder"}, {"device", "ref", "ref", "embed encoder fusion decoder"},
        {"max-rate", "5", "5", "embed"}, {"keep", "0.5", "0.5", "encoder"}, {"deadline", "20ms", "20ms", "encoder"},
        {"effort", "full", "full", "encoder"},
        {"missing", "skip", "skip", "fusion"}, {"max-wait", "77", "77", "fusion"},
        {"max-start", "78", "78", "fusion"}, {"correct-offset", "true", "true", "fusion"}, {"tasks", "classify", "classify", "decoder"},
        {"adapter", "a.safetensors", "a.safetensors", "decoder"}, {"weld", "event", "event", "decoder"},
        {"false-reject", "0.25", "0.25", "decoder"}, {"miss", "0.125", "0.125", "decoder"}, {"source", "s", "s", "decoder"},
        {"windows", "false", "false", "decoder"},
    };
    GstElement *element = gst_element_factory_make("seaminspect", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(properties); i++) {
        g_assert_nonnull(g_object_class_find_property(G_OBJECT_GET_CLASS(element), properties[i].name));
        gst_util_set_object_arg(G_OBJECT(element), properties[i].name, properties[i].value);
        g_auto(GStrv) inner = g_strsplit(properties[i].inner, " ", -1);
        g_autofree char *outer_value = value_of(element, properties[i].name);
        g_assert_cmpstr(outer_value, ==, properties[i].shown);
        for (guint k = 0; inner[k]; k++) {
            GstElement *child = gst_bin_get_by_name(GST_BIN(element), inner[k]);
            g_autofree char *value = value_of(child, properties[i].name);
            g_assert_cmpstr(value, ==, properties[i].shown);
            gst_object_unref(child);
        }
    }
    gst_object_unref(element);
}

// What was set before a pad was asked for holds for its branch too.
static void test_late_branch(void)
{
    GstElement *element = gst_element_factory_make("seaminspect", NULL);
    g_object_set(element, "model", "y.seam", "device", "ref", "max-rate", 3.0, NULL);
    GstPad *pad = gst_element_request_pad_simple(element, "image_photo");
    GstIterator *children = gst_bin_iterate_elements(GST_BIN(element));
    GValue item = G_VALUE_INIT;
    guint found = 0;
    while (gst_iterator_next(children, &item) == GST_ITERATOR_OK) {
        GstElement *child = g_value_get_object(&item);
        const char *factory = GST_OBJECT_NAME(gst_element_get_factory(child));
        if (g_str_equal(factory, "seamvideoembed") || g_str_equal(factory, "seamencoder")) {
            g_autofree char *model = value_of(child, "model"), *device = value_of(child, "device");
            g_assert_cmpstr(model, ==, "y.seam");
            g_assert_cmpstr(device, ==, "ref");
            found++;
        }
        if (g_str_equal(factory, "seamvideoembed")) {
            g_autofree char *rate = value_of(child, "max-rate");
            g_assert_cmpstr(rate, ==, "3");
        }
        g_value_reset(&item);
    }
    g_value_unset(&item);
    gst_iterator_free(children);
    g_assert_cmpuint(found, ==, 4);
    gst_element_release_request_pad(element, pad);
    gst_object_unref(pad);
    gst_object_unref(element);
}

// ---- what is wrong ----------------------------------------------------------------------------------------------------------------------------

static void expect_error(const char *line, const char *first, const char *second)
{
    Outcome o;
    run(line, &o);
    g_assert_nonnull(o.error);
    if (!strstr(o.error, first) || !strstr(o.error, second))
        g_error("the error \"%s\" does not say \"%s\" and \"%s\"", o.error, first, second);
    clear(&o);
}

static void test_wrong(void)
{
    expect_error(VIDEO " ! seaminspect name=i model=/nowhere%s" OUT, "/nowhere", "model.json");
    expect_error(VIDEO " ! seaminspect name=i" OUT "  %.0s", "model is not set", "model=");
    expect_error(VIDEO " ! seaminspect name=i model=%s" OUT SOUND " ! i.sensor_smell", "smell", "sound");
    expect_error(VIDEO " ! seaminspect name=i model=%s" OUT SOUND " ! i.sensor_sensors", "1 channels", "2");
}

int main(int argc, char **argv)
{
    test_init(&argc, &argv);
    bundle = test_bundle_new(1, TEST_BUNDLE_CALIBRATED | TEST_BUNDLE_ANOMALY);
    folder = g_dir_make_tmp("seam-inspect-XXXXXX", NULL);
    csv = g_build_filename(folder, "run.csv", NULL);
    g_autofree char *notes = g_build_filename(folder, "notes.srt", NULL);
    GString *rows = g_string_new("time_s,current,voltage\n");
    for (int i = 0; i < 20; i++)
        g_string_append_printf(rows, "%d.%d,%d,20\n", i / 10, i % 10, 100 + i);
    g_assert_true(g_file_set_contents(csv, rows->str, -1, NULL));
    g_string_free(rows, TRUE);
    g_assert_true(g_file_set_contents(notes, "1\n00:00:00,500 --> 00:00:01,000\ngas low\n\n2\n00:00:01,200 --> 00:00:01,400\nstop\n\n", -1, NULL));
    g_test_add_func("/inspect/video-alone", test_video_alone);
    g_test_add_func("/inspect/everything", test_everything);
    g_test_add_func("/inspect/video-ends", test_video_ends);
    g_test_add_func("/inspect/one-frame", test_one_frame);
    g_test_add_func("/inspect/again", test_again);
    g_test_add_func("/inspect/pad-names", test_pad_names);
    g_test_add_func("/inspect/come-and-go", test_come_and_go);
    g_test_add_func("/inspect/properties", test_properties);
    g_test_add_func("/inspect/late-branch", test_late_branch);
    g_test_add_func("/inspect/wrong", test_wrong);
    int result = g_test_run();
    remove_tree(folder);
    test_bundle_free(bundle);
    g_free(folder);
    g_free(csv);
    return result;
}
