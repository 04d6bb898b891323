// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Drawing windows. With chunks K > 1 a draw is K windows that follow each other without a gap: the one that was drawn comes last where the recording has so
// many before it; else they begin with the recording, and go on after it as far as the recording does. What is drawn for a stream holds
// for all of its windows (light, gains, clocks, what is missing), as it would on a line: each begins with the same state of the lot.
#include "core/train/draw.h"

#include <math.h>

#include "core/error.h"
#include "core/train/hide.h"
#include "core/train/lot.h"

static const double candidate_step = 0.25; // of a window, between the places where windows may begin
static const double life_step = 1.0 / 64;  // the same of windows that learn a remaining life: no jitter puts them past its end
static const double slack = 1e-6;          // of a window, for times that were added up

typedef struct {
    int32_t record;
    double start;
    bool exact; // it begins just there
} Candidate;

// ---- windows ------------------------------------------------------------------------------------------------------------------

// Windows of a life, the last one first, back to those of which a quarter had been seen; `step` keeps to the samples of the slowest sensor.
static size_t gather_life(SeamDraw *d, int32_t r) {
    const SeamConfig *config = d->config;
    const SeamRecord *record = &d->data->record[r];
    double sample = 0, window = config->window;
    size_t n = 0;
    for (int32_t m = 0; m < config->n_modalities; m++)
        sample = config->modality[m].front == SEAM_FRONT_SENSOR ? fmax(sample, 1 / config->modality[m].sensor.rate) : sample;
    double step = sample > 0 ? fmax(1, floor(window * life_step / sample)) * sample : window * life_step;
    for (double start = record->arc_end - window; start + window >= record->arc_start + candidate_step * window; start -= step, n++)
        g_array_append_val(d->candidate[0], ((Candidate){r, start, true}));
    return n;
}

static bool has_task(const SeamConfig *config, SeamTaskKind kind) {
    for (int32_t k = 0; k < config->n_tasks; k++)
        if (config->task[k].kind == kind)
            return true;
    return false;
}

// Whether a task learns from the signal alone, which tells what it is to be.
static bool learns_unlabelled(const SeamConfig *config) {
    for (int32_t k = 0; k < config->n_tasks; k++)
        if (config->task[k].kind == SEAM_TASK_GENERATE && config->task[k].what != SEAM_GENERATE_TEXT)
            return true;
    return false;
}

static bool gather_candidates(SeamDraw *d, const SeamPart *part, GError **error) {
    double window = d->config->window;
    size_t total = 0;
    bool unlabelled = learns_unlabelled(d->config);
    for (int32_t c = 0; c < SEAM_MAX_CLASSES; c++)
        d->candidate[c] = g_array_new(FALSE, FALSE, sizeof(Candidate));
    for (int32_t r = 0; r < d->data->n; r++) {
        const SeamRecord *record = &d->data->record[r];
        if (part[r] != SEAM_PART_TRAIN || record->use == SEAM_USE_MEASURING)
            continue;
        if (record->has_remaining && has_task(d->config, SEAM_TASK_RUL)) {
            total += gather_life(d, r);
            continue;
        }
        int32_t n = (int32_t)fmin(floor(fmax(record->arc_end - record->arc_start - window, 0) / window / candidate_step), 1e6);
        for (int32_t i = 0; i <= n; i++) {
            Candidate c = {r, record->arc_start + i * candidate_step * window, false};
            int32_t label = seam_record_label(record, c.start, window);
            if (label < 0 && !unlabelled)
                continue;
            g_array_append_val(d->candidate[MAX(label, 0)], c);
            total++;
        }
    }
    if (total == 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: nothing to train on: no recording has a label that is a class of the model, nor a known life", d->data->path);
    return total > 0;
}

static void weigh_candidates(SeamDraw *d) {
    for (int32_t c = 0; c < SEAM_MAX_CLASSES && d->recipe->train.group_power < 1; c++) {
        int32_t n = (int32_t)d->candidate[c]->len;
        g_autofree const char **group = g_new(const char *, n + 1);
        for (int32_t i = 0; i < n; i++)
            group[i] = d->data->record[g_array_index(d->candidate[c], Candidate, i).record].group;
        d->reach[c] = seam_lot_reach(n, group, d->recipe->train.group_power);
    }
}

static int32_t draw_index(const SeamDraw *d, int32_t c, SeamRandom *random) {
    int32_t n = (int32_t)d->candidate[c]->len;
    return d->reach[c] ? seam_lot_find(n, d->reach[c], seam_random_uniform(random)) : seam_random_below(random, n);
}

static const Candidate *draw_one(const SeamDraw *d, SeamRandom *random) {
    int32_t classes[SEAM_MAX_CLASSES], n = 0;
    bool good = seam_random_uniform(random) < d->recipe->train.good_share && d->candidate[0]->len > 0;
    for (int32_t c = 1; c < d->config->n_classes; c++)
        if (d->candidate[c]->len > 0)
            classes[n++] = c;
    int32_t c = good || n == 0 ? 0 : classes[seam_random_below(random, n)];
    const GArray *from = d->candidate[c];
    return &g_array_index(from, Candidate, draw_index(d, c, random));
}

// ---- streams -------------------------------------------------------------------------------------------------------------------

// Whether any recording of the training part has a window after its first.
static bool check_lengths(const SeamDraw *d, const SeamPart *part, GError **error) {
    double longest = 0;
    for (int32_t r = 0; r < d->data->n; r++)
        if (part[r] == SEAM_PART_TRAIN)
            longest = fmax(longest, d->data->record[r].arc_end - d->data->record[r].arc_start);
    if (d->recipe->train.chunks == 1 || longest >= (2 - slack) * d->config->window)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"chunks\" is %d, but no recording of the training part is longer than %g s, and a window has %g: windows that are alone "
                "follow nothing; set \"chunks\" to 1", d->data->path, d->recipe->train.chunks, longest, d->config->window);
    return false;
}

