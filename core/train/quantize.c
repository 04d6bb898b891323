// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sensitivity first, then the choice. It owns a copy of all values, from which every trial begins.
#include "core/train/quantize.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/pack.h"

enum { CLASSES, HEAT, DISTANCE, LIFE, KINDS };

static const float least_probability = 1e-6f;

// What a run of the model gave.
typedef struct {
    GArray *output[KINDS]; // of float, of all windows
    GArray *score;         // of float, of all records
    SeamQuantizeFigures figures;
    int32_t records;
} Outcome;

typedef struct {
    const SeamQuantizeOptions *o;
    SeamQuantized *out;
    int32_t *group_of; // [tensors]; -1: stays as it is
    float *master;     // all values, as they were
    Outcome before, now;
    int32_t runs, all_runs;
} Work;

// ---- running the model ------------------------------------------------------------------------------------------------------------

static void begin_outcome(Outcome *o) {
    for (int k = 0; k < KINDS; k++)
        o->output[k] = g_array_new(FALSE, FALSE, sizeof(float));
    o->score = g_array_new(FALSE, FALSE, sizeof(float));
}

static void clear_outcome(Outcome *o) {
    for (int k = 0; k < KINDS; k++)
        g_array_unref(o->output[k]);
    g_array_unref(o->score);
}

static void empty_outcome(Outcome *o) {
    for (int k = 0; k < KINDS; k++)
        g_array_set_size(o->output[k], 0);
    g_array_set_size(o->score, 0);
    o->records = 0;
}

static void take_window(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    Work *w = user;
    Outcome *now = &w->now;
    for (int32_t c = 0; r->has_classify && c < w->o->model->config.n_classes; c++) {
        float value = logf(fmaxf(r->probability[c], least_probability));
        g_array_append_val(now->output[CLASSES], value);
    }
    g_array_append_vals(now->output[HEAT], r->heat, (guint)(r->heat_w * r->heat_h));
    if (r->has_anomaly)
        g_array_append_val(now->output[DISTANCE], r->anomaly);
    if (r->has_rul)
        g_array_append_val(now->output[LIFE], r->rul);
}

static void take_verdict(void *user, const SeamRecord *record, const SeamVerdict *verdict) {
    Outcome *now = &((Work *)user)->now;
    g_array_append_val(now->score, verdict->score);
    now->records++;
}

// A tensor's values and type from its group's; then all are packed.
static bool apply(Work *w, const bool *narrow, GError **error) {
    SeamParams *params = w->o->model->params;
    memcpy(params->data, w->master, params->size * sizeof *w->master);
    for (guint i = 0; i < params->tensors->len; i++) {
        SeamTensor *t = g_ptr_array_index(params->tensors, i);
        int32_t g = w->group_of[i];
        bool kept = g >= 0 && w->out->group[g].kept;
        t->type = g >= 0 && narrow[g] ? SEAM_PACK_I8 : kept && w->o->bf16 ? SEAM_PACK_BF16 : SEAM_PACK_F32;
        g_clear_pointer(&t->scale, g_free);
        seam_tensor_round(t);
    }
    return seam_model_pack(w->o->model, w->o->kernels, error);
}

static SeamQuantizeFigures figures_of(const SeamEvaluation *e) {
    return (SeamQuantizeFigures){.accuracy = 100 * e->by_class.accuracy,
                                 .auroc = 100 * e->auroc,
                                 .map50 = 100 * e->map50,
                                 .pixel_auroc = e->pixels.masked > 0 ? 100 * e->pixels.auroc : NAN,
                                 .rmse = e->lives.n > 0 ? e->lives.rmse : NAN};
}

static bool run(Work *w, const bool *narrow, GError **error) {
    const SeamQuantizeOptions *o = w->o;
    SeamEvaluateOptions options = {.model = o->model, .kernels = o->kernels, .calibration = o->calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .frames = o->frames, .tasks = UINT32_MAX, .window = take_window, .user = w};
    SeamEvaluateWhat what = {.part = o->part, .which = SEAM_PART_HELD, .only = UINT32_MAX, .recall = 0.99, .verdict = take_verdict, .user = w};
    SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    empty_outcome(&w->now);
    bool ok = apply(w, narrow, error) && seam_evaluate(&options, o->data, &what, e, error);
    if (ok)
        w->now.figures = figures_of(e);
    g_free(e);
    w->runs++;
    if (ok && o->progress)
        o->progress(o->user, w->runs, MAX(w->all_runs, w->runs));
    return ok;
}

