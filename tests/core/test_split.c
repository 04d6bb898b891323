// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who is held back and who is dealt out: folds that cover all groups once and evenly, columns, and groups joined by near duplicates. Records are made by hand.
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/random.h"
#include "core/train/near_duplicates.h"
#include "core/train/split.h"

enum { RECORDS = 60, FOLDS = 5, SIZE = 18 };

typedef struct {
    SeamDataset data;
    SeamRecord record[RECORDS];
    SeamPart part[RECORDS];
} Fixture;

// Two records a group; every third group is defective; a column that tells the day, "001" to "004".
static void setup(Fixture *f, gconstpointer unused) {
    f->data = (SeamDataset){.path = (char *)"memory", .n = RECORDS, .record = f->record};
    for (int32_t i = 0; i < RECORDS; i++) {
        SeamRecord *r = &f->record[i];
        g_autofree char *day = g_strdup_printf("00%d", i / 15 + 1);
        r->name = g_strdup_printf("run-%d", i);
        r->group = g_strdup_printf("group-%d", i / 2);
        r->class_index = i / 2 % 3 == 0;
        r->label = g_strdup(r->class_index ? "porosity" : "good");
        r->defect = r->class_index > 0;
        seam_record_add_field(r, "Day", day);
    }
}

static void teardown(Fixture *f, gconstpointer unused) {
    for (int32_t i = 0; i < RECORDS; i++)
        seam_record_clear(&f->record[i]);
}

static int32_t count(const Fixture *f, SeamPart which) {
    int32_t n = 0;
    for (int32_t i = 0; i < RECORDS; i++)
        n += f->part[i] == which;
    return n;
}

static void test_folds(Fixture *f, gconstpointer unused) {
    int32_t times[RECORDS] = {0}, other = 0;
    for (int32_t k = 1; k <= FOLDS; k++) {
        int32_t defects = 0;
        GError *error = NULL;
        memset(f->part, 0, sizeof f->part);
        g_assert_true(seam_split_fold(&f->data, FOLDS, k, 7, f->part, &error));
        g_assert_cmpint(count(f, SEAM_PART_HELD), ==, RECORDS / FOLDS);
        for (int32_t i = 0; i < RECORDS; i++) {
            times[i] += f->part[i] == SEAM_PART_HELD;
            defects += f->part[i] == SEAM_PART_HELD && f->record[i].defect;
            g_assert_cmpint(f->part[i], ==, f->part[i / 2 * 2]); // a group is never torn
        }
        g_assert_cmpint(defects, ==, 4); // of 20, evenly
    }
    for (int32_t i = 0; i < RECORDS; i++)
        g_assert_cmpint(times[i], ==, 1);
    SeamPart first[RECORDS] = {0};
    memset(f->part, 0, sizeof f->part);
    seam_split_fold(&f->data, FOLDS, 1, 7, first, NULL);
    seam_split_fold(&f->data, FOLDS, 1, 8, f->part, NULL);
    for (int32_t i = 0; i < RECORDS; i++)
        other += first[i] != f->part[i];
    g_assert_cmpint(other, >, 0); // another seed, another lot
    g_autoptr(GError) error = NULL;
    g_assert_false(seam_split_fold(&f->data, 31, 1, 7, f->part, &error));
    g_assert_nonnull(strstr(error->message, "folds"));
}

static void test_held_stay_held(Fixture *f, gconstpointer unused) {
    g_assert_true(seam_split_fold(&f->data, FOLDS, 2, 7, f->part, NULL));
    SeamPart before[RECORDS];
    memcpy(before, f->part, sizeof before);
    seam_dataset_split(&f->data, 0.25, 0.25, 7, f->part);
    for (int32_t i = 0; i < RECORDS; i++)
        g_assert_cmpint(f->part[i] == SEAM_PART_HELD, ==, before[i] == SEAM_PART_HELD);
    g_assert_cmpint(count(f, SEAM_PART_TRAIN), ==, 24);
    g_assert_cmpint(count(f, SEAM_PART_VALIDATION), ==, 12);
    g_assert_cmpint(count(f, SEAM_PART_CALIBRATION), ==, 12);
}

static void test_hold(Fixture *f, gconstpointer unused) {
    g_autoptr(GError) error = NULL, all = NULL;
    g_assert_true(seam_split_hold(&f->data, "day", "2", f->part, NULL)); // "002", by number
    for (int32_t i = 0; i < RECORDS; i++)
        g_assert_cmpint(f->part[i] == SEAM_PART_HELD, ==, i / 15 == 1);
    g_assert_cmpint(seam_split_torn(&f->data, f->part), ==, 1); // records 14 and 15
    g_assert_true(seam_split_hold(&f->data, "day", "003", f->part, NULL));
    g_assert_cmpint(count(f, SEAM_PART_HELD), ==, 30);
    g_assert_false(seam_split_hold(&f->data, "day", "9", f->part, &error));
    g_assert_nonnull(strstr(error->message, "\"004\""));
    g_assert_true(seam_split_hold(&f->data, "group", "group-0", f->part, NULL)); // known without a manifest
    g_assert_cmpint(f->part[1], ==, SEAM_PART_HELD);
    g_assert_true(seam_split_hold(&f->data, "day", "001", f->part, NULL));
    g_assert_false(seam_split_hold(&f->data, "day", "004", f->part, &all));
    g_assert_nonnull(strstr(all->message, "nothing is left"));
}

