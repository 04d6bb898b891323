// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Data folders as they come: recordings of a sensor and tables of features, made on the fly; real ones where SEAM_DATA names them. Sound comes from a decoder
// made for the test.
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/train/dataset.h"
#include "core/train/numpy.h"
#include "core/train/signals.h"
#include "tests/remove.h"

enum { SENSOR, RATE = 10, WINDOW = 2 };

static char *folder;

static char *put(const char *name, const void *bytes, gssize size) {
    char *path = g_build_filename(folder, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0777), ==, 0);
    g_assert_true(g_file_set_contents(path, bytes, size, NULL));
    return path;
}

static void text(const char *name, const char *content) {
    g_free(put(name, content, -1));
}

// Two channels at 20 Hz for 3 s: the sample's number, and 1000 less it.
static bool decode(const char *path, SeamSamples *out, GError **error) {
    *out = (SeamSamples){.frames = 60, .rate = 20, .channels = 2, .x = g_new(float, 120)};
    for (int32_t i = 0; i < 60; i++) {
        out->x[2 * i] = (float)i;
        out->x[2 * i + 1] = (float)(1000 - i);
    }
    return true;
}

static const SeamMedia media = {.sound = decode};

static SeamConfig sensor_config(void) {
    SeamConfig c = {.window = WINDOW, .n_modalities = 1, .n_classes = 2, .class_name = {"good", "bad"}};
    c.modality[SENSOR] = (SeamModality){.name = "vibration", .front = SEAM_FRONT_SENSOR, .channels = 2,
                                        .sensor = {.rate = RATE, .patch = 10, .time_bins = 2, .arc_channel = -1, .column = {3, 2}}};
    return c;
}

static SeamDataset *read_with(const SeamConfig *config, const char *name, const SeamGrouping *grouping, GError **error) {
    g_autofree char *path = g_build_filename(folder, name, NULL);
    SeamDatasetOptions options = {.read = {.media = &media}, .grouping = grouping ? *grouping : (SeamGrouping){0}};
    return seam_dataset_read(config, path, &options, error);
}

// ---- recordings ----------------------------------------------------------------------------------------------------------------

static void test_rows(void) {
    SeamConfig config = sensor_config();
    GError *error = NULL;
    text("rows/manifest.csv", "file,label,day\nbad/a.txt,Bad,2011-03-30\ngood/b.txt,normal,2011-03-31\n");
    text("rows/bad/a.txt", "0|1|10|x\n0.1|2|20\n0.2|3\n\n0.3| 4 |40|9\n");
    text("rows/good/b.txt", "time\tfirst\tsecond\n0\t5\t6\n1\t7\t8\n");
    SeamDataset *d = read_with(&config, "rows", &(SeamGrouping){.column = "day"}, &error);
    g_assert_no_error(error);
    g_assert_cmpint(d->kind, ==, SEAM_DATA_SIGNALS);
    g_assert_cmpint(d->n, ==, 2);
    const SeamRecord *a = &d->record[0], *b = &d->record[1];
    const float want[] = {10, 1, 20, 2, NAN, 3, 40, 4};
    for (int32_t i = 0; i < 8; i++)
        g_assert_true(isnan(want[i]) ? isnan(a->stream[SENSOR].x[i]) : a->stream[SENSOR].x[i] == want[i]);
    g_assert_cmpint(a->notes->len, ==, 1);
    g_assert_nonnull(strstr(a->notes->pdata[0], "line 3"));
    g_assert_cmpint(a->class_index, ==, 1);
    g_assert_true(a->defect);
    g_assert_cmpfloat_with_epsilon(a->duration, 0.4, 1e-9);
    g_assert_cmpstr(a->group, ==, "2011-03-30");
    g_assert_cmpstr(seam_record_field(a, "file"), ==, "bad/a.txt");
    g_assert_cmpint(b->class_index, ==, 0);
    g_assert_cmpfloat(b->stream[SENSOR].x[0], ==, 6);
    g_assert_cmpfloat(b->stream[SENSOR].x[3], ==, 7);
    seam_dataset_free(d);
}

