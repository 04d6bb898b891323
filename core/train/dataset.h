// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Data folders. Finds out which kind a folder is and reads all of it into records. A dataset owns its records. Which of them train and which
// measure is dealt out in core/train/split.h.
#pragma once

#include "core/train/runs.h"

typedef enum { SEAM_DATA_RUNS, SEAM_DATA_CLASS_FOLDERS, SEAM_DATA_YOLO, SEAM_DATA_VOC, SEAM_DATA_SIGNALS, SEAM_DATA_FEATURES, SEAM_DATA_CMAPSS } SeamDataKind;
const char *seam_data_kind_name(SeamDataKind kind);

// Held: neither trained on nor validated nor calibrated; for a measure of what the model has had no part in. Unused: for nothing at all.
typedef enum { SEAM_PART_TRAIN, SEAM_PART_VALIDATION, SEAM_PART_CALIBRATION, SEAM_PART_HELD, SEAM_PART_UNUSED, SEAM_PARTS } SeamPart;

typedef struct {
    char *path;
    SeamDataKind kind;
    int32_t n;
    SeamRecord *record; // [n]
    bool own_classes;   // all labels are classes of the model
} SeamDataset;

// What must stay on one side of a split, where the folder does not say it.
typedef struct {
    const char *column;  // of the manifest; NULL: "group"
    const char *pattern; // regular expression on a record's file name; what its first parenthesis matches is the group; NULL: none
    bool near_duplicates; // pictures that are nearly the same are of one group
} SeamGrouping;

typedef struct {
    SeamReadOptions read;
    SeamGrouping grouping;
    bool learn;                     // to train on; where a folder holds other recordings to measure with, they stay unread
    const char *exclude_group;      // runs of this group are left out; NULL: none
    const char *const *class_names; // of YOLO numbers, NULL-terminated, or NULL: from classes.txt or data.yaml
    void (*progress)(void *user, int32_t done, int32_t all); // may be NULL
    void (*note)(void *user, const char *text);              // may be NULL; each text once
    void *user;
} SeamDatasetOptions;

SeamDataset *seam_dataset_read(const SeamConfig *config, const char *path, const SeamDatasetOptions *options, GError **error);
void seam_dataset_free(SeamDataset *dataset);

// Takes what is not good out of the training part: it becomes unused.
void seam_dataset_good_only(const SeamDataset *dataset, SeamPart *part);
