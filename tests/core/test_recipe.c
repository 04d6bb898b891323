// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Recipes: what is taken, what is filled in, and that whatever is misspelt, out of range or of the wrong type is refused with a message that
// names it.
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/error.h"
#include "core/train/recipe.h"

#define MODALITIES                                                                                                                            \
    "\"modalities\":[{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"channel_names\":[\"current\",\"flow\"],\"rate\":10,\"patch\":10," \
    "\"time_bins\":10,\"fft\":8,\"bands\":4,\"arc_channel\":0,\"mean\":[120,3],\"std\":[30,1]},"                                                 \
    "{\"name\":\"text\",\"front\":\"text\",\"buckets\":2048,\"ngram_min\":3,\"ngram_max\":5,\"max_tokens\":32,\"sparse\":true}]"
#define CONFIG "\"config\":{" MODALITIES ",\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":8}]}"

static SeamRecipe *parse(const char *text) {
    GError *error = NULL;
    SeamRecipe *r = seam_recipe_parse(text, "recipe", &error);
    g_assert_no_error(error);
    return r;
}

static void test_defaults(void) {
    SeamRecipe *r = parse("{\"name\":\"weld\"," CONFIG ",\"train\":{}}");
    g_assert_cmpstr(r->name, ==, "weld");
    g_assert_cmpint(r->config.dim, ==, 96); // nano
    g_assert_cmpint(r->config.n_modalities, ==, 2);
    g_assert_cmpint(r->train.steps, ==, 2000);
    g_assert_cmpint(r->train.batch, ==, 16);
    g_assert_cmpint(r->train.chunks, ==, 1);
    g_assert_cmpfloat(r->train.lr, ==, 1e-3);
    g_assert_cmpfloat(r->train.class_weight[1], ==, 1);
    g_assert_cmpuint(r->train.seed, ==, 1);
    g_assert_cmpint(r->pretrain.steps, ==, 0); // there is no such stage
    g_assert_cmpfloat(r->augment.modality_dropout, ==, 0.25);
    g_assert_false(r->augment.flip || r->augment.flip_vertical || r->augment.rotate || r->augment.erase > 0 || r->augment.colour > 0);
    g_assert_cmpfloat(r->validation, ==, 0.15);
    g_assert_cmpfloat(r->false_reject, ==, 0.005);
    g_assert_cmpfloat(r->top_fraction, ==, 0.25);
    g_assert_cmpfloat(r->augment.equaliser, ==, 0);
    g_assert_cmpfloat(r->augment.speed, ==, 0);
    g_assert_cmpuint(r->given_mean, ==, 1); // of the sensors
    g_assert_null(r->synth);
    seam_recipe_free(r);
}

