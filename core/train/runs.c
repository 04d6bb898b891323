// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Run folders to records: each stream is decoded once, scaled and resampled to what the model reads, and kept. The arc is on from the first to the last
// level over the threshold of any modality that says so; where none does, the whole recording counts.
#include "core/train/runs.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/sensor_window.h"
#include "core/train/image_folder.h"
#include "core/train/sensor_rows.h"
#include "core/train/table.h"

static const double defect_share = 0.25; // of a window that a defect must cover to name it

void seam_record_note(SeamRecord *record, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (!record->notes)
        record->notes = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(record->notes, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

void seam_record_count_file(SeamRecord *record, const char *path) {
    GStatBuf status;
    if (path && g_stat(path, &status) == 0)
        record->bytes += status.st_size;
}

void seam_record_add_field(SeamRecord *record, const char *name, const char *value) {
    record->field = g_renew(SeamField, record->field, record->n_fields + 1);
    record->field[record->n_fields++] = (SeamField){g_strdup(name), g_strdup(value)};
}

const char *seam_record_field(const SeamRecord *record, const char *name) {
    const SeamField own[] = {{(char *)"name", record->name}, {(char *)"group", record->group}, {(char *)"label", record->label}};
    for (int32_t i = 0; i < record->n_fields; i++)
        if (g_ascii_strcasecmp(record->field[i].name, name) == 0)
            return record->field[i].value;
    for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
        if (g_ascii_strcasecmp(own[i].name, name) == 0)
            return own[i].value;
    return NULL;
}

void seam_record_clear(SeamRecord *record) {
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++) {
        SeamStream *s = &record->stream[m];
        for (int32_t i = 0; i < s->texts; i++)
            g_free(s->text[i].text);
        g_free(s->picture_time);
        g_free(s->pixels);
        g_free(s->x);
        g_free(s->text);
        g_free(s->levels);
    }
    for (int32_t i = 0; i < record->n_fields; i++) {
        g_free(record->field[i].name);
        g_free(record->field[i].value);
    }
    g_free(record->field);
    g_free(record->name);
    g_free(record->group);
    g_free(record->label);
    g_free(record->truth);
    g_free(record->mask);
    g_clear_pointer(&record->notes, g_ptr_array_unref);
    *record = (SeamRecord){0};
}

uint32_t seam_record_present(const SeamRecord *record, const SeamConfig *config) {
    uint32_t present = 0;
    for (int32_t m = 0; m < config->n_modalities; m++) {
        const SeamStream *s = &record->stream[m];
        if (s->pictures > 0 || s->samples > 0 || s->texts > 0)
            present |= 1u << m;
    }
    return present;
}

// ---- pictures ------------------------------------------------------------------------------------------------------------------

typedef struct {
    const SeamImageConfig *image;
    int32_t channels;
    double rate, next;  // pictures a second that are kept; time of the next one
    bool keep;
    int32_t width, height;
    SeamVisionScratch *scratch;
    GByteArray *pixels;
    GArray *times, *levels;
} PictureSink;

static bool take_picture(void *user, double time, const SeamPicture *picture, GError **error) {
    PictureSink *sink = user;
    SeamLevel level = {time, seam_vision_brightness(picture)};
    g_array_append_val(sink->levels, level);
    sink->width = picture->width;
    sink->height = picture->height;
    if (!sink->keep || (sink->rate > 0 && time + 1e-6 < sink->next))
        return true;
    if (sink->rate > 0)
        sink->next = fmax(sink->next + 1 / sink->rate, time);
    size_t bytes = (size_t)sink->image->size * sink->image->size * sink->channels;
    if (sink->pixels->len + bytes > G_MAXUINT / 2) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "more than 2 GiB of pictures; set \"video_rate\" in the recipe, or cut the file");
        return false;
    }
    guint at = sink->pixels->len;
    g_byte_array_set_size(sink->pixels, (guint)(at + bytes));
    g_array_append_val(sink->times, time);
    if (sink->image->normalise_picture)
        return seam_vision_to_level_input(sink->scratch, picture, sink->image->size, sink->pixels->data + at, error);
    return seam_vision_to_input(sink->scratch, picture, sink->image->size, sink->channels, sink->pixels->data + at, error);
}

