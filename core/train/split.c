// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Dealing out groups. The order is by class and then by lot, so that each part gets its share of every class.
#include "core/train/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/random.h"

enum { SHOWN_VALUES = 12 };

typedef struct {
    const char *name;
    uint64_t lot;
    int32_t size, main_class; // records; the most frequent class in it (0: not known), for an even spread of classes
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

// The groups of all records that are not held.
static GArray *gather_groups(const SeamDataset *d, uint64_t seed, const SeamPart *part) {
    g_autoptr(GHashTable) index = g_hash_table_new(g_str_hash, g_str_equal);
    GArray *groups = g_array_new(FALSE, FALSE, sizeof(Group));
    for (int32_t i = 0; i < d->n; i++) {
        gpointer at;
        if (part[i] == SEAM_PART_HELD)
            continue;
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

// Walks the groups and gives each to the part that is furthest behind its share.
void seam_dataset_split(const SeamDataset *dataset, double validation, double calibration, uint64_t seed, SeamPart *part) {
    g_autoptr(GHashTable) part_of = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GArray) groups = gather_groups(dataset, seed, part);
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
        if (part[i] != SEAM_PART_HELD)
            part[i] = (SeamPart)GPOINTER_TO_INT(g_hash_table_lookup(part_of, dataset->record[i].group));
}

// Each group goes to the fold with the fewest records of its class, then with the fewest of all, then to the first. Returns group -> fold, from 0.
static GHashTable *deal_folds(const GArray *groups, int32_t folds) {
    GHashTable *fold_of = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree int32_t *of_class = g_new0(int32_t, folds), *of_all = g_new0(int32_t, folds);
    for (guint g = 0; g < groups->len; g++) {
        const Group *group = &g_array_index(groups, Group, g);
        int32_t best = 0;
        if (g > 0 && group->main_class != g_array_index(groups, Group, g - 1).main_class)
            memset(of_class, 0, sizeof *of_class * (size_t)folds);
        for (int32_t f = 1; f < folds; f++)
            if (of_class[f] < of_class[best] || (of_class[f] == of_class[best] && of_all[f] < of_all[best]))
                best = f;
        of_class[best] += group->size;
        of_all[best] += group->size;
        g_hash_table_insert(fold_of, (gpointer)group->name, GINT_TO_POINTER(best));
    }
    return fold_of;
}

int32_t seam_split_folds(const SeamDataset *dataset, int32_t folds, uint64_t seed, const SeamPart *part, int32_t *fold) {
    g_autoptr(GArray) groups = gather_groups(dataset, seed, part);
    folds = MIN(folds, (int32_t)groups->len);
    g_autoptr(GHashTable) fold_of = deal_folds(groups, folds);
    for (int32_t i = 0; i < dataset->n; i++)
        fold[i] = part[i] == SEAM_PART_HELD ? -1 : GPOINTER_TO_INT(g_hash_table_lookup(fold_of, dataset->record[i].group));
    return folds;
}

bool seam_split_fold(const SeamDataset *dataset, int32_t folds, int32_t fold, uint64_t seed, SeamPart *part, GError **error) {
    g_autofree int32_t *fold_of = g_new(int32_t, dataset->n + 1);
    int32_t groups = seam_split_folds(dataset, folds, seed, part, fold_of);
    if (groups < folds) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: %d groups cannot be dealt into %d folds; ask for fewer", dataset->path, groups, folds);
        return false;
    }
    for (int32_t i = 0; i < dataset->n; i++)
        if (fold_of[i] == fold - 1)
            part[i] = SEAM_PART_HELD;
    return true;
}

// ---- by column -----------------------------------------------------------------------------------------------------------------

// "007" is "7", for who counts in thousandths of an inch.
static bool same_value(const char *a, const char *b) {
    char *end_a, *end_b;
    double x = g_ascii_strtod(a, &end_a), y = g_ascii_strtod(b, &end_b);
    bool numbers = end_a != a && end_b != b && *end_a == 0 && *end_b == 0;
    return strcmp(a, b) == 0 || (numbers && x == y);
}

static char *known_values(const SeamDataset *d, const char *column) {
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GString) text = g_string_new(NULL);
    for (int32_t i = 0; i < d->n; i++) {
        const char *value = seam_record_field(&d->record[i], column);
        if (value && g_hash_table_add(seen, (gpointer)value) && g_hash_table_size(seen) <= SHOWN_VALUES)
            g_string_append_printf(text, "%s\"%s\"", text->len ? ", " : "", value);
    }
    if (g_hash_table_size(seen) > SHOWN_VALUES)
        g_string_append(text, ", ...");
    return g_strdup(text->len ? text->str : "no record has such a column");
}

bool seam_split_hold(const SeamDataset *dataset, const char *column, const char *value, SeamPart *part, GError **error) {
    int32_t found = 0, left = 0;
    for (int32_t i = 0; i < dataset->n; i++) {
        const char *own = seam_record_field(&dataset->record[i], column);
        bool hit = own && same_value(own, value);
        if (hit)
            part[i] = SEAM_PART_HELD;
        found += hit;
        left += part[i] != SEAM_PART_HELD;
    }
    if (found > 0 && left > 0)
        return true;
    g_autofree char *known = known_values(dataset, column);
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: %s \"%s\" in \"%s\"; its values are: %s", dataset->path,
                found == 0 ? "no record has" : "nothing is left to train on, for all records are held that have", value, column, known);
    return false;
}

bool seam_split_records(const SeamDataset *dataset, const char *path, SeamPart *part, GError **error) {
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, error))
        return false;
    g_auto(GStrv) line = g_strsplit(g_strdelimit(text, "\r", '\n'), "\n", -1);
    g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal), known = g_hash_table_new(g_str_hash, g_str_equal);
    for (char **l = line; *l; l++)
        if (**l)
            g_hash_table_add(wanted, *l);
    for (int32_t i = 0; i < dataset->n; i++) {
        g_hash_table_add(known, dataset->record[i].name);
        if (g_hash_table_contains(wanted, dataset->record[i].name))
            part[i] = SEAM_PART_HELD;
    }
    for (char **l = line; *l; l++)
        if (**l && !g_hash_table_contains(known, *l)) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: \"%s\" is no recording of %s", path, *l, dataset->path);
            return false;
        }
    return true;
}

int32_t seam_split_torn(const SeamDataset *dataset, const SeamPart *part) {
    g_autoptr(GHashTable) sides = g_hash_table_new(g_str_hash, g_str_equal);
    int32_t torn = 0;
    for (int32_t i = 0; i < dataset->n; i++) {
        char *group = dataset->record[i].group;
        int32_t before = GPOINTER_TO_INT(g_hash_table_lookup(sides, group)), now = before | (part[i] == SEAM_PART_HELD ? 2 : 1);
        torn += before != 3 && now == 3;
        g_hash_table_insert(sides, group, GINT_TO_POINTER(now));
    }
    return torn;
}
