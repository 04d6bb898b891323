// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The noise tile of the synthetic weld generator: five octaves of value noise on lattices that
// divide the tile, so that it wraps without a seam. Built once a process.

#include "tools/synth/random.h"

#include <glib.h>

static float tile[SEAM_SYNTH_TILE * SEAM_SYNTH_TILE];

static void add_octave(unsigned cells, float amplitude)
{
    static float lattice[128 * 128];
    SeamSynthRng rng = seam_synth_rng(20, cells, 1);
    for (unsigned i = 0; i < cells * cells; i++) lattice[i] = seam_synth_gauss(&rng);
    float step = (float)cells / SEAM_SYNTH_TILE;
    for (unsigned y = 0; y < SEAM_SYNTH_TILE; y++) {
        for (unsigned x = 0; x < SEAM_SYNTH_TILE; x++) {
            unsigned x0 = x * cells / SEAM_SYNTH_TILE, y0 = y * cells / SEAM_SYNTH_TILE;
            unsigned x1 = (x0 + 1) % cells, y1 = (y0 + 1) % cells;
            float u = seam_synth_smooth((float)x * step - (float)x0);
            float v = seam_synth_smooth((float)y * step - (float)y0);
            float top = lattice[y0 * cells + x0] * (1 - u) + lattice[y0 * cells + x1] * u;
            float low = lattice[y1 * cells + x0] * (1 - u) + lattice[y1 * cells + x1] * u;
            tile[y * SEAM_SYNTH_TILE + x] += amplitude * (top * (1 - v) + low * v);
        }
    }
}

static void normalise(void)
{
    const unsigned n = SEAM_SYNTH_TILE * SEAM_SYNTH_TILE;
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += tile[i];
        squares += tile[i] * tile[i];
    }
    double mean = sum / n, deviation = sqrt(squares / n - mean * mean);
    for (unsigned i = 0; i < n; i++) tile[i] = (float)((tile[i] - mean) / deviation);
}

const float *seam_synth_tile(void)
{
    static gsize built;
    if (g_once_init_enter(&built)) {
        float amplitude = 1;
        for (unsigned cells = 8; cells <= 128; cells *= 2, amplitude *= 0.6f)
            add_octave(cells, amplitude);
        normalise();
        g_once_init_leave(&built, 1);
    }
    return tile;
}
