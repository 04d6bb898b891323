// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Filling batches. Evaluation takes what the pipeline would see; training draws pictures, modalities and clock shifts by lot.
#include "core/train/batch.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/layers/generate_signal.h"
#include "core/train/ahead.h"

static bool has_samples(const SeamModality *m) {
    return m->front == SEAM_FRONT_SENSOR || m->front == SEAM_FRONT_FEATURES;
}

static int32_t window_samples(const SeamConfig *config, int32_t m) {
    return (int32_t)lrint(config->window * seam_modality_rate(config, m));
}

static bool make_ahead(const SeamConfig *config, int32_t m, int32_t capacity, SeamBatchPart *p) {
    gsize channels = (gsize)config->modality[m].channels;
    p->next = g_try_new(float, (gsize)capacity * channels);
    p->wide = g_try_new(float, (gsize)(window_samples(config, m) + seam_ahead_samples(config, m)) * channels);
    return p->next && p->wide;
}

SeamBatch *seam_batch_new(const SeamConfig *config, int32_t capacity, GError **error) {
    SeamBatch *b = g_new0(SeamBatch, 1);
    bool ok = true;
    b->config = config;
    b->capacity = capacity;
    b->time = g_new0(double, capacity);
    b->label = g_new0(int32_t, capacity);
    b->stream = g_new(int32_t, capacity);
    memset(b->stream, -1, (size_t)capacity * sizeof *b->stream); // alone, whoever fills it
    b->remaining = g_new0(double, capacity);
    for (int32_t m = 0; m < config->n_modalities; m++) {
        SeamBatchPart *p = &b->part[m];
        p->window = g_array_new(FALSE, FALSE, sizeof(int32_t));
        p->time = g_array_new(FALSE, FALSE, sizeof(double));
        p->pixels = g_byte_array_new();
        p->truth = g_array_new(FALSE, TRUE, sizeof(SeamPictureTruth));
        p->sensor = g_array_new(FALSE, TRUE, sizeof(SeamSensorWindow));
        p->text = g_ptr_array_new();
        p->hidden = g_array_new(FALSE, FALSE, sizeof(SeamSignalQuery));
        p->hidden_level = g_array_new(FALSE, FALSE, sizeof(float));
        if (has_samples(&config->modality[m]))
            ok = (p->x = g_try_new(float, (gsize)capacity * window_samples(config, m) * config->modality[m].channels)) && ok;
        if (seam_ahead_samples(config, m) > 0)
            ok = make_ahead(config, m, capacity, p) && ok;
    }
    if (!ok) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for a batch of %d windows; lower \"batch\" or \"chunks\"", capacity);
        g_clear_pointer(&b, seam_batch_free);
    }
    return b;
}

void seam_batch_free(SeamBatch *batch) {
    if (!batch)
        return;
    for (int32_t m = 0; m < batch->config->n_modalities; m++) {
        SeamBatchPart *p = &batch->part[m];
        g_array_unref(p->window);
        g_array_unref(p->time);
        g_byte_array_unref(p->pixels);
        g_array_unref(p->truth);
        g_array_unref(p->sensor);
        g_ptr_array_unref(p->text);
        g_array_unref(p->hidden);
        g_array_unref(p->hidden_level);
        g_free(p->x);
        g_free(p->next);
        g_free(p->wide);
    }
    g_free(batch->time);
    g_free(batch->label);
    g_free(batch->stream);
    g_free(batch->remaining);
    g_free(batch);
}

void seam_batch_reset(SeamBatch *batch) {
    batch->windows = 0;
    for (int32_t m = 0; m < batch->config->n_modalities; m++) {
        SeamBatchPart *p = &batch->part[m];
        p->n = 0;
        g_array_set_size(p->window, 0);
        g_array_set_size(p->time, 0);
        g_byte_array_set_size(p->pixels, 0);
        g_array_set_size(p->truth, 0);
        g_array_set_size(p->sensor, 0);
        g_ptr_array_set_size(p->text, 0);
        g_array_set_size(p->hidden, 0);
        g_array_set_size(p->hidden_level, 0);
    }
}

// ---- what lies in a window -----------------------------------------------------------------------------------------------------

