// SPDX-License-Identifier: LGPL-2.1-or-later
//
// safetensors: what is written reads back, and hostile headers are refused. Files are made here,
// byte by byte.
#include "core/safetensors.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/error.h"

// A file with this header text and `data` zero bytes behind it.
static SeamSafetensors *parse_header(const char *header, size_t data, GError **error) {
    size_t length = strlen(header);
    g_autofree char *bytes = g_malloc0(8 + length + data);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    return seam_safetensors_parse(bytes, 8 + length + data, "bad.safetensors", error);
}

static void test_round_trip(void) {
    const float a[6] = {0.0f, -1.5f, 1e-30f, 3e38f, 0.1f, 7.0f}, b[3] = {0.5f, -65504.0f, 2.0f},
                c[1] = {42.0f};
    const SeamNamedArray arrays[] = {
        {.name = "b", .dtype = SEAM_F16, .rank = 1, .shape = {3}, .data = b},
        {.name = "a.weight", .dtype = SEAM_F32, .rank = 2, .shape = {2, 3}, .data = a},
        {.name = "scalar", .dtype = SEAM_F32, .rank = 0, .data = c},
    };
    const char *const metadata[] = {"key", "value \"quoted\" é", NULL};
    g_autofree char *folder = g_dir_make_tmp("seam-st-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autoptr(GError) error = NULL;
    float out[6];
    g_assert_true(seam_safetensors_write(path, arrays, 3, metadata, &error));
    SeamSafetensors *file = seam_safetensors_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(seam_safetensors_count(file), ==, 3);
    g_assert_cmpstr(seam_safetensors_array(file, 0)->name, ==, "b");
    const SeamArray *array = seam_safetensors_find(file, "a.weight");
    g_assert_cmpint(array->rank, ==, 2);
    g_assert_cmpint(array->shape[1], ==, 3);
    g_assert_true(seam_array_to_f32(file, array, out, &error));
    g_assert_cmpmem(out, sizeof a, a, sizeof a);
    g_assert_true(seam_array_to_f32(file, seam_safetensors_find(file, "b"), out, &error));
    g_assert_cmpmem(out, sizeof b, b, sizeof b);
    g_assert_cmpuint(seam_safetensors_find(file, "scalar")->size, ==, 1);
    g_assert_null(seam_safetensors_find(file, "c"));
    g_assert_cmpstr(seam_safetensors_metadata(file, "key"), ==, metadata[1]);
    g_assert_null(seam_safetensors_metadata(file, "none"));
    seam_safetensors_free(file);
    g_unlink(path);
    g_rmdir(folder);
}

static void test_not_finite(void) {
    const float bad[2] = {1.0f, NAN}, large[2] = {1.0f, 70000.0f};
    const SeamNamedArray arrays[] = {
        {.name = "nan", .dtype = SEAM_F32, .rank = 1, .shape = {2}, .data = bad},
        {.name = "large", .dtype = SEAM_F16, .rank = 1, .shape = {2}, .data = large},
    };
    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(
            seam_safetensors_write("/tmp/seam-never-written", &arrays[i], 1, NULL, &error));
        g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
        g_assert_nonnull(strstr(error->message, arrays[i].name));
    }
    g_assert_false(g_file_test("/tmp/seam-never-written", G_FILE_TEST_EXISTS));
    // The same from a file: the half-precision bits 0x7E00 are a NaN.
    const char *header = "{\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}";
    size_t length = strlen(header);
    char bytes[128] = {(char)length};
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, "\x00\x7E", 2);
    g_autoptr(GError) error = NULL;
    float value;
    SeamSafetensors *file = seam_safetensors_parse(bytes, 8 + length + 2, "nan", NULL);
    g_assert_false(seam_array_to_f32(file, seam_safetensors_array(file, 0), &value, &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
    g_assert_false(seam_array_check(file, seam_safetensors_array(file, 0), NULL));
    seam_safetensors_free(file);
}

#define F32(name, shape, begin, end)                                                               \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void test_accepted(void) {
    const struct {
        const char *header;
        size_t data;
    } good[] = {
        {"{}", 0},
        {"{\"__metadata__\":{}}   ", 0},
        {"{" F32("b", "[1,2]", "4", "12") "," F32("a", "[]", "0", "4") "}", 12},
        {"{\"x\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3},
        {"{\"x\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4},
        {"{\"x\":{\"dtype\":\"I32\",\"shape\":[1,1,1,2],\"data_offsets\":[0,8]}}", 8},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        SeamSafetensors *file = parse_header(good[i].header, good[i].data, &error);
        g_assert_no_error(error);
        seam_safetensors_free(file);
    }
}

static void test_refused(void) {
    const struct {
        const char *header;
        size_t data;
        SeamErrorCode code;
    } bad[] = {
        {"", 0, SEAM_ERROR_FORMAT},
        {"[]", 0, SEAM_ERROR_FORMAT},
        {"{" F32("a", "[1]", "0", "4") "," F32("a", "[1]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a", "[1]", "0", "4") "," F32("b", "[1]", "2", "6") "}", 6, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[1]", "0", "4") "," F32("b", "[1]", "8", "12") "}", 12, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[1]", "4", "8") "}", 8, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[1]", "0", "4") "}", 5, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[1]", "0", "4") "}", 3, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[2]", "0", "4") "}", 4, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[1]", "4", "0") "}", 4, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[0]", "0", "0") "}", 0, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[2147483648]", "0", "4") "}", 4, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[2147483647,2147483647,2147483647]", "0", "4") "}", 4, SEAM_ERROR_SHAPE},
        {"{" F32("a", "[1,1,1,1,1]", "0", "4") "}", 4, SEAM_ERROR_UNSUPPORTED},
        {"{" F32("a", "[-1]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a", "[1.0]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a", "[\"1\"]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a", "1", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a", "[1]", "0", "4.0") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a", "[1]", "0", "4,8") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("/a", "[1]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a/../b", "[1]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("a\\n", "[1]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{" F32("", "[1]", "0", "4") "}", 4, SEAM_ERROR_FORMAT},
        {"{\"a\":1}", 0, SEAM_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, SEAM_ERROR_MISSING},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8,
         SEAM_ERROR_UNSUPPORTED},
        {"{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SEAM_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":0}}", 4,
         SEAM_ERROR_FORMAT},
        {"{\"__metadata__\":{\"a\":1}}", 0, SEAM_ERROR_FORMAT},
        {"{\"__metadata__\":[]}", 0, SEAM_ERROR_FORMAT},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        SeamSafetensors *file = parse_header(bad[i].header, bad[i].data, &error);
        g_test_message("%s: %s", bad[i].header, error ? error->message : "accepted");
        g_assert_null(file);
        g_assert_error(error, SEAM_ERROR, (gint)bad[i].code);
        g_assert_true(g_str_has_prefix(error->message, "bad.safetensors: "));
    }
}

static void test_header_length(void) {
    const char *const bad[] = {"",
                               "\x02",
                               "\x02\0\0\0\0\0\0\0{",
                               "\x03\0\0\0\0\0\0\0{}",
                               "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}",
                               "\xF8\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}",
                               "\0\0\0\0\0\0\0\0"};
    const size_t size[] = {0, 1, 9, 10, 10, 10, 8};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(seam_safetensors_parse(bad[i], size[i], "x", &error));
        g_assert_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT);
    }
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/safetensors/round-trip", test_round_trip);
    g_test_add_func("/safetensors/not-finite", test_not_finite);
    g_test_add_func("/safetensors/accepted", test_accepted);
    g_test_add_func("/safetensors/refused", test_refused);
    g_test_add_func("/safetensors/header-length", test_header_length);
    return g_test_run();
}
