// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamattach: see gstseamattach.c.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_ATTACH (gst_seam_attach_get_type())
G_DECLARE_FINAL_TYPE(GstSeamAttach, gst_seam_attach, GST, SEAM_ATTACH, GstElement)
GST_ELEMENT_REGISTER_DECLARE(seamattach)

G_END_DECLS
