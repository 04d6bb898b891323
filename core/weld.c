// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Welds out of levels and windows. Arc readings become spans of time; spans closer than `arc_hold` are one, so a weld is a span that is older
// than arc_hold (or that an event or the stream's end has closed). Windows wait in a ring until it is certain how much of them lies in
// the weld; then their sums and, for the score, the worst of them are kept. The size is fixed: a weld may last for days.
//
//   score of a weld  = mean score of its k worst windows, k = ceil(top_fraction * windows), at least 1
//
// Nothing here reads a clock or allocates after seam_weld_tracker_new().
#include "core/weld.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SPANS = 64,     // welds that are begun and not yet told
    MAX_PENDING = 256,  // windows whose share in a weld is not yet certain
    MAX_WORST = 4096,   // windows whose own scores are kept; a longer weld keeps the worst
    MAX_PARTIAL = 2,    // windows that a short weld only touches: at its start and its end
};
static const double longest_reading = 1; // seconds that a reading speaks for, until the next one

typedef struct {
    double start, end;
    bool open; // its end is not known: an event or the stream's end will give it
    char source[sizeof ((SeamVerdict *)0)->source];
} Span;

typedef struct {
    int32_t n;
    Span item[MAX_SPANS]; // in time order, apart by more than arc_hold
} Spans;

typedef struct {
    SeamLevel last;
    bool any, on;
} ArcState;

// What a verdict needs of a window.
typedef struct {
    double time, duration;
    float score, anomaly; // NaN: not known
    float probability[SEAM_MAX_CLASSES];
    float contribution[SEAM_MAX_MODALITIES], expert_use[SEAM_MAX_EXPERTS];
    uint32_t present, missing;
    int32_t level;
    SeamEffortKind effort;
    bool has_classify, has_rul, has_said, counted;
    float rul, rul_low, rul_high;
    float said[1 + SEAM_MAX_MODALITIES][SEAM_MAX_SAID];
} Window;

typedef struct {
    double time, duration;
    float score, anomaly;
    float probability[SEAM_MAX_CLASSES];
    bool has_classify;
} Worst;

// The weld that is told next.
typedef struct {
    int32_t windows, with_use, scored, n_worst, n_partial, level;
    SeamEffortKind effort;
    uint32_t present;
    int32_t missing[SEAM_MAX_MODALITIES];
    double contribution[SEAM_MAX_MODALITIES], expert_use[SEAM_MAX_EXPERTS];
    bool has_rul;
    double rul_time;              // of the last window with a remaining life
    float rul, rul_low, rul_high; // its values
    int32_t with_said;
    double said[1 + SEAM_MAX_MODALITIES][SEAM_MAX_SAID]; // sums
    Window partial[MAX_PARTIAL];
    Worst worst[MAX_WORST];
} Weld;

struct SeamWeldTracker {
    SeamConfig config;
    SeamCalibration calibration;
    SeamWeldOptions options;
    char source[sizeof ((SeamVerdict *)0)->source];
    int64_t told; // verdicts given
    ArcState arc_of[SEAM_MAX_MODALITIES];
    Spans arcs, welds; // welds is used when an event or the file bounds them; else arcs are the welds
    double stream_end; // end of the last window
    int32_t n_pending;
    Window pending[MAX_PENDING];
    Weld weld;
    double clock_offset[SEAM_MAX_MODALITIES];
    int32_t clock_reference;
};

static Spans *bounds_of(SeamWeldTracker *t) {
    return t->options.bounds == SEAM_BOUNDS_ARC ? &t->arcs : &t->welds;
}

static void clear_weld(Weld *weld) {
    memset(weld, 0, offsetof(Weld, partial));
}

void seam_weld_tracker_reset(SeamWeldTracker *t) {
    memset(t->arc_of, 0, sizeof t->arc_of);
    t->arcs.n = t->welds.n = t->n_pending = 0;
    t->stream_end = 0;
    clear_weld(&t->weld);
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        t->clock_offset[m] = NAN;
    t->clock_reference = -1;
}

void seam_weld_tracker_calibrate(SeamWeldTracker *t, const SeamCalibration *calibration, const SeamWeldOptions *options) {
    if (calibration)
        t->calibration = *calibration;
    t->options = *options;
}

