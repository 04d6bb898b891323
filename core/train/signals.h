// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Recordings of one sensor each: an audio file (vibration, sound) or a text file of rows of numbers. Reads a file into the stream of the model's first sensor
// modality; which of the file's columns or channels are read, the modality says ("columns"). It does not know labels or splits.
#pragma once

#include "core/train/runs.h"

// A file name that ends like a recording: .flac .wav .txt.
bool seam_signal_name(const char *name);
// Folders of a folder that hold recordings become classes: appends to paths and labels (of char *), by name. False when there are none.
bool seam_signal_folders(const char *path, GPtrArray *paths, GPtrArray *labels);
// Fills one stream, duration and arc (the whole recording). Columns that the file lacks, and cells that are no numbers, are missing readings.
bool seam_signal_read(const SeamConfig *config, const SeamReadOptions *options, const char *path, SeamRecord *record, GError **error);
// Rows of numbers, "|", ";", "," or tab between them (blanks, where there is none of these), as [n, channels]; column [channels] from 0. A first line
// without any number is a heading. x is NaN where there is no number; g_free it.
bool seam_signal_rows(const char *path, int32_t channels, const int32_t *column, SeamRecord *record, float **x, int64_t *n, GError **error);
