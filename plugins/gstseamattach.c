// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamattach: puts results on the video frames that they are about. It owns the last results and the rule for how long a frame
// waits for its own; it never changes pixels, drops frames or makes results.

/**
 * SECTION:element-seamattach
 * @title: seamattach
 *
 * Two inputs: `video` and `results` (from seamdecoder). Each frame leaves with a GstVideoRegionOfInterestMeta a box and
 * with the window's result and the last verdict, which seamoverlay draws. A frame waits until the results have passed
 * its time, at most `max-wait`; then it goes on without them, and so do the frames after it until there is news.
 *
 * The video branch needs a queue that holds one window more than the model takes:
 *
 * |[
 * gst-launch-1.0 filesrc location=weld.avi ! decodebin ! videoconvert ! tee name=t
 *   t. ! queue ! seamvideoembed model=M.seam ! seamencoder model=M.seam ! seamfusion model=M.seam
 *      ! seamdecoder model=M.seam ! a.results
 *   t. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=10000000000 ! a.video
 *   seamattach name=a ! seamoverlay ! videoconvert ! autovideosink
 * ]|
 */
#include "plugins/gstseamattach.h"

#include <gst/video/video.h>
#include <math.h>

#include "plugins/gstseamresults.h"

GST_DEBUG_CATEGORY_STATIC(seam_attach_debug);
#define GST_CAT_DEFAULT seam_attach_debug

enum { PROP_0, PROP_MAX_WAIT };
// MOST_AHEAD: window results (30 KB each) that may wait for their frames; where a file's sensors are read faster than its video, it is many.
enum { DEFAULT_MAX_WAIT_MS = 5000, MOST_AHEAD = 1024 };

static GstStaticPadTemplate video_template =
    GST_STATIC_PAD_TEMPLATE("video", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS("video/x-raw(ANY)"));
static GstStaticPadTemplate results_template =
    GST_STATIC_PAD_TEMPLATE("results", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS("application/json"));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("video/x-raw(ANY)"));

struct _GstSeamAttach {
    GstElement parent;
    GstPad *video, *results, *src;
    guint max_wait_ms; // property

    // The video thread's.
    GstSegment video_segment;
    guint64 frames, frames_without;

    // Shared by the two streaming threads, under the object's lock; `news` is signalled at every change.
    GCond news;
    GstSegment results_segment;
    GQueue windows, verdicts; // of GstBuffer, oldest first: those that a frame may still be about, and the last verdict
    double position; // running time up to which results are complete, seconds
    gboolean results_eos, flushing;
    gboolean silent; // the results were waited for in vain, and nothing has come since
};

G_DEFINE_TYPE(GstSeamAttach, gst_seam_attach, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE(seamattach, "seamattach", GST_RANK_NONE, GST_TYPE_SEAM_ATTACH)

static double running_seconds(const GstSegment *segment, GstClockTime time)
{
    guint64 running = GST_CLOCK_TIME_IS_VALID(time) ? gst_segment_to_running_time(segment, GST_FORMAT_TIME, time)
                                                    : GST_CLOCK_TIME_NONE;
    return GST_CLOCK_TIME_IS_VALID(running) ? running / (double)GST_SECOND : NAN;
}

// ---- results side -----------------------------------------------------------------------------------------------------------------

static void forget_results(GstSeamAttach *self)
{
    g_queue_clear_full(&self->windows, (GDestroyNotify)gst_buffer_unref);
    g_queue_clear_full(&self->verdicts, (GDestroyNotify)gst_buffer_unref);
    self->position = -INFINITY;
    self->results_eos = self->silent = FALSE;
}

static void keep(GQueue *queue, GstBuffer *buffer)
{
    g_queue_push_tail(queue, gst_buffer_ref(buffer));
    if (queue->length > MOST_AHEAD)
        gst_buffer_unref(g_queue_pop_head(queue));
}

static GstFlowReturn results_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstSeamAttach *self = GST_SEAM_ATTACH(parent);
    const GstSeamResultsMeta *meta = gst_buffer_get_seam_results_meta(buffer);
    if (!meta) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("seamattach: the results carry no SeamResultsMeta"),
                          ("link pad `results` to seamdecoder directly, or through queue and tee only"));
        gst_buffer_unref(buffer);
        return GST_FLOW_ERROR;
    }
    GST_OBJECT_LOCK(self);
    if (meta->has_verdict)
        keep(&self->verdicts, buffer);
    if (meta->has_window) {
        keep(&self->windows, buffer);
        self->position = fmax(self->position, meta->window.time + meta->window.duration);
    }
    self->silent = FALSE;
    g_cond_broadcast(&self->news);
    GST_OBJECT_UNLOCK(self);
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static void results_gap(GstSeamAttach *self, GstEvent *event)
{
    GstClockTime time, duration;
    gst_event_parse_gap(event, &time, &duration);
    double end = running_seconds(&self->results_segment, time);
    if (GST_CLOCK_TIME_IS_VALID(duration))
        end += duration / (double)GST_SECOND;
    if (end > self->position)
        self->position = end;
    self->silent = FALSE;
}

