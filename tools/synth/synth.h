// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The synthetic weld generator: the public contract of this room. It writes run folders in the
// layout of the real sets (docs/data.md) with sensors, sound, video, photographs, text and truth.
// It owns nothing after it returns and never reads real data.
//
// One deliberate difference from the real robot set: there the settings are the label. Here every
// group ("plate set": 4 to 8 runs that share settings, camera pose, plate and background sound)
// holds good and defective runs alike, so a model cannot learn the label from the settings.
//
// A run depends on the seed, its index and the options classes, good_share and duration (and size,
// fps or rate for the stream they belong to), not on the number of runs or jobs.

#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

// The order of the shipped model's classes.
typedef enum {
    SEAM_SYNTH_GOOD,
    SEAM_SYNTH_POROSITY,
    SEAM_SYNTH_BURN_THROUGH,
    SEAM_SYNTH_LACK_OF_FUSION,
    SEAM_SYNTH_EXCESSIVE_CONVEXITY,
    SEAM_SYNTH_OVERLAP,
    SEAM_SYNTH_CRATER_CRACKS,
    SEAM_SYNTH_GAS_LOSS,
    SEAM_SYNTH_SPATTER,
    SEAM_SYNTH_N_CLASSES
} SeamSynthClass;

enum {
    SEAM_SYNTH_SENSORS = 1 << 0,
    SEAM_SYNTH_SOUND = 1 << 1,
    SEAM_SYNTH_VIDEO = 1 << 2,
    SEAM_SYNTH_PHOTO = 1 << 3,
    SEAM_SYNTH_TEXT = 1 << 4,
    SEAM_SYNTH_ALL_STREAMS = (1 << 5) - 1,
    SEAM_SYNTH_ALL_CLASSES = (1 << SEAM_SYNTH_N_CLASSES) - 1
};

typedef struct {
    const char *out;      // folder to make; must not hold a manifest.csv yet
    unsigned count;       // runs, 1 to 100000
    uint64_t seed;
    unsigned classes;     // bits 1 << SeamSynthClass; without good every run has a defect
    double good_share;    // 0 to 1, kept inside each group to within one run
    int width, height;    // video frame, 64 to 2048, even
    int fps;              // 1 to 120
    double duration_min;  // seconds of weld, 3 to 60
    double duration_max;
    int rate;             // sound, 8000 to 48000 Hz
    unsigned streams;     // bits SEAM_SYNTH_SENSORS ...
    unsigned jobs;        // runs made at a time, 1 to 64
} SeamSynthOptions;

// Called in the calling thread after each finished run.
typedef void (*SeamSynthProgress)(unsigned done, unsigned total, void *data);

void seam_synth_options_init(SeamSynthOptions *options);

// Names the first field that is out of range.
bool seam_synth_options_check(const SeamSynthOptions *options, GError **error);

// Writes DIR/synth-0001 ... and DIR/manifest.csv, the manifest last, so that a folder with one is
// whole. GStreamer must be initialised. `progress` may be NULL.
bool seam_synth_write(const SeamSynthOptions *options, SeamSynthProgress progress, void *data,
                      GError **error);

const char *seam_synth_class_name(SeamSynthClass kind);
const char *seam_synth_stream_name(unsigned stream);

G_END_DECLS
