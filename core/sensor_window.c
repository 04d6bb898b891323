// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The windower. Output samples have global numbers ("slots"): slot j lies at j / rate seconds,
// window k has the slots from k * samples on. Windows that wait are blocks in a list; a window in
// which nothing came has no block, so that a long pause costs no memory.
#include "core/sensor_window.h"

#include <math.h>
#include <string.h>

#include "core/error.h"

static const double SLOT_EPSILON = 1e-6; // of a slot: what rounding may do to a time
static const double MAX_TIME = 1e9;      // seconds; slots then stay exact in a double
static const double MAX_JUMP = 1e6;      // windows: more than a week of seconds is a broken clock
static const double LEVEL_RATE = 50.0;   // levels a second, at most
enum { BLOCKS_AHEAD = 3 }; // blocks of a steady stream: one given out, one complete, one that fills

typedef enum { COPY, AVERAGE, INTERPOLATE } Mode;

typedef struct Block {
    struct Block *next;
    int64_t window;
    float x[]; // [samples, channels]
} Block;

struct SeamWindower {
    Mode mode;
    int32_t channels, samples, arc_channel;
    int32_t level_step; // samples a level
    double rate, input_rate, window;
    double longest; // seconds over which may be interpolated: half a stretch

    // The input: sample `count` after the anchor is expected at origin + count / input_rate.
    bool started, anchored;
    double origin;
    int64_t count, origin_slot;
    int64_t position;    // the first slot that may still change
    int64_t next_window; // the next to be given

    // AVERAGE: the slot that fills, and what fell into it.
    int64_t open_slot; // -1: none
    double *sum;       // [channels]
    int32_t *terms;    // [channels]

    // INTERPOLATE: the sample before.
    bool has_last;
    double last_time;
    float *last; // [channels]

    Block *head, *tail; // windows with samples, in order
    Block *spare;       // list
    Block *given;       // what the last pop gave out
    Block *empty;       // all NaN
    SeamLevel *levels;
};

// ---- blocks
// --------------------------------------------------------------------------------------

static Block *block_new(const SeamWindower *w) {
    size_t bytes = sizeof(Block) + sizeof(float) * (size_t)w->samples * (size_t)w->channels;
    return g_try_malloc(bytes);
}

static void block_clear(const SeamWindower *w, Block *block) {
    for (int64_t i = 0; i < (int64_t)w->samples * w->channels; i++)
        block->x[i] = NAN;
}

static void list_free(Block *list) {
    while (list) {
        Block *next = list->next;
        g_free(list);
        list = next;
    }
}

static void make_spare(SeamWindower *w, Block *block) {
    block->next = w->spare;
    w->spare = block;
}

static Block *append_block(SeamWindower *w, int64_t window) {
    Block *block = w->spare;
    if (block)
        w->spare = block->next;
    else
        block = block_new(w);
    if (!block)
        return NULL;
    block_clear(w, block);
    block->next = NULL;
    block->window = window;
    if (w->tail)
        w->tail->next = block;
    else
        w->head = block;
    w->tail = block;
    return block;
}

// Where the values of a slot go; *late when its window was given out already. NULL then, and when
// memory is short.
static float *slot_values(SeamWindower *w, int64_t slot, bool *late) {
    int64_t window = slot / w->samples;
    Block *block = w->tail;
    *late = window < w->next_window || (block && window < block->window);
    if (*late)
        return NULL;
    if (!block || block->window != window)
        block = append_block(w, window);
    return block ? block->x + (slot % w->samples) * w->channels : NULL;
}

// ---- one input sample, by mode; false when memory is short -------------------------------------

static double time_of(const SeamWindower *w, int64_t count) {
    return w->origin + (double)count / w->input_rate;
}

static int64_t slot_at(const SeamWindower *w, double time) {
    return (int64_t)floor(time * w->rate + SLOT_EPSILON);
}

