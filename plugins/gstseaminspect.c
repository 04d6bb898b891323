// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seaminspect: the whole graph as one bin. It owns the wiring and the properties' way to the elements inside; all work is theirs.

/**
 * SECTION:element-seaminspect
 * @title: seaminspect
 *
 * Video in, the same video with decisions attached out. Further streams come in by request pads that are named after the model's
 * modalities: `sensor_NAME` (audio/x-raw), `image_NAME` (video/x-raw), `text_NAME` (text/x-raw); so `sensor_sound` is the microphone
 * of a model that has a modality `sound`. The request pad `results` gives the decisions as JSON. Every decision is also an element
 * message on the bus (see seamdecoder).
 *
 * |[
 * gst-launch-1.0 filesrc location=weld.avi ! decodebin ! videoconvert ! seaminspect name=i model=M.seam ! videoconvert
 *   ! seamoverlay ! videoconvert ! autovideosink
 *   seamcsvsrc location=weld.csv model=M.seam ! i.sensor_sensors
 *   filesrc location=weld.flac ! decodebin ! audioconvert ! audioresample ! i.sensor_sound
 * ]|
 */
#include "plugins/gstseaminspect.h"

#include <string.h>

GST_DEBUG_CATEGORY_STATIC(seam_inspect_debug);
#define GST_CAT_DEFAULT seam_inspect_debug

// The video waits in its queue for the decision: a few windows. Bounded by time alone, since frames differ in size.
#define VIDEO_QUEUE_TIME (20 * GST_SECOND)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS("video/x-raw"));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("video/x-raw"));
static GstStaticPadTemplate results_template =
    GST_STATIC_PAD_TEMPLATE("results", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("application/json"));
static GstStaticPadTemplate sensor_template = GST_STATIC_PAD_TEMPLATE(
    "sensor_%s", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS("audio/x-raw, format=F32LE, layout=interleaved"));
static GstStaticPadTemplate image_template =
    GST_STATIC_PAD_TEMPLATE("image_%s", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS("video/x-raw"));
static GstStaticPadTemplate text_template =
    GST_STATIC_PAD_TEMPLATE("text_%s", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS("text/x-raw"));

// The properties of seaminspect: each is that of one or more elements inside, by the same name.
typedef enum { TO_EMBED = 1, TO_ENCODER = 2, TO_FUSION = 4, TO_DECODER = 8, TO_ATTACH = 16, TO_ALL = 15 } Target;
static const struct {
    const char *name;
    Target target, from; // set on all of `target`, documented and read from `from`
} forwarded[] = {
    {NULL, 0, 0}, // property numbers begin at 1
    {"model", TO_ALL, TO_DECODER},
    {"device", TO_ALL, TO_DECODER},
    {"max-rate", TO_EMBED, TO_EMBED},
    {"effort", TO_ENCODER, TO_ENCODER},
    {"keep", TO_ENCODER, TO_ENCODER},
    {"deadline", TO_ENCODER, TO_ENCODER},
    {"missing", TO_FUSION, TO_FUSION},
    {"max-wait", TO_FUSION, TO_FUSION},
    {"max-start", TO_FUSION, TO_FUSION},
    {"correct-offset", TO_FUSION, TO_FUSION},
    {"tasks", TO_DECODER, TO_DECODER},
    {"adapter", TO_DECODER, TO_DECODER},
    {"weld", TO_DECODER, TO_DECODER},
    {"false-reject", TO_DECODER, TO_DECODER},
    {"miss", TO_DECODER, TO_DECODER},
    {"source", TO_DECODER, TO_DECODER},
    {"windows", TO_DECODER, TO_DECODER},
};

struct _GstSeamInspect {
    GstBin parent;
    GstElement *embed, *encoder, *fusion, *decoder, *attach, *results_tee;
    gboolean complete; // every element inside could be made
};

G_DEFINE_TYPE(GstSeamInspect, gst_seam_inspect, GST_TYPE_BIN)
GST_ELEMENT_REGISTER_DEFINE(seaminspect, "seaminspect", GST_RANK_NONE, GST_TYPE_SEAM_INSPECT)

// ---- wiring -----------------------------------------------------------------------------------------------------------------------

static GstElement *add(GstSeamInspect *self, const char *factory, const char *name)
{
    GstElement *element = gst_element_factory_make(factory, name);
    if (element)
        gst_bin_add(GST_BIN(self), element);
    else
        self->complete = FALSE;
    return element;
}

static void ghost(GstSeamInspect *self, GstElement *inner, const char *inner_pad, const char *name, GstPadTemplate *template)
{
    GstPad *target = gst_element_get_static_pad(inner, inner_pad);
    gst_element_add_pad(GST_ELEMENT(self), gst_ghost_pad_new_from_template(name, target, template));
    gst_object_unref(target);
}

