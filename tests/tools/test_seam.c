// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The `seam` command as a user runs it: exit statuses, JSON, and the chain from synthetic welds over training, measuring and adapting to the report.
// Real welds where SEAM_DATA names them.
#include <glib/gstdio.h>
#include <string.h>

#include "core/files.h"
#include "tests/tools/tool.h"

static const char *const commands[] = {"train", "eval", "adapt", "quantize", "info", "synth", "report", "doctor"};

static void assert_has(const char *text, const char *part) {
    if (!strstr(text, part))
        g_test_message("\"%s\" is not in: %s", part, text);
    g_assert_nonnull(strstr(text, part));
}

// Ten tiny welds and a model that was trained on them for a few steps; made once.
static void need_chain(void) {
    g_autofree char *data = tool_path("data"), *model = tool_path("trained.seam");
    if (g_file_test(model, G_FILE_TEST_IS_DIR))
        return;
    tool_write("tiny.json", tool_recipe);
    ToolRun synth = tool_expect(0, "synth", "--out", "data", "--count", "10", "--seed", "5", "--good-share", "0.5", "--size", "96x64", "--fps", "6",
                                "--duration", "3..4", "--rate", "8000", "--classes", "good,porosity,burn_through,spatter", NULL);
    ToolRun train = tool_expect(0, "train", "--recipe", "tiny.json", "--data", "data", "--out", "trained.seam", NULL);
    assert_has(train.out, "trained.seam");
    tool_clear(&synth);
    tool_clear(&train);
}

static void test_usage(void) {
    ToolRun none = tool_expect(2, NULL, NULL), help = tool_expect(0, "--help", NULL), unknown = tool_expect(2, "tarin", NULL);
    assert_has(unknown.err, "tarin");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        ToolRun wrong = tool_expect(2, commands[i], "--no-such-option", NULL), own = tool_expect(0, commands[i], "--help", NULL);
        assert_has(help.out, commands[i]);
        assert_has(wrong.err, "--no-such-option");
        tool_clear(&wrong);
        tool_clear(&own);
    }
    tool_clear(&none);
    tool_clear(&help);
    tool_clear(&unknown);
}

static void test_missing_options(void) {
    static const char *const needing[] = {"train", "eval", "adapt", "quantize", "info", "report"};
    for (size_t i = 0; i < G_N_ELEMENTS(needing); i++) {
        ToolRun run = tool_expect(2, needing[i], NULL);
        g_assert_cmpstr(run.out, ==, "");
        tool_clear(&run);
    }
    ToolRun two = tool_expect(2, "adapt", "--model", "m", "--data", "d", "--out", "a", "--evaluate", NULL);
    ToolRun recall = tool_expect(2, "eval", "--model", "m", "--data", "d", "--recall", "2", NULL);
    assert_has(recall.err, "--recall");
    tool_clear(&two);
    tool_clear(&recall);
}

static void test_info(void) {
    need_chain();
    ToolRun table = tool_expect(0, "info", "--verify", "trained.seam", NULL),
            run = tool_expect(0, "info", "--json", "--verify", "trained.seam", NULL);
    JsonObject *o = tool_json(&run);
    assert_has(table.out, "burn_through");
    assert_has(table.out, "verified");
    g_assert_true(json_object_get_boolean_member(o, "verified"));
    g_assert_cmpint(json_object_get_int_member(o, "parameters"), >, 10000);
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(o, "modalities")), ==, 4);
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(o, "classes")), ==, 4);
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(o, "calibration")), ==, 8);
    g_assert_cmpuint(strlen(json_object_get_string_member(o, "fingerprint")), ==, 16);
    g_assert_cmpstr(json_object_get_string_member(json_object_get_object_member(o, "provenance"), "recipe"), ==, "tiny");
    json_object_unref(o);
    tool_clear(&table);
    tool_clear(&run);
}

