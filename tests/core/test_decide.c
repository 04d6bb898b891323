// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seam_decide on hand-made tokens: what it says of each task, what it leaves out, and that nothing
// broken gets through.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/decide.h"
#include "core/random.h"

enum { DIM = 8, VIDEO = 0, SENSORS = 1, TEXT = 2, MODALITIES = 3, CLASSES = 3, EXPERTS = 4 };
enum {
    CLASSIFY = 0,
    LOCALISE = 1,
    ANOMALY = 2,
    ALL = 7,
    EXPECTED = 1 << VIDEO | 1 << SENSORS | 1 << TEXT
};
enum {
    PICTURE = 5,
    FIRST = 2 * PICTURE + 2,
    TOKENS = FIRST + 1
}; // two pictures and two stretches; then one stretch

typedef struct {
    SeamModel *model;
    SeamArena arena;
    SeamRun run;
    SeamTokens tokens;
    float x[TOKENS * DIM];
    SeamPlace place[TOKENS];
    int32_t seq_start[4];
    double seq_time[3];
    SeamWindowResult *result;
} Fixture;

static void set_config(SeamConfig *c) {
    g_assert_true(seam_config_preset(c, "nano", NULL));
    c->dim = DIM;
    c->heads = 1;
    c->layers = 1;
    c->experts = c->groups = EXPERTS;
    c->expert_width = 8;
    c->window = 0.5;
    c->n_modalities = MODALITIES;
    c->modality[VIDEO] =
        (SeamModality){.name = "video",
                       .front = SEAM_FRONT_IMAGE,
                       .channels = 1,
                       .mean = {0},
                       .std = {1},
                       .image = {.size = 8, .stem_layers = 2, .stem_width = {4, DIM}}};
    c->modality[SENSORS] =
        (SeamModality){.name = "sensors",
                       .front = SEAM_FRONT_SENSOR,
                       .channels = 1,
                       .std = {1},
                       .sensor = {.rate = 32, .patch = 8, .time_bins = 2, .arc_channel = -1}};
    g_strlcpy(c->modality[SENSORS].sensor.channel_name[0], "current", SEAM_NAME_LENGTH);
    c->modality[TEXT] =
        (SeamModality){.name = "text",
                       .front = SEAM_FRONT_TEXT,
                       .sparse = true,
                       .text = {.buckets = 16, .ngram_min = 3, .ngram_max = 3, .max_tokens = 4}};
    const char *const classes[CLASSES] = {"good", "porosity", "overlap"};
    c->n_classes = CLASSES;
    for (int32_t k = 0; k < CLASSES; k++)
        g_strlcpy(c->class_name[k], classes[k], SEAM_NAME_LENGTH);
    c->n_tasks = 3;
    c->task[CLASSIFY] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 2};
    c->task[LOCALISE] = (SeamTask){.name = "localise", .kind = SEAM_TASK_LOCALISE, .upscale = 2};
    c->task[ANOMALY] =
        (SeamTask){.name = "anomaly", .kind = SEAM_TASK_ANOMALY, .memory = 8, .neighbours = 1};
}

static void fit_anomaly(SeamAnomaly *a, const SeamKernels *kernels) {
    float good[8 * 2 * DIM];
    SeamRandom random = seam_random(2, 2);
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        good[i] = (float)seam_random_normal(&random);
    g_assert_true(seam_anomaly_fit(a, SENSORS, good, 6, good + 6 * 2 * DIM, 2, kernels, 0, NULL));
}

// Window 0: both pictures and sensors. Window 1: nothing. Window 2: sensors.
static void setup(Fixture *f, gconstpointer regress) {
    SeamConfig *config = g_new0(SeamConfig, 1);
    GError *error = NULL;
    set_config(config);
    if (regress) {
        config->task[LOCALISE].boxes = SEAM_BOXES_REGRESS;
        config->task[LOCALISE].good_boxes = config->task[LOCALISE].by_class = true;
    }
    f->model = seam_model_new(config, false, 11, &error);
    g_assert_no_error(error);
    g_free(config);
    g_assert_true(seam_arena_init(&f->arena, 1 << 20));
    f->run = (SeamRun){seam_kernels_ref(), &f->arena};
    fit_anomaly(&f->model->task[ANOMALY].anomaly, f->run.kernels);
    SeamRandom random = seam_random(1, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(f->x); i++)
        f->x[i] = (float)seam_random_normal(&random);
    for (int32_t i = 0; i < 2 * PICTURE; i++)
        f->place[i] = (SeamPlace){.t = i < PICTURE ? 0.125f : 0.25f,
                                  .modality = VIDEO,
                                  .domain = i % PICTURE ? SEAM_DOMAIN_PATCH : SEAM_DOMAIN_SUMMARY};
    for (int32_t i = 2 * PICTURE; i < TOKENS; i++)
        f->place[i] = (SeamPlace){.t = 0.1f, .modality = SENSORS, .domain = SEAM_DOMAIN_TIME};
    const int32_t start[] = {0, FIRST, FIRST, TOKENS};
    const double time[] = {3, 3.5, 4};
    memcpy(f->seq_start, start, sizeof start);
    memcpy(f->seq_time, time, sizeof time);
    f->tokens = (SeamTokens){.n = TOKENS,
                             .dim = DIM,
                             .seqs = 3,
                             .x = f->x,
                             .seq_start = f->seq_start,
                             .seq_time = f->seq_time,
                             .place = f->place};
    f->result = g_new0(SeamWindowResult, 1);
}

