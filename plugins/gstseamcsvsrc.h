// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamcsvsrc: see gstseamcsvsrc.c.
#pragma once

#include <gst/base/gstpushsrc.h>

G_BEGIN_DECLS

#define GST_TYPE_SEAM_CSV_SRC (gst_seam_csv_src_get_type())
G_DECLARE_FINAL_TYPE(GstSeamCsvSrc, gst_seam_csv_src, GST, SEAM_CSV_SRC, GstPushSrc)
GST_ELEMENT_REGISTER_DECLARE(seamcsvsrc)

G_END_DECLS
