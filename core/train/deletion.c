// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The deletion tests. Cells are removed by blurring them, which takes their detail and keeps their light: a flat patch would be something new to see. To a model that
// only knows good pictures a blur is new as well, so there a good picture's cells are put in their place, at its level and spread. "Elsewhere" is the same set of cells moved to
// another place (around the edges), so that only the place differs, not the shape or the amount.
#include "core/train/deletion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

enum { RANDOM_SETS = 8, TRIES = 32 };
static const double removed_cells = 0.1;
static const uint64_t deletion_seed = 1;
static const float least_probability = 1e-30f;

typedef struct {
    double pointed, elsewhere; // NAN: not measured
} Change;

typedef struct {
    const SeamConfig *config;
    const SeamDataset *data;
    bool any_good;                    // there are good records
    bool good;                        // cells are replaced by those of a good picture, not by a blur
    SeamWindowResult *result;         // [1 + modalities]: whole, then without each
    bool has[1 + SEAM_MAX_MODALITIES];
    // What is removed from the picture at `time`; cells == NULL: nothing.
    const bool *cells;
    int32_t side, modality;
    double time;
    uint8_t *instead;                 // what stands in the place of the cells: the picture blurred, or the good one at its level
    uint8_t *good_picture;
    bool keep;                        // the picture is not changed, but kept as the good one
} Look;

// ---- looking at a window -------------------------------------------------------------------------------------------------------

static void take_result(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *result) {
    Look *look = user;
    look->result[subset] = *result;
    look->has[subset] = true;
}

// What the verdict rests on: log odds of class c against good, where no record is good against the likeliest other class, without a classifier the distance from good ones.
static double margin(const Look *look, const SeamWindowResult *r, int32_t c) {
    float other = r->probability[0];
    if (!r->has_classify)
        return r->anomaly;
    for (int32_t k = 1; k < look->config->n_classes && !look->any_good; k++)
        other = k == c ? other : fmaxf(other, r->probability[k]);
    return log(fmaxf(r->probability[c], least_probability)) - log(fmaxf(other, least_probability));
}

static int32_t worst_class(const SeamConfig *config, const SeamWindowResult *r) {
    int32_t worst = 1;
    for (int32_t c = 2; c < config->n_classes; c++)
        worst = r->probability[c] > r->probability[worst] ? c : worst;
    return worst;
}

static bool look_at(SeamEvaluator *e, Look *look, const SeamRecord *record, double start, const uint32_t *subset, int32_t n, GError **error) {
    memset(look->has, 0, sizeof look->has);
    return seam_evaluate_window(e, record, start, subset, n, error);
}

// ---- pictures ------------------------------------------------------------------------------------------------------------------

// Mean over a square of side 2 radius + 1, cut at the edges. sum [size + 1, size + 1]: of all pixels above and left.
static void blur(const uint8_t *pixels, int32_t size, int32_t channels, uint8_t *out) {
    int32_t radius = MAX(size / 8, 1), row = size + 1;
    g_autofree uint32_t *sum = g_new0(uint32_t, (gsize)row * row);
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t y = 0; y < size; y++)
            for (int32_t x = 0; x < size; x++)
                sum[(y + 1) * row + x + 1] = pixels[(y * size + x) * channels + c] + sum[y * row + x + 1] + sum[(y + 1) * row + x] - sum[y * row + x];
        for (int32_t y = 0; y < size; y++)
            for (int32_t x = 0; x < size; x++) {
                int32_t top = MAX(y - radius, 0), left = MAX(x - radius, 0), end = MIN(y + radius + 1, size), right = MIN(x + radius + 1, size);
                uint32_t all = sum[end * row + right] - sum[top * row + right] - sum[end * row + left] + sum[top * row + left];
                out[(y * size + x) * channels + c] = (uint8_t)(all / (uint32_t)((end - top) * (right - left)));
            }
    }
}

// Whether pixel p of the picture lies in one of the cells.
static bool in_cells(const Look *look, int32_t size, int32_t p) {
    return look->cells[p / size * look->side / size * look->side + p % size * look->side / size];
}

