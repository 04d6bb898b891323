// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamfusion: collects what all streams say about one window of time and fuses it. It owns the grid of windows, the queues of its inputs
// and the thread behind its output; it never waits for a stream longer than its properties say, and never decides anything.
//
// It is no GstAggregator: that one's timeouts work for live pipelines only, and a pad that is not live and never sends makes it wait for
// ever, without a word. Here a clock of our own runs for every pad (the rule is in gstseamfusionpad.c), so a dead sensor costs one wait.
//
// Threads: each input's streaming thread puts into its pad and blocks when it is MAX_AHEAD windows ahead; the output's task takes out,
// fuses without the lock, and pushes (gstseamfusiontask.c; flushes: gstseamfusionflush.c). One lock and one condition; every change of the
// shared state broadcasts it.

/**
 * SECTION:element-seamfusion
 * @title: seamfusion
 *
 * Inputs (request pads `sink_%u`): encoded tokens, one modality each. Output: one buffer of fused tokens a window.
 *
 * |[
 * gst-launch-1.0 seamfusion name=f model=M.seam ! seamdecoder model=M.seam ! filesink location=results.jsonl
 *   filesrc location=weld.avi ! decodebin ! videoconvert ! seamvideoembed model=M.seam ! seamencoder model=M.seam ! f.
 *   seamcsvsrc location=weld.csv model=M.seam ! seamsensorembed model=M.seam ! seamencoder model=M.seam ! f.
 * ]|
 */
#include <math.h>
#include <stdio.h>

#include "plugins/gstseamfusionprivate.h"

GST_DEBUG_CATEGORY(seam_fusion_debug);
#define GST_CAT_DEFAULT seam_fusion_debug

// A pad blocks when it is so many windows ahead of the next decision. PLANNED_...: room in a pooled buffer before it has to grow.
enum { MAX_AHEAD = 4, PLANNED_TOKENS = 1024, PLANNED_LEVELS = 256 };

enum { PROP_MISSING = GST_SEAM_PROP_OWN, PROP_MAX_WAIT, PROP_MAX_START, PROP_CORRECT_OFFSET, PROP_MAX_TOKENS };
enum { DEFAULT_MAX_WAIT_MS = 200, DEFAULT_MAX_START_MS = 2000, DEFAULT_MAX_TOKENS = 4096, MOST_MS = 3600000 };

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME ", stage=(string)fused"));

