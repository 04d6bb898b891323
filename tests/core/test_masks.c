// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pictures with masks, from the folder to the figures: what is read for which picture, what a broken mask says, that nothing defective is
// trained on, and that a model taught by good pictures alone finds the pixels of a plain defect.
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/error.h"
#include "core/random.h"
#include "core/train/finish.h"
#include "core/train/image_folder.h"
#include "core/train/trainer.h"
#include "tests/remove.h"

enum { W = 40, H = 30, GOOD = 12, BAD = 4 };

static const char recipe_text[] =
    "{\"name\":\"masks\",\"config\":{\"layers\":1,\"mixer\":\"local\",\"fusion_layers\":0,"
    "\"modalities\":[{\"name\":\"photo\",\"front\":\"image\",\"channels\":1,\"size\":32,\"stem\":[16,96],"
    "\"normalise\":\"picture\",\"mean\":[64],\"std\":[32]}],"
    "\"classes\":[\"good\",\"hole\"],"
    "\"tasks\":[{\"name\":\"anomaly\",\"kind\":\"anomaly\",\"rank\":0,\"memory\":200,\"neighbours\":1,\"patches\":1}]},"
    "\"split\":{\"validation\":0,\"calibration\":0},\"train\":{\"steps\":0,\"good_only\":true}}";

typedef struct {
    char *folder;
} Fixture;

static char *path_of(const Fixture *f, const char *sub, int32_t i) {
    return g_strdup_printf("%s/%s/%02d.png", f->folder, sub, i);
}

static void write_picture(const Fixture *f, const char *sub, int32_t i, const uint8_t *pixels, int32_t h) {
    g_autofree char *path = path_of(f, sub, i);
    GError *error = NULL;
    seam_vision_write(path, pixels, W, h, 1, &error);
    g_assert_no_error(error);
}

// A seam down the middle, with noise; a bad one has a dark block on it, and its mask beside it. Each picture has another brightness.
static void write_one(const Fixture *f, int32_t i, bool bad, SeamRandom *random) {
    uint8_t pixels[W * H], mask[W * H];
    int32_t base = 90 + seam_random_below(random, 60), top = 5 + seam_random_below(random, 12);
    for (int32_t p = 0; p < W * H; p++) {
        bool seam = abs(p % W - W / 2) < 6, block = bad && seam && p / W >= top && p / W < top + 8;
        mask[p] = block ? 255 : 0;
        pixels[p] = (uint8_t)(base + (seam ? 30 : 0) - (block ? 60 : 0) + seam_random_below(random, 7));
    }
    write_picture(f, bad ? "hole" : "good", i, pixels, H);
    if (bad)
        write_picture(f, "masks", i, mask, H);
}

static void setup(Fixture *f, gconstpointer data) {
    static const char *const names[] = {"good", "hole", "masks"};
    SeamRandom random = seam_random(8, 8);
    f->folder = g_dir_make_tmp("seam-masks-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(f->folder, names[i], NULL);
        g_mkdir(path, 0777);
    }
    for (int32_t i = 0; i < GOOD; i++)
        write_one(f, i, false, &random); // the first ones have the names of bad ones: their pictures are good all the same
    for (int32_t i = 0; i < BAD; i++)
        write_one(f, i, true, &random);
}

static void teardown(Fixture *f, gconstpointer data) {
    remove_tree(f->folder);
    g_free(f->folder);
}

static SeamRecipe *recipe_new(void) {
    GError *error = NULL;
    SeamRecipe *recipe = seam_recipe_parse(recipe_text, "recipe", &error);
    g_assert_no_error(error);
    return recipe;
}

static SeamDataset *read_folder(const Fixture *f, const SeamRecipe *recipe, GError **error) {
    return seam_dataset_read(&recipe->config, f->folder, &(SeamDatasetOptions){0}, error);
}

static void test_read(Fixture *f, gconstpointer data) {
    GError *error = NULL;
    SeamRecipe *recipe = recipe_new();
    SeamDataset *d = read_folder(f, recipe, &error);
    int32_t masked = 0;
    g_assert_no_error(error);
    g_assert_cmpint(d->n, ==, GOOD + BAD); // masks/ is no class
    for (int32_t i = 0; i < d->n; i++) {
        const SeamRecord *r = &d->record[i];
        int32_t marked = 0;
        g_assert_true((r->mask != NULL) == r->defect);
        g_assert_true(r->stream[0].width == W && r->stream[0].height == H);
        for (int32_t p = 0; r->mask && p < W * H; p++)
            marked += r->mask[p] != 0;
        g_assert_cmpint(marked, ==, r->mask ? 8 * 11 : 0);
        masked += r->mask != NULL;
    }
    g_assert_cmpint(masked, ==, BAD);
    seam_dataset_free(d);
    seam_recipe_free(recipe);
}

