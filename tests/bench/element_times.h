// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which element used how much processor time, by GStreamer's tracing hooks. The time of a streaming thread between two pushes belongs to
// the element in whose chain function (or task) it is; a wait costs nothing. Work that an element gives to other threads is not seen:
// measure with SEAM_THREADS=1 and OMP_NUM_THREADS=1.
#pragma once

#include <glib.h>

void seam_element_times_install(void); // before the pipeline plays; costs about a microsecond a push from then on
void seam_element_times_record(gboolean on);

// "name": {"us": processor time in all, "pushes": buffers that came in, "bytes": of them}, ..., by factory. What `record` covered.
void seam_element_times_print(GString *json);
