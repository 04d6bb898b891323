// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Key lists of the sparse attention patterns.
//
// Local: tokens lie in cells (a picture's grid; one row of cells for stretches and words). Keys of
// a token: the summary tokens of its sequence, then all tokens of the cells within the radius. A
// counting sort by cell makes that O(n + keys).
//
// Fusion, for token i at time t_i of a window's order (by modality, then time):
//   - itself;
//   - of each other modality the w tokens nearest in time. Tokens of one modality and one time form
//   a group (all patches of a picture, all
//     channels of a stretch). Groups are taken by falling nearness, the earlier one first when two
//     are equally near. Of a group that no longer fits: its summary tokens first, then the others
//     from number i modulo their count on, around the end, so that neighbouring queries see
//     different patches;
//   - i +- 2^j for j = 0, 1, .. within the window, so that any two tokens are at most log n steps
//   apart (Li 2019, "Enhancing the
//     locality and breaking the memory bottleneck of transformer", LogSparse, sec. 4.2).
//   - with buckets, of the tokens that the hash of their values puts into the bucket of i, those
//     nearest to it in bucket order, to both sides in turn: what is alike meets at any distance.
// Queries of a modality come in time order, so the nearest group moves forward only: O(n (w + log
// n)) in all, times the modalities.
#include "core/layers/pattern.h"

#include <math.h>
#include <string.h>

#include "core/layers/pattern_hash.h"
#include "core/random.h"

SeamPattern seam_pattern_dense(const SeamTokens *tokens) {
    return (SeamPattern){.n = tokens->n, .seqs = tokens->seqs, .seq_start = tokens->seq_start, .size = tokens->size};
}

SeamStatus seam_pattern_streams(SeamArena *arena, const SeamTokens *tokens, SeamPattern *out) {
    *out = seam_pattern_dense(tokens);
    if (!tokens->seq_follows)
        return SEAM_OK;
    int32_t seqs = 0, *start = SEAM_NEW(arena, int32_t, (size_t)tokens->n + 1);
    if (!start)
        return SEAM_NO_MEMORY;
    start[0] = 0;
    for (int32_t s = 0; s < tokens->seqs; s++)
        if (tokens->seq_follows[s] == SEAM_FOLLOWS_NONE && tokens->seq_start[s] > start[seqs]) // empty ones are nothing to a scan
            start[++seqs] = tokens->seq_start[s];
    if (tokens->n > start[seqs])
        start[++seqs] = tokens->n;
    out->seqs = seqs;
    out->seq_start = start;
    return SEAM_OK;
}

size_t seam_pattern_streams_bytes(int32_t n) {
    return seam_arena_bytes((size_t)n + 1, sizeof(int32_t));
}

// ---- local ------------------------------------------------------------------------------------

// The cells of one sequence, and its tokens sorted by cell.
typedef struct {
    int32_t width, height, radius;
    int32_t *first;   // [width * height + 1] into token
    int32_t *token;   // [n] those that lie in a cell
    int32_t *cell;    // [n] of each token of the sequence
    int32_t *summary; // [summaries]
    int32_t summaries;
} Cells;

static int32_t clamp_cell(double value, int32_t cells) {
    if (!(value > 0))
        return 0;
    return value >= cells ? cells - 1 : (int32_t)value;
}

static int32_t stretches(const SeamConfig *config, const SeamModality *m) {
    return (int32_t)lround(config->window * m->sensor.rate / m->sensor.patch);
}

static void cell_grid(const SeamConfig *config, const SeamModality *m, int32_t n, Cells *cells) {
    cells->height = 1;
    if (m->front == SEAM_FRONT_IMAGE)
        cells->width = cells->height = seam_modality_grid(m);
    else
        cells->width = m->front == SEAM_FRONT_SENSOR ? stretches(config, m) : n;
}

