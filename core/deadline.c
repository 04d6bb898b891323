// SPDX-License-Identifier: LGPL-2.1-or-later
//
// With one of `stride` buffers encoded, a buffer may take stride deadlines: load = seconds / (stride deadline).
//   load > 1, LATE times in a row: a level up. One slow buffer alone (a page fault, another program) changes nothing.
//   load < ROOM, `patience` times in a row: a level down. Between ROOM and 1 the level stays: the gap is the hysteresis.
// What a level costs more than the one above it is not known beforehand, so recovering may fail. When the level must go up again before as many
// buffers as were waited for, the patience doubles, up to MOST_PATIENCE; when it holds, it is as at the beginning. So a constant load that lies
// between two levels is late for LATE buffers of MOST_PATIENCE, not all the time. The earlier a buffer is, the less likely is such a load: one that takes a
// k-th of the room counts k times, up to MOST_EASE, so that what a long load has made patient recovers soon when the load has gone. PATIENCE buffers it is at
// least.
#include "core/deadline.h"

#include <math.h>
#include <string.h>

#include "core/error.h"

enum { LATE = 2, PATIENCE = 16, MOST_PATIENCE = 512, MOST_EASE = 8 };
static const double room = 0.7;

static const struct {
    SeamEffort effort;
    int32_t stride;
} levels[SEAM_DEADLINE_LEVELS] = {
    {{0}, 1},
    {{.merge = 0.25f}, 1},
    {{.merge = 0.5f}, 1},
    {{.merge = 0.5f, .expert_mass = 0.8f}, 1},
    {{.merge = 0.5f, .expert_mass = 0.5f}, 1},
    {{.merge = 0.5f, .expert_mass = 0.5f, .exit_margin = 0.9f}, 1},
    {{.merge = 0.5f, .expert_mass = 0.5f, .exit_margin = 0.6f}, 1},
    {{.merge = 0.5f, .expert_mass = 0.5f, .exit_margin = 0.6f}, 2},
    {{.merge = 0.5f, .expert_mass = 0.5f, .exit_margin = 0.6f}, 4},
};

bool seam_deadline_parse(const char *text, double *seconds, GError **error) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1e-3}, {"ms", 1e-3}, {"s", 1}, {"us", 1e-6}};
    char *unit;
    double value = g_ascii_strtod(text, &unit);
    bool number = g_ascii_isdigit(*text) && unit != text; // neither signs, blanks, hexadecimal digits nor "inf"
    for (const char *c = text; c < unit; c++)
        number &= g_ascii_isdigit(*c) || *c == '.' || *c == 'e' || *c == 'E' || *c == '-';
    for (size_t i = 0; number && i < G_N_ELEMENTS(units); i++)
        if (strcmp(unit, units[i].name) == 0 && value * units[i].seconds <= SEAM_DEADLINE_MOST) {
            *seconds = value * units[i].seconds;
            return true;
        }
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "\"%s\" is no deadline: give a number with s, ms or us behind it, as 20ms; without a unit it is "
                "milliseconds; 0 is none, %g s the longest", text, SEAM_DEADLINE_MOST);
    return false;
}

void seam_deadline_init(SeamDeadline *d, double deadline) {
    *d = (SeamDeadline){.deadline = deadline, .patience = PATIENCE, .since = MOST_PATIENCE};
}

void seam_deadline_change(SeamDeadline *d, double deadline) {
    if (d->deadline > 0 && deadline > 0)
        d->deadline = deadline;
    else
        seam_deadline_init(d, deadline);
}

bool seam_deadline_drops(SeamDeadline *d) {
    d->turn = (d->turn + 1) % levels[d->level].stride;
    return d->turn != 0;
}

static void move(SeamDeadline *d, int32_t level) {
    d->level = level;
    d->late = d->early = d->turn = 0;
    d->ease = 0;
}

static void degrade(SeamDeadline *d) {
    if (d->level + 1 == SEAM_DEADLINE_LEVELS)
        return;
    if (d->since < d->patience)
        d->patience = 2 * d->patience < MOST_PATIENCE ? 2 * d->patience : MOST_PATIENCE;
    d->since = MOST_PATIENCE;
    move(d, d->level + 1);
}

static void recover(SeamDeadline *d) {
    if (d->level == 0)
        return;
    d->since = 0;
    move(d, d->level - 1);
}

void seam_deadline_took(SeamDeadline *d, double seconds) {
    if (!(d->deadline > 0))
        return;
    double load = seconds / (d->deadline * levels[d->level].stride);
    d->late = load > 1 ? d->late + 1 : 0;
    d->early = load < room ? d->early + 1 : 0;
    double ease = d->early > 0 ? fmin(room / load, MOST_EASE) : 1;
    d->ease = d->early > 0 ? d->ease + ease : 0;
    if (d->since < d->patience && (d->since += ease) >= d->patience) { // it has held: before the next step, which would begin to count anew
        d->since = MOST_PATIENCE;
        d->patience = PATIENCE;
    }
    if (d->late >= LATE)
        degrade(d);
    else if (d->early >= PATIENCE && d->ease >= d->patience)
        recover(d);
}

// Of a limit where 0 stands for "none" the stricter one.
static float stricter(float a, float b) {
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

SeamEffort seam_deadline_effort(const SeamDeadline *d, SeamEffort asked) {
    const SeamEffort *of = &levels[d->level].effort;
    return (SeamEffort){.merge = asked.merge > of->merge ? asked.merge : of->merge,
                        .expert_mass = stricter(asked.expert_mass, of->expert_mass),
                        .exit_margin = stricter(asked.exit_margin, of->exit_margin)};
}
