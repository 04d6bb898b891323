// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Recordings of one sensor. Rows have no clock that is trusted: they come at the modality's own rate. Audio has its own rate, and the windower changes it.
#include "core/train/signals.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"

static const size_t size_limit = (size_t)256 << 20;
enum { ROW_COLUMNS = 1024 };

static bool ends_with(const char *name, const char *const *endings) {
    g_autofree char *low = g_ascii_strdown(name, -1);
    for (; *endings; endings++)
        if (g_str_has_suffix(low, *endings))
            return true;
    return false;
}

static bool is_rows(const char *name) {
    return ends_with(name, (const char *const[]){".txt", NULL});
}

bool seam_signal_name(const char *name) {
    return is_rows(name) || ends_with(name, (const char *const[]){".flac", ".wav", NULL});
}

// ---- folders -------------------------------------------------------------------------------------------------------------------

static int compare_names(gconstpointer a, gconstpointer b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Names in a folder, sorted, hidden ones left out.
static GPtrArray *list_names(const char *path) {
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));)
        if (name[0] != '.')
            g_ptr_array_add(names, g_strdup(name));
    g_clear_pointer(&dir, g_dir_close);
    g_ptr_array_sort(names, compare_names);
    return names;
}

bool seam_signal_folders(const char *path, GPtrArray *paths, GPtrArray *labels) {
    g_autoptr(GPtrArray) classes = list_names(path);
    for (guint i = 0; i < classes->len; i++) {
        g_autofree char *folder = g_build_filename(path, classes->pdata[i], NULL);
        g_autoptr(GPtrArray) files = list_names(folder); // empty for what is no folder
        for (guint j = 0; j < files->len; j++)
            if (seam_signal_name(files->pdata[j])) {
                g_ptr_array_add(paths, g_build_filename(folder, files->pdata[j], NULL));
                g_ptr_array_add(labels, g_strdup(classes->pdata[i]));
            }
    }
    return paths->len > 0;
}

// ---- rows ----------------------------------------------------------------------------------------------------------------------

static char row_separator(const char *text) {
    static const char separators[] = "|;,\t";
    size_t line = strcspn(text, "\n"), count[4] = {0}, best = 0;
    for (size_t i = 0; i < line; i++)
        for (size_t s = 0; s < 4; s++)
            count[s] += text[i] == separators[s];
    for (size_t s = 1; s < 4; s++)
        best = count[s] > count[best] ? s : best;
    return count[best] ? separators[best] : ' ';
}

// The number that is all of a cell; NaN for anything else, and for what single precision does not hold.
static float cell_number(char *cell) {
    char *end, *text = g_strstrip(cell);
    double value = g_ascii_strtod(text, &end);
    return end != text && *end == 0 && fabs(value) <= FLT_MAX ? (float)value : NAN;
}

// Cuts a line in place into at most ROW_COLUMNS numbers; returns how many cells it has.
static int32_t cut_row(char *line, char separator, float *value) {
    int32_t n = 0;
    while (line && n < ROW_COLUMNS) {
        while (separator == ' ' && *line == ' ')
            line++;
        if (separator == ' ' && *line == 0)
            break;
        char *next = strchr(line, separator);
        if (next)
            *next++ = 0;
        value[n++] = cell_number(line);
        line = next;
    }
    return n;
}

typedef struct {
    const char *path;
    int32_t channels;
    const int32_t *column;
    SeamRecord *record;
    GArray *x; // of float
    int64_t missing, first_missing, numbers;
} Rows;

static void take_row(Rows *r, int32_t line, const float *value, int32_t cells) {
    for (int32_t c = 0; c < r->channels; c++) {
        float v = r->column[c] < cells ? value[r->column[c]] : NAN;
        if (isnan(v) && r->missing++ == 0)
            r->first_missing = line;
        r->numbers += !isnan(v);
        g_array_append_val(r->x, v);
    }
}

static void take_rows(Rows *r, char *text) {
    char separator = row_separator(text);
    float value[ROW_COLUMNS];
    int32_t line = 0;
    for (char *at = text; at; line++) {
        char *next = strchr(at, '\n');
        if (next)
            *next++ = 0;
        bool any = false, blank = *g_strstrip(at) == 0;
        int32_t cells = blank ? 0 : cut_row(at, separator, value);
        for (int32_t c = 0; c < cells; c++)
            any = any || !isnan(value[c]);
        if (!blank && (any || r->x->len > 0))
            take_row(r, line + 1, value, cells);
        at = next;
    }
}

