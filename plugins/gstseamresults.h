// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Results as they travel beside a buffer: on the decoder's JSON buffers, and on video frames behind seamattach, where seamoverlay reads
// them. The meta owns copies of everything; nobody parses JSON to learn what was decided.
// (Contract written by the lead, implemented in gstseamresults.c by seamdecoder's author; seamattach and seamoverlay rely on it as it is.)
#pragma once

#include <gst/gst.h>

#include "core/result.h"
#include "core/tokens.h"

G_BEGIN_DECLS

enum { GST_SEAM_RESULTS_MAX_LEVELS = 512 };

typedef struct {
    GstMeta meta;
    gboolean has_window, has_verdict; // a window's buffer has the first, a weld's buffer the second; a video frame may have both
    SeamWindowResult window;
    SeamVerdict verdict;
    // Readings of all modalities in this window, in time order a modality; the newest are dropped when there are more.
    int32_t n_levels;
    SeamLevel level[GST_SEAM_RESULTS_MAX_LEVELS];
    uint8_t level_modality[GST_SEAM_RESULTS_MAX_LEVELS];
    const SeamConfig *config; // of the model that decided; borrowed, valid while `owner` is held
    struct SeamModel *owner;  // a reference that the meta holds (seam_model_release on free)
} GstSeamResultsMeta;

GType gst_seam_results_meta_api_get_type(void);
const GstMetaInfo *gst_seam_results_meta_get_info(void);
#define GST_SEAM_RESULTS_META_API_TYPE (gst_seam_results_meta_api_get_type())
#define gst_buffer_get_seam_results_meta(b) ((GstSeamResultsMeta *)gst_buffer_get_meta((b), GST_SEAM_RESULTS_META_API_TYPE))

// Adds an empty meta (has_window = has_verdict = FALSE, no levels). Takes its own reference on `owner` through seam_model_ref().
GstSeamResultsMeta *gst_buffer_add_seam_results_meta(GstBuffer *buffer, struct SeamModel *owner, const SeamConfig *config);

// Whether heat map and boxes are about the video frames that the meta travels with. Those of a sparse picture stream (photographs) are not,
// where the window also has pictures of a steady one.
gboolean gst_seam_results_meta_about_frame(const GstSeamResultsMeta *meta);

G_END_DECLS
