// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What config.c, config_check.c and config_envelope.c share: tables of the whole-number fields, and how they are read and checked. Nobody else needs it.
#pragma once

#include <json-glib/json-glib.h>

#include "core/config.h"

// Whether a field may be absent (0), and is then printed nevertheless.
typedef enum { SEAM_FIELD_NEEDED, SEAM_FIELD_SHOWN, SEAM_FIELD_HIDDEN } SeamFieldPresence;

typedef struct {
    const char *name;
    size_t offset; // of an int32_t in the struct
    int32_t min, max;
    SeamFieldPresence presence;
} SeamConfigField;

// Each table ends with a field without a name.
extern const SeamConfigField seam_config_size_fields[];   // of SeamConfig
extern const SeamConfigField seam_config_image_fields[];  // of SeamModality, as the others below
extern const SeamConfigField seam_config_sensor_fields[];
extern const SeamConfigField seam_config_text_fields[];
extern const SeamConfigField seam_config_features_fields[];
extern const SeamConfigField seam_config_task_fields[][5]; // of SeamTask, by SeamTaskKind

extern const char *const seam_config_front_names[]; // by SeamFront, SeamMixer and SeamTaskKind; NULL-terminated
extern const char *const seam_config_mixer_names[];
extern const char *const seam_config_kind_names[];
extern const char *const seam_config_box_names[]; // by SeamBoxKind
extern const char *const seam_config_normalise_names[]; // "none", "picture"

// The fields of a modality's front end.
const SeamConfigField *seam_config_front_fields(SeamFront front);
// How many channels it may have at most.
int32_t seam_config_most_channels(SeamFront front);
// What a modality without "mean" and "std" has.
float seam_config_default_mean(SeamFront front);
float seam_config_default_std(SeamFront front);

// Fills the fields from an object that must hold those that are needed (config.c); and checks them.
bool seam_config_read_fields(JsonObject *o, const SeamConfigField *fields, void *object, const char *where, GError **error);
bool seam_config_check_fields(const SeamConfigField *fields, const void *object, const char *where, GError **error);
bool seam_config_check_number(double value, double min, double max, const char *field, const char *where, GError **error);
// Sets "WHERE: text" and returns false.
bool seam_config_refuse(const char *where, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
// The double whose shortest decimal is that of the float: 0.02, not 0.0199999996.
double seam_config_widen(float value);
