// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Bad input to the `seam` command, each file made on the fly: it ends with status 1 and one line that names file and field, or, where the rest can be
// used, goes on and says in a line what it left out. A crash is a signal, and tool_run() tells it apart.
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

#include "tests/tools/tool.h"

// A model, made once.
static void need_model(void) {
    g_autofree char *path = tool_path("tiny.seam/model.json");
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        tool_make_model("tiny.seam");
}

static void copy_file(const char *from, const char *to) {
    g_autofree char *path = tool_path(from), *bytes = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    tool_write_bytes(to, bytes, size);
}

// A fresh copy of the model to break; without its adapters, which vouch for the unbroken weights, when `base`.
static void copy_files(const char *name, bool base) {
    static const char *const files[] = {"model.json", "weights.safetensors", "adapters/classify.safetensors", "adapters/localise.safetensors"};
    need_model();
    for (size_t i = 0; i < (base ? 2 : G_N_ELEMENTS(files)); i++) {
        g_autofree char *from = g_strconcat("tiny.seam/", files[i], NULL), *to = g_strconcat(name, "/", files[i], NULL);
        copy_file(from, to);
    }
}

static void copy_model(const char *name) {
    copy_files(name, false);
}

static char *read_file(const char *name, gsize *size) {
    g_autofree char *path = tool_path(name);
    char *bytes = NULL;
    g_assert_true(g_file_get_contents(path, &bytes, size, NULL));
    return bytes;
}

// Exactly one line that says all of this.
static void assert_message(ToolRun *run, const char *const *parts) {
    const char *last = strrchr(g_strchomp(run->err), '\n');
    const char *message = last ? last + 1 : run->err;
    g_assert_true(g_str_has_prefix(message, "seam "));
    for (; *parts; parts++) {
        if (!strstr(message, *parts))
            g_test_message("\"%s\" is not in: %s", *parts, message);
        g_assert_nonnull(strstr(message, *parts));
    }
    tool_clear(run);
}

#define FAILS_SAYING(run, ...)                                                                                                                       \
    do {                                                                                                                                             \
        ToolRun run_ = (run);                                                                                                                        \
        assert_message(&run_, (const char *const[]){__VA_ARGS__, NULL});                                                                             \
    } while (0)

// All commands that open a model say the same.
static void model_fails(const char *model, const char *file, const char *said) {
    FAILS_SAYING(tool_expect(1, "info", "--verify", model, NULL), file, said);
    FAILS_SAYING(tool_expect(1, "eval", "--model", model, "--data", "anywhere", NULL), file, said);
    FAILS_SAYING(tool_expect(1, "adapt", "--model", model, "--data", "anywhere", "--evaluate", NULL), file, said);
    ToolRun doctor = tool_expect(1, "doctor", model, NULL);
    g_assert_nonnull(strstr(doctor.out, said));
    tool_clear(&doctor);
}

// ---- models --------------------------------------------------------------------------------------------------------------------

static void test_missing_model(void) {
    model_fails("nowhere.seam", "nowhere.seam", "model.json");
    copy_model("no-weights.seam");
    g_autofree char *weights = tool_path("no-weights.seam/weights.safetensors");
    g_assert_cmpint(remove(weights), ==, 0);
    model_fails("no-weights.seam", "weights.safetensors", "no-weights.seam");
}

static void test_truncated_weights(void) {
    gsize size;
    static const double share[] = {0, 0.0001, 0.3, 0.999};
    copy_model("short.seam");
    for (size_t i = 0; i < G_N_ELEMENTS(share); i++) {
        g_autofree char *bytes = read_file("tiny.seam/weights.safetensors", &size);
        tool_write_bytes("short.seam/weights.safetensors", bytes, (gsize)((double)size * share[i]));
        model_fails("short.seam", "weights.safetensors", "short.seam");
    }
}

// Each lie about the header is refused before anything is read by it.
static void test_lying_header(void) {
    static const char *const header[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1000000,1000000],\"data_offsets\":[0,4000000000000]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        "[1, 2]",
        "{\"a\": 3}",
    };
    copy_model("liar.seam");
    for (size_t i = 0; i < G_N_ELEMENTS(header); i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        guint64 length = GUINT64_TO_LE((guint64)strlen(header[i]));
        const char data[8] = {0};
        g_byte_array_append(bytes, (const guint8 *)&length, 8);
        g_byte_array_append(bytes, (const guint8 *)header[i], (guint)strlen(header[i]));
        g_byte_array_append(bytes, (const guint8 *)data, 4);
        tool_write_bytes("liar.seam/weights.safetensors", bytes->data, bytes->len);
        FAILS_SAYING(tool_expect(1, "info", "liar.seam", NULL), "weights.safetensors");
    }
    const guint64 huge[] = {G_MAXUINT64, G_MAXINT64, (guint64)1 << 40};
    for (size_t i = 0; i < G_N_ELEMENTS(huge); i++) {
        tool_write_bytes("liar.seam/weights.safetensors", &huge[i], 8);
        FAILS_SAYING(tool_expect(1, "info", "liar.seam", NULL), "weights.safetensors");
    }
}

