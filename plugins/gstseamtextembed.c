// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamtextembed: texts (alarms, an operator's notes, logs) to tokens. It reads a text where it lies, chunk by chunk, in memory that one chunk
// needs; it knows no language and changes no byte of a word.

/**
 * SECTION:element-seamtextembed
 * @title: seamtextembed
 *
 * Input: UTF-8 text, one buffer a text, of any length. Output: embedded tokens at the text's time, at most the model's `max_tokens` words a
 * buffer. GAP events go on as gaps: a stream of texts may be silent for long.
 *
 * A text of more words goes out in several buffers, chunk after chunk, where the model has layers that scan, for these remember what they have
 * read. All buffers but the last are marked (`more` in their meta); seamencoder drops those when all layers have seen them, so a window holds the
 * newest words, and what they know of the words before. Of models without such layers only the newest words are read.
 *
 * |[
 * gst-launch-1.0 filesrc location=weld.srt ! subparse ! seamtextembed model=M.seam ! seamencoder model=M.seam ! fakesink
 * ]|
 */
#include "plugins/gstseamtextembed.h"

#include <math.h>

#include "plugins/gstseamembed.h"

GST_DEBUG_CATEGORY_STATIC(seam_text_embed_debug);
#define GST_CAT_DEFAULT seam_text_embed_debug

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS("text/x-raw, format=(string)utf8"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME ", stage=(string)embedded"));

struct _GstSeamTextEmbed {
    GstElement parent;
    GstSeamEmbed embed;
    // The streaming thread's.
    double last;     // running time of the newest text
    gboolean warned; // that words were not read
};

G_DEFINE_TYPE(GstSeamTextEmbed, gst_seam_text_embed, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE(seamtextembed, "seamtextembed", GST_RANK_NONE, GST_TYPE_SEAM_TEXT_EMBED)

// ---- texts ------------------------------------------------------------------------------------------------------------------------------

// Words without which the model must do.
static void tell_passed(GstSeamTextEmbed *self, const SeamTextCursor *cursor)
{
    if (cursor->passed == 0 || self->warned)
        return;
    self->warned = TRUE;
    GST_WARNING_OBJECT(self, "a text of %" G_GINT64_FORMAT " words: the newest %" G_GINT64_FORMAT " are read, for no layer of the model scans; "
                       "not told again", cursor->passed + cursor->words, cursor->words);
}

// Chunk after chunk; a flush shows as the flow of a push.
static GstFlowReturn embed_text(GstSeamTextEmbed *self, const GstMapInfo *map, double time)
{
    GstSeamEmbed *e = &self->embed;
    GstFlowReturn flow;
    SeamTokens tokens;
    SeamTextCursor cursor = seam_text_open(&e->model.model->embed[e->modality].text, (const char *)map->data, map->size);
    tell_passed(self, &cursor);
    do {
        e->model.arena.used = 0;
        SeamStatus status = seam_model_embed_chunk(e->model.model, &e->model.run, e->modality, &cursor, time, &tokens);
        if (status != SEAM_OK)
            return gst_seam_model_flow(GST_ELEMENT(self), status, "embedding a text");
        flow = gst_seam_embed_push(e, &tokens, NULL, 0, time, 0, cursor.words > 0);
    } while (flow == GST_FLOW_OK && cursor.words > 0);
    e->model.arena.used = 0;
    return flow;
}

// A text without a timestamp belongs where the stream is.
static GstFlowReturn sink_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstSeamTextEmbed *self = GST_SEAM_TEXT_EMBED(parent);
    GstFlowReturn flow = GST_FLOW_OK;
    GstMapInfo map;
    double time = gst_seam_embed_running(&self->embed, GST_BUFFER_PTS(buffer));
    if (!GST_BUFFER_PTS_IS_VALID(buffer))
        time = self->last;
    if (self->embed.modality < 0) {
        flow = GST_FLOW_NOT_NEGOTIATED;
    } else if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        GST_ELEMENT_ERROR(self, RESOURCE, READ, ("%s: cannot map a text", GST_OBJECT_NAME(self)), (NULL));
        flow = GST_FLOW_ERROR;
    } else {
        if (!isnan(time)) { // else outside the segment
            self->last = MAX(self->last, time);
            flow = embed_text(self, &map, time);
        }
        gst_buffer_unmap(buffer, &map);
    }
    gst_buffer_unref(buffer);
    return flow;
}

