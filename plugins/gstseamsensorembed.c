// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamsensorembed: samples to tokens. It owns the windower (core/sensor_window.h) and the rules by which a stream with jitter, gaps and
// overlaps becomes samples at known times; it never invents a sample, and a window without any leaves as a gap.

/**
 * SECTION:element-seamsensorembed
 * @title: seamsensorembed
 *
 * Input: samples of one sensor modality, any rate, up to 64 channels. Output: embedded tokens, one sequence a window of the model.
 * GAP events, buffers with the flag GAP and NaN samples all mean that nothing was measured.
 *
 * |[
 * gst-launch-1.0 seamcsvsrc location=weld.csv model=M.seam ! seamsensorembed model=M.seam ! seamencoder model=M.seam ! fakesink
 * ]|
 */
#include "plugins/gstseamsensorembed.h"

#include <gst/audio/audio.h>
#include <math.h>

#include "plugins/gstseamembed.h"

GST_DEBUG_CATEGORY_STATIC(seam_sensor_embed_debug);
#define GST_CAT_DEFAULT seam_sensor_embed_debug

static const double jitter = 0.02;      // seconds by which timestamps may leave the count of samples, as with audio elsewhere in GStreamer
static const double most_overlap = 1.0; // seconds that may come twice (a source that re-syncs); more is a broken clock
static const double levels_a_second = 50;

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
                            GST_STATIC_CAPS("audio/x-raw, format=(string)F32LE, layout=(string)interleaved, rate=(int)[1, 10000000], "
                                            "channels=(int)[1, 64]"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME ", stage=(string)embedded"));

struct _GstSeamSensorEmbed {
    GstElement parent;
    GstSeamEmbed embed;

    // The streaming thread's.
    SeamWindower *windower; // NULL until caps have come
    int rate, channels;
    double next;      // running time at which the next sample is expected; NaN: anywhere
    double gap_start; // of a gap that is not yet sent; NaN: none
    double gap_end;
    gboolean warned;  // about samples that came twice
};

G_DEFINE_TYPE(GstSeamSensorEmbed, gst_seam_sensor_embed, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE(seamsensorembed, "seamsensorembed", GST_RANK_NONE, GST_TYPE_SEAM_SENSOR_EMBED)

// ---- windows out ------------------------------------------------------------------------------------------------------------------------

static void send_gap(GstSeamSensorEmbed *self)
{
    if (!isnan(self->gap_start))
        gst_seam_embed_push_gap(&self->embed, self->gap_start, self->gap_end);
    self->gap_start = NAN;
}

static GstFlowReturn push_window(GstSeamSensorEmbed *self, const SeamSensorWindow *window)
{
    GstSeamEmbed *e = &self->embed;
    double duration = e->model.model->config.window;
    SeamTokens tokens;
    SeamStatus status = seam_model_embed_windows(e->model.model, &e->model.run, e->modality, 1, window, &tokens, NULL);
    if (status != SEAM_OK)
        return gst_seam_model_flow(GST_ELEMENT(self), status, "embedding a sensor window");
    GstFlowReturn flow = gst_seam_embed_push(e, &tokens, window->levels, window->n_levels, window->time, duration, FALSE);
    e->model.arena.used = 0;
    return flow;
}

// All windows that are complete. Those without samples are told as one gap, so that a long pause is one event.
static GstFlowReturn push_windows(GstSeamSensorEmbed *self, gboolean drain)
{
    SeamSensorWindow window;
    GstFlowReturn flow = GST_FLOW_OK;
    while (flow == GST_FLOW_OK && self->windower && seam_windower_pop(self->windower, drain, &window)) {
        if (window.valid > 0) {
            send_gap(self);
            flow = push_window(self, &window);
            continue;
        }
        if (isnan(self->gap_start))
            self->gap_start = window.time;
        self->gap_end = window.time + self->embed.model.model->config.window;
    }
    send_gap(self);
    return flow;
}

// ---- samples in -------------------------------------------------------------------------------------------------------------------------

static GstFlowReturn refuse(GstSeamSensorEmbed *self, GError *error)
{
    GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s: %s: %s", GST_OBJECT_NAME(self), gst_seam_embed_modality(&self->embed)->name, error->message),
                      (NULL));
    g_error_free(error);
    return GST_FLOW_ERROR;
}

