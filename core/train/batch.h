// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Batches: some windows of some records, gathered modality by modality as the model's stages want them. A batch owns copies of pictures and samples;
// texts are borrowed from the records. It is filled, used, and emptied again; its memory stays.
#pragma once

#include "core/sensor_window.h"
#include "core/train/augment.h"
#include "core/train/runs.h"

enum { SEAM_BATCH_BOXES = 32 }; // of one picture

typedef struct {
    bool known;        // what the picture shows is known
    int32_t n;
    SeamBox box[SEAM_BATCH_BOXES];
} SeamPictureTruth;

// The inputs of one modality, in the order of their windows.
typedef struct {
    int32_t n;
    GArray *window;    // of int32_t: which window each belongs to
    GArray *time;      // of double: running time, seconds
    GByteArray *pixels;
    GArray *truth;     // of SeamPictureTruth
    GArray *sensor;    // of SeamSensorWindow
    float *x;          // their samples
    GPtrArray *text;   // of const char *, borrowed
    float *next;       // [capacity, channels] levels after each window (core/train/ahead.h), NaN: not known; NULL: nobody forecasts them
    float *wide;       // the samples of one window and of what is forecast
    GArray *hidden;    // of SeamSignalQuery: what was hidden of a sensor (core/train/hide.h), by rising window
    GArray *hidden_level; // of float: what was there
} SeamBatchPart;

typedef struct {
    const SeamConfig *config;
    int32_t windows, capacity;
    double *time;      // [windows] their starts
    int32_t *label;    // [windows] class, -1: not known
    int32_t *stream;   // [windows] which stream each is part of, whose windows stand side by side in their order; -1: it is alone
    double *remaining; // [windows] seconds of life after the window's end, NaN: not known
    SeamBatchPart part[SEAM_MAX_MODALITIES];
    struct SeamExitLesson *exit; // of a training that teaches exit heads (exits.h), borrowed; else NULL
} SeamBatch;

SeamBatch *seam_batch_new(const SeamConfig *config, int32_t capacity, GError **error);
void seam_batch_free(SeamBatch *batch);
void seam_batch_reset(SeamBatch *batch);
// The class of the window that begins at `start` and holds the modalities `present`. What a photograph or an alarm that comes alone says, it says of the
// whole weld. -1 when it is not known.
int32_t seam_batch_label(const SeamConfig *config, const SeamRecord *record, double start, uint32_t present);
// Adds the window that begins at `start` with the modalities `use`. frames: at most so many pictures of a stream (0: all); evenly chosen, or by lot
// where `random` is given. augment and random: both or neither. Returns the modalities that the window really has.
uint32_t seam_batch_add(SeamBatch *batch, const SeamRecord *record, double start, uint32_t use, int32_t frames, const SeamAugment *augment,
                        SeamRandom *random);
