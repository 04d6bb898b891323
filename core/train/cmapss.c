// SPDX-License-Identifier: LGPL-2.1-or-later
//
// C-MAPSS text to records. A record ends where a window of the model ends, so that the last window is the engine's last cycles; what was before its
// first cycle is missing (NaN). Cuts are made as the official tests were: 7 to 145 cycles are left, and at least 31 were seen.
#include "core/train/cmapss.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"

enum {
    FIRST_COLUMN = 3,    // after unit and cycle: what is read where the modality names no columns
    MOST_COLUMNS = 256,
    CUTS = 10,           // of one engine
    LEAST_LEFT = 7, MOST_LEFT = 145, LEAST_SEEN = 31,
    CUT_SEED = 1,
};
static const size_t size_limit = (size_t)256 << 20;

// ---- text ----------------------------------------------------------------------------------------------------------------------

G_GNUC_PRINTF(4, 5)
static bool refuse(const char *path, int32_t line, GError **error, const char *format, ...) {
    va_list list;
    va_start(list, format);
    g_autofree char *text = g_strdup_vprintf(format, list);
    va_end(list);
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: line %d: %s", path, line, text);
    return false;
}

static char *read_text(const char *path, GError **error) {
    size_t size;
    char *text = seam_file_read(path, size_limit, &size, error);
    if (text && strlen(text) != size) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: not a text file: it holds a zero byte", path);
        g_clear_pointer(&text, g_free);
    }
    return text;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

// The numbers of the line at *at, which is moved to the next one: at most `most`, into value. -1 with an error.
static int32_t read_line(const char *path, int32_t line, const char **at, int32_t most, double *value, GError **error) {
    int32_t n = 0;
    const char *c = *at;
    for (;;) {
        while (is_space(*c))
            c++;
        if (*c == 0 || *c == '\n')
            break;
        char *end;
        double number = g_ascii_strtod(c, &end);
        if (end == c || (*end && *end != '\n' && !is_space(*end)) || isinf(number) || n == most) {
            refuse(path, line, error, n == most ? "has more than %d columns" : "column %d is not a number", n == most ? most : n + 1);
            return -1;
        }
        value[n++] = number;
        c = end;
    }
    *at = *c ? c + 1 : c;
    return n;
}

// ---- engines -------------------------------------------------------------------------------------------------------------------

// A row's unit and cycle against those of the row before; false with an error.
static bool check_row(const char *path, int32_t line, const double *row, const SeamCmapss *c, const GArray *units, GHashTable *seen, GError **error) {
    double unit = row[0], cycle = row[1];
    if (!(unit >= 1 && unit <= 1e6 && unit == floor(unit)) || !(cycle >= 0 && cycle <= 1e6 && cycle == floor(cycle)))
        return refuse(path, line, error, "begins with %g %g, must begin with the numbers of a unit and a cycle", unit, cycle);
    if (units->len > 0 && (int32_t)unit == g_array_index(units, int32_t, units->len - 1)) {
        float before = c->x[(size_t)(c->rows - 1) * c->columns + 1];
        return cycle == before + 1 || refuse(path, line, error, "is cycle %g of unit %g, must be cycle %g", cycle, unit, before + 1.0);
    }
    return !g_hash_table_contains(seen, GINT_TO_POINTER((int32_t)unit)) ||
           refuse(path, line, error, "is of unit %g, whose rows ended before; sort the rows by unit and cycle", unit);
}