// Where the samples of a buffer belong:
//
//   timestamp                                          | time of the first sample
//   ---------------------------------------------------+------------------------------------------------------------------------
//   none                                               | after the last one; of the first buffer: 0
//   within `jitter`, or one sample, of the count       | after the last one, so that rounding moves nothing
//   later                                              | as it says: what lies between is missing
//   earlier by at most `most_overlap`                  | as it says, without the samples that were there already
//   earlier still                                      | an error
static double place_samples(GstSeamSensorEmbed *self, GstBuffer *buffer, guint n, guint *skip)
{
    double time = gst_seam_embed_running(&self->embed, GST_BUFFER_PTS(buffer)), next = self->next;
    *skip = 0;
    if (isnan(next))
        return isnan(time) ? 0 : time;
    double tolerance = GST_BUFFER_IS_DISCONT(buffer) ? 1.0 / self->rate : MAX(jitter, 1.0 / self->rate);
    if (isnan(time) || fabs(time - next) <= tolerance)
        return next;
    if (time > next || next - time > most_overlap)
        return time;
    *skip = (guint)MIN((double)n, ceil((next - time) * self->rate - 1e-6));
    if (!self->warned)
        GST_ELEMENT_WARNING(self, STREAM, FAILED,
                            ("%s: samples of %.3f s came twice and the later ones were dropped; check the source's timestamps",
                             GST_OBJECT_NAME(self), next - time), ("further ones are dropped without a word"));
    self->warned = TRUE;
    return *skip < n ? next : time;
}

static GstFlowReturn take_samples(GstSeamSensorEmbed *self, GstBuffer *buffer)
{
    GError *error = NULL;
    GstMapInfo map;
    guint skip, bytes = (guint)self->channels * sizeof(float), n = (guint)(gst_buffer_get_size(buffer) / bytes);
    double time = place_samples(self, buffer, n, &skip);
    if (skip == n)
        return GST_FLOW_OK;
    double end = time + (double)(n - skip) / self->rate;
    gboolean done;
    if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_GAP)) {
        done = seam_windower_gap(self->windower, end, &error);
    } else {
        if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) {
            GST_ELEMENT_ERROR(self, RESOURCE, READ, ("%s: cannot map a buffer of samples", GST_OBJECT_NAME(self)), (NULL));
            return GST_FLOW_ERROR;
        }
        const float *x = (const float *)(const void *)map.data + (gsize)skip * self->channels;
        done = seam_windower_push(self->windower, time, x, (int32_t)(n - skip), &error);
        gst_buffer_unmap(buffer, &map);
    }
    if (!done)
        return refuse(self, error);
    self->next = end;
    return push_windows(self, FALSE);
}

static GstFlowReturn sink_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstSeamSensorEmbed *self = GST_SEAM_SENSOR_EMBED(parent);
    gsize frame = (gsize)self->channels * sizeof(float), size = gst_buffer_get_size(buffer);
    if (!self->windower) {
        gst_buffer_unref(buffer);
        return GST_FLOW_NOT_NEGOTIATED;
    }
    if (size % frame != 0 || size / frame > G_MAXINT32) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT,
                          ("%s: a buffer of %" G_GSIZE_FORMAT " bytes came, must be a multiple of %d channels of 4 bytes", GST_OBJECT_NAME(self),
                           size, self->channels), (NULL));
        gst_buffer_unref(buffer);
        return GST_FLOW_ERROR;
    }
    if (size > 0)
        buffer = gst_audio_buffer_clip(buffer, &self->embed.segment, self->rate, (gint)frame);
    if (!buffer) // outside the segment
        return GST_FLOW_OK;
    GstFlowReturn flow = size > 0 ? take_samples(self, buffer) : GST_FLOW_OK;
    gst_buffer_unref(buffer);
    return flow;
}

// ---- events -----------------------------------------------------------------------------------------------------------------------------

