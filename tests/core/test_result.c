// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The JSON of results as json-glib reads it: the keys of docs/results-format.md, escaping, and
// numbers that are not finite.
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "core/result.h"

static SeamConfig *new_config(void) {
    SeamConfig *c = g_new0(SeamConfig, 1);
    const char *const modalities[] = {"video", "sensors", "text"}, *const classes[] = {
                                                                       "good", "porosity",
                                                                       "crater \"x\""};
    c->n_modalities = 3;
    c->n_classes = 3;
    c->experts = 8;
    for (int i = 0; i < 3; i++) {
        g_strlcpy(c->modality[i].name, modalities[i], SEAM_NAME_LENGTH);
        g_strlcpy(c->class_name[i], classes[i], SEAM_NAME_LENGTH);
    }
    return c;
}

static JsonObject *parse(char *text, JsonParser **parser) {
    GError *error = NULL;
    g_assert_null(strchr(text, '\n'));
    *parser = json_parser_new();
    json_parser_load_from_data(*parser, text, -1, &error);
    g_assert_no_error(error);
    g_free(text);
    return json_node_get_object(json_parser_get_root(*parser));
}

// The members' names in order, with commas.
static char *keys_of(JsonObject *object) {
    GString *keys = g_string_new(NULL);
    GList *members = json_object_get_members(object);
    for (GList *l = members; l; l = l->next)
        g_string_append_printf(keys, "%s%s", keys->len ? "," : "", (const char *)l->data);
    g_list_free(members);
    return g_string_free(keys, FALSE);
}

static void assert_keys(JsonObject *object, const char *want) {
    char *keys = keys_of(object);
    g_assert_cmpstr(keys, ==, want);
    g_free(keys);
}

static void assert_names(JsonObject *object, const char *member, const char *want) {
    JsonArray *array = json_object_get_array_member(object, member);
    GString *names = g_string_new(NULL);
    for (guint i = 0; i < json_array_get_length(array); i++)
        g_string_append_printf(names, "%s%s", i ? "," : "",
                               json_array_get_string_element(array, i));
    g_assert_cmpstr(names->str, ==, want);
    g_string_free(names, TRUE);
}

static SeamWindowResult *new_window(void) {
    SeamWindowResult *r = g_new0(SeamWindowResult, 1);
    r->time = 12.5;
    r->duration = 0.5;
    r->present = 3;
    r->missing = 4;
    r->probability[0] = 0.25f;
    r->probability[2] = 0.75f;
    r->score = 1.0986f;
    r->contribution[0] = 2;
    r->contribution[1] = -0.5f;
    r->anomaly = 3.5f;
    r->anomaly_of[0] = NAN;
    r->anomaly_of[1] = 3.5f;
    const float use[8] = {0.1f, 0.3f, 0, 0.2f, 0.3f, 0.1f, 0, 0};
    memcpy(r->expert_use, use, sizeof use);
    r->heat_w = 3;
    r->heat_h = 2;
    r->heat_of = SEAM_TASK_LOCALISE;
    r->heat_time = 12.625;
    r->heat[4] = 0.875f;
    r->n_boxes = r->n_shown = 1;
    r->box[0] = (SeamBox){0.5f, 0.25f, 0.125f, 0.0625f, 0.875f, 1};
    r->has_classify = r->has_anomaly = r->arc_on = true;
    return r;
}

