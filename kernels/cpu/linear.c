// SPDX-License-Identifier: LGPL-2.1-or-later
//
//   pack      weights into the strips of linear.h
//   linear    y[r] (+)= act(w[g] x[source[r]] + bias[g])        rows r of group g
//
// The layouts, the tasks and the memory of products with packed weights; the arithmetic is linear_tile.h's, one kind a number type. Rows of x are brought into
// the type's numbers once a call, also those that several rows of y share (top_k experts of one token); a task that gathers copies them in the order of its
// rows, a quarter of what gathering floats moves in int8. Groups are cut into chunks of rows and each chunk into parts of columns, all in one list of tasks:
// an expert with one token is a task as one with sixty is, cut more finely where its rows would hold up the rest. No task adds to another's part and cuts
// depend on shapes and lanes alone: deterministic. It owns the choice of kinds, which is made once; all else is scratch.
#include <string.h>

#include "kernels/cpu/linear.h"

enum {
    SMALL = 1 << 20,       // products in f32 below which a wake-up costs more than a second thread saves (about 20 us)
    SMALL_ROUND = 1 << 16, // the same for numbers to be rounded
    CHUNK_ROWS = 18 * 14,  // of a task: they stay in an L2 cache while the strips pass
    TASKS_A_LANE = 4,
    PIECE = 256, // of a row that is packed
    MOST_DEPTH = 1 << 16,
};

static const SeamLinearKind *kinds[3];

// ---- layout -----------------------------------------------------------------------------------

static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

SeamLinearLayout seam_linear_layout(SeamPackType type, int32_t groups, int32_t n, int32_t k) {
    assert(groups >= 0 && n >= 0 && k >= 0 && k <= MOST_DEPTH);
    const SeamLinearKind *kind = kinds[type];
    SeamLinearLayout l = {.kind = kind, .groups = groups, .n = n, .k = k};
    l.strips = (int32_t)seam_ceil_div(n, kind->strip);
    l.steps = (int32_t)seam_ceil_div(k, kind->unit);
    l.padded = l.strips * kind->strip;
    l.strip_bytes = (size_t)l.steps * kind->strip * kind->unit * kind->w_bytes;
    l.group_bytes = round_up(l.strips * l.strip_bytes, 64);
    size_t numbers = type == SEAM_PACK_I8 ? round_up((size_t)groups * l.padded * sizeof(float), 64) : 0;
    l.scale_at = (size_t)groups * l.group_bytes;
    l.first_at = l.scale_at + numbers;
    l.bytes = l.first_at + numbers;
    return l;
}

static size_t pack_bytes(SeamPackType type, int32_t groups, int32_t n, int32_t k) {
    return seam_linear_layout(type, groups, n, k).bytes;
}

ptrdiff_t seam_linear_row(const SeamLinearKind *kind, int32_t k, size_t more) {
    size_t bytes = round_up((size_t)k * kind->x_bytes + more, 64);
    return (ptrdiff_t)(bytes % 1024 == 0 ? bytes + 64 : bytes);
}

void seam_linear_columns(const SeamLinearLayout *l, const SeamPacked *w, const float *bias, int32_t group, int32_t column, int32_t columns,
                         SeamLinearPart *part) {
    const char *data = w->data;
    size_t at = (size_t)group * l->padded + column;
    part->columns = columns;
    part->w = data + group * l->group_bytes + (size_t)(column / l->kind->strip) * l->strip_bytes;
    part->bias = bias ? bias + (size_t)group * l->n + column : NULL;
    if (!l->kind->measure)
        return;
    part->w_scale = (const float *)(const void *)(data + l->scale_at) + at;
    part->first = (const int32_t *)(const void *)(data + l->first_at) + at;
}

// ---- packing ----------------------------------------------------------------------------------

typedef struct {
    SeamLinearLayout layout;
    const float *w;
    const int8_t *q; // instead of w
    const float *scale;
    char *data;
} Pack;

// Numbers from .. from + count of a row, which begin at a step, to its column of a strip.
static void place(const SeamLinearKind *kind, const char *numbers, int32_t from, int32_t count, char *column) {
    size_t word = (size_t)kind->unit * kind->w_bytes;
    char *to = column + (size_t)(from / kind->unit) * kind->strip * word;
    for (int32_t i = 0; i < count; i += kind->unit, numbers += word, to += kind->strip * word)
        memcpy(to, numbers, (size_t)seam_min(kind->unit, count - i) * kind->w_bytes);
}

static int32_t sum_bytes(const int8_t *q, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += q[i];
    return sum;
}

