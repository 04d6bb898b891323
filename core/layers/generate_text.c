// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Text from facts and tokens. One sequence a weld: first what is known (a prefix), then the bytes.
//
//   prefix: e_k(f_k) for each fact k;   s_0 + b + sum_m C_m;   s_m + C_m for each present modality m        [width] each
//           C_m = W p_m, the additive evidence of classify.c with `width` outputs: what the fused tokens of m say
//   bytes:  E[b_(i-1)] + P[i],  i = 0 .. length, b_(-1) = 0
//   x += Attention(LN x);  x += gelu(LN(x) U^T) D^T         `depth` times, as a fusion layer
//   z_i = LN(x_i) H^T,  P(b_i | before) = softmax(z_i);     byte 0 ends the sentence
//
// A byte attends to the whole prefix and to the bytes up to itself, the prefix to itself: self-attention and cross-attention in one softmax (prefix language
// model: Raffel 2020, sec. 3.2.1; Liu 2018). Numbers go in digit by digit, so that writing one is copying two rows.
//
//   L = mean over all bytes of -log P(b_i | before),   dz = (softmax(z) - [b_i]) / bytes
//
// Writing keeps q, k, v of the rows that are past, so that a byte costs one row. Greedy: the likeliest byte.
#include "core/layers/generate_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX = SEAM_TEXT_FACTS + 1 + SEAM_MAX_MODALITIES }; // rows at most

void seam_text_declare(SeamText *t, SeamParams *params, const SeamConfig *config, int32_t task) {
    const SeamTask *how = &config->task[task];
    const int32_t values[SEAM_TEXT_FACTS] = {3, config->n_classes + 1, 11, 11, 12, 11, config->n_modalities + 1};
    char prefix[SEAM_NAME_LENGTH + 8], name[SEAM_NAME_LENGTH + 32];
    *t = (SeamText){.width = how->width, .depth = how->depth, .length = how->length, .modalities = config->n_modalities};
    for (int32_t k = 0; k < SEAM_TEXT_FACTS; k++)
        t->first[k + 1] = t->first[k] + values[k];
    seam_classify_declare(&t->evidence, params, config, task);
    snprintf(prefix, sizeof prefix, "tasks.%s", how->name);
    snprintf(name, sizeof name, "%s.fact", prefix);
    t->fact = seam_params_declare(params, name, SEAM_INIT_SMALL, false, t->first[SEAM_TEXT_FACTS], t->width, 0, 0);
    snprintf(name, sizeof name, "%s.slot", prefix);
    t->slot = seam_params_declare(params, name, SEAM_INIT_SMALL, false, 1 + t->modalities, t->width, 0, 0);
    snprintf(name, sizeof name, "%s.byte", prefix);
    t->byte = seam_params_declare(params, name, SEAM_INIT_SMALL, false, SEAM_TEXT_BYTES, t->width, 0, 0);
    snprintf(name, sizeof name, "%s.position", prefix);
    t->position = seam_params_declare(params, name, SEAM_INIT_SMALL, false, t->length + 1, t->width, 0, 0);
    for (int32_t l = 0; l < t->depth; l++) {
        snprintf(name, sizeof name, "%s.block.%d", prefix, l);
        seam_fusion_layer_declare(&t->layer[l], params, name, t->width, SEAM_FINDING_HEADS, 4 * t->width);
    }
    snprintf(name, sizeof name, "%s.last", prefix);
    seam_norm_declare(&t->norm, params, name, t->width);
    snprintf(name, sizeof name, "%s.head", prefix);
    seam_linear_declare(&t->head, params, name, t->width, SEAM_TEXT_BYTES, true);
}

// ---- what the tokens say ---------------------------------------------------------------------------------------------------------

