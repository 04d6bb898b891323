// SPDX-License-Identifier: LGPL-2.1-or-later
//
// C-MAPSS text: what is read, how records lie on the grid of windows, which engines teach and which measure, and what is refused. At the end a small
// model learns lives made here, and its intervals hold.
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/random.h"
#include "core/train/cmapss.h"
#include "core/train/finish.h"
#include "core/train/split.h"
#include "core/train/trainer.h"

static char *folder;

static const char recipe_text[] =
    "{\"name\":\"tiny\",\"config\":{\"dim\":16,\"layers\":1,\"heads\":2,\"experts\":2,\"groups\":1,\"groups_kept\":1,\"top_k\":1,\"expert_width\":16,"
    "\"router_rank\":2,\"mixer\":\"global\",\"fusion_layers\":0,\"window\":40,"
    "\"modalities\":[{\"name\":\"engine\",\"front\":\"sensor\",\"channels\":2,\"columns\":[4,3],\"rate\":1,\"patch\":10,\"time_bins\":2,\"fft\":0,\"bands\":0,"
    "\"arc_channel\":-1,\"together\":true}],\"classes\":[],\"tasks\":[{\"name\":\"rul\",\"kind\":\"rul\",\"rank\":0,\"limit\":60,\"bins\":12}]},"
    "\"split\":{\"validation\":0.25,\"calibration\":0.3},"
    "\"augment\":{\"gain\":0,\"sensor_noise\":0,\"time_shift\":0,\"channel_dropout\":0,\"modality_dropout\":0,\"alone\":0},"
    "\"train\":{\"steps\":150,\"batch\":16,\"lr\":0.01,\"warmup\":10,\"ema\":0.95,\"seed\":3}}";

static SeamRecipe *new_recipe(void) {
    GError *error = NULL;
    SeamRecipe *recipe = seam_recipe_parse(recipe_text, "test", &error);
    g_assert_no_error(error);
    return recipe;
}

// ---- folders -------------------------------------------------------------------------------------------------------------------

static char *path_of(const char *name) {
    return g_build_filename(folder, name, NULL);
}

static void write_file(const char *name, const char *text) {
    g_autofree char *path = path_of(name);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void empty(void) {
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = path_of(name);
        g_remove(path);
    }
    g_dir_close(dir);
}

// Rows "unit cycle 100*unit+cycle cycle", as many as each life says.
static void write_engines(const char *name, int32_t n, const int32_t *life) {
    g_autoptr(GString) text = g_string_new(NULL);
    for (int32_t u = 0; u < n; u++)
        for (int32_t c = 1; c <= life[u]; c++)
            g_string_append_printf(text, "%d %d %d %d  \n", u + 1, c, 100 * (u + 1) + c, c);
    write_file(name, text->str);
}

static SeamDataset *read_folder(const SeamConfig *config, bool learn, GError **error) {
    SeamDatasetOptions options = {.learn = learn};
    return seam_dataset_read(config, folder, &options, error);
}

// ---- reading -------------------------------------------------------------------------------------------------------------------

// Tests: one record an engine, its last cycle at the end of a window, nothing before its first.
static void test_tests(void) {
    SeamRecipe *recipe = new_recipe();
    GError *error = NULL;
    empty();
    write_engines("test_FD001.txt", 2, (const int32_t[]){3, 41});
    write_engines("train_FD001.txt", 1, (const int32_t[]){200});
    write_file("RUL_FD001.txt", "112\n 98 \n");
    SeamDataset *d = read_folder(&recipe->config, false, &error);
    g_assert_no_error(error);
    g_assert_cmpint(d->kind, ==, SEAM_DATA_CMAPSS);
    g_assert_cmpint(d->n, ==, 2);
    const SeamRecord *a = &d->record[0], *b = &d->record[1];
    g_assert_true(a->has_remaining && a->use == SEAM_USE_ALL);
    g_assert_cmpfloat(a->remaining, ==, 112);
    g_assert_cmpstr(b->group, ==, "2");
    g_assert_cmpint(a->stream[0].samples, ==, 40);
    g_assert_cmpint(b->stream[0].samples, ==, 80);
    g_assert_cmpfloat(b->arc_start, ==, 39);
    g_assert_cmpfloat(b->arc_end, ==, 80);
    g_assert_true(isnan(a->stream[0].x[36 * 2]));
    g_assert_cmpfloat(a->stream[0].x[37 * 2], ==, 1); // column 4 is the first channel
    g_assert_cmpfloat(a->stream[0].x[39 * 2 + 1], ==, 103);
    g_assert_cmpfloat(b->stream[0].x[79 * 2 + 1], ==, 241);
    seam_dataset_free(d);
    seam_recipe_free(recipe);
}

