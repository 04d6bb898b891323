// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/tools/tool.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>

#include "core/train/finish.h"
#include "tests/remove.h"

const char tool_recipe[] =
    "{\"name\": \"tiny\", \"preset\": \"nano\", \"config\": {\"dim\": 32, \"layers\": 2, \"heads\": 2, \"experts\": 4, \"groups\": 2, "
    "\"groups_kept\": 1,"
    " \"top_k\": 2, \"expert_width\": 32, \"router_rank\": 4, \"window\": 1.0, \"classes\": [\"good\", \"porosity\", \"burn_through\", \"spatter\"],"
    " \"modalities\": ["
    "{\"name\": \"video\", \"front\": \"image\", \"channels\": 1, \"size\": 32, \"stem\": [8, 16, 32], \"arc_on\": 0.06},"
    "{\"name\": \"photo\", \"front\": \"image\", \"channels\": 3, \"size\": 32, \"stem\": [8, 16, 32], \"sparse\": true},"
    "{\"name\": \"sensors\", \"front\": \"sensor\", \"channels\": 6, \"rate\": 16, \"patch\": 8, \"time_bins\": 4, \"fft\": 0, \"bands\": 0, "
    "\"arc_channel\": 3,"
    " \"arc_on\": 50, \"channel_names\": [\"Pressure\", \"CO2 Weld Flow\", \"Feed\", \"Primary Weld Current\", \"Wire Consumed\", \"Secondary Weld "
    "Voltage\"]},"
    "{\"name\": \"sound\", \"front\": \"sensor\", \"channels\": 1, \"rate\": 8000, \"patch\": 2000, \"time_bins\": 4, \"fft\": 512, \"bands\": 16,"
    " \"arc_channel\": -1}],"
    " \"tasks\": [{\"name\": \"classify\", \"kind\": \"classify\", \"rank\": 4}, {\"name\": \"localise\", \"kind\": \"localise\", \"rank\": 4, "
    "\"upscale\": 1},"
    " {\"name\": \"anomaly\", \"kind\": \"anomaly\", \"rank\": 0, \"memory\": 64, \"neighbours\": 2}]},"
    " \"split\": {\"by\": \"group\", \"validation\": 0.2, \"calibration\": 0.3},"
    " \"train\": {\"steps\": 10, \"batch\": 4, \"frames_per_window\": 1, \"eval_frames\": 1, \"warmup\": 2, \"video_rate\": 4, \"seed\": 1}}";

static char *folder;

const char *tool_folder(void) {
    g_autoptr(GError) error = NULL;
    if (!folder)
        folder = g_dir_make_tmp("seam-tool-XXXXXX", &error);
    g_assert_no_error(error);
    return folder;
}

void tool_clean(void) {
    if (folder)
        remove_tree(folder);
    g_clear_pointer(&folder, g_free);
}

char *tool_path(const char *name) {
    return g_build_filename(tool_folder(), name, NULL);
}

void tool_write_bytes(const char *name, const void *bytes, gsize size) {
    g_autofree char *path = tool_path(name), *parent = g_path_get_dirname(path);
    g_autoptr(GError) error = NULL;
    g_mkdir_with_parents(parent, 0755);
    g_file_set_contents(path, bytes, (gssize)size, &error);
    g_assert_no_error(error);
}

void tool_write(const char *name, const char *text) {
    tool_write_bytes(name, text, strlen(text));
}

static ToolRun run_words(const char *first, va_list more) {
    g_autofree char *seam = g_build_filename(g_getenv("SEAM_BUILD_ROOT"), "tools", "seam", NULL);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    ToolRun run = {0};
    int wait_status = 0;
    g_ptr_array_add(argv, seam);
    for (const char *word = first; word; word = va_arg(more, const char *))
        g_ptr_array_add(argv, (gpointer)word);
    g_ptr_array_add(argv, NULL);
    g_spawn_sync(tool_folder(), (char **)argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &run.out, &run.err, &wait_status, &error);
    g_assert_no_error(error);
    run.status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
    return run;
}

ToolRun tool_run(const char *first, ...) {
    va_list more;
    va_start(more, first);
    ToolRun run = run_words(first, more);
    va_end(more);
    return run;
}

ToolRun tool_expect(int status, const char *first, ...) {
    va_list more;
    va_start(more, first);
    ToolRun run = run_words(first, more);
    va_end(more);
    if (run.status != status)
        g_test_message("%s", run.err);
    g_assert_cmpint(run.status, ==, status);
    return run;
}

void tool_clear(ToolRun *run) {
    g_clear_pointer(&run->out, g_free);
    g_clear_pointer(&run->err, g_free);
}

JsonObject *tool_json(const ToolRun *run) {
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    json_parser_load_from_data(parser, run->out, -1, &error);
    g_assert_no_error(error);
    g_assert_true(JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)));
    return json_object_ref(json_node_get_object(json_parser_get_root(parser)));
}

void tool_make_model(const char *name) {
    g_autoptr(GError) error = NULL;
    g_autofree char *path = tool_path(name);
    SeamRecipe *recipe = seam_recipe_parse(tool_recipe, "recipe", &error);
    g_assert_no_error(error);
    SeamModel *model = seam_model_new(&recipe->config, false, 1, &error);
    g_assert_no_error(error);
    seam_bundle_write_model(path, model, NULL, &error);
    g_assert_no_error(error);
    seam_model_free(model);
    seam_recipe_free(recipe);
}