typedef struct {
    const SeamRecord *record;
    double start, end;
} Span;

static bool within(const Span *s, double time) {
    return time >= s->start - 1e-9 && time < s->end - 1e-9;
}

static int32_t first_picture(const SeamStream *stream, const Span *span, int32_t *n) {
    int32_t first = -1;
    *n = 0;
    for (int32_t i = 0; i < stream->pictures; i++)
        if (within(span, stream->picture_time[i])) {
            first = first < 0 ? i : first;
            ++*n;
        }
    return first;
}

static bool any_sample(const SeamConfig *config, int32_t modality, const Span *span) {
    const SeamModality *m = &config->modality[modality];
    const SeamStream *stream = &span->record->stream[modality];
    double rate = seam_modality_rate(config, modality);
    int64_t from = llrint((span->start - stream->start) * rate), to = llrint((span->end - stream->start) * rate);
    for (int64_t i = MAX(from, 0) * m->channels; i < MIN(to, stream->samples) * m->channels; i++)
        if (!isnan(stream->x[i]))
            return true;
    return false;
}

static uint32_t present_in(const SeamConfig *config, const Span *span) {
    uint32_t present = 0;
    for (int32_t m = 0; m < config->n_modalities; m++) {
        const SeamStream *s = &span->record->stream[m];
        int32_t n = 0;
        if (config->modality[m].front == SEAM_FRONT_IMAGE)
            first_picture(s, span, &n);
        else if (has_samples(&config->modality[m]))
            n = any_sample(config, m, span);
        else
            for (int32_t i = 0; i < s->texts; i++)
                n += within(span, s->text[i].time);
        present |= n > 0 ? 1u << m : 0;
    }
    return present;
}

// ---- adding --------------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamBatch *batch;
    int32_t modality, frames;
    double shift; // of this modality's clock: what is at t + shift counts as at t
    const SeamAugment *augment;
    SeamRandom *random;
} Adding;

static void add_input(SeamBatch *b, SeamBatchPart *p, double time) {
    int32_t window = b->windows;
    g_array_append_val(p->window, window);
    g_array_append_val(p->time, time);
    p->n++;
}

static void add_picture(const Adding *a, const SeamStream *stream, const SeamRecord *record, int32_t i) {
    const SeamModality *m = &a->batch->config->modality[a->modality];
    SeamBatchPart *p = &a->batch->part[a->modality];
    size_t bytes = (size_t)m->image.size * m->image.size * m->channels;
    SeamPictureTruth truth = {0};
    truth.n = seam_record_boxes(record, a->modality, stream->picture_time[i], truth.box, SEAM_BATCH_BOXES);
    truth.known = truth.n >= 0;
    truth.n = MAX(truth.n, 0);
    guint at = p->pixels->len;
    g_byte_array_set_size(p->pixels, (guint)(at + bytes));
    const uint8_t *pixels = stream->pixels + (size_t)i * bytes;
    if (a->augment)
        seam_augment_picture(a->augment, a->random, m->image.size, m->channels, pixels, p->pixels->data + at, truth.box, &truth.n);
    else
        memcpy(p->pixels->data + at, pixels, bytes);
    g_array_append_val(p->truth, truth);
    add_input(a->batch, p, stream->picture_time[i] - a->shift);
}

// `frames` pictures out of n: the middle of each of so many equal parts, or one by lot of each.
static void add_pictures(const Adding *a, const SeamRecord *record, const Span *span) {
    const SeamStream *stream = &record->stream[a->modality];
    int32_t n, first = first_picture(stream, span, &n), count = a->frames > 0 ? MIN(a->frames, n) : n;
    for (int32_t k = 0; k < count; k++) {
        double at = a->random ? seam_random_uniform(a->random) : 0.5;
        add_picture(a, stream, record, first + MIN((int32_t)((k + at) * n / count), n - 1));
    }
}

