// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as the index and as the columns of a table of features, and as a manifest of recordings. What is accepted has a name, a group, and readings
// of the matrix.
#include <math.h>

#include "core/error.h"
#include "core/train/dataset.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

static const char matrix[] = "\x93NUMPY\1\0\x3c\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
static const char columns[] = "column,modality,name\n0,audio,a\n1,audio,b\n", index_rows[] = "row,run,group,label\n1,z,p,bad\n0,y,q,good\n";
static const char manifest[] = "file,label,day\na.txt,bad,2011-03-30\nb/c.txt,good,\n";

static SeamConfig *config(void) {
    static SeamConfig c = {.window = 1, .n_modalities = 2, .n_classes = 2, .class_name = {"good", "bad"}};
    c.modality[0] = (SeamModality){.name = "audio", .front = SEAM_FRONT_FEATURES, .channels = 2, .features = {.tokens = 1}};
    c.modality[1] = (SeamModality){.name = "current", .front = SEAM_FRONT_SENSOR, .channels = 1, .sensor = {.rate = 2, .patch = 1, .time_bins = 1}};
    return &c;
}

// A manifest may name what is no row file; nothing here decodes it.
static bool no_sound(const char *path, SeamSamples *samples, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: is no sound", path);
    return false;
}

static void read_folder(const char *name) {
    g_autofree char *path = g_build_filename(fuzz_folder(), name, NULL);
    g_autoptr(GError) error = NULL;
    static const SeamMedia media = {.sound = no_sound};
    SeamDataset *d = seam_dataset_read(config(), path, &(SeamDatasetOptions){.read.media = &media}, &error);
    g_assert_true((d != NULL) != (error != NULL));
    for (int32_t i = 0; d && i < d->n; i++) {
        const SeamRecord *r = &d->record[i];
        g_assert_true(r->name && r->group && r->arc_end > 0);
        g_assert_true(r->stream[0].samples == 0 || (r->stream[0].x[0] == 0 && r->stream[0].x[1] == 0));
    }
    seam_dataset_free(d);
}

static void put(const char *name, const void *bytes, size_t size) {
    g_free(fuzz_file(name, bytes, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"indexed", "named", "listed", "listed/b"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(fuzz_folder(), names[i], NULL);
        g_mkdir(path, 0777);
    }
    put("indexed/features.npy", matrix, sizeof matrix - 1);
    put("indexed/columns.csv", columns, sizeof columns - 1);
    put("indexed/index.csv", data, size);
    put("named/features.npy", matrix, sizeof matrix - 1);
    put("named/columns.csv", data, size);
    put("named/index.csv", index_rows, sizeof index_rows - 1);
    put("listed/a.txt", "1\n2\n", 4);
    put("listed/b/c.txt", "3\n", 2);
    put("listed/manifest.csv", data, size);
    read_folder("indexed");
    read_folder("named");
    read_folder("listed");
    return 0;
}

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{index_rows, sizeof index_rows - 1}, {columns, sizeof columns - 1}, {manifest, sizeof manifest - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
