// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sensor rows from uneven to even clocks: a sample at time t lies on the straight line between the two valid rows around it, when these are not
// further apart than half a stretch of the model (or two mean row distances, if the rows are that slow); else it is NaN.
#include "core/train/sensor_rows.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/train/table.h"

static const double assumed_rate = 9.1;         // rows a second where a file has no clock, as the welding robot's logger writes them
static const double half_day = 12 * 3600, longest = 24 * 3600;
static const int64_t sample_limit = (int64_t)1 << 28;

typedef struct {
    const SeamTable *table;
    int32_t date, time, seconds; // columns or -1
    double day;                  // what was added for midnights passed, and for noons on 12-hour clocks
    double last;                 // time of day of the row before
} Clock;

static bool parse_time_of_day(const char *text, double *seconds) {
    char *end;
    double h = g_ascii_strtod(text, &end);
    if (end == text || *end != ':')
        return false;
    const char *at = end + 1;
    double m = g_ascii_strtod(at, &end), s = 0;
    if (end == at)
        return false;
    if (*end == ':') {
        at = end + 1;
        s = g_ascii_strtod(at, &end);
        if (end == at)
            return false;
    }
    while (*end == ' ')
        end++;
    if (g_ascii_strcasecmp(end, "pm") == 0)
        h = fmod(h, 12) + 12;
    else if (g_ascii_strcasecmp(end, "am") == 0)
        h = fmod(h, 12);
    else if (*end)
        return false;
    *seconds = h * 3600 + m * 60 + s;
    return isfinite(*seconds) && *seconds >= 0 && *seconds < 25 * 3600;
}

// A clock that jumps back across midnight, or across one o'clock on a 12-hour dial, goes on within a minute.
static double unwrap(Clock *clock, double now) {
    for (int32_t i = 1; i <= 2 && now + clock->day < clock->last; i++) {
        double later = now + clock->day + i * half_day - clock->last;
        if (later >= 0 && later < 60)
            clock->day += i * half_day;
    }
    return now + clock->day;
}

static bool row_time(Clock *clock, int32_t row, double *time, GError **error) {
    const SeamTable *t = clock->table;
    bool known;
    if (clock->seconds >= 0) {
        known = seam_table_number(t, row, clock->seconds, time);
    } else if (clock->time >= 0) {
        known = parse_time_of_day(seam_table_cell(t, row, clock->time), time);
        if (known)
            *time = unwrap(clock, *time);
    } else {
        *time = row / assumed_rate;
        known = true;
    }
    if (!known || (row > 0 && !(*time >= clock->last))) {
        int32_t column = clock->seconds >= 0 ? clock->seconds : clock->time;
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: line %d: column \"%s\" is \"%s\": %s", t->path, t->line[row],
                    t->name[column], seam_table_cell(t, row, column),
                    known ? "time runs backwards; sort the rows" : "not a time; give seconds or HH:MM:SS.fff");
        return false;
    }
    clock->last = *time;
    return true;
}

static double *read_times(const SeamTable *t, SeamRecord *record, GError **error) {
    Clock clock = {t, seam_table_column(t, "date"), seam_table_column(t, "time"), seam_table_column(t, "time_s"), 0, 0};
    if (clock.seconds < 0 && clock.time < 0)
        seam_record_note(record, "%s: no clock column (time_s, or Date and Time): %.1f rows a second are assumed", t->path, assumed_rate);
    double *time = g_try_new(double, t->rows);
    if (!time) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: no memory for %d rows", t->path, t->rows);
        return NULL;
    }
    for (int32_t r = 0; r < t->rows; r++)
        if (!row_time(&clock, r, &time[r], error)) {
            g_free(time);
            return NULL;
        }
    for (int32_t r = t->rows - 1; r >= 0; r--)
        time[r] -= time[0];
    if (time[t->rows - 1] > longest) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: the rows span %.0f s, must be at most %.0f: cut the file", t->path,
                    time[t->rows - 1], longest);
        g_clear_pointer(&time, g_free);
    }
    return time;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_step(const double *time, int32_t n) {
    if (n < 2)
        return 0;
    double *step = g_new(double, n - 1);
    for (int32_t i = 0; i + 1 < n; i++)
        step[i] = time[i + 1] - time[i];
    qsort(step, (size_t)n - 1, sizeof *step, compare_doubles);
    double median = step[(n - 1) / 2];
    g_free(step);
    return median;
}

