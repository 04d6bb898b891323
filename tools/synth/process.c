// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the welding process does over time, sampled each millisecond: gas valve, ignition, short-
// circuit transfer, drift, the marks of the defects, crater fill, cooling. Owns the steps. It
// draws nothing that a stream shows by itself: that is for signals.c, scene.c and photo.c.

#include "tools/synth/weld.h"

#include <glib.h>

static const float dt = 1.0f / SEAM_WELD_STEPS_PER_S;

enum { OPEN_CIRCUIT_V = 40 };

typedef struct {
    SeamSynthRng rng;
    float drift, length;          // slow noise of current and of arc length
    float short_left, next_short; // seconds
    float gap_left;               // arc interrupted
    float spike_left;
    float gas_true, gas_seen, gas_over;
    float pressure;
    float wire, wire_held;
    bool wire_stalled;
    float position, pool;
} Process;

// Signals change at once; the pool and the bead follow with the inertia of their heat.
float seam_weld_defect_at(const SeamWeldDefect *d, unsigned stream, double time)
{
    bool slow = stream & (SEAM_SYNTH_VIDEO | SEAM_SYNTH_PHOTO);
    double ramp = MIN(slow ? 0.35 : 0.08, 0.4 * d->length);
    double inside = MIN(time - d->start, d->start + d->length - time);
    return inside <= 0 ? 0.0f : d->strength * seam_synth_smooth((float)(inside / ramp));
}

float seam_weld_defect(const SeamWeld *w, SeamSynthClass kind, unsigned stream, double time)
{
    float most = 0;
    for (unsigned i = 0; i < w->n_defects; i++)
        if (w->defects[i].kind == kind && (w->defects[i].shows & stream))
            most = MAX(most, seam_weld_defect_at(&w->defects[i], stream, time));
    return most;
}

float seam_weld_nuisance(const SeamWeld *w, SeamWeldNuisanceKind kind, double time)
{
    for (unsigned i = 0; i < w->n_nuisances; i++) {
        const SeamWeldNuisance *n = &w->nuisances[i];
        if (n->kind == kind && time >= n->start && time < n->start + n->length) {
            double inside = MIN(time - n->start, n->start + n->length - time);
            return n->amount * seam_synth_smooth((float)(inside / 0.3));
        }
    }
    return 0;
}

// Ornstein-Uhlenbeck: unit variance, correlation time tau.
static float wander(SeamSynthRng *rng, float x, float tau)
{
    return x + dt / tau * -x + sqrtf(2 * dt / tau) * seam_synth_gauss(rng);
}

// The drop bridges the gap for 2 to 4 ms, then the arc burns until the next one.
static bool step_short(const SeamWeld *w, Process *p, double time)
{
    if (p->short_left > 0) {
        p->short_left -= dt;
        return true;
    }
    p->next_short -= dt;
    if (p->next_short > 0)
        return false;
    float rate = w->short_hz, spread = 0.35f;
    float gas = seam_weld_defect(w, SEAM_SYNTH_GAS_LOSS, SEAM_SYNTH_SOUND, time);
    float spatter = seam_weld_defect(w, SEAM_SYNTH_SPATTER, SEAM_SYNTH_SOUND, time);
    float high = seam_weld_defect(w, SEAM_SYNTH_EXCESSIVE_CONVEXITY, SEAM_SYNTH_SOUND, time);
    rate *= (1 - 0.45f * gas) * (1 - 0.25f * spatter) * (1 + 0.15f * high);
    spread += 0.5f * MAX(gas, 0.6f * spatter);
    float mean = 1.0f / rate;
    p->next_short = mean * (1 - spread) + seam_synth_exponential(&p->rng, mean * spread);
    p->short_left = seam_synth_uniform(&p->rng, 0.0008f, 0.003f);
    return true;
}

// A burning-through arc stretches until it breaks; a gas-starved one flutters.
static bool step_gap(const SeamWeld *w, Process *p, double time)
{
    if (p->gap_left > 0) {
        p->gap_left -= dt;
        return true;
    }
    float hole = seam_weld_defect(w, SEAM_SYNTH_BURN_THROUGH, SEAM_SYNTH_SENSORS, time);
    if (hole > 0 && seam_synth_chance(&p->rng, 6.0f * hole * dt))
        p->gap_left = seam_synth_uniform(&p->rng, 0.02f, 0.12f) * hole;
    return p->gap_left > 0;
}

