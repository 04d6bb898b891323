// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamencoder: runs some of the model's encoder layers over the tokens of one modality, in place. It owns the working memory of its
// streaming thread and what scan layers know of the stream so far; it never adds or reorders tokens. It works at the effort that was calibrated with
// the model; with keep below 1 it merges what is alike besides (core/layers/merge.h), and to keep a deadline it leaves out more (core/deadline.h), at
// last whole buffers. Where the last layer is run, chunks of a text that goes on end here.

/**
 * SECTION:element-seamencoder
 * @title: seamencoder
 *
 * Tokens in, the same tokens encoded out. Each branch of a graph has one, or several with a part of the layers each and a queue between
 * them, so that they work at the same time:
 *
 * Where the model has layers that scan, the stream is one long sequence to them, whatever its cut into buffers: they go on where the last
 * buffer ended. They start anew after a flush, a new segment, other caps, and a buffer marked as a discontinuity.
 *
 * Of a long text, which comes in chunks, only the last chunk goes on when all layers have been run; the others have acted on what the scan knows.
 *
 * Training may have found that experts and layers may be left out where the model is sure (`effort_loss` of a recipe). Then that is done, and the thresholds
 * of the decisions are those that were made so; with `effort=full` everything is computed. A graph's encoders should all have the same: a result that was made
 * at neither of the two says so in its field `effort`.
 *
 * With a `deadline`, buffers that take longer make it leave out work: first tokens, then experts, then layers (of models with exit heads), and at last
 * buffers, for which a gap event goes on. The results' field `level` tells.
 *
 * |[
 * gst-launch-1.0 videotestsrc num-buffers=50 ! seamvideoembed model=M.seam ! seamencoder model=M.seam layers=0-1 ! queue
 *   ! seamencoder model=M.seam layers=2-3 ! seamfusion model=M.seam ! seamdecoder model=M.seam ! filesink location=results.jsonl
 * ]|
 */
#include "plugins/gstseamencoder.h"

#include <string.h>

#include "core/deadline.h"
#include "plugins/gstseammodel.h"
#include "plugins/gstseamtokens.h"

GST_DEBUG_CATEGORY_STATIC(seam_encoder_debug);
#define GST_CAT_DEFAULT seam_encoder_debug

enum { PROP_LAYERS = GST_SEAM_PROP_OWN, PROP_EFFORT, PROP_KEEP, PROP_DEADLINE };
static const char default_layers[] = "all", default_deadline[] = "0";
#define LEAST_KEEP 0.1

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME ", stage=(string){ embedded, encoded }"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME ", stage=(string)encoded"));

struct _GstSeamEncoder {
    GstBaseTransform parent;
    char *layers; // properties, under the object's lock
    SeamEffortKind effort; // full or calibrated
    double keep;
    char *deadline; // as it was given
    double seconds; // of it

    // The streaming thread's, from start to stop.
    GstSeamModel model;
    SeamEffort asked;   // at which it works; merge: that of keep
    SeamCarry carry;    // of the stream
    struct {
        gboolean any;
        gint32 level;
        SeamEffort effort;
        float expert_use[SEAM_MAX_EXPERTS];
    } ended;            // what the meta of chunks said that ended here: the text's next chunk says it with its own
    SeamDeadline load;  // how far the work is cut to keep the deadline
    gint32 first, last; // layers to run
    gint32 modality;    // -1 until caps have come
    gint32 planned;     // tokens that the arena has room for
};

