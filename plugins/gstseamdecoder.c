// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamdecoder: fused tokens to decisions. It owns the tracker of welds, and the heads that decide (core/heads.h), which a property may
// replace while the stream flows: the new ones are read in the caller's thread and take their place between two buffers. It never
// waits for anything: what is missing from a window, seamfusion has said.

/**
 * SECTION:element-seamdecoder
 * @title: seamdecoder
 *
 * Input: fused tokens, one window a buffer. Output: JSON, one object and a line end a buffer (docs/results-format.md): each window's result,
 * and each weld's verdict after its last window. The buffers carry the same as GstSeamResultsMeta. Without `windows`, only verdicts are told.
 *
 * Each decision is also an element message: `seam-window` (time, duration, arc-on, json) or `seam-verdict` (number, source, time, duration,
 * decision, class, confidence, json).
 *
 * With `weld=event`, a custom downstream event named `seam-weld` with the fields `state` ("begin" or "end"), and if wanted `time` (running
 * time in seconds, double) and `source` (string), says where a weld begins and ends. It may be sent into any branch of the graph.
 *
 * |[
 * gst-launch-1.0 seamcsvsrc location=weld.csv model=M.seam ! seamsensorembed model=M.seam ! seamencoder model=M.seam
 *   ! seamfusion model=M.seam ! seamdecoder model=M.seam source=weld ! filesink location=results.jsonl
 * ]|
 */
#include "plugins/gstseamdecoder.h"

#include <math.h>
#include <string.h>

#include "core/decide.h"
#include "core/heads.h"
#include "core/weld.h"
#include "plugins/gstseammodel.h"
#include "plugins/gstseamresults.h"
#include "plugins/gstseamtokens.h"

GST_DEBUG_CATEGORY_STATIC(seam_decoder_debug);
#define GST_CAT_DEFAULT seam_decoder_debug

enum { PROP_TASKS = GST_SEAM_PROP_OWN, PROP_ADAPTER, PROP_WELD, PROP_FALSE_REJECT, PROP_MISS, PROP_SOURCE, PROP_WINDOWS };

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_TOKENS_CAPS_NAME ", stage=(string)fused"));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_SEAM_RESULTS_CAPS));

struct _GstSeamDecoder {
    GstElement parent;
    GstPad *sink, *src;
    GstSeamModel model;

    GMutex swap; // held while heads are read, and while the model starts or stops
    // Under the object's lock: the properties, and what they hand to the streaming thread.
    char *tasks, *adapter, *source;
    SeamWeldOptions options;
    gboolean windows;
    SeamHeads *next_heads; // NULL: no new ones
    gboolean changed;      // options or source

    // The streaming thread's, from start to stop.
    SeamHeads *heads;
    SeamWeldTracker *tracker;
    SeamVerdict verdict; // scratch
    GstSegment segment;
    double now;          // running time up to which everything has come, seconds
    guint32 last_event;  // its sequence number: an event that was sent into the whole graph comes by every branch
    gboolean has_caps;
    guint64 decided, told; // windows, verdicts
};

G_DEFINE_TYPE(GstSeamDecoder, gst_seam_decoder, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE(seamdecoder, "seamdecoder", GST_RANK_NONE, GST_TYPE_SEAM_DECODER)

#define GST_TYPE_SEAM_WELD_BOUNDS (weld_bounds_get_type())
static GType weld_bounds_get_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {SEAM_BOUNDS_ARC, "The arc: current, brightness or loudness over the model's threshold", "arc"},
        {SEAM_BOUNDS_EVENT, "Events named seam-weld", "event"},
        {SEAM_BOUNDS_FILE, "The stream: from its first window to its end", "file"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstSeamWeldBounds", values));
    return (GType)type;
}

// ---- results out ------------------------------------------------------------------------------------------------------------------------

// The buffer gets the text and a line end, and keeps both; `start` and `end` are running time.
static void fill_buffer(GstSeamDecoder *self, GstBuffer *buffer, char *json, double start, double end)
{
    gsize length = strlen(json);
    json = g_realloc(json, length + 2);
    memcpy(json + length, "\n", 2);
    gst_buffer_append_memory(buffer, gst_memory_new_wrapped(0, json, length + 1, 0, length + 1, json, g_free));
    GST_BUFFER_PTS(buffer) = gst_segment_position_from_running_time(&self->segment, GST_FORMAT_TIME, (guint64)llround(start * GST_SECOND));
    GST_BUFFER_DURATION(buffer) = (GstClockTime)llround((end - start) * GST_SECOND);
}

static void post(GstSeamDecoder *self, GstStructure *structure, const char *json)
{
    gst_structure_set(structure, "json", G_TYPE_STRING, json, NULL);
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), structure));
}

