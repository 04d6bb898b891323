// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws a weld: its group's settings and looks, its label, its defects and the nuisances that good
// and bad welds share. Owns nothing; uses only the seed and the index.

#include "tools/synth/weld.h"

#include <glib.h>
#include <string.h>

static const char *const class_names[SEAM_SYNTH_N_CLASSES] = {
    "good",    "porosity",      "burn_through", "lack_of_fusion", "excessive_convexity",
    "overlap", "crater_cracks", "gas_loss",     "spatter",
};

// Where a class shows plainly; it may leave no trace in the others, but in one of these it does.
static const unsigned plain_streams[SEAM_SYNTH_N_CLASSES] = {
    [SEAM_SYNTH_POROSITY] = SEAM_SYNTH_SOUND | SEAM_SYNTH_PHOTO,
    [SEAM_SYNTH_BURN_THROUGH] = SEAM_SYNTH_SENSORS | SEAM_SYNTH_VIDEO | SEAM_SYNTH_PHOTO,
    [SEAM_SYNTH_LACK_OF_FUSION] = SEAM_SYNTH_VIDEO | SEAM_SYNTH_PHOTO,
    [SEAM_SYNTH_EXCESSIVE_CONVEXITY] = SEAM_SYNTH_VIDEO | SEAM_SYNTH_PHOTO,
    [SEAM_SYNTH_OVERLAP] = SEAM_SYNTH_VIDEO | SEAM_SYNTH_PHOTO,
    [SEAM_SYNTH_CRATER_CRACKS] = SEAM_SYNTH_SENSORS | SEAM_SYNTH_PHOTO,
    [SEAM_SYNTH_GAS_LOSS] = SEAM_SYNTH_SENSORS | SEAM_SYNTH_SOUND | SEAM_SYNTH_VIDEO,
    [SEAM_SYNTH_SPATTER] = SEAM_SYNTH_SOUND | SEAM_SYNTH_VIDEO | SEAM_SYNTH_PHOTO,
};

const char *seam_synth_class_name(SeamSynthClass kind)
{
    return class_names[kind];
}

static void draw_process(SeamSynthRng *rng, SeamWeldGroup *g)
{
    g->current = seam_synth_uniform(rng, 120, 300);
    g->voltage = 11.5f + 0.028f * g->current + seam_synth_uniform(rng, -1.2f, 3.0f);
    g->travel = seam_synth_uniform(rng, 5, 10);
    g->wire = 30.0f + 0.12f * g->current + seam_synth_uniform(rng, -6, 10);
    g->short_hz = seam_synth_uniform(rng, 40, 150);
    g->spatter = seam_synth_uniform(rng, 25, 200);
    g->gas = seam_synth_uniform(rng, 8, 15);
    g->gas_overshoot = seam_synth_uniform(rng, 0.15f, 1.6f);
    g->pressure = seam_synth_uniform(rng, 1.8f, 3.8f);
}

static void draw_camera(SeamSynthRng *rng, SeamWeldGroup *g)
{
    g->arc_x = seam_synth_uniform(rng, 0.42f, 0.6f);
    g->arc_y = seam_synth_uniform(rng, 0.36f, 0.58f);
    g->scale = seam_synth_uniform(rng, 0.75f, 1.35f);
    g->tilt = seam_synth_uniform(rng, -0.06f, 0.06f);
    g->direction = seam_synth_chance(rng, 0.7f) ? 1.0f : -1.0f;
    g->exposure = seam_synth_uniform(rng, 0.7f, 1.35f);
    g->noise = seam_synth_uniform(rng, 0.6f, 3.5f);
    g->black = seam_synth_uniform(rng, 2, 14);
    g->halo = seam_synth_uniform(rng, 0.5f, 1.6f);
    g->blur = seam_synth_uniform(rng, 0.0f, 0.25f);
    g->shutter = seam_synth_uniform(rng, 0.004f, 0.02f);
    g->pool_tone = seam_synth_uniform(rng, 0.32f, 0.6f);
}