G_DEFINE_TYPE(GstSeamEncoder, gst_seam_encoder, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(seamencoder, "seamencoder", GST_RANK_NONE, GST_TYPE_SEAM_ENCODER)

#define GST_TYPE_SEAM_EFFORT (effort_get_type())
static GType effort_get_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {SEAM_EFFORT_CALIBRATED, "What was calibrated with the model: what may be left out is left out", "calibrated"},
        {SEAM_EFFORT_FULL, "All layers and experts", "full"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstSeamEffort", values));
    return (GType)type;
}

// "all", "2" or "0-3": which of `count` layers.
static gboolean parse_layers(const char *text, gint32 count, gint32 *first, gint32 *last)
{
    char *end;
    gint64 from = g_ascii_strtoll(text, &end, 10), to = from;
    if (g_str_equal(text, "all")) {
        *first = 0;
        *last = count - 1;
        return TRUE;
    }
    if (!g_ascii_isdigit(*text))
        return FALSE;
    if (*end == '-' && g_ascii_isdigit(end[1]))
        to = g_ascii_strtoll(end + 1, &end, 10);
    if (*end != '\0' || from > to || to >= count)
        return FALSE;
    *first = (gint32)from;
    *last = (gint32)to;
    return TRUE;
}

// ---- caps -------------------------------------------------------------------------------------------------------------------------------

// What differs between the sides is the stage and how many layers have been run; which input fits is for set_caps to explain.
static GstCaps *transform_caps(GstBaseTransform *base, GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
    GstSeamEncoder *self = GST_SEAM_ENCODER(base);
    GstCaps *result = gst_caps_copy(caps);
    for (guint i = 0; i < gst_caps_get_size(result); i++) {
        GstStructure *s = gst_caps_get_structure(result, i);
        gst_structure_remove_fields(s, "layers", "stage", NULL);
        if (direction == GST_PAD_SINK)
            gst_structure_set(s, "stage", G_TYPE_STRING, seam_stage_name(SEAM_STAGE_ENCODED), NULL);
        if (direction == GST_PAD_SINK && self->model.model)
            gst_structure_set(s, "layers", G_TYPE_INT, self->last + 1, NULL);
    }
    GstPad *pad = direction == GST_PAD_SINK ? base->srcpad : base->sinkpad;
    GstCaps *template = gst_pad_get_pad_template_caps(pad), *possible = gst_caps_intersect(result, template);
    gst_caps_unref(template);
    gst_caps_unref(result);
    if (!filter)
        return possible;
    result = gst_caps_intersect_full(filter, possible, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(possible);
    return result;
}

// NULL, or why the layers do not follow on what has been run; g_free it.
static char *check_order(const GstSeamEncoder *self, const GstSeamTokensInfo *info)
{
    gint32 done = info->stage == SEAM_STAGE_ENCODED ? info->layers : 0;
    if (info->modality < 0)
        return g_strdup("fused tokens came: seamencoder belongs before seamfusion");
    if (done == self->first)
        return NULL;
    if (done < self->first)
        return g_strdup_printf("layers=%d-%d do not follow: %d layers have been run before, so layers %d-%d are missing: begin with layers=%d-%d",
                               self->first, self->last, done, done, self->first - 1, done, self->last);
    if (done >= self->model.model->config.layers)
        return g_strdup_printf("layers=%d-%d do not follow: all %d layers have been run before: leave this seamencoder out", self->first,
                               self->last, done);
    return g_strdup_printf("layers=%d-%d overlap: layers 0-%d have been run before: begin with layers=%d-%d", self->first, self->last,
                           done - 1, done, MAX(done, self->last));
}

// Working memory for the planned tokens, merging included: keep may change while it plays.
static gboolean reserve(GstSeamEncoder *self)
{
    const SeamModel *model = self->model.model;
    return gst_seam_model_reserve(&self->model, GST_ELEMENT(self),
                                  seam_model_encode_bytes(model, self->planned, false) + seam_model_merge_bytes(model, self->planned));
}

// The next tokens begin a stream.
static void begin_anew(GstSeamEncoder *self)
{
    seam_carry_reset(&self->carry);
    memset(&self->ended, 0, sizeof self->ended);
}

static gboolean set_caps(GstBaseTransform *base, GstCaps *in, GstCaps *out)
{
    GstSeamEncoder *self = GST_SEAM_ENCODER(base);
    const SeamModel *model = self->model.model;
    GstSeamTokensInfo info;
    char *message = NULL;
    if (gst_seam_tokens_info_from_caps(&info, in, &model->config, model->fingerprint, &message))
        message = check_order(self, &info);
    if (message) {
        GST_ELEMENT_ERROR(self, CORE, NEGOTIATION, ("%s: %s", GST_OBJECT_NAME(self), message), (NULL));
        g_free(message);
        return FALSE;
    }
    begin_anew(self);
    self->modality = info.modality;
    self->planned = seam_modality_tokens(&model->config, info.modality);
    return reserve(self);
}

// ---- the work ---------------------------------------------------------------------------------------------------------------------------

// NULL, or what is wrong with the tokens; g_free it.
static char *check_tokens(const GstSeamEncoder *self, const SeamTokens *tokens)
{
    gsize size = (gsize)tokens->n * (gsize)tokens->dim;
    float poison = 0; // becomes NaN when a value is not finite
    if (tokens->dim != self->model.model->config.dim)
        return g_strdup_printf("tokens are %d wide, the model's are %d", tokens->dim, self->model.model->config.dim);
    for (gint32 i = 0; i < tokens->n; i++)
        if (tokens->place[i].modality != self->modality)
            return g_strdup_printf("token %d says that it is of modality %d, the caps say %d", i, tokens->place[i].modality, self->modality);
    for (gsize i = 0; i < size; i++)
        poison += tokens->x[i] * 0;
    return poison == 0 ? NULL : g_strdup("the tokens have values that are not finite (NaN or infinity)");
}

static gboolean make_room(GstSeamEncoder *self, gint32 tokens)
{
    if (tokens <= self->planned)
        return TRUE;
    GST_DEBUG_OBJECT(self, "room for %d tokens instead of %d", tokens, self->planned);
    self->planned = tokens;
    return reserve(self);
}

static gint32 longest_sequence(const SeamTokens *tokens)
{
    gint32 longest = 0;
    for (gint32 s = 1; s < tokens->seqs; s++)
        if (tokens->seq_start[s + 1] - tokens->seq_start[s] > tokens->seq_start[longest + 1] - tokens->seq_start[longest])
            longest = s;
    return longest;
}

// Room grows with the tokens, but in a layer that sees locally only as if they were spread as the embedding elements spread them; far more in one window are neighbours of
// each other, of which there may be any number.
static GstFlowReturn tell_too_long(GstSeamEncoder *self, gint32 sequence, gint32 length)
{
    const SeamConfig *config = &self->model.model->config;
    GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT,
                      ("%s: sequence %d of the buffer has %d tokens, for which there is no memory: a window of \"%s\" has %d at most in this model: send a sequence for "
                       "each window of %g s, or take a model with a longer \"window\"", GST_OBJECT_NAME(self), sequence, length,
                       config->modality[self->modality].name, seam_modality_tokens(config, self->modality), config->window), (NULL));
    return GST_FLOW_ERROR;
}

static GstFlowReturn encode(GstSeamEncoder *self, SeamTokens *tokens, GstSeamTokensMeta *meta)
{
    char *message = check_tokens(self, tokens);
    if (message) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s: %s", GST_OBJECT_NAME(self), message), (NULL));
        g_free(message);
        return GST_FLOW_ERROR;
    }
    GST_OBJECT_LOCK(self);
    self->asked.merge = (float)(1 - self->keep);
    GST_OBJECT_UNLOCK(self);
    self->model.run.effort = seam_deadline_effort(&self->load, self->asked);
    meta->effort = meta->stage == SEAM_STAGE_ENCODED ? seam_effort_join(meta->effort, self->model.run.effort) : self->model.run.effort;
    meta->level = MAX(meta->level, self->load.level);
    meta->stage = SEAM_STAGE_ENCODED;
    if (tokens->n == 0)
        return GST_FLOW_OK;
    if (!make_room(self, tokens->n))
        return GST_FLOW_ERROR;
    self->model.arena.used = 0;
    gint32 longest = longest_sequence(tokens), length = tokens->seq_start[longest + 1] - tokens->seq_start[longest];
    SeamStatus status = seam_model_encode_stream(self->model.model, &self->model.run, self->first, self->last, tokens, meta->expert_use,
                                                 &self->carry);
    if (status == SEAM_NO_MEMORY && length > seam_modality_tokens(&self->model.model->config, self->modality))
        return tell_too_long(self, longest, length);
    return gst_seam_model_flow(GST_ELEMENT(self), status, "seamencoder: running the encoder layers");
}

