// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Picture folders as lists of files with labels and boxes: one folder a class, YOLO labels, or Pascal VOC boxes. It reads no pixels.
#pragma once

#include "core/train/dataset.h"

typedef struct {
    char *path, *label; // label: "" when nothing is marked, or not known
    GArray *box;        // of SeamBox, class_index into names
    char *mask;         // one folder a class: DIR/masks/ and the file's own name, where there is such a file; else NULL
} SeamImageFile;

typedef struct {
    GPtrArray *files; // of SeamImageFile *, by path
    GPtrArray *names; // of char *: what box classes are called
} SeamImageFolder;

// Paths of the picture files in a folder, by name; empty when there is no such folder. Free it with g_ptr_array_unref.
GPtrArray *seam_image_list(const char *folder);
// The kind of a picture folder; false when it is none.
bool seam_image_folder_kind(const char *path, SeamDataKind *kind);
// Names of YOLO's class numbers: class_names, else those that stand in the folder, else otherwise. Both lists are NULL-terminated, or NULL.
SeamImageFolder *seam_image_folder_read(const char *path, SeamDataKind kind, const char *const *class_names, const char *const *otherwise,
                                        GError **error);
// The mask of a picture of width x height: [height, width], not 0 is defect; g_free it. NULL with an error when it is not a picture of that size.
uint8_t *seam_image_mask_read(const char *path, int32_t width, int32_t height, GError **error);
void seam_image_folder_free(SeamImageFolder *folder);
