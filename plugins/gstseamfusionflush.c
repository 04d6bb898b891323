// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How seamfusion's stream ends before its end:
//
//   what comes                          | what is done
//   ------------------------------------+-----------------------------------------------------------------------------------
//   one input flushes                   | what waits there is lost; the windows and the other inputs go on
//   all inputs flush at the same time   | the same for all, downstream flushes too, and the grid of windows begins anew
//   downstream seeks, flushing          | the same, though the inputs, each with a source of its own, flush one after the other
//
// It owns no state; it may wait for the task, so it is never called with the lock held.
#include "plugins/gstseamfusionprivate.h"

static gboolean all_flushing(const GstSeamFusion *self)
{
    for (guint i = 0; i < self->pads->len; i++)
        if (!gst_seam_fusion_pad_at(self, i)->flushing)
            return FALSE;
    return TRUE;
}

// All but the inputs: those that do not follow a seek keep what they have.
static void forget_windows(GstSeamFusion *self)
{
    self->window = -1;
    self->first_complete = 0;
    self->flow = GST_FLOW_OK;
    self->live_known = FALSE;
    self->stream_started = FALSE;
    g_queue_clear_full(&self->events, (GDestroyNotify)gst_event_unref);
    gst_seam_fusion_forget_offsets(self);
    seam_bank_reset(&self->bank);
}

void gst_seam_fusion_reset_stream(GstSeamFusion *self)
{
    forget_windows(self);
    for (guint i = 0; i < self->pads->len; i++)
        gst_seam_fusion_pad_clear(gst_seam_fusion_pad_at(self, i));
}

// Downstream flushes and the task has left. self->flushing is set already.
static void stop_task(GstSeamFusion *self, GstEvent *flush_start)
{
    gst_pad_push_event(self->src, flush_start);
    gst_pad_pause_task(self->src);
    GST_PAD_STREAM_LOCK(self->src);
    GST_PAD_STREAM_UNLOCK(self->src);
}

static void restart_task(GstSeamFusion *self, GstEvent *flush_stop)
{
    gst_pad_push_event(self->src, flush_stop);
    g_mutex_lock(&self->lock);
    self->flushing = self->seeking = FALSE;
    g_mutex_unlock(&self->lock);
    gst_pad_start_task(self->src, gst_seam_fusion_task, self, NULL);
}

void gst_seam_fusion_flush_start(GstSeamFusion *self, GstSeamFusionPad *pad, GstEvent *event)
{
    g_mutex_lock(&self->lock);
    pad->flushing = TRUE;
    gst_seam_fusion_pad_clear(pad);
    gboolean all = all_flushing(self) && !self->flushing;
    self->flushing |= all;
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
    if (all)
        stop_task(self, event);
    else
        gst_event_unref(event);
}

void gst_seam_fusion_flush_stop(GstSeamFusion *self, GstSeamFusionPad *pad, GstEvent *event)
{
    g_mutex_lock(&self->lock);
    gboolean all = self->flushing && !self->seeking;
    pad->flushing = FALSE;
    gst_seam_fusion_pad_clear(pad);
    if (all)
        gst_seam_fusion_reset_stream(self);
    g_mutex_unlock(&self->lock);
    if (all)
        restart_task(self, event);
    else
        gst_event_unref(event);
}

gboolean gst_seam_fusion_seek(GstSeamFusion *self, GstEvent *event)
{
    GstEvent *start = gst_event_new_flush_start(), *stop = gst_event_new_flush_stop(TRUE);
    gst_event_set_seqnum(start, gst_event_get_seqnum(event));
    gst_event_set_seqnum(stop, gst_event_get_seqnum(event));
    g_mutex_lock(&self->lock);
    self->flushing = self->seeking = TRUE;
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
    stop_task(self, start);
    g_mutex_lock(&self->lock);
    forget_windows(self);
    g_mutex_unlock(&self->lock);
    gboolean result = gst_pad_event_default(self->src, GST_OBJECT(self), event);
    restart_task(self, stop);
    return result;
}
