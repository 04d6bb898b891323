// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamencoder: see gstseamencoder.c.
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_ENCODER (gst_seam_encoder_get_type())
G_DECLARE_FINAL_TYPE(GstSeamEncoder, gst_seam_encoder, GST, SEAM_ENCODER, GstBaseTransform)
GST_ELEMENT_REGISTER_DECLARE(seamencoder)

G_END_DECLS
