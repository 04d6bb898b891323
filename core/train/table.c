// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Tables in CSV files (RFC 4180, with a free choice of separator). It cuts the text in place: a cell lives as long as its table.
#include "core/train/table.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"

static const size_t size_limit = (size_t)256 << 20;
enum { COLUMN_LIMIT = 1024 };

static char find_separator(const char *header) {
    int32_t count[3] = {0}, best = 0;
    static const char separators[] = ",;\t";
    for (const char *c = header; *c && *c != '\n'; c++)
        for (int32_t i = 0; i < 3; i++)
            count[i] += *c == separators[i];
    for (int32_t i = 1; i < 3; i++)
        if (count[i] > count[best])
            best = i;
    return separators[best];
}

// Ends the quoted cell that begins at `cell` and undoubles its quotes; returns what follows the closing quote.
static char *unquote(char *cell, int32_t *line) {
    char *to = cell, *from = cell + 1;
    for (; *from; from++) {
        if (*from == '"' && from[1] == '"')
            from++;
        else if (*from == '"')
            break;
        *line += *from == '\n';
        *to++ = *from;
    }
    if (*from)
        from++;
    *to = 0;
    return from;
}

// Cuts one line into cells; returns the start of the next line.
static char *cut_line(char *at, char separator, GPtrArray *cells, int32_t *line) {
    for (;;) {
        while (*at == ' ')
            at++;
        char *cell = at;
        if (*at == '"')
            at = unquote(at, line);
        while (*at && *at != separator && *at != '\n')
            at++;
        char end = *at;
        *at = 0;
        g_ptr_array_add(cells, g_strstrip(cell));
        if (end)
            at++;
        if (end != separator)
            break;
    }
    ++*line;
    return at;
}

static bool blank(const GPtrArray *cells) {
    return cells->len == 1 && *(const char *)cells->pdata[0] == 0;
}

// Empty fields after the header's last column are a habit of spreadsheets; anything else there is a mistake.
static bool check_width(const SeamTable *t, const GPtrArray *cells, int32_t line, GError **error) {
    for (guint i = (guint)t->columns; i < cells->len; i++)
        if (*(const char *)cells->pdata[i]) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT,
                        "%s: line %d has %u fields, the header names %d; quote fields that hold a separator", t->path, line,
                        cells->len, t->columns);
            return false;
        }
    return true;
}

static bool read_rows(SeamTable *t, char *at, char separator, int32_t line, GError **error) {
    g_autoptr(GPtrArray) all = g_ptr_array_new(), cells = g_ptr_array_new();
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(int32_t));
    while (*at) {
        int32_t first = line;
        g_ptr_array_set_size(cells, 0);
        at = cut_line(at, separator, cells, &line);
        if (blank(cells))
            continue;
        if (!check_width(t, cells, first, error))
            return false;
        for (guint c = 0; c < (guint)t->columns; c++)
            g_ptr_array_add(all, c < cells->len ? cells->pdata[c] : (char *)"");
        g_array_append_val(lines, first);
    }
    t->rows = (int32_t)lines->len;
    t->cell = g_memdup2(all->pdata, all->len * sizeof(char *));
    t->line = g_memdup2(lines->data, lines->len * sizeof(int32_t));
    return true;
}

SeamTable *seam_table_read(const char *path, GError **error) {
    size_t size;
    char *text = seam_file_read(path, size_limit, &size, error);
    if (!text)
        return NULL;
    SeamTable *t = g_new0(SeamTable, 1);
    t->path = g_strdup(path);
    t->text = text;
    char *at = g_str_has_prefix(text, "\xEF\xBB\xBF") ? text + 3 : text;
    bool has_zero = strlen(text) != size; // cutting puts zeros of its own
    int32_t line = 1;
    char separator = find_separator(at);
    g_autoptr(GPtrArray) header = g_ptr_array_new();
    at = cut_line(at, separator, header, &line);
    if (blank(header) || header->len > COLUMN_LIMIT || has_zero) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: not a CSV file: the first line must name 1 to %d columns", path,
                    COLUMN_LIMIT);
        seam_table_free(t);
        return NULL;
    }
    t->columns = (int32_t)header->len;
    t->name = g_memdup2(header->pdata, header->len * sizeof(char *));
    if (!read_rows(t, at, separator, line, error))
        g_clear_pointer(&t, seam_table_free);
    return t;
}

void seam_table_free(SeamTable *table) {
    if (!table)
        return;
    g_free(table->path);
    g_free(table->text);
    g_free(table->name);
    g_free(table->cell);
    g_free(table->line);
    g_free(table);
}

int32_t seam_table_column(const SeamTable *table, const char *name) {
    for (int32_t c = 0; c < table->columns; c++)
        if (g_ascii_strcasecmp(table->name[c], name) == 0)
            return c;
    return -1;
}

const char *seam_table_cell(const SeamTable *table, int32_t row, int32_t column) {
    return column < 0 ? "" : table->cell[(size_t)row * table->columns + column];
}

bool seam_table_number(const SeamTable *table, int32_t row, int32_t column, double *value) {
    const char *cell = seam_table_cell(table, row, column);
    char *end;
    *value = g_ascii_strtod(cell, &end);
    return end != cell && *end == 0 && isfinite(*value);
}
