// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Losses and their gradients at the logits. Stateless.
#pragma once

#include "core/layers/localise.h"
#include "core/train/batch.h"

// Cross-entropy with label smoothing, weighted by class. logits, dlogits [n, classes]; windows with label < 0 do not count. dlogits = scale * gradient.
// Returns the mean loss; *correct (may be NULL): how many had their label on top; *counted: how many had a label.
double seam_loss_classify(int32_t n, int32_t classes, const float *logits, const int32_t *label, const double *class_weight, double smoothing,
                          double scale, float *dlogits, int32_t *correct, int32_t *counted);

// What a picture of `out` truly shows; NULL when the batch does not hold it.
const SeamPictureTruth *seam_loss_truth(const SeamLocaliseOut *out, int32_t picture, const SeamBatch *batch);

// Binary cross-entropy of each cell and defect class against the boxes. dlogits [out->size] = scale * gradient; pictures whose truth is not known
// do not count. Returns the loss.
double seam_loss_localise(const SeamLocaliseOut *out, int32_t defects, const SeamBatch *batch, double positive, double scale, float *dlogits);
