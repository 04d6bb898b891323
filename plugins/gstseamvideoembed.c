// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamvideoembed: pictures to tokens. It owns the scaled picture and the working memory of its streaming thread. A frame is mapped where
// it lies and read once, by the scaler; it is never converted or copied before.

/**
 * SECTION:element-seamvideoembed
 * @title: seamvideoembed
 *
 * Raw video in, one buffer of tokens (one sequence) a frame out, with the frame's mean brightness beside it. Frames that come too late
 * for downstream are skipped (QoS); those above `max-rate` give their brightness and no tokens.
 *
 * |[
 * gst-launch-1.0 videotestsrc num-buffers=50 ! seamvideoembed model=M.seam ! seamencoder model=M.seam ! seamfusion model=M.seam
 *   ! seamdecoder model=M.seam ! filesink location=results.jsonl
 * ]|
 */
#include "plugins/gstseamvideoembed.h"

#include <gst/video/video.h>
#include <math.h>

#include "core/vision.h"
#include "plugins/gstseammodel.h"
#include "plugins/gstseamtokens.h"

GST_DEBUG_CATEGORY_STATIC(seam_video_embed_debug);
#define GST_CAT_DEFAULT seam_video_embed_debug

enum { PROP_MODALITY = GST_SEAM_PROP_OWN, PROP_MAX_RATE };
#define MOST_RATE 1000.0 // frames a second

#define FORMATS "{ I420, NV12, GRAY8, YUY2, RGB, BGR, RGBx, BGRx, RGBA, BGRA }"
static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_VIDEO_CAPS_MAKE(FORMATS)));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME ", stage=(string)embedded"));

struct _GstSeamVideoEmbed {
    GstBaseTransform parent;
    char *modality_name; // properties, under the object's lock
    double max_rate;

    // The streaming thread's, from start to stop.
    GstSeamModel model;
    gint32 modality;
    SeamVisionScratch *scratch;
    guint8 *pixels; // [size, size, channels]
    GstSeamTokensPool *pool;
    GstVideoInfo info;     // finfo is NULL until caps have come
    double next;           // running time of a frame without a timestamp: the end of the one before, seconds
    gint64 slot;           // of max-rate's grid in which the last frame was; -1: none
    guint64 frames, skipped; // statistics
};