G_DEFINE_TYPE(GstSeamFusion, gst_seam_fusion, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE(seamfusion, "seamfusion", GST_RANK_NONE, GST_TYPE_SEAM_FUSION)

#define GST_TYPE_SEAM_MISSING (missing_get_type())
static GType missing_get_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {SEAM_MISSING_WAIT, "Wait for it, however long: one dead sensor stalls the graph", "wait"},
        {SEAM_MISSING_SKIP, "Make no decision for this window", "skip"},
        {SEAM_MISSING_MASK, "Decide without it and name it as missing", "mask"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstSeamMissing", values));
    return (GType)type;
}

// ---- buffers ----------------------------------------------------------------------------------------------------------------------------

// NULL, or what is wrong with a buffer; g_free it.
static char *check_buffer(GstSeamFusion *self, GstSeamFusionPad *pad, GstBuffer *buffer)
{
    SeamTokens view;
    GstMapInfo map;
    char *message = NULL;
    if (!gst_seam_tokens_map(buffer, GST_MAP_READ, &view, &map, &message))
        return message;
    gst_buffer_unmap(buffer, &map);
    if (view.dim != gst_seam_fusion_config(self)->dim)
        return g_strdup_printf("tokens are %d wide, the model's are %d", view.dim, gst_seam_fusion_config(self)->dim);
    for (gint32 i = 0; i < view.n; i++)
        if (view.place[i].modality != pad->modality)
            return g_strdup_printf("token %d says that it is of modality %d, the caps say %d", i, view.place[i].modality, pad->modality);
    for (gint32 s = 0; s < view.seqs; s++)
        if (!(view.seq_time[s] >= 0 && view.seq_time[s] < 1e9))
            return g_strdup_printf("sequence %d has time %g s, must be 0 or more", s, view.seq_time[s]);
    return NULL;
}

static gboolean stopped(const GstSeamFusion *self, const GstSeamFusionPad *pad)
{
    return gst_seam_fusion_is_flushing(self, pad) || self->flow != GST_FLOW_OK;
}

// Blocks while the pad is too far ahead of the decisions. Under the lock.
static void wait_for_room(GstSeamFusion *self, GstSeamFusionPad *pad, double time)
{
    while (!stopped(self, pad)) {
        double first = gst_seam_fusion_pad_first(pad);
        gint64 base = self->window >= 0 ? self->window : first < INFINITY ? gst_seam_fusion_window_of(self, first) : G_MAXINT64;
        if (base == G_MAXINT64 || gst_seam_fusion_window_of(self, time) < base + MAX_AHEAD)
            break;
        g_cond_wait(&self->changed, &self->lock);
    }
    pad->last_arrival = g_get_monotonic_time(); // the time in here was not the stream's
}

static GstFlowReturn take_buffer(GstSeamFusion *self, GstSeamFusionPad *pad, GstBuffer *buffer, double *too_late)
{
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    double start = gst_seam_fusion_pad_running(pad, GST_BUFFER_PTS(buffer)), end = NAN;
    if (isnan(start) && meta->tokens.seqs > 0)
        start = meta->tokens.seq_time[0] - pad->shift;
    if (GST_BUFFER_DURATION_IS_VALID(buffer))
        end = start + GST_BUFFER_DURATION(buffer) / (double)GST_SECOND;
    gst_seam_fusion_pad_arrived(pad, TRUE);
    gst_seam_fusion_pad_advance(pad, start);
    g_cond_broadcast(&self->changed);
    if (!isnan(start))
        wait_for_room(self, pad, start);
    if (stopped(self, pad))
        return gst_seam_fusion_is_flushing(self, pad) ? GST_FLOW_FLUSHING : self->flow;
    gst_seam_fusion_feed_offsets(self, pad->modality, meta);
    double from = self->window >= 0 ? self->window * gst_seam_fusion_config(self)->window : -INFINITY;
    if (gst_seam_fusion_pad_take(pad, buffer, from) > 0 && !pad->warned) {
        pad->warned = TRUE;
        *too_late = from - start;
    }
    gst_seam_fusion_pad_advance(pad, end);
    g_cond_broadcast(&self->changed);
    return GST_FLOW_OK;
}

static GstFlowReturn sink_chain(GstPad *base, GstObject *parent, GstBuffer *buffer)
{
    GstSeamFusion *self = GST_SEAM_FUSION(parent);
    GstSeamFusionPad *pad = GST_SEAM_FUSION_PAD(base);
    if (pad->modality < 0) {
        gst_buffer_unref(buffer);
        return GST_FLOW_NOT_NEGOTIATED;
    }
    const char *name = gst_seam_fusion_config(self)->modality[pad->modality].name;
    char *message = check_buffer(self, pad, buffer);
    if (message) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s (%s): %s", GST_OBJECT_NAME(pad), name, message), (NULL));
        g_free(message);
        gst_buffer_unref(buffer);
        return GST_FLOW_ERROR;
    }
    double too_late = 0;
    g_mutex_lock(&self->lock);
    GstFlowReturn flow = take_buffer(self, pad, buffer, &too_late);
    guint waited = self->max_wait_ms;
    g_mutex_unlock(&self->lock);
    gst_buffer_unref(buffer);
    if (too_late > 0)
        GST_ELEMENT_WARNING(self, STREAM, FAILED,
                            ("%s (%s): data came %.3f s after its window was decided and was dropped; raise max-wait (now %u ms)",
                             GST_OBJECT_NAME(pad), name, too_late, waited),
                            ("further late data of this input is counted, not reported; see seam-fusion-stats"));
    return flow;
}

// ---- events of the inputs ---------------------------------------------------------------------------------------------------------------