// ---- events -----------------------------------------------------------------------------------------------------------------------------

static void take_gap(GstSeamTextEmbed *self, GstEvent *event)
{
    GstClockTime start, duration;
    gst_event_parse_gap(event, &start, &duration);
    double from = gst_seam_embed_running(&self->embed, start);
    double to = gst_seam_embed_running(&self->embed, GST_CLOCK_TIME_IS_VALID(duration) ? start + duration : start);
    gst_seam_embed_push_gap(&self->embed, from, to);
}

static gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstSeamTextEmbed *self = GST_SEAM_TEXT_EMBED(parent);
    gboolean result = TRUE;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS: result = gst_seam_embed_choose(&self->embed, SEAM_FRONT_TEXT, 0, 1); break;
    case GST_EVENT_SEGMENT: result = gst_seam_embed_set_segment(&self->embed, event); break;
    case GST_EVENT_GAP: take_gap(self, event); break;
    case GST_EVENT_EOS: gst_seam_embed_begin(&self->embed); return gst_pad_event_default(pad, parent, event);
    case GST_EVENT_FLUSH_STOP:
        self->last = 0;
        gst_seam_embed_reset(&self->embed);
        return gst_pad_event_default(pad, parent, event);
    default: return gst_pad_event_default(pad, parent, event);
    }
    gst_event_unref(event);
    return result;
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstSeamTextEmbed *self = GST_SEAM_TEXT_EMBED(element);
    if (transition == GST_STATE_CHANGE_NULL_TO_READY && !gst_seam_model_start(&self->embed.model, element))
        return GST_STATE_CHANGE_FAILURE;
    GstStateChangeReturn result = GST_ELEMENT_CLASS(gst_seam_text_embed_parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
        self->last = 0;
        self->warned = FALSE;
        self->embed.modality = -1;
        self->embed.has_caps = FALSE;
        gst_seam_embed_reset(&self->embed);
    }
    if (transition == GST_STATE_CHANGE_READY_TO_NULL)
        gst_seam_model_stop(&self->embed.model);
    return result;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    if (!gst_seam_embed_set_property(&GST_SEAM_TEXT_EMBED(object)->embed, id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    if (!gst_seam_embed_get_property(&GST_SEAM_TEXT_EMBED(object)->embed, id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void finalize(GObject *object)
{
    GstSeamTextEmbed *self = GST_SEAM_TEXT_EMBED(object);
    gst_seam_embed_finalize(&self->embed);
    G_OBJECT_CLASS(gst_seam_text_embed_parent_class)->finalize(object);
}

static void gst_seam_text_embed_init(GstSeamTextEmbed *self)
{
    GstPad *sink = gst_pad_new_from_static_template(&sink_template, "sink"), *src = gst_pad_new_from_static_template(&src_template, "src");
    gst_pad_set_chain_function(sink, sink_chain);
    gst_pad_set_event_function(sink, sink_event);
    gst_seam_embed_init(&self->embed, GST_ELEMENT(self), sink, src);
}

static void gst_seam_text_embed_class_init(GstSeamTextEmbedClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_text_embed_debug, "seamtextembed", 0, "texts to tokens");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    gst_seam_embed_class_init(object_class);
    element_class->change_state = change_state;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam text embedding", "Filter/Analyzer/Subtitle",
                                          "Turns texts such as alarms, notes and logs of any length into tokens", "The Seam authors");
}
