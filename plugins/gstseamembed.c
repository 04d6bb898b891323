// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The common half of the embedding elements for samples and texts. It knows pads, times and the choice of the modality; it never looks at
// what is embedded.
#include "plugins/gstseamembed.h"

#include <math.h>

static const char *const front_text[] = {"image", "sensor", "text", "features"}; // by SeamFront

static GstClockTime clock_time(double seconds) { return (GstClockTime)llround(seconds * GST_SECOND); }

const SeamModality *gst_seam_embed_modality(const GstSeamEmbed *e) { return &e->model.model->config.modality[e->modality]; }

// ---- choice of the modality -------------------------------------------------------------------------------------------------------------

// "sensors (6 channels), sound (1 channel)"
static char *list_modalities(const SeamConfig *config, SeamFront front)
{
    GString *text = g_string_new(NULL);
    for (gint32 m = 0; m < config->n_modalities; m++) {
        const SeamModality *modality = &config->modality[m];
        if (modality->front != front)
            continue;
        g_string_append_printf(text, "%s%s", text->len ? ", " : "", modality->name);
        if (front == SEAM_FRONT_SENSOR)
            g_string_append_printf(text, " (%d channel%s)", modality->channels, modality->channels == 1 ? "" : "s");
    }
    return g_string_free(text, FALSE);
}

static gboolean fits(const SeamModality *modality, SeamFront front, gint32 channels)
{
    return modality->front == front && (channels == 0 || modality->channels == channels);
}

// The modality that is asked for (or any, where the model has none of the front end) if it is a table of features; NULL.
static const char *table_of(const SeamConfig *config, const char *name)
{
    for (gint32 m = 0; m < config->n_modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_FEATURES && (!name || g_str_equal(config->modality[m].name, name)))
            return config->modality[m].name;
    return NULL;
}

// The modality's index, or -1 with a message.
static gint32 find_modality(const SeamConfig *config, const char *name, SeamFront front, gint32 channels, char **message)
{
    gint32 found = -1, candidates = 0;
    char *have = list_modalities(config, front);
    for (gint32 m = 0; m < config->n_modalities && !name; m++)
        if (fits(&config->modality[m], front, channels)) {
            found = m;
            candidates++;
        }
    if (name)
        found = seam_config_modality(config, name);
    const char *table = name || !have[0] ? table_of(config, name) : NULL;
    if (table)
        *message = g_strdup_printf("the modality \"%s\" reads tables of features, which others compute and no stream carries: judge them with "
                                   "`seam eval`", table);
    else if (!have[0])
        *message = g_strdup_printf("the model has no modality with the front end \"%s\"", front_text[front]);
    else if (name && (found < 0 || config->modality[found].front != front))
        *message = g_strdup_printf("modality=%s is no %s modality of the model; it has: %s", name, front_text[front], have);
    else if (name && !fits(&config->modality[found], front, channels))
        *message = g_strdup_printf("the input has %d channels, the modality \"%s\" has %d: send the model's channels in its order", channels,
                                   name, config->modality[found].channels);
    else if (!name && candidates == 0)
        *message = g_strdup_printf("the input has %d channels, the model's modalities have others: %s", channels, have);
    else if (!name && candidates > 1)
        *message = g_strdup_printf("the model has more than one modality that fits: set modality= to one of: %s", have);
    g_free(have);
    return *message ? -1 : found;
}

gboolean gst_seam_embed_choose(GstSeamEmbed *e, SeamFront front, gint32 channels, gint32 levels)
{
    const SeamModel *model = e->model.model;
    char *message = NULL;
    e->modality = find_modality(&model->config, e->modality_name, front, channels, &message);
    if (message) {
        GST_ELEMENT_ERROR(e->element, STREAM, WRONG_TYPE, ("%s: %s", GST_OBJECT_NAME(e->element), message), ("model=%s", e->model.path));
        g_free(message);
        return FALSE;
    }
    if (!gst_seam_model_reserve(&e->model, e->element, seam_model_embed_bytes(model, e->modality, 1, false)))
        return FALSE;
    g_clear_pointer(&e->pool, gst_seam_tokens_pool_free);
    e->pool = gst_seam_tokens_pool_new(seam_modality_tokens(&model->config, e->modality), model->config.dim, 1, levels);
    e->has_caps = FALSE;
    return TRUE;
}

// ---- times ------------------------------------------------------------------------------------------------------------------------------

gboolean gst_seam_embed_set_segment(GstSeamEmbed *e, GstEvent *event)
{
    const GstSegment *segment;
    gst_event_parse_segment(event, &segment);
    if (segment->format != GST_FORMAT_TIME) {
        GST_ELEMENT_ERROR(e->element, STREAM, FORMAT,
                          ("%s: the segment is in %s, must be in time: put a parser or a source that knows time before it",
                           GST_OBJECT_NAME(e->element), gst_format_get_name(segment->format)), (NULL));
        return FALSE;
    }
    gst_segment_copy_into(segment, &e->segment);
    return TRUE;
}

