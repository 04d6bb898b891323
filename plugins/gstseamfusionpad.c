// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One input of seamfusion. It owns the buffers that wait and decides how long a stream is waited for; it never blocks and takes no lock.
#include "plugins/gstseamfusionpad.h"

#include <math.h>

// Times come from nanoseconds; what is nearer to a window's border than this is on it.
static const double time_slack = 1e-6;
// A stream that is not live is given this many times its own longest pause.
enum { PAUSES = 4 };

G_DEFINE_TYPE(GstSeamFusionPad, gst_seam_fusion_pad, GST_TYPE_PAD)

static void clear_item(gpointer item)
{
    gst_buffer_unref(((GstSeamFusionItem *)item)->buffer);
}

GArray *gst_seam_fusion_items_new(void)
{
    GArray *items = g_array_new(FALSE, FALSE, sizeof(GstSeamFusionItem));
    g_array_set_clear_func(items, clear_item);
    return items;
}

void gst_seam_fusion_pad_clear(GstSeamFusionPad *pad)
{
    g_array_set_size(pad->items, 0);
    g_array_set_size(pad->levels, 0);
    gst_segment_init(&pad->segment, GST_FORMAT_TIME);
    pad->position = -INFINITY;
    pad->shift = 0;
    pad->got_data = pad->eos = pad->silent = FALSE;
    pad->last_arrival = pad->longest_pause = 0;
}

double gst_seam_fusion_pad_running(const GstSeamFusionPad *pad, GstClockTime time)
{
    guint64 running = GST_CLOCK_TIME_IS_VALID(time) ? gst_segment_to_running_time(&pad->segment, GST_FORMAT_TIME, time)
                                                    : GST_CLOCK_TIME_NONE;
    return GST_CLOCK_TIME_IS_VALID(running) ? running / (double)GST_SECOND - pad->shift : NAN;
}

void gst_seam_fusion_pad_arrived(GstSeamFusionPad *pad, gboolean data)
{
    gint64 now = g_get_monotonic_time();
    if (pad->got_data)
        pad->longest_pause = MAX(pad->longest_pause, now - pad->last_arrival);
    pad->got_data |= data;
    pad->silent = FALSE;
    pad->last_arrival = now;
}

void gst_seam_fusion_pad_advance(GstSeamFusionPad *pad, double position)
{
    if (position > pad->position)
        pad->position = position;
}

// Sequences of one buffer keep their distances; the first is where the buffer's timestamp says, so that pad offsets work.
static double sequence_time(const GstSeamFusionPad *pad, GstBuffer *buffer, const SeamTokens *tokens, int32_t seq)
{
    double start = gst_seam_fusion_pad_running(pad, GST_BUFFER_PTS(buffer));
    return isnan(start) ? tokens->seq_time[seq] - pad->shift : start + tokens->seq_time[seq] - tokens->seq_time[0];
}

static void take_levels(GstSeamFusionPad *pad, const GstSeamTokensMeta *meta, double from)
{
    for (int32_t i = 0; i < meta->n_levels; i++) {
        SeamLevel level = meta->levels[i];
        level.time -= pad->shift;
        if (level.time >= from - time_slack)
            g_array_append_val(pad->levels, level);
    }
}

guint gst_seam_fusion_pad_take(GstSeamFusionPad *pad, GstBuffer *buffer, double from)
{
    const GstSeamTokensMeta *meta = gst_buffer_get_seam_tokens_meta(buffer);
    guint late = 0;
    for (int32_t s = 0; s < meta->tokens.seqs; s++) {
        GstSeamFusionItem item = {buffer, s, sequence_time(pad, buffer, &meta->tokens, s)};
        if (item.time < from - time_slack) {
            late++;
            continue;
        }
        gst_buffer_ref(buffer);
        g_array_append_val(pad->items, item);
    }
    take_levels(pad, meta, from);
    pad->sequences += (guint64)meta->tokens.seqs;
    pad->late += late;
    return late;
}

