// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Gradients of the front ends, the projection and the heads against finite differences, through the
// ref kernels; and what these layers promise besides: identities at the start, additive evidence,
// order of tokens, what is done with holes.
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/layers/anomaly.h"
#include "core/layers/classify.h"
#include "core/layers/image_embed.h"
#include "core/layers/localise.h"
#include "core/layers/sensor_embed.h"
#include "core/layers/text_embed.h"
#include "tests/core/differences.h"

enum { DIM = 8, VIDEO = 0, PHOTO = 1, SENSORS = 2, TEXT = 3, MODALITIES = 4, CLASSES = 4 };
enum { CLASSIFY = 0, LOCALISE = 1, ANOMALY = 2, PLAIN = 3 };

// ---- fixture ------------------------------------------------------------------------------------

typedef struct {
    SeamConfig config;
    SeamParams *params;
    SeamArena arena;
    SeamRun run;
    SeamRandom random;
} Fixture;

static void image_modality(SeamModality *m, const char *name, int32_t channels) {
    *m = (SeamModality){.front = SEAM_FRONT_IMAGE,
                        .channels = channels,
                        .delta_rank = channels == 3 ? 2 : 0,
                        .mean = {100, 120, 90},
                        .std = {50, 60, 70},
                        .image = {.size = 8, .stem_layers = 2, .stem_width = {4, DIM}}};
    g_strlcpy(m->name, name, sizeof m->name);
}

static void setup(Fixture *f) {
    memset(f, 0, sizeof *f);
    SeamConfig *c = &f->config;
    c->dim = DIM;
    c->window = 2;
    c->n_modalities = MODALITIES;
    c->n_classes = CLASSES;
    image_modality(&c->modality[VIDEO], "video", 3);
    image_modality(&c->modality[PHOTO], "photo", 1);
    c->modality[SENSORS] =
        (SeamModality){.name = "sensors",
                       .front = SEAM_FRONT_SENSOR,
                       .channels = 3,
                       .delta_rank = 3,
                       .mean = {1, 0, -1},
                       .std = {2, 1, 0.5f},
                       .sensor = {.rate = 16, .patch = 16, .time_bins = 2, .fft = 8, .bands = 3}};
    c->modality[TEXT] =
        (SeamModality){.name = "text",
                       .front = SEAM_FRONT_TEXT,
                       .delta_rank = 1,
                       .text = {.buckets = 29, .ngram_min = 3, .ngram_max = 4, .max_tokens = 3}};
    c->n_tasks = 4;
    c->task[CLASSIFY] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 3};
    c->task[LOCALISE] =
        (SeamTask){.name = "localise", .kind = SEAM_TASK_LOCALISE, .rank = 2, .upscale = 2};
    c->task[ANOMALY] =
        (SeamTask){.name = "anomaly", .kind = SEAM_TASK_ANOMALY, .memory = 6, .neighbours = 2};
    c->task[PLAIN] = (SeamTask){.name = "plain", .kind = SEAM_TASK_CLASSIFY};
    f->params = seam_params_new();
    g_assert_true(seam_arena_init(&f->arena, 1 << 22));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    f->random = seam_random(7, 1);
}

static void teardown(Fixture *f) {
    seam_params_free(f->params);
    seam_arena_clear(&f->arena);
}

// ---- image_embed --------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamImageEmbed layer;
    uint8_t pixels[2 * 8 * 8 * 3];
    float weight[2 * 5 * DIM];
} ImageCase;

static double image_loss(void *data, bool backward) {
    ImageCase *c = data;
    SeamImageEmbedSaved saved;
    SeamTokens out;
    const double time[2] = {0.5, 1};
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_image_embed_forward(&c->layer, &c->f.run, 2, c->pixels, time, &out,
                                       backward ? &saved : NULL));
    g_assert_cmpint(out.n, ==, 10);
    if (backward)
        assert_ok(seam_image_embed_backward(&c->layer, &c->f.run, &saved, c->weight));
    double loss = weighted(out.x, c->weight, 10 * DIM);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void check_image(int32_t first_blocks, int32_t last_blocks) {
    ImageCase c;
    setup(&c.f);
    c.f.config.modality[VIDEO].image.blocks[0] = first_blocks;
    c.f.config.modality[VIDEO].image.blocks[1] = last_blocks;
    seam_image_embed_declare(&c.layer, c.f.params, &c.f.config, VIDEO);
    draw(c.f.params, &c.f.random);
    // Channels that lie apart, else a norm over four of them bends within the step of a difference.
    for (size_t i = 0; first_blocks > 0 && i < c.layer.stem[0].weight->size; i++)
        c.layer.stem[0].weight->data[i] *= 4;
    for (size_t i = 0; i < sizeof c.pixels; i++)
        c.pixels[i] = (uint8_t)seam_random_below(&c.f.random, 256);
    fill(&c.f.random, c.weight, G_N_ELEMENTS(c.weight), 1);
    check_params(c.f.params, 120, image_loss, &c);
    size_t peak = c.f.arena.peak;
    g_assert_cmpuint(peak, <=, seam_image_embed_bytes(&c.layer, 2, true));
    teardown(&c.f);
}

static void test_image(void) {
    check_image(0, 0);
}

// The gradients of the blocks themselves, and those that pass through them.
static void test_image_blocks(void) {
    check_image(1, 0);
    check_image(2, 1);
}

