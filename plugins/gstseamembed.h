// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What seamsensorembed and seamtextembed share: which modality the element is, the running time of its input, and an output whose segment is
// the running time itself, so that a window that begins before the first sample still has a timestamp. A plain struct inside the
// element's instance; all but the properties belongs to the streaming thread.
#pragma once

#include "plugins/gstseammodel.h"
#include "plugins/gstseamtokens.h"

G_BEGIN_DECLS

enum { GST_SEAM_EMBED_PROP_MODALITY = GST_SEAM_PROP_OWN };

typedef struct {
    GstSeamModel model;
    char *modality_name; // property `modality`
    GstElement *element;
    GstPad *sink, *src;
    gint32 modality;     // -1 until chosen
    GstSegment segment;  // of the input
    GstSeamTokensPool *pool;
    gboolean has_caps, has_segment; // sent downstream
} GstSeamEmbed;

void gst_seam_embed_class_init(GObjectClass *klass); // properties model, device, modality
void gst_seam_embed_init(GstSeamEmbed *e, GstElement *element, GstPad *sink, GstPad *src);
void gst_seam_embed_finalize(GstSeamEmbed *e);
gboolean gst_seam_embed_set_property(GstSeamEmbed *e, guint id, const GValue *value); // FALSE: not one of these
gboolean gst_seam_embed_get_property(GstSeamEmbed *e, guint id, GValue *value);

// The modality named by the property, or else the only one with this front end (and so many channels; 0: any). Plans memory for one input of it
// with so many levels. Posts an error that names what the input has and what the model has.
gboolean gst_seam_embed_choose(GstSeamEmbed *e, SeamFront front, gint32 channels, gint32 levels);
const SeamModality *gst_seam_embed_modality(const GstSeamEmbed *e);

// Takes the event (not consumed); posts an error for a segment that is not in time.
gboolean gst_seam_embed_set_segment(GstSeamEmbed *e, GstEvent *event);
double gst_seam_embed_running(const GstSeamEmbed *e, GstClockTime time); // seconds; NaN outside the segment
void gst_seam_embed_reset(GstSeamEmbed *e);                              // back to the state before the first segment

// Sends what must come before data, then the tokens (no tokens: a gap). duration 0: a moment. more: they go on in the next buffer.
GstFlowReturn gst_seam_embed_push(GstSeamEmbed *e, const SeamTokens *tokens, const SeamLevel *levels, gint32 n_levels, double time,
                                  double duration, gboolean more);
void gst_seam_embed_push_gap(GstSeamEmbed *e, double start, double end);
// The same before EOS, so that an input without any data is a stream that has ended.
void gst_seam_embed_begin(GstSeamEmbed *e);

G_END_DECLS