// A picture without a mask is read all the same; a mask of another size, or one that is no picture, is an error that names it.
static void test_broken(Fixture *f, gconstpointer data) {
    GError *error = NULL;
    SeamRecipe *recipe = recipe_new();
    uint8_t pixels[W * H] = {0};
    g_autofree char *first = path_of(f, "masks", 0);
    g_unlink(first);
    SeamDataset *d = read_folder(f, recipe, &error);
    g_assert_no_error(error);
    seam_dataset_free(d);
    write_picture(f, "masks", 0, pixels, H - 1);
    g_assert_null(read_folder(f, recipe, &error));
    g_assert_nonnull(strstr(error->message, "masks/00.png: is 40x29, its picture 40x30"));
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(first, "no picture", -1, NULL));
    g_assert_null(read_folder(f, recipe, &error));
    g_assert_nonnull(strstr(error->message, "masks/00.png"));
    g_clear_error(&error);
    seam_recipe_free(recipe);
}

static void test_good_only(Fixture *f, gconstpointer data) {
    SeamRecipe *recipe = recipe_new();
    SeamDataset *d = read_folder(f, recipe, NULL);
    g_autofree SeamPart *part = g_new0(SeamPart, d->n);
    part[0] = SEAM_PART_VALIDATION;
    part[d->n - 1] = SEAM_PART_CALIBRATION;
    seam_dataset_good_only(d, part);
    for (int32_t i = 0; i < d->n; i++)
        g_assert_cmpint(part[i], ==, i == 0            ? SEAM_PART_VALIDATION
                                     : i == d->n - 1   ? SEAM_PART_CALIBRATION
                                     : d->record[i].defect ? SEAM_PART_UNUSED
                                                           : SEAM_PART_TRAIN);
    seam_dataset_free(d);
    seam_recipe_free(recipe);
}

// No step of training, no defective picture: the memory alone. Its map finds the block, whatever the brightness.
static void test_finds(Fixture *f, gconstpointer data) {
    GError *error = NULL;
    SeamRecipe *recipe = recipe_new();
    SeamDataset *d = read_folder(f, recipe, &error);
    g_autofree SeamPart *part = g_new0(SeamPart, d->n);
    g_autofree SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    g_autofree char *path = g_build_filename(f->folder, "m.seam", NULL);
    seam_dataset_good_only(d, part);
    SeamModel *model = seam_train(recipe, &recipe->config, d, part, seam_kernels_ref(), &(SeamTrainRun){0}, &error);
    g_assert_no_error(error);
    g_assert_true(seam_train_finish(model, recipe, d, part, seam_kernels_ref(), "test", path, e, &error));
    g_assert_no_error(error);
    seam_model_free(model);

    model = seam_model_load(path, &error);
    g_assert_no_error(error);
    SeamCalibration *calibration = seam_calibration_new();
    SeamEvaluateOptions options = {.model = model, .kernels = seam_kernels_ref(), .calibration = calibration, .weld = SEAM_WELD_OPTIONS_DEFAULT,
                                   .tasks = UINT32_MAX};
    g_assert_true(seam_evaluate(&options, d, &(SeamEvaluateWhat){.only = UINT32_MAX, .recall = 1}, e, &error));
    g_assert_no_error(error);
    g_assert_cmpint(e->pixels.masked, ==, BAD);
    g_assert_cmpint(e->pixels.good, ==, GOOD);
    g_assert_cmpint(e->pixels.regions, ==, BAD);
    if (g_test_verbose())
        g_test_message("pixel AUROC %.3f, AUPRO %.3f", e->pixels.auroc, e->pixels.aupro);
    g_assert_cmpfloat(e->pixels.auroc, >, 0.95);
    g_assert_cmpfloat(e->pixels.aupro, >, 0.8);
    JsonObject *o = seam_evaluation_print(e, &model->config);
    g_assert_cmpfloat(json_object_get_double_member(o, "pixel_auroc"), ==, e->pixels.auroc);
    g_assert_cmpfloat(json_object_get_double_member(o, "aupro"), ==, e->pixels.aupro);
    g_assert_true(json_object_has_member(json_object_get_object_member(o, "interval"), "aupro"));
    json_object_unref(o);
    seam_calibration_free(calibration);
    seam_model_free(model);
    seam_dataset_free(d);
    seam_recipe_free(recipe);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/masks/" name, Fixture, NULL, setup, function, teardown)
    ADD("read", test_read);
    ADD("broken", test_broken);
    ADD("good-only", test_good_only);
    ADD("finds", test_finds);
    return g_test_run();
}