static void open_sink(PictureSink *sink, const SeamModality *m, double rate, bool keep) {
    *sink = (PictureSink){.image = &m->image, .channels = m->channels, .rate = rate, .keep = keep, .scratch = seam_vision_scratch_new(),
                          .pixels = g_byte_array_new(), .times = g_array_new(FALSE, FALSE, sizeof(double)),
                          .levels = g_array_new(FALSE, FALSE, sizeof(SeamLevel))};
}

static void close_sink(PictureSink *sink, SeamStream *stream) {
    seam_vision_scratch_free(sink->scratch);
    stream->pictures = (int32_t)sink->times->len;
    stream->width = sink->width;
    stream->height = sink->height;
    stream->n_levels = (int32_t)sink->levels->len;
    stream->picture_time = (double *)(void *)g_array_free(sink->times, FALSE);
    stream->levels = (SeamLevel *)(void *)g_array_free(sink->levels, FALSE);
    stream->pixels = g_byte_array_free(sink->pixels, FALSE);
}

static bool read_video(const SeamModality *m, const SeamReadOptions *options, bool keep, const char *path, SeamStream *stream, GError **error) {
    PictureSink sink;
    open_sink(&sink, m, options->video_rate, keep);
    bool ok = options->media->video(path, take_picture, &sink, error);
    close_sink(&sink, stream);
    return ok;
}

bool seam_record_add_pictures(SeamRecord *record, const SeamConfig *config, int32_t modality, char *const *path, int32_t n,
                              double start, double end, GError **error) {
    const SeamModality *m = &config->modality[modality];
    PictureSink sink;
    open_sink(&sink, m, 0, true);
    bool ok = true;
    for (int32_t i = 0; ok && i < n; i++) {
        SeamPicture picture = {.format = m->channels == 1 ? SEAM_PIXELS_GRAY8 : SEAM_PIXELS_RGB};
        uint8_t *pixels = NULL;
        ok = seam_vision_read(path[i], m->channels, &pixels, &picture.width, &picture.height, error);
        if (!ok)
            break;
        seam_record_count_file(record, path[i]);
        record->source_width = picture.width;
        record->source_height = picture.height;
        picture.plane[0] = pixels;
        picture.stride[0] = picture.width * m->channels;
        ok = take_picture(&sink, start + (i + 0.5) / n * (end - start), &picture, error);
        free(pixels);
    }
    close_sink(&sink, &record->stream[modality]);
    return ok;
}

// ---- sensors and sound ---------------------------------------------------------------------------------------------------------

// The windower makes the windows that the pipeline would see; they follow each other, so side by side they are the stream again.
static void gather_windows(SeamWindower *w, int32_t channels, SeamStream *stream) {
    g_autoptr(GArray) x = g_array_new(FALSE, FALSE, sizeof(float));
    GArray *levels = g_array_new(FALSE, FALSE, sizeof(SeamLevel));
    SeamSensorWindow window;
    while (seam_windower_pop(w, true, &window)) {
        if (x->len == 0)
            stream->start = window.time;
        g_array_append_vals(x, window.x, (guint)(window.samples * channels));
        g_array_append_vals(levels, window.levels, (guint)window.n_levels);
        stream->samples += window.samples;
    }
    stream->x = g_memdup2(x->data, (gsize)x->len * sizeof(float));
    stream->n_levels = (int32_t)levels->len;
    stream->levels = (SeamLevel *)(void *)g_array_free(levels, FALSE);
}