// A new block changes nothing: the picture's tokens are to the bit those of the stem without it.
static void test_image_blocks_start(void) {
    ImageCase c;
    SeamTokens plain, blocks;
    const double time[2] = {0};
    setup(&c.f);
    SeamImageConfig *image = &c.f.config.modality[VIDEO].image;
    SeamParams *params[2] = {c.f.params, seam_params_new()};
    SeamImageEmbed layer[2];
    memset(c.pixels, 99, sizeof c.pixels);
    for (int32_t i = 0; i < 2; i++) {
        image->blocks[0] = image->blocks[1] = i;
        seam_image_embed_declare(&layer[i], params[i], &c.f.config, VIDEO);
        g_assert_true(seam_params_allocate(params[i], false, NULL));
        seam_params_init(params[i], 5);
    }
    g_assert_cmpuint(params[1]->tensors->len, ==, params[0]->tensors->len + 2 * 6);
    assert_ok(seam_image_embed_forward(&layer[0], &c.f.run, 2, c.pixels, time, &plain, NULL));
    assert_ok(seam_image_embed_forward(&layer[1], &c.f.run, 2, c.pixels, time, &blocks, NULL));
    g_assert_cmpmem(plain.x, plain.n * DIM * sizeof(float), blocks.x,
                    blocks.n * DIM * sizeof(float));
    seam_params_free(params[1]);
    teardown(&c.f);
}

// One or six convolutions, and no picture at all: the two buffers of the stem take turns correctly.
static void test_image_depths(void) {
    for (int32_t layers = 1; layers <= 3; layers++) {
        ImageCase c;
        SeamTokens plain, kept;
        SeamImageEmbedSaved saved;
        const double time[2] = {0};
        setup(&c.f);
        SeamImageConfig *image = &c.f.config.modality[PHOTO].image;
        image->stem_layers = layers;
        for (int32_t l = 0; l < layers; l++) {
            image->stem_width[l] = l == layers - 1 ? DIM : 3 + l;
            image->blocks[l] = l == 1 ? 2 : 0;
        }
        seam_image_embed_declare(&c.layer, c.f.params, &c.f.config, PHOTO);
        draw(c.f.params, &c.f.random);
        memset(c.pixels, 77, sizeof c.pixels);
        assert_ok(seam_image_embed_forward(&c.layer, &c.f.run, 2, c.pixels, time, &plain, NULL));
        size_t peak = c.f.arena.peak;
        assert_ok(seam_image_embed_forward(&c.layer, &c.f.run, 2, c.pixels, time, &kept, &saved));
        g_assert_cmpint(plain.n, ==, 2 * (1 + (8 >> layers) * (8 >> layers)));
        g_assert_cmpmem(plain.x, plain.n * DIM * sizeof(float), kept.x,
                        kept.n * DIM * sizeof(float));
        g_assert_cmpuint(peak, <=, seam_image_embed_bytes(&c.layer, 2, false));
        assert_ok(seam_image_embed_forward(&c.layer, &c.f.run, 0, c.pixels, time, &plain, NULL));
        g_assert_cmpint(plain.n, ==, 0);
        teardown(&c.f);
    }
}

// ---- sensor_embed -------------------------------------------------------------------------------

enum { SAMPLES = 32, STRETCH = 16 };

typedef struct {
    Fixture f;
    SeamSensorEmbed layer;
    float x[3][SAMPLES * 3];
    SeamSensorWindow window[3];
    float weight[64 * DIM];
    int32_t tokens;
} SensorCase;

