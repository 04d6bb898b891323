// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Data folders to records. Records are read by two threads, each into its own place, so that their order and content do not depend on who
// was faster; notes and errors come out in the records' order.
#include "core/train/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/random.h"
#include "core/train/image_folder.h"
#include "core/train/table.h"

enum { READERS = 2 };

const char *seam_data_kind_name(SeamDataKind kind) {
    static const char *const names[] = {"runs with manifest.csv", "pictures in one folder a class", "pictures with YOLO labels",
                                        "pictures with Pascal VOC boxes"};
    return names[kind];
}

// One thing to read: a run's folder, or a picture's file.
typedef struct {
    const SeamConfig *config;
    const SeamDatasetOptions *options;
    SeamDataset *dataset;
    char *const *folder;               // runs: [n]
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
        t->has_box = t->class_index > 0;
        record->n_truth += t->has_box;
    }
    seam_record_add_pictures(record, r->config, r->modality, &(char *){f->path}, 1, 0, window, &r->error[i]);
}

static gpointer read_some(gpointer data) {
    Reading *r = data;
    for (int32_t i; (i = g_atomic_int_add(&r->next, 1)) < r->dataset->n;) {
        if (r->folder)
            seam_run_read(r->config, &r->options->read, r->folder[i], r->dataset->record[i].name, &r->dataset->record[i], &r->error[i]);
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

// ---- runs ----------------------------------------------------------------------------------------------------------------------

// A run's folder must lie in the data folder: a manifest is untrusted.
static bool check_run_name(const SeamTable *t, int32_t row, const char *name, GError **error) {
    if (*name && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, "..") != 0 && strcmp(name, ".") != 0)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: line %d: run is \"%s\", must be the name of a folder beside the manifest", t->path, t->line[row],
                name);
    return false;
}

static bool take_manifest(SeamDataset *d, const SeamConfig *config, const SeamTable *t, const SeamDatasetOptions *options, GPtrArray *folders,
                          GError **error) {
    const char *group_column = options->group_column ? options->group_column : "group";
    int32_t run = seam_table_column(t, "run"), label = seam_table_column(t, "label"), group = seam_table_column(t, group_column);
    int32_t offset = seam_table_column(t, "clock_offset_s"); // of the video; synthetic runs know it
    if (run < 0 || (options->group_column && group < 0)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no column \"%s\"; the header must name it", t->path, run < 0 ? "run" : group_column);
        return false;
    }
    d->record = g_new0(SeamRecord, t->rows + 1);
    for (int32_t r = 0; r < t->rows; r++) {
        const char *name = seam_table_cell(t, r, run), *in = seam_table_cell(t, r, group);
        if (!check_run_name(t, r, name, error))
            return false;
        in = *in ? in : name;
        if (options->exclude_group && strcmp(options->exclude_group, in) == 0)
            continue;
        SeamRecord *record = &d->record[d->n++];
        record->name = g_strdup(name);
        record->group = g_strdup(in);
        seam_record_set_label(record, config, seam_table_cell(t, r, label));
        if (!seam_table_number(t, r, offset, &record->picture_offset))
            record->picture_offset = 0;
        g_ptr_array_add(folders, g_build_filename(d->path, name, NULL));
    }
    return true;
}

static bool read_runs(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, const char *manifest, GError **error) {
    g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
    SeamTable *t = seam_table_read(manifest, error);
    bool ok = t && take_manifest(d, config, t, options, folders, error);
    seam_table_free(t);
    Reading reading = {.config = config, .options = options, .dataset = d, .folder = (char *const *)folders->pdata};
    return ok && read_all(&reading, error);
}

// ---- pictures ------------------------------------------------------------------------------------------------------------------

static int32_t picture_modality(const SeamConfig *config) {
    int32_t m = seam_config_modality(config, "photo");
    for (int32_t i = 0; i < config->n_modalities && m < 0; i++)
        m = config->modality[i].front == SEAM_FRONT_IMAGE ? i : -1;
    return m;
}

static bool read_pictures(SeamDataset *d, const SeamConfig *config, const SeamDatasetOptions *options, GError **error) {
    int32_t modality = picture_modality(config);
    if (modality < 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: holds pictures, but the model has no picture modality; use another model or folder", d->path);
        return false;
    }
    SeamImageFolder *images = seam_image_folder_read(d->path, d->kind, options->class_names, error);
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
    bool ok = read_all(&reading, error);
    g_free(class_of);
    seam_image_folder_free(images);
    return ok;
}