static void add_samples(const Adding *a, const SeamRecord *record, const Span *span) {
    SeamBatch *b = a->batch;
    const SeamStream *stream = &record->stream[a->modality];
    const SeamModality *m = &b->config->modality[a->modality];
    SeamBatchPart *p = &b->part[a->modality];
    int32_t samples = window_samples(b->config, a->modality), channels = m->channels;
    int32_t ahead = p->next && seam_ahead_exists(b->config, a->modality, record, span->start) ? seam_ahead_samples(b->config, a->modality) : 0;
    float *place = p->x + (size_t)p->n * samples * channels, *x = ahead > 0 ? p->wide : place;
    SeamSensorWindow w = {.time = b->time[b->windows], .samples = samples, .x = place};
    int64_t from = llrint((span->start - stream->start) * seam_modality_rate(b->config, a->modality));
    for (int32_t i = 0; i < samples + ahead; i++) {
        int64_t at = from + i;
        for (int32_t c = 0; c < channels; c++)
            x[i * channels + c] = at >= 0 && at < stream->samples ? stream->x[at * channels + c] : NAN;
    }
    if (a->augment && m->front == SEAM_FRONT_FEATURES)
        seam_augment_features(a->augment, a->random, m, x);
    else if (a->augment)
        seam_augment_samples(a->augment, a->random, b->config, a->modality, samples + ahead, x);
    if (ahead > 0) { // what is done to a window is done to what follows it
        memcpy(place, x, (size_t)samples * channels * sizeof *x);
        seam_ahead_level(channels, ahead, x + (size_t)samples * channels, p->next + (size_t)b->windows * channels);
    }
    for (int32_t i = 0; i < samples; i++)
        for (int32_t c = 0; c < channels; c++)
            if (!isnan(place[i * channels + c])) {
                w.valid++;
                break;
            }
    if (w.valid == 0)
        return;
    g_array_append_val(p->sensor, w);
    add_input(b, p, w.time);
}

static void add_texts(const Adding *a, const SeamRecord *record, const Span *span) {
    const SeamStream *stream = &record->stream[a->modality];
    for (int32_t i = 0; i < stream->texts; i++)
        if (within(span, stream->text[i].time)) {
            g_ptr_array_add(a->batch->part[a->modality].text, stream->text[i].text);
            add_input(a->batch, &a->batch->part[a->modality], stream->text[i].time - a->shift);
        }
}

int32_t seam_batch_label(const SeamConfig *config, const SeamRecord *record, double start, uint32_t present) {
    bool steady = false;
    for (int32_t m = 0; m < config->n_modalities; m++)
        steady = steady || (present >> m & 1 && !config->modality[m].sparse);
    return steady ? seam_record_label(record, start, config->window) : record->class_index;
}

uint32_t seam_batch_add(SeamBatch *batch, const SeamRecord *record, double start, uint32_t use, int32_t frames, const SeamAugment *augment,
                        SeamRandom *random) {
    const SeamConfig *config = batch->config;
    Span span = {record, start, start + config->window};
    uint32_t present = present_in(config, &span) & use;
    if (random)
        present = seam_augment_modalities(augment, random, present);
    batch->time[batch->windows] = start;
    batch->stream[batch->windows] = -1;
    batch->label[batch->windows] = seam_batch_label(config, record, start, present);
    batch->remaining[batch->windows] = record->has_remaining ? record->remaining + record->arc_end - span.end : NAN;
    for (int32_t m = 0; m < config->n_modalities; m++) {
        for (int32_t c = 0; batch->part[m].next && c < config->modality[m].channels; c++)
            batch->part[m].next[(size_t)batch->windows * config->modality[m].channels + c] = NAN;
        if (!(present >> m & 1))
            continue;
        double shift = random ? augment->time_shift * config->window * seam_random_range(random, -1, 1) : 0;
        Adding a = {batch, m, frames, shift, augment, random};
        Span moved = {record, span.start + shift, span.end + shift};
        switch (config->modality[m].front) {
        case SEAM_FRONT_IMAGE: add_pictures(&a, record, &moved); break;
        case SEAM_FRONT_SENSOR: add_samples(&a, record, &moved); break;
        case SEAM_FRONT_FEATURES: add_samples(&a, record, &span); break; // a reading of the whole window: no clock to be off
        case SEAM_FRONT_TEXT: add_texts(&a, record, &moved); break;
        }
    }
    batch->windows++;
    return present;
}