static double sensor_loss(void *data, bool backward) {
    SensorCase *c = data;
    SeamSensorEmbedSaved saved;
    SeamTokens out;
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(seam_sensor_embed_forward(&c->layer, &c->f.run, 3, c->window, &out,
                                        backward ? &saved : NULL));
    c->tokens = out.n;
    if (backward)
        assert_ok(seam_sensor_embed_backward(&c->layer, &c->f.run, &saved, c->weight));
    double loss = weighted(out.x, c->weight, (size_t)out.n * DIM);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void finish_sensors(SensorCase *c) {
    g_assert_true(seam_sensor_embed_declare(&c->layer, c->f.params, &c->f.config, SENSORS));
    draw(c->f.params, &c->f.random);
    fill(&c->f.random, c->weight, G_N_ELEMENTS(c->weight), 1);
    for (int32_t w = 0; w < 3; w++) {
        fill(&c->f.random, c->x[w], SAMPLES * 3, 1);
        c->window[w] =
            (SeamSensorWindow){.time = 2 * w, .samples = SAMPLES, .x = c->x[w], .valid = SAMPLES};
    }
}

static void setup_sensors(SensorCase *c) {
    setup(&c->f);
    finish_sensors(c);
}

static void test_sensor(void) {
    SensorCase c;
    setup_sensors(&c);
    for (int32_t i = 0; i < 9; i++)
        c.x[0][i * 3 + 1] = NAN; // 9 of 16: this channel's first stretch is gone
    for (int32_t i = 0; i < 8; i++)
        c.x[0][i * 3 + 2] = NAN; // 8 of 16: this one is kept
    for (int32_t i = 0; i < SAMPLES * 3; i++)
        c.x[1][i] = NAN;
    check_params(c.f.params, SIZE_MAX, sensor_loss, &c);
    g_assert_cmpint(c.tokens, ==, 2 * (5 + 0 + 6));
    g_assert_cmpuint(c.f.arena.peak, <=, seam_sensor_embed_bytes(&c.layer, 3, true));
    seam_sensor_embed_clear(&c.layer);
    teardown(&c.f);
}

// All channels in one token: one that is missing counts 0 and is told by its vector; a stretch without any gives no token.
static void test_sensor_together(void) {
    SensorCase c;
    SeamTokens out;
    SeamSensorEmbedSaved saved;
    setup(&c.f);
    c.f.config.modality[SENSORS].sensor.together = true;
    finish_sensors(&c);
    for (int32_t i = 0; i < 9; i++)
        c.x[0][i * 3 + 1] = NAN;
    for (int32_t i = 0; i < STRETCH * 3; i++)
        c.x[1][i] = NAN;
    check_params(c.f.params, SIZE_MAX, sensor_loss, &c);
    g_assert_cmpint(c.tokens, ==, 2 * (2 + 1 + 2));
    g_assert_cmpuint(c.f.arena.peak, <=, seam_sensor_embed_bytes(&c.layer, 3, true));
    assert_ok(seam_sensor_embed_forward(&c.layer, &c.f.run, 3, c.window, &out, &saved));
    g_assert_cmpuint(saved.channels[0], ==, 5);
    g_assert_cmpuint(saved.channels[1], ==, 7);
    g_assert_cmpfloat(saved.time_features[4], ==, 0);
    g_assert_cmpfloat(saved.frequency_features[3], ==, 0);
    g_assert_cmpfloat(saved.frequency_features[2], !=, 0);
    g_assert_cmpfloat_with_epsilon(out.place[4].t, 1.5, 1e-6);
    seam_sensor_embed_clear(&c.layer);
    teardown(&c.f);
}

// An envelope in place of the course over time, the spectrum beside it.
static void test_sensor_envelope(void) {
    static const SeamEnvelopeConfig envelope = {.low = 0, .high = 8, .bands = 1, .shape = 2, .shaft = 1, .tolerance = 0.02f,
                                                .background = 2, .n_orders = 2, .order = {1.5f, 3}};
    SensorCase c;
    setup(&c.f);
    c.f.config.modality[SENSORS].sensor.envelope = envelope;
    finish_sensors(&c);
    for (int32_t i = 0; i < 9; i++)
        c.x[0][i * 3 + 1] = NAN;
    for (int32_t i = 0; i < SAMPLES * 3; i++)
        c.x[1][i] = NAN;
    check_params(c.f.params, SIZE_MAX, sensor_loss, &c);
    g_assert_cmpint(c.tokens, ==, 2 * (5 + 0 + 6));
    g_assert_cmpint(c.layer.time_weight->shape[1], ==, 2 + 2 + 1);
    g_assert_cmpuint(c.f.arena.peak, <=, seam_sensor_embed_bytes(&c.layer, 3, true));
    seam_sensor_embed_clear(&c.layer);
    teardown(&c.f);
}

static void test_sensor_places(void) {
    SensorCase c;
    SeamTokens out;
    setup_sensors(&c);
    assert_ok(seam_sensor_embed_forward(&c.layer, &c.f.run, 3, c.window, &out, NULL));
    g_assert_cmpint(out.n, ==, 36);
    for (int32_t i = 0; i < 12; i++) {
        const SeamPlace *p = &out.place[12 + i];
        g_assert_cmpint(p->channel, ==, i / 2 % 3);
        g_assert_cmpint(p->domain, ==, i % 2 ? SEAM_DOMAIN_FREQUENCY : SEAM_DOMAIN_TIME);
        g_assert_cmpint(p->modality, ==, SENSORS);
        g_assert_cmpfloat_with_epsilon(p->t, i < 6 ? 0.5 : 1.5, 1e-6);
    }
    g_assert_cmpfloat(out.seq_time[2], ==, 4);
    c.window[1].samples = SAMPLES - 1;
    g_assert_cmpint(seam_sensor_embed_forward(&c.layer, &c.f.run, 3, c.window, &out, NULL), ==,
                    SEAM_BAD_SHAPE);
    seam_sensor_embed_clear(&c.layer);
    teardown(&c.f);
}

// A sine of bin 3 with unit variance has its power where it belongs: Welch's estimate, summed over
// bins, gives the variance.
static void test_sensor_spectrum(void) {
    SensorCase c;
    SeamTokens out;
    SeamSensorEmbedSaved saved;
    setup_sensors(&c);
    for (int32_t i = 0; i < SAMPLES; i++)
        c.x[0][i * 3] =
            (float)(1 + 2 * G_SQRT2 * sin(2 * G_PI * 3 * i / 8)); // normalises to variance 1
    assert_ok(seam_sensor_embed_forward(&c.layer, &c.f.run, 1, c.window, &out, &saved));
    float *band = saved.frequency_features;
    // Bands of bins {1}, {2}, {2 .. 4} (edges 4^(b/3) = 1, 1.6, 2.5, 4). Hann leaks into bins 2 and
    // 4 only: 1/6, 2/3, 1/6 of 4 (two-sided).
    g_assert_cmpfloat_with_epsilon(band[0], (log(1e-6) + 5) / 5, 0.05);
    g_assert_cmpfloat(band[2], >, band[0] + 1);
    // The mean of a bin of a zero-mean sine over whole periods, and its RMS of 1.
    g_assert_cmpfloat_with_epsilon(saved.time_features[0], 0, 1e-5);
    g_assert_cmpfloat_with_epsilon(saved.time_features[2], (log(1.001) + 3.5) / 3.5, 1e-4);
    seam_sensor_embed_clear(&c.layer);
    teardown(&c.f);
}

// A hole takes the last value; holes at the start the first.
static void test_sensor_holes(void) {
    SensorCase c;
    SeamTokens holes, filled;
    setup_sensors(&c);
    for (int32_t i = 0; i < 4; i++)
        c.x[0][i * 3] = NAN, c.x[2][i * 3] = 5;
    c.x[0][4 * 3] = c.x[2][4 * 3] = 5;
    c.x[0][7 * 3] = INFINITY, c.x[2][6 * 3] = c.x[2][7 * 3] = -3, c.x[0][6 * 3] = -3;
    for (int32_t i = 0; i < SAMPLES * 3; i++)
        if (i >= 8 * 3 || i % 3 || i == 15)
            c.x[2][i] = c.x[0][i];
    assert_ok(seam_sensor_embed_forward(&c.layer, &c.f.run, 1, c.window, &holes, NULL));
    assert_ok(seam_sensor_embed_forward(&c.layer, &c.f.run, 1, c.window + 2, &filled, NULL));
    g_assert_cmpmem(holes.x, holes.n * DIM * sizeof(float), filled.x,
                    filled.n * DIM * sizeof(float));
    seam_sensor_embed_clear(&c.layer);
    teardown(&c.f);
}

// ---- text_embed ---------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamTextEmbed layer;
    float weight[16 * DIM];
} TextCase;

