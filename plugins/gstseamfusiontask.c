// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The thread behind seamfusion's output. It owns the order of decisions: waits until the next window can be decided, takes it out of the
// pads, fuses and pushes it. It holds the lock while it chooses and never while it works, queries or pushes.
#include "plugins/gstseamfusionprivate.h"

#include <math.h>
#include <string.h>

GST_DEBUG_CATEGORY_EXTERN(seam_fusion_debug);
#define GST_CAT_DEFAULT seam_fusion_debug

static const double time_slack = 1e-6;  // seconds; see gstseamfusionpad.c
static const double most_offset = 2;    // seconds of clock offset that are looked for
static const double offset_step = 0.02; // a correction changes only by more than the grid on which it is measured

typedef enum { STEP_WAIT, STEP_STOP, STEP_QUERY, STEP_EVENT, STEP_FUSE, STEP_GAP, STEP_EOS } Step;

static double window_end(const GstSeamFusion *self) { return (self->window + 1) * gst_seam_fusion_config(self)->window; }
static GstClockTime clock_time(double seconds) { return (GstClockTime)llround(seconds * GST_SECOND); }

// ---- clock offsets (under the lock) ---------------------------------------------------------------------------------------------------

// The first stream of process values that shows the arc, else the first picture stream; -1: none.
static gint32 reference_modality(const SeamConfig *config)
{
    for (gint32 m = 0; m < config->n_modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_SENSOR && config->modality[m].sensor.arc_channel >= 0)
            return m;
    for (gint32 m = 0; m < config->n_modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_IMAGE && !config->modality[m].sparse)
            return m;
    return -1;
}

void gst_seam_fusion_forget_offsets(GstSeamFusion *self)
{
    for (gint32 m = 0; m < SEAM_MAX_MODALITIES; m++) {
        self->measured[m] = NAN;
        if (self->offset[m])
            seam_offset_reset(self->offset[m]);
    }
}

void gst_seam_fusion_start_offsets(GstSeamFusion *self)
{
    const SeamConfig *config = gst_seam_fusion_config(self);
    self->reference = reference_modality(config);
    for (gint32 m = 0; m < config->n_modalities && self->reference >= 0; m++)
        if (m != self->reference && !config->modality[m].sparse && config->modality[m].front != SEAM_FRONT_TEXT &&
            config->modality[m].front != SEAM_FRONT_FEATURES)
            self->offset[m] = seam_offset_new(most_offset);
}

void gst_seam_fusion_feed_offsets(GstSeamFusion *self, gint32 modality, const GstSeamTokensMeta *meta)
{
    for (gint32 m = 0; m < SEAM_MAX_MODALITIES; m++)
        if (self->offset[m] && (m == modality || modality == self->reference))
            seam_offset_push(self->offset[m], modality == self->reference, meta->levels, meta->n_levels);
}

static void measure_offsets(GstSeamFusion *self)
{
    for (gint32 m = 0; m < SEAM_MAX_MODALITIES; m++) {
        double certainty;
        if (self->offset[m])
            seam_offset_estimate(self->offset[m], window_end(self), &self->measured[m], &certainty);
    }
    for (guint i = 0; i < self->pads->len && self->correct_offset; i++) {
        GstSeamFusionPad *pad = gst_seam_fusion_pad_at(self, i);
        double offset = pad->modality >= 0 ? self->measured[pad->modality] : NAN;
        if (fabs(offset - pad->shift) > offset_step) {
            GST_INFO_OBJECT(pad, "clock offset against the reference is now corrected by %.3f s", offset);
            pad->shift = offset;
        }
    }
}

// ---- what to do next (under the lock) ---------------------------------------------------------------------------------------------------

gint64 gst_seam_fusion_window_of(const GstSeamFusion *self, double time)
{
    return (gint64)floor((MAX(time, 0) + time_slack) / gst_seam_fusion_config(self)->window);
}

// Before the grid begins, a pad is ready when it has sent anything; after that, when it has completed the window.
static gboolean is_ready(const GstSeamFusion *self, GstSeamFusionPad *pad)
{
    if (self->window < 0)
        return pad->got_data || gst_seam_fusion_pad_ended(pad);
    return gst_seam_fusion_pad_complete(pad, window_end(self));
}