static bool read_rows(SeamCmapss *c, const char *path, const char *text, GArray *x, GArray *units, GArray *starts, GError **error) {
    double row[MOST_COLUMNS];
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    for (int32_t line = 1; *text; line++) {
        int32_t n = read_line(path, line, &text, MOST_COLUMNS, row, error);
        if (n < 0)
            return false;
        if (n == 0)
            continue;
        c->columns = c->rows == 0 ? n : c->columns;
        if (n != c->columns || n < FIRST_COLUMN)
            return refuse(path, line, error, "has %d columns, must have %d", n, MAX(c->columns, FIRST_COLUMN));
        if (!check_row(path, line, row, c, units, seen, error))
            return false;
        int32_t unit = (int32_t)row[0];
        if (units->len == 0 || unit != g_array_index(units, int32_t, units->len - 1)) {
            g_array_append_val(units, unit);
            g_array_append_val(starts, c->rows);
            g_hash_table_add(seen, GINT_TO_POINTER(unit));
        }
        for (int32_t k = 0; k < n; k++)
            g_array_append_val(x, ((float){fabs(row[k]) <= FLT_MAX ? (float)row[k] : NAN}));
        c->x = (float *)(void *)x->data;
        c->rows++;
    }
    g_array_append_val(starts, c->rows);
    if (c->rows == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: holds no rows", path);
    return c->rows > 0;
}

SeamCmapss *seam_cmapss_read(const char *path, GError **error) {
    g_autofree char *text = read_text(path, error);
    if (!text)
        return NULL;
    SeamCmapss *c = g_new0(SeamCmapss, 1);
    GArray *x = g_array_new(FALSE, FALSE, sizeof(float)), *units = g_array_new(FALSE, FALSE, sizeof(int32_t));
    GArray *starts = g_array_new(FALSE, FALSE, sizeof(int32_t));
    bool ok = read_rows(c, path, text, x, units, starts, error);
    c->units = (int32_t)units->len;
    c->x = (float *)(void *)g_array_free(x, FALSE);
    c->unit = (int32_t *)(void *)g_array_free(units, FALSE);
    c->unit_start = (int32_t *)(void *)g_array_free(starts, FALSE);
    if (!ok)
        g_clear_pointer(&c, seam_cmapss_free);
    return c;
}

void seam_cmapss_free(SeamCmapss *c) {
    if (!c)
        return;
    g_free(c->x);
    g_free(c->unit);
    g_free(c->unit_start);
    g_free(c);
}

double *seam_cmapss_read_rul(const char *path, int32_t *n, GError **error) {
    g_autofree char *text = read_text(path, error);
    g_autoptr(GArray) lives = g_array_new(FALSE, FALSE, sizeof(double));
    const char *at = text;
    for (int32_t line = 1; at && *at; line++) {
        double value = 0;
        int32_t count = read_line(path, line, &at, 1, &value, error);
        if (count > 0 && !(value >= 0 && value <= 1e9)) {
            refuse(path, line, error, "is %g, must be the cycles that an engine has left, 0 or more", value);
            count = -1;
        }
        if (count < 0)
            return NULL;
        if (count > 0)
            g_array_append_val(lives, value);
    }
    if (text && lives->len == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: holds no lives", path);
    *n = (int32_t)lives->len;
    return g_memdup2(lives->data, lives->len * sizeof(double)); // NULL of none
}

// ---- the folder ----------------------------------------------------------------------------------------------------------------

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// The names of the folder's files that are PREFIX_FDn.txt, sorted.
static GPtrArray *list_sets(const char *path, const char *prefix) {
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        size_t at = strlen(prefix), end;
        if (!g_str_has_prefix(name, prefix) || strncmp(name + at, "_FD", 3) != 0)
            continue;
        end = at + 3 + strspn(name + at + 3, "0123456789");
        if (end > at + 3 && strcmp(name + end, ".txt") == 0)
            g_ptr_array_add(names, g_strdup(name));
    }
    g_clear_pointer(&dir, g_dir_close);
    g_ptr_array_sort(names, compare_names);
    return names;
}

bool seam_cmapss_folder(const char *path) {
    g_autoptr(GPtrArray) train = list_sets(path, "train"), test = list_sets(path, "test");
    return train->len + test->len > 0;
}

// The path of the only PREFIX_FDn.txt: NULL without an error when there is none. g_free it.
static char *only_set(const char *path, const char *prefix, GError **error) {
    g_autoptr(GPtrArray) names = list_sets(path, prefix);
    if (names->len > 1)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "%s: holds %u sets (%s, %s, ...); put each into a folder of its own", path, names->len,
                    (char *)names->pdata[0], (char *)names->pdata[1]);
    return names->len == 1 ? g_build_filename(path, names->pdata[0], NULL) : NULL;
}

// ---- records -------------------------------------------------------------------------------------------------------------------

typedef struct {
    const SeamConfig *config;
    int32_t modality;
    GArray *records; // of SeamRecord
} Making;

static bool find_modality(Making *m, const char *path, GError **error) {
    m->modality = seam_config_front(m->config, SEAM_FRONT_SENSOR);
    const SeamModality *sensor = &m->config->modality[MAX(m->modality, 0)];
    if (m->modality < 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: holds engines' sensors, but the model has no sensor modality", path);
    else if (sensor->sensor.rate != 1) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "%s: a cycle is a second of the model's time, but \"%s\" has the rate %g; use 1", path,
                    sensor->name, sensor->sensor.rate);
        return false;
    }
    return m->modality >= 0;
}

// column [channels]: places in a row, from 0.
static bool find_columns(const Making *m, const SeamCmapss *c, const char *path, int32_t *column, GError **error) {
    const SeamModality *sensor = &m->config->modality[m->modality];
    for (int32_t k = 0; k < sensor->channels; k++) {
        column[k] = (sensor->sensor.column[k] > 0 ? sensor->sensor.column[k] : FIRST_COLUMN + k) - 1;
        if (column[k] >= c->columns) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: has %d columns, channel %d of \"%s\" is column %d; see its \"columns\"", path, c->columns, k + 1,
                        sensor->name, column[k] + 1);
            return false;
        }
    }
    return true;
}

