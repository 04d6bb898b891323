// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Every pipeline that README.md and pipelines/*/README.md print, exactly as printed: each must end well and leave the files that it names. They run
// in a folder that looks like the repository after `./run demo` - the same files, but a build/ of its own with short synthetic welds - so that
// nothing of the user's is touched. It reads the documents and writes none.
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <string.h>

typedef struct {
    char *document, *command;
    int line;
} Block;

static char *scratch; // the folder that looks like the repository

static char *source_root(void) {
    return g_canonicalize_filename(g_getenv("SEAM_SOURCE_ROOT"), NULL);
}

static void run(const char *folder, const char *command, const char *about) {
    char *argv[] = {"/bin/bash", "-c", (char *)command, NULL}, *words = NULL;
    int status = 0;
    GError *error = NULL;
    g_spawn_sync(folder, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &words, &status, &error);
    g_assert_no_error(error);
    if (!g_spawn_check_wait_status(status, NULL)) {
        g_test_message("%s\n%s\n%s", about, command, words);
        g_test_fail_printf("%s: does not run as it is printed", about);
    }
    g_free(words);
}

// ---- the folder -----------------------------------------------------------------------------------------------------------------

static void mirror_root(void) {
    g_autofree char *root = source_root();
    GDir *dir = g_dir_open(root, 0, NULL);
    g_assert_nonnull(dir);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *from = g_build_filename(root, name, NULL), *to = g_build_filename(scratch, name, NULL);
        if (!g_str_has_prefix(name, "build") && name[0] != '.')
            g_assert_cmpint(symlink(from, to), ==, 0);
    }
    g_dir_close(dir);
}

// The folders of welds that the documents speak of, with the same seeds, but short.
static void make_welds(void) {
    static const char *const commands[] = {
        "seam synth --out build/demo/welds --count 2 --seed 987 --duration 3 --size 160x120 --fps 10",
        "seam synth --out build/try --count 2 --seed 7 --duration 3 --size 160x120 --fps 10",
    };
    g_autofree char *demo = g_build_filename(scratch, "build", "demo", NULL);
    g_autofree char *path = g_strconcat(g_getenv("SEAM_BUILD_ROOT"), "/tools:", g_getenv("PATH"), NULL);
    g_assert_cmpint(g_mkdir_with_parents(demo, 0777), ==, 0);
    g_setenv("PATH", path, TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        run(scratch, commands[i], "the welds to run them on");
}

// ---- the documents --------------------------------------------------------------------------------------------------------------

static void free_block(gpointer data) {
    Block *block = data;
    g_free(block->document);
    g_free(block->command);
    g_free(block);
}

// The blocks ```sh that begin with gst-launch-1.0.
static void take_blocks(const char *document, GPtrArray *blocks) {
    g_autofree char *path = g_build_filename(scratch, document, NULL), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (int i = 0; lines[i]; i++) {
        if (strcmp(lines[i], "```sh") != 0)
            continue;
        int first = i + 1;
        GString *command = g_string_new(NULL);
        for (i++; lines[i] && strcmp(lines[i], "```") != 0; i++)
            g_string_append_printf(command, "%s\n", lines[i]);
        g_assert_nonnull(lines[i]); // a block that nobody closed
        if (g_str_has_prefix(command->str, "gst-launch-1.0 ")) {
            Block *block = g_new(Block, 1);
            *block = (Block){g_strdup(document), g_string_free(command, FALSE), first + 1};
            g_ptr_array_add(blocks, block);
        } else {
            g_string_free(command, TRUE);
        }
    }
}

static GPtrArray *read_documents(void) {
    GPtrArray *blocks = g_ptr_array_new_with_free_func(free_block);
    g_autofree char *pipelines = g_build_filename(scratch, "pipelines", NULL);
    take_blocks("README.md", blocks);
    GDir *dir = g_dir_open(pipelines, 0, NULL);
    g_assert_nonnull(dir);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *document = g_build_filename("pipelines", name, "README.md", NULL);
        take_blocks(document, blocks);
    }
    g_dir_close(dir);
    return blocks;
}

// What the block says that it makes: the location of every filesink.
static GPtrArray *outputs(const char *command) {
    GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
    for (const char *at = command; (at = strstr(at, "filesink location="));) {
        at += strlen("filesink location=");
        g_ptr_array_add(files, g_strndup(at, strcspn(at, " \n\\")));
    }
    return files;
}

// Every line of a results file is an object with a type, and there is a verdict.
static void check_results(const char *path) {
    g_autofree char *text = NULL;
    gboolean verdict = FALSE;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);
    for (int i = 0; lines[i]; i++) {
        g_assert_true(g_str_has_prefix(lines[i], "{\"type\":\"") && g_str_has_suffix(lines[i], "}"));
        verdict |= g_str_has_prefix(lines[i], "{\"type\":\"weld\"");
    }
    g_assert_true(verdict);
}

static void test_block(gconstpointer data) {
    const Block *block = data;
    g_autofree char *about = g_strdup_printf("%s, line %d", block->document, block->line);
    g_autoptr(GPtrArray) files = outputs(block->command);
    run(scratch, block->command, about);
    for (guint i = 0; i < files->len && !g_test_failed(); i++) {
        const char *name = files->pdata[i];
        g_autofree char *path = g_build_filename(scratch, name, NULL);
        GStatBuf info = {0};
        g_test_message("%s leaves %s", about, name);
        g_assert_cmpint(g_stat(path, &info), ==, 0);
        g_assert_cmpint(info.st_size, >, 0);
        if (g_str_has_suffix(name, ".jsonl"))
            check_results(path);
    }
}

// A pipeline that fails must be seen to fail: the check above would else prove nothing.
static void test_failing(void) {
    if (g_test_subprocess()) {
        run(scratch, "gst-launch-1.0 filesrc location=no-such-file ! fakesink", "a pipeline without input");
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    if (g_test_subprocess()) {
        scratch = g_dir_make_tmp("seam-pipelines-XXXXXX", NULL);
        g_test_add_func("/pipelines/failing", test_failing);
        return g_test_run();
    }
    scratch = g_dir_make_tmp("seam-pipelines-XXXXXX", NULL);
    g_assert_nonnull(scratch);
    mirror_root();
    make_welds();
    g_autoptr(GPtrArray) blocks = read_documents();
    g_assert_cmpuint(blocks->len, >, 0);
    g_test_add_func("/pipelines/failing", test_failing);
    for (guint i = 0; i < blocks->len; i++) {
        const Block *block = blocks->pdata[i];
        g_autofree char *path = g_strdup_printf("/pipelines/%s/%d", block->document, block->line);
        g_test_add_data_func(path, block, test_block);
    }
    int status = g_test_run();
    g_autofree char *clean = g_strdup_printf("rm -rf '%s'", scratch);
    run("/", clean, "clearing up");
    g_free(scratch);
    return status;
}
