// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the tests of the elements share: small bundles on disk, token buffers and video frames made to order, the error that an element posted.
// Everything made here is the caller's.
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "core/model.h"
#include "plugins/gstseamresults.h"
#include "plugins/gstseamtokens.h"

// The modalities of every test bundle, in the order of its configuration. Window: 0.5 s. 4 encoder layers, 24 wide.
enum {
    TEST_VIDEO,   // "video": image, grey, 16 px, 17 tokens; arc over 0.5
    TEST_SENSORS, // "sensors": 2 channels (current, voltage) at 100 Hz, stretches of 0.1 s; arc over 20 A
    TEST_SOUND,   // "sound": 1 channel at 1000 Hz, stretches of 0.1 s
    TEST_PHOTO,   // "photo": image, RGB, sparse
    TEST_TEXT,    // "text": sparse, at most 8 words
    TEST_MODALITIES
};
enum { TEST_CLASSIFY, TEST_LOCALISE, TEST_ANOMALY, TEST_TASKS }; // tasks of the same names; classes good, porosity, burn-through
#define TEST_WINDOW 0.5
#define TEST_EFFORT ((SeamEffort){.expert_mass = 0.5f, .exit_margin = 0.75f})
#define TEST_EFFORT_SHIFT 20

typedef enum {
    TEST_BUNDLE_PLAIN = 0,
    TEST_BUNDLE_CALIBRATED = 1, // thresholds for {video, sensors, sound}, {sensors, sound} and {video}
    TEST_BUNDLE_ANOMALY = 2,    // with a memory of good windows for video, sensors and sound
    TEST_BUNDLE_SCAN = 4,       // all layers mix by scan
    TEST_BUNDLE_MIXERS = 8,     // the layers mix by scan, hash, gated and local; fusion has buckets
    TEST_BUNDLE_BANK = 16,      // with a memory bank of four slots
    TEST_BUNDLE_EXITS = 32,     // with an exit head behind layer 1 that is sure of everything
    TEST_BUNDLE_EFFORT = 64,    // calibrated, and with an effort: one expert a token, out at the first exit; its thresholds are TEST_EFFORT_SHIFT lower
    TEST_BUNDLE_GENERATE = 128, // and the tasks "next" (forecast), "say" (text) and "fill" (signal), of the sensors
    TEST_BUNDLE_I8 = 256,       // all weights that may be are quantised
} TestBundleFlags;

// gst_init and g_test_init; fails when the plugin that was built is not found.
void test_init(int *argc, char ***argv);

void test_config(SeamConfig *config); // of the test bundles
// Writes NAME.seam into a new folder; the same seed gives the same fingerprint. Remove it with test_bundle_free.
char *test_bundle_new(uint64_t seed, TestBundleFlags flags);
void test_bundle_free(char *path);
// Writes an adapter file for a task of the bundle, with other values than the bundle's own; g_free the path (in the bundle's folder).
char *test_adapter_new(const char *bundle, int32_t task, uint64_t seed);

SeamModel *test_model(const char *bundle); // its own, packed as the elements have it; seam_model_free it
// Runs one call of a stage: an arena with room for anything small.
typedef struct {
    SeamArena arena;
    SeamRun run;
} TestRun;
void test_run_init(TestRun *run);
void test_run_clear(TestRun *run);

// `seqs` sequences of `n` tokens with values drawn from the seed, `step` seconds apart from running time `time` on; PTS and duration alike.
// `level`: the reading at each sequence's time; NaN: none. Places are spread over `step`.
GstBuffer *test_tokens_new(const SeamConfig *config, SeamStage stage, int32_t modality, int32_t seqs, int32_t n, double time, double step,
                           float level, uint64_t seed);
GstCaps *test_tokens_caps(const SeamModel *model, SeamStage stage, int32_t modality, int32_t layers);

// A frame with a pattern that depends on the seed, in any format that GstVideoInfo can lay out.
GstCaps *test_video_caps(const char *format, int width, int height);
GstBuffer *test_frame_new(const GstCaps *caps, double time, double duration, uint64_t seed);

// A new element with model=bundle (NULL: not set) and a bus of its own; set more properties, then give it to test_harness_of, which starts it (and
// asserts that it does). Where the start is to fail, use gst_element_set_state and test_element_free. `sink`, `src`: pads, NULL where there is none.
GstElement *test_element(const char *factory, const char *bundle);
void test_element_free(GstElement *element);
GstHarness *test_harness_of(GstElement *element, const char *sink, const char *src); // takes the element
GstHarness *test_harness(const char *factory, const char *sink, const char *src, const char *bundle);
// Ends what test_harness began. A message that waits on the bus holds the element, which holds the bus: so the messages go first.
void test_harness_end(GstHarness *h);
// The next error (or warning) on the bus within a second: "domain-quark code message", as "gst-stream-error-quark 5 seamencoder: ..."; NULL: none.
// g_free it.
char *test_error(GstElement *element);
char *test_warning(GstElement *element);
// Asserts that the element has posted an error whose text contains all of the words (NULL-terminated).
void test_assert_error(GstElement *element, ...) G_GNUC_NULL_TERMINATED;
// The next event of the type that came out of the harness, or NULL; others are dropped.
GstEvent *test_pull_event(GstHarness *h, GstEventType type);
