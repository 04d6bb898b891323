// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One window's tokens to one result: each task that is asked for and ready adds its part. It owns nothing; scratch is in the run's arena
// and released. A result that is not a number is refused (SEAM_DEVICE_ERROR): no result is better than a wrong one.
#include "core/decide.h"

#include <math.h>
#include <string.h>

#include "core/boxes.h"
#include "core/decide_generate.h"

static const float most_score = 15;      // certain beyond single precision is not more certain
static const float box_threshold = 0.5f; // of a cell's probability

// ---- classify ------------------------------------------------------------------------------------------------------------------

// probability = softmax(logits); returns the score, log((1 - p_good) / p_good) = log sum_c>0 exp(z_c) - z_0, in double.
static double softmax(int32_t classes, const float *logits, float *probability) {
    double most = -INFINITY, sum = 0, defects = 0;
    for (int32_t c = 0; c < classes; c++)
        most = fmax(most, logits[c]);
    for (int32_t c = 0; c < classes; c++) {
        double e = exp(logits[c] - most);
        sum += e;
        defects += c > 0 ? e : 0;
    }
    for (int32_t c = 0; c < classes; c++)
        probability[c] = (float)(exp(logits[c] - most) / sum);
    return log(defects) + most - logits[0];
}

// Whether a token is the first of a picture's patches, all of which are there; side: of its grid.
static bool begins_picture(const SeamConfig *config, const SeamTokens *tokens, int32_t token, int32_t *side) {
    int32_t modality = tokens->place[token].modality;
    if (modality >= config->n_modalities || config->modality[modality].front != SEAM_FRONT_IMAGE)
        return false;
    *side = seam_modality_grid(&config->modality[modality]);
    int32_t cells = *side * *side;
    return cells <= SEAM_MAX_HEAT && seam_tokens_patches(tokens, token, MIN(tokens->n, token + cells)) == cells;
}

// The picture whose patches together added most to the margin. Its most telling patch is as hot as the defect is probable; what speaks for good is cold.
static void heat_of_shares(const SeamConfig *config, const SeamTokens *tokens, const float *share, SeamWindowResult *r) {
    double best = 0;
    int32_t first = -1, side = 0;
    for (int32_t i = 0, step; i < tokens->n; i += step) {
        int32_t grid = 0;
        double sum = 0;
        step = begins_picture(config, tokens, i, &grid) ? grid * grid : 1;
        for (int32_t k = 0; k < step && step > 1; k++)
            sum += fmaxf(share[i + k], 0);
        if (sum > best) {
            best = sum;
            first = i;
            side = grid;
        }
    }
    float most = 0, probable = 1 - r->probability[0];
    for (int32_t k = 0; k < side * side; k++)
        most = fmaxf(most, share[first + k]);
    if (!(most > 0))
        return;
    r->heat_w = r->heat_h = side;
    r->heat_modality = tokens->place[first].modality;
    r->heat_time = tokens->seq_time[0] + tokens->place[first].t;
    r->heat_of = SEAM_TASK_CLASSIFY;
    for (int32_t k = 0; k < side * side; k++)
        r->heat[k] = probable * fmaxf(share[first + k], 0) / most;
}

// heat: no other task says where in a picture to look.
static SeamStatus decide_classify(const SeamConfig *config, const SeamClassify *task, bool heat, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    SeamClassifyOut out;
    SeamClassifySaved saved;
    SEAM_TRY(seam_classify_forward(task, run, tokens, &out, heat ? &saved : NULL));
    if (out.present[0] == 0)
        return SEAM_OK;
    for (int32_t c = 0; c < task->classes; c++)
        if (!isfinite(out.logits[c]))
            return SEAM_DEVICE_ERROR;
    double score = softmax(task->classes, out.logits, r->probability);
    r->score = (float)fmin(fmax(score, -most_score), most_score);
    int32_t worst = task->classes > 1 ? 1 : 0;
    for (int32_t c = 2; c < task->classes; c++)
        if (out.logits[c] > out.logits[worst])
            worst = c;
    for (int32_t m = 0; m < task->modalities; m++)
        r->contribution[m] = out.contributions[m * task->classes + worst] - out.contributions[m * task->classes];
    r->has_classify = true;
    float *share = heat ? SEAM_NEW(run->arena, float, tokens->n) : NULL;
    if (heat && !share)
        return SEAM_NO_MEMORY;
    if (heat) {
        seam_classify_shares(task, &saved, worst, share);
        heat_of_shares(config, tokens, share, r);
    }
    return SEAM_OK;
}

