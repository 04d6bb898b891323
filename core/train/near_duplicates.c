// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Groups as sets that are joined (union-find): near duplicates of near duplicates are of one group too, and so is all that their groups held before.
#include "core/train/near_duplicates.h"

enum { ACROSS = 9, DOWN = 8 };

uint64_t seam_difference_hash(const uint8_t *pixels, int32_t size, int32_t channels, bool mirrored) {
    uint64_t hash = 0;
    for (int32_t r = 0; r < DOWN; r++) {
        double mean[ACROSS];
        int32_t top = r * size / DOWN, bottom = MAX((r + 1) * size / DOWN, top + 1);
        for (int32_t c = 0; c < ACROSS; c++) {
            int32_t left = c * size / ACROSS, right = MAX((c + 1) * size / ACROSS, left + 1);
            int64_t sum = 0;
            for (int32_t y = top; y < bottom; y++)
                for (int32_t i = left * channels; i < right * channels; i++)
                    sum += pixels[(size_t)y * size * channels + i];
            mean[mirrored ? ACROSS - 1 - c : c] = (double)sum / ((double)(bottom - top) * (right - left));
        }
        for (int32_t c = 0; c + 1 < ACROSS; c++)
            hash = hash << 1 | (mean[c + 1] > mean[c]);
    }
    return hash;
}

typedef struct {
    bool known;
    uint64_t plain, mirrored;
} Hash;

static Hash record_hash(const SeamRecord *record, const SeamConfig *config) {
    for (int32_t m = 0; m < config->n_modalities; m++) {
        const SeamModality *modality = &config->modality[m];
        const SeamStream *s = &record->stream[m];
        if (modality->front == SEAM_FRONT_IMAGE && s->pictures > 0)
            return (Hash){true, seam_difference_hash(s->pixels, modality->image.size, modality->channels, false),
                          seam_difference_hash(s->pixels, modality->image.size, modality->channels, true)};
    }
    return (Hash){0};
}

static bool near(const Hash *a, const Hash *b) {
    return a->known && b->known &&
           (__builtin_popcountll(a->plain ^ b->plain) <= SEAM_NEAR_BITS || __builtin_popcountll(a->plain ^ b->mirrored) <= SEAM_NEAR_BITS);
}

static int32_t root(int32_t *parent, int32_t i) {
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

// The lower number stays the root, so that a joined group has the name of its first record's.
static void join(int32_t *parent, int32_t a, int32_t b) {
    int32_t x = root(parent, a), y = root(parent, b);
    parent[MAX(x, y)] = MIN(x, y);
}

static void join_groups(const SeamDataset *d, int32_t *parent) {
    g_autoptr(GHashTable) first = g_hash_table_new(g_str_hash, g_str_equal);
    for (int32_t i = 0; i < d->n; i++) {
        gpointer at;
        if (g_hash_table_lookup_extended(first, d->record[i].group, NULL, &at))
            join(parent, GPOINTER_TO_INT(at), i);
        else
            g_hash_table_insert(first, d->record[i].group, GINT_TO_POINTER(i));
    }
}

int32_t seam_join_near_duplicates(SeamDataset *d, const SeamConfig *config) {
    g_autofree int32_t *parent = g_new(int32_t, d->n + 1);
    g_autofree Hash *hash = g_new(Hash, d->n + 1);
    int32_t groups = 0;
    for (int32_t i = 0; i < d->n; i++) {
        parent[i] = i;
        hash[i] = record_hash(&d->record[i], config);
    }
    join_groups(d, parent);
    for (int32_t i = 0; i < d->n; i++)
        for (int32_t j = 0; j < i; j++)
            if (near(&hash[i], &hash[j]))
                join(parent, i, j);
    for (int32_t i = 0; i < d->n; i++) {
        int32_t to = root(parent, i);
        groups += to == i;
        if (to != i) {
            g_free(d->record[i].group);
            d->record[i].group = g_strdup(d->record[to].group);
        }
    }
    return groups;
}
