// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a decision says, for one window and for one weld, and its JSON (schema: docs/results-format.md). Plain structs, filled by the
// tasks (window) and by weld.h (verdict); nobody else adds fields to the JSON.
#pragma once

#include "core/config.h"
#include "core/vision.h"

enum { SEAM_MAX_BOXES = 64, SEAM_MAX_HEAT = 64 * 64 };

typedef enum { SEAM_PASS, SEAM_REJECT, SEAM_REFER } SeamDecision;
const char *seam_decision_name(SeamDecision decision); // "pass", "reject", "refer"

// At which effort (core/run.h) the encoders worked, as the thresholds know it: with all of their work, at the effort that was calibrated with the model, or at
// neither of them, so that what was promised of the thresholds is not promised of this result.
typedef enum { SEAM_EFFORT_FULL, SEAM_EFFORT_CALIBRATED, SEAM_EFFORT_OTHER } SeamEffortKind;
const char *seam_effort_name(SeamEffortKind effort); // "full", "calibrated", "other"

#define SEAM_RUL_LEVEL 0.9 // share of lives that the calibrated interval holds

// What a stretch of a channel was that is missing in a window.
typedef struct {
    float t;          // its middle, seconds after the window's start
    uint16_t channel;
    uint8_t modality;
    float level[3];   // its mean: low, median, high, in the channel's unit
} SeamFilled;

// One decision window. Modalities are bits (1 << index) of the configuration's list.
typedef struct {
    double time, duration;        // running time of the window, seconds
    uint32_t present, missing;    // missing: expected (not sparse), but late or absent
    float probability[SEAM_MAX_CLASSES]; // softmax over classes; valid when has_classify
    float score;                  // log odds of a defect: log((1 - p_good) / p_good), cut to [-15, 15]
    float contribution[SEAM_MAX_MODALITIES]; // what each present modality added to the score's margin (defect's best class minus good), logit units
    float anomaly;                // mean over present modalities of anomaly_of; valid when has_anomaly
    float anomaly_of[SEAM_MAX_MODALITIES]; // distance to good welds in standard deviations of held-back good ones
    float expert_use[SEAM_MAX_EXPERTS];    // share of choices, sums to 1 (all 0: not known)
    int32_t heat_w, heat_h;       // 0: no heat map
    int32_t heat_modality;        // of the picture below
    double heat_time;             // running time of the picture that the heat map is of: the one with the highest value in the window
    SeamTaskKind heat_of;         // which kind of task made it
    float heat[SEAM_MAX_HEAT];    // [heat_h, heat_w], 0 .. 1: of localise the highest defect class a cell; of anomaly how far a patch is from good ones; of
                                  // classify what a patch added to the margin, the most as high as a defect is probable
    int32_t n_boxes, n_shown;     // boxes, highest score first; so many of them are worth showing (the others count for average precision)
    SeamBox box[SEAM_MAX_BOXES];  // relative to that picture
    float rul;                    // remaining life after the window's end, seconds: the mean of the distribution, cut at the task's limit; valid when has_rul
    float rul_quantile[2];        // the model's own quantiles (1 -+ SEAM_RUL_LEVEL) / 2: no promise
    float rul_low, rul_high;      // the calibrated interval of them; NAN: not calibrated
    uint32_t forecast_of;         // modality bits that have one
    float forecast[SEAM_MAX_MODALITIES][SEAM_MAX_CHANNELS][3]; // level of each channel in the next window: low, median, high, in the channel's unit
    int32_t n_filled;
    SeamFilled filled[SEAM_MAX_FILLED]; // by task, then time, then channel
    int32_t level;                // of degrading under load (core/deadline.h); 0: nothing was left out for it
    SeamEffortKind effort;
    float said[1 + SEAM_MAX_MODALITIES][SEAM_MAX_SAID]; // what the fused tokens say to the text decoder (core/layers/generate_text.h); valid when has_said
    bool has_classify, has_anomaly, has_rul, has_said, arc_on;
} SeamWindowResult;

// One weld's verdict.
typedef struct {
    int64_t number;               // counts up from 1 in a stream
    char source[256];             // the user's name for the weld or stream; may be ""
    double start, end;            // running time, seconds
    const char *bounds;           // "arc", "event", "file": how its ends were found
    SeamDecision decision;
    const char *reason;           // one short sentence: why this decision
    int32_t class_index;          // most probable class (a defect when rejected; good when passed)
    float confidence;             // its probability, 0 to 1
    float score;                  // what the thresholds are compared with
    bool score_is_anomaly;
    float pass_below, reject_above; // the thresholds used; NAN when none is calibrated for what was present
    float anomaly;                // NAN when not known
    float probability[SEAM_MAX_CLASSES];
    double place_time;            // running time of the worst window's middle, seconds
    float place;                  // the same along the seam, 0 (start) to 1 (end)
    float contribution[SEAM_MAX_MODALITIES]; // mean over windows
    float expert_use[SEAM_MAX_EXPERTS];
    uint32_t present, missing;    // present in at least one window; missing from at least half of them though expected
    int32_t windows;
    int32_t level;                // the highest of its windows
    SeamEffortKind effort;        // of all windows; other where they differ
    double clock_offset[SEAM_MAX_MODALITIES]; // time of an event on this modality minus its time on the reference, seconds; NAN: not measured
    int32_t clock_reference;      // modality index, or -1
    bool has_rul;
    float rul, rul_low, rul_high; // of the last window that has them
    bool has_said;
    float said[1 + SEAM_MAX_MODALITIES][SEAM_MAX_SAID]; // mean over windows
    char finding[SEAM_MAX_FINDING]; // the verdict in words; "": no task writes
    bool finding_plain;           // the plain sentence stands in place of what was written
} SeamVerdict;

// One JSON object, without newline; g_free it. `fingerprint` is the model's.
char *seam_window_result_print(const SeamWindowResult *r, const SeamConfig *config, const char *fingerprint);
char *seam_verdict_print(const SeamVerdict *v, const SeamConfig *config, const char *fingerprint);