// ---- localise ------------------------------------------------------------------------------------------------------------------

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

// The picture with the highest value of any defect; -1 when there is none. NaN anywhere: SEAM_DEVICE_ERROR.
static SeamStatus choose_picture(const SeamLocalise *task, const SeamLocaliseOut *out, int32_t *picture) {
    float best = -INFINITY;
    *picture = -1;
    for (int32_t p = 0; p < out->pictures; p++) {
        size_t cells = (size_t)out->picture[p].side * out->picture[p].side;
        for (size_t i = 0; i < task->channels * cells; i++) {
            float z = out->logits[out->picture[p].offset + i];
            bool defect = i >= (1 - task->first_class) * cells && i < task->classes * cells;
            if (!isfinite(z))
                return SEAM_DEVICE_ERROR;
            if (defect && z > best) {
                best = z;
                *picture = p;
            }
        }
    }
    return SEAM_OK;
}

// Puts a box among those that are kept, highest score first; the last one falls out when there are too many.
static void keep_box(SeamWindowResult *r, const SeamBox *box) {
    int32_t at = r->n_boxes;
    while (at > 0 && r->box[at - 1].score < box->score)
        at--;
    if (at == SEAM_MAX_BOXES)
        return;
    r->n_boxes = MIN(r->n_boxes + 1, SEAM_MAX_BOXES);
    memmove(&r->box[at + 1], &r->box[at], (size_t)(r->n_boxes - 1 - at) * sizeof *box);
    r->box[at] = *box;
}

static void join_cells(const float *map, int32_t side, int32_t class_index, SeamWindowResult *r) {
    SeamBox box[SEAM_MAX_BOXES];
    int32_t n = seam_vision_boxes(map, side, side, box_threshold, box, SEAM_MAX_BOXES);
    for (int32_t i = 0; i < n; i++) {
        box[i].class_index = class_index;
        keep_box(r, &box[i]);
    }
}

// heat = the highest of the defects' probabilities in each cell.
static void fill_heat(const SeamLocalise *task, int32_t cells, const float *maps, float *heat) {
    memset(heat, 0, (size_t)cells * sizeof *heat);
    for (int32_t c = 1 - task->first_class; c < task->classes; c++)
        for (int32_t i = 0; i < cells; i++)
            heat[i] = fmaxf(heat[i], sigmoid(maps[(size_t)c * cells + i]));
}

// The maps are overwritten.
static void fill_boxes(const SeamLocalise *task, int32_t side, float *maps, SeamWindowResult *r) {
    size_t cells = (size_t)side * side;
    if (task->channels > task->classes) {
        const float *factor = task->by_class && r->has_classify ? r->probability + task->first_class : NULL;
        r->n_boxes = seam_boxes_find(side, task->classes, maps, factor, r->box, SEAM_MAX_BOXES);
        for (int32_t i = 0; i < r->n_boxes; i++)
            r->box[i].class_index += task->first_class;
        while (r->n_shown < r->n_boxes && r->box[r->n_shown].score >= seam_boxes_shown)
            r->n_shown++;
        return;
    }
    for (size_t i = 0; i < task->classes * cells; i++)
        maps[i] = sigmoid(maps[i]);
    for (int32_t c = 0; c < task->classes; c++)
        join_cells(maps + c * cells, side, c + task->first_class, r);
    r->n_shown = r->n_boxes;
}

static SeamStatus decide_localise(const SeamLocalise *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    SeamLocaliseOut out;
    int32_t chosen;
    SEAM_TRY(seam_localise_forward(task, run, tokens, &out, NULL));
    SEAM_TRY(choose_picture(task, &out, &chosen));
    if (chosen < 0)
        return SEAM_OK;
    const SeamLocalisePicture *p = &out.picture[chosen];
    int32_t cells = p->side * p->side;
    if (cells > SEAM_MAX_HEAT)
        return SEAM_BAD_SHAPE;
    r->heat_w = r->heat_h = p->side;
    r->heat_modality = p->modality;
    r->heat_time = tokens->seq_time[0] + p->t;
    r->heat_of = SEAM_TASK_LOCALISE;
    fill_heat(task, cells, out.logits + p->offset, r->heat);
    fill_boxes(task, p->side, out.logits + p->offset, r);
    return SEAM_OK;
}