static GstFlowReturn push_verdict(GstSeamDecoder *self)
{
    const SeamVerdict *v = &self->verdict;
    const SeamConfig *config = &self->heads->model->config;
    SeamStatus status = SEAM_NO_MEMORY;
    if (gst_seam_model_reserve(&self->model, GST_ELEMENT(self), seam_decide_finding_bytes(self->heads->model)))
        status = seam_decide_finding(self->heads->model, &self->model.run, self->heads->tasks, &self->verdict);
    if (status != SEAM_OK)
        return gst_seam_model_flow(GST_ELEMENT(self), status, "putting a verdict in words");
    char *json = seam_verdict_print(v, config, self->heads->model->fingerprint);
    const char *class_name = v->class_index >= 0 ? config->class_name[v->class_index] : "";
    post(self, gst_structure_new("seam-verdict", "number", G_TYPE_INT64, v->number, "source", G_TYPE_STRING, v->source, "time", G_TYPE_DOUBLE,
                                 v->start, "duration", G_TYPE_DOUBLE, v->end - v->start, "decision", G_TYPE_STRING,
                                 seam_decision_name(v->decision), "class", G_TYPE_STRING, class_name, "confidence", G_TYPE_DOUBLE,
                                 (double)v->confidence, NULL), json);
    GstBuffer *buffer = gst_buffer_new();
    GstSeamResultsMeta *meta = gst_buffer_add_seam_results_meta(buffer, self->heads->model, config);
    meta->has_verdict = TRUE;
    meta->verdict = *v;
    fill_buffer(self, buffer, json, self->now, self->now);
    self->told++;
    return gst_pad_push(self->src, buffer);
}

// Verdicts of all welds that have ended by now, or with `finish` of all.
static GstFlowReturn push_verdicts(GstSeamDecoder *self, gboolean finish)
{
    GstFlowReturn flow = GST_FLOW_OK;
    while (flow == GST_FLOW_OK && seam_weld_tracker_poll(self->tracker, self->now, finish, &self->verdict))
        flow = push_verdict(self);
    return flow;
}

static void push_gap(GstSeamDecoder *self, const SeamWindowResult *r)
{
    guint64 start = (guint64)llround(r->time * GST_SECOND), end = (guint64)llround((r->time + r->duration) * GST_SECOND);
    gst_pad_push_event(self->src, gst_event_new_gap(gst_segment_position_from_running_time(&self->segment, GST_FORMAT_TIME, start), end - start));
}

static GstFlowReturn push_window(GstSeamDecoder *self, GstBuffer *buffer, const SeamWindowResult *r)
{
    GST_OBJECT_LOCK(self);
    gboolean wanted = self->windows;
    GST_OBJECT_UNLOCK(self);
    self->decided++;
    if (!wanted) { // downstream shall know nevertheless how far the decisions are
        push_gap(self, r);
        gst_buffer_unref(buffer); // and `r` with it
        return GST_FLOW_OK;
    }
    char *json = seam_window_result_print(r, &self->heads->model->config, self->heads->model->fingerprint);
    post(self, gst_structure_new("seam-window", "time", G_TYPE_DOUBLE, r->time, "duration", G_TYPE_DOUBLE, r->duration, "arc-on",
                                 G_TYPE_BOOLEAN, (gboolean)r->arc_on, NULL), json);
    fill_buffer(self, buffer, json, r->time, r->time + r->duration);
    return gst_pad_push(self->src, buffer);
}

