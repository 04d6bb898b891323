// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The choice of a device: the one place that turns its name into a table of kernels. And comparing efforts.
#include "core/run.h"

#include <math.h>
#include <string.h>

#include "core/error.h"

const SeamKernels *seam_device_kernels(const char *device, GError **error) {
    if (strcmp(device, "auto") == 0 || strcmp(device, "cpu") == 0)
        return seam_kernels_cpu();
    if (strcmp(device, "ref") == 0)
        return seam_kernels_ref();
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED,
                "device \"%s\" is not one that this build has: use \"auto\", \"cpu\" or \"ref\"",
                device);
    return NULL;
}

bool seam_effort_same(SeamEffort a, SeamEffort b) {
    return a.merge == b.merge && a.expert_mass == b.expert_mass && a.exit_margin == b.exit_margin;
}

SeamEffort seam_effort_join(SeamEffort a, SeamEffort b) {
    return seam_effort_same(a, b) ? a : (SeamEffort){NAN, NAN, NAN};
}