// The rest of the pads is silent and all others have ended: after a last wait the stream ends, whatever they meant to send.
static gboolean end_of_patience(GstSeamFusion *self, gint64 now, gint64 *until)
{
    gint64 activity = 0;
    for (guint i = 0; i < self->pads->len; i++)
        activity = MAX(activity, gst_seam_fusion_pad_at(self, i)->last_arrival);
    gint64 windows = (gint64)(2 * gst_seam_fusion_config(self)->window * G_USEC_PER_SEC);
    *until = activity + MAX(MAX(self->max_start_ms, self->max_wait_ms) * G_TIME_SPAN_MILLISECOND, windows);
    if (now < *until)
        return FALSE;
    for (guint i = 0; i < self->pads->len; i++)
        gst_seam_fusion_pad_at(self, i)->eos = TRUE;
    return TRUE;
}

// True when some pad that is not ready must be waited for; *until: how long.
static gboolean must_wait(GstSeamFusion *self, gint64 now, gint64 *until)
{
    GstSeamFusionWait wait = {self->missing, self->live, self->max_wait_ms * G_TIME_SPAN_MILLISECOND,
                              self->max_start_ms * G_TIME_SPAN_MILLISECOND, self->first_complete};
    *until = 0;
    for (guint i = 0; i < self->pads->len; i++)
        if (!is_ready(self, gst_seam_fusion_pad_at(self, i)))
            *until = MAX(*until, gst_seam_fusion_pad_deadline(gst_seam_fusion_pad_at(self, i), &wait));
    if (now < *until)
        return TRUE;
    for (guint i = 0; i < self->pads->len; i++)
        if (!is_ready(self, gst_seam_fusion_pad_at(self, i)))
            gst_seam_fusion_pad_at(self, i)->silent = TRUE;
    return FALSE;
}

// The first window in which anything is, or will be.
static gint64 next_window(const GstSeamFusion *self)
{
    gint64 next = G_MAXINT64;
    for (guint i = 0; i < self->pads->len; i++) {
        GstSeamFusionPad *pad = gst_seam_fusion_pad_at(self, i);
        double first = gst_seam_fusion_pad_first(pad);
        if (first < INFINITY)
            next = MIN(next, gst_seam_fusion_window_of(self, first));
        else if (!gst_seam_fusion_pad_ended(pad) && pad->got_data && !pad->silent)
            next = MIN(next, gst_seam_fusion_window_of(self, pad->position));
    }
    return next == G_MAXINT64 ? self->window + 1 : next;
}

static Step judge(GstSeamFusion *self, gint64 *until)
{
    gint64 now = g_get_monotonic_time();
    guint drivers = 0, ended = 0, finished = 0; // drivers: pads that are ready and make the window worth deciding; finished: at EOS
    double first = INFINITY;
    for (guint i = 0; i < self->pads->len; i++) {
        GstSeamFusionPad *pad = gst_seam_fusion_pad_at(self, i);
        gboolean pad_ended = gst_seam_fusion_pad_ended(pad);
        ended += pad_ended;
        finished += pad->eos;
        drivers += is_ready(self, pad) && (!pad_ended || pad->items->len > 0);
        first = MIN(first, gst_seam_fusion_pad_first(pad));
    }
    *until = G_MAXINT64;
    if (ended == self->pads->len && first == INFINITY)
        return finished > 0 ? STEP_EOS : STEP_WAIT; // pads that are not linked yet end nothing
    if (drivers == 0) {
        if (finished == 0 || self->missing == SEAM_MISSING_WAIT || !end_of_patience(self, now, until))
            return STEP_WAIT;
        return judge(self, until);
    }
    if (self->first_complete == 0)
        self->first_complete = now;
    if (must_wait(self, now, until))
        return STEP_WAIT;
    if (self->window < 0) {
        self->window = MAX(next_window(self), 0);
        self->first_complete = 0;
        return judge(self, until);
    }
    return first < window_end(self) - time_slack ? STEP_FUSE : STEP_GAP;
}

static gboolean any_data(const GstSeamFusion *self)
{
    for (guint i = 0; i < self->pads->len; i++)
        if (gst_seam_fusion_pad_at(self, i)->got_data)
            return TRUE;
    return FALSE;
}

