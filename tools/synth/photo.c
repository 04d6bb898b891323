// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Photographs of the finished bead. The bead is a relief on a map along and across the seam, built
// once; each photograph casts one ray a pixel from a pinhole camera onto plate, upright plate,
// card and table. Owns the map. Lengths in mm: x along the seam, y across, z up; the seam is y = 0.

#include "tools/synth/weld.h"

#include <glib.h>
#include <string.h>

enum { DOTS_PER_MM = 5, HALF_MM = 18, MAP_HEIGHT = 2 * HALF_MM * DOTS_PER_MM };

typedef struct {
    float nx, ny, r, g, b, gloss;
} Texel;

struct SeamBead {
    const SeamWeld *weld;
    const float *tile;
    float first, last;     // mm: where the bead starts and ends on the plate
    int map_width;
    float *height;         // [MAP_HEIGHT, map_width]
    Texel *texels;         // the same
    SeamSynthRng rng;
};

// What the defects do to the bead at one place along it.
typedef struct {
    float cold, high, over, over_side, soot, pores, hole, hole_centre, spatter;
} Marks;

static float place_of(const SeamWeld *w, double time)
{
    return seam_weld_at(w, time)->position;
}

static Marks marks_at(const SeamWeld *w, float position)
{
    Marks m = {.over_side = 1};
    double time = w->on + position / w->travel;
    const unsigned p = SEAM_SYNTH_PHOTO;
    m.cold = seam_weld_defect(w, SEAM_SYNTH_LACK_OF_FUSION, p, time);
    m.high = seam_weld_defect(w, SEAM_SYNTH_EXCESSIVE_CONVEXITY, p, time);
    m.over = seam_weld_defect(w, SEAM_SYNTH_OVERLAP, p, time);
    m.soot = seam_weld_defect(w, SEAM_SYNTH_GAS_LOSS, p, time);
    m.hole = seam_weld_defect(w, SEAM_SYNTH_BURN_THROUGH, p, time);
    m.spatter = seam_weld_defect(w, SEAM_SYNTH_SPATTER, p, time);
    m.pores = MAX(seam_weld_defect(w, SEAM_SYNTH_POROSITY, p, time),
                  0.6f * seam_weld_defect(w, SEAM_SYNTH_GAS_LOSS, p, time - 0.3));
    for (unsigned i = 0; i < w->n_defects; i++)
        if (w->defects[i].kind == SEAM_SYNTH_OVERLAP)
            m.over_side = w->defects[i].side;
    return m;
}

static float noise(const SeamBead *b, float x, float y)
{
    return seam_synth_tile_at(b->tile, x + (float)(b->weld->index * 37 % 251), y);
}

// Width and height of the bead at x: rounded ends, a sunken crater, the marks of the defects.
static void bead_section(const SeamBead *b, float x, const Marks *m, float *half, float *tall)
{
    const SeamWeldGroup *g = &b->weld->group;
    float start = seam_synth_clamp((x - b->first) / (0.6f * g->bead_width), 0, 1);
    float end = seam_synth_clamp((b->last - x) / (0.6f * g->bead_width), 0, 1);
    float ends = sqrtf(1 - (1 - start) * (1 - start)) * sqrtf(1 - (1 - end) * (1 - end));
    float sway = 1 + 0.05f * noise(b, x * 1.3f, 11);
    *half = 0.5f * g->bead_width * ends * sway * (1 - 0.45f * m->cold) * (1 - 0.22f * m->high);
    *tall = g->bead_height * (0.3f + 0.7f * ends) * (1 - 0.15f * m->cold) * (1 + 1.1f * m->high) *
            (1 - 0.5f * m->hole);
    float crater = seam_synth_smooth(1 - (b->last - x) / (0.9f * g->bead_width));
    *tall *= 1 - 0.55f * crater;
}

static float bead_relief(const SeamBead *b, float x, float y, float half, float tall, const Marks *m)
{
    float side = y * m->over_side > 0 ? half * (1 + 0.75f * m->over * (0.8f + 0.2f * noise(b, x * 4, 3)))
                                      : half;
    float v = side > 0.01f ? y / side : 2;
    if (v * v >= 1)
        return 0;
    float roll = m->over > 0 && y * m->over_side > 0 ? 0.35f : 0.5f;
    float dome = powf(1 - v * v, roll + 0.15f * m->high);
    float wave = sinf(6.2831853f * (x / b->weld->group.ripple + 0.55f * v * v + 0.12f * noise(b, x * 3, y * 6)));
    float rough = 0.02f + 0.16f * m->soot;
    return tall * dome * (1 + 0.07f * wave) + rough * noise(b, x * 7, y * 7) + 0.06f;
}

