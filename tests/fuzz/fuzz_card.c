// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a model's card. What is accepted stays accepted when it is made into a card anew, and no text of it is longer than it may be.
#include <glib.h>
#include <string.h>

#include "core/card.h"
#include "core/files.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    g_autofree char *text = g_strndup((const char *)data, size);
    JsonObject *card = seam_json_parse(text, "fuzz", NULL);
    g_autoptr(GError) error = NULL;
    if (card && seam_card_check(card, "fuzz", false, &error)) {
        for (size_t i = 0; seam_card_texts[i]; i++)
            g_assert_cmpuint(strlen(json_object_get_string_member_with_default(card, seam_card_texts[i], "")), <=, SEAM_CARD_TEXT);
        JsonObject *figures = json_object_has_member(card, "figures") ? json_object_get_object_member(card, "figures") : NULL;
        JsonObject *again = figures ? seam_card_new(card, card, figures, "fuzz") : NULL;
        if (again)
            g_assert_true(seam_card_check(again, "again", false, NULL));
        g_clear_pointer(&again, json_object_unref);
    } else {
        g_assert_true(!card || error);
    }
    g_clear_pointer(&card, json_object_unref);
    return 0;
}

static const char whole[] = "{\"data\":\"welds\",\"licence\":\"CC0\",\"intended_use\":\"u\",\"limits\":\"l\",\"traps\":\"t\",\"split\":{\"train\":10},"
                            "\"figures\":{\"of\":\"x\",\"n\":3,\"auroc\":0.5,\"good_against_defect\":false,\"interval\":{\"auroc\":[0.4,0.6]},"
                            "\"promise\":{\"miss\":{\"held\":true,\"low\":0.1},\"shares\":{\"good\":{\"pass\":1}}}}}";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{whole, sizeof whole - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
