// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Cards: what is made is accepted, and what is too long, unknown or no figure is refused by name.
#include <glib.h>
#include <string.h>

#include "core/card.h"
#include "core/error.h"
#include "core/files.h"

static bool check(const char *text, bool texts_only, GError **error) {
    JsonObject *card = seam_json_parse(text, "test", error);
    g_assert_nonnull(card);
    bool ok = seam_card_check(card, "test", texts_only, error);
    json_object_unref(card);
    return ok;
}

static void test_accepts(void) {
    static const char *const good[] = {
        "{}", "{\"data\":\"welds\",\"licence\":\"CC0\",\"intended_use\":\"\",\"limits\":\"\",\"traps\":\"the day\"}",
        "{\"split\":{\"train\":10,\"held\":2},\"figures\":{\"of\":\"x\",\"accuracy\":0.5,\"interval\":{\"accuracy\":[0.4,0.6]},"
        "\"promise\":{\"miss\":{\"held\":true,\"low\":0},\"shares\":{\"good\":{\"pass\":1}}}}}"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        GError *error = NULL;
        g_assert_true(check(good[i], false, &error));
        g_assert_no_error(error);
    }
    g_assert_true(check(good[1], true, NULL));
    g_assert_false(check(good[2], true, NULL)); // a recipe cannot say what was measured
}

static void test_refuses(void) {
    static const struct {
        const char *text, *names;
    } bad[] = {{"{\"colour\":\"red\"}", "colour"},
               {"{\"data\":7}", "data"},
               {"{\"split\":{\"train\":\"many\"}}", "train"},
               {"{\"figures\":[]}", "figures"},
               {"{\"split\":{\"train\":{\"a\":1}}}", "train"},
               {"{\"figures\":{\"auroc\":[1,2,3]}}", "auroc"},
               {"{\"figures\":{\"auroc\":null}}", "auroc"},
               {"{\"figures\":{\"auroc\":1e300}}", "auroc"},
               {"{\"figures\":{\"of\":3}}", "of"},
               {"{\"figures\":{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}}", "figures.a.b.c"}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        g_assert_false(check(bad[i].text, false, &error));
        g_assert_nonnull(strstr(error->message, bad[i].names));
        g_clear_error(&error);
    }
}

static void test_sizes(void) {
    g_autofree char *most = g_strnfill(SEAM_CARD_TEXT, 'a'), *fits = g_strdup_printf("{\"data\":\"%s\"}", most),
                    *over = g_strdup_printf("{\"data\":\"%sa\"}", most);
    GString *many = g_string_new("{\"figures\":{\"f\":0");
    for (int i = 0; i < 80; i++)
        g_string_append_printf(many, ",\"f%d\":1", i);
    g_string_append(many, "}}");
    g_assert_true(check(fits, false, NULL));
    g_assert_false(check(over, false, NULL));
    g_assert_false(check(many->str, false, NULL));
    g_string_free(many, TRUE);
}

// Tables stay behind; numbers, intervals and promises come along, and the whole is accepted.
static void test_made(void) {
    JsonObject *texts = seam_json_parse("{\"traps\":\"none\"}", "t", NULL), *provenance = seam_json_parse("{\"trained_on\":7,\"seed\":1}", "p", NULL),
               *measured = seam_json_parse("{\"auroc\":0.9,\"n\":5,\"confusion\":[[1]],\"classes\":{},\"interval\":{\"auroc\":[0.8,1]},"
                                           "\"promise\":{\"shares\":{\"good\":{\"pass\":0.5}}}}", "m", NULL);
    JsonObject *card = seam_card_new(texts, provenance, measured, "a folder");
    GError *error = NULL;
    g_assert_true(seam_card_check(card, "test", false, &error));
    g_assert_no_error(error);
    JsonObject *figures = json_object_get_object_member(card, "figures"), *split = json_object_get_object_member(card, "split");
    g_assert_cmpstr(json_object_get_string_member(card, "traps"), ==, "none");
    g_assert_cmpstr(json_object_get_string_member(figures, "of"), ==, "a folder");
    g_assert_true(json_object_has_member(figures, "interval") && json_object_has_member(figures, "promise"));
    g_assert_false(json_object_has_member(figures, "confusion") || json_object_has_member(figures, "classes"));
    g_assert_cmpint(json_object_get_int_member(split, "train"), ==, 7);
    g_assert_false(json_object_has_member(split, "seed"));
    json_object_unref(card);
    json_object_unref(texts);
    json_object_unref(provenance);
    json_object_unref(measured);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/card/accepts", test_accepts);
    g_test_add_func("/card/refuses", test_refuses);
    g_test_add_func("/card/sizes", test_sizes);
    g_test_add_func("/card/made", test_made);
    return g_test_run();
}