static void test_window(void) {
    SeamConfig *config = new_config();
    SeamWindowResult *r = new_window();
    JsonParser *parser;
    JsonObject *o = parse(seam_window_result_print(r, config, "0123456789abcdef"), &parser);
    assert_keys(o, "type,version,time,duration,arc_on,class,confidence,score,probabilities,"
                   "contributions,anomaly,boxes,heat,"
                   "experts,present,missing,model");
    g_assert_cmpstr(json_object_get_string_member(o, "type"), ==, "window");
    g_assert_cmpint(json_object_get_int_member(o, "version"), ==, 1);
    g_assert_cmpfloat(json_object_get_double_member(o, "time"), ==, 12.5);
    g_assert_true(json_object_get_boolean_member(o, "arc_on"));
    g_assert_cmpstr(json_object_get_string_member(o, "class"), ==, "crater \"x\"");
    g_assert_cmpfloat(json_object_get_double_member(o, "confidence"), ==, 0.75);
    assert_keys(json_object_get_object_member(o, "probabilities"), "good,porosity,crater \"x\"");
    assert_keys(json_object_get_object_member(o, "contributions"), "video,sensors");
    JsonObject *anomaly = json_object_get_object_member(o, "anomaly");
    assert_keys(json_object_get_object_member(anomaly, "modalities"), "sensors");
    assert_names(o, "present", "video,sensors");
    assert_names(o, "missing", "text");
    g_assert_cmpstr(json_object_get_string_member(o, "model"), ==, "0123456789abcdef");
    g_object_unref(parser);
    g_free(r);
    g_free(config);
}

static void test_window_lists(void) {
    SeamConfig *config = new_config();
    SeamWindowResult *r = new_window();
    JsonParser *parser;
    JsonObject *o = parse(seam_window_result_print(r, config, ""), &parser);
    JsonObject *box = json_array_get_object_element(json_object_get_array_member(o, "boxes"), 0);
    assert_keys(box, "class,score,x,y,w,h");
    g_assert_cmpstr(json_object_get_string_member(box, "class"), ==, "porosity");
    g_assert_cmpfloat(json_object_get_double_member(box, "h"), ==, 0.0625);
    JsonObject *heat = json_object_get_object_member(o, "heat");
    assert_keys(heat, "modality,time,w,h,max,of");
    g_assert_cmpfloat(json_object_get_double_member(heat, "max"), ==, 0.875);
    g_assert_cmpfloat(json_object_get_double_member(heat, "time"), ==, 12.625);
    JsonArray *experts = json_object_get_array_member(o, "experts");
    const int64_t want[] = {1, 4, 3, 0};
    g_assert_cmpuint(json_array_get_length(experts), ==, 4);
    for (guint i = 0; i < 4; i++)
        g_assert_cmpint(
            json_object_get_int_member(json_array_get_object_element(experts, i), "expert"), ==,
            want[i]);
    g_object_unref(parser);
    g_free(r);
    g_free(config);
}

// What no task said is not there; lists are, though empty.
static void test_window_bare(void) {
    SeamConfig *config = new_config();
    SeamWindowResult *r = g_new0(SeamWindowResult, 1);
    JsonParser *parser;
    JsonObject *o = parse(seam_window_result_print(r, config, ""), &parser);
    assert_keys(o, "type,version,time,duration,arc_on,boxes,experts,present,missing,model");
    assert_names(o, "present", "");
    g_object_unref(parser);
    r->level = 3;
    o = parse(seam_window_result_print(r, config, ""), &parser);
    assert_keys(o, "type,version,time,duration,arc_on,boxes,experts,present,missing,level,model");
    g_assert_cmpint(json_object_get_int_member(o, "level"), ==, 3);
    g_object_unref(parser);
    r->level = 0;
    r->effort = SEAM_EFFORT_CALIBRATED;
    o = parse(seam_window_result_print(r, config, ""), &parser);
    assert_keys(o, "type,version,time,duration,arc_on,boxes,experts,present,missing,effort,model");
    g_assert_cmpstr(json_object_get_string_member(o, "effort"), ==, "calibrated");
    g_object_unref(parser);
    g_free(r);
    g_free(config);
}

static SeamVerdict *new_verdict(void) {
    SeamVerdict *v = g_new0(SeamVerdict, 1);
    v->number = 7;
    g_strlcpy(v->source, "cell \"A\"\\\n\x01 \xc3\x9f \xff", sizeof v->source);
    v->start = 86400.000001;
    v->end = 86410;
    v->bounds = "arc";
    v->decision = SEAM_REJECT;
    v->reason = "porosity is certain";
    v->class_index = 1;
    v->confidence = 0.5f;
    v->score = INFINITY;
    v->pass_below = NAN;
    v->reject_above = 2;
    v->anomaly = NAN;
    v->place = 0.25f;
    v->present = 5;
    v->windows = 20;
    v->clock_reference = 1;
    v->clock_offset[0] = 0.125;
    v->clock_offset[2] = NAN;
    return v;
}

