// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Clock offset by correlation. Each stream's levels are interpolated onto a 50 Hz grid, of which the last 20 s are compared; a curve is "on"
// above the middle of its usual range, so that brightness and amperes can be compared. With a, b the two on-off curves and d a lag in cells,
//
//   r(d) = Pearson correlation of a[i] and b[i + d] over all i where both are known
//
// The offset is the d with the largest r, refined by the parabola through its neighbours: d + (r- - r+) / (2 (r- - 2 r + r+)).
// It owns two rings; it never looks at what the levels mean.
#include "core/offset.h"

#include <glib.h>
#include <math.h>
#include <stddef.h>

#include "core/select.h"

// The ring holds more than is compared, so that what comes ahead of time does not push out what counts.
enum { GRID_RATE = 50, CELLS = 30 * GRID_RATE, SPAN = 20 * GRID_RATE, LEAST_CELLS = GRID_RATE };
static const double longest_step = 0.5; // seconds between readings that may be joined by a line
static const double most_time = 1e9;    // seconds; keeps cell numbers far from overflow
static const double least_correlation = 0.5;

typedef struct {
    float value[CELLS]; // at time c / GRID_RATE in [c % CELLS]; NaN where unknown
    int64_t next;       // one past the newest cell; 0: empty (then `last` is not valid)
    SeamLevel last;
} Ring;

struct SeamOffset {
    int32_t most_cells;
    Ring ring[2]; // other, reference
};

static void ring_clear(Ring *ring) {
    for (int32_t i = 0; i < CELLS; i++)
        ring->value[i] = NAN;
    ring->next = 0;
}

SeamOffset *seam_offset_new(double most) {
    SeamOffset *o = g_new0(SeamOffset, 1);
    // Beyond a third of the span too little is left to compare.
    o->most_cells = (int32_t)ceil(CLAMP(most, 0.1, SPAN / (3.0 * GRID_RATE)) * GRID_RATE);
    seam_offset_reset(o);
    return o;
}

void seam_offset_free(SeamOffset *o) {
    g_free(o);
}

void seam_offset_reset(SeamOffset *o) {
    ring_clear(&o->ring[0]);
    ring_clear(&o->ring[1]);
}

static void ring_set(Ring *ring, int64_t cell, float value) {
    ring->value[cell % CELLS] = value;
    ring->next = cell + 1;
}

static void ring_push(Ring *ring, SeamLevel level) {
    if (!(level.time >= 0 && level.time <= most_time) || !isfinite(level.value))
        return;
    int64_t cell = (int64_t)floor(level.time * GRID_RATE);
    if (ring->next == 0 || cell - ring->next >= CELLS) {
        ring_clear(ring);
        ring_set(ring, cell, level.value);
    } else {
        if (!(level.time > ring->last.time))
            return;
        bool joined = level.time - ring->last.time <= longest_step;
        double slope = (level.value - ring->last.value) / (level.time - ring->last.time);
        for (int64_t c = ring->next; c <= cell; c++) {
            double at = fmax((double)c / GRID_RATE, ring->last.time);
            ring_set(ring, c, joined ? (float)(ring->last.value + slope * (at - ring->last.time)) : NAN);
        }
        if (!joined)
            ring_set(ring, cell, level.value);
    }
    ring->last = level;
}

void seam_offset_push(SeamOffset *o, bool reference, const SeamLevel *levels, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        ring_push(&o->ring[reference ? 1 : 0], levels[i]);
}

// The middle between what a tenth of the values lies under and what a tenth lies over: flashes and dropouts do not move it. NaN when there
// is no edge in them. Reorders the values.
static float middle_of(float *value, int32_t n) {
    if (n == 0)
        return NAN;
    float low = seam_nth_smallest(value, n, n / 10), high = seam_nth_smallest(value, n, n - 1 - n / 10);
    return high > low ? low + (high - low) / 2 : NAN;
}

// The on-off curve over cells first .. first + SPAN - 1: 1, 0, or -1 where unknown. False when there is no edge in it.
static bool on_off(const Ring *ring, int64_t first, int8_t *curve) {
    float value[SPAN];
    int32_t n = 0;
    for (int32_t i = 0; i < SPAN; i++) {
        int64_t cell = first + i;
        bool known = cell >= 0 && cell < ring->next && cell >= ring->next - CELLS && !isnan(ring->value[cell % CELLS]);
        curve[i] = known ? 0 : -1;
        if (known)
            value[n++] = ring->value[cell % CELLS];
    }
    float middle = middle_of(value, n);
    for (int32_t i = 0; i < SPAN; i++)
        if (curve[i] == 0)
            curve[i] = ring->value[(first + i) % CELLS] > middle;
    return !isnan(middle);
}

static int32_t count_known(const int8_t *curve) {
    int32_t known = 0;
    for (int32_t i = 0; i < SPAN; i++)
        known += curve[i] >= 0;
    return known;
}

// r(d); -1 when fewer than `least` cells are known in both or a curve does not change over them.
static double correlation(const int8_t *a, const int8_t *b, int32_t d, int32_t least) {
    int32_t n = 0, sum_a = 0, sum_b = 0, sum_ab = 0;
    for (int32_t i = d < 0 ? -d : 0; i < SPAN && i + d < SPAN; i++) {
        if (a[i] < 0 || b[i + d] < 0)
            continue;
        n++;
        sum_a += a[i];
        sum_b += b[i + d];
        sum_ab += a[i] & b[i + d];
    }
    if (n < least)
        return -1;
    double mean_a = (double)sum_a / n, mean_b = (double)sum_b / n; // of 0s and 1s, whose squares are themselves
    double variance = mean_a * (1 - mean_a) * mean_b * (1 - mean_b);
    return variance > 0 ? ((double)sum_ab / n - mean_a * mean_b) / sqrt(variance) : -1;
}

static int32_t best_lag(const int8_t *a, const int8_t *b, int32_t most, int32_t least, double *best_r) {
    int32_t best = 0;
    *best_r = correlation(a, b, 0, least);
    for (int32_t step = 1; step <= most; step++)
        for (int32_t sign = -1; sign <= 1; sign += 2) {
            double r = correlation(a, b, sign * step, least);
            if (r > *best_r) {
                *best_r = r;
                best = sign * step;
            }
        }
    return best;
}

bool seam_offset_estimate(const SeamOffset *o, double until, double *offset, double *certainty) {
    int8_t a[SPAN], b[SPAN];
    const Ring *other = &o->ring[0], *reference = &o->ring[1];
    // A later reading may still change the cells of the last longest_step.
    int64_t limit = (int64_t)floor((CLAMP(until, 0, most_time) - longest_step) * GRID_RATE);
    int64_t first = MIN(MIN(other->next, reference->next), limit) - SPAN;
    if (!on_off(reference, first, a) || !on_off(other, first, b))
        return false;
    // Half of what the shorter one knows must overlap, lest a few cells at the border agree by chance.
    int32_t least = MAX(LEAST_CELLS, MIN(count_known(a), count_known(b)) / 2);
    double r;
    int32_t lag = best_lag(a, b, o->most_cells, least, &r);
    *certainty = fmax(r, 0);
    // A best lag at the border of the search may have its true maximum beyond it.
    if (!(r >= least_correlation) || lag == o->most_cells || lag == -o->most_cells)
        return false;
    double before = correlation(a, b, lag - 1, least), after = correlation(a, b, lag + 1, least);
    double bend = before - 2 * r + after;
    double shift = bend < 0 ? (before - after) / (2 * bend) : 0;
    *offset = (lag + CLAMP(shift, -0.5, 0.5)) / GRID_RATE;
    return true;
}
