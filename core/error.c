// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The error domain of core, and how a kernel's status becomes one of its errors.
#include "core/error.h"

GQuark seam_error_quark(void) {
    return g_quark_from_static_string("seam-error");
}

static SeamErrorCode code_of_status(SeamStatus status) {
    switch (status) {
    case SEAM_NO_MEMORY:
        return SEAM_ERROR_MEMORY;
    case SEAM_BAD_SHAPE:
        return SEAM_ERROR_SHAPE;
    default:
        return SEAM_ERROR_IO;
    }
}

bool seam_status_check(SeamStatus status, const char *what, GError **error) {
    if (status == SEAM_OK)
        return true;
    g_set_error(error, SEAM_ERROR, code_of_status(status), "%s: %s", what,
                seam_status_text(status));
    return false;
}