// ---- anomaly -------------------------------------------------------------------------------------------------------------------

// The map of the picture that has the farthest patch of all. Where the task "localise" says what is where, its map stays.
static SeamStatus map_patches(const SeamPatches *p, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    float *map = SEAM_NEW(run->arena, float, SEAM_MAX_HEAT), best = -1;
    if (!map)
        return SEAM_NO_MEMORY;
    for (int32_t i = seam_patches_next(p, tokens, 0); i >= 0; i = seam_patches_next(p, tokens, i + 1)) {
        int32_t m = tokens->place[i].modality, cells = p->grid[m] * p->grid[m];
        float top = 0;
        if (p->memory[m].n == 0 || cells > SEAM_MAX_HEAT)
            continue;
        SEAM_TRY(seam_patches_map(p, run, tokens, i, map));
        for (int32_t c = 0; c < cells; c++)
            top = fmaxf(top, map[c]);
        if (top <= best)
            continue;
        best = top;
        r->heat_w = r->heat_h = p->grid[m];
        r->heat_modality = m;
        r->heat_time = tokens->seq_time[0] + tokens->place[i].t;
        r->heat_of = SEAM_TASK_ANOMALY;
        memcpy(r->heat, map, (size_t)cells * sizeof *map);
    }
    return SEAM_OK;
}

static size_t map_bytes(const SeamPatches *p) {
    return p->reach > 0 ? seam_arena_bytes(SEAM_MAX_HEAT, sizeof(float)) + seam_patches_bytes(p) : 0;
}

static SeamStatus decide_anomaly(const SeamAnomaly *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    float distance[SEAM_MAX_MODALITIES];
    uint32_t scored;
    double sum = 0;
    SEAM_TRY(seam_anomaly_forward(task, run, tokens, distance, &scored));
    for (int32_t m = 0; m < task->modalities; m++) {
        if (!(scored >> m & 1))
            continue;
        if (!isfinite(distance[m]))
            return SEAM_DEVICE_ERROR;
        r->anomaly_of[m] = distance[m];
        sum += distance[m];
    }
    r->has_anomaly = scored != 0;
    r->anomaly = scored ? (float)(sum / __builtin_popcount(scored)) : 0;
    return task->patches.reach > 0 && r->heat_w == 0 ? map_patches(&task->patches, run, tokens, r) : SEAM_OK;
}

// ---- rul -----------------------------------------------------------------------------------------------------------------------

static SeamStatus decide_rul(const SeamSurvival *task, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    SeamClassifyOut out;
    SEAM_TRY(seam_classify_forward(&task->evidence, run, tokens, &out, NULL));
    for (int32_t side = 0; side < 2; side++)
        r->rul_quantile[side] = (float)seam_survival_quantile(task, out.logits, side ? (1 + SEAM_RUL_LEVEL) / 2 : (1 - SEAM_RUL_LEVEL) / 2);
    r->rul = (float)seam_survival_mean(task, out.logits);
    r->has_rul = out.present[0] != 0;
    return isfinite(r->rul) && isfinite(r->rul_quantile[0]) && isfinite(r->rul_quantile[1]) ? SEAM_OK : SEAM_DEVICE_ERROR;
}

// ---- the window ----------------------------------------------------------------------------------------------------------------

static void begin_result(const SeamModel *model, const SeamTokens *tokens, uint32_t expected, const float *expert_use, SeamWindowResult *r) {
    memset(r, 0, sizeof *r);
    r->time = tokens->seq_time[0];
    r->duration = model->config.window;
    r->rul_low = r->rul_high = NAN;
    for (int32_t i = 0; i < tokens->n; i++)
        r->present |= 1u << tokens->place[i].modality;
    for (int32_t m = 0; m < model->config.n_modalities; m++) {
        r->anomaly_of[m] = NAN;
        if (expected >> m & 1 && !model->config.modality[m].sparse && !(r->present >> m & 1))
            r->missing |= 1u << m;
    }
    if (expert_use)
        memcpy(r->expert_use, expert_use, (size_t)model->config.experts * sizeof *expert_use);
}

// Whether a task that runs makes a heat map of its own.
static bool maps_pictures(const SeamModel *model, uint32_t tasks) {
    for (int32_t t = 0; t < model->config.n_tasks; t++) {
        SeamTaskKind kind = model->config.task[t].kind;
        bool maps = kind == SEAM_TASK_LOCALISE || (kind == SEAM_TASK_ANOMALY && model->task[t].anomaly.patches.reach > 0);
        if (tasks >> t & 1 && maps && seam_model_task_ready(model, t))
            return true;
    }
    return false;
}

