// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a record says of a stretch of time: its class, and the boxes of a picture. Records are made by hand; reading them from folders is tested with the tools.
#include <glib.h>

#include "core/train/batch.h"
#include "tests/core/small_model.h"

enum { GOOD, FIRST, SECOND };

typedef struct {
    SeamRecord record;
    SeamTruth truth[8];
} Fixture;

// A defective weld: `rows` of 0.2 s from 2 s on, as a defect that moves is told.
static void setup(Fixture *f, gconstpointer rows) {
    f->record = (SeamRecord){.class_index = FIRST, .defect = true, .has_truth = true, .truth = f->truth, .n_truth = GPOINTER_TO_INT(rows)};
    for (int32_t i = 0; i < f->record.n_truth; i++)
        f->truth[i] = (SeamTruth){.time = 2 + 0.2 * i, .duration = 0.2, .class_index = FIRST};
}

static void test_rows_add_up(Fixture *f, gconstpointer data) {
    g_assert_cmpint(seam_record_label(&f->record, 2, 1), ==, FIRST);
    g_assert_cmpint(seam_record_label(&f->record, 1.2, 1), ==, GOOD);  // a fifth of the window
    g_assert_cmpint(seam_record_label(&f->record, 1.26, 1), ==, FIRST); // just over a quarter
    g_assert_cmpint(seam_record_label(&f->record, 4, 1), ==, GOOD);
}

static void test_one_short_row(Fixture *f, gconstpointer data) {
    g_assert_cmpint(seam_record_label(&f->record, 2, 1), ==, GOOD);
    f->truth[0].duration = 0.25;
    g_assert_cmpint(seam_record_label(&f->record, 2, 1), ==, FIRST);
}

static void test_the_longest_names_it(Fixture *f, gconstpointer data) {
    f->truth[0].class_index = SECOND;
    g_assert_cmpint(seam_record_label(&f->record, 2, 1), ==, FIRST);
    for (int32_t i = 0; i < 3; i++)
        f->truth[i].class_index = SECOND;
    g_assert_cmpint(seam_record_label(&f->record, 2, 1), ==, SECOND);
}

static void test_without_truth(Fixture *f, gconstpointer data) {
    f->record.has_truth = false;
    g_assert_cmpint(seam_record_label(&f->record, 9, 1), ==, FIRST);
    f->record.class_index = -1;
    g_assert_cmpint(seam_record_label(&f->record, 9, 1), ==, -1);
}

static void test_boxes_follow_the_clock(Fixture *f, gconstpointer data) {
    SeamBox box[4];
    f->record.has_boxes = true;
    f->record.picture_offset = 0.5; // the video is late
    f->truth[0].has_box = true;
    f->truth[0].box = (SeamBox){0.5f, 0.5f, 0.1f, 0.1f, 1, FIRST};
    g_assert_cmpint(seam_record_boxes(&f->record, 0, 2.1, box, 4), ==, 0);
    g_assert_cmpint(seam_record_boxes(&f->record, 0, 2.6, box, 4), ==, 1);
    g_assert_cmpint(box[0].class_index, ==, FIRST);
    g_assert_cmpint(seam_record_boxes(&f->record, 1, 2.6, box, 4), ==, -1); // nobody marked the other stream's pictures
}

// A photograph that comes alone is of the whole weld, whatever stretch it fell into.
static void test_sparse_alone(void) {
    SeamConfig config = small_config();
    config.modality[TEXT].sparse = true;
    SeamTimedText text = {8.5, "porosity"};
    SeamTruth truth = {.time = 2, .duration = 1, .class_index = FIRST};
    SeamRecord record = {.class_index = FIRST, .defect = true, .has_truth = true, .truth = &truth, .n_truth = 1};
    record.stream[TEXT] = (SeamStream){.texts = 1, .text = &text};
    SeamBatch *batch = seam_batch_new(&config, 1, NULL);
    g_assert_cmpuint(seam_batch_add(batch, &record, 8.5, UINT32_MAX, 0, NULL, NULL), ==, 1u << TEXT);
    g_assert_cmpint(batch->label[0], ==, FIRST);
    config.modality[TEXT].sparse = false;
    seam_batch_reset(batch);
    seam_batch_add(batch, &record, 8.5, UINT32_MAX, 0, NULL, NULL);
    g_assert_cmpint(batch->label[0], ==, GOOD);
    seam_batch_free(batch);
}

static void test_labels(void) {
    static const struct {
        const char *label;
        int32_t class_index;
        bool defect;
    } cases[] = {{"good_weld", 0, false}, {"OK", 0, false}, {"something else", -1, true}, {"", -1, false},
                 {"rolled-in_scale", 1, true}, {"Rolled in Scale", 1, true}};
    SeamConfig config = small_config();
    config.n_classes = 2;
    g_strlcpy(config.class_name[0], "good", SEAM_NAME_LENGTH);
    g_strlcpy(config.class_name[1], "Rolled-in scale", SEAM_NAME_LENGTH);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        SeamRecord record = {0};
        seam_record_set_label(&record, &config, cases[i].label);
        g_assert_cmpint(record.class_index, ==, cases[i].class_index);
        g_assert_cmpint(record.defect, ==, cases[i].defect);
        seam_record_clear(&record);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
#define ADD(name, rows, function) g_test_add("/runs/" name, Fixture, GINT_TO_POINTER(rows), setup, function, NULL)
    ADD("rows-add-up", 5, test_rows_add_up);
    ADD("one-short-row", 1, test_one_short_row);
    ADD("the-longest-names-it", 5, test_the_longest_names_it);
    ADD("without-truth", 0, test_without_truth);
    ADD("boxes-follow-the-clock", 1, test_boxes_follow_the_clock);
    g_test_add_func("/runs/sparse-alone", test_sparse_alone);
    g_test_add_func("/runs/labels", test_labels);
    return g_test_run();
}