static int32_t cell_of(const SeamModality *m, const Cells *cells, const SeamPlace *place,
                       int32_t i) {
    if (m->front == SEAM_FRONT_TEXT || m->front == SEAM_FRONT_FEATURES)
        return i;
    if (m->front == SEAM_FRONT_SENSOR)
        return clamp_cell((double)place->t * m->sensor.rate / m->sensor.patch, cells->width);
    return clamp_cell((double)place->y * cells->height, cells->height) * cells->width +
           clamp_cell((double)place->x * cells->width, cells->width);
}

// Sorts the tokens first .. first + n - 1 into cells, whose arrays are new memory in the arena.
static SeamStatus sort_cells(const SeamConfig *config, SeamArena *arena, const SeamPlace *place,
                             int32_t first, int32_t n, Cells *cells) {
    const SeamModality *m = &config->modality[place[first].modality];
    cell_grid(config, m, n, cells);
    int32_t count = cells->width * cells->height;
    cells->radius = config->local_radius;
    cells->first = SEAM_NEW0(arena, int32_t, count + 1);
    cells->token = SEAM_NEW(arena, int32_t, n);
    cells->cell = SEAM_NEW(arena, int32_t, n);
    cells->summary = SEAM_NEW(arena, int32_t, n);
    if (!cells->first || !cells->token || !cells->cell || !cells->summary)
        return SEAM_NO_MEMORY;
    cells->summaries = 0;
    for (int32_t i = 0; i < n; i++) {
        cells->cell[i] = -1;
        if (place[first + i].domain == SEAM_DOMAIN_SUMMARY) {
            cells->summary[cells->summaries++] = first + i;
            continue;
        }
        cells->cell[i] = cell_of(m, cells, &place[first + i], i);
        cells->first[cells->cell[i] + 1]++;
    }
    for (int32_t c = 0; c < count; c++)
        cells->first[c + 1] += cells->first[c];
    for (int32_t i = n - 1; i >= 0;
         i--) // backwards: first[c + 1] counts down to the start of c's tokens
        if (cells->cell[i] >= 0)
            cells->token[--cells->first[cells->cell[i] + 1]] = first + i;
    memmove(cells->first, cells->first + 1, (size_t)count * sizeof *cells->first);
    cells->first[count] = n - cells->summaries;
    return SEAM_OK;
}

// The keys of a token in `cell`; returns their number. `out` may be NULL to count alone.
static int64_t list_local(const Cells *c, int32_t cell, int32_t *out) {
    int32_t cx = cell % c->width, cy = cell / c->width;
    int32_t x0 = MAX(cx - c->radius, 0), x1 = MIN(cx + c->radius, c->width - 1);
    int64_t n = c->summaries;
    if (out)
        memcpy(out, c->summary, (size_t)n * sizeof *out);
    for (int32_t y = MAX(cy - c->radius, 0); y <= MIN(cy + c->radius, c->height - 1); y++) {
        int32_t from = c->first[y * c->width + x0], to = c->first[y * c->width + x1 + 1];
        if (out)
            memcpy(out + n, c->token + from, (size_t)(to - from) * sizeof *out);
        n += to - from;
    }
    return n;
}

static int64_t list_all(int32_t first, int32_t n, int32_t *out) {
    for (int32_t i = 0; out && i < n; i++)
        out[i] = first + i;
    return n;
}

// One pass over all tokens: counts their keys into key_start, or, with key_index, writes them.
static SeamStatus local_pass(const SeamConfig *config, SeamArena *arena, const SeamTokens *tokens,
                             int32_t *key_start, int32_t *key_index) {
    int64_t total = 0;
    for (int32_t s = 0; s < tokens->seqs; s++) {
        size_t mark = seam_arena_mark(arena);
        int32_t first = tokens->seq_start[s], n = tokens->seq_start[s + 1] - first;
        Cells cells;
        if (n == 0)
            continue;
        if (tokens->place[first].modality >= config->n_modalities)
            return SEAM_BAD_SHAPE;
        SEAM_TRY(sort_cells(config, arena, tokens->place, first, n, &cells));
        for (int32_t i = 0; i < n; i++) {
            int32_t *out = key_index ? key_index + total : NULL;
            key_start[first + i] = (int32_t)total;
            total += cells.cell[i] < 0 ? list_all(first, n, out)
                                       : list_local(&cells, cells.cell[i], out);
            if (total > INT32_MAX)
                return SEAM_BAD_SHAPE;
        }
        seam_arena_release(arena, mark);
    }
    key_start[tokens->n] = (int32_t)total;
    return SEAM_OK;
}