// Of what is not in the cells.
static void level(const Look *look, const uint8_t *pixels, int32_t size, int32_t channels, double *mean, double *spread) {
    double sum = 0, squares = 0, n = 0;
    for (int32_t i = 0; i < size * size * channels; i++) {
        double x = in_cells(look, size, i / channels) ? 0 : pixels[i];
        sum += x;
        squares += x * x;
        n += !in_cells(look, size, i / channels);
    }
    *mean = sum / fmax(n, 1);
    *spread = sqrt(fmax(squares / fmax(n, 1) - *mean * *mean, 1));
}

// Brings the good picture to the level and spread of `pixels`, as they are around the cells.
static void match_level(const Look *look, const uint8_t *pixels, int32_t size, int32_t channels, const uint8_t *good, uint8_t *out) {
    double mean, spread, good_mean, good_spread;
    level(look, pixels, size, channels, &mean, &spread);
    level(look, good, size, channels, &good_mean, &good_spread);
    for (int32_t i = 0; i < size * size * channels; i++)
        out[i] = (uint8_t)CLAMP(lround((good[i] - good_mean) / good_spread * spread + mean), 0, 255);
}

// The evaluator's hook: replaces the chosen cells of the one picture.
static void remove_cells(void *user, SeamBatch *batch) {
    Look *look = user;
    if (!look->cells && !look->keep)
        return;
    const SeamModality *m = &look->config->modality[look->modality];
    SeamBatchPart *part = &batch->part[look->modality];
    int32_t size = m->image.size, bytes = size * size * m->channels;
    for (int32_t i = 0; i < part->n; i++) {
        uint8_t *pixels = part->pixels->data + (size_t)i * (size_t)bytes;
        if (look->keep) {
            memcpy(look->good_picture, pixels, (size_t)bytes);
            return;
        }
        if (!(fabs(g_array_index(part->time, double, i) - look->time) < 1e-3))
            continue;
        if (look->good)
            match_level(look, pixels, size, m->channels, look->good_picture, look->instead);
        else
            blur(pixels, size, m->channels, look->instead);
        for (int32_t p = 0; p < size * size; p++)
            if (in_cells(look, size, p))
                memcpy(pixels + p * m->channels, look->instead + p * m->channels, (size_t)m->channels);
    }
}

typedef struct {
    float heat;
    int32_t cell;
} Cell;

static int hottest_first(const void *a, const void *b) {
    const Cell *x = a, *y = b;
    if (x->heat != y->heat)
        return x->heat < y->heat ? 1 : -1;
    return (x->cell > y->cell) - (x->cell < y->cell);
}

static void choose_hottest(const SeamWindowResult *r, bool *cells) {
    int32_t n = r->heat_w * r->heat_h, count = MAX((int32_t)lround(n * removed_cells), 1);
    g_autofree Cell *order = g_new(Cell, n);
    for (int32_t i = 0; i < n; i++)
        order[i] = (Cell){r->heat[i], i};
    qsort(order, (size_t)n, sizeof *order, hottest_first);
    memset(cells, 0, (size_t)n * sizeof *cells);
    for (int32_t i = 0; i < count; i++)
        cells[order[i].cell] = true;
}

static int32_t moved_cell(int32_t cell, int32_t side, int32_t shift) {
    return (cell / side + shift / side) % side * side + (cell % side + shift % side) % side;
}

// The set moved by lot, where it meets itself least of some tries.
static void move_cells(const bool *cells, int32_t side, SeamRandom *random, bool *out) {
    int32_t least = G_MAXINT32, best = 0;
    for (int32_t try = 0; try < TRIES && least > 0; try++) {
        int32_t shift = 1 + seam_random_below(random, side * side - 1), both = 0;
        for (int32_t i = 0; i < side * side; i++)
            both += cells[i] && cells[moved_cell(i, side, shift)];
        if (both < least) {
            least = both;
            best = shift;
        }
    }
    for (int32_t i = 0; i < side * side; i++)
        out[moved_cell(i, side, best)] = cells[i];
}

