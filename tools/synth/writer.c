// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Stores welds: one short GStreamer pipeline a file (appsrc, encoder, filesink), text files by
// GLib, then the manifest. Runs are made in a thread pool; the caller's thread waits and reports.
// It owns the pipelines and the pool; it never overwrites a data folder that has a manifest.

#include "core/error.h"
#include "tools/synth/weld.h"

#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <string.h>

enum { PHOTO_WIDTH = 960, PHOTO_HEIGHT = 540, MAX_QUEUED_BYTES = 8 << 20 };

const char seam_weld_manifest_header[] =
    "run,group,label,defect,has_sensors,has_audio,has_video,photos,clock_offset_s,sound_offset_s\n";

// --- one pipeline ------------------------------------------------------------------------------

typedef struct {
    GstElement *pipeline, *source, *sink;
} Sink;

static void sink_close(Sink *sink)
{
    if (sink->pipeline == NULL)
        return;
    gst_element_set_state(sink->pipeline, GST_STATE_NULL);
    gst_object_unref(sink->source);
    gst_object_unref(sink->sink);
    gst_object_unref(sink->pipeline);
    sink->pipeline = NULL;
}

static bool sink_open(Sink *sink, const char *encoder, GstCaps *caps, const char *path,
                      GError **error)
{
    g_autofree char *launch = g_strdup_printf("appsrc name=src format=time block=true ! %s ! filesink name=sink",
                                              encoder);
    g_autoptr(GError) cause = NULL;
    memset(sink, 0, sizeof *sink);
    sink->pipeline = gst_parse_launch_full(launch, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &cause);
    if (sink->pipeline == NULL) {
        gst_caps_unref(caps);
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED,
                    "%s: cannot encode: %s; install gstreamer1.0-plugins-good", path, cause->message);
        return false;
    }
    sink->source = gst_bin_get_by_name(GST_BIN(sink->pipeline), "src");
    sink->sink = gst_bin_get_by_name(GST_BIN(sink->pipeline), "sink");
    g_object_set(sink->sink, "location", path, NULL);
    g_object_set(sink->source, "caps", caps, "max-bytes", (guint64)MAX_QUEUED_BYTES, NULL);
    gst_caps_unref(caps);
    gst_element_set_state(sink->pipeline, GST_STATE_PLAYING);
    return true;
}

// Takes `data`. A failed push is reported by sink_finish from the bus.
static void sink_push(Sink *sink, void *data, size_t size, GstClockTime pts, GstClockTime duration)
{
    GstBuffer *buffer = gst_buffer_new_wrapped(data, size);
    GST_BUFFER_PTS(buffer) = pts;
    GST_BUFFER_DURATION(buffer) = duration;
    gst_app_src_push_buffer(GST_APP_SRC(sink->source), buffer);
}

static bool sink_finish(Sink *sink, const char *path, GError **error)
{
    gst_app_src_end_of_stream(GST_APP_SRC(sink->source));
    g_autoptr(GstBus) bus = gst_element_get_bus(sink->pipeline);
    g_autoptr(GstMessage) message = gst_bus_timed_pop_filtered(
        bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    bool done = GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
    if (!done) {
        g_autoptr(GError) cause = NULL;
        gst_message_parse_error(message, &cause, NULL);
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: cannot write: %s", path, cause->message);
    }
    sink_close(sink);
    return done;
}

static bool out_of_memory(const char *path, GError **error)
{
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY,
                "%s: not enough memory; lower --size, --rate or --jobs", path);
    return false;
}

// --- the streams -------------------------------------------------------------------------------

static bool write_sound(const SeamWeld *w, int rate, const char *path, GError **error)
{
    size_t n;
    int16_t *samples = seam_weld_sound(w, rate, &n);
    if (samples == NULL)
        return out_of_memory(path, error);
    GstCaps *caps = gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "rate",
                                        G_TYPE_INT, rate, "channels", G_TYPE_INT, 1, "layout",
                                        G_TYPE_STRING, "interleaved", NULL);
    Sink sink;
    if (!sink_open(&sink, "flacenc", caps, path, error)) {
        g_free(samples);
        return false;
    }
    sink_push(&sink, samples, n * sizeof *samples, 0, gst_util_uint64_scale(n, GST_SECOND, (guint64)rate));
    return sink_finish(&sink, path, error);
}

static GstCaps *picture_caps(const char *format, int width, int height, int fps)
{
    return gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, format, "width", G_TYPE_INT,
                               width, "height", G_TYPE_INT, height, "framerate", GST_TYPE_FRACTION,
                               fps, 1, NULL);
}

