// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The "envelope" object of a sensor modality: reading, checking, printing. Only config.c and config_check.c need it.
#pragma once

#include <json-glib/json-glib.h>

#include "core/config.h"

// modality: the object that may hold "envelope". Absent: *envelope stays zero.
bool seam_config_envelope_read(JsonObject *modality, const char *where, SeamEnvelopeConfig *envelope, GError **error);
JsonObject *seam_config_envelope_print(const SeamEnvelopeConfig *envelope);
// The envelope against the sensor's rate and patch; also whether the sensor has one.
bool seam_config_envelope_check(const SeamSensorConfig *sensor, const char *where, GError **error);