static SeamStatus decide_task(const SeamModel *model, int32_t task, bool heat, SeamRun *run, const SeamTokens *tokens, SeamWindowResult *r) {
    switch (model->config.task[task].kind) {
    case SEAM_TASK_CLASSIFY: return decide_classify(&model->config, &model->task[task].classify, heat, run, tokens, r);
    case SEAM_TASK_LOCALISE: return decide_localise(&model->task[task].localise, run, tokens, r);
    case SEAM_TASK_ANOMALY: return decide_anomaly(&model->task[task].anomaly, run, tokens, r);
    case SEAM_TASK_RUL: return decide_rul(&model->task[task].survival, run, tokens, r);
    case SEAM_TASK_GENERATE: return seam_decide_generate(&model->task[task].generate, run, tokens, r);
    }
    return SEAM_BAD_SHAPE;
}

SeamStatus seam_decide(const SeamModel *model, SeamRun *run, const SeamTokens *tokens, int32_t window, uint32_t tasks, uint32_t expected,
                       const float *expert_use, SeamWindowResult *result) {
    int32_t first = tokens->seq_start[window], start[2] = {0, tokens->seq_start[window + 1] - first};
    SeamTokens one = {.n = start[1], .dim = tokens->dim, .seqs = 1, .x = tokens->x + (size_t)first * tokens->dim, .seq_start = start,
                      .seq_time = tokens->seq_time + window, .place = tokens->place + first,
                      .size = tokens->size ? tokens->size + first : NULL};
    begin_result(model, &one, expected, expert_use, result);
    if (one.n == 0)
        return SEAM_OK;
    size_t mark = seam_arena_mark(run->arena);
    SeamStatus status = SEAM_OK;
    bool heat = seam_config_front(&model->config, SEAM_FRONT_IMAGE) >= 0 && !maps_pictures(model, tasks);
    for (int32_t t = 0; t < model->config.n_tasks && status == SEAM_OK; t++) {
        if (tasks >> t & 1 && seam_model_task_ready(model, t))
            status = decide_task(model, t, heat, run, &one, result);
        seam_arena_release(run->arena, mark);
    }
    return status;
}

// The task that writes findings, or NULL.
static const SeamText *writer(const SeamModel *model, uint32_t tasks) {
    for (int32_t t = 0; t < model->config.n_tasks; t++)
        if (tasks >> t & 1 && model->config.task[t].kind == SEAM_TASK_GENERATE && model->config.task[t].what == SEAM_GENERATE_TEXT &&
            seam_model_task_ready(model, t))
            return &model->task[t].generate.text;
    return NULL;
}

SeamStatus seam_decide_finding(const SeamModel *model, SeamRun *run, uint32_t tasks, SeamVerdict *verdict) {
    const SeamText *task = writer(model, tasks);
    return task && verdict->has_said ? seam_decide_finding_of(task, run, &model->config, verdict) : SEAM_OK;
}

size_t seam_decide_finding_bytes(const SeamModel *model) {
    const SeamText *task = writer(model, UINT32_MAX);
    return task ? seam_text_write_bytes(task) + seam_arena_bytes((size_t)(1 + task->modalities) * task->width, sizeof(float)) : 0;
}

size_t seam_decide_bytes(const SeamModel *model, int32_t tokens) {
    size_t most = 0;
    for (int32_t t = 0; t < model->config.n_tasks; t++)
        switch (model->config.task[t].kind) {
        case SEAM_TASK_CLASSIFY: most = MAX(most, seam_classify_bytes(&model->task[t].classify, tokens, 1, true)); break; // what the heat map reads is kept
        case SEAM_TASK_LOCALISE: most = MAX(most, seam_localise_bytes(&model->task[t].localise, tokens, false)); break;
        case SEAM_TASK_ANOMALY:
            most = MAX(most, MAX(seam_anomaly_bytes(&model->task[t].anomaly, 1), map_bytes(&model->task[t].anomaly.patches)));
            break;
        case SEAM_TASK_RUL: most = MAX(most, seam_classify_bytes(&model->task[t].survival.evidence, tokens, 1, false)); break;
        case SEAM_TASK_GENERATE: most = MAX(most, seam_generator_bytes(&model->task[t].generate, tokens)); break;
        }
    return most;
}