// ---- one buffer -------------------------------------------------------------------------------------------------------------------------

// The border between two buffers: what the properties have changed holds from here on.
static void take_changes(GstSeamDecoder *self)
{
    SeamHeads *old = NULL;
    GST_OBJECT_LOCK(self);
    gboolean changed = self->changed || self->next_heads;
    if (self->next_heads) {
        old = self->heads;
        self->heads = g_steal_pointer(&self->next_heads);
    }
    if (changed) {
        seam_weld_tracker_calibrate(self->tracker, self->heads->calibration, &self->options);
        seam_weld_tracker_set_source(self->tracker, self->source);
    }
    self->changed = FALSE;
    GST_OBJECT_UNLOCK(self);
    if (!old)
        return;
    GST_INFO_OBJECT(self, "new heads from %.3f s on", self->now);
    seam_heads_free(old);
    if (self->heads->thresholds_void)
        GST_ELEMENT_WARNING(self, STREAM, FAILED,
                            ("%s: the adapter brings no thresholds, and the model's were made for another: every weld is referred",
                             GST_OBJECT_NAME(self)), ("write it with `seam adapt`, which calibrates"));
}

static void take_levels(GstSeamDecoder *self, const GstSeamTokensMeta *meta)
{
    for (gint32 first = 0, end; first < meta->n_levels; first = end) {
        guint8 modality = meta->level_modality[first];
        for (end = first + 1; end < meta->n_levels && meta->level_modality[end] == modality;)
            end++;
        if (modality < self->heads->model->config.n_modalities)
            seam_weld_tracker_levels(self->tracker, modality, meta->levels + first, end - first);
    }
    for (gint32 m = 0; m < self->heads->model->config.n_modalities && meta->clock_reference >= 0; m++)
        if (!isnan(meta->clock_offset[m]))
            seam_weld_tracker_offset(self->tracker, m, meta->clock_reference, meta->clock_offset[m]);
}

static void copy_levels(GstSeamResultsMeta *results, const GstSeamTokensMeta *meta)
{
    results->n_levels = MIN(meta->n_levels, GST_SEAM_RESULTS_MAX_LEVELS);
    if (results->n_levels == 0)
        return;
    memcpy(results->level, meta->levels, sizeof results->level[0] * (gsize)results->n_levels);
    memcpy(results->level_modality, meta->level_modality, (gsize)results->n_levels);
}

// The counted choices as shares that sum to 1.
static void share_experts(const GstSeamTokensMeta *meta, gint32 experts, float *share)
{
    double all = 0;
    for (gint32 e = 0; e < experts; e++)
        all += meta->expert_use[e];
    for (gint32 e = 0; e < experts; e++)
        share[e] = all > 0 ? (float)(meta->expert_use[e] / all) : 0;
}

static GstFlowReturn decide_window(GstSeamDecoder *self, const SeamTokens *tokens, gint32 window, const GstSeamTokensMeta *meta)
{
    const SeamModel *model = self->heads->model;
    float share[SEAM_MAX_EXPERTS];
    GstBuffer *buffer = gst_buffer_new();
    GstSeamResultsMeta *results = gst_buffer_add_seam_results_meta(buffer, self->heads->model, &model->config);
    share_experts(meta, model->config.experts, share);
    SeamStatus status = seam_decide(model, &self->model.run, tokens, window, self->heads->tasks, meta->present | meta->missing, share,
                                    &results->window);
    if (status != SEAM_OK) {
        gst_buffer_unref(buffer);
        return gst_seam_model_flow(GST_ELEMENT(self), status, "deciding a window");
    }
    results->has_window = TRUE;
    results->window.level = meta->level;
    results->window.effort = seam_calibration_effort(self->heads->calibration, meta->effort);
    seam_conformal_interval(self->heads->calibration, &model->config, &results->window);
    if (window == 0) {
        take_levels(self, meta);
        copy_levels(results, meta);
    }
    seam_weld_tracker_window(self->tracker, &results->window);
    self->now = MAX(self->now, results->window.time + results->window.duration);
    return push_window(self, buffer, &results->window);
}