// Bare plate, mill scale, the heat tint beside the bead.
static void plate_colour(const SeamBead *b, float x, float y, float edge, float rgb[3])
{
    const SeamWeldGroup *g = &b->weld->group;
    float grain = 1 + 0.07f * noise(b, x * 9, y * 2) +
                  0.3f * g->plate_scale * noise(b, x * 0.9f, y * 0.7f);
    float scratch = noise(b, x * 0.35f + y * 9, y * 0.15f + x * 0.1f);
    grain += scratch > 2.0f ? 0.35f * g->scratches : 0;
    edge *= 1 + 0.12f * noise(b, x * 0.8f, y * 0.8f);
    float dark = 1 - 0.45f * expf(-edge * edge / 9), blue = 0.22f * expf(-(edge - 5) * (edge - 5) / 9);
    float straw = 0.12f * expf(-(edge - 9) * (edge - 9) / 14);
    rgb[0] = g->plate_rgb[0] * grain * dark * (1 - 0.4f * blue + 0.5f * straw);
    rgb[1] = g->plate_rgb[1] * grain * dark * (1 - 0.1f * blue + 0.25f * straw);
    rgb[2] = g->plate_rgb[2] * grain * dark * (1 + 0.7f * blue - 0.5f * straw);
}

static void bead_colour(const SeamBead *b, float x, float y, const Marks *m, Texel *t)
{
    float metal = 0.33f + 0.03f * noise(b, x * 4, y * 4), glass = noise(b, x * 8 + 60, y * 9);
    float silica = glass > 2.1f - 1.0f * b->weld->group.silica && m->soot < 0.3f ? 0.25f : 0;
    metal = (metal + silica) * (1 - 0.65f * m->soot);
    t->r = metal * (1 + 0.1f * m->soot);
    t->g = metal;
    t->b = metal * (1.05f - 0.12f * m->soot);
    t->gloss = (1.1f + 0.6f * m->high - 0.25f * m->cold) * (1 - 0.8f * m->soot);
}

static float *height_at(SeamBead *b, float x, float y)
{
    int i = (int)(x * DOTS_PER_MM), j = (int)((y + HALF_MM) * DOTS_PER_MM);
    bool inside = i >= 0 && i < b->map_width && j >= 0 && j < MAP_HEIGHT;
    return inside ? &b->height[j * b->map_width + i] : NULL;
}

// A bump (h > 0) or pit of radius r, tinted by `shade`.
static void stamp(SeamBead *b, float cx, float cy, float r, float h, float shade)
{
    const float pitch = 1.0f / DOTS_PER_MM;
    for (float y = cy - r; y <= cy + r; y += pitch) {
        for (float x = cx - r; x <= cx + r; x += pitch) {
            float q = ((x - cx) * (x - cx) + (y - cy) * (y - cy)) / (r * r);
            float *height = height_at(b, x, y);
            if (height == NULL || q >= 1)
                continue;
            Texel *t = &b->texels[height - b->height];
            float mask = seam_synth_smooth(2 * (1 - q));
            *height += h * sqrtf(1 - q);
            t->r *= 1 + mask * (shade - 1);
            t->g *= 1 + mask * (shade - 1);
            t->b *= 1 + mask * (shade - 1);
            t->gloss = h > 0 ? 1.2f : t->gloss * (1 - mask);
        }
    }
}

static void build_relief(SeamBead *b)
{
    for (int i = 0; i < b->map_width; i++) {
        float x = (float)i / DOTS_PER_MM, half = 0, tall = 0;
        Marks m = marks_at(b->weld, x - b->first);
        bool weld = x > b->first && x < b->last;
        if (weld)
            bead_section(b, x, &m, &half, &tall);
        float past = weld ? 0 : MAX(b->first - x, x - b->last);
        for (int j = 0; j < MAP_HEIGHT; j++) {
            float y = (float)j / DOTS_PER_MM - HALF_MM;
            float h = weld ? bead_relief(b, x, y, half, tall, &m) : 0;
            float gap = fabsf(y) - half, edge = MAX(sqrtf(MAX(gap, 0) * MAX(gap, 0) + past * past), 0);
            Texel *t = &b->texels[j * b->map_width + i];
            float rgb[3];
            plate_colour(b, x, y, edge, rgb);
            *t = (Texel){.r = rgb[0], .g = rgb[1], .b = rgb[2], .gloss = 0.12f};
            if (h > 0)
                bead_colour(b, x, y, &m, t);
            b->height[j * b->map_width + i] = h;
        }
    }
}