// Training: each engine whole, to teach, and cut, to measure; a short one is not cut. Measuring without tests: the same cuts.
static void test_lives(void) {
    SeamRecipe *recipe = new_recipe();
    GError *error = NULL;
    empty();
    write_engines("train_FD001.txt", 3, (const int32_t[]){200, 36, 60});
    SeamDataset *learn = read_folder(&recipe->config, true, &error), *judge = read_folder(&recipe->config, false, &error);
    g_assert_no_error(error);
    g_assert_cmpint(learn->n, ==, 3 + 20);
    g_assert_cmpint(judge->n, ==, 20);
    int32_t cut = 0;
    for (int32_t i = 0; i < learn->n; i++) {
        const SeamRecord *r = &learn->record[i];
        int32_t life = (const int32_t[]){200, 36, 60}[*r->group - '1'], seen = (int32_t)(r->arc_end - r->arc_start);
        g_assert_cmpint(seen + (int32_t)r->remaining, ==, life);
        g_assert_cmpint((int32_t)r->arc_end % 40, ==, 0);
        if (r->use == SEAM_USE_TRAINING) {
            g_assert_cmpint(seen, ==, life);
            continue;
        }
        g_assert_cmpint(r->use, ==, SEAM_USE_MEASURING);
        g_assert_true(r->remaining >= 7 && r->remaining <= 145 && seen >= 31);
        g_assert_cmpfloat(judge->record[cut].remaining, ==, r->remaining);
        g_assert_cmpstr(judge->record[cut].group, ==, r->group);
        g_assert_cmpint(judge->record[cut++].use, ==, SEAM_USE_ALL);
    }
    SeamPart part[23];
    seam_dataset_split(learn, 0.3, 0.3, 1, part);
    for (int32_t i = 1; i < 23; i++)
        for (int32_t j = 0; j < i; j++)
            g_assert_true(part[i] == part[j] || strcmp(learn->record[i].group, learn->record[j].group) != 0);
    seam_dataset_free(learn);
    seam_dataset_free(judge);
    seam_recipe_free(recipe);
}

static const struct {
    const char *train, *test, *rul;
    bool learn;
    const char *message;
} refused[] = {
    {"1 1 5 6\n1 2 5\n", NULL, NULL, true, "train_FD001.txt: line 2: has 3 columns, must have 4"},
    {"1 1 5 6\n1 2 5 x7\n", NULL, NULL, true, "line 2: column 4 is not a number"},
    {"1 1 5 6\n1 2 5 7e\n", NULL, NULL, true, "line 2: column 4 is not a number"},
    {"1 1 5 6\n1 2 5 inf\n", NULL, NULL, true, "line 2: column 4 is not a number"},
    {"1 1 5 6\n1 3 5 6\n", NULL, NULL, true, "line 2: is cycle 3 of unit 1, must be cycle 2"},
    {"1 1 5 6\n2 1 5 6\n1 2 5 6\n", NULL, NULL, true, "line 3: is of unit 1, whose rows ended before"},
    {"0 1 5 6\n", NULL, NULL, true, "line 1: begins with 0 1"},
    {"1.5 1 5 6\n", NULL, NULL, true, "line 1: begins with 1.5 1"},
    {"1 1\n", NULL, NULL, true, "line 1: has 2 columns, must have 3"},
    {"1 1 5\n", NULL, NULL, true, "has 3 columns, channel 1 of \"engine\" is column 4"},
    {"\n\n", NULL, NULL, true, "holds no rows"},
    {NULL, "1 1 5 6\n", "3\n", true, "has no train_FDn.txt to learn from"},
    {NULL, "1 1 5 6\n", NULL, false, "RUL_FD001.txt"},
    {NULL, "1 1 5 6\n2 1 5 6\n", "3\n", false, "has 1 lines, must have one for each of the 2 units"},
    {NULL, "1 1 5 6\n3 1 5 6\n", "3\n4\n5\n", false, "has 3 lines, must have one for each of the 2 units of"},
    {NULL, "1 1 5 6\n3 1 5 6\n", "3\n4\n5\n", false, ": unit 2 is missing"},
    {NULL, "1 1 5 6\n", "-1\n", false, "RUL_FD001.txt: line 1: is -1"},
    {NULL, "1 1 5 6\n", "\n", false, "RUL_FD001.txt: holds no lives"},
    {NULL, "1 1 5 6\n", "3 4\n", false, "RUL_FD001.txt: line 1: has more than 1 columns"},
};

static void test_refused(void) {
    SeamRecipe *recipe = new_recipe();
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        empty();
        if (refused[i].train)
            write_file("train_FD001.txt", refused[i].train);
        if (refused[i].test)
            write_file("test_FD001.txt", refused[i].test);
        if (refused[i].rul)
            write_file("RUL_FD001.txt", refused[i].rul);
        g_assert_null(read_folder(&recipe->config, refused[i].learn, &error));
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, refused[i].message));
    }
    empty();
    write_file("train_FD001.txt", "1 1 5 6\n");
    write_file("train_FD003.txt", "1 1 5 6\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(read_folder(&recipe->config, true, &error));
    g_assert_nonnull(strstr(error->message, "holds 2 sets (train_FD001.txt, train_FD003.txt"));
    recipe->config.modality[0].sensor.rate = 2;
    g_clear_error(&error);
    empty();
    write_file("train_FD001.txt", "1 1 5 6\n");
    g_assert_null(read_folder(&recipe->config, true, &error));
    g_assert_nonnull(strstr(error->message, "has the rate 2"));
    seam_recipe_free(recipe);
}

