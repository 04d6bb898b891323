// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Data folders to records. Records are read by two threads, each into its own place, so that their order and content do not depend on who
// was faster; notes and errors come out in the records' order.
#include "core/train/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/train/cmapss.h"
#include "core/train/feature_folder.h"
#include "core/train/image_folder.h"
#include "core/train/near_duplicates.h"
#include "core/train/signals.h"
#include "core/train/table.h"

enum { READERS = 2 };

const char *seam_data_kind_name(SeamDataKind kind) {
    static const char *const names[] = {"runs with manifest.csv", "pictures in one folder a class", "pictures with YOLO labels",
                                        "pictures with Pascal VOC boxes", "recordings of a sensor", "a table of features", "C-MAPSS lives"};
    return names[kind];
}

// One thing to read: a run's folder, or a file.
typedef struct {
    const SeamConfig *config;
    const SeamDatasetOptions *options;
    SeamDataset *dataset;
    char *const *path;                 // runs, recordings: [n]
    const SeamImageFolder *images;     // pictures
    const int32_t *class_of;           // pictures: model's class of each name of images
    int32_t modality;                  // pictures: which one reads them
    GError **error;                    // [n]
    gint next, done;
} Reading;

static void read_picture(Reading *r, int32_t i) {
    SeamRecord *record = &r->dataset->record[i];
    const SeamImageFile *f = r->images->files->pdata[i];
    double window = r->config->window;
    record->name = g_path_get_basename(f->path);
    record->group = g_strdup(record->name);
    record->duration = record->arc_end = window;
    seam_record_set_label(record, r->config, f->label);
    record->has_boxes = r->dataset->kind != SEAM_DATA_CLASS_FOLDERS;
    record->box_modality = r->modality;
    record->truth = g_new0(SeamTruth, f->box->len + 1);
    for (guint b = 0; b < f->box->len; b++) {
        SeamTruth *t = &record->truth[record->n_truth];
        t->box = g_array_index(f->box, SeamBox, b);
        t->box.class_index = t->class_index = r->class_of[t->box.class_index];
        t->duration = window;
        t->has_box = t->class_index > 0 || (t->class_index == 0 && seam_config_good_boxes(r->config));
        record->n_truth += t->has_box;
    }
    const SeamStream *stream = &record->stream[r->modality];
    bool read = seam_record_add_pictures(record, r->config, r->modality, &(char *){f->path}, 1, 0, window, &r->error[i]);
    if (read && f->mask && record->defect) // a good picture has nothing to mark
        record->mask = seam_image_mask_read(f->mask, stream->width, stream->height, &r->error[i]);
}

static gpointer read_some(gpointer data) {
    Reading *r = data;
    for (int32_t i; (i = g_atomic_int_add(&r->next, 1)) < r->dataset->n;) {
        SeamRecord *record = &r->dataset->record[i];
        if (r->dataset->kind == SEAM_DATA_RUNS)
            seam_run_read(r->config, &r->options->read, r->path[i], record->name, record, &r->error[i]);
        else if (r->dataset->kind == SEAM_DATA_SIGNALS)
            seam_signal_read(r->config, &r->options->read, r->path[i], record, &r->error[i]);
        else
            read_picture(r, i);
        g_atomic_int_inc(&r->done);
    }
    return NULL;
}

// The first error in the records' order, if any.
static bool take_error(GError **errors, int32_t n, GError **error) {
    bool ok = true;
    for (int32_t i = 0; i < n; i++) {
        if (errors[i] && ok)
            g_propagate_error(error, g_steal_pointer(&errors[i]));
        ok = ok && !errors[i] && !(error && *error);
        g_clear_error(&errors[i]);
    }
    return ok;
}