// The last value of the file becomes half-precision NaN.
static void put_nan(const char *file) {
    gsize size;
    g_autofree char *bytes = read_file(file, &size);
    bytes[size - 2] = 0x00;
    bytes[size - 1] = 0x7e;
    tool_write_bytes(file, bytes, size);
}

static void test_nan_weights(void) {
    copy_files("nan.seam", true);
    put_nan("nan.seam/weights.safetensors");
    model_fails("nan.seam", "weights.safetensors", "not finite");
    copy_model("nan-head.seam");
    put_nan("nan-head.seam/adapters/classify.safetensors");
    model_fails("nan-head.seam", "classify.safetensors", "not finite");
}

static void replace_in_model(const char *name, const char *old, const char *new) {
    gsize size;
    g_autofree char *file = g_strconcat(name, "/model.json", NULL);
    copy_files(name, true);
    g_autofree char *text = read_file(file, &size);
    g_autoptr(GString) changed = g_string_new(text);
    g_assert_cmpuint(g_string_replace(changed, old, new, 1), ==, 1);
    tool_write(file, changed->str);
}

static void test_wrong_shapes(void) {
    replace_in_model("shapes.seam", "\"expert_width\": 32", "\"expert_width\": 48");
    model_fails("shapes.seam", "weights.safetensors", "must be");
}

