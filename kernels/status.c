// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The words for a SeamStatus, for messages to people. Owns nothing.
#include "kernels/kernels.h"

const char *seam_status_text(SeamStatus status) {
    switch (status) {
    case SEAM_OK: return "no error";
    case SEAM_NO_MEMORY: return "out of memory";
    case SEAM_BAD_SHAPE: return "a shape that this operation does not support";
    case SEAM_DEVICE_ERROR: return "the device or the library below it failed";
    }
    return "unknown status";
}