static void test_given(void) {
    SeamRecipe *r = parse("{\"name\":\"weld\",\"_note\":\"a remark\",\"preset\":\"small\",\"synth\":{\"runs\":3}," CONFIG
                          ",\"split\":{\"by\":\"group\",\"validation\":0.2,\"calibration\":0,\"calibration_folds\":4,\"group\":\"day\",\"group_pattern\":\"^(lot[0-9]+)_\",\"near_duplicates\":true},"
                          "\"augment\":{\"flip\":true,\"flip_vertical\":true,\"rotate\":true,\"erase\":0.3,\"colour\":0.4,\"noise\":0,\"equaliser\":3,\"speed\":0.01,\"offset\":{\"flow\":2.5},\"_why\":1},"
                          "\"pretrain\":{\"batch\":3,\"mask\":0.75},"
                          "\"train\":{\"steps\":5,\"seed\":7,\"lr\":0.5,\"class_weights\":{\"porosity\":3}},"
                          "\"calibrate\":{\"false_reject\":0.1,\"miss\":0.2,\"top_fraction\":1}}");
    g_assert_cmpint(r->config.dim, ==, 192);
    g_assert_cmpint(json_object_get_int_member(r->synth, "runs"), ==, 3);
    g_assert_cmpfloat(r->validation, ==, 0.2);
    g_assert_cmpfloat(r->calibration, ==, 0);
    g_assert_cmpint(r->calibration_folds, ==, 4);
    g_assert_true(r->augment.flip && r->augment.flip_vertical && r->augment.rotate);
    g_assert_cmpfloat(r->augment.erase, ==, 0.3);
    g_assert_cmpfloat(r->augment.colour, ==, 0.4);
    g_assert_cmpstr(r->group, ==, "day");
    g_assert_cmpstr(r->group_pattern, ==, "^(lot[0-9]+)_");
    g_assert_true(r->near_duplicates);
    g_assert_cmpfloat(r->augment.noise, ==, 0);
    g_assert_cmpfloat(r->augment.offset[0][1], ==, 2.5);
    g_assert_cmpfloat(r->augment.offset[0][0], ==, 0);
    g_assert_cmpint(r->pretrain.steps, ==, 1000);
    g_assert_cmpint(r->pretrain.batch, ==, 3);
    g_assert_cmpfloat(r->pretrain.mask, ==, 0.75);
    g_assert_cmpfloat(r->pretrain.lr, ==, 1e-3);
    g_assert_cmpint(r->train.steps, ==, 5);
    g_assert_cmpuint(r->train.seed, ==, 7);
    g_assert_cmpfloat(r->train.class_weight[0], ==, 1);
    g_assert_cmpfloat(r->train.class_weight[1], ==, 3);
    g_assert_cmpfloat(r->miss, ==, 0.2);
    g_assert_cmpfloat(r->top_fraction, ==, 1);
    g_assert_cmpfloat(r->augment.equaliser, ==, 3);
    g_assert_cmpfloat(r->augment.speed, ==, 0.01);
    seam_recipe_free(r);
}

// The recipe's members of "config" go over the preset's.
static void test_over_preset(void) {
    SeamRecipe *r = parse("{\"name\":\"weld\",\"preset\":\"small\",\"config\":{\"layers\":2,\"fusion_width\":64," MODALITIES
                          ",\"classes\":[],\"tasks\":[]},\"train\":{}}");
    g_assert_cmpint(r->config.dim, ==, 192);
    g_assert_cmpint(r->config.layers, ==, 2);
    g_assert_cmpint(r->config.fusion_width, ==, 64);
    seam_recipe_free(r);
}

// The hash changes with every byte, for a checkpoint of another recipe must not be taken.
static void test_hash(void) {
    SeamRecipe *a = parse("{\"name\":\"weld\"," CONFIG ",\"train\":{}}"), *b = parse("{\"name\":\"weld\"," CONFIG ",\"train\":{}}");
    SeamRecipe *c = parse("{\"name\":\"weld\"," CONFIG ",\"train\":{ }}");
    g_assert_cmpuint(strlen(a->hash), ==, 16);
    g_assert_cmpstr(a->hash, ==, b->hash);
    g_assert_cmpstr(a->hash, !=, c->hash);
    seam_recipe_free(a);
    seam_recipe_free(b);
    seam_recipe_free(c);
}

typedef struct {
    const char *text, *says; // what the message must hold
} Wrong;

