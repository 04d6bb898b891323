// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whether an explanation can be trusted, tested by deletion (Samek 2017; Petsiuk 2018): what the heat map and the contributions point to is removed, and the
// verdict must change more than when as much is removed elsewhere. Where true boxes are known the heat is also measured against them. It judges through an
// evaluator of its own and changes neither model nor data.
#pragma once

#include "core/train/evaluate.h"

// One test over records. Changes are falls of the margin: log odds of the defect that the whole window makes likeliest, against good (in a folder without good records against the likeliest other class); of a model without a classifier
// of the distance from good ones, in its standard deviations.
typedef struct {
    int32_t n;                 // records
    double pointed, elsewhere; // mean change by removing what is pointed to, and as much elsewhere
    double share;              // of the records in which the first is larger
    SeamInterval difference, share_interval; // 95 %, paired, by groups
} SeamDeletionTest;

typedef struct {
    SeamDeletionTest pictures;   // records that are said (without a classifier: known) to be defective: the hottest cells of their worst window's picture are blurred
    SeamDeletionTest modalities; // records with several modalities: the one with the highest contribution is left out
    double cells;                // share of the cells that are removed
    double agreement;            // share of records whose highest contribution is also what changes the margin most when left out
    int32_t with_boxes;          // pictures with true boxes
    double heat_in_boxes, area_of_boxes, pointing; // mean share of heat, of area; share of pictures whose hottest cell lies in a box (Zhang 2018)
} SeamDeletion;

bool seam_deletion(const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, SeamDeletion *out, GError **error);
JsonObject *seam_deletion_print(const SeamDeletion *d);