// NULL, or what is wrong with the tokens; g_free it.
static char *check_tokens(const GstSeamDecoder *self, const SeamTokens *tokens)
{
    const SeamConfig *config = &self->heads->model->config;
    if (tokens->dim != config->dim)
        return g_strdup_printf("tokens are %d wide, the model's are %d", tokens->dim, config->dim);
    for (gint32 i = 0; i < tokens->n; i++)
        if (tokens->place[i].modality >= config->n_modalities)
            return g_strdup_printf("token %d says that it is of modality %u, the model has %d", i, tokens->place[i].modality, config->n_modalities);
    for (gint32 s = 0; s < tokens->seqs; s++)
        if (!(tokens->seq_time[s] >= 0 && tokens->seq_time[s] < 1e9))
            return g_strdup_printf("window %d has time %g s, must be 0 or more", s, tokens->seq_time[s]);
    return NULL;
}

static GstFlowReturn refuse(GstSeamDecoder *self, char *message)
{
    GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s: %s", GST_OBJECT_NAME(self), message), (NULL));
    g_free(message);
    return GST_FLOW_ERROR;
}

static GstFlowReturn decide_buffer(GstSeamDecoder *self, GstBuffer *buffer)
{
    SeamTokens tokens;
    GstMapInfo map;
    char *message = NULL;
    GstFlowReturn flow = GST_FLOW_OK;
    if (!gst_seam_tokens_map(buffer, GST_MAP_READ, &tokens, &map, &message))
        return refuse(self, message);
    message = check_tokens(self, &tokens);
    if (message)
        flow = refuse(self, message);
    else if (!gst_seam_model_reserve(&self->model, GST_ELEMENT(self), seam_decide_bytes(self->heads->model, tokens.n)))
        flow = GST_FLOW_ERROR;
    for (gint32 w = 0; w < tokens.seqs && flow == GST_FLOW_OK; w++)
        flow = decide_window(self, &tokens, w, gst_buffer_get_seam_tokens_meta(buffer));
    gst_buffer_unmap(buffer, &map);
    return flow;
}

static GstFlowReturn sink_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstSeamDecoder *self = GST_SEAM_DECODER(parent);
    GstFlowReturn flow = GST_FLOW_NOT_NEGOTIATED;
    if (self->has_caps) {
        take_changes(self);
        flow = decide_buffer(self, buffer);
    }
    gst_buffer_unref(buffer);
    return flow == GST_FLOW_OK ? push_verdicts(self, FALSE) : flow;
}

// ---- events -----------------------------------------------------------------------------------------------------------------------------

static gboolean set_caps(GstSeamDecoder *self, const GstCaps *caps)
{
    GstSeamTokensInfo info;
    char *message = NULL;
    if (gst_seam_tokens_info_from_caps(&info, caps, &self->model.model->config, self->model.model->fingerprint, &message) &&
        info.stage != SEAM_STAGE_FUSED)
        message = g_strdup_printf("tokens of stage \"%s\" came, must be \"fused\": put a seamfusion before seamdecoder", seam_stage_name(info.stage));
    if (message) {
        GST_ELEMENT_ERROR(self, STREAM, WRONG_TYPE, ("%s: %s", GST_OBJECT_NAME(self), message), (NULL));
        g_free(message);
        return FALSE;
    }
    GstCaps *json = gst_static_pad_template_get_caps(&src_template);
    self->has_caps = gst_pad_push_event(self->src, gst_event_new_caps(json));
    gst_caps_unref(json);
    return self->has_caps;
}