bool seam_record_add_samples(SeamRecord *record, const SeamConfig *config, int32_t modality, double rate, const float *x, int64_t n, GError **error) {
    SeamWindower *w = seam_windower_new(config, modality, rate, error);
    if (!w)
        return false;
    bool ok = n > 0 ? seam_windower_push(w, 0, x, (int32_t)n, error) : true;
    record->rows = MAX(record->rows, n);
    if (ok)
        gather_windows(w, config->modality[modality].channels, &record->stream[modality]);
    seam_windower_free(w);
    return ok;
}

static bool read_sensors(const SeamConfig *config, int32_t modality, const char *path, SeamRecord *record, GError **error) {
    SeamSensorRows rows;
    bool ok = seam_sensor_rows_read(&config->modality[modality], path, &rows, record, error);
    if (ok && rows.n > 0) // without rows the stream is missing, and a note says so
        ok = seam_record_add_samples(record, config, modality, rows.rate, rows.x, rows.n, error);
    g_free(rows.x);
    return ok;
}

// [frames, from] -> [frames, 1], in place: the mean.
static void mix_down(SeamSamples *s) {
    for (int64_t i = 0; i < s->frames; i++) {
        float sum = 0;
        for (int32_t c = 0; c < s->channels; c++)
            sum += s->x[i * s->channels + c];
        s->x[i] = sum / (float)s->channels;
    }
    s->channels = 1;
}

static bool read_sound(const SeamConfig *config, int32_t modality, const SeamReadOptions *options, const char *path, SeamRecord *record, GError **error) {
    const SeamModality *m = &config->modality[modality];
    SeamSamples samples = {0};
    bool ok = options->media->sound(path, &samples, error);
    if (ok && samples.channels != m->channels && m->channels == 1)
        mix_down(&samples);
    if (ok && (samples.channels != m->channels || samples.frames > G_MAXINT32)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: %d channels and %" G_GINT64_FORMAT " samples; \"%s\" reads %d channels, at most %d samples",
                    path, samples.channels, samples.frames, m->name, m->channels, G_MAXINT32);
        ok = false;
    }
    ok = ok && seam_record_add_samples(record, config, modality, samples.rate, samples.x, samples.frames, error);
    g_free(samples.x);
    return ok;
}

static int compare_texts(gconstpointer a, gconstpointer b) {
    double x = ((const SeamTimedText *)a)->time, y = ((const SeamTimedText *)b)->time;
    return (x > y) - (x < y);
}

static bool read_text(const SeamReadOptions *options, const char *path, SeamStream *stream, GError **error) {
    GArray *texts = g_array_new(FALSE, FALSE, sizeof(SeamTimedText));
    bool ok = options->media->text(path, texts, error);
    g_array_sort(texts, compare_texts);
    stream->texts = (int32_t)texts->len;
    stream->text = (SeamTimedText *)(void *)g_array_free(texts, FALSE);
    return ok;
}

// ---- truth and labels ----------------------------------------------------------------------------------------------------------