SeamStatus seam_pattern_local(const SeamConfig *config, SeamArena *arena, const SeamTokens *tokens,
                              SeamPattern *out) {
    *out = seam_pattern_dense(tokens);
    out->key_start = SEAM_NEW(arena, int32_t, (size_t)tokens->n + 1);
    if (!out->key_start)
        return SEAM_NO_MEMORY;
    SEAM_TRY(local_pass(config, arena, tokens, out->key_start, NULL));
    out->key_index = SEAM_NEW(arena, int32_t, out->key_start[tokens->n]);
    if (!out->key_index)
        return SEAM_NO_MEMORY;
    return local_pass(config, arena, tokens, out->key_start, out->key_index);
}

// Most keys of one token of a modality that is not a summary.
static size_t local_keys(const SeamConfig *config, int32_t modality) {
    const SeamModality *m = &config->modality[modality];
    size_t side = 2 * (size_t)config->local_radius + 1, keys = side;
    if (m->front == SEAM_FRONT_IMAGE)
        keys = side * side + 1;
    else if (m->front == SEAM_FRONT_SENSOR)
        keys = side * (size_t)m->channels * 2;
    return MIN(keys, (size_t)seam_modality_tokens(config, modality));
}

size_t seam_pattern_local_keys(const SeamConfig *config) {
    size_t keys = 0;
    for (int32_t m = 0; m < config->n_modalities; m++)
        keys = MAX(keys, local_keys(config, m));
    return keys + 1; // beside its own keys, each token is once the key of a summary
}

size_t seam_pattern_local_bytes(const SeamConfig *config, int32_t n) {
    size_t keys = seam_pattern_local_keys(config), cells = (size_t)n, word = sizeof(int32_t);
    for (int32_t m = 0; m < config->n_modalities; m++) {
        Cells grid;
        cell_grid(config, &config->modality[m], n, &grid);
        cells = MAX(cells, (size_t)grid.width * (size_t)grid.height);
    }
    return seam_arena_bytes((size_t)n + 1, word) + seam_arena_bytes((size_t)n * keys, word) +
           seam_arena_bytes(cells + 1, word) + 3 * seam_arena_bytes((size_t)n, word);
}

// ---- fusion -----------------------------------------------------------------------------------

// The tokens of one window by modality and time. Numbers count from the window's first token.
typedef struct {
    int32_t n, neighbours;
    const SeamPlace *place;                 // [n]
    int32_t begin[SEAM_MAX_MODALITIES + 1]; // first group of each modality
    int32_t *first;                         // [groups + 1] first token of each group
    int32_t *summaries;                     // [groups] how many of its tokens are summaries
    int32_t *token;                         // [n] in each group summaries first, else as they come
    int32_t bucket;                         // most keys from the bucket of a token
    const uint32_t *code;                   // [n] bucket of each token
    const int32_t *ranked;                  // [n] tokens in bucket order, counted from the batch's first
    int32_t *rank;                          // [n] of each token in it
} Groups;

static bool same_group(const SeamPlace *a, const SeamPlace *b) {
    return a->modality == b->modality && a->t == b->t;
}

// Lists the summaries (or the others) among the tokens from .. to - 1; returns how many.
static int32_t list_kind(const Groups *g, int32_t from, int32_t to, bool summary, int32_t *out) {
    int32_t count = 0;
    for (int32_t i = from; i < to; i++)
        if ((g->place[i].domain == SEAM_DOMAIN_SUMMARY) == summary)
            out[count++] = i;
    return count;
}

