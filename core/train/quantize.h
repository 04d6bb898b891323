// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Quantisation after training: finds which weights of a model may become I8. Weights are taken in groups ("encoder.0.experts": the tensors of one part of one
// layer). Each group is quantised alone and the model run on the given records, which tells how sensitive the outputs are to it; then all are, and the most
// sensitive ones are taken back one by one until the figures have fallen by no more than what was allowed (Wu 2020, "Integer quantization for deep learning
// inference", sec. 5.2, "partial quantization"). What runs while it measures is what will run: packed weights and quantised activations.
#pragma once

#include "core/train/evaluate.h"

typedef struct {
    SeamModel *model; // with its values, nothing narrowed yet; its tensors get their types and rounded values, and are packed for `kernels`
    const SeamKernels *kernels;
    const SeamCalibration *calibration;
    const SeamDataset *data;
    const SeamPart *part; // the records to measure on: those that are SEAM_PART_HELD
    int32_t frames;
    double loss;          // points by which no figure may fall
    bool bf16;            // what is taken back becomes BF16, not F32
    void (*progress)(void *user, int32_t done, int32_t all); // may be NULL; runs of the model
    void *user;
} SeamQuantizeOptions;

typedef struct {
    char *name;
    int64_t weights;
    double loss, difference; // alone quantised
    bool kept;               // not I8
} SeamQuantizeGroup;

// In points: shares times 100. The root mean square error of remaining lives is in seconds; its points are percents of the longest life that is told.
typedef struct {
    double accuracy, auroc, map50, pixel_auroc, rmse; // NaN: not measured
} SeamQuantizeFigures;

typedef struct {
    int32_t n, records;
    SeamQuantizeGroup *group;          // in the order of the model
    SeamQuantizeFigures before, after;
    double loss;                       // the largest fall of a figure
    double difference;                 // of the outputs: see seam_quantize
    double score_mean, score_most;     // by how much a record's score moves
} SeamQuantized;

// difference: of the logarithms of the classes' probabilities, of the heat maps, of the distances and of the remaining lives, the largest
//   sqrt(sum (a - b)^2 / sum a^2)                   over all windows; a as they were
bool seam_quantize(const SeamQuantizeOptions *options, SeamQuantized *out, GError **error);
void seam_quantized_clear(SeamQuantized *q);
JsonObject *seam_quantized_print(const SeamQuantized *q);
