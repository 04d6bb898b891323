// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/select.h"

// Quickselect (Hoare 1961). No qsort: that of glibc allocates.
float seam_nth_smallest(float *value, int32_t n, int32_t k) {
    for (int32_t low = 0, high = n - 1; low < high;) {
        float pivot = value[low + (high - low) / 2];
        int32_t i = low, j = high;
        while (i <= j) {
            while (value[i] < pivot)
                i++;
            while (value[j] > pivot)
                j--;
            if (i <= j) {
                float swap = value[i];
                value[i++] = value[j];
                value[j--] = swap;
            }
        }
        if (k > j && k < i)
            break;
        low = k > j ? i : low;
        high = k > j ? high : j;
    }
    return value[k];
}