SeamWeldTracker *seam_weld_tracker_new(const SeamConfig *config, const SeamCalibration *calibration,
                                       const SeamWeldOptions *options) {
    SeamWeldTracker *t = g_new0(SeamWeldTracker, 1);
    t->config = *config;
    t->calibration.top_fraction = 0.25f;
    seam_weld_tracker_calibrate(t, calibration, options);
    seam_weld_tracker_reset(t);
    return t;
}

void seam_weld_tracker_free(SeamWeldTracker *t) {
    g_free(t);
}

void seam_weld_tracker_set_source(SeamWeldTracker *t, const char *source) {
    g_strlcpy(t->source, source ? source : "", sizeof t->source);
}

void seam_weld_tracker_offset(SeamWeldTracker *t, int32_t modality, int32_t reference, double offset) {
    t->clock_offset[modality] = offset;
    t->clock_reference = reference;
}

// ---- spans -------------------------------------------------------------------------------------------------------------------------

static void remove_spans(Spans *spans, int32_t first, int32_t n) {
    memmove(&spans->item[first], &spans->item[first + n], sizeof spans->item[0] * (spans->n - first - n));
    spans->n -= n;
}

// Adds the stretch start..end and joins it with all that are nearer than `hold`.
static void join_span(Spans *spans, double start, double end, double hold) {
    int32_t first = 0, last;
    while (first < spans->n && spans->item[first].end + hold < start)
        first++;
    for (last = first; last < spans->n && spans->item[last].start - hold <= end; last++) {
        start = fmin(start, spans->item[last].start);
        end = fmax(end, spans->item[last].end);
    }
    if (last == first) {
        if (spans->n == MAX_SPANS) { // more strikes at once than anybody welds: lengthen the last
            spans->item[MAX_SPANS - 1].end = fmax(end, spans->item[MAX_SPANS - 1].end);
            return;
        }
        memmove(&spans->item[first + 1], &spans->item[first], sizeof spans->item[0] * (spans->n - first));
        spans->n++;
        memset(&spans->item[first], 0, sizeof spans->item[0]);
    } else {
        remove_spans(spans, first + 1, last - first - 1);
    }
    spans->item[first].start = start;
    spans->item[first].end = end;
}

// A reading "on" reaches to the next reading, unless that is too far away to tell.
static void arc_reading(SeamWeldTracker *t, ArcState *arc, SeamLevel level, bool on) {
    double hold = t->options.bounds == SEAM_BOUNDS_ARC ? t->options.arc_hold : 0;
    bool reaches = arc->any && arc->on && level.time > arc->last.time && level.time - arc->last.time <= longest_reading;
    if (reaches)
        join_span(&t->arcs, arc->last.time, level.time, hold);
    else if (on)
        join_span(&t->arcs, level.time, level.time, hold);
    *arc = (ArcState){level, true, on};
}

static void begin_file(SeamWeldTracker *t, double time) {
    if (t->options.bounds == SEAM_BOUNDS_FILE && t->welds.n == 0)
        seam_weld_tracker_begin(t, time, NULL);
}

void seam_weld_tracker_levels(SeamWeldTracker *t, int32_t modality, const SeamLevel *levels, int32_t n) {
    float threshold = t->config.modality[modality].arc_on;
    for (int32_t i = 0; i < n && threshold > 0; i++)
        if (isfinite(levels[i].time))
            arc_reading(t, &t->arc_of[modality], levels[i], levels[i].value > threshold);
}

void seam_weld_tracker_begin(SeamWeldTracker *t, double time, const char *source) {
    Spans *welds = &t->welds;
    if (!isfinite(time))
        return;
    seam_weld_tracker_end(t, time); // a weld that nobody ended ends where the next one begins
    if (welds->n == MAX_SPANS)
        return;
    Span *span = &welds->item[welds->n++];
    *span = (Span){.start = time, .end = time, .open = true};
    g_strlcpy(span->source, source ? source : "", sizeof span->source);
}

void seam_weld_tracker_end(SeamWeldTracker *t, double time) {
    Span *span = t->welds.n ? &t->welds.item[t->welds.n - 1] : NULL;
    if (!span || !span->open || !isfinite(time))
        return;
    span->end = fmax(time, span->start);
    span->open = false;
}

// ---- windows -----------------------------------------------------------------------------------------------------------------------

