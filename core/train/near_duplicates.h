// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pictures that are nearly the same, as copies with another size, brightness or compression are: they belong on one side of a split. It changes the names of
// groups, and reads pixels that are in memory already.
#pragma once

#include "core/train/dataset.h"

enum { SEAM_NEAR_BITS = 6 }; // of 64 in which the hashes of two near duplicates differ at most

// The difference hash (Krawetz 2013): the picture as 9 x 8 means of brightness, a bit for each of a row's neighbours that is brighter than the one before.
// pixels [size, size, channels]. mirrored: of the picture left to right.
uint64_t seam_difference_hash(const uint8_t *pixels, int32_t size, int32_t channels, bool mirrored);
// Joins the groups of records whose first pictures are near duplicates, mirrored ones too. Returns how many groups there are afterwards.
int32_t seam_join_near_duplicates(SeamDataset *dataset, const SeamConfig *config);