// Every trained model has a card; eval writes it anew from a recipe's texts. What a terminal would obey is not printed.
static void test_card(void) {
    need_chain();
    ToolRun before = tool_expect(0, "info", "trained.seam", NULL);
    assert_has(before.out, "model card");
    assert_has(before.out, "the validation part");
    g_autofree char *open = g_strndup(tool_recipe, strlen(tool_recipe) - 1);
    g_autofree char *recipe = g_strconcat(open, ",\"card\":{\"licence\":\"CC0\",\"traps\":\"red \\u001b[31m day\"}}", NULL);
    tool_write("card.json", recipe);
    ToolRun eval = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--write-card", "card.json", NULL);
    ToolRun after = tool_expect(0, "info", "trained.seam", NULL), json = tool_expect(0, "info", "--json", "trained.seam", NULL);
    JsonObject *o = tool_json(&json), *card = json_object_get_object_member(o, "card");
    assert_has(after.out, "CC0");
    assert_has(after.out, "the folder data");
    assert_has(after.out, "accuracy");
    g_assert_null(strchr(after.out, 27));
    g_assert_cmpint(json_object_get_int_member(json_object_get_object_member(card, "figures"), "n"), ==, 10);
    g_assert_cmpint(json_object_get_int_member(json_object_get_object_member(card, "split"), "train"), >, 0);
    json_object_unref(o);
    tool_clear(&before);
    tool_clear(&eval);
    tool_clear(&after);
    tool_clear(&json);
}

static int32_t count_text(const char *text, const char *part) {
    int32_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static void test_eval(void) {
    need_chain();
    ToolRun run = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--json", "--results", "eval.jsonl", NULL);
    JsonObject *o = tool_json(&run);
    static const char *const keys[] = {"accuracy", "macro_f1", "auroc", "ece", "false_reject_rate", "average_precision", "window_accuracy"};
    g_autofree char *path = tool_path("eval.jsonl"), *results = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        double value = json_object_get_double_member_with_default(o, keys[i], -1);
        g_assert_true(value >= 0 && value <= 1);
    }
    g_assert_cmpint(json_object_get_int_member(o, "n"), ==, 10);
    g_assert_false(json_object_get_boolean_member(o, "good_against_defect"));
    JsonArray *range = json_object_get_array_member(json_object_get_object_member(o, "interval"), "accuracy");
    double accuracy = json_object_get_double_member(o, "accuracy");
    g_assert_true(json_array_get_double_element(range, 0) <= accuracy && accuracy <= json_array_get_double_element(range, 1));
    g_assert_true(json_object_has_member(json_object_get_object_member(json_object_get_object_member(o, "promise"), "miss"), "held"));
    g_assert_true(g_file_get_contents(path, &results, NULL, NULL));
    g_assert_cmpint(count_text(results, "{\"type\":\"weld\""), ==, 10);
    g_assert_cmpint(count_text(results, "\"arc_on\":true"), >=, 20);
    json_object_unref(o);
    tool_clear(&run);
}

// What is held is measured and nothing else: by fold as an object with verdicts beside it, by column as a table.
static void test_train_held(void) {
    need_chain();
    ToolRun fold = tool_expect(0, "train", "--recipe", "tiny.json", "--data", "data", "--out", "held.seam", "--steps", "2", "--fold", "2/3", "--json", "--results",
                               "held.jsonl", NULL);
    ToolRun run = tool_expect(0, "train", "--recipe", "tiny.json", "--data", "data", "--out", "held.seam", "--steps", "2", "--hold", "label=porosity", NULL);
    ToolRun wrong = tool_expect(2, "train", "--recipe", "tiny.json", "--data", "data", "--out", "no.seam", "--fold", "6/5", NULL);
    ToolRun none = tool_expect(1, "train", "--recipe", "tiny.json", "--data", "data", "--out", "no.seam", "--hold", "label=slag", NULL);
    ToolRun info = tool_expect(0, "info", "--json", "held.seam", NULL);
    JsonObject *o = tool_json(&fold), *of = tool_json(&info), *provenance = json_object_get_object_member(of, "provenance");
    g_autofree char *path = tool_path("held.jsonl"), *results = NULL;
    int64_t n = json_object_get_int_member(o, "n");
    g_assert_cmpint(n, >, 0);
    g_assert_cmpint(n, <, 10);
    g_assert_true(g_file_get_contents(path, &results, NULL, NULL));
    g_assert_cmpint(count_text(results, "{\"type\":\"weld\""), ==, n);
    assert_has(run.out, " 0 good");
    assert_has(none.err, "\"porosity\"");
    assert_has(json_object_get_string_member(provenance, "command"), "--hold label=porosity");
    g_assert_cmpint(json_object_get_int_member(provenance, "held") + json_object_get_int_member(provenance, "trained_on") +
                        json_object_get_int_member(provenance, "validated_on") + json_object_get_int_member(provenance, "calibrated_on"), ==, 10);
    json_object_unref(o);
    json_object_unref(of);
    for (ToolRun *const *r = (ToolRun *const[]){&fold, &run, &wrong, &none, &info, NULL}; *r; r++)
        tool_clear(*r);
}

