// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The options that hold records back, read and carried out.
#include "tools/parts.h"

#include <stdio.h>
#include <string.h>

// "2/5" to 2 and 5.
static bool parse_fold(const char *text, int32_t *fold, int32_t *folds) {
    char *end;
    gint64 k = g_ascii_strtoll(text, &end, 10), n = *end == '/' ? g_ascii_strtoll(end + 1, &end, 10) : 0;
    *fold = (int32_t)k;
    *folds = (int32_t)n;
    return *end == 0 && n >= 2 && n <= 1000 && k >= 1 && k <= n;
}

const char *seam_tool_parts_wrong(const char *fold, char *const *hold) {
    int32_t k, n;
    for (; hold && *hold; hold++)
        if (!strchr(*hold, '=') || **hold == '=')
            return "--hold must be COLUMN=VALUE";
    return fold && !parse_fold(fold, &k, &n) ? "--fold must be K/N, K from 1 to N, N from 2 to 1000" : NULL;
}

bool seam_tool_deal_parts(const char *fold, char *const *hold, const SeamRecipe *recipe, const SeamDataset *data, SeamPart *part, GError **error) {
    int32_t k, n;
    for (; hold && *hold; hold++) {
        g_auto(GStrv) pair = g_strsplit(*hold, "=", 2);
        if (!seam_split_hold(data, pair[0], pair[1], part, error))
            return false;
    }
    int32_t torn = seam_split_torn(data, part);
    if (torn > 0)
        fprintf(stderr, "%d groups stand on both sides of --hold\n", torn);
    if (fold && (!parse_fold(fold, &k, &n) || !seam_split_fold(data, n, k, recipe->train.seed, part, error)))
        return false;
    seam_dataset_split(data, recipe->validation, recipe->calibration, recipe->train.seed, part);
    return true;
}
