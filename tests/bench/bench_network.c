// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Our network alone, without elements: pictures that are already scaled go through embedding and encoder, one at a time or one a stream, as
// other runtimes are measured. The configuration is a file, so the same code also measures dense networks (one expert). Parameters are
// drawn: speed does not know.
//
//   bench_network --config CONFIG.json --modality video --pixels FILE --seconds 1 --streams 2
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/model.h"
#include "core/pack.h"

static struct {
    char *config, *modality, *pixels, *device, *type;
    double seconds;
    int streams;
} option = {.seconds = 1, .streams = 1};

enum { MOST_STREAMS = 16 };

typedef struct {
    SeamConfig config;
    SeamModel *model;
    const SeamKernels *kernels;
    int32_t modality;
    char *pixels;
    gsize picture, pictures; // bytes of one; how many
} Bench;

// One thread's: `done` pictures in `took` seconds.
typedef struct {
    const Bench *bench;
    SeamArena arena;
    SeamRun run;
    gsize done;
    double seconds, took;
} Stream;

static bool fail(const char *what) {
    fprintf(stderr, "bench_network: %s\n", what);
    return false;
}

// The weights as `seam quantize` would leave them, and all packed, as the elements run them.
static bool pack_model(const Bench *b, GError **error) {
    static const char *const names[] = {[SEAM_PACK_F32] = "f32", [SEAM_PACK_BF16] = "bf16", [SEAM_PACK_I8] = "i8"};
    int32_t type = SEAM_PACK_F32, last = (int32_t)G_N_ELEMENTS(names) - 1;
    while (option.type && type < last && strcmp(names[type], option.type) != 0)
        type++;
    for (guint i = 0; i < b->model->params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(b->model->params->tensors, i);
        t->type = seam_tensor_may_narrow(t) ? (SeamPackType)type : SEAM_PACK_F32;
    }
    return seam_model_pack(b->model, b->kernels, error);
}

static bool open_bench(Bench *b) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    gsize size = 0;
    if (!g_file_get_contents(option.config, &text, NULL, &error) || !seam_config_parse(&b->config, text, option.config, &error) ||
        !(b->kernels = seam_device_kernels(option.device ? option.device : "auto", &error)) ||
        !(b->model = seam_model_new(&b->config, false, 1, &error)) || !pack_model(b, &error) || !g_file_get_contents(option.pixels, &b->pixels, &size, &error))
        return fail(error->message);
    b->modality = seam_config_modality(&b->config, option.modality);
    if (b->modality < 0 || b->config.modality[b->modality].front != SEAM_FRONT_IMAGE)
        return fail("--modality is no picture stream of the configuration");
    const SeamModality *m = &b->config.modality[b->modality];
    b->picture = (gsize)m->image.size * (gsize)m->image.size * (gsize)m->channels;
    b->pictures = size / b->picture;
    if (b->pictures == 0)
        return fail("--pixels holds less than one picture");
    return true;
}

static bool open_stream(Stream *s, const Bench *b) {
    int32_t tokens = seam_modality_tokens(&b->config, b->modality);
    size_t embed = seam_model_embed_bytes(b->model, b->modality, 1, false), encode = seam_model_encode_bytes(b->model, tokens, false);
    *s = (Stream){.bench = b, .run = {b->kernels, &s->arena}};
    return seam_arena_init(&s->arena, embed + encode) || fail("no memory");
}

static SeamStatus run_picture(Stream *s) {
    const Bench *b = s->bench;
    const uint8_t *picture = (const uint8_t *)b->pixels + s->done % b->pictures * b->picture;
    SeamTokens tokens;
    double time = 0;
    s->arena.used = 0;
    SEAM_TRY(seam_model_embed_images(b->model, &s->run, b->modality, 1, picture, &time, &tokens, NULL));
    return seam_model_encode(b->model, &s->run, 0, b->config.layers - 1, &tokens, NULL, NULL);
}

// One picture after another until `seconds` have gone by.
static gpointer spin(gpointer data) {
    Stream *s = data;
    SeamStatus status = SEAM_OK;
    gint64 start = g_get_monotonic_time();
    for (s->done = 0, s->took = 0; s->took < s->seconds; s->took = (double)(g_get_monotonic_time() - start) * 1e-6, s->done++)
        if ((status = run_picture(s)) != SEAM_OK)
            break;
    return GINT_TO_POINTER(status);
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// All streams at once; *rate becomes the sum of their pictures a second, *cpu_us the processor time of a picture.
static bool spin_all(Stream *stream, double seconds, double *rate, double *cpu_us) {
    double begin = cpu_seconds(), pictures = 0;
    GThread *thread[MOST_STREAMS];
    SeamStatus status = SEAM_OK;
    *rate = 0;
    for (int i = 0; i < option.streams; i++) {
        stream[i].seconds = seconds;
        thread[i] = g_thread_new("stream", spin, &stream[i]);
    }
    for (int i = 0; i < option.streams; i++) {
        SeamStatus own = (SeamStatus)GPOINTER_TO_INT(g_thread_join(thread[i]));
        status = own != SEAM_OK ? own : status;
        *rate += stream[i].took > 0 ? (double)stream[i].done / stream[i].took : 0;
        pictures += (double)stream[i].done;
    }
    *cpu_us = pictures > 0 ? 1e6 * (cpu_seconds() - begin) / pictures : 0;
    return status == SEAM_OK || fail(seam_status_text(status));
}

int main(int argc, char **argv) {
    const GOptionEntry entries[] = {
        {"config", 0, 0, G_OPTION_ARG_FILENAME, &option.config, "The config object of a model.json", "FILE"},
        {"modality", 0, 0, G_OPTION_ARG_STRING, &option.modality, "One of its picture streams", "NAME"},
        {"pixels", 0, 0, G_OPTION_ARG_FILENAME, &option.pixels, "Pictures: bytes [n, size, size, channels]", "FILE"},
        {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &option.seconds, "How long", "S"},
        {"streams", 0, 0, G_OPTION_ARG_INT, &option.streams, "Pictures at a time, each in a thread", "N"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &option.device, "auto, cpu or ref", "NAME"},
        {"type", 0, 0, G_OPTION_ARG_STRING, &option.type, "Number type of the weights: f32 (default), bf16 or i8", "T"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- measure the network alone");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !option.config || !option.modality || !option.pixels ||
        option.streams < 1 || option.streams > MOST_STREAMS) {
        fprintf(stderr, "bench_network: %s\n", error ? error->message : "--config, --modality and --pixels are needed, and 1 to 16 streams");
        return 2;
    }
    static Bench bench;
    static Stream stream[MOST_STREAMS];
    double rate = 0, cpu_us = 0;
    bool good = open_bench(&bench);
    for (int i = 0; good && i < option.streams; i++)
        good = open_stream(&stream[i], &bench);
    good = good && spin_all(stream, option.seconds / 10, &rate, &cpu_us) && spin_all(stream, option.seconds, &rate, &cpu_us);
    if (good)
        printf("{\"rate\": %.4f, \"cpu_us\": %.3f}\n", rate, cpu_us);
    for (int i = 0; i < option.streams; i++)
        seam_arena_clear(&stream[i].arena);
    seam_model_free(bench.model);
    g_free(bench.pixels);
    return good ? 0 : 1;
}
