// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the slow instruments and the microphone record of a weld, and what the controller and the
// operator write. Owns its buffers until they are returned. The text never names the settings or
// the answer: it holds what a PLC would raise, with false alarms and misses.

#include "tools/synth/weld.h"

#include <glib.h>
#include <stdlib.h>

static const char sensors_header[] =
    "Date,Time,Part No,Pressure,CO2 Weld Flow,Feed,Primary Weld Current,Wire Consumed,"
    "Secondary Weld Voltage,Remarks\n";

typedef struct {
    float current, voltage;
} Means;

static Means mean_before(const SeamWeld *w, double time, double span)
{
    Means m = {0, 0};
    double n = span * SEAM_WELD_STEPS_PER_S;
    for (double i = 0; i < n; i++) {
        const SeamWeldStep *s = seam_weld_at(w, time - i / SEAM_WELD_STEPS_PER_S);
        m.current += s->current;
        m.voltage += s->voltage;
    }
    return (Means){m.current / (float)n, m.voltage / (float)n};
}

// A wall clock that starts somewhere in the working day of the group's day.
static void append_clock(GString *out, const SeamWeld *w, double time)
{
    unsigned month = 1 + w->group.day / 28 % 12, day = 1 + w->group.day % 28;
    unsigned ms = 28800000 + w->index % 400 * 70000 + (unsigned)(time * 1000);
    g_string_append_printf(out, "%u/%u/%u,%02u:%02u:%02u.%03u", month, day,
                           2022 + w->group.day / 336, ms / 3600000, ms / 60000 % 60,
                           ms / 1000 % 60, ms % 1000);
}

typedef struct {
    double next;
    float pressure, feed, wire;
} SlowChannels;

// Pressure and feed are refreshed about once a second. The feed channel of the real robot is the
// wire consumed so far divided by the whole seconds since the record began.
static void refresh_slow(SlowChannels *slow, SeamSynthRng *rng, const SeamWeldStep *s, double time)
{
    slow->wire = s->wire;
    slow->feed = s->wire / MAX(1.0f, floorf((float)time + 1.0f));
    if (time < slow->next)
        return;
    slow->pressure = s->pressure + 0.008f * seam_synth_gauss(rng);
    slow->next = time + seam_synth_uniform(rng, 0.5f, 1.1f);
}

static void append_number(GString *out, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_c(out, ',');
    g_string_append(out, g_ascii_formatd(text, sizeof text, "%.2f", value));
}

static void append_row(GString *out, const SeamWeld *w, SeamSynthRng *rng, double time,
                       SlowChannels *slow)
{
    const SeamWeldStep *s = seam_weld_at(w, time);
    float burst = seam_weld_nuisance(w, SEAM_WELD_SENSOR_BURST, time);
    Means m = mean_before(w, time, 0.06);
    float noise = 0.02f + 0.06f * burst;
    refresh_slow(slow, rng, s, time);
    if (m.current > 0.5f)
        m.current += m.current * noise * seam_synth_gauss(rng);
    if (m.voltage > 0.5f)
        m.voltage += m.voltage * 0.6f * noise * seam_synth_gauss(rng);
    append_clock(out, w, time);
    g_string_append_printf(out, ",%s", w->name);
    append_number(out, slow->pressure);
    append_number(out, s->gas + (0.02f + 0.8f * burst) * seam_synth_gauss(rng));
    append_number(out, slow->feed);
    append_number(out, MAX(m.current, 0));
    append_number(out, slow->wire);
    append_number(out, MAX(m.voltage, 0));
    g_string_append(out, ",\n");
}

GString *seam_weld_sensors(const SeamWeld *w)
{
    SeamSynthRng rng = seam_synth_rng(w->seed, w->index, SEAM_WELD_RNG_SENSORS);
    SlowChannels slow = {0};
    GString *out = g_string_new(sensors_header);
    for (double time = 0; time < w->end;) {
        bool dropped = seam_weld_nuisance(w, SEAM_WELD_DROPPED_ROW, time) > 0 &&
                       seam_synth_chance(&rng, 0.25f);
        if (!dropped)
            append_row(out, w, &rng, time, &slow);
        time += 0.1 + seam_synth_uniform(&rng, 0, 0.02f);
        if (seam_synth_chance(&rng, 0.08f))
            time += seam_synth_uniform(&rng, 0.02f, 0.06f);
    }
    return out;
}