static void stamp_pores(SeamBead *b, const SeamWeldDefect *d)
{
    const SeamWeldGroup *g = &b->weld->group;
    float from = b->first + place_of(b->weld, d->start), length = (float)d->length * b->weld->travel;
    unsigned n = (unsigned)(length * (0.25f + 0.9f * d->strength)) + 2;
    for (unsigned i = 0; i < n; i++) {
        float r = seam_synth_uniform(&b->rng, 0.3f, 0.5f + 0.6f * d->strength);
        float x = from + seam_synth_uniform(&b->rng, 0, length);
        float y = 0.3f * g->bead_width * seam_synth_uniform(&b->rng, -1, 1);
        stamp(b, x, y, r, -2.0f * r, 0.12f);
    }
}

static void stamp_holes(SeamBead *b, const SeamWeldDefect *d)
{
    const SeamWeldGroup *g = &b->weld->group;
    float from = b->first + place_of(b->weld, d->start), length = (float)d->length * b->weld->travel;
    unsigned n = 1 + (unsigned)(length / g->bead_width * d->strength);
    for (unsigned i = 0; i < n; i++) {
        float r = g->bead_width * (0.2f + 0.28f * d->strength) * seam_synth_uniform(&b->rng, 0.8f, 1.2f);
        float x = from + length * ((float)i + 0.5f) / (float)n, y = 0.06f * g->bead_width;
        for (int k = 0; k < 7; k++)
            stamp(b, x + r * seam_synth_uniform(&b->rng, -0.9f, 0.9f),
                  y + r * seam_synth_uniform(&b->rng, -0.4f, 0.4f),
                  r * seam_synth_uniform(&b->rng, 0.35f, 0.8f), -2.5f, 0.06f);
    }
}

static void stamp_dots(SeamBead *b, float from, float length, unsigned n, float largest)
{
    for (unsigned i = 0; i < n; i++) {
        float r = seam_synth_uniform(&b->rng, 0.2f, largest);
        float x = from + seam_synth_uniform(&b->rng, -0.1f, 1.1f) * length;
        float y = (float)HALF_MM * 0.55f * seam_synth_gauss(&b->rng);
        stamp(b, x, y, r, r, 1.15f);
    }
}

// A crack in an unfilled crater: a short walk along the seam with two branches.
static void stamp_crack(SeamBead *b, const SeamWeldDefect *d)
{
    const SeamWeldGroup *g = &b->weld->group;
    float centre = b->last - 0.55f * g->bead_width, reach = g->bead_width * (0.25f + 0.35f * d->strength);
    stamp(b, centre, 0, 0.36f * g->bead_width, -0.9f * d->strength * g->bead_height, 0.8f);
    for (int branch = 0; branch < 3; branch++) {
        float angle = (float)branch * 2.1f + seam_synth_uniform(&b->rng, -0.4f, 0.4f);
        float x = centre, y = 0, length = branch == 0 ? reach : 0.6f * reach;
        for (float t = 0; t < length; t += 0.15f) {
            angle += 0.25f * seam_synth_gauss(&b->rng);
            x += 0.15f * cosf(angle);
            y += 0.15f * sinf(angle);
            stamp(b, x, y, 0.22f + 0.12f * d->strength, -0.5f, 0.25f);
        }
    }
}

static void stamp_defects(SeamBead *b)
{
    const SeamWeld *w = b->weld;
    float span = b->last - b->first;
    stamp_dots(b, b->first, span, seam_synth_below(&b->rng, 14), 0.5f);
    for (unsigned i = 0; i < w->n_defects; i++) {
        const SeamWeldDefect *d = &w->defects[i];
        if (!(d->shows & SEAM_SYNTH_PHOTO))
            continue;
        float from = b->first + place_of(w, d->start), length = (float)d->length * w->travel;
        if (d->kind == SEAM_SYNTH_POROSITY || d->kind == SEAM_SYNTH_GAS_LOSS)
            stamp_pores(b, d);
        if (d->kind == SEAM_SYNTH_BURN_THROUGH)
            stamp_holes(b, d);
        if (d->kind == SEAM_SYNTH_SPATTER)
            stamp_dots(b, from, length, (unsigned)(length * (1 + 4 * d->strength)), 0.8f);
        if (d->kind == SEAM_SYNTH_CRATER_CRACKS)
            stamp_crack(b, d);
    }
}

