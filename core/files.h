// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Files written so that a crash leaves the old or the new one, never half: temporary name beside the target, fsync, rename,
// fsync of the folder. And reads with a limit. JSON getters whose errors name file and field.
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

bool seam_file_write_atomic(const char *path, const void *bytes, size_t size, GError **error);
// Whole file, at most `limit` bytes, with a 0 after the end; g_free it.
char *seam_file_read(const char *path, size_t limit, size_t *size, GError **error);

// Reads a JSON file whose root must be an object.
JsonObject *seam_json_read(const char *path, GError **error);
JsonObject *seam_json_parse(const char *text, const char *where, GError **error);
char *seam_json_print(JsonObject *object); // indented; g_free it

// Typed getters: a missing member leaves *value, the default, when `required` is false; a wrong type or a value outside [min, max] is an error
// "WHERE: \"FIELD\" is ..., must be ...".
bool seam_json_int(JsonObject *o, const char *where, const char *field, bool required, int64_t min, int64_t max, int64_t *value, GError **error);
bool seam_json_double(JsonObject *o, const char *where, const char *field, bool required, double min, double max, double *value, GError **error);
bool seam_json_bool(JsonObject *o, const char *where, const char *field, bool required, bool *value, GError **error);
bool seam_json_string(JsonObject *o, const char *where, const char *field, bool required, const char **value, GError **error);
bool seam_json_object(JsonObject *o, const char *where, const char *field, bool required, JsonObject **value, GError **error);
bool seam_json_array(JsonObject *o, const char *where, const char *field, bool required, JsonArray **value, GError **error);

// Every member's name must be one of `fields` (NULL-terminated); the error names the unknown one and the nearest known.
bool seam_json_known(JsonObject *o, const char *where, const char *const *fields, GError **error);

// The one of `names` (NULL-terminated) that takes the fewest changes of letters to reach from `name`, and how many: for "did you mean". NULL when there is none.
const char *seam_nearest_name(const char *name, const char *const *names, size_t *distance);
