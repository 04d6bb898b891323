// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Atomic writing, limited reading, and JSON: what is refused, and that what is printed reads back
// the same.
#include "core/files.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"

static char *folder;

static char *in_folder(const char *name) {
    return g_build_filename(folder, name, NULL);
}

static guint files_in_folder(void) {
    GDir *dir = g_dir_open(folder, 0, NULL);
    guint n = 0;
    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

static void test_write_and_read(void) {
    g_autofree char *path = in_folder("a.bin");
    size_t size;
    g_assert_true(seam_file_write_atomic(path, "one", 3, NULL));
    g_assert_true(seam_file_write_atomic(path, "second", 6, NULL));
    g_autofree char *bytes = seam_file_read(path, 6, &size, NULL);
    g_assert_cmpmem(bytes, size + 1, "second", 7);
    g_assert_cmpuint(files_in_folder(), ==, 1);
    g_unlink(path);
}

static void test_write_fails_cleanly(void) {
    g_autoptr(GError) error = NULL;
    g_autofree char *nowhere = in_folder("missing/a.bin"), *occupied = in_folder("full"),
                    *inside = in_folder("full/x");
    g_assert_false(seam_file_write_atomic(nowhere, "x", 1, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_MISSING);
    g_assert_nonnull(strstr(error->message, nowhere));
    g_clear_error(&error);
    // A folder stands where the file should go: the rename fails, and the temporary file must not
    // stay.
    g_mkdir(occupied, 0755);
    g_assert_true(g_file_set_contents(inside, "x", 1, NULL));
    g_assert_false(seam_file_write_atomic(occupied, "x", 1, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_IO);
    g_assert_cmpuint(files_in_folder(), ==, 1);
    g_unlink(inside);
    g_rmdir(occupied);
}

static void test_read_refuses(void) {
    g_autoptr(GError) error = NULL;
    g_autofree char *path = in_folder("a.bin"), *pipe = in_folder("pipe");
    g_assert_null(seam_file_read(path, 10, NULL, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_MISSING);
    g_clear_error(&error);
    g_assert_true(seam_file_write_atomic(path, "12345", 5, NULL));
    g_assert_null(seam_file_read(path, 4, NULL, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_clear_error(&error);
    g_assert_null(seam_file_read(folder, 4, NULL, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_IO);
    g_clear_error(&error);
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    g_assert_null(seam_file_read(pipe, 4, NULL, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_IO);
    g_unlink(path);
    g_unlink(pipe);
}

static void test_json_refuses(void) {
    g_autofree char *deep = g_strnfill(100000, '[');
    const char *const bad[] = {
        "",
        "[]",
        "1",
        "{",
        "{}}",
        "{\"a\":1,}",
        "{\"a\":[1,]}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{'a':1}",
        "{a:1}",
        "/* x */{}",
        "// x\n{}",
        "var x = {}",
        "{\"a\":01}",
        "{\"a\":0x10}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":1e999}",
        "{\"a\":9999999999999999999}",
        "{\"a\":truex}",
        "{\"a\":\"\x01\"}",
        "{\"a\":\"\\x41\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\xFF\"}",
        "{\"a\":\"x}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":}",
        deep,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        JsonObject *o = seam_json_parse(bad[i], "bad.json", &error);
        if (o)
            g_test_message("accepted: %s", bad[i]);
        g_assert_null(o);
        g_assert_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT);
        g_assert_true(g_str_has_prefix(error->message, "bad.json: "));
    }
}

static void test_json_round_trip(void) {
    const char *text = "{\"a\":-1.5e-3,\"b\":[1,2E2,0.1,-0],\"c\":{\"d\":[{\"e\":null},{}]},\"f\":"
                       "\"\\u00e9\\ud83d\\ude00\\n\\\"\","
                       "\"g\":true,\"h\":123456789012345678,\"i\":3.0}";
    JsonObject *o = seam_json_parse(text, "x", NULL);
    g_assert_nonnull(o);
    g_autofree char *printed = seam_json_print(o);
    g_assert_nonnull(strstr(printed, "\"a\": -0.0015,"));
    g_assert_nonnull(strstr(printed, "0.1,"));
    g_assert_nonnull(strstr(printed, "\"i\": 3.0"));
    g_assert_nonnull(strstr(printed, "é😀\\u000a\\\""));
    JsonObject *again = seam_json_parse(printed, "printed", NULL);
    g_assert_nonnull(again);
    g_autofree char *reprinted = seam_json_print(again);
    g_assert_cmpstr(printed, ==, reprinted);
    json_object_unref(o);
    json_object_unref(again);
}

// The getter fails and its message is this.
static void assert_message(bool result, GError **error, const char *message) {
    g_assert_false(result);
    g_assert_cmpstr((*error)->message, ==, message);
    g_clear_error(error);
}

static void test_json_getters(void) {
    g_autoptr(GError) error = NULL;
    JsonObject *o =
        seam_json_parse("{\"n\":5,\"x\":1.5,\"s\":\"t\",\"b\":true,\"z\":null}", "f", NULL);
    int64_t n = 9;
    double x = 9.0;
    bool b = false;
    const char *s = NULL;
    JsonArray *array = NULL;
    g_assert_true(seam_json_int(o, "f", "n", true, 0, 5, &n, NULL) && n == 5);
    g_assert_true(seam_json_int(o, "f", "none", false, 0, 4, &n, NULL) && n == 5);
    g_assert_true(seam_json_double(o, "f", "n", true, 0, 9, &x, NULL) && x == 5.0);
    g_assert_true(seam_json_bool(o, "f", "b", true, &b, NULL) && b);
    g_assert_true(seam_json_string(o, "f", "s", true, &s, NULL) && strcmp(s, "t") == 0);
    assert_message(seam_json_int(o, "f", "n", true, 6, 8, &n, &error), &error,
                   "f: \"n\" is 5, must be 6 to 8");
    assert_message(seam_json_int(o, "f", "x", true, 0, 8, &n, &error), &error,
                   "f: \"x\" is a number, must be a whole number");
    assert_message(seam_json_int(o, "f", "y", true, 0, 8, &n, &error), &error,
                   "f: \"y\" is missing");
    assert_message(seam_json_double(o, "f", "x", true, 2, 3, &x, &error), &error,
                   "f: \"x\" is 1.5, must be 2 to 3");
    assert_message(seam_json_double(o, "f", "z", false, 2, 3, &x, &error), &error,
                   "f: \"z\" is null, must be a number");
    assert_message(seam_json_array(o, "f", "s", true, &array, &error), &error,
                   "f: \"s\" is a string, must be an array");
    const char *const fields[] = {"sz", "n", "x", "b", "z", NULL};
    assert_message(seam_json_known(o, "f", fields, &error), &error,
                   "f: \"s\" is not a field; did you mean \"sz\"?");
    json_object_unref(o);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("seam-files-XXXXXX", NULL);
    g_test_add_func("/files/write-and-read", test_write_and_read);
    g_test_add_func("/files/write-fails-cleanly", test_write_fails_cleanly);
    g_test_add_func("/files/read-refuses", test_read_refuses);
    g_test_add_func("/files/json-refuses", test_json_refuses);
    g_test_add_func("/files/json-round-trip", test_json_round_trip);
    g_test_add_func("/files/json-getters", test_json_getters);
    int result = g_test_run();
    g_rmdir(folder);
    g_free(folder);
    return result;
}