// Picture folders may have a manifest too, one that names files and no runs.
static bool names_runs(const char *manifest) {
    SeamTable *t = g_file_test(manifest, G_FILE_TEST_IS_REGULAR) ? seam_table_read(manifest, NULL) : NULL;
    bool runs = t && seam_table_column(t, "run") >= 0;
    seam_table_free(t);
    return runs;
}

SeamDataset *seam_dataset_read(const SeamConfig *config, const char *path, const SeamDatasetOptions *options, GError **error) {
    g_autofree char *manifest = g_build_filename(path, "manifest.csv", NULL);
    SeamDataset *d = g_new0(SeamDataset, 1);
    d->path = g_strdup(path);
    bool pictures = !names_runs(manifest) && seam_image_folder_kind(path, &d->kind), ok = false;
    bool runs = !pictures && g_file_test(manifest, G_FILE_TEST_IS_REGULAR), known = runs || pictures;
    if (known)
        ok = runs ? read_runs(d, config, options, manifest, error) : read_pictures(d, config, options, error);
    else
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING,
                    "%s: not a data folder: expected manifest.csv with run folders, images/ with annotations/ or labels/, or one folder of pictures a class", path);
    if (ok && d->n == 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no recordings in it; check the manifest or the folders' names", path);
        ok = false;
    }
    if (!ok) {
        seam_dataset_free(d);
        return NULL;
    }
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

// ---- split ---------------------------------------------------------------------------------------------------------------------

typedef struct {
    const char *name;
    uint64_t lot;
    int32_t size, main_class; // records; the most frequent class in it, for an even spread of classes
} Group;

static int compare_groups(const void *a, const void *b) {
    const Group *x = a, *y = b;
    if (x->main_class != y->main_class)
        return x->main_class < y->main_class ? -1 : 1;
    return x->lot != y->lot ? (x->lot < y->lot ? -1 : 1) : strcmp(x->name, y->name);
}

static int32_t main_class(const SeamDataset *d, const char *group) {
    int32_t count[SEAM_MAX_CLASSES + 1] = {0}, best = 0;
    for (int32_t i = 0; i < d->n; i++)
        if (strcmp(d->record[i].group, group) == 0)
            count[d->record[i].class_index + 1]++;
    for (int32_t c = 1; c <= SEAM_MAX_CLASSES; c++)
        best = count[c] > count[best] ? c : best;
    return best;
}

static GArray *gather_groups(const SeamDataset *d, uint64_t seed, GHashTable *index) {
    GArray *groups = g_array_new(FALSE, FALSE, sizeof(Group));
    for (int32_t i = 0; i < d->n; i++) {
        gpointer at;
        if (g_hash_table_lookup_extended(index, d->record[i].group, NULL, &at)) {
            g_array_index(groups, Group, GPOINTER_TO_UINT(at)).size++;
            continue;
        }
        SeamRandom random = seam_random(seed, seam_random_hash(d->record[i].group));
        Group g = {d->record[i].group, seam_random_bits(&random), 1, main_class(d, d->record[i].group)};
        g_hash_table_insert(index, d->record[i].group, GUINT_TO_POINTER(groups->len));
        g_array_append_val(groups, g);
    }
    g_array_sort(groups, compare_groups);
    return groups;
}

// Walks the groups, sorted by class and then by lot, and gives each to the part that is furthest behind its share.
void seam_dataset_split(const SeamDataset *dataset, double validation, double calibration, uint64_t seed, SeamPart *part) {
    g_autoptr(GHashTable) index = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) part_of = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GArray) groups = gather_groups(dataset, seed, index);
    double share[] = {1 - validation - calibration, validation, calibration}, given[3] = {0}, dealt = 0;
    for (guint g = 0; g < groups->len; g++) {
        const Group *group = &g_array_index(groups, Group, g);
        int32_t best = 0;
        dealt += group->size;
        for (int32_t p = 1; p < 3; p++)
            if (share[p] > 0 && share[p] * dealt - given[p] > share[best] * dealt - given[best])
                best = p;
        given[best] += group->size;
        g_hash_table_insert(part_of, (gpointer)group->name, GINT_TO_POINTER(best));
    }
    for (int32_t i = 0; i < dataset->n; i++)
        part[i] = (SeamPart)GPOINTER_TO_INT(g_hash_table_lookup(part_of, dataset->record[i].group));
}
