// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Lots with unequal chances: members of large groups weigh less, so that a hundred frames of one video are no hundred welds. Pure functions.
#pragma once

#include <stdint.h>

// reach [n]: sums of the weights up to each member, g_free it. A member weighs size^(power - 1), size: how many of the n are of its group; so a group is drawn in
// proportion to size^power.
double *seam_lot_reach(int32_t n, const char *const *group, double power);
// The first member whose reach is over share * the last one's; share in [0, 1), n > 0.
int32_t seam_lot_find(int32_t n, const double *reach, double share);