static void take_deadline(GstSeamEncoder *self)
{
    GST_OBJECT_LOCK(self);
    double deadline = self->seconds;
    GST_OBJECT_UNLOCK(self);
    if (deadline != self->load.deadline)
        seam_deadline_change(&self->load, deadline);
}

// Downstream shall know nevertheless how far the stream is; of a text that goes on, its last chunk tells. Where a buffer is missing, the stream
// begins anew, here as in elements behind.
static GstFlowReturn drop(GstSeamEncoder *self, GstBuffer *buffer)
{
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    gboolean more = meta && meta->more;
    begin_anew(self);
    if (GST_BUFFER_PTS_IS_VALID(buffer) && !more)
        gst_pad_push_event(GST_BASE_TRANSFORM_SRC_PAD(self), gst_event_new_gap(GST_BUFFER_PTS(buffer), GST_BUFFER_DURATION(buffer)));
    return GST_BASE_TRANSFORM_FLOW_DROPPED;
}

static void measure(GstSeamEncoder *self, gint64 begin)
{
    gint32 before = self->load.level;
    double seconds = (double)(g_get_monotonic_time() - begin) / G_USEC_PER_SEC;
    seam_deadline_took(&self->load, seconds);
    if (self->load.level != before)
        GST_INFO_OBJECT(self, "%.1f ms of %.1f: level %d after %d", 1000 * seconds, 1000 * self->load.deadline, self->load.level, before);
}