static bool copy_sample(SeamWindower *w, const float *x) {
    bool late;
    int64_t slot = w->origin_slot + w->count;
    float *values = slot_values(w, slot, &late);
    if (!values && !late)
        return false;
    for (int32_t c = 0; values && c < w->channels; c++)
        values[c] = isfinite(x[c]) ? x[c] : NAN;
    w->position = slot + 1;
    return true;
}

// Writes the mean of what fell into the open slot.
static bool close_slot(SeamWindower *w) {
    bool late;
    if (w->open_slot < 0)
        return true;
    float *values = slot_values(w, w->open_slot, &late);
    if (!values && !late)
        return false;
    for (int32_t c = 0; c < w->channels; c++) {
        if (values && w->terms[c] > 0)
            values[c] = (float)(w->sum[c] / w->terms[c]);
        w->sum[c] = 0.0;
        w->terms[c] = 0;
    }
    w->position = MAX(w->position, w->open_slot + 1);
    w->open_slot = -1;
    return true;
}

static bool average_sample(SeamWindower *w, const float *x) {
    int64_t slot = slot_at(w, time_of(w, w->count)), next = slot_at(w, time_of(w, w->count + 1));
    if (w->open_slot != slot && !close_slot(w))
        return false;
    w->open_slot = slot;
    for (int32_t c = 0; c < w->channels; c++) {
        if (!isfinite(x[c]))
            continue;
        w->sum[c] += (double)x[c];
        w->terms[c]++;
    }
    return next == slot || close_slot(w);
}

// The slots after the last sample up to this one, on the straight line between the two.
static bool fill_line(SeamWindower *w, double time, const float *x) {
    double span = time - w->last_time;
    for (int64_t slot = slot_at(w, w->last_time) + 1; slot <= slot_at(w, time); slot++) {
        bool late;
        float *values = slot_values(w, slot, &late);
        if (!values && !late)
            return false;
        double part = CLAMP(((double)slot / w->rate - w->last_time) / span, 0.0, 1.0);
        for (int32_t c = 0; values && c < w->channels; c++)
            if (isfinite(x[c]) && isfinite(w->last[c]))
                values[c] =
                    (float)((double)w->last[c] + part * ((double)x[c] - (double)w->last[c]));
    }
    return true;
}

// The slot nearest to the sample takes its value where no line gave one: alone, beside a gap, or at
// the end.
static bool fill_nearest(SeamWindower *w, double time, const float *x) {
    bool late;
    int64_t slot = (int64_t)floor(time * w->rate + 0.5);
    if (slot / w->samples != slot_at(w, time) / w->samples)
        return true;
    float *values = slot_values(w, slot, &late);
    for (int32_t c = 0; values && c < w->channels; c++)
        if (isnan(values[c]) && isfinite(x[c]))
            values[c] = x[c];
    return values || late;
}

static bool interpolate_sample(SeamWindower *w, const float *x) {
    double time = time_of(w, w->count);
    bool joined = w->has_last && time - w->last_time <= w->longest * (1.0 + SLOT_EPSILON);
    if ((joined && !fill_line(w, time, x)) || !fill_nearest(w, time, x))
        return false;
    memcpy(w->last, x, sizeof(float) * (size_t)w->channels);
    w->last_time = time;
    w->has_last = true;
    w->position = MAX(w->position, slot_at(w, time) + 1);
    return true;
}

// ---- the stream
// ----------------------------------------------------------------------------------

static bool no_memory(GError **error) {
    g_set_error_literal(error, SEAM_ERROR, SEAM_ERROR_MEMORY,
                        "no memory for the windows of a sensor stream");
    return false;
}

static bool check_time(const SeamWindower *w, double time, double expected, GError **error) {
    if (!(time >= 0.0 && time <= MAX_TIME)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "a sensor time is %g s, must be 0 to %g",
                    time, MAX_TIME);
        return false;
    }
    if (w->started && time - expected > MAX_JUMP * w->window) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "the sensor times jump from %g to %g s: check the clock", expected, time);
        return false;
    }
    return true;
}