// Sampling more slowly than the rows come would fold their fast changes down: then the even clock keeps the rows' own rate, and the
// windower changes it.
static double even_rate(double step, double wanted) {
    return step > 0 && 1 / step > 1.5 * wanted ? 1 / step : wanted;
}

// A number that single precision holds: what is beyond would become infinity.
static bool read_cell(const SeamTable *t, int32_t row, int32_t column, double *value) {
    return seam_table_number(t, row, column, value) && fabs(*value) <= FLT_MAX;
}

// One channel: x [n, stride] gets the values of a column on the even clock.
static int32_t resample(const SeamTable *t, const double *time, int32_t column, double rate, double gap, int64_t n, int32_t stride, float *x,
                        int32_t *bad_row) {
    double before = 0, before_time = -INFINITY;
    int32_t bad = 0;
    int64_t next = 0;
    for (int32_t r = 0; r < t->rows; r++) {
        double value;
        if (!read_cell(t, r, column, &value)) {
            if (bad++ == 0)
                *bad_row = r;
            continue;
        }
        for (; next < n && next / rate <= time[r] + 1e-9; next++) {
            double at = next / rate, span = time[r] - before_time;
            if (time[r] - at < 1e-9)
                x[next * stride] = (float)value;
            else if (span <= gap)
                x[next * stride] = (float)(before + (value - before) * (at - before_time) / span);
        }
        before = value;
        before_time = time[r];
    }
    return bad;
}

static bool find_columns(const SeamModality *m, const SeamTable *t, int32_t *column, SeamRecord *record, GError **error) {
    int32_t found = 0;
    for (int32_t c = 0; c < m->channels; c++) {
        column[c] = seam_table_column(t, m->sensor.channel_name[c]);
        found += column[c] >= 0;
        if (column[c] < 0)
            seam_record_note(record, "%s: no column \"%s\": that channel is missing", t->path, m->sensor.channel_name[c]);
    }
    if (found == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: none of the %d channels of \"%s\" is a column; the first must be called \"%s\"",
                    t->path, m->channels, m->name, m->sensor.channel_name[0]);
    return found > 0;
}

static bool make_even(const SeamModality *m, const SeamTable *t, const double *time, const int32_t *column, SeamSensorRows *rows,
                      SeamRecord *record, GError **error) {
    double step = median_step(time, t->rows), stretch = m->sensor.patch / m->sensor.rate;
    rows->rate = even_rate(step, m->sensor.rate);
    rows->n = (int64_t)floor(time[t->rows - 1] * rows->rate + 1e-6) + 1;
    if (rows->n > sample_limit / m->channels || !(rows->x = g_try_new(float, rows->n * m->channels))) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: no memory for %" G_GINT64_FORMAT " samples: cut the file", t->path, rows->n);
        return false;
    }
    for (int64_t i = 0; i < rows->n * m->channels; i++)
        rows->x[i] = NAN;
    for (int32_t c = 0; c < m->channels; c++) {
        int32_t bad_row = 0, bad = 0;
        if (column[c] >= 0)
            bad = resample(t, time, column[c], rows->rate, fmax(stretch / 2, 2 * step), rows->n, m->channels, rows->x + c, &bad_row);
        if (bad > 0)
            seam_record_note(record, "%s: line %d, column \"%s\": \"%s\" is not a number and counts as missing (%d such cells)", t->path,
                             t->line[bad_row], t->name[column[c]], seam_table_cell(t, bad_row, column[c]), bad);
    }
    return true;
}

bool seam_sensor_rows_read(const SeamModality *modality, const char *path, SeamSensorRows *rows, SeamRecord *record, GError **error) {
    int32_t column[SEAM_MAX_CHANNELS];
    *rows = (SeamSensorRows){0};
    SeamTable *t = seam_table_read(path, error);
    bool ok = t && find_columns(modality, t, column, record, error);
    if (ok && t->rows == 0) {
        seam_record_note(record, "%s: no rows: the sensors are missing", path);
    } else if (ok) {
        double *time = read_times(t, record, error);
        ok = time && make_even(modality, t, time, column, rows, record, error);
        g_free(time);
    }
    seam_table_free(t);
    return ok;
}
