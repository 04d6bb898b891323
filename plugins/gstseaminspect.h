// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seaminspect: see gstseaminspect.c.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_INSPECT (gst_seam_inspect_get_type())
G_DECLARE_FINAL_TYPE(GstSeamInspect, gst_seam_inspect, GST, SEAM_INSPECT, GstBin)
GST_ELEMENT_REGISTER_DECLARE(seaminspect)

G_END_DECLS
