// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The configuration of a model: the `config` object of model.json as a plain struct. Nothing about sizes is compiled in but the
// limits below. Every field is validated when it is read, so that the rest of core may trust it.
//
// The JSON has the fields of the structs below by their names, with these differences:
//   "mixer"       "local", "global", "hash", "gated", "scan", or an array of them, the last of which also holds for the layers after it
//   "modalities"  [{"name", "front": "image" | "sensor" | "text" | "features", "channels", and the fields of that front end,
//                   "stem": [widths] for stem_layers and stem_width, "blocks": [a number a layer] (may be absent: none),
//                   "normalise": "picture" for normalise_picture, "channel_names": [...] and "columns": [...] (may be absent)}]
//   "classes"     ["good", ...];  "tasks"  [{"name", "kind": "classify" | "localise" | "anomaly" | "rul" | "generate", and the fields of that kind}]
//   "label_names" ["bad", "good", ...] (may be absent)
//   "what"        of generate: "forecast" or "signal", with "modality" for of, or "text"
//   "boxes"       of localise: "components" (also when absent) | "regress"; "by_class", "good_boxes" may be absent (false)
// "windows" (0) may be absent, and so may the options of the architecture: 0 means that the model has none of it. A modality may leave out envelope, delta_rank (0), sparse (false), together (false), arc_on (0), quantiles (0),
// mean and std (0 and 1; pictures 127.5 and 64), and text its channels; a picture modality "normalise", the task anomaly "patches" (0). All else
// must be there, and nothing else may.
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SEAM_MAX_MODALITIES = 8,
    SEAM_MAX_CHANNELS = 64,
    SEAM_MAX_FEATURES = 512, // columns of a feature modality
    SEAM_MAX_CLASSES = 64,
    SEAM_MAX_COLUMN = 1024, // of a recording without names
    SEAM_MAX_LAYERS = 64,
    SEAM_MAX_EXPERTS = 256,
    SEAM_MAX_TASKS = 8,
    SEAM_MAX_STEM = 6,
    SEAM_MAX_BLOCKS = 8, // residual blocks after one stem layer
    SEAM_MAX_WINDOWS = 1 << 20, // of a recording that are read
    SEAM_MAX_ORDERS = 64,
    SEAM_NAME_LENGTH = 48, // bytes with the terminating 0
    SEAM_MAX_FINDING = 256, // bytes of a finding in words, with the terminating 0
    SEAM_FINDING_HEADS = 4, // of the attention that writes it
    SEAM_MAX_SAID = 128,    // width of the vectors that it reads
    SEAM_MAX_FILLED = 1024, // stretches of channels in a window that tasks of signals may tell
};

typedef enum { SEAM_FRONT_IMAGE, SEAM_FRONT_SENSOR, SEAM_FRONT_TEXT, SEAM_FRONT_FEATURES } SeamFront;
typedef enum { SEAM_MIXER_GLOBAL, SEAM_MIXER_LOCAL, SEAM_MIXER_HASH, SEAM_MIXER_GATED, SEAM_MIXER_SCAN } SeamMixer;
typedef enum { SEAM_TASK_CLASSIFY, SEAM_TASK_LOCALISE, SEAM_TASK_ANOMALY, SEAM_TASK_RUL, SEAM_TASK_GENERATE } SeamTaskKind;
typedef enum { SEAM_GENERATE_FORECAST, SEAM_GENERATE_TEXT, SEAM_GENERATE_SIGNAL } SeamGenerate;
typedef enum { SEAM_BOXES_COMPONENTS, SEAM_BOXES_REGRESS } SeamBoxKind; // connected parts of the heat map; a box from each cell

// A picture becomes stem_layers convolutions (3x3, stride 2, gelu) and one token a cell of size / 2^stem_layers, after a summary token.
typedef struct {
    int32_t size;                      // the square that pictures are scaled to, pixels; multiple of 2^stem_layers
    int32_t stem_layers;               // 1 .. SEAM_MAX_STEM; the last one's width is config.dim
    int32_t stem_width[SEAM_MAX_STEM]; // channels after each; [stem_layers - 1] == dim
    int32_t blocks[SEAM_MAX_STEM];     // residual blocks after each, 0 .. SEAM_MAX_BLOCKS
    bool normalise_picture;            // each picture by its own level and spread (core/picture_level.h); grey pictures only
} SeamImageConfig;

