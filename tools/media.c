// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Media files by GStreamer: filesrc ! decodebin ! converter ! appsink, pulled sample by sample. It owns a pipeline for the length of one call.
// Times are running times, as the elements of the plugin see them. An error names the file and what GStreamer said.
#include "tools/media.h"

#include <gst/app/gstappsink.h>
#include <gst/audio/audio.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#include "core/error.h"

static const GstClockTime patience = 20 * GST_SECOND; // without a sample, an error or the end: a decoder that hangs

typedef bool (*SampleFunc)(void *user, GstSample *sample, double time, GError **error);

static bool fail(const char *path, const char *what, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: %s", path, what);
    return false;
}

static bool bus_error(GstBus *bus, const char *path, GError **error) {
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    if (!message)
        return false;
    g_autoptr(GError) cause = NULL;
    gst_message_parse_error(message, &cause, NULL);
    gst_message_unref(message);
    g_autofree char *what = g_strdup_printf("%s `seam doctor` names missing decoders", cause->message);
    fail(path, what, error);
    return true;
}

// Running time in seconds; a buffer without a time follows the one before.
static double sample_time(GstSample *sample, double expected) {
    GstClockTime pts = GST_BUFFER_PTS(gst_sample_get_buffer(sample));
    const GstSegment *segment = gst_sample_get_segment(sample);
    if (!GST_CLOCK_TIME_IS_VALID(pts) || segment->format != GST_FORMAT_TIME)
        return expected;
    GstClockTime time = gst_segment_to_running_time(segment, GST_FORMAT_TIME, pts);
    return GST_CLOCK_TIME_IS_VALID(time) ? (double)time / GST_SECOND : expected;
}

static bool pull_all(GstElement *sink, GstBus *bus, const char *path, SampleFunc each, void *user, GError **error) {
    double time = 0;
    GstClockTime waited = 0;
    const GstClockTime step = 200 * GST_MSECOND;
    for (;;) {
        GstSample *sample = gst_app_sink_try_pull_sample(GST_APP_SINK(sink), step);
        if (sample) {
            waited = 0;
            time = sample_time(sample, time);
            bool ok = each(user, sample, time, error);
            gst_sample_unref(sample);
            if (!ok) {
                g_prefix_error(error, "%s: ", path);
                return false;
            }
            continue;
        }
        if (bus_error(bus, path, error))
            return false;
        if (gst_app_sink_is_eos(GST_APP_SINK(sink)))
            return true;
        waited += step;
        if (waited > patience)
            return fail(path, "no stream of the expected kind, or the decoder hangs; try `gst-play-1.0` on it", error);
    }
}

static bool run_pipeline(const char *path, const char *tail, SampleFunc each, void *user, GError **error) {
    g_autofree char *text = g_strdup_printf("filesrc name=src ! %s ! appsink name=sink sync=false max-buffers=16", tail);
    GstElement *pipeline = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    if (!pipeline) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    GstElement *src = gst_bin_get_by_name(GST_BIN(pipeline), "src"), *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstBus *bus = gst_element_get_bus(pipeline);
    g_object_set(src, "location", path, NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    bool ok = pull_all(sink, bus, path, each, user, error);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(src);
    gst_object_unref(sink);
    gst_object_unref(pipeline);
    return ok;
}

// ---- video ---------------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamPictureFunc each;
    void *user;
    int64_t pictures;
} Video;

static bool pixel_format(GstVideoFormat format, SeamPixels *pixels) {
    static const struct {
        GstVideoFormat gst;
        SeamPixels seam;
    } formats[] = {{GST_VIDEO_FORMAT_GRAY8, SEAM_PIXELS_GRAY8}, {GST_VIDEO_FORMAT_RGB, SEAM_PIXELS_RGB},   {GST_VIDEO_FORMAT_BGR, SEAM_PIXELS_BGR},
                   {GST_VIDEO_FORMAT_RGBx, SEAM_PIXELS_RGBX},   {GST_VIDEO_FORMAT_BGRx, SEAM_PIXELS_BGRX}, {GST_VIDEO_FORMAT_I420, SEAM_PIXELS_I420},
                   {GST_VIDEO_FORMAT_NV12, SEAM_PIXELS_NV12},   {GST_VIDEO_FORMAT_YUY2, SEAM_PIXELS_YUY2}};
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (formats[i].gst == format) {
            *pixels = formats[i].seam;
            return true;
        }
    return false;
}