static GstFlowReturn transform_ip(GstBaseTransform *base, GstBuffer *buffer)
{
    GstSeamEncoder *self = GST_SEAM_ENCODER(base);
    SeamTokens tokens;
    GstMapInfo map;
    char *message = NULL;
    gint64 begin = g_get_monotonic_time();
    take_deadline(self);
    if (GST_BUFFER_IS_DISCONT(buffer))
        begin_anew(self);
    if (seam_deadline_drops(&self->load))
        return drop(self, buffer);
    if (!gst_seam_tokens_map(buffer, GST_MAP_READWRITE, &tokens, &map, &message)) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s: %s", GST_OBJECT_NAME(self), message), (NULL));
        g_free(message);
        return GST_FLOW_ERROR;
    }
    GstFlowReturn flow = encode(self, &tokens, gst_buffer_get_seam_tokens_meta(buffer));
    gst_buffer_unmap(buffer, &map);
    if (flow == GST_FLOW_OK)
        gst_seam_tokens_shorten(buffer, &tokens);
    measure(self, begin);
    return flow;
}

// Adds what chunks before this one said to its meta. TRUE: the chunk ends here, too, and says it with the next one.
static gboolean ends_here(GstSeamEncoder *self, GstSeamTokensMeta *meta)
{
    meta->level = MAX(meta->level, self->ended.level);
    if (self->ended.any)
        meta->effort = seam_effort_join(meta->effort, self->ended.effort);
    for (gint32 i = 0; i < SEAM_MAX_EXPERTS; i++)
        meta->expert_use[i] += self->ended.expert_use[i];
    gboolean ends = meta->more && self->last == self->model.model->config.layers - 1;
    self->ended.any = ends;
    self->ended.level = ends ? meta->level : 0;
    self->ended.effort = meta->effort;
    for (gint32 i = 0; i < SEAM_MAX_EXPERTS; i++)
        self->ended.expert_use[i] = ends ? meta->expert_use[i] : 0;
    return ends;
}