// ---- measuring --------------------------------------------------------------------------------------------------------------------

// A fall that cannot be told is one that cannot be allowed.
static double fall(double before, double after) {
    return isnan(before) ? -INFINITY : isnan(after) ? INFINITY : before - after;
}

static double limit_of(const SeamConfig *config) {
    int32_t limit = 1;
    for (int32_t t = 0; t < config->n_tasks; t++)
        limit = config->task[t].kind == SEAM_TASK_RUL ? config->task[t].limit : limit;
    return limit;
}

static double loss_of(const SeamConfig *config, const SeamQuantizeFigures *a, const SeamQuantizeFigures *b) {
    double most = fmax(fmax(fall(a->accuracy, b->accuracy), fall(a->auroc, b->auroc)), fmax(fall(a->map50, b->map50), fall(a->pixel_auroc, b->pixel_auroc)));
    most = fmax(most, 100 * fall(-a->rmse, -b->rmse) / limit_of(config));
    return isfinite(most) || most > 0 ? most : 0;
}

static double difference_of(const Outcome *a, const Outcome *b) {
    double most = 0;
    for (int k = 0; k < KINDS; k++) {
        double moved = 0, whole = 0;
        if (a->output[k]->len != b->output[k]->len)
            return INFINITY;
        for (guint i = 0; i < a->output[k]->len; i++) {
            double x = g_array_index(a->output[k], float, i), y = g_array_index(b->output[k], float, i);
            moved += (x - y) * (x - y);
            whole += x * x;
        }
        most = whole > 0 ? fmax(most, sqrt(moved / whole)) : most;
    }
    return most;
}

static void compare_scores(Work *w) {
    const GArray *a = w->before.score, *b = w->now.score;
    int32_t n = 0;
    for (guint i = 0; i < MIN(a->len, b->len); i++) {
        double moved = fabs((double)g_array_index(a, float, i) - (double)g_array_index(b, float, i));
        if (!isfinite(moved))
            continue;
        w->out->score_mean += moved;
        w->out->score_most = fmax(w->out->score_most, moved);
        n++;
    }
    w->out->score_mean /= MAX(n, 1);
}

// ---- groups -----------------------------------------------------------------------------------------------------------------------

// Of "encoder.0.attention.qkv.weight" three parts, of "embed.photo.stem.2.block.0.conv.weight" four: as far as the first number, never the last.
static char *group_name(const char *tensor) {
    g_auto(GStrv) part = g_strsplit(tensor, ".", -1);
    guint all = g_strv_length(part), number = 0;
    while (number < all && !g_ascii_isdigit(part[number][0]))
        number++;
    guint n = MIN(number < all ? MAX(3, number + 1) : 3, all - 1);
    g_clear_pointer(&part[n], g_free);
    for (guint i = n + 1; part[i]; i++)
        g_free(part[i]);
    return g_strjoinv(".", part);
}

static int32_t find_group(SeamQuantized *out, const char *tensor) {
    char *name = group_name(tensor);
    for (int32_t g = 0; g < out->n; g++)
        if (strcmp(out->group[g].name, name) == 0) {
            g_free(name);
            return g;
        }
    out->group[out->n] = (SeamQuantizeGroup){.name = name};
    return out->n++;
}

static bool list_groups(Work *w, GError **error) {
    const GPtrArray *tensors = w->o->model->params->tensors;
    w->group_of = g_new(int32_t, tensors->len);
    w->out->group = g_new0(SeamQuantizeGroup, tensors->len);
    for (guint i = 0; i < tensors->len; i++) {
        const SeamTensor *t = g_ptr_array_index(tensors, i);
        if (t->type != SEAM_PACK_F32) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "tensor \"%s\" is quantised already: take the model that this one was made from", t->name);
            return false;
        }
        w->group_of[i] = seam_tensor_may_narrow(t) ? find_group(w->out, t->name) : -1;
        if (w->group_of[i] >= 0)
            w->out->group[w->group_of[i]].weights += (int64_t)t->size;
    }
    return true;
}

// ---- the choice -------------------------------------------------------------------------------------------------------------------