static Step next_step(GstSeamFusion *self)
{
    for (;;) {
        gint64 until;
        if (self->flushing)
            return STEP_STOP;
        if (!self->live_known && any_data(self))
            return STEP_QUERY;
        if (!g_queue_is_empty(&self->events) && self->stream_started)
            return STEP_EVENT;
        Step step = judge(self, &until);
        if (step != STEP_WAIT)
            return step;
        if (until == G_MAXINT64)
            g_cond_wait(&self->changed, &self->lock);
        else
            g_cond_wait_until(&self->changed, &self->lock, until);
    }
}

// ---- one window -------------------------------------------------------------------------------------------------------------------------

// A pad without caps may still be known: by what its upstream offers, or as the one dense modality that nobody else brings.
static gint32 guess_modality(const GstSeamFusion *self, GstSeamFusionPad *pad)
{
    const SeamConfig *config = gst_seam_fusion_config(self);
    guint32 taken = 0;
    gint32 only = -1, candidates = 0;
    if (pad->modality >= 0)
        return pad->modality;
    for (guint i = 0; i < self->pads->len; i++)
        if (gst_seam_fusion_pad_at(self, i)->modality >= 0)
            taken |= 1u << gst_seam_fusion_pad_at(self, i)->modality;
    for (gint32 m = 0; m < config->n_modalities; m++)
        if (!config->modality[m].sparse && !(taken & 1u << m)) {
            only = m;
            candidates++;
        }
    return candidates == 1 ? only : -1;
}

// Takes the window's sequences and levels out of the pads, ordered by modality.
static void gather(GstSeamFusion *self, double end)
{
    const SeamConfig *config = gst_seam_fusion_config(self);
    self->window_present = self->window_missing = 0;
    for (gint32 m = -1; m < config->n_modalities; m++)
        for (guint i = 0; i < self->pads->len; i++) {
            GstSeamFusionPad *pad = gst_seam_fusion_pad_at(self, i);
            if (pad->modality != m)
                continue;
            gboolean any = gst_seam_fusion_pad_give(pad, end, self->items, self->levels);
            while (self->level_modality->len < self->levels->len) {
                guint8 modality = (guint8)MAX(m, 0);
                g_array_append_val(self->level_modality, modality);
            }
            gint32 known = guess_modality(self, pad);
            if (any) {
                self->window_present |= 1u << m;
            } else if (!pad->sparse) {
                pad->missing++;
                self->window_missing |= known >= 0 ? 1u << known : 0;
            }
        }
}

static void release_window(GstSeamFusion *self)
{
    g_array_set_size(self->items, 0);
    g_array_set_size(self->levels, 0);
    g_array_set_size(self->level_modality, 0);
    self->model.arena.used = 0;
}

static const SeamTokens *tokens_of(const GstSeamFusionItem *item) { return &gst_buffer_get_seam_tokens_meta(item->buffer)->tokens; }

static gint32 item_tokens(const GstSeamFusionItem *item)
{
    const SeamTokens *tokens = tokens_of(item);
    return tokens->seq_start[item->seq + 1] - tokens->seq_start[item->seq];
}

static gint32 count_tokens(const GArray *items)
{
    gint32 n = 0;
    for (guint i = 0; i < items->len; i++)
        n += item_tokens(&g_array_index(items, GstSeamFusionItem, i));
    return n;
}

// Over max-tokens: every other sequence goes, until the rest fits or one is left. Returns how often.
static gint32 thin_out(GstSeamFusion *self)
{
    gint32 times = 0;
    while (self->items->len > 1 && count_tokens(self->items) > (gint32)self->max_tokens) {
        for (guint i = 1; i < self->items->len; i++)
            g_array_remove_index(self->items, i);
        times++;
    }
    return times;
}

static gboolean any_merged(const GArray *items)
{
    for (guint i = 0; i < items->len; i++)
        if (tokens_of(&g_array_index(items, GstSeamFusionItem, i))->size)
            return TRUE;
    return FALSE;
}