// NULL, or why the stream cannot be fused; g_free it.
static char *check_caps(const GstSeamFusion *self, GstSeamTokensInfo *info, const GstCaps *caps)
{
    const SeamConfig *config = gst_seam_fusion_config(self);
    char *message = NULL;
    if (!gst_seam_tokens_info_from_caps(info, caps, config, self->model.model->fingerprint, &message))
        return message;
    if (info->stage != SEAM_STAGE_ENCODED)
        return g_strdup_printf("tokens of stage \"%s\" came, must be \"encoded\": put a seamencoder before seamfusion",
                               seam_stage_name(info->stage));
    if (info->layers < config->layers)
        return g_strdup_printf("%d of %d encoder layers have been run: add seamencoder layers=%d-%d", info->layers, config->layers,
                               info->layers, config->layers - 1);
    return NULL;
}

// The same for a second stream of a modality, else the pad takes it. Under the lock.
static char *take_modality(GstSeamFusion *self, GstSeamFusionPad *pad, gint32 modality)
{
    const SeamModality *of = &gst_seam_fusion_config(self)->modality[modality];
    for (guint i = 0; i < self->pads->len; i++) {
        GstSeamFusionPad *twin = gst_seam_fusion_pad_at(self, i);
        if (twin != pad && twin->modality == modality)
            return g_strdup_printf("%s brings the modality \"%s\" already: a model takes one stream of each, so release one of the two",
                                   GST_OBJECT_NAME(twin), of->name);
    }
    pad->modality = modality;
    pad->sparse = of->sparse;
    gst_seam_fusion_pad_arrived(pad, FALSE);
    return NULL;
}

static gboolean set_caps(GstSeamFusion *self, GstSeamFusionPad *pad, const GstCaps *caps)
{
    GstSeamTokensInfo info;
    char *message = check_caps(self, &info, caps);
    g_mutex_lock(&self->lock);
    if (!message)
        message = take_modality(self, pad, info.modality);
    g_mutex_unlock(&self->lock);
    if (!message)
        return TRUE;
    GST_ELEMENT_ERROR(self, CORE, NEGOTIATION, ("%s: %s", GST_OBJECT_NAME(pad), message), (NULL));
    g_free(message);
    return FALSE;
}

static gboolean set_segment(GstSeamFusion *self, GstSeamFusionPad *pad, GstEvent *event)
{
    const GstSegment *segment;
    gst_event_parse_segment(event, &segment);
    if (segment->format != GST_FORMAT_TIME) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s: the segment is in %s, must be in time", GST_OBJECT_NAME(pad),
                                                 gst_format_get_name(segment->format)), (NULL));
        return FALSE;
    }
    g_mutex_lock(&self->lock);
    gst_segment_copy_into(segment, &pad->segment);
    gst_seam_fusion_pad_arrived(pad, FALSE);
    gst_seam_fusion_pad_advance(pad, gst_seam_fusion_pad_running(pad, segment->start));
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
    return TRUE;
}