static SeamStatus find_groups(const SeamConfig *config, Groups *g) {
    int32_t groups = 0, modality = 0;
    for (int32_t from = 0, to; from < g->n; from = to) {
        for (to = from + 1; to < g->n && same_group(&g->place[from], &g->place[to]);)
            to++;
        if (g->place[from].modality < modality - 1 ||
            g->place[from].modality >= config->n_modalities)
            return SEAM_BAD_SHAPE;
        while (modality <= g->place[from].modality)
            g->begin[modality++] = groups;
        g->first[groups] = from;
        g->summaries[groups] = list_kind(g, from, to, true, g->token + from);
        list_kind(g, from, to, false, g->token + from + g->summaries[groups]);
        groups++;
    }
    while (modality <= config->n_modalities)
        g->begin[modality++] = groups;
    g->first[groups] = g->n;
    return SEAM_OK;
}

// Up to `room` tokens of a group for query i; returns how many.
static int32_t list_group(const Groups *g, int32_t group, int32_t i, int32_t room, int32_t *out) {
    const int32_t *token = g->token + g->first[group];
    int32_t size = g->first[group + 1] - g->first[group];
    if (size <= room) {
        memcpy(out, token, (size_t)size * sizeof *out);
        return size;
    }
    int32_t summaries = g->summaries[group], others = size - summaries;
    for (int32_t j = 0; j < room; j++)
        out[j] = j < summaries ? token[j] : token[summaries + (i + j - summaries) % others];
    return room;
}

// The tokens of groups begin .. end - 1 nearest in time to query i; *next is the first group that
// is not earlier than the query.
static int32_t list_nearest(const Groups *g, int32_t begin, int32_t end, int32_t *next, int32_t i,
                            int32_t *out) {
    double t = g->place[i].t;
    while (*next < end && g->place[g->first[*next]].t < g->place[i].t)
        ++*next;
    int32_t left = *next - 1, right = *next, n = 0;
    while (n < g->neighbours && (left >= begin || right < end)) {
        bool earlier = right >= end;
        if (left >= begin && right < end)
            earlier =
                t - (double)g->place[g->first[left]].t <= (double)g->place[g->first[right]].t - t;
        n += list_group(g, earlier ? left-- : right++, i, g->neighbours - n, out + n);
    }
    return n;
}

// Sorts and drops what is there twice; lists are short. Returns how many remain.
static int32_t sort_unique(int32_t *key, int32_t n) {
    for (int32_t i = 1; i < n; i++) {
        int32_t value = key[i], j = i;
        for (; j > 0 && key[j - 1] > value; j--)
            key[j] = key[j - 1];
        key[j] = value;
    }
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (kept == 0 || key[i] != key[kept - 1])
            key[kept++] = key[i];
    return kept;
}

// Up to g->bucket others of the bucket of token i; returns how many. first: the window's.
static int32_t list_bucket(const Groups *g, int32_t first, int32_t i, int32_t *out) {
    int32_t n = 0, low = g->rank[i] - 1, high = g->rank[i] + 1;
    uint32_t code = g->code[i];
    while (n < g->bucket) {
        bool below = low >= 0 && g->code[g->ranked[low] - first] == code;
        bool above = high < g->n && g->code[g->ranked[high] - first] == code;
        if (below)
            out[n++] = g->ranked[low--] - first;
        if (above && n < g->bucket)
            out[n++] = g->ranked[high++] - first;
        if (!below && !above)
            break;
    }
    return n;
}

// The keys of query i, counted from the window's first token. next: of each modality, see
// list_nearest.
static int32_t list_fusion(const SeamConfig *config, const Groups *g, int32_t first, int32_t i,
                           int32_t *next, int32_t *out) {
    int32_t n = g->bucket > 0 ? list_bucket(g, first, i, out) : 0;
    out[n++] = i;
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (m != g->place[i].modality)
            n += list_nearest(g, g->begin[m], g->begin[m + 1], &next[m], i, out + n);
    for (int64_t step = 1; step < g->n; step *= 2) {
        if (i - step >= 0)
            out[n++] = (int32_t)(i - step);
        if (i + step < g->n)
            out[n++] = (int32_t)(i + step);
    }
    return sort_unique(out, n);
}

