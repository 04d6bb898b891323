// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Traces: every column of numbers of NAME.csv on its own clock, and the level of NAME.flac (or .wav). What cannot be read is left out: the verdict
// stands without it.
#include "tools/report/report.h"

#include <string.h>

#include "core/train/sensor_rows.h"
#include "core/train/table.h"
#include "tools/media.h"

static const double least_rate = 50; // samples a second that a trace is drawn from, at least

static void clear_trace(ReportTrace *t, const char *name) {
    g_strlcpy(t->name, name, sizeof t->name);
    for (int32_t i = 0; i < REPORT_POINTS; i++)
        t->low[i] = t->high[i] = NAN;
    t->least = INFINITY;
    t->most = -INFINITY;
}

static void add_point(ReportTrace *t, double share, float value) {
    int32_t i = (int32_t)(share * REPORT_POINTS);
    if (!(share >= 0) || i >= REPORT_POINTS || !isfinite(value))
        return;
    t->low[i] = fminf(t->low[i], value);
    t->high[i] = fmaxf(t->high[i], value);
    t->least = fminf(t->least, value);
    t->most = fmaxf(t->most, value);
}

// ---- sensors -------------------------------------------------------------------------------------------------------------------

static bool is_number_column(const SeamTable *t, int32_t column) {
    static const char *const others[] = {"date", "time", "time_s", "remarks", "part no", "id"};
    int32_t numbers = 0;
    double value;
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (g_ascii_strcasecmp(t->name[column], others[i]) == 0)
            return false;
    for (int32_t r = 0; r < t->rows; r++)
        numbers += seam_table_number(t, r, column, &value);
    return 2 * numbers > t->rows && *t->name[column] && strlen(t->name[column]) < SEAM_NAME_LENGTH;
}

// A modality whose channels are all columns of numbers, so that the reader of core gives them an even clock.
static void describe_columns(const char *path, SeamModality *m) {
    SeamTable *t = seam_table_read(path, NULL);
    for (int32_t c = 0; t && c < t->columns && m->channels < REPORT_TRACES - 1; c++)
        if (is_number_column(t, c))
            g_strlcpy(m->sensor.channel_name[m->channels++], t->name[c], SEAM_NAME_LENGTH);
    seam_table_free(t);
}

static int32_t read_sensors(const char *path, double start, double end, ReportTrace *trace) {
    SeamModality *m = g_new0(SeamModality, 1);
    SeamRecord notes = {0};
    SeamSensorRows rows = {0};
    int32_t n = 0;
    g_strlcpy(m->name, "sensors", sizeof m->name);
    m->sensor.rate = ceil(fmax(least_rate, 1.1 * REPORT_POINTS / (end - start))); // no bin between two rows stays empty
    m->sensor.patch = (int32_t)m->sensor.rate;
    describe_columns(path, m);
    if (m->channels > 0 && seam_sensor_rows_read(m, path, &rows, &notes, NULL)) {
        n = m->channels;
        for (int32_t c = 0; c < n; c++) {
            clear_trace(&trace[c], m->sensor.channel_name[c]);
            for (int64_t i = 0; i < rows.n; i++)
                add_point(&trace[c], ((double)i / rows.rate - start) / (end - start), rows.x[i * n + c]);
        }
    }
    g_free(rows.x);
    seam_record_clear(&notes);
    g_free(m);
    return n;
}

// ---- sound ---------------------------------------------------------------------------------------------------------------------

// RMS of each bin, over all channels.
static void sound_levels(const SeamSamples *s, double start, double end, ReportTrace *t) {
    double bin = (end - start) / REPORT_POINTS;
    clear_trace(t, "sound level (RMS)");
    for (int32_t i = 0; i < REPORT_POINTS; i++) {
        int64_t first = (int64_t)fmax((start + i * bin) * s->rate, 0), last = MIN((int64_t)((start + (i + 1) * bin) * s->rate), s->frames);
        double sum = 0;
        for (int64_t k = first * s->channels; k < last * s->channels; k++)
            sum += (double)s->x[k] * s->x[k];
        if (last > first)
            add_point(t, (i + 0.5) / REPORT_POINTS, (float)sqrt(sum / ((double)(last - first) * s->channels)));
    }
}

static int32_t read_sound(const char *path, double start, double end, ReportTrace *trace) {
    SeamSamples s = {0};
    if (!seam_media_gst()->sound(path, &s, NULL))
        return 0;
    sound_levels(&s, start, end, trace);
    g_free(s.x);
    return 1;
}

int32_t report_traces_read(const char *folder, const char *name, double start, double end, ReportTrace *trace) {
    static const char *const sounds[] = {".flac", ".wav", ".ogg", ".mp3", ".m4a"};
    g_autofree char *csv = g_strconcat(folder, "/", name, ".csv", NULL);
    int32_t n = g_file_test(csv, G_FILE_TEST_IS_REGULAR) ? read_sensors(csv, start, end, trace) : 0;
    for (size_t i = 0; i < G_N_ELEMENTS(sounds); i++) {
        g_autofree char *sound = g_strconcat(folder, "/", name, sounds[i], NULL);
        if (g_file_test(sound, G_FILE_TEST_IS_REGULAR))
            return n + read_sound(sound, start, end, &trace[n]);
    }
    return n;
}
