// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamvideoembed: see gstseamvideoembed.c.
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_VIDEO_EMBED (gst_seam_video_embed_get_type())
G_DECLARE_FINAL_TYPE(GstSeamVideoEmbed, gst_seam_video_embed, GST, SEAM_VIDEO_EMBED, GstBaseTransform)
GST_ELEMENT_REGISTER_DECLARE(seamvideoembed)

G_END_DECLS
