// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The loss of a localise task whose cells give boxes, and its gradient at the maps. Stateless.
#pragma once

#include "core/layers/localise.h"
#include "core/train/batch.h"

// Which cells of one picture shall give which true box. maps [classes + 4, side, side]; truth [n], class_index the number of a map.
// owner [side^2]: the box, or -1; target [side^2]: the score that the cell shall have, 0 where it owns none.
void seam_boxes_assign(int32_t side, int32_t classes, const float *maps, int32_t n, const SeamBox *truth, int32_t *owner, float *target);

// Of one picture, with the assignment held fixed. The loss is class_scale * (cross-entropy of the scores) + box_scale * (1 - GIoU, weighted by target);
// dmaps [classes + 4, side, side] = its gradient.
double seam_boxes_loss(int32_t side, int32_t classes, const float *maps, const SeamBox *truth, const int32_t *owner, const float *target,
                       double class_scale, double box_scale, float *dmaps);

// Of the whole batch; box: weight of the GIoU part. dlogits [out->size] = scale * gradient; pictures whose truth is not known do not count.
double seam_loss_boxes(const SeamLocaliseOut *out, const SeamLocalise *task, const SeamBatch *batch, double box, double scale, float *dlogits);
