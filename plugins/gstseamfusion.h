// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamfusion: see gstseamfusion.c.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_FUSION (gst_seam_fusion_get_type())
G_DECLARE_FINAL_TYPE(GstSeamFusion, gst_seam_fusion, GST, SEAM_FUSION, GstElement)
GST_ELEMENT_REGISTER_DECLARE(seamfusion)

G_END_DECLS
