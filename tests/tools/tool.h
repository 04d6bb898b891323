// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the tests of the `seam` command share: running it, a tiny model, files made on the fly in a folder of the test's own.
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

// The folder that this process may write to; removed by tool_clean().
const char *tool_folder(void);
void tool_clean(void);
// A path in it; g_free it.
char *tool_path(const char *name);
// Writes a file, making its folders; "A/B.csv" is relative to tool_folder().
void tool_write(const char *name, const char *text);
void tool_write_bytes(const char *name, const void *bytes, gsize size);

typedef struct {
    int status; // exit status, or -1 when a signal ended it
    char *out, *err;
} ToolRun;

// `seam` with these words, NULL-terminated, in tool_folder().
ToolRun tool_run(const char *first, ...) G_GNUC_NULL_TERMINATED;
void tool_clear(ToolRun *run);
// Runs and expects this exit status; what it wrote is in the message otherwise.
ToolRun tool_expect(int status, const char *first, ...) G_GNUC_NULL_TERMINATED;
// The standard output as one JSON object and nothing else; json_object_unref it.
JsonObject *tool_json(const ToolRun *run);

// A recipe of the smallest model that has all front ends but text, and one of its models without training, as NAME.seam.
extern const char tool_recipe[];
void tool_make_model(const char *name);
