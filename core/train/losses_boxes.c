// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Assignment (Feng 2021, TOOD, sec. 3.2): a true box is owned by the 10 cells whose centre lies in it (the nearest cell, when it holds none) with the highest
//   m = s^0.5 IoU^6,   s: the cell's probability of the box's class, IoU: of its box with the true one
// A cell that several want goes to the one it overlaps most. Its target is m / max m * max IoU over the cells that want the same box.
//
// Scores, over all cells and classes, y the target: L = y softplus(-z) + (1 - y) softplus(z),   dL/dz = sigmoid(z) - y
// This is the quality focal loss (Li 2020, eq. 3) without its factor |y - p|^2, with which a small set learns more slowly: neu-det after 17 epochs
// had mAP50 0.21 with it and 0.37 without.
// Boxes (Rezatofighi 2019): L = y (1 - GIoU), GIoU = I/U + U/C - 1 with intersection I, union U, and C the smallest box around both;
// U = A + G - I. A side's gradient goes through dI, dA, dC; that of its log z is distance * that.
//
// Both are divided by the sum of the targets over the batch.
#include "core/train/losses_boxes.h"

#include <math.h>
#include <string.h>

#include "core/boxes.h"
#include "core/train/losses.h"

enum { OWNERS = 10 };

// ---- assignment ----------------------------------------------------------------------------------------------------------------

static double sigmoid(double z) {
    double t = exp(-fabs(z));
    return z >= 0 ? 1 / (1 + t) : t / (1 + t);
}

static int32_t nearest_cell(const SeamBox *b, int32_t side) {
    int32_t x = CLAMP((int32_t)(b->x * side), 0, side - 1), y = CLAMP((int32_t)(b->y * side), 0, side - 1);
    return y * side + x;
}

static bool inside(const SeamBox *b, int32_t side, int32_t cell) {
    double u = (cell % side + 0.5) / side, v = (cell / side + 0.5) / side;
    return fabs(u - b->x) < b->w / 2 && fabs(v - b->y) < b->h / 2;
}

typedef struct {
    int32_t cell;
    double fit, overlap;
} Wish;

// The best OWNERS of the cells in a box, best first; returns how many.
static int32_t best_cells(int32_t side, const float *map, const float *sides, const SeamBox *truth, Wish wish[OWNERS]) {
    int32_t n = 0, cells = side * side;
    for (int32_t pass = 0; pass < 2 && n == 0; pass++) // the second: none lies inside
        for (int32_t i = pass ? nearest_cell(truth, side) : 0, end = pass ? i + 1 : cells; i < end; i++) {
            if (!pass && !inside(truth, side, i))
                continue;
            SeamBox own = seam_boxes_of_cell(side, sides, i);
            Wish w = {.cell = i, .overlap = seam_boxes_overlap(&own, truth)};
            w.fit = sqrt(sigmoid(map[i])) * pow(w.overlap, 6);
            int32_t at = n;
            while (at > 0 && wish[at - 1].fit < w.fit)
                at--;
            if (at == OWNERS)
                continue;
            n = MIN(n + 1, OWNERS);
            memmove(&wish[at + 1], &wish[at], (size_t)(n - 1 - at) * sizeof *wish);
            wish[at] = w;
        }
    return n;
}

void seam_boxes_assign(int32_t side, int32_t classes, const float *maps, int32_t n, const SeamBox *truth, int32_t *owner, float *target) {
    int32_t cells = side * side;
    const float *sides = maps + (size_t)classes * cells;
    g_autofree double *overlap = g_new0(double, cells + 1);
    for (int32_t i = 0; i < cells; i++) {
        owner[i] = -1;
        target[i] = 0;
    }
    for (int32_t b = 0; b < n; b++) {
        Wish wish[OWNERS];
        int32_t found = best_cells(side, maps + (size_t)truth[b].class_index * cells, sides, &truth[b], wish);
        double most = 0;
        for (int32_t k = 0; k < found; k++)
            most = fmax(most, wish[k].overlap);
        for (int32_t k = 0; k < found; k++) {
            int32_t i = wish[k].cell;
            if (owner[i] >= 0 && !(wish[k].overlap > overlap[i]))
                continue;
            owner[i] = b;
            overlap[i] = wish[k].overlap;
            target[i] = wish[0].fit > 0 ? (float)(wish[k].fit / wish[0].fit * most) : 0;
        }
    }
}

// ---- one picture ---------------------------------------------------------------------------------------------------------------

static double score_loss(double z, double y, double scale, float *dz) {
    *dz = (float)(scale * (sigmoid(z) - y));
    return scale * (fmax(z, 0) - z * y + log1p(exp(-fabs(z))));
}

