// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Model cards (Mitchell 2019): what a model was made of, how well it does, and what it is not for, as the `card` object of model.json. The texts come from the
// recipe, the rest from training and measuring. A card is untrusted like all of a bundle: what is read is checked here, and nothing is computed from it.
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

enum { SEAM_CARD_TEXT = 4000 }; // bytes of one text

// The texts of a card, in the order in which they are told; NULL-terminated.
extern const char *const seam_card_texts[];

// A whole card, or with `texts_only` a recipe's. `where` begins error messages.
bool seam_card_check(JsonObject *card, const char *where, bool texts_only, GError **error);
// texts: of a recipe, or NULL; provenance: of model.json, or NULL, says how the records were split; measured: an evaluation as printed; of: of what.
JsonObject *seam_card_new(JsonObject *texts, JsonObject *provenance, JsonObject *measured, const char *of);
