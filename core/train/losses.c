// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Classify (Szegedy 2016, sec. 7, for the smoothing e):
//   q_c = (1 - e) [c = label] + e / classes,   L = mean over labelled windows of w_label * -sum_c q_c log softmax(z)_c,   dL/dz = w (softmax(z) - q) / windows
//
// Localise: a cell (class, row, column) is positive (y = 1) when its centre lies in a box of its class; a box without any centre marks the cell of
// its own. With positives weighted P,
//   L = sum over cells of (P y softplus(-z) + (1 - y) softplus(z)) / (P * max(positives, pictures)),   dL/dz = (P y + 1 - y) (sigmoid(z) - y) / same
// Divided by the positives and not by all cells (Lin 2017, RetinaNet, sec. 3.4): nearly all cells show nothing.
#include "core/train/losses.h"

#include <math.h>
#include <string.h>

double seam_loss_classify(int32_t n, int32_t classes, const float *logits, const int32_t *label, const double *class_weight, double smoothing,
                          double scale, float *dlogits, int32_t *correct, int32_t *counted) {
    double loss = 0;
    int32_t right = 0, labelled = 0;
    memset(dlogits, 0, (size_t)n * classes * sizeof *dlogits);
    for (int32_t i = 0; i < n; i++)
        labelled += label[i] >= 0;
    for (int32_t i = 0; i < n; i++) {
        const float *z = logits + (size_t)i * classes;
        int32_t top = 0;
        double sum = 0;
        if (label[i] < 0)
            continue;
        for (int32_t c = 1; c < classes; c++)
            top = z[c] > z[top] ? c : top;
        for (int32_t c = 0; c < classes; c++)
            sum += exp((double)z[c] - z[top]);
        right += top == label[i];
        for (int32_t c = 0; c < classes; c++) {
            double log_p = (double)z[c] - z[top] - log(sum), q = smoothing / classes + (c == label[i] ? 1 - smoothing : 0);
            double weight = class_weight[label[i]] / labelled;
            loss -= weight * q * log_p;
            dlogits[(size_t)i * classes + c] = (float)(scale * weight * (exp(log_p) - q));
        }
    }
    if (correct)
        *correct = right;
    if (counted)
        *counted = labelled;
    return loss;
}

static int32_t clamp_cell(float at, int32_t side) {
    return at < 0 ? 0 : at >= (float)side ? side - 1 : (int32_t)at;
}

// Sets the cells whose centre lies in the box, at least the one under the box's centre.
static void mark_box(const SeamBox *b, int32_t side, uint8_t *map) {
    int32_t x0 = clamp_cell(ceilf((b->x - b->w / 2) * side - 0.5f), side), x1 = clamp_cell(floorf((b->x + b->w / 2) * side - 0.5f), side);
    int32_t y0 = clamp_cell(ceilf((b->y - b->h / 2) * side - 0.5f), side), y1 = clamp_cell(floorf((b->y + b->h / 2) * side - 0.5f), side);
    if (x1 < x0)
        x0 = x1 = clamp_cell(b->x * side, side);
    if (y1 < y0)
        y0 = y1 = clamp_cell(b->y * side, side);
    for (int32_t y = y0; y <= y1; y++)
        memset(map + (size_t)y * side + x0, 1, (size_t)(x1 - x0 + 1));
}

// Pictures of one window and modality stand in the batch in the same order as among the tokens: the k-th of the one is the k-th of the other.
const SeamPictureTruth *seam_loss_truth(const SeamLocaliseOut *out, int32_t picture, const SeamBatch *batch) {
    const SeamLocalisePicture *p = &out->picture[picture];
    const SeamBatchPart *part = &batch->part[p->modality];
    int32_t k = 0;
    for (int32_t i = 0; i < picture; i++)
        k += out->picture[i].window == p->window && out->picture[i].modality == p->modality;
    for (int32_t i = 0; i < part->n; i++)
        if (g_array_index(part->window, int32_t, i) == p->window && k-- == 0)
            return &g_array_index(part->truth, SeamPictureTruth, i);
    return NULL;
}

static void mark_picture(const SeamPictureTruth *truth, int32_t defects, int32_t side, uint8_t *map) {
    memset(map, 0, (size_t)defects * side * side);
    for (int32_t b = 0; b < truth->n; b++)
        if (truth->box[b].class_index >= 1 && truth->box[b].class_index <= defects)
            mark_box(&truth->box[b], side, map + (size_t)(truth->box[b].class_index - 1) * side * side);
}

double seam_loss_localise(const SeamLocaliseOut *out, int32_t defects, const SeamBatch *batch, double positive, double scale, float *dlogits) {
    double loss = 0;
    int64_t positives = 0, pictures = 0;
    memset(dlogits, 0, out->size * sizeof *dlogits);
    for (int32_t i = 0; i < out->pictures; i++) {
        const SeamLocalisePicture *p = &out->picture[i];
        const SeamPictureTruth *truth = seam_loss_truth(out, i, batch);
        size_t cells = (size_t)defects * p->side * p->side;
        if (!truth || !truth->known)
            continue;
        g_autofree uint8_t *map = g_malloc(cells);
        mark_picture(truth, defects, p->side, map);
        pictures++;
        for (size_t c = 0; c < cells; c++) {
            double z = out->logits[p->offset + c], y = map[c], weight = y > 0 ? positive : 1;
            double t = exp(-fabs(z)), sigmoid = z >= 0 ? 1 / (1 + t) : t / (1 + t);
            loss += weight * (fmax(z, 0) - z * y + log1p(t));
            dlogits[p->offset + c] = (float)(weight * (sigmoid - y));
            positives += map[c];
        }
    }
    double share = pictures > 0 ? 1 / (positive * (double)MAX(positives, pictures)) : 0;
    for (size_t c = 0; c < out->size; c++)
        dlogits[c] *= (float)(scale * share);
    return loss * share;
}