// One modality alone; the human table; a modality that the model does not have.
static void test_eval_only(void) {
    need_chain();
    ToolRun sound = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--only", "sound", "--results", "sound.jsonl", NULL);
    g_autofree char *path = tool_path("sound.jsonl"), *results = NULL;
    g_assert_true(g_file_get_contents(path, &results, NULL, NULL));
    assert_has(results, "\"present\":[\"sound\"]");
    g_assert_null(strstr(results, "\"present\":[\"video\""));
    assert_has(sound.out, "confusion");
    assert_has(sound.out, "precision");
    ToolRun wrong = tool_expect(1, "eval", "--model", "trained.seam", "--data", "data", "--only", "smell", NULL);
    assert_has(wrong.err, "smell");
    assert_has(wrong.err, "sensors");
    tool_clear(&sound);
    tool_clear(&wrong);
}

// A demanded rate takes the place of the promised one, from the scores that the model keeps.
static void test_eval_demand(void) {
    need_chain();
    ToolRun run = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--json", "--demand-miss", "0.9", "--demand-reject", "0.8",
                              "--bootstrap", "0", NULL);
    JsonObject *o = tool_json(&run), *promise = json_object_get_object_member(o, "promise");
    g_assert_cmpfloat(json_object_get_double_member(json_object_get_object_member(promise, "miss"), "promised"), ==, 0.9);
    g_assert_cmpfloat(json_object_get_double_member(json_object_get_object_member(promise, "false_reject"), "promised"), ==, 0.8);
    g_assert_false(json_object_has_member(o, "interval"));
    ToolRun wrong = tool_expect(2, "eval", "--model", "trained.seam", "--data", "data", "--demand-miss", "1.5", NULL);
    assert_has(wrong.err, "--demand-miss");
    json_object_unref(o);
    tool_clear(&run);
    tool_clear(&wrong);
}

static int64_t referred(const char *effort, const char *said) {
    ToolRun run = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--json", "--bootstrap", "0", "--effort", effort, NULL);
    JsonObject *o = tool_json(&run);
    int64_t n = json_object_get_int_member(json_object_get_object_member(o, "decisions"), "refer");
    g_assert_cmpstr(json_object_get_string_member_with_default(o, "effort", "full"), ==, said);
    json_object_unref(o);
    tool_clear(&run);
    return n;
}

// A model with an effort is judged at it unless all of the work is asked for; thresholds that were not made at it decide nothing.
static void test_eval_effort(void) {
    need_chain();
    g_autofree char *path = tool_path("trained.seam/model.json"), *plain = NULL;
    g_assert_true(g_file_get_contents(path, &plain, NULL, NULL));
    g_auto(GStrv) parts = g_strsplit(plain, "\"top_fraction\"", 2);
    g_autofree char *with = g_strconcat(parts[0],
                                        "\"effort\": {\"expert_mass\": 0.5, \"exit_margin\": 0, \"loss\": 0.02}, \"top_fraction\"", parts[1], NULL);
    int64_t before = referred("calibrated", "full");
    tool_write("trained.seam/model.json", with);
    g_assert_cmpint(referred("full", "full"), ==, before);
    g_assert_cmpint(referred("calibrated", "calibrated"), ==, 10);
    ToolRun info = tool_expect(0, "info", "trained.seam", NULL), table = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", NULL);
    assert_has(info.out, "calibrated effort: of a token's experts those that hold 0.5");
    assert_has(table.out, "--effort full");
    tool_write("trained.seam/model.json", plain);
    ToolRun wrong = tool_expect(2, "eval", "--model", "trained.seam", "--data", "data", "--effort", "other", NULL);
    assert_has(wrong.err, "--effort must be calibrated or full");
    tool_clear(&info);
    tool_clear(&table);
    tool_clear(&wrong);
}