static void tell_notes(const SeamDataset *d, const SeamDatasetOptions *options) {
    g_autoptr(GHashTable) told = g_hash_table_new(g_str_hash, g_str_equal);
    for (int32_t i = 0; i < d->n && options->note; i++)
        for (guint j = 0; d->record[i].notes && j < d->record[i].notes->len; j++)
            if (g_hash_table_add(told, d->record[i].notes->pdata[j]))
                options->note(options->user, d->record[i].notes->pdata[j]);
}

static bool read_all(Reading *r, GError **error) {
    int32_t n = r->dataset->n;
    GThread *thread[READERS];
    r->error = g_new0(GError *, n + 1);
    for (int32_t t = 0; t < READERS; t++)
        thread[t] = g_thread_new("seam-read", read_some, r);
    while (r->options->progress && g_atomic_int_get(&r->done) < n) {
        r->options->progress(r->options->user, g_atomic_int_get(&r->done), n);
        g_usleep(100000);
    }
    for (int32_t t = 0; t < READERS; t++)
        g_thread_join(thread[t]);
    if (r->options->progress)
        r->options->progress(r->options->user, n, n);
    bool ok = take_error(r->error, n, error);
    g_free(r->error);
    tell_notes(r->dataset, r->options);
    return ok;
}

// ---- runs and recordings -------------------------------------------------------------------------------------------------------

// What a manifest names must lie in the data folder: a manifest is untrusted. A run is one folder; a file may lie in folders.
static bool check_name(const SeamTable *t, int32_t row, const char *name, bool run, GError **error) {
    bool inside = *name && !strchr(name, '\\') && name[0] != '/' && !(run && strchr(name, '/'));
    g_auto(GStrv) steps = g_strsplit(name, "/", -1);
    for (char **step = steps; *step; step++)
        inside = inside && **step && strcmp(*step, "..") != 0 && strcmp(*step, ".") != 0;
    if (!inside)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: line %d: %s is \"%s\", must be the name of a %s", t->path, t->line[row], run ? "run" : "file",
                    name, run ? "folder beside the manifest" : "file below the manifest's folder");
    return inside;
}

// The record of a row; NULL when its group is excluded. group: a column, or -1 where a row is a group of its own.
static SeamRecord *take_row(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, const SeamTable *t, int32_t row, const char *name,
                            int32_t group) {
    int32_t offset = seam_table_column(t, "clock_offset_s"); // of the video; synthetic runs know it
    const char *in = seam_table_cell(t, row, group);
    in = *in ? in : name;
    if (options->exclude_group && strcmp(options->exclude_group, in) == 0)
        return NULL;
    SeamRecord *record = &d->record[d->n++];
    record->name = g_strdup(name);
    record->group = g_strdup(in);
    seam_record_set_label(record, config, seam_table_cell(t, row, seam_table_column(t, "label")));
    if (!seam_table_number(t, row, offset, &record->picture_offset))
        record->picture_offset = 0;
    for (int32_t c = 0; c < t->columns; c++)
        seam_record_add_field(record, t->name[c], seam_table_cell(t, row, c));
    return record;
}

static bool take_manifest(SeamDataset *d, const SeamConfig *config, const SeamTable *t, const SeamDatasetOptions *options, GPtrArray *paths, GError **error) {
    const char *own_column = options->grouping.column, *key = d->kind == SEAM_DATA_RUNS ? "run" : "file";
    int32_t run = seam_table_column(t, key), group = seam_table_column(t, own_column ? own_column : "group");
    if (run < 0 || (own_column && group < 0)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no column \"%s\"; the header must name it", t->path, run < 0 ? key : own_column);
        return false;
    }
    d->record = g_new0(SeamRecord, t->rows + 1);
    for (int32_t r = 0; r < t->rows; r++) {
        const char *name = seam_table_cell(t, r, run);
        if (!check_name(t, r, name, d->kind == SEAM_DATA_RUNS, error))
            return false;
        if (take_row(d, config, options, t, r, name, group))
            g_ptr_array_add(paths, g_build_filename(d->path, name, NULL));
    }
    return true;
}