bool seam_signal_rows(const char *path, int32_t channels, const int32_t *column, SeamRecord *record, float **x, int64_t *n, GError **error) {
    size_t size;
    *x = NULL;
    *n = 0;
    g_autofree char *text = seam_file_read(path, size_limit, &size, error);
    if (!text)
        return false;
    Rows r = {.path = path, .channels = channels, .column = column, .record = record, .x = g_array_new(FALSE, FALSE, sizeof(float))};
    if (strlen(text) == size) // else it is no text
        take_rows(&r, text);
    if (r.numbers == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: no rows of numbers in the columns that the model reads (the first of them is column %d)", path,
                    column[0] + 1);
    else if (r.missing > 0)
        seam_record_note(record, "%s: line %d: a column is absent or no number and counts as missing (%" G_GINT64_FORMAT " such cells)", path,
                         (int32_t)r.first_missing, r.missing);
    *n = r.numbers > 0 ? (int64_t)r.x->len / channels : 0;
    *x = (float *)(void *)g_array_free(r.x, r.numbers == 0);
    return r.numbers > 0;
}

// ---- one recording -------------------------------------------------------------------------------------------------------------

// [frames, from] -> [frames, channels]: the channels that are asked for, NaN where the file has fewer.
static bool pick_channels(const SeamModality *m, const int32_t *column, const char *path, SeamSamples *s, SeamRecord *record, GError **error) {
    if (s->frames > G_MAXINT32 || s->frames > G_MAXSSIZE / (gssize)sizeof(float) / m->channels) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: %" G_GINT64_FORMAT " samples, must be at most %d: cut the file", path, s->frames, G_MAXINT32);
        return false;
    }
    float *x = g_try_new(float, (gsize)s->frames * m->channels);
    if (!x && s->frames > 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: no memory for %" G_GINT64_FORMAT " samples: cut the file", path, s->frames);
        return false;
    }
    int32_t found = 0;
    for (int32_t c = 0; c < m->channels; c++) {
        bool has = column[c] < s->channels;
        found += has;
        if (!has)
            seam_record_note(record, "%s: %d channels, the model reads number %d: that channel is missing", path, s->channels, column[c] + 1);
        for (int64_t i = 0; i < s->frames; i++)
            x[i * m->channels + c] = has ? s->x[i * s->channels + column[c]] : NAN;
    }
    g_free(s->x);
    s->x = x;
    if (found == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: %d channels, the first that the model reads is number %d", path, s->channels, column[0] + 1);
    return found > 0;
}

static bool read_samples(const SeamModality *m, const SeamReadOptions *options, const char *path, SeamRecord *record, double *rate, float **x, int64_t *n,
                         GError **error) {
    int32_t column[SEAM_MAX_CHANNELS];
    for (int32_t c = 0; c < m->channels; c++)
        column[c] = m->sensor.column[c] > 0 ? m->sensor.column[c] - 1 : c;
    *rate = m->sensor.rate;
    if (is_rows(path))
        return seam_signal_rows(path, m->channels, column, record, x, n, error);
    SeamSamples samples = {0};
    bool ok = options->media->sound(path, &samples, error) && pick_channels(m, column, path, &samples, record, error);
    *x = samples.x;
    *n = samples.frames;
    *rate = samples.rate;
    return ok;
}

bool seam_signal_read(const SeamConfig *config, const SeamReadOptions *options, const char *path, SeamRecord *record, GError **error) {
    int32_t m = seam_config_front(config, SEAM_FRONT_SENSOR);
    double rate = 0;
    float *x = NULL;
    int64_t n = 0;
    if (m < 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: a recording, but the model has no sensor modality; use another model or folder", path);
        return false;
    }
    bool ok = read_samples(&config->modality[m], options, path, record, &rate, &x, &n, error);
    if (ok && n == 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: holds no samples", path);
        ok = false;
    }
    seam_record_count_file(record, path);
    ok = ok && seam_record_add_samples(record, config, m, rate, x, n, error);
    g_free(x);
    record->duration = record->arc_end = n > 0 ? (double)n / rate : 0;
    g_clear_pointer(&record->stream[m].levels, g_free); // no arc is looked for: the file bounds the recording
    record->stream[m].n_levels = 0;
    return ok;
}