static void test_refuses(void) {
    static const Wrong wrong[] = {
        {"", "recipe"},
        {"[]", "recipe"},
        {"{" CONFIG ",\"train\":{}}", "name"},
        {"{\"name\":\"weld\",\"train\":{}}", "config"},
        {"{\"name\":\"weld\"," CONFIG "}", "train"},
        {"{\"name\":\"weld\",\"preset\":\"huge\"," CONFIG ",\"train\":{}}", "huge"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"trian\":{}}", "trian"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"stepps\":5}}", "stepps"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"steps\":-1}}", "steps"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"steps\":\"many\"}}", "steps"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"batch\":0}}", "batch"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"lr\":2}}", "lr"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"seed\":-1}}", "seed"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"class_weights\":{\"slag\":2}}}", "slag"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{\"class_weights\":{\"good\":-2}}}", "good"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"augment\":{\"flip\":1}}", "flip"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"augment\":{\"noise\":101}}", "noise"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"augment\":{\"erase\":1.5}}", "erase"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"augment\":{\"colour\":-1}}", "colour"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"pretrain\":{\"mask\":1}}", "mask"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"pretrain\":{\"masks\":0.5}}", "masks"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"augment\":{\"rotate\":90}}", "rotate"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"augment\":{\"offset\":{\"voltage\":1}}}", "voltage"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"by\":\"run\"}}", "by"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"validation\":0.5}}", "validation"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"test\":0.1}}", "test"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"calibration_folds\":4}}", "\"calibration\" must be 0"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"calibration\":0,\"calibration_folds\":1}}", "at least 2"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"group_pattern\":\"^lot\"}}", "no parenthesis"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"group_pattern\":\"^(lot\"}}", "group_pattern"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"split\":{\"near_duplicates\":6}}", "near_duplicates"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"calibrate\":{\"miss\":0}}", "miss"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"calibrate\":{\"top_fraction\":0}}", "top_fraction"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"augment\":{\"speed\":0.5}}", "speed"},
        {"{\"name\":\"weld\"," CONFIG ",\"train\":{},\"calibrate\":{\"alpha\":0.1}}", "alpha"},
        {"{\"name\":\"weld\",\"config\":{\"dim\":97," MODALITIES ",\"classes\":[],\"tasks\":[]},\"train\":{}}", "heads"},
        {"{\"name\":\"weld\",\"config\":{\"dimm\":96," MODALITIES ",\"classes\":[],\"tasks\":[]},\"train\":{}}", "dimm"},
        {"{\"name\":\"weld\",\"config\":{\"classes\":[],\"tasks\":[]},\"train\":{}}", "modalities"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        GError *error = NULL;
        g_assert_null(seam_recipe_parse(wrong[i].text, "recipe", &error));
        if (!error || !strstr(error->message, wrong[i].says) || !strstr(error->message, "recipe"))
            g_error("%s: the message is \"%s\", must name \"%s\"", wrong[i].text, error ? error->message : "", wrong[i].says);
        g_assert_null(strchr(error->message, '\n'));
        g_clear_error(&error);
    }
}

// Every recipe that is shipped can be read.
static void test_shipped(void) {
    const char *root = g_getenv("SEAM_SOURCE_ROOT");
    g_autofree char *pipelines = g_build_filename(root ? root : ".", "pipelines", NULL);
    GDir *dir = g_dir_open(pipelines, 0, NULL);
    int32_t read = 0;
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *folder = g_build_filename(pipelines, name, NULL);
        GDir *inner = g_dir_open(folder, 0, NULL);
        for (const char *file; inner && (file = g_dir_read_name(inner));) {
            g_autofree char *path = g_build_filename(folder, file, NULL);
            if (!g_str_has_suffix(file, ".json"))
                continue;
            GError *error = NULL;
            SeamRecipe *r = seam_recipe_read(path, &error);
            g_assert_no_error(error);
            seam_recipe_free(r);
            read++;
        }
        g_clear_pointer(&inner, g_dir_close);
    }
    g_clear_pointer(&dir, g_dir_close);
    if (read == 0)
        g_test_skip("no pipelines here");
}

static void test_file(void) {
    GError *error = NULL;
    g_autofree char *path = NULL;
    int file = g_file_open_tmp("seam-recipe-XXXXXX.json", &path, &error);
    g_assert_no_error(error);
    g_close(file, NULL);
    g_assert_true(g_file_set_contents(path, "{\"name\":\"weld\"," CONFIG ",\"train\":{\"lr\":7}}", -1, &error));
    g_assert_null(seam_recipe_read(path, &error));
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "{\"name\":\"weld\"," CONFIG ",\"train\":{}}", -1, &error));
    SeamRecipe *r = seam_recipe_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(r->path, ==, path);
    seam_recipe_free(r);
    g_unlink(path);
    g_assert_null(seam_recipe_read(path, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recipe/defaults", test_defaults);
    g_test_add_func("/recipe/given", test_given);
    g_test_add_func("/recipe/over-preset", test_over_preset);
    g_test_add_func("/recipe/hash", test_hash);
    g_test_add_func("/recipe/refuses", test_refuses);
    g_test_add_func("/recipe/shipped", test_shipped);
    g_test_add_func("/recipe/file", test_file);
    return g_test_run();
}