static void teardown(Fixture *f, gconstpointer data) {
    g_free(f->result);
    seam_model_free(f->model);
    seam_arena_clear(&f->arena);
}

static SeamStatus decide(Fixture *f, int32_t window, uint32_t tasks) {
    return seam_decide(f->model, &f->run, &f->tokens, window, tasks, EXPECTED, NULL, f->result);
}

static void test_all(Fixture *f, gconstpointer data) {
    SeamWindowResult *r = f->result;
    const float use[EXPERTS] = {0.5f, 0.25f, 0.25f, 0};
    g_assert_cmpint(seam_decide(f->model, &f->run, &f->tokens, 0, ALL, EXPECTED, use, r), ==,
                    SEAM_OK);
    g_assert_cmpuint(f->arena.used, ==, 0);
    g_assert_cmpuint(f->arena.peak, <=, seam_decide_bytes(f->model, TOKENS));
    g_assert_cmpfloat(r->time, ==, 3);
    g_assert_cmpfloat(r->duration, ==, 0.5);
    g_assert_cmpuint(r->present, ==, 1 << VIDEO | 1 << SENSORS);
    g_assert_cmpuint(r->missing, ==, 0); // text is sparse
    g_assert_true(r->has_classify && r->has_anomaly);
    g_assert_cmpfloat_with_epsilon(r->probability[0] + r->probability[1] + r->probability[2], 1,
                                   1e-6);
    g_assert_cmpfloat_with_epsilon(r->score, log((1 - r->probability[0]) / r->probability[0]),
                                   1e-4);
    g_assert_cmpfloat_with_epsilon(r->anomaly, r->anomaly_of[SENSORS], 1e-6);
    g_assert_true(isnan(r->anomaly_of[VIDEO]));
    g_assert_cmpfloat(r->expert_use[1], ==, 0.25f);
}

// The modalities' shares and the biases make up the margin of the worst defect.
static void test_contributions(Fixture *f, gconstpointer data) {
    SeamWindowResult *r = f->result;
    float *bias = f->model->task[CLASSIFY].classify.bias->data;
    bias[1] = 0.5f;
    g_assert_cmpint(decide(f, 0, 1 << CLASSIFY), ==, SEAM_OK);
    int32_t worst = r->probability[1] > r->probability[2] ? 1 : 2;
    double margin = log(r->probability[worst] / r->probability[0]);
    g_assert_cmpfloat_with_epsilon(
        r->contribution[VIDEO] + r->contribution[SENSORS] + bias[worst] - bias[0], margin, 1e-4);
    g_assert_cmpfloat(r->contribution[TEXT], ==, 0);
    g_assert_false(r->has_anomaly);
}

// Without a localise task the heat map is what each patch added to the margin: of the picture that added most, and what speaks for good is cold.
static void test_heat_of_shares(Fixture *f, gconstpointer data) {
    SeamWindowResult *r = f->result;
    SeamClassify *c = &f->model->task[CLASSIFY].classify;
    for (int32_t i = 0; i < 2 * PICTURE; i++)
        for (int32_t d = 0; d < DIM; d++)
            f->x[i * DIM + d] = d == DIM - 1 ? 1 : 0;
    memset(c->score->data, 0, DIM * sizeof(float)); // every token weighs the same
    memset(c->weight->data, 0, CLASSES * DIM * sizeof(float));
    c->weight->data[DIM] = 2;        // porosity looks at the first feature
    c->bias->data[2] = -100;         // and is the likelier defect
    f->x[(PICTURE + 2) * DIM] = 10;  // second picture, row 0, column 1
    f->x[(PICTURE + 3) * DIM] = -10; // row 1, column 0 speaks for good
    g_assert_cmpint(decide(f, 0, 1 << CLASSIFY), ==, SEAM_OK);
    g_assert_cmpint(r->heat_of, ==, SEAM_TASK_CLASSIFY);
    g_assert_cmpint(r->heat_w, ==, 2);
    g_assert_cmpint(r->heat_modality, ==, VIDEO);
    g_assert_cmpfloat(r->heat_time, ==, 3.25);
    g_assert_cmpfloat_with_epsilon(r->heat[1], 1 - r->probability[0], 1e-6);
    g_assert_cmpfloat(r->heat[2], ==, 0);
    g_assert_true(r->heat[0] < 0.5f * r->heat[1] && r->heat[3] < 0.5f * r->heat[1]);
    g_assert_cmpint(r->n_boxes, ==, 0);
    g_assert_cmpint(decide(f, 0, 1 << CLASSIFY | 1 << LOCALISE), ==, SEAM_OK);
    g_assert_cmpint(r->heat_of, ==, SEAM_TASK_LOCALISE);
}