// Explanations and shortcuts, as JSON and as tables.
static void test_eval_trust(void) {
    need_chain();
    ToolRun run = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--json", "--deletion", "--probe", NULL);
    JsonObject *o = tool_json(&run), *deletion = json_object_get_object_member(o, "deletion");
    JsonObject *modalities = json_object_get_object_member(deletion, "modalities");
    JsonArray *probe = json_object_get_array_member(o, "probe");
    g_assert_cmpint(json_object_get_int_member(modalities, "n"), ==, 10);
    g_assert_true(json_object_has_member(modalities, "difference"));
    g_assert_true(json_object_has_member(json_object_get_object_member(deletion, "pictures"), "heat_in_boxes"));
    g_assert_cmpstr(json_object_get_string_member(json_array_get_object_element(probe, 0), "feature"), ==, "duration");
    ToolRun table = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--deletion", "--probe", NULL);
    assert_has(table.out, "highest modality");
    assert_has(table.out, "file size");
    assert_has(table.out, "all together");
    json_object_unref(o);
    tool_clear(&run);
    tool_clear(&table);
}

static void test_eval_repeats(void) {
    need_chain();
    ToolRun first = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--json", NULL);
    ToolRun again = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--json", NULL);
    g_assert_cmpstr(first.out, ==, again.out);
    tool_clear(&first);
    tool_clear(&again);
}

static void test_adapt_evaluate(void) {
    need_chain();
    ToolRun run = tool_expect(0, "adapt", "--model", "trained.seam", "--data", "data", "--evaluate", "--json", NULL);
    JsonObject *o = tool_json(&run);
    JsonArray *subsets = json_object_get_array_member(o, "subsets");
    g_assert_cmpuint(json_array_get_length(subsets), ==, 5);
    for (guint i = 0; i < 5; i++) {
        JsonObject *adapted = json_object_get_object_member(json_array_get_object_element(subsets, i), "adapted");
        double low = json_object_get_double_member(adapted, "low"), auroc = json_object_get_double_member(adapted, "auroc");
        g_assert_true(low >= 0 && low <= auroc && auroc <= json_object_get_double_member(adapted, "high"));
    }
    g_assert_cmpint(json_object_get_int_member(o, "groups"), >=, 2);
    json_object_unref(o);
    tool_clear(&run);
}

// An adapted model decides by the anomaly, keeps the base's weights, and its adapter alone does the same.
static void test_adapt(void) {
    need_chain();
    ToolRun adapt = tool_expect(0, "adapt", "--model", "trained.seam", "--data", "data", "--out", "adapted.seam", "--json", NULL);
    ToolRun single = tool_expect(0, "adapt", "--model", "trained.seam", "--data", "data", "--adapter", "anomaly.safetensors", NULL);
    ToolRun base = tool_expect(0, "info", "--json", "trained.seam", NULL), info = tool_expect(0, "info", "--json", "--verify", "adapted.seam", NULL);
    ToolRun whole = tool_expect(0, "eval", "--model", "adapted.seam", "--data", "data", "--json", NULL);
    ToolRun part = tool_expect(0, "eval", "--model", "trained.seam", "--adapter", "anomaly.safetensors", "--data", "data", "--json", NULL);
    JsonObject *before = tool_json(&base), *after = tool_json(&info);
    g_assert_cmpstr(json_object_get_string_member(before, "score"), ==, "classify");
    g_assert_cmpstr(json_object_get_string_member(after, "score"), ==, "anomaly");
    g_assert_cmpstr(json_object_get_string_member(before, "fingerprint"), ==, json_object_get_string_member(after, "fingerprint"));
    g_assert_cmpstr(whole.out, ==, part.out);
    json_object_unref(before);
    json_object_unref(after);
    ToolRun *all[] = {&adapt, &single, &base, &info, &whole, &part};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        tool_clear(all[i]);
}

// Training the heads leaves all below them: the fingerprint, which is of the weights without the tasks, stays.
static void test_adapt_heads(void) {
    need_chain();
    ToolRun adapt =
        tool_expect(0, "adapt", "--model", "trained.seam", "--data", "data", "--out", "heads.seam", "--steps", "4", "--score", "classify", NULL);
    ToolRun base = tool_expect(0, "info", "--json", "trained.seam", NULL), info = tool_expect(0, "info", "--json", "--verify", "heads.seam", NULL);
    JsonObject *before = tool_json(&base), *after = tool_json(&info);
    g_autofree char *old_path = tool_path("trained.seam/adapters/classify.safetensors"),
                    *new_path = tool_path("heads.seam/adapters/classify.safetensors");
    g_autofree char *old_head = NULL, *new_head = NULL;
    gsize old_size, new_size;
    g_assert_true(g_file_get_contents(old_path, &old_head, &old_size, NULL) && g_file_get_contents(new_path, &new_head, &new_size, NULL));
    g_assert_cmpstr(json_object_get_string_member(before, "fingerprint"), ==, json_object_get_string_member(after, "fingerprint"));
    g_assert_true(old_size == new_size && memcmp(old_head, new_head, old_size) != 0);
    json_object_unref(before);
    json_object_unref(after);
    tool_clear(&adapt);
    tool_clear(&base);
    tool_clear(&info);
}

