// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Media files by GStreamer, for core/train. One table, no state.
#pragma once

#include "core/train/media.h"

// gst_init() must have been called.
const SeamMedia *seam_media_gst(void);