static void test_wrong_json(void) {
    static const char *const change[][3] = {
        {"\"dim\": 32", "\"dim\": \"32\"", "dim"},
        {"\"dim\": 32", "\"dim\": 32.5", "dim"},
        {"\"dim\": 32", "\"dim\": null", "dim"},
        {"\"heads\": 2", "\"heads\": 3", "heads"},
        {"\"window\": 1", "\"window\": -1", "window"},
        {"\"layers\": 2", "\"layers\": 1000000", "layers"},
        {"\"front\": \"image\"", "\"front\": \"nose\"", "front"},
        {"\"channels\": 6", "\"channels\": 65", "channels"},
        {"\"top_k\": 2", "\"top_q\": 2", "top_q"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(change); i++) {
        replace_in_model("json.seam", change[i][0], change[i][1]);
        FAILS_SAYING(tool_expect(1, "info", "json.seam", NULL), "model.json", change[i][2]);
    }
    tool_write("json.seam/model.json", "{\"config\": {");
    FAILS_SAYING(tool_expect(1, "info", "json.seam", NULL), "model.json");
    tool_write("json.seam/model.json", "[]");
    FAILS_SAYING(tool_expect(1, "info", "json.seam", NULL), "model.json");
}

static void test_wrong_calibration(void) {
    static const char *const calibration[] = {"{\"sets\": 3}", "{\"sets\": [{\"modalities\": [\"smell\"], \"good\": [], \"defect\": []}]}",
                                              "{\"sets\": [{\"modalities\": [\"sound\"], \"good\": [2, 1], \"defect\": []}]}", "[]"};
    for (size_t i = 0; i < G_N_ELEMENTS(calibration); i++) {
        g_autofree char *new = g_strdup_printf("{ \"calibration\": %s,", calibration[i]);
        replace_in_model("calibration.seam", "{", new);
        FAILS_SAYING(tool_expect(1, "eval", "--model", "calibration.seam", "--data", "x", NULL), "model.json", "calibration");
    }
}

// An adapter of another model, and a file that is none.
static void test_wrong_adapter(void) {
    replace_in_model("other.seam", "\"window\": 1", "\"window\": 2");
    copy_file("tiny.seam/adapters/classify.safetensors", "other.seam/adapters/classify.safetensors");
    FAILS_SAYING(tool_expect(1, "eval", "--model", "other.seam", "--data", "x", NULL), "classify.safetensors", "seam adapt");
    tool_write("text.safetensors", "not an adapter");
    FAILS_SAYING(tool_expect(1, "eval", "--model", "tiny.seam", "--adapter", "text.safetensors", "--data", "x", NULL), "text.safetensors");
}

// ---- data folders --------------------------------------------------------------------------------------------------------------

static const char manifest[] = "run,group,label\nr1,g1,good\n";
static const char header[] = "time_s,Pressure,CO2 Weld Flow,Feed,Primary Weld Current,Wire Consumed,Secondary Weld Voltage\n";

// A run of rows every 0.1 s; `change` may put something else into a row. g_string_free it.
static GString *sensor_rows(int32_t rows, const char *(*change)(int32_t row)) {
    GString *text = g_string_new(header);
    for (int32_t r = 0; r < rows; r++) {
        const char *other = change ? change(r) : NULL;
        if (other && *other)
            g_string_append_printf(text, "%s\n", other);
        else if (!other)
            g_string_append_printf(text, "%d.%d,1.5,15,90,%d,%d,24\n", r / 10, r % 10, r > 5 && r < rows - 5 ? 200 : 3, r);
    }
    return text;
}

static void write_run(const char *folder, int32_t rows, const char *(*change)(int32_t row)) {
    g_autofree char *list = g_build_filename(folder, "manifest.csv", NULL), *csv = g_build_filename(folder, "r1/r1.csv", NULL);
    GString *text = sensor_rows(rows, change);
    tool_write(list, manifest);
    tool_write(csv, text->str);
    g_string_free(text, TRUE);
}

static ToolRun eval(int status, const char *data) {
    return tool_expect(status, "eval", "--model", "tiny.seam", "--data", data, "--json", NULL);
}

// The run was judged; what it says on the way holds `note`.
static void judged(const char *data, const char *note) {
    ToolRun run = eval(0, data);
    JsonObject *o = tool_json(&run);
    g_assert_cmpint(json_object_get_int_member(o, "n"), ==, 1);
    if (note && !strstr(run.err, note))
        g_test_message("%s", run.err);
    g_assert_true(!note || strstr(run.err, note));
    json_object_unref(o);
    tool_clear(&run);
}

static void test_no_data(void) {
    need_model();
    FAILS_SAYING(eval(1, "nowhere"), "nowhere", "manifest.csv");
    tool_write("empty/readme.txt", "nothing");
    FAILS_SAYING(eval(1, "empty"), "empty", "manifest.csv");
    tool_write("no-runs/manifest.csv", "run,label\n");
    FAILS_SAYING(eval(1, "no-runs"), "no-runs");
    tool_write("no-files/manifest.csv", manifest);
    FAILS_SAYING(eval(1, "no-files"), "r1.csv");
    tool_write("escape/manifest.csv", "run,label\n../r1,good\n");
    FAILS_SAYING(eval(1, "escape"), "manifest.csv", "line 2");
    tool_write("wide/manifest.csv", "run,label\nr1,good,more,and more\n");
    FAILS_SAYING(eval(1, "wide"), "manifest.csv", "line 2");
}

static const char *with_gap(int32_t row) {
    return row >= 20 && row < 40 ? "" : NULL;
}

static const char *with_text(int32_t row) {
    return row == 17 ? "1.7,off,15,90,200,3,24" : NULL;
}

static const char *backwards(int32_t row) {
    return row == 30 ? "0.5,1,15,90,200,3,24" : NULL;
}

static const char *text_time(int32_t row) {
    return row == 30 ? "noon,1,15,90,200,3,24" : NULL;
}

static const char *nan_cells(int32_t row) {
    static char text[64];
    g_snprintf(text, sizeof text, "%d.%d,nan,inf,-inf,NaN,,x", row / 10, row % 10);
    return text;
}

static void test_csv(void) {
    need_model();
    write_run("gap", 60, with_gap);
    judged("gap", NULL);
    write_run("words", 60, with_text);
    judged("words", "line 19");
    write_run("backwards", 60, backwards);
    FAILS_SAYING(eval(1, "backwards"), "r1.csv", "line 32", "time_s", "backwards");
    write_run("clock", 60, text_time);
    FAILS_SAYING(eval(1, "clock"), "r1.csv", "line 32", "time_s", "noon");
    write_run("strangers", 0, NULL);
    tool_write("strangers/r1/r1.csv", "time_s,temperature\n0,20\n1,21\n");
    FAILS_SAYING(eval(1, "strangers"), "r1.csv", "Pressure");
    tool_write("strangers/r1/r1.csv", "");
    FAILS_SAYING(eval(1, "strangers"), "r1.csv");
}

// A stream of length zero, or of nothing but NaN, is a missing stream; alone it leaves nothing to judge by.
static void test_empty_sensors(void) {
    need_model();
    write_run("no-rows", 0, NULL);
    FAILS_SAYING(eval(1, "no-rows"), "no-rows");
    write_run("nan", 60, nan_cells);
    FAILS_SAYING(eval(1, "nan"), "nan");
}

static void test_64_channels(void) {
    g_autoptr(GString) names = g_string_new(NULL), csv = g_string_new("time_s"), recipe = g_string_new(tool_recipe);
    for (int32_t c = 0; c < 64; c++) {
        g_string_append_printf(names, "%s\"c%d\"", c ? ", " : "", c);
        g_string_append_printf(csv, ",c%d", c);
    }
    for (int32_t r = 0; r < 60; r++) {
        g_string_append_printf(csv, "\n%d.%d", r / 10, r % 10);
        for (int32_t c = 0; c < 64; c++)
            g_string_append_printf(csv, ",%d", 100 + c + r % 7);
    }
    g_string_append_c(csv, '\n');
    g_string_replace(recipe, "\"channels\": 6", "\"channels\": 64", 1);
    g_string_replace(recipe, "\"Pressure\", \"CO2 Weld Flow\", \"Feed\", \"Primary Weld Current\", \"Wire Consumed\", \"Secondary Weld Voltage\"",
                     names->str, 1);
    tool_write("many.json", recipe->str);
    tool_write("many/manifest.csv", manifest);
    tool_write("many/r1/r1.csv", csv->str);
    ToolRun train = tool_expect(0, "train", "--recipe", "many.json", "--data", "many", "--out", "many.seam", "--steps", "2", NULL);
    ToolRun run = tool_expect(0, "eval", "--model", "many.seam", "--data", "many", "--json", NULL);
    JsonObject *o = tool_json(&run);
    g_assert_cmpint(json_object_get_int_member(o, "n"), ==, 1);
    json_object_unref(o);
    tool_clear(&train);
    tool_clear(&run);
    g_string_replace(recipe, "\"channels\": 64", "\"channels\": 65", 1);
    tool_write("more.json", recipe->str);
    FAILS_SAYING(tool_expect(1, "train", "--recipe", "more.json", "--data", "many", "--out", "more.seam", NULL), "more.json", "channels");
}

// ---- media ---------------------------------------------------------------------------------------------------------------------

static void make_media(const char *name, const char *pipeline) {
    g_autofree char *path = tool_path(name), *folder = g_path_get_dirname(path),
                    *text = g_strdup_printf("%s ! filesink location=\"%s\"", pipeline, path);
    g_autoptr(GError) error = NULL;
    g_mkdir_with_parents(folder, 0755);
    GstElement *p = gst_parse_launch(text, &error);
    g_assert_no_error(error);
    gst_element_set_state(p, GST_STATE_PLAYING);
    GstBus *bus = gst_element_get_bus(p);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_true(message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS);
    gst_message_unref(message);
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(p);
}

static void test_one_frame_video(void) {
    need_model();
    tool_write("frame/manifest.csv", manifest);
    make_media("frame/r1/r1.avi", "videotestsrc num-buffers=1 ! video/x-raw,width=96,height=64,framerate=10/1 ! jpegenc ! avimux");
    judged("frame", NULL);
}

static void test_broken_media(void) {
    gsize size;
    need_model();
    tool_write("broken/manifest.csv", manifest);
    tool_write("broken/r1/r1.avi", "this is not a video");
    FAILS_SAYING(eval(1, "broken"), "r1.avi");
    tool_write("deaf/manifest.csv", manifest);
    tool_write("deaf/r1/r1.flac", "");
    FAILS_SAYING(eval(1, "deaf"), "r1.flac");
    tool_write("mute/manifest.csv", manifest);
    make_media("mute/r1/r1.avi", "audiotestsrc num-buffers=4 ! audioconvert ! wavenc"); // sound by a video's name
    FAILS_SAYING(eval(1, "mute"), "r1.avi");
    tool_write("cut/manifest.csv", manifest);
    make_media("cut/r1/r1.avi", "videotestsrc num-buffers=20 ! video/x-raw,width=96,height=64,framerate=10/1 ! jpegenc ! avimux");
    g_autofree char *bytes = read_file("cut/r1/r1.avi", &size);
    tool_write_bytes("cut/r1/r1.avi", bytes, size / 2);
    ToolRun run = tool_run("eval", "--model", "tiny.seam", "--data", "cut", NULL); // half a video may be read or refused
    g_assert_true(run.status == 0 || run.status == 1);
    tool_clear(&run);
}

static void test_not_a_picture(void) {
    need_model();
    tool_write("pictures/good/a.jpg", "hello");
    FAILS_SAYING(eval(1, "pictures"), "a.jpg");
    tool_write("pictures/good/a.jpg", "");
    FAILS_SAYING(eval(1, "pictures"), "a.jpg");
    const guint8 bomb[] = {0x89, 'P',  'N',  'G',  13,   10,   26,   10,   0,    0, 0, 13, 'I', 'H', 'D',
                           'R',  0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 8, 6, 0,  0,   0};
    tool_write_bytes("bomb/good/a.png", bomb, sizeof bomb);
    FAILS_SAYING(eval(1, "bomb"), "a.png");
}

// ---- recipes, results, arguments -----------------------------------------------------------------------------------------------

static void test_recipes(void) {
    static const char *const change[][3] = {{"\"steps\": 10", "\"steps\": \"many\"", "steps"},
                                            {"\"steps\": 10", "\"stepps\": 10", "stepps"},
                                            {"\"validation\": 0.2", "\"validation\": 2", "validation"}};
    tool_write("any/manifest.csv", manifest);
    FAILS_SAYING(tool_expect(1, "train", "--recipe", "nowhere.json", "--data", "any", "--out", "x.seam", NULL), "nowhere.json");
    for (size_t i = 0; i < G_N_ELEMENTS(change); i++) {
        g_autoptr(GString) recipe = g_string_new(tool_recipe);
        g_assert_cmpuint(g_string_replace(recipe, change[i][0], change[i][1], 1), ==, 1);
        tool_write("bad.json", recipe->str);
        FAILS_SAYING(tool_expect(1, "train", "--recipe", "bad.json", "--data", "any", "--out", "x.seam", NULL), "bad.json", change[i][2]);
    }
}

static void test_results(void) {
    static const char *const bad[] = {"",     "hello\n", "{\"type\":\"weld\"}\n", "{\"type\":\"window\",\"time\":\"x\",\"duration\":1}\n",
                                      "[]\n", "{}\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        tool_write("bad.jsonl", bad[i]);
        FAILS_SAYING(tool_expect(1, "report", "--results", "bad.jsonl", "--out", "bad.html", NULL), "bad.jsonl");
    }
    g_autofree char *page = tool_path("bad.html");
    g_assert_false(g_file_test(page, G_FILE_TEST_EXISTS));
}

// Nothing good to learn from, and no defects to train heads with.
static void test_adapt(void) {
    need_model();
    write_run("only-bad", 60, NULL);
    tool_write("only-bad/manifest.csv", "run,group,label\nr1,g1,porosity\n");
    FAILS_SAYING(tool_expect(1, "adapt", "--model", "tiny.seam", "--data", "only-bad", "--out", "n.seam", NULL), "only-bad", "good");
    write_run("only-good", 60, NULL);
    FAILS_SAYING(tool_expect(1, "adapt", "--model", "tiny.seam", "--data", "only-good", "--out", "n.seam", "--steps", "5", NULL), "only-good",
                 "--steps");
    ToolRun fits = tool_expect(0, "adapt", "--model", "tiny.seam", "--data", "only-good", "--out", "n.seam", NULL);
    tool_clear(&fits);
}

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bad-input/model/missing", test_missing_model);
    g_test_add_func("/bad-input/model/truncated", test_truncated_weights);
    g_test_add_func("/bad-input/model/lying-header", test_lying_header);
    g_test_add_func("/bad-input/model/nan", test_nan_weights);
    g_test_add_func("/bad-input/model/shapes", test_wrong_shapes);
    g_test_add_func("/bad-input/model/json", test_wrong_json);
    g_test_add_func("/bad-input/model/calibration", test_wrong_calibration);
    g_test_add_func("/bad-input/model/adapter", test_wrong_adapter);
    g_test_add_func("/bad-input/data/none", test_no_data);
    g_test_add_func("/bad-input/data/csv", test_csv);
    g_test_add_func("/bad-input/data/empty-sensors", test_empty_sensors);
    g_test_add_func("/bad-input/data/64-channels", test_64_channels);
    g_test_add_func("/bad-input/media/one-frame", test_one_frame_video);
    g_test_add_func("/bad-input/media/broken", test_broken_media);
    g_test_add_func("/bad-input/media/not-a-picture", test_not_a_picture);
    g_test_add_func("/bad-input/recipe", test_recipes);
    g_test_add_func("/bad-input/results", test_results);
    g_test_add_func("/bad-input/adapt", test_adapt);
    int status = g_test_run();
    tool_clean();
    return status;
}
