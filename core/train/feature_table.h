// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The quantiles of feature columns, measured on the training records into a model's tables. It trains nothing.
#pragma once

#include "core/model.h"
#include "core/train/dataset.h"

// For every feature modality with quantiles; rounded to half precision, as the model's file will hold them.
SeamStatus seam_train_measure_quantiles(SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const SeamPart *part);
