// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The arc camera's picture, drawn from the state of the process: black surroundings, a halo with
// the nozzle's silhouette, the pool trailing behind a saturated arc, the wire from above, spatter.
// Light is in units of full scale. Lengths are in widths of the frame times the group's scale.
// It owns its particles and its float frame; it allocates nothing per frame.

#include "tools/synth/weld.h"

#include <glib.h>
#include <string.h>

enum { MAX_PARTICLES = 384, FALLOFF = 512, NOISE = 16384 };

typedef struct {
    float x, y, vx, vy, age, life, light, radius;
    bool ring;  // out of focus: a disc
} Particle;

// The pool in one frame, in pixels. s runs from 0 at its front to 1 at its tail.
typedef struct {
    float front, length, above, below, light;
    float lobe, lobe_side, hole, bubbles, crack;
} Pool;

struct SeamScene {
    const SeamWeld *weld;
    SeamSynthRng rng;
    int width, height, fps;
    unsigned frame_index;
    float unit, arc_x, arc_y;      // pixels
    const float *tile;
    float *halo, *frame, *row;     // [height, width] twice, [width]
    float falloff[FALLOFF];        // exp(-r^2), r^2 from 0 to 8
    float noise[NOISE];
    Particle particles[MAX_PARTICLES];
    unsigned n_particles;
    float tail_length, arc_wobble;
};

static float falloff(const SeamScene *s, float r2)
{
    float i = r2 * (FALLOFF / 8.0f);
    return i < FALLOFF ? s->falloff[(int)i] : 0;
}

static void build_tables(SeamScene *s)
{
    for (int i = 0; i < FALLOFF; i++)
        s->falloff[i] = expf(-8.0f * (float)i / FALLOFF);
    for (int i = 0; i < NOISE; i++)
        s->noise[i] = seam_synth_gauss(&s->rng);
}

// What an arc of light 1 shows of its surroundings: glow, nozzle, plate edge, a ghost in the glass.
static void build_halo(SeamScene *s)
{
    const SeamWeldGroup *g = &s->weld->group;
    float u = s->unit, nozzle_y = s->arc_y - 0.235f * u, ghost_y = s->arc_y + 0.27f * u;
    float tx = (float)(g->texture & 255);
    for (int y = 0; y < s->height; y++) {
        for (int x = 0; x < s->width; x++) {
            float dx = ((float)x - s->arc_x) / u, dy = ((float)y - s->arc_y) / u;
            float r2 = dx * dx + dy * dy;
            float light = 0.09f / (1 + 60 * r2) + 0.45f / (1 + 500 * r2) * 1.0f / (1 + 200 * r2);
            float grain = 1 + 0.12f * seam_synth_tile_at(s->tile, 90 * dx + tx, 90 * dy);
            float surface = seam_synth_smooth((dy - 0.03f) * 30);
            light *= grain * (1 - 0.3f * surface);
            float nx = dx / 0.19f, ny = ((float)y - nozzle_y) / (0.075f * u);
            float nozzle = ny < 0 && nx * nx < 1 ? 1 : seam_synth_smooth(6 * (1 - nx * nx - ny * ny));
            light *= 1 - 0.75f * nozzle;
            float gx = (dx + 0.04f * g->direction) / 0.03f, gy = ((float)y - ghost_y) / (0.012f * u);
            light += 0.03f * falloff(s, gx * gx + gy * gy);
            s->halo[y * s->width + x] = light * g->halo;
        }
    }
}

SeamScene *seam_scene_new(const SeamWeld *weld, int width, int height, int fps)
{
    SeamScene *s = g_try_new0(SeamScene, 1);
    if (s == NULL)
        return NULL;
    const SeamWeldGroup *g = &weld->group;
    size_t n = (size_t)width * (size_t)height;
    s->weld = weld;
    s->rng = seam_synth_rng(weld->seed, weld->index, SEAM_WELD_RNG_SCENE);
    s->width = width;
    s->height = height;
    s->fps = fps;
    s->unit = g->scale * (float)width;
    s->arc_x = (g->arc_x + 0.004f * seam_synth_gauss(&s->rng)) * (float)width;
    s->arc_y = (g->arc_y + 0.004f * seam_synth_gauss(&s->rng)) * (float)height;
    s->tile = seam_synth_tile();
    s->halo = g_try_new(float, n);
    s->frame = g_try_new(float, n);
    s->row = g_try_new(float, (size_t)width + 2);
    if (s->halo == NULL || s->frame == NULL || s->row == NULL) {
        seam_scene_free(s);
        return NULL;
    }
    build_tables(s);
    build_halo(s);
    return s;
}

