// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One input of seamfusion: the sequences and levels that wait for their window, how far the stream has come, and until when it is waited
// for. Everything in the struct is guarded by the element's lock, which the caller of every function here holds.
#pragma once

#include <gst/gst.h>

#include "plugins/gstseamtokens.h"

G_BEGIN_DECLS

typedef enum { SEAM_MISSING_WAIT, SEAM_MISSING_SKIP, SEAM_MISSING_MASK } GstSeamMissing;

typedef struct {
    GstBuffer *buffer; // one reference an item
    int32_t seq;       // of the buffer's sequences
    double time;       // running time, seconds, corrected by `shift`
} GstSeamFusionItem;

#define GST_TYPE_SEAM_FUSION_PAD (gst_seam_fusion_pad_get_type())
G_DECLARE_FINAL_TYPE(GstSeamFusionPad, gst_seam_fusion_pad, GST, SEAM_FUSION_PAD, GstPad)

struct _GstSeamFusionPad {
    GstPad parent;
    GstSegment segment;
    gint32 modality;       // -1 until caps have come
    gboolean sparse;       // of its modality
    GArray *items;         // GstSeamFusionItem in order of arrival
    GArray *levels;        // SeamLevel in order of arrival, corrected by `shift`
    double position;       // running time up to which the stream is known, seconds; -infinity: nothing has come
    double shift;          // the clock offset that is taken off every time, seconds
    gboolean got_data, eos, flushing;
    gboolean silent;       // was waited for in vain, and nothing has come since
    gboolean warned;       // about late data
    gint64 last_arrival;   // of anything, monotonic microseconds; 0: never
    gint64 longest_pause;  // between two buffers
    guint64 sequences, late, missing; // statistics
};

// What the waiting rule depends on besides the pad.
typedef struct {
    GstSeamMissing policy;
    gboolean live;
    gint64 max_wait, max_start; // microseconds
    gint64 first_complete;      // when the first pad had completed the window, monotonic microseconds
} GstSeamFusionWait;

void gst_seam_fusion_pad_clear(GstSeamFusionPad *pad); // flush: all but the modality and the statistics
double gst_seam_fusion_pad_running(const GstSeamFusionPad *pad, GstClockTime time); // seconds, corrected; NaN when outside the segment
void gst_seam_fusion_pad_arrived(GstSeamFusionPad *pad, gboolean data);
void gst_seam_fusion_pad_advance(GstSeamFusionPad *pad, double position); // NaN is ignored
// Takes the buffer's sequences and levels whose time is not before `from`; returns how many sequences were too late.
guint gst_seam_fusion_pad_take(GstSeamFusionPad *pad, GstBuffer *buffer, double from);
// Moves what belongs before `end` to the caller's arrays (of GstSeamFusionItem, SeamLevel); true when a sequence with tokens was among it.
gboolean gst_seam_fusion_pad_give(GstSeamFusionPad *pad, double end, GArray *items, GArray *levels);
GArray *gst_seam_fusion_items_new(void); // of GstSeamFusionItem; releases the buffers of what is removed
double gst_seam_fusion_pad_first(const GstSeamFusionPad *pad); // time of the oldest waiting sequence; +infinity when there is none
// At EOS; or nobody is linked to it and nothing ever came.
gboolean gst_seam_fusion_pad_ended(GstSeamFusionPad *pad);
gboolean gst_seam_fusion_pad_complete(GstSeamFusionPad *pad, double end);
// Until when the pad is waited for, monotonic microseconds: 0 not at all, G_MAXINT64 for ever.
gint64 gst_seam_fusion_pad_deadline(const GstSeamFusionPad *pad, const GstSeamFusionWait *wait);

G_END_DECLS
