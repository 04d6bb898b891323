// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a recipe. What is accepted must be safe to train by: a valid configuration, and every number within its limits.
#include <glib.h>
#include <string.h>

#include "core/train/recipe.h"
#include "tests/fuzz/fuzz.h"

static void check_numbers(const SeamRecipe *r) {
    const SeamTrainOptions *t = &r->train;
    const SeamAugment *a = &r->augment;
    g_assert_true(t->steps >= 0 && t->batch >= 1 && t->chunks >= 1 && t->frames >= 1 && t->eval_frames >= 0);
    g_assert_true(t->lr > 0 && t->warmup >= 0 && t->clip > 0 && t->ema >= 0 && t->ema < 1 && t->positive >= 1);
    g_assert_true(t->good_share >= 0 && t->good_share <= 1 && t->video_rate >= 0 && t->group_power >= 0 && t->group_power <= 1);
    g_assert_true(a->noise >= 0 && a->shift >= 0 && a->scale >= 0 && a->time_shift <= 0.5 && a->channel_dropout < 1 && a->modality_dropout < 1 &&
                  a->erase >= 0 && a->erase <= 1 && a->colour >= 0 && a->colour <= 1);
    g_assert_true(r->pretrain.steps >= 0 && r->pretrain.batch >= 1 && r->pretrain.mask > 0 && r->pretrain.mask < 1 && r->pretrain.lr > 0);
    g_assert_true(r->validation >= 0 && r->calibration >= 0 && r->validation + r->calibration < 1);
    g_assert_true(r->false_reject > 0 && r->false_reject <= 0.5 && r->miss > 0 && r->miss <= 0.5);
    for (int32_t c = 0; c < r->config.n_classes; c++)
        g_assert_true(t->class_weight[c] >= 0 && t->class_weight[c] <= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    SeamRecipe *r = seam_recipe_parse(text, "fuzz", &error);
    if (!r) {
        g_assert_nonnull(error);
        return 0;
    }
    g_assert_true(seam_config_validate(&r->config, "fuzz", &error));
    check_numbers(r);
    seam_recipe_free(r);
    return 0;
}

static const char whole[] =
    "{\"name\":\"weld\",\"preset\":\"nano\",\"_note\":\"a remark\",\"synth\":{\"runs\":3},\"config\":{\"layers\":2,\"modalities\":["
    "{\"name\":\"video\",\"front\":\"image\",\"channels\":1,\"size\":64,\"stem\":[12,24,48,96]},"
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"channel_names\":[\"current\",\"flow\"],\"rate\":10,\"patch\":10,\"time_bins\":10,"
    "\"fft\":8,\"bands\":4,\"arc_channel\":0,\"mean\":[120,3],\"std\":[30,1]}],\"classes\":[\"good\",\"porosity\"],"
    "\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":8}]},\"split\":{\"by\":\"group\",\"validation\":0.2,\"calibration\":0.1,\"group\":\"day\",\"group_pattern\":\"^(lot[0-9]+)_\",\"near_duplicates\":true},"
    "\"augment\":{\"flip\":true,\"flip_vertical\":true,\"rotate\":true,\"erase\":0.25,\"noise\":4,\"gain\":0.1,\"offset\":{\"flow\":2.5}},"
    "\"pretrain\":{\"steps\":3,\"batch\":2,\"mask\":0.6,\"lr\":0.001,\"warmup\":1},"
    "\"train\":{\"steps\":5,\"batch\":2,\"lr\":0.5,\"seed\":7,\"class_weights\":{\"porosity\":3}},\"calibrate\":{\"false_reject\":0.1,\"miss\":0.2},\"card\":{\"data\":\"welds\"}}";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{whole, sizeof whole - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