G_DEFINE_TYPE(GstSeamVideoEmbed, gst_seam_video_embed, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(seamvideoembed, "seamvideoembed", GST_RANK_NONE, GST_TYPE_SEAM_VIDEO_EMBED)

// ---- pictures ---------------------------------------------------------------------------------------------------------------------------

static SeamPixels pixels_of(GstVideoFormat format)
{
    switch (format) {
    case GST_VIDEO_FORMAT_RGB: return SEAM_PIXELS_RGB;
    case GST_VIDEO_FORMAT_BGR: return SEAM_PIXELS_BGR;
    case GST_VIDEO_FORMAT_RGBx:
    case GST_VIDEO_FORMAT_RGBA: return SEAM_PIXELS_RGBX; // opacity says nothing about a weld
    case GST_VIDEO_FORMAT_BGRx:
    case GST_VIDEO_FORMAT_BGRA: return SEAM_PIXELS_BGRX;
    case GST_VIDEO_FORMAT_I420: return SEAM_PIXELS_I420;
    case GST_VIDEO_FORMAT_NV12: return SEAM_PIXELS_NV12;
    case GST_VIDEO_FORMAT_YUY2: return SEAM_PIXELS_YUY2;
    default: return SEAM_PIXELS_GRAY8;
    }
}

static SeamPicture picture_of(GstVideoFrame *frame)
{
    SeamPicture picture = {pixels_of(GST_VIDEO_FRAME_FORMAT(frame)), GST_VIDEO_FRAME_WIDTH(frame), GST_VIDEO_FRAME_HEIGHT(frame), {0}, {0}};
    for (guint p = 0; p < MIN(3, GST_VIDEO_FRAME_N_PLANES(frame)); p++) {
        picture.plane[p] = GST_VIDEO_FRAME_PLANE_DATA(frame, p);
        picture.stride[p] = GST_VIDEO_FRAME_PLANE_STRIDE(frame, p);
    }
    return picture;
}

// ---- caps -------------------------------------------------------------------------------------------------------------------------------

static GstCaps *token_caps(GstSeamVideoEmbed *self)
{
    const SeamModel *model = self->model.model;
    if (!model)
        return gst_static_pad_template_get_caps(&src_template);
    return gst_seam_tokens_caps_new(&model->config, model->fingerprint, SEAM_STAGE_EMBEDDED, self->modality, 0);
}

static GstCaps *transform_caps(GstBaseTransform *base, GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
    GstCaps *result = direction == GST_PAD_SINK ? token_caps(GST_SEAM_VIDEO_EMBED(base)) : gst_static_pad_template_get_caps(&sink_template);
    if (!filter)
        return result;
    GstCaps *both = gst_caps_intersect_full(filter, result, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(result);
    return both;
}

static gboolean set_caps(GstBaseTransform *base, GstCaps *in, GstCaps *out)
{
    GstSeamVideoEmbed *self = GST_SEAM_VIDEO_EMBED(base);
    if (gst_video_info_from_caps(&self->info, in))
        return TRUE;
    GST_ELEMENT_ERROR(self, CORE, NEGOTIATION, ("%s: the video caps are incomplete: put a videoconvert before", GST_OBJECT_NAME(self)),
                      ("%" GST_PTR_FORMAT, (void *)in));
    return FALSE;
}

// Frames may come with strides of their own: that spares upstream a copy.
static gboolean propose_allocation(GstBaseTransform *base, GstQuery *decide, GstQuery *query)
{
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    return TRUE;
}

// ---- which frames -----------------------------------------------------------------------------------------------------------------------
//
// frame                          | what is done
// -------------------------------+------------------------------------------------------------------------
// with a timestamp               | embedded at its running time
// without one                    | at the end of the frame before it; the first at 0
// outside the segment            | dropped
// second in a slot of 1/max-rate | a buffer without tokens, that only tells its brightness
// later than QoS allows          | dropped by the base class

static double frame_time(GstSeamVideoEmbed *self, GstBuffer *buffer)
{
    if (!GST_BUFFER_PTS_IS_VALID(buffer))
        return self->next;
    guint64 running = gst_segment_to_running_time(&GST_BASE_TRANSFORM(self)->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    return GST_CLOCK_TIME_IS_VALID(running) ? running / (double)GST_SECOND : NAN;
}

static GstClockTime frame_duration(const GstSeamVideoEmbed *self, GstBuffer *buffer)
{
    if (GST_BUFFER_DURATION_IS_VALID(buffer) || GST_VIDEO_INFO_FPS_N(&self->info) == 0)
        return GST_BUFFER_DURATION(buffer);
    return gst_util_uint64_scale(GST_SECOND, (guint64)GST_VIDEO_INFO_FPS_D(&self->info), (guint64)GST_VIDEO_INFO_FPS_N(&self->info));
}

// The grid of slots depends on nothing but the rate, so the same stream gives the same frames each time.
static gboolean is_wanted(GstSeamVideoEmbed *self, double time)
{
    GST_OBJECT_LOCK(self);
    double rate = self->max_rate;
    GST_OBJECT_UNLOCK(self);
    if (rate == 0)
        return TRUE;
    gint64 slot = (gint64)floor(time * rate + 1e-6);
    gboolean wanted = slot != self->slot;
    self->slot = slot;
    return wanted;
}

// ---- the work ---------------------------------------------------------------------------------------------------------------------------

static gboolean map_frame(GstSeamVideoEmbed *self, GstBuffer *buffer, GstVideoFrame *frame)
{
    if (gst_video_frame_map(frame, &self->info, buffer, GST_MAP_READ))
        return TRUE;
    GST_ELEMENT_ERROR(self, STREAM, FORMAT,
                      ("%s: a frame of %" G_GSIZE_FORMAT " bytes came, the caps say %dx%d %s (%" G_GSIZE_FORMAT " bytes)", GST_OBJECT_NAME(self),
                       gst_buffer_get_size(buffer), GST_VIDEO_INFO_WIDTH(&self->info), GST_VIDEO_INFO_HEIGHT(&self->info),
                       GST_VIDEO_INFO_NAME(&self->info), GST_VIDEO_INFO_SIZE(&self->info)), (NULL));
    return FALSE;
}

static gboolean scale(GstSeamVideoEmbed *self, const SeamPicture *picture)
{
    const SeamModality *modality = &self->model.model->config.modality[self->modality];
    g_autoptr(GError) error = NULL;
    gboolean done = modality->image.normalise_picture ?
        seam_vision_to_level_input(self->scratch, picture, modality->image.size, self->pixels, &error) :
        seam_vision_to_input(self->scratch, picture, modality->image.size, modality->channels, self->pixels, &error);
    if (!done)
        GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s: %s", GST_OBJECT_NAME(self), error->message), (NULL));
    return done;
}

// A frame that is not wanted gives no tokens, but its brightness: the arc's ends and the clock offset are measured on all frames.
static GstFlowReturn embed(GstSeamVideoEmbed *self, GstBuffer *buffer, double time, gboolean wanted, GstBuffer **tokens_out)
{
    SeamTokens tokens = {.dim = self->model.model->config.dim, .seq_start = (int32_t[]){0}};
    GstVideoFrame frame;
    if (!map_frame(self, buffer, &frame))
        return GST_FLOW_ERROR;
    SeamPicture picture = picture_of(&frame);
    SeamLevel level = {time, seam_vision_brightness(&picture)};
    gboolean done = !wanted || scale(self, &picture);
    gst_video_frame_unmap(&frame);
    if (!done)
        return GST_FLOW_ERROR;
    self->model.arena.used = 0;
    SeamStatus status = SEAM_OK;
    if (wanted)
        status = seam_model_embed_images(self->model.model, &self->model.run, self->modality, 1, self->pixels, &time, &tokens, NULL);
    if (status != SEAM_OK)
        return gst_seam_model_flow(GST_ELEMENT(self), status, "seamvideoembed: embedding a picture");
    GstBuffer *out = gst_seam_tokens_pool_acquire(self->pool, SEAM_STAGE_EMBEDDED, &tokens, &level, 1, self->modality);
    if (!out)
        return gst_seam_model_flow(GST_ELEMENT(self), SEAM_NO_MEMORY, "seamvideoembed: an output buffer");
    GST_BUFFER_PTS(out) = GST_BUFFER_PTS(buffer);
    GST_BUFFER_DURATION(out) = frame_duration(self, buffer);
    *tokens_out = out;
    return GST_FLOW_OK;
}

static GstFlowReturn embed_frame(GstSeamVideoEmbed *self, GstBuffer *frame, GstBuffer **out)
{
    double time = frame_time(self, frame);
    GstClockTime duration = frame_duration(self, frame);
    if (!GST_VIDEO_INFO_SIZE(&self->info))
        return GST_FLOW_NOT_NEGOTIATED;
    if (isnan(time)) {
        GST_LOG_OBJECT(self, "a frame outside the segment is dropped");
        return GST_FLOW_OK;
    }
    self->next = time + (GST_CLOCK_TIME_IS_VALID(duration) ? duration / (double)GST_SECOND : 0);
    gboolean wanted = is_wanted(self, time);
    self->frames++;
    self->skipped += !wanted;
    return embed(self, frame, time, wanted, out);
}

static GstFlowReturn generate_output(GstBaseTransform *base, GstBuffer **out)
{
    GstBuffer *frame = base->queued_buf;
    *out = NULL;
    base->queued_buf = NULL;
    if (!frame)
        return GST_FLOW_OK;
    GstFlowReturn flow = embed_frame(GST_SEAM_VIDEO_EMBED(base), frame, out);
    gst_buffer_unref(frame);
    return flow;
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

// The modality by name, or the model's first of pictures; -1 after an error message.
static gint32 find_modality(GstSeamVideoEmbed *self)
{
    const SeamConfig *config = &self->model.model->config;
    GST_OBJECT_LOCK(self);
    g_autofree char *name = g_strdup(self->modality_name);
    GST_OBJECT_UNLOCK(self);
    g_autoptr(GString) known = g_string_new(NULL);
    for (gint32 m = 0; m < config->n_modalities; m++) {
        if (config->modality[m].front != SEAM_FRONT_IMAGE)
            continue;
        if (!name || g_str_equal(name, config->modality[m].name))
            return m;
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", config->modality[m].name);
    }
    GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS,
                      ("%s: property modality=\"%s\": the model's picture modalities are: %s", GST_OBJECT_NAME(self), name ? name : "",
                       known->len ? known->str : "none, it takes no video"), (NULL));
    return -1;
}

static gboolean allocate(GstSeamVideoEmbed *self)
{
    const SeamConfig *config = &self->model.model->config;
    const SeamModality *modality = &config->modality[self->modality];
    self->scratch = seam_vision_scratch_new();
    self->pixels = g_try_malloc((gsize)modality->image.size * (gsize)modality->image.size * (gsize)modality->channels);
    self->pool = gst_seam_tokens_pool_new(seam_modality_tokens(config, self->modality), config->dim, 1, 1);
    if (!self->scratch || !self->pixels) {
        gst_seam_model_flow(GST_ELEMENT(self), SEAM_NO_MEMORY, "seamvideoembed: a picture");
        return FALSE;
    }
    return gst_seam_model_reserve(&self->model, GST_ELEMENT(self), seam_model_embed_bytes(self->model.model, self->modality, 1, false));
}

static void forget_stream(GstSeamVideoEmbed *self)
{
    self->next = 0;
    self->slot = -1;
}

static gboolean stop(GstBaseTransform *base)
{
    GstSeamVideoEmbed *self = GST_SEAM_VIDEO_EMBED(base);
    GST_DEBUG_OBJECT(self, "%" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT " of them skipped for max-rate", self->frames, self->skipped);
    g_clear_pointer(&self->scratch, seam_vision_scratch_free);
    g_clear_pointer(&self->pixels, g_free);
    g_clear_pointer(&self->pool, gst_seam_tokens_pool_free);
    gst_seam_model_stop(&self->model);
    return TRUE;
}

static gboolean start(GstBaseTransform *base)
{
    GstSeamVideoEmbed *self = GST_SEAM_VIDEO_EMBED(base);
    if (!gst_seam_model_start(&self->model, GST_ELEMENT(self)))
        return FALSE;
    gst_video_info_init(&self->info);
    forget_stream(self);
    self->frames = self->skipped = 0;
    self->modality = find_modality(self);
    if (self->modality >= 0 && allocate(self))
        return TRUE;
    stop(base);
    return FALSE;
}

static gboolean sink_event(GstBaseTransform *base, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP)
        forget_stream(GST_SEAM_VIDEO_EMBED(base));
    return GST_BASE_TRANSFORM_CLASS(gst_seam_video_embed_parent_class)->sink_event(base, event);
}

// ---- properties and class ---------------------------------------------------------------------------------------------------------------

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstSeamVideoEmbed *self = GST_SEAM_VIDEO_EMBED(object);
    if (gst_seam_model_set_property(&self->model, GST_ELEMENT(self), id, value))
        return;
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_MODALITY:
        g_free(self->modality_name);
        self->modality_name = g_value_dup_string(value);
        break;
    case PROP_MAX_RATE: self->max_rate = g_value_get_double(value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(self);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstSeamVideoEmbed *self = GST_SEAM_VIDEO_EMBED(object);
    if (gst_seam_model_get_property(&self->model, id, value))
        return;
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_MODALITY: g_value_set_string(value, self->modality_name); break;
    case PROP_MAX_RATE: g_value_set_double(value, self->max_rate); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(self);
}

static void finalize(GObject *object)
{
    GstSeamVideoEmbed *self = GST_SEAM_VIDEO_EMBED(object);
    g_free(self->modality_name);
    gst_seam_model_finalize(&self->model);
    G_OBJECT_CLASS(gst_seam_video_embed_parent_class)->finalize(object);
}

static void gst_seam_video_embed_init(GstSeamVideoEmbed *self)
{
    gst_seam_model_init(&self->model);
    forget_stream(self);
    gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(self), FALSE);
    gst_base_transform_set_qos_enabled(GST_BASE_TRANSFORM(self), TRUE);
}

static void install_properties(GObjectClass *klass)
{
    gst_seam_model_install_properties(klass);
    g_object_class_install_property(
        klass, PROP_MODALITY,
        g_param_spec_string("modality", "Modality",
                            "Which of the model's picture modalities the video is; not set: its first one; read at the start", NULL,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
    g_object_class_install_property(
        klass, PROP_MAX_RATE,
        g_param_spec_double("max-rate", "Highest frame rate",
                            "Frames a second that are embedded at most, the others only tell their brightness; 0: all. Keep it above one a window",
                            0, MOST_RATE, 0, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING));
}

static void gst_seam_video_embed_class_init(GstSeamVideoEmbedClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_video_embed_debug, "seamvideoembed", 0, "pictures to tokens");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    install_properties(object_class);
    transform_class->transform_caps = transform_caps;
    transform_class->set_caps = set_caps;
    transform_class->propose_allocation = propose_allocation;
    transform_class->generate_output = generate_output;
    transform_class->sink_event = sink_event;
    transform_class->start = start;
    transform_class->stop = stop;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam video embedding", "Filter/Analyzer/Video",
                                          "Turns video frames into tokens of the model", "The Seam authors");
}