// A stretch without decisions: a weld may end in it.
static void take_gap(GstSeamDecoder *self, GstEvent *event)
{
    GstClockTime time, duration;
    gst_event_parse_gap(event, &time, &duration);
    if (GST_CLOCK_TIME_IS_VALID(duration))
        time += duration;
    guint64 running = gst_segment_to_running_time(&self->segment, GST_FORMAT_TIME, time);
    if (!GST_CLOCK_TIME_IS_VALID(running) || !self->has_caps)
        return;
    self->now = MAX(self->now, running / (double)GST_SECOND);
    take_changes(self);
    push_verdicts(self, FALSE);
}

// Where a weld begins or ends, by the word of a PLC or a person.
static void take_weld_event(GstSeamDecoder *self, GstEvent *event)
{
    const GstStructure *s = gst_event_get_structure(event);
    const char *state = gst_structure_get_string(s, "state"), *source = gst_structure_get_string(s, "source");
    double time = self->now;
    if (gst_event_get_seqnum(event) == self->last_event)
        return;
    self->last_event = gst_event_get_seqnum(event);
    gst_structure_get_double(s, "time", &time);
    GST_OBJECT_LOCK(self);
    gboolean wanted = self->options.bounds == SEAM_BOUNDS_EVENT;
    GST_OBJECT_UNLOCK(self);
    if (!wanted)
        GST_DEBUG_OBJECT(self, "an event seam-weld came, but weld= is not event");
    else if (g_strcmp0(state, "begin") == 0)
        seam_weld_tracker_begin(self->tracker, time, source);
    else if (g_strcmp0(state, "end") == 0)
        seam_weld_tracker_end(self->tracker, time);
    else
        GST_ELEMENT_WARNING(self, STREAM, FAILED,
                            ("%s: an event seam-weld with state=%s came, must be begin or end; it was ignored", GST_OBJECT_NAME(self),
                             state ? state : "(none)"), (NULL));
}

static void forget_stream(GstSeamDecoder *self)
{
    gst_segment_init(&self->segment, GST_FORMAT_TIME);
    self->now = 0;
    self->last_event = GST_SEQNUM_INVALID;
    if (self->tracker)
        seam_weld_tracker_reset(self->tracker);
}

static gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstSeamDecoder *self = GST_SEAM_DECODER(parent);
    GstCaps *caps;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS: {
        gst_event_parse_caps(event, &caps);
        gboolean result = set_caps(self, caps);
        gst_event_unref(event);
        return result;
    }
    case GST_EVENT_SEGMENT: gst_event_copy_segment(event, &self->segment); break;
    case GST_EVENT_GAP: take_gap(self, event); break;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
        if (gst_event_has_name(event, "seam-weld"))
            take_weld_event(self, event);
        break;
    case GST_EVENT_EOS:
        take_changes(self);
        if (self->has_caps)
            push_verdicts(self, TRUE);
        break;
    case GST_EVENT_FLUSH_STOP: forget_stream(self); break;
    default: break;
    }
    return gst_pad_event_default(pad, parent, event);
}

// ---- heads that come and go ---------------------------------------------------------------------------------------------------------------

static SeamHeads *read_heads(GstSeamDecoder *self, const char *adapter, const char *tasks, GError **error)
{
    char **files = adapter && *adapter ? g_strsplit(adapter, ",", -1) : NULL;
    for (guint i = 0; files && files[i]; i++)
        g_strstrip(files[i]);
    SeamHeads *heads = seam_heads_new(self->model.model, self->model.path, (const char *const *)files, tasks, error);
    g_strfreev(files);
    return heads;
}