double gst_seam_fusion_pad_first(const GstSeamFusionPad *pad)
{
    double first = INFINITY;
    for (guint i = 0; i < pad->items->len; i++)
        first = MIN(first, g_array_index(pad->items, GstSeamFusionItem, i).time);
    return first;
}

gboolean gst_seam_fusion_pad_give(GstSeamFusionPad *pad, double end, GArray *items, GArray *levels)
{
    gboolean any = FALSE;
    for (guint i = 0; i < pad->items->len;) {
        GstSeamFusionItem item = g_array_index(pad->items, GstSeamFusionItem, i);
        if (!(item.time < end - time_slack)) {
            i++;
            continue;
        }
        const SeamTokens *tokens = &gst_buffer_get_seam_tokens_meta(item.buffer)->tokens;
        any |= tokens->seq_start[item.seq + 1] > tokens->seq_start[item.seq];
        gst_buffer_ref(item.buffer);
        g_array_append_val(items, item);
        g_array_remove_index(pad->items, i);
    }
    guint given = 0;
    while (given < pad->levels->len && g_array_index(pad->levels, SeamLevel, given).time < end - time_slack)
        given++;
    g_array_append_vals(levels, pad->levels->data, given);
    g_array_remove_range(pad->levels, 0, given);
    return any;
}

gboolean gst_seam_fusion_pad_ended(GstSeamFusionPad *pad)
{
    return pad->eos || (!pad->got_data && !gst_pad_is_linked(GST_PAD(pad)));
}

gboolean gst_seam_fusion_pad_complete(GstSeamFusionPad *pad, double end)
{
    return gst_seam_fusion_pad_ended(pad) || pad->position >= end - time_slack;
}

// What a pad that has not completed the window is given, counted from the later of the times named:
//
//   pad                         | live                         | not live
//   ----------------------------+------------------------------+---------------------------------------------------------------
//   missing=wait, not sparse    | for ever                     | for ever
//   sparse                      | nothing                      | as the others (for the same result each time), but not "missing"
//   silent since it was missed  | nothing                      | nothing
//   nothing but events so far   | first complete: max-start    | first complete, last event: max-start
//   has sent data               | first complete: max-wait     | first complete, last arrival: max-wait, or 4 times its own longest
//                               |                              | pause (at most max-start) where that is more
//
// "First complete" is when the first pad had completed the window. A live stream has its own clock: what is late is late. A stream that is
// not live has none, so as long as things arrive it is only slow, and a loaded machine does not change the result; a pad that died costs
// one wait and is silent from then on.
gint64 gst_seam_fusion_pad_deadline(const GstSeamFusionPad *pad, const GstSeamFusionWait *wait)
{
    if (wait->policy == SEAM_MISSING_WAIT && !pad->sparse)
        return G_MAXINT64;
    if (pad->silent || (pad->sparse && wait->live))
        return 0;
    gint64 patience = wait->max_wait, since = wait->first_complete;
    if (!pad->got_data)
        patience = MAX(wait->max_wait, wait->max_start);
    else if (!wait->live)
        patience = MAX(wait->max_wait, MIN(wait->max_start, PAUSES * pad->longest_pause));
    if (!wait->live)
        since = MAX(since, pad->last_arrival);
    return since + patience;
}

static void finalize(GObject *object)
{
    GstSeamFusionPad *pad = GST_SEAM_FUSION_PAD(object);
    g_array_unref(pad->items);
    g_array_unref(pad->levels);
    G_OBJECT_CLASS(gst_seam_fusion_pad_parent_class)->finalize(object);
}

static void gst_seam_fusion_pad_init(GstSeamFusionPad *pad)
{
    pad->items = gst_seam_fusion_items_new();
    pad->levels = g_array_new(FALSE, FALSE, sizeof(SeamLevel));
    pad->modality = -1;
    gst_seam_fusion_pad_clear(pad);
}

static void gst_seam_fusion_pad_class_init(GstSeamFusionPadClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = finalize;
}
