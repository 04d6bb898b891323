// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Lots with unequal chances: a table of sums, and a binary search in it.
#include "core/train/lot.h"

#include <glib.h>
#include <math.h>

double *seam_lot_reach(int32_t n, const char *const *group, double power) {
    g_autoptr(GHashTable) size = g_hash_table_new(g_str_hash, g_str_equal);
    double *reach = g_new(double, n + 1), sum = 0;
    for (int32_t i = 0; i < n; i++) {
        guint members = GPOINTER_TO_UINT(g_hash_table_lookup(size, group[i]));
        g_hash_table_insert(size, (gpointer)group[i], GUINT_TO_POINTER(members + 1));
    }
    for (int32_t i = 0; i < n; i++)
        reach[i] = sum += pow(GPOINTER_TO_UINT(g_hash_table_lookup(size, group[i])), power - 1);
    return reach;
}

int32_t seam_lot_find(int32_t n, const double *reach, double share) {
    int32_t low = 0, high = n - 1;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (reach[middle] > share * reach[n - 1])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
