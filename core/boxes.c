// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A cell with the centre (u, v) and the logs z of its distances gives the box (Tian 2019, FCOS, eq. 2; relative to the picture)
//   x0 = u - e^z0 / 8,  y0 = v - e^z1 / 8,  x1 = u + e^z2 / 8,  y1 = v + e^z3 / 8,   z cut to [-6, 3]
// so that z = 0 is a box of a quarter of the picture, whatever the grid. Of the boxes the best is taken again and again, and those of its class that
// overlap it are struck out (greedy non-maximum suppression); its place is the mean of theirs, weighted by score * overlap^2 (box voting: Gidaris 2015, sec. 6).
#include "core/boxes.h"

#include <math.h>

#include "core/layers/localise.h"

const float seam_boxes_shown = 0.3f;

static const float lowest_score = 0.01f; // below it there are only the many cells that show nothing
static const double most_overlap = 0.45;
static const double vote_overlap = 0.5; // from it on another cell's box is of the same thing

double seam_boxes_overlap(const SeamBox *a, const SeamBox *b) {
    double w = fmin(a->x + a->w / 2, b->x + b->w / 2) - fmax(a->x - a->w / 2, b->x - b->w / 2);
    double h = fmin(a->y + a->h / 2, b->y + b->h / 2) - fmax(a->y - a->h / 2, b->y - b->h / 2);
    double both = w > 0 && h > 0 ? w * h : 0, all = (double)a->w * a->h + (double)b->w * b->h - both;
    return all > 0 ? both / all : 0;
}

void seam_boxes_distances(int32_t side, const float *sides, int32_t cell, double distance[4]) {
    for (int32_t k = 0; k < SEAM_BOX_SIDES; k++) {
        double z = sides[(size_t)k * side * side + cell];
        distance[k] = exp(z < -6 ? -6 : z > 3 ? 3 : z) / 8; // NaN stays NaN
    }
}

static SeamBox box_between(double x0, double y0, double x1, double y1) {
    return (SeamBox){.x = (float)((x0 + x1) / 2), .y = (float)((y0 + y1) / 2), .w = (float)(x1 - x0), .h = (float)(y1 - y0)};
}

SeamBox seam_boxes_of_cell(int32_t side, const float *sides, int32_t cell) {
    double d[4], u = (cell % side + 0.5) / side, v = (cell / side + 0.5) / side;
    seam_boxes_distances(side, sides, cell, d);
    return box_between(u - d[0], v - d[1], u + d[2], v + d[3]);
}

// Logits to scores; what is under the lowest score, or has no box, to 0.
static void score_cells(int32_t side, int32_t classes, float *maps, const float *factor) {
    int32_t cells = side * side;
    const float *sides = maps + (size_t)classes * cells;
    for (int32_t c = 0; c < classes; c++)
        for (int32_t i = 0; i < cells; i++) {
            float *score = &maps[(size_t)c * cells + i];
            *score = (factor ? factor[c] : 1) / (1 + expf(-*score));
            bool good = *score >= lowest_score;
            for (int32_t k = 0; k < SEAM_BOX_SIDES; k++)
                good = good && !isnan(sides[(size_t)k * cells + i]);
            if (!good)
                *score = 0;
        }
}

typedef struct {
    double weight, edge[4]; // sums
} Votes;

static void vote(Votes *v, const SeamBox *b, double weight) {
    v->weight += weight;
    v->edge[0] += weight * (b->x - b->w / 2);
    v->edge[1] += weight * (b->y - b->h / 2);
    v->edge[2] += weight * (b->x + b->w / 2);
    v->edge[3] += weight * (b->y + b->h / 2);
}

// Strikes out what overlaps the box of cell `best`, itself included; returns the box that they agree on.
static SeamBox take(int32_t side, const float *sides, int32_t best, float *map) {
    SeamBox top = seam_boxes_of_cell(side, sides, best);
    Votes v = {0};
    for (int32_t i = 0; i < side * side; i++) {
        if (!(map[i] > 0))
            continue;
        SeamBox other = seam_boxes_of_cell(side, sides, i);
        double overlap = i == best ? 1 : seam_boxes_overlap(&top, &other);
        if (overlap >= vote_overlap)
            vote(&v, &other, map[i] * overlap * overlap);
        if (overlap > most_overlap)
            map[i] = 0;
    }
    return box_between(fmax(v.edge[0] / v.weight, 0), fmax(v.edge[1] / v.weight, 0), fmin(v.edge[2] / v.weight, 1), fmin(v.edge[3] / v.weight, 1));
}

int32_t seam_boxes_find(int32_t side, int32_t classes, float *maps, const float *factor, SeamBox *box, int32_t most) {
    int32_t cells = side * side, n = 0;
    score_cells(side, classes, maps, factor);
    while (n < most) {
        int32_t best = 0;
        for (int32_t i = 1; i < classes * cells; i++)
            if (maps[i] > maps[best])
                best = i;
        if (classes * cells == 0 || !(maps[best] > 0))
            break;
        float score = maps[best];
        box[n] = take(side, maps + (size_t)classes * cells, best % cells, maps + (size_t)(best / cells) * cells);
        box[n].score = score;
        box[n++].class_index = best / cells;
    }
    return n;
}