// The first `seen` cycles of unit u; `left` follow.
static void add_record(Making *m, const SeamCmapss *c, int32_t u, const int32_t *column, int32_t seen, double left, SeamUse use) {
    const SeamModality *sensor = &m->config->modality[m->modality];
    int64_t window = llrint(m->config->window), samples = (seen + window - 1) / window * window, before = samples - seen;
    const float *rows = c->x + (size_t)c->unit_start[u] * c->columns;
    SeamRecord record = {.duration = samples, .arc_start = before, .arc_end = samples, .has_remaining = true, .remaining = left, .use = use,
                         .class_index = -1};
    SeamStream *stream = &record.stream[m->modality];
    record.group = g_strdup_printf("%d", c->unit[u]);
    record.name = use == SEAM_USE_TRAINING || left <= 0 ? g_strdup(record.group) : g_strdup_printf("%d, %d cycles", c->unit[u], seen);
    stream->samples = samples;
    stream->x = g_new(float, samples * sensor->channels);
    for (int64_t i = 0; i < samples; i++)
        for (int32_t k = 0; k < sensor->channels; k++)
            stream->x[i * sensor->channels + k] = i < before ? NAN : rows[(i - before) * c->columns + column[k]];
    g_array_append_val(m->records, record);
}

static int32_t life_of(const SeamCmapss *c, int32_t u) {
    return c->unit_start[u + 1] - c->unit_start[u];
}

static void add_cuts(Making *m, const SeamCmapss *c, int32_t u, const int32_t *column, SeamUse use) {
    SeamRandom random = seam_random(CUT_SEED, seam_random_hash("cmapss.cut") + (uint64_t)c->unit[u]);
    int32_t life = life_of(c, u), most = MIN(MOST_LEFT, life - LEAST_SEEN);
    for (int32_t k = 0; k < CUTS && most >= LEAST_LEFT; k++) {
        int32_t left = LEAST_LEFT + seam_random_below(&random, most - LEAST_LEFT + 1);
        add_record(m, c, u, column, life - left, left, use);
    }
}

static bool add_lives(Making *m, const char *path, bool learn, GError **error) {
    int32_t column[SEAM_MAX_CHANNELS];
    SeamCmapss *c = seam_cmapss_read(path, error);
    bool ok = c && find_columns(m, c, path, column, error);
    for (int32_t u = 0; ok && u < c->units; u++) {
        if (learn)
            add_record(m, c, u, column, life_of(c, u), 0, SEAM_USE_TRAINING);
        add_cuts(m, c, u, column, learn ? SEAM_USE_MEASURING : SEAM_USE_ALL);
    }
    seam_cmapss_free(c);
    return ok;
}

// One life a unit; where there are too few and a unit's number is left out, that is named.
static bool check_lives(const SeamCmapss *c, const char *test, const char *rul, int32_t lives, GError **error) {
    int32_t gap = 0;
    while (gap < c->units && c->unit[gap] == gap + 1)
        gap++;
    if (lives == c->units)
        return true;
    g_autofree char *missing = lives > c->units && gap < lives ? g_strdup_printf(": unit %d is missing", gap + 1) : g_strdup("");
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: has %d lines, must have one for each of the %d units of %s%s", rul, lives, c->units, test, missing);
    return false;
}

static bool add_tests(Making *m, const char *path, GError **error) {
    int32_t column[SEAM_MAX_CHANNELS], n = 0;
    g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
    g_autofree char *rul_name = g_strconcat("RUL", name + strlen("test"), NULL), *rul = g_build_filename(folder, rul_name, NULL);
    SeamCmapss *c = seam_cmapss_read(path, error);
    g_autofree double *left = c ? seam_cmapss_read_rul(rul, &n, error) : NULL;
    bool ok = left && check_lives(c, path, rul, n, error) && find_columns(m, c, path, column, error);
    for (int32_t u = 0; ok && u < c->units; u++)
        add_record(m, c, u, column, life_of(c, u), left[u], SEAM_USE_ALL);
    seam_cmapss_free(c);
    return ok;
}

bool seam_cmapss_records(const SeamConfig *config, const char *path, bool learn, SeamRecord **records, int32_t *n, GError **error) {
    Making m = {.config = config, .records = g_array_new(TRUE, TRUE, sizeof(SeamRecord))};
    GError *why = NULL;
    g_autofree char *test = learn ? NULL : only_set(path, "test", &why), *train = test || why ? NULL : only_set(path, "train", &why);
    bool ok = !why && find_modality(&m, path, &why);
    if (ok && !test && !train)
        g_set_error(&why, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: has no train_FDn.txt to learn from", path);
    ok = ok && !why && (test ? add_tests(&m, test, &why) : add_lives(&m, train, learn, &why));
    if (why)
        g_propagate_error(error, why);
    *n = (int32_t)m.records->len;
    *records = (SeamRecord *)(void *)g_array_free(m.records, FALSE);
    return ok;
}
