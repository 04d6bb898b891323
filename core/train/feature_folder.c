// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which columns belong to which modality, and rows of the matrix as streams of one reading.
#include "core/train/feature_folder.h"

#include "core/error.h"
#include "core/train/table.h"

static bool has_file(const char *path, const char *name) {
    g_autofree char *file = g_build_filename(path, name, NULL);
    return g_file_test(file, G_FILE_TEST_IS_REGULAR);
}

bool seam_feature_folder_found(const char *path) {
    return has_file(path, "features.npy") && has_file(path, "index.csv") && has_file(path, "columns.csv");
}

static bool wrong_column(const SeamTable *t, int32_t row, int32_t columns, const char *cell, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: line %d: column is \"%s\", must be one of 0 to %d that no other line names", t->path, t->line[row], cell,
                columns - 1);
    return false;
}

// modality_of [columns]: the model's modality that reads each column; -1: none does.
static bool assign_columns(const SeamConfig *config, const SeamTable *t, int32_t columns, int32_t *modality_of, GError **error) {
    int32_t column = seam_table_column(t, "column"), modality = seam_table_column(t, "modality");
    if (column < 0 || modality < 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no column \"%s\"; the header must name it", t->path, column < 0 ? "column" : "modality");
        return false;
    }
    g_autofree bool *named = g_new0(bool, columns + 1);
    for (int32_t c = 0; c < columns; c++)
        modality_of[c] = -1;
    for (int32_t r = 0; r < t->rows; r++) {
        double number;
        if (!seam_table_number(t, r, column, &number) || !(number >= 0 && number < columns) || number != (int32_t)number || named[(int32_t)number])
            return wrong_column(t, r, columns, seam_table_cell(t, r, column), error);
        int32_t m = seam_config_modality(config, seam_table_cell(t, r, modality));
        named[(int32_t)number] = true;
        modality_of[(int32_t)number] = m >= 0 && config->modality[m].front == SEAM_FRONT_FEATURES ? m : -1;
    }
    return true;
}

static bool gather_columns(SeamFeatureFolder *f, const SeamConfig *config, const char *path, const int32_t *modality_of, GError **error) {
    bool any = false;
    for (int32_t m = 0; m < config->n_modalities; m++) {
        int32_t n = 0, channels = config->modality[m].channels;
        int32_t *column = g_new(int32_t, f->matrix.columns + 1);
        for (int32_t c = 0; c < f->matrix.columns; c++)
            if (modality_of[c] == m)
                column[n++] = c;
        if (n > 0)
            f->column[m] = column;
        else
            g_free(column);
        any = any || n > 0;
        if (n > 0 && n != channels) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: %d columns of \"%s\", the model reads %d; take the table that the model was made for", path, n,
                        config->modality[m].name, channels);
            return false;
        }
    }
    if (!any)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: holds features of no modality of the model; take a model with \"front\": \"features\"", path);
    return any;
}

SeamFeatureFolder *seam_feature_folder_open(const SeamConfig *config, const char *path, GError **error) {
    g_autofree char *values = g_build_filename(path, "features.npy", NULL), *names = g_build_filename(path, "columns.csv", NULL);
    SeamFeatureFolder *f = g_new0(SeamFeatureFolder, 1);
    SeamTable *t = seam_numpy_read(values, &f->matrix, error) ? seam_table_read(names, error) : NULL;
    g_autofree int32_t *modality_of = g_new0(int32_t, f->matrix.columns + 1);
    bool ok = t && assign_columns(config, t, f->matrix.columns, modality_of, error) && gather_columns(f, config, names, modality_of, error);
    seam_table_free(t);
    if (!ok)
        g_clear_pointer(&f, seam_feature_folder_free);
    return f;
}

void seam_feature_folder_free(SeamFeatureFolder *folder) {
    if (!folder)
        return;
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        g_free(folder->column[m]);
    seam_matrix_clear(&folder->matrix);
    g_free(folder);
}

void seam_feature_folder_take(const SeamFeatureFolder *folder, const SeamConfig *config, int32_t row, SeamRecord *record) {
    const float *x = folder->matrix.x + (size_t)row * folder->matrix.columns;
    record->duration = record->arc_end = config->window;
    for (int32_t m = 0; m < config->n_modalities; m++) {
        SeamStream *s = &record->stream[m];
        if (!folder->column[m])
            continue;
        s->samples = 1;
        s->x = g_new(float, config->modality[m].channels);
        for (int32_t c = 0; c < config->modality[m].channels; c++)
            s->x[c] = x[folder->column[m][c]];
    }
}