static const char *const texts[] = {"Gas flow 12.5 l/min, LOW", "", " \t.,!",
                                    "\xff\xfe wei\xc3\x9f"};

static SeamStatus forward_texts(TextCase *c, const char *const text[4], const double time[4],
                                SeamTokens *out, SeamTextEmbedSaved *saved) {
    SeamTextCursor cursor[4];
    for (int32_t i = 0; i < 4; i++)
        cursor[i] = seam_text_open(&c->layer, text[i], strlen(text[i]));
    return seam_text_embed_forward(&c->layer, &c->f.run, 4, cursor, time, true, out, saved);
}

static double text_loss(void *data, bool backward) {
    TextCase *c = data;
    SeamTextEmbedSaved saved;
    SeamTokens out;
    const double time[4] = {0};
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(forward_texts(c, texts, time, &out, backward ? &saved : NULL));
    const int32_t start[] = {0, 3, 3, 3, 5};
    g_assert_cmpmem(out.seq_start, sizeof start, start, sizeof start);
    if (backward)
        assert_ok(seam_text_embed_backward(&c->layer, &c->f.run, &saved, c->weight));
    double loss = weighted(out.x, c->weight, (size_t)out.n * DIM);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void test_text(void) {
    TextCase c;
    setup(&c.f);
    seam_text_embed_declare(&c.layer, c.f.params, &c.f.config, TEXT);
    draw(c.f.params, &c.f.random);
    fill(&c.f.random, c.weight, G_N_ELEMENTS(c.weight), 1);
    check_params(c.f.params, SIZE_MAX, text_loss, &c);
    g_assert_cmpuint(c.f.arena.peak, <=, seam_text_embed_bytes(&c.layer, 4, true));
    teardown(&c.f);
}

// Case does not matter, the newest words stay, a number is one word, and an endless word is cut.
static void test_text_words(void) {
    TextCase c;
    SeamTokens out;
    SeamTextEmbedSaved saved;
    char endless[1000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    const char *const text[] = {"one two three four", "TWO three FOUR", "2.5", endless};
    const double time[4] = {1, 2, 3, 4};
    setup(&c.f);
    seam_text_embed_declare(&c.layer, c.f.params, &c.f.config, TEXT);
    draw(c.f.params, &c.f.random);
    assert_ok(forward_texts(&c, text, time, &out, &saved));
    g_assert_cmpint(out.n, ==, 8);
    g_assert_cmpmem(out.x, 3 * DIM * sizeof(float), out.x + 3 * DIM, 3 * DIM * sizeof(float));
    // <2.5> whole, three of 3 bytes, two of 4.
    g_assert_cmpint(saved.start[7] - saved.start[6], ==, 1 + 3 + 2);
    g_assert_cmpint(saved.start[8] - saved.start[7], ==, 1 + 64 + 63);
    g_assert_cmpfloat(out.seq_time[3], ==, 4);
    teardown(&c.f);
}

// ---- project ------------------------------------------------------------------------------------

typedef struct {
    Fixture f;
    SeamProject layer;
    int32_t modality;
    float x[6 * DIM], weight[6 * DIM], dx[6 * DIM];
    SeamPlace place[6];
} ProjectCase;

static double project_loss(void *data, bool backward) {
    ProjectCase *c = data;
    SeamProjectSaved saved;
    float work[6 * DIM];
    memcpy(work, c->x, sizeof work);
    SeamTokens tokens = {.n = 6, .dim = DIM, .x = work, .place = c->place};
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(
        seam_project_forward(&c->layer, &c->f.run, c->modality, &tokens, backward ? &saved : NULL));
    if (backward)
        assert_ok(seam_project_backward(&c->layer, &c->f.run, &saved, c->weight, c->dx));
    double loss = weighted(tokens.x, c->weight, 6 * DIM);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void test_project(void) {
    for (int32_t modality = 0; modality < MODALITIES; modality++) {
        ProjectCase c;
        setup(&c.f);
        c.modality = modality;
        seam_project_declare(&c.layer, c.f.params, &c.f.config);
        draw(c.f.params, &c.f.random);
        fill(&c.f.random, c.x, 6 * DIM, 1);
        fill(&c.f.random, c.weight, 6 * DIM, 1);
        for (int32_t i = 0; i < 6; i++)
            c.place[i] = (SeamPlace){.t = 0.3f * i,
                                     .x = 0.1f * i,
                                     .y = 1 - 0.2f * i,
                                     .modality = (uint8_t)modality,
                                     .domain = (uint8_t)(i % SEAM_DOMAINS)};
        check_params(c.f.params, SIZE_MAX, project_loss, &c);
        check_values("features", c.x, c.dx, 6 * DIM, SIZE_MAX, project_loss, &c);
        g_assert_cmpuint(c.f.arena.peak, <=, seam_project_bytes(&c.layer, 6, true));
        teardown(&c.f);
    }
}

// The place encoding as docs and twin have it: sine and cosine of pi 2^j s for x, then y, then t
// over the window.
static void test_project_place(void) {
    ProjectCase c;
    const double s[3] = {0.1, 0.8, 0.15};
    setup(&c.f);
    seam_project_declare(&c.layer, c.f.params, &c.f.config);
    g_assert_true(seam_params_allocate(c.f.params, false, NULL));
    for (int32_t d = 0; d < SEAM_PLACE_FEATURES; d++) {
        float x[DIM] = {0};
        SeamPlace place = {.x = 0.1f, .y = 0.8f, .t = 0.3f, .modality = TEXT};
        SeamTokens tokens = {.n = 1, .dim = DIM, .x = x, .place = &place};
        c.layer.place->data[3 * SEAM_PLACE_FEATURES + d] = 1;
        assert_ok(seam_project_forward(&c.layer, &c.f.run, TEXT, &tokens, NULL));
        c.layer.place->data[3 * SEAM_PLACE_FEATURES + d] = 0;
        double angle = G_PI * (1 << d / 2 % 4) * s[d / 8];
        g_assert_cmpfloat_with_epsilon(x[3], d % 2 ? cos(angle) : sin(angle), 1e-5);
        g_assert_cmpfloat(x[2], ==, 0);
    }
    teardown(&c.f);
}

// ---- fused tokens for the heads -----------------------------------------------------------------

enum { WINDOWS = 4, MOST = 40 };

typedef struct {
    Fixture f;
    union {
        SeamClassify classify;
        SeamLocalise localise;
    };
    SeamTokens tokens;
    float x[MOST * DIM], weight[MOST * (CLASSES + 4) * 4], dx[MOST * DIM];
    SeamPlace place[MOST];
    int32_t seq_start[WINDOWS + 1];
    double seq_time[WINDOWS];
} HeadCase;

static void add_token(HeadCase *c, int32_t modality, SeamDomain domain, float t) {
    c->place[c->tokens.n++] =
        (SeamPlace){.t = t, .modality = (uint8_t)modality, .domain = (uint8_t)domain};
}

static void add_picture(HeadCase *c, int32_t modality, float t) {
    add_token(c, modality, SEAM_DOMAIN_SUMMARY, t);
    for (int32_t i = 0; i < 4; i++)
        add_token(c, modality, SEAM_DOMAIN_PATCH, t);
}

// Window 0: two pictures, a photograph, sensors. 1: nothing. 2: sensors and text. 3: a photograph
// alone.
static void setup_head(HeadCase *c) {
    setup(&c->f);
    c->tokens = (SeamTokens){.dim = DIM,
                             .seqs = WINDOWS,
                             .x = c->x,
                             .seq_start = c->seq_start,
                             .seq_time = c->seq_time,
                             .place = c->place};
    c->seq_start[0] = 0;
    add_picture(c, VIDEO, 0.25f);
    add_picture(c, VIDEO, 0.5f);
    add_picture(c, PHOTO, 1);
    for (int32_t i = 0; i < 3; i++)
        add_token(c, SENSORS, SEAM_DOMAIN_TIME, 0.5f);
    c->seq_start[1] = c->seq_start[2] = c->tokens.n;
    for (int32_t i = 0; i < 2; i++)
        add_token(c, SENSORS, SEAM_DOMAIN_FREQUENCY, 0.5f);
    add_token(c, TEXT, SEAM_DOMAIN_WORD, 0);
    c->seq_start[3] = c->tokens.n;
    add_picture(c, PHOTO, 1.5f);
    c->seq_start[4] = c->tokens.n;
    fill(&c->f.random, c->x, MOST * DIM, 1);
    fill(&c->f.random, c->weight, G_N_ELEMENTS(c->weight), 1);
}

// ---- classify -----------------------------------------------------------------------------------

static double classify_loss(void *data, bool backward) {
    HeadCase *c = data;
    SeamClassifyOut out;
    SeamClassifySaved saved;
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(
        seam_classify_forward(&c->classify, &c->f.run, &c->tokens, &out, backward ? &saved : NULL));
    if (backward)
        assert_ok(seam_classify_backward(&c->classify, &c->f.run, &saved, c->weight, c->dx));
    double loss = weighted(out.logits, c->weight, WINDOWS * CLASSES);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void test_classify(void) {
    const int32_t tasks[] = {CLASSIFY, PLAIN};
    for (size_t i = 0; i < G_N_ELEMENTS(tasks); i++) {
        HeadCase c;
        setup_head(&c);
        seam_classify_declare(&c.classify, c.f.params, &c.f.config, tasks[i]);
        draw(c.f.params, &c.f.random);
        check_params(c.f.params, SIZE_MAX, classify_loss, &c);
        check_values("x", c.x, c.dx, (size_t)c.tokens.n * DIM, SIZE_MAX, classify_loss, &c);
        g_assert_cmpuint(c.f.arena.peak, <=,
                         seam_classify_bytes(&c.classify, c.tokens.n, WINDOWS, true));
        teardown(&c.f);
    }
}

// Logits are bias plus contributions; taking a modality's tokens away takes exactly its
// contribution away.
static void test_classify_additive(void) {
    HeadCase c;
    SeamClassifyOut all, less;
    setup_head(&c);
    seam_classify_declare(&c.classify, c.f.params, &c.f.config, CLASSIFY);
    draw(c.f.params, &c.f.random);
    assert_ok(seam_classify_forward(&c.classify, &c.f.run, &c.tokens, &all, NULL));
    const uint32_t present[WINDOWS] = {1 << VIDEO | 1 << PHOTO | 1 << SENSORS, 0,
                                       1 << SENSORS | 1 << TEXT, 1 << PHOTO};
    g_assert_cmpmem(all.present, sizeof present, present, sizeof present);
    for (int32_t k = 0; k < CLASSES; k++) {
        g_assert_cmpfloat(all.logits[CLASSES + k], ==, c.classify.bias->data[k]);
        g_assert_cmpfloat(all.contributions[(0 * MODALITIES + TEXT) * CLASSES + k], ==, 0);
    }
    c.seq_start[1] = 15; // without the sensors
    c.tokens.seqs = 1;
    c.tokens.n = 15;
    assert_ok(seam_classify_forward(&c.classify, &c.f.run, &c.tokens, &less, NULL));
    for (int32_t k = 0; k < CLASSES; k++)
        g_assert_cmpfloat_with_epsilon(all.logits[k] - less.logits[k],
                                       all.contributions[SENSORS * CLASSES + k], 1e-5);
    c.place[0].modality = TEXT;
    g_assert_cmpint(seam_classify_forward(&c.classify, &c.f.run, &c.tokens, &less, NULL), ==,
                    SEAM_BAD_SHAPE);
    teardown(&c.f);
}

// A new adapter changes nothing.
static void test_adapter_identity(void) {
    Fixture f;
    SeamAdapter adapter;
    float x[3 * DIM], y[3 * DIM];
    setup(&f);
    seam_adapter_declare(&adapter, f.params, "tasks.new", DIM, 4);
    g_assert_true(seam_params_allocate(f.params, false, NULL));
    seam_params_init(f.params, 3);
    fill(&f.random, x, 3 * DIM, 1);
    assert_ok(seam_adapter_forward(&adapter, &f.run, 3, x, y, NULL));
    g_assert_cmpmem(x, sizeof x, y, sizeof y);
    teardown(&f);
}

// ---- localise -----------------------------------------------------------------------------------

static double localise_loss(void *data, bool backward) {
    HeadCase *c = data;
    SeamLocaliseOut out;
    SeamLocaliseSaved saved;
    size_t mark = seam_arena_mark(&c->f.arena);
    assert_ok(
        seam_localise_forward(&c->localise, &c->f.run, &c->tokens, &out, backward ? &saved : NULL));
    g_assert_cmpint(out.pictures, ==, 4);
    g_assert_cmpuint(out.size, ==, 4 * c->localise.channels * 16);
    if (backward)
        assert_ok(seam_localise_backward(&c->localise, &c->f.run, &saved, c->weight, c->dx));
    double loss = weighted(out.logits, c->weight, out.size);
    seam_arena_release(&c->f.arena, mark);
    return loss;
}

static void test_localise(void) {
    HeadCase c;
    setup_head(&c);
    seam_localise_declare(&c.localise, c.f.params, &c.f.config, LOCALISE);
    draw(c.f.params, &c.f.random);
    check_params(c.f.params, SIZE_MAX, localise_loss, &c);
    check_values("x", c.x, c.dx, (size_t)c.tokens.n * DIM, SIZE_MAX, localise_loss, &c);
    g_assert_cmpuint(c.f.arena.peak, <=, seam_localise_bytes(&c.localise, c.tokens.n, true));
    teardown(&c.f);
}

// With the sides of boxes: four channels more, and one for the good class when it is boxed too.
static void test_localise_boxes(void) {
    for (int32_t good = 0; good < 2; good++) {
        HeadCase c;
        setup_head(&c);
        c.f.config.task[LOCALISE].boxes = SEAM_BOXES_REGRESS;
        c.f.config.task[LOCALISE].good_boxes = good;
        seam_localise_declare(&c.localise, c.f.params, &c.f.config, LOCALISE);
        g_assert_cmpint(c.localise.classes, ==, CLASSES - 1 + good);
        g_assert_cmpint(c.localise.first_class, ==, 1 - good);
        g_assert_cmpint(c.localise.channels, ==, c.localise.classes + 4);
        draw(c.f.params, &c.f.random);
        check_params(c.f.params, SIZE_MAX, localise_loss, &c);
        check_values("x", c.x, c.dx, (size_t)c.tokens.n * DIM, SIZE_MAX, localise_loss, &c);
        g_assert_cmpuint(c.f.arena.peak, <=, seam_localise_bytes(&c.localise, c.tokens.n, true));
        teardown(&c.f);
    }
}

// A change of one patch moves only the cells that lie over it, in its picture.
static void test_localise_cells(void) {
    HeadCase c;
    SeamLocaliseOut before, after;
    setup_head(&c);
    seam_localise_declare(&c.localise, c.f.params, &c.f.config, LOCALISE);
    draw(c.f.params, &c.f.random);
    assert_ok(seam_localise_forward(&c.localise, &c.f.run, &c.tokens, &before, NULL));
    c.x[(5 + 1 + 2) * DIM] += 1; // second picture, third patch: lower left
    assert_ok(seam_localise_forward(&c.localise, &c.f.run, &c.tokens, &after, NULL));
    g_assert_cmpint(after.picture[1].first, ==, 6);
    g_assert_cmpint(after.picture[3].window, ==, 3);
    g_assert_cmpint(after.picture[3].modality, ==, PHOTO);
    for (size_t i = 0; i < after.size; i++) {
        size_t picture = i / 48, row = i / 4 % 4, column = i % 4;
        bool over = picture == 1 && row >= 2 && column < 2;
        g_assert_true((before.logits[i] != after.logits[i]) == over);
    }
    c.place[8].domain = SEAM_DOMAIN_SUMMARY; // a picture that is not whole
    g_assert_cmpint(seam_localise_forward(&c.localise, &c.f.run, &c.tokens, &after, NULL), ==,
                    SEAM_BAD_SHAPE);
    teardown(&c.f);
}

// ---- anomaly ------------------------------------------------------------------------------------

enum { GOOD = 40, HELD = 12, WIDTH = 2 * DIM };

static void fit(Fixture *f, SeamAnomaly *a, int32_t modality) {
    float *good = g_new(float, GOOD *WIDTH), *held = g_new(float, HELD *WIDTH);
    fill(&f->random, good, GOOD * WIDTH, 1);
    fill(&f->random, held, HELD * WIDTH, 1);
    GError *error = NULL;
    g_assert_true(seam_anomaly_fit(a, modality, good, GOOD, held, HELD, f->run.kernels, 5, &error));
    g_assert_no_error(error);
    g_free(good);
    g_free(held);
}

static void test_anomaly(void) {
    HeadCase c;
    SeamAnomaly a;
    float near[WINDOWS * MODALITIES], far[WINDOWS * MODALITIES];
    uint32_t scored[WINDOWS];
    setup_head(&c);
    seam_anomaly_declare(&a, &c.f.config, ANOMALY);
    g_assert_false(seam_anomaly_ready(&a));
    fit(&c.f, &a, SENSORS);
    g_assert_true(seam_anomaly_ready(&a));
    g_assert_cmpint(a.memory[SENSORS].n, ==, 6);
    c.f.arena.peak = 0;
    assert_ok(seam_anomaly_forward(&a, &c.f.run, &c.tokens, near, scored));
    g_assert_cmpuint(c.f.arena.peak, <=, seam_anomaly_bytes(&a, WINDOWS));
    // Present without a memory (pictures, text) is not scored; neither is what is absent.
    const uint32_t want[WINDOWS] = {1 << SENSORS, 0, 1 << SENSORS, 0};
    g_assert_cmpmem(scored, sizeof want, want, sizeof want);
    for (int32_t i = 15 * DIM; i < 18 * DIM; i++)
        c.x[i] += 30;
    assert_ok(seam_anomaly_forward(&a, &c.f.run, &c.tokens, far, scored));
    g_assert_cmpfloat(far[SENSORS], >, near[SENSORS] + 20);
    c.x[15 * DIM] = NAN;
    assert_ok(seam_anomaly_forward(&a, &c.f.run, &c.tokens, far, scored));
    g_assert_true(isnan(far[SENSORS]));
    seam_anomaly_clear(&a);
    teardown(&c.f);
}

// The definition, spelled out: standardise, two nearest of the memory, standardise.
static void test_anomaly_distance(void) {
    HeadCase c;
    SeamAnomaly a;
    float distance[WINDOWS * MODALITIES];
    uint32_t scored[WINDOWS];
    setup_head(&c);
    seam_anomaly_declare(&a, &c.f.config, ANOMALY);
    fit(&c.f, &a, SENSORS);
    assert_ok(seam_anomaly_forward(&a, &c.f.run, &c.tokens, distance, scored));
    double best[2] = {INFINITY, INFINITY};
    for (int32_t r = 0; r < a.memory[SENSORS].n; r++) {
        double sum = 0;
        for (int32_t d = 0; d < DIM; d++) {
            double v[3] = {c.x[15 * DIM + d], c.x[16 * DIM + d], c.x[17 * DIM + d]},
                   mean = (v[0] + v[1] + v[2]) / 3;
            double std = sqrt((v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) / 3 - mean * mean);
            const SeamAnomalyMemory *m = &a.memory[SENSORS];
            sum += pow((mean - m->mean[d]) / m->std[d] - m->rows[r * WIDTH + d], 2);
            sum +=
                pow((std - m->mean[DIM + d]) / m->std[DIM + d] - m->rows[r * WIDTH + DIM + d], 2);
        }
        double value = sqrt(sum);
        if (value < best[0])
            best[1] = best[0], best[0] = value;
        else if (value < best[1])
            best[1] = value;
    }
    const float *calibration = a.memory[SENSORS].calibration;
    g_assert_cmpfloat_with_epsilon(
        distance[SENSORS], ((best[0] + best[1]) / 2 - calibration[0]) / calibration[1], 1e-3);
    seam_anomaly_clear(&a);
    teardown(&c.f);
}

static void test_anomaly_refuses(void) {
    Fixture f;
    SeamAnomaly a;
    GError *error = NULL;
    float good[3 * WIDTH] = {0};
    setup(&f);
    seam_anomaly_declare(&a, &f.config, ANOMALY);
    g_assert_false(seam_anomaly_fit(&a, VIDEO, good, 1, good, 1, f.run.kernels, 0, &error));
    g_assert_nonnull(strstr(error->message, "held back"));
    g_clear_error(&error);
    good[4] = NAN;
    g_assert_false(seam_anomaly_fit(&a, VIDEO, good, 1, good, 2, f.run.kernels, 0, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    good[4] = 0; // all alike: the scale has a floor, so that nothing is divided by 0
    g_assert_true(seam_anomaly_fit(&a, VIDEO, good, 1, good, 2, f.run.kernels, 0, &error));
    g_assert_cmpfloat(a.memory[VIDEO].calibration[1], >, 0);
    seam_anomaly_clear(&a);
    teardown(&f);
}

// The coreset covers: of six places far apart it keeps one row each, however uneven their numbers.
static void test_anomaly_coreset(void) {
    Fixture f;
    SeamAnomaly a;
    float good[GOOD * WIDTH], seen[6] = {0};
    setup(&f);
    seam_anomaly_declare(&a, &f.config, ANOMALY);
    memset(good, 0, sizeof good);
    for (int32_t i = 0; i < GOOD; i++)
        good[i * WIDTH] =
            (float)((i < GOOD - 5 ? 500 : (GOOD - 1 - i) * 100) + seam_random_uniform(&f.random));
    g_assert_true(seam_anomaly_fit(&a, VIDEO, good, GOOD, good, 4, f.run.kernels, 1, NULL));
    for (int32_t r = 0; r < 6; r++) {
        const SeamAnomalyMemory *m = &a.memory[VIDEO];
        seen[(int32_t)lround((m->rows[r * WIDTH] * m->std[0] + m->mean[0]) / 100)]++;
    }
    for (int32_t i = 0; i < 6; i++)
        g_assert_cmpfloat(seen[i], ==, 1);
    seam_anomaly_clear(&a);
    teardown(&f);
}

// What is exported is read back, and a file with a wrong width is refused and leaves nothing
// behind.
static void test_anomaly_file(void) {
    Fixture f;
    SeamAnomaly a, b;
    GError *error = NULL;
    SeamNamedArray arrays[SEAM_ANOMALY_EXPORTS * MODALITIES];
    char *path = g_build_filename(g_get_tmp_dir(), "seam-test-anomaly.safetensors", NULL);
    setup(&f);
    seam_anomaly_declare(&a, &f.config, ANOMALY);
    seam_anomaly_declare(&b, &f.config, ANOMALY);
    fit(&f, &a, SENSORS);
    fit(&f, &a, VIDEO);
    int32_t n = seam_anomaly_export(&a, arrays);
    g_assert_cmpint(n, ==, 2 * SEAM_ANOMALY_TENSORS);
    g_assert_true(seam_safetensors_write(path, arrays, n, NULL, &error));
    SeamSafetensors *file = seam_safetensors_read(path, &error);
    g_assert_no_error(error);
    g_assert_true(seam_anomaly_load(&b, file, &error));
    g_assert_no_error(error);
    g_assert_cmpint(b.memory[PHOTO].n, ==, 0);
    g_assert_cmpmem(a.memory[VIDEO].rows, 6 * WIDTH * sizeof(float), b.memory[VIDEO].rows,
                    6 * WIDTH * sizeof(float));
    g_assert_cmpfloat(a.memory[SENSORS].calibration[1], ==, b.memory[SENSORS].calibration[1]);
    b.width = WIDTH + 2;
    g_assert_false(seam_anomaly_load(&b, file, &error));
    g_assert_nonnull(strstr(error->message, "memory.video.rows"));
    g_assert_false(seam_anomaly_ready(&b));
    g_clear_error(&error);
    seam_safetensors_free(file);
    seam_anomaly_clear(&a);
    seam_anomaly_clear(&b);
    g_unlink(path);
    g_free(path);
    teardown(&f);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/heads/image", test_image);
    g_test_add_func("/heads/image/blocks", test_image_blocks);
    g_test_add_func("/heads/image/blocks/start", test_image_blocks_start);
    g_test_add_func("/heads/image/depths", test_image_depths);
    g_test_add_func("/heads/sensor", test_sensor);
    g_test_add_func("/heads/sensor/together", test_sensor_together);
    g_test_add_func("/heads/sensor/envelope", test_sensor_envelope);
    g_test_add_func("/heads/sensor/places", test_sensor_places);
    g_test_add_func("/heads/sensor/spectrum", test_sensor_spectrum);
    g_test_add_func("/heads/sensor/holes", test_sensor_holes);
    g_test_add_func("/heads/text", test_text);
    g_test_add_func("/heads/text/words", test_text_words);
    g_test_add_func("/heads/project", test_project);
    g_test_add_func("/heads/project/place", test_project_place);
    g_test_add_func("/heads/adapter/identity", test_adapter_identity);
    g_test_add_func("/heads/classify", test_classify);
    g_test_add_func("/heads/classify/additive", test_classify_additive);
    g_test_add_func("/heads/localise", test_localise);
    g_test_add_func("/heads/localise/boxes", test_localise_boxes);
    g_test_add_func("/heads/localise/cells", test_localise_cells);
    g_test_add_func("/heads/anomaly", test_anomaly);
    g_test_add_func("/heads/anomaly/distance", test_anomaly_distance);
    g_test_add_func("/heads/anomaly/refuses", test_anomaly_refuses);
    g_test_add_func("/heads/anomaly/coreset", test_anomaly_coreset);
    g_test_add_func("/heads/anomaly/file", test_anomaly_file);
    return g_test_run();
}