void seam_scene_free(SeamScene *s)
{
    if (s == NULL)
        return;
    g_free(s->halo);
    g_free(s->frame);
    g_free(s->row);
    g_free(s);
}

unsigned seam_scene_frames(const SeamScene *s)
{
    return (unsigned)((s->weld->end + s->weld->video_offset) * s->fps);
}

static double process_time(const SeamScene *s)
{
    return (double)s->frame_index / s->fps - s->weld->video_offset;
}

// --- pool --------------------------------------------------------------------------------------

static Pool pool_at(const SeamScene *s, double time)
{
    const SeamWeld *w = s->weld;
    const unsigned v = SEAM_SYNTH_VIDEO;
    float heat = seam_weld_at(w, time)->pool, size = 0.8f + 0.001f * w->current;
    float cold = seam_weld_defect(w, SEAM_SYNTH_LACK_OF_FUSION, v, time);
    float high = seam_weld_defect(w, SEAM_SYNTH_EXCESSIVE_CONVEXITY, v, time);
    float over = seam_weld_defect(w, SEAM_SYNTH_OVERLAP, v, time);
    float hole = seam_weld_defect(w, SEAM_SYNTH_BURN_THROUGH, v, time);
    float side = 1;
    for (unsigned i = 0; i < w->n_defects; i++)
        if (w->defects[i].kind == SEAM_SYNTH_OVERLAP)
            side = w->defects[i].side;
    float u = s->unit * size;
    return (Pool){
        .front = 0.03f * u,
        .length = 0.3f * u * (0.3f + 0.7f * heat) * (1 - 0.4f * cold) * (1 - 0.2f * high),
        .above = 0.036f * u * (1 - 0.5f * cold) * (1 + 1.0f * high) * (1 - 0.55f * hole),
        .below = 0.03f * u * (1 - 0.55f * cold),
        .light = heat * (1 - 0.25f * hole) * (1 + 0.12f * high),
        .lobe = over * 0.07f * u,
        .lobe_side = side,
        .hole = hole,
        .bubbles = seam_weld_defect(w, SEAM_SYNTH_POROSITY, v, time),
        .crack = seam_weld_defect(w, SEAM_SYNTH_CRATER_CRACKS, v, time),
    };
}

// Upper and lower edge and glow of the pool at s.
static void pool_profile(const Pool *p, float s, float *top, float *bottom, float *glow)
{
    float round = sqrtf(seam_synth_clamp(s * 9, 0, 1));
    float lobe = p->lobe * seam_synth_smooth(1 - fabsf(s - 0.4f) / 0.36f);
    *top = -p->above * (0.45f + 0.55f * seam_synth_smooth((1 - s) * 1.6f)) * round;
    *bottom = p->below * (1 - 0.55f * s * s) * round;
    if (p->lobe_side > 0)
        *bottom += lobe;
    else
        *top -= lobe;
    *glow = p->light * (1 - seam_synth_smooth((s - 0.45f) / 0.55f));
}

static float pool_texture(const SeamScene *s, float along, float y, float flow)
{
    float k = 260.0f / s->unit;
    float warp = seam_synth_tile_at(s->tile, along * k * 0.5f - flow, y * k);
    return seam_synth_tile_at(s->tile, along * k + flow + 3 * warp, y * k * 2.2f + 40 + 2 * warp);
}

static void draw_pool_column(SeamScene *s, const Pool *p, int x, float along, float light,
                             float flow)
{
    const SeamWeldGroup *g = &s->weld->group;
    float at = along / p->length, top, bottom, glow;
    pool_profile(p, at, &top, &bottom, &glow);
    float base = s->arc_y + g->tilt * ((float)x - s->arc_x);
    float hot = 0.5f * light * falloff(s, at * at * 12), soft = 1 + 0.02f * s->unit * at * at;
    int y0 = MAX(0, (int)(base + top) - 1), y1 = MIN(s->height - 1, (int)(base + bottom) + 1);
    for (int y = y0; y <= y1; y++) {
        float v = (float)y - base;
        float cover = seam_synth_clamp((v - top) / soft + 0.5f, 0, 1) *
                      seam_synth_clamp((bottom - v) / soft + 0.5f, 0, 1);
        float depth = (v - top) / (bottom - top + 1);
        float texture = 1 + 0.15f * pool_texture(s, along, v, flow);
        float rim = 0.16f * seam_synth_smooth(1 - depth * 5) + 0.12f * seam_synth_smooth(depth * 5 - 4);
        float tone = g->pool_tone * texture * (1.15f - 0.3f * depth);
        float value = glow * (tone + rim * glow + hot);
        s->frame[y * s->width + x] += cover * value * g->exposure;
    }
}

