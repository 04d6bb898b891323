// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Tables in CSV files: manifests, truth, sensor rows. Owns the file's text, cut into cells in place. Fields are separated by commas,
// semicolons or tabs (whichever the header holds most of), may be quoted, and are trimmed. It gives no meaning to a cell.
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    char *path, *text;
    int32_t columns, rows;
    char **name;   // [columns] of the header
    char **cell;   // [rows, columns]; "" where a row is short
    int32_t *line; // [rows] line in the file, from 1
} SeamTable;

// A file without a header line is an error; rows longer than the header are too.
SeamTable *seam_table_read(const char *path, GError **error);
void seam_table_free(SeamTable *table);
// Column by name, case-insensitive; -1 when there is none.
int32_t seam_table_column(const SeamTable *table, const char *name);
// "" when column is -1.
const char *seam_table_cell(const SeamTable *table, int32_t row, int32_t column);
// A finite number; false for an empty cell, text, infinity and NaN. Never depends on the locale.
bool seam_table_number(const SeamTable *table, int32_t row, int32_t column, double *value);