static bool measure_groups(Work *w, bool *narrow, GError **error) {
    for (int32_t g = 0; g < w->out->n; g++) {
        narrow[g] = true;
        if (!run(w, narrow, error))
            return false;
        w->out->group[g].loss = loss_of(&w->o->model->config, &w->before.figures, &w->now.figures);
        w->out->group[g].difference = difference_of(&w->before, &w->now);
        narrow[g] = false;
    }
    return true;
}

// By the outputs: a figure moves in steps of a whole record. -1: none is left.
static int32_t most_sensitive(const SeamQuantized *out, const bool *narrow) {
    int32_t most = -1;
    for (int32_t g = 0; g < out->n; g++)
        if (narrow[g] && (most < 0 || out->group[g].difference > out->group[most].difference))
            most = g;
    return most;
}

static bool choose(Work *w, bool *narrow, GError **error) {
    for (int32_t g = 0; g < w->out->n; g++)
        narrow[g] = true;
    for (;;) {
        if (!run(w, narrow, error))
            return false;
        w->out->loss = loss_of(&w->o->model->config, &w->before.figures, &w->now.figures);
        int32_t worst = w->out->loss <= w->o->loss ? -1 : most_sensitive(w->out, narrow);
        if (worst < 0)
            break;
        narrow[worst] = false;
        w->out->group[worst].kept = true;
    }
    w->out->difference = difference_of(&w->before, &w->now);
    w->out->after = w->now.figures;
    compare_scores(w);
    return true;
}

static bool quantize(Work *w, GError **error) {
    const SeamParams *params = w->o->model->params;
    w->master = g_memdup2(params->data, params->size * sizeof *params->data);
    if (!list_groups(w, error))
        return false;
    g_autofree bool *narrow = g_new0(bool, w->out->n + 1);
    w->all_runs = w->out->n + 2;
    if (!run(w, narrow, error))
        return false;
    Outcome first = w->before;
    w->before = w->now;
    w->now = first;
    w->out->before = w->before.figures;
    w->out->records = w->before.records;
    if (w->out->records == 0) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no labelled recording to measure on is among those that were named", w->o->data->path);
        return false;
    }
    return measure_groups(w, narrow, error) && choose(w, narrow, error);
}

bool seam_quantize(const SeamQuantizeOptions *options, SeamQuantized *out, GError **error) {
    Work w = {.o = options, .out = out};
    *out = (SeamQuantized){0};
    begin_outcome(&w.before);
    begin_outcome(&w.now);
    bool ok = quantize(&w, error);
    clear_outcome(&w.before);
    clear_outcome(&w.now);
    g_free(w.group_of);
    g_free(w.master);
    if (!ok)
        seam_quantized_clear(out);
    return ok;
}

void seam_quantized_clear(SeamQuantized *q) {
    for (int32_t g = 0; g < q->n; g++)
        g_free(q->group[g].name);
    g_free(q->group);
    *q = (SeamQuantized){0};
}

// ---- as JSON ----------------------------------------------------------------------------------------------------------------------

static void add(JsonObject *o, const char *name, double value) {
    if (isfinite(value))
        json_object_set_double_member(o, name, value);
}

static JsonObject *figures_json(const SeamQuantizeFigures *f) {
    JsonObject *o = json_object_new();
    add(o, "accuracy", f->accuracy);
    add(o, "auroc", f->auroc);
    add(o, "map50", f->map50);
    add(o, "pixel_auroc", f->pixel_auroc);
    add(o, "rmse", f->rmse);
    return o;
}

JsonObject *seam_quantized_print(const SeamQuantized *q) {
    JsonObject *o = json_object_new();
    JsonArray *groups = json_array_new();
    for (int32_t g = 0; g < q->n; g++) {
        JsonObject *group = json_object_new();
        json_object_set_string_member(group, "name", q->group[g].name);
        json_object_set_int_member(group, "weights", q->group[g].weights);
        json_object_set_boolean_member(group, "kept", q->group[g].kept);
        add(group, "loss", q->group[g].loss);
        add(group, "difference", q->group[g].difference);
        json_array_add_object_element(groups, group);
    }
    json_object_set_int_member(o, "records", q->records);
    json_object_set_object_member(o, "before", figures_json(&q->before));
    json_object_set_object_member(o, "after", figures_json(&q->after));
    add(o, "loss", q->loss);
    add(o, "difference", q->difference);
    add(o, "score_moved_mean", q->score_mean);
    add(o, "score_moved_most", q->score_most);
    json_object_set_array_member(o, "groups", groups);
    return o;
}