static void draw_plate(SeamSynthRng *rng, SeamWeldGroup *g)
{
    static const float tables[4][3] = {
        {0.72f, 0.47f, 0.28f}, {0.05f, 0.055f, 0.06f}, {0.62f, 0.52f, 0.40f}, {0.30f, 0.33f, 0.34f}};
    static const float plates[3][3] = {
        {0.30f, 0.30f, 0.31f}, {0.27f, 0.20f, 0.17f}, {0.40f, 0.40f, 0.40f}};
    const float *table = tables[seam_synth_below(rng, 4)];
    const float *plate = plates[seam_synth_below(rng, 3)];
    float warmth = seam_synth_uniform(rng, -0.12f, 0.12f), tone = seam_synth_uniform(rng, 0.8f, 1.2f);
    for (int c = 0; c < 3; c++) {
        g->table_rgb[c] = table[c] * seam_synth_uniform(rng, 0.9f, 1.1f);
        g->plate_rgb[c] = plate[c] * tone * seam_synth_uniform(rng, 0.95f, 1.05f);
        g->light_rgb[c] = 1.0f - warmth * (float)(c - 1);
    }
    g->joint = (SeamWeldJoint)seam_synth_below(rng, 3);
    g->plate_scale = seam_synth_uniform(rng, 0.1f, 0.5f);
    g->scratches = seam_synth_uniform(rng, 0, 1);
    g->silica = seam_synth_uniform(rng, 0, 1);
    g->ripple = seam_synth_uniform(rng, 0.9f, 2.2f);
    g->bead_width = seam_synth_uniform(rng, 6, 10);
    g->bead_height = seam_synth_uniform(rng, 1.4f, 2.4f);
    g->plate_width = seam_synth_uniform(rng, 70, 110);
    g->light_azimuth = seam_synth_uniform(rng, 0, 6.2831853f);
    g->photo_exposure = seam_synth_uniform(rng, 0.8f, 1.25f);
    g->photo_noise = seam_synth_uniform(rng, 1, 5);
    g->photo_distance = seam_synth_uniform(rng, 0.85f, 1.3f);
}

static void draw_room(SeamSynthRng *rng, SeamWeldGroup *g)
{
    g->sound_level = seam_synth_uniform(rng, 0.5f, 1.8f);
    g->background = powf(10.0f, seam_synth_uniform(rng, -4.4f, -3.6f));
    g->fan_hz = seam_synth_uniform(rng, 85, 340);
    g->hum = seam_synth_uniform(rng, 0, 1);
    g->resonance[0] = seam_synth_uniform(rng, 300, 900);
    g->resonance[1] = seam_synth_uniform(rng, 1200, 2600);
    g->resonance[2] = seam_synth_uniform(rng, 2800, 5500);
    g->day = seam_synth_below(rng, 700);
    g->texture = seam_synth_bits(rng);
}

// The group that holds a run, its first run and its size: groups follow each other, 4 to 8 runs.
static unsigned find_group(uint64_t seed, unsigned index, unsigned *first, unsigned *size)
{
    *first = 0;
    for (unsigned group = 0;; group++) {
        SeamSynthRng rng = seam_synth_rng(seed, group, SEAM_WELD_RNG_GROUP_SIZE);
        *size = 4 + seam_synth_below(&rng, 5);
        if (index < *first + *size)
            return group;
        *first += *size;
    }
}