double gst_seam_embed_running(const GstSeamEmbed *e, GstClockTime time)
{
    guint64 running = GST_CLOCK_TIME_IS_VALID(time) ? gst_segment_to_running_time(&e->segment, GST_FORMAT_TIME, time)
                                                    : GST_CLOCK_TIME_NONE;
    return GST_CLOCK_TIME_IS_VALID(running) ? running / (double)GST_SECOND : NAN;
}

void gst_seam_embed_reset(GstSeamEmbed *e)
{
    gst_segment_init(&e->segment, GST_FORMAT_TIME);
    e->has_segment = FALSE;
}

// ---- output -----------------------------------------------------------------------------------------------------------------------------

void gst_seam_embed_begin(GstSeamEmbed *e)
{
    if (!e->has_caps && e->modality >= 0) {
        GstCaps *caps = gst_seam_tokens_caps_new(&e->model.model->config, e->model.model->fingerprint, SEAM_STAGE_EMBEDDED, e->modality, 0);
        gst_pad_push_event(e->src, gst_event_new_caps(caps));
        gst_caps_unref(caps);
        e->has_caps = TRUE;
    }
    if (!e->has_segment) {
        GstSegment segment;
        gst_segment_init(&segment, GST_FORMAT_TIME);
        gst_pad_push_event(e->src, gst_event_new_segment(&segment));
        e->has_segment = TRUE;
    }
}

void gst_seam_embed_push_gap(GstSeamEmbed *e, double start, double end)
{
    if (!(end > start && start >= 0))
        return;
    GstEvent *gap = gst_event_new_gap(clock_time(start), clock_time(end) - clock_time(start));
    gst_event_set_gap_flags(gap, GST_GAP_FLAG_MISSING_DATA);
    gst_seam_embed_begin(e);
    gst_pad_push_event(e->src, gap);
}

GstFlowReturn gst_seam_embed_push(GstSeamEmbed *e, const SeamTokens *tokens, const SeamLevel *levels, gint32 n_levels, double time,
                                  double duration, gboolean more)
{
    if (tokens->n == 0) {
        gst_seam_embed_push_gap(e, time, time + duration);
        return GST_FLOW_OK;
    }
    GstBuffer *buffer = gst_seam_tokens_pool_acquire(e->pool, SEAM_STAGE_EMBEDDED, tokens, levels, n_levels, e->modality);
    if (!buffer)
        return gst_seam_model_flow(e->element, SEAM_NO_MEMORY, "an output buffer");
    gst_buffer_get_seam_tokens_meta(buffer)->more = more;
    GST_BUFFER_PTS(buffer) = clock_time(time);
    GST_BUFFER_DURATION(buffer) = duration > 0 ? clock_time(time + duration) - clock_time(time) : GST_CLOCK_TIME_NONE;
    gst_seam_embed_begin(e);
    return gst_pad_push(e->src, buffer);
}

// ---- properties and life ----------------------------------------------------------------------------------------------------------------

gboolean gst_seam_embed_set_property(GstSeamEmbed *e, guint id, const GValue *value)
{
    if (id != GST_SEAM_EMBED_PROP_MODALITY)
        return gst_seam_model_set_property(&e->model, e->element, id, value);
    GST_OBJECT_LOCK(e->element);
    g_free(e->modality_name);
    e->modality_name = g_value_dup_string(value);
    if (e->modality_name && !e->modality_name[0])
        g_clear_pointer(&e->modality_name, g_free);
    GST_OBJECT_UNLOCK(e->element);
    return TRUE;
}

gboolean gst_seam_embed_get_property(GstSeamEmbed *e, guint id, GValue *value)
{
    if (id != GST_SEAM_EMBED_PROP_MODALITY)
        return gst_seam_model_get_property(&e->model, id, value);
    GST_OBJECT_LOCK(e->element);
    g_value_set_string(value, e->modality_name);
    GST_OBJECT_UNLOCK(e->element);
    return TRUE;
}

void gst_seam_embed_init(GstSeamEmbed *e, GstElement *element, GstPad *sink, GstPad *src)
{
    gst_seam_model_init(&e->model);
    e->element = element;
    e->sink = sink;
    e->src = src;
    e->modality = -1;
    gst_pad_use_fixed_caps(src);
    gst_element_add_pad(element, sink);
    gst_element_add_pad(element, src);
    gst_seam_embed_reset(e);
}

void gst_seam_embed_finalize(GstSeamEmbed *e)
{
    g_clear_pointer(&e->pool, gst_seam_tokens_pool_free);
    gst_seam_model_finalize(&e->model);
    g_clear_pointer(&e->modality_name, g_free);
}

void gst_seam_embed_class_init(GObjectClass *klass)
{
    gst_seam_model_install_properties(klass);
    g_object_class_install_property(
        klass, GST_SEAM_EMBED_PROP_MODALITY,
        g_param_spec_string("modality", "Modality", "Name of the model's modality that this input is; unset: the only one that fits", NULL,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
}