// Sets `tasks` or `adapter`. While the model is loaded the heads are read at once; when that fails, both stay as they were.
static void change_heads(GstSeamDecoder *self, char **field, const char *value)
{
    g_autoptr(GError) error = NULL;
    SeamHeads *heads = NULL, *unused = NULL;
    g_mutex_lock(&self->swap);
    gboolean running = self->model.model != NULL;
    if (running)
        heads = read_heads(self, field == &self->adapter ? value : self->adapter, field == &self->tasks ? value : self->tasks, &error);
    if (heads || !running) {
        GST_OBJECT_LOCK(self);
        g_free(*field);
        *field = g_strdup(value);
        unused = self->next_heads;
        self->next_heads = heads;
        GST_OBJECT_UNLOCK(self);
    }
    g_mutex_unlock(&self->swap);
    seam_heads_free(unused);
    if (error)
        GST_ELEMENT_WARNING(self, RESOURCE, OPEN_READ, ("%s: %s; the decisions go on as before", GST_OBJECT_NAME(self), error->message), (NULL));
}

static gboolean start(GstSeamDecoder *self)
{
    g_autoptr(GError) error = NULL;
    g_mutex_lock(&self->swap);
    gboolean started = gst_seam_model_start(&self->model, GST_ELEMENT(self));
    if (started && !(self->heads = read_heads(self, self->adapter, self->tasks, &error)))
        gst_seam_model_stop(&self->model);
    if (self->heads) {
        self->tracker = seam_weld_tracker_new(&self->model.model->config, self->heads->calibration, &self->options);
        self->changed = TRUE; // the source
    }
    g_mutex_unlock(&self->swap);
    if (error)
        GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("%s: %s", GST_OBJECT_NAME(self), error->message), (NULL));
    return self->heads != NULL;
}

static void stop(GstSeamDecoder *self)
{
    g_mutex_lock(&self->swap);
    g_clear_pointer(&self->next_heads, seam_heads_free);
    g_clear_pointer(&self->heads, seam_heads_free);
    g_clear_pointer(&self->tracker, seam_weld_tracker_free);
    gst_seam_model_stop(&self->model);
    g_mutex_unlock(&self->swap);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstSeamDecoder *self = GST_SEAM_DECODER(element);
    if (transition == GST_STATE_CHANGE_NULL_TO_READY && !start(self))
        return GST_STATE_CHANGE_FAILURE;
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
        forget_stream(self);
        self->has_caps = FALSE;
        self->decided = self->told = 0;
    }
    GstStateChangeReturn result = GST_ELEMENT_CLASS(gst_seam_decoder_parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
        GST_INFO_OBJECT(self, "%" G_GUINT64_FORMAT " windows, %" G_GUINT64_FORMAT " verdicts", self->decided, self->told);
        forget_stream(self);
    }
    if (transition == GST_STATE_CHANGE_READY_TO_NULL)
        stop(self);
    return result;
}

// ---- properties and class -----------------------------------------------------------------------------------------------------------------

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstSeamDecoder *self = GST_SEAM_DECODER(object);
    if (gst_seam_model_set_property(&self->model, GST_ELEMENT(self), id, value))
        return;
    if (id == PROP_TASKS || id == PROP_ADAPTER) {
        change_heads(self, id == PROP_TASKS ? &self->tasks : &self->adapter, g_value_get_string(value));
        return;
    }
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_WELD: self->options.bounds = (SeamBounds)g_value_get_enum(value); break;
    case PROP_FALSE_REJECT: self->options.false_reject = g_value_get_double(value); break;
    case PROP_MISS: self->options.miss = g_value_get_double(value); break;
    case PROP_WINDOWS: self->windows = g_value_get_boolean(value); break;
    case PROP_SOURCE:
        g_free(self->source);
        self->source = g_value_dup_string(value);
        break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    self->changed = TRUE;
    GST_OBJECT_UNLOCK(self);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstSeamDecoder *self = GST_SEAM_DECODER(object);
    if (gst_seam_model_get_property(&self->model, id, value))
        return;
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_TASKS: g_value_set_string(value, self->tasks); break;
    case PROP_ADAPTER: g_value_set_string(value, self->adapter); break;
    case PROP_WELD: g_value_set_enum(value, (gint)self->options.bounds); break;
    case PROP_FALSE_REJECT: g_value_set_double(value, self->options.false_reject); break;
    case PROP_MISS: g_value_set_double(value, self->options.miss); break;
    case PROP_SOURCE: g_value_set_string(value, self->source); break;
    case PROP_WINDOWS: g_value_set_boolean(value, self->windows); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(self);
}

