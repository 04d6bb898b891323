// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The state of a recording (past.h).
#include "core/train/past.h"

#include "core/error.h"

bool seam_past_init(SeamPast *past, const SeamConfig *config, GError **error) {
    *past = (SeamPast){.config = config};
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (!seam_carry_init(&past->carry[m], config, error)) {
            seam_past_clear(past);
            return false;
        }
    return true;
}

void seam_past_clear(SeamPast *past) {
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        seam_carry_clear(&past->carry[m]);
    for (int32_t i = 0; i < past->banks; i++)
        seam_bank_clear(&past->bank[i]);
    g_free(past->bank);
    *past = (SeamPast){0};
}

bool seam_past_need(SeamPast *past, int32_t banks, GError **error) {
    if (past->config->bank_slots == 0 || banks <= past->banks)
        return true;
    past->bank = g_renew(SeamBank, past->bank, banks);
    for (; past->banks < banks; past->banks++)
        if (!seam_bank_init(&past->bank[past->banks], past->config)) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the banks of %d sets of modalities: choose fewer \"bank_slots\" (%d)", banks,
                        past->config->bank_slots);
            return false;
        }
    return true;
}

void seam_past_reset(SeamPast *past) {
    for (int32_t m = 0; m < past->config->n_modalities; m++)
        seam_carry_reset(&past->carry[m]);
    for (int32_t i = 0; i < past->banks; i++)
        seam_bank_reset(&past->bank[i]);
}

void seam_past_copy(const SeamPast *from, SeamPast *to) {
    for (int32_t m = 0; m < from->config->n_modalities; m++)
        seam_carry_copy(&from->carry[m], &to->carry[m]);
    for (int32_t i = 0; i < from->banks; i++)
        seam_bank_copy(&from->bank[i], &to->bank[i]);
}
