// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which record goes where: groups to parts. It sees names, labels and fields of records only, never their content, and changes nothing in a dataset but
// the names of its groups.
#pragma once

#include "core/train/dataset.h"

// part [n], all functions. Records that are held already are left alone; whole groups of the others are dealt out, class by class as far as
// groups are pure, by lot of the seed.
void seam_dataset_split(const SeamDataset *dataset, double validation, double calibration, uint64_t seed, SeamPart *part);

// Whole groups of the records that are not held, dealt into at most `folds` by lot of the seed, evenly by class. fold [n]: each record's, from 0; -1: it is
// held. Returns how many folds there are: fewer where there are fewer groups.
int32_t seam_split_folds(const SeamDataset *dataset, int32_t folds, uint64_t seed, const SeamPart *part, int32_t *fold);

// The same groups and folds; the records of fold number `fold` (1 .. folds) become held. False with an
// error when there are fewer groups than folds.
bool seam_split_fold(const SeamDataset *dataset, int32_t folds, int32_t fold, uint64_t seed, SeamPart *part, GError **error);

// Records whose field `column` has the value (the same text, or the same number) become held, whatever their group. Several calls add up. No such
// record, or none besides, is an error that names the values there are.
bool seam_split_hold(const SeamDataset *dataset, const char *column, const char *value, SeamPart *part, GError **error);

// The records that a file names, a line each, become held. A line that is no record's name is an error.
bool seam_split_records(const SeamDataset *dataset, const char *path, SeamPart *part, GError **error);

// Groups of which some records are held and some are not: what was asked for by column, and worth saying.
int32_t seam_split_torn(const SeamDataset *dataset, const SeamPart *part);
