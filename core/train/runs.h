// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Recordings in memory: what one weld (or one picture of a picture folder) left behind, at the sizes and rates that the model reads. A record
// owns its streams. Reading is done once; nothing here augments, samples or splits.
#pragma once

#include "core/config.h"
#include "core/tokens.h"
#include "core/train/media.h"

// One modality of one record; which fields count depends on the modality's front end. A stream that is not there has all zero.
typedef struct {
    int32_t pictures;     // image
    int32_t width, height; // of the last one as it came, before it was scaled; pixels
    double *picture_time; // [pictures] seconds, rising
    uint8_t *pixels;      // [pictures, size, size, channels]
    double start;         // sensor: time of the first sample, a multiple of the model's window
    int64_t samples;      // a multiple of the samples of a window
    float *x;             // [samples, channels] at the modality's rate, NaN where nothing is
    int32_t texts;        // text
    SeamTimedText *text;  // [texts], rising times
    int32_t n_levels;     // how bright or loud
    SeamLevel *levels;
} SeamStream;

// What truly happened, and where it shows.
typedef struct {
    double time, duration; // seconds
    int32_t class_index;
    bool has_box;
    SeamBox box;           // relative to the picture
} SeamTruth;

// A cell of the manifest's line.
typedef struct {
    char *name, *value;
} SeamField;

// Lives to failure are read twice: whole, to learn from any stretch of them, and cut short, as they would be met.
typedef enum { SEAM_USE_ALL, SEAM_USE_TRAINING, SEAM_USE_MEASURING } SeamUse;

typedef struct {
    char *name, *group;    // group: what must stay on one side of a split; never NULL
    char *label;           // as the folder says; NULL: not labelled
    int32_t class_index;   // of the label; -1: not labelled, or not a class of the model
    bool defect;           // labelled and not good
    double duration;       // seconds, of the longest stream
    double arc_start, arc_end;
    bool has_remaining;
    double remaining;      // seconds that it lasts after arc_end
    SeamUse use;
    SeamStream stream[SEAM_MAX_MODALITIES];
    bool has_truth;        // truth (may be empty) is known, times and boxes
    bool has_boxes;        // truth holds boxes for the pictures of box_modality; no box then means nothing to see
    int32_t box_modality;
    double picture_offset; // time of an event in the video minus its time in truth, seconds
    int32_t n_truth;
    SeamTruth *truth;
    int64_t bytes, rows;   // of the files that it was read from; samples of the longest sensor stream, before any was left out
    int32_t source_width, source_height; // of its last picture file
    int32_t n_fields;
    SeamField *field;      // [n_fields] all columns of the manifest: for splits and reports, never an input
    uint8_t *mask;         // of a picture of a picture folder: not 0 is defect [height, width] of box_modality's stream; NULL: not known
    GPtrArray *notes;      // of char *: what a user should know about how this was read; may be NULL
} SeamRecord;

typedef struct {
    const SeamMedia *media;
    double video_rate; // pictures a second that are kept; 0: all
    uint32_t only;     // modality bits that are read (levels for the arc are read anyway); 0: all
} SeamReadOptions;

// Reads FOLDER/NAME.csv, .flac, .avi, .srt, images/ and truth. A stream whose file is absent is absent; a run without any is an error.
bool seam_run_read(const SeamConfig *config, const SeamReadOptions *options, const char *folder, const char *name, SeamRecord *record,
                   GError **error);
// Adds pictures of one file each (photographs) at evenly spread times of [start, end].
bool seam_record_add_pictures(SeamRecord *record, const SeamConfig *config, int32_t modality, char *const *path, int32_t n,
                              double start, double end, GError **error);
// Adds samples [n, channels] of a sensor modality that come at `rate` from time 0 on; brought to the model's rate and cut into its windows.
bool seam_record_add_samples(SeamRecord *record, const SeamConfig *config, int32_t modality, double rate, const float *x, int64_t n, GError **error);
void seam_record_clear(SeamRecord *record);
// Modalities of which the record holds anything.
uint32_t seam_record_present(const SeamRecord *record, const SeamConfig *config);

// The class of the stretch [start, start + window): the defect that covers most of it if at least a quarter, else good; without times the
// record's own class. -1 when it is not known.
int32_t seam_record_label(const SeamRecord *record, double start, double window);
// Boxes that show in a picture at `time`; at most `most`. Returns -1 when it is not known what the picture shows.
int32_t seam_record_boxes(const SeamRecord *record, int32_t modality, double time, SeamBox *box, int32_t most);
// Sets class_index and defect from the text of a label. "good_weld" means good; what the model does not know is a defect.
void seam_record_set_label(SeamRecord *record, const SeamConfig *config, const char *label);
void seam_record_add_field(SeamRecord *record, const char *name, const char *value);
// The value of a column, case-insensitive; NULL when there is none. "name", "group" and "label" are known without a manifest too.
const char *seam_record_field(const SeamRecord *record, const char *name);
// Adds the file's size to the record's bytes.
void seam_record_count_file(SeamRecord *record, const char *path);
void seam_record_note(SeamRecord *record, const char *format, ...) G_GNUC_PRINTF(2, 3);