// Which of a group's places are good: the rounded share of them, at least one of each kind.
static bool place_is_good(SeamSynthRng rng, unsigned place, unsigned size, double share)
{
    unsigned order[8], good = (unsigned)(share * size + seam_synth_uniform(&rng, 0, 1));
    if (share > 0 && share < 1)
        good = CLAMP(good, 1, size - 1);
    for (unsigned i = 0; i < size; i++) {
        unsigned j = seam_synth_below(&rng, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    return order[place] < good;
}

static SeamSynthClass draw_class(SeamSynthRng *rng, unsigned classes)
{
    SeamSynthClass present[SEAM_SYNTH_N_CLASSES];
    unsigned n = 0;
    for (int kind = 1; kind < SEAM_SYNTH_N_CLASSES; kind++)
        if (classes & 1u << kind)
            present[n++] = (SeamSynthClass)kind;
    return n == 0 ? SEAM_SYNTH_GOOD : present[seam_synth_below(rng, n)];
}

static void draw_defect(SeamSynthRng *rng, const SeamWeld *w, SeamSynthClass kind, double from,
                        double to, SeamWeldDefect *d)
{
    double room = to - from;
    d->kind = kind;
    d->length = seam_synth_uniform(rng, 0.4f, (float)MIN(3.0, room * 0.8));
    d->start = from + seam_synth_uniform(rng, 0, 1) * (room - d->length);
    if (kind == SEAM_SYNTH_CRATER_CRACKS) {
        d->length = seam_synth_uniform(rng, 0.4f, 0.9f);
        d->start = w->off - 0.1;
    }
    d->strength = seam_synth_uniform(rng, 0.25f, 1.0f);
    d->side = seam_synth_chance(rng, 0.5f) ? 1.0f : -1.0f;
    d->shows = SEAM_SYNTH_ALL_STREAMS;
    for (unsigned stream = 1; stream <= SEAM_SYNTH_PHOTO; stream <<= 1)
        if (seam_synth_chance(rng, 0.12f))
            d->shows &= ~stream;
    if (!(d->shows & plain_streams[kind]))
        d->shows |= plain_streams[kind];
}

static void draw_defects(SeamSynthRng *rng, const SeamSynthOptions *options, SeamWeld *w)
{
    if (w->label == SEAM_SYNTH_GOOD)
        return;
    bool two = seam_synth_chance(rng, 0.25f);
    double from = w->on + 0.5, to = w->off - 0.3, middle = two ? 0.5 * (from + to) : to;
    draw_defect(rng, w, w->label, from, middle, &w->defects[w->n_defects++]);
    if (!two)
        return;
    SeamSynthClass second =
        seam_synth_chance(rng, 0.7f) ? w->label : draw_class(rng, options->classes);
    // A crater is at the end, once: its companion lies before it.
    if (second == SEAM_SYNTH_CRATER_CRACKS && w->label == second)
        return;
    draw_defect(rng, w, second, middle, to, &w->defects[w->n_defects++]);
}

static void draw_nuisances(SeamSynthRng *rng, SeamWeld *w)
{
    for (int kind = 0; kind < SEAM_WELD_N_NUISANCES; kind++) {
        if (!seam_synth_chance(rng, 0.3f))
            continue;
        SeamWeldNuisance *n = &w->nuisances[w->n_nuisances++];
        n->kind = (SeamWeldNuisanceKind)kind;
        n->start = seam_synth_uniform(rng, 0.3f, (float)w->end - 1.0f);
        n->length = kind == SEAM_WELD_BANG ? 0.3f : seam_synth_uniform(rng, 0.3f, 2.5f);
        n->amount = seam_synth_uniform(rng, 0.2f, 1.0f);
    }
}

static void draw_run(SeamSynthRng *rng, const SeamSynthOptions *options, SeamWeld *w)
{
    const SeamWeldGroup *g = &w->group;
    double weld = options->duration_min + (options->duration_max - options->duration_min) *
                                              seam_synth_uniform(rng, 0, 1);
    w->on = seam_synth_uniform(rng, 1.5f, 2.5f);
    w->off = w->on + weld;
    w->end = w->off + seam_synth_uniform(rng, 1.0f, 2.5f);
    w->video_offset = seam_synth_uniform(rng, -0.5f, 0.5f);
    w->sound_offset = seam_synth_uniform(rng, -0.1f, 0.1f);
    w->current = g->current * seam_synth_uniform(rng, 0.96f, 1.04f);
    w->voltage = g->voltage * seam_synth_uniform(rng, 0.97f, 1.03f);
    w->travel = g->travel * seam_synth_uniform(rng, 0.97f, 1.03f);
    w->wire = g->wire * seam_synth_uniform(rng, 0.95f, 1.05f);
    w->short_hz = g->short_hz * seam_synth_uniform(rng, 0.9f, 1.1f);
    w->crater_fill = seam_synth_uniform(rng, 0.15f, 0.6f);
}

void seam_weld_plan(const SeamSynthOptions *options, unsigned index, SeamWeld *w)
{
    unsigned first, size;
    memset(w, 0, sizeof *w);
    w->seed = options->seed;
    w->index = index;
    w->group_index = find_group(options->seed, index, &first, &size);
    g_snprintf(w->name, sizeof w->name, "synth-%04u", index + 1);

    SeamSynthRng rng = seam_synth_rng(options->seed, w->group_index, SEAM_WELD_RNG_GROUP);
    draw_process(&rng, &w->group);
    draw_camera(&rng, &w->group);
    draw_plate(&rng, &w->group);
    draw_room(&rng, &w->group);
    w->group.plate_length = (float)options->duration_max * w->group.travel + 50.0f;
    bool good = (options->classes & 1u << SEAM_SYNTH_GOOD) &&
                place_is_good(rng, index - first, size, options->good_share);

    rng = seam_synth_rng(options->seed, index, SEAM_WELD_RNG_PLAN);
    draw_run(&rng, options, w);
    w->label = good ? SEAM_SYNTH_GOOD : draw_class(&rng, options->classes);
    draw_defects(&rng, options, w);
    draw_nuisances(&rng, w);
}
