// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Inside the synthetic weld generator: what a weld is. plan.c draws it, process.c simulates it,
// signals.c, scene.c and photo.c show it, writer.c stores it. All times are seconds on the
// process clock, whose zero is the first sensor row.

#pragma once

#include "tools/synth/random.h"
#include "tools/synth/synth.h"

#include <stddef.h>

enum {
    SEAM_WELD_STEPS_PER_S = 1000,
    SEAM_WELD_MAX_DEFECTS = 2,
    SEAM_WELD_MAX_NUISANCES = 6,
    SEAM_WELD_PHOTOS = 5
};

typedef enum {
    SEAM_WELD_SMOKE,
    SEAM_WELD_REFLECTION,
    SEAM_WELD_BANG,
    SEAM_WELD_SENSOR_BURST,
    SEAM_WELD_DROPPED_ROW,
    SEAM_WELD_N_NUISANCES
} SeamWeldNuisanceKind;

typedef enum { SEAM_WELD_BEAD_ON_PLATE, SEAM_WELD_BUTT, SEAM_WELD_FILLET } SeamWeldJoint;

// What the runs of one group share.
typedef struct {
    float current, voltage, travel, wire, short_hz;        // A, V, mm/s, mm/s, 1/s
    float spatter;                                         // particles a second
    float gas, gas_overshoot, pressure;                    // l/min, fraction, bar
    float arc_x, arc_y, scale, tilt, direction;            // camera: relative, rad, +1 or -1
    float exposure, noise, black, halo, blur, shutter, pool_tone;
    SeamWeldJoint joint;
    float plate_rgb[3], table_rgb[3], light_rgb[3];
    float plate_scale, scratches, silica, ripple, bead_width, bead_height;  // last three in mm
    float light_azimuth, photo_exposure, photo_noise, photo_distance;
    float plate_length, plate_width;                       // mm
    float sound_level, background, fan_hz, hum, resonance[3];
    unsigned day;
    uint64_t texture;
} SeamWeldGroup;

typedef struct {
    SeamSynthClass kind;
    double start, length;
    float strength;   // 0.25 to 1
    unsigned shows;   // SEAM_SYNTH_SENSORS ...: the streams in which it leaves a trace
    float side;       // +1 or -1: across the seam
} SeamWeldDefect;

typedef struct {
    SeamWeldNuisanceKind kind;
    double start, length;
    float amount;     // 0 to 1
} SeamWeldNuisance;

// The state of the process over one millisecond.
typedef struct {
    float current, voltage;
    float gas, pressure;  // as the instruments see them, with their lag
    float wire;           // consumed so far
    float position;       // mm along the seam from arc-on
    float light;          // of the arc; 0 dark, about 1 burning
    float pool;           // heat content: 0 none, about 1 full size
    float spatter;        // particles a second
    bool arc, shorted;
} SeamWeldStep;

typedef struct {
    uint64_t seed;
    unsigned index, group_index;
    char name[24];
    SeamWeldGroup group;
    SeamSynthClass label;
    double on, off, end;
    double video_offset;  // an event's time in the video minus its time in the sensors
    double sound_offset;  // the same for the sound
    float current, voltage, travel, wire, short_hz;  // the group's, with this run's drift
    float crater_fill;    // seconds of falling current at the end
    unsigned n_defects, n_nuisances;
    SeamWeldDefect defects[SEAM_WELD_MAX_DEFECTS];
    SeamWeldNuisance nuisances[SEAM_WELD_MAX_NUISANCES];
    size_t n_steps;
    SeamWeldStep *steps;
} SeamWeld;

// Purposes of the random streams of a run.
enum {
    SEAM_WELD_RNG_PLAN = 1,
    SEAM_WELD_RNG_PROCESS,
    SEAM_WELD_RNG_SENSORS,
    SEAM_WELD_RNG_SOUND,
    SEAM_WELD_RNG_SCENE,
    SEAM_WELD_RNG_PHOTO,
    SEAM_WELD_RNG_TEXT,
    SEAM_WELD_RNG_GROUP_SIZE,
    SEAM_WELD_RNG_GROUP
};

void seam_weld_plan(const SeamSynthOptions *options, unsigned index, SeamWeld *weld);

// Fills `steps` from the plan; seam_weld_clear frees them. False when memory is short.
bool seam_weld_simulate(SeamWeld *weld);
void seam_weld_clear(SeamWeld *weld);

// The state at a time; the first or last one outside the record.
const SeamWeldStep *seam_weld_at(const SeamWeld *weld, double time);

// Strength, 0 to 1, of a class of defect in one stream at a time, with soft ends.
float seam_weld_defect(const SeamWeld *weld, SeamSynthClass kind, unsigned stream, double time);
float seam_weld_defect_at(const SeamWeldDefect *defect, unsigned stream, double time);
float seam_weld_nuisance(const SeamWeld *weld, SeamWeldNuisanceKind kind, double time);

// Sensors CSV and subtitles as text; NULL from seam_weld_text when there is nothing to say.
GString *seam_weld_sensors(const SeamWeld *weld);
GString *seam_weld_text(const SeamWeld *weld);

// Samples from first to last, [n]; free with g_free. NULL when memory is short.
int16_t *seam_weld_sound(const SeamWeld *weld, int rate, size_t *n);

typedef struct SeamScene SeamScene;

// Frames come in order; frame i is at video time i / fps.
SeamScene *seam_scene_new(const SeamWeld *weld, int width, int height, int fps);
void seam_scene_free(SeamScene *scene);
unsigned seam_scene_frames(const SeamScene *scene);
void seam_scene_next(SeamScene *scene, uint8_t *pixels);

// Centre and size relative to the frame. False when the defect does not show then.
bool seam_scene_box(const SeamScene *scene, const SeamWeldDefect *defect, double time,
                    float box[4]);

typedef struct SeamBead SeamBead;

// The finished bead, photographed from different places. pixels [height, width, 3].
SeamBead *seam_bead_new(const SeamWeld *weld);
void seam_bead_free(SeamBead *bead);
void seam_bead_photograph(const SeamBead *bead, unsigned shot, int width, int height,
                          uint8_t *pixels);

// Everything of one run, and its manifest line.
bool seam_weld_write(const SeamWeld *weld, const SeamSynthOptions *options, GError **error);
void seam_weld_manifest_line(const SeamWeld *weld, const SeamSynthOptions *options, GString *out);
extern const char seam_weld_manifest_header[];