static bool write_video(const SeamSynthOptions *o, SeamScene *scene,
                        const char *path, GError **error)
{
    // GStreamer's grey rows are padded to a multiple of four bytes.
    size_t stride = ((size_t)o->width + 3) & ~(size_t)3, size = stride * (size_t)o->height;
    g_autofree uint8_t *frame = g_try_malloc((size_t)o->width * (size_t)o->height);
    Sink sink;
    if (frame == NULL)
        return out_of_memory(path, error);
    if (!sink_open(&sink, "jpegenc quality=88 ! avimux",
                   picture_caps("GRAY8", o->width, o->height, o->fps), path, error))
        return false;
    unsigned n = seam_scene_frames(scene);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *pixels = g_try_malloc0(size);
        if (pixels == NULL) {
            sink_close(&sink);
            return out_of_memory(path, error);
        }
        seam_scene_next(scene, frame);
        for (int y = 0; y < o->height; y++)
            memcpy(pixels + (size_t)y * stride, frame + y * o->width, (size_t)o->width);
        GstClockTime pts = gst_util_uint64_scale(i, GST_SECOND, (guint64)o->fps);
        sink_push(&sink, pixels, size, pts, GST_SECOND / (GstClockTime)o->fps);
    }
    return sink_finish(&sink, path, error);
}

static bool write_photo(const SeamBead *bead, unsigned shot, const char *path, GError **error)
{
    size_t size = (size_t)3 * PHOTO_WIDTH * PHOTO_HEIGHT;
    uint8_t *pixels = g_try_malloc(size);
    Sink sink;
    if (pixels == NULL)
        return out_of_memory(path, error);
    seam_bead_photograph(bead, shot, PHOTO_WIDTH, PHOTO_HEIGHT, pixels);
    if (!sink_open(&sink, "jpegenc quality=88", picture_caps("RGB", PHOTO_WIDTH, PHOTO_HEIGHT, 1),
                   path, error)) {
        g_free(pixels);
        return false;
    }
    sink_push(&sink, pixels, size, 0, GST_SECOND);
    return sink_finish(&sink, path, error);
}

static bool make_folder(const char *path, GError **error)
{
    if (g_mkdir_with_parents(path, 0777) == 0)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO,
                "%s: cannot make the folder; choose another with --out", path);
    return false;
}

static bool write_photos(const SeamWeld *w, const char *folder, GError **error)
{
    g_autofree char *images = g_build_filename(folder, "images", NULL);
    if (!make_folder(images, error))
        return false;
    SeamBead *bead = seam_bead_new(w);
    bool done = bead != NULL || out_of_memory(images, error);
    for (unsigned shot = 0; done && shot < SEAM_WELD_PHOTOS; shot++) {
        g_autofree char *path = g_strdup_printf("%s/%s_%03u.jpg", images, w->name, shot + 1);
        done = write_photo(bead, shot, path, error);
    }
    seam_bead_free(bead);
    return done;
}

static void append_number(GString *out, double value, bool last)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append(out, g_ascii_formatd(text, sizeof text, "%.4f", value));
    g_string_append_c(out, last ? '\n' : ',');
}

// Times are on the sensors' clock; the box belongs to the video frame at that moment.
static GString *truth_text(const SeamWeld *w, const SeamScene *scene)
{
    const double step = 0.2;
    GString *out = g_string_new("time_s,duration_s,class,x,y,w,h\n");
    for (unsigned i = 0; i < w->n_defects; i++) {
        const SeamWeldDefect *d = &w->defects[i];
        for (double t = 0; t < d->length; t += step) {
            double span = MIN(step, d->length - t);
            float box[4];
            append_number(out, d->start + t, false);
            append_number(out, span, false);
            g_string_append_printf(out, "%s,", seam_synth_class_name(d->kind));
            if (scene != NULL && seam_scene_box(scene, d, d->start + t + 0.5 * span, box))
                for (int k = 0; k < 4; k++)
                    append_number(out, box[k], k == 3);
            else
                g_string_append(out, ",,,\n");
        }
    }
    return out;
}

static bool write_text(GString *text, const char *folder, const char *name, const char *suffix,
                       GError **error)
{
    if (text == NULL)
        return true;
    g_autofree char *path = g_strdup_printf("%s/%s%s", folder, name, suffix);
    g_autoptr(GError) cause = NULL;
    bool done = g_file_set_contents(path, text->str, (gssize)text->len, &cause);
    if (!done)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: cannot write: %s", path, cause->message);
    g_string_free(text, TRUE);
    return done;
}

static bool write_streams(const SeamWeld *w, const SeamSynthOptions *o, const char *folder,
                          SeamScene *scene, GError **error)
{
    g_autofree char *flac = g_strdup_printf("%s/%s.flac", folder, w->name);
    g_autofree char *avi = g_strdup_printf("%s/%s.avi", folder, w->name);
    unsigned s = o->streams;
    return write_text(truth_text(w, scene), folder, w->name, ".truth.csv", error) &&
           (!(s & SEAM_SYNTH_SENSORS) ||
            write_text(seam_weld_sensors(w), folder, w->name, ".csv", error)) &&
           (!(s & SEAM_SYNTH_TEXT) ||
            write_text(seam_weld_text(w), folder, w->name, ".srt", error)) &&
           (!(s & SEAM_SYNTH_SOUND) || write_sound(w, o->rate, flac, error)) &&
           (!(s & SEAM_SYNTH_VIDEO) || write_video(o, scene, avi, error)) &&
           (!(s & SEAM_SYNTH_PHOTO) || write_photos(w, folder, error));
}