static void take_gap(GstSeamSensorEmbed *self, GstEvent *event)
{
    GstClockTime start, duration;
    GError *error = NULL;
    gst_event_parse_gap(event, &start, &duration);
    double end = gst_seam_embed_running(&self->embed, GST_CLOCK_TIME_IS_VALID(duration) ? start + duration : start);
    if (!self->windower) // nothing is known of the stream yet but that it is silent
        gst_seam_embed_push_gap(&self->embed, gst_seam_embed_running(&self->embed, start), end);
    if (!self->windower || isnan(end) || end <= self->next)
        return;
    if (!seam_windower_gap(self->windower, end, &error)) {
        refuse(self, error);
        return;
    }
    self->next = end;
    push_windows(self, FALSE);
}

static void forget_samples(GstSeamSensorEmbed *self)
{
    if (self->windower)
        seam_windower_reset(self->windower);
    self->next = self->gap_start = NAN;
}

// Caps may change between two samples: what came before is told first.
static gboolean set_caps(GstSeamSensorEmbed *self, GstCaps *caps)
{
    const GstStructure *structure = gst_caps_get_structure(caps, 0);
    GstSeamEmbed *e = &self->embed;
    GError *error = NULL;
    int rate, channels;
    if (!gst_structure_get_int(structure, "rate", &rate) || !gst_structure_get_int(structure, "channels", &channels))
        return FALSE;
    if (self->windower && rate == self->rate && channels == self->channels)
        return TRUE;
    if (self->windower && channels != self->channels) {
        GST_ELEMENT_ERROR(self, STREAM, WRONG_TYPE,
                          ("%s: the input had %d channels and now has %d; the modality \"%s\" has %d", GST_OBJECT_NAME(self), self->channels,
                           channels, gst_seam_embed_modality(e)->name, gst_seam_embed_modality(e)->channels), (NULL));
        return FALSE;
    }
    push_windows(self, TRUE);
    g_clear_pointer(&self->windower, seam_windower_free);
    if (!gst_seam_embed_choose(e, SEAM_FRONT_SENSOR, channels, (gint32)ceil(e->model.model->config.window * levels_a_second) + 1))
        return FALSE;
    self->windower = seam_windower_new(&e->model.model->config, e->modality, rate, &error);
    if (!self->windower) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s: %s", GST_OBJECT_NAME(self), error->message), (NULL));
        g_error_free(error);
        return FALSE;
    }
    self->rate = rate;
    self->channels = channels;
    self->next = NAN;
    return TRUE;
}

static gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstSeamSensorEmbed *self = GST_SEAM_SENSOR_EMBED(parent);
    gboolean result = TRUE;
    GstCaps *caps;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS:
        gst_event_parse_caps(event, &caps);
        result = set_caps(self, caps);
        break;
    case GST_EVENT_SEGMENT: result = gst_seam_embed_set_segment(&self->embed, event); break;
    case GST_EVENT_GAP: take_gap(self, event); break;
    case GST_EVENT_EOS:
        push_windows(self, TRUE);
        forget_samples(self);
        gst_seam_embed_begin(&self->embed);
        return gst_pad_event_default(pad, parent, event);
    case GST_EVENT_FLUSH_STOP:
        forget_samples(self);
        gst_seam_embed_reset(&self->embed);
        return gst_pad_event_default(pad, parent, event);
    default: return gst_pad_event_default(pad, parent, event);
    }
    gst_event_unref(event);
    return result;
}

// ---- queries ----------------------------------------------------------------------------------------------------------------------------

// The numbers of channels that the model's sensor modalities (or the one that is set) have, so that a converter before us makes them. What
// cannot become one of them is let through nevertheless: set_caps() says what is wrong, the words "not negotiated" do not.
static GstCaps *fitting_caps(GstSeamSensorEmbed *self, GstCaps *all)
{
    GstSeamEmbed *e = &self->embed;
    const SeamConfig *config = e->model.model ? &e->model.model->config : NULL;
    GstCaps *fitting = gst_caps_new_empty();
    for (gint32 m = 0; config && m < config->n_modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_SENSOR && (!e->modality_name || g_str_equal(e->modality_name, config->modality[m].name))) {
            GstCaps *one = gst_caps_copy(all);
            gst_caps_set_simple(one, "channels", G_TYPE_INT, config->modality[m].channels, NULL);
            fitting = gst_caps_merge(fitting, one);
        }
    return fitting;
}