static Window summary(const SeamWeldTracker *t, const SeamWindowResult *r) {
    Window w = {.time = r->time, .duration = r->duration, .present = r->present, .missing = r->missing,
                .level = r->level, .effort = r->effort, .has_classify = r->has_classify, .anomaly = r->has_anomaly ? r->anomaly : NAN,
                .has_rul = r->has_rul, .rul = r->rul, .rul_low = r->rul_low, .rul_high = r->rul_high};
    float log_odds = r->has_classify ? r->score : NAN;
    w.score = t->calibration.score_is_anomaly ? w.anomaly : log_odds;
    memcpy(w.probability, r->probability, sizeof w.probability);
    memcpy(w.contribution, r->contribution, sizeof w.contribution);
    memcpy(w.expert_use, r->expert_use, sizeof w.expert_use);
    w.has_said = r->has_said;
    if (r->has_said)
        memcpy(w.said, r->said, sizeof w.said);
    return w;
}

static void keep_worst(Weld *weld, const Window *w) {
    Worst *slot = &weld->worst[weld->n_worst];
    if (weld->n_worst == MAX_WORST) {
        slot = weld->worst;
        for (int32_t i = 1; i < MAX_WORST; i++)
            if (weld->worst[i].score < slot->score)
                slot = &weld->worst[i];
        if (!(w->score > slot->score))
            return;
    } else {
        weld->n_worst++;
    }
    *slot = (Worst){.time = w->time, .duration = w->duration, .score = w->score, .anomaly = w->anomaly,
                    .has_classify = w->has_classify};
    memcpy(slot->probability, w->probability, sizeof slot->probability);
}

// At most `most` windows, the first ones; 0: all.
static void add_window(Weld *weld, const Window *w, int32_t most) {
    double use = 0;
    if (most > 0 && weld->windows >= most)
        return;
    weld->effort = weld->windows == 0 || weld->effort == w->effort ? w->effort : SEAM_EFFORT_OTHER;
    weld->level = MAX(weld->level, w->level);
    weld->windows++;
    weld->present |= w->present;
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++) {
        weld->missing[m] += w->missing >> m & 1;
        weld->contribution[m] += w->contribution[m];
    }
    for (int32_t e = 0; e < SEAM_MAX_EXPERTS; e++) {
        weld->expert_use[e] += w->expert_use[e];
        use += w->expert_use[e];
    }
    weld->with_use += use > 0;
    if (w->has_rul && (!weld->has_rul || w->time >= weld->rul_time)) {
        weld->has_rul = true;
        weld->rul_time = w->time;
        weld->rul = w->rul;
        weld->rul_low = w->rul_low;
        weld->rul_high = w->rul_high;
    }
    weld->with_said += w->has_said;
    for (size_t i = 0; i < G_N_ELEMENTS(weld->said) * SEAM_MAX_SAID && w->has_said; i++)
        weld->said[i / SEAM_MAX_SAID][i % SEAM_MAX_SAID] += w->said[i / SEAM_MAX_SAID][i % SEAM_MAX_SAID];
    if (!isnan(w->score)) {
        weld->scored++;
        keep_worst(weld, w);
    }
}

static double overlap(const Window *w, const Span *span) {
    return fmin(w->time + w->duration, span->open ? INFINITY : span->end) - fmax(w->time, span->start);
}

// Gives the weld `span` the windows whose share in it cannot change any more, and drops those that are past.
static void settle(SeamWeldTracker *t, const Span *span, bool closed) {
    int32_t kept = 0;
    for (int32_t i = 0; i < t->n_pending; i++) {
        Window *w = &t->pending[i];
        double end = w->time + w->duration, share = overlap(w, span);
        if (!w->counted && share > 0 && (closed || span->open || span->end >= end)) {
            if (2 * share >= w->duration)
                add_window(&t->weld, w, t->config.windows);
            else if (t->weld.n_partial < MAX_PARTIAL)
                t->weld.partial[t->weld.n_partial++] = *w;
            w->counted = true;
        }
        bool past = end <= span->start || (end <= span->end && w->counted) || (span->open && w->counted);
        if (!past)
            t->pending[kept++] = *w;
    }
    t->n_pending = kept;
}

static bool touches_arc(const SeamWeldTracker *t, double start, double end) {
    for (int32_t i = 0; i < t->arcs.n; i++)
        if (t->arcs.item[i].start < end && t->arcs.item[i].end >= start)
            return true;
    return false;
}

