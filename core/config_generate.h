// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The fields of a task of kind "generate": which there are depends on what it makes. Only config.c and config_check.c need it.
#pragma once

#include <json-glib/json-glib.h>

#include "core/config.h"

// A task's fields that are there: none that belongs to something else it might make.
bool seam_config_generate_read(JsonObject *o, const char *where, SeamTask *task, GError **error);
// Ranges, and what it demands of modalities and other tasks. `task` lies in config->task.
bool seam_config_generate_check(const SeamConfig *config, const SeamTask *task, const char *where, GError **error);
void seam_config_generate_print(const SeamTask *task, JsonObject *o);