// Not as GST_BASE_TRANSFORM_FLOW_DROPPED, after which the base class would mark the next buffer as a discontinuity, which this is not.
static GstFlowReturn generate_output(GstBaseTransform *base, GstBuffer **buffer)
{
    GstFlowReturn flow = GST_BASE_TRANSFORM_CLASS(gst_seam_encoder_parent_class)->generate_output(base, buffer);
    if (flow == GST_FLOW_OK && *buffer && ends_here(GST_SEAM_ENCODER(base), gst_buffer_get_seam_tokens_meta(*buffer)))
        gst_clear_buffer(buffer);
    return flow;
}

static gboolean sink_event(GstBaseTransform *base, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP || GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT)
        begin_anew(GST_SEAM_ENCODER(base));
    return GST_BASE_TRANSFORM_CLASS(gst_seam_encoder_parent_class)->sink_event(base, event);
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

// What the properties say, with the model; posts what does not fit.
static gboolean read_properties(GstSeamEncoder *self)
{
    const gint32 count = self->model.model->config.layers;
    g_autoptr(GError) error = NULL;
    double seconds;
    GST_OBJECT_LOCK(self);
    g_autofree char *layers = g_strdup(self->layers), *deadline = g_strdup(self->deadline);
    SeamEffortKind effort = self->effort;
    GST_OBJECT_UNLOCK(self);
    self->asked = (SeamEffort){0};
    if (!parse_layers(layers, count, &self->first, &self->last))
        GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS,
                          ("%s: property layers=\"%s\" does not fit the model's %d layers: give \"all\" or FIRST-LAST within 0-%d",
                           GST_OBJECT_NAME(self), layers, count, count - 1), (NULL));
    else if (!seam_deadline_parse(deadline, &seconds, &error))
        GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("%s: property deadline: %s", GST_OBJECT_NAME(self), error->message), (NULL));
    else
        return effort == SEAM_EFFORT_FULL || gst_seam_model_effort(&self->model, GST_ELEMENT(self), &self->asked);
    return FALSE;
}

static gboolean start(GstBaseTransform *base)
{
    GstSeamEncoder *self = GST_SEAM_ENCODER(base);
    g_autoptr(GError) error = NULL;
    if (!gst_seam_model_start(&self->model, GST_ELEMENT(self)))
        return FALSE;
    self->modality = -1;
    self->planned = 0;
    memset(&self->ended, 0, sizeof self->ended);
    seam_deadline_init(&self->load, 0);
    gboolean ok = read_properties(self);
    if (ok && seam_carry_init(&self->carry, &self->model.model->config, &error))
        return TRUE;
    if (ok)
        GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT, ("%s: %s", GST_OBJECT_NAME(self), error->message), (NULL));
    gst_seam_model_stop(&self->model);
    return FALSE;
}

static gboolean stop(GstBaseTransform *base)
{
    seam_carry_clear(&GST_SEAM_ENCODER(base)->carry);
    gst_seam_model_stop(&GST_SEAM_ENCODER(base)->model);
    return TRUE;
}

// ---- properties and class ---------------------------------------------------------------------------------------------------------------