static bool read_manifest(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, const char *manifest, GError **error) {
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    SeamTable *t = seam_table_read(manifest, error);
    bool ok = t && take_manifest(d, config, t, options, paths, error);
    seam_table_free(t);
    Reading reading = {.config = config, .options = options, .dataset = d, .path = (char *const *)paths->pdata};
    return ok && read_all(&reading, error);
}

// One folder a class, without a manifest.
static bool read_recordings(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, GError **error) {
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free), labels = g_ptr_array_new_with_free_func(g_free);
    seam_signal_folders(d->path, paths, labels);
    d->n = (int32_t)paths->len;
    d->record = g_new0(SeamRecord, d->n + 1);
    for (int32_t i = 0; i < d->n; i++) {
        g_autofree char *file = g_path_get_basename(paths->pdata[i]);
        d->record[i].name = g_build_filename(labels->pdata[i], file, NULL);
        d->record[i].group = g_strdup(d->record[i].name);
        seam_record_set_label(&d->record[i], config, labels->pdata[i]);
    }
    Reading reading = {.config = config, .options = options, .dataset = d, .path = (char *const *)paths->pdata};
    return read_all(&reading, error);
}

// ---- features ------------------------------------------------------------------------------------------------------------------

// index.csv: `row` of the matrix; `run` (or the row) is the name; label and group as in a manifest.
static bool take_index(SeamDataset *d, const SeamConfig *config, const SeamTable *t, const SeamFeatureFolder *f, const SeamDatasetOptions *options,
                       GError **error) {
    const char *own_column = options->grouping.column;
    int32_t row = seam_table_column(t, "row"), run = seam_table_column(t, "run"), group = seam_table_column(t, own_column ? own_column : "group");
    if (row < 0 || (own_column && group < 0)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no column \"%s\"; the header must name it", t->path, row < 0 ? "row" : own_column);
        return false;
    }
    d->record = g_new0(SeamRecord, t->rows + 1);
    for (int32_t r = 0; r < t->rows; r++) {
        double number;
        if (!seam_table_number(t, r, row, &number) || !(number >= 0 && number < f->matrix.rows) || number != (int32_t)number) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: line %d: row is \"%s\", must be 0 to %d", t->path, t->line[r], seam_table_cell(t, r, row),
                        f->matrix.rows - 1);
            return false;
        }
        SeamRecord *record = take_row(d, config, options, t, r, seam_table_cell(t, r, run >= 0 ? run : row), group);
        if (record)
            seam_feature_folder_take(f, config, (int32_t)number, record);
    }
    return true;
}

static bool read_features(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, GError **error) {
    g_autofree char *path = g_build_filename(d->path, "index.csv", NULL);
    SeamFeatureFolder *f = seam_feature_folder_open(config, d->path, error);
    SeamTable *t = f ? seam_table_read(path, error) : NULL;
    bool ok = t && take_index(d, config, t, f, options, error);
    seam_table_free(t);
    seam_feature_folder_free(f);
    return ok;
}

// ---- pictures ------------------------------------------------------------------------------------------------------------------

// Pictures may have a manifest too, one that names their files: its columns become fields, and its groups theirs.
static bool take_picture_rows(SeamDataset *d, const SeamImageFolder *images, const SeamTable *t, const char *own_column, GError **error) {
    g_autoptr(GHashTable) row_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int32_t file = t ? seam_table_column(t, "file") : -1, group = t ? seam_table_column(t, own_column ? own_column : "group") : -1;
    if (own_column && (file < 0 || group < 0)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no manifest.csv with the columns \"file\" and \"%s\"; group the pictures by \"group_pattern\"",
                    d->path, own_column);
        return false;
    }
    for (int32_t r = 0; file >= 0 && r < t->rows; r++)
        g_hash_table_insert(row_of, g_build_filename(d->path, seam_table_cell(t, r, file), NULL), GINT_TO_POINTER(r));
    for (int32_t i = 0; i < d->n; i++) {
        const SeamImageFile *f = images->files->pdata[i];
        gpointer row;
        if (!g_hash_table_lookup_extended(row_of, f->path, NULL, &row))
            continue;
        for (int32_t c = 0; c < t->columns; c++)
            seam_record_add_field(&d->record[i], t->name[c], seam_table_cell(t, GPOINTER_TO_INT(row), c));
        const char *in = seam_table_cell(t, GPOINTER_TO_INT(row), group);
        if (*in) {
            g_free(d->record[i].group);
            d->record[i].group = g_strdup(in);
        }
    }
    return true;
}