// sink -> tee -> queue -> embed -> encoder -> fusion -> decoder -> tee -> queue -> attach.results, and tee -> queue -> attach.video -> src.
static void build(GstSeamInspect *self)
{
    self->complete = TRUE;
    GstElement *tee = add(self, "tee", "video_tee"), *picture_queue = add(self, "queue", "picture_queue");
    GstElement *video_queue = add(self, "queue", "video_queue"), *results_queue = add(self, "queue", "results_queue");
    self->embed = add(self, "seamvideoembed", "embed");
    self->encoder = add(self, "seamencoder", "encoder");
    self->fusion = add(self, "seamfusion", "fusion");
    self->decoder = add(self, "seamdecoder", "decoder");
    self->results_tee = add(self, "tee", "results_tee");
    self->attach = add(self, "seamattach", "attach");
    if (!self->complete)
        return;
    g_object_set(video_queue, "max-size-buffers", 0, "max-size-bytes", 0, "max-size-time", VIDEO_QUEUE_TIME, NULL);
    g_object_set(picture_queue, "max-size-buffers", 4, "max-size-bytes", 0, "max-size-time", (guint64)0, NULL);
    g_object_set(self->results_tee, "allow-not-linked", TRUE, NULL);
    gboolean linked = gst_element_link_many(tee, picture_queue, self->embed, self->encoder, NULL) &&
                      gst_element_link_pads(self->encoder, "src", self->fusion, "sink_%u") &&
                      gst_element_link_many(self->fusion, self->decoder, self->results_tee, results_queue, NULL) &&
                      gst_element_link_pads(results_queue, "src", self->attach, "results") &&
                      gst_element_link(tee, video_queue) && gst_element_link_pads(video_queue, "src", self->attach, "video");
    self->complete = linked;
    GstElementClass *klass = GST_ELEMENT_GET_CLASS(self);
    ghost(self, tee, "sink", "sink", gst_element_class_get_pad_template(klass, "sink"));
    ghost(self, self->attach, "src", "src", gst_element_class_get_pad_template(klass, "src"));
}

// ---- request pads -----------------------------------------------------------------------------------------------------------------

static const char *embed_factory(GstPadTemplate *template)
{
    const char *name = GST_PAD_TEMPLATE_NAME_TEMPLATE(template);
    return g_str_has_prefix(name, "sensor_") ? "seamsensorembed"
           : g_str_has_prefix(name, "image_") ? "seamvideoembed"
                                              : "seamtextembed";
}

static GstPad *request_results(GstSeamInspect *self, GstPadTemplate *template)
{
    GstPad *other = gst_element_get_static_pad(GST_ELEMENT(self), "results");
    GstElement *queue = other ? NULL : add(self, "queue", NULL);
    gst_clear_object(&other);
    if (!queue)
        return NULL;
    gst_element_sync_state_with_parent(queue); // before the tee pushes into it
    if (!gst_element_link(self->results_tee, queue))
        return NULL;
    GstPad *target = gst_element_get_static_pad(queue, "src");
    GstPad *pad = gst_ghost_pad_new_from_template("results", target, template);
    gst_object_unref(target);
    return pad;
}

// What has been set on the bin so far holds for a branch that comes later.
static void copy_settings(GstElement *from, GstElement *to, Target target)
{
    for (guint id = 1; id < G_N_ELEMENTS(forwarded); id++) {
        GParamSpec *spec = forwarded[id].target & target ? g_object_class_find_property(G_OBJECT_GET_CLASS(from), forwarded[id].name) : NULL;
        if (!spec || !g_object_class_find_property(G_OBJECT_GET_CLASS(to), forwarded[id].name))
            continue;
        GValue value = G_VALUE_INIT;
        g_value_init(&value, spec->value_type);
        g_object_get_property(G_OBJECT(from), forwarded[id].name, &value);
        g_object_set_property(G_OBJECT(to), forwarded[id].name, &value);
        g_value_unset(&value);
    }
}

// A branch of its own: queue -> embed(modality) -> encoder -> fusion. The pad remembers its elements for release.
static GstPad *request_branch(GstSeamInspect *self, GstPadTemplate *template, const char *name)
{
    const char *modality = strchr(name, '_') + 1;
    GstElement *queue = add(self, "queue", NULL), *embed = add(self, embed_factory(template), NULL);
    GstElement *encoder = add(self, "seamencoder", NULL);
    if (!queue || !embed || !encoder)
        return NULL;
    copy_settings(self->embed, embed, TO_EMBED);
    copy_settings(self->encoder, encoder, TO_ENCODER);
    g_object_set(embed, "modality", modality, NULL);
    if (!gst_element_link_many(queue, embed, encoder, NULL) ||
        !gst_element_link_pads(encoder, "src", self->fusion, "sink_%u"))
        return NULL;
    GstPad *target = gst_element_get_static_pad(queue, "sink");
    GstPad *pad = gst_ghost_pad_new_from_template(name, target, template);
    gst_object_unref(target);
    GstElement *branch[] = {encoder, embed, queue};
    for (guint i = 0; i < G_N_ELEMENTS(branch); i++)
        gst_element_sync_state_with_parent(branch[i]);
    return pad;
}