// When the arc does not bound the welds, only windows ask for arcs, and only for those of their own time.
static void forget_arcs(SeamWeldTracker *t, double before) {
    int32_t past = 0;
    while (past < t->arcs.n && t->arcs.item[past].end < before)
        past++;
    if (t->options.bounds != SEAM_BOUNDS_ARC)
        remove_spans(&t->arcs, 0, past);
}

void seam_weld_tracker_window(SeamWeldTracker *t, SeamWindowResult *result) {
    Spans *spans = bounds_of(t);
    double end = result->time + result->duration;
    begin_file(t, result->time);
    forget_arcs(t, result->time);
    result->arc_on = touches_arc(t, result->time, end);
    t->stream_end = fmax(t->stream_end, end);
    if (spans->n == 0)
        t->n_pending = 0; // what has no weld by its end never gets one
    else if (t->n_pending == MAX_PENDING)
        settle(t, &spans->item[0], true);
    if (t->n_pending == MAX_PENDING) {
        memmove(t->pending, t->pending + 1, sizeof t->pending[0] * (MAX_PENDING - 1));
        t->n_pending--;
    }
    if (spans->n > 0)
        t->pending[t->n_pending++] = summary(t, result);
}

// ---- the verdict -------------------------------------------------------------------------------------------------------------------

static int by_score_then_time(const void *a, const void *b) {
    const Worst *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->time > y->time) - (x->time < y->time);
}

static int32_t best_class(const float *probability, int32_t first, int32_t n) {
    int32_t best = first;
    for (int32_t c = first + 1; c < n; c++)
        if (probability[c] > probability[best])
            best = c;
    return best;
}

// Means over the k worst windows: score, anomaly, probabilities. Returns how many of them were classified.
static int32_t mean_worst(const SeamWeldTracker *t, SeamVerdict *v) {
    const Weld *weld = &t->weld;
    double score = 0, anomaly = 0, probability[SEAM_MAX_CLASSES] = {0};
    int32_t with_anomaly = 0, classified = 0;
    int32_t k = (int32_t)ceil((double)t->calibration.top_fraction * weld->scored - 1e-6);
    k = CLAMP(k, MIN(1, weld->n_worst), weld->n_worst);
    for (int32_t i = 0; i < k; i++) {
        const Worst *w = &weld->worst[i];
        score += w->score;
        if (!isnan(w->anomaly)) {
            anomaly += w->anomaly;
            with_anomaly++;
        }
        classified += w->has_classify;
        for (int32_t c = 0; c < t->config.n_classes && w->has_classify; c++)
            probability[c] += w->probability[c];
    }
    v->score = k ? (float)(score / k) : NAN;
    v->anomaly = with_anomaly ? (float)(anomaly / with_anomaly) : NAN;
    for (int32_t c = 0; c < t->config.n_classes; c++)
        v->probability[c] = classified ? (float)(probability[c] / classified) : 0;
    return classified;
}

// Passed: good. Rejected: the likeliest defect. Referred: whatever is likeliest. -1 when no task told the classes apart.
static void name_class(const SeamWeldTracker *t, SeamVerdict *v, int32_t classified) {
    int32_t n = t->config.n_classes;
    if (v->decision == SEAM_PASS)
        v->class_index = 0;
    else if (!classified || n < 2)
        v->class_index = -1;
    else
        v->class_index = best_class(v->probability, v->decision == SEAM_REJECT ? 1 : 0, n);
    v->confidence = v->class_index >= 0 ? v->probability[v->class_index] : 0;
}

static void find_place(const Weld *weld, SeamVerdict *v) {
    double time = v->start;
    if (weld->n_worst > 0)
        time = fmin(fmax(weld->worst[0].time + weld->worst[0].duration / 2, v->start), v->end);
    v->place_time = time;
    v->place = v->end > v->start ? (float)((time - v->start) / (v->end - v->start)) : 0;
}