// Nothing of the results stream travels downstream: the video's events do.
static gboolean results_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstSeamAttach *self = GST_SEAM_ATTACH(parent);
    GST_OBJECT_LOCK(self);
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_SEGMENT: gst_event_copy_segment(event, &self->results_segment); break;
    case GST_EVENT_STREAM_START: self->results_eos = FALSE; break;
    case GST_EVENT_GAP: results_gap(self, event); break;
    case GST_EVENT_EOS: self->results_eos = TRUE; break;
    case GST_EVENT_FLUSH_STOP: forget_results(self); break;
    default: break;
    }
    g_cond_broadcast(&self->news);
    GST_OBJECT_UNLOCK(self);
    gst_event_unref(event);
    return TRUE;
}

// ---- video side -------------------------------------------------------------------------------------------------------------------

// Blocks until the results have passed `time`, the wait is over, or the stream is. Called with the lock held.
static void wait_for_results(GstSeamAttach *self, double time)
{
    gint64 until = g_get_monotonic_time() + (gint64)self->max_wait_ms * G_TIME_SPAN_MILLISECOND;
    while (!(self->position > time) && !self->results_eos && !self->flushing && !self->silent)
        self->silent = !g_cond_wait_until(&self->news, GST_OBJECT_GET_LOCK(self), until);
}

// The end of the video waits for the end of the results, whose last word is the verdict; as long as news comes, however long.
static void wait_for_end(GstSeamAttach *self)
{
    GST_OBJECT_LOCK(self);
    while (!self->results_eos && !self->flushing && !self->silent)
        self->silent = !g_cond_wait_until(&self->news, GST_OBJECT_GET_LOCK(self),
                                          g_get_monotonic_time() + (gint64)self->max_wait_ms * G_TIME_SPAN_MILLISECOND);
    GST_OBJECT_UNLOCK(self);
}

static const GstSeamResultsMeta *peek(GQueue *queue, guint n)
{
    GstBuffer *buffer = g_queue_peek_nth(queue, n);
    return buffer ? gst_buffer_get_seam_results_meta(buffer) : NULL;
}

// The result of the window that holds `time`, or NULL; drops those that are past. Called with the lock held, as the next one.
static GstBuffer *find_window(GstSeamAttach *self, double time)
{
    const GstSeamResultsMeta *meta;
    while ((meta = peek(&self->windows, 0)) && meta->window.time + meta->window.duration <= time)
        gst_buffer_unref(g_queue_pop_head(&self->windows));
    return meta && meta->window.time <= time ? g_queue_peek_head(&self->windows) : NULL;
}

// The last verdict on a weld that has ended by `time`, or NULL.
static GstBuffer *find_verdict(GstSeamAttach *self, double time)
{
    const GstSeamResultsMeta *meta;
    while ((meta = peek(&self->verdicts, 1)) && meta->verdict.end <= time)
        gst_buffer_unref(g_queue_pop_head(&self->verdicts));
    meta = peek(&self->verdicts, 0);
    return meta && meta->verdict.end <= time ? g_queue_peek_head(&self->verdicts) : NULL;
}

