// SPDX-License-Identifier: LGPL-2.1-or-later
//
// See helpers.h. The bundles are small enough that a whole graph takes milliseconds, and have every front end and task.
#include "tests/plugins/helpers.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/conformal.h"
#include "core/pack.h"
#include "core/random.h"
#include "tests/remove.h"

enum { DIM = 24, ARENA_BYTES = 16 << 20 };

void test_init(int *argc, char ***argv)
{
    gst_init(argc, argv);
    g_test_init(argc, argv, NULL);
    GstPlugin *plugin = gst_registry_find_plugin(gst_registry_get(), "seam");
    if (!plugin)
        g_error("the plugin was not found: run this test by `meson test`, which sets GST_PLUGIN_PATH");
    gst_object_unref(plugin);
}

// ---- bundles ------------------------------------------------------------------------------------------------------------------------------

static SeamModality image_modality(const char *name, int32_t channels, float arc_on, bool sparse)
{
    SeamModality m = {.front = SEAM_FRONT_IMAGE, .channels = channels, .delta_rank = 2, .sparse = sparse, .arc_on = arc_on,
                      .image = {.size = 16, .stem_layers = 2, .stem_width = {8, DIM}}};
    g_strlcpy(m.name, name, sizeof m.name);
    for (int32_t c = 0; c < channels; c++) {
        m.mean[c] = 127.5f;
        m.std[c] = 64;
    }
    return m;
}

static SeamModality sensor_modality(const char *name, int32_t channels, double rate, int32_t fft, float arc_on)
{
    SeamModality m = {.front = SEAM_FRONT_SENSOR, .channels = channels, .delta_rank = 2, .arc_on = arc_on,
                      .sensor = {.rate = rate, .patch = (int32_t)(rate / 10), .time_bins = 2, .fft = fft, .bands = 2,
                                 .arc_channel = arc_on > 0 ? 0 : -1}};
    g_strlcpy(m.name, name, sizeof m.name);
    for (int32_t c = 0; c < channels; c++) {
        m.std[c] = 1;
        g_snprintf(m.sensor.channel_name[c], SEAM_NAME_LENGTH, "%s", channels == 1 ? name : c == 0 ? "current" : "voltage");
    }
    return m;
}

void test_config(SeamConfig *c)
{
    static const char *const classes[] = {"good", "porosity", "burn-through"};
    *c = (SeamConfig){0};
    g_assert_true(seam_config_preset(c, "nano", NULL));
    c->dim = c->expert_width = c->fusion_width = DIM;
    c->layers = 4;
    c->heads = 2;
    c->mixer[1] = SEAM_MIXER_LOCAL;
    c->experts = 4;
    c->groups = c->groups_kept = c->top_k = 2;
    c->router_rank = 4;
    c->fusion_layers = 1;
    c->window = TEST_WINDOW;
    c->n_modalities = TEST_MODALITIES;
    c->modality[TEST_VIDEO] = image_modality("video", 1, 0.5f, false);
    c->modality[TEST_SENSORS] = sensor_modality("sensors", 2, 100, 8, 20);
    c->modality[TEST_SOUND] = sensor_modality("sound", 1, 1000, 64, 0);
    c->modality[TEST_PHOTO] = image_modality("photo", 3, 0, true);
    c->modality[TEST_TEXT] = (SeamModality){.name = "text", .front = SEAM_FRONT_TEXT, .sparse = true,
                                            .text = {.buckets = 64, .ngram_min = 3, .ngram_max = 5, .max_tokens = 8}};
    c->n_classes = G_N_ELEMENTS(classes);
    for (int32_t i = 0; i < c->n_classes; i++)
        g_strlcpy(c->class_name[i], classes[i], SEAM_NAME_LENGTH);
    c->n_tasks = TEST_TASKS;
    c->task[TEST_CLASSIFY] = (SeamTask){.name = "classify", .kind = SEAM_TASK_CLASSIFY, .rank = 2};
    c->task[TEST_LOCALISE] = (SeamTask){.name = "localise", .kind = SEAM_TASK_LOCALISE, .rank = 2, .upscale = 2};
    c->task[TEST_ANOMALY] = (SeamTask){.name = "anomaly", .kind = SEAM_TASK_ANOMALY, .memory = 8, .neighbours = 2};
}

