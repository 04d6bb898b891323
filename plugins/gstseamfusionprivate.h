// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the files of seamfusion share: gstseamfusion.c (pads, events, queries, properties), gstseamfusiontask.c (the thread behind the
// output: what to do next, and one window's work) and gstseamfusionflush.c (how a stream ends before its end).
#pragma once

#include "core/offset.h"
#include "plugins/gstseamfusion.h"
#include "plugins/gstseamfusionpad.h"
#include "plugins/gstseammodel.h"

G_BEGIN_DECLS

struct _GstSeamFusion {
    GstElement parent;
    GstPad *src;
    GstSeamModel model; // the arena and run are the task's

    // Properties, under the lock.
    GstSeamMissing missing;
    guint max_wait_ms, max_start_ms, max_tokens;
    gboolean correct_offset;

    // Shared, under the lock; every change broadcasts `changed`.
    GMutex lock;
    GCond changed;
    GPtrArray *pads;       // of GstSeamFusionPad, one reference each
    guint next_pad;
    gint64 window;         // the next to be decided; -1: the grid has not begun
    gint64 first_complete; // see GstSeamFusionWait; 0: no pad has
    gboolean live, live_known, flushing;
    gboolean seeking;      // flushing, because downstream asked for another place: inputs flush one by one
    GstFlowReturn flow;    // why the task stopped; GST_FLOW_OK while it runs
    GQueue events;         // custom events on their way downstream
    SeamOffset *offset[SEAM_MAX_MODALITIES]; // against the reference; NULL where there is nothing to compare
    double measured[SEAM_MAX_MODALITIES];    // seconds; NaN: not yet
    gint32 reference;      // modality, or -1
    guint64 windows, skipped, gaps; // statistics

    // The task's.
    GstSeamTokensPool *pool;
    SeamBank bank; // what this stream's windows left for those to come
    GArray *items, *levels, *level_modality; // of the window at work
    guint32 window_present, window_missing;
    gboolean stream_started;
};

static inline GstSeamFusionPad *gst_seam_fusion_pad_at(const GstSeamFusion *self, guint i)
{
    return (GstSeamFusionPad *)g_ptr_array_index(self->pads, i);
}

static inline const SeamConfig *gst_seam_fusion_config(const GstSeamFusion *self) { return &self->model.model->config; }

static inline gboolean gst_seam_fusion_is_flushing(const GstSeamFusion *self, const GstSeamFusionPad *pad)
{
    return pad->flushing || (self->flushing && !self->seeking);
}

// gstseamfusionflush.c. The first is under the lock; the others take it, and the event.
void gst_seam_fusion_reset_stream(GstSeamFusion *self); // back to the state after start, while the task rests
void gst_seam_fusion_flush_start(GstSeamFusion *self, GstSeamFusionPad *pad, GstEvent *event);
void gst_seam_fusion_flush_stop(GstSeamFusion *self, GstSeamFusionPad *pad, GstEvent *event);
gboolean gst_seam_fusion_seek(GstSeamFusion *self, GstEvent *event); // a flushing one, from downstream

// gstseamfusiontask.c. All under the lock but the task itself.
void gst_seam_fusion_start_offsets(GstSeamFusion *self);
void gst_seam_fusion_forget_offsets(GstSeamFusion *self);
void gst_seam_fusion_feed_offsets(GstSeamFusion *self, gint32 modality, const GstSeamTokensMeta *meta);
gint64 gst_seam_fusion_window_of(const GstSeamFusion *self, double time);
void gst_seam_fusion_task(gpointer self);
// Latency of the slowest upstream; takes the lock. *live: some upstream is.
void gst_seam_fusion_upstream_latency(GstSeamFusion *self, gboolean *live, GstClockTime *least, GstClockTime *most);

G_END_DECLS
