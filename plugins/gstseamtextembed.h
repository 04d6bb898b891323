// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamtextembed: see gstseamtextembed.c.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_TEXT_EMBED (gst_seam_text_embed_get_type())
G_DECLARE_FINAL_TYPE(GstSeamTextEmbed, gst_seam_text_embed, GST, SEAM_TEXT_EMBED, GstElement)
GST_ELEMENT_REGISTER_DECLARE(seamtextembed)

G_END_DECLS