bool seam_weld_write(const SeamWeld *w, const SeamSynthOptions *o, GError **error)
{
    g_autofree char *folder = g_build_filename(o->out, w->name, NULL);
    SeamScene *scene = NULL;
    if (!make_folder(folder, error))
        return false;
    if (o->streams & SEAM_SYNTH_VIDEO) {
        scene = seam_scene_new(w, o->width, o->height, o->fps);
        if (scene == NULL)
            return out_of_memory(folder, error);
    }
    bool done = write_streams(w, o, folder, scene, error);
    seam_scene_free(scene);
    return done;
}

void seam_weld_manifest_line(const SeamWeld *w, const SeamSynthOptions *o, GString *out)
{
    const char *label = seam_synth_class_name(w->label);
    unsigned s = o->streams;
    g_string_append_printf(out, "%s,plates-%03u,%s,%s,%d,%d,%d,%d,", w->name, w->group_index + 1,
                           label, label, (s & SEAM_SYNTH_SENSORS) != 0, (s & SEAM_SYNTH_SOUND) != 0,
                           (s & SEAM_SYNTH_VIDEO) != 0, s & SEAM_SYNTH_PHOTO ? SEAM_WELD_PHOTOS : 0);
    append_number(out, w->video_offset, false);
    append_number(out, w->sound_offset, true);
}

// --- all runs ----------------------------------------------------------------------------------

typedef struct {
    const SeamSynthOptions *options;
    GMutex lock;
    GCond finished;
    unsigned done;
    GError *error;  // the first one; the runs after it are skipped
} Batch;

static void make_run(void *item, void *data)
{
    Batch *batch = data;
    SeamWeld weld;
    GError *error = NULL;
    g_mutex_lock(&batch->lock);
    bool skip = batch->error != NULL;
    g_mutex_unlock(&batch->lock);
    if (!skip) {
        seam_weld_plan(batch->options, GPOINTER_TO_UINT(item) - 1, &weld);
        if (!seam_weld_simulate(&weld))
            out_of_memory(weld.name, &error);
        else
            seam_weld_write(&weld, batch->options, &error);
        seam_weld_clear(&weld);
    }
    g_mutex_lock(&batch->lock);
    if (batch->error == NULL)
        batch->error = error;
    else
        g_clear_error(&error);
    batch->done++;
    g_cond_signal(&batch->finished);
    g_mutex_unlock(&batch->lock);
}

static bool make_runs(const SeamSynthOptions *o, SeamSynthProgress progress, void *data,
                      GError **error)
{
    Batch batch = {.options = o};
    GThreadPool *pool = g_thread_pool_new(make_run, &batch, (gint)o->jobs, TRUE, error);
    if (pool == NULL)
        return false;
    g_mutex_init(&batch.lock);
    g_cond_init(&batch.finished);
    for (unsigned i = 1; i <= o->count; i++)
        g_thread_pool_push(pool, GUINT_TO_POINTER(i), NULL);
    for (unsigned seen = 0; seen < o->count;) {
        g_mutex_lock(&batch.lock);
        while (batch.done == seen)
            g_cond_wait(&batch.finished, &batch.lock);
        seen = batch.done;
        g_mutex_unlock(&batch.lock);
        if (progress != NULL)
            progress(seen, o->count, data);
    }
    g_thread_pool_free(pool, FALSE, TRUE);
    g_mutex_clear(&batch.lock);
    g_cond_clear(&batch.finished);
    if (batch.error != NULL)
        g_propagate_error(error, batch.error);
    return batch.error == NULL;
}

bool seam_synth_write(const SeamSynthOptions *o, SeamSynthProgress progress, void *data,
                      GError **error)
{
    if (!seam_synth_options_check(o, error) || !make_folder(o->out, error))
        return false;
    g_autofree char *manifest = g_build_filename(o->out, "manifest.csv", NULL);
    if (g_file_test(manifest, G_FILE_TEST_EXISTS)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "out: %s exists already; choose an empty folder", manifest);
        return false;
    }
    if (!make_runs(o, progress, data, error))
        return false;
    GString *lines = g_string_new(seam_weld_manifest_header);
    for (unsigned i = 0; i < o->count; i++) {
        SeamWeld weld;
        seam_weld_plan(o, i, &weld);
        seam_weld_manifest_line(&weld, o, lines);
    }
    return write_text(lines, o->out, "manifest", ".csv", error);
}
