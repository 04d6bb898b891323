// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Checking and making model cards.
//
//   {"data": TEXT, "licence": TEXT, "intended_use": TEXT, "limits": TEXT, "traps": TEXT,
//    "split": {"train": N, ...}, "figures": {"of": TEXT, "accuracy": X, ..., "interval": {"accuracy": [LOW, HIGH]}, "promise": {...}}}
#include "core/card.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"

enum { MOST_MEMBERS = 64, MOST_DEPTH = 4 };
static const double largest = 1e15;

const char *const seam_card_texts[] = {"data", "licence", "intended_use", "limits", "traps", NULL};

// ---- checking ------------------------------------------------------------------------------------------------------------------

static bool check_text(JsonObject *o, const char *where, const char *field, GError **error) {
    const char *text = NULL;
    if (!seam_json_string(o, where, field, false, &text, error))
        return false;
    if (!text || strlen(text) <= SEAM_CARD_TEXT)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"%s\" has %zu bytes, must have at most %d", where, field, strlen(text), SEAM_CARD_TEXT);
    return false;
}

static bool is_number(JsonNode *node) {
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
    return (type == G_TYPE_DOUBLE || type == G_TYPE_INT64) && fabs(json_node_get_double(node)) <= largest;
}

static bool is_pair(JsonNode *node) {
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    return array && json_array_get_length(array) == 2 && is_number(json_array_get_element(array, 0)) && is_number(json_array_get_element(array, 1));
}

static bool is_flag(JsonNode *node) {
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
}

// Numbers, pairs of them, yes and no, and objects of these.
static bool check_figures(JsonObject *o, const char *where, int32_t depth, GError **error) {
    g_autoptr(GList) members = json_object_get_members(o);
    if (json_object_get_size(o) > MOST_MEMBERS || depth > MOST_DEPTH) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: more than %d members, or nested more than %d deep", where, MOST_MEMBERS, MOST_DEPTH);
        return false;
    }
    for (GList *l = members; l; l = l->next) {
        JsonNode *node = json_object_get_member(o, l->data);
        bool text = depth == 1 && strcmp(l->data, "of") == 0;
        g_autofree char *name = seam_json_excerpt(l->data);
        if (text && !check_text(o, where, "of", error))
            return false;
        if (JSON_NODE_HOLDS_OBJECT(node)) {
            g_autofree char *place = g_strdup_printf("%s.%s", where, name);
            if (!check_figures(json_node_get_object(node), place, depth + 1, error))
                return false;
        } else if (!text && !is_number(node) && !is_pair(node) && !is_flag(node)) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"%s\" must be a number, two numbers in brackets, true or false, or an object of these", where,
                        name);
            return false;
        }
    }
    return true;
}

static bool check_part(JsonObject *card, const char *where, const char *field, int32_t depth, GError **error) {
    JsonObject *part = NULL;
    g_autofree char *place = g_strdup_printf("%s.%s", where, field);
    return seam_json_object(card, where, field, false, &part, error) && (!part || check_figures(part, place, depth, error));
}

bool seam_card_check(JsonObject *card, const char *where, bool texts_only, GError **error) {
    static const char *const fields[] = {"data", "licence", "intended_use", "limits", "traps", "split", "figures", NULL};
    g_autofree char *place = g_strdup_printf("%s: card", where);
    if (!seam_json_known(card, place, texts_only ? seam_card_texts : fields, error))
        return false;
    for (size_t i = 0; seam_card_texts[i]; i++)
        if (!check_text(card, place, seam_card_texts[i], error))
            return false;
    return check_part(card, place, "split", MOST_DEPTH, error) && check_part(card, place, "figures", 1, error);
}

// ---- making --------------------------------------------------------------------------------------------------------------------

// What fits on a card: no tables.
static JsonObject *figures(JsonObject *measured, const char *of) {
    static const char *const objects[] = {"interval", "promise"};
    JsonObject *o = json_object_new();
    g_autoptr(GList) members = json_object_get_members(measured);
    json_object_set_string_member(o, "of", of);
    for (GList *l = members; l; l = l->next) {
        JsonNode *node = json_object_get_member(measured, l->data);
        bool wanted = is_number(node) || is_flag(node);
        for (size_t i = 0; i < G_N_ELEMENTS(objects); i++)
            wanted = wanted || strcmp(l->data, objects[i]) == 0;
        if (wanted)
            json_object_set_member(o, l->data, json_node_copy(node));
    }
    return o;
}

static JsonObject *split_of(JsonObject *provenance) {
    static const char *const counts[][2] = {{"trained_on", "train"}, {"validated_on", "validation"}, {"calibrated_on", "calibration"}, {"held", "held"}};
    JsonObject *o = json_object_new();
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        JsonNode *node = json_object_get_member(provenance, counts[i][0]);
        if (node && is_number(node))
            json_object_set_member(o, counts[i][1], json_node_copy(node));
    }
    return o;
}

JsonObject *seam_card_new(JsonObject *texts, JsonObject *provenance, JsonObject *measured, const char *of) {
    JsonObject *card = json_object_new();
    for (size_t i = 0; texts && seam_card_texts[i]; i++)
        if (json_object_has_member(texts, seam_card_texts[i]))
            json_object_set_member(card, seam_card_texts[i], json_node_copy(json_object_get_member(texts, seam_card_texts[i])));
    if (provenance)
        json_object_set_object_member(card, "split", split_of(provenance));
    json_object_set_object_member(card, "figures", figures(measured, of));
    return card;
}