// Scores as a trained model has them: good welds under -4, defective ones over 4; enough of them for the default promises.
static JsonObject *calibration_meta(const SeamConfig *config, TestBundleFlags flags)
{
    static const uint32_t sets[] = {1 << TEST_VIDEO | 1 << TEST_SENSORS | 1 << TEST_SOUND, 1 << TEST_SENSORS | 1 << TEST_SOUND, 1 << TEST_VIDEO};
    SeamCalibration *calibration = seam_calibration_new();
    if (flags & TEST_BUNDLE_EFFORT)
        calibration->effort = TEST_EFFORT;
    for (guint s = 0; s < G_N_ELEMENTS(sets); s++)
        for (int i = 0; i < (flags & TEST_BUNDLE_EFFORT ? 800 : 400); i++) {
            float at = -4 - 0.01f * (float)(i % 400), shift = i < 400 ? 0 : -TEST_EFFORT_SHIFT;
            g_assert_true(seam_calibration_add(calibration, config, sets[s], i >= 400, false, at + shift, NULL));
            g_assert_true(seam_calibration_add(calibration, config, sets[s], i >= 400, true, -at + shift, NULL));
        }
    JsonObject *meta = json_object_new();
    json_object_set_object_member(meta, "calibration", seam_calibration_print(calibration, config));
    seam_calibration_free(calibration);
    return meta;
}

static char *fingerprint_of(const char *bundle)
{
    SeamModel *model = test_model(bundle);
    char *fingerprint = g_strdup(model->fingerprint);
    seam_model_free(model);
    return fingerprint;
}

static void fit_memory(SeamModel *model, uint64_t seed)
{
    SeamAnomaly *a = &model->task[TEST_ANOMALY].anomaly;
    g_autofree float *good = g_new(float, 12 * a->width);
    SeamRandom random = seam_random(seed, 3);
    for (int32_t m = TEST_VIDEO; m <= TEST_SOUND; m++) {
        for (int32_t i = 0; i < 12 * a->width; i++)
            good[i] = (float)seam_random_normal(&random);
        g_assert_true(seam_anomaly_fit(a, m, good, 8, good + 8 * a->width, 4, seam_kernels_ref(), seed, NULL));
    }
}

static void write_adapter(const char *file, SeamModel *model, int32_t task, const char *fingerprint)
{
    SeamNamedArray extra[SEAM_ANOMALY_EXPORTS * SEAM_MAX_MODALITIES];
    int32_t n = task == TEST_ANOMALY ? seam_anomaly_export(&model->task[task].anomaly, extra) : 0;
    g_autoptr(GError) error = NULL;
    seam_bundle_write_adapter(file, model->config.task[task].name, fingerprint, model->params, false, extra, n, NULL, &error);
    g_assert_no_error(error);
}

static void set_mixers(SeamConfig *config, TestBundleFlags flags)
{
    for (int32_t l = 0; flags & TEST_BUNDLE_SCAN && l < config->layers; l++)
        config->mixer[l] = SEAM_MIXER_SCAN;
    if (flags & (TEST_BUNDLE_SCAN | TEST_BUNDLE_MIXERS))
        config->scan_state = 4;
    if (flags & TEST_BUNDLE_MIXERS) {
        memcpy(config->mixer, (SeamMixer[]){SEAM_MIXER_SCAN, SEAM_MIXER_HASH, SEAM_MIXER_GATED, SEAM_MIXER_LOCAL}, 4 * sizeof(SeamMixer));
        config->hash_bucket = 4;
        config->hash_rounds = 2;
        config->gated_budget = 0.1f;
        config->fusion_bucket = 4;
    }
}

static void make_sure(SeamModel *model)
{
    for (int32_t l = 0; l < model->config.layers; l++)
        if (seam_exit_at(&model->config, l)) {
            memset(model->exit[l].head.weight->data, 0, sizeof(float) * model->exit[l].head.weight->size);
            model->exit[l].head.bias->data[0] = 30;
        }
}

static void add_generate(SeamConfig *c)
{
    c->task[c->n_tasks++] = (SeamTask){.name = "next", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_FORECAST, .of = "sensors", .horizon = 2};
    c->task[c->n_tasks++] = (SeamTask){.name = "say", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_TEXT, .depth = 1, .width = 16, .length = 64};
    c->task[c->n_tasks++] = (SeamTask){.name = "fill", .kind = SEAM_TASK_GENERATE, .what = SEAM_GENERATE_SIGNAL, .of = "sensors", .mask = 0.25f};
}

