// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Data folders. Finds out which kind a folder is, reads all of it into records, and splits them by group. A dataset owns its records.
#pragma once

#include "core/train/runs.h"

typedef enum { SEAM_DATA_RUNS, SEAM_DATA_CLASS_FOLDERS, SEAM_DATA_YOLO, SEAM_DATA_VOC } SeamDataKind;
const char *seam_data_kind_name(SeamDataKind kind);

typedef enum { SEAM_PART_TRAIN, SEAM_PART_VALIDATION, SEAM_PART_CALIBRATION } SeamPart;

typedef struct {
    char *path;
    SeamDataKind kind;
    int32_t n;
    SeamRecord *record; // [n]
    bool own_classes;   // all labels are classes of the model
} SeamDataset;

typedef struct {
    SeamReadOptions read;
    const char *group_column;       // of the manifest; NULL: "group"
    const char *exclude_group;      // runs of this group are left out; NULL: none
    const char *const *class_names; // of YOLO numbers, NULL-terminated, or NULL: from classes.txt or data.yaml
    void (*progress)(void *user, int32_t done, int32_t all); // may be NULL
    void (*note)(void *user, const char *text);              // may be NULL; each text once
    void *user;
} SeamDatasetOptions;

SeamDataset *seam_dataset_read(const SeamConfig *config, const char *path, const SeamDatasetOptions *options, GError **error);
void seam_dataset_free(SeamDataset *dataset);

// part [n]: where each record goes. Whole groups are dealt out, class by class as far as groups are pure, by lot of the seed.
void seam_dataset_split(const SeamDataset *dataset, double validation, double calibration, uint64_t seed, SeamPart *part);