static SeamStatus listen(const SeamText *t, SeamRun *run, const SeamTokens *tokens, float **said, const uint32_t **present, SeamClassifySaved *saved) {
    SeamClassifyOut out;
    size_t w = (size_t)t->width, per = (size_t)(1 + t->modalities) * w;
    *said = SEAM_NEW(run->arena, float, (size_t)tokens->seqs * per);
    if (!*said)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_classify_forward(&t->evidence, run, tokens, &out, saved));
    for (int32_t i = 0; i < tokens->seqs; i++) {
        memcpy(*said + i * per, out.logits + i * w, w * sizeof(float));
        memcpy(*said + i * per + w, out.contributions + (size_t)i * t->modalities * w, (per - w) * sizeof(float));
    }
    *present = out.present;
    return SEAM_OK;
}

SeamStatus seam_text_listen(const SeamText *t, SeamRun *run, const SeamTokens *tokens, float **said, const uint32_t **present) {
    return listen(t, run, tokens, said, present, NULL);
}

size_t seam_text_listen_bytes(const SeamText *t, int32_t n) {
    return seam_classify_bytes(&t->evidence, n, 1, false) + seam_arena_bytes((size_t)(1 + t->modalities) * t->width, sizeof(float));
}

// ---- rows ------------------------------------------------------------------------------------------------------------------------

// x of a row = row a of `first` + row b of `second` (if any) + what was said at `said` (>= 0).
typedef struct {
    const SeamTensor *first, *second;
    int32_t a, b, said;
} Row;

static void fact_values(const SeamFacts *f, int32_t value[SEAM_TEXT_FACTS]) {
    const int32_t values[SEAM_TEXT_FACTS] = {(int32_t)f->decision, f->class_index + 1, f->sure < 0 ? 0 : 1 + f->sure / 10, f->sure < 0 ? 0 : 1 + f->sure % 10,
                                             f->place < 0 ? 0 : 1 + f->place / 10, f->place < 0 ? 0 : 1 + f->place % 10, f->modality + 1};
    memcpy(value, values, sizeof values);
}

// Returns how many. window: whose vectors are said.
static int32_t prefix_rows(const SeamText *t, const SeamFacts *facts, uint32_t present, int32_t window, Row *row) {
    int32_t value[SEAM_TEXT_FACTS], n = 0;
    fact_values(facts, value);
    for (int32_t k = 0; k < SEAM_TEXT_FACTS; k++)
        row[n++] = (Row){t->fact, NULL, t->first[k] + value[k], 0, -1};
    row[n++] = (Row){t->slot, NULL, 0, 0, window * (1 + t->modalities)};
    for (int32_t m = 0; m < t->modalities; m++)
        if (present >> m & 1)
            row[n++] = (Row){t->slot, NULL, 1 + m, 0, window * (1 + t->modalities) + 1 + m};
    return n;
}

static Row byte_row(const SeamText *t, uint8_t before, int32_t i) {
    return (Row){t->byte, t->position, before, i, -1};
}

static SeamStatus fill(const SeamText *t, const SeamRun *run, int32_t n, const Row *row, const float *said, float *x) {
    size_t w = (size_t)t->width;
    for (int32_t i = 0; i < n; i++, x += w) {
        memcpy(x, row[i].first->data + row[i].a * w, w * sizeof *x);
        if (row[i].second)
            SEAM_TRY(run->kernels->add(w, row[i].second->data + row[i].b * w, x));
        if (row[i].said >= 0)
            SEAM_TRY(run->kernels->add(w, said + row[i].said * w, x));
    }
    return SEAM_OK;
}

static SeamStatus fill_backward(const SeamText *t, const SeamRun *run, int32_t n, const Row *row, const float *dx, float *dsaid) {
    size_t w = (size_t)t->width;
    for (int32_t i = 0; i < n; i++, dx += w) {
        SEAM_TRY(run->kernels->add(w, dx, row[i].first->grad + row[i].a * w));
        if (row[i].second)
            SEAM_TRY(run->kernels->add(w, dx, row[i].second->grad + row[i].b * w));
        if (row[i].said >= 0)
            SEAM_TRY(run->kernels->add(w, dx, dsaid + row[i].said * w));
    }
    return SEAM_OK;
}

// ---- learning --------------------------------------------------------------------------------------------------------------------

// All sentences of a batch, one after the other.
typedef struct {
    int32_t n, seqs, bytes;  // rows; sequences; rows of bytes
    Row *row;                // [n]
    int32_t *seq_start;      // [seqs + 1]
    int32_t *byte;           // [bytes] their rows
    uint8_t *target;         // [bytes] what comes there
    SeamPattern pattern;
} Sentences;