// --- sound -------------------------------------------------------------------------------------

// A resonance: y[n] = x[n] + 2 r cos(w) y[n-1] - r^2 y[n-2], scaled to unit gain at its peak.
typedef struct {
    float a1, a2, gain, y1, y2;
} Resonator;

static Resonator resonator(float hz, float bandwidth, float rate)
{
    float r = expf(-3.14159265f * bandwidth / rate), theta = 6.2831853f * hz / rate;
    float gain = (1 - r) * sqrtf(1 - 2 * r * cosf(2 * theta) + r * r);
    return (Resonator){2 * r * cosf(theta), -r * r, gain, 0, 0};
}

static inline float resonate(Resonator *q, float x)
{
    float y = q->gain * x + q->a1 * q->y1 + q->a2 * q->y2;
    q->y2 = q->y1;
    q->y1 = y;
    return y;
}

// What of the state the microphone hears; constant over one step of the process.
typedef struct {
    float arc;      // level of the arc's noise
    float hiss;     // gas
    float rough;    // slow erratic modulation
    float pops, clicks;  // a second
    bool shorted;
} Heard;

typedef struct {
    SeamSynthRng rng;
    float rate;
    Resonator low, middle, high, pop, click, bang;
    float noise_low, brown, modulation, envelope;
    float strike, pop_strike, click_strike, bang_strike;
    float hum_phase, fan_phase;
    bool was_shorted;
    const SeamWeldGroup *group;
} Microphone;

static Heard hear(const SeamWeld *w, double time)
{
    const unsigned m = SEAM_SYNTH_SOUND;
    const SeamWeldStep *s = seam_weld_at(w, time);
    float gas = seam_weld_defect(w, SEAM_SYNTH_GAS_LOSS, m, time);
    float pores = seam_weld_defect(w, SEAM_SYNTH_POROSITY, m, time);
    float hole = seam_weld_defect(w, SEAM_SYNTH_BURN_THROUGH, m, time);
    float cold = seam_weld_defect(w, SEAM_SYNTH_LACK_OF_FUSION, m, time);
    float over = seam_weld_defect(w, SEAM_SYNTH_OVERLAP, m, time);
    float spatter = seam_weld_defect(w, SEAM_SYNTH_SPATTER, m, time);
    bool valve = time > w->on - 0.4 && time < w->off + 0.5;
    Heard h = {.hiss = valve ? 1 - 0.85f * gas : 0, .shorted = s->shorted};
    if (!s->arc)
        return h;
    h.arc = sqrtf(w->current / 200) * (1 - 0.55f * hole) * (1 - 0.1f * cold) * (1 - 0.12f * over) *
            (1 + 0.25f * gas);
    h.rough = 0.1f + 0.8f * gas + 0.25f * hole + 0.2f * pores;
    h.pops = 0.5f + 22 * pores + 6 * hole + 6 * gas;
    h.clicks = 1.5f + 70 * spatter + 8 * gas;
    return h;
}

// Fan and mains hum over brown noise.
static float room_noise(Microphone *mic)
{
    const SeamWeldGroup *g = mic->group;
    mic->brown = 0.985f * mic->brown + 0.17f * seam_synth_gauss(&mic->rng);
    mic->hum_phase += 50.0f / mic->rate;
    mic->hum_phase -= floorf(mic->hum_phase);
    mic->fan_phase += g->fan_hz / mic->rate;
    mic->fan_phase -= floorf(mic->fan_phase);
    float hum = 1 - 4 * fabsf(mic->hum_phase - 0.5f), fan = 1 - 4 * fabsf(mic->fan_phase - 0.5f);
    return g->background * (mic->brown + 0.07f * seam_synth_gauss(&mic->rng) +
                            g->hum * (0.8f * hum + 0.5f * fan));
}