// 1 - GIoU of two boxes by their edges x0, y0, x1, y1, and its gradient at those of the first.
static double giou_loss(const double a[4], const double g[4], double d[4]) {
    double aw = a[2] - a[0], ah = a[3] - a[1], gw = g[2] - g[0], gh = g[3] - g[1];
    double iw = fmin(a[2], g[2]) - fmax(a[0], g[0]), ih = fmin(a[3], g[3]) - fmax(a[1], g[1]);
    double cw = fmax(a[2], g[2]) - fmin(a[0], g[0]), ch = fmax(a[3], g[3]) - fmin(a[1], g[1]);
    bool meet = iw > 0 && ih > 0;
    double i = meet ? iw * ih : 0, u = aw * ah + gw * gh - i, c = cw * ch;
    for (int32_t k = 0; k < 4; k++) {
        double sign = k < 2 ? -1 : 1; // a larger x1 widens, a larger x0 narrows
        bool across = k % 2 == 0, inner = k < 2 ? a[k] > g[k] : a[k] < g[k];
        double da = sign * (across ? ah : aw), di = meet && inner ? sign * (across ? ih : iw) : 0, dc = inner ? 0 : sign * (across ? ch : cw);
        double du = da - di;
        d[k] = -(di / u - i * du / (u * u) + du / c - u * dc / (c * c));
    }
    return 2 - i / u - u / c;
}

static double box_loss(int32_t side, const float *sides, int32_t cell, const SeamBox *truth, double scale, float *dsides) {
    double distance[4], d[4], u = (cell % side + 0.5) / side, v = (cell / side + 0.5) / side;
    double g[4] = {truth->x - truth->w / 2, truth->y - truth->h / 2, truth->x + truth->w / 2, truth->y + truth->h / 2};
    seam_boxes_distances(side, sides, cell, distance);
    double a[4] = {u - distance[0], v - distance[1], u + distance[2], v + distance[3]};
    double loss = giou_loss(a, g, d);
    for (int32_t k = 0; k < 4; k++) {
        size_t at = (size_t)k * side * side + cell;
        bool cut = sides[at] < -6 || sides[at] > 3;
        dsides[at] = cut ? 0 : (float)(scale * d[k] * (k < 2 ? -distance[k] : distance[k]));
    }
    return scale * loss;
}

double seam_boxes_loss(int32_t side, int32_t classes, const float *maps, const SeamBox *truth, const int32_t *owner, const float *target,
                       double class_scale, double box_scale, float *dmaps) {
    int32_t cells = side * side;
    size_t sides = (size_t)classes * cells;
    double loss = 0;
    memset(dmaps, 0, (sides + (size_t)SEAM_BOX_SIDES * cells) * sizeof *dmaps);
    for (int32_t c = 0; c < classes; c++)
        for (int32_t i = 0; i < cells; i++) {
            double y = owner[i] >= 0 && truth[owner[i]].class_index == c ? target[i] : 0;
            loss += score_loss(maps[(size_t)c * cells + i], y, class_scale, &dmaps[(size_t)c * cells + i]);
        }
    for (int32_t i = 0; i < cells; i++)
        if (owner[i] >= 0 && target[i] > 0)
            loss += box_loss(side, maps + sides, i, &truth[owner[i]], box_scale * target[i], dmaps + sides);
    return loss;
}

// ---- the batch -----------------------------------------------------------------------------------------------------------------

typedef struct {
    int32_t n, *owner;
    float *target;
    SeamBox box[SEAM_BATCH_BOXES]; // class_index: of a map
    bool known;
} Picture;

static void prepare(const SeamLocaliseOut *out, int32_t i, const SeamLocalise *task, const SeamBatch *batch, Picture *p) {
    const SeamPictureTruth *truth = seam_loss_truth(out, i, batch);
    int32_t side = out->picture[i].side;
    p->known = truth && truth->known;
    if (!p->known)
        return;
    for (int32_t b = 0; b < truth->n; b++) {
        p->box[p->n] = truth->box[b];
        p->box[p->n].class_index -= task->first_class;
        p->n += p->box[p->n].class_index >= 0 && p->box[p->n].class_index < task->classes;
    }
    p->owner = g_new(int32_t, side * side);
    p->target = g_new(float, side * side);
    seam_boxes_assign(side, task->classes, out->logits + out->picture[i].offset, p->n, p->box, p->owner, p->target);
}

double seam_loss_boxes(const SeamLocaliseOut *out, const SeamLocalise *task, const SeamBatch *batch, double box, double scale, float *dlogits) {
    Picture *picture = g_new0(Picture, out->pictures + 1);
    double loss = 0, targets = 0;
    for (int32_t i = 0; i < out->pictures; i++) {
        prepare(out, i, task, batch, &picture[i]);
        for (int32_t c = 0; picture[i].known && c < out->picture[i].side * out->picture[i].side; c++)
            targets += picture[i].target[c];
    }
    targets = fmax(targets, 1);
    memset(dlogits, 0, out->size * sizeof *dlogits);
    for (int32_t i = 0; i < out->pictures; i++) {
        const SeamLocalisePicture *p = &out->picture[i];
        if (picture[i].known)
            loss += seam_boxes_loss(p->side, task->classes, out->logits + p->offset, picture[i].box, picture[i].owner, picture[i].target,
                                    1 / targets, box / targets, dlogits + p->offset);
        g_free(picture[i].owner);
        g_free(picture[i].target);
    }
    for (size_t c = 0; c < out->size; c++)
        dlogits[c] *= (float)scale;
    g_free(picture);
    return loss;
}