// Envelope analysis of vibration (core/layers/envelope.c), in place of the time features. JSON: "envelope": {...}, "orders" for order; all or none.
typedef struct {
    float low, high;      // Hz: what is used of the spectrum
    int32_t bands;        // demodulated, evenly spaced from low to high; 0: no envelope
    int32_t shape;        // bands of the spectrum's shape, likewise
    float shaft;          // Hz: nominal speed
    float tolerance;      // share by which a line may lie beside its order
    float background;     // Hz on either side of a line that it is compared with
    int32_t n_orders;
    float order[SEAM_MAX_ORDERS]; // the lines: multiples of the shaft's speed (BPFO, BPFI, BSF, FTF, their harmonics and sidebands)
} SeamEnvelopeConfig;

// A window becomes samples / patch stretches; each channel of each (or all of them `together`) gives a time token (mean and log RMS around it in time_bins bins)
// and, with bands > 0, a frequency token (log power in `bands` bands, averaged over Hann windows of `fft` samples).
typedef struct {
    double rate;       // samples a second that the model sees
    int32_t patch;     // samples a stretch; window * rate is a multiple of it
    int32_t time_bins; // divides patch; 0 with an envelope
    int32_t fft;       // <= patch; 0 when bands is 0
    int32_t bands;     // spaced evenly in log frequency from rate/fft to rate/2
    int32_t arc_channel; // the channel whose level says that the arc burns; -1: RMS over all channels
    char channel_name[SEAM_MAX_CHANNELS][SEAM_NAME_LENGTH]; // as the columns of the CSV are called
    int32_t column[SEAM_MAX_CHANNELS]; // of recordings without names, from 1; 0: the channel's own number
    bool together;     // a token holds a stretch of all channels, not of one
    SeamEnvelopeConfig envelope;
} SeamSensorConfig;

// A text becomes one token a word: the mean of the rows of its hashed byte n-grams (fastText, Bojanowski 2017).
typedef struct {
    int32_t buckets;    // rows of the table
    int32_t ngram_min, ngram_max; // bytes
    int32_t max_tokens; // words of a text that are read at once: of more, chunks where a layer scans, else the newest (core/layers/text_embed.h)
} SeamTextConfig;

// Columns of a feature table, computed by others: one reading of `channels` values a window, cut into `tokens` runs of neighbouring
// columns, as even as whole numbers allow. Each run becomes one token.
typedef struct {
    int32_t tokens;    // 1 .. channels
    int32_t quantiles; // of the training data, by which a value becomes its rank; 0: the value itself
} SeamFeaturesConfig;

typedef struct {
    char name[SEAM_NAME_LENGTH];
    SeamFront front;
    int32_t channels;   // picture planes (1 grey, 3 RGB), sensor channels, columns of features; 0 for text
    int32_t delta_rank; // rank of this modality's own delta on the shared projection; 0: none
    bool sparse;        // comes now and then (photographs, text): its absence in a window is not a fault
    float arc_on;       // the level above which the arc burns (SeamLevel.value); 0: this modality does not say
    float mean[SEAM_MAX_FEATURES], std[SEAM_MAX_FEATURES]; // input normalisation, in the channel's unit (pictures: of 0..255)
    union {
        SeamImageConfig image;
        SeamSensorConfig sensor;
        SeamTextConfig text;
        SeamFeaturesConfig features;
    };
} SeamModality;

typedef struct {
    char name[SEAM_NAME_LENGTH]; // adapters/NAME.safetensors
    SeamTaskKind kind;
    int32_t rank;    // of the task's adapter on the fused tokens; 0: none
    int32_t upscale; // localise: heat map cells a token, each way (1, 2 or 4)
    SeamBoxKind boxes; // localise: where boxes come from
    bool by_class;   // localise with regress: a box's score is multiplied by the probability of its class in the window (classify comes before)
    bool good_boxes; // localise with regress: what is good is boxed too (class 0); the heat map shows defects alone all the same
    int32_t memory;  // anomaly: most rows kept a modality
    int32_t neighbours; // anomaly: k of the nearest-neighbour distance
    int32_t limit;   // rul: seconds; a life that lasts longer counts as so long
    int32_t bins;    // rul: points of time between now and the limit
    int32_t patches; // anomaly: cells each way that a patch of a picture is compared by (1, 3 or 5), for a map of where; 0: no map
    SeamGenerate what; // generate
    char of[SEAM_NAME_LENGTH]; // generate forecast or signal: the sensor modality; else ""
    int32_t depth, width, length; // generate text: layers of the decoder and their width; most bytes of a finding
    int32_t horizon; // generate forecast: stretches of the next window whose level is told
    float mask;      // generate signal: share of the stretches that training hides, on the mean of windows
} SeamTask;