static void add_regions(GstBuffer *frame, const GstVideoInfo *info, const GstSeamResultsMeta *meta)
{
    int width = GST_VIDEO_INFO_WIDTH(info), height = GST_VIDEO_INFO_HEIGHT(info);
    for (int32_t i = 0; i < meta->window.n_shown; i++) {
        const SeamBox *box = &meta->window.box[i];
        const char *name = meta->config->class_name[box->class_index];
        float left = CLAMP(box->x - box->w / 2, 0, 1), top = CLAMP(box->y - box->h / 2, 0, 1);
        GstVideoRegionOfInterestMeta *region = gst_buffer_add_video_region_of_interest_meta(
            frame, name, (guint)(left * width), (guint)(top * height), (guint)(MIN(box->w, 1 - left) * width),
            (guint)(MIN(box->h, 1 - top) * height));
        gst_video_region_of_interest_meta_add_param(
            region, gst_structure_new("detection", "confidence", G_TYPE_DOUBLE, (double)box->score, "label_name",
                                      G_TYPE_STRING, name, NULL));
    }
}

static void attach(GstSeamAttach *self, GstBuffer *frame, GstBuffer *window, GstBuffer *verdict)
{
    const GstSeamResultsMeta *from = gst_buffer_get_seam_results_meta(window ? window : verdict);
    GstSeamResultsMeta *meta = gst_buffer_add_seam_results_meta(frame, from->owner, from->config);
    if (window) {
        meta->has_window = TRUE;
        meta->window = from->window;
        meta->n_levels = from->n_levels;
        memcpy(meta->level, from->level, sizeof from->level[0] * from->n_levels);
        memcpy(meta->level_modality, from->level_modality, from->n_levels);
        GstCaps *caps = gst_pad_get_current_caps(self->video);
        GstVideoInfo info;
        if (caps && gst_video_info_from_caps(&info, caps) && gst_seam_results_meta_about_frame(from))
            add_regions(frame, &info, meta);
        gst_clear_caps(&caps);
    }
    if (verdict) {
        meta->has_verdict = TRUE;
        meta->verdict = gst_buffer_get_seam_results_meta(verdict)->verdict;
    }
}

static GstFlowReturn video_chain(GstPad *pad, GstObject *parent, GstBuffer *frame)
{
    GstSeamAttach *self = GST_SEAM_ATTACH(parent);
    double time = running_seconds(&self->video_segment, GST_BUFFER_PTS(frame));
    GstBuffer *window = NULL, *verdict = NULL;
    if (!isnan(time)) {
        GST_OBJECT_LOCK(self);
        wait_for_results(self, time);
        gst_buffer_replace(&window, find_window(self, time));
        gst_buffer_replace(&verdict, find_verdict(self, time));
        GST_OBJECT_UNLOCK(self);
    }
    self->frames++;
    if (!window) {
        self->frames_without++;
        GST_LOG_OBJECT(self, "frame at %.3f s goes on without a result", time);
    }
    if (window || verdict) {
        frame = gst_buffer_make_writable(frame);
        attach(self, frame, window, verdict);
    }
    gst_clear_buffer(&window);
    gst_clear_buffer(&verdict);
    return gst_pad_push(self->src, frame);
}

static void set_flushing(GstSeamAttach *self, gboolean flushing)
{
    GST_OBJECT_LOCK(self);
    self->flushing = flushing;
    g_cond_broadcast(&self->news);
    GST_OBJECT_UNLOCK(self);
}

static gboolean video_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstSeamAttach *self = GST_SEAM_ATTACH(parent);
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_SEGMENT: gst_event_copy_segment(event, &self->video_segment); break;
    case GST_EVENT_EOS: wait_for_end(self); break;
    case GST_EVENT_FLUSH_START: set_flushing(self, TRUE); break;
    case GST_EVENT_FLUSH_STOP:
        set_flushing(self, FALSE);
        gst_segment_init(&self->video_segment, GST_FORMAT_TIME);
        break;
    default: break;
    }
    return gst_pad_push_event(self->src, event);
}

static gboolean video_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_CAPS:
    case GST_QUERY_ACCEPT_CAPS:
    case GST_QUERY_ALLOCATION: return gst_pad_peer_query(GST_SEAM_ATTACH(parent)->src, query);
    default: return gst_pad_query_default(pad, parent, query);
    }
}

