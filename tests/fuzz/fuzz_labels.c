// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as the boxes of one picture, once as YOLO lines and once as Pascal VOC. What is accepted are finite boxes of known classes.
#include <math.h>
#include <string.h>

#include "core/train/image_folder.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

static void make_folders(void) {
    static const char *const names[] = {"images", "labels", "annotations"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(fuzz_folder(), names[i], NULL);
        g_mkdir(path, 0777);
    }
    g_free(fuzz_file("images/a.jpg", (const uint8_t *)"", 0));
}

static void check(const SeamImageFolder *folder) {
    for (guint f = 0; f < folder->files->len; f++) {
        const SeamImageFile *file = folder->files->pdata[f];
        g_assert_nonnull(file->label);
        for (guint b = 0; b < file->box->len; b++) {
            const SeamBox *box = &g_array_index(file->box, SeamBox, b);
            g_assert_true(isfinite(box->x) && isfinite(box->y) && isfinite(box->w) && isfinite(box->h));
            g_assert_true(box->class_index >= 0 && box->class_index < (int32_t)folder->names->len);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    make_folders();
    g_free(fuzz_file("labels/a.txt", data, size));
    g_free(fuzz_file("annotations/a.xml", data, size));
    for (SeamDataKind kind = SEAM_DATA_YOLO; kind <= SEAM_DATA_VOC; kind++) {
        g_autoptr(GError) error = NULL;
        SeamImageFolder *folder = seam_image_folder_read(fuzz_folder(), kind, NULL, NULL, &error);
        if (folder)
            check(folder);
        else
            g_assert_nonnull(error);
        if (folder)
            seam_image_folder_free(folder);
    }
    return 0;
}

static const char yolo[] = "0 0.5 0.5 0.25 0.25\n2 0.1 0.9 0.2 0.1\n";
static const char voc[] = "<annotation><size><width>200</width><height>100</height></size><object><name>crazing</name><bndbox><xmin>1</xmin><ymin>2</ymin>"
                          "<xmax>90</xmax><ymax>80</ymax></bndbox></object><object><name>good</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax>"
                          "<ymax>7</ymax></bndbox></object></annotation>";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{yolo, sizeof yolo - 1}, {voc, sizeof voc - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