typedef struct {
    int32_t dim, layers, heads;                      // heads divides dim; dim / heads <= 128
    int32_t experts, groups, groups_kept, top_k, expert_width;
    int32_t router_rank;
    bool router_shared_a;    // one A for all layers
    SeamMixer mixer[SEAM_MAX_LAYERS];
    int32_t local_radius;    // `local`: grid cells each way in a picture, stretches in a sensor stream, words in a text, runs of features
    float gate_threshold;    // attention gates under it close their head
    int32_t fusion_layers, fusion_neighbours, fusion_width;
    double window;           // seconds of one decision
    int32_t windows;         // only so many first ones of a recording or weld are read and judged; 0: all
    // Options of the architecture (core/config_options.c).
    int32_t hash_bucket;     // `hash`: tokens of a bucket
    int32_t hash_rounds;     // `hash`: times that tokens are dealt into buckets, each by hashes of its own
    bool hash_causal;        // `hash`: a token sees none after it
    float gated_budget;      // `gated`: share of the tokens that attend globally
    int32_t scan_state;      // `scan`: numbers of state a channel
    int32_t fusion_bucket;   // fusion: tokens of its hash bucket that a token attends to besides
    int32_t bank_slots;      // memory bank: context vectors that it holds
    int32_t bank_write;      // memory bank: vectors that a window leaves in it
    int32_t exit_every;      // an exit head after every so many layers but the last
    int32_t n_modalities;
    SeamModality modality[SEAM_MAX_MODALITIES];
    int32_t n_classes;       // class 0 is the good one
    char class_name[SEAM_MAX_CLASSES][SEAM_NAME_LENGTH];
    int32_t n_label_names;   // what the class numbers of YOLO labels are called where a folder does not say
    char label_name[SEAM_MAX_CLASSES][SEAM_NAME_LENGTH];
    int32_t n_tasks;
    SeamTask task[SEAM_MAX_TASKS];
} SeamConfig;

// Reads and validates; `where` begins error messages ("model.json"). `object` is a JSON text of the config object alone.
bool seam_config_parse(SeamConfig *config, const char *json, const char *where, GError **error);
// The JSON text of a config; parsing it gives an equal struct. g_free it.
char *seam_config_print(const SeamConfig *config);
// Checks every limit and relation named above.
bool seam_config_validate(const SeamConfig *config, const char *where, GError **error);
// Fills the sizes of a preset ("nano", "small", "base", "full"); modalities, classes and tasks stay empty.
bool seam_config_preset(SeamConfig *config, const char *name, GError **error);

// Whether what a window says depends on those before it in its stream: there is a memory bank or a scan.
bool seam_config_carries(const SeamConfig *config);

// Index of a modality, class or task by name, or -1.
int32_t seam_config_modality(const SeamConfig *config, const char *name);
// The first modality with that front end, or -1.
int32_t seam_config_front(const SeamConfig *config, SeamFront front);
int32_t seam_config_class(const SeamConfig *config, const char *name);
int32_t seam_config_task(const SeamConfig *config, const char *name);

// Tokens that one input of a modality gives: a picture, a full window of a sensor, max_tokens of a text, a reading of features.
int32_t seam_modality_tokens(const SeamConfig *config, int32_t modality);
// Whether a layer of the encoder has this mixer.
bool seam_config_has_mixer(const SeamConfig *config, SeamMixer mixer);
// Stretches of a window of a sensor modality.
int32_t seam_modality_stretches(const SeamConfig *config, int32_t modality);
// Whether the model boxes what is good, too.
bool seam_config_good_boxes(const SeamConfig *config);
// Samples a second of a sensor modality; readings a second of a feature modality.
double seam_modality_rate(const SeamConfig *config, int32_t modality);
// Cells of an image modality's token grid each way.
int32_t seam_modality_grid(const SeamModality *modality);