// Row j of group g.
static void pack_row(const Pack *p, int32_t g, int32_t j, char *column) {
    const SeamLinearLayout *l = &p->layout;
    const SeamLinearKind *kind = l->kind;
    size_t row = (size_t)g * l->n + j, at = (size_t)g * l->padded + j;
    SeamRounding r = p->q ? (SeamRounding){p->scale[row], 0} : kind->measure ? kind->measure(l->k, p->w + row * l->k) : (SeamRounding){1, 1};
    int32_t sum = 0;
    for (int32_t from = 0; from < l->k; from += PIECE) {
        _Alignas(64) char numbers[PIECE * sizeof(float)];
        int32_t count = seam_min(PIECE, l->k - from);
        const char *source = p->q ? (const char *)p->q + row * l->k + from : numbers;
        if (!p->q)
            kind->round(count, r, p->w + row * l->k + from, numbers);
        place(kind, source, from, count, column);
        if (kind->offset)
            sum += sum_bytes((const int8_t *)source, count);
    }
    if (kind->measure) {
        ((float *)(void *)(p->data + l->scale_at))[at] = r.scale;
        ((int32_t *)(void *)(p->data + l->first_at))[at] = -kind->offset * sum;
    }
}

static void pack_strips(const void *job, int64_t from, int64_t to) {
    const Pack *p = job;
    const SeamLinearLayout *l = &p->layout;
    size_t word = (size_t)l->kind->unit * l->kind->w_bytes;
    for (int64_t i = from; i < to; i++) {
        int32_t g = (int32_t)(i / l->strips), first = (int32_t)(i % l->strips) * l->kind->strip, columns = seam_min(l->kind->strip, l->n - first);
        char *strip = p->data + g * l->group_bytes + (size_t)(i % l->strips) * l->strip_bytes;
        memset(strip, 0, l->strip_bytes);
        for (int32_t j = 0; j < columns; j++)
            pack_row(p, g, first + j, strip + j * word);
    }
}

static void pack_all(const Pack *p) {
    const SeamLinearLayout *l = &p->layout;
    memset(p->data + l->scale_at, 0, l->bytes - l->scale_at);
    seam_run_ranges((int64_t)l->groups * l->strips, 1, pack_strips, p);
}

static void pack(SeamPackType type, int32_t groups, int32_t n, int32_t k, const float *w, void *data) {
    Pack p = {.layout = seam_linear_layout(type, groups, n, k), .w = w, .data = data};
    if (p.layout.bytes > 0)
        pack_all(&p);
}

static void pack_i8(int32_t groups, int32_t n, int32_t k, const int8_t *q, const float *scale, void *data) {
    Pack p = {.layout = seam_linear_layout(SEAM_PACK_I8, groups, n, k), .q = q, .scale = scale, .data = data};
    if (p.layout.bytes > 0)
        pack_all(&p);
}

// ---- rows of x --------------------------------------------------------------------------------

// Rows that the type prepares, x_row bytes apart, and their scales; or the caller's floats.
typedef struct {
    const SeamLinearKind *kind;
    const float *from;
    int32_t k, ldx;
    char *x;
    ptrdiff_t x_row;
    float *scale;
} Prepared;

static void prepare_rows(const void *job, int64_t from, int64_t to) {
    const Prepared *p = job;
    for (int64_t i = from; i < to; i++) {
        const float *row = p->from + i * p->ldx;
        SeamRounding r = p->kind->measure ? p->kind->measure(p->k, row) : (SeamRounding){1, 1};
        p->kind->prepare(p->k, r, row, p->x + i * p->x_row);
        if (p->kind->measure)
            p->scale[i] = r.scale;
    }
}

// ---- tasks ------------------------------------------------------------------------------------

typedef struct {
    int32_t group, first, rows;
} Chunk;

typedef struct {
    const SeamLinearCall *c;
    SeamLinearLayout layout;
    Prepared prepared;
    const Chunk *chunk;
    int32_t column_parts;
    bool gather; // rows of a chunk into a block of their own
    atomic_bool failed;
} Linear;

// The rows of a chunk as they follow one another, with their scales behind them.
static bool gather_rows(const Linear *l, const Chunk *chunk, SeamLinearPart *part) {
    const Prepared *p = &l->prepared;
    size_t bytes = (size_t)l->layout.k * p->kind->x_bytes;
    ptrdiff_t row = seam_linear_row(p->kind, l->layout.k, 0);
    char *x = seam_scratch(SEAM_SCRATCH_TASK, (size_t)chunk->rows * (row + sizeof(float)));
    if (!x)
        return false;
    float *scale = (float *)(void *)(x + chunk->rows * row);
    bytes = p->kind->direct ? bytes : round_up(bytes, (size_t)p->kind->unit * p->kind->x_bytes);
    for (int32_t i = 0; i < chunk->rows; i++) {
        ptrdiff_t from = l->c->source ? l->c->source[chunk->first + i] : chunk->first + i;
        memcpy(x + i * row, p->x + from * p->x_row, bytes);
        if (p->scale)
            scale[i] = p->scale[from];
    }
    part->x = x;
    part->x_row = row;
    part->x_scale = p->scale ? scale : NULL;
    return true;
}

