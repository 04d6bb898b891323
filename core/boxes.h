// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Boxes that the cells of a picture give, how far two boxes agree, and which of many stay. Plain functions that own nothing; the layer that
// makes the maps is layers/localise.h, the loss that teaches it train/losses_boxes.h.
#pragma once

#include "core/vision.h"

// From what score on a box is shown to people and to other elements. Lower ones are kept beside them for measures that look at all.
extern const float seam_boxes_shown;

// Intersection over union; 0 when neither has an area, or when a number is NaN.
double seam_boxes_overlap(const SeamBox *a, const SeamBox *b);

// sides: four maps [side, side] one after the other, of the logs of the distances from the cell's centre to the box's left, top, right and
// bottom, in eighths of the picture. The distances themselves:
void seam_boxes_distances(int32_t side, const float *sides, int32_t cell, double distance[4]);
// The box of that cell, not cut at the picture's edges.
SeamBox seam_boxes_of_cell(int32_t side, const float *sides, int32_t cell);

// maps [classes + 4, side, side]: logits of the classes (overwritten with scores), then the sides. factor [classes] or NULL: a class's
// scores are multiplied by it. Keeps at most `most` boxes, highest score first, ties by class and cell, none that overlaps a better one of its
// class by more than 0.45; each is moved to where the overlapping ones of its class agree, and cut at the picture's edges. class_index is the
// map's number. A cell with a NaN gives no box.
int32_t seam_boxes_find(int32_t side, int32_t classes, float *maps, const float *factor, SeamBox *box, int32_t most);