static int32_t length_of(const SeamText *t, const char *sentence) {
    size_t length = strnlen(sentence, SEAM_MAX_FINDING);
    return length > (size_t)t->length ? 0 : (int32_t)length; // one that is too long teaches nothing
}

static SeamStatus alloc_sentences(const SeamText *t, SeamRun *run, int32_t windows, const char (*sentence)[SEAM_MAX_FINDING], Sentences *s) {
    size_t most = 0, bytes = 0;
    for (int32_t w = 0; w < windows; w++)
        bytes += (size_t)length_of(t, sentence[w]) + 1;
    most = bytes + (size_t)windows * PREFIX;
    *s = (Sentences){.row = SEAM_NEW(run->arena, Row, most), .seq_start = SEAM_NEW0(run->arena, int32_t, (size_t)windows + 1),
                     .byte = SEAM_NEW(run->arena, int32_t, bytes), .target = SEAM_NEW(run->arena, uint8_t, bytes)};
    return s->row && s->seq_start && s->byte && s->target ? SEAM_OK : SEAM_NO_MEMORY;
}

static SeamStatus lay_out(const SeamText *t, SeamRun *run, int32_t windows, const SeamFacts *facts, const uint32_t *present,
                          const char (*sentence)[SEAM_MAX_FINDING], int32_t *prefix, Sentences *s) {
    SEAM_TRY(alloc_sentences(t, run, windows, sentence, s));
    for (int32_t w = 0; w < windows; w++) {
        int32_t length = length_of(t, sentence[w]);
        if (length == 0)
            continue;
        prefix[s->seqs] = prefix_rows(t, &facts[w], present[w], w, s->row + s->n);
        s->n += prefix[s->seqs];
        for (int32_t i = 0; i <= length; i++) {
            s->byte[s->bytes] = s->n;
            s->target[s->bytes++] = i < length ? (uint8_t)sentence[w][i] : 0;
            s->row[s->n++] = byte_row(t, i > 0 ? (uint8_t)sentence[w][i - 1] : 0, i);
        }
        s->seq_start[++s->seqs] = s->n;
    }
    return SEAM_OK;
}

// Keys: the prefix sees itself, a byte all up to itself.
static SeamStatus make_pattern(SeamRun *run, const int32_t *prefix, Sentences *s) {
    size_t keys = 0;
    int32_t at = 0;
    for (int32_t q = 0; q < s->seqs; q++) {
        size_t rows = (size_t)(s->seq_start[q + 1] - s->seq_start[q]), p = (size_t)prefix[q];
        keys += p * p + (rows * (rows + 1) - p * (p + 1)) / 2;
    }
    s->pattern = (SeamPattern){.n = s->n, .seqs = s->seqs, .seq_start = s->seq_start, .key_start = SEAM_NEW0(run->arena, int32_t, (size_t)s->n + 1),
                               .key_index = SEAM_NEW(run->arena, int32_t, keys)};
    if (!s->pattern.key_start || !s->pattern.key_index)
        return SEAM_NO_MEMORY;
    for (int32_t q = 0; q < s->seqs; q++)
        for (int32_t i = s->seq_start[q]; i < s->seq_start[q + 1]; i++) {
            int32_t end = MAX(s->seq_start[q] + prefix[q], i + 1);
            for (int32_t j = s->seq_start[q]; j < end; j++)
                s->pattern.key_index[at++] = j;
            s->pattern.key_start[i + 1] = at;
        }
    return SEAM_OK;
}

// z [n, 256] becomes its gradient times `scale`. Returns the loss.
static double cross_entropy(int32_t n, const uint8_t *target, double scale, float *z) {
    double loss = 0;
    for (int32_t i = 0; i < n; i++, z += SEAM_TEXT_BYTES) {
        double most = -INFINITY, sum = 0;
        for (int32_t b = 0; b < SEAM_TEXT_BYTES; b++)
            most = fmax(most, z[b]);
        for (int32_t b = 0; b < SEAM_TEXT_BYTES; b++)
            sum += exp(z[b] - most);
        loss -= (z[target[i]] - most - log(sum)) / n;
        for (int32_t b = 0; b < SEAM_TEXT_BYTES; b++)
            z[b] = (float)(scale / n * (exp(z[b] - most) / sum - (b == target[i])));
    }
    return loss;
}