static void strike(Microphone *mic, const Heard *h)
{
    float step = 1.0f / mic->rate;
    // Re-ignition after a short circuit: a crack whose force scatters widely.
    if (mic->was_shorted && !h->shorted)
        mic->strike += h->arc * expf(0.8f * seam_synth_gauss(&mic->rng));
    mic->was_shorted = h->shorted;
    if (seam_synth_chance(&mic->rng, h->pops * step))
        mic->pop_strike += h->arc * seam_synth_uniform(&mic->rng, 0.4f, 1.6f);
    if (seam_synth_chance(&mic->rng, h->clicks * step))
        mic->click_strike += h->arc * seam_synth_exponential(&mic->rng, 1.0f);
}

static float arc_noise(Microphone *mic, const Heard *h)
{
    float white = seam_synth_gauss(&mic->rng);
    mic->modulation += 25.0f / mic->rate * -mic->modulation +
                       sqrtf(50.0f / mic->rate) * seam_synth_gauss(&mic->rng);
    float rough = MAX(0.0f, 1 + h->rough * mic->modulation);
    float level = h->shorted ? 0.25f : 1.0f;
    mic->envelope += 600.0f / mic->rate * (h->arc * level * rough - mic->envelope);
    float x = white * (mic->envelope * 0.5f + 3.5f * mic->strike);
    mic->noise_low += 0.6f * (x - mic->noise_low);
    float body = 0.3f * mic->noise_low + 0.12f * x + 0.9f * resonate(&mic->low, x) +
                 1.3f * resonate(&mic->middle, x) + 1.1f * resonate(&mic->high, x);
    mic->strike *= 1 - 350.0f / mic->rate;
    return 0.0016f * body;
}

static float events(Microphone *mic, float bang)
{
    float white = seam_synth_gauss(&mic->rng);
    float pop = resonate(&mic->pop, white * mic->pop_strike);
    float click = resonate(&mic->click, white * mic->click_strike);
    mic->bang_strike += 0.02f * (bang - mic->bang_strike);
    float knock = resonate(&mic->bang, white * mic->bang_strike);
    mic->pop_strike *= 1 - 90.0f / mic->rate;
    mic->click_strike *= 1 - 1500.0f / mic->rate;
    return 0.03f * pop + 0.025f * click + 0.2f * knock;
}

static float bang_level(const SeamWeld *w, double time)
{
    float level = 0;
    for (unsigned i = 0; i < w->n_nuisances; i++) {
        const SeamWeldNuisance *n = &w->nuisances[i];
        if (n->kind == SEAM_WELD_BANG && time > n->start && time < n->start + n->length)
            level = n->amount * expf(-(float)(time - n->start) / 0.03f);
    }
    return level;
}

static void open_microphone(Microphone *mic, const SeamWeld *w, int rate)
{
    const SeamWeldGroup *g = &w->group;
    float r = (float)rate, top = 0.45f * r;
    *mic = (Microphone){.rng = seam_synth_rng(w->seed, w->index, SEAM_WELD_RNG_SOUND),
                        .rate = r, .group = g};
    mic->low = resonator(g->resonance[0], 500, r);
    mic->middle = resonator(g->resonance[1], 900, r);
    mic->high = resonator(MIN(g->resonance[2], top), 1500, r);
    mic->pop = resonator(seam_synth_uniform(&mic->rng, 250, 550), 180, r);
    mic->click = resonator(MIN(seam_synth_uniform(&mic->rng, 4500, 6500), top), 2500, r);
    mic->bang = resonator(seam_synth_uniform(&mic->rng, 180, 900), 120, r);
}

