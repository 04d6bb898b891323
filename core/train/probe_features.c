// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The trivial features of records: whatever a sloppy collection of data may have tied to the label.
#include <math.h>
#include <string.h>

#include "core/train/probe.h"

static void free_feature(gpointer data) {
    SeamProbeFeature *f = data;
    g_free(f->name);
    g_free(f->value);
    g_free(f);
}

// Takes `name`; returns where the values go.
static double *add_feature(GPtrArray *features, char *name, bool hidden, int32_t n) {
    SeamProbeFeature *f = g_new0(SeamProbeFeature, 1);
    *f = (SeamProbeFeature){name, hidden, g_new(double, n + 1)};
    for (int32_t i = 0; i < n; i++)
        f->value[i] = NAN;
    g_ptr_array_add(features, f);
    return f->value;
}

// ---- dates ---------------------------------------------------------------------------------------------------------------------

void seam_probe_date(const char *text, double *day, double *clock) {
    static const char pattern[] = "(?<!\\d)((?:19|20)\\d\\d)[-_./]?(\\d\\d)[-_./]?(\\d\\d)"
                                  "(?:[T_ -]?(\\d\\d)[:_.-]?(\\d\\d)(?:[:_.-]?(\\d\\d))?)?(?!\\d)";
    static gsize regex; // compiled once for all records
    if (g_once_init_enter(&regex))
        g_once_init_leave(&regex, (gsize)g_regex_new(pattern, G_REGEX_OPTIMIZE, 0, NULL));
    g_autoptr(GMatchInfo) match = NULL;
    int part[6] = {0};
    *day = *clock = NAN;
    if (!g_utf8_validate(text, -1, NULL) || !g_regex_match((GRegex *)regex, text, 0, &match))
        return;
    for (int i = 0; i < 6; i++) {
        g_autofree char *digits = g_match_info_fetch(match, i + 1);
        part[i] = digits && *digits ? atoi(digits) : -1;
    }
    if (!g_date_valid_dmy((GDateDay)part[2], (GDateMonth)part[1], (GDateYear)part[0]))
        return;
    GDate date;
    g_date_clear(&date, 1);
    g_date_set_dmy(&date, (GDateDay)part[2], (GDateMonth)part[1], (GDateYear)part[0]);
    *day = g_date_get_julian(&date);
    if (part[3] >= 0 && part[3] < 24 && part[4] >= 0 && part[4] < 60)
        *clock = part[3] * 3600 + part[4] * 60 + MAX(part[5], 0);
}

// What the manifest calls a date or time, then the record's name and group; the first that says so.
static void find_date(const SeamRecord *record, double *day, double *clock) {
    static const char *const columns[] = {"date", "day", "datetime", "timestamp", "time", "name", "group"};
    *day = *clock = NAN;
    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++) {
        const char *text = seam_record_field(record, columns[i]);
        double d, c;
        if (!text)
            continue;
        seam_probe_date(text, &d, &c);
        *day = isnan(*day) ? d : *day;
        *clock = isnan(*clock) ? c : *clock;
    }
}

static void add_dates(GPtrArray *features, const SeamDataset *data) {
    double *day = add_feature(features, g_strdup("date"), false, data->n), *clock = add_feature(features, g_strdup("time of day"), false, data->n);
    for (int32_t i = 0; i < data->n; i++)
        find_date(&data->record[i], &day[i], &clock[i]);
}

// ---- files ---------------------------------------------------------------------------------------------------------------------

static void add_sizes(GPtrArray *features, const SeamConfig *config, const SeamDataset *data) {
    bool cut = config->windows > 0;
    double *duration = add_feature(features, g_strdup("duration"), cut, data->n), *rows = add_feature(features, g_strdup("rows"), cut, data->n),
           *bytes = add_feature(features, g_strdup("file size"), cut, data->n), *area = add_feature(features, g_strdup("picture size"), false, data->n),
           *aspect = add_feature(features, g_strdup("picture aspect"), false, data->n);
    for (int32_t i = 0; i < data->n; i++) {
        const SeamRecord *r = &data->record[i];
        duration[i] = r->duration;
        rows[i] = r->rows > 0 ? (double)r->rows : NAN;
        bytes[i] = r->bytes > 0 ? (double)r->bytes : NAN;
        area[i] = r->source_width > 0 ? (double)r->source_width * r->source_height : NAN;
        aspect[i] = r->source_height > 0 ? (double)r->source_width / r->source_height : NAN;
    }
}