static void draw_pool(SeamScene *s, const Pool *p, float light, double time)
{
    if (!(p->light > 0.02f))
        return;
    float direction = s->weld->group.direction;
    float flow = (float)time * 14 + (float)s->weld->index * 17;
    for (int x = 0; x < s->width; x++) {
        float along = p->front - ((float)x - s->arc_x) * direction;
        if (along > 0 && along < p->length * 1.0f)
            draw_pool_column(s, p, x, along, light, flow);
    }
}

// Adds light, or with factor < 1 takes it away, in an ellipse with a soft edge.
static void blob(SeamScene *s, float cx, float cy, float rx, float ry, float factor, float add)
{
    int x0 = MAX(0, (int)(cx - 2 * rx - 1)), x1 = MIN(s->width - 1, (int)(cx + 2 * rx + 1));
    int y0 = MAX(0, (int)(cy - 2 * ry - 1)), y1 = MIN(s->height - 1, (int)(cy + 2 * ry + 1));
    for (int y = y0; y <= y1; y++) {
        for (int x = x0; x <= x1; x++) {
            float dx = ((float)x - cx) / rx, dy = ((float)y - cy) / ry, r2 = dx * dx + dy * dy;
            float mask = falloff(s, r2 * r2);
            float *pixel = &s->frame[y * s->width + x];
            *pixel += mask * (*pixel * (factor - 1) + add);
        }
    }
}

static void pool_point(const SeamScene *s, const Pool *p, float at, float across, float *x, float *y)
{
    float top, bottom, glow, direction = s->weld->group.direction;
    pool_profile(p, at, &top, &bottom, &glow);
    *x = s->arc_x + direction * (p->front - at * p->length);
    *y = s->arc_y + s->weld->group.tilt * (*x - s->arc_x) + top + across * (bottom - top);
}

// Slag islands drift to the tail; pores break through as short-lived rings.
static void draw_on_pool(SeamScene *s, const Pool *p, double time)
{
    float x, y, u = s->unit;
    for (int i = 0; i < 3; i++) {
        float phase = (float)fmod(time * 0.35 + i * 0.37 + s->weld->index * 0.61, 1.0);
        pool_point(s, p, 0.35f + 0.5f * phase, 0.35f + 0.15f * (float)i, &x, &y);
        float size = (0.006f + 0.004f * (float)i) * u * phase;
        blob(s, x, y, size * 1.6f + 0.3f, size * 0.7f + 0.3f, 1.0f, 0.16f * p->light);
    }
    unsigned bubbles = (unsigned)(p->bubbles * 5 + seam_synth_uniform(&s->rng, 0, 1));
    for (unsigned i = 0; i < bubbles && p->bubbles > 0; i++) {
        pool_point(s, p, seam_synth_uniform(&s->rng, 0.2f, 0.75f),
                   seam_synth_uniform(&s->rng, 0.25f, 0.75f), &x, &y);
        float r = seam_synth_uniform(&s->rng, 0.004f, 0.009f) * u;
        blob(s, x, y, r * 1.5f, r, 1.0f, 0.18f * p->light);
        blob(s, x, y, r, r * 0.6f, 1 - 0.6f * p->bubbles, 0);
    }
    if (p->hole > 0) {
        pool_point(s, p, 0.3f, 0.6f, &x, &y);
        blob(s, x, y, (0.02f + 0.045f * p->hole) * u, (0.01f + 0.02f * p->hole) * u, 0.04f, 0);
    }
    if (p->crack > 0) {
        for (int i = -4; i <= 4; i++) {
            pool_point(s, p, 0.16f + 0.03f * (float)i, 0.5f + 0.07f * (float)(i % 3), &x, &y);
            blob(s, x, y, 0.006f * u, 0.0035f * u, 1 - 0.8f * p->crack, 0);
        }
    }
}

// --- arc, wire, particles ----------------------------------------------------------------------