// ---- near duplicates -----------------------------------------------------------------------------------------------------------

// A ramp to the right: every bit is set; to the left none is. One cell out of order changes one or two bits.
static void test_difference_hash(void) {
    uint8_t x[SIZE * SIZE];
    for (int32_t i = 0; i < SIZE * SIZE; i++)
        x[i] = (uint8_t)(10 * (i % SIZE));
    g_assert_cmpuint(seam_difference_hash(x, SIZE, 1, false), ==, UINT64_MAX);
    g_assert_cmpuint(seam_difference_hash(x, SIZE, 1, true), ==, 0);
    for (int32_t y = 0; y < 2; y++)
        for (int32_t c = 0; c < 2; c++)
            x[y * SIZE + c] = 255; // the first cell is the brightest: the first bit goes
    g_assert_cmphex(seam_difference_hash(x, SIZE, 1, false), ==, UINT64_MAX >> 1);
}

// 9 x 9 cells by lot, other ones for each i.
static void picture(SeamRecord *r, int32_t i, bool mirrored, int32_t brighter) {
    uint8_t cell[81];
    SeamRandom random = seam_random(1, (uint64_t)i);
    for (int32_t k = 0; k < 81; k++)
        cell[k] = (uint8_t)(brighter + seam_random_below(&random, 200));
    r->stream[0] = (SeamStream){.pictures = 1, .pixels = g_malloc(SIZE * SIZE)};
    for (int32_t p = 0; p < SIZE * SIZE; p++) {
        int32_t x = mirrored ? SIZE - 1 - p % SIZE : p % SIZE;
        r->stream[0].pixels[p] = cell[p / SIZE / 2 * 9 + x / 2];
    }
}

// Names from a file, whatever its line ends; one that is no record is an error that names it.
static void test_records(Fixture *f, gconstpointer unused) {
    g_autofree char *folder = g_dir_make_tmp("seam-split-XXXXXX", NULL), *path = g_build_filename(folder, "records.txt", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_set_contents(path, "run-3\r\nrun-40\n\nrun-3\n", -1, NULL));
    g_assert_true(seam_split_records(&f->data, path, f->part, &error));
    g_assert_no_error(error);
    g_assert_cmpint(count(f, SEAM_PART_HELD), ==, 2);
    g_assert_true(f->part[3] == SEAM_PART_HELD && f->part[40] == SEAM_PART_HELD);
    g_assert_true(g_file_set_contents(path, "run-3\nrun-400\n", -1, NULL));
    g_assert_false(seam_split_records(&f->data, path, f->part, &error));
    g_assert_nonnull(strstr(error->message, "run-400"));
    g_clear_error(&error);
    g_remove(path);
    g_rmdir(folder);
    g_assert_false(seam_split_records(&f->data, path, f->part, &error));
}

static void test_near_duplicates(Fixture *f, gconstpointer unused) {
    SeamConfig config = {.n_modalities = 1, .modality = {{.front = SEAM_FRONT_IMAGE, .channels = 1, .image = {.size = SIZE}}}};
    f->data.n = 8; // groups 0 0 1 1 2 2 3 3
    for (int32_t i = 0; i < 8; i++)
        picture(&f->record[i], i, false, 0);
    g_free(f->record[4].stream[0].pixels);
    g_free(f->record[7].stream[0].pixels);
    picture(&f->record[4], 1, false, 40); // that of record 1, brighter
    picture(&f->record[7], 2, true, 0);   // that of record 2, mirrored
    g_assert_cmpint(seam_join_near_duplicates(&f->data, &config), ==, 2);
    for (int32_t i = 0; i < 8; i++)
        g_assert_cmpstr(f->record[i].group, ==, i / 2 % 2 ? "group-1" : "group-0");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/split/folds", Fixture, NULL, setup, test_folds, teardown);
    g_test_add("/split/held-stay-held", Fixture, NULL, setup, test_held_stay_held, teardown);
    g_test_add("/split/hold", Fixture, NULL, setup, test_hold, teardown);
    g_test_add("/split/records", Fixture, NULL, setup, test_records, teardown);
    g_test_add_func("/split/difference-hash", test_difference_hash);
    g_test_add("/split/near-duplicates", Fixture, NULL, setup, test_near_duplicates, teardown);
    return g_test_run();
}