// Everything gathered as one batch in the arena: sequence times as corrected, all of window 0.
static gboolean join_items(GstSeamFusion *self, SeamTokens *in, int32_t **window_of_seq)
{
    SeamArena *arena = &self->model.arena;
    gint32 seqs = (gint32)self->items->len, n = count_tokens(self->items), dim = gst_seam_fusion_config(self)->dim;
    gboolean merged = any_merged(self->items);
    gsize bytes = seam_arena_bytes((gsize)n * dim, sizeof(float)) + seam_arena_bytes(n, sizeof(float)) + seam_arena_bytes(n, sizeof(SeamPlace)) +
                  seam_arena_bytes(seqs + 1, 3 * sizeof(double)) + 4 * 64 + seam_model_fuse_bytes(self->model.model, n, false) +
                  seam_model_remember_bytes(self->model.model, 1, n, false);
    if (!gst_seam_model_reserve(&self->model, GST_ELEMENT(self), bytes))
        return FALSE;
    *in = (SeamTokens){.n = n, .dim = dim, .seqs = seqs, .x = SEAM_NEW(arena, float, (gsize)n * dim),
                       .seq_start = SEAM_NEW(arena, int32_t, seqs + 1), .seq_time = SEAM_NEW(arena, double, seqs),
                       .place = SEAM_NEW(arena, SeamPlace, n), .size = merged ? SEAM_NEW(arena, float, n) : NULL};
    *window_of_seq = SEAM_NEW0(arena, int32_t, seqs);
    gint32 at = 0;
    for (gint32 s = 0; s < seqs; s++) {
        const GstSeamFusionItem *item = &g_array_index(self->items, GstSeamFusionItem, s);
        gint32 first = tokens_of(item)->seq_start[item->seq], count = item_tokens(item);
        GstMapInfo map;
        SeamTokens view;
        char *message = NULL;
        if (!gst_seam_tokens_map(item->buffer, GST_MAP_READ, &view, &map, &message)) {
            GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s", message), (NULL));
            g_free(message);
            return FALSE;
        }
        in->seq_start[s] = at;
        in->seq_time[s] = item->time;
        memcpy(in->x + (gsize)at * dim, view.x + (gsize)first * dim, (gsize)count * dim * sizeof(float));
        memcpy(in->place + at, view.place + first, (gsize)count * sizeof(SeamPlace));
        for (gint32 i = 0; merged && i < count; i++)
            in->size[at + i] = view.size ? view.size[first + i] : 1;
        gst_buffer_unmap(item->buffer, &map);
        at += count;
    }
    in->seq_start[seqs] = at;
    return TRUE;
}

static void add_expert_use(const GArray *items, float *use)
{
    for (guint i = 0; i < items->len; i++) {
        const GstSeamFusionItem *item = &g_array_index(items, GstSeamFusionItem, i);
        const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(item->buffer);
        for (gint32 e = 0; e < SEAM_MAX_EXPERTS && item->seq == 0; e++)
            use[e] += meta->expert_use[e];
    }
}

static gint32 highest_level(const GArray *items)
{
    gint32 level = 0;
    for (guint i = 0; i < items->len; i++)
        level = MAX(level, gst_buffer_get_seam_tokens_meta(g_array_index(items, GstSeamFusionItem, i).buffer)->level);
    return level;
}

static SeamEffort joined_effort(const GArray *items)
{
    SeamEffort effort = {0};
    for (guint i = 0; i < items->len; i++) {
        SeamEffort one = gst_buffer_get_seam_tokens_meta(g_array_index(items, GstSeamFusionItem, i).buffer)->effort;
        effort = i == 0 ? one : seam_effort_join(effort, one);
    }
    return effort;
}

static void fill_meta(GstSeamFusion *self, GstBuffer *buffer, double start, gint32 degraded)
{
    GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    meta->present = self->window_present;
    meta->missing = self->window_missing & ~self->window_present;
    meta->window_time = start;
    meta->window_duration = gst_seam_fusion_config(self)->window;
    if (meta->n_levels > 0)
        memcpy(meta->level_modality, self->level_modality->data, (gsize)meta->n_levels);
    memset(meta->expert_use, 0, sizeof meta->expert_use);
    add_expert_use(self->items, meta->expert_use);
    memcpy(meta->clock_offset, self->measured, sizeof meta->clock_offset);
    meta->clock_reference = self->reference;
    meta->degraded = degraded;
    meta->level = highest_level(self->items);
    meta->effort = joined_effort(self->items);
    GST_BUFFER_PTS(buffer) = clock_time(start);
    GST_BUFFER_DURATION(buffer) = clock_time(start + meta->window_duration) - GST_BUFFER_PTS(buffer);
}

