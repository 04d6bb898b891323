// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The error domain of core. Messages name the file, the field and the remedy, in one line.
#pragma once

#include <glib.h>

#include "kernels/kernels.h"

typedef enum {
    SEAM_ERROR_MISSING,     // a file, field, tensor or modality that must be there is not
    SEAM_ERROR_FORMAT,      // bytes that are not what they claim to be
    SEAM_ERROR_SHAPE,       // sizes that do not fit each other
    SEAM_ERROR_VALUE,       // a value out of its range, NaN included
    SEAM_ERROR_IO,          // the system refused a read or write
    SEAM_ERROR_MEMORY,      // an allocation failed
    SEAM_ERROR_UNSUPPORTED, // valid, but not something that this build does
} SeamErrorCode;

#define SEAM_ERROR (seam_error_quark())
GQuark seam_error_quark(void);

// Turns a kernel status into an error that begins with `what`; returns true when status is SEAM_OK.
bool seam_status_check(SeamStatus status, const char *what, GError **error);