int16_t *seam_weld_sound(const SeamWeld *w, int rate, size_t *n)
{
    Microphone mic;
    double first = -w->sound_offset;
    *n = (size_t)((w->end - first) * rate);
    int16_t *samples = g_try_new(int16_t, *n);
    if (samples == NULL)
        return NULL;
    open_microphone(&mic, w, rate);
    size_t block = (size_t)MAX(1, rate / SEAM_WELD_STEPS_PER_S);
    Heard h = {0};
    float bang = 0;
    for (size_t i = 0; i < *n; i++) {
        if (i % block == 0) {
            double time = first + (double)i / rate;
            h = hear(w, time);
            bang = bang_level(w, time);
        }
        strike(&mic, &h);
        float hiss = 0.0004f * h.hiss * seam_synth_gauss(&mic.rng);
        float x = mic.group->sound_level * (arc_noise(&mic, &h) + hiss + events(&mic, bang)) +
                  room_noise(&mic);
        samples[i] = (int16_t)lrintf(32767.0f * seam_synth_clamp(x, -1, 1));
    }
    return samples;
}

// --- text --------------------------------------------------------------------------------------

enum { MAX_CUES = 2 + SEAM_WELD_MAX_DEFECTS };

typedef struct {
    double start;
    const char *text;
} Cue;

static const char *const notes[] = {
    "Operator: plate brushed before welding", "Operator: new spool since last part",
    "Operator: contact tip looks worn",       "Operator: fixture clamped twice",
    "Operator: door of the cell was open",    "Operator: nothing unusual"};

enum { GAS_LOW, ARC_UNSTABLE, FEED_MOTOR, COOLING, N_ALARMS };

static const char *const alarms[N_ALARMS] = {
    [GAS_LOW] = "ALARM 212 shielding gas pressure low",
    [ARC_UNSTABLE] = "ALARM 305 arc unstable",
    [FEED_MOTOR] = "ALARM 131 wire feed motor current high",
    [COOLING] = "WARNING 044 torch cooling flow low"};

// What the controller would notice of a defect, if it does: it misses many.
static bool raise_alarm(SeamSynthRng *rng, const SeamWeldDefect *d, Cue *cue)
{
    double noticed = d->start + seam_synth_uniform(rng, 0.2f, 0.7f);
    bool raised = seam_synth_chance(rng, 0.2f + 0.5f * d->strength);
    bool gas = d->kind == SEAM_SYNTH_GAS_LOSS, hole = d->kind == SEAM_SYNTH_BURN_THROUGH;
    *cue = (Cue){noticed, alarms[gas ? GAS_LOW : ARC_UNSTABLE]};
    return raised && (gas || hole) && (d->shows & SEAM_SYNTH_TEXT);
}

static unsigned draw_cues(const SeamWeld *w, Cue cues[MAX_CUES])
{
    SeamSynthRng rng = seam_synth_rng(w->seed, w->index, SEAM_WELD_RNG_TEXT);
    unsigned n = 0;
    if (seam_synth_chance(&rng, 0.35f))
        cues[n++] = (Cue){seam_synth_uniform(&rng, 0, 0.8f),
                          notes[seam_synth_below(&rng, G_N_ELEMENTS(notes))]};
    if (seam_synth_chance(&rng, 0.12f))
        cues[n++] = (Cue){w->on + (w->off - w->on) * seam_synth_uniform(&rng, 0, 1),
                          alarms[seam_synth_below(&rng, N_ALARMS)]};
    for (unsigned i = 0; i < w->n_defects; i++)
        n += raise_alarm(&rng, &w->defects[i], &cues[n]);
    return n;
}

static int by_start(const void *a, const void *b)
{
    double d = ((const Cue *)a)->start - ((const Cue *)b)->start;
    return (d > 0) - (d < 0);
}

static void append_time(GString *out, unsigned ms)
{
    g_string_append_printf(out, "%02u:%02u:%02u,%03u", ms / 3600000, ms / 60000 % 60,
                           ms / 1000 % 60, ms % 1000);
}

GString *seam_weld_text(const SeamWeld *w)
{
    Cue cues[MAX_CUES];
    unsigned n = draw_cues(w, cues);
    if (n == 0)
        return NULL;
    qsort(cues, n, sizeof *cues, by_start);
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < n; i++) {
        unsigned start = (unsigned)(cues[i].start * 1000);
        g_string_append_printf(out, "%u\n", i + 1);
        append_time(out, start);
        g_string_append(out, " --> ");
        append_time(out, start + 2000);
        g_string_append_printf(out, "\n%s\n\n", cues[i].text);
    }
    return out;
}