typedef struct {
    float current, voltage, noise;  // factors; noise relative
} Electrics;

static Electrics defect_electrics(const SeamWeld *w, double time)
{
    const unsigned s = SEAM_SYNTH_SENSORS;
    float hole = seam_weld_defect(w, SEAM_SYNTH_BURN_THROUGH, s, time);
    float cold = seam_weld_defect(w, SEAM_SYNTH_LACK_OF_FUSION, s, time);
    float high = seam_weld_defect(w, SEAM_SYNTH_EXCESSIVE_CONVEXITY, s, time);
    float over = seam_weld_defect(w, SEAM_SYNTH_OVERLAP, s, time);
    float gas = seam_weld_defect(w, SEAM_SYNTH_GAS_LOSS, s, time);
    float pores = seam_weld_defect(w, SEAM_SYNTH_POROSITY, s, time);
    float spatter = seam_weld_defect(w, SEAM_SYNTH_SPATTER, s, time);
    return (Electrics){
        .current = (1 - 0.22f * hole) * (1 - 0.07f * cold) * (1 + 0.03f * high) * (1 + 0.025f * over),
        .voltage = (1 + 0.18f * hole) * (1 - 0.02f * cold) * (1 - 0.05f * high) *
                   (1 - 0.035f * over) * (1 + 0.03f * gas),
        .noise = 0.05f + 0.1f * gas + 0.04f * pores + 0.12f * spatter + 0.1f * hole,
    };
}

static bool step_spike(const SeamWeld *w, Process *p, double time)
{
    float spatter = seam_weld_defect(w, SEAM_SYNTH_SPATTER, SEAM_SYNTH_SENSORS, time);
    if (p->spike_left > 0)
        p->spike_left -= dt;
    else if (spatter > 0 && seam_synth_chance(&p->rng, 25.0f * spatter * dt))
        p->spike_left = seam_synth_uniform(&p->rng, 0.004f, 0.02f);
    return p->spike_left > 0;
}

static void burn(const SeamWeld *w, Process *p, double time, SeamWeldStep *s)
{
    Electrics e = defect_electrics(w, time);
    float ignition = expf(-(float)(time - w->on) / 0.12f), left = (float)(w->off - time);
    bool cracks = w->n_defects > 0 && w->label == SEAM_SYNTH_CRATER_CRACKS &&
                  (w->defects[0].shows & SEAM_SYNTH_SENSORS);
    float fill = cracks ? 1.0f : 0.6f + 0.4f * seam_synth_clamp(left / w->crater_fill, 0, 1);
    p->drift = wander(&p->rng, p->drift, 0.4f);
    p->length = wander(&p->rng, p->length, 0.15f);
    s->arc = true;
    s->shorted = step_short(w, p, time);
    s->current = w->current * e.current * fill * (1 + 0.018f * p->drift + 0.25f * ignition) *
                 (1 + e.noise * seam_synth_gauss(&p->rng));
    s->voltage = w->voltage * e.voltage * (1 + 0.012f * p->length) * 1.05f;
    s->light = fill * (1 + 0.06f * p->length) * (0.85f + 0.3f * ignition);
    if (s->shorted) {
        s->current *= 1.25f;
        s->voltage *= 0.25f;
        s->light *= 0.03f;
    }
    if (step_gap(w, p, time)) {
        s->current *= 0.3f;
        s->voltage = OPEN_CIRCUIT_V + 0.2f * seam_synth_gauss(&p->rng);
    }
    if (step_spike(w, p, time)) {
        s->current *= 1.4f;
        s->voltage *= 0.65f;
    }
}

// Light and particles as the camera sees them.
static void show(const SeamWeld *w, Process *p, double time, SeamWeldStep *s)
{
    const unsigned v = SEAM_SYNTH_VIDEO;
    float gas = seam_weld_defect(w, SEAM_SYNTH_GAS_LOSS, v, time);
    float pores = seam_weld_defect(w, SEAM_SYNTH_POROSITY, v, time);
    float hole = seam_weld_defect(w, SEAM_SYNTH_BURN_THROUGH, v, time);
    float spatter = seam_weld_defect(w, SEAM_SYNTH_SPATTER, v, time);
    float ignition = s->arc ? expf(-(float)(time - w->on) / 0.15f) : 0;
    s->light *= (1 + 0.5f * gas) * (1 - 0.4f * hole) *
                (1 + (0.35f * gas + 0.15f * pores) * p->length * 0.7f);
    s->light = MAX(s->light, 0);
    s->spatter = s->arc ? w->group.spatter + 900 * ignition + 800 * spatter + 120 * gas + 60 * hole : 0;
    p->pool += dt * ((s->arc ? 1.0f : 0.0f) - p->pool) / (s->arc ? 0.5f : 0.35f);
    s->pool = p->pool;
    if (s->arc)
        p->position += w->travel * dt;
    s->position = p->position;
}

