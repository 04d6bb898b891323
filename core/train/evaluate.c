// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Evaluation. Windows go through the encoder one at a time, so that the share of each expert is that of the window; the encoded sequences are fused and decided
// once for each subset of modalities that is asked for. A model that carries something from window to window meets a recording as the pipeline does, from its beginning
// on: what lies before the first window that is judged is run through it all the same, once a subset, for each subset is a stream of its own.
#include "core/train/evaluate.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/train/ahead.h"
#include "core/train/evaluate_signal.h"
#include "core/train/pass.h"
#include "core/train/past.h"

static const uint64_t bootstrap_seed = 1;
static const size_t first_arena = (size_t)32 << 20, largest_arena = (size_t)8 << 30;

struct SeamEvaluator {
    SeamEvaluateOptions options;
    SeamArena arena;
    SeamBatch *batch; // of one window
    SeamWindowResult result[SEAM_MAX_SUBSETS];
    uint32_t use[SEAM_MAX_SUBSETS]; // modalities of the subset that the window has
    float expert_use[SEAM_MAX_EXPERTS];
    double arc_start, arc_end; // of the record; NaN: no arc was seen
    bool carries;              // the model knows more than one window
    SeamPast past, before;     // now, and before the window that is judged now
    bool judged;               // this window is; else it is only heard
};

SeamEvaluator *seam_evaluator_new(const SeamEvaluateOptions *options, GError **error) {
    SeamEvaluator *e = g_new0(SeamEvaluator, 1);
    e->options = *options;
    if (!seam_arena_init(&e->arena, first_arena)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "no memory for the evaluation's arena");
        g_clear_pointer(&e, g_free);
        return NULL;
    }
    e->carries = seam_config_carries(&options->model->config);
    if (!(e->batch = seam_batch_new(&options->model->config, 1, error)) || !seam_past_init(&e->past, &options->model->config, error) ||
        !seam_past_init(&e->before, &options->model->config, error))
        g_clear_pointer(&e, seam_evaluator_free);
    return e;
}

void seam_evaluator_free(SeamEvaluator *e) {
    if (!e)
        return;
    seam_batch_free(e->batch);
    seam_past_clear(&e->past);
    seam_past_clear(&e->before);
    seam_arena_clear(&e->arena);
    g_free(e);
}

// ---- one window ----------------------------------------------------------------------------------------------------------------

static SeamStatus judge_subset(SeamEvaluator *e, SeamRun *run, const SeamTokens *fused, int32_t i, uint32_t expected) {
    const SeamEvaluateOptions *o = &e->options;
    SEAM_TRY(seam_decide(o->model, run, fused, 0, o->tasks, expected, e->expert_use, &e->result[i]));
    e->result[i].effort = seam_calibration_effort(o->calibration, o->effort);
    e->result[i].arc_on = e->arc_start < e->result[i].time + e->result[i].duration && e->arc_end >= e->result[i].time;
    seam_conformal_interval(o->calibration, &o->model->config, &e->result[i]);
    if (o->window)
        o->window(o->user, i, fused, &e->result[i]);
    return SEAM_OK;
}