static void draw_arc(SeamScene *s, float light)
{
    const SeamWeldGroup *g = &s->weld->group;
    float size = sqrtf(MAX(light, 0)) * (0.8f + 0.001f * s->weld->current), u = s->unit;
    float rx = 0.047f * u * size, up = 0.03f * u * size, down = 0.022f * u * size;
    float cx = s->arc_x + 0.006f * u * s->arc_wobble, flicker = (float)s->frame_index * 37;
    int x0 = MAX(0, (int)(cx - 3 * rx)), x1 = MIN(s->width - 1, (int)(cx + 3 * rx));
    int y0 = MAX(0, (int)(s->arc_y - 3 * up)), y1 = MIN(s->height - 1, (int)(s->arc_y + 3 * down));
    for (int y = y0; y <= y1; y++) {
        float dy = ((float)y - s->arc_y) / ((float)y < s->arc_y ? up : down);
        float ragged = 1 + 0.18f * seam_synth_tile_at(s->tile, (float)y * 60 / u, flicker);
        for (int x = x0; x <= x1; x++) {
            float dx = ((float)x - cx) / (rx * ragged);
            s->frame[y * s->width + x] += 4 * light * g->exposure * falloff(s, dx * dx + dy * dy);
        }
    }
    float tail = s->tail_length * u, bend = 0.15f * s->arc_wobble;
    for (float t = rx; t < tail; t += 1) {
        float fade = light * (1 - t / tail), thick = (0.006f + 0.008f * fade) * u;
        float x = s->arc_x + g->direction * t, y = s->arc_y - bend * t * t / tail;
        blob(s, x, y, 1.5f, thick, 1, 0.4f * fade * fade * g->exposure);
    }
}

static void draw_wire(SeamScene *s, float light, bool shorted, bool burning)
{
    float u = s->unit, half = MAX(0.8f, 0.0065f * u);
    float tip = s->arc_y - (shorted ? 0.004f : 0.03f + 0.004f * s->arc_wobble) * u;
    int y0 = MAX(0, (int)(s->arc_y - 0.19f * u)), y1 = MIN(s->height - 1, (int)tip);
    float shine = s->weld->group.exposure * (0.05f + 0.5f * light);
    for (int y = y0; y <= y1; y++) {
        float near = ((float)y - (float)y0) / (tip - (float)y0 + 1);
        for (int x = (int)(s->arc_x - half - 1); x <= (int)(s->arc_x + half + 1); x++) {
            if (x < 0 || x >= s->width)
                continue;
            float across = ((float)x - s->arc_x) / half;
            float cover = seam_synth_clamp((1 - fabsf(across)) * half + 0.5f, 0, 1);
            float lit = seam_synth_smooth(0.5f - across) * (0.06f + 0.5f * near * near) * shine;
            float *pixel = &s->frame[y * s->width + x];
            *pixel += cover * (lit - 0.6f * MIN(*pixel, 0.7f));
        }
    }
    if (!burning)
        return;
    if (!shorted)
        blob(s, s->arc_x, tip, half * 1.4f, half * 1.4f, 1, 0.5f);
}

static void throw_particle(SeamScene *s, float light)
{
    if (s->n_particles == MAX_PARTICLES)
        return;
    float angle = seam_synth_uniform(&s->rng, 3.3f, 6.1f);
    float speed = seam_synth_uniform(&s->rng, 0.25f, 2.0f);
    bool ring = seam_synth_chance(&s->rng, 0.12f);
    s->particles[s->n_particles++] = (Particle){
        .x = s->arc_x / s->unit, .y = s->arc_y / s->unit,
        .vx = speed * cosf(angle), .vy = speed * sinf(angle),
        .life = seam_synth_uniform(&s->rng, 0.1f, 0.6f),
        .age = seam_synth_uniform(&s->rng, 0, 1.0f / (float)s->fps),
        .light = (ring ? 0.14f : seam_synth_uniform(&s->rng, 0.2f, 1.5f)) * (0.7f + 0.3f * light),
        .radius = ring ? seam_synth_uniform(&s->rng, 0.008f, 0.03f)
                       : seam_synth_uniform(&s->rng, 0.0012f, 0.0035f),
        .ring = ring,
    };
}