// Most keys of one token among n.
static size_t fusion_keys(const SeamConfig *config, int32_t n) {
    size_t keys = 1 + (size_t)(config->n_modalities - 1) * (size_t)config->fusion_neighbours +
                  (size_t)config->fusion_bucket;
    for (int64_t step = 1; step < n; step *= 2)
        keys += 2;
    return keys;
}

static SeamStatus fusion_window(const SeamConfig *config, SeamArena *arena, const SeamPlace *place,
                                const SeamBuckets *buckets, int32_t first, int32_t n,
                                SeamPattern *p) {
    int32_t next[SEAM_MAX_MODALITIES], modality = -1;
    Groups g = {.n = n, .neighbours = config->fusion_neighbours, .place = place + first};
    g.first = SEAM_NEW(arena, int32_t, (size_t)n + 1);
    g.summaries = SEAM_NEW(arena, int32_t, n);
    g.token = SEAM_NEW(arena, int32_t, n);
    g.rank = SEAM_NEW(arena, int32_t, n);
    if (!g.first || !g.summaries || !g.token || !g.rank)
        return SEAM_NO_MEMORY;
    if (config->fusion_bucket > 0) {
        g.bucket = config->fusion_bucket;
        g.code = buckets->code + first;
        g.ranked = buckets->order + first;
        for (int32_t r = 0; r < n; r++)
            g.rank[g.ranked[r] - first] = r;
    }
    SEAM_TRY(find_groups(config, &g));
    for (int32_t i = 0; i < n; i++) {
        if (g.place[i].modality != modality)
            memcpy(next, g.begin, sizeof next);
        modality = g.place[i].modality;
        int32_t *out = p->key_index + p->key_start[first + i];
        int32_t keys = list_fusion(config, &g, first, i, next, out);
        for (int32_t j = 0; j < keys; j++)
            out[j] += first;
        p->key_start[first + i + 1] = p->key_start[first + i] + keys;
    }
    return SEAM_OK;
}

SeamStatus seam_pattern_fusion(const SeamConfig *config, SeamRun *run, const SeamTokens *tokens,
                               SeamPattern *out) {
    SeamArena *arena = run->arena;
    size_t most = (size_t)tokens->n * fusion_keys(config, tokens->n);
    SeamBuckets buckets;
    if (most > INT32_MAX)
        return SEAM_BAD_SHAPE;
    *out = seam_pattern_dense(tokens);
    out->key_start = SEAM_NEW0(arena, int32_t, (size_t)tokens->n + 1);
    out->key_index = SEAM_NEW(arena, int32_t, most);
    if (!out->key_start || !out->key_index)
        return SEAM_NO_MEMORY;
    size_t kept = seam_arena_mark(arena);
    if (config->fusion_bucket > 0)
        SEAM_TRY(seam_buckets_sort(run, out, config->dim, tokens->x, config->fusion_bucket,
                                   seam_random_hash("fusion.hash"), &buckets));
    for (int32_t s = 0; s < tokens->seqs; s++) {
        size_t mark = seam_arena_mark(arena);
        int32_t first = tokens->seq_start[s], n = tokens->seq_start[s + 1] - first;
        SEAM_TRY(fusion_window(config, arena, tokens->place, &buckets, first, n, out));
        seam_arena_release(arena, mark);
    }
    seam_arena_release(arena, kept);
    return SEAM_OK;
}

size_t seam_pattern_fusion_bytes(const SeamConfig *config, int32_t n) {
    size_t word = sizeof(int32_t);
    size_t buckets =
        config->fusion_bucket > 0 ? seam_buckets_bytes(n, config->dim, config->fusion_bucket) : 0;
    return seam_arena_bytes((size_t)n * fusion_keys(config, n), word) +
           2 * seam_arena_bytes((size_t)n + 1, word) + 3 * seam_arena_bytes((size_t)n, word) +
           buckets;
}