static void test_verdict(void) {
    SeamConfig *config = new_config();
    SeamVerdict *v = new_verdict();
    JsonParser *parser;
    JsonObject *o = parse(seam_verdict_print(v, config, "f"), &parser);
    assert_keys(
        o, "type,version,number,source,time,duration,bounds,decision,reason,class,confidence,score,"
           "score_of,thresholds,"
           "anomaly,probabilities,place,contributions,experts,present,missing,windows,clock,model");
    g_assert_cmpint(json_object_get_int_member(o, "number"), ==, 7);
    // Escaped, and bytes that are not UTF-8 replaced by U+FFFD.
    g_assert_cmpstr(json_object_get_string_member(o, "source"), ==,
                    "cell \"A\"\\\n\x01 \xc3\x9f \xef\xbf\xbd");
    g_assert_cmpfloat_with_epsilon(json_object_get_double_member(o, "time"), 86400.000001, 1e-7);
    g_assert_cmpstr(json_object_get_string_member(o, "decision"), ==, "reject");
    g_assert_true(json_object_get_null_member(o, "score"));
    JsonObject *thresholds = json_object_get_object_member(o, "thresholds");
    g_assert_true(json_object_get_null_member(thresholds, "pass_below"));
    g_assert_cmpfloat(json_object_get_double_member(thresholds, "reject_above"), ==, 2);
    g_assert_true(
        json_object_get_null_member(json_object_get_object_member(o, "anomaly"), "score"));
    assert_keys(json_object_get_object_member(o, "place"), "time,along");
    JsonObject *clock = json_object_get_object_member(o, "clock");
    g_assert_cmpstr(json_object_get_string_member(clock, "reference"), ==, "sensors");
    assert_keys(json_object_get_object_member(clock, "offsets"), "video");
    g_assert_cmpint(json_object_get_array_member(o, "experts") ? 1 : 0, ==, 1);
    g_object_unref(parser);
    g_free(v);
    g_free(config);
}

static void test_verdict_no_clock(void) {
    SeamConfig *config = new_config();
    SeamVerdict *v = new_verdict();
    JsonParser *parser;
    v->clock_reference = -1;
    v->bounds = v->reason = NULL;
    v->level = 5;
    v->effort = SEAM_EFFORT_OTHER;
    JsonObject *o = parse(seam_verdict_print(v, config, "f"), &parser);
    JsonObject *clock = json_object_get_object_member(o, "clock");
    g_assert_true(json_object_get_null_member(clock, "reference"));
    assert_keys(json_object_get_object_member(clock, "offsets"), "");
    g_assert_cmpstr(json_object_get_string_member(o, "reason"), ==, "");
    g_assert_cmpint(json_object_get_int_member(o, "level"), ==, 5);
    g_assert_cmpstr(json_object_get_string_member(o, "effort"), ==, "other");
    g_object_unref(parser);
    g_free(v);
    g_free(config);
}

static void test_decision_names(void) {
    g_assert_cmpstr(seam_decision_name(SEAM_PASS), ==, "pass");
    g_assert_cmpstr(seam_decision_name(SEAM_REJECT), ==, "reject");
    g_assert_cmpstr(seam_decision_name(SEAM_REFER), ==, "refer");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/result/window", test_window);
    g_test_add_func("/result/window/lists", test_window_lists);
    g_test_add_func("/result/window/bare", test_window_bare);
    g_test_add_func("/result/verdict", test_verdict);
    g_test_add_func("/result/verdict/no-clock", test_verdict_no_clock);
    g_test_add_func("/result/decisions", test_decision_names);
    return g_test_run();
}