static GstPad *request_new_pad(GstElement *element, GstPadTemplate *template, const char *name, const GstCaps *caps)
{
    GstSeamInspect *self = GST_SEAM_INSPECT(element);
    if (!self->complete)
        return NULL;
    GstPad *pad = NULL;
    if (GST_PAD_TEMPLATE_DIRECTION(template) == GST_PAD_SRC)
        pad = request_results(self, template);
    else if (name && strchr(name, '_') && strchr(name, '_')[1])
        pad = request_branch(self, template, name);
    else
        GST_WARNING_OBJECT(self, "a request pad is named after its modality: sensor_sensors, sensor_sound, image_photo, text_text");
    if (!pad)
        return NULL;
    gst_pad_set_active(pad, TRUE);
    gst_element_add_pad(element, pad);
    return pad;
}

// Undoes request_branch(). First whoever waits in the fusion or in a full queue is let go; only then can the pad's thread be awaited.
static void remove_branch(GstSeamInspect *self, GstPad *pad, GstPad *target)
{
    GstElement *branch[3];
    GstPad *inner = gst_object_ref(target);
    for (guint i = 0; i < G_N_ELEMENTS(branch); i++) {
        branch[i] = gst_pad_get_parent_element(inner);
        GstPad *src = gst_element_get_static_pad(branch[i], "src");
        gst_object_unref(inner);
        inner = gst_pad_get_peer(src);
        gst_object_unref(src);
    }
    gst_element_release_request_pad(self->fusion, inner);
    gst_object_unref(inner);
    for (guint i = 0; i < G_N_ELEMENTS(branch); i++)
        gst_element_set_state(branch[i], GST_STATE_NULL);
    gst_pad_set_active(pad, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(branch); i++) {
        gst_bin_remove(GST_BIN(self), branch[i]);
        gst_object_unref(branch[i]);
    }
}

// The tee's pad goes first: a push into a queue that stops would stop the tee.
static void remove_results(GstSeamInspect *self, GstPad *pad, GstPad *target)
{
    GstElement *queue = gst_pad_get_parent_element(target);
    GstPad *sink = gst_element_get_static_pad(queue, "sink"), *tee_pad = gst_pad_get_peer(sink);
    gst_element_release_request_pad(self->results_tee, tee_pad);
    gst_element_set_state(queue, GST_STATE_NULL);
    gst_pad_set_active(pad, FALSE);
    gst_bin_remove(GST_BIN(self), queue);
    gst_object_unref(tee_pad);
    gst_object_unref(sink);
    gst_object_unref(queue);
}

static void release_pad(GstElement *element, GstPad *pad)
{
    GstSeamInspect *self = GST_SEAM_INSPECT(element);
    GstPad *target = gst_ghost_pad_get_target(GST_GHOST_PAD(pad));
    if (target && GST_PAD_DIRECTION(pad) == GST_PAD_SINK)
        remove_branch(self, pad, target);
    else if (target)
        remove_results(self, pad, target);
    gst_clear_object(&target);
    gst_element_remove_pad(element, pad);
}

// ---- properties -------------------------------------------------------------------------------------------------------------------

static gboolean belongs(GstElement *child, Target target)
{
    GstElementFactory *factory = gst_element_get_factory(child);
    const char *name = factory ? GST_OBJECT_NAME(factory) : "";
    return ((target & TO_EMBED) && g_str_has_suffix(name, "embed")) || ((target & TO_ENCODER) && g_str_equal(name, "seamencoder")) ||
           ((target & TO_FUSION) && g_str_equal(name, "seamfusion")) ||
           ((target & TO_DECODER) && g_str_equal(name, "seamdecoder")) ||
           ((target & TO_ATTACH) && g_str_equal(name, "seamattach"));
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstIterator *children = gst_bin_iterate_elements(GST_BIN(object));
    GValue item = G_VALUE_INIT;
    while (gst_iterator_next(children, &item) == GST_ITERATOR_OK) {
        GObject *child = g_value_get_object(&item);
        if (belongs(GST_ELEMENT(child), forwarded[id].target) &&
            g_object_class_find_property(G_OBJECT_GET_CLASS(child), forwarded[id].name))
            g_object_set_property(child, forwarded[id].name, value);
        g_value_reset(&item);
    }
    g_value_unset(&item);
    gst_iterator_free(children);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstSeamInspect *self = GST_SEAM_INSPECT(object);
    GstElement *from = forwarded[id].from == TO_EMBED ? self->embed : forwarded[id].from == TO_ENCODER ? self->encoder
                       : forwarded[id].from == TO_FUSION ? self->fusion : self->decoder;
    if (from)
        g_object_get_property(G_OBJECT(from), forwarded[id].name, value);
}