static void take_gap(GstSeamFusion *self, GstSeamFusionPad *pad, GstEvent *event)
{
    GstClockTime time, duration;
    gst_event_parse_gap(event, &time, &duration);
    if (GST_CLOCK_TIME_IS_VALID(duration))
        time += duration;
    g_mutex_lock(&self->lock);
    gst_seam_fusion_pad_arrived(pad, TRUE);
    gst_seam_fusion_pad_advance(pad, gst_seam_fusion_pad_running(pad, time));
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

static void set_eos(GstSeamFusion *self, GstSeamFusionPad *pad, gboolean eos)
{
    g_mutex_lock(&self->lock);
    pad->eos = eos;
    gst_seam_fusion_pad_arrived(pad, FALSE);
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

// Events of users go downstream between two windows. One about a weld says when it was meant, if it does not say so itself.
static void take_custom(GstSeamFusion *self, GstSeamFusionPad *pad, GstEvent *event)
{
    g_mutex_lock(&self->lock);
    if (gst_event_has_name(event, "seam-weld") && pad->position > -INFINITY) {
        event = gst_event_make_writable(event);
        GstStructure *structure = gst_event_writable_structure(event);
        if (!gst_structure_has_field(structure, "time"))
            gst_structure_set(structure, "time", G_TYPE_DOUBLE, pad->position, NULL);
    }
    g_queue_push_tail(&self->events, event);
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

static gboolean sink_event(GstPad *base, GstObject *parent, GstEvent *event)
{
    GstSeamFusion *self = GST_SEAM_FUSION(parent);
    GstSeamFusionPad *pad = GST_SEAM_FUSION_PAD(base);
    gboolean result = TRUE;
    GstCaps *caps;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_FLUSH_START: gst_seam_fusion_flush_start(self, pad, event); return TRUE;
    case GST_EVENT_FLUSH_STOP: gst_seam_fusion_flush_stop(self, pad, event); return TRUE;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
    case GST_EVENT_CUSTOM_DOWNSTREAM_OOB: take_custom(self, pad, event); return TRUE;
    case GST_EVENT_STREAM_START: set_eos(self, pad, FALSE); break;
    case GST_EVENT_EOS: set_eos(self, pad, TRUE); break;
    case GST_EVENT_GAP: take_gap(self, pad, event); break;
    case GST_EVENT_SEGMENT: result = set_segment(self, pad, event); break;
    case GST_EVENT_CAPS:
        gst_event_parse_caps(event, &caps);
        result = set_caps(self, pad, caps);
        break;
    default: break; // tags and the like are about one input, not about decisions
    }
    gst_event_unref(event);
    return result;
}

// ---- output: queries and activation -----------------------------------------------------------------------------------------------------

// A window is decided when it is over, and a live one when max-wait is.
static gboolean query_latency(GstSeamFusion *self, GstQuery *query)
{
    gboolean live;
    GstClockTime least, most;
    if (!self->model.model)
        return FALSE;
    gst_seam_fusion_upstream_latency(self, &live, &least, &most);
    GstClockTime own = (GstClockTime)(gst_seam_fusion_config(self)->window * GST_SECOND);
    g_mutex_lock(&self->lock);
    if (live && self->missing != SEAM_MISSING_WAIT)
        own += self->max_wait_ms * GST_MSECOND;
    g_mutex_unlock(&self->lock);
    gst_query_set_latency(query, live, least + own, GST_CLOCK_TIME_IS_VALID(most) ? most + own : most);
    return TRUE;
}

static gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) == GST_QUERY_LATENCY)
        return query_latency(GST_SEAM_FUSION(parent), query);
    return gst_pad_query_default(pad, parent, query);
}

static gboolean src_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstSeekFlags flags = GST_SEEK_FLAG_NONE;
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEEK)
        gst_event_parse_seek(event, NULL, NULL, &flags, NULL, NULL, NULL, NULL);
    return flags & GST_SEEK_FLAG_FLUSH ? gst_seam_fusion_seek(GST_SEAM_FUSION(parent), event) : gst_pad_event_default(pad, parent, event);
}