// A file that only looks alike is none.
static void test_other_names(void) {
    empty();
    write_file("train_FD.txt", "");
    write_file("train_FD001.csv", "");
    write_file("RUL_FD001.txt", "");
    g_assert_false(seam_cmapss_folder(folder));
    write_file("test_FD12.txt", "");
    g_assert_true(seam_cmapss_folder(folder));
}

// The recipe that is shipped, on the real engines where SEAM_DATA names them.
static void test_real(void) {
    const char *root = g_getenv("SEAM_SOURCE_ROOT"), *shared = g_getenv("SEAM_DATA");
    g_autofree char *path = g_build_filename(root ? root : ".", "pipelines", "turbofan-rul", "fd001.json", NULL);
    GError *error = NULL;
    SeamRecipe *recipe = seam_recipe_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(recipe->config.task[0].limit, ==, 125);
    g_autofree char *data = shared ? g_build_filename(shared, "cmapss", NULL) : NULL;
    if (!data || !g_file_test(data, G_FILE_TEST_IS_DIR)) {
        seam_recipe_free(recipe);
        g_test_skip("SEAM_DATA does not name the real engines");
        return;
    }
    SeamDatasetOptions options = {.learn = true};
    SeamDataset *d = seam_dataset_read(&recipe->config, data, &options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(d->n, ==, 100 * 11);
    g_assert_cmpfloat_with_epsilon(d->record[0].stream[0].x[((int)d->record[0].arc_start) * 14], 641.82, 1e-3); // T24 of the first cycle
    g_assert_cmpfloat(d->record[0].arc_end - d->record[0].arc_start, ==, 192);
    seam_dataset_free(d);
    seam_recipe_free(recipe);
}

// ---- learning ------------------------------------------------------------------------------------------------------------------

// Forty engines whose wear shows from 50 cycles before the end on.
static void write_wear(void) {
    g_autoptr(GString) text = g_string_new(NULL);
    SeamRandom random = seam_random(2, 2);
    for (int32_t u = 1; u <= 40; u++) {
        int32_t life = 90 + seam_random_below(&random, 90);
        for (int32_t c = 1; c <= life; c++)
            g_string_append_printf(text, "%d %d %.4f %.4f\n", u, c, seam_random_normal(&random), 0.2 * MAX(0, 50 - (life - c)) + seam_random_normal(&random));
    }
    write_file("train_FD001.txt", text->str);
}

static void test_training(void) {
    GError *error = NULL;
    SeamRecipe *recipe = new_recipe();
    SeamEvaluation *e = g_new0(SeamEvaluation, 1);
    empty();
    write_wear();
    SeamDataset *data = read_folder(&recipe->config, true, &error);
    g_assert_no_error(error);
    SeamPart *part = g_new0(SeamPart, data->n);
    SeamTrainRun how = {0};
    g_autofree char *out = path_of("M.seam");
    seam_dataset_split(data, recipe->validation, recipe->calibration, 1, part);
    seam_train_measure(&recipe->config, 0, data, part);
    g_assert_cmpfloat_with_epsilon(recipe->config.modality[0].std[1], 1, 0.05);
    SeamModel *model = seam_train(recipe, &recipe->config, data, part, seam_kernels_ref(), &how, &error);
    g_assert_no_error(error);
    g_assert_true(seam_train_finish(model, recipe, data, part, seam_kernels_ref(), NULL, out, e, &error));
    g_assert_no_error(error);
    g_test_message("RMSE %.2f, score %.1f, coverage %.3f, width %.1f", e->lives.rmse, e->lives.score, e->lives.coverage, e->lives.interval_width);
    g_assert_cmpint(e->lives.n, ==, 100);
    g_assert_cmpint(e->n, ==, 100);
    g_assert_cmpfloat(e->lives.rmse, <, 9); // the spread of what is to be told is 18
    g_assert_cmpfloat(e->lives.coverage, >=, 0.8);
    g_assert_cmpfloat(e->lives.interval_width, <, 40);
    g_assert_true(isnan(e->auroc));
    JsonObject *printed = seam_evaluation_print(e, &recipe->config);
    g_assert_cmpfloat(json_object_get_double_member(printed, "rmse"), ==, e->lives.rmse);
    g_assert_true(json_object_has_member(printed, "score") && json_object_has_member(printed, "interval_width"));
    json_object_unref(printed);
    seam_model_free(model);
    seam_dataset_free(data);
    seam_recipe_free(recipe);
    g_free(part);
    g_free(e);
    g_autofree char *command = g_strdup_printf("rm -r '%s'", out);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("seam-cmapss-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_test_add_func("/cmapss/tests", test_tests);
    g_test_add_func("/cmapss/lives", test_lives);
    g_test_add_func("/cmapss/refused", test_refused);
    g_test_add_func("/cmapss/other-names", test_other_names);
    g_test_add_func("/cmapss/real", test_real);
    g_test_add_func("/cmapss/training", test_training);
    int status = g_test_run();
    empty();
    g_rmdir(folder);
    g_free(folder);
    return status;
}
