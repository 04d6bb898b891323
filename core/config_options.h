// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Settings of the configuration that most models leave out: one table serves reading, checking and printing. Only config.c and config_check.c need it.
#pragma once

#include <json-glib/json-glib.h>

#include "core/config.h"

// The names of all options, NULL-terminated.
extern const char *const seam_config_option_names[];
// Each option that `o` holds; the others stay 0, which means that the model has none of it.
bool seam_config_options_read(JsonObject *o, const char *where, SeamConfig *config, GError **error);
// Ranges, and what options demand of each other and of the rest.
bool seam_config_options_check(const SeamConfig *config, const char *where, GError **error);
// Those that are not 0, so that a model without an option prints as it did before there was one.
void seam_config_options_print(const SeamConfig *config, JsonObject *o);