static void set_flushing(GstSeamFusion *self, gboolean flushing)
{
    g_mutex_lock(&self->lock);
    self->flushing = flushing;
    if (!flushing)
        gst_seam_fusion_reset_stream(self);
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

static gboolean src_activate(GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
    GstSeamFusion *self = GST_SEAM_FUSION(parent);
    if (mode != GST_PAD_MODE_PUSH)
        return FALSE;
    set_flushing(self, !active);
    return active ? gst_pad_start_task(pad, gst_seam_fusion_task, self, NULL) : gst_pad_stop_task(pad);
}

// ---- request pads -----------------------------------------------------------------------------------------------------------------------

static GstPad *request_new_pad(GstElement *element, GstPadTemplate *template, const char *wanted, const GstCaps *caps)
{
    GstSeamFusion *self = GST_SEAM_FUSION(element);
    guint number;
    g_mutex_lock(&self->lock);
    if (!wanted || sscanf(wanted, "sink_%u", &number) != 1)
        number = self->next_pad;
    self->next_pad = MAX(self->next_pad, number + 1);
    g_mutex_unlock(&self->lock);
    char *name = g_strdup_printf("sink_%u", number);
    GstPad *pad = g_object_new(GST_TYPE_SEAM_FUSION_PAD, "name", name, "direction", GST_PAD_SINK, "template", template, NULL);
    g_free(name);
    gst_pad_set_chain_function(pad, sink_chain);
    gst_pad_set_event_function(pad, sink_event);
    g_mutex_lock(&self->lock);
    g_ptr_array_add(self->pads, gst_object_ref(pad));
    self->live_known = FALSE;
    g_mutex_unlock(&self->lock);
    if (GST_STATE(self) > GST_STATE_READY)
        gst_pad_set_active(pad, TRUE);
    if (gst_element_add_pad(element, pad))
        return pad;
    return NULL;
}

static void release_pad(GstElement *element, GstPad *base)
{
    GstSeamFusion *self = GST_SEAM_FUSION(element);
    GstSeamFusionPad *pad = GST_SEAM_FUSION_PAD(base);
    g_mutex_lock(&self->lock);
    pad->flushing = TRUE;
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
    gst_pad_set_active(base, FALSE);
    g_mutex_lock(&self->lock);
    gst_seam_fusion_pad_clear(pad);
    g_ptr_array_remove(self->pads, pad);
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
    gst_element_remove_pad(element, base);
}

// ---- life -------------------------------------------------------------------------------------------------------------------------------

static gboolean start(GstSeamFusion *self)
{
    if (!gst_seam_model_start(&self->model, GST_ELEMENT(self)))
        return FALSE;
    if (!seam_bank_init(&self->bank, gst_seam_fusion_config(self))) {
        GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT, ("%s: no memory for the memory bank's slots: choose a smaller model", GST_OBJECT_NAME(self)),
                          (NULL));
        gst_seam_model_stop(&self->model);
        return FALSE;
    }
    self->pool = gst_seam_tokens_pool_new(PLANNED_TOKENS, gst_seam_fusion_config(self)->dim, 1, PLANNED_LEVELS);
    gst_seam_fusion_start_offsets(self);
    return TRUE;
}

static void stop(GstSeamFusion *self)
{
    for (gint32 m = 0; m < SEAM_MAX_MODALITIES; m++)
        g_clear_pointer(&self->offset[m], seam_offset_free);
    g_clear_pointer(&self->pool, gst_seam_tokens_pool_free);
    seam_bank_clear(&self->bank);
    gst_seam_model_stop(&self->model);
}

