// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pictures by GStreamer: a file is decoded up to one frame, scaled, and encoded as JPEG. It owns a pipeline for the length of one call. No picture is
// no error.
#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "tools/report/report.h"

static const GstClockTime patience = 10 * GST_SECOND;

static char *sample_uri(GstSample *sample) {
    GstMapInfo map;
    if (!sample || !gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ))
        return NULL;
    g_autofree char *base64 = g_base64_encode(map.data, map.size);
    gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
    return g_strconcat("data:image/jpeg;base64,", base64, NULL);
}

// Waits until the pipeline has its first frame, or failed.
static bool preroll(GstElement *pipeline) {
    return gst_element_get_state(pipeline, NULL, NULL, patience) == GST_STATE_CHANGE_SUCCESS;
}

// A file that cannot be sought is shown from its beginning.
static char *take_picture(GstElement *pipeline, double time) {
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    char *uri = NULL;
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    bool ready = preroll(pipeline);
    if (ready && time > 0 &&
        gst_element_seek_simple(pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, (gint64)(time * GST_SECOND)))
        ready = preroll(pipeline);
    if (ready) {
        GstSample *sample = gst_app_sink_try_pull_preroll(GST_APP_SINK(sink), patience);
        uri = sample_uri(sample);
        g_clear_pointer(&sample, gst_sample_unref);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(sink);
    return uri;
}

static char *picture_uri(const char *path, double time, int32_t width) {
    g_autofree char *text =
        g_strdup_printf("filesrc name=src ! decodebin ! videoconvert ! videoscale ! video/x-raw,width=[1,%d],pixel-aspect-ratio=1/1"
                        " ! videoconvert ! jpegenc quality=82 ! appsink name=sink sync=false",
                        width);
    GstElement *pipeline = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, NULL);
    if (!pipeline)
        return NULL;
    GstElement *src = gst_bin_get_by_name(GST_BIN(pipeline), "src");
    g_object_set(src, "location", path, NULL);
    char *uri = take_picture(pipeline, time);
    gst_object_unref(src);
    gst_object_unref(pipeline);
    return uri;
}

char *report_frame_uri(const char *path, double time) {
    return picture_uri(path, time, 560);
}

char *report_picture_uri(const char *path, int32_t width) {
    return picture_uri(path, 0, width);
}