// Certain beyond single precision, the score is cut and stays a number.
static void test_score_cut(Fixture *f, gconstpointer data) {
    f->model->task[CLASSIFY].classify.bias->data[0] = 1000;
    g_assert_cmpint(decide(f, 0, 1 << CLASSIFY), ==, SEAM_OK);
    g_assert_cmpfloat(f->result->score, ==, -15);
    f->model->task[CLASSIFY].classify.bias->data[0] = -1000;
    g_assert_cmpint(decide(f, 0, 1 << CLASSIFY), ==, SEAM_OK);
    g_assert_cmpfloat(f->result->score, ==, 15);
}

// One hot patch of the second picture, seen by one class: heat and box are of that picture, over
// that patch.
static void test_heat(Fixture *f, gconstpointer data) {
    SeamWindowResult *r = f->result;
    SeamLocalise *l = &f->model->task[LOCALISE].localise;
    memset(l->head.weight->data, 0, l->head.weight->size * sizeof(float));
    for (int32_t i = 0; i < 8; i++) {
        l->head.bias->data[i] = -4;
        l->head.weight->data[i * DIM] =
            i >= 4 ? 4 : 0; // the second defect looks at the first feature
    }
    for (int32_t i = 0; i < 2 * PICTURE; i++)
        for (int32_t d = 0; d < DIM; d++)
            f->x[i * DIM + d] = d == DIM - 1 ? 1 : 0;
    f->x[(PICTURE + 2) * DIM] = 10; // row 0, column 1
    g_assert_cmpint(decide(f, 0, 1 << LOCALISE), ==, SEAM_OK);
    g_assert_cmpint(r->heat_w, ==, 4);
    g_assert_cmpint(r->heat_h, ==, 4);
    g_assert_cmpint(r->heat_modality, ==, VIDEO);
    g_assert_cmpfloat(r->heat_time, ==, 3.25);
    for (int32_t i = 0; i < 16; i++)
        g_assert_true((r->heat[i] > 0.5f) == (i / 4 < 2 && i % 4 >= 2));
    g_assert_cmpint(r->n_boxes, ==, 1);
    g_assert_cmpint(r->n_shown, ==, 1);
    g_assert_cmpint(r->box[0].class_index, ==, 2);
    g_assert_cmpfloat_with_epsilon(r->box[0].x, 0.75, 1e-6);
    g_assert_cmpfloat_with_epsilon(r->box[0].y, 0.25, 1e-6);
    g_assert_cmpfloat_with_epsilon(r->box[0].score, r->heat[2], 1e-6);
}

