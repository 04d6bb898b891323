// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Verdicts in words: what is drawn is true, what says anything else is not.
#include <glib.h>
#include <string.h>

#include "core/finding.h"

static SeamConfig config = {.n_classes = 3, .class_name = {"good", "porosity", "burn-through"}, .n_modalities = 2,
                            .modality = {{.name = "image"}, {.name = "sensors"}}};

static SeamFacts draw_facts(SeamRandom *random) {
    SeamDecision decision = (SeamDecision)seam_random_below(random, 3);
    return (SeamFacts){.decision = decision, .class_index = seam_random_below(random, 4) - 1, .sure = seam_random_below(random, 101) - 1,
                       .place = decision == SEAM_PASS ? -1 : seam_random_below(random, 102) - 1,
                       .modality = decision == SEAM_REJECT ? seam_random_below(random, 3) - 1 : -1};
}

static void test_drawn(void) {
    SeamRandom random = seam_random(3, 1);
    char text[SEAM_MAX_FINDING];
    for (int32_t i = 0; i < 300; i++) {
        SeamFacts f = draw_facts(&random);
        seam_finding_plain(&f, &config, text);
        g_assert_true(seam_finding_true(text, &f, &config));
        g_assert_cmpint(seam_finding_ways(&f, &config), >, 1);
        seam_finding_draw(&f, &config, &random, text);
        g_assert_true(seam_finding_true(text, &f, &config));
        for (SeamDecision other = SEAM_PASS; other <= SEAM_REFER; other++) {
            SeamFacts wrong = f;
            wrong.decision = other;
            g_assert_true(other == f.decision || !seam_finding_true(text, &wrong, &config));
        }
    }
}

static void test_wrong(void) {
    SeamFacts f = {.decision = SEAM_REJECT, .class_index = 1, .sure = 83, .place = 40, .modality = 1};
    const char *right = "The weld is rejected: porosity, at 40 % of its length, seen most by sensors, at least 83 % sure.";
    const char *const wrong[] = {
        "The weld passes, at least 83 % sure.",
        "The weld is rejected: burn-through, at 40 % of its length, seen most by sensors, at least 83 % sure.",
        "The weld is rejected: porosity, at 41 % of its length, seen most by sensors, at least 83 % sure.",
        "The weld is rejected: porosity, at 40 % of its length, seen most by image, at least 83 % sure.",
        "The weld is rejected: porosity, at 40 % of its length, seen most by sensors, at least 84 % sure.",
        "The weld is rejected: porosity, at 40 % of its length, seen most by sensors, at least 83 % sure. Not",
        "The weld is rejected: porosity, at 40 % of its length, seen most by sensors",
        "",
    };
    char text[SEAM_MAX_FINDING];
    seam_finding_plain(&f, &config, text);
    g_assert_cmpstr(text, ==, right);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(seam_finding_true(wrong[i], &f, &config));
}

// Names as long as they can be are cut at the end of the text, and nothing beyond it is written.
static void test_long(void) {
    g_autofree SeamConfig *c = g_memdup2(&config, sizeof config);
    struct { char text[SEAM_MAX_FINDING], guard[8]; } out;
    SeamFacts f = {.decision = SEAM_REJECT, .class_index = 1, .sure = 99, .place = 100, .modality = 1};
    SeamRandom random = seam_random(5, 1);
    memset(c->class_name[1], 'c', SEAM_NAME_LENGTH - 1);
    memset(c->modality[1].name, 'm', SEAM_NAME_LENGTH - 1);
    memset(&out, 0x5a, sizeof out);
    for (int32_t i = 0; i < 200; i++) {
        seam_finding_draw(&f, c, &random, out.text);
        g_assert_true(memchr(out.text, 0, sizeof out.text) != NULL && seam_finding_true(out.text, &f, c));
    }
    for (size_t i = 0; i < sizeof out.guard; i++)
        g_assert_cmpint(out.guard[i], ==, 0x5a);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/finding/drawn", test_drawn);
    g_test_add_func("/finding/wrong", test_wrong);
    g_test_add_func("/finding/long", test_long);
    return g_test_run();
}