static void linear_task(void *data, int32_t task, int32_t lane) {
    Linear *l = data;
    const SeamLinearCall *c = l->c;
    const SeamLinearLayout *layout = &l->layout;
    const SeamLinearKind *kind = layout->kind;
    const Chunk *chunk = &l->chunk[task / l->column_parts];
    int32_t part = task % l->column_parts;
    int32_t left = (int32_t)seam_part(layout->n, kind->strip, l->column_parts, part);
    int32_t right = (int32_t)seam_part(layout->n, kind->strip, l->column_parts, part + 1);
    SeamLinearPart p = {.rows = chunk->rows, .segments = 1, .steps = layout->steps, .scale_row = 1, .ldy = c->ldy, .act = c->act, .add = c->add};
    seam_linear_columns(layout, c->w, c->bias, chunk->group, left, right - left, &p);
    p.x = l->prepared.x + chunk->first * l->prepared.x_row;
    p.x_row = l->prepared.x_row;
    p.x_scale = l->prepared.scale ? l->prepared.scale + chunk->first : NULL;
    p.y = c->y + (size_t)chunk->first * c->ldy + left;
    if (l->gather && !gather_rows(l, chunk, &p))
        atomic_store(&l->failed, true);
    else
        kind->run(&p);
}

static int32_t list_chunks(const SeamLinearCall *c, Chunk *chunk) {
    int32_t chunks = 0, all[2] = {0, c->rows};
    const int32_t *start = c->start ? c->start : all;
    for (int32_t g = 0; g < c->w->groups; g++) {
        int32_t rows = start[g + 1] - start[g], parts = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
        for (int32_t i = 0; i < parts; i++, chunks++)
            if (chunk) {
                int32_t first = (int32_t)seam_part(rows, 1, parts, i);
                chunk[chunks] = (Chunk){g, start[g] + first, (int32_t)seam_part(rows, 1, parts, i + 1) - first};
            }
    }
    return chunks;
}

// Parts of the columns of each chunk: so many that the largest chunk is no more than a lane's share of the work divided by TASKS_A_LANE, none too small to be
// worth a task.
static int32_t column_parts(const Linear *l, int32_t chunks) {
    int32_t largest = 0;
    int64_t work = (int64_t)l->c->rows * l->layout.n * l->layout.k / l->layout.kind->speed, wanted = TASKS_A_LANE * seam_pool_lanes();
    for (int32_t i = 0; i < chunks; i++)
        largest = l->chunk[i].rows > largest ? l->chunk[i].rows : largest;
    int64_t parts = seam_ceil_div(wanted * largest, l->c->rows), most = work / (SMALL / 8) / chunks;
    parts = parts > most ? most : parts;
    return seam_min(l->layout.strips, parts < 1 ? 1 : (int32_t)parts);
}

// Chunks and prepared rows lie in one block.
static bool set_up(Linear *l, int32_t chunks) {
    const SeamLinearCall *c = l->c;
    const SeamLinearKind *kind = l->layout.kind;
    Prepared *p = &l->prepared;
    *p = (Prepared){.kind = kind, .from = c->x, .k = l->layout.k, .ldx = c->ldx};
    p->x_row = kind->direct ? c->ldx * (ptrdiff_t)sizeof(float) : seam_linear_row(kind, l->layout.k, 0);
    size_t list = round_up((size_t)chunks * sizeof(Chunk), 64), scales = kind->measure ? round_up((size_t)c->x_rows * sizeof(float), 64) : 0;
    size_t rows = kind->direct ? 0 : (size_t)c->x_rows * p->x_row;
    char *block = seam_scratch(SEAM_SCRATCH_CALL, list + scales + rows);
    if (!block)
        return false;
    list_chunks(c, (Chunk *)(void *)block);
    l->chunk = (const Chunk *)(void *)block;
    p->scale = kind->measure ? (float *)(void *)(block + list) : NULL;
    p->x = kind->direct ? (char *)c->x : block + list + scales;
    l->gather = c->source || (kind->direct && p->x_row % 1024 == 0 && c->rows > 1);
    if (!kind->direct && (int64_t)c->x_rows * l->layout.k < SMALL_ROUND)
        prepare_rows(p, 0, c->x_rows);
    else if (!kind->direct)
        seam_run_ranges(c->x_rows, seam_ceil_div(SMALL_ROUND / 4, l->layout.k), prepare_rows, p);
    return true;
}

static SeamStatus linear(const SeamLinearCall *c) {
    assert(c->rows >= 0 && (c->start || c->w->groups == 1) && (c->source || c->x_rows == c->rows));
    if (c->rows == 0 || c->w->n == 0)
        return SEAM_OK;
    Linear l = {.c = c, .layout = seam_linear_layout(c->w->type, c->w->groups, c->w->n, c->w->k)};
    int32_t chunks = list_chunks(c, NULL);
    if (!set_up(&l, chunks))
        return SEAM_NO_MEMORY;
    l.column_parts = column_parts(&l, chunks);
    bool small = (int64_t)c->rows * c->w->n * c->w->k / l.layout.kind->speed < SMALL;
    if (small)
        for (int32_t i = 0; i < chunks * l.column_parts; i++)
            linear_task(&l, i, 0);
    else
        seam_pool_run(chunks * l.column_parts, linear_task, &l);
    return l.failed ? SEAM_NO_MEMORY : SEAM_OK;
}

void seam_fill_linear(SeamKernels *k, const SeamLinearKind *const chosen[3]) {
    memcpy(kinds, chosen, sizeof kinds);
    k->pack_bytes = pack_bytes;
    k->pack = pack;
    k->pack_i8 = pack_i8;
    k->linear = linear;
}