// Keeps a good record's picture, chosen by lot, to replace cells with. False, without an error, when there is none.
static bool keep_good(SeamEvaluator *e, Look *look, const SeamRecord *record, SeamRandom *random, GError **error) {
    const SeamRecord *found = NULL;
    for (int32_t i = 0, n = 0; i < look->data->n; i++) {
        const SeamRecord *r = &look->data->record[i];
        if (r != record && r->label && !r->defect && r->stream[look->modality].pictures > 0 && seam_random_below(random, ++n) == 0)
            found = r;
    }
    if (!found)
        return false;
    int64_t first, end;
    seam_evaluate_span(look->config, found, &first, &end);
    look->keep = true;
    bool ok = look_at(e, look, found, (double)first * look->config->window, &(uint32_t){1u << look->modality}, 1, error);
    look->keep = false;
    return ok;
}

static bool test_picture(SeamEvaluator *e, Look *look, const SeamRecord *record, const SeamWindowResult *whole, uint32_t use, SeamRandom *random,
                         Change *change, GError **error) {
    int32_t cells = whole->heat_w * whole->heat_h, c = worst_class(look->config, whole);
    g_autofree bool *hot = g_new0(bool, cells), *moved = g_new0(bool, cells);
    double elsewhere = 0;
    bool ok = true;
    choose_hottest(whole, hot);
    look->side = whole->heat_w;
    look->modality = whole->heat_modality;
    look->time = whole->heat_time;
    look->good = !whole->has_classify;
    if (look->good && !keep_good(e, look, record, random, error))
        return !error || !*error;
    for (int32_t k = 0; ok && k <= RANDOM_SETS; k++) {
        if (k > 0)
            move_cells(hot, look->side, random, moved);
        look->cells = k > 0 ? moved : hot;
        ok = look_at(e, look, record, whole->time, &use, 1, error);
        double fall = margin(look, whole, c) - margin(look, &look->result[0], c);
        if (k > 0)
            elsewhere += fall / RANDOM_SETS;
        else
            change->pointed = fall;
    }
    look->cells = NULL;
    change->elsewhere = elsewhere;
    return ok;
}

// ---- heat against true boxes ---------------------------------------------------------------------------------------------------

static void test_boxes(const SeamRecord *record, const SeamWindowResult *r, SeamDeletion *out) {
    SeamBox box[SEAM_MAX_BOXES];
    int32_t n = r->heat_w > 0 && record->has_boxes ? seam_record_boxes(record, r->heat_modality, r->heat_time, box, SEAM_MAX_BOXES) : 0;
    double inside = 0, all = 0, area = 0;
    int32_t hottest = 0, cells = r->heat_w * r->heat_h;
    g_autofree bool *in = g_new0(bool, cells + 1);
    for (int32_t i = 0; i < cells && n > 0; i++) {
        double x = (i % r->heat_w + 0.5) / r->heat_w, y = (i / r->heat_w + 0.5) / r->heat_h;
        for (int32_t b = 0; b < n; b++)
            in[i] = in[i] || (fabs(x - box[b].x) <= box[b].w / 2 && fabs(y - box[b].y) <= box[b].h / 2);
        inside += in[i] ? r->heat[i] : 0;
        all += r->heat[i];
        area += in[i] ? 1.0 / cells : 0;
        hottest = r->heat[i] > r->heat[hottest] ? i : hottest;
    }
    if (n <= 0 || !(all > 0) || area <= 0)
        return;
    out->with_boxes++;
    out->heat_in_boxes += inside / all;
    out->area_of_boxes += area;
    out->pointing += in[hottest];
}

// ---- one record ----------------------------------------------------------------------------------------------------------------

// Sums over windows, by modality.
typedef struct {
    double contribution[SEAM_MAX_MODALITIES], fall[SEAM_MAX_MODALITIES];
    uint32_t present;
} Sums;

