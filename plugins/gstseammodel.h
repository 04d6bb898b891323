// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What every element that runs a part of the model shares: the properties `model` (folder) and `device`, loading through the process's
// cache, the SeamRun with its arena, and errors turned into GST_ELEMENT_ERROR. A plain struct inside the element's instance.
#pragma once

#include <gst/gst.h>

#include "core/model.h"

G_BEGIN_DECLS

typedef struct {
    char *path;          // property `model`
    char *device;        // property `device`
    SeamModel *model;    // NULL until started
    SeamArena arena;
    SeamRun run;
} GstSeamModel;

// Property numbers that every such element uses; its own begin at GST_SEAM_PROP_OWN.
enum { GST_SEAM_PROP_0, GST_SEAM_PROP_MODEL, GST_SEAM_PROP_DEVICE, GST_SEAM_PROP_OWN };

void gst_seam_model_install_properties(GObjectClass *klass);
gboolean gst_seam_model_set_property(GstSeamModel *m, GstElement *element, guint id, const GValue *value); // FALSE: not one of these
gboolean gst_seam_model_get_property(GstSeamModel *m, guint id, GValue *value);
void gst_seam_model_init(GstSeamModel *m);
void gst_seam_model_finalize(GstSeamModel *m);
// NULL->READY (or start): loads; posts RESOURCE NOT_FOUND / OPEN_READ / SETTINGS with the message of core.
gboolean gst_seam_model_start(GstSeamModel *m, GstElement *element);
void gst_seam_model_stop(GstSeamModel *m);
// The effort that was calibrated with the started model; posts what is wrong with it.
gboolean gst_seam_model_effort(const GstSeamModel *m, GstElement *element, SeamEffort *effort);
// Grows the arena to `bytes` (before streaming, or after a NO_MEMORY); posts RESOURCE NO_SPACE_LEFT when it cannot.
gboolean gst_seam_model_reserve(GstSeamModel *m, GstElement *element, gsize bytes);
// Posts STREAM FAILED or RESOURCE NO_SPACE_LEFT for a status that is not SEAM_OK; returns the flow to give back.
GstFlowReturn gst_seam_model_flow(GstElement *element, SeamStatus status, const char *what);

G_END_DECLS
