// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sensor rows of a CSV file, brought to an even clock. It finds the channels' columns by name and the time by Date and Time, time_s, or, when the file
// has no clock, by an assumed rate of rows. What is missing stays NaN. It does not cut windows (core/sensor_window.h).
#pragma once

#include "core/config.h"
#include "core/train/runs.h"

typedef struct {
    double rate;    // samples a second
    int64_t n;      // samples; the first is at time 0, that of the first row
    float *x;       // [n, channels]; g_free it
} SeamSensorRows;

// Notes (assumed clock, cells that are not numbers, columns that are absent) go to the record. Time that runs backwards is an error with file and line.
bool seam_sensor_rows_read(const SeamModality *modality, const char *path, SeamSensorRows *rows, SeamRecord *record, GError **error);