static void draw_particle(SeamScene *s, const Particle *p)
{
    float u = s->unit, fade = 1 - p->age / p->life, r = MAX(0.55f, p->radius * u);
    float light = p->light * fade * s->weld->group.exposure;
    float trail = s->weld->group.shutter * u;
    int stamps = p->ring ? 1 : 1 + (int)MIN(8, trail * (fabsf(p->vx) + fabsf(p->vy)) / (r + 0.5f));
    for (int i = 0; i < stamps; i++) {
        float back = stamps > 1 ? trail * (float)i / (float)(stamps - 1) : 0;
        blob(s, p->x * u - p->vx * back, p->y * u - p->vy * back, r, r, 1, light);
    }
}

static void move_particles(SeamScene *s, const SeamWeldStep *state, float light)
{
    float dt = 1.0f / (float)s->fps;
    float expected = state->spatter * dt;
    unsigned born = (unsigned)(expected + seam_synth_uniform(&s->rng, 0, 1));
    for (unsigned i = 0; i < born; i++)
        throw_particle(s, light);
    unsigned kept = 0;
    for (unsigned i = 0; i < s->n_particles; i++) {
        Particle p = s->particles[i];
        float h = p.age < dt ? p.age + 0.02f : dt;
        p.x += p.vx * h;
        p.y += p.vy * h;
        p.vy += 2.5f * dt;
        p.age += dt;
        if (p.age < p.life)
            s->particles[kept++] = p;
    }
    s->n_particles = kept;
    for (unsigned i = 0; i < kept; i++)
        draw_particle(s, &s->particles[i]);
}

// --- frame -------------------------------------------------------------------------------------

static void draw_surroundings(SeamScene *s, float light, double time)
{
    float smoke = seam_weld_nuisance(s->weld, SEAM_WELD_SMOKE, time);
    smoke = MAX(smoke, 0.7f * seam_weld_defect(s->weld, SEAM_SYNTH_GAS_LOSS, SEAM_SYNTH_VIDEO, time));
    size_t n = (size_t)s->width * (size_t)s->height;
    float e = light * s->weld->group.exposure;
    for (size_t i = 0; i < n; i++)
        s->frame[i] = e * s->halo[i];
    if (!(smoke > 0.02f) || !(light > 0.05f))
        return;
    float k = 40.0f / s->unit, rise = (float)time * 30;
    for (int y = 0; y < s->height; y++) {
        for (int x = 0; x < s->width; x++) {
            float puff = seam_synth_tile_at(s->tile, (float)x * k, (float)y * k + rise);
            float *pixel = &s->frame[y * s->width + x];
            *pixel += smoke * e * (0.05f + *pixel * 0.6f) * MAX(0, 0.7f + 0.6f * puff);
        }
    }
}

static void draw_reflection(SeamScene *s, float light, double time)
{
    float amount = seam_weld_nuisance(s->weld, SEAM_WELD_REFLECTION, time);
    if (amount > 0)
        blob(s, s->arc_x - 0.2f * s->unit, s->arc_y + 0.2f * s->unit, 0.09f * s->unit,
             0.02f * s->unit, 1, 0.35f * amount * light);
}

// A binomial blur of three by three, mixed in by the group's focus.
static void blur(SeamScene *s)
{
    float side = s->weld->group.blur, centre = 1 - 2 * side;
    int w = s->width;
    for (int y = 0; y < s->height; y++) {
        float *p = s->frame + y * w, before = p[0];
        for (int x = 0; x < w - 1; x++) {
            float here = p[x];
            p[x] = centre * here + side * (before + p[x + 1]);
            before = here;
        }
    }
    memcpy(s->row, s->frame, (size_t)w * sizeof *s->row);
    for (int y = 0; y < s->height - 1; y++) {
        float *p = s->frame + y * w;
        for (int x = 0; x < w; x++) {
            float here = p[x];
            p[x] = centre * here + side * (s->row[x] + p[x + w]);
            s->row[x] = here;
        }
    }
}

// Gain, black level, read noise and shot noise, saturation.
static void expose(SeamScene *s, uint8_t *pixels)
{
    const SeamWeldGroup *g = &s->weld->group;
    unsigned at = seam_synth_below(&s->rng, NOISE);
    size_t n = (size_t)s->width * (size_t)s->height;
    for (size_t i = 0; i < n; i++) {
        float light = s->frame[i];
        float noise = s->noise[at++ & (NOISE - 1)];
        if ((i & 1023) == 1023)
            at += 577 * (unsigned)(i >> 10);
        float value = g->black + 255 * light + noise * g->noise * (0.5f + 1.2f * MIN(light, 1));
        pixels[i] = (uint8_t)(seam_synth_clamp(value, 0, 255) + 0.5f);
    }
}