// Folders are classes; groups come from the names; blanks part the numbers; without "columns" the first ones are read.
static void test_class_folders(void) {
    SeamConfig config = sensor_config();
    GError *error = NULL;
    memset(config.modality[SENSOR].sensor.column, 0, sizeof config.modality[SENSOR].sensor.column);
    text("classes/bad/lot7_1.txt", "1 2\n3   4\n");
    text("classes/bad/lot8_1.txt", "5;6\n");
    text("classes/good/lot7_2.txt", "7,8\n");
    text("classes/good/readme.md", "not a recording");
    SeamDataset *d = read_with(&config, "classes", &(SeamGrouping){.pattern = "^(lot[0-9]+)_"}, &error);
    g_assert_no_error(error);
    g_assert_cmpint(d->n, ==, 3);
    g_assert_cmpstr(d->record[0].name, ==, "bad/lot7_1.txt");
    g_assert_cmpstr(d->record[0].group, ==, "lot7");
    g_assert_cmpstr(d->record[2].group, ==, "lot7");
    g_assert_cmpint(d->record[2].class_index, ==, 0);
    g_assert_cmpfloat(d->record[0].stream[SENSOR].x[3], ==, 4);
    seam_dataset_free(d);
}

// A channel that the file lacks is missing; what is there comes at the model's rate.
static void test_sound(void) {
    SeamConfig config = sensor_config();
    GError *error = NULL;
    text("sound/manifest.csv", "file,label\n1.flac,bad\n");
    SeamDataset *d = read_with(&config, "sound", NULL, &error);
    g_assert_no_error(error);
    const SeamStream *s = &d->record[0].stream[SENSOR];
    g_assert_cmpint(s->samples, ==, 2 * WINDOW * RATE);
    g_assert_true(isnan(s->x[0])); // column 3 of 2
    g_assert_cmpfloat_with_epsilon(s->x[2 * 5 + 1], 990, 1);
    g_assert_cmpfloat_with_epsilon(d->record[0].arc_end, 3, 1e-9);
    g_assert_cmpint(d->record[0].notes->len, ==, 1);
    seam_dataset_free(d);
}