static bool read_picture_manifest(SeamDataset *d, const SeamImageFolder *images, const char *own_column, GError **error) {
    g_autofree char *path = g_build_filename(d->path, "manifest.csv", NULL);
    SeamTable *t = g_file_test(path, G_FILE_TEST_IS_REGULAR) ? seam_table_read(path, NULL) : NULL;
    bool ok = take_picture_rows(d, images, t, own_column, error);
    seam_table_free(t);
    return ok;
}

static bool read_pictures(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, GError **error) {
    int32_t photo = seam_config_modality(config, "photo"), modality = photo >= 0 ? photo : seam_config_front(config, SEAM_FRONT_IMAGE);
    if (modality < 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: holds pictures, but the model has no picture modality; use another model or folder", d->path);
        return false;
    }
    const char *own[SEAM_MAX_CLASSES + 1] = {NULL};
    for (int32_t i = 0; i < config->n_label_names; i++)
        own[i] = config->label_name[i];
    SeamImageFolder *images = seam_image_folder_read(d->path, d->kind, options->class_names, own, error);
    if (!images)
        return false;
    int32_t *class_of = g_new0(int32_t, images->names->len + 1);
    for (guint i = 0; i < images->names->len; i++) {
        SeamRecord probe = {0};
        seam_record_set_label(&probe, config, images->names->pdata[i]);
        class_of[i] = probe.class_index;
        seam_record_clear(&probe);
    }
    d->n = (int32_t)images->files->len;
    d->record = g_new0(SeamRecord, d->n + 1);
    Reading reading = {.config = config, .options = options, .dataset = d, .images = images, .class_of = class_of, .modality = modality};
    bool ok = read_all(&reading, error) && read_picture_manifest(d, images, options->grouping.column, error);
    g_free(class_of);
    seam_image_folder_free(images);
    return ok;
}

// What a manifest is of: runs, recordings of a sensor, or (beside pictures) neither.
static bool manifest_kind(const char *manifest, SeamDataKind *kind) {
    SeamTable *t = g_file_test(manifest, G_FILE_TEST_IS_REGULAR) ? seam_table_read(manifest, NULL) : NULL;
    int32_t file = t ? seam_table_column(t, "file") : -1;
    bool runs = t && seam_table_column(t, "run") >= 0, signals = !runs && file >= 0 && t->rows > 0 && seam_signal_name(seam_table_cell(t, 0, file));
    *kind = runs ? SEAM_DATA_RUNS : SEAM_DATA_SIGNALS;
    seam_table_free(t);
    return runs || signals;
}

static bool holds_recordings(const char *path) {
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free), labels = g_ptr_array_new_with_free_func(g_free);
    return seam_signal_folders(path, paths, labels);
}