char *test_bundle_new(uint64_t seed, TestBundleFlags flags)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("seam-test-XXXXXX", &error);
    g_assert_no_error(error);
    char *path = g_build_filename(folder, "test.seam", NULL);
    g_autofree SeamConfig *config = g_new0(SeamConfig, 1);
    test_config(config);
    set_mixers(config, flags);
    if (flags & TEST_BUNDLE_GENERATE)
        add_generate(config);
    config->bank_slots = flags & TEST_BUNDLE_BANK ? 4 : 0;
    config->bank_write = flags & TEST_BUNDLE_BANK ? 1 : 0;
    config->exit_every = flags & (TEST_BUNDLE_EXITS | TEST_BUNDLE_EFFORT) ? 2 : 0;
    SeamModel *model = seam_model_new(config, false, seed, &error);
    g_assert_no_error(error);
    for (size_t i = 0; flags & TEST_BUNDLE_BANK && i < model->bank.out.weight->size; i++) // zero in a new one
        model->bank.out.weight->data[i] = i % 7 ? 0.1f : -0.4f;
    make_sure(model);
    for (guint i = 0; flags & TEST_BUNDLE_I8 && i < model->params->tensors->len; i++) {
        SeamTensor *tensor = g_ptr_array_index(model->params->tensors, i);
        tensor->type = seam_tensor_may_narrow(tensor) ? SEAM_PACK_I8 : SEAM_PACK_F32;
    }
    JsonObject *meta = flags & (TEST_BUNDLE_CALIBRATED | TEST_BUNDLE_EFFORT) ? calibration_meta(config, flags) : NULL;
    seam_bundle_write(path, config, model->params, false, meta, &error);
    g_assert_no_error(error);
    g_clear_pointer(&meta, json_object_unref);
    if (flags & TEST_BUNDLE_ANOMALY) {
        g_autofree char *fingerprint = fingerprint_of(path), *file = g_build_filename(path, "adapters", "anomaly.safetensors", NULL);
        fit_memory(model, seed);
        write_adapter(file, model, TEST_ANOMALY, fingerprint);
    }
    seam_model_free(model);
    return path;
}

char *test_adapter_new(const char *bundle, int32_t task, uint64_t seed)
{
    g_autoptr(GError) error = NULL;
    g_autofree SeamConfig *config = g_new0(SeamConfig, 1);
    g_autofree char *fingerprint = fingerprint_of(bundle);
    test_config(config);
    SeamModel *model = seam_model_new(config, false, seed, &error);
    g_assert_no_error(error);
    if (task == TEST_ANOMALY)
        fit_memory(model, seed);
    char *file = g_strdup_printf("%s/../%s-%" G_GUINT64_FORMAT ".safetensors", bundle, config->task[task].name, (guint64)seed);
    write_adapter(file, model, task, fingerprint);
    seam_model_free(model);
    return file;
}

void test_bundle_free(char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    remove_tree(folder);
    g_free(path);
}

SeamModel *test_model(const char *bundle)
{
    g_autoptr(GError) error = NULL;
    SeamModel *model = seam_model_load(bundle, &error);
    g_assert_no_error(error);
    g_assert_true(seam_model_pack(model, seam_device_kernels("auto", NULL), &error));
    return model;
}

void test_run_init(TestRun *run)
{
    g_assert_true(seam_arena_init(&run->arena, ARENA_BYTES));
    run->run = (SeamRun){seam_device_kernels("auto", NULL), &run->arena};
}

void test_run_clear(TestRun *run) { seam_arena_clear(&run->arena); }

// ---- token buffers --------------------------------------------------------------------------------------------------------------------------

static void fill_tokens(SeamTokens *t, int32_t modality, int32_t n, double time, double step, uint64_t seed)
{
    SeamRandom random = seam_random(seed, 7);
    for (int32_t s = 0; s <= t->seqs; s++)
        t->seq_start[s] = s * n;
    for (int32_t s = 0; s < t->seqs; s++)
        t->seq_time[s] = time + s * step;
    for (int32_t i = 0; i < t->n; i++)
        t->place[i] = (SeamPlace){.t = (float)(step * (i % n) / n), .modality = (uint8_t)modality,
                                  .domain = i % n == 0 ? SEAM_DOMAIN_SUMMARY : SEAM_DOMAIN_TIME};
    for (int32_t i = 0; i < t->n * t->dim; i++)
        t->x[i] = (float)seam_random_normal(&random);
}

GstBuffer *test_tokens_new(const SeamConfig *config, SeamStage stage, int32_t modality, int32_t seqs, int32_t n, double time, double step,
                           float level, uint64_t seed)
{
    int32_t total = seqs * n;
    g_autofree float *x = g_new0(float, MAX(total, 1) * config->dim);
    g_autofree int32_t *seq_start = g_new0(int32_t, seqs + 1);
    g_autofree double *seq_time = g_new0(double, seqs + 1);
    g_autofree SeamPlace *place = g_new0(SeamPlace, total + 1);
    g_autofree SeamLevel *levels = g_new0(SeamLevel, seqs + 1);
    SeamTokens tokens = {.n = total, .dim = config->dim, .seqs = seqs, .x = x, .seq_start = seq_start, .seq_time = seq_time, .place = place};
    fill_tokens(&tokens, modality, MAX(n, 1), time, step, seed);
    for (int32_t s = 0; n == 0 && s <= seqs; s++)
        seq_start[s] = 0;
    for (int32_t s = 0; s < seqs; s++)
        levels[s] = (SeamLevel){seq_time[s], level};
    GstSeamTokensPool *pool = gst_seam_tokens_pool_new(total, config->dim, seqs, seqs);
    GstBuffer *buffer = gst_seam_tokens_pool_acquire(pool, stage, &tokens, levels, isnan(level) ? 0 : seqs, modality);
    gst_seam_tokens_pool_free(pool);
    g_assert_nonnull(buffer);
    GST_BUFFER_PTS(buffer) = (GstClockTime)llround(time * GST_SECOND);
    GST_BUFFER_DURATION(buffer) = (GstClockTime)llround(step * seqs * GST_SECOND);
    return buffer;
}