// Another turn from a trained model: its normalisation stays and its parameters move; a recipe of other classes is refused.
static int64_t weights_size(const char *model) {
    g_autofree char *folder = tool_path(model), *path = g_build_filename(folder, "weights.safetensors", NULL);
    GStatBuf s;
    g_assert_cmpint(g_stat(path, &s), ==, 0);
    return s.st_size;
}

// A quarter of the size, near the same answers; info tells what was done; what comes after works on it as on any other.
static void test_quantize(void) {
    need_chain();
    ToolRun run = tool_expect(0, "quantize", "--model", "trained.seam", "--data", "data", "--recipe", "tiny.json", "--out", "q.seam", "--loss", "20", "--json", NULL);
    JsonObject *o = tool_json(&run);
    JsonArray *groups = json_object_get_array_member(o, "groups");
    int32_t narrow = 0;
    for (guint i = 0; i < json_array_get_length(groups); i++)
        narrow += !json_object_get_boolean_member(json_array_get_object_element(groups, i), "kept");
    g_assert_cmpint(narrow, >, 5);
    g_assert_cmpint(json_object_get_int_member(o, "records"), >, 0);
    double difference = json_object_get_double_member(o, "difference");
    g_assert_true(difference > 0 && difference < 0.2);
    g_assert_true(json_object_get_double_member(o, "loss") <= 20);
    g_assert_cmpint(weights_size("q.seam"), <, weights_size("trained.seam") * 7 / 10);
    json_object_unref(o);
    ToolRun info = tool_expect(0, "info", "--verify", "q.seam", NULL), eval = tool_expect(0, "eval", "--model", "q.seam", "--data", "data", "--json", NULL);
    assert_has(info.out, "quantised");
    assert_has(info.out, "in 8 bits");
    ToolRun adapt = tool_expect(0, "adapt", "--model", "q.seam", "--data", "data", "--out", "qa.seam", NULL);
    g_assert_cmpint(weights_size("qa.seam"), ==, weights_size("q.seam")); // stays what it is
    ToolRun again = tool_expect(1, "quantize", "--model", "q.seam", "--data", "data", "--out", "qq.seam", NULL);
    assert_has(again.err, "quantised already");
    ToolRun fold = tool_expect(2, "quantize", "--model", "q.seam", "--data", "data", "--out", "qq.seam", "--fold", "1/2", NULL);
    assert_has(fold.err, "--recipe");
    tool_write("one.txt", "no-such-weld\n");
    ToolRun none = tool_expect(1, "quantize", "--model", "trained.seam", "--data", "data", "--out", "qq.seam", "--records", "one.txt", NULL);
    assert_has(none.err, "no-such-weld");
    ToolRun *const runs[] = {&run, &info, &eval, &adapt, &again, &fold, &none};
    for (size_t i = 0; i < G_N_ELEMENTS(runs); i++)
        tool_clear(runs[i]);
}

