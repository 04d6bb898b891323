// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The state that a stream carries (carry.h).
#include "core/carry.h"

#include <string.h>

#include "core/error.h"

bool seam_carry_init(SeamCarry *carry, const SeamConfig *config, GError **error) {
    size_t each = (size_t)config->dim * (size_t)config->scan_state, layers = 0;
    *carry = (SeamCarry){0};
    for (int32_t l = 0; l < config->layers; l++)
        layers += config->mixer[l] == SEAM_MIXER_SCAN;
    carry->size = layers * each;
    if (carry->size == 0)
        return true;
    carry->memory = g_try_malloc0_n(carry->size, sizeof(float));
    if (!carry->memory) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the state of %zu scan layers: choose a smaller \"scan_state\"", layers);
        return false;
    }
    float *next = carry->memory;
    for (int32_t l = 0; l < config->layers; l++)
        if (config->mixer[l] == SEAM_MIXER_SCAN) {
            carry->state[l] = next;
            next += each;
        }
    return true;
}

void seam_carry_clear(SeamCarry *carry) {
    g_free(carry->memory);
    *carry = (SeamCarry){0};
}

void seam_carry_copy(const SeamCarry *from, SeamCarry *to) {
    if (from->memory)
        memcpy(to->memory, from->memory, from->size * sizeof(float));
}

void seam_carry_reset(SeamCarry *carry) {
    if (carry->memory)
        memset(carry->memory, 0, carry->size * sizeof(float));
}