GstCaps *test_tokens_caps(const SeamModel *model, SeamStage stage, int32_t modality, int32_t layers)
{
    return gst_seam_tokens_caps_new(&model->config, model->fingerprint, stage, modality, layers);
}

// ---- frames -----------------------------------------------------------------------------------------------------------------------------------

GstCaps *test_video_caps(const char *format, int width, int height)
{
    return gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, format, "width", G_TYPE_INT, width, "height", G_TYPE_INT, height,
                               "framerate", GST_TYPE_FRACTION, 25, 1, NULL);
}

// A slope with a ripple, so that neither scaling nor a wrong stride goes unseen.
GstBuffer *test_frame_new(const GstCaps *caps, double time, double duration, uint64_t seed)
{
    GstVideoInfo info;
    g_assert_true(gst_video_info_from_caps(&info, caps));
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&info), NULL);
    GstMapInfo map;
    g_assert_true(gst_buffer_map(buffer, &map, GST_MAP_WRITE));
    for (gsize i = 0; i < map.size; i++)
        map.data[i] = (guint8)(16 + (i * (3 + seed) / 7 + (i % 13) * 5 + seed * 31) % 220);
    gst_buffer_unmap(buffer, &map);
    GST_BUFFER_PTS(buffer) = (GstClockTime)llround(time * GST_SECOND);
    GST_BUFFER_DURATION(buffer) = (GstClockTime)llround(duration * GST_SECOND);
    return buffer;
}

// ---- harness, messages, events ------------------------------------------------------------------------------------------------------------------

GstElement *test_element(const char *factory, const char *bundle)
{
    GstElement *element = gst_element_factory_make(factory, NULL);
    g_assert_nonnull(element);
    gst_object_ref_sink(element);
    if (bundle)
        g_object_set(element, "model", bundle, NULL);
    GstBus *bus = gst_bus_new();
    gst_element_set_bus(element, bus);
    gst_object_unref(bus);
    return element;
}

void test_element_free(GstElement *element)
{
    gst_element_set_state(element, GST_STATE_NULL);
    gst_element_set_bus(element, NULL);
    g_assert_finalize_object(element);
}

GstHarness *test_harness_of(GstElement *element, const char *sink, const char *src)
{
    GstHarness *h = gst_harness_new_with_element(element, sink, src);
    gst_object_unref(element);
    return h;
}

GstHarness *test_harness(const char *factory, const char *sink, const char *src, const char *bundle)
{
    return test_harness_of(test_element(factory, bundle), sink, src);
}

void test_harness_end(GstHarness *h)
{
    GstBus *bus = gst_element_get_bus(h->element);
    if (bus)
        gst_bus_set_flushing(bus, TRUE);
    gst_clear_object(&bus);
    gst_harness_teardown(h);
}

static char *take_message(GstElement *element, GstMessageType type)
{
    GstBus *bus = gst_element_get_bus(element);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, GST_SECOND, type);
    g_autoptr(GError) error = NULL;
    gst_object_unref(bus);
    if (!message)
        return NULL;
    if (type == GST_MESSAGE_ERROR)
        gst_message_parse_error(message, &error, NULL);
    else
        gst_message_parse_warning(message, &error, NULL);
    gst_message_unref(message);
    return g_strdup_printf("%s %d %s", g_quark_to_string(error->domain), error->code, error->message);
}

char *test_error(GstElement *element) { return take_message(element, GST_MESSAGE_ERROR); }

char *test_warning(GstElement *element) { return take_message(element, GST_MESSAGE_WARNING); }

void test_assert_error(GstElement *element, ...)
{
    g_autofree char *text = test_error(element);
    va_list words;
    va_start(words, element);
    g_assert_nonnull(text);
    for (const char *word; (word = va_arg(words, const char *));)
        if (!strstr(text, word))
            g_error("the error \"%s\" does not say \"%s\"", text, word);
    va_end(words);
}

GstEvent *test_pull_event(GstHarness *h, GstEventType type)
{
    for (GstEvent *event; (event = gst_harness_try_pull_event(h));) {
        if (GST_EVENT_TYPE(event) == type)
            return event;
        gst_event_unref(event);
    }
    return NULL;
}
