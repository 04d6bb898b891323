// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamoverlay: see gstseamoverlay.c.
#pragma once

#include <gst/video/gstvideofilter.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_OVERLAY (gst_seam_overlay_get_type())
G_DECLARE_FINAL_TYPE(GstSeamOverlay, gst_seam_overlay, GST, SEAM_OVERLAY, GstVideoFilter)
GST_ELEMENT_REGISTER_DECLARE(seamoverlay)

G_END_DECLS