// The last norm and the head on the rows of bytes; x becomes its gradient when `backward`.
static SeamStatus head_pass(const SeamText *t, SeamRun *run, const Sentences *s, bool backward, double scale, double *loss, float *x) {
    size_t mark = seam_arena_mark(run->arena), w = (size_t)t->width, size = (size_t)s->bytes * w;
    float *last = SEAM_NEW(run->arena, float, size), *u = SEAM_NEW(run->arena, float, size), *mean = SEAM_NEW(run->arena, float, s->bytes);
    float *rstd = SEAM_NEW(run->arena, float, s->bytes), *z = SEAM_NEW(run->arena, float, (size_t)s->bytes * SEAM_TEXT_BYTES);
    float *dlast = SEAM_NEW0(run->arena, float, size);
    if (!last || !u || !mean || !rstd || !z || !dlast)
        return SEAM_NO_MEMORY;
    SEAM_TRY(run->kernels->gather(s->bytes, t->width, s->byte, x, last));
    SEAM_TRY(seam_norm_forward(&t->norm, run, s->bytes, last, u, mean, rstd));
    SEAM_TRY(seam_linear_forward(&t->head, run, s->bytes, u, z));
    *loss = cross_entropy(s->bytes, s->target, scale, z);
    if (backward) {
        float *du = SEAM_NEW(run->arena, float, size);
        if (!du)
            return SEAM_NO_MEMORY;
        SEAM_TRY(seam_linear_backward(&t->head, run, s->bytes, u, z, du, false));
        SEAM_TRY(seam_norm_backward(&t->norm, run, s->bytes, last, mean, rstd, du, dlast));
        memset(x, 0, (size_t)s->n * w * sizeof *x);
        for (int32_t i = 0; i < s->bytes; i++)
            memcpy(x + s->byte[i] * w, dlast + i * w, w * sizeof *x);
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// dsaid [windows, 1 + modalities, width] -> dx of the tokens.
static SeamStatus listen_backward(const SeamText *t, SeamRun *run, const SeamClassifySaved *saved, const float *dsaid, float *dx) {
    size_t w = (size_t)t->width, per = (size_t)(1 + t->modalities) * w, windows = (size_t)saved->windows;
    float *dsum = SEAM_NEW(run->arena, float, windows * w), *deach = SEAM_NEW(run->arena, float, windows * (per - w));
    if (!dsum || !deach)
        return SEAM_NO_MEMORY;
    for (size_t i = 0; i < windows; i++) {
        memcpy(dsum + i * w, dsaid + i * per, w * sizeof *dsum);
        memcpy(deach + i * (per - w), dsaid + i * per + w, (per - w) * sizeof *deach);
    }
    return seam_classify_backward_all(&t->evidence, run, saved, dsum, deach, dx);
}

static SeamStatus through_layers(const SeamText *t, SeamRun *run, const Sentences *s, float *x, SeamFusionLayerSaved *saved) {
    for (int32_t l = 0; l < t->depth; l++)
        SEAM_TRY(seam_fusion_layer_forward(&t->layer[l], run, &s->pattern, 0, x, &saved[l]));
    return SEAM_OK;
}

SeamStatus seam_text_loss(const SeamText *t, SeamRun *run, const SeamTokens *tokens, const SeamFacts *facts, const char (*sentence)[SEAM_MAX_FINDING],
                          double scale, double *loss, float *dx) {
    float *said;
    const uint32_t *present;
    SeamClassifySaved saved;
    SeamFusionLayerSaved layers[SEAM_TEXT_DEPTH];
    Sentences s;
    *loss = 0;
    SEAM_TRY(listen(t, run, tokens, &said, &present, &saved));
    int32_t *prefix = SEAM_NEW(run->arena, int32_t, tokens->seqs);
    if (!prefix)
        return SEAM_NO_MEMORY;
    SEAM_TRY(lay_out(t, run, tokens->seqs, facts, present, sentence, prefix, &s));
    SEAM_TRY(make_pattern(run, prefix, &s));
    float *x = SEAM_NEW(run->arena, float, (size_t)s.n * t->width);
    float *dsaid = SEAM_NEW0(run->arena, float, (size_t)tokens->seqs * (1 + t->modalities) * t->width);
    if (!x || !dsaid)
        return SEAM_NO_MEMORY;
    if (s.n > 0) {
        SEAM_TRY(fill(t, run, s.n, s.row, said, x));
        SEAM_TRY(through_layers(t, run, &s, x, layers));
        SEAM_TRY(head_pass(t, run, &s, dx != NULL, scale, loss, x));
    }
    for (int32_t l = t->depth - 1; l >= 0 && dx && s.n > 0; l--)
        SEAM_TRY(seam_fusion_layer_backward(&t->layer[l], run, &layers[l], x));
    if (!dx)
        return SEAM_OK;
    SEAM_TRY(fill_backward(t, run, s.n, s.row, x, dsaid));
    return listen_backward(t, run, &saved, dsaid, dx);
}

// ---- writing ---------------------------------------------------------------------------------------------------------------------

// The rows that are past, as attention wants them.
typedef struct {
    float *qkv[SEAM_TEXT_DEPTH], *gate[SEAM_TEXT_DEPTH]; // [rows, 3 width], [rows, heads]
    float *x, *h, *mixed, *hidden; // x, h of at most PREFIX new rows; mixed [rows, width]; hidden [PREFIX, 4 width]
    float *z;                      // [256]
    int32_t *key_start, *key_index;
} Past;

static int32_t most_rows(const SeamText *t) {
    return PREFIX + t->length + 1;
}

static SeamStatus alloc_past(const SeamText *t, SeamRun *run, Past *p) {
    size_t rows = (size_t)most_rows(t), w = (size_t)t->width;
    bool ok = true;
    for (int32_t l = 0; l < t->depth; l++) {
        p->qkv[l] = SEAM_NEW(run->arena, float, 3 * rows * w);
        p->gate[l] = SEAM_NEW(run->arena, float, rows * SEAM_FINDING_HEADS);
        ok = ok && p->qkv[l] && p->gate[l];
    }
    p->x = SEAM_NEW(run->arena, float, PREFIX * w);
    p->h = SEAM_NEW(run->arena, float, PREFIX * w);
    p->mixed = SEAM_NEW(run->arena, float, rows * w);
    p->hidden = SEAM_NEW(run->arena, float, 4 * PREFIX * w);
    p->z = SEAM_NEW(run->arena, float, SEAM_TEXT_BYTES);
    p->key_start = SEAM_NEW(run->arena, int32_t, rows + 1);
    p->key_index = SEAM_NEW(run->arena, int32_t, MAX((size_t)PREFIX * PREFIX, rows));
    return ok && p->x && p->h && p->mixed && p->hidden && p->z && p->key_start && p->key_index ? SEAM_OK : SEAM_NO_MEMORY;
}

size_t seam_text_write_bytes(const SeamText *t) {
    size_t rows = (size_t)most_rows(t), w = (size_t)t->width, f = sizeof(float);
    return (size_t)t->depth * (seam_arena_bytes(3 * rows * w, f) + seam_arena_bytes(rows * SEAM_FINDING_HEADS, f)) + 2 * seam_arena_bytes(PREFIX * w, f) +
           seam_arena_bytes(rows * w, f) + seam_arena_bytes(4 * PREFIX * w, f) + seam_arena_bytes(SEAM_TEXT_BYTES, f) + seam_arena_bytes(rows + 1, f) +
           seam_arena_bytes(MAX((size_t)PREFIX * PREFIX, rows), f);
}

// Keys of the new rows: all there are by then. The rows before have none, so nothing is done for them.
static void set_keys(int32_t first, int32_t rows, Past *p) {
    int32_t n = 0;
    memset(p->key_start, 0, (size_t)(first + 1) * sizeof *p->key_start);
    for (int32_t i = 0; i < rows; i++) {
        for (int32_t j = 0; j < first + rows; j++)
            p->key_index[n++] = j;
        p->key_start[first + i + 1] = n;
    }
}

// One layer on p->x, the rows first .. first + rows - 1 of the sequence.
static SeamStatus step_layer(const SeamText *t, SeamRun *run, int32_t l, int32_t first, int32_t rows, Past *p) {
    const SeamFusionLayer *layer = &t->layer[l];
    const SeamAttentionLayer *a = &layer->attention;
    int32_t w = t->width, n = first + rows, start[2] = {0, n};
    float *gate = p->gate[l] + (size_t)first * a->heads;
    SEAM_TRY(seam_norm_forward(&layer->norm1, run, rows, p->x, p->h, NULL, NULL));
    SEAM_TRY(seam_linear_forward(&a->qkv, run, rows, p->h, p->qkv[l] + (size_t)first * 3 * w));
    SEAM_TRY(seam_linear_forward(&a->gate, run, rows, p->h, gate));
    SEAM_TRY(run->kernels->sigmoid((size_t)rows * a->heads, gate, gate));
    SeamAttention attention = {.q = p->qkv[l], .k = p->qkv[l] + w, .v = p->qkv[l] + 2 * w, .ld = 3 * w, .gate = p->gate[l], .n = n, .heads = a->heads,
                               .head_dim = w / a->heads, .scale = 1.0f / sqrtf((float)(w / a->heads)), .seq_start = start, .seqs = 1,
                               .key_start = p->key_start, .key_index = p->key_index};
    SEAM_TRY(run->kernels->attention(&attention, p->mixed, NULL));
    SEAM_TRY(seam_linear_forward_add(&a->out, run, rows, p->mixed + (size_t)first * w, p->x));
    SEAM_TRY(seam_norm_forward(&layer->norm2, run, rows, p->x, p->h, NULL, NULL));
    SEAM_TRY(seam_linear_forward_gelu(&layer->up, run, rows, p->h, p->hidden, p->hidden));
    return seam_linear_forward_add(&layer->down, run, rows, p->hidden, p->x);
}

static SeamStatus step(const SeamText *t, SeamRun *run, int32_t first, int32_t rows, const Row *row, const float *said, Past *p) {
    set_keys(first, rows, p);
    SEAM_TRY(fill(t, run, rows, row, said, p->x));
    for (int32_t l = 0; l < t->depth; l++)
        SEAM_TRY(step_layer(t, run, l, first, rows, p));
    return SEAM_OK;
}

// The likeliest byte after the one row in p->x.
static SeamStatus read_byte(const SeamText *t, SeamRun *run, Past *p, uint8_t *byte) {
    SEAM_TRY(seam_norm_forward(&t->norm, run, 1, p->x, p->h, NULL, NULL));
    SEAM_TRY(seam_linear_forward(&t->head, run, 1, p->h, p->z));
    *byte = 0;
    for (int32_t b = 0; b < SEAM_TEXT_BYTES; b++)
        if (p->z[b] > p->z[*byte])
            *byte = (uint8_t)b;
    return SEAM_OK;
}

SeamStatus seam_text_write(const SeamText *t, SeamRun *run, const float *said, uint32_t present, const SeamFacts *facts, char text[SEAM_MAX_FINDING]) {
    size_t mark = seam_arena_mark(run->arena);
    Row row[PREFIX];
    Past p;
    uint8_t byte = 0;
    SEAM_TRY(alloc_past(t, run, &p));
    int32_t prefix = prefix_rows(t, facts, present, 0, row), i = 0;
    SEAM_TRY(step(t, run, 0, prefix, row, said, &p));
    for (; i < t->length; i++) {
        *row = byte_row(t, byte, i);
        SEAM_TRY(step(t, run, prefix + i, 1, row, said, &p));
        SEAM_TRY(read_byte(t, run, &p, &byte));
        if (byte == 0)
            break;
        text[i] = (char)byte;
    }
    text[i] = 0;
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}