static bool take_frame(void *user, GstSample *sample, double time, GError **error) {
    Video *video = user;
    GstVideoInfo info;
    GstVideoFrame frame;
    SeamPicture picture = {0};
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) || !pixel_format(GST_VIDEO_INFO_FORMAT(&info), &picture.format) ||
        !gst_video_frame_map(&frame, &info, gst_sample_get_buffer(sample), GST_MAP_READ)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "a picture could not be read");
        return false;
    }
    picture.width = GST_VIDEO_FRAME_WIDTH(&frame);
    picture.height = GST_VIDEO_FRAME_HEIGHT(&frame);
    for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES(&frame) && p < 3; p++) {
        picture.plane[p] = GST_VIDEO_FRAME_PLANE_DATA(&frame, p);
        picture.stride[p] = GST_VIDEO_FRAME_PLANE_STRIDE(&frame, p);
    }
    bool ok = video->each(video->user, time, &picture, error);
    gst_video_frame_unmap(&frame);
    video->pictures++;
    return ok;
}

static bool read_video(const char *path, SeamPictureFunc each, void *user, GError **error) {
    Video video = {each, user, 0};
    return run_pipeline(path, "decodebin ! videoconvert ! video/x-raw,format={I420,GRAY8,NV12,YUY2,RGB,BGR,RGBx,BGRx}", take_frame, &video, error) &&
           (video.pictures > 0 || fail(path, "no picture in it", error));
}

// ---- sound ---------------------------------------------------------------------------------------------------------------------

typedef struct {
    GArray *x;
    int32_t rate, channels;
} Sound;

static bool take_sound(void *user, GstSample *sample, double time, GError **error) {
    Sound *sound = user;
    GstAudioInfo info;
    GstMapInfo map;
    if (!gst_audio_info_from_caps(&info, gst_sample_get_caps(sample)) || !gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "its samples could not be read");
        return false;
    }
    bool fits = sound->x->len + map.size / sizeof(float) < G_MAXINT32 / 2 && (sound->rate == 0 || sound->rate == info.rate);
    if (fits)
        g_array_append_vals(sound->x, map.data, (guint)(map.size / sizeof(float)));
    else
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "changes its rate, or is longer than a billion samples: cut it");
    sound->rate = info.rate;
    sound->channels = info.channels;
    gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
    return fits;
}

static bool read_sound(const char *path, SeamSamples *out, GError **error) {
    Sound sound = {g_array_new(FALSE, FALSE, sizeof(float)), 0, 0};
    bool ok = run_pipeline(path, "decodebin ! audioconvert ! audio/x-raw,format=F32LE,layout=interleaved", take_sound, &sound, error) &&
              (sound.x->len > 0 || fail(path, "no sound in it", error));
    if (!ok) {
        g_array_unref(sound.x);
        return false;
    }
    *out = (SeamSamples){.frames = sound.x->len / (guint)sound.channels, .rate = sound.rate, .channels = sound.channels};
    out->x = (float *)(void *)g_array_free(sound.x, FALSE);
    return true;
}

// ---- text ----------------------------------------------------------------------------------------------------------------------

// Length of the tag that begins here; 0: it is none, as in "p < 3 bar".
static gsize tag_length(const char *bytes, gsize size) {
    if (size < 2 || bytes[0] != '<' || !(g_ascii_isalpha(bytes[1]) || bytes[1] == '/'))
        return 0;
    for (gsize i = 1; i < size && bytes[i] != '<' && bytes[i] != '\n'; i++)
        if (bytes[i] == '>')
            return i + 1;
    return 0;
}

// Subtitles come with <b> and &amp;: tags are left out, entities replaced.
static char *plain_text(const char *bytes, gsize size) {
    static const char *const entities[][2] = {{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&#39;", "'"}, {"&amp;", "&"}};
    GString *text = g_string_new(NULL);
    for (gsize i = 0, tag; i < size && bytes[i]; i += tag > 0 ? tag : 1) {
        tag = tag_length(bytes + i, size - i);
        if (tag == 0)
            g_string_append_c(text, bytes[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(entities); i++)
        g_string_replace(text, entities[i][0], entities[i][1], 0);
    return g_string_free(text, FALSE);
}

static bool take_text(void *user, GstSample *sample, double time, GError **error) {
    GstMapInfo map;
    if (!gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "a subtitle could not be read");
        return false;
    }
    SeamTimedText text = {time, plain_text((const char *)map.data, map.size)};
    g_array_append_val((GArray *)user, text);
    gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
    return true;
}

static bool read_text(const char *path, GArray *out, GError **error) {
    return run_pipeline(path, "subparse ! text/x-raw", take_text, out, error);
}

const SeamMedia *seam_media_gst(void) {
    static const SeamMedia media = {read_video, read_sound, read_text};
    return &media;
}