static const char *plain_label(const char *label) {
    static const char *const good[] = {"good_weld", "ok", "normal", "defect_free"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        if (g_ascii_strcasecmp(label, good[i]) == 0)
            return "good";
    return label;
}

static char *fold(const char *name) { return g_strdelimit(g_ascii_strdown(name, -1), " -", '_'); }

// "Burn-Through" and "burn_through" are one class, whichever of them the model has.
static int32_t find_class(const SeamConfig *config, const char *label) {
    g_autofree char *wanted = fold(plain_label(label));
    for (int32_t c = 0; c < config->n_classes; c++) {
        g_autofree char *name = fold(config->class_name[c]);
        if (strcmp(name, wanted) == 0)
            return c;
    }
    return -1;
}

void seam_record_set_label(SeamRecord *record, const SeamConfig *config, const char *label) {
    g_free(record->label);
    record->label = label && *label ? g_strdup(label) : NULL;
    record->class_index = record->label ? find_class(config, label) : -1;
    record->defect = record->label && record->class_index != 0;
}

static bool read_truth_row(const SeamTable *t, const int32_t *column, int32_t row, const SeamConfig *config, SeamTruth *truth, GError **error) {
    double box[4];
    truth->class_index = find_class(config, seam_table_cell(t, row, column[2]));
    if (!seam_table_number(t, row, column[0], &truth->time) || !seam_table_number(t, row, column[1], &truth->duration) ||
        !(truth->duration >= 0)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: line %d: time_s and duration_s must be two numbers", t->path, t->line[row]);
        return false;
    }
    truth->has_box = true;
    for (int32_t i = 0; i < 4; i++)
        truth->has_box = seam_table_number(t, row, column[3 + i], &box[i]) && truth->has_box;
    if (truth->has_box)
        truth->box = (SeamBox){(float)box[0], (float)box[1], (float)box[2], (float)box[3], 1, truth->class_index};
    return true;
}

static bool read_truth(const SeamConfig *config, const char *path, SeamRecord *record, GError **error) {
    static const char *const names[] = {"time_s", "duration_s", "class", "x", "y", "w", "h"};
    int32_t column[7];
    SeamTable *t = seam_table_read(path, error);
    if (!t)
        return false;
    bool ok = true, known = true;
    for (int32_t i = 0; i < 7; i++)
        column[i] = seam_table_column(t, names[i]);
    for (int32_t r = 0; r < t->rows && known; r++) {
        known = find_class(config, seam_table_cell(t, r, column[2])) >= 0;
        if (!known)
            seam_record_note(record, "%s: line %d: \"%s\" is no class of the model: times and boxes of this run are not used", t->path, t->line[r],
                             seam_table_cell(t, r, column[2]));
    }
    if (!known) {
        seam_table_free(t);
        return true;
    }
    record->truth = g_new0(SeamTruth, t->rows + 1);
    record->has_truth = true;
    record->box_modality = seam_config_modality(config, "video");
    record->has_boxes = record->box_modality >= 0 && column[6] >= 0;
    for (int32_t r = 0; ok && r < t->rows; r++)
        ok = read_truth_row(t, column, r, config, &record->truth[record->n_truth++], error);
    seam_table_free(t);
    return ok;
}

int32_t seam_record_label(const SeamRecord *record, double start, double window) {
    if (!record->has_truth || record->class_index == 0)
        return record->class_index;
    double covered[SEAM_MAX_CLASSES] = {0}, best = defect_share * window - 1e-6; // a defect may be told in many short rows
    int32_t label = 0;
    for (int32_t i = 0; i < record->n_truth; i++) {
        const SeamTruth *t = &record->truth[i];
        covered[t->class_index] += fmax(fmin(t->time + t->duration, start + window) - fmax(t->time, start), 0);
    }
    for (int32_t c = 1; c < SEAM_MAX_CLASSES; c++)
        if (covered[c] >= best) {
            best = covered[c];
            label = c;
        }
    return label;
}

int32_t seam_record_boxes(const SeamRecord *record, int32_t modality, double time, SeamBox *box, int32_t most) {
    if (!record->has_boxes || record->box_modality != modality)
        return record->class_index == 0 ? 0 : -1;
    int32_t n = 0;
    for (int32_t i = 0; i < record->n_truth && n < most; i++) {
        const SeamTruth *t = &record->truth[i];
        double at = time - record->picture_offset;
        if (t->has_box && at >= t->time - 1e-9 && at <= t->time + t->duration)
            box[n++] = t->box;
    }
    return n;
}

// ---- the run -------------------------------------------------------------------------------------------------------------------

static char *find_file(const char *folder, const char *name, const char *const *endings) {
    for (; *endings; endings++) {
        char *path = g_strconcat(folder, G_DIR_SEPARATOR_S, name, *endings, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
            return path;
        g_free(path);
    }
    return NULL;
}

static void find_arc(SeamRecord *record, const SeamConfig *config) {
    double first = INFINITY, last = -INFINITY;
    for (int32_t m = 0; m < config->n_modalities; m++) {
        const SeamStream *s = &record->stream[m];
        for (int32_t i = 0; i < s->n_levels && config->modality[m].arc_on > 0; i++)
            if (s->levels[i].value > config->modality[m].arc_on) {
                first = fmin(first, s->levels[i].time);
                last = fmax(last, s->levels[i].time);
            }
    }
    record->arc_start = last > first ? first : 0;
    record->arc_end = last > first ? last : record->duration;
}

// A single reading, as of a video of one frame, stands for a window.
static void find_duration(SeamRecord *record, const SeamConfig *config) {
    bool any = false;
    for (int32_t m = 0; m < config->n_modalities; m++) {
        const SeamStream *s = &record->stream[m];
        any = any || s->n_levels > 0;
        if (s->n_levels > 0)
            record->duration = fmax(record->duration, s->levels[s->n_levels - 1].time);
        if (s->texts > 0)
            record->duration = fmax(record->duration, s->text[s->texts - 1].time);
    }
    if (any && record->duration <= 0)
        record->duration = config->window;
}

static bool wanted(const SeamConfig *config, const SeamReadOptions *options, const char *name, int32_t *modality) {
    *modality = seam_config_modality(config, name);
    return *modality >= 0 && (options->only == 0 || options->only & 1u << *modality || config->modality[*modality].arc_on > 0);
}

static bool read_streams(const SeamConfig *config, const SeamReadOptions *options, const char *folder, const char *name, SeamRecord *record,
                         GError **error) {
    static const char *const rows[] = {".csv", NULL}, *const sound[] = {".flac", ".wav", ".ogg", ".mp3", ".m4a", NULL},
                      *const video[] = {".avi", ".mp4", ".mkv", ".mov", ".webm", ".ts", NULL}, *const text[] = {".srt", ".vtt", NULL};
    g_autofree char *csv = find_file(folder, name, rows), *audio = find_file(folder, name, sound), *film = find_file(folder, name, video),
                    *words = find_file(folder, name, text);
    int32_t m;
    char *const files[] = {csv, audio, film, words};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
        seam_record_count_file(record, files[i]);
    if (csv && wanted(config, options, "sensors", &m) && !read_sensors(config, m, csv, record, error))
        return false;
    if (audio && wanted(config, options, "sound", &m) && !read_sound(config, m, options, audio, record, error))
        return false;
    if (film && wanted(config, options, "video", &m) &&
        !read_video(&config->modality[m], options, options->only == 0 || options->only & 1u << m, film, &record->stream[m], error))
        return false;
    return !words || !wanted(config, options, "text", &m) || read_text(options, words, &record->stream[m], error);
}

static bool read_photos(const SeamConfig *config, const SeamReadOptions *options, const char *folder, SeamRecord *record, GError **error) {
    int32_t m;
    g_autofree char *images = g_build_filename(folder, "images", NULL);
    if (!wanted(config, options, "photo", &m))
        return true;
    g_autoptr(GPtrArray) paths = seam_image_list(images);
    if (record->arc_end <= record->arc_start)
        record->arc_end = record->duration = paths->len * config->window; // photographs alone: one window each
    return paths->len == 0 ||
           seam_record_add_pictures(record, config, m, (char *const *)paths->pdata, (int32_t)paths->len, 0, record->duration, error);
}

bool seam_run_read(const SeamConfig *config, const SeamReadOptions *options, const char *folder, const char *name, SeamRecord *record,
                   GError **error) {
    g_autofree char *truth = g_strconcat(folder, G_DIR_SEPARATOR_S, name, ".truth.csv", NULL);
    if (!record->name)
        record->name = g_strdup(name);
    if (!read_streams(config, options, folder, name, record, error))
        return false;
    find_duration(record, config);
    find_arc(record, config);
    if (!read_photos(config, options, folder, record, error))
        return false;
    if (g_file_test(truth, G_FILE_TEST_IS_REGULAR) && !read_truth(config, truth, record, error))
        return false;
    if (seam_record_present(record, config) == 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no stream of the model's modalities: expected %s.csv, .flac, .avi, .srt or images/", folder,
                    name);
        return false;
    }
    return true;
}