static void answer_caps(GstSeamSensorEmbed *self, GstQuery *query)
{
    GstCaps *filter, *all = gst_pad_get_pad_template_caps(self->embed.sink), *caps = fitting_caps(self, all);
    gst_query_parse_caps(query, &filter);
    if (filter && !gst_caps_can_intersect(caps, filter))
        gst_caps_replace(&caps, all);
    if (filter) {
        GstCaps *both = gst_caps_intersect_full(filter, caps, GST_CAPS_INTERSECT_FIRST);
        gst_caps_unref(caps);
        caps = both;
    }
    gst_query_set_caps_result(query, gst_caps_is_empty(caps) && !filter ? all : caps);
    gst_caps_unref(caps);
    gst_caps_unref(all);
}

static gboolean sink_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) != GST_QUERY_CAPS)
        return gst_pad_query_default(pad, parent, query);
    answer_caps(GST_SEAM_SENSOR_EMBED(parent), query);
    return TRUE;
}

// A window leaves when its last sample has come.
static gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    GstSeamEmbed *e = &GST_SEAM_SENSOR_EMBED(parent)->embed;
    gboolean live;
    GstClockTime least, most;
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY || !e->model.model)
        return gst_pad_query_default(pad, parent, query);
    if (!gst_pad_peer_query(e->sink, query))
        return FALSE;
    GstClockTime window = (GstClockTime)(e->model.model->config.window * GST_SECOND);
    gst_query_parse_latency(query, &live, &least, &most);
    gst_query_set_latency(query, live, least + window, GST_CLOCK_TIME_IS_VALID(most) ? most + window : most);
    return TRUE;
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

static void stop_stream(GstSeamSensorEmbed *self)
{
    g_clear_pointer(&self->windower, seam_windower_free);
    gst_seam_embed_reset(&self->embed);
    self->embed.modality = -1;
    self->embed.has_caps = FALSE;
    self->next = self->gap_start = NAN;
    self->warned = FALSE;
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstSeamSensorEmbed *self = GST_SEAM_SENSOR_EMBED(element);
    if (transition == GST_STATE_CHANGE_NULL_TO_READY && !gst_seam_model_start(&self->embed.model, element))
        return GST_STATE_CHANGE_FAILURE;
    GstStateChangeReturn result = GST_ELEMENT_CLASS(gst_seam_sensor_embed_parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
        stop_stream(self);
    if (transition == GST_STATE_CHANGE_READY_TO_NULL)
        gst_seam_model_stop(&self->embed.model);
    return result;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    if (!gst_seam_embed_set_property(&GST_SEAM_SENSOR_EMBED(object)->embed, id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    if (!gst_seam_embed_get_property(&GST_SEAM_SENSOR_EMBED(object)->embed, id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void finalize(GObject *object)
{
    GstSeamSensorEmbed *self = GST_SEAM_SENSOR_EMBED(object);
    g_clear_pointer(&self->windower, seam_windower_free);
    gst_seam_embed_finalize(&self->embed);
    G_OBJECT_CLASS(gst_seam_sensor_embed_parent_class)->finalize(object);
}

static void gst_seam_sensor_embed_init(GstSeamSensorEmbed *self)
{
    GstPad *sink = gst_pad_new_from_static_template(&sink_template, "sink"), *src = gst_pad_new_from_static_template(&src_template, "src");
    gst_pad_set_chain_function(sink, sink_chain);
    gst_pad_set_event_function(sink, sink_event);
    gst_pad_set_query_function(sink, sink_query);
    gst_pad_set_query_function(src, src_query);
    GST_PAD_SET_ACCEPT_TEMPLATE(sink);
    gst_seam_embed_init(&self->embed, GST_ELEMENT(self), sink, src);
    self->next = self->gap_start = NAN;
}

static void gst_seam_sensor_embed_class_init(GstSeamSensorEmbedClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_sensor_embed_debug, "seamsensorembed", 0, "samples to tokens");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    gst_seam_embed_class_init(object_class);
    element_class->change_state = change_state;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam sensor embedding", "Filter/Analyzer/Audio",
                                          "Turns windows of sensor samples or sound into tokens", "The Seam authors");
}