// The window's buffer, or NULL after an error message. Without the lock.
static GstBuffer *fuse(GstSeamFusion *self, double start)
{
    SeamTokens in, out;
    int32_t *window_of_seq;
    gint32 degraded = thin_out(self);
    if (!join_items(self, &in, &window_of_seq))
        return NULL;
    SeamStatus status = seam_model_fuse(self->model.model, &self->model.run, &in, 1, window_of_seq, &start, &out, NULL);
    if (status == SEAM_OK)
        status = seam_model_remember(self->model.model, &self->model.run, &self->bank, &out, NULL);
    if (status != SEAM_OK) {
        gst_seam_model_flow(GST_ELEMENT(self), status, "seamfusion: fusing a window");
        return NULL;
    }
    GstBuffer *buffer = gst_seam_tokens_pool_acquire(self->pool, SEAM_STAGE_FUSED, &out, (const SeamLevel *)(void *)self->levels->data,
                                                     (int32_t)self->levels->len, -1);
    if (buffer)
        fill_meta(self, buffer, start, degraded);
    else
        gst_seam_model_flow(GST_ELEMENT(self), SEAM_NO_MEMORY, "seamfusion: an output buffer");
    return buffer;
}

// ---- the task ---------------------------------------------------------------------------------------------------------------------------

static void push_stream_start(GstSeamFusion *self)
{
    if (self->stream_started)
        return;
    char *id = g_strdup_printf("%s-%08x", GST_OBJECT_NAME(self), g_random_int()); // gst_pad_create_stream_id() is for one sink pad at most
    GstCaps *caps = gst_seam_tokens_caps_new(gst_seam_fusion_config(self), self->model.model->fingerprint, SEAM_STAGE_FUSED, -1,
                                             gst_seam_fusion_config(self)->layers);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_pad_push_event(self->src, gst_event_new_stream_start(id));
    gst_pad_push_event(self->src, gst_event_new_caps(caps));
    gst_pad_push_event(self->src, gst_event_new_segment(&segment));
    gst_caps_unref(caps);
    g_free(id);
    self->stream_started = TRUE;
}

static void push_gap(GstSeamFusion *self, double start, double end)
{
    GstEvent *gap = gst_event_new_gap(clock_time(start), clock_time(end) - clock_time(start));
    gst_event_set_gap_flags(gap, GST_GAP_FLAG_MISSING_DATA);
    gst_pad_push_event(self->src, gap);
}

static void post_statistics(GstSeamFusion *self)
{
    GstStructure *all = gst_structure_new("seam-fusion-stats", "windows", G_TYPE_UINT64, self->windows, "skipped", G_TYPE_UINT64,
                                          self->skipped, "gaps", G_TYPE_UINT64, self->gaps, NULL);
    g_mutex_lock(&self->lock);
    for (guint i = 0; i < self->pads->len; i++) {
        GstSeamFusionPad *pad = gst_seam_fusion_pad_at(self, i);
        const char *modality = pad->modality >= 0 ? gst_seam_fusion_config(self)->modality[pad->modality].name : "";
        GstStructure *one = gst_structure_new("pad", "modality", G_TYPE_STRING, modality, "sequences", G_TYPE_UINT64,
                                              pad->sequences, "missing", G_TYPE_UINT64, pad->missing, "late", G_TYPE_UINT64,
                                              pad->late, NULL);
        if (pad->modality >= 0 && !isnan(self->measured[pad->modality]))
            gst_structure_set(one, "offset", G_TYPE_DOUBLE, self->measured[pad->modality], NULL);
        gst_structure_set(all, GST_OBJECT_NAME(pad), GST_TYPE_STRUCTURE, one, NULL);
        gst_structure_free(one);
    }
    g_mutex_unlock(&self->lock);
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), all));
}

// Decides window `window`. Called with the lock held, which it gives up while it works.
static GstFlowReturn fuse_step(GstSeamFusion *self)
{
    double start = self->window * gst_seam_fusion_config(self)->window, end = window_end(self);
    measure_offsets(self);
    gather(self, end);
    gboolean skip = self->missing == SEAM_MISSING_SKIP && self->window_missing != 0;
    self->window++;
    self->first_complete = 0;
    self->windows += !skip;
    self->skipped += skip;
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);

    GstFlowReturn flow = GST_FLOW_OK;
    push_stream_start(self);
    if (skip || self->window_present == 0) {
        push_gap(self, start, end);
    } else {
        GstBuffer *buffer = fuse(self, start);
        flow = buffer ? gst_pad_push(self->src, buffer) : GST_FLOW_ERROR;
    }
    release_window(self);
    g_mutex_lock(&self->lock);
    return flow;
}