// Frames wait for results: the latency is the larger of the two branches'.
static gboolean query_latency(GstSeamAttach *self, GstQuery *query)
{
    GstPad *pads[] = {self->video, self->results};
    gboolean live = FALSE;
    GstClockTime least = 0, most = GST_CLOCK_TIME_NONE;
    for (guint i = 0; i < G_N_ELEMENTS(pads); i++) {
        GstQuery *upstream = gst_query_new_latency();
        if (gst_pad_peer_query(pads[i], upstream)) {
            gboolean pad_live;
            GstClockTime pad_least, pad_most;
            gst_query_parse_latency(upstream, &pad_live, &pad_least, &pad_most);
            live |= pad_live;
            least = MAX(least, pad_least);
            if (GST_CLOCK_TIME_IS_VALID(pad_most))
                most = MIN(most, pad_most);
        }
        gst_query_unref(upstream);
    }
    gst_query_set_latency(query, live, least, MAX(most, least));
    return TRUE;
}

static gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    GstSeamAttach *self = GST_SEAM_ATTACH(parent);
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_LATENCY: return query_latency(self, query);
    case GST_QUERY_CAPS: return gst_pad_peer_query(self->video, query);
    default: return gst_pad_query_default(pad, parent, query);
    }
}

// Upstream events (seek, QoS) belong to the video; the results follow because their source is the same camera.
static gboolean src_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    return gst_pad_push_event(GST_SEAM_ATTACH(parent)->video, event);
}

// ---- life -------------------------------------------------------------------------------------------------------------------------

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstSeamAttach *self = GST_SEAM_ATTACH(element);
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
        set_flushing(self, FALSE);
        gst_segment_init(&self->video_segment, GST_FORMAT_TIME);
        gst_segment_init(&self->results_segment, GST_FORMAT_TIME);
        self->frames = self->frames_without = 0;
    } else if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
        set_flushing(self, TRUE);
    }
    GstStateChangeReturn result = GST_ELEMENT_CLASS(gst_seam_attach_parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
        GST_INFO_OBJECT(self, "%" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT " of them without a result", self->frames,
                        self->frames_without);
        GST_OBJECT_LOCK(self);
        forget_results(self);
        GST_OBJECT_UNLOCK(self);
    }
    return result;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    if (id == PROP_MAX_WAIT)
        GST_SEAM_ATTACH(object)->max_wait_ms = g_value_get_uint(value);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    if (id == PROP_MAX_WAIT)
        g_value_set_uint(value, GST_SEAM_ATTACH(object)->max_wait_ms);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void finalize(GObject *object)
{
    GstSeamAttach *self = GST_SEAM_ATTACH(object);
    forget_results(self);
    g_cond_clear(&self->news);
    G_OBJECT_CLASS(gst_seam_attach_parent_class)->finalize(object);
}

static GstPad *add_pad(GstSeamAttach *self, GstStaticPadTemplate *template, GstPadChainFunction chain,
                       GstPadEventFunction event, GstPadQueryFunction query)
{
    GstPad *pad = gst_pad_new_from_static_template(template, template->name_template);
    if (chain)
        gst_pad_set_chain_function(pad, chain);
    gst_pad_set_event_function(pad, event);
    if (query)
        gst_pad_set_query_function(pad, query);
    gst_element_add_pad(GST_ELEMENT(self), pad);
    return pad;
}

static void gst_seam_attach_init(GstSeamAttach *self)
{
    g_cond_init(&self->news);
    self->max_wait_ms = DEFAULT_MAX_WAIT_MS;
    forget_results(self);
    gst_segment_init(&self->video_segment, GST_FORMAT_TIME);
    gst_segment_init(&self->results_segment, GST_FORMAT_TIME);
    self->video = add_pad(self, &video_template, video_chain, video_event, video_query);
    self->results = add_pad(self, &results_template, results_chain, results_event, NULL);
    self->src = add_pad(self, &src_template, NULL, src_event, src_query);
}

static void gst_seam_attach_class_init(GstSeamAttachClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    g_object_class_install_property(
        object_class, PROP_MAX_WAIT,
        g_param_spec_uint("max-wait", "Longest wait",
                          "How long a frame waits for its result before it goes on without one, in milliseconds", 0, 60000,
                          DEFAULT_MAX_WAIT_MS, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING));
    element_class->change_state = change_state;
    gst_element_class_add_static_pad_template(element_class, &video_template);
    gst_element_class_add_static_pad_template(element_class, &results_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam result attacher", "Filter/Metadata/Video",
                                          "Attaches decisions to the video frames that they are about",
                                          "The Seam authors");
    GST_DEBUG_CATEGORY_INIT(seam_attach_debug, "seamattach", 0, "results onto video frames");
}