static void step_gas(const SeamWeld *w, Process *p, double time, SeamWeldStep *s)
{
    const SeamWeldGroup *g = &w->group;
    bool open = time > w->on - 0.4 && time < w->off + 0.5;
    float loss = seam_weld_defect(w, SEAM_SYNTH_GAS_LOSS, SEAM_SYNTH_SENSORS, time);
    bool seen = time > w->on + 0.1 && time < w->off + 0.9;
    if (seen)
        p->gas_over += dt / 0.9f * -p->gas_over;
    float target = seen ? g->gas * (1 + p->gas_over) * (1 - 0.9f * loss) : 0;
    float tau = seen ? 0.5f : 0.7f;
    p->gas_true += dt / (loss > 0 ? 0.12f : tau) * (target - p->gas_true);
    p->gas_seen += dt / 0.1f * (p->gas_true - p->gas_seen);
    float pressure = open ? 0.02f * g->pressure + 0.1f * loss : g->pressure;
    p->pressure += dt / (open ? 0.35f : 1.2f) * (pressure - p->pressure);
    s->gas = p->gas_seen;
    s->pressure = p->pressure;
}

// The encoder of the real robot sticks now and then and catches up.
static void step_wire(const SeamWeld *w, Process *p, double time, SeamWeldStep *s)
{
    float over = seam_weld_defect(w, SEAM_SYNTH_OVERLAP, SEAM_SYNTH_SENSORS, time);
    float high = seam_weld_defect(w, SEAM_SYNTH_EXCESSIVE_CONVEXITY, SEAM_SYNTH_SENSORS, time);
    if (s->arc)
        p->wire += w->wire * (1 + 0.05f * over + 0.05f * high) * dt;
    if (seam_synth_chance(&p->rng, (p->wire_stalled ? 2.5f : 0.25f) * dt))
        p->wire_stalled = !p->wire_stalled;
    if (!p->wire_stalled || !s->arc)
        p->wire_held = p->wire;
    s->wire = p->wire_held;
}

static void step(const SeamWeld *w, Process *p, double time, SeamWeldStep *s)
{
    if (time >= w->on && time < w->off)
        burn(w, p, time, s);
    else if (time > w->on - 0.35 && time < w->on)
        *s = (SeamWeldStep){.voltage = OPEN_CIRCUIT_V + 0.2f * seam_synth_gauss(&p->rng),
                            .current = 3.0f};
    show(w, p, time, s);
    step_gas(w, p, time, s);
    step_wire(w, p, time, s);
}

bool seam_weld_simulate(SeamWeld *w)
{
    w->n_steps = (size_t)(w->end * SEAM_WELD_STEPS_PER_S) + 1;
    w->steps = g_try_new0(SeamWeldStep, w->n_steps);
    if (w->steps == NULL)
        return false;
    Process p = {.rng = seam_synth_rng(w->seed, w->index, SEAM_WELD_RNG_PROCESS),
                 .pressure = w->group.pressure, .gas_over = w->group.gas_overshoot,
                 .wire = 0.3f, .next_short = 0.02f};
    for (size_t i = 0; i < w->n_steps; i++)
        step(w, &p, (double)i / SEAM_WELD_STEPS_PER_S, &w->steps[i]);
    return true;
}

void seam_weld_clear(SeamWeld *w)
{
    g_free(w->steps);
    w->steps = NULL;
    w->n_steps = 0;
}

const SeamWeldStep *seam_weld_at(const SeamWeld *w, double time)
{
    double i = time * SEAM_WELD_STEPS_PER_S;
    size_t last = w->n_steps - 1;
    return &w->steps[i <= 0 ? 0 : i >= (double)last ? last : (size_t)i];
}