static void test_first_windows(void) {
    SeamConfig config = sensor_config();
    g_autoptr(GString) rows = g_string_new(NULL);
    GError *error = NULL;
    for (int32_t i = 0; i < 75; i++)
        g_string_append_printf(rows, "%d;%d;%d\n", i, i, i);
    text("long/bad/a.txt", rows->str);
    config.windows = 1;
    SeamDataset *d = read_with(&config, "long", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(d->record[0].arc_end, ==, WINDOW);
    g_assert_cmpint(d->record[0].stream[SENSOR].samples, ==, WINDOW * RATE);
    g_assert_cmpfloat_with_epsilon(d->record[0].duration, 7.5, 1e-9);
    seam_dataset_free(d);
}

static void test_bad_recordings(void) {
    static const struct {
        const char *manifest, *rows, *message;
    } cases[] = {
        {"file,label\n../a.txt,bad\n", "1|2|3\n", "below the manifest"},
        {"file,label\n/etc/a.txt,bad\n", "1|2|3\n", "below the manifest"},
        {"file,label\nb//a.txt,bad\n", "1|2|3\n", "below the manifest"},
        {"file,label\nb.txt,bad\n", "1|2|3\n", "b.txt"},
        {"file,label\na.txt,bad\n", "one|two|three\n", "no rows of numbers"},
        {"file,label\na.txt,bad\n", "1\n2\n", "no rows of numbers"},
        {"file,label\na.txt,bad\n", "", "no rows of numbers"},
        {"file,label\n", "1|2|3\n", "manifest"},
    };
    SeamConfig config = sensor_config();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        text("wrong/manifest.csv", cases[i].manifest);
        text("wrong/a.txt", cases[i].rows);
        g_assert_null(read_with(&config, "wrong", NULL, &error));
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
    g_autoptr(GError) error = NULL;
    config.n_modalities = 0;
    g_assert_null(read_with(&config, "rows", NULL, &error));
    g_assert_nonnull(strstr(error->message, "no sensor modality"));
}

// ---- features ------------------------------------------------------------------------------------------------------------------

static char *numpy(const char *name, int version, const char *header, const void *values, size_t size) {
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    size_t length = strlen(header);
    uint8_t head[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0, (uint8_t)length, (uint8_t)(length >> 8)};
    g_byte_array_append(bytes, head, version == 1 ? 10 : 12);
    g_byte_array_append(bytes, (const uint8_t *)header, (guint)length);
    g_byte_array_append(bytes, values, (guint)size);
    return put(name, bytes->data, bytes->len);
}

static void test_numpy(void) {
    const float single[] = {1, 2, 3, INFINITY, 5, NAN};
    const double wide[] = {1, 2, 3, 1e300, 5, NAN};
    for (int version = 1; version <= 3; version++) {
        GError *error = NULL;
        SeamMatrix m;
        bool is_wide = version == 2;
        g_autofree char *path = numpy("a.npy", version, is_wide ? "{\"shape\": (2,3), 'fortran_order':False,'descr': '<f8'} \n"
                                                                : "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
                                      is_wide ? (const void *)wide : single, is_wide ? sizeof wide : sizeof single);
        g_assert_true(seam_numpy_read(path, &m, &error));
        g_assert_no_error(error);
        g_assert_cmpint(m.rows, ==, 2);
        g_assert_cmpint(m.columns, ==, 3);
        g_assert_cmpfloat(m.x[4], ==, 5);
        g_assert_true(isnan(m.x[3]) && isnan(m.x[5]));
        seam_matrix_clear(&m);
    }
}

static void test_bad_numpy(void) {
    static const struct {
        int version;
        const char *header, *message;
    } cases[] = {
        {4, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "version"},
        {1, "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", "\">f4\""},
        {1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", "Fortran"},
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", "1 dimensions"},
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }", "not those of 2 rows of 4"},
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", "not those of 2 rows of 2"},
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 3), }", "header"},
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }", "header"},
        {1, "{'descr': '<f4', 'descr': '<f4', 'shape': (2, 3), }", "header"},
        {1, "{'descr': '<f4', 'fortran_order': False}", "header"},
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}", "header"},
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x", "header"},
        {1, "{'descr': '<f4", "header"},
        {1, "", "header"},
    };
    const float values[6] = {0};
    SeamMatrix m;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = numpy("bad.npy", cases[i].version, cases[i].header, values, sizeof values);
        g_assert_false(seam_numpy_read(path, &m, &error));
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
    for (gssize size = 0; size < 12; size++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = put("short.npy", "\x93NUMPY\1\0\xff\xff{}", size);
        g_assert_false(seam_numpy_read(path, &m, &error));
    }
}

static SeamConfig feature_config(void) {
    SeamConfig c = {.window = WINDOW, .n_modalities = 2, .n_classes = 2, .class_name = {"good", "bad"}};
    c.modality[0] = (SeamModality){.name = "audio", .front = SEAM_FRONT_FEATURES, .channels = 2, .features = {.tokens = 1}};
    c.modality[1] = (SeamModality){.name = "sensor", .front = SEAM_FRONT_FEATURES, .channels = 1, .features = {.tokens = 1}};
    return c;
}

static const char columns[] = "column,modality,name\n0,audio,a\n1,sensor,b\n2,audio,c\n3,picture,d\n";

static void make_table(void) {
    const float values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    g_free(numpy("table/features.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", values, sizeof values));
    text("table/columns.csv", columns);
    text("table/index.csv", "row,run,group,label,set_current_a\n2,z,plate 1,bad,170\n0,y,plate 2,good_weld,150\n");
}