static void build_normals(SeamBead *b)
{
    int w = b->map_width;
    for (int j = 0; j < MAP_HEIGHT; j++) {
        for (int i = 0; i < w; i++) {
            const float *h = b->height + j * w + i;
            Texel *t = &b->texels[j * w + i];
            float dx = i > 0 && i < w - 1 ? h[1] - h[-1] : 0;
            float dy = j > 0 && j < MAP_HEIGHT - 1 ? h[w] - h[-w] : 0;
            t->nx = -dx * DOTS_PER_MM * 0.5f;
            t->ny = -dy * DOTS_PER_MM * 0.5f;
        }
    }
}

SeamBead *seam_bead_new(const SeamWeld *w)
{
    SeamBead *b = g_try_new0(SeamBead, 1);
    if (b == NULL)
        return NULL;
    b->weld = w;
    b->tile = seam_synth_tile();
    b->rng = seam_synth_rng(w->seed, w->index, SEAM_WELD_RNG_PHOTO);
    b->map_width = (int)(w->group.plate_length * DOTS_PER_MM);
    b->first = seam_synth_uniform(&b->rng, 14, 24);
    b->last = b->first + place_of(w, w->off);
    size_t n = (size_t)b->map_width * MAP_HEIGHT;
    b->height = g_try_new(float, n);
    b->texels = g_try_new(Texel, n);
    if (b->height == NULL || b->texels == NULL) {
        seam_bead_free(b);
        return NULL;
    }
    build_relief(b);
    stamp_defects(b);
    build_normals(b);
    return b;
}

void seam_bead_free(SeamBead *b)
{
    if (b == NULL)
        return;
    g_free(b->height);
    g_free(b->texels);
    g_free(b);
}

// --- the camera --------------------------------------------------------------------------------

typedef struct {
    float eye[3], right[3], down[3], ahead[3];
    float light[3], half[3];  // directions; half: between light and eye
    float focal, exposure;
    float table_x, table_y;   // shifts of the table's texture
} Camera;

static void normalise(float v[3])
{
    float n = 1 / sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int i = 0; i < 3; i++)
        v[i] *= n;
}