static SeamStatus decide_subset(SeamEvaluator *e, SeamRun *run, const SeamPass *pass, int32_t i, uint32_t expected) {
    const SeamEvaluateOptions *o = &e->options;
    SeamTokens fused;
    size_t mark = seam_arena_mark(run->arena);
    SEAM_TRY(seam_pass_fuse_some(o->model, run, e->batch, pass, e->use[i], &fused));
    if (e->past.banks > 0)
        SEAM_TRY(seam_model_remember(o->model, run, &e->past.bank[i], &fused, NULL));
    if (e->judged)
        SEAM_TRY(judge_subset(e, run, &fused, i, expected));
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

static SeamStatus decide_window(SeamEvaluator *e, const uint32_t *subset, int32_t n, uint32_t present, uint32_t recorded) {
    SeamRun run = {e->options.kernels, &e->arena, e->options.effort};
    SeamPass pass;
    seam_arena_release(&e->arena, 0);
    memset(e->expert_use, 0, sizeof e->expert_use);
    if (e->past.carry[0].memory)
        SEAM_TRY(seam_pass_encode_stream(e->options.model, &run, e->batch, e->past.carry, e->expert_use, &pass));
    else
        SEAM_TRY(seam_pass_encode(e->options.model, &run, e->batch, false, e->expert_use, &pass));
    double all = 0;
    for (int32_t i = 0; i < e->options.model->config.experts; i++)
        all += e->expert_use[i];
    for (int32_t i = 0; i < e->options.model->config.experts && all > 0; i++)
        e->expert_use[i] = (float)(e->expert_use[i] / all);
    for (int32_t i = 0; i < n; i++) {
        e->use[i] = subset[i] & present;
        if (e->use[i])
            SEAM_TRY(decide_subset(e, &run, &pass, i, subset[i] & recorded));
    }
    return SEAM_OK;
}

// The next window of the recording. One that does not fit the memory is run again, from what was known before it.
static bool run_window(SeamEvaluator *e, const SeamRecord *record, double start, const uint32_t *subset, int32_t n, GError **error) {
    uint32_t all = 0;
    for (int32_t i = 0; i < n; i++)
        all |= subset[i];
    memset(e->use, 0, sizeof e->use);
    seam_batch_reset(e->batch);
    uint32_t present = seam_batch_add(e->batch, record, start, all, e->options.frames, NULL, NULL);
    if (present == 0)
        return true;
    if (e->options.change)
        e->options.change(e->options.user, e->batch);
    seam_past_copy(&e->past, &e->before);
    for (;;) {
        SeamStatus status = decide_window(e, subset, n, present, seam_record_present(record, &e->options.model->config));
        if (status != SEAM_NO_MEMORY || !seam_arena_grow(&e->arena, largest_arena))
            return seam_status_check(status, record->name, error);
        seam_past_copy(&e->before, &e->past);
    }
}

// A recording begins, of which n subsets are judged.
static bool begin(SeamEvaluator *e, int32_t n, GError **error) {
    if (!seam_past_need(&e->past, n, error) || !seam_past_need(&e->before, n, error))
        return false;
    seam_past_reset(&e->past);
    return true;
}

bool seam_evaluate_window(SeamEvaluator *e, const SeamRecord *record, double start, const uint32_t *subset, int32_t n, GError **error) {
    e->judged = true;
    return begin(e, n, error) && run_window(e, record, start, subset, n, error);
}

// ---- one recording -------------------------------------------------------------------------------------------------------------

static bool has_arc(const SeamEvaluateOptions *o, const SeamRecord *record) {
    const SeamConfig *config = &o->model->config;
    double first = INFINITY, last = -INFINITY;
    for (int32_t m = 0; m < config->n_modalities; m++)
        for (int32_t i = 0; i < record->stream[m].n_levels && config->modality[m].arc_on > 0; i++)
            if (record->stream[m].levels[i].value > config->modality[m].arc_on) {
                first = fmin(first, record->stream[m].levels[i].time);
                last = fmax(last, record->stream[m].levels[i].time);
            }
    return last - first >= o->weld.shortest;
}

SeamWeldTracker *seam_evaluate_tracker(const SeamEvaluateOptions *o, const SeamRecord *record) {
    const SeamConfig *config = &o->model->config;
    SeamWeldOptions options = o->weld;
    if (!has_arc(o, record))
        options.bounds = SEAM_BOUNDS_FILE;
    SeamWeldTracker *t = seam_weld_tracker_new(config, o->calibration, &options);
    seam_weld_tracker_set_source(t, record->name);
    for (int32_t m = 0; m < config->n_modalities; m++)
        seam_weld_tracker_levels(t, m, record->stream[m].levels, record->stream[m].n_levels);
    return t;
}

void seam_evaluate_close(SeamWeldTracker *t, double now, SeamVerdict *verdict) {
    memset(verdict, 0, sizeof *verdict);
    g_autofree SeamVerdict *next = g_new0(SeamVerdict, 1);
    while (seam_weld_tracker_poll(t, now, true, next))
        if (next->windows > 0 && (verdict->windows == 0 || isnan(verdict->score) || next->score > verdict->score))
            *verdict = *next;
    seam_weld_tracker_free(t);
}

void seam_evaluate_span(const SeamConfig *config, const SeamRecord *record, int64_t *first, int64_t *end) {
    *first = (int64_t)floor(fmax(record->arc_start, 0) / config->window);
    *end = (int64_t)ceil(record->arc_end / config->window);
}

bool seam_evaluate_record(SeamEvaluator *e, const SeamRecord *record, const uint32_t *subset, int32_t n, SeamVerdict *verdict, GError **error) {
    double window = e->options.model->config.window;
    SeamWeldTracker *tracker[SEAM_MAX_SUBSETS];
    bool ok = begin(e, n, error), arc = has_arc(&e->options, record);
    e->arc_start = arc ? record->arc_start : NAN;
    e->arc_end = arc ? record->arc_end : NAN;
    for (int32_t i = 0; i < n; i++)
        tracker[i] = seam_evaluate_tracker(&e->options, record);
    int64_t first, end;
    seam_evaluate_span(&e->options.model->config, record, &first, &end);
    for (int64_t k = e->carries ? 0 : first; ok && k < end; k++) {
        e->judged = k >= first;
        ok = run_window(e, record, (double)k * window, subset, n, error);
        for (int32_t i = 0; ok && e->judged && i < n; i++)
            if (e->use[i])
                seam_weld_tracker_window(tracker[i], &e->result[i]);
    }
    for (int32_t i = 0; i < n; i++)
        seam_evaluate_close(tracker[i], (double)end * window, &verdict[i]);
    return ok;
}

bool seam_evaluate_finding(SeamEvaluator *e, SeamVerdict *verdict, GError **error) {
    SeamRun run = {.kernels = e->options.kernels, .arena = &e->arena};
    SeamStatus status;
    do {
        seam_arena_release(&e->arena, 0);
        status = seam_decide_finding(e->options.model, &run, e->options.tasks, verdict);
    } while (status == SEAM_NO_MEMORY && seam_arena_grow(&e->arena, largest_arena));
    return seam_status_check(status, "putting a verdict in words", error);
}

// ---- many recordings -----------------------------------------------------------------------------------------------------------

typedef struct {
    const SeamConfig *config;
    const SeamRecord *record; // the current one
    int32_t index;            // of the record
    SeamEvaluation *out;
    GArray *found, *truth;    // of SeamMetricBox
    GArray *record_of;        // of int32_t: each picture's record
    int32_t pictures;
    SeamPixelMetrics *pixels;
    bool any_mask, pixels_failed;
    SeamWindowFunc window;
    void *user;
} Boxes;

static void count_window(Boxes *b, const SeamWindowResult *r) {
    int32_t said = 0, truth = seam_batch_label(b->config, b->record, r->time, r->present);
    if (!r->has_classify || !b->record->label)
        return;
    for (int32_t c = 1; c < b->config->n_classes; c++)
        said = r->probability[c] > r->probability[said] ? c : said;
    if (b->out->binary) {
        truth = truth < 0 ? b->record->defect : truth > 0;
        said = said > 0;
    }
    b->out->windows += truth >= 0;
    b->out->windows_right += truth >= 0 && truth == said;
}

static void count_forecast(Boxes *b, const SeamWindowResult *r) {
    for (int32_t m = 0; m < b->config->n_modalities; m++) {
        const SeamModality *modality = &b->config->modality[m];
        float truth[SEAM_MAX_CHANNELS];
        if (!(r->forecast_of >> m & 1))
            continue;
        seam_ahead_truth(b->config, m, b->record, r->time, truth);
        for (int32_t c = 0; c < modality->channels; c++) {
            double quantile[SEAM_FORECAST_QUANTILES];
            for (int32_t q = 0; q < SEAM_FORECAST_QUANTILES; q++)
                quantile[q] = (r->forecast[m][c][q] - modality->mean[c]) / modality->std[c];
            seam_forecast_sums_add(&b->out->forecast, quantile, (truth[c] - modality->mean[c]) / modality->std[c]);
        }
    }
}

// The map against the mask of the picture; a good picture is good all over.
static void gather_pixels(Boxes *b, const SeamWindowResult *r) {
    const SeamRecord *record = b->record;
    const SeamStream *s = &record->stream[r->heat_modality];
    if (s->pictures == 1 && record->label && (record->mask ? record->box_modality == r->heat_modality : !record->defect))
        b->pixels_failed |= !seam_pixels_add(b->pixels, r->heat, r->heat_w, r->heat_h, record->mask, s->width, s->height);
}

// Each window shows boxes in one picture of its own: that picture's true boxes are those to be found.
static void gather_boxes(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    Boxes *b = user;
    if (b->window)
        b->window(b->user, subset, fused, r);
    count_window(b, r);
    count_forecast(b, r);
    if (r->heat_w > 0 && b->any_mask)
        gather_pixels(b, r);
    if (r->heat_w == 0 || r->heat_of == SEAM_TASK_CLASSIFY || !b->record->has_boxes || b->record->box_modality != r->heat_modality)
        return;
    SeamBox box[SEAM_MAX_BOXES];
    int32_t n = seam_record_boxes(b->record, r->heat_modality, r->heat_time, box, SEAM_MAX_BOXES);
    for (int32_t i = 0; i < n; i++)
        g_array_append_val(b->truth, ((SeamMetricBox){b->pictures, box[i]}));
    for (int32_t i = 0; i < r->n_boxes; i++)
        g_array_append_val(b->found, ((SeamMetricBox){b->pictures, r->box[i]}));
    g_array_append_val(b->record_of, b->index);
    b->pictures++;
}

typedef struct {
    int32_t n;
    float *score, *confidence;
    bool *defect, *correct;
    int32_t n_lives;
    SeamLife *life;
    int32_t *record_of_life;
    SeamJudged *judged; // by the records' index
    bool classified; // a classifier spoke: confidence means something
} Lists;

bool seam_evaluate_life(const SeamConfig *config, const SeamRecord *record, const SeamVerdict *verdict, SeamLife *life) {
    double limit = INFINITY;
    for (int32_t t = 0; t < config->n_tasks; t++)
        limit = config->task[t].kind == SEAM_TASK_RUL ? config->task[t].limit : limit;
    if (!verdict->has_rul || !record->has_remaining)
        return false;
    *life = (SeamLife){.truth = fmin(record->remaining, limit), .said = verdict->rul, .low = verdict->rul_low, .high = verdict->rul_high};
    return true;
}

static void count_verdict(SeamEvaluation *out, Lists *l, const SeamRecord *r, const SeamVerdict *v, SeamJudged *judged) {
    int32_t truth = out->binary ? r->defect : r->class_index, said = out->binary ? v->class_index > 0 : v->class_index;
    if (v->score_is_anomaly && v->probability[0] == 0 && v->confidence == 0)
        said = v->decision == SEAM_REJECT; // a model without classifier only rejects or does not
    else
        l->classified = true;
    out->decisions[v->decision]++;
    out->decisions_good[v->decision] += !r->defect;
    out->good += !r->defect;
    out->defect += r->defect;
    out->good_with_threshold += !r->defect && isfinite(v->reject_above);
    out->defect_with_threshold += r->defect && isfinite(v->pass_below);
    *judged = (SeamJudged){r->group, true, r->defect, v->score, truth, said};
    if (truth >= 0 && said >= 0 && truth < out->classes && said < out->classes)
        out->confusion[truth * out->classes + said]++;
    l->score[l->n] = v->score;
    l->defect[l->n] = r->defect;
    l->confidence[l->n] = v->confidence;
    l->correct[l->n++] = truth == said;
}

static bool evaluate_one(SeamEvaluator *e, const SeamEvaluateWhat *what, const SeamRecord *record, Lists *lists, SeamJudged *judged, SeamEvaluation *out,
                         GError **error) {
    g_autofree SeamVerdict *verdict = g_new0(SeamVerdict, 1);
    judged->group = record->group;
    if (!seam_evaluate_record(e, record, &what->only, 1, verdict, error) || !seam_evaluate_finding(e, verdict, error))
        return false;
    out->findings += *verdict->finding != 0;
    out->findings_plain += verdict->finding_plain;
    if (verdict->windows > 0 && what->verdict)
        what->verdict(what->user, record, verdict);
    if (verdict->windows > 0 && seam_evaluate_life(&e->options.model->config, record, verdict, &lists->life[lists->n_lives]))
        lists->record_of_life[lists->n_lives++] = (int32_t)(judged - lists->judged);
    if (verdict->windows > 0 && record->label)
        count_verdict(out, lists, record, verdict, judged);
    else
        out->without_verdict += record->label || (record->has_remaining && verdict->windows == 0);
    return true;
}

static void find_intervals(SeamEvaluation *out, const Lists *l, const Boxes *b, int32_t records, int32_t draws) {
    SeamJudgedSet set = {.n = records,
                         .judged = l->judged,
                         .classes = out->classes,
                         .n_found = (int32_t)b->found->len,
                         .n_true = (int32_t)b->truth->len,
                         .found = (SeamMetricBox *)(void *)b->found->data,
                         .true_box = (const SeamMetricBox *)(const void *)b->truth->data,
                         .box_classes = b->config->n_classes,
                         .record_of_picture = (const int32_t *)(const void *)b->record_of->data,
                         .n_lives = l->n_lives,
                         .life = l->life,
                         .record_of_life = l->record_of_life};
    seam_judged_intervals(&set, draws, bootstrap_seed, out->interval);
}

static void compare_promises(SeamEvaluation *out, const SeamWeldOptions *weld) {
    int32_t passed = out->decisions[SEAM_PASS] - out->decisions_good[SEAM_PASS];
    out->false_reject = seam_promise(weld->false_reject, out->decisions_good[SEAM_REJECT], out->good, out->good_with_threshold);
    out->miss = seam_promise(weld->miss, passed, out->defect, out->defect_with_threshold);
}

static void finish(SeamEvaluation *out, const Lists *l, Boxes *b, double recall) {
    out->n = MAX(l->n, l->n_lives);
    seam_metric_lives(l->n_lives, l->life, NULL, &out->lives);
    out->auroc = seam_metric_auroc(l->n, l->score, l->defect);
    out->average_precision = seam_metric_average_precision(l->n, l->score, l->defect);
    out->false_reject_rate = seam_metric_false_reject(l->n, l->score, l->defect, recall);
    out->ece = out->binary || !l->classified ? NAN : seam_metric_ece(l->n, l->confidence, l->correct);
    out->map50 = seam_metric_map50((int32_t)b->found->len, (SeamMetricBox *)(void *)b->found->data, (int32_t)b->truth->len,
                                   (const SeamMetricBox *)(const void *)b->truth->data, b->config->n_classes);
    seam_metric_classes(out->classes, out->confusion, &out->by_class);
    seam_pixels_figures(b->pixels, 1, &out->pixels);
}

bool seam_evaluate_wants(const SeamEvaluateWhat *what, const SeamDataset *data, int32_t i) {
    return data->record[i].use != SEAM_USE_TRAINING && (!what->part || what->part[i] == what->which);
}

bool seam_evaluate(const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, SeamEvaluation *out, GError **error) {
    Boxes boxes = {.config = &options->model->config, .window = options->window, .user = options->user, .out = out,
                   .found = g_array_new(FALSE, FALSE, sizeof(SeamMetricBox)), .truth = g_array_new(FALSE, FALSE, sizeof(SeamMetricBox)),
                   .record_of = g_array_new(FALSE, FALSE, sizeof(int32_t))};
    Lists lists = {0, g_new0(float, data->n + 1), g_new0(float, data->n + 1), g_new0(bool, data->n + 1), g_new0(bool, data->n + 1), 0,
                   g_new0(SeamLife, data->n + 1), g_new0(int32_t, data->n + 1), g_new0(SeamJudged, data->n + 1)};
    SeamEvaluateOptions watched = *options;
    watched.window = gather_boxes;
    watched.change = NULL;
    watched.user = &boxes;
    boxes.pixels = seam_pixels_new();
    for (int32_t i = 0; i < data->n; i++)
        boxes.any_mask |= data->record[i].mask != NULL;
    memset(out, 0, sizeof *out);
    out->effort = seam_calibration_effort(options->calibration, options->effort);
    out->binary = !data->own_classes;
    out->classes = out->binary ? 2 : boxes.config->n_classes;
    SeamEvaluator *e = seam_evaluator_new(&watched, error);
    bool ok = e != NULL;
    for (int32_t i = 0; ok && i < data->n; i++) {
        boxes.record = &data->record[i];
        boxes.index = i;
        if (seam_evaluate_wants(what, data, i))
            ok = evaluate_one(e, what, boxes.record, &lists, &lists.judged[i], out, error);
        if (what->progress)
            what->progress(what->user, i + 1, data->n);
    }
    ok = ok && seam_evaluate_signals(options, data, what, seam_signal_sums_add, &out->signal, error);
    if (ok && boxes.pixels_failed) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: more pixels with masks than fit the memory; measure fewer pictures at a time",
                    data->path);
        ok = false;
    }
    if (ok) {
        finish(out, &lists, &boxes, what->recall);
        find_intervals(out, &lists, &boxes, data->n, what->draws);
        compare_promises(out, &options->weld);
    }
    seam_pixels_free(boxes.pixels);
    seam_evaluator_free(e);
    g_array_unref(boxes.found);
    g_array_unref(boxes.truth);
    g_array_unref(boxes.record_of);
    g_free(lists.score);
    g_free(lists.confidence);
    g_free(lists.defect);
    g_free(lists.correct);
    g_free(lists.life);
    g_free(lists.record_of_life);
    g_free(lists.judged);
    return ok;
}
