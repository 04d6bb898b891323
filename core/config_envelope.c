// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The "envelope" object: a table of its numbers serves reading, checking and printing.
#include "core/config_envelope.h"

#include <string.h>

#include "core/config_check.h"
#include "core/error.h"
#include "core/fft.h"
#include "core/files.h"

#define FIELD(field) offsetof(SeamEnvelopeConfig, field)
static const struct {
    const char *name;
    size_t offset; // of a float
    double min, max;
} numbers[] = {
    {"low", FIELD(low), 0, 1e6},          {"high", FIELD(high), 0, 1e6},          {"shaft", FIELD(shaft), 1e-3, 1e5},
    {"tolerance", FIELD(tolerance), 0, 0.5}, {"background", FIELD(background), 0, 1e6},
};
static const SeamConfigField counts[] = {
    {"bands", FIELD(bands), 1, 64},
    {"shape", FIELD(shape), 1, 256},
    {0},
};
static const double highest_order = 1e4;

static bool read_orders(JsonObject *o, const char *where, SeamEnvelopeConfig *e, GError **error) {
    JsonArray *array = NULL;
    if (!seam_json_array(o, where, "orders", true, &array, error))
        return false;
    guint n = json_array_get_length(array);
    for (guint i = 0; i < n && i < SEAM_MAX_ORDERS; i++) {
        JsonNode *node = json_array_get_element(array, i);
        if (!JSON_NODE_HOLDS_VALUE(node) ||
            (json_node_get_value_type(node) != G_TYPE_DOUBLE && json_node_get_value_type(node) != G_TYPE_INT64)) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: \"orders\" must hold numbers only", where);
            return false;
        }
        e->order[i] = (float)json_node_get_double(node);
    }
    e->n_orders = (int32_t)MIN(n, SEAM_MAX_ORDERS + 1u); // too many: refused by the check
    return true;
}

bool seam_config_envelope_read(JsonObject *modality, const char *where, SeamEnvelopeConfig *envelope, GError **error) {
    static const char *const fields[] = {"low", "high", "bands", "shape", "shaft", "tolerance", "background", "orders", NULL};
    JsonObject *o = NULL;
    if (!seam_json_object(modality, where, "envelope", false, &o, error))
        return false;
    if (!o)
        return true;
    g_autofree char *place = g_strdup_printf("%s: envelope", where);
    if (!seam_json_known(o, place, fields, error))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        double value = 0;
        if (!seam_json_double(o, place, numbers[i].name, true, numbers[i].min, numbers[i].max, &value, error))
            return false;
        memcpy((char *)envelope + numbers[i].offset, &(float){(float)value}, sizeof(float));
    }
    return seam_config_read_fields(o, counts, envelope, place, error) && read_orders(o, place, envelope, error);
}

JsonObject *seam_config_envelope_print(const SeamEnvelopeConfig *envelope) {
    JsonObject *o = json_object_new();
    JsonArray *orders = json_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        float value;
        memcpy(&value, (const char *)envelope + numbers[i].offset, sizeof value);
        json_object_set_double_member(o, numbers[i].name, seam_config_widen(value));
    }
    json_object_set_int_member(o, "bands", envelope->bands);
    json_object_set_int_member(o, "shape", envelope->shape);
    for (int32_t i = 0; i < envelope->n_orders; i++)
        json_array_add_double_element(orders, seam_config_widen(envelope->order[i]));
    json_object_set_array_member(o, "orders", orders);
    return o;
}

// ---- what makes sense ----------------------------------------------------------------------------------------------------------

static bool check_ranges(const SeamEnvelopeConfig *e, const char *where, GError **error) {
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        float value;
        memcpy(&value, (const char *)e + numbers[i].offset, sizeof value);
        if (!(value >= (float)numbers[i].min && value <= (float)numbers[i].max))
            return seam_config_refuse(where, error, "\"%s\" is %g, must be %g to %g", numbers[i].name, (double)value, numbers[i].min, numbers[i].max);
    }
    return seam_config_check_fields(counts, e, where, error) &&
           ((e->n_orders >= 1 && e->n_orders <= SEAM_MAX_ORDERS) || seam_config_refuse(where, error, "\"orders\" must have 1 to %d", SEAM_MAX_ORDERS));
}

// An envelope holds nothing faster than its band is wide.
static bool check_orders(const SeamEnvelopeConfig *e, double width, const char *where, GError **error) {
    for (int32_t i = 0; i < e->n_orders; i++) {
        double order = e->order[i], reach = order * e->shaft * (1 + e->tolerance) + e->background;
        if (!(order > 0 && order <= highest_order))
            return seam_config_refuse(where, error, "\"orders\" has %g, must be above 0 and at most %g", order, highest_order);
        if (!(reach < width))
            return seam_config_refuse(where, error, "the order %g needs bands of more than %g Hz, they have %g: take fewer \"bands\"", order, reach, width);
    }
    return true;
}

bool seam_config_envelope_check(const SeamSensorConfig *sensor, const char *where, GError **error) {
    const SeamEnvelopeConfig *e = &sensor->envelope;
    g_autofree char *place = g_strdup_printf("%s: envelope", where);
    if (e->bands == 0)
        return true;
    if (!check_ranges(e, place, error))
        return false;
    double bin = sensor->rate / seam_fft_length(sensor->patch), span = (double)e->high - e->low;
    if (sensor->time_bins != 0)
        return seam_config_refuse(place, error, "\"time_bins\" is %d, must be 0: the envelope is in its place", sensor->time_bins);
    if (!(span > 0) || e->high > sensor->rate / 2)
        return seam_config_refuse(place, error, "\"low\" to \"high\" is %g to %g Hz, must rise and end at half of \"rate\" (%g)", (double)e->low,
                      (double)e->high, sensor->rate / 2);
    if (!(span / MAX(e->shape, e->bands) >= 2 * bin))
        return seam_config_refuse(place, error, "%d bands from %g to %g Hz are narrower than 2 bins of %g Hz: take a larger \"patch\"", MAX(e->shape, e->bands),
                      (double)e->low, (double)e->high, bin);
    return check_orders(e, span / e->bands, place, error);
}