static void cross(const float a[3], const float b[3], float out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

// The last two photographs come closer to a place on the bead.
static Camera place_camera(const SeamBead *b, unsigned shot, int width, SeamSynthRng *rng)
{
    const SeamWeldGroup *g = &b->weld->group;
    bool close = shot >= 3;
    float azimuth = seam_synth_uniform(rng, -0.9f, 0.9f), height = seam_synth_uniform(rng, 0.6f, 1.15f);
    float along = close ? seam_synth_uniform(rng, 0.25f, 0.75f) : 0.5f;
    float target[3] = {b->first + along * (b->last - b->first), close ? -2.0f : -18.0f, 0};
    float far = g->plate_length * g->photo_distance * (close ? 0.75f : 1.25f) *
                seam_synth_uniform(rng, 0.9f, 1.15f);
    Camera c = {.focal = 1.05f * (float)width, .exposure = g->photo_exposure};
    c.exposure *= seam_synth_uniform(rng, 0.85f, 1.15f);
    c.eye[0] = target[0] + far * sinf(azimuth) * cosf(height);
    c.eye[1] = target[1] - far * cosf(azimuth) * cosf(height);
    c.eye[2] = far * sinf(height);
    for (int i = 0; i < 3; i++)
        c.ahead[i] = target[i] - c.eye[i];
    normalise(c.ahead);
    float up[3] = {seam_synth_uniform(rng, -0.15f, 0.15f), 0, 1};
    cross(c.ahead, up, c.right);
    normalise(c.right);
    cross(c.ahead, c.right, c.down);
    float lamp = g->light_azimuth + seam_synth_uniform(rng, -0.3f, 0.3f);
    c.light[0] = 0.75f * cosf(lamp);
    c.light[1] = 0.75f * sinf(lamp);
    c.light[2] = seam_synth_uniform(rng, 0.8f, 1.2f);
    normalise(c.light);
    for (int i = 0; i < 3; i++)
        c.half[i] = c.light[i] - c.ahead[i];
    normalise(c.half);
    c.table_x = seam_synth_uniform(rng, 0, 250);
    c.table_y = seam_synth_uniform(rng, 0, 250);
    return c;
}

// Lambert and Blinn (SIGGRAPH 1977) with exponent 32 over an even sky.
static void shade(const Camera *c, const float n[3], const float rgb[3], float gloss, float out[3])
{
    float diffuse = n[0] * c->light[0] + n[1] * c->light[1] + n[2] * c->light[2];
    float s = MAX(0, n[0] * c->half[0] + n[1] * c->half[1] + n[2] * c->half[2]);
    s *= s;
    s *= s;
    s *= s;
    s *= s;
    s *= s;
    float light = 0.45f + 0.75f * MAX(0, diffuse);
    for (int i = 0; i < 3; i++)
        out[i] = rgb[i] * light + 0.6f * gloss * s;
}

// The map at (x, v); `upright` lifts the half of a fillet that lies on the second plate.
static void shade_bead(const SeamBead *b, const Camera *c, float x, float v, bool fillet,
                       float out[3])
{
    int i = (int)(x * DOTS_PER_MM), j = (int)((v + HALF_MM) * DOTS_PER_MM);
    const Texel *t = &b->texels[CLAMP(j, 0, MAP_HEIGHT - 1) * b->map_width + CLAMP(i, 0, b->map_width - 1)];
    float n[3] = {t->nx, t->ny, 1};
    if (fillet) {
        float lean = seam_synth_clamp(0.5f + v / b->weld->group.bead_width, 0, 1);
        n[1] = t->ny * (1 - lean) - lean;
        n[2] = (1 - lean) + t->ny * lean;
    }
    normalise(n);
    float rgb[3] = {t->r, t->g, t->b};
    shade(c, n, rgb, t->gloss, out);
}

// Rings like those of the real measuring card: black sectors on white.
static bool card_is_black(const SeamWeldGroup *g, float x, float y)
{
    for (int k = 0; k < 3; k++) {
        float dx = x - g->plate_length * (0.25f + 0.25f * (float)k), dy = y + 0.5f * g->plate_width + 22;
        float r2 = dx * dx + dy * dy;
        if (r2 < 7)
            return true;
        if (r2 > 30 && r2 < 75 && (dx + (float)(k - 1) * dy > 4 || dy * (float)(k + 1) > dx + 9))
            return true;
    }
    return false;
}

// The label with the run's number in seven strokes a digit.
static bool label_is_black(const SeamWeld *w, float x, float y)
{
    static const uint8_t strokes[10] = {0x77, 0x24, 0x5d, 0x6d, 0x2e, 0x6b, 0x7b, 0x25, 0x7f, 0x6f};
    int cell = (int)(x / 5);
    float u = x - 5 * (float)cell, v = y;
    if (cell < 0 || cell > 4 || u < 0.7f || u > 4.3f || v < 2 || v > 9)
        return false;
    unsigned number = w->index + 1;
    for (int i = cell; i < 4; i++)
        number /= 10;
    uint8_t on = strokes[number % 10];
    bool left = u < 1.5f, right = u > 3.5f, low = v < 5.5f;
    return (v > 8.2f && (on & 1)) || (left && !low && (on & 2)) || (right && !low && (on & 4)) ||
           (fabsf(v - 5.5f) < 0.4f && (on & 8)) || (left && low && (on & 16)) ||
           (right && low && (on & 32)) || (v < 2.8f && (on & 64));
}

static void shade_plate(const SeamBead *b, const Camera *c, float x, float y, float out[3])
{
    const SeamWeldGroup *g = &b->weld->group;
    const float up[3] = {0, 0, 1};
    float lx = x - 0.4f * g->plate_length, ly = y + 0.42f * g->plate_width;
    if (lx > 0 && lx < 28 && ly > 0 && ly < 11) {
        float ink = label_is_black(b->weld, lx - 1.5f, ly) ? 0.08f : 0.85f, white[3] = {ink, ink, ink};
        shade(c, up, white, 0.02f, out);
        return;
    }
    bool seam = g->joint == SEAM_WELD_BUTT && fabsf(y) < 0.5f && (x < b->first || x > b->last);
    if (seam) {
        memset(out, 0, 3 * sizeof *out);
        return;
    }
    if (fabsf(y) < HALF_MM - 0.5f) {
        shade_bead(b, c, x, y, g->joint == SEAM_WELD_FILLET, out);
        return;
    }
    float rgb[3];
    plate_colour(b, x, y, 30, rgb);
    shade(c, up, rgb, 0.12f, out);
}

static void shade_upright(const SeamBead *b, const Camera *c, float x, float z, float out[3])
{
    const float front[3] = {0, -1, 0};
    if (z < HALF_MM - 0.5f) {
        shade_bead(b, c, x, z, true, out);
        return;
    }
    float rgb[3];
    plate_colour(b, x, z, 30, rgb);
    shade(c, front, rgb, 0.12f, out);
}

static void shade_table(const SeamBead *b, const Camera *c, float x, float y, float out[3])
{
    const SeamWeldGroup *g = &b->weld->group;
    const float up[3] = {0, 0, 1};
    float grain = 1 + 0.05f * seam_synth_tile_at(b->tile, x * 0.3f + c->table_x, y * 2 + c->table_y) +
                  0.06f * seam_synth_tile_at(b->tile, x * 0.2f + c->table_y, y * 0.2f);
    float rgb[3] = {g->table_rgb[0] * grain, g->table_rgb[1] * grain, g->table_rgb[2] * grain};
    float edge = -0.5f * g->plate_width - y;
    bool card = edge > 2 && edge < 42 && x > 0.12f * g->plate_length && x < 0.88f * g->plate_length;
    if (card) {
        float ink = card_is_black(g, x, y) ? 0.06f : 0.82f;
        rgb[0] = rgb[1] = rgb[2] = ink;
    }
    // Contact shadow beside the plate.
    float out_x = MAX(-x, x - g->plate_length), out_y = MAX(edge, y - 0.5f * g->plate_width);
    float away = MAX(out_x, out_y);
    float shadow = 1 - 0.55f * seam_synth_smooth(1 - away / 7);
    for (int i = 0; i < 3; i++)
        rgb[i] *= shadow;
    shade(c, up, rgb, 0.01f, out);
}

static void shade_ray(const SeamBead *b, const Camera *c, const float d[3], float out[3])
{
    enum { THICK = 6, UPRIGHT = 50 };
    const SeamWeldGroup *g = &b->weld->group;
    float half = 0.5f * g->plate_width, front = g->joint == SEAM_WELD_FILLET ? 0 : half;
    if (g->joint == SEAM_WELD_FILLET && d[1] > 0.01f) {
        float t = -c->eye[1] / d[1], x = c->eye[0] + t * d[0], z = c->eye[2] + t * d[2];
        if (x > 0 && x < g->plate_length && z > 0 && z < UPRIGHT) {
            shade_upright(b, c, x, z, out);
            return;
        }
    }
    if (!(d[2] < -0.02f)) {
        for (int i = 0; i < 3; i++)
            out[i] = 0.3f * g->table_rgb[i];
        return;
    }
    float t = -c->eye[2] / d[2], x = c->eye[0] + t * d[0], y = c->eye[1] + t * d[1];
    if (x > 0 && x < g->plate_length && y > -half && y < front) {
        shade_plate(b, c, x, y, out);
        return;
    }
    t = -(c->eye[2] + THICK) / d[2];
    x = c->eye[0] + t * d[0];
    y = c->eye[1] + t * d[1];
    if (x > 0 && x < g->plate_length && y > -half && y < front) {
        for (int i = 0; i < 3; i++)
            out[i] = 0.45f * g->plate_rgb[i];
        return;
    }
    shade_table(b, c, x, y, out);
}

void seam_bead_photograph(const SeamBead *b, unsigned shot, int width, int height, uint8_t *pixels)
{
    const SeamWeldGroup *g = &b->weld->group;
    SeamSynthRng rng = seam_synth_rng(b->weld->seed, b->weld->index, SEAM_WELD_RNG_PHOTO + 100 + shot);
    Camera c = place_camera(b, shot, width, &rng);
    for (int y = 0; y < height; y++) {
        float v = ((float)y - 0.5f * (float)height) / c.focal;
        for (int x = 0; x < width; x++) {
            float u = ((float)x - 0.5f * (float)width) / c.focal, d[3], rgb[3];
            for (int i = 0; i < 3; i++)
                d[i] = c.ahead[i] + u * c.right[i] + v * c.down[i];
            shade_ray(b, &c, d, rgb);
            float vignette = 1 - 0.35f * (u * u + v * v) * 3, grain = g->photo_noise * seam_synth_gauss(&rng);
            for (int i = 0; i < 3; i++) {
                float value = 255 * sqrtf(MAX(rgb[i] * g->light_rgb[i] * c.exposure * vignette, 0)) - 25;
                *pixels++ = (uint8_t)(seam_synth_clamp(value + grain, 0, 255) + 0.5f);
            }
        }
    }
}
