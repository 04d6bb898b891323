// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamdecoder: see gstseamdecoder.c.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_DECODER (gst_seam_decoder_get_type())
G_DECLARE_FINAL_TYPE(GstSeamDecoder, gst_seam_decoder, GST, SEAM_DECODER, GstElement)
GST_ELEMENT_REGISTER_DECLARE(seamdecoder)

G_END_DECLS
