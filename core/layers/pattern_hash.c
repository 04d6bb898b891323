// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Locality-sensitive hashing of tokens (Kitaev 2020, "Reformer", sec. 2).
//
// A digit of a token's bucket says along which of 8 random directions, forth or back, it lies farthest: one of 16 (Andoni 2015, "Practical and optimal
// LSH for angular distance", the cross-polytope hash; Reformer takes one digit of n / bucket values instead, whose product costs n^2). As many
// digits as give buckets of the size asked for, log16(n / size): a product with 8 log16(n / size) directions and as many passes of a counting
// sort, O(n log n). Directions are signs (Achlioptas 2003, "Database-friendly random projections"), which one draw gives 64 of. The mean of
// a sequence is taken off first: tokens share a common part, by which they would all be alike.
//
// Pattern: the tokens of a sequence, sorted by bucket and then place, are cut into runs of m; a token of run c attends to the runs c - 1 and c
// (Reformer, sec. 2, "chunks"). Several rounds with directions of their own: the union of their keys, one softmax over all of them.
#include "core/layers/pattern_hash.h"

#include <math.h>
#include <string.h>

#include "core/random.h"

enum { DIRECTIONS = 8, DIGIT_BITS = 4, MOST_DIGITS = 8, SIDES = 2 * DIRECTIONS };

// ---- buckets ------------------------------------------------------------------------------------

// Digits that n tokens need for buckets of `size`.
static int32_t digits_of(int32_t n, int32_t size) {
    int32_t digits = 1;
    for (int64_t buckets = SIDES; buckets * size < n && digits < MOST_DIGITS; buckets *= SIDES)
        digits++;
    return digits;
}

static int32_t longest_of(const SeamPattern *sequences) {
    int32_t longest = 0;
    for (int32_t s = 0; s < sequences->seqs; s++)
        longest = MAX(longest, sequences->seq_start[s + 1] - sequences->seq_start[s]);
    return longest;
}

// signs [size]: 1 or -1, a function of the stream.
static void draw_signs(uint64_t stream, size_t size, float *signs) {
    SeamRandom random = seam_random(0, stream);
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++, bits >>= 1) {
        if (i % 64 == 0)
            bits = seam_random_bits(&random);
        signs[i] = bits & 1 ? 1.0f : -1.0f;
    }
}

// Takes the mean of the rows first .. end - 1 off them; columns at most MOST_DIGITS * DIRECTIONS.
static void centre(int32_t first, int32_t end, int32_t columns, float *x) {
    double mean[MOST_DIGITS * DIRECTIONS] = {0};
    for (int32_t i = first; i < end; i++)
        for (int32_t c = 0; c < columns; c++)
            mean[c] += (double)x[(size_t)i * columns + c] / (end - first);
    for (int32_t i = first; i < end; i++)
        for (int32_t c = 0; c < columns; c++)
            x[(size_t)i * columns + c] -= (float)mean[c];
}

// Where along DIRECTIONS projections a token lies farthest, 0 .. SIDES - 1. NaN is never farthest.
static uint32_t digit_of(const float *along) {
    uint32_t best = 0;
    float most = -1;
    for (uint32_t d = 0; d < DIRECTIONS; d++)
        if (fabsf(along[d]) > most) {
            most = fabsf(along[d]);
            best = 2 * d + (along[d] < 0);
        }
    return best;
}

// order [n]: the numbers first .. first + n - 1 by code, equal ones by number: counting sorts from the lowest digit up. tmp [n].
static void sort_by_code(const uint32_t *code, int32_t first, int32_t n, int32_t digits, int32_t *order, int32_t *tmp) {
    int32_t *from = digits % 2 ? tmp : order, *to = digits % 2 ? order : tmp; // the last pass ends in order
    for (int32_t i = 0; i < n; i++)
        from[i] = first + i;
    for (int32_t digit = 0; digit < digits; digit++) {
        int32_t start[SIDES + 1] = {0}, shift = digit * DIGIT_BITS, *swap = from;
        for (int32_t i = 0; i < n; i++)
            start[(code[from[i]] >> shift & (SIDES - 1)) + 1]++;
        for (int32_t b = 0; b < SIDES; b++)
            start[b + 1] += start[b];
        for (int32_t i = 0; i < n; i++)
            to[start[code[from[i]] >> shift & (SIDES - 1)]++] = from[i];
        from = to;
        to = swap;
    }
}

