// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamsensorembed: see gstseamsensorembed.c.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_SENSOR_EMBED (gst_seam_sensor_embed_get_type())
G_DECLARE_FINAL_TYPE(GstSeamSensorEmbed, gst_seam_sensor_embed, GST, SEAM_SENSOR_EMBED, GstElement)
GST_ELEMENT_REGISTER_DECLARE(seamsensorembed)

G_END_DECLS
