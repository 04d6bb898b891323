// SPDX-License-Identifier: LGPL-2.1-or-later
//
// C-MAPSS text (Saxena 2008): runs of engines, one line a cycle, columns unit, cycle, settings, sensors. train_FDn.txt holds whole lives to failure;
// test_FDn.txt engines that were stopped before, and RUL_FDn.txt how many cycles each had left, a line an engine. A cycle is a second of the model's
// time. This file finds and reads them; which engines teach and which measure is the split's business.
#pragma once

#include "core/train/runs.h"

// The rows of one file, unit by unit.
typedef struct {
    int32_t columns, rows, units;
    float *x;           // [rows, columns]; NaN where the file says so
    int32_t *unit;      // [units] their numbers
    int32_t *unit_start; // [units + 1] their first rows
} SeamCmapss;

// A folder that holds train_FDn.txt or test_FDn.txt.
bool seam_cmapss_folder(const char *path);
// Rows of equal length; each unit's rows stand together and its cycles rise by one. Errors name the line.
SeamCmapss *seam_cmapss_read(const char *path, GError **error);
void seam_cmapss_free(SeamCmapss *c);
// One number a line, not negative; *n of them. g_free it.
double *seam_cmapss_read_rul(const char *path, int32_t *n, GError **error);

// The records of a folder. learn: from train_FDn.txt, every engine whole (SEAM_USE_TRAINING) and cut short (SEAM_USE_MEASURING). Else the engines of
// test_FDn.txt, or, where there is none, the cut ones of train_FDn.txt. An engine and its cuts are a group. Cuts depend on the engine's number alone.
bool seam_cmapss_records(const SeamConfig *config, const char *path, bool learn, SeamRecord **records, int32_t *n, GError **error);