static void test_train_start(void) {
    need_chain();
    ToolRun on = tool_expect(0, "train", "--recipe", "tiny.json", "--data", "data", "--start", "trained.seam", "--steps", "2", "--out", "on.seam", NULL);
    g_autofree char *first = tool_path("trained.seam/model.json"), *second = tool_path("on.seam/model.json"), *weights = tool_path("trained.seam/weights.safetensors"),
                    *moved = tool_path("on.seam/weights.safetensors"), *was = NULL, *is = NULL;
    gsize was_size, is_size;
    JsonObject *a = seam_json_read(first, NULL), *b = seam_json_read(second, NULL);
    g_autofree char *config_a = seam_json_print(json_object_get_object_member(a, "config")), *config_b = seam_json_print(json_object_get_object_member(b, "config"));
    g_assert_cmpstr(config_a, ==, config_b);
    g_assert_true(g_file_get_contents(weights, &was, &was_size, NULL) && g_file_get_contents(moved, &is, &is_size, NULL));
    g_assert_cmpuint(was_size, ==, is_size);
    g_assert_cmpint(memcmp(was, is, was_size), !=, 0);
    assert_has(json_object_get_string_member(json_object_get_object_member(b, "provenance"), "command"), "--start trained.seam");
    g_auto(GStrv) halves = g_strsplit(tool_recipe, "\"spatter\"", 2);
    g_autofree char *other = g_strjoinv("\"overlap\"", halves);
    tool_write("other.json", other);
    ToolRun refused = tool_expect(1, "train", "--recipe", "other.json", "--data", "data", "--start", "trained.seam", "--out", "no.seam", NULL);
    assert_has(refused.err, "trained.seam: its classes or modalities are not those of other.json");
    json_object_unref(a);
    json_object_unref(b);
    tool_clear(&on);
    tool_clear(&refused);
}

static void test_report(void) {
    need_chain();
    ToolRun eval = tool_expect(0, "eval", "--model", "trained.seam", "--data", "data", "--results", "welds.jsonl", NULL);
    ToolRun run =
        tool_expect(0, "report", "--results", "welds.jsonl", "--data", "data", "--out", "report.html", "--title", "A & B", "--most", "3", NULL);
    g_autofree char *path = tool_path("report.html"), *page = NULL;
    g_assert_true(g_file_get_contents(path, &page, NULL, NULL));
    assert_has(page, "<h1>A &amp; B</h1>");
    assert_has(page, "data:image/jpeg;base64,");
    assert_has(page, "class=\"trace\"");
    assert_has(page, "Primary Weld Current");
    g_assert_cmpint(count_text(page, "<section class=\"weld\""), ==, 3);
    g_assert_cmpint(count_text(page, "<tr><td>"), ==, 10);
    g_assert_null(strstr(page, "http"));
    g_assert_null(strstr(page, "<script"));
    tool_clear(&eval);
    tool_clear(&run);
}

// Text out of the results is text on the page, whatever it says; a source never leads out of the data folder.
static void test_report_escapes(void) {
    tool_write("evil.jsonl", "{\"type\":\"window\",\"time\":0,\"duration\":1,\"score\":null,\"boxes\":[3]}\n"
                             "{\"type\":\"weld\",\"time\":0,\"duration\":2,\"source\":\"../<script>alert('1')</"
                             "script>\",\"decision\":\"<b>\",\"reason\":\"\\\"><img src=x>\","
                             "\"class\":7,\"probabilities\":{\"<i>\":0.5,\"x\":\"y\"},\"contributions\":[1],\"experts\":[{\"expert\":1,\"share\":5}],"
                             "\"missing\":[\"<u>\",1]}\n");
    ToolRun run = tool_expect(0, "report", "--results", "evil.jsonl", "--data", ".", "--out", "evil.html", NULL);
    g_autofree char *path = tool_path("evil.html"), *page = NULL;
    g_assert_true(g_file_get_contents(path, &page, NULL, NULL));
    assert_has(page, "&lt;script&gt;alert(&#39;1&#39;)");
    static const char *const never[] = {"<script", "<img src=x", "<i>", "<u>", "badge <b>"};
    for (size_t i = 0; i < G_N_ELEMENTS(never); i++)
        g_assert_null(strstr(page, never[i]));
    tool_clear(&run);
}

static void test_doctor(void) {
    need_chain();
    ToolRun run = tool_expect(0, "doctor", "--json", "trained.seam", NULL), table = tool_expect(0, "doctor", NULL);
    JsonObject *o = tool_json(&run);
    g_assert_true(json_object_get_boolean_member(o, "ok"));
    g_assert_cmpint(json_object_get_int_member(o, "threads"), >=, 1);
    g_assert_true(json_object_has_member(json_object_get_object_member(o, "kernels"), "gemm"));
    assert_has(table.out, "GPU");
    assert_has(table.out, "gemm");
    json_object_unref(o);
    tool_clear(&run);
    tool_clear(&table);
}

static void assert_pipeline(int status, const char *pipeline, const char *said, const char *remedy) {
    ToolRun run = tool_expect(status, "doctor", "--pipeline", pipeline, NULL);
    assert_has(run.out, said);
    assert_has(run.out, remedy);
    tool_clear(&run);
}