static void add_window(const Look *look, Sums *sums) {
    const SeamWindowResult *whole = &look->result[0];
    int32_t c = worst_class(look->config, whole);
    for (int32_t m = 0; m < look->config->n_modalities; m++) {
        if (!(whole->present >> m & 1) || !look->has[1 + m])
            continue;
        sums->present |= 1u << m;
        sums->contribution[m] += whole->contribution[m];
        sums->fall[m] += margin(look, whole, c) - margin(look, &look->result[1 + m], c);
    }
}

static int32_t highest(const double *value, uint32_t of) {
    int32_t best = -1;
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        if (of >> m & 1 && (best < 0 || value[m] > value[best]))
            best = m;
    return best;
}

static void test_modalities(const Sums *sums, Change *change, double *agrees) {
    int32_t others = __builtin_popcount(sums->present) - 1;
    if (others < 1)
        return;
    int32_t pointed = highest(sums->contribution, sums->present);
    double rest = 0;
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        rest += sums->present >> m & 1 && m != pointed ? sums->fall[m] : 0;
    *change = (Change){sums->fall[pointed], rest / others};
    *agrees += pointed == highest(sums->fall, sums->present);
}

// Every window of the record whole and without each modality; then the picture of the worst one.
static bool test_record(SeamEvaluator *e, Look *look, const SeamRecord *record, uint32_t only, SeamRandom *random, Change change[2], SeamDeletion *out,
                        GError **error) {
    double window = look->config->window;
    int64_t first, end;
    uint32_t subset[1 + SEAM_MAX_MODALITIES] = {only}, present = seam_record_present(record, look->config) & only;
    g_autofree SeamWindowResult *worst = g_new0(SeamWindowResult, 1);
    Sums sums = {0};
    int32_t windows = 0;
    bool ok = true;
    for (int32_t m = 0; m < look->config->n_modalities; m++)
        subset[1 + m] = present >> m & 1 ? present & ~(1u << m) : 0;
    seam_evaluate_span(look->config, record, &first, &end);
    for (int64_t k = first; ok && k < end; k++) {
        ok = look_at(e, look, record, (double)k * window, subset, 1 + look->config->n_modalities, error);
        const SeamWindowResult *r = &look->result[0];
        if (!ok || !look->has[0] || !(r->has_classify || r->has_anomaly))
            continue;
        windows++;
        if (r->has_classify)
            add_window(look, &sums);
        test_boxes(record, r, out);
        // A distance has no level of its own above which it says "defective"; there the records that are so count.
        bool said = r->has_classify ? r->score > 0 : record->defect;
        if (r->heat_w > 0 && said && (worst->heat_w == 0 || r->score > worst->score))
            *worst = *r;
    }
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES && windows > 0; m++)
        sums.fall[m] /= windows;
    test_modalities(&sums, &change[1], &out->agreement);
    return ok && (worst->heat_w == 0 || test_picture(e, look, record, worst, only, random, &change[0], error));
}

// ---- all records ---------------------------------------------------------------------------------------------------------------

// value: mean difference, share of records where it is positive.
static void measure_changes(const void *user, const int32_t *times, double *value) {
    const GArray *changes = user;
    double n = 0, sum = 0, larger = 0;
    for (guint i = 0; i < changes->len; i++) {
        const Change *c = &g_array_index(changes, Change, i);
        if (isnan(c->pointed) || times[i] == 0)
            continue;
        n += times[i];
        sum += times[i] * (c->pointed - c->elsewhere);
        larger += c->pointed > c->elsewhere ? times[i] : 0;
    }
    value[0] = sum / n;
    value[1] = larger / n;
}

static void sum_up(const GArray *changes, const SeamDataset *data, int32_t draws, SeamDeletionTest *test) {
    g_autofree const char **group = g_new0(const char *, data->n + 1);
    SeamInterval interval[2];
    double larger = 0;
    for (guint i = 0; i < changes->len; i++) {
        const Change *c = &g_array_index(changes, Change, i);
        if (isnan(c->pointed))
            continue;
        group[i] = data->record[i].group;
        test->n++;
        test->pointed += c->pointed;
        test->elsewhere += c->elsewhere;
        larger += c->pointed > c->elsewhere;
    }
    seam_bootstrap(data->n, group, draws, deletion_seed, 2, measure_changes, changes, interval);
    test->pointed /= test->n;
    test->elsewhere /= test->n;
    test->share = larger / test->n;
    test->difference = interval[0];
    test->share_interval = interval[1];
}