// Makes `time` the time of the next sample: absorbed when it is within one sample of what was
// expected, else a new anchor.
static bool anchor(SeamWindower *w, double time, GError **error) {
    double period = (1.0 + SLOT_EPSILON) / w->input_rate, expected = time_of(w, w->count);
    if (!check_time(w, time, expected, error))
        return false;
    if (!w->started) {
        w->next_window = slot_at(w, time) / w->samples;
        expected = time;
    }
    if (time < expected - period) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "the sensor times jump back from %g to %g s: flush the stream first", expected,
                    time);
        return false;
    }
    if (w->anchored && time <= expected + period)
        return true;
    if (!close_slot(w))
        return no_memory(error);
    w->origin = time;
    w->count = 0;
    w->origin_slot = MAX((int64_t)floor(time * w->rate + 0.5), w->position);
    w->started = w->anchored = true;
    return true;
}

bool seam_windower_push(SeamWindower *w, double time, const float *x, int32_t n, GError **error) {
    static bool (*const push_sample[])(SeamWindower *, const float *) = {
        [COPY] = copy_sample, [AVERAGE] = average_sample, [INTERPOLATE] = interpolate_sample};
    if (n <= 0)
        return true;
    if (!anchor(w, time, error))
        return false;
    for (int32_t i = 0; i < n; i++, w->count++)
        if (!push_sample[w->mode](w, x + (size_t)i * (size_t)w->channels))
            return no_memory(error);
    return true;
}

bool seam_windower_gap(SeamWindower *w, double time, GError **error) {
    double expected = w->started ? time_of(w, w->count) : time;
    if (!check_time(w, time, expected, error))
        return false;
    if (w->started && time <= expected)
        return true;
    if (!close_slot(w))
        return no_memory(error);
    int64_t end = (int64_t)ceil(time * w->rate - SLOT_EPSILON);
    // Of a stream that begins with a gap, the window in which the gap ends is the first that is
    // known.
    if (!w->started)
        w->next_window = MAX(end - 1, 0) / w->samples;
    w->position = MAX(w->position, end);
    w->origin = time;
    w->count = 0;
    w->started = true;
    w->anchored = w->has_last = false;
    return true;
}

// ---- windows out
// ---------------------------------------------------------------------------------

// One level from the samples [from, to) of a window: the arc channel's mean, or the RMS over all
// channels; NaN when nothing is there.
static float level_of(const SeamWindower *w, const float *x, int32_t from, int32_t to) {
    double sum = 0.0;
    int32_t terms = 0;
    for (int32_t i = from; i < to; i++)
        for (int32_t c = 0; c < w->channels; c++) {
            double value = (double)x[i * w->channels + c];
            if (isnan(value) || (w->arc_channel >= 0 && c != w->arc_channel))
                continue;
            sum += w->arc_channel >= 0 ? value : value * value;
            terms++;
        }
    if (terms == 0)
        return NAN;
    return (float)(w->arc_channel >= 0 ? sum / terms : sqrt(sum / terms));
}

static int32_t fill_levels(SeamWindower *w, const float *x, double time) {
    int32_t n = 0;
    for (int32_t from = 0; from < w->samples; from += w->level_step) {
        int32_t to = MIN(from + w->level_step, w->samples);
        float value = level_of(w, x, from, to);
        if (!isnan(value))
            w->levels[n++] =
                (SeamLevel){.time = time + 0.5 * (from + to - 1) / w->rate, .value = value};
    }
    return n;
}

static int32_t count_valid(const SeamWindower *w, const float *x) {
    int32_t valid = 0;
    for (int32_t i = 0; i < w->samples; i++) {
        bool present = false;
        for (int32_t c = 0; c < w->channels; c++)
            present = present || !isnan(x[i * w->channels + c]);
        valid += present;
    }
    return valid;
}