static void test_doctor_pipeline(void) {
    need_chain();
    assert_pipeline(1, "videotestsrc ! vidoconvert ! fakesink", "no element \"vidoconvert\"", "videoconvert");
    assert_pipeline(1, "videotestsrc num-bufers=3 ! fakesink", "no property \"num-bufers\"", "num-buffers");
    assert_pipeline(1, "videotestsrc pattern=snoww ! fakesink", "pattern is \"snoww\"", "snow");
    assert_pipeline(1, "videotestsrc ! audioconvert ! fakesink", "video/x-raw", "do not convert");
    assert_pipeline(1, "videotestsrc ! nosuchcodec_enc ! fakesink", "no element \"nosuchcodec_enc\"", "apt-cache");
    assert_pipeline(1, "audiotestsrc num-buffers=4 ! audio/x-raw,format=S16LE ! seamsensorembed model=trained.seam modality=sound ! fakesink",
                    "field \"format\"", "audioconvert");
    assert_pipeline(1, "videotestsrc num-buffers=4 ! seamvideoembed model=trained.seam modality=video ! seamdecoder model=trained.seam ! fakesink",
                    "field \"stage\"", "seamfusion");
    assert_pipeline(1, "filesrc location=nowhere.avi ! decodebin ! fakesink", "nowhere.avi", "->");
    assert_pipeline(0, "gst-launch-1.0 -q videotestsrc num-buffers=4 ! videoconvert ! fakesink", "every sink", "right");
}

// A pipeline that is looked at writes nothing.
static void test_doctor_writes_nothing(void) {
    tool_write("keep.txt", "mine");
    ToolRun run = tool_expect(0, "doctor", "--pipeline", "videotestsrc num-buffers=2 ! jpegenc ! filesink location=keep.txt", NULL);
    g_autofree char *path = tool_path("keep.txt"), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "mine");
    tool_clear(&run);
}

// Real welds are read whole and judged; without video, and with photographs.
static void test_real_data(void) {
    g_autofree char *data = g_getenv("SEAM_DATA") ? g_build_filename(g_getenv("SEAM_DATA"), "weld-runs", NULL) : NULL;
    if (!data || !g_file_test(data, G_FILE_TEST_IS_DIR)) {
        g_test_skip("SEAM_DATA does not name the real welds");
        return;
    }
    need_chain();
    ToolRun run = tool_expect(0, "eval", "--model", "trained.seam", "--data", data, "--json", "--only", "sound,photo,sensors", NULL);
    JsonObject *o = tool_json(&run);
    g_assert_cmpint(json_object_get_int_member(o, "n"), ==, 20);
    g_assert_cmpint(json_object_get_int_member(o, "good"), ==, 14);
    g_assert_true(json_object_get_boolean_member(o, "good_against_defect"));
    g_assert_true(json_object_has_member(o, "auroc"));
    json_object_unref(o);
    tool_clear(&run);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/seam/usage", test_usage);
    g_test_add_func("/seam/missing-options", test_missing_options);
    g_test_add_func("/seam/info", test_info);
    g_test_add_func("/seam/eval", test_eval);
    g_test_add_func("/seam/train-held", test_train_held);
    g_test_add_func("/seam/eval/only", test_eval_only);
    g_test_add_func("/seam/eval/repeats", test_eval_repeats);
    g_test_add_func("/seam/eval/demand", test_eval_demand);
    g_test_add_func("/seam/eval/effort", test_eval_effort);
    g_test_add_func("/seam/eval/trust", test_eval_trust);
    g_test_add_func("/seam/card", test_card);
    g_test_add_func("/seam/adapt/evaluate", test_adapt_evaluate);
    g_test_add_func("/seam/adapt", test_adapt);
    g_test_add_func("/seam/adapt/heads", test_adapt_heads);
    g_test_add_func("/seam/quantize", test_quantize);
    g_test_add_func("/seam/train/start", test_train_start);
    g_test_add_func("/seam/report", test_report);
    g_test_add_func("/seam/report/escapes", test_report_escapes);
    g_test_add_func("/seam/doctor", test_doctor);
    g_test_add_func("/seam/doctor/pipeline", test_doctor_pipeline);
    g_test_add_func("/seam/doctor/writes-nothing", test_doctor_writes_nothing);
    g_test_add_func("/seam/real-data", test_real_data);
    int status = g_test_run();
    tool_clean();
    return status;
}