// The same patch, seen as good by one cell and as a defect by another: both are boxed, the heat map shows the defect alone, and a score is
// multiplied by the probability of its class where classify has run.
static void test_regress(Fixture *f, gconstpointer data) {
    enum { GOOD_MAP = 0, DEFECT_MAP = 2, SIDES = 3 };
    SeamWindowResult *r = f->result;
    SeamLocalise *l = &f->model->task[LOCALISE].localise;
    g_assert_cmpuint(l->head.bias->size, ==, (CLASSES + 4) * 4);
    memset(l->head.weight->data, 0, l->head.weight->size * sizeof(float));
    for (int32_t i = 0; i < CLASSES * 4; i++)
        l->head.bias->data[i] = -9;
    for (int32_t i = SIDES * 4; i < (SIDES + 4) * 4; i++)
        l->head.bias->data[i] = logf(1.6f); // a fifth of the picture, each way
    l->head.weight->data[(GOOD_MAP * 4 + 1) * DIM] = 6;   // the cell to the upper right
    l->head.weight->data[(DEFECT_MAP * 4 + 2) * DIM] = 5; // to the lower left
    for (int32_t i = 0; i < 2 * PICTURE; i++)
        for (int32_t d = 0; d < DIM; d++)
            f->x[i * DIM + d] = d == DIM - 1 ? 1 : 0;
    f->x[(PICTURE + 2) * DIM] = 10; // row 0, column 1
    g_assert_cmpint(decide(f, 0, 1 << LOCALISE), ==, SEAM_OK);
    g_assert_cmpint(r->n_boxes, ==, 2);
    g_assert_cmpint(r->n_shown, ==, 2);
    g_assert_cmpint(r->box[0].class_index, ==, 0);
    g_assert_cmpint(r->box[1].class_index, ==, 2);
    g_assert_cmpfloat_with_epsilon(r->box[1].x, 0.625, 1e-5); // its cell's centre
    g_assert_cmpfloat_with_epsilon(r->box[1].y, 0.375, 1e-5);
    g_assert_cmpfloat_with_epsilon(r->box[1].w, 0.4, 1e-5);
    for (int32_t i = 0; i < 16; i++)
        g_assert_true((r->heat[i] > 0.5f) == (i == 4 + 2));
    float plain = r->box[0].score, second = r->box[1].score;
    g_assert_cmpint(decide(f, 0, 1 << LOCALISE | 1 << CLASSIFY), ==, SEAM_OK);
    g_assert_cmpint(r->n_boxes, ==, 2);
    for (int32_t i = 0; i < 2; i++) {
        const SeamBox *b = &r->box[i];
        g_assert_cmpfloat_with_epsilon(b->score, (b->class_index ? second : plain) * r->probability[b->class_index], 1e-6);
        g_assert_true((b->score >= 0.3f) == (i < r->n_shown));
    }
}

static void test_empty_window(Fixture *f, gconstpointer data) {
    g_assert_cmpint(decide(f, 1, ALL), ==, SEAM_OK);
    g_assert_cmpfloat(f->result->time, ==, 3.5);
    g_assert_cmpuint(f->result->present, ==, 0);
    g_assert_cmpuint(f->result->missing, ==, 1 << VIDEO | 1 << SENSORS);
    g_assert_false(f->result->has_classify || f->result->has_anomaly);
    g_assert_cmpint(f->result->heat_w, ==, 0);
}

// The third window alone gives what it gives beside the others, and no heat map without a picture.
static void test_window_alone(Fixture *f, gconstpointer data) {
    g_assert_cmpint(decide(f, 2, ALL), ==, SEAM_OK);
    g_assert_cmpint(f->result->heat_w, ==, 0);
    g_assert_cmpuint(f->result->missing, ==, 1 << VIDEO);
    float score = f->result->score, anomaly = f->result->anomaly;
    int32_t start[2] = {0, 1};
    SeamTokens alone = {.n = 1,
                        .dim = DIM,
                        .seqs = 1,
                        .x = f->x + FIRST * DIM,
                        .seq_start = start,
                        .seq_time = f->seq_time + 2,
                        .place = f->place + FIRST};
    g_assert_cmpint(seam_decide(f->model, &f->run, &alone, 0, ALL, EXPECTED, NULL, f->result), ==,
                    SEAM_OK);
    g_assert_cmpfloat(f->result->score, ==, score);
    g_assert_cmpfloat(f->result->anomaly, ==, anomaly);
}

static void test_broken(Fixture *f, gconstpointer data) {
    f->x[7 * DIM] = NAN;                // a patch
    f->x[(FIRST - 1) * DIM] = INFINITY; // a stretch
    for (int32_t task = 0; task < 3; task++)
        g_assert_cmpint(decide(f, 0, 1u << task), ==, SEAM_DEVICE_ERROR);
}

// A task without a memory or without its bit says nothing.
static void test_not_ready(Fixture *f, gconstpointer data) {
    seam_anomaly_clear(&f->model->task[ANOMALY].anomaly);
    g_assert_cmpint(decide(f, 0, 1 << ANOMALY), ==, SEAM_OK);
    g_assert_false(f->result->has_anomaly || f->result->has_classify);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/decide/" name, Fixture, NULL, setup, function, teardown)
    ADD("all", test_all);
    ADD("contributions", test_contributions);
    ADD("heat-of-shares", test_heat_of_shares);
    ADD("score-cut", test_score_cut);
    ADD("heat", test_heat);
    g_test_add("/decide/regress", Fixture, "regress", setup, test_regress, teardown);
    ADD("empty-window", test_empty_window);
    ADD("window-alone", test_window_alone);
    ADD("broken", test_broken);
    ADD("not-ready", test_not_ready);
    return g_test_run();
}