SeamStatus seam_buckets_sort(SeamRun *run, const SeamPattern *sequences, int32_t dim, const float *x, int32_t size, uint64_t stream, SeamBuckets *out) {
    int32_t n = sequences->n, columns = digits_of(longest_of(sequences), size) * DIRECTIONS;
    out->code = SEAM_NEW0(run->arena, uint32_t, n);
    out->order = SEAM_NEW(run->arena, int32_t, n);
    size_t mark = seam_arena_mark(run->arena);
    float *signs = SEAM_NEW(run->arena, float, (size_t)dim * columns), *along = SEAM_NEW(run->arena, float, (size_t)n * columns);
    int32_t *tmp = SEAM_NEW(run->arena, int32_t, n);
    if (!out->code || !out->order || !signs || !along || !tmp)
        return SEAM_NO_MEMORY;
    draw_signs(stream, (size_t)dim * columns, signs);
    SEAM_TRY(run->kernels->gemm(false, false, n, columns, dim, x, dim, signs, columns, 0, along, columns));
    for (int32_t s = 0; s < sequences->seqs; s++) {
        int32_t first = sequences->seq_start[s], end = sequences->seq_start[s + 1], digits = digits_of(end - first, size);
        centre(first, end, columns, along);
        for (int32_t i = first; i < end; i++)
            for (int32_t d = 0; d < digits; d++)
                out->code[i] |= digit_of(along + (size_t)i * columns + d * DIRECTIONS) << d * DIGIT_BITS;
        sort_by_code(out->code, first, end - first, digits, out->order + first, tmp);
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_buckets_bytes(int32_t n, int32_t dim, int32_t size) {
    size_t word = sizeof(float), columns = (size_t)digits_of(n, size) * DIRECTIONS;
    return 3 * seam_arena_bytes((size_t)n, word) + seam_arena_bytes((size_t)dim * columns, word) + seam_arena_bytes((size_t)n * columns, word);
}

// ---- runs ---------------------------------------------------------------------------------------

// One round: the run of each token, and what the tokens of a run see, rising. A run and the one before it: 2 n in all.
typedef struct {
    int32_t *run;   // [n] of each token
    int32_t *first; // [runs + 1] into seen; runs <= n
    int32_t *seen;  // [2 n]
} Round;

// a and b rise; returns how many numbers they have together, each once.
static int32_t merge(const int32_t *a, int32_t na, const int32_t *b, int32_t nb, int32_t *out) {
    int32_t n = 0, i = 0, j = 0;
    while (i < na && j < nb) {
        int32_t next = MIN(a[i], b[j]);
        i += a[i] == next;
        j += b[j] == next;
        out[n++] = next;
    }
    memcpy(out + n, a + i, (size_t)(na - i) * sizeof *out);
    memcpy(out + n + na - i, b + j, (size_t)(nb - j) * sizeof *out);
    return n + na - i + nb - j;
}

// member [n]: the tokens of each run, rising, in the rows of the run in bucket order; fill [runs] scratch.
static int32_t list_members(const SeamPattern *dense, int32_t bucket, const int32_t *order, Round *r, int32_t *member, int32_t *fill) {
    int32_t runs = 0;
    for (int32_t s = 0; s < dense->seqs; s++) {
        int32_t first = dense->seq_start[s], n = dense->seq_start[s + 1] - first;
        for (int32_t i = 0; i < n; i++) {
            if (i % bucket == 0)
                fill[runs++] = first + i;
            r->run[order[first + i]] = runs - 1;
        }
    }
    for (int32_t i = 0; i < dense->n; i++)
        member[fill[r->run[i]]++] = i;
    return runs;
}

// Fills first and seen. fill: the ends of the runs in member.
static void list_seen(const SeamPattern *dense, int32_t bucket, const int32_t *member, const int32_t *fill, Round *r) {
    int32_t run = 0, total = 0;
    for (int32_t s = 0; s < dense->seqs; s++) {
        int32_t first = dense->seq_start[s];
        for (int32_t at = first; at < dense->seq_start[s + 1]; at = fill[run++]) {
            int32_t before = MIN(bucket, at - first);
            r->first[run] = total;
            total += merge(member + at - before, before, member + at, fill[run] - at, r->seen + total);
        }
    }
    r->first[run] = total;
}

static SeamStatus deal_round(const SeamHash *hash, SeamRun *run, const SeamPattern *dense, const float *x, int32_t number, Round *r) {
    size_t n = (size_t)dense->n;
    r->run = SEAM_NEW(run->arena, int32_t, n);
    r->first = SEAM_NEW(run->arena, int32_t, n + 1);
    r->seen = SEAM_NEW(run->arena, int32_t, 2 * n);
    size_t mark = seam_arena_mark(run->arena);
    int32_t *member = SEAM_NEW(run->arena, int32_t, n), *fill = SEAM_NEW(run->arena, int32_t, n);
    SeamBuckets buckets;
    if (!r->run || !r->first || !r->seen || !member || !fill)
        return SEAM_NO_MEMORY;
    SEAM_TRY(seam_buckets_sort(run, dense, hash->dim, x, hash->bucket, hash->stream + (uint64_t)number, &buckets));
    list_members(dense, hash->bucket, buckets.order, r, member, fill);
    list_seen(dense, hash->bucket, member, fill, r);
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

// ---- the pattern --------------------------------------------------------------------------------

static int32_t most_keys(const SeamHash *hash, int32_t n) {
    return (int32_t)MIN((int64_t)2 * hash->bucket * hash->rounds, n);
}

SeamHash seam_hash_of(const SeamConfig *config, int32_t layer) {
    g_autofree char *name = g_strdup_printf("encoder.%d.hash", layer);
    return (SeamHash){.dim = config->dim, .bucket = config->hash_bucket, .rounds = config->hash_rounds, .causal = config->hash_causal,
                      .stream = seam_random_hash(name)};
}

// The keys of token i into out, with room for all of its runs; spare alike. Returns their number.
static int32_t list_keys(const SeamHash *hash, const Round *round, int32_t i, int32_t *out, int32_t *spare) {
    int32_t *list = out, *next = spare, n = 0;
    for (int32_t r = 0; r < hash->rounds; r++) {
        const int32_t *first = round[r].first + round[r].run[i], *seen = round[r].seen + first[0];
        int32_t *swap = list, count = first[1] - first[0];
        while (hash->causal && seen[count - 1] > i) // the token itself is among them
            count--;
        n = merge(list, n, seen, count, next);
        list = next;
        next = swap;
    }
    if (list != out)
        memcpy(out, list, (size_t)n * sizeof *out);
    return n;
}

SeamStatus seam_pattern_hash(const SeamHash *hash, SeamRun *run, const SeamPattern *dense, const float *x, SeamPattern *out) {
    size_t n = (size_t)dense->n, room = (size_t)2 * hash->bucket * hash->rounds, most = n * (size_t)most_keys(hash, longest_of(dense));
    Round *round;
    if (most > INT32_MAX)
        return SEAM_BAD_SHAPE;
    *out = (SeamPattern){.n = dense->n, .seqs = dense->seqs, .seq_start = dense->seq_start, .size = dense->size};
    out->key_start = SEAM_NEW0(run->arena, int32_t, n + 1);
    out->key_index = SEAM_NEW(run->arena, int32_t, most);
    size_t mark = seam_arena_mark(run->arena);
    round = SEAM_NEW(run->arena, Round, hash->rounds);
    int32_t *list = SEAM_NEW(run->arena, int32_t, 2 * room);
    if (!out->key_start || !out->key_index || !round || !list)
        return SEAM_NO_MEMORY;
    for (int32_t r = 0; r < hash->rounds; r++)
        SEAM_TRY(deal_round(hash, run, dense, x, r, &round[r]));
    for (int32_t i = 0; i < dense->n; i++) {
        int32_t keys = list_keys(hash, round, i, list, list + room);
        memcpy(out->key_index + out->key_start[i], list, (size_t)keys * sizeof *list);
        out->key_start[i + 1] = out->key_start[i] + keys;
    }
    seam_arena_release(run->arena, mark);
    return SEAM_OK;
}

size_t seam_pattern_hash_bytes(const SeamHash *hash, int32_t n, size_t *pattern) {
    size_t word = sizeof(int32_t), tokens = seam_arena_bytes((size_t)n, word), rounds = (size_t)hash->rounds;
    size_t each = tokens + seam_arena_bytes((size_t)n + 1, word) + seam_arena_bytes(2 * (size_t)n, word);
    *pattern = seam_arena_bytes((size_t)n + 1, word) + seam_arena_bytes((size_t)n * (size_t)most_keys(hash, n), word);
    return rounds * each + seam_arena_bytes(rounds, sizeof(Round)) + seam_arena_bytes(4 * (size_t)hash->bucket * rounds, word) + 2 * tokens +
           seam_buckets_bytes(n, hash->dim, hash->bucket);
}