static bool read_folder(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, GError **error) {
    g_autofree char *manifest = g_build_filename(d->path, "manifest.csv", NULL);
    if (manifest_kind(manifest, &d->kind))
        return read_manifest(d, config, options, manifest, error);
    if (seam_image_folder_kind(d->path, &d->kind))
        return read_pictures(d, config, options, error);
    d->kind = SEAM_DATA_FEATURES;
    if (seam_feature_folder_found(d->path))
        return read_features(d, config, options, error);
    d->kind = SEAM_DATA_SIGNALS;
    if (holds_recordings(d->path))
        return read_recordings(d, config, options, error);
    d->kind = SEAM_DATA_CMAPSS;
    if (seam_cmapss_folder(d->path))
        return seam_cmapss_records(config, d->path, options->learn, &d->record, &d->n, error);
    d->kind = SEAM_DATA_RUNS;
    if (g_file_test(manifest, G_FILE_TEST_IS_REGULAR)) // it says what is wrong with it
        return read_manifest(d, config, options, manifest, error);
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING,
                "%s: not a data folder: expected manifest.csv with run folders or recordings, images/ with annotations/ or labels/, features.npy with index.csv and "
                "columns.csv, one folder of pictures or recordings a class, or train_FDn.txt", d->path);
    return false;
}

// A pattern that a name does not match leaves its group as it was.
static bool group_by_pattern(SeamDataset *d, const char *pattern, GError **error) {
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_OPTIMIZE, 0, error);
    if (!regex)
        return false;
    for (int32_t i = 0; i < d->n; i++) {
        g_autofree char *file = g_path_get_basename(d->record[i].name);
        g_autoptr(GMatchInfo) match = NULL;
        if (!g_utf8_validate(file, -1, NULL) || !g_regex_match(regex, file, 0, &match))
            continue;
        g_free(d->record[i].group);
        d->record[i].group = g_match_info_fetch(match, 1);
    }
    return true;
}

// Keeps what the first windows read. A window that the arc fills to less than half does not count (core/weld.h), so one more is kept then.
static void trim_records(SeamDataset *d, const SeamConfig *config) {
    for (int32_t i = 0; i < d->n; i++) {
        SeamRecord *r = &d->record[i];
        double first = fmax(r->arc_start, 0) / config->window, skipped = first - floor(first) > 0.5 ? 1 : 0;
        r->arc_end = fmin(r->arc_end, (floor(first) + skipped + config->windows) * config->window);
        for (int32_t m = 0; m < config->n_modalities; m++)
            if (config->modality[m].front == SEAM_FRONT_SENSOR) {
                SeamStream *s = &r->stream[m];
                s->samples = MAX(MIN(s->samples, llrint((r->arc_end - s->start) * config->modality[m].sensor.rate)), 0);
            }
    }
}

SeamDataset *seam_dataset_read(const SeamConfig *config, const char *path, const SeamDatasetOptions *options, GError **error) {
    SeamDataset *d = g_new0(SeamDataset, 1);
    d->path = g_strdup(path);
    bool ok = read_folder(d, config, options, error);
    if (ok && d->n == 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no recordings in it; check the manifest or the folders' names", path);
        ok = false;
    }
    ok = ok && (!options->grouping.pattern || group_by_pattern(d, options->grouping.pattern, error));
    if (!ok) {
        seam_dataset_free(d);
        return NULL;
    }
    if (options->grouping.near_duplicates)
        seam_join_near_duplicates(d, config);
    if (config->windows > 0)
        trim_records(d, config);
    d->own_classes = true;
    for (int32_t i = 0; i < d->n; i++)
        d->own_classes = d->own_classes && (!d->record[i].label || d->record[i].class_index >= 0);
    return d;
}

void seam_dataset_free(SeamDataset *dataset) {
    if (!dataset)
        return;
    for (int32_t i = 0; i < dataset->n; i++)
        seam_record_clear(&dataset->record[i]);
    g_free(dataset->record);
    g_free(dataset->path);
    g_free(dataset);
}

void seam_dataset_good_only(const SeamDataset *dataset, SeamPart *part) {
    for (int32_t i = 0; i < dataset->n; i++)
        if (part[i] == SEAM_PART_TRAIN && (dataset->record[i].defect || !dataset->record[i].label))
            part[i] = SEAM_PART_UNUSED;
}
