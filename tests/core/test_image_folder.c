// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Picture folders: what numbers are called, and what a picture's label is. Pictures are not opened, so that empty files do.
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/train/image_folder.h"
#include "tests/remove.h"

typedef struct {
    char *path;
} Fixture;

static void setup(Fixture *f, gconstpointer data) {
    GError *error = NULL;
    f->path = g_dir_make_tmp("seam-folder-XXXXXX", &error);
    g_assert_no_error(error);
}

static void teardown(Fixture *f, gconstpointer data) {
    remove_tree(f->path);
    g_free(f->path);
}

static void put(const Fixture *f, const char *name, const char *text) {
    g_autofree char *path = g_build_filename(f->path, name, NULL), *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static SeamImageFolder *read_folder(const Fixture *f, SeamDataKind kind, const char *const *names, const char *const *otherwise) {
    g_autoptr(GError) error = NULL;
    SeamImageFolder *folder = seam_image_folder_read(f->path, kind, names, otherwise, &error);
    g_assert_no_error(error);
    return folder;
}

static const char *label(const SeamImageFolder *folder, guint i) { return ((SeamImageFile *)folder->files->pdata[i])->label; }

// The command's names come before the folder's, and those before the model's; the worst thing in a picture is its label.
static void test_names(Fixture *f, gconstpointer data) {
    static const char *const given[] = {"torn", "good", NULL}, *const own[] = {"bad_weld", "good_weld", "defect", NULL};
    put(f, "images/a.jpg", "");
    put(f, "images/b.jpg", "");
    put(f, "images/c.jpg", "");
    put(f, "labels/a.txt", "1 0.5 0.5 0.9 0.9\n0 0.2 0.2 0.1 0.1\n");
    put(f, "labels/b.txt", "1 0.5 0.5 0.9 0.9\n");
    SeamImageFolder *folder = read_folder(f, SEAM_DATA_YOLO, NULL, own);
    g_assert_cmpstr(label(folder, 0), ==, "bad_weld");
    g_assert_cmpstr(label(folder, 1), ==, "good_weld");
    g_assert_cmpstr(label(folder, 2), ==, ""); // nothing marked: nobody said what it is
    seam_image_folder_free(folder);
    put(f, "classes.txt", "crack\ngood\n");
    folder = read_folder(f, SEAM_DATA_YOLO, NULL, own);
    g_assert_cmpstr(label(folder, 0), ==, "crack");
    seam_image_folder_free(folder);
    folder = read_folder(f, SEAM_DATA_YOLO, given, own);
    g_assert_cmpstr(label(folder, 0), ==, "torn");
    seam_image_folder_free(folder);
}

static char *voc(const char *name, const char *other) {
    return g_strdup_printf("<annotation><size><width>100</width><height>100</height></size>"
                           "<object><name>%s</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
                           "<object><name>%s</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>90</xmax><ymax>90</ymax></bndbox></object></annotation>",
                           name, other);
}

// A class in the file's name says what the picture is of; a name that is no class says nothing, and the largest box does.
static void test_voc_label(Fixture *f, gconstpointer data) {
    g_autofree char *first = voc("scratches", "inclusion"), *second = voc("inclusion", "scratches");
    put(f, "images/scratches_1.jpg", "");
    put(f, "images/picture_2.jpg", "");
    put(f, "images/rolled-in_scale_3.jpg", "");
    put(f, "annotations/scratches_1.xml", first);
    put(f, "annotations/picture_2.xml", second);
    SeamImageFolder *folder = read_folder(f, SEAM_DATA_VOC, NULL, NULL);
    g_assert_cmpstr(label(folder, 0), ==, "scratches"); // picture_2, by its larger box
    g_assert_cmpstr(label(folder, 1), ==, "rolled-in_scale");
    g_assert_cmpstr(label(folder, 2), ==, "scratches"); // scratches_1, though the inclusion is larger
    seam_image_folder_free(folder);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/image-folder/names", Fixture, NULL, setup, test_names, teardown);
    g_test_add("/image-folder/voc-label", Fixture, NULL, setup, test_voc_label, teardown);
    return g_test_run();
}