static void draw_spent_wire(SeamScene *s, double time)
{
    float cooling = expf(-(float)(time - s->weld->off) / 0.8f), r = 0.016f * s->unit;
    blob(s, s->arc_x, s->arc_y - 0.06f * s->unit, r, r, 1, 0.8f * cooling * s->weld->group.exposure);
}

void seam_scene_next(SeamScene *s, uint8_t *pixels)
{
    double time = process_time(s);
    const SeamWeldStep *state = seam_weld_at(s->weld, time);
    Pool pool = pool_at(s, time);
    float light = state->light;
    s->arc_wobble = 0.6f * s->arc_wobble + 0.8f * seam_synth_gauss(&s->rng);
    s->tail_length = 0.5f * s->tail_length + seam_synth_uniform(&s->rng, -0.03f, 0.17f);
    draw_surroundings(s, light, time);
    draw_pool(s, &pool, light, time);
    if (pool.light > 0.05f)
        draw_on_pool(s, &pool, time);
    if (light > 0.01f)
        draw_arc(s, light);
    if (time < s->weld->off)
        draw_wire(s, light, state->shorted, state->arc && !state->shorted);
    else
        draw_spent_wire(s, time);
    move_particles(s, state, light);
    draw_reflection(s, light, time);
    blur(s);
    expose(s, pixels);
    s->frame_index++;
}

// --- truth -------------------------------------------------------------------------------------

// Around the pool, from its front to `until` of its length, with a margin.
static void pool_box(const SeamScene *s, const Pool *p, float until, float box[4])
{
    float x0, y0, x1, y1, margin = 0.012f * s->unit, lobe = p->lobe;
    pool_point(s, p, 0, 0.5f, &x0, &y0);
    pool_point(s, p, until, 0.5f, &x1, &y1);
    float top = s->arc_y - p->above - margin - (p->lobe_side < 0 ? lobe : 0);
    float bottom = s->arc_y + p->below + margin + (p->lobe_side > 0 ? lobe : 0);
    box[0] = 0.5f * (x0 + x1);
    box[1] = 0.5f * (top + bottom);
    box[2] = fabsf(x1 - x0) + 2 * margin;
    box[3] = bottom - top;
}

static void place_box(const SeamScene *s, float x, float y, float w, float h, float box[4])
{
    box[0] = x;
    box[1] = y;
    box[2] = w * s->unit;
    box[3] = h * s->unit;
}

static void cut_to_frame(const SeamScene *s, float box[4])
{
    float size[2] = {(float)s->width, (float)s->height};
    for (int i = 0; i < 2; i++) {
        float low = seam_synth_clamp(box[i] - 0.5f * box[i + 2], 0, size[i]);
        float high = seam_synth_clamp(box[i] + 0.5f * box[i + 2], 0, size[i]);
        box[i] = 0.5f * (low + high) / size[i];
        box[i + 2] = (high - low) / size[i];
    }
}

bool seam_scene_box(const SeamScene *s, const SeamWeldDefect *d, double time, float box[4])
{
    if (!(d->shows & SEAM_SYNTH_VIDEO) || !(seam_weld_defect_at(d, SEAM_SYNTH_VIDEO, time) > 0))
        return false;
    Pool p = pool_at(s, time);
    float x, y;
    switch (d->kind) {
    case SEAM_SYNTH_BURN_THROUGH:
        pool_point(s, &p, 0.3f, 0.6f, &x, &y);
        place_box(s, x, y, 0.05f + 0.1f * p.hole, 0.03f + 0.05f * p.hole, box);
        break;
    case SEAM_SYNTH_CRATER_CRACKS:
        pool_point(s, &p, 0.16f, 0.5f, &x, &y);
        place_box(s, x, y, 0.12f, 0.07f, box);
        break;
    case SEAM_SYNTH_GAS_LOSS:
        place_box(s, s->arc_x, s->arc_y, 0.26f, 0.2f, box);
        break;
    case SEAM_SYNTH_SPATTER:
        place_box(s, s->arc_x, s->arc_y - 0.1f * s->unit, 0.5f, 0.3f, box);
        break;
    case SEAM_SYNTH_POROSITY:
        pool_box(s, &p, 0.8f, box);
        break;
    default:
        pool_box(s, &p, 1.0f, box);
    }
    cut_to_frame(s, box);
    return box[2] > 0 && box[3] > 0;
}