static void gap_step(GstSeamFusion *self)
{
    gint64 next = MAX(next_window(self), self->window + 1);
    double start = self->window * gst_seam_fusion_config(self)->window, end = next * gst_seam_fusion_config(self)->window;
    for (guint i = 0; i < self->pads->len; i++) // levels of a stretch without tokens
        gst_seam_fusion_pad_give(gst_seam_fusion_pad_at(self, i), end, self->items, self->levels);
    self->gaps++;
    self->window = next;
    self->first_complete = 0;
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
    release_window(self);
    push_stream_start(self);
    push_gap(self, start, end);
    g_mutex_lock(&self->lock);
}

static gpointer ref_object(gconstpointer object, gpointer data) { return gst_object_ref((gpointer)object); }

void gst_seam_fusion_upstream_latency(GstSeamFusion *self, gboolean *live, GstClockTime *least, GstClockTime *most)
{
    *live = FALSE;
    *least = 0;
    *most = GST_CLOCK_TIME_NONE;
    g_mutex_lock(&self->lock);
    GPtrArray *pads = g_ptr_array_copy(self->pads, ref_object, NULL);
    g_mutex_unlock(&self->lock);
    for (guint i = 0; i < pads->len; i++) {
        GstQuery *query = gst_query_new_latency();
        if (gst_pad_peer_query(g_ptr_array_index(pads, i), query)) {
            gboolean pad_live;
            GstClockTime pad_least, pad_most;
            gst_query_parse_latency(query, &pad_live, &pad_least, &pad_most);
            *live |= pad_live;
            *least = MAX(*least, pad_least);
            if (GST_CLOCK_TIME_IS_VALID(pad_most))
                *most = MIN(*most, pad_most); // NONE is the largest number
        }
        gst_query_unref(query);
    }
    g_ptr_array_unref(pads);
}

static void query_live(GstSeamFusion *self)
{
    gboolean live;
    GstClockTime least, most;
    g_mutex_unlock(&self->lock);
    gst_seam_fusion_upstream_latency(self, &live, &least, &most);
    g_mutex_lock(&self->lock);
    self->live = live;
    self->live_known = TRUE;
    GST_DEBUG_OBJECT(self, "upstream is %slive", live ? "" : "not ");
}

static GstFlowReturn do_step(GstSeamFusion *self, Step step)
{
    GstEvent *event;
    switch (step) {
    case STEP_FUSE: return fuse_step(self);
    case STEP_GAP: gap_step(self); return GST_FLOW_OK;
    case STEP_QUERY: query_live(self); return GST_FLOW_OK;
    case STEP_EVENT:
        event = g_queue_pop_head(&self->events);
        g_mutex_unlock(&self->lock);
        gst_pad_push_event(self->src, event);
        g_mutex_lock(&self->lock);
        return GST_FLOW_OK;
    case STEP_EOS:
        g_mutex_unlock(&self->lock);
        push_stream_start(self);
        post_statistics(self);
        g_mutex_lock(&self->lock);
        return GST_FLOW_EOS;
    default: return GST_FLOW_FLUSHING;
    }
}

void gst_seam_fusion_task(gpointer data)
{
    GstSeamFusion *self = GST_SEAM_FUSION(data);
    g_mutex_lock(&self->lock);
    GstFlowReturn flow = do_step(self, next_step(self));
    if (flow != GST_FLOW_OK && !self->flushing) {
        self->flow = flow;
        g_cond_broadcast(&self->changed);
    }
    g_mutex_unlock(&self->lock);
    if (flow == GST_FLOW_OK)
        return;
    GST_DEBUG_OBJECT(self, "stops: %s", gst_flow_get_name(flow));
    if (flow == GST_FLOW_NOT_LINKED)
        GST_ELEMENT_FLOW_ERROR(self, flow);
    if (flow != GST_FLOW_FLUSHING)
        gst_pad_push_event(self->src, gst_event_new_eos());
    gst_pad_pause_task(self->src);
}