// While it runs, what is no deadline changes nothing; before, the start refuses it.
static void set_deadline(GstSeamEncoder *self, const char *text)
{
    g_autoptr(GError) error = NULL;
    double seconds = 0;
    gboolean known = seam_deadline_parse(text, &seconds, &error);
    GST_OBJECT_LOCK(self);
    gboolean kept = !known && self->model.model != NULL;
    if (!kept) {
        g_free(self->deadline);
        self->deadline = g_strdup(text);
        self->seconds = seconds;
    }
    GST_OBJECT_UNLOCK(self);
    if (kept)
        GST_ELEMENT_WARNING(self, RESOURCE, SETTINGS, ("%s: property deadline: %s; it stays as it was", GST_OBJECT_NAME(self), error->message), (NULL));
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstSeamEncoder *self = GST_SEAM_ENCODER(object);
    if (gst_seam_model_set_property(&self->model, GST_ELEMENT(self), id, value))
        return;
    if (id == PROP_DEADLINE) {
        set_deadline(self, g_value_get_string(value) ? g_value_get_string(value) : default_deadline);
        return;
    }
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_LAYERS:
        g_free(self->layers);
        self->layers = g_value_get_string(value) ? g_value_dup_string(value) : g_strdup(default_layers);
        break;
    case PROP_EFFORT: self->effort = (SeamEffortKind)g_value_get_enum(value); break;
    case PROP_KEEP: self->keep = g_value_get_double(value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(self);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstSeamEncoder *self = GST_SEAM_ENCODER(object);
    if (gst_seam_model_get_property(&self->model, id, value))
        return;
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_LAYERS: g_value_set_string(value, self->layers); break;
    case PROP_KEEP: g_value_set_double(value, self->keep); break;
    case PROP_EFFORT: g_value_set_enum(value, (gint)self->effort); break;
    case PROP_DEADLINE: g_value_set_string(value, self->deadline); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(self);
}

static void finalize(GObject *object)
{
    GstSeamEncoder *self = GST_SEAM_ENCODER(object);
    g_free(self->layers);
    g_free(self->deadline);
    gst_seam_model_finalize(&self->model);
    G_OBJECT_CLASS(gst_seam_encoder_parent_class)->finalize(object);
}

static void gst_seam_encoder_init(GstSeamEncoder *self)
{
    gst_seam_model_init(&self->model);
    self->layers = g_strdup(default_layers);
    self->deadline = g_strdup(default_deadline);
    self->effort = SEAM_EFFORT_CALIBRATED;
    self->keep = 1;
    self->modality = -1;
}

static void gst_seam_encoder_class_init(GstSeamEncoderClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_encoder_debug, "seamencoder", 0, "encoder layers over tokens");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    gst_seam_model_install_properties(object_class);
    g_object_class_install_property(
        object_class, PROP_LAYERS,
        g_param_spec_string("layers", "Layers",
                            "Which encoder layers are run: all, or FIRST-LAST counted from 0, as 0-1; read at the start", default_layers,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
    g_object_class_install_property(
        object_class, PROP_EFFORT,
        g_param_spec_enum("effort", "Effort",
                          "Whether experts and layers are left out where training has found that it costs next to nothing, or everything is computed; the "
                          "same for all encoders of a graph; read at the start", GST_TYPE_SEAM_EFFORT, SEAM_EFFORT_CALIBRATED,
                          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
    g_object_class_install_property(
        object_class, PROP_KEEP,
        g_param_spec_double("keep", "Keep",
                            "Share of the tokens of each picture, window or text that is encoded: below 1, tokens that are alike become one, "
                            "which takes less time and costs some accuracy, and error rates are not promised", LEAST_KEEP, 1, 1,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING));
    g_object_class_install_property(
        object_class, PROP_DEADLINE,
        g_param_spec_string("deadline", "Deadline",
                            "How long a buffer may take here, as 20ms (also s and us; a number alone is milliseconds); when buffers take longer, fewer "
                            "tokens, then fewer experts, then fewer layers are run, and at last buffers are dropped, until there is time again; results "
                            "say so as level; 0: no deadline", default_deadline,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING));
    transform_class->transform_caps = transform_caps;
    transform_class->set_caps = set_caps;
    transform_class->transform_ip = transform_ip;
    transform_class->transform_ip_on_passthrough = FALSE;
    transform_class->generate_output = generate_output;
    transform_class->sink_event = sink_event;
    transform_class->start = start;
    transform_class->stop = stop;
    gst_type_mark_as_plugin_api(GST_TYPE_SEAM_EFFORT, 0);
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam encoder", "Filter/Analyzer",
                                          "Runs the model's encoder layers over the tokens of one stream", "The Seam authors");
}