static void clear_statistics(GstSeamFusion *self)
{
    self->windows = self->skipped = self->gaps = 0;
    for (guint i = 0; i < self->pads->len; i++) {
        GstSeamFusionPad *pad = gst_seam_fusion_pad_at(self, i);
        pad->sequences = pad->late = pad->missing = 0;
        pad->warned = pad->flushing = FALSE;
        pad->modality = -1;
    }
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstSeamFusion *self = GST_SEAM_FUSION(element);
    if (transition == GST_STATE_CHANGE_NULL_TO_READY && !start(self))
        return GST_STATE_CHANGE_FAILURE;
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED)
        clear_statistics(self);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
        set_flushing(self, TRUE); // lets blocked inputs go
    GstStateChangeReturn result = GST_ELEMENT_CLASS(gst_seam_fusion_parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
        g_mutex_lock(&self->lock);
        gst_seam_fusion_reset_stream(self);
        g_mutex_unlock(&self->lock);
    }
    if (transition == GST_STATE_CHANGE_READY_TO_NULL)
        stop(self);
    return result;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstSeamFusion *self = GST_SEAM_FUSION(object);
    if (gst_seam_model_set_property(&self->model, GST_ELEMENT(self), id, value))
        return;
    g_mutex_lock(&self->lock);
    switch (id) {
    case PROP_MISSING: self->missing = (GstSeamMissing)g_value_get_enum(value); break;
    case PROP_MAX_WAIT: self->max_wait_ms = g_value_get_uint(value); break;
    case PROP_MAX_START: self->max_start_ms = g_value_get_uint(value); break;
    case PROP_CORRECT_OFFSET: self->correct_offset = g_value_get_boolean(value); break;
    case PROP_MAX_TOKENS: self->max_tokens = g_value_get_uint(value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstSeamFusion *self = GST_SEAM_FUSION(object);
    if (gst_seam_model_get_property(&self->model, id, value))
        return;
    switch (id) {
    case PROP_MISSING: g_value_set_enum(value, self->missing); break;
    case PROP_MAX_WAIT: g_value_set_uint(value, self->max_wait_ms); break;
    case PROP_MAX_START: g_value_set_uint(value, self->max_start_ms); break;
    case PROP_CORRECT_OFFSET: g_value_set_boolean(value, self->correct_offset); break;
    case PROP_MAX_TOKENS: g_value_set_uint(value, self->max_tokens); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
}

static void finalize(GObject *object)
{
    GstSeamFusion *self = GST_SEAM_FUSION(object);
    g_queue_clear_full(&self->events, (GDestroyNotify)gst_event_unref);
    g_ptr_array_unref(self->pads);
    g_array_unref(self->items);
    g_array_unref(self->levels);
    g_array_unref(self->level_modality);
    gst_seam_model_finalize(&self->model);
    g_cond_clear(&self->changed);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(gst_seam_fusion_parent_class)->finalize(object);
}

static void gst_seam_fusion_init(GstSeamFusion *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->changed);
    g_queue_init(&self->events);
    gst_seam_model_init(&self->model);
    self->pads = g_ptr_array_new_with_free_func(gst_object_unref);
    self->items = gst_seam_fusion_items_new();
    self->levels = g_array_new(FALSE, FALSE, sizeof(SeamLevel));
    self->level_modality = g_array_new(FALSE, FALSE, 1);
    self->missing = SEAM_MISSING_MASK;
    self->max_wait_ms = DEFAULT_MAX_WAIT_MS;
    self->max_start_ms = DEFAULT_MAX_START_MS;
    self->max_tokens = DEFAULT_MAX_TOKENS;
    self->reference = -1;
    gst_seam_fusion_reset_stream(self);
    self->src = gst_pad_new_from_static_template(&src_template, "src");
    gst_pad_set_activatemode_function(self->src, src_activate);
    gst_pad_set_event_function(self->src, src_event);
    gst_pad_set_query_function(self->src, src_query);
    gst_pad_use_fixed_caps(self->src);
    gst_element_add_pad(GST_ELEMENT(self), self->src);
}

static void install_properties(GObjectClass *klass)
{
    GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
    gst_seam_model_install_properties(klass);
    g_object_class_install_property(
        klass, PROP_MISSING,
        g_param_spec_enum("missing", "Missing streams", "What to do when a stream is later than max-wait", GST_TYPE_SEAM_MISSING,
                          SEAM_MISSING_MASK, flags));
    g_object_class_install_property(
        klass, PROP_MAX_WAIT,
        g_param_spec_uint("max-wait", "Longest wait",
                          "How long a window waits for a stream once the first one has completed it, in milliseconds", 0, MOST_MS,
                          DEFAULT_MAX_WAIT_MS, flags));
    g_object_class_install_property(
        klass, PROP_MAX_START,
        g_param_spec_uint("max-start", "Longest wait at the start",
                          "How long a stream that has never sent anything is waited for, in milliseconds", 0, MOST_MS,
                          DEFAULT_MAX_START_MS, flags));
    g_object_class_install_property(
        klass, PROP_CORRECT_OFFSET,
        g_param_spec_boolean("correct-offset", "Correct clock offset",
                             "Shift each stream by the measured offset of its clock against the reference stream", FALSE, flags));
    g_object_class_install_property(
        klass, PROP_MAX_TOKENS,
        g_param_spec_uint("max-tokens", "Most tokens",
                          "Tokens that one window may have; over it, every other picture or stretch is left out until it fits", 1,
                          65536, DEFAULT_MAX_TOKENS, flags));
}

static void gst_seam_fusion_class_init(GstSeamFusionClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_fusion_debug, "seamfusion", 0, "joining of streams by time");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    install_properties(object_class);
    element_class->request_new_pad = request_new_pad;
    element_class->release_pad = release_pad;
    element_class->change_state = change_state;
    gst_element_class_add_static_pad_template_with_gtype(element_class, &sink_template, GST_TYPE_SEAM_FUSION_PAD);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam fusion", "Filter/Muxer",
                                          "Joins the tokens of all streams by time and fuses each window of them",
                                          "The Seam authors");
    gst_type_mark_as_plugin_api(GST_TYPE_SEAM_MISSING, 0);
}