static void finalize(GObject *object)
{
    GstSeamDecoder *self = GST_SEAM_DECODER(object);
    stop(self);
    gst_seam_model_finalize(&self->model);
    g_free(self->tasks);
    g_free(self->adapter);
    g_free(self->source);
    g_mutex_clear(&self->swap);
    G_OBJECT_CLASS(gst_seam_decoder_parent_class)->finalize(object);
}

static void gst_seam_decoder_init(GstSeamDecoder *self)
{
    g_mutex_init(&self->swap);
    gst_seam_model_init(&self->model);
    self->options = SEAM_WELD_OPTIONS_DEFAULT;
    self->windows = TRUE;
    forget_stream(self);
    self->sink = gst_pad_new_from_static_template(&sink_template, "sink");
    gst_pad_set_chain_function(self->sink, sink_chain);
    gst_pad_set_event_function(self->sink, sink_event);
    self->src = gst_pad_new_from_static_template(&src_template, "src");
    gst_pad_use_fixed_caps(self->src);
    gst_element_add_pad(GST_ELEMENT(self), self->sink);
    gst_element_add_pad(GST_ELEMENT(self), self->src);
}

static void install_properties(GObjectClass *klass)
{
    const SeamWeldOptions usual = SEAM_WELD_OPTIONS_DEFAULT;
    const GParamFlags stopped = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
    const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
    gst_seam_model_install_properties(klass);
    g_object_class_install_property(klass, PROP_TASKS,
        g_param_spec_string("tasks", "Tasks", "Names of the tasks that decide, with commas between; unset: all that the model was taught", NULL,
                            playing));
    g_object_class_install_property(klass, PROP_ADAPTER,
        g_param_spec_string("adapter", "Adapter", "Adapter files in place of the model's own, with commas between; each says for which task it is",
                            NULL, playing));
    g_object_class_install_property(klass, PROP_WELD,
        g_param_spec_enum("weld", "Weld bounds", "What says where a weld begins and ends", GST_TYPE_SEAM_WELD_BOUNDS, (gint)usual.bounds, stopped));
    g_object_class_install_property(klass, PROP_FALSE_REJECT,
        g_param_spec_double("false-reject", "False-reject rate", "Promised share of good welds that are rejected, at most, 0 to 1", 0, 1,
                            usual.false_reject, playing));
    g_object_class_install_property(klass, PROP_MISS,
        g_param_spec_double("miss", "Miss rate", "Promised share of defective welds that are passed, at most, 0 to 1", 0, 1, usual.miss, playing));
    g_object_class_install_property(klass, PROP_SOURCE,
        g_param_spec_string("source", "Source", "Your name for the weld or the stream, repeated in every verdict; up to 127 bytes", NULL, playing));
    g_object_class_install_property(klass, PROP_WINDOWS,
        g_param_spec_boolean("windows", "Windows", "Tell each window's result too, not only each weld's verdict", TRUE, playing));
}

static void gst_seam_decoder_class_init(GstSeamDecoderClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_decoder_debug, "seamdecoder", 0, "tokens to decisions");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    install_properties(object_class);
    element_class->change_state = change_state;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam decoder", "Filter/Analyzer",
                                          "Decides on each window and each weld: class, place, anomaly; pass, reject or refer", "The Seam authors");
    gst_type_mark_as_plugin_api(GST_TYPE_SEAM_WELD_BOUNDS, 0);
}