static size_t largest_picture(const SeamConfig *config) {
    size_t most = 1;
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_IMAGE)
            most = MAX(most, (size_t)config->modality[m].image.size * config->modality[m].image.size * config->modality[m].channels);
    return most;
}

bool seam_deletion(const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, SeamDeletion *out, GError **error) {
    const SeamConfig *config = &options->model->config;
    size_t picture = largest_picture(config);
    Look look = {.config = config, .data = data, .result = g_new0(SeamWindowResult, 1 + SEAM_MAX_MODALITIES), .instead = g_malloc(picture), .good_picture = g_malloc(picture)};
    GArray *changes[2] = {g_array_new(FALSE, FALSE, sizeof(Change)), g_array_new(FALSE, FALSE, sizeof(Change))};
    SeamEvaluateOptions watched = *options;
    watched.window = take_result;
    watched.change = remove_cells;
    watched.user = &look;
    for (int32_t i = 0; i < data->n; i++)
        look.any_good |= data->record[i].label && !data->record[i].defect;
    memset(out, 0, sizeof *out);
    out->cells = removed_cells;
    SeamEvaluator *e = seam_evaluator_new(&watched, error);
    bool ok = e != NULL;
    for (int32_t i = 0; ok && i < data->n; i++) {
        Change change[2] = {{NAN, NAN}, {NAN, NAN}};
        SeamRandom random = seam_random(deletion_seed, (uint64_t)i);
        if (seam_evaluate_wants(what, data, i))
            ok = test_record(e, &look, &data->record[i], what->only, &random, change, out, error);
        for (int32_t t = 0; t < 2; t++)
            g_array_append_val(changes[t], change[t]);
        if (what->progress)
            what->progress(what->user, i + 1, data->n);
    }
    if (ok) {
        sum_up(changes[0], data, what->draws, &out->pictures);
        sum_up(changes[1], data, what->draws, &out->modalities);
        out->agreement /= out->modalities.n;
        out->heat_in_boxes /= out->with_boxes;
        out->area_of_boxes /= out->with_boxes;
        out->pointing /= out->with_boxes;
    }
    seam_evaluator_free(e);
    g_array_unref(changes[0]);
    g_array_unref(changes[1]);
    g_free(look.result);
    g_free(look.instead);
    g_free(look.good_picture);
    return ok;
}

// ---- printing ------------------------------------------------------------------------------------------------------------------

static void put(JsonObject *o, const char *name, double value) {
    if (isfinite(value))
        json_object_set_double_member(o, name, value);
}

static void put_interval(JsonObject *o, const char *name, SeamInterval interval) {
    if (isfinite(interval.low))
        json_object_set_array_member(o, name, seam_interval_print(interval));
}

static JsonObject *print_test(const SeamDeletionTest *t) {
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "n", t->n);
    put(o, "pointed", t->pointed);
    put(o, "elsewhere", t->elsewhere);
    put_interval(o, "difference", t->difference);
    put(o, "share", t->share);
    put_interval(o, "share_interval", t->share_interval);
    return o;
}

JsonObject *seam_deletion_print(const SeamDeletion *d) {
    JsonObject *o = json_object_new(), *pictures = print_test(&d->pictures), *modalities = print_test(&d->modalities);
    put(pictures, "cells", d->cells);
    json_object_set_int_member(pictures, "with_boxes", d->with_boxes);
    put(pictures, "heat_in_boxes", d->heat_in_boxes);
    put(pictures, "area_of_boxes", d->area_of_boxes);
    put(pictures, "pointing", d->pointing);
    put(modalities, "agreement", d->agreement);
    json_object_set_object_member(o, "pictures", pictures);
    json_object_set_object_member(o, "modalities", modalities);
    return o;
}