// The block of the window that is due, or the empty one.
static Block *take_block(SeamWindower *w) {
    Block *block = w->head;
    if (!block || block->window != w->next_window)
        return w->empty;
    w->head = block->next;
    if (!w->head)
        w->tail = NULL;
    w->given = block;
    return block;
}

bool seam_windower_pop(SeamWindower *w, bool drain, SeamSensorWindow *window) {
    if (w->given)
        make_spare(w, w->given);
    w->given = NULL;
    int64_t begin = w->next_window * w->samples;
    if (!w->started || (!drain && w->position < begin + w->samples))
        return false;
    // The open slot closes in a block that exists, or in one that this pop has just made spare.
    if (w->position < begin + w->samples && (!close_slot(w) || (w->position <= begin && !w->head)))
        return false;
    Block *block = take_block(w);
    *window = (SeamSensorWindow){.time = (double)w->next_window * w->window,
                                 .samples = w->samples,
                                 .x = block->x,
                                 .valid = count_valid(w, block->x),
                                 .levels = w->levels};
    window->n_levels = fill_levels(w, block->x, window->time);
    w->next_window++;
    return true;
}

// ---- life
// ----------------------------------------------------------------------------------------

void seam_windower_reset(SeamWindower *w) {
    while (w->head) {
        Block *next = w->head->next;
        make_spare(w, w->head);
        w->head = next;
    }
    w->tail = NULL;
    w->started = w->anchored = w->has_last = false;
    w->origin = 0.0;
    w->count = w->position = w->next_window = 0;
    w->open_slot = -1;
    memset(w->sum, 0, sizeof *w->sum * (size_t)w->channels);
    memset(w->terms, 0, sizeof *w->terms * (size_t)w->channels);
}

static Mode mode_of(double input_rate, double rate) {
    if (fabs(input_rate - rate) <= 1e-6 * rate)
        return COPY;
    return input_rate > rate ? AVERAGE : INTERPOLATE;
}

static bool allocate(SeamWindower *w) {
    size_t channels = (size_t)w->channels, levels = (size_t)(w->samples / w->level_step + 1);
    w->sum = g_try_new0(double, channels);
    w->terms = g_try_new0(int32_t, channels);
    w->last = g_try_new0(float, channels);
    w->levels = g_try_new0(SeamLevel, levels);
    w->empty = block_new(w);
    if (!w->sum || !w->terms || !w->last || !w->levels || !w->empty)
        return false;
    w->empty->next = NULL;
    block_clear(w, w->empty);
    for (int i = 0; i < BLOCKS_AHEAD; i++) {
        Block *block = block_new(w);
        if (!block)
            return false;
        make_spare(w, block);
    }
    return true;
}

SeamWindower *seam_windower_new(const SeamConfig *config, int32_t modality, double rate,
                                GError **error) {
    const SeamModality *m = &config->modality[modality];
    if (!(rate >= 1e-3 && rate <= 1e7)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "%s: the rate is %g a second, must be 0.001 to 1e7", m->name, rate);
        return NULL;
    }
    SeamWindower *w = g_new0(SeamWindower, 1);
    w->channels = m->channels;
    w->samples = (int32_t)lround(config->window * m->sensor.rate);
    w->arc_channel = m->sensor.arc_channel;
    w->window = config->window;
    w->rate = w->samples / w->window;
    w->input_rate = rate;
    w->mode = mode_of(rate, w->rate);
    w->longest = 0.5 * m->sensor.patch / w->rate;
    w->level_step = MAX(1, (int32_t)ceil(w->rate / LEVEL_RATE - SLOT_EPSILON));
    if (!allocate(w)) {
        seam_windower_free(w);
        no_memory(error);
        return NULL;
    }
    seam_windower_reset(w);
    return w;
}

void seam_windower_free(SeamWindower *w) {
    if (!w)
        return;
    list_free(w->head);
    list_free(w->spare);
    g_free(w->given);
    g_free(w->empty);
    g_free(w->sum);
    g_free(w->terms);
    g_free(w->last);
    g_free(w->levels);
    g_free(w);
}