static void test_features(void) {
    SeamConfig config = feature_config();
    GError *error = NULL;
    make_table();
    SeamDataset *d = read_with(&config, "table", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(d->kind, ==, SEAM_DATA_FEATURES);
    g_assert_cmpint(d->n, ==, 2);
    const SeamRecord *z = &d->record[0];
    g_assert_cmpstr(z->name, ==, "z");
    g_assert_cmpstr(z->group, ==, "plate 1");
    g_assert_cmpint(z->class_index, ==, 1);
    g_assert_cmpint(d->record[1].class_index, ==, 0);
    g_assert_cmpint(z->stream[0].samples, ==, 1);
    g_assert_cmpfloat(z->stream[0].x[0], ==, 9);
    g_assert_cmpfloat(z->stream[0].x[1], ==, 11);
    g_assert_cmpfloat(z->stream[1].x[0], ==, 10);
    g_assert_cmpfloat(z->arc_end, ==, WINDOW);
    g_assert_cmpstr(seam_record_field(z, "set_current_a"), ==, "170"); // for splits; no stream holds it
    seam_dataset_free(d);
}

static void test_bad_features(void) {
    static const struct {
        const char *file, *content, *message;
    } cases[] = {
        {"table/columns.csv", "column,modality\n0,audio\n1,audio\n2,audio\n3,sensor\n", "3 columns of \"audio\", the model reads 2"},
        {"table/columns.csv", "column,modality\n0,audio\n0,audio\n", "line 3"},
        {"table/columns.csv", "column,modality\n4,audio\n", "must be one of 0 to 3"},
        {"table/columns.csv", "column,modality\n1.5,audio\n", "line 2"},
        {"table/columns.csv", "column,kind\n0,audio\n", "no column \"modality\""},
        {"table/columns.csv", "column,modality\n0,smell\n", "no modality of the model"},
        {"table/index.csv", "row,label\n3,bad\n", "must be 0 to 2"},
        {"table/index.csv", "row,label\n-1,bad\n", "must be 0 to 2"},
        {"table/index.csv", "run,label\na,bad\n", "no column \"row\""},
        {"table/features.npy", "no", "not a NumPy file"},
    };
    SeamConfig config = feature_config();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        make_table();
        text(cases[i].file, cases[i].content);
        g_assert_null(read_with(&config, "table", NULL, &error));
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
}

// ---- real folders --------------------------------------------------------------------------------------------------------------

static void test_real(void) {
    g_autofree char *data = g_getenv("SEAM_DATA") ? g_build_filename(g_getenv("SEAM_DATA"), "flash-weld", NULL) : NULL;
    if (!data || !g_file_test(data, G_FILE_TEST_IS_DIR)) {
        g_test_skip("SEAM_DATA does not name the real welds");
        return;
    }
    SeamConfig config = sensor_config();
    SeamDatasetOptions options = {.grouping = {.column = "day"}};
    GError *error = NULL;
    SeamDataset *d = seam_dataset_read(&config, data, &options, &error);
    g_assert_no_error(error);
    int32_t bad = 0;
    for (int32_t i = 0; i < d->n; i++) {
        bad += d->record[i].defect;
        g_assert_cmpint(lrint(d->record[i].duration * RATE), ==, atoi(seam_record_field(&d->record[i], "rows")));
    }
    g_assert_cmpint(bad, ==, 32);
    g_assert_true(d->own_classes);
    seam_dataset_free(d);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("seam-folders-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_test_add_func("/folders/rows", test_rows);
    g_test_add_func("/folders/class-folders", test_class_folders);
    g_test_add_func("/folders/sound", test_sound);
    g_test_add_func("/folders/first-windows", test_first_windows);
    g_test_add_func("/folders/bad-recordings", test_bad_recordings);
    g_test_add_func("/folders/numpy", test_numpy);
    g_test_add_func("/folders/bad-numpy", test_bad_numpy);
    g_test_add_func("/folders/features", test_features);
    g_test_add_func("/folders/bad-features", test_bad_features);
    g_test_add_func("/folders/real", test_real);
    int status = g_test_run();
    remove_tree(folder);
    g_free(folder);
    return status;
}