static void mean_windows(const SeamWeldTracker *t, SeamVerdict *v) {
    const Weld *weld = &t->weld;
    v->windows = weld->windows;
    v->level = weld->level;
    v->effort = weld->effort;
    v->present = weld->present;
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++) {
        v->contribution[m] = weld->windows ? (float)(weld->contribution[m] / weld->windows) : 0;
        if (weld->windows > 0 && 2 * weld->missing[m] >= weld->windows)
            v->missing |= 1u << m;
    }
    v->has_said = weld->with_said > 0;
    for (size_t i = 0; i < G_N_ELEMENTS(v->said) * SEAM_MAX_SAID && v->has_said; i++)
        v->said[i / SEAM_MAX_SAID][i % SEAM_MAX_SAID] = (float)(weld->said[i / SEAM_MAX_SAID][i % SEAM_MAX_SAID] / weld->with_said);
    for (int32_t e = 0; e < SEAM_MAX_EXPERTS; e++)
        v->expert_use[e] = weld->with_use ? (float)(weld->expert_use[e] / weld->with_use) : 0;
}

// What was missing half of the time cannot count as present for the threshold.
static void decide(const SeamWeldTracker *t, SeamVerdict *v) {
    uint32_t present = v->present & ~v->missing;
    const SeamCalibrationSet *set = seam_calibration_find(&t->calibration, &t->config, present, v->effort);
    v->pass_below = v->reject_above = NAN;
    if (set)
        seam_conformal_thresholds(set, t->options.false_reject, t->options.miss, &v->pass_below, &v->reject_above);
    v->score_is_anomaly = t->calibration.score_is_anomaly;
    v->decision = seam_conformal_decide(v->score, v->pass_below, v->reject_above, &v->reason);
    v->reason = seam_conformal_reason(v->decision, v->effort, v->reason);
    if (!set && !isnan(v->score) && seam_calibration_find(&t->calibration, &t->config, present, SEAM_EFFORT_OTHER))
        v->reason = "no threshold was calibrated for the effort at which the encoders worked";
    if (t->weld.has_rul && isnan(v->score)) // how long it lasts says nothing of good or bad
        v->reason = "the model tells how long it will last, not whether it is good";
}

static void tell(SeamWeldTracker *t, const Span *span, SeamVerdict *v) {
    static const char *const names[] = {"arc", "event", "file"};
    Weld *weld = &t->weld;
    int32_t touching = weld->windows == 0 ? weld->n_partial : 0;
    for (int32_t i = 0; i < touching; i++)
        add_window(weld, &weld->partial[i], t->config.windows);
    qsort(weld->worst, (size_t)weld->n_worst, sizeof weld->worst[0], by_score_then_time);

    memset(v, 0, sizeof *v);
    v->number = ++t->told;
    g_strlcpy(v->source, span->source[0] ? span->source : t->source, sizeof v->source);
    v->start = span->start;
    v->end = span->end;
    v->bounds = names[t->options.bounds];
    mean_windows(t, v);
    int32_t classified = mean_worst(t, v);
    decide(t, v);
    name_class(t, v, classified);
    find_place(weld, v);
    v->has_rul = weld->has_rul;
    v->rul = weld->has_rul ? weld->rul : NAN;
    v->rul_low = weld->has_rul ? weld->rul_low : NAN;
    v->rul_high = weld->has_rul ? weld->rul_high : NAN;
    memcpy(v->clock_offset, t->clock_offset, sizeof v->clock_offset);
    v->clock_reference = t->clock_reference;
}

static void drop_first(SeamWeldTracker *t, Spans *spans) {
    remove_spans(spans, 0, 1);
    clear_weld(&t->weld);
    for (int32_t i = 0; i < t->n_pending; i++)
        t->pending[i].counted = false;
}

static bool is_closed(const SeamWeldTracker *t, const Span *span, double now, bool finish) {
    if (finish)
        return true;
    if (t->options.bounds == SEAM_BOUNDS_ARC)
        return now > span->end + t->options.arc_hold;
    return !span->open && now >= span->end;
}

bool seam_weld_tracker_poll(SeamWeldTracker *t, double now, bool finish, SeamVerdict *verdict) {
    Spans *spans = bounds_of(t);
    while (spans->n > 0) {
        Span span = spans->item[0];
        bool closed = is_closed(t, &span, now, finish);
        if (closed && span.open) {
            span.end = fmax(t->stream_end, span.start);
            span.open = false;
        }
        settle(t, &span, closed);
        if (!closed)
            return false;
        bool strike = t->options.bounds == SEAM_BOUNDS_ARC && span.end - span.start < t->options.shortest;
        if (!strike)
            tell(t, &span, verdict);
        drop_first(t, spans);
        if (!strike)
            return true;
    }
    return false;
}