// The first window of the stretch around `start`, and how many it has.
static double stretch(const SeamDraw *d, const SeamRecord *record, double start, int32_t *n) {
    double window = d->config->window;
    int32_t most = d->recipe->train.chunks, before = (int32_t)fmin(most - 1, floor(fmax(start - record->arc_start, 0) / window + slack));
    double room = fmax(record->arc_end - start, 0) / window + slack;
    *n = before + (int32_t)CLAMP(floor(room), 1, most - before);
    return start - before * window;
}

static void add_draw(const SeamDraw *d, int32_t number, SeamRandom *random, SeamBatch *batch) {
    const SeamTrainOptions *o = &d->recipe->train;
    const Candidate *c = draw_one(d, random);
    const SeamRecord *record = &d->data->record[c->record];
    double jitter = seam_random_range(random, -0.5, 0.5) * candidate_step * d->config->window, start = c->start + (c->exact ? 0 : jitter);
    int32_t n;
    if (d->config->windows > 0) // the first windows are judged where they are: none reaches out of them
        start = fmax(fmin(start, record->arc_end - d->config->window), record->arc_start);
    start = stretch(d, record, start, &n);
    for (int32_t k = 0; k < n; k++) {
        SeamRandom same = *random;
        uint32_t present = seam_batch_add(batch, record, start + k * d->config->window, UINT32_MAX, o->frames, &d->recipe->augment, &same);
        seam_hide_by_lot(batch, &same);
        if (o->chunks == 1)
            return;
        int32_t w = batch->windows - 1;
        batch->stream[w] = number;
        if (present == 0) { // nothing to tell it from
            batch->label[w] = -1;
            batch->remaining[w] = NAN;
        }
    }
}

void seam_draw_fill(const SeamDraw *d, uint64_t lot, SeamBatch *batch) {
    seam_batch_reset(batch);
    for (int32_t i = 0; i < d->recipe->train.batch; i++) {
        SeamRandom random = seam_random(d->recipe->train.seed, lot + (uint64_t)i);
        add_draw(d, i, &random, batch);
    }
}

bool seam_draw_init(SeamDraw *d, const SeamRecipe *recipe, const SeamConfig *config, const SeamDataset *data, const SeamPart *part, GError **error) {
    *d = (SeamDraw){.recipe = recipe, .config = config, .data = data};
    if (!gather_candidates(d, part, error) || !check_lengths(d, part, error))
        return false;
    weigh_candidates(d);
    return true;
}

void seam_draw_clear(SeamDraw *d) {
    for (int32_t c = 0; c < SEAM_MAX_CLASSES; c++) {
        if (d->candidate[c])
            g_array_unref(d->candidate[c]);
        g_free(d->reach[c]);
    }
}