// The same property again, for a class of ours. Only the types that the elements inside use.
static GParamSpec *copy_spec(GParamSpec *of)
{
    const char *name = of->name, *nick = g_param_spec_get_nick(of), *blurb = g_param_spec_get_blurb(of);
    GParamFlags flags = of->flags;
    if (G_IS_PARAM_SPEC_UINT(of)) {
        GParamSpecUInt *u = G_PARAM_SPEC_UINT(of);
        return g_param_spec_uint(name, nick, blurb, u->minimum, u->maximum, u->default_value, flags);
    }
    if (G_IS_PARAM_SPEC_DOUBLE(of)) {
        GParamSpecDouble *d = G_PARAM_SPEC_DOUBLE(of);
        return g_param_spec_double(name, nick, blurb, d->minimum, d->maximum, d->default_value, flags);
    }
    if (G_IS_PARAM_SPEC_BOOLEAN(of))
        return g_param_spec_boolean(name, nick, blurb, G_PARAM_SPEC_BOOLEAN(of)->default_value, flags);
    if (G_IS_PARAM_SPEC_ENUM(of))
        return g_param_spec_enum(name, nick, blurb, of->value_type, G_PARAM_SPEC_ENUM(of)->default_value, flags);
    g_assert(G_IS_PARAM_SPEC_STRING(of));
    return g_param_spec_string(name, nick, blurb, G_PARAM_SPEC_STRING(of)->default_value, flags);
}

// The class of an element of this plugin; it stays loaded, as our class borrows its words.
static GObjectClass *class_of(const char *factory_name)
{
    GstElementFactory *factory = gst_element_factory_find(factory_name);
    GstPluginFeature *loaded = factory ? gst_plugin_feature_load(GST_PLUGIN_FEATURE(factory)) : NULL;
    GObjectClass *klass = loaded ? g_type_class_ref(gst_element_factory_get_element_type(GST_ELEMENT_FACTORY(loaded))) : NULL;
    gst_clear_object(&loaded);
    gst_clear_object(&factory);
    return klass;
}

// Each property is the one of the element inside: same type, range, default and words.
static void install_properties(GObjectClass *klass)
{
    static const struct {
        Target target;
        const char *factory;
    } sources[] = {{TO_EMBED, "seamvideoembed"}, {TO_ENCODER, "seamencoder"}, {TO_FUSION, "seamfusion"}, {TO_DECODER, "seamdecoder"}};
    for (guint s = 0; s < G_N_ELEMENTS(sources); s++) {
        GObjectClass *source = class_of(sources[s].factory);
        for (guint id = 1; source && id < G_N_ELEMENTS(forwarded); id++) {
            GParamSpec *of = forwarded[id].from == sources[s].target
                                 ? g_object_class_find_property(source, forwarded[id].name) : NULL;
            if (of)
                g_object_class_install_property(klass, id, copy_spec(of));
        }
    }
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstSeamInspect *self = GST_SEAM_INSPECT(element);
    if (transition == GST_STATE_CHANGE_NULL_TO_READY && !self->complete) {
        GST_ELEMENT_ERROR(self, CORE, MISSING_PLUGIN, ("seaminspect: an element that it is made of is missing"),
                          ("tee and queue come with GStreamer's core elements, the seam elements with this plugin; run `seam doctor`"));
        return GST_STATE_CHANGE_FAILURE;
    }
    return GST_ELEMENT_CLASS(gst_seam_inspect_parent_class)->change_state(element, transition);
}

static void gst_seam_inspect_init(GstSeamInspect *self) { build(self); }

static void gst_seam_inspect_class_init(GstSeamInspectClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_inspect_debug, "seaminspect", 0, "the inspection graph as one bin");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    install_properties(object_class);
    element_class->request_new_pad = request_new_pad;
    element_class->release_pad = release_pad;
    element_class->change_state = change_state;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_add_static_pad_template(element_class, &results_template);
    gst_element_class_add_static_pad_template(element_class, &sensor_template);
    gst_element_class_add_static_pad_template(element_class, &image_template);
    gst_element_class_add_static_pad_template(element_class, &text_template);
    gst_element_class_set_static_metadata(element_class, "Seam inspection", "Generic/Bin/Analyzer/Video",
                                          "Judges welds from video, sensors, sound and text, and attaches the decisions to the video",
                                          "The Seam authors");
}