// ---- streams -------------------------------------------------------------------------------------------------------------------

// The border is an eighth of the side wide.
static void look_at_pictures(const SeamModality *m, const SeamStream *s, double *mean, double *median, double *border, double *contrast) {
    int32_t size = m->image.size, edge = MAX(size / 8, 1);
    double sum = 0, square = 0, outer = 0, n = 0, n_outer = 0, below = 0;
    int64_t count[256] = {0};
    for (int32_t p = 0; p < s->pictures; p++)
        for (int32_t i = 0; i < size * size; i++) {
            const uint8_t *pixel = s->pixels + ((size_t)p * size * size + i) * m->channels;
            double grey = 0;
            for (int32_t c = 0; c < m->channels; c++)
                grey += pixel[c] / (double)m->channels;
            bool out = i % size < edge || i % size >= size - edge || i / size < edge || i / size >= size - edge;
            sum += grey;
            square += grey * grey;
            n++;
            count[(int32_t)grey]++;
            outer += out ? grey : 0;
            n_outer += out;
        }
    *mean = sum / n;
    for (*median = 0; below + (double)count[(int32_t)*median] < n / 2; ++*median)
        below += (double)count[(int32_t)*median];
    *border = outer / n_outer;
    *contrast = sqrt(fmax(square / n - *mean * *mean, 0));
}

static void add_pictures(GPtrArray *features, const SeamConfig *config, const SeamDataset *data, int32_t m) {
    const char *name = config->modality[m].name;
    double *mean = add_feature(features, g_strdup_printf("%s brightness", name), false, data->n),
           *median = add_feature(features, g_strdup_printf("%s median brightness", name), false, data->n),
           *border = add_feature(features, g_strdup_printf("%s border brightness", name), false, data->n),
           *contrast = add_feature(features, g_strdup_printf("%s contrast", name), false, data->n);
    for (int32_t i = 0; i < data->n; i++)
        if (data->record[i].stream[m].pictures > 0)
            look_at_pictures(&config->modality[m], &data->record[i].stream[m], &mean[i], &median[i], &border[i], &contrast[i]);
}

static void add_samples(GPtrArray *features, const SeamConfig *config, const SeamDataset *data, int32_t m, int32_t c) {
    const SeamModality *modality = &config->modality[m];
    const char *channel = modality->sensor.channel_name[c];
    g_autofree char *name = *channel ? g_strdup_printf("%s %s", modality->name, channel) : g_strdup_printf("%s %d", modality->name, c + 1);
    double *mean = add_feature(features, g_strconcat(name, " mean", NULL), false, data->n),
           *rms = add_feature(features, g_strconcat(name, " RMS", NULL), false, data->n);
    for (int32_t i = 0; i < data->n; i++) {
        const SeamStream *s = &data->record[i].stream[m];
        double sum = 0, square = 0, n = 0;
        for (int64_t k = 0; k < s->samples; k++) {
            double x = s->x[k * modality->channels + c];
            if (isnan(x))
                continue;
            sum += x;
            square += x * x;
            n++;
        }
        mean[i] = sum / n;
        rms[i] = sqrt(square / n);
    }
}

// ---- all of them ---------------------------------------------------------------------------------------------------------------

static bool varies(const SeamProbeFeature *f, int32_t n) {
    double low = INFINITY, high = -INFINITY;
    for (int32_t i = 0; i < n; i++)
        if (isfinite(f->value[i])) {
            low = fmin(low, f->value[i]);
            high = fmax(high, f->value[i]);
        }
    return high - low > 1e-9 * fmax(fabs(low), fabs(high));
}

GPtrArray *seam_probe_features(const SeamConfig *config, const SeamDataset *data) {
    GPtrArray *features = g_ptr_array_new_with_free_func(free_feature);
    add_sizes(features, config, data);
    add_dates(features, data);
    for (int32_t m = 0; m < config->n_modalities; m++) {
        if (config->modality[m].front == SEAM_FRONT_IMAGE)
            add_pictures(features, config, data, m);
        for (int32_t c = 0; config->modality[m].front == SEAM_FRONT_SENSOR && c < config->modality[m].channels; c++)
            add_samples(features, config, data, m, c);
    }
    for (guint i = features->len; i-- > 0;)
        if (!varies(features->pdata[i], data->n))
            g_ptr_array_remove_index(features, i);
    return features;
}
